"""The folder of a training: where training goes on, and what --start_new_model removes."""
import errno
import multiprocessing
import os
import signal
import socket
import time

import pytest
import tensorflow as tf

from src.common.errors import InputError
from src.trained import checkpoints
from src.trained import train_dir

tf1 = tf.compat.v1
OUTPUTS = ["model.ckpt-3.index", "checkpoint", "graph.pbtxt", "model_flags.json", "best_checkpoint.json",
           "events.out.tfevents.1.host", "export/step_3/saved_model.pb", "eval/results.csv",
           "eval/classes_3.csv", "averages/plan.json", "averages/best_2/model.ckpt-3.index",
           "averages/last_10/eval/results.csv", "averages/.best_3.host.1.tmp/model_flags.json",
           "eval/valid/events.out.tfevents.2.host", "inference_model/inference_model.meta",
           ".model_flags.json.host.1.tmp", ".inference_model.host.1.tmp/inference_model.index",
           "export/.step_4.host.1.tmp/saved_model.pb"]
OTHERS = ["notes.txt", "model.txt", "checkpoints.csv", "my_export/x", ".notes.txt.swp", "export/mine/saved_model.pb",
          "eval/notes.txt", "averages/notes.txt", "inference_model/readme"]


def write(folder, names):
    for name in names:
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as stream:
            stream.write(name)


def save(folder, step):
    """Saves a checkpoint of a step; returns its path."""
    with tf.Graph().as_default(), tf1.Session() as session:
        checkpoints.create_global_step().load(step, session)
        return tf1.train.Saver().save(session, checkpoints.path(str(folder), step), write_meta_graph=False)


def test_outputs_of_training_evaluation_and_export_are_removed_and_nothing_else(tmp_path):
    write(str(tmp_path), OUTPUTS + OTHERS)
    train_dir.clear(str(tmp_path))
    left = [os.path.relpath(os.path.join(top, name), str(tmp_path))
            for top, _, names in os.walk(str(tmp_path)) for name in names]
    assert sorted(left) == sorted(OTHERS)


def test_folders_of_outputs_go_with_their_last_output(tmp_path):
    write(str(tmp_path), OUTPUTS)
    train_dir.clear(str(tmp_path))
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("path, held", [
    ("model.ckpt-3", True), ("export/step_3/variables/variables", True), ("sub/model.ckpt-3", False),
    ("../model.ckpt-3", False), ("../other/model.ckpt-3", False)])
def test_only_outputs_in_the_folder_itself_would_be_removed(tmp_path, path, held):
    assert train_dir.holds(str(tmp_path), os.path.join(str(tmp_path), path)) == held


def test_training_starts_from_its_own_newest_checkpoint_else_from_the_given_one(tmp_path):
    other = save(tmp_path / "other", 7)
    own = str(tmp_path / "own")
    assert train_dir.start(own) == (None, 0, False)
    assert train_dir.start(own, other) == (other, 7, False)
    save(own, 9)
    newest = save(own, 10)
    assert checkpoints.newest(own) == newest
    assert train_dir.start(own, other) == (newest, 10, True)
    assert train_dir.start(own, other, anew=True) == (other, 7, False)
    assert train_dir.start(own, anew=True) == (None, 0, False)


def hold(folder, ready):
    train_dir.lock(folder)
    ready.set()
    time.sleep(600)


def test_who_trains_in_a_folder_is_told_until_that_process_ends(tmp_path):
    folder, processes = str(tmp_path / "model"), multiprocessing.get_context("fork")
    train_dir.check_usable(folder)
    ready = processes.Event()
    other = processes.Process(target=hold, args=(folder, ready))
    other.start()
    try:
        assert ready.wait(60)
        told = "^--train_dir=%s: process %d on %s, since 20.* trains there: give another --train_dir, or stop" % (
            folder, other.pid, socket.gethostname())
        for function in train_dir.check_usable, train_dir.lock:
            with pytest.raises(InputError, match=told):
                function(folder)
    finally:
        os.kill(other.pid, signal.SIGKILL)
        other.join()
    train_dir.check_usable(folder)
    assert train_dir.lock(folder) and train_dir.lock(folder)
    train_dir.unlock(folder)
    train_dir.unlock(folder)
    assert os.listdir(folder) == [] and train_dir.lock(folder)
    train_dir.unlock(folder)


def test_without_locks_training_goes_on(tmp_path, monkeypatch):
    def fail(*unused):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(train_dir.fcntl, "flock", fail)
    train_dir.check_usable(str(tmp_path))
    assert not train_dir.lock(str(tmp_path)) and not train_dir.lock("gs://bucket/model")


@pytest.mark.parametrize("folder", ["", "export", "eval/valid"])
def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch, folder):
    def refuse(path):
        if os.path.dirname(path) == str(tmp_path / folder).rstrip("/"):
            raise InputError("%s cannot be written" % path)

    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(train_dir.atomic, "check_writable", refuse)
    with pytest.raises(InputError, match="cannot be written"):
        train_dir.check_usable(str(tmp_path))
