"""The forward pass that training, evaluation, prediction and exports share: records' features -> probabilities."""
import contextlib

import tensorflow as tf

from src.common.errors import InputError
from src.data import readers
from src.data import segments

tf1 = tf.compat.v1
SCOPE = "tower"  # of all variables of a model, also in the original's checkpoints


def of_batch(model, reader, batch, **options):
    """Builds a model on a batch of its reader; see `build`, also for the options."""
    if "context" in batch:
        options.update(context_raw=reader.context_raw(batch), video=batch["video"])
    return build(model, reader, reader.model_input_raw(batch), batch.get("num_frames"), **options)


def build(model, reader, model_input_raw, num_frames, is_training=False, reuse=False, context_raw=None, **options):
    """Normalises features and builds a model on them, in its scope.

    Args:
      model: see `models.create`.
      reader: see `data.readers`; it knows the number of classes.
      model_input_raw: float32 [batch, frames, features], or [batch, features] at video level; see the reader's
        `model_input_raw`.
      num_frames: int32 [batch], or None at video level.
      is_training: a bool.
      reuse: whether the graph holds the model's variables already.
      context_raw: float32 [videos, frames, features], for a model with a context; see the reader's `context_raw`.
      **options: `frames_sampled` and `classes`, and with a context `video`; see the model's `create_model`.

    Returns:
      The model's dict of `predictions` [batch, classes] and, if it has them, `logits` and `regularization_loss`.
    """
    if context_raw is not None:
        options["context"] = readers.normalize(context_raw)
    with tf1.variable_scope(SCOPE, reuse=reuse):
        return model.create_model(readers.normalize(model_input_raw), vocab_size=reader.num_classes,
                                  num_frames=num_frames, is_training=is_training, **options)


def frame_picker(model, reader, is_training=False):
    """The function of frame counts and, if it is random, a seed, that tells a reader which frames to decode; None: all.

    At video level there are none. `view` says what is seen of segments.

    Raises:
      InputError: the model sees segments only.
    """
    if not model.frame_level or reader.segment_labels:
        return None
    if view(model).context:
        raise InputError("--model=ContextSegment sees segments and what is around them, not whole videos: add "
                         "--segment_labels; in training, pre-train its two encoders as models of their own.")
    return lambda num_frames, seed=None: model.frame_indices(num_frames, reader.max_frames, is_training, seed)


def view(model, is_training=False):
    """The `segments.View` of a model, for the reader of segments."""
    if not model.frame_level:
        return segments.View()
    context = (lambda num_frames, seed=None: model.context_indices(num_frames, is_training, seed)) if (
        model.context_frames) else None
    return segments.View(model.segment_margin, context)


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
