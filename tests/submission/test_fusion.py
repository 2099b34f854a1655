"""Fusion of ranked lists, equal to the original's and to the plain method with dictionaries."""
import json
import multiprocessing
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from src.common.errors import InputError
from src.data import segment_ids
from src.evaluation import ranking_metrics
from src.evaluation import ratings
from src.submission import fusion
from src.submission import published
from src.submission import ranked_csv
from src.submission import shifts
from tests.programs import runner

GOLDEN = os.path.join(os.path.dirname(os.path.dirname(__file__)), "golden")
IDS = [b"%s:%d" % (video, start) for video in (b"a0", b"b1", b"abcd", b"videoidlong", b"avideoidof20letters!")
       for start in range(0, 100, 5)]


def reference(lists, weights, w0, segment_max_pred):
    scores = {}
    for ids, weight in zip(lists, weights):
        for rank, segment in enumerate(ids):
            scores[segment] = scores.get(segment, 0.0) + weight * w0 / (rank + w0)
    return sorted(scores, key=scores.get, reverse=True)[:segment_max_pred]


def write(folder, name, content):
    path = str(folder / name)
    with open(path, "wb") as stream:
        stream.write(content)
    return path


@pytest.mark.parametrize("name", ["ensemble_1", "ensemble_2"])
def test_shifts_and_models_fuse_as_in_the_original(tmp_path, name):
    folder = os.path.join(GOLDEN, name)
    with open(os.path.join(folder, "expected.json")) as stream:
        expected = json.load(stream)
    models = shifts.group(os.path.join(folder, one) for one in sorted(os.listdir(folder)) if "_oof" in one)
    assert len(models) == 3
    singles = []
    for model, paths in models.items():
        singles.append(str(tmp_path / os.path.basename(model).replace("_oof_sorted", "_all3")))
        fusion.fuse_files(paths, [1.0] * 3, published.TTA_W0, singles[-1], expected["top_segments"])
        check_equal(singles[-1], os.path.join(folder, "sorted_single", os.path.basename(singles[-1])))
    weights = [expected["weights"]["model" + letter] for letter in "ABC"]
    blend = str(tmp_path / "blend.csv")
    fusion.fuse_files(singles, weights, published.MODELS_W0, blend, expected["top_segments"])
    check_equal(blend, os.path.join(folder, "blend.csv"))
    ids, labels, scores = zip(*expected["labels"])
    mean, _ = ranking_metrics.mean_average_precision(
        ranked_csv.iterate(blend), ratings.create(np.array(ids, "S"), labels, scores), 100000)
    assert mean == pytest.approx(expected["map"], abs=1e-9)


def check_equal(path, golden):
    ours, theirs = ranked_csv.read(path), ranked_csv.read(golden)
    assert {label: ids.tolist() for label, ids in ours.items()} == {
        label: ids.tolist() for label, ids in theirs.items()}


@pytest.mark.parametrize("seed", range(40))
def test_equals_the_method_with_dictionaries(seed):
    random = np.random.RandomState(seed)
    ids = IDS[:60] if seed % 2 else IDS  # ids of up to 8 bytes, or longer ones too
    lists = [random.permutation(ids)[:random.choice([0, 1, 7, 40, 60])] for _ in range(random.randint(1, 7))]
    weights = random.choice([0.0, 1.0, 1.0, 0.1, random.uniform(0, 200)], len(lists))  # many equal scores
    weights[0] = 1.0
    w0 = random.choice([1e-3, 1.0, published.TTA_W0, 1e12])
    for top_n in (1, 10, 1000):
        assert fusion.fuse(lists, weights, w0, top_n).tolist() == reference(lists, weights, w0, top_n)


def test_scores_that_differ_in_the_last_bit_do_not_tie():
    values = np.array([1.0, np.nextafter(1.0, 2), 1.0, 0.0, 5e-324, np.nextafter(1.0, 2)])
    assert fusion._descending(values).tolist() == [1, 5, 0, 2, 4, 3]


def test_ids_of_equal_fingerprints_stay_apart(monkeypatch):
    monkeypatch.setattr(segment_ids, "fingerprints", lambda ids: np.zeros(len(ids), np.int64))
    lists = [np.array(IDS[70:75]), np.array(IDS[73:78])]
    assert fusion.fuse(lists, [1, 2], 3.0, 100).tolist() == reference(lists, [1, 2], 3.0, 100)


def test_files_are_fused_whatever_their_rows_order_and_headers(tmp_path):
    first = write(tmp_path, "1.csv", b"40,a0:5 b1:0\n3,b1:5\n\n7,\n")
    second = write(tmp_path, "2.csv", b"Class,Segments\r\n3,a0:0 b1:5\r\n40,b1:0 \r\n5,c2:0")
    output = str(tmp_path / "new" / "fused.csv")
    fusion.fuse_files([first, second], [1, 2], 6.0, output, 2)
    with open(output, "rb") as stream:
        assert stream.read() == b"Class,Segments\n3,b1:5 a0:0\n5,c2:0\n7,\n40,b1:0 a0:5\n"


@pytest.mark.parametrize("content, sentence", [
    (b"Class,Segments\n3,a0:0\n\n5,a0:0 b1\n", 'line 4: segment "b1" is not of the form VIDEO:START'),
    (b"3,a0:0\n5,a0:0 b1:5 a0:0\n", 'line 2: segment "a0:0" occurs twice'),
    (b"3,a0:0\n3,b1:5\n", "line 2: class 3 already has line 1"),
    (b"3,a0:0\nb1:5\n", 'line 2: "b1:5" has no comma'),
    (b"3,a0:0\nx,b1:5\n", 'line 2: "x" is no class'),
    (b"", "holds no ranked class")])
def test_malformed_files_are_named_and_nothing_is_written(tmp_path, content, sentence):
    good, bad = write(tmp_path, "good.csv", b"3,b1:5\n9,a0:0\n"), write(tmp_path, "bad.csv", content)
    output = write(tmp_path, "fused.csv", b"as before")
    with pytest.raises(InputError) as error:
        fusion.fuse_files([good, bad], [1, 2], 6.0, output)
    assert str(error.value).startswith(bad) and sentence in str(error.value)
    assert sorted(os.listdir(str(tmp_path))) == ["bad.csv", "fused.csv", "good.csv"]
    with open(output, "rb") as stream:
        assert stream.read() == b"as before"


@pytest.mark.parametrize("weights, w0, sentence", [
    ([1], 6.0, "There are 1 weights for 2 lists"), ([1, -2], 6.0, "Weight 2 is -2"),
    ([float("nan"), 1], 6.0, "Weight 1 is nan"), ([1, float("inf")], 6.0, "Weight 2 is inf"),
    ([0, 0.0], 6.0, "All 2 weights are 0"), ([1e200, 1], 6.0, "Weight 1 is 1e"), ([1, 1], 1e200, "w0 is 1e"),
    ([1, 1], 0, "w0 is 0"), ([1, 1], float("nan"), "w0 is nan")])
def test_bad_numbers_are_refused(tmp_path, weights, w0, sentence):
    lists = [np.array(IDS[:2]), np.array(IDS[:3])]
    with pytest.raises(InputError, match=sentence):
        fusion.fuse(lists, weights, w0, 10)
    with pytest.raises(InputError, match=sentence):
        fusion.fuse_files(["1.csv", "2.csv"], weights, w0, str(tmp_path / "fused.csv"))


def test_bad_files_and_lists_are_refused(tmp_path):
    path, output = write(tmp_path, "1.csv", b"3,b1:5\n"), str(tmp_path / "fused.csv")
    with pytest.raises(InputError, match="1.csv is given twice"):
        fusion.fuse_files([path, str(tmp_path / "." / "1.csv")], [1, 1], 6.0, output)
    with pytest.raises(InputError, match="absent.csv does not exist"):
        fusion.fuse_files([path, str(tmp_path / "absent.csv")], [1, 1], 6.0, output)
    with pytest.raises(InputError, match='List 2: segment "a0:0" occurs twice'):
        fusion.fuse([np.array(IDS[:2]), np.array([b"a0:0", b"a0:0"])], [1, 1], 6.0, 10)
    assert os.listdir(str(tmp_path)) == ["1.csv"]


def test_a_killed_process_gets_a_sentence(tmp_path):
    path = write(tmp_path, "1.csv", b"3,b1:5\n5,a0:0\n")
    with pytest.raises(InputError, match="was killed, as happens when memory runs out: free memory"):
        list(fusion.each_class([path], lambda *_: os.kill(os.getpid(), signal.SIGKILL), "fusion"))
    assert not multiprocessing.active_children()


PEAKS = """
import resource, sys, tracemalloc
from src.submission import fusion
tracemalloc.start()
fusion.fuse_files(sys.argv[1:3], [1, 1], 6.0, sys.argv[3])
print(tracemalloc.get_traced_memory()[1], 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_classes(tmp_path):
    ids = [b"v%d:%d" % divmod(5 * number, 300) for number in range(20000)]
    row_bytes = len(b" ".join(ids))

    def peaks(num_classes):
        """Bytes of the arrays of a process that fuses, and of the greatest process that it starts."""
        paths = [str(tmp_path / name) for name in ("1.csv", "2.csv")]
        for path in paths:
            ranked_csv.write(path, ((class_id, ids) for class_id in range(num_classes)))
        return map(int, subprocess.check_output([sys.executable, "-c", PEAKS] + paths + [str(tmp_path / "fused.csv")],
                                                cwd=runner.PROJECT).split())

    (_, few), (here, many) = peaks(5), peaks(60)
    assert here < 10 * row_bytes + (8 << 20)
    assert many < few + 40 * row_bytes  # the 110 rows more would take 110
