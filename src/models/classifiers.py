"""Video-level classifiers; frame-level models use them as heads."""
import tensorflow as tf

from src.common.errors import InputError
from src.models import columns
from src.models.hparams import Hparam
from src.models.layers import Groups
from src.models.layers import batch_norm
from src.models.layers import dense
from src.models.layers import dimension
from src.models.layers import normal_weights

LOGISTIC_HPARAMS = [
    Hparam("l2_penalty", 1e-8, "L2 penalty on the weights and biases of LogisticModel."),
]
MOE_HPARAMS = [
    Hparam("moe_num_mixtures", 5, "Experts per class of MoeModel, without the dummy expert.", low=1),
    Hparam("moe_l2", 1e-8, "L2 penalty on the weights of MoeModel."),
    Hparam("moe_low_rank_gating", -1, "Rank of a linear layer before MoeModel's gates; 0 or less: no such layer."),
    Hparam("moe_prob_gating", False, "Multiply MoeModel's probabilities by a learned gate."),
    Hparam("moe_prob_gating_input", "prob", "What that gate sees: prob (the probabilities) or input (the model's).",
           choices=("input", "prob")),
    Hparam("gating_remove_diag", False, "Leave each class's own probability out of its gate."),
]


def _groups(classes, num_classes):
    """The groups of units of the classes to predict, for `dense`."""
    return None if classes is None else Groups(classes, num_classes)


def logistic_model(model_input, num_classes, l2_penalty, classes=None):
    """One dense layer and a sigmoid.

    Args:
      model_input: [batch, features].
      classes: int array of the classes to predict; None: all.

    Returns:
      dict of `predictions` and `logits`, [batch, classes].
    """
    logits = dense(model_input, num_classes, "fully_connected", l2_penalty, bias_l2_penalty=l2_penalty,
                   initializer=tf.compat.v1.variance_scaling_initializer(), groups=_groups(classes, num_classes))
    return {"predictions": tf.nn.sigmoid(logits), "logits": logits}


def moe_model(model_input, num_classes, is_training, hparams, classes=None):
    """Mixture of logistic experts, one mixture per class (Jordan and Jacobs, 1994).

    The softmax over a class's gates has one dummy expert that always says no. Probability
    gating follows Miech et al., "Learnable pooling with context gating", section 3.

    Args:
      model_input: [batch, features].
      hparams: dict holding MOE_HPARAMS.
      classes: int array of the classes to predict; None: all. Probability gating computes all of them, and only these
        are returned.

    Returns:
      dict of `predictions` [batch, classes].
    """
    if hparams["moe_prob_gating"] and classes is not None:
        of_all = moe_model(model_input, num_classes, is_training, hparams)["predictions"]
        return {"predictions": tf.gather(of_all, classes, axis=1)}
    groups, num_predicted = _groups(classes, num_classes), num_classes if classes is None else len(classes)
    mixtures, l2_penalty = hparams["moe_num_mixtures"], hparams["moe_l2"]
    if hparams["moe_low_rank_gating"] > 0:
        low_rank = dense(model_input, hparams["moe_low_rank_gating"], "gates1", l2_penalty, use_bias=False)
        gates = dense(low_rank, num_classes * (mixtures + 1), "gates2", l2_penalty, use_bias=False, groups=groups)
    else:
        gates = dense(model_input, num_classes * (mixtures + 1), "gates", l2_penalty, use_bias=False, groups=groups)
    experts = dense(model_input, num_classes * mixtures, "experts", l2_penalty, groups=groups)
    gates = tf.nn.softmax(tf.reshape(gates, [-1, num_predicted, mixtures + 1]))
    experts = tf.nn.sigmoid(tf.reshape(experts, [-1, num_predicted, mixtures]))
    probabilities = tf.reduce_sum(gates[:, :, :mixtures] * experts, axis=2)
    if hparams["moe_prob_gating"]:
        probabilities *= _probability_gates(model_input, probabilities, is_training, hparams)
    return {"predictions": probabilities}


def _probability_gates(model_input, probabilities, is_training, hparams):
    """sigmoid(batch_norm(x W)), [batch, num_classes]; x = probabilities or the model's input."""
    source = probabilities if hparams["moe_prob_gating_input"] == "prob" else model_input
    num_classes = dimension(probabilities, -1)
    weights = normal_weights("gating_prob_weights", [source.shape[-1], num_classes], num_classes)
    gates = tf.matmul(source, weights)
    if hparams["gating_remove_diag"]:
        # As in the original, the diagonal is multiplied by the probabilities even if the gate sees the input.
        if dimension(source, -1) < num_classes:
            raise InputError("--gating_remove_diag with --moe_prob_gating_input=input needs at least as many inputs as "
                             "classes, not %d for %d: leave out one of the two."
                             % (dimension(source, -1), num_classes))
        gates -= probabilities * tf.linalg.diag_part(weights)
    return tf.nn.sigmoid(batch_norm(gates, "gating_prob_bn", is_training))


class LogisticModel(object):
    """Logistic regression over a video's features."""

    frame_level = False
    hparams_declared = LOGISTIC_HPARAMS

    def __init__(self, hparams, features=None):
        self.hparams, self.features = hparams, features

    def create_model(self, model_input, vocab_size, num_frames=None, is_training=True, classes=None, **unused):
        """Builds the model; see `logistic_model`."""
        return logistic_model(columns.in_order(model_input, self.features), vocab_size, self.hparams["l2_penalty"],
                              classes)


class MoeModel(object):
    """Mixture of experts over a video's features."""

    frame_level = False
    hparams_declared = MOE_HPARAMS

    def __init__(self, hparams, features=None):
        self.hparams, self.features = hparams, features

    def create_model(self, model_input, vocab_size, num_frames=None, is_training=True, classes=None, **unused):
        """Builds the model; see `moe_model`."""
        return moe_model(columns.in_order(model_input, self.features), vocab_size, is_training, self.hparams, classes)


HEADS = {"LogisticModel": LogisticModel, "MoeModel": MoeModel}
HEAD_HPARAMS = [
    Hparam("video_level_classifier_model", "MoeModel", "Head of the frame-level models.", choices=tuple(sorted(HEADS))),
] + LOGISTIC_HPARAMS + MOE_HPARAMS


def head(model_input, num_classes, is_training, hparams, classes=None):
    """Classifies [batch, features] with the head that `video_level_classifier_model` names.

    Args:
      classes: int array of the classes to predict; None: all.
    """
    model = HEADS[hparams["video_level_classifier_model"]](hparams)
    return model.create_model(model_input, num_classes, is_training=is_training, classes=classes)
