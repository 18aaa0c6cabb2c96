"""Cables for counting: the stack's device at one end, frames put in by the benchmark at the other.

`put(frame, n)` makes a frame wait at the device; `device` is what the interface is given.
"""

import micropython
from machine import mem32
from memory_thumb import receive, transmit
from micropython import const

from smolmpy.kernel import addressof

_SLOTS = const(4)
_SLOT_SIZE = const(1520)

# The words of memory_thumb.py.
_WAITING = const(0x20000020)
_NEXT = const(0x20000024)
_IN = const(0x20000028)
_OUT = const(0x2000002C)
_LENGTHS = const(0x20000030)


class MemoryDevice:
    """A device that copies frames from memory and to memory, and does nothing else.

    Frames begin where the interface's do: 2 bytes after a word boundary. There is but one.
    """

    mtu = 1500
    waiting = _WAITING

    def __init__(self):
        self.frames = bytearray(_SLOTS * _SLOT_SIZE)
        self.out = bytearray(_SLOT_SIZE)
        self.receive = receive
        self.transmit = transmit
        mem32[_WAITING] = 0
        mem32[_NEXT] = 0
        mem32[_IN] = addressof(self.frames)
        mem32[_OUT] = addressof(self.out)


class MemoryLink:
    """Holds at most four frames on their way to the stack."""

    def __init__(self):
        self.device = MemoryDevice()
        self._free = 0

    def put(self, frame, n):
        slot = self._free
        at = slot * _SLOT_SIZE + 2
        self.device.frames[at : at + n] = frame[:n]
        mem32[_LENGTHS + 4 * slot] = n
        mem32[_WAITING] += 1
        self._free = (slot + 1) & (_SLOTS - 1)


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
