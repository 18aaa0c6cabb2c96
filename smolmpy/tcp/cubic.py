"""CUBIC (RFC 9438), in integers: loaded when a socket chooses it.

The control block's layout is described in tcp.py. CUBIC has four words at its end: W_MAX, the
window at the last loss, in bytes; EPOCH, when the present growth began, 0 for not yet; K, when it
will be back at W_MAX, in units of 16 ms; RENO, what NewReno's window would be by now.
"""

import micropython
from micropython import const

from . import congestion

# Of docs/layout.md: 'make format' writes these.
_NOW = const(4)

_T_MSS = const(21)
_T_CWND = const(41)
_T_SACKED = const(67)

_W_MAX = const(0)
_EPOCH = const(1)
_K = const(2)
_RENO_WINDOW = const(3)


@micropython.viper
def cubic(state, t: ptr32, acked: int) -> int:
    """The window, of which `acked` bytes more have been acknowledged, without a loss."""
    c = t[_T_SACKED]
    c += 2 + 2 * t[c]
    mss = t[_T_MSS]
    window = t[_T_CWND]
    now = ptr32(state)[_NOW]
    if not t[c + _EPOCH]:
        t[c + _EPOCH] = now if now else 1
        t[c + _RENO_WINDOW] = window
        # K is the cube root of (W_MAX - window) / (0.4 * MSS) seconds, that is in 16 ms units the
        # cube root of 610,352 times the difference in segments.
        gap = (t[c + _W_MAX] - window) // mss
        k = 0
        if gap > 0:
            if gap > 1600:
                gap = 1600
            goal = gap * 610352
            bit = 512
            while bit:
                trial = k | bit
                if trial * trial <= goal // trial:
                    k = trial
                bit >>= 1
        else:
            t[c + _W_MAX] = window
        t[c + _K] = k
    ticks = ((now - t[c + _EPOCH]) & 0x3FFFFFFF) >> 4
    off = ticks - t[c + _K]
    if off > 1000:
        off = 1000
    if off < -1000:
        off = -1000
    # 0.4 * MSS * off^3, off in seconds; 62.5 units are one.
    cube = off * off * off
    grown = (cube // 6104) * mss // 100
    target = t[c + _W_MAX] + grown
    # Section 4.3: never slower than NewReno would be.
    reno = t[c + _RENO_WINDOW]
    reno += (acked * mss // reno) * 53 // 100 + 1
    t[c + _RENO_WINDOW] = reno
    if target < reno:
        target = reno
    if target > window + (window >> 1):
        target = window + (window >> 1)
    if target > window:
        # In 32 bits, for windows up to 1 MiB.
        shift = 0
        while window >> shift > 4095:
            shift += 1
        step = (target - window) * (acked >> shift) // (window >> shift)
        window += step if step else 1
    return window


congestion._cubic = cubic
