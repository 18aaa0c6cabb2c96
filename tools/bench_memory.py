"""Measures memory on the emulated Cortex-M3: heap of objects and of imports, flash of modules."""

import re
import tempfile

from tools import firmware, size
from tools.common import ROOT
from tools.qemu_board import Board
from tools.repl import BoardError

BOARD = "MPS2_AN385"
_HEAP = 192 * 1024
_KIB = 1024
# Where the modules of examples/server.py are found, once the project's files are mounted.
_PATHS = ["/host", "/host/examples", f"/host/boards/{BOARD}"]

_OBJECTS = """
import gc
from smolmpy import Interface, TCPSocket, UDPSocket
class Device:
    mtu = 1500
    def receive(self, buf):
        return 0
    def transmit(self, buf, length):
        return 0
device = Device()
made = [None] * 8
def used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()
def cost(i, name, make, *arguments):
    make(*arguments)
    before = used()
    made[i] = make(*arguments)
    print(name, used() - before)
def smallest():
    iface = Interface(device, "02-00-00-00-00-01")
    iface.add_address("192.168.69.1/24")
    return iface, iface.add(TCPSocket(64, 64))
cost(0, "stack", smallest)
cost(1, "interface", Interface, device, "02-00-00-00-00-01")
cost(2, "tcp_socket", TCPSocket, 64, 64)
cost(3, "udp_socket", UDPSocket, 64, 64)
"""
_SOCKET_BUFFERS = 128

_IMPORT = """
import gc, sys
sys.path.extend({paths!r})
gc.collect()
ballast = bytearray({ballast})
import server
"""
_LOADED = "print(*(name for name in sys.modules if name.startswith('smolmpy')))"


def _fits(image, files, paths, heap):
    """Whether examples/server.py can be imported where all but `heap` bytes are taken."""
    program = _IMPORT.format(paths=paths, ballast=_HEAP - heap)
    with Board(BOARD, image, files=files) as board:
        board.mount_files()
        try:
            board.run(program, timeout=120)
        except BoardError as error:
            if "memory allocation failed" in str(error) or "MemoryError" in str(error):
                return False
            raise
    return True


def _heap_to_import(image, files, paths):
    """The least heap in which the server's modules can be imported, to a KiB."""
    low, high = 0, _HEAP // _KIB
    if not _fits(image, files, paths, high * _KIB):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if _fits(image, files, paths, middle * _KIB):
            high = middle
        else:
            low = middle
    return high * _KIB


def _modules():
    package = ROOT / "smolmpy"
    return {size._name(path): path for path in sorted(package.rglob("*.py"))}


def _server_modules(image):
    """The names within smolmpy of what examples/server.py loads."""
    with Board(BOARD, image, files="source") as board:
        board.mount_files()
        output = board.run(_IMPORT.format(paths=_PATHS[1:2], ballast=0) + _LOADED)
    return [re.sub(r"^smolmpy\.?", "", name) for name in output.split()]


def measure():
    """{"heap": bytes by object, "import": bytes of heap by way, "flash": ...}, all in bytes.

    flash: for each module "v6m", "v7m" (its .mpy), "frozen" (its part of the image), and "server":
    whether examples/server.py uses it.
    """
    image = firmware.build(BOARD)
    bare = firmware.build(BOARD, "bare")
    with Board(BOARD, image) as board:
        lines = board.run(_OBJECTS, timeout=120).splitlines()
    heap = {name: int(used) for name, used in map(str.split, lines)}
    for kind in ("tcp_socket", "udp_socket"):
        heap[kind] -= _SOCKET_BUFFERS
    modules = _modules()
    frozen = size._flash(modules)
    used = set(_server_modules(image))
    flash = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, path in modules.items():
            flash[name or "smolmpy"] = {
                "v6m": size._mpy(path, "armv6m", folder),
                "v7m": size._mpy(path, "armv7m", folder),
                "frozen": frozen.get(name),
                "server": name in used,
            }
    return {
        "heap": heap,
        "import": {
            "source": _heap_to_import(bare, "source", _PATHS),
            "mpy": _heap_to_import(bare, "mpy", _PATHS),
            "frozen": _heap_to_import(image, "source", _PATHS[1:2]),
        },
        "server_flash": sum(row["frozen"] or 0 for row in flash.values() if row["server"]),
        "flash": flash,
    }
