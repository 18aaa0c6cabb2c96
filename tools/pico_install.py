"""Measures the ways of installing smolmpy on an emulated Pico, on both versions of MicroPython.

    python3 -m tools.pico_install [--write]

prints a table; with --write it takes its place in README.md. Times are the board's own, at 125 MHz
without the misses of its flash cache, so a real one is slower.
"""

import subprocess
import sys

from tools import pico, rp2, venv
from tools.common import ROOT, Missing, main, say

WAYS = {
    "frozen": "frozen into the firmware",
    "mpy": "`.mpy`, compiled on a host",
    "source": "`.py`, compiled on the board",
    "mip": "`mpremote mip install`",
}
_BEGIN = "<!-- make pico-install writes this -->\n"
_END = "<!-- to here -->\n"
_CLASSES = """
import gc, os, time
gc.collect()
size = os.statvfs("/")
t = time.ticks_ms()
from smolmpy import Interface, TCPSocket, UDPSocket
t = time.ticks_diff(time.ticks_ms(), t)
gc.collect()
free = gc.mem_free()
import smolmpy_board as board
device = board.device()
gc.collect()
print("RESULT", size[1] * (size[2] - size[3]), t, free, gc.mem_free())
"""
_LAN = """
import gc
import smolmpy_board as board
from smolmpy import network
lan = network.LAN(board.device(), ticks_ms=board.ticks_ms, wait=board.wait, tcp=4, rx=1024)
lan.active(True)
network.install()
import asyncio
from smolmpy import aio
gc.collect()
print("RESULT", gc.mem_free())
"""


def _result(said):
    for line in said.splitlines():
        if line.startswith("RESULT "):
            return [int(word) for word in line.split()[1:]]
    raise Missing(f"the board did not say what was asked:\n{said}")


def installed(way, version):
    """The firmware and the flash of a Pico with a W5500 after installing one of WAYS."""
    image = rp2.build(version, "frozen" if way == "frozen" else "bare")
    return image, _flash(way, version)


def _flash(way, version):
    board = pico.board_file("w5500")
    if way == "frozen":
        return pico.flash_image(board)
    if way != "mip":
        return pico.flash_image({**board, **pico.files(way, version, ("w5500",))})
    # As the boards' READMEs have it.
    with pico.Pico(rp2.build(version, "bare"), None, flash=pico.flash_image(board)) as emulated:
        emulated.hang_up()
        argv = [venv.ensure(), "-m", "mpremote", "connect", emulated.pty, "resume"]
        argv += ["mip", "install", "./package.json"]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=1800)
        if done.returncode:
            raise Missing(f"mpremote mip install failed:\n{done.stdout}{done.stderr}")
        return emulated.flash()


def measure(way, version):
    """What a Pico with a W5500 says: a dict of bytes and milliseconds.

    `files` in flash, `import_ms` of the interface and the sockets, `imported` and `ready`, the
    bytes of heap that are free after that and with the device; `lan`, with `network.LAN` and
    asyncio instead, or None where they do not fit.
    """
    image, flash = installed(way, version)
    with pico.Pico(image, "w5500", flash=flash) as board:
        found = dict(
            zip(
                ("files", "import_ms", "imported", "ready"),
                _result(board.run(_CLASSES, 30)),
                strict=True,
            )
        )
    with pico.Pico(image, "w5500", flash=flash) as board:
        try:
            (found["lan"],) = _result(board.run(_LAN, 30))
        except pico.BoardError as error:
            if "MemoryError" not in str(error):
                raise
            found["lan"] = None
    return found


def table(rows):
    """Markdown for a dict of (way, version) and what was measured."""
    lines = [
        "| installed | MicroPython | files | import | free then | with the device"
        " | `network.LAN`, asyncio |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (way, version), row in rows.items():
        lan = "does not fit" if row["lan"] is None else f"{row['lan'] / 1024:.0f} KB"
        files = "" if way == "frozen" else f"{row['files'] / 1024:.0f} KB"
        lines.append(
            f"| {WAYS[way]} | {version} | {files} | {row['import_ms'] / 1000:.2f} s |"
            f" {row['imported'] / 1024:.0f} KB | {row['ready'] / 1024:.0f} KB | {lan} |"
        )
    return "\n".join(lines) + "\n"


def _main():
    pico.provide()
    rp2.provide()
    rows = {}
    for way in WAYS:
        for version in rp2.VERSIONS:
            say(f"{WAYS[way]}, the {version} MicroPython")
            rows[way, rp2.number(version)] = measure(way, version)
    text = table(rows)
    print(text)
    if "--write" in sys.argv:
        path = ROOT / "README.md"
        before, _, rest = path.read_text().partition(_BEGIN)
        _, _, after = rest.partition(_END)
        path.write_text(f"{before}{_BEGIN}{text}{_END}{after}")


if __name__ == "__main__":
    main(_main)
