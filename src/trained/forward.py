"""The forward pass that training, evaluation, prediction and exports share: records' features -> probabilities."""
import contextlib

import tensorflow as tf

from src.data import readers

tf1 = tf.compat.v1
SCOPE = "tower"  # of all variables of a model, also in the original's checkpoints


def build(model, reader, model_input_raw, num_frames, is_training=False, reuse=False, **options):
    """Normalises features and builds a model on them, in its scope.

    Args:
      model: see `models.create`.
      reader: see `data.readers`; it knows the number of classes.
      model_input_raw: float32 [batch, frames, features], or [batch, features] at video level; see the reader's
        `model_input_raw`.
      num_frames: int32 [batch], or None at video level.
      is_training: a bool.
      reuse: whether the graph holds the model's variables already.
      **options: `frames_sampled` and `classes`; see `FrameLevelModel.create_model`.

    Returns:
      The model's dict of `predictions` [batch, classes] and, if it has them, `logits` and `regularization_loss`.
    """
    with tf1.variable_scope(SCOPE, reuse=reuse):
        return model.create_model(readers.normalize(model_input_raw), vocab_size=reader.num_classes,
                                  num_frames=num_frames, is_training=is_training, **options)


def frame_picker(model, reader, is_training=False):
    """The function of frame counts and, if it is random, a seed, that tells a reader which frames to decode; None: all.

    Rated segments keep their frames, and at video level there are none.
    """
    if not model.frame_level or reader.segment_labels:
        return None
    return lambda num_frames, seed=None: model.frame_indices(num_frames, reader.max_frames, is_training, seed)


def fetch_all(session, iterator, fetches, feed=None):
    """Yields `fetches` as NumPy until the data of an initializable iterator ends.

    Args:
      session: of the graph that holds both.
      iterator: is initialized first, with `feed`.
      fetches: dict of tensors.
      feed: {placeholder: value}; None: nothing.
    """
    session.run(iterator.initializer, feed)
    with contextlib.suppress(tf.errors.OutOfRangeError):
        while True:
            yield session.run(fetches)
