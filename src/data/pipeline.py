"""Input pipeline: TFRecord shards -> batches, with errors that name the shard and the record."""
import contextlib
import re
import struct

from absl import flags
import numpy as np
import tensorflow as tf

from src.common.errors import InputError
from src.data import readers
from src.data import segments

_CORRUPT = re.compile(r"(corrupted|truncated) record at (\d+)")


def define_flags():
    """Flags of reading."""
    flags.DEFINE_integer("num_readers", 8, "Shards read side by side.", lower_bound=1)


def records(paths, num_readers):
    """Dataset of `readers.Record` over a dataset of shard paths, `num_readers` shards interleaved."""
    def shard(path):
        serialized = tf.data.TFRecordDataset(path).enumerate()
        return serialized.map(readers.plain(lambda index, record: (record, path, index))).prefetch(2)

    # Each shard's prefetch reads ahead in a thread of its own. TensorFlow 1.15's parallel interleave is
    # no faster, and sometimes crashes the process when a session closes before the data ends.
    return paths.interleave(readers.plain(shard), cycle_length=num_readers)


def training_batches(reader, paths, batch_size, frame_indices, num_epochs, num_readers):
    """Shuffled batches of `num_epochs` passes over the shards (None: without end); see the reader's `batches`."""
    shards = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths)).repeat(num_epochs)
    batches = reader.batches(records(shards, num_readers), batch_size, True, frame_indices)
    return batches.prefetch(2)


def check_examples(reader, paths, num_readers):
    """Checks that a pass over the shards yields an example with a label, reading as far as the first one.

    Raises:
      InputError: it yields none, which many passes would not, either.
    """
    with tf.Graph().as_default(), tf.device("/cpu:0"), explained(paths):
        batches = reader.batches(records(tf.data.Dataset.from_tensor_slices(paths), num_readers), 1)
        labelled = batches.map(readers.plain(lambda batch: tf.reduce_any(batch["labels"].values > 0)))
        if not _any(labelled.filter(readers.plain(lambda has_label: has_label))):
            raise InputError("The %d shards such as %s hold no example%s." % (len(paths), paths[0], (
                " with a label: train on labelled records, which 3/frame/test has not" if _any(labelled) else
                ": check the patterns, and with --segment_labels that they are of 3/frame/validate")))


def _any(dataset):
    """Whether a dataset has an element."""
    element = tf.compat.v1.data.make_one_shot_iterator(dataset).get_next()
    with tf.compat.v1.Session() as session:
        try:
            session.run(element)
        except tf.errors.OutOfRangeError:
            return False
    return True


def evaluation_batches(reader, paths, batch_size, frame_indices, num_readers):
    """One pass over the shards in a fixed order; see the reader's `batches`."""
    shards = tf.data.Dataset.from_tensor_slices(paths)
    batches = reader.batches(records(shards, num_readers), batch_size, False, frame_indices)
    return batches.prefetch(2)


def segment_batches(reader, paths, shifts, batch_size, num_readers):
    """All segments of all videos, once for each of `shifts`, in one pass over the shards.

    Args:
      reader: a YT8MFrameFeatureReader.
      paths: shards.
      shifts: list of ints, frames; see `segments.cut`.
      batch_size: segments a batch, about; a batch holds whole videos.
      num_readers: shards read side by side.

    Returns:
      Dataset of `segments.cut`'s dict plus `shift`, an index into `shifts`; the batches of one
      group of videos at each shift follow one another.
    """
    videos = max(1, batch_size * segments.SEGMENT_FRAMES // reader.max_frames)
    whole = readers.parallel_map(records(tf.data.Dataset.from_tensor_slices(paths), num_readers),
                                 lambda *record: reader.parse_video(readers.Record(*record)))

    def at_each_shift(batch):
        every = tf.data.Dataset.from_tensor_slices((list(range(len(shifts))), shifts))
        return every.map(readers.plain(lambda index, shift: dict(segments.cut(batch, shift), shift=index)))

    return whole.batch(videos).flat_map(readers.plain(at_each_shift)).prefetch(2)


def read_ratings(paths, num_readers=8):
    """The segment ratings that the records of 3/frame/validate hold.

    Returns:
      NumPy arrays of one entry a rating: segment ids bytes `VIDEOID:START`, labels int64, scores float32.

    Raises:
      InputError: a shard is corrupt, or holds no ratings at all.
    """
    def parse(*fields):
        record = readers.Record(*fields)
        context, _ = readers.parse_sequence_example(record, readers.RATINGS)
        starts, labels, scores = readers.checked_ratings(context, record)
        return tf.strings.join([context["id"], ":", tf.strings.as_string(starts)]), labels, scores

    with tf.Graph().as_default(), explained(paths):
        of_videos = readers.parallel_map(records(tf.data.Dataset.from_tensor_slices(paths), num_readers), parse)
        each = of_videos.flat_map(readers.plain(lambda *ratings: tf.data.Dataset.from_tensor_slices(ratings)))
        chunk = tf.compat.v1.data.make_one_shot_iterator(each.batch(4096)).get_next()
        chunks = []
        with tf.compat.v1.Session() as session:
            with contextlib.suppress(tf.errors.OutOfRangeError):
                while True:
                    chunks.append(session.run(chunk))
    if not chunks:
        raise InputError("The %d shards such as %s hold no segment ratings: segment labels come from "
                         "3/frame/validate." % (len(paths), paths[0]))
    return tuple(np.concatenate(parts) for parts in zip(*chunks))


@contextlib.contextmanager
def explained(paths):
    """Turns TensorFlow's error about a corrupt record in `paths` into an InputError that names shard and record."""
    try:
        yield
    except tf.errors.DataLossError as error:
        corrupt = _CORRUPT.search(error.message)
        if not corrupt:
            raise
        raise InputError(_corrupt_shard(paths, int(corrupt.group(2))))


def check_ends(paths):
    """Checks that every shard ends where a record does.

    TensorFlow 1.15 takes a shard that is cut within a record's length for one that ends before it.

    Raises:
      InputError: a shard does not; names it.
    """
    for path in paths:
        size = tf.io.gfile.stat(path).length
        if _record_index(path, size) is None:
            raise InputError("%s is truncated in its last record: fetch the shard again or leave it out." % path)


def _corrupt_shard(paths, offset):
    """Sentence about the shard that does not read at byte `offset`."""
    for path in paths:
        index = _record_index(path, offset)
        if index is not None and _whole_records(path, index + 1) == index:
            return ("%s, record %d (byte %d), is truncated or corrupt: fetch the shard again or leave it out."
                    % (path, index, offset))
    return ("A record at byte %d of one of the %d shards such as %s is truncated or corrupt: fetch them again."
            % (offset, len(paths), paths[0]))


def _record_index(path, offset):
    """Index of the record that starts at byte `offset` or whose data does, or None; reads record lengths only."""
    with tf.io.gfile.GFile(path, "rb") as stream:
        position = index = 0
        while position <= min(offset, stream.size() - 8):
            if offset in (position, position + 12):
                return index
            # A record: length (8 bytes), its checksum (4), the data, its checksum (4).
            stream.seek(position)
            position, index = position + 16 + struct.unpack("<Q", stream.read(8))[0], index + 1
    return index if position == offset else None


def _whole_records(path, at_most):
    """Records of a shard that read before the first that does not."""
    count = 0
    with contextlib.suppress(tf.errors.DataLossError):
        for count, _ in enumerate(tf.compat.v1.io.tf_record_iterator(path), 1):
            if count == at_most:
                break
    return count
