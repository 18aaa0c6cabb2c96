"""Tries routines in inline assembly on this machine, in seconds (tests/thumb).

    python3 -m tools.thumb_try [--changes N] [--seed N] [--core NAME] [NAME]

NAME is a routine, as in `predict`, or a module, as in `header_thumb`; without it, all are tried.
What mpy-cross makes of them runs in Unicorn beside the portable edition. Said is how many of their
instructions have been run and of their branches taken both ways. With --changes, N instructions
are changed, one at a time, as people do by mistake, and those changes listed that no test notices.
Some of them mean the same as the source, or are only slower; the others want a test.
"""

import argparse
import os
import subprocess
import sys

from tools import thumb, venv
from tools.common import ROOT, main


def environment(core):
    """The environment in which CPython runs smolmpy with inline assembly on a core."""
    folders = [ROOT, *(ROOT / "tests" / name for name in ("thumb", "cpython", "conformance"))]
    path = os.pathsep.join(str(folder) for folder in folders)
    return {**os.environ, "PYTHONPATH": path, "SMOLMPY_CORE": core}


def _main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", default="", help="a routine or a module")
    parser.add_argument("--changes", type=int, default=0, help="how many to try")
    parser.add_argument("--seed", type=int, default=0, help="which of them")
    parser.add_argument("--core", choices=thumb.ARCHES, default="cortex-m0")
    options = parser.parse_args()
    if not venv.inside():
        venv.reenter("tools.thumb_try", *sys.argv[1:])
    script = ROOT / "tests" / "thumb" / "try_routine.py"
    argv = [sys.executable, script, options.name, str(options.changes), str(options.seed)]
    return subprocess.run(argv, env=environment(options.core)).returncode


if __name__ == "__main__":
    main(_main)
