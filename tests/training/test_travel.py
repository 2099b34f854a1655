"""Checkpoints travel between this project and plain TensorFlow programs such as the original code."""
import glob
import os

import numpy as np
import pytest
import tensorflow as tf

from src import models
from src.common.errors import InputError
from src.trained import checkpoints
from src.trained import train_dir
from src.training import losses
from src.training import stopping
from src.training import tf_cluster
from src.training import towers
from src.training import trainer
from tests.golden import fill
from tests.variables import with_adam

tf1 = tf.compat.v1
BATCH, FEATURES, VOCAB, MIXTURES, RATE = 5, 4, 3, 2, .01
INPUT = np.random.RandomState(1).randn(BATCH, FEATURES).astype("f4")
LABELS = (np.random.RandomState(2).rand(BATCH, VOCAB) < .4).astype("f4")

TRAINED = {"tower/gates/weights": [FEATURES, VOCAB * (MIXTURES + 1)],
           "tower/experts/weights": [FEATURES, VOCAB * MIXTURES], "tower/experts/biases": [VOCAB * MIXTURES],
           "tower/gating_prob_weights": [VOCAB, VOCAB], "tower/gating_prob_bn/gamma": [VOCAB],
           "tower/gating_prob_bn/beta": [VOCAB]}
MOVING = {"tower/gating_prob_bn/moving_mean": [VOCAB], "tower/gating_prob_bn/moving_variance": [VOCAB]}


def written(checkpoint):
    """{name: (dtype, shape)} of a checkpoint."""
    reader = tf.train.load_checkpoint(checkpoint)
    types = reader.get_variable_to_dtype_map()
    return {name: (types[name], shape) for name, shape in reader.get_variable_to_shape_map().items()}


# A program of its own: a mixture of experts with probability gating, trained by Adam.


def plain_variables(shapes):
    """{name: plain variable}, with the values of `fill`."""
    return {name: tf1.Variable(fill.value(name, shape), name=name, use_resource=False)
            for name, shape in shapes.items()}


def plain_update(step):
    """The op of one training step on INPUT and LABELS; creates all variables of the program but the step."""
    v = {name[len("tower/"):]: variable for name, variable in plain_variables(TRAINED).items()}
    moving = [tf1.Variable(fill.value(name, shape), trainable=False, name=name, use_resource=False)
              for name, shape in sorted(MOVING.items())]
    x = INPUT / np.linalg.norm(INPUT, axis=1, keepdims=True)
    gates = tf.nn.softmax(tf.reshape(tf.matmul(x, v["gates/weights"]), [BATCH, VOCAB, MIXTURES + 1]))
    experts = tf.reshape(tf.matmul(x, v["experts/weights"]) + v["experts/biases"], [BATCH, VOCAB, MIXTURES])
    p = tf.reduce_sum(gates[:, :, :MIXTURES] * tf.sigmoid(experts), axis=2)
    products = tf.matmul(p, v["gating_prob_weights"])
    mean, variance = tf.nn.moments(products, axes=[0])
    p *= tf.sigmoid(tf.nn.batch_normalization(
        products, mean, variance, v["gating_prob_bn/beta"], v["gating_prob_bn/gamma"], .001))
    loss = tf.reduce_mean(tf.reduce_sum(
        -LABELS * tf.math.log(p + 1e-5) - (1 - LABELS) * tf.math.log(1 - p + 1e-5), axis=1))
    optimizer = tf1.train.AdamOptimizer(RATE)
    gradients = [(tf.clip_by_norm(gradient, 1.0), variable)
                 for gradient, variable in optimizer.compute_gradients(loss)]
    statistics = [mean, variance * BATCH / (BATCH - 1)]
    moved = [variable.assign_sub(.001 * (variable - now)) for variable, now in zip(moving, statistics)]
    with tf.control_dependencies(moved):
        return optimizer.apply_gradients(gradients, step)


def train_plainly(folder, updates, start_from=None):
    """Trains and saves; returns the checkpoint."""
    with tf.Graph().as_default(), tf1.Session() as session:
        step = tf1.Variable(0, trainable=False, dtype=tf.int32, name="global_step", use_resource=False)
        update, saver = plain_update(step), tf1.train.Saver()
        session.run(tf1.global_variables_initializer())
        if start_from:
            saver.restore(session, start_from)
        for _ in range(updates):
            session.run(update)
        return saver.save(session, os.path.join(folder, "model.ckpt"), global_step=step)


# The same training by this project.


class ConstantReader(object):
    """Batches of the constants above."""

    num_classes = VOCAB

    def next_batch(self):
        listed = np.argwhere(LABELS)
        return {"features": tf.constant(INPUT),
                "labels": tf.SparseTensor(listed, np.ones(len(listed), "f4"), LABELS.shape)}

    def model_input_raw(self, batch):
        return batch["features"]


def train_graph(model, reader, freeze=""):
    checkpoints.create_global_step()
    return towers.build(
        model, reader, reader.next_batch, ["/cpu:0"], losses.Objective(losses.create("CrossEntropyLoss")),
        towers.Updates(lambda step: (tf1.train.AdamOptimizer(RATE), tf.constant(RATE)), freeze=freeze),
        frames_sampled=False)


def train_here(folder, max_steps, start_from=None, init_from=None):
    """Trains to max_steps, from the checkpoint in `folder` or `start_from`, or begins with the weights of `init_from`;
    returns the checkpoint."""
    model = models.create("MoeModel", moe_num_mixtures=MIXTURES, moe_prob_gating=True, moe_l2=0.0)
    with tf.Graph().as_default():
        graph = train_graph(model, ConstantReader())
        trainer.train(graph, trainer.Run(folder, BATCH, 1000, max_steps), tf_cluster.Task(None), stopping.Stop(),
                      train_dir.start(folder, start_from), [trainer.initializer(init_from, graph)] if init_from else [])
    return checkpoints.path(folder, max_steps)


@pytest.fixture(name="theirs", scope="module")
def their_checkpoint(tmp_path_factory):
    """Step 3 of the plain program."""
    return train_plainly(str(tmp_path_factory.mktemp("theirs")), 3)


def assert_equal_values(checkpoint, other):
    for name in written(other):
        ours, theirs = tf.train.load_variable(checkpoint, name), tf.train.load_variable(other, name)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6, err_msg=name)


def test_the_plain_program_writes_what_the_original_does(theirs):
    assert written(theirs) == with_adam(dict(TRAINED, **MOVING), TRAINED)
    assert tf.train.load_variable(theirs, "global_step") == 3


@pytest.mark.parametrize("in_train_dir", [True, False], ids=["train_dir", "checkpoint_file"])
def test_training_continues_another_programs_checkpoint_as_that_program_would(theirs, in_train_dir, tmp_path):
    expected = train_plainly(str(tmp_path / "expected"), 4, start_from=theirs)
    assert np.abs(tf.train.load_variable(expected, "tower/experts/weights")
                  - tf.train.load_variable(theirs, "tower/experts/weights")).min() > .001
    folder, start_from = str(tmp_path / "ours"), theirs
    if in_train_dir:
        start_from = None
        for path in glob.glob(theirs + ".*"):
            tf.io.gfile.makedirs(folder)
            tf.io.gfile.copy(path, os.path.join(folder, os.path.basename(path)))
    ours = train_here(folder, 7, start_from)
    assert written(ours) == written(expected)
    assert_equal_values(ours, expected)


def test_another_program_continues_our_checkpoint_as_ours_would(theirs, tmp_path):
    # Trained here from step 3 to 5, there to 7.
    ours = train_here(str(tmp_path / "ours"), 5, start_from=theirs)
    continued = train_plainly(str(tmp_path / "continued"), 2, start_from=ours)
    assert_equal_values(continued, train_here(str(tmp_path / "ours"), 7))


def test_a_new_run_begins_with_another_programs_weights_alone(theirs, tmp_path):
    ours = train_here(str(tmp_path / "ours"), 1, init_from=theirs)
    assert written(ours) == written(theirs)
    assert tf.train.load_variable(ours, "global_step") == 1
    assert tf.train.load_variable(ours, "beta1_power") == pytest.approx(.9 ** 2)
    for name in TRAINED:
        before, after = (tf.train.load_variable(checkpoint, name) for checkpoint in (theirs, ours))
        # Adam's first step is as long as the learning rate.
        np.testing.assert_allclose(np.abs(after - before), RATE, rtol=.01, err_msg=name)
    for name in MOVING:
        before, after = (tf.train.load_variable(checkpoint, name) for checkpoint in (theirs, ours))
        assert 0 < np.abs(after - before).max() < .01, name


def test_weights_that_do_not_fit_are_not_to_be_frozen(theirs):
    model = models.create("MoeModel", moe_num_mixtures=MIXTURES + 1, moe_prob_gating=True)
    graph = train_graph(model, ConstantReader(), freeze="tower/(experts|gating_prob).*")
    with pytest.raises(InputError, match="--freeze keeps tower/experts/weights as it is, but .* does not hold it in"):
        trainer.initializer(theirs, graph)
