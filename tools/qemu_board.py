"""A board in QEMU: boots a firmware image and runs programs on it over its serial line.

    with Board("MPS2_AN385", image) as board:
        print(board.run("print(1 + 1)"))

QEMU is ended with the `with` block, whatever happens. `board.pty` is the emulated serial line, for
mpremote and its like: `board.mpremote("run", "program.py")`.
"""

import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
import termios
import threading
import time
import tty
from pathlib import Path

from tools import launcher, romfs, unixport, venv
from tools.common import ROOT, Missing

# Board: QEMU's program, the Debian package that holds it, the machine with its further arguments.
_NRF51_MEMORY = [
    *("-global", f"nrf51-soc.flash-size={2 << 20}"),
    *("-global", f"nrf51-soc.sram-size={4 << 20}"),
]
MACHINES = {
    "MPS2_AN385": ("qemu-system-arm", "qemu-system-arm", ["mps2-an385"]),
    "MPS2_AN500": ("qemu-system-arm", "qemu-system-arm", ["mps2-an500"]),
    "NRF51": ("qemu-system-arm", "qemu-system-arm", ["microbit", *_NRF51_MEMORY]),
    "VIRT_RV32": ("qemu-system-riscv32", "qemu-system-misc", ["virt", "-bios", "none"]),
}
# Where the project's files may lie: behind the program and its heap, before the stack.
_FILES_AT = {
    "MPS2_AN385": 0x200000,
    "MPS2_AN500": 0x200000,
    "NRF51": 0x20200000,
    "VIRT_RV32": 0x80700000,
}
_ARCH = {
    "MPS2_AN385": "armv7m",
    "MPS2_AN500": "armv7em",
    "NRF51": "armv6m",
    "VIRT_RV32": "rv32imc",
}
_FILES_ROOM = 0x180000
_FILES = ("boards", "examples", "smolmpy", "tests/conformance", "tests/firmware", "tests/models")

_MOUNT = """
import sys
import vfs
from uctypes import bytearray_at
vfs.mount(vfs.VfsRom(bytearray_at({at}, {size})), "/host")
def run(script, argv, paths):
    sys.argv[:] = [script] + argv
    sys.path.extend(paths)
    file = open(script)
    code = compile(file.read(), script, "exec")
    file.close()
    try:
        exec(code, {{"__name__": "__main__", "__file__": script}})
    except SystemExit:
        pass
"""
NO_NETWORK = ("-nic", "none")


def tap(name):
    """QEMU's arguments that join the board's Ethernet MAC to an existing tap."""
    return ("-nic", f"tap,ifname={name},script=no,downscript=no")


def _files(board, kind):
    paths = [path for folder in _FILES for path in (ROOT / folder).rglob("*.py")]
    if kind == "mpy":
        with tempfile.TemporaryDirectory() as folder:
            files = dict(_compiled(path, _ARCH[board], folder) for path in paths)
    else:
        files = {str(path.relative_to(ROOT)): path.read_bytes() for path in paths}
    image = romfs.image(files)
    assert len(image) <= _FILES_ROOM, f"{len(image)} bytes of files"
    return image


def _compiled(path, arch, folder):
    """The path and the contents of a compiled module: nothing, if it is not for this processor."""
    out = Path(folder) / "module.mpy"
    argv = [unixport.build("mpy-cross"), "-O3", f"-march={arch}", "-o", out, "-s", path.name, path]
    done = subprocess.run(argv, capture_output=True)
    return str(path.relative_to(ROOT).with_suffix(".mpy")), b"" if done.returncode else (
        out.read_bytes()
    )


def _keep_awake(monitor):
    """Until QEMU has ended: empty lines for its monitor, which wake QEMU's main loop.

    A UART that could not take a character says so when it can, but QEMU's main loop sleeps until
    something wakes it, which on a quiet machine is nothing.
    """
    with monitor:
        try:
            while True:
                monitor.send(b"\n")
                if select.select([monitor], [], [], 0)[0] and not monitor.recv(65536):
                    return
                time.sleep(0.02)
        except OSError:
            return


class BoardError(Exception):
    """What a program on the board raised (its traceback), or that the board does not answer."""


class Board:
    """The board called `board`, with the firmware `image` (an ELF file).

    `nic`: QEMU's arguments for the network. `icount`: count instructions, one a nanosecond of the
    machine's time, so that its clocks give the same figures each time; else they go with the wall.
    `files`: the project's modules are in the board's memory, as "source" or compiled ("mpy"), and
    `mount_files` shows them there.
    """

    def __init__(self, board, image, nic=NO_NETWORK, icount=False, files=None):
        program, package, machine = MACHINES[board]
        if not shutil.which(program):
            raise Missing(f"{program} is missing: 'apt-get install {package}' brings it.")
        self._argv = [program, "-machine", *machine, *nic, "-kernel", str(image)]
        self._argv += ["-nographic", "-monitor", "null", "-semihosting", "-serial", "pty"]
        self._argv += ["-mon", "chardev=wake,mode=readline"]
        if icount:
            self._argv += ["-icount", "shift=0"]
        self._files = _files(board, files) if files else b""
        self._files_at = _FILES_AT[board]
        self._romfs = None
        self.pty = None
        self._process = None
        self._fd = None
        self._seen = b""

    def __enter__(self):
        ours, theirs = socket.socketpair()
        argv = [*self._argv, "-chardev", f"socket,id=wake,fd={theirs.fileno()}"]
        if self._files:
            # QEMU reads it some time after it has named the serial line.
            self._romfs = tempfile.NamedTemporaryFile()
            self._romfs.write(self._files)
            self._romfs.flush()
            where = f"file={self._romfs.name},addr={self._files_at}"
            argv += ["-device", f"loader,{where},force-raw=on"]
        self._process = subprocess.Popen(
            argv,
            cwd=ROOT,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=launcher.die_with_parent,
        )
        theirs.close()
        self._waker = threading.Thread(target=_keep_awake, args=(ours,), daemon=True)
        self._waker.start()
        try:
            self.pty = self._find_pty()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc):
        self.close()

    def _find_pty(self):
        said = b""
        end = time.monotonic() + 30
        out = self._process.stdout.fileno()
        while time.monotonic() < end:
            if not select.select([out], [], [], 1)[0]:
                continue
            piece = os.read(out, 4096)
            said += piece
            found = re.search(rb"(/dev/pts/\d+) ", said)
            if found:
                return found[1].decode()
            if not piece:
                break
        raise Missing(f"QEMU did not start: {said.decode(errors='replace').strip()}")

    def close(self):
        """Ends QEMU. What runs on the board is lost."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        if self._process is not None:
            launcher.stop(self._process)
            self._process.stdout.close()
            self._process = None
            self._waker.join()
        if self._romfs is not None:
            self._romfs.close()
            self._romfs = None

    def running(self):
        """Whether QEMU still runs."""
        return self._process is not None and self._process.poll() is None

    def mpremote(self, *argv, **kwargs):
        """Starts mpremote on the serial line, as a `subprocess.Popen` of the caller's."""
        if self._fd is not None:  # one reader at a time
            os.close(self._fd)
            self._fd = None
        python = venv.ensure()
        return subprocess.Popen(
            [python, "-m", "mpremote", "connect", self.pty, "resume", *argv], cwd=ROOT, **kwargs
        )

    def mount_files(self):
        """Shows the project's modules to the board in /host, as if they lay in its flash.

        Programs of `run` may then call `run(script, argv, paths)`, which runs a file as a program.
        """
        self.run(_MOUNT.format(at=self._files_at, size=len(self._files)))

    # The raw REPL (MicroPython's documentation, "The MicroPython Interactive Interpreter Mode").

    def _open(self):
        if self._fd is None:
            self._fd = os.open(self.pty, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            tty.setraw(self._fd, termios.TCSANOW)
            self._seen = b""

    def _write(self, data, timeout=10):
        while data:
            if not select.select([], [self._fd], [], timeout)[1]:
                raise BoardError("the board's serial line takes nothing")
            data = data[os.write(self._fd, data) :]

    def _read_some(self, end):
        left = end - time.monotonic()
        if left <= 0 or not select.select([self._fd], [], [], left)[0]:
            return False
        try:
            piece = os.read(self._fd, 65536)
        except OSError:
            piece = b""
        if not piece:
            raise BoardError("the board is gone: " + self._seen.decode(errors="replace"))
        self._seen += piece
        return True

    def _read(self, size, timeout=10):
        end = time.monotonic() + timeout
        while len(self._seen) < size:
            if not self._read_some(end):
                raise BoardError(f"the board does not answer, but for {self._seen!r}")
        piece, self._seen = self._seen[:size], self._seen[size:]
        return piece

    def _read_until(self, mark, timeout, show=None, stop=None):
        """What comes before `mark`, which is left out; None if `stop` comes instead."""
        end = time.monotonic() + timeout
        shown = 0
        while True:
            at = self._seen.find(mark)
            if at < 0 and stop and stop in self._seen:
                return None
            have = len(self._seen) if at < 0 else at
            if show and have > shown:
                show(self._seen[shown:have].decode(errors="replace"))
                shown = have
            if at >= 0:
                piece, self._seen = self._seen[:at], self._seen[at + len(mark) :]
                return piece
            if not self._read_some(end):
                said = self._seen.decode(errors="replace")
                raise BoardError(f"the board is not done after {timeout} s: {said[-2000:]}")

    def run(self, program, timeout=60, show=None):
        """Runs Python source on the board and returns what it printed, as text.

        `show` is called with each piece of output as it comes. What earlier programs defined is
        still there. Raises BoardError with the traceback if the program ends with an exception.
        """
        self.start(program)
        return self.finish(timeout, show)

    def start(self, program):
        """Starts Python source on the board; `finish` takes what it says."""
        self._open()
        self._write(b"\r\x03\x01")
        self._read_until(b"raw REPL; CTRL-B to exit\r\n>", 10)
        self._write(b"\x05A\x01")
        if self._read(2) != b"R\x01":
            raise BoardError("the firmware has no raw-paste mode")
        window = int.from_bytes(self._read(2), "little")
        data = program.encode()
        room = window
        at = 0
        while at < len(data):
            while room == 0 or self._seen:
                sign = self._read(1)
                if sign == b"\x04":  # the compiler has given up
                    self._write(b"\x04")
                    self._read_until(b"\x04", 10)
                    raise BoardError(self._read_until(b"\x04>", 10).decode(errors="replace"))
                room += window
            piece = data[at : at + room]
            self._write(piece)
            at += len(piece)
            room -= len(piece)
        self._write(b"\x04")
        self._read_until(b"\x04", 30)

    def wait_for(self, text, timeout=60):
        """Waits until the program that runs has printed `text`; returns what came before it.

        Raises BoardError if it ends instead.
        """
        output = self._read_until(text.encode(), timeout, stop=b"\x04")
        if output is None:
            self.finish(10)
            raise BoardError(f"the program ended before it said {text!r}")
        return output.decode(errors="replace").replace("\r\n", "\n")

    def finish(self, timeout=60, show=None):
        """Waits for the end of the program that `start` began; returns what it printed."""
        output = self._read_until(b"\x04", timeout, show).decode(errors="replace")
        error = self._read_until(b"\x04>", 10).decode(errors="replace")
        output = output.replace("\r\n", "\n")
        if error:
            raise BoardError((output + error).replace("\r\n", "\n").strip())
        return output
