"""Small stand-ins for the published networks, with their names and shapes, and films that ffmpeg makes."""
import os
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf

tf1 = tf.compat.v1
WIDTHS = [("conv1", 2), ("conv2", 3), ("conv3/conv3_1", 4), ("conv3/conv3_2", 3), ("conv4/conv4_1", 4),
          ("conv4/conv4_2", 5), ("fc1/fc1_1", 7), ("fc1/fc1_2", 6), ("fc2", 128)]  # of VGGish's layers

needs_ffmpeg = pytest.mark.skipif(not (shutil.which("ffmpeg") and shutil.which("ffprobe")),
                                  reason="ffmpeg is not installed")


def inception(leave_out=(), width=2048, bad=False):
    """A GraphDef with the nodes of classify_image_graph_def.pb, serialized: its constants, its old operation, its batch
    of one; the layers between are a pooling and a convolution.

    Args:
      leave_out: nodes that it lacks.
      width: of pool_3.
      bad: whether it gives NaN.
    """
    graph = tf1.GraphDef()
    graph.versions.producer = 8
    kinds = {"T": 1, "SrcT": 4, "DstT": 1}  # float32 and uint8

    def constant(name, value):
        node = graph.node.add(name=name, op="Const")
        node.attr["value"].tensor.CopyFrom(tf1.make_tensor_proto(value))
        node.attr["dtype"].type = node.attr["value"].tensor.dtype

    def layer(name, operation, inputs, **attributes):
        node = graph.node.add(name=name, op=operation, input=inputs)
        for key, value in dict(dict.fromkeys(["T"], 1), **attributes).items():
            if key in kinds:
                node.attr[key].type = kinds[key]
            elif isinstance(value, list):
                node.attr[key].list.i.extend(value)
            elif isinstance(value, bool):
                node.attr[key].b = value
            elif isinstance(value, float):
                node.attr[key].f = value
            elif isinstance(value, int):
                node.attr[key].i = value
            else:
                node.attr[key].s = value
        return node

    constant("DecodeJpeg/contents", b"")
    del layer("DecodeJpeg", "DecodeJpeg", ["DecodeJpeg/contents"], channels=3).attr["T"]
    del layer("Cast", "Cast", ["DecodeJpeg"], SrcT=4, DstT=1).attr["T"]
    constant("ExpandDims/dim", np.int32(0))
    layer("ExpandDims", "ExpandDims", ["Cast", "ExpandDims/dim"])
    constant("ResizeBilinear/size", np.array([299, 299], np.int32))
    layer("ResizeBilinear", "ResizeBilinear", ["ExpandDims", "ResizeBilinear/size"])
    constant("Sub/y", np.float32(128))
    layer("Sub", "Sub", ["ResizeBilinear", "Sub/y"])
    constant("Mul/y", np.float32(np.nan if bad else 1 / 128.))
    layer("Mul", "Mul", ["Sub", "Mul/y"])
    layer("coarse", "AvgPool", ["Mul"], ksize=[1, 37, 37, 1], strides=[1, 37, 37, 1], padding=b"VALID")
    constant("conv/conv2d_params", np.random.RandomState(0).randn(1, 1, 3, width).astype(np.float32))
    layer("conv/Conv2D", "Conv2D", ["coarse", "conv/conv2d_params"], strides=[1, 1, 1, 1], padding=b"VALID")
    for name, value in ("beta", .1), ("gamma", 1), ("moving_mean", 0), ("moving_variance", 1):
        constant("conv/batchnorm/" + name, np.full(width, value, np.float32))
    layer("conv/batchnorm", "BatchNormWithGlobalNormalization",
          ["conv/Conv2D"] + ["conv/batchnorm/" + name for name in ("moving_mean", "moving_variance", "beta", "gamma")],
          variance_epsilon=.001, scale_after_normalization=False)
    layer("conv", "Relu", ["conv/batchnorm"])
    layer("pool_3", "AvgPool", ["conv"], ksize=[1, 8, 8, 1], strides=[1, 1, 1, 1], padding=b"VALID")
    constant("pool_3/_reshape/shape", np.array([1, width], np.int32))
    layer("pool_3/_reshape", "Reshape", ["pool_3", "pool_3/_reshape/shape"])
    kept = [node for node in graph.node if node.name not in leave_out]
    del graph.node[:]
    graph.node.extend(kept)
    return graph.SerializeToString()


def vggish_variables(widths=WIDTHS):
    """{name: float32 array} of a small VGGish."""
    random, before, found = np.random.RandomState(1), 1, {}
    for scope, width in widths:
        before *= 24 if scope == "fc1/fc1_1" else 1
        shape = ([3, 3] if scope.startswith("conv") else []) + [before, width]
        found["vggish/%s/weights" % scope] = (random.randn(*shape) / np.sqrt(np.prod(shape[:-1]) / 2)).astype("f4")
        found["vggish/%s/biases" % scope] = (.1 * random.randn(width)).astype("f4")
        before = width
    return found


def write_checkpoint(path, variables):
    """Writes a checkpoint in TensorFlow's first format, which vggish_model.ckpt has."""
    with tf.Graph().as_default(), tf1.Session() as session:
        for name, value in variables.items():
            tf1.get_variable(name, initializer=value)
        session.run(tf1.global_variables_initializer())
        saver = tf1.train.Saver(write_version=tf1.train.SaverDef.V1)
        saver.save(session, str(path), write_meta_graph=False, write_state=False)


def matrix_data(matrix, row_major=False):
    """A mediapipe.MatrixData, serialized."""
    def varint(number):
        digits = [number >> shift & 127 | 128 for shift in range(0, max(1, number.bit_length()), 7)]
        return bytes(digits[:-1] + [digits[-1] & 127])

    content = np.asarray(matrix, "<f4").tobytes("C" if row_major else "F")
    return (b"\x08" + varint(matrix.shape[0]) + b"\x10" + varint(matrix.shape[1]) + b"\x1a" + varint(len(content))
            + content + (b"\x20\x01" if row_major else b""))


def projections():
    """{name of a file of MediaPipe's: matrix}."""
    random = np.random.RandomState(2)
    return {"inception3_mean_matrix_data.pb": random.rand(2048, 1).astype("f4"),
            "inception3_projection_matrix_data.pb": (random.randn(1024, 2048) / 64).astype("f4"),
            "vggish_mean_matrix_data.pb": random.rand(128, 1).astype("f4"),
            "vggish_projection_matrix_data.pb": (random.randn(128, 128) / 32).astype("f4")}


def write_networks(folder):
    """Writes all files of the networks into a new folder; returns its path."""
    os.makedirs(str(folder))
    for name, matrix in projections().items():
        with open(os.path.join(str(folder), name), "wb") as stream:
            stream.write(matrix_data(matrix))
    with open(os.path.join(str(folder), "classify_image_graph_def.pb"), "wb") as stream:
        stream.write(inception())
    write_checkpoint(os.path.join(str(folder), "vggish_model.ckpt"), vggish_variables())
    return str(folder)


def ffmpeg(*arguments):
    """Runs ffmpeg, which must succeed."""
    subprocess.check_call(["ffmpeg", "-nostdin", "-loglevel", "error", "-y"] + list(map(str, arguments)))


def numbered(rate, seconds):
    """ffmpeg's arguments for a picture of 24 x 8 that shows its frame's number in 12 black and white bars."""
    bars = "+".join("255*eq(floor(X/2),%d)*mod(floor(N/%d),2)" % (bit, 2 ** bit) for bit in range(12))
    return ["-f", "lavfi", "-i", "color=black:size=24x8:rate=%s:duration=%s,format=gray,geq=lum='%s'" % (
        rate, seconds, bars)]


def number(frame):
    """The number that a frame of `numbered` shows, in any size."""
    row, columns = frame[len(frame) // 2, :, 0], (np.arange(12) + .5) * frame.shape[1] / 12
    return sum(int(level > 127) << bit for bit, level in enumerate(row[columns.astype(int)]))


def tone(seconds, frequency=440, rate=48000):
    """ffmpeg's arguments for a tone."""
    return ["-f", "lavfi", "-i", "sine=frequency=%s:duration=%s:sample_rate=%d" % (frequency, seconds, rate)]
