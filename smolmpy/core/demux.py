"""Which socket a packet is for: a hash table over addresses and ports, one array('I').

Its words are described in docs/layout.md.

A connected socket hangs in the bucket of its remote end and its ports, another in that of its
local port alone; so a packet looks into two chains at most, whatever the number of sockets.
"""

from array import array

import micropython
from micropython import const

# Of docs/layout.md: 'make format' writes these.
_SRC = const(7)
_DST = const(8)
_PORTS = const(9)
_LAST_TCB = const(103)
_LAST_TCP = const(105)
_LAST_PORTS = const(106)

_D_MASK = const(0)
_D_SLOTS = const(1)
_D_BUCKETS = const(2)
_D_LOCAL = const(1)
_D_PORTS = const(2)
_D_CHAIN = const(3)
_D_WORDS = const(4)


def make(slots):
    """The table for a number of sockets."""
    n = 4
    while n < 2 * slots:
        n *= 2
    table = array("I", (0 for _ in range(_D_BUCKETS + n + _D_WORDS * slots)))
    table[_D_MASK] = n - 1
    table[_D_SLOTS] = slots
    return table


@micropython.viper
def lookup(t: ptr32, st: ptr32, protocol: int) -> int:
    """The slot for a packet of `protocol` with SRC, DST and PORTS in the state; -1 for none."""
    src = st[_SRC]
    dst = st[_DST]
    ports = st[_PORTS]
    mask = t[_D_MASK]
    records = _D_BUCKETS + mask + 1
    link = t[_D_BUCKETS + ((src ^ (src >> 15) ^ (ports >> 16) ^ ports ^ (ports >> 7)) & mask)]
    while link:
        at = records + (link - 1) * _D_WORDS
        chain = t[at + _D_CHAIN]
        if t[at + _D_PORTS] == ports and t[at] == src and (chain >> 16) == protocol:
            if t[at + _D_LOCAL] == dst:
                return link - 1
        link = chain & 0xFFFF
    ports &= 0xFFFF
    best = -1
    link = t[_D_BUCKETS + ((ports ^ (ports >> 7)) & mask)]
    while link:
        at = records + (link - 1) * _D_WORDS
        chain = t[at + _D_CHAIN]
        if t[at + _D_PORTS] == ports and t[at] == 0 and (chain >> 16) == protocol:
            if t[at + _D_LOCAL] == dst:
                return link - 1
            if t[at + _D_LOCAL] == 0:
                best = link - 1
        link = chain & 0xFFFF
    return best


@micropython.viper
def insert(t: ptr32, st: ptr32, slot: int, protocol: int):
    """Enters a socket under the SRC (its remote end), DST (its local address) and PORTS."""
    st[_LAST_PORTS] = 0
    st[_LAST_TCB] = 0
    st[_LAST_TCP] = 0
    src = st[_SRC]
    ports = st[_PORTS]
    mask = t[_D_MASK]
    bucket = _D_BUCKETS + ((src ^ (src >> 15) ^ (ports >> 16) ^ ports ^ (ports >> 7)) & mask)
    at = _D_BUCKETS + mask + 1 + slot * _D_WORDS
    t[at] = src
    t[at + _D_LOCAL] = st[_DST]
    t[at + _D_PORTS] = ports
    t[at + _D_CHAIN] = (protocol << 16) | t[bucket]
    t[bucket] = slot + 1


@micropython.viper
def remove(t: ptr32, st: ptr32, slot: int):
    """Takes a socket out; one that is not in the table is left alone."""
    st[_LAST_PORTS] = 0
    st[_LAST_TCB] = 0
    st[_LAST_TCP] = 0
    mask = t[_D_MASK]
    records = _D_BUCKETS + mask + 1
    at = records + slot * _D_WORDS
    src = t[at]
    ports = t[at + _D_PORTS]
    where = _D_BUCKETS + ((src ^ (src >> 15) ^ (ports >> 16) ^ ports ^ (ports >> 7)) & mask)
    link = t[where] & 0xFFFF
    while link:
        if link == slot + 1:
            t[where] = (t[where] - link) | (t[at + _D_CHAIN] & 0xFFFF)
            t[at + _D_CHAIN] = 0
            return
        where = records + (link - 1) * _D_WORDS + _D_CHAIN
        link = t[where] & 0xFFFF


@micropython.viper
def local(t: ptr32, state, protocol: int, slot: int) -> int:
    """The first socket of `protocol`, from `slot` up, that has the local port in PORTS; or -1."""
    port = ptr32(state)[_PORTS] & 0xFFFF
    slots = t[_D_SLOTS]
    at = _D_BUCKETS + t[_D_MASK] + 1 + slot * _D_WORDS
    while slot < slots:
        if t[at + _D_PORTS] & 0xFFFF == port and t[at + _D_CHAIN] >> 16 == protocol:
            return slot
        slot += 1
        at += _D_WORDS
    return -1


@micropython.viper
def in_use(demux, state, protocol: int) -> int:
    """1 if a socket of `protocol` has the local port in PORTS, at the address DST or any."""
    t = ptr32(demux)
    dst = ptr32(state)[_DST]
    records = _D_BUCKETS + t[_D_MASK] + 1
    slot = int(local(demux, state, protocol, 0))
    while slot >= 0:
        addr = t[records + slot * _D_WORDS + _D_LOCAL]
        if addr == dst or not dst or not addr:
            return 1
        slot = int(local(demux, state, protocol, slot + 1))
    return 0
