"""Text files of any editor: marks and line ends make no difference, and no line takes all memory."""
import bz2
import gzip
import io
import lzma
import tracemalloc

import pytest

from src.common import text
from src.common.errors import InputError

LINES = [b"first", b"second,line", b" third ", b"\xef\xbb\xbffourth"]


def as_written(mark, end, last_end):
    return (b"\xef\xbb\xbf" if mark else b"") + end.join(LINES) + (end if last_end else b"")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "some.txt")


def write(path, content):
    with open(path, "wb") as stream:
        stream.write(content)


@pytest.mark.parametrize("block_bytes", [1, 2, 7, 1 << 20])
@pytest.mark.parametrize("last_end", [False, True])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n", b"\r\n\r\n"])
@pytest.mark.parametrize("mark", [False, True])
def test_marks_and_line_ends_mean_nothing(path, monkeypatch, mark, end, last_end, block_bytes):
    monkeypatch.setattr(text, "BLOCK_BYTES", block_bytes)
    content, step = as_written(mark, end, last_end), end.count(b"\n")
    write(path, content)
    assert list(text.lines(path)) == [(1 + step * place, line) for place, line in enumerate(LINES)]
    assert list(text.lines(path, header=b"first"))[0] == (1 + step, b"second,line")
    for number, start, length, beginning in text.located(io.BytesIO(content), path, None, 100, 4):
        line = LINES[(number - 1) // step]
        assert content[start:start + length].rstrip(b"\r") == line
        assert beginning == line[:1 if mark and number == 1 else 4]


def test_lines_may_end_in_cr_alone(path):
    write(path, b"Class, Segments\r3,a:0 b:0\r\r5,a:0\r")
    assert list(text.lines(path, header=b"Class,Segments")) == [(2, b"3,a:0 b:0"), (4, b"5,a:0")]


@pytest.mark.parametrize("header", [b"class,segments", b"Class, Segments", b" CLASS ,Segments ", b'"Class","Segments"'])
def test_a_header_is_known_in_any_spelling(path, header):
    write(path, header + b"\n3,a:0\n")
    assert list(text.lines(path, header=b"Class,Segments")) == [(2, b"3,a:0")]
    assert len(list(text.lines(path))) == 2


@pytest.mark.parametrize("name, compress", [("gzip", gzip.compress), ("bzip2", bz2.compress), ("xz", lzma.compress)])
def test_a_compressed_file_is_named(path, name, compress):
    write(path, compress(b"3,a:0\n" * 100000))
    with pytest.raises(InputError, match="some.txt is compressed with %s and no text: unpack it" % name):
        next(text.lines(path))


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n\r\n", b"\xef\xbb\xbfhead\r\n", b"\n\nhead"])
def test_a_file_of_nothing_but_a_header_has_no_lines(path, content):
    write(path, content)
    assert list(text.lines(path, header=b"head")) == []


def test_a_header_stands_above_or_is_a_line(path):
    write(path, b"head\nhead\n")
    assert list(text.lines(path, header=b"head")) == [(2, b"head")]


def test_a_line_that_is_too_long_is_named_before_it_is_read(path):
    write(path, b"short\n" + b"x" * 50000000)
    tracemalloc.start()
    with pytest.raises(InputError, match="some.txt, line 2 is longer than 65,536 bytes, which no such line is"):
        list(text.lines(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * text.BLOCK_BYTES


@pytest.mark.parametrize("length, fits", [(10, True), (11, False)])
@pytest.mark.parametrize("end", [b"", b"\n", b"\nmore"])
def test_the_longest_line(path, length, fits, end):
    write(path, b"x" * length + end)
    if fits:
        assert next(text.lines(path, line_bytes=10)) == (1, b"x" * length)
    else:
        with pytest.raises(InputError, match="line 1 is longer than 10 bytes"):
            list(text.lines(path, line_bytes=10))


@pytest.mark.parametrize("digits, number", [
    (b"0", 0), (b" 7 ", 7), (b"007", 7), (b"999999999", 999999999), (b"1000000000", None), (b"9" * 10000, None),
    (b"", None), (b"-1", None), (b"1.0", None), (b"1e3", None), ("\u0661".encode(), None), (b"1 2", None)])
def test_whole_numbers(digits, number):
    assert text.whole_number(digits) == number
