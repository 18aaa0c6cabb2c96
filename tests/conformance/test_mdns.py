"""Multicast DNS (RFC 6762): the name is probed for, announced, defended; others are found."""

import dns_frames as dns
import steps
from dns_frames import QUESTION, Read, a, message, pointer
from harness import *
from locked import PreparedDevice, under_lock
from smolmpy import MDNS, DNSClient, Interface

GROUP = "224.0.0.251"
GROUP_MAC = b"\x01\x00\x5e\x00\x00\xfb"
NAME = "printer.local"
OTHER = "scanner.local"
FLUSH = 0x8001
ENOENT = -2


def start(hostname="printer", **kw):
    h = Host()
    return h, MDNS(h.iface, hostname, **kw)


def ready(hostname="printer", **kw):
    h, m = start(hostname, **kw)
    h.advance(20000)
    h.clear()
    assert m.ready and m.state_name == "READY"
    return h, m


def sent(h, dst=GROUP, dport=5353, **fields):
    """The next mDNS message, past what IGMP says."""
    for _ in range(2000):
        while h.device.sent and h.device.sent[0][1][23] == 2:
            h.device.sent.pop(0)
        if h.device.sent:
            break
        h.advance(10)
    p = h.expect("udp", sport=5353, dst=dst, dport=dport, ttl=255, src=OUR)
    if dst == GROUP:
        assert p.dmac == GROUP_MAC
    m = Read(p.data)
    m.at = p.at
    for name in fields:
        assert getattr(m, name) == fields[name], (name, getattr(m, name))
    return m


def nothing(h):
    h.run()
    h.device.sent = [f for f in h.device.sent if f[1][23] != 2]
    assert not h.device.sent, h.rest()


def at_once(h):
    """The message that is sent at this moment."""
    now = h.t
    m = sent(h)
    assert m.at == now, (m.at, now)
    return m


def multicast(data, **kw):
    kw["dst"] = kw.get("dst", GROUP)
    kw["dmac"] = kw.get("dmac", GROUP_MAC)
    kw["ttl"] = 255
    return udp(kw.pop("sport", 5353), kw.pop("dport", 5353), data, **kw)


def question(name=NAME, kind=dns.A, cls=1):
    return dns.name(name) + u16(kind) + u16(cls)


def asks(name=NAME, kind=dns.A, cls=1, answers=(), authority=(), ident=0, **kw):
    data = message(ident, question(name, kind, cls), answers, authority, flags=0)
    return multicast(data, **kw)


def says(*answers, more=(), **kw):
    return multicast(message(0, b"", answers, (), more, flags=0x8400), **kw)


def ours(record, ttl=120, cls=FLUSH, name=NAME):
    assert record == (name, dns.A, cls, ttl, addr(OUR)), record


def test_probes_then_announces():
    h, m = start()
    assert not m.ready and m.name == NAME
    times = []
    for _ in range(3):
        p = sent(h, ident=0, flags=0)
        assert p.questions == [(NAME, dns.ANY, FLUSH)]
        assert p.authority == [(NAME, dns.A, 1, 120, addr(OUR))]
        times.append(p.at)
    assert times[0] <= 250 and times[1] - times[0] == 250 and times[2] - times[1] == 250
    assert not m.ready
    for i in range(2):
        p = sent(h, ident=0, flags=0x8400, questions=[])
        ours(*p.answers)
        assert p.at - times[2] == 250 + 1000 * i
    assert m.ready
    h.advance(60000)
    nothing(h)


def test_waits_for_an_address_and_follows_it():
    h = Host(address=False)
    m = MDNS(h.iface, "printer")
    h.advance(30000)
    nothing(h)
    h.iface.add_address(OUR + "/24")
    h.advance(3000)
    h.expect("arp")
    for _ in range(3):
        sent(h, flags=0)
    ours(*sent(h).answers)
    h.advance(20000)
    h.clear()
    h.iface.remove_address(OUR)
    h.iface.add_address("192.168.69.33/24")
    h.advance(6000)
    p = [Packet(f, at) for at, f in h.device.sent]
    assert any(x.kind == "udp" and x.src == "192.168.69.33" for x in p)
    assert m.name == NAME


def test_answers():
    h, m = ready()
    h.inject(asks())
    p = sent(h, flags=0x8400, ident=0, questions=[])
    ours(*p.answers)
    nothing(h)
    h.advance(1000)
    h.inject(asks("PRINTER.Local", dns.ANY))
    ours(*sent(h).answers)
    for other in ("printer.localx", "printe.local", "x.printer.local", "local", "printer"):
        h.advance(1000)
        h.inject(asks(other))
        nothing(h)
    h.inject(asks(kind=dns.A, cls=3), asks(OTHER))
    nothing(h)


def test_answers_to_one():
    h, m = ready()
    h.inject(asks(cls=FLUSH))
    p = sent(h, dst=PEER)
    ours(*p.answers)
    nothing(h)
    # It does not count as told to all.
    h.inject(asks())
    ours(*at_once(h).answers)


def test_an_unknown_neighbor_is_looked_for_before_it_is_answered():
    h = Host(neighbor=False)
    MDNS(h.iface, "printer")
    h.advance(20000)
    h.clear()
    h.inject(asks(cls=FLUSH))
    h.expect("arp", op=1, tpa=PEER)
    h.inject(arp(2, PEER, OUR, tha=OUR_MAC))
    ours(*sent(h, dst=PEER).answers)
    # One that does not answer ARP is given up.
    h.inject(asks(cls=FLUSH, src="192.168.69.9"))
    h.advance(5000)
    assert all(f[12:14] == b"\x08\x06" for _, f in h.device.sent), h.rest()


def test_simple_resolvers_are_answered():
    """RFC 6762 section 6.7: from another port, with the question and a short life."""
    h, m = ready()
    h.inject(asks(ident=4711, sport=40000))
    p = sent(h, dst=PEER, dport=40000, ident=4711)
    assert p.questions == [(NAME, dns.A, 1)]
    ours(p.answers[0], ttl=10, cls=1)
    h.inject(asks(ident=4712, sport=40000, dst=OUR, dmac=OUR_MAC))
    ours(sent(h, dst=PEER, dport=40000, ident=4712).answers[0], ttl=10, cls=1)


def test_there_is_nothing_but_an_address():
    h, m = ready()
    h.inject(asks(kind=dns.AAAA))
    p = sent(h)
    assert p.answers == [(NAME, 47, FLUSH, 120, p.answers[0][4])]
    assert p.answers[0][4] == b"\xc0\x0c\0\x01\x40"
    h.inject(asks(kind=dns.AAAA, sport=40000, ident=5))
    p = sent(h, dst=PEER, dport=40000, ident=5)
    assert p.questions == [(NAME, dns.AAAA, 1)] and p.answers[0][:4] == (NAME, 47, 1, 10)


def test_what_is_known_is_not_answered():
    h, m = ready()
    h.inject(asks(answers=[a(QUESTION, OUR, 60)]))
    nothing(h)
    for known in ([a(QUESTION, OUR, 59)], [a(QUESTION, PEER, 120)], [a(OTHER, OUR, 120)]):
        h.advance(1000)
        h.inject(asks(answers=known))
        ours(*sent(h).answers)


def test_no_more_than_once_a_second():
    h, m = ready()
    times = []
    for _ in range(30):
        h.inject(asks())
        h.advance(100)
    for at, f in h.device.sent:
        times.append(at)
    gaps = [times[i] - times[i - 1] for i in range(1, len(times))]
    assert 3 <= len(times) <= 4 and min(gaps) >= 1000, times
    # But a probe is answered at once.
    h.clear()
    for _ in range(2):
        h.inject(asks(kind=dns.ANY, authority=[a(QUESTION, PEER, 120)]))
        ours(*at_once(h).answers)
    h.inject(asks(kind=dns.ANY))
    nothing(h)
    h.advance(1000)
    ours(*sent(h).answers)


def test_the_name_is_taken():
    h, m = start()
    told = []
    m.on_change = told.append
    sent(h)
    h.inject(says(a(NAME, PEER, 120, cls=FLUSH)))
    assert m.hostname == "printer-2" and told == [m] and not m.ready
    for _ in range(3):
        assert sent(h, flags=0).questions == [("printer-2.local", dns.ANY, FLUSH)]
    ours(*sent(h).answers, name="printer-2.local")
    h.advance(5000)
    h.clear()
    h.inject(asks())
    nothing(h)
    h.inject(asks("printer-2.local"))
    ours(*sent(h).answers, name="printer-2.local")


def test_two_want_the_name_at_once():
    h, m = start()
    sent(h)
    # The greater address has it: ours is .1, so we wait a second, and see.
    h.inject(asks(kind=dns.ANY, authority=[a(QUESTION, PEER, 120)]))
    at = h.t
    p = sent(h, flags=0)
    assert p.at - at >= 1000 and p.questions[0][0] == NAME
    h.inject(asks(kind=dns.ANY, authority=[a(QUESTION, "192.168.68.255", 120)]))
    p2 = sent(h, flags=0)
    assert p2.at - p.at == 250
    sent(h, flags=0)
    ours(*sent(h).answers)
    assert m.conflicts == 0


def test_a_conflict_later_on():
    h, m = ready()
    h.inject(says(a(NAME, PEER, 120, cls=FLUSH)))
    assert not m.ready and m.hostname == "printer" and m.conflicts == 1
    sent(h, flags=0)
    # The other one was a ghost: the name stays.
    h.advance(3000)
    assert m.ready and m.hostname == "printer"
    h.clear()
    h.inject(says(a(NAME, PEER, 120, cls=FLUSH)))
    sent(h, flags=0)
    h.inject(says(a(NAME, PEER, 120, cls=FLUSH)))
    assert m.hostname == "printer-2"


def test_what_is_no_conflict():
    h, m = ready()
    h.inject(
        says(a(NAME, OUR, 120, cls=FLUSH)),
        says(a(NAME, PEER, 0, cls=FLUSH)),
        says(a(OTHER, PEER, 120)),
        says(dns.rr(NAME, dns.AAAA, bytes(16), 120)),
        says(a(NAME, PEER, 120), sport=40000),
        says(a(NAME, "10.9.9.9", 120), src="10.9.9.9"),
    )
    assert m.ready and m.conflicts == 0
    assert m.stats()["ignored"] == 2


def test_many_conflicts_slow_us_down():
    h, m = start()
    for i in range(17):
        sent(h, flags=0)
        h.inject(says(a(m.name, PEER, 120, cls=FLUSH)))
        h.clear()
    at = h.t
    assert sent(h, flags=0).at - at >= 5000
    assert m.hostname == "printer-18"


def test_conflicts_are_forgotten():
    """RFC 6762 section 8.1: fifteen conflicts count if they are within ten seconds."""
    h, m = ready()
    for _ in range(40):
        h.inject(says(a(NAME, PEER, 120, cls=FLUSH)))
        at = h.t
        assert sent(h, flags=0).at - at <= 250
        h.advance(5000)
        assert m.ready and m.hostname == "printer"
        h.clear()
    assert m.conflicts == 40


def test_slow_until_ten_seconds_without_a_conflict():
    h, m = start()
    waits = []
    for _ in range(20):
        at = h.t
        waits.append(sent(h, flags=0).at - at)
        h.inject(says(a(m.name, PEER, 120, cls=FLUSH)))
        h.clear()
    # The first after the fifteenth conflict, and all that follow.
    assert max(waits[:15]) <= 250 and waits[15:] == [5000] * 5, waits
    h.advance(20000)
    assert m.ready and m.hostname == "printer-21"
    h.clear()
    h.inject(says(a(m.name, PEER, 120, cls=FLUSH)))
    at = h.t
    assert sent(h, flags=0).at - at <= 250


def test_fourteen_conflicts_in_ten_seconds_are_no_flood():
    h, m = ready()
    start = h.t
    for i in range(45):
        h.inject(says(a(m.name, PEER, 120, cls=FLUSH)))
        at = h.t
        assert sent(h, flags=0).at - at <= 250, i
        h.advance(start + 720 * (i + 1) - h.t)
        h.clear()


def test_the_program_may_close_it_when_the_name_is_taken():
    # Whatever the random time before the first probe of the next name, none of it is sent.
    for at_once in (False, True):
        h, m = start()
        m.on_change = lambda m: m.close()
        sent(h)
        if at_once:
            m._turn = lambda ms, m=m: MDNS._turn(m, 0)
        h.inject(says(a(NAME, PEER, 120, cls=FLUSH)), says(a("printer-2.local", PEER, 120)))
        h.advance(100000)
        nothing(h)
        assert not m.ready and m.state_name == "STOPPED"
        m.close()
        assert m.lookup(OTHER, bytearray(4)) == -101
        MDNS(h.iface, "printer")


def test_a_search_ends_without_an_address():
    h = Host(address=False)
    m = MDNS(h.iface)
    buf = bytearray(4)
    assert m.lookup(OTHER, buf) == EAGAIN
    h.advance(6000)
    assert m.lookup(OTHER, buf) == EAGAIN
    h.advance(3000)
    assert m.lookup(OTHER, buf) == ENOENT
    nothing(h)
    # One that comes meanwhile is used.
    assert m.lookup(OTHER, buf) == EAGAIN
    h.advance(1500)
    h.iface.add_address(OUR + "/24")
    h.advance(3000)
    h.expect("arp")
    assert sent(h, flags=0).questions[0][0] == OTHER


def _ladder(first, count, section):
    """Names of no interest, each a pointer to the one before, the first to `first`.

    Returns them and a pointer by which `count` pointers are followed.
    """
    pieces = []
    at = first
    first = 12
    for _ in range(count - 1):
        pieces.append(pointer(first) + u16(99) + u16(1))
        if section:
            pieces[-1] += u32(0) + u16(0)
        first = at
        at += len(pieces[-1])
    return pieces, pointer(first)


def test_ten_pointers_a_name():
    for count in (1, 10, 11):
        h, m = ready()
        head = dns.name(NAME) + u16(99) + u16(1)
        names, owner = _ladder(12 + len(head), count, 0)
        data = u16(0) * 2 + u16(len(names) + 2) + bytes(6) + head + b"".join(names)
        h.inject(multicast(data + owner + u16(dns.A) + u16(1)))
        if count <= 10:
            ours(*sent(h).answers)
        nothing(h)
        assert m.stats()["malformed"] == (count > 10)
        # In an answer: a conflict.
        head = dns.rr(NAME, 99, b"")
        names, owner = _ladder(12 + len(head), count, 1)
        h.inject(says(head, *names, a(owner, PEER, 120)))
        assert m.conflicts == (count <= 10) and m.stats()["malformed"] == 2 * (count > 10)


def test_pointers_lead_back_to_names():
    h, m = ready()
    for n, where in enumerate((0, 2, 11, 12, 13, 31, 0x3FFF)):
        h.inject(multicast(u16(0) * 2 + u16(1) + bytes(6) + pointer(where) + u16(1) + u16(1)))
        h.inject(says(a(pointer(where), PEER, 120)))
        assert m.stats()["malformed"] == 2 * n + 2, where
        assert m.ready and m.conflicts == 0
    nothing(h)


def _dear(name, answers):
    """Messages as long as may be, in which each of many names is read to its end."""
    hops = []

    def chain(at):
        hops.append(at)
        return pointer(hops[-2] if len(hops) % 10 else 12)

    for first in (dns.name(name), dns.name(name)[:-2] + b"?\0", b"\0"):
        for other in (lambda at: pointer(12), chain, lambda at: b"\0"):
            hops[:] = [12]
            pieces = []
            length = 12
            while length < 1440:
                piece = (other(length) if pieces else first) + u16(dns.A) + u16(1)
                if answers:
                    piece += u32(120) + u16(4) + addr(OUR)
                pieces.append(piece)
                length += len(piece)
            counts = [0, 0, len(pieces), 0, 0, 0]
            if answers:
                counts = [0, 0x8400, 0, len(pieces), 0, 0]
            yield b"".join([u16(n) for n in counts]) + b"".join(pieces)


def _cost(h, m, frame):
    """The steps of a poll with this frame, while two names are looked for."""
    h.advance(10000)
    for name in (OTHER, "third.local"):
        m.lookup(name, bytearray(4))
    h.run()
    h.clear()
    return steps.count(h.inject, frame)


def test_a_message_may_cost_so_much():
    """No more than some 30 times a usual one, of which 50 are as long."""
    for hostname in ("printer", "p" * 60):
        h, m = ready(hostname)
        for answers, frame in ((0, asks("x.local")), (1, says(a("x.local", PEER)))):
            usual = _cost(h, m, frame)
            for data in _dear(m.name, answers):
                most = _cost(h, m, multicast(data))
                assert most <= 32 * usual, (hostname, answers, most, usual)
        assert m.ready and m.conflicts == 0 and m.stats()["malformed"]


def test_the_longest_honest_messages():
    h, m = ready()
    h.inject(multicast(message(0, question(), [a(OTHER, PEER)] * 40, flags=0)))
    ours(*sent(h).answers)
    h.advance(1000)
    # Known answers about many services, by pointers, with ours the last.
    more = [dns.rr(QUESTION, dns.PTR, b"\1" + bytes([97 + i % 26]) + QUESTION) for i in range(88)]
    data = message(0, question("_x._tcp.local", dns.PTR), more, flags=0)
    data = data[:4] + u16(2) + data[6:]
    at = 12 + len(question("_x._tcp.local"))
    data = data[:at] + question() + data[at:]
    assert len(data) < 1472
    h.inject(multicast(data))
    ours(*sent(h).answers)
    assert m.stats()["malformed"] == 0


def test_malformed_messages_are_dropped_and_counted():
    h, m = ready()
    data = message(0, question(), [a(pointer(12), PEER, 120)], flags=0x8400)
    malformed = m.stats()["malformed"]
    for n in range(len(data)):
        h.inject(multicast(data[:n]))
        assert m.ready, n
    assert m.stats()["malformed"] == malformed + len(data)
    at = 12
    for name in (pointer(at), pointer(at + 20), b"\x50x", b"\x3f"):
        h.inject(multicast(message(0, name + b"\0\1\0\1", flags=0)))
    h.inject(multicast(b"\0\0\x08\0" + data[4:]))
    h.inject(multicast(data[:4] + b"\xff\xff" + data[6:]))
    assert m.ready
    nothing(h)


def test_damaged_messages():
    h, m = ready()
    buf = bytearray(4)
    m.lookup(OTHER, buf)
    wholes = (
        message(0, question(), [a(QUESTION, OUR, 60)], [a(pointer(12), PEER)], flags=0),
        message(0, b"", [a(OTHER, PEER)], (), [a(pointer(12), FAR)], flags=0x8400),
    )
    for seed in range(600):
        data = bytearray(wholes[seed & 1])
        number = seed
        for _ in range(3):
            number = (number * 1103 + 12345) % 1000003
            data[number % len(data)] = (0xC0, 0, 255, number >> 3 & 255)[number % 4]
        h.inject(multicast(bytes(data)))
        h.clear()
        m.lookup(OTHER, buf)
    h.advance(60000)
    assert m.ready


def test_finds_others():
    h, m = ready(None)
    buf = bytearray(4)
    assert m.lookup(OTHER, buf) == EAGAIN
    p = sent(h, flags=0)
    assert p.questions == [(OTHER, dns.A, FLUSH)]
    h.inject(says(a("SCANNER.local", PEER, 120, cls=FLUSH)))
    assert m.lookup(OTHER, buf) == 1 and text(buf) == PEER
    nothing(h)
    h.advance(100000)
    assert m.lookup(OTHER, buf) == 1
    h.advance(20001)
    assert m.lookup(OTHER, buf) == EAGAIN
    # An answer to us alone, in the additional section, past something else.
    sent(h)
    h.inject(
        says(
            dns.rr("x.local", dns.PTR, dns.name(OTHER), 120),
            more=[a(OTHER, FAR, 120, cls=FLUSH)],
            dst=OUR,
            dmac=OUR_MAC,
        )
    )
    assert m.lookup(OTHER, buf) == 1 and text(buf) == FAR


def test_nobody_has_the_name():
    h, m = ready(None)
    buf = bytearray(4)
    assert m.lookup(OTHER, buf) == EAGAIN
    times = []
    for _ in range(3):
        p = sent(h, flags=0)
        times.append(p.at)
        assert p.questions[0][2] == (FLUSH if len(times) == 1 else 1)
    assert times[1] - times[0] == 1000 and times[2] - times[1] == 2000
    h.inject(says(a("other.local", PEER, 120)), says(a(OTHER, PEER, 0)))
    assert m.lookup(OTHER, buf) == EAGAIN
    h.advance(4000)
    assert m.lookup(OTHER, buf) == ENOENT
    nothing(h)
    assert m.lookup(OTHER, buf) == EAGAIN


def test_our_own_name():
    h, m = ready()
    buf = bytearray(4)
    assert m.lookup(NAME, buf) == 1 and text(buf) == OUR
    nothing(h)


def test_searches_are_bounded():
    h, m = ready(None, searches=2)
    buf = bytearray(4)
    for name in ("a.local", "b.local", "c.local", "d.local"):
        assert m.lookup(name, buf) == EAGAIN
    h.run()
    assert len(h.device.sent) == 2
    h.advance(10000)
    h.clear()
    for name in ("c.local", "d.local"):
        assert m.lookup(name, buf) == EAGAIN
    h.run()
    assert len(h.device.sent) == 2
    h.advance(40000)
    raises(ValueError, "name", m.lookup, "a..local", buf)


def test_the_dns_client_hands_local_names_over():
    h, m = ready(None)
    d = DNSClient(h.iface, [PEER], mdns=m)
    buf = bytearray(4)
    assert d.lookup("www.org", buf) == EAGAIN
    h.run()
    h.device.sent = [f for f in h.device.sent if f[1][23] != 2]
    h.expect("udp", dport=53)
    assert d.lookup(OTHER, buf) == EAGAIN
    sent(h)
    h.inject(says(a(OTHER, PEER, 120)))
    assert d.lookup(OTHER, buf) == 1 and text(buf) == PEER


def test_goodbye():
    h, m = ready()
    m.close()
    p = sent(h, flags=0x8400)
    ours(*p.answers, ttl=0)
    p = h.expect("ip", proto=2, dst="224.0.0.2")
    h.inject(asks())
    h.advance(100000)
    h.expect_nothing()
    # Its places are free again.
    MDNS(h.iface, "printer")


def test_restart():
    h, m = ready()
    m.restart()
    for _ in range(3):
        sent(h, flags=0)
    ours(*sent(h).answers)


def test_mistakes_of_the_caller():
    h = Host()
    raises(ValueError, "hostname", MDNS, h.iface, "a.b")
    raises(ValueError, "hostname", MDNS, h.iface, "")
    raises(ValueError, "hostname", MDNS, h.iface, "x" * 61)
    # Nothing is left of what could not be made: the group is not joined.
    others = [h.add(TCPSocket(64, 64)) for _ in range(7)]
    raises(OSError, "sockets", MDNS, h.iface, "printer")
    assert h.iface._igmp.groups() == 0
    h.iface.remove(others[0])
    MDNS(h.iface, "printer")


class Busy:
    """Asked, and asking, for hours on a `PreparedDevice`, without allocating anything."""

    def __init__(self):
        self.device = PreparedDevice()
        self.iface = Interface(self.device, OUR_MAC)
        self.iface.add_address(OUR + "/24")
        self.iface.add_neighbor(PEER, PEER_MAC)
        self.mdns = MDNS(self.iface, "printer")
        self.frames = [
            bytearray(f)
            for f in (
                asks(),
                asks(cls=FLUSH),
                asks(kind=dns.AAAA),
                asks(sport=40000),
                asks("nothing.local"),
                says(a(OTHER, PEER, 2)),
            )
        ]
        self.addr = bytearray(4)
        self.t = START
        self.found = self.lost = 0

    def __call__(self):
        for i in range(600):
            self.device.frame = self.frames[i % 6]
            for _ in range(5):
                self.t = (self.t + 300) & 0x3FFFFFFF
                self.iface.poll(self.t)
                n = self.mdns.lookup(OTHER, self.addr)
                self.found += n == 1
                n = self.mdns.lookup("nobody.local", self.addr)
                self.lost += n == ENOENT


def test_nothing_is_allocated():
    busy = Busy()
    busy()
    busy.device.sent = busy.found = busy.lost = 0
    under_lock(busy)
    assert busy.device.sent > 700 and busy.found > 300 and busy.lost > 50, (
        busy.device.sent,
        busy.found,
        busy.lost,
    )
    assert busy.mdns.conflicts == 0
