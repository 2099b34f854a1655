"""A function mapped over items by forked processes."""
import collections
import concurrent.futures
from concurrent.futures.process import BrokenProcessPool
import contextlib
import multiprocessing
import os
import pickle
import signal
import tempfile
import threading
import time

from src.common.errors import InputError

_inherited = None  # the function, the slots and the barrier of `map_in_order`, for the processes that it forks


def map_in_order(function, items, num_processes):
    """Yields function(item) for each item, in order, computed by forked processes.

    They inherit the function with all that it refers to. At most two items a process are under way; their values,
    pickled, lie in as many nameless files of the temporary folder. When this process ends, however it does, they end
    within a second.

    Args:
      function: of an item.
      items: that can be pickled.
      num_processes: how many.

    Raises:
      InputError: a process was killed.
      Whatever the function raises.
    """
    # Only what is small goes through the executor's pipe, and so in one piece: of a longer value, a process that is
    # killed may leave a part there, for whose rest the executor would wait forever.
    with contextlib.ExitStack() as stack:
        slots = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(2 * num_processes)]
        executor = stack.enter_context(concurrent.futures.ProcessPoolExecutor(num_processes))
        waiting = stack.enter_context(contextlib.closing(_Waiting()))
        try:
            with _interrupts_put_off():
                _fork(executor, num_processes, function, slots)
            for number, item in enumerate(items):
                if len(waiting) == len(slots):
                    yield waiting.next_value()
                waiting.append((executor.submit(_run, item, number % len(slots)), slots[number % len(slots)]))
            while waiting:
                yield waiting.next_value()
        except BrokenProcessPool:
            raise InputError("One of the %d processes at work was killed, as happens when memory runs out: free memory "
                             "and run again." % num_processes)


class _Waiting(collections.deque):
    """(future, file for its value), first come first."""

    def next_value(self):
        """The first one's value; raises what the function raised."""
        future, slot = self.popleft()
        value = pickle.loads(os.pread(slot.fileno(), future.result(), 0))
        if isinstance(value, Exception):
            raise value
        return value

    def close(self):
        """Takes back what has not begun."""
        for future, _ in self:
            future.cancel()


def _fork(executor, num_processes, function, slots):
    global _inherited  # pylint: disable=global-statement
    _inherited = function, slots, multiprocessing.Barrier(num_processes)
    try:  # the executor forks all of its processes at the first call
        for future in [executor.submit(_begin, os.getpid()) for _ in range(num_processes)]:
            future.result()
    finally:
        _inherited = None


def _begin(parent):
    """Prepares a process; the barrier has each of them do this once."""
    _inherited[-1].wait()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, which ends its processes
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent):
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)  # pylint: disable=protected-access


def _run(item, slot):
    """Writes the function's value, or what it raised, to the file; returns its bytes."""
    function, slots, _ = _inherited
    try:
        value = function(item)
    except Exception as error:  # pylint: disable=broad-except
        value = error
    with open(slots[slot].fileno(), "wb", closefd=False) as stream:
        stream.seek(0)
        pickle.dump(value, stream, protocol=pickle.HIGHEST_PROTOCOL)
        return stream.tell()


@contextlib.contextmanager
def _interrupts_put_off():
    """Puts Ctrl-C off to the end of the block."""
    if threading.current_thread() is not threading.main_thread():  # which alone is interrupted
        yield
        return
    interrupts = []
    before = signal.signal(signal.SIGINT, lambda *_: interrupts.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupts:
        raise KeyboardInterrupt
