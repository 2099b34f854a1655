"""Exchange of two files or folders in one step, for which Python has no function."""
import ctypes
import errno
import os
import platform
import sys

_RENAMEAT2 = 316  # number of the system call on x86-64; the C library of Ubuntu 18.04 has no function for it either
_CURRENT_FOLDER, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE


def exchange(one, other):
    """Exchanges the files or folders at two paths of one file system; at every moment both paths exist.

    Raises:
      OSError: a path does not exist, or the system or the file system (such as NFS) cannot do this.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    system = ctypes.CDLL(None, use_errno=True)
    failed = system.syscall(ctypes.c_long(_RENAMEAT2), ctypes.c_int(_CURRENT_FOLDER), os.fsencode(one),
                            ctypes.c_int(_CURRENT_FOLDER), os.fsencode(other), ctypes.c_uint(_EXCHANGE))
    if failed:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), one)
