"""The tool that makes the bytecode edition, and that the edition means the same as the source."""

from tools import bytecode

_SOURCE = '''\
"""@micropython.viper ptr8(x)"""
from micropython import const

_A = const(2)


@micropython.viper
def mix(buf, words, n: int) -> int:
    b = ptr8(buf)  # ptr8(buf) stays here
    w = ptr32(words)
    s = 0
    i = 0
    while i < n:
        s += int(b[i]) * (i + _A)
        i += 1
    w[0] = s
    w[1] = (s << 20) & 0x3FFFFFFF
    return int(fold(int(w[1]) + s))


@micropython.native
def fold(x):
    return (x & 0xFFFF) + int(str(x >> 16))


@staticmethod
def text():
    return "é", "int(b)", ptr16(b"ab")[0], "ptr8(x)"
'''
_MAIN = """
from array import array
words = array("I", [0, 0])
print(mix(bytearray(range(40)), words, 40), list(words))
"""


def test_drops_decorators_and_casts_and_nothing_else():
    got = bytecode.convert(_SOURCE).splitlines()
    expected = _SOURCE.splitlines()
    changes = {
        6: "",
        8: "    b = (buf)  # ptr8(buf) stays here",
        9: "    w = (words)",
        13: "        s += (b[i]) * (i + _A)",
        17: "    return (fold((w[1]) + s))",
        20: "",
        27: '    return "é", "int(b)", (b"ab")[0], "ptr8(x)"',
    }
    for row, line in changes.items():
        expected[row] = line
    assert got == expected


def test_keeps_what_only_looks_like_a_cast():
    source = "def f(x):\n    x.ptr8(1)\n    ptr8 = int(x)\n    return ptr8\n"
    assert bytecode.convert(source) == source


def test_several_casts_on_a_line():
    source = (
        "@micropython.viper\ndef f(a, b) -> int:\n"
        "    return int(ptr8(a)[0]) + ptr8(\n        b)[int(a)]\n"
    )
    assert bytecode.convert(source) == (
        "\ndef f(a, b) -> int:\n    return ((a)[0]) + (\n        b)[(a)]\n"
    )


def test_same_result_as_viper(tmp_path, target):
    """The sample run on the target: viper, bytecode, or CPython with the shim."""
    source = _SOURCE.replace("@staticmethod\n", "") + _MAIN
    if target.name == "bytecode":
        source = bytecode.convert(source)
    script = tmp_path / "sample.py"
    script.write_text(source)
    words = sum(byte * (byte + 2) for byte in range(40))
    high = (words << 20) & 0x3FFFFFFF
    folded = ((high + words) & 0xFFFF) + (high + words >> 16)
    assert target.run(script) == f"{folded} [{words}, {high}]\n"


def test_edition_has_no_emitter_left():
    folder = bytecode.ensure()
    for path in folder.rglob("*.py"):
        text = path.read_text()
        assert not any(f"\n@micropython.{name}" in text for name in ("viper", "native", "asm_"))


def test_kernel_edition(target, tmp_path):
    """Each target runs the kernels that it is there to test."""
    script = tmp_path / "edition.py"
    script.write_text("from smolmpy.kernel import EDITION\nprint(EDITION)\n")
    viper = target.name in ("unix64", "unix32")
    assert target.run(script).strip() == ("viper" if viper else "plain")
