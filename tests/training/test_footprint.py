"""How much memory a training step takes, and the table of it in the pages."""
import os
import re
import subprocess
import types

import pytest
import tensorflow as tf

from src import models
from src.common import runtime
from src.data import forms
from src.data import readers
from src.trained import checkpoints
from src.training import footprint
from src.training import losses
from src.training import towers

tf1 = tf.compat.v1
PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NUM_CLASSES = 50
FLOAT = 4  # bytes


def measure(name, batch_size, num_frames=None, num_classes=NUM_CLASSES, optimizer=tf1.train.AdamOptimizer, **hparams):
    """The Footprint of a model's training step, on features 1024 + 128."""
    names = "rgb,audio" if num_frames else "mean_rgb,mean_audio"
    reader = readers.create(names, "1024,128", bool(num_frames), num_classes=num_classes)
    with tf.Graph().as_default():
        checkpoints.create_global_step()
        return footprint.measure(towers.build(
            models.create(name, **hparams), reader, lambda: reader.placeholder_batch(batch_size, num_frames), [None],
            losses.Objective(losses.create("CrossEntropyLoss")), towers.Updates(lambda step: (optimizer(.1), None))))


def test_weights_gradients_and_slots_are_counted_to_the_byte():
    found = measure("LogisticModel", 2)
    parameters = (1152 + 1) * NUM_CLASSES
    assert found.blocks == {"fully_connected": parameters}
    assert found.weights == FLOAT * parameters
    assert found.gradients == FLOAT * (parameters + 1152 * NUM_CLASSES)  # the weights' twice while clipped
    assert found.slots == FLOAT * (2 * parameters + 2)  # Adam's m and v, beta1_power and beta2_power
    assert measure("LogisticModel", 2, optimizer=tf1.train.GradientDescentOptimizer).slots == 0


def test_moving_averages_are_weights_without_gradients():
    found = measure("MoeModel", 2, moe_prob_gating=True)
    moving = 2 * NUM_CLASSES
    assert found.blocks["gating_prob_bn"] == 2 * NUM_CLASSES + moving
    assert found.slots == 2 * (found.weights - FLOAT * moving) + 2 * FLOAT


def test_activations_grow_with_batch_and_frames():
    few, double, long = (measure("NeXtVLAD", *size, nextvlad_cluster_size=8, nextvlad_hidden_size=16).activations
                         for size in ((16, 60), (32, 60), (16, 120)))
    widened = FLOAT * 16 * 60 * 2 * 1152
    assert double - few > 3 * widened and long - few > 3 * widened  # each is needed for the gradients
    assert double < 2.1 * few and long < 2.1 * few


def test_the_ops_whose_memory_is_special_exist():
    assert all(hasattr(tf.raw_ops, name) for name in footprint._ALIASES | footprint._IN_PLACE)


def test_peak_follows_lives_of_tensors():
    """a lives until the product; the sum overwrites b."""
    with tf.Graph().as_default():
        given = tf1.placeholder(tf.float32, [100])
        a = tf.tile(given, [10])
        b = tf.tile(given, [20])
        rest = tf.reduce_sum(tf.reshape(b + 1.0, [20, 100]))
        target = tf.reduce_sum(a * rest).op
        floats = footprint.activation_bytes(target, []) / FLOAT
    assert 100 + 1000 + 2000 <= floats < 100 + 1000 + 2000 + 50  # and some scalars


def test_gradients_are_no_activations():
    with tf.Graph().as_default():
        variable = tf1.get_variable("v", [1000], use_resource=False)
        gradient = tf.tile(tf1.placeholder(tf.float32, [100]), [10])
        update = variable.assign_sub(gradient).op
        every, others = (footprint.activation_bytes(update, found) for found in ([], [(gradient, variable)]))
    assert every - others == 1000 * FLOAT


@pytest.mark.parametrize("view", [
    lambda x: tf.reshape(x, [50, 20]), lambda x: tf.expand_dims(x, 0), lambda x: tf.squeeze(tf.reshape(x, [1, 1000])),
    tf.identity, tf.stop_gradient], ids=["reshape", "expand_dims", "squeeze", "identity", "stop_gradient"])
def test_another_view_of_a_tensor_takes_no_memory(view):
    with tf.Graph().as_default():
        made = tf.tile(tf1.placeholder(tf.float32, [100]), [10])
        target = tf.reduce_sum(view(made)).op
        assert 1100 <= footprint.activation_bytes(target, []) / FLOAT < 1100 + 50


@pytest.mark.parametrize("flags, expected", [
    (dict(max_steps=1000),
     "up to 10 more checkpoints, each of {full} GB and its SavedModel of {weights} GB, take {all} GB"),
    (dict(max_steps=1000, export_saved_models=False), "up to 10 more checkpoints, each of {full} GB, take {ten} GB"),
    (dict(max_steps=1050, first_step=880, export_saved_models=False), "up to 3 more checkpoints, each of {full} GB"),
    (dict(max_steps=1000, max_to_keep=9, export_saved_models=False), "up to 10 more checkpoints, each of {full} GB"),
    (dict(max_to_keep=4, export_saved_models=False), "up to 5 more checkpoints, each of {full} GB"),
    (dict(export_saved_models=False), "each checkpoint takes {full} GB"),
])
def test_training_says_how_much_disk_it_will_take(caplog, monkeypatch, tmp_path, flags, expected):
    monkeypatch.setattr(footprint, "GB", 1000)
    caplog.set_level("INFO", "yt8m")
    given = dict(first_step=0, max_steps=None, export_model_steps=100, max_to_keep=0, export_saved_models=True)
    given.update(flags)
    with tf.Graph().as_default():
        weights = tf1.get_variable("tower/weights", [250])
        checkpoints.create_global_step()
        tf1.get_variable("tower/weights/Adam", [250])
        footprint.log_disk(types.SimpleNamespace(model_variables=[weights]), str(tmp_path / "new" / "model"),
                           footprint.Plan(**given))
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert expected.format(full="2.00", weights="1.00", all="30.00", ten="20.00") in text
    assert "too little" not in text


@pytest.mark.parametrize("free, warned", [(1999, True), (2000, False)])
def test_too_little_disk_is_a_warning(caplog, monkeypatch, tmp_path, free, warned):
    monkeypatch.setattr(footprint.shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=free))
    caplog.set_level("INFO", "yt8m")
    with tf.Graph().as_default():
        weights = tf1.get_variable("tower/weights", [250])
        checkpoints.create_global_step()
        footprint.log_disk(types.SimpleNamespace(model_variables=[weights]), str(tmp_path),
                           footprint.Plan(0, 1, 1, 0, True))
    assert ("WARNING, too little: make room" in caplog.records[-1].getMessage()) == warned


def rows_of_the_page():
    with open(os.path.join(PROJECT, "docs", "competition.md")) as stream:
        return re.findall(r"^\| (\S[^|]*) \| `(\w+)\.sh` \| (\d+) \|(.*)\|$", stream.read(), re.MULTILINE)


def test_the_page_lists_the_nine_models():
    scripts = {name[:-3] for name in os.listdir(os.path.join(PROJECT, "shell_script"))
               if re.match("bert|gated|mix", name) and not name.endswith("_plus.sh")}  # which train models of others
    assert len(rows_of_the_page()) == 9 and {row[1] for row in rows_of_the_page()} == scripts


@pytest.mark.parametrize("name,script,frames,columns", rows_of_the_page(), ids=[row[1] for row in rows_of_the_page()])
def test_the_pages_figures_are_those_of_the_scripts_model(name, script, frames, columns):
    path = os.path.join(PROJECT, "shell_script", script + ".sh")
    command, fine_tuning = (subprocess.check_output([path, step, "--dry_run"], universal_newlines=True)
                            for step in ("pretrain", "finetune"))
    flags, later = (dict(re.findall(r"--(\w+)=([^\s']+)", one)) for one in (command, fine_tuning))
    known = models.create(flags["model"]).hparams
    given = {key: value == "True" if known[key] in (True, False) else type(known[key])(value)
             for key, value in flags.items() if key in known}
    given.update((key, True) for key in re.findall(r"--(\w+) ", command) if known.get(key) is False)
    found = measure(flags["model"], int(flags["batch_size"]), int(frames), forms.NUM_CLASSES, **given)
    assert name in open(os.path.join(PROJECT, "shell_script", script + ".sh")).read()
    assert int(frames) == given.get("iterations", 5)
    sizes = ["%.2f" % (size / 2 ** 30) for size in found[1:] + (sum(found[1:]),)]
    parameters = "%.0f M" % (sum(found.blocks.values()) / 1e6)
    saved = found.weights + found.slots
    fine_tuned = (int(later["max_steps"]) - int(flags["max_steps"])) // int(later["export_model_steps"])
    assert "--noexport_saved_models" in fine_tuning and "--max_to_keep" not in fine_tuning
    disk = int(flags["max_to_keep"]) * (saved + found.weights) + fine_tuned * saved
    shown = [column.strip() for column in columns.split("|")]
    assert shown[:4] == [parameters] + sizes[:3]
    # TensorFlow 2 has some other small ops.
    assert list(map(float, shown[4:6])) == pytest.approx(list(map(float, sizes[3:])), abs=.011 * runtime.IS_2)
    assert shown[6:] == ["yes" if sum(found[1:]) < 10 * 2 ** 30 else "no", "%.2f" % (saved / 2 ** 30),
                         "%.0f" % (disk / 2 ** 30)]
