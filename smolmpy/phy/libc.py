"""The system calls that host devices need: libc through `ffi` on MicroPython, `os` on CPython.

Calls return a count or a negative errno, and on MicroPython allocate nothing. Importing this
raises `ImportError` where MicroPython was built without `ffi`.
"""

import os
import sys

if sys.implementation.name == "micropython":
    import ffi

    _errno = os.errno
    _libc = ffi.open(None)
    _open = _libc.func("i", "open", "si")
    _close = _libc.func("i", "close", "i")
    _ioctl = _libc.func("i", "ioctl", "iLp")
    _fcntl = _libc.func("i", "fcntl", "iii")
    _readv = _libc.func("l", "readv", "ipi")
    _write = _libc.func("l", "write", "iPL")
    _recv = _libc.func("l", "recv", "ipLi")

    def open_rw(path, flags):
        """Opens `path` for reading and writing with more `flags`; a file descriptor."""
        n = _open(path, 2 | flags)
        return n if n >= 0 else -_errno()

    def close(fd):
        _close(fd)

    def ioctl(fd, request, arg):
        """0; `arg` is a `bytearray` that the kernel may change."""
        n = _ioctl(fd, request, arg)
        return n if n >= 0 else -_errno()

    def set_nonblocking(fd):
        n = _fcntl(fd, 4, _fcntl(fd, 3, 0) | 0o4000)  # F_SETFL, F_GETFL, O_NONBLOCK
        return n if n >= 0 else -_errno()

    def vector(buf, spill):
        """What `readv` takes to fill `buf` and then `spill`; both must be kept alive."""
        from array import array

        from uctypes import addressof

        return array("P", [addressof(buf), len(buf), addressof(spill), len(spill)])

    def readv(fd, parts):
        """Reads once into the two buffers of `parts`; the count."""
        n = _readv(fd, parts, 2)
        return n if n >= 0 else -_errno()

    def write(fd, buf, n):
        """Writes `buf[:n]` at once; the count."""
        n = _write(fd, buf, n)
        return n if n >= 0 else -_errno()

    def recv(fd, buf, flags):
        """Receives one datagram into `buf`; the count."""
        n = _recv(fd, buf, len(buf), flags)
        return n if n >= 0 else -_errno()

else:
    import fcntl
    import socket

    def _call(f, *args):
        try:
            return f(*args)
        except OSError as e:
            return -(e.errno or 5)

    def open_rw(path, flags):
        return _call(os.open, path, os.O_RDWR | flags)

    close = os.close

    def ioctl(fd, request, arg):
        return _call(fcntl.ioctl, fd, request, arg)

    def set_nonblocking(fd):
        return _call(os.set_blocking, fd, False) or 0

    def vector(buf, spill):
        return [buf, spill]

    def readv(fd, parts):
        return _call(os.readv, fd, parts)

    def write(fd, buf, n):
        return _call(os.write, fd, memoryview(buf)[:n])

    def recv(fd, buf, flags):
        s = socket.socket(fileno=fd)
        try:
            return _call(s.recv_into, buf, 0, flags)
        finally:
            s.detach()
