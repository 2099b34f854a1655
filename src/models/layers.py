"""Layers that several models share, with the variable names of tf.contrib.slim."""
import tensorflow as tf


def normal_weights(name, shape, fan_in):
    """Variable drawn from a normal distribution of standard deviation fan_in ** -0.5."""
    return tf.compat.v1.get_variable(name, shape, tf.float32,
                                     tf.compat.v1.random_normal_initializer(stddev=fan_in ** -0.5))


def dense(inputs, units, scope, l2_penalty=0.0, use_bias=True, bias_l2_penalty=0.0, initializer=None, groups=None,
          num_groups=None):
    """Linear layer with variables `weights` and `biases` under `scope`.

    Args:
      inputs: [batch, features].
      units: size of the output.
      l2_penalty: times half the squared weights is added to the regularization losses.
      bias_l2_penalty: the same for the biases.
      initializer: of the weights, Glorot's uniform by default.
      groups: int array of those to compute of the `num_groups` equal groups of neighbouring units; None: all.

    Returns:
      [batch, units], or [batch, units of the groups].
    """
    def wanted(variable):
        if groups is None:
            return variable
        shape = variable.shape.as_list()[:-1]
        grouped = tf.reshape(variable, shape + [num_groups, units // num_groups])
        return tf.reshape(tf.gather(grouped, groups, axis=len(shape)), shape + [len(groups) * (units // num_groups)])

    with tf.compat.v1.variable_scope(scope):
        weights = tf.compat.v1.get_variable(
            "weights", [inputs.shape[-1], units], tf.float32,
            initializer or tf.compat.v1.glorot_uniform_initializer(), regularizer=_l2(l2_penalty))
        outputs = tf.matmul(inputs, wanted(weights))
        if use_bias:
            outputs += wanted(tf.compat.v1.get_variable("biases", [units], tf.float32, tf.compat.v1.zeros_initializer(),
                                                        regularizer=_l2(bias_l2_penalty)))
        return outputs


def _l2(penalty):
    return (lambda weights: penalty * tf.nn.l2_loss(weights)) if penalty else None


def batch_norm(inputs, scope, is_training, fused=True):
    """Batch normalization of [batch, features] with slim's defaults (decay 0.999, epsilon 0.001).

    Fused as slim fuses it: the moving variance then takes Bessel's correction. The
    statistics' updates go to the UPDATE_OPS collection.
    """
    rank_4 = inputs[:, tf.newaxis, tf.newaxis, :] if fused else inputs  # the fused kernel wants images
    outputs = tf.compat.v1.layers.batch_normalization(
        rank_4, momentum=0.999, epsilon=0.001, training=is_training, fused=fused, name=scope)
    return outputs[:, 0, 0, :] if fused else outputs
