"""The figures of classes: the best and the worst on the terminal, all of them in a CSV."""
import collections

import numpy as np

from src.evaluation import classes
from src.evaluation import ratings

NAMES = {3: "Car", 4: 'Say "hi", twice'}


def test_of_many_classes_the_best_and_the_worst_are_printed(capsys):
    counts = classes.Counts(np.arange(12), np.arange(12) + 10, np.r_[0, 0, np.arange(2, 12)])
    classes.print_extremes(NAMES, counts, {label: label / 100 for label in range(2, 12)}, "AP of one.csv")
    printed = capsys.readouterr().out.split("\n\n")
    best, worst = (block.strip().splitlines() for block in printed[:2])
    assert best[0].split() == "best classes class ratings positives AP of one.csv".split()
    assert worst[0].split() == "worst classes class ratings positives AP of one.csv".split()
    assert [line.split()[-4:] for line in best[1:]] == [
        [str(label), str(label + 10), str(label), "%.6f" % (label / 100)] for label in (11, 10, 9, 8, 7)]
    assert [line.split()[-4] for line in worst[1:]] == ["6", "5", "4", "3", "2"]
    assert worst[3].startswith(NAMES[4]) and worst[4].startswith("Car ")
    assert printed[2] == "classes rated: 12, left out for lack of a positive rating: 2\n"


def test_few_classes_are_printed_once(capsys):
    classes.print_extremes({}, classes.Counts(*np.array([[7], [3], [1]])), {7: .5})
    assert "worst" not in capsys.readouterr().out


def test_ratings_are_counted_by_class():
    found = classes.count(ratings.create([b"a:0", b"a:5", b"b:0", b"a:0"], [9, 7, 9, 7], [1, 0, 0, 0]))
    assert [column.tolist() for column in found] == [[7, 9], [2, 2], [0, 1]]


def test_the_csv_has_a_column_per_ranking_and_nothing_where_no_rating_is_positive(tmp_path):
    path = str(tmp_path / "classes.csv")
    counts = classes.Counts(*np.array([[3, 4, 8], [5, 6, 7], [1, 2, 0]]))
    classes.write(path, NAMES, counts, collections.OrderedDict([("AP", {3: .5, 4: 1}), ("other", {4: 1 / 3})]))
    with open(path) as stream:
        assert stream.read() == ('class,name,ratings,positives,AP,other\n3,Car,5,1,0.500000,\n'
                                 '4,"Say ""hi"", twice",6,2,1.000000,0.333333\n8,,7,0,,\n')
