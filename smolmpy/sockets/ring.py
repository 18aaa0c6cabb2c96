"""A ring of packets: what UDP, ICMP and raw sockets queue, each packet in one piece.

The packets' bytes lie in a buffer of the caller; a small array('I') keeps the book
(docs/layout.md).
"""

from array import array

import micropython
from micropython import const

# Of docs/layout.md: 'make format' writes these.
_R_HEAD = const(4)
_R_COUNT = const(5)
_R_CAPACITY = const(6)
_R_START = const(7)
_R_END = const(8)
_R_USED = const(9)
_R_SIZE = const(10)
_R_LAST = const(11)
_R_HOP_LIMIT = const(16)
_R_RECORDS = const(21)
_R_OFFSET = const(0)
_R_LENGTH = const(1)
_R_REMOTE = const(2)
_R_LOCAL = const(3)
_R_PORT = const(4)
_R_WORDS = const(5)


def make(packets, size):
    """The book of a ring of up to `packets` packets in `size` bytes."""
    if not isinstance(packets, int) or not 0 < packets <= 4096:
        raise ValueError("packets must be 1 to 4096")
    ring = array("I", (0 for _ in range(_R_RECORDS + _R_WORDS * packets)))
    ring[_R_CAPACITY] = packets
    ring[_R_SIZE] = size
    ring[_R_HOP_LIMIT] = 64
    return ring


@micropython.viper
def reserve(r: ptr32, n: int) -> int:
    """Finds room for a packet of n bytes: where its record begins; -1 if there is none.

    The record has its OFFSET and LENGTH; the packet is in the ring only after commit().
    """
    count = r[_R_COUNT]
    if count == r[_R_CAPACITY]:
        return -1
    if not count:
        r[_R_START] = 0
        r[_R_END] = 0
        r[_R_USED] = 0
    start = r[_R_START]
    end = r[_R_END]
    size = r[_R_SIZE]
    if end > start or not r[_R_USED]:
        # Free are the end of the buffer and its beginning; the packet has to lie in one of them.
        if n > size - end:
            if n > start:
                return -1
            end = 0
    elif n > start - end:
        return -1
    i = r[_R_HEAD] + count
    if i >= r[_R_CAPACITY]:
        i -= r[_R_CAPACITY]
    at = _R_RECORDS + i * _R_WORDS
    r[at] = end
    r[at + _R_LENGTH] = n
    return at


@micropython.viper
def commit(r: ptr32, at: int):
    """Appends the packet whose record reserve() returned."""
    r[_R_END] = r[at + _R_OFFSET] + r[at + _R_LENGTH]
    r[_R_USED] = r[_R_USED] + r[at + _R_LENGTH]
    r[_R_COUNT] = r[_R_COUNT] + 1


@micropython.viper
def pop(r: ptr32):
    """Drops the first packet; who it was from stays readable at LAST."""
    head = r[_R_HEAD]
    at = _R_RECORDS + head * _R_WORDS
    r[_R_LAST] = r[at + _R_REMOTE]
    r[_R_LAST + 1] = r[at + _R_LOCAL]
    r[_R_LAST + 2] = r[at + _R_PORT]
    # Where there is no machine code Ctrl-C may come in between: then a packet is sent twice, and
    # USED is too large until the ring is empty.
    r[_R_COUNT] = r[_R_COUNT] - 1
    head += 1
    if head == r[_R_CAPACITY]:
        head = 0
    r[_R_HEAD] = head
    r[_R_START] = r[_R_RECORDS + head * _R_WORDS]
    r[_R_USED] = r[_R_USED] - r[at + _R_LENGTH]


@micropython.viper
def clear(r: ptr32):
    """Drops all packets."""
    r[_R_COUNT] = 0
    r[_R_USED] = 0
