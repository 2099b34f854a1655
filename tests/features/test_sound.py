"""Sound becomes the patches of MediaPipe's extractor and of tensorflow/models, whatever blocks it comes in."""
import numpy as np
import pytest

from src.features import log_mel
from src.features import resampling
from tests.features import signals

NAMES = ["sine", "chirp", "noise", "silence"]


def blocks(samples, size):
    return [samples[start:start + size] for start in range(0, len(samples), size)]


def patches_of(parts, num_samples=0):
    patches = log_mel.Patches()
    found = [patch for part in parts for patch in patches.feed(part)] + list(patches.finish(num_samples))
    assert patches.count == len(found)
    return np.array(found).reshape(-1, log_mel.PATCH, log_mel.BANDS)


def resampled(samples, rate, size):
    resampler = resampling.Resampler(rate)
    return [resampler.feed(part) for part in blocks(samples, size)] + [resampler.finish()]


@pytest.mark.parametrize("size", [1000, 16000, 40001])
@pytest.mark.parametrize("name", NAMES)
def test_patches_are_those_of_mediapipe(name, size):
    samples = signals.signals(log_mel.RATE, 3.3)[name].astype(np.float32)
    np.testing.assert_allclose(patches_of(blocks(samples, size)),
                               signals.golden("mediapipe_16k")[name + "_patches"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_front_end_of_tensorflow_models_gives_the_same_without_the_last(name):
    samples = signals.signals(log_mel.RATE, 3.3)[name].astype(np.float32)
    expected = signals.golden("vggish_16k")[name + "_examples_hop100"]
    np.testing.assert_allclose(patches_of([samples])[:len(expected)], expected, rtol=0, atol=1e-5)


def test_the_filter_bank_and_the_window_are_those_of_mediapipe():
    expected = signals.golden("filterbank")
    np.testing.assert_allclose(log_mel.mel_weights(), expected["mel_weights"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(log_mel.hann(), expected["hann"], rtol=0, atol=1e-12)


def test_each_length_has_as_many_patches_as_in_mediapipe():
    for samples, windows, patches, _ in signals.golden("lengths")["rows"].tolist():
        assert (log_mel.num_windows(samples), log_mel.num_patches(samples)) == (windows, patches)
        if samples < 200000:
            assert len(patches_of([np.zeros(samples, np.float32)])) == patches
    assert log_mel.num_patches(0) == 0


def test_a_sound_that_ends_early_is_filled_up_with_silence():
    samples = signals.signals(log_mel.RATE, 3.3)["noise"].astype(np.float32)
    filled = np.concatenate([samples, np.zeros(5 * log_mel.RATE - len(samples), np.float32)])
    np.testing.assert_array_equal(patches_of([samples], 5 * log_mel.RATE), patches_of([filled]))
    np.testing.assert_array_equal(patches_of([samples], 5 * log_mel.RATE)[4], log_mel.silence())
    np.testing.assert_array_equal(patches_of([samples], 1000), patches_of([samples]))


@pytest.mark.parametrize("size", [777, 10 ** 6])
@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_resampling_is_that_of_mediapipe(rate, size):
    expected = signals.golden("mediapipe_resampled")
    parts = resampled(signals.stereo(rate), rate, size)
    np.testing.assert_allclose(np.concatenate(parts), expected["resampled_%d" % rate], rtol=0, atol=1e-5)
    np.testing.assert_allclose(patches_of(parts), expected["patches_%d" % rate], rtol=0, atol=1e-3)


@pytest.mark.parametrize("rate", [1000, 11025, 16001, 44056, 96000, 768000])
def test_blocks_make_no_difference(rate):
    samples = np.random.RandomState(0).randn(3 * rate // 7).astype(np.float32)
    whole, parts = (np.concatenate(resampled(samples, rate, size)) for size in (len(samples), 1013))
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-6)
    assert 0 <= len(whole) - len(samples) * 16000. / rate <= 5 * max(1, 16000. / rate) + 2


def test_sound_at_16_khz_stays_as_it_is():
    samples = np.random.RandomState(0).randn(1000).astype(np.float32)
    np.testing.assert_array_equal(np.concatenate(resampled(samples, 16000, 300)), samples)
