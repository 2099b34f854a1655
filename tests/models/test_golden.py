"""The models equal the original's, number for number."""
import glob
import json
import os

import numpy as np
import pytest
import tensorflow as tf

from src import models
from src.data import readers
from tests.golden import fill

tf1 = tf.compat.v1
CASES = sorted(glob.glob(os.path.join(os.path.dirname(fill.__file__), "*.json")))
CASES = [path for path in CASES if not os.path.basename(path).startswith("metrics")]


def load(path):
    with open(path) as stream:
        return json.load(stream)


def build(case, is_training):
    frames = fill.frames(case["seed"], case["batch"], case["max_frames"], case["num_frames"])
    with tf1.variable_scope("tower"):
        return models.create(case["model"], **case["flags"]).create_model(
            readers.normalize(tf.constant(frames)), vocab_size=case["vocab"],
            num_frames=tf.constant(case["num_frames"], tf.int32), is_training=is_training)


def filled_session():
    session = tf1.Session()
    session.run(tf1.global_variables_initializer())
    for variable in tf1.global_variables():
        variable.load(fill.value(variable.op.name, variable.shape.as_list()), session)
    return session


@pytest.mark.parametrize("path", CASES, ids=os.path.basename)
def test_names_shapes_and_predictions(path):
    golden = load(path)
    predictions = build(golden["case"], is_training=False)["predictions"]
    shapes = {variable.op.name: variable.shape.as_list() for variable in tf1.global_variables()}
    assert shapes == golden["variables"]
    assert {variable.op.name for variable in tf1.trainable_variables()} == set(golden["trainable"])
    with filled_session() as session:
        np.testing.assert_allclose(session.run(predictions), golden["predictions"], atol=2e-5)
