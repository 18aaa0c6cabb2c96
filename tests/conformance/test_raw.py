"""Raw sockets: whole IP packets of one protocol, whole frames."""

from harness import *
from smolmpy import RawSocket


def test_protocol_socket_receives_whole_packets():
    h = Host()
    s = h.add(RawSocket(512, 512, 4, protocol=47))
    f = ip(b"payload", 47, options=b"\x01\x01\x01\x00")
    h.inject(f, ip(b"other", 48))
    assert s.can_recv()
    assert recv(s) == f[14:]
    assert recv(s) == EAGAIN


def test_protocol_socket_does_not_see_bad_packets():
    h = Host()
    s = h.add(RawSocket(512, 512, 4, protocol=47))
    h.inject(ip(b"x", 47, bad_ip=True), ip(b"x", 47, dst="192.168.69.9"))
    assert recv(s) == EAGAIN


def test_protocol_socket_sends():
    h = Host()
    s = h.add(RawSocket(512, 512, 4, protocol=47))
    body = bytearray(ip(b"payload", 47, src="0.0.0.0", dst=PEER, ttl=9)[14:])
    body[10] = body[11] = 0
    assert s.send(body) == len(body)
    h.expect("ip", src=OUR, dst=PEER, proto=47, ttl=9, payload=b"payload", dmac=PEER_MAC)
    far = bytearray(ip(b"p", 47, src=OUR, dst=FAR)[14:])
    assert s.send(far) == len(far)
    h.expect("ip", src=OUR, dst=FAR, dmac=GATEWAY_MAC)


def test_frame_socket_of_one_type():
    h = Host()
    s = h.add(RawSocket(512, 512, 4, ethertype=0x88B5))
    f = eth(b"experiment", 0x88B5)
    h.inject(f, eth(b"experiment", 0x88B6), echo())
    assert recv(s) == f
    assert recv(s) == EAGAIN
    h.expect("icmp", type=0)
    out = PEER_MAC + OUR_MAC + b"\x88\xb5hello"
    assert s.send(out) == len(out)
    p = h.expect("eth", ethertype=0x88B5, dmac=PEER_MAC)
    assert p.frame.startswith(out)


def test_frame_socket_of_every_type_sees_all_and_takes_nothing_away():
    h = Host()
    s = h.add(RawSocket(2048, 512, 8, ethertype=None))
    frames = [arp(1), echo(), udp(1, 9999)]
    h.inject(*frames)
    for f in frames:
        assert recv(s) == f
    h.expect("arp", op=2)
    h.expect("icmp", type=0)
    h.expect("icmp", type=3)


def test_ring_exhaustion_and_truncation():
    h = Host()
    s = h.add(RawSocket(128, 128, 2, protocol=47))
    h.inject(*[ip(bytes([i] * 10), 47) for i in range(4)])
    small = bytearray(22)
    assert s.recv_into(small) == 30 and small[20:] == b"\x00\x00"
    assert recv(s)[20:] == bytes([1] * 10)
    assert recv(s) == EAGAIN


def test_send_that_is_no_packet():
    h = Host()
    s = h.add(RawSocket(512, 512, 4, protocol=47))
    for bad in (b"", b"\x45", bytes(20), ip(b"x", 47)[14:30]):
        try:
            assert s.send(bad) < 0, bad
        except (ValueError, OSError):
            pass
    h.expect_nothing()
