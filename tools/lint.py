"""Checks style (ruff) and spelling (codespell) of everything that git tracks or would track.

With --fix the style is mended, package.json brought up to date, and the constants that modules
share are written (layout.py).
"""

import subprocess
import sys

from tools import layout, package, venv
from tools.common import main, say


def _main():
    if not venv.inside():
        venv.reenter("tools.lint", *sys.argv[1:])
    fix = "--fix" in sys.argv
    failed = package.update(check=not fix) | layout.update(check=not fix)
    bin_folder = venv.VENV / "bin"
    commands = [
        ["ruff", "check", *(["--fix"] if fix else [])],
        ["ruff", "format", *([] if fix else ["--check", "--diff"])],
        ["codespell"],
    ]
    for name, *args in commands:
        argv = [str(bin_folder / name), *args]
        if name == "codespell":
            listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
            files = subprocess.run(listed, stdout=subprocess.PIPE, text=True, check=True).stdout
            argv += files.splitlines()
        if subprocess.run(argv).returncode:
            failed = 1
            say(f"{name} {' '.join(args)} found something")
    return failed


if __name__ == "__main__":
    main(_main)
