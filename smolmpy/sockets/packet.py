"""What UDP, ICMP and raw sockets share: a ring of packets each way, and errors from the net."""

import micropython
from micropython import const

from ..core.schedule import set_due, wake
from ..ip.route import source
from ..kernel import copy, reference
from .base import Socket, buffer, write_addr
from .ring import clear, commit, make, pop, reserve

try:
    from .datagram_thumb import handle, put, take
except (ImportError, SyntaxError, AttributeError):
    from .datagram import handle, put, take

# Of docs/layout.md: 'make format' writes these.
_WORK = const(6)
_SRC = const(7)
_DST = const(8)
_DIRTY = const(30)
_SLOTS = const(31)

_R_HEAD = const(4)
_R_COUNT = const(5)
_R_CAPACITY = const(6)
_R_LAST = const(11)
_R_HOP_LIMIT = const(16)
_R_SLOT = const(20)
_R_RECORDS = const(21)
_R_REMOTE = const(2)
_R_LOCAL = const(3)
_R_PORT = const(4)
_R_WORDS = const(5)

_ARP_RETRY = const(1000)

_C_RAW_RX = const(82)
_C_RAW_FULL = const(83)

_EAGAIN = const(11)
_EINPROGRESS = const(115)


@micropython.viper
def queue(outbox, buf, port: int) -> int:
    """Queues a packet from SRC to DST, and to a port where there are such.

    Returns its length, -EAGAIN or -EMSGSIZE.
    """
    _usual, _other, put, length, _source, state, ring, rings, _rx_ring = outbox
    st = ptr32(state)
    r = ptr32(ring)
    r[0] = st[_DST]
    r[1] = st[_SRC]
    r[2] = port
    return int(put(buf, length(buf), rings, state))


class PacketSocket(Socket):
    """rx and tx are bytearrays or sizes; each ring holds at most `packets` packets."""

    def __init__(self, rx, tx, packets=4):
        super().__init__()
        self._rx = buffer(rx, "rx")
        self._tx = buffer(tx, "tx")
        self._rx_ring = make(packets, len(self._rx))
        self._tx_ring = make(packets, len(self._tx))
        self._error = 0
        self._remote = bytearray(4)
        self._gather()

    @property
    def hop_limit(self):
        """The IP TTL of what is sent, 1 to 255."""
        return self._tx_ring[_R_HOP_LIMIT]

    @hop_limit.setter
    def hop_limit(self, value):
        if not isinstance(value, int) or not 0 < value < 256:
            raise ValueError("hop_limit must be 1 to 255")
        self._tx_ring[_R_HOP_LIMIT] = value

    @property
    def remote_addr(self):
        """Who sent the packet received last: a 4-byte buffer, reused."""
        write_addr(self._rx_ring, _R_LAST, self._remote)
        return self._remote

    def can_recv(self):
        """Whether recv_into() has something to return: a packet or an error."""
        return self._rx_ring[_R_COUNT] != 0 or self._error != 0

    def can_send(self):
        """Whether there is room for a packet, if it is small enough."""
        ring = self._tx_ring
        return ring[_R_COUNT] < ring[_R_CAPACITY]

    def _attach(self, iface, slot):
        super()._attach(iface, slot)
        self._tx_ring[_R_SLOT] = slot
        self._gather()

    def _gather(self):
        # What each way needs, in one look-up.
        iface = self.iface
        state = reference(self._st)
        tx_ring = reference(self._tx_ring)
        rx_ring = reference(self._rx_ring)
        out = handle(self._tx_ring, self._tx, self._rx_ring, 0)
        # A buffer of a class that comes first is taken as it is; all else is looked at
        # (buffers.py).
        self._inbox = (bytearray, take, len, handle(self._rx_ring, self._rx, self._tx_ring, 0))
        self._outbox = (bytearray, bytes, put, len, source, state, tx_ring, out, rx_ring)
        frame = l4 = None
        if iface is not None:
            frame = reference(iface._frame)
            l4 = reference(iface._l4)
        self._parts = (iface, state, tx_ring, reference(self._tx), frame, l4)

    def _detach(self):
        super()._detach()
        self._gather()
        self._reset()

    def _reset(self):
        clear(self._rx_ring)
        clear(self._tx_ring)
        self._error = 0

    @micropython.viper
    def recv_into(self, buf):
        """Takes a packet: copies what fits into buf and returns its whole length.

        A result above len(buf) means that the rest was cut off. -EAGAIN when there is none, or an
        error that the net reported, once.
        """
        usual, take, length, inbox = self._inbox
        if buf.__class__ is usual:
            room = length(buf)
        else:
            room = self._writable(buf)
            if int(room) < 0:
                return self._fill(buf, ~int(room), self.recv_into)
        n = take(buf, room, inbox)
        if int(n) < 0 and int(self._error):
            return self._nothing()
        return n

    def _nothing(self):
        # What there is to say without a packet.
        error = self._error
        self._error = 0
        return -(error or _EAGAIN)

    @micropython.viper
    def _receive(self, view, n: int) -> int:
        # A packet as it is, from the source of the packet in hand. Returns 0 if there is no room.
        ring = self._rx_ring
        r = ptr32(ring)
        st = ptr32(self._st)
        at = int(reserve(ring, n))
        if at < 0:
            st[_C_RAW_FULL] = st[_C_RAW_FULL] + 1
            return 0
        st[_C_RAW_RX] = st[_C_RAW_RX] + 1
        r[at + _R_REMOTE] = st[_SRC]
        r[at + _R_LOCAL] = st[_DST]
        r[at + _R_PORT] = 0
        r[0] = r[at]
        r[1] = 0
        r[2] = n
        copy(self._rx, view, ring)
        commit(ring, at)
        return 1

    @micropython.viper
    def _unreachable(self, number: int):
        # Only who talks to one peer can know what the error is about (RFC 1122 section 4.1.3.3);
        # for the others it would fail a call about somebody else.
        if int(self._peer_known):
            self._error = number

    @micropython.viper
    def _egress(self) -> int:
        # Sends what is queued; the kinds differ in _emit(), which returns a negative errno or 0.
        parts = self._parts
        _iface, state, ring, _tx, _frame, _l4 = parts
        r = ptr32(ring)
        st = ptr32(state)
        slot = r[_R_SLOT]
        at = st[_DIRTY] + (slot >> 4)
        left = st[at] & ~(1 << (slot & 15))
        st[at] = left
        if not left and st[_SLOTS] <= 16:
            st[_WORK] = 0
        count = 0
        turn = r[_R_CAPACITY]
        while r[_R_COUNT] and turn:
            turn -= 1
            result = int(self._emit(parts, _R_RECORDS + r[_R_HEAD] * _R_WORDS))
            if result == -_EAGAIN:
                break
            if result == -_EINPROGRESS:
                set_due(state, r[_R_SLOT], _ARP_RETRY)
                return count
            pop(ring)
            if result < 0:
                self._error = 0 - result
            else:
                count += 1
        if r[_R_COUNT]:
            wake(state, r[_R_SLOT])
        return count

    def flush(self):
        """Sends now what is queued, not with the next poll(); returns the number of packets."""
        self._need_iface()
        return self._egress()
