"""Cables for counting: the stack's device at one end, frames put in by the benchmark at the other.

`put(frame, n)` makes a frame wait at the device; `device` is what the interface is given.
"""

from array import array

import micropython
from micropython import const

from smolmpy.kernel import copy

_SLOTS = const(4)
_SLOT_SIZE = const(1520)

_SHORT = const(64)  # up to here copying words costs less than calling the kernel

# The device's array: a block of kernel calls, the addresses of the buffers, then these.
_IN = const(4)
_OUT = const(5)
_WAITING = const(6)
_NEXT = const(7)
_FREE = const(8)
_LENGTHS = const(9)


@micropython.viper
def _addressof(buf) -> int:
    return int(ptr8(buf))


class MemoryDevice:
    """A device that copies frames from memory and to memory, and does nothing else.

    Frames begin where the interface's do: 2 bytes after a word boundary.
    """

    mtu = 1500

    def __init__(self):
        self.frames = bytearray(_SLOTS * _SLOT_SIZE)
        self.out = bytearray(_SLOT_SIZE)
        self.state = array("I", bytes(4 * (_LENGTHS + _SLOTS)))
        self.state[_IN] = _addressof(self.frames)
        self.state[_OUT] = _addressof(self.out)

    @micropython.viper
    def receive(self, buf) -> int:
        state = self.state
        s = ptr32(state)
        if not s[_WAITING]:
            return 0
        s[_WAITING] -= 1
        slot = s[_NEXT]
        s[_NEXT] = (slot + 1) & (_SLOTS - 1)
        n = s[_LENGTHS + slot]
        at = s[_IN] + slot * _SLOT_SIZE
        if n > _SHORT:
            s[0] = 0
            s[1] = 2
            s[2] = n
            copy(buf, at, state)
            return n
        to = int(ptr8(buf))
        ptr16(to)[0] = ptr16(at)[1]
        to += 2
        end = to + n - 2
        while to < end:
            at += 4
            ptr32(to)[0] = ptr32(at)[0]
            to += 4
        return n

    @micropython.viper
    def transmit(self, buf, length: int) -> int:
        state = self.state
        s = ptr32(state)
        to = s[_OUT]
        if length > _SHORT:
            s[0] = 2
            s[1] = 0
            s[2] = length
            copy(to, buf, state)
            return 0
        at = int(ptr8(buf))
        ptr16(to)[1] = ptr16(at)[0]
        at += 2
        end = at + length - 2
        while at < end:
            to += 4
            ptr32(to)[0] = ptr32(at)[0]
            at += 4
        return 0


class MemoryLink:
    """Holds at most four frames on their way to the stack."""

    def __init__(self):
        self.device = MemoryDevice()

    def put(self, frame, n):
        device = self.device
        state = device.state
        slot = state[_FREE]
        at = slot * _SLOT_SIZE + 2
        device.frames[at : at + n] = frame[:n]
        state[_LENGTHS + slot] = n
        state[_FREE] = (slot + 1) & (_SLOTS - 1)
        state[_WAITING] += 1


# LAN9118 (data sheet, sections 5.1 and 5.3), as indexes of 32-bit words.
_TX_DATA = const(0x08)
_TX_STATUS = const(0x12)
_TX_FIFO_INF = const(0x20)
_PHY_CONTROL = const(0)
_PHY_LOOPBACK = const(0x4000)
_FIRST_AND_LAST = const(0x23000)  # one segment that begins 2 bytes into its first word


@micropython.viper
def _push(base, words, n: int):
    p = ptr32(base)
    w = ptr32(words)
    p[_TX_DATA] = _FIRST_AND_LAST | n
    p[_TX_DATA] = n
    i = 0
    k = (n + 5) >> 2
    while i < k:
        p[_TX_DATA] = w[i]
        i += 1
    done = (p[_TX_FIFO_INF] >> 16) & 255
    while done:
        p[_TX_STATUS]
        done -= 1


class LAN9118Link:
    """The board's chip with its PHY looped back (IEEE 802.3, 22.2.4.1.2), so that it receives
    what is written into its transmit FIFO. What the stack sends comes back as well, and the chip
    drops it by its address."""

    def __init__(self):
        import smolmpy_board

        self.device = smolmpy_board.device()
        self.device._phy_write(_PHY_CONTROL, _PHY_LOOPBACK)
        self._frame = bytearray(_SLOT_SIZE)

    def put(self, frame, n):
        self._frame[2 : 2 + n] = frame[:n]
        _push(self.device._base, self._frame, n)
