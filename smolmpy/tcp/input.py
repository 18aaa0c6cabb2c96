"""A TCP segment arrives (RFC 9293 section 3.10.7.4, with the answers of RFC 5961).

The control block's layout is described in tcp.py.
"""

import micropython
from micropython import const

from ..core.demux import lookup
from ..core.schedule import wake
from ..kernel import checksum, copy
from .congestion import reduce
from .connection import (
    arm,
    arrives_in_listen,
    arrives_in_syn_sent,
    challenge,
    close_down,
    later,
    limited_ack,
    listen_again,
    measure,
    predecessor,
    refuse,
    reopen,
)
from .cookie import is_quiet
from .cookie import offer as cookie_offer
from .cookie import take as cookie_take
from .options import read
from .ranges import insert as range_insert
from .ranges import reach
from .recovery import duplicate, progress, sacked

# Of docs/layout.md: 'make format' writes these.
_NOW = const(4)
_NEXT_DUE = const(5)
_WORK = const(6)
_SRC = const(7)
_DST = const(8)
_PORTS = const(9)
_PSEUDO = const(10)
_GROUP = const(11)
_FLAGS = const(19)
_QUOTED = const(21)
_QUOTED_MTU = const(22)
_DUES = const(29)
_DIRTY = const(30)
_LAST_PORTS = const(106)
_LAST_SRC = const(107)
_LAST_DST = const(108)
_LAST_SLOT = const(109)
_CLOCK = const(110)
_TS_SEEN = const(111)
_TS_VALUE = const(112)
_SACK_AT = const(114)
_TOS = const(115)
_NEXT_STALE = const(126)
_LATER = const(16)

_T_STATE = const(4)
_T_FLAGS = const(5)
_T_PORTS = const(8)
_T_ISS = const(9)
_T_SND_UNA = const(10)
_T_SND_NXT = const(11)
_T_SND_MAX = const(12)
_T_SND_WND = const(13)
_T_SND_WL1 = const(14)
_T_SND_WL2 = const(15)
_T_MAX_WND = const(16)
_T_IRS = const(17)
_T_RCV_NXT = const(18)
_T_RCV_ADV = const(19)
_T_RCV_ACKED = const(20)
_T_MSS = const(21)
_T_RX_HEAD = const(22)
_T_RX_LEN = const(23)
_T_RX_SIZE = const(24)
_T_TX_HEAD = const(25)
_T_TX_LEN = const(26)
_T_TX_SIZE = const(27)
_T_RTO = const(30)
_T_BACKOFF = const(33)
_T_RETRANSMIT = const(34)
_T_ACK_DUE = const(35)
_T_IDLE_DUE = const(36)
_T_PROGRESS = const(37)
_T_DUP_ACKS = const(38)
_T_FIN_SEQ = const(39)
_T_CWND = const(41)
_T_SSTHRESH = const(42)
_T_RECOVER = const(43)
_T_SHIFTS = const(45)
_T_TS_RECENT = const(46)
_T_HEARD = const(48)
_T_LAST_PIECE = const(50)
_T_OUT_OF_ORDER = const(54)
_T_DUP_DUE = const(55)
_T_DSACK_FROM = const(56)
_T_DSACK_LEN = const(57)
_T_OPTIONS = const(61)
_T_ACK_DELAY = const(63)
_T_KEEP_ALIVE = const(64)
_T_TIME_WAIT_MS = const(66)
_T_GAPS = const(68)
_T_GAPS_LEN = const(69)

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
_F_PASSIVE = const(8)
_F_TIMING = const(32)
_F_FIN_AHEAD = const(64)
_F_FIN_SEEN = const(128)
_F_RECOVERY = const(1024)
_F_SACK = const(2048)
_F_TIMESTAMPS = const(4096)
_F_ECN = const(8192)
_F_ECHO = const(16384)
_F_CWR = const(32768)
_F_WHOLE = const(131072)

_O_CONGESTION = const(48)
_O_HANDLER = const(64)
_O_PERSIST = const(128)

_TCP = const(6)
_FIN = const(1)
_SYN = const(2)
_RST = const(4)
_ACK = const(16)

_ECE = const(64)

_CWR = const(128)
_OFFSET = const(12)
_BITS = const(13)
_WINDOW = const(14)
_SYN_LOST_RTO = const(3000)
_SAFE_MSS = const(536)

_C_TCP_RX = const(75)
_C_TCP_MALFORMED = const(77)
_C_TCP_CHECKSUM = const(78)
_C_TCP_NO_SOCKET = const(79)
_C_TCP_OUT_OF_ORDER = const(85)
_C_TCP_SYN_DROPPED = const(87)

_EMSGSIZE = const(90)
_ECONNRESET = const(104)
_ECONNREFUSED = const(111)

_TS_RECENT_LIFETIME = const(31640)  # 24 days in units of 2^16 ms (RFC 7323 section 5.5)
_MIN_PATH_MSS = const(512)


@micropython.viper
def locate(iface, state, p: ptr8) -> int:
    """Whether the segment belongs to a connection; then LAST_SLOT is where that is."""
    st = ptr32(state)
    ports = (p[0] << 24) | (p[1] << 16) | (p[2] << 8) | p[3]
    st[_PORTS] = ports
    if (
        ports == st[_LAST_PORTS]
        and ports
        and st[_SRC] == st[_LAST_SRC]
        and st[_DST] == st[_LAST_DST]
        and st[_LAST_SLOT] >> 16 == _TCP
    ):
        return 1
    slot = int(lookup(iface._demux, state, _TCP))
    if slot < 0 or ptr32(iface.sockets[slot]._tcb)[_T_PORTS] != ports:
        return 0
    st[_LAST_PORTS] = ports
    st[_LAST_SRC] = st[_SRC]
    st[_LAST_DST] = st[_DST]
    st[_LAST_SLOT] = (_TCP << 16) | slot
    return 1


@micropython.viper
def examine(iface, state, frame, l4, n: int):
    """Handles any segment: what it is for, once its checksum is right."""
    st = ptr32(state)
    p = ptr8(l4)
    st[_C_TCP_RX] = st[_C_TCP_RX] + 1
    header = (p[_OFFSET] >> 4) << 2
    if n < 20 or header < 20 or header > n or st[_GROUP]:
        st[_C_TCP_MALFORMED] = st[_C_TCP_MALFORMED] + 1
        return
    bits = p[_BITS]
    if int(checksum(l4, 0, n, st[_PSEUDO])) != 0xFFFF:
        st[_C_TCP_CHECKSUM] = st[_C_TCP_CHECKSUM] + 1
        return
    if not (p[0] | p[1]) or not (p[2] | p[3]):
        st[_C_TCP_MALFORMED] = st[_C_TCP_MALFORMED] + 1
        return
    if bits & (_SYN | _ACK) == _ACK and int(locate(iface, state, l4)):
        slot = st[_LAST_SLOT] & 0xFFFF
    else:
        st[_PORTS] = (p[0] << 24) | (p[1] << 16) | (p[2] << 8) | p[3]
        slot = int(lookup(iface._demux, state, _TCP))
    if slot < 0:
        kind = bits & (_SYN | _FIN | _RST | _ACK)
        if kind == _SYN:
            if int(cookie_offer(iface, state, frame, l4, n)):
                return
            if int(is_quiet(iface, state)):
                st[_C_TCP_SYN_DROPPED] = st[_C_TCP_SYN_DROPPED] + 1
                return
        if kind & (_SYN | _RST | _ACK) == _ACK:
            slot = int(cookie_take(iface, state, l4, -1))
        if slot < 0:
            st[_C_TCP_NO_SOCKET] = st[_C_TCP_NO_SOCKET] + 1
            refuse(iface, state, frame, l4, n)
            return
    _iface, _state, _slot, tcb, _tx, _frame, _l4, rx, _tools = iface.sockets[slot]._parts
    t = ptr32(tcb)
    kind = t[_T_STATE]
    if kind == _TIME_WAIT and bits & (_SYN | _RST | _ACK) == _SYN:
        if int(reopen(iface, state, frame, l4, n, tcb, slot)):
            return
    if kind == _LISTEN and bits & (_SYN | _RST | _ACK) == _ACK:
        if int(cookie_take(iface, state, l4, slot)) >= 0:
            kind = _SYN_RECEIVED
    if kind == _LISTEN:
        arrives_in_listen(iface, state, frame, l4, n, tcb, slot)
    elif kind == _SYN_SENT:
        arrives_in_syn_sent(iface, state, frame, l4, n, tcb, slot)
    else:
        _arrives(iface, state, frame, l4, n, tcb, rx, slot)
        if t[_T_OPTIONS] & _O_HANDLER:
            iface.sockets[slot]._hand_over(0)


@micropython.viper
def _arrives(iface, state, frame, l4, n: int, tcb, rx, slot: int):
    # Section 3.10.7.4.
    st = ptr32(state)
    p = ptr8(l4)
    t = ptr32(tcb)
    bits = p[_BITS]
    header = (p[_OFFSET] >> 4) << 2
    seq = (p[4] << 24) | (p[5] << 16) | (p[6] << 8) | p[7]
    size = n - header
    nxt = t[_T_RCV_NXT]
    window = (t[_T_RCV_ADV] - nxt) & 0x3FFFFFFF
    length = size + (bits & _FIN) + ((bits >> 1) & 1)

    # First, the sequence number: does any of it lie in the window?
    kind = t[_T_STATE]
    st[_SACK_AT] = 0
    st[_TS_SEEN] = 0
    if header > 20 or t[_T_FLAGS] & _F_TIMESTAMPS:
        read(state, tcb, l4, header, 0)
        if not int(_is_recent(state, tcb, slot, bits, size)):
            return
    if kind == _SYN_RECEIVED and seq == t[_T_IRS] and bits & (_SYN | _ACK) == _SYN | _ACK:
        # Both sides have begun at once, and this is the other's answer to our SYN: its own SYN
        # has been taken already (section 3.5, figure 7). What is left is the segment behind it.
        bits &= 0xFF ^ _SYN
        seq = nxt
        length -= 1
        p[4] = (seq >> 24) & 255
        p[5] = (seq >> 16) & 255
        p[6] = (seq >> 8) & 255
        p[7] = seq & 255
    from_nxt = seq - nxt
    acceptable = 0
    if not length:
        if seq == nxt or (not (from_nxt >> 31) & 1 and ((from_nxt - window) >> 31) & 1):
            acceptable = 1
    elif window:
        if not (from_nxt >> 31) & 1 and ((from_nxt - window) >> 31) & 1:
            acceptable = 1
        from_nxt += length - 1
        if not (from_nxt >> 31) & 1 and ((from_nxt - window) >> 31) & 1:
            acceptable = 1
    if not acceptable:
        closed = 1 if not window and seq == nxt else 0
        if not bits & _RST:
            if not int(_reject(state, tcb, slot, l4, bits, size)):
                return
            if not bits & _ACK:
                return
        if not closed:
            return
        # A closed window keeps data out, but what the segment acknowledges counts, and an RST.
        size = 0
        bits &= 0xFF ^ _FIN

    if st[_TS_SEEN] and not ((t[_T_RCV_ACKED] - seq) >> 31) & 1:
        t[_T_TS_RECENT] = st[_TS_VALUE]  # section 4.3

    # Second, RST.
    if bits & _RST:
        _reset(iface, state, tcb, slot, 1 if seq == nxt else 0)
        return

    # Fourth, SYN; third were security and precedence, which nobody uses.
    if bits & _SYN:
        challenge(state, tcb, slot)
        return

    # Fifth, ACK.
    if not bits & _ACK:
        return
    ack = (p[8] << 24) | (p[9] << 16) | (p[10] << 8) | p[11]
    if kind == _SYN_RECEIVED:
        if not ((t[_T_SND_UNA] - ack) >> 31) & 1 or ((t[_T_SND_MAX] - ack) >> 31) & 1:
            refuse(iface, state, frame, l4, n)
            return
        t[_T_STATE] = _ESTABLISHED
        if t[_T_LAST_PIECE]:
            before = int(predecessor(iface, tcb))
            if before >= 0:
                close_down(iface, iface.sockets[before]._tcb, before, 0)
            t[_T_LAST_PIECE] = 0
        if t[_T_KEEP_ALIVE]:
            wake(state, slot)
        t[_T_SND_WND] = ((p[_WINDOW] << 8) | p[_WINDOW + 1]) << (t[_T_SHIFTS] & 0xFF)
        t[_T_SND_WL1] = seq
        t[_T_SND_WL2] = ack
    if not int(acknowledge(iface, state, tcb, slot, l4, length)):
        return
    kind = t[_T_STATE]
    if kind == _TIME_WAIT:
        return

    # Seventh, the text; sixth was URG: urgent data comes in line with the rest.
    if kind != _ESTABLISHED and kind != _FIN_WAIT_1 and kind != _FIN_WAIT_2:
        return
    if size or bits & _FIN:
        _text(state, rx, tcb, slot, l4, header, size, bits & _FIN)


@micropython.viper
def _is_recent(state, tcb, slot: int, bits: int, size: int) -> int:
    # RFC 7323 section 5.3: a segment older than what has come since is a ghost.
    st = ptr32(state)
    t = ptr32(tcb)
    if not t[_T_FLAGS] & _F_TIMESTAMPS or bits & _RST:
        return 1
    if not st[_TS_SEEN]:
        return 0
    idle = ((st[_CLOCK] - t[_T_HEARD]) >> 16) & 0xFFFF
    if ((st[_TS_VALUE] - t[_T_TS_RECENT]) >> 31) & 1 and idle < _TS_RECENT_LIFETIME:
        _answer_at_once(state, tcb, slot, bits, size)
        return 0
    return 1


@micropython.viper
def _answer_at_once(state, tcb, slot: int, bits: int, size: int):
    # To text and FIN always, since the peer goes on sending them; to others within limits.
    if size or bits & _FIN:
        t = ptr32(tcb)
        t[_T_FLAGS] = t[_T_FLAGS] | _F_ACK_NOW
        wake(state, slot)
    else:
        limited_ack(state, tcb, slot)


@micropython.viper
def _reject(state, tcb, slot: int, p: ptr8, bits: int, size: int) -> int:
    # A segment none of which lies in the window, and no RST. Returns 0 if a SYN makes it something
    # else.
    st = ptr32(state)
    t = ptr32(tcb)
    seq = (p[4] << 24) | (p[5] << 16) | (p[6] << 8) | p[7]
    again = seq == t[_T_IRS]
    kind = t[_T_STATE]
    if kind == _SYN_RECEIVED and again and bits & (_SYN | _ACK) == _SYN:
        # Its SYN once more: our answer was lost.
        t[_T_SND_NXT] = t[_T_ISS]
        wake(state, slot)
        return 0
    if bits & _SYN:
        challenge(state, tcb, slot)
        return 0
    if kind == _TIME_WAIT and bits & _FIN:
        t[_T_IDLE_DUE] = int(later(st[_NOW], t[_T_TIME_WAIT_MS]))
    if size and t[_T_FLAGS] & _F_SACK and ((seq - t[_T_RCV_NXT]) >> 31) & 1:
        # We have had it: the peer hears that, and knows that it need not have sent it again.
        t[_T_DSACK_FROM] = seq
        t[_T_DSACK_LEN] = size
    _answer_at_once(state, tcb, slot, bits, size)
    return 1


@micropython.viper
def _reset(iface, state, tcb, slot: int, exact: int):
    # An RST in the window; only one with the exact number counts (RFC 5961 section 3).
    t = ptr32(tcb)
    kind = t[_T_STATE]
    if not exact:
        challenge(state, tcb, slot)
    elif kind == _SYN_RECEIVED and t[_T_FLAGS] & _F_PASSIVE:
        listen_again(iface, state, tcb, slot)
    elif kind == _SYN_RECEIVED:
        close_down(iface, tcb, slot, _ECONNREFUSED)
    elif kind == _CLOSING or kind == _LAST_ACK or kind == _TIME_WAIT:
        close_down(iface, tcb, slot, 0)
    else:
        close_down(iface, tcb, slot, _ECONNRESET)


@micropython.viper
def acknowledge(iface, state, tcb, slot: int, l4, size: int) -> int:
    """Takes in what a segment acknowledges, and the window that it offers.

    Returns 0 if that is all that may be taken from it.
    """
    st = ptr32(state)
    p = ptr8(l4)
    t = ptr32(tcb)
    una = t[_T_SND_UNA]
    ack = (p[8] << 24) | (p[9] << 16) | (p[10] << 8) | p[11]
    window = ((p[_WINDOW] << 8) | p[_WINDOW + 1]) << (t[_T_SHIFTS] & 0xFF)
    if ((t[_T_SND_MAX] - ack) >> 31) & 1:
        # It acknowledges what was never sent.
        challenge(state, tcb, slot)
        return 0
    if ((ack - una) >> 31) & 1:
        if ((ack + t[_T_MAX_WND] - una) >> 31) & 1:
            challenge(state, tcb, slot)  # RFC 5961 section 5.2
            return 0
        return 1
    kind = t[_T_STATE]
    t[_T_HEARD] = st[_CLOCK]
    acked = (ack - una) & 0x3FFFFFFF
    again = 0
    if acked:
        t[_T_SND_UNA] = ack
        if ((t[_T_SND_NXT] - ack) >> 31) & 1:
            t[_T_SND_NXT] = ack
        if una == t[_T_ISS]:
            acked -= 1  # the SYN
        queued = t[_T_TX_LEN]
        fin = 0
        if acked > queued:
            fin = 1
            acked = queued
        if acked > _SAFE_MSS:
            t[_T_FLAGS] = t[_T_FLAGS] | _F_WHOLE
        at = t[_T_TX_HEAD] + acked
        if at >= t[_T_TX_SIZE]:
            at -= t[_T_TX_SIZE]
        t[_T_TX_HEAD] = at
        t[_T_TX_LEN] = queued - acked
        flags = t[_T_FLAGS]
        if una == t[_T_ISS] and t[_T_BACKOFF]:
            t[_T_RTO] = _SYN_LOST_RTO
            t[_T_BACKOFF] = 0
        else:
            t[_T_BACKOFF] = t[_T_BACKOFF] & 0xFF
            if flags & (_F_TIMING | _F_TIMESTAMPS):
                measure(state, tcb)
        if flags & (_F_RECOVERY | _F_SACK) or t[_T_CWND] <= t[_T_TX_SIZE] + t[_T_MSS]:
            progress(state, tcb, slot, acked)
        t[_T_DUP_ACKS] = 0
        t[_T_PROGRESS] = st[_NOW]
        if t[_T_SND_MAX] == ack:
            t[_T_RETRANSMIT] = 0
        else:
            arm(st[_NOW], tcb)
        if not t[_T_ACK_DUE] and not t[_T_IDLE_DUE]:
            st[st[_DUES] + slot] = t[_T_RETRANSMIT]
            st[_NEXT_STALE] = 1
        if fin:
            if kind == _FIN_WAIT_1:
                t[_T_STATE] = _FIN_WAIT_2
                wake(state, slot)  # its time begins
            elif kind == _CLOSING:
                _rest(state, tcb, slot)
            elif kind == _LAST_ACK:
                close_down(iface, tcb, slot, 0)
                return 0
    elif not t[_T_SND_WND]:
        # A closed window may last, as long as its owner answers and the program has no limit.
        if not t[_T_OPTIONS] & _O_PERSIST:
            t[_T_PROGRESS] = st[_NOW]
    elif t[_T_FLAGS] & _F_SACK:
        pass
    elif not size and t[_T_SND_MAX] != una and window == t[_T_SND_WND]:
        again = 1
    if st[_SACK_AT] and t[_T_FLAGS] & _F_SACK:
        # RFC 6675 section 2: with SACK a duplicate is what reports something new, and nothing
        # else. What the peer has twice it answers with a bare ACK, which is no sign of a loss.
        again = int(sacked(state, tcb, l4))
    if again:
        duplicate(state, tcb, slot)
    if t[_T_FLAGS] & _F_ECN:
        _notice(state, tcb, p[_BITS], size)
    seq = (p[4] << 24) | (p[5] << 16) | (p[6] << 8) | p[7]
    if ((t[_T_SND_WL1] - seq) >> 31) & 1 or (
        t[_T_SND_WL1] == seq and not ((ack - t[_T_SND_WL2]) >> 31) & 1
    ):
        if not t[_T_SND_WND] and window:
            # The window has opened: what the persist timer had in hand goes out as usual.
            t[_T_SND_NXT] = ack
            t[_T_BACKOFF] = t[_T_BACKOFF] & 0xFF
            t[_T_RETRANSMIT] = 0
        t[_T_SND_WND] = window
        t[_T_SND_WL1] = seq
        t[_T_SND_WL2] = ack
        if window > t[_T_MAX_WND]:
            t[_T_MAX_WND] = window
    sent = (t[_T_SND_NXT] - ack) & 0x3FFFFFFF
    if sent < t[_T_TX_LEN] or (sent == t[_T_TX_LEN] and kind >= _FIN_WAIT_1):
        wake(state, slot)
    return 1


@micropython.viper
def _notice(state, tcb, bits: int, size: int):
    # Congestion notification (RFC 3168).
    t = ptr32(tcb)
    flags = t[_T_FLAGS]
    # Section 6.1.3: a mark is echoed until the peer says that it has slowed down.
    if bits & _CWR:
        flags &= ~_F_ECHO
    if ptr32(state)[_TOS] & 3 == 3 and size:
        flags |= _F_ECHO
    una = t[_T_SND_UNA]
    if bits & _ECE and not flags & _F_RECOVERY and not ((una - t[_T_RECOVER]) >> 31) & 1:
        # Section 6.1.2: once for each window of data.
        reduce(tcb, (t[_T_SND_MAX] - una) & 0x3FFFFFFF)
        if t[_T_OPTIONS] & _O_CONGESTION:
            t[_T_CWND] = t[_T_SSTHRESH]
        t[_T_RECOVER] = t[_T_SND_MAX]
        flags |= _F_CWR
    t[_T_FLAGS] = flags


@micropython.viper
def _rest(state, t: ptr32, slot: int):
    # Into TIME-WAIT.
    st = ptr32(state)
    t[_T_STATE] = _TIME_WAIT
    t[_T_RETRANSMIT] = 0
    t[_T_IDLE_DUE] = int(later(st[_NOW], t[_T_TIME_WAIT_MS]))
    wake(state, slot)


@micropython.viper
def accept(st: ptr32, t: ptr32, slot: int, size: int):
    """`size` bytes have been put behind what the receive ring holds."""
    M = 0xFFFF
    M |= M << 16
    nxt = (t[_T_RCV_NXT] + size) & M
    t[_T_RX_LEN] = t[_T_RX_LEN] + size
    t[_T_RCV_NXT] = nxt
    # RFC 9293 section 3.8.6.3: every second full segment is acknowledged at once, others soon. At
    # once is with the next poll, since the program has most likely read them by then: so the ACK
    # opens the window again, where it would otherwise need a second one for that.
    at_once = t[_T_ACK_DELAY] == 0
    if at_once or (nxt - t[_T_RCV_ACKED]) & 0x3FFFFFFF >= t[_T_MSS] << 1:
        t[_T_FLAGS] = t[_T_FLAGS] | _F_ACK_NOW
        at = st[_DIRTY] + (slot >> 4)
        st[at] = st[at] | (1 << (slot & 15))
        if at_once:
            st[_WORK] = 1
        else:
            st[_FLAGS] = st[_FLAGS] | _LATER
    elif not t[_T_ACK_DUE]:
        due = (st[_NOW] + t[_T_ACK_DELAY]) & 0x3FFFFFFF
        if not due:
            due = 1
        t[_T_ACK_DUE] = due
        at = st[_DUES] + slot
        if not st[at] or (((due - st[at]) >> 29) & 1):
            st[at] = due
            if not st[_NEXT_DUE] or (((due - st[_NEXT_DUE]) >> 29) & 1):
                st[_NEXT_DUE] = due


@micropython.viper
def _text(state, rx, tcb, slot: int, l4, at: int, size: int, fin: int):
    # `size` bytes at l4[at:], and perhaps a FIN behind them, of which some lies in the window.
    st = ptr32(state)
    p = ptr8(l4)
    t = ptr32(tcb)
    M = 0xFFFF
    M |= M << 16
    seq = (p[4] << 24) | (p[5] << 16) | (p[6] << 8) | p[7]
    nxt = t[_T_RCV_NXT]
    if ((seq - nxt) >> 31) & 1:
        skip = (nxt - seq) & 0x3FFFFFFF
        at += skip
        size -= skip
        seq = nxt
    ahead = (seq - nxt) & 0x3FFFFFFF
    room = ((t[_T_RCV_ADV] - nxt) & 0x3FFFFFFF) - ahead
    if size > room:
        size = room
        fin = 0
    if fin:
        t[_T_FIN_SEQ] = (seq + size) & M
        t[_T_FLAGS] = t[_T_FLAGS] | _F_FIN_AHEAD
    if ahead:
        st[_C_TCP_OUT_OF_ORDER] = st[_C_TCP_OUT_OF_ORDER] + 1
        t[_T_OUT_OF_ORDER] = t[_T_OUT_OF_ORDER] + 1
        t[_T_FLAGS] = t[_T_FLAGS] | _F_ACK_NOW
        t[_T_DUP_DUE] = t[_T_DUP_DUE] + 1
        wake(state, slot)
        if not size or not int(range_insert(tcb, _T_RCV_NXT, _T_GAPS, ahead, size)):
            return
        t[_T_LAST_PIECE] = seq
    if size > 0:
        _store(rx, tcb, l4, at, ahead, size)
        if not ahead:
            if t[_T_GAPS_LEN]:
                # RFC 5681 section 4.2: what fills a gap is acknowledged at once.
                t[_T_FLAGS] = t[_T_FLAGS] | _F_ACK_NOW
                wake(state, slot)
                size += int(reach(tcb, _T_RCV_NXT, _T_GAPS, size))
            accept(state, tcb, slot, size)
    if t[_T_FLAGS] & _F_FIN_AHEAD and t[_T_FIN_SEQ] == t[_T_RCV_NXT]:
        # Eighth, FIN.
        nxt = (t[_T_RCV_NXT] + 1) & M
        t[_T_RCV_NXT] = nxt
        if ((t[_T_RCV_ADV] - nxt) >> 31) & 1:
            t[_T_RCV_ADV] = nxt  # it needs no room, so it may stand just behind the window
        t[_T_FLAGS] = (t[_T_FLAGS] & ~_F_FIN_AHEAD) | _F_FIN_SEEN | _F_ACK_NOW
        wake(state, slot)
        kind = t[_T_STATE]
        if kind == _ESTABLISHED:
            t[_T_STATE] = _CLOSE_WAIT
        elif kind == _FIN_WAIT_1:
            t[_T_STATE] = _CLOSING
        else:
            _rest(state, tcb, slot)


@micropython.viper
def _store(rx, tcb, l4, at: int, ahead: int, size: int):
    # Puts text into the receive ring, `ahead` bytes behind what it holds.
    t = ptr32(tcb)
    ring = t[_T_RX_SIZE]
    to = t[_T_RX_HEAD] + t[_T_RX_LEN] + ahead
    if to >= ring:
        to -= ring
    first = ring - to
    if first > size:
        first = size
    t[0] = to
    t[1] = at
    t[2] = first
    copy(rx, l4, tcb)
    if first < size:
        t[0] = 0
        t[1] = at + first
        t[2] = size - first
        copy(rx, l4, tcb)


@micropython.viper
def icmp_error(iface, state, tcb, slot: int, number: int):
    """An ICMP error about a segment of ours; its sequence number is in QUOTED (RFC 5927)."""
    st = ptr32(state)
    t = ptr32(tcb)
    quoted = st[_QUOTED]
    if ((quoted - t[_T_SND_UNA]) >> 31) & 1 or not ((quoted - t[_T_SND_MAX]) >> 31) & 1:
        return
    # A connection that exists does not die of an error that anybody may send (RFC 5461); one that
    # is being made tells its caller at once.
    if number == _EMSGSIZE:
        mss = st[_QUOTED_MTU] - 40
        if mss < _MIN_PATH_MSS:
            mss = _MIN_PATH_MSS  # an old router that does not say (RFC 1191), or an attack
        if mss < t[_T_MSS]:
            t[_T_MSS] = mss
            t[_T_SND_NXT] = t[_T_SND_UNA]
            t[_T_FLAGS] = t[_T_FLAGS] & ~_F_TIMING
            wake(state, slot)
    elif t[_T_STATE] == _SYN_SENT:
        close_down(iface, tcb, slot, number)
