"""BERT over frames: pooling, positions, dropout and the names of its variables."""
import json
import math

import numpy as np
import pytest
import tensorflow as tf

from src import models
from src.common.errors import InputError
from src.models import bert
from tests.models import formulas
from tests.models.formulas import RGB
from tests.models.formulas import dense
from tests.models.formulas import normalized
from tests.models.formulas import run_model
from tests.models.formulas import softmax
from tests.models.formulas import var

tf1 = tf.compat.v1
VOCAB, WIDTH = 7, 12
FRAMES = np.random.RandomState(1).randn(2, 9, WIDTH).astype(np.float32)


@pytest.fixture(name="create")
def create_small(tmp_path):
    """Function that creates a small Bert with weights so large that differences show."""
    config = tmp_path / "bert_config.json"
    config.write_text(json.dumps(
        {"intermediate_size": 10, "initializer_range": .5, "max_position_embeddings": 16}))

    def create(name="Bert", **hparams):
        small = dict(bert_attention_heads=3, iterations=4, video_level_classifier_model="LogisticModel")
        return models.create(name, bert_config_file=str(config), **dict(small, **hparams))
    return create


def build(model, frames, num_frames=None, is_training=False, frames_sampled=False):
    """Predictions; models of one graph share their variables."""
    num_frames = tf.constant(num_frames or [frames.shape[1]] * 2)
    with tf1.variable_scope("tower", reuse=tf1.AUTO_REUSE):
        return model.create_model(tf.convert_to_tensor(frames), VOCAB, num_frames, is_training,
                                  frames_sampled=frames_sampled)["predictions"]


def run(*tensors):
    """Values of the tensors, each computed in a run of its own with the same weights."""
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        return [session.run(tensor) for tensor in tensors]


@pytest.mark.parametrize("name, expected", [
    ("mean", lambda x: x.mean(axis=1)), ("first", lambda x: x[:, 0]), ("last", lambda x: x[:, 8]),
    ("none", lambda x: np.concatenate([x[:, position] for position in range(9)], axis=1))])
def test_pooling(name, expected):
    np.testing.assert_allclose(run(bert.POOLINGS[name](tf.constant(FRAMES)))[0], expected(FRAMES), atol=1e-6)


def test_attention_pooling_weighs_positions_by_their_product_with_the_query():
    pooled = bert.POOLINGS["attn"](tf.constant(FRAMES))
    query = np.random.RandomState(2).randn(1, WIDTH, 1).astype(np.float32)
    variable, = tf1.trainable_variables()
    assert variable.op.name == "pooler/query"
    expected = [sum(weight * position for weight, position in zip(weights, video)) for weights, video in
                zip(softmax(FRAMES @ query[0, :, 0] / math.sqrt(WIDTH)), FRAMES)]
    with tf1.Session() as session:
        variable.load(query, session)
        np.testing.assert_allclose(session.run(pooled), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["", "max", "Mean"])
def test_an_unknown_pooling_lists_the_choices(create, name):
    with pytest.raises(InputError) as error:
        create(pooling_strategy=name)
    assert str(error.value) == (
        "--pooling_strategy=%s is unknown: choose one of attn, first, last, mean, none." % name)


@pytest.mark.parametrize("name, heads, width, scope", [
    ("Bert", 5, 12, "encoder"), ("BertCross", 12, 1024, "frame_encoder"),
    ("BertCross", 256, 128, "audio_encoder")])
def test_heads_must_divide_the_width(create, name, heads, width, scope):
    frames = np.zeros([2, 1, 1152 if name == "BertCross" else width], np.float32)
    with pytest.raises(InputError) as error:
        build(create(name, bert_attention_heads=heads), frames)
    assert str(error.value) == (
        "--bert_attention_heads=%d does not divide the width %d of %s: choose a divisor."
        % (heads, width, scope))


def test_more_frames_than_positions_are_refused(create):
    limit = create().config.max_positions
    with pytest.raises(InputError, match="%d frames are more than the %d of max_position_emb" % (limit + 1, limit)):
        build(create(use_position=True), np.zeros([1, limit + 1, 12], np.float32))


@pytest.mark.parametrize("positions, order_matters", [
    ({}, False), ({"use_position": True}, True), ({"use_position": True, "bert_position": True}, True)])
def test_mean_pooling_sees_the_order_of_frames_only_with_positions(create, positions, order_matters):
    model = create(**positions)
    straight, shuffled = run(build(model, FRAMES), build(model, FRAMES[:, [3, 1, 8, 0, 2, 7, 6, 5, 4]]))
    assert (np.abs(straight - shuffled).max() > .01) == order_matters
    if not order_matters:
        np.testing.assert_allclose(straight, shuffled, atol=1e-5)


def test_sinusoidal_positions_follow_the_transformers_formula():
    expected = [[(math.cos if column % 2 else math.sin)(position / 10000 ** (2 * (column // 2) / 6))
                 for column in range(6)] for position in range(300)]
    np.testing.assert_allclose(bert.sinusoids(300, 6), expected, atol=1e-5)


@pytest.mark.parametrize("learned", [True, False])
def test_positions_are_added_to_the_frames(create, learned):
    config = create().config
    added = run(bert.add_positions(tf.constant(FRAMES), learned, config) - FRAMES)[0]
    np.testing.assert_allclose(added[0], added[1], atol=1e-6)
    assert [variable.shape.as_list() for variable in tf1.trainable_variables()] == [[16, WIDTH]] * learned
    if not learned:
        np.testing.assert_allclose(added[0], bert.sinusoids(9, WIDTH), atol=1e-6)


def test_dropout_is_for_training_only(create):
    with_dropout, without = create(bert_dropout_prob=.3), create(bert_dropout_prob=0.0)
    training, undropped = (build(model, FRAMES, is_training=True, frames_sampled=True)
                           for model in (with_dropout, without))
    evaluation = build(with_dropout, FRAMES)
    dropped, dropped_again, expected, again, not_dropped = run(
        training, training, evaluation, evaluation, undropped)
    assert np.abs(dropped - dropped_again).max() > .01
    np.testing.assert_array_equal(expected, again)
    np.testing.assert_allclose(not_dropped, expected, atol=1e-6)


def test_first_and_last_follow_the_order_of_frames(create):
    first, last = create(pooling_strategy="first"), create(pooling_strategy="last")
    backwards = FRAMES[:, ::-1]
    of_first, last_backwards, first_backwards, rest_shuffled = run(
        build(first, FRAMES), build(last, backwards), build(first, backwards),
        build(first, FRAMES[:, [0, 2, 1, 8, 7, 6, 3, 4, 5]]))
    np.testing.assert_allclose(of_first, last_backwards, atol=1e-5)
    np.testing.assert_allclose(of_first, rest_shuffled, atol=1e-5)
    assert np.abs(of_first - first_backwards).max() > .01


def test_evaluation_sees_all_frames_whatever_iterations_and_num_frames(create):
    seen, changed, other_iterations, other_num_frames = run(
        build(create(), FRAMES), build(create(), np.concatenate([FRAMES[:, :8], -FRAMES[:, 8:]], axis=1)),
        build(create(iterations=1), FRAMES), build(create(), FRAMES, num_frames=[5, 3]))
    assert np.abs(seen - changed).max() > .001
    np.testing.assert_array_equal(seen, other_iterations)
    np.testing.assert_array_equal(seen, other_num_frames)


def test_variables_are_named_as_in_google_researchs_bert(create):
    build(create(pooling_strategy="attn", use_position=True, bert_position=True), FRAMES)
    dense, norm = ("kernel", "bias"), ("beta", "gamma")
    parts = [("attention/self/query", dense), ("attention/self/key", dense), ("attention/self/value", dense),
             ("attention/output/dense", dense), ("attention/output/LayerNorm", norm),
             ("intermediate/dense", dense), ("output/dense", dense), ("output/LayerNorm", norm)]
    expected = {"encoder/layer_%d/%s/%s" % (layer, part, leaf)
                for layer in range(2) for part, leaves in parts for leaf in leaves}
    expected |= {"position_embeddings", "pooler/query", "fully_connected/weights", "fully_connected/biases"}
    assert {variable.op.name for variable in tf1.global_variables()} == {"tower/" + name for name in expected}


def test_bert_cross_encodes_image_and_sound_apart_and_then_together(create):
    model = create("BertCross", bert_hidden_layer=3, bert_attention_heads=2)
    build(model, np.zeros([2, 1, 1152], np.float32))
    kernels = {variable.op.name: variable.shape.as_list() for variable in tf1.global_variables()
               if variable.op.name.endswith("attention/self/query/kernel")}
    assert kernels == {"tower/%s/layer_%d/attention/self/query/kernel" % (scope, layer): [width, width]
                       for scope, layer, width in [
                           ("frame_encoder", 0, 1024), ("frame_encoder", 1, 1024), ("audio_encoder", 0, 128),
                           ("audio_encoder", 1, 128), ("all_encoder", 0, 1152)]}


@pytest.mark.parametrize("frames, is_training", [(4, True), (4, False), (9, True), (9, False), (2, False)])
def test_without_pooling_the_variables_do_not_depend_on_the_frame_count(create, frames, is_training):
    build(create(pooling_strategy="none"), FRAMES[:, :frames], is_training=is_training)
    shapes = {variable.op.name: variable.shape.as_list() for variable in tf1.global_variables()}
    assert shapes["tower/fully_connected/weights"] == [4 * WIDTH, VOCAB]


def test_without_pooling_evaluation_spreads_the_iterations_over_longer_videos(create):
    model = create(pooling_strategy="none")
    longer, picked = run(
        build(model, FRAMES, num_frames=[9, 6]),
        build(model, np.stack([FRAMES[0, [1, 3, 5, 7]], FRAMES[1, [0, 2, 3, 5]]])))
    np.testing.assert_allclose(longer, picked, atol=1e-5)


def test_without_pooling_as_many_frames_as_iterations_stay_as_they_are(create):
    model = create(pooling_strategy="none")
    whole, short = run(build(model, FRAMES[:, :4]), build(model, FRAMES[:, :4], num_frames=[3, 1]))
    np.testing.assert_array_equal(whole, short)


@pytest.mark.parametrize("content, told", [
    (None, "does not exist"), ("{", "is not valid JSON"),
    ('{"intermediate_size": "ten", "initializer_range": 0.02, "max_position_embeddings": 5}',
     "lacks a number for intermediate_size, initializer_range or max_position_embeddings"),
    ('{"intermediate_size": 10}', "lacks a number for intermediate_size, ")])
def test_a_bad_configuration_file_is_explained(create, tmp_path, content, told):
    path = tmp_path / "other.json"
    if content:
        path.write_text(content)
    with pytest.raises(InputError) as error:
        models.create("Bert", bert_config_file=str(path))
    assert str(error.value).startswith(str(path)) and told in str(error.value)


# BertCross equals its formula.


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
    expected = dense(pool(encoder(both, "all_encoder", 1, heads, 6)), formulas.VOCAB, "fully_connected")
    np.testing.assert_allclose(run_model(model, frames)["logits"], expected, atol=1e-4)


def test_crossing_image_and_sound_needs_both():
    for feature in formulas.IMAGE, formulas.SOUND:
        with pytest.raises(InputError, match="there is only one of them: give both in --feature_names, or --model=Be"):
            models.create("BertCross", [feature])
