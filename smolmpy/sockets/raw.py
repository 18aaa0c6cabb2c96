"""Raw sockets: whole IPv4 packets of one protocol, or whole Ethernet frames."""

import micropython
from micropython import const

from ..errno import EMSGSIZE
from ..iface.interface import HANDLERS
from ..ip.ipv4 import egress
from ..ip.route import source
from ..kernel import copy
from ..link.ethernet import transmit
from .packet import PacketSocket, queue

# Of docs/layout.md: 'make format' writes these.
_SRC = const(7)
_DST = const(8)
_PEER_HI = const(14)
_PEER_LO = const(15)
_RAW = const(23)

_R_LENGTH = const(1)

_ENETUNREACH = const(101)


@micropython.native
def ingress(iface, frame, n, layer):
    """Gives a copy to each raw socket that wants it; returns how many did.

    layer 0: a frame of n bytes as it came. layer 1: the IPv4 packet in it, which has passed all
    checks of the header.
    """
    taken = 0
    for socket in iface.sockets:
        if isinstance(socket, RawSocket):
            if layer:
                if socket.protocol == frame[23]:
                    taken += 1
                    socket._receive(socket._packet, n - 14)
            elif socket.protocol is None:
                if socket.ethertype is None or socket.ethertype == (frame[12] << 8) | frame[13]:
                    taken += 1
                    socket._receive(frame, n)
    return taken


HANDLERS["raw"] = ingress


class RawSocket(PacketSocket):
    """`RawSocket(rx, tx, packets=4, protocol=n)`: IPv4 packets of a protocol, header included.

    Their length, identification and checksum are filled in on the way out, and a source of 0.0.0.0
    too. With `ethertype=n`, or with neither, Ethernet frames instead, of one
    type or all; the source address is always ours. What is received is a copy: the stack
    handles it too, but does not answer a protocol that has a socket with "unreachable".
    """

    def __init__(self, rx, tx, packets=4, protocol=None, ethertype=None):
        super().__init__(rx, tx, packets)
        if protocol is not None and not 0 <= protocol <= 255:
            raise ValueError("protocol must be 0 to 255")
        if ethertype is not None and not 0 <= ethertype <= 65535:
            raise ValueError("ethertype must be 0 to 65535")
        if protocol is not None and ethertype is not None:
            raise ValueError("protocol and ethertype exclude each other")
        self.protocol = protocol
        self.ethertype = ethertype
        self._peer_known = 0
        self._packet = None
        self._is_link = 1 if protocol is None else 0

    def _attach(self, iface, slot):
        super()._attach(iface, slot)
        iface._raw_ingress = ingress
        self._packet = iface._frame[14:]
        self._st[_RAW] += 1

    def _detach(self):
        self._st[_RAW] -= 1
        super()._detach()

    def send(self, buf):
        """Queues a packet or frame; returns its length, -EAGAIN or -EMSGSIZE."""
        buf = self._readable(buf)
        header = 14 if self.protocol is None else 20
        if len(buf) < header:
            raise ValueError("buf: shorter than a header of %d bytes" % header)
        mtu = self._need_iface().mtu
        if len(buf) > (mtu + 14 if self.protocol is None else mtu):
            return -EMSGSIZE
        if self.protocol is not None and buf[0] != 0x45:
            raise ValueError("buf: not an IPv4 header without options")
        return queue(self._outbox, buf, 0)

    def close(self):
        """Drops what is queued. It goes on receiving until it is removed."""
        self._reset()

    @micropython.viper
    def _emit(self, parts, at: int) -> int:
        iface, state, ring, tx, frame, l4 = parts
        st = ptr32(state)
        r = ptr32(ring)
        f = ptr8(frame)
        n = r[at + _R_LENGTH]
        r[1] = r[at]
        r[2] = n
        if int(self._is_link):
            r[0] = 0
            copy(frame, tx, ring)
            st[_PEER_HI] = (f[0] << 8) | f[1]
            st[_PEER_LO] = (f[2] << 24) | (f[3] << 16) | (f[4] << 8) | f[5]
            return int(transmit(iface, state, frame, n))
        r[0] = 14
        copy(frame, tx, ring)
        st[_DST] = (f[30] << 24) | (f[31] << 16) | (f[32] << 8) | f[33]
        src = (f[26] << 24) | (f[27] << 16) | (f[28] << 8) | f[29]
        if src:
            st[_SRC] = src
        elif int(source(state)) < 0:
            return -_ENETUNREACH
        return int(egress(iface, state, frame, n - 20, f[23], f[22], f[15]))
