"""Films become features whatever their order, batches and decoders are; a bad one ends only itself."""
import collections
import os
import threading

import numpy as np
import pytest

from src.common.errors import InputError
from src.features import decoding
from src.features import extractor
from src.features import ffmpeg
from src.features import log_mel
from src.features import networks
from src.features import resize

FILMS = collections.OrderedDict([("a", 3), ("b", 5), ("c", 1)])  # seconds; c has no sound


def extract(found, names="abc", batching=(32, 2), **options):
    """Extracts films; returns the Report and {name: features}."""
    written = {}
    jobs = [extractor.Job("films/%s.mkv" % name, name) for name in names]
    report = extractor.Extractor(found, decoding.Options(None, **options), extractor.Batching(*batching),
                                 written.__setitem__).run(jobs)
    return report, written


@pytest.fixture(autouse=True)
def imagined_films(monkeypatch):
    """Replaces ffmpeg: frames and patches hold the film's letter and the second; a film of another name is no film."""
    def probe(tools, path):
        name = os.path.basename(path)[0]
        if name not in FILMS:
            raise InputError(path + " is no film.")
        return ffmpeg.Film(path, name != "c", FILMS[name], True)

    def decode(film, options, give):
        if not film.has_sound and options.missing_audio == decoding.REFUSE:
            raise InputError(film.path + " has no sound.")
        for second in range(int(film.seconds) + 2):  # more patches than frames
            value = ord(os.path.basename(film.path)[0]) + second / 10.
            if second < film.seconds:
                give("rgb", np.full((resize.SIZE, resize.SIZE, 3), value, np.float32))
            if film.has_sound:
                give("audio", np.full((log_mel.PATCH, log_mel.BANDS), -value, np.float32))
        return decoding.Decoded(film.seconds, film.has_sound, [])

    monkeypatch.setattr(ffmpeg, "probe", probe)
    monkeypatch.setattr(decoding, "decode", decode)
    monkeypatch.setattr(extractor, "_num_bytes", lambda path: 1000)


class Fake(object):
    """Networks that give the mean of their input, and tell what they were given."""

    def __init__(self, change=lambda name, values: values):
        self.batches, self._change = [], change
        self.networks = networks.Networks({name: lambda batch, name=name: self._run(name, batch)
                                           for name in ("rgb", "audio")}, dict.fromkeys(("rgb", "audio"), np.asarray))

    def _run(self, name, batch):
        self.batches.append((name, len(batch)))
        return self._change(name, batch.reshape(len(batch), -1).mean(axis=1, keepdims=True))


@pytest.mark.parametrize("batching", [(1, 1), (2, 3), (7, 2), (32, 4)], ids=str)
def test_each_film_gets_its_own_features_in_order(batching):
    report, written = extract(Fake().networks, "abcba", batching)
    assert report.seconds == 17 and sorted(written) == ["a", "b", "c"]
    for name, seconds in FILMS.items():
        expected = ord(name) + np.arange(seconds) / 10.
        np.testing.assert_allclose(written[name]["rgb"][:, 0], expected, rtol=0, atol=1e-3)
        if name != "c":
            np.testing.assert_allclose(written[name]["audio"][:, 0], -expected, rtol=0, atol=1e-3)


def test_a_film_without_sound_has_the_features_of_silence_or_none(opened):
    silence = opened.projection["audio"](opened.network["audio"](np.full((1, 96, 64), np.log(.01), np.float32)))
    report, written = extract(opened, "c")
    assert report.silent == ["films/c.mkv"]
    np.testing.assert_allclose(written["c"]["audio"], silence, rtol=0, atol=1e-6)
    assert sorted(extract(Fake().networks, "c", missing_audio="omit")[1]["c"]) == ["rgb"]
    report, written = extract(Fake().networks, "ca", missing_audio="refuse")
    assert sorted(written) == ["a"] and report.failed == [("films/c.mkv", "films/c.mkv has no sound.")]


def test_a_bad_film_ends_only_itself():
    report, written = extract(Fake().networks, "adb", (4, 1))
    assert sorted(written) == ["a", "b"] and report.failed == [("films/d.mkv", "films/d.mkv is no film.")]


def test_batches_span_films():
    fake = Fake()
    extract(fake.networks, "abc", (4, 1))
    assert [count for name, count in fake.batches if name == "rgb"] == [4, 4, 1]
    assert [count for name, count in fake.batches if name == "audio"] == [4, 4, 4, 1]  # 1: silence


def test_features_that_are_not_finite_are_named():
    def spoil(name, values):
        return np.where((name == "audio") & (np.arange(len(values)) == 2)[:, np.newaxis], np.nan, values)

    report, written = extract(Fake(spoil).networks, "bc", (7, 1))
    assert sorted(written) == ["c"]
    assert report.failed == [("films/b.mkv", "films/b.mkv: its audio is not finite at second 2: check the film, and "
                              "the networks with --check_models.")]


@pytest.mark.parametrize("error", [InputError("the disk is full"), KeyboardInterrupt(), KeyError("a fault")],
                         ids=["InputError", "KeyboardInterrupt", "KeyError"])
def test_what_stops_the_work_leaves_no_thread(error):
    def stop(name, values):
        raise error

    before = threading.active_count()
    with pytest.raises(type(error)):
        extract(Fake(stop).networks, "abcabcabc", (1, 2))
    assert threading.active_count() == before


def test_a_fault_in_a_thread_is_no_fault_of_the_film(monkeypatch):
    def fail(film, options, give):
        raise ZeroDivisionError

    monkeypatch.setattr(decoding, "decode", fail)
    with pytest.raises(ZeroDivisionError):
        extract(Fake().networks, "abc")


def test_progress_knows_the_share_that_is_done(monkeypatch):
    shares = []
    monkeypatch.setattr(extractor.Progress, "add", lambda self, count, note="", share=None: shares.append(share))
    extract(Fake().networks, "ab", (1, 1))
    assert shares == sorted(shares) and 0 < shares[0] < .2 and shares[-1] == 1


def test_silence_is_the_log_mel_of_zeros():
    np.testing.assert_array_equal(log_mel.silence(), log_mel.log_mel(np.zeros((1, log_mel.PATCH_SAMPLES)))[0])
