"""Outputs of evaluations in a model's folder: results.csv, classes_STEP.csv, TensorBoard points, best checkpoint."""
import collections
import csv
import logging
import os

import numpy as np
from tensorboard.plugins.pr_curve import summary
import tensorflow as tf

from src.common import atomic
from src.common import tensorboard
from src.data import vocabulary
from src.evaluation import classes
from src.trained import checkpoints
from src.trained import evaluations

tf1 = tf.compat.v1
log = logging.getLogger("yt8m")


def all_evaluated(train_dir, paths, kind):
    """Whether all these checkpoints, as they are now, were evaluated in a way; see `evaluations.is_kind`."""
    evaluated = {row["checkpoint_crc32"] for row in evaluations.read(train_dir) if evaluations.is_kind(row, kind)}
    return all(checkpoints.identity(path) in evaluated for path in paths)


class Results(object):
    """The evaluations of a model's checkpoints, including those of earlier runs.

    Args:
      train_dir: the model's folder.
      kind: {name: value} of `evaluations.KIND`.
      names: {class: name}; None: no names.
      flags_table: Markdown table of the evaluation's flags, for TensorBoard.

    Raises:
      InputError: results.csv or best_checkpoint.json is damaged, or cannot be written.
    """

    def __init__(self, train_dir, kind, names=None, flags_table=""):
        self.train_dir, self._kind, self._names = train_dir, kind, names or {}
        self._csv = evaluations.path(train_dir)
        atomic.check_writable(self._csv)
        self._update_best()  # an earlier run may have been killed before it did
        self._writer = tf1.summary.FileWriter(os.path.join(train_dir, "eval"))
        self._writer.add_summary(tensorboard.text("eval/flags", flags_table))

    def __contains__(self, checkpoint):
        """Whether exactly this checkpoint was evaluated on the same records in the same way."""
        return all_evaluated(self.train_dir, [checkpoint], self._kind)

    def add(self, checkpoint, step, metrics):
        """Records `metrics.Metrics` of a checkpoint; they replace an earlier evaluation of the same kind."""
        self._write_classes(step, metrics)
        values = dict(metrics._asdict(), step=step, checkpoint_crc32=checkpoints.identity(checkpoint), **self._kind)
        # Read again each time, because another evaluation may be writing, too.
        rows = [row for row in evaluations.read(self.train_dir)
                if row["step"] != str(step) or not evaluations.is_kind(row, self._kind)]
        rows.append({name: str(values[name]) for name in evaluations.COLUMNS})
        with atomic.replacing(self._csv) as stream:
            writer = csv.DictWriter(stream, evaluations.COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        self._writer.add_summary(tensorboard.numbers("eval/", metrics.points), step)
        self._writer.add_summary(_precision_recall(metrics.curve), step)
        self._writer.flush()
        log.info("step %d: %s, %d examples", step, ", ".join("%s %.4f" % point for point in metrics.points),
                 metrics.examples)
        self._update_best()

    def _write_classes(self, step, metrics):
        """Writes each class's AP, and logs the best and the worst classes."""
        path = os.path.join(self.train_dir, "eval", "classes_%d.csv" % step)
        positive = metrics.counts.labels[metrics.counts.positives > 0]
        precisions = dict(zip(positive.tolist(), np.asarray(metrics.aps).tolist()))
        classes.write(path, self._names, metrics.counts, collections.OrderedDict(AP=precisions))
        for what, labels in zip(("best", "worst"), classes.extremes(precisions)):
            log.info("step %d: %s classes: %s", step, what, ", ".join(
                "%s %.4f" % (vocabulary.name_of(self._names, label), precisions[label]) for label in labels) or "-")
        log.info("step %d: %d classes rated, %d of them without a positive: %s", step, len(metrics.counts.labels),
                 len(metrics.counts.labels) - len(positive), path)

    def _update_best(self):
        """Writes best_checkpoint.json if the results name another checkpoint."""
        best = checkpoints.best(self.train_dir)
        if best and best != checkpoints.stored_best(self.train_dir):
            atomic.write_json(checkpoints.best_path(self.train_dir), best)


def _precision_recall(curve):
    """A serialized summary of a `metrics.Curve`."""
    right, wrong, rightly_left, wrongly_left = curve
    return summary.raw_data_pb(
        "eval/precision_recall", right, wrong, rightly_left, wrongly_left,
        precision=right / np.maximum(right + wrong, 1), recall=right / np.maximum(right + wrongly_left, 1),
        num_thresholds=len(right),
        description="All classes together; only the --top_k predictions per example count.").SerializeToString()
