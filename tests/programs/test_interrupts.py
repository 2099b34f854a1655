"""Ctrl-C ends programs without a traceback, even while their modules load. Importing src does not change Ctrl-C."""
import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf

from src.common import atomic
from src.common import interrupts
from src.common import program
from src.common import startup
from tests.programs import runner


def loads_tensorflow(pid):
    """Whether a process has begun to load TensorFlow, which takes seconds."""
    try:
        with open("/proc/%d/maps" % pid) as stream:
            return "_pywrap_tensorflow" in stream.read()
    except OSError:
        return False


@pytest.mark.parametrize("program", [["src/train.py"], ["-m", "src.train"], ["-m", "src.segment_eval_inference"],
                                     ["src/make_synthetic_data.py"]])
def test_ctrl_c_while_modules_load_prints_no_traceback(program):
    process = subprocess.Popen([sys.executable] + program, cwd=runner.PROJECT, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, universal_newlines=True)
    while process.poll() is None and not loads_tensorflow(process.pid):
        time.sleep(.001)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=runner.TIMEOUT)
    assert (process.returncode, output, errors) == (130, "", "interrupted.\n")


def test_importing_src_leaves_ctrl_c_alone():
    for name in os.listdir(os.path.join(runner.PROJECT, "src")):
        if name.endswith(".py"):
            importlib.import_module("src." + name[:-3])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_program_in_the_background_ignores_ctrl_c_as_the_shell_wants(monkeypatch):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    try:
        startup.begin()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_at_work_ends_with_one_line(data, model_dir):
    with runner.Run("eval", train_dir=model_dir, eval_data_pattern=data.rated, segment_labels=True, holdout_shards=1,
                    checkpoint_file="1000000", checkpoint_timeout_secs=100) as run:
        run.wait_to_say("holdout: ")
        os.kill(run.pid, signal.SIGINT)
        assert run.wait() == 130 and run.errors.endswith("interrupted.\n") and "Traceback" not in run.errors


class Interrupting(object):
    """Ctrl-C comes when TensorFlow's C++ asks for its class again; an exception there breaks TensorFlow 1.15."""

    asked = 0

    @property
    def __class__(self):
        self.asked += 1
        if self.asked == 2:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        return object


class HalfBuilt(object):
    """Ctrl-C comes before its constructor has ended, and its destructor needs what is not there."""

    def __init__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
        self.handle = None

    def __del__(self):
        assert self.handle is None


class Stuck(object):
    """A stream that is interrupted while it writes what is printed."""

    def flush(self):
        raise RuntimeError("reentrant call")

    def write(self, text):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)


def flatten(args):
    tf.nest.flatten(Interrupting())


def build(args):
    HalfBuilt()


def print_something(args):
    sys.stdout = Stuck()
    print("something")


def run_program(main):
    sys.argv[1:] = []
    program.run(lambda: None, main)


@pytest.mark.parametrize("main", [flatten, build, print_something])
def test_ctrl_c_prints_one_line_wherever_it_comes(main):
    with runner.Process(run_program, main) as process:
        assert (process.wait(), process.errors) == (130, "interrupted.\n")


def write(folder, hangs):
    """Writes a file and a folder until it is interrupted; then removing one of them may hang."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(atomic.replacing(os.path.join(folder, "file"))).write("half")
        os.mkdir(stack.enter_context(atomic.replacing_folder(os.path.join(folder, "folder"))))
        stack.enter_context(interrupts.cleaning_up(lambda: time.sleep(hangs)))
        print("writing", file=sys.stderr)
        time.sleep(runner.TIMEOUT)


def interrupted(folder, hangs):
    """A process that has been interrupted while it writes."""
    os.mkdir(folder)
    process = runner.Process(write, folder, hangs)
    process.wait_to_say("writing")
    os.kill(process.pid, signal.SIGINT)
    return process


def test_ctrl_c_removes_what_is_half_written(tmp_path):
    folder = str(tmp_path / "out")
    with interrupted(folder, 0) as process:
        assert (process.wait(), os.listdir(folder)) == (130, [])


def test_a_second_ctrl_c_waits_for_nothing(tmp_path):
    with interrupted(str(tmp_path / "out"), runner.TIMEOUT) as process:
        while process.is_running:  # the first one may not have been noticed yet
            time.sleep(.1)
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGINT)
        assert process.wait() == 130
