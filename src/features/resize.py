"""TensorFlow's legacy bilinear resize, in NumPy and bit by bit the same.

The Inception graph begins with it. It neither smooths before it shrinks nor keeps the aspect ratio. Here a frame is
resized before it waits for its batch, so that frames of any size wait in little memory, in one batch.
"""
import functools

import numpy as np

SIZE = 299  # pixels, of both sides


@functools.lru_cache(maxsize=64)
def _axis(length):
    """Positions below and above, and float32 shares of those above, for SIZE pixels along an axis of `length`."""
    exact = np.arange(SIZE, dtype=np.float32) * (np.float32(length) / np.float32(SIZE))
    below = np.minimum(np.floor(exact).astype(np.int64), length - 1)
    return below, np.minimum(below + 1, length - 1), exact - below.astype(np.float32)


def resize(frame):
    """uint8 [height, width, 3] -> float32 [SIZE, SIZE, 3]."""
    top, bottom, down = _axis(frame.shape[0])
    left, right, across = _axis(frame.shape[1])
    across = np.repeat(across, 3)
    upper, lower = (_between(rows.take(left, axis=1), rows.take(right, axis=1), across) for rows in (
        frame[top], frame[bottom]))
    return _between(upper, lower, down[:, np.newaxis]).reshape(SIZE, SIZE, 3)


def _between(first, second, share):
    """float32 [SIZE, values]: first + (second - first) * share, of two arrays of as many values."""
    first, result = (values.reshape(SIZE, -1).astype(np.float32) for values in (first, second))
    result -= first
    result *= share
    result += first
    return result
