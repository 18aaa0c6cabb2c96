"""Ethernet II (RFC 894): the header of a frame on its way out, and the device behind it."""

import micropython
from micropython import const

# Of docs/layout.md: 'make format' writes these.
_MAC_HI = const(12)
_MAC_LO = const(13)
_PEER_HI = const(14)
_PEER_LO = const(15)
_SENDING = const(16)
_FLAGS = const(19)
_FULL = const(4)

_C_TX_FRAMES = const(33)
_C_TX_DEVICE_ERRORS = const(36)
_C_TX_DEVICE_FULL = const(37)

_EAGAIN = const(11)


@micropython.viper
def transmit(iface, state, f: ptr8, length: int) -> int:
    """Sends the frame, whose type is in place, from us to PEER. Returns 0 or a negative errno."""
    st = ptr32(state)
    hi = st[_PEER_HI]
    lo = st[_PEER_LO]
    f[0] = (hi >> 8) & 255
    f[1] = hi & 255
    f[2] = (lo >> 24) & 255
    f[3] = (lo >> 16) & 255
    f[4] = (lo >> 8) & 255
    f[5] = lo & 255
    hi = st[_MAC_HI]
    lo = st[_MAC_LO]
    f[6] = (hi >> 8) & 255
    f[7] = hi & 255
    f[8] = (lo >> 24) & 255
    f[9] = (lo >> 16) & 255
    f[10] = (lo >> 8) & 255
    f[11] = lo & 255
    hand, view = iface._way_out
    st[_SENDING] = 1
    result = int(hand(view, length))
    st[_SENDING] = 0
    if result:
        failed(state, result)
    else:
        st[_C_TX_FRAMES] = st[_C_TX_FRAMES] + 1
    return result


@micropython.viper
def failed(st: ptr32, result: int):
    """Counts a frame that the device did not take."""
    if result == -_EAGAIN:
        st[_C_TX_DEVICE_FULL] = st[_C_TX_DEVICE_FULL] + 1
        st[_FLAGS] = st[_FLAGS] | _FULL
    else:
        st[_C_TX_DEVICE_ERRORS] = st[_C_TX_DEVICE_ERRORS] + 1


@micropython.viper
def turn_back(iface, state, f: ptr8, length: int) -> int:
    """Sends the frame, changed in place, to where it came from. Returns 0 or a negative errno."""
    st = ptr32(state)
    f[0] = f[6]
    f[1] = f[7]
    f[2] = f[8]
    f[3] = f[9]
    f[4] = f[10]
    f[5] = f[11]
    hi = st[_MAC_HI]
    lo = st[_MAC_LO]
    f[6] = (hi >> 8) & 255
    f[7] = hi & 255
    f[8] = (lo >> 24) & 255
    f[9] = (lo >> 16) & 255
    f[10] = (lo >> 8) & 255
    f[11] = lo & 255
    hand, view = iface._way_out
    st[_SENDING] = 1
    result = int(hand(view, length))
    st[_SENDING] = 0
    if result:
        failed(state, result)
    else:
        st[_C_TX_FRAMES] = st[_C_TX_FRAMES] + 1
    return result
