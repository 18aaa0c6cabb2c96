"""Runs the scenarios of tests/conformance on sources held in memory, each time in a fork.

Everything is read once, so nothing on disk is touched, and what is edited meanwhile changes
nothing. A fork takes milliseconds where a new interpreter that imports all takes a quarter of a
second. Which scenario executes which statement is found out first, so that a changed statement
costs only the scenarios that come by it, the quick ones first, up to the first that fails.

A change may make a loop endless. What ends it is the processor's time that a scenario used, many
times what it usually takes, so a busy machine is no reason to give up; the wall's time is asked
only where a scenario sleeps. How much memory it may take is limited too.
"""

import ast
import builtins
import contextlib
import functools
import gc
import importlib.abc
import importlib.machinery
import os
import pickle
import resource
import selectors
import signal
import sys
import time
from pathlib import Path

from tools.launcher import die_with_parent

_LEAST = 2.0  # seconds of the processor that any scenario may take
_TIMES = 20  # and how many times what it usually takes
_ASLEEP = 600  # seconds on the wall for all scenarios of one change
_MEMORY = 2 << 30
_HIT = "__hit__"


class Sources:
    """What can be imported: {module: (path, text, is a package)} of folders, as they are now."""

    def __init__(self, root, packages, folders):
        """`packages` and `folders` are in `root`; what lies in a folder has its bare name."""
        self.root = Path(root)
        self.modules = {}
        for package in packages:
            for path in sorted((self.root / package).rglob("*.py")):
                parts = list(path.relative_to(self.root).with_suffix("").parts)
                whole = parts[-1] == "__init__"
                self._add(".".join(parts[:-1] if whole else parts), path, whole)
        for folder in folders:
            for path in sorted((self.root / folder).glob("*.py")):
                self._add(path.stem, path, False)

    def _add(self, name, path, package):
        self.modules[name] = str(path.relative_to(self.root)), path.read_text(), package

    def text(self, path):
        return next(text for own, text, _ in self.modules.values() if own == path)

    def compile(self, path, source):
        """The code of a text or a tree, as if it came from that file."""
        return compile(source, str(self.root / path), "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports from `Sources`; `codes` has what is to be run instead, by path."""

    def __init__(self, sources, codes):
        self.sources = sources
        self.codes = codes

    def find_spec(self, name, path=None, target=None):
        if name not in self.sources.modules:
            return None
        own, _, package = self.sources.modules[name]
        origin = str(self.sources.root / own)
        spec = importlib.machinery.ModuleSpec(name, self, origin=origin, is_package=package)
        spec.has_location = True
        return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        path, text, _ = self.sources.modules[module.__name__]
        if path not in self.codes:
            self.codes[path] = self.sources.compile(path, text)
        exec(self.codes[path], module.__dict__)


class _Marks(ast.NodeTransformer):
    """Before each statement of a source, a call that says that it is reached."""

    def __init__(self, path, number):
        self.path = path
        self.number = number

    def generic_visit(self, node):
        super().generic_visit(node)
        for field in ("body", "orelse", "finalbody"):
            body = getattr(node, field, None)
            if isinstance(body, list):
                setattr(node, field, [new for old in body for new in self.marked(old)])
        return node

    def marked(self, statement):
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            return [statement]  # a docstring is one only where it comes first
        place = self.path, statement.lineno, statement.col_offset
        number = ast.Constant(self.number.setdefault(place, len(self.number)))
        call = ast.Call(ast.Name(_HIT, ast.Load()), [number], [])
        return [ast.fix_missing_locations(ast.copy_location(ast.Expr(call), statement)), statement]


def _forked(function):
    """Starts `function` in a fork; returns the process and where what it returns is read."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        os.close(writer)
        return process, reader
    try:
        os.close(reader)
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        sys.stdout = sys.stderr = open(os.devnull, "w")
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        die_with_parent()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        answer = pickle.dumps(function())
        with open(writer, "wb") as pipe:
            pipe.write(answer)
    finally:
        os._exit(0)


def _all(functions, jobs, patience):
    """Yields (index, what functions[index] returned in a fork, or None where it did not end).

    `functions` may be a generator: it is asked for the next when there is room for one.
    """
    todo = enumerate(functions)
    more = True
    running = {}
    with selectors.DefaultSelector() as selector:
        try:
            while more or running:
                while more and len(running) < jobs:
                    index, function = next(todo, (None, None))
                    if function is None:
                        more = False
                        break
                    process, reader = _forked(function)
                    running[reader] = index, process, time.monotonic() + patience, []
                    selector.register(reader, selectors.EVENT_READ)
                for key, _ in selector.select(1.0):
                    index, process, _, parts = running[key.fd]
                    part = os.read(key.fd, 1 << 20)
                    parts.append(part)
                    if not part:
                        selector.unregister(key.fd)
                        os.close(key.fd)
                        os.waitpid(process, 0)
                        del running[key.fd]
                        data = b"".join(parts)
                        yield index, pickle.loads(data) if data else None
                for _, process, end, _ in running.values():
                    if time.monotonic() > end:
                        os.kill(process, signal.SIGKILL)
        finally:
            for _, process, _, _ in running.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)


class Scenarios:
    """The tests of some sources: which there are, what each executes, and whether they pass."""

    def __init__(self, sources, modules, jobs=None):
        """`modules` are those of `sources` that hold tests, functions `test_*()`."""
        self.sources = sources
        self.modules = modules
        self.jobs = jobs or os.cpu_count()
        self.codes = {}
        for path, text, _ in sources.modules.values():
            self.codes[path] = self.sources.compile(path, text)
        self.seconds = {}  # of the processor, by test
        self.reached = {}  # tests by place: path, line, column
        gc.collect()
        gc.freeze()

    def _ready(self, codes):
        """In a fork: makes what is imported come from the sources, and nothing be there yet."""
        for name in self.sources.modules:
            sys.modules.pop(name, None)
        sys.meta_path.insert(0, _Finder(self.sources, codes))
        gc.disable()  # no scenario makes that much, and a collection takes as long as a scenario

    def look(self, paths):
        """Runs all tests once, and notes which statements of `paths` each reaches.

        Raises AssertionError where one fails.
        """
        number = {}
        codes = dict(self.codes)
        for path in paths:
            tree = _Marks(path, number).visit(ast.parse(self.sources.text(path)))
            codes[path] = self.sources.compile(path, tree)
        places = list(number)
        work = [functools.partial(self._look, codes, name) for name in self.modules]
        for index, answer in _all(work, self.jobs, _ASLEEP):
            assert answer is not None, f"{self.modules[index]} did not end"
            for test, (error, seconds, hits) in answer.items():
                assert not error, f"{test} fails without any change: {error}"
                self.seconds[test] = seconds
                for hit in hits:
                    self.reached.setdefault(places[hit], []).append(test)

    def _look(self, codes, name):
        hits = set()
        setattr(builtins, _HIT, hits.add)
        self._ready(codes)
        found = {}
        try:
            module = __import__(name)
        except Exception as problem:
            return {f"{name}.import": (repr(problem), 0, ())}
        first = set(hits)
        for test in sorted(dir(module)):
            if test.startswith("test_"):
                hits.clear()
                start = time.process_time()
                error = _outcome(getattr(module, test))
                found[f"{name}.{test}"] = error, time.process_time() - start, first | hits
        return found

    def order(self, tests):
        """The quick ones first."""
        return sorted(set(tests), key=lambda test: (self.seconds[test], test))

    def judge(self, changes):
        """Yields (index, name of the test that failed, or None) for each (path, text, tests)."""
        work = (functools.partial(self._judge, *change) for change in changes)
        for index, answer in _all(work, self.jobs, _ASLEEP):
            yield index, "(did not end)" if answer is None else answer[0]

    def _judge(self, path, text, tests):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        codes = dict(self.codes)
        try:
            codes[path] = self.sources.compile(path, text)
        except Exception as problem:
            return (repr(problem),)
        self._ready(codes)
        for test in tests:
            name, _, function = test.partition(".")
            limit = max(_LEAST, _TIMES * self.seconds[test])
            # The signal that comes then ends the process.
            signal.setitimer(signal.ITIMER_PROF, limit)
            try:
                module = __import__(name)
            except BaseException:
                return (test,)
            if _outcome(getattr(module, function)):
                return (test,)
        return (None,)


def _outcome(test):
    """What a test raised, as text, or None."""
    try:
        test()
    except BaseException as problem:
        return repr(problem) or "?"
    return None
