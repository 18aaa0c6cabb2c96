"""W5500-EVB-Pico under CircuitPython: the same chip through `busio` and `digitalio`."""

from array import array

import board
import busio
import digitalio
import supervisor
from busio_spi import InPin, OutPin, SPIBus

from smolmpy.phy.board import Board
from smolmpy.phy.w5500 import W5500

# supervisor.ticks_ms() when last asked, and the milliseconds counted from it.
_clock = array("I", (0, 0))


def _wires():
    return (
        SPIBus(busio.SPI(board.GP18, MOSI=board.GP19, MISO=board.GP16), 24_000_000),
        OutPin(digitalio.DigitalInOut(board.GP17)),
        OutPin(digitalio.DigitalInOut(board.GP20)),
        InPin(digitalio.DigitalInOut(board.GP21)),
    )


def ticks_ms():
    """Milliseconds modulo 2^30. CircuitPython's clock wraps at 2^29, after six days: it has to be
    asked more often than that."""
    now = supervisor.ticks_ms()
    passed = (now - _clock[0]) & 0x1FFFFFFF
    _clock[0] = now
    _clock[1] = (_clock[1] + passed) & 0x3FFFFFFF
    return _clock[1]


def _rest():
    """CircuitPython does its own work between any two lines; it has no interrupts."""


_board = Board(W5500, _wires, ticks_ms, _rest)
device = _board.device
wait = _board.wait
