"""Frames on their way through tf.data, which copies an example into a batch, and out of a group, value by value."""
import tensorflow as tf


def packed(frames):
    """uint8 [n, frames, bytes] -> [n, words] of the widest integers that fit.

    A few wide numbers are copied several times as fast as many narrow ones.
    """
    _, num_frames, frame_bytes = frames.shape.as_list()
    example_bytes = num_frames * frame_bytes
    word = next(word for word in (tf.int64, tf.int32, tf.int16, tf.uint8) if example_bytes % word.size == 0)
    shape = [-1, example_bytes // word.size] + [word.size] * (word.size > 1)
    return tf.bitcast(tf.reshape(frames, shape), word)


def unpacked(words, frame_bytes):
    """The uint8 [n, frames, bytes] that `packed` packed."""
    num_frames = words.shape.as_list()[1] * words.dtype.size // frame_bytes
    return tf.reshape(tf.bitcast(words, tf.uint8), [-1, num_frames, frame_bytes])


def joined(strings):
    """List of string [n, frames] of the features -> string [n, features], the bytes of all frames in one.

    One long string is copied faster than many short ones, or than numbers.
    """
    return tf.stack([tf.strings.reduce_join(each, axis=1) for each in strings], axis=1)


def split(strings, feature_sizes):
    """uint8 [n, frames, sum of sizes] of the strings [n, features] that `joined` returned."""
    of_features = tf.unstack(strings, len(feature_sizes), axis=1)
    return tf.concat([tf.reshape(tf.io.decode_raw(each, tf.uint8), [tf.shape(strings)[0], -1, size])
                      for each, size in zip(of_features, feature_sizes)], axis=2)
