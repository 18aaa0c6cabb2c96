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
from smolmpy import net, socket

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
    net.dns = []
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


class Calls:
    """The callback of a socket (option 20): `act` is what the program does in it."""

    def __init__(self, s, act=None):
        self.calls = 0
        self.act = act
        self.socket = s
        s.setsockopt(socket.SOL_SOCKET, 20, self.call)

    def call(self, s):
        assert s is self.socket
        self.calls += 1
        if self.act:
            self.act(s)

    def count(self):
        """How often it has been called since the last time; the scheduler has its turn first."""
        for _ in range(20):
            pass
        calls, self.calls = self.calls, 0
        return calls


def watched(act=None, **kw):
    """A connection with a callback; (host, socket, peer, callback)."""
    h = host(**kw)
    server, s, p = accepted(h)
    return h, s, p, Calls(s, act)


def text(p, data):
    p.send("PA", data=data)
    p.seq += len(data)
    net.pump()


def test_callback_for_each_request():
    if not hasattr(micropython, "schedule"):
        return "SKIP no scheduler"
    h, s, p, c = watched(lambda s: lines.append(s.readline()))
    lines = []
    net.pump()
    assert c.count() == 0
    for n in range(5):
        text(p, b"line %d\n" % n)
        assert c.count() == 1, n
        net.pump()
        assert c.count() == 0
    # Two at once: each has its call, although the program takes only one in it.
    text(p, b"two\nlines\n")
    assert c.count() == 2
    assert lines[-2:] == [b"two\n", b"lines\n"]
    net.pump()
    assert c.count() == 0


def test_callback_for_what_comes_while_it_answers():
    """Of the same length as the last one, and in the midst of its call."""
    if not hasattr(micropython, "schedule"):
        return "SKIP no scheduler"
    got = []

    def answer(s):
        got.append(s.readline())
        if len(got) < 5:
            text(p, b"again %d\n" % len(got))
        s.sendall(b"answer\n")

    h, s, p, c = watched(answer)
    text(p, b"again 0\n")
    assert c.count() == 5, got
    assert got == [b"again %d\n" % n for n in range(5)]
    assert errno(s.recv, 1) == 11


def test_callback_that_takes_nothing_is_not_called_again():
    if not hasattr(micropython, "schedule"):
        return "SKIP no scheduler"
    h, s, p, c = watched()
    text(p, b"one")
    assert c.count() == 1
    net.pump()
    net.pump()
    assert s.recv(2, socket.MSG_PEEK) == b"on"
    net.pump()
    assert c.count() == 0
    text(p, b"two")  # there is more now
    assert c.count() == 1
    assert s.recv(3) == b"one"
    net.pump()  # what is left after something has been taken
    assert c.count() == 1
    assert s.recv(3) == b"two"
    net.pump()
    assert c.count() == 0


def test_callback_at_the_end():
    """FIN and reset are told once, however often the program reads the end."""
    if not hasattr(micropython, "schedule"):
        return "SKIP no scheduler"
    for reads in (False, True):
        got = []
        h, s, p, c = watched((lambda s, got=got: got.append(s.recv(9))) if reads else None)
        p.send("FA")
        net.pump()
        assert c.count() == 1
        net.pump()
        net.pump()
        assert c.count() == 0
        assert got == [b""] * reads
    # With the last text in one segment: once for each, since the program has read only one.
    got = []
    h, s, p, c = watched(lambda s: got.append(s.recv(9)))
    p.send("FPA", data=b"last")
    net.pump()
    net.pump()
    assert c.count() == 2 and got == [b"last", b""]
    # And once for both where it reads to the end.
    got = []
    h, s, p, c = watched(lambda s: got.append(s.read()))
    p.send("FPA", data=b"last")
    net.pump()
    net.pump()
    assert c.count() == 1 and got == [b"last"]
    errors = []
    h, s, p, c = watched(lambda s: errors.append(errno(s.recv, 9)))
    p.send("R")
    net.pump()
    net.pump()
    assert c.count() == 1 and errors == [104]
    s.close()
    s.setsockopt(socket.SOL_SOCKET, 20, None)  # as uftpd does
    net.pump()
    assert c.count() == 0
    assert errno(s.setsockopt, socket.SOL_SOCKET, 20, c.call) == 9


def test_callback_that_has_been_forestalled():
    """What the program has read meanwhile is not told of."""
    if not hasattr(micropython, "schedule"):
        return "SKIP no scheduler"
    h = host()
    server, s, p = accepted(h)
    order = []
    a, b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), s

    def on_datagram(u):
        order.append("u")
        assert s.recv(9) == b"text"

    Calls(a, on_datagram)
    c = Calls(b, lambda s: order.append("s"))
    a.bind(("", 5000))
    h.device.queue.append(udp(9, 5000, b"x"))
    h.device.queue.append(p.frame("PA", data=b"text"))
    net.pump()
    for _ in range(20):
        pass
    assert order == ["u"] and c.count() == 0, order


def test_callback_of_a_listener():
    """A call for each client, even if several come at once."""
    if not hasattr(micropython, "schedule"):
        return "SKIP no scheduler"
    h = host(tcp=4)
    server = socket.socket()
    server.bind(("", 80))
    server.listen(3)
    server.settimeout(0)
    got = []
    c = Calls(server, lambda s: got.append(s.accept()))
    peers = []
    for n in range(3):
        p = Peer(h, port=50000 + n, to=80)
        p.send("S", 0, mss=1460)
        p.expect("SA", 0, 1)
        p.seq = p.ack = 1
        peers.append(p)
    net.pump()
    assert c.count() == 0
    h.device.queue.extend([p.frame("A") for p in peers])
    net.pump()
    assert c.count() == 3
    assert [a[1][1] for a in got] == [50000, 50001, 50002]
    net.pump()
    assert c.count() == 0
    # One that goes before it is accepted is no client.
    got[0][0].close()
    c.act = None


def test_callback_of_datagrams():
    if not hasattr(micropython, "schedule"):
        return "SKIP no scheduler"
    h = host()
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind(("", 5000))
    u.settimeout(0)
    got = []
    c = Calls(u, lambda u: got.append(u.recvfrom(20)))
    for data in (b"one", b"two", b""):
        h.device.queue.append(udp(9, 5000, data))
    net.pump()
    assert c.count() == 3
    assert [g[0] for g in got] == [b"one", b"two", b""]
    net.pump()
    assert c.count() == 0


def test_callbacks_may_leave_while_others_are_called():
    if not hasattr(micropython, "schedule"):
        return "SKIP no scheduler"
    h = host(udp=4)
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
    called = []

    def leave(u):
        called.append(u)
        u.recv(9)
        u.setsockopt(socket.SOL_SOCKET, 20, None)

    for n, u in enumerate(sockets):
        u.bind(("", 5000 + n))
        u.setsockopt(socket.SOL_SOCKET, 20, leave)
        h.device.queue.append(udp(9, 5000 + n, b"x"))
    net.pump()
    for _ in range(20):
        pass
    assert len(called) == 4, called
    raises(TypeError, "callback", u.setsockopt, socket.SOL_SOCKET, 20, 5)


def test_callback_is_told_what_waits_already():
    if not hasattr(micropython, "schedule"):
        return "SKIP no scheduler"
    h = host()
    server, s, p = accepted(h)
    text(p, b"early")
    c = Calls(s)
    assert c.count() == 1


def test_callbacks_that_the_scheduler_has_no_room_for():
    if not hasattr(micropython, "schedule"):
        return "SKIP no scheduler"
    h, s, p, c = watched(lambda s: s.recv(9))
    real = micropython.schedule

    def full(function, argument):
        raise RuntimeError("schedule queue full")

    socket.micropython = type("", (), {"schedule": full})
    try:
        text(p, b"x")
        assert c.count() == 0
        assert net.delay() == 1  # not later
    finally:
        socket.micropython = micropython
    assert real is micropython.schedule
    net.pump()
    assert c.count() == 1
    assert net.delay() != 1


def test_peeking_tells_the_sender():
    h = host()
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind(("", 5000))
    u.settimeout(0)
    assert errno(u.recvfrom, 9, socket.MSG_PEEK) == 11
    h.inject(udp(1111, 5000, b"first"), udp(2222, 5000, b"second", src="192.168.69.9"))
    one, two = ("192.168.69.100", 1111), ("192.168.69.9", 2222)
    for n in (5, 3, 99):
        assert u.recvfrom(n, socket.MSG_PEEK) == (b"first"[:n], one)
    buf = bytearray(8)
    assert u.recvfrom_into(buf, 4, socket.MSG_PEEK) == (4, one)
    assert buf == b"first"[:4] + bytes(4)
    assert u.recvfrom(9) == (b"first", one)
    assert u.recvfrom(9, socket.MSG_PEEK) == (b"second", two)
    # A server of DTLS: it connects to whom the first datagram is from, which it reads then.
    u.connect(two)
    assert u.recv(9) == b"second"
    h.inject(udp(1111, 5000, b"first"), udp(2222, 5000, b"third", src="192.168.69.9"))
    assert u.recv(9) == b"third" and errno(u.recv, 9) == 11


def test_receiving_into_buffers():
    from array import array

    h = host()
    server, s, p = accepted(h)
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind(("", 5000))
    u.settimeout(0)

    def send():
        text(p, b"0123456789")
        h.inject(udp(9, 5000, b"0123456789"))

    for sock in (s, u):
        for call in (sock.recv_into, sock.readinto, sock.recvfrom_into):
            for buf in (b"literal", "text", memoryview(b"x"), [0] * 9, None):
                raises(TypeError, "buf", call, buf)
                raises(TypeError, "buf", call, buf, 1)
        for call in (sock.recv, sock.recvfrom):
            raises(ValueError, "n must", call, -1)
        for call in (sock.send, sock.sendall, sock.write):
            for buf in (None, 5, [1]):
                raises(TypeError, "buf", call, buf)
    send()
    for peek in (socket.MSG_PEEK, 0):
        for sock in (s, u):
            words = array("H", [0] * 4)
            assert sock.recv_into(words, 3, peek) == 3 and bytes(words) == b"012\0\0\0\0\0"
    s.read(7)
    send()
    for peek in (socket.MSG_PEEK, 0):
        for sock in (s, u):
            buf = bytearray(4)
            assert sock.recv_into(buf, 99, peek) == 4 and buf == b"0123"
    s.read(6)
    send()
    for sock in (s, u):
        words = array("I", [0] * 3)
        assert sock.readinto(words) == 10 and bytes(words) == b"0123456789\0\0"
        buf = bytearray(4)
    send()
    for sock in (s, u):
        buf = bytearray(b"....")
        assert sock.readinto(buf, 2) == 2 and buf == b"01.."
    s.read(8)
    h.device.sent.clear()
    for call, data in (
        (s.send, array("H", [1, 2])),
        (s.sendall, memoryview(array("H", [3]))),
        (s.write, array("I", [4])),
    ):
        call(data)
        p.expect(data=bytes(data))
        p.ack += len(bytes(data))
        p.send("A")
    u.sendto(array("H", [1, 2]), ("192.168.69.100", 9))
    h.expect("udp", data=b"\1\0\2\0")
