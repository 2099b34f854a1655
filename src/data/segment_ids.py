"""Segment ids `VIDEO:START`: their form, and fast exact search for equal ids among millions.

START is in seconds, a multiple of 5. Ids are NumPy bytes arrays throughout.
"""
import re
import unicodedata

import numpy as np
import pandas as pd

MAX_VIDEO_BYTES = 64  # of a video's id; YouTube-8M's have 4
MAX_BYTES = MAX_VIDEO_BYTES + 8  # of a segment's id: a colon and up to seven digits follow
SEPARATORS = rb"\x00- ,:\x7f"  # not in a video's id: separators of CSVs, and control characters
VIDEO = re.compile(rb"[^%b]{1,%d}" % (SEPARATORS, MAX_VIDEO_BYTES))
FORM = re.compile(rb"%b:[0-9]*[05]" % VIDEO.pattern)  # VIDEO:START; any other last digit was cut off or mistyped
_FACTOR = np.int64(-7046029254386353131)  # odd, its bits well mixed: 2**64 over the golden ratio


def composed(video):
    """A video's id, bytes, with its letters and accents composed (Unicode NFC): programs write them in both ways."""
    try:
        return unicodedata.normalize("NFC", video.decode()).encode()
    except UnicodeDecodeError:
        return video


def join(video_ids, starts):
    """`VIDEO:START` of each pair, as a bytes array [n].

    Args:
      video_ids: [n] bytes.
      starts: [n] ints, seconds.
    """
    return np.char.add(np.char.add(np.asarray(video_ids, "S"), b":"), np.asarray(starts, np.int64).astype("S"))


def split(ids):
    """Splits a bytes array [n] of `VIDEO:START` -> bytes array of the videos' ids, int64 array of the starts."""
    width = ids.dtype.itemsize
    characters = np.ascontiguousarray(ids).view(np.uint8).reshape(len(ids), width)
    colons = np.argmax(characters == ord(":"), axis=1)[:, np.newaxis]
    starts = np.zeros(len(ids), np.int64)
    for position, column in enumerate(characters.T):
        digits = (position > colons[:, 0]) & (column > 0)
        starts[digits] = 10 * starts[digits] + (column[digits] - ord("0"))
    videos = np.where(np.arange(width) < colons, characters, np.uint8(0))
    return np.ascontiguousarray(videos).view("S%d" % width).reshape(-1), starts


def fingerprints(ids):
    """int64 [n] of a bytes array [n]: equal for equal ids, almost always distinct for distinct ids.

    Ids of at most 8 bytes, such as YouTube-8M's, always have distinct fingerprints.
    """
    words = -(-ids.dtype.itemsize // 8)
    columns = np.ascontiguousarray(ids, "S%d" % (8 * words)).view(np.int64).reshape(len(ids), words).T
    result = columns[-1]
    for column in columns[-2::-1]:
        result = result * _FACTOR + column
    return result


def first_repeat(ids):
    """The first id of a bytes array that repeats an earlier one, or None."""
    values = fingerprints(ids)
    if len(pd.unique(values)) == len(values):
        return None
    repeated = np.flatnonzero(pd.Series(ids.tolist(), dtype=object).duplicated())
    return ids[repeated[0]] if repeated.size else None


def repeats(ids):
    """Finds the ids of a bytes array that repeat earlier ones.

    Returns:
      int arrays [repeats]: their positions, ascending, and the first position of each id.
    """
    _, firsts, numbers = np.unique(ids, return_index=True, return_inverse=True)
    positions = np.flatnonzero(firsts[numbers] != np.arange(len(ids)))
    return positions, firsts[numbers[positions]]


def locate(ids, wanted):
    """Finds wanted ids in a list.

    Args:
      ids: bytes array [n].
      wanted: bytes array [m], each id once.

    Returns:
      int arrays [found] `positions`, ascending, and `which`, with ids[positions] == wanted[which].
    """
    if not len(wanted):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    positions = np.flatnonzero(pd.Series(fingerprints(ids)).isin(fingerprints(wanted)))
    order = np.argsort(wanted)
    nearest = np.searchsorted(wanted, ids[positions], sorter=order)
    which = order[np.minimum(nearest, len(wanted) - 1)]
    same = wanted[which] == ids[positions]
    return positions[same], which[same]
