"""Who gets a socket of the pool when there are not enough: what is taken away, and what never is.

Clients are peers on a device in memory, the program is what these scenarios do.
"""

from harness import *
from harness import Host, Peer
from locked import PreparedDevice, under_lock
from smolmpy import net, socket
from smolmpy.compat.pooled import PooledTCP

TARGET = ("192.168.69.100", 81)


class Program:
    """A host whose pool has these settings, and a server that listens with the whole of it."""

    def __init__(self, tcp=2, backlog=None, **pool):
        self.h = Host(sockets=8)
        socket.setup(
            self.h.iface,
            lambda: self.h.now,
            lambda *args: self.wait(*args),
            tcp=tcp,
            udp=1,
            **pool,
        )
        self.ports = 50000
        self.server = listening(80, backlog or tcp)

    def wait(self, device, ms):
        self.h.t += 1 if ms < 0 or ms > 1 else ms

    def pass_time(self, ms, using=(), alive=()):
        """Lets time pass; meanwhile the program waits for these as poll() does, and these peers
        answer what they are asked."""
        h = self.h
        end = h.t + ms
        while h.t < end:
            net.pump()
            for s in using:
                s.ioctl(3, 1)
            if alive:
                heard = [f for f in map(packet, h.device.sent) if f.kind == "tcp"]
                h.device.sent[:] = [f for f in h.device.sent if "R" in packet(f).flags]
                for p in alive:
                    if any(f.dport == p.port and "R" not in f.flags for f in heard):
                        p.send("A")
            ms = net.delay()
            h.t += min(100, end - h.t) if ms < 0 or ms > 100 else max(ms, 1)
        net.pump()
        net.pump()

    def knock(self, port=80, peer=None):
        """A client's SYN: the peer, and whether it is answered."""
        self.ports += 1
        p = peer or Peer(self.h, port=self.ports, to=port)
        net.pump()
        self.h.clear()
        p.irs = None
        p.send("S", 0, mss=1460)
        net.pump()
        for f in map(packet, self.h.device.sent):
            if f.kind == "tcp" and f.dport == p.port and f.flags == "SA":
                p.irs = f.seq
        self.h.clear()
        p.seq = p.ack = 1
        return p, p.irs is not None

    def client(self, port=80):
        """A client that is connected, not accepted yet."""
        p, answered = self.knock(port)
        assert answered
        p.send("A")
        net.pump()
        return p

    def accepted(self, server=None):
        """A connection: the program's end and the peer."""
        server = server or self.server
        p = self.client(server.port)
        return server.accept()[0], p

    def connected(self):
        """A connection that the program has opened."""
        s = socket.socket()
        s.setblocking(False)
        self.h.clear()
        errno(s.connect, TARGET)
        p = Peer(self.h, port=TARGET[1])
        p.expect("S", 0)
        p.send("SA", 0, 1, mss=1460)
        p.seq = p.ack = 1
        self.h.clear()
        errno(s.recv, 1)
        return s, p

    def gone(self, p):
        """The peer closes."""
        p.send("FA")
        p.seq += 1
        net.pump()
        self.h.clear()


def listening(port, backlog):
    s = socket.socket()
    s.bind(("", port))
    s.listen(backlog)
    s.setblocking(False)
    return s


def errno(f, *args):
    try:
        f(*args)
    except OSError as e:
        return e.args[0]
    return 0


def works(s):
    """Whether the program still has its socket; without a call on it, which would be a use."""
    return " closed " not in repr(s)


def packet(sent):
    return Packet(sent[1], sent[0])


def resets(h):
    """To which ports an RST has been sent."""
    ports = [f.dport for f in map(packet, h.device.sent) if f.kind == "tcp" and "R" in f.flags]
    h.clear()
    return ports


def test_failed_handlers_do_not_keep_a_server_from_its_clients():
    """As many as there are sockets; the clients have closed, the program has forgotten them."""
    r = Program(tcp=4)
    for _ in range(4):
        s, p = r.accepted()
        r.gone(p)
    p, answered = r.knock()
    assert not answered
    r.pass_time(4000)
    assert not r.knock(peer=p)[1]
    r.pass_time(2000)
    assert r.knock(peer=p)[1]


def test_it_is_the_one_left_alone_longest():
    r = Program(tcp=3)
    first, a = r.accepted()
    second, b = r.accepted()
    r.pass_time(100)
    third, c = r.accepted()
    for p in (a, b, c):
        r.gone(p)
    r.pass_time(3000)
    assert first.recv(1) == b""  # it has been used since
    r.pass_time(4000)
    assert not r.knock()[1]
    r.pass_time(1000)
    assert resets(r.h) == [b.port]
    assert works(first) and not works(second) and works(third)
    assert net.pool.poll_delay(r.h.now) == -1
    # The next client finds a place, and nobody else loses his before another one comes.
    r.pass_time(60000)
    assert works(third)
    assert r.knock()[1]


def test_clients_come_while_others_are_still_left():
    """The crowd began before the last one was forgotten."""
    r = Program(tcp=2)
    (a, p), (b, q) = r.accepted(), r.accepted()
    c, _ = r.knock()
    r.pass_time(1000, using=(a, b))
    r.gone(p)
    r.gone(q)
    r.pass_time(6000)
    assert r.knock(peer=c)[1]


def test_a_limit_that_is_shorter():
    r = Program(tcp=1, idle=1000)
    s, p = r.accepted()
    r.gone(p)
    q, _ = r.knock()
    r.pass_time(900)
    assert works(s)
    r.pass_time(700)
    assert not works(s) and r.knock(peer=q)[1]


def test_nobody_loses_anything_while_there_is_room():
    r = Program(tcp=3, idle=1000)
    held = [r.accepted() for _ in range(2)]
    for _, p in held:
        r.gone(p)
    r.pass_time(200000)
    assert works(held[0][0]) and works(held[1][0])
    assert r.knock()[1]


def test_one_that_is_waited_for_is_in_use():
    """Half-closed connections that somebody polls, whatever the crowd."""
    r = Program(tcp=2, idle=1000)
    (a, p), (b, q) = r.accepted(), r.accepted()
    r.gone(p)
    r.gone(q)
    r.knock()
    r.pass_time(30000, using=(a, b))
    assert works(a) and works(b)
    assert not r.knock()[1]


def test_one_that_a_call_waits_on_is_in_use():
    r = Program(tcp=1, idle=1000)
    s, p = r.accepted()
    assert not r.knock()[1]
    s.settimeout(20)
    assert errno(s.recv, 1) == 110
    assert works(s)
    p.send("PA", data=b"x")
    assert s.recv(1) == b"x"


def test_one_that_a_call_waits_on_while_interrupts_pump():
    """The board sleeps long, and has the stack work meanwhile."""
    r = Program(tcp=1, idle=1000)
    s, p = r.accepted()
    assert not r.knock()[1]

    def sleep(device, ms):
        for _ in range(6):
            r.h.t += 500
            net.pump()

    r.wait = sleep
    s.settimeout(20)
    assert errno(s.recv, 1) == 110
    assert works(s)


def test_a_sleep_without_the_stack_is_not_held_against_it():
    """The program comes back after a minute, uses one at once, and opens another."""
    r = Program(tcp=1)
    s, p = r.accepted()
    p.send("PA", data=b"xyz")
    for use in (lambda: s.recv(1), lambda: s.readinto(bytearray(1)), lambda: s.write(b"x")):
        r.h.t += 70000
        assert use()
        assert errno(socket.socket) == 12
    assert s.recv(1) == b"z"


def test_clients_that_stay_and_are_left_alone():
    """A minute, or what the program has chosen."""
    for idle, before, after in ((None, 50000, 11000), (5000, 3500, 2000), (-1, 10**6, 0)):
        r = Program(tcp=1, idle=idle)
        s, p = r.accepted()
        r.pass_time(before)
        q, answered = r.knock()
        assert not answered
        r.pass_time(1000)
        assert works(s), idle
        if not after:
            assert errno(socket.socket) == 12
            continue
        r.h.clear()
        r.pass_time(after, alive=(p,))
        assert resets(r.h) == [p.port]
        assert not works(s) and errno(s.recv, 1) == 9, idle
        assert r.knock(peer=q)[1]


def test_what_the_program_has_opened_is_its_own():
    """Unless it has said how long that may lie about."""
    r = Program(tcp=2)
    s, p = r.connected()
    client, q = r.accepted()
    r.knock()
    r.pass_time(600000, using=(client,), alive=(q,))
    assert works(s)
    r = Program(tcp=2, idle=1000)
    s, p = r.connected()
    client, q = r.accepted()
    r.pass_time(2000, using=(client,))
    assert not r.knock()[1]
    r.pass_time(1000, using=(client,))
    assert not works(s) and works(client)


def test_a_listening_socket_is_never_taken():
    r = Program(tcp=4, idle=1000)
    held = [r.connected()[0] for _ in range(3)]
    r.pass_time(3000, using=held)
    assert errno(socket.socket) == 12
    assert errno(r.server.accept) == 11
    assert socket.leaked(0) == held
    assert socket.reclaim(1000) == 0
    assert r.knock()[1]
    # Of the others socket() takes the one that was left alone longest.
    held[1].ioctl(3, 1)
    r.pass_time(500, using=held[:1])
    r.pass_time(700, using=held[:2])
    errno(held[2].recv, 1)
    r.pass_time(1500, using=(held[0], held[2]))
    socket.socket()
    assert [works(s) for s in held] == [True, False, True]


def test_clients_that_nobody_accepts():
    """They are the listener's; somebody else needs a socket."""
    r = Program(tcp=2)
    r.client()
    q = r.client()
    r.gone(q)
    assert errno(socket.socket) == 12
    r.pass_time(11000)
    r.h.clear()
    socket.socket()
    assert resets(r.h) == [q.port]
    assert errno(socket.socket) == 12
    assert r.server.accept()[1][1] == r.ports - 1


def test_a_client_that_is_not_there_any_more():
    """Somebody waits for it: it is asked, and the one who waits is told."""
    r = Program(tcp=2)
    (a, p), (b, _) = r.accepted(), r.accepted()
    r.pass_time(300000, using=(a, b))
    assert not r.h.device.sent
    r.knock()
    r.pass_time(70000, using=(a, b), alive=(p,))
    assert works(a)
    assert errno(b.recv, 1) == 110
    r.pass_time(1000, using=(a,))
    assert r.knock()[1]


def test_a_listener_without_a_socket_gets_another_ones_second():
    r = Program(tcp=3, backlog=3)
    other = listening(81, 2)
    r.accepted(other)
    assert r.knock(81)[1]
    assert r.knock(80)[1]


def test_one_with_a_callback_is_left_alone():
    r = Program(tcp=1, idle=1000)
    s, p = r.accepted()
    s.setsockopt(socket.SOL_SOCKET, 20, lambda s: None)
    r.pass_time(3000)
    r.knock()
    r.pass_time(3000)
    assert works(s)
    assert errno(socket.socket) == 12


def test_datagram_sockets_with_a_limit():
    r = Program(tcp=1)
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    r.pass_time(10**6)
    assert errno(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) == 12
    r = Program(tcp=1, idle=1000)
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.setblocking(False)
    r.pass_time(2000, using=(u,))
    assert errno(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) == 12
    r.pass_time(2000)
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    assert errno(u.recv, 1) == 9


def test_a_listener_keeps_its_address():
    h = Host(sockets=8)
    socket.setup(h.iface, lambda: h.now, lambda device, ms: None, tcp=1, udp=1)
    s = socket.socket()
    s.bind(("192.168.69.1", 80))
    s.listen(1)
    tcp = net.pool.tcp[0]
    before = bytes(tcp.local_addr)
    p = Peer(h, to=80)
    p.send("S", 0, mss=1460)
    p.expect("SA", 0, 1)
    p.send("A", 1, 1)
    p.send("R", 1)
    assert tcp.state == PooledTCP.CLOSED
    assert errno(s.setblocking, False) == 0 and errno(s.accept) == 11
    assert tcp.state == PooledTCP.LISTEN and bytes(tcp.local_addr) == before


def test_with_the_heap_locked():
    """The collector closes forgotten TLS sockets while nothing can be allocated."""
    r = Program(tcp=4)
    held = [r.accepted() for _ in range(4)]
    for _, p in held:
        r.gone(p)
    (a, p), (b, q), (c, o), (d, _) = held
    answers = [peer.frame("A", None, 2) for peer in (p, q, o)]
    now = r.h.now
    net.ticks_ms = lambda: now
    device = r.h.iface.device = PreparedDevice()

    def close():
        a.ioctl(4, 0)
        b.ioctl(4, 0)
        c.close()
        net.pump()

    under_lock(close)
    assert device.sent == 3, device.sent
    assert not (works(a) or works(b) or works(c)) and works(d)

    def end():
        for frame in answers:
            device.frame = frame
            net.pump()

    under_lock(end)
    assert states() == [PooledTCP.LISTEN] * 3 + [PooledTCP.CLOSE_WAIT], states()


def test_room_is_made_with_the_heap_locked():
    r = Program(tcp=1)
    s, p = r.accepted()
    r.gone(p)
    r.pass_time(11000)
    assert not r.knock()[1]
    later = r.h.now + 600
    net.ticks_ms = lambda: later
    device = r.h.iface.device = PreparedDevice()

    def pump():
        net.pump()
        net.pump()
        net.pump()

    under_lock(pump)
    assert device.sent == 1 and not works(s)
    assert states() == [PooledTCP.LISTEN]


def states():
    return [s.state for s in net.pool.tcp]
