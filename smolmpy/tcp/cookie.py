"""SYN cookies (RFC 4987 section 3.6): connections that cost nothing until they are real.

When every listener on a port is taken, and one of them has waited in vain for the last step of a
handshake, a further SYN is answered without a trace: our first sequence number is a keyed hash of
addresses and ports. Whoever sends it back has received our answer, and takes the place of the
handshake that has lasted longest and may never end. The answer goes back to where the SYN came
from, so a flood from hosts that do not answer ARP does not keep it from anybody.

A cookie is 28 bits of hash, a bit of the time (in units of 65 s), and three bits for the MSS.
Window scale, SACK and timestamps are lost in it.
"""

import micropython
from micropython import const

from ..core.demux import insert, local, remove
from ..core.secret import keyed_hash
from .congestion import begin
from .connection import answer, synchronize
from .options import put

# Of docs/layout.md: 'make format' writes these.
_NOW = const(4)
_SRC = const(7)
_DST = const(8)
_PORTS = const(9)
_CLOCK = const(110)
_COOKIE_TIME = const(116)
_HASH = const(123)

_T_STATE = const(4)
_T_FLAGS = const(5)
_T_REMOTE = const(6)
_T_LOCAL = const(7)
_T_PORTS = const(8)
_T_ISS = const(9)
_T_SND_UNA = const(10)
_T_SND_NXT = const(11)
_T_SND_MAX = const(12)
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
_T_SND_SMALL = const(49)
_T_LAST_PIECE = const(50)
_T_OPTIONS = const(61)

_SYN_RECEIVED = const(3)

_F_NO_DELAY = const(2)
_F_PASSIVE = const(8)
_F_ANY = const(16)

_O_QUIET = const(8)

_TCP = const(6)
_SYN = const(2)
_ACK = const(16)

_C_TCP_COOKIES = const(86)

_TWEAK = const(1 << 24)  # apart from other uses of the key
_VALUES = (64, 160, 400, 536, 1000, 1220, 1440, 1460)
_COOKIE_LIFETIME = const(2)  # units of 2^16 ms
_IN_VAIN = const(1000)  # milliseconds that a handshake has waited: the first RTO


# Neither of these is machine code, since they are asked rarely and a fifth in size.


def _half_open(iface, state, least):
    # The slot of the socket on this port whose handshake has begun but not ended for the longest
    # time, `least` ms or more; -1 for none. Whether its SYN-ACK has left at all is not asked: for
    # a host that does not answer ARP it never does.
    found = -1
    now = iface._st[_NOW]
    slot = local(iface._demux, state, _TCP, 0)
    while slot >= 0:
        tcb = iface.sockets[slot]._tcb
        if tcb[_T_STATE] == _SYN_RECEIVED and tcb[_T_FLAGS] & _F_PASSIVE:
            age = (now - tcb[_T_PROGRESS]) & 0x3FFFFFFF
            if age >= least:
                found = slot
                least = age
        slot = local(iface._demux, state, _TCP, slot + 1)
    return found


def is_quiet(iface, state):
    """Whether a connection on this port wants further SYNs to be dropped (TCPSocket.quiet)."""
    slot = local(iface._demux, state, _TCP, 0)
    while slot >= 0:
        if iface.sockets[slot]._tcb[_T_OPTIONS] & _O_QUIET:
            return True
        slot = local(iface._demux, state, _TCP, slot + 1)
    return False


# Usual ones: RFC 9293's default, tunnels, IPv4 with and without timestamps; and some below, since
# the peer's must not be exceeded.
_MSS = bytes(value >> shift & 255 for value in _VALUES for shift in (8, 0))


@micropython.viper
def _hash(state, p: ptr8, time: int, index: int, after: int):
    # Puts the hash for the packet in hand, whose sequence number is `after` bytes beyond the
    # peer's first one, into HASH.
    st = ptr32(state)
    M = 0xFFFF
    M |= M << 16
    src = st[_SRC]
    keyed_hash(state, _TWEAK + (time << 3) + index)
    seq = (((p[4] << 24) | (p[5] << 16) | (p[6] << 8) | p[7]) - after) & M
    st[_SRC] = st[_HASH] ^ seq
    keyed_hash(state, _TWEAK)
    st[_SRC] = src


@micropython.viper
def offer(iface, state, frame, l4, n: int) -> int:
    """Answers a SYN with a cookie, if a listener is there but taken; else returns 0."""
    st = ptr32(state)
    time = (st[_CLOCK] >> 16) & 0xFFFF
    # Where cookies have been of use of late, nobody is made to wait for another sign of it.
    last = st[_COOKIE_TIME]
    least = _IN_VAIN
    if last >> 16 and (time - last) & 0xFFFF < _COOKIE_LIFETIME:
        least = 0
    slot = int(_half_open(iface, state, least))
    if slot < 0:
        return 0
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
    _hash(state, l4, time, index, 0)
    cookie = ((st[_HASH] >> 4) << 4) & M | ((time & 1) << 3) | index
    st[_COOKIE_TIME] = (1 << 16) | time
    st[_C_TCP_COOKIES] = st[_C_TCP_COOKIES] + 1
    st[0] = cookie
    st[1] = (((p[4] << 24) | (p[5] << 16) | (p[6] << 8) | p[7]) + 1) & M
    window = ptr32(iface.sockets[slot]._tcb)[_T_RX_SIZE]
    if window > 0xFFFF:
        window = 0xFFFF
    mss = int(iface.mtu) - 40
    put(state, 0, l4, 4)
    p[12] = 24 << 2
    p[13] = _SYN | _ACK
    p[14] = window >> 8
    p[15] = window & 255
    p[20] = 2
    p[21] = 4
    p[22] = mss >> 8
    p[23] = mss & 255
    answer(iface, state, frame, l4, n, 24)
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
        slot = int(_half_open(iface, state, 0))
        if slot < 0:
            return -1
    tcb = iface.sockets[slot]._tcb
    t = ptr32(tcb)
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
    synchronize(state, tcb, l4, 1)
    seq = t[_T_RCV_NXT]
    window = t[_T_RX_SIZE]
    t[_T_RCV_ADV] = (seq + (window if window < 0xFFFF else 0xFFFF)) & M
    t[_T_RCV_ACKED] = seq
    t[_T_SHIFTS] = 0
    t[_T_BACKOFF] = 0
    t[_T_LAST_PIECE] = 0
    t[_T_RETRANSMIT] = 0
    t[_T_PROGRESS] = st[_NOW]
    table = ptr8(_MSS)
    mss = (table[2 * index] << 8) | table[2 * index + 1]
    most = int(iface.mtu) - 40
    t[_T_MSS] = mss if mss < most else most
    begin(tcb)
    t[_T_STATE] = _SYN_RECEIVED
    return slot
