"""Counts instructions of the kernels on the emulated Cortex-M3, a call from viper included.

`run()` prints for each edition, kernel and size what counted.py prints. "shifted": the source lies
two bytes otherwise than the destination in its words.
"""

import sys
from array import array

import micropython
from align import align
from machine import mem32
from micropython import const

_COUNTER = const(0x40028018)
_COUNT = const(0x20000000)  # as in counted.py
_BEGINNINGS = const(0x20000000)
_ENDS = const(0x20000004)

_TURNS = const(40)
_SIZES = (64, 1460)
_EDITIONS = ("thumb", "viper", "plain")


@micropython.viper
def _checksum(kernel, dst, src, block):
    clock = ptr32(_COUNTER)
    count = ptr32(_COUNT)
    n = ptr32(block)[2]
    count[0] -= clock[0]
    kernel(src, 0, n, 0)
    count[1] += clock[0]


@micropython.viper
def _copy(kernel, dst, src, block):
    clock = ptr32(_COUNTER)
    count = ptr32(_COUNT)
    count[0] -= clock[0]
    kernel(dst, src, block)
    count[1] += clock[0]


def _run(name, caller, kernel, size, at=0):
    src = bytearray(1464)
    dst = bytearray(1464)
    for i in range(len(src)):
        src[i] = (i * 7 + 1) & 255
    block = array("I", (0, at, size, 0))
    mem32[_BEGINNINGS] = 0
    mem32[_ENDS] = 0
    for i in range(_TURNS):
        align(i)
        caller(kernel, dst, src, block)
    ticks = (mem32[_BEGINNINGS] + mem32[_ENDS]) & 0xFFFFFFFF
    assert caller is _checksum or dst[:size] == src[at : at + size]
    print("counted", "%s_%d" % (name, size), _TURNS, ticks, 0, 0)


def run():
    for edition in _EDITIONS:
        name = "smolmpy.kernel." + edition
        __import__(name)
        module = sys.modules[name]
        for size in _SIZES:
            _run(edition + "_checksum", _checksum, module.checksum, size)
            _run(edition + "_copy", _copy, module.copy, size)
            _run(edition + "_copy_sum", _copy, module.copy_sum, size)
            _run(edition + "_copy_shifted", _copy, module.copy, size, 2)
