"""Counts instructions on the emulated Cortex-M3; the programs that run there are in tools/bench/.

QEMU runs with `-icount shift=0`: an instruction is a nanosecond of the machine's time, and a tick
of the board's 25 MHz counter is 40 instructions. The same image gives the same figures every time.
"""

from tools import firmware
from tools.qemu_board import Board

BOARD = "MPS2_AN385"
_TICK = 40

# What is carried out through the LAN9118 as well.
DRIVER = (
    "arp",
    "icmp_echo_64",
    "udp_echo_64",
    "udp_echo_1400",
    "tcp_echo_64",
    "tcp_sink_1460",
    "tcp_source_1460",
    "tcp_handshake",
    "idle",
)


def build(steady=False):
    """The image on which is counted; raises Missing.

    steady: MicroPython's cache for look-ups of names is so large that every name has a place of
    its own. On the ordinary image names share places by chance, and a new name anywhere may change
    a count by a few per cent.
    """
    return firmware.build(BOARD, "steady" if steady else "bench")


def _figures(output):
    """{name: (instructions, frames sent, heap taken)} of one operation each, as printed."""
    found = {}
    for line in output.splitlines():
        word, name, times, ticks, sent, allocated = line.split()
        assert word == "counted", output
        instructions = int(ticks) * _TICK / int(times)
        found[name] = (instructions, int(sent) / int(times), int(allocated))
    return found


def _fresh(image, program):
    """Runs a program on a board that has just been switched on."""
    with Board(BOARD, image, icount=True) as board:
        return board.run(program, timeout=300)


def count(image, name, driver=False):
    """{name: (instructions, frames sent, heap taken)} of one operation of counted.py."""
    return _figures(_fresh(image, f"import counted\ncounted.run({name!r}, {driver})"))


def measure(image):
    """A dict with the interpreter and the target, and by name the instructions of one operation:
    "memory" (frames handed over in memory), "driver" (through the LAN9118), "kernels", "chips"
    (the drivers of chips on SPI by themselves); "sent" has the frames that the stack sent for one
    operation, "allocated" the bytes of heap it took."""
    about = _fresh(
        image,
        "import sys\nprint('.'.join(map(str, sys.implementation.version[:3])), sys.platform)",
    )
    names = _fresh(image, "import counted\nprint(*counted.OPERATIONS)").split()
    names.sort()
    memory, driver = {}, {}
    for name in names:
        memory.update(count(image, name))
        if name in DRIVER:
            driver.update(count(image, name, driver=True))
    kernels = _figures(_fresh(image, "import kernels\nkernels.run()"))
    chips = _figures(_fresh(image, "import chips\nchips.run()"))
    return {
        "interpreter": f"MicroPython {about.split()[0]}",
        "target": f"{BOARD}, Cortex-M3 (Thumb-2), QEMU -icount shift=0",
        "memory": {name: figures[0] for name, figures in memory.items()},
        "driver": {name: figures[0] for name, figures in driver.items()},
        "kernels": {name: figures[0] for name, figures in kernels.items()},
        "chips": {name: figures[0] for name, figures in chips.items()},
        "sent": {name: figures[1] for name, figures in memory.items()},
        "allocated": {name: figures[2] for name, figures in memory.items()},
    }
