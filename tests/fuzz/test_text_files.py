"""Text files of any bytes: each reader returns what a plain one does, or raises one sentence."""
import csv
import io
import json
import os
import re
import tempfile

from hypothesis import assume
from hypothesis import example
from hypothesis import given
from hypothesis import strategies
import numpy as np
import pytest
import tensorflow as tf

from src.common import files
from src.common import text
from src.common.errors import InputError
from src.data import annotations
from src.data import own_videos
from src.data import segments
from src.data import vocabulary
from src.evaluation import ratings
from src.prediction import served
from src.prediction import video_prior
from src.submission import ranked_csv
from src.submission import tuning
from src.trained import evaluations

MARK = b"\xef\xbb\xbf"


@pytest.fixture(scope="module")
def path():
    with tempfile.TemporaryDirectory() as folder:
        yield os.path.join(folder, "file")


def write(path, content):
    with open(path, "wb") as stream:
        stream.write(content)


def outcome(read, path):
    """What a reader returns; None after a sentence about the file."""
    try:
        return read(path)
    except InputError as error:
        sentence = str(error)
        assert sentence.startswith(path) and sentence.endswith(".") and len(sentence) < 1000 and "\n" not in sentence
        return None


def of_pieces(*pieces):
    """Contents made of pieces of such files and of any other bytes."""
    known = strategies.sampled_from(pieces + (b"\n", b"\n", b"\r\n", b",", b" ", MARK))
    return strategies.lists(strategies.one_of(known, strategies.binary(max_size=3)), max_size=25).map(b"".join)


def line_end(content, block_bytes=text.BLOCK_BYTES):
    """CR where the beginning of a file has no other line end."""
    beginning = content[:block_bytes]
    return b"\r" if b"\r" in beginning[:-1] and b"\n" not in beginning else b"\n"


def plain_lines(content, end=None):
    """(number, line) of each line of content that is small enough to be split as a whole."""
    whole = content[len(MARK):] if content.startswith(MARK) else content
    every = enumerate(whole.split(end or line_end(content)), 1)
    return [(number, line.rstrip(b"\r")) for number, line in every if line.rstrip(b"\r")]


def plain_rows(content, header, end=None):
    lines = plain_lines(content, end)
    return lines[1:] if lines and b"".join(lines[0][1].replace(b'"', b"").split()).lower() == header.lower() else lines


@example(b"\rhead", 2)
@given(of_pieces(b"head"), strategies.integers(1, 40))
def test_lines(path, content, block_bytes):
    write(path, content)
    whole, text.BLOCK_BYTES = text.BLOCK_BYTES, block_bytes
    end = line_end(content, block_bytes)
    try:
        assert list(text.lines(path)) == plain_lines(content, end)
        assert list(text.lines(path, b"head")) == plain_rows(content, b"head", end)
        longest = max([len(line) for line in content.split(end)])
        assert (outcome(lambda path: list(text.lines(path, line_bytes=20)), path) is None) == (longest > 20)
    finally:
        text.BLOCK_BYTES = whole


@given(of_pieces(b"Index", b"0", b"7", b"12", b"3861", b"-1", b"9999999999"))
def test_label_ids(path, content):
    write(path, content)
    rows = [line for _, line in plain_rows(content, b"Index")]
    expected = None
    if rows and all(re.fullmatch(rb"\s*[0-9]{1,9}\s*", line) for line in rows):
        expected = sorted(map(int, rows))
        expected = expected if len(set(expected)) == len(expected) else None
    assert outcome(segments.read_label_ids, path) == expected


@example(b'Name, Index\n"a ""b"", c",7\n\n"x\ny",8\n,9')
@given(of_pieces(b"Index,Name", b"Name,Index,KnowledgeGraphId", b"7,Car", b"7", b"Car", b'"', b'"Nike, Inc."', b"\xff"))
def test_vocabularies(path, content):
    write(path, content)
    try:
        lines = [line.decode() + "\n" for _, line in plain_lines(content)]
        header, *rows = [[field.strip() for field in row] for row in csv.reader(lines, strict=True)]
        columns = header.index("Index"), header.index("Name")
        pairs = [tuple(row[column] for column in columns) for row in rows if len(row) == len(header)]
        usable = 0 < len(rows) == len(pairs) == len({int(label) for label, _ in pairs}) and all(
            re.fullmatch("[0-9]{1,9}", label) for label, _ in pairs)
        expected = {int(label): re.sub(r"\s+", " ", name) for label, name in pairs if name} if usable else None
    except (csv.Error, UnicodeDecodeError, ValueError):
        expected = None
    found = outcome(vocabulary.read, path)
    if expected is not None and all(name.isprintable() for name in expected.values()):
        assert found == expected
    assert (found is None) == (expected is None)


@given(of_pieces(b"segment_id,label,score", b"abcd:5,7,1", b"abcd:5,7,0", b"e:0,3861,1.0", b"abcd:5", b"7", b"1",
                 b"0.5", b"nan", b"f:5,9999999999,1"))
def test_rating_caches(path, content):
    write(path, content)
    expected = {}
    for _, line in plain_rows(content, b"segment_id,label,score"):
        matched = re.fullmatch(rb"(.*),([0-9]{1,9}),([01])(\.0*)?", line.strip())
        if not matched or not is_segment(matched.group(1)) or int(matched.group(2)) >= 3862:
            expected = None
            break
        expected[matched.group(1), int(matched.group(2))] = float(matched.group(3))
    found = outcome(ratings.read_cache, path)
    assert (found is None) == (not expected)
    if found:
        assert dict(zip(zip(found.segment_ids.tolist(), found.labels.tolist()), found.scores.tolist())) == expected
        assume(MARK not in found.segment_ids[0])
        ratings.write_cache(path, found)
        for again, before in zip(ratings.read_cache(path), found):
            np.testing.assert_array_equal(again, before)


@given(of_pieces(b"id,labels", b"abcd,7;3", b"e,7", b"abcd", b"7", b";", b"cat", b"-1", b"4000"))
def test_labels_of_videos(path, content):
    write(path, content)
    expected = {}
    for number, line in plain_rows(content, b"id,labels"):
        video, comma, labels = line.partition(b",")
        labels = [label.strip() for label in labels.split(b";") if label.strip()]
        numbers = [5 if label == b"cat" else int(label) if re.fullmatch(rb"[0-9]{1,9}", label) else -1
                   for label in labels]
        video = video.strip()
        if not comma or not is_segment(video + b":0") or video in expected or not all(0 <= n < 3862 for n in numbers):
            expected = None
            break
        expected[video] = number, sorted(set(numbers))
    found = outcome(lambda path: annotations.read_labels(path, 3862, {"cat": [5]}), path)
    assert (found and {video: (number, labels.tolist()) for video, (number, labels) in found.items()}) == expected


@given(of_pieces(b"segment_id,label,score", b"abcd:5,7,1", b"abcd:5,7,0", b"e:0,3861,1.0", b"e:7,1,1", b"cat,1", b"7"))
def test_ratings_of_videos(path, content):
    write(path, content)
    found = outcome(lambda path: annotations.read_ratings(path, 3862, {"cat": [5]}), path)
    for video, (_, rated) in (found or {}).items():
        assert is_segment(video + b":0") and not (rated.starts % 5).any() and set(rated.scores) <= {0, 1}
        assert len(set(zip(rated.starts.tolist(), rated.labels.tolist()))) == len(rated.scores) > 0


SERVED = b'{"video_id": "ab", "class_indexes": [7, 3], "predictions": [0.5, 0.25]}'


@given(of_pieces(SERVED, SERVED[:16], SERVED[18:], SERVED[:-2], b"]", b"}", b"[", b'{"prediction": ', b"9" * 400))
def test_served_predictions(path, content):
    write(path, content)
    for video, classes, scores in outcome(lambda path: list(served.predictions([path])), path) or ():
        assert is_segment(video + b":0") and len(classes) == len(scores) > 0


@given(of_pieces(b"VideoId,LabelConfidencePairs", b"abcd,7 0.5", b" 3 0.25", b"e,2 1", b"7 1e-05", b'"Car"', b" 5 1.5",
                 b"nan", b"8 0.75"))
def test_predictions_for_videos(path, content):
    write(path, content)
    expected, lines = {}, plain_lines(content)
    for number, line in lines:
        if number == 1 and line.startswith(b"VideoId,LabelConfidencePairs"):
            continue
        video, pairs, *names = line.split(b",", 2)[:3] if b"," in line else (line, b"")
        words = pairs.split(b" ")
        well_formed = len(words) % 2 == 0 and all(re.fullmatch(rb"[0-9]{1,9}", word) for word in words[::2]) and all(
            re.fullmatch(rb"[0-9]{1,3}(\.[0-9]{1,20})?(e[-+]?[0-9]{1,3})?", word) for word in words[1::2])
        labels = list(map(int, words[::2])) if well_formed else []
        if not well_formed or len(set(labels)) < len(labels) or max(labels) > 8 or video in expected or not is_segment(
                video + b":0") or max(map(float, words[1::2])) > 1 or names and not re.fullmatch(rb'".*"', names[0]):
            expected = None
            break
        ranked = sorted(zip(labels, map(float, words[1::2])), key=lambda pair: -pair[1])
        expected[video] = [label for label, _ in ranked if label in (3, 7, 8)][:2]
    found = outcome(lambda path: video_prior.read(path, [video_prior.Setting(2, 0)], np.array([3, 7, 8]), 9), path)
    assert (found is None) == (not expected)
    if found:
        spans = [slice(begin, begin + count) for begin, count in zip(found.table.begins, found.table.counts)]
        assert {video: np.array([3, 7, 8])[found.table.columns[span]].tolist()
                for video, span in zip(found.table.videos.tolist(), spans)} == expected


def npz():
    stream = io.BytesIO()
    np.savez(stream, rgb=np.zeros([2, 3], np.float16), audio=np.zeros([2, 1], np.uint8))
    return stream.getvalue()


EXTRACTED = tf.train.SequenceExample(feature_lists=tf.train.FeatureLists(feature_list={
    name: tf.train.FeatureList(feature=2 * [tf.train.Feature(float_list=tf.train.FloatList(value=size * [1.0]))])
    for name, size in (("RGB/feature/floats", 3), ("AUDIO/feature/floats", 1))})).SerializeToString()


@given(strategies.sampled_from([npz(), EXTRACTED]), strategies.data())
def test_features_of_videos(path, content, data):
    content = bytearray(content)
    for _ in range(data.draw(strategies.integers(0, 4))):
        content[data.draw(strategies.integers(0, len(content) - 1))] = data.draw(strategies.integers(0, 255))
    write(path, bytes(content[:data.draw(strategies.sampled_from([len(content), len(content) - 9, 50]))]))
    found = outcome(lambda path: own_videos.read(path, [("rgb", 3), ("audio", 1)]), path)
    if found:
        assert {name: values.dtype for name, values in found.lists.items()} == {"rgb": np.uint8, "audio": np.uint8}
        assert len(found.lists["rgb"]) == len(found.lists["audio"]) > 0


def rows_of(path):
    """As `ranked_csv.read`, but through `Rows`, as the fusion reads."""
    rows, found = ranked_csv.Rows(path), {}
    for class_id in rows.classes:
        content, where = rows.read(class_id)
        found[class_id] = ranked_csv.split(content, where)
        ranked_csv.check_form(found[class_id], where)
        ranked_csv.check_distinct(found[class_id], where)
    return found


def is_segment(name, video_bytes=64):
    return len(name) <= 72 and re.fullmatch(rb"[^:,\x00- \x7f]{1,%d}:[0-9]+" % video_bytes, name)


def plain_ranked(content):
    """{class: ids}; None if the content is not a ranked CSV."""
    found = {}
    for _, line in plain_rows(content, b"Class,Segments"):
        class_id, comma, ids = line.partition(b",")
        if not comma or len(class_id) > 63 or not re.fullmatch(rb"\s*[0-9]{1,9}\s*", class_id):
            return None
        ids = ids.strip().split(b" ") if ids.strip() else []
        if int(class_id) in found or len(set(ids)) < len(ids) or not all(is_segment(name, 72) for name in ids):
            return None
        found[int(class_id)] = ids
    return found or None


@given(of_pieces(b"Class,Segments", b"7", b"7,", b"12,a:5", b"a:5", b" a:5 b:10", b"abcdefgh:295", b":", b"5",
                 b"9" * 10, b"v" * 60 + b":5"))
def test_ranked_csvs(path, content):
    write(path, content)
    expected = plain_ranked(content)
    for read in ranked_csv.read, rows_of:
        found = outcome(read, path)
        assert (None if found is None else {class_id: ids.tolist() for class_id, ids in found.items()}) == expected
    if expected:
        ranked_csv.write(path, sorted(expected.items()))
        assert {class_id: ids.tolist() for class_id, ids in ranked_csv.read(path).items()} == expected


NUMBERS = strategies.one_of(strategies.floats(), strategies.integers(), strategies.booleans(), strategies.none(),
                            strategies.text(max_size=3), strategies.floats(0, 10))
WHOLE = strategies.fixed_dictionaries({"w0": strategies.one_of(strategies.floats(.1, 10), NUMBERS),
                                       "a": strategies.one_of(strategies.floats(0, 200), NUMBERS)})
POINTS = strategies.fixed_dictionaries({
    "target": strategies.one_of(strategies.floats(0, 1), NUMBERS),
    "params": strategies.one_of(
        WHOLE, strategies.dictionaries(strategies.sampled_from(["w0", "a", "b"]), NUMBERS), NUMBERS)})


def is_point(entry):
    try:
        w0, weight, target = entry["params"]["w0"], entry["params"]["a"], entry["target"]
    except (KeyError, TypeError):
        return False
    numbers = [value for value in (w0, weight, target) if type(value) in (int, float)]
    return (len(numbers) == 3 and 0 < w0 <= 10 and 0 <= weight <= 200 and not target < 0 and not target > 1
            and len(entry["params"]) == 2)


@given(strategies.lists(POINTS, max_size=4))
def test_points_of_a_tuning_log(path, entries):
    content = "".join(json.dumps(entry) + "\n" for entry in entries).encode()
    write(path, content)
    log = outcome(lambda path: tuning.Log(path, ["a"]), path)
    assert (log is not None) == all(map(is_point, entries))
    if log:
        assert [point.w0 for point in log.points] == [entry["params"]["w0"] for entry in entries]
    with open(path, "rb") as stream:
        assert stream.read() == content


@given(strategies.lists(strategies.floats(0, 1), min_size=1, max_size=3), strategies.integers(0, 300))
def test_a_tuning_log_cut_off_anywhere_keeps_its_whole_lines(path, targets, left_off):
    write(path, b"")
    log = tuning.Log(path, ["a"])
    for target in targets:
        log.add(tuning.Point(1.0, (2.0,)), target)
    with open(path, "rb") as stream:
        content = stream.read()
    cut = content[:max(0, len(content) - left_off)]
    write(path, cut)
    found = tuning.Log(path, ["a"]).targets
    assert found == targets[:len(found)] and len(found) in (cut.count(b"\n"), cut.count(b"\n") + cut.endswith(b"}"))


@given(strategies.one_of(strategies.binary(max_size=30), of_pieces(b"{", b"}", b"[", b'"a"', b":", b"5", b"NaN")))
@example(b"[" * 5000)
@example(b"9" * 5000)
def test_json(path, content):
    write(path, content)
    try:
        expected = [json.loads(content.decode("utf-8-sig"))]
    except (ValueError, RecursionError):
        expected = None
    found = outcome(lambda path: [files.read_json(path)], path)
    assert repr(found) == repr(expected) or len(content) == 5000 and found is None


@given(of_pieces(b"step,examples,hit_at_one,perr,map,gap,loss,segment_labels,holdout_shards,eval_data_pattern",
                 b"1,5,.1,.2,.3,.4,.5,True,300,p", b'"', b"nan", b"-1", b"1"))
def test_results_of_evaluations(content):
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "eval"))
        path = os.path.join(folder, "eval", "results.csv")
        write(path, content)
        if outcome(lambda path: evaluations.read(folder), path) is not None:
            lines = [line.decode("utf-8", "replace") for _, line in plain_lines(content)]
            assert not lines or all(len(row) == 10 for row in csv.reader(lines))
