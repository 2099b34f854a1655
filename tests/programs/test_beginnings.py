"""Programs begin through links, under any locale, without a temporary folder, with any standard streams."""
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.programs import runner
from tests.programs.conftest import MODEL

ASCII = dict(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
# Runs programs one after the other, in forks of a process that has imported them; arguments come as JSON.
RUN_ALL = """
import importlib, json, os, sys
from src.common import startup
startup.begin()
from src.common import program
modules = {name: importlib.import_module("src." + name) for name in %r}
assert sys.getfilesystemencoding() == "ascii"
for name, words in json.loads(sys.argv[1]):
    child = os.fork()
    if not child:
        sys.argv = [name] + [os.fsdecode(word.encode()) for word in words]
        program.run(modules[name].define_flags, modules[name].main)
    if os.waitpid(child, 0)[1]:
        sys.exit(name + " failed")
"""
NAME, SHOWN = "\u0160koda", b"\\u0160koda"


def shell(command, folder, **environment):
    """Runs a command with `python` on the PATH; returns its exit code, output and errors."""
    path = "%s:%s" % (os.path.dirname(sys.executable), os.environ["PATH"])
    done = subprocess.run(["bash", "-c", command], cwd=str(folder), env=dict(os.environ, PATH=path, **environment),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout, done.stderr.decode()


def test_a_program_is_found_through_links(tmp_path):
    (tmp_path / "folder").symlink_to(os.path.join(runner.PROJECT, "src"))
    (tmp_path / "first.py").symlink_to("folder/checkpoints.py")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "second").symlink_to("../first.py")
    code, _, errors = shell("python below/second --mode=latest --train_dir=none", tmp_path)
    assert (code, errors) == (1, "error: --train_dir=none does not exist: give the folder that train.py wrote.\n")


def test_without_a_temporary_folder_there_is_a_sentence_while_modules_load(tmp_path):
    code, output, errors = shell("ulimit -f 0; python %s/src/train.py" % runner.PROJECT, tmp_path)
    assert (code, output) == (1, b"") and errors.count("\n") == 1
    assert errors.startswith("error: No usable temporary directory found in ['/tmp'")
    assert errors.endswith(": make room there, or name a folder that can be written in TMPDIR.\n")


@pytest.fixture
def vocabulary(tmp_path):
    path = tmp_path / "vocabulary.csv"
    path.write_bytes("Index,Name\n0,{0} Auto\n7,{0} Yeti\n19,{0} Fabia\n".format(NAME).encode())
    return str(path)


def test_names_beyond_ascii_under_an_ascii_locale(data, vocabulary, tmp_path):
    folder = os.path.join(str(tmp_path), NAME)
    shutil.copytree(data.folder, os.path.join(folder, "d\u00e4ta"))
    features = os.path.join(folder, "features")
    os.mkdir(features)
    np.savez(os.path.join(features, NAME), rgb=np.zeros([9, 6], "u1"), audio=np.zeros([9, 2], "u1"))
    with open(os.path.join(folder, "labels"), "wb") as stream:
        stream.write("{0},{0} Yeti".format(NAME).encode())
    rated, names = dict(segment_labels=True, holdout_shards=1), dict(vocabulary_file=vocabulary)
    ratings = dict(label_cache=NAME + "/r\u00e4tings.csv", eval_data_pattern=NAME + "/d*a/val*", holdout_shards=1)
    model = NAME + "/m\u00f6del"
    runs = [
        ("check_data", dict(data_pattern=NAME + "/d*/t*0000.*", feature_sizes="6,2",
                            output_file=NAME + "/\u010d.json")),
        ("make_records", dict(names, features_dir=features, labels_file=NAME + "/labels", feature_sizes="6,2",
                              output_dir=NAME + "/r\u00e9cords", num_shards=1)),
        ("train", dict(MODEL, **rated, train_dir=model, train_data_pattern=folder + "/d\u00e4t?/val*", batch_size=4,
                       max_steps=1)),
        ("eval", dict(rated, **names, train_dir=model, eval_data_pattern=folder + "/d\u00e4ta/val*", run_once=True)),
        ("inference", dict(rated, train_dir=folder + "/m\u00f6del", input_data_pattern=NAME + "/d\u00e4ta/val*",
                           top_k=50, segment_label_ids_file=data.label_ids, output_file=NAME + "/\u0161.csv")),
        ("ensemble", dict(names, **ratings, mode="report", input_files=NAME + "/\u0161*",
                          output_file=NAME + "/\u0159.csv")),
        ("explore", dict(names, **ratings, input_files=folder + "/\u0161.csv", output_dir=NAME + "/p\u00e4ges"))]
    code, output, errors = run_all(runs, tmp_path)
    assert code == 0, errors
    assert output.count(SHOWN + b" Yeti") >= 2 and "Traceback" not in errors
    assert set(os.listdir(folder)) == {"d\u00e4ta", "features", "labels", "m\u00f6del", "p\u00e4ges", "r\u00e9cords",
                                       "r\u00e4tings.csv", "\u010d.json", "\u0161.csv", "\u0159.csv"}
    with open(os.path.join(folder, "\u0159.csv"), encoding="utf-8") as stream:
        assert NAME + " Auto" in stream.read()


def run_all(runs, folder):
    """Runs programs [(name, flags)] in a folder, under an ASCII locale; see `shell`."""
    words = json.dumps([(name, runner.arguments(flags)) for name, flags in runs])
    (folder / "run_all.py").write_text(RUN_ALL % sorted({name for name, _ in runs}))
    return shell("python run_all.py '%s'" % words, folder, PYTHONPATH=runner.PROJECT, **ASCII)


@pytest.mark.parametrize("program, flags", [
    ("check_data", dict(data_pattern="{}/t*0000.tfrecord", feature_sizes="6,2")),
    ("ensemble", dict(mode="report", input_files="{}/ranked.csv", eval_data_pattern="{}/val*", holdout_shards=1)),
    ("segment_eval_inference", dict(submission_file="{}/ranked.csv", eval_data_pattern="{}/val*", holdout_shards=1))],
    ids=["check_data", "report", "segment_eval_inference"])
def test_a_full_standard_output_is_told_and_the_file_is_written(program, flags, data, vocabulary, tmp_path):
    folder = str(tmp_path / "data")
    shutil.copytree(data.folder, folder)
    with open(os.path.join(folder, "ranked.csv"), "w") as stream:
        stream.writelines("%d,v00:0 v00:5 v01:0\n" % label for label in (0, 7, 19, 200, 1500, 3861))
    flags = {name: value.format(folder) if isinstance(value, str) else value for name, value in flags.items()}
    written = []
    for output_to, expected in ("/dev/full", 1), (None, 0):
        path = str(tmp_path / ("of %s" % expected))
        with runner.Run(program, output_to=output_to, output_file=path, **flags) as run:
            assert run.wait() == expected, run.errors
            told = "error: Standard output cannot be written: No space left on device: make room on the disk.\n"
            assert run.errors.endswith(told) == bool(output_to) and "Traceback" not in run.errors
        with open(path, "rb") as stream:
            written.append(stream.read())
    assert written[0] == written[1] != b""


def test_help_that_nobody_reads(tmp_path):
    command = "python %s/src/train.py --help | true; echo ${PIPESTATUS[0]} >&2" % runner.PROJECT
    assert shell(command, tmp_path)[2] == "1\n"
    lost = "error: Standard output cannot be written: No space left on device: make room on the disk.\n"
    with runner.Run("train", "--help", output_to="/dev/full") as run:
        assert (run.wait(), run.errors) == (1, lost)
