"""Log-mel patches of sound, the input of VGGish, as in MediaPipe's YouTube-8M extractor.

A patch is the log-mel spectrogram of .975 s: 96 windows of 25 ms, one every 10 ms, in 64 bands. There is one patch per
second. The front end of tensorflow/models computes the same numbers, but drops the incomplete patch at the end.
"""
import math

import numpy as np
from scipy import sparse

RATE = 16000  # samples per second
WINDOW, STEP, FFT = 400, 160, 512  # samples
BANDS, LOWEST, HIGHEST = 64, 125.0, 7500.0  # Hz
OFFSET = np.float32(.01)  # added before the logarithm
PATCH, PATCH_STEP = 96, 100  # windows
PATCH_SAMPLES = (PATCH - 1) * STEP + WINDOW


def hann():
    """The periodic Hann window, float64 [WINDOW]."""
    return 0.5 - 0.5 * np.cos(2 * np.pi / WINDOW * np.arange(WINDOW))


def mel_weights():
    """float64 [FFT / 2 + 1, BANDS]: the share of each frequency in each band, triangles on HTK's mel scale."""
    def mel(hertz):
        return 1127.0 * np.log(1.0 + hertz / 700.0)

    bins = np.arange(FFT // 2 + 1) * (RATE / FFT)
    edges = np.linspace(mel(LOWEST), mel(HIGHEST), BANDS + 2)
    position = mel(bins)[:, np.newaxis]
    rising = (position - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - position) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling))


# Sparse, as a frequency is in two bands at most, and because products of dense matrices could hang: before Python 3.10
# a program is started by a fork, and OpenBLAS, which NumPy uses, may wait for ever if one thread forks while another
# computes.
_HANN, _MEL_WEIGHTS = hann(), sparse.csr_matrix(mel_weights().T)


def num_windows(num_samples):
    """Number of windows of a sound whose last ones are filled up with zeros."""
    return 0 if not num_samples else max(1, (num_samples + STEP - 1 - WINDOW) // STEP + 1)


def num_patches(num_samples):
    """Number of patches of a sound, with the incomplete one at its end."""
    return math.ceil(num_windows(num_samples) / PATCH_STEP)


def log_mel(samples):
    """float32 [n, windows, BANDS] of samples [n, samples] at RATE, of whole windows."""
    count = (samples.shape[1] - WINDOW) // STEP + 1
    samples = np.ascontiguousarray(samples, np.float64)
    windows = np.lib.stride_tricks.as_strided(
        samples, (len(samples), count, WINDOW), (samples.strides[0], samples.strides[1] * STEP, samples.strides[1]))
    spectrum = np.fft.rfft(windows * _HANN, FFT)
    squared = (spectrum.real ** 2 + spectrum.imag ** 2).astype(np.float32)
    magnitudes = np.sqrt(squared.astype(np.float64)).reshape(-1, FFT // 2 + 1)
    mel = (_MEL_WEIGHTS @ magnitudes.T).T.reshape(len(samples), count, BANDS)
    return np.log(mel.astype(np.float32) + OFFSET)


def last_patch(samples):
    """float32 [PATCH, BANDS] of the last samples [samples] of a sound.

    Zeros follow the windows that are there: MediaPipe pads the logarithms.
    """
    count = min(PATCH, num_windows(len(samples)))
    padded = np.zeros((1, (count - 1) * STEP + WINDOW), np.float32)
    padded[0, :len(samples)] = samples[:padded.shape[1]]
    return np.concatenate([log_mel(padded)[0], np.zeros((PATCH - count, BANDS), np.float32)])


class Patches(object):
    """The patches of a sound whose samples come in blocks.

    Memory: a block.

    Attributes:
      num_samples: number of samples so far.
      count: number of patches so far.
    """

    def __init__(self):
        self._rest, self.num_samples, self.count = np.zeros(0, np.float32), 0, 0  # _rest begins at the next patch

    def feed(self, samples):
        """float32 [patches, PATCH, BANDS]: the patches that are whole after further samples, float32 [samples]."""
        self.num_samples += len(samples)
        self._rest = np.concatenate([self._rest, samples])
        if len(self._rest) < PATCH_STEP * STEP:
            return np.zeros((0, PATCH, BANDS), np.float32)
        count = len(self._rest) // (PATCH_STEP * STEP)
        whole = self._rest[:count * PATCH_STEP * STEP].reshape(count, PATCH_STEP * STEP)
        self._rest = self._rest[whole.size:]
        self.count += count
        return log_mel(whole[:, :PATCH_SAMPLES])

    def finish(self, num_samples=0):
        """Yields the patches of what is left; a sound of less than `num_samples` is first filled up with silence."""
        missing = max(0, num_samples - self.num_samples)
        rest = np.concatenate([self._rest, np.zeros(missing, np.float32)])
        left = num_patches(self.num_samples + missing) - self.count
        for start in range(0, left * PATCH_STEP * STEP, PATCH_STEP * STEP):
            self.count += 1
            yield last_patch(rest[start:])


def silence():
    """The patch of a second of silence, float32 [PATCH, BANDS]."""
    return np.full((PATCH, BANDS), np.log(OFFSET), np.float32)
