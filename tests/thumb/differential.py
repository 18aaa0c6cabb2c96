"""Calls both editions of a function on copies of the same arguments, and compares what they do.

The buffers end where the arguments say, so that whatever reaches further is a fault (cortex_m.py).
SMOLMPY_SEED makes chance decide otherwise than usual.
"""

import os
from array import array

import fuzz

_SEED = 1009 * int(os.environ.get("SMOLMPY_SEED", 0))


def seed(number):
    return number + _SEED


def seeded(number):
    return fuzz.Random(seed(number))


class Bytes:
    """Bytes that lie `lead` bytes behind a word boundary."""

    def __init__(self, data, lead=0):
        self.data = bytes(data)
        self.lead = lead

    def copy(self):
        # Of two views, neither may be the whole of what lies below.
        return memoryview(bytearray(self.lead) + self.data)[self.lead :]


def _copy(arg):
    if isinstance(arg, array):
        return array(arg.typecode, arg)
    return arg.copy() if isinstance(arg, Bytes) else arg


def both(portable, assembly, *args):
    """Returns the result and the arguments as the functions have left them, or raises
    AssertionError where they differ."""
    made = []
    for function in (portable, assembly):
        copies = [_copy(arg) for arg in args]
        made.append((function(*copies), copies))
    (one, copies), (other, others) = made
    told = [arg.data[:60].hex() if isinstance(arg, Bytes) else arg for arg in args]
    told = [arg for arg in told if not isinstance(arg, array)]
    assert one == other, (portable.__name__, one, other, told)
    for number, arg in enumerate(args):
        if not isinstance(arg, int):
            mine, its = list(copies[number]), list(others[number])
            wrong = [(i, mine[i], its[i]) for i in range(len(mine)) if mine[i] != its[i]]
            assert not wrong, (portable.__name__, number, wrong[:9], told)
    return one, copies
