"""What the tests of models share: frames and weights that are known, running a model on them, formulas in NumPy."""
import functools

import numpy as np
import tensorflow as tf

from tests.golden import fill
from tests.variables import assign

tf1 = tf.compat.v1
RGB, AUDIO, VOCAB = 1024, 128, 3
IMAGE, SOUND = ("rgb", RGB), ("audio", AUDIO)
# Hyperparameters of a small NeXtVLAD.
SMALL = dict(nextvlad_cluster_size=2, nextvlad_hidden_size=8, groups=16, expansion=1, gating_reduction=4)


@functools.lru_cache(maxsize=64)
def value(name, shape):
    """`fill.value`; the biases before a relu6 are so large that both of its bends are reached."""
    return fill.value(name, shape) * (80 if name.endswith(("hidden1_bn/beta", "hidden2_biases")) else 1)


def var(name, *shape):
    """The value of a variable in the scope that programs use."""
    return value("tower/" + name, shape).astype("f8")


def normalized(num_frames, max_frames):
    """Videos of known frames, each of length 1, padded to [batch, max_frames, RGB + AUDIO]."""
    frames = fill.frames(5, len(num_frames), max_frames, num_frames)
    return frames / np.maximum(np.linalg.norm(frames, axis=2, keepdims=True), 1e-6)


def build(build_outputs):
    """Calls a function in the scope that programs use -> its outputs, a session in which all weights are known."""
    with tf1.variable_scope("tower"):
        outputs = build_outputs()
    session = tf1.Session()
    assign(session, {one: value(one.op.name, tuple(one.shape.as_list())) for one in tf1.global_variables()})
    return outputs, session


def evaluate(build_outputs):
    """As `build`, but returns the outputs' values."""
    outputs, session = build(build_outputs)
    with session:
        return session.run(outputs)


def run_model(model, frames, num_frames=None, is_training=False):
    """The model's outputs; without num_frames the model sees exactly the frames given."""
    return evaluate(lambda: model.create_model(
        tf.constant(frames), VOCAB, tf.constant(num_frames or [0] * len(frames)), is_training,
        frames_sampled=num_frames is None))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def dense(x, units, scope, weights="weights", biases="biases"):
    return x @ var(scope + "/" + weights, x.shape[-1], units) + var(scope + "/" + biases, units)


class Statistics(object):
    """Batch normalization that keeps its inputs in `seen`, {scope: [examples, units]}."""

    def __init__(self, is_training=False):
        self.is_training, self.seen = is_training, {}

    def norm(self, x, scope):
        units = x.shape[-1]
        rows = self.seen[scope] = x.reshape(-1, units)
        if self.is_training:
            mean, variance = rows.mean(axis=0), rows.var(axis=0)
        else:
            mean, variance = var(scope + "/moving_mean", units), var(scope + "/moving_variance", units)
        scale = var(scope + "/gamma", units) / np.sqrt(variance + .001)
        return (x - mean) * scale + var(scope + "/beta", units)


def weighted_residuals(points, weights, centres):
    """[batch, points, width], [batch, points, clusters], [width, clusters] -> [batch, width, clusters]."""
    return unit(sum(weights[:, i, np.newaxis] * (points[:, i, :, np.newaxis] - centres)
                    for i in range(points.shape[1])))


def mixture_of_experts(x, mixtures, prob_gating, statistics, scope=""):
    """[batch, features] -> probabilities [batch, VOCAB]."""
    gates = (x @ var(scope + "gates/weights", x.shape[1], VOCAB * (mixtures + 1))).reshape(-1, VOCAB, mixtures + 1)
    experts = dense(x, VOCAB * mixtures, scope + "experts").reshape(-1, VOCAB, mixtures)
    result = (softmax(gates)[:, :, :mixtures] * sigmoid(experts)).sum(axis=2)
    if prob_gating:
        result = result * sigmoid(statistics.norm(result @ var("gating_prob_weights", VOCAB, VOCAB),
                                                  "gating_prob_bn"))
    return result


def assert_moving_variances(model, frames, statistics, unfused):
    """Asserts the model's moving variances after one update from zero.

    Args:
      model: see `models.create`.
      frames: [batch, frames, features] of a training step.
      statistics: Statistics that saw what the model's batch norms see.
      unfused: names of the batch norms that are not fused: their variances take no Bessel's correction.
    """
    _, session = build(lambda: model.create_model(tf.constant(frames), VOCAB, None, True, frames_sampled=True))
    variables = {variable.op.name[len("tower/"):-len("/moving_variance")]: variable
                 for variable in tf1.global_variables() if variable.op.name.endswith("/moving_variance")}
    with session:
        assign(session, {variable: np.zeros(variable.shape) for variable in variables.values()})
        session.run(tf1.get_collection(tf1.GraphKeys.UPDATE_OPS))
        variances = session.run(variables)
    assert set(variances) == set(statistics.seen)
    for scope, seen in statistics.seen.items():
        correction = 1 if scope.split("/")[-1] in unfused else len(seen) / (len(seen) - 1)
        np.testing.assert_allclose(variances[scope], .001 * correction * seen.var(axis=0), rtol=5e-3, err_msg=scope)
