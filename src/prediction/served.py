"""Predictions of a served SavedModel: JSON lines whose keys are the outputs of its signature."""
import math

from src.common import files
from src.common import text
from src.common.errors import InputError
from src.data import segment_ids

_LINE_BYTES = 1 << 24  # Vertex AI repeats the record, in base 64, beside its prediction


def predictions(paths):
    """Yields (video id as bytes, its classes, their scores) of each line of files, in the line's order.

    A line is {"video_id": .., "class_indexes": [..], "predictions": [..]}. Each value may be in a list of one. The
    object may be the `prediction` of a larger one, as Vertex AI writes it. Memory: the ids.

    Raises:
      InputError: a line is not a prediction, or repeats a video. The error names the line.
    """
    seen = set()
    for path in paths:
        for number, line in text.lines(path, line_bytes=_LINE_BYTES):
            try:
                video, classes, scores = _prediction(files.parse_json(line))
            except (AttributeError, KeyError, TypeError, ValueError):
                raise InputError("%s, line %d: %s is not a prediction with video_id, class_indexes and predictions: "
                                 "give only the results of a batch prediction." % (path, number, text.quoted(line)))
            if video in seen:
                raise InputError("%s, line %d: the video %s was in an earlier line: give each result once."
                                 % (path, number, text.quoted(video)))
            seen.add(video)
            yield video, classes, scores


def _prediction(found):
    found = found.get("prediction", found)
    video, classes, scores = (found[name] for name in ("video_id", "class_indexes", "predictions"))
    if isinstance(video, list):
        (video,), (classes,), (scores,) = video, classes, scores
    if not segment_ids.VIDEO.fullmatch(video.encode()) or not classes or len(classes) != len(scores):
        raise ValueError
    if not all(type(label) is int and 0 <= label < 1 << 31 for label in classes):
        raise ValueError
    if not all(math.isfinite(score) and score >= 0 for score in scores):
        raise ValueError
    return video.encode(), classes, scores
