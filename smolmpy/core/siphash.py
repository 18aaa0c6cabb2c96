"""HalfSipHash-2-4, 32 bits, of 16 bytes: Aumasson and Bernstein, "SipHash", 2012.

siphash_thumb.py is another edition of it.
"""

import micropython
from micropython import const

# Of docs/layout.md: 'make format' writes these.
_SRC = const(7)
_KEY = const(120)
_HASH = const(123)


@micropython.viper
def keyed_hash(st: ptr32, tweak: int):
    """Puts into HASH the hash of SRC, DST, PORTS and a small number under the key."""
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
