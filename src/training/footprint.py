"""What training needs of a device's memory and of the disk, told from its graph alone: nothing is run."""
import collections
import logging
import os
import shutil

import tensorflow as tf

tf1 = tf.compat.v1
log = logging.getLogger("yt8m")
GB = 2 ** 30  # bytes

# `blocks`: {scope: number of parameters}; the others in bytes.
Footprint = collections.namedtuple("Footprint", "blocks weights gradients slots activations")

# Ops whose output is their input's memory.
_ALIASES = {"ExpandDims", "Identity", "PreventGradient", "Reshape", "Squeeze", "StopGradient"}
# Ops that write over an input that no other op needs any more.
_IN_PLACE = {"Add", "AddN", "AddV2", "BiasAdd", "Cast", "Exp", "Log", "Maximum", "Minimum", "Mul", "Neg", "Pow",
             "RealDiv", "Relu", "Relu6", "Relu6Grad", "ReluGrad", "Rsqrt", "RsqrtGrad", "Sigmoid", "SigmoidGrad",
             "Softmax", "Sqrt", "Square", "Sub", "Tanh", "TanhGrad"}


def measure(graph):
    """The Footprint of a training step.

    `gradients` are those of all variables at once, and a second copy of the largest while it is
    clipped; `slots` what the optimizer keeps; `activations` all else that is alive at once.

    Args:
      graph: towers.TrainGraph of one tower, built in the default graph on batches of static shape.
    """
    gradients = [_bytes(variable) for _, variable in graph.gradients]
    return Footprint(blocks(graph.model_variables), weight_bytes(graph),
                     sum(gradients) + max(gradients), slot_bytes(graph),
                     activation_bytes(graph.train_op, graph.gradients))


def weight_bytes(graph):
    """Bytes of the model's variables: what a SavedModel takes of the disk."""
    return sum(map(_bytes, graph.model_variables))


def slot_bytes(graph):
    """Bytes that the optimizer keeps; together with the weights they are what a checkpoint takes of the disk."""
    return sum(_bytes(variable) for variable in tf1.global_variables()
               if variable not in graph.model_variables and variable is not tf1.train.get_global_step())


def log_disk(graph, train_dir, first_step, max_steps, export_model_steps, max_to_keep, export_saved_models):
    """Logs how much disk the checkpoints to come will take and, of a local folder, how much is free.

    Args:
      graph: towers.TrainGraph.
      first_step: step at which training starts; the other arguments are flags of train.py.
    """
    weights, slots = weight_bytes(graph), slot_bytes(graph)
    each = "%.2f GB" % ((weights + slots) / GB)
    if export_saved_models:
        each += " and its SavedModel of %.2f GB" % (weights / GB)
    counts = [max_to_keep + 1] if max_to_keep else []  # the oldest goes when the newest is there
    if max_steps is not None:
        counts.append(max(0, -(-max_steps // export_model_steps) - first_step // export_model_steps))
    if not counts:
        log.info("disk: each checkpoint takes %s", each)
        return
    needed = min(counts) * (weights + slots + weights * export_saved_models)
    log.info("disk: up to %d checkpoints more, each of %s, take %.2f GB", min(counts), each, needed / GB)
    free = None if "://" in train_dir else _free_bytes(train_dir)
    if free is not None:
        log.info("disk: %.2f GB are free at %s%s", free / GB, train_dir, "" if needed <= free else
                 "; WARNING, too little: make room, keep fewer (--max_to_keep), save less often (--export_model_steps) "
                 "or leave out the SavedModels (--noexport_saved_models)")


def _free_bytes(folder):
    folder = os.path.abspath(folder)
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    return shutil.disk_usage(folder).free


def blocks(variables):
    """{scope below tower/, at most two names deep: number of parameters}, in the variables' order."""
    counts = collections.OrderedDict()
    for variable in variables:
        names = variable.op.name.split("/")[1:]
        scope = "/".join(names[:-1][:2]) or names[0]
        counts[scope] = counts.get(scope, 0) + variable.shape.num_elements()
    return counts


def activation_bytes(train_op, gradients):
    """Bytes of the tensors alive at once, at most, while `train_op` runs; `gradients` do not count.

    Ops run one by one, queued as their inputs come to be, which is how TensorFlow's executor goes
    about it. A tensor lives until its last use. One of unknown size counts as empty.
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
    """The ops that run for `target`, each after those it needs, in the order of a queue."""
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
    for operation in queue:  # which grows meanwhile
        for follower in followers[operation]:
            missing[follower] -= 1
            if not missing[follower]:
                queue.append(follower)
    return queue


def _needs(operation):
    return {tensor.op for tensor in operation.inputs} | set(operation.control_inputs)


def _on_the_way(gradients):
    """Tensors of a variable's shape from the op that makes its gradient to where it is applied."""
    found, stack = set(), [(gradient, variable.shape.as_list()) for gradient, variable in gradients]
    while stack:
        tensor, shape = stack.pop()
        if tensor not in found and tensor.shape.is_fully_defined() and tensor.shape.as_list() == shape:
            found.add(tensor)
            stack.extend((one, shape) for one in tensor.op.inputs)
    return found


def _bytes(tensor):
    return (tensor.shape.num_elements() or 0) * tensor.dtype.size
