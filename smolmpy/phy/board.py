"""What the boards with an Ethernet chip on SPI have in common (boards/): a device and a sleep.

A board's `smolmpy_board` names the driver, the bus and the pins:

    device, wait, ticks_ms = on_spi(
        W5500, bus=0, baudrate=24_000_000, sck=18, mosi=19, miso=16, cs=17, reset=20, interrupt=21
    )
"""

from micropython import const

from ..wire.address import format_mac, local_mac, parse_mac

_POLL = const(3)  # MicroPython's MP_STREAM_POLL

# Of docs/layout.md: 'make format' writes these.
_WAITING = const(1)
_RX_FRAMES = const(13)


def _unique_id():
    try:
        from machine import unique_id

        return unique_id()
    except ImportError:
        try:
            from microcontroller import cpu  # CircuitPython

            return cpu.uid
        except ImportError:
            return b""


def _rate(spi):
    # The clock that the bus runs at, which is often less than what was asked for.
    _, _, text = str(spi).partition("baudrate=")
    return "%s Hz" % text.partition(",")[0].rstrip(")") if text else "a clock of its own"


def _woken(pin):
    """There is nothing to do: the interrupt itself ends the rest."""


def _sleeper(chip):
    # A function that sleeps for so many ms, or until a frame may be waiting: select.poll() asks an
    # object like this whenever an interrupt, of a pin or of any kind, has ended its sleep.
    from io import IOBase
    from select import POLLIN, poll

    waiting = chip.waiting
    idle = chip.interrupt

    class Frames(IOBase):
        def ioctl(self, request, flags):
            # As chip.pending(), a call nearer.
            return flags if request == _POLL and (waiting[_WAITING] or not idle()) else 0

    poller = poll()
    poller.register(Frames(), POLLIN)
    poller.ipoll(0)  # what it allocates, it does now
    return poller.ipoll


class Board:
    """A board with a chip: `wires()` makes the bus, and the pins cs, reset and interrupt, the last
    two perhaps None. `rest()` is called while nothing is to be done, and returns soon; None: the
    firmware's select.poll() sleeps until an interrupt, of the chip or of a timer."""

    def __init__(self, driver, wires, ticks_ms, rest=None):
        self._driver = driver
        self._wires = wires
        self._ticks = ticks_ms
        self._rest = rest
        self._chip = None
        self._sleep = self._nap = None
        self._frames = 0

    def device(self, mac=None, **options):
        """The board's Ethernet device. Raises OSError where the chip does not answer.

        mac: 6 bytes or text; by default a locally administered address made of the board's unique
        id, the same at each start. Other arguments are the driver's: multicast=True lets groups
        pass, which mDNS and IGMP need. Prints which chip it is, its SPI clock and its address.
        """
        mac = local_mac(_unique_id()) if mac is None else parse_mac(mac)
        spi, cs, reset, interrupt = self._wires()
        chip = self._driver(spi, cs, reset, interrupt, mac=mac, ticks_ms=self._ticks, **options)
        if hasattr(interrupt, "irq"):
            chip.irq(_woken)
            if self._rest is None:
                self._sleep = _sleeper(chip)
        elif self._rest is None:
            from time import sleep_ms

            self._nap = sleep_ms
        print("%s at %s, %s" % (self._driver.__name__, _rate(spi), format_mac(mac)))
        self._chip = chip
        return chip

    def wait(self, device, ms):
        """Sleeps until a frame may be waiting or `ms` have passed (-1: no limit), but a second at
        most, so that a chip that was lost is found; without an interrupt pin a millisecond at
        most. Allocates nothing."""
        if ms < 0 or ms > 1000:
            ms = 1000
        chip = self._chip
        if self._sleep is not None:
            if ms and (not chip.waiting[0] or not chip.pending()):
                self._sleep(ms)
        elif self._rest is None:
            # Nobody tells: the chip is asked again at once while frames come, else in a moment.
            frames = chip.waiting[_RX_FRAMES]
            if ms and frames == self._frames:
                self._nap(1)
            self._frames = frames
        else:
            ticks = self._ticks
            start = ticks()
            while not chip.pending() and (ticks() - start) & 0x1FFFFFFF < ms:
                self._rest()


def on_spi(driver, bus, baudrate=None, cs=None, reset=None, interrupt=None, **pins):
    """`device`, `wait` and `ticks_ms` of a board with MicroPython's `machine`, by its pins.

    bus: the number of a machine.SPI, None for machine.SoftSPI, or what makes a bus of the pins
    sck, mosi and miso. Pins are what machine.Pin takes: those three where the bus has none of its
    own; cs, reset and interrupt of the chip, of which the last two may be None. Nothing is touched
    before `device()` is called.
    """
    from time import ticks_ms

    from machine import SPI, Pin

    def wires():
        # The least that a bus is told: an STM32 has another mode by default.
        options = {name: Pin(pin) for name, pin in pins.items()}
        options.update(baudrate=baudrate, polarity=0, phase=0)
        if callable(bus):
            spi = bus(**pins)
        elif bus is None:
            from machine import SoftSPI

            spi = SoftSPI(**options)
        else:
            spi = SPI(bus, **options)
        return (
            spi,
            Pin(cs, Pin.OUT, value=1),
            None if reset is None else Pin(reset, Pin.OUT, value=1),
            None if interrupt is None else Pin(interrupt, Pin.IN, Pin.PULL_UP),
        )

    board = Board(driver, wires, ticks_ms)
    return board.device, board.wait, ticks_ms
