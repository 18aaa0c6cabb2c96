"""Kernels without an emitter: bytecode, and CPython. They allocate."""

addressof = None


def _sum(view):
    # The ones-complement sum is the number that the bytes spell, modulo 65535, except that only
    # nothing but zeros has the sum 0: long division runs in C, a loop over bytes would not.
    total = 0
    n = len(view)
    i = 0
    while i < n:
        part = view[i : i + 256]
        value = int.from_bytes(part, "big")
        if len(part) & 1:
            value <<= 8
        if value:
            total += value % 65535 or 65535
        i += 256
    return total


def _fold(total):
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


def checksum(buf, offset, n, acc):
    return _fold(_sum(memoryview(buf)[offset : offset + n]) + acc)


def copy(dst, src, block):
    to = block[0]
    start = block[1]
    n = block[2]
    memoryview(dst)[to : to + n] = memoryview(src)[start : start + n]
    return 0


def copy_sum(dst, src, block):
    copy(dst, src, block)
    return checksum(dst, block[0], block[2], block[3])
