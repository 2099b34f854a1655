"""Videos -> TFRecord shards in YouTube-8M's frame-level format."""
import os
import typing

import numpy as np
import tensorflow as tf

from src.common import atomic
from src.common import system_errors
from src.data import segments


class VideoRatings(typing.NamedTuple):
    """Ratings of a video's segments, arrays [ratings]."""
    starts: np.ndarray  # int64, seconds
    labels: np.ndarray  # int64
    scores: np.ndarray  # float32, 1 (present) or 0 (absent)


def quantize(values):
    """The bytes b with b * 4/255 + 4/512 - 2 nearest to the values, which are clipped to -2..2."""
    steps = (values + np.float32(2 - 4 / 512.0)) * np.float32(255 / 4.0)
    return np.clip(np.rint(steps), 0, 255).astype(np.uint8)


def dequantized(values):
    """The floats that bytes stand for: b * 4/255 + 4/512 - 2 of float32 `values`, an array or a tensor."""
    return values * np.float32(4 / 255.0) + np.float32(4 / 512.0 - 2)


def serialize(video, labels, lists, ratings):
    """A video's SequenceExample, as bytes.

    Args:
      video: id, bytes.
      labels: ints, or None for a record without them.
      lists: {name: uint8 [frames, features]}, such as rgb and audio.
      ratings: VideoRatings, or None.
    """
    context = {"id": _bytes(video)}
    if labels is not None:
        context["labels"] = _ints(labels)
    if ratings is not None:
        context["segment_start_times"] = _ints(ratings.starts)
        context["segment_end_times"] = _ints(ratings.starts + segments.SEGMENT_FRAMES)
        context["segment_labels"] = _ints(ratings.labels)
        context["segment_scores"] = tf.train.Feature(float_list=tf.train.FloatList(value=ratings.scores))
    lists = {name: tf.train.FeatureList(feature=[_bytes(frame.tobytes()) for frame in frames])
             for name, frames in lists.items()}
    record = tf.train.SequenceExample(context=tf.train.Features(feature=context),
                                      feature_lists=tf.train.FeatureLists(feature_list=lists))
    return record.SerializeToString(deterministic=True)  # otherwise the order of the features varies


def _bytes(value):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _ints(values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def write_shard(path, records):
    """Writes a shard of serialized records; replaces the file at `path` only when all are written.

    Raises:
      InputError: it cannot be written.
    """
    with atomic.replacing_file(path) as temporary:
        _write(temporary, records, path)


def write_shards(folder, shards):
    """Writes shards, which appear in a folder when all of them are whole; see `atomic.extending_folder`.

    Args:
      folder: local or gs://; its other files stay.
      shards: iterable of (name, iterable of serialized records).

    Raises:
      InputError: a shard cannot be written.
    """
    with atomic.extending_folder(folder) as temporary:
        tf.io.gfile.makedirs(temporary)
        for name, records in shards:
            _write(os.path.join(temporary, name), records, os.path.join(folder, name))


def _write(path, records, shown):
    try:
        with tf.io.TFRecordWriter(path) as writer:
            for record in records:
                writer.write(record)
    except tf.errors.OpError as error:
        raise system_errors.input_error("%s cannot be written" % shown, error.message)
