"""NeXtVLAD, and a mixture of NeXtVLAD branches that is distilled into each of them.

Lin et al., "NeXtVLAD: an efficient neural network to aggregate frame-level features for
large-scale video classification", sections 3 and 4.
"""
import tensorflow as tf

from src.common.errors import InputError
from src.models import classifiers
from src.models import sampling
from src.models.hparams import Hparam
from src.models.layers import batch_norm
from src.models.layers import dense
from src.models.layers import dimension
from src.models.layers import dropout
from src.models.vlad import VLADModel

HPARAMS = [
    Hparam("nextvlad_cluster_size", 112, "Clusters of the image's frames; sound has half as many.", low=1),
    Hparam("nextvlad_hidden_size", 2048, "Units of the layer after the descriptors.", low=1),
    Hparam("groups", 8, "Groups that each frame's image features are split into; sound has half as many.", low=1),
    Hparam("expansion", 2, "Factor by which a layer widens the features before they are split.", low=1),
    Hparam("gating_reduction", 16, "Factor by which squeeze-and-excite gating narrows the hidden layer.", low=1),
    Hparam("drop_rate", 0.5, "Dropout rate of the descriptors in training.", low=0, below=1),
]
MIX_HPARAMS = [
    Hparam("mix_number", 3, "Branches of MixNeXtVLAD.", low=1, high=100),
    Hparam("cl_temperature", 3.0, "Temperature of the distillation from the mixture into its branches."),
    Hparam("cl_lambda", 9.0, "Weight of the distillation loss."),
]


def _weights(name, shape):
    return tf.compat.v1.get_variable(name, shape, tf.float32, tf.compat.v1.variance_scaling_initializer())


def _linear(x, units, scope):
    return dense(x, units, scope, initializer=tf.compat.v1.variance_scaling_initializer())


def nextvlad(frames, num_clusters, groups, expansion, is_training, counts=None):
    """VLAD over frames that are widened and split into groups, each group with an attention of its own.

    Args:
      frames: [batch, frames, features].
      counts: [batch, frames, 1], how often each frame counts; None: once.

    Returns:
      [batch, num_clusters * expansion * features / groups].

    Raises:
      InputError: the groups do not divide the widened features.
    """
    num_frames, width = tf.shape(frames)[1], expansion * dimension(frames, 2)
    if groups < 1 or width % groups:
        raise InputError("--groups and --expansion split %d widened features into %d groups: choose groups (sound "
                         "takes half as many) that divide them." % (width, groups))
    part = width // groups
    widened = _linear(tf.reshape(frames, [-1, dimension(frames, 2)]), width, "fully_connected")
    attention = tf.nn.sigmoid(_linear(widened, groups, "fully_connected_1"))
    if counts is not None:
        attention = tf.reshape(attention, [-1, num_frames, groups]) * counts
    scores = tf.matmul(widened, _weights("cluster_weights", [width, groups * num_clusters]))
    scores = batch_norm(scores, "cluster_bn", is_training, fused=False)
    assignment = (tf.nn.softmax(tf.reshape(scores, [-1, num_frames * groups, num_clusters]))
                  * tf.reshape(attention, [-1, num_frames * groups, 1]))
    centres = _weights("cluster_weights2", [1, part, num_clusters])
    parts = tf.reshape(widened, [-1, num_frames * groups, part])
    residuals = (tf.matmul(parts, assignment, transpose_a=True)
                 - tf.reduce_sum(assignment, axis=1, keepdims=True) * centres)
    descriptors = tf.reshape(tf.nn.l2_normalize(residuals, axis=1), [-1, part * num_clusters])
    return batch_norm(descriptors, "vlad_bn", is_training, fused=False)


def squeeze_excite(x, reduction, is_training):
    """[batch, units] times sigmoid(relu(batch_norm(x W1)) W2), W1 narrowing by `reduction`."""
    units = dimension(x, 1)
    narrow = tf.matmul(x, _weights("gating_weights_1", [units, units // reduction]))
    narrow = tf.nn.relu(batch_norm(narrow, "gating_bn", is_training))
    return x * tf.nn.sigmoid(tf.matmul(narrow, _weights("gating_weights_2", [units // reduction, units])))


class NeXtVLAD(VLADModel):
    """NeXtVLAD of image and of sound (or of the only one given), one layer, squeeze-and-excite gating, a classifier."""

    hparams_declared = HPARAMS + sampling.HPARAMS + classifiers.HEAD_HPARAMS
    clusters_hparam = "nextvlad_cluster_size"
    scopes = "video_vlad", "audio_vlad"

    def __init__(self, hparams, features=None):
        super(NeXtVLAD, self).__init__(hparams, features)
        reduction, units = hparams["gating_reduction"], hparams["nextvlad_hidden_size"]
        if reduction > units:
            raise InputError("--gating_reduction=%d cannot narrow the %d units of --nextvlad_hidden_size: give at most "
                             "%d." % (reduction, units, units))

    def describe(self, part, divisor, is_training, counts):
        clusters, groups = (self.hparams[name] // divisor for name in ("nextvlad_cluster_size", "groups"))
        return nextvlad(part, clusters, groups, self.hparams["expansion"], is_training, counts)

    def pool(self, frames, is_training, indices=None):
        hparams, descriptors = self.hparams, self.descriptors(frames, is_training, indices)
        if is_training and hparams["drop_rate"]:
            descriptors = dropout(descriptors, hparams["drop_rate"])
        weights = _weights("hidden1_weights", [descriptors.shape[1], hparams["nextvlad_hidden_size"]])
        hidden = batch_norm(tf.matmul(descriptors, weights), "hidden1_bn", is_training, fused=False)
        return squeeze_excite(hidden, hparams["gating_reduction"], is_training)


class MixNeXtVLAD(NeXtVLAD):
    """Branches of NeXtVLAD, mixed by weights that depend on the video.

    In training the mixture teaches its branches: `regularization_loss` is cl_lambda times the mean
    over the batch of the sum over branches of KL(softmax(mixed / T) || softmax(branch / T)).
    """

    hparams_declared = NeXtVLAD.hparams_declared + MIX_HPARAMS

    def predict(self, frames, indices, num_classes, is_training, classes=None):
        branches = []
        for index in range(self.hparams["mix_number"]):
            with tf.compat.v1.variable_scope("branch_%d" % index):
                pooled = super(MixNeXtVLAD, self).pool(frames, is_training, indices)
                result = self.classify(pooled, num_classes, is_training, classes)
            if "logits" not in result:
                raise InputError("--model=MixNeXtVLAD mixes logits, which %s does not have: add "
                                 "--video_level_classifier_model=LogisticModel."
                                 % self.hparams["video_level_classifier_model"])
            branches.append(result["logits"])
        weights = self._weights_of_branches(frames, is_training, indices)
        mixed = tf.add_n([weights[:, index:index + 1] * logits for index, logits in enumerate(branches)])
        result = {"predictions": tf.nn.sigmoid(mixed), "logits": mixed}
        if is_training:
            result["regularization_loss"] = self.hparams["cl_lambda"] * distillation_loss(
                mixed, branches, self.hparams["cl_temperature"])
        return result

    def _weights_of_branches(self, frames, is_training, indices):
        """[batch, mix_number]; arguments as of `pool`."""
        means = tf.reduce_mean(frames, axis=2)
        if indices is not None:
            means = tf.gather(means, indices, batch_dims=1)
        means = batch_norm(means, "mix_weights_bn", is_training)
        return tf.nn.softmax(_linear(means, self.hparams["mix_number"], "mix_weights"))

    def pool(self, frames, is_training, indices=None):
        """The pooled frames of all branches, each times its weight in the mixture, concatenated."""
        branches = []
        for index in range(self.hparams["mix_number"]):
            with tf.compat.v1.variable_scope("branch_%d" % index):
                branches.append(super(MixNeXtVLAD, self).pool(frames, is_training, indices))
        weights = self._weights_of_branches(frames, is_training, indices)
        return tf.concat([weights[:, index:index + 1] * pooled for index, pooled in enumerate(branches)], axis=1)


def distillation_loss(mixed, branches, temperature):
    """Mean over the batch of the sum over branches of KL(softmax(mixed / T) || softmax(branch / T)).

    Args:
      mixed: logits [batch, classes].
      branches: list of logits [batch, classes].
    """
    teacher, log_teacher = tf.nn.softmax(mixed / temperature), tf.nn.log_softmax(mixed / temperature)
    divergences = [tf.reduce_sum(teacher * (log_teacher - tf.nn.log_softmax(logits / temperature)), axis=1)
                   for logits in branches]
    return tf.reduce_mean(tf.add_n(divergences))
