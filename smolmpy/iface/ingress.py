"""Frames that are not what nearly all are (prediction.py): the whole of the Ethernet filter."""

import micropython
from micropython import const

from ..ip.ipv4 import ingress as ipv4_ingress
from ..link.arp import ingress as arp_ingress

# Of docs/layout.md: 'make format' writes these.
_GROUP = const(11)
_MAC_HI = const(12)
_MAC_LO = const(13)
_FLAGS = const(19)
_RAW = const(23)
_LOOPBACK = const(1)

_C_ETH_RUNT = const(38)
_C_ETH_NOT_FOR_US = const(39)
_C_ETH_SOURCE = const(40)
_C_ETH_802_3 = const(41)
_C_ETH_VLAN = const(42)
_C_ETH_TYPE = const(43)

_ETH_HEADER = const(14)
_TYPE_IPV4 = const(0x0800)
_TYPE_ARP = const(0x0806)
_TYPE_MIN = const(0x0600)  # below this the field is a length (IEEE 802.3 section 3.2.6)
_TYPE_VLAN = const(0x8100)
_TYPE_SERVICE_VLAN = const(0x88A8)


@micropython.viper
def examine(iface, state, frame, l4, n: int):
    """Handles a frame of n bytes, or counts why not."""
    st = ptr32(state)
    f = ptr8(frame)
    if n < _ETH_HEADER:
        st[_C_ETH_RUNT] = st[_C_ETH_RUNT] + 1
        return
    if st[_RAW]:
        iface._raw_ingress(iface, iface._frame, n, 0)
    st[_GROUP] = 0
    mac = st[_MAC_LO]
    hi = (f[0] << 8) | f[1]
    lo = (f[2] << 24) | (f[3] << 16) | (f[4] << 8) | f[5]
    if lo != mac or hi != st[_MAC_HI]:
        st[_GROUP] = 1
        if hi & lo & 0xFFFF != 0xFFFF or lo >> 16 & 0xFFFF != 0xFFFF:
            if not f[0] & 1 or not int(iface._is_joined(iface._frame)):
                st[_C_ETH_NOT_FOR_US] = st[_C_ETH_NOT_FOR_US] + 1
                return
    lo = (f[8] << 24) | (f[9] << 16) | (f[10] << 8) | f[11]
    if f[6] & 1 or (lo == mac and ((f[6] << 8) | f[7]) == st[_MAC_HI]):
        if f[6] & 1 or not st[_FLAGS] & _LOOPBACK:
            st[_C_ETH_SOURCE] = st[_C_ETH_SOURCE] + 1
            return
    kind = (f[12] << 8) | f[13]
    if kind == _TYPE_IPV4:
        ipv4_ingress(iface, state, frame, l4, n - _ETH_HEADER)
    elif kind == _TYPE_ARP:
        arp_ingress(iface, state, frame, n)
    elif kind < _TYPE_MIN:
        st[_C_ETH_802_3] = st[_C_ETH_802_3] + 1
    elif kind == _TYPE_VLAN or kind == _TYPE_SERVICE_VLAN:
        st[_C_ETH_VLAN] = st[_C_ETH_VLAN] + 1
    else:
        st[_C_ETH_TYPE] = st[_C_ETH_TYPE] + 1
