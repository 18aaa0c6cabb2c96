"""What TCP makes of a bad line, simulated in virtual time: tables, plots and a bar to pass.

    python3 -m tools.netsim [--quick] [--check] [--write]

Prints the tables of docs/netsim.md. --check: status 1 unless smolmpy's throughput is smoltcp's or
more in every cell of the first table, and where a timer does not learn a new round trip. --quick:
the first table alone, one seed, a tenth of the bytes. --write: puts the tables and the plots into
docs/.
"""

import argparse
import statistics

from tools import netsim_run, venv
from tools.common import ROOT, Missing, main, say

_PAGE = ROOT / "docs" / "netsim.md"

BUFFERS = (128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
LOSSES = (0, 0.1, 1, 2, 5, 10, 20, 30)  # percent

# Bytes per second: the simulation of smoltcp 0.13.1, tests/netsim.rs in its sources.
SMOLTCP = {
    128: (1279.98, 1255.76, 1054.15, 886.36, 538.66, 227.84, 33.99, 7.18),
    256: (2559.91, 2507.27, 2100.03, 1770.30, 1070.71, 468.24, 66.71, 14.35),
    512: (5119.63, 5011.95, 4172.36, 3531.57, 2098.73, 942.38, 144.73, 29.45),
    1024: (10238.50, 10023.19, 8340.90, 7084.25, 4003.34, 1869.94, 290.74, 60.92),
    2048: (17535.11, 17171.82, 14093.50, 11963.68, 7399.06, 3416.41, 690.50, 126.57),
    4096: (35062.41, 33859.80, 26937.41, 21886.99, 14073.67, 7870.66, 1603.60, 401.79),
    8192: (77374.28, 72992.18, 58490.74, 46527.73, 29421.45, 15515.23, 3737.20, 710.80),
    16384: (161842.28, 159310.62, 127090.53, 104233.16, 55319.33, 27269.28, 7654.51, 1277.32),
    32768: (322944.88, 314779.73, 219670.76, 166587.86, 76626.48, 37774.62, 6079.34, 1156.40),
}

_MIB = 1 << 20
PLAIN = {"congestion": "none", "sack": False, "timestamps": False}
# In the order of the columns and of the lines of the plots.
MODES = {
    "none": PLAIN,
    "none, SACK": dict(PLAIN, sack=True),
    "reno, SACK": dict(PLAIN, sack=True, congestion="reno"),
    "cubic, SACK": dict(PLAIN, sack=True, congestion="cubic"),
}
_LINE = {"rate": 10000, "queue": 65536}  # 10 Mbit/s behind a drop-tail queue of 64 KiB
_WIDE = 256 * 1024  # a buffer that needs window scaling
# Lines whose round trip changes: (forward, back).
JUMPS = {
    "5 ms, 300 ms after 2 s": ({"delay": 3, "jumps": [[2000, 298]]}, {"delay": 2}),
    "400 ms, 440 ms after 20 s": ({"delay": 200, "jumps": [[20000, 240]]}, {"delay": 200}),
    "400 and 440 ms, each for 10 s": (
        {"delay": 200, "jumps": [[n * 10000, 200 + n % 2 * 40] for n in range(1, 60)]},
        {"delay": 200},
    ),
}
_JUMP_MODES = {
    "reno": dict(PLAIN, congestion="reno"),
    "reno, SACK": MODES["reno, SACK"],
    "reno, SACK, timestamps": dict(MODES["reno, SACK"], timestamps=True),
}
_LONE = 500  # segments, each sent when the one before is acknowledged
_NEEDLESS = 3  # of them that may go out twice until the timer knows the round trip
_FLOWS = (1, 2, 4, 8, 16)
_SECONDS = 120


def lossy(percent, **fields):
    """A scenario with the same chance of loss each way."""
    way = {"loss": round(percent * 10000)}
    return dict(forward=way, back=way, **fields)


def _medians(cells, seeds):
    """The median throughput over `seeds` seeds for each scenario of a dict, by its key."""
    keys, jobs = [], []
    for key, scenario in cells.items():
        for seed in range(1, seeds + 1):
            keys.append(key)
            jobs.append(dict(scenario, seed=seed))
    found = {}
    for key, result in zip(keys, netsim_run.run(jobs), strict=True):
        found.setdefault(key, []).append(netsim_run.throughput(result))
    return {key: statistics.median(rates) for key, rates in found.items()}


def compare(size=10 * _MIB, seeds=5, buffers=BUFFERS, losses=LOSSES):
    """{(buffer, loss): bytes per second}, under the conditions of smoltcp's table."""
    sure = {}
    chance = {}
    for buffer in buffers:
        for loss in losses:
            scenario = lossy(loss, buffer=buffer, options=PLAIN, bytes=size)
            if loss:
                chance[buffer, loss] = scenario
            else:
                # Nothing is left to chance, and the time to connect must not weigh more.
                sure[buffer, loss] = dict(scenario, bytes=10 * _MIB)
    return _medians(sure, 1) | _medians(chance, seeds)


def reference(buffer, loss):
    """What smoltcp reaches there, bytes per second."""
    return SMOLTCP[buffer][LOSSES.index(loss)]


def below(found):
    """The cells of `compare` in which smoltcp is faster."""
    return [key for key, rate in found.items() if rate < reference(*key)]


def _conditions():
    """{row: what makes a scenario of a mode}, for the table of conditions."""
    rows = {"nothing but the line": {}}
    for percent in (0.1, 1, 5, 20):
        rows[f"{percent} % reordered, 5 ms late"] = {"reorder": percent, "late": 5}
    for percent in (1, 20):
        rows[f"{percent} % reordered, 40 ms late"] = {"reorder": percent, "late": 40}
    for percent in (1, 20):
        rows[f"{percent} % duplicated"] = {"duplicate": percent}
    rows["1 s outage every 10 s, both ways"] = {"outage": (2000, 1000, 10000)}
    rows["back at 256 kbit/s"] = {"back": {"rate": 256, "queue": 65536}}
    rows["back at 64 kbit/s"] = {"back": {"rate": 64, "queue": 65536}}
    return rows


def _condition(changes, options):
    changes = dict(changes)
    back = changes.pop("back", {})
    for name in ("reorder", "duplicate"):
        if name in changes:
            changes[name] = round(changes[name] * 10000)
    return {
        "options": options,
        "buffer": _WIDE,
        "bytes": 10 * _MIB,
        "forward": dict(_LINE, **changes),
        "back": dict(changes, **back),
    }


def _table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _percent(loss):
    return f"{loss:g} %"


def _rate(value):
    return f"{value:.2f}" if value < 1000 else f"{value:.0f}"


def _compare_table(found):
    losses = sorted({loss for _, loss in found})
    rows = []
    for buffer in sorted({buffer for buffer, _ in found}):
        pairs = [(found[buffer, loss], reference(buffer, loss)) for loss in losses]
        rows.append([buffer, "smolmpy", *(f"{ours:.2f}" for ours, _ in pairs)])
        rows.append(["", "smoltcp", *(f"{theirs:.2f}" for _, theirs in pairs)])
        rows.append(["", "ratio", *(f"**{ours / theirs:.2f}**" for ours, theirs in pairs)])
    return _table(["buffer", "", *map(_percent, losses)], rows)


def _modes_table():
    cells = {}
    for loss in LOSSES:
        for mode, options in MODES.items():
            cells[loss, mode] = lossy(loss, buffer=65535, options=options, bytes=10 * _MIB)
    found = _medians(cells, 5)
    rows = [[_percent(loss), *(_rate(found[loss, mode]) for mode in MODES)] for loss in LOSSES]
    return found, _table(["loss each way", *MODES], rows)


def _conditions_table():
    rows = _conditions()
    cells = {
        (row, mode): _condition(changes, options)
        for row, changes in rows.items()
        for mode, options in MODES.items()
    }
    found = _medians(cells, 3)
    lines = [[row, *(_rate(found[row, mode]) for mode in MODES)] for row in rows]
    return _table(["on a line of 10 Mbit/s", *MODES], lines)


def _flows_table():
    keys = [(mode, flows) for mode in MODES for flows in _FLOWS]
    jobs = [
        {
            "options": MODES[mode],
            "flows": flows,
            "buffer": _WIDE,
            "bytes": 1 << 29,
            "time": _SECONDS * 1000,
            "forward": _LINE,
        }
        for mode, flows in keys
    ]
    # Of each frame's 1514 bytes 1460 are the stream's.
    best = _LINE["rate"] * 1000 / 8 * 1460 / 1514
    found = {}
    rows = []
    for (mode, flows), result in zip(keys, netsim_run.run(jobs), strict=True):
        used = netsim_run.throughput(result) / best
        fair = netsim_run.fairness(result)
        found[mode, flows] = used, fair
        shares = sorted(flow["bytes"] * 1e6 / flow["us"] for flow in result["flows"])
        rows.append(
            [
                mode,
                flows,
                f"{used:.1%}",
                f"{fair:.3f}",
                _rate(shares[0]),
                _rate(shares[-1]),
                f"{result['dropped'][0] / result['frames'][0]:.1%}",
            ]
        )
    head = ["", "flows", "of the line used", "fairness", "slowest", "fastest", "frames dropped"]
    return found, _table(head, rows)


def jumps():
    """{(line, mode): (lone segments sent again, bulk in bytes per second, of it sent again)}."""
    keys, jobs = [], []
    for line, (forward, back) in JUMPS.items():
        for mode, options in _JUMP_MODES.items():
            keys.append((line, mode))
            one = {"options": options, "forward": forward, "back": back}
            jobs.append(dict(one, buffer=8192, bytes=_LONE * 100, write=100))
            bottleneck = dict(forward, rate=2000, queue=65536)
            jobs.append(dict(one, buffer=_WIDE, bytes=10 * _MIB, forward=bottleneck))
    results = netsim_run.run(jobs)
    return {
        key: (lone["retransmits"], netsim_run.throughput(bulk), bulk["retransmits"])
        for key, lone, bulk in zip(keys, results[::2], results[1::2], strict=True)
    }


def needless(found):
    """The lines and modes of `jumps` where the timer does not learn the round trip."""
    return [key for key, (again, _, _) in found.items() if again > _NEEDLESS]


def _jumps_table(found):
    rows = [
        [line, mode, f"{lone} of {_LONE}", _rate(rate), again]
        for (line, mode), (lone, rate, again) in found.items()
    ]
    head = ["round trip", "", "lone segments sent again", "bulk", "segments sent again"]
    return _table(head, rows)


def _put(page, name, table):
    """The page with the table between the marks of that name replaced."""
    start = f"<!-- {name}: written by make netsim -->\n"
    end = "<!-- end -->"
    before, mark, rest = page.partition(start)
    old, mark_too, after = rest.partition(end)
    if not mark or not mark_too:
        raise Missing(f"{_PAGE.name} has no place for the table of {name}.")
    return f"{before}{start}\n{table}\n\n{end}{after}"


def _main():
    parser = argparse.ArgumentParser(prog="netsim", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    if args.write and not venv.inside():
        flags = [f"--{name}" for name, given in vars(args).items() if given]
        venv.reenter("tools.netsim", *flags)
    changed = {}
    say("one flow, buffers of each size, random loss: bytes per second of simulated time")
    found = compare(_MIB, 1) if args.quick else compare()
    tables = {"compare": _compare_table(found)}
    print(tables["compare"])
    if not args.quick:
        say("the same with a buffer of 65,535 bytes, SACK and congestion control")
        modes, tables["modes"] = _modes_table()
        print(tables["modes"])
        say("reordering, duplication, outages, a slow way back")
        tables["conditions"] = _conditions_table()
        print(tables["conditions"])
        say("a round trip that changes, nothing lost by chance")
        changed = jumps()
        tables["jumps"] = _jumps_table(changed)
        print(tables["jumps"])
        say(f"flows that share 10 Mbit/s and a queue of 64 KiB, {_SECONDS} s")
        flows, tables["flows"] = _flows_table()
        print(tables["flows"])
        if args.write:
            from tools import netsim_plot

            page = _PAGE.read_text()
            for name, table in tables.items():
                page = _put(page, name, table)
            _PAGE.write_text(page)
            both = {key: (rate, reference(*key)) for key, rate in found.items()}
            netsim_plot.draw(_PAGE.parent, both, modes, flows)
    slower = below(found)
    for key in slower:
        say(f"buffer {key[0]}, loss {key[1]} %: {found[key]:.2f} is less than {reference(*key)}")
    if not slower:
        say("at least smoltcp's figure in every cell")
    for line, mode in needless(changed):
        say(f"{line}, {mode}: lone segments go out twice for longer than the timer needs to learn")
    if args.check and (slower or needless(changed)):
        return 1


if __name__ == "__main__":
    main(_main)
