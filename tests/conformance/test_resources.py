"""Nothing is used up: after hundreds of connections, sockets and neighbors all is as before."""

from harness import *
from smolmpy import UDPSocket

ROUNDS = 300


def test_passive_connections():
    h, s = listener(rx=64, tx=64, time_wait=0)
    for i in range(ROUNDS):
        p = Peer(h, port=1024 + i, iss=(i * 1000003) & M32)
        p.send("S", 0)
        p.expect("SA", 0, 1)
        p.send("A", 1, 1, b"x")
        assert recv(s) == b"x"
        how = i % 4
        if how == 0:
            p.send("R", 2)
        elif how == 1:
            s.abort()
        elif how == 2:
            p.send("FA", 2, 1)
            s.close()
            h.advance(20)
            p.send("A", 3, 2)
        else:
            s.close()
            h.run()
            p.send("FA", 2, 2)
            h.advance(20)
        h.run()
        h.clear()
        assert s.state == TCPSocket.CLOSED, (i, s.state_name)
        assert recv(s) <= 0
        s.listen(6969)
    h.advance(100000)
    h.expect_nothing()
    assert h.iface.poll_delay(h.now) == -1


def test_active_connections_on_picked_ports():
    h = Host()
    s = h.add(TCPSocket(64, 64))
    ports = []
    for i in range(ROUNDS):
        assert s.connect(PEER, 80) == 0
        p = Peer(h, port=80, iss=i)
        p.expect("S", 0)
        ports.append(s.local_port)
        if i % 2:
            p.send("RA", 0, 1)
            assert recv(s) == -111
        else:
            p.send("SA", 0, 1)
            p.expect("A", 1, 1)
            s.abort()
            h.run()
        h.clear()
    assert len(set(ports)) > ROUNDS // 2


def test_sockets_come_and_go():
    h = Host(sockets=3)
    for i in range(ROUNDS):
        s = h.add(UDPSocket(32, 32, 1))
        s.bind(77)
        t = h.add(TCPSocket(32, 32))
        t.listen(77)
        h.inject(udp(1, 77, b"x"))
        assert recv(s) == b"x"
        p = Peer(h, port=1000 + i, to=77)
        p.send("S", 0)
        p.expect("SA", 0, 1)
        if i % 2:
            p.send("A", 1, 1)
        h.iface.remove(s)
        h.iface.remove(t)
        h.clear()
    h.inject(udp(1, 77, b"x"))
    h.expect("icmp", type=3)
    h.expect_idle()


def test_a_removed_socket_may_join_another_interface():
    a, b = Host(), Host()
    s = a.add(TCPSocket(64, 64))
    s.listen(80)
    a.iface.remove(s)
    b.add(s)
    s.listen(81)
    p = Peer(b, to=81)
    p.send("S", 0)
    p.expect("SA", 0, 1)


def test_many_neighbors():
    h = Host(neighbor=False, neighbors=4)
    s = h.add(UDPSocket(64, 64))
    for i in range(ROUNDS):
        a = "192.168.69.%d" % (2 + i % 90)
        mac = bytes([2, 0, 0, 0, 1, i & 255])
        s.send_to(b"x", a, 9)
        q = h.next()
        if q.kind == "arp":
            h.inject(arp(2, spa=a, sha=mac))
            q = h.next()
            assert q.kind == "udp" and q.dmac == mac
        h.clear()
        h.advance(1100)
        h.clear()


def test_announcement_waits_for_the_device():
    h = Host()
    h.device.refuse = EAGAIN
    h.iface.add_address("192.168.69.9/24")
    h.run()
    h.device.refuse = 0
    h.advance(1000)
    h.expect("arp", op=1, spa="192.168.69.9", tpa="192.168.69.9")


def test_silent_neighbor_does_not_hold_a_datagram_for_ever():
    h = Host(neighbor=False)
    s = h.add(UDPSocket(64, 64))
    t = h.add(UDPSocket(64, 64))
    s.send_to(b"x", PEER, 9)
    h.advance(60000)
    n = len(h.device.sent)
    assert 2 <= n <= 61, n
    # Either it was given up, or it is still asked for once a second; others are not disturbed.
    h.iface.add_neighbor("192.168.69.50", PEER_MAC)
    h.clear()
    t.send_to(b"y", "192.168.69.50", 9)
    h.run()
    assert any(Packet(f).kind == "udp" for at, f in h.device.sent)
