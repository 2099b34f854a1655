"""An inference model is read as a whole while evaluations replace it."""
import multiprocessing
import os
import shutil
import tarfile
import time

import numpy as np
import pytest
import tensorflow as tf

from src.common import atomic
from src.common.errors import InputError
from src.trained import bundle
from src.trained import checkpoints
from src.trained import export

tf1 = tf.compat.v1
NAMES = ["v%d" % number for number in range(10)]


def make(folder, value):
    """Writes a checkpoint whose variables all have one value."""
    os.makedirs(folder)
    with tf.Graph().as_default(), tf1.Session() as session:
        for name in NAMES:
            tf1.get_variable(name, initializer=np.full([1000], value, "f4"))
        session.run(tf1.global_variables_initializer())
        tf1.train.Saver().save(session, os.path.join(folder, "inference_model"), write_state=False)


@pytest.fixture
def model(tmp_path):
    """The prefix of an inference model; made0 and made1 hold models to replace it with."""
    for value in 0, 1:
        make(str(tmp_path / ("made%d" % value)), value)
    shutil.copytree(str(tmp_path / "made0"), str(tmp_path / "inference_model"))
    (tmp_path / "model_flags.json").write_text("{}")
    return str(tmp_path / "inference_model" / "inference_model")


def replace(model, value):
    folder = os.path.dirname(model)
    with atomic.replacing_folder(folder) as temporary:
        shutil.copytree(os.path.join(os.path.dirname(folder), "made%d" % value), temporary)


def replace_forever(model):
    value = 0
    while True:
        replace(model, value)
        value = 1 - value
        time.sleep(.1)


def test_weights_are_of_one_model_while_it_is_replaced(model):
    writer = multiprocessing.get_context("fork").Process(target=replace_forever, args=(model,), daemon=True)
    writer.start()
    variables, seen, end = [tf1.get_variable(name, [1000]) for name in NAMES], [], time.time() + 4
    with tf1.Session() as session:
        while time.time() < end:
            export.restore_model(session, model, variables)
            value, = np.unique(session.run(variables))
            seen.append(value)
    writer.terminate()
    assert set(seen) == {0, 1}


def test_what_was_replaced_while_it_was_read_is_read_again(model):
    pauses = iter([1, 0, None])

    def read_both():
        with checkpoints.unreplaced(model):
            first = tf.train.load_variable(model, NAMES[0])[0]
            value = next(pauses)
            if value is not None:
                replace(model, value)
            return first, tf.train.load_variable(model, NAMES[1])[0]

    assert checkpoints.read_whole(read_both) == (0, 0)


def test_a_damaged_model_that_nobody_replaces_is_read_once(model):
    tries = []
    with pytest.raises(InputError, match="not a readable checkpoint"):
        def read():
            tries.append(1)
            with checkpoints.unreplaced(model):
                raise InputError("not a readable checkpoint")
        checkpoints.read_whole(read)
    assert len(tries) == 1


def test_a_model_that_is_always_replaced_is_named(model):
    def read():
        with checkpoints.unreplaced(model):
            replace(model, 1)

    with pytest.raises(InputError, match="inference_model was replaced time and again while it was read: run again"):
        checkpoints.read_whole(read)


def test_a_bundle_holds_one_model(model, tmp_path, monkeypatch):
    def replacing_first(path, *arguments):
        stream = opened(path, *arguments)
        if path.endswith(".index") and replacements:
            replace(model, replacements.pop())
        return stream

    opened, replacements = tf.io.gfile.GFile, [1]
    monkeypatch.setattr(tf.io.gfile, "GFile", replacing_first)
    bundle.write(str(tmp_path), model, str(tmp_path / "model.tgz"))
    with tarfile.open(str(tmp_path / "model.tgz")) as archive:
        archive.extractall(str(tmp_path / "bundled"))
    assert not replacements
    assert {tf.train.load_variable(str(tmp_path / "bundled" / "inference_model"), name)[0] for name in NAMES} == {1}
