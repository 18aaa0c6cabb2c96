"""Raspberry Pi Pico or Pico 2 with an ENC28J60 module on SPI 0. The wiring is in README.md."""

from time import ticks_ms

from machine import SPI, Pin, idle

from smolmpy.phy.board import Board
from smolmpy.phy.enc28j60 import ENC28J60


def _wires():
    return (
        SPI(0, baudrate=20_000_000, sck=Pin(18), mosi=Pin(19), miso=Pin(16)),
        Pin(17, Pin.OUT, value=1),
        Pin(20, Pin.OUT, value=1),
        Pin(21, Pin.IN, Pin.PULL_UP),
    )


_board = Board(ENC28J60, _wires, ticks_ms, idle)
device = _board.device
wait = _board.wait
