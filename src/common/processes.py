"""A function mapped over items by forked processes."""
import collections
import concurrent.futures
from concurrent.futures import process as executor_process
from concurrent.futures.process import BrokenProcessPool
import contextlib
import multiprocessing.util
import os
import pickle
import signal
import tempfile
import threading
import time

from src.common.errors import InputError

# Python 3.6 puts an item for each process into the queue of an executor whose process was killed, and fails if it
# is full.
executor_process.EXTRA_QUEUED_CALLS = 64

_inherited = None  # the function and the slots of `map_in_order`, for the processes that it forks


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
    # killed may leave a part there, for whose rest the executor would wait forever. Writers of such pieces need no
    # lock, and on Python 3.6 this process would wait forever for the one that a killed process held. It would, too, if
    # a future were cancelled while it shuts down, so what is under way then comes to its end.
    waiting = collections.deque()
    with contextlib.ExitStack() as stack:
        slots = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(2 * num_processes)]
        executor = stack.enter_context(concurrent.futures.ProcessPoolExecutor(num_processes))
        executor._result_queue._wlock = None  # pylint: disable=protected-access
        try:
            with _interrupts_put_off():
                _fork(executor, function, slots)
            for number, item in enumerate(items):
                if len(waiting) == len(slots):
                    yield _value(*waiting.popleft())
                waiting.append((executor.submit(_run, item, number % len(slots)), slots[number % len(slots)]))
            while waiting:
                yield _value(*waiting.popleft())
        except BrokenProcessPool:
            raise InputError("One of the %d processes at work was killed, as happens when memory runs out: free memory "
                             "and run again." % num_processes)


def _value(future, slot):
    """The function's value for an item; raises what the function raised."""
    value = pickle.loads(os.pread(slot.fileno(), future.result(), 0))
    if isinstance(value, Exception):
        raise value
    return value


def _fork(executor, function, slots):
    """Has the executor fork all of its processes, as it does at the first call."""
    global _inherited  # pylint: disable=global-statement
    _inherited, here = (function, slots), _Here(os.getpid())
    multiprocessing.util.register_after_fork(here, _begin)  # as long as `here` lives
    try:
        executor.submit(os.getpid).result()
    finally:
        _inherited = None


class _Here(object):
    """The process that forks."""

    def __init__(self, pid):
        self.pid = pid


def _begin(parent):
    """What a process begins with."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, which ends its processes
    threading.Thread(target=_end_with, args=(parent.pid,), daemon=True).start()


def _end_with(parent):
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)  # pylint: disable=protected-access


def _run(item, slot):
    """Writes the function's value, or what it raised, to the file; returns its bytes."""
    function, slots = _inherited
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
