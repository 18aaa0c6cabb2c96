"""What a TCP socket sends when its turn comes, and its timers (RFC 9293 section 3.8).

The control block's layout is described in tcp.py.
"""

import micropython
from micropython import const

from ..core.schedule import set_due, wake
from ..ip.ipv4 import egress as ipv4_egress
from ..kernel import checksum, copy, copy_sum
from .congestion import rest
from .connection import arm, choose_iss, close_down, later, listen_again
from .options import offer, size, write
from .recovery import hole, in_flight, skip
from .recovery import timeout as recovery_timeout

# Of docs/layout.md: 'make format' writes these.
_KERNEL_SUM = const(3)
_NOW = const(4)
_NEXT_DUE = const(5)
_WORK = const(6)
_SRC = const(7)
_DST = const(8)
_DUES = const(29)
_DIRTY = const(30)
_SLOTS = const(31)
_CLOCK = const(110)
_NEXT_STALE = const(126)

_T_STATE = const(4)
_T_FLAGS = const(5)
_T_REMOTE = const(6)
_T_LOCAL = const(7)
_T_PORTS = const(8)
_T_ISS = const(9)
_T_SND_UNA = const(10)
_T_SND_NXT = const(11)
_T_SND_MAX = const(12)
_T_SND_WND = const(13)
_T_MAX_WND = const(16)
_T_RCV_NXT = const(18)
_T_RCV_ADV = const(19)
_T_RCV_ACKED = const(20)
_T_MSS = const(21)
_T_RX_LEN = const(23)
_T_RX_SIZE = const(24)
_T_TX_HEAD = const(25)
_T_TX_LEN = const(26)
_T_TX_SIZE = const(27)
_T_RTO = const(30)
_T_RTT_SEQ = const(31)
_T_RTT_TIME = const(32)
_T_BACKOFF = const(33)
_T_RETRANSMIT = const(34)
_T_ACK_DUE = const(35)
_T_IDLE_DUE = const(36)
_T_PROGRESS = const(37)
_T_DUP_ACKS = const(38)
_T_CWND = const(41)
_T_HIGH_RXT = const(44)
_T_SHIFTS = const(45)
_T_HEARD = const(48)
_T_SND_SMALL = const(49)
_T_RETRANSMITS = const(51)
_T_TIMEOUTS = const(52)
_T_DUP_DUE = const(55)
_T_DSACK_LEN = const(57)
_T_REPEATS = const(60)
_T_OPTIONS = const(61)
_T_HOP_LIMIT = const(62)
_T_KEEP_ALIVE = const(64)
_T_TIMEOUT = const(65)
_T_SACKED = const(67)
_T_GAPS_LEN = const(69)

_CLOSED = const(0)
_LISTEN = const(1)
_SYN_SENT = const(2)
_SYN_RECEIVED = const(3)

_ESTABLISHED = const(4)

_FIN_WAIT_1 = const(5)
_FIN_WAIT_2 = const(6)
_CLOSING = const(8)
_LAST_ACK = const(9)
_TIME_WAIT = const(10)

_F_ACK_NOW = const(1)
_F_NO_DELAY = const(2)
_F_RESET = const(4)
_F_PASSIVE = const(8)
_F_TIMING = const(32)
_F_PROBE = const(256)
_F_AGAIN = const(512)
_F_RECOVERY = const(1024)
_F_SACK = const(2048)
_F_TIMESTAMPS = const(4096)
_F_ECN = const(8192)
_F_ECHO = const(16384)
_F_CWR = const(32768)
_F_WHOLE = const(131072)
_F_SPOILT = const(1048576)

_O_ECN = const(4)
_O_HANDLER = const(64)
_O_PERSIST = const(128)

_TCP = const(6)
_FIN = const(1)
_SYN = const(2)
_RST = const(4)
_PSH = const(8)
_ACK = const(16)

_ECE = const(64)

_CWR = const(128)
_ARP_RETRY = const(1000)
_MAX_BACKOFF = const(12)
_SAFE_MSS = const(536)
_SEGMENTS_PER_TURN = const(8)

_C_TCP_TX = const(76)
_C_TCP_RST_TX = const(80)
_C_TCP_RETRANSMITS = const(81)

_EAGAIN = const(11)
_ENETUNREACH = const(101)
_ETIMEDOUT = const(110)
_EHOSTUNREACH = const(113)
_EINPROGRESS = const(115)

_ECT = const(2)  # in the IP header: this packet may be marked (RFC 3168 section 5)

# With more of them a SYN that is forged would make us a means to flood its alleged sender.
_SYN_ACK_RETRANSMITS = const(2)
# How long nothing is acknowledged before a connection is given up: RFC 9293 section 3.8.3 wants
# 100 s at least, and 3 minutes for a SYN; others wait about 15 minutes.
_GIVE_UP = const(900000)
_GIVE_UP_SYN = const(180000)
_KEEP_ALIVE_PROBES = const(4)
_BLACK_HOLE = const(2)  # timeouts in a row
_BLACK_HOLE_LATER = const(6)


@micropython.viper
def egress(socket) -> int:
    """Sends now what may be sent, and runs the timers; returns the number of segments."""
    parts = socket._parts
    iface, state, number, tcb, _tx, _frame, _l4, _rx, _tools = parts
    slot = int(number)
    if slot < 0:
        socket._need_iface()
    t = ptr32(tcb)
    st = ptr32(state)
    at = st[_DIRTY] + (slot >> 4)
    left = st[at] & ~(1 << (slot & 15))
    st[at] = left
    if not left and st[_SLOTS] <= 16:
        st[_WORK] = 0
    flags = t[_T_FLAGS]
    sent = (t[_T_SND_NXT] - t[_T_SND_UNA]) & 0x3FFFFFFF
    if flags & _F_RESET:
        result = int(_segment(parts, state, tcb, int(_acceptable(tcb)), 0, _RST | _ACK))
        if result == -_EAGAIN:
            wake(state, slot)
            return 0
        st[_C_TCP_RST_TX] = st[_C_TCP_RST_TX] + 1
        t[_T_FLAGS] = flags & _F_NO_DELAY
        return 1 if result == 0 else 0
    if t[_T_STATE] <= _LISTEN:
        return 0
    now = st[_NOW]
    if t[_T_RETRANSMIT] and not ((now - t[_T_RETRANSMIT]) >> 29) & 1:
        if not int(_retransmission_timeout(socket, tcb)):
            return 0
    if t[_T_ACK_DUE] and not ((now - t[_T_ACK_DUE]) >> 29) & 1:
        t[_T_FLAGS] = t[_T_FLAGS] | _F_ACK_NOW
    probe = 0
    if t[_T_STATE] == _TIME_WAIT and t[_T_FLAGS] & _F_ACK_NOW:
        pass  # the last ACK first, however short TIME-WAIT may be
    elif t[_T_IDLE_DUE] or t[_T_KEEP_ALIVE] or t[_T_STATE] == _FIN_WAIT_2:
        probe = int(_idle(socket, tcb))
        if t[_T_STATE] == _CLOSED:
            return 0
    count = 0
    result = 0
    turns = _SEGMENTS_PER_TURN
    if (
        t[_T_TX_LEN] == sent
        and t[_T_STATE] == _ESTABLISHED
        and not t[_T_FLAGS] & (_F_AGAIN | _F_PROBE | _F_RECOVERY)
        and t[_T_SND_MAX] == t[_T_SND_NXT]
    ):
        turns = 0  # nothing to look for
    while turns:
        result = int(_next(parts, state, tcb))
        if result <= 0:
            break
        count += 1
        turns -= 1
    if result == -_EHOSTUNREACH or result == -_ENETUNREACH:
        if t[_T_FLAGS] & _F_PASSIVE:
            listen_again(iface, state, tcb, slot)
        else:
            close_down(iface, tcb, slot, 0 - result)
        return count
    if count == _SEGMENTS_PER_TURN:
        wake(state, slot)
    elif result == 0:
        if t[_T_FLAGS] & _F_ACK_NOW:
            ahead = int(_acceptable(tcb))
            # One for each segment that came before its turn, since the peer counts them (RFC 5681
            # section 4.2): as many as make it act, or one if it can read which they are.
            copies = t[_T_DUP_DUE]
            if copies > 3:
                copies = 3
            if copies and t[_T_RCV_ACKED] != t[_T_RCV_NXT]:
                copies += 1  # the first is no duplicate: it acknowledges what came before
            if copies == 0 or t[_T_FLAGS] & _F_SACK:
                copies = 1
            while copies and result == 0:
                result = int(_segment(parts, state, tcb, ahead, 0, _ACK))
                if result == 0:
                    count += 1
                    copies -= 1
            if result == 0:
                t[_T_DUP_DUE] = 0
        if probe:
            result = int(_probe(parts, state, tcb, result))
            if result == 0:
                count += 1
    if result == -_EAGAIN:
        wake(state, slot)
    due = t[_T_RETRANSMIT]
    if not t[_T_ACK_DUE] and not t[_T_IDLE_DUE] and result != -_EINPROGRESS:
        # The usual case in line.
        st[st[_DUES] + slot] = due
        st[_NEXT_STALE] = 1
        if due and (not st[_NEXT_DUE] or (((due - st[_NEXT_DUE]) >> 29) & 1)):
            st[_NEXT_DUE] = due
        return count
    earliest = -1
    i = _T_RETRANSMIT
    while i <= _T_IDLE_DUE:
        if t[i]:
            rest = (t[i] - now) & 0x3FFFFFFF
            if rest >> 29:
                rest = 0
            if earliest < 0 or rest < earliest:
                earliest = rest
        i += 1
    if result == -_EINPROGRESS and (earliest <= 0 or earliest > _ARP_RETRY):
        earliest = _ARP_RETRY  # what is due can not go before; the answer wakes it
    set_due(state, slot, earliest)
    return count


@micropython.viper
def _probe(parts, state, tcb, result: int) -> int:
    # RFC 9293 section 3.8.4: a segment that the peer has to answer, if what went before it went.
    if result == 0:
        result = int(_segment(parts, state, tcb, -1, 0, _ACK))
    if result:
        st = ptr32(state)
        t = ptr32(tcb)
        t[_T_IDLE_DUE] = int(later(st[_NOW], 0))  # it is still due
    return result


@micropython.viper
def _acceptable(t: ptr32) -> int:
    # Where a segment without text goes, relative to SND_UNA, so that the peer takes it: behind all
    # that has been sent, whatever of it is to be sent again; but not beyond the peer's window, if
    # that has been drawn back.
    una = t[_T_SND_UNA]
    ahead = (t[_T_SND_MAX] - una) & 0x3FFFFFFF
    window = t[_T_SND_WND]
    return window if ahead > window and una != t[_T_ISS] else ahead


@micropython.viper
def _retransmission_timeout(socket, tcb) -> int:
    # The oldest segment has not been acknowledged in time, or the peer's window has stayed closed.
    # Returns 0 if the connection is given up.
    t = ptr32(tcb)
    st = ptr32(socket._st)
    now = st[_NOW]
    kind = t[_T_STATE]
    limit = t[_T_TIMEOUT]
    if not limit:
        limit = _GIVE_UP if kind > _SYN_RECEIVED else _GIVE_UP_SYN
    since = (now - t[_T_PROGRESS]) & 0x3FFFFFFF
    patient = 0  # how much longer with a closed window, if there is a limit
    if t[_T_OPTIONS] & _O_PERSIST and not t[_T_SND_WND] and kind >= _ESTABLISHED:
        closed = int(socket._persist_timeout)
        if closed < limit:
            limit = closed
        patient = limit - since
    if since >= limit:
        if kind == _SYN_RECEIVED and t[_T_FLAGS] & _F_PASSIVE:
            listen_again(socket.iface, socket._st, tcb, int(socket._slot))
        else:
            close_down(socket.iface, tcb, int(socket._slot), _ETIMEDOUT)
        return 0
    t[_T_TIMEOUTS] = t[_T_TIMEOUTS] + 1
    if t[_T_SND_MAX] != t[_T_SND_UNA]:
        recovery_timeout(tcb)
    backoff = t[_T_BACKOFF]
    row = backoff >> 8
    patience = _BLACK_HOLE_LATER if t[_T_FLAGS] & _F_WHOLE else _BLACK_HOLE
    if row >= patience and t[_T_TX_LEN] >= t[_T_MSS] and t[_T_MSS] > _SAFE_MSS:
        # Full segments vanish, without an ICMP error that says so (RFC 2923 section 2.1). Where
        # some have arrived it may be no more than a very bad line.
        t[_T_MSS] = _SAFE_MSS
    if not t[_T_SND_WND] or t[_T_SND_MAX] == t[_T_SND_UNA]:
        t[_T_FLAGS] = t[_T_FLAGS] | _F_PROBE
    elif backoff & 0xFF < _MAX_BACKOFF:
        backoff += 1
    if row < _MAX_BACKOFF:
        backoff += 1 << 8
    t[_T_BACKOFF] = backoff
    if kind != _SYN_RECEIVED or not t[_T_FLAGS] & _F_PASSIVE or row < _SYN_ACK_RETRANSMITS:
        # All that is in flight goes out again: the peer has kept what it could, and acknowledges
        # more than it gets.
        t[_T_SND_NXT] = t[_T_SND_UNA]
    arm(now, tcb)
    if patient and (t[_T_RETRANSMIT] - now) & 0x3FFFFFFF > patient:
        t[_T_RETRANSMIT] = int(later(now, patient))
    return 1


@micropython.viper
def _idle(socket, tcb) -> int:
    # The end of TIME-WAIT or of FIN-WAIT-2; or silence, where keep-alive is on: returns 1 if a
    # probe is due.
    t = ptr32(tcb)
    now = ptr32(socket._st)[_NOW]
    kind = t[_T_STATE]
    due = t[_T_IDLE_DUE]
    if kind == _TIME_WAIT:
        if not ((now - due) >> 29) & 1:
            close_down(socket.iface, tcb, int(socket._slot), 0)
        return 0
    interval = t[_T_KEEP_ALIVE]
    silence = (ptr32(socket._st)[_CLOCK] - t[_T_HEARD]) & 0x3FFFFFFF
    if kind == _FIN_WAIT_2 and not interval:
        limit = int(socket._fin_timeout)
        if not limit:
            t[_T_IDLE_DUE] = 0
        elif silence >= limit:
            close_down(socket.iface, tcb, int(socket._slot), _ETIMEDOUT)
        else:
            t[_T_IDLE_DUE] = int(later(now, limit - silence))
        return 0
    if not interval or kind < _ESTABLISHED:
        t[_T_IDLE_DUE] = 0
        return 0
    if t[_T_SND_MAX] != t[_T_SND_UNA] or t[_T_TX_LEN]:
        # RFC 9293 section 3.8.4: the data has a timer of its own.
        t[_T_IDLE_DUE] = int(later(now, interval))
        return 0
    if silence < interval:
        t[_T_IDLE_DUE] = int(later(now, interval - silence))
        return 0
    if due and ((now - due) >> 29) & 1:
        return 0
    limit = t[_T_TIMEOUT]
    if not limit:
        limit = interval * (_KEEP_ALIVE_PROBES + 1)
    elif limit < interval << 1:
        limit = interval << 1  # one probe at least
    if silence >= limit:
        close_down(socket.iface, tcb, int(socket._slot), _ETIMEDOUT)
        return 0
    t[_T_IDLE_DUE] = int(later(now, interval))
    return 1


@micropython.viper
def _next(parts, state, tcb) -> int:
    # Sends the next segment that has text, SYN or FIN, if one may go now: returns 1, 0 if there is
    # none, or a negative errno.
    t = ptr32(tcb)
    st = ptr32(state)
    kind = t[_T_STATE]
    flags = t[_T_FLAGS]
    una = t[_T_SND_UNA]
    nxt = t[_T_SND_NXT]
    ahead = (nxt - una) & 0x3FFFFFFF
    bits = _ACK
    n = 0
    filling = 0  # a hole, out of the order of SND_NXT
    if nxt == t[_T_ISS]:
        if kind == _SYN_SENT:
            if nxt == t[_T_SND_MAX]:
                choose_iss(state, tcb)
                una = t[_T_SND_UNA]
                nxt = una
            bits = _SYN | _ECE | _CWR if t[_T_OPTIONS] & _O_ECN else _SYN
        else:
            bits = _SYN | _ACK | _ECE if flags & _F_ECN else _SYN | _ACK
    elif kind <= _SYN_RECEIVED:
        return 0
    else:
        queued = t[_T_TX_LEN]
        if una == t[_T_ISS]:
            queued += 1  # the SYN comes first
        mss = t[_T_MSS]
        if flags & _F_TIMESTAMPS or t[_T_GAPS_LEN] or t[_T_DSACK_LEN]:
            mss -= int(size(tcb))
        ends = 0
        if kind == _FIN_WAIT_1 or kind == _CLOSING or kind == _LAST_ACK:
            ends = 1
            if kind != _FIN_WAIT_1 and t[_T_OPTIONS] & _O_HANDLER and t[_T_RX_LEN] and queued:
                ends = 0  # the handler answers what the peer has sent before its own FIN
        most = mss
        if flags & _F_AGAIN:
            filling = 1
            ahead = 0 if una != t[_T_ISS] else 1
            if flags & _F_SACK:
                skip(tcb, ahead)
                most = t[2]
        elif flags & _F_RECOVERY and flags & _F_SACK:
            begins = int(hole(tcb))
            if begins >= 0:
                filling = 1
                ahead = begins
                most = t[2]
        elif nxt != t[_T_SND_MAX] and t[t[_T_SACKED] + 1]:
            ahead = int(skip(tcb, ahead))
            most = t[2]
        rest = queued - ahead
        if rest < 0 or rest + ends == 0:
            return 0
        room = t[_T_SND_WND] - ahead
        n = rest if rest < mss else mss
        if n > room:
            n = room
        if n > most:
            n = most
        if flags & _F_PROBE:
            if n <= 0:
                n = 1 if rest else 0
                room = 1
        elif n <= 0 and (rest or room <= 0):
            # The window is closed. If nothing is in flight that would bring news of it, the
            # persist timer has to ask (RFC 9293 section 3.8.6.1).
            if not t[_T_RETRANSMIT]:
                t[_T_PROGRESS] = st[_NOW]
                arm(st[_NOW], tcb)
            return 0
        elif not filling:
            window = t[_T_CWND]
            flight = ahead
            if flags & _F_RECOVERY:
                if flags & _F_SACK:
                    flight = int(in_flight(tcb))
            elif t[_T_DUP_ACKS] < 3 + (t[_T_REPEATS] >> 16):
                window += t[_T_DUP_ACKS] * mss  # limited transmit (RFC 3042)
            if flight + n > window:
                return 0
            if n < mss and nxt == t[_T_SND_MAX]:
                if n < rest:
                    # The window allows but a part: a worthwhile one only (section 3.8.6.2.1).
                    if n < t[_T_MAX_WND] >> 1:
                        if not t[_T_RETRANSMIT]:
                            t[_T_PROGRESS] = st[_NOW]
                            arm(st[_NOW], tcb)
                        return 0
                elif n and not ends and not flags & _F_NO_DELAY:
                    # Nagle (RFC 896), as most do it: a small one waits while another is in flight.
                    if ((una - t[_T_SND_SMALL]) >> 31) & 1:
                        return 0
        if n == rest:
            if n:
                bits |= _PSH
            if ends and room > n:
                bits |= _FIN
        if flags & _F_CWR and n and nxt == t[_T_SND_MAX]:
            bits |= _CWR
    result = int(_segment(parts, state, tcb, ahead, n, bits))
    if result < 0:
        return result
    if nxt != t[_T_ISS] and n < mss:
        filling |= 2
    _sent(state, tcb, ahead, n, bits, filling)
    return 1


@micropython.viper
def _sent(st: ptr32, tcb, ahead: int, n: int, bits: int, how: int):
    # A segment that takes sequence numbers is on its way: how & 1, to fill a hole; how & 2, less
    # than a full one.
    t = ptr32(tcb)
    M = 0xFFFF
    M |= M << 16
    now = st[_NOW]
    nxt = t[_T_SND_NXT]
    t[_T_FLAGS] = t[_T_FLAGS] & ~(_F_PROBE | _F_AGAIN)
    end = (t[_T_SND_UNA] + ahead + n + (bits & _FIN) + ((bits >> 1) & 1)) & M
    if how & 1:
        t[_T_HIGH_RXT] = end
    if ((t[_T_SND_MAX] - end) >> 31) & 1:
        if t[_T_SND_UNA] == t[_T_SND_MAX]:
            if (now - t[_T_PROGRESS]) & 0x3FFFFFFF > t[_T_RTO]:
                rest(tcb)
            t[_T_PROGRESS] = now
        if not t[_T_FLAGS] & _F_TIMING and nxt == t[_T_SND_MAX]:
            t[_T_FLAGS] = (t[_T_FLAGS] & ~_F_SPOILT) | _F_TIMING
            t[_T_RTT_SEQ] = nxt
            t[_T_RTT_TIME] = now
        t[_T_SND_MAX] = end
        if n and how & 2:
            t[_T_SND_SMALL] = end
        if bits & _CWR:
            t[_T_FLAGS] = t[_T_FLAGS] & ~_F_CWR
    else:
        st[_C_TCP_RETRANSMITS] = st[_C_TCP_RETRANSMITS] + 1
        t[_T_RETRANSMITS] = t[_T_RETRANSMITS] + 1
        t[_T_REPEATS] = t[_T_REPEATS] + 1
        # Karn: what goes out twice is not timed; and what has to wait for it to be acknowledged
        # says no more than that it has arrived.
        from_timed = (t[_T_RTT_SEQ] - t[_T_SND_UNA] - ahead) & 0x3FFFFFFF
        if from_timed < n + (bits & _FIN) + ((bits >> 1) & 1):
            t[_T_FLAGS] = t[_T_FLAGS] & ~_F_TIMING
        else:
            t[_T_FLAGS] = t[_T_FLAGS] | _F_SPOILT
    if not how & 1 or ((nxt - end) >> 31) & 1:
        t[_T_SND_NXT] = end
    if not t[_T_RETRANSMIT]:
        arm(now, tcb)


@micropython.viper
def _segment(parts, state, tcb, ahead: int, n: int, bits: int) -> int:
    # Sends one segment: n bytes from `ahead` behind SND_UNA. Returns 0, or a negative errno if it
    # could not leave yet, or not at all while connecting. Otherwise a frame that finds no way is
    # like one that the net lost.
    t = ptr32(tcb)
    st = ptr32(state)
    iface, _state, _slot, _tcb, tx, frame, l4, _rx, _tools = parts
    p = ptr8(l4)
    flags = t[_T_FLAGS]
    seq = t[_T_SND_UNA] + ahead
    ack = t[_T_RCV_NXT] if bits & _ACK else 0
    # The window: its right edge moves on when that is worth a segment (section 3.8.6.2.2), and
    # never back.
    window = 0
    shift = t[_T_SHIFTS] >> 8
    room = t[_T_RX_SIZE] - t[_T_RX_LEN]
    header = 20
    if bits & _SYN:
        header = int(offer(state, tcb, l4, int(iface.mtu) - 40, bits & _ACK))
        window = room if room < 0xFFFF else 0xFFFF
        shift = 0
    elif bits & _ACK:
        window = (t[_T_RCV_ADV] - ack) & 0x3FFFFFFF
        gain = room - window
        if gain >= t[_T_RX_SIZE] >> 1 or gain >= t[_T_MSS]:
            window = room
        window >>= shift
        if window > 0xFFFF:
            window = 0xFFFF
        if flags & _F_TIMESTAMPS or t[_T_GAPS_LEN] or t[_T_DSACK_LEN]:
            header = int(write(state, tcb, l4))
        if flags & _F_ECHO:
            bits |= _ECE
    ports = t[_T_PORTS]
    p[0] = (ports >> 8) & 255
    p[1] = ports & 255
    p[2] = (ports >> 24) & 255
    p[3] = (ports >> 16) & 255
    p[4] = (seq >> 24) & 255
    p[5] = (seq >> 16) & 255
    p[6] = (seq >> 8) & 255
    p[7] = seq & 255
    p[8] = (ack >> 24) & 255
    p[9] = (ack >> 16) & 255
    p[10] = (ack >> 8) & 255
    p[11] = ack & 255
    p[12] = header << 2
    p[13] = bits
    p[14] = window >> 8
    p[15] = window & 255
    p[16] = 0
    p[17] = 0
    p[18] = 0
    p[19] = 0
    local = t[_T_LOCAL]
    remote = t[_T_REMOTE]
    s = (
        ((local >> 16) & 0xFFFF)
        + (local & 0xFFFF)
        + ((remote >> 16) & 0xFFFF)
        + (remote & 0xFFFF)
        + _TCP
        + header
        + n
    )
    if n:
        if header == 20:
            s += (
                ((ports >> 16) & 0xFFFF)
                + (ports & 0xFFFF)
                + ((seq >> 16) & 0xFFFF)
                + (seq & 0xFFFF)
                + ((ack >> 16) & 0xFFFF)
                + (ack & 0xFFFF)
                + ((header << 10) | bits)
                + window
            )
        else:
            s = int(checksum(l4, 0, header, s))
        ring = t[_T_TX_SIZE]
        at = t[_T_TX_HEAD] + ahead
        if t[_T_SND_UNA] == t[_T_ISS]:
            at -= 1
        if at >= ring:
            at -= ring
        first = ring - at
        if first >= n:
            t[0] = header
            t[1] = at
            t[2] = n
            t[_KERNEL_SUM] = s
            s = int(copy_sum(l4, tx, tcb))
        else:
            t[0] = header
            t[1] = at
            t[2] = first
            copy(l4, tx, tcb)
            t[0] = header + first
            t[1] = 0
            t[2] = n - first
            copy(l4, tx, tcb)
            s = int(checksum(l4, header, n, s))
    else:
        s = int(checksum(l4, 0, header, s))
    s ^= 0xFFFF
    p[16] = s >> 8
    p[17] = s & 255
    st[_SRC] = local
    st[_DST] = remote
    # RFC 3168 section 6.1.4 and 6.1.5: text may be marked, the first time that it is sent.
    tos = 0
    if flags & _F_ECN and n and not ((seq - t[_T_SND_MAX]) >> 31) & 1:
        tos = _ECT
    length = header + n
    result = int(ipv4_egress(iface, state, frame, length, _TCP, t[_T_HOP_LIMIT], tos))
    if result < 0:
        if result == -_EAGAIN or result == -_EINPROGRESS:
            return result
        if t[_T_STATE] <= _SYN_RECEIVED and (result == -_EHOSTUNREACH or result == -_ENETUNREACH):
            return result
    st[_C_TCP_TX] = st[_C_TCP_TX] + 1
    if bits & _ACK:
        M = 0xFFFF
        M |= M << 16
        edge = (ack + (window << shift)) & M
        if ((t[_T_RCV_ADV] - edge) >> 31) & 1:
            t[_T_RCV_ADV] = edge
        t[_T_RCV_ACKED] = ack
        t[_T_ACK_DUE] = 0
        t[_T_DSACK_LEN] = 0
        t[_T_FLAGS] = t[_T_FLAGS] & ~_F_ACK_NOW
    return 0
