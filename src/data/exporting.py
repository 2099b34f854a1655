"""Records -> the features and labels of single videos; the opposite of `making`."""
import contextlib
import typing

from google.protobuf.message import DecodeError
import numpy as np
import tensorflow as tf

from src.common.errors import InputError
from src.data import contents
from src.data import damage
from src.data import faults
from src.data import framing
from src.data import passes
from src.data import tfrecord
from src.data import writing

SHARDS_AHEAD = 8  # looked at before they are needed
_RECORDS = 32  # that leave the graph together


class Video(typing.NamedTuple):
    """A video of frame-level records."""
    video: bytes  # id
    labels: typing.Sequence  # None: the record has no such feature
    is_rated: bool  # whether there are ratings of its segments
    serialized: bytes  # its record


def videos(paths, form):
    """Yields each Video of shards once, in order.

    Memory: some records, and some 100 bytes per video.

    Args:
      paths: shards, local or gs://.
      form: the `forms.Form` of frame-level records.

    Raises:
      InputError: a shard or a record is damaged or unusable.
    """
    with tf.Graph().as_default(), tf.device("/cpu:0"), damage.explained(paths, form):
        reading = passes.Pass(paths, form)

        def count(*fields):
            record = tfrecord.Record(*fields)
            with tf.control_dependencies([reading.count(bytes=framing.num_bytes(record.serialized), examples=1)]):
                return tf.identity(record.serialized), record.path, record.index

        shards = tfrecord.checked_ahead(reading.shards(), SHARDS_AHEAD)
        records = reading.first_of_each_video(tfrecord.records_in_order(shards)).map(tfrecord.plain(count))
        batches = reading.to_its_end(records).batch(_RECORDS).prefetch(1)
        batch = tf.compat.v1.data.make_one_shot_iterator(batches).get_next()
        with tf.compat.v1.Session() as session, contextlib.suppress(tf.errors.OutOfRangeError):
            while True:
                for serialized, path, index in zip(*session.run(batch)):
                    yield _video(serialized, path.decode(), index, form)


def _video(serialized, path, index, form):
    """The Video in a record.

    Raises:
      InputError: the record is unusable.
    """
    try:
        found = contents.read_quickly(serialized, form)
        fault = faults.fault(found, form)
    except DecodeError:
        fault = faults.fault_of(serialized, form)
    if fault:
        raise InputError("%s, record %d, %s" % (path, index, fault))
    labels = contents.values(found.context, "labels") if "labels" in found.context else None
    return Video(contents.values(found.context, "id")[0], labels, "segment_labels" in found.context, serialized)


def features(serialized, form):
    """{name: float32 [seconds, size]} of a usable record, dequantized."""
    lists = tf.train.SequenceExample.FromString(serialized).feature_lists.feature_list
    found = {}
    for name, size in form.features:
        frames = b"".join(frame.bytes_list.value[0] for frame in lists[name].feature)
        found[name] = writing.dequantized(np.frombuffer(frames, np.uint8).reshape(-1, size).astype(np.float32))
    return found
