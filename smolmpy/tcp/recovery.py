"""Loss: how TCP notices it and what it sends again (RFC 5681, 6582, 6675, 3042).

The control block's layout is described in tcp.py. With SACK the pieces that the peer has are kept
in the SACKED list, and recovery fills the holes between them, as far as the congestion window
allows. Without, it sends the first segment again for each ACK that is no more than a part.
"""

import micropython
from micropython import const

from ..core.schedule import wake
from .congestion import grow, reduce
from .connection import arm, limit_backoff, sample
from .ranges import insert, reach, total

# Of docs/layout.md: 'make format' writes these.
_NOW = const(4)
_SACK_AT = const(114)

_T_FLAGS = const(5)
_T_SND_UNA = const(10)
_T_SND_NXT = const(11)
_T_SND_MAX = const(12)
_T_MSS = const(21)
_T_RTO = const(30)
_T_RTT_SEQ = const(31)
_T_RTT_TIME = const(32)
_T_BACKOFF = const(33)
_T_DUP_ACKS = const(38)
_T_CWND = const(41)
_T_SSTHRESH = const(42)
_T_RECOVER = const(43)
_T_HIGH_RXT = const(44)
_T_DUPLICATES = const(53)
_T_PRIOR_CWND = const(58)
_T_PRIOR_SSTHRESH = const(59)
_T_REPEATS = const(60)
_T_OPTIONS = const(61)
_T_SACKED = const(67)

_F_TIMING = const(32)
_F_AGAIN = const(512)
_F_RECOVERY = const(1024)
_F_SACK = const(2048)
_F_TIMESTAMPS = const(4096)
_F_TIMED_OUT = const(262144)
_F_SPOILT = const(1048576)

_O_CONGESTION = const(48)

_DUP_ACK_THRESHOLD = const(3)
_MORE_REORDERING = const(2)
_MOST_REORDERING = const(30)


@micropython.viper
def sacked(state, tcb, p: ptr8) -> int:
    """Notes the pieces that the SACK option at SACK_AT reports; returns 1 if any of it is new."""
    t = ptr32(tcb)
    una = t[_T_SND_UNA]
    sent = (t[_T_SND_MAX] - una) & 0x3FFFFFFF
    table = t[_T_SACKED]
    before = int(total(tcb, _T_SND_UNA, table, sent))
    st = ptr32(state)
    i = st[_SACK_AT]
    end = i + p[i + 1]
    i += 2
    alone = 1
    while i + 8 <= end:
        first = (p[i] << 24) | (p[i + 1] << 16) | (p[i + 2] << 8) | p[i + 3]
        last = (p[i + 4] << 24) | (p[i + 5] << 16) | (p[i + 6] << 8) | p[i + 7]
        i += 8
        # What lies beyond SND_MAX is a lie.
        first = (first - una) & 0x3FFFFFFF
        last = (last - una) & 0x3FFFFFFF
        if alone and (not last or last >> 29) and first >> 29:
            _had_twice(tcb)  # the first block, below SND_UNA (RFC 2883)
        alone = 0
        if first < last and last <= sent:
            insert(tcb, _T_SND_UNA, table, first, last - first)
            if t[_T_FLAGS] & (_F_TIMING | _F_TIMESTAMPS) == _F_TIMING:
                _time(state, tcb, first, last)
    return 1 if int(total(tcb, _T_SND_UNA, table, sent)) > before else 0


@micropython.viper
def _time(state, tcb, first: int, last: int):
    # What is being timed, or was sent after it and once as well, may be among what the peer has
    # now, `first` to `last` bytes beyond SND_UNA. With SACK it need not wait for others.
    st = ptr32(state)
    t = ptr32(tcb)
    timed = (t[_T_RTT_SEQ] - t[_T_SND_UNA]) & 0x3FFFFFFF
    if last <= timed:
        return
    r = (st[_NOW] - t[_T_RTT_TIME]) & 0x3FFFFFFF
    backoff = t[_T_BACKOFF]
    limit_backoff(tcb, r)
    if timed >= first:
        flags = t[_T_FLAGS]
        t[_T_FLAGS] = flags & ~(_F_TIMING | _F_SPOILT)
        if not flags & _F_SPOILT or r <= t[_T_RTO]:
            sample(tcb, r)
    if t[_T_BACKOFF] != backoff:
        arm(st[_NOW], tcb)


@micropython.viper
def _had_twice(t: ptr32):
    # The peer has had a segment twice. If that is so with all that has been sent again, nothing
    # was lost: they were late, or only their ACKs were lost. So the window becomes what it was
    # (RFC 3708), and more may overtake a segment before it is taken for lost.
    count = t[_T_REPEATS] & 0xFFFF
    if not count:
        return
    t[_T_REPEATS] = t[_T_REPEATS] - 1
    if count > 1 or not t[_T_PRIOR_CWND]:
        return
    if t[_T_OPTIONS] & _O_CONGESTION:
        if t[_T_CWND] < t[_T_PRIOR_CWND]:
            t[_T_CWND] = t[_T_PRIOR_CWND]
        t[_T_SSTHRESH] = t[_T_PRIOR_SSTHRESH]
    t[_T_PRIOR_CWND] = 0
    flags = t[_T_FLAGS]
    if flags & _F_TIMED_OUT:
        t[_T_SND_NXT] = t[_T_SND_MAX]
    elif t[_T_REPEATS] >> 16 < _MOST_REORDERING:
        t[_T_REPEATS] = t[_T_REPEATS] + (_MORE_REORDERING << 16)
    t[_T_FLAGS] = flags & ~(_F_RECOVERY | _F_AGAIN | _F_TIMED_OUT)


@micropython.viper
def _threshold(t: ptr32) -> int:
    # How many segments may overtake one before it is taken for lost: three, or more where the net
    # is known to reorder, but not more than are there to do it.
    most = t[_T_REPEATS] >> 16
    if most:
        flight = ((t[_T_SND_MAX] - t[_T_SND_UNA]) & 0x3FFFFFFF) // t[_T_MSS] - 1 - 3
        if most > flight:
            most = flight if flight > 0 else 0
    return 3 + most


@micropython.viper
def _begin(t: ptr32):
    # A loss, or what seems one: remembers what it costs, unless it belongs to the one before.
    if not t[_T_FLAGS] & (_F_RECOVERY | _F_TIMED_OUT):
        t[_T_PRIOR_CWND] = t[_T_CWND]
        t[_T_PRIOR_SSTHRESH] = t[_T_SSTHRESH]
        t[_T_REPEATS] = (t[_T_REPEATS] >> 16) << 16


@micropython.viper
def duplicate(state, tcb, slot: int):
    """An ACK has come that acknowledges nothing new, but says that something has arrived."""
    t = ptr32(tcb)
    t[_T_DUP_ACKS] = t[_T_DUP_ACKS] + 1
    t[_T_DUPLICATES] = t[_T_DUPLICATES] + 1
    wake(state, slot)
    flags = t[_T_FLAGS]
    if flags & _F_RECOVERY:
        if not flags & _F_SACK and t[_T_OPTIONS] & _O_CONGESTION:
            t[_T_CWND] = t[_T_CWND] + t[_T_MSS]
        return
    if ((t[_T_SND_NXT] - t[_T_SND_MAX]) >> 31) & 1:
        return  # after a timeout everything goes out again anyhow
    threshold = int(_threshold(tcb))
    if t[_T_DUP_ACKS] < threshold:
        if not flags & _F_SACK:
            return
        sent = (t[_T_SND_MAX] - t[_T_SND_UNA]) & 0x3FFFFFFF
        if int(total(tcb, _T_SND_UNA, t[_T_SACKED], sent)) <= (threshold - 1) * t[_T_MSS]:
            return
    # RFC 6582 section 3.2 step 2: not for the echo of a recovery that is just over. A timeout has
    # much sent again that the peer had, and without SACK the echo of that looks like a loss, until
    # something beyond it has been acknowledged. Where no window shrinks, a mistake is no more than
    # a segment too many, and to wait for the next timeout is worse.
    if t[_T_OPTIONS] & _O_CONGESTION:
        if ((t[_T_SND_UNA] - t[_T_RECOVER]) >> 31) & 1:
            return
        if t[_T_SND_UNA] == t[_T_RECOVER] and flags & _F_TIMED_OUT and not flags & _F_SACK:
            return
    flight = (t[_T_SND_MAX] - t[_T_SND_UNA]) & 0x3FFFFFFF
    _begin(tcb)
    reduce(tcb, flight)
    t[_T_RECOVER] = t[_T_SND_MAX]
    t[_T_HIGH_RXT] = t[_T_SND_UNA]
    t[_T_FLAGS] = (flags & ~_F_TIMED_OUT) | _F_RECOVERY | _F_AGAIN
    if t[_T_OPTIONS] & _O_CONGESTION:
        t[_T_CWND] = t[_T_SSTHRESH]
        if not flags & _F_SACK:
            t[_T_CWND] = t[_T_CWND] + _DUP_ACK_THRESHOLD * t[_T_MSS]


@micropython.viper
def progress(state, tcb, slot: int, acked: int):
    """SND_UNA has moved on by `acked` bytes."""
    t = ptr32(tcb)
    flags = t[_T_FLAGS]
    if flags & _F_SACK:
        reach(tcb, _T_SND_UNA, t[_T_SACKED], 0)
    una = t[_T_SND_UNA]
    if flags & _F_TIMED_OUT and ((t[_T_RECOVER] - una) >> 31) & 1:
        flags &= ~_F_TIMED_OUT
        t[_T_FLAGS] = flags
    if not flags & _F_RECOVERY:
        grow(state, tcb, acked)
        return
    mss = t[_T_MSS]
    if not ((una - t[_T_RECOVER]) >> 31) & 1:
        t[_T_FLAGS] = flags & ~(_F_RECOVERY | _F_AGAIN)
        if t[_T_OPTIONS] & _O_CONGESTION:
            flight = (t[_T_SND_MAX] - una) & 0x3FFFFFFF
            if flight < mss:
                flight = mss
            flight += mss
            t[_T_CWND] = flight if flight < t[_T_SSTHRESH] else t[_T_SSTHRESH]
        return
    # A part: what is missing next goes out at once; with SACK hole() knows whether anything is.
    if ((t[_T_HIGH_RXT] - una) >> 31) & 1:
        t[_T_HIGH_RXT] = una
    if not flags & _F_SACK:
        t[_T_FLAGS] = t[_T_FLAGS] | _F_AGAIN
        if t[_T_OPTIONS] & _O_CONGESTION:
            window = t[_T_CWND] - acked + mss
            t[_T_CWND] = window if window > mss else mss
    wake(state, slot)


@micropython.viper
def timeout(tcb):
    """The retransmission timer has fired: everything is sent again, beginning with one segment."""
    t = ptr32(tcb)
    flight = (t[_T_SND_MAX] - t[_T_SND_UNA]) & 0x3FFFFFFF
    _begin(tcb)
    if t[_T_OPTIONS] & _O_CONGESTION:
        if not t[_T_BACKOFF] >> 8:
            reduce(tcb, flight)
        t[_T_CWND] = t[_T_MSS]
    if t[_T_BACKOFF] >> 8 and t[_T_FLAGS] & _F_SACK:
        t[t[_T_SACKED] + 1] = 0  # the peer may have dropped what it reported (RFC 2018 section 8)
    t[_T_RECOVER] = t[_T_SND_MAX]
    t[_T_FLAGS] = (t[_T_FLAGS] & ~(_F_RECOVERY | _F_AGAIN)) | _F_TIMED_OUT
    t[_T_DUP_ACKS] = 0


@micropython.viper
def hole(tcb) -> int:
    """In recovery: how far beyond SND_UNA the next hole lies that has not been sent again.

    Word 2 of the control block gets its length. Returns -1 where there is none, or where the
    window has no room for it (RFC 6675 section 4).
    """
    t = ptr32(tcb)
    una = t[_T_SND_UNA]
    mss = t[_T_MSS]
    table = t[_T_SACKED]
    at = table + 2
    stop = at + 2 * t[table + 1]
    if at == stop:
        return -1
    top = (t[stop - 1] - una) & 0x3FFFFFFF
    begin = (t[_T_HIGH_RXT] - una) & 0x3FFFFFFF
    if int(in_flight(tcb)) + mss > t[_T_CWND]:
        return -1
    while at < stop:
        first = (t[at] - una) & 0x3FFFFFFF
        end = (t[at + 1] - una) & 0x3FFFFFFF
        if begin < first:
            if top - begin <= (2 + (t[_T_REPEATS] >> 16)) * mss and begin:
                return -1  # it may be under way still, behind what has overtaken it
            t[2] = first - begin
            return begin
        if begin < end:
            begin = end
        at += 2
    return -1


@micropython.viper
def in_flight(tcb) -> int:
    """In recovery with SACK: how much is under way, as far as one can know.

    That is what has been sent again, and what lies beyond the highest piece that has arrived.
    """
    t = ptr32(tcb)
    una = t[_T_SND_UNA]
    table = t[_T_SACKED]
    n = t[table + 1]
    top = 0
    if n:
        top = (t[table + 2 * n + 1] - una) & 0x3FFFFFFF
    begin = (t[_T_HIGH_RXT] - una) & 0x3FFFFFFF
    if begin >> 29:
        begin = 0
    if top < begin:
        top = begin
    sent = (t[_T_SND_MAX] - una) & 0x3FFFFFFF
    return sent - top + begin - int(total(tcb, _T_SND_UNA, table, begin))


@micropython.viper
def skip(t: ptr32, ahead: int) -> int:
    """After a timeout: the first byte at or beyond `ahead` that the peer does not have.

    Word 2 of the control block gets the number of bytes up to the next piece that it has.
    """
    una = t[_T_SND_UNA]
    table = t[_T_SACKED]
    at = table + 2
    stop = at + 2 * t[table + 1]
    t[2] = 0x1FFFFFFF
    while at < stop:
        first = (t[at] - una) & 0x3FFFFFFF
        end = (t[at + 1] - una) & 0x3FFFFFFF
        if ahead < first:
            t[2] = first - ahead
            return ahead
        if ahead < end:
            ahead = end
        at += 2
    return ahead
