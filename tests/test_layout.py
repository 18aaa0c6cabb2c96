"""One name means one value: `const()` does not cross modules, so modules repeat what they share.

docs/layout.md describes it, and `make format` writes it into them (tools/layout.py). What modules
have for themselves is looked at here: the state of interfaces and sockets is shared between
modules, so a private constant must have the same value wherever it appears among them. A driver
talks to its own chip alone and may use the same names for other registers.
"""

import ast
import collections

import pytest

from tools import layout
from tools.common import ROOT, Missing

_SHARED = ("core", "link", "ip", "iface", "sockets", "tcp")
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


_PAGE_TEXT = """
The interface. Constants: `_NAME`.

| word | names | unit | what it is |
| --- | --- | --- | --- |
| 4 | `NOW` | time | |
| 7 | `SRC` `DST` | address | |

Constants: `_F_NAME`.

| value | names | |
| --- | --- | --- |
| 1 | `FULL` `WHOLE` | |
| 0x7C0 | `FAULTS` | |

Of a driver. Constants: `_NAME`, of `phy/spi.py` `phy/w5500.py`.

| word | names | |
| --- | --- | --- |
| 4 | `DOWN` | |
"""


def test_the_page_is_read():
    phy = {"phy/spi", "phy/w5500"}
    assert layout.page_words(_PAGE_TEXT) == [
        ("_NOW", "4", None),
        ("_SRC", "7", None),
        ("_DST", "8", None),
        ("_F_FULL", "1", None),
        ("_F_WHOLE", "1", None),
        ("_F_FAULTS", "0x7C0", None),
        ("_DOWN", "4", phy),
    ]
    words = layout.known_words()
    assert words["_NOW"] == "4" and words["_EAGAIN"] == "11" and words["_T_SND_NXT"] == "11"
    assert words["_C_RX_FRAMES"] == words["_COUNTERS"] == "32"
    assert layout.known_words("phy/spi")["_DOWN"] == "4" and "_DOWN" not in words


_MODULE = """import micropython
from micropython import const

from .other import f

_OURS = const(9)
{}

@micropython.viper
def g(st: ptr32):
    st[_DST] = st[_NOW] + _OURS
"""
_KNOWN = {"_NOW": "4", "_SRC": "7", "_DST": "8"}
_BLOCK = f"{layout.MARK}\n_NOW = const(4)\n_DST = const(8)\n"


def test_a_module_gets_what_it_uses():
    right = layout.written(_MODULE.format(""), _KNOWN)
    assert f"import f\n\n{_BLOCK}\n_OURS = const(9)\n" in right
    assert layout.written(right, _KNOWN) == right
    # Lines of before move to the block, and what is not used goes.
    old = _MODULE.format("_DST = const(8)\n_SRC = const(7)\n_NOW = const(4)  # the time\n")
    moved = layout.written(old, _KNOWN)
    assert moved.count("_DST = ") == moved.count("_NOW = ") == 1 and "_SRC" not in moved
    assert _BLOCK in moved and "the time" not in moved
    assert layout.written(moved, _KNOWN) == moved
    # A word that has moved on the page moves in the module.
    assert "_DST = const(12)" in layout.written(
        right.replace("(8)", "(12)"), {**_KNOWN, "_DST": "12"}
    )


def test_another_value_is_an_error_but_for_a_guest():
    wrong = _MODULE.format("_DST = const(3)\n_NOW = const(4)\n")
    with pytest.raises(ValueError, match="_DST is 8 in docs/layout.md, not 3"):
        layout.written(wrong, _KNOWN)
    assert "_DST = const(3)" in layout.written(wrong, _KNOWN, guest=True)


def test_a_name_twice_on_the_page_is_an_error(monkeypatch, tmp_path):
    page = tmp_path / "layout.md"
    page.write_text(_PAGE_TEXT + "| 5 | `DOWN` | |\n")
    monkeypatch.setattr(layout, "PAGE", page)
    with pytest.raises(Missing, match="_DOWN: more than once"):
        layout.known_words("phy/spi")


def test_what_is_not_used_is_seen():
    text = "_A = const(1)\n_B = const(_A + 1)\n_C = const(3)\n\ndef f():\n    return _B\n"
    assert layout.unused(text) == ["_C"]


def test_all_is_as_the_page_says():
    assert layout.update(check=True) == 0
