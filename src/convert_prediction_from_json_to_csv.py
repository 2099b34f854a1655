"""Converts the results of a SavedModel's batch prediction to CSV: VideoId,LabelConfidencePairs.

  python src/convert_prediction_from_json_to_csv.py --json_prediction_files_pattern='results/prediction.results-*' \\
    --csv_output_file=predictions.csv
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
import numpy as np

from src.common import files
from src.common import program
from src.common.errors import InputError
from src.common.progress import Progress
from src.prediction import served
from src.prediction import video_csv

log = logging.getLogger("yt8m")


def define_flags():
    flags.DEFINE_string("json_prediction_files_pattern", "", "Glob of the results: JSON lines with video_id, "
                        "class_indexes and predictions.")
    flags.DEFINE_string("csv_output_file", "", "CSV to write.")


def main(args):
    """Converts the results."""
    if not args.csv_output_file:
        raise InputError("--csv_output_file is empty: say where the CSV goes.")
    paths = files.find(args.json_prediction_files_pattern, "json_prediction_files_pattern")
    progress = Progress("conversion", "videos")
    with video_csv.writing(args.csv_output_file) as stream:
        for video, classes, scores in served.predictions(paths):
            stream.write(video_csv.lines(np.array([video]), np.array([classes]), np.array([scores])))
            progress.add(1)
        if not progress.done:
            raise InputError("The %d files such as %s hold no prediction: check --json_prediction_files_pattern."
                             % (len(paths), paths[0]))
    progress.finish()
    log.info("written: %s", args.csv_output_file)


if __name__ == "__main__":
    program.run(define_flags, main)
