"""The module `socket` over a device in memory: what a program sees of a connection, and the heap.

The clock is the scenario's, and a call that waits lets it run.
"""

try:
    import select
except ImportError:  # not every firmware has it
    select = None

import micropython

from harness import *
from harness import START, Host, Peer, raises
from locked import LOCKS, PreparedDevice
from smolmpy import net, network, socket

ADDRESS = "192.168.69.1"


def host(start=START, **pool):
    """A host whose interface is the program's; sleeping is what lets its time pass."""
    h = Host(start, sockets=12)

    def wait(device, ms):
        h.t += 1 if ms < 0 or ms > 1 else ms

    socket.setup(h.iface, lambda: h.now, wait, **pool)
    return h


def errno(f, *args):
    try:
        f(*args)
    except OSError as e:
        return e.args[0]  # CPython has no e.errno for an OSError of a number alone
    return 0


def accepted(h, timeout=0, **syn):
    """A connection that a peer has opened: (listener, socket, peer)."""
    server = socket.socket()
    server.bind(("", 80))
    server.listen(1)
    server.settimeout(0)
    p = Peer(h, to=80)
    p.send("S", 0, mss=1460)
    p.expect("SA", 0, 1)
    p.seq = p.ack = 1
    assert errno(server.accept) == 11
    p.send("A")
    s, addr = server.accept()
    assert addr == ("192.168.69.100", 49500), addr
    s.settimeout(timeout)
    return server, s, p


def test_constructor():
    host()
    assert errno(socket.socket, socket.AF_INET6) == 97
    assert errno(socket.socket, socket.AF_INET, socket.SOCK_RAW) == 93
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    assert s.fileno() == -1
    assert s.makefile("rwb", 0) is s
    with s as t:
        assert t is s
    assert errno(s.recv, 1) == 9
    s.close()


def test_getaddrinfo():
    host()
    wanted = [(2, 1, 0, "", ("10.1.2.3", 80))]
    assert socket.getaddrinfo("10.1.2.3", 80) == wanted
    assert socket.getaddrinfo("10.1.2.3", "80", 0, socket.SOCK_STREAM) == wanted
    assert socket.getaddrinfo("0.0.0.0", 1)[0][4] == ("0.0.0.0", 1)
    net.resolve = None
    assert errno(socket.getaddrinfo, "name.test", 80) == -2
    net.resolve = lambda name: bytes((10, 1, 2, 3)) if name == "name.test" else None
    try:
        assert socket.getaddrinfo("name.test", 80) == wanted
    finally:
        net.resolve = None


def test_calls_without_a_connection():
    host()
    s = socket.socket()
    assert errno(s.recv, 1) == 107
    assert errno(s.send, b"x") == 107
    assert errno(s.accept) == 22
    assert errno(s.getpeername) == 107
    s.listen(1)
    assert errno(s.recv, 1) == 107
    assert errno(s.connect, ("192.168.69.100", 80)) == 22
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    assert errno(u.listen) == 95
    assert errno(u.accept) == 95
    u.settimeout(0)
    assert errno(u.send, b"x") == 89
    assert errno(u.recv, 1) == 11
    assert u.read(1) is None


def test_a_port_is_taken_once():
    host()
    a, b = socket.socket(), socket.socket()
    a.bind((ADDRESS, 80))
    assert errno(b.bind, ("", 80)) == 98
    a.close()
    b.bind(("", 80))
    assert errno(b.bind, ("192.168.69.9", 81)) == 0
    assert errno(b.listen) == 99  # not an address of ours


def test_poll_bits():
    if select is None or not hasattr(select.poll(), "ipoll"):
        return "SKIP select is the host's, or not there"
    h = host()
    s = socket.socket()
    poll = select.poll()
    poll.register(s)
    assert poll.poll(0)[0][1] == 20
    s.setblocking(False)
    assert errno(s.connect, ("192.168.69.100", 80)) == 115
    assert errno(s.connect, ("192.168.69.100", 80)) == 114
    assert poll.poll(0) == []
    p = Peer(h, port=80)
    p.expect("S", 0)
    p.send("SA", 0, 1, mss=1460)
    assert poll.poll(0) == [(s, 4)]
    p.seq = p.ack = 1
    p.send("A", data=b"abc")
    assert poll.poll(0)[0][1] == 5
    assert s.recv(2) == b"ab"
    p.seq += 3
    p.send("R")
    assert poll.poll(0)[0][1] == 29
    assert s.recv(9) == b"c"
    assert poll.poll(0)[0][1] == 29
    assert errno(s.recv, 1) == 104
    assert poll.poll(0)[0][1] == 21
    assert s.recv(1) == b"" and errno(s.send, b"x") == 32
    s.close()
    assert s.ioctl(3, 5) == 32
    assert s.ioctl(10, 0) < 0 and s.ioctl(99, 0) < 0


def test_reading_without_waiting():
    h = host()
    server, s, p = accepted(h)
    assert s.read(5) is None and s.readline() is None and s.read() is None
    assert s.readinto(bytearray(4)) is None
    assert errno(s.recv, 1) == 11
    p.send("PA", data=b"one\ntwo")
    assert s.recv(2, socket.MSG_PEEK) == b"on"
    assert s.readline() == b"one\n"
    assert s.readline() == b"two"
    p.seq += 7
    p.send("PA", data=b"12345")
    buf = bytearray(8)
    assert s.readinto(buf, 3) == 3 and buf == b"123\0\0\0\0\0"
    assert s.recv_into(buf) == 2
    p.seq += 5
    p.send("FA")
    assert s.read(4) == b"" and s.read() == b"" and s.readline() == b""
    assert s.recv(1) == b"" and s.readinto(buf) == 0


def test_waiting_ends_with_the_timeout():
    h = host()
    server, s, p = accepted(h, 0.25)
    for f in (s.recv, s.read):
        before = h.t
        assert errno(f, 1) == 110
        assert 250 <= h.t - before <= 300, h.t - before
    server.settimeout(1)
    before = h.t
    assert errno(server.accept) == 110
    assert 1000 <= h.t - before <= 1100


def test_writing():
    h = host(tcp=2, tx=16)
    server, s, p = accepted(h)
    h.device.sent.clear()
    assert s.write("h\xe9") == 3
    p.expect("A", data=b"h\xc3\xa9")
    p.ack += 3
    p.send("A")
    assert s.write(b"0123456789", 4) == 4
    assert s.write(b"0123456789", 4, 2) == 2
    assert s.write(b"0123456789abcdef") == 10
    assert s.write(b"x") is None
    assert errno(s.send, b"x") == 11
    assert errno(s.sendall, b"xy") == 11
    assert bytes(s._sock._tx) != bytes(16)


def test_clients_wait_their_turn():
    """A backlog of two: two clients are kept, a third hears nothing and comes again."""
    h = host(tcp=3)
    server = socket.socket()
    server.bind(("", 80))
    server.listen(2)
    server.setblocking(False)
    peers = []
    for n in range(3):
        p = Peer(h, port=50000 + n, to=80)
        p.send("S", 0, mss=1460)
        if n < 2:
            p.expect("SA", 0, 1)
            p.seq = p.ack = 1
            p.send("A")
        peers.append(p)
    h.expect_nothing()
    assert server.accept()[1][1] == 50000
    p = peers[2]
    p.send("S", 0, mss=1460)
    p.expect("SA", 0, 1)
    p.seq = p.ack = 1
    p.send("A")
    first = server.accept()
    assert first[1][1] == 50001
    assert server.accept()[1][1] == 50002
    assert errno(server.accept) == 11
    first[0].close()


def test_close_is_orderly_and_the_socket_comes_back():
    h = host(tcp=1)
    s = socket.socket()
    assert errno(socket.socket) == 12
    s.setblocking(False)
    errno(s.connect, ("192.168.69.100", 80))
    p = Peer(h, port=80)
    p.expect("S", 0)
    p.send("SA", 0, 1, mss=1460)
    p.expect("A", 1, 1)
    p.seq = p.ack = 1
    s.write(b"bye")
    s.close()
    s.close()
    p.expect("A", 1, data=b"bye")
    p.expect("FA", 4)
    assert errno(socket.socket) == 12
    p.ack = 5
    p.send("FA")
    p.expect("A", 5, 2)
    # In TIME-WAIT, which whoever needs the place need not wait for.
    t = socket.socket()
    t.setblocking(False)
    assert errno(t.connect, ("192.168.69.100", 81)) == 115
    Peer(h, port=81).expect("S", 0)


def test_what_is_not_read_is_reset_after_our_last_byte():
    h = host()
    server, s, p = accepted(h)
    p.send("PA", data=b"never read")
    s.write(b"answer")
    s.close()
    p.expect("A", 1, data=b"answer")
    p.expect("FA", 7)
    p.ack = 8
    p.seq = 11
    p.send("A")
    h.t += 1100
    net.pump()
    net.pump()
    p.expect("RA", 8)


def test_linger_zero_resets():
    h = host()
    server, s, p = accepted(h)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    s.close()
    p.expect("RA", 1)


def test_options():
    h = host()
    server, s, p = accepted(h)
    tcp = s._sock
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert not tcp.nagle
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    assert tcp.keep_alive == 7200000
    s.setsockopt(socket.SOL_SOCKET, 77, 1)
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    raises(ValueError, "group", u.setsockopt, 0, socket.IP_ADD_MEMBERSHIP, bytes(8))


def test_steady_state_allocates_nothing():
    h = host(1000)
    server, s, p = accepted(h)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    now = h.now
    net.ticks_ms = lambda: now  # the arithmetic of the other clock allocates
    frames = [
        p.frame("PA", 1 + 16 * n, 1, data=b"0123456789abcdef") for n in range(4)
    ]  # each for one turn
    device = h.iface.device = PreparedDevice()
    buf = bytearray(16)

    def turn(frame):
        device.frame = frame
        assert s.ioctl(3, 5) == 5
        assert s.readinto(buf, 8) == 8
        assert s.readinto(buf) == 8
        assert s.readinto(buf) is None
        assert s.write(b"x") == 1
        assert s.write(b"xyz", 2) == 2
        assert s.ioctl(3, 5) == 4
        assert server.ioctl(3, 1) == 0

    turn(frames[0])
    if not LOCKS:
        return "SKIP nothing is locked: bytecode kernels allocate, and CPython has no heap to lock"
    micropython.heap_lock()
    try:
        for frame in frames:
            if frame is not frames[0]:
                turn(frame)
    finally:
        micropython.heap_unlock()
    assert device.sent > 3


def test_network_ipconfig():
    h = Host(address=False)
    lan = network.LAN(h.device, mac="02-00-00-00-00-01", ticks_ms=lambda: h.now, wait=len)
    assert network.LAN() is lan
    assert not lan.active() and not lan.isconnected() and lan.status() == 1
    lan.active(True)
    assert lan.active() and lan.status() == 2
    assert lan.ifconfig() == ("0.0.0.0", "0.0.0.0", "0.0.0.0", "0.0.0.0")
    lan.ifconfig((ADDRESS, "255.255.255.0", "192.168.69.100", "192.168.69.53"))
    assert lan.ifconfig() == (ADDRESS, "255.255.255.0", "192.168.69.100", "192.168.69.53")
    assert lan.isconnected() and lan.status() == 3
    lan.ipconfig(addr4="10.0.0.7/8", gw4="10.0.0.1")
    assert lan.ipconfig("addr4") == ("10.0.0.7", "255.0.0.0")
    assert lan.ipconfig("gw4") == "10.0.0.1"
    assert lan.ipconfig("dhcp4") is False and lan.ipconfig("has_dhcp4") is False
    assert lan.iface.addresses() == ["10.0.0.7/8"]
    network.ipconfig(dns="10.0.0.53")
    assert network.ipconfig("dns") == "10.0.0.53"
    raises(ValueError, "unexpected key", lan.ipconfig, "addr5")
    raises(TypeError, "", lan.ipconfig, "addr4", gw4="10.0.0.1")
    raises(ValueError, "mask", lan.ifconfig, (ADDRESS, "255.0.255.0", ADDRESS, ADDRESS))
    raises(ValueError, "unknown status param", lan.status, "rssi")
    lan.active(False)
    assert not lan.active() and lan.status() == 1
    assert errno(socket.socket().connect, ("10.0.0.1", 80)) == 113
    net.dns = []


def test_network_config():
    h = Host(address=False)
    lan = network.LAN(h.device, mac=b"\x02\0\0\0\0\1", ticks_ms=lambda: h.now, wait=len)
    assert lan.config("mac") == b"\x02\0\0\0\0\1"
    lan.config(mac=b"\x02\0\0\0\0\2")
    assert lan.config("mac") == b"\x02\0\0\0\0\2"
    raises(ValueError, "mac", lan.config, mac=b"\x02\0\0")
    raises(ValueError, "unknown config param", lan.config, "essid")
    raises(ValueError, "unknown config param", lan.config, essid="x")
    raises(TypeError, "", lan.config, "mac", mac=b"")
    network.hostname("board")
    assert network.hostname() == lan.config("hostname") == "board"
    raises(ValueError, "hostname", network.hostname, "x" * 33)
    network.hostname("smolmpy")
    lan.active(True)
    assert errno(lambda: lan.config(mac=b"\x02\0\0\0\0\3")) == 16
    h.device.sent.clear()
    lan.send_ethernet(b"\xff" * 14)
    assert h.device.sent[0][1] == b"\xff" * 14 + bytes(46)
