"""Averages the weights of checkpoints into a new folder, a --train_dir for eval.py and inference.py.

  python src/average_checkpoints.py --train_dir=model --num_last_checkpoints=5 --output_dir=model_mean
"""
import os
import sys

if __name__ == "__main__":
    if not __package__:  # run as a file
        sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    from src.common import startup
    startup.begin()  # before the modules below load

import logging

from absl import flags

from src.common import files
from src.common import program
from src.common.errors import InputError
from src.trained import averaging
from src.trained import checkpoints
from src.trained import evaluations
from src.trained import export
from src.trained import model_flags

log = logging.getLogger("yt8m")


def define_flags():
    flags.DEFINE_string("train_dir", "/tmp/yt8m_model/", "The folder that train.py wrote.")
    flags.DEFINE_string("checkpoints", "", "Comma list of the checkpoints to average: steps, model.ckpt-N, latest, "
                        "best or paths.")
    flags.DEFINE_integer("num_last_checkpoints", None, "Instead of --checkpoints: average this many of the last.",
                         lower_bound=1)
    flags.DEFINE_integer("num_best_checkpoints", None, "Instead of --checkpoints: average this many of the best that "
                         "eval.py has evaluated.", lower_bound=1)
    flags.DEFINE_string("output_dir", "", "New folder for the mean, model.ckpt-N; N is the highest step averaged.")


def chosen_checkpoints(args):
    """Paths of the checkpoints that the flags name.

    Raises:
      InputError: a checkpoint is missing or named twice, or the flags name none.
    """
    if [bool(args.checkpoints), bool(args.num_last_checkpoints), bool(args.num_best_checkpoints)].count(True) != 1:
        raise InputError("Give either --checkpoints or --num_last_checkpoints or --num_best_checkpoints, to choose "
                         "what is averaged.")
    if args.checkpoints:
        named = files.split(args.checkpoints, checkpoints.exists)
        if "" in named:
            raise InputError("--checkpoints=%s has an empty entry: put single commas between the steps."
                             % args.checkpoints)
        paths = [checkpoints.resolve(args.train_dir, which) for which in named]
        if len(set(map(os.path.abspath, paths))) < len(paths):
            raise InputError("--checkpoints=%s names a checkpoint twice: name each once." % args.checkpoints)
        return paths
    saved = checkpoints.steps(args.train_dir)
    if args.num_best_checkpoints:
        rows, _ = evaluations.ranked(evaluations.read(args.train_dir), set(saved))
        if len(rows) < args.num_best_checkpoints:
            raise InputError("--num_best_checkpoints=%d is more than the %d that were evaluated in the same way in "
                             "--train_dir=%s: ask for fewer, or run eval.py on others."
                             % (args.num_best_checkpoints, len(rows), args.train_dir))
        return [checkpoints.path(args.train_dir, int(row["step"])) for row in rows[:args.num_best_checkpoints]]
    if len(saved) < args.num_last_checkpoints:
        raise InputError("--num_last_checkpoints=%d is more than the %d that --train_dir=%s holds: ask for fewer."
                         % (args.num_last_checkpoints, len(saved), args.train_dir))
    return [checkpoints.path(args.train_dir, step) for step in saved[-args.num_last_checkpoints:]]


def main(args):
    """Writes the mean of the checkpoints that the flags name."""
    output_dir = args.output_dir.rstrip("/")
    if not output_dir or files.exists(output_dir):
        raise InputError("--output_dir=%s %s: name a new folder." % (
            args.output_dir, "exists already" if output_dir else "is empty"))
    values, paths = model_flags.read(args.train_dir), chosen_checkpoints(args)
    exporter = export.InferenceModelExporter(model_flags.create_model(values), model_flags.create_reader(values))
    log.info("written: %s", averaging.write(output_dir, values, paths, exporter))


if __name__ == "__main__":
    program.run(define_flags, main)
