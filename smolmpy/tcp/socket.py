"""TCP sockets (RFC 9293): what a program calls. input.py and output.py do the work."""

import micropython
from micropython import const

from ..core.schedule import set_due
from ..iface.interface import HANDLERS
from ..kernel import copy, reference
from ..sockets.base import buffer
from .input import icmp_error
from .settings import TCPSettings

try:
    from .prediction_thumb import SENDING, egress, ingress
except (ImportError, SyntaxError, AttributeError):
    from .output import egress
    from .prediction import ingress

    SENDING = None

# The control block is an array('I'), TCB for short, described in docs/layout.md.

# Of docs/layout.md: 'make format' writes these.
_WORK = const(6)
_DIRTY = const(30)

_T_STATE = const(4)
_T_FLAGS = const(5)
_T_RCV_NXT = const(18)
_T_RCV_ADV = const(19)
_T_MSS = const(21)
_T_RX_HEAD = const(22)
_T_RX_LEN = const(23)
_T_RX_SIZE = const(24)
_T_TX_HEAD = const(25)
_T_TX_LEN = const(26)
_T_TX_SIZE = const(27)
_T_RETRANSMIT = const(34)
_T_ACK_DUE = const(35)
_T_IDLE_DUE = const(36)
_T_ERROR = const(40)
_T_OPTIONS = const(61)
_T_HOP_LIMIT = const(62)
_T_ACK_DELAY = const(63)
_T_TIME_WAIT_MS = const(66)

_CLOSED = const(0)
_LISTEN = const(1)
_SYN_SENT = const(2)
_SYN_RECEIVED = const(3)

_ESTABLISHED = const(4)

_FIN_WAIT_1 = const(5)
_FIN_WAIT_2 = const(6)
_CLOSE_WAIT = const(7)
_CLOSING = const(8)
_LAST_ACK = const(9)
_TIME_WAIT = const(10)

_F_ACK_NOW = const(1)
_F_NO_DELAY = const(2)
_F_RESET = const(4)
_F_FIN_SEEN = const(128)

_O_SACK = const(1)
_O_RENO = const(16)
_O_HANDLER = const(64)

_EAGAIN = const(11)
_EINVAL = const(22)
_EPIPE = const(32)
_ENOTCONN = const(107)

_MOST_GAPS = const(32)
_ALL = const(0x3FFFFFFF)
_SMALL = const(512)  # of buffers: less than a segment of the least MSS

HANDLERS["tcp"] = ingress


class TCPSocket(TCPSettings):
    """A stream: `TCPSocket(rx, tx)`, bytearrays or sizes.

    gaps is the number of pieces that may be kept while one before them is missing, 0 to 32; by
    default 2 to 32, as the receive buffer is large. Each takes 8 bytes.
    """

    CLOSED = _CLOSED
    LISTEN = _LISTEN
    SYN_SENT = _SYN_SENT
    SYN_RECEIVED = _SYN_RECEIVED
    ESTABLISHED = _ESTABLISHED
    FIN_WAIT_1 = _FIN_WAIT_1
    FIN_WAIT_2 = _FIN_WAIT_2
    CLOSE_WAIT = _CLOSE_WAIT
    CLOSING = _CLOSING
    LAST_ACK = _LAST_ACK
    TIME_WAIT = _TIME_WAIT

    _egress = egress
    _handler = None

    def __init__(self, rx, tx, gaps=None):
        self._rx = buffer(rx, "rx")
        self._tx = buffer(tx, "tx")
        if gaps is None:
            size = len(self._rx)
            gaps = min(_MOST_GAPS, max(2 if size < _SMALL else 4, size >> 9))
        elif not isinstance(gaps, int) or not 0 <= gaps <= _MOST_GAPS:
            raise ValueError("gaps must be 0 to %d" % _MOST_GAPS)
        self._tcb = None
        self._layout(gaps, _O_SACK | _O_RENO)
        tcb = self._tcb
        tcb[_T_HOP_LIMIT] = 64
        tcb[_T_ACK_DELAY] = 10
        tcb[_T_TIME_WAIT_MS] = 10000

    def _attach(self, iface, slot):
        iface._handle("tcp", ingress)
        self._gather(iface, slot)

    def _gather(self, iface, slot):
        # What sending and receiving need, in one look-up.
        state = frame = l4 = None
        if iface is not None:
            state = reference(iface._st)
            frame = reference(iface._frame)
            l4 = reference(iface._l4)
        tcb = reference(self._tcb)
        tx = reference(self._tx)
        rx = reference(self._rx)
        self._parts = (iface, state, slot, tcb, tx, frame, l4, rx, SENDING)
        # The same for the program's data. What is of one of the first two classes is sent as it
        # is, and of the first is received into; all else is looked at (buffers.py).
        self._data = (bytearray, bytes, len, copy, state, slot, tcb, tx, rx)
        if self._handler and iface is not None:
            from .handler import gather, hand_over

            TCPSocket._hand_over = hand_over
            self._handing = gather(self)

    def _detach(self):
        self._gather(None, -1)
        self._tcb[_T_STATE] = _CLOSED

    # State

    @property
    def state(self):
        """One of CLOSED, LISTEN, ... TIME_WAIT."""
        return self._tcb[_T_STATE]

    @property
    def is_open(self):
        """Whether there is a connection, or one may come."""
        return 0 < self._tcb[_T_STATE] < _TIME_WAIT

    @property
    def recv_queue(self):
        """Bytes that wait to be received."""
        return self._tcb[_T_RX_LEN]

    @property
    def send_queue(self):
        """Bytes that the peer has not acknowledged."""
        return self._tcb[_T_TX_LEN]

    # Data

    @property
    def handler(self):
        """A function that takes what is received as it comes, instead of recv_into(); or None.

        It is called within poll() as handler(socket, payload, n): the first n bytes of payload, a
        memoryview, are next in the stream. It may write an answer over them, which is sent, and
        return its length; 0 is none. It gets no more at once than the send buffer has room for, so
        an answer of the same length always fits; where a longer one does not, ValueError comes
        out of poll(). Once, at the end of the peer's stream, n is 0. It may call send() and
        close(), but must not poll or flush, nor keep the view. What it raises comes out of poll();
        the bytes that it was given then count as taken.

        close() in CLOSE_WAIT: the FIN follows the answers to all that the peer has sent. In
        ESTABLISHED it follows what is queued, the answer in hand included, and answers to what
        comes later are dropped. An answer after abort() is OSError(ENOTCONN).
        """
        return self._handler

    @handler.setter
    def handler(self, function):
        if function is not None and not callable(function):
            raise TypeError("handler must be a function")
        self._handler = function
        options = self._tcb[_T_OPTIONS]
        self._tcb[_T_OPTIONS] = options | _O_HANDLER if function else options & ~_O_HANDLER
        self._gather(self.iface, self._slot)

    def _resume(self):
        # The handler has raised: it may not have been given all.
        if self._handler:
            self._hand_over(0)

    @micropython.viper
    def send_slice(self, buf, n: int) -> int:
        """As send(buf, n), in fewer steps, since n has to be given; -EINVAL if it is negative."""
        usual, other, length, copy, state, slot, tcb, tx, _rx = self._data
        t = ptr32(tcb)
        if buf.__class__ is usual:
            pass
        elif buf.__class__ is other:
            pass
        else:
            buf = self._readable(buf)
        room = int(length(buf))
        if n > room:
            n = room
        elif n < 0:
            return -_EINVAL
        kind = t[_T_STATE]
        if kind != _ESTABLISHED and kind != _CLOSE_WAIT:
            if kind == _SYN_SENT or kind == _SYN_RECEIVED:
                return -_EAGAIN
            if kind > _CLOSE_WAIT or kind == _FIN_WAIT_1 or kind == _FIN_WAIT_2:
                return -_EPIPE
            error = t[_T_ERROR]
            if error:
                t[_T_ERROR] = 0
                return -error
            return -_ENOTCONN
        size = t[_T_TX_SIZE]
        queued = t[_T_TX_LEN]
        room = size - queued
        if n > room:
            n = room
        if not n:
            # Nothing asked for is nothing sent; no room is another matter.
            return 0 if room else -_EAGAIN
        at = t[_T_TX_HEAD] + queued
        if at >= size:
            at -= size
        first = size - at
        if first > n:
            first = n
        t[0] = at
        t[1] = 0
        t[2] = first
        copy(tx, buf, tcb)
        if first < n:
            t[0] = 0
            t[1] = first
            t[2] = n - first
            copy(tx, buf, tcb)
        t[_T_TX_LEN] = queued + n
        st = ptr32(state)
        i = int(slot)
        at = st[_DIRTY] + (i >> 4)
        st[at] = st[at] | (1 << (i & 15))
        st[_WORK] = 1
        return n

    @micropython.viper
    def recv_slice(self, buf, n: int) -> int:
        """As recv_into(buf, n), in fewer steps, since n has to be given; -EINVAL if negative."""
        usual, _other, length, copy, state, slot, tcb, _tx, rx = self._data
        t = ptr32(tcb)
        if buf.__class__ is usual:
            room = int(length(buf))
        else:
            room = int(self._writable(buf))
            if room < 0:
                room = ~room
                if n > room:
                    n = room
                if n >= 0:
                    return int(self._fill(buf, n, self.recv_slice, n))
        if n > room:
            n = room
        elif n < 0:
            return -_EINVAL
        queued = t[_T_RX_LEN]
        if not queued:
            kind = t[_T_STATE]
            error = t[_T_ERROR]
            if error:
                t[_T_ERROR] = 0
                return -error
            if t[_T_FLAGS] & _F_FIN_SEEN:
                return 0
            if kind >= _SYN_SENT and kind <= _FIN_WAIT_2:
                return -_EAGAIN
            return -_ENOTCONN
        if n > queued:
            n = queued
        size = t[_T_RX_SIZE]
        at = t[_T_RX_HEAD]
        first = size - at
        if first > n:
            first = n
        t[0] = 0
        t[1] = at
        t[2] = first
        copy(buf, rx, tcb)
        if first < n:
            t[0] = first
            t[1] = 0
            t[2] = n - first
            copy(buf, rx, tcb)
        at += n
        if at >= size:
            at -= size
        t[_T_RX_HEAD] = at
        queued -= n
        t[_T_RX_LEN] = queued
        # Offer more when it is worth an ACK of its own: half of the ring; as much as the peer gets
        # an ACK for anyway; or a segment, if it may not send a full one otherwise (RFC 9293
        # section 3.8.6.2.2).
        offered = (t[_T_RCV_ADV] - t[_T_RCV_NXT]) & 0x3FFFFFFF
        gain = size - queued - offered
        mss = t[_T_MSS]
        if gain >= size >> 1 or gain >= (mss if offered < mss else mss << 1):
            kind = t[_T_STATE]
            if kind >= _ESTABLISHED and kind <= _FIN_WAIT_2:
                t[_T_FLAGS] = t[_T_FLAGS] | _F_ACK_NOW
                st = ptr32(state)
                i = int(slot)
                at = st[_DIRTY] + (i >> 4)
                st[at] = st[at] | (1 << (i & 15))
                st[_WORK] = 1
        return n

    @micropython.native
    def send(self, buf, n=None):
        """Queues up to n bytes of buf (all of it by default); returns how many.

        -EAGAIN while connecting or without room, -EPIPE after close(), the error that ended the
        connection, once, and -ENOTCONN.
        """
        if n is None:
            n = _ALL
        elif n < 0:
            raise ValueError("n must not be negative")
        return self.send_slice(buf, n)

    @micropython.native
    def recv_into(self, buf, n=None):
        """Takes up to n bytes (len(buf) by default); returns how many.

        0 at the end of the stream, -EAGAIN when nothing is there yet; when all has been taken, the
        error that ended the connection, once, and -ENOTCONN.
        """
        if n is None:
            n = _ALL
        elif n < 0:
            raise ValueError("n must not be negative")
        return self.recv_slice(buf, n)

    flush = egress

    # Closing

    def close(self):
        """Ends the send half: FIN follows what is queued. Receiving goes on until the peer's FIN.

        A listening or connecting socket goes back to CLOSED at once.
        """
        tcb = self._tcb
        state = tcb[_T_STATE]
        if state == _LISTEN or state == _SYN_SENT:
            self._drop()
        elif state == _SYN_RECEIVED or state == _ESTABLISHED or state == _CLOSE_WAIT:
            tcb[_T_STATE] = _LAST_ACK if state == _CLOSE_WAIT else _FIN_WAIT_1
            self._wake()

    def abort(self):
        """Drops the connection and all that is queued; the peer gets an RST at the next poll(),
        unless both sides have closed already (RFC 9293 section 3.10.5)."""
        tcb = self._tcb
        state = tcb[_T_STATE]
        tcb[_T_RX_LEN] = 0
        tcb[_T_TX_LEN] = 0
        if state == _CLOSED:
            return
        self._drop()
        if state in (_SYN_RECEIVED, _ESTABLISHED, _FIN_WAIT_1, _FIN_WAIT_2, _CLOSE_WAIT):
            tcb[_T_FLAGS] |= _F_RESET
            self._wake()

    def _drop(self):
        # To CLOSED without a word.
        tcb = self._tcb
        self._unname()
        tcb[_T_STATE] = _CLOSED
        tcb[_T_FLAGS] &= _F_NO_DELAY
        tcb[_T_RETRANSMIT] = tcb[_T_ACK_DUE] = tcb[_T_IDLE_DUE] = 0
        set_due(self._st, self._slot, -1)

    def _unreachable(self, number):
        icmp_error(self.iface, self._st, self._tcb, self._slot, number)
