"""Finds, reads and removes files through `tf.io.gfile`, so that every path may be local or gs://."""
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

from src.common import storage
from src.common import system_errors
from src.common.errors import InputError

MAX_JSON_BYTES = 16 << 20  # the programs' own JSON files have some kilobytes
_TEMPORARY = re.compile(r"(^|/)\.[^/]*\.\d+\.tmp(/|$)")  # see temporary_name
_OF_GLOBS = re.compile(r"[*?[\\]")
PROJECT_DIR = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


# Finding and reading.


def glob(pattern):
    """Sorted paths that match a glob, without leftovers of killed runs; [] if its folder does not exist.

    Where a folder or file is named exactly like a part of the pattern, such as run[1], that part is no glob.
    """
    try:
        return sorted(path for path in tf.io.gfile.glob(_without_names(pattern)) if not _TEMPORARY.search(path))
    except tf.errors.NotFoundError:
        return []


def is_glob(path):
    """Whether a path holds characters that globs interpret."""
    return bool(_OF_GLOBS.search(path))


def _without_names(pattern):
    """The pattern, escaped where a folder or file is named exactly like a part of it."""
    escaped, parts = "", pattern.split("/")
    for index, part in enumerate(parts):
        if is_glob(part):
            if not exists("/".join(parts[:index + 1])):
                return escaped + "/".join(parts[index:])
            part = _OF_GLOBS.sub(lambda matched: "\\" + matched.group(), part)
        escaped += part + "/"
    return escaped[:-1]


def exists(path):
    """Whether a file or folder exists.

    Raises:
      InputError: unknown, as its folder may not be searched.
    """
    if storage.local(path) is None:
        return tf.io.gfile.exists(path)
    try:
        os.stat(storage.local(path))
        return True
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise system_errors.input_error("%s cannot be looked up" % path, error.strerror)


def names(folder):
    """Names of the files and folders in a folder; [] if it does not exist.

    Raises:
      InputError: the folder may not be read.
    """
    if storage.local(folder) is None:
        return [name.rstrip("/") for name in tf.io.gfile.listdir(folder)] if tf.io.gfile.isdir(folder) else []
    try:
        return list(map(storage.as_path, os.listdir(storage.local(folder))))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise system_errors.input_error("%s cannot be listed" % folder, error.strerror)


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
        raise system_errors.input_error("--%s=%s cannot be listed" % (flag, pattern), error.message)
    except UnicodeDecodeError:
        raise InputError("--%s=%s matches a name that is not UTF-8: rename the file." % (flag, pattern))
    if not paths:
        folder = os.path.dirname(pattern)
        for one in glob(folder) if is_glob(folder) else [folder]:
            names(one or ".")  # raises if it may not be read
        raise InputError("No file matches --%s=%s: check the path, and quote the glob." % (flag, pattern))
    for path in paths:
        _check_no_pipe(path)
    return paths


def split(comma_list, is_path=None):
    """List of the paths and globs in a comma list; one that exists, commas included, is not split.

    Args:
      comma_list: text; blanks around its entries do not count.
      is_path: whether a text is a path; None: a file, a folder, or a glob that matches one.
    """
    parts, found = comma_list.split(","), []
    while parts:
        count = next((count for count in range(len(parts), 1, -1) if _is_one(parts[:count], is_path)), 1)
        found.append(",".join(parts[:count]).strip())
        parts = parts[count:]
    return found


def _is_one(parts, is_path):
    """Whether parts of a comma list are one path or glob; see `split`."""
    path = ",".join(parts).strip()
    if any("://" in part for part in parts[1:]):
        return False
    if is_path or not is_glob(path):
        return (is_path or exists)(path)
    return not glob(parts[0].strip()) and bool(glob(path))


def version(path):
    """A value that changes when a file is replaced; None if there is no file."""
    try:
        if storage.local(path) is not None:
            found = os.stat(storage.local(path))
            return found.st_ino, found.st_ctime_ns, found.st_size
        found = tf.io.gfile.stat(path)
        return found.mtime_nsec, found.length
    except (OSError, tf.errors.OpError):
        return None


def sizes(paths):
    """List of the sizes of files in bytes; requests to buckets run in parallel."""
    def size(path):
        return tf.io.gfile.stat(path).length

    if not any("://" in path for path in paths):
        return list(map(size, paths))
    with contextlib.closing(multiprocessing.pool.ThreadPool(16)) as pool:
        return pool.map(size, paths)


def below(paths):
    """List of the files among `paths` and of those in the folders among them."""
    found = []
    for path in paths:
        if tf.io.gfile.isdir(path):
            found += [os.path.join(folder, name) for folder, _, inside in tf.io.gfile.walk(path) for name in inside]
        else:
            found.append(path)
    return found


def total_bytes(paths):
    """Sum of the sizes of files."""
    return sum(sizes(paths))


def absolute(path):
    """The absolute path of a path on this machine; other paths as they are."""
    local = storage.local(path)
    return path if local is None else storage.as_path(os.path.abspath(local))


def real(path):
    """The absolute path of a path on this machine, with all links followed; other paths as they are."""
    local = storage.local(path)
    return path if local is None else storage.as_path(os.path.realpath(local))


def beside_project(path):
    """`path` if it exists, else the path of the project's own file of that name.

    So the defaults (bert_config.json, segment_label_ids.csv) are found from any folder.
    """
    own = os.path.join(storage.as_path(PROJECT_DIR), path)
    if not os.path.isabs(path) and not exists(path) and exists(own):
        return own
    return path


def mode(path):
    """Mode of a file for the functions of the module `stat`; 0 if there is none, or if it is on another machine."""
    try:
        return os.stat(storage.local(path) or "").st_mode
    except OSError:
        return 0


def _check_no_pipe(path):
    """Checks that reading `path` does not wait for ever for a writer; TensorFlow cannot read pipes anyway.

    Raises:
      InputError: it is a named pipe.
    """
    if stat.S_ISFIFO(mode(path)):
        raise InputError("%s is a pipe, which cannot be read here: give a file." % path)


@contextlib.contextmanager
def reading(path):
    """Context in which TensorFlow's errors about reading `path` become InputErrors."""
    _check_no_pipe(path)
    try:
        yield
    except tf.errors.NotFoundError:
        raise InputError("%s does not exist: check the path." % path)
    except tf.errors.OpError as error:
        raise system_errors.input_error("%s cannot be read" % path, error.message)


@contextlib.contextmanager
def writing(path):
    """Context in which errors about writing `path` become InputErrors."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise system_errors.input_error("%s cannot be written" % path, error.message if isinstance(
            error, tf.errors.OpError) else error.strerror or str(error))


def read(path, most_bytes):
    """The bytes of a text file, without the byte order mark that it may begin with.

    Raises:
      InputError: the file is missing, or larger than `most_bytes`.
    """
    storage.check(path, path)
    with reading(path), tf.io.gfile.GFile(path, "rb") as stream:
        content = stream.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise InputError("%s is larger than %d MB, which no such file is: restore or delete it."
                         % (path, most_bytes >> 20))
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
    """The value in bytes of JSON.

    Raises:
      ValueError: they are no JSON, or hold a number that is too large.
    """
    def whole_number(digits):
        if len(digits) > 100:  # a million digits would take Python minutes
            raise ValueError("a number of %d digits" % len(digits))
        return int(digits)

    try:
        return json.loads(content.decode(), parse_int=whole_number)
    except RecursionError:
        raise ValueError("nested too deeply")


# Removing.


def temporary_name(path):
    """A name beside `path` that says which process of which machine uses it."""
    folder, name = os.path.split(path)
    return os.path.join(folder, ".%s.%s.%d.tmp" % (name, socket.gethostname(), os.getpid()))


def is_leftover(name):
    """Whether a name is of a file or folder that an ended process of this machine left half-written."""
    matched = re.fullmatch(r"\..+\.%s\.(\d+)\.tmp" % re.escape(socket.gethostname()), name)
    return bool(matched) and not _runs(int(matched.group(1)))


def _runs(process):
    """Whether a process runs; a zombie does not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    with contextlib.suppress(OSError), open("/proc/%d/stat" % process, "rb") as stream:
        return not stream.read().rpartition(b") ")[2].startswith((b"Z", b"X"))
    return True


def remove(path):
    """Removes a file or a folder atomically; a missing path is fine.

    Of a link, the target stays.
    """
    local = storage.local(path)
    if tf.io.gfile.isdir(path) and not (local and os.path.islink(local)):
        if local and not _TEMPORARY.search(path):
            doomed = temporary_name(path)
            tf.io.gfile.rename(path, doomed)
            path = doomed
        tf.io.gfile.rmtree(path)
    elif tf.io.gfile.exists(path):
        tf.io.gfile.remove(path)
