"""A Linux tap interface: the kernel is at the other end of the cable.

See Documentation/networking/tuntap.rst in the Linux sources.
"""

import struct

import micropython
from micropython import const

try:
    from . import libc
except ImportError:
    raise ImportError(
        "smolmpy.phy.tap needs a MicroPython with ffi; without it use smolmpy.phy.stream "
        "(another process owns the tap) or smolmpy.phy.packet"
    )

_EMSGSIZE = const(90)
_EIO = const(5)
_EAGAIN = const(11)
_EINTR = const(4)
_O_RDWR_NONBLOCK = const(0o4002)
_IFF_TAP_NO_PI = const(0x1002)


class TapDevice:
    """Opens the tap `name`, which is made if there is none and the user may.

    The Linux side of the interface has to be set up and given its address besides (`ip link set
    tap0 up`). Raises `OSError` where the tap cannot be opened. `mtu`: the largest IP packet in
    bytes. Allocates nothing after the first `receive`.
    """

    def __init__(self, name, mtu=1500):
        if not 0 < len(name) < 16:
            raise ValueError("name")
        self.mtu = mtu
        self.name = name
        self._fd = _check(libc.open_fd("/dev/net/tun", _O_RDWR_NONBLOCK))
        # struct ifreq: 16 bytes of name, a union that the flags begin, 40 bytes in all
        request = bytearray(40)
        struct.pack_into("16sH", request, 0, name.encode(), _IFF_TAP_NO_PI)
        self._spill = bytearray(1)
        self._gather(None, 0, None)
        try:
            _check(libc.ioctl(self._fd, 0x400454CA, request))  # TUNSETIFF
        except OSError:
            self.close()
            raise

    def _gather(self, buf, size, parts):
        # What the methods below need, in one look-up each.
        self._way_in = (buf, size, parts, self._fd, libc.readv, libc.errno)
        self._way_out = (self._fd, libc.write, libc.errno)

    def _meet(self, buf):
        # A read cuts a long frame silently: what does not fit runs over into `_spill`.
        self._gather(buf, len(buf), libc.vector(buf, self._spill))

    @micropython.viper
    def receive(self, buf) -> int:
        known, size, parts, fd, readv, errno = self._way_in
        if known is not buf:
            self._meet(buf)
            known, size, parts, fd, readv, errno = self._way_in
        n = int(readv(fd, parts, 2))
        if n >= 0:
            return n if n <= int(size) else -_EMSGSIZE
        n = int(errno())
        return 0 if n == _EAGAIN or n == _EINTR else 0 - n

    @micropython.viper
    def transmit(self, buf, length: int) -> int:
        fd, write, errno = self._way_out
        n = int(write(fd, buf, length))
        if n == length:
            return 0
        if n >= 0:
            return -_EIO
        n = int(errno())
        return -_EAGAIN if n == _EINTR else 0 - n

    def fileno(self):
        return self._fd

    def close(self):
        if self._fd >= 0:
            libc.close(self._fd)
            self._fd = -1
            self._gather(None, 0, None)


def _check(n):
    if n < 0:
        raise OSError(libc.errno())
    return n
