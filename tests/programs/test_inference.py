"""inference.py: rankings at each shift, scores of videos and segments, models bundled in a tgz."""
import contextlib
import os
import re
import tarfile
import types

import numpy as np
import pytest
import tensorflow as tf

from src import inference
from src import models
from src.common.errors import InputError
from src.data import readers
from src.evaluation.evaluator import Evaluator
from src.prediction.scoring import Scorer
from src.submission import ranked_csv
from src.trained import bundle
from src.trained import export
from src.training import losses
from tests.programs import reference
from tests.programs import runner
from tests.programs.conftest import AUDIO
from tests.programs.conftest import RATED_CLASSES
from tests.programs.conftest import RGB

tf1 = tf.compat.v1
SHIFTS = [-2, 0, 1]
TOP_K, MAX_PRED = 4, 7


@pytest.fixture(scope="module")
def flags(evaluated, data):
    """Flags that rank the holdout's segments."""
    return dict(train_dir=evaluated, input_data_pattern=data.rated, segment_labels=True, holdout_shards=1,
                segment_label_ids_file=data.label_ids, top_k=TOP_K, segment_max_pred=MAX_PRED)


@pytest.fixture(scope="module")
def predict(evaluated):
    """Function from raw frames [n, 5, features] and their counts [n] to the inference model's predictions."""
    path = os.path.join(evaluated, "inference_model", "inference_model")
    with tf.Graph().as_default(), tf1.Session() as session:
        tf1.train.import_meta_graph(path + ".meta").restore(session, path)
        raw, num_frames, predictions = (tf1.get_collection(name)[0] for name in (
            "input_batch_raw", "num_frames", "predictions"))
        yield lambda frames, counts: session.run(predictions, {raw: frames, num_frames: counts})


def ranked(videos, shift, predict, skip=(0, 0), change=lambda segment, scores: scores):
    """{class: segment ids best first} by sorting all scores.

    Args:
      videos: list of Video.
      shift: of the frames.
      predict: see the fixture.
      skip: how many segments at the beginning and at the end of each video are left out.
      change: function from a segment's id and scores to the scores that count.
    """
    of_videos = [list(reference.segments(video, shift)) for video in videos]
    ids, frames, counts = zip(*[segment for segments in of_videos
                                for segment in segments[skip[0]:len(segments) - skip[1]]])
    scores = map(change, ids, predict(np.array(frames), counts))
    classes = sorted(RATED_CLASSES)
    candidates = {label: [] for label in classes}
    for segment, of_segment in zip(ids, scores):
        for label in sorted(classes, key=lambda one: -of_segment[one])[:TOP_K]:
            candidates[label].append((-of_segment[label], segment))
    return {label: [segment for _, segment in sorted(found)[:MAX_PRED]]
            for label, found in candidates.items()}


def read(path):
    return {label: segments.tolist() for label, segments in ranked_csv.read(str(path)).items()}


# Rankings.


@pytest.fixture(scope="module")
def rankings(flags, tmp_path_factory):
    """The folder of one run's outputs."""
    folder = tmp_path_factory.mktemp("rankings")
    runner.succeed("inference", shift="-2,0,1", output_file=folder / "new" / "out.csv", batch_size=200, **flags)
    return folder / "new"


def test_one_csv_per_shift(rankings):
    assert sorted(os.listdir(str(rankings))) == ["out.csv", "out_shift-2.csv", "out_shift1.csv"]


@pytest.mark.parametrize("shift, name", [(-2, "out_shift-2.csv"), (0, "out.csv"), (1, "out_shift1.csv")])
def test_the_best_segments_of_the_shifted_videos_are_ranked(rankings, data, predict, shift, name):
    expected = ranked(data.holdout_videos, shift, predict)
    assert max(len(segments) for segments in expected.values()) == MAX_PRED
    assert min(len(segments) for segments in expected.values()) < MAX_PRED  # both cuts matter
    assert read(rankings / name) == expected
    lines = (rankings / name).read_text().splitlines()
    assert lines[0] == "Class,Segments"
    assert [int(line.split(",")[0]) for line in lines[1:]] == sorted(RATED_CLASSES)


def test_shifts_rank_differently(rankings):
    assert len({(rankings / name).read_text() for name in os.listdir(str(rankings))}) == 3


def test_a_single_shift_goes_to_the_output_file_itself(flags, rankings, tmp_path):
    """The published commands include the shift in its name."""
    runner.succeed("inference", output_file=tmp_path / "predictions_oof_shift-2.csv", shift=-2, batch_size=200, **flags)
    assert os.listdir(str(tmp_path)) == ["predictions_oof_shift-2.csv"]
    assert read(tmp_path / "predictions_oof_shift-2.csv") == read(rankings / "out_shift-2.csv")


def test_the_step_that_predicts_and_classes_left_empty_are_logged(flags, evaluated, tmp_path):
    few = dict(flags, top_k=1)
    errors = runner.succeed("inference", output_file=tmp_path / "out.csv", **few)
    assert "FrameLevelLogisticModel of step 6, from %s\n" % evaluated in errors
    empty = sum(not len(segments) for segments in ranked_csv.read(str(tmp_path / "out.csv")).values())
    assert 0 < empty < len(RATED_CLASSES)
    assert "out.csv: %d of the %d classes have no segment, because only the best --top_k=1 classes of each" % (
        empty, len(RATED_CLASSES)) in errors
    every = dict(flags, top_k=99)
    assert "have no segment" not in runner.succeed("inference", output_file=tmp_path / "out.csv", **every)


def test_the_first_and_last_segments_of_videos_can_be_left_out(flags, data, predict, tmp_path):
    few = dict(flags, input_data_pattern=data.test, skip_first_segments=1, skip_last_segments=2, batch_size=60)
    said = runner.succeed("inference", output_file=tmp_path / "out.csv", shift="0,1", **few)
    for shift, name in (0, "out.csv"), (1, "out_shift1.csv"):
        assert read(tmp_path / name) == ranked(data.test_videos, shift, predict, (1, 2))
    numbers = [-(-min(len(video.frames), 300) // 5) - 3 for video in data.test_videos]
    assert min(numbers) < 0 < max(numbers)
    num_left = sum(max(number, 0) for number in numbers)
    assert "inference: %d segments in" % (2 * num_left) in said
    runner.succeed("inference", output_file=tmp_path / "pairs.csv", output_prob=True, **few)
    assert len(parse_pairs(tmp_path / "pairs.csv")) == num_left


def test_all_shards_but_those_of_validation_are_read_whole(flags, data, predict, tmp_path):
    runner.succeed("inference", output_file=tmp_path / "out.csv", **dict(flags, input_data_pattern=data.test))
    assert read(tmp_path / "out.csv") == ranked(data.test_videos, 0, predict)


@pytest.mark.parametrize("pattern, expected", [
    ("validate*.tfrecord", ["validate0000"]), ("validate0000*", ["validate0000"]),
    ("*0001.tfrecord", ["test0001", "train0001", "validate0001"]), ("test*", ["test0000", "test0001"]),
    ("*validate*", ["validate0000", "validate0001"])])
def test_the_holdout_is_read_where_the_file_pattern_starts_with_validate(data, pattern, expected):
    paths = inference.input_paths(types.SimpleNamespace(
        input_data_pattern=os.path.join(data.folder, pattern), holdout_shards=1, num_folds=None, fold=None))
    assert [os.path.splitext(os.path.basename(path))[0] for path in paths] == expected


# Scores.


def parse_pairs(path):
    """-> {id: [(label, score)]} of a VideoId,LabelConfidencePairs file."""
    lines = path.read_text().splitlines()
    assert lines[0] == "VideoId,LabelConfidencePairs"
    pairs = {}
    for line in lines[1:]:
        assert re.fullmatch(r"[^, ]+,\d+ [-+.e\d]+( \d+ [-+.e\d]+)*", line)
        name, words = line.split(",")
        words = words.split(" ")
        pairs[name.encode()] = list(zip(map(int, words[::2]), map(float, words[1::2])))
    return pairs


def test_videos_get_their_best_classes(evaluated, data, predict, tmp_path):
    runner.succeed("inference", train_dir=evaluated, input_data_pattern=data.test, top_k=3, batch_size=4,
                   output_file=tmp_path / "out.csv")
    pairs = parse_pairs(tmp_path / "out.csv")
    assert sorted(pairs) == sorted(video.id for video in data.test_videos)
    for video in data.test_videos:
        frames, num_frames = reference.dequantized(video.frames), min(len(video.frames), 300)
        scores, = predict(frames[np.newaxis], [num_frames])
        best = np.argsort(-scores)[:3]
        assert [label for label, _ in pairs[video.id]] == best.tolist()
        assert [score for _, score in pairs[video.id]] == pytest.approx(scores[best].tolist(), rel=1e-5)


def evaluation_scores(evaluated, data):
    """{id: predictions, label weights applied} of the holdout's rated segments, as eval.py gets them."""
    reader = readers.create("rgb,audio", "%d,%d" % (RGB, AUDIO), True, segment_labels=True)
    paths = [os.path.join(data.folder, "validate0000.tfrecord")]
    evaluator = Evaluator(models.create("FrameLevelLogisticModel"), reader,
                          losses.create("CrossEntropyLoss"), paths, batch_size=30, num_readers=1,
                          top_k=20)
    batches = evaluator.batches(lambda session: export.restore_model(
        session, os.path.join(evaluated, "model.ckpt-6"), evaluator.variables))
    return {name: scores for batch in batches for name, scores in zip(batch["id"], batch["predictions"])}


def test_evaluation_and_inference_score_a_segment_alike(evaluated, data):
    reader = readers.create("rgb,audio", "%d,%d" % (RGB, AUDIO), True)
    paths = [os.path.join(data.folder, "validate0000.tfrecord")]
    scorer = Scorer(models.create("FrameLevelLogisticModel"), reader, 40, 1, [0], np.arange(3862))
    with contextlib.closing(scorer):
        scorer.open(lambda session: export.restore_model(
            session, os.path.join(evaluated, "inference_model", "inference_model"), scorer.variables))
        scored = {name: scores for batch in scorer.batches(paths) for name, scores in zip(batch["id"], batch["scores"])}
    evaluations = evaluation_scores(evaluated, data)
    assert len(evaluations) > 60
    for name, scores in evaluations.items():
        rated = scores > 0
        assert rated.sum() == 3
        np.testing.assert_allclose(scored[name][rated], scores[rated], atol=2e-7)


def test_printed_scores_of_segments_are_those_of_evaluation(flags, evaluated, data, tmp_path):
    runner.succeed("inference", output_prob=True, output_file=tmp_path / "out.csv", shift="0,1",
                   **dict(flags, top_k=len(RATED_CLASSES)))
    pairs, shifted = parse_pairs(tmp_path / "out.csv"), parse_pairs(tmp_path / "out_shift1.csv")
    assert set(pairs) == set(shifted) == {
        name for video in data.holdout_videos for name, _, _ in reference.segments(video)}
    assert pairs != shifted
    for name, scores in evaluation_scores(evaluated, data).items():
        printed = dict(pairs[name])
        assert set(printed) == set(RATED_CLASSES)
        assert {label: printed[label] for label in np.flatnonzero(scores)} == pytest.approx(
            {label: scores[label] for label in np.flatnonzero(scores)}, rel=6e-6)  # half of the last digit
        assert list(printed.values()) == sorted(printed.values(), reverse=True)


# Candidates.


@pytest.fixture(scope="module")
def of_videos(evaluated, data, tmp_path_factory):
    """Function from a pattern to the CSV that inference.py writes of its videos, all classes of each."""
    def predicted(pattern):
        path = tmp_path_factory.mktemp("videos") / "videos.csv"
        runner.succeed("inference", train_dir=evaluated, input_data_pattern=pattern, holdout_shards=1, top_k=3862,
                       output_file=path)
        return path

    return predicted


def candidates_of(pairs, count):
    """{class: score} of the best rated classes of a video."""
    return dict([pair for pair in pairs if pair[0] in RATED_CLASSES][:count])


def with_prior(pairs_of, count, weight):
    """Function from a segment's id and scores to its scores by the definition, with the predictions {video: pairs}."""
    def change(segment, scores):
        scores = np.clip(scores.astype("f8"), 1e-7, 1)
        changed = 1e-8 * scores
        for label, score in candidates_of(pairs_of.get(segment.split(b":")[0], []), count).items():
            changed[label] = scores[label] ** (1 - weight) * np.clip(score, 1e-7, 1) ** weight
        return changed

    return change


def test_a_videos_best_classes_compete_and_each_setting_is_ranked(flags, data, of_videos, predict, tmp_path):
    path = of_videos(data.test)
    lines = path.read_text().splitlines(True)
    lacking = next(video for video in data.test_videos if lines[2].startswith(video.id.decode() + ","))
    path.write_text("".join(lines[:2] + lines[3:]))
    flags = dict(flags, input_data_pattern=data.test, video_predictions=path, batch_size=100)
    said = runner.succeed("inference", output_file=tmp_path / "all" / "out.csv", shift="0,1", candidates="1,3",
                          prior_weight="0,0.5", **flags)
    numbers = [-(-min(len(video.frames), 300) // 5) for video in (lacking, *data.test_videos)]
    assert "%d of the %d segments are of videos that %s lacks: they have no candidates" % (
        numbers[0], sum(numbers[1:]), path) in said
    assert "%s: %d videos with 3.0 candidates on average" % (path, len(data.test_videos) - 1) in said
    names, pairs = {}, parse_pairs(path)
    for count, weight in (1, 0), (1, .5), (3, 0), (3, .5):
        for shift, end in (0, ""), (1, "_shift1"):
            name = "out_candidates%d_prior%g%s.csv" % (count, weight, end)
            names[name] = read(tmp_path / "all" / name)
            assert names[name] == ranked(data.test_videos, shift, predict, change=with_prior(pairs, count, weight))
    assert sorted(os.listdir(str(tmp_path / "all"))) == sorted(names)
    runner.succeed("inference", output_file=tmp_path / "out.csv", candidates=3, prior_weight=".5", **flags)
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "all" / "out_candidates3_prior0.5.csv").read_bytes()
    runner.succeed("ensemble", mode="combine_shifts", input_files=tmp_path / "all" / "*", output_file=tmp_path / "tta/")
    assert sorted(os.listdir(str(tmp_path / "tta"))) == sorted(name for name in names if "shift" not in name)


def test_scores_with_a_prior_and_the_recall_of_the_candidates(flags, data, of_videos, evaluated, tmp_path):
    path = of_videos(data.rated)
    said = runner.succeed("inference", output_file=tmp_path / "out.csv", output_prob=True, candidates="2,4",
                          prior_weight=1, video_predictions=path, **dict(flags, top_k=len(RATED_CLASSES)))
    predicted = parse_pairs(path)
    positive = [(video.id, label) for video in data.holdout_videos for _, label, score in video.ratings if score]
    for count in 2, 4:
        held = np.mean([label in candidates_of(predicted[video], count) for video, label in positive])
        assert "candidates: the best %d rated classes of each video hold %.1f%% of %d positive ratings\n" % (
            count, 100 * held, len(positive)) in said
        for segment, pairs in parse_pairs(tmp_path / ("out_candidates%d_prior1.csv" % count)).items():
            expected = candidates_of(predicted[segment.split(b":")[0]], count)
            assert [label for label, _ in pairs[:count]] == list(expected)
            assert [score for _, score in pairs[:count]] == pytest.approx(list(expected.values()), rel=1e-5)
            assert all(score <= 1.01e-8 for _, score in pairs[count:]) and len(pairs) == len(RATED_CLASSES)


# Bundled models.


def test_a_bundled_model_predicts_the_same(flags, rankings, tmp_path):
    tgz = tmp_path / "model.tgz"
    runner.succeed("inference", output_file=tmp_path / "out.csv", output_model_tgz=tgz, **flags)
    with tarfile.open(str(tgz)) as archive:
        assert sorted(archive.getnames()) == ["inference_model.data-00000-of-00001", "inference_model.index",
                                              "inference_model.meta", "model_flags.json"]
    runner.succeed("inference", output_file=tmp_path / "again.csv", input_model_tgz=tgz,
                   untar_model_dir=tmp_path / "untarred", **dict(flags, train_dir=None))
    expected = (rankings / "out.csv").read_bytes()
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "again.csv").read_bytes() == expected


def test_a_truncated_archive_is_refused(flags, tmp_path):
    runner.succeed("inference", output_file=tmp_path / "out.csv", output_model_tgz=tmp_path / "model.tgz",
                   **flags)
    content = (tmp_path / "model.tgz").read_bytes()
    (tmp_path / "model.tgz").write_bytes(content[:len(content) // 2])
    with pytest.raises(InputError, match="model.tgz is not a readable tgz"):
        bundle.extract(str(tmp_path / "model.tgz"), str(tmp_path / "folder"))
