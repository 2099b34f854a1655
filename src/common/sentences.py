"""The user's sentence in an exception, and how a TensorFlow graph stops with one.

TensorFlow adds text of its own to the message of the op that stops a graph, so the sentence stands between marks there.
"""
import functools
import re

import numpy as np
import tensorflow as tf

from src.common import runtime
from src.common import system_errors
from src.common.errors import InputError

_MARKED = "<<%s>>"
_SENTENCE = re.compile(_MARKED % "(.*?)", re.DOTALL)
_GRAPH_DETAILS = re.compile(r"\n\s*\[\[|\n\n")  # begins what an error's message says about the graph


def marked(parts):
    """String tensor: a list of string tensors, joined and marked as a sentence."""
    before, after = _MARKED.split("%s")
    return tf.strings.join([before] + parts + [after])


def stop_unless(conditions, sentence):
    """Op that stops with a marked sentence unless all of the bool scalars are true."""
    return tf.raw_ops.Assert(condition=tf.reduce_all(tf.stack(conditions)), data=[sentence], summarize=1)


def stop_at_first(wrong, sentences):
    """Op that stops with the marked sentence of the first record that is `wrong`; arguments [batch]."""
    first = tf.strings.reduce_join(tf.boolean_mask(sentences, wrong)[:1])
    return tf.raw_ops.Assert(condition=~tf.reduce_any(wrong), data=[first], summarize=1)


def for_graph(function):
    """Decorates a module's function that `tf.numpy_function` runs: its errors stop the graph with their sentence.

    Only functions of a module work: the graph does not keep others alive.
    """
    @functools.wraps(function)
    def wrapped(*arguments):
        try:
            function(*arguments)
        except (InputError, OSError, tf.errors.OpError) as error:
            raise ValueError(_MARKED % (of(error) or error)) from None
        return np.bool_(True)

    return wrapped


def in_graph(error):
    """The marked sentence in a TensorFlow error, or None."""
    found = _SENTENCE.search(runtime.message(error))
    return found and found.group(1)


def of(error):
    """The user's sentence for an exception, or None if the exception is not about the user's input."""
    if isinstance(error, InputError):
        return str(error)
    if not isinstance(error, tf.errors.OpError):
        return system_errors.sentence(error)
    if in_graph(error):
        return in_graph(error)
    message = _GRAPH_DETAILS.split(runtime.message(error))[0]
    if system_errors.remedy(message):
        return "%s." % system_errors.explained(message)
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return "Out of memory: lower --batch_size (%s)." % message
    if isinstance(error, (tf.errors.NotFoundError, tf.errors.PermissionDeniedError, tf.errors.UnauthenticatedError)):
        return "%s: check the path and your permissions." % message
    if "gs://" in message:
        return "%s: check the network, and run again." % message
    return None
