"""Films that ffmpeg makes become the features that the networks give their frames and patches, one by one."""
import collections

import numpy as np

from src.features import decoding
from src.features import extractor
from src.features import ffmpeg
from tests.features import stand_ins

TOOLS, SECONDS = ffmpeg.Tools("ffmpeg", "ffprobe"), {"a": 3, "b": 5}


def extract(found, folder, names, batching=(32, 2)):
    """Extracts films; returns the Report and {name: features}."""
    written = {}
    jobs = [extractor.Job(str(folder / (name + ".mkv")), name) for name in names]
    report = extractor.Extractor(found, decoding.Options(TOOLS), extractor.Batching(*batching),
                                 written.__setitem__).run(jobs)
    return report, written


@stand_ins.needs_ffmpeg
def test_batches_decoders_and_order_change_no_number(tmp_path, opened):
    for name, rate in ("a", 16000), ("b", 44100):
        stand_ins.ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48:rate=10:duration=%d" % SECONDS[name],
                         "-f", "lavfi", "-i", "anoisesrc=seed=1:duration=%d:sample_rate=%d" % (SECONDS[name], rate),
                         "-c:v", "ffv1", "-c:a", "pcm_s16le", tmp_path / (name + ".mkv"))
    report, expected = extract(opened, tmp_path, "ab")
    assert report == extractor.Report([], [], 8)
    assert {name: {kind: values.shape for kind, values in features.items()} for name, features in expected.items()} == {
        "a": {"rgb": (3, 1024), "audio": (3, 128)}, "b": {"rgb": (5, 1024), "audio": (5, 128)}}
    for names, batching in ("ab", (1, 1)), ("ba", (4, 3)):
        _, written = extract(opened, tmp_path, names, batching)
        for name, features in expected.items():
            for kind, values in features.items():
                np.testing.assert_allclose(written[name][kind], values, rtol=0, atol=1e-6)
    inputs = collections.defaultdict(list)
    film = ffmpeg.probe(TOOLS, str(tmp_path / "a.mkv"))
    decoding.decode(film, decoding.Options(TOOLS), lambda name, value: inputs[name].append(value))
    for name, projection in opened.projection.items():
        one_by_one = [projection(opened.network[name](value[np.newaxis]))[0] for value in inputs[name]]
        np.testing.assert_allclose(expected["a"][name], one_by_one[:3], rtol=0, atol=1e-6)
