"""What the drivers of SPI Ethernet chips share: pins, clock, buffers, and the way back to work.

machine.SPI transfers whole buffers, so a part of one needs a memoryview, and making one allocates.
A driver therefore prepares views when it first sees a buffer: its beginnings in steps of 32 bytes,
up to one frame. They cost 20 bytes each on a 32-bit board, 980 in all, and a transfer is rounded
up by 15 bytes on average. What else a direction needs is gathered with them in one tuple, a way.

A chip that is not what it should be is mended in steps: what is out of step is begun again; if
that was in vain, the chip is reset, by its command and then by its pin. No step waits for the
chip: a call takes one, and later calls see what has become of it.
"""

from array import array

from micropython import const

from . import check_mac

try:
    from time import sleep_ms, ticks_ms
except ImportError:
    try:
        from time import sleep

        def sleep_ms(ms):
            sleep(ms / 1000)

        try:
            from supervisor import ticks_ms  # CircuitPython
        except ImportError:
            from time import monotonic

            def ticks_ms():
                return int(monotonic() * 1000) & 0x1FFFFFFF

    except ImportError:
        _calls = array("I", (0,))

        def sleep_ms(ms):
            # A port without a clock: no faster than that on any core it runs on.
            for _ in range(ms * 2000):
                pass

        def ticks_ms():
            # Nobody sleeps where there is no clock: a question takes as long as anything.
            _calls[0] = (_calls[0] + 1) & 0x1FFFFFFF
            return _calls[0]


_FRAME = const(1514)
# CircuitPython's clock wraps at 2^29, others later.
_TIME = const(0x1FFFFFFF)

# How long a chip may take from its reset until it works. WIZnet's data sheets have 1 ms (W5500),
# 60 ms (W5100S) and 150 ms (W5200); ESP-IDF gives them 100 ms.
_PATIENCE = const(500)

# The first words of a driver's state, an array('I'), are described in docs/layout.md; the others
# are the driver's own.

# Of docs/layout.md: 'make format' writes these.
_CALL = const(0)
_WAITING = const(1)
_RX_ROOM = const(2)
_TX_ROOM = const(3)
_DOWN = const(4)
_SINCE = const(5)
_LOOKED = const(6)
_POLLED = const(11)
_RX_FRAMES = const(13)
_RX_ERRORS = const(14)
_RX_TOO_LONG = const(15)
_TX_FRAMES = const(16)
_TX_STALLS = const(17)
_RESETS = const(18)
_RESTARTS = const(19)
_BUS_ERRORS = const(20)
_PULSED = const(21)
_TOLD = const(22)
_QUIET = const(23)

# Steps of a repair, in _DOWN
_TORN = const(1)  # a transaction was cut off
_LOST = const(2)  # to be reset by its command
_HARD = const(3)  # to be reset by its pin, if there is one
_STARTING = const(4)  # reset, and not yet ready
_REFUSING = const(5)  # ready, but not to be set up, not even after a reset by the pin
_CLOSED = const(6)  # by close()

_EIO = const(5)
_EAGAIN = const(11)
_ENODEV = const(19)


class SPIChip:
    """`spi` has machine.SPI's methods; `cs`, `reset`, `interrupt` are machine.Pin's, or None.

    `cs` and `reset` are outputs, low-active, and `interrupt` is an input, low-active. Without it
    the chip is asked each time; with it an idle chip costs one look a second. `ticks_ms()` is the
    clock, which may wrap at 2^29 or later, and `sleep_ms(ms)` sleeps; by default time's.
    """

    mtu = 1500
    poll_interval = 1000  # ms: see docs/architecture.md
    _COUNTERS = (
        ("rx_frames", _RX_FRAMES),
        ("rx_errors", _RX_ERRORS),
        ("rx_too_long", _RX_TOO_LONG),
        ("tx_frames", _TX_FRAMES),
        ("tx_stalls", _TX_STALLS),
        ("resets", _RESETS),
        ("restarts", _RESTARTS),
        ("bus_errors", _BUS_ERRORS),
    )

    def __init__(self, spi, cs, reset, interrupt, mac, words, ticks, sleep):
        for name in ("write", "readinto", "write_readinto"):
            if not hasattr(spi, name):
                raise TypeError("spi: not machine.SPI or the like: %r has no %s()" % (spi, name))
        for name, pin in (("cs", cs), ("reset", reset), ("interrupt", interrupt)):
            if not callable(pin) and (pin is not None or name == "cs"):
                raise TypeError("%s: a pin such as machine.Pin(17), not %r" % (name, pin))
        self.mac = check_mac(mac)
        self.interrupt = interrupt
        # The device protocol's `waiting`: its first word.
        self._state = self.waiting = array("I", bytes(4 * words))
        self._state[_CALL] = 1
        self._state[_POLLED] = interrupt is None
        self._spi = spi
        self._write = spi.write
        self._read = spi.readinto
        self._exchange = spi.write_readinto
        self._cs = cs
        self._rst = reset
        self._ticks = ticks or ticks_ms
        self._sleep = sleep or sleep_ms
        self._ways_in = []
        self._ways_out = []
        cs(1)

    # ---- buffers ----

    def _views(self, buf):
        # Both directions may use one buffer.
        for ways in (self._ways_in, self._ways_out):
            for way in ways:
                if way[0] is buf:
                    return way[1]
        view = memoryview(buf)
        room = min(len(view), _FRAME)
        return [view[: min(end, room)] for end in range(0, room + 32, 32)]

    def _way(self, ways, buf, parts):
        # A program has one buffer or two; one that makes new ones pays for it, not for ever.
        for way in ways:
            if way[0] is buf:
                return way
        views = self._views(buf)
        if len(ways) == 4:
            ways.clear()
        way = (buf, views) + parts
        ways.append(way)
        return way

    def _adopt_rx(self, buf):
        self._way_in = self._way(self._ways_in, buf, self._parts_in)
        self._state[_RX_ROOM] = min(len(buf), _FRAME)

    def _adopt_tx(self, buf):
        self._way_out = self._way(self._ways_out, buf, self._parts_out)
        self._state[_TX_ROOM] = min(len(buf), _FRAME)

    # ---- repair. A driver has _answers(), _soft_reset(), _ready(), _configure(),
    # _put_mac(), _resync() ----

    def _elapsed(self, word):
        return (self._ticks() - self._state[word]) & _TIME

    def _begin(self):
        # For the constructor, which may wait: 0, or a negative errno.
        state = self._state
        state[_DOWN] = _LOST if self._rst is None else _HARD
        error = -_EIO
        try:
            for _ in range(_PATIENCE):
                error = self._mend()
                if not state[_DOWN]:
                    break
                self._sleep(1)
        finally:
            self._cs(1)
        state[_RESETS] = state[_RESTARTS] = 0
        return error if state[_DOWN] else 0

    def _restart(self, hard=False):
        state = self._state
        state[_DOWN] = _HARD if hard else _LOST
        state[_WAITING] = 0
        state[_CALL] = 1
        return self._mend()

    def _mend(self):
        # One step of a repair: -EIO when the chip works again, or a reset has been begun, 0 while
        # it starts, -ENODEV while no chip answers. Allocates nothing.
        state = self._state
        if state[_DOWN] == _TORN:
            state[_DOWN] = 0
            return self._resync()
        if state[_DOWN] == _CLOSED:
            return -_ENODEV
        error = 0
        late = self._elapsed(_SINCE) > _PATIENCE
        if state[_DOWN] >= _STARTING and late:
            state[_DOWN] = _HARD
        if state[_DOWN] == _REFUSING:
            return -_ENODEV
        if state[_DOWN] == _HARD or (state[_DOWN] == _LOST and late and not self._answers()):
            if self._rst is not None:
                # The longest that a data sheet asks for is 0.5 ms, and 1 ms of rest behind it.
                self._rst(0)
                self._sleep(1)
                self._rst(1)
                self._sleep(2)
                state[_RESETS] += 1
                state[_SINCE] = self._ticks() & _TIME
            state[_DOWN] = _LOST
            state[_PULSED] = 1
        if state[_DOWN] == _LOST:
            if not self._answers():
                return -_ENODEV
            # After the pin's reset as well: it may lead nowhere.
            self._soft_reset()
            state[_RESETS] += 1
            state[_SINCE] = self._ticks() & _TIME
            state[_DOWN] = _STARTING
            error = -_EIO
        # Many a chip is ready in less time than a few questions take.
        for _ in range(8):
            if self._answers() and self._ready():
                if not self._configure():
                    state[_DOWN] = _REFUSING if state[_PULSED] else _HARD
                    return -_ENODEV
                state[_DOWN] = state[_PULSED] = 0
                state[_RESTARTS] += 1
                state[_LOOKED] = self._ticks() & _TIME
                return -_EIO
        return error

    def _mend_tx(self):
        # The same for transmit(): the frame may be sent later, unless there is no chip.
        error = self._mend()
        return error if error == -_ENODEV else -_EAGAIN

    def _failed(self):
        # An exception in the midst of a transaction, which ends here. What machine.SPI raises is
        # the driver's: `except self._failed():`. Ctrl-C comes out.
        self._cs(1)
        self._state[_BUS_ERRORS] += 1
        self._state[_WAITING] = 0
        self._state[_CALL] = 1
        if not self._state[_DOWN]:
            self._state[_DOWN] = _TORN
        return OSError

    # ---- what a program may ask ----

    def set_mac(self, mac):
        """Gives the chip another address, 6 bytes."""
        self.mac = check_mac(mac)
        # A chip that is being mended is given it then.
        if not self._state[_DOWN]:
            try:
                if not self._put_mac():
                    self._state[_DOWN] = _LOST
            finally:
                self._cs(1)

    def pending(self):
        """True if a frame may be waiting; costs no transfer."""
        return self._state[_WAITING] > 0 or self.interrupt is None or not self.interrupt()

    def irq(self, handler):
        """Calls `handler(pin)` when the chip begins to have something to tell; None: no more.

        From then on the stack need not ask an idle chip. Who takes the interrupt of the pin by
        another way costs a frame its time, once: then the pin is looked at again.
        """
        pin = self.interrupt
        self._handler = handler
        pin.irq(self._edge if handler else None, pin.IRQ_FALLING)
        self._state[_TOLD] = 1 if handler else 0
        # The pin may be low already, which no handler is called for.
        self._state[_QUIET] = 0
        self._state[_CALL] = 1

    def _edge(self, pin):
        self._state[_CALL] = 1
        self._state[_QUIET] = 0
        self._handler(pin)

    def link(self):
        """True while there is a link."""
        if self._state[_DOWN]:
            return False
        try:
            return self._linked()
        except self._failed():
            return False

    def close(self):
        """Stops the chip; nothing is received from here on."""
        state = self._state
        if state[_DOWN] != _CLOSED:
            self._soft_reset()
            state[_WAITING] = 0
            state[_DOWN] = _CLOSED

    def stats(self):
        """The counters by name. `resets` counts how often the chip was reset, by its command or
        its pin, and `restarts` how often it worked again after that."""
        return {name: self._state[word] for name, word in self._COUNTERS}
