"""Whose turn it is: the due table (timers) and the dirty table (something to send).

A socket that has something to send is marked dirty, and one that waits for a time has its word in
the due table. NEXT_DUE may be earlier than any of them, since putting off a timer leaves it alone,
but for a mark in NEXT_STALE: then a scan (iface/egress.py) finds nothing and corrects it.
"""

import micropython
from micropython import const

# Of docs/layout.md: 'make format' writes these.
_NOW = const(4)
_NEXT_DUE = const(5)
_WORK = const(6)
_DUES = const(29)
_DIRTY = const(30)
_NEXT_STALE = const(126)


@micropython.viper
def wake(st: ptr32, slot: int):
    """Marks a socket as having something to send."""
    st[st[_DIRTY] + (slot >> 4)] |= 1 << (slot & 15)
    st[_WORK] = 1


@micropython.viper
def set_due(st: ptr32, slot: int, delay: int):
    """Has a socket's turn come `delay` ms from now (less than 2^28); -1 for never."""
    st[_NEXT_STALE] = 1
    if delay < 0:
        st[st[_DUES] + slot] = 0
        return
    due = (st[_NOW] + delay) & 0x3FFFFFFF
    if not due:
        due = 1
    st[st[_DUES] + slot] = due
    if not st[_NEXT_DUE] or (((due - st[_NEXT_DUE]) >> 29) & 1):
        st[_NEXT_DUE] = due


@micropython.viper
def due_by(state, slot: int, delay: int):
    """As set_due(), unless the socket's turn comes sooner than that already."""
    st = ptr32(state)
    due = st[st[_DUES] + slot]
    if not due or not ((due - st[_NOW] - delay) >> 29) & 1:
        set_due(state, slot, delay)
