"""tools/mutants: it finds what the scenarios notice and what not, and leaves all as it was."""

import signal
import subprocess
import sys
import time
import types

import pytest

from tools import mutants, mutants_run, mutate
from tools.common import ROOT, Missing

_SOURCE = '''"""Half a clamp."""

from other import LIMIT

_LEAST = const(2)


@decorated(3)
def clamp(x: int, most=9):
    """Keeps x within bounds."""
    count("calls")
    if x < _LEAST:
        return _LEAST
    n = 0
    while n < x and n < LIMIT:
        n += 1
    return n


def idle():
    raise ValueError("never %d" % 3)
'''

_TESTS = """
import clamped

def test_bounds():
    assert clamped.clamp(-5) == 2 and clamped.clamp(1) == 2
    assert clamped.clamp(3) == 3
    assert clamped.clamp(6) == 5

def test_other():
    pass
"""


def _changed(source):
    return {(m.before, m.after) for m in mutate.mutants("x.py", source)}


def test_one_thing_is_changed_at_a_time():
    found = _changed(_SOURCE)
    for before, after in (
        ("_LEAST = const(2)", "_LEAST = const(3)"),
        ("_LEAST = const(2)", "_LEAST = const(1)"),
        ('count("calls")', "pass"),
        ("if x < _LEAST:", "if x <= _LEAST:"),
        ("if x < _LEAST:", "if x >= _LEAST:"),
        ("if x < _LEAST:", "if True:"),
        ("if x < _LEAST:", "if False:"),
        ("return _LEAST", "pass"),
        ("n = 0", "n = 1"),
        ("while n < x and n < LIMIT:", "while n < x or n < LIMIT:"),
        ("while n < x and n < LIMIT:", "while n < x:"),
        ("while n < x and n < LIMIT:", "while n < LIMIT:"),
        ("while n < x and n < LIMIT:", "while n < x and n <= LIMIT:"),
        ("while n < x and n < LIMIT:", "while False:"),
        ("n += 1", "n -= 1"),
        ("n += 1", "n += 2"),
        ("n += 1", "pass"),
        ("def clamp(x: int, most=9):", "def clamp(x: int, most=10):"),
        ('raise ValueError("never %d" % 3)', "pass"),
    ):
        assert (before, after) in found, (before, after)
    for before, after in found:
        # Texts, decorators, imports, what is raised, and a first assignment stay.
        assert "import" not in before and "@" not in before and '"""' not in before
        assert not before.startswith("raise") or after == "pass"
        assert (before, after) != ("n = 0", "pass")


@pytest.mark.parametrize(
    "before, after",
    [
        ("x = y // z", "x = y * z"),
        ("x = y & z", "x = y | z"),
        ("x = (y) + (z)", "x = (y) - (z)"),
        ("x = -y", "x = y"),
        ("x = not y", "x = y"),
        ("x = y is not z", "x = y is z"),
        ("x = y not in z", "x = y in z"),
        ("x = 0xFF", "x = 0x100"),
        ("x = y if z else w", "x = y if True else w"),
        ("x[3] = True", "x[3] = False"),
        ("x = f(y, 1)", "x = f(y, 0)"),
        ("x = y + 1", "x = y"),
    ],
)
def test_operators(before, after):
    source = f"def f(y, z, w):\n    x = []\n    {before}\n    return x\n"
    assert (before, after) in _changed(source)


@pytest.mark.parametrize(
    "statement",
    [
        "x = ptr8(x)",  # on CPython that is nothing
        "'text'",
        "import x",
    ],
)
def test_what_means_nothing_is_not_removed(statement):
    source = f"def f(x):\n    {statement}\n    return g(x)\n"
    assert (statement, "pass") not in _changed(source)


def test_what_means_the_same_by_its_form_is_left_out():
    clamp = "def f(x, y):\n    if x > y:\n        x = y\n    return x if x < y else y\n"
    found = _changed(clamp)
    assert ("if x > y:", "if x >= y:") not in found and ("if x > y:", "if x <= y:") in found
    assert ("return x if x < y else y", "return x if x <= y else y") not in found
    assert ("return x if x < y else y", "return x if x >= y else y") in found
    assert _changed("def f(x):\n    return x[0 + 0]\n") == {
        ("return x[0 + 0]", "pass"),
        ("return x[0 + 0]", "return x[1 + 0]"),
        ("return x[0 + 0]", "return x[0 + 1]"),
    }


def test_a_change_is_found_again_when_lines_have_moved():
    keys = [m.key for m in mutate.mutants("x.py", _SOURCE)]
    moved = _SOURCE.replace("_LEAST = const(2)", "# A comment.\n\n_LEAST = const(2)")
    assert [m.key for m in mutate.mutants("x.py", moved)] == keys
    assert len(set(keys)) == len(keys)
    twice = "def f(x):\n    x += 1\n    x += 1\n"
    assert {m.number for m in mutate.mutants("x.py", twice)} == {1, 2}


def test_the_list_of_those_that_mean_the_same():
    text = (
        "# Comment.\n\nx.py f\n- a < b\n+ a <= b\n  Never equal.\n  At all.\n\n"
        "x.py C.g (number 2)\n- x\n+ pass\n+ y\n  It is set again.\n"
    )
    assert mutants.read_equivalent(text) == {
        ("x.py", "f", "a < b", "a <= b", 1): "Never equal. At all.",
        ("x.py", "C.g", "x", "pass", 2): "It is set again.",
        ("x.py", "C.g", "x", "y", 2): "It is set again.",
    }
    for bad in (
        "x.py f\n- a\n+ b\n",
        "x.py\n- a\n+ b\n  why\n",
        "x.py f\n- a\n  why\n",
        text + text,
    ):
        with pytest.raises(Missing):
            mutants.read_equivalent(bad)


def test_what_is_listed_is_there_to_be_changed():
    known = mutants.read_equivalent(mutants.EQUIVALENT.read_text())
    assert all(len(reason) > 10 for reason in known.values())
    for path in {key[0] for key in known}:
        there = {m.key for m in mutate.mutants(path, (ROOT / path).read_text())}
        assert not [key for key in known if key[0] == path and key not in there]


def test_a_sample_is_drawn_by_its_seed_and_from_each_statement_first():
    everything = mutate.mutants("x.py", _SOURCE)
    statements = {m.statement for m in everything}
    some = mutants.draw(everything, len(statements), 5)
    assert {m.statement for m in some} == statements
    assert some == mutants.draw(everything, len(statements), 5)
    assert some != mutants.draw(everything, len(statements), 6)
    assert sorted(mutants.draw(everything, 0, 1), key=str) == sorted(everything, key=str)


@pytest.fixture
def small(tmp_path):
    """A project of one source and its tests, in its own folder."""
    shim = (
        "import builtins\nbuiltins.const = lambda x: x\n"
        "builtins.decorated = lambda n: lambda f: f\nbuiltins.count = lambda what: None\n"
    )
    for name, text in (
        ("code/clamped.py", _SOURCE),
        ("code/other.py", "LIMIT = 5\n"),
        ("tests/shim.py", shim),
        ("tests/test_clamped.py", "import shim\n" + _TESTS),
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    sources = mutants_run.Sources(tmp_path, [], ["code", "tests"])
    return mutants_run.Scenarios(sources, ["test_clamped"], 2)


def _hunted(scenarios, **kw):
    paths = ["code/clamped.py"]
    found = {}
    for mutant, test in mutants.hunt(scenarios, paths, kw.get("sample", 0), 1):
        found[mutant.before, mutant.after] = test
    return found


def test_what_the_tests_notice_and_what_not(small):
    found = _hunted(small)
    for before, after in (
        ("if x < _LEAST:", "if x >= _LEAST:"),
        ("if x < _LEAST:", "if False:"),
        ("return _LEAST", "pass"),
        ("n += 1", "n += 2"),
        ("_LEAST = const(2)", "_LEAST = const(3)"),
        ("while n < x and n < LIMIT:", "while n < x:"),
    ):
        assert found[before, after] == "test_clamped.test_bounds", (before, after)
    # What loops for ever is noticed as well, and ended.
    assert found["n += 1", "n -= 1"] == found["n += 1", "pass"] == "(did not end)"
    survivors = {change for change, test in found.items() if test is None}
    assert survivors >= {
        ("if x < _LEAST:", "if x <= _LEAST:"),
        ('count("calls")', "pass"),
        ('raise ValueError("never %d" % 3)', "pass"),
        ("def clamp(x: int, most=9):", "def clamp(x: int, most=10):"),
    }
    assert len(survivors) <= 6, survivors


def test_what_this_process_has_imported_is_imported_anew(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "clamped", types.ModuleType("clamped"))
    assert _hunted(small)["if x < _LEAST:", "if False:"] == "test_clamped.test_bounds"


def test_only_who_comes_by_is_asked(small):
    small.look(["code/clamped.py"])
    reach = mutants.Reach(small)
    asked = {m.before: reach.tests(m) for m in mutate.mutants("code/clamped.py", _SOURCE)}
    assert asked["n += 1"] == asked["_LEAST = const(2)"] == ["test_clamped.test_bounds"]
    assert asked['raise ValueError("never %d" % 3)'] == []


def test_a_test_that_fails_without_any_change_ends_it(small):
    broken = small.sources.modules["test_clamped"][1] + "\ndef test_z():\n    assert 0\n"
    small.sources.modules["test_clamped"] = "tests/test_clamped.py", broken, False
    small.codes["tests/test_clamped.py"] = compile(broken, "tests/test_clamped.py", "exec")
    with pytest.raises(AssertionError, match="test_z fails without any change"):
        list(mutants.hunt(small, ["code/clamped.py"], 0, 1))


def test_the_files_stay_as_they_are_also_when_it_is_interrupted():
    paths = sorted((ROOT / "smolmpy").rglob("*.py"))
    before = [path.read_bytes() for path in paths]
    argv = [sys.executable, "-m", "tools.mutants", "--sample", "500", "smolmpy/ip/route.py"]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert "changes" in process.stdout.readline()
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert [path.read_bytes() for path in paths] == before


@pytest.mark.parametrize(
    "path, before, after, noticed",
    [
        ("link/ethernet.py", "f[0] = (hi >> 8) & 255", "pass", "test_arp.py"),
        ("ip/route.py", "broadcast = 1 if dst == M else 0", "broadcast = 0 if dst == M else 0",
         "test_ipv4.py"),
        ("tcp/ranges.py", "t[table + 1] = n - i", "pass", "test_tcp_sack.py"),
    ],
)  # fmt: skip
def test_changes_of_the_stack_are_noticed(path, before, after, noticed):
    """The scenarios of tests/conformance, as `make mutants` runs them, on what must not live."""
    path = f"smolmpy/{path}"
    scenarios = mutants.conformance(only=noticed)
    text = scenarios.sources.text(path)
    mutant = next(m for m in mutate.mutants(path, text) if (m.before, m.after) == (before, after))
    scenarios.look([path])
    change = path, mutant.apply(text), mutants.Reach(scenarios).tests(mutant)
    ((_, test),) = scenarios.judge([change])
    assert test and test.startswith(noticed[:-3])
