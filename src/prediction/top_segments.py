"""The best segments of each class, from a stream of scored segments, in bounded memory."""
import typing

import numpy as np

from src.common.errors import InputError

BLOCK_SCORES = 1 << 17  # scores added at a time; their temporary arrays fit into the CPU's cache
MAX_STREAM = 1 << 32  # a key has 32 bits for a segment's number
_NUMBER = np.uint64(MAX_STREAM - 1)  # mask of these bits


class Ranking(typing.NamedTuple):
    """The best segments of some classes; see TopSegments on keys."""
    ids: np.ndarray  # bytes, of the segments
    ends: np.ndarray  # int64 [classes], end of each class's keys
    keys: np.ndarray  # uint64, class by class, unordered within a class


class TopSegments(object):
    """Keeps each class's best `max_segments` of all the segments that are added.

    Each entry is a 64-bit key. Its upper half is the complement of the score's float32 bits, its
    lower half the segment's number in the stream. Bits of nonnegative floats order as the floats
    do. So ascending keys are descending scores; of equal scores, the segment added first is first.

    Each class has a row of keys, with space for `max_segments` and an extra quarter. Before a row
    overflows, it is cut to its best `max_segments`. Later it accepts only better scores than the
    worst of these.

    Memory: `memory_bound` = 8 * num_classes * 1.25 * max_segments bytes of keys (1.0 GB for 1,000
    classes and 100,000 segments), committed as rows fill. The ids of all segments, each padded to
    the longest of its batch (21 MB for 2.6 million). Within `add` about 40 bytes for each of
    BLOCK_SCORES scores.

    Args:
      num_classes: columns of the scores.
      max_segments: segments to keep per class.
    """

    def __init__(self, num_classes, max_segments):
        capacity = max_segments + max(max_segments // 4, 1)
        self._max_segments = max_segments
        self._keys = np.zeros([num_classes, capacity], np.uint64)  # the first counts[c] of row c are in use
        self._counts = np.zeros(num_classes, np.int64)
        self._thresholds = np.full(num_classes, -1, np.float32)  # only scores above them are kept
        self._segment_ids = [np.empty(0, "S1")]
        self._num_segments = 0

    @property
    def memory_bound(self):
        """Most bytes that the keys use."""
        return self._keys.nbytes

    def add(self, segment_ids, scores, top_k=None):
        """Adds segments. Of equal scores, those added before rank first, then these in their order.

        Args:
          segment_ids: bytes array [segments].
          scores: float32 [segments, classes], nonnegative.
          top_k: only each segment's `top_k` (1 or more) best classes count, ties to the lower
            class; None: all do.

        Raises:
          InputError: a score is negative or not a number; nothing is added.
        """
        segment_ids, scores = np.array(segment_ids, "S"), np.asarray(scores, np.float32)
        num_classes, capacity = self._keys.shape
        if scores.shape != (len(segment_ids), num_classes):
            raise ValueError("%d segments and %d classes do not fit scores of shape %s"
                             % (len(segment_ids), num_classes, scores.shape))
        if self._num_segments + len(segment_ids) > MAX_STREAM:
            raise ValueError("more than %d segments" % MAX_STREAM)
        _check_probabilities(scores)
        self._segment_ids.append(segment_ids)
        # A cut row has space for capacity - max_segments entries: no block may have more segments.
        block = min(max(BLOCK_SCORES // num_classes, 1), capacity - self._max_segments)
        for start in range(0, len(scores), block):
            self._add_block(scores[start:start + block], top_k)

    def _add_block(self, scores, top_k):
        useful = scores > self._thresholds
        if top_k is not None and top_k < scores.shape[1]:
            useful &= _best_classes(scores, top_k)
        useful = np.ascontiguousarray(useful.T)  # from here on class by class, as the rows are
        added = np.count_nonzero(useful, axis=1)
        for column in np.flatnonzero(self._counts + added > self._keys.shape[1]):  # rare
            self._cut(column)
        numbers = np.arange(self._num_segments, self._num_segments + len(scores), dtype=np.uint64)
        keys = _keys(scores.T[useful], np.broadcast_to(numbers, useful.shape)[useful])
        # Entry i of all goes to position: free end of its row + i - number of entries of earlier rows.
        free_ends = np.arange(len(added)) * self._keys.shape[1] + self._counts
        positions = np.repeat(free_ends - (np.cumsum(added) - added), added)
        positions += np.arange(len(keys))
        self._keys.reshape(-1)[positions] = keys
        self._counts += added
        self._num_segments += len(scores)

    def _cut(self, column):
        """Keeps the best max_segments of a row that holds more."""
        row = self._keys[column, :self._counts[column]]
        row.partition(self._max_segments - 1)
        self._thresholds[column] = _key_score(row[self._max_segments - 1])
        self._counts[column] = self._max_segments

    def ranked(self):
        """Yields the segment ids of every class in order, best first, at most max_segments."""
        segment_ids = np.concatenate(self._segment_ids)
        for column, count in enumerate(self._counts):
            row = self._keys[column, :count]
            row.sort()
            yield segment_ids[row[:self._max_segments] & _NUMBER]

    def rankings(self, num_classes):
        """Yields a `Ranking` for every `num_classes` classes, in order."""
        segment_ids = np.concatenate(self._segment_ids)
        for column in np.flatnonzero(self._counts > self._max_segments):
            self._cut(column)
        for first in range(0, len(self._counts), num_classes):
            counts = self._counts[first:first + num_classes]
            rows = self._keys[first:first + num_classes, :counts.max()]
            yield Ranking(segment_ids, np.cumsum(counts), rows[np.arange(rows.shape[1]) < counts[:, np.newaxis]])


def merged(rankings, max_segments):
    """Merges `Ranking`s of the same classes into one.

    Memory: as much again as the rankings.

    Args:
      rankings: `Ranking`s, in the order of their segments.
      max_segments: segments to keep per class.
    """
    firsts = np.cumsum([0] + [len(ranking.ids) for ranking in rankings])
    if firsts[-1] > MAX_STREAM:
        raise ValueError("more than %d segments" % MAX_STREAM)
    rows = [np.split(ranking.keys + np.uint64(first), ranking.ends[:-1]) for ranking, first in zip(rankings, firsts)]
    rows = [np.concatenate(of_class) for of_class in zip(*rows)]
    for row in rows:
        if len(row) > max_segments:
            row.partition(max_segments - 1)
    rows = [row[:max_segments] for row in rows]
    return Ranking(np.concatenate([ranking.ids for ranking in rankings]), np.cumsum(list(map(len, rows))),
                   np.concatenate(rows))


def row(ranking, column):
    """The segment ids of a class of a `Ranking`, best first."""
    keys = ranking.keys[ranking.ends[column - 1] if column else 0:ranking.ends[column]]
    return ranking.ids[np.sort(keys) & _NUMBER]


def top_columns(scores, top_k):
    """int [n, min(top_k, classes)]: each row's best columns, best first, ties to the lower column.

    Args:
      scores: float32 [n, classes], nonnegative.
      top_k: 1 or more.

    Raises:
      InputError: a score is negative or not a number.
    """
    _check_probabilities(scores)
    top_k = min(top_k, scores.shape[1])
    columns = np.nonzero(_best_classes(scores, top_k))[1].reshape(-1, top_k)
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def _check_probabilities(scores):
    if scores.size and not scores.min() >= 0:  # the minimum is NaN if any score is
        raise InputError("The model predicts %s, which is not a probability: its training diverged; predict "
                         "with an earlier checkpoint." % scores.min())


def _best_classes(scores, top_k):
    """bool [segments, classes], `top_k` true per row: the best classes, ties to the lower class."""
    position = scores.shape[1] - top_k
    worst = np.partition(scores, position, axis=1)[:, position, np.newaxis]
    best = scores >= worst
    crowded = np.flatnonzero(np.count_nonzero(best, axis=1) > top_k)
    if crowded.size:
        above, tied = scores[crowded] > worst[crowded], scores[crowded] == worst[crowded]
        left = top_k - np.count_nonzero(above, axis=1)
        best[crowded] = above | (tied & (np.cumsum(tied, axis=1) <= left[:, np.newaxis]))
    return best


def _keys(scores, numbers):
    """uint64 keys of float32 scores [n] and the uint64 numbers [n] of their segments."""
    scores += 0  # turns -0 into 0: its sign bit would rank it first
    keys = (~scores.view(np.uint32)).astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= numbers
    return keys


def _key_score(key):
    return (~np.uint32(key >> np.uint64(32))).view(np.float32)
