"""Classes of each video or segment as CSV: `VideoId,LabelConfidencePairs`, best first."""
import contextlib

import numpy as np

from src.common import atomic
from src.common import text
from src.common.errors import InputError
from src.data import forms
from src.data import segment_ids
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
      videos: set of ids, bytes; of the lines of other videos only the id is looked at.

    Raises:
      InputError: the file is missing or malformed.
    """
    for number, line in text.lines(path, line_bytes=_LINE_BYTES):
        if number == 1 and line.startswith(HEADER):
            continue
        name, _, pairs = line.partition(b",")
        try:
            if not segment_ids.FORM.fullmatch(name):
                raise ValueError
            video, _, start = name.rpartition(b":")
            if video in videos:
                labels, scores = np.array(pairs.partition(b",")[0].split(b" ")).reshape(-1, 2).T
                labels, scores = labels.astype(int), scores.astype(float)
                if not (np.all((labels >= 0) & (labels < forms.MAX_CLASSES)) and np.all((scores >= 0) & (scores <= 1))):
                    raise ValueError
                yield video, int(start), labels, scores
        except (ValueError, OverflowError):
            raise InputError("%s, line %d: %s is not VIDEO:START,label score label score, with scores from 0 to 1: "
                             "give what inference.py --segment_labels --output_prob writes."
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
