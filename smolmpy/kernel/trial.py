"""Whether this firmware's machine code does what its source says: run once, before all else.

A compiler with a fault, or frozen code in a wrong place, would lose packets without a word. The
rest of smolmpy is compiled and frozen as this module is, and does the same things. `verdict()` is
the text of what is wrong, or None.
"""

from array import array

import micropython
from micropython import const

_RIGHT = const(101379)  # what CPython makes of it


# Code for ARMv6-M reads a constant of this size from the next word boundary, counted from its own
# beginning. mpy-tool.py may freeze it at any halfword; as these two are an odd number of halfwords
# long and lie one behind the other, one of them then reads something else.
@micropython.viper
def _first(t: ptr32) -> int:
    t[0] = 0x12345678
    return 0


@micropython.viper
def _second(t: ptr32) -> int:
    t[1] = 0x23456789
    return 0


@micropython.viper
def _all(t: ptr32, i: int, h: ptr16, b: ptr8) -> int:
    # Near and far words, halfwords and bytes, at constants and at sums; the index outlives them.
    n = 0
    while n < 3:
        t[i + 0] = t[i + 1] + n
        h[i + 0] = h[i + 0] ^ 0x5A5A
        b[i + n] = b[i + 0] - i & 255
        t[60] = t[60] + t[i + 0] - h[i + 0] + b[i + n]
        t[5] = t[60] >> 1
        i += 1
        n += 1
    return t[5] + i


def verdict():
    t = array("I", (0x10000 + n for n in range(64)))
    _first(t)
    _second(t)
    if t[0] != 0x12345678 or t[1] != 0x23456789:
        return "machine code is frozen off word boundaries: mpy-tool.py has to align it by 4"
    if _all(t, 2, array("H", range(8)), bytearray(range(8))) != _RIGHT:
        return "this MicroPython compiles viper wrongly: take another, or the bytecode edition"
    return None
