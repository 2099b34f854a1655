"""Ranked CSVs: reading returns what was written, and errors name the malformed line."""
import os
import tracemalloc

import numpy as np
import pytest

from src.common import text
from src.common.errors import InputError
from src.data import segment_ids
from src.submission import ranked_csv

ROWS = [(102, [b"c2:10", b"b1:0", b"abcd:295"]), (988, []), (3844, [b"a0:5"])]


def as_lists(rows):
    return {class_id: ids.tolist() for class_id, ids in rows.items()}


def write(folder, content):
    path = str(folder / "ranked.csv")
    with open(path, "wb") as stream:
        stream.write(content)
    return path


def test_writes_the_submission_format(tmp_path):
    path = str(tmp_path / "new" / "ranked.csv")
    ranked_csv.write(path, ((class_id, np.array(ids, "S")) for class_id, ids in ROWS))
    with open(path, "rb") as stream:
        assert stream.read() == b"Class,Segments\n102,c2:10 b1:0 abcd:295\n988,\n3844,a0:5\n"
    assert as_lists(ranked_csv.read(path)) == dict(ROWS)


def test_writes_lists_too(tmp_path):
    path = str(tmp_path / "ranked.csv")
    ranked_csv.write(path, ROWS)
    assert as_lists(ranked_csv.read(path)) == dict(ROWS)


@pytest.mark.parametrize("content", [
    b"Class,Segments\n102,c2:10 b1:0 abcd:295\n988,\n3844,a0:5\n",
    b"102,c2:10 b1:0 abcd:295\n988,\n3844,a0:5\n",
    b"Class,Segments\r\n102,c2:10 b1:0 abcd:295 \r\n988, \r\n3844,a0:5",
    b"\xef\xbb\xbf102,c2:10 b1:0 abcd:295\n988,\n3844,a0:5\n",
    b"\xef\xbb\xbfClass,Segments\r\n102,c2:10 b1:0 abcd:295\r\n988,\r\n3844,a0:5\r\n",
    b"988,\n\n3844,a0:5\n102,c2:10 b1:0 abcd:295\n\n"])
def test_header_line_ends_and_row_order_are_free(tmp_path, content):
    path = write(tmp_path, content)
    assert as_lists(ranked_csv.read(path)) == dict(ROWS)
    assert all(ids.dtype.kind == "S" for _, ids in ranked_csv.iterate(path))


@pytest.mark.parametrize("line, sentence", [
    (b"988", '"988" has no comma'),
    (b"x12,a0:5", '"x12" is no class'),
    (b"-5,a0:5", '"-5" is no class'),
    (b",a0:5", '"" is no class'),
    (b"Class,Segments", '"Class" is no class'),
    (b"7" * 5000 + b",a0:5", '"%s..." is no class: give a whole number of at most nine digits' % (60 * "7")),
    (b" " * 200 + b"7,a0:5", "is no class"),
    (b"102,a0:5", "class 102 already has line 2"),
    (b"5,a0:5 a0:10 b1:0 a0:10 b1:0", 'segment "a0:10" occurs twice'),
    (b"5,videoidlong:295 a0:5 videoidlong:295", 'segment "videoidlong:295" occurs twice'),
    (b"5,a0:5 a010 a0:15", 'segment "a010" is not of the form VIDEO:START'),
    (b"5,35 a0:15", 'segment "35" is not of the form'),
    (b"5,v03082:11 a0:15", 'segment "v03082:11" is not of the form VIDEO:START with START in whole seconds, a mul'),
    (b"5,a0:15 v03082:11", 'segment "v03082:11" is not of the form'),
    (b"5,a0:10 v03082:1 a:0", 'segment "v03082:1" is not of the form'),
    (b"5,a0:5 a0: a0:15", 'segment "a0:" is not of the form'),
    (b"5,a0:5 :10", 'segment ":10" is not of the form'),
    (b"5,:10", 'segment ":10" is not of the form'),
    (b"5,a0:5 a0:1x", 'segment "a0:1x" is not of the form'),
    (b"5,a0:5 a0:-5", 'segment "a0:-5" is not of the form'),
    (b"5,a0:5 a0:1.5", 'segment "a0:1.5" is not of the form'),
    (b"5,a0:5 a:0:5", 'segment "a:0:5" is not of the form'),
    (b"5,a0:5,b1:0", 'segment "a0:5,b1:0" is not of the form'),
    (b"5,a0:5 b,1:0", 'segment "b,1:0" is not of the form'),
    (b"5,a0:5  a0:10", 'segment "" is not of the form'),
    (b"5,a\0b:5", 'segment "a\\x00b:5" is not of the form'),
    (b"5,a0:5 b\x7f:5", 'segment "b\\x7f:5" is not of the form'),
    (b"5,a0:5 b\t1:5", 'segment "b\\x091:5" is not of the form'),
    (b"5,a0:5 a0:12345678x", 'segment "a0:12345678x" is not of the form'),
    (b"5,a0:5 a0 b:1:5", 'segment "a0" is not of the form'),
    (b"5,a0:5 " + 100 * b"v" + b":5", 'segment "%s..." is not of the form' % (60 * "v")),
    (b"5,\xff\xfe", "is not of the form")])
def test_malformed_lines_are_named(tmp_path, line, sentence):
    path = write(tmp_path, b"Class,Segments\n102,c2:10 b1:0\n" + line + b"\n3844,a0:5\n")
    with pytest.raises(InputError) as error:
        ranked_csv.read(path)
    assert str(error.value).startswith("%s, line 3: " % path)
    assert sentence in str(error.value) and len(str(error.value)) < 400
    if "class" in sentence or "comma" in sentence:
        with pytest.raises(InputError) as located:
            ranked_csv.Rows(path)
        assert str(located.value) == str(error.value)


@pytest.mark.parametrize("read", [ranked_csv.read, ranked_csv.Rows])
@pytest.mark.parametrize("content", [b"", b"Class,Segments\n", b"\n"])
def test_a_file_without_rows_is_named(tmp_path, content, read):
    path = write(tmp_path, content)
    with pytest.raises(InputError, match="ranked.csv holds no ranked class"):
        read(path)


@pytest.mark.parametrize("read", [ranked_csv.read, ranked_csv.Rows])
def test_a_missing_file_and_a_folder_are_named(tmp_path, read):
    with pytest.raises(InputError, match="absent.csv does not exist"):
        read(str(tmp_path / "absent.csv"))
    with pytest.raises(InputError, match="%s cannot be read" % tmp_path):
        read(str(tmp_path))


@pytest.mark.parametrize("read", [ranked_csv.read, ranked_csv.Rows])
@pytest.mark.parametrize("content", [b"Class,Segments\n5,", b"5"])
def test_a_row_of_all_memory_is_refused_at_once(tmp_path, content, read):
    path = write(tmp_path, content)
    os.truncate(path, 300000000)  # zeros, which take no disk
    bound = ranked_csv.MAX_SEGMENTS * (segment_ids.MAX_BYTES + 1)
    tracemalloc.start()
    with pytest.raises(InputError, match="line [12] is longer than {:,} bytes".format(bound)):
        read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * bound


@pytest.mark.parametrize("block_bytes", [1, 7, 1 << 20])
@pytest.mark.parametrize("content", [
    b"Class,Segments\n102,c2:10 b1:0 abcd:295\n988,\n3844,a0:5\n",
    b"\xef\xbb\xbf3844,a0:5\r\n102,c2:10 b1:0 abcd:295\r\n988,\r\n",
    b"3844, a0:5 \r\n\n102,c2:10 b1:0 abcd:295\r\n988,"])
def test_rows_are_read_by_class(tmp_path, monkeypatch, content, block_bytes):
    monkeypatch.setattr(text, "BLOCK_BYTES", block_bytes)
    rows = ranked_csv.Rows(write(tmp_path, content))
    assert sorted(rows.classes) == [102, 988, 3844]
    for class_id, ids in reversed(ROWS):
        segments, where = rows.read(class_id)
        assert segments == b" ".join(ids)
        lines = content.replace(b"\xef\xbb\xbf", b"").split(b"\n")
        assert where.endswith("ranked.csv, line %d" % (
            1 + [line.startswith(b"%d," % class_id) for line in lines].index(True)))
    assert rows.read(5)[0] == b""


def test_ids_of_all_widths_are_read_and_written(tmp_path):
    ids = [b"%s:%d" % (b"v" * (1 + number % 64), 5 * number) for number in range(997)]
    path = str(tmp_path / "ranked.csv")
    ranked_csv.write(path, [(5, ids)])
    assert as_lists(ranked_csv.read(path)) == {5: ids}
    with open(path, "rb") as stream:
        assert stream.read() == b"Class,Segments\n5," + b" ".join(ids) + b"\n"


@pytest.mark.parametrize("block_bytes", [1, 7, 1 << 20])
def test_lines_come_whole_however_the_file_is_read(tmp_path, monkeypatch, block_bytes):
    monkeypatch.setattr(text, "BLOCK_BYTES", block_bytes)
    path = write(tmp_path, b"first\n\nsecond,line\r\n\nlast")
    assert list(text.lines(path)) == [(1, b"first"), (3, b"second,line"), (5, b"last")]


def test_a_failed_write_leaves_the_old_file_alone(tmp_path):
    path = write(tmp_path, b"5,a0:5\n")

    def rows():
        yield ROWS[0]
        raise InputError("the scores ended")

    with pytest.raises(InputError, match="the scores ended"):
        ranked_csv.write(path, rows())
    with pytest.raises(ValueError, match="class 102 comes after class 988"):
        ranked_csv.write(path, [ROWS[1], ROWS[0]])
    with pytest.raises(ValueError, match="class 988 comes after class 988"):
        ranked_csv.write(path, [ROWS[1], ROWS[1]])
    assert os.listdir(str(tmp_path)) == ["ranked.csv"]
    assert as_lists(ranked_csv.read(path)) == {5: [b"a0:5"]}


def test_reading_takes_memory_for_one_row_at_a_time(tmp_path):
    path, ids = str(tmp_path / "ranked.csv"), [b"v%d:%d" % divmod(5 * number, 300) for number in range(20000)]
    row_bytes = len(b" ".join(ids))
    ranked_csv.write(path, ((class_id, ids) for class_id in range(50)))
    for _ in ranked_csv.iterate(path):  # imports and caches out of the way
        break
    tracemalloc.start()
    assert sum(len(row) for _, row in ranked_csv.iterate(path)) == 1000000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 25 * row_bytes + 4 * text.BLOCK_BYTES
