"""Batches hold every example as often as they should, and bad records are named."""
import os
import re
import struct
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from src.common import files
from src.common import program
from src.common.errors import InputError
from src.data import pipeline
from src.data import readers
from tests import records

FRAME_LEVEL = dict(feature_names="rgb,audio", feature_sizes="1024,128", frame_features=True, max_frames=12)
READERS = {
    "frame": FRAME_LEVEL,
    "segment": dict(FRAME_LEVEL, segment_labels=True),
    "video": dict(feature_names="mean_rgb,mean_audio", feature_sizes="1024,128", frame_features=False),
}
RATINGS = [(0, 7, 1), (5, 9, 0)]
RGB, AUDIO = records.random_frames(1, 12)


def reader_of(kind):
    return readers.create(**READERS[kind])


def shards_of(kind, folder, **sizes):
    return records.write_shards(folder, is_frame_level=kind != "video", rated=kind == "segment", **sizes)


def good(kind, seed=0):
    return records.random_record(seed, is_frame_level=kind != "video", rated=kind == "segment")


def ids(batches):
    return [video_id for batch in batches for video_id in batch["id"].tolist()]


def complaint(paths, kind="frame", frame_indices=None):
    """What a program that evaluates `paths` tells its user; None if nothing is wrong."""
    try:
        with pipeline.explained(paths):
            records.fetch(pipeline.evaluation_batches(reader_of(kind), paths, 4, frame_indices, 2))
    except (InputError, tf.errors.OpError) as error:
        message = program.sentence(error)
        assert message, error
        return message


def expected_ids(kind, videos):
    starts = [":0", ":5"] if kind == "segment" else [""]
    return [("v%03d%s" % (video, start)).encode() for video in range(videos) for start in starts]


@pytest.mark.parametrize("kind", sorted(READERS))
def test_evaluation_reads_each_example_once_in_the_same_order_each_time(kind, tmp_path):
    paths = shards_of(kind, tmp_path, num_shards=3, videos=4)
    runs = [ids(records.fetch(pipeline.evaluation_batches(reader_of(kind), paths, 5, None, 2)))
            for _ in range(2)]
    assert sorted(runs[0]) == expected_ids(kind, 12)
    assert runs[0] == runs[1]


@pytest.mark.parametrize("kind", sorted(READERS))
def test_training_reads_each_example_num_epochs_times(kind, tmp_path):
    paths = shards_of(kind, tmp_path, num_shards=3, videos=4)
    batches = pipeline.training_batches(reader_of(kind), paths, 5, None, num_epochs=3, num_readers=2)
    assert sorted(ids(records.fetch(batches))) == sorted(3 * expected_ids(kind, 12))


@pytest.mark.parametrize("kind", sorted(READERS))
def test_training_shuffles_examples_across_shards(kind, tmp_path):
    paths = shards_of(kind, tmp_path, num_shards=2, videos=10)
    seen = [ids(records.fetch(pipeline.training_batches(reader_of(kind), paths, 20, None, 1, 2))) for _ in range(2)]
    in_order = ids(records.fetch(pipeline.evaluation_batches(reader_of(kind), paths, 20, None, 2)))
    assert seen[0] != seen[1]
    assert in_order not in seen
    half = len(in_order) // 2
    assert len({video_id.split(b":")[0] >= b"v010" for video_id in seen[0][:half]}) == 2


def test_training_without_num_epochs_does_not_end(tmp_path):
    paths = records.write_shards(tmp_path, num_shards=1, videos=2)
    batches = pipeline.training_batches(reader_of("frame"), paths, 2, None, num_epochs=None, num_readers=1)
    assert len(records.fetch(batches.take(5))) == 5


def test_training_batches_hold_just_the_frames_asked_for(tmp_path):
    paths = records.write_shards(tmp_path, num_shards=1, videos=3)
    batches = records.fetch(pipeline.training_batches(
        reader_of("frame"), paths, 3, lambda num_frames: tf.stack([num_frames - 1, 0]), 1, 1))
    for video_id, frames in zip(batches[0]["id"], batches[0]["frames"]):
        expected = np.concatenate(records.random_frames(int(video_id[1:]), 12), axis=1)
        np.testing.assert_array_equal(frames, expected[[11, 0]])


def test_read_ratings_gives_every_rating_of_every_shard(tmp_path):
    rated = records.frame_level(b"abcd", RGB, AUDIO, labels=[1], ratings=RATINGS)
    unrated = records.frame_level(b"wxyz", RGB, AUDIO, labels=[1])
    paths = [records.write(tmp_path / "a", [rated, unrated]), records.write(tmp_path / "b", [
        records.frame_level(b"efgh", RGB, AUDIO, ratings=[(0, 3861, 1), (0, 0, 0)])])]
    segment_ids, labels, scores = pipeline.read_ratings(paths)
    assert sorted(zip(segment_ids.tolist(), labels.tolist(), scores.tolist())) == [
        (b"abcd:0", 7, 1), (b"abcd:5", 9, 0), (b"efgh:0", 0, 0), (b"efgh:0", 3861, 1)]


@pytest.mark.parametrize("kind", ["frame", "video"])
def test_read_ratings_of_records_without_any_says_where_they_are_found(kind, tmp_path):
    with pytest.raises(InputError, match="no segment ratings: segment labels come from 3/frame/validate"):
        pipeline.read_ratings(shards_of(kind, tmp_path, num_shards=1))


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
    assert names_corrupt_record(complaint(shards), shards[2], record)


@pytest.mark.parametrize("bytes_left", [12, 13, 5000, -1])
def test_a_truncated_shard_is_named(shards, bytes_left):
    start, end = record_offsets(shards[1])[3:5]
    os.truncate(shards[1], (start if bytes_left > 0 else end) + bytes_left)
    assert names_corrupt_record(complaint(shards), shards[1], 3)


def test_of_two_corrupt_shards_each_is_named_with_its_own_record(shards):
    flip(shards[1], record_offsets(shards[1])[1] + 6)  # record 1 seems to go on beyond the end of the file
    start = record_offsets(shards[2])[4]
    flip(shards[2], start + 500)
    assert names_corrupt_record(complaint(shards[:2]), shards[1], 1)
    with pytest.raises(InputError) as error, pipeline.explained(shards):
        raise tf.errors.DataLossError(None, None, "corrupted record at %d" % (start + 12))
    assert names_corrupt_record(str(error.value), shards[2], 4)


def test_read_ratings_names_a_corrupt_record(tmp_path):
    paths = records.write_shards(tmp_path, rated=True)
    flip(paths[1], record_offsets(paths[1])[1] + 500)
    with pytest.raises(InputError) as error:
        pipeline.read_ratings(paths)
    assert names_corrupt_record(str(error.value), paths[1], 1)


OTHER_FORMATS = {
    "random bytes": bytes(np.random.RandomState(0).randint(0, 256, 200, np.uint8)),
    "text": b"label,score\n",
    "nothing": b"",
    "TensorBoard event": tf.compat.v1.Event(wall_time=1.5, file_version="brain.Event:2").SerializeToString(),
    "cut short": records.random_record(0)[:-5],
    "image": tf.train.Example(features=tf.train.Features(feature={
        "image/encoded": records.bytes_feature([bytes(range(256))])})).SerializeToString(),
}
NOT_THE_FORMAT = {
    "video": "is not a video-level Example with id and mean_rgb (1024 floats), mean_audio (128 floats): "
             "check --feature_names, --feature_sizes and --frame_features.",
    "frame": "is not a frame-level SequenceExample with id, rgb, audio: check --feature_names and "
             "--frame_features."}
NOT_THE_FORMAT["segment"] = NOT_THE_FORMAT["frame"]


def assert_named(tmp_path, kind, bad, told, frame_indices=None):
    """A shard whose record 2 is bad is refused, and `told` said of that record."""
    path = records.write(tmp_path / "validate0000", [good(kind), good(kind), bad, good(kind)])
    assert complaint([path], kind, frame_indices) == "%s, record 2, %s" % (path, told)


@pytest.mark.parametrize("kind", ["frame", "video"])
@pytest.mark.parametrize("form", sorted(OTHER_FORMATS))
def test_a_record_of_another_format_is_named(kind, form, tmp_path):
    assert_named(tmp_path, kind, OTHER_FORMATS[form], NOT_THE_FORMAT[kind])


@pytest.mark.parametrize("kind, other", [("frame", "video"), ("segment", "video"), ("video", "frame")])
def test_frame_level_and_video_level_records_are_told_apart(kind, other, tmp_path):
    assert_named(tmp_path, kind, good(other), NOT_THE_FORMAT[kind])


def test_read_ratings_names_a_record_of_another_format(tmp_path):
    paths = records.write_shards(tmp_path, num_shards=1, rated=True)
    for form in "random bytes", "nothing":
        path = records.write(tmp_path / "other", [good("segment"), OTHER_FORMATS[form]])
        with pytest.raises(tf.errors.OpError) as error:
            pipeline.read_ratings(paths + [path])
        assert program.sentence(error.value).startswith("%s, record 1, is not a frame-level" % path)


def video(rgb=RGB, audio=AUDIO, **context):
    return records.frame_level(b"abcd", rgb, audio, **context)


def mean(mean_rgb=np.ones(1024), mean_audio=np.ones(128), labels=()):
    return records.video_level(b"abcd", mean_rgb, mean_audio, labels)


def without_a_score():
    """A video whose ratings lack one score."""
    parsed = tf.train.SequenceExample.FromString(video(ratings=RATINGS))
    parsed.context.feature["segment_scores"].float_list.value.pop()
    return parsed.SerializeToString()


LABEL_OUTSIDE = "has a label outside 0..3861: replace the shard or remove the record."


MISMATCH = ("has segment_start_times, segment_labels and segment_scores that do not match, or a negative "
            "start: replace the shard.")
BAD_FEATURES = {
    "no rgb": ("frame", video(rgb=None), NOT_THE_FORMAT["frame"]),
    "no audio": ("segment", video(audio=None, ratings=RATINGS), NOT_THE_FORMAT["segment"]),
    "no mean_audio": ("video", mean(mean_audio=None), NOT_THE_FORMAT["video"]),
    "rgb too short": ("frame", video(rgb=RGB[:, 1:]),
                      "holds rgb frames that are not 1024 bytes long: check --feature_sizes."),
    "frames without audio": ("segment", video(audio=list(AUDIO[:7]) + [b""] * 5, ratings=RATINGS),
                             "holds audio frames that are not 128 bytes long: check --feature_sizes."),
    "mean_audio too short": ("video", mean(mean_audio=np.ones(127)), NOT_THE_FORMAT["video"]),
    "fewer audio than rgb": ("frame", video(audio=AUDIO[:11]),
                             "holds different numbers of frames of rgb, audio: replace the shard."),
    "label too high": ("frame", video(labels=[0, 3862]), LABEL_OUTSIDE),
    "label negative": ("frame", video(labels=[-1]), LABEL_OUTSIDE),
    "segment label too high": ("segment", video(ratings=[(0, 5, 1), (5, 3862, 0)]), LABEL_OUTSIDE),
    "segment label negative": ("segment", video(ratings=[(0, -1, 1)]), LABEL_OUTSIDE),
    "video-level label too high": ("video", mean(labels=[3862]), LABEL_OUTSIDE),
    "video-level label negative": ("video", mean(labels=[-1]), LABEL_OUTSIDE),
    "ratings without frames": ("segment", video([], [], ratings=RATINGS),
                               "holds no frames: remove the record."),
    "negative start": ("segment", video(ratings=[(-5, 1, 1)]), MISMATCH),
    "score missing": ("segment", without_a_score(), MISMATCH),
}


@pytest.mark.parametrize("name", sorted(BAD_FEATURES))
def test_a_record_with_a_bad_feature_is_named(tmp_path, name):
    assert_named(tmp_path, *BAD_FEATURES[name])


@pytest.mark.parametrize("kind", sorted(READERS))
def test_a_record_without_an_id_is_named(tmp_path, kind):
    if kind == "video":
        bad = tf.train.Example.FromString(good(kind))
        del bad.features.feature["id"]
    else:
        bad = tf.train.SequenceExample.FromString(good(kind))
        del bad.context.feature["id"]
    assert_named(tmp_path, kind, bad.SerializeToString(), NOT_THE_FORMAT[kind])


def test_training_names_a_record_without_frames(tmp_path):
    assert_named(tmp_path, "frame", video([], [], labels=[1]), "holds no frames: remove the record.",
                 frame_indices=lambda num_frames: num_frames - tf.constant([1]))


@pytest.mark.parametrize("ratings", [[(0, 5, 1), (5, 3862, 0)], [(-5, 5, 1)]])
def test_read_ratings_names_a_record_with_bad_ratings(tmp_path, ratings):
    path = records.write(tmp_path / "validate0000", [good("segment"), video(ratings=ratings)])
    with pytest.raises(tf.errors.OpError) as error:
        pipeline.read_ratings([path])
    assert program.sentence(error.value).startswith("%s, record 1, has " % path)


def test_a_shard_that_vanished_is_named(tmp_path):
    path = str(tmp_path / "validate0000")
    assert complaint([path]).startswith(path)


SESSIONS = """
import sys
import tensorflow as tf
from src.data import pipeline, readers

tf.compat.v1.logging.set_verbosity("ERROR")
reader = readers.create("rgb,audio", "1024,128", frame_features=True)
batches = tf.compat.v1.data.make_initializable_iterator(pipeline.training_batches(
    reader, sys.argv[1:], 4, lambda num_frames: num_frames - [1], num_epochs=None, num_readers=8))
batch = batches.get_next()
for _ in range(30):
    with tf.compat.v1.Session() as session:
        session.run(batches.initializer)
        for _ in range(3):
            session.run(batch)
print("read by 30 sessions")
"""


def test_sessions_may_close_while_the_training_data_is_being_read(tmp_path):
    paths = [records.write(tmp_path / ("train%04d" % shard), [records.random_record(shard, frames=300)] * 10)
             for shard in range(8)]
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", SESSIONS] + paths, cwd=files.PROJECT_DIR,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    assert (done.returncode, done.stdout) == (0, b"read by 30 sessions\n"), done.stderr.decode()


def test_a_shard_cut_within_a_record_length_is_named(tmp_path):
    paths = records.write_shards(tmp_path, num_shards=2, videos=2)
    pipeline.check_ends(paths)
    with open(paths[1], "rb+") as stream:
        stream.seek(0, os.SEEK_END)
        stream.write(b"\0" * 7)
    with pytest.raises(InputError, match="%s is truncated in its last record" % re.escape(paths[1])):
        pipeline.check_ends(paths)
