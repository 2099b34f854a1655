"""Readers of YouTube-8M records, frame-level and video-level.

The frames that a model will see are chosen by the frame count before any byte is decoded. Frames stay uint8 and labels
sparse until the batch is complete; `model_input_raw`, `dense_labels` and `label_weights` then make the input of models
and losses.

Formats: https://research.google.com/youtube8m/download.html
"""
from absl import flags
import tensorflow as tf

from src.common import sentences
from src.common.errors import InputError
from src.data import forms
from src.data import framing
from src.data import packing
from src.data import parsing
from src.data import segments
from src.data import tfrecord
from src.data import writing

MAX_FEATURE_SIZE = 65536  # far above 1024


def define_flags():
    """Flags that describe the records."""
    forms.define_flags()
    flags.DEFINE_string("feature_names", "mean_rgb", "Comma list of the features to use: rgb,audio at frame "
                        "level, mean_rgb,mean_audio at video level.")
    flags.DEFINE_string("feature_sizes", "1024", "Comma list of their sizes.")
    flags.DEFINE_bool("frame_features", False, "The records are frame-level SequenceExamples, else video-level "
                      "Examples.")
    flags.DEFINE_bool("segment_labels", False, "Examples are the rated 5-second segments of 3/frame/validate "
                      "(inference: all segments), else whole videos.")
    flags.DEFINE_integer("max_frames", forms.MAX_FRAMES, "Largest number of frames of a video; the rest is cut off.",
                         lower_bound=1)


def without_blanks(comma_list):
    """"rgb, audio" -> "rgb,audio"."""
    return ",".join(filter(None, (part.strip() for part in comma_list.split(","))))


def features(feature_names, feature_sizes):
    """List of (name, size) from the two comma lists of the flags.

    Raises:
      InputError: the lists differ in length, or do not hold names and sizes.
    """
    names = without_blanks(feature_names).split(",")
    try:
        sizes = [int(size) for size in without_blanks(feature_sizes).split(",")]
    except ValueError:
        raise InputError("--feature_sizes=%s is not a comma list of whole numbers, such as 1024,128." % feature_sizes)
    if len(names) != len(sizes) or len(set(names)) != len(names) or names == [""]:
        raise InputError("--feature_names=%s and --feature_sizes=%s must list as many distinct names as sizes."
                         % (feature_names, feature_sizes))
    if min(sizes) < 1 or max(sizes) > MAX_FEATURE_SIZE:
        raise InputError("--feature_sizes=%s must hold positive sizes of at most %d."
                         % (feature_sizes, MAX_FEATURE_SIZE))
    return list(zip(names, sizes))


def create(feature_names, feature_sizes, frame_features, segment_labels=False, max_frames=forms.MAX_FRAMES,
           num_classes=forms.NUM_CLASSES, video_classes=False):
    """The reader for the given flags; see `features` and, for `video_classes`, YT8MFrameFeatureReader.

    Raises:
      InputError: the flags do not fit one another.
    """
    names, sizes = map(list, zip(*features(feature_names, feature_sizes)))
    if frame_features:
        return YT8MFrameFeatureReader(num_classes, sizes, names, max_frames, segment_labels, video_classes)
    if segment_labels:
        raise InputError("--segment_labels needs frame-level records: add --frame_features and "
                         "--feature_names=rgb,audio --feature_sizes=1024,128.")
    return YT8MAggregatedFeatureReader(num_classes, sizes, names)


def _presence(labels, num_classes):
    """SparseTensor [n, classes] with 1 at each of the labels, a SparseTensor [n, values] of classes."""
    pairs = tf.sort(tf.unique(labels.indices[:, 0] * num_classes + labels.values)[0])
    return tf.SparseTensor(tf.stack([pairs // num_classes, pairs % num_classes], axis=1),
                           tf.ones_like(pairs, tf.float32), tf.stack([labels.dense_shape[0], num_classes]))


def _shard_bytes(record):
    return tf.cast(framing.num_bytes(record.serialized), tf.float32)


class YT8MAggregatedFeatureReader(object):
    """Video-level Examples: `id`, `labels` and one float vector per feature.

    Args:
      num_classes: labels run from 0 to num_classes - 1.
      feature_sizes: sizes of the features.
      feature_names: their names, e.g. mean_rgb, mean_audio.
    """

    segment_labels = False  # an example is a video

    def __init__(self, num_classes=forms.NUM_CLASSES, feature_sizes=(1024, 128),
                 feature_names=("mean_rgb", "mean_audio")):
        self.num_classes, self.feature_sizes, self.feature_names = num_classes, feature_sizes, feature_names
        self.form = forms.Form(False, list(zip(feature_names, feature_sizes)), num_classes, forms.MAX_FRAMES)

    def examples(self, reading, records, frame_indices=None, view=None):
        """Dataset of examples: `id`, `features` [sum of sizes], `labels` sparse [classes], `bytes`.

        Args:
          reading: the `passes.Pass` that counts them.
          records: Dataset of Record.
          frame_indices, view: ignored, as there are no frames.
        """
        def parse(record):
            group = self.parse(record)
            with tf.control_dependencies([reading.count(
                    bytes=tf.reduce_sum(framing.num_bytes(record.serialized)), examples=tf.size(group["id"]),
                    labels=tf.size(group["labels"].values))]):
                return dict(group, id=tf.identity(group["id"]))

        return parsing.in_groups(records, self.form, parse)

    def batches(self, examples, batch_size):
        """Batches of the Dataset that `examples` returns."""
        return examples.batch(batch_size)

    def parse(self, record):
        """Parses a group of records; see `examples`."""
        told = parsing.unusable(record, self.form)
        # parse_example would end the process at a record that is no protocol buffer.
        ids, _ = parsing.parse_sequence_example(record.serialized, told, {"id": tf.string})
        with tf.control_dependencies([sentences.stop_at_first(~parsing.have_one_id(ids["id"]), told)]):
            parsed = parsing.parse_example(tf.identity(record.serialized), told, {"labels": tf.int64},
                                           self.form.features)
        usable = parsing.have_labels(parsed["labels"], self.form)
        with tf.control_dependencies([sentences.stop_at_first(~usable, told)]):
            return {"id": tf.identity(ids["id"].values), "labels": _presence(parsed["labels"], self.num_classes),
                    "features": tf.concat([parsed[name] for name in self.feature_names], axis=1),
                    "bytes": _shard_bytes(record)}

    def model_input_raw(self, batch):
        """[batch, sum of sizes], not normalised."""
        return batch["features"]

    def input_placeholder(self):
        """float32 [batch, sum of sizes] placeholder for `model_input_raw`."""
        return tf.compat.v1.placeholder(tf.float32, [None, sum(self.feature_sizes)], "input_batch_raw")

    def placeholder_batch(self, batch_size, num_frames=None, context_frames=0):
        """A batch of placeholders of static shape; the numbers of frames are ignored."""
        del num_frames, context_frames
        return {"features": tf.compat.v1.placeholder(tf.float32, [batch_size, sum(self.feature_sizes)]),
                "labels": tf.compat.v1.sparse_placeholder(tf.float32, [batch_size, self.num_classes])}

    def serving_batch(self, serialized):
        """Batch of serialized Examples, a string [batch] tensor, for a SavedModel."""
        return self.parse(tfrecord.Record(serialized, "request", tf.range(tf.size(serialized)), 0))


class YT8MFrameFeatureReader(object):
    """Frame-level SequenceExamples: context `id`, `labels`, ratings; one byte string per frame and feature.

    Args:
      num_classes: labels run from 0 to num_classes - 1.
      feature_sizes: bytes per frame of each feature.
      feature_names: their names, e.g. rgb, audio.
      max_frames: largest number of frames of a video.
      segment_labels: examples are rated segments (one per distinct start time), not videos.
      video_classes: rated segments also hold the classes that may be in their video; its record needs labels then.
    """

    def __init__(self, num_classes=forms.NUM_CLASSES, feature_sizes=(1024, 128), feature_names=("rgb", "audio"),
                 max_frames=forms.MAX_FRAMES, segment_labels=False, video_classes=False):
        self.num_classes, self.feature_sizes, self.feature_names = num_classes, feature_sizes, feature_names
        self.max_frames, self.segment_labels, self._video_classes = max_frames, segment_labels, video_classes
        self.form = forms.Form(True, list(zip(feature_names, feature_sizes)), num_classes, max_frames, video_classes)

    def examples(self, reading, records, frame_indices=None, view=segments.View()):
        """Dataset of examples.

        Args:
          reading: the `passes.Pass` that counts them.
          records: Dataset of Record.
          frame_indices: function from frame counts, int32 [n], and the `seed` of a Pass that has one, to the frames
            that the model sees, int32 [n, frames]; only these are decoded. None, or a function that returns None: all
            frames, zero-padded to max_frames. Not for segments.
          view: the `segments.View` of a model of segments.

        Returns:
          Dataset of dict: `id` (segments: VIDEOID:START), `frames` uint8 [frames, bytes], packed until `batches`,
          `frame_valid` bool [frames], `num_frames` int32, `labels` sparse [classes] (of segments: the scores of rated
          classes, also zeros), `bytes`, and with `video_classes` these, sparse [classes]: 1 for the labels of the
          segment's video and for all classes that are rated in it. If the View has a context, also the id `video` of
          the segment's video and `context`, string [features], whose bytes are those of its frames; segments of a video
          follow each other and have the same one.
        """
        def parse(record):
            group = (self.parse_segments(record, reading, view) if self.segment_labels else
                     self.parse_videos(record, frame_indices, reading))
            return dict(group, frames=packing.packed(group["frames"]))

        return parsing.in_groups(records, self.form, parse)

    def batches(self, examples, batch_size):
        """Batches of the Dataset that `examples` returns, with one context per video, as of `segments.cut`."""
        def complete(batch):
            batch = dict(batch, frames=packing.unpacked(batch["frames"], sum(self.feature_sizes)))
            if "context" in batch:
                videos, batch["video"] = tf.unique(batch["video"])
                first = tf.math.unsorted_segment_min(tf.range(tf.size(batch["video"])), batch["video"], tf.size(videos))
                batch["context"] = packing.split(tf.gather(batch["context"], first), self.feature_sizes)
                batch["context_valid"] = tf.ones(tf.shape(batch["context"])[:2], tf.bool)
            return batch

        return examples.batch(batch_size).map(tfrecord.plain(complete))

    def parse_videos(self, record, frame_indices=None, reading=None):
        """The videos of a group as one example each; see `examples`."""
        context, strings, num_frames = self._parse(record, rated=False)
        counted = [reading.count(
            bytes=tf.reduce_sum(framing.num_bytes(record.serialized)), examples=tf.size(num_frames),
            labels=tf.size(context["labels"].values))] if reading else []
        with tf.control_dependencies(counted):
            ids = tf.identity(context["id"].values)
        seed = reading.seed(record) if reading else None
        chosen = frame_indices(num_frames, **({} if seed is None else {"seed": seed})) if frame_indices else None
        if chosen is None:
            frames = self._decode([each[:, :self.max_frames] for each in strings])
            frames = tf.pad(frames, [[0, 0], [0, self.max_frames - tf.shape(frames)[1]], [0, 0]])
            frames.set_shape([None, self.max_frames, None])
            valid = tf.sequence_mask(num_frames, self.max_frames)
        else:
            frames = self._frames_at(strings, tf.range(tf.size(num_frames)), chosen)
            valid = tf.ones_like(chosen, tf.bool)
        return {"id": ids, "frames": frames, "frame_valid": valid, "num_frames": num_frames,
                "labels": _presence(context["labels"], self.num_classes), "bytes": _shard_bytes(record)}

    def parse_segments(self, record, reading, view=segments.View()):
        """The rated segments of a group's videos, in order of first rating of each video; see `examples`."""
        context, strings, num_frames = self._parse(record, rated=True)
        ratings = parsing.last_ratings(context, self.form)
        pairs, segment = tf.unique(ratings.rows * self.max_frames + ratings.starts)
        rows, starts = tf.cast(pairs // self.max_frames, tf.int32), tf.cast(pairs % self.max_frames, tf.int32)
        with tf.control_dependencies([reading.count(examples=tf.size(starts),
                                                    **parsing.rating_counts(ratings, num_frames, record))]):
            chosen = segments.positions(starts, view)
        lengths = tf.gather(num_frames, rows)[:, tf.newaxis]
        rated = tf.sparse.reorder(tf.SparseTensor(
            tf.stack([tf.cast(segment, tf.int64), ratings.labels], axis=1), ratings.scores,
            tf.stack([tf.size(starts, out_type=tf.int64), self.num_classes])))
        shares = _shard_bytes(record) / tf.cast(parsing.counts(rows, tf.size(num_frames)), tf.float32)
        found = {
            "id": tf.strings.join([tf.gather(context["id"].values, rows), ":", tf.strings.as_string(starts)]),
            "frames": self._frames_at(strings, rows, tf.maximum(tf.minimum(chosen, lengths - 1), 0)),
            "frame_valid": (chosen >= 0) & (chosen < lengths),
            "num_frames": tf.fill(tf.shape(starts), segments.SEGMENT_FRAMES),
            "labels": rated,
            "bytes": tf.gather(shares, rows),
        }
        if self._video_classes:
            found["video_classes"] = self._video_classes_of(rows, context["labels"], ratings)
        if view.context:
            around = view.context(num_frames, reading.seed(record))
            of_videos = packing.joined([tf.gather(each, around, batch_dims=1) for each in strings])
            found["video"], found["context"] = tf.gather(context["id"].values, rows), tf.gather(of_videos, rows)
        return found

    def _video_classes_of(self, rows, labels, ratings):
        """SparseTensor [segments, classes]; see `examples`.

        Args:
          rows: int32 [segments], of their videos.
          labels: SparseTensor [videos, values].
          ratings: `parsing.RatingTensors`.
        """
        videos = tf.concat([labels.indices[:, 0], ratings.rows], axis=0)
        classes = tf.concat([labels.values, ratings.labels], axis=0)
        of_videos = _presence(tf.SparseTensor(tf.stack([videos, classes], axis=1), classes, labels.dense_shape),
                              self.num_classes).indices
        found = tf.gather(tf.RaggedTensor.from_value_rowids(of_videos[:, 1], of_videos[:, 0], labels.dense_shape[0]),
                          rows)
        return tf.SparseTensor(tf.stack([found.value_rowids(), found.values], axis=1), tf.ones_like(
            found.values, tf.float32), tf.stack([tf.size(rows, out_type=tf.int64), self.num_classes]))

    def _parse(self, record, rated):
        """Parses a group of usable records -> context, list of strings [n, frames] of the features, int32 numbers [n]
        of frames, at most max_frames. The context has ratings if `rated`, else labels."""
        told = parsing.unusable(record, self.form)
        wanted = dict(parsing.RATINGS) if rated else {}
        if not rated or self._video_classes:
            wanted["labels"] = tf.int64
        context, frames = parsing.parse_sequence_example(
            record.serialized, told, dict(wanted, id=tf.string), self.feature_names)
        usable = parsing.have_one_id(context["id"]) & parsing.have_frames(frames, self.form) & (
            parsing.have_ratings(context, self.form) if rated else parsing.have_labels(context["labels"], self.form))
        with tf.control_dependencies([sentences.stop_at_first(~usable, told)]):
            return (parsing.identity(context), [tf.identity(each.strings) for each in frames],
                    tf.minimum(frames[0].lengths, self.max_frames))

    def _frames_at(self, strings, rows, positions):
        """uint8 [m, frames, bytes]: the frames `positions` [m, frames] of the videos `rows` [m]; see `_parse`."""
        flat = rows[:, tf.newaxis] * tf.shape(strings[0])[1] + positions
        return self._decode([tf.gather(tf.reshape(each, [-1]), flat) for each in strings])

    def _decode(self, strings):
        """[n, frames] byte strings of each feature -> uint8 [n, frames, bytes], zeros for empty strings."""
        return tf.concat([tf.raw_ops.DecodePaddedRaw(input_bytes=each, fixed_length=size, out_type=tf.uint8)
                          for each, size in zip(strings, self.feature_sizes)], axis=2)

    def model_input_raw(self, batch):
        """[batch, frames, bytes] dequantized, zero beyond the video, not normalised."""
        return dequantize(batch["frames"], batch["frame_valid"])

    def context_raw(self, batch):
        """[videos, frames, bytes] of a batch with contexts, as `model_input_raw`."""
        return dequantize(batch["context"], batch["context_valid"])

    def input_placeholder(self, name="input_batch_raw"):
        """float32 [batch, frames, bytes] placeholder for `model_input_raw`, or `context_raw`."""
        return tf.compat.v1.placeholder(tf.float32, [None, None, sum(self.feature_sizes)], name)

    def placeholder_batch(self, batch_size, num_frames, context_frames=0):
        """A batch of placeholders of static shape, with `num_frames` frames per example.

        Args:
          context_frames: of the context of each example, of a video of its own; 0: no contexts.
        """
        placeholder, frame_bytes = tf.compat.v1.placeholder, sum(self.feature_sizes)
        batch = {"frames": placeholder(tf.uint8, [batch_size, num_frames, frame_bytes]),
                 "frame_valid": placeholder(tf.bool, [batch_size, num_frames]),
                 "num_frames": placeholder(tf.int32, [batch_size])}
        if context_frames:
            batch.update(context=placeholder(tf.uint8, [batch_size, context_frames, frame_bytes]),
                         context_valid=placeholder(tf.bool, [batch_size, context_frames]),
                         video=placeholder(tf.int32, [batch_size]))
        for name in ["labels"] + ["video_classes"] * self._video_classes:
            batch[name] = tf.compat.v1.sparse_placeholder(tf.float32, [batch_size, self.num_classes])
        return batch

    def serving_batch(self, serialized):
        """Batch of serialized SequenceExamples, a string [batch] tensor, for a SavedModel; whole videos."""
        wanted = {"id": tf.string, "frames": tf.uint8, "frame_valid": tf.bool, "num_frames": tf.int32}

        def parse(one):
            group = self.parse_videos(tfrecord.Record(one[0][tf.newaxis], "request", one[1][tf.newaxis], 0))
            return {name: group[name][0] for name in wanted}

        # One by one: TensorFlow's parsers refuse a request without records as a group.
        return tf.map_fn(parse, (serialized, tf.range(tf.size(serialized))), wanted)


def dequantize(frames, valid):
    """uint8 frames [.., frames, bytes] -> float32 in [-2, 2], zero where not `valid` [.., frames]."""
    return writing.dequantized(tf.cast(frames, tf.float32)) * tf.cast(valid, tf.float32)[..., tf.newaxis]


def normalize(model_input_raw):
    """L2-normalises along the feature axis, as every model expects."""
    return tf.nn.l2_normalize(model_input_raw, axis=-1)


def dense_labels(batch, name="labels"):
    """float32 [batch, classes]: 1 for a label; of segments, the score of a rated class. See `examples` on names."""
    # Records may repeat a label or list them out of order.
    return tf.sparse.to_dense(batch[name], validate_indices=False)


def label_weights(batch):
    """float32 [batch, classes]: 1 where a class was rated."""
    labels = batch["labels"]
    rated = tf.SparseTensor(labels.indices, tf.ones_like(labels.values), labels.dense_shape)
    return tf.sparse.to_dense(rated, validate_indices=False)
