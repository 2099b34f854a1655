"""Errors of the operating system as sentences for users."""
import errno
import os

from src.common.errors import InputError
from src.common.errors import MachineError

_LIMITS = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM]
# By the words of the system, which TensorFlow's errors quote, too.
_REMEDIES = {os.strerror(number): remedy for remedy, numbers in {
    "make room on the disk": [errno.ENOSPC],
    "make room on the disk, or ask for a larger quota": [errno.EDQUOT],
    "raise the limit on the size of files (ulimit -f)": [errno.EFBIG],
    "raise the limit on open files (ulimit -n 4096)": [errno.EMFILE],
    "end other programs": [errno.ENFILE],
    "raise the limit on processes (ulimit -u), or end other programs": [errno.EAGAIN],
    "free memory, or raise the limit on it (ulimit -v)": [errno.ENOMEM],
    "remove the symbolic link that leads to itself": [errno.ELOOP],
    "give a shorter name": [errno.ENAMETOOLONG],
    "choose a folder that can be written": [errno.EROFS],
    "check the disk or the file server": [errno.EIO, errno.ESTALE],
    "check the path and your permissions": [errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM],
}.items() for number in numbers}
_REMEDIES.update({  # the words of TensorFlow 2 and of the loader
    "is not a directory": _REMEDIES[os.strerror(errno.ENOTDIR)],
    "failed to map segment from shared object": _REMEDIES[os.strerror(errno.ENOMEM)],
    "cannot open shared object file: No such file or directory":
        "install the library, or name its folder in LD_LIBRARY_PATH"})


def remedy(message):
    """The remedy for an error whose message ends in the system's words; None if it does not."""
    known = [words for words in _REMEDIES if message.endswith(words)]
    return _REMEDIES[max(known, key=len)] if known else None


def explained(message):
    """An error's message, with the remedy if it is known."""
    return "%s: %s" % (message, remedy(message)) if remedy(message) else message


def input_error(what, message):
    """The InputError that something cannot be done; a MachineError if the message names a limit of the machine."""
    kind = MachineError if message.endswith(tuple(map(os.strerror, _LIMITS))) else InputError
    return kind("%s: %s." % (what, explained(message)))


def sentence(error):
    """The sentence about Python's own error of the system or of memory; None for any other error."""
    if isinstance(error, MemoryError):
        return "Out of memory: %s." % _REMEDIES[os.strerror(errno.ENOMEM)]
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return "No thread can be started: %s." % _REMEDIES[os.strerror(errno.EAGAIN)]
    if not isinstance(error, OSError):
        return None
    what = error.strerror or str(error) or type(error).__name__
    if "No usable temporary directory" in what:
        return "%s: make room there, or name a folder that can be written in TMPDIR." % what
    if error.filename is not None:
        what = "%s; %s" % (os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename, what)
    return "%s: %s." % (what, remedy(what) or "check the path, the disk and the network")


def sentence_of_loading(error):
    """As `sentence`, also for an ImportError that quotes an error of the system."""
    lines = str(error).splitlines() if isinstance(error, ImportError) else []
    quoted = [explained(line) + "." for line in lines if remedy(line)]
    return quoted[-1] if quoted else sentence(error)
