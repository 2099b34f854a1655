"""A function mapped over items by forked processes."""
import collections
import contextlib
import multiprocessing
import os
import pickle
import signal
import tempfile
import threading
import time

from src.common import system_errors
from src.common.errors import InputError


def map_in_order(function, items, num_processes):
    """Yields function(item) for each item, in order, computed by forked processes.

    The processes inherit the function with everything that it refers to. They take the items in turn, two at a time
    each, and write the pickled values to nameless files in the temporary folder. They end at the latest a second
    after this process, even if it is killed.

    Args:
      function: takes an item.
      items: iterable; its items can be pickled.
      num_processes: how many processes work.

    Raises:
      InputError: a process was killed.
      Whatever the function raises.
    """
    waiting = collections.deque()
    with contextlib.ExitStack() as stack:
        # Values go through files: a pipe holds little, so a process could not begin its second item before the first
        # one's value is read.
        slots = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(2 * num_processes)]
        with _interrupts_delayed():
            pipes = [stack.enter_context(_forked(function, slots)) for _ in range(num_processes)]
        for number, item in enumerate(items):
            if len(waiting) == len(slots):
                yield _value(*waiting.popleft())
            pipe, slot = pipes[number % len(pipes)], number % len(slots)
            with _a_kill_explained(num_processes):
                pipe.send((item, slot))
            waiting.append((pipe, slots[slot], num_processes))
        while waiting:
            yield _value(*waiting.popleft())


def _value(pipe, slot, num_processes):
    """The function's value for an item; raises what the function raised."""
    with _a_kill_explained(num_processes):
        size = pipe.recv()
    if isinstance(size, Exception):
        raise size
    value = pickle.loads(os.pread(slot.fileno(), size, 0))
    if isinstance(value, Exception):
        raise value
    return value


@contextlib.contextmanager
def _a_kill_explained(num_processes):
    """Turns the error of a pipe whose process was killed into a sentence."""
    try:
        yield
    except (EOFError, ConnectionError):
        raise InputError("One of the %d processes at work was killed, as happens when memory runs out: free memory "
                         "and run again." % num_processes)


@contextlib.contextmanager
def _forked(function, slots):
    """A pipe to a new process, which is killed after the block."""
    pipe, its_pipe = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(
        target=_work, args=(function, slots, its_pipe, os.getpid()), daemon=True)
    process.start()
    its_pipe.close()  # only the process holds it now, so its death closes the pipe
    try:
        yield pipe
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        pipe.close()


def _work(function, slots, pipe, parent):
    """Works in the new process: takes an item and a slot's number from the pipe, answers with the value's bytes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, which then kills this process
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    while True:
        item, slot = pipe.recv()
        pipe.send(_write_value(function, item, slots[slot]))


def _write_value(function, item, slot):
    """Writes the function's value, or what it raised, to the slot; returns the number of bytes, or why it cannot."""
    try:
        value = function(item)
    except Exception as error:  # pylint: disable=broad-except
        value = error
    try:
        with open(slot.fileno(), "wb", closefd=False) as stream:
            stream.seek(0)
            pickle.dump(value, stream, protocol=pickle.HIGHEST_PROTOCOL)
            return stream.tell()
    except OSError as error:
        return InputError("The temporary folder %s cannot be written: %s, or name another one in TMPDIR." % (
            tempfile.gettempdir(), system_errors.explained(error.strerror)))
    except MemoryError as error:
        return error


def _end_with(parent):
    """Ends this process soon after its parent."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)  # pylint: disable=protected-access


@contextlib.contextmanager
def _interrupts_delayed():
    """Delays Ctrl-C until the end of the block."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread is interrupted
        yield
        return
    delayed = []
    before = signal.signal(signal.SIGINT, lambda *_: delayed.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if delayed:
        os.kill(os.getpid(), signal.SIGINT)
