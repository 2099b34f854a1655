"""Ctrl-C while a program's modules load, which takes seconds: the program ends as if it had begun."""
import os
import signal


def end_quietly():
    """Has Ctrl-C end the process with exit code 130, until `src.common.program` takes over; libraries never call it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else the shell has it ignored
        signal.signal(signal.SIGINT, _end)


def _end(number, frame):
    del number, frame
    os.write(2, b"interrupted.\n")
    os._exit(130)  # modules that are half loaded would print tracebacks
