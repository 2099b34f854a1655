"""Checkpoints: finding, restoring and removing them."""
import collections
import contextlib
import os
import re
import time
import zlib

import tensorflow as tf

from src.common import files
from src.common import runtime
from src.common import storage
from src.common.errors import InputError
from src.trained import evaluations

tf1 = tf.compat.v1
_STEP = re.compile(r"model\.ckpt-(\d+)\.index$")
_DAMAGE = (tf.errors.DataLossError, tf.errors.NotFoundError, tf.errors.OutOfRangeError,
           tf.errors.InvalidArgumentError)
_POLL_SECONDS = 10.0
_FILE = re.compile(r"model\.ckpt-(\d+)\.(index|data-.*|meta)$")
_HALF_WRITTEN = re.compile(r"model\.ckpt-.*\.tempstate\d+|(model\.ckpt-\d+\.meta|checkpoint)\.tmp[0-9a-f]{32}")
_READ_TRIES = 20  # of files that another program replaces, minutes apart


def create_global_step():
    """Creates the global step: an int32 scalar, as in the starter code's checkpoints."""
    with tf.device("/cpu:0"):
        return tf1.get_variable("global_step", [], tf.int32, tf1.zeros_initializer(), trainable=False,
                                collections=[tf1.GraphKeys.GLOBAL_VARIABLES, tf1.GraphKeys.GLOBAL_STEP])


def path(train_dir, step):
    """`train_dir/model.ckpt-STEP`."""
    return os.path.join(train_dir, "model.ckpt-%d" % step)


def exists(checkpoint):
    """Whether a checkpoint exists."""
    return files.exists(checkpoint + ".index")


def saved_model_path(train_dir, step):
    """Path of the SavedModel of a checkpoint."""
    return os.path.join(train_dir, "export", "step_%d" % step)


def inference_model_path(train_dir):
    """Path of the checkpoint that inference.py loads."""
    return os.path.join(train_dir, "inference_model", "inference_model")


def best_path(train_dir):
    """Path of the file that names the best evaluated checkpoint for people and other tools; see `best`."""
    return os.path.join(train_dir, "best_checkpoint.json")


def steps(train_dir):
    """Ascending steps of the checkpoints in a folder; [] if there are none."""
    matched = (_STEP.match(name) for name in files.names(train_dir))
    return sorted(int(match.group(1)) for match in matched if match)


def newest(train_dir):
    """Path of the newest checkpoint in a folder, or None."""
    there = steps(train_dir)
    return path(train_dir, there[-1]) if there else None


def coming(train_dir, first, timeout_secs):
    """Yields the paths of the checkpoints from step `first` on, in order, as they appear.

    Ends when none has appeared for `timeout_secs`.
    """
    last, since = first - 1, time.time()
    while True:
        ahead = [step for step in steps(train_dir) if step > last]
        if ahead:
            last = ahead[0]
            yield path(train_dir, last)
            since = time.time()
        elif time.time() - since >= timeout_secs:
            return
        else:
            time.sleep(min(_POLL_SECONDS, max(0.1, timeout_secs - (time.time() - since))))


def keep_newest(train_dir, count):
    """Removes all checkpoints but the newest `count` and the best evaluated one, each with its SavedModel.

    Args:
      train_dir: their folder, which holds at least one.
      count: at least 1.
    """
    kept = steps(train_dir)[-count:]
    oldest = kept[0]
    found = best(train_dir)
    if found:
        kept.append(found["step"])
    for doomed in removable(train_dir, kept, oldest):
        files.remove(doomed)


def removable(train_dir, kept, end):
    """Files of the checkpoints before step `end` that are not `kept`, including those that a killed removal left.

    Returns:
      Paths in the order of removal. Indices come first: without its index a checkpoint does not exist for its readers.
      SavedModels come before weights: if a removal is killed, the next one finds the SavedModel through the weights.
    """
    found = [match for match in map(_FILE.match, files.names(train_dir))
             if match and int(match.group(1)) < end and int(match.group(1)) not in kept]
    indices, others = ([os.path.join(train_dir, match.group()) for match in found
                        if (match.group(2) == "index") == wanted] for wanted in (True, False))
    models = [saved_model_path(train_dir, step) for step in {int(match.group(1)) for match in found}]
    return sorted(indices) + sorted(filter(files.exists, models)) + sorted(others)


def remove_half_written(train_dir, locked):
    """Removes half-written files of killed trainings on this machine; call it before anything is written.

    Args:
      train_dir: their folder.
      locked: whether this process has locked it. Without a lock TensorFlow's own files stay, as their names do not show
        which process writes them.
    """
    exports = os.path.dirname(saved_model_path(train_dir, 0))
    for name in filter(files.is_leftover, files.names(exports)):
        files.remove(os.path.join(exports, name))
    for name in filter(_HALF_WRITTEN.fullmatch, files.names(train_dir) if locked else ()):
        files.remove(os.path.join(train_dir, name))


def named_step(which):
    """The step that `N` or `model.ckpt-N` names; None for any other text."""
    matched = re.match(r"(?:model\.ckpt-)?(\d+)$", which)
    return int(matched.group(1)) if matched else None


def resolve(train_dir, which):
    """Path of a checkpoint.

    Args:
      train_dir: its folder.
      which: a step, `model.ckpt-N`, `latest` (also ''), `best`, or a checkpoint's path.

    Raises:
      InputError: there is no such checkpoint. The error lists those that exist.
    """
    there = steps(train_dir)
    if which in ("", "latest") and there:
        return newest(train_dir)
    known = best(train_dir) if which == "best" else None
    step = known["step"] if known else named_step(which)
    found = which if step is None else path(train_dir, step)
    if not exists(found):
        listed = "it has " + ", ".join("model.ckpt-%d" % one for one in there) if there else "it has none"
        if which == "best":
            listed += "; best_checkpoint.json is written by eval.py"
        raise InputError("%s holds no checkpoint '%s': %s." % (train_dir, which or "latest", listed))
    return found


def best(train_dir):
    """The best evaluated checkpoint, a dict with its `step`; None if none was evaluated.

    It follows from results.csv. best_checkpoint.json, for people and other tools, counts only where that is missing: an
    evaluation that is killed between the two leaves an old one.

    Raises:
      InputError: one of the two files is damaged.
    """
    stored = stored_best(train_dir)
    return evaluations.best(evaluations.read(train_dir), set(steps(train_dir))) or stored


def stored_best(train_dir):
    """The content of best_checkpoint.json, a dict with a `step`; None without the file.

    Raises:
      InputError: it is damaged.
    """
    if not files.exists(best_path(train_dir)):
        return None
    found = files.read_json(best_path(train_dir))
    if not isinstance(found, dict) or type(found.get("step")) is not int or not 0 <= found["step"] < 1 << 31:
        raise InputError("%s names no step: delete it and run eval.py again." % best_path(train_dir))
    if not isinstance(found.get("segment_labels", False), bool):
        raise InputError("%s has a segment_labels other than true or false: delete it and run eval.py again."
                         % best_path(train_dir))
    return found


def identity(checkpoint):
    """Checksum that identifies a checkpoint: that of its index, which holds the checksums of all variables."""
    with files.reading(checkpoint + ".index"), tf.io.gfile.GFile(checkpoint + ".index", "rb") as stream:
        return "%08x" % zlib.crc32(stream.read())


def step_of(checkpoint):
    """The global step that a checkpoint holds; 0 if it holds none."""
    with reading(checkpoint) as name:
        reader = tf.train.load_checkpoint(name)
        return int(reader.get_tensor("global_step")) if reader.has_tensor("global_step") else 0


def restore(session, saver, checkpoint):
    """Restores the variables of a saver.

    Raises:
      InputError: the checkpoint is damaged.
    """
    with reading(checkpoint) as name:
        saver.restore(session, name)


class Replaced(InputError):
    """A checkpoint was replaced while it was read."""


@contextlib.contextmanager
def unreplaced(checkpoint):
    """Context that ensures that everything its block reads is of one checkpoint.

    An inference model may be replaced at any time, and TensorFlow does not always notice a mixture of two.

    Raises:
      Replaced: the checkpoint was replaced before the block's end.
    """
    before = files.version(checkpoint + ".index")
    try:
        yield
    except Exception:  # pylint: disable=broad-except
        if files.version(checkpoint + ".index") == before:
            raise
    if files.version(checkpoint + ".index") != before:
        raise Replaced("%s was replaced time and again while it was read: run again when the other program has ended."
                       % checkpoint)


def read_whole(function):
    """Calls a function, and repeats that if it raises Replaced; returns its result."""
    for _ in range(_READ_TRIES - 1):
        with contextlib.suppress(Replaced):
            return function()
    return function()


@contextlib.contextmanager
def reading(checkpoint):
    """Context of the name under which TensorFlow reads a checkpoint; turns TensorFlow's errors into InputErrors."""
    folder = None
    try:
        if storage.local(checkpoint) is not None and files.is_glob(checkpoint):
            # TensorFlow would read the name as a glob. So the name goes through the open folder's descriptor.
            folder = os.open(os.path.dirname(storage.local(checkpoint)) or ".", os.O_RDONLY)
            yield "/proc/self/fd/%d/%s" % (folder, os.path.basename(checkpoint))
        else:
            yield checkpoint
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:  # the latter from TensorFlow 2
        if isinstance(error, tf.errors.OpError) and not (
                isinstance(error, _DAMAGE) or type(error) is tf.errors.OpError):
            raise
        raise InputError("%s is not a readable checkpoint (%s): choose another one, or delete it."
                         % (checkpoint, re.split(r"\n|\. ", runtime.message(error))[0]))
    finally:
        if folder is not None:
            os.close(folder)


def _held(checkpoint):
    """{name: shape} and {name: type} of a checkpoint's variables."""
    with reading(checkpoint) as name:
        reader = tf.train.load_checkpoint(name)
        return reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()


def fitting(checkpoint, variables, scope=""):
    """Splits variables by whether a checkpoint holds them in their shape and type.

    Args:
      checkpoint: its path.
      variables: the variables.
      scope: the second part of their names, such as context/, which the names in the checkpoint lack; "": none.

    Returns:
      OrderedDicts: {name in the checkpoint: variable} of those it holds, and {variable: shape in the checkpoint, None
      if missing} of the others.
    """
    shapes, types = _held(checkpoint)
    found, others = collections.OrderedDict(), collections.OrderedDict()
    for variable in variables:
        name = variable.op.name.replace("/" + scope, "/", 1)
        if shapes.get(name) == variable.shape.as_list() and types[name] == variable.dtype.base_dtype:
            found[name] = variable
        else:
            others[variable] = shapes.get(name)
    return found, others


def restorable(checkpoint, required, optional=()):
    """Checks that a checkpoint fits and returns the variables to restore from it.

    Args:
      checkpoint: its path.
      required: variables that must be in it.
      optional: variables that are restored if it has them.

    Raises:
      InputError: a required variable is missing, or any variable has another shape or type.
    """
    shapes, types = _held(checkpoint)
    for variable in required:
        if variable.op.name not in shapes:
            raise InputError("%s does not fit the model: it has no variable %s. Check --model and its flags."
                             % (checkpoint, variable.op.name))
    found = [variable for variable in list(required) + list(optional) if variable.op.name in shapes]
    for variable in found:
        here, there = variable.shape.as_list(), list(shapes[variable.op.name])
        if here != there or variable.dtype.base_dtype != types[variable.op.name]:
            raise InputError("%s does not fit the model: %s is %s %s there and %s %s here. Check --model and its flags."
                             % (checkpoint, variable.op.name, types[variable.op.name].name, there,
                                variable.dtype.base_dtype.name, here))
    return found
