"""The form of records: which features they hold, and which classes there are."""
import typing

from absl import flags

NUM_CLASSES = 3862  # of YouTube-8M
MAX_CLASSES = 1 << 16
MAX_FRAMES = 300  # of a video of YouTube-8M
FRAME_BYTES = 1152  # of its frames: rgb and audio
RATINGS = ("segment_start_times", "segment_labels", "segment_scores")


class Form(typing.NamedTuple):
    """What records are expected to hold."""
    frame_level: bool  # SequenceExamples with lists of frames, else Examples
    features: list  # of (name, size): bytes per frame, or floats per video
    num_classes: int  # labels run from 0 to num_classes - 1
    max_frames: int  # ratings start below
    labelled: bool = False  # records with ratings have labels, too


def define_flags():
    """The flag that says how many classes there are."""
    flags.DEFINE_integer("num_classes", NUM_CLASSES, "Number of classes: labels run from 0 to num_classes - 1.",
                         lower_bound=1, upper_bound=MAX_CLASSES)


def usual_bytes(form):
    """Bytes in the features of a record: of a long video, if frame-level; of YouTube-8M's, if the Form names none."""
    size = sum(size for _, size in form.features) or FRAME_BYTES
    return size * max(form.max_frames, MAX_FRAMES) if form.frame_level else 4 * size


def described(form):
    """The features of a Form, in words."""
    if form.frame_level:
        return "frame-level SequenceExample with %s" % ", ".join(["id"] + [name for name, _ in form.features])
    return "video-level Example with id and %s" % ", ".join("%s (%d floats)" % pair for pair in form.features)


def mismatch(form, holding=""):
    """End of the sentence about a record that lacks a Form's features.

    Args:
      holding: what the record holds, in words, if known.
    """
    remedy = "--feature_names and --frame_features" if form.frame_level else (
        "--feature_names, --feature_sizes and --frame_features")
    return "is not a %s%s: check %s." % (described(form), holding and " (%s)" % holding, remedy)
