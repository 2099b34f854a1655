"""Folds of cross-validation: the file names of a model's folds.

Each fold is a model of its own, trained on the other folds: model_fold0_oof.csv, model_fold1_oof_shift-2.csv.
"""
import collections
import re

from src.submission import shifts

_FOLD = re.compile(r"(.*)_fold([0-9]+)((?:[._].*)?)")


def group(paths):
    """Groups the files of each model's folds.

    Args:
      paths: file names; `_fold<k>` comes before the end of the name, a dot or an underscore.

    Returns:
      OrderedDict: path without `_fold<k>` -> list of the model's paths, by fold; models in the order of `paths`.

    Raises:
      InputError: two files have the same model and fold.
    """
    return shifts.group_at(_FOLD, "fold", paths, sorted)


def group_with_shifts(paths):
    """Groups the files of each model's folds and shifts, as `group` and `shifts.group` do."""
    of_fold = shifts.group(paths)
    return collections.OrderedDict((model, sum((of_fold[one] for one in of_model), []))
                                   for model, of_model in group(of_fold).items())
