"""Ctrl-C while a program's modules load, which takes seconds."""
import os
import signal


def end_quietly():
    """Makes Ctrl-C end the process with exit code 130, until `src.common.program` takes over; only programs call it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else the shell ignores Ctrl-C
        signal.signal(signal.SIGINT, _end)


def _end(number, frame):
    del number, frame
    os.write(2, b"interrupted.\n")
    os._exit(130)  # half-loaded modules would print tracebacks
