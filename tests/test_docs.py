"""README.md, CONTRIBUTING.md and docs/: the links lead somewhere; the flags and the files that the pages name exist."""
import glob
import json
import os
import re
import shlex
import subprocess
import sys

import pytest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOCS = sorted(os.path.relpath(path, REPOSITORY) for path in glob.glob(os.path.join(REPOSITORY, "docs", "*.md")))
PAGES = ["README.md", "CONTRIBUTING.md"] + DOCS
PROGRAMS = [os.path.basename(path)[:-3] for path in sorted(glob.glob(os.path.join(REPOSITORY, "src", "[a-z]*.py")))]
ENVIRONMENTS = [".venv/bin/python", ".venv-tf2/bin/python"]
# Prints {program: {flag: whether it is boolean}}.
COLLECT = """
import importlib, json, sys
from absl import app, flags
app.define_help_flags()
general, found = set(flags.FLAGS), {}
for name in sys.argv[1:]:
    importlib.import_module("src." + name).define_flags()
    found[name] = {flag: bool(flags.FLAGS[flag].boolean) for flag in flags.FLAGS}
    for flag in set(flags.FLAGS) - general:
        delattr(flags.FLAGS, flag)
json.dump(found, sys.stdout)
"""


def read(page):
    with open(os.path.join(REPOSITORY, page)) as stream:
        return stream.read()


def code_and_prose(text):
    """The lines of the indented blocks, continued ones joined, and the other lines as one text."""
    code, prose, is_code = [], [], False
    for before, line in zip([""] + text.split("\n"), text.split("\n")):
        is_code = line.startswith("    ") and (is_code or not before.strip())
        (code if is_code else prose).append(line)
    return "\n".join(code).replace("\\\n", " ").split("\n"), "\n".join(prose)


# Flags.


@pytest.fixture(scope="module")
def known():
    """{program or script: {option: whether it is boolean}}."""
    found = json.loads(subprocess.check_output([sys.executable, "-c", COLLECT] + PROGRAMS, cwd=REPOSITORY,
                                               universal_newlines=True))
    for path in glob.glob(os.path.join(REPOSITORY, "shell_script", "*.sh")):
        text = read(path)
        if "/model.sh" in text:
            text += read("shell_script/model.sh")
        # The options are in the patterns of a `case`: -h | --help) or --on=*).
        found[os.path.basename(path)[:-3]] = {
            option: False for pattern in re.findall(r"^ *(-.*?)\) ", text, re.MULTILINE)
            for option in re.findall(r"--(\w+)", pattern)}
    return found


def command_of(words):
    """The program or script of ours that a command runs; "" if it is only flags, None for another tool."""
    for before, word in zip([""] + words, words):
        own = re.fullmatch(r"(?:.*/)?(\w+)\.(?:py|sh)", word) or (
            before == "-m" and re.fullmatch(r"src\.(\w+)", word))
        if own and (own.group(1) in PROGRAMS or word.startswith(("shell_script/", "tests/"))):
            return word if word.startswith("tests/") else own.group(1)
        if not (re.match(r"\w+=", word) or word in ("bash", "python", "-m", *ENVIRONMENTS)):
            return "" if word.startswith("--") else None
    return ""


def unknown_flags(text, known):
    """The flags in a page that the command before them lacks, or, without a command, that no program has."""
    code, prose = code_and_prose(text)
    spans = re.findall(r"`([^`]+)`", prose)
    commands = [command for line in code + spans for command in re.split(r"\s(?:&&|\|)\s", line)]
    unknown = ["--" + name for name in re.findall(r"--([a-z]\w*)", re.sub(r"`[^`]+`", "", prose))
               if not has(known, "", name)]
    for command in commands:
        try:
            words = shlex.split(command, comments=True)
        except ValueError:  # an apostrophe: not a command
            words = command.split()
        name = command_of(words)
        if name is None:
            continue
        # A variable may also hold flags.
        flags = re.findall(r"(?:^|[\s=])--([a-z]\w*)", "\n".join(words))
        unknown += [command for flag in flags if not has(known, name, flag)]
        comment = command.partition(" # ")[2]
        unknown += [command for flag in re.findall(r"--([a-z]\w*)", comment) if not has(known, "", flag)]
    return unknown


def has(known, name, flag):
    """Whether a program or script has a flag; "" means any of them."""
    if name.startswith("tests/"):
        return '"--%s"' % flag in read(name)
    return any(flag in options or (flag.startswith("no") and options.get(flag[2:]))
               for options in (known.values() if name == "" else [known[name]]))


@pytest.mark.parametrize("page", PAGES)
def test_the_flags_that_a_page_names_exist(page, known):
    assert unknown_flags(read(page), known) == []


@pytest.mark.parametrize("text, count", [
    ("`--max_to_keep`, `--nogating`, `train.py --train_all`, --top_k", 0),
    ("`--max_to_keeep`", 1),
    ("--topk in the text", 1),
    ("`eval.py --shift=1`", 1),
    ("`--noshift`", 1),
    ("`docker run --gpus all`", 0),
    ("\n    .venv/bin/python src/eval.py --run_once \\\n      --shift=1\n", 1),
    ("\n    TENSORFLOW=2 .venv-tf2/bin/python src/eval.py --shift=1\n", 1),
    ("\n    python -m src.eval --shift=1\n", 1),
    ("\n    rated=\"--train_dir=x --segment_label\"\n", 1),
    ("\n    curl --silent x | PYTHON=x bash shell_script/setup.sh --tests\n", 0),
    ("\n    shell_script/bert_l2h12.sh all --on vertex --dry_run # or --help\n", 0),
    ("\n    shell_script/bert_l2h12.sh all --run_once\n", 1),
    ("\n    .venv/bin/python tests/faults/kill.py --times=20\n", 0),
    ("\n    .venv/bin/python tests/faults/kill.py --time=20\n", 1)])
def test_flags_are_looked_up_in_the_command_before_them(text, count, known):
    assert len(unknown_flags(text, known)) == count


# Links and files.


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", code_and_prose(read(page))[1], re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    broken = []
    for link in re.findall(r"\]\(([^)]+)\)", code_and_prose(read(page))[1]):
        path, _, anchor = link.partition("#")
        target = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
        if re.match("https?://", link):
            continue
        if not os.path.exists(os.path.join(REPOSITORY, target)) or anchor and anchor not in anchors(target):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES)
def test_the_files_that_a_page_names_exist(page):
    """Paths below the repository's folders, and names of code, scripts and pages without a folder."""
    names = {name for folder in ["", "docs", "shell_script", "src/**", "tests/**"]
             for name in map(os.path.basename, glob.glob(os.path.join(REPOSITORY, folder, "*"), recursive=True))}
    text = read(page)
    paths = re.findall(r"(?<![\w/.-])((?:src|tests|shell_script|docs)/[\w./-]*)", text)
    bare = re.findall(r"(?<![\w/.*-])(\w+\.(?:py|sh|md|ipynb))\b", text)
    missing = [path for path in paths
               if not os.path.exists(os.path.join(REPOSITORY, re.sub(r"[^/]*NAME.*", "", path).rstrip(".")))]
    assert not missing + [name for name in bare if "NAME" not in name and name not in names]


def test_the_readme_is_short_and_leads_to_each_page():
    text = read("README.md")
    assert text.count("\n") < 200
    assert set(PAGES[1:]) <= set(re.findall(r"\]\(([^)#]+)", text))


def test_each_program_has_its_part():
    assert sorted(re.findall(r"^## (\w+)\.py$", read("docs/programs.md"), re.MULTILINE)) == PROGRAMS
