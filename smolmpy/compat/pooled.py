"""Sockets that `socket` objects borrow (pool.py): what these need beyond the others.

`owner` is the object in whose hands a socket is; an `orphan` is in nobody's, and TCP ends its
connection, or ARP finds the way for its last datagrams, in the background.
"""

import micropython
from micropython import const

from ..kernel import copy
from ..sockets.base import read_addr
from ..sockets.udp import UDPSocket
from ..tcp.socket import TCPSocket

# Of docs/layout.md: 'make format' writes these.
_SRC = const(7)
_DST = const(8)
_PORTS = const(9)

_R_HEAD = const(4)
_R_COUNT = const(5)
_R_LAST = const(11)
_R_RECORDS = const(21)
_R_LENGTH = const(1)
_R_REMOTE = const(2)
_R_LOCAL = const(3)
_R_PORT = const(4)
_R_WORDS = const(5)

_T_FLAGS = const(5)
_T_RX_HEAD = const(22)
_T_RX_LEN = const(23)
_T_RX_SIZE = const(24)

_CLOSED = const(0)
_LISTEN = const(1)

_ESTABLISHED = const(4)

_FIN_WAIT_2 = const(6)
_TIME_WAIT = const(10)

_F_RESET = const(4)
_F_PASSIVE = const(8)
_F_ANY = const(16)
_F_FIN_SEEN = const(128)

_LINGER = const(10000)  # ms without progress until an orphan is given up
_LINGER_NEEDED = const(1000)  # the same where its place is needed and the peer has got everything
_LINGER_UDP = const(3000)

# Where others are in need of its place: for how many ms its owner may leave a connection alone
# whose other end has closed, and one that came to a listener.
_ALONE_GONE = const(5000)
_ALONE_CLIENT = const(60000)
# Then a client that is silent is asked whether it is there, and given up if it does not answer.
_PROBE = const(10000)
_NO_ANSWER = const(60000)


class PooledTCP(TCPSocket):
    """A TCP socket of the pool."""

    def __init__(self, rx, tx):
        super().__init__(rx, tx)
        self.owner = None
        self.orphan = False
        self.turn = 0  # of a listener's: when its client came; 0 while there is none
        self.linger = _LINGER
        self._mark = 0
        self._since = 0

    def reset_options(self):
        """As for a new connection."""
        self.linger = _LINGER
        self.keep_alive = 0
        self.timeout = 0
        self.quiet = False
        if not self.nagle:
            self.nagle = True

    def listen_again(self, port, addr):
        """As listen(); addr is 4 bytes of an address of ours, or None. Allocates nothing."""
        st = self._st
        st[_SRC] = st[_DST] = 0
        st[_PORTS] = port
        if addr is not None:
            read_addr(addr, st, _DST)
        self._start(_LISTEN)
        if addr is None:
            self._tcb[_T_FLAGS] |= _F_ANY

    def patience(self, idle):
        """For how many ms its owner may leave it alone where its place is needed; -1: for ever.

        idle is what the program has chosen, or None.
        """
        if self.owner.gone(self):
            return idle if idle is not None and 0 <= idle < _ALONE_GONE else _ALONE_GONE
        if idle is None:
            return _ALONE_CLIENT if self._tcb[_T_FLAGS] & _F_PASSIVE else -1
        return idle

    def ask(self):
        """Has a client's end asked whether it is still there, from now on."""
        if self._tcb[_T_FLAGS] & _F_PASSIVE and self.timeout != _NO_ANSWER:
            self.timeout = _NO_ANSWER
            self.keep_alive = _PROBE

    @property
    def room(self):
        """How many bytes send() would take now."""
        return len(self._tx) - self.send_queue

    @property
    def news(self):
        """0 while nothing waits to be received; until something is, it grows as more comes."""
        tcb = self._tcb
        return tcb[_T_RX_LEN] * 2 + (1 if tcb[_T_FLAGS] & _F_FIN_SEEN else 0)

    @micropython.viper
    def peek_into(self, p: ptr8, n: int) -> int:
        """Copies up to n of the bytes that wait and leaves them there; returns how many."""
        t = ptr32(self._tcb)
        rx = ptr8(self._rx)
        if n > t[_T_RX_LEN]:
            n = t[_T_RX_LEN]
        at = t[_T_RX_HEAD]
        i = 0
        while i < n:
            p[i] = rx[at]
            i += 1
            at += 1
            if at == t[_T_RX_SIZE]:
                at = 0
        return n

    @micropython.viper
    def find(self, byte: int, n: int) -> int:
        """Up to and with the first `byte` of the first n that wait: how many; 0 without one."""
        t = ptr32(self._tcb)
        rx = ptr8(self._rx)
        if n > t[_T_RX_LEN]:
            n = t[_T_RX_LEN]
        at = t[_T_RX_HEAD]
        i = 0
        while i < n:
            i += 1
            if rx[at] == byte:
                return i
            at += 1
            if at == t[_T_RX_SIZE]:
                at = 0
        return 0

    def surrender(self):
        """Becomes an orphan: FIN after what is queued."""
        self.owner = None
        self.orphan = True
        self.turn = 0
        self._mark = -1
        self.close()

    def over(self, now):
        """Of an orphan: whether its connection has ended. To be asked now and then.

        One that receives what nobody will read is reset, but not before the peer has got all that
        was sent (RFC 9293 section 3.6.1); one without progress is given up after `linger` ms.
        """
        state = self.state
        if state == _CLOSED:
            return not self._tcb[_T_FLAGS] & _F_RESET
        mark = self.send_queue * 16 + state
        if mark != self._mark:
            self._mark = mark
            self._since = now
        elif self.stalled(now) > self.linger and state != _TIME_WAIT:
            self.abort()
        if state == _FIN_WAIT_2 and self.recv_queue:
            self.abort()
        return False

    def stalled(self, now):
        """Of an orphan: for how long over() has seen no progress, ms."""
        return (now - self._since) & 0x3FFFFFFF

    def hurry(self, now):
        """Of an orphan whose place is needed: whether it has become free, or will be soon."""
        state = self.state
        if state == _TIME_WAIT:
            self.abort()
            return True
        if state == _FIN_WAIT_2 and self.stalled(now) > _LINGER_NEEDED:
            self.abort()
        return False


class PooledUDP(UDPSocket):
    """A UDP socket of the pool."""

    state = _ESTABLISHED

    def __init__(self, rx, tx, packets):
        super().__init__(rx, tx, packets)
        self.owner = None
        self.orphan = False
        self._since = -1

    @property
    def next_length(self):
        """The length of the datagram that waits, -1 without one."""
        ring = self._rx_ring
        if not ring[_R_COUNT]:
            return -1
        return ring[_R_RECORDS + ring[_R_HEAD] * _R_WORDS + _R_LENGTH]

    @property
    def news(self):
        """0 while nothing waits to be received; until something is, it grows as more comes."""
        return self._rx_ring[_R_COUNT] * 2 + (1 if self._error else 0)

    @micropython.viper
    def peek_into(self, buf, room: int) -> int:
        """As recv_into(), `room` bytes at most, and leaves the datagram there.

        remote_addr and remote_port tell its sender all the same.
        """
        ring = self._rx_ring
        r = ptr32(ring)
        if not r[_R_COUNT]:
            return int(self._nothing())
        at = _R_RECORDS + r[_R_HEAD] * _R_WORDS
        n = r[at + _R_LENGTH]
        r[0] = 0
        r[1] = r[at]
        r[2] = n if n < room else room
        copy(buf, self._rx, ring)
        r[_R_LAST] = r[at + _R_REMOTE]
        r[_R_LAST + 1] = r[at + _R_LOCAL]
        r[_R_LAST + 2] = r[at + _R_PORT]
        return n

    def patience(self, idle):
        """As of TCP."""
        return -1 if idle is None else idle

    def abort(self):
        """Drops what is queued, and what has come."""
        self.close()

    def surrender(self):
        """Becomes an orphan, until what is queued has been sent."""
        self.owner = None
        self.orphan = True
        self._since = -1

    def over(self, now):
        """Of an orphan: whether it has nothing more to send, or has had its time."""
        if self._since < 0:
            self._since = now
        if self._tx_ring[_R_COUNT] and (now - self._since) & 0x3FFFFFFF < _LINGER_UDP:
            return False
        self.close()
        return True
