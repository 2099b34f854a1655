"""The challenge's metrics: Hit@1, PERR, MAP and GAP.

Definitions as in Abu-El-Haija et al., "YouTube-8M: a large-scale video classification
benchmark", section 5, and the starter code.
"""
import collections
import typing

import numpy as np

from src.evaluation.classes import Counts

NUM_THRESHOLDS = 201


class Curve(typing.NamedTuple):
    """Numbers of right and wrong predictions at the thresholds 0, 1/200, .., 1: float arrays [NUM_THRESHOLDS].

    They count each example for each class that it was rated for.
    """
    true_positives: np.ndarray  # at or above the threshold, rated positive
    false_positives: np.ndarray
    true_negatives: np.ndarray  # below the threshold, rated negative
    false_negatives: np.ndarray


class Metrics(typing.NamedTuple):
    """The metrics of one evaluation."""
    examples: int
    hit_at_one: float
    perr: float
    loss: float  # mean over the examples
    map: float  # mean of `aps`
    gap: float
    aps: np.ndarray  # average precisions of the classes with a positive, ascending
    counts: Counts  # of the rated classes
    curve: Curve

    @property
    def points(self):
        """[(name, value)] of the numbers to log."""
        return [("Hit@1", self.hit_at_one), ("PERR", self.perr), ("MAP", self.map), ("GAP", self.gap),
                ("loss", self.loss)]


def _top(predictions, k):
    """Columns and values of the k largest entries per row, best first; [rows, k] each."""
    k = min(k, predictions.shape[1])
    columns = np.argpartition(predictions, predictions.shape[1] - k, axis=1)[:, -k:]
    values = np.take_along_axis(predictions, columns, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1), np.take_along_axis(values, order, axis=1)


def hit_at_one(predictions, labels):
    """Share of examples whose best class is a label; arguments [examples, classes]."""
    return float(np.mean(labels[np.arange(len(labels)), predictions.argmax(axis=1)] > 0))


def precision_at_equal_recall(predictions, labels):
    """PERR: mean precision of each example's G best classes, where G is its number of labels; 0 if G is 0."""
    counts = (labels > 0).sum(axis=1)
    columns, values = _top(predictions, max(1, counts.max()))
    hits = (np.take_along_axis(labels, columns, axis=1) > 0) & (values > 0)
    considered = np.arange(columns.shape[1]) < counts[:, np.newaxis]
    return float(np.mean((hits & considered).sum(axis=1) / np.maximum(counts, 1)))


def average_precisions(groups, scores, hits, num_positives):
    """Average precision of each group of scored entries.

    Equal scores rank in a random but reproducible order, so that a favourable order of the input
    cannot raise the result.

    Args:
      groups: int [entries], the group of each entry: 0 to len(num_positives) - 1.
      scores: float [entries].
      hits: bool [entries].
      num_positives: [groups], all positives, also those without an entry.

    Returns:
      float64 [groups]; 0 for a group without positives.
    """
    shuffled = np.random.RandomState(0).permutation(len(scores))
    order = shuffled[np.lexsort((-scores[shuffled], groups[shuffled]))]
    groups, hits = groups[order], hits[order]
    begins = np.searchsorted(groups, np.arange(len(num_positives)))
    found_before = np.concatenate([[0], np.cumsum(hits)])
    found = found_before[1:] - found_before[begins[groups]]
    ranks = np.arange(1, len(groups) + 1) - begins[groups]
    sums = np.bincount(groups, hits * found / ranks, minlength=len(num_positives))
    return sums / np.maximum(num_positives, 1)


class EvaluationMetrics(object):
    """Accumulates metrics over batches.

    Memory: 7 bytes for each of top_k predictions per example: 140 MB for a million videos at 20.

    Args:
      num_classes: number of classes.
      top_k: predictions per example that count for MAP and GAP.
    """

    def __init__(self, num_classes, top_k):
        self._num_classes, self._top_k = num_classes, top_k
        self.clear()

    def clear(self):
        """Forgets all batches."""
        self._sums = collections.Counter()
        self._num_positives, self._num_ratings = np.zeros([2, self._num_classes], np.int64)
        self._classes, self._scores, self._hits = [], [], []

    def accumulate(self, predictions, labels, loss, num_ratings=None):
        """Adds a batch.

        Args:
          predictions: [batch, classes].
          labels: [batch, classes], above 0 where the class is present.
          loss: mean loss of the batch.
          num_ratings: [classes], number of examples that were rated for each class; None: all of the batch.

        Returns:
          dict of the batch's hit_at_one, perr and loss.
        """
        batch = {"hit_at_one": hit_at_one(predictions, labels),
                 "perr": precision_at_equal_recall(predictions, labels), "loss": float(loss)}
        self._sums.update({name: value * len(labels) for name, value in batch.items()})
        self._sums["examples"] += len(labels)
        columns, values = _top(predictions, self._top_k)
        self._classes.append(columns.astype(np.uint16).ravel())
        self._scores.append(values.astype(np.float32).ravel())
        self._hits.append((np.take_along_axis(labels, columns, axis=1) > 0).ravel())
        self._num_positives += (labels > 0).sum(axis=0)
        self._num_ratings += len(labels) if num_ratings is None else np.asarray(num_ratings, np.int64)
        return batch

    def get(self):
        """The Metrics of all batches; `aps` and `map` are of the classes with a positive.

        Raises:
          ValueError: there was no batch.
        """
        examples = self._sums["examples"]
        if not examples:
            raise ValueError("no batch was accumulated")
        classes, scores, hits = (np.concatenate(parts) for parts in (self._classes, self._scores, self._hits))
        aps = average_precisions(classes, scores, hits, self._num_positives)[self._num_positives > 0]
        gap = average_precisions(np.zeros_like(classes), scores, hits, [self._num_positives.sum()])[0]
        rated = np.flatnonzero(self._num_ratings)
        means = {name: self._sums[name] / examples for name in ("hit_at_one", "perr", "loss")}
        return Metrics(examples=examples, map=float(aps.mean()) if len(aps) else 0.0, gap=float(gap), aps=aps,
                       counts=Counts(rated, self._num_ratings[rated], self._num_positives[rated]),
                       curve=self._curve(scores, hits), **means)

    def _curve(self, scores, hits):
        steps = np.clip(scores * (NUM_THRESHOLDS - 1), 0, NUM_THRESHOLDS - 1).astype(np.int64)
        right, wrong = (np.cumsum(np.bincount(steps[chosen], minlength=NUM_THRESHOLDS)[::-1])[::-1].astype(np.float64)
                        for chosen in (hits, ~hits))
        positives = self._num_positives.sum()
        negatives = self._num_ratings.sum() - positives
        right[0], wrong[0] = positives, negatives  # all that were rated, also those beyond top_k
        return Curve(right, wrong, negatives - wrong, positives - right)


def batch_metrics(predictions, labels):
    """{name: value} of Hit@1, PERR and GAP of one batch, [batch, classes] each."""
    metrics = EvaluationMetrics(predictions.shape[1], 20)
    metrics.accumulate(predictions, labels, 0.0)
    result = metrics.get()
    return {"GAP": result.gap, "Hit@1": result.hit_at_one, "PERR": result.perr}
