"""NetVLAD over frames with context gating.

Arandjelovic et al., "NetVLAD: CNN architecture for weakly supervised place recognition",
section 3; Miech et al., "Learnable pooling with context gating for video classification".
"""
import tensorflow as tf

from src.models import classifiers
from src.models import sampling
from src.models.hparams import Hparam
from src.models.layers import batch_norm
from src.models.layers import dimension
from src.models.layers import normal_weights
from src.models.vlad import VLADModel

HPARAMS = [
    Hparam("netvlad_cluster_size", 64, "Clusters of the image's frames; sound has half as many.", low=1),
    Hparam("netvlad_hidden_size", 1024, "Units of the first layer after the descriptors; the second has twice as many.",
           low=1),
    Hparam("netvlad_relu", False, "Apply relu6 after the second layer, too."),
    Hparam("gating", False, "Apply context gating after the second layer."),
]


def netvlad(frames, num_clusters, is_training, counts=None):
    """Sums the residuals between frames and learned centres, weighted by soft assignment.

    Args:
      frames: [batch, frames, features].
      num_clusters: number of centres.
      counts: [batch, frames, 1], how often each frame counts; None: once.

    Returns:
      [batch, features * num_clusters], normalised within each cluster and as a whole.
    """
    num_frames, width = tf.shape(frames)[1], dimension(frames, 2)
    with tf.compat.v1.variable_scope("conv2"):
        weights = normal_weights("cluster_weights", [width, num_clusters], width)
    scores = batch_norm(tf.matmul(tf.reshape(frames, [-1, width]), weights), "cluster_bn", is_training)
    assignment = tf.reshape(tf.nn.softmax(scores), [-1, num_frames, num_clusters])
    if counts is not None:
        assignment *= counts
    with tf.compat.v1.variable_scope("cluster_weights2"):
        centres = normal_weights("cluster_weights2", [1, width, num_clusters], width)
    residuals = (tf.matmul(frames, assignment, transpose_a=True)
                 - tf.reduce_sum(assignment, axis=1, keepdims=True) * centres)
    descriptors = tf.reshape(tf.nn.l2_normalize(residuals, axis=1), [-1, width * num_clusters])
    return tf.nn.l2_normalize(descriptors, axis=1)


def context_gating(x, is_training):
    """[batch, units] times sigmoid(batch_norm(x W))."""
    units = dimension(x, 1)
    with tf.compat.v1.variable_scope("gating_weights"):
        weights = normal_weights("gating_weights", [units, units], units)
    return x * tf.nn.sigmoid(batch_norm(tf.matmul(x, weights), "gating_bn", is_training))


class GatedNetVLAD(VLADModel):
    """NetVLAD of image and of sound (or of the only one given), two layers, context gating, a classifier."""

    hparams_declared = HPARAMS + sampling.HPARAMS + classifiers.HEAD_HPARAMS
    clusters_hparam = "netvlad_cluster_size"
    scopes = "video_VLAD", "audio_VLAD"

    def describe(self, part, divisor, is_training, counts):
        return netvlad(part, self.hparams["netvlad_cluster_size"] // divisor, is_training, counts)

    def pool(self, frames, is_training, indices=None):
        clusters, hidden_size = self.hparams["netvlad_cluster_size"], self.hparams["netvlad_hidden_size"]
        descriptors = self.descriptors(frames, is_training, indices)
        with tf.compat.v1.variable_scope("hidden1_weights"):
            weights = normal_weights("hidden1_weights", [descriptors.shape[1], hidden_size], clusters)
        hidden = tf.nn.relu6(batch_norm(tf.matmul(descriptors, weights), "hidden1_bn", is_training))
        with tf.compat.v1.variable_scope("hidden2_weights"):
            weights = normal_weights("hidden2_weights", [hidden_size, 2 * hidden_size], hidden_size)
        biases = tf.compat.v1.get_variable("hidden2_biases", [2 * hidden_size], tf.float32,
                                           tf.compat.v1.random_normal_initializer(stddev=0.01))
        activation = tf.matmul(hidden, weights) + biases
        if self.hparams["netvlad_relu"]:
            activation = tf.nn.relu6(activation)
        return context_gating(activation, is_training) if self.hparams["gating"] else activation
