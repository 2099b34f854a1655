"""The error about a damaged shard names shard, record and byte, and what is wrong."""
import bz2
import gzip
import os
import socket

import pytest
import tensorflow as tf

from src.common.errors import InputError
from src.data import damage
from src.data import survey
from src.data import tfrecord
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


def zeroed(content, begin, end):
    return content[:begin] + bytes(end - begin) + content[end:]


def flipped(content, *positions):
    changed = bytearray(content)
    for position in positions:
        changed[position] ^= 0xFF
    return bytes(changed)


# Name: function from a shard's bytes and its records' offsets to the damaged bytes, and the first damaged record.
DAMAGES = {
    "8 KB of zeros from a record's start": (lambda content, at: zeroed(content, at[1], at[1] + 8192), 1),
    "zeros that look like whole records": (lambda content, at: zeroed(content, at[1], at[1] + 16 * 500), 1),
    "zeros from within a record over later ones": (lambda content, at: zeroed(content, at[1] + 500, at[3] + 40), 1),
    "zeros to the end": (lambda content, at: zeroed(content, at[2] + 100, len(content)), 2),
    "zeros from the first byte": (lambda content, at: zeroed(content, 0, at[2]), 0),
    "CRLF": (lambda content, at: content.replace(b"\n", b"\r\n"), 0),
    "two records": (lambda content, at: flipped(content, at[1] + 600, at[3] + 700), 1),
    "a record, and the next one's length": (lambda content, at: flipped(content, at[1] + 600, at[2] + 6), 1),
    "a length's checksum, and a later length": (lambda content, at: flipped(content, at[1] + 9, at[3] + 5), 1),
    "a record of a shard that is cut in a header": (lambda content, at: flipped(content[:at[4] + 5], at[2] - 9), 1),
    "bytes that are missing": (lambda content, at: content[:at[1] + 300] + content[at[1] + 400:], 1),
}


def of_check_data(paths):
    """The sentences of check_data."""
    return "".join(shard.damage or "" for shard in survey.read_shards(paths))


@pytest.mark.parametrize("name", sorted(DAMAGES))
def test_the_first_damaged_record_is_named(shards, name):
    """Whatever follows it."""
    damaged, record = DAMAGES[name]
    offsets = complaints.record_offsets(shards[1])
    with open(shards[1], "rb") as stream:
        content = stream.read()
    with open(shards[1], "wb") as stream:
        stream.write(damaged(content, offsets))
    for told in complaints.of_evaluation(shards), of_check_data(shards):
        assert complaints.names_corrupt_record(told, shards[1], record)


@pytest.mark.parametrize("walked_bytes", [0, tfrecord.WALKED_BYTES])  # the damage is found in the pass, and before
@pytest.mark.parametrize("reads", sorted(complaints.EVERY_READER))
def test_every_reader_names_the_first_damaged_record(tmp_path, monkeypatch, reads, walked_bytes):
    paths = records.write_shards(tmp_path, num_shards=2, videos=4, rated=True)
    monkeypatch.setattr(tfrecord, "WALKED_BYTES", walked_bytes)
    with open(paths[1], "r+b") as stream:
        stream.seek(complaints.record_offsets(paths[1])[1])
        stream.write(bytes(8192))
    assert complaints.names_corrupt_record(complaints.EVERY_READER[reads](paths), paths[1], 1)


def test_a_healthy_shard_is_not_blamed_for_another_with_the_same_beginning(tmp_path):
    """Also if the damaged record of the other one begins where the healthy one ends."""
    videos = [records.random_record(seed, rated=True) for seed in range(5)]
    ends, whole, bad = (records.write(tmp_path / ("validate%04d" % number), videos[:count])
                        for number, count in enumerate([3, 5, 5]))
    for offset in (8, 500):  # in its length's checksum, in its data
        records.write(bad, videos)
        flip(bad, complaints.record_offsets(ends)[3] + offset)
        assert complaints.names_corrupt_record(complaints.of_evaluation([ends, whole, bad]), bad, 3)
    assert complaints.names_corrupt_record(of_check_data([ends, whole, bad]), bad, 3)


OTHER_KINDS = {
    "folder": os.mkdir, "socket": lambda path: socket.socket(socket.AF_UNIX).bind(path),
    "device": lambda path: os.symlink("/dev/zero", path)}


@pytest.mark.parametrize("kind", sorted(OTHER_KINDS))
def test_what_is_no_file_is_called_what_it_is(tmp_path, monkeypatch, kind):
    paths = records.write_shards(tmp_path, num_shards=1, videos=2, rated=True) + [str(tmp_path / "validate0001")]
    monkeypatch.chdir(tmp_path)  # the path of a socket may not be long
    OTHER_KINDS[kind]("validate0001")
    reading = complaints.EVERY_READER if kind == "device" else {"eval": complaints.of_evaluation}
    for read in [of_check_data] + list(reading.values()):
        assert read(paths) == "%s is a %s and no TFRecord file: correct the pattern." % (paths[1], kind)


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
