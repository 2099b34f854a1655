"""Files through `tf.io.gfile`, so that every path may be local or gs://.

Outputs are written beside their target, `.NAME.HOST.PID.tmp`, and take its place when they are whole. What a killed run
leaves of that, the next one that writes the same target on the same machine removes.
"""
import codecs
import contextlib
import errno
import json
import multiprocessing.pool
import os
import re
import socket
import stat

import tensorflow as tf

from src.common import exchange
from src.common import places
from src.common.errors import InputError

MAX_JSON_BYTES = 16 << 20  # those of the programs have some kilobytes
_TEMPORARY = re.compile(r"(^|/)\.[^/]*\.\d+\.tmp(/|$)")  # see _temporary_name
_OF_GLOBS = re.compile(r"[*?[\\]")
PROJECT_DIR = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


# Finding and reading.


def glob(pattern):
    """Sorted paths that match a glob, but for what a killed `replacing` left; [] also where its folder does not exist.

    Folders and a file that are there by the very name that the pattern gives, such as run[1], are taken as they are.
    """
    try:
        return sorted(path for path in tf.io.gfile.glob(_taken_as_it_is(pattern)) if not _TEMPORARY.search(path))
    except tf.errors.NotFoundError:
        return []


def is_glob(path):
    """Whether a path holds characters of globs."""
    return bool(_OF_GLOBS.search(path))


def _taken_as_it_is(pattern):
    """The pattern with the characters of globs escaped in what is there by that very name."""
    taken, parts = "", pattern.split("/")
    for place, part in enumerate(parts):
        if is_glob(part):
            if not exists("/".join(parts[:place + 1])):
                return taken + "/".join(parts[place:])
            part = _OF_GLOBS.sub(lambda matched: "\\" + matched.group(), part)
        taken += part + "/"
    return taken[:-1]


def exists(path):
    """Whether a file or folder is there.

    Raises:
      InputError: its folder may not be searched, so nobody knows.
    """
    if places.local(path) is None:
        return tf.io.gfile.exists(path)
    try:
        os.stat(places.local(path))
        return True
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise InputError("%s cannot be looked up (%s): check the path and the permissions of its folder."
                         % (path, error.strerror))


def names(folder):
    """Names of the files and folders in a folder; [] where there is none.

    Raises:
      InputError: the folder may not be read.
    """
    if places.local(folder) is None:
        return [name.rstrip("/") for name in tf.io.gfile.listdir(folder)] if tf.io.gfile.isdir(folder) else []
    try:
        return os.listdir(places.local(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError("%s cannot be listed (%s): check the folder's permissions." % (folder, error.strerror))


def find(pattern, flag):
    """Sorted paths that match a glob.

    Args:
      pattern: a glob, local or gs://.
      flag: name of the flag that holds it, for the error.

    Raises:
      InputError: nothing matches, or a folder may not be read.
    """
    if not pattern:
        raise InputError("--%s is empty: give it a path or a glob." % flag)
    try:
        paths = glob(pattern)
    except tf.errors.OpError as error:
        raise InputError("--%s=%s cannot be listed: %s." % (flag, pattern, error.message))
    except UnicodeDecodeError:
        raise InputError("--%s=%s matches a name that is not UTF-8: rename the file." % (flag, pattern))
    if not paths:
        folder = os.path.dirname(pattern)
        for one in glob(folder) if is_glob(folder) else [folder]:
            names(one or ".")  # may it be read?
        raise InputError("No file matches --%s=%s: check the path, and quote the glob." % (flag, pattern))
    for path in paths:
        _check_no_pipe(path)
    return paths


def version(path):
    """What differs between a file and another that takes its place later; None where there is none."""
    try:
        if places.local(path) is not None:
            found = os.stat(places.local(path))
            return found.st_ino, found.st_ctime_ns, found.st_size
        found = tf.io.gfile.stat(path)
        return found.mtime_nsec, found.length
    except (OSError, tf.errors.OpError):
        return None


def total_bytes(paths):
    """Sum of the sizes of files, many asked for at a time, as each may be a request to a bucket."""
    with contextlib.closing(multiprocessing.pool.ThreadPool(16)) as pool:
        return sum(pool.map(lambda path: tf.io.gfile.stat(path).length, paths))


def beside_project(path):
    """`path` as given if it exists, else the project's own file of that name.

    Lets the defaults (bert_config.json, segment_label_ids.csv) be found from any folder.
    """
    own = os.path.join(PROJECT_DIR, path)
    if not os.path.isabs(path) and not exists(path) and os.path.exists(own):
        return own
    return path


def _mode(path):
    """What kind of thing a path is, as the module `stat` tells; 0 where there is nothing, or on another machine."""
    try:
        return os.stat(places.local(path) or "").st_mode
    except OSError:
        return 0


def _check_no_pipe(path):
    """Checks that reading `path` does not wait for a writer for ever, which TensorFlow could not read from either.

    Raises:
      InputError: it is a named pipe.
    """
    if stat.S_ISFIFO(_mode(path)):
        raise InputError("%s is a pipe, which cannot be read here: give a file." % path)


@contextlib.contextmanager
def reading(path):
    """Turns TensorFlow's errors about reading `path` into InputError."""
    _check_no_pipe(path)
    try:
        yield
    except tf.errors.NotFoundError:
        raise InputError("%s does not exist: check the path." % path)
    except tf.errors.OpError as error:
        raise InputError("%s cannot be read: %s." % (path, error.message))


def read(path, most_bytes):
    """The bytes of a text file that is to be read whole, without the byte order mark that it may begin with.

    Raises:
      InputError: the file is missing, or larger than `most_bytes`.
    """
    places.check(path, path)
    with reading(path), tf.io.gfile.GFile(path, "rb") as stream:
        content = stream.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise InputError("%s is larger than %d MB, as no such file is: restore or delete it." % (path, most_bytes >> 20))
    return content[len(codecs.BOM_UTF8):] if content.startswith(codecs.BOM_UTF8) else content


def read_json(path):
    """The value in a JSON file.

    Raises:
      InputError: the file is missing, not JSON, or larger than MAX_JSON_BYTES.
    """
    content = read(path, MAX_JSON_BYTES)
    try:
        return parse_json(content)
    except ValueError as error:
        raise InputError("%s is not valid JSON (%s): restore or delete it." % (path, error))


def parse_json(content):
    """The value that bytes of JSON hold.

    Raises:
      ValueError: they hold none, or one too large to be read.
    """
    def whole_number(digits):
        if len(digits) > 100:  # a million of them would take Python minutes
            raise ValueError("a number of %d digits" % len(digits))
        return int(digits)

    try:
        return json.loads(content.decode(), parse_int=whole_number)
    except RecursionError:
        raise ValueError("nested too deeply")


# Writing.


@contextlib.contextmanager
def _writing(path):
    try:
        yield
    except tf.errors.OpError as error:
        raise InputError("%s cannot be written: %s." % (path, error.message))


def _target(path):
    """Where an output lies: a link stays, and what it points at is replaced."""
    local = places.local(path)
    return os.path.realpath(local) if local is not None and os.path.islink(local) else path


def _check_file(path):
    """Checks that what stands at `path` may be replaced by a file.

    Raises:
      InputError: it is a folder, a device or a pipe.
    """
    if path.endswith("/") or tf.io.gfile.isdir(path):
        raise InputError("%s is a folder and cannot be written as a file: give a file's name." % path)
    if _mode(path) and not stat.S_ISREG(_mode(path)):
        raise InputError("%s is a device or a pipe, whose place a file is not to take: give a file's name." % path)


def _temporary_name(path):
    folder, name = os.path.split(path)
    return os.path.join(folder, ".%s.%s.%d.tmp" % (name, socket.gethostname(), os.getpid()))


def _start(path):
    """Prepares writing beside `path`; -> the temporary name."""
    with _writing(path):
        tf.io.gfile.makedirs(os.path.dirname(path) or ".")
        _remove_leftovers(path)
        return _temporary_name(path)


def _remove_leftovers(path):
    """Removes what runs of this machine that are gone left of writing `path`."""
    folder, name = os.path.split(path)
    for other in names(folder or "."):
        if other.startswith(".%s.%s." % (name, socket.gethostname())) and is_leftover(other):
            with contextlib.suppress(tf.errors.PermissionDeniedError):  # another user's
                remove(os.path.join(folder, other))


def is_leftover(name):
    """Whether a file or folder of that name was being written by a process of this machine that is gone."""
    matched = re.fullmatch(r"\..+\.%s\.(\d+)\.tmp" % re.escape(socket.gethostname()), name)
    return bool(matched) and not _runs(int(matched.group(1)))


def _runs(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def check_writable(path):
    """Finds out now whether `replacing` could write to `path` later, after hours of work.

    Raises:
      InputError: it could not.
    """
    path = _target(path)
    _check_file(path)
    temporary = _start(path)
    with _writing(path):
        with tf.io.gfile.GFile(temporary, "w") as stream:
            stream.write("")
        tf.io.gfile.remove(temporary)


@contextlib.contextmanager
def replacing(path, mode="w"):
    """Opens a file that takes the place of `path` only when the block succeeds.

    The text is written beside `path` and renamed; if the block raises, what stood at
    `path` before stands there still.

    Args:
      path: target, local or gs://; its folder is made if missing. Of a link, what it points at is replaced.
      mode: "w" or "wb".

    Yields:
      A file object open for writing.

    Raises:
      InputError: the target cannot be written.
    """
    path = _target(path)
    _check_file(path)
    temporary = _start(path)
    try:
        with _writing(path):
            stream = tf.io.gfile.GFile(temporary, mode)
            stream.write(b"" if "b" in mode else "")  # opens it
        with contextlib.closing(stream):
            yield stream
        with _writing(path):
            tf.io.gfile.rename(temporary, path, overwrite=True)
    finally:
        if tf.io.gfile.exists(temporary):
            tf.io.gfile.remove(temporary)


@contextlib.contextmanager
def replacing_folder(path):
    """As `replacing`, for a folder: yields the name of a new one that takes `path`'s place.

    Whenever the process is killed, a whole folder stands at `path`, the old one or the new one, as they change places in
    one step. Where the file system cannot do that (NFS, say), there is none for the moment between two renames. A bucket
    has no folders: the files are replaced one after the other, those of subfolders first, else by name. Whoever reads
    several files of a folder finds out with `version` whether they are of the same one.
    """
    path = _target(path)
    temporary = _start(path)
    remove(temporary)
    try:
        yield temporary
        with _writing(path):
            if places.local(path) is None:
                _replace_files(temporary, path)
            elif exists(path):
                _exchange(temporary, path)
            else:
                tf.io.gfile.rename(temporary, path)
    finally:
        remove(temporary)


def _exchange(folder, other):
    """Two folders of this machine change places."""
    try:
        exchange.exchange(places.local(folder), places.local(other))
    except OSError:
        aside = _start(other + ".old")
        for source, target in (other, aside), (folder, other), (aside, folder):
            tf.io.gfile.rename(source, target)


def _replace_files(folder, target):
    """Moves a folder's files to another one, and removes those that it has besides."""
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


def remove(path):
    """Removes a file, or a folder with all it holds, which no kill leaves there in part; nothing happens if there is none.

    Of a link, what it points at stays.
    """
    local = places.local(path)
    if tf.io.gfile.isdir(path) and not (local and os.path.islink(local)):
        if local and not _TEMPORARY.search(path):
            doomed = _temporary_name(path)
            tf.io.gfile.rename(path, doomed)
            path = doomed
        tf.io.gfile.rmtree(path)
    elif tf.io.gfile.exists(path):
        tf.io.gfile.remove(path)


def write_json(path, value):
    """Writes `value` as JSON, indented, keys sorted."""
    with replacing(path) as stream:
        stream.write(json.dumps(value, indent=2, sort_keys=True) + "\n")
