"""PCA and whitening, from the files of MediaPipe, of google/youtube-8m, or of tensorflow/models."""
import io

import numpy as np

from src.common.errors import InputError
from src.features import published

_EPSILON = 1e-4  # added to the eigenvalues, as in google/youtube-8m
_ROWS, _COLUMNS, _DATA, _LAYOUT = 1, 2, 3, 4  # fields of mediapipe.MatrixData
_VARINT, _BYTES, _FLOAT = 0, 2, 5  # kinds of fields


class Projection(object):
    """x -> matrix (x - mean).

    Args:
      mean: [inputs].
      matrix: [outputs, inputs].
    """

    def __init__(self, mean, matrix):
        self._mean, self._matrix = mean.astype(np.float32), np.ascontiguousarray(matrix, np.float32)

    def __call__(self, values):
        """float32 [n, outputs] of [n, inputs]; a row does not depend on the others."""
        # np.dot could hang, see log_mel.
        return np.einsum("ij,kj->ik", np.asarray(values, np.float32) - self._mean, self._matrix)


def of_images(folder, inputs=2048, outputs=1024):
    """The Projection of Inception's activations; its files must be in the folder.

    Raises:
      InputError: a file is no such file.
    """
    paths = published.either(folder, [published.IMAGE_MEAN, published.IMAGE_MATRIX], [published.IMAGE_PCA])
    if len(paths) == 2:
        return _of_mediapipe(paths, inputs, outputs)
    # Each row of eigenvecs.npy is an eigenvector; there are more than `outputs`.
    mean, values, vectors = (_checked(_of_npy(path)[:most], path, shape) for path, most, shape in zip(
        paths, (None, outputs, outputs), [(inputs, 1), (outputs, 1), (outputs, inputs)]))
    if values.min() < 0:
        raise InputError("%s holds negative eigenvalues: download it again." % published.shown(paths[1]))
    return Projection(mean[:, 0], vectors / np.sqrt(values.astype(np.float64) + _EPSILON))


def of_sound(folder, size=128):
    """As `of_images`, of VGGish's embeddings."""
    paths = published.either(folder, [published.SOUND_MEAN, published.SOUND_MATRIX], [published.SOUND_PCA])
    if len(paths) == 2:
        return _of_mediapipe(paths, size, size)
    mean, vectors = _of_npz(paths[0], ["pca_means", "pca_eigen_vectors"])
    return Projection(_checked(mean.reshape(-1, 1), paths[0], (size, 1))[:, 0],
                      _checked(vectors, paths[0], (size, size)))


def _of_mediapipe(paths, inputs, outputs):
    mean, matrix = (_checked(matrix_data(published.read(path), path), path, shape) for path, shape in zip(
        paths, [(inputs, 1), (outputs, inputs)]))
    return Projection(mean[:, 0], matrix)


def _checked(values, path, shape):
    """The values, if they are finite floats of a shape.

    Raises:
      InputError: they are not.
    """
    if values.shape != shape or values.dtype.kind != "f":
        raise InputError("%s holds %s %s and not floats %s: download it again." % (
            published.shown(path), values.dtype, list(values.shape), list(shape)))
    if not np.isfinite(values).all():
        raise InputError("%s holds numbers that are not finite: download it again." % published.shown(path))
    return values


def _of_npy(path):
    content = published.read(path)
    try:
        return np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        raise InputError("%s is no .npy file: download it again." % published.shown(path))


def _of_npz(path, names):
    content = published.read(path)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            return [found[name] for name in names]
    except Exception:  # pylint: disable=broad-except
        raise InputError("%s is no .npz with %s: download it again." % (published.shown(path), " and ".join(names)))


def matrix_data(content, shown):
    """The matrix in a mediapipe.MatrixData message, float32 [rows, columns].

    Args:
      content: bytes.
      shown: path, for the error.

    Raises:
      InputError: they are none.
    """
    fields, parts = {_LAYOUT: 0}, []
    try:
        for number, value in _fields(memoryview(content)):
            if number == _DATA:
                parts.append(value)
            else:
                fields[number] = value
        values = np.frombuffer(b"".join(parts), "<f4")
        rows, columns = int(fields[_ROWS]), int(fields[_COLUMNS])
        return values.reshape(rows, columns) if fields[_LAYOUT] else values.reshape(columns, rows).T
    except (IndexError, KeyError, TypeError, ValueError):
        raise InputError("%s is no matrix of MediaPipe's (mediapipe.MatrixData): download it again." % shown)


def _fields(content):
    """Yields (number, int or bytes) of the fields of a protocol buffer of varints, bytes and floats."""
    position = 0

    def varint():
        nonlocal position
        value = shift = 0
        while True:
            byte = content[position]
            position, value, shift = position + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError

    while position < len(content):
        key = varint()
        kind, size = key & 7, 4
        if kind == _VARINT:
            yield key >> 3, varint()
            continue
        if kind == _BYTES:
            size = varint()
        elif kind != _FLOAT:
            raise ValueError
        if position + size > len(content):
            raise ValueError
        yield key >> 3, bytes(content[position:position + size])
        position += size
