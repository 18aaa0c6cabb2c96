"""W5500-EVB-Pico2: an RP2350 and a W5500 on SPI 0. The wiring is in README.md."""

from smolmpy.phy.board import on_spi
from smolmpy.phy.w5500 import W5500

device, wait, ticks_ms = on_spi(
    W5500, bus=0, baudrate=24_000_000, sck=18, mosi=19, miso=16, cs=17, reset=20, interrupt=21
)
