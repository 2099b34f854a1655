"""shell_script/setup.sh, on stand-in Pythons: nothing is downloaded or installed."""
import glob
import os
import shutil
import subprocess
import sys

import pytest

from tests.shell_script.checkouts import Checkout
from tests.shell_script.checkouts import REPOSITORY


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def check_ways(messages):
    """Checks that the message names the ways to get a Python."""
    for way in ("pyenv install 3.7.17", "uv tool run uv@0.6.0 python install 3.7",
                "conda create -n yt8m python=3.7", "PYTHON=/path/to/python3.7"):
        assert way in messages


def test_makes_the_environment_then_has_nothing_to_do(checkout):
    checkout.add_python(checkout.bin / "python3.7")
    messages, asked = checkout.run()
    assert "making .venv with Python 3.7.99" in messages
    assert "-m venv --clear .venv" in asked and "--requirement=requirements.txt" in asked
    assert "tests/requirements.txt" not in asked
    assert checkout.run() == ("", "")


def test_a_link_to_the_script_sets_up_the_checkout(checkout):
    checkout.add_python(checkout.bin / "python3.7")
    (checkout.home / "first.sh").symlink_to(checkout.root / "shell_script" / "setup.sh")
    (checkout.home / "folder").symlink_to(checkout.root / "shell_script")
    (checkout.bin / "second").symlink_to("../home/first.sh")
    checkout.run(script=checkout.bin / "second")
    assert checkout.stamp.exists() and not (checkout.home / ".venv").exists()
    assert checkout.run(script=checkout.home / "folder" / "setup.sh") == ("", "")


@pytest.mark.parametrize("script", ["quickstart.sh", "run_tests.sh"])
def test_a_link_to_another_script_sets_up_the_checkout_first(checkout, script):
    checkout.add_command(checkout.root / "shell_script" / "setup.sh", "echo 'set up' >&2\nexit 5\n")
    (checkout.home / "link.sh").symlink_to(checkout.root / "shell_script" / script)
    assert checkout.run(code=5, script=checkout.home / "link.sh")[0] == "set up\n"


def test_tests_adds_the_test_packages(checkout):
    checkout.add_python(checkout.bin / "python3.7")
    checkout.run()
    _, asked = checkout.run("--tests")
    assert "--requirement=requirements.txt --requirement=tests/requirements.txt" in asked
    assert "-m venv" not in asked
    assert checkout.run("--tests") == ("", "")
    assert checkout.run() == ("", "")


@pytest.mark.parametrize("python, reason", [
    ("python3.8", "it is Python 3.8"),
    ("python-broken", "cannot run"),
    ("python-bare", "its standard library is not complete: No module named"),
    ("python-missing", "not found"),
])
def test_a_chosen_python_that_does_not_fit_stops(checkout, python, reason):
    checkout.add_python(checkout.bin / "python3.7")
    checkout.add_python(checkout.bin / "python3.8", version=(3, 8, 1))
    checkout.add_command(checkout.bin / "python-broken", "#!/bin/sh\necho cannot run >&2\nexit 127\n")
    checkout.add_command(
        checkout.bin / "python-bare",
        "#!/bin/sh\nexec '%s' -I -c \"import sys; sys.path, sys.version_info = [], (3, 7, 1)\n$3\"\n" % sys.executable)
    messages, asked = checkout.run(code=1, PYTHON=python)
    assert messages.startswith("setup: PYTHON=%s is not a usable Python 3.7 or 3.6: " % python)
    assert reason in messages and messages.count("\n") == 1
    assert not asked


def test_a_chosen_python_of_another_version_remakes_the_environment(checkout):
    checkout.add_python(checkout.bin / "python3.7")
    checkout.add_python(checkout.home / "my python", version=(3, 6, 5))
    checkout.run()
    messages, asked = checkout.run(PYTHON="./my python")
    assert "making .venv with Python 3.6.5" in messages and "--clear" in asked
    assert checkout.run() == ("", "")


def test_a_shim_that_does_not_run_is_passed_over(checkout):
    shims = checkout.home / "shims"
    checkout.add_command(shims / "python3.7", "#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
    checkout.add_python(checkout.bin / "python3.7")
    messages, _ = checkout.run(PATH="%s:%s" % (shims, checkout.bin))
    assert "making .venv with Python 3.7.99" in messages and "not found" not in messages


def test_an_active_environment_is_remade_from_the_python_it_was_made_from(checkout):
    python = checkout.home / "python3.7"
    checkout.add_python(python)
    active = checkout.root / ".venv" / "bin"
    active.mkdir(parents=True)
    (active / "python3.7").symlink_to(python)
    _, asked = checkout.run(PATH="%s:%s" % (active, checkout.bin))
    assert "%s -m venv --clear .venv" % python in asked


def test_finds_a_python_of_pyenv(checkout):
    versions = checkout.home / ".pyenv" / "versions"
    checkout.add_python(versions / "3.6.15" / "bin" / "python", version=(3, 6, 15))
    messages, _ = checkout.run()
    assert "making .venv with Python 3.6.15" in messages


@pytest.mark.parametrize("installed", [True, False])
def test_finds_or_installs_a_python_with_uv(checkout, installed):
    python = checkout.home / "uv" / "python3.7"
    checkout.add_python(checkout.home / "spare")
    checkout.add_command(checkout.bin / "uv", """#!/bin/sh
case "$*" in
"python find --system 3.7") test -e '{python}' && echo '{python}' ;;
"tool run uv@0.6.0 python install 3.7") mkdir '{folder}' && cp '{spare}' '{python}' ;;
esac
""".format(python=python, folder=python.parent, spare=checkout.home / "spare"))
    if installed:
        checkout.add_python(python)
    messages, _ = checkout.run()
    assert "making .venv with Python 3.7.99" in messages
    assert ("installing Python 3.7 with uv" in messages) != installed


@pytest.mark.parametrize("installed", [True, False])
def test_finds_or_installs_a_python_with_conda(checkout, installed):
    environment = checkout.home / "conda envs" / "yt8m-python3.7"
    checkout.add_python(checkout.home / "spare")
    checkout.add_command(checkout.bin / "conda", """#!/bin/sh
case "$*" in
"env list")
    printf '%s\\n' '# conda environments:' '#' 'base   *  /nowhere' ''
    test ! -e '{environment}' || echo 'yt8m-python3.7     {environment}' ;;
"create --yes --quiet --name yt8m-python3.7 python=3.7")
    mkdir -p '{environment}/bin' && cp '{spare}' '{environment}/bin/python' ;;
esac
""".format(environment=environment, spare=checkout.home / "spare"))
    if installed:
        checkout.add_python(environment / "bin" / "python")
    messages, _ = checkout.run()
    assert "making .venv with Python 3.7.99" in messages
    assert ("installing Python 3.7 with conda" in messages) != installed


# A python3 of today, as on a machine without an older one: it has venv, pip or neither, and its pip works or fails.
PYTHON3 = """#!/bin/sh
case "$2 $4" in
"venv .uv/venv")
    test {has} = venv || {{ echo 'ensurepip is not available'; exit 1; }}
    mkdir -p .uv/venv/bin && cp "$0" .uv/venv/bin/python ;;
"pip ")
    test {has} = pip ;;
pip*)
    test {pip} = works && echo "$0 $@" >> '{log}' || {{ echo 'no network' >&2; exit 1; }}
    test "$7 $8" = '--target=.uv/packages uv==0.6.0' && mkdir -p .uv/packages/bin && cp '{uv}' .uv/packages/bin/uv ;;
esac
"""
OWN_UV = """#!/bin/sh
python="$UV_PYTHON_INSTALL_DIR/cpython-3.7.9/bin/python3.7"
case "$*" in
"python find --system 3.7")
    test -e "$python" && echo "$python" ;;
"python install 3.7")
    test '{python}' || {{ echo 'cannot download' >&2; exit 1; }}
    mkdir -p "${{python%/*}}" && cp '{python}' "$python" ;;
esac
"""


def add_python3(checkout, has, pip="works", uv_gets=(3, 7, 9)):
    """Adds a python3 that has venv, pip or neither; pip works or fails, and uv gets a Python of a version or none."""
    spare, uv = checkout.home / "spare", checkout.home / "spare uv"
    checkout.add_python(spare, version=uv_gets)
    checkout.add_command(uv, OWN_UV.format(python=spare if uv_gets else ""))
    checkout.add_command(checkout.bin / "python3", PYTHON3.format(has=has, pip=pip, log=checkout.log, uv=uv))


@pytest.mark.parametrize("has, pip", [("venv", ".uv/venv/bin/python -m pip"), ("pip", "/bin/python3 -m pip")])
def test_without_a_python_it_installs_uv_and_with_it_a_python(checkout, has, pip):
    add_python3(checkout, has)
    messages, asked = checkout.run()
    assert "installing uv, and Python 3.7 with it, into .uv" in messages and pip in asked
    assert "making .venv with Python 3.7.9" in messages and "not available" not in messages
    assert checkout.run() == ("", "")
    shutil.rmtree(str(checkout.root / ".venv"))
    messages, asked = checkout.run()
    assert "making .venv with Python 3.7.9" in messages and "uv" not in messages and "uv==" not in asked


@pytest.mark.parametrize("python3, reason, shown", [
    (None, "there is no python3 to install uv with", ""),
    (dict(has="neither"), "python3 can make no virtual environment (its messages are above) and has no pip to "
     "install uv with", "ensurepip is not available\n"),
    (dict(has="venv", pip="fails"), "pip could not install uv (its messages are above)", "no network\n"),
    (dict(has="pip", pip="fails"), "pip could not install uv (its messages are above)", "no network\n"),
    (dict(has="venv", uv_gets=None), "uv could not install Python 3.7 (its messages are above)", "cannot download\n"),
    (dict(has="pip", uv_gets=(3, 8, 0)), "the Python 3.7 that uv installed is not usable here", ""),
], ids=["no python3", "neither venv nor pip", "no uv by venv", "no uv by pip", "no Python", "odd Python"])
def test_where_that_fails_the_message_says_why(checkout, python3, reason, shown):
    kept = checkout.root / ".venv" / "kept"
    kept.parent.mkdir()
    kept.write_text("")
    if python3:
        add_python3(checkout, **python3)
    messages, _ = checkout.run(code=1, TENSORFLOW="1")
    assert messages.startswith("setup: installing uv, and Python 3.7 with it, into .uv\n%ssetup: found no " % shown)
    assert "or in pyenv, uv or conda, and %s; TensorFlow 1.15 runs on no other." % reason in messages
    check_ways(messages)
    assert kept.exists()


@pytest.mark.parametrize("present", ["pyenv", "uv", "conda"])
def test_uv_is_not_installed_beside_what_brings_pythons(checkout, present):
    add_python3(checkout, "venv")
    checkout.add_command(checkout.bin / present, "#!/bin/sh\nexit 1\n")
    messages, asked = checkout.run(code=1)
    assert "into .uv" not in messages and not asked
    check_ways(messages)


def test_changed_requirements_are_installed(checkout):
    checkout.add_python(checkout.bin / "python3.7")
    checkout.run()
    (checkout.root / "requirements.txt").write_text("three\n")
    _, asked = checkout.run()
    assert "--requirement=requirements.txt" in asked and "-m venv" not in asked
    assert checkout.run() == ("", "")


def test_a_failed_installation_leaves_no_stamp_and_starts_afresh(checkout):
    checkout.add_python(checkout.bin / "python3.7")
    checkout.run()
    (checkout.root / "requirements.txt").write_text("three\n")
    checkout.pip_fails.write_text("")
    messages, _ = checkout.run(code=1)
    assert "pip could not install the packages" in messages and "check the network" in messages
    assert not checkout.stamp.exists()
    checkout.pip_fails.unlink()
    _, asked = checkout.run()
    assert "-m venv --clear .venv" in asked and checkout.stamp.exists()


def test_an_environment_without_its_python_is_remade(checkout):
    checkout.add_python(checkout.bin / "python3.7")
    checkout.run()
    (checkout.root / ".venv" / "bin" / "python").unlink()
    _, asked = checkout.run()
    assert "-m venv --clear .venv" in asked
    assert checkout.run() == ("", "")


def test_unknown_arguments_stop(checkout):
    messages, _ = checkout.run("--test", code=1)
    assert messages == "setup: unknown arguments '--test'; the only one is --tests\n"


def test_shellcheck_finds_nothing():
    scripts = sorted(glob.glob(os.path.join(REPOSITORY, "shell_script", "*.sh")))
    shellcheck = os.path.join(os.path.dirname(sys.executable), "shellcheck")
    done = subprocess.run([shellcheck] + scripts, stdout=subprocess.PIPE, universal_newlines=True)
    assert done.returncode == 0, done.stdout
