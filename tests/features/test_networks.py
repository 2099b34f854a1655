"""The networks in a folder: what they compute, and what is said of files that are others."""
import os
import pickle
import re
import tarfile

import numpy as np
import pytest
import tensorflow as tf

from src.common.errors import InputError
from src.features import checks
from src.features import networks
from src.features import published
from src.features import resize
from src.features import vggish
from tests.features import stand_ins

tf1 = tf.compat.v1
RANDOM = np.random.RandomState(4)


@pytest.fixture(name="folder")
def links_to_networks(tmp_path, networks_dir):
    """A folder with links to the stand-ins, some of which a test replaces."""
    for name in os.listdir(networks_dir):
        os.symlink(os.path.join(networks_dir, name), str(tmp_path / name))
    return tmp_path


def replace(folder, name, content):
    os.remove(str(folder / name))
    if content is not None:
        (folder / name).write_bytes(content)


def sentence(folder):
    with pytest.raises(InputError) as caught:
        with networks.opened(str(folder)):
            pass
    return str(caught.value)


def test_a_batch_has_the_activations_that_google_s_feeding_gives_one_by_one(opened, networks_dir):
    frames = RANDOM.randint(0, 256, (3, 36, 64, 3)).astype(np.uint8)
    definition = tf1.GraphDef.FromString(published.read(os.path.join(networks_dir, "classify_image_graph_def.pb")))
    tf1.import_graph_def(definition, name="")
    with tf1.Session() as session:
        one_by_one = [session.run("pool_3/_reshape:0", {"DecodeJpeg:0": frame})[0] for frame in frames]
    found = opened.network["rgb"](np.stack([resize.resize(frame) for frame in frames]))
    assert found.shape == (3, 2048)
    np.testing.assert_allclose(found, one_by_one, rtol=1e-6, atol=1e-6)


def convolved(inputs, weights, biases):
    """A 3 x 3 convolution with SAME padding and a ReLU, in NumPy."""
    padded = np.pad(inputs, [(0, 0), (1, 1), (1, 1), (0, 0)], "constant")
    height, width = inputs.shape[1:3]
    parts = [padded[:, row:row + height, column:column + width] @ weights[row, column]
             for row in range(3) for column in range(3)]
    return np.maximum(0, sum(parts) + biases)


def embedding(patches):
    """VGGish's formula."""
    net, variables = patches[..., np.newaxis].astype(np.float64), stand_ins.vggish_variables()
    for scope, _ in stand_ins.WIDTHS:
        weights, biases = variables["vggish/%s/weights" % scope], variables["vggish/%s/biases" % scope]
        if scope.startswith("conv"):
            net = convolved(net, weights, biases)
            if scope not in ("conv3/conv3_1", "conv4/conv4_1"):
                count, height, width, depth = net.shape
                net = net.reshape(count, height // 2, 2, width // 2, 2, depth).max(axis=(2, 4))
        else:
            net = np.dot(net.reshape(len(net), -1), weights) + biases
            net = np.maximum(0, net) if scope != "fc2" else net
    return net


def test_vggish_is_its_formula_without_the_last_relu(opened):
    patches = RANDOM.randn(3, 96, 64).astype(np.float32)
    expected = embedding(patches)
    assert (expected < -.1).any()
    found = opened.network["audio"](patches)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(opened.network["audio"](patches[1:2]), found[1:2])


def test_a_frozen_vggish_is_taken_too(tmp_path):
    weights = RANDOM.randn(96 * 64, 128).astype(np.float32)
    with tf.Graph().as_default() as graph:
        patches = tf1.placeholder(tf.float32, [None, 96, 64], "vggish/input_features")
        tf.nn.bias_add(tf.matmul(tf.reshape(patches, [-1, 96 * 64]), weights), np.ones(128, np.float32),
                       name="vggish/fc2/BiasAdd")
        (tmp_path / "vggish_new.pb").write_bytes(graph.as_graph_def().SerializeToString())
    network = vggish.load(str(tmp_path))
    inputs = RANDOM.randn(2, 96, 64).astype(np.float32)
    np.testing.assert_allclose(network(inputs), inputs.reshape(2, -1).dot(weights) + 1, rtol=0, atol=1e-3)
    network.close()


def test_the_graph_may_be_in_its_archive(folder, opened):
    with tarfile.open(str(folder / "inception-2015-12-05.tgz"), "w:gz") as archive:
        archive.add(os.path.realpath(str(folder / "classify_image_graph_def.pb")), "classify_image_graph_def.pb")
    os.remove(str(folder / "classify_image_graph_def.pb"))
    frame = RANDOM.rand(1, 299, 299, 3).astype(np.float32)
    with networks.opened(str(folder)) as found:
        np.testing.assert_array_equal(found.network["rgb"](frame), opened.network["rgb"](frame))


@pytest.mark.parametrize("content, words", [
    (b"hello", "is no TensorFlow graph|is another graph, without the node ResizeBilinear"),
    (b"", "is another graph, without the node ResizeBilinear"),
    (stand_ins.inception(leave_out=["pool_3", "pool_3/_reshape"]), "is another graph, without the node pool_3"),
    (stand_ins.inception(leave_out=["conv"]), "is a graph that TensorFlow .* does not take"),
    (stand_ins.inception(width=100), "gives 100 numbers of type float32 and not 2048 floats"),
    (stand_ins.inception(bad=True), "gives numbers that are not finite")],
    ids=["text", "empty", "node", "gap", "width", "NaN"])
def test_a_wrong_graph_is_named(folder, content, words):
    replace(folder, "classify_image_graph_def.pb", content)
    found = sentence(folder)
    assert found.startswith(str(folder / "classify_image_graph_def.pb")) and found.endswith(": download it again.")
    assert re.search(words, found)


def checkpoint(folder, change):
    variables = stand_ins.vggish_variables()
    change(variables)
    os.remove(str(folder / "vggish_model.ckpt"))
    stand_ins.write_checkpoint(folder / "vggish_model.ckpt", variables)


def test_a_wrong_checkpoint_is_named(folder):
    path = str(folder / "vggish_model.ckpt")
    checkpoint(folder, lambda variables: variables.pop("vggish/conv2/biases"))
    assert sentence(folder) == path + (
        " is not VGGish: its layer vggish/conv2 has weights [3, 3, 2, 3] and biases None, not [3, 3, 2, n] and [n]: "
        "download it again.")
    checkpoint(folder, lambda variables: variables.update({"vggish/fc1/fc1_1/weights": np.ones((12, 7), "f4")}))
    assert "its layer vggish/fc1/fc1_1 has weights [12, 7] and biases [7], not [120, n] and [n]" in sentence(folder)
    checkpoint(folder, lambda variables: variables.update({
        "vggish/fc2/weights": np.ones((6, 10), "f4"), "vggish/fc2/biases": np.ones(10, "f4")}))
    assert sentence(folder) == path + " gives 10 numbers of type float32 and not 128 floats: download it again."
    checkpoint(folder, lambda variables: variables["vggish/fc2/biases"].fill(np.inf))
    assert sentence(folder) == path + " gives numbers that are not finite: download it again."


@pytest.mark.parametrize("part", [0, .5, .98])
def test_a_checkpoint_that_was_not_downloaded_to_its_end_is_named(folder, networks_dir, part):
    with open(os.path.join(networks_dir, "vggish_model.ckpt"), "rb") as stream:
        content = stream.read()
    replace(folder, "vggish_model.ckpt", content[:int(part * len(content))])
    assert re.fullmatch(r".*vggish_model.ckpt (is no checkpoint|cannot be restored) \(.*\): download it again.",
                        sentence(folder))


def test_each_missing_file_is_named_with_its_address(tmp_path, caplog):
    (tmp_path / "inception3_mean_matrix_data.pb").write_bytes(b"")
    caplog.set_level("INFO", "yt8m")
    assert sentence(tmp_path) == (
        "--networks_dir=%s lacks 5 of the networks' files: download what the lines above name." % tmp_path)
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == (
        "classify_image_graph_def.pb is missing: download http://download.tensorflow.org/models/image/imagenet/"
        "inception-2015-12-05.tgz (89 MB) into %s" % tmp_path)
    assert lines[1] == (
        "inception3_projection_matrix_data.pb is missing: download http://data.yt8m.org/pca_matrix_data/"
        "inception3_projection_matrix_data.pb (8.4 MB) into %s, or http://data.yt8m.org/yt8m_pca.tgz (15 to 25 MB)"
        % tmp_path)
    assert [line.split()[0] for line in lines[2:]] == [
        "vggish_model.ckpt", "vggish_mean_matrix_data.pb", "vggish_projection_matrix_data.pb"]


def outcomes(opened, folder):
    return [(check.name, check.passed) for check in checks.run(opened, str(folder))]


def test_the_published_values_are_compared(tmp_path, opened, monkeypatch):
    assert outcomes(opened, tmp_path) == [("image PCA", None), ("VGGish", False), ("sound PCA", False)]
    frame = {"original": np.abs(RANDOM.randn(2048))}
    frame["pca"] = opened.projection["rgb"](frame["original"][np.newaxis])[0].astype(np.float64)
    path = tmp_path / "sports1m_frame.pkl"
    for protocol in 0, 2:
        path.write_bytes(pickle.dumps(frame, protocol))
        assert outcomes(opened, tmp_path)[0] == ("image PCA", True)
    path.write_bytes(pickle.dumps(dict(frame, pca=frame["pca"] * 1.01), 2))
    found, *_ = checks.run(opened, str(tmp_path))
    assert not found.passed and "differ from the published ones by 0.009" in found.found
    # 3 s of a tone are three patches in a row, each with the published mean and deviation.
    values = np.where(np.arange(128) % 2, .000657 + .343, .000657 - .343)

    def embed(patches):
        assert patches.shape == (3, 96, 64) and abs(patches - patches[0]).max() < 1
        return np.tile(values, (3, 1)).astype(np.float32)

    levels = (np.where(np.arange(128) % 2, 126 + 89.3, 126 - 89.3) + .5) * (4 / 255.) - 2
    stand_in = networks.Networks(dict(opened.network, audio=embed), dict(
        opened.projection, audio=lambda embedding: np.tile(levels, (len(embedding), 1))))
    assert outcomes(stand_in, tmp_path)[1:] == [("VGGish", True), ("sound PCA", True)]


@pytest.mark.parametrize("content", [b"", b"hello", pickle.dumps({"original": 1}), pickle.dumps(os.getcwd)],
                         ids=["empty", "text", "number", "code"])
def test_a_file_that_is_no_published_frame_is_named(tmp_path, opened, content):
    (tmp_path / "sports1m_frame.pkl").write_bytes(content)
    with pytest.raises(InputError, match=r"sports1m_frame.pkl is no pickle of the arrays original \[2048\] and pca"):
        checks.run(opened, str(tmp_path))


def test_the_published_frame_fits_no_other_pca(tmp_path, opened):
    shared = os.path.join(os.path.dirname(__file__), "..", "..", "..", "shared")
    path = os.path.join(shared, "extract", "golden", "sports1m_frame.npz")
    if not os.path.exists(path):
        pytest.skip("sports1m_frame.npz is not in ../shared/extract/golden")
    with np.load(path) as frame:
        (tmp_path / "sports1m_frame.pkl").write_bytes(pickle.dumps(dict(frame), 2))
    assert outcomes(opened, tmp_path)[0] == ("image PCA", False)
