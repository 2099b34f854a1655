"""Label losses, and the objective that training minimises."""
import typing

from absl import flags
import tensorflow as tf

from src.common.errors import InputError

EPSILON = 1e-5
_NOT_THERE = -1e30  # its softmax is 0 beside any prediction


def define_flags():
    """The flag that says which loss."""
    flags.DEFINE_string("label_loss", "CrossEntropyLoss", "CrossEntropyLoss, HingeLoss or SoftmaxLoss.")


class CrossEntropyLoss(object):
    """Cross entropy of independent labels, summed over classes, averaged over the batch."""

    def calculate_loss(self, predictions, labels, label_weights=None):
        """Scalar loss.

        Args:
          predictions: float [batch, classes], probabilities.
          labels: float [batch, classes], 0..1.
          label_weights: float [batch, classes] that multiplies each term, or None.
        """
        return _reduce(-(labels * tf.math.log(predictions + EPSILON)
                         + (1 - labels) * tf.math.log(1 - predictions + EPSILON)), label_weights)


class HingeLoss(object):
    """max(0, 1 - y p) with y = 1 for a label and -1 otherwise, summed over classes, averaged over the batch."""

    def calculate_loss(self, predictions, labels, label_weights=None):
        """See CrossEntropyLoss."""
        return _reduce(tf.maximum(0.0, 1.0 - (2 * labels - 1) * predictions), label_weights)


class SoftmaxLoss(object):
    """Cross entropy of softmax(predictions) with the labels scaled to sum 1, averaged over the batch.

    Both the softmax and the sum are over the classes of weight above 0.
    """

    def calculate_loss(self, predictions, labels, label_weights=None):
        """See CrossEntropyLoss."""
        if label_weights is not None:
            predictions = tf.where(label_weights > 0, predictions, tf.fill(tf.shape(predictions), _NOT_THERE))
            labels *= label_weights
        target = labels / tf.maximum(tf.reduce_sum(labels, axis=1, keepdims=True), 1e-7)
        return _reduce(-target * tf.nn.log_softmax(predictions), label_weights)


class Objective(typing.NamedTuple):
    """What training minimises: a label loss plus the regularization losses."""
    label_loss: typing.Any  # an instance of a class above
    regularization_penalty: float = 1.0  # factor of the model's own and the L2 losses
    mask_unrated_labels: bool = False  # classes without a rating do not count in the label loss


_LOSSES = {loss.__name__: loss for loss in (CrossEntropyLoss, HingeLoss, SoftmaxLoss)}


def create(name):
    """The loss called `name`.

    Raises:
      InputError: there is none.
    """
    if name not in _LOSSES:
        raise InputError("--label_loss=%s is unknown: choose one of %s." % (name, ", ".join(sorted(_LOSSES))))
    return _LOSSES[name]()


def _reduce(terms, label_weights):
    if label_weights is not None:
        terms *= label_weights
    return tf.reduce_mean(tf.reduce_sum(terms, axis=1))
