"""Errors of the operating system become sentences with the file's name and the right remedy, whoever raises them."""
import contextlib
import os
import pickle
import resource
import tarfile
import tempfile

import pytest
import tensorflow as tf

from src.common import atomic
from src.common import files
from src.common import processes
from src.common import sentences
from src.data import framing
from src.data import survey
from tests import forked
from tests import records

LOOP = "Too many levels of symbolic links: remove the symbolic link that leads to itself."
LONG = "File name too long: give a shorter name."
FILES = "Too many open files: raise the limit on open files (ulimit -n 4096)."
LARGE = "File too large: raise the limit on the size of files (ulimit -f)"


def sentence(function, *arguments):
    """The sentence about the error that a function raises."""
    with pytest.raises(Exception) as raised:
        function(*arguments)
    return sentences.of(raised.value)


def limited(limit, value, function, *arguments):
    """The sentence about the error that a function raises in a process with a limit."""
    def run():
        resource.setrlimit(limit, (value, value))
        try:
            function(*arguments)
        except Exception as error:  # pylint: disable=broad-except
            return sentences.of(error)
        raise AssertionError("the limit does not matter")

    return forked.call(run)


def write(path, size=1):
    with atomic.replacing(path, "wb") as stream:
        stream.write(bytes(size))


def open_many(opened, path):
    """Opens a file time and again."""
    kept = []
    for _ in range(100):
        kept.append(opened(path))
        kept[-1].read(1)


@pytest.mark.parametrize("function", [
    files.read_json, files.exists, files.names, tarfile.open, open, os.listdir, lambda path: tf.io.gfile.stat(path)],
    ids=["read_json", "exists", "names", "tarfile", "open", "listdir", "stat"])
def test_a_link_to_itself(tmp_path, function):
    (tmp_path / "loop").symlink_to("loop")
    told = sentence(function, str(tmp_path / "loop"))
    assert told.startswith(str(tmp_path / "loop")) and told.endswith(LOOP)


@pytest.mark.parametrize("function", [write, files.names, atomic.check_writable, files.read_json, os.mkdir],
                         ids=["write", "names", "check_writable", "read_json", "mkdir"])
@pytest.mark.parametrize("name", [256 * "a", 20 * (250 * "b" + "/")], ids=["name", "path"])
def test_a_name_that_is_too_long(tmp_path, function, name):
    told = sentence(function, os.path.join(str(tmp_path), name + "c"))
    assert told.startswith(str(tmp_path)) and told.endswith(LONG)


@pytest.mark.parametrize("opened", [lambda path: open(path), lambda path: tf.io.gfile.GFile(path)],
                         ids=["Python", "TensorFlow"])
def test_too_many_files_are_not_called_too_little_memory(tmp_path, opened):
    (tmp_path / "file").write_text("text")
    told = limited(resource.RLIMIT_NOFILE, 50, open_many, opened, str(tmp_path / "file"))
    assert told == "%s; %s" % (tmp_path / "file", FILES)


def test_a_shard_is_not_blamed_for_the_limit_on_open_files(tmp_path):
    def check():
        kept = []
        with contextlib.suppress(OSError):
            while True:
                kept.append(open(os.devnull))
        survey.read_shard(path, survey.FRAME_LEVEL, framing.Checksums())

    path = records.write(tmp_path / "train0000.tfrecord", [b"no record"])
    assert limited(resource.RLIMIT_NOFILE, 50, check).endswith(FILES)  # which file is the first to fail, varies


def test_a_file_that_is_too_large(tmp_path):
    told = limited(resource.RLIMIT_FSIZE, 10, write, str(tmp_path / "out"), 1000000)
    assert told.startswith(str(tmp_path / ".out.")) and told.endswith("; %s." % LARGE)
    assert os.listdir(str(tmp_path)) == []


def test_a_full_temporary_folder_is_not_called_a_killed_process():
    told = limited(resource.RLIMIT_FSIZE, 10000, lambda: list(processes.map_in_order(bytes, [10, 100000], 1)))
    assert told == "The temporary folder %s cannot be written: %s, or name another one in TMPDIR." % (
        tempfile.gettempdir(), LARGE)


def test_too_little_memory():
    assert sentence(bytes, 1 << 60) == "Out of memory: free memory, or raise the limit on it (ulimit -v)."
    assert sentence(list, processes.map_in_order(bytes, [1 << 60], 1)) == sentence(bytes, 1 << 60)


@pytest.mark.parametrize("error, expected", [
    (OSError(28, "No space left on device", "a"), "a; No space left on device: make room on the disk."),
    (OSError(30, "Read-only file system", b"a"), "a; Read-only file system: choose a folder that can be written."),
    (OSError(111, "Connection refused"), "Connection refused: check the path, the disk and the network."),
    (OSError("not a gzip file"), "not a gzip file: check the path, the disk and the network."),
    (tf.errors.UnknownError(None, None, "a; Input/output error"),
     "a; Input/output error: check the disk or the file server."),
    (KeyError("a"), None)], ids=["full", "read-only", "network", "plain", "TensorFlow", "other"])
def test_other_errors(error, expected):
    assert sentences.of(error) == expected
    if isinstance(error, OSError):
        assert sentences.of(pickle.loads(pickle.dumps(error))) == expected
