"""Losses equal their formulas."""
import types

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


NUM_CLASSES, LISTED = 7, [0, 2, 3, 5, 6]  # the classes rated at segment level
# Of each segment: {class: score}, and the classes that its video is labelled with or that are rated anywhere in it.
RATED = [{2: 1, 5: 0}, {1: 1}, {0: 0}, {4: 0}]
IN_VIDEO = [{1, 2, 5}, {1}, {0, 6}, set(range(7))]


def sparse(rows):
    """A SparseTensor of rows {class: value}."""
    found = [(row, label, values[label]) for row, values in enumerate(rows) for label in sorted(values)]
    return tf.SparseTensor([each[:2] for each in found], tf.constant([each[2] for each in found], tf.float32),
                           [len(rows), NUM_CLASSES])


def weak_negatives_by_hand(predictions, negative, positive):
    """The segment loss of SPEC's formula, segment by segment."""
    total = 0.0
    for p, rated, in_video in zip(predictions.astype("f8"), RATED, IN_VIDEO):
        for label, score in rated.items():
            total += positive * -np.log(p[label]) if score else -np.log(1 - p[label])
        negatives = set(LISTED) - in_video
        if negatives:
            total += negative / len(negatives) * sum(-np.log(1 - p[label]) for label in negatives)
    return total / len(RATED)


def weighted_loss(predictions, **options):
    batch = {"labels": sparse(RATED), "video_classes": sparse([dict.fromkeys(each, 1) for each in IN_VIDEO])}
    loss = losses.create("CrossEntropyLoss")
    labels = tf.sparse.to_dense(batch["labels"])
    weights = losses.label_weights(losses.Objective(loss, **options), labels, batch)
    with tf.compat.v1.Session() as session:
        return session.run([loss.calculate_loss(predictions, labels, weights), tf.constant(0) if weights is None
                            else weights])


@pytest.mark.parametrize("negative, positive", [(.5, 1), (1, 3), (100, 0), (0, 1)])
def test_weak_negatives_share_their_weight(negative, positive):
    predictions = np.random.RandomState(3).uniform(.05, .95, (4, NUM_CLASSES)).astype("f4")
    loss, weights = weighted_loss(predictions, negative_weight=negative, positive_weight=positive,
                                  negatives=np.isin(np.arange(NUM_CLASSES), LISTED).astype("f4"))
    assert loss == pytest.approx(weak_negatives_by_hand(predictions, negative, positive), rel=1e-4)
    expected = [[negative / 3, 0, positive, negative / 3, 0, 1, negative / 3],  # 5 is rated 0, 1 is the video's label
                [negative / 5, positive, *[negative / 5] * 2, 0, *[negative / 5] * 2],
                [1, 0, negative / 3, negative / 3, 0, negative / 3, 0], [0, 0, 0, 0, 1, 0, 0]]
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_positive_ratings_weigh_more_in_every_loss_of_segments():
    predictions = np.full((4, NUM_CLASSES), .5, "f4")
    _, weights = weighted_loss(predictions, positive_weight=3.0)
    assert np.argwhere(weights == 3).tolist() == [[0, 2], [1, 1]] and np.sum(weights == 1) == 4 * NUM_CLASSES - 2
    _, masked = weighted_loss(predictions, positive_weight=3.0, mask_unrated_labels=True)
    assert masked[0].tolist() == [0, 0, 3, 0, 0, 1, 0] and masked[2].tolist() == [1] + [0] * 6


def test_without_its_flags_every_class_weighs_the_same():
    loss, weights = weighted_loss(np.full((4, NUM_CLASSES), .5, "f4"))
    assert weights == 0 and loss == pytest.approx(NUM_CLASSES * np.log(2), rel=1e-4)


@pytest.mark.parametrize("flags, told", [
    (dict(negative_weight=.5), "--negative_weight weighs ratings of segments: add --segment_labels"),
    (dict(positive_weight=2.0), "--positive_weight weighs ratings of segments: add --segment_labels"),
    (dict(negative_weight=0.0, segment_labels=True, mask_unrated_labels=True), "--mask_unrated_labels ignores "),
    (dict(negative_weight=1.0, segment_labels=True, label_loss="HingeLoss"),
     "--negative_weight weighs the terms of the cross entropy: leave out --label_loss=HingeLoss."),
    (dict(label_loss="L2"), "--label_loss=L2 is unknown")])
def test_flags_of_the_loss_that_contradict_each_other_are_refused(flags, told):
    given = dict(label_loss="CrossEntropyLoss", mask_unrated_labels=False, negative_weight=None, positive_weight=1.0,
                 segment_labels=False, regularization_penalty=1.0)
    with pytest.raises(InputError, match="^" + told):
        losses.objective(types.SimpleNamespace(**dict(given, **flags)), None)
