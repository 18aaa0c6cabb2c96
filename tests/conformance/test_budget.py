"""No frame costs more than a small multiple of the usual, whatever it contains.

What a poll costs is counted in lines of Python (steps.py), so it is the same on each run and on
each machine. The usual is the dearest of the frames that a host sees all the time; the others are
made by hand, each to have one loop of the stack run as long as it may, and by chance from those.
"""

import steps
from fuzz import EDGES, Random, mend
from harness import *
from smolmpy import ICMPSocket, RawSocket, UDPSocket

SKIP = "SKIP steps are counted on CPython only"
# No frame may cost more than so many times the usual one of the same size.
TIMES = 6
OTHER = "192.168.69.77"
MUTATED = 1500


class Crowd:
    """A host with everything that a frame may concern, in the state in which that is dearest."""

    def __init__(self):
        h = self.h = Host(sockets=16, neighbors=16, seed=b"12345678")
        for i in range(3):
            h.iface.add_address("10.%d.0.1/16" % i)
        h.iface.join_group("224.1.2.3")
        h.run()
        h.clear()
        self.udp = h.add(UDPSocket(2000, 2000))
        self.udp.bind(7)
        self.icmp = h.add(ICMPSocket(2000, 64))
        self.icmp.bind(1)
        self.raw = h.add(RawSocket(4000, 64, ethertype=None))
        # Connections with holes on both sides, which ranges.py keeps in lists.
        self.plain = self.open(6000, {"mss": 1460}, 4096, False)
        self.sack = self.open(6001, {"mss": 1460, "sackok": True, "ws": 2}, 16384, False)
        self.stamped = self.open(6002, {"mss": 1460, "sackok": True, "ts": (1, 0)}, 16384, True)
        self.connections = (self.plain, self.sack, self.stamped)
        h.run()
        h.clear()

    def open(self, port, syn, size, stamped):
        h = self.h
        s = h.add(TCPSocket(size, size))
        s.timestamps = stamped
        s.listen(port)
        p = Peer(h, port=40000 + port, to=port)
        p.send("S", 0, **syn)
        p.expect("SA")
        p.seq = p.ack = 1
        p.ts = {"ts": (2, 0)} if stamped else {}
        p.send("A", **p.ts)
        h.clear()
        s.send(bytes(i & 255 for i in range(size)))
        h.run()
        p.flight = (s._tcb[12] - s._tcb[10]) & M32
        if "sackok" in syn:
            for i in range(4):
                at = 1 + 1000 * i + 200
                p.send("A", ack=1, sack=[(at, at + 100)], **p.ts)
        for i in range(10):
            p.send("A", 101 + 200 * i, 1, bytes(100), **p.ts)
        h.clear()
        return p

    def cost(self, *frames):
        """The lines that a poll takes for the frames, with what is due afterwards."""
        h = self.h
        h.device.queue.extend(frames)
        total = steps.count(h.iface.poll, h.now)
        for _ in range(4):
            if h.iface.poll_delay(h.now) == 0:
                total += steps.count(h.iface.poll, h.now)
        h.clear()
        return total


def usual(n):
    """What the usual frames with n bytes of payload cost, the dearest of them."""
    c = Crowd()
    h = c.h
    h.iface.remove(c.raw)
    quick = h.add(TCPSocket(8192, 8192))
    quick.listen(80)
    p = Peer(h, port=9999, to=80)
    p.send("S", 0, mss=1460)
    p.expect("SA")
    p.seq = p.ack = 1
    p.send("A")
    data = bytes(n)
    quick.send(data or b"x")
    return max(
        c.cost(f)
        for f in (
            arp(1),
            echo(data=data),
            udp(5000, 7, data),
            udp(5000, 9, data),
            p.frame("PA", 1, 1, data),
            p.frame("A", 1 + n, 1 + n),
            tcp(5000, 9, "S"),
        )
    )


def filled(option, room=40):
    """As much of an option as there is room for."""
    return option * (room // len(option))


def made(c):
    """Frames of every protocol that have something run for long: (what, frame)."""
    yield "IP options, none of them anything", udp(5000, 7, b"x", options=b"\1" * 40)
    yield "IP options, the shortest", udp(5000, 7, b"x", options=filled(b"\x07\x02"))
    yield "IP options, one of no length", udp(5000, 7, b"x", options=b"\x07\0" * 20)
    yield "IP options and a closed port", udp(5000, 9, bytes(1400), options=b"\1" * 40)
    yield "a length that is the header's", ip(b"", 17, total=20)
    yield "a fragment", udp(5000, 7, bytes(1400), frag=0x2001)
    yield "a large echo", echo(data=bytes(1472))
    yield "an echo to all", echo(dst="192.168.69.255", dmac=BROADCAST_MAC, data=bytes(1472))
    yield "a reply to ours", echo(1, 1, bytes(1400), kind=0)
    yield "ICMP of no type", icmp(77, 0, data=bytes(1400))
    for p in c.connections:
        quoted = tcp(p.to, p.port, "A", p.irs + 1 & M32, src=OUR, dst=PEER)[14:]
        yield "needs fragmentation", icmp(3, 4, b"\0\0\2\0", quoted)
        yield "unreachable", icmp(3, 1, data=quoted + bytes(1000))
    yield "an error with options", icmp(3, 3, data=b"\x4f" + bytes(1400))
    yield "an unknown protocol", ip(bytes(1480), 200)
    for code in (0, 1, 127, 255):
        yield "IGMP query", ip(igmp(0x11, code), 2, ttl=1, dst="224.0.0.1", dmac=ALL_HOSTS)
    yield "IGMP report", ip(igmp(0x16, 0, "224.1.2.3"), 2, ttl=1, dst="224.1.2.3", dmac=GROUP_MAC)
    yield (
        "long IGMP",
        ip(igmp(0x11, 255, more=bytes(1400)), 2, ttl=1, dst="224.0.0.1", dmac=ALL_HOSTS),
    )
    for op in (1, 2):
        yield "ARP of nobody", arp(op, spa="192.168.69.200", sha=b"\2\0\0\0\0\xc8")
        yield "ARP of us", arp(op, spa=OUR, sha=b"\2\0\0\0\0\xc8")
        yield "gratuitous ARP", arp(op, tpa=PEER, dmac=BROADCAST_MAC)
    yield "an old ARP", arp(1, spa="10.2.0.9", tpa="10.2.0.1") + bytes(1400)
    for i in range(len(c.connections)):
        p = c.connections[i]
        ts = p.ts if p.ts else {}
        for flags in ("", "A", "PA", "F", "FA", "S", "SA", "R", "RA", "FSRPAUEC"):
            for seq in (1, 50, 100, 5000, 1 << 31):
                yield "%s at %d" % (flags, seq), p.frame(flags, seq, 1, bytes(300), **ts)
        for n in (40, 39, 21):
            nothing = b"\1" * n
            yield "TCP options, nothing", p.frame("A", 1, 1, b"x", options=nothing)
        yield "TCP options, the shortest", p.frame("A", 1, 1, b"x", options=filled(b"\x1e\x02"))
        yield "TCP options of no length", p.frame("A", 1, 1, b"x", options=b"\x1e\0" * 20)
        for left in (1, 101, 201, 1201):
            blocks = [(left + 300 * k, left + 300 * k + 40) for k in range(4 if not ts else 3)]
            yield "SACK", p.frame("A", 1, 1, sack=blocks, **ts)
            yield "SACK backwards", p.frame("A", 1, 1, sack=blocks[::-1], **ts)
            yield "SACK of all", p.frame("A", 1, 1, sack=[(1, p.flight + 1)] * len(blocks), **ts)
            odd = [(b, a) for a, b in blocks]
            yield "SACK inside out", p.frame("A", 1, 1, sack=odd, **ts)
        yield "text at the edge", p.frame("A", 2101, 1, bytes(1400), **ts)
        yield "all that is missing", p.frame("A", 1, 1, bytes(1400), **ts)
        yield "an ACK of all", p.frame("A", 1, 1 + p.flight, **ts)
    for port in (6000, 6001, 6002, 9):
        yield "a SYN", tcp(1234, port, "S", options=tcp_options(1460, 2, True, ts=(1, 0)))


ALL_HOSTS = b"\x01\x00\x5e\0\0\1"
GROUP_MAC = b"\x01\x00\x5e\x01\x02\x03"


def igmp(kind, code, group="0.0.0.0", more=b""):
    body = bytes((kind, code, 0, 0)) + addr(group) + more
    return body[:2] + u16(csum(body)) + body[4:]


def test_made_by_hand():
    if not steps.COUNTED:
        return SKIP
    limits = {}
    c = Crowd()
    count = len(list(made(c)))
    dearest = 0, ""
    for i in range(count):
        c = Crowd()
        what, frame = list(made(c))[i]
        size = 0 if len(frame) < 200 else 1400
        if size not in limits:
            limits[size] = TIMES * usual(size)
        cost = c.cost(frame)
        assert cost <= limits[size], (what, cost, limits[size])
        dearest = max(dearest, (cost / limits[size], what))
    assert dearest[0] > 0.3, dearest  # a limit that is far above everything would say nothing


def test_changed_by_chance():
    if not steps.COUNTED:
        return SKIP
    random = Random(77)
    below = random.below
    limit = TIMES * usual(1400)
    c = Crowd()
    bases = [frame for _, frame in made(c)]
    for turn in range(MUTATED):
        if turn % 100 == 0:
            c = Crowd()
        f = bytearray(bases[below(len(bases))])
        for _ in range(1 + below(4)):
            at = below(min(len(f), 110))
            f[at] = EDGES[below(10)] if below(2) else below(256)
        if below(4):
            mend(f, len(f))
        cost = c.cost(bytes(f))
        assert cost <= limit, (turn, cost, limit, bytes(f[:100]))


def test_many_at_once_cost_no_more_each():
    # 32 of the dearest are taken in by one poll.
    if not steps.COUNTED:
        return SKIP
    limit = TIMES * usual(1400)
    c = Crowd()
    frames = [frame for _, frame in made(c)]
    for first in range(0, len(frames), 32):
        some = frames[first : first + 32]
        cost = c.cost(*some)
        assert cost <= limit * len(some), (first, cost)
