"""Input pipeline: TFRecord shards -> batches."""
import contextlib

from absl import flags
import numpy as np
import tensorflow as tf

from src.common.errors import InputError
from src.data import damage
from src.data import forms
from src.data import parsing
from src.data import passes
from src.data import segments
from src.data import tfrecord

GROUP_SHARDS = 4
SHUFFLE_BATCHES = 10  # held by a shuffle buffer, which fills before the first batch leaves
SHUFFLE_BYTES = 512 << 20  # held by a shuffle buffer, at most


class NoRatings(InputError):
    """Shards hold no segment ratings."""


def define_flags():
    """Flags of reading."""
    flags.DEFINE_integer("num_readers", 8, "Shards read in parallel; in inference, shards checked ahead.",
                         lower_bound=1)


def training_batches(reader, paths, batch_size, frame_indices, num_epochs, num_readers, seed=None,
                     view=segments.View()):
    """Shuffled batches of `num_epochs` passes over the shards (None: endless); see the reader's `examples`.

    If the View has a context, videos are shuffled instead of segments, so that a batch needs fewer contexts. A video
    that occurs twice is read twice: to compare the ids of a whole training partition would take memory, and an extra
    example harms no training. With a seed, an int, the batches are the same each time; they depend on `num_readers`,
    too.
    """
    reading = passes.Pass(paths, reader.form, passes.TRAINING, seed=seed)
    records = _records(reading, num_readers, shuffle=True)
    if view.context:
        records = records.shuffle(_shuffle_size(forms.usual_bytes(reader.form), batch_size), seed)
    examples = reading.to_its_end(reader.examples(reading, records, frame_indices, view)).repeat(num_epochs)
    if not view.context:
        examples = examples.shuffle(_shuffle_size(_example_bytes(examples), batch_size), seed)
    return reader.batches(examples, batch_size).prefetch(2)


def _example_bytes(examples):
    """Bytes in the features of an example."""
    shapes, types = tf.compat.v1.data.get_output_shapes(examples), tf.compat.v1.data.get_output_types(examples)
    name = "frames" if "frames" in shapes else "features"
    return shapes[name].num_elements() * types[name].size


def _shuffle_size(element_bytes, batch_size):
    """Number of elements in a shuffle buffer."""
    return max(1, min(SHUFFLE_BATCHES * batch_size, SHUFFLE_BYTES // element_bytes))


def check_examples(reader, paths, num_readers):
    """Checks that a pass over the shards yields an example; reads up to the first example with a label.

    Raises:
      InputError: there is no example, or no video has a label.
    """
    with tf.Graph().as_default(), tf.device("/cpu:0"), damage.explained(paths, reader.form):
        reading = passes.Pass(paths, reader.form, passes.TRAINING)
        examples = reading.to_its_end(reader.examples(reading, _records(reading, num_readers)))
        has_label = examples.map(tfrecord.plain(lambda example: tf.reduce_any(example["labels"].values > 0)))
        if not _any(has_label.filter(tfrecord.plain(lambda found: found))) and not _any(has_label):
            raise InputError("The %d training shards such as %s hold no example: check the patterns, and with "
                             "--segment_labels that they are of 3/frame/validate." % (len(paths), paths[0]))


def _any(dataset):
    """Whether a dataset has an element."""
    element = tf.compat.v1.data.make_one_shot_iterator(dataset.take(1)).get_next()
    with tf.compat.v1.Session() as session, contextlib.suppress(tf.errors.OutOfRangeError):
        session.run(element)
        return True
    return False


def evaluation_batches(reader, paths, batch_size, frame_indices, num_readers, purpose=None, view=segments.View()):
    """One pass over the shards in a fixed order, each video once; see the reader's `examples` and `passes.Pass`."""
    reading = passes.Pass(paths, reader.form, purpose)
    records = reading.first_of_each_video(_records(reading, num_readers))
    examples = reading.to_its_end(reader.examples(reading, records, frame_indices, view))
    return reader.batches(examples, batch_size).prefetch(2)


def _records(reading, num_readers, shuffle=False):
    return tfrecord.records(tfrecord.checked_ahead(reading.shards(shuffle), num_readers), num_readers)


def video_batches(reader, reading, batch_size, frame_indices, num_readers):
    """Batches of whole videos for predictions, cut by `_in_groups`; see the reader's `examples`.

    Args:
      reader: see `data.readers`.
      reading: a `passes.Pass`.
      batch_size: videos per batch.
      frame_indices: see `examples`.
      num_readers: shards looked at ahead.
    """
    return _in_groups(reading, num_readers, lambda records: reader.batches(
        reader.examples(reading, records, frame_indices), batch_size))


def segment_batches(reader, reading, shifts, batch_size, num_readers, skip=segments.Skipped(), view=segments.View()):
    """Batches of all segments of all videos, once per shift, cut by `_in_groups`.

    Args:
      reader: a YT8MFrameFeatureReader.
      reading: a `passes.Pass`.
      shifts: list of ints, frames; see `segments.cut`.
      batch_size: approximate number of segments per batch; a batch holds whole videos.
      num_readers: shards looked at ahead.
      skip: `segments.Skipped`; a batch of short videos may hold no segment.
      view: `segments.View`; its context is gathered once per video and shift.

    Returns:
      Dataset of the dict of `segments.cut` plus `shift`, an index into `shifts`. The batches of some videos at all
      shifts follow each other.
    """
    videos = max(1, batch_size * segments.SEGMENT_FRAMES // reader.max_frames)

    def at_each_shift(batch):
        every = tf.data.Dataset.from_tensor_slices((list(range(len(shifts))), shifts))
        return every.map(tfrecord.plain(lambda index, shift: dict(segments.cut(batch, shift, skip, view), shift=index)))

    return _in_groups(reading, num_readers, lambda records: reader.batches(
        reader.examples(reading, records), videos).flat_map(tfrecord.plain(at_each_shift)))


def _in_groups(reading, num_readers, batches_of):
    """One pass, each video once, in the order of the shards and of their records, whatever `num_readers` is.

    No batch holds videos of two groups of GROUP_SHARDS shards. Therefore the batches of a group, and their scores to
    the last bit, do not depend on which other groups are read here or on other machines.

    Args:
      batches_of: function from a dataset of Records to one of batches.
    """
    def of_group(paths, numbers):
        records = tfrecord.records_in_order(tf.data.Dataset.zip((paths, numbers)))
        return batches_of(reading.first_of_each_video(records))

    groups = tfrecord.checked_ahead(reading.shards(), num_readers).window(GROUP_SHARDS)
    return reading.to_its_end(groups.flat_map(tfrecord.plain(of_group))).prefetch(2)


def read_ratings(paths, num_readers=8, num_classes=forms.NUM_CLASSES):
    """The segment ratings in records of 3/frame/validate.

    A video that occurs twice counts once. Ratings after the last frame of a video count like all others.

    Returns:
      NumPy arrays with one entry per rating: segment ids bytes `VIDEOID:START`, labels int64, scores float32. No pair
      of segment and label occurs twice.

    Raises:
      NoRatings: there are none.
      InputError: a shard or a record is damaged.
    """
    form = forms.Form(True, [], num_classes, forms.MAX_FRAMES)
    reading = passes.Pass(paths, form)

    def parse(record):
        videos, ratings, num_frames = parsing.parse_ratings(record, form)
        with tf.control_dependencies([reading.count(**parsing.rating_counts(ratings, num_frames, record))]):
            rated = tf.gather(videos, ratings.rows)
            return tf.strings.join([rated, ":", tf.strings.as_string(ratings.starts)]), ratings.labels, ratings.scores

    with tf.Graph().as_default(), damage.explained(paths, form):
        records = reading.first_of_each_video(_records(reading, num_readers))
        each = reading.to_its_end(parsing.in_groups(records, form, parse))
        chunk = tf.compat.v1.data.make_one_shot_iterator(each.batch(4096)).get_next()
        chunks = []
        with tf.compat.v1.Session() as session:
            with contextlib.suppress(tf.errors.OutOfRangeError):
                while True:
                    chunks.append(session.run(chunk))
    if not chunks:
        raise NoRatings("The %d shards such as %s hold no segment ratings: segment labels come from "
                        "3/frame/validate." % (len(paths), paths[0]))
    return tuple(np.concatenate(parts) for parts in zip(*chunks))
