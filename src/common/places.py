"""Where paths lead: to the file systems of this machine, or to a bucket, gs://, which may not answer."""
import re
import threading

import tensorflow as tf

from src.common.errors import InputError

ANSWER_SECONDS = 60.0  # TensorFlow itself tries for minutes, at each file anew
_ELSEWHERE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)")
_THERE = (tf.errors.NotFoundError, tf.errors.PermissionDeniedError, tf.errors.UnauthenticatedError)  # are answers too
_answered = set()  # buckets


def local(path):
    """The path as the functions of `os` take it, or None where it does not lead to this machine's file systems."""
    if path.startswith("file://"):
        return path[len("file://"):]
    return None if _ELSEWHERE.match(path) else path


def check(path, name):
    """Checks that a path leads to a place that is served and, a bucket, answers; each bucket is asked once.

    Args:
      path: local or gs://.
      name: what the error is to call it, such as --flag=path.

    Raises:
      InputError: it does not.
    """
    if local(path) is not None:
        return
    scheme, bucket = _ELSEWHERE.match(path).groups()
    if scheme != "gs" or not bucket:
        raise InputError("%s is no place that is served: give a path on this machine, or gs://BUCKET/..." % name)
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
        except _THERE:
            problems.append(None)
        except tf.errors.OpError as error:
            problems.append(error.message.split("\n")[0])

    thread = threading.Thread(target=ask, daemon=True)  # TensorFlow cannot be told to stop trying
    thread.start()
    thread.join(ANSWER_SECONDS)
    return problems[-1]
