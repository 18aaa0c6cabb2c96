"""One name means one value: `const()` does not cross modules, so modules repeat offsets.

The state of interfaces and sockets is shared between modules, so a private constant must have the
same value wherever it appears among them. A driver talks to its own chip alone and may use the
same names for other registers.
"""

import ast
import collections

import pytest

from tools.common import ROOT

_SHARED = ("iface", "sockets")
# Name -> why it may differ.
_EXCEPTIONS = {}


def _evaluate(node, known):
    """The value of a constant expression, of numbers and of constants defined before."""
    names = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
    if not names <= known.keys():
        return None
    code = compile(ast.Expression(node), "<const>", "eval")
    return eval(code, {"__builtins__": {}}, known)


def _constants(text):
    known = {}
    for node in ast.parse(text).body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Call)
            and isinstance(node.value.func, ast.Name)
            and node.value.func.id == "const"
        ):
            known[node.targets[0].id] = _evaluate(node.value.args[0], known)
    return known


def _disagreements(texts):
    """Names that have more than one value in `texts`, a dict of module text by name."""
    values = collections.defaultdict(lambda: collections.defaultdict(list))
    for module, text in texts.items():
        for name, value in _constants(text).items():
            if name.startswith("_") and name not in _EXCEPTIONS:
                values[name][value].append(module)
    return {name: dict(found) for name, found in values.items() if len(found) > 1}


def _groups():
    package = ROOT / "smolmpy"
    yield "shared state", [path for part in _SHARED for path in (package / part).rglob("*.py")]
    # A driver of several modules names them after the chip: chip.py, chip_thumb.py, ...
    drivers = collections.defaultdict(list)
    for path in (package / "phy").glob("*.py"):
        drivers[path.stem.split("_")[0]].append(path)
    for name, paths in drivers.items():
        if len(paths) > 1:
            yield name, paths


@pytest.mark.parametrize("group, paths", [pytest.param(*g, id=g[0]) for g in _groups()])
def test_modules_agree_on_constants(group, paths):
    assert paths
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in paths}
    assert not _disagreements(texts)


def test_errnos_agree_everywhere():
    """Error numbers have one meaning in the whole package: `smolmpy.errno` says which."""
    public = {}
    exec((ROOT / "smolmpy" / "errno.py").read_text(), {"const": int}, public)
    for path in (ROOT / "smolmpy").rglob("*.py"):
        for name, value in _constants(path.read_text()).items():
            name = name.lstrip("_")
            if name in public and name.startswith("E"):
                assert public[name] == value, f"{path.relative_to(ROOT)}: {name}"


def test_a_disagreement_is_found():
    texts = {
        "a": "_X = const(1)\n_Y = const(_X + 1)\n",
        "b": "_Y = const(3)\n",
        "c": "_X = const(0x01)\n",
    }
    assert _disagreements(texts) == {"_Y": {2: ["a"], 3: ["b"]}}
