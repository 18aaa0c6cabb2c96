"""Header prediction: whether a frame is what nearly every frame is, found out in one look.

predict(frame, state, n) -> int
    n is the frame's length. Returns the length of the payload << 8 | the protocol, for an IPv4
    packet to us by ICMP, TCP or UDP that is sound and plain: to our Ethernet address, from another
    one; no options, no fragment, header checksum right; to our first address, from a host that
    may have sent it; and no raw socket wants to see it. SRC, DST, PSEUDO, GROUP, TOS and OPTIONS
    are then set and the packet is counted. Returns -1 for an ARP packet whose Ethernet header is
    sound, and 0, with nothing changed, for everything else: ingress.py and ipv4.py examine that.

prediction_thumb.py is another edition of it.
"""

import micropython
from micropython import const

# Of docs/layout.md: 'make format' writes these.
_SRC = const(7)
_DST = const(8)
_PSEUDO = const(10)
_GROUP = const(11)
_MAC_HI = const(12)
_MAC_LO = const(13)
_RAW = const(23)
_ADDRESSES = const(24)
_TOS = const(115)
_OPTIONS = const(125)
_ADDRESS_TABLE = const(128)
_ADDRESS_WORDS = const(2)
_ICMP = const(1)
_TCP = const(6)
_UDP = const(17)

_C_IP_RX = const(49)


@micropython.viper
def predict(f: ptr8, st: ptr32, n: int) -> int:
    if n < 34 or f[6] & 1 or f[12] != 8 or st[_RAW]:
        return 0
    mac = st[_MAC_LO]
    if ((f[10] << 8) | f[11]) == mac & 0xFFFF:
        return 0  # from an address that ends like our own
    lo = (f[2] << 24) | (f[3] << 16) | (f[4] << 8) | f[5]
    if lo != mac or ((f[0] << 8) | f[1]) != st[_MAC_HI]:
        if f[13] == 6 and f[0] & f[1] & f[2] & f[3] & f[4] & f[5] == 255:
            return -1
        return 0
    if f[13]:
        return -1 if f[13] == 6 else 0
    protocol = f[23]
    total = (f[16] << 8) | f[17]
    length = total - 20
    if f[14] != 0x45 or length < 0 or length > n - 34 or (f[20] & 0x3F) | f[21]:
        return 0
    if protocol != _TCP and protocol != _UDP and protocol != _ICMP:
        return 0
    hi = (f[26] << 8) | f[27]
    lo = (f[28] << 8) | f[29]
    ends = hi + lo
    src = (hi << 16) | lo
    hi = (f[30] << 8) | f[31]
    lo = (f[32] << 8) | f[33]
    ends += hi + lo
    dst = (hi << 16) | lo
    s = (
        (0x4500 | f[15])
        + total
        + ((f[18] << 8) | f[19])
        + (f[20] << 8)
        + ((f[22] << 8) | protocol)
        + ((f[24] << 8) | f[25])
        + ends
    )
    if (s & 0xFFFF) + (s >> 16) != 0xFFFF:
        return 0
    addr = st[_ADDRESS_TABLE]
    mask = st[_ADDRESS_TABLE + 1]
    if dst != addr or src == addr:
        return 0
    if (src ^ addr) & mask:
        if st[_ADDRESSES] != 1 or f[26] == 0 or f[26] == 127 or f[26] >= 224:
            return 0
    else:
        M = 0xFFFF
        M |= M << 16
        if not src & (M ^ mask) or src | mask == M:
            return 0
        at = _ADDRESS_TABLE
        n = st[_ADDRESSES]
        while n > 1:
            # Nor may it be another address of ours, or a broadcast address on its link.
            n -= 1
            at += _ADDRESS_WORDS
            if src == st[at] or (src | st[at + 1] == M and not (src ^ st[at]) & st[at + 1]):
                return 0
    st[_SRC] = src
    st[_DST] = dst
    st[_PSEUDO] = ends + protocol + length
    st[_GROUP] = 0
    st[_TOS] = f[15]
    st[_OPTIONS] = 0
    st[_C_IP_RX] = st[_C_IP_RX] + 1
    return (length << 8) | protocol
