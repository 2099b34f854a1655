"""Training that can always be stopped: it runs in a thread of its own, while the main thread handles signals.

A thread that waits for TensorFlow handles no signals, whether it waits for the next step, for the other machines of a
cluster or for a bucket that does not answer.
"""
import contextlib
import logging
import signal
import threading
import time

from src.common import program
from src.common.errors import InputError

log = logging.getLogger("yt8m")

GRACE_SECONDS = 15.0  # for the current step and its checkpoint
LAST_SECONDS = 28.0  # until the process ends, whatever it does


class Stop(object):
    """A request to stop, and a way to save while the work is stalled.

    Attributes:
      signal: number of the signal that asked to stop, or None.
      ended: whether the cluster's chief is done.
      save: function that saves the state of stalled work; the work sets it once there is something to lose.
    """

    def __init__(self):
        self.signal, self.ended, self.save = None, False, None

    @property
    def requested(self):
        """Whether the work should save and return."""
        return self.signal is not None or self.ended


def run(work, chief_is_done=lambda training: False):
    """Runs work until it returns, or until a signal asks it to stop.

    SIGTERM or Ctrl-C ends work that has nothing to save at once. Other work saves a checkpoint and returns. If it is
    stalled and has not returned within GRACE_SECONDS, this function saves the checkpoint. After LAST_SECONDS the
    process ends in any case; a second signal ends it at once.

    Args:
      work: function of a Stop, called in another thread; `run` returns its value.
      chief_is_done: function called every second with whether the work has something to lose; once it returns True, the
        work should return.

    Raises:
      Exception: that of the work. An InputError of `chief_is_done` ends the process, as the work may be stalled.
    """
    stop, outcome, done = Stop(), [], threading.Event()

    def keep_outcome():
        try:
            outcome.append((work(stop), None))
        except BaseException as error:  # pylint: disable=broad-except
            outcome.append((None, error))
        done.set()

    threading.Thread(target=keep_outcome, daemon=True).start()
    with _listening(stop):
        while not done.wait(1.0):
            if stop.requested:
                _wait_to_end(stop, done)
            else:
                stop.ended = _asked(chief_is_done, stop.save is not None)
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


def _asked(chief_is_done, training):
    try:
        return chief_is_done(training)
    except InputError as error:
        program.abort(1, "error: %s" % error)


@contextlib.contextmanager
def _listening(stop):
    """Stores the first signal in `stop`; a second one, or the first if nothing would be lost, ends the process."""
    def note(number, frame):
        del frame
        if stop.signal is not None or stop.save is None:
            program.abort(128 + number, "interrupted.")
        log.info("%s: saving a checkpoint and leaving.", "SIGTERM" if number == signal.SIGTERM else "Ctrl-C")
        stop.signal = number

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait_to_end(stop, done):
    """Waits until the work is done; ends the process if that takes too long."""
    start = time.time()
    if done.wait(GRACE_SECONDS):
        return
    saving = threading.Thread(target=stop.save, daemon=True)
    saving.start()
    while saving.is_alive() and not done.wait(.1) and time.time() - start < LAST_SECONDS:
        pass
    if not done.wait(0 if saving.is_alive() else 1.0):
        program.abort(128 + stop.signal if stop.signal else 0, "stalled: the process ended without waiting.")
