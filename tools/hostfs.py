"""For an emulated ARM board: the host's files, read-only, at /host, by semihosting.

Runs on the board. After `mount("/a/folder/")` imports and `open` find in /host what is in that
folder, as if it lay in the board's flash. (Arm's "Semihosting for AArch32 and AArch64": operations
SYS_OPEN, SYS_CLOSE, SYS_READ; QEMU carries them out with `-semihosting`.)
"""

import io
import sys
from array import array

import micropython
import vfs
from micropython import const
from uctypes import addressof

_SYS_OPEN = const(1)
_SYS_CLOSE = const(2)
_SYS_READ = const(6)
_READ_BINARY = const(1)
_STREAM_CLOSE = const(4)
_DIRECTORY = const(0x4000)
_FILE = const(0x8000)


@micropython.asm_thumb
def _call(r0, r1):
    data(2, 0xBEAB)  # noqa: F821  (BKPT 0xAB)


def _open(path):
    name = path.encode() + b"\0"
    handle = _call(_SYS_OPEN, array("I", (addressof(name), _READ_BINARY, len(name) - 1)))
    if handle < 0:
        raise OSError(2)
    return handle


class _File(io.IOBase):
    def __init__(self, path):
        self._block = array("I", (_open(path), 0, 0))

    def readinto(self, buf):
        block = self._block
        block[1] = addressof(buf)
        block[2] = len(buf)
        return len(buf) - _call(_SYS_READ, block)

    def read(self, size=-1):
        pieces = []
        while size:
            piece = bytearray(512 if size < 0 else min(size, 512))
            n = self.readinto(piece)
            if not n:
                break
            pieces.append(bytes(piece[:n]))
            size -= n if size > 0 else 0
        return b"".join(pieces)

    def close(self):
        _call(_SYS_CLOSE, self._block)

    def ioctl(self, request, argument):
        if request != _STREAM_CLOSE:
            return -1
        self.close()
        return 0


class HostFS:
    """A file system for `vfs.mount`; what ends in .py or .mpy is a file, all else a folder."""

    def __init__(self, top):
        self._top = top

    def mount(self, readonly, mkfs):
        pass

    def umount(self):
        pass

    def open(self, path, mode):
        return _File(self._top + path)

    def stat(self, path):
        _call(_SYS_CLOSE, array("I", (_open(self._top + path),)))
        kind = _FILE if path.endswith((".py", ".mpy")) else _DIRECTORY
        return (kind, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def mount(top):
    vfs.mount(HostFS(top), "/host")


def run(script, argv, paths):
    """Runs a script below /host as a program with these arguments and module paths."""
    sys.argv[:] = [script] + argv
    sys.path.extend(paths)
    file = open(script)
    code = compile(file.read(), script, "exec")
    file.close()
    try:
        exec(code, {"__name__": "__main__", "__file__": script})
    except SystemExit:
        pass
