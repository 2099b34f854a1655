"""Exports the features of single videos from records: one NAME.npz per video, as make_records.py reads them.

  python src/export_features.py --input_data_pattern='2/frame/train/train*' --video_ids=abcd,efgh --output_dir=features

The floats are those of the data set's bytes: make_records.py makes the same bytes of them.
"""
import os
import sys

if __name__ == "__main__":
    if not __package__:  # run as a file
        sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    from src.common import startup
    startup.begin()  # before the modules below load

import contextlib
import logging

from absl import flags

from src.common import atomic
from src.common import files
from src.common import program
from src.common import text
from src.common.errors import InputError
from src.common.progress import Progress
from src.data import exporting
from src.data import forms
from src.data import own_videos
from src.data import readers
from src.data import segment_ids
from src.data import shards

log = logging.getLogger("yt8m")


def define_flags():
    forms.define_flags()
    flags.DEFINE_string("input_data_pattern", "", "Glob of the frame-level TFRecords.")
    flags.DEFINE_string("video_ids", "", "Comma list of the ids of the videos to export.")
    flags.DEFINE_bool("all", False, "Export all videos.")
    flags.DEFINE_string("output_dir", "", "Folder for the features.")
    flags.DEFINE_string("labels_file", "", "Also write the videos' labels, in lines such as id,label;label.")
    flags.DEFINE_string("feature_names", "rgb,audio", "Comma list of the features to export.")
    flags.DEFINE_string("feature_sizes", "1024,128", "Comma list of their sizes.")


def wanted_videos(args):
    """Set of the ids (bytes) of the videos to export, None for all.

    Raises:
      InputError: there are none, or too many.
    """
    if not args.output_dir:
        raise InputError("--output_dir is empty: say where the features go.")
    wanted = {segment_ids.composed(os.fsencode(each.strip())) for each in args.video_ids.split(",")} - {b""}
    if args.all and wanted:
        raise InputError("--all exports the videos of --video_ids, too: leave one of the two out.")
    if not args.all and not wanted:
        raise InputError("--video_ids is empty: give a comma list of ids, or pass --all.")
    return None if args.all else wanted


def output_of(video, folder):
    """Path of a video's features.

    Raises:
      InputError: its id cannot be the name of a file that make_records.py finds.
    """
    try:
        name = video.decode()
    except UnicodeDecodeError:
        name = "/"
    if "/" in name or name.startswith("."):
        raise InputError("The video %s cannot be exported: a file cannot have its id as its name." % text.quoted(video))
    return os.path.join(folder, name + ".npz")


def write_labels(stream, found):
    """Writes the line of a video's labels."""
    stream.write("%s,%s\n" % (found.video.decode(), ";".join(map(str, found.labels or []))))


def main(args):
    """Exports the features."""
    wanted = wanted_videos(args)
    paths = shards.ordered(files.find(args.input_data_pattern, "input_data_pattern"))
    form = forms.Form(True, readers.features(args.feature_names, args.feature_sizes), args.num_classes,
                      forms.MAX_FRAMES)
    atomic.check_writable(os.path.join(args.output_dir, "any.npz"))
    progress, found, rated = Progress("export", "videos", wanted and len(wanted)), set(), 0
    with contextlib.ExitStack() as stack:
        labels = stack.enter_context(atomic.replacing(args.labels_file)) if args.labels_file else None
        if labels:
            labels.write("id,labels\n")
        for each in exporting.videos(paths, form):
            video = segment_ids.composed(each.video)
            if wanted is None or video in wanted:
                own_videos.write(output_of(each.video, args.output_dir), exporting.features(each.serialized, form))
                if labels:
                    write_labels(labels, each)
                found.add(video)
                rated += each.is_rated
                progress.add(1)
                if wanted == found:
                    break
    progress.finish()
    if rated:
        log.info("%d of the videos have ratings of segments, which are not exported", rated)
    missing = sorted((wanted or set()) - found)
    if missing:
        raise InputError("%d of the %d videos of --video_ids are not in the %d shards such as %s: %s." % (
            len(missing), len(wanted), len(paths), paths[0], text.listed(list(map(text.quoted, missing)))))


if __name__ == "__main__":
    program.run(define_flags, main)
