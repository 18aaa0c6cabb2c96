"""Builds MicroPython's firmware for an emulated board with smolmpy frozen in.

    python3 -m tools.firmware BOARD

leaves build/firmware/BOARD/firmware.elf. The board is one of MicroPython's ports/qemu, or its
mpconfigboard.mk lies in tests/firmware/BOARD/; those of ports/rp2 are built by tools/rp2.py.
MicroPython's source (tools/source.py) stays as it is.
"""

import shutil
import sys

from tools import deps, rp2, source, unixport
from tools.common import BUILD, ROOT, Missing, locked, main, run, say
from tools.qemu_board import MACHINES

# What an image is for: its heap, and the manifest of what is frozen in. 192 KiB are what an RP2040
# offers; the conformance suite, its models of chips and its lists of frames want more.
_KINDS = {
    "board": (192 * 1024, "boards/{}/manifest.py"),
    "bare": (192 * 1024, None),
    "compiling": (256 * 1024, None),
    "roomy": (1024 * 1024, None),
    "tests": (1024 * 1024, "tests/firmware/manifest.py"),
    "unaligned": (192 * 1024, "tests/firmware/manifest.py"),
    "bench": (192 * 1024, "tools/bench/manifest.py"),
    "steady": (192 * 1024, "tools/bench/manifest.py"),
}
_OPTIONS = {
    # As it is, names share the 128 places of the cache for look-ups by chance: a name more or less
    # anywhere changes what an operation takes by a few per cent.
    "steady": ["CFLAGS_EXTRA=-DMICROPY_OPT_MAP_LOOKUP_CACHE_SIZE=4096"],
}
# Of each board: the compiler, the Debian packages with it, the assembly that it can not run.
_CORTEX_M = ("arm-none-eabi-gcc", ["gcc-arm-none-eabi", "libnewlib-arm-none-eabi"], "rv32")
_RV32 = ("gcc-riscv64-unknown-elf", "picolibc-riscv64-unknown-elf")
_TOOLCHAINS = {
    "MPS2_AN385": _CORTEX_M,
    "MPS2_AN500": _CORTEX_M,
    "NRF51": _CORTEX_M,
    "VIRT_RV32": ("riscv64-unknown-elf-gcc", [*_RV32], "thumb"),
}
BOARDS = tuple(_TOOLCHAINS)


def folder(board, kind="board", newest=False):
    """Where an image is, or will be."""
    name = board if kind == "board" else f"{board}-{kind}"
    return BUILD / "firmware" / (f"{name}-newest" if newest else name)


def build(board, kind="board", newest=False):
    """Builds an image, or what of it is out of date; returns its path, or raises Missing.

    `kind`: "board", with what boards/BOARD/manifest.py names; "bare", plain MicroPython;
    "compiling", the same with the heap that sources want; "tests",
    with all of smolmpy; "unaligned", the same as mpy-tool.py by itself puts it (tools/freeze.py);
    "bench", with the benchmark; "steady", the same for counts that are to be compared. `newest`:
    of the newest MicroPython that there is a source package of, instead of the oldest that smolmpy
    supports.
    """
    compiler, packages, skip = _TOOLCHAINS[board]
    if not shutil.which(compiler):
        raise Missing(f"{compiler} is missing: 'apt-get install {' '.join(packages)}' brings it.")
    config = ROOT / "tests" / "firmware" / board
    target = folder(board, kind, newest)
    heap, manifest = _KINDS[kind]
    include = ""
    if manifest:
        manifest = ROOT / manifest.format(board)
        if not manifest.exists():
            raise Missing(f"there is no {manifest.relative_to(ROOT)}.")
        include = f"\"include('{manifest}', skip='{skip}')\""
    image = target / "firmware.elf"
    top = source.newest() if newest else source.find()
    mpy_cross = "mpy-cross-newest" if newest else "mpy-cross"
    options = [
        f"BOARD={board}",
        f"BUILD={target}",
        f"MICROPY_HEAP_SIZE={heap}",
        f"MICROPY_MPYCROSS={unixport.build(mpy_cross)}",
        "MICROPY_MPYCROSS_DEPENDENCY=",
        f"FROZEN_MANIFEST={include}",
        *_OPTIONS.get(kind, ()),
    ]
    if not (top / "lib" / "micropython-lib" / "README.md").exists():
        # Archives lack this submodule: the build insists on its README, and needs nothing of it.
        nothing = BUILD / "firmware" / "micropython-lib"
        nothing.mkdir(parents=True, exist_ok=True)
        (nothing / "README.md").touch()
        options.append(f"MPY_LIB_DIR={nothing}")
    if board == "NRF51" and kind != "unaligned":
        freeze = ROOT / "tools" / "freeze.py"
        makemanifest = top / "tools" / "makemanifest.py"
        options.append(f"MAKE_MANIFEST={sys.executable} {freeze} {makemanifest}")
    if board == "VIRT_RV32":
        # Debian's libraries for rv32imac are found by that name only; their CSR instructions are
        # part of it in this version of the instruction set.
        options.append("RV32_ARCH=rv32imac -misa-spec=2.2")
        # With sections for data, Debian's assembler puts frozen native code at odd addresses.
        options.append("CFLAGS_EXTRA=-fno-data-sections")
    if config.exists():
        options.append(f"BOARD_DIR={config}")
    stamp = target / "smolmpy-stamp"
    key = "\n".join([str(top), *options, ""])
    with locked("firmware"):
        if not stamp.exists() or stamp.read_text() != key:
            shutil.rmtree(target, ignore_errors=True)
        if manifest:
            _mind_removals(manifest, target)
        if not image.exists():
            say(f"building {target.relative_to(ROOT)}/firmware.elf from {top.name}")
        run("make", "-j2", "-C", top / "ports" / "qemu", *options)
        stamp.write_text(key)
    return image


def provide(board):
    """Installs what building and running the board's firmware needs, where that is possible."""
    if board not in _TOOLCHAINS:
        raise Missing(
            f"BOARD={board} is not known: there are {', '.join((*BOARDS, *rp2.BOARDS))}."
        )
    compiler, packages, _ = _TOOLCHAINS[board]
    emulator, package, _ = MACHINES[board]
    for program, names in ((compiler, packages), (emulator, [package])):
        if not shutil.which(program):
            deps.install(names, program)


def _mind_removals(manifest, target):
    """MicroPython's build sees that a frozen file has changed, but not that there are fewer."""
    names = sorted(str(path) for path in (ROOT / "smolmpy").rglob("*.py"))
    text = "\n".join([manifest.read_text(), *names])
    stamp = target / "frozen-stamp"
    if not stamp.exists() or stamp.read_text() != text:
        shutil.rmtree(target / "frozen_mpy", ignore_errors=True)
        (target / "frozen_content.c").unlink(missing_ok=True)
        target.mkdir(parents=True, exist_ok=True)
        stamp.write_text(text)


def _main():
    if len(sys.argv) != 2:
        raise Missing(f"which board? BOARD={BOARDS[0]}, for example.")
    if sys.argv[1] in rp2.BOARDS:
        return rp2.make(sys.argv[1])
    provide(sys.argv[1])
    image = build(sys.argv[1])
    print(run(_TOOLCHAINS[sys.argv[1]][0].replace("gcc", "size"), image), end="")
    say(str(image.relative_to(ROOT)))


if __name__ == "__main__":
    main(_main)
