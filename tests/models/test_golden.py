"""The models equal the original's, number for number."""
import glob
import json
import os

import numpy as np
import pytest
import tensorflow as tf

from src import models
from src.data import readers
from src.trained import checkpoints
from src.training import losses
from src.training import towers
from tests.golden import fill
from tests.variables import assign
from tests.variables import with_adam

tf1 = tf.compat.v1
CASES = sorted(glob.glob(os.path.join(os.path.dirname(fill.__file__), "*.json")))
CASES = [path for path in CASES if not os.path.basename(path).startswith("metrics")]


@pytest.fixture(scope="module", params=CASES, ids=os.path.basename)
def golden(request):
    """A file of reference numbers, with the values of its variables in `values`; computing them takes seconds."""
    with open(request.param) as stream:
        golden = json.load(stream)
    golden["values"] = {name: fill.value(name, shape) for name, shape in golden["variables"].items()}
    return golden


def build(case, is_training):
    frames = fill.frames(case["seed"], case["batch"], case["max_frames"], case["num_frames"])
    with tf1.variable_scope("tower"):
        return models.create(case["model"], **case["flags"]).create_model(
            readers.normalize(tf.constant(frames)), vocab_size=case["vocab"],
            num_frames=tf.constant(case["num_frames"], tf.int32), is_training=is_training)


def fill_variables(session, variables, values):
    """Gives the model's variables known values, and all other variables their initial values."""
    session.run(tf1.variables_initializer(set(tf1.global_variables()) - set(variables)))
    assign(session, {variable: values[variable.op.name] for variable in variables})


class ConstantReader(object):
    """Gives towers.build the frames of a case as if they came from records."""

    def __init__(self, case):
        self.num_classes = case["vocab"]
        self._frames = fill.frames(case["seed"], case["batch"], case["max_frames"], case["num_frames"])
        labels = fill.labels(case["seed"], case["batch"], case["vocab"])
        rows, columns = labels.nonzero()
        self._labels = np.stack([rows, columns], axis=1), np.ones(len(rows), np.float32), labels.shape
        self._num_frames = case["num_frames"]

    def next_batch(self):
        return {"frames": tf.constant(self._frames), "num_frames": tf.constant(self._num_frames, tf.int32),
                "labels": tf.SparseTensor(*self._labels)}

    def model_input_raw(self, batch):
        return batch["frames"]


def test_names_shapes_and_predictions(golden):
    predictions = build(golden["case"], is_training=False)["predictions"]
    shapes = {variable.op.name: variable.shape.as_list() for variable in tf1.global_variables()}
    assert shapes == golden["variables"]
    assert {variable.op.name for variable in tf1.trainable_variables()} == set(golden["trainable"])
    with tf1.Session() as session:
        fill_variables(session, tf1.global_variables(), golden["values"])
        np.testing.assert_allclose(session.run(predictions), golden["predictions"], atol=2e-5)


def test_what_training_saves_and_three_updates(golden):
    case = golden["case"]
    reader = ConstantReader(case)
    checkpoints.create_global_step()
    graph = towers.build(
        models.create(case["model"], **case["flags"]), reader, reader.next_batch, ["/cpu:0"],
        losses.Objective(losses.create("CrossEntropyLoss")), towers.Updates(
            lambda step: (tf1.train.AdamOptimizer(case["learning_rate"]), tf.constant(case["learning_rate"]))),
        frames_sampled=False)
    saved = {variable.op.name: (variable.dtype.base_dtype, variable.shape.as_list())
             for variable in tf1.global_variables()}
    assert saved == with_adam(golden["variables"], golden["trainable"])
    with tf1.Session() as session:
        fill_variables(session, graph.model_variables, golden["values"])
        updates = [session.run((graph.loss, graph.regularization_loss, graph.train_op))[:2] for _ in range(3)]
    np.testing.assert_allclose(updates[0], golden["train_losses"][0], rtol=1e-5)
    np.testing.assert_allclose(updates, golden["train_losses"], rtol=1e-3)
