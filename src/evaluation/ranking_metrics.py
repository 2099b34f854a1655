"""How well ranked lists of segments agree with ratings."""
import logging

import numpy as np

from src.common import text
from src.common.errors import InputError
from src.data import segment_ids

log = logging.getLogger("yt8m")
TOLERATED = 0.1  # share of the rated segments that may be in no list without a warning, and of the rated classes
SHOWN_CLASSES = 20  # in a sentence


class NothingRated(InputError):
    """Ranked lists and ratings have no segment or no class in common."""


def no_segment_rated(where, ratings, segment=None):
    """The NothingRated of lists without a rated segment.

    Args:
      where: start of the sentence.
      ratings: see `ratings.create`.
      segment: one of the lists; None: not named.
    """
    return NothingRated(
        "%s: none of the segments%s is rated; the %d ratings are of segments such as %s: rank the shards that were "
        "rated." % (where, "" if segment is None else " such as " + text.quoted(segment), len(ratings.segment_ids),
                    text.quoted(ratings.segment_ids[0])))


def no_class_rated(where, rated, label=None):
    """The NothingRated of lists of other classes than those with a positive rating.

    Args:
      where: start of the sentence.
      rated: the classes with a positive rating.
      label: a class of the lists; None: not named.
    """
    return NothingRated(
        "%s: none of its classes%s has a positive rating; these have one: %s. Rank these, and check that the classes' "
        "numbers are those of the ratings." % (where, "" if label is None else " such as %d" % label, listed(rated)))


def listed(labels):
    """The numbers of classes, in words; of more than SHOWN_CLASSES, the lowest."""
    shown = ", ".join(map(str, sorted(labels)[:SHOWN_CLASSES]))
    return shown + (" and %d others" % (len(labels) - SHOWN_CLASSES) if len(labels) > SHOWN_CLASSES else "")


class Unranked(object):
    """The rated segments that were in no list of any class so far, and the classes that had no list.

    Args:
      ratings: see `ratings.create`.

    Attributes:
      ids: bytes array of these segments.
      labels: set of these classes, only of those with a positive rating.
    """

    def __init__(self, ratings):
        self._ratings = ratings
        self.ids, self.labels = np.unique(ratings.segment_ids), set(np.unique(ratings.labels[ratings.scores > 0]))
        self.num_rated, self._rated = len(self.ids), set(self.labels)

    def meet(self, ids):
        """Removes the ids of a list, a bytes array; returns those that were rated and in no list before."""
        _, positions = segment_ids.locate(ids, self.ids)
        met = self.ids[positions]
        self.ids = np.delete(self.ids, positions)
        return met

    def meet_class(self, label):
        """Removes a class that has a list."""
        self.labels.discard(label)

    def check(self, where, label=None, segment=None):
        """Checks that some list had a rated segment, and that one was of a class with a positive rating.

        Args:
          where: start of the error's sentence.
          label, segment: of the lists, which the error names; None: none.

        Raises:
          NothingRated: no list had, or was.
        """
        if len(self.ids) == self.num_rated:
            raise no_segment_rated(where, self._ratings, segment)
        if self._rated and self.labels == self._rated:
            raise no_class_rated(where, self._rated, label)

    def sentences(self, where):
        """The warnings about these segments and classes; a share of at most TOLERATED gets none."""
        found = []
        if len(self.labels) > TOLERATED * len(self._rated):
            found.append("%s: %d of the %d classes with a positive rating have no list and count as 0: %s. Rank them, "
                         "too: see --segment_label_ids_file of inference.py."
                         % (where, len(self.labels), len(self._rated), listed(self.labels)))
        if len(self.ids) > TOLERATED * self.num_rated:
            found.append("%s: %d of the %d rated segments, such as %s, are in no list and count as not found: rank the "
                         "shards that were rated, or give the --holdout_shards that inference.py had and remove a "
                         "--label_cache made with others."
                         % (where, len(self.ids), self.num_rated, text.quoted(self.ids[0])))
        return found

    def warn(self, where):
        """Logs the warnings; names classes that have no list even if there is no warning."""
        for sentence in self.sentences(where):
            log.warning("WARNING: %s", sentence)
        if 0 < len(self.labels) <= TOLERATED * len(self._rated):
            log.info("%s: classes with a positive rating and no list, which count as 0: %s", where, listed(self.labels))


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
      NothingRated: no list has a segment that was rated, even for another class, or is of a class with a positive
        rating.
      InputError: no rating is positive.
    """
    rated, first, unranked = rated_classes(ratings), (None, None), unranked or Unranked(ratings)
    precisions = dict.fromkeys(rated, 0.0)
    for label, ids in ranked:
        unranked.meet(ids)
        unranked.meet_class(label)
        if len(ids) and first[0] is None:
            first = label, ids[0]
        if label in precisions:
            names, positive = rated[label]
            _, found = segment_ids.locate(ids[:top_n], names)
            precisions[label] = average_precision(positive[found], np.count_nonzero(positive))
    unranked.check(where, *first)
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
