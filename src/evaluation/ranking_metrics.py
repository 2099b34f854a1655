"""How well ranked lists of segments agree with ratings."""
import numpy as np

from src.common import text
from src.common.errors import InputError
from src.data import segment_ids


class NothingRated(InputError):
    """Ranked lists and ratings have no segment in common."""

    def __init__(self, where, segment, ratings):
        super(NothingRated, self).__init__(
            "%s: none of the segments%s is among those of the %d ratings such as %s: rank the shards that were rated."
            % (where, "" if segment is None else " such as " + text.quoted(segment), len(ratings.segment_ids),
               text.quoted(ratings.segment_ids[0])))


def mean_average_precision(ranked, ratings, top_n, where="The ranking"):
    """Mean over the classes with a positive rating of their lists' average precision.

    Segments that were not rated for a class count neither for nor against it. A class without a
    list has average precision 0.

    Args:
      ranked: iterable of (class, bytes array of segment ids, best first), a class at most once.
      ratings: see `ratings.create`.
      top_n: segments of a list that count.
      where: begins the error's sentence.

    Returns:
      The mean, and a dict class -> average precision.

    Raises:
      NothingRated: no segment was rated, be it for another class.
      InputError: no rating is positive.
    """
    rated, rated_ids = rated_classes(ratings), np.unique(ratings.segment_ids)
    precisions, segment, any_rated = dict.fromkeys(rated, 0.0), None, False
    for label, ids in ranked:
        if not any_rated and len(ids):
            segment, any_rated = ids[0], bool(len(segment_ids.locate(ids, rated_ids)[0]))
        if label in precisions:
            names, positive = rated[label]
            _, found = segment_ids.locate(ids[:top_n], names)
            precisions[label] = average_precision(positive[found], np.count_nonzero(positive))
    if not any_rated:
        raise NothingRated(where, segment, ratings)
    return float(np.mean(list(precisions.values()))), precisions


def average_precision(relevant, num_relevant):
    """Sum of the precisions at each relevant entry over the number that there are.

    Args:
      relevant: bool [n], of the entries in ranked order.
      num_relevant: how many relevant ones there are, found or not; at least 1.
    """
    places = np.flatnonzero(relevant) + 1.0
    return float(np.sum(np.arange(1, len(places) + 1) / places) / num_relevant)


def rated_classes(ratings):
    """Ratings by class.

    Args:
      ratings: see `ratings.create`.

    Returns:
      dict class -> (bytes array of segment ids, bool array whether positive), of the classes with a
      positive rating, ascending.

    Raises:
      InputError: no rating is positive.
    """
    order = np.argsort(ratings.labels, kind="stable")
    labels, starts = np.unique(ratings.labels[order], return_index=True)
    names = np.split(ratings.segment_ids[order], starts[1:])
    positives = np.split(ratings.scores[order] > 0, starts[1:])
    rated = {label: (ids, positive) for label, ids, positive in zip(labels.tolist(), names, positives)
             if positive.any()}
    if not rated:
        raise InputError("None of the %d segment ratings is positive, so there is no mAP: give more shards."
                         % len(ratings.labels))
    return rated
