"""Malformed records and shards of any bytes are read, or a sentence names them."""
import functools
import os
import tempfile

from hypothesis import assume
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies
import numpy as np
import pytest
import tensorflow as tf

from src.common import sentences
from src.common.errors import InputError
from src.data import damage
from src.data import pipeline
from src.data import readers
from src.data import tfrecord
from tests import records

tf1 = tf.compat.v1
SIZES, NAMES = [6, 2], ["rgb", "audio"]
FRAMES = readers.YT8MFrameFeatureReader(3862, SIZES, NAMES)
RATED = readers.YT8MFrameFeatureReader(3862, SIZES, NAMES, segment_labels=True)


@functools.lru_cache(maxsize=None)
def segments():
    """Batches of rated segments."""
    return records.Pipeline(lambda paths: pipeline.evaluation_batches(RATED, paths, 4, None, 2))


def good(number):
    """A small frame-level record with ratings."""
    frames = np.random.RandomState(number).randint(0, 256, (number + 5, sum(SIZES))).astype("u1")
    return records.frame_level(b"v%d" % number, frames[:, :6], frames[:, 6:], [3, 3861], [(0, 3, 1), (5, 3861, 0)])


STRINGS = strategies.one_of(strategies.sampled_from([b"v1", bytes(6), bytes(2)]), strategies.binary(max_size=70))
INTEGERS = strategies.one_of(strategies.integers(-1, 4000), strategies.integers(-2 ** 63, 2 ** 63 - 1))
FLOATS = strategies.one_of(strategies.sampled_from([0., 1.]), strategies.floats(width=32))
FEATURES = strategies.one_of(
    strategies.lists(STRINGS, max_size=3).map(records.bytes_feature),
    strategies.lists(INTEGERS, max_size=3).map(records.int_feature),
    strategies.lists(FLOATS, max_size=3).map(records.float_feature), strategies.just(tf.train.Feature()))
# Replacements for features and lists of the good record; None leaves them out.
CONTEXT_NAMES = ["id", "labels", "other", "segment_start_times", "segment_labels", "segment_scores"]
CONTEXT = strategies.dictionaries(
    strategies.sampled_from(CONTEXT_NAMES), strategies.one_of(strategies.none(), FEATURES), max_size=3)
LISTS = strategies.dictionaries(strategies.sampled_from(NAMES + ["other"]), strategies.one_of(
    strategies.none(), strategies.lists(FEATURES, max_size=6)), max_size=1)


def put(message, features, of_feature):
    for name, feature in features.items():
        if name in message:
            del message[name]
        if feature is not None:
            message[name].CopyFrom(of_feature(feature))


class Uncounted(object):
    """A Pass that counts nothing."""

    def count(self, **counts):
        return tf.no_op()


@pytest.fixture(scope="module", params=["videos", "segments"])
def parse(request):
    """Function from a serialized record to NumPy; its graph is built once."""
    with tf.Graph().as_default():
        serialized = tf1.placeholder(tf.string, [])
        record = tfrecord.Record(serialized[tf.newaxis], "SHARD", [7], [0])
        fetches = (FRAMES.parse_videos(record) if request.param == "videos" else
                   RATED.parse_segments(record, Uncounted()))
        with tf1.Session(config=tf1.ConfigProto(device_count={"GPU": 0})) as session:
            yield lambda content: session.run(fetches, {serialized: content})


@given(strategies.integers(0, 3), CONTEXT, LISTS)
def test_a_record_is_read_or_named(parse, number, context, lists):
    record = tf.train.SequenceExample.FromString(good(number))
    put(record.context.feature, context, lambda feature: feature)
    put(record.feature_lists.feature_list, lists, lambda features: tf.train.FeatureList(feature=features))
    try:
        found = parse(record.SerializeToString())
    except tf.errors.OpError as error:
        sentence = sentences.of(error)
        assert sentence and sentence.startswith("SHARD, record 7,") and sentence.endswith("."), (sentence, error)
        assert context or lists
    else:
        classes = found["labels"].indices[:, -1]
        assert np.all((classes >= 0) & (classes < 3862)) and found["frames"].shape[-1] == sum(SIZES)


# Lists of (offset as a share of the content, bytes to leave out there, bytes to put in).
CHANGES = strategies.lists(strategies.tuples(
    strategies.floats(0, .999), strategies.integers(0, 3), strategies.binary(max_size=4)), max_size=4)


@settings(max_examples=settings.default.max_examples // 8)
@given(CHANGES, strategies.integers(0, 200))
def test_a_shard_of_any_bytes_is_read_or_named(changes, left_off):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "validate0000.tfrecord")
        records.write(path, [good(number) for number in range(3)])
        with open(path, "rb") as stream:
            content = whole = stream.read()
        for share, left_out, put_in in changes:
            offset = int(share * len(content))
            content = content[:offset] + put_in + content[offset + left_out:]
        content = content[:max(0, len(content) - left_off)]
        assume(content != whole)
        with open(path, "wb") as stream:
            stream.write(content)
        try:
            with damage.explained([path], RATED.form):
                found = {name for batch in segments().read([path]) for name in batch["id"].tolist()}
        except InputError as error:
            assert path in str(error) and str(error).endswith(".")
        else:  # all checksums are right, so the shard is cut off at the end of a record
            assert found <= {b"v%d:%d" % (number, start) for number in range(3) for start in (0, 5)}
