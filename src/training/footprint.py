"""The device memory and disk space that a training needs, from its graph alone: nothing is run."""
import collections
import logging
import os
import shutil
import typing

import tensorflow as tf

from src.common import storage

tf1 = tf.compat.v1
log = logging.getLogger("yt8m")
GB = 2 ** 30  # bytes


class Footprint(typing.NamedTuple):
    """The device memory of a training step."""
    blocks: dict  # {scope: number of parameters}, in the variables' order
    weights: int  # bytes of the model's variables
    gradients: int  # bytes of all gradients at once, with a second copy of the largest while it is clipped
    slots: int  # bytes of the optimizer's variables
    activations: int  # bytes of all other tensors that are alive at once


# Ops whose output is their input's memory.
_ALIASES = {"ExpandDims", "Identity", "PreventGradient", "Reshape", "Squeeze", "StopGradient"}
# Ops that overwrite an input that no other op needs any more.
_IN_PLACE = {"Add", "AddN", "AddV2", "BiasAdd", "Cast", "Exp", "Log", "Maximum", "Minimum", "Mul", "Neg", "Pow",
             "RealDiv", "Relu", "Relu6", "Relu6Grad", "ReluGrad", "Rsqrt", "RsqrtGrad", "Sigmoid", "SigmoidGrad",
             "Softmax", "Sqrt", "Square", "Sub", "Tanh", "TanhGrad"}


def measure(graph):
    """The Footprint of a training step.

    Args:
      graph: towers.TrainGraph of one tower, built in the default graph on batches of static shape.
    """
    gradients = [_bytes(variable) for _, variable in graph.gradients]
    return Footprint(blocks(graph.model_variables), weight_bytes(graph),
                     sum(gradients) + max(gradients), slot_bytes(graph),
                     activation_bytes(graph.train_op, graph.gradients))


def weight_bytes(graph):
    """Bytes of the model's variables: the size of a SavedModel on disk."""
    return sum(map(_bytes, graph.model_variables))


def slot_bytes(graph):
    """Bytes of the optimizer's variables; with the weights they make the size of a checkpoint on disk."""
    return sum(_bytes(variable) for variable in tf1.global_variables()
               if variable not in graph.model_variables and variable is not tf1.train.get_global_step())


def print_table(found, model, batch_size, num_frames, context_frames=0):
    """Prints a model's parameters by block, and the memory of a training step on one GPU.

    Args:
      found: Footprint.
      model: its name.
      batch_size: examples of the step.
      num_frames: frames of an example; None at video level.
      context_frames: of the context of each example, if the model has one.
    """
    print("%s: %s parameters" % (model, "{:,}".format(sum(found.blocks.values()))))
    for scope, parameters in found.blocks.items():
        print("  %-36s%13s" % (scope, "{:,}".format(parameters)))
    print("memory of a training step, batch_size %d%s%s" % (
        batch_size, ", %d frames each" % num_frames if num_frames else "",
        ", %d frames of context each, if no two are of one video" % context_frames if context_frames else ""))
    rows = [("weights", found.weights), ("gradients", found.gradients), ("optimizer's slots", found.slots),
            ("activations", found.activations), ("together", sum(found[1:]))]
    for name, size in rows:
        print("  %-36s%10.2f GB" % (name, size / GB))
    print("disk of a checkpoint                  %10.2f GB" % ((found.weights + found.slots) / GB))


class Plan(typing.NamedTuple):
    """The checkpoints that a training will leave."""
    first_step: int  # at which it starts
    max_steps: int  # at which it ends; None: unknown
    export_model_steps: int  # between checkpoints
    max_to_keep: int  # checkpoints; 0 = all
    export_saved_models: bool  # whether each gets a SavedModel


def log_disk(graph, train_dir, plan):
    """Logs how much disk the checkpoints to come will take and, for a local folder, how much is free.

    Args:
      graph: towers.TrainGraph.
      train_dir: folder of the checkpoints.
      plan: Plan.
    """
    weights, slots = weight_bytes(graph), slot_bytes(graph)
    each = "%.2f GB" % ((weights + slots) / GB)
    if plan.export_saved_models:
        each += " and its SavedModel of %.2f GB" % (weights / GB)
    counts = [plan.max_to_keep + 1] if plan.max_to_keep else []  # the oldest goes once the newest is written
    if plan.max_steps is not None:
        every = plan.export_model_steps
        counts.append(max(0, -(-plan.max_steps // every) - plan.first_step // every))
    if not counts:
        log.info("disk: each checkpoint takes %s", each)
        return
    needed = min(counts) * (weights + slots + weights * plan.export_saved_models)
    log.info("disk: up to %d more checkpoints, each of %s, take %.2f GB", min(counts), each, needed / GB)
    free = None if "://" in train_dir else _free_bytes(train_dir)
    if free is not None:
        log.info("disk: %.2f GB are free at %s%s", free / GB, train_dir, "" if needed <= free else
                 "; WARNING, too little: make room, keep fewer (--max_to_keep), save less often (--export_model_steps) "
                 "or leave out the SavedModels (--noexport_saved_models)")


def _free_bytes(folder):
    folder = os.path.abspath(storage.local(folder))
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    return shutil.disk_usage(folder).free


def blocks(variables):
    """{scope below tower/, at most two names deep: number of parameters}, in the order of the variables."""
    counts = collections.OrderedDict()
    for variable in variables:
        names = variable.op.name.split("/")[1:]
        scope = "/".join(names[:-1][:2]) or names[0]
        counts[scope] = counts.get(scope, 0) + variable.shape.num_elements()
    return counts


def activation_bytes(train_op, gradients):
    """Largest number of bytes of tensors alive at once while `train_op` runs; `gradients` do not count.

    Ops run one by one, queued when their inputs are complete, as in TensorFlow's executor. A tensor lives until its
    last use. A tensor of unknown size counts as empty.
    """
    operations = _in_order(train_op)
    memory = {}  # tensor -> the tensor in whose memory it lies
    for operation in operations:
        for tensor in operation.outputs:
            memory[tensor] = memory[operation.inputs[0]] if operation.type in _ALIASES else tensor
    size = {tensor: _bytes(tensor) if memory[tensor] is tensor and not tensor.dtype._is_ref_dtype else 0
            for tensor in memory}
    size.update((memory[tensor], 0) for tensor in _on_the_way(gradients))
    uses = collections.Counter(memory[tensor] for operation in operations for tensor in operation.inputs)
    alive = peak = 0
    for operation in operations:
        inputs = collections.Counter(memory[tensor] for tensor in operation.inputs)
        uses.subtract(inputs)
        made = sum(size[tensor] for tensor in operation.outputs)
        freed = sum(size[tensor] for tensor in inputs if not uses[tensor])
        peak = max(peak, alive + made - (min(made, freed) if operation.type in _IN_PLACE else 0))
        alive += made - freed - sum(size[tensor] for tensor in operation.outputs if not uses[tensor])
    return peak


def _in_order(target):
    """The ops that run for `target`, each after the ops that it needs, in the order of a queue."""
    wanted, stack = set(), [target]
    while stack:
        operation = stack.pop()
        if operation not in wanted:
            wanted.add(operation)
            stack.extend(_needs(operation))
    followers, missing, queue = collections.defaultdict(list), {}, []
    for operation in target.graph.get_operations():
        if operation in wanted:
            needs = _needs(operation)
            missing[operation] = len(needs)
            for one in needs:
                followers[one].append(operation)
            if not needs:
                queue.append(operation)
    for operation in queue:  # grows in the loop
        for follower in followers[operation]:
            missing[follower] -= 1
            if not missing[follower]:
                queue.append(follower)
    return queue


def _needs(operation):
    return {tensor.op for tensor in operation.inputs} | set(operation.control_inputs)


def _on_the_way(gradients):
    """Tensors of a variable's shape between the op that computes its gradient and the update."""
    found, stack = set(), [(gradient, variable.shape.as_list()) for gradient, variable in gradients]
    while stack:
        tensor, shape = stack.pop()
        if tensor not in found and tensor.shape.is_fully_defined() and tensor.shape.as_list() == shape:
            found.add(tensor)
            stack.extend((one, shape) for one in tensor.op.inputs)
    return found


def _bytes(tensor):
    return (tensor.shape.num_elements() or 0) * tensor.dtype.size
