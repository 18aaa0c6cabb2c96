"""IGMP (RFC 2236): what the stack tells of the groups it is in, to routers of each version."""

import service_frames
from harness import *
from locked import PreparedDevice, under_lock
from smolmpy import Interface, UDPSocket

GROUP = "239.1.2.3"
GROUP_MAC = b"\x01\x00\x5e\x01\x02\x03"
OTHER = "224.0.0.251"
OTHER_MAC = b"\x01\x00\x5e\x00\x00\xfb"
ALL_HOSTS = "224.0.0.1"
ALL_HOSTS_MAC = b"\x01\x00\x5e\x00\x00\x01"
ALL_ROUTERS = "224.0.0.2"
QUERY, V1, V2, LEAVE = 0x11, 0x12, 0x16, 0x17


def igmp(kind, code=0, group="0.0.0.0", more=b"", dst=None, dmac=None, bad=False, **kw):
    body = service_frames.igmp(kind, code, group, more, bad)
    kw["ttl"] = kw.get("ttl", 1)
    kw["options"] = kw.get("options", b"\x94\x04\0\0")
    return ip(body, 2, dst=dst or ALL_HOSTS, dmac=dmac or ALL_HOSTS_MAC, **kw)


def told(h, kind, group=GROUP, dst=None, dmac=None):
    p = h.expect("ip", proto=2, ttl=1, src=OUR, options=b"\x94\x04\0\0", tos=0xC0)
    dst = dst or group
    assert p.dst == dst and p.dmac[:3] == b"\x01\x00\x5e", p
    assert p.dmac[3:] == bytes([addr(dst)[1] & 127]) + addr(dst)[2:]
    b = p.payload
    assert len(b) == 8 and csum(b) == 0
    assert b[0] == kind and b[1] == 0 and text(b[4:8]) == group, (b, kind)
    return p


def member(*groups):
    h = Host()
    for group in groups or (GROUP,):
        h.iface.join_group(group)
    h.advance(11000)
    h.clear()
    return h


def counts(h, **fields):
    got = h.iface._igmp.stats()
    for name in fields:
        assert got[name] == fields[name], (name, got)


def test_joining_reports_twice():
    h = Host()
    h.iface.join_group(GROUP)
    first = told(h, V2)
    h.expect_nothing()
    h.advance(10000)
    second = told(h, V2)
    assert first.at == 0 and 1000 <= second.at <= 10000
    h.advance(100000)
    h.expect_nothing()
    counts(h, reports=2)


def test_frames_to_the_group_are_received():
    h = Host()
    s = h.add(UDPSocket(256, 256))
    s.bind(6969)
    frame = udp(5000, 6969, b"x", dst=GROUP, dmac=GROUP_MAC)
    h.inject(frame)
    assert recv(s) == EAGAIN
    h.iface.join_group(GROUP)
    h.inject(frame)
    assert recv(s) == b"x"
    h.iface.leave_group(GROUP)
    h.inject(frame)
    assert recv(s) == EAGAIN


def test_joining_is_counted():
    h = member()
    h.iface.join_group(GROUP)
    h.expect_nothing()
    h.iface.leave_group(GROUP)
    h.expect_nothing()
    h.iface.leave_group(GROUP)
    told(h, LEAVE, dst=ALL_ROUTERS)
    raises(ValueError, "addr", h.iface.leave_group, GROUP)


def test_groups_that_share_an_ethernet_address():
    twin = "224.1.2.3"
    h = member(GROUP, twin)
    s = h.add(UDPSocket(256, 256))
    s.bind(6969)
    h.iface.leave_group(twin)
    h.clear()
    h.inject(udp(5000, 6969, b"x", dst=GROUP, dmac=GROUP_MAC))
    assert recv(s) == b"x"


def test_a_general_query_is_answered_after_a_random_time():
    delays = set()
    h = member(GROUP, OTHER)
    for _ in range(10):
        start = h.t
        h.inject(igmp(QUERY, 50))
        h.advance(5000)
        got = {}
        for _ in range(2):
            p = h.next()
            got[p.dst] = p.at - start
        h.expect_nothing()
        assert set(got) == {GROUP, OTHER}
        for group in got:
            assert 0 <= got[group] <= 5000
            delays.add(got[group] // 500)
    assert len(delays) > 5, delays
    counts(h, queries=10)


def test_a_query_for_one_group():
    h = member(GROUP, OTHER)
    h.inject(igmp(QUERY, 10, GROUP, dst=GROUP, dmac=GROUP_MAC))
    h.advance(1000)
    told(h, V2)
    h.advance(60000)
    h.expect_nothing()
    h.inject(igmp(QUERY, 10, "239.9.9.9"))
    h.advance(60000)
    h.expect_nothing()


def test_a_second_query_can_only_hasten_the_answer():
    h = member()
    for _ in range(10):
        start = h.t
        h.inject(igmp(QUERY, 250))
        h.inject(igmp(QUERY, 5))
        h.advance(25000)
        assert told(h, V2).at - start <= 500
        h.expect_nothing()


def test_another_members_report_is_enough():
    h = member()
    h.inject(igmp(QUERY, 100))
    h.inject(igmp(V2, 0, GROUP, dst=GROUP, dmac=GROUP_MAC))
    h.advance(20000)
    h.expect_nothing()
    # And as it was the last, we need not say that we leave.
    h.iface.leave_group(GROUP)
    h.expect_nothing()


def test_a_report_of_version_1_counts_too_and_one_for_another_group_does_not():
    h = member()
    h.inject(igmp(QUERY, 100), igmp(V2, 0, "239.9.9.9", dst=GROUP, dmac=GROUP_MAC))
    h.advance(11000)
    told(h, V2)
    h.inject(igmp(QUERY, 100), igmp(V1, 0, GROUP, dst=GROUP, dmac=GROUP_MAC))
    h.advance(20000)
    h.expect_nothing()


def test_a_router_of_version_1():
    h = member()
    h.inject(igmp(QUERY, 0, options=b""))
    h.advance(10100)
    told(h, V1)
    # It does not know of leaving.
    h.iface.leave_group(GROUP)
    h.expect_nothing()
    h.iface.join_group(GROUP)
    told(h, V1)
    h.advance(11000)
    h.clear()
    # After 400 s without it version 2 is spoken again.
    h.advance(400000)
    h.inject(igmp(QUERY, 10))
    h.advance(2000)
    told(h, V2)
    h.iface.leave_group(GROUP)
    told(h, LEAVE, dst=ALL_ROUTERS)


def test_a_router_of_version_3():
    h = member()
    h.inject(igmp(QUERY, 20, more=bytes(4)))
    h.advance(2000)
    told(h, V2)
    # The time as mantissa and exponent: 16 << 3 tenths of a second, and more than we wait.
    for code, most in ((0x80, 12800), (0xFF, 25500)):
        late = 0
        for _ in range(12):
            start = h.t
            h.inject(igmp(QUERY, code, more=bytes(4)))
            h.advance(most + 1)
            late = max(late, told(h, V2).at - start)
        assert most // 3 < late <= most + 1, late


def test_bad_messages_are_dropped_and_counted():
    h = member()
    bad = (
        igmp(QUERY, 10, bad=True),
        igmp(QUERY, 10, ttl=2),
        ip(b"\x11\x0a\xee\xf5", 2, dst=ALL_HOSTS, dmac=ALL_HOSTS_MAC, ttl=1),
        ip(b"", 2, dst=ALL_HOSTS, dmac=ALL_HOSTS_MAC, ttl=1),
    )
    for frame in bad:
        h.inject(frame)
    counts(h, malformed=len(bad), queries=0)
    h.inject(igmp(QUERY, 10, more=b"\0\0"), igmp(0x99, 10), igmp(0x22, 0))
    h.advance(30000)
    h.expect_nothing()
    counts(h, queries=0)


def test_a_switch_without_an_address_asks():
    h = member()
    h.inject(igmp(QUERY, 10, src="0.0.0.0"))
    h.advance(1100)
    told(h, V2)
    h.inject(udp(5000, 6969, b"x", src="0.0.0.0", dst=ALL_HOSTS, dmac=ALL_HOSTS_MAC))
    h.expect_nothing()


def test_all_hosts_is_never_reported():
    h = Host()
    h.iface.join_group(ALL_HOSTS)
    h.inject(igmp(QUERY, 10))
    h.advance(20000)
    assert not [f for _, f in h.device.sent if f[30:34] == addr(ALL_HOSTS)]


def test_without_an_address_the_report_waits():
    h = Host(address=False)
    h.iface.join_group(GROUP)
    h.advance(30000)
    h.expect_nothing()
    h.iface.add_address(OUR + "/24")
    h.advance(1000)
    h.expect("arp")
    told(h, V2)


def test_a_full_device_delays_the_report():
    h = Host()
    h.device.refuse = EAGAIN
    h.iface.join_group(GROUP)
    h.run()
    h.device.refuse = 0
    h.advance(10)
    told(h, V2)


def test_reporting_anew():
    h = member()
    h.iface._igmp.report()
    told(h, V2)
    h.advance(10000)
    told(h, V2)


def test_without_groups_igmp_is_no_protocol_here():
    h = Host()
    before = h.counter("ip_protocol")
    h.inject(igmp(QUERY, 10))
    h.expect_nothing()
    assert h.counter("ip_protocol") == before + 1


def test_mistakes_of_the_caller():
    h = Host()
    raises(ValueError, "addr", h.iface.leave_group, GROUP)
    raises(ValueError, "addr", h.iface.join_group, "10.0.0.1")
    for i in range(8):
        h.iface.join_group("239.0.0.%d" % i)
    raises(OSError, "8 groups", h.iface.join_group, GROUP)
    h.iface.leave_group("239.0.0.3")
    h.iface.join_group(GROUP)


class Asking:
    def __init__(self):
        self.device = PreparedDevice()
        self.iface = Interface(self.device, OUR_MAC)
        self.iface.add_address(OUR + "/24")
        self.iface.join_group(GROUP)
        self.iface.join_group(OTHER)
        self.query = bytearray(igmp(QUERY, 10))
        self.t = START

    def __call__(self):
        for _ in range(50):
            self.device.frame = self.query
            for _ in range(15):
                self.t = (self.t + 100) & 0x3FFFFFFF
                self.iface.poll(self.t)


def test_nothing_is_allocated():
    asking = Asking()
    asking()
    asking.device.sent = 0
    under_lock(asking)
    assert asking.device.sent == 100, asking.device.sent
