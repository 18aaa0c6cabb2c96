"""Boundaries of the lower layers: one more and one less than each limit that others assume."""

from harness import *
from smolmpy import ICMPSocket, RawSocket, UDPSocket


def changes(h, f):
    """What calling f changes in the counters."""
    before = h.iface.counters()
    f()
    after = h.iface.counters()
    return {k: after[k] - before[k] for k in after if after[k] != before[k]}


def host():
    h = Host()
    s = h.add(UDPSocket(512, 512, 8))
    s.bind(77)
    return h, s


def test_source_routed_packets_are_dropped_and_counted():
    # RFC 7126 section 4.3.
    h, s = host()
    for kind in (0x83, 0x89):
        f = udp(1, 77, b"x", options=bytes([1, kind, 7, 4, 10, 0, 0, 1]))
        assert changes(h, lambda f=f: h.inject(f))["ip_source_route"] == 1
        assert recv(s) == EAGAIN
    h.inject(udp(1, 77, b"x", options=bytes([0x88, 4, 0x83, 7])))
    assert recv(s) == b"x"


def test_option_lengths():
    h, s = host()
    for options in (
        b"\x07\x00\x00\x00",
        b"\x07\x01\x00\x00",
        b"\x07\x05\x00\x00",
        b"\x01\x01\x01\x07",
    ):
        got = changes(h, lambda o=options: h.inject(udp(1, 77, b"x", options=o)))
        assert got.get("ip_malformed") == 1 and recv(s) == EAGAIN, options
    for options in (
        b"\x07\x04\x00\x00",
        b"\x07\x02\x01\x01",
        b"\x00\x83\x01\x01",
        b"\x01\x01\x07\x02",
    ):
        got = changes(h, lambda o=options: h.inject(udp(1, 77, b"x", options=o)))
        assert got.get("ip_options") == 1 and recv(s) == b"x", options


def test_options_of_one_packet_do_not_colour_the_next():
    h, s = host()
    h.inject(udp(1, 9999, b"abcdefgh", options=bytes([7, 8, 4, 1, 2, 3, 4, 5])))
    f = udp(2, 9999, b"abcdefgh")
    h.inject(f)
    first = h.expect("icmp", type=3).data
    assert first[0] == 0x47 and first[20:28] == bytes([7, 8, 4, 1, 2, 3, 4, 5])
    second = h.expect("icmp", type=3).data
    assert second == f[14 : 14 + len(second)] and second[0] == 0x45


def test_header_checksum_that_carries_twice():
    h, s = host()
    for ident in range(0, 65536, 257):
        h.inject(udp(1, 77, b"x", ident=ident, tos=0xFC, ttl=255))
        assert recv(s) == b"x", ident


def test_what_must_not_be_fragmented_has_no_identification():
    # RFC 6864 section 4.1: it has no meaning there, and a count would tell how much we send.
    h, s = host()
    raw = h.add(RawSocket(64, 128, protocol=99))
    icmp = h.add(ICMPSocket(64, 128))
    t = h.add(TCPSocket(64, 64))
    t.connect(PEER, 80)
    h.iface.join_group("224.1.2.3")
    for _ in range(2):
        s.send_to(b"x", PEER, 9)
        s.send_to(b"x", "224.1.2.3", 9)
        raw.send(ip(b"x", 99, src=OUR, dst=PEER, ident=77)[14:])
        icmp.send_to(bytes(8), PEER)
    h.inject(echo(ident=5), udp(1, 9999, b"x", ident=6), tcp(1, 9, "S", ident=7))
    sent = [Packet(f, 0) for _, f in h.device.sent]
    assert {p.proto for p in sent} == {1, 2, 6, 17, 99} and len(sent) >= 12
    for p in sent:
        assert (p.ident, p.frag) == (0, 0x4000), p


def test_multicast_is_received_only_in_frames_to_a_joined_group():
    h, s = host()
    group = b"\x01\x00\x5e\x01\x02\x03"
    h.inject(udp(1, 77, b"x", dst="224.1.2.3"))
    h.inject(udp(1, 77, b"x", dst="224.1.2.3", dmac=group))
    assert recv(s) == EAGAIN
    h.iface.add_multicast(group)
    h.inject(udp(1, 77, b"x", dst="224.1.2.3", dmac=group))
    assert recv(s) == b"x"
    h.inject(udp(1, 77, b"x", dst="224.1.2.3"))
    assert recv(s) == EAGAIN


def test_vlan_tags_are_counted_apart():
    h, s = host()
    for ethertype in (0x8100, 0x88A8):
        assert changes(h, lambda e=ethertype: h.inject(eth(bytes(46), e)))["eth_vlan"] == 1
    for ethertype in (0x0600, 0x8101, 0x80FF, 0x88A7):
        assert changes(h, lambda e=ethertype: h.inject(eth(bytes(46), e)))["eth_type"] == 1
    assert changes(h, lambda: h.inject(eth(bytes(46), 0x05FF)))["eth_802_3"] == 1


def test_frames_of_14_bytes_are_no_runts():
    h, s = host()
    assert changes(h, lambda: h.inject(eth(b"")))["ip_malformed"] == 1
    assert changes(h, lambda: h.inject(eth(b"")[:13]))["eth_runt"] == 1


def test_device_that_lies_about_a_length():
    h, s = host()
    h.device.fail = 4000
    assert changes(h, lambda: h.iface.poll(h.now)).get("rx_device_errors") == 1
    h.device.fail = -90
    assert changes(h, lambda: h.iface.poll(h.now)).get("rx_oversize") == 1
    h.inject(echo())
    h.expect("icmp", type=0)


def test_what_the_device_says_of_sending_is_counted():
    h, s = host()
    for answer, name in ((0, "tx_frames"), (-5, "tx_device_errors"), (EAGAIN, "tx_device_full")):
        h.device.refuse = answer
        got = changes(h, lambda: h.inject(echo()))
        names = ("tx_frames", "tx_device_errors", "tx_device_full")
        assert got[name] == 1 and sum(got.get(k, 0) for k in names) == 1, (answer, got)


def test_frames_left_by_the_budget_are_due_at_once():
    h, s = host()
    h.device.queue = [echo() for _ in range(100)]
    h.iface.poll(h.now)
    assert h.device.queue and h.iface.poll_delay(h.now) == 0
    h.run()
    assert not h.device.queue and h.iface.poll_delay(h.now) == -1


def test_sockets_by_port_and_address():
    h = Host(sockets=16)
    h.iface.add_address("192.168.69.2/24")
    h.run()
    h.clear()
    one, two = h.add(UDPSocket(64, 64)), h.add(UDPSocket(64, 64))
    one.bind(77, OUR)
    two.bind(77, "192.168.69.2")
    third = h.add(UDPSocket(64, 64))
    raises(OSError, "", third.bind, 77, OUR)
    raises(OSError, "", third.bind, 77)
    third.bind(78, OUR)
    for dst, s in ((OUR, one), ("192.168.69.2", two)):
        h.inject(udp(1, 77, b"x", dst=dst))
        assert recv(s) == b"x"
        assert bytes(s.local_addr) == addr(dst)
    assert recv(one) == EAGAIN and recv(two) == EAGAIN


def test_many_sockets_come_off_the_table_in_any_order():
    h = Host(sockets=40)
    every = []
    for i in range(40):
        s = h.add(UDPSocket(16, 16, 1))
        s.bind(1000 + i * 8)
        every.append(s)
    order = [(i * 17) % 40 for i in range(40)]
    for n, i in enumerate(order):
        if n % 2:
            every[i].close()
        else:
            h.iface.remove(every[i])
        every[i] = None
        if n % 8 == 0:
            for k, s in enumerate(every):
                if s:
                    h.inject(udp(1, 1000 + k * 8, b"x"))
                    assert recv(s) == b"x", (n, k)
        h.inject(udp(1, 1000 + i * 8, b"x"))
    h.clear()


def test_tcp_and_udp_ports_are_apart():
    h, s = host()
    t = h.add(TCPSocket(64, 64))
    t.listen(77)
    h.inject(udp(1, 77, b"x"))
    assert recv(s) == b"x"
    s.close()
    p = Peer(h, to=77)
    p.send("S", 0)
    p.expect("SA", 0, 1)


def test_largest_messages():
    h = Host()
    i = h.add(ICMPSocket(2000, 2000))
    i.bind(1)
    message = b"\x08\x00\x00\x00\x00\x01\x00\x01" + bytes(1472)
    assert i.send_to(message, PEER) == 1480
    h.expect("icmp", type=8, data=bytes(1472))
    assert i.send_to(message + b"x", PEER) == -90
    r = h.add(RawSocket(2000, 2000, 2, protocol=99))
    packet = ip(bytes(1480), 99, src=OUR, dst=PEER)[14:]
    assert r.send(packet) == 1500
    h.expect("ip", proto=99, payload=bytes(1480))
    e = h.add(RawSocket(2000, 2000, 2, ethertype=0x88B5))
    assert e.send(eth(bytes(1500), 0x88B5, OUR_MAC, PEER_MAC)) == 1514
    h.expect("eth")
    try:
        assert e.send(eth(bytes(1501), 0x88B5)) == -90
    except (ValueError, OSError):
        pass
    h.expect_nothing()


def test_two_raw_sockets():
    h = Host()
    a = h.add(RawSocket(200, 64, 2, protocol=99))
    b = h.add(RawSocket(200, 64, 2, ethertype=None))
    h.inject(ip(b"x", 99))
    assert recv(a)[20:] == b"x" and recv(b)[34:] == b"x"
    h.iface.remove(a)
    h.inject(ip(b"y", 99))
    assert recv(b)[34:] == b"y"
    h.expect("icmp", type=3, code=2)
    h.iface.remove(b)
    h.inject(echo())
    h.expect("icmp", type=0)


def test_hop_limit_is_checked():
    h, s = host()
    for bad in (0, 256, -1, "x", None):
        try:
            s.hop_limit = bad
        except (ValueError, TypeError):
            continue
        raise AssertionError("accepted %r" % (bad,))
    for good in (1, 255):
        s.hop_limit = good
        s.send_to(b"x", PEER, 9)
        h.expect("udp", ttl=good)


def test_numbers_of_icmp_errors():
    # RFC 1122 3.2.2.1: which are about the network, which about the host.
    h = Host()
    s = h.add(UDPSocket(64, 64))
    s.connect(PEER, 9)
    want = {0: -101, 1: -113, 2: -92, 3: -111, 5: -113, 6: -101, 7: -113, 13: -113}
    for code in want:
        s.send(b"x")
        f = h.expect("udp").frame
        h.inject(icmp(3, code, data=f[14:42]))
        got = recv(s)
        assert got == want[code], (code, got)


def test_error_quoting_a_later_fragment_is_ignored():
    h = Host()
    s = h.add(UDPSocket(64, 64))
    s.connect(PEER, 9)
    s.send(b"x")
    f = bytearray(h.expect("udp").frame[14:42])
    for where, value in ((6, 1), (7, 1)):
        bad = bytearray(f)
        bad[where] = value
        h.inject(icmp(3, 3, data=bytes(bad)))
        assert recv(s) == EAGAIN
    h.inject(icmp(3, 3, data=bytes(f)))
    assert recv(s) == -111


def test_rate_of_icmp_errors():
    # A bucket: some at once, then so many a second; both bounded, neither zero.
    h = Host()
    h.inject(*[udp(1, 9999) for _ in range(300)])
    burst = h.counter("icmp_errors_tx")
    assert burst == len(h.device.sent) and 5 <= burst <= 50
    assert h.counter("icmp_errors_limited") == 300 - burst
    h.clear()
    for _ in range(100):
        h.advance(100)
        h.inject(*[udp(1, 9999) for _ in range(5)])
    n = len(h.device.sent)
    assert 10 <= n <= 200, n
    h.advance(10000)
    h.clear()
    h.inject(*[udp(1, 9999) for _ in range(300)])
    assert len(h.device.sent) == burst


def test_timers_of_many_sockets():
    # Each fires in its turn, whichever was set first.
    h = Host(sockets=8)
    out = []
    for i in range(6):
        s = h.add(TCPSocket(64, 64))
        s.listen(100 + i)
        s.ack_delay = (50, 10, 90, 30, 70, 20)[i]
        p = Peer(h, port=1000 + i, to=100 + i)
        p.send("S", 0)
        p.expect("SA", 0, 1)
        p.send("A", 1, 1)
        out.append((p, s))
    h.advance(5000)
    h.clear()
    t = h.t
    for p, s in out:
        p.send("A", 1, 1, b"x")
    h.expect_nothing()
    h.advance(200)
    got = []
    while h.device.sent:
        r = h.next()
        got.append((r.dport - 1000, r.at - t))
    assert got == [(1, 10), (5, 20), (3, 30), (0, 50), (4, 70), (2, 90)], got


def test_bad_checksum_to_a_closed_port():
    h, s = host()
    assert changes(h, lambda: h.inject(udp(1, 9, b"x", bad_csum=True)))["udp_checksum"] == 1
    h.expect_nothing()
    h.inject(udp(1, 9, b"x", no_csum=True))
    h.expect("icmp", type=3, code=3)
