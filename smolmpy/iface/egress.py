"""Turns: every socket whose time has come, or that has something to send, is let send.

The tables that say so are in core/schedule.py.
"""

import micropython
from micropython import const

from ..core.schedule import set_due
from ..link.arp import request

# Of docs/layout.md: 'make format' writes these.
_NOW = const(4)
_NEXT_DUE = const(5)
_WORK = const(6)
_SENDING = const(16)
_FLAGS = const(19)
_ANNOUNCE = const(20)
_ADDRESSES = const(24)
_DUES = const(29)
_DIRTY = const(30)
_SLOTS = const(31)
_NEXT_STALE = const(126)
_ADDRESS_TABLE = const(128)
_ADDRESS_WORDS = const(2)
_MORE = const(2)
_FULL = const(4)
_LATER = const(16)
_ASK = const(2048)

_EAGAIN = const(11)


@micropython.viper
def _expire(st: ptr32):
    # Marks every socket whose time has come, and the device, and finds the next time.
    now = st[_NOW]
    earliest = 0
    slot = 0
    dues = st[_DUES]
    n = st[_SLOTS]
    while slot <= n:
        due = st[dues + slot]
        if due:
            if ((now - due) >> 29) & 1:
                if not earliest or (((due - earliest) >> 29) & 1):
                    earliest = due
            else:
                st[dues + slot] = 0
                if slot < n:
                    st[st[_DIRTY] + (slot >> 4)] |= 1 << (slot & 15)
                    st[_WORK] = 1
                else:
                    st[_FLAGS] = st[_FLAGS] | _MORE | _ASK
        slot += 1
    st[_NEXT_DUE] = earliest
    st[_NEXT_STALE] = 0


def ask(iface):
    """Has the device asked, even if it says that nothing waits, and again after its interval."""
    st = iface._st
    st[_FLAGS] &= ~_ASK
    interval = getattr(iface.device, "poll_interval", 0)
    if interval:
        set_due(st, st[_SLOTS], interval)
        iface._waiting[0] = 1


@micropython.viper
def egress(iface, state, turns):
    """Lets every socket send whose turn it is.

    Each is marked clean as its turn begins and marks itself again if it has more, so the walk is
    one round and ends; the rest is for the next poll. It stops where the device is full.
    """
    st = ptr32(state)
    if st[_NEXT_DUE] and not ((st[_NOW] - st[_NEXT_DUE]) >> 29) & 1:
        _expire(state)
    st[_FLAGS] = st[_FLAGS] & ~_FULL
    if st[_ANNOUNCE]:
        _announce(iface, state)
    if not st[_WORK]:
        return
    st[_WORK] = 0
    at = st[_DIRTY]
    first = 0
    while first < st[_SLOTS]:
        bits = st[at]
        slot = first
        while bits:
            if bits & 1:
                if st[_FLAGS] & _FULL:
                    st[_WORK] = 1
                    return
                st[at] = st[at] & ~(1 << (slot & 15))
                turns[slot]()
            bits >>= 1
            slot += 1
        first += 16
        at += 1


@micropython.viper
def _announce(iface, state):
    # RFC 5227 section 2.3: an ARP request for our own address tells the others.
    st = ptr32(state)
    i = 0
    while i < st[_ADDRESSES]:
        if st[_ANNOUNCE] & (1 << i):
            at = _ADDRESS_TABLE + i * _ADDRESS_WORDS
            if int(request(iface, state, iface._frame, at, at)) == -_EAGAIN:
                return
            st[_ANNOUNCE] = st[_ANNOUNCE] & ~(1 << i)
        i += 1


@micropython.viper
def delay(st: ptr32, now: int) -> int:
    """Milliseconds until there is something to do: 0 for at once, -1 for nothing."""
    if st[_WORK] or st[_ANNOUNCE] or st[_SENDING] or st[_FLAGS] & (_MORE | _LATER):
        return 1 if st[_FLAGS] & _FULL else 0
    if st[_NEXT_STALE]:
        earliest = 0
        at = st[_DUES]
        end = at + st[_SLOTS] + 1
        while at < end:
            due = st[at]
            if due and (not earliest or (((due - earliest) >> 29) & 1)):
                earliest = due
            at += 1
        st[_NEXT_DUE] = earliest
        st[_NEXT_STALE] = 0
    if not st[_NEXT_DUE]:
        return -1
    rest = (st[_NEXT_DUE] - now) & 0x3FFFFFFF
    if (rest >> 29) & 1:
        return 0
    return rest
