"""average_checkpoints.py: the mean of checkpoints, in a folder that eval.py accepts as a trained model's."""
import json
import os
import shutil
import types

import numpy as np
import pytest
import tensorflow as tf

from src import average_checkpoints
from src.common import files
from src.common.errors import InputError
from tests import checkpoint_folders
from tests.programs import runner

tf1 = tf.compat.v1


FLAGS = {"model": "LogisticModel", "feature_names": "mean_rgb", "feature_sizes": "2", "frame_features": False,
         "label_loss": "CrossEntropyLoss", "num_classes": 3862}


def save(folder, step, shape=(2, 3862), **others):
    """Writes model.ckpt-STEP as training does: weights, a slot and the step."""
    with tf.Graph().as_default(), tf1.Session() as session:
        weights = np.random.RandomState(step).randn(*shape).astype("f4")
        values = {"tower/fully_connected/weights": weights, "tower/fully_connected/weights/Adam": weights,
                  "tower/fully_connected/biases": np.zeros([3862], "f4"), "beta1_power": np.float32(.9)}
        for name, value in dict(values, global_step=np.int32(step), **others).items():
            tf1.Variable(value, name=name, use_resource=False)
        session.run(tf1.global_variables_initializer())
        tf1.train.Saver().save(session, os.path.join(str(folder), "model.ckpt"), global_step=step)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with model_flags.json and model.ckpt-4, -9, -10."""
    folder = tmp_path_factory.mktemp("saved")
    (folder / "model_flags.json").write_text(json.dumps(FLAGS))
    for step in (4, 9, 10):
        save(folder, step)
    return folder


@pytest.fixture
def train_dir(saved, tmp_path):
    """A copy of `saved` that a test may change."""
    shutil.copytree(str(saved), str(tmp_path / "model"))
    return tmp_path / "model"


@pytest.fixture
def average(train_dir, tmp_path):
    """Function that runs the program's main; returns the output folder."""
    def run(**flags):
        output_dir = flags.pop("output_dir", str(tmp_path / "new" / "mean"))
        flags = dict(dict(train_dir=str(train_dir), checkpoints="", num_last_checkpoints=None,
                          num_best_checkpoints=None), **flags)
        average_checkpoints.main(types.SimpleNamespace(output_dir=output_dir, **flags))
        return output_dir.rstrip("/")
    return run


def weights_of(folder, step):
    return tf.train.load_variable(os.path.join(str(folder), "model.ckpt-%d" % step), "tower/fully_connected/weights")


@pytest.mark.parametrize("flags, steps", [
    (dict(num_last_checkpoints=2), [9, 10]), (dict(num_last_checkpoints=1), [10]),
    (dict(num_last_checkpoints=3), [4, 9, 10]), (dict(checkpoints="9,4"), [4, 9]),
    (dict(checkpoints="model.ckpt-4, latest"), [4, 10]),
    (dict(checkpoints="{folder}/model.ckpt-9,4"), [4, 9])])
def test_the_mean_of_the_named_checkpoints_is_written_at_the_highest_step(average, train_dir, flags, steps):
    flags = {name: str(value).format(folder=train_dir) if name == "checkpoints" else value
             for name, value in flags.items()}
    folder = average(**flags)
    expected = np.mean([weights_of(train_dir, step) for step in steps], axis=0, dtype="f8")
    np.testing.assert_allclose(weights_of(folder, steps[-1]), expected, rtol=1e-6)
    step = tf.train.load_variable(folder, "global_step")
    assert step == steps[-1] and step.dtype == np.int32
    assert os.listdir(os.path.dirname(folder)) == [os.path.basename(folder)]  # nothing beside it
    name = "model.ckpt-%d" % steps[-1]
    assert set(os.listdir(folder)) == {"checkpoint", "model_flags.json", name + ".index",
                                       name + ".data-00000-of-00001", "inference_model"}


def test_the_best_by_the_latest_kind_of_evaluation_are_averaged(average, train_dir):
    """4 is the best of another holdout, 9 and 10 of that of the latest row; 7 does not exist anymore."""
    (train_dir / "eval").mkdir()
    row = "%d,56,.2,.2,%g,.3,.6,True,%d,pattern,1000,300,rgb,0"
    (train_dir / "eval" / "results.csv").write_text("\n".join([checkpoint_folders.COLUMNS] + [
        row % values for values in [(4, .9, 300), (9, .9, 300), (10, .2, 1), (4, .1, 1), (7, .8, 1), (9, .5, 1)]]))
    expected = np.mean([weights_of(train_dir, step) for step in (9, 10)], axis=0, dtype="f8")
    np.testing.assert_allclose(weights_of(average(num_best_checkpoints=2), 10), expected, rtol=1e-6)
    with pytest.raises(InputError, match="--num_best_checkpoints=4 is more than the 3 that were evaluated in the same"):
        average(num_best_checkpoints=4, output_dir=str(train_dir / "other"))


def test_the_sum_is_taken_in_double_precision(average, train_dir):
    values = {20: 2. ** 25, 21: 1., 22: 1., 23: 1., 24: -2. ** 25}
    for step, value in values.items():
        save(train_dir, step, **{"tower/fully_connected/biases": np.full([3862], value, "f4")})
    mean = tf.train.load_variable(os.path.join(average(num_last_checkpoints=5), "model.ckpt-24"),
                                  "tower/fully_connected/biases")
    np.testing.assert_allclose(mean, np.full([3862], 3 / 5.), rtol=1e-6)


def test_optimizer_slots_are_left_out(average):
    names = [name for name, _ in tf.train.list_variables(average(num_last_checkpoints=2))]
    assert names == ["global_step", "tower/fully_connected/biases", "tower/fully_connected/weights"]


def test_the_folder_may_be_moved_and_keeps_the_models_flags(average, train_dir, tmp_path):
    moved = shutil.move(average(num_last_checkpoints=2, output_dir=str(tmp_path / "mean") + "/"),
                        str(tmp_path / "moved"))
    assert tf.train.latest_checkpoint(moved) == os.path.join(moved, "model.ckpt-10")
    recorded, kept = (files.read_json(os.path.join(str(folder), "model_flags.json"))
                      for folder in (train_dir, moved))
    assert recorded == kept == FLAGS


@pytest.mark.parametrize("flags, told", [
    ({}, "Give either --checkpoints or --num_last_checkpoints or --num_best_checkpoints, to choose what is averaged."),
    (dict(checkpoints="4", num_last_checkpoints=2), "Give either --checkpoints or --num_last_checkpoints"),
    (dict(num_best_checkpoints=2, num_last_checkpoints=2), "Give either --checkpoints or --num_last_checkpoints or"),
    (dict(num_best_checkpoints=2), "--num_best_checkpoints=2 is more than the 0 that were evaluated in the same"),
    (dict(num_last_checkpoints=4),
     "--num_last_checkpoints=4 is more than the 3 that --train_dir={folder} holds: ask for fewer."),
    (dict(checkpoints="4,5"), "holds no checkpoint '5': it has model.ckpt-4, model.ckpt-9, model.ckpt-10."),
    (dict(checkpoints="10,latest"), "--checkpoints=10,latest names a checkpoint twice: name each once."),
    (dict(checkpoints="4,,10"), "--checkpoints=4,,10 has an empty entry"),
    (dict(checkpoints="4", output_dir=""), "--output_dir= is empty: name a new folder."),
    (dict(checkpoints="4", output_dir="{folder}"), "--output_dir={folder} exists already: name a new"),
    (dict(checkpoints="4", output_dir="{folder}/"), "--output_dir={folder}/ exists already: name a new"),
    (dict(checkpoints="4", output_dir="{folder}/checkpoint/mean"), "cannot be written: {folder}/checkpoint"),
    (dict(checkpoints="4", train_dir="{folder}/none"),
     "{folder}/none/model_flags.json does not exist: --train_dir must be a folder that train.py has")])
def test_flags_that_cannot_be_followed_are_explained(average, train_dir, flags, told):
    flags = {name: value.format(folder=train_dir) if isinstance(value, str) else value
             for name, value in flags.items()}
    with pytest.raises(InputError) as raised:
        average(**flags)
    assert told.format(folder=train_dir) in str(raised.value)


@pytest.mark.parametrize("written, told", [
    (dict(shape=(3, 3862)), "tower/fully_connected/weights is [2, 3862] and [3, 3862]"),
    ({"tower/more": np.zeros([1], "f4")}, "tower/more is missing and [1]")])
def test_checkpoints_of_different_models_are_refused(average, train_dir, tmp_path, written, told):
    save(train_dir, 11, **written)
    with pytest.raises(InputError) as raised:
        average(checkpoints="10,11")
    assert str(raised.value) == ("{0}-10 and {0}-11 are of different models, {1}: average checkpoints of one "
                                 "model.".format(train_dir / "model.ckpt", told))
    assert not os.path.exists(str(tmp_path / "new"))


@pytest.mark.parametrize("extension", [".index", ".data-00000-of-00001"])
def test_a_damaged_checkpoint_is_refused(average, train_dir, tmp_path, extension):
    path = train_dir / ("model.ckpt-9" + extension)
    path.write_bytes(path.read_bytes()[:5])
    with pytest.raises(InputError, match="model.ckpt-9 is not a readable checkpoint"):
        average(num_last_checkpoints=3)
    assert not os.path.exists(str(tmp_path / "new" / "mean"))


def test_a_checkpoint_without_a_model_is_refused(average, tmp_path):
    with tf.Graph().as_default(), tf1.Session() as session:
        tf1.Variable(np.int32(1), name="global_step", use_resource=False)
        session.run(tf1.global_variables_initializer())
        path = tf1.train.Saver().save(session, str(tmp_path / "other"))
    with pytest.raises(InputError) as raised:
        average(checkpoints=path)
    assert str(raised.value) == "%s holds no model: average checkpoints that train.py wrote." % path


def test_inference_takes_the_mean_as_it_is(trained, data, tmp_path):
    folder, output = str(tmp_path / "mean"), str(tmp_path / "out.csv")
    runner.succeed("average_checkpoints", train_dir=trained, num_last_checkpoints=2, output_dir=folder)
    runner.succeed("inference", train_dir=folder, input_data_pattern=data.test, output_file=output)
    with open(output) as stream:
        assert len(stream.readlines()) == 1 + len(data.test_videos)


def test_eval_takes_the_mean_as_a_trained_model(trained, data, tmp_path):
    folder = str(tmp_path / "mean")
    errors = runner.succeed("average_checkpoints", train_dir=trained, checkpoints="2,6", output_dir=folder)
    assert "written: %s/model.ckpt-6" % folder in errors
    runner.succeed("eval", train_dir=folder, eval_data_pattern=data.rated, segment_labels=True, run_once=True,
                   holdout_shards=1)
    name = "tower/fully_connected/weights"
    evaluated = tf.train.load_variable(os.path.join(folder, "inference_model", "inference_model"), name)
    first, last = (tf.train.load_variable(os.path.join(trained, "model.ckpt-%d" % step), name)
                   for step in (2, 6))
    assert np.abs(first - last).max() > .01
    np.testing.assert_allclose(evaluated, (first + last) / 2, atol=1e-6)
