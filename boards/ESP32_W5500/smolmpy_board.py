"""ESP32 with a W5500 module on SPI 2 (VSPI). The wiring is in README.md."""

from time import sleep_ms, ticks_diff, ticks_ms

from machine import SPI, Pin

from smolmpy.phy.w5500 import W5500

# The address that examples/ use. Every board on a network needs another one, with 02 in front:
# give it to device() and to Interface.
MAC = b"\x02\x00\x00\x00\x00\x01"

_chip = None


def device(mac=MAC):
    """The board's Ethernet device. Raises OSError where the chip does not answer."""
    global _chip
    _chip = W5500(
        SPI(2, baudrate=20_000_000, sck=Pin(18), mosi=Pin(23), miso=Pin(19)),
        Pin(5, Pin.OUT, value=1),
        Pin(21, Pin.OUT, value=1),
        Pin(4, Pin.IN, Pin.PULL_UP),
        mac=mac,
    )
    return _chip


def wait(device, ms):
    """Sleeps until a frame may be waiting or `ms` have passed (-1: no limit), but a second at
    most, so that a chip that was lost is found. Allocates nothing."""
    if ms < 0 or ms > 1000:
        ms = 1000
    start = ticks_ms()
    while not _chip.pending() and ticks_diff(ticks_ms(), start) < ms:
        sleep_ms(1)  # lets the other tasks of the ESP32 run
