"""Ranked lists of different videos, joined rank by rank."""
import itertools

import numpy as np
import pytest

from src.common.errors import InputError
from src.submission import joining
from src.submission import ranked_csv


def ids(text):
    return ranked_csv.split(text, "text")


@pytest.mark.parametrize("lists, expected", [
    ([b"a:0 a:5 a:10", b"b:0", b"c:5 c:0"], b"a:0 b:0 c:5 a:5 c:0 a:10"),
    ([b"b:0", b"a:0 a:5 a:10"], b"b:0 a:0 a:5 a:10"), ([b"", b"a:0 a:5"], b"a:0 a:5"), ([b"a:0"], b"a:0"),
    ([b"avideoidof20letters!:0", b"b:0"], b"avideoidof20letters!:0 b:0")])
def test_each_rank_of_all_lists_comes_before_the_next_one(lists, expected):
    joined = joining.join([ids(one) for one in lists], ["List"] * len(lists))
    assert joined.tolist() == expected.split(b" ")


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_plain_method(seed):
    random = np.random.RandomState(seed)
    lists = [[b"v%d:%d" % (number, 5 * start) for start in random.permutation(random.randint(1, 40))]
             for number in range(random.randint(1, 6))]
    plain = [one for rank in itertools.zip_longest(*lists) for one in rank if one]
    assert joining.join([np.array(one) for one in lists], ["List"] * len(lists)).tolist() == plain


def write(folder, name, text):
    (folder / name).write_text("Class,Segments\n" + text)
    return str(folder / name)


def test_files_are_joined_class_by_class_and_nothing_is_cut_off(tmp_path):
    long = " ".join("a:%d" % (5 * start) for start in range(120000))
    paths = [write(tmp_path, "one.csv", "3,%s\n7,a:0\n" % long), write(tmp_path, "two.csv", "2,b:5\n3,b:0 b:5\n")]
    joining.join_files(paths, str(tmp_path / "out.csv"))
    first, *rest = long.split(" ")
    assert (tmp_path / "out.csv").read_text() == "Class,Segments\n2,b:5\n3,%s\n7,a:0\n" % " ".join(
        [first, "b:0", rest[0], "b:5"] + rest[1:])


def test_a_segment_in_two_lists_is_refused_and_both_are_named(tmp_path):
    paths = [write(tmp_path, "one.csv", "3,a:0\n5,a:0 a:5\n"), write(tmp_path, "two.csv", "3,b:0\n"),
             write(tmp_path, "three.csv", "3,b:5\n4,d:0\n5,c:0 a:5\n")]
    with pytest.raises(InputError) as error:
        joining.join_files(paths, str(tmp_path / "out.csv"))
    assert str(error.value) == (
        '%s, line 3 and %s, line 4 both rank the segment "a:5": join lists of different videos, such as those that a '
        "model's folds hold out." % (paths[0], paths[2]))
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("text, told", [("3,b:0 b:0", "segment \"b:0\" occurs twice"), ("3,b:1", "is not of the form")])
def test_malformed_lists_are_refused(tmp_path, text, told):
    paths = [write(tmp_path, "one.csv", "3,a:0\n"), write(tmp_path, "two.csv", text + "\n")]
    with pytest.raises(InputError, match=told):
        joining.join_files(paths, str(tmp_path / "out.csv"))
