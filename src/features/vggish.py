"""VGGish up to its embedding before the last ReLU, as the data set has it: log-mel patches -> 128 numbers.

tensorflow/models research/audioset/vggish/vggish_slim.py
"""
import tensorflow as tf

from src.common import runtime
from src.common.errors import InputError
from src.features import log_mel
from src.features import network
from src.features import published

SIZE = 128
# (scope, whether a max-pool follows).
CONVOLUTIONS = [("conv1", True), ("conv2", True), ("conv3/conv3_1", False), ("conv3/conv3_2", True),
                ("conv4/conv4_1", False), ("conv4/conv4_2", True)]
DENSE = ["fc1/fc1_1", "fc1/fc1_2", "fc2"]
_POSITIONS = 6 * 4  # of a patch after the four max-pools
_NODES = ("vggish/input_features", "vggish/fc2/BiasAdd")  # of the graph that MediaPipe freezes


def load(folder):
    """The Network in the published checkpoint, or in MediaPipe's graph; one of them must be in the folder.

    Raises:
      InputError: the file is another one.
    """
    path = published.find(folder, published.VGGISH.name)
    if path:
        return _of_checkpoint(path)
    path = published.find(folder, published.VGGISH_GRAPH)
    return network.frozen(published.read(path), path, _NODES, [log_mel.PATCH, log_mel.BANDS], SIZE)


def _of_checkpoint(path):
    shapes = _shapes(path)
    with tf.Graph().as_default():
        given = tf.compat.v1.placeholder(tf.float32, [None, log_mel.PATCH, log_mel.BANDS])
        output = _embedding(given, shapes)
        saver = tf.compat.v1.train.Saver()

        def restore(session):
            try:
                saver.restore(session, path)
            except (ValueError, tf.errors.OpError) as error:
                raise InputError("%s cannot be restored (%s): download it again." % (
                    path, runtime.message(error).split("\n")[0]))

        return network.Network(given, output, SIZE, path, restore)


def _shapes(path):
    """{name: shape} of the variables; checks that they are VGGish's.

    Raises:
      InputError: they are not.
    """
    try:
        shapes = tf.train.load_checkpoint(path).get_variable_to_shape_map()
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise InputError("%s is no checkpoint (%s): download it again." % (path, runtime.message(error).split("\n")[0]))
    width = 1
    for scope in [scope for scope, _ in CONVOLUTIONS] + DENSE:
        width *= _POSITIONS if scope == DENSE[0] else 1
        weights, biases = (shapes.get("vggish/%s/%s" % (scope, name)) for name in ("weights", "biases"))
        before = ([] if scope in DENSE else [3, 3]) + [width]
        if not weights or weights[:-1] != before or biases != weights[-1:]:
            raise InputError("%s is not VGGish: its layer vggish/%s has weights %s and biases %s, not [%s, n] and [n]: "
                             "download it again." % (path, scope, weights, biases, ", ".join(map(str, before))))
        width = weights[-1]
    return shapes


def _embedding(patches, shapes):
    """[n, SIZE] of patches [n, PATCH, BANDS]; variables named and shaped as in the checkpoint."""
    def variables(scope):
        return (tf.compat.v1.get_variable("vggish/%s/%s" % (scope, name), shapes["vggish/%s/%s" % (scope, name)],
                                          trainable=False) for name in ("weights", "biases"))

    net = patches[..., tf.newaxis]
    for scope, pooled in CONVOLUTIONS:
        weights, biases = variables(scope)
        net = tf.nn.relu(tf.nn.conv2d(net, weights, [1, 1, 1, 1], "SAME") + biases)
        if pooled:
            net = tf.nn.max_pool2d(net, 2, 2, "SAME")
    net = tf.reshape(net, [-1, shapes["vggish/%s/weights" % DENSE[0]][0]])
    for scope in DENSE:
        weights, biases = variables(scope)
        net = tf.matmul(net, weights) + biases
        if scope != DENSE[-1]:
            net = tf.nn.relu(net)
    return net
