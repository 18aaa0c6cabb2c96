"""NUCLEO-F446RE with a W5500 module on SPI 1, the Arduino pins. The wiring is in README.md."""

from smolmpy.phy.board import on_spi
from smolmpy.phy.w5500 import W5500

device, wait, ticks_ms = on_spi(
    W5500, bus=1, baudrate=24_000_000, cs="D10", reset="D9", interrupt="D8"
)
