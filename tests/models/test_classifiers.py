"""Video-level classifiers equal their formulas."""
import numpy as np
import pytest
import tensorflow as tf

from src import models
from src.common.errors import InputError
from tests.variables import assign

tf1 = tf.compat.v1
BATCH, FEATURES, VOCAB = 5, 6, 4
INPUT = np.random.RandomState(1).randn(BATCH, FEATURES).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def evaluate(name, is_training=False, **hparams):
    """A model's outputs on INPUT with its regularization loss, and its random variables {name: value}."""
    result = dict(models.create(name, **hparams).create_model(
        tf.constant(INPUT), VOCAB, num_frames=None, is_training=is_training))
    result["regularization"] = tf.add_n(tf1.losses.get_regularization_losses() or [tf.constant(0.0)])
    random, values = np.random.RandomState(2), {}
    for variable in tf1.global_variables():
        value = random.randn(*variable.shape.as_list()).astype(np.float32)
        values[variable] = np.abs(value) + .5 if "variance" in variable.op.name else value
    with tf1.Session() as session:
        assign(session, values)
        return session.run(result), {variable.op.name: value for variable, value in values.items()}


def mixture(gates, experts, mixtures):
    """Probabilities [batch, VOCAB], computed class by class from the logits of all gates and experts."""
    probabilities = np.zeros([BATCH, VOCAB])
    for label in range(VOCAB):
        shares = np.exp(gates[:, label * (mixtures + 1):(label + 1) * (mixtures + 1)])
        for expert in range(mixtures):  # the last share is the dummy expert's
            probabilities[:, label] += (shares[:, expert] / shares.sum(axis=1)
                                        * sigmoid(experts[:, label * mixtures + expert]))
    return probabilities


def plain_mixture(values, mixtures):
    experts = INPUT @ values["experts/weights"] + values["experts/biases"]
    return mixture(INPUT @ values["gates/weights"], experts, mixtures)


@pytest.mark.parametrize("mixtures", [1, 2, 3])
def test_mixture_of_experts(mixtures):
    result, values = evaluate("MoeModel", moe_num_mixtures=mixtures)
    np.testing.assert_allclose(result["predictions"], plain_mixture(values, mixtures), atol=1e-6)
    assert {name: value.shape for name, value in values.items()} == {
        "gates/weights": (FEATURES, VOCAB * (mixtures + 1)), "experts/weights": (FEATURES, VOCAB * mixtures),
        "experts/biases": (VOCAB * mixtures,)}


def test_low_rank_gating_puts_a_linear_layer_before_the_gates():
    result, values = evaluate("MoeModel", moe_num_mixtures=2, moe_low_rank_gating=3)
    assert values["gates1/weights"].shape == (FEATURES, 3) and "gates/weights" not in values
    expected = mixture(INPUT @ values["gates1/weights"] @ values["gates2/weights"],
                       INPUT @ values["experts/weights"] + values["experts/biases"], 2)
    np.testing.assert_allclose(result["predictions"], expected, atol=1e-6)


@pytest.mark.parametrize("is_training", [False, True])
@pytest.mark.parametrize("remove_diagonal", [False, True])
@pytest.mark.parametrize("source", ["prob", "input"])
def test_probability_gating_multiplies_by_a_gate_of_normalized_products(source, remove_diagonal, is_training):
    result, values = evaluate("MoeModel", is_training, moe_num_mixtures=2, moe_prob_gating=True,
                              moe_prob_gating_input=source, gating_remove_diag=remove_diagonal)
    probabilities = plain_mixture(values, 2)
    weights = values["gating_prob_weights"]
    products = (probabilities if source == "prob" else INPUT) @ weights
    if remove_diagonal:
        products -= probabilities * np.diagonal(weights)
    norm = {name.split("/")[1]: value for name, value in values.items() if name.startswith("gating_prob_bn/")}
    mean = products.mean(axis=0) if is_training else norm["moving_mean"]
    variance = products.var(axis=0) if is_training else norm["moving_variance"]
    normalized = (products - mean) / np.sqrt(variance + .001) * norm["gamma"] + norm["beta"]
    np.testing.assert_allclose(result["predictions"], probabilities * sigmoid(normalized), atol=1e-5)


@pytest.mark.parametrize("gating, told", [
    (dict(moe_prob_gating_input="logits"), "--moe_prob_gating_input=logits is unknown: choose one of input, prob."),
    (dict(moe_prob_gating_input="input", gating_remove_diag=True),
     "needs at least as many inputs as classes, not 2 for")])
def test_impossible_gatings_are_explained(gating, told):
    with pytest.raises(InputError) as error:
        models.create("MoeModel", moe_prob_gating=True, **gating).create_model(tf.zeros([1, 2]), VOCAB)
    assert told in str(error.value)


@pytest.mark.parametrize("rank, penalized", [
    (-1, ["gates/weights", "experts/weights"]), (3, ["gates1/weights", "gates2/weights", "experts/weights"])])
def test_l2_of_the_mixture_counts_its_weights_and_no_biases(rank, penalized):
    result, values = evaluate("MoeModel", moe_l2=.25, moe_low_rank_gating=rank)
    expected = sum(.25 * (values[name] ** 2).sum() / 2 for name in penalized)
    np.testing.assert_allclose(result["regularization"], expected, rtol=1e-5)


def test_logistic_model_and_its_l2_of_weights_and_biases():
    result, values = evaluate("LogisticModel", l2_penalty=.25)
    weights, biases = values["fully_connected/weights"], values["fully_connected/biases"]
    np.testing.assert_allclose(result["logits"], INPUT @ weights + biases, atol=1e-5)
    np.testing.assert_allclose(result["predictions"], sigmoid(INPUT @ weights + biases), atol=1e-6)
    squares = (weights ** 2).sum() + (biases ** 2).sum()
    np.testing.assert_allclose(result["regularization"], .25 * squares / 2, rtol=1e-5)


@pytest.mark.parametrize("name, penalty", [("MoeModel", "moe_l2"), ("LogisticModel", "l2_penalty")])
def test_without_penalty_nothing_is_regularized(name, penalty):
    assert evaluate(name, **{penalty: 0.0})[0]["regularization"] == 0


@pytest.mark.parametrize("head, variables", [
    ("MoeModel", {"gates/weights", "experts/weights", "experts/biases"}),
    ("LogisticModel", {"fully_connected/weights", "fully_connected/biases"})])
def test_video_level_classifier_model_is_the_head_of_frame_level_models(head, variables):
    model = models.create("Bert", bert_attention_heads=2, video_level_classifier_model=head)
    result = model.create_model(tf.constant(INPUT[:, np.newaxis]), VOCAB, tf.ones([BATCH], tf.int32), False)
    assert ("logits" in result) == (head == "LogisticModel")
    assert {variable.op.name for variable in tf1.global_variables()
            if not variable.op.name.startswith("encoder")} == variables


def test_an_unknown_head_lists_the_known_ones():
    with pytest.raises(InputError) as error:
        models.create("Bert", video_level_classifier_model="Moe")
    assert str(error.value) == ("--video_level_classifier_model=Moe is unknown: choose one of LogisticModel, "
                                "MoeModel.")


@pytest.mark.parametrize("name, hparams", [
    ("LogisticModel", {}), ("MoeModel", dict(moe_num_mixtures=2)), ("MoeModel", dict(moe_low_rank_gating=3)),
    ("MoeModel", dict(moe_prob_gating=True)), ("FrameLevelLogisticModel", {}),
    ("Bert", dict(bert_hidden_layer=1, bert_attention_heads=1)),
    ("MixNeXtVLAD", dict(video_level_classifier_model="LogisticModel", nextvlad_cluster_size=4, nextvlad_hidden_size=16,
                         mix_number=2))])
def test_some_classes_have_the_scores_that_they_have_among_all(name, hparams):
    model, classes = models.create(name, **hparams), np.array([0, 3, 9, 19])
    frames = np.random.RandomState(5).randn(*([4, 3, 1152] if model.frame_level else [4, 1152])).astype("f4")
    scores = []
    for wanted in None, classes:
        with tf1.variable_scope("tower", reuse=wanted is not None):
            scores.append(model.create_model(tf.constant(frames), 20, num_frames=tf.fill([4], 3), is_training=False,
                                             classes=wanted)["predictions"])
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        every, some = session.run(scores)
    np.testing.assert_allclose(some, every[:, classes], atol=1e-6)
