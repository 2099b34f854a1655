"""Records -> tensors, with the checks that a record is usable.

The checks are few and quick, as every record of every pass goes through them; `inspection` says what is wrong with a
record that does not pass. Both go by the same Form.
"""
import collections

import tensorflow as tf

from src.common import program
from src.data import inspection
from src.data import segment_ids
from src.data import tfrecord

# Context features of one entry a rating.
RATINGS = collections.OrderedDict(zip(inspection.RATINGS, (tf.int64, tf.int64, tf.float32)))

# starts, labels: int64 [ratings]; scores: float32 [ratings]; of a start and class rated several times, the last.
Ratings = collections.namedtuple("Ratings", "starts labels scores")


def unusable(record, form):
    """The marked sentence about a Record of tensors that is unusable, until `tfrecord.explained` says why it is."""
    before, after = program.MARKED.split("%s")
    return tf.strings.join([before, record.path, ", record ", tf.strings.as_string(record.index), ", ",
                            inspection.not_of_form(form), after])


def stop_unless(conditions, sentence):
    """Op that stops with a marked sentence unless all of the bool scalars are true."""
    return tf.raw_ops.Assert(condition=tf.reduce_all(tf.stack(conditions)), data=[sentence], summarize=1)


def are_video_ids(ids):
    """bool of the shape of a string tensor: which of them may be ids of videos."""
    lengths = tf.strings.length(ids)
    # \C is a byte, whatever the characters are.
    separated = tf.strings.regex_full_match(ids, r"\C*[%s]\C*" % segment_ids.SEPARATORS.decode())
    return (lengths > 0) & (lengths <= segment_ids.MAX_VIDEO_BYTES) & ~separated


def are_labels(labels, form):
    """bool of the shape of an int tensor: which of them are classes."""
    return (labels >= 0) & (labels < form.num_classes)


def parse_sequence_example(serialized, sentences, context, lists=()):
    """Parses SequenceExamples, or Examples, which are ones without lists.

    TensorFlow's other parsers end the process on a record that is no protocol buffer, because their error quotes
    its bytes, which are not UTF-8; the one used here gives the record's sentence. But it reads beyond a record of which
    a part, or a string of the context, is said to be longer than it is: the first is found out before, and the strings
    are read by another one, of records that are protocol buffers.

    Args:
      serialized: string [n].
      sentences: string [n], marked, of which the error holds the one about the record.
      context: {name: dtype} of the context features; a record may lack them.
      lists: names of lists of byte strings; a record may not lack them.

    Returns:
      {name: SparseTensor [n, values]} of the context, {name: string [n, frames]} of the lists.
    """
    sizes, _ = tf.io.decode_proto(serialized, "tensorflow.SequenceExample", ["context"], [tf.string])
    with tf.control_dependencies([_known(tf.reduce_min(sizes))]):
        serialized = tf.identity(serialized)
    wanted = {name: tf.io.VarLenFeature(kind) for name, kind in context.items()}
    wanted_strings = {name: wanted.pop(name) for name, kind in context.items() if kind == tf.string}
    parsed, strings, _ = tf.io.parse_sequence_example(
        serialized, wanted or {"": tf.io.VarLenFeature(tf.int64)},
        {name: tf.io.FixedLenSequenceFeature([], tf.string) for name in lists} or None, sentences)
    with tf.control_dependencies([_known(tf.size(next(iter(parsed.values())).values))]):
        serialized = tf.identity(serialized)
    parsed.update(tf.io.parse_example(serialized, wanted_strings, example_names=sentences))
    return parsed, strings


def _known(number):
    """Op that has a number from 0 on computed, where a mere dependency on what nobody uses would be dropped."""
    return tf.raw_ops.Assert(condition=number >= 0, data=[""], summarize=1)


def one_id(ids):
    """Conditions of the values [n] of `id`."""
    return [tf.equal(tf.size(ids), 1), tf.reduce_all(are_video_ids(ids))]


def whole_frames(frames, form):
    """Conditions of a list of strings [frames] of the features."""
    counts = [tf.size(strings) for strings in frames]
    conditions = [counts[0] > 0] + [tf.equal(count, counts[0]) for count in counts[1:]]
    return conditions + [tf.reduce_all(tf.equal(tf.strings.length(strings), size))
                         for strings, (_, size) in zip(frames, form.features)]


def are_ratings(context, form):
    """Conditions of a context parsed with RATINGS."""
    starts, labels, scores = (context[name] for name in RATINGS)
    return [tf.equal(tf.size(starts), tf.size(labels)), tf.equal(tf.size(starts), tf.size(scores)),
            tf.reduce_all((starts >= 0) & (starts < form.max_frames)), tf.reduce_all(are_labels(labels, form)),
            tf.reduce_all(tf.equal(scores, 0) | tf.equal(scores, 1))]


def last_ratings(context, form):
    """`Ratings` of a context of which `are_ratings` holds."""
    starts, labels, scores = (context[name] for name in RATINGS)
    pairs, pair = tf.unique(starts * form.num_classes + labels)
    last = tf.math.unsorted_segment_max(tf.range(tf.size(pair)), pair, tf.size(pairs))
    return Ratings(tf.gather(starts, last), tf.gather(labels, last), tf.gather(scores, last))


def rating_counts(ratings, num_frames, record):
    """Counts of `passes.COUNTS`, as a dict of scalars, of a video's `Ratings`."""
    return {"bytes": tfrecord.num_bytes(record.serialized), "ratings": tf.size(ratings.scores),
            "labels": tf.math.count_nonzero(ratings.scores),
            "beyond": tf.math.count_nonzero(ratings.starts >= tf.cast(num_frames, tf.int64))}


def parse_ratings(record, form):
    """The rated segments of a record whose frames do not matter.

    Returns:
      The video's id, `Ratings`, and the number of its frames; max_frames where the record has no lists at all.
    """
    sentence = unusable(record, form)
    context, _ = parse_sequence_example([record.serialized], [sentence], dict(RATINGS, id=tf.string))
    context = {name: sparse.values for name, sparse in context.items()}
    with tf.control_dependencies([context["id"]]):  # a record that parses
        lists, length = _lists(tf.identity(record.serialized))
    conditions = one_id(context["id"]) + are_ratings(context, form) + [tf.equal(lists, 0) | (length > 0)]
    with tf.control_dependencies([stop_unless(conditions, sentence)]):
        context = {name: tf.identity(values) for name, values in context.items()}
    return context["id"][0], last_ratings(context, form), tf.where(lists > 0, length, form.max_frames)


def _lists(serialized):
    """Number of lists of a SequenceExample, whatever they are called, and frames of the longest; int32 scalars."""
    levels = [("tensorflow.SequenceExample", "feature_lists"), ("tensorflow.FeatureLists", "feature_list"),
              ("tensorflow.FeatureLists.FeatureListEntry", "value"), ("tensorflow.FeatureList", "feature")]
    messages, sizes = tf.reshape(serialized, [1]), []
    for message, field in levels:
        size, (values,) = tf.io.decode_proto(messages, message, [field], [tf.string])
        messages = tf.reshape(values, [-1])  # an empty one where there is none
        sizes.append(size)
    return tf.reduce_sum(sizes[1]), tf.reduce_max(sizes[3])
