"""Trains a model: pre-training on video labels, fine-tuning on segment labels.

  python src/train.py --model=Bert --frame_features --feature_names=rgb,audio \\
    --feature_sizes=1024,128 --train_data_pattern='2/frame/train/train*.tfrecord' --train_dir=model
"""
import os
import sys

if __name__ == "__main__":
    if not __package__:  # run as a file
        sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    from src.common import interrupts
    interrupts.end_quietly()  # while the modules below load

import fnmatch
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
from src.trained import checkpoints
from src.trained import export
from src.trained import model_flags
from src.training import footprint
from src.training import losses
from src.training import optimizers
from src.training import stopping
from src.training import tf_cluster
from src.training import towers
from src.training import trainer

tf1 = tf.compat.v1
log = logging.getLogger("yt8m")

# What training leaves in train_dir, and --start_new_model removes.
_OUTPUTS = ("model.ckpt-*", "checkpoint", "checkpoint.tmp*", "graph.pbtxt", "model_flags.json", "best_checkpoint.json",
            "events.out.tfevents.*", "export", "eval", "inference_model")


def define_flags():
    models.define_flags()
    readers.define_flags()
    pipeline.define_flags()
    shards.define_flags()
    sessions.define_flags()
    flags.DEFINE_string("train_dir", "/tmp/yt8m_model/", "Where the model, its checkpoints and summaries go.")
    flags.DEFINE_string("train_data_pattern", "", "Glob of the training TFRecords.")
    flags.DEFINE_bool("train_all", False, "Train on --train_valid_data_pattern's shards outside the holdout, too.")
    flags.DEFINE_string("train_valid_data_pattern", "", "Glob of the validation partition for --train_all.")
    flags.DEFINE_bool("describe", False, "Print the model's parameters by block and the memory that a training step "
                      "takes at --batch_size, and do not train; needs no data.")
    flags.DEFINE_bool("start_new_model", False, "Remove what an earlier training left in train_dir and start anew.")
    flags.DEFINE_string("checkpoint_file", "", "Checkpoint to continue from (weights, optimizer and step) while "
                        "train_dir holds none: a path, or a step, latest or best in train_dir.")
    flags.DEFINE_string("init_checkpoint", "", "Checkpoint, of this project or of the original, whose weights alone a "
                        "new run begins with, at step 0 and with a fresh optimizer. What it lacks or holds in another "
                        "shape, as it does a head of other classes, begins afresh.")
    flags.DEFINE_string("freeze", "", "Regular expression: variables whose whole names it matches, such as those of "
                        "tower/encoder/.*, stay as they are.")
    flags.DEFINE_integer("num_gpu", 1, "GPUs to use, at most those present; each takes a share of the batch.",
                         lower_bound=1)
    flags.DEFINE_integer("batch_size", 1024, "Examples a step on each GPU.", lower_bound=1)
    flags.DEFINE_integer("num_epochs", 5, "Passes over the training data; 0 = until max_steps.", lower_bound=0)
    flags.DEFINE_integer("max_steps", None, "Global step at which training ends.", lower_bound=1)
    flags.DEFINE_integer("export_model_steps", 1000, "Steps between checkpoints.", lower_bound=1)
    flags.DEFINE_bool("export_saved_models", True, "Leave a SavedModel of each checkpoint in train_dir/export.")
    flags.DEFINE_integer("max_to_keep", 0, "Checkpoints to keep, the newest ones and the best evaluated one, with "
                         "their SavedModels; 0 = all.", lower_bound=0)
    flags.DEFINE_string("label_loss", "CrossEntropyLoss", "CrossEntropyLoss, HingeLoss or SoftmaxLoss.")
    flags.DEFINE_bool("mask_unrated_labels", False, "With --segment_labels: classes without a rating do not count; "
                      "else they are negatives, as in the published run.")
    flags.DEFINE_float("regularization_penalty", 1.0, "Factor of the regularization losses.")
    flags.DEFINE_float("base_learning_rate", 0.01, "Learning rate at the first step.")
    flags.DEFINE_float("learning_rate_decay", 0.95, "Factor every learning_rate_decay_examples.")
    flags.DEFINE_float("learning_rate_decay_examples", 2000000, "Examples between decays of the learning rate.",
                       lower_bound=1)
    flags.DEFINE_bool("fix_learning_rate", False, "Keep the learning rate at base_learning_rate.")
    flags.DEFINE_string("optimizer", "AdamOptimizer", "Optimizer of tf.train: %s."
                        % ", ".join(sorted(optimizers.OPTIMIZERS)))
    flags.DEFINE_string("custom_optimizer", "", "Instead of --optimizer: bert (AdamW with linear decay) or radam.")
    flags.DEFINE_float("clip_gradient_norm", 1.0, "Norm to clip each variable's gradient to; 0 = not.")
    flags.DEFINE_bool("log_device_placement", False, "Log where each op runs.")
    flags.DEFINE_string("valid_data_pattern", "", "Glob of records to validate each checkpoint on while training; "
                        "their holdout is read.")
    flags.DEFINE_bool("valid_segment_labels", False, "Validate on rated segments, else on videos.")
    flags.DEFINE_integer("valid_top_k", 20, "Predictions an example that count for the validation's MAP and GAP.",
                         lower_bound=1)
    flags.DEFINE_integer("valid_batch_size", 128, "Examples a batch of validation.", lower_bound=1)
    flags.DEFINE_string("valid_checkpoint", "", "A checkpoint to validate before training starts: a path, or a step, "
                        "latest or best in train_dir.")
    flags.DEFINE_integer("valid_size", 0, "Examples of each validation; 0 = all.", lower_bound=0)


def training_paths(args):
    """The shards to train on; see the README's section on the split.

    Raises:
      InputError: a pattern matches nothing.
    """
    paths = files.find(args.train_data_pattern, "train_data_pattern")
    if args.segment_labels:
        paths = shards.training(paths, args.holdout_shards)
    if args.train_all:
        more = files.find(args.train_valid_data_pattern, "train_valid_data_pattern")
        paths = paths + shards.training(more, args.holdout_shards)
    return paths


def _is_output(name):
    """Whether a name in train_dir is of what `start_anew` removes, half-written or whole."""
    return any(fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(name, ".%s.*.tmp" % pattern) for pattern in _OUTPUTS)


def named_checkpoint(args, flag):
    """The checkpoint that a flag names, None without the flag.

    Raises:
      InputError: there is no such checkpoint, or --start_new_model would remove it.
    """
    which = getattr(args, flag)
    if not which:
        return None
    checkpoint = checkpoints.resolve(args.train_dir, which)
    if args.start_new_model and _is_output(os.path.relpath(checkpoint, args.train_dir).split(os.sep)[0]):
        raise InputError("--start_new_model would remove --%s=%s: leave out one of the two, or copy the checkpoint "
                         "out of --train_dir." % (flag, which))
    return checkpoint


def initializer(args, graph):
    """What gives a run that begins at step 0 its weights; None without --init_checkpoint and for any other run.

    Raises:
      InputError: there is no such checkpoint, or it does not fit.
    """
    if args.checkpoint_file and args.init_checkpoint:
        raise InputError("Give either --checkpoint_file, to continue a training, or --init_checkpoint, to begin one.")
    there = None if args.start_new_model else trainer.starting_point(args.train_dir)[0]
    if not args.init_checkpoint or there:
        return None
    return trainer.initializer(named_checkpoint(args, "init_checkpoint"), graph)


def start_anew(train_dir):
    """Removes what training, evaluation and export left in train_dir, what killed runs left half-written there, and
    nothing else."""
    for name in files.names(train_dir):
        if _is_output(name) or files.is_leftover(name):
            files.remove(os.path.join(train_dir, name))


def make_optimizer_function(args, examples_per_step):
    """Function from the global step to (optimizer, learning rate), as `towers.build` takes it."""
    if args.custom_optimizer == "bert" and not args.max_steps and not args.fix_learning_rate:
        raise InputError("--custom_optimizer=bert decays the learning rate to zero at --max_steps: give it.")

    def make(global_step):
        if args.fix_learning_rate:
            rate = tf.constant(args.base_learning_rate)
        elif args.custom_optimizer == "bert":
            rate = optimizers.linear_decay(args.base_learning_rate, global_step, args.max_steps)
        else:
            seen = tf.cast(global_step, tf.int64) * examples_per_step
            rate = optimizers.step_decay(args.base_learning_rate, args.learning_rate_decay,
                                         args.learning_rate_decay_examples, seen)
        return optimizers.create(args.optimizer, args.custom_optimizer, rate, args.mixed_precision), rate

    return make


def validation_data(args):
    """Reader and shards of --valid_data_pattern; None without the flag."""
    if not args.valid_data_pattern:
        if args.valid_checkpoint:
            raise InputError("--valid_checkpoint needs --valid_data_pattern: give the records to validate on.")
        return None
    reader = readers.create(args.feature_names, args.feature_sizes, args.frame_features, args.valid_segment_labels,
                            args.max_frames, args.num_classes)
    return reader, shards.holdout(files.find(args.valid_data_pattern, "valid_data_pattern"), args.holdout_shards)


def make_validator(args, model, label_loss, reader, paths):
    """Function that logs the metrics of a checkpoint on the records of `paths`."""
    evaluator = Evaluator(model, reader, label_loss, paths, args.valid_batch_size, args.num_readers, args.valid_top_k,
                          args.valid_size or None)
    writer = tf1.summary.FileWriter(os.path.join(args.train_dir, "eval", "valid"))

    def validate(checkpoint, step):
        result = evaluator.evaluate(lambda session: export.restore_model(session, checkpoint, evaluator.variables))
        values = [("Hit@1", result.hit_at_one), ("PERR", result.perr), ("MAP", result.map), ("GAP", result.gap),
                  ("loss", result.loss)]
        log.info("validation at step %d: %s", step, ", ".join("%s %.4f" % pair for pair in values))
        writer.add_summary(tf1.Summary(value=[tf1.Summary.Value(tag="valid/" + name, simple_value=value)
                                              for name, value in values]), step)
        writer.flush()

    return validate


def after_save_function(args, model, reader, label_loss, validation, valid_checkpoint):
    """What follows each checkpoint: its SavedModel, its validation on `validation_data`, the end of older ones."""
    exporter = export.SavedModelExporter(model, reader) if args.export_saved_models else None
    validate = make_validator(args, model, label_loss, *validation) if validation else None
    checkpoint, step = trainer.starting_point(args.train_dir)
    if checkpoint and exporter and not files.exists(checkpoints.saved_model_path(args.train_dir, step)):
        exporter.export(checkpoint, checkpoints.saved_model_path(args.train_dir, step))  # which a kill cut short
    if valid_checkpoint:
        validate(valid_checkpoint, checkpoints.step_of(valid_checkpoint))

    def after_save(checkpoint, step):
        if exporter:
            exporter.export(checkpoint, checkpoints.saved_model_path(args.train_dir, step))
        if validate:
            validate(checkpoint, step)
        if args.max_to_keep:
            checkpoints.keep_newest(args.train_dir, args.max_to_keep)

    return after_save


def frames_to_sample(args, model, reader):
    """Function from a frame count to the frames that the records' reader shall decode; None: all of them."""
    if model.frame_level and not args.segment_labels:
        return lambda num_frames: model.frame_indices(num_frames, reader.max_frames, True)
    return None


def build_graph(args, task, model, reader, next_batch, label_loss, tower_devices):
    """The training graph, in the default graph; see `towers.build`."""
    with tf.device("/job:ps/task:0" if task.cluster_spec else None):
        checkpoints.create_global_step()
    return towers.build(
        model, reader, next_batch, tower_devices, label_loss, args.regularization_penalty,
        make_optimizer_function(args, args.batch_size * len(tower_devices)), args.clip_gradient_norm,
        args.mask_unrated_labels and args.segment_labels, frames_to_sample(args, model, reader) is not None,
        args.freeze)


def describe(args, task, model, reader, label_loss):
    """Prints the parameters by block, and the memory of a training step on one GPU."""
    num_frames = segments.SEGMENT_FRAMES if args.segment_labels else reader.max_frames if model.frame_level else None
    with tf.Graph().as_default():
        if frames_to_sample(args, model, reader):
            chosen = frames_to_sample(args, model, reader)(tf.constant(num_frames))
            num_frames = num_frames if chosen is None else chosen.shape[0].value
        found = footprint.measure(build_graph(
            args, task, model, reader, lambda: reader.placeholder_batch(args.batch_size, num_frames), label_loss,
            tower_devices=[None]))
    print("%s: %s parameters" % (args.model, "{:,}".format(sum(found.blocks.values()))))
    for scope, parameters in found.blocks.items():
        print("  %-36s%13s" % (scope, "{:,}".format(parameters)))
    print("memory of a training step, batch_size %d%s" % (
        args.batch_size, ", %d frames each" % num_frames if num_frames else ""))
    rows = [("weights", found.weights), ("gradients", found.gradients), ("optimizer's slots", found.slots),
            ("activations", found.activations), ("together", sum(found[1:]))]
    for name, size in rows:
        print("  %-36s%10.2f GB" % (name, size / footprint.GB))
    print("disk of a checkpoint                  %10.2f GB" % ((found.weights + found.slots) / footprint.GB))


def train(args, task, stop, model, reader, label_loss):
    """Trains as the flags say; returns 128 + the number of the signal that stopped it, else None."""
    paths = training_paths(args)
    validation = validation_data(args)
    start_from, valid_checkpoint = (named_checkpoint(args, flag) for flag in ("checkpoint_file", "valid_checkpoint"))
    used = towers.tower_devices(args.num_gpu, devices.count_gpus(args.num_gpu), task.cluster_spec, task.prefix)
    examples_per_step = args.batch_size * len(used)
    pipeline.check_examples(reader, paths, args.num_readers)
    with tf.Graph().as_default(), damage.explained(paths, reader.form):
        with tf.device("/cpu:0"):
            batches = tf1.data.make_one_shot_iterator(pipeline.training_batches(
                reader, paths, examples_per_step, frames_to_sample(args, model, reader), args.num_epochs or None,
                args.num_readers))
        graph = build_graph(args, task, model, reader, batches.get_next, label_loss, used)
        after_save = initialize = None
        if task.is_chief:
            initialize = initializer(args, graph)
            if args.start_new_model:
                start_anew(args.train_dir)
            checkpoints.remove_half_written(args.train_dir)
            model_flags.record(args.train_dir, args)
            after_save = after_save_function(args, model, reader, label_loss, validation, valid_checkpoint)
            _, first_step = trainer.starting_point(args.train_dir, start_from)
            footprint.log_disk(graph, args.train_dir, first_step, args.max_steps, args.export_model_steps,
                               args.max_to_keep, args.export_saved_models)
        log.info("training %s on %d shards, %d examples a step", args.model, len(paths), examples_per_step)
        trainer.train(graph, args.train_dir, task, stop, args.max_steps, examples_per_step, args.export_model_steps,
                      start_from, after_save, batch_metrics,
                      sessions.config(sessions.options(args), args.log_device_placement), tensorboard.flags_table(args),
                      initialize)
    if task.is_chief and not stop.requested:
        tf_cluster.announce_end(task)
    return 128 + stop.signal if stop.signal else None


def main(args):
    """Does the part of this process in what the flags say."""
    task = tf_cluster.Task(os.environ.get("TF_CONFIG"))
    if task.job == "ps" and task.server:
        return tf_cluster.serve(task)
    label_loss = losses.create(args.label_loss)
    reader = readers.create(args.feature_names, args.feature_sizes, args.frame_features, args.segment_labels,
                            args.max_frames, args.num_classes)
    model = model_flags.create_model(model_flags.from_flags(args))
    if model.frame_level != args.frame_features:
        raise InputError("--model=%s takes %s-level records: %s --frame_features." % (
            args.model, *(("frame", "add") if model.frame_level else ("video", "leave out"))))
    if args.describe:
        return describe(args, task, model, reader, label_loss)
    if set(args.train_dir) & set("*?[]"):
        raise InputError("--train_dir=%s holds a character of globs, which TensorFlow takes it for: rename the folder."
                         % args.train_dir)
    watch = [tf_cluster.Watch(task)] if task.cluster_spec else []
    return stopping.run(lambda stop: train(args, task, stop, model, reader, label_loss), *watch)


if __name__ == "__main__":
    program.run(define_flags, main)
