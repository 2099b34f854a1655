"""Fusion of ranked lists of segments into one, class by class: of a model's shifts, then of the models.

A segment at rank i (from 0) of a list with weight w scores w * w0 / (i + w0); its scores add over the
lists in their order. The best score comes first, of equal ones the segment met first: in the order of
the lists, then of the ranks. The arithmetic is Python's own in float64, to the last bit.
"""
import collections
import contextlib
import functools
import itertools
import os

import numpy as np

from src.common import processes
from src.common.errors import InputError
from src.common.progress import Progress
from src.data import segment_ids
from src.submission import ranked_csv

PROCESSES = min(os.cpu_count(), 8)  # the one that writes keeps about eight busy
# The C library keeps the memory of arrays up to the size of the greatest it has given back, of this at most, for
# the next arrays; getting it anew from the system takes a sixth of the time.
_MALLOC_KEEPS = (1 << 25) - (1 << 13)
LARGEST = 1e100  # weight or w0, far from overflow
_ODD = np.array([0x9E3779B97F4A7C15], np.uint64)  # its bits well mixed: 2**64 over the golden ratio

# A class's lists: bytes array `ids` of the distinct ones as they are met, list after list; int array `new` of the
# places where they are, counted through all lists; int array `firsts` [places] of the place where the id of each was
# met first; tuple `lengths` of the lists.
Met = collections.namedtuple("Met", "ids new firsts lengths")


def check_weights(weights, w0, num_lists):
    """Checks the numbers that a fusion goes by.

    Raises:
      InputError: there is not one weight a list, a weight is negative, w0 is not above 0, or one of
        them is above LARGEST.
    """
    if len(weights) != num_lists:
        raise InputError("There are %d weights for %d lists: give one for each." % (len(weights), num_lists))
    for number, weight in enumerate(weights, 1):
        if not 0 <= weight <= LARGEST:
            raise InputError("Weight %d is %s: give a number from 0 on." % (number, weight))
    if not 0 < w0 <= LARGEST:
        raise InputError("w0 is %s: give a number above 0." % w0)


def _check_some_weight(weights):
    if not any(weights):
        raise InputError("All %d weights are 0: give at least one list a weight above 0." % len(weights))


def fuse(lists, weights, w0, segment_max_pred):
    """Fuses a class's lists.

    Memory: about 60 bytes for each id of the lists.

    Args:
      lists: bytes arrays of segment ids, best first, an id at most once each.
      weights: a number from 0 on for each list, not all 0.
      w0: above 0; the smaller, the more the first ranks count.
      segment_max_pred: segments to keep.

    Returns:
      Bytes array of the best segments' ids, best first.

    Raises:
      InputError: weights or w0 are not so, or an id is malformed or stands twice in a list.
    """
    check_weights(weights, w0, len(lists))
    _check_some_weight(weights)
    return _fuse(lists, ["List %d" % (k + 1) for k in range(len(lists))], weights, w0, segment_max_pred)


def _fuse(lists, names, weights, w0, segment_max_pred):
    met = meet(lists, names)
    order = _descending(scores(met, terms(tuple(weights), w0, met.lengths)))
    return met.ids[order[:segment_max_pred]]


def fuse_files(paths, weights, w0, output, segment_max_pred=100000):
    """Fuses ranked CSVs class by class into one.

    A class that some files lack is fused from the others. Memory, whatever the number of classes but
    for some 400 bytes a class and file: in each of PROCESSES about fifteen times the bytes of a class's
    rows (9 MB are nine lists of 100,000 segments), and here as much as the rows.

    Args:
      paths: ranked CSVs, local or gs://, read twice.
      weights: a number from 0 on for each file, not all 0.
      w0: above 0.
      output: path of the ranked CSV to write.
      segment_max_pred: segments of a class to keep.

    Raises:
      InputError: weights or w0 are not so, a file is given twice, missing or malformed, or the output
        cannot be written; nothing is written then.
    """
    check_weights(weights, w0, len(paths))
    _check_some_weight(weights)
    for path, other in itertools.combinations(paths, 2):
        if os.path.realpath(path) == os.path.realpath(other):
            raise InputError("%s is given twice: leave one of the two out." % path)
    ranked_csv.write(output, each_class(
        paths, lambda _, lists, names: _fuse(lists, names, weights, w0, segment_max_pred), "fusion"))


def each_class(paths, function, what, classes=None, also=()):
    """Reads ranked CSVs class by class and yields (class, a function's value), classes ascending.

    PROCESSES forked ones read the rows and run the function; NumPy keeps threads waiting for each other
    in what it does here. Memory: see `fuse_files`.

    Args:
      paths: ranked CSVs, local or gs://.
      function: takes a class, a bytes array of ids for each file, empty where the file lacks the
        class, and names of these lists for errors. Whether the ids are malformed or stand twice in a
        list is found out by `meet`.
      what: is being done, for the progress lines.
      classes: which to read; None: all that there are, and those in `also`.

    Raises:
      InputError: a file is missing or malformed, or the function raises it.
    """
    tables, reading = [], Progress("%s, finding the classes" % what, "files", len(paths))
    for path in paths:
        tables.append(ranked_csv.Rows(path))
        reading.add(1)
    classes = sorted(set(also).union(*(table.classes for table in tables)) if classes is None else classes)
    progress = Progress(what, "classes", len(classes))
    values = processes.map_in_order(functools.partial(_of_class, tables, function), classes, PROCESSES)
    with contextlib.closing(values):
        for class_id, value in zip(classes, values):
            progress.add(1)
            yield class_id, value
    progress.finish()


def _of_class(tables, function, class_id):
    _keep_memory()
    rows = [table.read(class_id) for table in tables]
    return function(class_id, [ranked_csv.split(*row) for row in rows], [name for _, name in rows])


@functools.lru_cache(maxsize=None)  # once a process
def _keep_memory():
    np.empty(_MALLOC_KEEPS, np.uint8)


def meet(lists, names):
    """`Met` lists of a class.

    Args:
      lists: bytes arrays of ids.
      names: of the lists, for the error.

    Raises:
      InputError: an id is malformed or stands twice in a list.
    """
    ids, ends = np.concatenate(lists), np.cumsum([len(one) for one in lists])
    firsts = _first_places(ids)
    for one, name, own in zip(lists, names, np.split(firsts, ends[:-1])):
        met = np.zeros(len(ids), bool)
        met[own] = True
        if np.count_nonzero(met) < len(one):
            ranked_csv.check_distinct(one, name)
    new = np.flatnonzero(firsts == np.arange(len(ids), dtype=np.int32))
    distinct = ids[new]
    if not ranked_csv.well_formed(distinct):
        for one, name in zip(lists, names):
            ranked_csv.check_form(one, name)
    return Met(distinct, new, firsts, tuple(len(one) for one in lists))


def _first_places(ids):
    """int32 [n] of a bytes array [n]: the place at which each id is met first."""
    firsts = _first_equals(segment_ids.fingerprints(ids).view(np.uint64), _ODD)
    if ids.dtype.itemsize > 8 and np.any(ids[firsts] != ids):  # different ids have equal fingerprints
        _, places, numbers = np.unique(ids, return_index=True, return_inverse=True)
        firsts = places[numbers].astype(np.int32)
    return firsts


def _first_equals(values, factor):
    """int32 [n] of a uint64 array [n]: the place of the first equal value.

    A hash table in arrays, of small integers for the caches' sake: the places are written into the
    values' slots from the last on, which leaves in each slot the place of its first value. Values whose
    slot another took try again with another factor.
    """
    bits = len(values).bit_length()
    slots = (values * factor >> np.uint64(64 - bits)).view(np.int64)
    table = np.empty(1 << bits, np.int32)
    table[slots[::-1]] = np.arange(len(values) - 1, -1, -1, dtype=np.int32)
    firsts = table[slots]
    wrong = np.flatnonzero(values[firsts] != values)
    if wrong.size:
        firsts[wrong] = wrong[_first_equals(values[wrong], factor * _ODD)]
    return firsts


@functools.lru_cache(maxsize=1)  # nearly all classes have lists of the same lengths
def terms(weights, w0, lengths):
    """float64 array of what each rank of each list adds to a segment's score, list after list.

    Args:
      weights, lengths: tuples, a number a list.
    """
    return np.concatenate([weight * w0 / (np.arange(length) + w0) for weight, length in zip(weights, lengths)])


def scores(met, terms_):
    """float64 array of the scores of the ids of `Met` lists; see `terms`."""
    return np.bincount(met.firsts, terms_, len(met.firsts))[met.new]  # adds in the order of the lists


def _descending(values):
    """Stable order of float64 numbers from 0 on, the greatest first.

    Bits of such numbers order as the numbers do. Sorted by their upper half, which takes two passes
    of NumPy's radix sort, they are nearly in order, which its stable sort turns to account.
    """
    bits = ~values.view(np.uint64)
    order = np.argsort((bits >> np.uint64(32)).astype(np.uint16), kind="stable")
    order = order[np.argsort((bits >> np.uint64(48)).astype(np.uint16)[order], kind="stable")]
    return order[np.argsort(-values[order], kind="stable")]
