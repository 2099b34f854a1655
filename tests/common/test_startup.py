"""Standard streams that are closed, full or cannot show a character cost a program nothing of its work."""
import ast
import os
import subprocess
import sys

import pytest

from tests.programs import runner

BEGIN = "from src.common import startup; startup.begin(); import os, sys; "
ASCII = dict(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")


def python(code, redirection="", environment=None, **kept):
    """Runs code after startup.begin(), its streams as the shell's redirection says; (exit code, output, errors)."""
    command = 'exec "$0" -c "$1" %s' % redirection if "|" not in redirection else (
        '"$0" -c "$1" %s; exit "${PIPESTATUS[0]}"' % redirection)
    done = subprocess.run(["bash", "-c", command, sys.executable, BEGIN + code], cwd=runner.PROJECT,
                          env=dict(os.environ, PYTHONPATH=".", **environment or {}), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, **kept)
    return done.returncode, done.stdout, done.stderr


def test_every_program_begins_alike():
    beginnings = set()
    for name in os.listdir(os.path.join(runner.PROJECT, "src")):
        if name.endswith(".py") and name != "__init__.py":
            with open(os.path.join(runner.PROJECT, "src", name), encoding="utf-8") as stream:
                _, *statements = ast.parse(stream.read()).body
            beginnings.add("\n".join(map(ast.dump, statements[:3])))
    (one,) = beginnings
    assert "startup" in one and "realpath" in one


@pytest.mark.parametrize("environment, shown", [
    (ASCII, b"\\u0160koda Auto"),
    (dict(PYTHONIOENCODING="ascii"), b"\\u0160koda Auto"),
    (dict(PYTHONIOENCODING="latin-1"), b"\\u0160koda Auto"),
    (dict(PYTHONIOENCODING="utf-8"), "\u0160koda Auto".encode()),
    (dict(PYTHONIOENCODING="iso8859-2"), "\u0160koda Auto".encode("iso8859-2")),
], ids=["C locale", "ascii", "latin-1", "utf-8", "latin-2"])
def test_what_the_terminal_cannot_show_is_escaped(environment, shown):
    code = 'print("\\u0160koda Auto"); print("\\u0160koda Auto", file=sys.stderr)'
    assert python(code, environment=environment) == (0, shown + b"\n", shown + b"\n")


def test_a_name_that_is_not_utf8_is_shown_escaped():
    assert python('print("\\udcff")', environment=dict(PYTHONIOENCODING="utf-8")) == (0, b"\\udcff\n", b"")


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&-", "<&- >&- 2>&-", "> /dev/full", "2> /dev/full", "| true",
                                         "2>&1 | head -1"])
def test_work_goes_on_whatever_becomes_of_the_streams(redirection, tmp_path):
    more_than_a_pipe_holds = "[print(5000 * 'a', file=each) for each in 20 * [sys.stdout, sys.stderr]]; "
    write = "sys.stdout.flush(); open(%r, 'w').write('whole')" % str(tmp_path / "results")
    code, _, errors = python(more_than_a_pipe_holds + write, redirection)
    assert code == 0 and b"Traceback" not in errors and b"ignored" not in errors
    assert (tmp_path / "results").read_text() == "whole"


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_what_is_written_to_a_closed_stream_gets_into_no_file(redirection, tmp_path):
    path = str(tmp_path / "results")
    python("stream = open(%r, 'w'); os.write(1, b'1'); os.write(2, b'2'); stream.write('whole')" % path, redirection)
    assert (tmp_path / "results").read_text() == "whole"


def test_output_that_is_lost_is_told_but_not_that_a_reader_left():
    code = "print(200000 * 'a'); print(startup.output_failure(), file=sys.stderr)"
    assert python(code, "> /dev/full")[2] == (
        b"Standard output cannot be written: No space left on device: make room on the disk.\n")
    assert python(code, "| true")[2] == python(code)[2] == b"None\n"


def test_a_slow_reader_of_a_pipe_that_does_not_block_gets_everything():
    code = "os.set_blocking(1, False); print(1000000 * 'a'); print(startup.output_failure(), file=sys.stderr)"
    assert python(code, "| (sleep .2; wc -c)") == (0, b"1000001\n", b"None\n")


@pytest.mark.parametrize("raised, sentence", [
    ('open("/none/file")', "/none/file; No such file or directory: check the path and your permissions."),
    ('raise FileNotFoundError(2, "No usable temporary directory found in [\'/tmp\']")', "No usable temporary directory "
     "found in ['/tmp']: make room there, or name a folder that can be written in TMPDIR."),
    ('raise ImportError("Traceback\\nImportError: libm.so: cannot open: Too many open files\\n\\nsee")',
     "ImportError: libm.so: cannot open: Too many open files: raise the limit on open files (ulimit -n 4096)."),
    ('raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")',
     "libGL.so.1: cannot open shared object file: No such file or directory: install the library, or name its folder "
     "in LD_LIBRARY_PATH."),
    ("raise MemoryError", "Out of memory: free memory, or raise the limit on it (ulimit -v).")])
def test_errors_of_the_system_while_modules_load_are_sentences(raised, sentence):
    assert python(raised) == (1, b"", ("error: %s\n" % sentence).encode())


def test_other_errors_keep_their_traceback():
    for code, words in ("[][1]", b"IndexError: list index"), ("import none", b"No module named 'none'"):
        code, _, errors = python(code)
        assert code == 1 and words in errors and b"Traceback" in errors


def test_streams_that_somebody_else_replaced_stay():
    code = "import io; sys.stdout = own = io.StringIO(); startup.begin(); print(own is sys.stdout, file=sys.stderr)"
    assert python(code)[2] == b"True\n"
