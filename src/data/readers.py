"""Readers of YouTube-8M records, frame-level and video-level.

Which frames a model will see is decided from the frame count before any byte is decoded;
frames stay uint8 and labels sparse until the batch stands, and `model_input_raw`,
`dense_labels` and `label_weights` turn a batch into what models and losses take.

Formats: https://research.google.com/youtube8m/download.html
"""
import collections
import multiprocessing

from absl import flags
import numpy as np
import tensorflow as tf

from src.common.errors import InputError
from src.data import segments

NUM_CLASSES = 3862
MAX_FEATURE_SIZE = 65536  # far above 1024
SHUFFLE_BATCHES = 10  # a shuffle buffer holds so many batches, which must be there before the first one leaves,
SHUFFLE_BYTES = 512 << 20  # and at most this much
_PARALLEL_CALLS = 2 * multiprocessing.cpu_count()

Record = collections.namedtuple("Record", "serialized path index")

# Context features of one entry a rating.
RATINGS = collections.OrderedDict([
    ("segment_start_times", tf.int64), ("segment_labels", tf.int64), ("segment_scores", tf.float32)])


def define_flags():
    """Flags that say what the records hold."""
    flags.DEFINE_string("feature_names", "mean_rgb", "Comma list of the features to use: rgb,audio at frame "
                        "level, mean_rgb,mean_audio at video level.")
    flags.DEFINE_string("feature_sizes", "1024", "Comma list of their sizes.")
    flags.DEFINE_bool("frame_features", False, "The records are frame-level SequenceExamples, else video-level "
                      "Examples.")
    flags.DEFINE_bool("segment_labels", False, "Examples are the rated 5-second segments of 3/frame/validate "
                      "(inference: all segments), else whole videos.")
    flags.DEFINE_integer("max_frames", 300, "Frames of a video, at most; the rest is cut off.", lower_bound=1)


def without_blanks(comma_list):
    """"rgb, audio" -> "rgb,audio"."""
    return ",".join(filter(None, (part.strip() for part in comma_list.split(","))))


def create(feature_names, feature_sizes, frame_features, segment_labels=False, max_frames=300,
           num_classes=NUM_CLASSES):
    """The reader for the given flags.

    Args:
      feature_names, feature_sizes: comma lists, as the flags give them.

    Raises:
      InputError: the lists differ in length or do not fit the level of the records.
    """
    names = without_blanks(feature_names).split(",")
    try:
        sizes = [int(size) for size in without_blanks(feature_sizes).split(",")]
    except ValueError:
        raise InputError("--feature_sizes=%s is not a comma list of whole numbers, such as 1024,128." % feature_sizes)
    if len(names) != len(sizes) or len(set(names)) != len(names) or names == [""]:
        raise InputError("--feature_names=%s and --feature_sizes=%s must list as many different names as sizes."
                         % (feature_names, feature_sizes))
    if min(sizes) < 1 or max(sizes) > MAX_FEATURE_SIZE:
        raise InputError("--feature_sizes=%s must hold positive sizes of at most %d."
                         % (feature_sizes, MAX_FEATURE_SIZE))
    if frame_features:
        return YT8MFrameFeatureReader(num_classes, sizes, names, max_frames, segment_labels)
    if segment_labels:
        raise InputError("--segment_labels needs frame-level records: add --frame_features and "
                         "--feature_names=rgb,audio --feature_sizes=1024,128.")
    return YT8MAggregatedFeatureReader(num_classes, sizes, names)


# AutoGraph would read the function's source anew and leave a file in the temporary folder each time.
plain = tf.autograph.experimental.do_not_convert


def parallel_map(dataset, function):
    """Maps a function without Python control flow over a dataset, in order, on all cores."""
    return dataset.map(plain(function), num_parallel_calls=_PARALLEL_CALLS)


def _marked(*sentence):
    """A sentence for the user in parts, marked as such for `common.program`."""
    return tf.strings.join(("<<",) + sentence + (">>",))


def _check(condition, *sentence):
    """Op that stops with a sentence for the user unless `condition` holds."""
    return tf.raw_ops.Assert(condition=condition, data=[_marked(*sentence)], summarize=1)


def _where(record):
    return tf.strings.join([record.path, ", record ", tf.strings.as_string(record.index)])


def _shuffle_size(batch_size, example_bytes):
    """Examples in the shuffle buffer."""
    return max(1, min(SHUFFLE_BATCHES * batch_size, SHUFFLE_BYTES // example_bytes))


def _shard_bytes(record):
    """float32 size that a record takes in its shard, the framing included."""
    return tf.cast(tf.strings.length(record.serialized), tf.float32) + 16


def _labels_check(labels, num_classes, where):
    return _check(tf.reduce_all((labels >= 0) & (labels < num_classes)), where, ", has a label outside 0..%d: "
                  "replace the shard or remove the record." % (num_classes - 1))


def parse_sequence_example(record, context, lists=()):
    """Parses a SequenceExample.

    TensorFlow's other parsers end the process on a record that is no protocol buffer, because their error quotes
    its bytes, which are not UTF-8; the one used here gives the record's name.

    Args:
      record: a Record.
      context: {name: dtype} of the context features besides `id`; a record may lack them.
      lists: names of the feature lists, of byte strings.

    Returns:
      {name: values [n]} of the context, `id` a scalar, and a list of strings [frames] of the feature lists.
    """
    sentence = _where(record), (", is not a frame-level SequenceExample with %s: check --feature_names and "
                                "--frame_features." % ", ".join(["id"] + list(lists)))
    parsed, strings, _ = tf.io.parse_sequence_example(
        [record.serialized], {name: tf.io.VarLenFeature(kind) for name, kind in dict(context, id=tf.string).items()},
        {name: tf.io.FixedLenSequenceFeature([], tf.string) for name in lists} or None, [_marked(*sentence)])
    values = {name: sparse.values for name, sparse in parsed.items()}
    with tf.control_dependencies([_check(tf.equal(tf.size(values["id"]), 1), *sentence)]):
        ids = tf.identity(values["id"])
    values["id"] = ids[0]  # a reshape would have TensorFlow take the size for granted and drop the check
    return values, [strings[name][0] for name in lists]


def checked_ratings(context, record, num_classes=NUM_CLASSES):
    """Start times int64, classes int64 and scores float32, all [ratings], of a context parsed with RATINGS."""
    starts, labels, scores = (context[name] for name in RATINGS)
    aligned = (tf.equal(tf.size(starts), tf.size(labels)) & tf.equal(tf.size(starts), tf.size(scores))
               & tf.reduce_all(starts >= 0))
    where = _where(record)
    checks = [_check(aligned, where, ", has segment_start_times, segment_labels and segment_scores that "
                     "do not match, or a negative start: replace the shard."),
              _labels_check(labels, num_classes, where)]
    with tf.control_dependencies(checks):
        return tf.identity(starts), tf.identity(labels), tf.identity(scores)


def _presence(labels, num_classes):
    """SparseTensor [classes] with 1 at each of `labels` [n]."""
    return tf.SparseTensor(labels[:, tf.newaxis], tf.ones_like(labels, tf.float32), [num_classes])


class YT8MAggregatedFeatureReader(object):
    """Video-level Examples: `id`, `labels` and one float vector a feature.

    Args:
      num_classes: labels run from 0 to num_classes - 1.
      feature_sizes: sizes of the features.
      feature_names: their names, e.g. mean_rgb, mean_audio.
    """

    def __init__(self, num_classes=NUM_CLASSES, feature_sizes=(1024, 128), feature_names=("mean_rgb", "mean_audio")):
        self.num_classes, self.feature_sizes, self.feature_names = num_classes, feature_sizes, feature_names

    def batches(self, records, batch_size, shuffle=False, frame_indices=None):
        """Dataset of batches: `id` [batch], `features` [batch, sum of sizes], `labels` sparse [batch, classes],
        `bytes` [batch].

        Args:
          records: Dataset of Record.
          batch_size: the last batch may be smaller.
          shuffle: shuffles within a bounded buffer.
          frame_indices: ignored, as videos here have no frames.
        """
        if shuffle:
            records = records.shuffle(_shuffle_size(batch_size, 4 * sum(self.feature_sizes)))
        return parallel_map(records.batch(batch_size), lambda *record: self.parse(Record(*record)))

    def parse(self, record):
        """Parses a batch of records; see `batches`."""
        where = _where(record)
        names = _marked(where, ", is not a video-level Example with id and %s: check --feature_names, "
                        "--feature_sizes and --frame_features." % self._description())
        wanted = {"id": tf.io.FixedLenFeature([], tf.string), "labels": tf.io.VarLenFeature(tf.int64)}
        for name, size in zip(self.feature_names, self.feature_sizes):
            wanted[name] = tf.io.FixedLenFeature([size], tf.float32)
        with tf.control_dependencies([self._one_id_check(record, names)]):
            parsed = tf.io.parse_example(tf.identity(record.serialized), wanted, example_names=names)
        labels, row = parsed["labels"].values, parsed["labels"].indices[:, 0]
        # Each label is checked beside the name of its own record.
        inside = (labels >= 0) & (labels < self.num_classes)
        first_bad = tf.cond(tf.reduce_all(inside), lambda: tf.constant("", tf.string),
                            lambda: tf.gather(where, tf.boolean_mask(row, ~inside)[0]))
        with tf.control_dependencies([_labels_check(labels, self.num_classes, first_bad)]):
            indices = tf.stack([row, labels], axis=1)
        shape = tf.stack([tf.size(record.serialized, out_type=tf.int64), self.num_classes])
        return {"id": parsed["id"], "features": tf.concat([parsed[name] for name in self.feature_names], axis=1),
                "labels": tf.SparseTensor(indices, tf.ones_like(labels, tf.float32), shape),
                "bytes": _shard_bytes(record)}

    def _one_id_check(self, record, names):
        """Op that stops at a record without exactly one id, or that is no protocol buffer at all.

        parse_example would end the process at the latter; see `parse_sequence_example`.
        """
        context, _, _ = tf.io.parse_sequence_example(
            record.serialized, {"id": tf.io.VarLenFeature(tf.string)}, None, names)
        ids = tf.math.bincount(tf.cast(context["id"].indices[:, 0], tf.int32), minlength=tf.size(names))
        wrong = tf.not_equal(ids, 1)
        return tf.raw_ops.Assert(condition=~tf.reduce_any(wrong), summarize=1,
                                 data=[tf.strings.reduce_join(tf.boolean_mask(names, wrong))])

    def _description(self):
        return ", ".join("%s (%d floats)" % pair for pair in zip(self.feature_names, self.feature_sizes))

    def model_input_raw(self, batch):
        """[batch, sum of sizes], not normalised."""
        return batch["features"]

    def input_placeholder(self):
        """float32 [batch, sum of sizes], to be fed with `model_input_raw`."""
        return tf.compat.v1.placeholder(tf.float32, [None, sum(self.feature_sizes)], "input_batch_raw")

    def placeholder_batch(self, batch_size, num_frames=None):
        """A batch of placeholders of static shape; `num_frames` is ignored."""
        del num_frames
        return {"features": tf.compat.v1.placeholder(tf.float32, [batch_size, sum(self.feature_sizes)]),
                "labels": tf.compat.v1.sparse_placeholder(tf.float32, [batch_size, self.num_classes])}

    def serving_batch(self, serialized):
        """Batch of serialized Examples, a string [batch] tensor, for a SavedModel."""
        return self.parse(Record(serialized, "request", tf.range(tf.size(serialized))))


class YT8MFrameFeatureReader(object):
    """Frame-level SequenceExamples: context `id`, `labels`, ratings; one byte string a frame and feature.

    Args:
      num_classes: labels run from 0 to num_classes - 1.
      feature_sizes: bytes a frame of each feature.
      feature_names: their names, e.g. rgb, audio.
      max_frames: frames of a video, at most.
      segment_labels: an example is a rated segment (one per distinct start time), not a video.
    """

    def __init__(self, num_classes=NUM_CLASSES, feature_sizes=(1024, 128), feature_names=("rgb", "audio"),
                 max_frames=300, segment_labels=False):
        self.num_classes, self.feature_sizes, self.feature_names = num_classes, feature_sizes, feature_names
        self.max_frames, self.segment_labels = max_frames, segment_labels

    def batches(self, records, batch_size, shuffle=False, frame_indices=None):
        """Dataset of batches of examples.

        Args:
          records: Dataset of Record.
          batch_size: the last batch may be smaller.
          shuffle: shuffles within a bounded buffer.
          frame_indices: function from a frame count (int32 scalar) to the int32 [frames] of the video
            that the model wants to see; only they are decoded. None, or a function that returns
            None: all frames, zero-padded to max_frames. Segments keep their 5 frames whatever it says.

        Returns:
          Dataset of dict: `id` [batch] (segments: VIDEOID:START), `frames` uint8 [batch, frames, bytes],
          `frame_valid` bool [batch, frames], `num_frames` int32 [batch], `labels` sparse [batch, classes]
          (ratings: the score of each rated class, zeros kept).
        """
        if self.segment_labels:
            examples = parallel_map(records, lambda *record: self.parse_segments(Record(*record)))
            examples = examples.flat_map(plain(tf.data.Dataset.from_tensor_slices))
        else:
            examples = parallel_map(records, lambda *record: self.parse_video(Record(*record), frame_indices))
        if shuffle:
            frame_bytes = tf.compat.v1.data.get_output_shapes(examples)["frames"].num_elements()
            examples = examples.shuffle(_shuffle_size(batch_size, frame_bytes))
        return examples.batch(batch_size)

    def parse_video(self, record, frame_indices=None):
        """One video as one example; see `batches`."""
        context, frames, num_frames, where = self._parse(record, {"labels": tf.int64})
        labels = context["labels"]
        with tf.control_dependencies([self._frames_check(num_frames, where)] if frame_indices else []):
            chosen = frame_indices(tf.identity(num_frames)) if frame_indices else None
        if chosen is None:
            decoded = self._decode([strings[:num_frames] for strings in frames], where)
            decoded = tf.pad(decoded, [[0, self.max_frames - num_frames], [0, 0]])
            decoded.set_shape([self.max_frames, sum(self.feature_sizes)])
            valid = tf.range(self.max_frames) < num_frames
        else:
            decoded = self._decode([tf.gather(strings, chosen) for strings in frames], where)
            decoded.set_shape([chosen.shape[0], sum(self.feature_sizes)])
            valid = tf.ones_like(chosen, tf.bool)
        with tf.control_dependencies([_labels_check(labels, self.num_classes, where)]):
            labels = _presence(labels, self.num_classes)
        return {"id": context["id"], "frames": decoded, "frame_valid": valid, "num_frames": num_frames,
                "labels": labels, "bytes": _shard_bytes(record)}

    def parse_segments(self, record):
        """One video's rated segments, in order of first rating, stacked along the first axis."""
        context, frames, num_frames, where = self._parse(record, RATINGS)
        starts, labels, scores = checked_ratings(context, record, self.num_classes)
        with tf.control_dependencies([self._frames_check(num_frames, where)]):
            starts, segment = tf.unique(tf.cast(starts, tf.int32))
        chosen = starts[:, tf.newaxis] + tf.range(segments.SEGMENT_FRAMES)
        inside = tf.reshape(tf.minimum(chosen, num_frames - 1), [-1])
        decoded = self._decode([tf.gather(strings, inside) for strings in frames], where)
        rated = tf.sparse.reorder(tf.SparseTensor(
            tf.stack([tf.cast(segment, tf.int64), labels], axis=1), scores,
            tf.stack([tf.size(starts, out_type=tf.int64), self.num_classes])))
        return {
            "id": tf.strings.join([context["id"], ":", tf.strings.as_string(starts)]),
            "frames": tf.reshape(decoded, [-1, segments.SEGMENT_FRAMES, sum(self.feature_sizes)]),
            "frame_valid": chosen < num_frames,
            "num_frames": tf.fill(tf.shape(starts), segments.SEGMENT_FRAMES),
            "labels": rated,
            "bytes": tf.fill(tf.shape(starts), _shard_bytes(record) / tf.cast(tf.size(starts), tf.float32)),
        }

    def _parse(self, record, context_features):
        """-> context, list of strings [frames] of the features, num_frames (at most max_frames), place."""
        where = _where(record)
        context, frames = parse_sequence_example(record, context_features, self.feature_names)
        counts = [tf.size(strings) for strings in frames]
        same = tf.reduce_all(tf.equal(tf.stack(counts), counts[0]))
        with tf.control_dependencies([_check(same, where, ", holds different numbers of frames of %s: replace "
                                             "the shard." % ", ".join(self.feature_names))]):
            num_frames = tf.minimum(counts[0], self.max_frames)
        return context, frames, num_frames, where

    def _frames_check(self, num_frames, where):
        return _check(num_frames > 0, where, ", holds no frames: remove the record.")

    def _decode(self, frames, where):
        """[n] byte strings of each feature -> uint8 [n, bytes], checked for size."""
        decoded = []
        for name, size, strings in zip(self.feature_names, self.feature_sizes, frames):
            right = tf.reduce_all(tf.equal(tf.strings.length(strings), size))
            with tf.control_dependencies([_check(right, where, ", holds %s frames that are not %d bytes long: "
                                                 "check --feature_sizes." % (name, size))]):
                strings = tf.identity(strings)
            decoded.append(tf.reshape(tf.io.decode_raw(strings, tf.uint8), [-1, size]))
        return tf.concat(decoded, axis=1)

    def model_input_raw(self, batch):
        """[batch, frames, bytes] dequantized, zero beyond the video, not normalised."""
        return dequantize(batch["frames"], batch["frame_valid"])

    def input_placeholder(self):
        """float32 [batch, frames, bytes], to be fed with `model_input_raw`."""
        return tf.compat.v1.placeholder(tf.float32, [None, None, sum(self.feature_sizes)], "input_batch_raw")

    def placeholder_batch(self, batch_size, num_frames):
        """A batch of placeholders of static shape, `num_frames` frames an example."""
        placeholder = tf.compat.v1.placeholder
        return {"frames": placeholder(tf.uint8, [batch_size, num_frames, sum(self.feature_sizes)]),
                "frame_valid": placeholder(tf.bool, [batch_size, num_frames]),
                "num_frames": placeholder(tf.int32, [batch_size]),
                "labels": tf.compat.v1.sparse_placeholder(tf.float32, [batch_size, self.num_classes])}

    def serving_batch(self, serialized):
        """Batch of serialized SequenceExamples, a string [batch] tensor, for a SavedModel; whole videos."""
        wanted = {"id": tf.string, "frames": tf.uint8, "frame_valid": tf.bool, "num_frames": tf.int32}

        def parse(one):
            video = self.parse_video(Record(one[0], "request", one[1]))
            return {name: video[name] for name in wanted}

        return tf.map_fn(parse, (serialized, tf.range(tf.size(serialized))), wanted)


def dequantize(frames, valid):
    """uint8 frames [.., frames, bytes] -> float32 in [-2, 2], zero where not `valid` [.., frames]."""
    values = tf.cast(frames, tf.float32) * np.float32(4 / 255.0) + np.float32(4 / 512.0 - 2)
    return values * tf.cast(valid, tf.float32)[..., tf.newaxis]


def normalize(model_input_raw):
    """L2-normalises along the feature axis, as every model expects its input."""
    return tf.nn.l2_normalize(model_input_raw, axis=-1)


def dense_labels(batch):
    """float32 [batch, classes]: 1 for a label; in segment mode the score of a rated class."""
    # Records may repeat a label or list them out of order.
    return tf.sparse.to_dense(batch["labels"], validate_indices=False)


def label_weights(batch):
    """float32 [batch, classes]: 1 where a class was rated."""
    labels = batch["labels"]
    rated = tf.SparseTensor(labels.indices, tf.ones_like(labels.values), labels.dense_shape)
    return tf.sparse.to_dense(rated, validate_indices=False)
