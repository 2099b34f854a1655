"""The training graph: one or more towers on one set of variables."""
import collections

import tensorflow as tf

from src.data import readers

tf1 = tf.compat.v1

TrainGraph = collections.namedtuple(
    "TrainGraph", "train_op step loss regularization_loss learning_rate predictions labels model_variables gradients")


def tower_devices(num_gpu, gpus, cluster_spec=None, job_prefix=""):
    """A device function or name for each tower.

    One GPU or none: the variables live where the tower runs. Several towers share
    variables on the CPU; a cluster keeps them on its parameter servers.

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


def build(model, reader, next_batch, devices, label_loss, regularization_penalty, make_optimizer,
          clip_gradient_norm, mask_unrated_labels=False, frames_sampled=True):
    """Builds the towers and the op that updates their variables.

    Each tower takes a batch of its own; the loss and the gradients are the means over
    towers, so that N towers of B examples train like one of N * B.

    Args:
      model: see `models.create`.
      reader: turns batches into model input; see `data.readers`.
      next_batch: function returning the next batch of the reader; called once a tower.
      devices: one device (or device function) a tower.
      label_loss: see `losses`.
      regularization_penalty: factor of the model's and the L2 losses.
      make_optimizer: function from the int32 global step to (optimizer, learning rate tensor).
      clip_gradient_norm: each variable's gradient is clipped to this norm; 0 = not.
      mask_unrated_labels: classes without a rating do not count in the loss.
      frames_sampled: the batches hold just the frames the model asked for.

    Returns:
      TrainGraph; `step` is the global step after the update, `predictions` and `labels` are
      those of the first tower; `model_variables` are all but the optimizer's and the step;
      `gradients` are [(gradient, variable)] as the optimizer applies them.
    """
    global_step = tf1.train.get_global_step()
    optimizer, learning_rate = make_optimizer(global_step)
    gradients, losses, regularizations, first = [], [], [], None
    for index, device in enumerate(devices):
        with tf.device(device), tf1.variable_scope("tower", reuse=index > 0), tf1.name_scope("tower_%d" % index):
            batch = next_batch()
            labels = readers.dense_labels(batch)
            result = model.create_model(
                readers.normalize(reader.model_input_raw(batch)), vocab_size=reader.num_classes,
                num_frames=batch.get("num_frames"), is_training=True, labels=labels, frames_sampled=frames_sampled)
            if first is None:
                # Moving averages are shared: one tower's updates are enough.
                updates = tf1.get_collection(tf1.GraphKeys.UPDATE_OPS)
                first = result["predictions"], labels, tf1.global_variables("tower/")
            weights = readers.label_weights(batch) if mask_unrated_labels else None
            loss = label_loss.calculate_loss(result["predictions"], labels, weights)
            regularization = tf.add_n(tf1.losses.get_regularization_losses()
                                      + [result.get("regularization_loss", tf.constant(0.0))])
            losses.append(loss)
            regularizations.append(regularization)
            gradients.append(optimizer.compute_gradients(loss + regularization_penalty * regularization))
    loss, regularization = tf.reduce_mean(tf.stack(losses)), tf.reduce_mean(tf.stack(regularizations))
    # The losses are those of the weights before the update.
    with tf.control_dependencies(updates + losses + regularizations):
        gradients = _clipped_means(gradients, clip_gradient_norm)
        train_op = optimizer.apply_gradients(gradients, global_step)
    with tf.control_dependencies([train_op]):
        step = global_step.read_value()
    return TrainGraph(train_op, step, loss, regularization, learning_rate, *first, gradients=gradients)


def _clipped_means(tower_gradients, norm):
    """[(gradient, variable)] averaged over towers, each clipped to `norm`."""
    result = []
    for of_variable in zip(*tower_gradients):
        variable = of_variable[0][1]
        each = [gradient for gradient, _ in of_variable if gradient is not None]
        if not each:
            continue
        mean = tf.add_n(each) / len(each) if len(each) > 1 else each[0]
        result.append((tf.clip_by_norm(mean, norm) if norm > 0 else mean, variable))
    return result
