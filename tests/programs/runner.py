"""Runs the programs, each in its own process.

The processes are forked from one that has already imported TensorFlow, which saves some seconds each. Otherwise they
run a program's file from its first line to its last, as Python does for a user.
"""
import contextlib
import importlib
import multiprocessing
import os
import runpy
import shutil
import signal
import socket
import sys
import tempfile
import time

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TIMEOUT = 120  # seconds, far more than any run takes

PRELOADED = ["src.train", "src.eval", "src.inference", "src.ensemble", "src.explore", "src.make_records",
             "src.check_data", "src.checkpoints", "src.average_checkpoints", "src.segment_eval_inference",
             "src.convert_prediction_from_json_to_csv", "src.extract_features", "src.export_features",
             "tests.programs.dask_processes"]

_context = multiprocessing.get_context("forkserver")


def start(function, *args):
    """Starts a process, forked from one that has imported PRELOADED, that runs a function."""
    _context.set_forkserver_preload(PRELOADED)  # not earlier, as importing Dask sets others
    process = _context.Process(target=function, args=args)
    process.start()
    return process


def wait_until(condition):
    """Waits until condition() is true."""
    deadline = time.time() + TIMEOUT
    while not condition():
        assert time.time() < deadline
        time.sleep(.02)


def free_addresses(count):
    """host:port of unused ports."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    addresses = ["localhost:%d" % each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def arguments(flags):
    """dict(top_k=3, run_once=True) -> ["--top_k=3", "--run_once"]; None leaves a flag out."""
    words = {True: "--%s", False: "--no%s"}
    return [words[value] % name if isinstance(value, bool) else "--%s=%s" % (name, value)
            for name, value in flags.items() if value is not None]


class Process(object):
    """A function that runs in a process as programs do, with a captured output; the constructor starts it.

    Args:
      function, *args: what it calls; to be pickled.
      output_to: path that standard output goes to, instead of `output`.
    """

    def __init__(self, function, *args, output_to=None):
        self._folder = tempfile.mkdtemp()
        self._output, self._errors, self._code = (
            os.path.join(self._folder, name) for name in ("output", "errors", "code"))
        for path in self._output, self._errors:
            open(path, "w").close()
        self._process = start(_captured, output_to or self._output, self._errors, self._code, function, args)
        self.pid = self._process.pid

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.kill()
        shutil.rmtree(self._folder)

    def wait(self):
        """The exit code; not 0 if the program was killed."""
        self._process.join(TIMEOUT)
        assert self._process.exitcode is not None, "still running: " + self.errors
        if self._process.exitcode == 255 and os.path.exists(self._code):
            with open(self._code) as stream:
                return int(stream.read())
        return self._process.exitcode

    @property
    def is_running(self):
        return self._process.is_alive()

    def kill(self):
        """Kills it, if it still runs."""
        if self.is_running:
            os.kill(self.pid, signal.SIGKILL)
        self._process.join()

    def wait_for(self, condition):
        """Waits until condition() is true."""
        deadline = time.time() + TIMEOUT
        while not condition():
            assert self._process.is_alive() and time.time() < deadline, self.errors
            time.sleep(.02)

    def wait_to_say(self, text):
        """Waits until the program has written `text` to standard error."""
        self.wait_for(lambda: text in self.errors)

    @property
    def errors(self):
        """What it has written to standard error so far."""
        with open(self._errors) as stream:
            return stream.read()

    @property
    def output(self):
        """What it has written to standard output so far."""
        with open(self._output) as stream:
            return stream.read()


class Run(Process):
    """A run of a program.

    Args:
      program: its module's name, such as train.
      *words: positional arguments.
      tf_config: the environment's TF_CONFIG, or None.
      output_to: see `Process`.
      constants: {(module, name): value} that the program has instead of its own.
      cwd: its current folder, or None: that of the tests.
      **flags: see `arguments`.
    """

    def __init__(self, program, *words, tf_config=None, output_to=None, constants=None, cwd=None, **flags):
        super(Run, self).__init__(_main, program, list(words) + arguments(flags), tf_config, constants or {},
                                  cwd and str(cwd), output_to=output_to)


def run(program, *words, **flags):
    """Runs a program to its end; arguments as Run's. Returns its exit code and standard error."""
    with Run(program, *words, **flags) as started:
        return started.wait(), started.errors


def succeed(program, *words, **flags):
    """Runs a program that must succeed; returns its standard error."""
    code, errors = run(program, *words, **flags)
    assert code == 0, errors
    return errors


def output_of(program, **flags):
    """Runs a program that must succeed; returns its standard output."""
    with Run(program, **flags) as started:
        assert started.wait() == 0, started.errors
        return started.output


def _captured(output, errors, code, function, args):
    os.dup2(os.open(output, os.O_WRONLY), 1)
    os.dup2(os.open(errors, os.O_WRONLY), 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored if a shell started the tests in the background
    importlib.import_module("src.common.startup").begin()
    multiprocessing.set_start_method("fork", force=True)  # as in a program that a user starts
    try:
        with _exit_noted(code):
            function(*args)
    except SystemExit as end:
        sys.exit(end.code or 0)  # multiprocessing takes None for a failure


def _main(program, words, tf_config, constants, cwd):
    if cwd:
        os.chdir(cwd)
    os.environ.pop("TF_CONFIG", None)
    if tf_config is not None:
        os.environ["TF_CONFIG"] = tf_config
    for (module, name), value in constants.items():
        setattr(importlib.import_module(module), name, value)
    sys.argv = [program + ".py"] + words
    runpy.run_path(os.path.join(PROJECT, "src", program + ".py"), run_name="__main__")


@contextlib.contextmanager
def _exit_noted(path):
    """Makes os._exit write its exit code to a file, since Python 3.6's forkserver loses it.

    Only within the block: the forkserver itself ends the process with os._exit later, when the folder may be gone.
    """
    exit_at_once, this = os._exit, os.getpid()

    def noting(code):
        if os.getpid() == this:
            with open(path, "w") as stream:
                stream.write(str(code))
        exit_at_once(code)

    os._exit = noting
    try:
        yield
    finally:
        os._exit = exit_at_once
