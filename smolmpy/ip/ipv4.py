"""IPv4 (RFC 791, RFC 1122 section 3.2): packets in, packets out, and answers made in place.

The frame buffer holds one packet at a time. Its layout is fixed, since options are taken out on
receipt and never sent: Ethernet header at 0, IPv4 header at 14, the next layer at 34, which is
where the view `l4` of the same buffer begins.
"""

import micropython
from micropython import const

from ..kernel import checksum, copy
from ..link.arp import request
from ..link.ethernet import failed
from ..link.neighbor import resolve
from .route import next_hop

try:
    from ..link.header_thumb import answer, head
except (ImportError, SyntaxError, AttributeError):
    from ..link.header import answer, head

# Of docs/layout.md: 'make format' writes these.
_SRC = const(7)
_DST = const(8)
_PSEUDO = const(10)
_GROUP = const(11)
_SENDING = const(16)
_FLAGS = const(19)
_RAW = const(23)
_ADDRESSES = const(24)
_TOS = const(115)
_OPTIONS = const(125)
_ADDRESS_TABLE = const(128)
_ADDRESS_WORDS = const(2)
_LOOPBACK = const(1)
_CONFIGURING = const(8)
_ICMP = const(1)
_IGMP = const(2)
_TCP = const(6)
_UDP = const(17)
_PROTOCOL_UNREACHABLE = const(2)

_C_TX_FRAMES = const(33)
_C_IP_RX = const(49)
_C_IP_MALFORMED = const(50)
_C_IP_CHECKSUM = const(51)
_C_IP_SOURCE = const(52)
_C_IP_NOT_FOR_US = const(53)
_C_IP_FRAGMENT = const(54)
_C_IP_OPTIONS = const(55)
_C_IP_SOURCE_ROUTE = const(56)
_C_IP_PROTOCOL = const(57)
_C_IP_NO_ROUTE = const(58)
_C_IP_NO_NEIGHBOR = const(59)

_ENETUNREACH = const(101)
_EHOSTUNREACH = const(113)
_EINPROGRESS = const(115)

_TO_PEER = const(1 << 24)

_DHCP_CLIENT = const(68)

_LOOSE_SOURCE_ROUTE = const(131)
_STRICT_SOURCE_ROUTE = const(137)


@micropython.viper
def ingress(iface, state, frame, l4, n: int):
    """Handles the IPv4 packet of at most n bytes behind the Ethernet header of the frame."""
    st = ptr32(state)
    f = ptr8(frame)
    st[_C_IP_RX] = st[_C_IP_RX] + 1
    total = (f[16] << 8) | f[17]
    header = (f[14] & 15) << 2
    if f[14] >> 4 != 4 or header < 20 or total < header or total > n:
        st[_C_IP_MALFORMED] = st[_C_IP_MALFORMED] + 1
        return
    src = (f[26] << 8) | f[27]
    dst = (f[30] << 8) | f[31]
    low = (f[28] << 8) | f[29]
    ends = src + low + dst
    src = (src << 16) | low
    low = (f[32] << 8) | f[33]
    ends += low
    dst = (dst << 16) | low
    protocol = f[23]
    s = (
        ((f[14] << 8) | f[15])
        + total
        + ((f[18] << 8) | f[19])
        + ((f[20] << 8) | f[21])
        + ((f[22] << 8) | protocol)
        + ((f[24] << 8) | f[25])
        + ends
    )
    if header > 20:
        s = int(checksum(frame, 34, header - 20, s))
    if (s & 0xFFFF) + (s >> 16) != 0xFFFF:
        st[_C_IP_CHECKSUM] = st[_C_IP_CHECKSUM] + 1
        return
    if header > 20 and not int(_check_options(state, frame, header)):
        return
    st[_SRC] = src
    st[_DST] = dst
    ours = int(_judge(state, frame))
    if ours < 0:
        st[_C_IP_SOURCE] = st[_C_IP_SOURCE] + 1
        return
    if not ours or (ours == 1 and st[_GROUP]):
        st[_C_IP_NOT_FOR_US] = st[_C_IP_NOT_FOR_US] + 1
        return
    if ours == 2:
        st[_GROUP] = 1
    if (f[20] & 0x3F) | f[21]:
        st[_C_IP_FRAGMENT] = st[_C_IP_FRAGMENT] + 1
        return
    length = total - header
    st[_TOS] = f[15]
    st[_PSEUDO] = ends + protocol + length
    taken = 0
    if st[_RAW]:
        taken = int(iface._raw_ingress(iface, iface._frame, total + 14, 1))
    st[_OPTIONS] = header - 20
    if header > 20:
        _strip_options(iface, state, frame, length)
    if protocol == _TCP:
        handler = iface._tcp_ingress
    elif protocol == _UDP:
        handler = iface._udp_ingress
    elif protocol == _ICMP:
        handler = iface._icmp_ingress
    elif protocol == _IGMP:
        handler = iface._igmp_ingress
    else:
        handler = iface._other_ingress
    if handler:
        handler(iface, state, frame, l4, length)
    elif not taken:
        st[_C_IP_PROTOCOL] = st[_C_IP_PROTOCOL] + 1
        iface._unreachable(iface, state, frame, _PROTOCOL_UNREACHABLE)


@micropython.viper
def _judge(st: ptr32, f: ptr8) -> int:
    # Whether a packet from SRC to DST is for us: 1, 2 if to a broadcast or group address, 0 if
    # not; -1 if nobody may have sent it (RFC 1122 section 3.2.1.3).
    src = st[_SRC]
    dst = st[_DST]
    M = 0xFFFF
    M |= M << 16
    loopback = st[_FLAGS] & _LOOPBACK
    if f[26] >= 224 or f[26] == 0 or (not loopback and (f[26] == 127 or src == dst)):
        # But a switch without an address may ask for the members of groups (RFC 4541 section 2.1).
        if src or f[23] != _IGMP:
            return -1
    ours = 0
    if dst == M or (f[30] >> 4 == 14 and st[_GROUP]):
        ours = 2  # limited broadcast, or a group that the Ethernet filter let pass
    at = _ADDRESS_TABLE
    end = at + st[_ADDRESSES] * _ADDRESS_WORDS
    while at < end:
        addr = st[at]
        mask = st[at + 1]
        if addr == dst:
            ours = 1
        elif dst | mask == M and not (addr ^ dst) & mask and mask | 1 != M and ours != 1:
            ours = 2  # directed broadcast; a /31 and a /32 have none (RFC 3021)
        if src == addr and not loopback:
            return -1
        if src | mask == M and not (addr ^ src) & mask and mask | 1 != M:
            return -1
        at += _ADDRESS_WORDS
    if not ours and st[_FLAGS] & _CONFIGURING and not st[_GROUP]:
        # A DHCP server may write to the address that it offers (RFC 2131 section 4.1).
        if f[14] == 0x45 and f[23] == _UDP and f[36] == 0 and f[37] == _DHCP_CLIENT:
            ours = 1
    return ours


@micropython.viper
def _check_options(st: ptr32, f: ptr8, header: int) -> int:
    # Returns 0 for a packet that is to be dropped.
    i = 34
    end = 14 + header
    while i < end:
        kind = f[i]
        if kind == 0:
            break
        if kind == 1:
            i += 1
            continue
        if kind == _LOOSE_SOURCE_ROUTE or kind == _STRICT_SOURCE_ROUTE:
            st[_C_IP_SOURCE_ROUTE] = st[_C_IP_SOURCE_ROUTE] + 1  # RFC 7126 section 4
            return 0
        if i + 1 >= end or f[i + 1] < 2 or i + f[i + 1] > end:
            st[_C_IP_MALFORMED] = st[_C_IP_MALFORMED] + 1
            return 0
        i += f[i + 1]
    st[_C_IP_OPTIONS] = st[_C_IP_OPTIONS] + 1
    return 1


@micropython.viper
def _strip_options(iface, state, frame, length: int):
    # Moves the payload up to where it lies without options. They are kept, since an ICMP error
    # quotes them.
    st = ptr32(state)
    st[0] = 0
    st[1] = 34
    st[2] = st[_OPTIONS]
    copy(iface._options, frame, state)
    st[0] = 34
    st[1] = 34 + st[_OPTIONS]
    st[2] = length
    copy(frame, frame, state)


@micropython.viper
def reply(iface, state, frame, length: int) -> int:
    """Sends `length` bytes behind the IPv4 header of the received frame back where it came from.

    The next layer has been written in place; protocol and TOS stay as they are. The answer goes to
    the Ethernet address that the packet came from, without ARP. Returns 0 or a negative errno.
    """
    st = ptr32(state)
    transmit, view = iface._way_out
    n = int(answer(frame, state, length, 0))
    st[_SENDING] = 1
    result = int(transmit(view, n))
    st[_SENDING] = 0
    if result:
        failed(state, result)
    else:
        st[_C_TX_FRAMES] = st[_C_TX_FRAMES] + 1
    return result


@micropython.viper
def find_way(iface, state, frame) -> int:
    """Puts the Ethernet address of the next hop to state[_DST] into PEER.

    Returns 0; the word of the state with the address of a neighbor that should be asked for again
    (request()) once the packet has been sent; or a negative errno, as egress().
    """
    st = ptr32(state)
    hop = int(next_hop(state))
    if hop < 0:
        st[_C_IP_NO_ROUTE] = st[_C_IP_NO_ROUTE] + 1
        return -_ENETUNREACH
    if not hop:
        return 0
    known = int(resolve(state, hop))
    if known < 0:
        st[_C_IP_NO_NEIGHBOR] = st[_C_IP_NO_NEIGHBOR] + 1
        return -_EHOSTUNREACH
    if known > 1:
        if known == 2:
            request(iface, state, frame, _SRC, hop)
        return -_EINPROGRESS
    return hop if known else 0


@micropython.viper
def egress(iface, state, frame, length: int, protocol: int, hop_limit: int, tos: int) -> int:
    """Sends `length` bytes behind the IPv4 header of the frame, from state[_SRC] to state[_DST].

    Returns 0; -EAGAIN when the device has no room; -EINPROGRESS when the next hop has first to be
    asked for (the frame is then gone: the caller makes it again later); -ENETUNREACH,
    -EHOSTUNREACH; or the device's errno.
    """
    st = ptr32(state)
    kind = (tos << 16) | (hop_limit << 8) | protocol
    ask = 0
    n = int(head(frame, state, length, kind))
    if not n:
        ask = int(find_way(iface, state, frame))
        if ask < 0:
            return ask
        n = int(head(frame, state, length, kind | _TO_PEER))
    transmit, view = iface._way_out
    st[_SENDING] = 1
    result = int(transmit(view, n))
    st[_SENDING] = 0
    if result:
        failed(state, result)
    else:
        st[_C_TX_FRAMES] = st[_C_TX_FRAMES] + 1
    if ask:
        request(iface, state, frame, _SRC, ask)
    return result
