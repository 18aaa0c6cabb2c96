"""Ethernet and IPv4 headers of what goes out, and answers made where the question lies.

head(frame, state, length, kind) -> int
    Writes both headers before the `length` bytes of the next layer, from state[SRC] to state[DST].
    kind is protocol | hop limit << 8 | type of service << 16, and 2^24 where PEER is where it goes
    to. Otherwise that is who has that address, on the link of our first one, or else the gateway
    of our only route where that leads there: a neighbor who is known, where the search for it
    begins (neighbor.py). Returns the length of the frame, or 0 with nothing done where the way is
    not that simple.

answer(frame, state, length, kind) -> int
    Turns both headers round, so that the packet goes back to where it came from, without ARP;
    protocol and type of service stay as they are. kind is what the `length` bytes of the next
    layer are: 0, already what they are to be; 1, a message of ICMP, which is turned into an echo
    reply; 17, a datagram whose ports, length and checksum are still those of the one received.
    Returns the length of the frame, or 0 with nothing done where that has no such answer: a
    message that is no sound echo request to us alone, a datagram from port 0.

header_thumb.py is another edition of it.
"""

import micropython
from micropython import const

from ..kernel import checksum

# Of docs/layout.md: 'make format' writes these.
_NOW = const(4)
_SRC = const(7)
_DST = const(8)
_GROUP = const(11)
_MAC_HI = const(12)
_MAC_LO = const(13)
_PEER_HI = const(14)
_PEER_LO = const(15)
_ADDRESSES = const(24)
_ROUTES = const(25)
_ROUTES_LEN = const(26)
_NEIGHBORS = const(27)
_NEIGHBORS_LEN = const(28)
_ADDRESS_TABLE = const(128)
_NEIGHBOR_WORDS = const(4)

_N_HI = const(1)
_N_LO = const(2)
_N_TIME = const(3)

_ICMP = const(1)
_UDP = const(17)

_ECHO = const(8)

_ECHO_REPLY = const(0)
_HOP_LIMIT = const(64)
_RENEW_AFTER = const(45000)

_C_ICMP_RX = const(60)
_C_ICMP_ECHO = const(63)
_C_UDP_TX = const(70)

_KNOWN = const(2 << 16)  # the bit that the states reachable and static have in N_HI
_STATIC_BIT = const(1 << 16)  # and the one that tells them apart


@micropython.viper
def head(f: ptr8, st: ptr32, length: int, kind: int) -> int:
    src = st[_SRC]
    dst = st[_DST]
    if kind >> 24:
        hi = st[_PEER_HI]
        lo = st[_PEER_LO]
    else:
        hop = dst
        if (dst ^ st[_ADDRESS_TABLE]) & st[_ADDRESS_TABLE + 1]:
            # Not on the link of our first address.
            route = st[_ROUTES]
            if (
                (dst >> 29) & 7 == 7
                or st[_ADDRESSES] != 1
                or st[_ROUTES_LEN] != 1
                or (dst ^ st[route]) & st[route + 1]
            ):
                return 0
            hop = st[route + 2]
        at = st[_NEIGHBORS] + (hop & (st[_NEIGHBORS_LEN] - 1)) * _NEIGHBOR_WORDS
        if st[at] != hop:
            return 0
        hi = st[at + _N_HI]
        lo = st[at + _N_LO]
        if not hi & _KNOWN:
            return 0
        if not hi & _STATIC_BIT:
            if (st[_NOW] - st[at + _N_TIME]) & 0x3FFFFFFF >= _RENEW_AFTER:
                return 0
            st[at + _N_HI] = (((st[_NOW] >> 10) & 0xFF) << 24) | (hi & 0xFFFFFF)
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
    f[12] = 8
    f[13] = 0
    tos = (kind >> 16) & 255
    total = length + 20
    f[14] = 0x45
    f[15] = tos
    f[16] = total >> 8
    f[17] = total & 255
    f[18] = 0
    f[19] = 0
    f[20] = 0x40  # don't fragment; so nobody needs an identification (RFC 6864)
    f[21] = 0
    f[22] = (kind >> 8) & 255
    f[23] = kind & 255
    f[26] = (src >> 24) & 255
    f[27] = (src >> 16) & 255
    f[28] = (src >> 8) & 255
    f[29] = src & 255
    f[30] = (dst >> 24) & 255
    f[31] = (dst >> 16) & 255
    f[32] = (dst >> 8) & 255
    f[33] = dst & 255
    s = (
        (0x8500 + tos)
        + total
        + (kind & 0xFFFF)
        + ((src >> 16) & 0xFFFF)
        + (src & 0xFFFF)
        + ((dst >> 16) & 0xFFFF)
        + (dst & 0xFFFF)
    )
    s = (s & 0xFFFF) + (s >> 16)
    s = ((s & 0xFFFF) + (s >> 16)) ^ 0xFFFF
    f[24] = s >> 8
    f[25] = s & 255
    return length + 34


@micropython.viper
def answer(frame, st: ptr32, length: int, kind: int) -> int:
    f = ptr8(frame)
    hi = (f[26] << 8) | f[27]
    lo = (f[28] << 8) | f[29]
    ends = hi + lo + ((f[30] << 8) | f[31]) + ((f[32] << 8) | f[33])
    if kind == _ICMP:
        if length < 8 or f[34] != _ECHO or st[_GROUP]:
            return 0
        if int(checksum(frame, 34, length, 0)) != 0xFFFF:
            return 0
        # The type goes from 8 to 0, so the checksum rises by 0x0800 (RFC 1624).
        s = ((f[36] << 8) | f[37]) + 0x0800
        s = (s & 0xFFFF) + (s >> 16)
        f[34] = _ECHO_REPLY
        f[36] = s >> 8
        f[37] = s & 255
        st[_C_ICMP_RX] = st[_C_ICMP_RX] + 1
        st[_C_ICMP_ECHO] = st[_C_ICMP_ECHO] + 1
    elif kind == _UDP:
        port = (f[34] << 8) | f[35]
        if not port:
            return 0
        f[34] = f[36]
        f[35] = f[37]
        f[36] = port >> 8
        f[37] = port & 255
        f[38] = length >> 8
        f[39] = length & 255
        f[40] = 0
        f[41] = 0
        s = int(checksum(frame, 34, length, ends + _UDP + length)) ^ 0xFFFF
        if not s:
            s = 0xFFFF  # 0 would say that there is no checksum (RFC 768)
        f[40] = s >> 8
        f[41] = s & 255
        st[_C_UDP_TX] = st[_C_UDP_TX] + 1
    total = length + 20
    f[14] = 0x45
    f[16] = total >> 8
    f[17] = total & 255
    f[18] = 0
    f[19] = 0
    f[20] = 0x40  # don't fragment; so nobody needs an identification (RFC 6864)
    f[21] = 0
    f[22] = _HOP_LIMIT
    f[26] = f[30]
    f[27] = f[31]
    f[28] = f[32]
    f[29] = f[33]
    f[30] = hi >> 8
    f[31] = hi & 255
    f[32] = lo >> 8
    f[33] = lo & 255
    s = ((0x45 << 8) + f[15] + 0x4000) + total + ((_HOP_LIMIT << 8) | f[23]) + ends
    s = (s & 0xFFFF) + (s >> 16)
    s = ((s & 0xFFFF) + (s >> 16)) ^ 0xFFFF
    f[24] = s >> 8
    f[25] = s & 255
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
    return length + 34
