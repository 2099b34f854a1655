"""The mAP of ranked CSVs against ratings, and the average precision (AP) of each class in each of them."""
import collections
import logging

import numpy as np
import pandas as pd

from src.common import tables
from src.data import segment_ids
from src.evaluation import classes
from src.evaluation import ranking_metrics
from src.submission import published
from src.submission import ranked_csv

log = logging.getLogger("yt8m")


def scaled_cut(paths):
    """The number of segments per class that a submission's cut is in proportion to the segments of ranked CSVs.

    Reads the CSVs. Memory: one list at a time, and 8 bytes per segment.

    Returns:
      That number, at least 1, and the number of different segments in the CSVs.

    Raises:
      InputError: a CSV is missing or malformed.
    """
    known = np.zeros(0, np.int64)
    for path in paths:
        for _, ids in ranked_csv.iterate(path):
            found = pd.Series(segment_ids.fingerprints(ids))
            known = np.concatenate([known, found[~found.isin(known)].values])
    return max(1, int(round(len(known) * published.SEGMENTS / published.TEST_SEGMENTS))), len(known)


class Report(object):
    """The mAP and APs of ranked CSVs.

    Memory: one list at a time, and the APs.

    Args:
      headings: OrderedDict path -> heading of the column of its APs.
      rated: see `ratings.create`.
      top_n: segments of each list that count.

    Attributes:
      means: OrderedDict path -> mAP; None, with a warning, for a CSV that ranks no rated segment or class.
      precisions: OrderedDict path -> dict class -> AP, of the paths that have an mAP.

    Raises:
      NothingRated: no CSV ranks a rated segment and a rated class.
      InputError: a CSV is missing or malformed, or no rating is positive.
    """

    def __init__(self, headings, rated, top_n):
        self.means, self.precisions = collections.OrderedDict(), collections.OrderedDict()
        self._headings, self._counts = headings, classes.count(rated)
        every = ranking_metrics.Unranked(rated)
        self._num_rated, self._unranked, self._unranked_classes = every.num_rated, every.ids, every.labels
        for path in headings:
            unranked = ranking_metrics.Unranked(rated)
            self.means[path] = None
            try:
                self.means[path], self.precisions[path] = ranking_metrics.mean_average_precision(
                    ranked_csv.iterate(path), rated, top_n, path, unranked)
                unranked.warn(path)
            except ranking_metrics.NothingRated as error:
                if path == list(headings)[-1] and not self.precisions:
                    raise
                log.warning("%s", error)
            self._unranked = np.intersect1d(self._unranked, unranked.ids)
            self._unranked_classes = self._unranked_classes & unranked.labels

    def print_means(self):
        """Prints a table of the files' mAP."""
        tables.print_table([collections.OrderedDict([("file", path), ("mAP", mean)])
                            for path, mean in self.means.items()])

    def print_classes(self, names):
        """Prints the best and worst classes of the best file, and which rated segments and classes no file ranks.

        Args:
          names: dict class -> name.
        """
        if self.precisions:
            best = max(self.precisions, key=lambda path: sum(self.precisions[path].values()))
            classes.print_extremes(names, self._counts, self.precisions[best], self._headings[best])
        if self._unranked_classes:
            print("classes with a positive rating and no list: %d (%s)"
                  % (len(self._unranked_classes), ranking_metrics.listed(self._unranked_classes)))
        print("rated segments: %d, in none of the lists: %d" % (self._num_rated, len(self._unranked)))

    def write(self, path, names):
        """Writes the figures of each class; see `classes.write`."""
        classes.write(path, names, self._counts, collections.OrderedDict(
            (self._headings[one], precisions) for one, precisions in self.precisions.items()))
