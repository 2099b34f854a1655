"""Records -> tensors, with the checks that a record is usable.

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

# Context features with one entry per rating.
RATINGS = collections.OrderedDict(zip(forms.RATINGS, (tf.int64, tf.int64, tf.float32)))


class RatingTensors(typing.NamedTuple):
    """A video's ratings, [ratings] each; of a start and class rated several times, the last."""
    starts: tf.Tensor  # int64, seconds
    labels: tf.Tensor  # int64
    scores: tf.Tensor  # float32, 0 or 1


def unusable(record, form):
    """The marked sentence about an unusable Record; `damage.explained` completes it with what is wrong."""
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
      {name: SparseTensor [n, values]} of the context, {name: string [n, frames]} of the lists.
    """
    sizes, _ = tf.io.decode_proto(serialized, "tensorflow.SequenceExample", ["context"], [tf.string])
    with tf.control_dependencies([_evaluated(tf.reduce_min(sizes))]):
        serialized = tf.identity(serialized)
    wanted = {name: tf.io.VarLenFeature(kind) for name, kind in context.items()}
    wanted_strings = {name: wanted.pop(name) for name, kind in context.items() if kind == tf.string}
    parsed, strings, _ = tf.io.parse_sequence_example(
        serialized, wanted or {"": tf.io.VarLenFeature(tf.int64)},
        {name: tf.io.FixedLenSequenceFeature([], tf.string) for name in lists} or None, record_sentences)
    with tf.control_dependencies([_evaluated(tf.size(next(iter(parsed.values())).values))]):
        serialized = tf.identity(serialized)
    parsed.update(tf.io.parse_example(serialized, wanted_strings, example_names=record_sentences))
    return parsed, strings


def _evaluated(number):
    """Op that forces the evaluation of a nonnegative number: Grappler prunes unused control inputs."""
    return tf.raw_ops.Assert(condition=number >= 0, data=[""], summarize=1)


def one_id(ids):
    """Conditions on the values [n] of `id`."""
    return [tf.equal(tf.size(ids), 1), tf.reduce_all(are_video_ids(ids))]


def whole_frames(frames, form):
    """Conditions on a list of strings [frames] of the features."""
    counts = [tf.size(strings) for strings in frames]
    conditions = [counts[0] > 0] + [tf.equal(count, counts[0]) for count in counts[1:]]
    return conditions + [tf.reduce_all(tf.equal(tf.strings.length(strings), size))
                         for strings, (_, size) in zip(frames, form.features)]


def are_ratings(context, form):
    """Conditions on a context parsed with RATINGS."""
    starts, labels, scores = (context[name] for name in RATINGS)
    return [tf.equal(tf.size(starts), tf.size(labels)), tf.equal(tf.size(starts), tf.size(scores)),
            tf.reduce_all((starts >= 0) & (starts < form.max_frames)), tf.reduce_all(are_labels(labels, form)),
            tf.reduce_all(tf.equal(scores, 0) | tf.equal(scores, 1))]


def last_ratings(context, form):
    """`RatingTensors` of a context for which `are_ratings` holds."""
    starts, labels, scores = (context[name] for name in RATINGS)
    pairs, pair = tf.unique(starts * form.num_classes + labels)
    last = tf.math.unsorted_segment_max(tf.range(tf.size(pair)), pair, tf.size(pairs))
    return RatingTensors(tf.gather(starts, last), tf.gather(labels, last), tf.gather(scores, last))


def rating_counts(ratings, num_frames, record):
    """Counts of `passes.COUNTS`, as a dict of scalars, for a video's `RatingTensors`."""
    return {"bytes": framing.num_bytes(record.serialized), "ratings": tf.size(ratings.scores),
            "labels": tf.math.count_nonzero(ratings.scores),
            "beyond": tf.math.count_nonzero(ratings.starts >= tf.cast(num_frames, tf.int64))}


def parse_ratings(record, form):
    """The rated segments of a record, whatever its frames are.

    Returns:
      The video's id, `RatingTensors`, and its number of frames; max_frames if the record has no lists at all.
    """
    sentence = unusable(record, form)
    context, _ = parse_sequence_example([record.serialized], [sentence], dict(RATINGS, id=tf.string))
    context = {name: sparse.values for name, sparse in context.items()}
    with tf.control_dependencies([context["id"]]):  # which shows that the record parses
        lists, length = _lists(tf.identity(record.serialized))
    conditions = one_id(context["id"]) + are_ratings(context, form) + [tf.equal(lists, 0) | (length > 0)]
    with tf.control_dependencies([sentences.stop_unless(conditions, sentence)]):
        context = {name: tf.identity(values) for name, values in context.items()}
    return context["id"][0], last_ratings(context, form), tf.where(lists > 0, length, form.max_frames)


def _lists(serialized):
    """int32 scalars: number of lists of a SequenceExample, whatever their names, and frames of the longest."""
    levels = [("tensorflow.SequenceExample", "feature_lists"), ("tensorflow.FeatureLists", "feature_list"),
              ("tensorflow.FeatureLists.FeatureListEntry", "value"), ("tensorflow.FeatureList", "feature")]
    messages, sizes = tf.reshape(serialized, [1]), []
    for message, field in levels:
        size, (values,) = tf.io.decode_proto(messages, message, [field], [tf.string])
        messages = tf.reshape(values, [-1])  # an empty message where the field is missing
        sizes.append(size)
    return tf.reduce_sum(sizes[1]), tf.reduce_max(sizes[3])
