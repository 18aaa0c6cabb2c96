"""How a TCP connection comes about and goes: LISTEN, SYN-SENT, CLOSED (RFC 9293 section 3.10.7).

The control block's layout is described in tcp.py.
"""

import micropython
from micropython import const

from ..core.demux import insert, lookup, remove
from ..core.schedule import set_due, wake
from ..core.secret import keyed_hash
from ..ip.ipv4 import reply
from ..kernel import checksum
from .congestion import begin
from .options import put, read

# Of docs/layout.md: 'make format' writes these.
_NOW = const(4)
_SRC = const(7)
_DST = const(8)
_PORTS = const(9)
_PSEUDO = const(10)
_CLOCK = const(110)
_TS_SEEN = const(111)
_TS_VALUE = const(112)
_TS_ECHO = const(113)
_HASH = const(123)

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
_T_SND_WL1 = const(14)
_T_SND_WL2 = const(15)
_T_MAX_WND = const(16)
_T_IRS = const(17)
_T_RCV_NXT = const(18)
_T_RCV_ADV = const(19)
_T_RCV_ACKED = const(20)
_T_MSS = const(21)
_T_RX_SIZE = const(24)
_T_TX_LEN = const(26)
_T_SRTT = const(28)
_T_RTTVAR = const(29)
_T_RTO = const(30)
_T_RTT_SEQ = const(31)
_T_RTT_TIME = const(32)
_T_BACKOFF = const(33)
_T_RETRANSMIT = const(34)
_T_ACK_DUE = const(35)
_T_IDLE_DUE = const(36)
_T_PROGRESS = const(37)
_T_ERROR = const(40)
_T_RECOVER = const(43)
_T_SHIFTS = const(45)
_T_TS_RECENT = const(46)
_T_CHALLENGES = const(47)
_T_HEARD = const(48)
_T_SND_SMALL = const(49)
_T_LAST_PIECE = const(50)
_T_OPTIONS = const(61)
_T_TIMEOUT = const(65)

_CLOSED = const(0)
_LISTEN = const(1)
_SYN_RECEIVED = const(3)

_ESTABLISHED = const(4)

_TIME_WAIT = const(10)

_F_ACK_NOW = const(1)
_F_NO_DELAY = const(2)
_F_PASSIVE = const(8)
_F_ANY = const(16)
_F_TIMING = const(32)
_F_FIN_SEEN = const(128)
_F_TIMESTAMPS = const(4096)
_F_ECN = const(8192)
_F_SCALE = const(65536)
_F_SPOILT = const(1048576)

_O_TIMESTAMPS = const(2)
_O_ECN = const(4)

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
_DEFAULT_MSS = const(536)
_SYN_LOST_RTO = const(3000)
_MAX_BACKOFF = const(12)

_C_TCP_TX = const(76)
_C_TCP_MALFORMED = const(77)
_C_TCP_RST_TX = const(80)
_C_TCP_CHALLENGE_ACKS = const(84)

_ECONNREFUSED = const(111)

# Offsets in the segment, and its control bits.
_SEQ = const(4)
_ACK_NUMBER = const(8)
_CHECKSUM = const(16)
_URGENT = const(18)

_CHALLENGES_A_SECOND = const(10)
_MIN_RTO = const(200)
_MIN_VARIANCE = const(100)  # of 4 * RTTVAR
_MAX_RTO = const(60000)
_ISS_AFTER = const(65536)  # between the last sequence number of a connection and the next ISS


@micropython.viper
def choose_iss(state, tcb):
    """Sets ISS for the addresses and ports of the control block (RFC 6528)."""
    st = ptr32(state)
    t = ptr32(tcb)
    M = 0xFFFF
    M |= M << 16
    st[_SRC] = t[_T_REMOTE]
    st[_DST] = t[_T_LOCAL]
    st[_PORTS] = t[_T_PORTS]
    keyed_hash(state, 0)
    # A clock of 4 microseconds, nearly.
    t[_T_ISS] = (st[_HASH] + (st[_CLOCK] << 8)) & M
    _begin_at_iss(tcb)


@micropython.viper
def _begin_at_iss(t: ptr32):
    seq = t[_T_ISS]
    t[_T_SND_UNA] = seq
    t[_T_SND_NXT] = seq
    t[_T_SND_MAX] = seq
    t[_T_SND_WL2] = seq
    t[_T_SND_SMALL] = seq
    t[_T_RECOVER] = seq


@micropython.viper
def close_down(iface, t: ptr32, slot: int, error: int):
    """The connection is over: to CLOSED, with an errno for the program, or 0."""
    t[_T_STATE] = _CLOSED
    if not t[_T_ERROR]:
        t[_T_ERROR] = error
    t[_T_TX_LEN] = 0
    t[_T_FLAGS] = t[_T_FLAGS] & (_F_NO_DELAY | _F_FIN_SEEN)
    t[_T_RETRANSMIT] = 0
    t[_T_ACK_DUE] = 0
    t[_T_IDLE_DUE] = 0
    state = iface._st
    remove(iface._demux, state, slot)
    set_due(state, slot, -1)


@micropython.viper
def listen_again(iface, state, tcb, slot: int):
    """A connection did not come about: back to LISTEN."""
    st = ptr32(state)
    t = ptr32(tcb)
    remove(iface._demux, state, slot)
    before = int(predecessor(iface, tcb))
    if before >= 0:
        # The SYN was an old duplicate: the TIME-WAIT that gave way to it goes on.
        st[_SRC] = t[_T_REMOTE]
        st[_DST] = t[_T_LOCAL]
        st[_PORTS] = t[_T_PORTS]
        insert(iface._demux, state, before, _TCP)
    t[_T_LAST_PIECE] = 0
    st[_SRC] = 0
    st[_DST] = 0 if t[_T_FLAGS] & _F_ANY else t[_T_LOCAL]
    st[_PORTS] = t[_T_PORTS] & 0xFFFF
    t[_T_REMOTE] = 0
    t[_T_LOCAL] = st[_DST]
    t[_T_PORTS] = st[_PORTS]
    t[_T_STATE] = _LISTEN
    t[_T_FLAGS] = t[_T_FLAGS] & (_F_NO_DELAY | _F_ANY)
    t[_T_SHIFTS] = int(scale(t[_T_RX_SIZE]))
    t[_T_RETRANSMIT] = 0
    t[_T_BACKOFF] = 0
    insert(iface._demux, state, slot, _TCP)
    set_due(state, slot, -1)


@micropython.viper
def scale(size: int) -> int:
    """SHIFTS before the peer's is known: ours is such that the window of `size` fits 16 bits."""
    shift = 0
    while size >> shift > 0xFFFF:
        shift += 1
    return shift << 8


@micropython.viper
def later(now: int, delay: int) -> int:
    """The time of a timer that fires in `delay` ms: never 0."""
    due = (now + delay) & 0x3FFFFFFF
    return due if due else 1


@micropython.viper
def refuse(iface, state, frame, l4, n: int):
    """Answers a segment that belongs to no connection with an RST, made in place.

    RFC 9293 section 3.10.7.1.
    """
    st = ptr32(state)
    p = ptr8(l4)
    bits = p[_BITS]
    if bits & _RST:
        return
    if bits & _ACK:
        i = _SEQ
        while i < _ACK_NUMBER:
            p[i] = p[i + 4]
            p[i + 4] = 0
            i += 1
        p[_BITS] = _RST
    else:
        M = 0xFFFF
        M |= M << 16
        size = n - ((p[_OFFSET] >> 4) << 2) + (bits & _FIN) + ((bits >> 1) & 1)
        st[0] = 0
        st[1] = (((p[4] << 24) | (p[5] << 16) | (p[6] << 8) | p[7]) + size) & M
        put(state, 0, l4, _SEQ)
        p[_BITS] = _RST | _ACK
    p[_OFFSET] = 0x50
    p[_WINDOW] = 0
    p[_WINDOW + 1] = 0
    st[_C_TCP_RST_TX] = st[_C_TCP_RST_TX] + 1
    answer(iface, state, frame, l4, n, 20)


@micropython.viper
def answer(iface, state, frame, l4, n: int, size: int):
    """Sends the segment of n bytes back as one of `size`, of which only the ports and the sum are
    still to be set."""
    st = ptr32(state)
    p = ptr8(l4)
    b = p[0]
    p[0] = p[2]
    p[2] = b
    b = p[1]
    p[1] = p[3]
    p[3] = b
    p[_CHECKSUM] = 0
    p[_CHECKSUM + 1] = 0
    p[_URGENT] = 0
    p[_URGENT + 1] = 0
    s = int(checksum(l4, 0, size, st[_PSEUDO] - n + size)) ^ 0xFFFF
    p[_CHECKSUM] = s >> 8
    p[_CHECKSUM + 1] = s & 255
    st[_C_TCP_TX] = st[_C_TCP_TX] + 1
    reply(iface, state, frame, size)


@micropython.viper
def limited_ack(state, t: ptr32, slot: int) -> int:
    """Has an ACK sent, but so many a second at most (RFC 5961 section 7); 0 if that is reached.

    For segments that want an answer and carry nothing: without a limit two hosts that find each
    other's ACKs out of place would exchange them for ever. The count is for each connection, since
    one that all share would tell an outsider about others.
    """
    st = ptr32(state)
    time = (st[_NOW] >> 10) & 0xFFFF
    count = t[_T_CHALLENGES]
    count = (count & 0xFF) + 1 if count >> 8 == time else 1
    if count > _CHALLENGES_A_SECOND:
        return 0
    t[_T_CHALLENGES] = (time << 8) | count
    t[_T_FLAGS] = t[_T_FLAGS] | _F_ACK_NOW
    wake(state, slot)
    return 1


@micropython.viper
def challenge(state, tcb, slot: int):
    """Has an ACK sent, which an honest peer answers with an RST that fits (RFC 5961 section 3)."""
    if int(limited_ack(state, tcb, slot)):
        st = ptr32(state)
        st[_C_TCP_CHALLENGE_ACKS] = st[_C_TCP_CHALLENGE_ACKS] + 1


@micropython.viper
def reopen(iface, state, frame, l4, n: int, tcb, slot: int) -> int:
    """Has a listener take a SYN for a connection that is in TIME-WAIT; returns 1 if one does.

    RFC 6191 section 2: its timestamp has to be later than the last one of the old connection,
    or its sequence number beyond it. The TIME-WAIT leaves the demultiplexer, and comes back if
    nothing becomes of the new connection (RFC 9293 section 3.6.1).
    """
    st = ptr32(state)
    p = ptr8(l4)
    t = ptr32(tcb)
    remove(iface._demux, state, slot)
    other = int(lookup(iface._demux, state, _TCP))
    if other >= 0:
        fresh = iface.sockets[other]._tcb
        f = ptr32(fresh)
        read(state, tcb, l4, (p[_OFFSET] >> 4) << 2, 0)
        seq = (p[4] << 24) | (p[5] << 16) | (p[6] << 8) | p[7]
        later_one = ((t[_T_RCV_NXT] - seq) >> 31) & 1
        if st[_TS_SEEN]:
            if t[_T_FLAGS] & _F_TIMESTAMPS:
                if st[_TS_VALUE] != t[_T_TS_RECENT]:
                    later_one = ((t[_T_TS_RECENT] - st[_TS_VALUE]) >> 31) & 1
            elif f[_T_OPTIONS] & _O_TIMESTAMPS:
                later_one = 1
        if later_one:
            arrives_in_listen(iface, state, frame, l4, n, fresh, other)
            if f[_T_STATE] == _SYN_RECEIVED:
                f[_T_LAST_PIECE] = slot + 1
                if not ((t[_T_SND_MAX] - f[_T_ISS]) >> 31) & 1:
                    M = 0xFFFF
                    M |= M << 16
                    f[_T_ISS] = (t[_T_SND_MAX] + _ISS_AFTER) & M
                    _begin_at_iss(fresh)
                return 1
    insert(iface._demux, state, slot, _TCP)
    return 0


@micropython.viper
def predecessor(iface, t: ptr32) -> int:
    """The slot of the TIME-WAIT that gave way to a connection in SYN-RECEIVED, or -1."""
    slot = t[_T_LAST_PIECE] - 1
    if slot < 0:
        return -1
    tcb = getattr(iface.sockets[slot], "_tcb", None)
    if not tcb:
        return -1
    old = ptr32(tcb)
    if old[_T_STATE] != _TIME_WAIT or old[_T_PORTS] != t[_T_PORTS]:
        return -1
    return slot if old[_T_REMOTE] == t[_T_REMOTE] and old[_T_LOCAL] == t[_T_LOCAL] else -1


@micropython.viper
def _agree(iface, state, tcb, l4):
    # What the options of the peer's SYN bring about.
    t = ptr32(tcb)
    p = ptr8(l4)
    t[_T_MSS] = _DEFAULT_MSS
    read(state, tcb, l4, (p[_OFFSET] >> 4) << 2, 1)
    most = int(iface.mtu) - 40
    if t[_T_MSS] > most:
        t[_T_MSS] = most
    if not t[_T_FLAGS] & _F_SCALE:
        t[_T_SHIFTS] = 0
    begin(tcb)


@micropython.viper
def synchronize(st: ptr32, t: ptr32, p: ptr8, after: int):
    """What a segment `after` bytes behind the peer's SYN says about its numbers and its window."""
    M = 0xFFFF
    M |= M << 16
    seq = (((p[4] << 24) | (p[5] << 16) | (p[6] << 8) | p[7]) - after) & M
    window = (p[_WINDOW] << 8) | p[_WINDOW + 1]
    t[_T_IRS] = seq
    t[_T_RCV_NXT] = (seq + 1) & M
    t[_T_RCV_ADV] = (seq + 1) & M
    t[_T_RCV_ACKED] = seq
    t[_T_SND_WND] = window
    t[_T_MAX_WND] = window
    t[_T_SND_WL1] = seq
    t[_T_SND_WL2] = t[_T_SND_UNA]
    t[_T_HEARD] = st[_CLOCK]


@micropython.viper
def arrives_in_listen(iface, state, frame, l4, n: int, tcb, slot: int):
    """A segment for a listener: RFC 9293 section 3.10.7.2."""
    st = ptr32(state)
    p = ptr8(l4)
    bits = p[_BITS]
    if bits & _RST:
        return
    if bits & _ACK:
        refuse(iface, state, frame, l4, n)
        return
    if not bits & _SYN or bits & _FIN:
        st[_C_TCP_MALFORMED] = st[_C_TCP_MALFORMED] + 1
        return
    t = ptr32(tcb)
    remove(iface._demux, state, slot)
    insert(iface._demux, state, slot, _TCP)
    t[_T_REMOTE] = st[_SRC]
    t[_T_LOCAL] = st[_DST]
    t[_T_PORTS] = st[_PORTS]
    choose_iss(state, tcb)
    _agree(iface, state, tcb, l4)
    synchronize(state, tcb, l4, 0)
    t[_T_FLAGS] = t[_T_FLAGS] | _F_PASSIVE
    if bits & (_ECE | _CWR) == _ECE | _CWR and t[_T_OPTIONS] & _O_ECN:
        t[_T_FLAGS] = t[_T_FLAGS] | _F_ECN
    t[_T_PROGRESS] = st[_NOW]
    t[_T_STATE] = _SYN_RECEIVED
    wake(state, slot)


@micropython.viper
def arrives_in_syn_sent(iface, state, frame, l4, n: int, tcb, slot: int):
    """A segment for a socket that has sent its SYN: RFC 9293 section 3.10.7.3."""
    st = ptr32(state)
    p = ptr8(l4)
    t = ptr32(tcb)
    bits = p[_BITS]
    ack = 0
    if bits & _ACK:
        ack = (p[8] << 24) | (p[9] << 16) | (p[10] << 8) | p[11]
        if not ((t[_T_ISS] - ack) >> 31) & 1 or ((t[_T_SND_MAX] - ack) >> 31) & 1:
            refuse(iface, state, frame, l4, n)
            return
    if bits & _RST:
        if bits & _ACK:
            close_down(iface, tcb, slot, _ECONNREFUSED)
        return
    if not bits & _SYN:
        return
    _agree(iface, state, tcb, l4)
    synchronize(state, tcb, l4, 0)
    t[_T_PROGRESS] = st[_NOW]
    if t[_T_OPTIONS] & _O_ECN:
        answer = _ECE if bits & _ACK else _ECE | _CWR
        if bits & (_ECE | _CWR) == answer:
            t[_T_FLAGS] = t[_T_FLAGS] | _F_ECN
    if bits & _ACK:
        t[_T_SND_UNA] = ack
        t[_T_SND_WL2] = ack
        if t[_T_BACKOFF]:
            t[_T_RTO] = _SYN_LOST_RTO
        else:
            measure(state, tcb)
        t[_T_RETRANSMIT] = 0
        t[_T_BACKOFF] = 0
        t[_T_STATE] = _ESTABLISHED
        t[_T_FLAGS] = t[_T_FLAGS] | _F_ACK_NOW
    else:
        # Both sides have begun at once: the SYN goes out again, with an ACK.
        t[_T_STATE] = _SYN_RECEIVED
        t[_T_SND_NXT] = t[_T_ISS]
        t[_T_RETRANSMIT] = 0
    wake(state, slot)


@micropython.viper
def arm(now: int, t: ptr32):
    """Starts the retransmission timer, backed off (RFC 6298 section 5), or the persist timer.

    It never runs beyond the time at which the connection is given up.
    """
    shift = t[_T_BACKOFF] & 0xFF
    if not t[_T_SND_WND] or t[_T_SND_MAX] == t[_T_SND_UNA]:
        shift = t[_T_BACKOFF] >> 8
    delay = t[_T_RTO] << (shift if shift < _MAX_BACKOFF else _MAX_BACKOFF)
    if delay > _MAX_RTO:
        delay = _MAX_RTO
    if t[_T_TIMEOUT]:
        left = t[_T_TIMEOUT] - ((now - t[_T_PROGRESS]) & 0x3FFFFFFF)
        if left < delay:
            delay = left if left > 0 else 0
    due = (now + delay) & 0x3FFFFFFF
    t[_T_RETRANSMIT] = due if due else 1


@micropython.viper
def measure(state, tcb):
    """Takes a sample of the round trip, if the segment that is being timed has been acknowledged.

    With timestamps each new ACK is one (RFC 6298 section 2, RFC 7323 section 4). The timer stays
    backed off until then (RFC 6298 section 5, Karn's algorithm): if the ACK of what has been sent
    again ended that, a round trip beyond the RTO would have every segment sent twice, for ever.
    """
    st = ptr32(state)
    t = ptr32(tcb)
    flags = t[_T_FLAGS]
    if flags & _F_TIMESTAMPS:
        if not st[_TS_SEEN]:
            return
        r = (st[_CLOCK] - (st[_TS_ECHO] - t[_T_ISS])) & 0x3FFFFFFF
    else:
        if not ((t[_T_RTT_SEQ] - t[_T_SND_UNA]) >> 31) & 1:
            return
        r = (st[_NOW] - t[_T_RTT_TIME]) & 0x3FFFFFFF
    t[_T_FLAGS] = flags & ~(_F_TIMING | _F_SPOILT)
    if flags & (_F_SPOILT | _F_TIMESTAMPS) == _F_SPOILT:
        limit_backoff(tcb, r)  # its ACK had to wait for what was sent again: no sample
    else:
        sample(tcb, r)


@micropython.viper
def limit_backoff(t: ptr32, r: int):
    """A segment that went out once has been acknowledged within r milliseconds: the timer need not
    wait for much longer."""
    backoff = 0
    while t[_T_RTO] << backoff < r:
        backoff += 1
    if backoff < t[_T_BACKOFF] & 0xFF:
        t[_T_BACKOFF] = (t[_T_BACKOFF] & 0xFF00) | backoff


@micropython.viper
def sample(t: ptr32, r: int):
    """Takes in a round trip of r milliseconds (RFC 6298 section 2); it ends the backoff."""
    t[_T_BACKOFF] = t[_T_BACKOFF] & 0xFF00
    if not r:
        r = 1
    if r > _MAX_RTO:
        r = _MAX_RTO
    srtt = t[_T_SRTT]
    if srtt:
        var = t[_T_RTTVAR]
        error = r - (srtt >> 3)
        srtt += error
        if error < 0:
            error = 0 - error
        var += error - (var >> 2)
    else:
        srtt = r << 3
        var = r << 1
    if srtt < 1:
        srtt = 1
    t[_T_SRTT] = srtt
    t[_T_RTTVAR] = var
    # The variance has a floor as well as the sum: a steady line would otherwise leave no room for
    # the first round trip that takes a little longer.
    rto = (srtt >> 3) + (var if var > _MIN_VARIANCE else _MIN_VARIANCE)
    if rto < _MIN_RTO:
        rto = _MIN_RTO
    if rto > _MAX_RTO:
        rto = _MAX_RTO
    t[_T_RTO] = rto
