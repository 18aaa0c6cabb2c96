"""Waveshare ESP32-S3-ETH: an ESP32-S3 and a W5500 on SPI 1. The wiring is in README.md."""

from smolmpy.phy.board import on_spi
from smolmpy.phy.w5500 import W5500

device, wait, ticks_ms = on_spi(
    W5500, bus=1, baudrate=24_000_000, sck=13, mosi=11, miso=12, cs=14, reset=9, interrupt=10
)
