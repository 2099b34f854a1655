"""How well ranked lists of segments agree with ratings."""
import logging

import numpy as np

from src.common import text
from src.common.errors import InputError
from src.data import segment_ids

log = logging.getLogger("yt8m")
TOLERATED = 0.1  # share of the rated segments that may be in no list without a warning


class NothingRated(InputError):
    """Ranked lists and ratings have no segment in common."""

    def __init__(self, where, segment, ratings):
        super(NothingRated, self).__init__(
            "%s: none of the segments%s is rated; the %d ratings are of segments such as %s: rank the shards that were "
            "rated." % (where, "" if segment is None else " such as " + text.quoted(segment), len(ratings.segment_ids),
                        text.quoted(ratings.segment_ids[0])))


class Unranked(object):
    """The rated segments that were in no list of any class so far.

    Args:
      ratings: see `ratings.create`.
    """

    def __init__(self, ratings):
        self._ratings = ratings
        self.ids = np.unique(ratings.segment_ids)
        self.num_rated = len(self.ids)

    def meet(self, ids):
        """Removes the ids of a list, a bytes array; returns those that were rated and in no list before."""
        _, positions = segment_ids.locate(ids, self.ids)
        met = self.ids[positions]
        self.ids = np.delete(self.ids, positions)
        return met

    def check(self, where, segment=None):
        """Checks that some list had a rated segment.

        Args:
          where: start of the error's sentence.
          segment: a segment of the lists, which the error names; None: they have none.

        Raises:
          NothingRated: no list had one.
        """
        if len(self.ids) == self.num_rated:
            raise NothingRated(where, segment, self._ratings)

    def sentence(self, where):
        """The warning about these segments; "" if their share is at most TOLERATED."""
        if len(self.ids) <= TOLERATED * self.num_rated:
            return ""
        return ("%s: %d of the %d rated segments, such as %s, are in no list and count as not found: rank the shards "
                "that were rated, or give the --holdout_shards that inference.py had and remove a --label_cache made "
                "with others." % (where, len(self.ids), self.num_rated, text.quoted(self.ids[0])))

    def warn(self, where):
        """Logs the warning, if there is one."""
        if self.sentence(where):
            log.warning("WARNING: %s", self.sentence(where))


def mean_average_precision(ranked, ratings, top_n, where="The ranking", unranked=None):
    """Mean, over the classes with a positive rating, of the average precision of their lists.

    Segments that were not rated for a class count neither for nor against it. A class without a
    list has average precision 0.

    Args:
      ranked: iterable of (class, bytes array of segment ids, best first), each class at most once.
      ratings: see `ratings.create`.
      top_n: segments per list that count.
      where: start of the error's sentence.
      unranked: an `Unranked` to meet the lists with; None: a new one.

    Returns:
      The mean, and {class: average precision}.

    Raises:
      NothingRated: no list has a segment that was rated, even for another class.
      InputError: no rating is positive.
    """
    rated, segment, unranked = rated_classes(ratings), None, unranked or Unranked(ratings)
    precisions = dict.fromkeys(rated, 0.0)
    for label, ids in ranked:
        unranked.meet(ids)
        if segment is None and len(ids):
            segment = ids[0]
        if label in precisions:
            names, positive = rated[label]
            _, found = segment_ids.locate(ids[:top_n], names)
            precisions[label] = average_precision(positive[found], np.count_nonzero(positive))
    unranked.check(where, segment)
    return float(np.mean(list(precisions.values()))), precisions


def average_precision(relevant, num_relevant):
    """Sum of the precisions at all relevant entries, divided by `num_relevant`.

    Args:
      relevant: bool [n], whether each entry is relevant, in ranked order.
      num_relevant: number of relevant entries, also of those not found; at least 1.
    """
    ranks = np.flatnonzero(relevant) + 1.0
    return float(np.sum(np.arange(1, len(ranks) + 1) / ranks) / num_relevant)


def by_class(ratings):
    """{class: (bytes array of segment ids, bool array whether positive)} of ratings, classes ascending.

    Args:
      ratings: see `ratings.create`.
    """
    order = np.argsort(ratings.labels, kind="stable")
    labels, starts = np.unique(ratings.labels[order], return_index=True)
    names = np.split(ratings.segment_ids[order], starts[1:])
    positives = np.split(ratings.scores[order] > 0, starts[1:])
    return dict(zip(labels.tolist(), zip(names, positives)))


def rated_classes(ratings):
    """As `by_class`, but only the classes with a positive rating.

    Raises:
      InputError: no rating is positive.
    """
    rated = {label: (ids, positive) for label, (ids, positive) in by_class(ratings).items() if positive.any()}
    if not rated:
        raise InputError("None of the %d segment ratings is positive, so there is no mAP: give more shards."
                         % len(ratings.labels))
    return rated
