"""What a UDP socket has queued goes out (RFC 768, RFC 1122 section 4.1)."""

import micropython
from micropython import const

from ..core.schedule import set_due, wake
from ..ip.ipv4 import find_way
from ..link.arp import request
from ..link.ethernet import failed
from .packet import PacketSocket
from .ring import pop

# Of docs/layout.md: 'make format' writes these.
_WORK = const(6)
_SRC = const(7)
_SENDING = const(16)
_DIRTY = const(30)
_SLOTS = const(31)

_R_HEAD = const(4)
_R_COUNT = const(5)
_R_CAPACITY = const(6)
_R_START = const(7)
_R_USED = const(9)
_R_SLOT = const(20)
_R_RECORDS = const(21)
_R_LENGTH = const(1)
_R_WORDS = const(5)

_ARP_RETRY = const(1000)

_C_TX_FRAMES = const(33)
_C_UDP_TX = const(70)

_EAGAIN = const(11)
_EINPROGRESS = const(115)

_R_TO_PEER = const(3)  # for build()


class UDPSending(PacketSocket):
    """The part of a UDP socket whose turn it is; `_parts` begins with build() of datagram.py."""

    @micropython.viper
    def _egress(self) -> int:
        """Sends now what is queued, not with the next poll(); returns the number of datagrams."""
        build, way_out, state, ring, out, frame = self._parts
        transmit, view = way_out
        r = ptr32(ring)
        st = ptr32(state)
        slot = r[_R_SLOT]
        at = st[_DIRTY] + (slot >> 4)
        left = st[at] & ~(1 << (slot & 15))
        st[at] = left
        if not left and st[_SLOTS] <= 16:
            st[_WORK] = 0
        count = 0
        while r[_R_COUNT]:
            r[_R_TO_PEER] = 0
            ask = 0
            n = build(frame, state, out)
            if not int(n):
                ask = int(self._find_way())
                if ask == -_EINPROGRESS:
                    break
                if ask < 0:
                    continue
                r[_R_TO_PEER] = 1
                n = build(frame, state, out)
            st[_SENDING] = 1
            result = int(transmit(view, n))
            st[_SENDING] = 0
            if result:
                self._refused(result)
            else:
                count += 1
            if ask:
                self._renew(ask)
            if result == -_EAGAIN:
                break
        return count

    flush = _egress

    @micropython.viper
    def _find_way(self) -> int:
        # As ipv4.find_way(), for the first datagram in the ring; that is dropped if there is none.
        _build, _way_out, state, ring, _out, frame = self._parts
        ask = int(find_way(self.iface, state, frame))
        if ask == -_EINPROGRESS:
            set_due(state, ptr32(ring)[_R_SLOT], _ARP_RETRY)
        elif ask < 0:
            pop(ring)
            self._error = 0 - ask
        return ask

    @micropython.viper
    def _renew(self, hop: int):
        _build, _way_out, state, _ring, _out, frame = self._parts
        request(self.iface, state, frame, _SRC, hop)

    @micropython.viper
    def _refused(self, result: int):
        # The device has not taken a datagram; where that had no room now it goes back to the ring.
        _build, _way_out, state, ring, _out, _frame = self._parts
        st = ptr32(state)
        failed(state, result)
        st[_C_TX_FRAMES] = st[_C_TX_FRAMES] - 1
        st[_C_UDP_TX] = st[_C_UDP_TX] - 1
        if result != -_EAGAIN:
            self._error = 0 - result
            return
        r = ptr32(ring)
        head = r[_R_HEAD] - 1
        if head < 0:
            head = r[_R_CAPACITY] - 1
        at = _R_RECORDS + head * _R_WORDS
        r[_R_HEAD] = head
        r[_R_START] = r[at]
        r[_R_COUNT] = r[_R_COUNT] + 1
        r[_R_USED] = r[_R_USED] + r[at + _R_LENGTH]
        wake(state, r[_R_SLOT])
