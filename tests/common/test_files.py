"""Files are found by their exact names, and an unreadable file is not called missing."""
import os

import pytest

from src.common import atomic
from src.common import files
from src.common.errors import InputError
from src.common.text import lines
from tests import forked

NOBODY = 65534


def write(path, content=""):
    os.makedirs(os.path.dirname(str(path)), exist_ok=True)
    with open(str(path), "w") as stream:
        stream.write(content)


# Names.


@pytest.mark.parametrize("folder", ["run[1]", "a*b", "what?", "back\\slash", "[!x]/[a-z]"])
def test_what_is_there_by_its_very_name_is_no_glob(tmp_path, folder):
    for name in "out.csv", "out[1].csv", "out1.csv", "other*":
        write(tmp_path / folder / name)
    write(tmp_path / "run1" / "out.csv")
    where = str(tmp_path / folder) + "/"
    assert files.find(where + "out[1].csv", "f") == [where + "out[1].csv"]
    assert files.find(where + "other*", "f") == [where + "other*"]
    assert files.find(where + "out*", "f") == [where + "out.csv", where + "out1.csv", where + "out[1].csv"]
    assert files.find(where + "out[0-9].csv", "f") == [where + "out1.csv"]


def test_globs_of_folders_are_globs(tmp_path):
    for folder in "run1", "run2", "other":
        write(tmp_path / folder / "out.csv")
    expected = [str(tmp_path / folder / "out.csv") for folder in ("run1", "run2")]
    assert files.find(str(tmp_path / "run[0-9]" / "*.csv"), "f") == expected
    assert files.find(str(tmp_path / "r*" / "out.csv"), "f") == expected


def test_a_name_that_is_not_utf8_is_said_to_be_so(tmp_path):
    write(tmp_path / "a.csv")
    open(os.fsencode(str(tmp_path)) + b"/\xff.csv", "w").close()
    with pytest.raises(InputError, match=r"--f=.*\*.csv matches a name that is not UTF-8: rename the file."):
        files.find(str(tmp_path / "*.csv"), "f")
    assert files.find(str(tmp_path / "a*.csv"), "f") == [str(tmp_path / "a.csv")]
    assert "a.csv" in files.names(str(tmp_path))


def test_a_comma_list_is_split_unless_a_path_has_its_commas(tmp_path, monkeypatch):
    monkeypatch.chdir(str(tmp_path))
    for name in "Bach, J. S./one.csv", "Bach, J. S./two.csv", "a,b.csv", "a", "c.csv", "d.csv":
        write(tmp_path / name)
    assert files.split("Bach, J. S./one.csv,c.csv, a,b.csv ,d.csv") == [
        "Bach, J. S./one.csv", "c.csv", "a,b.csv", "d.csv"]
    assert files.split("Bach, J. S./*.csv,a,?.csv") == ["Bach, J. S./*.csv", "a", "?.csv"]
    assert files.split("x,y.csv,*.csv") == ["x", "y.csv", "*.csv"] and files.split("c.csv,,d.csv,") == [
        "c.csv", "", "d.csv", ""]
    assert files.split("gs://bucket/a,gs://bucket/b") == ["gs://bucket/a", "gs://bucket/b"]


def test_no_name_is_too_long_to_be_missing(tmp_path):
    assert not files.exists(str(tmp_path / (1000 * "a"))) and files.glob(str(tmp_path / ("[" + 1000 * "a" + "]"))) == []


# Permissions.


@pytest.fixture
def forbidden(tmp_path):
    """A folder that only its owner may enter, with a file that only its owner may read."""
    folder = tmp_path / "forbidden"
    write(folder / "file.csv", "text")
    os.chmod(str(folder / "file.csv"), 0o600)
    while tmp_path != tmp_path.parent:
        os.chmod(str(tmp_path), os.stat(str(tmp_path)).st_mode | 0o055)
        tmp_path = tmp_path.parent
    os.chmod(str(folder), 0o700)
    return folder


def as_nobody(function, *arguments):
    """The value that an unprivileged user gets, or the InputError's sentence."""
    def run():
        if not os.getuid():
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        try:
            return function(*arguments)
        except InputError as error:
            return str(error)

    return forked.call(run)


@pytest.mark.skipif(bool(os.getuid()), reason="only root may become another user, to whom permissions apply")
@pytest.mark.parametrize("function, name", [
    (files.exists, "file.csv"), (files.names, "."), (files.names, "below"),
    (lambda path: files.find(path, "f"), "*.csv"), (lambda path: files.find(path, "f"), "below/*.csv"),
    (lambda path: files.find(path, "f"), "file.csv"),
    (files.read_json, "file.csv"), (lambda path: list(lines(path)), "file.csv"), (atomic.check_writable, "new.csv")])
def test_what_may_not_be_read_is_not_said_to_be_missing(forbidden, function, name):
    sentence = as_nobody(function, os.path.join(str(forbidden), name))
    assert sentence.startswith(str(forbidden)) and "Permission denied" in sentence and sentence.endswith(".")


# Pipes.


@pytest.mark.parametrize("read", [files.read_json, lambda path: list(lines(path)), lambda path: files.find(path, "f"),
                                  lambda path: files.find(path[:-1] + "*", "f")])
def test_a_pipe_is_not_waited_for(tmp_path, read):
    os.mkfifo(str(tmp_path / "pipe"))
    with pytest.raises(InputError, match="pipe is a pipe, which cannot be read here: give a file."):
        read(str(tmp_path / "pipe"))


# JSON.


@pytest.mark.parametrize("content, value", [
    (b'{"a": [1, "\xc3\xa4"]}', {"a": [1, "\u00e4"]}), (b"\xef\xbb\xbf5\r\n", 5)])
def test_json_is_read_with_or_without_a_mark(tmp_path, content, value):
    (tmp_path / "file.json").write_bytes(content)
    assert files.read_json(str(tmp_path / "file.json")) == value


@pytest.mark.parametrize("content, sentence", [
    (b"[" * 100000, r"is not valid JSON \(nested too deeply\): restore or delete it."),
    (b'{"a":' * 100000, r"is not valid JSON \(nested too deeply\): restore or delete it."),
    (b"\xff\xfe{\x00}\x00", r"is not valid JSON \('utf-8' codec can't decode"),
    (b'{"a": 1' + 5000 * b"0" + b"}", r"is not valid JSON \(a number of 5001 digits\): restore"),
    (b'{"a": 1', "is not valid JSON"), (b"", "is not valid JSON"),
    (b"{" + b" " * (16 << 20) + b"}", "is larger than 16 MB")],
    ids=["arrays", "objects", "UTF-16", "digits", "cut off", "empty", "large"])
def test_what_is_no_json_is_named(tmp_path, content, sentence):
    (tmp_path / "file.json").write_bytes(content)
    with pytest.raises(InputError, match="file.json " + sentence) as error:
        files.read_json(str(tmp_path / "file.json"))
    assert len(str(error.value)) < 400
