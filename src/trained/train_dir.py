"""The folder of a training: its start, its lock, and the outputs of training, evaluation and export."""
import contextlib
import fcntl
import fnmatch
import json
import os
import socket
import time
import typing

import tensorflow as tf

from src.common import atomic
from src.common import files
from src.common import storage
from src.common import text
from src.common.errors import InputError
from src.trained import checkpoints

_FOLDERS = ("", "averages", "export", "eval", "eval/valid", "inference_model")
_OUTPUTS = ("model.ckpt-*", "checkpoint", "checkpoint.tmp*", "graph.pbtxt", "model_flags.json", "best_checkpoint.json",
            "events.out.tfevents.*", "export/step_*", "eval/results.csv", "eval/classes_*.csv",
            "eval/events.out.tfevents.*", "eval/valid/events.out.tfevents.*", ".inference_model.*.tmp",
            "inference_model/inference_model*", "averages/plan.json", "averages/best_*", "averages/last_*")
_LOCK = "training.lock"  # says who trains; a killed training leaves it
_held = {}  # {path: open file}: a lock lasts as long as its file is open


class Start(typing.NamedTuple):
    """The state of a model before a training."""
    checkpoint: str  # to continue from, or None
    step: int  # of the checkpoint, or 0
    in_train_dir: bool  # the checkpoint is in the training's own folder


def start(train_dir, otherwise=None, anew=False):
    """The Start of a training: from the newest checkpoint of its folder, else from `otherwise`.

    Args:
      train_dir: local or gs://.
      otherwise: a checkpoint's path, or None.
      anew: whether to ignore the folder's own checkpoints.
    """
    own = None if anew else checkpoints.newest(train_dir)
    checkpoint = own or otherwise
    return Start(checkpoint, checkpoints.step_of(checkpoint) if checkpoint else 0, bool(own))


def check_usable(train_dir):
    """Checks that nobody trains in a folder, and that this user may write there, if it exists; see `lock`.

    Raises:
      InputError: another process trains there, or the folder cannot be written.
    """
    local = storage.local(train_dir)
    if local is not None and files.exists(train_dir) and local not in _held:
        with contextlib.suppress(OSError), open(os.path.join(local, _LOCK), "rb") as stream:
            _lock_or_stop(stream, fcntl.LOCK_SH, train_dir)
    for folder in _FOLDERS:
        if tf.io.gfile.isdir(os.path.join(train_dir, folder)):
            atomic.check_writable(os.path.join(train_dir, folder, "checkpoint"))


def lock(train_dir):
    """Locks a folder for this process, so that no other one trains there.

    `unlock` unlocks it, and so does the system when the process ends. There are no locks in a bucket, and none on some
    network file systems.

    Args:
      train_dir: local or gs://; made if missing.

    Returns:
      Whether the folder is locked.

    Raises:
      InputError: another process trains there.
    """
    local = storage.local(train_dir)
    if local is None or local in _held:
        return local in _held
    try:
        os.makedirs(local, exist_ok=True)
        stream = None
        while stream is None or not _is_there(stream):  # a training that ends removes the file
            stream = open(os.path.join(local, _LOCK), "a+b")
            _lock_or_stop(stream, fcntl.LOCK_EX, train_dir)
        stream.truncate(0)
        stream.write(json.dumps({"process": os.getpid(), "machine": socket.gethostname(),
                                 "since": time.strftime("%Y-%m-%d %H:%M:%S %Z")}).encode())
        stream.flush()
    except OSError:
        return False
    _held[local] = stream
    return True


def _is_there(stream):
    """Whether an open file is still the one at its path."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), os.stat(stream.name))
    except FileNotFoundError:
        return False


def unlock(train_dir):
    """Unlocks a folder; one that is not locked is fine."""
    stream = _held.pop(storage.local(train_dir), None)
    if stream:
        with contextlib.suppress(OSError):
            os.remove(stream.name)
        stream.close()


def _lock_or_stop(stream, kind, train_dir):
    try:
        fcntl.flock(stream, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.seek(0)
        raise InputError("--train_dir=%s: %s trains there: give another --train_dir, or stop that training first."
                         % (train_dir, _holder(stream.read())))


def _holder(content):
    try:
        found = json.loads(content.decode())
        return "process %d on %s, since %s," % (
            found["process"], text.shown(found["machine"]), text.shown(found["since"]))
    except (ValueError, TypeError, LookupError):
        return "another process"


def holds(train_dir, path):
    """Whether a path is in an output of training, evaluation or export, which `clear` removes."""
    return _is_output(os.path.relpath(path, train_dir))


def _is_output(path):
    return any(fnmatch.fnmatch(path, pattern) or fnmatch.fnmatch(path, _half_written(pattern)) for pattern in _OUTPUTS)


def _half_written(pattern):
    """The pattern of an output's names while it is written, on any machine."""
    folder, name = os.path.split(pattern)
    return os.path.join(folder, ".%s.*.tmp" % name)


def clear(train_dir):
    """Removes only the outputs of training, evaluation and export, including half-written ones of killed runs."""
    for folder in reversed(_FOLDERS):
        for name in files.names(os.path.join(train_dir, folder)):
            if _is_output(os.path.join(folder, name)) or files.is_leftover(name):
                files.remove(os.path.join(train_dir, folder, name))
        if folder and not files.names(os.path.join(train_dir, folder)):
            files.remove(os.path.join(train_dir, folder))
