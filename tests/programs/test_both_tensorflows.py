"""What one TensorFlow has made, the programs of the other one take, with the same numbers."""
import csv
import glob
import json
import os
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from src.common import runtime
from tests.programs import both_tensorflows
from tests.programs import runner
from tests.programs.test_train import variables

OTHER = os.path.join(runner.PROJECT, ".venv" if runtime.IS_2 else ".venv-tf2", "bin", "python")
SIDES = ["1", "2"][::-1 if runtime.IS_2 else 1]  # this process's TensorFlow, the other one
CLOSE = 1e-6  # scores of segments whose order may differ
pytestmark = pytest.mark.skipif(not os.path.exists(OTHER), reason="the other TensorFlow is not set up: no " + OTHER)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder of what both sides make of the model that each of them began."""
    folder = str(tmp_path_factory.mktemp("made"))
    both_tensorflows.write_inputs(folder)

    def on_each_side(what, *models):
        words, plain = [what, folder], {name: value for name, value in os.environ.items() if name != "TF2_BEHAVIOR"}
        other = subprocess.Popen([OTHER, "-m", "tests.programs.both_tensorflows"] + words + [SIDES[1]] + list(models),
                                 cwd=runner.PROJECT, env=plain, stderr=subprocess.PIPE, universal_newlines=True)
        getattr(both_tensorflows, what)(folder, SIDES[0], *models)
        assert other.wait() == 0, other.stderr.read()

    on_each_side("begin")
    for model in SIDES:
        on_each_side("go_on", model)
    return folder


def of_each_side(folder, model, ending=""):
    """Paths of what TensorFlow 1 and TensorFlow 2 made of a model."""
    return [os.path.join(folder, "%s_of_%s%s" % (side, model, ending)) for side in "12"]


@pytest.mark.parametrize("model", SIDES)
def test_training_goes_on_with_the_same_weights_slots_and_losses(made, model):
    folders = of_each_side(made, model)
    one, two = (variables(folder, 3) for folder in folders)
    assert set(one) == set(two) and one["global_step"] == two["global_step"] == 3
    begun = variables(os.path.join(made, model), 1)
    for name, value in one.items():
        # Adam turns the rounding of a gradient that is almost 0 into a step of another size.
        assert np.mean(np.isclose(value, two[name], rtol=1e-5, atol=1e-5)) > .99, name
    assert any(np.abs(value - begun[name]).max() > 1e-3 for name, value in one.items() if name.endswith("weights"))
    one, two = map(losses, folders)
    assert sorted(one) == sorted(two) == [2, 3]
    for step in one:
        assert one[step] == pytest.approx(two[step], rel=1e-5)


def losses(folder):
    """{step: loss} of the steps after the first one."""
    return {event.step: value.simple_value for path in glob.glob(os.path.join(folder, "events.*"))
            for event in tf.compat.v1.train.summary_iterator(path) if event.step > 1
            for value in event.summary.value if value.tag == "loss"}


@pytest.mark.parametrize("model", SIDES)
def test_saved_models_are_served(made, model):
    one, two = (np.load(path) for path in of_each_side(made, model, ".npz"))
    assert one["video_id"].tolist() == two["video_id"].tolist() and len(one["video_id"]) == both_tensorflows.VIDEOS
    np.testing.assert_allclose(one["predictions"], two["predictions"], atol=CLOSE)
    assert (one["predictions"] > 0).all()


@pytest.mark.parametrize("model", SIDES)
def test_rankings_agree_but_for_scores_that_are_close(made, model):
    scores = scores_of(of_each_side(made, model, "_scores.csv")[0])
    one, two = map(ranking, of_each_side(made, model, ".csv"))
    assert sorted(one) == sorted(two) == both_tensorflows.LABELS
    for label in one:
        assert sorted(one[label]) == sorted(two[label])
        assert len(one[label]) == both_tensorflows.VIDEOS * both_tensorflows.SEGMENTS
        for first, second in zip(one[label], two[label]):
            assert abs(scores[label, first] - scores[label, second]) < 2 * CLOSE  # they have six digits


def ranking(path):
    """{class: segment ids, best first} of a ranked CSV."""
    with open(path) as stream:
        return {int(row["Class"]): row["Segments"].split() for row in csv.DictReader(stream)}


def scores_of(path):
    """{(class, segment id): score} of a CSV of probabilities."""
    with open(path) as stream:
        return {(int(label), row["VideoId"]): float(score) for row in csv.DictReader(stream)
                for label, score in pairs(row["LabelConfidencePairs"].split())}


def pairs(words):
    return zip(words[::2], words[1::2])


@pytest.mark.parametrize("model", SIDES)
def test_a_log_of_tuning_is_continued(made, model):
    begun = points(os.path.join(made, model + "_log"))
    for path in of_each_side(made, model, "_log"):
        assert len(points(path)) == 6 and points(path)[:4] == begun


def points(path):
    """The points of a tuning's log."""
    with open(path) as stream:
        return [json.loads(line)["params"] for line in stream]
