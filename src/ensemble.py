"""Fuses ranked CSVs: a model's shifts or folds into one, models into a submission. Tunes the models' weights.

  python src/ensemble.py --mode=combine_shifts --input_files='predictions/*_oof*.csv' --output_file=combined/
  python src/ensemble.py --mode=tune --input_files='combined/*_oof.csv' --label_cache=labels.csv \\
    --log_file=tuning.json --output_file=weights.json
  python src/ensemble.py --mode=blend --input_files='combined/*_test.csv' --weights=weights.json \\
    --output_file=submission.csv
  python src/ensemble.py --mode=report --input_files='predictions/*_oof*.csv,combined/*' --label_cache=labels.csv
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

from src.common import atomic
from src.common import files
from src.common import program
from src.common import tables
from src.common.errors import InputError
from src.data import shards
from src.data import vocabulary
from src.evaluation import ratings
from src.submission import folds
from src.submission import fusion
from src.submission import joining
from src.submission import objective
from src.submission import published
from src.submission import ranked_csv
from src.submission import report as reports
from src.submission import shifts
from src.submission import tuning
from src.submission import weights

log = logging.getLogger("yt8m")


def define_flags():
    shards.define_flags()
    ratings.define_flags()
    vocabulary.define_flags()
    flags.DEFINE_enum("mode", None, ["combine_shifts", "combine_folds", "join", "tune", "blend", "report"],
                      "combine_shifts: fuse each model's shifts (NAME.csv, NAME_shift1.csv, ..) into one CSV, with "
                      "equal weights. combine_folds: the same with each model's folds (NAME_fold0.csv, "
                      "NAME_fold1_shift1.csv, ..) and their shifts, for the test partition. join: join lists of "
                      "different videos, for the folds' holdouts; those of one rank come together, and nothing is cut "
                      "off. tune: find w0 and one weight per model. blend: fuse the models. report: print each file's "
                      "mAP.")
    flags.DEFINE_string("input_files", "", "Ranked CSVs: a comma list of paths or globs.")
    flags.DEFINE_string("output_file", "", "combine_shifts, combine_folds: a CSV, or a folder for several models. "
                        "join: a CSV for all files, or a folder for one CSV per model (NAME_fold0.csv, NAME_fold1.csv, "
                        "..). tune: JSON of the weights. blend: a CSV. report: CSV of the classes' figures, or empty.")
    flags.DEFINE_string("weights", "", "blend: a comma list, one weight per file in their order, or the JSON of tune. "
                        "Empty: the published weights.")
    flags.DEFINE_float("w0", None, "w0 of the fusion, above 0; the smaller it is, the more the first ranks count. "
                       "Default: the published w0, or the JSON's.")
    flags.DEFINE_integer("segment_max_pred", 100000, "Segments to keep per class.", lower_bound=1,
                         upper_bound=ranked_csv.MAX_SEGMENTS)
    flags.DEFINE_bool("scaled_cut", False, "report: instead of --segment_max_pred, keep the share of the lists' "
                      "segments that a submission's %d are of the %d segments of 3/frame/test. Reads the files twice."
                      % (published.SEGMENTS, published.TEST_SEGMENTS))
    flags.DEFINE_string("log_file", "", "tune: log of the points, JSON lines that bayes_opt 1 reads; continued if it "
                        "exists. Empty: NAME_log.json beside --output_file.")
    flags.DEFINE_integer("init_points", 50, "tune: random points before the optimization.", lower_bound=1)
    flags.DEFINE_integer("n_iter", 150, "tune: points of the Bayesian optimization.", lower_bound=0)
    flags.DEFINE_integer("seed", 0, "tune: the same seed gives the same weights.", lower_bound=0,
                         upper_bound=(1 << 31) - 1)
    flags.DEFINE_bool("tune_split", True, "tune: also tune on half of the videos and evaluate on the other half, "
                      "which shows how much is overfitting.")


def output(args):
    if not args.output_file:
        raise InputError("--mode=%s needs --output_file." % args.mode)
    return args.output_file


def check_kept(inputs, outputs):
    """Checks that no output overwrites an input or another output.

    Raises:
      InputError: one does.
    """
    taken = set(map(files.real, inputs))
    for path in outputs:
        if files.real(path) in taken:
            raise InputError("%s would be overwritten: give another --output_file or --log_file." % path)
        taken.add(files.real(path))


def write_models(args, models, write):
    """Writes one CSV per model.

    Args:
      models: OrderedDict: the CSV's name -> paths of the model's files.
      write: function from such paths and the output.
    """
    target = output(args)
    is_folder = target.endswith("/") or tf.io.gfile.isdir(target)
    if len(models) > 1 and target.endswith(".csv") and not is_folder:
        raise InputError("--output_file=%s is one file and --input_files are of %d models such as %s: give a folder."
                         % (target, len(models), " and ".join(map(os.path.basename, list(models)[:2]))))
    targets = [target]
    if len(models) > 1 or is_folder:
        targets = [os.path.join(target, os.path.basename(model)) for model in models]
    check_kept(sum(models.values(), []), targets)
    for path, of_model in zip(targets, models.values()):
        log.info("%s: %s", path, ", ".join(map(os.path.basename, of_model)))
        write(of_model, path)


def combine(args, group):
    """Writes the fusion of each model's files, which have equal weights."""
    def fuse(paths, path):
        fusion.fuse_files(paths, [1.0] * len(paths), published.TTA_W0 if args.w0 is None else args.w0, path,
                          args.segment_max_pred)

    write_models(args, group(ranked_csv.find(args.input_files)), fuse)


def join(args):
    """Writes the joined lists of each model's folds, or of all files if --output_file is a CSV."""
    paths, target = ranked_csv.find(args.input_files), output(args)
    is_file = target.endswith(".csv") and not tf.io.gfile.isdir(target)
    write_models(args, {target: paths} if is_file else folds.group(paths), joining.join_files)


def blend(args):
    """Writes the fusion of the models."""
    target, paths = output(args), ranked_csv.find(args.input_files)
    models = weights.by_model(paths)
    check_kept(paths + [args.weights], [target])
    point = weights.read(args.weights, args.w0, list(models))
    for model, weight in zip(models, point.weights):
        log.info("weight %5.2f %%  %s", 100 * weight / sum(point.weights), model)
    fusion.fuse_files(list(models.values()), point.weights, point.w0, target, args.segment_max_pred)
    log.info("written: %s", target)


def tune(args):
    """Writes the best weights as JSON and prints their gain."""
    target, paths = output(args), ranked_csv.find(args.input_files)
    if not target.endswith(".json"):
        raise InputError("--output_file=%s gets JSON: give a name that ends in .json." % target)
    models = weights.by_model(paths)
    log_file = args.log_file or os.path.splitext(target)[0] + "_log.json"
    log_files = [log_file] + ["%s_half%s" % os.path.splitext(log_file)] * args.tune_split
    check_kept(paths + [args.label_cache], [target] + log_files)
    atomic.check_writable(target)
    logs = [tuning.Log(path, models) for path in log_files]
    every = objective.read(list(models.values()), ratings.find(args), args.segment_max_pred)
    halves = every.halves(args.seed) if args.tune_split else ()
    best, rows = tuning.tune_and_compare(models, every, halves, logs,
                                         tuning.Budget(args.init_points, args.n_iter, args.seed))
    atomic.write_json(target, {"w0": best.w0, "weights": dict(zip(models, best.weights)), "map": every(*best),
                               "comparison": rows})
    tables.print_table(rows)
    log.info("written: %s", target)


def report(args):
    """Prints the mAP of each file, grouped by model, and the best and worst classes of the best file."""
    paths = sum(shifts.group(ranked_csv.find(args.input_files)).values(), [])
    names = vocabulary.find(args.vocabulary_file, args.eval_data_pattern)
    if args.output_file:
        check_kept(paths + [args.label_cache, args.vocabulary_file], [args.output_file])
        atomic.check_writable(args.output_file)
    headings = collections.OrderedDict((path, "AP of " + path) for path in paths)
    rated, top_n = ratings.find(args), args.segment_max_pred
    if args.scaled_cut:
        top_n, num_segments = reports.scaled_cut(paths)
        print("segments in the lists: %d, counted per class: the best %d" % (num_segments, top_n))
    found = reports.Report(headings, rated, top_n)
    found.print_means()
    found.print_classes(names)
    if args.output_file:
        found.write(args.output_file, names)
        log.info("written: %s", args.output_file)


def main(args):
    """Does what --mode says."""
    modes = {"combine_shifts": functools.partial(combine, group=shifts.group),
             "combine_folds": functools.partial(combine, group=folds.group_with_shifts),
             "join": join, "tune": tune, "blend": blend, "report": report}
    if args.mode is None:
        raise InputError("--mode is missing: give one of %s." % ", ".join(sorted(modes)))
    if args.scaled_cut and args.mode != "report":
        raise InputError("--scaled_cut is of --mode=report: leave it out, or give --segment_max_pred.")
    if args.scaled_cut and args["segment_max_pred"].present:
        raise InputError("--scaled_cut and --segment_max_pred contradict each other: leave one of them out.")
    modes[args.mode](args)


if __name__ == "__main__":
    program.run(define_flags, main)
