"""Finds machine code in which a local variable is destroyed by being an index.

    python3 -m tools.viper_faults

MicroPython 1.26 and 1.27 turn `p[i]` of a `ptr16` or `ptr32` into a shift of the register that
holds `i` and an access with it, on Thumb and on RV32 (pull request 17144; 18821 mends it in 1.28).
Where the register is that of a local, the local has twice or four times its value from then on.
An index that is computed, as in `p[i + 1]`, has a register of its own and is not concerned, so
smolmpy writes `p[i + 0]` there. Only the first two locals lie in registers.
"""

import struct
from pathlib import Path

from tools import compilers, native_code
from tools.common import ROOT, main, say

ARCHES = ("armv6m", "armv7m", "rv32imc")  # the emitter for armv7emsp is that for armv7m
# Registers that hold locals from beginning to end of a function.
_THUMB_LOCALS = (4, 5, 6)  # r4 to r6
_RV32_LOCALS = (18, 19, 20, 21)  # s2 to s5


def _thumb(code):
    """Yields (offset, register) of each `lsls r, r, #1 or #2` before an access indexed by r."""
    for at in range(0, len(code) - 3, 2):
        shift, access = struct.unpack_from("<HH", code, at)
        register = shift & 7
        scale = shift >> 6
        if register not in _THUMB_LOCALS or shift != scale << 6 | register << 3 | register:
            continue
        # str, strh, ldr, ldrh with a register as the offset (ARMv6-M, A6.7: encoding T1).
        if access >> 9 not in {1: (0x29, 0x2D), 2: (0x28, 0x2C)}.get(scale, ()):
            continue
        if access >> 6 & 7 != register:
            continue
        (after,) = struct.unpack_from("<H", code, at + 4) if at + 6 <= len(code) else (0,)
        # What overwrites it at once: mov register, r0, of `i = p[i]`; and pop {register}.
        if after in (0x4600 | register, 0xBC00 | 1 << register):
            continue
        yield at, register


def _rv32(code):
    """The same of `slli r, r, 1 or 2`, as long as in RV32I or compressed; the access adds r."""
    for at in range(0, len(code) - 5, 2):
        (half,) = struct.unpack_from("<H", code, at)
        (word,) = struct.unpack_from("<I", code, at)
        if half & 0xF003 == 0x0002:  # c.slli
            register, scale, length = half >> 7 & 31, half >> 2 & 31, 2
        elif word & 0xFE00707F == 0x00001013 and word >> 15 & 31 == word >> 7 & 31:  # slli
            register, scale, length = word >> 7 & 31, word >> 20 & 31, 4
        else:
            continue
        if register not in _RV32_LOCALS or scale not in (1, 2):
            continue
        (add,) = struct.unpack_from("<H", code, at + length)
        if add & 0xF003 != 0x9002 or add >> 2 & 31 != register:  # c.add base, register
            continue
        # What overwrites it at once: c.mv register, a0, of `i = p[i]`.
        load = at + length + 2
        (half,) = struct.unpack_from("<H", code, load) if load + 4 <= len(code) else (0,)
        after = load + (4 if half & 3 == 3 else 2)
        if after + 2 <= len(code):
            (move,) = struct.unpack_from("<H", code, after)
            if move == 0x8002 | register << 7 | 10 << 2:
                continue
        yield at, register


def in_code(code, arch):
    """(offset, register) of each place in a function's machine code."""
    return list(_rv32(code) if arch == "rv32imc" else _thumb(code))


def in_file(compiler, path, arch):
    """["file:line function(): register"] of each place that `compiler` makes of a source file."""
    return [
        f"{Path(path).name}:{node.lineno} {node.name}(): register {register} at {at:#x} of {arch}"
        for _, node, code in native_code.functions(compiler, path, arch)
        for at, register in in_code(code, arch)
    ]


def _main():
    count = 0
    for version in compilers.VERSIONS:
        compiler = compilers.provide(version)
        for path in sorted((ROOT / "smolmpy").rglob("*.py")):
            for arch in ARCHES:
                if arch != "rv32imc" or not path.stem.endswith("thumb"):
                    for line in in_file(compiler, path, arch):
                        say(f"{version}: {line}")
                        count += 1
    say(f"{count} places")
    return count != 0


if __name__ == "__main__":
    main(_main)
