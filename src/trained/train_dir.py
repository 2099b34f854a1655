"""The folder of a training: its start, and the outputs of training, evaluation and export."""
import fnmatch
import os
import typing

from src.common import files
from src.trained import checkpoints

_OUTPUTS = ("model.ckpt-*", "checkpoint", "checkpoint.tmp*", "graph.pbtxt", "model_flags.json", "best_checkpoint.json",
            "events.out.tfevents.*", "export", "eval", "inference_model")


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


def holds(train_dir, path):
    """Whether a path is in an output of training, evaluation or export, which `clear` removes."""
    return _is_output(os.path.relpath(path, train_dir).split(os.sep)[0])


def _is_output(name):
    return any(fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(name, ".%s.*.tmp" % pattern) for pattern in _OUTPUTS)


def clear(train_dir):
    """Removes only the outputs of training, evaluation and export, including half-written ones of killed runs."""
    for name in files.names(train_dir):
        if _is_output(name) or files.is_leftover(name):
            files.remove(os.path.join(train_dir, name))
