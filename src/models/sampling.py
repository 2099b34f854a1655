"""Which frames of a video a model sees."""
import tensorflow as tf

from src.models.hparams import Hparam

HPARAMS = [
    Hparam("iterations", 5, "Frames per video that a model sees in training. VLAD models and "
           "FrameLevelLogisticModel see as many in evaluation. A segment has 5.", low=1, high=3000),
    Hparam("sample_random_frames", True, "Train on single random frames, drawn with replacement; else on a "
           "random run of consecutive frames."),
]


def training_indices(num_frames, iterations, random_frames, seed=None):
    """Random frame indices for training.

    Args:
      num_frames: int32 of any shape, at least 1.
      iterations: frames to pick.
      random_frames: whether to draw single frames with replacement; else the frames are `iterations` consecutive
        ones from a random start in 0..max(num_frames - iterations, 0), and the last frame is repeated past the end.
      seed: int64 [2], for the same indices each time; None: other ones each time.

    Returns:
      int32 of num_frames' shape + [iterations], each below its num_frames.
    """
    last = num_frames[..., tf.newaxis] - 1
    if random_frames:
        shape = tf.concat([tf.shape(num_frames), [iterations]], axis=0)
        indices = tf.floor(_uniform(shape, seed) * tf.cast(last + 1, tf.float32))
        # A uniform just below 1 may round up to num_frames.
        indices = tf.minimum(tf.cast(indices, tf.int32), last)
    else:
        starts = tf.cast(tf.maximum(num_frames - iterations, 0) + 1, tf.float32)
        start = tf.cast(tf.floor(_uniform(tf.shape(num_frames), seed) * starts), tf.int32)
        indices = tf.minimum(start[..., tf.newaxis] + tf.range(iterations), last)
    indices.set_shape(num_frames.shape.concatenate([iterations]))
    return indices


def _uniform(shape, seed):
    return tf.random.uniform(shape) if seed is None else tf.random.stateless_uniform(shape, seed)


def spread_indices(num_frames, iterations):
    """Evenly spread frames floor((i + 0.5) * num_frames / iterations); shapes as of `training_indices`."""
    middles = 2 * tf.range(iterations) + 1
    return middles * num_frames[..., tf.newaxis] // (2 * iterations)


def distinct_indices(num_frames, iterations, seed=None):
    """Random frames, each at most once, in their order; evenly spread ones, repeated, if there are no more of them.

    Args:
      num_frames: int32 [batch], at least 1.
      iterations, seed: as of `training_indices`.

    Returns:
      int32 [batch, iterations], each below its num_frames.
    """
    positions = tf.range(tf.maximum(tf.reduce_max(num_frames), iterations))
    shape = tf.stack([tf.size(num_frames), tf.size(positions)])
    # Positions beyond the video come last.
    keys = _uniform(shape, seed) + tf.cast(positions >= num_frames[:, tf.newaxis], tf.float32)
    chosen = tf.sort(tf.argsort(keys, axis=1)[:, :iterations], axis=1)
    indices = tf.compat.v1.where(num_frames > iterations, chosen, spread_indices(num_frames, iterations))
    indices.set_shape([None, iterations])
    return indices


def middle_indices(num_frames, iterations):
    """The middle run of frames, the last frame repeated past the end; shapes as of `training_indices`."""
    start = tf.maximum((num_frames - iterations) // 2, 0)
    return tf.maximum(tf.minimum(start[..., tf.newaxis] + tf.range(iterations), num_frames[..., tf.newaxis] - 1), 0)


def vlad_indices(num_frames, iterations, random_frames, is_training, seed=None):
    """Indices for models that see `iterations` frames in training as in evaluation; shapes as of `training_indices`."""
    if is_training:
        return training_indices(num_frames, iterations, random_frames, seed)
    return (spread_indices if random_frames else middle_indices)(num_frames, iterations)


def repetitions(indices, num_frames):
    """How often each frame is seen.

    Args:
      indices: int32 [batch, iterations]; None: each frame once.
      num_frames: number of frames, padding included.

    Returns:
      float32 [batch, num_frames, 1]; None if indices is None.
    """
    if indices is None:
        return None
    return tf.reduce_sum(tf.one_hot(indices, num_frames), axis=1)[:, :, tf.newaxis]


def gather_frames(model_input, indices):
    """[batch, frames, features] and indices [batch, iterations] -> [batch, iterations, features]."""
    return tf.gather(model_input, indices, batch_dims=1)
