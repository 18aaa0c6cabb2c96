"""Compares the counted instructions with tools/bench_budget.json.

    python3 -m tools.bench_check [--update]

fails where an operation takes over 3 % more instructions than the budget has, or is missing in
either. The counts are those of the steady image (tools/bench_counted.py). With --update it writes
the budget anew: that is for a change that is worth its cost, or that has made something cheaper.
"""

import json
import sys

from tools import bench_counted, firmware
from tools.common import ROOT, main, say

BUDGET = ROOT / "tools" / "bench_budget.json"
PARTS = ("memory", "driver", "kernels", "chips")
_TOLERANCE = 0.03


def load():
    """The budget: {part: {operation: instructions}}."""
    return json.loads(BUDGET.read_text())


def compare(measured, budget):
    """Two lists of text: what is wrong, and what is so much better that it should be kept."""
    worse, better = [], []
    for part in PARTS:
        here, there = measured.get(part, {}), budget.get(part, {})
        for name in sorted({*here, *there}):
            found, allowed = here.get(name), there.get(name)
            if found is None:
                worse.append(f"{part} {name}: in the budget, but not measured")
            elif allowed is None:
                worse.append(f"{part} {name}: {found:.0f}, and not in the budget")
            else:
                change = (
                    f"{part} {name}: {found:.0f}, budget {allowed} ({found / allowed - 1:+.1%})"
                )
                if found > allowed * (1 + _TOLERANCE):
                    worse.append(change)
                elif found < allowed * (1 - _TOLERANCE):
                    better.append(change)
    return worse, better


def update(measured):
    """Makes what was measured the budget."""
    budget = {
        part: {name: round(figure) for name, figure in sorted(measured[part].items())}
        for part in PARTS
    }
    BUDGET.write_text(json.dumps(budget, indent=2) + "\n")


def _main():
    firmware.provide(bench_counted.BOARD)
    measured = bench_counted.measure(bench_counted.build(steady=True))
    if "--update" in sys.argv:
        update(measured)
        say(f"{BUDGET.relative_to(ROOT)} has the counts of this version")
        return 0
    worse, better = compare(measured, load())
    for line in better:
        print(f"better  {line}")
    for line in worse:
        print(f"WORSE   {line}")
    if better and not worse:
        say("some are better by more than 3 %: 'make bench-check UPDATE=1' keeps it so")
    say("over the budget" if worse else "within the budget")
    return 1 if worse else 0


if __name__ == "__main__":
    main(_main)
