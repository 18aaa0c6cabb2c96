"""DNS (RFC 1035, RFC 2308, RFC 5452): the client, against servers made of frames."""

import dns_frames as dns
import steps
from dns_frames import QUESTION, Read, a, cname, message, pointer, soa
from harness import *
from locked import PreparedDevice, under_lock
from smolmpy import DNSClient, Interface, UDPSocket

ENOENT, EIO, ENETUNREACH, ETIMEDOUT, EHOSTUNREACH = -2, -5, -101, -110, -113
SECOND = "192.168.69.101"
SECOND_MAC = b"\x02\x00\x00\x00\x00\x65"
NAME = "www.example.org"


def client(servers=(PEER,), neighbor=True, **kw):
    h = Host(neighbor=neighbor)
    if neighbor:
        h.iface.add_neighbor(SECOND, SECOND_MAC)
    return h, DNSClient(h.iface, servers, **kw)


class Asked:
    """A question that the stack has sent."""

    def __init__(self, h, name=NAME, **fields):
        p = h.expect("udp", dport=53, **fields)
        self.at, self.port, self.server = p.at, p.sport, p.dst
        self.message = Read(p.data)
        assert self.message.flags == 0x0100
        got, kind, cls = self.message.questions[0]
        assert got.lower() == name and kind == 1 and cls == 1, (got, kind, cls)
        self.name = got
        assert not self.message.answers + self.message.authority + self.message.more

    def frame(self, answers=(), authority=(), more=(), **kw):
        m = {}
        for key in ("flags", "rcode", "question", "ident"):
            if key in kw:
                m[key] = kw.pop(key)
        ident = m.pop("ident", self.message.ident)
        data = message(
            ident, m.pop("question", self.message.question), answers, authority, more, **m
        )
        data = kw.pop("data", data)
        port = kw.pop("port", self.port)
        kw["src"] = kw.get("src", self.server)
        return udp(kw.pop("sport", 53), port, data, **kw)


def got(c, name=NAME, room=4):
    """What `lookup` returns: a list of addresses as text, or the negative number."""
    buf = bytearray(4 * room)
    n = c.lookup(name, buf)
    return [text(buf[4 * i : 4 * i + 4]) for i in range(n)] if n > 0 else n


def asked(h, c, name=NAME):
    assert got(c, name) == EAGAIN
    return Asked(h, name)


def test_an_address():
    h, c = client()
    q = asked(h, c)
    assert q.server == PEER and got(c) == EAGAIN
    h.expect_nothing()
    h.inject(q.frame([a(QUESTION, "10.1.2.3")]))
    assert got(c) == ["10.1.2.3"]
    assert got(c) == ["10.1.2.3"], "from the cache"
    h.expect_nothing()
    assert c.stats() == {"cached": 1, "queries": 0, "ignored": 0}


def test_names_and_numbers():
    h, c = client()
    assert got(c, "10.0.0.9") == ["10.0.0.9"]
    h.expect_nothing()
    for bad in ("", ".", "a..b", "x" * 64, "a b", "se\u00f1al.es", ".a", "x." * 127 + "x"):
        raises(ValueError, "name", c.lookup, bad, bytearray(4))
    q = asked(h, c, "x" * 63 + ".y.z")
    h.inject(q.frame([a(QUESTION, "10.1.2.3")]))
    assert got(c, "x" * 63 + ".y.z") == ["10.1.2.3"]
    longest = ".".join(["x" * 61] * 4) + ".abcd"
    assert len(longest) == 252
    asked(h, c, longest)
    # Letters' case and a dot at the end make no other name.
    assert got(c, "WWW.Example.ORG.") == EAGAIN
    Asked(h)


def test_several_addresses():
    h, c = client()
    q = asked(h, c)
    h.inject(q.frame([a(QUESTION, "10.0.0.%d" % i) for i in range(6)]))
    assert got(c) == ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert got(c, room=1) == ["10.0.0.0"]


def test_aliases_in_one_answer():
    h, c = client()
    q = asked(h, c)
    chain = [
        a("d.net", "10.0.0.4"),
        cname("c.net", "d.net"),
        cname(QUESTION, "b.net"),
        cname("B.NET", "c.net"),
    ]
    h.inject(q.frame(chain))
    assert got(c) == ["10.0.0.4"]


def test_letters_in_any_case():
    h, c = client()
    q = asked(h, c, "az09-x.example.org")
    h.inject(q.frame([cname("AZ09-X.Example.ORG", "QZA.net"), a("qzA.NET", "10.0.0.4")]))
    assert got(c, "az09-x.example.org") == ["10.0.0.4"]
    # Other characters have no case.
    q = asked(h, c, "a[b.org")
    h.inject(q.frame([a("a{b.org", "10.0.0.4"), a("A{B.org", "10.0.0.4")]))
    assert got(c, "a[b.org") == ENOENT
    q = asked(h, c, "a-b.org")
    h.inject(q.frame([a("a\rb.org", "10.0.0.4")]))
    assert got(c, "a-b.org") == ENOENT


def test_the_longest_names():
    h, c = client(timeout=60000)
    part = "x" * 63
    longest = ".".join([part] * 3) + "." + "y" * 61
    assert len(longest) == 253
    q = asked(h, c)
    at = 12 + len(q.message.question) + 12
    # One byte more than a name may have, in one piece and in two; a label of 64.
    for bad in (
        dns.name(longest.replace("y", "", 1).replace("y" * 60, "y" * 62)),
        dns.name("z" * 63 + "." + longest[64:], b"") + pointer(at + 20),
        b"\x40" + b"x" * 64 + b"\0",
    ):
        answers = [cname(QUESTION, bad), a(pointer(at), "10.6.6.6")]
        h.inject(q.frame(answers))
        assert got(c) == EAGAIN, bad
    answers = [cname(QUESTION, longest), a(pointer(at), "10.0.0.1")]
    h.inject(q.frame(answers))
    assert got(c) == ["10.0.0.1"]


def test_aliases_that_we_have_to_follow():
    h, c = client()
    q = asked(h, c)
    h.inject(q.frame([cname(QUESTION, "other.example.net")]))
    again = Asked(h, "other.example.net")
    assert got(c) == EAGAIN
    assert (again.message.ident, again.port) != (q.message.ident, q.port)
    h.inject(again.frame([a(QUESTION, "10.0.0.5", 40)]))
    assert got(c) == ["10.0.0.5"]


def test_aliases_in_a_circle_end():
    h, c = client()
    q = asked(h, c)
    h.inject(q.frame([cname(QUESTION, "b.net"), cname("b.net", NAME)]))
    assert got(c) == EIO
    h.clear()
    # And over several answers.
    q = asked(h, c)
    for i in range(20):
        name = "n%d.net" % (i & 1)
        h.inject(q.frame([cname(QUESTION, name)]))
        if not h.device.sent:
            break
        q = Asked(h, name)
    assert got(c) == EIO and i == 8, i


def test_answers_that_are_not_believed():
    h, c = client()
    h.iface.add_neighbor("192.168.69.9", b"\x02\x00\x00\x00\x00\x09")
    q = asked(h, c)
    m = q.message
    good = [a(QUESTION, "10.6.6.6")]
    bad = (
        q.frame(good, ident=(m.ident + 1) & 0xFFFF),
        q.frame(good, src="192.168.69.9"),
        q.frame(good, sport=5353),
        q.frame(good, flags=0x0100),  # not an answer
        q.frame(good, flags=0x8180 | 0x2000),  # another kind of query
        q.frame(good, question=b""),
        q.frame(good, question=dns.name("www.example.net") + b"\0\1\0\1"),
        q.frame(good, question=dns.name(NAME) + b"\0\x1c\0\1"),
        q.frame(good, question=dns.name(NAME) + b"\0\1\0\3"),
        q.frame(data=message(m.ident, m.question + m.question, good)[:4] + b"\0\2"),
    )
    for frame in bad:
        h.inject(frame)
        assert got(c) == EAGAIN
    assert c.stats()["ignored"] == len(bad)
    # The wrong port has nobody who listens.
    h.inject(q.frame(good, port=q.port ^ 1))
    assert got(c) == EAGAIN and h.expect("icmp", type=3, code=3)
    h.inject(q.frame([a(QUESTION, "10.0.0.1")]))
    assert got(c) == ["10.0.0.1"]
    # And once there is an answer, nobody listens at the port any more.
    h.inject(q.frame(good))
    h.expect("icmp", type=3, code=3)
    assert got(c) == ["10.0.0.1"]


def test_records_that_nobody_asked_for_are_not_believed():
    h, c = client()
    q = asked(h, c)
    h.inject(
        q.frame(
            [a("evil.net", "10.6.6.6"), a(QUESTION, "10.0.0.1"), a(QUESTION, "10.6.6.7", cls=3)],
            [a("bank.net", "10.6.6.6"), a(QUESTION, "10.6.6.8")],
            [a("mail.net", "10.6.6.6"), a(QUESTION, "10.6.6.9")],
        )
    )
    assert got(c) == ["10.0.0.1"]
    for other in ("evil.net", "bank.net"):
        asked(h, c, other)


def test_loops_and_lies_of_compression():
    h, c = client(timeout=60000)
    q = asked(h, c)
    at = 12 + len(q.message.question)
    loops = [
        [a(pointer(at), "10.6.6.6")],  # itself
        [a(pointer(at + 40), "10.6.6.6")],  # forward
        [a(pointer(0x3FFF), "10.6.6.6")],
        [cname(QUESTION, pointer(at + 12))],  # an alias that is itself
        [cname(QUESTION, b"\1x" + pointer(at + 12))],
        [cname(QUESTION, b"\x3fabc")],
        [cname(QUESTION, b"")],
        [a(b"\x41", "10.6.6.6")],
        [a(b"\x80\x00", "10.6.6.6")],
        [b"\xc0"],
        [a(QUESTION, "10.6.6.6")[:-1]],
        [dns.rr(QUESTION, 1, b"\1\2\3")],
        [a(QUESTION, "10.6.6.6")[:8]],
    ]
    for i, answers in enumerate(loops):
        h.inject(q.frame(answers))
        code = got(c)
        assert code in (EAGAIN, ENOENT, EIO), (i, code)
        h.clear()
        if code != EAGAIN:
            c.flush()
            q = asked(h, c)
    # Cut short at every byte.
    whole = message(
        q.message.ident, q.message.question, [cname(QUESTION, "b.net"), a("b.net", PEER)]
    )
    for n in range(len(whole)):
        h.inject(q.frame(data=whole[:n]))
        assert got(c) == EAGAIN, n
    # An answer with as many records as it says there are not.
    h.inject(q.frame(data=whole[:6] + b"\xff\xff" + whole[8:]))
    assert got(c) == EAGAIN
    h.inject(q.frame(data=whole))
    assert got(c) == [PEER]


def _ladder(q, first, count):
    """Records of no interest: each name points to the one before, the first to `first`.

    Returns them and a pointer by which `count` pointers are followed.
    """
    at = 12 + len(q.message.question)
    records = []
    for _ in range(count - 1):
        records.append(dns.rr(pointer(first), 99, b""))
        first = at
        at += len(records[-1])
    return records, pointer(first)


def test_ten_pointers_a_name():
    for count in (1, 10, 11):
        h, c = client()
        q = asked(h, c)
        records, owner = _ladder(q, 12, count)
        h.inject(q.frame(records + [a(owner, "10.0.0.1")]))
        assert got(c) == (["10.0.0.1"] if count <= 10 else EAGAIN), count
        # To "example.org", which an alias stands for.
        h, c = client()
        q = asked(h, c)
        records, target = _ladder(q, 16, count)
        h.inject(q.frame(records + [cname(QUESTION, target), a(pointer(16), "10.0.0.1")]))
        assert got(c) == (["10.0.0.1"] if count <= 10 else EAGAIN), count
        assert c.stats()["ignored"] == (count > 10)


def test_pointers_lead_back_to_names():
    h, c = client()
    q = asked(h, c)
    at = 12 + len(q.message.question)
    for n, where in enumerate((0, 2, 11, at, at + 1, at + 12, at + 40, 0x3FFF)):
        h.inject(q.frame([a(pointer(where), "10.6.6.6"), a(QUESTION, "10.6.6.6")]))
        assert got(c) == EAGAIN and c.stats()["ignored"] == n + 1, where


def _dear(q):
    """A message in which each of many names is read to the end, and is not ours."""
    near = q.name[:-1] + "x"
    at = 12 + len(q.message.question)
    records = [a(near, "10.6.6.6")]
    records += [a(pointer(at), "10.6.6.6")] * ((1440 - at - len(records[0])) // 16)
    return records + [a(QUESTION, "10.6.6.6")]


def test_a_message_may_cost_so_much():
    for name in (NAME, "x" * 63 + "." + NAME):
        h, c = client()
        usual = steps.count(h.inject, asked(h, c, "y.net").frame([a(QUESTION, "10.0.0.1")]))
        q = asked(h, c, name)
        cost = steps.count(h.inject, q.frame(_dear(q)))
        assert got(c, name) == EAGAIN and c.stats()["ignored"] == 1
        assert cost <= 25 * usual, (cost, usual)


def test_the_longest_honest_messages():
    part = "x" * 63
    longest = ".".join([part] * 3) + "." + "y" * 61
    for name in (NAME, longest):
        h, c = client()
        q = asked(h, c, name)
        room = (1472 - 12 - len(q.message.question)) // 16
        h.inject(q.frame([a(QUESTION, "10.0.0.%d" % i) for i in range(room)]))
        assert len(got(c, name)) == 4
    # As many aliases as are followed: with long names, and from the last to the first.
    for tail, order in ((".net", 1), ("." + part[:40] + ".net", 1), (".net", -1)):
        h, c = client()
        q = asked(h, c)
        names = [NAME] + ["n%d%s" % (i, tail) for i in range(8)]
        answers = [cname(names[i], names[i + 1]) for i in range(8)]
        answers += [a(names[8], "10.0.0.%d" % i) for i in range(4)]
        h.inject(q.frame(answers[::order]))
        assert len(got(c)) == 4, (tail, order)


def test_retransmission_and_the_time_limit():
    h, c = client(timeout=10000)
    assert got(c) == EAGAIN
    q = [Asked(h)]
    for _ in range(100):
        h.advance(100)
        while h.device.sent:
            q.append(Asked(h))
    assert got(c) == ETIMEDOUT
    times = [x.at - q[0].at for x in q]
    assert times == [0, 1000, 3000, 7000], times
    assert len({(x.message.ident, x.port) for x in q}) == 1
    h.advance(100000)
    h.expect_nothing()
    # It is told once; then it is asked again, from another port.
    again = asked(h, c)
    assert (again.message.ident, again.port) != (q[0].message.ident, q[0].port)


def test_an_answer_after_the_time_limit_is_not_heard():
    h, c = client(timeout=5000)
    q = asked(h, c)
    h.advance(5000)
    assert got(c) == ETIMEDOUT
    h.clear()
    h.inject(q.frame([a(QUESTION, "10.0.0.1")]))
    h.expect("icmp", type=3, code=3)
    again = asked(h, c)
    h.inject(q.frame([a(QUESTION, "10.0.0.1")]))
    assert got(c) == EAGAIN
    h.clear()
    h.inject(again.frame([a(QUESTION, "10.0.0.2")]))
    assert got(c) == ["10.0.0.2"]


def test_an_answer_to_the_first_try_counts_after_the_second():
    h, c = client()
    q = asked(h, c)
    h.advance(1500)
    Asked(h)
    h.inject(q.frame([a(QUESTION, "10.0.0.1")]))
    assert got(c) == ["10.0.0.1"]


def test_servers_take_turns():
    h, c = client((PEER, SECOND))
    q = asked(h, c)
    assert q.server == PEER
    h.advance(1000)
    q = Asked(h, dst=SECOND)
    h.advance(1000)
    Asked(h, dst=PEER)
    h.inject(q.frame([a(QUESTION, "10.0.0.1")], smac=SECOND_MAC))
    assert got(c) == ["10.0.0.1"]


def test_a_server_that_can_not_tell_is_not_asked_again():
    h, c = client((PEER, SECOND))
    for rcode in (2, 5, 1, 4):
        c.flush()
        q = asked(h, c)
        h.inject(q.frame(rcode=rcode))
        q = Asked(h, dst=SECOND)
        h.inject(q.frame(rcode=rcode, smac=SECOND_MAC))
        h.expect_nothing()
        assert got(c) == EIO
    # A referral is no answer either.
    q = asked(h, c)
    h.inject(q.frame(authority=[dns.rr("org", dns.NS, dns.name("ns.org"))], flags=0x8100))
    Asked(h, dst=SECOND)


def test_the_second_server_is_asked_only_if_it_was():
    """An answer in the name of a server that has not been asked is not believed."""
    h, c = client((PEER, SECOND))
    q = asked(h, c)
    h.inject(q.frame([a(QUESTION, "10.6.6.6")], src=SECOND, smac=SECOND_MAC))
    assert got(c) == EAGAIN and c.stats()["ignored"] == 1


def test_no_server_and_no_address():
    h, c = client(())
    assert got(c) == ENETUNREACH
    h = Host(address=False)
    c = DNSClient(h.iface, [PEER])
    assert got(c) == EAGAIN
    h.run()
    assert got(c) == ENETUNREACH
    h.expect_nothing()


def test_a_server_that_does_not_answer_arp():
    h, c = client(("192.168.69.50",), neighbor=False)
    assert got(c) == EAGAIN
    h.advance(9900)
    assert all(f[12:14] == b"\x08\x06" for _, f in h.device.sent)
    assert got(c) == EHOSTUNREACH
    # With another one, that is asked after a second.
    h, c = client(("192.168.69.50", PEER), neighbor=False)
    assert got(c) == EAGAIN
    h.advance(1600)
    h.clear()
    h.inject(arp(2, PEER, OUR, tha=OUR_MAC))
    h.advance(600)
    while Packet(*reversed(h.device.sent[0])).kind == "arp":
        h.device.sent.pop(0)
    q = Asked(h, dst=PEER)
    h.inject(q.frame([a(QUESTION, "10.0.0.1")]))
    assert got(c) == ["10.0.0.1"]


def test_icmp_says_that_nobody_listens():
    def refused(p, src):
        return icmp(3, 3, data=p.frame[14:42], src=src, smac=p.dmac)

    h, c = client((PEER, SECOND))
    assert got(c) == EAGAIN
    p = h.expect("udp", dst=PEER)
    h.inject(icmp(3, 3, data=p.frame[14:34] + u16(p.sport ^ 1) + p.frame[36:42]))
    h.expect_nothing()
    h.inject(refused(p, PEER))
    p = h.expect("udp", dst=SECOND)
    h.inject(refused(p, SECOND))
    assert got(c) == -111
    h.expect_nothing()


def test_time_to_live():
    h, c = client()
    q = asked(h, c)
    h.inject(q.frame([cname(QUESTION, "b.net", 50), a("b.net", "10.0.0.1", 300)]))
    assert got(c) == ["10.0.0.1"]
    h.advance(49000)
    assert got(c) == ["10.0.0.1"]
    h.advance(1000)
    q = asked(h, c)
    h.inject(q.frame([a(QUESTION, "10.0.0.2", 0x80000001)]))
    assert got(c) == ["10.0.0.2"], "an answer that does not last is told once"
    q = asked(h, c)
    h.inject(q.frame([a(QUESTION, "10.0.0.3", M32 >> 1)]))
    assert got(c) == ["10.0.0.3"]
    for _ in range(23):
        h.advance(3600000)
        assert got(c) == ["10.0.0.3"]
    h.advance(3600001)
    asked(h, c)


def test_nothing_comes_back_to_life_when_the_clock_wraps():
    h, c = client()
    q = asked(h, c)
    h.inject(q.frame([a(QUESTION, "10.0.0.1", 60)]))
    assert got(c) == ["10.0.0.1"]
    # 2^29 ms later an expiry would be in the future again.
    h.advance((1 << 29) + 100000)
    assert c.stats()["cached"] == 0
    asked(h, c)


def test_no_such_name_is_remembered():
    for answer in ({"rcode": 3}, {}):
        h, c = client()
        q = asked(h, c)
        h.inject(q.frame(authority=[soa(minimum=120)], **answer))
        assert got(c) == ENOENT and got(c) == ENOENT
        h.expect_nothing()
        h.advance(119000)
        assert got(c) == ENOENT
        h.advance(1000)
        q = asked(h, c)
        # Without an SOA it is not.
        h.inject(q.frame(**answer))
        assert got(c) == ENOENT
        asked(h, c)


def test_an_alias_of_nothing():
    h, c = client()
    q = asked(h, c)
    h.inject(q.frame([cname(QUESTION, "b.net")], [soa("net")], rcode=3))
    assert got(c) == ENOENT


def test_the_cache_keeps_its_size():
    h, c = client(cache=4)
    for i in range(12):
        name = "h%d.net" % i
        q = asked(h, c, name)
        h.inject(q.frame([a(QUESTION, "10.0.0.%d" % i, 1000 - i)]))
        assert got(c, name) == ["10.0.0.%d" % i]
    assert c.stats()["cached"] == 4
    # What would have expired first went first.
    for i in (0, 1, 2, 11):
        assert got(c, "h%d.net" % i) == ["10.0.0.%d" % i], i
    h.expect_nothing()


def test_several_at_once_and_no_more_than_that():
    h, c = client(queries=2)
    one, two = asked(h, c, "one.net"), asked(h, c, "two.net")
    assert got(c, "three.net") == EAGAIN
    h.expect_nothing()
    assert one.port != two.port and one.message.ident != two.message.ident
    h.inject(two.frame([a(QUESTION, "10.0.0.2")]), one.frame([a(QUESTION, "10.0.0.1")]))
    # Answers nobody has fetched yet do not block the place of another question.
    three = asked(h, c, "three.net")
    assert got(c, "one.net") == ["10.0.0.1"] and got(c, "two.net") == ["10.0.0.2"]
    h.inject(three.frame([a(QUESTION, "10.0.0.3")]))
    assert got(c, "three.net") == ["10.0.0.3"]


def test_a_result_that_is_not_fetched_is_forgotten():
    h, c = client(timeout=1000)
    asked(h, c)
    h.advance(40000)
    h.clear()
    assert c.stats()["queries"] == 0
    asked(h, c)


def test_numbers_are_random():
    h, c = client(timeout=1000)
    seen = []
    for _ in range(200):
        q = asked(h, c)
        seen.append((q.message.ident, q.port))
        h.inject(q.frame(rcode=2))
        assert got(c) == EIO
    ports = {port for _, port in seen}
    assert len({ident for ident, _ in seen}) > 190 and len(ports) > 190
    assert min(ports) >= 1024 and min(ports) < 10000 and max(ports) > 56000
    steps = [(seen[i][1] - seen[i - 1][1]) & 0xFFFF for i in range(1, 200)]
    assert len(set(steps)) > 190


def test_mixed_case():
    h, c = client(mixed_case=True)
    names = set()
    for _ in range(6):
        q = asked(h, c)
        names.add(q.name)
        h.inject(q.frame([a(QUESTION, "10.6.6.6")], question=dns.name(NAME) + b"\0\1\0\1"))
        if q.name != NAME:
            assert got(c) == EAGAIN
        h.inject(q.frame([a(QUESTION, "10.0.0.1")]))
        assert got(c)[0][:5] in ("10.0.", "10.6.")
        c.flush()
    assert len(names) > 3, names


def test_other_servers_are_asked_at_once_and_the_cache_is_emptied():
    h, c = client()
    q = asked(h, c)
    h.inject(q.frame([a(QUESTION, "10.0.0.1")]))
    assert got(c) == ["10.0.0.1"]
    c.servers = [PEER]
    assert got(c) == ["10.0.0.1"]
    asked(h, c, "other.net")
    c.servers = [SECOND]
    assert c.servers == [SECOND] and c.stats()["cached"] == 0
    Asked(h, "other.net", dst=SECOND)
    raises(ValueError, "servers", setattr, c, "servers", ["nonsense"])
    raises(ValueError, "servers", setattr, c, "servers", [PEER] * 5)


def _far(h, c):
    """Both servers have been asked, and the second says that it takes TCP."""
    q = asked(h, c)
    h.inject(q.frame(rcode=2))
    q = Asked(h, q.name, dst=SECOND)
    h.inject(q.frame(flags=0x8380, smac=SECOND_MAC))
    h.advance(30)
    p = Peer(h, port=53, src=SECOND, smac=SECOND_MAC)
    p.expect("S", 0)
    return p


def test_fewer_servers_while_an_answer_comes_over_tcp():
    for when in range(3):
        h, c = client((PEER, SECOND))
        p = _far(h, c)
        if when:
            p.send("SA", 0, 1, mss=1460)
            p.seq = p.ack = 1
            p.expect("A", 1, 1)
        if when == 2:
            h.advance(50)
            p.ack += len(p.expect("PA", 1, 1).data)
        c.servers = [PEER]
        steps.count(h.run, limit=5000)
        # The connection is ended, and the one server that is left is asked.
        while h.device.sent[0][1][23] == 6:
            assert "R" in h.next().flags
        q = Asked(h, dst=PEER)
        p.send("RA", 0, 1)
        steps.count(h.advance, 100, limit=5000)
        h.clear()
        h.inject(q.frame([a(QUESTION, "10.0.0.1")]))
        assert got(c) == ["10.0.0.1"]
        # Its place is free again.
        for _ in range(6):
            h.add(TCPSocket(64, 64))


def test_other_servers_while_two_wait_for_tcp():
    h, c = client((PEER, SECOND))
    _far(h, c)
    q = asked(h, c, "other.net")
    h.inject(q.frame(flags=0x8380))
    h.advance(100)
    h.clear()
    c.servers = [SECOND]
    h.run()
    seen = [Packet(f) for _, f in h.device.sent]
    questions = [Read(x.data).questions[0][0] for x in seen if x.kind == "udp" and x.dst == SECOND]
    assert sorted(questions) == ["other.net", NAME], questions
    h.clear()
    h.advance(20000)
    assert got(c) == ETIMEDOUT and got(c, "other.net") == ETIMEDOUT


def test_the_time_limit_stays_when_the_servers_change():
    h, c = client(timeout=3000)
    asked(h, c)
    for i in range(30):
        c.servers = [SECOND if i & 1 else PEER]
        h.advance(100)
    assert got(c) == ETIMEDOUT


def test_what_other_servers_have_said_is_forgotten():
    h, c = client()
    # A result that waits to be fetched.
    q = asked(h, c)
    h.inject(q.frame(rcode=5))
    c.servers = [SECOND]
    q = asked(h, c)
    # An alias, which they may have made up.
    h.inject(q.frame([cname(QUESTION, "bad.net")], smac=SECOND_MAC))
    Asked(h, "bad.net")
    c.servers = [PEER]
    q = Asked(h)
    h.inject(q.frame([a(QUESTION, "10.0.0.1")]))
    assert got(c) == ["10.0.0.1"]
    # No servers at all.
    asked(h, c, "other.net")
    c.servers = []
    h.run()
    assert got(c, "other.net") == ENETUNREACH and got(c) == ENETUNREACH


def test_answers_of_servers_from_before_are_ignored():
    h, c = client()
    q = asked(h, c)
    c.servers = [SECOND]
    # In the same poll, before the new one could be asked.
    h.inject(q.frame([a(QUESTION, "10.6.6.6")]))
    again = Asked(h, dst=SECOND)
    assert got(c) == EAGAIN and c.stats()["ignored"] == 1
    h.inject(q.frame([a(QUESTION, "10.6.6.6")], port=again.port, ident=again.message.ident))
    assert got(c) == EAGAIN and c.stats()["ignored"] == 2


def test_calls_within_a_handler_leave_its_packet_alone():
    h, c = client((PEER, SECOND))
    p = _far(h, c)
    p.send("SA", 0, 1, mss=1460)
    h.advance(50)
    h.clear()

    def handler(socket, payload, n):
        c.servers = [PEER]
        assert got(c, "other.net") == EAGAIN
        return n

    s = h.add(UDPSocket(64, 64))
    s.bind(7)
    s.handler = handler
    h.inject(udp(5000, 7, b"abc"))
    h.expect("udp", sport=7, dport=5000, dst=PEER, data=b"abc")
    assert "R" in h.expect("tcp", dst=SECOND).flags
    assert {Asked(h, x).server for x in (NAME, "other.net")} == {PEER}


def test_closing_ends_what_is_under_way():
    h, c = client((PEER, SECOND))
    _far(h, c)
    c.close()
    c.close()
    h.advance(30000)
    assert got(c) == ENETUNREACH and got(c, "10.0.0.9") == ENETUNREACH
    for _ in range(8):
        h.add(TCPSocket(64, 64))


def _truncated(c, h):
    q = asked(h, c)
    h.inject(q.frame(flags=0x8380))
    p = Peer(h, port=53)
    p.expect("S", 0)
    p.send("SA", 0, 1, mss=1460)
    p.seq = p.ack = 1
    p.expect("A", 1, 1)
    h.advance(50)
    sent = p.expect("PA", 1, 1).data
    assert get16(sent, 0) == len(sent) - 2
    m = Read(sent[2:])
    assert m.questions == [(NAME, 1, 1)]
    p.ack = 1 + len(sent)
    return q, p, m


def test_truncated_answers_are_asked_for_over_tcp():
    h, c = client()
    q, p, m = _truncated(c, h)
    data = message(m.ident, m.question, [a(QUESTION, "10.0.%d.1" % i) for i in range(60)])
    data = u16(len(data)) + data
    assert len(data) > 900
    p.send("A", 1, data=data[:1])
    h.advance(50)
    assert got(c) == EAGAIN
    p.send("A", 2, data=data[1:500])
    h.advance(50)
    assert not any(f[23] == 6 and len(f) > 60 for _, f in h.device.sent), "asked twice"
    p.send("PA", 501, data=data[500:])
    h.advance(50)
    assert got(c) == ["10.0.0.1", "10.0.1.1", "10.0.2.1", "10.0.3.1"]
    assert any(f[23] == 6 and f[47] & 4 for _, f in h.device.sent), "the connection is ended"
    h.clear()
    # Its place is free again.
    for _ in range(5):
        h.add(TCPSocket(64, 64))


def test_an_answer_longer_than_the_buffer():
    h, c = client(stream_size=256)
    q, p, m = _truncated(c, h)
    data = message(m.ident, m.question, [a(QUESTION, "10.0.%d.1" % i) for i in range(60)])
    data = u16(len(data)) + data
    p.send("A", 1, data=data[:256])
    h.advance(50)
    p.send("A", 257, data=data[256:300])
    h.advance(50)
    assert got(c) == ["10.0.0.1", "10.0.1.1", "10.0.2.1", "10.0.3.1"]


def test_more_than_an_answer_over_tcp():
    for more in (b"x", bytes(400)):
        for cut in (1, 2, 30):
            h, c = client(stream_size=256)
            q, p, m = _truncated(c, h)
            data = message(m.ident, m.question, [a(QUESTION, "10.0.0.1")])
            data = u16(len(data)) + data + more
            p.send("A", 1, data=data[:cut])
            h.advance(50)
            p.send("PA", 1 + cut, data=data[cut:])
            h.advance(50)
            assert got(c) == ["10.0.0.1"]
    # The length that it tells may be less than has come already.
    for length in (0, 1, 11, 20):
        h, c = client()
        q, p, m = _truncated(c, h)
        p.send("PA", 1, data=u16(length) + bytes(100))
        h.advance(50)
        assert got(c) == EIO


def test_tcp_that_fails():
    h, c = client()
    q, p, m = _truncated(c, h)
    p.send("RA", 1)
    h.advance(50)
    assert got(c) == EIO
    h.clear()
    q, p, m = _truncated(c, h)
    p.send("FA", 1)
    h.advance(50)
    assert got(c) == EIO
    h.clear()
    # A lie.
    q, p, m = _truncated(c, h)
    p.send("PA", 1, data=u16(12) + bytes(12))
    h.advance(50)
    assert got(c) == EIO
    h.clear()
    # Silence.
    q, p, m = _truncated(c, h)
    h.advance(10000)
    assert got(c) == ETIMEDOUT
    h.clear()
    # No place for a socket.
    while True:
        try:
            h.add(TCPSocket(64, 64))
        except OSError:
            break
    q = asked(h, c)
    h.inject(q.frame(flags=0x8380))
    h.advance(50)
    assert got(c) == EIO


def test_resolve():
    h, c = client()
    replies = [(NAME, "10.0.0.1"), ("b.net", None)]

    def pump():
        h.advance(10)
        if h.device.sent:
            name, address = replies.pop(0)
            q = Asked(h, name)
            if address:
                h.inject(q.frame([a(QUESTION, address)]))
            else:
                h.inject(q.frame(rcode=3))

    raises(ValueError, "pump", c.resolve, NAME)
    assert c.resolve(NAME, pump=pump) == "10.0.0.1"
    c.pump = pump
    assert c.resolve(NAME) == "10.0.0.1"
    assert c.resolve("10.9.9.9") == "10.9.9.9"
    assert raises(OSError, None, c.resolve, "b.net").errno == 2
    c.pump = lambda: h.advance(50)
    start = h.t
    assert raises(OSError, None, c.resolve, "c.net").errno == 110
    assert 10000 <= h.t - start <= 10100
    start = h.t
    assert raises(OSError, None, c.resolve, "d.net", 700).errno == 110
    assert 700 <= h.t - start <= 850


def test_resolve_before_the_first_poll():
    h = Host(address=False)
    h.iface.add_address(OUR + "/24")
    c = DNSClient(h.iface, [PEER], pump=lambda: h.advance(50))
    assert raises(OSError, None, c.resolve, NAME).errno == 110
    assert 10000 <= h.t <= 10200, h.t


def test_names_for_sockets():
    from smolmpy.services import resolver

    h = Host()

    class Net:
        iface = h.iface
        dns = []
        busy = False
        resolve = None
        answer = True

        def pump(self):
            h.run()
            if h.device.sent:
                q = Asked(h)
                if self.answer:
                    h.inject(q.frame([a(QUESTION, "10.0.0.1")]))

        def rest(self, limit):
            h.t += limit

    net = Net()
    c = resolver.install(net, timeout=3000)
    assert raises(OSError, None, net.resolve, NAME).errno == ENETUNREACH
    net.dns = [PEER]
    assert net.resolve(NAME) == "10.0.0.1" and c.servers == [PEER]
    net.answer = False
    start = h.t
    c.flush()
    assert raises(OSError, None, net.resolve, NAME).errno == ETIMEDOUT
    assert 3000 <= h.t - start < 3500
    for bad in ("", "a..b", "x" * 300):
        assert raises(OSError, None, net.resolve, bad).errno == ENOENT
    net.busy = True
    assert raises(OSError, None, net.resolve, NAME).errno == -16


def test_resolve_with_asyncio():
    try:
        import asyncio
    except ImportError:
        return "SKIP no asyncio"
    h, c = client()

    async def pump():
        while True:
            h.advance(10)
            if h.device.sent:
                q = Asked(h)
                h.inject(q.frame([a(QUESTION, "10.0.0.1")]))
            await asyncio.sleep(0)

    async def main():
        task = asyncio.create_task(pump())
        result = await c.aresolve(NAME)
        task.cancel()
        return result

    assert asyncio.run(main()) == "10.0.0.1"


def _noise(seed, data, n=4):
    # The same damage on every interpreter.
    data = bytearray(data)
    for _ in range(n):
        seed = (seed * 1103 + 12345) % 1000003
        at = seed % len(data)
        seed = (seed * 1103 + 12345) % 1000003
        data[at] = (data[at], 0xC0, 0, 255, seed & 255)[seed % 5]
    return bytes(data)


def test_damaged_answers():
    h, c = client(timeout=600000)
    q = asked(h, c)
    m = q.message
    answers = [cname(QUESTION, "b.net"), cname("b.net", b"\1c" + pointer(60)), a("c.net", PEER)]
    whole = message(m.ident, m.question, answers, [soa()], [a("b.net", PEER)])
    skip = 12 + len(m.question)
    for seed in range(800):
        data = whole[:skip] + _noise(seed, whole[skip:])
        if seed & 1:
            data = whole[:6] + _noise(seed, whole[6:12], 1) + data[12:]
        h.inject(q.frame(data=data))
        h.clear()
        code = got(c)
        if code != EAGAIN:
            assert code in (ENOENT, EIO) or isinstance(code, list), code
            c.flush()
            h.clear()
            if got(c) == EAGAIN:
                q = Asked(h)
                m = q.message
                whole = message(m.ident, m.question, answers, [soa()], [a("b.net", PEER)])
        elif c._queries[0]._label[0] != 3:
            # It follows an alias that came out of the noise.
            c.servers = [SECOND if c.servers == [PEER] else PEER]
            for query in c._queries:
                query.forget()
            h.clear()
            q = asked(h, c)
            m = q.message
            whole = message(m.ident, m.question, answers, [soa()], [a("b.net", PEER)])


def test_mistakes_of_the_caller():
    h = Host()
    raises(ValueError, "timeout", DNSClient, h.iface, timeout=0)
    raises(ValueError, "cache", DNSClient, h.iface, cache=0)
    raises(ValueError, "queries", DNSClient, h.iface, queries=0)
    # Nothing is left of what could not be made.
    for _ in range(2):
        raises(OSError, "sockets", DNSClient, h.iface, queries=9)
        raises(ValueError, "servers", DNSClient, h.iface, ["nonsense"])
    DNSClient(h.iface, queries=8)


class Repeated:
    """Looks one name up for hours, on a `PreparedDevice`, without allocating anything."""

    def __init__(self):
        self.device = PreparedDevice()
        self.iface = Interface(self.device, OUR_MAC)
        self.iface.add_address(OUR + "/24")
        self.iface.add_neighbor(PEER, PEER_MAC)
        self.client = DNSClient(self.iface, [PEER])
        question = dns.name(NAME) + b"\0\1\0\1"
        data = message(0, question, [cname(QUESTION, "b.net", 50), a("b.net", "10.0.0.1")])
        self.answer = bytearray(udp(53, 0, data, no_csum=True))
        self.addr = bytearray(16)
        self.t = START
        self.answering = True
        self.found = self.asked = self.failed = 0

    def __call__(self):
        self.found = self.asked = self.failed = 0
        last = self.device.last
        frame = self.answer
        for _ in range(2000):
            self.t = (self.t + 500) & 0x3FFFFFFF
            self.iface.poll(self.t)
            n = self.client.lookup(NAME, self.addr)
            self.iface.poll(self.t)
            if self.device.sent:
                self.asked += self.device.sent
                self.device.sent = 0
                if self.answering:
                    frame[36] = last[34]
                    frame[37] = last[35]
                    frame[42] = last[42]
                    frame[43] = last[43]
                    self.device.frame = frame
            if n > 0:
                self.found += 1
            elif n != EAGAIN:
                self.failed += 1


def test_lookups_allocate_nothing():
    r = Repeated()
    r()
    under_lock(r)
    assert r.asked == 20 and r.found > 1900 and r.failed == 0, (r.asked, r.found, r.failed)
    r.answering = False
    under_lock(r)
    assert 60 <= r.failed <= 100 and r.asked >= 4 * r.failed, (r.asked, r.failed)
