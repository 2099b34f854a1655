"""Figures per class: how often it was rated and found, and the average precision (AP) of each ranking."""
import collections
import csv
import typing

import numpy as np

from src.common import atomic
from src.common import tables
from src.data import vocabulary

SHOWN = 5  # number of best classes that are shown, and of worst ones


class Counts(typing.NamedTuple):
    """How often each class was rated: int arrays [classes]."""
    labels: np.ndarray  # the rated classes, ascending
    ratings: np.ndarray  # segments or videos rated for the class
    positives: np.ndarray  # those of them in which the class was found


def count(ratings):
    """The Counts of segment ratings; see `ratings.create`."""
    labels, classes, numbers = np.unique(ratings.labels, return_inverse=True, return_counts=True)
    return Counts(labels, numbers, np.bincount(classes, ratings.scores > 0, len(labels)).astype(np.int64))


def write(path, names, counts, precisions):
    """Writes a CSV `class,name,ratings,positives,..` with one column of APs per ranking.

    A class without a positive has empty APs.

    Args:
      path: local or gs://.
      names: {class: name}.
      counts: Counts.
      precisions: OrderedDict {column: {class: AP}}.

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
    """The SHOWN best classes of {class: AP}, best first, and the SHOWN worst of the others, worst last."""
    order = sorted(precisions, key=lambda label: (-precisions[label], label))
    return order[:SHOWN], order[SHOWN:][-SHOWN:]


def print_extremes(names, counts, precisions, what="AP"):
    """Prints the best and the worst classes, and how many have no positive rating.

    Args:
      names: {class: name}.
      counts: Counts.
      precisions: {class: AP}.
      what: heading of the column of APs.
    """
    number_of = {label: numbers for label, *numbers in zip(*(column.tolist() for column in counts))}
    for heading, labels in zip(("best classes", "worst classes"), extremes(precisions)):
        if labels:
            print()
            tables.print_table([collections.OrderedDict([
                (heading, vocabulary.name_of(names, label)), ("class", str(label)), ("ratings", number_of[label][0]),
                ("positives", number_of[label][1]), (what, precisions[label])]) for label in labels])
    print("\nclasses rated: %d, left out for lack of a positive rating: %d"
          % (len(counts.labels), np.count_nonzero(counts.positives == 0)))
