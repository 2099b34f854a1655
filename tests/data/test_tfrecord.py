"""Shards that are cut, empty or gone are named by every reader, in the pass that meets them."""
import os
import struct

import pytest
import tensorflow as tf

from src.common import files
from src.data import damage
from src.data import pipeline
from src.data import tfrecord
from tests import complaints
from tests import records


def test_a_shard_that_vanished_is_named(tmp_path):
    path = str(tmp_path / "validate0000")
    assert complaints.of_evaluation([path]).startswith(path)


@pytest.mark.parametrize("reads, bytes_left", [("eval", 1), ("eval", 7), ("eval", 8), ("eval", 11), ("train", 5),
                                               ("inference", 5), ("ratings", 5)])
def test_a_shard_cut_within_a_record_header_is_named_by_every_reader(tmp_path, monkeypatch, reads, bytes_left):
    paths = records.write_shards(tmp_path, num_shards=3, videos=2, rated=True)
    position = complaints.record_offsets(paths[1])[1]
    os.truncate(paths[1], position + bytes_left)
    for walked_bytes in 0, tfrecord.WALKED_BYTES:  # found at the end of the pass, and before
        monkeypatch.setattr(tfrecord, "WALKED_BYTES", walked_bytes)
        assert complaints.names_corrupt_record(complaints.EVERY_READER[reads](paths), paths[1], 1)


@pytest.mark.parametrize("reads", sorted(complaints.EVERY_READER))
def test_an_empty_shard_among_others_is_told_of(tmp_path, caplog, reads):
    paths = records.write_shards(tmp_path, num_shards=3, videos=2, rated=True)
    os.truncate(paths[1], 0)
    with caplog.at_level("INFO", "yt8m"):
        assert complaints.EVERY_READER[reads](paths) is None
    told = "1 of 3 shards are empty, such as %s: if they were downloaded, fetch them again" % paths[1]
    assert caplog.messages.count(told) == 1


def test_a_cut_shard_is_named_where_records_are_video_level(tmp_path):
    paths = records.write_shards(tmp_path, is_frame_level=False)
    os.truncate(paths[1], complaints.record_offsets(paths[1])[2] + 5)
    for told in complaints.of_evaluation(paths, "video"), complaints.of_training(paths, "video"):
        assert complaints.names_corrupt_record(told, paths[1], 2)


def test_a_cut_shard_is_named_by_the_pass_that_meets_it(tmp_path, monkeypatch):
    """Also a later pass of training."""
    paths = records.write_shards(tmp_path, num_shards=2, videos=30)
    monkeypatch.setattr(tfrecord, "WALKED_BYTES", 0)
    reader = complaints.reader_of("frame")
    batch = tf.compat.v1.data.make_one_shot_iterator(pipeline.training_batches(
        reader, paths, 1, lambda num_frames: num_frames[:, tf.newaxis] - 1, None, 2)).get_next()

    def train():
        with tf.compat.v1.Session() as session, damage.explained(paths, reader.form):
            for step in range(500):
                if step == 60:
                    os.truncate(paths[0], complaints.record_offsets(paths[0])[20] + 5)
                session.run(batch)

    assert complaints.names_corrupt_record(complaints.sentence(train), paths[0], 20)


def test_a_shard_that_is_replaced_while_it_is_read_is_no_damage(tmp_path, monkeypatch):
    paths = records.write_shards(tmp_path, num_shards=2, videos=3)
    sizes = files.sizes(paths)
    monkeypatch.setattr(files, "sizes", lambda paths: [sizes[0] + 1] + sizes[1:])
    assert complaints.of_evaluation(paths) is None


def test_a_shard_that_vanishes_while_it_is_read_is_named(tmp_path, monkeypatch):
    paths = records.write_shards(tmp_path, num_shards=2, videos=3)
    sizes = files.sizes
    monkeypatch.setattr(files, "sizes", lambda paths: os.remove(paths[1]) or sizes(paths))
    told = complaints.of_evaluation(paths)
    assert told == "%s; No such file or directory: check the path and your permissions." % paths[1]


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
    assert complaints.names_corrupt_record(complaints.of_evaluation([path]), path, index)
