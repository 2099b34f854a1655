"""A copy of the scripts that runs on stand-in Pythons: nothing is downloaded or installed."""
import os
import shutil
import subprocess
import sys

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Answers setup.sh's probe as a Python of the given version would, and logs its other calls.
STAND_IN = """#!/bin/sh
if [ "$2" = -c ]; then
    exec '{real}' -I -c "
import os, sys
sys.version_info, sys.executable = {version}, os.path.abspath('$0')
$3"
fi
echo "$0 $@" >> '{log}'
case "$2" in
venv) rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
pip) test ! -e '{pip_fails}' ;;
esac
"""
UNAME = """#!/bin/sh
case $1 in
-s) echo {system} ;;
-m) echo {machine} ;;
esac
"""


class Checkout:
    """A copy of the scripts beside small requirements files, and a PATH with only basic commands."""

    def __init__(self, folder):
        self.root = folder / "check out"
        self.bin = folder / "bin"
        self.home = folder / "home"
        self.log = folder / "log"
        self.pip_fails = folder / "pip_fails"
        for new in self.root / "tests", self.bin, self.home:
            new.mkdir(parents=True)
        shutil.copytree(os.path.join(REPOSITORY, "shell_script"), str(self.root / "shell_script"))
        for number, name in enumerate(["requirements.txt", "requirements-tf2.txt"]):
            (self.root / name).write_text("one%d\n" % number)
            (self.root / "tests" / name).write_text("two%d\n" % number)
        for command in "basename bash cat cksum cp date dirname ln mkdir readlink rm sed sh".split():
            (self.bin / command).symlink_to(shutil.which(command))
        self.set_machine("Linux", "x86_64")

    def set_machine(self, system, machine):
        """Sets what uname says."""
        self.add_command(self.bin / "uname", UNAME.format(system=system, machine=machine))

    def add_python(self, path, version=(3, 7, 99)):
        self.add_command(path, STAND_IN.format(
            real=sys.executable, version=version, log=self.log, pip_fails=self.pip_fails))

    @staticmethod
    def add_command(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def run(self, *arguments, code=0, script=None, **environment):
        """Runs setup.sh or another script from another folder; returns its messages and the calls of the Pythons."""
        output, messages, asked = self.run_script(script or self.root / "shell_script" / "setup.sh", *arguments,
                                                  code=code, **environment)
        assert output == ""
        return messages, asked

    def run_script(self, script, *arguments, code=0, **environment):
        """Runs a script from another folder; returns its output, its messages and the calls of the Pythons."""
        if self.log.exists():
            self.log.unlink()
        done = subprocess.run(
            ["bash", str(script)] + list(arguments), cwd=str(self.home),
            env=dict({"PATH": str(self.bin), "HOME": str(self.home)}, **environment),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        assert done.returncode == code, done.stderr
        return done.stdout, done.stderr, self.log.read_text() if self.log.exists() else ""

    @property
    def stamp(self):
        return self.root / ".venv" / "setup_stamp"
