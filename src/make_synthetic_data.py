"""Makes synthetic records in the format and folders of YouTube-8M, for trying the programs.

  python src/make_synthetic_data.py --output_dir=data

Models can learn the labels, and segment labels change within a video (see data/synthetic.py). Beside the records it
writes invented names of their classes, in vocabulary.csv, and two ranked CSVs for comparison on 3/frame/validate: one
by chance, and one that knows every video's labels but not their times.
"""
import os
import sys

if __name__ == "__main__":
    if not __package__:  # run as a file
        sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    from src.common import startup
    startup.begin()  # before the modules below load

import collections
import csv
import itertools
import logging

from absl import flags
import numpy as np
import tensorflow as tf

from src.common import atomic
from src.common import files
from src.common import program
from src.common import system_errors
from src.common.errors import InputError
from src.common.progress import Progress
from src.data import segment_ids
from src.data import segments
from src.data import shards
from src.data import synthetic
from src.data import vocabulary
from src.submission import ranked_csv

log = logging.getLogger("yt8m")

MARK = "synthetic.json"  # in the output folder
RECORDED = ["naming", "seed", "num_train_shards", "num_validate_shards", "num_test_shards",
            "videos_per_shard", "num_classes", "min_frames", "max_frames", "context"]
MIN_FRAMES = synthetic.RATED_SEGMENTS * segments.SEGMENT_FRAMES  # enough segments to rate


def define_flags():
    flags.DEFINE_string("output_dir", "", "Folder for 2/frame/train, 2/frame/validate, 3/frame/validate, "
                        "3/frame/test and the three CSVs.")
    flags.DEFINE_enum("naming", "cloud", sorted(shards.SUFFIXES),
                      "Shard names: cloud = train00, train10, ..; local = train0000, train0001, ..")
    flags.DEFINE_integer("seed", 0, "The same seed and flags give the same files.", lower_bound=0)
    flags.DEFINE_integer("num_train_shards", 4, "Shards of 2/frame/train.",
                         lower_bound=1, upper_bound=shards.NUM_SHARDS)
    flags.DEFINE_integer("num_validate_shards", 8, "Shards of 2/frame/validate, and of 3/frame/validate.",
                         lower_bound=1, upper_bound=shards.NUM_SHARDS)
    flags.DEFINE_integer("num_test_shards", 2, "Shards of 3/frame/test.",
                         lower_bound=1, upper_bound=shards.NUM_SHARDS)
    flags.DEFINE_integer("videos_per_shard", 50, "Videos per shard; a video takes 0.3 MB.", lower_bound=1,
                         upper_bound=synthetic.MAX_VIDEOS_PER_SHARD)
    flags.DEFINE_integer("num_classes", 20, "Classes that occur.", lower_bound=synthetic.MIN_LABELS)
    flags.DEFINE_integer("min_frames", 120, "Frames of the shortest videos.", lower_bound=MIN_FRAMES)
    flags.DEFINE_integer("max_frames", 300, "Frames of the longest videos.", upper_bound=300)
    flags.DEFINE_bool("context", False, "Make the classes twins in pairs: both look the same in a segment, and only "
                      "other frames of the video tell which of the two it is.")
    flags.DEFINE_string("segment_label_ids_file", segments.LABEL_IDS, "The classes rated at segment level; the classes "
                        "that occur are drawn from them. Empty: the classes 0 to num_classes - 1, not YouTube-8M's.")


def checked_classes(args):
    """The classes to draw from.

    Raises:
      InputError: the flags contradict each other, or the file of classes.
    """
    if not args.output_dir:
        raise InputError("--output_dir is empty: say where the records go.")
    if args.min_frames > args.max_frames:
        raise InputError("--min_frames=%d is above --max_frames=%d: lower it."
                         % (args.min_frames, args.max_frames))
    if not args.segment_label_ids_file:
        return list(range(args.num_classes))
    classes = segments.read_label_ids(args.segment_label_ids_file)
    if args.num_classes > len(classes):
        raise InputError("--num_classes=%d is more than the %d of --segment_label_ids_file=%s: lower it."
                         % (args.num_classes, len(classes), args.segment_label_ids_file))
    return classes


def planned_shards(args):
    """List of (partition, rank, path) of all shards."""
    return [(partition, rank, synthetic.shard_path(args.output_dir, partition, args.naming, rank))
            for partition in synthetic.PARTITIONS
            for rank in range(getattr(args, "num_%s_shards" % partition.stem))]


def claim(output_dir, planned, recorded):
    """Marks a folder as one of synthetic records.

    Args:
      planned: see `planned_shards`.
      recorded: dict of the flags that determine the records; written into the mark.

    Raises:
      InputError: the folder cannot be made, or it holds real records or shards that would mix with the new ones.
    """
    mark = os.path.join(output_dir, MARK)
    new = {(partition, os.path.basename(path)) for partition, _, path in planned}
    try:
        tf.io.gfile.makedirs(output_dir)
        known = files.exists(mark)
        found = [(partition, path) for partition in synthetic.PARTITIONS
                 for path in files.glob(os.path.join(output_dir, partition.folder, "*.tfrecord"))]
    except tf.errors.OpError as error:
        raise system_errors.input_error("--output_dir=%s cannot hold the records" % output_dir, error.message)
    for partition, path in found:
        if not known or (partition, os.path.basename(path)) not in new:
            raise InputError("%s exists already and %s: give an --output_dir without it, or remove it." % (
                path, "would mix with the new shards" if known else "was not made by this program"))
    atomic.write_json(mark, recorded)


def write_records(planned, world, args):
    """Writes all shards.

    Returns:
      OrderedDict partition -> list of (id, number of frames, labels) of its videos.
    """
    videos = collections.OrderedDict((partition, []) for partition in synthetic.PARTITIONS)
    progress = Progress("synthetic records", "videos", len(planned) * args.videos_per_shard)
    for partition, rank, path in planned:
        written = synthetic.write_shard(path, partition, rank, world, num_videos=args.videos_per_shard,
                                        frame_range=(args.min_frames, args.max_frames), seed=args.seed)
        progress.add(len(written))
        videos[partition] += written
    progress.finish()
    return videos


def write_vocabulary(path, world, trained):
    """Writes the classes' names in the format of YouTube-8M's vocabulary.csv.

    Args:
      trained: list of (id, number of frames, labels) of the training videos.
    """
    counts = collections.Counter(itertools.chain.from_iterable(labels for _, _, labels in trained))
    with atomic.replacing(path) as stream:
        writer = csv.DictWriter(stream, vocabulary.HEADER, restval="", lineterminator="\n")
        writer.writeheader()
        for label, (name, theme) in zip(world.classes.tolist(), synthetic.titles(world)):
            writer.writerow({"Index": label, "TrainVideoCount": counts[label], "Name": name, "Vertical1": theme})


def write_baselines(output_dir, rated, classes, seed):
    """Writes baseline_chance.csv and baseline_video_labels.csv.

    Args:
      rated: list of (id, number of frames, labels).
      classes: the classes that occur, ascending.
    """
    names, lengths, labels = zip(*rated)
    video = np.repeat(np.arange(len(rated)), -(-np.array(lengths) // segments.SEGMENT_FRAMES))
    starts = segments.SEGMENT_FRAMES * np.concatenate(
        [np.arange(-(-length // segments.SEGMENT_FRAMES)) for length in lengths])
    ids = segment_ids.join(np.array(names)[video], starts)
    labelled = np.array([np.isin(classes, of_video) for of_video in labels])
    rng = synthetic.generator(seed, len(synthetic.PARTITIONS) + 2)

    def chance():
        for class_id in classes:
            yield class_id, rng.permutation(ids)

    def video_labels():
        for column, class_id in enumerate(classes):
            order = rng.permutation(len(ids))
            first = np.argsort(~labelled[video[order], column], kind="stable")
            yield class_id, ids[order[first]]

    for name, rows in (("baseline_chance.csv", chance()), ("baseline_video_labels.csv", video_labels())):
        ranked_csv.write(os.path.join(output_dir, name), rows)


def main(args):
    """Makes the records and the baselines."""
    rated_classes = checked_classes(args)
    planned = planned_shards(args)
    claim(args.output_dir, planned, {name: getattr(args, name) for name in RECORDED})
    world = synthetic.create_world(rated_classes, args.num_classes, args.seed, args.context)
    videos = write_records(planned, world, args)
    write_vocabulary(os.path.join(args.output_dir, vocabulary.DEFAULT), world, videos[synthetic.PARTITIONS[0]])
    write_baselines(args.output_dir, sum((videos[partition] for partition in videos if partition.ratings), []),
                    world.classes, args.seed)
    log.info("written: %s: %d shards, %d classes", args.output_dir, len(planned), len(world.classes))


if __name__ == "__main__":
    program.run(define_flags, main)
