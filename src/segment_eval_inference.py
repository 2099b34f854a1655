"""Evaluates a ranked CSV of segments against the holdout's segment ratings: mAP, and the AP of each class.

  python src/segment_eval_inference.py --submission_file=validate.csv \\
    --eval_data_pattern='3/frame/validate/validate*.tfrecord' --label_cache=ratings.csv --output_file=classes.csv
"""
import os
import sys

if __name__ == "__main__":
    if not __package__:  # run as a file
        sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    from src.common import startup
    startup.begin()  # before the modules below load

import collections

from absl import flags

from src.common import atomic
from src.common import files
from src.common import program
from src.common.errors import InputError
from src.data import shards
from src.data import vocabulary
from src.evaluation import ratings
from src.submission.report import Report


def define_flags():
    shards.define_flags()
    ratings.define_flags()
    vocabulary.define_flags()
    flags.DEFINE_string("submission_file", "", "Ranked CSV to evaluate, with or without its header.")
    flags.DEFINE_string("output_file", "", "CSV of each class's name, ratings, positive ones and average precision.")
    flags.DEFINE_integer("top_n", 100000, "First segments of each class's list that count.", lower_bound=1)


def main(args):
    """Prints the mAP, and writes the classes' figures."""
    # Checked first, as reading the records may take long.
    if not files.exists(args.submission_file):
        raise InputError("--submission_file=%s does not exist: give the CSV that inference.py wrote."
                         % args.submission_file)
    names = vocabulary.find(args.vocabulary_file, args.eval_data_pattern)
    if args.output_file:
        atomic.check_writable(args.output_file)
    headings = collections.OrderedDict([(args.submission_file, "AP")])
    found = Report(headings, ratings.find(args), args.top_n)
    print("mAP@%d: %.6f over %d classes" % (
        args.top_n, found.means[args.submission_file], len(found.precisions[args.submission_file])))
    found.print_classes(names)
    if args.output_file:
        found.write(args.output_file, names)


if __name__ == "__main__":
    program.run(define_flags, main)
