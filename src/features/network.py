"""A network in a session of its own, fed with batches of NumPy arrays."""
from google.protobuf.message import DecodeError
import numpy as np
import tensorflow as tf

from src.common import runtime
from src.common import sessions
from src.common.errors import InputError

_REMEDY = "download it again"
# TensorFlow's errors that blame a graph; the others are about memory and devices.
_ERRORS = (ValueError, tf.errors.InvalidArgumentError, tf.errors.FailedPreconditionError, tf.errors.UnimplementedError)


class Network(object):
    """A network, which has been run once to check it.

    Args:
      given: placeholder [n, ..].
      output: tensor [n, ..].
      size: how many numbers it must give.
      shown: path of its file, for errors.
      initialize: function that takes the session before the first run; None: there are no variables.

    Raises:
      InputError: the network does not run, or gives something else.
    """

    def __init__(self, given, output, size, shown, initialize=None):
        self._given, self._output = given, output
        self._session = tf.compat.v1.Session(graph=given.graph, config=sessions.config())
        try:
            if initialize:
                initialize(self._session)
            self._check(size, shown)
        except BaseException:
            self.close()
            raise

    def __call__(self, batch):
        """float32 [n, size] of a batch, float32 [n, ..].

        A single example is fed twice: the product of a vector and a matrix is rounded in other steps than that of two
        matrices, and what else is in a batch must not change a number.
        """
        fed = np.repeat(batch, 2, axis=0) if len(batch) == 1 else batch
        return self._session.run(self._output, {self._given: fed}).reshape(len(fed), -1)[:len(batch)]

    def close(self):
        """Ends its session."""
        self._session.close()

    def _check(self, size, shown):
        try:
            found = self(np.zeros([2] + self._given.shape.as_list()[1:], np.float32))
        except _ERRORS as error:
            raise InputError("%s does not run on a batch (%s): %s." % (
                shown, runtime.message(error).split("\n")[0], _REMEDY))
        if found.dtype.kind != "f" or found.shape[1] != size:
            raise InputError("%s gives %d numbers of type %s and not %d floats: %s." % (
                shown, found.shape[1], found.dtype, size, _REMEDY))
        if not np.isfinite(found).all():
            raise InputError("%s gives numbers that are not finite: %s." % (shown, _REMEDY))


def frozen(content, shown, names, shape, size):
    """The Network of a frozen graph.

    The batch takes the place of what one node gives, and another node is fetched: other nodes may be made for one
    example only.

    Args:
      content: the GraphDef, serialized.
      shown: its path, for errors.
      names: of the two nodes.
      shape: of an example.
      size: how many numbers there must be per example.

    Raises:
      InputError: it is another graph, or none.
    """
    try:
        definition = tf.compat.v1.GraphDef.FromString(content)
    except DecodeError:
        raise InputError("%s is no TensorFlow graph: %s." % (shown, _REMEDY))
    lacking = [name for name in names if name not in {node.name for node in definition.node}]
    if lacking:
        raise InputError("%s is another graph, without the node %s: %s." % (shown, lacking[0], _REMEDY))
    with tf.Graph().as_default():
        given = tf.compat.v1.placeholder(tf.float32, [None] + shape)
        try:
            output, = tf.compat.v1.import_graph_def(
                definition, name="", input_map={names[0] + ":0": given}, return_elements=[names[1] + ":0"])
        except _ERRORS as error:
            raise InputError("%s is a graph that TensorFlow %s does not take (%s): %s." % (
                shown, tf.__version__, runtime.message(error).split("\n")[0], _REMEDY))
        return Network(given, output, size, shown)
