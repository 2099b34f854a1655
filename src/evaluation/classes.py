"""Figures of each class: how often it was rated and found, and the average precision (AP) of each ranking of it."""
import collections
import csv
import typing

import numpy as np

from src.common import atomic
from src.common import tables
from src.data import vocabulary

SHOWN = 5  # best and worst classes on the terminal


class Counts(typing.NamedTuple):
    """How often each class was rated, int arrays [classes]."""
    labels: np.ndarray  # the classes that were rated, ascending
    ratings: np.ndarray  # segments or videos that were rated for the class
    positives: np.ndarray  # of these, the ones in which it was found


def count(ratings):
    """Counts of segments' ratings; see `ratings.create`."""
    labels, classes, numbers = np.unique(ratings.labels, return_inverse=True, return_counts=True)
    return Counts(labels, numbers, np.bincount(classes, ratings.scores > 0, len(labels)).astype(np.int64))


def write(path, names, counts, precisions):
    """Writes a CSV `class,name,ratings,positives,..` with a column of APs a ranking, empty where nothing is positive.

    Args:
      path: local or gs://.
      names: dict class -> name.
      counts: Counts.
      precisions: OrderedDict column -> dict class -> AP.

    Raises:
      InputError: the file cannot be written.
    """
    with atomic.replacing(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["class", "name", "ratings", "positives"] + list(precisions))
        for label, ratings, positives in zip(*(column.tolist() for column in counts)):
            aps = ["%.6f" % of_ranking[label] if label in of_ranking else "" for of_ranking in precisions.values()]
            writer.writerow([label, names.get(label, ""), ratings, positives] + aps)


def extremes(precisions):
    """The SHOWN best classes of a dict class -> AP, best first, and the worst of the others, worst last."""
    order = sorted(precisions, key=lambda label: (-precisions[label], label))
    return order[:SHOWN], order[SHOWN:][-SHOWN:]


def print_extremes(names, counts, precisions, what="AP"):
    """Prints the best and the worst classes, and how many have no positive rating.

    Args:
      names: dict class -> name.
      counts: Counts.
      precisions: dict class -> AP.
      what: heading of the APs.
    """
    number_of = {label: numbers for label, *numbers in zip(*(column.tolist() for column in counts))}
    for heading, labels in zip(("best classes", "worst classes"), extremes(precisions)):
        if labels:
            print()
            tables.print_table([collections.OrderedDict([
                (heading, vocabulary.name_of(names, label)), ("class", str(label)), ("ratings", number_of[label][0]),
                ("positives", number_of[label][1]), (what, precisions[label])]) for label in labels])
    print("\nclasses rated: %d, of which without a positive rating, and left out: %d"
          % (len(counts.labels), np.count_nonzero(counts.positives == 0)))
