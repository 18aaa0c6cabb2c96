"""The emulated core itself: what a routine must not do ends it, and what it may do does not.

The routines are compiled from this file, as those of smolmpy are from theirs.
"""

from array import array

import micropython

from emulated import core
from tools import thumb


@micropython.asm_thumb
def load(r0, r1):
    add(r0, r0, r1)
    ldr(r0, [r0, 0])


@micropython.asm_thumb
def load_half(r0, r1):
    add(r0, r0, r1)
    ldrh(r0, [r0, 0])


@micropython.asm_thumb
def store(r0, r1):
    add(r0, r0, r1)
    mov(r2, 0x55)
    strb(r2, [r0, 0])
    mov(r0, 7)


@micropython.asm_thumb
def same(r0):
    nop()


@micropython.asm_thumb
def endless(r0):
    label(AGAIN)
    cmp(r0, r0)
    beq(AGAIN)


@micropython.asm_thumb
def follow(r0):
    # The word whose address is the first of these.
    ldr(r0, [r0, 0])
    ldr(r0, [r0, 0])


def refuses(word, function, *args):
    try:
        result = function(*args)
    except AssertionError as error:
        assert word in str(error), error
        assert function.__name__ in str(error), error
    else:
        raise AssertionError("%s%s is %s" % (function.__name__, args, result))


def test_arguments_and_results():
    assert same(5) == 5
    assert same(-5) == -5
    assert same(0xFFFF_FFFF) == -1
    assert same(None) == 0
    assert same(True) == 1
    words = array("I", (1, 2, 0x8000_0000))
    assert [load(words, 4 * i) for i in range(3)] == [1, 2, -0x8000_0000]
    assert load(b"\x01\x02\x03\x04", 0) == 0x04030201
    assert load(memoryview(bytes(range(9)))[4:8], 0) == 0x07060504
    try:
        load(words)
    except TypeError:
        pass
    else:
        raise AssertionError("an argument is missing")


def test_what_is_written_is_brought_back():
    data = bytearray(4)
    assert store(data, 2) == 7
    assert data == b"\0\0\x55\0"
    store(memoryview(data)[1:3], 0)
    assert data == b"\0\x55\x55\0"


def test_nothing_else_is_accessed():
    words = array("I", (1, 2, 3))
    refuses("not handed over", load, words, 12)
    refuses("not handed over", load, words, -4)
    refuses("not handed over", store, bytearray(5), 5)
    refuses("not handed over", store, bytearray(5), -1)
    data = bytearray(12)
    view = memoryview(data)[4:8]
    load(view, 0)
    refuses("not handed over", load, view, 4)
    refuses("not handed over", store, view, 4)
    refuses("not handed over", store, view, -1)
    # In the word of a byte that may be read.
    load(memoryview(data)[:5], 4)
    assert not any(data)
    refuses("UNMAPPED", load, None, 0)
    refuses("UNMAPPED", load, 0x4000_0000, 0)


def test_read_only():
    refuses("read-only", store, b"abc", 0)


def test_registers():
    # tools/thumb.py lets no such code pass.
    made = thumb.kept_routines(__file__, "armv6m")["same"]
    before, after = made.code[:2], made.code[4:]
    for code in (0x4680, 0x4681, 0x4682, 0x4683):  # mov r8 to r11, r0
        core.replace(made.where, before + code.to_bytes(2, "little") + after)
        for _ in range(2):
            refuses("other registers", same, 5)
    core.replace(made.where, made.code)
    assert same(5) == 5


def test_boundaries():
    for at in (1, 2, 3):
        refuses("not aligned", load, bytearray(8), at)
    load_half(bytearray(8), 2)
    refuses("not aligned", load_half, bytearray(8), 1)


def test_it_ends():
    refuses("does not end", endless, 0)


def test_addresses_stay():
    words = array("I", (4, 5))
    at = same(words)
    assert same(words) == at != same(array("I", (4, 5)))
    assert load(at, 4) == 5
    words[1] = 6
    assert load(at, 4) == 6
    assert follow(array("I", (at,))) == 4
    data = memoryview(bytearray(range(20)))
    at = same(data[8:12])
    assert load(at, 0) == 0x0B0A0908
    refuses("not handed over", load, at, 4)
    same(data[12:])
    assert load(at, 4) == 0x0F0E0D0C
    assert ptr8(at)[3] == 11 and ptr32(at)[1] == 0x0F0E0D0C
    refuses("not handed over", load, at + 0x100, 0)
