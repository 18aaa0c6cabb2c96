"""ESP32 with a W5500 module on SPI 2 (VSPI). The wiring is in README.md."""

from time import sleep_ms, ticks_ms

from machine import SPI, Pin

from smolmpy.phy.board import Board
from smolmpy.phy.w5500 import W5500


def _wires():
    return (
        SPI(2, baudrate=24_000_000, sck=Pin(18), mosi=Pin(23), miso=Pin(19)),
        Pin(5, Pin.OUT, value=1),
        Pin(21, Pin.OUT, value=1),
        Pin(4, Pin.IN, Pin.PULL_UP),
    )


def _rest():
    sleep_ms(1)  # lets the other tasks of the ESP32 run


_board = Board(W5500, _wires, ticks_ms, _rest)
device = _board.device
wait = _board.wait
