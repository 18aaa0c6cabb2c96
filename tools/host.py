"""A MicroPython program that runs as a host on a tap, started and ended from here."""

import subprocess
import sys
import tempfile

from tools import netns
from tools.common import ROOT
from tools.launcher import die_with_parent, stop

LINUX = "192.168.69.100/24"
ADDRESS = "192.168.69.1"
PORT = 6969
SERVER = ROOT / "examples" / "server.py"


def command(interpreter, script, tap, folders=(), edition=None):
    """The command line and the environment that run `script` on a tap.

    Where the interpreter has ffi it opens the tap by itself; otherwise the launcher does.
    `folders` are more places to import from.
    """
    env = interpreter.environment(*folders, edition=edition)
    argv = [str(interpreter.path), str(script)]
    if interpreter.ffi:
        env["SMOLMPY_DEVICE"] = f"tap:{tap}"
    else:
        argv = [sys.executable, "-m", "tools.launcher", tap, *argv]
    return argv, env


class Host:
    """A context: inside, `script` runs on a new tap whose Linux end has the address LINUX.

    `output` is what it has printed, complete once the context has been left.
    """

    def __init__(self, interpreter, script=SERVER, tap="tap0", **options):
        self.tap = tap
        self.argv, self.env = command(interpreter, script, tap, **options)
        self.output = ""

    def __enter__(self):
        netns.keep_tap(self.tap)
        netns.configure(self.tap, LINUX)
        self._log = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(
            self.argv,
            cwd=ROOT,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
        )
        return self

    def running(self):
        return self.process.poll() is None

    def __exit__(self, *_):
        self.ended_early = not self.running()
        stop(self.process)
        self._log.seek(0)
        self.output = self._log.read()
        self._log.close()
        netns.keep_tap(self.tap, False)
