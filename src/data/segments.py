"""Cutting videos into 5-second segments, rolled along time for test-time augmentation."""
import typing

from absl import flags
import tensorflow as tf

from src.common import files
from src.common import text
from src.common.errors import InputError
from src.data import forms

LABEL_IDS = "segment_label_ids.csv"  # the project's own, of YouTube-8M
SEGMENT_FRAMES = 5  # one frame a second


class Skipped(typing.NamedTuple):
    """Segments that are left out of each video."""
    first: int = 0  # at its beginning
    last: int = 0  # at its end


class View(typing.NamedTuple):
    """What a model sees of a segment: by default its own frames."""
    margin: int = 0  # frames before and after them
    # Function from frame counts of videos, int32 [n], and a seed or None, to the frames of a segment's video that it
    # sees beside these, int32 [n, frames]; None: it sees no others.
    context: typing.Callable = None

    @property
    def num_frames(self):
        """Number of frames of a segment with its margins."""
        return SEGMENT_FRAMES + 2 * self.margin


def positions(starts, view):
    """int32 [segments, frames] of a View, also beyond the video; `starts` [segments] are the segments' own."""
    return starts[:, tf.newaxis] + tf.range(-view.margin, SEGMENT_FRAMES + view.margin)


def define_flags():
    """Flags that say which segments are left out."""
    flags.DEFINE_integer("skip_first_segments", 0, "With --segment_labels: leave out this many segments at the "
                         "beginning of each video.", lower_bound=0)
    flags.DEFINE_integer("skip_last_segments", 0, "With --segment_labels: leave out this many segments at the end of "
                         "each video.", lower_bound=0)


def skipped(args):
    """The Skipped of the flags.

    Raises:
      InputError: whole videos are predicted, or no segment of any video is left.
    """
    found = Skipped(args.skip_first_segments, args.skip_last_segments)
    if sum(found) and not args.segment_labels:
        raise InputError("--skip_first_segments and --skip_last_segments need --segment_labels: whole videos have no "
                         "segments to leave out.")
    if sum(found) * SEGMENT_FRAMES >= args.max_frames:
        raise InputError("--skip_first_segments=%d and --skip_last_segments=%d leave no segment of a video of "
                         "--max_frames=%d, which has %d: lower them." % (
                             found + (args.max_frames, -(-args.max_frames // SEGMENT_FRAMES))))
    return found


def cut(videos, shift, skip=Skipped(), view=View()):
    """Rolls a batch of padded videos along time, then cuts them into segments.

    Rolling by `shift` moves frame i to i + shift with wrap-around over the padded length; num_frames does not change.
    Segments start at 0, 5, .. below num_frames. Those of `skip` are left out, counted in the rolled video. What a model
    sees of a segment is seen in the rolled video, too.

    Args:
      videos: dict of `id` [batch] string, `frames` uint8 [batch, max_frames, features],
        `num_frames` int32 [batch] and `bytes` float32 [batch].
      shift: int32 scalar, in frames; may be negative.
      skip: Skipped. A video of no more segments than that has none.
      view: View.

    Returns:
      dict of `id` [segments] `VIDEOID:START`, `frames` uint8 [segments, 5 and margins, features],
      `frame_valid` bool [segments, 5 and margins] (False where the source lies beyond the video),
      `num_frames` int32 [segments] = min(5, num_frames - START) and `bytes`, unchanged. If the View has a context,
      also `context` uint8 [batch, frames, features], `context_valid` bool [batch, frames], and `video`
      int32 [segments], the row of each segment's video.
    """
    frames, num_frames = videos["frames"], videos["num_frames"]
    max_frames = tf.shape(frames)[1]
    starts = tf.range(0, max_frames, SEGMENT_FRAMES)
    num_segments = -(-num_frames // SEGMENT_FRAMES)
    numbers = tf.range(tf.size(starts))[tf.newaxis, :]
    chosen = tf.cast(tf.where((numbers >= skip.first) & (numbers < num_segments[:, tf.newaxis] - skip.last)), tf.int32)
    video, start = chosen[:, 0], tf.gather(starts, chosen[:, 1])
    flat = tf.reshape(frames, [-1, frames.shape[-1]])

    def at(rows, position):
        """Frames of the rolled videos `rows` [n] at [n, frames], and whether they are within a video."""
        source = tf.math.floormod(position - shift, max_frames)
        valid = (position >= 0) & (position < max_frames) & (source < tf.gather(num_frames, rows)[:, tf.newaxis])
        return tf.gather(flat, rows[:, tf.newaxis] * max_frames + source), valid

    found = {"id": tf.strings.join([tf.gather(videos["id"], video), ":", tf.as_string(start)]),
             "num_frames": tf.minimum(SEGMENT_FRAMES, tf.gather(num_frames, video) - start), "bytes": videos["bytes"]}
    found["frames"], found["frame_valid"] = at(video, positions(start, view))
    if view.context:
        found["context"], found["context_valid"] = at(tf.range(tf.size(num_frames)), view.context(num_frames))
        found["video"] = video
    return found


def rated_classes(path, num_classes):
    """The classes to rank, sorted: those of a file; without one, YouTube-8M's, or all of another set of classes.

    Args:
      path: of the file, or "".
      num_classes: of the model.

    Raises:
      InputError: as `read_label_ids`, or the file lists a class that the model lacks.
    """
    if not path and num_classes != forms.NUM_CLASSES:
        return list(range(num_classes))
    classes = read_label_ids(path or LABEL_IDS)
    if classes[-1] >= num_classes:
        raise InputError("--segment_label_ids_file lists class %d, but the model knows 0..%d only."
                         % (classes[-1], num_classes - 1))
    return classes


def read_label_ids(path):
    """The classes rated at segment level: sorted ints of a file with one class per line; a header `Index` is optional.

    Raises:
      InputError: the file is missing, empty or malformed; names the line.
    """
    path = files.beside_project(path)
    classes = []
    for number, line in text.lines(path, header=b"Index"):
        classes.append(text.whole_number(line))
        if classes[-1] is None:
            raise InputError("%s, line %d: %s is no class: give one whole number per line."
                             % (path, number, text.quoted(line)))
    if not classes or len(set(classes)) < len(classes):
        raise InputError("%s must list at least one class, each once." % path)
    return sorted(classes)
