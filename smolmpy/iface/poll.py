"""One turn of an interface: what has come, timers, and what is to go."""

import micropython
from micropython import const

from ..core.state import wake_all
from .egress import ask

# Of docs/layout.md: 'make format' writes these.
_NOW = const(4)
_NEXT_DUE = const(5)
_WORK = const(6)
_SENDING = const(16)
_FLAGS = const(19)
_ANNOUNCE = const(20)
_LAST_TCB = const(103)
_LAST_PORTS = const(106)
_CLOCK = const(110)
_FRAME_SIZE = const(127)
_MORE = const(2)
_LATER = const(16)
_RESUME = const(32)
_FAULT = const(64)
_FAULTS = const(0x7C0)
_ASK = const(2048)
_TCP = const(6)
_UDP = const(17)

_C_RX_FRAMES = const(32)
_C_TX_FRAMES = const(33)
_C_RX_DEVICE_ERRORS = const(34)
_C_RX_OVERSIZE = const(35)
_C_TX_DEVICE_ERRORS = const(36)

_EIO = const(5)
_EMSGSIZE = const(90)

_BUDGET = const(32)


@micropython.viper
def poll(self, now: int) -> int:
    """Receives, runs timers, sends; returns the number of frames received and sent.

    now is in milliseconds, of any origin, and may wrap at any power of two from 2^30 up. At
    most 32 frames are taken in and every socket has one turn, so it ends; poll_delay() is 0
    while more waits. Never raises for what came from the wire or from the device; what a handler
    or another function of the program raises comes out, and the next poll() goes on from there.
    """
    state, waiting, parts = self._poll_parts
    st = ptr32(state)
    words = ptr32(waiting)
    M = 0xFFFF
    M |= M << 16
    now &= 0x3FFFFFFF
    st[_CLOCK] = (st[_CLOCK] + ((now - st[_NOW]) & 0x3FFFFFFF)) & M
    st[_NOW] = now
    flags = st[_FLAGS]
    if flags & (_MORE | _LATER):
        if flags & _LATER:
            st[_WORK] = 1
        st[_FLAGS] = flags & ~(_MORE | _LATER)
        if flags & _RESUME:
            resume(self)
        if flags & _ASK:
            ask(self)
    if st[_SENDING]:
        rescue(self, 1)  # a flush() has not come to its end
    due = st[_NEXT_DUE]
    if due and ((now - due) >> 29) & 1:
        due = 0
    if not (words[0] or due or st[_WORK] or st[_ANNOUNCE]):
        return 0
    sent = st[_C_TX_FRAMES]
    count = 0
    n = 1
    receive, view, frame, l4, predict, tcp, udp, icmp, arp, examine, egress, turns = parts
    try:
        while words[0]:
            if count == _BUDGET:
                st[_FLAGS] = st[_FLAGS] | _MORE
                break
            n = 0
            n = int(receive(view))
            if n <= 0 or n > st[_FRAME_SIZE]:
                if n == 0:
                    break
                if n == -_EMSGSIZE:
                    st[_C_RX_OVERSIZE] = st[_C_RX_OVERSIZE] + 1
                    st[_FLAGS] = st[_FLAGS] | _MORE
                    break
                st[_C_RX_DEVICE_ERRORS] = st[_C_RX_DEVICE_ERRORS] + 1
                if n == -_EIO:
                    # Frames may wait behind what was wrong: soon again, but not for ever.
                    faults = 0
                    if flags & _MORE and not count:
                        faults = flags & _FAULTS
                    if faults != _FAULTS:
                        st[_FLAGS] = st[_FLAGS] & ~_FAULTS | _MORE | faults + _FAULT
                break
            st[_C_RX_FRAMES] = st[_C_RX_FRAMES] + 1
            count += 1
            kind = int(predict(frame, state, n))
            protocol = kind & 0xFF
            if protocol == _TCP:
                tcp(self, state, frame, l4, kind >> 8)
            elif protocol == _UDP:
                udp(self, state, frame, l4, kind >> 8)
            elif not kind:
                examine(self, state, frame, l4, n)
            elif kind < 0:
                arp(self, state, frame, n)
            else:
                icmp(self, state, frame, l4, kind >> 8)
        n = 1
        if due or st[_WORK] or st[_ANNOUNCE]:
            egress(self, state, turns)
    except rescue(self, n):
        # A device should return errors, but many a driver lets those of its bus through.
        if n:
            st[_C_TX_DEVICE_ERRORS] = st[_C_TX_DEVICE_ERRORS] + 1
        else:
            st[_C_RX_DEVICE_ERRORS] = st[_C_RX_DEVICE_ERRORS] + 1
        self._guard()
    return count + st[_C_TX_FRAMES] - sent


def rescue(iface, n):
    """Puts in order what an exception has left behind, whatever it is and wherever it came from.

    n is 0 if receive() of the device has raised it. Every socket gets a turn, and the frames that
    wait are asked for, so nobody has to know whose turn it was. Returns what poll() keeps to
    itself: OSError if the device was at work, else nothing.
    """
    st = iface._st
    ours = n and not st[_SENDING]
    st[_SENDING] = 0
    st[_LAST_PORTS] = st[_LAST_TCB] = 0
    st[_FLAGS] |= _MORE | _RESUME
    wake_all(st)
    return () if ours else OSError


def resume(iface):
    """Lets every socket go on with what an exception has kept it from."""
    st = iface._st
    st[_FLAGS] |= _MORE
    for socket in iface.sockets:
        if hasattr(socket, "_resume"):
            socket._resume()
    st[_FLAGS] &= ~_RESUME
