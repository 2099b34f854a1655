"""VLAD models and BertCross equal formulas written out in NumPy; every model trains and predicts."""
import json

import numpy as np
import pytest
import tensorflow as tf

from src import models
from src.common.errors import InputError
from src.models import netvlad
from src.models import nextvlad
from src.trained import checkpoints
from src.training import footprint
from src.training import losses
from src.training import towers
from tests.golden import fill
from tests.variables import assign

tf1 = tf.compat.v1
RGB, AUDIO, VOCAB = 1024, 128, 3


# What both sides compute from: variables named by their scope and shape, and normalised frames.


def value(name, shape):
    """`fill.value`; before a relu6 the biases are large enough to reach both of its bends."""
    return fill.value(name, shape) * (80 if name.endswith(("hidden1_bn/beta", "hidden2_biases")) else 1)


def var(name, *shape):
    return value("tower/" + name, shape).astype("f8")


def normalized(num_frames, max_frames):
    """Padded videos [batch, max_frames, RGB + AUDIO] of so many frames, each frame of length 1."""
    frames = fill.frames(5, len(num_frames), max_frames, num_frames)
    return frames / np.maximum(np.linalg.norm(frames, axis=2, keepdims=True), 1e-6)


def build(build_outputs):
    """Outputs of a function, called in the scope that programs use, and a session of known weights."""
    with tf1.variable_scope("tower"):
        outputs = build_outputs()
    session = tf1.Session()
    assign(session, {one: value(one.op.name, one.shape.as_list()) for one in tf1.global_variables()})
    return outputs, session


def evaluate(build_outputs):
    outputs, session = build(build_outputs)
    with session:
        return session.run(outputs)


def run_model(model, frames, num_frames=None, is_training=False):
    """The model's outputs; without num_frames, on exactly the frames given."""
    return evaluate(lambda: model.create_model(
        tf.constant(frames), VOCAB, tf.constant(num_frames or [0] * len(frames)), is_training,
        frames_sampled=num_frames is None))


# Formulas.


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def relu6(x):
    return np.clip(x, 0, 6)


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def dense(x, units, scope, weights="weights", biases="biases"):
    return x @ var(scope + "/" + weights, x.shape[-1], units) + var(scope + "/" + biases, units)


class Statistics(object):
    """Batch norm; in training keeps what it saw, {scope: [examples, units]}, in `seen`."""

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


def netvlad_block(frames, clusters, scope, statistics):
    width = frames.shape[2]
    scores = statistics.norm(frames @ var(scope + "conv2/cluster_weights", width, clusters),
                             scope + "cluster_bn")
    centres = var(scope + "cluster_weights2/cluster_weights2", 1, width, clusters)[0]
    return unit(weighted_residuals(frames, softmax(scores), centres).reshape(-1, width * clusters))


def gated_netvlad(frames, clusters, hidden_size, relu, gating, statistics, kept=slice(2)):
    parts = [(frames[:, :, :RGB], clusters, "video_VLAD/"), (frames[:, :, RGB:], clusters // 2, "audio_VLAD/")]
    descriptors = np.concatenate([netvlad_block(features, clusters_of, scope, statistics)
                                  for features, clusters_of, scope in parts[kept]], axis=1)
    hidden = descriptors @ var("hidden1_weights/hidden1_weights", descriptors.shape[1], hidden_size)
    hidden = relu6(statistics.norm(hidden, "hidden1_bn"))
    units = 2 * hidden_size
    hidden = hidden @ var("hidden2_weights/hidden2_weights", hidden_size, units)
    hidden = hidden + var("hidden2_biases", units)
    hidden = relu6(hidden) if relu else hidden
    if not gating:
        return hidden
    gates = statistics.norm(hidden @ var("gating_weights/gating_weights", units, units), "gating_bn")
    return hidden * sigmoid(gates)


def nextvlad_block(frames, clusters, groups, expansion, scope, statistics):
    batch, num_frames, _ = frames.shape
    width = expansion * frames.shape[2]
    widened = dense(frames, width, scope + "fully_connected")
    attention = sigmoid(dense(widened, groups, scope + "fully_connected_1"))
    scores = statistics.norm(widened @ var(scope + "cluster_weights", width, groups * clusters),
                             scope + "cluster_bn")
    weights = softmax(scores.reshape(batch, num_frames, groups, clusters)) * attention[..., np.newaxis]
    points = num_frames * groups
    descriptors = weighted_residuals(
        widened.reshape(batch, points, -1), weights.reshape(batch, points, clusters),
        var(scope + "cluster_weights2", 1, width // groups, clusters)[0])
    return statistics.norm(descriptors.reshape(batch, -1), scope + "vlad_bn")


def next_vlad(frames, clusters, hidden_size, groups, expansion, reduction, statistics, scope="", kept=slice(2)):
    parts = [(frames[:, :, :RGB], clusters, groups, "video_vlad/"),
             (frames[:, :, RGB:], clusters // 2, groups // 2, "audio_vlad/")]
    descriptors = np.concatenate([
        nextvlad_block(features, clusters_of, groups_of, expansion, scope + name, statistics)
        for features, clusters_of, groups_of, name in parts[kept]], axis=1)
    hidden = statistics.norm(descriptors @ var(scope + "hidden1_weights", descriptors.shape[1], hidden_size),
                             scope + "hidden1_bn")
    narrow_size = hidden_size // reduction
    narrow = statistics.norm(hidden @ var(scope + "gating_weights_1", hidden_size, narrow_size),
                             scope + "gating_bn")
    return hidden * sigmoid(np.maximum(narrow, 0) @ var(scope + "gating_weights_2", narrow_size, hidden_size))


def mixture_of_experts(x, mixtures, prob_gating, statistics):
    gates = (x @ var("gates/weights", x.shape[1], VOCAB * (mixtures + 1))).reshape(-1, VOCAB, mixtures + 1)
    experts = dense(x, VOCAB * mixtures, "experts").reshape(-1, VOCAB, mixtures)
    result = (softmax(gates)[:, :, :mixtures] * sigmoid(experts)).sum(axis=2)
    if prob_gating:
        result = result * sigmoid(statistics.norm(result @ var("gating_prob_weights", VOCAB, VOCAB),
                                                  "gating_prob_bn"))
    return result


# NetVLAD.


@pytest.mark.parametrize("num_frames, width, clusters", [(1, 4, 2), (5, 6, 1), (300, 3, 8)])
def test_netvlad_sums_residuals_by_soft_assignment_and_normalises_twice(num_frames, width, clusters):
    frames = np.random.RandomState(1).randn(2, num_frames, width).astype("f4")
    descriptors = evaluate(lambda: netvlad.netvlad(tf.constant(frames), clusters, is_training=False))
    np.testing.assert_allclose(descriptors, netvlad_block(frames, clusters, "", Statistics()), atol=1e-5)


@pytest.mark.parametrize("clusters, hidden_size, gating, relu, prob_gating", [
    (2, 5, True, False, True), (5, 6, False, True, False), (16, 4, True, True, False),
    (6, 7, False, False, True)])
def test_gated_netvlad(clusters, hidden_size, gating, relu, prob_gating):
    model = models.create("GatedNetVLAD", netvlad_cluster_size=clusters, netvlad_hidden_size=hidden_size,
                          gating=gating, netvlad_relu=relu, moe_prob_gating=prob_gating, moe_num_mixtures=2)
    frames = normalized([5, 5, 5], 5)
    pooled = gated_netvlad(frames, clusters, hidden_size, relu, gating, Statistics())
    np.testing.assert_allclose(run_model(model, frames)["predictions"],
                               mixture_of_experts(pooled, 2, prob_gating, Statistics()), atol=1e-5)


def spread(num_frames, iterations):
    return [int((i + .5) * num_frames / iterations) for i in range(iterations)]


def middle(num_frames, iterations):
    start = max((num_frames - iterations) // 2, 0)
    return [min(start + i, num_frames - 1) for i in range(iterations)]


@pytest.mark.parametrize("random_frames, picked", [(True, spread), (False, middle)])
@pytest.mark.parametrize("num_frames, max_frames, iterations", [
    ([300, 1], 300, 5), ([1], 1, 3), ([5, 4, 2], 5, 5), ([7, 300, 61], 300, 60)])
def test_evaluation_sees_frames_spread_evenly_or_the_middle_run(
        num_frames, max_frames, iterations, random_frames, picked):
    model = models.create(
        "GatedNetVLAD", netvlad_cluster_size=2, netvlad_hidden_size=3, iterations=iterations,
        sample_random_frames=random_frames, video_level_classifier_model="LogisticModel")
    frames = normalized(num_frames, max_frames)
    seen = np.stack([video[picked(count, iterations)] for video, count in zip(frames, num_frames)])
    expected = dense(gated_netvlad(seen, 2, 3, False, False, Statistics()), VOCAB, "fully_connected")
    np.testing.assert_allclose(run_model(model, frames, num_frames)["logits"], expected, atol=5e-5)


@pytest.mark.parametrize("random_frames", [True, False])
@pytest.mark.parametrize("name", ["GatedNetVLAD", "NeXtVLAD", "MixNeXtVLAD", "FrameLevelLogisticModel"])
def test_frames_seen_many_times_over_are_computed_once(name, random_frames):
    model = models.create(name, netvlad_cluster_size=4, netvlad_hidden_size=3, nextvlad_cluster_size=4,
                          nextvlad_hidden_size=8, groups=4, gating_reduction=4, iterations=60,
                          sample_random_frames=random_frames, video_level_classifier_model="LogisticModel")
    frames, logits, memory = normalized([5, 4, 1], 5), [], []
    for num_frames in (5, None):  # of a number that the graph does not know all are sampled
        with tf.Graph().as_default():
            given = tf1.placeholder_with_default(frames, [3, num_frames, RGB + AUDIO])
            logits.append(evaluate(lambda: model.create_model(given, VOCAB, tf.constant([5, 4, 1]), False)["logits"]))
    np.testing.assert_allclose(*logits, atol=2e-5)
    for iterations in (5, 60):
        model.hparams["iterations"] = iterations
        with tf.Graph().as_default():
            given = tf1.placeholder(tf.float32, [3, 5, RGB + AUDIO])
            outputs = model.create_model(given, VOCAB, tf1.placeholder(tf.int32, [3]), False)
            memory.append(footprint.activation_bytes(outputs["predictions"].op, []))
    assert memory[1] < 1.5 * memory[0]


# NeXtVLAD.


@pytest.mark.parametrize("num_frames, width, clusters, groups, expansion", [
    (1, 4, 2, 2, 1), (5, 6, 3, 4, 2), (300, 2, 1, 1, 3), (4, 4, 5, 8, 2)])
def test_nextvlad_attends_to_groups_and_sums_their_residuals(num_frames, width, clusters, groups, expansion):
    frames = np.random.RandomState(1).randn(2, num_frames, width).astype("f4")
    descriptors = evaluate(lambda: nextvlad.nextvlad(tf.constant(frames), clusters, groups, expansion, False))
    expected = nextvlad_block(frames, clusters, groups, expansion, "", Statistics())
    np.testing.assert_allclose(descriptors, expected, atol=1e-4)


@pytest.mark.parametrize("is_training", [False, True])
@pytest.mark.parametrize("clusters, hidden_size, groups, expansion, reduction", [
    (2, 8, 8, 2, 4), (5, 6, 2, 1, 6), (4, 7, 64, 1, 3)])
def test_nextvlad_model(clusters, hidden_size, groups, expansion, reduction, is_training):
    model = models.create(
        "NeXtVLAD", nextvlad_cluster_size=clusters, nextvlad_hidden_size=hidden_size, groups=groups,
        expansion=expansion, gating_reduction=reduction, drop_rate=0.0, moe_num_mixtures=1)
    frames, statistics = normalized([4] * 5, 4), Statistics(is_training)
    pooled = next_vlad(frames, clusters, hidden_size, groups, expansion, reduction, statistics)
    np.testing.assert_allclose(run_model(model, frames, is_training=is_training)["predictions"],
                               mixture_of_experts(pooled, 1, False, statistics), atol=1e-4)


@pytest.mark.parametrize("name, groups, expansion, told", [
    ("NeXtVLAD", 7, 2, "2048 widened features into 7 groups"),
    ("NeXtVLAD", 512, 1, "128 widened features into 256 groups"),
    ("MixNeXtVLAD", 1, 2, "256 widened features into 0 groups")])
def test_groups_must_divide_the_widened_features(name, groups, expansion, told):
    model = models.create(name, groups=groups, expansion=expansion, nextvlad_cluster_size=2)
    with pytest.raises(InputError) as raised:
        run_model(model, normalized([1], 1))
    assert str(raised.value) == (
        "--groups and --expansion split %s: choose groups (sound takes half as many) that divide them."
        % told)


SMALL = dict(nextvlad_cluster_size=2, nextvlad_hidden_size=8, groups=16, expansion=1, gating_reduction=4)


def small_next_vlad(frames, statistics, scope=""):
    return next_vlad(frames, 2, 8, 16, 1, 4, statistics, scope)


def test_dropout_hides_descriptors_in_training_only():
    # Of the descriptors none is left, so that nothing tells one video from another.
    model = models.create("NeXtVLAD", drop_rate=1 - 1e-6, moe_num_mixtures=1, **SMALL)
    frames = normalized([5, 5], 5)
    first, second = run_model(model, frames, is_training=True)["predictions"]
    np.testing.assert_allclose(first, second, atol=1e-6)
    with tf.Graph().as_default():
        evaluated = run_model(model, frames)["predictions"]
    pooled = small_next_vlad(frames, Statistics())
    np.testing.assert_allclose(evaluated, mixture_of_experts(pooled, 1, False, Statistics()), atol=1e-5)


# MixNeXtVLAD.


def mix_next_vlad(frames, branches, statistics):
    """-> mixed logits, each branch's logits."""
    logits = [dense(small_next_vlad(frames, statistics, "branch_%d/" % branch), VOCAB,
                    "branch_%d/fully_connected" % branch) for branch in range(branches)]
    means = statistics.norm(frames.mean(axis=2), "mix_weights_bn")
    weights = softmax(dense(means, branches, "mix_weights"))
    return sum(weights[:, i:i + 1] * logits[i] for i in range(branches)), logits


def divergence(teacher, student, temperature):
    """KL(softmax(teacher / T) || softmax(student / T)) of each row."""
    teacher, student = softmax(teacher / temperature), softmax(student / temperature)
    return (teacher * np.log(teacher / student)).sum(axis=1)


def create_mix(branches=2, head="LogisticModel", **hparams):
    return models.create("MixNeXtVLAD", mix_number=branches, drop_rate=0.0, video_level_classifier_model=head,
                         **dict(SMALL, **hparams))


@pytest.mark.parametrize("branches, num_frames", [(1, 2), (3, 5)])
def test_branches_are_mixed_by_weights_that_depend_on_the_video(branches, num_frames):
    frames = normalized([num_frames] * 3, num_frames)
    result = run_model(create_mix(branches), frames)
    mixed, _ = mix_next_vlad(frames, branches, Statistics())
    np.testing.assert_allclose(result["logits"], mixed, atol=1e-5)
    np.testing.assert_allclose(result["predictions"], sigmoid(mixed), atol=1e-5)
    assert set(result) == {"logits", "predictions"}


@pytest.mark.parametrize("temperature, factor", [(.25, 1.0), (3.0, 9.0)])
def test_in_training_the_mixture_teaches_its_branches(temperature, factor):
    frames = normalized([4] * 5, 4)
    result = run_model(create_mix(cl_temperature=temperature, cl_lambda=factor), frames, is_training=True)
    mixed, logits = mix_next_vlad(frames, 2, Statistics(is_training=True))
    expected = factor * np.mean(sum(divergence(mixed, branch, temperature) for branch in logits))
    assert expected > .01
    np.testing.assert_allclose(result["logits"], mixed, atol=1e-4)
    np.testing.assert_allclose(result["regularization_loss"], expected, rtol=1e-3)


def test_a_mixture_needs_a_head_with_logits():
    with pytest.raises(InputError) as raised:
        run_model(create_mix(head="MoeModel"), normalized([1], 1))
    assert str(raised.value) == ("--model=MixNeXtVLAD mixes logits, which MoeModel does not have: add "
                                 "--video_level_classifier_model=LogisticModel.")


# Batch norm.


def updated_variances(model, frames):
    """{scope: moving variance} after one update from zero."""
    _, session = build(
        lambda: model.create_model(tf.constant(frames), VOCAB, None, True, frames_sampled=True))
    variances = {variable.op.name[len("tower/"):-len("/moving_variance")]: variable
                 for variable in tf1.global_variables() if variable.op.name.endswith("/moving_variance")}
    with session:
        assign(session, {variable: np.zeros(variable.shape) for variable in variances.values()})
        session.run(tf1.get_collection(tf1.GraphKeys.UPDATE_OPS))
        return session.run(variances)


def of_gated_netvlad(frames, statistics):
    pooled = gated_netvlad(frames, 4, 3, False, True, statistics)
    mixture_of_experts(pooled, 1, True, statistics)


@pytest.mark.parametrize("model, formula, unfused", [
    (models.create("GatedNetVLAD", netvlad_cluster_size=4, netvlad_hidden_size=3, gating=True,
                   moe_prob_gating=True, moe_num_mixtures=1), of_gated_netvlad, ()),
    (create_mix(), lambda frames, statistics: mix_next_vlad(frames, 2, statistics),
     ("cluster_bn", "vlad_bn", "hidden1_bn"))], ids=["GatedNetVLAD", "MixNeXtVLAD"])
def test_moving_variances_take_bessels_correction_where_batch_norm_is_fused(model, formula, unfused):
    frames, statistics = normalized([2] * 3, 2), Statistics(is_training=True)
    formula(frames, statistics)
    variances = updated_variances(model, frames)
    assert set(variances) == set(statistics.seen)
    for scope, seen in statistics.seen.items():
        correction = 1 if scope.endswith(unfused or "none") else len(seen) / (len(seen) - 1)
        np.testing.assert_allclose(variances[scope], .001 * correction * seen.var(axis=0), rtol=5e-3,
                                   err_msg=scope)


# BertCross.


def layer_norm(x, scope):
    width = x.shape[-1]
    centred = x - x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt((centred ** 2).mean(axis=-1, keepdims=True))
    gamma, beta = (var(scope + "/LayerNorm/" + name, width) for name in ("gamma", "beta"))
    return centred / deviation * gamma + beta


def encoder(x, scope, layers, heads, intermediate_size):
    """Post-layer-norm transformer over [batch, positions, width]."""
    width, dense_of = x.shape[2], lambda x, units, name: dense(x, units, name, "kernel", "bias")
    for layer in range(layers):
        at = "%s/layer_%d/" % (scope, layer)
        query, key, values = (np.split(dense_of(x, width, at + "attention/self/" + name), heads, axis=2)
                              for name in ("query", "key", "value"))
        mixed = [softmax(q @ k.swapaxes(1, 2) / np.sqrt(width / heads)) @ v
                 for q, k, v in zip(query, key, values)]
        attended = dense_of(np.concatenate(mixed, axis=2), width, at + "attention/output/dense")
        x = layer_norm(x + attended, at + "attention/output")
        wide = dense_of(x, intermediate_size, at + "intermediate/dense")
        wide = wide / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (wide + .044715 * wide ** 3)))
        x = layer_norm(x + dense_of(wide, width, at + "output/dense"), at + "output")
    return x


@pytest.fixture(scope="module", name="bert_config_file")
def small_bert_config_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("bert") / "config.json"
    path.write_text(json.dumps(
        {"intermediate_size": 6, "initializer_range": .02, "max_position_embeddings": 5}))
    return str(path)


@pytest.mark.parametrize("layers, heads, num_frames, pooling, pool", [
    (1, 2, 5, "first", lambda x: x[:, 0]), (3, 64, 3, "last", lambda x: x[:, -1])])
def test_bert_cross_encodes_image_alone_sound_alone_then_both(layers, heads, num_frames, pooling, pool,
                                                              bert_config_file):
    model = models.create("BertCross", bert_config_file=bert_config_file, bert_hidden_layer=layers,
                          bert_attention_heads=heads, pooling_strategy=pooling,
                          video_level_classifier_model="LogisticModel")
    frames = normalized([num_frames] * 2, num_frames)
    both = np.concatenate([encoder(frames[:, :, :RGB], "frame_encoder", layers - 1, heads, 6),
                           encoder(frames[:, :, RGB:], "audio_encoder", layers - 1, heads, 6)], axis=2)
    expected = dense(pool(encoder(both, "all_encoder", 1, heads, 6)), VOCAB, "fully_connected")
    np.testing.assert_allclose(run_model(model, frames)["logits"], expected, atol=1e-4)


# The registry.


ALIASES = {"NetVLADModelLF": "GatedNetVLAD", "NeXtVLADModel": "NeXtVLAD", "MixNeXtVladModel": "MixNeXtVLAD"}


@pytest.mark.parametrize("name, hparams, told", [
    ("GatedNetVLAD", dict(netvlad_cluster_size=1),
     "--netvlad_cluster_size=1 leaves no cluster to sound, which has half as many: give at least 2."),
    ("NeXtVLAD", dict(nextvlad_cluster_size=1),
     "--nextvlad_cluster_size=1 leaves no cluster to sound, which has half as many: give at least 2."),
    ("NeXtVLAD", dict(gating_reduction=9),
     "--gating_reduction=9 cannot narrow the 8 units of --nextvlad_hidden_size: give at most 8."),
    ("NeXtVLAD", dict(gating_reduction=0), "--gating_reduction=0 is out of range: give a number from 1 to 65536."),
    ("NeXtVLAD", dict(groups=-8), "--groups=-8 is out of range: give a number from 1 to 65536."),
    ("NeXtVLAD", dict(expansion=0), "--expansion=0 is out of range: give a number from 1 to 65536."),
    ("MixNeXtVLAD", dict(mix_number=0), "--mix_number=0 is out of range: give a number from 1 to 100."),
    ("NeXtVLAD", dict(nextvlad_hidden_size=0),
     "--nextvlad_hidden_size=0 is out of range: give a number from 1 to 65536."),
    ("NeXtVLAD", dict(drop_rate=1.0), "--drop_rate=1.0 is out of range: give a number from 0 to below 1."),
    ("NeXtVLAD", dict(iterations=0), "--iterations=0 is out of range: give a number from 1 to 3000."),
    ("NeXtVLAD", dict(moe_num_mixtures=0),
     "--moe_num_mixtures=0 is out of range: give a number from 1 to 65536."),
    ("GatedNetVLAD", dict(netvlad_hidden_size=0),
     "--netvlad_hidden_size=0 is out of range: give a number from 1 to 65536."),
    ("Bert", dict(bert_hidden_layer=0), "--bert_hidden_layer=0 is out of range: give a number from 1 to 100."),
    ("Bert", dict(bert_dropout_prob=-.1),
     "--bert_dropout_prob=-0.1 is out of range: give a number from 0 to below 1."),
    ("BertCross", dict(bert_attention_heads=0),
     "--bert_attention_heads=0 is out of range: give a number from 1 to 65536.")])
def test_sizes_that_leave_nothing_are_explained(name, hparams, told):
    with pytest.raises(InputError) as raised:
        models.create(name, **dict(SMALL, **hparams))
    assert str(raised.value) == told


# Features by their names.


IMAGE, SOUND = ("rgb", RGB), ("audio", AUDIO)


@pytest.mark.parametrize("feature, kept", [(IMAGE, slice(0, 1)), (SOUND, slice(1, 2))], ids=["image", "sound"])
def test_vlad_over_image_or_sound_alone_lacks_the_other_branch(feature, kept):
    frames = normalized([5, 5, 5], 5)
    alone = frames[:, :, :RGB] if feature == IMAGE else frames[:, :, RGB:]
    model = models.create("GatedNetVLAD", [feature], netvlad_cluster_size=4, netvlad_hidden_size=4, moe_num_mixtures=2)
    pooled = gated_netvlad(frames, 4, 4, False, False, Statistics(), kept)
    np.testing.assert_allclose(run_model(model, alone)["predictions"],
                               mixture_of_experts(pooled, 2, False, Statistics()), atol=1e-5)
    model = models.create("NeXtVLAD", [feature], nextvlad_cluster_size=4, nextvlad_hidden_size=8, groups=4,
                          gating_reduction=2, moe_num_mixtures=2)
    pooled = next_vlad(frames, 4, 8, 4, 2, 2, Statistics(), kept=kept)
    with tf.Graph().as_default():
        np.testing.assert_allclose(run_model(model, alone)["predictions"],
                                   mixture_of_experts(pooled, 2, False, Statistics()), atol=1e-5)


def test_crossing_image_and_sound_needs_both(bert_config_file):
    for feature in IMAGE, SOUND:
        with pytest.raises(InputError, match="there is only one of them: give both in --feature_names, or --model=Be"):
            models.create("BertCross", [feature], bert_config_file=bert_config_file)


@pytest.mark.parametrize("name", ["BertCross", "GatedNetVLAD", "LogisticModel", "MixNeXtVLAD", "MoeModel"])
def test_the_order_of_the_features_does_not_matter(name, bert_config_file):
    frames, found = normalized([5, 5], 5), []
    for features in [IMAGE, SOUND], [SOUND, IMAGE]:
        model = models.create(
            name, features, bert_config_file=bert_config_file, bert_attention_heads=2,
            video_level_classifier_model="LogisticModel" if name == "MixNeXtVLAD" else "MoeModel", **SMALL)
        rolled = frames if features[0] == IMAGE else np.roll(frames, AUDIO, axis=2)
        with tf.Graph().as_default():
            found.append(run_model(model, rolled if model.frame_level else rolled[:, 0])["predictions"])
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("alias, name", sorted(ALIASES.items()))
def test_an_alias_gives_the_same_model(alias, name):
    hparams = dict(iterations=7, netvlad_cluster_size=9, nextvlad_cluster_size=11)
    ours, theirs = models.create(name, **hparams), models.create(alias, **hparams)
    assert type(ours) is type(theirs) and ours.hparams == theirs.hparams


class RandomReader(object):
    """Batches of random features and labels, of frames or of whole videos."""

    num_classes = VOCAB

    def __init__(self, frame_level):
        self._shape = [2, 6, RGB + AUDIO] if frame_level else [2, RGB + AUDIO]

    def next_batch(self):
        return {"features": tf.random.normal(self._shape), "num_frames": tf.constant([6, 1]),
                "labels": tf.SparseTensor([[0, 0], [1, 2]], [1.0, 1.0], [2, VOCAB])}

    def model_input_raw(self, batch):
        return batch["features"]


@pytest.mark.parametrize("name", sorted(set(models.names()) - set(ALIASES)))
def test_every_model_trains_and_then_predicts_probabilities(name, bert_config_file):
    model = models.create(
        name, bert_config_file=bert_config_file, bert_attention_heads=2, pooling_strategy="attn",
        netvlad_cluster_size=2, netvlad_hidden_size=4, gating=True, mix_number=2,
        moe_num_mixtures=1, moe_prob_gating=True,
        video_level_classifier_model="LogisticModel" if name == "MixNeXtVLAD" else "MoeModel", **SMALL)
    reader = RandomReader(model.frame_level)
    checkpoints.create_global_step()
    graph = towers.build(model, reader, reader.next_batch, ["/cpu:0"], losses.create("CrossEntropyLoss"), 1.0,
                         lambda step: (tf1.train.AdamOptimizer(.01), None), 1.0, frames_sampled=False)
    batch = reader.next_batch()
    with tf1.variable_scope("tower", reuse=True):
        predictions = model.create_model(batch["features"], VOCAB, batch["num_frames"], False)["predictions"]
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        loss, regularization, _ = session.run((graph.loss, graph.regularization_loss, graph.train_op))
        predicted = session.run(predictions)
    assert np.isfinite(loss) and np.isfinite(regularization)
    assert predicted.shape == (2, VOCAB) and predicted.min() >= 0 and predicted.max() <= 1
