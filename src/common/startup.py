"""What a program needs while its modules load, which takes seconds, and until it ends."""
import io
import os
import select
import signal
import sys

from src.common import interrupts
from src.common import system_errors


def begin():
    """Keeps standard streams, Ctrl-C and a full machine from ending in tracebacks; only programs call it.

    `src.common.program` explains the errors that come after the modules are loaded.
    """
    _keep_streams()
    sys.excepthook = _explain
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else the shell ignores Ctrl-C
        signal.signal(signal.SIGINT, interrupts.end)


class _Stream(io.FileIO):
    """A standard stream whose writing never fails: what nobody takes is dropped, and the work goes on."""

    failure = None  # the first error but that of a reader who has seen enough, such as head

    def write(self, data):
        try:
            written = super(_Stream, self).write(data)
            while written is None:  # the reader is slow, and another program made the descriptor non-blocking
                select.select([], [self], [])
                written = super(_Stream, self).write(data)
            return written
        except OSError as error:
            if not isinstance(error, ConnectionError):
                self.failure = self.failure or error
            return len(data)


def _keep_streams():
    """Makes standard output and standard error open, unfailing, and able to show every character."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # else the next file that is opened would get what is written to the stream
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _stream(1, sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _stream(2, sys.stderr)


def _stream(number, before):
    """The text stream of a descriptor; characters that its encoding lacks are escaped."""
    raw = _Stream(number, "w", closefd=False)
    is_unbuffered = isinstance(getattr(before, "buffer", None), io.RawIOBase)  # as python -u wants
    return io.TextIOWrapper(io.BufferedWriter(raw), before.encoding if before else "utf-8", "backslashreplace",
                            line_buffering=number == 2 or raw.isatty() or is_unbuffered)


def output_failure():
    """The sentence about standard output that could not be written, or None."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if not isinstance(raw, _Stream):
        return None
    sys.stdout.flush()
    return raw.failure and "Standard output cannot be written: %s." % system_errors.explained(raw.failure.strerror)


def _explain(kind, error, traceback):
    message = system_errors.sentence_of_loading(error)
    if message is None:
        sys.__excepthook__(kind, error, traceback)
    else:
        print("error: " + message, file=sys.stderr)
