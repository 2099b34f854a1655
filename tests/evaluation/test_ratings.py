"""The last of several ratings counts, and the cache keeps ratings unchanged."""
import types

import numpy as np
import pytest

from src.common.errors import InputError
from src.evaluation import ratings
from tests import records


def rows(found):
    return list(zip(*(column.tolist() for column in found)))


def test_the_last_of_several_ratings_counts():
    found = ratings.create(np.array([b"a:0", b"a:0", b"b:5", b"a:0"], object), [7, 8, 7, 7], [1, 1, 0, 0])
    assert rows(found) == [(b"a:0", 8, 1), (b"b:5", 7, 0), (b"a:0", 7, 0)]
    assert found.segment_ids.dtype.kind == "S"


def test_the_cache_gives_back_what_was_written(tmp_path):
    path = tmp_path / "new" / "ratings.csv"
    written = ratings.create(np.array([b"abcd:35", b"a:0"]), [1135, 7], np.array([1, 0], "f4"))
    ratings.write_cache(str(path), written)
    assert path.read_text() == "abcd:35,1135,1\na:0,7,0\n"
    for read, expected in zip(ratings.read_cache(str(path)), written):
        np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("header", ["", "segment_id,label,score\n", "\ufeff", "\ufeffsegment_id,label,score\r\n"])
def test_a_header_and_other_programs_spellings_are_accepted(tmp_path, header):
    path = tmp_path / "ratings.csv"
    path.write_bytes((header + "abcd:35,1135,1.0\r\na:0,7,0.\n\nabcd:35,1135,0.0").encode())
    assert rows(ratings.read_cache(str(path))) == [(b"a:0", 7, 0), (b"abcd:35", 1135, 0)]


@pytest.mark.parametrize("line", ["abcd:35,1135", "abcd:35,1135,1,1", "abcd:35,x,1", "abcd:35,-1,1", "abcd:35,7,0.5",
                                  "abcd:35,7,2", "abcd:35,7,nan", "abcd:x,7,1", "abcd,7,1", "x", "abcd:11,7,1",
                                  "a:5,1234567890,1", "segment_id,label,score"])
def test_malformed_lines_are_named(tmp_path, line):
    path = tmp_path / "ratings.csv"
    path.write_text("a:0,7,1\n" + line + "\n")
    with pytest.raises(InputError) as error:
        ratings.read_cache(str(path))
    assert str(error.value).startswith('%s, line 2: "%s" is not segment_id,label,score' % (path, line))


def test_a_label_that_is_no_class_is_named(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text("a:0,11,1\na:0,12,1\n")
    with pytest.raises(InputError, match="ratings.csv, line 2: the label 12 is outside 0..11: check --num_classes"):
        ratings.read_cache(str(path), 12)
    assert len(ratings.read_cache(str(path), 13).labels) == 2


@pytest.mark.parametrize("line", ["abcd:35,x,1", "abcd:35 7 1", "abcd:35,7", "id,label,score", "a,7,1",
                                  "v" * 65 + ":5,7,1", "a:" + 10000 * "5" + ",7,1"])
def test_a_malformed_first_line_is_no_header(tmp_path, line):
    path = tmp_path / "ratings.csv"
    path.write_text(line + "\na:0,7,1\n")
    with pytest.raises(InputError, match="line 1") as error:
        ratings.read_cache(str(path))
    assert len(str(error.value)) < 400


def test_an_empty_and_a_missing_cache_are_named(tmp_path):
    path = tmp_path / "ratings.csv"
    with pytest.raises(InputError, match="ratings.csv does not exist"):
        ratings.read_cache(str(path))
    path.write_text("segment_id,label,score\n")
    with pytest.raises(InputError, match="ratings.csv holds no ratings"):
        ratings.read_cache(str(path))


def test_a_rating_in_records_between_segments_is_named(tmp_path):
    record = records.frame_level(b"abcd", *records.random_frames(0, 20), labels=[7], ratings=[(5, 7, 1), (11, 7, 0)])
    records.write(tmp_path / "validate0000.tfrecord", [record])
    args = types.SimpleNamespace(label_cache=str(tmp_path / "cache.csv"), num_classes=3862, holdout_shards=300,
                                 num_folds=None, fold=None,
                                 eval_data_pattern=str(tmp_path / "validate*"))
    with pytest.raises(InputError, match='the segment "abcd:11" is rated, but segments start only every 5 seconds'):
        ratings.find(args)
    assert not (tmp_path / "cache.csv").exists()
