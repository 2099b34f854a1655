"""TFRecord shards -> datasets of their records, checked as far as TensorFlow 1.15 does not check them."""
import contextlib
import multiprocessing
import multiprocessing.pool
import os
import typing

import tensorflow as tf

from src.common import runtime
from src.common import sentences
from src.common import storage
from src.common.errors import InputError
from src.data import damage
from src.data import framing

_PARALLEL_CALLS = 2 * multiprocessing.cpu_count()
WALKED_BYTES = 1 << 25  # up to this size all lengths of a shard are checked first; about ten times a shard of 3/frame


class Record(typing.NamedTuple):
    """A record of a dataset; tensors."""
    serialized: tf.Tensor  # string
    path: tf.Tensor  # string, of its shard
    index: tf.Tensor  # int64, in the shard
    shard: tf.Tensor  # int32, the shard's number among those that are read


# AutoGraph would read the function's source anew and leave a file in the temporary folder each time.
plain = tf.autograph.experimental.do_not_convert


def untuned(dataset):
    """A dataset with the readers and buffers that it is given, as are those that are made of it."""
    options = tf.data.Options()
    runtime.leave_untuned(options)
    return dataset.with_options(options)


def records(shards, num_readers):
    """Dataset of `Record` over a dataset of (path, number) of shards, `num_readers` shards interleaved."""
    # Each shard's prefetch reads ahead in a thread of its own. TensorFlow 1.15's parallel interleave is
    # no faster, and sometimes crashes the process when a session closes before the data ends.
    return shards.interleave(plain(_of_shard), cycle_length=num_readers)


def records_in_order(shards):
    """Dataset of `Record` over a dataset of (path, number) of shards, one shard after the other."""
    return shards.flat_map(plain(_of_shard))


def _of_shard(path, number):
    serialized = tf.data.TFRecordDataset(path).enumerate()
    return serialized.map(plain(lambda index, record: (record, path, index, number))).prefetch(2)


def checked_ahead(shards, num_ahead):
    """A dataset of (path, number) of shards that are checked `num_ahead` shards before they are needed.

    See `_check_shard`, which also has the system read these shards ahead.
    """
    def check(path, number):
        with tf.control_dependencies([tf.numpy_function(_check_shard, [path], tf.bool)]):
            return tf.identity(path), number

    return shards.map(plain(check), num_parallel_calls=num_ahead)


def parallel_map(dataset, function):
    """Maps a function without Python control flow over a dataset, in order, on all cores."""
    return dataset.map(plain(function), num_parallel_calls=_PARALLEL_CALLS)


def check_ends(paths):
    """Checks that every shard ends where a record does.

    TensorFlow 1.15 does not notice when a shard is cut within a record's header. This reads lengths only.

    Raises:
      InputError: a shard ends within a record.
    """
    with contextlib.closing(multiprocessing.pool.ThreadPool(16)) as pool:
        for sentence in pool.imap(_cut_record, paths):
            if sentence:
                raise InputError(sentence)


def _cut_record(path):
    """The sentence about a shard that ends within a record; None if it ends where a record does."""
    size = tf.io.gfile.stat(path).length
    return damage.of_shard(path) if framing.locate(path, size)[1] != size else None


@sentences.for_graph
def _check_shard(path):
    """Checks that a path leads to a file, and the lengths of its records against its size, as far as it costs nothing.

    TensorFlow ends the process when a length passes its checksum and exceeds the memory. Of a small shard on this
    machine all lengths are checked, while the system reads ahead the bytes that will be needed anyway; of a larger one
    on this machine the first length is.
    """
    path = path.decode()
    sentence = damage.no_file(path)
    if not sentence and os.path.isfile(storage.local(path) or ""):
        with contextlib.suppress(OSError), framing.opened(path) as stream:  # TensorFlow says more about errors
            size = os.fstat(stream.fileno()).st_size
            if size <= WALKED_BYTES:
                os.posix_fadvise(stream.fileno(), 0, size, os.POSIX_FADV_WILLNEED)
            offset = 0
            while offset < (size if size <= WALKED_BYTES else 1):
                offset = framing.end_of_record(stream, offset)
            sentence = damage.of_shard(path) if offset > size else None
    if sentence:
        raise InputError(sentence)
