"""The training graph: one or more towers on one set of variables."""
import re
import typing

import tensorflow as tf

from src.common.errors import InputError
from src.data import readers
from src.trained import forward
from src.training import losses as label_losses

tf1 = tf.compat.v1


class Updates(typing.NamedTuple):
    """How variables are updated."""
    make_optimizer: typing.Callable  # function from the int32 global step to (optimizer, learning rate tensor)
    clip_gradient_norm: float = 1.0  # each variable's gradient is clipped to this norm; 0 = not
    freeze: str = ""  # regular expression: variables whose whole names it matches stay as they are; "" matches none


class TrainGraph(typing.NamedTuple):
    """The tensors and ops of a training step."""
    train_op: tf.Operation  # updates all variables
    step: tf.Tensor  # int32 scalar, the global step after the update
    loss: tf.Tensor  # scalar, the label loss before the update
    regularization_loss: tf.Tensor  # scalar, without its penalty
    learning_rate: tf.Tensor  # scalar
    predictions: tf.Tensor  # [batch, classes] of the first tower
    labels: tf.Tensor  # [batch, classes] of the first tower
    model_variables: list  # all variables but the optimizer's and the step
    gradients: list  # of (gradient, variable), as the optimizer applies them


def tower_devices(num_gpu, gpus, cluster_spec=None, job_prefix=""):
    """A device function or name per tower.

    With one GPU or none, the variables live where the tower runs. Several towers share variables on the CPU; a cluster
    keeps them on its parameter servers.

    Args:
      num_gpu: GPUs wanted.
      gpus: GPUs present; without any there is one tower, on the CPU.
      cluster_spec: tf.train.ClusterSpec, or None outside a cluster.
      job_prefix: this task's device prefix in the cluster, e.g. /job:worker/task:0.
    """
    workers = ["%s/gpu:%d" % (job_prefix, index) for index in range(min(num_gpu, gpus))]
    workers = workers or [job_prefix + "/cpu:0"]
    if cluster_spec is not None:
        return [tf1.train.replica_device_setter(worker_device=worker, ps_device="/job:ps/cpu:0",
                                                cluster=cluster_spec) for worker in workers]
    if len(workers) > 1:
        return [tf1.train.replica_device_setter(worker_device=worker, ps_device="/cpu:0", ps_tasks=1)
                for worker in workers]
    return workers


def build(model, reader, next_batch, devices, objective, updates, frames_sampled=True):
    """Builds the towers and the op that updates their variables.

    Each tower takes its share of the batch. Loss and gradients are means over the examples, so that N towers train like
    one with the whole batch, however small it is, such as the last of an epoch.

    Args:
      model: see `models.create`.
      reader: turns batches into model input; see `data.readers`.
      next_batch: function that returns the reader's next batch, for all towers together.
      devices: one device (or device function) per tower.
      objective: `losses.Objective`.
      updates: Updates.
      frames_sampled: the batches hold just the frames the model asked for.

    Raises:
      InputError: `updates.freeze` is no regular expression, matches no variable or leaves none to train.

    Returns:
      TrainGraph.
    """
    global_step = tf1.train.get_global_step()
    optimizer, learning_rate = updates.make_optimizer(global_step)
    with tf1.device("/cpu:0" if len(devices) > 1 else devices[0]):
        batch = next_batch()
        shares = _shares(batch, len(devices), objective)
    gradients, losses, regularizations, first = [], [], [], None
    for index, (device, (part, share)) in enumerate(zip(devices, shares)):
        with tf1.device(device), tf1.name_scope("tower_%d" % index):
            labels, weights = part.pop("dense_labels"), part.pop("label_weights", None)
            result = forward.of_batch(model, reader, part, is_training=True, reuse=index > 0,
                                      frames_sampled=frames_sampled)
            if first is None:
                # Moving averages are shared: one tower's updates are enough.
                frozen = _frozen(updates.freeze)
                averages = [update for update in tf1.get_collection(tf1.GraphKeys.UPDATE_OPS)
                            if update.inputs[0].op.name not in frozen]
                trained = [variable for variable in tf1.trainable_variables() if variable.op.name not in frozen]
                first = result["predictions"], labels, tf1.global_variables(forward.SCOPE + "/")
            loss = share * objective.label_loss.calculate_loss(result["predictions"], labels, weights)
            regularization = share * tf.add_n(tf1.losses.get_regularization_losses()
                                              + [result.get("regularization_loss", tf.constant(0.0))])
            losses.append(loss)
            regularizations.append(regularization)
            gradients.append(optimizer.compute_gradients(
                loss + objective.regularization_penalty * regularization, trained))
    loss, regularization = tf.add_n(losses), tf.add_n(regularizations)
    # The losses are those of the weights before the update.
    with tf.control_dependencies(averages + losses + regularizations):
        gradients = _clipped_sums(gradients, updates.clip_gradient_norm)
        train_op = optimizer.apply_gradients(gradients, global_step)
    with tf.control_dependencies([train_op]):
        step = global_step.read_value()
    return TrainGraph(train_op, step, loss, regularization, learning_rate, *first, gradients=gradients)


def _frozen(freeze):
    """Names of the model's variables that a pattern matches as a whole.

    Raises:
      InputError: as `build`.
    """
    names = [variable.op.name for variable in tf1.global_variables(forward.SCOPE + "/")]
    try:
        frozen = {name for name in names if re.fullmatch(freeze, name)}
    except re.error as error:
        raise InputError("--freeze=%s is no regular expression: %s." % (freeze, error))
    if freeze and not frozen:
        raise InputError("--freeze=%s matches the whole name of none of the %d variables such as %s: tower/encoder/.* "
                         "matches those of an encoder, for example." % (freeze, len(names), names[0]))
    if frozen.issuperset(variable.op.name for variable in tf1.trainable_variables()):
        raise InputError("--freeze=%s leaves nothing to train: freeze less." % freeze)
    return frozen


def _shares(batch, num_towers, objective):
    """Splits a batch into consecutive parts -> [(part, its share of the examples)].

    A part is a dict like the batch, with dense_labels instead of labels and, if the terms of the loss have weights,
    label_weights. A tower without examples gets the first example and a share of 0.
    """
    whole = {name: value for name, value in batch.items() if name not in ("labels", "video_classes")}
    whole["dense_labels"] = readers.dense_labels(batch)
    weights = label_losses.label_weights(objective, whole["dense_labels"], batch)
    if weights is not None:
        whole["label_weights"] = weights
    if num_towers == 1:
        return [(whole, 1.0)]
    size = tf.shape(whole["dense_labels"])[0]
    ends = [(size * index + num_towers - 1) // num_towers for index in range(num_towers + 1)]  # the first get most
    parts = []
    for start, end in zip(ends, ends[1:]):
        chosen = tf.cond(start < end, lambda: tf.range(start, end), lambda: tf.zeros([1], tf.int32))
        parts.append((_part(whole, chosen), tf.cast(end - start, tf.float32) / tf.cast(size, tf.float32)))
    return parts


def _part(batch, chosen):
    """The chosen examples of a batch, int32 [n], and the contexts that they need."""
    part = {name: tf.gather(value, chosen) for name, value in batch.items() if not name.startswith("context")}
    if "context" in batch:
        videos, part["video"] = tf.unique(part["video"])
        part.update((name, tf.gather(batch[name], videos)) for name in ("context", "context_valid"))
    return part


def _clipped_sums(tower_gradients, norm):
    """[(gradient, variable)], each gradient summed over towers and clipped to `norm`; 0: not clipped."""
    result = []
    for of_variable in zip(*tower_gradients):
        variable = of_variable[0][1]
        each = [gradient for gradient, _ in of_variable if gradient is not None]
        if not each:
            continue
        total = tf.add_n(each) if len(each) > 1 else each[0]
        result.append((tf.clip_by_norm(total, norm) if norm > 0 else total, variable))
    return result
