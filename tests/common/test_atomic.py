"""Outputs replace their target whole or not at all, whatever is killed; the next run removes leftovers."""
import multiprocessing
import os
import signal
import socket
import stat
import subprocess

import pytest
import tensorflow as tf

from src.common import atomic
from src.common import exchange
from src.common import files
from src.common import storage
from src.common.errors import InputError

PARTS = "inference_model.data", "inference_model.index", "variables/variables.data"


def make(folder, text):
    for part in PARTS:
        path = os.path.join(folder, part)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as stream:
            stream.write(text)


def replace(folder, text):
    with atomic.replacing_folder(folder) as temporary:
        make(temporary, text)


def contents(folder):
    """{path: text} of all files below a folder."""
    found = {}
    for top, _, names in os.walk(str(folder)):
        for name in names:
            path = os.path.join(top, name)
            with open(path) as stream:
                found[os.path.relpath(path, str(folder))] = stream.read()
    return found


def killed(function, *arguments):
    """Runs a function in a process that must end by SIGKILL."""
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


def kill(*unused, **also_unused):
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(module, name, after, function, *arguments):
    """Calls a function and kills the process when it calls module.name, before or after that does its work."""
    def fatal(*given, **named):
        if after:
            original(*given, **named)
        kill()

    original = getattr(module, name)
    setattr(module, name, fatal)
    function(*arguments)


MOMENTS = [(exchange, "exchange", False), (exchange, "exchange", True), (files, "remove", False),
           (tf.io.gfile, "rmtree", False)]


@pytest.mark.parametrize("module, name, after", MOMENTS)
def test_a_whole_folder_stands_there_whenever_the_process_is_killed(tmp_path, module, name, after):
    folder = str(tmp_path / "model")
    make(folder, "old")
    killed(kill_at, module, name, after, replace, folder, "new")
    assert contents(folder) in [dict.fromkeys(PARTS, "old"), dict.fromkeys(PARTS, "new")]
    replace(folder, "newer")
    assert os.listdir(str(tmp_path)) == ["model"] and contents(folder) == dict.fromkeys(PARTS, "newer")


def test_a_new_folder_appears_whole(tmp_path):
    folder = str(tmp_path / "export" / "step_5")
    killed(kill_at, tf.io.gfile, "rename", False, replace, folder, "new")
    assert not os.path.exists(folder)
    killed(kill_at, tf.io.gfile, "rename", True, replace, folder, "new")
    assert contents(folder) == dict.fromkeys(PARTS, "new")


def test_a_writer_that_fails_leaves_the_old_folder_alone(tmp_path):
    make(str(tmp_path / "model"), "old")
    with pytest.raises(ZeroDivisionError):
        with atomic.replacing_folder(str(tmp_path / "model")) as temporary:
            make(temporary, "new")
            raise ZeroDivisionError
    assert os.listdir(str(tmp_path)) == ["model"] and contents(tmp_path / "model") == dict.fromkeys(PARTS, "old")


def test_without_an_exchange_two_renames_replace_a_folder(tmp_path, monkeypatch):
    def fail(*unused):
        raise OSError

    monkeypatch.setattr(exchange, "exchange", fail)
    make(str(tmp_path / "model"), "old")
    replace(str(tmp_path / "model"), "new")
    assert os.listdir(str(tmp_path)) == ["model"] and contents(tmp_path / "model") == dict.fromkeys(PARTS, "new")


@pytest.mark.parametrize("before", [[], list(PARTS), ["inference_model.data", "inference_model.data-2", "old/part"]])
def test_in_a_bucket_each_file_is_replaced_and_what_is_left_over_goes(tmp_path, monkeypatch, before):
    monkeypatch.setattr(storage, "local", lambda path: None)
    for part in before:
        os.makedirs(os.path.dirname(str(tmp_path / "model" / part)), exist_ok=True)
        (tmp_path / "model" / part).write_text("old")
    moved, rename = [], tf.io.gfile.rename
    monkeypatch.setattr(tf.io.gfile, "rename", lambda source, target, overwrite: [
        moved.append(os.path.relpath(target, str(tmp_path / "model"))), rename(source, target, overwrite)])
    replace(str(tmp_path / "model"), "new")
    assert contents(tmp_path) == {"model/" + part: "new" for part in PARTS}
    assert moved == ["variables/variables.data", "inference_model.data", "inference_model.index"]


def extend(folder, content):
    with atomic.extending_folder(folder) as temporary:
        os.makedirs(temporary)
        for number in range(3):
            with open(os.path.join(temporary, "%s%04d" % (content, number)), "w") as stream:
                stream.write(content)


def shards(content):
    return {"%s%04d" % (content, number): content for number in range(3)}


@pytest.mark.parametrize("module, name, after", [
    (exchange, "exchange", False), (exchange, "exchange", True), (files, "remove", True), (os, "link", True)])
def test_files_are_added_to_a_folder_all_at_once(tmp_path, module, name, after):
    folder = str(tmp_path / "records")
    extend(folder, "train")
    os.chmod(folder, 0o750)
    killed(kill_at, module, name, after, extend, folder, "validate")
    assert contents(folder) in [shards("train"), dict(shards("train"), **shards("validate"))]
    if "validate0000" not in contents(folder):
        extend(folder, "validate")
    extend(folder, "test")
    assert contents(folder) == dict(shards("train"), test0000="test", test0001="test", test0002="test",
                                    **shards("validate"))
    assert os.listdir(str(tmp_path)) == ["records"] and os.stat(folder).st_mode & 0o777 == 0o750


def test_a_file_that_is_written_meanwhile_stays(tmp_path, monkeypatch):
    folder, original = str(tmp_path / "records"), exchange.exchange
    extend(folder, "train")
    monkeypatch.setattr(exchange, "exchange", lambda new, old: [
        (tmp_path / "records" / "notes.txt").write_text("mine"), original(new, old)])
    extend(folder, "test")
    assert contents(folder) == dict(shards("train"), **dict(shards("test"), **{"notes.txt": "mine"}))


@pytest.mark.parametrize("holding", ["a folder", "the current folder", "no exchange"])
def test_where_folders_cannot_be_exchanged_files_are_moved_into_the_same_folder(tmp_path, monkeypatch, holding):
    def fail(*unused):
        raise OSError

    folder = tmp_path / "records"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    if holding == "a folder":
        (folder / "eval").mkdir()
    if holding == "the current folder":
        monkeypatch.chdir(str(folder))
    if holding == "no exchange":
        monkeypatch.setattr(exchange, "exchange", fail)
    before = os.stat(str(folder)).st_ino
    extend(str(folder), "train")
    assert os.stat(str(folder)).st_ino == before and os.listdir(str(tmp_path)) == ["records"]
    assert contents(folder) == dict(shards("train"), **{"notes.txt": "mine"})


def test_no_file_is_overwritten_by_one_that_is_added(tmp_path):
    extend(str(tmp_path / "records"), "train")
    (tmp_path / "records" / "train0002").write_text("mine")
    with pytest.raises(InputError, match="records/train0000 exists already and would be overwritten"):
        extend(str(tmp_path / "records"), "train")
    assert contents(tmp_path / "records")["train0002"] == "mine" and os.listdir(str(tmp_path)) == ["records"]


def test_a_link_stays_and_what_it_points_at_is_replaced(tmp_path):
    make(str(tmp_path / "elsewhere"), "old")
    os.symlink("elsewhere", str(tmp_path / "model"))
    os.symlink(os.path.join("elsewhere", PARTS[0]), str(tmp_path / "file"))
    replace(str(tmp_path / "model"), "new")
    with atomic.replacing(str(tmp_path / "file")) as stream:
        stream.write("newer")
    assert os.path.islink(str(tmp_path / "model")) and os.path.islink(str(tmp_path / "file"))
    assert contents(tmp_path / "elsewhere") == dict(dict.fromkeys(PARTS, "new"), **{PARTS[0]: "newer"})


# Leftovers.


def write_half(path):
    with atomic.replacing(path) as stream:
        stream.write("half")
        stream.flush()
        kill()


@pytest.mark.parametrize("write", [
    lambda path: atomic.write_json(path, 5), atomic.check_writable], ids=["replacing", "check_writable"])
def test_the_next_run_removes_what_a_killed_one_left_of_its_target(tmp_path, write):
    for name in "out.csv", "other.csv":
        killed(write_half, str(tmp_path / name))
    left = {name.split(".")[1] for name in os.listdir(str(tmp_path))}
    assert left == {"out", "other"}
    write(str(tmp_path / "out.csv"))
    assert [name for name in os.listdir(str(tmp_path)) if name.startswith(".out")] == []
    assert [name for name in os.listdir(str(tmp_path)) if name.startswith(".other")] != []


def test_a_removed_folder_is_gone_at_once_or_not_at_all(tmp_path):
    make(str(tmp_path / "step_5"), "old")
    killed(kill_at, tf.io.gfile, "rmtree", False, files.remove, str(tmp_path / "step_5"))
    left, = os.listdir(str(tmp_path))
    assert left.startswith(".step_5.") and files.is_leftover(left)


def test_of_a_link_that_is_removed_the_folder_stays(tmp_path):
    make(str(tmp_path / "elsewhere"), "old")
    os.symlink("elsewhere", str(tmp_path / "eval"))
    files.remove(str(tmp_path / "eval"))
    assert os.listdir(str(tmp_path)) == ["elsewhere"]
    assert contents(tmp_path / "elsewhere") == dict.fromkeys(PARTS, "old")


def test_a_killed_process_that_nobody_waited_for_is_gone(tmp_path):
    process = subprocess.Popen(["sleep", "60"])
    left = ".out.csv.%s.%d.tmp" % (socket.gethostname(), process.pid)
    assert not files.is_leftover(left)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # from here on a zombie
    assert files.is_leftover(left)
    process.wait()
    assert files.is_leftover(left)


def test_what_another_machine_or_a_running_process_writes_is_left_alone(tmp_path):
    gone = multiprocessing.get_context("fork").Process()
    gone.start()
    gone.join()
    kept = [".out.csv.%s.%d.tmp" % (socket.gethostname(), os.getppid()), ".out.csv.elsewhere.%d.tmp" % gone.pid,
            ".out.csv.%d.tmp" % gone.pid, ".out.csv.%s.%d.tmpx" % (socket.gethostname(), gone.pid)]
    for name in kept + [".out.csv.%s.%d.tmp" % (socket.gethostname(), gone.pid)]:
        (tmp_path / name).write_text("")
    atomic.write_json(str(tmp_path / "out.csv"), 5)
    assert set(os.listdir(str(tmp_path))) == set(kept) | {"out.csv"}


def test_patterns_do_not_match_what_a_killed_run_left(tmp_path):
    killed(write_half, str(tmp_path / "out.csv"))
    atomic.write_json(str(tmp_path / "other.csv"), 5)
    assert files.glob(str(tmp_path / "*")) == [str(tmp_path / "other.csv")]


# What is no file.


@pytest.mark.parametrize("name", ["out.csv.gz", "weights.json.xz", "out.zip", "a.bz2", "tar.gz"])
@pytest.mark.parametrize("write", [lambda path: atomic.write_json(path, 5), atomic.check_writable])
def test_a_name_that_promises_compression_is_refused(tmp_path, write, name):
    with pytest.raises(InputError, match="%s would not be compressed: leave the last ending out of its name" % name):
        write(str(tmp_path / name))
    write(str(tmp_path / "model.tar.gz"))  # --output_model_tgz is compressed
    assert set(os.listdir(str(tmp_path))) <= {"model.tar.gz"}


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFCHR])
@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("write", [lambda path: atomic.write_json(path, 5), atomic.check_writable])
def test_a_device_or_a_pipe_is_not_replaced(tmp_path, kind, linked, write):
    path = str(tmp_path / "output")
    try:
        os.mknod(path, 0o600 | kind, os.makedev(1, 7))  # the device that is always full
    except PermissionError:
        pytest.skip("only root may make a device")
    if linked:
        os.symlink("output", str(tmp_path / "link"))
        path = str(tmp_path / "link")
    with pytest.raises(InputError, match="is a device or a pipe, which a file must not replace: give a file's"):
        write(path)
    assert stat.S_IFMT(os.stat(path).st_mode) == kind and set(os.listdir(str(tmp_path))) <= {"output", "link"}
