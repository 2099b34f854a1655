"""Label losses, the weights of their terms, and the objective that training minimises."""
import typing

from absl import flags
import numpy as np
import tensorflow as tf

from src.common.errors import InputError
from src.data import readers

EPSILON = 1e-5
_NOT_THERE = -1e30  # its softmax is 0 beside any prediction


def define_flags():
    """Flags of the loss and of the weights of its terms."""
    flags.DEFINE_string("label_loss", "CrossEntropyLoss", "CrossEntropyLoss, HingeLoss or SoftmaxLoss.")
    flags.DEFINE_bool("mask_unrated_labels", False, "With --segment_labels: ignore classes without a rating. Default: "
                      "they are negatives, as in the published run.")
    flags.DEFINE_float("negative_weight", None, "With --segment_labels: the weight of all classes together that are "
                       "negatives although nobody rated them. These are the classes of --segment_label_ids_file "
                       "without the video's labels and without the classes rated anywhere in the video; other unrated "
                       "classes do not count. Default: every unrated class is a negative, as in the published run.",
                       lower_bound=0)
    flags.DEFINE_float("positive_weight", 1.0, "With --segment_labels: weight of a rating that says the class is "
                       "there; one that says that it is not has weight 1.", lower_bound=0)


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
    negative_weight: float = None  # of the weak negatives together; None: the published loss
    positive_weight: float = 1.0  # of ratings that say that the class is there
    negatives: np.ndarray = None  # float32 [classes], 1 for those that may be weak negatives, else 0


def objective(args, rated_classes):
    """The Objective that flags describe.

    Args:
      args: the flags.
      rated_classes: ints, the classes rated at segment level; may be None without --negative_weight.

    Raises:
      InputError: they contradict each other.
    """
    name = "negative_weight" if args.negative_weight is not None else "positive_weight"
    if args.negative_weight is not None or args.positive_weight != 1:
        if not args.segment_labels:
            raise InputError("--%s weighs ratings of segments: add --segment_labels, or leave it out." % name)
        if args.label_loss != "CrossEntropyLoss":
            raise InputError("--%s weighs the terms of the cross entropy: leave out --label_loss=%s."
                             % (name, args.label_loss))
    if args.negative_weight is not None and args.mask_unrated_labels:
        raise InputError("--mask_unrated_labels ignores the unrated classes, and --negative_weight counts some of "
                         "them: give one of the two.")
    negatives = None
    if args.negative_weight is not None:
        negatives = np.isin(np.arange(args.num_classes), rated_classes).astype(np.float32)
    return Objective(create(args.label_loss), args.regularization_penalty,
                     args.mask_unrated_labels and args.segment_labels, args.negative_weight, args.positive_weight,
                     negatives)


def label_weights(of, labels, batch):
    """Weights of the terms of the loss, float32 [batch, classes]; None: all weigh the same.

    With weak negatives (Segment loss in docs/beyond.md), rated classes weigh `positive_weight` or 1; the weak
    negatives of each segment weigh `negative_weight` together; all others weigh 0.

    Args:
      of: Objective.
      labels: float32 [batch, classes].
      batch: the reader's; see `readers.label_weights` and, for weak negatives, its `video_classes`.
    """
    if not of.mask_unrated_labels and of.negative_weight is None and of.positive_weight == 1:
        return None
    of_ratings = 1 + (of.positive_weight - 1) * labels
    if not of.mask_unrated_labels and of.negative_weight is None:
        return of_ratings
    weights = readers.label_weights(batch) * of_ratings
    if of.negative_weight is None:
        return weights
    negatives = of.negatives * (1 - readers.dense_labels(batch, "video_classes"))
    share = tf.math.divide_no_nan(float(of.negative_weight), tf.reduce_sum(negatives, axis=1, keepdims=True))
    return weights + share * negatives


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
