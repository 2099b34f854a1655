"""What makes a record unusable, in words.

The graph (data/parsing.py) only detects unusable records, as it reads millions of records. This module says what is
wrong with one of them.
"""
import re

from google.protobuf.message import DecodeError

from src.common import text
from src.data import contents
from src.data import forms
from src.data import segment_ids


def fault_of(serialized, form):
    """Why a serialized record is unusable, as the end of a sentence that begins with the record; None if usable."""
    try:
        return fault(contents.read(serialized, form), form)
    except DecodeError:
        return forms.mismatch(form, "it is no protocol buffer")


def fault(found, form):
    """As `fault_of`, of a `contents.Content`."""
    return (_fault_of_features(found, form) or _fault_of_id(found) or _fault_of_frames(found, form)
            or _fault_of_labels(contents.values(found.context, "labels"), form)
            or _fault_of_ratings(found.context, form))


def _fault_of_features(found, form):
    for name, feature in found.context.items():
        kind = contents.KINDS.get(name)
        if kind and feature.kind not in (kind, None):
            return "holds %s as %s and not as %s: replace the shard." % (name, feature.kind, kind)
    if form.frame_level:
        there = [name in found.frames for name, _ in form.features]
    else:
        there = [len(_floats(found.context.get(name))) == size for name, size in form.features]
    return None if all(there) else forms.mismatch(form, _holding(found))


def _fault_of_id(found):
    ids = contents.values(found.context, "id")
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
    names = ["%s (%d floats)" % (_printable(name), len(_floats(feature))) if _floats(feature) else _printable(name)
             for name, feature in found.context.items()]
    names += ["%s (%d frames)" % (_printable(name), count) for name, count in found.frames.items()]
    return "it holds " + (", ".join(sorted(names)) or "no feature")


def _floats(feature):
    """The floats of a `contents.Feature` or None; () if there are none."""
    return feature.values if feature and feature.kind == "float_list" else ()


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
    starts, labels, scores = (contents.values(context, name) for name in forms.RATINGS)
    if not len(starts) == len(labels) == len(scores):
        return "has segment_start_times, segment_labels and segment_scores that do not match: replace the shard."
    for start in starts:
        if not 0 <= start < form.max_frames:
            remedy = "" if form.max_frames >= forms.MAX_FRAMES else ", or raise --max_frames"
            return ("has a rating that starts at second %d, outside 0..%d: replace the shard or remove the record%s."
                    % (start, form.max_frames - 1, remedy))
    for score in scores:
        if score not in (0, 1):
            return "has a rating with the score %g, not 0 or 1: replace the shard or remove the record." % score
    if form.labelled and starts and not contents.values(context, "labels"):
        return ("has ratings but no labels of its video, which --negative_weight needs: fetch the shard of "
                "3/frame/validate again, or leave out --negative_weight.")
    return _fault_of_labels(labels, form)
