"""Counts instructions of the drivers of chips on SPI, on the emulated Cortex-M3.

Bus and pins do nothing at once: what is counted is the driver, and what MicroPython needs to call
them. What the chip would have answered is in the driver's buffers already. `run()` prints for each
chip and case what counted.py prints:

received    a frame, told of by the interrupt pin, with nothing behind it
row         the same, and another one waits behind it
sent        a frame, as the answer to one that came
sent_row    a frame right behind another one, which has just left
asked       nothing, and the interrupt pin is idle
idle        a poll() with nothing to do, once the interrupt of the pin is handled: the driver is
            not asked, so it may take no more than with a device in memory
"""

import micropython
from align import align
from links import MemoryLink
from machine import mem32
from micropython import const

from smolmpy import Interface
from smolmpy.phy import enc28j60, w5100s, w5500

_COUNTER = const(0x40028018)
_COUNT = const(0x20000000)  # as in counted.py
_BEGINNINGS = const(0x20000000)
_ENDS = const(0x20000004)

_TURNS = const(40)
_SIZE = const(60)
_MOST = const(6)  # ticks of 40 instructions
_MAC = b"\x02\x00\x00\x00\x00\x01"

# Words of the drivers' states.
_WAITING = const(1)
_SENDING = const(12)
_HELD = const(24)
_READ_AT = const(25)
_WRITE_AT = const(26)
_SENT = const(27)
_MODE = const(28)
_NEXT = const(26)  # ENC28J60

# The box of the W5500.
_HEAD = const(17)
_REGS = const(39)

# The box of the ENC28J60.
_EPKTCNT = const(13)
_ECON1 = const(15)
_EIR = const(17)
_HEADER = const(19)


class Bus:
    """machine.SPI, with methods that do nothing."""

    @micropython.viper
    def write(self, buf):
        pass

    @micropython.viper
    def readinto(self, buf):
        pass

    @micropython.viper
    def write_readinto(self, out, into):
        pass


@micropython.viper
def _cs(level):
    pass


@micropython.viper
def _low() -> int:
    return 0


@micropython.viper
def _high() -> int:
    return 1


@micropython.viper
def _ticks() -> int:
    return 5


@micropython.viper
def _receive(receive, buf) -> int:
    clock = ptr32(_COUNTER)
    count = ptr32(_COUNT)
    count[0] -= clock[0]
    n = int(receive(buf))
    count[1] += clock[0]
    return n


@micropython.viper
def _poll(poll) -> int:
    clock = ptr32(_COUNTER)
    count = ptr32(_COUNT)
    count[0] -= clock[0]
    n = int(poll(5))
    count[1] += clock[0]
    return n


@micropython.viper
def _transmit(transmit, buf) -> int:
    clock = ptr32(_COUNTER)
    count = ptr32(_COUNT)
    count[0] -= clock[0]
    n = int(transmit(buf, _SIZE))
    count[1] += clock[0]
    return n


def _word(box, at, value):
    box[at] = value >> 8
    box[at + 1] = value & 255


def _wiznet(driver, waiting):
    """The registers of the socket say that so many frames wait, and that the last one has left."""
    state, box = driver._state, driver._box
    at = (state[_READ_AT] - state[_HELD]) & 0xFFFF
    size = waiting * (_SIZE + 2) + state[_HELD]
    box[_REGS] = state[_MODE]
    box[_REGS + 2] = 0x10
    box[_REGS + 3] = 0x42
    _word(box, _REGS + 36, state[_WRITE_AT])
    _word(box, _REGS + 38, size)
    _word(box, _REGS + 40, at)
    _word(box, _REGS + 42, (at + size) & 0xFFFF)
    _word(box, _HEAD, _SIZE + 2)


def _enc28j60(driver, waiting):
    state, box = driver._state, driver._box
    total = _SIZE + 4
    after = state[_NEXT] + 6 + total
    if after >= 0x1A00:
        after -= 0x1A00
    box[_HEADER] = after & 255
    box[_HEADER + 1] = after >> 8
    box[_HEADER + 2] = total
    box[_HEADER + 3] = 0
    box[_HEADER + 4] = 0x80
    box[_EPKTCNT] = waiting
    box[_ECON1] = 4  # RXEN
    box[_EIR] = 8  # TXIF


class _Pin:
    """The interrupt pin, idle."""

    IRQ_FALLING = 0

    def irq(self, handler, trigger):
        pass

    def __call__(self):
        return 1


class _Ready:
    """Takes the place of a chip for the constructor: it is ready at once."""

    def _begin(self):
        return 0


def _made(kind, interrupt):
    class Driver(_Ready, kind):
        pass

    driver = Driver(Bus(), _cs, None, interrupt, mac=_MAC, ticks_ms=_ticks)
    if hasattr(driver, "_sn_mr"):
        driver._state[_MODE] = driver._sn_mr()
    return driver


def _ticks_of(name, prepare, turn, check):
    mem32[_BEGINNINGS] = 0
    mem32[_ENDS] = 0
    for i in range(_TURNS):
        align(i)
        prepare()
        assert turn() == check, name
    return (mem32[_BEGINNINGS] + mem32[_ENDS]) & 0xFFFFFFFF


def _count(name, prepare, turn, check):
    print("counted", name, _TURNS, _ticks_of(name, prepare, turn, check), 0, 0)


def _polled(device):
    iface = Interface(device, _MAC)
    poll = iface.poll
    for _ in range(4):
        poll(5)
    return _ticks_of("idle", lambda: None, lambda: _poll(poll), 0)


def _chip(name, kind, answer):
    buf = memoryview(bytearray(1516))[2:]
    driver = _made(kind, _low)
    state = driver._state
    receive, transmit = driver.receive, driver.transmit
    driver._adopt_rx(buf)
    driver._adopt_tx(buf)

    def waits(frames):
        state[_WAITING] = state[_HELD] = state[_SENDING] = 0
        if answer is _wiznet:
            # Far from the end of a ring, and nothing is to be forgotten.
            state[_READ_AT] = state[_WRITE_AT] = 512
            state[_SENT] = 0
        answer(driver, frames)

    def behind():
        waits(1)
        state[_SENDING] = 1

    def received():
        return _receive(receive, buf)

    def sent():
        return _transmit(transmit, buf)

    _count(name + "_received", lambda: waits(1), received, _SIZE)
    _count(name + "_row", lambda: waits(2), received, _SIZE)
    _count(name + "_sent", lambda: waits(0), sent, 0)
    _count(name + "_sent_row", behind, sent, 0)
    driver = _made(kind, _high)
    driver._adopt_rx(buf)
    idle = driver.receive
    _count(name + "_asked", lambda: None, lambda: _receive(idle, buf), 0)
    driver = _made(kind, _Pin())
    driver.irq(id)
    ticks = _polled(driver)
    assert ticks - _polled(MemoryLink().device) < _TURNS * _MOST, name
    print("counted", name + "_idle", _TURNS, ticks, 0, 0)


def run():
    _chip("w5500", w5500.W5500, _wiznet)
    _chip("w5100s", w5100s.W5100S, _wiznet)
    _chip("enc28j60", enc28j60.ENC28J60, _enc28j60)
