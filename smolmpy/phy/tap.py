"""A Linux tap interface: the kernel is at the other end of the cable.

See Documentation/networking/tuntap.rst in the Linux sources.
"""

import struct

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
_O_NONBLOCK = const(0o4000)
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
        self._fd = _check(libc.open_rw("/dev/net/tun", _O_NONBLOCK))
        # struct ifreq: 16 bytes of name, a union that the flags begin, 40 bytes in all
        request = bytearray(40)
        struct.pack_into("16sH", request, 0, name.encode(), _IFF_TAP_NO_PI)
        code = libc.ioctl(self._fd, 0x400454CA, request)  # TUNSETIFF
        if code < 0:
            self.close()
            _check(code)
        self._spill = bytearray(1)
        self._buf = None
        self._parts = None

    def receive(self, buf):
        # A read cuts a long frame silently: what does not fit runs over into `_spill`.
        if buf is not self._buf:
            self._parts = libc.vector(buf, self._spill)
            self._buf = buf
        n = libc.readv(self._fd, self._parts)
        if n > 0:
            return n if n <= len(buf) else -_EMSGSIZE
        return 0 if n == -_EAGAIN or n == -_EINTR else n

    def transmit(self, buf, length):
        n = libc.write(self._fd, buf, length)
        if n == length:
            return 0
        if n == -_EINTR:
            return -_EAGAIN
        return n if n < 0 else -_EIO

    def fileno(self):
        return self._fd

    def close(self):
        if self._fd >= 0:
            libc.close(self._fd)
            self._fd = -1


def _check(n):
    if n < 0:
        raise OSError(-n)
    return n
