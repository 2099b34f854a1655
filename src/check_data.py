"""Reads shards and lists their contents and which are missing, damaged or unusable; exit code 1 if any is.

  python src/check_data.py --data_pattern='2/frame/train/train*,3/frame/validate/validate*' --output_file=data.json
  python src/check_data.py --data_pattern='3/frame/test/test*' --list_damaged > fetch_again.txt
"""
import os
import sys

if __name__ == "__main__":
    if not __package__:  # run as a file
        sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    from src.common import startup
    startup.begin()  # before the modules below load

import bisect
import collections

from absl import flags
import tensorflow as tf

from src.common import atomic
from src.common import files
from src.common import program
from src.common import tables
from src.common.errors import InputError
from src.data import forms
from src.data import readers
from src.data import survey

MAX_LINES = 20  # of each kind on the terminal
# Lower bounds of the histograms' bins: frames per video, and videos or ratings per class.
LENGTHS = [1, 30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 301]
NUMBERS = [0, 1, 10, 100, 1000, 10000, 100000]
# The same for the positions of rated segments in their videos, and how many segments are said to have no rating.
FROM_START, FIRST = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 20, 30, 40, 50], 6
FROM_END, LAST = [0, 1, 2, 3, 4, 10, 20, 30, 40, 50], 2


def define_flags():
    flags.DEFINE_multi_string("data_pattern", [], "Glob of TFRecords, or a comma list of globs; may be given several "
                              "times. Finds videos that occur twice among the shards of one glob.")
    forms.define_flags()
    flags.DEFINE_string("feature_names", "rgb,audio", "Comma list of the features that frames must have; video-level "
                        "records must have their means, such as mean_rgb.")
    flags.DEFINE_string("feature_sizes", "1024,128", "Comma list of their sizes.")
    flags.DEFINE_string("output_file", "", "JSON of everything found.")
    flags.DEFINE_bool("list_damaged", False, "Print the paths of damaged shards and of shards with unusable records, "
                      "one per line, and nothing else.")


def find(patterns):
    """OrderedDict glob -> the paths that it matches.

    Raises:
      InputError: there is no glob, or one matches nothing.
    """
    globs = [glob for pattern in patterns for glob in files.split(pattern) if glob]
    if not globs:
        raise InputError("--data_pattern is empty: give it a path or a glob.")
    return collections.OrderedDict((glob, files.find(glob, "data_pattern")) for glob in globs)


def name_of(partition):
    return os.path.join(partition["folder"], partition["stem"] or "*")


def print_counts(partitions):
    """Prints one row per partition: its numbers of shards, videos, frames and ratings."""
    rows = []
    for partition in partitions:
        present = str(partition["shards"])
        if partition["expected_shards"]:
            present += " of %d" % partition["expected_shards"]
        rows.append(collections.OrderedDict([
            ("shards", name_of(partition)), ("there", present), ("damaged", len(partition["damaged_shards"])),
            ("videos", partition["videos"]), ("unusable", partition["unusable"]), ("frames", partition["frames"]),
            ("segments", partition["segments"]), ("ratings", partition["ratings"]),
            ("positive", partition["positive_ratings"])]))
    tables.print_table(rows)


def print_histogram(what, partitions, begins, bins_of):
    """Prints one row per partition that has any.

    Args:
      what: heading.
      begins: lower bounds of the bins.
      bins_of: function from a partition to {number: how many have that number}.
    """
    rows = []
    for partition in filter(bins_of, partitions):
        row = collections.OrderedDict([(what, name_of(partition))] + [
            ("%d" % first if after == first + 1 else "%d-%d" % (first, after - 1) if after else "%d-" % first, 0)
            for first, after in zip(begins, begins[1:] + [None])])
        names = list(row)[1:]
        for number, count in bins_of(partition).items():
            row[names[bisect.bisect(begins, number) - 1]] += count
        rows.append(row)
    if rows:
        print()
        tables.print_table(rows)


def print_lines(what, lines, separator="\n  "):
    """Prints a heading and the first of the lines below it, if there are any."""
    if lines:
        more = ["and %d more, see --output_file" % (len(lines) - MAX_LINES)] if len(lines) > MAX_LINES else []
        print("\n%s: %d\n  %s" % (what, len(lines), separator.join(lines[:MAX_LINES] + more)))


def print_ends(partition):
    """Prints how many rated segments are among the FIRST or the LAST ones of their video, if any segment is rated."""
    first, last = (sum(count for position, count in partition[name].items() if position < end)
                   for name, end in (("rated_from_start", FIRST), ("rated_from_end", LAST)))
    rated = sum(partition["rated_from_start"].values())
    if rated:
        print("\nrated segments of %s: %d, among the first %d of their video: %d, among the last %d: %d" % (
            name_of(partition), rated, FIRST, first, LAST, last))
        print("  inference.py --skip_first_segments=%d --skip_last_segments=%d leaves out %s" % (
            FIRST, LAST, "these" if first or last else "none that is rated"))


def print_all(partitions, twice, num_classes):
    """Prints the tables and lists of all partitions."""
    def numbers_of(counter):
        """Counter {count: how many classes have it} of a Counter of classes; {} of an empty one."""
        return collections.Counter(counter[label] for label in range(num_classes)) if counter else {}

    print_counts(partitions)
    print_histogram("frames of a video", partitions, LENGTHS, lambda partition: partition["lengths"])
    print_histogram("videos of a class", partitions, NUMBERS, lambda partition: numbers_of(partition["labels"]))
    print_histogram("ratings of a class", partitions, NUMBERS, lambda partition: numbers_of(partition["rated"]))
    print_histogram("rated segments from the start", partitions, FROM_START,
                    lambda partition: partition["rated_from_start"])
    print_histogram("rated segments from the end", partitions, FROM_END, lambda partition: partition["rated_from_end"])
    for partition in partitions:
        print_ends(partition)
        print_lines("missing of " + name_of(partition), partition["missing_shards"], ", ")
        print_lines("damaged shards of " + name_of(partition), partition["damaged_shards"])
        print_lines("unusable records of " + name_of(partition), partition["unusable_records"])
        for name in "ratings_after_the_video", "replaced_ratings":
            if partition[name]:
                print("\n%s of %s: %d" % (name.replace("_", " "), name_of(partition), partition[name]))
    print_lines("videos that occur twice", ["%s: %s and %s" % each for each in twice])


def main(args):
    """Checks shards; returns 1 if any is damaged or holds an unusable record."""
    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
    paths_of = find(args.data_pattern)
    if args.output_file:
        atomic.check_writable(args.output_file)
    every = sorted(set().union(*paths_of.values()))
    form = survey.FRAME_LEVEL._replace(features=readers.features(args.feature_names, args.feature_sizes),
                                       num_classes=args.num_classes)
    found = dict(zip(every, survey.read_shards(every, form)))
    partitions = survey.report([found[path] for path in every])
    twice = [each for paths in paths_of.values() for each in survey.twice([found[path] for path in paths])]
    bad = [path for path in every if found[path].damage or found[path].faults]
    if args.output_file:
        atomic.write_json(args.output_file, {"partitions": partitions, "videos_that_stand_twice": twice,
                                             "damaged_or_unusable": bad})
    if args.list_damaged:
        print("".join(path + "\n" for path in bad), end="")
    else:
        print_all(partitions, twice, args.num_classes)
    return 1 if bad else None


if __name__ == "__main__":
    program.run(define_flags, main)
