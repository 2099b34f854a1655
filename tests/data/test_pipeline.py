"""Batches hold every example as often as they should."""
import numpy as np
import pytest
import tensorflow as tf

from src.common import runtime
from src.common.errors import InputError
from src.data import passes
from src.data import pipeline
from src.models import sampling
from tests import declared
from tests import records
from tests.complaints import READERS
from tests.complaints import reader_of
from tests.programs import runner

RATINGS = [(0, 7, 1), (5, 9, 0)]
RGB, AUDIO = records.random_frames(1, 12)


def shards_of(kind, folder, **sizes):
    return records.write_shards(folder, is_frame_level=kind != "video", rated=kind == "segment", **sizes)


def ids(batches):
    return [video_id for batch in batches for video_id in batch["id"].tolist()]


def expected_ids(kind, videos):
    starts = [":0", ":5"] if kind == "segment" else [""]
    return [("v%03d%s" % (video, start)).encode() for video in range(videos) for start in starts]


@pytest.mark.parametrize("kind", sorted(READERS))
def test_evaluation_reads_each_example_once_in_the_same_order_each_time(kind, tmp_path):
    paths = shards_of(kind, tmp_path, num_shards=3, videos=4)
    batches = records.Pipeline(lambda paths: pipeline.evaluation_batches(reader_of(kind), paths, 5, None, 2))
    runs = [ids(batches.read(paths)) for _ in range(2)]
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
    batches = records.Pipeline(lambda paths: pipeline.training_batches(reader_of(kind), paths, 20, None, 1, 2))
    seen = [ids(batches.read(paths)) for _ in range(2)]
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
        reader_of("frame"), paths, 3, lambda num_frames: num_frames[:, tf.newaxis] * [1, 0] - [1, 0], 1, 1))
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


def test_of_a_class_rated_twice_the_last_rating_is_read(tmp_path):
    ratings = [(5, 7, 1), (0, 7, 1), (0, 9, 1), (0, 7, 0), (0, 7, 1), (0, 9, 0)]
    path = records.write(tmp_path / "a", [records.frame_level(b"abcd", RGB, AUDIO, ratings=ratings)])
    segment_ids, labels, scores = pipeline.read_ratings([path])
    assert list(zip(segment_ids.tolist(), labels.tolist(), scores.tolist())) == [
        (b"abcd:5", 7, 1), (b"abcd:0", 7, 1), (b"abcd:0", 9, 0)]


@pytest.mark.parametrize("kind", ["frame", "video"])
def test_read_ratings_of_records_without_any_says_where_they_are_found(kind, tmp_path):
    with pytest.raises(InputError, match="no segment ratings: segment labels come from 3/frame/validate"):
        pipeline.read_ratings(shards_of(kind, tmp_path, num_shards=1))


def open_and_close_sessions(paths):
    """Reads training data in many sessions, one after the other, each of which closes while reading goes on."""
    reader = reader_of("frame")
    batches = tf.compat.v1.data.make_initializable_iterator(pipeline.training_batches(
        reader, paths, 4, lambda num_frames: num_frames[:, None] - 1, num_epochs=None, num_readers=8))
    batch = batches.get_next()
    for _ in range(30):
        with tf.compat.v1.Session() as session:
            session.run(batches.initializer)
            for _ in range(3):
                session.run(batch)
    print("read by 30 sessions")


def test_sessions_may_close_while_the_training_data_is_being_read(tmp_path):
    paths = [records.write(tmp_path / ("train%04d" % shard), [records.random_record(shard, frames=100)] * 10)
             for shard in range(8)]
    with runner.Process(open_and_close_sessions, paths) as process:
        assert process.wait() == 0 and process.output == "read by 30 sessions\n", process.errors


@pytest.mark.skipif(not runtime.IS_2, reason="an iterator of TensorFlow 1.15 waits for no thread that tunes it")
def test_no_iterator_waits_for_a_thread_that_tunes_it(tmp_path):
    paths, reader = shards_of("segment", tmp_path), reader_of("segment")
    for batches in (pipeline.training_batches(reader, paths, 4, None, 1, 2),
                    pipeline.evaluation_batches(reader, paths, 4, None, 2),
                    pipeline.segment_batches(reader_of("frame"), passes.Pass(paths, reader.form), [0], 4, 2)):
        assert batches.options().autotune.enabled is False


def test_the_flag_of_readers_has_the_starter_codes_name(monkeypatch):
    assert declared.flags_of(monkeypatch, pipeline) == dict(num_readers=8)


def seeded(kind, paths, seed, num_epochs=2):
    """Ids and frames of the batches of a training with random frames."""
    def random_frames(num_frames, seed=None):
        return sampling.training_indices(num_frames, 3, True, seed)

    batches = records.fetch(pipeline.training_batches(
        reader_of(kind), paths, 4, random_frames, num_epochs, num_readers=2, seed=seed))
    name = "features" if kind == "video" else "frames"
    return ids(batches), np.concatenate([batch[name] for batch in batches])


@pytest.mark.parametrize("kind", sorted(READERS))
def test_a_seed_repeats_the_batches_and_another_one_does_not(kind, tmp_path):
    paths = shards_of(kind, tmp_path, num_shards=5, videos=4)
    (first, frames), (again, same), (other, _) = [seeded(kind, paths, seed) for seed in (5, 5, 6)]
    assert first == again and first != other and sorted(first) == sorted(other)
    np.testing.assert_array_equal(frames, same)


def test_each_pass_of_a_seed_has_another_order_and_other_frames(tmp_path):
    paths = shards_of("frame", tmp_path, num_shards=9, videos=1, frames=200)
    batches = pipeline.training_batches(reader_of("frame"), paths, 1, lambda num_frames, seed: (
        sampling.training_indices(num_frames, 3, True, seed)), 2, num_readers=1, seed=1)
    of_video = {}
    for batch in records.fetch(batches):
        of_video.setdefault(batch["id"][0], []).append(batch["frames"][0])
    assert sorted(of_video) == expected_ids("frame", 9)
    assert not any(np.array_equal(first, second) for first, second in of_video.values())


def test_a_seed_shuffles_the_shards_anew_in_each_pass(tmp_path):
    paths = shards_of("frame", tmp_path, num_shards=9, videos=1)
    reading = passes.Pass(paths, reader_of("frame").form, seed=3)
    orders = [[path for path, _ in records.fetch(reading.shards(shuffle=True).repeat(2))] for _ in range(2)]
    assert orders[0] == orders[1] and orders[0][:9] != orders[0][9:]
    assert sorted(orders[0][:9]) == sorted(orders[0][9:]) == [path.encode() for path in paths]
