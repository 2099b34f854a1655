"""Films become features whatever their order, batches and decoders are; a bad one ends only itself."""
import collections
import os
import threading

import numpy as np
import pytest

from src.common.errors import InputError
from src.extraction import decoding
from src.extraction import extractor
from src.extraction import ffmpeg
from src.extraction import log_mel
from src.extraction import networks
from src.extraction import resize
from tests.extraction import stand_ins

pytestmark = stand_ins.needs_ffmpeg
TOOLS = ffmpeg.Tools("ffmpeg", "ffprobe")


@pytest.fixture(scope="module", name="films")
def folder_of_films(tmp_path_factory):
    """Films of 3, 5 and 1 seconds, the last without sound, and a text."""
    folder = tmp_path_factory.mktemp("films")
    for name, seconds, rate in ("a", 3, 16000), ("b", 5, 44100):
        stand_ins.ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48:rate=10:duration=%d" % seconds, "-f", "lavfi", "-i",
                         "anoisesrc=seed=1:duration=%d:sample_rate=%d" % (seconds, rate), "-c:v", "ffv1", "-c:a",
                         "pcm_s16le", folder / (name + ".mkv"))
    stand_ins.ffmpeg("-f", "lavfi", "-i", "testsrc=size=32x64:rate=10:duration=1", "-c:v", "ffv1", folder / "c.mkv")
    (folder / "d.txt").write_text("no film")
    return str(folder)


def extract(films, found, names="abc", batching=(32, 2), **options):
    """Extracts films; returns the Report and {name: features}."""
    written = {}
    jobs = [extractor.Job(os.path.join(films, name + (".txt" if name == "d" else ".mkv")), name) for name in names]
    report = extractor.Extractor(found, decoding.Options(TOOLS, **options), extractor.Batching(*batching),
                                 written.__setitem__).run(jobs)
    return report, written


def test_batches_decoders_and_order_change_no_number(films, opened):
    report, expected = extract(films, opened)
    assert report == extractor.Report([], [os.path.join(films, "c.mkv")], 9)
    assert {name: {kind: values.shape for kind, values in features.items()} for name, features in expected.items()} == {
        "a": {"rgb": (3, 1024), "audio": (3, 128)}, "b": {"rgb": (5, 1024), "audio": (5, 128)},
        "c": {"rgb": (1, 1024), "audio": (1, 128)}}
    for names, batching in ("abc", (1, 1)), ("cba", (4, 3)), ("bca", (7, 1)):
        _, written = extract(films, opened, names, batching)
        for name, features in expected.items():
            for kind, values in features.items():
                np.testing.assert_allclose(written[name][kind], values, rtol=0, atol=1e-6)


def test_features_are_those_of_frames_and_patches_one_by_one(films, opened):
    inputs = collections.defaultdict(list)
    film = ffmpeg.probe(TOOLS, os.path.join(films, "a.mkv"))
    decoding.decode(film, decoding.Options(TOOLS), lambda name, value: inputs[name].append(value))
    _, written = extract(films, opened, "a")
    for name, projection in opened.projection.items():
        one_by_one = [projection(opened.network[name](value[np.newaxis]))[0] for value in inputs[name]]
        np.testing.assert_allclose(written["a"][name], one_by_one[:3], rtol=0, atol=1e-5)


def test_a_film_without_sound_has_the_features_of_silence_or_none(films, opened):
    silence = opened.projection["audio"](opened.network["audio"](np.full((1, 96, 64), np.log(.01), np.float32)))
    np.testing.assert_allclose(extract(films, opened, "c")[1]["c"]["audio"], silence, rtol=0, atol=1e-6)
    assert sorted(extract(films, opened, "c", missing_audio="omit")[1]["c"]) == ["rgb"]
    report, written = extract(films, opened, "ca", missing_audio="refuse")
    assert sorted(written) == ["a"] and [os.path.basename(path) for path, _ in report.failed] == ["c.mkv"]


def test_a_bad_film_ends_only_itself(films, opened):
    report, written = extract(films, opened, "adb", (4, 1))
    assert sorted(written) == ["a", "b"] and report.seconds == 8
    (path, sentence), = report.failed
    assert path.endswith("d.txt") and sentence.startswith(path + " cannot be read as a film (")


class Fake(object):
    """Networks that give the mean of their input, and tell what they were given."""

    def __init__(self, change=lambda name, values: values):
        self.batches, self._change = [], change
        self.networks = networks.Networks({name: lambda batch, name=name: self._run(name, batch)
                                           for name in ("rgb", "audio")}, dict.fromkeys(("rgb", "audio"), np.asarray))

    def _run(self, name, batch):
        self.batches.append((name, len(batch)))
        return self._change(name, batch.reshape(len(batch), -1).mean(axis=1, keepdims=True))


def test_batches_span_films(films):
    fake = Fake()
    extract(films, fake.networks, "abc", (4, 1))
    assert [count for name, count in fake.batches if name == "rgb"] == [4, 4, 1]
    assert [count for name, count in fake.batches if name == "audio"][:2] == [4, 4]


def test_features_that_are_not_finite_are_named(films):
    def spoil(name, values):
        return np.where((name == "audio") & (np.arange(len(values)) == 2)[:, np.newaxis], np.nan, values)

    report, written = extract(films, Fake(spoil).networks, "bc", (5, 1))
    assert sorted(written) == ["c"]
    assert report.failed[0][1] == (
        "%s: its audio is not finite at second 2: check the film, and the networks with --check_models."
        % os.path.join(films, "b.mkv"))


@pytest.mark.parametrize("error", [InputError("the disk is full"), KeyboardInterrupt(), KeyError("a fault")],
                         ids=["InputError", "KeyboardInterrupt", "KeyError"])
def test_what_stops_the_work_leaves_no_thread_and_no_ffmpeg(films, error):
    def stop(name, values):
        raise error

    before = threading.active_count()
    with pytest.raises(type(error)):
        extract(films, Fake(stop).networks, "abcabcabc", (1, 2))
    assert threading.active_count() == before


def test_a_fault_in_a_thread_is_no_fault_of_the_film(films, monkeypatch):
    def fail(frame):
        raise ZeroDivisionError

    monkeypatch.setattr(resize, "resize", fail)
    with pytest.raises(ZeroDivisionError):
        extract(films, Fake().networks, "abc")


def test_progress_knows_the_share_that_is_done(films, monkeypatch):
    shares = []
    monkeypatch.setattr(extractor.Progress, "add", lambda self, count, note="", share=None: shares.append(share))
    extract(films, Fake().networks, "ab", (1, 1))
    assert shares == sorted(shares) and 0 < shares[0] < .5 and shares[-1] > .9


def test_silence_is_the_log_mel_of_zeros():
    np.testing.assert_array_equal(log_mel.silence(), log_mel.log_mel(np.zeros((1, log_mel.PATCH_SAMPLES)))[0])
