"""The numbers of an interface: one array('I'), opened by every layer."""

from array import array

import micropython
from micropython import const

# Its words, and the tables behind them, are described in docs/layout.md.

# Of docs/layout.md: 'make format' writes these.
_WORK = const(6)
_MAC_HI = const(12)
_MAC_LO = const(13)
_ERRORS_LEFT = const(17)
_ROUTES = const(25)
_NEIGHBORS = const(27)
_NEIGHBORS_LEN = const(28)
_DUES = const(29)
_DIRTY = const(30)
_SLOTS = const(31)
_ADDRESS_TABLE = const(128)
_ADDRESS_WORDS = const(2)
_ROUTE_WORDS = const(4)
_NEIGHBOR_WORDS = const(4)


def make(mac, sockets, neighbors, routes, addresses):
    """The array for an interface with tables of these sizes; neighbors is a power of two."""
    route_table = _ADDRESS_TABLE + _ADDRESS_WORDS * addresses
    neighbor_table = route_table + _ROUTE_WORDS * routes
    dues = neighbor_table + _NEIGHBOR_WORDS * neighbors
    dirty = dues + sockets + 1
    words = dirty + (sockets + 15) // 16
    st = array("I", (0 for _ in range(words)))
    st[_MAC_HI] = (mac[0] << 8) | mac[1]
    st[_MAC_LO] = (mac[2] << 24) | (mac[3] << 16) | (mac[4] << 8) | mac[5]
    st[_ERRORS_LEFT] = 10
    st[_ROUTES] = route_table
    st[_NEIGHBORS] = neighbor_table
    st[_NEIGHBORS_LEN] = neighbors
    st[_DUES] = dues
    st[_DIRTY] = dirty
    st[_SLOTS] = sockets
    st[_ADDRESS_TABLE + 1] = 0xFFFFFFFF  # nobody is on the link of an address that there is not
    return st


@micropython.viper
def wake_all(st: ptr32):
    """Marks every socket as having something to send: whoever has nothing says so."""
    i = 0
    n = st[_SLOTS]
    while i < n:
        st[st[_DIRTY] + (i >> 4)] |= 1 << (i & 15)
        i += 1
    st[_WORK] = 1
