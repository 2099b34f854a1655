"""What a record holds, and what makes it unusable, as one sentence.

The graph (data/parsing.py) finds out that a record is unusable as it reads millions of them; what is wrong with that
one is said here.
"""
import collections
import functools
import re

from absl import flags
from google.protobuf.message import DecodeError
import numpy as np
import tensorflow as tf

from src.common import text
from src.data import segment_ids

NUM_CLASSES = 3862  # of YouTube-8M
MAX_CLASSES = 1 << 16
MAX_FRAMES = 300  # of a video of YouTube-8M
RATINGS = ("segment_start_times", "segment_labels", "segment_scores")

_KINDS = {"id": "bytes_list", "labels": "int64_list", "segment_start_times": "int64_list",
          "segment_labels": "int64_list", "segment_scores": "float_list"}

_PARSED = tf.train.SequenceExample  # looked up here, as each time takes TensorFlow 20 microseconds
_FIRST, _SECOND = 0x0A, 0x12  # tags of a message's first and second field, that have a length

# frame_level: a SequenceExample with lists of frames, else an Example; features: list of (name, size), bytes of a frame
# or floats of a video; num_classes: labels run from 0 to num_classes - 1; max_frames: ratings start below.
Form = collections.namedtuple("Form", "frame_level features num_classes max_frames")

# context: {name: Feature}; frames: {name: number of frames}; wrong_frames: {name: (index, bytes)} of the first frame
# that has not the size it should have.
Content = collections.namedtuple("Content", "context frames wrong_frames")


def define_flags():
    """The flag that says which labels there are."""
    flags.DEFINE_integer("num_classes", NUM_CLASSES, "Classes that there are: labels run from 0 to num_classes - 1.",
                         lower_bound=1, upper_bound=MAX_CLASSES)


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
    parsed = _PARSED.FromString(serialized)  # an Example is one without lists
    frames, wrong_frames = {}, {}
    for name, of_list in parsed.feature_lists.feature_list.items():
        size = dict(form.features).get(name)
        wrong = [(index, sum(map(len, frame.bytes_list.value))) for index, frame in enumerate(of_list.feature)
                 if size is not None and list(map(len, frame.bytes_list.value)) != [size]]
        frames[name] = len(of_list.feature)
        if wrong:
            wrong_frames[name] = wrong[0]
    return Content(parsed.context.feature, frames, wrong_frames)


def quick_content(serialized, form):
    """As `content`, in a tenth of the time for a record laid out as usual, whose frames have the right size.

    protobuf makes an object of each of a record's 600 frames. Here only the context is parsed; that the bytes of a list
    are frames of the one size shows in what stands before each of them.
    """
    try:
        fields = list(_fields(serialized, 0, len(serialized)))
        if [tag for tag, _, _ in fields] not in ([_FIRST], [_FIRST, _SECOND]):
            return content(serialized, form)
        frames, sizes = {}, dict(form.features)
        for tag, begin, end in _fields(serialized, *fields[1][1:]) if len(fields) > 1 else ():
            (key_tag, *key), (value_tag, *value) = _fields(serialized, begin, end)
            name = serialized[slice(*key)].decode("ascii")
            count = _count_frames(serialized, *value, sizes[name])
            if (tag, key_tag, value_tag) != (_FIRST, _FIRST, _SECOND) or count is None or name in frames:
                return content(serialized, form)
            frames[name] = count
    except (IndexError, KeyError, ValueError):
        return content(serialized, form)
    return Content(_PARSED.FromString(serialized[:fields[0][2]]).context.feature, frames, {})


def _fields(message, begin, end):
    """Yields (tag, begin, end) of the fields of a message that all have a length."""
    while begin < end:
        tag, length, shift, position = message[begin], 0, 0, begin + 1
        while message[position] > 127:
            length |= (message[position] & 127) << shift
            shift, position = shift + 7, position + 1
        length |= message[position] << shift
        begin = position + 1 + length
        if begin > end:
            raise ValueError("a field is longer than its message")
        yield tag, position + 1, begin


def _count_frames(message, begin, end, size):
    """Number of frames of a size in a list of frames; None if it is no such list."""
    before = _before_frame(size)
    count, rest = divmod(end - begin, len(before) + size)
    found = np.ndarray(count, "V%d" % len(before), message, begin, len(before) + size)
    return count if not rest and found.tobytes() == before * count else None


@functools.lru_cache(maxsize=None)
def _before_frame(size):
    """What stands before a frame's bytes in a list of frames."""
    frame = tf.train.Feature(bytes_list=tf.train.BytesList(value=[bytes(size)]))
    return tf.train.FeatureList(feature=[frame]).SerializeToString()[:-size]


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
    if not labels or 0 <= min(labels) and max(labels) < form.num_classes:
        return None
    return ("has a label outside 0..%d: check --num_classes, replace the shard or remove the record."
            % (form.num_classes - 1))


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
