"""The two published checks of the networks: values that Google's own tests expect."""
import io
import os
import pickle
import typing

import numpy as np

from src.common.errors import InputError
from src.features import log_mel
from src.features import published

# google/youtube-8m feature_extractor/feature_extractor_test.py: a frame's activations before and after the PCA.
FRAME = "https://github.com/google/youtube-8m/raw/master/feature_extractor/testdata/sports1m_frame.pkl"
MOST_DIFFERENCE = 1e-3  # relative, on average
# tensorflow/models research/audioset/vggish/vggish_smoke_test.py: 3 s of 1 kHz, patches that follow each other.
EMBEDDING, BYTES = (.000657, .343), (126.0, 89.3)  # mean and standard deviation
TOLERANCE = .1  # of each, relative


class Check(typing.NamedTuple):
    """The outcome of a check."""
    name: str
    passed: bool  # None: it cannot be made
    found: str  # in words


def run(networks, folder):
    """List of the Checks of `networks.Networks`; the folder may hold the file FRAME."""
    return [_check_image_pca(networks, folder)] + _check_sound(networks)


def _check_image_pca(networks, folder):
    name, path = "image PCA", published.find(folder, os.path.basename(FRAME))
    if not path:
        return Check(name, None, "not checked: download %s into %s" % (FRAME, folder))
    before, expected = _read_frame(path)
    found = networks.projection["rgb"](before[np.newaxis])[0]
    # As in Google's test: differences of numbers near 0 do not count.
    difference = np.mean(np.abs(found - expected) / (.01 + np.maximum(np.abs(found), np.abs(expected))))
    return Check(name, bool(difference < MOST_DIFFERENCE), "a frame's features differ from the published ones by %.2g "
                 "on average, relative; below %g is right" % (difference, MOST_DIFFERENCE))


def _check_sound(networks):
    tone = np.sin(2 * np.pi * 1000 * np.arange(3 * log_mel.RATE) / log_mel.RATE)
    patch = log_mel.PATCH * log_mel.STEP
    count = (len(tone) - log_mel.PATCH_SAMPLES) // patch + 1
    patches = np.concatenate([log_mel.log_mel(tone[np.newaxis, first:first + log_mel.PATCH_SAMPLES])
                              for first in range(0, count * patch, patch)])
    embedding = networks.network["audio"](patches)
    # Google's own postprocessing: truncated bytes.
    quantized = ((np.clip(networks.projection["audio"](embedding), -2, 2) + 2) * (255 / 4.)).astype(np.uint8)
    return [_compared("VGGish", embedding, EMBEDDING), _compared("sound PCA", quantized, BYTES)]


def _compared(name, values, expected):
    found = float(np.mean(values)), float(np.std(values))
    passed = all(abs(one - other) <= TOLERANCE * abs(other) for one, other in zip(found, expected))
    return Check(name, passed, "a tone of 1 kHz gives mean %.3g and standard deviation %.3g; within %d %% of %g and %g "
                 "is right" % (found + (100 * TOLERANCE,) + expected))


class _Unpickler(pickle.Unpickler):
    """Reads arrays, and nothing that could run code."""

    def find_class(self, module, name):
        if (module, name) == ("_codecs", "encode"):
            return lambda text, encoding: text.encode(encoding)
        if module.startswith("numpy") and name in _ARRAYS:
            return _ARRAYS[name]
        raise pickle.UnpicklingError(name)


_ARRAYS = {"_reconstruct": np.zeros(0).__reduce__()[0], "ndarray": np.ndarray, "dtype": np.dtype}


def _read_frame(path):
    """Activations [2048] and features [1024] of FRAME.

    Raises:
      InputError: the file holds something else.
    """
    content = published.read(path)
    try:
        found = _Unpickler(io.BytesIO(content), encoding="latin1").load()
        before, after = (np.asarray(found[name], np.float64).reshape(size) for name, size in (
            ("original", 2048), ("pca", 1024)))
    except Exception:  # pylint: disable=broad-except
        raise InputError("%s is no pickle of the arrays original [2048] and pca [1024]: download it again." % path)
    return before, after
