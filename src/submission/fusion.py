"""Fuses ranked lists of segments into one list per class: those of a model's shifts, then those of the models.

A segment at rank i (from 0) of a list with weight w scores w * w0 / (i + w0) there; its scores are added in the
order of the lists. The best score comes first; of equal scores the segment that is met first, going through the
lists in order and through each from its best rank. The float64 results equal plain Python's to the last bit.
"""
import contextlib
import functools
import itertools
import os
import typing

import numpy as np

from src.common import files
from src.common import processes
from src.common.errors import InputError
from src.common.progress import Progress
from src.data import segment_ids
from src.submission import ranked_csv

PROCESSES = min(os.cpu_count(), 8)  # the process that writes the fused lists keeps up with about eight
LARGEST = 1e100  # weight or w0, far from overflow
_LARGEST_KEPT = (1 << 25) - (1 << 13)  # bytes of the largest array whose memory the C library reuses
_ODD = np.array([0x9E3779B97F4A7C15], np.uint64)  # a multiplier that mixes bits well: 2**64 over the golden ratio


class Met(typing.NamedTuple):
    """The lists of a class. A position counts through all lists, one after the other."""

    ids: np.ndarray  # bytes [distinct]: the distinct ids in the order in which they are met
    new: np.ndarray  # int [distinct]: position at which each of them is met first
    firsts: np.ndarray  # int [positions]: position at which the id of each position is met first
    lengths: tuple  # of the lists


def check_weights(weights, w0, num_lists):
    """Checks the weights and w0 of a fusion.

    Raises:
      InputError: the number of weights is not that of the lists, a weight is negative, w0 is not above 0, or one
        of them is above LARGEST.
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

    Memory: about 60 bytes per id of the lists.

    Args:
      lists: bytes arrays of segment ids, best first; no list holds an id twice.
      weights: a number from 0 on per list, not all 0.
      w0: above 0; the smaller it is, the more the first ranks count.
      segment_max_pred: segments to keep.

    Returns:
      Bytes array of the best segments' ids, best first.

    Raises:
      InputError: weights or w0 are out of range, an id is malformed, or a list holds an id twice.
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

    A class that some files lack is fused from the others. Memory: about fifteen times the bytes of a class's rows
    (9 MB for nine lists of 100,000 segments) in each of the PROCESSES, as much as the rows in this process, and
    some 400 bytes per class and file.

    Args:
      paths: ranked CSVs, local or gs://, read twice.
      weights: a number from 0 on per file, not all 0.
      w0: above 0.
      output: path of the ranked CSV to write.
      segment_max_pred: segments to keep per class.

    Raises:
      InputError: weights or w0 are out of range, a file is given twice, missing or malformed, or the output
        cannot be written. Nothing is written then.
    """
    check_weights(weights, w0, len(paths))
    _check_some_weight(weights)
    for path, other in itertools.combinations(paths, 2):
        if files.real(path) == files.real(other):
            raise InputError("%s is given twice: leave one of the two out." % path)
    ranked_csv.write(output, each_class(
        paths, lambda _, lists, names: _fuse(lists, names, weights, w0, segment_max_pred), "fusion"))


def each_class(paths, function, what, classes=None, also=()):
    """Reads ranked CSVs class by class and yields (class, the function's value), classes ascending.

    PROCESSES forked processes read the rows and call the function. Threads would wait for each other, as these
    NumPy calls hold Python's lock. Memory: see `fuse_files`.

    Args:
      paths: ranked CSVs, local or gs://.
      function: takes a class, a bytes array of ids per file (empty if the file lacks the class), and the names of
        these lists for errors. The ids are not checked yet: `meet` finds malformed and repeated ones.
      what: says in the progress lines what is being done.
      classes: which to read; None: all classes of the files, and those in `also`.

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


@functools.lru_cache(maxsize=None)  # once per process
def _keep_memory():
    """Makes the C library reuse the memory of freed arrays, up to _LARGEST_KEPT bytes each.

    It reuses blocks up to the size of the largest one freed so far. This saves 20 % of `_fuse` on nine lists of
    100,000 segments against fetching new memory from the system.
    """
    np.empty(_LARGEST_KEPT, np.uint8)


def meet(lists, names):
    """Computes the `Met` of a class's lists.

    Args:
      lists: bytes arrays of ids.
      names: of the lists, for errors.

    Raises:
      InputError: an id is malformed, or a list holds an id twice.
    """
    ids, ends = np.concatenate(lists), np.cumsum([len(one) for one in lists])
    firsts = _first_positions(ids)
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


def _first_positions(ids):
    """int32 [n] of a bytes array [n]: the position of the first equal id."""
    firsts = _first_equals(segment_ids.fingerprints(ids).view(np.uint64), _ODD)
    if ids.dtype.itemsize > 8 and np.any(ids[firsts] != ids):  # different ids have equal fingerprints
        _, positions, numbers = np.unique(ids, return_index=True, return_inverse=True)
        firsts = positions[numbers].astype(np.int32)
    return firsts


def _first_equals(values, factor):
    """int32 [n] of a uint64 array [n]: the position of the first equal value.

    A hash table in arrays, of small integers, which fit the processor's caches. Each value writes its position into
    its slot, from the last value to the first, so each slot keeps the position of its first value. Values that find
    another value's position in their slot try again with another factor. This saves 21 % of `_fuse` on nine lists of
    100,000 segments against pandas.factorize.
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
    """float64 [positions]: what each rank of each list adds to a segment's score, list after list.

    Args:
      weights, lengths: tuples with a number per list.
    """
    return np.concatenate([weight * w0 / (np.arange(length) + w0) for weight, length in zip(weights, lengths)])


def scores(met, terms_):
    """float64 [distinct]: the scores of the ids of a `Met`; see `terms`."""
    return np.bincount(met.firsts, terms_, len(met.firsts))[met.new]  # adds in the order of the lists


def _descending(values):
    """Indices that sort non-negative float64 numbers stably, the greatest first.

    The bits of such numbers, read as integers, have the same order. Two passes of NumPy's radix sort, which takes 16
    bits at most, sort by the upper 32 bits. The numbers are nearly sorted then, and NumPy's stable sort is fast on
    those. This saves 18 % of `_fuse` on nine lists of 100,000 segments against the stable sort alone.
    """
    bits = ~values.view(np.uint64)
    order = np.argsort((bits >> np.uint64(32)).astype(np.uint16), kind="stable")
    order = order[np.argsort((bits >> np.uint64(48)).astype(np.uint16)[order], kind="stable")]
    return order[np.argsort(-values[order], kind="stable")]
