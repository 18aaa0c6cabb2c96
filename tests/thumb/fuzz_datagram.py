"""Datagrams between rings, buffers and frames in assembly, in states of all kinds of an interface.

The walk is that of tests/conformance/test_datagram.py.
"""

import operator

from differential import seed
from emulated import core
from fuzz_header import States, target, ways, with_sum
from harness import *
from smolmpy.link import header
from smolmpy.sockets import datagram, datagram_thumb
from smolmpy.sockets.ring import clear
from test_datagram import (
    LAST_PORTS,
    PLACE,
    Side,
    Walk,
    test_a_checksum_of_zero_is_sent_as_ones,  # noqa: F401
)

STEPS = 900


def shaken(walk, states):
    """Puts both sides of a walk into another state, in which the last datagram is still known; the
    next one to be sent goes somewhere else."""
    random = walk.random
    dst = target(random)
    state = states.make(dst)
    for side in walk.sides:
        ring = side.tx_ring
        at = datagram._R_RECORDS + datagram._R_WORDS * ring[datagram._R_HEAD]
        ring[at + datagram._R_REMOTE] = dst
    last = list(walk.sides[0].state[LAST_PORTS : LAST_PORTS + 4])
    if random.below(8) == 0:
        last[random.below(4)] ^= 1 << random.below(32)
    for side in walk.sides:
        for i, word in enumerate(state):
            side.state[i] = word
        for i, word in enumerate(last):
            side.state[LAST_PORTS + i] = word


def test_both_do_the_same():
    for number, packets, size, shift in ((41, 4, 64, 0), (42, 1, 100, 1), (43, 7, 333, 0)):
        walk = Walk(seed(number), packets, size, shift)
        states = States(walk.random)
        known = list(walk.sides[0].state[LAST_PORTS : LAST_PORTS + 4])
        for _ in range(STEPS):
            if walk.random.below(3) == 0:
                shaken(walk, states)
            # A slot that has no ring is for the long way alone.
            if walk.sides[0].state[LAST_PORTS + 3] & 0xFFFF != PLACE:
                for side in walk.sides:
                    side.state[LAST_PORTS + 3] = known[3]
            walk.step()
            if walk.random.below(4) == 0:
                walk.datagram(walk.random.below(size))
            for side in walk.sides:
                for i, word in enumerate(known):
                    side.state[LAST_PORTS + i] = word


def test_every_way():
    walk = Walk(1, 1, 64, 0)
    for state in ways():
        for side in walk.sides:
            for i, word in enumerate(state):
                side.state[i] = word
            clear(side.tx_ring)
        walk.both("put", 4, 9, state[header._DST], 7)
        walk.both("build", 0)


def test_what_does_not_fit():
    far = get32(addr(PEER), 0)
    for size in (61, 64):
        walk = Walk(1, 4, size, 0)
        walk.both("put", 4, 1, far, 7, size)  # there is nobody to answer
        frame = udp(5000, 6969, b"question")
        walk.both("arrive", frame, len(frame) - 34, far)
        walk.both("take", 0, 9)
        for n in (size + 1, size, size - 1, size // 2, size // 2 + 1, 0, 1):
            for limit in (0, size - 1, size):
                walk.both("put", 4, n, far, 7, limit)
            walk.both("build", 0)
            frame = udp(5000, 6969, bytes(n))
            walk.both("arrive", frame, len(frame) - 34, far)
            if n & 1:
                walk.both("take", 0, n)


class Tight(Side):
    """One whose frame ends with the datagram, and that says what its sum is made of."""

    def arrive(self, frame, n, more):
        self.frame = memoryview(bytearray(2) + frame)[2:]
        self.l4 = self.frame[34:]
        st = self.state
        st[header._SRC], st[header._DST] = get32(frame, 26), get32(frame, 30)
        st[datagram._PSEUDO] = sum(get16(frame, i) for i in range(26, 34, 2)) + 17 + n + more
        return self.functions.arrive(self.l4, st, n, self.places)

    def answer(self, n):
        ring = self.tx_ring
        ring[0] = ring[1] = ring[2] = 0x55555555
        ring[datagram._R_LIMIT] = 64
        return self.functions.put(self.buf[4 : 4 + n], n, self.outboxes[1], self.state)


def sides(kind, packets, size):
    walk = Walk(1, packets, size, 0)
    st = walk.sides[0].state
    walk.sides = [kind(f, st, packets, size, 0) for f in (datagram, datagram_thumb)]
    return walk


def test_arrive_every_sum():
    # Carries that are seldom, and sums that are nearly right.
    walk = sides(Tight, 1, 64)
    for tail in (b"", b"\xff", b"\xff\xff", b"\xff\xff\xff"):
        for total in (M32, 0xFFFF, 0x7FFF, 0xFFFE, 0xFF7F, 0xFEFF, 1, 0x1FFFE, 0x7FFF8000):
            for pseudo in (0x1, 0xFFFF, 0x1FFFF, 0x2FFFE, 0x2FFFF, 0x3FFFD, 0x4FFFF):
                frame = udp(5000, 6969, b"\1" + bytes(7) + tail)
                n = len(frame) - 34
                more = pseudo - sum(get16(frame, i) for i in range(26, 34, 2)) - 17 - n
                s = pseudo
                while s >> 16:
                    s = (s & 0xFFFF) + (s >> 16)
                s = int.from_bytes(u16(s), "little")
                frame = with_sum((total - s) % M32, frame, 46)
                walk.both("arrive", bytes(frame), n, more)
                walk.both("take", 0, 64)
                walk.both("answer", 9)
                for side in walk.sides:
                    clear(side.tx_ring)
    met = walk.sides[0].state[datagram._C_UDP_RX], walk.sides[0].state[datagram._C_UDP_CHECKSUM]
    assert min(met) > 40, met


def test_build_every_sum():
    walk = Walk(1, 1, 64, 0)
    ring = walk.sides[0].tx_ring
    for tail in (b"", b"\xff", b"\xff\xff", b"\xff\xff\xff"):
        for remote in (0x01020304, 0xFFFFFFFF, 0xFFFFFFFE, 0x7FFF8000):
            for local in (0xC0A84501, 0xFFFFFFFF, 0xFFFF0000):
                for port in (1, 0xFF, 0xFFFF, 0xFF00):
                    n = 8 + len(tail)
                    for side in walk.sides:
                        side.buf[4 : 4 + n] = b"\xff\xff\xff\xff\xff\xff\xff\xfe" + tail
                        side.tx_ring[datagram._R_LOCAL_PORT] = port
                    walk.both("put", 4, n, remote, 0xFFFF)
                    for side in walk.sides:
                        side.tx_ring[datagram._R_RECORDS + datagram._R_LOCAL] = local
                    assert ring[datagram._R_COUNT]
                    walk.both("build", 1)


def test_what_is_long_goes_by_blocks():
    # The most jumps for 1400 bytes: of which both ends lie on words, or only one does.
    far = get32(addr(PEER), 0)
    frame = udp(5000, 6969, bytes(1400))
    for shift in range(4):
        for lead in range(4):
            side = Walk(1, 4, 3000, shift).sides[1]
            counts = []
            for name, *args in (
                ("put", 4 + lead, 1400, far, 7),
                ("build", 0),
                ("arrive", frame, 1408, far),
                ("take", lead, 1400),
            ):
                getattr(side, name)(*args)
                counts.append(core.blocks())
            most = (362, 362, 462, 362) if shift else (362, 62, 203, 362)
            if not shift and not lead:
                most = 103, 62, 203, 98
            assert all(map(operator.le, counts, most)), (shift, lead, counts)


def test_build_has_no_more_than_the_frame():
    far = get32(addr(PEER), 0)
    for shift in range(4):
        for n in range(70):
            walk = Walk(1, 1, 64 + 6, shift)
            for side in walk.sides:
                side.frame = memoryview(bytearray(2 + 42 + n))[2:]
            walk.both("put", 4, n, far, 7)
            walk.both("build", 1)
            assert walk.sides[0].state[datagram._C_UDP_TX] == 1


def test_every_slot_is_marked():
    state = Host(sockets=40).iface._st
    walk = Walk(1, 4, 64, 0)
    for slot in (0, 1, 15, 16, 17, 31, 32, 39):
        walk.sides = [Side(f, state, 4, 64, 0) for f in (datagram, datagram_thumb)]
        for side in walk.sides:
            side.tx_ring[datagram._R_SLOT] = slot
        walk.both("put", 4, 9, get32(addr(PEER), 0), 7)


def test_a_ring_that_is_full_to_the_last_byte():
    far = get32(addr(PEER), 0)
    for n in (1, 0):
        walk = Walk(1, 4, 64, 0)
        for size in (32, 32):
            walk.both("put", 4, size, far, 7)
            frame = udp(5000, 6969, bytes(range(size)))
            walk.both("arrive", frame, len(frame) - 34, far)
        walk.both("build", 1)
        walk.both("take", 0, 64)
        for size in (32, n):
            walk.both("put", 4, size, far, 7)
            frame = udp(5000, 6969, bytes(range(size)))
            walk.both("arrive", frame, len(frame) - 34, far)
        for _ in range(3):
            walk.both("build", 1)
            walk.both("take", 0, 64)


def test_ports():
    walk = Walk(1, 4, 64, 0)
    for bit in range(32):
        frame = bytearray(udp(0, 0, b"data", no_csum=True))
        frame[34 + bit // 8] = 1 << bit % 8
        walk.both("arrive", bytes(frame), 12, get32(addr(PEER), 0))
        for side in walk.sides:
            side.state[LAST_PORTS] = get32(frame, 34)
        walk.both("arrive", bytes(frame), 12, get32(addr(PEER), 0))
        walk.both("take", 0, 64)


def test_a_slot_without_a_ring_is_for_the_long_way():
    side = Side(datagram_thumb, Host().iface._st, 1, 64, 0)
    state = side.state
    frame = udp(5000, 6969, b"data")
    state[LAST_PORTS] = (5000 << 16) | 6969
    state[LAST_PORTS + 1] = get32(addr(PEER), 0)
    state[LAST_PORTS + 2] = get32(addr(OUR), 0)
    for place, result in ((PLACE, -1), (PLACE + 1, 0)):
        state[LAST_PORTS + 3] = 17 << 16 | place
        assert side.arrive(frame, 12, get32(addr(PEER), 0)) == result
    assert state[header._SRC] == get32(addr(PEER), 0)
