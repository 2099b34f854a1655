"""Where paths lead: to the file systems of this machine, or to a bucket, gs://, which may not answer."""
import os
import re
import threading

import tensorflow as tf

from src.common.errors import InputError

ANSWER_SECONDS = 60.0  # TensorFlow itself tries for minutes, anew for each file
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)")
# Errors that are answers, too.
_ANSWERS = (tf.errors.NotFoundError, tf.errors.PermissionDeniedError, tf.errors.UnauthenticatedError)
_answered = set()  # buckets


def local(path):
    """The path as the functions of `os` take it; None if it does not lead to this machine's file systems.

    TensorFlow takes the names of files as UTF-8 everywhere, the functions of `os` in the encoding of the locale.
    """
    if path.startswith("file://"):
        path = path[len("file://"):]
    elif _URL.match(path):
        return None
    return os.fsdecode(path.encode("utf-8", "surrogateescape"))


def as_path(name):
    """A path for TensorFlow, from one that a function of `os` returns; the opposite of `local`."""
    return os.fsencode(name).decode("utf-8", "surrogateescape")


def check(path, name):
    """Checks that a path leads to storage that the programs can use, and that a bucket answers; asks each bucket once.

    Args:
      path: local or gs://.
      name: of the path in the error, such as --flag=path.

    Raises:
      InputError: the path leads elsewhere, or the bucket does not answer.
    """
    if local(path) is not None:
        return
    scheme, bucket = _URL.match(path).groups()
    if scheme != "gs" or not bucket:
        raise InputError("%s is neither on this machine nor in a bucket: give a local path, or gs://BUCKET/..." % name)
    if bucket not in _answered:
        problem = _ask(bucket)
        if problem:
            raise InputError("%s cannot be reached, %s: check the name, the network and your credentials."
                             % (name, problem))
        _answered.add(bucket)


def _ask(bucket):
    """Why a bucket does not answer; None if it does."""
    problems = ["no answer from gs://%s within %d seconds" % (bucket, ANSWER_SECONDS)]

    def ask():
        try:
            tf.io.gfile.exists("gs://%s/" % bucket)
            problems.append(None)
        except _ANSWERS:
            problems.append(None)
        except tf.errors.OpError as error:
            problems.append(error.message.split("\n")[0])

    thread = threading.Thread(target=ask, daemon=True)  # nothing can make TensorFlow give up
    thread.start()
    thread.join(ANSWER_SECONDS)
    return problems[-1]
