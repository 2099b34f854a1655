"""Evaluates a ranked CSV of segments against the holdout's segment ratings: mAP.

  python src/segment_eval_inference.py --submission_file=validate.csv \\
    --eval_data_pattern='3/frame/validate/validate*.tfrecord' --label_cache=ratings.csv
"""
import os
import sys

if __name__ == "__main__":
    if not __package__:  # run as a file
        sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    from src.common import interrupts
    interrupts.end_quietly()  # while the modules below load

from absl import flags

from src.common import files
from src.common import program
from src.common.errors import InputError
from src.data import shards
from src.evaluation import ranking_metrics
from src.evaluation import ratings
from src.submission import ranked_csv


def define_flags():
    shards.define_flags()
    ratings.define_flags()
    flags.DEFINE_string("submission_file", "", "Ranked CSV to evaluate, with or without its header.")
    flags.DEFINE_integer("top_n", 100000, "Segments of each class's list that count.", lower_bound=1)


def main(args):
    """Prints the mAP."""
    # Before the records are read, which may take long.
    if not files.exists(args.submission_file):
        raise InputError("--submission_file=%s does not exist: give the CSV that inference.py wrote."
                         % args.submission_file)
    mean, precisions = ranking_metrics.mean_average_precision(
        ranked_csv.iterate(args.submission_file), ratings.find(args), args.top_n, args.submission_file)
    print("mAP@%d: %.6f over %d classes" % (args.top_n, mean, len(precisions)))


if __name__ == "__main__":
    program.run(define_flags, main)
