"""Which shard and record an error of TensorFlow is about, and what is wrong there, in words."""
import contextlib
import itertools
import re
import stat
import time

from google.protobuf.message import DecodeError
import tensorflow as tf

from src.common import files
from src.common import runtime
from src.common import sentences
from src.common import text
from src.common.errors import InputError
from src.data import faults
from src.data import framing

SEARCH_SECONDS = 60.0  # for a record that an error does not name
_CORRUPT = re.compile(r"(corrupted|truncated) record at (\d+)")
_UNPARSED = re.compile(r"Failed (skipping|to consume)|Unsupported datatype")  # a protocol buffer
_IN_RECORD = re.compile(r"(.*), record ([0-9]+), ", re.DOTALL)
_KINDS = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}  # the others are devices
_BEGINNING_BYTES = 64  # enough to tell what a file is
_SMALL_BYTES = 1 << 26  # a file up to this size may be parsed as a whole


@contextlib.contextmanager
def explained(paths, form):
    """Context in which TensorFlow's errors about shards become InputErrors that say what is wrong with which record.

    Args:
      paths: shards.
      form: the `forms.Form` of their records.
    """
    try:
        yield
    except tf.errors.OpError as error:
        message, sentence = runtime.message(error), sentences.in_graph(error)
        corrupt = _CORRUPT.search(message)
        if corrupt and isinstance(error, tf.errors.DataLossError):
            raise InputError(_corrupt_shard(paths, int(corrupt.group(2))))
        if sentence:
            raise InputError(_with_fault(sentence, paths, form))
        if _UNPARSED.search(message):
            raise InputError(_unparsed_record(paths, form))
        raise


def _with_fault(sentence, paths, form):
    """The graph's sentence about an unusable record, completed with its fault; any other sentence as it is."""
    found = _IN_RECORD.match(sentence)
    fault = form and found and found.group(1) in paths and faults.fault_of(
        _read_record(found.group(1), int(found.group(2))), form)
    return found.group(0) + fault if fault else sentence


def _unparsed_record(paths, form):
    """Sentence about a record that stopped TensorFlow's parsers, which do not name it."""
    deadline = time.time() + SEARCH_SECONDS
    for path in paths:
        with contextlib.suppress(tf.errors.DataLossError):
            for index, serialized in enumerate(tf.compat.v1.io.tf_record_iterator(path)):
                fault = faults.fault_of(serialized, form)
                if fault:
                    return "%s, record %d, %s" % (path, index, fault)
                if time.time() > deadline:
                    return ("A record of one of the %d shards such as %s is no protocol buffer: find it with "
                            "src/check_data.py, and leave its shard out." % (len(paths), paths[0]))
    return "A record of one of the %d shards such as %s holds what TensorFlow cannot read: leave its shard out." % (
        len(paths), paths[0])


def _read_record(path, index):
    """A record of a shard, serialized; b"" beyond the end."""
    return next(itertools.islice(tf.compat.v1.io.tf_record_iterator(path), index, None), b"")


def damaged(path, index, offset):
    """The sentence about a record that is cut off or whose checksum is wrong.

    Args:
      path: of its shard.
      index: of the record in the shard.
      offset: of the record's first byte.
    """
    sentence = "%s, record %d (byte %d), is truncated or corrupt: fetch the shard again or leave it out." % (
        path, index, offset)
    return sentence if offset else _no_tfrecord(path) or sentence


def no_file(path):
    """The sentence about a path that leads to something other than a file, which might never end; else None."""
    kind = stat.S_IFMT(files.mode(path))
    if kind in (0, stat.S_IFREG):  # 0: unknown
        return None
    return "%s is a %s and no TFRecord file: correct the pattern." % (path, _KINDS.get(kind, "device"))


def of_shard(path, at_most=None):
    """The sentence about the first damaged record of a shard; None if there is none.

    Records are checked in the file's order: the bytes after a damaged one may look like any number of wrong records.

    Args:
      at_most: number of records to check, from the first on; None: all.
    """
    for index, (offset, serialized) in enumerate(itertools.islice(framing.records(path), at_most)):
        if serialized is None:
            return damaged(path, index, offset)
    return None


def _corrupt_shard(paths, offset):
    """Sentence about the shard that does not read at `offset`."""
    for path in paths:
        index, begin = framing.locate(path, offset)
        sentence = offset in (begin, begin + framing.HEADER_BYTES) and of_shard(path, index + 1)
        if sentence:
            return sentence
    return ("A record at byte %d of one of the %d shards such as %s is truncated or corrupt: fetch them again."
            % (offset, len(paths), paths[0]))


def _no_tfrecord(path):
    """The sentence about a file that is no TFRecord; None if it may be a damaged one."""
    with tf.io.gfile.GFile(path, "rb") as stream:
        beginning = stream.read(_BEGINNING_BYTES)
        is_message = (beginning[:1] == b"\x0a" and stream.size() < _SMALL_BYTES
                      and _is_message(beginning + stream.read()))
    if text.compression(beginning):
        return "%s is compressed with %s and no TFRecord: unpack it." % (path, text.compression(beginning))
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
