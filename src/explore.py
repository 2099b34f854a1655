"""Writes a folder of pages that show ranked lists of segments beside their ratings; any browser opens them from disk.

  python src/explore.py --input_files='combined/*_oof.csv,blend_oof.csv' --label_cache=labels.csv \\
    --vocabulary_file=vocabulary.csv --segment_scores='predictions/*_segments.csv' --output_dir=explore

A table lists the classes, to search and sort. A class's page shows its best segments in each file and precision over
rank. A video's page shows its segments over time.
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

from src.common import atomic
from src.common import files
from src.common import program
from src.data import shards
from src.data import vocabulary
from src.evaluation import ranking_metrics
from src.evaluation import ratings
from src.exploration import collecting
from src.exploration import maps
from src.exploration import pages
from src.exploration import video_ids
from src.submission import ranked_csv

log = logging.getLogger("yt8m")


def define_flags():
    shards.define_flags()
    ratings.define_flags()
    vocabulary.define_flags()
    flags.DEFINE_string("input_files", "", "Ranked CSVs: a comma list of paths or globs. The pages show the gain of "
                        "the file whose name begins with blend, or of the last one, over the best of the others.")
    flags.DEFINE_string("segment_scores", "", "CSVs of inference.py --segment_labels --output_prob, a comma list of "
                        "paths or globs: probabilities to show beside the ranks in each video.")
    flags.DEFINE_string("video_ids_file", "", "Lines abcd,YOUTUBEID: segments of these videos link to YouTube.")
    flags.DEFINE_string("output_dir", "", "Folder for the pages; replaces the pages of an earlier run.")


def main(args):
    """Writes the pages."""
    output_dir = args.output_dir.rstrip("/")
    pages.check_folder(output_dir)
    paths = ranked_csv.find(args.input_files)
    score_paths = [path for pattern in filter(None, files.split(args.segment_scores))
                   for path in files.find(pattern, "segment_scores")]
    names = vocabulary.find(args.vocabulary_file, args.eval_data_pattern)
    on_youtube = video_ids.read(args.video_ids_file)
    rated = ratings.find(args)
    unranked, videos = ranking_metrics.Unranked(rated), maps.choose_videos(rated)
    scores = maps.Scores(score_paths, videos)
    table = maps.Maps(videos, len(paths) + len(score_paths))
    with atomic.replacing_folder(output_dir) as folder:
        writer = pages.Folder(folder, paths, score_paths, names)
        for label, view in collecting.collect(paths, rated, table, scores, unranked):
            writer.add_class(label, view)
        unranked.check("%d files such as %s" % (len(paths), paths[0]))
        unranked.warn("All files")
        writer.add_videos(table, rated, on_youtube)
        writer.finish(table, unranked)
        pages.check_folder(output_dir)  # again, as writing takes minutes
    log.info("written: open %s in a browser", os.path.join(output_dir, "index.html"))


if __name__ == "__main__":
    program.run(define_flags, main)
