"""The code as text: flake8 finds nothing."""
import os
import subprocess
import sys

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def test_flake8_finds_nothing():
    done = subprocess.run([sys.executable, "-m", "flake8", "src", "tests"], cwd=REPOSITORY, stdout=subprocess.PIPE,
                          universal_newlines=True)
    assert done.returncode == 0, done.stdout
