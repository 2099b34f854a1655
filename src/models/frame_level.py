"""What all frame-level models share, and the simplest of them."""
import tensorflow as tf

from src.models import classifiers
from src.models import columns
from src.models import sampling
from src.models.layers import dimension


class FrameLevelModel(object):
    """A model over frames: picks frames, pools them, classifies the result.

    Subclasses define `pool`, and `frame_indices` if they pick other frames than the VLAD models do.
    """

    frame_level = True
    merges_repeats = True  # whether `pool` uses `indices`
    segment_margin = 0  # frames that it sees before and after the five of a segment
    context_frames = 0  # frames of a segment's video that it sees beside these, also far away; see `context_indices`

    def __init__(self, hparams, features=None):
        self.hparams, self.features = hparams, features

    def frame_indices(self, num_frames, max_frames, is_training, seed=None):
        """Indices of the frames of each video that the model sees; None: all frames as they are.

        Args:
          num_frames: int32 of any shape.
          max_frames: padded length of the videos, an int or int32 scalar.
          is_training: a bool.
          seed: of random frames; see `sampling.training_indices`.

        Returns:
          int32 of num_frames' shape + [frames], or None.
        """
        return sampling.vlad_indices(num_frames, self.hparams["iterations"], self.hparams["sample_random_frames"],
                                     is_training, seed)

    def context_indices(self, num_frames, is_training, seed=None):
        """Indices of the frames that a model with `context_frames` sees of each segment's video.

        Args:
          num_frames: int32 [videos].
          is_training: a bool.
          seed: of random frames; see `sampling.training_indices`.

        Returns:
          int32 [videos, context_frames].
        """
        raise NotImplementedError

    def create_model(self, model_input, vocab_size, num_frames, is_training=True, frames_sampled=False, classes=None,
                     **unused):
        """Builds the model.

        Args:
          model_input: [batch, frames, features], normalised.
          vocab_size: number of classes.
          num_frames: int32 [batch], frames that are not padding.
          is_training: a bool.
          frames_sampled: whether model_input holds only the frames that `frame_indices` picked.
          classes: int array of the classes to predict; None: all.

        Returns:
          dict of `predictions` [batch, classes] and, if the model has them, `logits` and
          `regularization_loss`.
        """
        model_input.shape.assert_has_rank(3)
        indices = None
        if not frames_sampled:
            indices = self.frame_indices(num_frames, tf.shape(model_input)[1], is_training)
        if indices is not None and not self._are_repeats(model_input, indices, is_training):
            model_input, indices = sampling.gather_frames(model_input, indices), None
        return self.predict(columns.in_order(model_input, self.features), indices, vocab_size, is_training, classes)

    def _are_repeats(self, model_input, indices, is_training):
        """Whether the model sees frames repeatedly, so that it is cheaper to compute each once.

        Never in training, where every draw counts in the statistics of batch normalization.
        """
        num_frames = dimension(model_input, 1)
        return self.merges_repeats and not is_training and num_frames and num_frames < dimension(indices, 1)

    def predict(self, frames, indices, num_classes, is_training, classes=None):
        """Pools and classifies frames: arguments as of `pool` and `create_model`, returns what `create_model` does."""
        return self.classify(self.pool(frames, is_training, indices), num_classes, is_training, classes)

    def pool(self, frames, is_training, indices=None):
        """Pools the frames of each video.

        Args:
          frames: [batch, frames, features], image before sound; see `columns.split`.
          is_training: a bool.
          indices: int32 [batch, iterations], the frames that the model sees, repeats included; None: each frame
            once.

        Returns:
          [batch, pooled features].
        """
        raise NotImplementedError

    def classify(self, pooled, num_classes, is_training, classes=None):
        """Classifies [batch, pooled features]; returns what `create_model` returns."""
        return classifiers.head(pooled, num_classes, is_training, self.hparams, classes)


class FrameLevelLogisticModel(FrameLevelModel):
    """Logistic regression over the mean of the sampled frames."""

    hparams_declared = sampling.HPARAMS + classifiers.LOGISTIC_HPARAMS

    def pool(self, frames, is_training, indices=None):
        if indices is None:
            return tf.reduce_mean(frames, axis=1)
        counts = sampling.repetitions(indices, tf.shape(frames)[1])
        return tf.reduce_sum(frames * counts, axis=1) / self.hparams["iterations"]

    def classify(self, pooled, num_classes, is_training, classes=None):
        return classifiers.logistic_model(pooled, num_classes, self.hparams["l2_penalty"], classes)
