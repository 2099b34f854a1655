"""Finding checkpoints and restoring what a graph needs of them."""
import collections
import contextlib
import fcntl
import os
import re
import time

import tensorflow as tf

from src.common import files
from src.common import storage
from src.common.errors import InputError

tf1 = tf.compat.v1
_STEP = re.compile(r"model\.ckpt-(\d+)\.index$")
_POLL_SECONDS = 10.0
_FILE = re.compile(r"model\.ckpt-(\d+)\.(index|data-.*|meta)$")
_HALF_WRITTEN = re.compile(r"model\.ckpt-.*\.tempstate\d+|(model\.ckpt-\d+\.meta|checkpoint)\.tmp[0-9a-f]{32}")
_READ_TRIES = 20  # of what other programs replace minutes apart


def create_global_step():
    """The step as an int32 scalar, as the starter code's checkpoints hold it."""
    with tf.device("/cpu:0"):
        return tf1.get_variable("global_step", [], tf.int32, tf1.zeros_initializer(), trainable=False,
                                collections=[tf1.GraphKeys.GLOBAL_VARIABLES, tf1.GraphKeys.GLOBAL_STEP])


def path(train_dir, step):
    """`train_dir/model.ckpt-STEP`."""
    return os.path.join(train_dir, "model.ckpt-%d" % step)


def exists(checkpoint):
    """Whether a checkpoint is there."""
    return files.exists(checkpoint + ".index")


def saved_model_path(train_dir, step):
    """The SavedModel of a checkpoint."""
    return os.path.join(train_dir, "export", "step_%d" % step)


def best_path(train_dir):
    """The file that names the best evaluated checkpoint."""
    return os.path.join(train_dir, "best_checkpoint.json")


def steps(train_dir):
    """Ascending steps of the checkpoints in a folder; [] when there are none."""
    matched = (_STEP.match(name) for name in files.names(train_dir))
    return sorted(int(match.group(1)) for match in matched if match)


def coming(train_dir, first, timeout_secs):
    """Yields the checkpoints from step `first` on, in order, as they come.

    Ends when none has come for `timeout_secs`.
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
      train_dir: the folder they are in, of one at least.
      count: at least 1.
    """
    kept = steps(train_dir)[-count:]
    oldest = kept[0]
    if files.exists(best_path(train_dir)):
        kept.append(best(train_dir)["step"])
    for doomed in removable(train_dir, kept, oldest):
        files.remove(doomed)


def removable(train_dir, kept, end):
    """What is on disk of the checkpoints before step `end` that are not `kept`, also what a killed removal left.

    Returns:
      Paths, in the order in which to remove them. The indices come first: a checkpoint without its index is none, so
      its readers see that it is gone. A SavedModel comes before the weights: as long as these are there, a later
      removal finds it.
    """
    found = [match for match in map(_FILE.match, files.names(train_dir))
             if match and int(match.group(1)) < end and int(match.group(1)) not in kept]
    indices, others = ([os.path.join(train_dir, match.group()) for match in found
                        if (match.group(2) == "index") == wanted] for wanted in (True, False))
    models = [saved_model_path(train_dir, step) for step in {int(match.group(1)) for match in found}]
    return sorted(indices) + sorted(filter(files.exists, models)) + sorted(others)


def remove_half_written(train_dir):
    """Removes what killed trainings on this machine left half-written, before anything is written."""
    exports = os.path.dirname(saved_model_path(train_dir, 0))
    for name in filter(files.is_leftover, files.names(exports)):
        files.remove(os.path.join(exports, name))
    # TensorFlow's own names do not say whose they are: the folder is locked until this process ends. Where another
    # process has locked it, or there are no locks, as in a bucket, they stay.
    if storage.local(train_dir) is None or not files.exists(train_dir):
        return
    folder = os.open(storage.local(train_dir), os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(folder)
        return
    for name in filter(_HALF_WRITTEN.fullmatch, files.names(train_dir)):
        files.remove(os.path.join(train_dir, name))


def named_step(which):
    """The step that `N` or `model.ckpt-N` names, or None for any other text."""
    matched = re.match(r"(?:model\.ckpt-)?(\d+)$", which)
    return int(matched.group(1)) if matched else None


def resolve(train_dir, which):
    """Path of a checkpoint.

    Args:
      train_dir: the folder it is in.
      which: a step, `model.ckpt-N`, `latest` (also ''), `best`, or a checkpoint's path.

    Raises:
      InputError: there is no such checkpoint; says which there are.
    """
    there = steps(train_dir)
    if which in ("", "latest") and there:
        return path(train_dir, there[-1])
    if which == "best" and files.exists(best_path(train_dir)):
        found = path(train_dir, best(train_dir)["step"])
    elif named_step(which) is not None:
        found = path(train_dir, named_step(which))
    else:
        found = which
    if not exists(found):
        listed = "it has " + ", ".join("model.ckpt-%d" % one for one in there) if there else "it has none"
        if which == "best":
            listed += "; best_checkpoint.json is written by eval.py"
        raise InputError("%s holds no checkpoint '%s': %s." % (train_dir, which or "latest", listed))
    return found


def best(train_dir):
    """What best_checkpoint.json says, a dict with a `step`.

    Raises:
      InputError: the file is missing or damaged.
    """
    found = files.read_json(best_path(train_dir))
    if not isinstance(found, dict) or type(found.get("step")) is not int or not 0 <= found["step"] < 1 << 31:
        raise InputError("%s names no step: delete it and run eval.py again." % best_path(train_dir))
    if not isinstance(found.get("segment_labels", False), bool):
        raise InputError("%s does not tell segment_labels from others: delete it and run eval.py again."
                         % best_path(train_dir))
    return found


def step_of(checkpoint):
    """The global step that a checkpoint holds, or 0."""
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
    """A checkpoint that was read had another one take its place meanwhile."""


@contextlib.contextmanager
def unreplaced(checkpoint):
    """Makes sure that all that the block reads is of one checkpoint.

    An inference model may be replaced at any time, and a part of each of two is not always noticed.

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
    """Calls a function, and again after it raised Replaced."""
    for _ in range(_READ_TRIES - 1):
        with contextlib.suppress(Replaced):
            return function()
    return function()


@contextlib.contextmanager
def reading(checkpoint):
    """Yields the name under which TensorFlow reads a checkpoint; what goes wrong meanwhile becomes an InputError."""
    folder = None
    try:
        if storage.local(checkpoint) == checkpoint and files.is_glob(checkpoint):
            # TensorFlow takes the name for a glob, of which the open folder's own name has nothing.
            folder = os.open(os.path.dirname(checkpoint) or ".", os.O_RDONLY)
            yield "/proc/self/fd/%d/%s" % (folder, os.path.basename(checkpoint))
        else:
            yield checkpoint
    except (tf.errors.DataLossError, tf.errors.NotFoundError, tf.errors.OutOfRangeError,
            tf.errors.InvalidArgumentError, ValueError) as error:
        raise InputError("%s is no readable checkpoint (%s): choose another one, or delete it."
                         % (checkpoint, re.split(r"\n|\. ", str(error))[0]))
    finally:
        if folder is not None:
            os.close(folder)


def _held(checkpoint):
    """{name: shape} and {name: type} of a checkpoint's variables."""
    with reading(checkpoint) as name:
        reader = tf.train.load_checkpoint(name)
        return reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()


def fitting(checkpoint, variables):
    """Which variables a checkpoint holds in their shape and type.

    Returns:
      List of these, and an OrderedDict of the others, variable: its shape there, or None if it is missing.
    """
    shapes, types = _held(checkpoint)
    found, others = [], collections.OrderedDict()
    for variable in variables:
        name = variable.op.name
        if shapes.get(name) == variable.shape.as_list() and types[name] == variable.dtype.base_dtype:
            found.append(variable)
        else:
            others[variable] = shapes.get(name)
    return found, others


def restorable(checkpoint, required, optional=()):
    """Checks that a checkpoint fits and returns the variables to restore from it.

    Args:
      checkpoint: its path.
      required: variables that must be in it.
      optional: variables restored where it has them.

    Raises:
      InputError: a required variable is missing or any has another shape or type.
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
