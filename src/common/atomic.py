"""Outputs, local or gs://, that replace their target only when they are whole.

They are written beside it as `.NAME.HOST.PID.tmp`. If a run is killed, the next run that writes the same target on the
same machine removes the leftover.
"""
import contextlib
import json
import os
import socket
import stat

import tensorflow as tf

from src.common import exchange
from src.common import files
from src.common import storage
from src.common.errors import InputError


@contextlib.contextmanager
def _writing(path):
    try:
        yield
    except tf.errors.OpError as error:
        raise InputError("%s cannot be written: %s." % (path, error.message))


def _target(path):
    """The path that is replaced: of a link, the file it points at."""
    local = storage.local(path)
    return os.path.realpath(local) if local is not None and os.path.islink(local) else path


def _check_file(path):
    """Checks that a file may be written to `path`.

    Raises:
      InputError: it is a folder, a device or a pipe.
    """
    if path.endswith("/") or tf.io.gfile.isdir(path):
        raise InputError("%s is a folder and cannot be written as a file: give a file's name." % path)
    if files.mode(path) and not stat.S_ISREG(files.mode(path)):
        raise InputError("%s is a device or a pipe, which a file must not replace: give a file's name." % path)


def _start(path):
    """Prepares writing beside `path`; returns the temporary name."""
    with _writing(path):
        tf.io.gfile.makedirs(os.path.dirname(path) or ".")
        _remove_leftovers(path)
        return files.temporary_name(path)


def _remove_leftovers(path):
    """Removes half-written versions of `path` that ended runs on this machine left."""
    folder, name = os.path.split(path)
    for other in files.names(folder or "."):
        if other.startswith(".%s.%s." % (name, socket.gethostname())) and files.is_leftover(other):
            with contextlib.suppress(tf.errors.PermissionDeniedError):  # another user's
                files.remove(os.path.join(folder, other))


def check_writable(path):
    """Checks now that `replacing` can write to `path` later, after hours of work.

    Raises:
      InputError: it cannot.
    """
    path = _target(path)
    _check_file(path)
    temporary = _start(path)
    with _writing(path):
        with tf.io.gfile.GFile(temporary, "w") as stream:
            stream.write("")
        tf.io.gfile.remove(temporary)


@contextlib.contextmanager
def replacing_file(path):
    """As `replacing`, for writers that open the file themselves: yields the name to write to."""
    path = _target(path)
    _check_file(path)
    temporary = _start(path)
    try:
        yield temporary
        with _writing(path):
            tf.io.gfile.rename(temporary, path, overwrite=True)
    finally:
        if tf.io.gfile.exists(temporary):
            tf.io.gfile.remove(temporary)


@contextlib.contextmanager
def replacing(path, mode="w"):
    """Opens a file that replaces the one at `path` only when the block succeeds.

    The content is written beside `path` and renamed. If the block raises, `path` stays as it was.

    Args:
      path: target, local or gs://; its folder is made if missing. Of a link, the target is replaced.
      mode: "w" or "wb".

    Yields:
      A file object open for writing.

    Raises:
      InputError: the target cannot be written.
    """
    with replacing_file(path) as temporary:
        with _writing(path):
            stream = tf.io.gfile.GFile(temporary, mode)
            stream.write(b"" if "b" in mode else "")  # opens it
        with contextlib.closing(stream):
            yield stream


@contextlib.contextmanager
def replacing_folder(path):
    """As `replacing`, for a folder: yields the name of a new folder that replaces the one at `path`.

    Whenever the process is killed, the folder at `path` is whole, the old one or the new one: they are exchanged in one
    step. On file systems that cannot do that, such as NFS, there is no folder for the moment between two renames. A
    bucket has no folders: there the files are replaced one by one, those of subfolders first, then by name. Readers of
    several files of a folder can check with `files.version` that all are of the same version.
    """
    path = _target(path)
    temporary = _start(path)
    files.remove(temporary)
    try:
        yield temporary
        with _writing(path):
            if storage.local(path) is None:
                _replace_files(temporary, path)
            elif files.exists(path):
                _exchange(temporary, path)
            else:
                tf.io.gfile.rename(temporary, path)
    finally:
        files.remove(temporary)


def _exchange(folder, other):
    """Exchanges two folders of this machine."""
    try:
        exchange.exchange(storage.local(folder), storage.local(other))
    except OSError:
        aside = _start(other + ".old")
        for source, target in (other, aside), (folder, other), (aside, folder):
            tf.io.gfile.rename(source, target)


def _replace_files(folder, target):
    """Moves a folder's files to another folder, and removes all other files there."""
    moved = set()
    for top, _, found in tf.io.gfile.walk(folder, topdown=False):
        for name in sorted(found):
            path = os.path.join(target, os.path.relpath(os.path.join(top, name), folder))
            tf.io.gfile.makedirs(os.path.dirname(path))
            tf.io.gfile.rename(os.path.join(top, name), path, overwrite=True)
            moved.add(path)
    for top, _, found in tf.io.gfile.walk(target):
        for path in set(os.path.join(top, name) for name in found) - moved:
            tf.io.gfile.remove(path)


def write_json(path, value):
    """Writes `value` as JSON, indented, keys sorted."""
    with replacing(path) as stream:
        stream.write(json.dumps(value, indent=2, sort_keys=True) + "\n")
