"""The kernels in assembly against the plain ones, on buffers without a byte to spare."""

from array import array

from differential import Bytes, both, seeded
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


def test_lengths_of_frames():
    random = seeded(13)
    for n in (1460, 1472, 1514):
        for shift in range(16):
            dst = Bytes(bytes(n), shift & 3)
            src = Bytes(some_bytes(random, n), shift >> 2)
            block = array("I", (0, 0, n, 0))
            both(plain.copy_sum, thumb.copy_sum, dst, src, block)
