"""Routes: which way a packet leaves (RFC 1122 section 3.3.1).

A route is four words: network, mask, gateway, and 0 (set aside for a metric or an expiry). The
table is kept with the longest prefix first, so that the first match is the best.
"""

import micropython
from micropython import const

# Of docs/layout.md: 'make format' writes these.
_SRC = const(7)
_DST = const(8)
_MAC_HI = const(12)
_MAC_LO = const(13)
_PEER_HI = const(14)
_PEER_LO = const(15)
_FLAGS = const(19)
_ADDRESSES = const(24)
_ROUTES = const(25)
_ROUTES_LEN = const(26)
_NEIGHBORS = const(27)
_ADDRESS_TABLE = const(128)
_ADDRESS_WORDS = const(2)
_ROUTE_WORDS = const(4)
_LOOPBACK = const(1)


@micropython.viper
def next_hop(st: ptr32) -> int:
    """The word of the state that holds the next hop's address on the way to state[_DST].

    Returns 0, with PEER filled in, when that needs no ARP: a broadcast, a group, or ourselves; and
    -1 when there is no route.
    """
    dst = st[_DST]
    M = 0xFFFF
    M |= M << 16
    if (dst >> 28) & 15 == 14:
        # RFC 1112 section 6.4: the low 23 bits of the group.
        st[_PEER_HI] = 0x0100
        hi = 0x5E
        st[_PEER_LO] = (hi << 24) | (dst & 0x7FFFFF)
        return 0
    broadcast = 1 if dst == M else 0
    on_link = 0
    at = _ADDRESS_TABLE
    end = at + st[_ADDRESSES] * _ADDRESS_WORDS
    while at < end:
        addr = st[at]
        mask = st[at + 1]
        if addr == dst:
            if not st[_FLAGS] & _LOOPBACK:
                return -1  # a device that does not bring it back
            st[_PEER_HI] = st[_MAC_HI]
            st[_PEER_LO] = st[_MAC_LO]
            return 0
        if not (addr ^ dst) & mask:
            on_link = 1
            if dst | mask == M and mask | 1 != M:
                broadcast = 1
        at += _ADDRESS_WORDS
    if broadcast:
        st[_PEER_HI] = 0xFFFF
        st[_PEER_LO] = M
        return 0
    if on_link:
        return _DST
    at = st[_ROUTES]
    end = at + st[_ROUTES_LEN] * _ROUTE_WORDS
    while at < end:
        if not (st[at] ^ dst) & st[at + 1]:
            return at + 2
        at += _ROUTE_WORDS
    return -1


@micropython.viper
def source(state) -> int:
    """Puts into state[_SRC] the address of ours to send to state[_DST] from.

    That is the one that shares a network with the next hop, else the first. Returns 0, or -1 when
    we have no address or no route.
    """
    st = ptr32(state)
    if not st[_ADDRESSES]:
        return -1
    hop = int(next_hop(state))
    if hop < 0:
        return -1
    st[_SRC] = st[_ADDRESS_TABLE]
    if not hop:
        hop = _DST
    at = _ADDRESS_TABLE
    end = at + st[_ADDRESSES] * _ADDRESS_WORDS
    while at < end:
        if not (st[at] ^ st[hop]) & st[at + 1]:
            st[_SRC] = st[at]
            return 0
        at += _ADDRESS_WORDS
    return 0


@micropython.viper
def find(st: ptr32, words, at: int) -> int:
    """Which of our addresses words[at] is; -1 if it is none."""
    addr = ptr32(words)[at]
    i = 0
    while i < st[_ADDRESSES]:
        if st[_ADDRESS_TABLE + i * _ADDRESS_WORDS] == addr:
            return i
        i += 1
    return -1


def _mask(prefix):
    return (0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF


def add(st, network, prefix, gateway):
    """Adds a route or changes its gateway; False if the table is full."""
    mask = _mask(prefix)
    network &= mask
    remove(st, network, prefix)
    base = st[_ROUTES]
    n = st[_ROUTES_LEN]
    if base + (n + 1) * _ROUTE_WORDS > st[_NEIGHBORS]:
        return False
    at = base + n * _ROUTE_WORDS
    while at > base and st[at - _ROUTE_WORDS + 1] < mask:
        for i in range(_ROUTE_WORDS):
            st[at + i] = st[at + i - _ROUTE_WORDS]
        at -= _ROUTE_WORDS
    st[at] = network
    st[at + 1] = mask
    st[at + 2] = gateway
    st[at + 3] = 0
    st[_ROUTES_LEN] = n + 1
    return True


def remove(st, network, prefix):
    """Removes a route; False if there is none."""
    mask = _mask(prefix)
    at = st[_ROUTES]
    end = at + st[_ROUTES_LEN] * _ROUTE_WORDS
    while at < end:
        if st[at] == network & mask and st[at + 1] == mask:
            for i in range(at, end - _ROUTE_WORDS):
                st[i] = st[i + _ROUTE_WORDS]
            st[_ROUTES_LEN] -= 1
            return True
        at += _ROUTE_WORDS
    return False


def table(st):
    """A list of (network, prefix length, gateway) as numbers, the longest prefix first."""
    found = []
    for i in range(st[_ROUTES_LEN]):
        at = st[_ROUTES] + i * _ROUTE_WORDS
        mask = st[at + 1]
        prefix = 0
        while prefix < 32 and mask & (1 << (31 - prefix)):
            prefix += 1
        found.append((st[at], prefix, st[at + 2]))
    return found
