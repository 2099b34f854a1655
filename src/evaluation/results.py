"""Outputs of evaluations in a model's folder: results.csv, classes_STEP.csv, TensorBoard points, best checkpoint."""
import collections
import csv
import logging
import os
import zlib

import numpy as np
from tensorboard import summary
import tensorflow as tf

from src.common import atomic
from src.common import files
from src.common import tensorboard
from src.common import text
from src.common.errors import InputError
from src.data import vocabulary
from src.evaluation import classes
from src.trained import checkpoints

tf1 = tf.compat.v1
log = logging.getLogger("yt8m")

_FIGURES = {"step": int, "examples": int, "hit_at_one": float, "perr": float, "map": float, "gap": float, "loss": float}
# How the figures were measured: only rows that agree in all of these are compared.
KIND = ["segment_labels", "holdout_shards", "eval_data_pattern", "top_k", "max_frames", "feature_names"]
_COLUMNS = list(_FIGURES) + KIND + ["checkpoint_crc32"]
_FEWER = _COLUMNS[:_COLUMNS.index("top_k")]  # of files older than the other columns


def _path(train_dir):
    return os.path.join(train_dir, "eval", "results.csv")


def read(train_dir):
    """Reads the rows of a model's results.csv as dicts of text, the latest evaluation last; [] without the file.

    Raises:
      InputError: the file is damaged.
    """
    if not files.exists(_path(train_dir)):
        return []
    lines = [line.decode("utf-8", "replace") for _, line in text.lines(_path(train_dir))]
    reader = csv.DictReader(lines, restval="", strict=True)
    try:
        rows = list(reader)
        well_formed = reader.fieldnames in (_COLUMNS, _FEWER) and not any(None in row for row in rows)
        for row in rows:
            well_formed &= all(0 <= kind(row[name]) < 1e9 for name, kind in _FIGURES.items())
            row.update((name, "") for name in _COLUMNS if name not in row)
    except (csv.Error, KeyError, ValueError):
        well_formed = False
    if not well_formed:
        raise InputError("%s is damaged: move it away to start a new one." % _path(train_dir))
    return rows


def _is_kind(row, kind):
    return all(row[name] == str(value) for name, value in kind.items())


def all_evaluated(train_dir, paths, kind):
    """Whether all these checkpoints, as they are now, were evaluated as `kind` says: {name: value} of some of KIND."""
    evaluated = {row["checkpoint_crc32"] for row in read(train_dir) if _is_kind(row, kind)}
    return all(_identity(path) in evaluated for path in paths)


def best_is_last(train_dir):
    """Whether the best checkpoint is known and was evaluated last, so that it is the inference model."""
    rows = read(train_dir)
    return bool(rows) and files.exists(checkpoints.best_path(train_dir)) and (
        int(rows[-1]["step"]) == checkpoints.best(train_dir)["step"])


class Results(object):
    """The evaluations of a model's checkpoints, including those of earlier runs.

    Args:
      train_dir: the model's folder.
      kind: {name: value} of KIND.
      names: {class: name}; None: no names.
      flags_table: Markdown table of the evaluation's flags, for TensorBoard.

    Raises:
      InputError: results.csv or best_checkpoint.json is damaged, or cannot be written.
    """

    def __init__(self, train_dir, kind, names=None, flags_table=""):
        self.train_dir, self._kind, self._names = train_dir, kind, names or {}
        self._csv = _path(train_dir)
        atomic.check_writable(self._csv)
        read(train_dir)
        self._best()
        self._writer = tf1.summary.FileWriter(os.path.join(train_dir, "eval"))
        self._writer.add_summary(tensorboard.text("eval/flags", flags_table))

    def __contains__(self, checkpoint):
        """Whether exactly this checkpoint was evaluated on the same records in the same way."""
        return all_evaluated(self.train_dir, [checkpoint], self._kind)

    def add(self, checkpoint, step, metrics):
        """Records `metrics.Metrics` of a checkpoint; they replace an earlier evaluation of the same kind."""
        self._write_classes(step, metrics)
        values = dict(metrics._asdict(), step=step, checkpoint_crc32=_identity(checkpoint), **self._kind)
        # Read again each time, because another evaluation may be writing, too.
        rows = [row for row in read(self.train_dir) if row["step"] != str(step) or not _is_kind(row, self._kind)]
        rows.append({name: str(values[name]) for name in _COLUMNS})
        with atomic.replacing(self._csv) as stream:
            writer = csv.DictWriter(stream, _COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        self._writer.add_summary(tensorboard.numbers("eval/", metrics.points), step)
        self._writer.add_summary(_precision_recall(metrics.curve), step)
        self._writer.flush()
        log.info("step %d: %s, %d examples", step, ", ".join("%s %.4f" % point for point in metrics.points),
                 metrics.examples)
        self._update_best(rows)

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

    def _best(self):
        """The content of best_checkpoint.json; {} without the file."""
        return checkpoints.best(self.train_dir) if files.exists(checkpoints.best_path(self.train_dir)) else {}

    def _update_best(self, rows):
        """Records the best checkpoint: by MAP of segments, as in the challenge; until these are evaluated, by GAP."""
        if self._best().get("segment_labels") and not self._kind["segment_labels"]:
            return
        metric = "map" if self._kind["segment_labels"] else "gap"
        there = checkpoints.steps(self.train_dir)  # training may have removed some
        value_of = {int(row["step"]): float(row[metric]) for row in rows
                    if _is_kind(row, self._kind) and int(row["step"]) in there}
        if value_of:
            step = min(value_of, key=lambda one: (-value_of[one], one))
            atomic.write_json(checkpoints.best_path(self.train_dir), dict(
                self._kind, step=step, checkpoint="model.ckpt-%d" % step, metric=metric, value=value_of[step]))


def _precision_recall(curve):
    """A serialized summary of a `metrics.Curve`."""
    right, wrong, rightly_left, wrongly_left = curve
    return summary.pr_curve_raw_data_pb(
        "eval/precision_recall", right, wrong, rightly_left, wrongly_left,
        precision=right / np.maximum(right + wrong, 1), recall=right / np.maximum(right + wrongly_left, 1),
        num_thresholds=len(right),
        description="All classes together; only the --top_k predictions per example count.").SerializeToString()


def _identity(checkpoint):
    """Checksum that identifies a checkpoint: that of its index, which holds the checksums of all variables."""
    with files.reading(checkpoint + ".index"), tf.io.gfile.GFile(checkpoint + ".index", "rb") as stream:
        return "%08x" % zlib.crc32(stream.read())
