"""Makes records of your own videos: features, labels and ratings -> TFRecords like those of YouTube-8M.

  python src/make_records.py --features_dir=features --labels_file=labels.csv --num_classes=12 --output_dir=records

The features are one file per video, named by its id: an .npz of arrays `rgb` [seconds, 1024] and `audio`
[seconds, 128], or the output of MediaPipe's YouTube-8M extractor (see data/own_videos.py).
"""
import os
import sys

if __name__ == "__main__":
    if not __package__:  # run as a file
        sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    from src.common import startup
    startup.begin()  # before the modules below load

import collections
import logging
import zlib

from absl import flags

from src.common import files
from src.common import program
from src.common import tables
from src.common.errors import InputError
from src.data import annotations
from src.data import forms
from src.data import making
from src.data import own_videos
from src.data import readers
from src.data import shards
from src.data import synthetic
from src.data import vocabulary
from src.data import writing

log = logging.getLogger("yt8m")

MAX_ROWS = 100  # of classes on the terminal


def define_flags():
    forms.define_flags()
    flags.DEFINE_string("features_dir", "", "Folder of the features, one file per video.")
    flags.DEFINE_string("labels_file", "", "Labels of the videos, lines such as id,label;label. Empty: records without "
                        "labels, for prediction only.")
    flags.DEFINE_string("ratings_file", "", "Ratings of 5-second segments, lines such as id:35,label,1, or 0 where the "
                        "class is absent.")
    flags.DEFINE_string("vocabulary_file", "", "YouTube-8M's vocabulary.csv, or one like it: labels may be its names.")
    flags.DEFINE_string("feature_names", "rgb,audio", "Comma list of the features to use; give rgb alone for videos "
                        "without sound.")
    flags.DEFINE_string("feature_sizes", "1024,128", "Comma list of their sizes.")
    flags.DEFINE_string("output_dir", "", "Folder for the shards.")
    flags.DEFINE_enum("partition", "train", sorted({one.stem for one in synthetic.PARTITIONS}),
                      "Beginning of the shards' names.")
    flags.DEFINE_enum("naming", "local", sorted(shards.SUFFIXES),
                      "Shard names: local = train0000, train0001, ..; cloud = train00, train10, ..")
    flags.DEFINE_integer("num_shards", 10, "Number of shards; a hash of the videos' ids distributes them.",
                         lower_bound=1, upper_bound=shards.NUM_SHARDS)
    flags.DEFINE_enum("long_videos", "cut", ["cut", "refuse"], "Videos of more than %d seconds are cut into id, id~%d, "
                      ".., or refused." % (forms.MAX_FRAMES, forms.MAX_FRAMES))


def shard_names(args):
    """Names of the shards to write.

    Raises:
      InputError: the folder already holds shards of the partition.
    """
    if not args.output_dir:
        raise InputError("--output_dir is empty: say where the records go.")
    for name in sorted(files.names(args.output_dir)):
        parsed = shards.parse(name)
        if parsed and parsed.stem == args.partition:
            raise InputError("%s exists already and would mix with the new shards: remove those of --partition=%s, "
                             "or give another --output_dir." % (os.path.join(args.output_dir, name), args.partition))
    return ["%s%s.tfrecord" % (args.partition, suffix) for suffix in shards.SUFFIXES[args.naming][:args.num_shards]]


def read_rows(read, path, num_classes, names, videos):
    """The rows that `annotations` reads from a file; leaves out those of other videos and logs their number."""
    if not path:
        return {}
    rows = read(path, num_classes, vocabulary.labels_of(names))
    others = sorted(number for video, (number, _) in rows.items() if video not in videos)
    if others:
        log.info("%s: ignoring the rows of %d videos that --features_dir lacks, such as line %d",
                 path, len(others), others[0])
    return rows


def print_classes(maker, num_classes, names):
    """Prints one row per class that occurs."""
    occurring = collections.Counter()
    for counter in maker.by_class.values():
        occurring.update(counter)
    listed = sorted(label for label, _ in occurring.most_common(MAX_ROWS))
    if listed:
        tables.print_table([collections.OrderedDict(
            [("name", vocabulary.name_of(names, label))] * bool(names) + [("class", str(label))]
            + [(name, counter[label]) for name, counter in maker.by_class.items()]) for label in listed])
        print("%d of %d classes occur%s" % (len(occurring), num_classes, "" if len(listed) == len(occurring) else
                                            "; the most frequent ones are listed"))


def main(args):
    """Makes the records."""
    shard_files, videos = shard_names(args), own_videos.find(args.features_dir)
    names = vocabulary.read(args.vocabulary_file) if args.vocabulary_file else {}
    labels, ratings = (
        annotations.Annotations(path, read_rows(read, path, args.num_classes, names, videos))
        for read, path in [(annotations.read_labels, args.labels_file), (annotations.read_ratings, args.ratings_file)])
    maker = making.Maker(videos, readers.features(args.feature_names, args.feature_sizes), labels, ratings,
                         cut=args.long_videos == "cut")
    ids_of = collections.defaultdict(list)
    for video in videos:
        ids_of[shard_files[zlib.crc32(video) % len(shard_files)]].append(video)
    writing.write_shards(args.output_dir.rstrip("/"), (
        (name, maker.records(ids_of[name])) for name in shard_files))
    maker.finish()
    if maker.clipped:
        log.info("clipped the %.2g %% of the floats that were beyond -2..2", 100 * maker.clipped)
    print_classes(maker, args.num_classes, names)
    log.info("written: %d shards, %s to %s", len(shard_files), os.path.join(args.output_dir, shard_files[0]),
             shard_files[-1])
    num_empty = sum(not ids for ids in ids_of.values())
    if num_empty:
        log.info("%d of the shards are empty, which check_data.py will say, too: lower --num_shards for so few videos",
                 num_empty)


if __name__ == "__main__":
    program.run(define_flags, main)
