"""examples/server.py: what it answers, and what nobody can make it answer."""

import example
from harness import *
from locked import cable

server = example.load("server")
OTHER = "192.168.69.2"
OTHER_MAC = b"\x02\x00\x00\x00\x00\x02"


def serving():
    h = Host()
    h.device.sent = []
    server.MAC = OUR_MAC
    s = server.Server(h.device)
    h.iface = s.iface
    h.iface.add_neighbor(PEER, PEER_MAC)
    s.step(h.now)
    h.clear()
    return h, s


def asked(h, s, *frames):
    """What it sends for these frames."""
    h.device.queue += frames
    for _ in range(5):
        s.step(h.now)
    sent = [Packet(f) for _, f in h.device.sent]
    h.clear()
    return sent


def test_clients_are_answered():
    h, s = serving()
    for port in (1024, 5000, 6968, 6970, 65535):
        for data in (b"", b"x", b"hello", b"yo dawf", b"yo dawg!", bytes(64)):
            (p,) = asked(h, s, udp(port, 6969, data))
            assert (p.kind, p.dst, p.dport, p.sport, p.data) == (
                "udp",
                PEER,
                port,
                6969,
                b"yo dawg",
            )


def test_what_is_sent_to_all_is_not():
    h, s = serving()
    for dst in ("255.255.255.255", "192.168.69.255"):
        assert not asked(h, s, udp(5000, 6969, b"x", dst=dst, dmac=BROADCAST_MAC)), dst
    assert not asked(h, s, udp(5000, 6969, b"x", dst="224.0.0.1", dmac=b"\x01\0\x5e\0\0\1"))
    assert len(asked(h, s, udp(5000, 6969, b"x"))) == 1


def test_servers_are_not():
    h, s = serving()
    for port in (6969, 7, 13, 17, 19, 53, 123, 1023):
        assert not asked(h, s, udp(port, 6969, b"hello")), port
    assert not asked(h, s, udp(5000, 6969, b"yo dawg"))


def test_two_of_them_do_not_talk_for_ever():
    a, b = cable()
    server.MAC, server.ADDRESS = OUR_MAC, OUR
    one = server.Server(a)
    server.MAC, server.ADDRESS = "02-00-00-00-00-02", OTHER
    two = server.Server(b)
    server.MAC, server.ADDRESS = OUR_MAC, OUR
    h = Host()
    a.mtu = b.mtu = 1500
    for port in (6969, 40000):
        # To the one, in the name of the other.
        frame = udp(port, 6969, b"hello", src=OTHER, smac=OTHER_MAC)
        for i in range(len(frame)):
            a.ring[(a.first + a.count) % a.slots][i] = frame[i]
        a.lengths[(a.first + a.count) % a.slots] = len(frame)
        a.count += 1
        before = a.sent + b.sent
        for _ in range(50):
            h.t += 100
            one.step(h.now)
            two.step(h.now)
        # ARP, an answer, and that nobody is at that port.
        assert a.sent + b.sent - before <= 8, (port, a.sent, b.sent)
        before = a.sent + b.sent
        for _ in range(50):
            h.t += 100
            one.step(h.now)
            two.step(h.now)
        assert a.sent + b.sent == before, port
