"""The error about a damaged shard names shard, record and byte, and what is wrong."""
import bz2
import gzip
import os

import pytest
import tensorflow as tf

from src.common.errors import InputError
from src.data import damage
from tests import complaints
from tests import records


@pytest.fixture(name="shards")
def three_shards(tmp_path):
    """Five records each; those of the first shard are shorter."""
    return records.write_shards(tmp_path, 1, 5, frames=3, name="validate%04d") + records.write_shards(
        tmp_path, 2, 5, name="train%04d")


def flip(path, position):
    with open(path, "r+b") as stream:
        stream.seek(position)
        byte = stream.read(1)[0]
        stream.seek(position)
        stream.write(bytes([byte ^ 0xFF]))


@pytest.mark.parametrize("place, record", [
    ("length", 0), ("length", 2), ("its checksum", 2), ("data", 0), ("data", 2), ("data", 4),
    ("checksum", 2)])
def test_a_corrupt_record_is_named(shards, place, record):
    offsets = complaints.record_offsets(shards[2])
    start, end = offsets[record:record + 2]
    flip(shards[2], {"length": start + 6, "its checksum": start + 8, "data": (start + end) // 2,
                     "checksum": end - 2}[place])
    assert complaints.names_corrupt_record(complaints.of_evaluation(shards), shards[2], record)


@pytest.mark.parametrize("bytes_left", [12, 13, 5000, -1])
def test_a_truncated_shard_is_named(shards, bytes_left):
    start, end = complaints.record_offsets(shards[1])[3:5]
    os.truncate(shards[1], (start if bytes_left > 0 else end) + bytes_left)
    assert complaints.names_corrupt_record(complaints.of_evaluation(shards), shards[1], 3)


def test_of_two_corrupt_shards_each_is_named_with_its_own_record(shards):
    flip(shards[1], complaints.record_offsets(shards[1])[1] + 6)  # record 1 seems to go on beyond the end of the file
    start = complaints.record_offsets(shards[2])[4]
    flip(shards[2], start + 500)
    assert complaints.names_corrupt_record(complaints.of_evaluation(shards[:2]), shards[1], 1)
    with pytest.raises(InputError) as error, damage.explained(shards, complaints.reader_of("frame").form):
        raise tf.errors.DataLossError(None, None, "corrupted record at %d" % (start + 12))
    assert complaints.names_corrupt_record(str(error.value), shards[2], 4)


OTHER_FILES = {
    "gzip": (gzip.compress, "{path} is compressed with gzip and no TFRecord: unpack it."),
    "bzip2": (bz2.compress, "{path} is compressed with bzip2 and no TFRecord: unpack it."),
    "HTML": (lambda content: b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>", (
        '{path} is no TFRecord but text, which begins with "<!DOCTYPE html>\\x0a<html><body>404 Not Found</body></html>'
        '": fetch the shard itself, or correct the pattern.')),
    "a bare protocol buffer": (lambda content: records.random_record(0), (
        "{path} is no TFRecord but a bare protocol buffer: write it with TFRecordWriter, which frames records.")),
    "other bytes": (lambda content: b"\x89HDF\r\n\x1a\n" + bytes(range(1, 200)), (
        "{path} is no TFRecord: correct the pattern, or fetch the shard again.")),
}


@pytest.mark.parametrize("reads, name", [("eval", name) for name in sorted(OTHER_FILES)] + [
    (reads, "gzip") for reads in ("train", "inference", "ratings")])
def test_a_file_that_is_no_tfrecord_is_called_what_it_is(tmp_path, reads, name):
    make, told = OTHER_FILES[name]
    paths = records.write_shards(tmp_path, num_shards=3, videos=2, rated=True)
    with open(paths[1], "rb") as stream:
        content = make(stream.read())
    with open(paths[1], "wb") as stream:
        stream.write(content)
    assert complaints.EVERY_READER[reads](paths) == told.format(path=paths[1])


def test_a_short_text_is_called_what_it_is(tmp_path):
    (tmp_path / "validate0000").write_bytes(b"404\n")
    path = str(tmp_path / "validate0000")
    assert complaints.of_evaluation([path]).startswith('%s is no TFRecord but text, which begins with "404' % path)
