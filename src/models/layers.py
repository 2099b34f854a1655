"""Layers that several models share, with the variable names of tf.contrib.slim."""
import typing

import numpy as np
import tensorflow as tf


class Groups(typing.NamedTuple):
    """Some of the equal groups of neighbouring units that make up a layer, such as the experts of some classes."""

    chosen: np.ndarray  # indices of the groups to compute
    count: int  # number of all groups


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


def batch_norm(inputs, scope, is_training, fused=True):
    """Batch normalization of [batch, features] with slim's defaults (decay 0.999, epsilon 0.001).

    It is fused, as slim's is, unless told otherwise; the moving variance takes Bessel's
    correction only if fused. The UPDATE_OPS collection holds the updates of the moving
    statistics.
    """
    rank_4 = inputs[:, tf.newaxis, tf.newaxis, :] if fused else inputs  # the fused kernel takes images only
    outputs = tf.compat.v1.layers.batch_normalization(
        rank_4, momentum=0.999, epsilon=0.001, training=is_training, fused=fused, name=scope)
    return outputs[:, 0, 0, :] if fused else outputs
