"""Frame shifts of test-time augmentation, and the file names of a model's shifts.

With several shifts, out.csv holds shift 0, out_shift-2.csv holds shift -2, and so on.
"""
import collections
import os
import re

from src.common.errors import InputError

_NUMBER = re.compile(r" *[-+]?[0-9]{1,6} *")
_SHIFT = re.compile(r"(.*)_shift(-?[0-9]+)((?:[._].*)?)")


def parse(text, of_segments):
    """The integers of a comma list.

    Args:
      text: the list.
      of_segments: whether segments are predicted, not whole videos.

    Raises:
      InputError: one is malformed or repeated, or not 0 for whole videos.
    """
    numbers = text.split(",")
    shifts = [int(number) for number in numbers] if all(map(_NUMBER.fullmatch, numbers)) else []
    if not shifts or len(set(shifts)) < len(shifts):
        raise InputError("--shift=%s is not a comma list of different whole numbers, such as -2,-1,0,1." % text)
    if shifts != [0] and not of_segments:
        raise InputError("--shift=%s needs --segment_labels: whole videos are not shifted." % text)
    return shifts


def outputs(path, shifts, variant=""):
    """The path of each shift's file: `path` for shift 0 or a single shift, otherwise such as out_shift-2.csv.

    Args:
      path: of the file.
      shifts: list of ints.
      variant: follows `out` in each name.
    """
    stem, extension = os.path.splitext(path)
    ends = ["" if len(shifts) == 1 or shift == 0 else "_shift%d" % shift for shift in shifts]
    return [stem + variant + end + extension for end in ends]


def order(shifts):
    """Shifts in the order in which their lists are fused: by absolute value, positive ones first: 0, 1, -1, 2, -2."""
    return sorted(shifts, key=lambda shift: (abs(shift), shift < 0))


def split(path):
    """folder/model_oof_shift-2.csv -> (folder/model_oof.csv, -2).

    `_shift<k>` comes before the end of the name, a dot or an underscore. Without it the shift is 0.
    """
    return _split_at(_SHIFT, path)


def _split_at(pattern, path):
    """The path without what a pattern finds in its name, and the number there; the path and 0 if it finds nothing."""
    name = os.path.basename(path)
    matched = pattern.fullmatch(name)
    if not matched:
        return path, 0
    return path[:len(path) - len(name)] + matched.group(1) + matched.group(3), int(matched.group(2))


def group(paths):
    """Groups the files of each model's shifts.

    Args:
      paths: file names; see `split`.

    Returns:
      OrderedDict: path without `_shift<k>` -> list of the model's paths, sorted by `order`; models in the order of
      `paths`.

    Raises:
      InputError: two files have the same model and shift.
    """
    return group_at(_SHIFT, "shift", paths, order)


def group_at(pattern, what, paths, in_order):
    """Groups files by what their names are without a number.

    Args:
      pattern: compiled; its groups are what comes before the number, the number, and what comes after. A name in
        which it finds nothing has the number 0.
      what: the number is of, for errors.
      paths: file names.
      in_order: function that sorts a model's numbers.

    Returns:
      OrderedDict: path without what the pattern finds -> list of the model's paths, sorted; models in the order of
      `paths`.

    Raises:
      InputError: two files have the same model and number.
    """
    models = collections.OrderedDict()
    for path in paths:
        model, number = _split_at(pattern, path)
        path_of = models.setdefault(model, {})
        if number in path_of:
            raise InputError("%s and %s are both %s %d of one model: leave one of them out."
                             % (path_of[number], path, what, number))
        path_of[number] = path
    return collections.OrderedDict((model, [path_of[number] for number in in_order(path_of)])
                                   for model, path_of in models.items())
