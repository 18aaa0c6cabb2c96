"""NUCLEO-F446RE with a W5500 module on SPI 1, the Arduino pins. The wiring is in README.md."""

from time import ticks_ms

from machine import SPI, Pin, idle

from smolmpy.phy.board import Board
from smolmpy.phy.w5500 import W5500


def _wires():
    return (
        SPI(1, baudrate=24_000_000, polarity=0, phase=0),
        Pin("D10", Pin.OUT, value=1),
        Pin("D9", Pin.OUT, value=1),
        Pin("D8", Pin.IN, Pin.PULL_UP),
    )


_board = Board(W5500, _wires, ticks_ms, idle)
device = _board.device
wait = _board.wait
