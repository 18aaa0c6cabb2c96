"""Numbers that an outsider cannot guess: HalfSipHash-2-4 of what is at hand, under a random key.

They serve for initial sequence numbers (RFC 6528), ephemeral ports (RFC 6056) and identifiers. The
result is left in HASH of the interface's state, since 32 bits do not fit a small int.
"""

import micropython
from micropython import const

_SRC = const(7)
_KEY = const(120)
_NONCE = const(122)
_HASH = const(123)


def seed(st, data):
    """Sets the key from 8 bytes or more, or from the platform's random source if data is None."""
    if data is None:
        data = _entropy()
    for i in range(8):
        st[_KEY + (i & 1)] = ((st[_KEY + (i & 1)] << 8) | data[i]) & 0xFFFFFFFF


def _entropy():
    try:
        from os import urandom

        return urandom(8)
    except (ImportError, NotImplementedError):
        pass
    data = bytearray(8)
    try:
        from machine import rng

        for i in range(8):
            data[i] = rng() & 255
    except ImportError:
        # Nothing better on this board: what differs from start to start is the heap and the clock.
        import random

        for i in range(8):
            data[i] = random.getrandbits(8)
    return data


@micropython.viper
def keyed_hash(state, tweak: int):
    """Puts into HASH the hash of SRC, DST, PORTS and a small number under the key."""
    st = ptr32(state)
    M = 0xFFFF
    M |= M << 16
    v0 = st[_KEY]
    v1 = st[_KEY + 1]
    v2 = 0x6C79 << 8
    v2 = ((v2 << 8) | 0x6765) ^ v0
    v3 = 0x7465 << 8
    v3 = ((v3 << 8) | 0x6462) ^ v1
    word = 0
    while word < 6:
        m = 0
        if word < 3:
            m = st[_SRC + word]
        elif word == 3:
            m = tweak
        elif word == 4:
            m = 16
            m <<= 24
        else:
            v2 ^= 0xFF
        v3 ^= m
        rounds = 4 if word == 5 else 2
        while rounds:
            v0 = (v0 + v1) & M
            v1 = ((v1 << 5) | ((v1 >> 27) & 0x1F)) & M
            v1 ^= v0
            v0 = ((v0 << 16) | ((v0 >> 16) & 0xFFFF)) & M
            v2 = (v2 + v3) & M
            v3 = ((v3 << 8) | ((v3 >> 24) & 0xFF)) & M
            v3 ^= v2
            v0 = (v0 + v3) & M
            v3 = ((v3 << 7) | ((v3 >> 25) & 0x7F)) & M
            v3 ^= v0
            v2 = (v2 + v1) & M
            v1 = ((v1 << 13) | ((v1 >> 19) & 0x1FFF)) & M
            v1 ^= v2
            v2 = ((v2 << 16) | ((v2 >> 16) & 0xFFFF)) & M
            rounds -= 1
        v0 ^= m
        word += 1
    st[_HASH] = v1 ^ v3


@micropython.viper
def draw(state):
    """Puts a number into HASH that has not been there before and cannot be foreseen."""
    st = ptr32(state)
    st[_NONCE] = (st[_NONCE] + 1) & 0xFFFFFF
    keyed_hash(state, st[_NONCE])
