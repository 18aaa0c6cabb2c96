"""The kernels in assembly against the plain ones, on buffers without a byte to spare."""

from array import array

from differential import Bytes, both, seeded
from emulated import core
from smolmpy.kernel import plain, thumb

ROUNDS = 1500
ACC = (0, 1, 0xFFFF, 0x10000, 0x1FFFE, 0x3FFF0000, 0x3FFFFFFF)


def some_bytes(random, n):
    kind = random.below(4)
    if kind < 2:
        return (b"\x00", b"\xff")[kind] * n
    return bytes(random.below(256) for _ in range(n))


def length(random):
    return random.below((5, 40, 100, 300)[random.below(4)])


def test_checksum():
    random = seeded(11)
    for _ in range(ROUNDS):
        n = length(random)
        offset = random.below(6)
        data = Bytes(some_bytes(random, offset + n), random.below(4))
        acc = ACC[random.below(len(ACC))]
        both(plain.checksum, thumb.checksum, data, offset, n, acc)


def copies(name):
    random = seeded(12)
    for _ in range(ROUNDS):
        n = length(random)
        to, at = random.below(6), random.below(6)
        dst = Bytes(some_bytes(random, to + n), random.below(4))
        src = Bytes(some_bytes(random, at + n), random.below(4))
        block = array("I", (to, at, n, ACC[random.below(len(ACC))]))
        both(getattr(plain, name), getattr(thumb, name), dst, src, block)


def test_copy():
    copies("copy")


def test_copy_sum():
    copies("copy_sum")


# The most jumps by length: of a copy to where a word is as far from its boundary as it was, of
# another one, of the same with the sum; and of a sum.
JUMPS = {
    1460: (69, 205, 89, 210, 59),
    40: (22, 35, 29, 44, 12),
    16: (23, 32, 28, 41, 13),
    8: (21, 28, 26, 37, 11),
    7: (26, 26, 34, 34, 11),
}


def test_what_is_long_goes_by_blocks():
    for n, (like, other, like_sum, other_sum, most) in JUMPS.items():
        for shift in range(16):
            to, at = shift & 3, shift >> 2
            for copy, jumps in (
                (thumb.copy, like if to == at else other),
                (thumb.copy_sum, like_sum if to == at else other_sum),
            ):
                args = [Bytes(bytes(n), lead).copy() for lead in (to, at)]
                copy(*args, array("I", (0, 0, n, 0)))
                assert core.blocks() <= jumps, (n, to, at, core.blocks())
        for at in range(4):
            thumb.checksum(Bytes(bytes(n), at).copy(), 0, n, 0)
            assert core.blocks() <= most, (n, at, core.blocks())


def test_lengths_of_frames():
    random = seeded(13)
    for n in (1460, 1472, 1514):
        for shift in range(16):
            dst = Bytes(bytes(n), shift & 3)
            src = Bytes(some_bytes(random, n), shift >> 2)
            block = array("I", (0, 0, n, 0))
            both(plain.copy_sum, thumb.copy_sum, dst, src, block)
