"""Numbers that an outsider cannot guess: HalfSipHash-2-4 of what is at hand, under a random key.

They serve for initial sequence numbers (RFC 6528), ephemeral ports (RFC 6056) and identifiers. The
result is left in HASH of the interface's state, since 32 bits do not fit a small int.
"""

import micropython
from micropython import const

try:
    from .siphash_thumb import keyed_hash
except (ImportError, SyntaxError, AttributeError):
    from .siphash import keyed_hash

# Of docs/layout.md: 'make format' writes these.
_KEY = const(120)
_NONCE = const(122)


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
def draw(state):
    """Puts a number into HASH that has not been there before and cannot be foreseen."""
    st = ptr32(state)
    st[_NONCE] = (st[_NONCE] + 1) & 0xFFFFFF
    keyed_hash(state, st[_NONCE])
