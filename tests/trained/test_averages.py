"""A model's averages: which there are, when they are done, and which checkpoint is the best of all."""
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from src import models
from src.common import files
from src.common.errors import InputError
from src.trained import averages
from src.trained import averaging
from src.trained import checkpoints
from src.trained import evaluations
from tests import variables

tf1 = tf.compat.v1
KIND = {"segment_labels": True, "holdout_shards": 1}


def evaluate(folder, values, **kind):
    """Writes a results.csv: {step: MAP} of the checkpoints as they are, in this order."""
    row = dict(dict(dict.fromkeys(evaluations.COLUMNS, "0"), **KIND), **kind)
    rows = [dict(row, step=step, map=value, checkpoint_crc32=checkpoints.identity(checkpoints.path(folder, step)))
            for step, value in values.items()]
    os.makedirs(os.path.join(folder, "eval"), exist_ok=True)
    with open(os.path.join(folder, "eval", "results.csv"), "w") as stream:
        for line in [dict(zip(evaluations.COLUMNS, evaluations.COLUMNS))] + rows:
            stream.write(",".join(str(line[name]) for name in evaluations.COLUMNS) + "\n")


def save(folder, step, **weights):
    """Writes a checkpoint with a model's variables."""
    os.makedirs(folder, exist_ok=True)
    with tf.Graph().as_default(), tf1.Session() as session:
        checkpoints.create_global_step().load(step, session)
        for name, value in weights.items():
            tf1.get_variable("tower/" + name, initializer=np.asarray(value, "f4"), use_resource=False)
        session.run(tf1.variables_initializer(tf1.global_variables("tower")))
        tf1.train.Saver().save(session, checkpoints.path(folder, step), write_meta_graph=False)


@pytest.fixture
def model(tmp_path):
    """Folder of a model of one weight, which is the step; 1 is of the pre-training, 3 the best, then 2, 5, 4."""
    folder = str(tmp_path / "model")
    for step in range(1, 6):
        save(folder, step, w=[step])
    with open(os.path.join(folder, "model_flags.json"), "w") as stream:
        stream.write('{"model": "LogisticModel", "feature_names": "mean_rgb", "feature_sizes": "2", "num_classes": 5, '
                     '"frame_features": false, "label_loss": "CrossEntropyLoss"}')
    evaluate(folder, {1: .9, 2: .7, 3: .8, 4: .1, 5: .5})
    return folder


def write(folder, numbers=(2, 3, 4, 5), first=2):
    """Writes the averages; {name: weight}."""
    return {os.path.basename(os.path.dirname(path)): float(tf.train.load_variable(path, "tower/w")[0])
            for path in averages.write(folder, list(numbers), first, KIND)}


def test_the_best_and_the_last_are_averaged_and_no_set_twice(model, caplog, monkeypatch):
    monkeypatch.setattr(averages.log, "propagate", True)
    with caplog.at_level("INFO", logger="yt8m"):
        # Of four, the best three are 3, 2, 5, and the last three 3, 4, 5; the last four are all four.
        assert write(model) == {"best_2": 2.5, "last_2": 4.5, "best_3": pytest.approx(10 / 3), "last_3": 4,
                                "best_4": 3.5}
    assert "last_4 is left out: it is the same as best_4" in caplog.messages
    assert "best_5 and last_5 are left out: 4 checkpoints were evaluated" in caplog.messages
    assert os.listdir(averages.folder(model, "last_3")).count("model.ckpt-5.index") == 1


def test_only_checkpoints_that_were_evaluated_in_this_way_and_are_unchanged_count(model):
    save(model, 5, w=[50])  # again, after its evaluation
    save(model, 6, w=[6])
    assert write(model, [2, 3]) == {"best_2": 2.5, "last_2": 3.5, "best_3": 3}
    evaluate(model, {3: .8, 4: .1}, holdout_shards=300)
    with pytest.raises(InputError, match="no checkpoint from step 2 on was evaluated in this way: evaluate them first"):
        write(model)


def test_averages_are_kept_until_the_checkpoints_change(model):
    write(model)
    kept = [os.path.join(averages.folder(model, name), "kept") for name in ("best_2", "last_2")]
    for path in kept + [os.path.join(averages.folder(model), "mine")]:
        open(path, "w").close()
    os.remove(os.path.join(averages.folder(model, "best_3"), "model.ckpt-5.index"))  # as if killed before
    assert write(model)["best_3"] == pytest.approx(10 / 3) and all(map(os.path.exists, kept))
    save(model, 6, w=[6])
    evaluate(model, {2: .7, 3: .8, 4: .1, 5: .5, 6: .9})
    assert write(model, [2, 3]) == {"best_2": 4.5, "last_2": 5.5, "best_3": pytest.approx(11 / 3), "last_3": 5}
    assert not any(map(os.path.exists, kept)) and set(files.names(averages.folder(model))) == {
        "best_2", "last_2", "best_3", "last_3", "plan.json", "mine"}


def evaluated(model, values):
    """Writes averages whose MAPs are `values`."""
    write(model, [2, 3])
    for name, value in values.items():
        evaluate(averages.folder(model, name), {checkpoints.steps(averages.folder(model, name))[0]: value})


def test_done_until_a_checkpoint_is_new_or_the_evaluation_another(model):
    assert not averages.are_evaluated(model, 2, KIND)
    evaluated(model, {"best_2": .1, "last_2": .2, "best_3": .3})
    assert not averages.are_evaluated(model, 2, KIND)  # last_3 was not evaluated
    evaluated(model, {"last_3": .4})
    assert averages.are_evaluated(model, 2, KIND) and averages.are_evaluated(model, 2, KIND, [2, 3])
    assert not averages.are_evaluated(model, 2, KIND, [2])
    assert not averages.are_evaluated(model, 2, dict(KIND, holdout_shards=300))
    for path in files.glob(checkpoints.path(model, 4) + ".*"):
        os.remove(path)
    assert averages.are_evaluated(model, 2, KIND)  # it was averaged before
    save(model, 6, w=[6])
    assert not averages.are_evaluated(model, 2, KIND)


@pytest.mark.parametrize("values, expected", [
    (dict(best_2=.85), "model.ckpt-1"), (dict(best_2=.9), "model.ckpt-1"),
    (dict(best_2=.91, last_3=.95), "averages/last_3/model.ckpt-5"),
    (dict(best_2=.95, last_3=.95), "averages/best_2/model.ckpt-3")])
def test_the_best_of_all_is_a_single_checkpoint_unless_an_average_is_better(model, values, expected):
    evaluated(model, values)
    assert averages.best(model) == averages.resolve(model, "best") == os.path.join(model, expected)
    assert checkpoints.resolve(model, "best") == checkpoints.path(model, 1)  # it has the optimizer's slots


def test_figures_of_another_kind_are_not_compared(model):
    write(model, [2])
    evaluate(averages.folder(model, "best_2"), {3: .99}, holdout_shards=300)
    assert averages.best(model) == checkpoints.path(model, 1)


def make_inference_model(folder, source):
    """Copies a checkpoint's files to the inference model."""
    for path in files.glob(source + ".*"):
        target = checkpoints.inference_model_path(folder) + path[len(source):]
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(path, target)


def test_an_inference_model_of_the_same_step_may_be_of_another_average(model):
    evaluated(model, dict(best_2=.1, last_2=.1, best_3=.95, last_3=.1))
    assert not averages.predicts_with_best(model)
    made = {name: checkpoints.path(averages.folder(model, name), 5) for name in ("last_2", "last_3", "best_3")}
    for source in checkpoints.path(model, 5), made["last_2"], made["last_3"]:
        make_inference_model(model, source)
        assert not averages.predicts_with_best(model)
    make_inference_model(model, made["best_3"])
    assert averages.predicts_with_best(model)


def test_what_no_step_needs_is_removable_and_averages_stay_done(model):
    evaluated(model, dict(best_2=.1, last_2=.1, best_3=.95, last_3=.1))
    doomed = averages.removable(model)
    assert [path.endswith(".index") for path in doomed[:4]] == [True] * 3 + [False]  # indices come first
    for path in doomed:
        files.remove(path)
    assert averages.best(model).endswith("best_3/model.ckpt-5") and averages.removable(model) == []
    assert averages.are_evaluated(model, 2, KIND)
    assert files.names(averages.folder(model, "last_3")) == ["eval"]


@pytest.mark.parametrize("content", ["[]", "{}", '{"numbers": 1, "checkpoints": {}, "means": {}}',
                                     '{"numbers": [2], "checkpoints": {}, "means": {"../../x": []}}',
                                     '{"numbers": [2], "checkpoints": {}, "means": {"best_2": [7]}}',
                                     '{"numbers": [2], "checkpoints": {}, "means": {"best_2": 7}}',
                                     '{"numbers": [2], "checkpoints": {}, "means": []}'])
def test_a_damaged_plan_is_told(model, content):
    write(model, [2])
    with open(os.path.join(averages.folder(model), "plan.json"), "w") as stream:
        stream.write(content)
    with pytest.raises(InputError, match="plan.json is damaged: remove .*/averages and evaluate with --averages again"):
        write(model)


@pytest.mark.parametrize("numbers", ["1", "2,x", "2,,3", "-2", "2.5", "0"])
def test_numbers_that_average_nothing_are_told(numbers):
    with pytest.raises(InputError, match="is not a comma list of whole numbers from 2 on, such as 2,3,5,10"):
        averages.parse(numbers)


def test_numbers_are_ordered_and_count_once():
    assert averages.parse("10, 2,3,2") == [2, 3, 10] and averages.parse("") == []


class GatedNetVLAD(object):
    """A small GatedNetVLAD in a graph, with fixed frames and the statistics that its normalizations see in them."""

    def __init__(self):
        model = models.create("GatedNetVLAD", netvlad_cluster_size=4, netvlad_hidden_size=6, iterations=5,
                              sample_random_frames=False, video_level_classifier_model="LogisticModel")
        frames = np.random.RandomState(0).randn(64, 5, 1152).astype("f4")
        with tf.Graph().as_default():
            outputs = []
            for is_training in True, False:
                with tf1.variable_scope("tower", reuse=not is_training):
                    outputs.append(model.create_model(tf.constant(frames), vocab_size=7, is_training=is_training,
                                                      num_frames=tf.constant([5] * len(frames)))["predictions"])
            self._predictions, self._updates = outputs[1], tf1.get_collection(tf1.GraphKeys.UPDATE_OPS)
            self._variables = {variable.op.name: variable for variable in tf1.global_variables()}
            self._step, self._saver = checkpoints.create_global_step(), tf1.train.Saver()
            self._session = tf1.Session()

    def load(self, values):
        variables.assign(self._session, {self._variables[name]: value for name, value in values.items()})

    def load_random(self, seed):
        random = np.random.RandomState(seed)
        self.load({name: random.randn(*variable.shape.as_list()) / np.sqrt(max(variable.shape.as_list()))
                   for name, variable in sorted(self._variables.items())})

    def measure(self):
        """{name: value}: what the moving averages of these weights would be after a long training."""
        names = [name for name in self._variables if "/moving_" in name]
        self.load({name: np.zeros(self._variables[name].shape.as_list()) for name in names})
        self._session.run(self._updates)  # each moves a thousandth of the way
        return {name: 1000 * self._session.run(self._variables[name]) for name in names}

    def save(self, folder, step):
        self._step.load(step, self._session)
        return self._saver.save(self._session, checkpoints.path(folder, step), write_meta_graph=False)

    def predict(self):
        return self._session.run(self._predictions)


def test_averaged_moving_statistics_are_not_those_of_the_averaged_weights(tmp_path):
    """The first normalization sees x W: its mean is linear in W, but its variance falls when several W are averaged."""
    model, paths = GatedNetVLAD(), []
    for seed in 1, 2:
        model.load_random(seed)
        model.load(model.measure())
        paths.append(model.save(str(tmp_path), seed))
    path = averaging.write(str(tmp_path / "mean"), {}, paths)
    held = {name: tf.train.load_variable(path, name) for name, _ in tf.train.list_variables(path)
            if name.startswith("tower/")}
    for name in held:
        np.testing.assert_allclose(held[name], np.mean([tf.train.load_variable(one, name) for one in paths], axis=0),
                                   atol=1e-6)
    model.load(held)
    as_averaged, measured = model.predict(), model.measure()
    mean, variance = ["tower/video_VLAD/cluster_bn/moving_" + kind for kind in ("mean", "variance")]
    np.testing.assert_allclose(held[mean], measured[mean], atol=1e-3)
    assert np.all(held[variance] > 1.5 * measured[variance])
    model.load(measured)
    assert np.abs(model.predict() - as_averaged).max() > .001
