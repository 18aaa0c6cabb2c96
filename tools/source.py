"""Finds MicroPython's source: the oldest version that smolmpy supports, or the one that you have.

In this order: the folder that MICROPYTHON_SRC names; an archive that lies in
../shared/micropython/; the source package of Debian or Ubuntu, which is downloaded without
changing the system. An archive is unpacked into build/micropython-src/.
"""

import os
import re
import shlex
import shutil
import subprocess
import tarfile
from pathlib import Path

from tools.common import BUILD, ROOT, Missing, locked, main, run, say

_OLDEST = (1, 25)
_SHARED = ROOT.parent / "shared" / "micropython"
_UNPACKED = BUILD / "micropython-src"
_APT = BUILD / "apt"
_HINT = "clone MicroPython and name the folder with MICROPYTHON_SRC=/path/to/micropython."
# Where the release that runs here has too old a package, these have one.
_NEWER_SUITES = {"debian": ("trixie",), "ubuntu": ("questing", "resolute")}


def find():
    """Returns the folder of the source, after fetching and unpacking it where needed."""
    chosen = os.environ.get("MICROPYTHON_SRC")
    if chosen:
        folder = Path(chosen).expanduser().resolve()
        if not (folder / "py" / "mpconfig.h").exists():
            raise Missing(f"MICROPYTHON_SRC={chosen} is not MicroPython's source.")
        return folder
    archives = sorted(_SHARED.glob("*.orig.tar.xz"))
    with locked("source"):
        return _unpack(archives[-1] if archives else _download())


def _unpack(archive):
    folder = _UNPACKED / archive.name.removesuffix(".orig.tar.xz")
    if not (folder / "py" / "mpconfig.h").exists():
        say(f"unpacking {archive.name}")
        scratch = _UNPACKED / "unpacking"
        shutil.rmtree(scratch, ignore_errors=True)
        with tarfile.open(archive) as tar:
            if hasattr(tarfile, "tar_filter"):
                tar.extraction_filter = tarfile.tar_filter
            tar.extractall(scratch)
        (top,) = scratch.iterdir()
        shutil.rmtree(folder, ignore_errors=True)
        top.rename(folder)
        scratch.rmdir()
    return folder


def _download():
    ready = sorted(_APT.glob("*.orig.tar.xz"))
    if ready:
        return ready[-1]
    if not shutil.which("apt-get"):
        raise Missing(f"MicroPython's source is missing: {_HINT}")
    say("downloading the source package micropython")
    lists = _APT / "lists" / "partial"
    cache = _APT / "cache" / "archives" / "partial"
    lists.mkdir(parents=True, exist_ok=True)
    cache.mkdir(parents=True, exist_ok=True)
    sources = _APT / "sources.list"
    sources.write_text("".join(f"{line}\n" for line in _source_lines()))
    # Everything that apt writes goes below build/, so this works without root as well.
    options = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": _APT / "lists",
        "Dir::Cache": _APT / "cache",
        "APT::Sandbox::User": "",
    }
    apt = ["apt-get", "--quiet"]
    for name, value in options.items():
        apt += ["-o", f"{name}={value}"]
    # A suite that this mirror does not have makes `update` complain, and is not needed.
    subprocess.run([*apt, "update"], stdin=subprocess.DEVNULL, capture_output=True)
    run(*apt, "source", "--download-only", "micropython", cwd=_APT)
    ready = sorted(_APT.glob("*.orig.tar.xz"))
    version = re.search(r"_(\d+)\.(\d+)", ready[-1].name) if ready else None
    if not version or tuple(int(part) for part in version.groups()) < _OLDEST:
        for path in ready:
            path.unlink()
        raise Missing(f"this system's package micropython is older than 1.25: {_HINT}")
    return ready[-1]


def _source_lines():
    """deb-src lines for the mirror of this system: its own suite, and the newer ones."""
    release = dict(
        line.split("=", 1)
        for line in Path("/etc/os-release").read_text().splitlines()
        if "=" in line
    )
    system = shlex.split(release.get("ID", ""))[0]
    codename = "".join(shlex.split(release.get("VERSION_CODENAME", "")))
    mirror, signed = _mirror(codename)
    component = "universe" if system == "ubuntu" else "main"
    option = f"[signed-by={signed}] " if signed else ""
    for suite in dict.fromkeys((codename, *_NEWER_SUITES.get(system, ()))):
        if suite:
            yield f"deb-src {option}{mirror} {suite} {component}"


def _mirror(codename):
    """The address from which this system installs its own release, and the key for it."""
    etc = Path("/etc/apt")
    for path in sorted(etc.glob("sources.list.d/*.sources")):
        for block in re.split(r"\n\s*\n", path.read_text()):
            fields = dict(re.findall(r"(?m)^([\w-]+):[ \t]*(.*)$", block))
            if codename in fields.get("Suites", "").split() and fields.get("URIs"):
                return fields["URIs"].split()[0], fields.get("Signed-By", "").strip()
    for path in [etc / "sources.list", *sorted(etc.glob("sources.list.d/*.list"))]:
        if path.exists():
            pattern = rf"(?m)^deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+{codename}\s"
            found = re.search(pattern, path.read_text())
            if found:
                signed = re.search(r"signed-by=(\S+)", found[1] or "")
                return found[2], signed[1] if signed else ""
    raise Missing(f"this system's package sources name no mirror for {codename}: {_HINT}")


if __name__ == "__main__":
    main(lambda: print(find()))
