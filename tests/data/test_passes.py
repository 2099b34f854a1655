"""The counts of a pass over records, what it leaves out, and its messages."""
import logging
import os

import numpy as np
import pytest
import tensorflow as tf

from src.data import passes
from src.data import pipeline
from src.data import readers
from tests import complaints
from tests import records
from tests.complaints import reader_of

RGB, AUDIO = records.random_frames(1, 12)


@pytest.fixture(name="said")
def lines_of_the_log(caplog):
    """Function that returns the lines logged so far."""
    caplog.set_level(logging.INFO, "yt8m")
    return lambda: [record.getMessage() for record in caplog.records]


def evaluated(paths, kind="frame", num_readers=2):
    return records.fetch(pipeline.evaluation_batches(reader_of(kind), paths, 4, None, num_readers))


def ids(batches):
    return [name for batch in batches for name in batch["id"].tolist()]


def trained(paths, kind="frame", passes_over=1):
    return ids(records.fetch(pipeline.training_batches(reader_of(kind), paths, 4, None, passes_over, 2)))


# Ids that come twice.


def twice(kind, folder):
    """Two shards, the second of which begins with the second video of the first, and the log line about it."""
    def make(seed):
        return records.random_record(seed, is_frame_level=kind != "video", rated=kind == "segment")

    paths = [records.write(folder / "validate0000", [make(0), make(1), make(2)]),
             records.write(folder / "validate0001", [make(1), make(3)])]
    return paths, 'video "v001" is in %s, record 1, and again in %s, record 0: the first is kept' % tuple(paths)


@pytest.mark.parametrize("kind", sorted(complaints.READERS))
def test_of_an_id_that_comes_twice_the_first_video_is_kept_and_both_are_named(tmp_path, said, kind):
    paths, told = twice(kind, tmp_path)
    for _ in range(2):  # each pass begins anew
        found = ids(evaluated(paths, kind, num_readers=1))
        assert [name.split(b":")[0] for name in found][::2 if kind == "segment" else 1] == [
            b"v000", b"v001", b"v002", b"v003"]
    assert said() == [told] * 2


def test_of_an_id_that_comes_twice_the_first_videos_segments_are_scored(tmp_path, said):
    paths, told = twice("frame", tmp_path)
    reading = passes.Pass(paths, reader_of("frame").form)
    found = ids(records.fetch(pipeline.segment_batches(reader_of("frame"), reading, [0, 1], 4, 1)))
    assert sorted(found) == sorted(2 * [b"v%03d:%d" % (video, start) for video in range(4) for start in (0, 5, 10)])
    assert said() == [told]


def test_the_record_is_named_in_which_a_video_was_first(tmp_path, said):
    paths = [records.write(tmp_path / ("validate%04d" % number), map(records.random_record, seeds))
             for number, seeds in enumerate([(0, 1, 2, 3, 4), (5, 6), (7, 4, 6)])]
    evaluated(paths, "frame", num_readers=1)
    line = 'video "v%03d" is in %s, record %d, and again in %s, record %d: the first is kept'
    assert said() == [line % (4, paths[0], 4, paths[2], 1), line % (6, paths[1], 1, paths[2], 2)]


def test_of_a_video_that_is_left_out_no_other_record_is_scored(tmp_path):
    (path, other), _ = twice("frame", tmp_path)
    reading = passes.Pass([path, other], reader_of("frame").form, left_out=tf.constant([1], tf.int64))  # v001, first
    found = ids(records.fetch(pipeline.segment_batches(reader_of("frame"), reading, [0], 4, 1)))
    assert {name.split(b":")[0] for name in found} == {b"v000", b"v002", b"v003"}


def test_of_an_id_that_comes_twice_the_first_videos_ratings_are_read(tmp_path, said):
    first, other = [[(0, 7, score)] for score in (1, 0)]
    paths = [records.write(tmp_path / "a", [records.frame_level(b"abcd", RGB, AUDIO, ratings=first)]),
             records.write(tmp_path / "b", [records.frame_level(b"abcd", RGB, AUDIO, ratings=other)])]
    names, _, scores = pipeline.read_ratings(paths)
    assert (names.tolist(), scores.tolist()) == ([b"abcd:0"], [1])
    line, = said()
    assert line == 'video "abcd" is in %s, record 0, and again in %s, record 0: the first is kept' % tuple(paths)


def test_which_video_is_the_first_does_not_change_from_run_to_run(tmp_path):
    """With four shards read in parallel."""
    paths = []
    for shard in range(4):
        videos = [records.frame_level(b"v%d" % (video % 7), *records.random_frames(8 * shard + video, 12))
                  for video in range(8)]
        paths.append(records.write(tmp_path / ("validate%04d" % shard), videos))
    runs = [evaluated(paths, num_readers=4) for _ in range(3)]
    assert sorted(ids(runs[0])) == [b"v%d" % video for video in range(7)]
    for run in runs[1:]:
        for batch, again in zip(runs[0], run):
            np.testing.assert_array_equal(batch["frames"], again["frames"])


def test_a_folder_of_two_names_is_read_once_and_told_of_in_few_lines(tmp_path, said):
    (tmp_path / "data").mkdir()
    paths = records.write_shards(tmp_path / "data", num_shards=2, videos=9)
    os.symlink(str(tmp_path / "data"), str(tmp_path / "link"))
    assert len(ids(evaluated(paths + [path.replace("data", "link") for path in paths]))) == 18
    lines = said()
    assert len(lines) == passes.MAX_LINES + 1
    assert lines[-1] == "18 records in all are of videos that occurred before: the first of each is kept"


def test_training_takes_a_video_as_often_as_it_stands_there(tmp_path, said):
    assert sorted(trained(twice("frame", tmp_path)[0])) == [b"v000", b"v001", b"v001", b"v002", b"v003"]
    assert said() == []


# Ratings.


def write_rated(folder, ratings, frames=8):
    return records.write(folder / "validate0000", [
        records.frame_level(b"abcd", *records.random_frames(1, frames), ratings=ratings)])


def test_of_a_class_rated_twice_the_last_rating_counts(tmp_path):
    path = write_rated(tmp_path, [(0, 7, 1), (0, 9, 0), (0, 7, 0), (0, 9, 1)])
    for batches in (pipeline.evaluation_batches(reader_of("segment"), [path], 4, None, 2),
                    pipeline.training_batches(reader_of("segment"), [path], 4, None, 1, 2)):
        batch, = records.fetch(batches, readers.dense_labels)
        assert np.flatnonzero(batch[0]).tolist() == [9]


def test_ratings_after_the_last_frame_are_zeros_and_counted_in_one_line(tmp_path, said):
    path = write_rated(tmp_path, [(5, 7, 1), (8, 7, 1), (10, 7, 0), (10, 9, 1)])  # of eight frames
    told = "3 of 4 ratings start after the last frame of their video: their frames are zeros"
    batch, = evaluated([path], "segment")
    assert batch["id"].tolist() == [b"abcd:5", b"abcd:8", b"abcd:10"]
    assert batch["frame_valid"].sum(axis=1).tolist() == [3, 0, 0]
    assert said() == [told]
    assert len(trained([path], "segment", passes_over=3)) == 9
    assert said() == [told] * 2  # not for each pass
    assert len(pipeline.read_ratings([path])[0]) == 4
    assert said() == [told] * 3


def test_scores_are_read_as_they_are(tmp_path):
    path = write_rated(tmp_path, [(0, 7, 1), (0, 9, -0.0), (5, 7, 0)])
    assert pipeline.read_ratings([path])[2].tolist() == [1, 0, 0]


# No labels at all.


@pytest.mark.parametrize("kind", ["frame", "video"])
def test_records_without_any_label_stop_training_and_evaluation(tmp_path, kind):
    unlabelled = (
        [records.frame_level(b"v%d" % video, RGB, AUDIO) for video in range(6)] if kind == "frame" else
        [records.video_level(b"v%d" % video, np.ones(1024), np.ones(128)) for video in range(6)])
    path = records.write(tmp_path / "test0000", unlabelled)
    told = ("None of the 6 videos in the 1 shards such as %s has a label: labels come with the train and validate "
            "partitions, not with test." % path)
    assert complaints.of_training([path], kind) == told
    assert complaints.of_evaluation([path], kind, purpose=passes.EVALUATION) == told
    assert complaints.of_evaluation([path], kind) is None  # inference needs none
    some = records.write(tmp_path / "train0000", [records.random_record(9, 12, is_frame_level=kind == "frame")])
    assert complaints.of_training([path, some], kind) is None
    assert complaints.of_evaluation([path, some], kind, purpose=passes.EVALUATION) is None


def test_ratings_of_which_none_is_positive_stop_evaluation_and_are_told_of_in_training(tmp_path, said):
    path = write_rated(tmp_path, [(0, 7, 0), (5, 7, 0)])
    told = "None of the 2 ratings in the 1 shards such as %s is positive: give more shards." % path
    assert complaints.of_training([path], "segment") is None
    assert said() == [told]
    assert complaints.of_evaluation([path], "segment", purpose=passes.EVALUATION) == told


@pytest.mark.parametrize("kind, content", [("segment", "unrated"), ("segment", "empty"), ("frame", "empty"),
                                           ("video", "empty")])
def test_training_without_end_ends_when_a_pass_yields_nothing(tmp_path, kind, content):
    path = records.write(tmp_path / "train0000", [records.random_record(1)] if content == "unrated" else [])
    assert trained([path], kind, passes_over=None) == []


def test_shards_come_in_their_order_unless_they_are_shuffled():
    paths = ["shard%03d" % number for number in range(50)]
    reading = passes.Pass(paths, reader_of("frame").form)

    def read(*args):
        return [(path.decode(), number) for path, number in records.fetch(reading.shards(*args))]

    in_order = list(zip(paths, range(50)))
    assert read() == in_order
    shuffled = read(True)
    assert shuffled != in_order and sorted(shuffled) == in_order
