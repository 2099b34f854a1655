"""Evaluates checkpoints on labelled records: Hit@1, PERR, MAP, GAP and the loss.

  python src/eval.py --train_dir=model --segment_labels --run_once \\
    --eval_data_pattern='3/frame/validate/validate*.tfrecord'
"""
import os
import sys

if __name__ == "__main__" and not __package__:  # run as a file
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import csv
import logging
import time

from absl import flags
import tensorflow as tf

from src import models
from src.common import files
from src.common import program
from src.common.errors import InputError
from src.data import pipeline
from src.data import readers
from src.data import shards
from src.evaluation.evaluator import Evaluator
from src.trained import checkpoints
from src.trained import export
from src.trained import model_flags
from src.training import losses

tf1 = tf.compat.v1
log = logging.getLogger("yt8m")

_COLUMNS = ["step", "examples", "hit_at_one", "perr", "map", "gap", "loss", "segment_labels", "holdout_shards",
            "eval_data_pattern"]
_POLL_SECONDS = 10.0


def define_flags():
    models.define_flags()
    readers.define_flags()
    pipeline.define_flags()
    shards.define_flags()
    flags.DEFINE_string("train_dir", "/tmp/yt8m_model/", "The folder that train.py wrote.")
    flags.DEFINE_string("eval_data_pattern", "", "Glob of labelled TFRecords; their holdout is read.")
    flags.DEFINE_integer("batch_size", 1024, "Examples a batch.", lower_bound=1)
    flags.DEFINE_string("label_loss", "CrossEntropyLoss", "CrossEntropyLoss, HingeLoss or SoftmaxLoss.")
    flags.DEFINE_bool("run_once", False, "Evaluate --checkpoint_file only; else every checkpoint from it on.")
    flags.DEFINE_string("checkpoint_file", "", "A step, model.ckpt-N, latest or best. Empty: latest with --run_once, "
                        "else the first there is or will be.")
    flags.DEFINE_integer("checkpoint_timeout_secs", 1800, "Without --run_once: end when no new checkpoint comes for so "
                         "many seconds.", lower_bound=0)
    flags.DEFINE_integer("top_k", 20, "Predictions an example that count for MAP and GAP.", lower_bound=1)


class Results(object):
    """What evaluations leave in train_dir: eval/results.csv, TensorBoard points, best_checkpoint.json.

    Args:
      train_dir: the model's folder.
      kind: dict of what the metrics were measured on; checkpoints are compared on the same only.
    """

    def __init__(self, train_dir, kind):
        self._train_dir, self._kind = train_dir, kind
        self._csv = os.path.join(train_dir, "eval", "results.csv")
        self._writer = tf1.summary.FileWriter(os.path.join(train_dir, "eval"))

    def add(self, step, metrics):
        """Records `metrics.Metrics` of the checkpoint at `step`."""
        values = dict(metrics._asdict(), step=step, **self._kind)
        rows = self._rows() + [{name: str(values[name]) for name in _COLUMNS}]
        with files.replacing(self._csv) as stream:
            writer = csv.DictWriter(stream, _COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        points = [("Hit@1", metrics.hit_at_one), ("PERR", metrics.perr), ("MAP", metrics.map), ("GAP", metrics.gap),
                  ("loss", metrics.loss)]
        self._writer.add_summary(tf1.Summary(value=[tf1.Summary.Value(tag="eval/" + name, simple_value=value)
                                                    for name, value in points]), step)
        self._writer.flush()
        log.info("step %d: %s, %d examples", step, ", ".join("%s %.4f" % point for point in points), metrics.examples)
        self._update_best(rows)

    def _rows(self):
        """The evaluations so far, as dicts of text."""
        if not tf.io.gfile.exists(self._csv):
            return []
        with tf.io.gfile.GFile(self._csv) as stream:
            rows = list(csv.DictReader(stream.read().splitlines()))
        if not all(set(row) == set(_COLUMNS) and None not in row.values() for row in rows):
            raise InputError("%s is damaged: move it away to start it anew." % self._csv)
        return rows

    def _update_best(self, rows):
        """Segments are judged by MAP, as in the challenge; videos by GAP, as long as no segments were evaluated."""
        path = checkpoints.best_path(self._train_dir)
        of_segments = tf.io.gfile.exists(path) and checkpoints.best(self._train_dir).get("segment_labels")
        if of_segments and not self._kind["segment_labels"]:
            return
        metric = "map" if self._kind["segment_labels"] else "gap"
        # On the same records only; of a step evaluated again, the last evaluation. Training may have removed some.
        there = checkpoints.steps(self._train_dir)
        value_of = {int(row["step"]): float(row[metric]) for row in rows if int(row["step"]) in there
                    and all(row[name] == str(of_kind) for name, of_kind in self._kind.items())}
        if not value_of:
            return
        step = min(value_of, key=lambda one: (-value_of[one], one))
        files.write_json(path, dict(self._kind, step=step, checkpoint="model.ckpt-%d" % step, metric=metric,
                                    value=value_of[step]))


def checkpoints_from(train_dir, first, timeout_secs):
    """Yields the checkpoints from step `first` on, in order, as they come.

    Ends when none has come for `timeout_secs`.
    """
    last, since = first - 1, time.time()
    while True:
        ahead = [step for step in checkpoints.steps(train_dir) if step > last]
        if ahead:
            last = ahead[0]
            yield checkpoints.path(train_dir, last)
            since = time.time()
        elif time.time() - since >= timeout_secs:
            return
        else:
            time.sleep(min(_POLL_SECONDS, max(0.1, timeout_secs - (time.time() - since))))


def chosen_checkpoints(args):
    """The checkpoints that the flags name, in order.

    Raises:
      InputError: there is no such checkpoint.
    """
    if args.run_once:
        return [checkpoints.resolve(args.train_dir, args.checkpoint_file)]
    first = checkpoints.named_step(args.checkpoint_file or "0")  # need not be there yet
    if first is None:
        first = checkpoints.step_of(checkpoints.resolve(args.train_dir, args.checkpoint_file))
    return checkpoints_from(args.train_dir, first, args.checkpoint_timeout_secs)


def main(args):
    """Evaluates as the flags say."""
    values = model_flags.adopt(args.train_dir, args)
    model = model_flags.create_model(values)
    reader = readers.create(values["feature_names"], values["feature_sizes"], values["frame_features"],
                            args.segment_labels, args.max_frames)
    paths = shards.holdout(files.find(args.eval_data_pattern, "eval_data_pattern"), args.holdout_shards)
    chosen = chosen_checkpoints(args)
    evaluator = Evaluator(model, reader, losses.create(values["label_loss"]), paths, args.batch_size, args.num_readers,
                          args.top_k)
    exporter = export.InferenceModelExporter(model, reader)
    results = Results(args.train_dir, {
        "segment_labels": args.segment_labels, "holdout_shards": args.holdout_shards,
        "eval_data_pattern": args.eval_data_pattern})
    found = False
    for checkpoint in chosen:
        found = True
        try:
            step = checkpoints.step_of(checkpoint)
            metrics = evaluator.evaluate(
                lambda session: export.restore_model(session, checkpoint, evaluator.variables))
            exporter.export(checkpoint, args.train_dir)
        except (InputError, tf.errors.OpError):
            if args.run_once or checkpoints.exists(checkpoint):
                raise
            log.info("%s was removed meanwhile (train.py --max_to_keep): skipped", checkpoint)
        else:
            results.add(step, metrics)
    if not found:
        raise InputError("%s got no checkpoint within --checkpoint_timeout_secs=%d: train first, or wait longer."
                         % (args.train_dir, args.checkpoint_timeout_secs))


if __name__ == "__main__":
    program.run(define_flags, main)
