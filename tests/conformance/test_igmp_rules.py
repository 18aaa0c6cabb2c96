"""IGMP by RFC 2236 sections 3 to 8 and RFC 3376 section 4.1: each field, each time, each timer."""

from harness import *
from smolmpy import UDPSocket
from test_igmp import (
    ALL_HOSTS,
    ALL_ROUTERS,
    GROUP,
    GROUP_MAC,
    LEAVE,
    OTHER,
    QUERY,
    V1,
    V2,
    counts,
    igmp,
    member,
    told,
)

ODD = "238.213.171.94"  # the low 23 bits of its address are 0x55ab5e
ODD_MAC = b"\x01\x00\x5e\x55\xab\x5e"


def reported(h):
    """When each group was reported since the last look: {group: [ms]}."""
    found = {}
    for at, f in h.device.sent:
        p = Packet(f, at)
        assert p.kind == "ip" and p.proto == 2 and p.payload[0] in (V1, V2), p
        found.setdefault(p.dst, []).append(at)
    h.clear()
    return found


def test_2_every_byte_of_a_message():
    h = Host(address=False)
    h.iface.add_address("203.114.229.173/24")
    h.run()
    h.clear()
    h.iface.join_group(ODD)
    for kind, to, mac in ((V2, ODD, ODD_MAC), (LEAVE, ALL_ROUTERS, b"\x01\x00\x5e\x00\x00\x02")):
        if kind == LEAVE:
            h.advance(20000)
            h.clear()
            h.iface.leave_group(ODD)
        p = h.expect("ip", proto=2, dst=to, src="203.114.229.173", ttl=1, tos=0xC0, frag=0x4000)
        assert p.dmac == mac and p.smac == OUR_MAC and p.ethertype == 0x0800
        assert p.options == b"\x94\x04\0\0" and len(p.frame) == 46
        body = bytes([kind, 0, 0, 0]) + addr(ODD)
        assert p.payload == body[:2] + u16(csum(body)) + body[4:]


def test_1112_6_4_the_ethernet_address_of_a_group_is_its_low_23_bits():
    for group, mac in (
        (ODD, ODD_MAC),
        ("224.0.0.5", b"\x01\x00\x5e\x00\x00\x05"),
        ("239.255.255.255", b"\x01\x00\x5e\x7f\xff\xff"),
        ("225.128.1.2", b"\x01\x00\x5e\x00\x01\x02"),
    ):
        h = Host()
        s = h.add(UDPSocket(64, 64))
        s.bind(7)
        h.iface.join_group(group)
        h.inject(udp(9, 7, b"x", dst=group, dmac=mac))
        assert recv(s) == b"x", group
        for bit in range(8, 48):
            near = bytearray(mac)
            near[bit >> 3] ^= 1 << (bit & 7)
            h.inject(udp(9, 7, b"x", dst=group, dmac=bytes(near)))
            assert recv(s) == EAGAIN or bytes(near) == b"\x01\x00\x5e\x00\x00\x01", (group, bit)
        h.iface.leave_group(group)
        h.inject(udp(9, 7, b"x", dst=group, dmac=mac))
        assert recv(s) == EAGAIN, group


def test_3_the_second_report_comes_after_1_to_10_s():
    late = []
    for _ in range(25):
        h = Host()
        h.iface.join_group(GROUP)
        h.advance(10000)
        first, second = reported(h)[GROUP]
        assert first == 0 and 1000 <= second < 10000, second
        late.append(second)
    assert min(late) < 4000 and max(late) > 7000, late


def test_3_queries_are_answered_within_the_time_they_give():
    """The maximum response time is in tenths of a second; from 128 on it is a float (RFC 3376)."""
    for code, more, most in (
        (1, b"", 100),
        (50, b"", 5000),
        (127, b"", 12700),
        (128, b"", 12800),
        (255, b"", 25500),
        (100, bytes(4), 10000),
        (127, bytes(4), 12700),
        (128, bytes(4), 12800),
        (130, bytes(4), 14400),
        (143, bytes(4), 24800),
        (144, bytes(4), 25500),  # 25,600, but we do not wait longer than version 2 can ask for
        (160, bytes(4), 25500),
        (255, bytes(4), 25500),
        (0, bytes(4), 0),
        (100, bytes(8), 10000),
    ):
        late = []
        h = member()
        for _ in range(15):
            start = h.t
            h.inject(igmp(QUERY, code, more=more))
            h.advance(most + 1)
            found = reported(h)
            assert list(found) == [GROUP] and len(found[GROUP]) == 1, (code, found)
            late.append(found[GROUP][0] - start)
            assert late[-1] <= most + 1, (code, late)
        assert max(late) >= most // 2 and min(late) <= most // 2 + 1, (code, more, late)
        counts(h, queries=15, malformed=0)


def test_4_a_query_of_version_1_gives_10_s_and_is_answered_so_for_400_s():
    late = []
    for _ in range(12):
        h = member()
        start = h.t
        h.inject(igmp(QUERY))
        h.advance(10001)
        p = h.expect("ip", proto=2, dst=GROUP)
        assert p.payload[0] == V1 and p.payload[1] == 0 and csum(p.payload) == 0
        late.append(p.at - start)
        h.expect_nothing()
    assert max(late) > 5000 and min(late) < 5000, late
    for after, kind in ((399999, V1), (400000, V2)):
        for leaves in (True, False):
            h = member()
            h.inject(igmp(QUERY))
            start = h.t
            h.advance(20000)
            h.clear()
            # A report is what the version is when it goes.
            h.advance(start + after - h.t - (0 if leaves or kind == V2 else 101))
            if leaves:
                h.iface.leave_group(GROUP)
                assert len(h.device.sent) == (kind == V2), after  # version 1 has no such message
            else:
                h.inject(igmp(QUERY, 1))
                h.advance(101)
                assert Packet(h.device.sent[0][1]).payload[0] == kind, after


def test_messages_of_a_length_that_there_is_not_are_no_queries():
    for more in (b"\0", b"\0\0", b"\0\0\0"):
        h = member()
        h.inject(igmp(QUERY, 10, more=more))
        h.advance(30000)
        h.expect_nothing()
        counts(h, queries=0, malformed=0)
    h = member()
    for n in range(8):
        body = (bytes([QUERY, 10, 0xEE, 0xF5]) + bytes(4))[:n]
        h.inject(ip(body, 2, dst=ALL_HOSTS, dmac=b"\x01\x00\x5e\x00\x00\x01", ttl=1))
    counts(h, queries=0, malformed=8)
    for ttl in (0, 2, 64, 255):
        h.inject(igmp(QUERY, 10, ttl=ttl))
    h.inject(igmp(QUERY, 10, bad=True))
    counts(h, queries=0, malformed=13)
    for kind in (0x10, 0x13, 0x14, 0x15, 0x17, 0x18, 0x22, 0):
        h.inject(igmp(kind, 10))
    h.advance(30000)
    h.expect_nothing()
    counts(h, queries=0, malformed=13)


def test_3_a_query_about_a_group_is_for_its_members_alone():
    for group in (GROUP, ODD):
        h = member(GROUP, ODD, OTHER)
        h.inject(igmp(QUERY, 10, group))
        h.advance(30000)
        assert list(reported(h)) == [group]
        for bit in range(28):
            near = text(u32(get32(addr(group), 0) ^ 1 << bit))
            h.inject(igmp(QUERY, 10, near))
        h.advance(30000)
        assert not h.device.sent
        counts(h, queries=29)


def test_3_a_later_query_shortens_the_wait_and_never_lengthens_it():
    for _ in range(10):
        h = member()
        start = h.t
        h.inject(igmp(QUERY, 200))
        h.t += 100
        h.inject(igmp(QUERY, 5))
        h.advance(601)
        found = reported(h)
        assert found and found[GROUP][0] - start <= 601
        h.advance(30000)
        assert not h.device.sent
        start = h.t
        h.inject(igmp(QUERY, 5))
        h.inject(igmp(QUERY, 255))
        h.advance(501)
        assert reported(h)[GROUP][0] - start <= 501
        h.advance(30000)
        assert not h.device.sent


def test_3_a_report_of_another_member_takes_ours_away():
    for kind, about, to, counts_so in (
        (V2, GROUP, GROUP, True),
        (V1, GROUP, GROUP, True),
        (V2, ODD, GROUP, False),
        (V2, GROUP, ODD, False),
        (LEAVE, GROUP, GROUP, False),
    ):
        h = member(GROUP, ODD)
        h.inject(igmp(QUERY, 10))
        mac = ODD_MAC if to == ODD else GROUP_MAC
        h.inject(igmp(kind, 0, about, dst=to, dmac=mac))
        h.advance(30000)
        assert set(reported(h)) == ({ODD} if counts_so else {GROUP, ODD}), (kind, about, to)
        # Who was last to report it leaves with a message (section 3).
        h.iface.leave_group(GROUP)
        if counts_so:
            h.expect_nothing()
        else:
            told(h, LEAVE, GROUP, dst=ALL_ROUTERS)
        counts(h, leaves=0 if counts_so else 1)
    # One that comes when nothing is due changes nothing.
    h = member()
    h.inject(igmp(V2, 0, GROUP, dst=GROUP, dmac=GROUP_MAC))
    h.iface.leave_group(GROUP)
    told(h, LEAVE, GROUP, dst=ALL_ROUTERS)


def test_groups_that_are_left_are_not_reported_any_more():
    h = member(GROUP, ODD, OTHER)
    h.iface.leave_group(ODD)
    told(h, LEAVE, ODD, dst=ALL_ROUTERS)
    h.inject(igmp(QUERY, 10))
    h.advance(30000)
    assert set(reported(h)) == {GROUP, OTHER}
    # Left while its report is due.
    h.inject(igmp(QUERY, 10))
    h.iface.leave_group(GROUP)
    h.clear()
    h.advance(30000)
    assert set(reported(h)) == {OTHER}
    # Its place is taken by the next.
    h.iface.join_group("239.200.200.200")
    h.run()
    assert set(reported(h)) == {"239.200.200.200"}
    assert h.iface._igmp.groups() == 2


def test_eight_groups_and_no_more():
    h = Host()
    names = ["239.1.%d.%d" % (i, 200 - i) for i in range(8)]
    for i in range(8):
        h.iface.join_group(names[i])
        assert h.iface._igmp.groups() == i + 1
    h.run()
    assert set(reported(h)) == set(names)
    raises(OSError, "8 groups", h.iface.join_group, "239.9.9.9")
    h.iface.join_group(names[7])  # once more is no other
    h.advance(20000)
    h.clear()
    h.inject(igmp(QUERY, 10))
    h.advance(1001)
    assert set(reported(h)) == set(names)
    h.iface.leave_group(names[3])
    h.clear()
    h.iface.join_group("239.9.9.9")
    h.run()
    assert set(reported(h)) == {"239.9.9.9"}
    for group in ("223.255.255.255", "240.0.0.0", "192.168.69.1"):
        raises(ValueError, "group", h.iface.join_group, group)
    raises(ValueError, "not joined", h.iface.leave_group, "239.77.77.77")
    raises(ValueError, "not joined", Host().iface.leave_group, GROUP)


def test_without_an_address_it_looks_each_second():
    h = Host(address=False)
    h.iface.join_group(GROUP)
    h.run()
    assert h.iface.poll_delay(h.now) == 1000
    h.advance(3000)
    h.iface.add_address(OUR + "/24")
    h.expect("arp", spa=OUR, tpa=OUR)
    h.advance(1000)
    told(h, V2)
    # Without one there is nobody who could say that it leaves.
    h.advance(20000)
    h.clear()
    h.iface.remove_address(OUR)
    h.iface.leave_group(GROUP)
    h.expect_nothing()
    counts(h, leaves=0)


def test_a_full_device_loses_no_report_and_none_is_sent_twice():
    h = Host()
    h.iface.join_group(GROUP)
    h.iface.join_group(ODD)
    h.device.refuse = EAGAIN
    h.advance(50)
    h.device.refuse = 0
    h.advance(1)
    assert sorted(reported(h)) == sorted([GROUP, ODD])
    counts(h, reports=2)
    h.advance(20000)
    found = reported(h)
    assert len(found[GROUP]) == len(found[ODD]) == 1
    # A leave that it refuses is not counted.
    h.device.refuse = EAGAIN
    h.iface.leave_group(ODD)
    counts(h, leaves=0)


def test_reporting_anew_tells_each_group_at_once_and_once_more():
    h = member(GROUP, ODD)
    at = h.t
    h.iface._igmp.report()
    h.advance(10001)
    found = reported(h)
    for group in (GROUP, ODD):
        first, second = found[group]
        assert first == at and 1000 <= second - first <= 10000
    # At a moment when the clock shows 0, which elsewhere says that nothing is due.
    h = member()
    h.t = -h.start & 0x3FFFFFFF
    h.iface.poll(h.now)
    assert h.now == 0
    h.clear()
    h.iface._igmp.report()
    h.run()
    assert list(reported(h)) == [GROUP]


def test_each_group_has_a_timer_of_its_own():
    """Reports come at their own times, and poll_delay tells the next, whatever the order."""
    for turn in range(4 if BOARD else 20):
        h = Host()
        groups = ["239.1.%d.1" % i for i in range(5)]
        for group in groups:
            h.iface.join_group(group)
        h.run()
        reported(h)
        g = h.iface._igmp._groups
        due = sorted([(g[at + 2] - h.now) & 0x3FFFFFFF for at in range(0, 20, 4)])
        assert 1000 <= due[0] and due[4] < 10000
        start = h.t
        times = []
        while len(times) < 5:
            wait = h.iface.poll_delay(h.now)
            assert h.t - start + wait == due[len(times)], (due, times, wait)
            h.t += wait
            h.run()
            for _, at in [(k, t) for k, v in reported(h).items() for t in v]:
                times.append(at - start)
        assert times == due
        assert h.iface.poll_delay(h.now) == -1


def test_a_router_of_version_1_that_is_heard_at_time_0_is_heard():
    h = Host(start=(1 << 30) - 100)
    h.iface.join_group(GROUP)
    h.advance(50)
    h.clear()
    h.t = 100
    assert h.now == 0
    h.inject(igmp(QUERY, 0, dst=ALL_HOSTS))
    h.advance(10000)
    kinds = [Packet(f).payload[0] for _, f in h.device.sent]
    assert kinds and set(kinds) == {V1}, kinds


def test_3_a_full_device_does_not_put_the_first_report_off():
    h = Host()
    h.device.refuse = EAGAIN
    h.iface.join_group(GROUP)
    h.run()
    h.device.refuse = 0
    h.advance(1)
    assert told(h, V2).at <= 1
