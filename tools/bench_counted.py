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


def build():
    """The image on which is counted; raises Missing."""
    return firmware.build(BOARD, "bench")


def _figures(output):
    """{name: (instructions, frames sent)} for one operation each, from what a program printed."""
    found = {}
    for line in output.splitlines():
        word, name, times, ticks, sent = line.split()
        assert word == "counted", output
        found[name] = (int(ticks) * _TICK / int(times), int(sent) / int(times))
    return found


def _fresh(image, program):
    """Runs a program on a board that has just been switched on."""
    with Board(BOARD, image, icount=True) as board:
        return board.run(program, timeout=300)


def count(image, name, driver=False):
    """{name: (instructions, frames sent)} of one operation of tools/bench/counted.py."""
    return _figures(_fresh(image, f"import counted\ncounted.run({name!r}, {driver})"))


def measure(image):
    """A dict with the interpreter and the target, and by name the instructions of one operation:
    "memory" (frames handed over in memory), "driver" (through the LAN9118), "kernels"; "sent" has
    the frames that the stack sent for one operation."""
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
    return {
        "interpreter": f"MicroPython {about.split()[0]}",
        "target": f"{BOARD}, Cortex-M3 (Thumb-2), QEMU -icount shift=0",
        "memory": {name: figure for name, (figure, _) in memory.items()},
        "driver": {name: figure for name, (figure, _) in driver.items()},
        "kernels": {name: figure for name, (figure, _) in kernels.items()},
        "sent": {name: sent for name, (_, sent) in memory.items()},
    }
