"""Runs each test on its targets, in a private network, and says at the end what ran where."""

import collections
import os

import micropython  # noqa: F401  (tests/cpython: MicroPython's names, for tests in this process)
import pytest

import targets
from tools import netns
from tools.common import Missing

# Not for pytest itself: these run under the targets' interpreters (tests/test_conformance.py).
collect_ignore = ["conformance", "cpython", "thumb"]

_HERE = "python"
_counts = collections.defaultdict(collections.Counter)
_seconds = collections.Counter()
_skipped = collections.Counter()
_missing = set()
_network_problem = None


def pytest_addoption(parser):
    parser.addoption(
        "--strict-targets",
        action="store_true",
        default=bool(os.environ.get("CI")),
        help="a target or a program that is missing is a failure, not a skip (default under CI)",
    )


def pytest_configure(config):
    # Nothing that a test sends can leave this namespace, and it ends with the test run.
    global _network_problem
    try:
        netns.enter()
    except Missing as problem:
        _network_problem = problem


def missing(config, reason):
    """Ends the running test because of something that this machine lacks."""
    if config.getoption("--strict-targets"):
        pytest.fail(f"{reason} (strict: what is missing is a failure)", pytrace=False)
    _missing.add(str(reason))
    pytest.skip(str(reason))


@pytest.fixture(scope="session")
def need(pytestconfig):
    """`need(function, *args)`: its result; where it raises Missing, the test is skipped."""

    def call(function, *args):
        try:
            return function(*args)
        except Missing as reason:
            missing(pytestconfig, reason)

    return call


@pytest.fixture(scope="session")
def network(pytestconfig):
    """For tests that make network devices: they run in a namespace of their own."""
    if _network_problem:
        missing(pytestconfig, _network_problem)


@pytest.fixture
def target(request, need):
    """The test runs once on each target of the conformance suite; see tests/targets.py.

    Other choices: `@pytest.mark.parametrize("target", ["unix32"], indirect=True)`.
    """
    return need(targets.get, request.param)


def pytest_generate_tests(metafunc):
    if "target" in metafunc.fixturenames and not _chosen(metafunc):
        metafunc.parametrize("target", targets.CONFORMANCE, indirect=True)


def _chosen(metafunc):
    for mark in metafunc.definition.iter_markers("parametrize"):
        names = mark.args[0]
        names = names.split(",") if isinstance(names, str) else names
        if "target" in (name.strip() for name in names):
            return True
    return False


def pytest_itemcollected(item):
    mark = item.get_closest_marker("runs_on")
    params = item.callspec.params if hasattr(item, "callspec") else {}
    name = mark.args[0] if mark else params.get("target", _HERE)
    for param in params.values():
        name = getattr(param, "target", name)
    item.user_properties.append(("target", name))
    # What one process runs, where there are several: a file, of the scenarios those of a target.
    path = item.nodeid.partition("::")[0]
    item.add_marker(pytest.mark.xdist_group(f"{path}:{name}" if "conformance" in path else path))


def pytest_runtest_logreport(report):
    target = dict(report.user_properties).get("target", _HERE)
    _seconds[report.nodeid.partition("::")[0], target] += report.duration
    if report.when != "call" and report.outcome == "passed":
        return
    _counts[target][report.outcome] += 1
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        _skipped[report.longrepr[2].removeprefix("Skipped: ")] += 1


def pytest_terminal_summary(terminalreporter):
    write = terminalreporter.write_line
    for title, there in (("skipped by their own choice", False), ("missing here", True)):
        reasons = [reason for reason in sorted(_skipped) if (reason in _missing) == there]
        if reasons:
            terminalreporter.section(title)
            for reason in reasons:
                write(f"{_skipped[reason]:5} {reason}")
    if _counts:
        terminalreporter.section("tests by target")
        order = [*targets.ALL, *sorted(set(_counts) - set(targets.ALL))]
        for name in order:
            counts = _counts.get(name)
            if not counts:
                continue
            what = "beside the stack, in this process" if name == _HERE else ""
            if name in targets.ALL:
                try:
                    what = str(targets.get(name)).removeprefix(f"{name} (").removesuffix(")")
                except Missing:
                    what = "missing"
            parts = ", ".join(f"{counts[key]} {key}" for key in ("passed", "failed", "skipped"))
            write(f"{name:16} {parts:40} {what}".rstrip())
    total = sum(_seconds.values())
    if total > 60:
        terminalreporter.section("where the time goes")
        write(f"{total:6.0f} s in all, on as many processes as pytest has")
        for (path, target), seconds in _seconds.most_common(20):
            write(f"{seconds:6.0f} s {path} ({target})")
