"""LILYGO T-ETH-Lite-ESP32S3: an ESP32-S3 and a W5500 on SPI 1. The wiring is in README.md."""

from smolmpy.phy.board import on_spi
from smolmpy.phy.w5500 import W5500

device, wait, ticks_ms = on_spi(
    W5500, bus=1, baudrate=24_000_000, sck=10, mosi=12, miso=11, cs=9, reset=14, interrupt=13
)
