"""The training loop: sessions, checkpoints, progress; on one machine or in a cluster."""
import collections
import logging
import threading
import time
import typing
import zlib

import numpy as np
import tensorflow as tf

from src.common import files
from src.common import sentences
from src.common import sessions
from src.common import tensorboard
from src.common.errors import InputError
from src.common.progress import Progress
from src.trained import checkpoints

tf1 = tf.compat.v1
log = logging.getLogger("yt8m")

SUMMARY_SECONDS = 10.0


class _CheckpointHook(tf1.train.SessionRunHook):
    """Saves `train_dir/model.ckpt-N` at every multiple of `every` steps and at the end, if all variables are finite."""

    def __init__(self, saver, run, graph, after_save):
        self._saver, self._train_dir, self._every = saver, run.train_dir, run.export_model_steps
        self._graph, self._after_save = graph, after_save
        self._saving = threading.Lock()

    def begin(self):
        self._step = tf1.train.get_global_step()
        self._finite = tf.reduce_all(tf.stack(
            [tf.reduce_all(tf.math.is_finite(variable)) for variable in tf1.trainable_variables()]))

    def after_create_session(self, session, coord):
        del coord
        self._session = session
        self._saved = session.run(self._step)

    def before_run(self, run_context):
        return tf1.train.SessionRunArgs((self._graph.step, self._graph.loss))

    def after_run(self, run_context, run_values):
        step, loss = run_values.results
        if not np.isfinite(loss):
            raise InputError(self._divergence("The loss is %s at step %d" % (loss, step)))
        if step // self._every > self._saved // self._every:
            self._save(run_context.session, step)

    def end(self, session):
        self._save(session, session.run(self._step))

    def save_beside(self):
        """Saves the variables from another thread while a step is stalled."""
        try:
            self._save(self._session, self._session.run(self._step), lambda *_: None)
        except (InputError, tf.errors.OpError) as error:
            log.info("no checkpoint could be saved: %s", sentences.of(error) or error)

    def _save(self, session, step, after_save=None):
        with self._saving:
            if step <= self._saved:
                return
            if not session.run(self._finite):
                raise InputError(self._divergence("A variable is no longer finite at step %d" % step))
            path = self._saver.save(session, checkpoints.path(self._train_dir, 0)[:-2], global_step=step,
                                    strip_default_attrs=True)  # so that older TensorFlow reads the graph
            self._saved = step
            log.info("checkpoint: %s", path)
        (after_save or self._after_save)(path, step)

    def _divergence(self, what):
        kept = checkpoints.newest(self._train_dir) or "none was saved yet"
        return "%s: training stops; the last good checkpoint: %s. Lower --base_learning_rate." % (what, kept)


class AfterSave(object):
    """What follows each checkpoint: its SavedModel, its validation, the removal of older checkpoints.

    Args:
      folder: the training's folder.
      exporter: `export.SavedModelExporter`, or None for no SavedModels.
      validate: called with (checkpoint, step), or None.
      max_to_keep: checkpoints to keep; 0 = all.
    """

    def __init__(self, folder, exporter, validate, max_to_keep):
        self._folder, self._exporter, self._validate, self._max_to_keep = folder, exporter, validate, max_to_keep

    def complete(self, checkpoint, step):
        """Exports the SavedModel of a checkpoint if a kill prevented that."""
        if self._exporter and not files.exists(checkpoints.saved_model_path(self._folder, step)):
            self._exporter.export(checkpoint, checkpoints.saved_model_path(self._folder, step))

    def __call__(self, checkpoint, step):
        if self._exporter:
            self._exporter.export(checkpoint, checkpoints.saved_model_path(self._folder, step))
        if self._validate:
            self._validate(checkpoint, step)
        if self._max_to_keep:
            checkpoints.keep_newest(self._folder, self._max_to_keep)


class Run(typing.NamedTuple):
    """What a training is asked to do."""
    train_dir: str  # for checkpoints and TensorBoard summaries
    examples_per_step: int  # of all towers
    export_model_steps: int  # between checkpoints
    max_steps: int = None  # global step at which training ends; None: with the data
    config: tf1.ConfigProto = None  # of the session; see `sessions.config`
    flags_table: str = ""  # Markdown that shows TensorBoard the flags
    batch_metrics: typing.Callable = None  # function from NumPy (predictions, labels) to {name: value}, to be reported


def train(graph, run, task, stop, start, initializers=(), after_save=None):
    """Trains until max_steps, the end of the data, or a request to stop.

    Args:
      graph: towers.TrainGraph, built in the default graph.
      run: Run.
      task: this process's tf_cluster.Task.
      stop: stopping.Stop.
      start: train_dir.Start.
      initializers: list of what `initializer` returns, for a run that begins at step 0.
      after_save: called with (checkpoint, step) after each save, or None.

    Returns:
      The last step, at most max_steps: once a checkpoint of it is saved, the training is complete.

    Raises:
      InputError: the loss is not finite, the checkpoint does not fit, there is no data.
    """
    if run.max_steps is not None and start.step >= run.max_steps:
        log.info("%s is at step %d of --max_steps=%d: nothing left to train.",
                 start.checkpoint, start.step, run.max_steps)
        return run.max_steps
    saver = tf1.train.Saver(max_to_keep=0)
    session_creator = _session_creator(graph, saver, run, task, start, initializers)
    saving = _CheckpointHook(saver, run, graph, after_save or (lambda *_: None))
    report = _Report(graph, run, start.step, run.train_dir if task.is_chief else None)
    step = start.step
    with tf1.train.MonitoredSession(session_creator, [saving] if task.is_chief else []) as session:
        stop.save = saving.save_beside if task.is_chief else (lambda: None)
        while not (session.should_stop() or stop.requested or (run.max_steps is not None and step >= run.max_steps)):
            step = report.run_step(session)
    if step == start.step and not stop.requested:
        raise InputError("The training records hold no example: check the patterns, and with --segment_labels that "
                         "they are of 3/frame/validate.")
    report.finish()
    return step if run.max_steps is None else min(step, run.max_steps)


def _session_creator(graph, saver, run, task, start, initializers):
    """Creates sessions that begin at the newest checkpoint, or at `start`, or with fresh variables."""
    config = run.config or sessions.config()
    if task.cluster_spec:
        # Without the filter each task would wait for all others, those that have not begun or are done included.
        config.device_filters.extend(["/job:ps", task.prefix])
    if not task.is_chief:
        return tf1.train.WorkerSessionCreator(tf1.train.Scaffold(), task.target, config)
    first_saver = tf1.train.Saver(_variables_of(start.checkpoint, graph)) if start.checkpoint else None

    def restore(scaffold, session):
        del scaffold
        # The session is created again when a task of the cluster comes back: by then there are newer checkpoints.
        newest = checkpoints.newest(run.train_dir) or start.checkpoint
        if newest:
            checkpoints.restore(session, first_saver if newest == start.checkpoint else saver, newest)
            log.info("continues from %s", newest)
        else:
            for initialize in initializers:
                initialize(session)

    return tf1.train.ChiefSessionCreator(tf1.train.Scaffold(init_fn=restore, saver=saver), task.target, config)


def _variables_of(checkpoint, graph):
    """The variables to restore: the whole model, and those of the optimizer that the checkpoint holds."""
    others = [variable for variable in tf1.global_variables() if variable not in graph.model_variables]
    found = checkpoints.restorable(checkpoint, graph.model_variables, others)
    fresh = [variable.op.name for variable in others if variable not in found]
    if fresh:
        log.info("%s lacks %d variables of the optimizer such as %s: they start afresh.",
                 checkpoint, len(fresh), fresh[0])
    return found


def initializer(checkpoint, graph, part=""):
    """Function that restores the weights of a checkpoint in the session of a new run, as far as they fit.

    Lines say which variables begin as there and which begin afresh.

    Args:
      checkpoint: its path.
      graph: towers.TrainGraph.
      part: context or segment, the encoder of ContextSegment that takes the weights of a model of its own; "": the
        whole model.

    Raises:
      InputError: no variable fits, or one that does not fit is frozen.
    """
    scope, whose = (part + "/", "the %s encoder's" % part) if part else ("", "the model's")
    variables = [each for each in graph.model_variables if each.op.name.split("/", 1)[1].startswith(scope)]
    found, others = checkpoints.fitting(checkpoint, variables, scope)
    if not found:
        raise InputError("%s holds none of %s %d variables such as %s in the model's shape: check --%s and its flags, "
                         "or leave out --init_%s." % (checkpoint, whose, len(others), variables[0].op.name,
                                                      part + "_encoder" if part else "model", part or "checkpoint"))
    trained = {variable for _, variable in graph.gradients}
    for variable in others:
        if variable in tf1.trainable_variables() and variable not in trained:
            told = ("The context encoder keeps %s as it is, but %s does not hold it in the model's shape: check "
                    "--context_encoder and its flags, or add --train_context." if part == "context" else
                    "--freeze keeps %s as it is, but %s does not hold it in the model's shape: freeze less.")
            raise InputError(told % (variable.op.name, checkpoint))
    log.info("%d of %s %d variables begin as in %s", len(found), whose, len(variables), checkpoint)
    if part:
        blocks = collections.Counter("/".join(name.split("/")[1:3]) for name in found)
        log.info("it takes %s", ", ".join("%s (%d)" % block for block in blocks.items()))
    if others:
        log.info("the others begin afresh: %s", ", ".join(
            "%s %s (%s there)" % (variable.op.name, variable.shape.as_list(), "missing" if there is None else there)
            for variable, there in others.items()))
    saver = tf1.train.Saver(found)
    return lambda session: checkpoints.restore(session, saver, checkpoint)


def seed_of(seed, step, task):
    """The int that all random choices of a process derive from.

    It is another one at each step where a training begins again, which would else draw the same examples again, and for
    each task of a cluster.

    Args:
      seed: int.
      step: the step at which the training begins.
      task: `tf_cluster.Task`.
    """
    return zlib.crc32(("%d %d %s" % (seed, step, task.prefix)).encode()) >> 1


class _Report(object):
    """Runs steps; logs and writes summaries every SUMMARY_SECONDS and at the first and the last step."""

    def __init__(self, graph, run, first_step, summary_dir):
        self._graph, self._max_steps, self._examples_per_step = graph, run.max_steps, run.examples_per_step
        self._batch_metrics = run.batch_metrics or (lambda predictions, labels: {})
        self._writer = tf1.summary.FileWriter(summary_dir) if summary_dir else None
        if self._writer:
            self._writer.add_summary(tensorboard.text("flags", run.flags_table), first_step)
        self._progress = Progress("training", "steps", run.max_steps, first_step)
        self._step, self._last_time, self._last_step = first_step, None, first_step

    def run_step(self, session):
        """Runs one update; returns the global step after it."""
        graph = self._graph
        due = (self._last_time is None or time.time() - self._last_time >= SUMMARY_SECONDS
               or (self._max_steps is not None and self._step + 1 >= self._max_steps))
        if not due:
            self._step = session.run((graph.train_op, graph.step))[1]
            return self._step
        _, self._step, loss, regularization, rate, predictions, labels = session.run((
            graph.train_op, graph.step, graph.loss, graph.regularization_loss, graph.learning_rate,
            graph.predictions, graph.labels))
        values = {"loss": loss, "regularization_loss": regularization, "learning_rate": rate}
        values.update(self._batch_metrics(predictions, labels))
        now = time.time()
        if self._last_time is not None:
            seconds = max(now - self._last_time, 1e-6)
            values["examples_per_second"] = (self._step - self._last_step) * self._examples_per_step / seconds
        self._last_time, self._last_step = now, self._step
        self._progress.done = self._step if self._max_steps is None else min(self._step, self._max_steps)
        self._progress.report(", ".join("%s %.4g" % pair for pair in sorted(values.items())))
        if self._writer:
            self._writer.add_summary(tensorboard.numbers("", values.items()), self._step)
            self._writer.flush()
        return self._step

    def finish(self):
        """Closes the summaries."""
        if self._writer:
            self._writer.close()
