"""A datagram arrives (RFC 768, RFC 1122 section 4.1).

It is a module of its own, since the services (smolmpy/services) need no more of UDP.
"""

import micropython
from micropython import const

from ..core.demux import lookup
from ..ip.icmpv4 import closed_port
from ..kernel import reference

try:
    from .datagram_thumb import arrive, enter, places
except (ImportError, SyntaxError, AttributeError):
    from .datagram import arrive, enter, places

# Of docs/layout.md: 'make format' writes these.
_SRC = const(7)
_DST = const(8)
_PORTS = const(9)
_LAST_PORTS = const(106)
_LAST_SRC = const(107)
_LAST_DST = const(108)
_LAST_SLOT = const(109)
_UDP = const(17)


@micropython.viper
def ingress(iface, state, frame, l4, n):
    """Hands the datagram in the frame to its socket."""
    arrive, places, takers, find = iface._datagrams
    got = int(arrive(l4, state, n, places))
    if not got:
        if not int(find(iface, state, frame, l4, n)):
            return
        got = int(arrive(l4, state, n, places))
    if got > 0:
        # A handler or a service (smolmpy/services) reads it where it lies.
        takers[(got >> 16) - 1](got & 0xFFFF)


@micropython.viper
def _find(iface, state, frame, l4, n: int) -> int:
    # Looks for the socket of a sound datagram, and tells arrive() by LAST_PORTS and what follows.
    st = ptr32(state)
    ports = st[_PORTS]
    slot = int(lookup(iface._demux, state, _UDP))
    if slot < 0:
        closed_port(iface, state, frame, l4, n)
        return 0
    st[_LAST_PORTS] = ports
    st[_LAST_SRC] = st[_SRC]
    st[_LAST_DST] = st[_DST]
    st[_LAST_SLOT] = (_UDP << 16) | slot
    return 1


def attach(iface, slot, ring, rx, arrived):
    """Has the datagrams for the socket in a slot of an interface put into a ring.

    While that has no room for a single one, arrived(length) is called instead.
    """
    if not hasattr(iface, "_datagrams"):
        slots = len(iface.sockets)
        iface._places = places(slots)
        found = iface._places if isinstance(iface._places, list) else reference(iface._places)
        iface._datagrams = (arrive, found, [None] * slots, _find)
    enter(iface._places, slot, ring, rx)
    iface._datagrams[2][slot] = arrived
    iface._handle("udp", ingress)


def detach(iface, slot):
    """Takes back what attach() did for a slot."""
    iface._datagrams[2][slot] = None
