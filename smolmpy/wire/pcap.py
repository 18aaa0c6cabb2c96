"""Capture files that tcpdump and Wireshark read (the classic pcap format, microseconds).

The file is little-endian: a header of 24 bytes, then each frame after a header of 16 bytes:
seconds, microseconds, bytes kept, bytes on the wire.
"""

import struct
import sys

from micropython import const

LINKTYPE_ETHERNET = const(1)
LINKTYPE_RAW = const(101)  # frames begin with the IP header

_MASK = const(0x3FFFFFFF)
_BACKWARDS = const(0x20000000)


class PcapWriter:
    """Writes frames to `stream`, which has the `write(buf, length)` of MicroPython's streams.

    `now` is the time of the caller's clock (ms, wrapping at 2^30 or later) that corresponds to
    `epoch`, in seconds since 1970. `snaplen`: how many bytes are kept of a frame at most.
    `write` allocates nothing, but what `stream` allocates.
    """

    def __init__(self, stream, epoch=0, now=0, snaplen=65535, linktype=LINKTYPE_ETHERNET):
        if not 0 < snaplen <= 65535:
            raise ValueError("snaplen")
        self._stream = stream if sys.implementation.name == "micropython" else _Sliced(stream)
        self._snaplen = snaplen
        self._head = bytearray(16)
        # The second count does not fit a small int, so it is kept in two halves.
        self._high = epoch >> 16
        self._low = epoch & 0xFFFF
        self._last = now & _MASK
        self._ms = 0
        head = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, snaplen, linktype)
        self._stream.write(head, len(head))

    def write(self, buf, length, now, us=0):
        """Appends the frame `buf[:length]`, seen at `now` ms and `us` (0 to 999) microseconds.

        A time before that of the last frame counts as the same time.
        """
        step = (now - self._last) & _MASK
        if step < _BACKWARDS:
            self._last = now & _MASK
            ms = self._ms + step
            low = self._low + ms // 1000
            self._ms = ms % 1000
            self._high += low >> 16
            self._low = low & 0xFFFF
        kept = min(length, self._snaplen)
        head = self._head
        _put16(head, 0, self._low)
        _put16(head, 2, self._high & 0xFFFF)
        _put32(head, 4, self._ms * 1000 + us)
        _put32(head, 8, kept)
        _put32(head, 12, length)
        self._stream.write(head, 16)
        self._stream.write(buf, kept)


def _put16(buf, i, n):
    buf[i] = n & 255
    buf[i + 1] = n >> 8 & 255


def _put32(buf, i, n):
    _put16(buf, i, n & 0xFFFF)
    _put16(buf, i + 2, n >> 16)


class _Sliced:
    """Gives a stream of CPython the `write(buf, length)` of MicroPython."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, buf, length):
        return self._stream.write(memoryview(buf)[:length])
