"""Predicts classes of videos, or ranks all segments of each class, at one or more frame shifts.

  python src/inference.py --train_dir=model --segment_labels --shift=-2,-1,0,1 \\
    --input_data_pattern='3/frame/test/test*.tfrecord' --output_file=test.csv
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

from src import models
from src.common import atomic
from src.common import devices
from src.common import files
from src.common import program
from src.common import sessions
from src.common import tf_config
from src.common.errors import InputError
from src.data import pipeline
from src.data import readers
from src.data import segments
from src.data import shards
from src.data import vocabulary
from src.prediction import predictions
from src.prediction import video_prior
from src.submission import ranked_csv
from src.submission import shifts
from src.trained import bundle
from src.trained import checkpoints
from src.trained import model_flags

log = logging.getLogger("yt8m")


def define_flags():
    models.define_flags()
    readers.define_flags()
    pipeline.define_flags()
    shards.define_flags()
    segments.define_flags()
    video_prior.define_flags()
    sessions.define_flags()
    flags.DEFINE_string("train_dir", "", "The folder of a trained model that eval.py has evaluated.")
    flags.DEFINE_string("input_model_tgz", "", "Instead of --train_dir: a tgz that --output_model_tgz wrote.")
    flags.DEFINE_string("untar_model_dir", "/tmp/yt8m-model", "Folder to unpack --input_model_tgz into.")
    flags.DEFINE_string("output_model_tgz", "", "Also bundle the model into this tgz.")
    flags.DEFINE_string("input_data_pattern", "", "Glob of the TFRecords. Files named validate*: only the holdout is "
                        "read; other files: all of them.")
    flags.DEFINE_string("output_file", "", "CSV to write. With several shifts it holds shift 0; NAME_shiftK.csv "
                        "beside it holds shift K.")
    flags.DEFINE_bool("output_prob", False, "With --segment_labels: write each segment's classes and scores, instead "
                      "of each class's segments.")
    flags.DEFINE_string("vocabulary_file", "", "With --output_prob, and for videos: write an extra column with the "
                        "classes' names from this file, YouTube-8M's vocabulary.csv or one like it.")
    flags.DEFINE_string("segment_label_ids_file", "", "The classes rated at segment level. Empty: %s for YouTube-8M's "
                        "classes; all classes for other data." % segments.LABEL_IDS)
    flags.DEFINE_integer("segment_max_pred", 100000, "Segments to keep per class.", lower_bound=1,
                         upper_bound=ranked_csv.MAX_SEGMENTS)
    flags.DEFINE_integer("top_k", 20, "Classes to keep per video or segment.", lower_bound=1)
    flags.DEFINE_integer("batch_size", 512, "Examples per batch.", lower_bound=1)
    flags.DEFINE_string("shift", "0", "Frames to roll each video by along time: one number, or several such as "
                        "-2,-1,0,1 in one pass over the data.")
    flags.DEFINE_string("scheduler", "", "Score on the workers of a Dask cluster. This is its scheduler's address, "
                        "tcp://HOST:8786.")
    flags.DEFINE_integer("num_gpu", 1, "GPUs of this machine to score on, one process per GPU.", lower_bound=1)
    flags.DEFINE_integer("cluster_timeout_secs", 300, "Seconds to wait for --scheduler, and for its cluster to have a "
                         "worker that works.", lower_bound=1)


def are_rated(args):
    """Whether the shards are those of validation."""
    return os.path.basename(args.input_data_pattern).startswith("validate")


def input_paths(args):
    """The shards to predict, in canonical order.

    Raises:
      InputError: the pattern matches nothing.
    """
    paths = files.find(args.input_data_pattern, "input_data_pattern")
    if are_rated(args):
        paths = shards.holdout(paths, shards.split(args))
    else:
        log.info("reading all %d shards", len(paths))
    return shards.ordered(paths)


def classes_of(args, num_classes):
    """The classes to score, as an array."""
    if not args.segment_labels:
        return np.arange(num_classes)
    return np.array(segments.rated_classes(args.segment_label_ids_file, num_classes))


def names_of(args):
    """The names to write beside the classes, or None.

    Raises:
      InputError: the output has no column for names, or the file cannot be read.
    """
    if not args.vocabulary_file:
        return None
    if args.segment_labels and not args.output_prob:
        raise InputError("--vocabulary_file does not apply to ranked segments: leave it out, or add --output_prob.")
    return vocabulary.read(args.vocabulary_file)


def predict(args, config, job, outputs):
    """Predicts here or on a cluster."""
    if not args.scheduler and args.num_gpu == 1 and config.num_tasks < 2:
        devices.count_gpus()
        predictions.predict(job, outputs)
        return
    from src.prediction import dask_cluster  # imports Dask
    if args.scheduler:
        connected = dask_cluster.connected(args.scheduler, args.cluster_timeout_secs)
    elif config.num_tasks > 1:
        connected = dask_cluster.of_job(config, args.cluster_timeout_secs)
    else:
        connected = dask_cluster.of_gpus(args.num_gpu, args.cluster_timeout_secs)
    with connected as workers:
        workers.predict(job, outputs)


def main(args):
    """Predicts, or works for the chief of the cluster that TF_CONFIG describes."""
    config = tf_config.parse(os.environ.get("TF_CONFIG"))
    if config.num_tasks > 1:
        tf_config.check_one_chief(config)
        tf_config.check_addresses(config)
        if not config.is_chief:
            from src.prediction import dask_cluster  # imports Dask
            return dask_cluster.work(config, args.cluster_timeout_secs)
    if not args.output_file:
        raise InputError("--output_file is empty: say where the CSV goes.")
    frame_shifts, skip = shifts.parse(args.shift, args.segment_labels), segments.skipped(args)
    settings = video_prior.parse(args)
    outputs = video_prior.outputs(args, frame_shifts, settings)
    paths = input_paths(args)
    model_dir, checkpoint = bundle.find(args.train_dir, args.input_model_tgz, args.untar_model_dir)
    values = model_flags.adopt(model_dir, args)
    log.info("%s of step %d, from %s", values["model"], checkpoints.step_of(checkpoint), model_dir)
    if args.segment_labels and not model_flags.create_model(values).frame_level:
        raise InputError("--segment_labels needs a frame-level model, and %s holds %s." % (model_dir, values["model"]))
    classes, names = classes_of(args, values["num_classes"]), names_of(args)
    prior = video_prior.read(args.video_predictions, settings, classes, values["num_classes"]) if settings else None
    job = predictions.Job(
        paths, checkpoint, values, predictions.Reading(args.max_frames, args.batch_size, args.num_readers),
        shifts=frame_shifts if args.segment_labels else None, classes=classes,
        output=predictions.Output(args.segment_labels and not args.output_prob, args.top_k, args.segment_max_pred,
                                  names),
        options=sessions.options(args), skip=skip, prior=prior)
    for path in outputs + [args.output_model_tgz] * bool(args.output_model_tgz):
        atomic.check_writable(path)
    if prior and are_rated(args):
        video_prior.log_recall(prior, classes, paths, values["num_classes"])
    predict(args, config, job, outputs)
    for path in outputs:
        log.info("written: %s", path)
    if args.output_model_tgz:
        bundle.write(model_dir, checkpoint, args.output_model_tgz)


if __name__ == "__main__":
    program.run(define_flags, main)
