"""What a record holds, and what makes it unusable, as one sentence.

The graph (data/parsing.py) finds out that a record is unusable as it reads millions of them; what is wrong with that
one is said here.
"""
import collections
import re

from google.protobuf.message import DecodeError
import tensorflow as tf

from src.common import text
from src.data import segment_ids

NUM_CLASSES = 3862
MAX_FRAMES = 300  # of a video of YouTube-8M
RATINGS = ("segment_start_times", "segment_labels", "segment_scores")

_KINDS = {"id": "bytes_list", "labels": "int64_list", "segment_start_times": "int64_list",
          "segment_labels": "int64_list", "segment_scores": "float_list"}

# frame_level: a SequenceExample with lists of frames, else an Example; features: list of (name, size), bytes of a frame
# or floats of a video; num_classes: labels run from 0 to num_classes - 1; max_frames: ratings start below.
Form = collections.namedtuple("Form", "frame_level features num_classes max_frames")

# context: {name: Feature}; frames: {name: number of frames}; wrong_frames: {name: (index, bytes)} of the first frame
# that has not the size it should have.
Content = collections.namedtuple("Content", "context frames wrong_frames")


def description(form):
    """The features of a Form, for a sentence."""
    if form.frame_level:
        return "frame-level SequenceExample with %s" % ", ".join(["id"] + [name for name, _ in form.features])
    return "video-level Example with id and %s" % ", ".join("%s (%d floats)" % pair for pair in form.features)


def not_of_form(form, holding=""):
    """End of the sentence about a record that lacks what a Form asks for."""
    flags = "--feature_names and --frame_features" if form.frame_level else (
        "--feature_names, --feature_sizes and --frame_features")
    return "is not a %s%s: check %s." % (description(form), holding and " (%s)" % holding, flags)


def content(serialized, form):
    """The Content of a serialized record.

    Raises:
      DecodeError: it is no protocol buffer.
    """
    parsed = tf.train.SequenceExample.FromString(serialized)  # an Example is one without lists
    frames, wrong_frames = {}, {}
    for name, of_list in parsed.feature_lists.feature_list.items():
        sizes = [len(frame.bytes_list.value[0]) if frame.bytes_list.value else 0 for frame in of_list.feature]
        frames[name] = len(sizes)
        wrong = [(index, size) for index, size in enumerate(sizes) if size != dict(form.features).get(name, size)]
        if wrong:
            wrong_frames[name] = wrong[0]
    return Content(parsed.context.feature, frames, wrong_frames)


def values(context, name):
    """The values of a feature of the context, none if it is not there."""
    return getattr(context[name], _KINDS[name]).value if name in context else ()


def fault_of(serialized, form):
    """Why a serialized record is unusable, as the end of a sentence that begins with the record; None if it is not."""
    try:
        return fault(content(serialized, form), form)
    except DecodeError:
        return not_of_form(form, "it is no protocol buffer")


def fault(found, form):
    """As `fault_of`, of a Content."""
    return (_fault_of_features(found, form) or _fault_of_id(found) or _fault_of_frames(found, form)
            or _fault_of_labels(values(found.context, "labels"), form) or _fault_of_ratings(found.context, form))


def _fault_of_features(found, form):
    for name, kind in _KINDS.items():
        if name in found.context and found.context[name].WhichOneof("kind") not in (kind, None):
            return "holds %s as %s and not as %s: replace the shard." % (
                name, found.context[name].WhichOneof("kind"), kind)
    if form.frame_level:
        there = [name in found.frames for name, _ in form.features]
    else:
        there = [name in found.context and len(found.context[name].float_list.value) == size
                 for name, size in form.features]
    return None if all(there) else not_of_form(form, _holding(found))


def _fault_of_id(found):
    ids = values(found.context, "id")
    if not ids:
        return "lacks id (%s): replace the shard or remove the record." % _holding(found)
    if len(ids) > 1:
        return "holds %d values of id: replace the shard or remove the record." % len(ids)
    if not segment_ids.VIDEO.fullmatch(ids[0]):
        return ("has the id %s, which is not 1 to %d bytes without comma, colon, blank and control characters: replace "
                "the shard or remove the record." % (text.quoted(ids[0]), segment_ids.MAX_VIDEO_BYTES))
    return None


def _holding(found):
    """What a record holds, in words."""
    names = ["%s (%d floats)" % (_printable(name), len(feature.float_list.value)) if feature.float_list.value
             else _printable(name) for name, feature in found.context.items()]
    names += ["%s (%d frames)" % (_printable(name), count) for name, count in found.frames.items()]
    return "it holds " + (", ".join(sorted(names)) or "no feature")


def _printable(name):
    return name if re.fullmatch(r"\w{1,40}", name) else text.quoted(name.encode("utf-8"))


def _fault_of_frames(found, form):
    names = [name for name, _ in form.features] if form.features else list(found.frames)
    if not (form.frame_level and any(name in found.frames for name in names)):
        return None
    counts = {found.frames[name] for name in names}
    if len(counts) > 1:
        return "holds different numbers of frames of %s: replace the shard." % ", ".join(names)
    if counts == {0}:
        return "holds no frames: remove the record."
    for name, size in form.features:
        if name in found.wrong_frames:
            return "holds %s frames that are not %d bytes long (frame %d has %d): check --feature_sizes." % (
                (name, size) + found.wrong_frames[name])
    return None


def _fault_of_labels(labels, form):
    if all(0 <= label < form.num_classes for label in labels):
        return None
    return "has a label outside 0..%d: replace the shard or remove the record." % (form.num_classes - 1)


def _fault_of_ratings(context, form):
    starts, labels, scores = (values(context, name) for name in RATINGS)
    if not len(starts) == len(labels) == len(scores):
        return "has segment_start_times, segment_labels and segment_scores that do not match: replace the shard."
    for start in starts:
        if not 0 <= start < form.max_frames:
            remedy = "" if form.max_frames >= MAX_FRAMES else ", or raise --max_frames"
            return ("has a rating that starts at second %d, outside 0..%d: replace the shard or remove the record%s."
                    % (start, form.max_frames - 1, remedy))
    for score in scores:
        if score not in (0, 1):
            return "has a rating with the score %g, not 0 or 1: replace the shard or remove the record." % score
    return _fault_of_labels(labels, form)
