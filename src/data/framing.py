"""How a TFRecord file frames its records.

A record is its length (8 bytes), the length's checksum (4), the data and its checksum (4).
"""
import os
import struct

import tensorflow as tf

from src.common import storage

BYTES = 16  # per record
HEADER_BYTES = 12  # a record's length and its checksum
_LENGTH = "<Q"
_CUT_OFF = b"\xff"  # a length that is cut off reads as a huge one


def num_bytes(serialized):
    """int64 of the shape of a string tensor: bytes that each record takes in its shard."""
    return tf.cast(tf.strings.length(serialized), tf.int64) + BYTES


def opened(path):
    """A shard, open for `end_of_record`; on this machine without a buffer, as only lengths are read."""
    local = storage.local(path)
    return open(local, "rb", buffering=0) if os.path.isfile(local or "") else tf.io.gfile.GFile(path, "rb")


def end_of_record(stream, offset):
    """The offset at which a record ends, by its length alone; far beyond the file if the length is cut off.

    Args:
      stream: of `opened`.
      offset: of the record's first byte.
    """
    stream.seek(offset)
    length = stream.read(8).ljust(8, _CUT_OFF)
    return offset + BYTES + struct.unpack(_LENGTH, length)[0]


def locate(path, offset):
    """(Index, offset) of the last record of a shard that begins at `offset` or before; reads lengths only."""
    index = begin = 0
    size = tf.io.gfile.stat(path).length
    with opened(path) as stream:
        while begin < min(offset, size):
            end = end_of_record(stream, begin)
            if end > offset:
                break
            begin, index = end, index + 1
    return index, begin


def records(path):
    """Yields (offset, serialized) of the records of a shard, and (offset, None) instead of the first damaged one.

    A record is damaged if it is cut off, or if the checksum of its length or of its data is wrong. A wrong length never
    takes more memory than the size of the file.
    """
    size, iterator = tf.io.gfile.stat(path).length, tf.compat.v1.io.tf_record_iterator(path)
    with opened(path) as stream:
        offset = 0
        while offset < size:
            end = end_of_record(stream, offset)
            serialized = _next(iterator) if end <= size else None
            yield offset, serialized
            if serialized is None:
                return
            offset = end


def _next(iterator):
    """The next record; None if it is corrupt."""
    try:
        return next(iterator, None)
    except tf.errors.DataLossError:
        return None


def unchecked_records(path):
    """As `records` of a shard on this machine, quickly: no checksum is looked at. A record is valid until the next one.

    Memory: the longest record.
    """
    with open(storage.local(path), "rb", buffering=0) as stream:
        size, offset, buffer = os.fstat(stream.fileno()).st_size, 0, memoryview(b"")
        header = stream.read(HEADER_BYTES)
        while offset < size:
            length = struct.unpack(_LENGTH, header[:8].ljust(8, _CUT_OFF))[0]
            if offset + BYTES + length > size:
                yield offset, None
                return
            if len(buffer) < BYTES + length:
                buffer = memoryview(bytearray(BYTES + length))
            end = stream.readinto(buffer[:BYTES + length])  # with the next record's header
            yield offset, buffer[:length]
            header = bytes(buffer[BYTES - HEADER_BYTES + length:end])
            offset += BYTES + length


class Checksums(object):
    """Compares the checksums in shards with their records, in threads of TensorFlow; several threads may use it."""

    def __init__(self):
        self._graph = tf.Graph()
        with self._graph.as_default(), tf.device("/cpu:0"):
            self._path = tf.compat.v1.placeholder(tf.string, [])
            # A skipped record is read, but costs nothing else. Without a buffer its bytes are copied once.
            skipped = tf.data.TFRecordDataset(self._path, buffer_size=0).skip(1 << 60)
            self._read = skipped.reduce(tf.constant(0), lambda count, _: count)
        self._session = tf.compat.v1.Session(
            graph=self._graph, config=tf.compat.v1.ConfigProto(device_count={"GPU": 0}))

    def hold(self, path):
        """Whether the checksums of a shard are right; its lengths must fit its size."""
        try:
            self._session.run(self._read, {self._path: path})
            return True
        except tf.errors.DataLossError:
            return False
