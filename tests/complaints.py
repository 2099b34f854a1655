"""The sentences with which programs that read shards report faults."""
import functools
import re
import struct

import tensorflow as tf

from src.common import sentences
from src.common.errors import InputError
from src.data import damage
from src.data import passes
from src.data import pipeline
from src.data import readers
from tests import records

FRAME_LEVEL = dict(feature_names="rgb,audio", feature_sizes="1024,128", frame_features=True, max_frames=12)
READERS = {
    "frame": FRAME_LEVEL,
    "segment": dict(FRAME_LEVEL, segment_labels=True),
    "video": dict(feature_names="mean_rgb,mean_audio", feature_sizes="1024,128", frame_features=False),
}


def reader_of(kind, **changes):
    return readers.create(**dict(READERS[kind], **changes))


def sentence(action):
    """The sentence with which an action fails; None if it succeeds."""
    try:
        action()
    except (InputError, tf.errors.OpError) as error:
        message = sentences.of(error)
        assert message, error
        return message


@functools.lru_cache(maxsize=None)
def _evaluation(kind, purpose):
    reader = reader_of(kind)
    return reader.form, records.Pipeline(lambda paths: pipeline.evaluation_batches(reader, paths, 4, None, 2, purpose))


@functools.lru_cache(maxsize=None)
def _training(kind):
    reader = reader_of(kind)
    return reader.form, records.Pipeline(lambda paths: pipeline.training_batches(
        reader, paths, 4, lambda num_frames: num_frames[:, tf.newaxis] - 1, 2, 2))


@functools.lru_cache(maxsize=None)
def _segments():
    reader = reader_of("frame")
    return reader.form, records.Pipeline(lambda paths: pipeline.segment_batches(
        reader, passes.Pass(paths, reader.form), [0, 1], 4, 2))


def _of(paths, form, batches):
    """The sentence with which a `records.Pipeline` reads shards."""
    def read():
        with damage.explained(paths, form):
            batches.read(paths)
    return sentence(read)


def of_evaluation(paths, kind="frame", purpose=None):
    """The sentence of a program that evaluates `paths`; None if nothing is wrong."""
    return _of(paths, *_evaluation(kind, purpose))


def of_training(paths, kind="frame"):
    """The sentence of a program that trains on `paths` for two passes."""
    return _of(paths, *_training(kind))


def of_segments(paths):
    """The sentence of a program that scores all segments."""
    return _of(paths, *_segments())


def of_ratings(paths):
    """The sentence of a program that reads the ratings."""
    return sentence(lambda: pipeline.read_ratings(paths))


EVERY_READER = {"eval": of_evaluation, "train": of_training, "inference": of_segments, "ratings": of_ratings}


def record_offsets(path):
    """The offset of each record of a shard, and of its end."""
    with open(path, "rb") as stream:
        content = stream.read()
    offsets = [0]
    while offsets[-1] < len(content):
        offsets.append(offsets[-1] + 16 + struct.unpack_from("<Q", content, offsets[-1])[0])
    return offsets


def names_corrupt_record(message, path, record):
    return re.fullmatch(r"%s, record %d \(byte [0-9]+\), is truncated or corrupt: fetch the shard again or "
                        "leave it out." % (re.escape(path), record), message)
