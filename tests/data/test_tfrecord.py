"""Damaged shards are named by every reader, in the pass that meets them."""
import bz2
import gzip
import os
import re
import struct

import pytest
import tensorflow as tf

from src.common import files
from src.common.errors import InputError
from src.data import pipeline
from src.data import tfrecord
from tests import complaints
from tests import records


def record_offsets(path):
    """Where each record of a shard begins, and where the last one ends."""
    with open(path, "rb") as stream:
        content = stream.read()
    offsets = [0]
    while offsets[-1] < len(content):
        offsets.append(offsets[-1] + 16 + struct.unpack_from("<Q", content, offsets[-1])[0])
    return offsets


@pytest.fixture(name="shards")
def three_shards(tmp_path):
    """Five records each; those of the first shard are shorter."""
    return records.write_shards(tmp_path, 1, 5, frames=3, name="validate%04d") + records.write_shards(
        tmp_path, 2, 5, name="train%04d")


def names_corrupt_record(message, path, record):
    return re.fullmatch(r"%s, record %d \(byte [0-9]+\), is truncated or corrupt: fetch the shard again or "
                        "leave it out." % (re.escape(path), record), message)


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
    offsets = record_offsets(shards[2])
    start, end = offsets[record:record + 2]
    flip(shards[2], {"length": start + 6, "its checksum": start + 8, "data": (start + end) // 2,
                     "checksum": end - 2}[place])
    assert names_corrupt_record(complaints.of_evaluation(shards), shards[2], record)


@pytest.mark.parametrize("bytes_left", [12, 13, 5000, -1])
def test_a_truncated_shard_is_named(shards, bytes_left):
    start, end = record_offsets(shards[1])[3:5]
    os.truncate(shards[1], (start if bytes_left > 0 else end) + bytes_left)
    assert names_corrupt_record(complaints.of_evaluation(shards), shards[1], 3)


def test_of_two_corrupt_shards_each_is_named_with_its_own_record(shards):
    flip(shards[1], record_offsets(shards[1])[1] + 6)  # record 1 seems to go on beyond the end of the file
    start = record_offsets(shards[2])[4]
    flip(shards[2], start + 500)
    assert names_corrupt_record(complaints.of_evaluation(shards[:2]), shards[1], 1)
    with pytest.raises(InputError) as error, tfrecord.explained(shards, complaints.reader_of("frame").form):
        raise tf.errors.DataLossError(None, None, "corrupted record at %d" % (start + 12))
    assert names_corrupt_record(str(error.value), shards[2], 4)


def test_a_shard_that_vanished_is_named(tmp_path):
    path = str(tmp_path / "validate0000")
    assert complaints.of_evaluation([path]).startswith(path)


@pytest.mark.parametrize("reads, bytes_left", [("eval", 1), ("eval", 7), ("eval", 8), ("eval", 11), ("train", 5),
                                               ("inference", 5), ("ratings", 5)])
def test_a_shard_cut_within_a_record_header_is_named_by_every_reader(tmp_path, monkeypatch, reads, bytes_left):
    paths = records.write_shards(tmp_path, num_shards=3, videos=2, rated=True)
    position = record_offsets(paths[1])[1]
    os.truncate(paths[1], position + bytes_left)
    for walked_bytes in 0, tfrecord.WALKED_BYTES:  # found at the end of the pass, and before
        monkeypatch.setattr(tfrecord, "WALKED_BYTES", walked_bytes)
        assert names_corrupt_record(complaints.EVERY_READER[reads](paths), paths[1], 1)


@pytest.mark.parametrize("reads", sorted(complaints.EVERY_READER))
def test_an_empty_shard_among_others_is_fine(tmp_path, reads):
    paths = records.write_shards(tmp_path, num_shards=3, videos=2, rated=True)
    os.truncate(paths[1], 0)
    assert complaints.EVERY_READER[reads](paths) is None


def test_a_cut_shard_is_named_where_records_are_video_level(tmp_path):
    paths = records.write_shards(tmp_path, is_frame_level=False)
    os.truncate(paths[1], record_offsets(paths[1])[2] + 5)
    for told in complaints.of_evaluation(paths, "video"), complaints.of_training(paths, "video"):
        assert names_corrupt_record(told, paths[1], 2)


def test_a_cut_shard_is_named_by_the_pass_that_meets_it(tmp_path, monkeypatch):
    """Also a later pass of training."""
    paths = records.write_shards(tmp_path, num_shards=2, videos=30)
    monkeypatch.setattr(tfrecord, "WALKED_BYTES", 0)
    reader = complaints.reader_of("frame")
    batch = tf.compat.v1.data.make_one_shot_iterator(pipeline.training_batches(
        reader, paths, 1, lambda num_frames: num_frames - [1], None, 2)).get_next()

    def train():
        with tf.compat.v1.Session() as session, tfrecord.explained(paths, reader.form):
            for step in range(500):
                if step == 60:
                    os.truncate(paths[0], record_offsets(paths[0])[20] + 5)
                session.run(batch)

    assert names_corrupt_record(complaints.sentence(train), paths[0], 20)


def test_a_shard_that_is_replaced_while_it_is_read_is_no_damage(tmp_path, monkeypatch):
    paths = records.write_shards(tmp_path, num_shards=2, videos=3)
    total = files.total_bytes(paths)
    monkeypatch.setattr(files, "total_bytes", lambda paths: total + 1)
    assert complaints.of_evaluation(paths) is None


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


def test_a_shard_that_vanishes_while_it_is_read_is_named(tmp_path, monkeypatch):
    paths = records.write_shards(tmp_path, num_shards=2, videos=3)
    total_bytes = files.total_bytes
    monkeypatch.setattr(files, "total_bytes", lambda paths: os.remove(paths[1]) or total_bytes(paths))
    told = complaints.of_evaluation(paths)
    assert told == "%s; No such file or directory: check the path and your permissions." % paths[1]


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


def masked_crc(content):
    """TFRecord's checksum: CRC-32C (Castagnoli), bit by bit, rotated, with a constant added."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@pytest.mark.parametrize("length", [2 ** 40, 2 ** 62, 10 ** 6])
@pytest.mark.parametrize("index", [0, 2])
def test_a_forged_length_with_a_right_checksum_is_named(tmp_path, length, index):
    """TensorFlow would end the process."""
    path = records.write(tmp_path / "validate0000", [records.random_record(seed) for seed in range(index)])
    with open(path, "ab") as stream:
        stream.write(struct.pack("<QI", length, masked_crc(struct.pack("<Q", length))) + b"\0" * 100)
    assert names_corrupt_record(complaints.of_evaluation([path]), path, index)
