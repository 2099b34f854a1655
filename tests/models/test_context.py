"""ContextSegment equals its formula in NumPy, sees the frames that it should, and trains what it should."""
import numpy as np
import pytest
import tensorflow as tf

from src import models
from src.common.errors import InputError
from tests.models.formulas import SMALL
from tests.models.formulas import Statistics
from tests.models.formulas import VOCAB
from tests.models.formulas import build
from tests.models.formulas import dense
from tests.models.formulas import evaluate
from tests.models.formulas import mixture_of_experts
from tests.models.formulas import normalized
from tests.models.formulas import sigmoid
from tests.models.formulas import softmax
from tests.models.formulas import var
from tests.models.test_nextvlad import next_vlad

tf1 = tf.compat.v1
VIDEO = [1, 0, 1]  # of each segment


def prefixed(part, hparams):
    return {"%s_%s" % (part, name): value for name, value in hparams.items()}


def create(**hparams):
    """A small model of NeXtVLAD encoders of different sizes, without dropout."""
    small = dict(prefixed("context", dict(SMALL, drop_rate=0.0)), head_drop_rate=0.0, head_units=12, context_frames=4,
                 context_encoder="NeXtVLAD", segment_encoder="NeXtVLAD", segment_margin=1,
                 **prefixed("segment", dict(SMALL, nextvlad_hidden_size=12, drop_rate=0.0)))
    return models.create("ContextSegment", **dict(small, **hparams))


def run(model, is_training=False, classes=None):
    """Function without arguments that builds the model on three segments of two videos."""
    context, segments = normalized([4] * 2, 4), normalized([7] * 3, 7)
    return lambda: model.create_model(
        tf.constant(segments), VOCAB, None, is_training, classes=classes, context=tf.constant(context),
        video=tf.constant(VIDEO))


# Frames.


def indices(num_frames, num_context, is_training=False, seed=None):
    model = models.create("ContextSegment", context_frames=num_context)
    seed = None if seed is None else tf.constant(seed, tf.int64)
    with tf1.Session() as session:
        return session.run(model.context_indices(tf.constant(num_frames), is_training, seed))


def frames_around(num_frames):
    """The video without its first 30 and last 10 frames, or all of a video of no more than these."""
    return np.arange(num_frames)[30:-10] if num_frames > 40 else np.arange(num_frames)


@pytest.mark.parametrize("num_context", [1, 7, 150])
def test_the_context_is_evenly_spread_without_the_videos_ends(num_context):
    lengths = [1, 4, 39, 40, 41, 47, 120, 190, 191, 300]
    for length, found in zip(lengths, indices(lengths, num_context)):
        around = frames_around(length)
        np.testing.assert_array_equal(found, around[[int((i + .5) * len(around) / num_context)
                                                     for i in range(num_context)]])


def test_the_context_of_150_frames_is_all_of_them():
    np.testing.assert_array_equal(indices([190], 150), [np.arange(30, 180)])
    np.testing.assert_array_equal(indices([190], 150, is_training=True), [np.arange(30, 180)])


def test_training_draws_a_context_of_distinct_frames_in_their_order():
    lengths = [300, 60, 300, 41, 9]
    found = indices(lengths, 15, is_training=True)
    for length, of_video in zip(lengths, found):
        around = frames_around(length)
        assert set(of_video) <= set(around)
        assert (np.diff(of_video) >= 0).all()
        assert len(set(of_video)) == min(15, len(around))  # frames repeat only where there are fewer
    assert not np.array_equal(found[0], found[2])


def test_training_draws_every_frame_of_the_context_equally_often():
    found = indices([50] * 4000, 5, is_training=True)
    np.testing.assert_allclose(np.bincount(found.ravel(), minlength=50)[30:40], 2000, rtol=.1)


def test_a_seed_draws_the_same_context_again():
    first, again, other = (indices([300, 90], 20, True, seed) for seed in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


# Formula.


@pytest.mark.parametrize("is_training, train_context", [(False, False), (True, False), (True, True)],
                         ids=["evaluation", "training", "training_context"])
def test_the_model_equals_its_formula(is_training, train_context):
    model = create(train_context=train_context, head_experts=2, head_reduction=3)
    statistics, of_context = Statistics(is_training), Statistics(is_training and train_context)
    context = next_vlad(normalized([4] * 2, 4), SMALL, of_context, "context/")
    segment = next_vlad(normalized([7] * 3, 7), dict(SMALL, nextvlad_hidden_size=12), statistics, "segment/")
    both = np.concatenate([context[VIDEO], segment], axis=1)
    hidden = np.maximum(dense(statistics.norm(both, "head/input_bn"), 12, "head/hidden"), 0)
    narrow = statistics.norm(hidden @ var("head/gating_weights_1", 12, 4), "head/gating_bn")
    gated = hidden * sigmoid(np.maximum(narrow, 0) @ var("head/gating_weights_2", 4, 12))
    expected = mixture_of_experts(gated, 2, False, statistics, "head/")
    found = evaluate(run(model, is_training))["predictions"]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_head_is_that_of_the_published_system_by_default():
    shapes = {}
    with tf.Graph().as_default():
        build(run(create(head_units=2048)))
        shapes = {variable.op.name: variable.shape.as_list() for variable in tf1.global_variables("tower/head")}
    assert shapes["tower/head/hidden/weights"] == [20, 2048]
    assert shapes["tower/head/gating_weights_1"] == [2048, 512]
    assert shapes["tower/head/experts/weights"] == [2048, 4 * VOCAB]
    assert shapes["tower/head/gates/weights"] == [2048, 5 * VOCAB]
    assert models.create("ContextSegment").hparams["head_units"] == 2048


def test_dropout_hides_half_of_the_encoders_outputs_in_training_alone():
    for is_training, num_different in (True, 4), (False, 1):
        with tf.Graph().as_default():
            outputs, session = build(run(create(head_drop_rate=.5), is_training))
            with session:
                assert len({session.run(outputs["predictions"]).tobytes() for _ in range(4)}) == num_different


def test_some_classes_have_the_predictions_that_they_have_among_all():
    every = evaluate(run(create()))["predictions"]
    with tf.Graph().as_default():
        some = evaluate(run(create(), classes=np.array([2, 0])))["predictions"]
    np.testing.assert_allclose(some, every[:, [2, 0]], atol=1e-6)


def test_a_mixture_is_pooled_by_its_weights():
    """The linear layer of a head on the branches times their weights mixes the logits of the branches."""
    sizes = dict(SMALL, mix_number=2)
    model = models.create("MixNeXtVLAD", drop_rate=0.0, **sizes)
    frames = normalized([4] * 2, 4)
    statistics = Statistics()
    branches = [next_vlad(frames, sizes, statistics, "branch_%d/" % index) for index in range(2)]
    means = statistics.norm(frames.mean(axis=2), "mix_weights_bn")
    weights = softmax(dense(means, 2, "mix_weights"))
    expected = np.concatenate([weights[:, [index]] * pooled for index, pooled in enumerate(branches)], axis=1)
    np.testing.assert_allclose(evaluate(lambda: model.pool(tf.constant(frames), False)), expected, atol=1e-4)


# Training.


def with_gradients(model):
    """Names of the variables that have a gradient other than 0 in training, and of those that training updates."""
    outputs, session = build(run(model, is_training=True))
    variables = tf1.trainable_variables()
    gradients = tf.gradients(tf.reduce_sum(outputs["predictions"][:, 0]), variables)
    reaching = {variable.op.name: gradient for variable, gradient in zip(variables, gradients) if gradient is not None}
    with session:
        reached = [name for name, values in session.run(reaching).items() if np.any(values)]
    return reached, [update.inputs[0].op.name for update in tf1.get_collection(tf1.GraphKeys.UPDATE_OPS)]


def parts(names):
    return {name.split("/")[1] for name in names}


def test_gradients_and_moving_statistics_do_not_reach_the_context_encoder():
    reached, updated = with_gradients(create())
    assert parts(reached) == parts(updated) == {"segment", "head"}
    assert "tower/segment/video_vlad/cluster_weights" in reached and "tower/head/hidden/weights" in reached


def test_the_context_encoder_is_trained_on_demand():
    reached, updated = with_gradients(create(train_context=True))
    assert parts(reached) == parts(updated) == {"context", "segment", "head"}
    assert "tower/context/video_vlad/cluster_weights" in reached


# Encoders.

SMALL_ENCODERS = {
    "Bert": dict(bert_attention_heads=2, bert_hidden_layer=1, pooling_strategy="none"),
    "BertCross": dict(bert_attention_heads=2, pooling_strategy="attn"),
    "GatedNetVLAD": dict(netvlad_cluster_size=2, netvlad_hidden_size=4, gating=True),
    "MixNeXtVLAD": dict(SMALL, mix_number=2), "NeXtVLAD": SMALL}


@pytest.mark.parametrize("segment", sorted(SMALL_ENCODERS))
@pytest.mark.parametrize("context", sorted(SMALL_ENCODERS)[::2])
def test_any_two_encoders_go_together_and_have_the_variables_of_their_models(context, segment, bert_config_file):
    config = {part + "_bert_config_file": bert_config_file for part in ("context", "segment")}
    model = models.create(
        "ContextSegment", context_encoder=context, segment_encoder=segment, head_units=4, context_frames=4,
        segment_margin=1, **dict(config, **prefixed("context", SMALL_ENCODERS[context]),
                                 **prefixed("segment", SMALL_ENCODERS[segment])))
    predictions = evaluate(run(model, is_training=True))["predictions"]
    assert predictions.shape == (3, VOCAB) and 0 <= predictions.min() and predictions.max() <= 1
    names = {variable.op.name: variable.shape.as_list() for variable in tf1.global_variables()}
    for part, name, num_frames in ("context", context, 4), ("segment", segment, 7):
        with tf.Graph().as_default():
            encoder = models.create(name, bert_config_file=bert_config_file, moe_num_mixtures=1, iterations=num_frames,
                                    video_level_classifier_model="LogisticModel", **SMALL_ENCODERS[name])
            build(lambda: encoder.create_model(tf.constant(normalized([num_frames], num_frames)), VOCAB, None, False,
                                               frames_sampled=True))
            expected = {variable.op.name: variable.shape.as_list() for variable in tf1.global_variables()
                        if "/fully_connected/" not in variable.op.name or "vlad/" in variable.op.name}
        assert {each.replace("/%s/" % part, "/", 1): shape for each, shape in names.items()
                if each.startswith("tower/%s/" % part)} == expected


def test_only_the_hyperparameters_of_the_chosen_encoders_are_its_own():
    hparams = models.create("ContextSegment", segment_encoder="NeXtVLAD", segment_groups=16).hparams
    assert hparams["context_bert_hidden_layer"] == 2 and hparams["segment_groups"] == 16
    assert not {"segment_bert_hidden_layer", "context_groups", "segment_mix_number", "bert_hidden_layer", "iterations",
                "moe_num_mixtures"} & set(hparams)


@pytest.mark.parametrize("hparams, told", [
    (dict(context_encoder="MoeModel"), "--context_encoder=MoeModel is unknown: choose one of Bert, BertCross, "
                                       "GatedNetVLAD, MixNeXtVLAD, NeXtVLAD."),
    (dict(segment_encoder="ContextSegment"), "--segment_encoder=ContextSegment is unknown: choose one of "),
    (dict(segment_bert_hidden_layer=0), "--segment_bert_hidden_layer=0 is out of range: "),
    (dict(video_bert_hidden_layer=2), "No model has a hyperparameter video_bert_hidden_layer: "),
    (dict(context_frames=0), "--context_frames=0 is out of range: give a number from 1 to 3000."),
    (dict(segment_margin=-1), "--segment_margin=-1 is out of range: "),
    (dict(head_units=3), "--head_reduction=4 cannot narrow the 3 units of --head_units: give at most 3."),
    (dict(context_encoder="NeXtVLAD", context_gating_reduction=9, context_nextvlad_hidden_size=8),
     "--context_gating_reduction=9 cannot narrow the 8 units of --context_nextvlad_hidden_size: "),
    (dict(segment_encoder="GatedNetVLAD", segment_netvlad_cluster_size=1),
     "--segment_netvlad_cluster_size=1 leaves no cluster to sound"),
    (dict(context_bert_config_file="none.json"), "none.json does not exist")])
def test_what_does_not_fit_is_explained(hparams, told):
    with pytest.raises(InputError) as error:
        models.create("ContextSegment", **hparams)
    assert told in str(error.value)


def test_an_encoder_for_other_features_names_its_flag():
    with pytest.raises(InputError, match="^--segment_encoder=BertCross needs image and sound, .* or "
                                         "--segment_encoder=Bert.$"):
        models.create("ContextSegment", [("rgb", 1024)], segment_encoder="BertCross")


def test_an_encoder_that_cannot_be_built_names_its_flag(bert_config_file):
    model = create(segment_encoder="Bert", segment_bert_attention_heads=7, segment_bert_config_file=bert_config_file)
    with pytest.raises(InputError, match="^--segment_bert_attention_heads=7 does not divide the width 1152 "):
        run(model)()
