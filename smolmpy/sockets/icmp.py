"""ICMP sockets: send requests, receive what answers them (RFC 792)."""

import micropython
from micropython import const

from ..core.demux import in_use
from ..errno import EADDRINUSE, EMSGSIZE
from ..ip.ipv4 import egress
from ..ip.route import source
from ..kernel import checksum, copy
from ..wire.address import parse
from .base import check_port, read_addr
from .packet import PacketSocket, queue

# Of docs/layout.md: 'make format' writes these.
_DST = const(8)
_PORTS = const(9)

_R_HOP_LIMIT = const(16)
_R_LENGTH = const(1)
_R_REMOTE = const(2)

_ICMP = const(1)

_ENETUNREACH = const(101)

_ICMP_HEADER = const(8)


class ICMPSocket(PacketSocket):
    """ICMP messages: `ICMPSocket(rx, tx, packets=4)`, buffers or sizes.

    A message is whole, its 8 bytes of header included: type, code, checksum (filled in by the
    stack), identifier, sequence number.
    """

    def __init__(self, rx, tx, packets=4):
        super().__init__(rx, tx, packets)
        self.ident = -1
        self._peer_known = 0

    def bind(self, ident):
        """Receives echo replies with an identifier (0 to 65535), and errors about such requests.

        Raises OSError(EADDRINUSE) where another socket has it.
        """
        iface = self._need_iface()
        check_port(ident, "ident")
        self._unname()
        st = self._st
        st[_DST] = 0
        st[_PORTS] = ident
        if in_use(iface._demux, st, _ICMP):
            self.ident = -1
            raise OSError(EADDRINUSE, "ident %d is in use" % ident)
        self._name(_ICMP, 0, 0, ident)
        self.ident = ident

    def send_to(self, message, addr):
        """Queues a message of at least 8 bytes; returns its length, -EAGAIN or -EMSGSIZE."""
        if isinstance(addr, str) or len(addr) != 4:
            addr = parse(addr)
        message = self._readable(message, "message")
        if len(message) < _ICMP_HEADER:
            raise ValueError("message: an ICMP message has at least 8 bytes")
        if len(message) > self._need_iface().mtu - 20:
            return -EMSGSIZE
        read_addr(addr, self._st, _DST)
        return queue(self._outbox, message, 0)

    def close(self):
        """Drops what is queued and frees the identifier."""
        if self.iface is not None:
            self._unname()
        self._reset()
        self.ident = -1

    @micropython.viper
    def _emit(self, parts, at: int) -> int:
        iface, state, ring, tx, frame, l4 = parts
        st = ptr32(state)
        r = ptr32(ring)
        p = ptr8(l4)
        st[_DST] = r[at + _R_REMOTE]
        if int(source(state)) < 0:
            return -_ENETUNREACH
        n = r[at + _R_LENGTH]
        r[0] = 0
        r[1] = r[at]
        r[2] = n
        copy(l4, tx, ring)
        p[2] = 0
        p[3] = 0
        s = int(checksum(l4, 0, n, 0)) ^ 0xFFFF
        p[2] = s >> 8
        p[3] = s & 255
        return int(egress(iface, state, frame, n, _ICMP, r[_R_HOP_LIMIT], 0))
