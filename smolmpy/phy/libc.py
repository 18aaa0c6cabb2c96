"""The system calls that host devices need: libc through `ffi` on MicroPython, `os` on CPython.

Each call returns what that of libc does, and after -1 `errno()` says why. On MicroPython they are
libc's own, so that nothing lies between a device and the kernel, and allocate nothing. Importing
this raises `ImportError` where MicroPython was built without `ffi`.

open_fd(path, flags)
ioctl(fd, request, arg): `arg` is a `bytearray` that the kernel may change.
close(fd)
readv(fd, parts, 2): reads once into the two buffers of `parts`, a `vector()`.
write(fd, buf, n): writes `buf[:n]` at once.
recv(fd, buf, n, flags): receives one datagram into `buf`, whose length is `n`.
"""

import os
import sys

if sys.implementation.name == "micropython":
    import ffi

    _libc = ffi.open(None)
    errno = os.errno
    open_fd = _libc.func("i", "open", "si")
    close = _libc.func("i", "close", "i")
    ioctl = _libc.func("i", "ioctl", "iLp")
    readv = _libc.func("l", "readv", "ipi")
    write = _libc.func("l", "write", "iPL")
    recv = _libc.func("l", "recv", "ipLi")

    def vector(buf, spill):
        """What `readv` takes to fill `buf` and then `spill`; both must be kept alive."""
        from array import array

        from uctypes import addressof

        return array("P", [addressof(buf), len(buf), addressof(spill), len(spill)])

else:
    import fcntl
    import socket

    _error = 0

    def errno():
        return _error

    def _call(f, *args):
        global _error
        try:
            return f(*args)
        except OSError as e:
            _error = e.errno or 5
            return -1

    def open_fd(path, flags):
        return _call(os.open, path, flags)

    close = os.close

    def ioctl(fd, request, arg):
        return _call(fcntl.ioctl, fd, request, arg)

    def vector(buf, spill):
        return [buf, spill]

    def readv(fd, parts, _count):
        return _call(os.readv, fd, parts)

    def write(fd, buf, n):
        return _call(os.write, fd, memoryview(buf)[:n])

    def recv(fd, buf, _n, flags):
        s = socket.socket(fileno=fd)
        try:
            return _call(s.recv_into, buf, 0, flags)
        finally:
            s.detach()
