"""Evaluates checkpoints on labelled records: Hit@1, PERR, MAP, GAP and the loss.

  python src/eval.py --train_dir=model --segment_labels --run_once \\
    --eval_data_pattern='3/frame/validate/validate*.tfrecord'
  python src/eval.py --train_dir=model --segment_labels --checkpoint_file=200001 --averages=2,3,5,10 \\
    --eval_data_pattern='3/frame/validate/validate*.tfrecord'
"""
import os
import sys

if __name__ == "__main__":
    if not __package__:  # run as a file
        sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    from src.common import startup
    startup.begin()  # before the modules below load

import collections
import functools
import logging

from absl import flags
import tensorflow as tf

from src import models
from src.common import devices
from src.common import files
from src.common import program
from src.common import tables
from src.common import tensorboard
from src.common.errors import InputError
from src.data import pipeline
from src.data import readers
from src.data import shards
from src.data import vocabulary
from src.evaluation.evaluator import Evaluator
from src.evaluation.results import Results
from src.trained import averages
from src.trained import checkpoints
from src.trained import export
from src.trained import model_flags
from src.training import losses

log = logging.getLogger("yt8m")


def define_flags():
    models.define_flags()
    readers.define_flags()
    pipeline.define_flags()
    shards.define_flags()
    vocabulary.define_flags()
    losses.define_flags()
    flags.DEFINE_string("train_dir", "/tmp/yt8m_model/", "The folder that train.py wrote.")
    flags.DEFINE_string("eval_data_pattern", "", "Glob of labelled TFRecords; their holdout is read.")
    flags.DEFINE_integer("batch_size", 1024, "Examples per batch.", lower_bound=1)
    flags.DEFINE_bool("run_once", False, "Evaluate --checkpoint_file only. Default: it and every later checkpoint.")
    flags.DEFINE_string("checkpoint_file", "", "A step, model.ckpt-N, latest or best. Empty: latest with --run_once, "
                        "otherwise the first checkpoint, present or future.")
    flags.DEFINE_bool("reevaluate", False, "Without --run_once: also evaluate checkpoints that are in eval/results.csv "
                      "already.")
    flags.DEFINE_integer("checkpoint_timeout_secs", 1800, "Without --run_once: end when no new checkpoint appears for "
                         "this many seconds.", lower_bound=0)
    flags.DEFINE_string("averages", "", "Instead of checkpoints: average so many of the best and of the last "
                        "checkpoints that were evaluated, from --checkpoint_file on, and evaluate the means; a comma "
                        "list such as 2,3,5,10. They are kept in train_dir/averages, and count for 'best'.")
    flags.DEFINE_integer("top_k", 20, "Predictions per example that count for MAP and GAP.", lower_bound=1)


def chosen_checkpoints(args, kind):
    """The checkpoints that the flags name, in order; averages are written when it is their turn.

    Args:
      kind: {name: value} of `evaluations.KIND`, how they are evaluated.

    Raises:
      InputError: there is no such checkpoint, or the flags contradict each other.
    """
    numbers = averages.parse(args.averages)
    if numbers and args.run_once:
        raise InputError("Give either --averages or --run_once, which evaluates one checkpoint.")
    if args.run_once:
        return [averages.resolve(args.train_dir, args.checkpoint_file)]
    first = checkpoints.named_step(args.checkpoint_file or "0")  # it may be saved later
    if first is None:
        first = checkpoints.step_of(averages.resolve(args.train_dir, args.checkpoint_file))
    if not numbers:
        return checkpoints.coming(args.train_dir, first, args.checkpoint_timeout_secs)
    if not args.reevaluate and averages.are_evaluated(args.train_dir, first, kind, numbers):
        log.info("the averages are evaluated already: skipped (--reevaluate evaluates them again)")
        return []
    return averages.write(args.train_dir, numbers, first, kind)


def evaluate(checkpoint, train_dir, evaluator, exporter, results, again):
    """Evaluates a checkpoint; skips one that is in the results, unless `again`.

    An `export.InferenceModelExporter` makes it the inference model; None does not.
    """
    if not again and checkpoint in results:
        log.info("%s is in results.csv already: skipped (--reevaluate evaluates it again)", checkpoint)
        return
    metrics = evaluator.evaluate(lambda session: export.restore_model(session, checkpoint, evaluator.variables))
    if exporter:
        exporter.export(checkpoint, train_dir)
    results.add(checkpoint, checkpoints.step_of(checkpoint), metrics)


def main(args):
    """Evaluates the checkpoints that the flags name."""
    values = model_flags.adopt(args.train_dir, args)
    model = model_flags.create_model(values)
    reader = model_flags.create_reader(values, args.segment_labels, args.max_frames)
    names = vocabulary.find(args.vocabulary_file, args.eval_data_pattern)
    split = shards.split(args)
    paths = shards.holdout(files.find(args.eval_data_pattern, "eval_data_pattern"), split)
    kind = {"segment_labels": args.segment_labels, "holdout_shards": split.recorded,
            "eval_data_pattern": args.eval_data_pattern, "top_k": args.top_k, "max_frames": args.max_frames,
            "feature_names": values["feature_names"]}
    chosen = chosen_checkpoints(args, kind)
    devices.count_gpus()
    evaluator = Evaluator(model, reader, losses.create(values["label_loss"]), paths, batch_size=args.batch_size,
                          num_readers=args.num_readers, top_k=args.top_k)
    exporter = None if args.averages else export.InferenceModelExporter(model, reader)
    results_in = functools.partial(Results, kind=kind, names=names, flags_table=tensorboard.flags_table(args, values))
    results, found = results_in(args.train_dir), False
    for checkpoint in chosen:
        found = True
        of_average = averages.holds(args.train_dir, checkpoint)
        try:
            evaluate(checkpoint, args.train_dir, evaluator, exporter,
                     results_in(os.path.dirname(checkpoint)) if of_average else results,
                     args.reevaluate or args.run_once)
        except (InputError, tf.errors.OpError):
            if args.run_once or checkpoints.exists(checkpoint):
                raise
            log.info("%s was removed in the meantime (train.py --max_to_keep): skipped", checkpoint)
    if args.averages:
        tables.print_table([collections.OrderedDict([("checkpoint", path), (metric, value)])
                            for path, value, metric in averages.rows(args.train_dir)])
    elif not found:
        raise InputError("%s got no checkpoint within --checkpoint_timeout_secs=%d: train first, or wait longer."
                         % (args.train_dir, args.checkpoint_timeout_secs))


if __name__ == "__main__":
    program.run(define_flags, main)
