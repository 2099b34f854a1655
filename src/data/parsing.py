"""Groups of records -> tensors, with the checks that each record is usable.

The checks are few and quick, as every record of every pass goes through them. `faults` says what is wrong with a record
that does not pass. Both go by the same Form.
"""
import collections
import typing

import tensorflow as tf

from src.common import sentences
from src.data import forms
from src.data import framing
from src.data import segment_ids
from src.data import tfrecord

GROUP_BYTES = 6 << 20  # of features that are parsed together; more than that takes no less time per record
MAX_GROUP = 256  # records that are parsed together

# Context features with one entry per rating.
RATINGS = collections.OrderedDict(zip(forms.RATINGS, (tf.int64, tf.int64, tf.float32)))


class RatingTensors(typing.NamedTuple):
    """The ratings of a group's videos, [ratings] each; of those of one video, start and class, the last."""
    rows: tf.Tensor  # int64, of the videos, ascending
    starts: tf.Tensor  # int64, seconds
    labels: tf.Tensor  # int64
    scores: tf.Tensor  # float32, 0 or 1


class Lists(typing.NamedTuple):
    """A list of byte strings of each record of a group."""
    strings: tf.Tensor  # string [n, longest list], padded with empty strings
    lengths: tf.Tensor  # int32 [n]


def in_groups(records, form, parse):
    """Dataset of what is in a dataset of `tfrecord.Record`s, which are parsed in groups, on all cores, in order.

    Memory: each core parses two groups, of at most GROUP_BYTES each if no video is longer than YouTube-8M's.

    Args:
      records: the dataset.
      form: the `forms.Form` of the records.
      parse: function from a Record whose fields are [n] to a structure of tensors, whose rows become elements.
    """
    size = max(1, min(MAX_GROUP, GROUP_BYTES // forms.usual_bytes(form)))
    groups = tfrecord.parallel_map(records.batch(size), lambda *fields: parse(tfrecord.Record(*fields)))
    return groups.apply(tf.data.experimental.unbatch())


def unusable(record, form):
    """The marked sentence about each unusable record of a group; `damage.explained` completes it with what is wrong."""
    return sentences.marked([record.path, ", record ", tf.strings.as_string(record.index), ", ", forms.mismatch(form)])


def are_video_ids(ids):
    """bool of the shape of a string tensor: which strings may be ids of videos."""
    lengths = tf.strings.length(ids)
    # \C is a byte, whatever the characters are.
    separated = tf.strings.regex_full_match(ids, r"\C*[%s]\C*" % segment_ids.SEPARATORS.decode())
    return (lengths > 0) & (lengths <= segment_ids.MAX_VIDEO_BYTES) & ~separated


def are_labels(labels, form):
    """bool of the shape of an int tensor: which numbers are classes."""
    return (labels >= 0) & (labels < form.num_classes)


def counts(rows, num_rows):
    """int32 [num_rows]: how often each row is among `rows`, int64 [values]."""
    return tf.math.unsorted_segment_sum(tf.ones_like(rows, tf.int32), rows, num_rows)


def all_in_row(good, rows, num_rows):
    """bool [num_rows]: whether `good` [values] is true for all values of each row; `rows` [values] are their rows."""
    return tf.math.unsorted_segment_min(tf.cast(good, tf.int32), rows, num_rows) > 0


def parse_sequence_example(serialized, record_sentences, context, lists=()):
    """Parses SequenceExamples, or Examples, which are SequenceExamples without lists.

    Most of TensorFlow's parsers end the process on a record that is no protocol buffer, because their error quotes its
    bytes, which are not UTF-8. The parser used here stops with the record's sentence instead, but it reads beyond a
    record in which the length of a part, or of a string of the context, is too large. Therefore decode_proto checks the
    lengths of parts first, and parse_example reads the strings, of records that are known to be protocol buffers.

    Args:
      serialized: string [n].
      record_sentences: string [n], marked: the error about a record holds its sentence.
      context: {name: dtype} of the context features; a record may lack them.
      lists: names of lists of byte strings; a record may not lack them.

    Returns:
      {name: SparseTensor [n, values]} of the context, list of `Lists`.
    """
    sizes, _ = tf.io.decode_proto(serialized, "tensorflow.SequenceExample", ["context"], [tf.string])
    with tf.control_dependencies([_evaluated(tf.reduce_min(sizes))]):
        serialized = tf.identity(serialized)
    numbers = {name: kind for name, kind in context.items() if kind != tf.string} or {"": tf.int64}
    parsed, strings, lengths = _parsed_sequences(serialized, record_sentences, numbers, lists)
    with tf.control_dependencies([_evaluated(tf.size(next(iter(parsed.values())).values))]):
        serialized = tf.identity(serialized)
    parsed.update(parse_example(serialized, record_sentences, {
        name: kind for name, kind in context.items() if kind == tf.string}))
    return parsed, [Lists(*of_list) for of_list in zip(strings, [tf.cast(each, tf.int32) for each in lengths])]


def _parsed_sequences(serialized, record_sentences, context, lists):
    """As `parse_sequence_example`, without its checks, by the op that all releases of TensorFlow have.

    tf.io.parse_sequence_example of TensorFlow 2 is of another op, so 1.15 could not load a SavedModel with it.
    """
    names = list(context)
    found = tf.raw_ops.ParseSequenceExample(
        serialized=serialized, debug_name=record_sentences, Ncontext_sparse=len(names), context_sparse_keys=names,
        context_sparse_types=[context[name] for name in names], Nfeature_list_dense=len(lists),
        feature_list_dense_keys=list(lists), feature_list_dense_types=[tf.string for _ in lists],
        feature_list_dense_shapes=[[] for _ in lists], feature_list_dense_missing_assumed_empty=[],
        context_dense_keys=[], context_dense_defaults=[], feature_list_sparse_keys=[])
    parsed = {name: tf.SparseTensor(*of_name) for name, *of_name in zip(
        names, found.context_sparse_indices, found.context_sparse_values, found.context_sparse_shapes)}
    return parsed, found.feature_list_dense_values, found.feature_list_dense_lengths


def parse_example(serialized, record_sentences, features, floats=()):
    """As tf.io.parse_example, by the op that all releases of TensorFlow have.

    Args:
      serialized: string [n], Examples that are known to be protocol buffers.
      record_sentences: string [n]; TensorFlow puts the one of a record into its errors about it.
      features: {name: dtype} of features of any length.
      floats: list of (name, size) of float features that no record may lack.

    Returns:
      {name: SparseTensor [n, values], or float32 [n, size]}.
    """
    names = list(features)
    found = tf.raw_ops.ParseExample(
        serialized=serialized, names=record_sentences, sparse_keys=names,
        sparse_types=[features[name] for name in names], dense_keys=[name for name, _ in floats],
        dense_defaults=[tf.constant([], tf.float32) for _ in floats], dense_shapes=[[size] for _, size in floats])
    parsed = {name: tf.SparseTensor(*of_name) for name, *of_name in zip(
        names, found.sparse_indices, found.sparse_values, found.sparse_shapes)}
    parsed.update((name, values) for (name, _), values in zip(floats, found.dense_values))
    return parsed


def _evaluated(number):
    """Op that forces the evaluation of a nonnegative number: Grappler prunes unused control inputs."""
    return tf.raw_ops.Assert(condition=number >= 0, data=[""], summarize=1)


def have_one_id(ids):
    """bool [n]: which records of a group have one id that may be one; `ids` is a SparseTensor [n, values]."""
    rows, num_rows = ids.indices[:, 0], ids.dense_shape[0]
    return tf.equal(counts(rows, num_rows), 1) & all_in_row(are_video_ids(ids.values), rows, num_rows)


def have_labels(labels, form):
    """bool [n]: which records of a group have no label that is no class; `labels` is a SparseTensor [n, values]."""
    return all_in_row(are_labels(labels.values, form), labels.indices[:, 0], labels.dense_shape[0])


def have_frames(frames, form):
    """bool [n]: which records of a group have frames of the right sizes, as many of each feature.

    Args:
      frames: list of the `Lists` of the features of `form`.
      form: `forms.Form`.
    """
    usable = frames[0].lengths > 0
    for (strings, lengths), (_, size) in zip(frames, form.features):
        whole = tf.reduce_sum(tf.cast(tf.equal(tf.strings.length(strings), size), tf.int32), axis=1)
        usable &= tf.equal(lengths, frames[0].lengths) & tf.equal(lengths, whole)
    return usable


def have_ratings(context, form):
    """bool [n]: which records of a group, parsed with RATINGS, have ratings that can be."""
    starts, labels, scores = (context[name] for name in RATINGS)
    num_rows = starts.dense_shape[0]
    numbers = [counts(each.indices[:, 0], num_rows) for each in (starts, labels, scores)]
    usable = tf.equal(numbers[0], numbers[1]) & tf.equal(numbers[0], numbers[2]) & have_labels(labels, form)
    usable &= all_in_row((starts.values >= 0) & (starts.values < form.max_frames), starts.indices[:, 0], num_rows)
    usable &= all_in_row(tf.equal(scores.values, 0) | tf.equal(scores.values, 1), scores.indices[:, 0], num_rows)
    if form.labelled:
        usable &= tf.equal(numbers[0], 0) | (counts(context["labels"].indices[:, 0], num_rows) > 0)
        usable &= have_labels(context["labels"], form)
    return usable


def identity(context):
    """A parsed context again, {name: SparseTensor}, which waits for the control dependencies around it."""
    return {name: tf.SparseTensor(tf.identity(each.indices), tf.identity(each.values), each.dense_shape)
            for name, each in context.items()}


def last_ratings(context, form):
    """`RatingTensors` of a context for which `have_ratings` holds."""
    starts, labels, scores = (context[name].values for name in RATINGS)
    rows = context[forms.RATINGS[0]].indices[:, 0]
    pairs, pair = tf.unique((rows * form.max_frames + starts) * form.num_classes + labels)
    last = tf.math.unsorted_segment_max(tf.range(tf.size(pair)), pair, tf.size(pairs))
    return RatingTensors(*(tf.gather(each, last) for each in (rows, starts, labels, scores)))


def rating_counts(ratings, num_frames, record):
    """Counts of `passes.COUNTS`, as a dict of scalars, for the `RatingTensors` of a group.

    Args:
      ratings: RatingTensors.
      num_frames: int32 [n], of the videos.
      record: the group.
    """
    after = ratings.starts >= tf.cast(tf.gather(num_frames, ratings.rows), tf.int64)
    return {"bytes": tf.reduce_sum(framing.num_bytes(record.serialized)), "ratings": tf.size(ratings.scores),
            "labels": tf.math.count_nonzero(ratings.scores), "beyond": tf.math.count_nonzero(after)}


def parse_ratings(record, form):
    """The rated segments of a group of records, whatever their frames are.

    Returns:
      The ids of the videos, `RatingTensors`, and the videos' numbers of frames; max_frames of a record without lists.
    """
    told = unusable(record, form)
    context, _ = parse_sequence_example(record.serialized, told, dict(RATINGS, id=tf.string))
    with tf.control_dependencies([context["id"].values]):  # which shows that the records parse
        lists, lengths = _lists(tf.identity(record.serialized))
    usable = have_one_id(context["id"]) & have_ratings(context, form) & (tf.equal(lists, 0) | (lengths > 0))
    with tf.control_dependencies([sentences.stop_at_first(~usable, told)]):
        context = identity(context)
    return context["id"].values, last_ratings(context, form), tf.where(
        lists > 0, lengths, tf.fill(tf.shape(lists), form.max_frames))


def _lists(serialized):
    """int32 [n] each: number of lists of SequenceExamples [n], whatever their names, and frames of the longest."""
    levels = [("tensorflow.SequenceExample", "feature_lists"), ("tensorflow.FeatureLists", "feature_list"),
              ("tensorflow.FeatureLists.FeatureListEntry", "value"), ("tensorflow.FeatureList", "feature")]
    messages, sizes = serialized[:, tf.newaxis], []
    for message, field in levels:
        size, (values,) = tf.io.decode_proto(messages, message, [field], [tf.string])
        # An empty message where the field is missing.
        messages = tf.reshape(values, [tf.size(serialized), tf.reduce_prod(tf.shape(values)[1:])])
        sizes.append(size)
    return tf.reduce_sum(sizes[1], axis=[1, 2]), tf.reduce_max(sizes[3], axis=[1, 2])
