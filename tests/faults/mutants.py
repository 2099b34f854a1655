"""Breaks expressions of the code at random, one at a time, and lists those whose tests do not notice.

  pip install --no-deps --target=/tmp/mutmut mutmut==2.4.5 toml==0.10.2
  PYTHONPATH=/tmp/mutmut .venv/bin/python tests/faults/mutants.py --sample=200

The first line installs what it needs besides the tests' packages; it runs on Python 3.7. mutmut makes the mutants.
Those that change only docstrings, annotations, messages or help texts are left out. The tests of a module are
tests/ROOM/test_MODULE.py. Where there is no such file, they are the tests of its room and of the programs that import
the module, and the tests of each program that imports it; where there are none, those of the whole room; OTHER_TESTS
names more. They run in a copy of the repository until one fails. A run that takes too long counts as noticed.
Exits with 1 if a mutant survives that equivalent_mutants.txt does not list.
"""
import argparse
import ast
import collections
import difflib
import glob
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import types
import typing

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROOMS = ["data", "evaluation", "models", "prediction", "submission", "training"]
EQUIVALENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "equivalent_mutants.txt")
MESSAGES = re.compile("log|print|warn|info|warning|InputError")  # functions whose arguments are messages
PRELOADED = ["dask", "distributed", "hypothesis", "matplotlib", "numpy", "pandas", "pytest", "scipy", "sklearn",
             "tensorflow"]
OTHER_TESTS = {  # beside the mirrored ones
    "classes": "tests/programs/test_segment_eval_inference.py", "dask_cluster": "tests/programs/test_cluster.py",
    "dask_tasks": "tests/programs/test_cluster.py", "forms": "tests/data/test_faults.py",
    "report": "tests/programs/test_ensemble.py", "survey": "tests/programs/test_check_data.py",
    "trainer": "tests/programs/test_train.py"}
PATIENCE = 30  # seconds that a run may take beyond three times the time of the unbroken code


class Mutant(typing.NamedTuple):
    """A module with one broken expression; unbroken if `source` is None."""

    path: str  # of the module, from the root
    source: str  # the module's text
    number: int  # of the first line that differs
    before: str  # the lines that differ
    after: str


class _Code(ast.NodeTransformer):
    """Removes docstrings, annotations, messages and help texts."""

    def visit_Expr(self, node):
        return None if isinstance(node.value, ast.Str) else self.generic_visit(node)

    def visit_AnnAssign(self, node):
        node.annotation = ast.NameConstant(None)
        return self.generic_visit(node)

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_FunctionDef(self, node):
        node.returns = None
        return self.generic_visit(node)

    def visit_Raise(self, node):
        if isinstance(node.exc, ast.Call):
            node.exc.args, node.exc.keywords = [], []
        return self.generic_visit(node)

    def visit_Call(self, node):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if MESSAGES.fullmatch(name):
            node.args, node.keywords = [], []
        elif name == "Hparam" or name.startswith("DEFINE_"):
            node.args = node.args[:-1]
        elif name == "namedtuple":
            node.args = node.args[1:]  # its name shows in messages alone
        return self.generic_visit(node)


def code_of(source):
    """A text that differs between sources whose code differs; None if a source is no Python."""
    try:
        return ast.dump(_Code().visit(ast.parse(source)))
    except SyntaxError:
        return None


def read(path):
    with open(os.path.join(ROOT, path)) as stream:
        return stream.read()


def mutants(modules, generator):
    """Yields the Mutants of modules in random order."""
    import mutmut  # pylint: disable=import-outside-toplevel

    sources = {path: read(path) for path in modules}
    codes = {path: code_of(source) for path, source in sources.items()}
    expressions = [one for path in modules
                   for one in mutmut.list_mutations(mutmut.Context(source=sources[path], filename=path))]
    generator.shuffle(expressions)
    for expression in expressions:
        path = expression.filename
        source, _ = mutmut.mutate(mutmut.Context(source=sources[path], filename=path, mutation_id=expression))
        if code_of(source) in (None, codes[path]):
            continue
        lines = list(difflib.ndiff(sources[path].splitlines(), source.splitlines()))
        before, after = (" ".join(line[2:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
        yield Mutant(path, source, expression.line_number + 1, before, after or "(removed)")


def tests_of(path):
    """Tuple of the test files, or of the folder of tests, that are to notice a broken module."""
    _, room, name = path[:-len(".py")].split("/")
    mirrored = "tests/%s/test_%s.py" % (room, name)
    named = tuple(test for test in (mirrored, OTHER_TESTS.get(name, "")) if os.path.exists(test))
    if named:
        return named
    importing = re.compile(r"from src\.%s import %s\b|from src\.%s\.%s import " % (room, name, room, name))
    found = [test for test in glob.glob("tests/%s/test_*.py" % room) + glob.glob("tests/programs/test_*.py")
             if importing.search(read(test))]
    found += ["tests/programs/test_" + os.path.basename(program) for program in glob.glob("src/*.py")
              if importing.search(read(program))]
    return tuple(sorted(set(filter(os.path.exists, found)))) or ("tests/" + room,)


def equivalent():
    """{(file, line before, line after)} of the mutants that nothing can notice."""
    blocks = "\n".join(line for line in read(EQUIVALENT).split("\n") if not line.startswith("#")).split("\n\n")
    entries = [block.strip().split("\n") for block in blocks if block.strip()]
    for entry in entries:
        if len(entry) != 4 or entry[1] not in " ".join(line.strip() for line in read(entry[0]).split("\n")):
            sys.exit("%s: remove or correct the block of %s: it has not four lines, or the file has not its line."
                     % (EQUIVALENT, entry[0]))
    return {tuple(entry[:3]) for entry in entries}


class Run(object):
    """A forked process that runs tests in a copy of the repository, with a module broken there."""

    def __init__(self, copy, mutant, timeout):
        self.mutant, self.copy, self._began, self._timeout = mutant, copy, time.time(), timeout
        self._put(mutant.source)
        self._log = os.path.join(copy, "log")
        self._pid = os.fork()
        if not self._pid:
            self._test()

    def _put(self, source):
        with open(os.path.join(self.copy, self.mutant.path), "w") as stream:
            stream.write(read(self.mutant.path) if source is None else source)

    def _test(self):
        code = 70
        try:
            os.setsid()
            for descriptor in 1, 2:
                os.dup2(os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
            os.chdir(self.copy)
            sys.path[0] = self.copy
            sys.modules["__main__"] = types.ModuleType("__main__")  # the tests' processes shall not import this file
            import pytest  # pylint: disable=import-outside-toplevel
            code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
                                "--basetemp=%s" % os.path.join(self.copy, "tmp"), *tests_of(self.mutant.path)])
        finally:
            os._exit(int(code))  # pylint: disable=protected-access

    @property
    def seconds(self):
        return time.time() - self._began

    def poll(self):
        """None while it runs; whether all tests passed, once it has ended or has taken too long."""
        ended, status = os.waitpid(self._pid, os.WNOHANG)
        if not ended and self.seconds < self._timeout:
            return None
        try:
            os.killpg(self._pid, signal.SIGKILL)  # also the processes that the tests have started
        except ProcessLookupError:
            pass
        if not ended:
            os.waitpid(self._pid, 0)
        self._put(None)
        return bool(ended) and status == 0

    def log(self):
        with open(self._log, errors="replace") as stream:
            return stream.read()


def run_all(queue, copies, timeout_of):
    """Yields (Run, whether all tests passed) for each Mutant, as they end."""
    queue, free, running = collections.deque(queue), list(copies), []
    while queue or running:
        while queue and free:
            mutant = queue.popleft()
            running.append(Run(free.pop(), mutant, timeout_of(mutant)))
        for run in list(running):
            passed = run.poll()
            if passed is not None:
                yield run, passed
                running.remove(run)
                free.append(run.copy)
        time.sleep(.02)


def report(sample, copies):
    """Runs the tests of the Mutants and prints the survivors; returns how many there are."""
    times, module_of = {}, {tests_of(one.path): one.path for one in sample}
    for run, passed in run_all([Mutant(path, None, 0, "", "") for path in module_of.values()], copies, lambda _: 600):
        times[tests_of(run.mutant.path)] = run.seconds
        if not passed:
            sys.exit("%s\nThe tests of %s fail before anything is broken: mend them first."
                     % (run.log()[-4000:], run.mutant.path))
    print("The tests of the unbroken code, %d runs, took %.0f s." % (len(times), sum(times.values())), flush=True)
    known, counts = equivalent(), collections.Counter()
    for run, passed in run_all(sample, copies, lambda mutant: PATIENCE + 3 * times[tests_of(mutant.path)]):
        one = run.mutant
        outcome = ("noticed" if not passed else
                   "equivalent" if (one.path, one.before, one.after) in known else "SURVIVED")
        counts[outcome] += 1
        print("%3d of %d %-10s %4.0f s  %s:%d" % (sum(counts.values()), len(sample), outcome, run.seconds, one.path,
                                                  one.number), flush=True)
        if outcome == "SURVIVED":
            print("%s\n%s\n%s" % (one.path, one.before, one.after), flush=True)
    print(", ".join("%d %s" % (count, outcome) for outcome, count in sorted(counts.items())))
    return counts["SURVIVED"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sample", type=int, default=200, help="Expressions to break.")
    parser.add_argument("--seed", type=int, default=0, help="Chooses the sample.")
    parser.add_argument("--processes", type=int, default=2, help="Mutants that are tested at a time.")
    parser.add_argument("modules", nargs="*", help="Modules such as src/data/shards.py; without: all of six rooms.")
    args = parser.parse_args()
    modules = args.modules or sorted(path for room in ROOMS for path in glob.glob("src/%s/[a-z]*.py" % room))
    try:
        generated = mutants(modules, random.Random(args.seed))
        sample = [one for one, _ in zip(generated, range(args.sample))]
    except ImportError as error:
        sys.exit("%s: install mutmut for this run as the beginning of this file says." % error)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # bytecode could outlive the source that it is of
    sys.dont_write_bytecode = True
    for name in PRELOADED:
        __import__(name)
    with tempfile.TemporaryDirectory() as folder:
        copies = [os.path.join(folder, str(number)) for number in range(args.processes)]
        for copy in copies:
            shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        sys.exit(bool(report(sample, copies)))


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
