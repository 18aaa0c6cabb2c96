"""ICMPv4 (RFC 792, RFC 1122 section 3.2.2): echo, errors sent and received, the socket."""

from harness import *
from smolmpy import ICMPSocket, RawSocket, UDPSocket


def packet(frame):
    """The IP packet of a frame."""
    return frame[14:]


def sent_error(code, frame, kind=3, quote=28, rest=b"\x00\x00\x00\x00", **kw):
    """An ICMP error about a frame that the stack sent, quoting `quote` bytes of it."""
    return icmp(kind, code, rest, packet(frame)[:quote], **kw)


def errors(h):
    n = 0
    while h.device.sent:
        n += 1
        h.expect("icmp", type=3)
    return n


def test_echo():
    h = Host()
    for n in (0, 1, 2, 3, 7, 8, 55, 56, 57, 1000, 1471, 1472):
        data = bytes(i & 255 for i in range(n))
        h.inject(echo(0xBEEF, 0x1234, data))
        h.expect(
            "icmp",
            type=0,
            code=0,
            src=OUR,
            dst=PEER,
            rest=b"\xbe\xef\x12\x34",
            data=data,
            dmac=PEER_MAC,
        )
    h.expect_nothing()


def test_echo_checksum_corner_cases():
    # Payloads that bring the sum to 0x0000, 0xFFFF and to a carry on either side.
    h = Host()
    for word in (0x0000, 0xF7FF, 0xF7FE, 0xF800, 0xFFFF, 0xFFFE, 0x0800, 0x07FF, 0x0801):
        h.inject(echo(0, 0, u16(word)))
        h.expect("icmp", type=0, data=u16(word))


def test_echo_answers_many():
    h = Host()
    h.inject(*[echo(1, i) for i in range(40)])
    for i in range(40):
        h.expect("icmp", type=0, rest=b"\x00\x01" + u16(i))
    h.expect_nothing()


def test_echo_of_a_far_host_returns_by_the_gateway():
    h = Host()
    h.inject(echo(src=FAR, smac=GATEWAY_MAC))
    h.expect("icmp", type=0, dst=FAR, dmac=GATEWAY_MAC)


def test_echo_with_bad_checksum_is_dropped():
    h = Host()
    h.inject(echo(bad_csum=True))
    h.expect_nothing()


def test_truncated_messages_are_dropped():
    h = Host()
    for n in range(8):
        body = b"\x08\x00\xf7\xff\x00\x00\x00\x00"[:n]
        h.inject(ip(body, 1))
    h.expect_nothing()


def test_echo_to_broadcast_and_multicast_is_not_answered():
    # RFC 1122 3.2.2.6 lets a host choose; silence does not amplify.
    h = Host()
    h.inject(echo(dst="192.168.69.255", dmac=BROADCAST_MAC))
    h.inject(echo(dst="255.255.255.255", dmac=BROADCAST_MAC))
    h.inject(echo(dst="224.0.0.1", dmac=b"\x01\x00\x5e\x00\x00\x01"))
    h.expect_nothing()


def test_unknown_types_are_silently_discarded():
    # RFC 1122 3.2.2.
    h = Host()
    for kind in (0, 1, 2, 4, 5, 6, 7, 9, 10, 13, 15, 17, 42, 255):
        h.inject(icmp(kind, 0, data=bytes(32)))
    h.inject(echo(kind=0))
    h.expect_nothing()


def test_port_unreachable():
    # RFC 1122 4.1.3.1; the quote is at least the header and 8 bytes.
    h = Host()
    f = udp(1000, 9999, b"hello world")
    h.inject(f)
    p = h.expect("icmp", type=3, code=3, dst=PEER, src=OUR, rest=b"\x00\x00\x00\x00")
    assert len(p.data) >= 28 and packet(f).startswith(p.data[: len(packet(f))]), p.data
    assert len(p.data) + 28 <= 576
    h.expect_nothing()


def test_port_unreachable_quotes_options():
    h = Host()
    f = udp(1000, 9999, b"hello world", options=b"\x01" * 8)
    h.inject(f)
    p = h.expect("icmp", type=3, code=3)
    assert len(p.data) >= 36 and packet(f).startswith(p.data[:39]), p.data


def test_protocol_unreachable():
    h = Host()
    f = ip(b"12345678abc", 99)
    h.inject(f)
    p = h.expect("icmp", type=3, code=2, dst=PEER)
    assert len(p.data) >= 28 and packet(f).startswith(p.data[: len(packet(f))])


def test_raw_socket_takes_the_protocol():
    h = Host()
    s = h.add(RawSocket(512, 512, 4, protocol=99))
    f = ip(b"12345678", 99)
    h.inject(f)
    h.expect_nothing()
    assert recv(s) == packet(f)


def test_no_error_about_broadcast_multicast_or_strange_sources():
    # RFC 1122 3.2.2.
    h = Host()
    for kw in (
        {"dst": "192.168.69.255", "dmac": BROADCAST_MAC},
        {"dst": "255.255.255.255", "dmac": BROADCAST_MAC},
        {"dst": "224.0.0.1", "dmac": b"\x01\x00\x5e\x00\x00\x01"},
        {"dmac": BROADCAST_MAC},
        {"src": "0.0.0.0"},
        {"src": "127.0.0.1"},
        {"src": "224.0.0.1"},
        {"src": "240.0.0.1"},
        {"src": "192.168.69.255"},
        {"src": OUR},
    ):
        h.inject(udp(1000, 9999, **kw))
        h.inject(ip(b"12345678", 99, **kw))
        assert not h.device.sent, kw


def test_no_error_about_fragments():
    h = Host()
    for frag in (0x2000, 0x0005, 0x2005):
        h.inject(udp(1000, 9999, frag=frag), ip(b"12345678", 99, frag=frag))
    h.expect_nothing()


def test_no_error_about_errors():
    h = Host()
    for kind in (3, 4, 5, 11, 12):
        h.inject(icmp(kind, 1, data=packet(udp(9999, 1000, src=OUR, dst=PEER))))
    h.expect_nothing()


def test_no_error_about_a_bad_datagram():
    h = Host()
    h.inject(udp(1000, 9999, b"xy", bad_csum=True))
    h.expect_nothing()


def test_errors_are_limited_in_rate():
    h = Host()
    for _ in range(10):
        h.inject(*[udp(1000, 9999) for _ in range(20)])
    first = errors(h)
    assert 1 <= first <= 100, first
    h.inject(*[udp(1000, 9999) for _ in range(100)])
    assert errors(h) < 50
    h.advance(10000)
    h.clear()
    h.inject(udp(1000, 9999))
    assert errors(h) == 1


def test_rate_limit_does_not_touch_echo():
    h = Host()
    h.inject(*[udp(1000, 9999) for _ in range(200)])
    h.clear()
    h.inject(echo())
    h.expect("icmp", type=0)


def udp_pair(connect=True):
    h = Host()
    s = h.add(UDPSocket(256, 256))
    t = h.add(UDPSocket(256, 256))
    s.bind(5000)
    t.bind(5001)
    if connect:
        s.connect(PEER, 9)
        t.connect(PEER, 9)
    s.send_to(b"x", PEER, 9)
    return h, s, t, h.expect("udp", sport=5000).frame


def test_errors_reach_the_connected_udp_socket():
    # RFC 1122 4.1.3.3.
    for code, errno in ((3, -111), (1, -113), (0, None), (2, None), (13, None)):
        h, s, t, sent = udp_pair()
        h.inject(sent_error(code, sent))
        got = recv(s)
        assert isinstance(got, int) and got < 0 and got != EAGAIN, (code, got)
        assert errno is None or got == errno, (code, got)
        assert recv(s) == EAGAIN, "reported twice"
        assert recv(t) == EAGAIN, "reported to another socket"
        h.expect_nothing()


def test_error_from_a_router_counts_too():
    h, s, t, sent = udp_pair()
    h.inject(sent_error(1, sent, src=GATEWAY, smac=GATEWAY_MAC))
    assert recv(s) == -113


def test_unconnected_udp_socket_is_not_disturbed():
    h, s, t, sent = udp_pair(False)
    h.inject(sent_error(3, sent))
    assert recv(s) == EAGAIN


def test_errors_that_do_not_fit_are_dropped():
    h, s, t, sent = udp_pair()
    other = udp(5000, 10, b"x", src=OUR, dst=PEER)
    h.inject(
        sent_error(3, sent, bad_csum=True),
        sent_error(3, other),
        sent_error(3, udp(5002, 9, b"x", src=OUR, dst=PEER)),
        sent_error(3, udp(5000, 9, b"x", src=OUR, dst="192.168.69.5")),
        sent_error(3, udp(5000, 9, b"x", src=PEER, dst=PEER)),
        sent_error(3, tcp(5000, 9, "S", src=OUR, dst=PEER)),
    )
    for quote in range(28):
        h.inject(sent_error(3, sent, quote=quote))
    bad = bytearray(sent)
    bad[14] = 0x46  # options that are not there
    h.inject(sent_error(3, bytes(bad)))
    bad[14] = 0x41
    h.inject(sent_error(3, bytes(bad)))
    bad[14] = 0x65
    h.inject(sent_error(3, bytes(bad)))
    assert recv(s) == EAGAIN
    h.expect_nothing()


def test_source_quench_is_ignored():
    # RFC 6633.
    h, s, t, sent = udp_pair()
    h.inject(sent_error(0, sent, kind=4))
    assert recv(s) == EAGAIN


def test_redirect_is_not_obeyed_blindly():
    h, s, t, sent = udp_pair()
    h.inject(sent_error(1, sent, kind=5, rest=addr("192.168.69.200")))
    s.send_to(b"y", PEER, 9)
    h.expect("udp", dmac=PEER_MAC)


def ping_socket():
    h = Host()
    s = h.add(ICMPSocket(512, 512))
    s.bind(0x1234)
    return h, s


def request(seq=1, data=b"abc"):
    return b"\x08\x00\x00\x00\x12\x34" + u16(seq) + data


def test_socket_sends_and_receives_its_echo():
    h, s = ping_socket()
    assert s.send_to(request(), PEER) == 11
    h.expect("icmp", type=8, code=0, rest=b"\x12\x34\x00\x01", data=b"abc", dst=PEER, ttl=64)
    assert not s.can_recv()
    h.inject(echo(0x1234, 1, b"abc", kind=0))
    assert s.can_recv()
    got = recv(s)
    assert got[:2] == b"\x00\x00" and got[4:] == b"\x12\x34\x00\x01abc", got
    assert bytes(s.remote_addr) == addr(PEER)
    assert recv(s) == EAGAIN


def test_socket_sees_no_reply_of_another_identifier():
    h, s = ping_socket()
    h.inject(echo(0x1235, 1, kind=0), echo(0x1234, 1, kind=0, bad_csum=True))
    assert recv(s) == EAGAIN


def test_request_is_answered_with_a_socket_open():
    h, s = ping_socket()
    h.inject(echo(0x1234, 1))
    h.expect("icmp", type=0)
    assert recv(s) == EAGAIN


def test_socket_receives_the_errors_about_its_requests():
    h, s = ping_socket()
    s.send_to(request(), PEER)
    sent = h.expect("icmp", type=8).frame
    h.inject(sent_error(1, sent, src=GATEWAY, smac=GATEWAY_MAC))
    got = recv(s)
    assert got[:2] == b"\x03\x01" and got[8:36] == sent[14:42], got
    other = bytearray(sent)
    other[38] ^= 1
    h.inject(sent_error(1, bytes(other)))
    assert recv(s) == EAGAIN


def test_socket_hop_limit_and_time_exceeded():
    h, s = ping_socket()
    s.hop_limit = 1
    s.send_to(request(), FAR)
    sent = h.expect("icmp", type=8, ttl=1, dst=FAR).frame
    h.inject(sent_error(0, sent, kind=11, src=GATEWAY, smac=GATEWAY_MAC))
    assert recv(s)[:2] == b"\x0b\x00"
    assert bytes(s.remote_addr) == addr(GATEWAY)


def test_socket_ring_exhaustion():
    h = Host()
    s = h.add(ICMPSocket(64, 64, 2))
    s.bind(1)
    h.inject(*[echo(1, i, b"ab", kind=0) for i in range(5)])
    assert recv(s)[6:8] == u16(0) and recv(s)[6:8] == u16(1)
    assert recv(s) == EAGAIN
    n = 0
    while s.send_to(b"\x08\x00\x00\x00\x00\x01\x00\x00", PEER) == 8:
        n += 1
        assert n < 10
    assert n == 2


def test_socket_truncation_is_reported():
    h, s = ping_socket()
    h.inject(echo(0x1234, 1, bytes(100), kind=0))
    small = bytearray(10)
    assert s.recv_into(small) == 108
    assert recv(s) == EAGAIN
