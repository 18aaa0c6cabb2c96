"""A Linux tap interface: the kernel is at the other end of the cable.

See Documentation/networking/tuntap.rst in the Linux sources.
"""

import struct
from array import array

import micropython
from micropython import const

from ..kernel import reference

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

# What is known of the queue: how many frames have been read since it was empty, how many more are
# taken to come alone, and how often it is taken to be empty without a look.
_READ = const(0)
_ALONE = const(1)
_EMPTY = const(2)
_TRUST = const(16)


class TapDevice:
    """Opens the tap `name`, which is made if there is none and the user may.

    The Linux side of the interface has to be set up and given its address besides (`ip link set
    tap0 up`). Raises `OSError` where the tap cannot be opened. `mtu`: the largest IP packet in
    bytes. Allocates nothing after the first `receive`.

    Requests come one at a time, and to look whether another one waits costs as much as a short
    answer takes. So where a frame has come alone, the next ones are taken to do so as well: two
    calls of `receive` after such a frame return 0 without a look, unless `transmit` comes between.
    Every 16 frames it looks.
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
        self._queue = array("I", (0, 0, 0))
        self._gather(None, 0, None)
        try:
            _check(libc.ioctl(self._fd, 0x400454CA, request))  # TUNSETIFF
        except OSError:
            self.close()
            raise

    def _gather(self, buf, size, parts):
        # What the methods below need, in one look-up each.
        queue = reference(self._queue)
        self._way_in = (buf, size, parts, queue, self._fd, libc.readv, libc.errno)
        self._way_out = (queue, self._fd, libc.write, libc.errno)

    def _meet(self, buf):
        # A read cuts a long frame silently: what does not fit runs over into `_spill`.
        self._gather(buf, len(buf), libc.vector(buf, self._spill))

    @micropython.viper
    def receive(self, buf) -> int:
        known, size, parts, queue, fd, readv, errno = self._way_in
        if known is not buf:
            self._meet(buf)
            known, size, parts, queue, fd, readv, errno = self._way_in
        q = ptr32(queue)
        if q[_EMPTY]:
            q[_EMPTY] = q[_EMPTY] - 1
            q[_READ] = 0
            return 0
        n = int(readv(fd, parts, 2))
        if n >= 0:
            q[_READ] = q[_READ] + 1
            if q[_ALONE] and q[_READ] == 1:
                q[_ALONE] = q[_ALONE] - 1
                q[_EMPTY] = 2
            return n if n <= int(size) else -_EMSGSIZE
        n = int(errno())
        if n != _EAGAIN and n != _EINTR:
            return 0 - n
        if q[_READ]:
            q[_ALONE] = _TRUST if q[_READ] == 1 else 0
            q[_READ] = 0
        return 0

    @micropython.viper
    def transmit(self, buf, length: int) -> int:
        queue, fd, write, errno = self._way_out
        ptr32(queue)[_EMPTY] = 0  # an answer may bring the next request at once
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
