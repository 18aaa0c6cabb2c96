"""SYN cookies (RFC 4987 section 3.6): connections that cost nothing until they are real.

When every listener on a port is taken, and one of them has waited in vain for the last step of a
handshake, a further SYN is answered without a trace: our first sequence number is a keyed hash of
addresses and ports. Whoever sends it back has received our answer, and takes the place of the
handshake that may never end.

A cookie is 28 bits of hash, a bit of the time (in units of 65 s), and three bits for the MSS.
Window scale, SACK and timestamps are lost in it.
"""

import micropython
from micropython import const

from ..iface.demux import insert, local, remove
from ..iface.ipv4 import reply
from ..iface.secret import keyed_hash
from ..kernel import checksum
from .tcp_congestion import begin

_NOW = const(4)
_SRC = const(7)
_DST = const(8)
_PORTS = const(9)
_PSEUDO = const(10)
_CLOCK = const(110)
_COOKIE_TIME = const(116)
_HASH = const(123)

_C_TCP_TX = const(76)
_C_TCP_COOKIES = const(86)

_T_STATE = const(4)
_T_FLAGS = const(5)
_T_REMOTE = const(6)
_T_LOCAL = const(7)
_T_PORTS = const(8)
_T_ISS = const(9)
_T_SND_UNA = const(10)
_T_SND_NXT = const(11)
_T_SND_MAX = const(12)
_T_SND_WND = const(13)
_T_SND_WL1 = const(14)
_T_SND_WL2 = const(15)
_T_MAX_WND = const(16)
_T_IRS = const(17)
_T_RCV_NXT = const(18)
_T_RCV_ADV = const(19)
_T_RCV_ACKED = const(20)
_T_MSS = const(21)
_T_RX_SIZE = const(24)
_T_BACKOFF = const(33)
_T_RETRANSMIT = const(34)
_T_PROGRESS = const(37)
_T_RECOVER = const(43)
_T_SHIFTS = const(45)
_T_HEARD = const(48)
_T_SND_SMALL = const(49)
_T_OPTIONS = const(61)

_O_QUIET = const(8)

_F_NO_DELAY = const(2)
_F_PASSIVE = const(8)
_F_ANY = const(16)

_SYN_RECEIVED = const(3)

_SYN = const(2)
_ACK = const(16)
_TCP = const(6)

_TWEAK = const(1 << 24)  # apart from other uses of the key
_VALUES = (64, 160, 400, 536, 1000, 1220, 1440, 1460)
_COOKIE_LIFETIME = const(2)  # units of 2^16 ms


@micropython.viper
def _waiting(iface, state, timeouts: int) -> int:
    # The slot of a socket on this port whose handshake has begun but not ended, after so many
    # timeouts at least; or -1.
    slot = -1
    while True:
        slot = int(local(iface._demux, state, _TCP, slot + 1))
        if slot < 0:
            return -1
        t = ptr32(iface.sockets[slot]._tcb)
        if t[_T_STATE] == _SYN_RECEIVED and t[_T_FLAGS] & _F_PASSIVE:
            if t[_T_BACKOFF] >= timeouts:
                return slot


# Usual ones: RFC 9293's default, tunnels, IPv4 with and without timestamps; and some below, since
# the peer's must not be exceeded.
_MSS = bytes(value >> shift & 255 for value in _VALUES for shift in (8, 0))


@micropython.viper
def _hash(state, l4, time: int, index: int, beyond: int):
    # Puts the hash for the packet in hand, whose sequence number is `beyond` bytes beyond the
    # peer's first one, into HASH.
    st = ptr32(state)
    p = ptr8(l4)
    M = 0xFFFF
    M |= M << 16
    src = st[_SRC]
    keyed_hash(state, _TWEAK + (time << 3) + index)
    irs = (((p[4] << 24) | (p[5] << 16) | (p[6] << 8) | p[7]) - beyond) & M
    st[_SRC] = st[_HASH] ^ irs
    keyed_hash(state, _TWEAK)
    st[_SRC] = src


@micropython.viper
def offer(iface, state, frame, l4, n: int) -> int:
    """Answers a SYN with a cookie, if a listener is there but taken; else returns 0."""
    slot = int(_waiting(iface, state, 1))
    if slot < 0:
        return 0
    st = ptr32(state)
    p = ptr8(l4)
    M = 0xFFFF
    M |= M << 16
    most = 536
    header = (p[12] >> 4) << 2
    i = 20
    while i + 3 < header and p[i]:
        if p[i] == 1:
            i += 1
            continue
        if p[i] == 2 and p[i + 1] == 4:
            most = (p[i + 2] << 8) | p[i + 3]
        if p[i + 1] < 2:
            break
        i += p[i + 1]
    table = ptr8(_MSS)
    index = 7
    while index and ((table[2 * index] << 8) | table[2 * index + 1]) > most:
        index -= 1
    time = (st[_CLOCK] >> 16) & 0xFFFF
    _hash(state, l4, time, index, 0)
    cookie = ((st[_HASH] >> 4) << 4) & M | ((time & 1) << 3) | index
    st[_COOKIE_TIME] = (1 << 16) | time
    st[_C_TCP_COOKIES] = st[_C_TCP_COOKIES] + 1
    st[_C_TCP_TX] = st[_C_TCP_TX] + 1
    i = 0
    while i < 2:
        b = p[i]
        p[i] = p[i + 2]
        p[i + 2] = b
        i += 1
    ack = (((p[4] << 24) | (p[5] << 16) | (p[6] << 8) | p[7]) + 1) & M
    window = ptr32(iface.sockets[slot]._tcb)[_T_RX_SIZE]
    if window > 0xFFFF:
        window = 0xFFFF
    mss = int(iface.mtu) - 40
    p[4] = (cookie >> 24) & 255
    p[5] = (cookie >> 16) & 255
    p[6] = (cookie >> 8) & 255
    p[7] = cookie & 255
    p[8] = (ack >> 24) & 255
    p[9] = (ack >> 16) & 255
    p[10] = (ack >> 8) & 255
    p[11] = ack & 255
    p[12] = 24 << 2
    p[13] = _SYN | _ACK
    p[14] = window >> 8
    p[15] = window & 255
    i = 16
    while i < 20:
        p[i] = 0
        i += 1
    p[20] = 2
    p[21] = 4
    p[22] = mss >> 8
    p[23] = mss & 255
    s = int(checksum(l4, 0, 24, st[_PSEUDO] - n + 24)) ^ 0xFFFF
    p[16] = s >> 8
    p[17] = s & 255
    reply(iface, state, frame, 24)
    return 1


@micropython.viper
def take(iface, state, l4, slot: int) -> int:
    """If the ACK returns a cookie of ours, begins the connection that it stands for.

    slot is that of a listener, or -1. Returns the slot of the socket that is now SYN_RECEIVED, or
    -1.
    """
    st = ptr32(state)
    p = ptr8(l4)
    M = 0xFFFF
    M |= M << 16
    time = (st[_CLOCK] >> 16) & 0xFFFF
    last = st[_COOKIE_TIME]
    if not last >> 16 or (time - last) & 0xFFFF > _COOKIE_LIFETIME:
        return -1  # none is out
    cookie = (((p[8] << 24) | (p[9] << 16) | (p[10] << 8) | p[11]) - 1) & M
    index = cookie & 7
    if (cookie >> 3) & 1 != time & 1:
        time = (time - 1) & 0xFFFF
    _hash(state, l4, time, index, 1)
    if (st[_HASH] ^ cookie) & M & ~15:
        return -1
    if slot < 0:
        slot = int(_waiting(iface, state, 0))
        if slot < 0:
            return -1
    t = ptr32(iface.sockets[slot]._tcb)
    seq = (p[4] << 24) | (p[5] << 16) | (p[6] << 8) | p[7]
    remove(iface._demux, state, slot)
    insert(iface._demux, state, slot, _TCP)
    t[_T_REMOTE] = st[_SRC]
    t[_T_LOCAL] = st[_DST]
    t[_T_PORTS] = st[_PORTS]
    t[_T_FLAGS] = (t[_T_FLAGS] & (_F_NO_DELAY | _F_ANY)) | _F_PASSIVE
    t[_T_ISS] = cookie
    t[_T_SND_UNA] = cookie
    t[_T_SND_SMALL] = cookie
    t[_T_RECOVER] = cookie
    t[_T_SND_NXT] = (cookie + 1) & M
    t[_T_SND_MAX] = (cookie + 1) & M
    t[_T_SND_WND] = (p[14] << 8) | p[15]
    t[_T_MAX_WND] = t[_T_SND_WND]
    t[_T_SND_WL1] = (seq - 1) & M
    t[_T_SND_WL2] = cookie
    t[_T_IRS] = (seq - 1) & M
    t[_T_RCV_NXT] = seq
    window = t[_T_RX_SIZE]
    t[_T_RCV_ADV] = (seq + (window if window < 0xFFFF else 0xFFFF)) & M
    t[_T_RCV_ACKED] = seq
    t[_T_SHIFTS] = 0
    t[_T_BACKOFF] = 0
    t[_T_RETRANSMIT] = 0
    t[_T_PROGRESS] = st[_NOW]
    t[_T_HEARD] = st[_CLOCK]
    table = ptr8(_MSS)
    mss = (table[2 * index] << 8) | table[2 * index + 1]
    most = int(iface.mtu) - 40
    t[_T_MSS] = mss if mss < most else most
    begin(iface.sockets[slot]._tcb)
    t[_T_STATE] = _SYN_RECEIVED
    return slot


@micropython.viper
def is_quiet(iface, state) -> int:
    """Whether a connection on this port wants further SYNs to be dropped (TCPSocket.quiet)."""
    slot = -1
    while True:
        slot = int(local(iface._demux, state, _TCP, slot + 1))
        if slot < 0:
            return 0
        t = ptr32(iface.sockets[slot]._tcb)
        if t[_T_OPTIONS] & _O_QUIET:
            return 1
