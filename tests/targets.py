"""The interpreters that the tests run on: what each is, and how to run a script there.

name      interpreter                                    edition of smolmpy
cpython   the Python that runs pytest                    the source, with tests/cpython
unix64    build/venv's MicroPython, or MICROPYTHON=...   viper, 64 bits, the newest version
unix32    built from source                              viper, 32 bits, the oldest version
bytecode  the same interpreter as unix64                 build/bytecode
unix-ffi  built from source                              viper; for tests that need `ffi`
cortex-m0, cortex-m3, cortex-m7, rv32: firmware in QEMU, native code, frozen (board_target.py),
of the oldest version; cortex-m3-newest: of the newest
thumb-m0, thumb-m3: as cpython, but inline assembly for Thumb is run by Unicorn (tests/thumb)
"""

import functools
import importlib.util
import os
import subprocess
import sys

from board_target import BoardTarget
from tools import bytecode, interpreters, source, thumb, unixport
from tools.common import ROOT, Missing

CONFORMANCE = ("cpython", "unix64", "unix32", "bytecode")
# Where the scenarios of tests/conformance run as well.
BOARDS = ("cortex-m0", "cortex-m3", "cortex-m7", "rv32", "cortex-m3-newest")
# Only for what concerns the assembly (test_thumb.py).
THUMB = {"thumb-m0": "cortex-m0", "thumb-m3": "cortex-m3"}
ALL = (*CONFORMANCE, "unix-ffi", *BOARDS, *THUMB)


class Target:
    """A place where a script of this project runs. Made only where its interpreter exists."""

    def __init__(self, name):
        self.name = name
        self.interpreter = None
        self.edition = ROOT
        if name == "cpython":
            return
        if name in THUMB:
            if not importlib.util.find_spec("unicorn"):
                raise Missing("the package unicorn is missing: PyPI has none for this machine.")
            if not thumb.compiler().exists():
                raise Missing("mpy-cross is missing: 'make test' brings it.")
            source.find()  # its tools read what mpy-cross has written
            return
        if name in ("unix64", "bytecode"):
            self.interpreter = interpreters.default()
        elif unixport.built(name):
            self.interpreter = interpreters.Interpreter(unixport.path(name))
        else:
            raise Missing(f"{name} is not built: 'make test' does it where gcc is installed.")
        if name == "bytecode":
            self.edition = bytecode.ensure()
        elif not self.interpreter.viper:
            raise Missing(f"{self.interpreter.path} has no viper.")

    def __str__(self):
        if not self.interpreter:
            what = ", assembly in Unicorn" if self.name in THUMB else ""
            return f"{self.name} (Python {sys.version.split()[0]}{what})"
        edition = "viper" if self.edition == ROOT else "bytecode"
        return f"{self.name} ({self.interpreter}, {edition})"

    def environment(self, *folders):
        """The environment in which smolmpy and then the modules in `folders` are found."""
        if self.interpreter:
            return self.interpreter.environment(*folders, edition=self.edition)
        paths = [ROOT, ROOT / "tests" / "cpython", *folders]
        found = {}
        if self.name in THUMB:
            paths.insert(1, ROOT / "tests" / "thumb")
            found["SMOLMPY_CORE"] = THUMB[self.name]
        # As on MicroPython, what is printed is seen at once.
        found |= {"PYTHONPATH": ":".join(str(path) for path in paths), "PYTHONUNBUFFERED": "1"}
        return {**os.environ, **found}

    def run(self, script, *args, timeout=120, folders=(), check=True, variables=None):
        """Runs a script in the project's folder and returns what it printed.

        `folders` are more places to import from, `variables` more of the environment. With
        `check` a status other than 0 raises AssertionError with the output; TimeoutError is
        raised when `timeout` seconds are over.
        """
        program = self.interpreter.path if self.interpreter else sys.executable
        argv = [str(part) for part in (program, script, *args)]
        try:
            done = subprocess.run(
                argv,
                cwd=ROOT,
                env={**self.environment(*folders), **(variables or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as late:
            output = (late.stdout or b"").decode(errors="replace")
            raise TimeoutError(f"{self}: {script} ran over {timeout} s\n{output}") from None
        if check:
            assert done.returncode == 0, f"{self}: status {done.returncode}\n{done.stdout}"
        return done.stdout


@functools.cache
def get(name):
    """The target of that name, or raises Missing with how to get it."""
    return BoardTarget(name) if name in BOARDS else Target(name)
