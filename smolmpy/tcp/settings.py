"""How a TCP socket is opened, what is given for it and what it may be asked.

That is the quiet half of TCPSocket. It is a module of its own since a board compiles one at a
time, and small ones need less for that. The control block's layout is described in tcp.py.
"""

from array import array

import micropython
from micropython import const

from ..core.demux import insert, lookup, remove
from ..errno import EADDRINUSE, EALREADY, EISCONN
from ..ip.route import next_hop
from ..sockets.base import Socket, check_port, write_addr
from ..wire.address import parse, to_word
from .connection import choose_iss, scale

# Of docs/layout.md: 'make format' writes these.
_NOW = const(4)
_SRC = const(7)
_DST = const(8)
_PORTS = const(9)
_PEER_HI = const(14)
_CLOCK = const(110)

_T_STATE = const(4)
_T_FLAGS = const(5)
_T_REMOTE = const(6)
_T_LOCAL = const(7)
_T_PORTS = const(8)
_T_SND_UNA = const(10)
_T_SND_WND = const(13)
_T_RCV_NXT = const(18)
_T_RCV_ADV = const(19)
_T_MSS = const(21)
_T_RX_LEN = const(23)
_T_RX_SIZE = const(24)
_T_TX_LEN = const(26)
_T_TX_SIZE = const(27)
_T_SRTT = const(28)
_T_RTO = const(30)
_T_PROGRESS = const(37)
_T_CWND = const(41)
_T_SSTHRESH = const(42)
_T_SHIFTS = const(45)
_T_HEARD = const(48)
_T_RETRANSMITS = const(51)
_T_OPTIONS = const(61)
_T_HOP_LIMIT = const(62)
_T_ACK_DELAY = const(63)
_T_KEEP_ALIVE = const(64)
_T_TIMEOUT = const(65)
_T_TIME_WAIT_MS = const(66)
_T_SACKED = const(67)
_T_GAPS = const(68)
_T_GAPS_LEN = const(69)

_CLOSED = const(0)
_LISTEN = const(1)
_SYN_SENT = const(2)
_SYN_RECEIVED = const(3)

_ESTABLISHED = const(4)

_FIN_WAIT_2 = const(6)
_CLOSE_WAIT = const(7)

_F_NO_DELAY = const(2)
_F_ANY = const(16)

_O_SACK = const(1)
_O_TIMESTAMPS = const(2)
_O_ECN = const(4)
_O_QUIET = const(8)
_O_RENO = const(16)
_O_CUBIC = const(32)
_O_PERSIST = const(128)

_TCP = const(6)
_DEFAULT_MSS = const(536)

_NAMES = (
    "CLOSED",
    "LISTEN",
    "SYN_SENT",
    "SYN_RECEIVED",
    "ESTABLISHED",
    "FIN_WAIT_1",
    "FIN_WAIT_2",
    "CLOSE_WAIT",
    "CLOSING",
    "LAST_ACK",
    "TIME_WAIT",
)

_CONGESTION = {"none": 0, "reno": _O_RENO, "cubic": _O_CUBIC}

# Pieces of what the peer has beyond what it acknowledges: as many as an ACK reports.
_PIECES = const(4)
_SMALL = const(512)  # of buffers: less than a segment of the least MSS
_INITIAL_RTO = const(1000)  # RFC 6298 section 2


def _check(value, name, least=0, most=1 << 28):
    if not isinstance(value, int) or not least <= value <= most:
        raise ValueError("%s must be %d to %d" % (name, least, most))


class TCPSettings(Socket):
    """A TCP socket, but for data and its end."""

    # What others keep as attributes lies in here, since each takes 8 bytes of every socket.
    _parts = (None, None, -1)
    _fin_timeout = 60000
    _persist_timeout = 0

    @property
    def iface(self):
        """The interface that the socket is on, or None."""
        return self._parts[0]

    @property
    def _st(self):
        return self._parts[0]._st

    @property
    def _slot(self):
        return self._parts[2]

    def _layout(self, gaps, options):
        # The control block for these options, with what an earlier one says.
        if not gaps:
            # There is never anything to report, and the peer would wait for it.
            options &= ~_O_SACK
        sacked = _T_GAPS + 2 + 2 * gaps
        pieces = 2 if len(self._tx) < _SMALL else _PIECES
        cubic = sacked + 2 + 2 * pieces
        size = cubic + 4 if options & _O_CUBIC else cubic
        tcb = array("I", (0 for _ in range(size)))
        if self._tcb is not None:
            for i in range(_T_GAPS):
                tcb[i] = self._tcb[i]
        tcb[_T_RX_SIZE] = len(self._rx)
        tcb[_T_TX_SIZE] = len(self._tx)
        tcb[_T_OPTIONS] = options
        tcb[_T_GAPS] = gaps
        tcb[_T_SACKED] = sacked
        tcb[sacked] = pieces
        self._tcb = tcb
        self._gather(self.iface, self._slot)

    # Opening

    @micropython.viper
    def _start(self, kind: int):
        # A fresh control block for the SRC (the remote end), DST and PORTS in the interface's
        # state; sizes and options stay.
        tcb = self._tcb
        t = ptr32(tcb)
        state = self._st
        st = ptr32(state)
        size = t[_T_RX_SIZE]
        i = _T_SND_UNA
        while i < _T_OPTIONS:
            if i != _T_RX_SIZE and i != _T_TX_SIZE:
                t[i] = 0
            i += 1
        t[_T_GAPS_LEN] = 0
        t[t[_T_SACKED] + 1] = 0
        t[_T_FLAGS] = t[_T_FLAGS] & _F_NO_DELAY
        t[_T_REMOTE] = st[_SRC]
        t[_T_LOCAL] = st[_DST]
        t[_T_PORTS] = st[_PORTS]
        t[_T_SHIFTS] = int(scale(size))
        t[_T_RTO] = _INITIAL_RTO
        t[_T_MSS] = _DEFAULT_MSS
        t[_T_PROGRESS] = st[_NOW]
        t[_T_HEARD] = st[_CLOCK]
        t[_T_STATE] = kind
        slot = int(self._slot)
        demux = self.iface._demux
        remove(demux, state, slot)
        insert(demux, state, slot, _TCP)

    def _need_closed(self):
        self._need_iface()
        state = self._tcb[_T_STATE]
        if state == _LISTEN:
            raise OSError(EISCONN, "socket is listening: close() it first")
        if state in (_SYN_SENT, _SYN_RECEIVED):
            raise OSError(EALREADY, "socket is connecting")
        if state != _CLOSED:
            raise OSError(EISCONN, "socket is in use, state %s" % self.state_name)

    def listen(self, port, addr=None):
        """Waits for one connection to a port, at one of our addresses or at any, and becomes it.

        Several sockets may listen on one port. Raises ValueError, or OSError(EISCONN, EALREADY)
        unless the socket is CLOSED.
        """
        self._need_closed()
        check_port(port, least=1)
        st = self._st
        st[_SRC] = 0
        st[_DST] = self._local_word(addr)
        st[_PORTS] = port
        self._start(_LISTEN)
        if addr is None:
            self._tcb[_T_FLAGS] |= _F_ANY

    def connect(self, addr, port, local_port=0):
        """Begins to connect: the SYN leaves at the next poll(). Returns 0.

        Raises ValueError; OSError(ENETUNREACH) without a route; EADDRINUSE if the connection
        exists; EISCONN or EALREADY unless the socket is CLOSED.
        """
        self._need_closed()
        addr = parse(addr)
        check_port(port, least=1)
        check_port(local_port, "local_port")
        if addr[0] >= 224 or addr[0] == 0:
            raise ValueError("addr: %d.%d.%d.%d is not a host" % tuple(addr))
        local = self._source_for(addr)
        st = self._st
        if next_hop(st) == 0 and st[_PEER_HI] & 0x100:
            raise ValueError("addr: %d.%d.%d.%d is a broadcast address" % tuple(addr))
        given = local_port
        if not given:
            local_port = self._free_port(_TCP, local)
        st[_SRC] = to_word(addr)
        st[_DST] = local
        st[_PORTS] = (port << 16) | local_port
        if given:
            slot = lookup(self.iface._demux, st, _TCP)
            if slot >= 0 and self.iface.sockets[slot].state != _LISTEN:
                raise OSError(EADDRINUSE, "local_port %d: that connection exists" % local_port)
        self._start(_SYN_SENT)
        choose_iss(st, self._tcb)
        self._wake()
        return 0

    # Options

    @property
    def hop_limit(self):
        """The IP TTL of what is sent, 1 to 255."""
        return self._tcb[_T_HOP_LIMIT]

    @hop_limit.setter
    def hop_limit(self, value):
        self._option(_T_HOP_LIMIT, "hop_limit", value, 1, 255)

    @property
    def nagle(self):
        """Whether small segments wait while others are in flight (RFC 896)."""
        return not self._tcb[_T_FLAGS] & _F_NO_DELAY

    @nagle.setter
    def nagle(self, value):
        flags = self._tcb[_T_FLAGS]
        self._tcb[_T_FLAGS] = flags & ~_F_NO_DELAY if value else flags | _F_NO_DELAY
        if self.iface is not None:
            self._wake()

    @property
    def ack_delay(self):
        """Milliseconds that an ACK may wait for company, 0 to 500 (RFC 1122 section 4.2.3.2)."""
        return self._tcb[_T_ACK_DELAY]

    @ack_delay.setter
    def ack_delay(self, value):
        self._option(_T_ACK_DELAY, "ack_delay", value, 0, 500)

    @property
    def keep_alive(self):
        """Milliseconds of silence between keep-alive probes, 0 for none."""
        return self._tcb[_T_KEEP_ALIVE]

    @keep_alive.setter
    def keep_alive(self, value):
        self._option(_T_KEEP_ALIVE, "keep_alive", value, 0, 1 << 28)
        if self.iface is not None:
            self._wake()

    @property
    def timeout(self):
        """Milliseconds that data may wait before the connection is given up; 0: the default.

        That is 15 minutes without an acknowledgment, 3 for a SYN (RFC 9293 section 3.8.3). Where
        keep-alive is on, a silent peer is given up after as long, and after one probe at least.
        """
        return self._tcb[_T_TIMEOUT]

    @timeout.setter
    def timeout(self, value):
        self._option(_T_TIMEOUT, "timeout", value, 0, 1 << 28)

    @property
    def fin_timeout(self):
        """Milliseconds of silence in FIN-WAIT-2 before the connection is given up, 0 for no limit.

        We have closed, the peer knows it, and does not close: 60 s by default, as on Linux. Any
        segment of the peer's begins the time anew. Where keep-alive is on, its limit counts
        instead.
        """
        return self._fin_timeout

    @fin_timeout.setter
    def fin_timeout(self, value):
        _check(value, "fin_timeout")
        self._fin_timeout = value
        if self.iface is not None:
            self._wake()

    @property
    def persist_timeout(self):
        """Milliseconds that the peer may keep its window closed, though it answers; 0: no limit.

        The default is what RFC 9293 section 3.8.6.1 asks for. A peer that does not answer is given
        up as `timeout` has it.
        """
        return self._persist_timeout

    @persist_timeout.setter
    def persist_timeout(self, value):
        _check(value, "persist_timeout")
        self._persist_timeout = value
        options = self._tcb[_T_OPTIONS]
        self._tcb[_T_OPTIONS] = options | _O_PERSIST if value else options & ~_O_PERSIST

    @property
    def time_wait(self):
        """Milliseconds that TIME-WAIT lasts, 0 to 240,000."""
        return self._tcb[_T_TIME_WAIT_MS]

    @time_wait.setter
    def time_wait(self, value):
        self._option(_T_TIME_WAIT_MS, "time_wait", value, 0, 240000)

    @property
    def sack(self):
        """Whether selective acknowledgments are offered (RFC 2018); set before connecting."""
        return self._tcb[_T_OPTIONS] & _O_SACK != 0

    @sack.setter
    def sack(self, value):
        self._choose(_O_SACK, _O_SACK if value else 0)

    @property
    def timestamps(self):
        """Whether timestamps are offered (RFC 7323); set before connecting."""
        return self._tcb[_T_OPTIONS] & _O_TIMESTAMPS != 0

    @timestamps.setter
    def timestamps(self, value):
        self._choose(_O_TIMESTAMPS, _O_TIMESTAMPS if value else 0)

    @property
    def ecn(self):
        """Whether congestion notification is offered (RFC 3168); set before connecting."""
        return self._tcb[_T_OPTIONS] & _O_ECN != 0

    @ecn.setter
    def ecn(self, value):
        self._choose(_O_ECN, _O_ECN if value else 0)

    @property
    def quiet(self):
        """Whether a SYN to this connection's port is dropped where no socket listens, not refused.

        So the client tries again a second later, as with a full backlog of other systems.
        """
        return self._tcb[_T_OPTIONS] & _O_QUIET != 0

    @quiet.setter
    def quiet(self, value):
        options = self._tcb[_T_OPTIONS]
        self._tcb[_T_OPTIONS] = options | _O_QUIET if value else options & ~_O_QUIET

    @property
    def congestion(self):
        """What bounds the data in flight besides the peer's window: "none", "reno" or "cubic"."""
        options = self._tcb[_T_OPTIONS]
        return "cubic" if options & _O_CUBIC else "reno" if options & _O_RENO else "none"

    @congestion.setter
    def congestion(self, value):
        if value not in _CONGESTION:
            raise ValueError("congestion must be none, reno or cubic")
        if value == "cubic":
            from . import cubic  # noqa: F401, only who chooses it needs it
        self._choose(_O_RENO | _O_CUBIC, _CONGESTION[value])

    def _choose(self, mask, bits):
        tcb = self._tcb
        if tcb[_T_STATE] > _LISTEN:
            raise OSError(EISCONN, "to be given before connecting")
        self._layout(tcb[_T_GAPS], (tcb[_T_OPTIONS] & ~mask) | bits)

    def _option(self, at, name, value, least, most):
        _check(value, name, least, most)
        self._tcb[at] = value

    # State

    @property
    def state_name(self):
        """The state as text."""
        return _NAMES[self._tcb[_T_STATE]]

    @property
    def remote_addr(self):
        """The peer's address: 4 bytes."""
        return self._addr(_T_REMOTE)

    @property
    def local_addr(self):
        """Our address: 4 bytes."""
        return self._addr(_T_LOCAL)

    def _addr(self, at):
        addr = bytearray(4)
        write_addr(self._tcb, at, addr)
        return addr

    @property
    def remote_port(self):
        """The peer's port."""
        return self._tcb[_T_PORTS] >> 16

    @property
    def local_port(self):
        """Our port."""
        return self._tcb[_T_PORTS] & 0xFFFF

    def stats(self):
        """A dict: retransmits, timeouts, dup_acks, out_of_order (counts); rtt, rto (ms); cwnd,
        ssthresh, mss, snd_wnd, rcv_wnd (bytes)."""
        t = self._tcb
        return {
            "retransmits": t[_T_RETRANSMITS],
            "timeouts": t[_T_RETRANSMITS + 1],
            "dup_acks": t[_T_RETRANSMITS + 2],
            "out_of_order": t[_T_RETRANSMITS + 3],
            "rtt": t[_T_SRTT] >> 3,
            "rto": t[_T_RTO],
            "cwnd": t[_T_CWND],
            "ssthresh": t[_T_SSTHRESH],
            "mss": t[_T_MSS],
            "snd_wnd": t[_T_SND_WND],
            "rcv_wnd": (t[_T_RCV_ADV] - t[_T_RCV_NXT]) & 0x3FFFFFFF,
        }

    def may_send(self):
        """Whether the send half is open."""
        state = self._tcb[_T_STATE]
        return state == _ESTABLISHED or state == _CLOSE_WAIT

    def may_recv(self):
        """Whether the receive half is open, or has data still."""
        tcb = self._tcb
        return _ESTABLISHED <= tcb[_T_STATE] <= _FIN_WAIT_2 or tcb[_T_RX_LEN] != 0

    def can_send(self):
        """Whether send() would return something other than -EAGAIN."""
        tcb = self._tcb
        state = tcb[_T_STATE]
        if state == _SYN_SENT or state == _SYN_RECEIVED:
            return False
        if state == _ESTABLISHED or state == _CLOSE_WAIT:
            return tcb[_T_TX_LEN] < tcb[_T_TX_SIZE]
        return True

    def can_recv(self):
        """Whether recv_into() would return something other than -EAGAIN."""
        tcb = self._tcb
        state = tcb[_T_STATE]
        if tcb[_T_RX_LEN]:
            return True
        return not (_SYN_SENT <= state <= _FIN_WAIT_2)

    def __repr__(self):
        if self.iface is None:
            return "<TCPSocket, on no interface>"
        return "<TCPSocket %s %d.%d.%d.%d:%d %d.%d.%d.%d:%d recv %d send %d>" % (
            (self.state_name,)
            + tuple(self.local_addr)
            + (self.local_port,)
            + tuple(self.remote_addr)
            + (self.remote_port, self.recv_queue, self.send_queue)
        )
