"""Ctrl-C ends a program at once, from wherever it is.

An exception in its place could pass through C++ that has called Python, as TensorFlow's does. That ends in a
segmentation fault, or in the tracebacks of half-built objects. So nothing is raised, and no `finally` block runs:
child processes are killed, and `cleaning_up` says what else must not be left behind.
"""
import contextlib
import multiprocessing
import multiprocessing.util
import os
import signal
import sys

from src.common import runtime

_cleanups = []


@contextlib.contextmanager
def cleaning_up(function):
    """Context that calls a function at its end, and if Ctrl-C ends the program before; that may call it twice."""
    _cleanups.append(function)
    try:
        yield
    finally:
        try:
            function()
        finally:
            _cleanups.remove(function)


def _kill_children():
    for process in multiprocessing.active_children():
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)  # which also ends one that is stopped


def end(number, frame):
    """Signal handler of programs: cleans up and ends the process with 130. A second Ctrl-C ends it without waiting."""
    del frame
    signal.signal(number, lambda *_: os._exit(130))  # pylint: disable=protected-access
    terminal = os.dup(runtime.terminal)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # threads and processes may miss what is gone, and print tracebacks
    # The last function removes multiprocessing's semaphores, as at the end of any Python process.
    for function in [*reversed(_cleanups), _kill_children, multiprocessing.util._exit_function]:
        with contextlib.suppress(Exception):
            function()
    with contextlib.suppress(Exception):  # it may have been interrupted while writing
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        os.write(terminal, b"interrupted.\n")
    os._exit(130)  # pylint: disable=protected-access
