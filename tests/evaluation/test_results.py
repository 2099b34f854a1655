"""Results of evaluations: which are compared, and which checkpoint is the best."""
import json
import os

import numpy as np
import pytest
import tensorflow as tf

from src.common.errors import InputError
from src.evaluation.classes import Counts
from src.evaluation.metrics import Curve
from src.evaluation.metrics import Metrics
from src.evaluation.results import Results
from src.trained import checkpoints


@pytest.fixture
def saved(tmp_path):
    """A folder with the index files of checkpoints of the steps 0..3."""
    for step in range(4):
        (tmp_path / ("model.ckpt-%d.index" % step)).write_text("")
    return str(tmp_path)


KIND = dict(segment_labels=True, holdout_shards=300, eval_data_pattern="p,q", top_k=20, max_frames=300,
            feature_names="rgb,audio")


def best(folder):
    with open(os.path.join(folder, "best_checkpoint.json")) as stream:
        return json.load(stream)


def add(recorded, step, values):
    recorded.add(os.path.join(recorded.train_dir, "model.ckpt-%d" % step), step, values)


def metrics(**values):
    no_class = Counts(*np.zeros([3, 0], np.int64))
    return Metrics(**dict(dict(examples=1, hit_at_one=0, perr=0, loss=0, map=0, gap=0, aps=[], counts=no_class,
                               curve=Curve(*np.zeros([4, 201]))), **values))


@pytest.mark.parametrize("segment_labels, metric", [(True, "map"), (False, "gap")])
def test_the_best_checkpoint_follows_the_metric(saved, segment_labels, metric):
    other = {"map": "gap", "gap": "map"}[metric]
    recorded = Results(saved, dict(KIND, segment_labels=segment_labels))
    bests = []
    for step, value in enumerate([.2, .5, .5, .3]):
        add(recorded, step, metrics(**{metric: value, other: step}))
        bests.append(best(saved)["step"])
    assert bests == [0, 1, 1, 1]


@pytest.mark.parametrize("change", [
    dict(holdout_shards=0), dict(holdout_shards="fold 2 of 5"),
    dict(eval_data_pattern="q"), dict(top_k=3), dict(max_frames=5), dict(feature_names="rgb")])
def test_checkpoints_are_compared_on_the_same_records_only(saved, change):
    add(Results(saved, KIND), 1, metrics(map=.9, gap=.9))
    add(Results(saved, dict(KIND, **change)), 2, metrics(map=.1, gap=.1))
    assert best(saved)["step"] == 2


def test_folds_are_told_apart_in_the_files_of_before(saved):
    for fold, step, value in (2, 1, .9), (3, 2, .1), (3, 3, .2):
        add(Results(saved, dict(KIND, holdout_shards="fold %d of 5" % fold)), step, metrics(map=value))
    assert best(saved) == dict(KIND, holdout_shards="fold 3 of 5", step=3, checkpoint="model.ckpt-3", metric="map",
                               value=.2)
    with open(os.path.join(saved, "eval", "results.csv")) as stream:
        assert stream.read().splitlines()[1].endswith(',True,fold 2 of 5,"p,q",20,300,"rgb,audio",00000000')


def test_a_step_evaluated_again_counts_by_its_last_evaluation(saved):
    recorded = Results(saved, KIND)
    for step, value in (1, .9), (2, .5), (1, .1):
        add(recorded, step, metrics(map=value))
    assert (best(saved)["step"], best(saved)["value"]) == (2, .5)
    assert best(saved)["checkpoint"] == "model.ckpt-2"


def test_segments_decide_about_the_best_checkpoint_once_they_were_evaluated(saved):
    videos, segments = (Results(saved, dict(KIND, segment_labels=value)) for value in (False, True))
    bests = []
    for step, recorded in enumerate([videos, segments, videos]):
        add(recorded, step, metrics(gap=.5 + step, map=.1))
        bests.append((best(saved)["step"], best(saved)["metric"]))
    assert bests == [(0, "gap"), (1, "map"), (1, "map")]


def test_the_best_follows_from_the_results_after_a_kill_before_it_was_written(saved):
    recorded = Results(saved, KIND)
    for step, value in (1, .5), (3, .9), (2, .1):
        add(recorded, step, metrics(map=value))
        if step == 1:
            with open(os.path.join(saved, "best_checkpoint.json")) as stream:
                old = stream.read()
    for content in old, None:
        path = os.path.join(saved, "best_checkpoint.json")
        if content:
            with open(path, "w") as stream:
                stream.write(content)
        else:
            os.remove(path)
        assert checkpoints.resolve(saved, "best") == os.path.join(saved, "model.ckpt-3")
        checkpoints.keep_newest(saved, 4)
        Results(saved, dict(KIND, segment_labels=False))  # any later evaluation, even if it skips all checkpoints
        assert best(saved) == dict(KIND, step=3, checkpoint="model.ckpt-3", metric="map", value=.9)


def test_the_best_checkpoint_exists(saved):
    recorded = Results(saved, KIND)
    add(recorded, 1, metrics(map=.9))
    os.remove(os.path.join(saved, "model.ckpt-1.index"))
    add(recorded, 2, metrics(map=.1))
    assert best(saved)["step"] == 2


ROW = "1,56,.2,.2,.7,.3,.6,True,300,%s\n"
FEWER = "step,examples,hit_at_one,perr,map,gap,loss,segment_labels,holdout_shards,eval_data_pattern\n"


def write(folder, content):
    os.mkdir(os.path.join(folder, "eval"))
    with open(os.path.join(folder, "eval", "results.csv"), "w") as stream:
        stream.write(content)


def test_rows_that_do_not_say_how_they_were_measured_stay_and_are_not_compared(saved):
    write(saved, FEWER + ROW % '"p,q"')
    recorded = Results(saved, KIND)
    assert os.path.join(saved, "model.ckpt-1") not in recorded
    add(recorded, 2, metrics(map=.1))
    assert best(saved)["step"] == 2 and os.path.join(saved, "model.ckpt-2") in recorded
    with open(os.path.join(saved, "eval", "results.csv")) as stream:
        assert stream.read().splitlines()[1] == ROW.strip() % '"p,q"' + ",,,,"


@pytest.mark.parametrize("content", [
    "step\n3,4\n", FEWER + ROW % "p,q", FEWER + "x" + ROW % "p", FEWER + "1,2,3\n", "\x00\n", FEWER + '"', "\n\n",
    FEWER + ROW.replace(".7", "seven") % "p", FEWER + ROW.replace(".7", "nan") % "p", FEWER + "-" + ROW % "p",
    FEWER + 5000 * "1" + ROW % "p"])
def test_damaged_results_are_found_before_the_evaluation(saved, content):
    write(saved, content)
    with pytest.raises(InputError, match="results.csv is damaged: move it away to start a new one."):
        Results(saved, KIND)


def test_a_mark_before_the_results_means_nothing(saved):
    write(saved, "\ufeff" + FEWER + ROW % "p")
    add(Results(saved, KIND), 2, metrics(map=.1))
    assert best(saved)["step"] == 2


@pytest.mark.parametrize("content", ["{}", "[]", '{"step": true}', '{"step": -1}', '{"step": 1%s}' % (50 * "0"),
                                     '{"step": 1%s}' % (5000 * "0"), '{"step": "1"}', "[" * 5000])
def test_a_damaged_best_checkpoint_is_found_before_the_evaluation(saved, content):
    with open(os.path.join(saved, "best_checkpoint.json"), "w") as stream:
        stream.write(content)
    with pytest.raises(InputError, match="best_checkpoint.json .*(run eval.py again|restore or delete it)"):
        Results(saved, KIND)


def summaries(folder):
    """{tag: value} of the last evaluation's TensorBoard summaries."""
    found = {}
    for name in os.listdir(os.path.join(folder, "eval")):
        if name.startswith("events.out.tfevents"):
            for event in tf.compat.v1.train.summary_iterator(os.path.join(folder, "eval", name)):
                found.update((value.tag, value) for value in event.summary.value)
    return found


def test_tensorboard_shows_the_numbers_and_precision_over_recall(saved):
    right, wrong, rightly_left, wrongly_left = np.array([[6, 4, 0], [14, 1, 0], [0, 13, 14], [0, 2, 6]], float)
    values = dict(hit_at_one=.1, perr=.2, map=.3, gap=.4, loss=.5)
    add(Results(saved, KIND), 1, metrics(curve=Curve(right, wrong, rightly_left, wrongly_left), **values))
    shown = summaries(saved)
    for tag, value in ("Hit@1", .1), ("PERR", .2), ("MAP", .3), ("GAP", .4), ("loss", .5):
        assert shown["eval/" + tag].simple_value == pytest.approx(value)
    np.testing.assert_allclose(tf.make_ndarray(shown["eval/precision_recall/pr_curves"].tensor), [
        right, wrong, rightly_left, wrongly_left, [.3, .8, 0], [1, 2 / 3, 0]], rtol=1e-6)


def test_each_class_has_its_figures_in_a_file_of_the_step(saved):
    counts = Counts(np.array([2, 5, 9]), np.array([4, 3, 2]), np.array([1, 0, 2]))
    add(Results(saved, KIND, {5: "Car"}), 3, metrics(counts=counts, aps=[.25, .75]))
    with open(os.path.join(saved, "eval", "classes_3.csv")) as stream:
        assert stream.read() == "class,name,ratings,positives,AP\n2,,4,1,0.250000\n5,Car,3,0,\n9,,2,2,0.750000\n"
