"""Kernels in viper, for every native emitter.

Halfwords are read in the machine's order, which the ones-complement sum allows (RFC 1071 section
2): the result is swapped once, at the end. All targets are little-endian. No access is unaligned,
since several cores fault on that.
"""

import micropython


@micropython.viper
def addressof(buf) -> int:
    return int(ptr8(buf))


@micropython.viper
def checksum(buf, offset: int, n: int, acc: int) -> int:
    start = int(ptr8(buf)) + offset
    at = start
    end = start + n
    s = 0
    if (at & 1) and n > 0:
        s = ptr8(at)[0] << 8
        at += 1
    stop = end - 15
    while at < stop:
        p = ptr16(at)
        s += p[0] + p[1] + p[2] + p[3] + p[4] + p[5] + p[6] + p[7]
        at += 16
    stop = end - 1
    while at < stop:
        s += ptr16(at)[0]
        at += 2
    if at < end:
        s += ptr8(at)[0]
    s = (s & 0xFFFF) + (s >> 16)
    s = (s & 0xFFFF) + (s >> 16)
    if not start & 1:
        s = ((s & 0xFF) << 8) | (s >> 8)
    s += acc
    s = (s & 0xFFFF) + (s >> 16)
    return (s & 0xFFFF) + (s >> 16)


@micropython.viper
def copy(dst, src, b: ptr32) -> int:
    to = int(ptr8(dst)) + b[0]
    at = int(ptr8(src)) + b[1]
    end = to + b[2]
    if not (to ^ at) & 3:
        while (to & 3) and to < end:
            ptr8(to)[0] = ptr8(at)[0]
            to += 1
            at += 1
        stop = end - 15
        while to < stop:
            d = ptr32(to)
            p = ptr32(at)
            d[0] = p[0]
            d[1] = p[1]
            d[2] = p[2]
            d[3] = p[3]
            to += 16
            at += 16
    elif not (to ^ at) & 1:
        if (to & 1) and to < end:
            ptr8(to)[0] = ptr8(at)[0]
            to += 1
            at += 1
        stop = end - 7
        while to < stop:
            h = ptr16(to)
            q = ptr16(at)
            h[0] = q[0]
            h[1] = q[1]
            h[2] = q[2]
            h[3] = q[3]
            to += 8
            at += 8
    else:
        stop = end - 3
        while to < stop:
            c = ptr8(to)
            r = ptr8(at)
            c[0] = r[0]
            c[1] = r[1]
            c[2] = r[2]
            c[3] = r[3]
            to += 4
            at += 4
    while to < end:
        ptr8(to)[0] = ptr8(at)[0]
        to += 1
        at += 1
    return 0


@micropython.viper
def copy_sum(dst, src, block) -> int:
    # What has just been copied is in the cache, where there is one; and where there is none, the
    # sum of aligned words costs less than summing misaligned ones while copying.
    copy(dst, src, block)
    b = ptr32(block)
    return int(checksum(dst, b[0], b[2], b[3]))
