"""A board in QEMU: boots a firmware image and runs programs on it over its serial line.

    with Board("MPS2_AN385", image) as board:
        print(board.run("print(1 + 1)"))

QEMU is ended with the `with` block, whatever happens. `board.pty` is the emulated serial line;
what goes on there is in repl.py.
"""

import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from tools import launcher, romfs, unixport
from tools.common import ROOT, Missing
from tools.repl import Repl

# Board: QEMU's program, the Debian package that holds it, the machine with its further arguments.
_NRF51_MEMORY = [
    *("-global", f"nrf51-soc.flash-size={2 << 20}"),
    *("-global", f"nrf51-soc.sram-size={8 << 20}"),
]
MACHINES = {
    "MPS2_AN385": ("qemu-system-arm", "qemu-system-arm", ["mps2-an385"]),
    "MPS2_AN500": ("qemu-system-arm", "qemu-system-arm", ["mps2-an500"]),
    "NRF51": ("qemu-system-arm", "qemu-system-arm", ["microbit", *_NRF51_MEMORY]),
    "VIRT_RV32": ("qemu-system-riscv32", "qemu-system-misc", ["virt", "-bios", "none"]),
}
# Where the project's files may lie: behind the program and its heap, before the stack.
_FILES_AT = {
    "MPS2_AN385": 0x1A0000,
    "MPS2_AN500": 0x1A0000,
    "NRF51": 0x20200000,
    "VIRT_RV32": 0x80700000,
}
_ARCH = {
    "MPS2_AN385": "armv7m",
    "MPS2_AN500": "armv7em",
    "NRF51": "armv6m",
    "VIRT_RV32": "rv32imc",
}
_FILES_ROOM = 0x240000
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


class Board(Repl):
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
        super().__init__()
        self._process = None

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
        self.hang_up()
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

    def mount_files(self):
        """Shows the project's modules to the board in /host, as if they lay in its flash.

        Programs of `run` may then call `run(script, argv, paths)`, which runs a file as a program.
        """
        self.run(_MOUNT.format(at=self._files_at, size=len(self._files)))
