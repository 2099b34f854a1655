"""Evaluates checkpoints on labelled records."""
import contextlib

import tensorflow as tf

from src.common import files
from src.common import sessions
from src.common.errors import InputError
from src.common.progress import Progress
from src.data import damage
from src.data import passes
from src.data import pipeline
from src.data import readers
from src.evaluation.metrics import EvaluationMetrics
from src.trained import forward

tf1 = tf.compat.v1


class Evaluator(object):
    """Evaluates checkpoints of a model on records; one graph serves all checkpoints.

    In segment mode only the rated classes of each segment count in predictions and loss.

    Args:
      model: see `models.create`.
      reader: see `data.readers`.
      label_loss: see `training.losses`.
      paths: shards.
      batch_size: examples per batch.
      num_readers: shards read in parallel.
      top_k: predictions per example that count for MAP and GAP.
      max_examples: evaluation stops after this many; None: after all.
    """

    def __init__(self, model, reader, label_loss, paths, batch_size, num_readers, top_k, max_examples=None):
        self._paths, self._form, self._max_examples = paths, reader.form, max_examples
        self._total_bytes = files.total_bytes(paths)
        self._metrics = EvaluationMetrics(reader.num_classes, top_k)
        self._graph = tf.Graph()
        with self._graph.as_default():
            segment_labels, frame_indices = reader.segment_labels, forward.frame_picker(model, reader)
            with tf.device("/cpu:0"):
                self._iterator = tf1.data.make_initializable_iterator(pipeline.evaluation_batches(
                    reader, paths, batch_size, frame_indices, num_readers, passes.EVALUATION, view=forward.view(model)))
                batch = self._iterator.get_next()
            labels = readers.dense_labels(batch)
            weights = readers.label_weights(batch) if segment_labels else None
            predictions = forward.of_batch(model, reader, batch,
                                           frames_sampled=frame_indices is not None)["predictions"]
            loss = label_loss.calculate_loss(predictions, labels, weights)
            if segment_labels:
                predictions *= weights
            self._fetches = {"id": batch["id"], "predictions": predictions, "labels": labels, "loss": loss,
                             "bytes": batch["bytes"]}
            if segment_labels:
                self._fetches["num_ratings"] = tf.reduce_sum(weights, axis=0)
        self.variables = self._graph.get_collection(tf1.GraphKeys.GLOBAL_VARIABLES)

    def batches(self, restore):
        """Yields a dict of NumPy arrays per batch: `id`, `predictions`, `labels` [batch, classes], `loss` and others.

        Args:
          restore: function that restores `variables` into a given session.
        """
        with self._graph.as_default(), damage.explained(self._paths, self._form), \
                tf1.Session(config=sessions.config()) as session:
            restore(session)
            yield from forward.fetch_all(session, self._iterator, self._fetches)

    def evaluate(self, restore):
        """Returns the `metrics.Metrics` of one pass over the records; arguments as of `batches`.

        Raises:
          InputError: the records hold no example or no label, or a prediction is not a probability.
        """
        self._metrics.clear()
        progress, read = Progress("evaluation", "examples", self._max_examples), 0.0
        batches = self.batches(restore)
        with contextlib.closing(batches):
            for batch in batches:
                if batch["predictions"].size and not batch["predictions"].min() >= 0:
                    raise InputError("The checkpoint predicts numbers that are not probabilities: it is "
                                     "broken, evaluate an earlier one.")
                values = self._metrics.accumulate(batch["predictions"], batch["labels"], batch["loss"],
                                                  batch.get("num_ratings"))
                read += batch["bytes"].sum()
                progress.add(len(batch["id"]), ", ".join("%s %.4g" % pair for pair in sorted(values.items())),
                             read / self._total_bytes)
                if self._max_examples and progress.done >= self._max_examples:
                    break
        if not progress.done:
            raise InputError("The %d evaluation shards such as %s hold no example: segment labels come from "
                             "3/frame/validate." % (len(self._paths), self._paths[0]))
        progress.finish()
        return self._metrics.get()
