"""A model that looks around the segment: at the frames beside it, and at the rest of its video.

After the models with context of the 7th-placed system of the 3rd YouTube-8M Video Understanding Challenge.
"""
import contextlib
import re

import tensorflow as tf

from src.common.errors import InputError
from src.models import bert
from src.models import classifiers
from src.models import columns
from src.models import netvlad
from src.models import nextvlad
from src.models import sampling
from src.models.frame_level import FrameLevelModel
from src.models.hparams import Hparam
from src.models.layers import batch_norm
from src.models.layers import dense
from src.models.layers import dropout

SEGMENT_FRAMES = 5  # without its margins
SKIPPED_FIRST, SKIPPED_LAST = 30, 10  # frames of a video that are no context

# Models that pool frames.
ENCODERS = {"Bert": bert.Bert, "BertCross": bert.BertCross, "GatedNetVLAD": netvlad.GatedNetVLAD,
            "MixNeXtVLAD": nextvlad.MixNeXtVLAD, "NeXtVLAD": nextvlad.NeXtVLAD}
PARTS = ("context", "segment")  # the scopes of the two encoders, and the prefixes of their hyperparameters
_NOT_OF_ENCODERS = {"cl_lambda", "cl_temperature"}.union(
    hparam.name for hparam in sampling.HPARAMS + classifiers.HEAD_HPARAMS)

HPARAMS = [
    Hparam("context_encoder", "Bert", "Encoder of ContextSegment over frames of the whole video.",
           choices=tuple(sorted(ENCODERS))),
    Hparam("context_frames", 150, "Frames that the context encoder sees of the video without its first %d and last %d "
           "frames, or of a whole video of no more than these: chosen at random in training, evenly spread otherwise. "
           "A video of fewer frames repeats some of them." % (SKIPPED_FIRST, SKIPPED_LAST), low=1, high=3000),
    Hparam("train_context", False, "Train the context encoder of ContextSegment, too, instead of keeping it as it is."),
    Hparam("segment_encoder", "Bert", "Encoder of ContextSegment over the frames of the segment.",
           choices=tuple(sorted(ENCODERS))),
    Hparam("segment_margin", 3, "Frames before and after the segment that the segment encoder sees, too; beyond the "
           "video they are zeros.", low=0, high=300),
    Hparam("head_units", 2048, "Units of the hidden layer of ContextSegment.", low=1),
    Hparam("head_reduction", 4, "Factor by which squeeze-and-excite gating narrows that layer.", low=1),
    Hparam("head_drop_rate", 0.5, "Dropout rate of the encoders' outputs in training.", low=0, below=1),
    Hparam("head_experts", 4, "Experts per class of ContextSegment, without the dummy expert.", low=1),
]


def _of_encoder(name):
    """The hyperparameters of an encoder: those of its model without those of heads and of the choice of frames."""
    return [hparam for hparam in ENCODERS[name].hparams_declared if hparam.name not in _NOT_OF_ENCODERS]


def _prefixed(part):
    """The hyperparameters of all encoders, for a part."""
    every = {hparam.name: hparam for name in ENCODERS for hparam in _of_encoder(name)}
    return [hparam._replace(name="%s_%s" % (part, name), help="The %s encoder's %s: %s" % (part, name, hparam.help))
            for name, hparam in sorted(every.items())]


@contextlib.contextmanager
def _named(part, encoder):
    """Context whose errors name the flags of a part's encoder."""
    names = [hparam.name for hparam in _of_encoder(encoder)]
    try:
        yield
    except InputError as error:
        told = re.sub("--(%s)\\b" % "|".join(names), "--%s_\\1" % part, str(error))
        raise InputError(told.replace("--model=", "--%s_encoder=" % part)) from None


def head(x, num_classes, is_training, hparams, classes=None):
    """Classifies what the encoders make of a segment and its video.

    Args:
      x: [segments, features].
      hparams: dict holding HPARAMS and those of `classifiers.moe_model`.
      classes: int array of the classes to predict; None: all.

    Returns:
      dict of `predictions` [segments, classes].
    """
    x = batch_norm(x, "input_bn", is_training)
    if is_training and hparams["head_drop_rate"]:
        x = dropout(x, hparams["head_drop_rate"])
    hidden = tf.nn.relu(dense(x, hparams["head_units"], "hidden"))
    gated = nextvlad.squeeze_excite(hidden, hparams["head_reduction"], is_training)
    of_experts = dict(hparams, moe_num_mixtures=hparams["head_experts"])
    return classifiers.moe_model(gated, num_classes, is_training, of_experts, classes)


class ContextSegment(FrameLevelModel):
    """An encoder of the segment and its margins, and one of its video; both are models that pool frames.

    The context is encoded once per video. It is not trained, and takes no part in training's randomness, unless
    `train_context` is set.
    """

    hparams_declared = HPARAMS + _prefixed("context") + _prefixed("segment") + [
        hparam for hparam in classifiers.MOE_HPARAMS if hparam.name != "moe_num_mixtures"]

    def __init__(self, hparams, features=None):
        own, self._encoders = dict(hparams), {}
        for part in PARTS:
            name = hparams[part + "_encoder"]
            values = {hparam.name: hparam.default for hparam in ENCODERS[name].hparams_declared}
            values.update((hparam.name, hparams["%s_%s" % (part, hparam.name)]) for hparam in _of_encoder(name))
            with _named(part, name):
                self._encoders[part] = ENCODERS[name](values, features)
            for hparam in _prefixed(part):
                if hparam.name[len(part) + 1:] not in values:
                    del own[hparam.name]
        super(ContextSegment, self).__init__(own, features)
        self.segment_margin, self.context_frames = hparams["segment_margin"], hparams["context_frames"]
        if hparams["head_reduction"] > hparams["head_units"]:
            raise InputError("--head_reduction=%d cannot narrow the %d units of --head_units: give at most %d."
                             % (hparams["head_reduction"], hparams["head_units"], hparams["head_units"]))

    def context_indices(self, num_frames, is_training, seed=None):
        skipped = SKIPPED_FIRST + SKIPPED_LAST
        is_long = num_frames > skipped
        length = tf.where(is_long, num_frames - skipped, num_frames)
        chosen = (sampling.distinct_indices(length, self.context_frames, seed) if is_training else
                  sampling.spread_indices(length, self.context_frames))
        return chosen + SKIPPED_FIRST * tf.cast(is_long, tf.int32)[:, tf.newaxis]

    def create_model(self, model_input, vocab_size, num_frames=None, is_training=True, classes=None, context=None,
                     video=None, **unused):
        """Builds the model.

        Args:
          model_input: [segments, 5 + 2 * segment_margin, features], normalised.
          vocab_size: number of classes.
          num_frames: not used.
          is_training: a bool.
          classes: int array of the classes to predict; None: all.
          context: [videos, context_frames, features], normalised: the frames of `context_indices`.
          video: int32 [segments], the row of each segment's video in `context`.

        Returns:
          dict of `predictions` [segments, classes].
        """
        seen = self._encoded("segment", model_input, SEGMENT_FRAMES + 2 * self.segment_margin, is_training)
        is_trained = self.hparams["train_context"]
        around = self._encoded("context", context, self.context_frames, is_training and is_trained)
        if not is_trained:
            around = tf.stop_gradient(around)
        with tf.compat.v1.variable_scope("head"):
            return head(tf.concat([tf.gather(around, video), seen], axis=1), vocab_size, is_training, self.hparams,
                        classes)

    def _encoded(self, part, frames, num_frames, is_training):
        """[batch, num_frames, features] -> [batch, pooled features], by the encoder of a part, in its scope."""
        frames = columns.in_order(frames, self.features)
        frames.set_shape([None, num_frames, None])
        with tf.compat.v1.variable_scope(part), _named(part, self.hparams[part + "_encoder"]):
            return self._encoders[part].pool(frames, is_training)
