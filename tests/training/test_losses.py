"""Losses equal their formulas."""
import numpy as np
import pytest
import tensorflow as tf

from src.common.errors import InputError
from src.training import losses

RANDOM = np.random.RandomState(0)
PREDICTIONS = RANDOM.uniform(0, 1, (3, 4)).astype("f4")
LABELS = np.array([[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]], "f4")
WEIGHTS = np.array([[1, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]], "f4")


def cross_entropy(p, y):
    return np.where(y == 1, -np.log(p + 1e-5), -np.log(1 - p + 1e-5))


def hinge(p, y):
    return np.where(y == 1, 1 - p, 1 + p)


def softmax(p, y):
    shares = np.exp(p) / np.exp(p).sum(axis=1, keepdims=True)
    return -y * np.log(shares) / np.maximum(y.sum(axis=1, keepdims=True), 1)


def value_of(name, *arguments):
    with tf.compat.v1.Session() as session:
        return session.run(losses.create(name).calculate_loss(*map(tf.constant, arguments)))


@pytest.mark.parametrize("name, terms, weights", [
    ("CrossEntropyLoss", cross_entropy, None), ("CrossEntropyLoss", cross_entropy, WEIGHTS), ("HingeLoss", hinge, None),
    ("HingeLoss", hinge, WEIGHTS), ("SoftmaxLoss", softmax, None)])
def test_terms_are_summed_over_classes_and_averaged_over_the_batch(name, terms, weights):
    expected = terms(PREDICTIONS.astype("f8"), LABELS) * (1 if weights is None else weights)
    given = (PREDICTIONS, LABELS) if weights is None else (PREDICTIONS, LABELS, weights)
    assert value_of(name, *given) == pytest.approx(expected.sum() / 3, rel=1e-5)


def test_certain_and_wrong_predictions_have_a_finite_cross_entropy():
    wrong = value_of("CrossEntropyLoss", np.float32([[0, 1]]), np.float32([[1, 0]]))
    assert wrong == pytest.approx(-2 * np.log(1e-5), rel=1e-2)


def test_hinge_loss_is_never_negative():
    assert value_of("HingeLoss", np.float32([[1.5]]), np.float32([[1]])) == 0


def test_an_unknown_loss_lists_the_known_ones():
    with pytest.raises(InputError, match="--label_loss=L2 .*CrossEntropyLoss, HingeLoss, SoftmaxLoss"):
        losses.create("L2")


def test_softmax_is_over_the_rated_classes():
    expected = 0
    for predictions, labels, rated in zip(PREDICTIONS, LABELS, WEIGHTS > 0):
        if rated.any():
            expected += softmax(predictions[np.newaxis, rated].astype("f8"), labels[np.newaxis, rated]).sum() / 3
    assert value_of("SoftmaxLoss", PREDICTIONS, LABELS, WEIGHTS) == pytest.approx(expected, rel=1e-6)
    assert expected != pytest.approx(value_of("SoftmaxLoss", PREDICTIONS, LABELS), rel=.1)
