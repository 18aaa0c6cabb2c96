"""Any board with MicroPython's `machine`, any pins: change what stands here. See README.md."""

from smolmpy.phy.board import on_spi
from smolmpy.phy.w5500 import W5500

device, wait, ticks_ms = on_spi(
    W5500,  # or W5100S of smolmpy.phy.w5100s, W6100 of phy.w6100, ENC28J60 of phy.enc28j60
    bus=0,  # which machine.SPI; None: any pins, in software
    baudrate=24_000_000,  # at most 33_000_000, for an ENC28J60 20_000_000; less for long wires
    sck=18,
    mosi=19,
    miso=16,
    cs=17,
    reset=20,  # None where RST is not connected
    interrupt=21,  # None where INT is not connected
)
