"""Frames over a byte stream, each after its length in 4 bytes, most significant first.

QEMU (`-netdev stream`) and passt speak this, and so can a small process that owns a tap.
"""

import sys
from array import array

from micropython import const

from smolmpy.kernel import copy

_EMSGSIZE = const(90)
_EPIPE = const(32)
_EAGAIN = const(11)


class StreamDevice:
    """Frames over `stream`: an inherited file descriptor (int), a connected socket, or another
    object with MicroPython's non-blocking `readinto(buf, n)` and `write(buf, offset, n)`.

    A descriptor has to be in non-blocking mode; a socket is put into it. `mtu`: the largest IP
    packet in bytes; a longer frame is skipped and reported as `-EMSGSIZE`. Once the peer is gone,
    or has sent a length of 2^24 or more, which says that it has lost step, all calls return
    `-EPIPE`. Allocates nothing after set-up.
    """

    def __init__(self, stream, mtu=1500):
        self.mtu = mtu
        self._stream = _adapt(stream)
        self._fd = stream if isinstance(stream, int) else _fileno(stream)
        self._block = array("I", [0, 0, 0])
        self._head = bytearray(4)
        self._rx = bytearray(mtu + 14)
        self._length = -1  # of the frame under way; -1 while its head is awaited
        self._have = 0  # how many bytes of it, or of its head, have come
        self._long = False  # the frame under way is to be skipped
        self._tx = bytearray(mtu + 18)
        self._tx_at = 0
        self._tx_end = 0
        self._gone = False

    def receive(self, buf):
        if self._tx_end:
            self._flush()
        while True:
            if self._length < 0 and not self._read_head(buf):
                break
            have = self._have
            length = self._length
            n = self._read(buf, min(length - have, len(buf)))
            if n <= 0:
                break
            self._have = have + n
            if self._long:
                if have + n == length:
                    self._length = -1
                    self._have = 0
                    return -_EMSGSIZE
                continue
            if n == length:
                # Most frames come whole, straight to where they are wanted.
                self._length = -1
                self._have = 0
                return length
            # Until the next call `buf` is used for other things.
            self._copy(self._rx, have, buf, n)
            if have + n == length:
                self._copy(buf, 0, self._rx, length)
                self._length = -1
                self._have = 0
                return length
        return -_EPIPE if self._gone else 0

    def _read_head(self, buf):
        """Reads what there is of a head; whether a frame of at least one byte is to follow."""
        head = self._head
        while True:
            n = self._read(buf, 4 - self._have)
            if n <= 0:
                return False
            for i in range(n):
                head[self._have + i] = buf[i]
            self._have += n
            if self._have < 4:
                continue
            self._have = 0
            length = head[1] << 16 | head[2] << 8 | head[3]
            if head[0]:
                self._gone = True
                return False
            if length:
                self._length = length
                self._long = length > len(self._rx) or length > len(buf)
                return True

    def _read(self, buf, n):
        """Reads at most `n` (not 0) bytes to the start of `buf`; the count, 0 if there is none."""
        if self._gone:
            return 0
        try:
            n = self._stream.readinto(buf, n)
        except (OSError, MemoryError):  # MemoryError: the error itself, with the heap locked
            n = 0
        if n is None:
            return 0
        if n == 0:
            self._gone = True
        return n

    def transmit(self, buf, length):
        if self._tx_end and not self._flush():
            return -_EPIPE if self._gone else -_EAGAIN
        tx = self._tx
        if length > len(tx) - 4:
            return -_EMSGSIZE
        # One write for head and frame: over TCP, two would wait for each other.
        tx[2] = length >> 8
        tx[3] = length & 255
        tx[1] = length >> 16
        self._copy(tx, 4, buf, length)
        self._tx_end = length + 4
        self._flush()
        if self._gone:
            return -_EPIPE
        if self._tx_at == 0 and self._tx_end:
            self._tx_end = 0
            return -_EAGAIN
        return 0

    def _flush(self):
        """Writes what it can of the frame in `_tx`; whether that was all."""
        if self._gone:
            return False
        try:
            n = self._stream.write(self._tx, self._tx_at, self._tx_end - self._tx_at)
        except (OSError, MemoryError):
            self._gone = True
            return False
        self._tx_at += n or 0
        if self._tx_at < self._tx_end:
            return False
        self._tx_at = self._tx_end = 0
        return True

    def _copy(self, dst, at, src, n):
        block = self._block
        block[0] = at
        block[1] = 0
        block[2] = n
        copy(dst, src, block)

    def link(self):
        return not self._gone

    def fileno(self):
        return self._fd

    def close(self):
        self._gone = True
        self._stream.close()


def _fileno(stream):
    return stream.fileno() if hasattr(stream, "fileno") else -1


if sys.implementation.name == "micropython":

    def _adapt(stream):
        if isinstance(stream, int):
            # There is no fcntl to ask, or to set it with.
            with open("/proc/self/fdinfo/%d" % stream) as f:
                f.readline()
                if not int(f.readline().split()[1], 8) & 0o4000:
                    raise ValueError("stream: the descriptor is not in non-blocking mode")
            return open(stream, "r+b")
        if hasattr(stream, "setblocking"):
            stream.setblocking(False)
        return stream

else:

    def _adapt(stream):
        if isinstance(stream, int):
            import os

            os.set_blocking(stream, False)
            raw = open(stream, "r+b", buffering=0)
            return _Sliced(raw, raw)
        if hasattr(stream, "setblocking"):
            stream.setblocking(False)
            return _Sliced(stream.makefile("rwb", buffering=0), stream)
        return stream

    class _Sliced:
        """Gives a raw stream of CPython the lengths and offsets of MicroPython's calls."""

        def __init__(self, raw, owner):
            self._raw = raw
            self._owner = owner

        def close(self):
            self._raw.close()
            self._owner.close()

        def readinto(self, buf, n):
            return self._raw.readinto(memoryview(buf)[:n])

        def write(self, buf, offset, n):
            return self._raw.write(memoryview(buf)[offset : offset + n])
