"""Multicast DNS by RFC 6762: who is answered, with what, when, and when the name is another's.

`wanted` reads what is asked anew, in the plainest way.
"""

import dns_frames as dns
from dns_frames import QUESTION, Read, a, message, pointer, rr
from fuzz import Random
from harness import *
from smolmpy import MDNS
from test_mdns import (
    ENOENT,
    FLUSH,
    GROUP,
    NAME,
    OTHER,
    asks,
    multicast,
    nothing,
    ours,
    question,
    ready,
    says,
    sent,
    start,
)

NSEC = 47
TXT = 16


class Chance(Random):
    def of(self, items):
        return items[self.below(len(items))]


def wanted(data, port):
    """What an honest question should draw: None, or "A" or "NSEC", and whether to one alone."""
    m = Read(data)
    asked = [q for q in m.questions if q[0].lower() == NAME and q[2] & 0x7FFF in (1, 255)]
    if not asked:
        return None
    for owner, kind, cls, ttl, where in m.answers:
        if owner.lower() == NAME and kind == 1 and cls & 0x7FFF == 1 and len(where) == 4:
            if where == addr(OUR) and 60 <= ttl < 1 << 31:
                return None  # section 7.1
    what = "A" if [1 for q in asked if q[1] in (1, 255)] else "NSEC"
    alone = port != 5353 or [1 for q in asked if q[2] & 0x8000]
    return what, bool(alone)


def test_6_what_is_answered_and_to_whom():
    chance = Chance(3)
    h, m = ready()
    drawn = {}
    for i in range(160):
        port = 5353 if chance.below(4) else 33333
        questions = []
        for _ in range(1 if port != 5353 else 1 + chance.below(3)):
            name = chance.of(
                (NAME, NAME, "PRINTER.local", OTHER, "printer.locals", "printe.local")
            )
            name = dns.name(name)
            if questions and not chance.below(3):
                name = QUESTION
            kind = chance.of((dns.A, dns.A, dns.AAAA, dns.ANY, TXT, 257))
            cls = chance.of((1, 1, 255, 3, 0x8001, 0x80FF, 257) if port == 5353 else (1, 255, 3))
            questions.append(name + u16(kind) + u16(cls))
        known = []
        for _ in range(chance.below(3)):
            owner = chance.of((QUESTION, dns.name(NAME), dns.name(OTHER)))
            where = chance.of((addr(OUR), addr(PEER), addr(OUR)[:3]))
            life = chance.of((59, 60, 61, 120, 0, 0x7FFFFFFF, 0x80000078))
            kind, cls = chance.of(
                ((1, 1), (1, 1), (1, FLUSH), (28, 1), (257, 1), (1, 3), (1, 257))
            )
            known.append(rr(owner, kind, where, life, cls))
        ident = 0x1234 + i if port != 5353 else 0
        data = message(ident, b"".join(questions), known, flags=0)
        data = data[:4] + u16(len(questions)) + data[6:]
        want = wanted(data, port)
        drawn[str(want)] = drawn.get(str(want), 0) + 1
        where = i, want, data
        # To the group, or to us alone; each a while after the last.
        if chance.below(4):
            h.inject(multicast(data, sport=port))
        else:
            h.inject(multicast(data, sport=port, dst=OUR, dmac=OUR_MAC))
        if want is None:
            nothing(h)
        else:
            what, alone = want
            before = h.t
            if port == 5353:
                p = sent(h, dst=PEER if alone else GROUP, ident=0, flags=0x8400, questions=[])
            else:
                p = sent(h, dst=PEER, dport=port, ident=ident, flags=0x8400)
                asked = Read(data).questions
                # The question comes back in small letters, of its type, in class IN.
                assert p.questions == [(asked[0][0].lower(), asked[0][1], 1)], where
            assert p.at == before and p.authority == p.more == [], where
            life, cls = (120, FLUSH) if port == 5353 else (10, 1)
            record = (NAME, 1, cls, life, addr(OUR))
            if what == "NSEC":
                record = (NAME, NSEC, cls, life, pointer(12) + b"\0\x01\x40")
            assert p.answers == [record], (where, p.answers)
            nothing(h)
        h.advance(1000)
        nothing(h)
    assert m.stats()["malformed"] == m.stats()["ignored"] == m.stats()["conflicts"] == 0
    assert len(drawn) == 5, drawn


def test_6_an_address_is_told_to_all_once_a_second():
    h, m = ready()
    h.inject(asks())
    first = sent(h).at
    for ms in (1, 998):
        h.advance(ms)
        h.inject(asks())
        nothing(h)
    h.advance(1)
    assert sent(h).at == first + 1000
    # What is sent to one, or about another type, is not counted so.
    h.inject(asks(cls=FLUSH))
    sent(h, dst=PEER)
    h.inject(asks(kind=dns.AAAA))
    assert sent(h).at == first + 1000
    # One that is held back goes when it may.
    h.inject(asks())
    nothing(h)
    assert sent(h).at == first + 2000


def test_6_7_and_5_4_answers_to_one_wait_for_arp_a_second():
    for after, told in ((900, True), (1200, False)):
        h = Host(neighbor=False)
        MDNS(h.iface, "printer")
        h.advance(20000)
        h.clear()
        h.inject(asks(cls=FLUSH))
        h.expect("arp", op=1, tpa=PEER)
        h.advance(after)
        h.clear()
        h.inject(arp(2))
        if told:
            ours(*sent(h, dst=PEER).answers)
        h.advance(200)
        nothing(h)


def test_8_1_three_probes_250_ms_apart_after_a_random_time():
    begins = set()
    for i in range(8):
        h, m = start()
        t = []
        for _ in range(3):
            p = sent(h, ident=0, flags=0, questions=[(NAME, dns.ANY, FLUSH)])
            assert p.authority == [(NAME, 1, 1, 120, addr(OUR))] and p.answers == p.more == []
            t.append(p.at)
            assert m.state_name == "PROBING" and not m.ready
        assert t[1] - t[0] == t[2] - t[1] == 250 and 0 <= t[0] < 250
        begins.add(t[0])
        p = sent(
            h, ident=0, flags=0x8400, questions=[], answers=[(NAME, 1, FLUSH, 120, addr(OUR))]
        )
        assert p.at == t[2] + 250 and m.state_name == "ANNOUNCING" and m.ready
        p = sent(
            h, ident=0, flags=0x8400, questions=[], answers=[(NAME, 1, FLUSH, 120, addr(OUR))]
        )
        assert p.at == t[2] + 1250
        h.run()
        assert m.state_name == "READY"
    assert len(begins) > 3, begins


def test_8_1_a_full_device_delays_a_probe_by_no_more_than_it_is_full():
    h, m = start()
    h.run()  # IGMP has its report out
    h.device.refuse = EAGAIN
    h.advance(300)
    h.device.refuse = 0
    h.advance(1)
    t = [sent(h, flags=0).at for _ in range(3)]
    # The random time may be none: then the second one is late.
    late = t[1:] if t[0] == 0 else t
    assert late[0] in (300, 301) and late[-1] - late[0] == 250 * (len(late) - 1), t
    h.device.refuse = EAGAIN
    h.advance(400)
    h.device.refuse = 0
    h.advance(1)
    assert sent(h, flags=0x8400).at <= t[2] + 401
    h.advance(5000)
    h.clear()
    # An answer too, to all or to one.
    for cls, dst in ((1, GROUP), (FLUSH, PEER)):
        h.device.refuse = EAGAIN
        h.inject(asks(cls=cls))
        h.advance(100)
        h.device.refuse = 0
        h.advance(1)
        ours(*sent(h, dst=dst).answers)
        h.advance(2000)
        nothing(h)
    h.device.refuse = EAGAIN
    h.inject(asks(kind=dns.AAAA))
    h.advance(100)
    h.device.refuse = 0
    h.advance(1)
    assert sent(h).answers[0][1] == NSEC


def test_8_2_of_two_that_probe_the_greater_address_has_it():
    """Compared as numbers without a sign, byte by byte."""
    for own, other, waits in (
        ("192.168.69.1", "192.168.69.2", True),
        ("192.168.69.1", "192.168.69.0", False),
        ("192.168.69.1", "192.168.68.255", False),
        ("192.168.69.1", "192.168.70.0", True),
        ("192.168.69.1", "192.167.255.255", False),
        ("192.168.69.1", "192.169.0.0", True),
        ("192.168.69.1", "191.255.255.255", False),
        ("192.168.69.1", "193.0.0.0", True),
        ("192.168.69.1", "10.0.0.9", False),
        ("10.0.0.9", "192.168.69.1", True),
        ("10.0.0.9", "127.255.0.1", True),
        ("10.0.128.9", "10.0.127.10", False),
        ("10.0.127.9", "10.0.128.8", True),
        ("192.168.69.1", "192.168.69.1", False),
    ):
        h = Host(address=False)
        h.iface.add_address(own + "/0" if own[:3] == "10." else own + "/1")
        m = MDNS(h.iface, "printer")
        h.run()
        while not h.device.sent or Packet(h.device.sent[-1][1]).kind != "udp":
            h.advance(10)
        at = h.t
        h.clear()
        h.inject(asks(kind=dns.ANY, authority=[a(QUESTION, other, 120)], src=PEER))
        h.advance(1400)
        found = [Packet(f, t) for t, f in h.device.sent]
        times = [p.at for p in found if p.kind == "udp" and not Read(p.data).flags]
        if waits:
            assert 1000 <= times[0] - at <= 1001, (own, other, times, at)
        else:
            assert 240 <= times[0] - at <= 250, (own, other, times, at)
        assert m.conflicts == 0


def test_9_the_names_that_are_tried():
    h, m = start("x")
    names = [m.name]
    for _ in range(100):
        while not h.device.sent:
            h.advance(250)
        h.inject(says(a(m.name, PEER, 120, cls=FLUSH)))
        names.append(m.name)
        h.clear()
        h.advance(5000)
        h.clear()
        m.restart()
        h.advance(300)
    want = ["x.local"] + ["x-%d.local" % n for n in range(2, 100)] + ["x-2.local", "x-3.local"]
    assert names == want, names
    assert h.iface is m.iface and m.hostname == "x-3"


def test_9_what_is_a_conflict():
    """A record of our name with another address, from the link and the port, and no goodbye."""
    far = "192.168.70.9"
    for frame, is_one in (
        (says(a(NAME, PEER, 120, cls=FLUSH)), True),
        (says(a(NAME, PEER, 1)), True),
        (says(a("PRINTER.LOCAL", PEER, 120)), True),
        (says(a(NAME, OUR, 120), a(NAME, PEER, 120)), True),
        (says(a(OTHER, PEER, 120), a(NAME, PEER, 120)), True),
        (says(more=[a(NAME, PEER, 120)]), True),
        (multicast(message(0, b"", (), [a(NAME, PEER, 120)], flags=0x8400)), True),
        (says(a(NAME, PEER, 120), dst=OUR, dmac=OUR_MAC), True),
        (says(a(NAME, "192.168.69.129", 120)), True),
        (says(a(NAME, "64.168.69.1", 120)), True),
        (says(a(NAME, OUR, 120)), False),
        (says(a(NAME, PEER, 0)), False),
        (says(a(NAME, PEER, 0x80000001)), False),
        (says(a(OTHER, PEER, 120)), False),
        (says(rr(NAME, dns.A, addr(PEER), 120, 3)), False),
        (says(rr(NAME, dns.A, addr(PEER), 120, 257)), False),
        (says(rr(NAME, 257, addr(PEER), 120)), False),
        (says(rr(NAME, dns.AAAA, bytes(16), 120)), False),
        (says(rr(NAME, dns.A, addr(PEER) + b"\0", 120)), False),
        (says(a(NAME, PEER, 120), sport=5354), False),
        (says(a(NAME, PEER, 120), src=far), False),
        (asks(answers=[a(NAME, PEER, 120)]), False),
    ):
        h, m = ready()
        h.inject(frame)
        assert m.conflicts == is_one and m.ready != is_one, (frame, m.stats())
        assert m.name == NAME


def test_11_only_the_link_is_heard():
    h = Host(address=False, neighbor=False)
    h.iface.add_address("10.1.2.2/30")
    h.iface.add_address("192.168.69.1/24")
    m = MDNS(h.iface, "printer")
    h.advance(20000)
    for src, near in (
        ("10.1.2.1", True),
        ("192.168.69.255", False),
        ("192.168.69.7", True),
        ("10.1.2.4", False),
        ("192.168.70.1", False),
        ("11.1.2.2", False),
    ):
        h.advance(2000)
        h.clear()
        before = m.stats()["ignored"]
        h.inject(asks(src=src))
        h.device.sent = [f for f in h.device.sent if f[1][23] != 2]
        assert bool(h.device.sent) == near, src
        if src != "192.168.69.255":
            assert m.stats()["ignored"] == before + (not near), src


def test_18_headers_that_are_none_are_malformed():
    h, m = ready()
    good = message(0, question(), flags=0)
    for n in range(len(good)):
        h.inject(multicast(good[:n]))
        assert m.stats()["malformed"] == n + 1
        nothing(h)
    for bit in (0x0800, 0x1000, 0x2000, 0x4000):
        h.inject(multicast(message(0, question(), flags=bit)))
    assert m.stats()["malformed"] == len(good) + 4
    nothing(h)
    # Records that are promised and do not come: of whatever section.
    record = a(NAME, OUR, 120)
    for at in (6, 8, 10):
        data = bytearray(message(0, b"", [record], flags=0x8400))
        data[at + 1] = 2 if at == 6 else 1
        h.inject(multicast(bytes(data)))
    for n in range(1, len(record)):
        h.inject(multicast(message(0, b"", [record], flags=0x8400)[:-n]))
    # More questions than there are, or than are looked at.
    root = b"\0" + u16(1) + u16(1)
    h.inject(multicast(bytes(4) + u16(256) + bytes(6) + question() + root * 200))
    assert m.stats()["malformed"] == len(good) + 8 + len(record) - 1
    nothing(h)
    assert m.ready and m.conflicts == 0
    for bits in (0x0400, 0x0200, 0x0100, 0x0080, 0x0010, 0x000F):
        h.advance(1000)
        h.inject(multicast(message(0, question(), flags=bits)))
        ours(*sent(h).answers)


def test_5_2_a_name_is_looked_for_three_times_and_then_not_there():
    for late in (6999, 7000):
        h, m = ready(None)
        buf = bytearray(8)
        assert m.lookup(OTHER, buf) == EAGAIN
        t = []
        for i in range(3):
            p = sent(h, ident=0, flags=0, questions=[(OTHER, dns.A, 1 if i else FLUSH)])
            assert p.answers == p.authority == p.more == []
            t.append(p.at - h.t + h.t)
        assert [x - t[0] for x in t] == [0, 1000, 3000]
        h.advance(t[0] + late - h.t)
        assert m.lookup(OTHER, buf) == (EAGAIN if late < 7000 else ENOENT), late


def test_10_what_was_found_is_known_as_long_as_it_says():
    for life in (1, 119, 120, 3600):
        h, m = ready(None)
        buf = bytearray(16)
        assert m.lookup(OTHER, buf) == EAGAIN
        sent(h)
        h.inject(says(a(OTHER, "250.1.130.4", life), a(OTHER, FAR, life + 5)))
        for _ in range(2):
            assert m.lookup(OTHER, buf) == 2 and bytes(buf[:8]) == addr("250.1.130.4") + addr(FAR)
        assert m.stats()["cached"] == 1
        h.advance(life * 1000 - 1)
        assert m.lookup(OTHER, buf) == 2, life
        nothing(h)
        h.advance(1)
        assert m.lookup(OTHER, buf) == EAGAIN, life
        sent(h, questions=[(OTHER, dns.A, FLUSH)])
        assert m.stats()["cached"] == 0


def test_a_result_waits_30_s_for_its_caller():
    for late in (29999, 30000):
        h, m = ready(None, searches=1, cache=1)
        buf = bytearray(4)
        m.lookup("a.local", buf)
        at = sent(h).at
        h.advance(at + 7000 + late - h.t)
        assert m.lookup("a.local", buf) == (ENOENT if late < 30000 else EAGAIN), late
    h, m = ready(None, searches=1)
    assert m.lookup("a.local", buf) == EAGAIN
    assert m.lookup("b.local", buf) == EAGAIN
    h.run()
    found = [
        Read(Packet(f).data).questions[0][0] for _, f in h.device.sent if f[1:] and f[23] == 17
    ]
    assert found == ["a.local"]
    h.inject(says(a("a.local", PEER, 120)))
    # It gives way to another name; what was found is in the cache.
    assert m.lookup("b.local", buf) == EAGAIN
    h.clear()
    sent(h, questions=[("b.local", dns.A, FLUSH)])
    assert m.lookup("a.local", buf) == 1


def test_it_looks_for_another_address_of_its_own_each_five_seconds():
    h, m = ready()
    h.iface.remove_address(OUR)
    h.iface.add_address("192.168.69.33/24")
    at = h.t
    while not m.state_name == "PROBING":
        h.advance(10)
        assert h.t - at <= 5010
    h.clear()
    h.advance(5000)
    told = [Read(p.data) for p in [Packet(f) for _, f in h.device.sent] if p.kind == "udp"]
    assert told[-1].answers == [(NAME, 1, FLUSH, 120, addr("192.168.69.33"))]


def test_limits_of_what_may_be_given():
    h = Host(sockets=8)
    for good in ("x", "X" * 60):
        m = MDNS(h.iface, good)
        assert m.name == good.lower() + ".local"
        m.close()
    for bad in ("", "x" * 61, "a.b"):
        raises(ValueError, "hostname", MDNS, h.iface, bad)
    h = Host(sockets=1)
    raises(OSError, "socket", MDNS, h.iface, "x")
    h.clear()


def test_before_it_has_the_name_it_says_nothing():
    h, m = start()
    h.inject(asks(), asks(cls=FLUSH), asks(kind=dns.AAAA), asks(sport=40000, ident=4))
    h.device.sent = [f for f in h.device.sent if f[1][23] != 2]
    for _, f in h.device.sent:
        assert Read(Packet(f).data).flags == 0, "only probes"
    h.advance(230)
    assert not m.ready
    m.close()
    h.device.sent = [f for f in h.device.sent if f[1][23] != 2]
    for _, f in h.device.sent:
        assert Read(Packet(f).data).flags == 0, "nothing to take back"
    assert m.lookup(OTHER, bytearray(4)) == -101


def test_what_is_found_is_told_once_even_when_its_time_is_over():
    h, m = ready(None, cache=1)
    buf = bytearray(8)
    assert m.lookup(OTHER, buf) == EAGAIN
    sent(h)
    h.inject(says(a(OTHER, "250.1.130.4", 1)))
    h.advance(1500)
    assert m.lookup(OTHER, buf) == 1 and bytes(buf[:4]) == addr("250.1.130.4")
    assert m.lookup(OTHER, buf) == EAGAIN


def test_four_names_are_known_and_two_looked_for_by_default():
    h, m = ready(None)
    buf = bytearray(4)
    for i in range(6):
        name = "n%d.local" % i
        assert m.lookup(name, buf) == EAGAIN
        h.run()
        h.inject(says(a(name, "192.168.69.%d" % (50 + i), 1000 + i)))
        assert m.lookup(name, buf) == 1 and buf[3] == 50 + i
        assert m.stats()["cached"] == min(i + 1, 4)
    h.clear()
    for i in range(3):
        assert m.lookup("other%d.local" % i, buf) == EAGAIN
    h.run()
    found = [Packet(f) for _, f in h.device.sent if f[23] == 17]
    assert [Read(p.data).questions[0][0] for p in found] == ["other0.local", "other1.local"]


def test_9_a_first_conflict_waits_for_nothing_whatever_the_clock_says():
    for begin in (0, 1, 5000, (1 << 30) - 1):
        h = Host(start=begin)
        m = MDNS(h.iface, "printer")
        m_at = None
        for n in range(3):
            while not [1 for _, f in h.device.sent if f[23] == 17]:
                h.advance(10)
                assert m_at is None or h.t - m_at <= 600, (begin, n, h.t - m_at)
            h.clear()
            m_at = h.t
            h.inject(says(a(m.name, "192.168.69.77", 120)))
            assert m.conflicts == n + 1


def test_a_message_of_many_questions_costs_so_much():
    """A record counts four, and each byte that is read by way of a pointer one; 256 of them and a
    quarter of the message's length are given."""
    from array import array

    from smolmpy.services import mdns_message

    name = b"\7printer\5local\0" + bytes(200)
    for n in range(80, 110):
        size = 12 + 5 * n
        data = u16(0) + u16(0) + u16(n) + bytes(6) + b"\0\0\1\0\1" * n
        fits = 4 * n <= 256 + size // 4
        assert (mdns_message.questions(data, 0, size, name) >= 0) == fits, n
        assert (
            mdns_message.addresses(data, 0, size, name, 0, 2, array("I", [0] * 6)) >= 0
        ) == fits
    found = 0
    for n in range(60, 130):
        record = b"\0" + u16(16) + u16(1) + u32(9) + u16(0)
        data = u16(0) + u16(0) + u16(0) + u16(n) + bytes(4) + record * n
        fits = 4 * n <= 256 + len(data) // 4
        w = array("I", [0] * 6)
        assert (mdns_message.addresses(data, 0, len(data), name, 0, 2, w) >= 0) == fits, n
        found += fits
    # And what pointers lead to: the questions' names are all one.
    for n in range(10, 60):
        own = name[:15]
        data = u16(0) + u16(0) + u16(n) + bytes(6) + own + b"\0\1\0\1"
        data += b"\xc0\x0c\0\1\0\1" * (n - 1)
        cost = 4 * n + (n - 1) * 16
        fits = cost <= 256 + len(data) // 4
        assert (mdns_message.questions(data, 0, len(data), name) >= 0) == fits, n


def test_of_the_addresses_of_a_name_four_are_known():
    for n in range(1, 7):
        h, m = ready(None)
        buf = bytearray(32)
        assert m.lookup(OTHER, buf) == EAGAIN
        sent(h)
        h.inject(says(*[a(OTHER, "192.168.69.%d" % (50 + i), 120) for i in range(n)]))
        assert m.lookup(OTHER, buf) == min(n, 4)
        assert [buf[4 * i + 3] for i in range(min(n, 4))] == [50 + i for i in range(min(n, 4))]
