"""PCA and whitening, from each kind of file."""
import io
import os
import tarfile

import numpy as np
import pytest

from src.common.errors import InputError
from src.features import projection
from tests.features import stand_ins

RANDOM = np.random.RandomState(1)


def save(folder, name, content):
    with open(os.path.join(str(folder), name), "wb") as stream:
        stream.write(content)


def npy(values):
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


@pytest.fixture(scope="module", name="pca")
def pca_of_two_kinds():
    """mean [2048], eigenvalues [2048], eigenvectors [2048, 2048] in rows, and x -> features in float64."""
    mean, values = RANDOM.rand(2048), np.sort(RANDOM.gamma(1, .05, 2048))[::-1]
    vectors = RANDOM.randn(2048, 2048) / 45
    inputs = np.abs(RANDOM.randn(3, 2048)) * .5
    expected = (inputs - mean).dot(vectors.T[:, :1024]) / np.sqrt(values[:1024] + 1e-4)  # as google/youtube-8m
    return mean, values, vectors, inputs, expected


@pytest.mark.parametrize("row_major", [False, True])
def test_matrices_of_mediapipe(tmp_path, pca, row_major):
    mean, values, vectors, inputs, expected = pca
    matrix = vectors[:1024] / np.sqrt(values[:1024] + 1e-4)[:, np.newaxis]
    save(tmp_path, "inception3_mean_matrix_data.pb", stand_ins.matrix_data(mean[:, np.newaxis], row_major))
    save(tmp_path, "inception3_projection_matrix_data.pb", stand_ins.matrix_data(matrix, row_major))
    np.testing.assert_allclose(projection.of_images(str(tmp_path))(inputs), expected, rtol=0, atol=3e-5)


@pytest.mark.parametrize("packed", [False, True])
def test_arrays_of_youtube_8m(tmp_path, pca, packed):
    mean, values, vectors, inputs, expected = pca
    contents = {"mean.npy": npy(mean[:, np.newaxis]), "eigenvals.npy": npy(values[:, np.newaxis]),
                "eigenvecs.npy": npy(vectors[:1100].astype("f4"))}
    if packed:
        with tarfile.open(str(tmp_path / "yt8m_pca.tgz"), "w:gz", compresslevel=1) as archive:
            for name, content in contents.items():
                member = tarfile.TarInfo("./" + name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    else:
        (tmp_path / "pca").mkdir()
        for name, content in contents.items():
            save(tmp_path / "pca", name, content)
    np.testing.assert_allclose(projection.of_images(str(tmp_path))(inputs), expected, rtol=0, atol=3e-5)


def test_sound_from_both_kinds_of_files(tmp_path):
    mean, vectors, inputs = RANDOM.rand(128), RANDOM.randn(128, 128), RANDOM.randn(2, 128)
    expected = (inputs - mean).dot(vectors.T)
    np.savez(str(tmp_path / "vggish_pca_params.npz"), pca_means=mean, pca_eigen_vectors=vectors)
    np.testing.assert_allclose(projection.of_sound(str(tmp_path))(inputs), expected, rtol=0, atol=1e-4)
    save(tmp_path, "vggish_mean_matrix_data.pb", stand_ins.matrix_data(mean[:, np.newaxis]))
    save(tmp_path, "vggish_projection_matrix_data.pb", stand_ins.matrix_data(2 * vectors))
    np.testing.assert_allclose(projection.of_sound(str(tmp_path))(inputs), 2 * expected, rtol=0, atol=2e-4)


GOOD = stand_ins.matrix_data(np.ones((128, 1)))


@pytest.mark.parametrize("content, sentence", [
    (b"hello", "is no matrix of MediaPipe's"), (b"", "is no matrix of MediaPipe's"),
    (GOOD[:-1], "is no matrix of MediaPipe's"), (b"\xff" * 20, "is no matrix of MediaPipe's"),
    (stand_ins.matrix_data(np.ones((1, 128))), r"holds float32 \[1, 128\] and not floats \[128, 1\]"),
    (stand_ins.matrix_data(np.full((128, 1), np.nan)), "holds numbers that are not finite")],
    ids=["text", "empty", "cut", "bytes", "transposed", "NaN"])
def test_a_wrong_matrix_is_named(tmp_path, content, sentence):
    save(tmp_path, "vggish_mean_matrix_data.pb", content)
    save(tmp_path, "vggish_projection_matrix_data.pb", stand_ins.matrix_data(np.eye(128)))
    with pytest.raises(InputError, match="vggish_mean_matrix_data.pb %s.*: download it again.$" % sentence):
        projection.of_sound(str(tmp_path))


@pytest.mark.parametrize("name, content, sentence", [
    ("mean.npy", b"hello", "is no .npy file"), ("mean.npy", npy(np.array(["a"], object)), "is no .npy file"),
    ("mean.npy", npy(np.ones(2048)), r"holds float64 \[2048\] and not floats \[2048, 1\]"),
    ("eigenvals.npy", npy(-np.ones((2048, 1))), "holds negative eigenvalues"),
    ("eigenvecs.npy", npy(np.ones((1024, 1024))), r"holds float64 \[1024, 1024\] and not floats \[1024, 2048\]"),
    ("eigenvecs.npy", npy(np.ones((1024, 2049))), r"holds float64 \[1024, 2049\] and not")],
    ids=["text", "pickle", "vector", "negative", "small", "wide"])
def test_a_wrong_array_is_named(tmp_path, name, content, sentence):
    for each, shape in ("mean.npy", (2048, 1)), ("eigenvals.npy", (2048, 1)), ("eigenvecs.npy", (1024, 2048)):
        save(tmp_path, each, npy(np.ones(shape, np.float32)))
    save(tmp_path, name, content)
    with pytest.raises(InputError, match="%s %s" % (name, sentence)):
        projection.of_images(str(tmp_path))


def test_a_damaged_archive_is_named(tmp_path):
    save(tmp_path, "yt8m_pca.tgz", b"\x1f\x8bhello")
    with pytest.raises(InputError, match="yt8m_pca.tgz is damaged or no tgz: download it again."):
        projection.of_images(str(tmp_path))
    with tarfile.open(str(tmp_path / "yt8m_pca.tgz"), "w:gz"):
        pass
    with pytest.raises(InputError, match="yt8m_pca.tgz holds no mean.npy: download it again."):
        projection.of_images(str(tmp_path))


def test_wrong_parameters_of_vggish_are_named(tmp_path):
    path = str(tmp_path / "vggish_pca_params.npz")
    np.savez(path, pca_means=np.ones(128))
    with pytest.raises(InputError, match="is no .npz with pca_means and pca_eigen_vectors: download it again."):
        projection.of_sound(str(tmp_path))
    np.savez(path, pca_means=np.ones(100), pca_eigen_vectors=np.ones((128, 128)))
    with pytest.raises(InputError, match=r"params.npz holds float64 \[100, 1\] and not floats \[128, 1\]: download it"):
        projection.of_sound(str(tmp_path))
