"""Layers that several models share, with the variable names of tf.contrib.slim."""
import typing

import numpy as np
import tensorflow as tf


_DECAY, _EPSILON = 0.999, 0.001  # of batch normalization
_NORMALIZATION = [  # (name, initializer, whether it is trained) of its variables
    ("gamma", tf.compat.v1.ones_initializer, True), ("beta", tf.compat.v1.zeros_initializer, True),
    ("moving_mean", tf.compat.v1.zeros_initializer, False),
    ("moving_variance", tf.compat.v1.ones_initializer, False)]


class Groups(typing.NamedTuple):
    """Some of the equal groups of neighbouring units that make up a layer, such as the experts of some classes."""

    chosen: np.ndarray  # indices of the groups to compute
    count: int  # number of all groups


def dimension(tensor, axis):
    """The size of a tensor's axis as an int; None if the graph does not know it."""
    return tf.compat.dimension_value(tensor.shape[axis])


def normal_weights(name, shape, fan_in):
    """Variable drawn from a normal distribution of standard deviation fan_in ** -0.5."""
    return tf.compat.v1.get_variable(name, shape, tf.float32,
                                     tf.compat.v1.random_normal_initializer(stddev=fan_in ** -0.5))


def dense(inputs, units, scope, l2_penalty=0.0, use_bias=True, bias_l2_penalty=0.0, initializer=None, groups=None):
    """Linear layer with variables `weights` and `biases` under `scope`.

    Args:
      inputs: [batch, features].
      units: size of the output.
      scope: of the variables.
      l2_penalty: factor of the L2 loss of the weights (half the sum of their squares), a regularization loss.
      use_bias: whether to add biases.
      bias_l2_penalty: factor of the L2 loss of the biases.
      initializer: of the weights; None: Glorot's uniform.
      groups: Groups, to compute only some of the units; None: all.

    Returns:
      [batch, units], or [batch, units of the chosen groups].
    """
    def chosen(variable):
        if groups is None:
            return variable
        shape, size = variable.shape.as_list()[:-1], units // groups.count
        grouped = tf.reshape(variable, shape + [groups.count, size])
        return tf.reshape(tf.gather(grouped, groups.chosen, axis=len(shape)), shape + [len(groups.chosen) * size])

    with tf.compat.v1.variable_scope(scope):
        weights = tf.compat.v1.get_variable(
            "weights", [inputs.shape[-1], units], tf.float32,
            initializer or tf.compat.v1.glorot_uniform_initializer(), regularizer=_l2(l2_penalty))
        outputs = tf.matmul(inputs, chosen(weights))
        if use_bias:
            outputs += chosen(tf.compat.v1.get_variable("biases", [units], tf.float32, tf.compat.v1.zeros_initializer(),
                                                        regularizer=_l2(bias_l2_penalty)))
        return outputs


def _l2(penalty):
    return (lambda weights: penalty * tf.nn.l2_loss(weights)) if penalty else None


def dropout(x, rate):
    """Sets a share of a tensor's numbers to 0 and scales the others by 1 / (1 - rate), with the same ops everywhere."""
    kept = tf.random.uniform(tf.shape(x)) >= rate
    return x * (1 / (1 - np.float32(rate))) * tf.cast(kept, x.dtype)


def batch_norm(inputs, scope, is_training, fused=True):
    """Batch normalization of [batch, features] with slim's defaults.

    It is fused, as slim's is, unless told otherwise; the moving variance takes Bessel's
    correction only if fused. The UPDATE_OPS collection holds the updates of the moving
    statistics.
    """
    with tf.compat.v1.variable_scope(scope):
        gamma, beta, mean, variance = (
            tf.compat.v1.get_variable(name, [dimension(inputs, -1)], tf.float32, initializer(), trainable=is_trained)
            for name, initializer, is_trained in _NORMALIZATION)
        if fused:
            images = inputs[:, tf.newaxis, tf.newaxis, :]  # which the kernel takes
            outputs, batch_mean, batch_variance = tf.compat.v1.nn.fused_batch_norm(
                images, gamma, beta, *(() if is_training else (mean, variance)), epsilon=_EPSILON,
                is_training=is_training)
            outputs = outputs[:, 0, 0, :]
        else:
            batch_mean, batch_variance = tf.nn.moments(inputs, axes=[0]) if is_training else (mean, variance)
            outputs = tf.nn.batch_normalization(inputs, batch_mean, batch_variance, beta, gamma, _EPSILON)
        if is_training:
            for moving, of_batch in (mean, batch_mean), (variance, batch_variance):
                tf.compat.v1.add_to_collection(tf.compat.v1.GraphKeys.UPDATE_OPS, tf.compat.v1.assign_sub(
                    moving, (moving - of_batch) * (1 - _DECAY)).op)
    return outputs
