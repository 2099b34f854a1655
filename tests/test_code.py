"""The code as text: imports between the rooms of src/ point downwards, signatures are short, flake8 finds nothing."""
import ast
import os
import subprocess
import sys

import pytest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# The rooms are the folders of src/, and its own modules are the programs. A room may import those below it.
# BESIDE lists the imports that are allowed within a layer.
LAYERS = [["programs"], ["exploration"], ["training", "evaluation", "prediction", "submission"], ["trained"],
          ["models", "data", "features"], ["common"]]
BESIDE = {("prediction", "submission"), ("submission", "evaluation")}
LAYER_OF = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}


def room_of(module):
    """The room of a module such as src.data.readers, or of a name in it."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and os.path.isdir(os.path.join(REPOSITORY, "src", parts[1])) else "programs"


def imports(text, package):
    """Yields (line, module or name in it) of each import from src in a package's module, also inside functions."""
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


def source_files():
    """Yields (path, package, text) of the modules of src/."""
    for folder, _, names in os.walk(os.path.join(REPOSITORY, "src")):
        for name in names:
            if name.endswith(".py"):
                with open(os.path.join(folder, name), encoding="utf-8") as stream:
                    package = os.path.relpath(folder, REPOSITORY).replace(os.sep, ".")
                    yield "%s/%s" % (package.replace(".", "/"), name), package, stream.read()


def source_imports():
    """Yields (file and line, room, imported room) of each import from another room in src/."""
    for path, package, text in source_files():
        room = room_of("%s.%s" % (package, os.path.basename(path)[:-3]))
        for line, module in imports(text, package):
            if room_of(module) != room:
                yield "%s:%d" % (path, line), room, room_of(module)


def test_each_room_has_its_layer():
    folders = next(os.walk(os.path.join(REPOSITORY, "src")))[1]
    assert {"programs"} | set(folders) - {"__pycache__"} == set(LAYER_OF)


def test_imports_point_downwards():
    upwards = [(where, room, other) for where, room, other in source_imports() if LAYER_OF[room] > LAYER_OF[other]]
    assert not upwards


def test_rooms_side_by_side_import_only_what_they_may():
    beside = [(where, room, other) for where, room, other in source_imports() if LAYER_OF[room] == LAYER_OF[other]]
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


def long_signatures(path, text):
    """Yields the functions with more than eight parameters and the calls with more than six positional arguments."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            parameters = [one.arg for one in node.args.args + node.args.kwonlyargs if one.arg not in ("self", "cls")]
            if len(parameters) > 8:
                yield "%s:%d: %s takes %d parameters" % (path, node.lineno, node.name, len(parameters))
        elif isinstance(node, ast.Call) and len(node.args) > 6:
            yield "%s:%d: %d positional arguments" % (path, node.lineno, len(node.args))


def test_no_signature_is_long():
    assert not [found for path, _, text in source_files() for found in long_signatures(path, text)]


@pytest.mark.parametrize("text, found", [
    ("def f(a, b, c, d, e, f, g, h): pass", []), ("def f(self, a, b, c, d, e, f, g, h, *, i): pass", [
        "m.py:1: f takes 9 parameters"]),
    ("f(1, 2, 3, 4, 5, 6, g=7)", []), ("f(1, 2, 3, 4, 5, 6, 7)", ["m.py:1: 7 positional arguments"])])
def test_a_long_signature_is_seen(text, found):
    assert list(long_signatures("m.py", text)) == found


def test_no_module_is_long():
    assert not [path for path, _, text in source_files() if text.count("\n") > 400]


def test_flake8_finds_nothing():
    done = subprocess.run([sys.executable, "-m", "flake8", "src", "tests"], cwd=REPOSITORY, stdout=subprocess.PIPE,
                          universal_newlines=True)
    assert done.returncode == 0, done.stdout
