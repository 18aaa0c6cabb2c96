"""Raspberry Pi Pico or Pico 2 with an ENC28J60 module on SPI 0. The wiring is in README.md."""

from time import ticks_diff, ticks_ms

from machine import SPI, Pin, idle

from smolmpy.phy.enc28j60 import ENC28J60

# The address that examples/ use. Every board on a network needs another one, with 02 in front:
# give it to device() and to Interface.
MAC = b"\x02\x00\x00\x00\x00\x01"

_chip = None


def device(mac=MAC):
    """The board's Ethernet device. Raises OSError where the chip does not answer."""
    global _chip
    _chip = ENC28J60(
        SPI(0, baudrate=20_000_000, sck=Pin(18), mosi=Pin(19), miso=Pin(16)),
        Pin(17, Pin.OUT, value=1),
        Pin(20, Pin.OUT, value=1),
        Pin(21, Pin.IN, Pin.PULL_UP),
        mac=mac,
    )
    _chip.irq(_woken)
    return _chip


def _woken(pin):
    """There is nothing to do: the interrupt itself ends idle()."""


def wait(device, ms):
    """Sleeps until a frame may be waiting or `ms` have passed (-1: no limit), but a second at
    most, so that a chip that was lost is found. Allocates nothing."""
    if ms < 0 or ms > 1000:
        ms = 1000
    start = ticks_ms()
    while not _chip.pending() and ticks_diff(ticks_ms(), start) < ms:
        idle()
