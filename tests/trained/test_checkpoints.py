"""Checkpoints are found by step and name, and restored only if they fit."""
import json
import multiprocessing
import os
import pathlib
import socket

import numpy as np
import pytest
import tensorflow as tf

from src.common.errors import InputError
from src.trained import checkpoints

tf1 = tf.compat.v1


@pytest.fixture
def folder(tmp_path):
    for name in ("model.ckpt-9", "model.ckpt-200", "model.ckpt-1000"):
        (tmp_path / (name + ".index")).write_text("")
    # Half-written checkpoints and other files do not count.
    (tmp_path / "model.ckpt-5000.data-00000-of-00001").write_text("")
    (tmp_path / "model.ckpt-x.index").write_text("")
    (tmp_path / "best_checkpoint.json").write_text(json.dumps({"step": 200}))
    return tmp_path


def test_steps_ascend_as_numbers(folder):
    assert checkpoints.steps(str(folder)) == [9, 200, 1000]


def test_a_folder_that_does_not_exist_has_no_steps(tmp_path):
    assert checkpoints.steps(str(tmp_path / "none")) == []


@pytest.mark.parametrize("which, name", [
    ("9", "model.ckpt-9"), ("model.ckpt-200", "model.ckpt-200"), ("latest", "model.ckpt-1000"),
    ("", "model.ckpt-1000"), ("best", "model.ckpt-200")])
def test_resolves_to(folder, which, name):
    assert checkpoints.resolve(str(folder), which) == str(folder / name)


def test_a_path_outside_the_folder_is_a_checkpoint_too(folder, tmp_path):
    (tmp_path / "elsewhere.index").write_text("")
    assert checkpoints.resolve(str(folder), str(tmp_path / "elsewhere")) == str(tmp_path / "elsewhere")


@pytest.mark.parametrize("which", ["10", "model.ckpt-10", "5000", "lastest", "/no/model.ckpt-9"])
def test_a_missing_checkpoint_lists_those_that_are_there(folder, which):
    with pytest.raises(InputError) as raised:
        checkpoints.resolve(str(folder), which)
    assert "'%s'" % which in str(raised.value)
    assert str(raised.value).endswith("it has model.ckpt-9, model.ckpt-200, model.ckpt-1000.")


@pytest.mark.parametrize("which, sentence", [
    ("latest", "no checkpoint 'latest': it has none."), ("", "no checkpoint 'latest': it has none."),
    ("best", "no checkpoint 'best': it has none; best_checkpoint.json is written by eval.py.")])
def test_an_empty_folder_says_so(tmp_path, which, sentence):
    with pytest.raises(InputError) as raised:
        checkpoints.resolve(str(tmp_path), which)
    assert str(raised.value) == "%s holds %s" % (tmp_path, sentence)


def test_a_best_checkpoint_that_is_gone_is_missing(folder):
    (folder / "model.ckpt-200.index").unlink()
    with pytest.raises(InputError, match="'best'.*model.ckpt-9, model.ckpt-1000"):
        checkpoints.resolve(str(folder), "best")


def save(path, **values):
    """Writes a checkpoint of variables."""
    with tf.Graph().as_default(), tf1.Session() as session:
        saver = tf1.train.Saver([tf1.get_variable(name, initializer=value) for name, value in values.items()])
        session.run(tf1.global_variables_initializer())
        return saver.save(session, str(path), write_state=False)


@pytest.fixture
def checkpoint(tmp_path):
    return save(tmp_path / "model.ckpt-7", weights=np.zeros([2, 3], "f4"), global_step=np.int32(7))


def test_the_step_is_the_one_that_the_checkpoint_holds(checkpoint, tmp_path):
    assert checkpoints.step_of(checkpoint) == 7
    assert checkpoints.step_of(save(tmp_path / "other", weights=np.float32(0))) == 0


def variable(name, shape, kind=tf.float32):
    return tf1.get_variable(name, shape, kind, tf1.zeros_initializer())


def test_optional_variables_are_restored_if_they_exist(checkpoint):
    weights, slot = variable("weights", [2, 3]), variable("slot", [2])
    step = variable("global_step", [], tf.int32)
    assert checkpoints.restorable(checkpoint, [weights], [slot, step]) == [weights, step]


@pytest.mark.parametrize("name, shape, kind, sentence", [
    ("biases", [3], tf.float32, "it has no variable biases"),
    ("weights", [3, 2], tf.float32, "weights is float32 [2, 3] there and float32 [3, 2] here"),
    ("global_step", [], tf.int64, "global_step is int32 [] there and int64 [] here")])
def test_a_checkpoint_of_another_model_is_refused(checkpoint, name, shape, kind, sentence):
    with pytest.raises(InputError) as raised:
        checkpoints.restorable(checkpoint, [variable(name, shape, kind)])
    assert str(raised.value) == "%s does not fit the model: %s. Check --model and its flags." % (
        checkpoint, sentence)


def test_an_optional_variable_of_another_shape_is_refused(checkpoint):
    with pytest.raises(InputError, match="weights is"):
        checkpoints.restorable(checkpoint, [], [variable("weights", [5])])


@pytest.mark.parametrize("damage", [lambda content: b"text", lambda content: content[:-9]],
                         ids=["other", "truncated"])
def test_damaged_weights_are_refused(checkpoint, damage):
    data = pathlib.Path(checkpoint + ".data-00000-of-00001")
    data.write_bytes(damage(data.read_bytes()))
    saver = tf1.train.Saver([variable("weights", [2, 3])])
    with tf1.Session() as session:
        with pytest.raises(InputError, match="model.ckpt-7 is not a readable checkpoint .*: choose another one"):
            checkpoints.restore(session, saver, checkpoint)


def test_a_file_that_is_not_a_checkpoint_is_refused(tmp_path):
    (tmp_path / "model.ckpt-1.index").write_text("text")
    with pytest.raises(InputError, match="model.ckpt-1 is not a readable checkpoint .*: choose another one"):
        checkpoints.restorable(str(tmp_path / "model.ckpt-1"), [variable("weights", [1])])


def save_all(folder, steps):
    """Creates the files of checkpoints and folders of SavedModels, as training does."""
    for step in steps:
        (folder / "export" / ("step_%d" % step)).mkdir(parents=True)
        for ending in ("index", "meta", "data-00000-of-00001"):
            (folder / ("model.ckpt-%d.%s" % (step, ending))).write_text("")


@pytest.mark.parametrize("count, best, kept", [
    (1, None, [1000]), (2, None, [300, 1000]), (3, 9, [9, 200, 300, 1000]), (2, 300, [300, 1000]),
    (9, 9, [9, 80, 200, 300, 1000])])
def test_the_newest_checkpoints_and_the_best_are_kept_with_their_saved_models(tmp_path, count, best, kept):
    save_all(tmp_path, [9, 80, 200, 300, 1000])
    (tmp_path / "model.ckpt-7.data-00000-of-00001").write_text("")  # left by a killed removal
    (tmp_path / "model.ckpt-2000.data-00000-of-00001").write_text("")  # being saved
    if best:
        (tmp_path / "best_checkpoint.json").write_text(json.dumps({"step": best}))
    checkpoints.keep_newest(str(tmp_path), count)
    assert checkpoints.steps(str(tmp_path)) == kept
    assert sorted(int(path.name[5:]) for path in (tmp_path / "export").iterdir()) == kept
    assert len(list(tmp_path.glob("model.ckpt-*"))) == 3 * len(kept) + 1


def test_a_checkpoint_is_gone_for_its_readers_before_its_weights_are(tmp_path, monkeypatch):
    save_all(tmp_path, [1, 2, 3])
    removed = []
    monkeypatch.setattr(checkpoints.files, "remove", removed.append)
    checkpoints.keep_newest(str(tmp_path), 1)
    files = [path for path in removed if "model.ckpt" in path]
    assert len(files) == 6 and all(path.endswith(".index") for path in files[:2])


def test_a_removal_that_is_cut_short_is_completed_by_the_next(tmp_path, monkeypatch):
    """Wherever it stops. That includes SavedModels, which only the names of weights lead to."""
    remove = checkpoints.files.remove
    for count in range(8):
        left = iter(range(count))
        save_all(tmp_path / str(count), [1, 2, 3])
        monkeypatch.setattr(checkpoints.files, "remove", lambda path: next(left) is None or remove(path))
        with pytest.raises(StopIteration):
            checkpoints.keep_newest(str(tmp_path / str(count)), 1)
        monkeypatch.setattr(checkpoints.files, "remove", remove)
        checkpoints.keep_newest(str(tmp_path / str(count)), 1)
        assert checkpoints.steps(str(tmp_path / str(count))) == [3]
        assert len(list((tmp_path / str(count)).glob("model.ckpt-*"))) == 3
        assert os.listdir(str(tmp_path / str(count) / "export")) == ["step_3"]


# Half-written files of killed trainings.


HALF_WRITTEN = ["model.ckpt-8.index.tempstate123", "model.ckpt-8.data-00000-of-00001.tempstate9",
                "checkpoint.tmp" + 32 * "b",
                "model.ckpt-8.meta.tmp" + 32 * "a"]
WHOLE = ["model.ckpt-7.index", "model.ckpt-7.data-00000-of-00001", "model.ckpt-7.meta", "checkpoint", "notes.tmp",
         "my.tempstate5"]


@pytest.mark.parametrize("locked, left", [(True, WHOLE), (False, WHOLE + HALF_WRITTEN)])
def test_half_written_checkpoints_are_removed_from_a_locked_folder_and_nothing_else(tmp_path, locked, left):
    for name in HALF_WRITTEN + WHOLE:
        (tmp_path / name).write_text("")
    checkpoints.remove_half_written(str(tmp_path), locked)
    assert set(os.listdir(str(tmp_path))) == set(left)


def test_half_written_exports_are_removed(tmp_path):
    gone = multiprocessing.get_context("fork").Process()
    gone.start()
    gone.join()
    names = [".step_5.%s.%d.tmp" % (socket.gethostname(), pid) for pid in (gone.pid, os.getpid())]
    for name in names + ["step_5"]:
        (tmp_path / "export" / name).mkdir(parents=True)
    checkpoints.remove_half_written(str(tmp_path), True)
    assert set(os.listdir(str(tmp_path / "export"))) == {names[1], "step_5"}


def test_a_missing_folder_has_nothing_half_written(tmp_path):
    checkpoints.remove_half_written(str(tmp_path / "none"), True)
