"""Outputs, local or gs://, that replace their target only when they are whole.

They are written beside it as `.NAME.HOST.PID.tmp`. If a run is killed, the next run that writes the same target on the
same machine removes the leftover.
"""
import contextlib
import functools
import json
import os
import re
import shutil
import socket
import stat

import tensorflow as tf

from src.common import exchange
from src.common import files
from src.common import interrupts
from src.common import storage
from src.common.errors import InputError

_COMPRESSED = re.compile(r"(?<!\.tar)\.(gz|bz2|xz|zst|zip)$")


def _target(path):
    """The path that is replaced: of a link, the file it points at."""
    local = storage.local(path)
    return files.real(path) if local is not None and os.path.islink(local) else path


def _check_file(path):
    """Checks that a file may be written to `path`.

    Raises:
      InputError: it is a folder, a device or a pipe, or has the name of a compressed file.
    """
    if _COMPRESSED.search(path):
        raise InputError("%s would not be compressed: leave the last ending out of its name." % path)
    if path.endswith("/") or tf.io.gfile.isdir(path):
        raise InputError("%s is a folder and cannot be written as a file: give a file's name." % path)
    if files.mode(path) and not stat.S_ISREG(files.mode(path)):
        raise InputError("%s is a device or a pipe, which a file must not replace: give a file's name." % path)


def _start(path):
    """Prepares writing beside `path`; returns the temporary name."""
    with files.writing(path):
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
    with files.writing(path):
        with tf.io.gfile.GFile(temporary, "w") as stream:
            stream.write("")
        tf.io.gfile.remove(temporary)


@contextlib.contextmanager
def replacing_file(path):
    """As `replacing`, for writers that open the file themselves: yields the name to write to."""
    path = _target(path)
    _check_file(path)
    temporary = _start(path)
    with interrupts.cleaning_up(functools.partial(files.remove, temporary)):
        yield temporary
        with files.writing(path):
            tf.io.gfile.rename(temporary, path, overwrite=True)


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
        with files.writing(path):
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
    with interrupts.cleaning_up(functools.partial(files.remove, temporary)):
        yield temporary
        with files.writing(path):
            if storage.local(path) is None:
                _replace_files(temporary, path)
            elif files.exists(path):
                _exchange(temporary, path)
            else:
                tf.io.gfile.rename(temporary, path)


@contextlib.contextmanager
def extending_folder(path):
    """As `replacing_folder`, but the files that are in the folder stay: yields the name of a new folder for others.

    All of them appear in one step: the new folder gets links to the files that were there, and the two are exchanged.
    They are moved one by one, by name, where that is impossible: in a bucket, on NFS, in a folder that holds folders,
    that is a mount or that is the current one, or whose parent folder may not be written.

    Raises:
      InputError: a file cannot be written, or has the name of one that is in the folder.
    """
    path = _target(path)
    is_new = not files.exists(path)
    at_once = is_new or _is_exchangeable(path)
    temporary = _start(path if at_once else os.path.join(path, "new"))
    files.remove(temporary)
    with interrupts.cleaning_up(functools.partial(files.remove, temporary)):
        yield temporary
        with files.writing(path):
            for name in sorted(files.names(temporary)):
                if files.exists(os.path.join(path, name)):
                    raise InputError("%s exists already and would be overwritten: remove it, or give another folder."
                                     % os.path.join(path, name))
            if is_new and storage.local(path) is not None:
                tf.io.gfile.rename(temporary, path)
            elif not (at_once and _exchange_with_links(storage.local(temporary), storage.local(path))):
                _move_files(temporary, path)


def _is_exchangeable(path):
    """Whether a folder of this machine can be exchanged with one that has links to its files."""
    local = storage.local(path)
    if local is None or not os.path.isdir(local) or os.path.realpath(local) == os.path.realpath("."):
        return False
    parent = os.path.dirname(os.path.abspath(local))
    return (not os.path.ismount(local) and os.access(parent, os.W_OK | os.X_OK)
            and not any(entry.is_dir(follow_symlinks=False) for entry in os.scandir(local)))


def _exchange_with_links(folder, target):
    """Links a target's files into a folder and exchanges the two; returns whether the system can do that."""
    own = set(os.listdir(folder))
    try:
        _link_files(target, folder)
        shutil.copystat(target, folder)
        os.chown(folder, os.stat(target).st_uid, os.stat(target).st_gid)
        exchange.exchange(folder, target)
    except OSError:
        for name in set(os.listdir(folder)) - own:
            os.remove(os.path.join(folder, name))
        return False
    _link_files(folder, target)  # what another program has written meanwhile
    return True


def _link_files(folder, target):
    """Links the files of a folder into another one, but for those whose names are there."""
    for name in set(os.listdir(folder)) - set(os.listdir(target)):
        os.link(os.path.join(folder, name), os.path.join(target, name), follow_symlinks=False)


def _exchange(folder, other):
    """Exchanges two folders of this machine."""
    try:
        exchange.exchange(storage.local(folder), storage.local(other))
    except OSError:
        aside = _start(other + ".old")
        for source, target in (other, aside), (folder, other), (aside, folder):
            tf.io.gfile.rename(source, target)


def _move_files(folder, target):
    """Moves a folder's files to another folder; returns the set of their paths there."""
    moved = set()
    for top, _, found in tf.io.gfile.walk(folder, topdown=False):
        for name in sorted(found):
            path = os.path.join(target, os.path.relpath(os.path.join(top, name), folder))
            tf.io.gfile.makedirs(os.path.dirname(path))
            tf.io.gfile.rename(os.path.join(top, name), path, overwrite=True)
            moved.add(path)
    return moved


def _replace_files(folder, target):
    """Moves a folder's files to another folder, and removes all other files there."""
    moved = _move_files(folder, target)
    for top, _, found in tf.io.gfile.walk(target):
        for path in set(os.path.join(top, name) for name in found) - moved:
            tf.io.gfile.remove(path)


def write_json(path, value):
    """Writes `value` as JSON, indented, keys sorted."""
    with replacing(path) as stream:
        stream.write(json.dumps(value, indent=2, sort_keys=True) + "\n")
