"""UDP (RFC 768, RFC 1122 section 4.1)."""

import micropython
from micropython import const

from ..core.demux import in_use
from ..errno import EADDRINUSE, EDESTADDRREQ
from ..ip.ipv4 import answer, egress
from ..ip.route import find, source
from ..kernel import checksum, reference
from ..link.ethernet import failed
from ..wire.address import parse, to_word
from .base import NOWHERE, check_port, write_addr
from .ring import clear
from .udp_input import attach, detach
from .udp_output import UDPSending

try:
    from .datagram_thumb import build, handle, put
except (ImportError, SyntaxError, AttributeError):
    from .datagram import build, handle, put

# Of docs/layout.md: 'make format' writes these.
_SRC = const(7)
_DST = const(8)
_PORTS = const(9)
_GROUP = const(11)
_SENDING = const(16)
_ADDRESS_TABLE = const(128)

_R_CAPACITY = const(6)
_R_LAST = const(11)
_R_BOUND = const(14)
_R_LOCAL_PORT = const(15)
_R_HOP_LIMIT = const(16)
_R_LIMIT = const(17)

_UDP = const(17)
_UDP_HEADER = const(8)

_C_TX_FRAMES = const(33)
_C_UDP_TX = const(70)

_EMSGSIZE = const(90)
_ENETUNREACH = const(101)


class UDPSocket(UDPSending):
    """Datagrams: `UDPSocket(rx, tx, packets=4)`, buffers or sizes."""

    def __init__(self, rx, tx, packets=4):
        self._in_place = None  # with a handler: the handler, and what it takes to call it
        super().__init__(rx, tx, packets)
        self._local = bytearray(4)
        self._connected = None
        self._peer_known = 0

    def _attach(self, iface, slot):
        super()._attach(iface, slot)
        attach(iface, slot, self._rx_ring, self._rx, self._arrived)
        self._tx_ring[_R_LIMIT] = iface.mtu - 28

    def _gather(self):
        super()._gather()
        iface, state, ring, _tx, frame, _l4 = self._parts
        out = handle(self._tx_ring, self._tx, self._rx_ring, 0)
        way_out = NOWHERE if iface is None else iface._way_out
        self._parts = (build, way_out, state, ring, out, frame)
        answers = handle(self._tx_ring, self._tx, self._rx_ring, 1)
        append = put if iface is not None else self._refuse
        self._answers = (bytearray, bytes, append, len, answers, state)
        self._arrange(self.handler)

    def _refuse(self, buf, n, outbox, state):
        # Answers, while the socket is on no interface.
        self._need_iface()

    def _arrange(self, handler):
        if handler is not None:
            _build, _way_out, state, _ring, _out, frame = self._parts
            iface = self.iface
            payload = iface and iface._payload
            rx_ring = reference(self._rx_ring)
            handler = (handler, payload, answer, iface, state, frame, rx_ring)
        self._in_place = handler

    @property
    def handler(self):
        """A function that takes datagrams where they lie, instead of the ring; None for none.

        It is called within poll() as handler(socket, payload, n): payload is a memoryview whose
        first n bytes are the datagram. It may write an answer of up to mtu - 28 bytes over them
        and return its length; 0 is none. remote_addr and remote_port tell the sender. It must not
        poll or flush, which would write over them, nor keep the view. What it raises comes out of
        poll(), and the datagram counts as taken. What waits in the ring when it is set is dropped.
        """
        return self._in_place and self._in_place[0]

    @handler.setter
    def handler(self, function):
        if function is not None and not callable(function):
            raise TypeError("handler must be a function")
        self._arrange(function)
        # A ring without room has datagrams handed over in place; it must have none in it either.
        clear(self._rx_ring)
        self._rx_ring[_R_CAPACITY] = 0 if function else self._tx_ring[_R_CAPACITY]

    @micropython.viper
    def _arrived(self, length: int):
        handler, payload, answer, iface, state, frame, _rx_ring = self._in_place
        n = int(handler(self, payload, length - _UDP_HEADER))
        if n <= 0:
            return
        st = ptr32(state)
        if st[_GROUP]:
            self._send_in_place(n)
            return
        n = int(answer(frame, state, n + _UDP_HEADER, _UDP))
        if n:
            transmit, view = iface._way_out
            st[_SENDING] = 1
            result = int(transmit(view, n))
            st[_SENDING] = 0
            if result:
                failed(state, result)
            else:
                st[_C_TX_FRAMES] = st[_C_TX_FRAMES] + 1

    @micropython.viper
    def _send_in_place(self, n: int):
        # What was sent to a group or to all is answered from our own address.
        _handler, _payload, _answer, iface, state, frame, ring = self._in_place
        st = ptr32(state)
        last = ptr32(ring)
        f = ptr8(frame)
        st[_DST] = last[_R_LAST]
        sport = last[_R_LAST + 2]
        if not sport or int(source(state)) < 0:
            return
        n += _UDP_HEADER
        f[34] = f[36]
        f[35] = f[37]
        f[36] = sport >> 8
        f[37] = sport & 255
        f[38] = n >> 8
        f[39] = n & 255
        f[40] = 0
        f[41] = 0
        src = st[_SRC]
        dst = st[_DST]
        s = ((src >> 16) & 0xFFFF) + (src & 0xFFFF) + ((dst >> 16) & 0xFFFF) + (dst & 0xFFFF)
        s = int(checksum(frame, 34, n, s + _UDP + n)) ^ 0xFFFF
        if not s:
            s = 0xFFFF
        f[40] = s >> 8
        f[41] = s & 255
        st[_C_UDP_TX] = st[_C_UDP_TX] + 1
        egress(iface, state, frame, n, _UDP, self._tx_ring[_R_HOP_LIMIT], 0)

    @property
    def local_port(self):
        """The port that it is bound to, 0 for none."""
        return self._tx_ring[_R_LOCAL_PORT]

    def _detach(self):
        detach(self.iface, self._slot)
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
        self._connected = (addr, port)

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
        usual, other, put, length, source, state, ring, out, rx_ring = self._outbox
        if buf.__class__ is usual:
            pass
        elif buf.__class__ is other:
            pass
        else:
            buf = self._readable(buf)
        r = ptr32(ring)
        if int(length(addr)) != 4 or port <= 0 or port >> 16:
            addr = self._checked(addr, port)
        if not r[_R_LOCAL_PORT]:
            self._bind_any()
        n = int(length(buf))
        if n > r[_R_LIMIT]:
            return -_EMSGSIZE
        st = ptr32(state)
        a = ptr8(addr)
        remote = (a[0] << 24) | (a[1] << 16) | (a[2] << 8) | a[3]
        local = r[_R_BOUND]
        if not local:
            last = ptr32(rx_ring)
            local = last[_R_LAST + 1]
            if remote != last[_R_LAST] or local != st[_ADDRESS_TABLE]:
                # Not an answer, which comes from where the question was sent to.
                st[_DST] = remote
                if int(source(state)) < 0:
                    return -_ENETUNREACH
                if remote != last[_R_LAST] or not int(self._is_ours()):
                    local = st[_SRC]
        r[0] = remote
        r[1] = local
        r[2] = port
        return int(put(buf, n, out, state))

    @micropython.viper
    def _is_ours(self) -> int:
        # Whether the datagram received last was sent to an address of ours, and to no group.
        return 1 if int(find(self._st, self._rx_ring, _R_LAST + 1)) >= 0 else 0

    def _checked(self, addr, port):
        check_port(port, "port", 1)
        return parse(addr)

    def _bind_any(self):
        self._need_iface()
        self.bind(0)

    @micropython.viper
    def reply(self, buf):
        """Queues a datagram for the sender of the one received last, from where that was sent to.

        Returns as send_to().
        """
        usual, other, put, length, out, state = self._answers
        if buf.__class__ is usual:
            pass
        elif buf.__class__ is other:
            pass
        else:
            buf = self._readable(buf)
        n = put(buf, length(buf), out, state)
        return n if int(n) != -1 else self._answer_group(buf)

    @micropython.viper
    def _answer_group(self, buf) -> int:
        # As reply(), to what was not sent to our first address: to another, or a broadcast.
        _usual, _other, put, length, source, state, ring, out, rx_ring = self._outbox
        st = ptr32(state)
        r = ptr32(ring)
        last = ptr32(rx_ring)
        st[_DST] = last[_R_LAST]
        if int(source(state)) < 0:
            return -_ENETUNREACH
        r[0] = st[_DST]
        r[1] = last[_R_LAST + 1] if int(self._is_ours()) else st[_SRC]
        r[2] = last[_R_LAST + 2]
        return int(put(buf, length(buf), out, state))

    def send(self, buf):
        """Queues a datagram for the connected peer; -EDESTADDRREQ without one."""
        if not self._peer_known:
            return -EDESTADDRREQ
        error = self._error
        if error:
            self._error = 0
            return -error
        addr, port = self._connected
        return self.send_to(buf, addr, port)

    def close(self):
        """Drops what is queued and frees the port; may be bound again."""
        if self.iface is not None:
            self._unname()
        self._reset()
        self._tx_ring[_R_LOCAL_PORT] = 0
        self._peer_known = 0
        self._tx_ring[_R_BOUND] = 0
