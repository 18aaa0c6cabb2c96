"""ESP32 with a W5500 module on SPI 2 (VSPI). The wiring is in README.md."""

from smolmpy.phy.board import on_spi
from smolmpy.phy.w5500 import W5500

device, wait, ticks_ms = on_spi(
    W5500, bus=2, baudrate=24_000_000, sck=18, mosi=23, miso=19, cs=5, reset=21, interrupt=4
)
