"""Makes build/venv with the packages that tools/requirements.txt pins, once per change of it."""

import importlib.util
import os
import shutil
import sys

from tools import deps
from tools.common import BUILD, ROOT, Missing, locked, main, run, say

VENV = BUILD / "venv"
PYTHON = VENV / "bin" / "python"
_REQUIREMENTS = ROOT / "tools" / "requirements.txt"
_STAMP = VENV / "smolmpy-stamp"


def _key():
    # Scripts in an environment name its Python, so it can not be moved.
    return f"{VENV.resolve()}\n{_REQUIREMENTS.read_text()}"


def _current():
    # A link to a Python that has been removed does not exist.
    return PYTHON.exists() and _STAMP.exists() and _STAMP.read_text() == _key()


def _has_venv():
    return all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))


def ensure():
    """Returns the Python of build/venv, after making it if it is not there or out of date."""
    if sys.version_info < (3, 10):
        raise Missing(f"Python 3.10 or newer is needed; {sys.executable} is {sys.version}.")
    if inside():
        return PYTHON  # a program must not take away the Python that it runs on
    if _current():
        return PYTHON
    with locked("venv"):
        if not _current():
            _make()
    return PYTHON


def _make():
    if not _has_venv():
        deps.install(["python3-venv"], "Python's venv module")
        importlib.invalidate_caches()
        if not _has_venv():
            raise Missing(f"{sys.executable} has no venv module: take PYTHON=/usr/bin/python3.")
    say(f"making {VENV.relative_to(ROOT)} with the packages of tools/requirements.txt")
    shutil.rmtree(VENV, ignore_errors=True)
    run(sys.executable, "-m", "venv", VENV)
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, "--requirement", _REQUIREMENTS)
    _STAMP.write_text(_key())


def reenter(module, *args):
    """Replaces this process by `module` run with build/venv's Python."""
    python = ensure()
    os.execv(python, [str(python), "-m", module, *args])


def inside():
    """True where build/venv's Python is the one that runs."""
    return sys.prefix == str(VENV)


if __name__ == "__main__":
    main(lambda: print(ensure()))
