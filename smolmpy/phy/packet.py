"""An `AF_PACKET` raw socket: frames of an interface that the kernel uses too (packet(7)).

The stack should have an Ethernet and an IP address of its own, and not those of the interface:
the kernel answers for these. Where the kernel postpones checksums or segmentation to the
hardware, frames come unfinished from a peer on this machine: `ethtool -K IF tx off` there.
"""

import socket
import struct
import sys

from micropython import const

try:
    from . import libc
except ImportError:
    libc = None

_EMSGSIZE = const(90)
_ENOBUFS = const(105)
_EAGAIN = const(11)
_EINTR = const(4)
_ENOMEM = const(12)
_EIO = const(5)
_AF_PACKET = const(17)
_SOCK_RAW = const(3)
_ETH_P_ALL = const(3)
_SOL_PACKET = const(263)
_PACKET_ADD_MEMBERSHIP = const(1)
_PACKET_IGNORE_OUTGOING = const(23)
_MSG_DONTWAIT_TRUNC = const(0x60)
_MICROPYTHON = sys.implementation.name == "micropython"


class PacketDevice:
    """A raw socket on the interface `ifname`; needs CAP_NET_RAW.

    `promiscuous`: also frames to other hardware addresses, which the stack needs whose own
    address differs from that of the interface. `outgoing`: also frames that this machine sends
    there, for a tracer (Linux before 4.20 always shows them). Raises `OSError`.

    With `ffi`, nothing is allocated after set-up. Without it, `receive` allocates twice for each
    frame, for what is about twice the length of the buffer, since the socket module's `recv`
    returns a new `bytes` (its `readinto` goes on reading until the buffer is full, and so glues
    frames together); an idle `receive` and `transmit` allocate nothing.
    """

    def __init__(self, ifname, promiscuous=False, outgoing=False):
        index = _index(ifname)
        self.mtu = int(_first_line("/sys/class/net/%s/mtu" % ifname) or 1500)
        self.name = ifname
        # The protocol 0 lets no frame in before the socket is bound.
        self._socket = s = socket.socket(_AF_PACKET, _SOCK_RAW, 0)
        try:
            if not outgoing:
                try:
                    s.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
                except OSError:
                    pass
            if promiscuous:
                # struct packet_mreq, type PACKET_MR_PROMISC
                s.setsockopt(
                    _SOL_PACKET, _PACKET_ADD_MEMBERSHIP, struct.pack("iHH8s", index, 1, 0, b"")
                )
            s.setblocking(False)
            _bind(s, ifname, index)
        except OSError:
            s.close()
            raise
        self._fd = s.fileno()
        if libc:
            self.receive = self._receive_libc
        else:
            import select

            self._poll = select.poll()
            self._poll.register(s, select.POLLIN)

    def receive(self, buf):
        try:
            # `recv` raises, and so allocates, when there is nothing.
            ready = False
            for _ in self._poll.ipoll(0):
                ready = True
            if not ready:
                return 0
            frame = self._socket.recv(len(buf) + 1)
            n = len(frame)
            if n > len(buf):
                return -_EMSGSIZE
            buf[:n] = frame
            return n
        except OSError as e:
            return _idle(-(e.errno or _EIO))
        except MemoryError:
            return -_ENOMEM

    def _receive_libc(self, buf):
        n = libc.recv(self._fd, buf, len(buf), _MSG_DONTWAIT_TRUNC)
        if n >= 0:
            return n if n <= len(buf) else -_EMSGSIZE
        return _idle(-libc.errno())

    def transmit(self, buf, length):
        try:
            if _MICROPYTHON:
                n = self._socket.write(buf, length)
            else:
                n = self._socket.send(memoryview(buf)[:length])
            return 0 if n == length else -_EAGAIN
        except OSError as e:
            n = e.errno or _EIO
            return -_EAGAIN if n == _ENOBUFS or n == _EAGAIN or n == _EINTR else -n
        except MemoryError:
            # The heap was locked when the kernel refused: the frame counts as refused.
            return -_ENOMEM

    def fileno(self):
        return self._fd

    def close(self):
        self._socket.close()


def _idle(n):
    return 0 if n == -_EAGAIN or n == -_EINTR else n


def _bind(s, ifname, index):
    if _MICROPYTHON:
        # struct sockaddr_ll; only the protocol is in network order
        ll = bytearray(20)
        struct.pack_into("HHi", ll, 0, _AF_PACKET, 0, index)
        ll[3] = _ETH_P_ALL
        s.bind(ll)
    else:
        s.bind((ifname, _ETH_P_ALL))


def _first_line(path):
    try:
        with open(path) as f:
            return f.readline().strip()
    except OSError:
        return ""


def _index(ifname):
    """The number of an interface. /proc/net is always that of this network namespace, which
    /sys is only if it was mounted in it; but it lists only interfaces with multicast."""
    with open("/proc/net/dev_mcast") as f:
        for line in f:
            words = line.split()
            if words[1] == ifname:
                return int(words[0])
    index = int(_first_line("/sys/class/net/%s/ifindex" % ifname) or 0)
    if not index:
        raise OSError(19)  # ENODEV
    return index
