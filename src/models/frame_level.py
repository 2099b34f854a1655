"""What every frame-level model shares, and the simplest of them."""
import tensorflow as tf

from src.models import classifiers
from src.models import sampling

RGB_SIZE = 1024  # features of a frame that are image; the rest is sound


class FrameLevelModel(object):
    """A model over frames: picks the frames it wants, pools them, classifies the result.

    Subclasses give `pool`, and `frame_indices` where they differ from VLAD models.
    """

    frame_level = True

    def __init__(self, hparams):
        self.hparams = hparams

    def frame_indices(self, num_frames, max_frames, is_training):
        """Frames of each video that the model sees, or None for all as they are.

        Args:
          num_frames: int32 of any shape.
          max_frames: padded length of the videos, an int or int32 scalar.
          is_training: a bool.

        Returns:
          int32 of num_frames' shape + [frames], or None.
        """
        return sampling.vlad_indices(num_frames, self.hparams["iterations"], self.hparams["sample_random_frames"],
                                     is_training)

    def create_model(self, model_input, vocab_size, num_frames, is_training=True, labels=None, frames_sampled=False,
                     **unused):
        """Builds the model.

        Args:
          model_input: [batch, frames, features], normalised.
          vocab_size: number of classes.
          num_frames: int32 [batch], frames that are not padding.
          is_training: a bool.
          frames_sampled: model_input holds just the frames that `frame_indices` picked.

        Returns:
          dict of `predictions` [batch, vocab_size] and, where there are, `logits` and
          `regularization_loss`.
        """
        model_input.shape.assert_has_rank(3)
        if not frames_sampled:
            indices = self.frame_indices(num_frames, tf.shape(model_input)[1], is_training)
            if indices is not None:
                model_input = sampling.gather_frames(model_input, indices)
        return self.classify(self.pool(model_input, is_training), vocab_size, is_training)

    def pool(self, frames, is_training):
        """[batch, frames, features] -> [batch, pooled features]."""
        raise NotImplementedError

    def classify(self, pooled, vocab_size, is_training):
        """[batch, pooled features] -> dict of `predictions` and more."""
        return classifiers.head(pooled, vocab_size, is_training, self.hparams)


class FrameLevelLogisticModel(FrameLevelModel):
    """Logistic regression over the mean of the sampled frames."""

    hparams_declared = sampling.HPARAMS + classifiers.LOGISTIC_HPARAMS

    def pool(self, frames, is_training):
        return tf.reduce_mean(frames, axis=1)

    def classify(self, pooled, vocab_size, is_training):
        return classifiers.logistic_model(pooled, vocab_size, self.hparams["l2_penalty"])
