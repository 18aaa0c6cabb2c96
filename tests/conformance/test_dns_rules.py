"""DNS by RFC 1035, RFC 2181 and RFC 2308: what a message says, how long it holds, whom to ask.

`judged` reads messages anew, in the plainest way; what the client makes of each is what it says.
"""

import dns_frames as dns
from dns_frames import QUESTION, a, cname, message, pointer, rr, soa
from fuzz import Random
from harness import *
from smolmpy import DNSClient
from test_dns import (
    EHOSTUNREACH,
    EIO,
    ENETUNREACH,
    ENOENT,
    ETIMEDOUT,
    NAME,
    SECOND,
    Asked,
    asked,
    client,
    got,
)

DAY = 86400
HOUR = 3600


class Chance(Random):
    def of(self, items):
        return items[self.below(len(items))]


def labels(d, at):
    """(a name in small letters, where what follows begins) of a message that is sound."""
    name, end = dns.read_name(d, at)
    return name.lower(), end


def judged(d, question):
    """What an answer says: (addresses, seconds), (code, seconds), or what else is to be done."""
    count = [get16(d, i) for i in (4, 6, 8)]
    flags = get16(d, 2)
    if flags & 0xF800 != 0x8000 or count[0] != 1 or d[12 : 12 + len(question)] != question:
        return "ignored", 0
    if flags & 0x0200:
        return "stream", 0
    code = flags & 15
    if code not in (0, 3):
        return EIO, 0
    wanted, at = labels(d, 12)
    at += 4
    records = []
    for _ in range(count[1] + count[2]):
        owner, at = labels(d, at)
        size = get16(d, at + 8)
        ttl = get16(d, at + 4) * 65536 + get16(d, at + 6)
        if ttl >> 31:
            ttl = 0  # RFC 2181 section 8
        records.append((owner, get16(d, at), get16(d, at + 2), ttl, at + 10, size))
        at += 10 + size
    ttl = DAY
    aliases = 0
    found = []
    more = True
    while more and not found:
        more = False
        for owner, kind, cls, life, place, size in records[: count[1]]:
            if owner != wanted or cls != 1:
                continue
            if kind == 1 and size == 4 and len(found) < 4:
                found.append(text(d[place : place + 4]))
                ttl = min(ttl, life)
            elif kind == 5 and not found:
                wanted, _ = labels(d, place)
                ttl = min(ttl, life)
                aliases += 1
                if aliases > 8:
                    return EIO, 0
                more = True
    if found:
        return found, ttl
    if aliases and not code:
        return "alias " + wanted, 0
    for owner, kind, cls, life, place, size in records[count[1] :]:
        if kind == dns.SOA and size >= 22:
            least = get16(d, place + size - 4) * 65536 + get16(d, place + size - 2)
            # RFC 2308 section 5: the lesser of the two, an hour at most.
            return ENOENT, min(life, 0 if least >> 31 else least, HOUR)
    if not code and [1 for r in records[count[1] :] if r[1] == dns.NS]:
        return EIO, 0  # a referral: this server does not look for us
    return ENOENT, 0


def lifetime(h, c, want, seconds, where):
    """The client knows it for so many seconds, and not a moment longer; then it asks again."""
    if not seconds:
        assert c.stats()["cached"] == 0, where
        return
    assert c.stats()["cached"] == 1, where
    h.advance(seconds * 1000 - 1)
    assert got(c) == want, where
    h.expect_nothing()
    h.advance(1)
    assert got(c) == EAGAIN, where
    h.expect("udp", dport=53)
    c.close()


def test_whatever_an_answer_says():
    chance = Chance(5)
    seen = {}
    lives = (
        0,
        1,
        59,
        256,
        300,
        65536,
        1 << 24,
        3599,
        3600,
        3601,
        86399,
        86400,
        86401,
        0x7FFFFFFF,
        0x80000000,
        M32,
    )
    for i in range(220):
        h, c = client()
        q = asked(h, c)
        end = 12 + len(q.message.question)
        # Names that are used more than once, some of them in the letters of the question.
        names = ["www.example.org", "b.example.org", "c.net", "www.example.orgx", "ww.example.org"]
        owners = [QUESTION, QUESTION, dns.name("WWW.Example.org"), dns.name("b", pointer(16))]
        owners += [dns.name(n) for n in names]
        answers = []
        for _ in range(chance.below(6)):
            owner = chance.of(owners)
            life = chance.of(lives)
            what = chance.below(10)
            if what < 5:
                answers.append(a(owner, "10.%d.3.%d" % (what, len(answers) + 1), life))
            elif what < 8:
                to = chance.of([dns.name(n) for n in names] + [dns.name("b", pointer(16))])
                answers.append(rr(owner, dns.CNAME, to, life))
            elif what == 8:
                answers.append(rr(owner, dns.A, b"\x0a\x01\x02\x03"[: chance.of((0, 3))], life))
            else:
                answers.append(rr(owner, chance.of((dns.AAAA, 257, 261)), bytes(16), life))
            if not chance.below(8):
                answers[-1] = rr(owner, dns.A, addr("9.9.9.9"), life, chance.of((3, 257)))
        authority = []
        for _ in range(chance.below(3)):
            if chance.below(3):
                authority.append(soa("org", chance.of(lives), chance.of(lives)))
            else:
                authority.append(rr("org", chance.of((dns.NS, dns.A)), dns.name("ns.org"), 60))
        if not chance.below(12):
            authority = [rr("org", dns.SOA, bytes(chance.of((21, 22))), 60)]
        rcode = chance.of((0, 0, 0, 3, 3, 1, 2, 4, 5))
        flags = 0x8180
        if not chance.below(6):
            flags ^= chance.of((0x8000, 0x0800, 0x4000, 0x1000, 0x0400, 0x0100, 0x0200, 0x0070))
        data = message(
            q.message.ident, q.message.question, answers, authority, flags=flags, rcode=rcode
        )
        want, seconds = judged(data, q.message.question)
        where = i, want, seconds, data[12:]
        seen[str(want)[:4]] = seen.get(str(want)[:4], 0) + 1
        h.inject(q.frame(data=data))
        if want == "ignored":
            assert c.stats()["ignored"] == 1 and got(c) == EAGAIN, where
            h.expect_nothing()
        elif want == "stream":
            h.expect("tcp", dport=53, flags="S")
        elif isinstance(want, str):
            Asked(h, want[6:])
        else:
            assert c.stats()["ignored"] == 0, where
            assert got(c) == want, where
            lifetime(h, c, want, seconds, where)
        assert end > 30
    assert len(seen) >= 5, seen


def test_1035_4_1_a_header_of_an_answer_to_one_question():
    """Each bit of the number, the direction and the kind of query counts; others do not."""
    h, c = client()
    q = asked(h, c)
    good = message(q.message.ident, q.message.question, [a(QUESTION, "10.1.2.3")])
    ignored = 0
    for at in (0, 1, 2, 4, 5):
        for bit in range(8):
            if at == 2 and bit in (0, 1, 2):  # RD, TC, AA
                continue
            data = bytearray(good)
            data[at] ^= 1 << bit
            h.inject(q.frame(data=bytes(data)))
            ignored += 1
            assert c.stats()["ignored"] == ignored and got(c) == EAGAIN, (at, bit)
    for at in range(12, 12 + len(q.message.question)):
        for bit in range(8):
            data = bytearray(good)
            data[at] ^= 1 << bit
            h.inject(q.frame(data=bytes(data)))
            ignored += 1
            assert c.stats()["ignored"] == ignored and got(c) == EAGAIN, (at, bit)
    for n in range(1, len(good)):
        h.inject(q.frame(data=good[:n]))  # cut off within the record
        ignored += 1
        assert c.stats()["ignored"] == ignored and got(c) == EAGAIN, n
    for data in (good[:2], good[:4], b""):
        h.inject(q.frame(data=data))
        ignored += 1
    for wrong in ({"sport": 54}, {"src": SECOND}, {"sport": 53 + 256}):
        h.inject(q.frame([a(QUESTION, "10.1.2.3")], **wrong))
        ignored += 1
        assert c.stats()["ignored"] == ignored, wrong
    # RD, AA, RA, Z, AD and CD say nothing to us.
    data = bytearray(good)
    data[2] ^= 5
    data[3] ^= 0xF0
    h.inject(q.frame(data=bytes(data)))
    assert got(c) == ["10.1.2.3"]


def test_2308_5_no_holds_for_the_lesser_of_two_times_and_an_hour_at_most():
    for ttl, minimum, holds in (
        (600, 300, 300),
        (300, 600, 300),
        (3600, 3600, 3600),
        (3601, 3601, 3600),
        (3600, 86400, 3600),
        (7 * DAY, 7 * DAY, 3600),
        (1, 86400, 1),
        (86400, 1, 1),
        (0, 300, 0),
        (300, 0, 0),
        (0x80000000, 300, 0),
        (300, 0x80000000, 0),
        (0x7FFFFFFF, 0x7FFFFFFF, 3600),
    ):
        for rcode in (0, 3):
            h, c = client()
            h.inject(asked(h, c).frame(authority=[soa("org", ttl, minimum)], rcode=rcode))
            assert got(c) == ENOENT
            lifetime(h, c, ENOENT, holds, (ttl, minimum))


def test_2181_8_addresses_hold_as_long_as_the_shortest_lived_of_the_chain():
    for lives, holds in (
        ((300,), 300),
        ((300, 200), 200),
        ((200, 300), 200),
        ((86401,), 86400),
        ((0x7FFFFFFF,), 86400),
        ((0x80000000,), 0),
        ((0,), 0),
        ((1, 5), 1),
    ):
        h, c = client()
        q = asked(h, c)
        h.inject(q.frame([a(QUESTION, "10.0.0.%d" % i, lives[i]) for i in range(len(lives))]))
        assert got(c) == ["10.0.0.%d" % i for i in range(len(lives))]
        lifetime(h, c, ["10.0.0.%d" % i for i in range(len(lives))], holds, lives)
    for first, second in ((100, 300), (300, 100)):
        h, c = client()
        q = asked(h, c)
        h.inject(q.frame([cname(QUESTION, "b.net", first), a("b.net", "10.0.0.4", second)]))
        assert got(c) == ["10.0.0.4"]
        lifetime(h, c, ["10.0.0.4"], 100, (first, second))


def test_1034_5_3_3_a_chain_of_eight_aliases_and_no_more():
    for n in (8, 9):
        h, c = client()
        q = asked(h, c)
        chain = [cname(QUESTION, "n1.net")]
        chain += [cname("n%d.net" % i, "n%d.net" % (i + 1)) for i in range(1, n)]
        h.inject(q.frame(chain + [a("n%d.net" % n, "10.0.0.4")]))
        assert got(c) == (["10.0.0.4"] if n == 8 else EIO), n
    # As many again where each has to be asked for.
    h, c = client(timeout=600000)
    q = asked(h, c)
    for i in range(8):
        h.inject(q.frame([cname(QUESTION, "n%d.net" % i)]))
        q = Asked(h, "n%d.net" % i)
    h.inject(q.frame([cname(QUESTION, "n8.net")]))
    assert got(c) == EIO


def test_each_question_has_its_own_number_and_port():
    seen = set()
    for i in range(12):
        h, c = client()
        q = asked(h, c)
        seen.add((q.message.ident, q.port))
        assert 1024 <= q.port <= 65535
    assert len(seen) == 12
    assert len({ident >> 8 for ident, _ in seen}) > 6 and len({i & 255 for i, _ in seen}) > 6


def test_the_question_is_repeated_after_1_2_4_and_4_s_until_the_time_is_up():
    h, c = client(timeout=20000)
    times = [asked(h, c).at]
    h.advance(19999)
    while h.device.sent:
        times.append(Asked(h).at)
    waits = [times[i + 1] - times[i] for i in range(len(times) - 1)]
    assert waits == [1000, 2000, 4000, 4000, 4000, 4000], waits
    assert got(c) == EAGAIN
    h.advance(1)
    assert got(c) == ETIMEDOUT
    h.expect_nothing()
    # Of several servers each is asked once before the first is asked again.
    h, c = client((PEER, SECOND), timeout=20000)
    q = [asked(h, c)]
    h.advance(19999)
    while h.device.sent:
        q.append(Asked(h))
    assert [x.server for x in q] == [PEER, SECOND] * (len(q) // 2) + [PEER] * (len(q) % 2)
    waits = [q[i + 1].at - q[i].at for i in range(len(q) - 1)]
    assert waits[:7] == [1000, 1000, 2000, 2000, 4000, 4000, 4000], waits
    assert len({x.message.ident for x in q}) == len({x.port for x in q}) == 1


def test_the_time_is_up_to_the_millisecond():
    for limit in (1, 500, 999, 1001, 7777):
        h, c = client(timeout=limit)
        at = asked(h, c).at
        h.advance(limit - 1)
        assert got(c) == EAGAIN, limit
        h.advance(1)
        assert got(c) == ETIMEDOUT and h.t - at == limit, limit
        h.clear()
        h.expect_idle()


def test_what_all_servers_refuse_is_refused_with_their_reason():
    h, c = client((PEER, SECOND))
    for rcode in (1, 2, 4, 5, 15):
        h.inject(asked(h, c).frame(rcode=rcode))
        q = Asked(h)
        assert q.server == SECOND
        h.inject(q.frame(rcode=rcode))
        assert got(c) == EIO, rcode
        h.expect_nothing()
    # No way there, by the last of them.
    h.iface.gateway = None
    c.servers = (FAR,)
    assert got(c) == EAGAIN
    h.run()
    assert got(c) == ENETUNREACH


def test_a_neighbor_that_is_not_found_gives_way_after_a_second():
    h, c = client((PEER, SECOND), neighbor=False)
    assert got(c) == EAGAIN
    first = h.expect("arp", op=1, tpa=PEER)
    h.advance(999)
    h.expect_nothing()
    h.advance(1001)
    asked_for = [Packet(f, at) for at, f in h.device.sent]
    second = [p for p in asked_for if p.tpa == SECOND]
    assert second and 1000 <= second[0].at - first.at <= 1500
    h.clear()
    h.inject(arp(2, SECOND, sha=PEER_MAC))
    assert Asked(h).server == SECOND
    h, c = client((PEER,), neighbor=False, timeout=60000)
    assert got(c) == EAGAIN
    h.advance(30000)
    assert got(c) in (EAGAIN, EHOSTUNREACH)


def test_the_name_that_expires_first_makes_room():
    for shortest in range(3):
        h, c = client(cache=3)
        lives = [100, 200, 300]
        lives[shortest] = 50
        for i in range(3):
            q = asked(h, c, "n%d.org" % i)
            h.inject(q.frame([a(QUESTION, "10.0.0.%d" % i, lives[i])]))
            assert got(c, "n%d.org" % i) == ["10.0.0.%d" % i]
        h.advance(1000)
        q = asked(h, c, "new.org")
        h.inject(q.frame([a(QUESTION, "10.0.0.9", 500)]))
        assert got(c, "new.org") == ["10.0.0.9"]
        assert c.stats()["cached"] == 3
        for i in range(3):
            known = got(c, "n%d.org" % i)
            assert (known == EAGAIN) == (i == shortest), (shortest, i, known)
            if i == shortest:
                break


def test_a_name_that_is_learned_again_takes_its_old_place():
    h, c = client(cache=3)
    for life, address in ((10, "10.0.0.1"), (20, "10.0.0.2")):
        q = asked(h, c)
        h.inject(q.frame([a(QUESTION, address, life)]))
        assert got(c) == [address] and c.stats()["cached"] == 1
        h.advance(life * 1000)
        assert c.stats()["cached"] == 0
    h.expect_idle()


def test_all_four_addresses_in_a_buffer_of_any_size():
    h, c = client()
    four = ["1.2.3.4", "250.200.150.100", "129.65.33.17", "10.20.30.40"]
    h.inject(asked(h, c).frame([a(QUESTION, x) for x in four]))
    for fetched in range(2):  # as the query's result, and from the cache
        for size in (16, 20, 17, 15, 12, 8, 7, 4, 3, 0):
            buf = bytearray(b"\xee" * size)
            n = min(4, size // 4)
            assert c.lookup(NAME, buf) == (n or ENOENT) or not n, size
            assert bytes(buf) == b"".join([addr(x) for x in four[:n]]) + b"\xee" * (size - 4 * n)


def test_a_result_is_told_even_when_it_may_not_be_kept():
    h, c = client()
    h.inject(asked(h, c).frame([a(QUESTION, "10.0.0.1", 0)]))
    assert got(c) == ["10.0.0.1"] and c.stats()["cached"] == 0
    q = asked(h, c)  # and then it is asked for again
    h.inject(q.frame(rcode=3))
    assert got(c) == ENOENT and c.stats() == {"cached": 0, "queries": 0, "ignored": 0}


def test_a_result_waits_30_s_for_its_caller():
    h, c = client(queries=1)
    h.inject(asked(h, c).frame([a(QUESTION, "10.0.0.1", 0)]))
    h.advance(29999)
    assert c.stats()["queries"] == 1
    assert got(c) == ["10.0.0.1"]
    h.inject(asked(h, c).frame([a(QUESTION, "10.0.0.1", 0)]))
    h.advance(30000)
    assert c.stats()["queries"] == 0
    h.expect_idle()


def test_names_that_are_addresses_need_no_server():
    h = Host()
    c = DNSClient(h.iface)
    assert got(c, "192.168.69.7") == ["192.168.69.7"]
    for name in ("example.org", "1.2.3.x", "host1"):
        assert got(c, name) == ENETUNREACH, name
    h.expect_nothing()


def test_limits_of_what_may_be_given():
    h = Host(sockets=80)
    for field, good, bad in (
        ("timeout", (1, 600000), (0, -1, 600001)),
        ("cache", (1, 1024), (0, -1, 1025)),
        ("queries", (1, 64), (0, -1, 65)),
    ):
        for value in good:
            DNSClient(h.iface, (PEER,), **{field: value}).close()
        for value in bad:
            raises(ValueError, field, DNSClient, h.iface, (PEER,), **{field: value})
    four = [PEER, SECOND, "192.168.69.102", "192.168.69.103"]
    assert DNSClient(h.iface, four).servers == four
    raises(ValueError, "servers", DNSClient, h.iface, four + [FAR])


def test_all_servers_of_four_are_asked_and_believed():
    four = [PEER, SECOND, "192.168.69.102", "192.168.69.103"]
    for k in range(4):
        h, c = client(four)
        for server in four[2:]:
            h.iface.add_neighbor(server, PEER_MAC)
        q = asked(h, c)
        h.advance(3100)
        found = [q]
        while h.device.sent:
            found.append(Asked(h))
        assert [x.server for x in found[:4]] == four
        h.inject(found[k].frame([a(QUESTION, "10.0.0.1")]))
        assert got(c) == ["10.0.0.1"] and c.stats()["ignored"] == 0


def over_tcp(h, c, name):
    """The connection that follows a truncated answer: (the peer, the question over it)."""
    q = asked(h, c, name)
    h.inject(q.frame(flags=0x8380))
    p = Peer(h, port=53)
    p.expect("S", 0)
    p.ack = 1
    p.send("SA", 0, 1, mss=1460)
    p.seq = 1
    data = b""
    while len(data) < 2 or len(data) < 2 + get16(data, 0):
        h.advance(20)
        while h.device.sent:
            data += p.expect(None, dport=53).data
        p.send("A", 1, 1 + len(data))
    assert len(data) == 2 + get16(data, 0), (len(data), get16(data, 0))
    p.ack = 1 + len(data)
    return p, q, dns.Read(data[2:])


def test_7766_8_messages_over_tcp_have_their_length_before_them():
    part = "x" * 63
    names = [".".join([part] * 3) + "." + "y" * n for n in (43, 44, 45, 46, 47, 48, 57)]
    for name in [NAME] + share(names, 8):
        h, c = client()
        p, q, asked_for = over_tcp(h, c, name)
        assert asked_for.questions[0][0].lower() == name and asked_for.flags == 0x0100
        data = message(asked_for.ident, asked_for.question, [a(QUESTION, "10.1.2.3")])
        data = u16(len(data)) + data
        # In pieces of one byte, the length first.
        for i in range(len(data)):
            assert got(c, name) == EAGAIN
            p.send("PA", data=data[i : i + 1])
            p.seq += 1
            h.advance(20)
            h.device.sent = h.device.sent[-1:]
        assert got(c, name) == ["10.1.2.3"]
        assert "R" in Packet(h.device.sent[-1][1]).flags


def test_7766_an_answer_over_tcp_is_as_long_as_it_says():
    """What comes behind it is not looked at; one that is cut off by the buffer counts as far."""
    for size in (300, 1024, 1025, 2000):
        h, c = client()
        p, q, asked_for = over_tcp(h, c, NAME)
        records = [a(QUESTION, "10.1.2.3")]
        data = message(asked_for.ident, asked_for.question, records)
        fill = size - len(data) - 12
        records += [rr(QUESTION, 16, bytes(fill))]
        data = message(asked_for.ident, asked_for.question, records)
        assert len(data) == size
        data = u16(size) + data
        while data and c.stats()["queries"] and got(c) == EAGAIN:
            p.send("PA", data=data[:500])
            p.seq += min(len(data), 500)
            data = data[500:]
            h.advance(40)
            h.clear()
        assert got(c) == ["10.1.2.3"], size


def test_every_bit_of_a_number_is_random():
    ones, zeros = 0, 0
    for _ in range(40):
        h, c = client()
        ident = asked(h, c).message.ident
        ones |= ident
        zeros |= ident ^ 0xFFFF
    assert ones == zeros == 0xFFFF


def test_each_query_has_a_reason_of_its_own():
    h, c = client(queries=1)
    q = asked(h, c)
    h.inject(icmp(3, 1, data=_quoted(q)))
    assert got(c) == EHOSTUNREACH
    h.clear()
    h.inject(asked(h, c).frame(rcode=2))
    assert got(c) == EIO
    h.inject(asked(h, c, "other.org").frame(rcode=2))
    assert got(c, "other.org") == EIO


def _quoted(q):
    return udp(q.port, 53, q.message.raw, src=OUR, dst=q.server)[14:42]


def test_what_is_usual():
    h, c = client()
    assert (c.timeout, c.port, c.stream_size, c.mixed_case) == (10000, 53, 1024, False)
    assert c.mdns is None and c.pump is None
    # Eight names, and two questions at once.
    for i in range(10):
        name = "n%d.org" % i
        h.inject(asked(h, c, name).frame([a(QUESTION, "10.0.0.%d" % i, 100 + i)]))
        assert got(c, name) == ["10.0.0.%d" % i]
        assert c.stats()["cached"] == min(i + 1, 8)
    for i in range(3):
        assert got(c, "m%d.org" % i) == EAGAIN
    h.run()
    assert len(h.device.sent) == 2 and c.stats()["queries"] == 2
