"""An interface on a loopback device talks to itself; sockets that are quiet."""

from harness import *
from smolmpy import Interface, TCPSocket, UDPSocket
from smolmpy.phy.loopback import LoopbackDevice


def alone():
    iface = Interface(LoopbackDevice(), OUR_MAC)
    iface.add_address("127.0.0.1/8")
    return iface


def rounds(iface, now, n=10):
    for _ in range(n):
        now += 20
        iface.poll(now)
    return now


def test_datagram_to_oneself():
    iface = alone()
    a = iface.add(UDPSocket(64, 64))
    a.bind(7)
    b = iface.add(UDPSocket(64, 64))
    assert b.send_to(b"hello", "127.0.0.1", 7) == 5
    rounds(iface, 0)
    buf = bytearray(64)
    assert a.recv_into(buf) == 5 and bytes(buf[:5]) == b"hello"
    assert bytes(a.remote_addr) == b"\x7f\0\0\1" and a.remote_port == b.local_port
    assert a.send_to(b"back", a.remote_addr, a.remote_port) == 4
    rounds(iface, 1000)
    assert b.recv_into(buf) == 4 and bytes(buf[:4]) == b"back"


def test_stream_to_oneself():
    iface = alone()
    server = iface.add(TCPSocket(100, 100))
    server.listen(80)
    client = iface.add(TCPSocket(100, 100))
    client.connect("127.0.0.1", 80)
    now = rounds(iface, 0)
    assert server.state == client.state == TCPSocket.ESTABLISHED
    data = bytes(range(256)) * 4
    got = b""
    sent = 0
    buf = bytearray(64)
    while len(got) < len(data):
        if sent < len(data):
            n = client.send(data[sent : sent + 80])
            sent += n if n > 0 else 0
        now = rounds(iface, now, 2)
        n = server.recv_into(buf)
        if n > 0:
            got += bytes(buf[:n])
    assert got == data
    client.close()
    now = rounds(iface, now)
    assert server.recv_into(buf) == 0
    server.close()
    rounds(iface, now)
    assert server.state == TCPSocket.CLOSED and client.state == TCPSocket.TIME_WAIT


def test_every_address_of_ours_can_be_reached():
    """A second one in the same network, and one elsewhere, by stream and datagram."""
    iface = Interface(LoopbackDevice(), OUR_MAC)
    for cidr in ("192.168.69.1/24", "192.168.69.2/24", "10.0.0.5/31", "127.0.0.1/8"):
        iface.add_address(cidr)
    now = rounds(iface, 0)
    server = iface.add(TCPSocket(64, 64))
    client = iface.add(TCPSocket(64, 64))
    a = iface.add(UDPSocket(64, 64))
    b = iface.add(UDPSocket(64, 64))
    a.bind(7)
    buf = bytearray(64)
    for where in ("192.168.69.1", "192.168.69.2", "10.0.0.5", "127.0.0.1"):
        server.listen(80)
        assert client.connect(where, 80) == 0
        now = rounds(iface, now)
        assert server.state == client.state == TCPSocket.ESTABLISHED, where
        assert bytes(server.local_addr) == addr(where) == bytes(client.remote_addr)
        assert client.send(b"hello") == 5
        now = rounds(iface, now)
        assert server.recv_into(buf) == 5 and server.send(b"you") == 3
        now = rounds(iface, now)
        assert client.recv_into(buf) == 3
        client.abort()
        now = rounds(iface, now)
        assert server.state == TCPSocket.CLOSED
        assert b.send_to(b"datagram", where, 7) == 8
        now = rounds(iface, now)
        assert a.recv_into(buf) == 8, where
        assert a.reply(b"back") == 4
        now = rounds(iface, now)
        assert b.recv_into(buf) == 4 and bytes(b.remote_addr) == addr(where), where
    for where in ("192.168.69.255", "10.255.255.255", "127.255.255.255"):
        if where[:3] != "10.":
            raises(ValueError, "broadcast", client.connect, where, 80)


def test_quiet_connection_drops_further_syns():
    h, p, s = established()
    q = Peer(h, port=2000)
    q.send("S", 0)
    h.expect("tcp", flags="RA", dport=2000)
    s.quiet = True
    q.send("S", 0)
    h.expect_nothing()
    assert h.iface.counter("tcp_syn_dropped") == 1
    # Another port is another matter.
    h.inject(tcp(2001, 6970, "S", 5))
    h.expect("tcp", flags="RA", dport=2001)
    s.quiet = False
    q.send("S", 0)
    h.expect("tcp", flags="RA", dport=2000)


def test_last_ack_leaves_however_short_time_wait_is():
    for ms in (0, 1):
        h, p, s = established(time_wait=ms)
        s.close()
        p.expect("FA", 1, 1)
        p.send("A", 1, 2)
        p.send("FA", 1, 2)
        p.expect("A", 2, 2)
        h.advance(10)
        check = s.state
        assert check == TCPSocket.CLOSED, s.state_name
        h.expect_nothing()
