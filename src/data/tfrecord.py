"""TFRecord shards: their records, and which shard and record is damaged.

A record is its length (8 bytes), the length's checksum (4), the data and its checksum (4).
"""
import collections
import contextlib
import functools
import itertools
import multiprocessing
import multiprocessing.pool
import os
import re
import struct
import time

from google.protobuf.message import DecodeError
import numpy as np
import tensorflow as tf

from src.common import program
from src.common import text
from src.common.errors import InputError
from src.data import inspection

FRAMING_BYTES = 16  # of a record
SEARCH_SECONDS = 60.0  # for a record that an error does not name
_PARALLEL_CALLS = 2 * multiprocessing.cpu_count()
_CORRUPT = re.compile(r"(corrupted|truncated) record at (\d+)")
_UNPARSED = re.compile(r"Failed (skipping|to consume)|Unsupported datatype")  # a protocol buffer
_IN_RECORD = re.compile(r"(.*), record ([0-9]+), ", re.DOTALL)
_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}
WALKED_BYTES = 1 << 25  # of a shard of which all lengths are looked at first: about ten times one of 3/frame
_BEGINNING_BYTES = 64  # of a file, that tell what it is
_SMALL_BYTES = 1 << 26  # of a file that may be parsed as a whole

# serialized: bytes; path: of its shard; index: in the shard; shard: the shard's number among those that are read.
Record = collections.namedtuple("Record", "serialized path index shard")

# AutoGraph would read the function's source anew and leave a file in the temporary folder each time.
plain = tf.autograph.experimental.do_not_convert


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


def looked_at(shards, num_ahead):
    """A dataset of (path, number) of shards whose lengths are checked, `num_ahead` of them before they are needed.

    See `_check_lengths`, which has the system read them then.
    """
    def check(path, number):
        with tf.control_dependencies([tf.numpy_function(_check_lengths, [path], tf.bool)]):
            return tf.identity(path), number

    return shards.map(plain(check), num_parallel_calls=num_ahead)


def parallel_map(dataset, function):
    """Maps a function without Python control flow over a dataset, in order, on all cores."""
    return dataset.map(plain(function), num_parallel_calls=_PARALLEL_CALLS)


def num_bytes(serialized):
    """int64 of the shape of a string tensor: bytes that each record takes in its shard."""
    return tf.cast(tf.strings.length(serialized), tf.int64) + FRAMING_BYTES


def for_graph(function):
    """Decorates a module's function that `tf.numpy_function` runs: its errors stop the graph with their sentence.

    Others than a module's functions would vanish, as a graph does not keep alive what it runs.
    """
    @functools.wraps(function)
    def wrapped(*arguments):
        try:
            function(*arguments)
        except (InputError, tf.errors.OpError) as error:
            raise ValueError(program.MARKED % (program.sentence(error) or error)) from None
        return np.bool_(True)

    return wrapped


@contextlib.contextmanager
def explained(paths, form):
    """Turns TensorFlow's errors about the shards `paths` into InputErrors that say what is wrong with which record.

    Args:
      paths: shards.
      form: the `inspection.Form` of their records.
    """
    try:
        yield
    except tf.errors.OpError as error:
        corrupt, marked = _CORRUPT.search(error.message), program.SENTENCE.search(error.message)
        if corrupt and isinstance(error, tf.errors.DataLossError):
            raise InputError(_corrupt_shard(paths, int(corrupt.group(2))))
        if marked:
            raise InputError(_with_fault(marked.group(1), paths, form))
        if _UNPARSED.search(error.message):
            raise InputError(_unparsed_record(paths, form))
        raise


def _with_fault(sentence, paths, form):
    """The graph's sentence about an unusable record, with what is wrong with it; any other as it is."""
    found = _IN_RECORD.match(sentence)
    fault = form and found and found.group(1) in paths and inspection.fault_of(
        _read_record(found.group(1), int(found.group(2))), form)
    return found.group(0) + fault if fault else sentence


def _unparsed_record(paths, form):
    """Sentence about a record that TensorFlow's parsers stopped at without saying which it is."""
    deadline = time.time() + SEARCH_SECONDS
    for path in paths:
        with contextlib.suppress(tf.errors.DataLossError):
            for index, serialized in enumerate(tf.compat.v1.io.tf_record_iterator(path)):
                fault = inspection.fault_of(serialized, form)
                if fault:
                    return "%s, record %d, %s" % (path, index, fault)
                if time.time() > deadline:
                    return ("A record of one of the %d shards such as %s is no protocol buffer: find it with "
                            "src/check_data.py, and leave its shard out." % (len(paths), paths[0]))
    return "A record of one of the %d shards such as %s holds what TensorFlow cannot read: leave its shard out." % (
        len(paths), paths[0])


def _read_record(path, index):
    """A record of a shard, serialized."""
    return next(itertools.islice(tf.compat.v1.io.tf_record_iterator(path), index, None), b"")


def check_ends(paths):
    """Checks that every shard ends where a record does.

    TensorFlow 1.15 takes a shard that is cut within a record's header for one that ends before it. Only lengths are
    read here.

    Raises:
      InputError: a shard does not.
    """
    with contextlib.closing(multiprocessing.pool.ThreadPool(16)) as pool:
        for path, end in zip(paths, pool.imap(_end, paths)):
            if end:
                raise InputError(damaged(path, *end))


def _end(path):
    """(Index, first byte) of the record within which a shard ends, None if it ends where a record does."""
    size = tf.io.gfile.stat(path).length
    index, position = _locate(path, size)
    return None if position == size else (index, position)


def damaged(path, index, position):
    """The sentence about a record, the one at byte `position`, that is cut off or whose checksum is wrong."""
    told = "%s, record %d (byte %d), is truncated or corrupt: fetch the shard again or leave it out." % (
        path, index, position)
    return told if position else _no_tfrecord(path) or told


def _corrupt_shard(paths, offset):
    """Sentence about the shard that does not read at byte `offset`."""
    for path in paths:
        index, position = _locate(path, offset)
        if offset in (position, position + 12) and _whole_records(path, index + 1) == index:
            return damaged(path, index, position)
    return ("A record at byte %d of one of the %d shards such as %s is truncated or corrupt: fetch them again."
            % (offset, len(paths), paths[0]))


def _locate(path, offset):
    """(Index, first byte) of the last record that begins at byte `offset` or before; reads lengths only."""
    with tf.io.gfile.GFile(path, "rb") as stream:
        position = index = 0
        while position + 8 <= min(offset, stream.size()):
            stream.seek(position)
            following = position + FRAMING_BYTES + struct.unpack("<Q", stream.read(8))[0]
            if following > offset:
                break
            position, index = following, index + 1
    return index, position


def _whole_records(path, at_most):
    """Records of a shard that read before the first that does not."""
    count = 0
    with contextlib.suppress(tf.errors.DataLossError):
        for count, _ in enumerate(tf.compat.v1.io.tf_record_iterator(path), 1):
            if count == at_most:
                break
    return count


@for_graph
def _check_lengths(path):
    """Checks the lengths of a shard's records against its size, as far as that costs nothing.

    TensorFlow ends the process when a length passes its checksum and is more than the memory holds. Where a small shard
    is on this machine all lengths are looked at, while the system reads ahead what will be needed anyway; of another on
    this machine the first one.
    """
    path = path.decode()
    if not os.path.isfile(path):
        return
    with contextlib.suppress(OSError), open(path, "rb") as stream:  # of errors TensorFlow says more
        size = os.fstat(stream.fileno()).st_size
        if size <= WALKED_BYTES:
            os.posix_fadvise(stream.fileno(), 0, size, os.POSIX_FADV_WILLNEED)
        position = index = 0
        while position < (size if size <= WALKED_BYTES else 1):
            following = end_of_record(stream, position)
            if following > size:
                raise InputError(damaged(path, index, position))
            position, index = following, index + 1


def end_of_record(stream, position):
    """Where the record ends that begins at a byte of a file, as its length says; far away if the length is cut off."""
    length = os.pread(stream.fileno(), 8, position).ljust(8, b"\xff")
    return position + FRAMING_BYTES + struct.unpack("<Q", length)[0]


def _no_tfrecord(path):
    """The sentence about a file that is something else than a TFRecord; None if it may be a damaged one."""
    with tf.io.gfile.GFile(path, "rb") as stream:
        beginning = stream.read(_BEGINNING_BYTES)
        is_message = (beginning[:1] == b"\x0a" and stream.size() < _SMALL_BYTES
                      and _is_message(beginning + stream.read()))
    compressions = [name for magic, name in _COMPRESSIONS.items() if beginning.startswith(magic)]
    if compressions:
        return "%s is compressed with %s and no TFRecord: unpack it." % (path, compressions[0])
    if re.fullmatch(rb"[\t\r\n -~\x80-\xff]+", beginning):
        return ("%s is no TFRecord but text, which begins with %s: fetch the shard itself, or correct the pattern."
                % (path, text.quoted(beginning)))
    if is_message:
        return ("%s is no TFRecord but a bare protocol buffer: write it with TFRecordWriter, which frames records."
                % path)
    if len(beginning) >= 8 and beginning[4:8].count(0) < 3:  # no record's length: those are below 2**32
        return "%s is no TFRecord: correct the pattern, or fetch the shard again." % path
    return None


def _is_message(content):
    try:
        return bool(tf.train.SequenceExample.FromString(content).context.feature)
    except DecodeError:
        return False
