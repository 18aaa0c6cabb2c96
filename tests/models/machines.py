"""Modules of MicroPython and CircuitPython whose pins lead to a model.

`install(model, wiring)` puts them in place, so that a board's smolmpy_board.py runs where there is
no such board. `wiring` says which signal of the chip each pin is wired to: {"17": "cs", ...}, by
the name or number that the board gives the pin. What the board asks for is kept, so that a test
can compare it with the board's README: `asked`, {signal: pin}, and `bus`, the arguments of SPI.
"""

import sys

try:
    from time import ticks_ms as _ticks_ms
except ImportError:
    from time import monotonic

    def _ticks_ms():
        return int(monotonic() * 1000)


_slept = [0]


def ticks_ms():
    """The clock: a millisecond for each that passes, and for each that the board rests."""
    return (_ticks_ms() + _slept[0]) & 0x3FFFFFFF


UNIQUE = b"\xe6\x61\x38\x52\x83\x4b\x2f\x24"
RATE = 12345678


class Rig:
    """What the fake modules share."""

    def __init__(self, model, wiring):
        self.model = model
        self.wiring = wiring
        self.asked = {}
        self.bus = None
        self.idles = 0
        self.on_idle = None

    def signal(self, name):
        name = str(name)
        signal = self.wiring.get(name)
        if signal is None:
            raise ValueError("pin %s leads nowhere" % name)
        if signal in self.asked and self.asked[signal] != name:
            raise ValueError("two pins for %s" % signal)
        self.asked[signal] = name
        return signal

    def chip_pin(self, signal):
        m = self.model
        return {"cs": m.cs, "rst": m.rst, "int": m.intn}[signal]

    def idle(self):
        self.idles += 1
        _slept[0] += 1
        if self.on_idle is not None:
            self.on_idle(self.idles)


class Machine:
    """The module `machine`."""

    def __init__(self, rig):
        class Pin:
            IN = 0
            OUT = 1
            PULL_UP = 1
            IRQ_FALLING = 4

            def __new__(cls, name, mode=-1, pull=-1, value=None):
                signal = rig.signal(name)
                if signal in ("cs", "rst", "int"):
                    if mode != (cls.IN if signal == "int" else cls.OUT):
                        raise ValueError("%s: mode %s" % (signal, mode))
                    if value is not None:
                        rig.chip_pin(signal)(value)
                    elif signal != "int":
                        raise ValueError("%s without a level at first" % signal)
                    return rig.chip_pin(signal)
                return name

        class Bus:
            """machine.SPI as it prints itself, with a clock that is not what was asked for."""

            def __init__(self):
                self.write = rig.model.write
                self.readinto = rig.model.readinto
                self.write_readinto = rig.model.write_readinto

            def __repr__(self):
                return "SPI(%s, baudrate=%d, polarity=0, phase=0)" % (rig.bus[0], RATE)

        def spi(number, baudrate=0, polarity=0, phase=0, sck=None, mosi=None, miso=None, **rest):
            if (polarity, phase) not in ((0, 0), (1, 1)) or rest:
                raise ValueError("SPI mode")
            rig.bus = (number, baudrate)
            return Bus()

        def pin_spi(sck, mosi, miso):
            return spi("pins", 0, 0, 0, Pin(sck), Pin(mosi), Pin(miso))

        def soft_spi(baudrate=500000, polarity=0, phase=0, *, sck, mosi, miso):
            return spi("soft", baudrate, polarity, phase, sck, mosi, miso)

        self.Pin = Pin
        self.SPI = spi
        self.SoftSPI = soft_spi
        self.PinSPI = pin_spi  # the module pin_spi_thumb of W55RP20_EVB_PICO
        self.idle = rig.idle
        self.unique_id = lambda: UNIQUE


class Select:
    """The module `select`: poll() asks the objects of a program whenever the processor wakes."""

    POLLIN = 1

    def __init__(self, rig):
        class Poll:
            def register(self, obj, flags):
                self._ioctl = obj.ioctl
                self._flags = flags

            def ipoll(self, ms=-1):
                start = ticks_ms()
                while not self._ioctl(3, self._flags):
                    if 0 <= ms <= (ticks_ms() - start) & 0x3FFFFFFF:
                        break
                    rig.idle()
                return self

        self.poll = Poll


class CircuitPython:
    """The modules `board`, `busio`, `digitalio`, `microcontroller` and `supervisor` in one."""

    def __init__(self, rig):
        class DigitalInOut:
            def __init__(self, name):
                self._pin = rig.chip_pin(rig.signal(name))
                self._out = False

            def switch_to_output(self, value=False):
                self._out = True
                self._pin(1 if value else 0)

            def switch_to_input(self, pull=None):
                self._out = False

            @property
            def value(self):
                return bool(self._pin())

            @value.setter
            def value(self, level):
                if not self._out:
                    raise AttributeError("Cannot set value when direction is input.")
                self._pin(1 if level else 0)

        class SPI:
            def __init__(self, clock, MOSI=None, MISO=None):
                if [rig.signal(name) for name in (clock, MOSI, MISO)] != ["sck", "mosi", "miso"]:
                    raise ValueError("Invalid pins")
                self._locked = False
                self._ready = False

            def try_lock(self):
                if self._locked:
                    return False
                self._locked = True
                return True

            def unlock(self):
                self._locked = False

            def configure(self, baudrate=100000, polarity=0, phase=0, bits=8):
                self._check()
                rig.bus = (0, baudrate)
                self._ready = True

            @property
            def frequency(self):
                return RATE

            def _check(self):
                if not self._locked:
                    raise RuntimeError("Function requires lock")

            def write(self, buf, start=0, end=None):
                self._check()
                rig.model.write(buf)

            def readinto(self, buf, start=0, end=None, write_value=0):
                self._check()
                rig.model.readinto(buf, write_value)

            def write_readinto(self, out, into):
                self._check()
                rig.model.write_readinto(out, into)

        self.DigitalInOut = DigitalInOut
        self.SPI = SPI
        for number in range(30):
            setattr(self, "GP%d" % number, "GP%d" % number)

        self.cpu = self
        self.uid = UNIQUE

    def ticks_ms(self):
        return ticks_ms() & 0x1FFFFFFF


class Clock:
    """The module `time` of MicroPython."""

    def __init__(self, rig):
        def sleep_ms(ms):
            for _ in range(ms):
                rig.idle()

        # Functions, for methods are not imported.
        self.ticks_ms = ticks_ms
        self.sleep_ms = sleep_ms

    def ticks_diff(self, a, b):
        return ((a - b + 0x20000000) & 0x3FFFFFFF) - 0x20000000


def install(model, wiring, circuitpython=False):
    rig = Rig(model, wiring)
    sys.modules["machine"] = sys.modules["pin_spi_thumb"] = Machine(rig)
    sys.modules["select"] = Select(rig)
    sys.modules["time"] = Clock(rig)
    other = CircuitPython(rig)
    for name in ("board", "busio", "digitalio", "microcontroller", "supervisor"):
        sys.modules[name] = other
    if circuitpython:
        del sys.modules["machine"]
    return rig
