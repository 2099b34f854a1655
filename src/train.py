"""Trains a model: pre-training on video labels, fine-tuning on segment labels.

  python src/train.py --model=Bert --frame_features --feature_names=rgb,audio \\
    --feature_sizes=1024,128 --train_data_pattern='2/frame/train/train*.tfrecord' --train_dir=model
"""
import os
import sys

if __name__ == "__main__":
    if not __package__:  # run as a file
        sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    from src.common import startup
    startup.begin()  # before the modules below load

import collections
import functools
import logging

from absl import flags
import tensorflow as tf

from src import models
from src.common import devices
from src.common import files
from src.common import program
from src.common import sessions
from src.common import tensorboard
from src.common.errors import InputError
from src.data import damage
from src.data import pipeline
from src.data import readers
from src.data import segments
from src.data import shards
from src.evaluation.evaluator import Evaluator
from src.evaluation.metrics import batch_metrics
from src.evaluation.validation import Validator
from src.trained import checkpoints
from src.trained import export
from src.trained import forward
from src.trained import model_flags
from src.trained import train_dir
from src.training import footprint
from src.training import losses
from src.training import optimizers
from src.training import stopping
from src.training import tf_cluster
from src.training import towers
from src.training import trainer

tf1 = tf.compat.v1
log = logging.getLogger("yt8m")

# Flags of checkpoints that give a new run its weights, and the part of the model that takes them; "": all of it.
INITIAL_WEIGHTS = collections.OrderedDict([("init_checkpoint", ""), ("init_context", "context"),
                                           ("init_segment", "segment")])


def define_flags():
    models.define_flags()
    readers.define_flags()
    pipeline.define_flags()
    shards.define_flags()
    sessions.define_flags()
    losses.define_flags()
    optimizers.define_flags()
    flags.DEFINE_string("train_dir", "/tmp/yt8m_model/", "Where the model, its checkpoints and summaries go.")
    flags.DEFINE_string("train_data_pattern", "", "Glob of the training TFRecords.")
    flags.DEFINE_bool("train_all", False, "Also train on --train_valid_data_pattern's shards outside the holdout.")
    flags.DEFINE_string("train_valid_data_pattern", "", "Glob of the validation partition for --train_all.")
    flags.DEFINE_bool("describe", False, "Print the model's parameters per block and the memory of a training step at "
                      "--batch_size, without training; needs no data.")
    flags.DEFINE_bool("start_new_model", False, "Remove an earlier training's files from train_dir and start over.")
    flags.DEFINE_string("checkpoint_file", "", "Checkpoint to continue from (weights, optimizer and step) if "
                        "train_dir holds none: a path, or a step, latest or best in train_dir.")
    flags.DEFINE_string("init_checkpoint", "", "Checkpoint that gives a new run its initial weights, at step 0 and "
                        "with a fresh optimizer; of this project or of the original. Variables that it lacks or holds "
                        "in another shape, such as a head for other classes, are initialized as usual.")
    flags.DEFINE_string("init_context", "", "As --init_checkpoint, but for the context encoder of ContextSegment: the "
                        "folder of a trained model like this encoder, whose newest checkpoint gives its weights, or a "
                        "checkpoint.")
    flags.DEFINE_string("init_segment", "", "The same for the segment encoder.")
    flags.DEFINE_string("freeze", "", "Regular expression, such as tower/encoder/.*: variables whose whole names it "
                        "matches are not trained.")
    flags.DEFINE_integer("num_gpu", 1, "GPUs to use, at most those present; each takes a share of the batch.",
                         lower_bound=1)
    flags.DEFINE_integer("batch_size", 1024, "Examples per step on each GPU.", lower_bound=1)
    flags.DEFINE_integer("num_epochs", 5, "Passes over the training data; 0: until max_steps.", lower_bound=0)
    flags.DEFINE_integer("max_steps", None, "Global step at which training ends.", lower_bound=1)
    flags.DEFINE_integer("export_model_steps", 1000, "Steps between checkpoints.", lower_bound=1)
    flags.DEFINE_bool("export_saved_models", True, "Write a SavedModel of each checkpoint into train_dir/export.")
    flags.DEFINE_integer("max_to_keep", 0, "Checkpoints to keep, the newest ones and the best evaluated one, with "
                         "their SavedModels; 0: all.", lower_bound=0)
    flags.DEFINE_string("segment_label_ids_file", "", "With --negative_weight: the classes rated at segment level. "
                        "Empty: %s for YouTube-8M's classes; all classes for other data." % segments.LABEL_IDS)
    flags.DEFINE_integer("seed", None, "Fixes the initial weights, the frames and the dropout that are drawn, and the "
                         "order of the examples: on a CPU, the same command then gives the same weights. Depends on "
                         "--num_readers.", lower_bound=0)
    flags.DEFINE_float("regularization_penalty", 1.0, "Factor of the regularization losses.")
    flags.DEFINE_float("clip_gradient_norm", 1.0, "Norm to clip each variable's gradient to; 0: no clipping.")
    flags.DEFINE_bool("log_device_placement", False, "Log where each op runs.")
    flags.DEFINE_string("valid_data_pattern", "", "Glob of records to validate each checkpoint on; only their "
                        "holdout is read.")
    flags.DEFINE_bool("valid_segment_labels", False, "Validate on rated segments instead of videos.")
    flags.DEFINE_integer("valid_top_k", 20, "Predictions per example that count for the validation's MAP and GAP.",
                         lower_bound=1)
    flags.DEFINE_integer("valid_batch_size", 128, "Examples per batch of validation.", lower_bound=1)
    flags.DEFINE_string("valid_checkpoint", "", "A checkpoint to validate before training starts: a path, or a step, "
                        "latest or best in train_dir.")
    flags.DEFINE_integer("valid_size", 0, "Examples of each validation; 0: all.", lower_bound=0)


def training_paths(args):
    """The paths of the shards to train on; see 'The split' in docs/competition.md.

    Raises:
      InputError: a pattern matches nothing.
    """
    paths, split = files.find(args.train_data_pattern, "train_data_pattern"), shards.split(args)
    if args.segment_labels:
        paths = shards.training(paths, split)
    if args.train_all:
        others = files.find(args.train_valid_data_pattern, "train_valid_data_pattern")
        paths = paths + shards.training(others, split)
    return paths


def named_checkpoint(args, flag):
    """The checkpoint that a flag names; None without the flag.

    Raises:
      InputError: there is no such checkpoint, or --start_new_model would remove it.
    """
    which = getattr(args, flag)
    if not which:
        return None
    if INITIAL_WEIGHTS.get(flag):
        checkpoint = which if checkpoints.exists(which) else checkpoints.resolve(which, "latest")
    else:
        checkpoint = checkpoints.resolve(args.train_dir, which)
    if args.start_new_model and train_dir.holds(args.train_dir, checkpoint):
        raise InputError("--start_new_model would remove --%s=%s: leave out one of the two, or copy the checkpoint "
                         "out of --train_dir." % (flag, which))
    return checkpoint


def find_start(args, model):
    """The `train_dir.Start` of this training.

    Raises:
      InputError: the flags contradict each other, or name a checkpoint that does not exist.
    """
    given = [flag for flag in INITIAL_WEIGHTS if getattr(args, flag)]
    has_context = forward.view(model).context is not None
    if args.checkpoint_file and given:
        raise InputError("Give either --checkpoint_file, to continue a training, or --%s, to begin one." % given[0])
    if args.init_checkpoint and len(given) > 1:
        raise InputError("--init_checkpoint gives weights to the whole model, and --%s to a part of it: give one of "
                         "the two." % given[1])
    if set(given) - {"init_checkpoint"} and not has_context:
        raise InputError("--%s gives weights to an encoder of --model=ContextSegment: for --model=%s give "
                         "--init_checkpoint." % (given[-1], args.model))
    named = named_checkpoint(args, "checkpoint_file")
    start = train_dir.start(args.train_dir, named, args.start_new_model)
    if named and start.checkpoint != named:
        log.info("%s exists, so training continues from it and not from %s", start.checkpoint, named)
    if has_context and not (args.train_context or start.checkpoint or args.init_checkpoint or args.init_context):
        raise InputError("The context encoder is not trained, and has no weights: give it those of a trained model by "
                         "--init_context, or add --train_context.")
    return start


def validation_data(args):
    """(Reader, shards, the checkpoint to validate first or None) for --valid_data_pattern; None without the flag.

    Raises:
      InputError: the pattern is missing or matches nothing, or there is no such checkpoint.
    """
    first = named_checkpoint(args, "valid_checkpoint")
    if not args.valid_data_pattern:
        if first:
            raise InputError("--valid_checkpoint needs --valid_data_pattern: give the records to validate on.")
        return None
    reader = readers.create(args.feature_names, args.feature_sizes, args.frame_features, args.valid_segment_labels,
                            args.max_frames, args.num_classes)
    paths = files.find(args.valid_data_pattern, "valid_data_pattern")
    return reader, shards.holdout(paths, shards.split(args)), first


def make_validator(args, model, reader, paths):
    """A Validator on the shards of --valid_data_pattern."""
    evaluator = Evaluator(model, reader, losses.create(args.label_loss), paths, batch_size=args.valid_batch_size,
                          num_readers=args.num_readers, top_k=args.valid_top_k, max_examples=args.valid_size or None)
    return Validator(evaluator, args.train_dir)


def prepare_folder(args, graph, model, reader, start, validation):
    """Prepares --train_dir, on the chief.

    Returns:
      The initializers for the flags of INITIAL_WEIGHTS; the `trainer.AfterSave`.

    Raises:
      InputError: such a checkpoint does not exist or does not fit, the folder holds another model, or another process
        trains there.
    """
    validate, initializers = None, []
    if not start.checkpoint:
        for flag, part in INITIAL_WEIGHTS.items():
            checkpoint = named_checkpoint(args, flag)
            if checkpoint and part:
                model_flags.check_encoder(checkpoint, part, model_flags.from_flags(args))
            if checkpoint:
                initializers.append(trainer.initializer(checkpoint, graph, part))
    is_locked = train_dir.lock(args.train_dir)
    if args.start_new_model:
        train_dir.clear(args.train_dir)
    checkpoints.remove_half_written(args.train_dir, is_locked)
    model_flags.record(args.train_dir, args)
    exporter = export.SavedModelExporter(model, reader) if args.export_saved_models else None
    if validation:
        *data, first = validation
        validate = make_validator(args, model, *data)
    after_save = trainer.AfterSave(args.train_dir, exporter, validate, args.max_to_keep)
    if start.in_train_dir:
        after_save.complete(start.checkpoint, start.step)
    if validation and first:
        validate(first, checkpoints.step_of(first))
    footprint.log_disk(graph, args.train_dir, footprint.Plan(
        start.step, args.max_steps, args.export_model_steps, args.max_to_keep, args.export_saved_models))
    return initializers, after_save


def make_objective(args):
    """The `losses.Objective` that the flags describe.

    Raises:
      InputError: they contradict each other, or the rated classes cannot be read.
    """
    rated_classes = None
    if args.negative_weight is not None:
        rated_classes = segments.rated_classes(args.segment_label_ids_file, args.num_classes)
    return losses.objective(args, rated_classes)


def build_graph(args, task, next_batch, tower_devices, *, model, reader, objective):
    """Builds the training graph in the default graph; see `towers.build`."""
    with tf.device("/job:ps/task:0" if task.cluster_spec else None):
        checkpoints.create_global_step()
    options = optimizers.options(args, args.batch_size * len(tower_devices))
    updates = towers.Updates(functools.partial(optimizers.scheduled, options), args.clip_gradient_norm, args.freeze)
    return towers.build(model, reader, next_batch, tower_devices, objective, updates,
                        frames_sampled=forward.frame_picker(model, reader, is_training=True) is not None)


def describe(args, task, model, reader, objective):
    """Prints the parameters per block, and the memory of a training step on one GPU."""
    view = forward.view(model)
    context_frames = model.context_frames if view.context else 0
    num_frames = view.num_frames if args.segment_labels else reader.max_frames if model.frame_level else None
    pick_frames = forward.frame_picker(model, reader, is_training=True)
    with tf.Graph().as_default():
        if pick_frames:
            picked = pick_frames(tf.constant(num_frames))
            num_frames = num_frames if picked is None else tf.compat.dimension_value(picked.shape[0])
        found = footprint.measure(build_graph(
            args, task, lambda: reader.placeholder_batch(args.batch_size, num_frames, context_frames), [None],
            model=model, reader=reader, objective=objective))
    footprint.print_table(found, args.model, args.batch_size, num_frames, context_frames)


def train(args, task, stop, model, reader, objective):
    """Trains; returns 128 + the number of the signal that stopped it, or None."""
    paths, validation, start = training_paths(args), validation_data(args), find_start(args, model)
    if task.is_chief:
        train_dir.check_usable(args.train_dir)
    pipeline.check_examples(reader, paths, args.num_readers)
    tower_devices = towers.tower_devices(args.num_gpu, devices.count_gpus(args.num_gpu), task.cluster_spec, task.prefix)
    run = trainer.Run(args.train_dir, args.batch_size * len(tower_devices), args.export_model_steps, args.max_steps,
                      sessions.config(sessions.options(args), args.log_device_placement),
                      tensorboard.flags_table(args), batch_metrics=batch_metrics)
    seed = None if args.seed is None else trainer.seed_of(args.seed, start.step, task)
    with tf.Graph().as_default(), damage.explained(paths, reader.form):
        tf1.set_random_seed(seed)
        with tf.device("/cpu:0"):
            batches = tf1.data.make_one_shot_iterator(pipeline.training_batches(
                reader, paths, run.examples_per_step, forward.frame_picker(model, reader, is_training=True),
                args.num_epochs or None, args.num_readers, seed=seed, view=forward.view(model, is_training=True)))
        graph = build_graph(args, task, batches.get_next, tower_devices,
                            model=model, reader=reader, objective=objective)
        initializers = after_save = None
        if task.is_chief:
            initializers, after_save = prepare_folder(args, graph, model, reader, start, validation)
        log.info("training %s on %d shards, %d examples per step", args.model, len(paths), run.examples_per_step)
        step = trainer.train(graph, run, task, stop, start, initializers=initializers, after_save=after_save)
    if not task.is_chief:
        tf_cluster.wait_for_save(stop, args.train_dir, step)
    elif not stop.requested:
        tf_cluster.announce_end(task)
    return 128 + stop.signal if stop.signal else None


def main(args):
    """Trains, serves as a parameter server, or describes the model."""
    task = tf_cluster.Task(os.environ.get("TF_CONFIG"))
    if task.job == "ps" and task.server:
        return tf_cluster.serve(task, args.train_dir, args.max_steps)
    objective = make_objective(args)
    reader = readers.create(args.feature_names, args.feature_sizes, args.frame_features, args.segment_labels,
                            args.max_frames, args.num_classes, video_classes=args.negative_weight is not None)
    model = model_flags.create_model(model_flags.from_flags(args))
    if model.frame_level != args.frame_features:
        raise InputError("--model=%s takes %s-level records: %s --frame_features." % (
            args.model, *(("frame", "add") if model.frame_level else ("video", "leave out"))))
    if args.describe:
        return describe(args, task, model, reader, objective)
    if set(args.train_dir) & set("*?[]"):
        raise InputError("--train_dir=%s holds a character of globs, and TensorFlow would expand it: rename the folder."
                         % args.train_dir)
    watch = [tf_cluster.Watch(task, args.train_dir, args.max_steps)] if task.cluster_spec else []
    try:
        return stopping.run(lambda stop: train(args, task, stop, model, reader, objective), *watch)
    finally:
        train_dir.unlock(args.train_dir)


if __name__ == "__main__":
    program.run(define_flags, main)
