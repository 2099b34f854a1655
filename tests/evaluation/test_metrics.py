"""Metrics equal the starter code's, and do not depend on the order of input."""
import json
import os

import numpy as np
import pytest

from src.evaluation import metrics

GOLDEN = os.path.join(os.path.dirname(os.path.dirname(__file__)), "golden")


def golden_batches(golden):
    shape = golden["batch_size"], golden["num_class"]
    for index in range(len(golden["batches"])):
        random = np.random.RandomState(golden["seed"] * 100 + index)
        predictions = np.round(random.rand(*shape), 6).astype("f4")
        labels = random.rand(*shape) < .08
        labels[np.arange(shape[0]), random.randint(0, shape[1], shape[0])] = True
        predictions = np.where(labels, np.minimum(1, predictions + .25 * random.rand(*shape)), predictions).astype("f4")
        yield predictions, labels, np.round(random.rand(), 6)


@pytest.mark.parametrize("name", ["metrics_1.json", "metrics_2.json"])
def test_equal_to_the_starter_code(name):
    with open(os.path.join(GOLDEN, name)) as stream:
        golden = json.load(stream)
    evaluation = metrics.EvaluationMetrics(golden["num_class"], golden["top_k"])
    for batch, expected in zip(golden_batches(golden), golden["batches"]):
        assert evaluation.accumulate(*batch) == pytest.approx(expected, abs=1e-6)
    result = evaluation.get()
    assert result.hit_at_one == pytest.approx(golden["avg_hit_at_one"], abs=1e-6)
    assert result.perr == pytest.approx(golden["avg_perr"], abs=1e-6)
    assert result.loss == pytest.approx(golden["avg_loss"], abs=1e-6)
    assert result.map == pytest.approx(golden["map"], abs=1e-6)
    assert result.gap == pytest.approx(golden["gap"], abs=1e-6)
    np.testing.assert_allclose(result.aps, golden["aps"], atol=1e-6)


def test_map_leaves_out_classes_without_a_positive():
    evaluation = metrics.EvaluationMetrics(num_classes=4, top_k=4)
    evaluation.accumulate(np.array([[.9, .8, .7, .6]]), np.array([[0, 1, 0, 0]]), 0.0)
    assert evaluation.get().map == 1.0
    assert evaluation.get().gap == 0.5


def test_a_positive_beyond_top_k_still_counts_in_the_denominator():
    evaluation = metrics.EvaluationMetrics(num_classes=3, top_k=1)
    evaluation.accumulate(np.array([[.9, .8, .1]]), np.array([[1, 1, 0]]), 0.0)
    assert evaluation.get().gap == 0.5


def test_constant_predictions_score_by_chance_whatever_the_order():
    labels = np.zeros((1000, 2))
    labels[:100, 0] = 1  # an evaluation that kept the input order would see perfect ranking
    evaluation = metrics.EvaluationMetrics(num_classes=2, top_k=1)
    evaluation.accumulate(np.tile([[.5, .1]], (1000, 1)), labels, 0.0)
    assert evaluation.get().gap < 0.2


def test_examples_without_labels_have_no_precision():
    assert metrics.precision_at_equal_recall(np.array([[.9, .1], [.9, .1]]), np.array([[1, 0], [0, 0]])) == 0.5


def test_zero_predictions_are_no_hits_for_perr():
    assert metrics.precision_at_equal_recall(np.zeros((1, 3)), np.ones((1, 3))) == 0.0


def test_the_curve_counts_right_and_wrong_predictions_at_each_threshold():
    evaluation = metrics.EvaluationMetrics(num_classes=3, top_k=3)
    labels = np.array([[1, 0, 0], [0, 1, 1]])
    scores = np.array([[.9, .2, .5], [.6, .6, .1]])
    evaluation.accumulate(scores, labels, 0.0)
    thresholds = np.arange(metrics.NUM_THRESHOLDS) / (metrics.NUM_THRESHOLDS - 1)
    above = scores[..., np.newaxis] >= thresholds - 1e-9
    positive = labels[..., np.newaxis] > 0
    expected = [np.sum(each, axis=(0, 1)) for each in (
        above & positive, above & ~positive, ~above & ~positive, ~above & positive)]
    np.testing.assert_array_equal(evaluation.get().curve, expected)
