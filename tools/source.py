"""Finds MicroPython's source: the oldest version that smolmpy supports, or the one that you have.

In this order: the folder that MICROPYTHON_SRC names; an archive that lies in
../shared/micropython/; the source package of Debian or Ubuntu (tools/apt.py). An archive is
unpacked into build/micropython-src/.
"""

import os
import re
import shutil
import tarfile
from pathlib import Path

from tools.apt import Apt
from tools.common import BUILD, ROOT, Missing, locked, main, say

_OLDEST = (1, 25)
_SHARED = ROOT.parent / "shared" / "micropython"
_UNPACKED = BUILD / "micropython-src"
_HINT = "clone MicroPython and name the folder with MICROPYTHON_SRC=/path/to/micropython."


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
        return unpack(archives[-1] if archives else _fetch(newest=False))


def newest():
    """The same of the newest version that the packages of Debian or Ubuntu have."""
    with locked("source"):
        return unpack(_fetch(newest=True))


def version(folder):
    """The version of a source, such as "1.25.0"."""
    text = (folder / "py" / "mpconfig.h").read_text()
    parts = (
        re.search(rf"(?m)^#define MICROPY_VERSION_{part} +(\d+)", text)[1]
        for part in ("MAJOR", "MINOR", "MICRO")
    )
    return ".".join(parts)


def unpack(archive):
    """The folder into which an original archive has been unpacked."""
    folder = _UNPACKED / archive.name.split(".orig.")[0]
    if not folder.exists():
        say(f"unpacking {archive.name}")
        scratch = _UNPACKED / "unpacking"
        shutil.rmtree(scratch, ignore_errors=True)
        with tarfile.open(archive) as tar:
            if hasattr(tarfile, "tar_filter"):
                tar.extraction_filter = tarfile.tar_filter
            tar.extractall(scratch)
        (top,) = scratch.iterdir()
        top.rename(folder)
        scratch.rmdir()
    return folder


def _fetch(newest):
    try:
        archive = Apt(newest).source("micropython")
    except Missing as problem:
        raise Missing(f"MicroPython's source is missing ({problem}): {_HINT}") from None
    found = re.search(r"_(\d+)\.(\d+)", archive.name)
    if not found or tuple(int(part) for part in found.groups()) < _OLDEST:
        raise Missing(f"this system's package micropython is older than 1.25: {_HINT}")
    return archive


if __name__ == "__main__":
    main(lambda: print(find()))
