"""W55RP20-EVB-Pico: an RP2040 with a W5500 in its package. The wiring is in README.md."""

from pin_spi_thumb import PinSPI

from smolmpy.phy.board import on_spi
from smolmpy.phy.w5500 import W5500

device, wait, ticks_ms = on_spi(
    W5500, bus=PinSPI, sck=21, mosi=23, miso=22, cs=20, reset=25, interrupt=24
)
