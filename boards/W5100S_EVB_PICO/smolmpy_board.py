"""W5100S-EVB-Pico: an RP2040 and a W5100S on SPI 0. The wiring is in README.md."""

from smolmpy.phy.board import on_spi
from smolmpy.phy.w5100s import W5100S

device, wait, ticks_ms = on_spi(
    W5100S, bus=0, baudrate=24_000_000, sck=18, mosi=19, miso=16, cs=17, reset=20, interrupt=21
)
