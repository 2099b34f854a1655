"""explore.py: the folder of pages holds the content of the lists, ratings and scores."""
import json
import math
import os
import re

import numpy as np
import pytest

from src.evaluation import ranking_metrics
from src.evaluation import ratings
from src.prediction import video_csv
from src.submission import ranked_csv
from tests.programs import runner

CLASSES = [3, 8, 12, 3861]
NASTY = '<script>alert("x")</script> & Co, Ltd'
VIDEOS = [b"v%02d" % number for number in range(12)] + [b"V00", b"<b>../x</b>"]
IDS = np.array([b"%s:%d" % (video, start) for video in VIDEOS for start in range(0, 150, 5)])
HEAD = 200  # of the 420 segments
LETTERS = " 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Lists of two models and their blend that lack some classes and segments, ratings, names, scores, YouTube ids."""
    folder, random = tmp_path_factory.mktemp("lists"), np.random.RandomState(0)
    positive = {label: random.rand(len(IDS)) < .3 for label in CLASSES}
    for name, labels, knowledge in ("one_oof", CLASSES, .3), ("two_oof", CLASSES[1:3], .1), ("blend_oof", CLASSES, .5):
        ranked_csv.write(str(folder / (name + ".csv")), [
            (label, IDS[np.argsort(random.rand(len(IDS)) - knowledge * positive[label])][:400]) for label in labels])
    # Class 12 has no positive rating, class 30 a rating and no list.
    rated = [(name, label, positive[label][index] * (label != 12)) for label in CLASSES
             for index, name in enumerate(IDS) if random.rand() < .15] + [(b"v01:5", 30, 1), (b"v01:10", 3, 1)]
    ratings.write_cache(str(folder / "labels.csv"), ratings.create(*zip(*rated)))
    (folder / "names.csv").write_text('Index,Name\n3,"%s"\n8,Caf\u00e9\n' % NASTY.replace('"', '""'), encoding="utf-8")
    with video_csv.writing(str(folder / "scores.csv")) as stream:
        for start in range(0, 150, 5):
            stream.write(video_csv.lines(np.array([b"v00:%d" % start]), np.array([[3, 77]]),
                                         np.array([[.9 - start / 200, .05]])))
    (folder / "youtube.csv").write_text("v00,dQw4w9WgXcQ\n")
    return folder


def flags(folder, **changes):
    return dict(dict(input_files="%s/one_oof.csv,%s/two_oof.csv,%s/blend_oof.csv" % ((folder,) * 3),
                     label_cache=folder / "labels.csv", vocabulary_file=folder / "names.csv",
                     segment_scores=folder / "scores.csv", video_ids_file=folder / "youtube.csv"), **changes)


@pytest.fixture(scope="module")
def pages(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / "explore"
    runner.succeed("explore", output_dir=path, **flags(folder))
    return path


def data(pages, name):
    """The value that a script of data hands over."""
    key, value = re.fullmatch(r'explorer\.receive\("(.*?)", (.*)\);\n', (pages / "data" / (name + ".js")).read_text(),
                              re.DOTALL).groups()
    assert key.replace("/", "_") == name
    return json.loads(value)


def lists(folder):
    return [ranked_csv.read(str(folder / (name + ".csv"))) for name in ("one_oof", "two_oof", "blend_oof")]


def rating_of(folder):
    """{(id, class): whether positive}"""
    rated = ratings.read_cache(str(folder / "labels.csv"))
    return {(name, label): score > 0 for name, label, score in zip(*(column.tolist() for column in rated))}


def test_the_table_of_classes(pages, folder):
    index, rated = data(pages, "index"), ratings.read_cache(str(folder / "labels.csv"))
    assert index["files"] == ["one_oof", "two_oof", "blend_oof"] and index["blend"] == 2
    assert index["videos"].split(" ") == sorted(video.decode() for video in VIDEOS)
    rows = {row[0]: row[1:] for row in index["classes"]}
    assert list(rows) == [3, 8, 12, 30, 3861]
    assert [row[0] for row in rows.values()] == [NASTY, "Caf\u00e9", "", "", ""]
    counted = rating_of(folder)
    for label, row in rows.items():
        of_class = [positive for (_, rated_label), positive in counted.items() if rated_label == label]
        assert row[1:3] == [len(of_class), sum(of_class)]
    precisions = [ranking_metrics.mean_average_precision(of_file.items(), rated, 100000)[1]
                  for of_file in lists(folder)]
    for label, row in rows.items():
        assert row[3:] == [None if label == 12 else pytest.approx(of_file[label], abs=1e-4) for of_file in precisions]
    assert rows[30][3:] == [0, 0, 0]  # rated, and in no list
    page = (pages / "index.html").read_text(encoding="utf-8")
    for of_file in precisions:
        assert "%.4f" % np.mean(list(of_file.values())) in page


def test_a_class(pages, folder):
    counted = rating_of(folder)
    for label in CLASSES + [30]:
        shown = data(pages, "class_%d" % label)
        of_files = [of_file.get(label, np.zeros(0, "S1")).tolist() for of_file in lists(folder)]
        assert shown["lengths"] == list(map(len, of_files))
        assert [head.split() for head in shown["heads"]] == [
            [name.decode() for name in of_file[:HEAD]] for of_file in of_files]
        in_heads = set().union(*(of_file[:HEAD] for of_file in of_files))
        for kind, positive in ("found", True), ("absent", False):
            assert set(shown[kind].split()) == {name.decode() for name in in_heads
                                                if counted.get((name, label)) is positive}
        for points, of_file in zip(shown["points"], of_files):
            expected = [(rank if counted[name, label] else -rank) for rank, name in enumerate(of_file, 1)
                        if (name, label) in counted]
            assert points == expected[:50]
        missed = {name for (name, rated), positive in counted.items() if rated == label and positive} - in_heads
        ranks = {name: min((of_file.index(name) + 1, file) for file, of_file in enumerate(of_files) if name in of_file)
                 for name in missed if any(name in of_file for of_file in of_files)}
        assert shown["numMissed"] == len(missed)
        assert {name: (rank, file) for name, rank, file in shown["missed"]} == {
            name.decode(): ranks.get(name, (None, None)) for name in missed}
        known = [rank for _, rank, _ in shown["missed"] if rank]
        assert known == sorted(known) and all(rank for _, rank, _ in shown["missed"][:len(known)])


def test_a_video(pages, folder):
    index, counted = data(pages, "index"), rating_of(folder)
    for number, video in enumerate(index["videos"].split(" ")):
        shown = data(pages, "video_%d" % number)
        rated = {(label, int(name.rpartition(b":")[2])): int(positive) for (name, label), positive in counted.items()
                 if name.rpartition(b":")[0] == video.encode()}
        assert {(label, start): positive for label, start, positive in shown["ratings"]} == rated
        assert set(shown["classes"][:len({label for label, _ in rated})]) == {label for label, _ in rated}
        assert shown["youtube"] == {"v00": "dQw4w9WgXcQ"}.get(video)
        for of_file, rows in zip(lists(folder), shown["maps"]):
            for label, row in zip(shown["classes"], rows):
                ranked = of_file.get(label, np.zeros(0, "S1")).tolist()
                for column in range(30):
                    name = b"%s:%d" % (video.encode(), 5 * column)
                    level = LETTERS.index(row[column:column + 1] or " ")
                    assert (level > 0) == (name in ranked)
                    if level:  # a letter covers ranks whose logarithms differ by a sixtieth of the whole
                        step = math.log1p(500000) / 60
                        above = (61 - level) * step - math.log1p(ranked.index(name))
                        assert -1e-6 <= above <= step + 1e-6
    shown = data(pages, "video_%d" % index["videos"].split(" ").index("v00"))
    scores = dict(zip(shown["classes"], shown["maps"][3]))
    assert 77 not in shown["classes"]  # it has no list and no rating
    assert [(LETTERS.index(letter) - 1) / 60 for letter in scores[3]] == pytest.approx(
        [.9 - start / 200 for start in range(0, 150, 5)], abs=1 / 119)


def test_a_second_run_replaces_the_pages_and_nothing_else(pages, folder, tmp_path):
    path = tmp_path / "explore"
    few = flags(folder, input_files=folder / "two_oof.csv", segment_scores=None, video_ids_file=None, output_dir=path)
    runner.succeed("explore", **dict(few, input_files=folder / "one_oof.csv"))
    assert (path / "data" / "class_3.js").exists()
    first = sorted(os.listdir(str(path / "data")))
    runner.succeed("explore", **few)
    assert len(first) > len(set(first) - {"class_3.js"}) and data(path, "index")["blend"] is None
    assert os.listdir(str(tmp_path)) == ["explore"]
    (path / "notes.txt").write_text("keep me")
    path.rename(tmp_path / "mine")
    code, errors = runner.run("explore", **dict(few, output_dir=tmp_path / "mine"))
    assert code == 1 and "/mine exists already and holds more than pages of this program, such as notes.txt" in errors
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep me"


@pytest.mark.parametrize("mine", ["data/notes.txt", "index.html", "data/class_3.js", "explorer.js", "pages.json"])
def test_a_folder_with_the_names_of_pages_is_not_replaced(folder, tmp_path, mine):
    path = tmp_path / "mine" / mine
    path.parent.mkdir(parents=True)
    path.write_text('["pages"]')
    (tmp_path / "mine" / "data").mkdir(exist_ok=True)
    code, errors = runner.run("explore", output_dir=tmp_path / "mine", **flags(folder))
    assert code == 1 and "/mine exists already and holds more than pages of this program, such as " in errors
    assert path.read_text() == '["pages"]' and os.listdir(str(tmp_path)) == ["mine"]


def test_files_added_to_the_pages_are_kept(folder, tmp_path):
    path = tmp_path / "explore"
    few = flags(folder, input_files=folder / "two_oof.csv", segment_scores=None, video_ids_file=None, output_dir=path)
    runner.succeed("explore", **few)
    for mine in "data/notes.txt", "old":
        (path / mine).mkdir()
        code, errors = runner.run("explore", **few)
        assert code == 1 and "this program, such as %s: give a new folder." % mine in errors
        (path / mine).rmdir()


def test_runs_from_elsewhere_and_warns_of_what_was_not_ranked(folder, tmp_path):
    content = (folder / "labels.csv").read_text()
    count = len({line.split(",")[0] for line in content.split()})
    (tmp_path / "labels.csv").write_text(content + "".join("w%d:0,3,1\n" % video for video in range(count)))
    errors = runner.succeed("explore", cwd=tmp_path, **flags(
        folder, label_cache="labels.csv", output_dir="out/explore/"))
    told = '%d of the %d rated segments, such as "w0:0", are in no list' % (count, 2 * count)
    assert "WARNING: All files: " + told in errors
    assert told.replace('"', "&#34;") in (tmp_path / "out" / "explore" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("changes,told", [
    (dict(output_dir=""), "--output_dir is empty: say where the pages go."),
    (dict(input_files=""), "--input_files is empty"),
    (dict(segment_scores="nowhere*"), "No file matches --segment_scores=nowhere*"),
    (dict(segment_scores="{}/bad_scores.csv"), "bad_scores.csv, line 1: \"v00:0,3\" is not VIDEO:START"),
    (dict(video_ids_file="{}/names.csv"), "names.csv, line 1: \"Index,Name\" is not a video of the data set"),
    (dict(video_ids_file="{}/twice.csv"), "twice.csv, line 2: the video \"v00\" has another YouTube id in a line"),
    (dict(vocabulary_file="{}/labels.csv"), "labels.csv, line 1: there is no header"),
    (dict(label_cache=None), "There are no ratings to evaluate against"),
    (dict(label_cache="{}/other.csv"), "none of the segments is rated; the 1 ratings"),
    (dict(input_files="{}/labels.csv"), "labels.csv, line 1: "),
    (dict(output_dir="{}/labels.csv"), "labels.csv exists already and holds more than pages")])
def test_bad_input_gets_a_sentence_and_leaves_nothing(folder, tmp_path, changes, told):
    (folder / "bad_scores.csv").write_text("v00:0,3\n")
    (folder / "twice.csv").write_text("v00,dQw4w9WgXcQ\nv00,dQw4w9WgXcR\n")
    (folder / "other.csv").write_text("x:0,3,1\n")
    changes = {name: value.replace("{}", str(folder)) if value else value for name, value in changes.items()}
    code, errors = runner.run("explore", **flags(folder, **dict(dict(output_dir=tmp_path / "explore"), **changes)))
    assert code == 1 and told in errors.splitlines()[-1] and "Traceback" not in errors, errors
    assert not os.listdir(str(tmp_path))
