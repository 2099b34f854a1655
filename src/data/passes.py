"""A pass over shards: its counts, the videos that it keeps, and the messages at its end."""
import functools
import itertools
import logging

import tensorflow as tf

from src.common import files
from src.common import sentences
from src.common import text
from src.common.errors import InputError
from src.data import framing
from src.data import parsing
from src.data import tfrecord

log = logging.getLogger("yt8m")

# bytes: of the records in their shards; examples: videos or segments; labels: of the videos, or positive ratings;
# ratings: of segments; beyond: ratings that start after the last frame of their video; twice: records left out because
# their video occurred before.
COUNTS = ("bytes", "examples", "labels", "ratings", "beyond", "twice")
TRAINING, EVALUATION = "training", "evaluation"
MAX_LINES = 10  # about records that are left out

_numbers = itertools.count()


def location(shard, index):
    """int64 location of a record: the number of its shard times 2**32, plus its index there; tensors."""
    return tf.cast(shard, tf.int64) * (1 << 32) + index


class Pass(object):
    """Reads shards from the first to the last, anew for each iterator.

    The counts and the ids of videos are resources of the session, created by name wherever they are needed: parallel
    calls add to them at nearly no cost, and one-shot iterators allow no other resources. Each pass resets them at its
    beginning.

    Memory: some 100 bytes per video if `first_of_each_video` is used.

    Args:
      paths: shards, a list or a string tensor.
      form: the `forms.Form` of their records.
      purpose: of the reading. At the end of a pass over videos without any label, TRAINING and EVALUATION stop with a
        sentence. If there are ratings and none is positive, EVALUATION stops and TRAINING logs it.
      left_out: int64 tensor, `location`s of records. `first_of_each_video` silently leaves out these records and all
        others of their videos, which are in the shards of other passes. None: leave out none.
      seed: int; the n-th pass of each session then shuffles in the same way. None: in another way each time.
    """

    def __init__(self, paths, form, purpose=None, left_out=None, seed=None):
        self._paths, self._form, self._purpose, self._left_out = paths, form, purpose or "", left_out
        self._seed = seed
        self._name = "pass_%d" % next(_numbers)

    def shards(self, shuffle=False):
        """Dataset of (path, number) of the shards, in the given order or shuffled anew for each iterator."""
        def begin(_):
            zeros = tf.zeros([len(COUNTS)], tf.int64)
            with tf.control_dependencies([
                    tf.raw_ops.AssignVariableOp(resource=self._counts(), value=zeros),
                    tf.raw_ops.LookupTableImportV2(table_handle=self._locations(), keys=tf.zeros([0], tf.string),
                                                   values=zeros[:0])]):
                paths = tf.identity(self._paths)
            numbers = self._shuffled(tf.range(tf.size(paths))) if shuffle else tf.range(tf.size(paths))
            return tf.data.Dataset.from_tensor_slices((tf.gather(paths, numbers), numbers))

        return tfrecord.untuned(tf.data.Dataset.from_tensors(0).flat_map(tfrecord.plain(begin)))

    def _shuffled(self, numbers):
        """The numbers of shards, int32 [n], in random order; counts the passes if there is a seed."""
        if self._seed is None:
            return tf.random.shuffle(numbers)
        number = self._number()
        with tf.control_dependencies([tf.raw_ops.LookupTableInsertV2(
                table_handle=self._passes(), keys=self._name, values=number + 1)]):
            return tf.gather(numbers, tf.argsort(tf.random.stateless_uniform(
                tf.shape(numbers), tf.stack([number, tf.constant(self._seed, tf.int64)]))))

    def seed(self, record):
        """int64 [2], another one for each group of records and each pass; None if the Pass has no seed.

        Args:
          record: the group, a Record of fields [n].
        """
        if self._seed is None:
            return None
        return tf.stack([self._number() * (1 << 32) + self._seed, location(record.shard[0], record.index[0])])

    def first_of_each_video(self, records):
        """The first Record of each video in this pass; a line names the shards and records of the others."""
        def identify(record):
            told = parsing.unusable(record, self._form)
            context, _ = parsing.parse_sequence_example(record.serialized, told, {"id": tf.string})
            with tf.control_dependencies([sentences.stop_at_first(~parsing.have_one_id(context["id"]), told)]):
                return tuple(record) + (tf.identity(context["id"].values),)

        def compare(*fields):
            record, video = tfrecord.Record(*fields[:-1]), fields[-1]
            here = location(record.shard, record.index)
            before = tf.raw_ops.LookupTableFindV2(table_handle=self._locations(), keys=video,
                                                  default_value=tf.constant(-1, tf.int64))
            first = kept = before < 0
            if self._left_out is not None:
                kept &= ~tf.reduce_any(tf.equal(self._left_out, here))
            with tf.control_dependencies([before]):
                entered = tf.raw_ops.LookupTableInsertV2(table_handle=self._locations(), keys=video,
                                                         values=tf.where(first, here, before))
            left_out = tf.cond(first, tf.no_op, lambda: self._leave_out(record, video, before))
            with tf.control_dependencies([entered, left_out]):
                return tuple(record) + (tf.identity(kept),)

        identified = parsing.in_groups(records, self._form, identify)
        compared = identified.map(tfrecord.plain(compare)).filter(tfrecord.plain(lambda *fields: fields[-1]))
        return compared.map(tfrecord.plain(lambda *fields: fields[:-1]))

    def videos(self):
        """Ids of the videos that `first_of_each_video` has met, string [videos], and `location`s, int64 [videos]."""
        return tf.raw_ops.LookupTableExportV2(table_handle=self._locations(), Tkeys=tf.string, Tvalues=tf.int64)

    def _leave_out(self, record, video, before):
        """Op that counts and names a record whose video occurred at the location `before`."""
        counts = tf.raw_ops.ReadVariableOp(resource=self._counts(), dtype=tf.int64)
        path = tf.gather(self._paths, tf.bitwise.right_shift(before, 32))
        index = tf.bitwise.bitwise_and(before, (1 << 32) - 1)
        with tf.control_dependencies([tf.numpy_function(
                _name_both, [self._name, counts[COUNTS.index("twice")], video, path, index, record.path, record.index],
                tf.bool)]):
            return self.count(bytes=framing.num_bytes(record.serialized), twice=1)

    def count(self, **counts):
        """Op that adds scalars to counts."""
        added = [tf.cast(counts[name], tf.int64) if name in counts else tf.constant(0, tf.int64) for name in COUNTS]
        return tf.raw_ops.AssignAddVariableOp(resource=self._counts(), value=tf.stack(added))

    def to_its_end(self, dataset):
        """The dataset, followed by the checks and messages at the end of a pass."""
        def end(_):
            counts = tf.raw_ops.ReadVariableOp(resource=self._counts(), dtype=tf.int64)
            with tf.control_dependencies([tf.numpy_function(
                    _end, [self._name, self._paths, counts, self._purpose], tf.bool)]):
                return dataset.take(tf.identity(tf.constant(0, tf.int64)))

        return dataset.concatenate(tf.data.Dataset.from_tensors(0).flat_map(tfrecord.plain(end)))

    def _counts(self):
        return tf.raw_ops.VarHandleOp(dtype=tf.int64, shape=[len(COUNTS)], shared_name=self._name + "_counts")

    def _number(self):
        """int64, how many passes with a seed have begun in this session."""
        return tf.raw_ops.LookupTableFindV2(table_handle=self._passes(), keys=self._name,
                                            default_value=tf.constant(0, tf.int64))

    def _passes(self):
        return tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.int64,
                                             shared_name=self._name + "_passes")

    def _locations(self):
        """The table video -> location of its first record."""
        return tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.int64,
                                             shared_name=self._name + "_locations")


def stands_twice(video, first_path, first_index, path, index):
    """The log line about a video, bytes, that occurs twice."""
    return "video %s is in %s, record %d, and again in %s, record %d: the first is kept" % (
        text.quoted(video), first_path, first_index, path, index)


@functools.lru_cache(maxsize=1000)
def _say(name, line):
    """Logs a line about a Pass, once even if the pass is repeated."""
    del name
    log.info("%s", line)


@sentences.for_graph
def _name_both(name, lines, video, first_path, first_index, path, index):
    if lines < MAX_LINES:
        _say(name, stands_twice(video, first_path.decode(), first_index, path.decode(), index))


@sentences.for_graph
def _end(name, paths, counts, purpose):
    paths, counts = [path.decode() for path in paths], dict(zip(COUNTS, counts.tolist()))
    sizes = files.sizes(paths)
    if counts["bytes"] != sum(sizes):
        tfrecord.check_ends(paths)
    if 0 in sizes:
        _say(name, "%d of %d shards are empty, such as %s: if they were downloaded, fetch them again"
             % (sizes.count(0), len(paths), paths[sizes.index(0)]))
    if counts["twice"] > MAX_LINES:
        _say(name, "%d records in all are of videos that occurred before: the first of each is kept"
             % counts["twice"])
    if counts["beyond"]:
        _say(name, "%d of %d ratings start after the last frame of their video: their frames are zeros"
             % (counts["beyond"], counts["ratings"]))
    purpose = purpose.decode()
    if purpose and counts["ratings"] and not counts["labels"]:
        sentence = "None of the %d ratings in the %d shards such as %s is positive: give more shards." % (
            counts["ratings"], len(paths), paths[0])
        if purpose == EVALUATION:
            raise InputError(sentence)
        _say(name, sentence)
    elif purpose and counts["examples"] and not counts["labels"]:
        raise InputError("None of the %d videos in the %d shards such as %s has a label: labels come with the train "
                         "and validate partitions, not with test." % (counts["examples"], len(paths), paths[0]))
