"""SNTP (RFC 4330, RFC 5905 section 14): the client, against servers made of frames."""

from harness import *
from locked import PreparedDevice, under_lock
from service_frames import ntp, stamp
from smolmpy import DNSClient, Interface, SNTPClient, UDPSocket

SECOND = "192.168.69.101"
SECOND_MAC = b"\x02\x00\x00\x00\x00\x65"
TODAY = 1795503600  # 2026-11-24 07:00:00


class RTC:
    def __init__(self):
        self.set = []

    def datetime(self, fields):
        self.set.append(list(fields))


def client(servers=(PEER,), neighbor=True, rtc=None, **kw):
    h = Host(neighbor=neighbor)
    h.iface.add_neighbor(SECOND, SECOND_MAC)
    return h, SNTPClient(h.iface, servers, rtc=rtc, **kw)


def asked(h, dst=PEER):
    p = h.expect("udp", dport=123, dst=dst)
    assert len(p.data) == 48 and p.data[0] == 0x23 and p.data[1:40] == bytes(39)
    return p


def answer(q, unix=TODAY, originate=None, sport=123, n=48, **kw):
    message = {}
    for name in "millis held first stratum refid delay dispersion came".split():
        if name in kw:
            message[name] = kw.pop(name)
    d = ntp(q.data[40:48] if originate is None else originate, unix, **message)
    kw["src"] = kw.get("src", q.dst)
    return udp(sport, kw.pop("dport", q.sport), d[:n], **kw)


def test_the_time():
    rtc = RTC()
    told = []
    h, c = client(rtc=rtc, on_time=told.append)
    fields = [0] * 8
    assert not c.synced and c.time() == 0 and not c.datetime(fields) and c.server is None
    q = asked(h)
    assert q.sport >= 1024
    h.inject(answer(q, millis=500))
    assert c.synced and c.time() == TODAY and told == [c] and c.server == PEER
    assert 498 <= c.millis <= 501, c.millis
    assert rtc.set == [[2026, 11, 24, 1, 7, 0, 0, 0]], rtc.set
    h.expect_nothing()
    h.advance(1510)
    assert c.time() == TODAY + 2 and c.datetime(fields) and fields == [2026, 11, 24, 1, 7, 0, 2, 0]


def test_the_boards_clock_is_set():
    import sys

    class Machine:
        RTC = RTC

    before = sys.modules.get("machine")
    sys.modules["machine"] = Machine
    try:
        h = Host()
        c = SNTPClient(h.iface, [PEER])
    finally:
        if before is None:
            del sys.modules["machine"]
        else:
            sys.modules["machine"] = before
    h.inject(answer(asked(h)))
    assert c._rtc.set == [[2026, 11, 24, 1, 7, 0, 0, 0]], c._rtc.set


def test_half_the_way_is_added():
    h, c = client()
    q = asked(h)
    h.advance(400)
    h.inject(answer(q, held=100))
    assert c.round_trip == 300 or c.round_trip == 299 or c.round_trip == 301, c.round_trip
    assert c.time() == TODAY and 148 <= c.millis <= 152


def test_asks_again_after_the_interval():
    h, c = client(interval=64)
    h.inject(answer(asked(h)))
    h.advance(63900)
    h.expect_nothing()
    h.advance(200)
    q = asked(h)
    h.inject(answer(q, unix=TODAY + 64))
    assert c.time() == TODAY + 64


def test_ports_and_times_are_random():
    h, c = client(interval=16)
    seen = []
    for _ in range(20):
        q = asked(h)
        seen.append((q.sport, q.data[40:48]))
        h.inject(answer(q))
        h.advance(16100)
    assert len({s[0] for s in seen}) > 18 and len({s[1] for s in seen}) == 20


def test_bad_answers_are_dropped_and_counted():
    h, c = client()
    q = asked(h)
    bad = (
        answer(q, originate=bytes(8)),
        answer(q, originate=b"\1" + q.data[41:48]),
        answer(q, first=0x23),  # a client's
        answer(q, first=0xE4),  # not synchronized
        answer(q, first=0x0C),  # version 1
        answer(q, stratum=16),
        answer(q, stratum=0),
        answer(q, delay=0x100000),
        answer(q, dispersion=0x100000),
        answer(q, unix=TODAY - 100000000),
        answer(q, came=stamp(TODAY + 1)),
        answer(q, came=stamp(TODAY - 20)),
        answer(q, came=bytes(8)),
        answer(q, src=SECOND, smac=SECOND_MAC),
        answer(q, sport=124),
        answer(q, n=47),
        answer(q, n=0),
    )
    for i, frame in enumerate(bad):
        h.inject(frame)
        assert not c.synced and c.ignored == i + 1, i
    h.expect_nothing()
    h.inject(answer(q))
    assert c.synced
    # A second one has nobody who listens.
    h.inject(answer(q, unix=TODAY + 1000))
    assert c.time() == TODAY and h.expect("icmp", type=3)


def test_servers_take_turns():
    h, c = client((PEER, SECOND))
    asked(h)
    h.advance(2000)
    q = asked(h, SECOND)
    h.inject(answer(q, smac=SECOND_MAC))
    assert c.synced and c.server == SECOND
    # The one that has answered is asked the next time.
    h.advance(3600 * 1000)
    asked(h, SECOND)


def test_nobody_answers():
    h, c = client((PEER, SECOND), interval=64)
    times = []
    for _ in range(6000):
        h.advance(100)
        while h.device.sent:
            p = h.expect("udp", dport=123)
            times.append((p.at, p.dst))
    first = [dst for at, dst in times[:4]]
    assert first == [PEER, SECOND, PEER, SECOND]
    gaps = [times[i][0] - times[i - 1][0] for i in range(1, len(times))]
    assert gaps[:3] == [2000] * 3 and 17000 <= gaps[3] <= 19000, gaps
    assert max(gaps) <= 67000 and gaps[-1] >= 2000
    assert len(times) <= 40, len(times)


def test_what_is_just_good_enough():
    for kw in ({"first": 0x1C}, {"stratum": 15}, {"stratum": 1}, {"delay": 0xFFFFF}):
        h, c = client()
        h.inject(answer(asked(h), **kw))
        assert c.synced, kw
    for refid in (b"RATX", b"XXXE", b"DENX", b"XXXY", b"RSTX", b"XXXR", b"INIT"):
        h, c = client(interval=64)
        h.inject(answer(asked(h), stratum=0, refid=refid))
        assert c.ignored == 1 and c.interval == 64
        h.advance(2000)
        asked(h)


def test_icmp_says_that_nobody_listens():
    h, c = client((PEER, SECOND))
    p = asked(h)
    h.inject(icmp(3, 3, data=p.frame[14:42]))
    h.inject(answer(asked(h, SECOND), smac=SECOND_MAC))
    assert c.synced and h.t < 100


def test_damaged_answers():
    h, c = client()
    q = asked(h)
    good = answer(q)[42:]
    for i in range(48):
        for value in (0, 1, 0x7F, 0x80, 0xFF):
            data = good[:i] + bytes([value]) + good[i + 1 :]
            h.inject(udp(123, q.sport, data))
            h.clear()
            if c.synced:
                h, c = client()
                q = asked(h)
                good = answer(q)[42:]


def test_kiss_of_death():
    h, c = client((PEER, SECOND), interval=64)
    h.inject(answer(asked(h), stratum=0, refid=b"DENY"))
    assert not c.synced
    h.inject(answer(asked(h, SECOND), stratum=0, refid=b"RATE", smac=SECOND_MAC))
    assert c.interval == 128
    for _ in range(50):
        h.advance(10000)
        while h.device.sent:
            h.expect("udp", dst=SECOND)
    # Denied by all: silence.
    h, c = client((PEER,))
    h.inject(answer(asked(h), stratum=0, refid=b"RSTR"))
    for _ in range(10):
        h.advance(3600000)
        h.expect_nothing()
    assert h.iface.poll_delay(h.now) > 1000


def test_the_calendar():
    cases = (
        (1704067200, [2024, 1, 1, 0, 0, 0, 0, 0]),
        (1709251199, [2024, 2, 29, 3, 23, 59, 59, 0]),
        (1709251200, [2024, 3, 1, 4, 0, 0, 0, 0]),
        (1735689599, [2024, 12, 31, 1, 23, 59, 59, 0]),
        (2085978495, [2036, 2, 7, 3, 6, 28, 15, 0]),  # the last second of NTP's first era
        (2085978496, [2036, 2, 7, 3, 6, 28, 16, 0]),
        (2147483647, [2038, 1, 19, 1, 3, 14, 7, 0]),
        (2147483648, [2038, 1, 19, 1, 3, 14, 8, 0]),
        (4107542399, [2100, 2, 28, 6, 23, 59, 59, 0]),
        (4107542400, [2100, 3, 1, 0, 0, 0, 0, 0]),
        (4294967295, [2106, 2, 7, 6, 6, 28, 15, 0]),
    )
    for unix, fields in cases:
        h, c = client()
        h.inject(answer(asked(h), unix=unix))
        got = [0] * 8
        assert c.synced and c.datetime(got) and got == fields, (unix, got)
        assert c.time() == unix


def test_the_clock_goes_on_for_weeks():
    h, c = client(interval=86400)
    h.inject(answer(asked(h)))
    for day in range(1, 30):
        h.advance(86400 * 1000)
        h.clear()
        assert abs(c.time() - TODAY - day * 86400) <= 1, day
    c.stop()
    h.advance(20 * 86400 * 1000)
    h.expect_nothing()
    assert abs(c.time() - TODAY - 49 * 86400) <= 1


def test_other_servers():
    h, c = client(())
    h.expect_nothing()
    c.servers = [SECOND]
    h.inject(answer(asked(h, SECOND), smac=SECOND_MAC))
    assert c.synced
    c.servers = [SECOND]
    h.expect_nothing()
    c.servers = [PEER]
    asked(h, PEER)
    raises(ValueError, "servers", setattr, c, "servers", ["time.example.org"])
    raises(ValueError, "servers", setattr, c, "servers", [PEER] * 9)
    raises(ValueError, "interval", SNTPClient, h.iface, interval=15)


def test_other_servers_while_an_answer_waits_to_be_looked_at():
    """It came with the same poll as what made the program change them."""
    h, c = client()
    other = h.add(UDPSocket(64, 64))
    other.bind(7)

    def handler(socket, payload, n):
        c.servers = [SECOND if c.servers == (PEER,) else PEER]
        return 0

    other.handler = handler
    for kiss in ({}, {"stratum": 0, "refid": b"DENY"}):
        h.inject(answer(asked(h), unix=TODAY - 1000, **kiss), udp(5000, 7, b"x"))
        assert not c.synced
        q = asked(h, SECOND)
        h.inject(udp(5000, 7, b"x"))
    again = asked(h)
    h.inject(answer(q, smac=SECOND_MAC))
    h.expect("icmp", type=3, code=3)
    assert not c.synced
    h.inject(answer(again))
    assert c.synced and c.server == PEER and c.time() == TODAY
    # What is stopped stays so.
    other.handler = lambda socket, payload, n: c.stop() or 0
    c.sync()
    h.inject(answer(asked(h), unix=TODAY + 500), udp(5000, 7, b"x"))
    assert c.time() == TODAY
    h.advance(100000)
    h.expect_nothing()


def test_the_program_may_end_it_when_told():
    for how in ("stop", "close", "sync"):
        h, c = client(on_time=getattr(SNTPClient, how))
        h.inject(answer(asked(h)))
        assert c.synced
        if how == "sync":
            asked(h)
            c.close()
        h.advance(10000)
        h.expect_nothing()
        c.close()


def test_names_that_are_none():
    h = Host()
    d = DNSClient(h.iface, [PEER])
    for bad in ("", "a..b", "x" * 64):
        for _ in range(9):
            # The client leaves no place taken.
            raises(ValueError, "name", SNTPClient, h.iface, [bad], dns=d)
    h.advance(1000)
    h.expect_nothing()
    # Without the client that knows the names nobody is asked, nor is the poll ended.
    c = SNTPClient(h.iface, ["time.example.org"], dns=d, rtc=None)
    c.dns = None
    h.advance(10000)
    c.dns = d
    d.close()
    h.advance(100000)
    h.expect_nothing()


def test_no_address_yet():
    h = Host(address=False)
    c = SNTPClient(h.iface, [PEER], rtc=None)
    h.advance(1000)
    h.expect_nothing()
    h.iface.add_address(OUR + "/24")
    h.run()
    h.expect("arp")
    while not h.device.sent and h.t < 60000:
        h.advance(100)
    h.inject(answer(asked(h)))
    assert c.synced


def test_a_server_by_name():
    from dns_frames import QUESTION, Read, a, message

    h = Host()
    h.iface.add_neighbor(SECOND, SECOND_MAC)
    d = DNSClient(h.iface, [PEER])
    c = SNTPClient(h.iface, ["time.example.org"], dns=d, rtc=None)
    p = h.expect("udp", dport=53)
    m = Read(p.data)
    h.inject(udp(53, p.sport, message(m.ident, m.question, [a(QUESTION, SECOND)])))
    h.advance(200)
    h.inject(answer(asked(h, SECOND), smac=SECOND_MAC))
    assert c.synced and c.server == SECOND


def test_a_server_that_does_not_answer_arp():
    h, c = client(("192.168.69.50", PEER), neighbor=True)
    h.advance(5000)
    while h.device.sent and h.device.sent[0][1][13] == 6:
        h.device.sent.pop(0)
    h.inject(answer(asked(h)))
    assert c.synced


class Loop:
    def __init__(self):
        self.device = PreparedDevice()
        self.iface = Interface(self.device, OUR_MAC)
        self.iface.add_address(OUR + "/24")
        self.iface.add_neighbor(PEER, PEER_MAC)
        self.client = SNTPClient(self.iface, [PEER], rtc=self, interval=64)

        class Q:
            data = bytes(48)
            dst = PEER
            sport = 0

        self.answer = bytearray(answer(Q, unix=0xF0000000, no_csum=True))
        self.t = START
        self.year = self.answers = 0

    def datetime(self, fields):
        self.year = fields[0]

    def __call__(self):
        last = self.device.last
        frame = self.answer
        for _ in range(1000):
            self.t = (self.t + 1000) & 0x3FFFFFFF
            self.device.length = 0
            self.iface.poll(self.t)
            if self.device.length and last[37] == 123:
                for i in range(8):
                    frame[42 + 24 + i] = last[42 + 40 + i]
                frame[36] = last[34]
                frame[37] = last[35]
                self.device.frame = frame
                self.iface.poll(self.t)
                self.answers += 1


def test_nothing_is_allocated():
    loop = Loop()
    loop()
    loop.answers = loop.year = 0
    under_lock(loop)
    assert loop.year == 2097 and 15 <= loop.answers <= 17, (loop.year, loop.answers)
