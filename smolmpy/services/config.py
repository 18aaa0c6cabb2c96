"""Changes an interface's addresses and default route by numbers, so that nothing is allocated."""

import micropython
from micropython import const

from ..ip.route import find

# Of docs/layout.md: 'make format' writes these.
_ANNOUNCE = const(20)
_ADDRESSES = const(24)
_ROUTES = const(25)
_ROUTES_LEN = const(26)
_NEIGHBORS = const(27)
_ADDRESS_TABLE = const(128)
_ADDRESS_WORDS = const(2)
_ROUTE_WORDS = const(4)

_ENOMEM = const(12)


@micropython.viper
def assign(state, words, at: int, most: int) -> int:
    """Makes words[at] an address of ours with the mask words[at + 1], and announces it.

    One that is there gets the mask. Returns 0, or -ENOMEM if there are `most` already.
    """
    st = ptr32(state)
    w = ptr32(words)
    i = int(find(state, words, at))
    if i < 0:
        i = st[_ADDRESSES]
        if i == most:
            return -_ENOMEM
        st[_ADDRESS_TABLE + i * _ADDRESS_WORDS] = w[at]
        st[_ADDRESSES] = i + 1
        st[_ANNOUNCE] = st[_ANNOUNCE] | (1 << i)
    st[_ADDRESS_TABLE + 1 + i * _ADDRESS_WORDS] = w[at + 1]
    return 0


@micropython.viper
def announce(state, words, at: int):
    """Tells the link once more that words[at] is ours (RFC 5227 section 2.3)."""
    i = int(find(state, words, at))
    if i >= 0:
        ptr32(state)[_ANNOUNCE] = ptr32(state)[_ANNOUNCE] | (1 << i)


@micropython.viper
def withdraw(state, words, at: int):
    """Gives up the address words[at], if it is ours."""
    st = ptr32(state)
    i = int(find(state, words, at))
    if i < 0:
        return
    st[_ADDRESSES] = st[_ADDRESSES] - 1
    low = st[_ANNOUNCE] & ((1 << i) - 1)
    st[_ANNOUNCE] = low | ((st[_ANNOUNCE] >> (i + 1)) << i)
    entry = _ADDRESS_TABLE + i * _ADDRESS_WORDS
    end = _ADDRESS_TABLE + st[_ADDRESSES] * _ADDRESS_WORDS
    while entry < end:
        st[entry] = st[entry + _ADDRESS_WORDS]
        entry += 1
    # The short ways look at the first one without counting.
    M = 0xFFFF
    M |= M << 16
    st[end] = 0
    st[end + 1] = M


@micropython.viper
def set_gateway(st: ptr32, w: ptr32, at: int, old: int) -> int:
    """Makes words[at] the gateway of the default route; 0.0.0.0 is for none.

    A default route whose gateway is neither that nor words[old] is somebody else's and stays.
    Returns 0, or -ENOMEM if the table of routes is full.
    """
    n = st[_ROUTES_LEN]
    # The default route has the shortest prefix, so it is the last.
    last = st[_ROUTES] + (n - 1) * _ROUTE_WORDS
    if n and not st[last + 1]:
        if st[last + 2] == w[old]:
            if w[at]:
                st[last + 2] = w[at]
            else:
                st[_ROUTES_LEN] = n - 1
        return 0
    if not w[at]:
        return 0
    last += _ROUTE_WORDS
    if last + _ROUTE_WORDS > st[_NEIGHBORS]:
        return -_ENOMEM
    st[last] = 0
    st[last + 1] = 0
    st[last + 2] = w[at]
    st[last + 3] = 0
    st[_ROUTES_LEN] = n + 1
    return 0
