"""Files through `tf.io.gfile`, so that every path may be local or gs://."""
import contextlib
import json
import multiprocessing.pool
import os
import re

import tensorflow as tf

from src.common.errors import InputError

_TEMPORARY = re.compile(r"(^|/)\.[^/]*\.\d+\.tmp$")  # see _temporary_name
PROJECT_DIR = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def glob(pattern):
    """Sorted paths that match a glob, but for what a killed `replacing` left; [] also where its folder does not exist."""
    try:
        return sorted(path for path in tf.io.gfile.glob(pattern) if not _TEMPORARY.search(path))
    except tf.errors.NotFoundError:
        return []


def names(folder):
    """Names of the files and folders in a folder; [] where there is none."""
    return [name.rstrip("/") for name in tf.io.gfile.listdir(folder)] if tf.io.gfile.isdir(folder) else []


def find(pattern, flag):
    """Sorted paths that match a glob.

    Args:
      pattern: a glob, local or gs://.
      flag: name of the flag that holds it, for the error.

    Raises:
      InputError: nothing matches.
    """
    if not pattern:
        raise InputError("--%s is empty: give it a path or a glob." % flag)
    try:
        paths = glob(pattern)
    except tf.errors.OpError as error:
        raise InputError("--%s=%s cannot be listed: %s." % (flag, pattern, error.message))
    if not paths:
        raise InputError("No file matches --%s=%s: check the path, and quote the glob." % (flag, pattern))
    return paths


def total_bytes(paths):
    """Sum of the sizes of files, many asked for at a time, as each may be a request to a bucket."""
    with contextlib.closing(multiprocessing.pool.ThreadPool(16)) as pool:
        return sum(pool.map(lambda path: tf.io.gfile.stat(path).length, paths))


def beside_project(path):
    """`path` as given if it exists, else the project's own file of that name.

    Lets the defaults (bert_config.json, segment_label_ids.csv) be found from any folder.
    """
    own = os.path.join(PROJECT_DIR, path)
    if not os.path.isabs(path) and not tf.io.gfile.exists(path) and os.path.exists(own):
        return own
    return path


def _temporary_name(path):
    folder, name = os.path.split(path)
    return os.path.join(folder, ".%s.%d.tmp" % (name, os.getpid()))


@contextlib.contextmanager
def _writing(path):
    try:
        yield
    except tf.errors.OpError as error:
        raise InputError("%s cannot be written: %s." % (path, error.message))


def _check_no_folder(path):
    if path.endswith("/") or tf.io.gfile.isdir(path):
        raise InputError("%s is a folder and cannot be written as a file: give a file's name." % path)


@contextlib.contextmanager
def reading(path):
    """Turns TensorFlow's errors about reading `path` into InputError."""
    try:
        yield
    except tf.errors.NotFoundError:
        raise InputError("%s does not exist: check the path." % path)
    except tf.errors.OpError as error:
        raise InputError("%s cannot be read: %s." % (path, error.message))


def check_writable(path):
    """Finds out now whether `replacing` could write to `path` later, after hours of work.

    Raises:
      InputError: it could not.
    """
    temporary = _temporary_name(path)
    _check_no_folder(path)
    with _writing(path):
        tf.io.gfile.makedirs(os.path.dirname(path) or ".")
        with tf.io.gfile.GFile(temporary, "w") as stream:
            stream.write("")
        tf.io.gfile.remove(temporary)


@contextlib.contextmanager
def replacing(path, mode="w"):
    """Opens a file that takes the place of `path` only when the block succeeds.

    The text is written beside `path` and renamed; if the block raises, what stood at
    `path` before stands there still.

    Args:
      path: target, local or gs://; its folder is made if missing.
      mode: "w" or "wb".

    Yields:
      A file object open for writing.

    Raises:
      InputError: the target cannot be written.
    """
    temporary = _temporary_name(path)
    _check_no_folder(path)
    try:
        with _writing(path):
            tf.io.gfile.makedirs(os.path.dirname(path) or ".")
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
    """As `replacing`, for a folder: yields the name of a new one that takes `path`'s place."""
    temporary = _temporary_name(path)
    tf.io.gfile.makedirs(os.path.dirname(path) or ".")
    remove(temporary)
    try:
        yield temporary
        remove(path)
        tf.io.gfile.rename(temporary, path)
    finally:
        remove(temporary)


def remove(path):
    """Removes a file or a folder with all it holds; nothing happens if there is none."""
    if tf.io.gfile.isdir(path):
        tf.io.gfile.rmtree(path)
    elif tf.io.gfile.exists(path):
        tf.io.gfile.remove(path)


def read_json(path):
    """The object in a JSON file.

    Raises:
      InputError: the file is missing or not JSON.
    """
    try:
        with tf.io.gfile.GFile(path) as stream:
            return json.load(stream)
    except tf.errors.NotFoundError:
        raise InputError("%s does not exist: check the path." % path)
    except ValueError as error:
        raise InputError("%s is not valid JSON (%s): restore or delete it." % (path, error))


def write_json(path, value):
    """Writes `value` as JSON, indented, keys sorted."""
    with replacing(path) as stream:
        stream.write(json.dumps(value, indent=2, sort_keys=True) + "\n")
