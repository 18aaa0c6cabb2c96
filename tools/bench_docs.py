"""Puts the figures of build/bench.json into docs/benchmarks.md, and draws its plots.

Below each mark such as <!-- counted --> the page gets the tables of that name.
"""

import json
import re

from tools import bench, netsim_plot, venv
from tools.common import ROOT, Missing, main, say

PAGE = ROOT / "docs" / "benchmarks.md"
_METADATA = {"Software": None}
_OURS, _TARGET, _THEIRS = "tab:blue", "tab:gray", "tab:orange"


def _markdown(rows):
    lines = ["| " + " | ".join(cell.strip() for cell in row) + " |" for row in rows]
    lines.insert(1, "| --- " + "| ---: " * (len(rows[0]) - 1) + "|")
    return "\n".join(lines)


def page(text, result):
    """The page with the result's tables in place of what was below their marks."""
    blocks = {name: _markdown(rows) for name, (_, rows) in bench.tables(result).items()}
    about = [f"Commit {result['commit'][:10]}, {result['date']}."]
    if "counted" in result:
        about.append(f"{result['counted']['interpreter']}; {result['counted']['target']}.")
    if "unix" in result:
        about.append(f"Unix port: {result['unix']['interpreter']}.")
    blocks["about"] = " ".join(about)
    for name, block in blocks.items():
        mark = f"<!-- {name} -->\n"
        if mark not in text:
            raise Missing(f"{PAGE.name} has no {mark.strip()}.")
        old = re.escape(mark) + r"(\n[^#!<\n][^\n]*(\n[^\n]+)*\n)?"
        text = re.sub(old, lambda _, new=f"{mark}\n{block}\n": new, text, count=1)
    return text


def _bars(pyplot, labels, series, unit):
    """Horizontal bars: `series` are (name, color, one value for each label)."""
    figure, axes = pyplot.subplots(figsize=(9, 0.5 * len(labels) + 1), layout="constrained")
    for i, (name, color, values) in enumerate(series):
        places = [n + 0.27 * (i - 1) for n in range(len(labels))]
        axes.barh(places, values, 0.25, label=name, color=color)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=len(series))
    return figure


def _operations(pyplot, counted):
    names = [name for name, (_, target, _) in bench.OPERATIONS.items() if target]
    series = (
        ("smolmpy", _OURS, [counted["memory"][name] for name in names]),
        ("target", _TARGET, [bench.OPERATIONS[name][1] for name in names]),
        ("lwIP in C", _THEIRS, [bench.OPERATIONS[name][2] or 0 for name in names]),
    )
    return _bars(pyplot, [bench.OPERATIONS[name][0] for name in names], series, "instructions")


def _growth(pyplot, counted):
    memory = counted["memory"]
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    sockets = [1, 16, 64]
    values = [memory[f"growth_sockets_{n}"] for n in sockets]
    axes.plot(sockets, values, "o-", color=_OURS, label="TCP segment of 1460 B received")
    axes.set_xticks(sockets)
    axes.set_xlabel("connected TCP sockets")
    axes.set_ylabel("instructions")
    axes.set_ylim(0, 1.3 * max(values))
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def _unix(pyplot, unix):
    names = list(bench.UNIX)
    rows = unix["results"]
    series = (
        ("smolmpy", _OURS, [rows[name]["smolmpy"] / rows[name]["floor"] for name in names]),
        ("target", _TARGET, [bench.UNIX[name][1] for name in names]),
        ("smoltcp in Rust", _THEIRS, [bench.UNIX[name][2] for name in names]),
    )
    labels = [bench.UNIX[name][0] for name in names]
    return _bars(pyplot, labels, series, "rate, as a part of the floor's")


def _draw(result):
    pyplot = netsim_plot._library()
    figures = {}
    if "counted" in result:
        figures["operations"] = _operations(pyplot, result["counted"])
        figures["growth"] = _growth(pyplot, result["counted"])
    if "unix" in result:
        figures["unix"] = _unix(pyplot, result["unix"])
    for name, figure in figures.items():
        figure.savefig(PAGE.parent / f"bench-{name}.png", dpi=100, metadata=_METADATA)


def _main():
    if not venv.inside():
        venv.reenter("tools.bench_docs")
    if not bench.RESULT.exists():
        raise Missing("there are no figures yet: 'make bench' measures them.")
    result = json.loads(bench.RESULT.read_text())
    PAGE.write_text(page(PAGE.read_text(), result))
    _draw(result)
    say(f"{PAGE.relative_to(ROOT)} has the figures of commit {result['commit'][:10]}")


if __name__ == "__main__":
    main(_main)
