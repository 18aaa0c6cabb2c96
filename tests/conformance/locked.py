"""Devices that allocate nothing, and the heap lock, for scenarios under a locked heap."""

from array import array

import micropython

from frames import OUR_MAC
from smolmpy.kernel import EDITION, copy

# The bytecode kernels slice, so where nothing better runs the scenarios are played unlocked.
LOCKS = EDITION != "plain"


class PreparedDevice:
    """Receives one prepared frame after the other; keeps the last frame sent and a count."""

    mtu = 1500

    def __init__(self):
        self.frame = None
        self.sent = 0
        self.length = 0
        self.last = bytearray(1514)

    def receive(self, buf):
        frame = self.frame
        if frame is None:
            return 0
        self.frame = None
        n = len(frame)
        for i in range(n):
            buf[i] = frame[i]
        return n

    def transmit(self, buf, length):
        last = self.last
        for i in range(length):
            last[i] = buf[i]
        self.length = length
        self.sent += 1
        return 0


class End:
    """One end of a cable to `other`; every `drop`th frame that it sends is lost (0: none)."""

    mtu = 1500

    def __init__(self, slots=16, drop=0):
        self.other = None
        self.drop = drop
        self.slots = slots
        self.ring = [bytearray(1514) for _ in range(slots)]
        self.lengths = [0] * slots
        self.block = array("I", [0] * 4)
        self.first = 0
        self.count = 0
        self.sent = 0
        self.lost = 0

    def receive(self, buf):
        if not self.count:
            return 0
        frame = self.ring[self.first]
        n = self.lengths[self.first]
        self.first = (self.first + 1) % self.slots
        self.count -= 1
        self.block[2] = n
        copy(buf, frame, self.block)
        return n

    def transmit(self, buf, length):
        to = self.other
        self.sent += 1
        if self.drop and self.sent % self.drop == 0:
            self.lost += 1
            return 0
        if to.count == to.slots:
            return -11
        slot = (to.first + to.count) % to.slots
        frame = to.ring[slot]
        self.block[2] = length
        copy(frame, buf, self.block)
        to.lengths[slot] = length
        to.count += 1
        return 0


def cable(drop=0):
    """Two ends of a cable."""
    a = End(drop=drop)
    b = End(drop=drop and drop + 2)
    a.other = b
    b.other = a
    return a, b


def connect(s, where, port):
    """`s.connect(where, port)` within `under_lock`: it sets something up, and may allocate."""
    if LOCKS:
        micropython.heap_unlock()
    try:
        return s.connect(where, port)
    finally:
        if LOCKS:
            micropython.heap_lock()


def under_lock(f):
    """Calls `f()`, which may allocate nothing: MemoryError where it does."""
    if not LOCKS:
        f()
        return
    micropython.heap_lock()
    try:
        f()
    finally:
        micropython.heap_unlock()


__all__ = ("LOCKS", "OUR_MAC", "PreparedDevice", "cable", "connect", "under_lock")
