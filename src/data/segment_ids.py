"""Segment ids `VIDEO:START`, START in whole seconds: their form, and equal ones among millions, quickly and surely.

Ids are NumPy bytes arrays throughout.
"""
import re

import numpy as np
import pandas as pd

MAX_VIDEO_BYTES = 64  # of a video's id; YouTube-8M's have 4
MAX_BYTES = MAX_VIDEO_BYTES + 8  # of a segment's: a colon and up to seven digits more
SEPARATORS = rb"\x00- ,:\x7f"  # what no video's id holds: what separates ids in CSVs, and control characters
VIDEO = re.compile(rb"[^%b]{1,%d}" % (SEPARATORS, MAX_VIDEO_BYTES))
FORM = re.compile(rb"%b:[0-9]+" % VIDEO.pattern)  # VIDEO:START
_FACTOR = np.int64(-7046029254386353131)  # odd, its bits well mixed: 2**64 over the golden ratio


def join(video_ids, starts):
    """`VIDEO:START` of each pair, as a bytes array [n].

    Args:
      video_ids: [n] bytes.
      starts: [n] ints, seconds.
    """
    return np.char.add(np.char.add(np.asarray(video_ids, "S"), b":"), np.asarray(starts, np.int64).astype("S"))


def split(ids):
    """-> bytes array of the videos' ids and int64 array of the starts of a bytes array [n] of `VIDEO:START`."""
    width = ids.dtype.itemsize
    characters = np.ascontiguousarray(ids).view(np.uint8).reshape(len(ids), width)
    colons = np.argmax(characters == ord(":"), axis=1)[:, np.newaxis]
    starts = np.zeros(len(ids), np.int64)
    for place, column in enumerate(characters.T):
        digits = (place > colons[:, 0]) & (column > 0)
        starts[digits] = 10 * starts[digits] + (column[digits] - ord("0"))
    videos = np.where(np.arange(width) < colons, characters, np.uint8(0))
    return np.ascontiguousarray(videos).view("S%d" % width).reshape(-1), starts


def fingerprints(ids):
    """int64 [n] of a bytes array [n]: equal for equal ids, nearly never for others.

    Ids of at most 8 bytes, as YouTube-8M's are, have fingerprints of their own.
    """
    words = -(-ids.dtype.itemsize // 8)
    columns = np.ascontiguousarray(ids, "S%d" % (8 * words)).view(np.int64).reshape(len(ids), words).T
    result = columns[-1]
    for column in columns[-2::-1]:
        result = result * _FACTOR + column
    return result


def first_repeat(ids):
    """The first id of a bytes array that stood there before, or None."""
    values = fingerprints(ids)
    if len(pd.unique(values)) == len(values):
        return None
    repeated = np.flatnonzero(pd.Series(ids.tolist(), dtype=object).duplicated())
    return ids[repeated[0]] if repeated.size else None


def repeats(ids):
    """Which ids of a bytes array stood there before.

    Returns:
      int arrays [repeats]: their places, ascending, and where each id stands first.
    """
    _, firsts, numbers = np.unique(ids, return_index=True, return_inverse=True)
    places = np.flatnonzero(firsts[numbers] != np.arange(len(ids)))
    return places, firsts[numbers[places]]


def locate(ids, wanted):
    """Where wanted ids stand in a list.

    Args:
      ids: bytes array [n].
      wanted: bytes array [m], each id once.

    Returns:
      int arrays [found] `places`, ascending, and `which`, with ids[places] == wanted[which].
    """
    if not len(wanted):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    places = np.flatnonzero(pd.Series(fingerprints(ids)).isin(fingerprints(wanted)))
    order = np.argsort(wanted)
    nearest = np.searchsorted(wanted, ids[places], sorter=order)
    which = order[np.minimum(nearest, len(wanted) - 1)]
    same = wanted[which] == ids[places]
    return places[same], which[same]
