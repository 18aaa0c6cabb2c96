"""W5500-EVB-Pico under CircuitPython: the same chip through `busio` and `digitalio`."""

from array import array

import board
import busio
import digitalio
import supervisor
from busio_spi import InPin, OutPin, SPIBus

from smolmpy.phy.w5500 import W5500

# The address that examples/ use. Every board on a network needs another one, with 02 in front:
# give it to device() and to Interface.
MAC = b"\x02\x00\x00\x00\x00\x01"

_chip = None
# supervisor.ticks_ms() when last asked, and the milliseconds counted from it.
_clock = array("I", (0, 0))


def device(mac=MAC):
    """The board's Ethernet device. Raises OSError where the chip does not answer."""
    global _chip
    _chip = W5500(
        SPIBus(busio.SPI(board.GP18, MOSI=board.GP19, MISO=board.GP16), 20_000_000),
        OutPin(digitalio.DigitalInOut(board.GP17)),
        OutPin(digitalio.DigitalInOut(board.GP20)),
        InPin(digitalio.DigitalInOut(board.GP21)),
        mac=mac,
    )
    return _chip


def ticks_ms():
    """Milliseconds modulo 2^30. CircuitPython's clock wraps at 2^29, after six days: it has to be
    asked more often than that."""
    now = supervisor.ticks_ms()
    passed = (now - _clock[0]) & 0x1FFFFFFF
    _clock[0] = now
    _clock[1] = (_clock[1] + passed) & 0x3FFFFFFF
    return _clock[1]


def wait(device, ms):
    """Waits until a frame may be waiting or `ms` have passed (-1: no limit), but a second at most,
    so that a chip that was lost is found. CircuitPython does its own work meanwhile."""
    if ms < 0 or ms > 1000:
        ms = 1000
    start = ticks_ms()
    while not _chip.pending() and (ticks_ms() - start) & 0x3FFFFFFF < ms:
        pass
