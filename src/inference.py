"""Predicts classes of videos, or ranks all segments of each class, at one or more frame shifts.

  python src/inference.py --train_dir=model --segment_labels --shift=-2,-1,0,1 \\
    --input_data_pattern='3/frame/test/test*.tfrecord' --output_file=test.csv
"""
import os
import sys

if __name__ == "__main__":
    if not __package__:  # run as a file
        sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    from src.common import interrupts
    interrupts.end_quietly()  # while the modules below load

import contextlib
import logging

from absl import flags
import numpy as np

from src import models
from src.common import atomic
from src.common import devices
from src.common import files
from src.common import program
from src.common.errors import InputError
from src.common.progress import Progress
from src.data import pipeline
from src.data import readers
from src.data import segments
from src.data import shards
from src.evaluation.scoring import Scorer
from src.submission import ranked_csv
from src.submission import shifts
from src.submission import video_csv
from src.submission.top_segments import TopSegments
from src.submission.top_segments import top_columns
from src.trained import bundle
from src.trained import checkpoints
from src.trained import export
from src.trained import model_flags

log = logging.getLogger("yt8m")


def define_flags():
    models.define_flags()
    readers.define_flags()
    pipeline.define_flags()
    shards.define_flags()
    flags.DEFINE_string("train_dir", "", "The folder of a trained model; eval.py must have left inference_model there.")
    flags.DEFINE_string("input_model_tgz", "", "Instead of --train_dir: a tgz that --output_model_tgz wrote.")
    flags.DEFINE_string("untar_model_dir", "/tmp/yt8m-model", "Folder for what --input_model_tgz holds.")
    flags.DEFINE_string("output_model_tgz", "", "Also bundle the model into this tgz.")
    flags.DEFINE_string("input_data_pattern", "", "Glob of the TFRecords: of validate* files the holdout is read, of "
                        "all others every file.")
    flags.DEFINE_string("output_file", "", "CSV to write. With several shifts it holds shift 0, and NAME_shiftK.csv "
                        "beside it each other shift K.")
    flags.DEFINE_bool("output_prob", False, "With --segment_labels: write each segment's classes and scores, instead "
                      "of each class's segments.")
    flags.DEFINE_string("segment_label_ids_file", "segment_label_ids.csv", "The classes rated at segment level.")
    flags.DEFINE_integer("segment_max_pred", 100000, "Segments to keep a class.", lower_bound=1,
                         upper_bound=ranked_csv.MAX_SEGMENTS)
    flags.DEFINE_integer("top_k", 20, "Classes to keep a video or segment.", lower_bound=1)
    flags.DEFINE_integer("batch_size", 512, "Examples a batch.", lower_bound=1)
    flags.DEFINE_string("shift", "0", "Frames to roll each video by along time: one number, or several such as "
                        "-2,-1,0,1 in one pass over the data.")


def input_paths(args):
    """The shards to predict.

    Raises:
      InputError: the pattern matches nothing.
    """
    paths = files.find(args.input_data_pattern, "input_data_pattern")
    if os.path.basename(args.input_data_pattern).startswith("validate"):
        return shards.holdout(paths, args.holdout_shards)
    log.info("reading all %d shards", len(paths))
    return paths


def scored(scorer, restore, paths, unit, num_shifts=1):
    """The scorer's batches, with progress."""
    total, read, progress = files.total_bytes(paths), 0.0, Progress("inference", unit)
    with contextlib.closing(scorer.batches(restore)) as batches:
        for batch in batches:
            yield batch
            read += batch["bytes"].sum() / num_shifts
            progress.add(len(batch["id"]), share=read / total)
    if not progress.done:
        raise InputError("The %d shards such as %s hold no video: check --input_data_pattern." % (len(paths), paths[0]))
    progress.finish()


def write_pairs(batches, classes, top_k, outputs):
    """Writes each example's top_k classes with their scores, batch by batch, to one CSV a shift."""
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(video_csv.writing(path)) for path in outputs]
        for batch in batches:
            columns = top_columns(batch["scores"], top_k)
            scores = batch["scores"][np.arange(len(columns))[:, np.newaxis], columns]
            writers[batch.get("shift", 0)].add(batch["id"], classes[columns], scores)


def write_ranked(batches, classes, top_k, max_segments, outputs):
    """Writes each class's best segments to one CSV a shift."""
    best = [TopSegments(len(classes), max_segments) for _ in outputs]
    for batch in batches:
        best[batch["shift"]].add(batch["id"], batch["scores"], top_k)
    for path, collected in zip(outputs, best):
        ranked_csv.write(path, ((classes[column], ids) for column, ids in collected.ranked()))
        if collected.num_empty:
            log.info("%s: %d of the %d classes have no segment, since of each segment the best --top_k=%d classes "
                     "count: raise it", path, collected.num_empty, len(classes), top_k)


def main(args):
    """Predicts as the flags say."""
    if not args.output_file:
        raise InputError("--output_file is empty: say where the CSV goes.")
    frame_shifts = shifts.parse(args.shift, args.segment_labels)
    outputs = shifts.outputs(args.output_file, frame_shifts)
    paths = input_paths(args)
    model_dir, checkpoint = bundle.find(args.train_dir, args.input_model_tgz, args.untar_model_dir)
    values = model_flags.adopt(model_dir, args)
    log.info("%s of step %d, from %s", values["model"], checkpoints.step_of(checkpoint), model_dir)
    model = model_flags.create_model(values)
    reader = readers.create(values["feature_names"], values["feature_sizes"], values["frame_features"],
                            max_frames=args.max_frames)
    if args.segment_labels and not model.frame_level:
        raise InputError("--segment_labels needs a frame-level model, and %s holds %s." % (model_dir, values["model"]))
    classes = np.arange(reader.num_classes)
    if args.segment_labels:
        classes = np.array(segments.read_label_ids(args.segment_label_ids_file))
    for path in outputs + [args.output_model_tgz] * bool(args.output_model_tgz):
        atomic.check_writable(path)
    devices.count_gpus()
    scorer = Scorer(model, reader, paths, args.batch_size, args.num_readers,
                    *((frame_shifts, classes) if args.segment_labels else ()))
    batches = scored(scorer, lambda session: export.restore_model(session, checkpoint, scorer.variables), paths,
                     "segments" if args.segment_labels else "videos", len(frame_shifts))
    if args.segment_labels and not args.output_prob:
        write_ranked(batches, classes, args.top_k, args.segment_max_pred, outputs)
    else:
        write_pairs(batches, classes, args.top_k, outputs)
    for path in outputs:
        log.info("written: %s", path)
    if args.output_model_tgz:
        bundle.write(model_dir, checkpoint, args.output_model_tgz)


if __name__ == "__main__":
    program.run(define_flags, main)
