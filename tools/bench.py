"""Measures speed and size, prints one table, and writes build/bench.json.

    python3 -m tools.bench [PART...]

Parts (all by default): counted (instructions on the emulated Cortex-M3, exact), memory (the same
board), unix (the unix port on a tap against the Linux kernel, by the clock), http (a web server
there). docs/benchmarks.md says how each figure is obtained.
"""

import json
import subprocess
import sys
import time

from tools import bench_counted, bench_http, bench_memory, bench_unix, firmware
from tools.common import BUILD, ROOT, Missing, main, say

RESULT = BUILD / "bench.json"
_PARTS = ("counted", "memory", "unix", "http")

# Operation: what it is, the target, what lwIP 2.2 takes (C, -Os, counted on the same machine in
# the same way, its own copies of the frame in and out included).
OPERATIONS = {
    "idle": ("idle poll, 4 sockets", 700, None),
    "arp": ("ARP request answered", 2700, 910),
    "icmp_echo_64": ("ICMP echo, 64 B", 4000, 1370),
    "udp_handler_64": ("UDP echo, 64 B, by a handler", 5400, 1802),
    "udp_handler_1400": ("UDP echo, 1400 B, by a handler", 11300, 11314),
    "udp_echo_64": ("UDP echo, 64 B", 5400, 1802),
    "udp_echo_64_row": ("UDP echo, 64 B, four waiting", None, 1802),
    "udp_echo_1400": ("UDP echo, 1400 B", 11300, 11314),
    "udp_echo_1400_row": ("UDP echo, 1400 B, four waiting", None, 11314),
    "tcp_echo_64": ("TCP request and response, 64 B", 9400, 3148),
    "tcp_handler_64": ("TCP request and response, 64 B, by a handler", 9400, 3148),
    "tcp_sink_1460": ("TCP segment of 1460 B received", 6800, 6814),
    "tcp_sink_handler_1460": ("TCP segment of 1460 B received, by a handler", 6800, 6814),
    "tcp_sink_1460_row": ("TCP segment of 1460 B received, four waiting", 6800, 6814),
    "tcp_source_1460": ("TCP segment of 1460 B sent", 7900, 7964),
    "tcp_handshake": ("TCP handshake, passive", 16000, 4200),
    "tcp_connection": ("TCP connection, listen() to CLOSED", None, None),
}
GROWTH = {
    "growth_sockets_1": "TCP segment received, 1 socket connected",
    "growth_sockets_16": "TCP segment received, 16 sockets connected",
    "growth_sockets_64": "TCP segment received, 64 sockets connected",
    "growth_tables_1": "UDP echo by a router, 1 route, 1 neighbor",
    "growth_tables_full": "UDP echo by a router, the last of 16 routes, 64 neighbors",
}
KERNELS = {
    "checksum_64": ("checksum, 64 B", None, None),
    "checksum_1460": ("checksum, 1460 B", 1700, 4410),
    "copy_64": ("copy, 64 B", None, None),
    "copy_1460": ("copy, 1460 B", 1200, None),
    "copy_shifted_1460": ("copy, 1460 B, words shifted by 2 bytes", None, None),
    "copy_sum_64": ("copy and checksum, 64 B", None, None),
    "copy_sum_1460": ("copy and checksum, 1460 B", 2200, None),
}
CHIPS = ("w5500", "w5100s", "enc28j60")
# Case: what it is, the target for WIZnet's chips and for the ENC28J60.
DRIVERS = {
    "received": ("a frame received", 3300, 7000),
    "row": ("a frame received, another one behind it", None, None),
    "sent": ("a frame sent, as an answer", 3000, 7000),
    "sent_row": ("a frame sent right behind another one", 3000, 7000),
    "asked": ("nothing, when asked", None, None),
    "idle": ("a poll with nothing to do, told by the interrupt", None, None),
}
EDITIONS = ("thumb", "viper", "plain")
# Operation: what it is, the target as a part of the floor's rate, what smoltcp in Rust reaches.
UNIX = {
    "udp_echo_1": ("UDP echo, one outstanding", 0.9, 1.05),
    "udp_echo_32": ("UDP echo, 32 outstanding", 0.4, 1.0),
    "tcp_echo": ("TCP request and response", 0.9, 1.05),
    "tcp_sink": ("TCP into a sink", 0.5, 1.06),
    "tcp_source": ("TCP out of a source", 0.5, 0.77),
    "tcp_connections": ("TCP connections, set up and closed", 0.5, 1.1),
}
HEAP = {
    "stack": ("interface with its tables and one TCP socket of 64 B buffers", 8192),
    "interface": ("Interface(device, mac)", None),
    "tcp_socket": ("TCPSocket besides its buffers", 320),
    "udp_socket": ("UDPSocket besides its buffers", None),
}
IMPORT = {
    "source": ("heap to import examples/server.py's modules from source", 192 * 1024),
    "mpy": ("the same from .mpy", None),
    "frozen": ("the same frozen", None),
}
SERVER_FLASH = 64 * 1024


def _git(*argv):
    done = subprocess.run(["git", *argv], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()


def commit():
    """The commit that is checked out, with a + if files that git knows were changed since."""
    text = _git("rev-parse", "HEAD") or "unknown"
    return text + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")


def measure(parts):
    """The figures of the parts, with what they are of."""
    result = {"commit": commit(), "date": time.strftime("%Y-%m-%d")}
    if "counted" in parts or "memory" in parts:
        firmware.provide(bench_counted.BOARD)
    interpreter = bench_unix.provide() if "unix" in parts else None
    if "http" in parts:
        interpreter = bench_http.provide()
    if "counted" in parts:
        say("counting instructions on the emulated Cortex-M3")
        result["counted"] = bench_counted.measure(bench_counted.build())
    if "memory" in parts:
        say("measuring memory on the emulated Cortex-M3")
        result["memory"] = bench_memory.measure()
    if "unix" in parts:
        result["unix"] = bench_unix.measure(interpreter)
    if "http" in parts:
        result["http"] = bench_http.measure(interpreter)
    return result


def _number(figure):
    if figure is None:
        return ""
    return f"{figure:,.2f}" if isinstance(figure, float) and figure < 100 else f"{figure:,.0f}"


def _met(figure, target, more=False):
    """The target as text, with a mark where it is not met."""
    if target is None:
        return ""
    missed = figure is None or (figure < target if more else figure > target)
    return _number(target) + (" !" if missed else "  ")


def tables(result):
    """The figures as tables for people: {name: (title, rows)}; the first row has the heads."""
    found = {}
    if "counted" in result:
        counted = result["counted"]
        memory, driver = counted["memory"], counted["driver"]
        rows = [("operation", "instructions", "target", "lwIP in C", "by LAN9118")]
        for name, (what, target, lwip) in OPERATIONS.items():
            figure = memory[name]
            met = _met(figure, target)
            rows.append((what, _number(figure), met, _number(lwip), _number(driver.get(name))))
        found["counted"] = ("Instructions for one operation, Cortex-M3", rows)
        rows = [("operation", "instructions")]
        rows += [(what, _number(memory[name])) for name, what in GROWTH.items()]
        found["growth"] = ("Growth, Cortex-M3", rows)
        rows = [("kernel", *EDITIONS, "target", "lwIP in C")]
        for name, (what, target, lwip) in KERNELS.items():
            figures = [counted["kernels"][f"{edition}_{name}"] for edition in EDITIONS]
            met = _met(figures[0], target)
            rows.append((what, *map(_number, figures), met, _number(lwip)))
        found["kernels"] = ("Instructions of the kernels, Cortex-M3, call included", rows)
        rows = [("case", "W5500", "W5100S", "target", "ENC28J60", "target")]
        chips = counted.get("chips", {})
        for case, (what, target, slow) in DRIVERS.items():
            w5500, w5100s, enc28j60 = [chips.get(f"{chip}_{case}") for chip in CHIPS]
            met = _met(max(w5500, w5100s) if chips else None, target)
            figures = (_number(w5500), _number(w5100s), met, _number(enc28j60))
            rows.append((what, *figures, _met(enc28j60, slow)))
        found["chips"] = ("Instructions of the drivers of chips on SPI, Cortex-M3", rows)
    if "memory" in result:
        memory = result["memory"]
        rows = [("memory", "bytes", "target")]
        for table, names in (("heap", HEAP), ("import", IMPORT)):
            for name, (what, target) in names.items():
                figure = memory[table][name]
                text = "does not fit" if figure is None else _number(figure)
                rows.append((what, text, _met(figure, target)))
        flash = memory["server_flash"]
        what = "flash of examples/server.py's modules, frozen, armv7m"
        rows.append((what, _number(flash), _met(flash, SERVER_FLASH)))
        if "counted" in result:
            most = max(result["counted"]["allocated"].values())
            rows.append(("heap taken by an operation, at most", _number(most), _met(most, 0)))
        found["memory"] = ("Memory, Cortex-M3", rows)
    if "unix" in result:
        heads = (
            "operation",
            "unit",
            "smolmpy",
            "floor",
            "kernel",
            "of floor",
            "target",
            "smoltcp",
        )
        rows = [heads]
        for name, (what, target, smoltcp) in UNIX.items():
            row = result["unix"]["results"][name]
            ratio = row["smolmpy"] / row["floor"]
            figures = [_number(row[server]) for server in bench_unix.SERVERS]
            met = _met(ratio, target, more=True)
            unit = bench_unix.OPERATIONS[name]
            rows.append((what, unit, *figures, f"{ratio:.2f}", met, _number(smoltcp)))
        found["unix"] = ("Unix port on a tap", rows)
    if "http" in result:
        rows = [("microdot, requests/s", "smolmpy", "kernel", "of kernel")]
        for clients, row in result["http"]["results"].items():
            ratio = row["smolmpy"] / row["kernel"]
            figures = [_number(row[server]) for server in bench_http.SERVERS]
            rows.append((f"{clients} at once", *figures, f"{ratio:.2f}"))
        found["http"] = ("A web server on the unix port", rows)
    return found


def _print(title, rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    print(f"\n{title}\n")
    for row in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)]
        print(f"{row[0]:{widths[0]}}  " + "  ".join(cells[1:]).rstrip())


def _main():
    parts = sys.argv[1:] or _PARTS
    if set(parts) - set(_PARTS):
        raise Missing(f"parts are {', '.join(_PARTS)}.")
    result = measure(parts)
    BUILD.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(f"\ncommit {result['commit']}")
    for part in ("counted", "unix", "http"):
        if part in result:
            print(result[part]["interpreter"], result[part].get("target", ""))
    for title, rows in tables(result).values():
        _print(title, rows)
    print()
    say(f"! is a target that is not met; {RESULT.relative_to(ROOT)} has all figures")


if __name__ == "__main__":
    main(_main)
