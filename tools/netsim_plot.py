"""Draws the plots of docs/netsim.md with matplotlib."""

import importlib.util

from tools import venv
from tools.common import ROOT, run

_REQUIREMENTS = ROOT / "tools" / "requirements-docs.txt"
# The same file from the same numbers: without the date and the version of the library.
_METADATA = {"Software": None}


def _library():
    if not importlib.util.find_spec("matplotlib"):
        pip = [venv.PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run(*pip, "--requirement", _REQUIREMENTS)
        importlib.invalidate_caches()
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    return pyplot


def draw(folder, compared, modes, flows):
    """Writes netsim.png, netsim-modes.png and netsim-flows.png.

    compared: {(buffer, loss): bytes per second, theirs}; modes: {(loss, mode): bytes per second};
    flows: {(mode, flows): (use of the line, fairness)}.
    """
    pyplot = _library()
    _compared(pyplot, compared).savefig(folder / "netsim.png", dpi=100, metadata=_METADATA)
    _modes(pyplot, modes).savefig(folder / "netsim-modes.png", dpi=100, metadata=_METADATA)
    _flows(pyplot, flows).savefig(folder / "netsim-flows.png", dpi=100, metadata=_METADATA)


def _compared(pyplot, found):
    losses = sorted({loss for _, loss in found})
    buffers = sorted({buffer for buffer, _ in found})
    figure, axes = pyplot.subplots(figsize=(8, 6), layout="constrained")
    for i, buffer in enumerate(buffers):
        color = pyplot.cm.viridis(i / len(buffers))
        ours = [found[buffer, loss][0] for loss in losses]
        theirs = [found[buffer, loss][1] for loss in losses]
        axes.plot(range(len(losses)), ours, "o-", color=color, label=f"{buffer} B")
        axes.plot(range(len(losses)), theirs, "x--", color=color, linewidth=1)
    axes.set_yscale("log")
    axes.set_xticks(range(len(losses)), [f"{loss:g} %" for loss in losses])
    axes.set_xlabel("frames lost, each way")
    axes.set_ylabel("bytes per second")
    axes.set_title("smolmpy (solid) and smoltcp 0.13.1 (dashed), round trip 100 ms, by buffer")
    axes.grid(alpha=0.3)
    axes.legend(reversed(axes.lines[::2]), reversed([f"{b} B" for b in buffers]))
    return figure


def _modes(pyplot, found):
    losses = sorted({loss for loss, _ in found})
    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    for mode in dict.fromkeys(mode for _, mode in found):
        rates = [found[loss, mode] for loss in losses]
        axes.plot(range(len(losses)), rates, "o-", label=mode)
    axes.set_yscale("log")
    axes.set_xticks(range(len(losses)), [f"{loss:g} %" for loss in losses])
    axes.set_xlabel("frames lost, each way")
    axes.set_ylabel("bytes per second")
    axes.set_title("buffers of 65,535 bytes, round trip 100 ms")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def _flows(pyplot, found):
    figure, (used, fair) = pyplot.subplots(1, 2, figsize=(9, 4), layout="constrained")
    counts = sorted({count for _, count in found})
    for mode in dict.fromkeys(mode for mode, _ in found):
        for axes, part in ((used, 0), (fair, 1)):
            values = [found[mode, count][part] for count in counts]
            axes.plot(range(len(counts)), values, "o-", label=mode)
    used.set_title("how much of 10 Mbit/s is used")
    fair.set_title("fairness (Jain's index)")
    for axes in (used, fair):
        axes.set_xticks(range(len(counts)), counts)
        axes.set_xlabel("flows")
        axes.set_ylim(0, 1.05)
        axes.grid(alpha=0.3)
    used.legend()
    return figure
