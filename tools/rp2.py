"""Builds MicroPython's rp2 port from source packages of Debian or Ubuntu.

    python3 -m tools.rp2 [BOARD]

leaves firmware.uf2, firmware.bin and firmware.elf in build/firmware/BOARD-VERSION[-bare]/: with
smolmpy frozen in and without, of MicroPython's oldest version that smolmpy supports and of the
newest that there is a package of. MicroPython's source stays as it is: a copy is built that has
what the packages keep elsewhere.
"""

import os
import shutil
import sys

from tools import deps, source, unixport
from tools.apt import Apt
from tools.common import BUILD, ROOT, Missing, locked, main, run, say

BOARDS = ("RPI_PICO",)
VERSIONS = ("oldest", "newest")
# What is frozen in, besides MicroPython's own modules.
KINDS = {
    "frozen": 'include("{root}/boards/chip_on_spi/manifest.py", drivers={drivers})',
    "bare": "",
}
_DRIVERS = ("w5500", "w5100s", "enc28j60")
_PROGRAMS = {
    "cmake": "cmake",
    "ninja": "ninja-build",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi",
    "g++": "g++",
}
_PACKAGES = [*_PROGRAMS.values(), "libnewlib-arm-none-eabi"]
# Of C++ the SDK uses little more than C: with these, libstdc++ is not needed.
_CXX = {f"c{name}": f"#include <{name}.h>\n" for name in ("assert", "stddef", "stdint", "string")}
_CXX["cstdlib"] = """#include <stdlib.h>
namespace std { using ::calloc; using ::free; using ::malloc; using ::size_t; }
"""
# RPI_PICO's own manifest without the drivers that lie in micropython-lib, which is not packaged.
_MANIFEST = """freeze("$(PORT_DIR)/modules")
include("$(MPY_DIR)/extmod/asyncio")
"""
# In a list of mpy-tool.py: whose code is put on word boundaries, as it is and as it should be.
_UNALIGNED = "MP_NATIVE_ARCH_ARMV6,"
_ALIGNED = "MP_NATIVE_ARCH_ARMV6, MP_NATIVE_ARCH_ARMV6M,"


def folder(board, version, kind):
    """Where an image is, or will be."""
    return BUILD / "firmware" / f"{board}-{version}{'-bare' if kind == 'bare' else ''}"


def build(version="oldest", kind="frozen", board="RPI_PICO"):
    """Builds an image, or what of it is out of date; returns the path of firmware.bin."""
    for program, package in _PROGRAMS.items():
        if not shutil.which(program):
            raise Missing(f"{program} is missing: 'apt-get install {package}' brings it.")
    target = folder(board, version, kind)
    with locked(f"rp2-{version}"):
        top, sdk = tree(version)
        mpy_tool = (top / "tools" / "mpy-tool.py").read_text()
        if kind == "frozen" and f" {_UNALIGNED}\n" in mpy_tool:
            raise Missing(
                f"{top}/tools/mpy-tool.py freezes code for the Cortex-M0+ off word boundaries: "
                f"mend it with sed -i 's/{_UNALIGNED}$/{_ALIGNED}/' (boards/*/README.md)."
            )
        shims, libraries = _cxx()
        manifest = target / "manifest.py"
        frozen = KINDS[kind].format(root=ROOT, drivers=_DRIVERS)
        options = [
            f"-DMICROPY_BOARD={board}",
            f"-DMICROPY_BOARD_DIR={top}/ports/rp2/boards/{board}",
            f"-DPICO_SDK_PATH_OVERRIDE={sdk}",
            f"-DMICROPY_LIB_DIR={top}/lib/micropython-lib",
            f"-DMICROPY_FROZEN_MANIFEST={manifest}",
            # A program that makes a .uf2 of the result, which MicroPython can do by itself.
            "-Dpicotool_FOUND=0",
            # Debian's SDK has another default.
            "-DPICO_CLIB=newlib",
            # For C++ the SDK takes the processor from the compiler's specs, which Debian's lack:
            # what is linked then is for ARM.
            f"-DCMAKE_CXX_FLAGS=-mcpu=cortex-m0plus -mthumb -I{shims}",
            f"-DCMAKE_EXE_LINKER_FLAGS=-L{libraries}",
        ]
        stamp = target / "smolmpy-stamp"
        key = "\n".join([str(top), frozen, *options, ""])
        # Else the version would be that of this project's repository.
        env = dict(os.environ, MICROPY_MPYCROSS=str(mpy_cross(version)))
        env["MICROPY_GIT_TAG"] = f"v{source.version(top)}"
        if not stamp.exists() or stamp.read_text() != key:
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            manifest.write_text(_MANIFEST + frozen + "\n")
            say(f"building {target.relative_to(ROOT)} from {top.name}")
            cmake = ["cmake", "-G", "Ninja", "-S", top / "ports" / "rp2", "-B", target]
            run(*cmake, *options, env=env)
            stamp.write_text(key)
        _mind_removals(target, frozen)
        run("ninja", "-C", target, "-j2", env=env)
        image = target / "firmware.bin"
        uf2 = target / "firmware.uf2"
        if not uf2.exists() or uf2.stat().st_mtime < image.stat().st_mtime:
            convert = [sys.executable, top / "tools" / "uf2conv.py", "--convert"]
            run(*convert, "--base", "0x10000000", "--family", "RP2040", "--output", uf2, image)
    return image


def provide():
    """Installs what building needs, where that is possible."""
    if not all(shutil.which(program) for program in _PROGRAMS):
        deps.install(_PACKAGES, "what builds firmware for the RP2040")


def number(version):
    """Which version of MicroPython that is, such as "1.25.0"."""
    return source.version(source.find() if version == "oldest" else source.newest())


def mpy_cross(version):
    """The compiler of the same version of MicroPython."""
    return unixport.build("mpy-cross" if version == "oldest" else "mpy-cross-newest")


def tree(version):
    """MicroPython's source with its libraries in their places, and the SDK: two folders."""
    found = source.find() if version == "oldest" else source.newest()
    if (found / "lib" / "pico-sdk" / "pico_sdk_init.cmake").exists():  # a clone
        return found, found / "lib" / "pico-sdk"
    top = BUILD / "rp2" / f"micropython-{source.version(found)}"
    sdk = top / "lib" / "pico-sdk" / "usr" / "src"
    if not top.exists():
        scratch = BUILD / "rp2" / "new"
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(found, scratch, symlinks=True)
        apt = Apt(newest=version == "newest")
        for package in ("pico-sdk-source", "tinyusb-source"):
            run("dpkg-deb", "-x", apt.binary(package), scratch / "lib" / "pico-sdk")
        _replace(scratch / "lib" / "tinyusb", sdk / "tinyusb")
        _replace(scratch / "lib" / "mbedtls", source.unpack(apt.source("mbedtls")))
        lib = scratch / "lib" / "micropython-lib"
        lib.mkdir(exist_ok=True)
        (lib / "README.md").touch()  # all that the build wants of it
        _mend(scratch)
        scratch.rename(top)
    return top, sdk / "pico-sdk"


def _replace(place, target):
    if place.is_dir() and not place.is_symlink():
        place.rmdir()
    place.symlink_to(target)


def _mend(top):
    """What of MicroPython does not fit to the packaged SDK, or is wrong."""
    # Version 2.2 of the SDK has this apart; MicroPython's search for names needs it as well.
    path = top / "ports" / "rp2" / "CMakeLists.txt"
    text = path.read_text()
    common = "pico_platform_common"
    sdk = top / "lib" / "pico-sdk" / "usr" / "src" / "pico-sdk"
    if common not in text and list(sdk.glob(f"src/*/{common}")):
        line = "    pico_platform_compiler\n"
        path.write_text(text.replace(line, f"    {common}\n{line}"))
    # Frozen machine code of ARMv6-M on word boundaries (tools/freeze.py says why).
    path = top / "tools" / "mpy-tool.py"
    text = path.read_text()
    path.write_text(text.replace(f" {_UNALIGNED}\n", f" {_ALIGNED}\n"))


def _cxx():
    """Headers of C++, and an empty library instead of libstdc++."""
    shims = BUILD / "rp2" / "cxx"
    libraries = BUILD / "rp2" / "lib"
    if not libraries.exists():
        shims.mkdir(parents=True, exist_ok=True)
        for name, text in _CXX.items():
            (shims / name).write_text(text)
        scratch = BUILD / "rp2" / "lib.new"
        scratch.mkdir(parents=True, exist_ok=True)
        run("arm-none-eabi-ar", "rcs", scratch / "libstdc++.a")
        scratch.rename(libraries)
    return shims, libraries


def _mind_removals(target, frozen):
    """The build sees that a frozen file has changed, but not that there are more or fewer."""
    names = sorted(str(path) for path in (ROOT / "smolmpy").rglob("*.py")) if frozen else []
    text = "\n".join(names)
    stamp = target / "frozen-stamp"
    if not stamp.exists() or stamp.read_text() != text:
        shutil.rmtree(target / "frozen_mpy", ignore_errors=True)
        (target / "frozen_content.c").unlink(missing_ok=True)
        stamp.write_text(text)


def make(board):
    """Builds and shows all images of a board."""
    provide()
    for version in VERSIONS:
        for kind in KINDS:
            image = build(version, kind, board)
            print(run("arm-none-eabi-size", image.with_suffix(".elf")), end="")
            say(str(image.with_suffix(".uf2").relative_to(ROOT)))


if __name__ == "__main__":
    main(lambda: make(sys.argv[1] if len(sys.argv) > 1 else BOARDS[0]))
