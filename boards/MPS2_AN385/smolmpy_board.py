"""MPS2 with the AN385 image: a Cortex-M3 at 25 MHz and a LAN9118. QEMU: `-machine mps2-an385`.

The clock is a 25 MHz counter of the FPGA (AN385, FPGAIO), which wraps every 171 s: `ticks_ms` must
be called at least that often to keep count.
"""

from array import array

import micropython
from micropython import const

from smolmpy.phy.lan9118 import LAN9118

_LAN9118 = const(0x40200000)
_MAC = b"\x02\x00\x00\x00\x00\x01"

_COUNTER = const(0x40028018)
_RX_FIFO_INF = const(0x4020007C)

# 25 MHz counter at the last whole millisecond that was counted, and the milliseconds.
_clock = array("I", (0, 0))


def device(mac=_MAC):
    """The board's Ethernet device. `mac=None`: the address that the chip got from its EEPROM."""
    return LAN9118(_LAN9118, mac)


@micropython.viper
def ticks_ms() -> int:
    """Milliseconds since the start, modulo 2^30."""
    counter = ptr32(_COUNTER)
    clock = ptr32(_clock)
    # The difference has 32 bits: a quarter of it is a positive int.
    passed = ((counter[0] - clock[0]) >> 2 & 0x3FFFFFFF) // 6250
    clock[0] += passed * 25000
    clock[1] += passed
    return clock[1] & 0x3FFFFFFF


@micropython.viper
def wait(device, ms: int) -> int:
    """Returns when a frame waits, or `ms` have passed (-1: no limit), or a second has, so that a
    program can be interrupted. The CPU spins. Allocates nothing."""
    if ms < 0 or ms > 1000:
        ms = 1000
    counter = ptr32(_COUNTER)
    fifo = ptr32(_RX_FIFO_INF)
    start = counter[0]
    ticks = ms * 25000
    while not (fifo[0] >> 16) & 0xFF and (counter[0] - start) & 0x3FFFFFFF < ticks:
        pass
    return 0
