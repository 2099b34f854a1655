"""Any sample rate -> 16 kHz, with the filter of MediaPipe's resampler (QResampler of google/multichannel-audio-tools).

VGGish is sensitive to the filter: ffmpeg's and resampy's let frequencies pass that this one suppresses.
"""
import fractions
import math

import numpy as np
from scipy import signal

from src.features import log_mel

LOWEST, HIGHEST = 1000, 768000  # rates, samples per second
_RADIUS, _CUTOFF, _BETA, _MAX_DENOMINATOR = 5.0, 0.9, 6.0, 2000


class Resampler(object):
    """Resamples a sound that comes in blocks.

    Sample m of the output is the sum over n of x[n] h(m * rate / 16000 - n), where h is a sinc under a Kaiser window.

    Args:
      rate: samples per second of the input, LOWEST..HIGHEST.
    """

    def __init__(self, rate):
        ratio = fractions.Fraction(rate, log_mel.RATE).limit_denominator(_MAX_DENOMINATOR)
        self._is_same = ratio == 1
        self._step, self._phases = ratio.numerator, ratio.denominator  # inputs, outputs of a round of the filter
        larger = max(1.0, rate / log_mel.RATE)
        self._radius = int(math.ceil(_RADIUS * larger))
        self._filter = self._padded(_kernel(np.arange(-self._radius * self._phases, (self._radius + 1) * self._phases)
                                            / self._phases, larger))
        self._waiting = np.zeros(self._radius, np.float32)  # begins _radius samples before the next round
        self._num_inputs = self._num_outputs = 0

    def _padded(self, kernel):
        """The kernel with zeros before it, so that its middle falls on an output."""
        self._first = -(-2 * self._radius * self._phases // self._step)
        return np.concatenate([np.zeros(self._first * self._step - 2 * self._radius * self._phases), kernel]).astype(
            np.float32)

    def feed(self, samples):
        """The float32 samples at 16 kHz that are known after further samples, float32 [samples]."""
        self._num_inputs += len(samples)
        if self._is_same:
            return samples
        self._waiting = np.concatenate([self._waiting, samples])
        filtered = self._filtered((len(self._waiting) - 2 * self._radius) // self._step)
        self._num_outputs += len(filtered)
        return filtered

    def finish(self):
        """The last samples, of which the filter sees zeros after the end."""
        if self._is_same:
            return np.zeros(0, np.float32)
        total = -(-(self._num_inputs + self._radius) * self._phases // self._step)
        rounds = -(-(total - self._num_outputs) // self._phases)
        missing = max(0, rounds * self._step + 2 * self._radius - len(self._waiting))
        self._waiting = np.concatenate([self._waiting, np.zeros(missing, np.float32)])
        return self._filtered(rounds)[:total - self._num_outputs]

    def _filtered(self, rounds):
        """The outputs of a number of rounds; drops the inputs that no later round sees."""
        if rounds <= 0:
            return np.zeros(0, np.float32)
        used = self._waiting[:rounds * self._step + 2 * self._radius]
        self._waiting = self._waiting[rounds * self._step:]
        outputs = rounds * self._phases
        return signal.upfirdn(self._filter, used, self._phases, self._step)[self._first:self._first + outputs]


def _kernel(offsets, larger):
    """h at offsets, in input samples; `larger` is the ratio of the rates, at least 1."""
    theta = float(np.float32(_CUTOFF)) / larger
    shares = np.abs(offsets) / (_RADIUS * larger)
    window = np.where(shares <= 1 + 1e-12, np.i0(_BETA * np.sqrt(np.maximum(0.0, 1 - shares ** 2))), 0.0) / np.i0(_BETA)
    return theta * np.sinc(theta * offsets) * window
