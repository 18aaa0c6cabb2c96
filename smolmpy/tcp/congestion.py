"""How much TCP may have in flight: NewReno (RFC 5681), and what CUBIC (cubic.py) has of it.

The control block's layout is described in tcp.py.
"""

import micropython
from micropython import const

# Of docs/layout.md: 'make format' writes these.
_T_MSS = const(21)
_T_TX_SIZE = const(27)
_T_CWND = const(41)
_T_SSTHRESH = const(42)
_T_OPTIONS = const(61)
_T_SACKED = const(67)

_O_CUBIC = const(32)
_O_CONGESTION = const(48)

_W_MAX = const(0)
_EPOCH = const(1)

_INITIAL_SEGMENTS = const(10)  # RFC 6928
_UNLIMITED = const(0x1FFFFFFF)

# How the window of CUBIC grows: that of cubic.py, once a socket has chosen it.
_cubic = None


@micropython.viper
def begin(t: ptr32):
    """The window of a new connection, once MSS is known."""
    t[_T_SSTHRESH] = _UNLIMITED
    if t[_T_OPTIONS] & _O_CONGESTION:
        t[_T_CWND] = t[_T_MSS] * _INITIAL_SEGMENTS
    else:
        t[_T_CWND] = _UNLIMITED
    if t[_T_OPTIONS] & _O_CUBIC:
        c = t[_T_SACKED]
        c += 2 + 2 * t[c + 0]
        t[c + _W_MAX] = 0
        t[c + _EPOCH] = 0


@micropython.viper
def rest(t: ptr32):
    """Nothing has been in flight for an RTO: what was learned about the net is stale (RFC 5681
    section 4.1)."""
    most = t[_T_MSS] * _INITIAL_SEGMENTS
    if t[_T_OPTIONS] & _O_CONGESTION and t[_T_CWND] > most:
        t[_T_CWND] = most


@micropython.viper
def grow(state, tcb, acked: int):
    """More has been acknowledged, outside of recovery."""
    t = ptr32(tcb)
    kind = t[_T_OPTIONS] & _O_CONGESTION
    window = t[_T_CWND]
    mss = t[_T_MSS]
    # A window that the send buffer cannot fill says nothing about the net (RFC 7661).
    if not kind or window > t[_T_TX_SIZE] + mss:
        return
    # Bytes are counted, not ACKs: a burst is acknowledged by few (RFC 3465).
    if acked > window:
        acked = window
    if window < t[_T_SSTHRESH]:
        window += acked
        if window > t[_T_SSTHRESH]:
            window = t[_T_SSTHRESH]
    elif kind == _O_CUBIC:
        window = int(_cubic(state, tcb, acked))
    else:
        step = mss * acked // window
        window += step if step else 1
    t[_T_CWND] = window


@micropython.viper
def reduce(t: ptr32, flight: int):
    """A loss has been found, or ECN says that one is near: sets SSTHRESH."""
    if not t[_T_OPTIONS] & _O_CONGESTION:
        return
    half = flight >> 1
    if t[_T_OPTIONS] & _O_CUBIC:
        c = t[_T_SACKED]
        c += 2 + 2 * t[c]
        window = t[_T_CWND]
        if window > t[_T_TX_SIZE] + t[_T_MSS]:
            window = t[_T_TX_SIZE] + t[_T_MSS]
        # RFC 9438 section 4.7: who is shrinking makes room for others.
        t[c + _W_MAX] = window if window >= t[c + _W_MAX] else window * 17 // 20
        t[c + _EPOCH] = 0
        half = flight * 7 // 10
    least = 2 * t[_T_MSS]
    t[_T_SSTHRESH] = half if half > least else least
