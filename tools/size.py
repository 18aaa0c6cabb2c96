"""Prints what each module takes of flash and RAM, and what an interface and sockets take of RAM.

source  the file                          v6m, v7m   the compiled .mpy for armv6m and armv7m
flash   its part of the Cortex-M3 image: native code, bytecode, constants; names not counted
frozen  RAM once it is imported from the image      loaded   the same, compiled on the board

All in bytes. RAM is measured on the emulated Cortex-M3 of boards/MPS2_AN385, after a collection,
for each module after those that it imports; the last table has a heap of 192 KiB, less than an
RP2040 offers, and from source 256, which is what compiling wants.
"""

import ast
import re
import subprocess
import tempfile
from pathlib import Path

from tools import firmware, unixport
from tools.common import ROOT, main, run
from tools.qemu_board import Board

_BOARD = "MPS2_AN385"
_PACKAGE = ROOT / "smolmpy"
# For hosts: they need modules that a board does not have.
_HOST_ONLY = ("kernel.libc_viper", "phy.libc", "phy.packet", "phy.tap")

# What MicroPython's mpy-tool calls the parts of a frozen module.
_KINDS = (
    "children|const_obj_table_data|const_qstr_table_data|const_obj|frozen_module|fun_data|"
    + ("proto_fun|raw_code")
)

_MEASURE = """
import gc
def _used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()
def _measure(name):
    before = _used()
    try:
        __import__(name)
    except ImportError:
        return -1
    return _used() - before
_used()
"""

_OBJECTS = """
from smolmpy import Interface, TCPSocket, UDPSocket, ICMPSocket
class Device:
    mtu = 1500
    def receive(self, buf):
        return 0
    def transmit(self, buf, length):
        return 0
made = [None] * 8
device = Device()
def cost(i, text, make, *arguments):
    make(*arguments)
    before = _used()
    made[i] = make(*arguments)
    print(text, _used() - before, sep="\\t")
cost(0, "Interface(device, mac)", Interface, device, "02-00-00-00-00-01")
cost(1, "TCPSocket(64, 64)", TCPSocket, 64, 64)
cost(2, "TCPSocket(2048, 2048)", TCPSocket, 2048, 2048)
cost(3, "UDPSocket(64, 64)", UDPSocket, 64, 64)
cost(4, "UDPSocket(1472, 1472)", UDPSocket, 1472, 1472)
cost(5, "ICMPSocket(64, 64)", ICMPSocket, 64, 64)
"""


def _name(path):
    parts = path.relative_to(_PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def _imports(path):
    """The modules of the package that a module imports, by name within the package."""
    package = path.relative_to(_PACKAGE).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            base = list(package[: len(package) + 1 - node.level])
        elif (node.module or "").split(".")[0] == "smolmpy":
            base = []
        else:
            continue
        module = (node.module or "").split(".")
        base += module if node.level else module[1:]
        yield ".".join(part for part in base if part)
        for alias in node.names:
            yield ".".join(part for part in [*base, alias.name] if part)


def _in_order(modules):
    """Module names, each after those that it imports and after its package."""
    done = {}

    def visit(name):
        if name in done or name not in modules:
            return
        done[name] = None
        before = [name.rpartition(".")[0], *_imports(modules[name])]
        for other in before:
            visit(other)
        done[name] = done.pop(name)

    for name in sorted(modules):
        visit(name)
    return list(done)


def _mpy(path, arch, folder):
    """Bytes of the compiled module, or "fails"."""
    target = Path(folder) / "module.mpy"
    source_name = path.relative_to(ROOT)
    options = ["-O3", f"-march={arch}", "-s", source_name, "-o", target]
    done = subprocess.run([unixport.build("mpy-cross"), *options, path], capture_output=True)
    return "fails" if done.returncode else target.stat().st_size


def _flash(modules):
    """Bytes of frozen data by module, from the symbols of the image's frozen content."""
    # A symbol is a kind, the module's path with underscores, and a function: the longest fits.
    marks = {}
    for name, path in modules.items():
        mark = "_".join(path.relative_to(ROOT).with_suffix("").parts)
        marks[mark] = name
    sizes = {}
    frozen = firmware.folder(_BOARD) / "frozen_content.o"
    for line in run("arm-none-eabi-nm", "--print-size", frozen).splitlines():
        found = re.match(rf"\w+ (\w+) [rRdDtT] (?:{_KINDS})_(\w+)", line)
        if not found:
            continue
        fitting = [mark for mark in marks if found[2].startswith(mark)]
        if fitting:
            name = marks[max(fitting, key=len)]
            sizes[name] = sizes.get(name, 0) + int(found[1], 16)
    return sizes


def _ram(image, names, loaded=False):
    """Bytes of RAM by module, frozen or loaded, and what _OBJECTS printed."""
    with Board(_BOARD, image, files="source" if loaded else None) as board:
        if loaded:
            board.mount_files()
            board.run("import sys\nsys.path.append('/host')")
        board.run(_MEASURE)
        used = {}
        for name in names:
            module = f"smolmpy.{name}" if name else "smolmpy"
            found = int(board.run(f"print(_measure({module!r}))"))
            if found >= 0:
                used[name] = found
        return used, "" if loaded else board.run(_OBJECTS, timeout=120)


def _server(image, files, paths):
    """Bytes of RAM that the modules of examples/server.py take, and what the heap has left."""
    with Board(_BOARD, image, files=files) as board:
        board.mount_files()
        board.run(f"import sys\nsys.path.extend({paths!r})\n" + _MEASURE)
        return board.run("print(_measure('server'), gc.mem_free())").split()


def _print(rows):
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [f"{cell!s:>{width}}" for cell, width in zip(row, widths, strict=True)]
        print(f"{row[0]:{widths[0]}}  " + "  ".join(cells[1:]))


def _main():
    firmware.provide(_BOARD)
    modules = {_name(path): path for path in sorted(_PACKAGE.rglob("*.py"))}
    names = [name for name in _in_order(modules) if name not in _HOST_ONLY]
    image = firmware.build(_BOARD)
    flash = _flash(modules)
    frozen, objects = _ram(image, [name for name in names if name in flash])
    loaded, _ = _ram(firmware.build(_BOARD, "roomy"), names, loaded=True)
    bare = firmware.build(_BOARD, "bare")
    compiling = firmware.build(_BOARD, "compiling")
    rows = [("module", "source", "v6m", "v7m", "flash", "frozen", "loaded")]
    with tempfile.TemporaryDirectory() as folder:
        for name in sorted(modules):
            path = modules[name]
            row = [f"smolmpy.{name}" if name else "smolmpy", path.stat().st_size]
            row += [_mpy(path, arch, folder) for arch in ("armv6m", "armv7m")]
            rows.append((*row, *(table.get(name, "-") for table in (flash, frozen, loaded))))
    numbers = [
        [cell for cell in column if isinstance(cell, int)]
        for column in zip(*rows[1:], strict=True)
    ]
    rows.append(("all", *(sum(column) for column in numbers[1:])))
    _print(rows)
    print("\nRAM of objects, buffers included:\n")
    _print([line.split("\t") for line in objects.splitlines()])
    print("\nRAM that the modules of examples/server.py take, and what is left of the heap:\n")
    paths = ["/host", "/host/examples", f"/host/boards/{_BOARD}"]
    _print(
        [
            ("frozen, 192 KiB", *_server(image, "source", paths[1:2])),
            ("loaded as .mpy, 192 KiB", *_server(bare, "mpy", paths)),
            ("loaded as source, 256 KiB", *_server(compiling, "source", paths)),
        ]
    )


if __name__ == "__main__":
    main(_main)
