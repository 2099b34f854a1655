"""The mAP of fused lists as a function of w0 and the weights, from the rated segments' ranks alone."""
import logging
import typing

import numpy as np

from src.common.errors import InputError
from src.data import segment_ids
from src.evaluation import ranking_metrics
from src.submission import fusion

log = logging.getLogger("yt8m")


class _Rated(typing.NamedTuple):
    """Rated segments, ordered by class, then as the class's lists meet them, unmet ones last; arrays [rated]."""
    labels: np.ndarray  # classes
    names: np.ndarray  # ids
    positive: np.ndarray  # bool
    kept: np.ndarray  # bool: in the fused list with any weights
    doubtful: np.ndarray  # bool: met, but maybe beyond segment_max_pred
    positions: np.ndarray  # among the class's ids as met, -1 if unmet
    ranks: np.ndarray  # float64 [lists, rated], infinite where a list lacks the segment


class _Crowd(typing.NamedTuple):
    """A class with doubtful segments."""
    met: fusion.Met  # its lists, in int32 and without ids
    unions: np.ndarray  # int32: number of distinct segments among the first i + 1 ranks of all lists


def read(paths, ratings, segment_max_pred=100000):
    """Reads ranked lists for an `Objective`.

    Memory: while reading, that of `fusion.fuse_files`. Then each rated segment takes 8 bytes per list and some 60
    extra. A class with a positive segment that may be cut takes 4 bytes for each segment of its lists and 4 for each
    distinct one (5 MB for nine lists of 100,000).

    Args:
      paths: ranked CSVs, local or gs://, in the order of the fusion.
      ratings: see `ratings.create`.
      segment_max_pred: segments that the fusion keeps per class.

    Raises:
      NothingRated: no list has a segment that was rated for its class. If only some lists have none, a warning names
        each; other warnings count rated segments that no list has, and rated classes without a list.
      InputError: no rating is positive, or a file is missing or malformed.
    """
    rated, unranked = ranking_metrics.rated_classes(ratings), ranking_metrics.Unranked(ratings)

    def rate(label, lists, names):
        met = fusion.meet(lists, names)
        # Each process that runs this has its own Unranked, which returns a segment only once.
        rows = _rate(label, met, len(lists), rated[label], segment_max_pred)
        return rows, unranked.meet(met.ids), np.array(met.lengths) > 0

    found, is_ranked = {}, np.zeros(len(paths), bool)
    for label, (found[label], met, has_list) in fusion.each_class(paths, rate, "reading ranks", rated):
        unranked.meet(met)
        if has_list.any():
            unranked.meet_class(label)
        is_ranked |= has_list
    columns = zip(*(rows for rows, _ in found.values()))
    rows = _Rated(*(np.concatenate(column, axis=-1) for column in columns))
    where = "%d lists such as %s" % (len(paths), paths[0]) if len(paths) > 1 else paths[0]
    _check_any_rated(paths, rows.ranks, is_ranked, ratings, where)
    unranked.warn(where)
    crowds = {label: crowd for label, (_, crowd) in found.items() if crowd is not None}
    return Objective(rows, crowds, segment_max_pred)


def _check_any_rated(paths, ranks, is_ranked, ratings, where):
    def complaint(shown, has_class):
        if has_class:
            return ranking_metrics.no_segment_rated(shown, ratings)
        return ranking_metrics.no_class_rated(shown, list(ranking_metrics.rated_classes(ratings)))

    unrated = [(path, has_class) for path, of_list, has_class in zip(paths, ranks, is_ranked)
               if np.isinf(of_list).all()]
    if len(unrated) == len(paths):
        raise complaint(where, is_ranked.any())
    for path, has_class in unrated:
        log.warning("%s", complaint(path, has_class))


def _rate(label, met, num_lists, rated, segment_max_pred):
    """(`_Rated`, `_Crowd` or None) of a class's `fusion.Met` lists."""
    ids, positive = rated
    positions = np.full(len(ids), -1)
    found, which = segment_ids.locate(met.ids, ids)
    positions[which] = found
    order = np.argsort(np.where(positions < 0, len(met.ids), positions), kind="stable")
    ids, positive, positions = ids[order], positive[order], positions[order]
    ranks = np.full([num_lists, len(ids)], np.inf)
    parts = np.split(met.firsts, np.cumsum(met.lengths)[:-1])
    for row, firsts in zip(ranks, parts):
        rank_of = np.full(len(met.firsts), np.inf)
        rank_of[firsts] = np.arange(len(firsts))
        row[positions >= 0] = rank_of[met.new[positions[positions >= 0]]]
    doubtful = positive & (positions >= 0)
    if len(met.ids) <= segment_max_pred:
        doubtful[:] = False
    for column in np.flatnonzero(doubtful):
        doubtful[column] = _may_be_cut(parts, ranks[:, column], segment_max_pred)
    rows = _Rated(labels=np.full(len(ids), label), names=ids, positive=positive, kept=(positions >= 0) & ~doubtful,
                  doubtful=doubtful, positions=positions, ranks=ranks)
    return rows, _crowd(met, parts) if doubtful.any() else None


def _may_be_cut(parts, ranks, segment_max_pred):
    """Whether some weights rank a segment beyond segment_max_pred.

    Only segments that some list ranks above it can outrank it: any other has no greater term in any list, even with
    weights of 0, and is met later. A list without the segment ranks all of its own above it.
    """
    above = [firsts[:int(min(rank, len(firsts)))] for firsts, rank in zip(parts, ranks)]
    if max(len(firsts) for firsts in above) >= segment_max_pred:
        return True
    if sum(len(firsts) for firsts in above) < segment_max_pred:
        return False
    met = np.zeros(sum(len(firsts) for firsts in parts), bool)
    for firsts in above:
        met[firsts] = True
    return np.count_nonzero(met) >= segment_max_pred


def _crowd(met, parts):
    best = np.full(len(met.firsts), max(met.lengths))  # best rank of a segment in any list
    for firsts in parts:
        best[firsts] = np.minimum(best[firsts], np.arange(len(firsts)))
    unions = np.cumsum(np.bincount(best[met.new], minlength=max(met.lengths)))
    return _Crowd(fusion.Met(None, met.new.astype(np.int32), met.firsts.astype(np.int32), met.lengths),
                  unions.astype(np.int32))


class Objective(object):
    """The mAP of the lists that `fusion.fuse_files` would write, without writing them; `read` returns one.

    Equals `ranking_metrics.mean_average_precision` of those lists: the scores are the same to the last bit, including
    ties and the cut at segment_max_pred.

    Args:
      rated: `_Rated` segments.
      crowds: dict class -> `_Crowd`, of at least the classes with doubtful segments.
      segment_max_pred: segments that the fusion keeps per class.
    """

    def __init__(self, rated, crowds, segment_max_pred):
        labels, starts, classes = np.unique(rated.labels, return_index=True, return_inverse=True)
        self._rated, self._crowds, self._segment_max_pred = rated, crowds, segment_max_pred
        self._labels, self._starts = labels.tolist(), starts
        self._classes = classes.astype(np.min_scalar_type(len(labels)))  # small integers sort faster
        self._num_positive = np.bincount(classes[rated.positive], minlength=len(labels))
        doubtful = np.flatnonzero(rated.doubtful)
        self._doubtful = [(label, doubtful[rated.labels[doubtful] == label])
                          for label in np.unique(rated.labels[doubtful]).tolist()]

    @property
    def num_lists(self):
        """The number of weights of an evaluation."""
        return len(self._rated.ranks)

    def __call__(self, w0, weights):
        """The mAP of the lists fused with w0 and one weight per list; see `average_precisions`."""
        return float(np.mean(self._average_precisions(w0, weights)))

    def average_precisions(self, w0, weights):
        """dict class -> average precision, of the classes with a positive rating.

        Args:
          w0: above 0.
          weights: one per list, at least 0. If all are 0, no list is ranked, and the mAP is 0.

        Raises:
          InputError: w0 or a weight is out of range.
        """
        return dict(zip(self._labels, self._average_precisions(w0, weights).tolist()))

    def _average_precisions(self, w0, weights):
        fusion.check_weights(weights, w0, self.num_lists)
        if not any(weights):
            return np.zeros(len(self._labels))
        scores = np.zeros(len(self._classes))
        for weight, ranks in zip(weights, self._rated.ranks):
            scores += weight * w0 / (ranks + w0)  # 0 at an infinite rank
        kept = self._kept(scores, w0, tuple(weights))
        order = np.lexsort([-scores, self._classes])  # stable: equal scores stay in the order met
        positive, classes = self._rated.positive[order], self._classes[order]
        hits = np.cumsum(positive)
        counted = np.flatnonzero(positive & kept[order])  # cut segments rank below all kept ones
        starts = self._starts[classes[counted]]
        before = hits[starts] - positive[starts]
        precisions = (hits[counted] - before) / (counted - starts + 1.0)
        return np.bincount(classes[counted], precisions, len(self._labels)) / self._num_positive

    def _kept(self, scores, w0, weights):
        """bool [rated]: whether each is in the fused lists; may be True for negative ones that are cut."""
        kept = self._rated.kept.copy()
        for label, rows in self._doubtful:
            crowd = self._crowds[label]
            # If a segment reaches a score, the sum of all lists' terms at its best rank reaches it too.
            with np.errstate(divide="ignore"):
                reach = sum(weights) * w0 / scores[rows] * (1 + 1e-9) - w0 + 1
            reach = np.minimum(reach, len(crowd.unions) - 1).astype(np.int64)
            kept[rows] = crowd.unions[reach] <= self._segment_max_pred
            if not kept[rows].all():
                kept[rows] = self._count_above(crowd.met, rows, scores, w0, weights) < self._segment_max_pred
        return kept

    def _count_above(self, met, rows, scores, w0, weights):
        """The number of segments that the fusion ranks above each of a class's rated `rows`."""
        all_scores = fusion.scores(met, fusion.terms(weights, w0, met.lengths))
        return np.array([np.count_nonzero(all_scores > scores[row])
                         + np.count_nonzero(all_scores[:self._rated.positions[row]] == scores[row]) for row in rows])

    def halves(self, seed):
        """Two objectives, each of a random half of the rated videos; they share this one's lists.

        Args:
          seed: of the draw, which does not depend on the ratings' order.

        Raises:
          InputError: a half has no positive rating.
        """
        videos, video = np.unique([name.partition(b":")[0] for name in self._rated.names.tolist()],
                                  return_inverse=True)
        chosen = np.random.RandomState(seed).permutation(len(videos)) < len(videos) // 2
        return self._part(chosen[video]), self._part(~chosen[video])

    def _part(self, chosen):
        chosen = chosen & np.isin(self._rated.labels, self._rated.labels[chosen & self._rated.positive])
        if not chosen.any():
            raise InputError("Half of the rated videos have no positive rating: give more ratings, another "
                             "--seed, or --notune_split.")
        return Objective(_Rated(*(column[..., chosen] for column in self._rated)), self._crowds,
                         self._segment_max_pred)
