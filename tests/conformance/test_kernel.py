"""The kernels against plain arithmetic: every edition that this interpreter can load."""

from array import array

from frames import csum
from smolmpy.kernel import EDITION


def editions():
    """Name and module of each edition here; the chosen one is among them."""
    found = []
    for name in ("thumb", "libc_viper", "viper", "plain"):
        try:
            module = __import__("smolmpy.kernel." + name, None, None, ("checksum",))
        except (ImportError, SyntaxError, AttributeError):
            continue
        found.append((name, module))
    assert EDITION == found[0][0], EDITION  # the fastest, and it is whole
    return found


def model(data, acc):
    """The folded sum; 0 only where all is zero."""
    s = (csum(data) ^ 0xFFFF) + acc
    while s >> 16:
        s = (s & 0xFFFF) + (s >> 16)
    return s


def pattern(n, seed=1):
    x = seed
    out = bytearray(n)
    for i in range(n):
        x = (x * 75 + 74) % 65537
        out[i] = x >> 3 & 255
    return out


def test_all_65536_sums():
    for name, k in editions():
        buf = bytearray(4)
        f = k.checksum
        for w in range(65536):
            buf[2] = w >> 8
            buf[3] = w & 255
            assert f(buf, 2, 2, 0) == w, (name, w)
            if w:
                # Its complement beside it: the carry that is easily missed.
                assert f(buf, 2, 2, w ^ 0xFFFF) == 0xFFFF, (name, w)
                assert f(buf, 2, 2, 0xFFFF) == w, (name, w)


def test_all_65536_sums_in_a_block():
    for name, k in editions():
        buf = bytearray(72)
        for i in range(8):
            buf[40 + i] = 0xFF
        f = k.checksum
        for w in range(1, 65536):
            buf[22] = w >> 8
            buf[23] = w & 255
            assert f(buf, 0, 72, 0) == w, (name, w)


def test_accumulator():
    data = b"\xff" * 64
    for name, k in editions():
        for acc in (0, 1, 0xFFFF, 0x10000, 0x1FFFE, 0x1FFFF, 0x3FFFFFFF, 0x3FFF0000, 0x20001):
            for n in (0, 1, 2, 3, 31, 32, 33, 64):
                assert k.checksum(data, 0, n, acc) == model(data[:n], acc), (name, acc, n)


def test_every_alignment_and_length():
    for fill in (None, 0xFF, 0):
        data = pattern(160) if fill is None else bytes([fill] * 160)
        for name, k in editions():
            for at in range(8):
                for n in range(110):
                    got = k.checksum(data, at, n, 0)
                    assert got == model(data[at : at + n], 0), (name, at, n)


def test_long_sums():
    for n in (1460, 1472, 1500, 1514, 4001):
        for data in (pattern(n + 8), b"\xff" * (n + 8)):
            for name, k in editions():
                for at in (0, 1, 2, 3):
                    assert k.checksum(data, at, n, 7) == model(data[at : at + n], 7), (name, n)


def check_copies(which, lengths):
    src = pattern(200)
    block = array("I", [0, 0, 0, 0])
    for name, k in editions():
        f = getattr(k, which)
        for to in range(8):
            for at in range(8):
                for n in lengths:
                    dst = bytearray(b"\xa5" * 160)
                    block[0] = to
                    block[1] = at
                    block[2] = n
                    block[3] = 0x1234
                    got = f(dst, src, block)
                    want = bytearray(b"\xa5" * 160)
                    want[to : to + n] = src[at : at + n]
                    assert dst == want, (name, to, at, n)
                    expected = 0 if which == "copy" else model(src[at : at + n], 0x1234)
                    assert got == expected, (name, to, at, n, got)


def test_copy():
    check_copies("copy", list(range(40)) + [63, 64, 65, 127])


def test_copy_sum():
    check_copies("copy_sum", list(range(40)) + [63, 64, 65, 127])


def test_copy_to_before_itself():
    block = array("I", [0, 0, 0, 0])
    for name, k in editions():
        for shift in (1, 2, 3, 4, 5, 8, 17):
            for n in (1, 5, 16, 33, 100):
                buf = pattern(140)
                want = bytearray(buf)
                want[3 : 3 + n] = buf[3 + shift : 3 + shift + n]
                block[0] = 3
                block[1] = 3 + shift
                block[2] = n
                k.copy(buf, buf, block)
                assert buf == want, (name, shift, n)


def test_views_and_bytes_are_accepted():
    data = pattern(100)
    for name, k in editions():
        want = k.checksum(data, 10, 50, 0)
        assert k.checksum(memoryview(data), 10, 50, 0) == want, name
        assert k.checksum(memoryview(data)[2:], 8, 50, 0) == want, name
        assert k.checksum(bytes(data), 10, 50, 0) == want, name
