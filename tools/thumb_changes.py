"""What can be changed in machine code for Thumb, one instruction at a time (thumb_try.py).

The changes are those that people make by mistake: a condition, a number by one, an offset by one
word, an operation or a direction, a carry that is forgotten, an instruction that is missing.
"""

import struct

_CONDITIONS = "eq ne cs cc mi pl vs vc hi ls ge lt gt le".split()
# What is easily taken for a condition, beside its opposite.
_ALIKE = {
    "cs": ("hi", "ge"),
    "cc": ("ls", "lt"),
    "hi": ("cs", "gt"),
    "ls": ("cc", "le"),
    "mi": ("lt",),
    "pl": ("ge",),
    "ge": ("gt", "cs", "pl"),
    "lt": ("le", "cc", "mi"),
    "gt": ("ge", "hi"),
    "le": ("lt", "ls"),
}
_NOP = 0x46C0  # mov r8, r8
_OPERATIONS = "and eor lsl lsr asr adc sbc ror tst neg cmp cmn orr mul bic mvn".split()
_SWAPPED = {
    "and": ("orr",),
    "orr": ("and", "eor"),
    "eor": ("orr",),
    "bic": ("and",),
    "adc": ("sbc",),
    "lsl": ("lsr",),
    "lsr": ("lsl", "asr"),
    "tst": ("cmn",),
}


def _branch(op):
    name = _CONDITIONS[op >> 8 & 15]
    for other in (_CONDITIONS[op >> 8 & 15 ^ 1], *_ALIKE.get(name, ())):
        yield f"b{other}", op & 0xF0FF | _CONDITIONS.index(other) << 8
    yield "never taken", _NOP
    yield "always taken", 0xE000 | (op & 0xFF) | (0x700 if op & 0x80 else 0)


def _field(op, at, bits):
    """A number in an instruction by one more and by one less."""
    value = op >> at & (1 << bits) - 1
    if value < (1 << bits) - 1:
        yield "one more", op + (1 << at)
    if value:
        yield "one less", op - (1 << at)


def _operation(op):
    name = _OPERATIONS[op >> 6 & 15]
    for other in _SWAPPED.get(name, ()):
        yield other, op & 0xFC3F | _OPERATIONS.index(other) << 6
    if name == "adc":
        yield "without the carry", 0x1800 | (op >> 3 & 7) << 6 | (op & 7) << 3 | op & 7


def _instruction(op):
    """(what is done to it, the instruction then) for each change."""
    kind = op >> 11
    if op >> 12 == 0xD:
        yield from _branch(op)
        return
    if kind < 3 and op >> 6 & 31:  # a shift by a number
        yield from _field(op, 6, 5)
        if kind < 2:
            yield "the other way", op ^ 1 << 11
    elif kind == 3:  # add and sub of a register or of a small number
        yield "sub for add or add for sub", op ^ 1 << 9
        if op >> 10 & 1:
            yield from _field(op, 6, 3)
    elif kind < 8:  # mov, cmp, add, sub with a number
        yield from _field(op, 0, 8)
        if kind > 5:
            yield "sub for add or add for sub", op ^ 1 << 11
    elif op >> 10 == 0x10:
        yield from _operation(op)
    elif 0x0C <= kind < 0x12:  # load and store at an offset
        yield from _field(op, 6, 5)
    elif op >> 8 == 0xBA:
        yield "rev16 for rev or rev for rev16", op ^ 1 << 6
    yield "left out", _NOP


def changes(routine):
    """[(what is changed, the code then)] of a Routine of thumb.py; what calls, jumps or uses the
    stack stays as it is."""
    found = []
    for at, instruction in sorted(routine.instructions.items()):
        if instruction.kind not in ("", "if") or instruction.push:
            continue
        (op,) = struct.unpack_from("<H", routine.code, at)
        for text, new in _instruction(op):
            code = bytearray(routine.code)
            struct.pack_into("<H", code, at, new)
            found.append((f"{routine.line(at)}: {text}", bytes(code)))
    return found
