"""Evaluates a ranked CSV of segments against the holdout's segment ratings: mAP, and the AP of each class.

  python src/segment_eval_inference.py --submission_file=validate.csv \\
    --eval_data_pattern='3/frame/validate/validate*.tfrecord' --label_cache=ratings.csv --output_file=classes.csv
"""
import os
import sys

if __name__ == "__main__":
    if not __package__:  # run as a file
        sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    from src.common import interrupts
    interrupts.end_quietly()  # while the modules below load

import collections

from absl import flags

from src.common import atomic
from src.common import files
from src.common import program
from src.common.errors import InputError
from src.data import shards
from src.data import vocabulary
from src.evaluation import classes
from src.evaluation import ranking_metrics
from src.evaluation import ratings
from src.submission import ranked_csv


def define_flags():
    shards.define_flags()
    ratings.define_flags()
    vocabulary.define_flags()
    flags.DEFINE_string("submission_file", "", "Ranked CSV to evaluate, with or without its header.")
    flags.DEFINE_string("output_file", "", "CSV of each class's name, ratings, positive ones and average precision.")
    flags.DEFINE_integer("top_n", 100000, "Segments of each class's list that count.", lower_bound=1)


def main(args):
    """Prints the mAP, and writes the classes' figures."""
    # Before the records are read, which may take long.
    if not files.exists(args.submission_file):
        raise InputError("--submission_file=%s does not exist: give the CSV that inference.py wrote."
                         % args.submission_file)
    names = vocabulary.find(args.vocabulary_file, args.eval_data_pattern)
    if args.output_file:
        atomic.check_writable(args.output_file)
    rated = ratings.find(args)
    unranked = ranking_metrics.Unranked(rated)
    mean, precisions = ranking_metrics.mean_average_precision(
        ranked_csv.iterate(args.submission_file), rated, args.top_n, args.submission_file, unranked)
    print("mAP@%d: %.6f over %d classes" % (args.top_n, mean, len(precisions)))
    counts = classes.count(rated)
    classes.print_extremes(names, counts, precisions)
    print("rated segments: %d, of which in none of the lists: %d" % (unranked.num_rated, len(unranked.ids)))
    unranked.warn(args.submission_file)
    if args.output_file:
        classes.write(args.output_file, names, counts, collections.OrderedDict(AP=precisions))


if __name__ == "__main__":
    program.run(define_flags, main)
