"""The report of ranked CSVs: tests/programs ask the programs that print it."""
import collections

import numpy as np
import pytest

from src.evaluation import ranking_metrics
from src.evaluation import ratings
from src.submission import published
from src.submission import report
from src.submission.report import Report

RATED = ratings.create([b"a:0", b"a:5", b"b:0", b"b:5"], [7, 7, 9, 9], [1, 0, 0, 1])


@pytest.fixture(name="paths")
def three_files(tmp_path):
    """{name: path}: all rated segments, those of one class, and none."""
    texts = {"all": "7,a:0 a:5\n9,b:0 x:0 b:5\n", "some": "7,a:5 a:0\n", "none": "7,x:0\n"}
    for name, text in texts.items():
        (tmp_path / (name + ".csv")).write_text(text)
    return {name: str(tmp_path / (name + ".csv")) for name in texts}


def headings(*paths):
    return collections.OrderedDict((path, "AP of " + path[-8:]) for path in paths)


def test_each_file_has_its_map_and_the_classes_of_the_best_are_printed(paths, capsys, tmp_path):
    found = Report(headings(paths["some"], paths["none"], paths["all"]), RATED, 1000)
    assert list(found.means.values()) == [.25, None, .75]
    assert found.precisions[paths["all"]] == {7: 1.0, 9: .5}
    found.print_means()
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["file", "mAP"], [paths["some"], "0.250000"], [paths["none"], "-"], [paths["all"], "0.750000"]]
    found.print_classes({9: "Bus"})
    printed = capsys.readouterr().out
    assert "best classes  class  ratings  positives  AP of /all.csv\nclass 7  " in printed and "\nBus  " in printed
    assert printed.endswith("rated segments: 4, in none of the lists: 0\n")
    found.write(str(tmp_path / "classes.csv"), {9: "Bus"})
    assert (tmp_path / "classes.csv").read_text() == (
        "class,name,ratings,positives,AP of some.csv,AP of /all.csv\n7,,2,1,0.500000,1.000000\n"
        "9,Bus,2,1,0.000000,0.500000\n")


def test_a_single_file_without_a_rated_segment_is_refused(paths):
    with pytest.raises(ranking_metrics.NothingRated, match="^%s: none of the segments" % paths["none"]):
        Report(headings(paths["none"]), RATED, 1000)


def test_files_of_other_classes_are_refused_or_warned_of(paths, tmp_path, caplog, capsys):
    (tmp_path / "other.csv").write_text("12,a:0 b:0\n")
    other, told = str(tmp_path / "other.csv"), "other.csv: none of its classes such as 12 has a positive rating"
    with pytest.raises(ranking_metrics.NothingRated, match=told):
        Report(headings(paths["none"], other), RATED, 1000)
    found = Report(headings(other, paths["some"]), RATED, 1000)
    assert list(found.means.values()) == [None, .25] and told in caplog.text
    found.print_classes({})
    assert "\nclasses with a positive rating and no list: 1 (9)\n" in capsys.readouterr().out


def test_the_cut_of_a_submission_is_scaled_to_the_segments_of_all_lists(tmp_path):
    """2,062,258 / 100,000 = 20.62; of 50 segments 2.42 are kept, of 60 2.91, of 8 at least one."""
    ids = ["v%d:%d" % (number, start) for number in range(6) for start in range(0, 50, 5)]
    paths = [tmp_path / "one.csv", tmp_path / "two.csv"]
    paths[0].write_text("7,%s\n9,%s\n" % (" ".join(ids[:40]), " ".join(ids[20:50])))
    paths[1].write_text("7,%s\n" % " ".join(reversed(ids[35:])))
    paths = list(map(str, paths))
    assert report.scaled_cut(paths[:1]) == (2, 50) and report.scaled_cut(paths) == (3, 60)
    (tmp_path / "few.csv").write_text("7,%s\n" % " ".join(ids[:8]))
    assert report.scaled_cut([str(tmp_path / "few.csv")]) == (1, 8)
    assert abs(published.SEGMENTS / published.TEST_SEGMENTS - .0485) < 5e-5


def test_only_the_first_segments_of_a_list_count(paths):
    assert Report(headings(paths["all"]), RATED, 2).means[paths["all"]] == np.mean([1, 0])
