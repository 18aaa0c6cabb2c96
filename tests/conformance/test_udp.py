"""UDP (RFC 768, RFC 1122 section 4.1): sockets, rings, checksums, filters."""

from harness import *
from smolmpy import ICMPSocket, UDPSocket

EDESTADDRREQ = -89


def host(rx=256, tx=256, packets=4, port=6969):
    h = Host()
    s = h.add(UDPSocket(rx, tx, packets))
    if port:
        s.bind(port)
    return h, s


def test_datagram_and_answer():
    h, s = host()
    assert recv(s) == EAGAIN and not s.can_recv() and s.can_send()
    h.inject(udp(5000, 6969, b"hello"))
    assert s.can_recv()
    assert recv(s) == b"hello"
    assert bytes(s.remote_addr) == addr(PEER) and s.remote_port == 5000
    assert s.send_to(b"yo dawg", s.remote_addr, s.remote_port) == 7
    h.expect("udp", sport=6969, dport=5000, src=OUR, dst=PEER, data=b"yo dawg")
    h.expect_nothing()


def test_all_small_sizes_both_ways():
    h, s = host(2048, 2048)
    for n in list(range(70)) + [1471, 1472]:
        data = bytes((i * 7 + n) & 255 for i in range(n))
        h.inject(udp(5000, 6969, data))
        buf = bytearray(2000)
        assert s.recv_into(buf) == n and bytes(buf[:n]) == data, n
        assert s.send_to(data, PEER, 5000) == n
        h.expect("udp", data=data)


def test_empty_datagram():
    h, s = host()
    h.inject(udp(5000, 6969))
    assert s.can_recv()
    assert s.recv_into(bytearray(4)) == 0
    assert s.recv_into(bytearray(4)) == EAGAIN
    assert s.send_to(b"", PEER, 1) == 0
    h.expect("udp", data=b"")


def test_order_is_kept():
    h, s = host()
    h.inject(*[udp(5000 + i, 6969, bytes([i] * (i + 1))) for i in range(4)])
    for i in range(4):
        assert recv(s) == bytes([i] * (i + 1)) and s.remote_port == 5000 + i


def test_bad_checksum_is_dropped_and_counted():
    h, s = host()
    before = h.iface.counters()
    h.inject(udp(5000, 6969, b"hello", bad_csum=True))
    assert recv(s) == EAGAIN
    h.expect_nothing()
    after = h.iface.counters()
    assert [k for k in after if "checksum" in k and after[k] == before[k] + 1], after


def test_zero_checksum_means_none():
    h, s = host()
    h.inject(udp(5000, 6969, b"hello", no_csum=True))
    assert recv(s) == b"hello"


def test_sent_checksum_is_never_zero():
    # RFC 768: a sum of zero is sent as all ones. Find the payload for which it is zero.
    h, s = host()
    for data in (b"\x00\x00", b"\x00\x00\x01\x02\x03"):
        s.send_to(data, PEER, 5000)
        f = h.expect("udp").frame
        word = get16(f, 40)
        data = u16(word) + data[2:]
        s.send_to(data, PEER, 5000)
        f = h.expect("udp", data=data).frame
        assert get16(f, 40) == 0xFFFF, get16(f, 40)
        # And received, where the sender did the same.
        h.inject(udp(5000, 6969, data))
        assert recv(s) == data


def test_contradictory_lengths_are_dropped():
    h, s = host()
    for length in (0, 1, 7, 12, 14, 600, 65535):
        h.inject(udp(5000, 6969, b"hello"[:3], length=length))
    for n in range(8):
        h.inject(ip(udp(5000, 6969)[34 : 34 + n], 17))
    assert recv(s) == EAGAIN
    h.expect_nothing()


def test_ip_payload_longer_than_the_datagram():
    # The UDP length rules where it is shorter than the IP payload; or the packet is dropped.
    h, s = host()
    h.inject(ip(udp(5000, 6969, b"abc")[34:] + b"junk", 17))
    assert recv(s) in (b"abc", EAGAIN)


def test_port_zero_destination_is_dropped():
    h, s = host()
    h.inject(udp(5000, 0, b"x"))
    assert recv(s) == EAGAIN


def test_truncation_is_reported():
    h, s = host()
    h.inject(udp(5000, 6969, b"0123456789"), udp(5000, 6969, b"next"))
    buf = bytearray(4)
    assert s.recv_into(buf) == 10 and bytes(buf) == b"0123"
    assert recv(s) == b"next"


def test_receive_ring_exhaustion_drops_the_newest_and_counts():
    h, s = host(64, 64, 4)
    before = h.iface.counters()
    h.inject(*[udp(5000, 6969, bytes([i])) for i in range(7)])
    for i in range(4):
        assert recv(s) == bytes([i])
    assert recv(s) == EAGAIN
    h.expect_nothing()
    after = h.iface.counters()
    assert 3 in [after[k] - before[k] for k in after], after
    h.inject(udp(5000, 6969, b"again"))
    assert recv(s) == b"again"


def test_receive_ring_bytes_exhaustion():
    h, s = host(64, 64, 8)
    h.inject(*[udp(5000, 6969, bytes([i] * 25)) for i in range(5)])
    assert recv(s) == bytes([0] * 25)
    assert recv(s) == bytes([1] * 25)
    assert recv(s) == EAGAIN
    h.inject(udp(5000, 6969, bytes(65)))
    assert recv(s) == EAGAIN
    h.inject(udp(5000, 6969, bytes(60)))
    assert recv(s) == bytes(60)


def test_ring_wraps_for_ever():
    h, s = host(64, 64, 4)
    for i in range(200):
        data = bytes((i + k) & 255 for k in range(i % 41))
        h.inject(udp(5000, 6969, data))
        got = recv(s)
        assert (got or b"") == data, (i, got)
        assert s.send_to(data, PEER, 9) == len(data)
        h.expect("udp", data=data)


def test_send_ring_exhaustion():
    h, s = host(64, 64, 4)
    sent = 0
    while s.send_to(b"0123456789", PEER, 9) == 10:
        sent += 1
        assert sent < 10
    assert sent == 4 and not s.can_send()
    assert s.send_to(b"0123456789", PEER, 9) == EAGAIN
    h.run()
    assert s.can_send()
    for _ in range(4):
        h.expect("udp", data=b"0123456789")
    h.expect_nothing()


def test_datagram_larger_than_the_ring_or_the_mtu():
    h, s = host(64, 64)
    assert s.send_to(bytes(65), PEER, 9) == -90
    assert s.send_to(bytes(64), PEER, 9) == 64
    h.expect("udp", data=bytes(64))
    h, s = host(4000, 4000)
    assert s.send_to(bytes(1473), PEER, 9) == -90
    assert s.send_to(bytes(1472), PEER, 9) == 1472
    h.expect("udp", data=bytes(1472))


def test_buffers_of_the_caller():
    h = Host()
    s = h.add(UDPSocket(bytearray(64), bytearray(64)))
    s.bind(6969)
    h.inject(udp(1, 6969, b"hello"))
    assert recv(s) == b"hello"


def test_connect_filters():
    h, s = host()
    s.connect(PEER, 5000)
    h.inject(udp(5000, 6969, b"yes"))
    assert recv(s) == b"yes"
    h.inject(udp(5001, 6969, b"no"), udp(5000, 6969, b"no", src="192.168.69.101"))
    assert recv(s) == EAGAIN
    h.expect("icmp", type=3, code=3, dst=PEER)
    h.expect("icmp", type=3, code=3, dst="192.168.69.101")
    assert s.send(b"abc") == 3
    h.expect("udp", sport=6969, dport=5000, data=b"abc")


def test_connected_socket_is_preferred():
    h, s = host()
    t = h.add(UDPSocket(64, 64))
    t.bind(6970)
    u = h.add(UDPSocket(64, 64))
    u.connect(PEER, 5000)
    h.run()
    port = u.local_port
    assert port >= 1024
    h.inject(udp(5000, port, b"u"), udp(5000, 6970, b"t"), udp(5000, 6969, b"s"))
    assert recv(u) == b"u" and recv(t) == b"t" and recv(s) == b"s"


def test_send_before_connect():
    h, s = host()
    assert s.send(b"x") == EDESTADDRREQ


def test_bind_is_implied():
    h, s = host(port=0)
    s.send_to(b"x", PEER, 9)
    p = h.expect("udp")
    assert p.sport >= 1024
    assert s.local_port == p.sport
    h.inject(udp(9, p.sport, b"y"))
    assert recv(s) == b"y"
    s.send_to(b"x", PEER, 9)
    h.expect("udp", sport=p.sport)


def test_bind_port_zero_picks_different_ports():
    h = Host()
    seen = []
    for _ in range(6):
        s = h.add(UDPSocket(64, 64))
        s.bind(0)
        assert s.local_port >= 1024 and s.local_port not in seen
        seen.append(s.local_port)


def test_bind_conflict():
    h, s = host()
    t = h.add(UDPSocket(64, 64))
    raises(OSError, "", t.bind, 6969)
    t.bind(6970)
    s.close()
    u = h.add(UDPSocket(64, 64))
    u.bind(6969)


def test_bind_to_one_address():
    h, s = host(port=0)
    h.iface.add_address("192.168.69.2/24")
    h.run()
    h.clear()
    s.bind(6969, "192.168.69.2")
    h.inject(udp(1, 6969, b"a", dst="192.168.69.2"), udp(1, 6969, b"b", dst=OUR))
    assert recv(s) == b"a" and recv(s) == EAGAIN
    h.expect("icmp", type=3, code=3)
    s.send_to(b"x", PEER, 9)
    h.expect("udp", src="192.168.69.2")


def test_answers_come_from_where_the_question_went():
    """RFC 1122 section 4.1.3.5; one that was sent to all is answered from our own address."""
    h, s = host()
    other = "192.168.69.2"
    h.iface.add_address(other + "/24")
    h.iface.add_address("10.0.0.1/8")
    h.run()
    h.clear()
    for dst, src in (
        (OUR, OUR),
        (other, other),
        ("10.0.0.1", "10.0.0.1"),
        ("192.168.69.255", OUR),
        ("255.255.255.255", OUR),
        (other, other),
    ):
        dmac = OUR_MAC if src == dst else b"\xff" * 6
        h.inject(udp(5000, 6969, b"a", dst=dst, dmac=dmac))
        assert recv(s) == b"a", dst
        assert s.reply(b"b") == 1
        h.expect("udp", src=src, dst=PEER, dport=5000)
        assert s.send_to(b"c", s.remote_addr, s.remote_port) == 1
        h.expect("udp", src=src, dst=PEER, dport=5000)
    # One that would come from what is ours no longer comes from the address that fits.
    h.iface.remove_address(other)
    assert s.reply(b"d") == 1
    h.expect("udp", src=OUR, dport=5000)
    # As does what is no answer.
    assert s.send_to(b"e", "10.0.0.9", 5000) == 1
    h.expect("arp", spa="10.0.0.1", tpa="10.0.0.9")


def test_closed_socket_is_gone_and_reusable():
    h, s = host()
    h.inject(udp(1, 6969, b"old"))
    s.close()
    h.inject(udp(1, 6969, b"x"))
    h.expect("icmp", type=3, code=3)
    s.bind(6969)
    assert recv(s) == EAGAIN
    h.inject(udp(1, 6969, b"new"))
    assert recv(s) == b"new"


def test_no_answer_without_an_interface():
    h, s = host()
    h.inject(udp(5000, 6969, b"a"))
    assert recv(s) == b"a"
    h.iface.remove(s)
    raises(OSError, "iface.add", s.reply, b"b")
    h.add(s)
    s.bind(6969)
    h.inject(udp(5000, 6969, b"c"))
    assert recv(s) == b"c"
    assert s.reply(b"d") == 1
    h.expect("udp", dst=PEER, dport=5000)


def test_removed_socket_is_silent():
    h, s = host()
    h.iface.remove(s)
    h.inject(udp(1, 6969, b"x"))
    h.expect("icmp", type=3, code=3)


def test_no_route():
    h, s = host()
    h.iface.gateway = None
    assert s.send_to(b"x", FAR, 9) == -101
    h.expect_nothing()


def test_poll_delay_of_a_waiting_datagram():
    h, s = host()
    assert h.iface.poll_delay(h.now) == -1
    s.send_to(b"x", PEER, 9)
    assert h.iface.poll_delay(h.now) == 0
    h.expect("udp")
    assert h.iface.poll_delay(h.now) == -1


def test_fairness_between_sockets():
    # A socket with a full ring does not keep the others from sending.
    h, s = host(1024, 1024, 16)
    t = h.add(UDPSocket(64, 64))
    for i in range(16):
        s.send_to(b"s", PEER, 9)
    t.send_to(b"t", PEER, 9)
    h.run()
    assert b"t" in [h.next().data for _ in range(17)]


def test_caller_errors():
    h, s = host(port=0)
    raises(ValueError, "port", s.bind, 65536)
    raises(ValueError, "port", s.bind, -1)
    raises(ValueError, "addr", s.bind, 1, "1.2.3")
    raises(ValueError, "addr", s.send_to, b"x", "1.2.3.4.5", 1)
    raises(ValueError, "port", s.send_to, b"x", PEER, 0)
    raises(ValueError, "port", s.connect, PEER, 65536)
    raises((ValueError, TypeError), "", UDPSocket, -1, 10)
    raises((ValueError, TypeError), "", UDPSocket, "abc", 10)
    raises(TypeError, "", s.send_to, 5, PEER, 9)
    h.expect_nothing()


def test_reply():
    h, s = host()
    assert s.reply(b"x") == -89
    h.inject(udp(5000, 6969, b"one"), udp(5001, 6969, b"two", src=FAR, smac=GATEWAY_MAC))
    assert recv(s) == b"one" and s.reply(b"1") == 1
    assert recv(s) == b"two" and s.reply(b"22") == 2
    h.expect("udp", dst=PEER, dport=5000, sport=6969, src=OUR, data=b"1")
    h.expect("udp", dst=FAR, dport=5001, data=b"22")
    # A question to everybody is answered from our own address.
    h.inject(udp(5002, 6969, b"all", dst="192.168.69.255", dmac=BROADCAST_MAC))
    assert recv(s) == b"all" and s.reply(b"me") == 2
    h.expect("udp", src=OUR, dst=PEER, dport=5002, data=b"me")
    assert s.reply(bytes(1473)) == -90


def test_handler_answers_in_place():
    h, s = host()
    seen = []

    def handler(socket, payload, n):
        seen.append((bytes(payload[:n]), bytes(socket.remote_addr), socket.remote_port))
        if payload[0] == ord("q"):
            return 0
        payload[0:3] = memoryview(b"new")
        return n if n > 3 else 3

    s.handler = handler
    h.inject(udp(5000, 6969, b"question"), udp(5001, 6969, b"quiet"), udp(5002, 6969, b"q"))
    assert [x[0] for x in seen] == [b"question", b"quiet", b"q"]
    assert seen[0][1] == addr(PEER) and seen[0][2] == 5000
    h.expect_nothing()
    h.inject(udp(5000, 6969, b"Question"), udp(5002, 6969, b"x"))
    h.expect("udp", src=OUR, sport=6969, dst=PEER, dport=5000, data=b"newstion", dmac=PEER_MAC)
    h.expect("udp", dport=5002, data=b"new")
    assert recv(s) == EAGAIN
    # One to everybody is answered from our own address; a bad one is not handed over.
    n = len(seen)
    h.inject(udp(5003, 6969, b"all", dst="192.168.69.255", dmac=BROADCAST_MAC))
    h.expect("udp", src=OUR, dst=PEER, dport=5003, data=b"new")
    h.inject(udp(5000, 6969, b"Question", bad_csum=True))
    assert len(seen) == n + 1
    h.expect_nothing()
    s.handler = None
    h.inject(udp(5000, 6969, b"as before"))
    assert recv(s) == b"as before"
    raises(TypeError, "handler", setattr, s, "handler", 5)


def test_handler_writes_a_full_datagram():
    h, s = host(4, 4)
    s.handler = lambda socket, payload, n: 1472
    h.inject(udp(5000, 6969, b"a"))
    assert len(h.expect("udp", dport=5000).data) == 1472


def test_a_handler_leaves_nothing_in_the_ring():
    h, s = host(packets=3)
    for turn in range(4):
        h.inject(udp(5000, 6969, b"a"), udp(5000, 6969, b"b"))
        assert recv(s) == b"a"
        s.handler = lambda socket, payload, n: 0
        assert recv(s) == EAGAIN and not s.can_recv()
        h.inject(udp(5000, 6969, b"c"))
        s.handler = None
        assert recv(s) == EAGAIN
    h.inject(*[udp(5000, 6969, b"%d" % i) for i in range(3)])
    assert [recv(s) for _ in range(4)] == [b"0", b"1", b"2", EAGAIN]


def test_flush_sends_at_once():
    h = Host()
    s = h.add(UDPSocket(64, 64))
    other = h.add(UDPSocket(64, 64))
    assert s.flush() == 0
    s.send_to(b"now", addr(PEER), 9)
    s.send_to(b"too", addr(PEER), 9)
    assert s.flush() == 2
    assert h.iface.poll_delay(h.now) == -1
    h.expect("udp", data=b"now")
    h.expect("udp", data=b"too")
    # What others have to send waits for its turn.
    other.send_to(b"later", addr(PEER), 9)
    s.send_to(b"sooner", addr(PEER), 9)
    assert s.flush() == 1
    assert h.iface.poll_delay(h.now) == 0
    h.expect("udp", data=b"sooner")
    h.expect("udp", data=b"later")
    h.device.refuse = EAGAIN
    s.send_to(b"held", addr(PEER), 9)
    assert s.flush() == 0
    h.device.refuse = 0
    h.expect("udp", data=b"held")
    for lost in (UDPSocket(64, 64), ICMPSocket(64, 64)):
        raises(OSError, "add", lost.flush)
