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
    upper, lower = (_between(rows[:, left], rows[:, right], across[:, np.newaxis]) for rows in (
        frame[top], frame[bottom]))
    return _between(upper, lower, down[:, np.newaxis, np.newaxis])


def _between(first, second, share):
    """first + (second - first) * share, with as few copies as possible."""
    first, result = first.astype(np.float32, copy=False), second.astype(np.float32)
    result -= first
    result *= share
    result += first
    return result
