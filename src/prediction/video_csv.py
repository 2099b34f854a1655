"""Classes of each video or segment as CSV: `VideoId,LabelConfidencePairs`, best first."""
import contextlib

import numpy as np

from src.common import atomic
from src.common import text
from src.common.errors import InputError
from src.data import vocabulary

HEADER, NAMES = b"VideoId,LabelConfidencePairs", b",Names"
_LINE_BYTES = 1 << 20  # a line of all classes with their scores has up to 70,000


def lines(ids, labels, scores, names=None):
    """The lines `id,label score label score` of n videos or segments, as bytes; with names also `,"name;name"`.

    Args:
      ids: bytes array [n].
      labels: int [n, k], best first.
      scores: float [n, k], written with six digits.
      names: {label: name}; None: no names.
    """
    pairs = np.stack([labels, scores], axis=2).reshape(len(ids), 2 * labels.shape[1])
    line = b"%b," + b" ".join([b"%i %g"] * labels.shape[1]) + (b"\n" if names is None else b',"%b"\n')
    if names is None:
        return b"".join(line % (name, *values) for name, values in zip(ids.tolist(), pairs.tolist()))
    name_of = {label: vocabulary.name_of(names, label).replace('"', '""') for label in np.unique(labels).tolist()}
    return b"".join(line % (name, *values, ";".join(map(name_of.get, row)).encode())
                    for name, values, row in zip(ids.tolist(), pairs.tolist(), labels.tolist()))


@contextlib.contextmanager
def writing(path, named=False):
    """Context of a binary stream for `lines`; an old file at `path` is replaced only if the block succeeds.

    Args:
      path: local or gs://.
      named: whether the lines have names.

    Raises:
      InputError: the file cannot be written.
    """
    with atomic.replacing(path, "wb") as stream:
        stream.write(HEADER + NAMES * named + b"\n")
        yield stream


def iterate(path, videos):
    """Yields (video, start in seconds, labels int [k], scores float [k]) per segment, in the file's order.

    Args:
      path: CSV that inference.py --segment_labels --output_prob wrote.
      videos: set of ids, bytes; lines of other videos are skipped.

    Raises:
      InputError: the file is missing or malformed.
    """
    for number, line in text.lines(path, line_bytes=_LINE_BYTES):
        name, _, pairs = line.partition(b",")
        video, _, start = name.rpartition(b":")
        if video in videos:
            try:
                labels, scores = np.array(pairs.partition(b",")[0].split(b" ")).reshape(-1, 2).T
                yield video, int(start), labels.astype(int), scores.astype(float)
            except (ValueError, OverflowError):
                raise InputError("%s, line %d: %s is not VIDEO:START,label score label score: write the file again."
                                 % (path, number, text.quoted(line)))


def read_video(path, video):
    """The scores of one video's segments.

    Args:
      path: as `iterate`.
      video: its id, bytes.

    Returns:
      Starts [n], ascending seconds; labels [k], ascending; float scores [n, k], 0 where a segment's
      line lacks the class.

    Raises:
      InputError: the file is missing or malformed, or lacks the video.
    """
    found = {start: dict(zip(labels.tolist(), scores)) for _, start, labels, scores in iterate(path, {video})}
    if not found:
        raise InputError("%s has no segment of the video %s: choose one that it has." % (path, video.decode()))
    labels, starts = sorted(set().union(*found.values())), sorted(found)
    return np.array(starts), np.array(labels), np.array([[found[start].get(label, 0.0) for label in labels]
                                                         for start in starts])
