"""Raspberry Pi Pico or Pico 2 with an ENC28J60 module on SPI 0. The wiring is in README.md."""

from smolmpy.phy.board import on_spi
from smolmpy.phy.enc28j60 import ENC28J60

device, wait, ticks_ms = on_spi(
    ENC28J60, bus=0, baudrate=20_000_000, sck=18, mosi=19, miso=16, cs=17, reset=20, interrupt=21
)
