"""eval.py: which checkpoints it evaluates, its figures, and its inference model."""
import csv
import glob
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from src import models
from src.data import readers
from src.evaluation.evaluator import Evaluator
from src.trained import export
from src.training import losses
from tests.programs import reference
from tests.programs import runner
from tests.programs.conftest import AUDIO
from tests.programs.conftest import MODEL
from tests.programs.conftest import RGB

tf1 = tf.compat.v1


def results(folder):
    """The rows of results.csv as dicts."""
    with open(os.path.join(folder, "eval", "results.csv")) as stream:
        return list(csv.DictReader(stream))


def steps(folder):
    return [int(row["step"]) for row in results(folder)]


def best(folder):
    with open(os.path.join(folder, "best_checkpoint.json")) as stream:
        return json.load(stream)


def figures(row):
    return {name: float(row[name]) for name in ("examples", "hit_at_one", "perr", "map", "gap", "loss")}


def step_of_the_inference_model(folder):
    return tf.train.load_variable(os.path.join(folder, "inference_model", "inference_model"), "global_step")


@pytest.fixture
def flags(data):
    """Flags that evaluate the holdout's segments."""
    return dict(eval_data_pattern=data.rated, segment_labels=True, holdout_shards=1, batch_size=30)


def shown_by_tensorboard(folder):
    """{tag: summary value} of the evaluation of a model."""
    path, = glob.glob(os.path.join(folder, "eval", "events.out.tfevents.*"))
    return {value.tag: value for event in tf1.train.summary_iterator(path) for value in event.summary.value}


# Figures.


def test_segment_metrics_are_those_of_the_models_predictions(evaluated, data):
    model = reference.Model(os.path.join(evaluated, "model.ckpt-6"))
    segments = [segment for video in data.holdout_videos for segment in reference.rated_segments(video)]
    _, frames, labels, weights = zip(*segments)
    predictions = np.array([model.predict(each, 5) for each in frames])
    row, = results(evaluated)
    expected = reference.metrics(predictions, np.array(labels), np.array(weights), top_k=20)
    assert figures(row) == pytest.approx(expected, rel=1e-5)
    assert (row["top_k"], row["max_frames"], row["feature_names"]) == ("20", "300", "rgb,audio")
    assert (row["step"], row["segment_labels"], row["holdout_shards"], row["eval_data_pattern"]) == (
        "6", "True", "1", data.rated)
    assert best(evaluated) == dict(
        step=6, checkpoint="model.ckpt-6", metric="map", value=float(row["map"]), segment_labels=True,
        holdout_shards=1, eval_data_pattern=data.rated, top_k=20, max_frames=300, feature_names="rgb,audio")
    with open(os.path.join(evaluated, "eval", "classes_6.csv")) as stream:
        classes = {int(row["class"]): row for row in csv.DictReader(stream)}
    hits = np.array(labels) * np.array(weights)
    assert {label: (int(row["ratings"]), int(row["positives"])) for label, row in classes.items()} == {
        label: (np.sum(weights, axis=0)[label], hits.sum(axis=0)[label])
        for label in np.flatnonzero(np.sum(weights, axis=0)).tolist()}
    aps = [float(row["AP"]) for row in classes.values() if row["AP"]]
    assert np.mean(aps) == pytest.approx(expected["map"], abs=1e-6)
    assert len(aps) == sum(row["positives"] != "0" for row in classes.values())
    shown = shown_by_tensorboard(evaluated)
    points = {tag: value.simple_value for tag, value in shown.items() if value.WhichOneof("value") == "simple_value"}
    assert points == pytest.approx({"eval/Hit@1": expected["hit_at_one"], "eval/PERR": expected["perr"],
                                    "eval/MAP": expected["map"], "eval/GAP": expected["gap"],
                                    "eval/loss": expected["loss"]}, rel=1e-5)
    text = tf.make_ndarray(shown["eval/flags/text_summary"].tensor).item().decode()
    assert "**holdout_shards** | `1`" in text and "\nmax_frames | `300`" in text
    assert "**model** | `FrameLevelLogisticModel`" in text  # from the model's folder
    rated = np.array(weights) > 0
    right, wrong = (predictions[rated & (np.array(labels) == value)] for value in (1, 0))
    curve = tf.make_ndarray(shown["eval/precision_recall/pr_curves"].tensor)
    for column, threshold in enumerate(np.linspace(0, 1, 201)):
        counts = [np.sum(right >= threshold), np.sum(wrong >= threshold), np.sum(wrong < threshold),
                  np.sum(right < threshold)]
        np.testing.assert_allclose(curve[:4, column], counts, atol=1)  # a score may equal a threshold
        np.testing.assert_allclose(curve[4:, column], [
            curve[0, column] / max(curve[0, column] + curve[1, column], 1), curve[0, column] / len(right)], rtol=1e-6)


def test_video_metrics_are_those_of_the_models_predictions(evaluated, data, tmp_path):
    model_dir = shutil.copytree(evaluated, str(tmp_path / "model"))
    runner.succeed("eval", train_dir=model_dir, eval_data_pattern=data.rated, run_once=True, holdout_shards=1,
                   batch_size=2, top_k=3862)
    model = reference.Model(os.path.join(model_dir, "model.ckpt-6"))
    predictions = np.array([model.predict(reference.dequantized(video.frames), min(300, len(video.frames)))
                            for video in data.holdout_videos])
    labels = np.zeros_like(predictions)
    for row, video in enumerate(data.holdout_videos):
        labels[row, video.labels] = 1
    row = results(model_dir)[-1]
    expected = reference.metrics(predictions, labels, np.ones_like(labels), top_k=3862)
    assert 0 < expected["gap"] and 0 < expected["map"] < 1
    assert figures(row) == pytest.approx(expected, rel=1e-5)
    assert best(model_dir) == best(evaluated)  # still that of the segments


# Which checkpoints.


def test_run_once_evaluates_the_named_checkpoint(model_dir, flags):
    for which in ("latest", "2", "model.ckpt-4", "best"):
        runner.succeed("eval", train_dir=model_dir, run_once=True, checkpoint_file=which, **flags)
    maps = {int(row["step"]): float(row["map"]) for row in results(model_dir)}
    expected = max([6, 2, 4], key=maps.get)
    assert steps(model_dir) == [step for step in (6, 2, 4) if step != expected] + [expected]  # evaluated last
    assert best(model_dir)["step"] == expected
    assert len(open(os.path.join(model_dir, "eval", "results.csv")).readlines()) == 4  # one header


def test_every_checkpoint_from_the_first_on_is_evaluated_once_unless_asked(model_dir, data, flags):
    flags = dict(flags, train_dir=model_dir, checkpoint_timeout_secs=0)
    runner.succeed("eval", checkpoint_file="4", **flags)
    assert steps(model_dir) == [4, 6]
    assert step_of_the_inference_model(model_dir) == 6
    errors = runner.succeed("eval", **flags)
    assert [errors.count("model.ckpt-%d is in results.csv already: skipped" % step) for step in (2, 4, 6)] == [0, 1, 1]
    assert steps(model_dir) == [4, 6, 2]
    assert "already" not in runner.succeed("eval", reevaluate=True, **flags)
    assert steps(model_dir) == [2, 4, 6]
    assert "already" not in runner.succeed("eval", **dict(flags, top_k=3))
    assert steps(model_dir) == [2, 4, 6] * 2
    runner.succeed("train", train_data_pattern=data.train, train_dir=model_dir, max_steps=2, start_new_model=True,
                   batch_size=4, export_model_steps=2, export_saved_models=False, **MODEL)
    assert "already" not in runner.succeed("eval", **flags)  # another checkpoint of the same step


def test_waits_for_the_next_checkpoint_and_ends_when_none_comes(model_dir, flags, tmp_path):
    for path in sorted(glob.glob(os.path.join(model_dir, "model.ckpt-6.*"))):
        shutil.move(path, str(tmp_path))
    with runner.Run("eval", train_dir=model_dir, checkpoint_file="4", checkpoint_timeout_secs=2,
                    **flags) as run:
        run.wait_to_say("step 4: ")
        for path in sorted(glob.glob(str(tmp_path / "model.ckpt-6.*"))):  # data, index, meta
            shutil.move(path, model_dir)
        assert run.wait() == 0, run.errors
    assert steps(model_dir) == [4, 6]


def test_every_checkpoint_is_evaluated_in_order_but_one_that_is_removed_in_the_meantime(model_dir, flags):
    gone = os.path.join(model_dir, "model.ckpt-3")
    os.symlink("nowhere", gone + ".index")  # listed, but missing when it is read
    errors = runner.succeed("eval", train_dir=model_dir, checkpoint_timeout_secs=0, **flags)
    assert "%s was removed in the meantime (train.py --max_to_keep): skipped" % gone in errors
    assert steps(model_dir) == [2, 4, 6]
    assert step_of_the_inference_model(model_dir) == 6


# The inference model.


def test_the_inference_model_predicts_what_was_evaluated(evaluated, data):
    reader = readers.create("rgb,audio", "%d,%d" % (RGB, AUDIO), True, segment_labels=True)
    model = models.create("FrameLevelLogisticModel")
    holdout = os.path.join(data.folder, "validate0000.tfrecord")
    evaluator = Evaluator(model, reader, losses.create("CrossEntropyLoss"), [holdout], batch_size=1024,
                          num_readers=1, top_k=20)
    batch, = evaluator.batches(lambda session: export.restore_model(
        session, os.path.join(evaluated, "model.ckpt-6"), evaluator.variables))
    segments = {segment: (frames, weights) for video in data.holdout_videos
                for segment, frames, _, weights in reference.rated_segments(video)}
    frames, weights = zip(*[segments[segment] for segment in batch["id"]])

    with tf.Graph().as_default(), tf1.Session() as session:
        path = os.path.join(evaluated, "inference_model", "inference_model")
        tf1.train.import_meta_graph(path + ".meta", clear_devices=True).restore(session, path)
        raw, num_frames, predictions = (tf1.get_collection(name)[0] for name in (
            "input_batch_raw", "num_frames", "predictions"))
        assert raw.shape.as_list() == [None, None, RGB + AUDIO]
        loaded = session.run(predictions, {raw: np.array(frames), num_frames: [5] * len(frames)})
    np.testing.assert_allclose(loaded * weights, batch["predictions"], atol=1e-6)
    assert set(os.listdir(os.path.dirname(path))) == {
        "inference_model." + name for name in ("data-00000-of-00001", "index", "meta")}


# Folds.


def test_a_fold_is_evaluated_and_ranked_as_a_holdout_and_its_figures_are_told_apart(evaluated, data, tmp_path):
    """Fold 0 of 2 holds out validate0000, as --holdout_shards=1 does."""
    folder, fold = shutil.copytree(evaluated, str(tmp_path / "model")), dict(num_folds=2, fold=0)
    runner.succeed("eval", train_dir=folder, eval_data_pattern=data.rated, segment_labels=True, run_once=True,
                   batch_size=30, **fold)
    first, of_fold = results(folder)
    assert of_fold["holdout_shards"] == "fold 0 of 2" and figures(of_fold) == figures(first)
    assert best(folder)["holdout_shards"] == "fold 0 of 2"
    ends = dict(train_dir=folder, pretrain_max_steps=4, finetune_max_steps=6)
    for split, is_done in (fold, True), (dict(num_folds=2, fold=1), False), (dict(holdout_shards=1), True):
        assert ("eval" in runner.output_of("checkpoints", mode="done", **ends, **split).split()) == is_done
    lists = []
    for split in fold, dict(holdout_shards=1):
        lists.append(str(tmp_path / "ranked.csv"))
        runner.succeed("inference", train_dir=folder, input_data_pattern=data.rated, segment_labels=True,
                       segment_label_ids_file=data.label_ids, output_file=lists[-1], **split)
        with open(lists[-1]) as stream:
            lists[-1] = stream.read()
    assert lists[0] == lists[1]


@pytest.mark.parametrize("program", ["eval", "inference", "train"])
def test_a_split_that_is_none_stops_each_program(program, evaluated, data, tmp_path):
    flags = dict(eval=dict(train_dir=evaluated, eval_data_pattern=data.rated),
                 inference=dict(train_dir=evaluated, input_data_pattern=data.rated, output_file=tmp_path / "out.csv"),
                 train=dict(MODEL, train_dir=tmp_path / "model", train_data_pattern=data.train))[program]
    code, errors = runner.run(program, num_folds=5, fold=5, **flags)
    assert code == 1 and errors.splitlines()[-1] == (
        "error: --fold=5 is outside 0..4, the folds of --num_folds=5: give one of them.")
    code, errors = runner.run(program, num_folds=5, fold=2, holdout_shards=300, **flags)
    assert code == 1 and "Give either --holdout_shards=300 or --num_folds=5 --fold=2: both say" in errors
    assert os.listdir(str(tmp_path)) == []


# Averages.


def weights(checkpoint):
    return tf.train.load_variable(checkpoint, "tower/fully_connected/weights")


@pytest.fixture(scope="module")
def averaged(trained, data, tmp_path_factory):
    """A model whose checkpoints 4 and 6, and their mean, were evaluated; standard error of the latter."""
    folder = shutil.copytree(trained, str(tmp_path_factory.mktemp("averaged") / "model"))
    flags = dict(train_dir=folder, eval_data_pattern=data.rated, segment_labels=True, holdout_shards=1, batch_size=30,
                 checkpoint_file="3", checkpoint_timeout_secs=0)
    runner.succeed("eval", **flags)
    with runner.Run("eval", averages="2,3", **flags) as run:
        assert run.wait() == 0, run.errors
        return folder, flags, run.output, run.errors


def set_map(folder, value):
    """Replaces the MAP in the only row of results.csv."""
    path = os.path.join(folder, "eval", "results.csv")
    row, = results(folder)
    with open(path, "w") as stream:
        csv.writer(stream).writerows([row.keys(), dict(row, map=value).values()])


def test_averages_are_evaluated_in_their_own_folders_and_leave_the_models_files_alone(averaged, flags):
    folder, _, output, errors = averaged
    mean = os.path.join(folder, "averages", "best_2")
    expected = np.mean([weights(os.path.join(folder, "model.ckpt-%d" % step)) for step in (4, 6)], axis=0)
    np.testing.assert_allclose(weights(os.path.join(mean, "model.ckpt-6")), expected, atol=1e-6)
    assert steps(folder) == [4, 6] and steps(mean) == [6]
    kinds = [{name: row[name] for name in ("segment_labels", "holdout_shards", "eval_data_pattern", "top_k")}
             for row in results(folder) + results(mean)]
    assert kinds[0] == kinds[1] == kinds[2]
    assert "best_3 and last_3 are left out: 2 checkpoints were evaluated" in errors
    single = max(float(row["map"]) for row in results(folder))
    rows = [line.split() for line in output.splitlines()]
    assert rows[0] == ["checkpoint", "map"] and sorted(float(row[1]) for row in rows[1:]) == pytest.approx(
        sorted([single, float(results(mean)[0]["map"])]), abs=1e-6)
    # The inference model is still that of the last single checkpoint.
    np.testing.assert_array_equal(weights(os.path.join(folder, "inference_model", "inference_model")),
                                  weights(os.path.join(folder, "model.ckpt-6")))


def test_averages_that_are_evaluated_are_skipped_and_a_killed_run_goes_on(averaged, tmp_path):
    folder, flags, _, _ = averaged
    assert "the averages are evaluated already: skipped" in runner.succeed("eval", averages="2,3", **flags)
    copy = shutil.copytree(folder, str(tmp_path / "model"))
    shutil.rmtree(os.path.join(copy, "averages", "best_2", "eval"))
    written = os.stat(os.path.join(copy, "averages", "best_2", "model.ckpt-6.index")).st_mtime
    assert "averaging" not in runner.succeed("eval", averages="2,3", **dict(flags, train_dir=copy))
    assert steps(os.path.join(copy, "averages", "best_2")) == [6]
    assert os.stat(os.path.join(copy, "averages", "best_2", "model.ckpt-6.index")).st_mtime == written


def test_the_best_average_becomes_the_inference_model_and_stays_when_others_are_pruned(averaged, flags, tmp_path):
    folder = shutil.copytree(averaged[0], str(tmp_path / "model"))
    mean, before = os.path.join(folder, "averages", "best_2"), results(folder)
    ends = dict(train_dir=folder, pretrain_max_steps=2, finetune_max_steps=6, holdout_shards=1)
    for value, source in (1, os.path.join(mean, "model.ckpt-6")), (0, None):
        set_map(mean, value)
        source = source or os.path.join(folder, best(folder)["checkpoint"])
        done = ["pretrain", "finetune", "eval", "average"]
        assert runner.output_of("checkpoints", mode="done", **ends).split() == done
        runner.succeed("eval", train_dir=folder, run_once=True, checkpoint_file="best", **flags)
        set_map(mean, value)  # the true one if the mean was evaluated again
        np.testing.assert_array_equal(weights(os.path.join(folder, "inference_model", "inference_model")),
                                      weights(source))
        assert runner.output_of("checkpoints", mode="done", **ends).split() == done + ["evaluate-best"]
        if value:
            assert results(folder) == before  # those of single checkpoints
            runner.succeed("checkpoints", mode="prune", **ends)
            assert runner.output_of("checkpoints", mode="done", **ends).split() == done + ["evaluate-best"]
            assert os.path.exists(source + ".index")
    runner.succeed("checkpoints", mode="prune", **ends)
    assert os.listdir(mean) == ["eval"]
    assert runner.output_of("checkpoints", mode="done", **ends).split() == done + ["evaluate-best"]


@pytest.mark.parametrize("extra, told", [
    (dict(averages="2", run_once=True), "Give either --averages or --run_once, which evaluates one checkpoint."),
    (dict(averages="2;3"), "--averages=2;3 is not a comma list of whole numbers from 2 on, such as 2,3,5,10."),
    (dict(averages="2"), "no checkpoint from step 0 on was evaluated in this way: evaluate them first")])
def test_averages_that_cannot_be_made_are_explained(trained, flags, extra, told):
    code, errors = runner.run("eval", train_dir=trained, **dict(flags, **extra))
    assert code == 1 and told in errors.splitlines()[-1]
    assert not os.path.exists(os.path.join(trained, "averages"))
