"""Pieces of a stream that have come before their turn (RFC 9293 section 3.10.7.4).

They lie in the receive ring already, at their place; the control block's gap table, whose layout
is described in tcp.py, says where each begins and ends. It is sorted, and pieces that touch are one.
"""

import micropython
from micropython import const

_T_RCV_NXT = const(18)
_T_GAPS = const(46)
_T_GAPS_LEN = const(47)
_T_GAP_TABLE = const(50)


@micropython.viper
def insert(tcb, ahead: int, size: int) -> int:
    """Notes `size` bytes that begin `ahead` bytes beyond RCV_NXT; 0 if there is no room for it."""
    t = ptr32(tcb)
    M = 0xFFFF
    M |= M << 16
    nxt = t[_T_RCV_NXT]
    n = t[_T_GAPS_LEN]
    end = ahead + size
    # The pieces from i up to j touch the new one.
    i = 0
    while i < n and (t[_T_GAP_TABLE + 2 * i + 1] - nxt) & 0x3FFFFFFF < ahead:
        i += 1
    j = i
    while j < n and (t[_T_GAP_TABLE + 2 * j] - nxt) & 0x3FFFFFFF <= end:
        j += 1
    if j > i:
        first = (t[_T_GAP_TABLE + 2 * i] - nxt) & 0x3FFFFFFF
        last = (t[_T_GAP_TABLE + 2 * j - 1] - nxt) & 0x3FFFFFFF
        if first < ahead:
            ahead = first
        if last > end:
            end = last
    elif n == t[_T_GAPS]:
        return 0
    # All of them become one: what is behind moves down, or up by one where there was none.
    by = 2 * (j - i - 1)
    at = _T_GAP_TABLE + 2 * j
    stop = _T_GAP_TABLE + 2 * n
    if by > 0:
        while at < stop:
            t[at - by] = t[at]
            at += 1
    elif by < 0:
        while stop > at:
            stop -= 1
            t[stop + 2] = t[stop]
    t[_T_GAPS_LEN] = n - (j - i) + 1
    t[_T_GAP_TABLE + 2 * i] = (nxt + ahead) & M
    t[_T_GAP_TABLE + 2 * i + 1] = (nxt + end) & M
    return 1


@micropython.viper
def reached(tcb, size: int) -> int:
    """Drops the pieces that begin within `size` bytes of RCV_NXT.

    Returns how far the last of them reaches beyond those.
    """
    t = ptr32(tcb)
    nxt = t[_T_RCV_NXT]
    n = t[_T_GAPS_LEN]
    more = 0
    i = 0
    while i < n and (t[_T_GAP_TABLE + 2 * i] - nxt) & 0x3FFFFFFF <= size:
        more = ((t[_T_GAP_TABLE + 2 * i + 1] - nxt) & 0x3FFFFFFF) - size
        i += 1
    if i:
        at = _T_GAP_TABLE + 2 * i
        stop = _T_GAP_TABLE + 2 * n
        while at < stop:
            t[at - 2 * i] = t[at]
            at += 1
        t[_T_GAPS_LEN] = n - i
    return more if more > 0 else 0
