"""Joins ranked lists of different videos into one list per class, such as the out-of-fold lists of a model's folds.

The first segments of all lists come first, in the order of the lists, then all second ones, and so on. Nothing is cut
off.
"""
import numpy as np

from src.common import text
from src.common.errors import InputError
from src.submission import fusion
from src.submission import ranked_csv


def join(lists, names):
    """Joins a class's lists.

    Memory: about 60 bytes per id of the lists.

    Args:
      lists: bytes arrays of segment ids, best first.
      names: of the lists, for errors.

    Returns:
      Bytes array of all ids.

    Raises:
      InputError: two lists hold the same segment, a list holds one twice, or an id is malformed.
    """
    met = fusion.meet(lists, names)
    if len(met.ids) < len(met.firsts):
        again = np.flatnonzero(met.firsts != np.arange(len(met.firsts)))[0]
        first, second = np.searchsorted(np.cumsum(met.lengths), [met.firsts[again], again], side="right")
        raise InputError("%s and %s both rank the segment %s: join lists of different videos, such as those that a "
                         "model's folds hold out." % (names[first], names[second],
                                                      text.quoted(np.concatenate(lists)[again])))
    return met.ids[np.argsort(np.concatenate([np.arange(length) for length in met.lengths]), kind="stable")]


def join_files(paths, output):
    """Joins ranked CSVs class by class into one.

    Memory: see `fusion.fuse_files`.

    Args:
      paths: ranked CSVs, local or gs://, read twice.
      output: path of the ranked CSV to write.

    Raises:
      InputError: two files hold the same segment of a class, a file is missing or malformed, or the output cannot be
        written. Nothing is written then.
    """
    ranked_csv.write(output, fusion.each_class(paths, lambda _, lists, names: join(lists, names), "join"))
