"""What the models of SPI chips share: the bus side with machine.SPI's methods, pins, time, faults.

A model is strict: what the data sheet forbids raises `ModelError` with the section, rather than
doing something. It counts bytes and transactions (falls of chip select), and keeps a time of its
own in nanoseconds: 8 clocks a byte, and what a host spends around a transaction. Its clock and
its sleep are what a driver is given, so that nothing depends on how fast anything runs.

A model must not confirm the driver beside it, so each says where it has its behaviours from: a
section of the data sheet, or drivers that others wrote and use on silicon.
"""

_EVER = 1 << 60


class ModelError(Exception):
    """The host did what the data sheet forbids."""


class OutPin:
    """A pin that the host drives, with machine.Pin's methods; `changed(level)` hears of edges."""

    def __init__(self, changed, level=1):
        self._changed = changed
        self.level = level

    def __call__(self, *level):
        if not level:
            return self.level
        new = 1 if level[0] else 0
        if new != self.level:
            self.level = new
            self._changed(new)

    def value(self, *level):
        return self(*level)

    def on(self):
        self(1)

    def off(self):
        self(0)

    def init(self, *args, **kwargs):
        if "value" in kwargs:
            self(kwargs["value"])


class InPin:
    """A pin that the chip drives. `edge()` tells it to look; a fall calls the handler of `irq`."""

    IRQ_FALLING = 4

    def __init__(self, level):
        self._level = level
        self._last = 1
        self._handler = None

    def __call__(self):
        return self._level()

    def value(self):
        return self._level()

    def init(self, *args, **kwargs):
        pass

    def irq(self, handler=None, trigger=IRQ_FALLING, **kwargs):
        self._handler = handler

    def edge(self):
        level = self._level()
        if level < self._last and self._handler is not None:
            self._handler(self)
        self._last = level


class SPIModel:
    """The bus side. A chip implements `_select`, `_byte(out)` and `_deselect`; `_burst(out, into,
    at)` may take many bytes at once and returns how many; `_settle()` does what has become due.
    """

    name = "chip"
    byte_ns = 400  # 20 MHz
    host_ns = 10000  # between two transactions, as a bytecode driver needs
    rst_ns = 0  # how long the reset pin must be low
    boot_ns = 0  # from then until the chip answers

    def __init__(self):
        self.cs = OutPin(self._cs_changed)
        self.rst = OutPin(self._rst_changed)
        self.intn = InPin(self._int_level)
        self.bytes = 0
        self.transactions = 0
        self.now = 0
        self.stuck = None  # 0x00 or 0xFF: no chip, or no wire, at the other end
        self.linked = True
        self.sent = []
        self.on_transmit = None
        self.dropped = 0
        self.silent_until = 0  # in a reset by the pin, and after it
        self.wedged = False
        self._torn = False
        self.deaf = False  # after a reset in mid-transaction, until the next one
        self.forgiving = False
        self.lenient = False  # what the host wrote was lost: it may be out of step until a reset
        self.hung = 0  # no frame leaves: 1 until begun anew, 2 until a reset, 3 until the pin's
        self.hung_until = None  # or until this time
        self.pin_resets = 0
        self.flips = {}  # byte count: bits of MISO that noise turns over
        self.events = []  # (byte count, function): what happens in the middle of a transaction

    clock = None  # ms of real time, for a driver that has no other

    def _catch_up(self):
        if self.clock is not None:
            passed = self.clock() - self._clock_at & 0x1FFFFFFF
            self._clock_at += passed
            self.now += passed * 1000000

    def follow(self, ticks_ms):
        """From now on time passes as `ticks_ms` tells, as well as on the bus."""
        self._clock_at = ticks_ms()
        self.clock = ticks_ms

    def ticks_ms(self):
        """The clock of the model's time, which wraps."""
        return self.now // 1000000 & 0x3FFFFFFF

    def sleep_ms(self, ms):
        """Sleeps in the model's time."""
        self.advance(1000 * ms)

    line_ns = 0  # that a frame is on the line longer than it should be

    def hang(self, level, ms=None):
        """From now on no frame leaves, not even one on its way: 1 until the transmitter is begun
        anew, 2 until a reset by command, 3 until one by the pin; and not before `ms` have passed,
        if that is given."""
        self.hung = level
        self.hung_until = None if ms is None else self.now + ms * 1000000
        self._hold()

    def _cured(self, level):
        # What the host does helps against a hang of this level.
        if self.hung_until is not None and self.now < self.hung_until:
            return
        if level >= self.hung or self.hung_until is not None:
            self.hung = 0
            self.hung_until = None

    def init(self, *args, **kwargs):
        """machine.SPI.init: remembered, so that tests can look at it."""
        self.settings = (args, kwargs)

    def deinit(self):
        pass

    def write(self, buf):
        self._run(buf, None, len(buf), 0)

    def readinto(self, buf, write=0):
        self._run(None, buf, len(buf), write)

    def write_readinto(self, out, into):
        if len(out) != len(into):
            raise ValueError("buffers must be the same length")
        self._run(out, into, len(out), 0)

    def advance(self, us):
        """Lets time pass without the bus."""
        self.now += us * 1000
        self._settle()
        self.intn.edge()

    def reset_chip(self):
        """A brown-out: everything as after power-on. Until it is reset again, the chip forgives a
        host that cannot know of it yet what it does to a transmitter that is off."""
        self._power_on()
        self.deaf = not self.cs.level
        self.forgiving = True

    def flip(self, count, bits=0xFF):
        """Noise in the byte of MISO after `count` more."""
        self.flips[self.bytes + count] = bits

    def break_bus(self, count):
        """machine.SPI raises after `count` more bytes, as rp2's does on an overrun of its DMA
        (MicroPython, ports/rp2/machine_spi.c); what follows in that buffer is not sent."""
        self.cut_off(count, OSError(5, "SPI overrun"))

    def cut_off(self, count, exception):
        """Raises an exception after `count` more bytes: the chip has to bear what the host can not
        complete."""

        def raise_it():
            self._torn = True
            raise exception

        self.at_byte(count, raise_it)

    def at_byte(self, count, function):
        """Calls `function` once `count` more bytes have gone over the bus."""
        self.events.append((self.bytes + count, function))

    def reset_counts(self):
        self.bytes = self.transactions = 0

    def connect(self, other):
        """A wire to another model, both ways."""
        self.on_transmit = other.inject
        other.on_transmit = self.inject

    def _sends(self, frame):
        # What leaves on the wire: padded to the least size of Ethernet, without FCS.
        if len(frame) < 60:
            frame = frame + bytes(60 - len(frame))
        self.sent.append(frame)
        if len(self.sent) > 64:
            del self.sent[0]
        if self.on_transmit is not None:
            self.on_transmit(frame)

    def fail(self, text, section):
        """Refuses what the host does, and ends the transaction."""
        if self.forgiving or self.lenient:
            return
        self.cs.level = 1
        self._select()
        raise ModelError("%s: %s (%s)" % (self.name, text, section))

    def _cs_changed(self, level):
        if not level:
            self.deaf = self._torn = False
            self.transactions += 1
            self._catch_up()
            self.now += self.host_ns
            self._settle()
        if self.silence() is None and not self.deaf:
            if level and not self._torn:
                self._deselect()
            else:
                self._select()
        self.intn.edge()

    def _run(self, out, into, n, fill):
        if self.cs.level:
            self.fail("clocked while chip select is high", "SPI")
        i = 0
        burst = n > 8  # what is short, and the rest of what is none, goes byte by byte
        while i < n:
            if self.now < self.silent_until or self.stuck is not None or self.deaf:
                silence = self.silence()
                self.lenient = True
                if into is not None:
                    for k in range(i, n):
                        into[k] = silence or 0
                self._passed(n - i)
                return
            if burst and not (self.events or self.flips or self.wedged):
                taken = self._burst(out, into, i, n)
                if taken:
                    self._passed(taken)
                    i += taken
                    continue
                burst = False
            answer = self._byte(out[i] if out is not None else fill)
            if self.flips:
                answer ^= self.flips.pop(self.bytes, 0)
            if into is not None:
                into[i] = answer
            self.bytes += 1
            self.now += self.byte_ns
            self._settle()
            if self.events:
                self._passed(0)
            i += 1

    def _passed(self, n):
        self.bytes += n
        self.now += n * self.byte_ns
        self._settle()
        while self.events and self.events[0][0] <= self.bytes:
            self.events.pop(0)[1]()

    def _rst_changed(self, level):
        # Held in reset, a chip does not answer, and not at once after that.
        self._catch_up()
        if not level:
            self._fell_at = self.now
            self.silent_until = _EVER
            return
        if self.now - self._fell_at < self.rst_ns:
            self.fail("reset pin low for %d ns" % (self.now - self._fell_at), "reset timing")
        self.pin_resets += 1
        self.wedged = False
        self._cured(3)
        self.silent_until = self.now + self.boot_ns
        self._power_on()

    def silence(self):
        """What MISO is all the time, None where the chip drives it."""
        if self.stuck is not None:
            return self.stuck
        return 0 if self.now < self.silent_until else None

    def wedge(self):
        """From now on the chip hears nothing that it is told, until a reset by its pin."""
        self._power_on()
        self.wedged = True
        self.forgiving = True

    def _burst(self, out, into, at, n):
        return 0

    def _settle(self):
        pass
