"""Runs the programs, each in its own process.

The processes are forked from one that has already imported TensorFlow, which saves some seconds each;
`conftest.run_as_a_user` starts them as a user does.
"""
import contextlib
import importlib
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tempfile
import time

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TIMEOUT = 120  # seconds, far more than any run takes

PRELOADED = ["src.train", "src.eval", "src.inference", "src.ensemble", "src.explore", "src.make_records",
             "src.checkpoints", "src.convert_prediction_from_json_to_csv", "tests.programs.dask_processes"]

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


class Run(object):
    """A run of a program; the constructor starts it.

    Args:
      program: its module's name, such as train.
      *words: positional arguments.
      tf_config: the environment's TF_CONFIG, or None.
      output_to: path that standard output goes to, instead of `output`.
      **flags: see `arguments`.
    """

    def __init__(self, program, *words, tf_config=None, output_to=None, **flags):
        self._folder = tempfile.mkdtemp()
        self._output, self._errors, self._code = (
            os.path.join(self._folder, name) for name in ("output", "errors", "code"))
        for path in self._output, self._errors:
            open(path, "w").close()
        self._process = start(_main, program, list(words) + arguments(flags), output_to or self._output, self._errors,
                              self._code, tf_config)
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


def run(program, *words, **flags):
    """Runs a program to its end; arguments as Run's. Returns its exit code and standard error."""
    with Run(program, *words, **flags) as started:
        return started.wait(), started.errors


def succeed(program, **flags):
    """Runs a program that must succeed; returns its standard error."""
    code, errors = run(program, **flags)
    assert code == 0, errors
    return errors


def output_of(program, **flags):
    """Runs a program that must succeed; returns its standard output."""
    with Run(program, **flags) as started:
        assert started.wait() == 0, started.errors
        return started.output


def _main(program, words, output, errors, code, tf_config):
    os.dup2(os.open(output, os.O_WRONLY), 1)
    os.dup2(os.open(errors, os.O_WRONLY), 2)
    importlib.import_module("src.common.startup").begin()
    multiprocessing.set_start_method("fork", force=True)  # as in a program that a user starts
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored if a shell started the tests in the background
    os.environ.pop("TF_CONFIG", None)
    if tf_config is not None:
        os.environ["TF_CONFIG"] = tf_config
    sys.argv = [program + ".py"] + words
    module = importlib.import_module("src." + program)
    try:
        with _exit_noted(code):
            importlib.import_module("src.common.program").run(module.define_flags, module.main)
    except SystemExit as end:
        sys.exit(end.code or 0)  # multiprocessing takes None for a failure


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
