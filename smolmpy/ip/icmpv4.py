"""ICMPv4 (RFC 792, RFC 1122 section 3.2.2): echo, and errors both ways."""

import micropython
from micropython import const

from ..core.demux import lookup
from ..kernel import checksum
from ..link.ethernet import failed
from .ipv4 import answer, reply

# Of docs/layout.md: 'make format' writes these.
_NOW = const(4)
_SRC = const(7)
_DST = const(8)
_PORTS = const(9)
_PSEUDO = const(10)
_GROUP = const(11)
_SENDING = const(16)
_ERRORS_LEFT = const(17)
_ERRORS_TIME = const(18)
_QUOTED = const(21)
_QUOTED_MTU = const(22)
_ADDRESSES = const(24)
_OPTIONS = const(125)
_ADDRESS_TABLE = const(128)
_ADDRESS_WORDS = const(2)
_ICMP = const(1)
_TCP = const(6)
_UDP = const(17)

_ECHO = const(8)

_ECHO_REPLY = const(0)
_PROTOCOL_UNREACHABLE = const(2)

_C_TX_FRAMES = const(33)
_C_IP_PROTOCOL = const(57)
_C_ICMP_RX = const(60)
_C_ICMP_MALFORMED = const(61)
_C_ICMP_CHECKSUM = const(62)
_C_ICMP_GROUP = const(64)
_C_ICMP_IGNORED = const(65)
_C_ICMP_ERRORS_RX = const(66)
_C_ICMP_ERRORS_TX = const(67)
_C_ICMP_ERRORS_LIMITED = const(68)
_C_UDP_MALFORMED = const(71)
_C_UDP_CHECKSUM = const(72)
_C_UDP_NO_SOCKET = const(73)

_EMSGSIZE = const(90)
_ENETUNREACH = const(101)
_ECONNREFUSED = const(111)
_EHOSTUNREACH = const(113)

_UNREACHABLE = const(3)
_TIME_EXCEEDED = const(11)
_PARAMETER_PROBLEM = const(12)
_PORT_UNREACHABLE = const(3)
_FRAGMENTATION_NEEDED = const(4)

# As many errors at once, and one more for each interval: RFC 1812 section 4.3.2.8.
_BURST = const(10)
_INTERVAL = const(100)

_ENOPROTOOPT = const(92)
_EPROTO = const(71)


@micropython.viper
def ingress(iface, state, frame, l4, n: int):
    """Answers an echo request in place; hands replies and errors to the socket they concern."""
    length = int(answer(frame, state, n, _ICMP))
    if not length:
        _examine(iface, state, l4, n)
        return
    st = ptr32(state)
    transmit, view = iface._way_out
    st[_SENDING] = 1
    result = int(transmit(view, length))
    st[_SENDING] = 0
    if result:
        failed(state, result)
    else:
        st[_C_TX_FRAMES] = st[_C_TX_FRAMES] + 1


@micropython.viper
def _examine(iface, state, l4, n: int):
    # A message that is no echo request, or none to be answered.
    st = ptr32(state)
    p = ptr8(l4)
    st[_C_ICMP_RX] = st[_C_ICMP_RX] + 1
    if n < 8:
        st[_C_ICMP_MALFORMED] = st[_C_ICMP_MALFORMED] + 1
        return
    if int(checksum(l4, 0, n, 0)) != 0xFFFF:
        st[_C_ICMP_CHECKSUM] = st[_C_ICMP_CHECKSUM] + 1
        return
    kind = p[0]
    if kind == _ECHO:
        st[_C_ICMP_GROUP] = st[_C_ICMP_GROUP] + 1
    elif kind == _ECHO_REPLY:
        st[_PORTS] = (p[4] << 8) | p[5]
        slot = int(lookup(iface._demux, state, _ICMP))
        if slot < 0:
            st[_C_ICMP_IGNORED] = st[_C_ICMP_IGNORED] + 1
        else:
            iface.sockets[slot]._receive(l4, n)
    elif kind == _UNREACHABLE or kind == _TIME_EXCEEDED or kind == _PARAMETER_PROBLEM:
        st[_C_ICMP_ERRORS_RX] = st[_C_ICMP_ERRORS_RX] + 1
        if not int(_error(iface, state, l4, n)):
            st[_C_ICMP_IGNORED] = st[_C_ICMP_IGNORED] + 1
    else:
        st[_C_ICMP_IGNORED] = st[_C_ICMP_IGNORED] + 1


@micropython.viper
def _error(iface, state, l4, n: int) -> int:
    # The packet that the error quotes is one that we sent: its source is ours. Returns 0 if not,
    # or if no socket has to do with it.
    st = ptr32(state)
    p = ptr8(l4)
    if p[8] >> 4 != 4:
        return 0
    at = 8 + ((p[8] & 15) << 2)
    if at < 28 or at + 8 > n or (p[14] & 0x1F) | p[15]:
        return 0
    local = (p[20] << 24) | (p[21] << 16) | (p[22] << 8) | p[23]
    remote = (p[24] << 24) | (p[25] << 16) | (p[26] << 8) | p[27]
    ours = 0
    i = _ADDRESS_TABLE
    end = i + st[_ADDRESSES] * _ADDRESS_WORDS
    while i < end:
        if st[i] == local:
            ours = 1
        i += _ADDRESS_WORDS
    if not ours:
        return 0
    protocol = p[17]
    if protocol == _ICMP:
        if p[at] != _ECHO:
            return 0
        ports = (p[at + 4] << 8) | p[at + 5]
    elif protocol == _UDP or protocol == _TCP:
        ports = (p[at + 2] << 24) | (p[at + 3] << 16) | (p[at] << 8) | p[at + 1]
    else:
        return 0
    kind = p[0]
    code = p[1]
    number = _EHOSTUNREACH
    st[_QUOTED_MTU] = 0
    if kind == _UNREACHABLE:
        if code == 0 or code == 6 or code == 9 or code == 11:
            number = _ENETUNREACH
        elif code == 2:
            number = _ENOPROTOOPT
        elif code == 3:
            number = _ECONNREFUSED
        elif code == _FRAGMENTATION_NEEDED:
            number = _EMSGSIZE
            st[_QUOTED_MTU] = (p[6] << 8) | p[7]
    elif kind == _PARAMETER_PROBLEM:
        number = _EPROTO
    reporter = st[_SRC]
    st[_SRC] = remote
    st[_DST] = local
    st[_PORTS] = ports
    slot = int(lookup(iface._demux, state, protocol))
    if slot < 0:
        return 0
    st[_QUOTED] = (p[at + 4] << 24) | (p[at + 5] << 16) | (p[at + 6] << 8) | p[at + 7]
    if protocol == _ICMP:
        st[_SRC] = reporter
        iface.sockets[slot]._receive(l4, n)
    else:
        iface.sockets[slot]._unreachable(number)
    return 1


@micropython.viper
def closed_port(iface, state, frame, l4, n: int):
    """Answers a UDP datagram that no socket is for, if it is sound."""
    st = ptr32(state)
    p = ptr8(l4)
    length = (p[4] << 8) | p[5]
    if n < 8 or length < 8 or length > n or not (p[2] | p[3]):
        st[_C_UDP_MALFORMED] = st[_C_UDP_MALFORMED] + 1
    elif p[6] | p[7] and int(checksum(l4, 0, length, st[_PSEUDO] - n + length)) != 0xFFFF:
        st[_C_UDP_CHECKSUM] = st[_C_UDP_CHECKSUM] + 1
    else:
        st[_C_UDP_NO_SOCKET] = st[_C_UDP_NO_SOCKET] + 1
        unreachable(iface, state, frame, _PORT_UNREACHABLE)


@micropython.viper
def unknown_protocol(iface, state, frame, l4, n: int):
    """Answers a packet of a protocol that is not there."""
    ptr32(state)[_C_IP_PROTOCOL] = ptr32(state)[_C_IP_PROTOCOL] + 1
    unreachable(iface, state, frame, _PROTOCOL_UNREACHABLE)


@micropython.viper
def unreachable(iface, state, frame, code: int):
    """Answers the packet in the frame with "destination unreachable", as often as is allowed.

    The answer quotes the IP header and 8 bytes (RFC 792). A packet to a group is never answered
    (RFC 1122 section 3.2.2).
    """
    st = ptr32(state)
    f = ptr8(frame)
    if st[_GROUP]:
        return
    passed = ((st[_NOW] - st[_ERRORS_TIME]) & 0x3FFFFFFF) // _INTERVAL
    if passed:
        st[_ERRORS_TIME] = st[_NOW]
        passed += st[_ERRORS_LEFT]
        st[_ERRORS_LEFT] = passed if passed < _BURST else _BURST
    if not st[_ERRORS_LEFT]:
        st[_C_ICMP_ERRORS_LIMITED] = st[_C_ICMP_ERRORS_LIMITED] + 1
        return
    st[_ERRORS_LEFT] = st[_ERRORS_LEFT] - 1
    st[_C_ICMP_ERRORS_TX] = st[_C_ICMP_ERRORS_TX] + 1
    options = st[_OPTIONS]
    i = ((f[16] << 8) | f[17]) - options
    while i < 28:
        f[14 + i] = 0  # what lies behind a shorter packet is not for others to see
        i += 1
    i = 7
    while i >= 0:
        f[62 + options + i] = f[34 + i]
        i -= 1
    if options:
        o = ptr8(iface._options)
        while i < options - 1:
            i += 1
            f[62 + i] = o[i]
    i = 19
    while i >= 0:
        f[42 + i] = f[14 + i]
        i -= 1
    i = 36
    while i < 42:
        f[i] = 0
        i += 1
    f[34] = _UNREACHABLE
    f[35] = code
    s = int(checksum(frame, 34, 36 + options, 0)) ^ 0xFFFF
    f[36] = s >> 8
    f[37] = s & 255
    f[15] = 0
    f[23] = _ICMP
    reply(iface, state, frame, 36 + options)
