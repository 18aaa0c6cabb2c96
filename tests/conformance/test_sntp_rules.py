"""SNTP by RFC 4330 section 5 and RFC 5905 section 7.4: which answers count, and what they say."""

from fuzz import Random
from harness import *
from service_frames import EPOCH
from smolmpy import SNTPClient, UDPSocket
from test_sntp import RTC, SECOND, TODAY, answer, asked, client

YEAR_2024 = 1704067200
FAR_ERA = 1 << 32  # of NTP's seconds: they begin anew in 2036


def ignored(h, c, frame, count=1):
    before = c.stats()["ignored"]
    h.inject(frame)
    return c.stats()["ignored"] == before + count and not c.synced


def test_5_each_field_that_counts():
    """Mode, version, alarm, stratum, the time of our request, root delay and dispersion."""
    h, c = client()
    q = asked(h)
    for first in range(256):
        leap, version, mode = first >> 6, first >> 3 & 7, first & 7
        good = mode == 4 and version in (3, 4) and leap != 3
        if not good:
            assert ignored(h, c, answer(q, first=first)), first
    for stratum in (16, 17, 31, 128, 255):
        assert ignored(h, c, answer(q, stratum=stratum)), stratum
    for bit in range(64):
        wrong = bytearray(q.data[40:48])
        wrong[bit >> 3] ^= 1 << (bit & 7)
        assert ignored(h, c, answer(q, originate=bytes(wrong))), bit
    for field in ("delay", "dispersion"):
        for value in (16 << 16, 17 << 16, 1 << 24, 1 << 31, 0x80000001, M32, 0xFF0F0000):
            assert ignored(h, c, answer(q, **{field: value})), (field, value)
    for n in range(48):
        assert ignored(h, c, answer(q, n=n)), n
    for wrong in ({"sport": 124}, {"sport": 123 + 256}, {"src": SECOND}):
        assert ignored(h, c, answer(q, **wrong)), wrong
    h.inject(answer(q))
    assert c.synced and c.time() == TODAY
    for field in ("delay", "dispersion"):
        for value in (0, 1, 0xFFFF, (16 << 16) - 1):
            h, c = client()
            h.inject(answer(asked(h), **{field: value}))
            assert c.synced, (field, value)
    for first in (0x1C, 0x24, 0x5C, 0x64, 0x9C, 0xA4):
        for stratum in (1, 2, 15):
            h, c = client()
            h.inject(answer(asked(h), first=first, stratum=stratum))
            assert c.synced, (first, stratum)


def test_the_second_answer_to_a_request_is_none():
    h, c = client()
    q = asked(h)
    h.inject(answer(q), answer(q, TODAY + 100))
    assert c.time() == TODAY and c.stats()["ignored"] == 1
    h.inject(answer(q, TODAY + 100))
    assert c.time() == TODAY
    # Nor is one to the request before, by whichever server.
    h, c = client((PEER, SECOND))
    q = asked(h)
    h.advance(2000)
    asked(h, SECOND)
    assert ignored(h, c, answer(q), 0) and not c.synced


def test_the_time_is_the_servers_and_half_the_way_that_was_not_its_own():
    chance = Random(4)
    for i in range(60):
        trip = (0, 1, 2, 3, 7, 100, 999, 1000, 1999)[chance.below(9)]
        held = chance.below(trip + 1) if chance.below(2) else 0
        unix = YEAR_2024 + 7 + chance.below(1 << 27) + (chance.below(3) << 30)
        millis = (0, 1, 499, 500, 998, 999)[chance.below(6)]
        h, c = client()
        q = asked(h)
        h.t += trip
        h.inject(answer(q, unix, millis=millis, held=held))
        assert c.synced, (trip, held, unix, millis)
        rest = c.stats()["round_trip"]
        # A millisecond is not a whole number of NTP's fractions.
        assert abs(rest - (trip - held)) <= 1 and rest == c.round_trip, (trip, held, rest)
        now = c.time() * 1000 + c.millis
        assert abs(now - unix * 1000 - millis - (trip - held) // 2) <= 1, (trip, held, now)
        h.advance(12345)
        assert c.time() * 1000 + c.millis == now + 12345
        assert c.server == PEER


def test_5_an_answer_that_was_held_before_it_came_is_none():
    for held, good in (
        (0, True),
        (15, True),
        (-3, False),
        (-100, False),
        (15000, True),
        (16000, False),
    ):
        h, c = client()
        q = asked(h)
        h.t += 100
        h.inject(answer(q, held=held))
        assert c.synced == good, held
        if good:
            assert abs(c.round_trip - max(0, 100 - held)) <= 1, held
    # Held for longer than the way took: a way of nothing.
    h, c = client()
    q = asked(h)
    h.t += 40
    h.inject(answer(q, held=60))
    assert c.synced and c.round_trip == 0 and c.time() * 1000 + c.millis == TODAY * 1000


def test_3_the_seconds_begin_anew_in_2036_and_none_lie_before_2024():
    for unix, good in (
        (TODAY, True),
        (0x65920000, True),
        (0x65920000 - 1, False),
        (YEAR_2024 - 200000, False),
        (0, False),
        (-EPOCH + 1, True),  # that is 2036
        (FAR_ERA - EPOCH - 1, True),
        (FAR_ERA - EPOCH, True),
        (FAR_ERA - EPOCH + 1, True),
        (0x7FFFFFFF, True),
        (0x80000000, True),
        (0xFFFFFFFF, True),
    ):
        h, c = client()
        h.inject(answer(asked(h), unix))
        assert c.synced == good, unix
        if good:
            assert c.time() == unix % FAR_ERA if unix >= 0 else c.time() == unix + FAR_ERA, unix


def test_5905_7_4_kisses():
    """RATE: half as often. DENY and RSTR: that server never again. Others say nothing."""
    for code, meaning in (
        (b"RATE", "rate"),
        (b"DENY", "deny"),
        (b"RSTR", "deny"),
        (b"RATF", None),
        (b"RAUE", None),
        (b"SATE", None),
        (b"DENX", None),
        (b"DFNY", None),
        (b"RSTQ", None),
        (b"RSUR", None),
        (b"INIT", None),
        (b"\0\0\0\0", None),
    ):
        h, c = client((PEER, SECOND), interval=100)
        q = asked(h)
        h.inject(answer(q, stratum=0, refid=code))
        assert not c.synced and c.stats()["ignored"] == (meaning is None), code
        if meaning is None:
            h.expect_nothing()
            h.advance(2000)
        q = asked(h, SECOND)
        assert c.interval == (200 if meaning == "rate" else 100), code
        # Who is asked after that?
        h.advance(2000)
        if meaning == "deny":
            asked(h, SECOND)
        else:
            asked(h, PEER)
    h, c = client(interval=60000)
    for i in range(3):
        h.inject(answer(asked(h), stratum=0, refid=b"RATE"))
        h.clear()
        h.advance(100000)
    assert c.interval == 86400


def test_all_servers_that_deny_are_left_alone():
    h, c = client((PEER, SECOND), interval=16)
    for server in (PEER, SECOND):
        h.inject(answer(asked(h, server), stratum=0, refid=b"DENY"))
    h.advance(1000000)
    h.expect_nothing()
    # Others are asked at once.
    c.servers = (SECOND, PEER)
    h.inject(answer(asked(h, SECOND)))
    assert c.synced


def test_when_it_asks():
    """Each server twice, two seconds apart; a round after 16 s, 32 s, 64 s, then each interval."""
    h, c = client((PEER, SECOND), interval=100)
    t = []
    for i in range(20):
        while not h.device.sent:
            h.advance(h.iface.poll_delay(h.now))
        q = asked(h, (PEER, SECOND)[i & 1])
        t.append(q.at)
    waits = [t[i + 1] - t[i] for i in range(19)]
    pauses = [2000 + p for p in (16000, 32000, 64000, 100000)]
    want = []
    for p in pauses + [102000]:
        want += [2000, 2000, 2000, p]
    assert waits == want[:19], (waits, want)
    h.inject(answer(q))
    at = h.t
    assert c.synced
    h.advance(99999)
    h.expect_nothing()
    h.advance(1)
    assert asked(h, q.dst).at - at == 100000
    # After an answer the next pause is short again.
    h.advance(7999)
    h.clear()
    h.advance(15000)
    h.expect_nothing()
    h.advance(1001)
    assert h.device.sent


def test_the_server_that_answered_is_asked_again():
    h, c = client((PEER, SECOND), interval=50)
    asked(h)
    h.advance(2000)
    h.inject(answer(asked(h, SECOND)))
    assert c.server == SECOND
    for _ in range(3):
        h.advance(50000)
        h.inject(answer(asked(h, SECOND)))


def test_5905_every_request_has_its_own_port_and_number():
    h, c = client(interval=16)
    seen = set()
    for _ in range(12):
        q = asked(h)
        assert q.data[0] == 0x23 and q.data[1:40] == bytes(39) and q.ttl == 64
        seen.add((q.sport, q.data[40:48]))
        h.inject(answer(q))
        h.advance(16000)
    assert len({port for port, _ in seen}) == 12 and len({n for _, n in seen}) == 12
    for i in range(8):
        assert len({n[i] for _, n in seen}) > 6


def test_the_calendar_of_each_month_and_leap_year():
    """Beside days that are counted one by one; weekdays too."""
    lengths = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    day = 0
    fields = [9] * 8
    probes = {}
    for year in range(1970, 2106):
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        for month in range(12):
            n = lengths[month] + (1 if month == 1 and leap else 0)
            for d in (1, n):
                if year in (2024, 2027, 2028, 2036, 2099, 2100, 2101, 2104, 2105):
                    probes[day + d - 1] = (year, month + 1, d)
            day += n
    for number in probes:
        for second in (0, 86399, 45296):
            unix = number * 86400 + second
            if unix < YEAR_2024 + 600000:
                continue
            h, c = client()
            h.inject(answer(asked(h), unix))
            for i in range(8):
                fields[i] = 9
            assert c.datetime(fields)
            year, month, d = probes[number]
            clock = [second // 3600, second // 60 % 60, second % 60, 0]
            assert fields == [year, month, d, (number + 3) % 7] + clock, (fields, probes[number])


def test_a_full_device_and_no_way_there():
    h, c = client()
    h.device.refuse = EAGAIN
    h.advance(3000)
    h.device.refuse = 0
    h.advance(1)
    q = asked(h)
    h.t += 500
    h.inject(answer(q))
    assert c.synced and c.round_trip == 500
    h, c = client((FAR, SECOND))
    h.iface.gateway = None
    assert asked(h, SECOND)


def test_limits_of_what_may_be_given():
    h = Host(sockets=4)
    for good in (16, 86400):
        SNTPClient(h.iface, interval=good).close()
    for bad in (0, 15, 86401):
        raises(ValueError, "interval", SNTPClient, h.iface, interval=bad)
    eight = ["192.168.69.%d" % (100 + i) for i in range(8)]
    c = SNTPClient(h.iface, eight)
    assert c.servers == tuple(eight)
    c.close()
    raises(ValueError, "servers", SNTPClient, h.iface, eight + [FAR])
    assert h.iface.sockets.count(h.iface.sockets[3]) == 4  # none took a place for good


def test_stopped_it_keeps_the_time():
    rtc = RTC()
    h, c = client(rtc=rtc, interval=16)
    h.inject(answer(asked(h)))
    c.stop()
    h.advance(100000000)
    h.expect_nothing()
    assert c.time() == TODAY + 100000 and len(rtc.set) == 1
    c.sync()
    q = asked(h)
    c.stop()
    h.inject(answer(q, TODAY + 5))
    assert c.time() == TODAY + 100000
    assert rtc.set[0] == [2026, 11, 24, 1, 7, 0, 0, 0]


def test_servers_that_are_the_same_are_not_asked_anew():
    h, c = client()
    asked(h)
    c.servers = (PEER,)
    h.expect_nothing()
    c.servers = (SECOND,)
    asked(h, SECOND)
    c.servers = ()
    h.advance(100000000)
    h.expect_nothing()
    c.servers = (PEER,)
    asked(h, PEER)


def test_the_calendar_goes_on_between_two_answers():
    for ask in ("datetime", "time"):
        h, c = client()
        h.inject(answer(asked(h), TODAY, millis=0))
        fields = [9] * 8
        for ms in (999, 1, 60000, 1):
            h.t += ms
            h.iface.poll(h.now)
            now = TODAY * 1000 + h.t
            if ask == "time":
                assert c.time() == now // 1000 and c.millis == now % 1000
            else:
                assert c.datetime(fields)
                assert fields[6] == now // 1000 % 60 and fields[5] == now // 60000 % 60
                assert c.millis == now % 1000


def test_others_that_are_heard_of_do_not_end_a_request():
    h, c = client()
    q = asked(h)
    s = h.add(UDPSocket(64, 64))
    s.send_to(b"x", "192.168.69.77", 9)
    h.expect("arp", op=1, tpa="192.168.69.77")
    h.inject(arp(2, spa="192.168.69.77"))  # everybody has a turn
    h.expect("udp", dport=9)
    h.expect_nothing()
    h.inject(answer(q))
    assert c.synced
