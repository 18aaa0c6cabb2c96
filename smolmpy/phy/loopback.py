"""Devices without a medium: one whose cable ends in itself, and two with a cable between them."""

from array import array

from micropython import const

from smolmpy.kernel import copy

_EMSGSIZE = const(90)
_EAGAIN = const(11)


class LoopbackDevice:
    """Holds at most `frames` frames between `transmit` and `receive`, in the order sent.

    `mtu`: the largest IP packet in bytes. Allocates nothing after set-up.
    """

    loopback = True  # so an interface on it may have packets from its own address

    def __init__(self, frames=8, mtu=1500):
        if frames < 1:
            raise ValueError("frames")
        self.mtu = mtu
        # Each frame begins where an interface's buffer does: 2 bytes after a word boundary.
        self._size = size = (mtu + 14 + 2 + 3) & ~3
        self._ring = bytearray(size * frames)
        self._length = array("H", [0] * frames)
        self._frames = frames
        self._first = 0
        self._count = 0
        self._block = array("I", [0, 0, 0])

    def receive(self, buf):
        if not self._count:
            return 0
        slot = self._first
        n = self._length[slot]
        self._first = slot + 1 if slot + 1 < self._frames else 0
        self._count -= 1
        if n > len(buf):
            return -_EMSGSIZE
        block = self._block
        block[0] = 0
        block[1] = slot * self._size + 2
        block[2] = n
        copy(buf, self._ring, block)
        return n

    def transmit(self, buf, length):
        if length > self.mtu + 14:
            return -_EMSGSIZE
        if self._count == self._frames:
            return -_EAGAIN
        slot = (self._first + self._count) % self._frames
        block = self._block
        block[0] = slot * self._size + 2
        block[1] = 0
        block[2] = length
        copy(self._ring, buf, block)
        self._length[slot] = length
        self._count += 1
        return 0

    def link(self):
        return True


def cable(frames=8, mtu=1500):
    """Two devices: what one sends, the other receives. Each way holds `frames` frames."""
    a = LoopbackDevice(frames, mtu)
    b = LoopbackDevice(frames, mtu)
    return _End(a, b), _End(b, a)


class _End:
    def __init__(self, out, back):
        self.mtu = out.mtu
        self.transmit = out.transmit
        self.receive = back.receive
        self.link = out.link
