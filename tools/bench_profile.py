"""Tells where the instructions of an operation go, on the emulated Cortex-M3.

    python3 -m tools.bench_profile [OPERATION...]

carries out operations of tools/bench/counted.py (all of them by default) under QEMU with a plugin
that counts each instruction (tools/bench/profile.c), and prints for each: the functions by what
they take themselves, and each native function of smolmpy with what it has the runtime do. The
application and the device in memory are in modules "counted" and "links". The image is the steady
one of tools/bench_counted.py, so the sums are those of the budget.
"""

import ast
import collections
import re
import subprocess
import sys

from tools import bench_counted, firmware
from tools.common import BUILD, ROOT, Missing, main, run
from tools.qemu_board import Board

BOARD = bench_counted.BOARD
_COUNT = 0x20000000  # as in tools/bench/counted.py
_FOLDER = BUILD / "bench"
_ELSEWHERE = "(in no function)"
# Versions of QEMU's plugin interface; what is used here is the same in all.
_VERSIONS = range(1, 8)
_MOST = 30


class _ProfiledBoard(Board):
    """A board whose instructions are counted by the plugin."""

    def __init__(self, image, plugin, symbols, out):
        super().__init__(BOARD, image, icount=True)
        options = f"symbols={symbols},count={_COUNT:x},out={out}"
        self._argv += ["-plugin", f"{plugin},{options}"]


def _plugin():
    """Compiles the plugin for the version of the interface that this QEMU wants."""
    source = ROOT / "tools" / "bench" / "profile.c"
    _FOLDER.mkdir(parents=True, exist_ok=True)
    (_FOLDER / "symbols").write_text("")
    for version in _VERSIONS:
        target = _FOLDER / f"profile-{version}.so"
        options = ["-O2", "-shared", "-fPIC", f"-DPLUGIN_VERSION={version}"]
        run("gcc", *options, "-o", target, source)
        options = f"symbols={_FOLDER / 'symbols'},count=0,out=/dev/null"
        argv = ["qemu-system-arm", "-machine", "none", "-display", "none", "-S"]
        argv += ["-monitor", "stdio", "-plugin", f"{target},{options}"]
        done = subprocess.run(argv, input="quit\n", capture_output=True, text=True)
        if not done.returncode:
            return target
    raise Missing(f"QEMU does not load the plugin: {done.stderr.strip()}")


def _native_functions(tree, within=""):
    """(class or "", function) of what is compiled to machine code without a name, in order."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from _native_functions(node, node.name)
        elif isinstance(node, ast.FunctionDef):
            decorators = {getattr(item, "attr", "") for item in node.decorator_list}
            if decorators & {"viper", "asm_thumb"}:
                yield within, node.name


def _names():
    """What MicroPython's mpy-tool calls the machine code of smolmpy's functions, with our names.

    It knows no name of a viper or assembly function but its file's, and numbers them in order.
    """
    names = {}
    package = list((ROOT / "smolmpy").rglob("*.py"))
    others = [
        ROOT / "boards" / BOARD / "smolmpy_board.py",
        *(ROOT / "tools" / "bench").glob("*.py"),
    ]
    for path in package + others:
        text = str(path.relative_to(ROOT)) if path in package else path.name
        module = text.removesuffix(".py").replace("/", ".")
        label = text.replace("/", "_slash_").replace(".", "_dot_")
        seen = collections.Counter()
        for within, name in _native_functions(ast.parse(path.read_text())):
            parts = ["fun_data", *module.split("."), *([within] if within else []), label]
            symbol = "_".join(parts)
            seen[symbol] += 1
            number = str(seen[symbol]) if seen[symbol] > 1 else ""
            names[symbol + number] = ".".join([module, *([within] if within else []), name])
    return names


def _symbols(image):
    """Lists of (start, end, native, name), sorted and not overlapping."""
    names = _names()
    found = []
    for line in run("arm-none-eabi-nm", "-n", "-S", image).splitlines():
        match = re.match(r"(\w+) (\w+) [tTwW] (\S+)", line)
        if match:
            start, size = int(match[1], 16) & ~1, int(match[2], 16)
            name = match[3]
            native = name in names or name.startswith("fun_data_")
            name = names.get(name, name.removeprefix("fun_data_"))
            if not found or start >= found[-1][1]:
                found.append((start, start + size, native, name))
    return found


def profile(image, name, driver=False):
    """Runs an operation; returns how often it ran, and instructions by (owner, function)."""
    symbols = _symbols(image)
    table = _FOLDER / "symbols"
    plugin = _plugin()
    table.write_text("".join(f"{s:x} {e:x} {int(native)}\n" for s, e, native, _ in symbols))
    out = _FOLDER / f"profile-{name}.txt"
    out.unlink(missing_ok=True)
    with _ProfiledBoard(image, plugin, table, out) as board:
        line = board.run(f"import counted\ncounted.run({name!r}, {driver})", timeout=300)
        times = int(line.split()[2])
    counts = collections.Counter()
    for line in out.read_text().splitlines():
        owner, symbol, n = map(int, line.split())
        pair = [_ELSEWHERE if i < 0 else symbols[i][3] for i in (owner, symbol)]
        counts[tuple(pair)] += n
    return times, counts


def report(name, times, counts):
    """The profile of one operation as text; figures are instructions per operation."""
    own = collections.Counter()
    charged = collections.defaultdict(collections.Counter)
    for (owner, symbol), n in counts.items():
        own[symbol] += n
        charged[owner][symbol] += n
    lines = [f"## {name}: {sum(own.values()) / times:.0f} instructions", "", "```"]
    for symbol, n in own.most_common(_MOST):
        lines.append(f"{n / times:8.0f}  {symbol}")
    lines += ["", "native functions: with what the runtime does for them, and their own"]
    order = sorted(charged, key=lambda owner: -sum(charged[owner].values()))
    for owner in order:
        total = sum(charged[owner].values())
        parts = [
            f"{symbol} {n / times:.0f}"
            for symbol, n in charged[owner].most_common(9)
            if symbol != owner and n >= times
        ]
        mine = charged[owner][owner] / times
        lines.append(f"{total / times:8.0f} {mine:7.0f}  {owner}: {', '.join(parts)}")
    return "\n".join([*lines, "```", ""])


def _main():
    firmware.provide(BOARD)
    image = bench_counted.build(steady=True)
    names = sys.argv[1:]
    if not names:
        text = (ROOT / "tools" / "bench" / "counted.py").read_text()
        names = re.findall(r'^    "(\w+)": \w+,$', text, re.MULTILINE)
    for name in names:
        print(report(name, *profile(image, name)), flush=True)


if __name__ == "__main__":
    main(_main)
