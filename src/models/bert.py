"""BERT over frames as tokens.

The encoder is that of Devlin et al., "BERT: Pre-training of Deep Bidirectional
Transformers", with the variable names of google-research/bert. Its inputs are frame features
instead of word embeddings (Liu and Shao, "BERT and frame-level models for large-scale video
segment classification with test-time augmentation", 2019).
"""
import math
import typing

import numpy as np
import tensorflow as tf

from src.common import files
from src.common import text
from src.common.errors import InputError
from src.models import classifiers
from src.models import columns
from src.models import sampling
from src.models.frame_level import FrameLevelModel
from src.models.hparams import Hparam
from src.models.hparams import MOST
from src.models.layers import dimension
from src.models.layers import dropout


class EncoderConfig(typing.NamedTuple):
    """Sizes of an encoder."""

    num_layers: int
    num_heads: int  # of the attention of each layer; they divide the width
    intermediate_size: int  # units between the two dense layers that follow the attention
    dropout: float  # share of hidden states and attention weights that training drops
    initializer_range: float  # standard deviation of new weights
    max_positions: int  # the most frames that position encodings tell apart


def encoder_config(hparams):
    """EncoderConfig of a dict of HPARAMS.

    Raises:
      InputError: the configuration file is missing, or a number in it is missing or out of range.
    """
    path = files.beside_project(hparams["bert_config_file"])
    config = files.read_json(path)

    def number(name, kinds, most):
        value = config[name]
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise TypeError
        if not 0 < value <= most:
            raise InputError("%s: %s is %s: give a number above 0 and up to %d."
                             % (path, name, text.shown(value), most))
        return value

    try:
        return EncoderConfig(num_layers=hparams["bert_hidden_layer"], num_heads=hparams["bert_attention_heads"],
                             intermediate_size=number("intermediate_size", int, MOST),
                             dropout=hparams["bert_dropout_prob"],
                             initializer_range=float(number("initializer_range", (int, float), 10)),
                             max_positions=number("max_position_embeddings", int, MOST))
    except (KeyError, TypeError):
        raise InputError("%s lacks a number for intermediate_size, initializer_range or max_position_embeddings: give "
                         "a BERT configuration to --bert_config_file." % path)


def gelu(x):
    """Gaussian error linear unit, tanh approximation (Hendrycks and Gimpel, 2016)."""
    return 0.5 * x * (1.0 + tf.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * tf.pow(x, 3))))


def _dense(x, units, name, config, activation=None):
    with tf.compat.v1.variable_scope(name):
        kernel = tf.compat.v1.get_variable(
            "kernel", [dimension(x, -1), units], tf.float32,
            tf.compat.v1.truncated_normal_initializer(stddev=config.initializer_range))
        bias = tf.compat.v1.get_variable("bias", [units], tf.float32, tf.compat.v1.zeros_initializer())
        outputs = tf.nn.bias_add(tf.matmul(x, kernel), bias)
        return activation(outputs) if activation else outputs


def _dropout(x, config, is_training):
    return dropout(x, config.dropout) if is_training and config.dropout else x


def layer_norm(x):
    """Layer normalization of the last axis, variables `LayerNorm/gamma` and `LayerNorm/beta`."""
    with tf.compat.v1.variable_scope("LayerNorm"):
        width = x.shape[-1]
        gamma = tf.compat.v1.get_variable("gamma", [width], tf.float32, tf.compat.v1.ones_initializer())
        beta = tf.compat.v1.get_variable("beta", [width], tf.float32, tf.compat.v1.zeros_initializer())
        mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-12)


def attention(x, positions, config, is_training):
    """Multi-head self-attention without a mask.

    Args:
      x: [batch * positions, width].
      positions: positions per sequence.

    Returns:
      [batch * positions, width], the heads concatenated.
    """
    width = dimension(x, -1)
    per_head = width // config.num_heads

    def heads(name):
        projected = tf.reshape(_dense(x, width, name, config), [-1, positions, config.num_heads, per_head])
        return tf.transpose(projected, [0, 2, 1, 3])

    with tf.compat.v1.variable_scope("self"):
        query, key, value = heads("query"), heads("key"), heads("value")
        scores = tf.matmul(query, key, transpose_b=True) / math.sqrt(per_head)
        weights = _dropout(tf.nn.softmax(scores), config, is_training)
        mixed = tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3])
        return tf.reshape(mixed, [-1, width])


def layer(x, positions, config, is_training):
    """One post-layer-norm encoder layer over [batch * positions, width]."""
    width = dimension(x, -1)
    with tf.compat.v1.variable_scope("attention"):
        attended = attention(x, positions, config, is_training)
        with tf.compat.v1.variable_scope("output"):
            x = layer_norm(x + _dropout(_dense(attended, width, "dense", config), config, is_training))
    with tf.compat.v1.variable_scope("intermediate"):
        intermediate = _dense(x, config.intermediate_size, "dense", config, gelu)
    with tf.compat.v1.variable_scope("output"):
        return layer_norm(x + _dropout(_dense(intermediate, width, "dense", config), config, is_training))


def encoder(x, scope, config, is_training):
    """Encodes [batch, positions, width] into the same shape; variables `scope/layer_i/..`.

    Raises:
      InputError: the heads do not divide the width.
    """
    width = dimension(x, -1)
    if width % config.num_heads:
        raise InputError("--bert_attention_heads=%d does not divide the width %d of %s: choose a divisor."
                         % (config.num_heads, width, scope))
    positions = tf.shape(x)[1]
    hidden = tf.reshape(x, [-1, width])
    with tf.compat.v1.variable_scope(scope):
        for index in range(config.num_layers):
            with tf.compat.v1.variable_scope("layer_%d" % index):
                hidden = layer(hidden, positions, config, is_training)
    encoded = tf.reshape(hidden, tf.shape(x))
    encoded.set_shape(x.shape)
    return encoded


def sinusoids(positions, width):
    """float32 [positions, width]: sines in the even columns, cosines in the odd (Vaswani et al., 2017, 3.5)."""
    rates = 10000.0 ** (-2.0 * (np.arange(width) // 2) / width)
    angles = np.arange(positions)[:, np.newaxis] * rates
    return np.where(np.arange(width) % 2, np.cos(angles), np.sin(angles)).astype(np.float32)


def add_positions(x, learned, config):
    """Adds position encodings to [batch, positions, width].

    Raises:
      InputError: there are more positions than config.max_positions.
    """
    if (dimension(x, 1) or 0) > config.max_positions:
        raise InputError("%d frames are more than the %d of max_position_embeddings in --bert_config_file: raise that, "
                         "or leave out --use_position." % (dimension(x, 1), config.max_positions))
    shape = [config.max_positions, dimension(x, -1)]
    if learned:
        table = tf.compat.v1.get_variable(
            "position_embeddings", shape, tf.float32,
            tf.compat.v1.truncated_normal_initializer(stddev=config.initializer_range))
    else:
        table = tf.constant(sinusoids(*shape))
    return x + table[:tf.shape(x)[1]]


def attention_pooling(x):
    """Mean of [batch, positions, width] weighted by softmax(x . query / sqrt(width)), query learned."""
    width = dimension(x, -1)
    with tf.compat.v1.variable_scope("pooler"):
        query = tf.compat.v1.get_variable("query", [1, width, 1], tf.float32,
                                          tf.compat.v1.truncated_normal_initializer(stddev=0.02))
    scores = tf.tensordot(x, query[0], 1) / math.sqrt(width)
    return tf.reduce_sum(tf.nn.softmax(scores, axis=1) * x, axis=1)


POOLINGS = {
    "mean": lambda x: tf.reduce_mean(x, axis=1),
    "first": lambda x: x[:, 0],
    "last": lambda x: x[:, -1],
    "attn": attention_pooling,
    "none": lambda x: tf.reshape(x, [-1, dimension(x, 1) * dimension(x, 2)]),
}

HPARAMS = [
    Hparam("bert_config_file", "bert_config.json", "JSON file of a BERT configuration. It sets intermediate_size, "
           "initializer_range and max_position_embeddings."),
    Hparam("bert_hidden_layer", 2, "Encoder layers.", low=1, high=100),
    Hparam("bert_attention_heads", 12, "Attention heads per layer; they must divide the number of features.", low=1),
    Hparam("bert_dropout_prob", 0.1, "Dropout rate of hidden states and attention in training.", low=0, below=1),
    Hparam("pooling_strategy", "mean", "How the outputs at all positions become one vector; none concatenates them.",
           choices=tuple(sorted(POOLINGS))),
    Hparam("use_position", False, "Add sinusoidal position encodings to the frames."),
    Hparam("bert_position", False, "With use_position: add learned position embeddings instead of sinusoidal ones."),
]


class Bert(FrameLevelModel):
    """A BERT encoder over the frames, pooled and classified.

    Evaluation sees the frames as they are, with one exception: the pooling strategy `none`
    concatenates `iterations` positions, so of videos with another number of frames it sees
    `iterations` frames, evenly spread.
    """

    hparams_declared = HPARAMS + sampling.HPARAMS + classifiers.HEAD_HPARAMS
    merges_repeats = False

    def __init__(self, hparams, features=None):
        super(Bert, self).__init__(hparams, features)
        self.config = encoder_config(hparams)

    def frame_indices(self, num_frames, max_frames, is_training, seed=None):
        iterations = self.hparams["iterations"]
        if is_training:
            return sampling.training_indices(num_frames, iterations, self.hparams["sample_random_frames"], seed)
        if self.hparams["pooling_strategy"] != "none":
            return None
        spread = sampling.spread_indices(num_frames, iterations)
        as_they_are = tf.zeros_like(spread) + tf.range(iterations)
        return tf.where(tf.fill(tf.shape(spread), tf.equal(max_frames, iterations)), as_they_are, spread)

    def pool(self, frames, is_training, indices=None):
        if self.hparams["use_position"]:
            frames = add_positions(frames, self.hparams["bert_position"], self.config)
        return POOLINGS[self.hparams["pooling_strategy"]](self.encode(frames, is_training))

    def encode(self, frames, is_training):
        """[batch, frames, features] -> the same shape."""
        return encoder(frames, "encoder", self.config, is_training)


class BertCross(Bert):
    """BERT whose last layer sees image and sound together; the layers before see each of them alone."""

    def __init__(self, hparams, features=None):
        super(BertCross, self).__init__(hparams, features)
        if not (columns.has_image(features) and columns.has_sound(features)):
            raise InputError("--model=BertCross needs image and sound, but there is only one of them: give both in "
                             "--feature_names, or --model=Bert.")

    def encode(self, frames, is_training):
        alone = self.config._replace(num_layers=self.config.num_layers - 1)
        image, sound = columns.split(frames, self.features)
        image = encoder(image, "frame_encoder", alone, is_training)
        sound = encoder(sound, "audio_encoder", alone, is_training)
        both = self.config._replace(num_layers=1)
        return encoder(tf.concat([image, sound], axis=2), "all_encoder", both, is_training)
