"""Measures smolmpy on the emulated Pico, by its own clock, and writes the tables of docs/pico.md.

    python3 -m tools.pico_bench [--write]

The other host is part of the emulation (tests/pico/peer.mjs), and time does not wait for the wall
clock: whatever the computer does besides, the figures are the same at each run.
"""

import re
import sys
from bisect import bisect_right

from tools import pico, rp2
from tools.common import ROOT, main, run, say

PAGE = ROOT / "docs" / "pico.md"
_PROGRAMS = ROOT / "tests" / "pico" / "programs"
# The receive buffer is as many full segments as the chip has room for beside it.
_RX = {"w5500": 10 * 1460, "w5100s": 5 * 1460, "enc28j60": 4 * 1460}
_TX = 16 * 1460
_SEGMENTS = 719  # 1 MiB
_CYCLE = 8  # ns
STREAM = _SEGMENTS * 1460
_COUNT = 20

# An operation, how it is called.
OPERATIONS = (
    ({"op": "arp", "count": _COUNT}, "ARP request answered"),
    ({"op": "ping", "size": 98, "count": _COUNT}, "ping, 98 bytes"),
    ({"op": "ping", "size": 1514, "count": _COUNT}, "ping, 1,514 bytes"),
    ({"op": "udp", "payload": 64, "count": _COUNT}, "datagram of 64 bytes echoed"),
    ({"op": "udp", "payload": 1472, "count": _COUNT}, "datagram of 1,472 bytes echoed"),
    ({"op": "sink", "bytes": STREAM}, "TCP into a sink, 1 MiB"),
    ({"op": "source", "bytes": STREAM}, "TCP out of a source, 1 MiB"),
)
# How a board may wait for frames: a program, and whether INT is connected.
IDLE = {
    "`board.wait`": ("board", True),
    "`board.wait`, INT not connected": ("board", False),
    "asyncio, `aio.start()`": ("aio", True),
    "asyncio, INT not connected": ("aio", False),
}
_REST = {"op": "idle", "ms": 5000}


_PROGRAM = "<program>"  # in the heap, loaded from the file system
# Whose an instruction is, by the name of its function in the firmware; the first that fits.
_OWNERS = (
    (r"(mp_)?machine_(spi|pin)|spi_|dma_|hw_(claim|is_claimed)|gpio_", "machine.SPI, DMA, pins"),
    (r"fun_data_smolmpy_phy_", "the driver"),
    (r"fun_data_smolmpy_kernel_", "copies and checksums"),
    (r"fun_data_smolmpy_", "the stack"),
    (_PROGRAM, "the program"),
    (r"", "MicroPython: calls, conversions, look-ups"),
)


def measure(chip, plan, program="board", wired=True, version="oldest", profile=False):
    """Carries out a plan of tests/pico/peer.mjs; returns the emulator's statistics, whose
    `results` are of the operations. Raises BoardError with what was wrong."""
    files = pico.board_file(chip)
    if not wired:
        text = files["smolmpy_board.py"]
        files["smolmpy_board.py"] = text.replace(b"interrupt=21", b"interrupt=None")
        assert text != files["smolmpy_board.py"]
    name = f"bench_{program}"
    files[f"{name}.mpy"] = pico.compile_mpy(_PROGRAMS / f"{name}.py", version)
    arguments = f"{_RX[chip]}, {_TX}, {STREAM}" if program == "board" else ""
    files["main.py"] = f"import {name}\n{name}.main({arguments})\n".encode()
    image = rp2.build(version)
    flash = pico.flash_image(files)
    with pico.Pico(image, chip, flash=flash, plan=plan, profile=profile) as board:
        found = board.results()
    wrong = [result["wrong"] for result in found["results"] if "wrong" in result]
    wrong += found["errors"]
    if wrong:
        raise pico.BoardError("; ".join(wrong))
    return found


def shares(passed):
    """What a dict of the emulator's says: microseconds, and parts of 1 by name."""
    time = passed["time"]
    return {
        "us": time / 1000,
        "spi": passed["spi"] / time,
        "gaps": (passed["selected"] - passed["spi"]) / time,
        "cpu": (time - passed["selected"] - passed["asleep"]) / time,
        "asleep": passed["asleep"] / time,
        "bytes": passed["bytes"] / time * 1000,  # MB/s
    }


def mean(result):
    """The same for all repetitions of an operation together, for one of them."""
    passed = result["passed"]
    total = {name: sum(each[name] for each in passed) / len(passed) for name in passed[0]}
    return shares(total)


def _percent(part):
    return f"{100 * part:.0f} %" if part > 0.095 or part < 0.0005 else f"{100 * part:.1f} %"


def table(chip, found):
    """Markdown: each operation of OPERATIONS."""
    lines = [
        f"| {chip.upper()}, SPI at {found['spi_hz'] / 1e6:.0f} MHz | time | SPI | gaps | CPU"
        " | asleep | bytes over SPI | payload |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (_, name), result in zip(OPERATIONS, found["results"], strict=True):
        row = mean(result)
        us = row["us"]
        time = f"{us / 1000:.0f} ms" if us > 1e5 else f"{us:,.0f} us"
        parts = [_percent(row[part]) for part in ("spi", "gaps", "cpu", "asleep")]
        payload = f"{result['bytes'] / us:.2f} MB/s" if "bytes" in result else ""
        cells = [name, time, *parts, f"{row['bytes']:.2f} MB/s", payload]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def idle_table(rows):
    lines = ["| waiting, W5500 | core awake | looks at the chip |", "| --- | ---: | ---: |"]
    for name, passed in rows.items():
        awake = 1 - shares(passed)["asleep"]
        looks = passed["transactions"] / passed["time"] * 1e9
        lines.append(f"| {name} | {100 * awake:.2f} % | {looks:,.0f} a second |")
    return "\n".join(lines) + "\n"


def functions(version):
    """Where the firmware's functions begin, in ascending order, and their names."""
    elf = rp2.build(version).with_suffix(".elf")
    lines = [line.split() for line in run("arm-none-eabi-nm", elf).splitlines()]
    found = sorted((int(line[0], 16) & ~1, line[-1]) for line in lines if len(line) == 3)
    return [address for address, _ in found], [name for _, name in found]


def owners(spent, named):
    """{whose: cycles} of what the emulator says of each address."""
    addresses, names = named
    heap = addresses[names.index("__bss_end__")]
    total = dict.fromkeys((owner for _, owner in _OWNERS), 0)
    for address, cycles in spent:
        name = _PROGRAM if address >= heap else names[bisect_right(addresses, address) - 1]
        owner = next(owner for pattern, owner in _OWNERS if re.match(pattern, name))
        total[owner] += cycles
    return total


def profile_table(found, named):
    """Markdown: where the cycles of a segment go, of a dict of chips."""
    columns = {}
    for chip, statistics in found.items():
        for result in statistics["results"]:
            parts = owners(result["spent"], named)
            passed = result["passed"][0]
            column = {"bits on SPI": 0, **parts, "asleep": passed["asleep"] / _CYCLE}
            column["in all"] = passed["time"] / _CYCLE
            column["bits on SPI"] = 2 * column["in all"] - sum(column.values())
            columns[f"{chip.upper()} {result['op']}"] = column
    lines = [f"| cycles of a segment | {' | '.join(columns)} |"]
    lines.append("| --- |" + " ---: |" * len(columns))
    for owner in next(iter(columns.values())):
        cells = [f"{column[owner] / _SEGMENTS:,.0f}" for column in columns.values()]
        lines.append(f"| {owner} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def page(text, blocks):
    """The page with each block between its marks."""
    for name, block in blocks.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        assert found, f"{PAGE.name} has no marks of {name}"
        text = f"{before}{begin}{block}{end}{after}"
    return text


def _main():
    pico.provide()
    rp2.provide()
    blocks = {}
    plan = [operation for operation, _ in OPERATIONS]
    for chip in pico.CHIPS:
        say(f"{chip}: {len(plan)} operations")
        blocks[f"bench {chip}"] = table(chip, measure(chip, plan))
    say("where the cycles go")
    streams = [operation for operation in plan if "bytes" in operation]
    found = {chip: measure(chip, streams, profile=True) for chip in pico.CHIPS}
    blocks["bench profile"] = profile_table(found, functions("oldest"))
    rows = {}
    for name, (program, wired) in IDLE.items():
        say(f"idle: {name}")
        found = measure("w5500", [_REST], program, wired)
        rows[name] = found["results"][0]["passed"][0]
    blocks["bench idle"] = idle_table(rows)
    print("\n".join(blocks.values()))
    if "--write" in sys.argv:
        PAGE.write_text(page(PAGE.read_text(), blocks))


if __name__ == "__main__":
    main(_main)
