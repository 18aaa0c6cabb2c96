"""Kernels for a 64-bit host with `ffi`: long copies by libc, and words may lie anywhere.

Raises ImportError elsewhere: on 32 bits an address may be no small int, and a sum overflows.
"""

import sys

import ffi
import micropython
from micropython import const

from . import viper
from .viper import copy as _copy

addressof = viper.addressof

if sys.maxsize >> 32 == 0:
    raise ImportError("a word has 32 bits")

_LONG = const(160)  # from here on a call through `ffi` costs less than a loop
_memmove = ffi.open(None).func("v", "memmove", "PPL")


@micropython.viper
def checksum(buf, offset: int, n: int, acc: int) -> int:
    # The order of bytes within a halfword, and so that of words, is put right at the end.
    at = int(ptr8(buf)) + offset
    end = at + n
    s = 0
    stop = end - 31
    while at < stop:
        p = ptr32(at)
        s += p[0] + p[1] + p[2] + p[3] + p[4] + p[5] + p[6] + p[7]
        at += 32
    stop = end - 1
    while at < stop:
        s += ptr16(at)[0]
        at += 2
    if at < end:
        s += ptr8(at)[0]
    s = (s & 0xFFFF) + ((s >> 16) & 0xFFFF) + (s >> 32)
    s = (s & 0xFFFF) + (s >> 16)
    s = (s & 0xFFFF) + (s >> 16)
    s = (((s & 0xFF) << 8) | (s >> 8)) + acc
    s = (s & 0xFFFF) + (s >> 16)
    return (s & 0xFFFF) + (s >> 16)


@micropython.viper
def copy(dst, src, block) -> int:
    b = ptr32(block)
    if b[2] < _LONG:
        _copy(dst, src, block)
    else:
        _memmove(int(ptr8(dst)) + b[0], int(ptr8(src)) + b[1], b[2])
    return 0


@micropython.viper
def copy_sum(dst, src, block) -> int:
    b = ptr32(block)
    if b[2] < _LONG:
        _copy(dst, src, block)
    else:
        _memmove(int(ptr8(dst)) + b[0], int(ptr8(src)) + b[1], b[2])
    return int(checksum(dst, b[0], b[2], b[3]))
