"""What the models of SPI chips share: the bus side with machine.SPI's methods, pins, time, faults.

A model is strict: what the data sheet forbids raises `ModelError` with the section, rather than
doing something. It counts bytes and transactions (falls of chip select), and keeps a time of its
own in nanoseconds: 8 clocks a byte, and what a host spends around a transaction.
"""


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
        self.deaf = False  # after a reset in mid-transaction, until the next one
        self.forgiving = False
        self.lenient = False  # what the host wrote was lost: it may be out of step until a reset
        self.flips = {}  # byte count: bits of MISO that noise turns over
        self.events = []  # (byte count, function): what happens in the middle of a transaction

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
            self.deaf = False
            self.transactions += 1
            self.now += self.host_ns
            self._settle()
        if self.stuck is None and not self.deaf:
            if level:
                self._deselect()
            else:
                self._select()
        self.intn.edge()

    def _run(self, out, into, n, fill):
        if self.cs.level:
            self.fail("clocked while chip select is high", "SPI")
        i = 0
        while i < n:
            if self.stuck is not None or self.deaf:
                self.lenient = True
                if into is not None:
                    for k in range(i, n):
                        into[k] = self.stuck or 0
                self._passed(n - i)
                return
            taken = 0 if self.events or self.flips else self._burst(out, into, i, n)
            if not taken:
                answer = self._byte(out[i] if out is not None else fill)
                answer ^= self.flips.pop(self.bytes, 0)
                if into is not None:
                    into[i] = answer
                taken = 1
            self._passed(taken)
            i += taken

    def _passed(self, n):
        self.bytes += n
        self.now += n * self.byte_ns
        self._settle()
        while self.events and self.events[0][0] <= self.bytes:
            self.events.pop(0)[1]()

    def _rst_changed(self, level):
        # Held in reset, a chip does not answer.
        self.stuck = None if level else 0
        if level:
            self._power_on()

    def _burst(self, out, into, at, n):
        return 0

    def _settle(self):
        pass
