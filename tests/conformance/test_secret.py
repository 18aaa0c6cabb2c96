"""The keyed hash behind sequence numbers, ports and cookies: both editions against a plain one."""

from array import array

from fuzz import Random
from harness import *
from smolmpy.core import secret, siphash

KEY, HASH = 120, 123


def editions():
    found = [siphash.keyed_hash]
    if secret.keyed_hash is not siphash.keyed_hash:
        found.append(secret.keyed_hash)
    return found


def rotated(x, n):
    return ((x << n) | (x >> (32 - n))) & M32


def half_siphash(key, data):
    """HalfSipHash-2-4 with 4 bytes of result, after the text of the paper."""
    k0 = int.from_bytes(key[:4], "little")
    k1 = int.from_bytes(key[4:], "little")
    v = [k0, k1, 0x6C796765 ^ k0, 0x74656462 ^ k1]

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & M32
            v[1] = rotated(v[1], 5) ^ v[0]
            v[0] = rotated(v[0], 16)
            v[2] = (v[2] + v[3]) & M32
            v[3] = rotated(v[3], 8) ^ v[2]
            v[0] = (v[0] + v[3]) & M32
            v[3] = rotated(v[3], 7) ^ v[0]
            v[2] = (v[2] + v[1]) & M32
            v[1] = rotated(v[1], 13) ^ v[2]
            v[2] = rotated(v[2], 16)

    padded = data + bytes(3 - len(data) % 4) + bytes((len(data) & 255,))
    for i in range(0, len(padded), 4):
        m = int.from_bytes(padded[i : i + 4], "little")
        v[3] ^= m
        rounds(2)
        v[0] ^= m
    v[2] ^= 0xFF
    rounds(4)
    return v[1] ^ v[3]


def test_the_plain_one_is_right():
    # The first of the authors' vectors: the key 0 to 7, no data.
    assert half_siphash(bytes(range(8)), b"") == int.from_bytes(b"\xa9\x35\x9f\x5b", "little")


def test_editions():
    r = Random(5)
    for function in editions():
        for _ in range(30):
            words = [(r.below(1 << 16) << 16) | r.below(1 << 16) for _ in range(5)]
            tweak = r.below(1 << 25)
            state = array("I", bytes(4 * 128))
            state[KEY], state[KEY + 1] = words[3], words[4]
            data = b""
            for i in range(3):
                state[7 + i] = words[i]
                data += words[i].to_bytes(4, "little")
            function(state, tweak)
            data += tweak.to_bytes(4, "little")
            key = words[3].to_bytes(4, "little") + words[4].to_bytes(4, "little")
            assert state[HASH] == half_siphash(key, data), (words, tweak)
