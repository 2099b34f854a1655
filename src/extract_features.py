"""Extracts YouTube-8M's features from films: one vector of the image and one of the sound per second.

  python src/extract_features.py --videos='videos/*' --networks_dir=networks --output_dir=features

The networks are those that Google has published; --check_models names the files to download, and checks them. The
features are one NAME.npz per video, which make_records.py reads. ffmpeg decodes the films.
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
import tensorflow as tf

from src.common import atomic
from src.common import devices
from src.common import files
from src.common import program
from src.common import storage
from src.common import text
from src.common.errors import InputError
from src.data import own_videos
from src.features import checks
from src.features import decoding
from src.features import extractor
from src.features import ffmpeg
from src.features import networks

log = logging.getLogger("yt8m")


def define_flags():
    flags.DEFINE_string("videos", "", "Glob of the films; a film's name without its extension is its id.")
    flags.DEFINE_string("networks_dir", "", "Folder of the published networks.")
    flags.DEFINE_string("output_dir", "", "Folder for the features. Videos whose features are there are skipped.")
    flags.DEFINE_bool("check_models", False, "Only check the files in --networks_dir, by published values.")
    flags.DEFINE_enum("missing_audio", decoding.SILENCE, [decoding.SILENCE, decoding.OMIT, decoding.REFUSE],
                      "Of videos without sound: write the features of silence, write none, or refuse the videos.")
    flags.DEFINE_integer("max_seconds", 0, "Seconds of each video to extract; 0: all.", lower_bound=0)
    flags.DEFINE_bool("accept_damaged", False, "Also write the features of videos that break off.")
    flags.DEFINE_integer("batch_size", 32, "Seconds of video that a network takes together.", lower_bound=1)
    flags.DEFINE_integer("num_decoders", 2, "Videos that are decoded at the same time.", lower_bound=1)
    flags.DEFINE_string("ffmpeg", "", "Path of ffmpeg, if it is not on the PATH; ffprobe is beside it.")


def jobs_of(args):
    """List of the `extractor.Job`s of the videos.

    Raises:
      InputError: there is no video, a name is no id, or two videos have the same id.
    """
    if not args.output_dir:
        raise InputError("--output_dir is empty: say where the features go.")
    if storage.local(args.videos) is None:
        raise InputError("--videos=%s is a bucket, which ffmpeg cannot read: copy the videos to this machine."
                         % args.videos)
    if tf.io.gfile.isdir(args.videos):
        raise InputError("--videos=%s is a folder: give a glob of its videos, --videos='%s'."
                         % (args.videos, os.path.join(args.videos, "*")))
    paths = [path for path in files.find(args.videos, "videos") if not os.path.basename(path).startswith(".")]
    if not paths:
        raise InputError("No film matches --videos=%s: check the path, and quote the glob." % args.videos)
    return [extractor.Job(path, os.path.join(args.output_dir, os.path.splitext(os.path.basename(path))[0] + ".npz"))
            for path in own_videos.by_id(paths).values()]


def check_models(folder):
    """Prints what the published checks find; returns 1 if one fails."""
    with networks.opened(folder) as opened:
        found = checks.run(opened, folder)
    for each in found:
        print("%s: %s%s" % (each.name, {True: "pass, ", False: "FAIL, ", None: ""}[each.passed], each.found))
    return 1 if any(each.passed is False for each in found) else None


def say_what_became(report, args, count):
    """Logs which videos had no sound.

    Raises:
      InputError: a video failed.
    """
    if report.silent:
        log.info("%d videos have no sound: %s; their features of sound are %s", len(report.silent), text.listed(
            report.silent), "left out" if args.missing_audio == decoding.OMIT else "those of silence")
    if len(report.failed) == 1:
        raise InputError("1 of %d videos is not extracted: %s" % (count, report.failed[0][1]))
    if report.failed:
        raise InputError("%d of %d videos are not extracted, see the lines above: %s." % (
            len(report.failed), count, text.listed([path for path, _ in report.failed])))


def main(args):
    """Extracts the features, or checks the networks."""
    if args.check_models:
        return check_models(args.networks_dir)
    jobs = jobs_of(args)
    tools = ffmpeg.find(args.ffmpeg)
    networks.check_there(args.networks_dir)
    there = set(files.names(args.output_dir))
    left = [job for job in jobs if os.path.basename(job.output) not in there]
    if len(left) < len(jobs):
        log.info("skipping %d of %d videos, whose features are in %s", len(jobs) - len(left), len(jobs),
                 args.output_dir)
    if not left:
        return None
    atomic.check_writable(left[0].output)
    devices.count_gpus()
    options = decoding.Options(tools, args.missing_audio, args.max_seconds, args.accept_damaged)
    with networks.opened(args.networks_dir) as opened:
        report = extractor.Extractor(opened, options, extractor.Batching(args.batch_size, args.num_decoders),
                                     own_videos.write).run(left)
    log.info("written: %d of %d videos, to %s", len(left) - len(report.failed), len(left), args.output_dir)
    say_what_became(report, args, len(left))
    return None


if __name__ == "__main__":
    program.run(define_flags, main)
