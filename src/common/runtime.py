"""What differs between TensorFlow 1.15 with the packages of its time and TensorFlow 2 with today's."""
import contextlib
import importlib.machinery
import importlib.util
import os
import re
import subprocess
import sys

IS_2 = sys.version_info >= (3, 8)  # TensorFlow 1.15 runs on no such Python
REQUIREMENTS = "requirements-tf2.txt" if IS_2 else "requirements.txt"
# Has a Dask worker end when its scheduler does; today's always do.
DASK_WORKER = {} if IS_2 else {"reconnect": False}
# Lines that TensorFlow 2 writes while it loads: all but those of fatal errors.
_NOISE = ("^(WARNING: All log messages before absl::|[IWE][0-9]{4} |[0-9: .-]{19,}: [IWE] |"
          "To enable the following instructions)")
# Begins the message of an error in a session, with the stack of the op.
_STACK = re.compile(r"Graph execution error:\n\n(?:Detected at node .*?\nNode: [^\n]*\n)*", re.DOTALL)

terminal = 2  # descriptor of standard error, also while TensorFlow loads


def prepare():
    """Makes TensorFlow 2 load quietly and behave as 1.15 does: with graphs, sessions and the same variables.

    The package calls it when it is imported, so that it holds in every process that uses the package.
    """
    if not IS_2:
        os.environ["TF2_BEHAVIOR"] = "0"  # TensorFlow 2 leaves a 1 there to its children, which 1.15 would follow
        return
    if "tensorflow" in sys.modules:
        _adapt(sys.modules["tensorflow"])
    else:
        sys.meta_path.insert(0, _Finder())


def leave_untuned(options):
    """Turns the tuning of a dataset off in TensorFlow 2, given its tf.data.Options.

    Its thread sleeps for up to a minute, and an iterator that begins anew waits until it wakes. 1.15 does not wait.
    """
    if IS_2:
        options.autotune.enabled = False


def _adapt(tensorflow):
    tensorflow.compat.v1.disable_v2_behavior()
    # A Saver looks for what it has saved, for statistics, in Python's encoding, which may lack characters of the path.
    sys.modules["tensorflow.python.training.saver"]._get_checkpoint_size = lambda prefix: 0


class _Finder(object):
    """Finds tensorflow for the import system, with a loader that does more."""

    def find_spec(self, name, path, target=None):
        """See importlib.abc.MetaPathFinder."""
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads TensorFlow 2."""

    def exec_module(self, module):
        """See importlib.abc.Loader."""
        with _quiet() if os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3" else contextlib.nullcontext():
            super().exec_module(module)
        _adapt(module)


@contextlib.contextmanager
def _quiet():
    """Context in which TensorFlow's noise is left out of standard error.

    TensorFlow writes it before it reads TF_CPP_MIN_LOG_LEVEL. A process of its own filters the lines, so that those of
    a fatal error are shown, too.
    """
    global terminal
    try:
        terminal = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    try:
        lines = subprocess.Popen(["grep", "--line-buffered", "-avE", _NOISE], stdin=subprocess.PIPE, stdout=terminal,
                                 stderr=subprocess.DEVNULL, start_new_session=True)  # else Ctrl-C would end it
    except OSError:  # there is no grep
        lines = None
    if lines:
        os.dup2(lines.stdin.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        terminal = 2
        if lines:
            lines.stdin.close()
            lines.wait()


def message(error):
    """The message of an error, without the stacks that TensorFlow 2 puts before that of a tf.errors.OpError."""
    return _STACK.sub("", getattr(error, "message", None) or str(error))


def suggestion(optimizer, bayes_opt):
    """The next point of a `bayes_opt.BayesianOptimization`, as {name: value}: its highest upper confidence bound.

    Args:
      optimizer: holds the points so far.
      bayes_opt: the module. Release 2 moved the bound, with the same factor of 2.576, into the optimizer.
    """
    bounds = [bayes_opt.UtilityFunction()] if hasattr(bayes_opt, "UtilityFunction") else []
    return optimizer.suggest(*bounds)
