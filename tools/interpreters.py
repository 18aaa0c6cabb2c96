"""MicroPython interpreters: which there are, and what each is capable of."""

import os
import subprocess
from pathlib import Path

from tools import bytecode, venv
from tools.common import ROOT, Missing

_PROBE = """
import sys
def works(text):
    try:
        exec(text, {})
        return 1
    except Exception:
        return 0
print(".".join(str(part) for part in sys.implementation.version[:3]))
print(works("import ffi"))
print(works("@micropython.viper\\ndef f() -> int:\\n return 1\\nf()"))
print(64 if sys.maxsize > 1 << 32 else 32)
"""


class Interpreter:
    """A unix port at `path`: `version` as text, `bits`, and whether it has `ffi` and `viper`."""

    def __init__(self, path):
        self.path = Path(path)
        if not os.access(self.path, os.X_OK):
            raise Missing(f"there is no MicroPython interpreter at {path}.")
        done = subprocess.run([path, "-c", _PROBE], capture_output=True, text=True, timeout=30)
        try:
            self.version, ffi, viper, bits = done.stdout.split()
        except ValueError:
            raise Missing(f"{path} does not work as a MicroPython interpreter.") from None
        self.ffi = ffi == "1"
        self.viper = viper == "1"
        self.bits = int(bits)

    def __str__(self):
        return f"MicroPython {self.version}, {self.bits} bits"

    def edition(self):
        """The folder that holds the edition of smolmpy for this interpreter."""
        return ROOT if self.viper else bytecode.ensure()

    def environment(self, *folders, edition=None):
        """The process environment in which `import smolmpy` finds the edition, then `folders`."""
        paths = [edition or self.edition(), ROOT / "boards" / "unix", *folders, ".frozen"]
        return dict(os.environ, MICROPYPATH=":".join(str(path) for path in paths))


def default(make=False):
    """The interpreter that MICROPYTHON names, or build/venv's; `make`: made if need be."""
    chosen = os.environ.get("MICROPYTHON")
    if chosen:
        return Interpreter(chosen)
    if make:
        venv.ensure()
    path = venv.VENV / "bin" / "micropython"
    if not venv.PYTHON.exists():
        raise Missing("build/venv is missing: 'make run' and 'make test' make it.")
    if not path.exists():
        raise Missing(
            "there is no packaged MicroPython for this kind of processor: name one with "
            "MICROPYTHON=/path/to/micropython."
        )
    return Interpreter(path)
