"""Builds MicroPython's unix port from source, as the tests need it, once per source and options.

unix-ffi  64 bits, with the module ffi: it opens a tap by itself
unix32    32 bits: small ints and viper words as on a board
mpy-cross the compiler of the same version
mpy-cross-newest the compiler of the newest version that there is a source package of
"""

import platform
import shutil
import sys

from tools import source
from tools.common import BUILD, Missing, locked, main, run, say

_COMMON = ["MICROPY_PY_SSL=0", "MICROPY_PY_BTREE=0", "FROZEN_MANIFEST="]
_OPTIONS = {
    "unix-ffi": [],
    "unix32": ["MICROPY_FORCE_32BIT=1", "MICROPY_PY_FFI=0"],
}
NAMES = ("mpy-cross", *_OPTIONS)


def path(name):
    """Where the program is, or will be."""
    return BUILD / name / ("mpy-cross" if _is_compiler(name) else "micropython")


def _is_compiler(name):
    return name.startswith("mpy-cross")


def built(name):
    return path(name).exists()


def build(name):
    """Builds a program if that has not been done; returns its path, or raises Missing."""
    with locked(name):
        return _build(name)


def _build(name):
    folder = source.newest() if name == "mpy-cross-newest" else source.find()
    options = [] if _is_compiler(name) else _COMMON + _OPTIONS[name]
    key = f"{folder}\n{' '.join(options)}\n"
    stamp = BUILD / name / "smolmpy-stamp"
    if built(name) and stamp.exists() and stamp.read_text() == key:
        return path(name)
    for program in ("make", "gcc"):
        if not shutil.which(program):
            raise Missing(f"{program} is missing, so {name} can not be built.")
    if name == "unix32" and platform.machine() != "x86_64":
        raise Missing("the 32-bit unix port is built on x86-64 only.")
    if not _is_compiler(name):
        options = [*options, f"MICROPY_MPYCROSS={build('mpy-cross')}"]
    say(f"building {name} from {folder.name}")
    shutil.rmtree(BUILD / name, ignore_errors=True)
    port = folder / ("mpy-cross" if _is_compiler(name) else "ports/unix")
    run("make", "-j2", "-C", port, f"BUILD={BUILD / name}", *options)
    stamp.write_text(key)
    return path(name)


def ensure(strict=False):
    """Builds all of NAMES; what can not be built is an error if strict, and otherwise said."""
    for name in NAMES:
        try:
            build(name)
        except Missing as problem:
            if strict:
                raise
            say(f"{problem} The tests that use {name} will be skipped.")


def _main():
    for name in sys.argv[1:] or NAMES:
        print(build(name))


if __name__ == "__main__":
    main(_main)
