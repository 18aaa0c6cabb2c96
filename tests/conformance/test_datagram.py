"""Packets between rings, buffers and frames: both editions do the same (sockets/datagram.py)."""

from array import array

from fuzz import Random
from harness import *
from smolmpy.sockets import datagram
from smolmpy.sockets.ring import make

try:
    from smolmpy.sockets import datagram_thumb as assembly
except (ImportError, SyntaxError, AttributeError):
    assembly = None

SKIP = "SKIP no inline assembly for this processor"
SRC, DST, PEER_HI, LAST_PORTS = 7, 8, 14, 106
SLOT, PLACES = 5, 8
LAST, LOCAL_PORT, HOP_LIMIT, LIMIT, RING_SLOT, RECORDS = 11, 15, 16, 17, 20, 21
PLACE = 3  # of the socket in `places`
STEPS = 1500


def contents(ring, data):
    """What a ring holds; what lies in it besides is nobody's."""
    head, count, capacity, start, end, used, size = ring[4:11]
    packets = []
    for i in range(count):
        at = RECORDS + 5 * ((head + i) % ((len(ring) - RECORDS) // 5))
        record = tuple(ring[at : at + 5])
        packets.append((record, bytes(data[record[0] : record[0] + record[1]])))
    return head, count, capacity, (start, end) if count else 0, used, size, packets


class Side:
    """One edition with a ring of each kind, a state and a frame of its own."""

    def __init__(self, functions, state, packets, size, shift):
        self.functions = functions
        self.state = array("I", state)
        self.frame = memoryview(bytearray(1602))[2:]
        self.l4 = self.frame[34:]
        # The rings' bytes lie at any address.
        self.rx = memoryview(bytearray(size + shift))[shift:]
        self.tx = memoryview(bytearray(size + shift))[shift:]
        self.rx_ring = make(packets, size)
        self.tx_ring = make(packets, size)
        self.tx_ring[RING_SLOT] = SLOT
        self.tx_ring[LOCAL_PORT] = 6969
        self.tx_ring[HOP_LIMIT] = 77
        self.buf = memoryview(bytearray(1700))
        self.places = functions.places(PLACES)
        functions.enter(self.places, PLACE, self.rx_ring, self.rx)
        self.inbox = functions.handle(self.rx_ring, self.rx, self.tx_ring, 0)
        self.outboxes = [
            functions.handle(self.tx_ring, self.tx, self.rx_ring, answers) for answers in (0, 1)
        ]

    def seen(self):
        rx = contents(self.rx_ring, self.rx), tuple(self.rx_ring[LAST : LAST + 3])
        return rx, contents(self.tx_ring, self.tx), tuple(self.state), bytes(self.buf)

    def take(self, at, room):
        return self.functions.take(self.buf[at : at + room], room, self.inbox)

    def put(self, at, n, remote, port, limit=0):
        ring = self.tx_ring
        ring[0], ring[1], ring[2] = remote, get32(addr(OUR), 0), port
        ring[LIMIT] = limit
        out = self.outboxes[1 if limit else 0]
        return self.functions.put(self.buf[at : at + n], n, out, self.state)

    def arrive(self, frame, n, src):
        self.frame[: len(frame)] = frame
        st = self.state
        st[SRC] = src
        st[DST] = get32(frame, 30)
        s = sum(get16(frame, i) for i in range(26, 34, 2))
        st[10] = s + 17 + n
        return self.functions.arrive(self.l4, st, n, self.places)

    def build(self, to_peer):
        if not self.tx_ring[5]:
            return None
        self.tx_ring[3] = to_peer
        n = self.functions.build(self.frame, self.state, self.outboxes[0])
        if n:
            frame = bytes(self.frame[:n])
            p = Packet(frame)  # which checks the checksums
            return frame, p.sport, p.dport
        return n


class Walk:
    def __init__(self, seed, packets, size, shift):
        h = Host(seed=b"12345678")
        st = h.iface._st
        st[LAST_PORTS] = (5000 << 16) | 6969
        st[LAST_PORTS + 1] = get32(addr(PEER), 0)
        st[LAST_PORTS + 2] = get32(addr(OUR), 0)
        st[LAST_PORTS + 3] = (17 << 16) | PLACE
        self.sides = [Side(f, st, packets, size, shift) for f in (datagram, assembly)]
        self.random = Random(seed)
        self.size = size
        self.capacity = packets
        self.results = {}

    def both(self, name, *args):
        one, other = [getattr(side, name)(*args) for side in self.sides]
        assert one == other, (name, args, one, other)
        one, other = self.sides[0].seen(), self.sides[1].seen()
        for i in range(len(one)):
            assert one[i] == other[i], (name, args, one[i], other[i])

    def step(self):
        below = self.random.below
        n = below((4, 40, self.size + 3)[below(3)])
        what = below(9)
        if what < 2:
            self.both("take", below(9), below(2) and n)
        elif what < 4:
            far = get32(addr((PEER, GATEWAY, FAR)[below(3)]), 0)
            for side in self.sides:
                for i in range(n):
                    side.buf[4 + i] = (i * 7 + n) & 255
            args = 4 + below(4), n, far, 1 + below(65535)
            if below(2):
                if below(9) == 0:
                    for side in self.sides:
                        side.rx_ring[LAST + 1] ^= 1  # not to us
                args += (self.size - below(3),)
            self.both("put", *args)
        elif what < 6:
            for side in self.sides:
                side.state[PEER_HI] = 0x1234
                side.state[PEER_HI + 1] = 0x56789ABC
            self.both("build", 1 if below(3) == 0 else 0)
        elif what < 8:
            self.datagram(n)
        else:
            # A handler takes over, or leaves.
            for side in self.sides:
                if not side.rx_ring[5]:
                    side.rx_ring[6] = 0 if below(2) and side is self.sides[0] else self.capacity
            self.sides[1].rx_ring[6] = self.sides[0].rx_ring[6]

    def datagram(self, n):
        below = self.random.below
        data = bytes(below(256) for _ in range(n))
        if below(6) == 0:
            data = (b"\x00", b"\xff")[n & 1] * n
        sport = 5000 if below(20) else 5001
        wrong = below(8)
        frame = bytearray(udp(sport, 6969, data, bad_csum=wrong == 0, no_csum=wrong == 1))
        length = len(frame) - 34
        if wrong == 2:
            frame[38 + below(2)] ^= 1 << below(8)
        elif wrong == 3:
            frame += bytes(below(256) for _ in range(1 + below(5)))
            length = len(frame) - 34
        elif wrong == 4:
            length = below(length + 1)
        elif wrong == 5 and below(4) == 0:
            frame[36:38] = b"\x00\x00"
        self.both("arrive", bytes(frame), length, get32(addr(PEER if below(20) else FAR), 0))


def test_both_do_the_same():
    if assembly is None:
        return SKIP
    met = [0] * 6
    for seed, packets, size, shift in (
        (1, 4, 64, 0),
        (2, 1, 100, 1),
        (3, 7, 333, 2),
        (4, 3, 61, 3),
        (5, 4, 1472, 0),
    ):
        walk = Walk(seed, packets, size, shift)
        for _ in range(STEPS if size < 1000 else 150):
            walk.step()
        for i in range(6):
            met[i] += walk.sides[0].state[69 + i]
    # received, sent, malformed, of a wrong checksum, for nobody, without room
    assert min(met[:4] + met[5:]) > 50, met


def test_every_size_and_place():
    if assembly is None:
        return SKIP
    for shift in range(4):
        walk = Walk(shift, 2, 300, shift)
        for n in list(range(70)) + list(range(250, 292)):
            far = get32(addr(PEER), 0)
            walk.both("put", 4 + (n & 3), n, far, 7)
            walk.both("put", 4 + (n >> 2 & 3), 5, far, 7)
            walk.both("build", 0)
            walk.both("build", 0)
            data = bytes((i * 5 + n) & 255 for i in range(n))
            frame = udp(5000, 6969, data)
            walk.both("arrive", frame, len(frame) - 34, far)
            frame = udp(5000, 6969, data[:7])
            walk.both("arrive", frame, len(frame) - 34, far)
            walk.both("take", n >> 2 & 3, n)
            assert bytes(walk.sides[1].buf[n >> 2 & 3 :][:n]) == data
            walk.both("take", 1, 9)


def test_a_checksum_of_zero_is_sent_as_ones():
    for functions in (datagram, assembly):
        if functions is None:
            continue
        side = Side(functions, Host().iface._st, 1, 64, 0)
        side.put(0, 2, get32(addr(PEER), 0), 5000)
        frame = side.build(0)[0]
        side.buf[0:2] = frame[40:42]
        side.put(0, 2, get32(addr(PEER), 0), 5000)
        assert side.build(0)[0][40:42] == b"\xff\xff"
