"""PCA and whitening, from the files of MediaPipe, of google/youtube-8m, or of tensorflow/models."""
import io

import numpy as np

from src.common.errors import InputError
from src.extraction import published

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
        self._mean, self._matrix = mean.astype(np.float32), np.ascontiguousarray(matrix.T, np.float32)

    def __call__(self, values):
        """float32 [n, outputs] of [n, inputs]."""
        return np.dot(np.asarray(values, np.float32) - self._mean, self._matrix)


def of_images(folder, inputs=2048, outputs=1024):
    """The Projection of Inception's activations; its files must be in the folder.

    Raises:
      InputError: a file is no such file.
    """
    paths = published.either(folder, [published.IMAGE_MEAN, published.IMAGE_MATRIX], [published.IMAGE_PCA])
    if len(paths) == 2:
        return _of_mediapipe(paths, inputs, outputs)
    mean, values, vectors = (_array(_of_npy(path), path, least) for path, least in zip(
        paths, [(inputs, 1), (outputs, 1), (outputs, inputs)]))
    # Each row of eigenvecs.npy is an eigenvector; there are as many as inputs.
    if mean.shape[0] != inputs or vectors.shape[1] != inputs or values.min() < 0:
        raise InputError("%s is not the PCA of google/youtube-8m: download it again." % published.shown(paths[2]))
    scale = np.sqrt(values[:outputs, :1].astype(np.float64) + _EPSILON)
    return Projection(mean[:, 0], vectors[:outputs] / scale)


def of_sound(folder, size=128):
    """As `of_images`, of VGGish's embeddings."""
    paths = published.either(folder, [published.SOUND_MEAN, published.SOUND_MATRIX], [published.SOUND_PCA])
    if len(paths) == 2:
        return _of_mediapipe(paths, size, size)
    path, = paths
    arrays = _of_npz(path, ["pca_means", "pca_eigen_vectors"])
    mean, vectors = arrays[0].reshape(-1), _array(arrays[1], path, (size, size))
    if mean.shape != (size,) or vectors.shape != (size, size) or not np.isfinite(mean).all():
        raise InputError("%s is not VGGish's PCA: download it again." % published.shown(path))
    return Projection(mean, vectors)


def _of_mediapipe(paths, inputs, outputs):
    found = []
    for path, shape in zip(paths, [(inputs, 1), (outputs, inputs)]):
        matrix = _array(matrix_data(published.read(path), published.shown(path)), path, (1, 1))
        if matrix.shape != shape:
            raise InputError("%s is a matrix [%d, %d] and not [%d, %d]: download it again." % (
                (published.shown(path),) + matrix.shape + shape))
        found.append(matrix)
    return Projection(found[0][:, 0], found[1])


def _array(values, path, least):
    """Values, if they are a matrix of at least a shape and finite.

    Raises:
      InputError: they are not.
    """
    if values.ndim != 2 or values.dtype.kind != "f" or values.shape[0] < least[0] or values.shape[1] < least[1]:
        raise InputError("%s has the shape %s and type %s, not floats [%d, %d]: download it again." % (
            (published.shown(path), list(values.shape), values.dtype) + least))
    if not np.isfinite(values).all():
        raise InputError("%s holds numbers that are not finite: download it again." % published.shown(path))
    return values


def _of_npy(path):
    try:
        return np.load(io.BytesIO(published.read(path)), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        raise InputError("%s is no .npy file: download it again." % published.shown(path))


def _of_npz(path, names):
    try:
        with np.load(io.BytesIO(published.read(path)), allow_pickle=False) as found:
            return [found[name] for name in names]
    except InputError:
        raise
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
