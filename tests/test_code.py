"""The code as text: between the rooms of src/ imports point downwards, and flake8 finds nothing."""
import ast
import os
import subprocess
import sys

import pytest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# The rooms are the folders of src/, and its own modules are the programs. Each may import those below it, and of those
# beside it only what BESIDE lists.
LAYERS = [["programs"], ["exploration"], ["training", "evaluation", "prediction", "submission"], ["trained"],
          ["models", "data"], ["common"]]
BESIDE = {("prediction", "submission"), ("submission", "evaluation")}
LAYER_OF = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}


def room_of(module):
    """The room of a module such as src.data.readers, or of a name in it."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and os.path.isdir(os.path.join(REPOSITORY, "src", parts[1])) else "programs"


def imports(text, package):
    """Yields (line, module or name in it) of what a module of a package imports from src, also inside functions."""
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[:len(package.split(".")) + 1 - node.level] if node.level else []
            names = [".".join(above + [node.module] * bool(node.module) + [name.name]) for name in node.names]
        for name in names:
            if name.split(".")[0] == "src":
                yield node.lineno, name


def source_imports():
    """Yields (place, room, imported room) of what src/ imports from other rooms of its."""
    for folder, _, names in os.walk(os.path.join(REPOSITORY, "src")):
        package = os.path.relpath(folder, REPOSITORY).replace(os.sep, ".")
        for name in names:
            if name.endswith(".py"):
                with open(os.path.join(folder, name)) as stream:
                    text = stream.read()
                room = room_of("%s.%s" % (package, name[:-3]))
                for line, module in imports(text, package):
                    if room_of(module) != room:
                        yield "%s/%s:%d" % (package.replace(".", "/"), name, line), room, room_of(module)


def test_each_room_has_its_layer():
    folders = next(os.walk(os.path.join(REPOSITORY, "src")))[1]
    assert {"programs"} | set(folders) - {"__pycache__"} == set(LAYER_OF)


def test_imports_point_downwards():
    upwards = [(place, room, other) for place, room, other in source_imports() if LAYER_OF[room] > LAYER_OF[other]]
    assert not upwards


def test_rooms_side_by_side_import_only_what_they_may():
    beside = [(place, room, other) for place, room, other in source_imports() if LAYER_OF[room] == LAYER_OF[other]]
    assert not [found for found in beside if found[1:] not in BESIDE]


@pytest.mark.parametrize("text", [
    "import src.train", "from src import train", "from src.train import main", "import os, src.train as program",
    "from .. import train", "from ..train import main", "def read():\n    if True:\n        from src import train"])
def test_each_way_to_import_a_program_is_seen(text):
    assert [room_of(name) for _, name in imports(text, "src.data")] == ["programs"]


@pytest.mark.parametrize("text", [
    "import src.models.bert", "from src import models", "from ..models import bert", "from src.models.bert import *"])
def test_each_way_to_import_a_room_is_seen(text):
    assert [room_of(name) for _, name in imports(text, "src.data")] == ["models"]


def test_flake8_finds_nothing():
    done = subprocess.run([sys.executable, "-m", "flake8", "src", "tests"], cwd=REPOSITORY, stdout=subprocess.PIPE,
                          universal_newlines=True)
    assert done.returncode == 0, done.stdout
