"""Scores of records batch by batch: whole videos, or all their segments at several shifts."""
import contextlib

import tensorflow as tf

from src.common.errors import InputError
from src.data import pipeline
from src.data import readers
from src.data import tfrecord

tf1 = tf.compat.v1


def evaluation_indices(model, reader):
    """The function by which the reader picks a video's frames for the model, or None at video level."""
    if not model.frame_level:
        return None
    return lambda num_frames: model.frame_indices(num_frames, reader.max_frames, is_training=False)


def run(graph, iterator, fetches, paths, form, restore):
    """Yields `fetches` as NumPy until the iterator's data ends.

    Args:
      graph: the graph of all the others.
      iterator: an initializable iterator over the records of `paths`.
      fetches: dict of tensors.
      paths: shards, named in errors.
      form: the `inspection.Form` of their records.
      restore: function that restores the variables into the session it is given.
    """
    config = tf1.ConfigProto(allow_soft_placement=True)
    config.gpu_options.allow_growth = True
    with graph.as_default(), tfrecord.explained(paths, form), tf1.Session(config=config) as session:
        restore(session)
        session.run(iterator.initializer)
        with contextlib.suppress(tf.errors.OutOfRangeError):
            while True:
                yield session.run(fetches)


class Scorer(object):
    """A model and the records whose classes it is to score.

    Args:
      model: see `models.create`.
      reader: see `data.readers`; must not be one of rated segments.
      paths: shards.
      batch_size: videos a batch; segments, about, where `shifts` are given.
      num_readers: shards read side by side.
      shifts: score every segment of every video at each of these shifts (frames); None: score
        whole videos.
      classes: the classes to score, or None for all.
    """

    def __init__(self, model, reader, paths, batch_size, num_readers, shifts=None, classes=None):
        self._paths, self._form = paths, reader.form
        self._graph = tf.Graph()
        with self._graph.as_default():
            frame_indices = evaluation_indices(model, reader) if shifts is None else None
            with tf.device("/cpu:0"):
                if shifts is None:
                    batches = pipeline.evaluation_batches(reader, paths, batch_size, frame_indices, num_readers)
                else:
                    batches = pipeline.segment_batches(reader, paths, shifts, batch_size, num_readers)
                self._iterator = tf1.data.make_initializable_iterator(batches)
                batch = self._iterator.get_next()
            with tf1.variable_scope("tower"):
                predictions = model.create_model(
                    readers.normalize(reader.model_input_raw(batch)), vocab_size=reader.num_classes,
                    num_frames=batch.get("num_frames"), is_training=False,
                    frames_sampled=frame_indices is not None)["predictions"]
            if classes is not None:
                if max(classes) >= reader.num_classes:
                    raise InputError("--segment_label_ids_file lists class %d, but the model knows 0..%d only."
                                     % (max(classes), reader.num_classes - 1))
                predictions = tf.gather(predictions, classes, axis=1)
            self._fetches = {"id": batch["id"], "scores": predictions, "bytes": batch["bytes"]}
            if shifts is not None:
                self._fetches["shift"] = batch["shift"]
        self.variables = self._graph.get_collection(tf1.GraphKeys.GLOBAL_VARIABLES)

    def batches(self, restore):
        """Yields dicts of NumPy arrays: `id` [n], `scores` [n, classes], `bytes`, and `shift`, an index.

        Args:
          restore: function that restores `variables` into the session it is given.
        """
        return run(self._graph, self._iterator, self._fetches, self._paths, self._form, restore)
