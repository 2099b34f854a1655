"""How a TFRecord file frames its records.

A record is its length (8 bytes), the length's checksum (4), the data and its checksum (4).
"""
import os
import struct

import tensorflow as tf

BYTES = 16  # per record
_LENGTH = "<Q"
_CUT_OFF = b"\xff"  # a length that is cut off reads as a huge one


def num_bytes(serialized):
    """int64 of the shape of a string tensor: bytes that each record takes in its shard."""
    return tf.cast(tf.strings.length(serialized), tf.int64) + BYTES


def end_of_record(stream, offset):
    """The offset at which a record ends, by its length alone; far beyond the file if the length is cut off.

    Args:
      stream: a file of this machine, open for reading.
      offset: of the record's first byte.
    """
    length = os.pread(stream.fileno(), 8, offset).ljust(8, _CUT_OFF)
    return offset + BYTES + struct.unpack(_LENGTH, length)[0]


def locate(path, offset):
    """(Index, offset) of the last record of a shard that begins at `offset` or before; reads lengths only."""
    with tf.io.gfile.GFile(path, "rb") as stream:
        begin = index = 0
        while begin + 8 <= min(offset, stream.size()):
            stream.seek(begin)
            end = begin + BYTES + struct.unpack(_LENGTH, stream.read(8))[0]
            if end > offset:
                break
            begin, index = end, index + 1
    return index, begin
