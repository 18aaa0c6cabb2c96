"""Raspberry Pi Pico or Pico 2 with a W5500 module on SPI 0. The wiring is in README.md."""

from time import ticks_ms

from machine import SPI, Pin, idle

from smolmpy.phy.board import Board
from smolmpy.phy.w5500 import W5500


def _wires():
    return (
        SPI(0, baudrate=24_000_000, sck=Pin(18), mosi=Pin(19), miso=Pin(16)),
        Pin(17, Pin.OUT, value=1),
        Pin(20, Pin.OUT, value=1),
        Pin(21, Pin.IN, Pin.PULL_UP),
    )


_board = Board(W5500, _wires, ticks_ms, idle)
device = _board.device
wait = _board.wait
