"""Synthetic records have YouTube-8M's format, are reproducible, and can be learnt from."""
import glob
import os
import types

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
import tensorflow as tf

from src import make_synthetic_data
from src.common.errors import InputError
from src.data import pipeline
from src.data import segment_ids
from src.data import segments
from src.data import shards
from src.data import synthetic
from src.data import vocabulary
from src.data import writing
from src.evaluation import ranking_metrics
from src.evaluation import ratings
from src.submission import ranked_csv
from tests.programs import runner

FOLDERS = ["2/frame/train", "2/frame/validate", "3/frame/validate", "3/frame/test"]
CLASSES = 8
MIN_FRAMES, MAX_FRAMES = 60, 120
RATING_KEYS = {"segment_start_times", "segment_end_times", "segment_labels", "segment_scores"}
CONTEXT_KEYS = {"2/frame/train": {"id", "labels"}, "2/frame/validate": {"id", "labels"},
                "3/frame/validate": {"id", "labels"} | RATING_KEYS, "3/frame/test": {"id"}}
TINY = dict(num_train_shards=1, num_validate_shards=2, num_test_shards=1, videos_per_shard=2, min_frames=25,
            max_frames=31)


def make(folder, **changes):
    """Runs the program's main with TINY sizes, updated by `changes`; returns the folder as str."""
    values = dict(TINY, output_dir=str(folder), naming="cloud", seed=0, num_classes=CLASSES, context=False,
                  segment_label_ids_file="segment_label_ids.csv")
    make_synthetic_data.main(types.SimpleNamespace(**dict(values, **changes)))
    return str(folder)


def contents(folder):
    """dict of path below `folder` -> bytes of all files, also hidden ones."""
    paths = [os.path.join(parent, name) for parent, _, names in os.walk(str(folder)) for name in names]
    return {os.path.relpath(path, str(folder)): open(path, "rb").read() for path in paths}


def records(path):
    """SequenceExamples of a shard."""
    return [tf.train.SequenceExample.FromString(one) for one in tf.compat.v1.io.tf_record_iterator(path)]


def values(feature):
    """List of a Feature's values."""
    return list(getattr(feature, feature.WhichOneof("kind")).value)


def context(record):
    """dict of a record's context."""
    return {name: values(feature) for name, feature in record.context.feature.items()}


def frames(record):
    """uint8 [frames, 1152] of a record."""
    lists = record.feature_lists.feature_list
    return np.concatenate([[np.frombuffer(values(frame)[0], np.uint8) for frame in lists[name].feature]
                           for name in ("rgb", "audio")], axis=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Records to learn from, 20 videos per shard."""
    return make(tmp_path_factory.mktemp("synthetic"), num_train_shards=2, num_validate_shards=12,
                videos_per_shard=20, min_frames=MIN_FRAMES, max_frames=MAX_FRAMES)


@pytest.fixture(scope="module")
def partitions(folder):
    """dict of a partition's folder -> its SequenceExamples."""
    return {name: [record for path in sorted(glob.glob(os.path.join(folder, name, "*.tfrecord")))
                   for record in records(path)] for name in FOLDERS}


@pytest.mark.parametrize("name", FOLDERS)
def test_records_hold_what_youtube_8m_records_hold(partitions, name):
    rated_classes = set(segments.read_label_ids("segment_label_ids.csv"))
    for record in partitions[name]:
        kinds = {key: feature.WhichOneof("kind") for key, feature in record.context.feature.items()}
        assert set(kinds) == CONTEXT_KEYS[name]
        assert kinds.pop("id") == "bytes_list"
        assert kinds.pop("segment_scores", "float_list") == "float_list"
        assert set(kinds.values()) <= {"int64_list"}
        labels = context(record).get("labels", [])
        assert set(labels) <= rated_classes and len(set(labels)) == len(labels)
        assert set(record.feature_lists.feature_list) == {"rgb", "audio"}
        lengths = {key: len(part.feature) for key, part in record.feature_lists.feature_list.items()}
        assert lengths["rgb"] == lengths["audio"] and MIN_FRAMES <= lengths["rgb"] <= MAX_FRAMES
        for key, size in (("rgb", 1024), ("audio", 128)):
            part = record.feature_lists.feature_list[key].feature
            assert {len(values(frame)[0]) for frame in part} == {size}


def test_classes_of_ones_own_are_numbered_from_0(tmp_path):
    folder = make(tmp_path, segment_label_ids_file="", num_classes=3)
    path, = glob.glob(os.path.join(folder, "2/frame/train", "*.tfrecord"))
    assert {label for record in records(path) for label in context(record)["labels"]} <= set(range(3))


def test_videos_differ_in_length(partitions):
    lengths = [len(frames(record)) for record in partitions["2/frame/validate"]]
    assert max(lengths) == MAX_FRAMES
    assert len(set(lengths)) > 20 and any(length % 5 for length in lengths)


def test_ratings_are_of_whole_segments_and_of_the_videos_labels(partitions):
    numbers, scores = [], []
    for record in partitions["3/frame/validate"]:
        of_video = context(record)
        starts, labels = np.array(of_video["segment_start_times"]), np.array(of_video["segment_labels"])
        assert of_video["segment_end_times"] == (starts + 5).tolist()
        assert len(of_video["segment_scores"]) == len(starts) == len(labels)
        assert not np.any(starts % 5) and starts.min() >= 0 and starts.max() + 5 <= len(frames(record))
        assert set(labels) <= set(of_video["labels"])
        for label in set(labels):
            assert len(set(starts[labels == label])) == np.sum(labels == label) == 5
        numbers.append(len(set(labels)))
        scores += of_video["segment_scores"]
    assert set(numbers) == {1, 2} and np.mean(numbers) < 1.25
    assert set(scores) == {0.0, 1.0} and 0.3 < np.mean(scores) < 0.6


def test_ids_are_four_characters_and_unique(partitions):
    ids = [context(record)["id"][0] for name in FOLDERS for record in partitions[name]]
    assert all(len(one) == 4 and one.isalnum() for one in ids)
    assert len(set(ids)) == len(ids)


def test_ids_at_the_ends_of_the_largest_shards_are_unique():
    last = synthetic.MAX_VIDEOS_PER_SHARD - 1
    ids = {synthetic.video_id(partition, shard, video) for partition in synthetic.PARTITIONS
           for shard in (0, 1, 2, shards.NUM_SHARDS - 1) for video in (0, 1, 2, last - 1, last)}
    assert len(ids) == 4 * 4 * 5


def test_bytes_are_the_nearest_to_the_values():
    every_byte = np.arange(256, dtype=np.uint8)
    exact = every_byte * (4 / 255.0) + 4 / 512.0 - 2
    for offset in (-0.007, 0, 0.007):  # half a step is 0.00784
        np.testing.assert_array_equal(writing.quantize((exact + offset).astype(np.float32)), every_byte)
    np.testing.assert_array_equal(writing.quantize(np.float32([-9, 9])), [0, 255])


def test_classes_come_and_go_at_any_second():
    world = synthetic.create_world(np.arange(1000), CLASSES, seed=0)
    changes = set()
    for seed in range(30):
        active = synthetic.create_video(world, 25 + 9 * seed, synthetic.generator(seed, 1)).active
        assert np.all(active.any(axis=0)) and not np.any(active.all(axis=0))
        changes |= set((np.nonzero(active[1:] != active[:-1])[0] + 1) % 5)
    assert changes == {0, 1, 2, 3, 4}


def test_noise_is_fresh_each_second_and_lasts_some():
    """The covariance of seconds that are `lag` apart, by its formula."""
    noise = synthetic._noise(2000, synthetic.generator(0, 1)).astype(np.float64)
    fresh, lasting, seconds = synthetic.FRESH_NOISE, synthetic.LASTING_NOISE, synthetic.NOISE_SECONDS
    assert noise.shape == (2000, synthetic.FRAME_BYTES)
    for lag in 0, 1, 3, seconds - 1, seconds, 2 * seconds:
        both = (2 if lag == 0 else lag < seconds) * fresh * lasting / seconds ** .5
        expected = fresh ** 2 * (lag == 0) + lasting ** 2 * max(0, 1 - lag / seconds) + both
        assert np.mean(noise[:2000 - lag] * noise[lag:]) == pytest.approx(expected, abs=2e-4)


def test_a_class_adds_its_prototype_while_it_is_active_and_its_context_all_the_time():
    world = synthetic.create_world(list(range(40)), 8, 3)
    while_active, while_absent, contexts, other_contexts = [], [], [], []
    for seed in range(60):
        video = synthetic.create_video(world, 150, synthetic.generator(seed, 1))
        values = video.frames * (4 / 255) + 4 / 512 - 2
        shown = np.searchsorted(world.classes, video.labels)
        directions = np.concatenate([world.prototypes, world.contexts])
        strengths = np.linalg.lstsq(directions.T, values.T, rcond=None)[0]
        while_active += strengths[shown].T[video.active].tolist()
        while_absent += strengths[shown].T[~video.active].tolist()
        contexts += strengths[8 + shown].mean(axis=1).tolist()
        other_contexts += np.delete(strengths[8:], shown, axis=0).mean(axis=1).tolist()
    assert np.mean(while_active) - np.mean(while_absent) == pytest.approx(1, abs=.05)
    assert np.std(while_absent) == pytest.approx(synthetic.CLARITY, rel=.1)
    assert np.mean(contexts) - np.mean(other_contexts) == pytest.approx(1, abs=.15)  # uniform in 0..2
    assert np.std(contexts) > 2 * np.std(other_contexts)


def test_videos_show_two_classes_at_least_and_at_most_their_whole_theme():
    world = synthetic.create_world(list(range(40)), 8, 3)
    counts = [len(synthetic.create_video(world, 40, synthetic.generator(seed, 1)).labels) for seed in range(60)]
    assert set(counts) == {2, 3, 4} and {len(theme) for theme in world.themes} == {4}


def test_only_the_frames_without_a_class_tell_twins_apart():
    world = synthetic.create_world(list(range(40)), 8, 3, twins=True)
    of_theme = [world.prototypes[theme] for theme in world.themes]
    assert all(np.all(each[0] == each[1]) and np.all(each[2] == each[3]) for each in of_theme)
    assert len(np.unique(world.prototypes, axis=0)) == 4
    while_any, while_none = [], []
    for seed in range(60):
        video = synthetic.create_video(world, 150, synthetic.generator(seed, 1))
        shown, twins = (np.searchsorted(world.classes, each) for each in (video.labels, video.twins))
        assert np.all(world.prototypes[shown] == world.prototypes[twins]) and not set(shown) & set(twins)
        values = video.frames * (4 / 255) + 4 / 512 - 2
        directions = np.concatenate([np.unique(world.prototypes, axis=0), world.contexts])
        strengths = np.linalg.lstsq(directions.T, values.T, rcond=None)[0][4:]
        difference = (strengths[shown] - strengths[twins]).mean(axis=0)
        while_any += difference[video.active.any(axis=1)].tolist()
        while_none += difference[~video.active.any(axis=1)].tolist()
    assert np.mean(while_none) == pytest.approx(1, abs=.2)  # uniform in 0..2
    assert np.mean(while_any) == pytest.approx(0, abs=.2)


def test_half_of_the_rated_classes_are_the_absent_twins():
    world = synthetic.create_world(list(range(40)), 7, 3, twins=True)  # a theme of 3: one class of it has no twin
    scores = {True: [], False: []}
    for seed in range(300):
        rng = synthetic.generator(seed, 1)
        video = synthetic.create_video(world, 100, rng)
        ratings = synthetic.rate(video, rng)
        for label, score in zip(ratings.labels, ratings.scores):
            if label not in set(video.labels) & set(video.twins):
                scores[label in video.labels].append(score)
    assert not any(scores[False]) and .3 < np.mean(scores[True]) < .6
    assert len(scores[False]) / (len(scores[False]) + len(scores[True])) == pytest.approx(.5, abs=.08)


def test_the_themes_of_more_classes_than_scenes_have_different_names():
    world = synthetic.create_world(list(range(2000)), 1100, 0)
    names = synthetic.titles(world)
    assert len(set(names)) == 1100 and len({theme for _, theme in names}) == len(world.themes) == 275
    assert all(name.startswith(theme + ": ") for name, theme in names)


@pytest.mark.parametrize("naming, expected", [("cloud", ["00", "10"]), ("local", ["0000", "0001"])])
def test_shards_are_the_first_in_canonical_order(tmp_path, naming, expected):
    make(tmp_path, naming=naming)
    for name in ("2/frame/validate", "3/frame/validate"):
        paths = sorted(glob.glob(str(tmp_path / name / "*")))
        assert list(map(os.path.basename, paths)) == ["validate%s.tfrecord" % suffix for suffix in expected]
        assert shards.ranks(paths) == [0, 1]


def test_a_seed_gives_the_same_files_again_and_another_seed_others(tmp_path):
    first, again, other = (contents(make(tmp_path / name, seed=seed))
                           for name, seed in (("first", 3), ("again", 3), ("other", 4)))
    assert first == again
    assert set(first) == set(other) and not any(first[path] == other[path] for path in first)


def test_more_shards_leave_the_first_ones_as_they_are(tmp_path):
    few = contents(make(tmp_path / "few"))
    more = contents(make(tmp_path / "more", num_train_shards=3, num_validate_shards=3))
    assert all(more[path] == few[path] for path in few if path.endswith(".tfrecord"))


def rated_segments(videos):
    """Ids and normalised mean frames, float64 [ratings, 1152], of the rated segments of records."""
    ids, means = [], []
    for record in videos:
        starts = context(record)["segment_start_times"]
        values_of_frames = frames(record) * (4 / 255.0) + 4 / 512.0 - 2
        ids += segment_ids.join(context(record)["id"] * len(starts), starts).tolist()
        means += [values_of_frames[start:start + 5].mean(axis=0) for start in starts]
    return np.array(ids), means / np.linalg.norm(means, axis=1, keepdims=True)


def ranked_by_a_linear_model(training, holdout):
    """Ranked rows of the holdout's rated segments, by a model fitted on the ratings of other videos."""
    _, means = rated_segments(training)
    labels, scores = (np.concatenate([context(record)[name] for record in training])
                      for name in ("segment_labels", "segment_scores"))
    ids, candidates = rated_segments(holdout)
    ids, first = np.unique(ids, return_index=True)
    candidates = candidates[first]
    for class_id in np.unique(labels):
        of_class = labels == class_id
        model = LogisticRegression(C=10.0).fit(means[of_class], scores[of_class])
        yield class_id, ids[np.argsort(-model.decision_function(candidates))]


def test_segments_can_be_told_apart_and_the_video_labels_do_not_suffice(folder):
    paths = glob.glob(os.path.join(folder, "3/frame/validate/*.tfrecord"))
    holdout_paths, training_paths = (part(paths, shards.Split(3)) for part in (shards.holdout, shards.training))
    rated = ratings.create(*pipeline.read_ratings(holdout_paths))
    holdout, training = ([record for path in part for record in records(path)]
                         for part in (holdout_paths, training_paths))

    def mean_average_precision(ranked):
        return ranking_metrics.mean_average_precision(ranked, rated, top_n=100000)[0]

    learnt = mean_average_precision(ranked_by_a_linear_model(training, holdout))
    chance, video_labels = (mean_average_precision(ranked_csv.iterate(os.path.join(folder, name)))
                            for name in ("baseline_chance.csv", "baseline_video_labels.csv"))
    assert learnt > max(chance, video_labels) + 0.2
    assert learnt < 0.99


def test_video_labels_can_be_learnt(partitions):
    def means_and_labels(name):
        means = np.array([frames(record).mean(axis=0) for record in partitions[name]])
        return means, [set(context(record)["labels"]) for record in partitions[name]]

    (means, labels), (test_means, test_labels) = map(means_and_labels, ["2/frame/validate", "2/frame/train"])
    hits, majority = [], []
    for class_id in sorted(set.union(*labels)):
        truth, test_truth = ([class_id in of_video for of_video in side] for side in (labels, test_labels))
        model = LogisticRegression(C=0.001).fit(means, truth)
        hits.append(model.score(test_means, test_truth))
        majority.append(1 - np.mean(test_truth))
    assert np.mean(hits) > np.mean(majority) + 0.1


def test_baselines_rank_every_segment_once_for_every_class(folder, partitions):
    lengths = {context(record)["id"][0]: len(frames(record)) for record in partitions["3/frame/validate"]}
    every = {b"%s:%d" % (name, start) for name, length in lengths.items() for start in range(0, length, 5)}
    occurring = {label for record in partitions["3/frame/validate"] for label in context(record)["labels"]}
    for name in ("baseline_chance.csv", "baseline_video_labels.csv"):
        rows = list(ranked_csv.iterate(os.path.join(folder, name)))
        assert [class_id for class_id, _ in rows] == sorted(occurring) and len(rows) == CLASSES
        for _, ids in rows:
            assert len(ids) == len(every) and set(ids) == every
    labels = {context(record)["id"][0]: context(record)["labels"]
              for record in partitions["3/frame/validate"]}
    for class_id, ids in rows:  # of the second file
        labelled = [class_id in labels[one.split(b":")[0]] for one in ids]
        assert labelled == sorted(labelled, reverse=True)


def test_the_vocabulary_names_the_classes_that_occur(folder, partitions):
    occurring = {label for name in FOLDERS[:3] for record in partitions[name] for label in context(record)["labels"]}
    names = vocabulary.find("", os.path.join(folder, "3/frame/validate/validate*"))
    assert set(names) == occurring and len(set(names.values())) == len(occurring)


@pytest.mark.parametrize("flags, sentence", [
    (dict(output_dir=""), "--output_dir is empty: say where the records go."),
    (dict(min_frames=40), "--min_frames=40 is above --max_frames=31: lower it."),
    (dict(num_classes=1001),
     "--num_classes=1001 is more than the 1000 of --segment_label_ids_file=segment_label_ids.csv: lower it."),
    (dict(segment_label_ids_file="none.csv"), "none.csv does not exist: check the path."),
])
def test_bad_flags_end_in_a_sentence_and_write_nothing(tmp_path, flags, sentence):
    with pytest.raises(InputError) as error:
        make(tmp_path / "out", **flags)
    assert str(error.value) == sentence
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="^--output_dir=.*/data cannot hold the records: .*[Nn]ot a directory"):
        make(tmp_path / "file" / "data")


def test_a_shard_that_cannot_be_written_is_named(tmp_path):
    make(tmp_path)
    shard = tmp_path / "2" / "frame" / "validate" / "validate10.tfrecord"
    shard.unlink()
    shard.mkdir()
    with pytest.raises(InputError, match="^.*/2/frame/validate/validate10.tfrecord is a folder and cannot be written "):
        make(tmp_path)
    assert sorted(os.listdir(str(shard.parent))) == ["validate00.tfrecord", "validate10.tfrecord"]


def test_records_of_another_origin_are_not_overwritten(tmp_path):
    shard = tmp_path / "2" / "frame" / "train" / "train00.tfrecord"
    shard.parent.mkdir(parents=True)
    shard.write_bytes(b"real")
    with pytest.raises(InputError) as error:
        make(tmp_path)
    assert str(error.value) == ("%s exists already and was not made by this program: give an --output_dir "
                                "without it, or remove it." % shard)
    assert contents(tmp_path) == {"2/frame/train/train00.tfrecord": b"real"}


def test_shards_of_an_earlier_run_do_not_mix_with_new_ones(tmp_path):
    before = contents(make(tmp_path))
    with pytest.raises(InputError, match="validate10.tfrecord exists already and would mix with the new"):
        make(tmp_path, num_validate_shards=1, seed=1)
    assert contents(tmp_path) == before
    make(tmp_path)
    assert contents(tmp_path) == before


def test_an_interrupted_run_leaves_no_half_written_shard(tmp_path, monkeypatch):
    whole = contents(make(tmp_path / "whole"))
    left, serialize = [3], writing.serialize

    def interrupted(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return serialize(*arguments)

    monkeypatch.setattr(writing, "serialize", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "interrupted")
    there = contents(tmp_path / "interrupted")
    assert set(there) == {"synthetic.json", "2/frame/train/train00.tfrecord"}  # the second shard has begun
    assert all(whole[path] == there[path] for path in there)


def test_the_program_writes_what_its_main_does(tmp_path):
    runner.succeed("make_synthetic_data", cwd=tmp_path, **dict(TINY, output_dir="out", num_classes=CLASSES))
    assert contents(tmp_path / "out") == contents(make(tmp_path / "same"))
