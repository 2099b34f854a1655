"""A model's averages: which there are, when they are done, and which checkpoint is the best of all."""
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from src.common import files
from src.common.errors import InputError
from src.trained import averages
from src.trained import averaging
from src.trained import checkpoints
from src.trained import evaluations

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


def test_moving_averages_of_batch_normalization_are_means_which_their_variance_is_not(tmp_path):
    """GatedNetVLAD normalises x W. The mean of x W is linear in W, its variance is not, and averaging W lowers it."""
    random, folder = np.random.RandomState(1), str(tmp_path)
    inputs = random.randn(1000, 8)
    names = ["video_VLAD/conv2/cluster_weights", "video_VLAD/cluster_bn/moving_mean",
             "video_VLAD/cluster_bn/moving_variance"]

    def statistics(weights):
        return (inputs @ weights).mean(axis=0), (inputs @ weights).var(axis=0)

    for step in 1, 2:
        weights = random.randn(8, 4)
        save(folder, step, **dict(zip(names, (weights,) + statistics(weights))))
    path = averaging.write(str(tmp_path / "mean"), {}, [checkpoints.path(folder, step) for step in (1, 2)])
    weights, mean, variance = (tf.train.load_variable(path, "tower/" + name) for name in names)
    true_mean, true_variance = statistics(weights)
    np.testing.assert_allclose(mean, true_mean, atol=1e-5)
    assert np.all(variance > 1.2 * true_variance)
