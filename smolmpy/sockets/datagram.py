"""What moves packets between a socket's rings, the program's buffers and the frame, one call each.

handle(ring, data, other, answers) -> object
    Makes what the functions below know a ring by: its book, its bytes, the socket's other ring.

take(buf, room, inbox) -> int
    Takes the first packet out of a ring and copies the `room` bytes of it that fit to buf. Returns
    its whole length, or -EAGAIN without one; who it was from stays readable at LAST.

put(buf, n, outbox, state) -> int
    Appends n bytes of buf to a ring and marks the socket as having something to send. If its
    handle has `answers` set they go to where the other ring's LAST is from; else to the address in
    the ring's first word, from that in the second, to the port in the third. Returns n, -EMSGSIZE,
    -EAGAIN, -EDESTADDRREQ without a LAST, or -1 where LAST was not sent to our first address.

arrive(l4, state, n, places) -> int
    Judges a datagram in a packet of n bytes; one that is sound goes where places() says, if it is
    for the socket that had the last one. Returns 0, with PORTS set, if it is not; -1 if it has
    been dealt with; or, for a socket without a ring, its slot + 1 << 16 | the datagram's length:
    that lies where it is, and LAST tells who sent it.

build(frame, state, outbox) -> int
    Takes the first datagram out of a ring, makes a frame of it and counts that as sent. The ring's
    fourth word is 1 where PEER is where it goes to; otherwise that is a known neighbor
    (link/header.py). Returns the frame's length, or 0 with the datagram still in its ring, and
    SRC and DST set, where the neighbor is not that simple.

places(slots), enter(places, slot, ring, rx)
    Make what arrive() needs to find the receive rings of `slots` sockets, and enter one.

datagram_thumb.py is another edition of it.
"""

import micropython
from micropython import const

from ..core.schedule import wake
from ..ip.ipv4 import head
from ..kernel import checksum, copy, copy_sum
from .ring import commit, pop, reserve

# Of docs/layout.md: 'make format' writes these.
_KERNEL_SUM = const(3)
_SRC = const(7)
_DST = const(8)
_PORTS = const(9)
_PSEUDO = const(10)
_LAST_PORTS = const(106)
_LAST_SRC = const(107)
_LAST_DST = const(108)
_LAST_SLOT = const(109)
_ADDRESS_TABLE = const(128)

_R_HEAD = const(4)
_R_COUNT = const(5)
_R_CAPACITY = const(6)
_R_SIZE = const(10)
_R_LAST = const(11)
_R_LOCAL_PORT = const(15)
_R_HOP_LIMIT = const(16)
_R_LIMIT = const(17)
_R_SLOT = const(20)
_R_RECORDS = const(21)
_R_LENGTH = const(1)
_R_REMOTE = const(2)
_R_LOCAL = const(3)
_R_PORT = const(4)
_R_WORDS = const(5)

_UDP = const(17)
_UDP_HEADER = const(8)

_C_TX_FRAMES = const(33)
_C_UDP_RX = const(69)
_C_UDP_TX = const(70)
_C_UDP_MALFORMED = const(71)
_C_UDP_CHECKSUM = const(72)
_C_UDP_FULL = const(74)

_EAGAIN = const(11)
_EDESTADDRREQ = const(89)
_EMSGSIZE = const(90)


def handle(ring, data, other, answers):
    return ring, data, other, answers


@micropython.viper
def take(buf, room: int, inbox) -> int:
    ring, rx, _other, _answers = inbox
    r = ptr32(ring)
    if not r[_R_COUNT]:
        return -_EAGAIN
    at = _R_RECORDS + r[_R_HEAD] * _R_WORDS
    n = r[at + _R_LENGTH]
    r[0] = 0
    r[1] = r[at]
    r[2] = n if n < room else room
    copy(buf, rx, ring)
    pop(ring)
    return n


@micropython.viper
def put(buf, n: int, outbox, state) -> int:
    ring, tx, other, answers = outbox
    r = ptr32(ring)
    if int(answers):
        last = ptr32(other)
        if not last[_R_LAST + 2]:
            return -_EDESTADDRREQ
        if n > r[_R_LIMIT]:
            return -_EMSGSIZE
        if last[_R_LAST + 1] != ptr32(state)[_ADDRESS_TABLE]:
            return -1
        r[0] = last[_R_LAST]
        r[1] = last[_R_LAST + 1]
        r[2] = last[_R_LAST + 2]
    if n > r[_R_SIZE]:
        return -_EMSGSIZE
    at = int(reserve(ring, n))
    if at < 0:
        return -_EAGAIN
    r[at + _R_REMOTE] = r[0]
    r[at + _R_LOCAL] = r[1]
    r[at + _R_PORT] = r[2]
    r[0] = r[at]
    r[1] = 0
    r[2] = n
    copy(tx, buf, ring)
    commit(ring, at)
    wake(state, r[_R_SLOT])
    return n


@micropython.viper
def arrive(l4, st: ptr32, n: int, places) -> int:
    p = ptr8(l4)
    length = (p[4] << 8) | p[5]
    if n < _UDP_HEADER or length < _UDP_HEADER or length > n or not (p[2] | p[3]):
        st[_C_UDP_MALFORMED] = st[_C_UDP_MALFORMED] + 1
        return -1
    ports = (p[0] << 24) | (p[1] << 16) | (p[2] << 8) | p[3]
    st[_PORTS] = ports
    if (
        ports != st[_LAST_PORTS]
        or st[_SRC] != st[_LAST_SRC]
        or st[_DST] != st[_LAST_DST]
        or st[_LAST_SLOT] >> 16 != _UDP
    ):
        return 0
    slot = st[_LAST_SLOT] & 0xFFFF
    ring, rx = places[slot]
    r = ptr32(ring)
    given = (p[6] << 8) | p[7]
    # The pseudo-header has the length of the datagram, which may be less than the packet's.
    s = st[_PSEUDO] - n + length
    at = -1
    if r[_R_CAPACITY]:
        at = int(reserve(ring, length - _UDP_HEADER))
    if at < 0:
        if given and int(checksum(l4, 0, length, s)) != 0xFFFF:
            st[_C_UDP_CHECKSUM] = st[_C_UDP_CHECKSUM] + 1
            return -1
        if r[_R_CAPACITY]:
            st[_C_UDP_FULL] = st[_C_UDP_FULL] + 1
            return -1
        st[_C_UDP_RX] = st[_C_UDP_RX] + 1
        r[_R_LAST] = st[_SRC]
        r[_R_LAST + 1] = st[_DST]
        r[_R_LAST + 2] = (p[0] << 8) | p[1]
        return ((slot + 1) << 16) | length
    r[0] = r[at]
    r[1] = _UDP_HEADER
    r[2] = length - _UDP_HEADER
    r[_KERNEL_SUM] = s + ((p[0] << 8) | p[1]) + ((p[2] << 8) | p[3]) + length + given
    s = int(copy_sum(rx, l4, ring))
    if given and s != 0xFFFF:
        st[_C_UDP_CHECKSUM] = st[_C_UDP_CHECKSUM] + 1
        return -1
    st[_C_UDP_RX] = st[_C_UDP_RX] + 1
    r[at + _R_REMOTE] = st[_SRC]
    r[at + _R_LOCAL] = st[_DST]
    r[at + _R_PORT] = (p[0] << 8) | p[1]
    commit(ring, at)
    return -1


@micropython.viper
def build(frame, state, outbox) -> int:
    ring, tx, _other, _answers = outbox
    st = ptr32(state)
    r = ptr32(ring)
    f = ptr8(frame)
    at = _R_RECORDS + r[_R_HEAD] * _R_WORDS
    src = r[at + _R_LOCAL]
    dst = r[at + _R_REMOTE]
    st[_SRC] = src
    st[_DST] = dst
    n = r[at + _R_LENGTH]
    length = n + _UDP_HEADER
    kind = (r[_KERNEL_SUM] << 24) | (r[_R_HOP_LIMIT] << 8) | _UDP
    size = int(head(frame, state, length, kind))
    if not size:
        return 0
    sport = r[_R_LOCAL_PORT]
    dport = r[at + _R_PORT]
    f[34] = sport >> 8
    f[35] = sport & 255
    f[36] = dport >> 8
    f[37] = dport & 255
    f[38] = length >> 8
    f[39] = length & 255
    r[0] = 34 + _UDP_HEADER
    r[1] = r[at]
    r[2] = n
    r[_KERNEL_SUM] = (
        ((src >> 16) & 0xFFFF)
        + (src & 0xFFFF)
        + ((dst >> 16) & 0xFFFF)
        + (dst & 0xFFFF)
        + _UDP
        + length
        + length
        + sport
        + dport
    )
    s = int(copy_sum(frame, tx, ring)) ^ 0xFFFF
    if not s:
        s = 0xFFFF  # 0 would say that there is no checksum (RFC 768)
    f[40] = s >> 8
    f[41] = s & 255
    pop(ring)
    st[_C_TX_FRAMES] = st[_C_TX_FRAMES] + 1
    st[_C_UDP_TX] = st[_C_UDP_TX] + 1
    return size


def places(slots):
    return [None] * slots


def enter(places, slot, ring, rx):
    places[slot] = (ring, rx)
