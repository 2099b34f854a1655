"""TENSORFLOW chooses between two environments, on stand-in Pythons: set-up makes one, and the scripts run in it."""
import json
import os
import re
import shutil
import sys

import pytest

from tests.shell_script.checkouts import Checkout
from tests.shell_script.checkouts import REPOSITORY

GPU_HERE = os.path.exists("/dev/nvidia0") or os.path.exists("/proc/driver/nvidia/version")


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def read(path):
    with open(os.path.join(REPOSITORY, path)) as stream:
        return stream.read()


def test_two_environments_stand_side_by_side(checkout):
    checkout.add_python(checkout.bin / "python3.7")
    checkout.add_python(checkout.bin / "python3.12", version=(3, 12, 99))
    checkout.run("--tests")
    messages, asked = checkout.run("--tests", TENSORFLOW="2")
    assert "making .venv-tf2 with Python 3.12.99" in messages
    assert "--requirement=requirements-tf2.txt --requirement=tests/requirements-tf2.txt" in asked
    assert ".venv/" not in asked and "pip==" not in asked
    for tensorflow in "1", "2", "":
        assert checkout.run(TENSORFLOW=tensorflow) == ("", "")


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
def test_any_python_that_tensorflow_2_was_built_for_will_do(checkout, version):
    checkout.add_python(checkout.bin / ("python" + version), version=tuple(map(int, version.split("."))) + (1,))
    assert "making .venv-tf2 with Python %s.1\n" % version in checkout.run(TENSORFLOW="2")[0]


def test_the_newest_packages_are_preferred(checkout):
    """They need Python 3.12."""
    checkout.add_python(checkout.bin / "python3.10", version=(3, 10, 1))
    checkout.add_python(checkout.home / ".pyenv" / "versions" / "3.12.4" / "bin" / "python", version=(3, 12, 4))
    assert "making .venv-tf2 with Python 3.12.4\n" in checkout.run(TENSORFLOW="2")[0]


@pytest.mark.parametrize("tensorflow, version, sentence", [
    ("2", (3, 9, 1), "not a usable Python 3.10 to 3.13: it is Python 3.9\n"),
    ("2", (3, 14, 1), "not a usable Python 3.10 to 3.13: it is Python 3.14\n"),
    ("2", (3, 7, 1), "not a usable Python 3.10 to 3.13: it is Python 3.7\n"),
    ("1", (3, 12, 1), "not a usable Python 3.7 or 3.6: it is Python 3.12; TENSORFLOW=2 takes it\n"),
    ("", (3, 10, 1), "not a usable Python 3.7 or 3.6: it is Python 3.10; TENSORFLOW=2 takes it\n"),
])
def test_a_chosen_python_must_fit_the_tensorflow(checkout, tensorflow, version, sentence):
    checkout.add_python(checkout.bin / "mine", version=version)
    messages, asked = checkout.run(code=1, PYTHON="mine", TENSORFLOW=tensorflow)
    assert messages == "setup: PYTHON=mine is " + sentence and not asked


def test_a_python_without_a_global_lock_does_not_fit(checkout):
    checkout.add_command(checkout.bin / "mine", """#!/bin/sh
exec '%s' -I -c "import sys, sysconfig
sys.version_info, sysconfig.get_config_var = (3, 13, 1), {'Py_GIL_DISABLED': 1}.get
$3"
""" % sys.executable)
    messages, _ = checkout.run(code=1, PYTHON="mine", TENSORFLOW="2")
    assert messages.endswith("Python 3.10 to 3.13: it is Python 3.13t, without a global lock\n")


UV = """#!/bin/sh
python="${{UV_PYTHON_INSTALL_DIR:-{home}}}/python3.12"
case "$*" in
"python find --system 3.12") test -e "$python" && echo "$python" ;;
"python install 3.12") mkdir -p "${{python%/*}}" && cp '{spare}' "$python" ;;
*) exit 1 ;;
esac
"""


def test_any_release_of_uv_installs_a_python_for_tensorflow_2(checkout):
    checkout.add_python(checkout.home / "spare", version=(3, 12, 9))
    checkout.add_command(checkout.bin / "uv", UV.format(home=checkout.home / "uv", spare=checkout.home / "spare"))
    messages, _ = checkout.run(TENSORFLOW="2")
    assert "installing Python 3.12 with uv\n" in messages and "making .venv-tf2 with Python 3.12.9\n" in messages


def test_conda_makes_an_environment_for_tensorflow_2(checkout):
    python = checkout.home / "envs" / "yt8m-python3.12" / "bin" / "python"
    checkout.add_python(checkout.home / "spare", version=(3, 12, 9))
    checkout.add_command(checkout.bin / "conda", """#!/bin/sh
case "$*" in
"env list") test ! -e '%s' || echo 'yt8m-python3.12     %s' ;;
"create --yes --quiet --name yt8m-python3.12 python=3.12") mkdir -p '%s' && cp '%s' '%s' ;;
esac
""" % (python, python.parent.parent, python.parent, checkout.home / "spare", python))
    assert "making .venv-tf2 with Python 3.12.9\n" in checkout.run(TENSORFLOW="2")[0]


def add_pip_that_installs_uv(checkout):
    """Adds a python3 whose pip installs a uv that offers Python 3.12 only."""
    checkout.add_python(checkout.home / "spare", version=(3, 12, 9))
    checkout.add_command(checkout.home / "spare uv", UV.format(home="/none", spare=checkout.home / "spare"))
    checkout.add_command(checkout.bin / "python3", """#!/bin/sh
test "$2 $4" = "venv .uv/venv" && exit 1
test "$2 $3" != "pip install" || { mkdir -p .uv/packages/bin && cp '%s' .uv/packages/bin/uv; }
""" % (checkout.home / "spare uv"))


def test_uv_is_installed_where_there_is_nothing(checkout):
    add_pip_that_installs_uv(checkout)
    messages, _ = checkout.run(TENSORFLOW="2")
    assert messages.startswith("setup: installing uv, and Python 3.12 with it, into .uv\n")
    assert "making .venv-tf2 with Python 3.12.9\n" in messages


# What TENSORFLOW means where it is unset.


def chosen(checkout, **environment):
    """The environment of a script's step, as its --dry_run prints it."""
    output = checkout.run_script(checkout.root / "shell_script" / "bert_l2h12.sh", "pretrain", "--dry_run",
                                 **environment)[0]
    return re.search(r"^(\S+)/bin/python src/train.py ", output, re.MULTILINE).group(1)


@pytest.mark.parametrize("system, machine, reason", [
    ("Linux", "aarch64", "ARM"), ("Linux", "armv8l", "ARM"), ("Darwin", "arm64", "macOS"),
    ("Darwin", "x86_64", "macOS")])
def test_where_only_tensorflow_2_was_built_it_is_taken(checkout, system, machine, reason):
    checkout.set_machine(system, machine)
    checkout.add_python(checkout.bin / "python3.7")
    checkout.add_python(checkout.bin / "python3.13", version=(3, 13, 1))
    assert chosen(checkout) == ".venv-tf2" and chosen(checkout, TENSORFLOW="1") == ".venv"
    messages, _ = checkout.run()
    assert messages.startswith("setup: tensorflow-gpu 1.15 has no build for %s: taking TensorFlow 2\nsetup: making "
                               ".venv-tf2 with Python 3.13.1\n" % reason)
    assert messages.count("taking TensorFlow 2") == 1
    assert checkout.run() == ("", "")


def test_where_there_is_no_python_3_7_tensorflow_2_is_taken(checkout):
    (checkout.home / ".pyenv" / "versions").mkdir(parents=True)
    checkout.add_python(checkout.bin / "python3.12", version=(3, 12, 1))
    assert chosen(checkout) == ".venv"
    messages, _ = checkout.run()
    assert messages.startswith(
        "setup: found no usable Python 3.7 or 3.6 on the PATH or in pyenv, uv or conda; TensorFlow 1.15 runs on no "
        "other: taking TensorFlow 2\nsetup: making .venv-tf2 with Python 3.12.1\n")
    assert checkout.run() == ("", "") and chosen(checkout) == ".venv-tf2"
    # It stays so until the user asks for TensorFlow 1.15 or names a Python.
    checkout.add_python(checkout.bin / "python3.7")
    assert checkout.run() == ("", "") and chosen(checkout) == ".venv-tf2"
    (checkout.root / "requirements-tf2.txt").write_text("three\n")
    assert "there was no Python for TensorFlow 1.15: taking TensorFlow 2\n" in checkout.run()[0]
    assert "making .venv with Python 3.7.99\n" in checkout.run(TENSORFLOW="1")[0]
    assert checkout.run() == ("", "") and chosen(checkout) == ".venv"


def test_a_python_3_7_that_the_user_names_ends_that(checkout):
    (checkout.home / ".pyenv" / "versions").mkdir(parents=True)
    checkout.add_python(checkout.bin / "python3.12", version=(3, 12, 1))
    checkout.run()
    checkout.add_python(checkout.home / "mine")
    assert "making .venv with Python 3.7.99\n" in checkout.run(PYTHON="./mine")[0]
    assert chosen(checkout) == ".venv"


def test_where_uv_has_no_python_3_7_it_installs_one_for_tensorflow_2(checkout):
    add_pip_that_installs_uv(checkout)
    messages, _ = checkout.run()
    assert "and uv could not install Python 3.7 (its messages are above); TensorFlow 1.15 runs on no other: taking " \
        "TensorFlow 2\n" in messages
    assert "making .venv-tf2 with Python 3.12.9\n" in messages and chosen(checkout) == ".venv-tf2"


def test_an_environment_that_was_asked_for_does_not_become_the_default(checkout):
    checkout.add_python(checkout.bin / "python3.12", version=(3, 12, 1))
    checkout.run(TENSORFLOW="2")
    assert chosen(checkout) == ".venv"


def test_tensorflow_1_takes_no_other(checkout):
    (checkout.home / ".pyenv" / "versions").mkdir(parents=True)
    checkout.add_python(checkout.bin / "python3.12", version=(3, 12, 1))
    messages, asked = checkout.run(code=1, TENSORFLOW="1")
    assert "found no usable Python 3.7 or 3.6" in messages and "taking" not in messages and not asked


def test_without_any_python_the_ways_to_both_are_named(checkout):
    (checkout.home / ".pyenv" / "versions").mkdir(parents=True)
    messages, _ = checkout.run(code=1)
    assert messages.endswith("""
setup: found no usable Python 3.10 to 3.13 on the PATH or in pyenv, uv or conda; TensorFlow 2.21 runs on no other. \
Any of these installs one; then run the command again:
    pyenv install 3.7.17
    uv tool run uv@0.6.0 python install 3.7
    conda create -n yt8m python=3.7
    pyenv install 3.12
    uv python install 3.12
    conda create -n yt8m python=3.12
Or name one that is elsewhere:
    export TENSORFLOW=1 PYTHON=/path/to/python3.7
    export TENSORFLOW=2 PYTHON=/path/to/python3.12
""")


@pytest.mark.parametrize("script, arguments", [
    ("setup", []), ("quickstart", []), ("run_tests", []), ("bert_l2h12", ["all"]),
    ("bert_l2h12", ["eval", "--dry_run"]), ("bert_l2h12", ["eval", "--on=vertex"])])
@pytest.mark.parametrize("value", ["3", "1.15", "2.21", "two"])
def test_another_value_gets_a_sentence(checkout, script, arguments, value):
    output, messages, asked = checkout.run_script(
        checkout.root / "shell_script" / (script + ".sh"), *arguments, code=1, TENSORFLOW=value)
    name = script if script == "bert_l2h12" else "setup"
    assert messages == "%s: TENSORFLOW=%s is unknown: choose 1 (TensorFlow 1.15) or 2\n" % (name, value)
    assert not output and not asked and sorted(os.listdir(str(checkout.root))) == [
        "requirements-tf2.txt", "requirements.txt", "shell_script", "tests"]


# GPUs.


@pytest.mark.skipif(GPU_HERE, reason="this machine has an NVIDIA GPU")
def test_cuda_is_installed_where_a_gpu_is(checkout):
    checkout.add_python(checkout.bin / "python3.7")
    checkout.add_python(checkout.bin / "python3.12", version=(3, 12, 1))
    assert "tensorflow[and-cuda]" not in checkout.run(TENSORFLOW="2")[1]
    checkout.add_command(checkout.bin / "nvidia-smi", "#!/bin/sh\nexit 9\n")  # it finds no driver
    assert checkout.run(TENSORFLOW="2") == ("", "")
    # TensorFlow's builds for ARM use no GPU.
    checkout.add_command(checkout.bin / "nvidia-smi", "#!/bin/sh\necho 'GPU 0: NVIDIA GeForce RTX 5090'\n")
    checkout.set_machine("Linux", "aarch64")
    assert checkout.run(TENSORFLOW="2") == ("", "")
    checkout.set_machine("Linux", "x86_64")
    libraries = checkout.root / ".venv-tf2" / "lib" / "python3.12" / "site-packages" / "nvidia"
    for name in "cublas", "cusolver":
        (libraries / name / "lib").mkdir(parents=True)
    (libraries / "cusolver" / "lib" / "libcusolver.so.11").write_text("solves")
    messages, asked = checkout.run("--tests", TENSORFLOW="2")
    assert "3400 MB" in messages
    assert "--requirement=tests/requirements-tf2.txt tensorflow[and-cuda]\n" in asked
    # TensorFlow looks for cuSOLVER beside cuBLAS.
    assert (libraries / "cublas" / "lib" / "libcusolver.so.11").read_text() == "solves"
    assert "and-cuda" not in checkout.run(TENSORFLOW="1")[1]
    # A cluster's first machine may have no GPU.
    (checkout.bin / "nvidia-smi").unlink()
    assert checkout.run("--tests", TENSORFLOW="2") == ("", "")


# The scripts.


@pytest.mark.parametrize("tensorflow, environment", [("", ".venv"), ("1", ".venv"), ("2", ".venv-tf2")])
@pytest.mark.parametrize("script, arguments, program", [
    ("run_tests.sh", ["tests/models"], "-m pytest"), ("quickstart.sh", ["out"], "src/ensemble.py"),
    ("mixnextvlad_iter60.sh", ["eval"], "src/eval.py")])
def test_the_scripts_run_in_the_environment(checkout, tensorflow, environment, script, arguments, program):
    checkout.add_python(checkout.bin / "python3.7")
    checkout.add_python(checkout.bin / "python3.12", version=(3, 12, 1))
    (checkout.home / "out" / "predictions").mkdir(parents=True)
    asked = checkout.run_script(checkout.root / "shell_script" / script, *arguments, TENSORFLOW=tensorflow)[2]
    ran = [line for line in asked.splitlines() if " -m venv " not in line and " -m pip " not in line]
    assert ran and any(program in line for line in ran)
    assert {line.split("/bin/python ")[0].replace(str(checkout.root) + "/", "") for line in ran} == {environment}


def test_a_script_runs_where_set_up_had_to_take_tensorflow_2(checkout):
    (checkout.home / ".pyenv" / "versions").mkdir(parents=True)
    checkout.add_python(checkout.bin / "python3.12", version=(3, 12, 1))
    asked = checkout.run_script(checkout.root / "shell_script" / "bert_l2h12.sh", "pretrain")[2]
    assert asked.splitlines()[-1].startswith(".venv-tf2/bin/python src/train.py --model=Bert ")


# Jobs.


GCLOUD = """#!/bin/sh
exec '%s' '%s' "$@"
""" % (sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "gcloud.py"))


@pytest.fixture
def submit(checkout, tmp_path):
    """Function that submits the pre-training to Vertex AI and returns gcloud's exit code and job, see gcloud.py."""
    for name in "requirements.txt", "requirements-tf2.txt", "bert_config.json", "segment_label_ids.csv":
        shutil.copy(os.path.join(REPOSITORY, name), str(checkout.root))
    (checkout.root / "src").mkdir()
    for name in "__init__.py", "train.py":
        (checkout.root / "src" / name).write_text("")
    checkout.add_command(checkout.bin / "gcloud", GCLOUD)
    for name in "jobs", "temporary":
        (tmp_path / name).mkdir()

    def submit(**environment):
        checkout.run_script(
            checkout.root / "shell_script" / "bert_l2h12.sh", "pretrain", "--on=vertex", BUCKET="gs://mine",
            GCLOUD_JOBS=str(tmp_path / "jobs"), TMPDIR=str(tmp_path / "temporary"), **environment)
        path = tmp_path / "jobs" / "0.json"
        job = json.loads(path.read_text())
        path.unlink()
        assert not list((tmp_path / "temporary").iterdir())
        return job

    return submit


def test_a_job_gets_the_software_of_its_tensorflow(submit):
    (pin,) = re.findall(r"^tensorflow==(.*)$", read("requirements-tf2.txt"), re.MULTILINE)
    first, second = submit(), submit(TENSORFLOW="2")
    assert first["software"] == ["tensorflow/tensorflow:1.15.0-gpu-py3", read("requirements.txt"), ""]
    assert second["software"] == ["tensorflow/tensorflow:%s-gpu" % pin, read("requirements-tf2.txt"),
                                  "tensorflow[and-cuda]==" + pin]
    assert first["args"] == second["args"] and first["module"] == second["module"]
    assert second["machines"][0]["accelerator-type"] == "NVIDIA_TESLA_T4"
    assert submit(TENSORFLOW="2", EXECUTOR_IMAGE="mine:5")["software"][0] == "mine:5"


def test_a_job_that_gcloud_rejects_leaves_no_package(checkout, tmp_path):
    (checkout.root / "src").mkdir()
    checkout.add_command(checkout.bin / "gcloud", "#!/bin/sh\ntest $1 = storage || exit 7\n")
    (tmp_path / "temporary").mkdir()
    checkout.run_script(checkout.root / "shell_script" / "bert_l2h12.sh", "pretrain", "--on=vertex", code=7,
                        BUCKET="gs://mine", TENSORFLOW="2", TMPDIR=str(tmp_path / "temporary"))
    assert not list((tmp_path / "temporary").iterdir())


def test_ai_platform_has_no_tensorflow_2(checkout):
    checkout.add_command(checkout.bin / "gcloud", "#!/bin/sh\necho called\n")
    output, messages, _ = checkout.run_script(
        checkout.root / "shell_script" / "bert_l2h12.sh", "pretrain", "--on=ai-platform", code=1, BUCKET="gs://mine",
        TENSORFLOW="2")
    assert messages == ("bert_l2h12: AI Platform has no TensorFlow 2: take --on=vertex, or TENSORFLOW=1 for TensorFlow "
                        "1.15\n") and not output


# Requirements.


def pinned(path):
    """{package: number of pins} of a file of requirements; every line must be a pin or a comment."""
    pins = {}
    for line in read(path).splitlines():
        if line and not line.startswith("#"):
            name = re.match(r"([\w-]+)==[\w.]+(?:; python_version (?:<|>=) \"3\.12\")?(?:  # .*)?$", line).group(1)
            pins[name] = pins.get(name, 0) + 1
            assert ("<" in line) == ("# the last release for Python 3.10" in line), line
    return pins


def test_both_environments_hold_the_same_packages():
    first = re.findall(r"^([\w-]+)==", read("requirements.txt").split("\n\n")[0], re.MULTILINE)
    second = pinned("requirements-tf2.txt")
    assert {name.replace("tensorflow-gpu", "tensorflow") for name in first} == set(second) - {"tensorboard"}
    assert set(re.findall(r"^([\w-]+)==", read("tests/requirements.txt"), re.MULTILINE)) == set(
        pinned("tests/requirements-tf2.txt"))
    assert "TensorFlow %s" % re.search(r"^tensorflow==(\d+\.\d+)", read("requirements-tf2.txt"), re.MULTILINE).group(
        1) in read("shell_script/setup.sh")
