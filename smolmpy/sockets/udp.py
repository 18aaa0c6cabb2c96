"""UDP (RFC 768, RFC 1122 section 4.1)."""

import micropython
from micropython import const

from ..errno import EADDRINUSE, EDESTADDRREQ
from ..iface.demux import in_use, lookup
from ..iface.icmpv4 import closed_port
from ..iface.interface import HANDLERS
from ..iface.ipv4 import egress, reply
from ..iface.route import source
from ..kernel import checksum, copy_sum
from ..wire.address import parse, to_word
from .base import check_port, write_addr
from .packet import PacketSocket, queue
from .ring import commit, reserve

_KERNEL_SUM = const(3)
_SRC = const(7)
_DST = const(8)
_PORTS = const(9)
_PSEUDO = const(10)
_GROUP = const(11)
_LAST_PORTS = const(106)
_LAST_SRC = const(107)
_LAST_DST = const(108)
_LAST_SLOT = const(109)
_ADDRESS_TABLE = const(128)

_C_UDP_RX = const(69)
_C_UDP_TX = const(70)
_C_UDP_MALFORMED = const(71)
_C_UDP_CHECKSUM = const(72)
_C_UDP_FULL = const(74)

_R_CAPACITY = const(6)
_R_LAST = const(11)
_R_BOUND = const(14)
_R_LOCAL_PORT = const(15)
_R_HOP_LIMIT = const(16)
_R_LIMIT = const(17)
_R_LENGTH = const(1)
_R_REMOTE = const(2)
_R_LOCAL = const(3)
_R_PORT = const(4)

_UDP = const(17)
_UDP_HEADER = const(8)
_EMSGSIZE = const(90)
_ENETUNREACH = const(101)
_EDESTADDRREQ = const(89)


@micropython.viper
def ingress(iface, state, frame, l4, n: int):
    """Hands the datagram in the frame to its socket, copying and summing in one pass."""
    st = ptr32(state)
    p = ptr8(l4)
    length = (p[4] << 8) | p[5]
    if n < _UDP_HEADER or length < _UDP_HEADER or length > n or not (p[2] | p[3]):
        st[_C_UDP_MALFORMED] += 1
        return
    given = (p[6] << 8) | p[7]
    # The pseudo-header has the length of the datagram, which may be less than the packet's.
    s = st[_PSEUDO] - n + length
    ports = (p[0] << 24) | (p[1] << 16) | (p[2] << 8) | p[3]
    st[_PORTS] = ports
    if (
        ports == st[_LAST_PORTS]
        and st[_SRC] == st[_LAST_SRC]
        and st[_DST] == st[_LAST_DST]
        and st[_LAST_SLOT] >> 16 == _UDP
    ):
        slot = st[_LAST_SLOT] & 0xFFFF
    else:
        slot = int(lookup(iface._demux, state, _UDP))
        if slot < 0:
            closed_port(iface, state, frame, l4, n)
            return
        st[_LAST_PORTS] = ports
        st[_LAST_SRC] = st[_SRC]
        st[_LAST_DST] = st[_DST]
        st[_LAST_SLOT] = (_UDP << 16) | slot
    socket = iface.sockets[slot]
    _iface, _state, _slot, _tx_ring, _tx, _frame, _l4, ring, rx = socket._parts
    r = ptr32(ring)
    at = -1
    if r[_R_CAPACITY]:
        at = int(reserve(ring, length - _UDP_HEADER))
    if at < 0:
        if given and int(checksum(l4, 0, length, s)) != 0xFFFF:
            st[_C_UDP_CHECKSUM] += 1
        elif not r[_R_CAPACITY]:
            # A handler or a service (smolmpy/services) reads it where it lies.
            st[_C_UDP_RX] += 1
            socket._arrived(length)
        else:
            st[_C_UDP_FULL] += 1
        return
    r[0] = r[at]
    r[1] = _UDP_HEADER
    r[2] = length - _UDP_HEADER
    r[_KERNEL_SUM] = s + ((p[0] << 8) | p[1]) + ((p[2] << 8) | p[3]) + length + given
    s = int(copy_sum(rx, l4, ring))
    if given and s != 0xFFFF:
        st[_C_UDP_CHECKSUM] += 1
        return
    st[_C_UDP_RX] += 1
    r[at + _R_REMOTE] = st[_SRC]
    r[at + _R_LOCAL] = st[_DST]
    r[at + _R_PORT] = (p[0] << 8) | p[1]
    commit(ring, at)


HANDLERS["udp"] = ingress


class UDPSocket(PacketSocket):
    """Datagrams: `UDPSocket(rx, tx, packets=4)`, buffers or sizes."""

    def __init__(self, rx, tx, packets=4):
        super().__init__(rx, tx, packets)
        self._local = bytearray(4)
        self._handler = None
        self._connected = None
        self._peer_known = 0
        self._peer_port = 0

    def _attach(self, iface, slot):
        super()._attach(iface, slot)
        iface._handle("udp", ingress)
        self._tx_ring[_R_LIMIT] = iface.mtu - 28

    @property
    def handler(self):
        """A function that takes datagrams where they lie, instead of the ring; None for none.

        It is called within poll() as handler(socket, payload, n): payload is a memoryview whose
        first n bytes are the datagram. It may write an answer of up to mtu - 28 bytes over them
        and return its length; 0 is none. remote_addr and remote_port tell the sender. It must not
        poll, nor keep the view. What it raises comes out of poll().
        """
        return self._handler

    @handler.setter
    def handler(self, function):
        if function is not None and not callable(function):
            raise TypeError("handler must be a function")
        self._handler = function
        # A ring without room has datagrams handed over in place.
        self._rx_ring[_R_CAPACITY] = 0 if function else self._tx_ring[_R_CAPACITY]

    @micropython.viper
    def _arrived(self, length: int):
        iface, state, _slot, _tx_ring, _tx, frame, l4, ring, _rx = self._parts
        st = ptr32(state)
        r = ptr32(ring)
        p = ptr8(l4)
        sport = (p[0] << 8) | p[1]
        r[_R_LAST] = st[_SRC]
        r[_R_LAST + 1] = st[_DST]
        r[_R_LAST + 2] = sport
        n = int(self._handler(self, iface._payload, length - _UDP_HEADER))
        if n <= 0 or not sport:
            return
        n += _UDP_HEADER
        if st[_GROUP]:
            # From our own address, then, and to where the sender is on its way.
            st[_DST] = st[_SRC]
            if int(source(state)) < 0:
                return
        p[0] = p[2]
        p[1] = p[3]
        p[2] = sport >> 8
        p[3] = sport & 255
        p[4] = n >> 8
        p[5] = n & 255
        p[6] = 0
        p[7] = 0
        src = st[_SRC]
        dst = st[_DST]
        s = ((src >> 16) & 0xFFFF) + (src & 0xFFFF) + ((dst >> 16) & 0xFFFF) + (dst & 0xFFFF)
        s = int(checksum(l4, 0, n, s + _UDP + n)) ^ 0xFFFF
        if not s:
            s = 0xFFFF
        p[6] = s >> 8
        p[7] = s & 255
        st[_C_UDP_TX] += 1
        if st[_GROUP]:
            egress(iface, state, frame, n, _UDP, ptr32(_tx_ring)[_R_HOP_LIMIT], 0)
        else:
            reply(iface, state, frame, n)

    @property
    def local_port(self):
        """The port that it is bound to, 0 for none."""
        return self._tx_ring[_R_LOCAL_PORT]

    def _detach(self):
        super()._detach()
        self._tx_ring[_R_LOCAL_PORT] = 0
        self._peer_known = 0

    def bind(self, port, addr=None):
        """Receives what is sent to a port (0 picks one), at one of our addresses or at all.

        Raises ValueError for the port or the address, OSError(EADDRINUSE, EADDRNOTAVAIL).
        """
        iface = self._need_iface()
        check_port(port)
        local = self._local_word(addr)
        self._unname()
        if not port:
            port = self._free_port(_UDP, local)
        st = self._st
        st[_DST] = local
        st[_PORTS] = port
        if in_use(iface._demux, st, _UDP):
            self._tx_ring[_R_LOCAL_PORT] = 0
            raise OSError(EADDRINUSE, "port %d is in use" % port)
        self._name(_UDP, 0, local, port)
        self._tx_ring[_R_BOUND] = local
        self._tx_ring[_R_LOCAL_PORT] = port
        self._peer_known = 0

    def connect(self, addr, port):
        """Fixes the peer: send() goes there, only its datagrams are received, errors show."""
        self._need_iface()
        addr = parse(addr)
        check_port(port, least=1)
        if not self.local_port:
            self.bind(0)
        local = self._tx_ring[_R_BOUND] or self._source_for(addr)
        self._tx_ring[_R_BOUND] = local
        self._name(_UDP, to_word(addr), local, (port << 16) | self.local_port)
        self._rx_ring[_R_LAST] = to_word(addr)
        self._rx_ring[_R_LAST + 2] = port
        self._peer_known = 1
        self._peer_port = port
        self._connected = addr

    @property
    def remote_port(self):
        """The port that the datagram received last came from."""
        return self._rx_ring[_R_LAST + 2]

    @property
    def local_addr(self):
        """The address that the datagram received last was sent to: a 4-byte buffer, reused."""
        write_addr(self._rx_ring, _R_LAST + 1, self._local)
        return self._local

    @micropython.viper
    def send_to(self, buf, addr, port: int) -> int:
        """Queues a datagram; returns its length, -EAGAIN (no room), -EMSGSIZE or -ENETUNREACH."""
        parts = self._parts
        _iface, state, _slot, ring, _tx, _frame, _l4, rx_ring, _rx = parts
        r = ptr32(ring)
        if int(len(addr)) != 4 or port <= 0 or port >> 16:
            check_port(port, "port", 1)
            addr = parse(addr)
        if not r[_R_LOCAL_PORT]:
            self._need_iface()
            self.bind(0)
        if int(len(buf)) > r[_R_LIMIT]:
            return -_EMSGSIZE
        st = ptr32(state)
        a = ptr8(addr)
        word = (a[0] << 24) | (a[1] << 16) | (a[2] << 8) | a[3]
        st[_DST] = word
        st[_SRC] = r[_R_BOUND]
        if not st[_SRC]:
            last = ptr32(rx_ring)
            if word == last[_R_LAST] and last[_R_LAST + 1] == st[_ADDRESS_TABLE]:
                st[_SRC] = last[_R_LAST + 1]  # an answer: from where the question was sent to
            elif int(source(state)) < 0:
                return -_ENETUNREACH
        return int(queue(parts, buf, port))

    @micropython.viper
    def reply(self, buf) -> int:
        """Queues a datagram for the sender of the one received last, from where that was sent to.

        Returns as send_to().
        """
        parts = self._parts
        _iface, state, _slot, ring, _tx, _frame, _l4, rx_ring, _rx = parts
        r = ptr32(ring)
        last = ptr32(rx_ring)
        if not last[_R_LAST + 2]:
            return -_EDESTADDRREQ
        if int(len(buf)) > r[_R_LIMIT]:
            return -_EMSGSIZE
        st = ptr32(state)
        st[_DST] = last[_R_LAST]
        st[_SRC] = last[_R_LAST + 1]
        if st[_SRC] != st[_ADDRESS_TABLE] and int(source(state)) < 0:
            return -_ENETUNREACH  # that had been a broadcast, say
        return int(queue(parts, buf, last[_R_LAST + 2]))

    def send(self, buf):
        """Queues a datagram for the connected peer; -EDESTADDRREQ without one."""
        if not self._peer_known:
            return -EDESTADDRREQ
        error = self._error
        if error:
            self._error = 0
            return -error
        return self.send_to(buf, self._connected, self._peer_port)

    def close(self):
        """Drops what is queued and frees the port; may be bound again."""
        if self.iface is not None:
            self._unname()
        self._reset()
        self._tx_ring[_R_LOCAL_PORT] = 0
        self._peer_known = 0
        self._tx_ring[_R_BOUND] = 0

    @micropython.viper
    def _emit(self, parts, at: int) -> int:
        iface, state, _slot, ring, tx, frame, l4, _rx_ring, _rx = parts
        st = ptr32(state)
        r = ptr32(ring)
        p = ptr8(l4)
        st[_DST] = r[at + _R_REMOTE]
        st[_SRC] = r[at + _R_LOCAL]
        src = st[_SRC]
        dst = st[_DST]
        n = r[at + _R_LENGTH]
        length = n + _UDP_HEADER
        sport = r[_R_LOCAL_PORT]
        dport = r[at + _R_PORT]
        p[0] = sport >> 8
        p[1] = sport & 255
        p[2] = dport >> 8
        p[3] = dport & 255
        p[4] = length >> 8
        p[5] = length & 255
        r[0] = _UDP_HEADER
        r[1] = r[at]
        r[2] = n
        r[_KERNEL_SUM] = (
            ((src >> 16) & 0xFFFF)
            + (src & 0xFFFF)
            + ((dst >> 16) & 0xFFFF)
            + (dst & 0xFFFF)
            + _UDP
            + length
            + length
            + sport
            + dport
        )
        s = int(copy_sum(l4, tx, ring)) ^ 0xFFFF
        if not s:
            s = 0xFFFF  # 0 would say that there is no checksum (RFC 768)
        p[6] = s >> 8
        p[7] = s & 255
        result = int(egress(iface, state, frame, length, _UDP, r[_R_HOP_LIMIT], 0))
        if result == 0:
            st[_C_UDP_TX] += 1
        return result
