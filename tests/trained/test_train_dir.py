"""The folder of a training: where training goes on, and what --start_new_model removes."""
import os

import pytest
import tensorflow as tf

from src.trained import checkpoints
from src.trained import train_dir

tf1 = tf.compat.v1
OUTPUTS = ["model.ckpt-3.index", "checkpoint", "graph.pbtxt", "model_flags.json", "best_checkpoint.json",
           "events.out.tfevents.1.host", "export/step_3/saved_model.pb", "eval/results.csv",
           "inference_model/inference_model.meta", ".model_flags.json.host.1.tmp"]
OTHERS = ["notes.txt", "model.txt", "checkpoints.csv", "my_export/x", ".notes.txt.swp"]


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
