"""Ctrl-C ends programs without a traceback, even while their modules load. Importing src does not change Ctrl-C."""
import importlib
import os
import signal
import subprocess
import sys
import time
import traceback

import pytest

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


def test_what_a_library_makes_of_ctrl_c_is_no_error(monkeypatch, capsys):
    def main(args):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            raise SystemError("a function returned a result with an error set")

    codes = []
    monkeypatch.setattr(program, "_set_up_logging", lambda: None)  # it would change the whole process
    monkeypatch.setattr(program.app, "run", lambda guarded_main, **_: codes.append(guarded_main(["program"])))
    program.run(lambda: None, main)
    assert codes == [130] and capsys.readouterr().err == "interrupted.\n"


class HalfBuilt(object):
    """Ctrl-C comes before its constructor has ended, and its destructor needs what is not there."""

    def __init__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
        self.handle = None

    def __del__(self):
        assert self.handle is None


def build(args):
    try:
        return HalfBuilt() and args
    except KeyboardInterrupt:
        traceback.print_exc()  # as libraries in C++ do
        raise SystemError("a function returned a result with an error set")


def run_program():
    sys.argv[1:] = []
    program.run(lambda: None, build)


def test_what_ctrl_c_breaks_off_or_leaves_half_built_prints_nothing():
    with runner.Process(run_program) as process:
        assert (process.wait(), process.errors) == (130, "interrupted.\n")
