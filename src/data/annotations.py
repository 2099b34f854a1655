"""Labels of own videos, and ratings of their segments, in text files."""
import re
import typing

import numpy as np

from src.common import text
from src.common.errors import InputError
from src.data import segment_ids
from src.data import segments
from src.data import vocabulary
from src.data import writing


class Annotations(typing.NamedTuple):
    """The rows of a file of labels or ratings."""
    path: str  # "" without a file
    rows: dict  # what `read_labels` or `read_ratings` returns


_SEGMENT = re.compile(rb"(%b):([0-9]{1,7})" % segment_ids.VIDEO.pattern)
_SCORE = re.compile(rb"([01])(?:\.0*)?")


def read_labels(path, num_classes, classes):
    """The labels of videos, in lines such as `id,label;label`; the header `id,labels` is optional.

    Args:
      path: local or gs://.
      num_classes: labels run from 0 to num_classes - 1.
      classes: {name: list of the classes of that name}, as labels may be names, too; {} without names.

    Returns:
      {video id (bytes): (number of its line, ascending int64 labels)}.

    Raises:
      InputError: a line is malformed, names no class, or repeats a video; names the line.
    """
    found = {}
    for number, line in text.lines(path, header=b"id,labels"):
        video, comma, labels = line.partition(b",")
        video = segment_ids.composed(video.strip())
        if not comma or not segment_ids.VIDEO.fullmatch(video):
            raise InputError("%s, line %d: %s is not id,label;label, the id without colon and blank: correct it."
                             % (path, number, text.quoted(line)))
        if video in found:
            raise InputError("%s, line %d: the video %s already has line %d: remove one of the two."
                             % (path, number, text.quoted(video), found[video][0]))
        labels = [_class_of(word, num_classes, classes, path, number) for word in labels.split(b";") if word.strip()]
        found[video] = number, np.unique(np.array(labels, np.int64))
    return found


def read_ratings(path, num_classes, classes):
    """The ratings of segments, in lines such as `video:35,label,1`; a header `segment_id,label,score` is optional.

    Args: as `read_labels`.

    Returns:
      {video id (bytes): (number of its first line, writing.VideoRatings)}; of a segment and class
      rated twice, the last.

    Raises:
      InputError: a line is malformed, names no class, or a second at which no segment starts; names the line.
    """
    found, lines = {}, {}
    for number, line in text.lines(path, header=b"segment_id,label,score"):
        segment, _, rest = line.partition(b",")
        label, _, score = rest.rpartition(b",")
        segment, score = _SEGMENT.fullmatch(segment.strip()), _SCORE.fullmatch(score.strip())
        if not segment or not score or not label.strip():
            raise InputError("%s, line %d: %s is not segment_id,label,score such as abcd:35,7,1: correct it."
                             % (path, number, text.quoted(line)))
        video, start = segment_ids.composed(segment.group(1)), int(segment.group(2))
        if start % segments.SEGMENT_FRAMES:
            raise InputError("%s, line %d: no segment starts at second %d, only one every %d seconds: correct it."
                             % (path, number, start, segments.SEGMENT_FRAMES))
        lines.setdefault(video, number)
        found.setdefault(video, {})[start, _class_of(label, num_classes, classes, path, number)] = int(score.group(1))
    return {video: (lines[video], _ratings(scores)) for video, scores in found.items()}


def _class_of(word, num_classes, classes, path, number):
    """The class that a word means, by its number or its name."""
    label = text.whole_number(word)
    if label is None:
        called = classes.get(vocabulary.normalized(word.decode("utf-8", "replace")), [])
        if len(called) != 1:
            raise InputError("%s, line %d: %s is the name of %s in --vocabulary_file: give the class's number." % (
                path, number, text.quoted(word.strip()), "the classes %s" % ", ".join(map(str, called)) if called else
                "no class"))
        label, = called
    if label >= num_classes:
        raise InputError("%s, line %d: the label %d is outside 0..%d: check --num_classes."
                         % (path, number, label, num_classes - 1))
    return label


def _ratings(scores):
    """VideoRatings of a dict {(start, label): score}, in order."""
    pairs = np.array(sorted(scores), np.int64).reshape(-1, 2)
    return writing.VideoRatings(pairs[:, 0], pairs[:, 1],
                                np.array([scores[tuple(pair)] for pair in pairs.tolist()], "f4"))


def of_part(ratings, start, length):
    """The ratings of `length` seconds of a video from `start` on, as ratings of a separate video."""
    chosen = (ratings.starts >= start) & (ratings.starts < start + length)
    return writing.VideoRatings(ratings.starts[chosen] - start, ratings.labels[chosen], ratings.scores[chosen])
