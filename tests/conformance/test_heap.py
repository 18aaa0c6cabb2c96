"""With the heap locked: whatever arrives, is sent or expires after set-up allocates nothing."""

import sys

from harness import *
from locked import *
from smolmpy import ICMPSocket, RawSocket, UDPSocket

ROUNDS = 300


def server_class():
    """examples/server.py's class, with a board that it does not need; None without the file."""

    class Board:
        pass

    known = sys.modules.get("smolmpy_board")
    sys.modules["smolmpy_board"] = Board
    here = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
    sys.path.append(here + "/../../examples")
    try:
        from server import Server

        return Server
    except ImportError as e:
        if "server" not in str(e):
            raise
    finally:
        sys.path.pop()
        if known is None:
            sys.modules.pop("smolmpy_board")
        else:
            sys.modules["smolmpy_board"] = known


def later(now, ms):
    """The time `ms` after `now`, modulo 2^30: a sum beyond that would be allocated."""
    rest = 0x3FFFFFFF - now
    return now + ms if ms <= rest else ms - rest - 1


class Prepared:
    """Prepared frames, again and again, each polled with the heap locked."""

    def __init__(self, frames, start=START, step=7, rounds=ROUNDS, call=None):
        self.device = PreparedDevice()
        self.iface = Interface(self.device, OUR_MAC)
        self.iface.add_address(OUR + "/24")
        self.frames = frames
        self.now = start
        self.step = step
        self.rounds = rounds
        self.call = call
        self.iface.poll(start)
        self.device.sent = 0

    def go(self):
        under_lock(self.loop)
        return self.device.sent

    def loop(self):
        for _ in range(self.rounds):
            for frame in self.frames:
                self.device.frame = frame
                self.now = later(self.now, self.step)
                self.iface.poll(self.now)
                if self.call is not None:
                    self.call()
                self.iface.poll(self.now)
                self.iface.poll_delay(self.now)


def test_the_lock_works():
    if not LOCKS:
        return "SKIP nothing is locked: bytecode kernels allocate, and CPython has no heap to lock"

    def allocate():
        return [1, 2, sys]

    try:
        under_lock(allocate)
    except MemoryError:
        return
    raise AssertionError("allocated under lock")


def test_arp_and_echo():
    p = Prepared([arp(1), echo(), echo(data=bytes(301)), arp(1, tpa=PEER)])
    assert p.go() == 3 * ROUNDS


def test_bad_frames():
    frames = [
        udp(1, 2, b"x", bad_csum=True),
        udp(1, 9999, b"x"),
        ip(b"1234", 99),
        tcp(1, 2, "S", seq=0xFFFFFFFF),
        tcp(1, 2, "A", ack=0xFFFFFFFE),
        tcp(1, 2, "S", bad_csum=True),
        echo(bad_csum=True),
        ip(b"x" * 10, 17, frag=1),
        eth(b"x" * 50, 0x86DD),
        eth(b"x" * 50, 50),
        echo()[:20],
        echo(ihl=15),
        echo(options=b"\x01" * 8),
        arp(1, head=bytes(6)),
        icmp(3, 3, data=udp(1, 2, src=OUR, dst=PEER)[14:]),
    ]
    p = Prepared(frames, step=400)
    p.iface.add_neighbor(PEER, PEER_MAC)
    assert p.go() > ROUNDS


def test_neighbors_expire_and_are_asked_for():
    p = Prepared([None], step=7001)
    s = p.iface.add(UDPSocket(64, 64))
    s.bind(77)
    where = addr(PEER)
    data = b"x"

    def call():
        s.send_to(data, where, 9)

    p.call = call
    assert p.go() > ROUNDS // 2
    p = Prepared([arp(2)], step=31000)
    s = p.iface.add(UDPSocket(64, 64))
    s.bind(77)
    p.call = call
    assert p.go() > ROUNDS // 2


def test_full_neighbor_cache():
    frames = [arp(1, spa="192.168.69.%d" % i, sha=bytes([2, 0, 0, 0, 0, i])) for i in range(9, 40)]
    p = Prepared(frames, rounds=40)
    assert p.go() == 40 * len(frames)


def test_udp_icmp_and_raw_sockets():
    frames = [
        arp(1),
        udp(5000, 77, b"hello"),
        udp(5000, 77, b"", no_csum=True),
        echo(5, 1, kind=0),
        ip(b"raw", 99),
    ]
    p = Prepared(frames)
    u = p.iface.add(UDPSocket(64, 64))
    u.bind(77)
    i = p.iface.add(ICMPSocket(128, 128))
    i.bind(5)
    r = p.iface.add(RawSocket(128, 128, 4, protocol=99))
    every = p.iface.add(RawSocket(256, 256, 4, ethertype=None))
    # A function may close over five names at most without allocating when it is called.
    them = (u, i, r, every)
    b = bytearray(256)
    where = addr(PEER)
    ping = bytearray(b"\x08\x00\x00\x00\x00\x05\x00\x01abcdefgh")
    packet = bytearray(ip(b"raw", 99, src="0.0.0.0", dst=PEER)[14:])
    out = (where, ping, packet)
    got = [0] * 4

    def call():
        u = them[0]
        while u.recv_into(b) >= 0:
            got[0] += 1
            u.send_to(out[1], u.remote_addr, u.remote_port)
        u.can_recv()
        u.can_send()
        while them[1].recv_into(b) >= 0:
            got[1] += 1
            them[1].send_to(out[1], out[0])
        while them[2].recv_into(b) >= 0:
            got[2] += 1
            them[2].send(out[2])
        while them[3].recv_into(b) >= 0:
            got[3] += 1

    p.call = call
    assert p.go() >= ROUNDS * 4
    assert got[0] == 2 * ROUNDS and got[1] == ROUNDS and got[2] == ROUNDS, got
    assert got[3] == 5 * ROUNDS, got


class Exchange:
    """A server and a client on a cable; the client opens, uses and closes connections."""

    def __init__(self, server, drop=0, connections=50, linger=20, ms=None, start=START):
        self.a, self.b = cable(drop)
        self.server = server(self.a)
        self.client = Interface(self.b, PEER_MAC)
        self.client.add_address(PEER + "/24")
        self.tcp = self.client.add(TCPSocket(64, 64))
        self.tcp.time_wait = linger
        self.udp = self.client.add(UDPSocket(64, 64))
        self.udp.bind(0)
        self.where = addr(OUR)
        self.data = b"abcdefghijklmnopqrstuvwxyz0123456789"
        self.buf = bytearray(64)
        self.small = bytearray(64)
        self.now = start
        self.left = connections
        self.bytes = 0
        self.datagrams = 0
        self.good = True
        self.ms = ms
        self.turns = 0
        # One connection before the lock: what is made on first use is made now.
        self.todo = 1
        under_lock(self.run)
        self.todo = connections

    def go(self):
        self.bytes = 0
        under_lock(self.run)
        return self

    def run(self):
        tcp = self.tcp
        phase = 0
        sent = got = 0
        while self.todo:
            self.turns += 1
            d = self.server.step(self.now)
            self.client.poll(self.now)
            e = self.client.poll_delay(self.now)
            if self.turns > 200000:
                self.good = False
                return
            if phase == 0:
                if tcp.state == TCPSocket.CLOSED and connect(tcp, self.where, 6969) == 0:
                    phase = 1
                    sent = got = 0
            elif phase == 1:
                if sent < 36:
                    n = tcp.send(self.data)
                    if n > 0:
                        sent += n
                n = tcp.recv_into(self.buf)
                if n > 0:
                    got += n
                    self.bytes += n
                elif n < 0 and n != -11:
                    phase = 2
                if got >= 36:
                    tcp.close()
                    phase = 2
            elif phase == 2:
                n = tcp.recv_into(self.buf)
                if tcp.state == TCPSocket.CLOSED:
                    phase = 0
                    self.todo -= 1
                    self.udp.send_to(self.data, self.where, 6969)
            if self.udp.recv_into(self.small) == 7:
                self.datagrams += 1
            if self.a.count or self.b.count:
                continue
            if d < 0 or (0 <= e < d):
                d = e
            if d < 0 or d > 500:
                d = 500
            self.now = later(self.now, max(d, 1))


def test_server_with_a_client():
    server = server_class()
    if server is None:
        return "SKIP examples/server.py is not here"
    x = Exchange(server, connections=100).go()
    assert x.good and x.bytes == 3600, x.bytes
    assert x.datagrams >= 100, x.datagrams


def test_server_on_a_lossy_cable():
    # Everything is lost at times: SYN, SYN,ACK, data, FIN, ACK; every timer fires.
    server = server_class()
    if server is None:
        return "SKIP examples/server.py is not here"
    for drop in (3, 5, 7):
        x = Exchange(server, drop=drop, connections=40).go()
        assert x.good and x.bytes >= 36 * 35, (drop, x.bytes)
        assert x.a.lost > 20 and x.b.lost > 20


def test_tcp_timers_alone():
    # SYN, data and FIN without an answer, until each is given up.
    device = PreparedDevice()
    iface = Interface(device, OUR_MAC)
    iface.add_address(OUR + "/24")
    iface.add_neighbor(PEER, PEER_MAC)
    s = iface.add(TCPSocket(64, 64))
    s.timeout = 30000
    where = addr(PEER)
    buf = bytearray(64)
    now = [START]

    def loop():
        for _ in range(3):
            connect(s, where, 80)
            for _ in range(400):
                iface.poll(now[0])
                d = iface.poll_delay(now[0])
                if d < 0:
                    break
                now[0] = later(now[0], d)
            s.recv_into(buf)

    under_lock(loop)
    assert device.sent >= 9, device.sent
    assert s.state == TCPSocket.CLOSED


def test_out_of_order_segments():
    h, p, s = established(rx=512, iss=M32 - 300)
    frames = []
    at = 1
    for i in range(60):
        for a in (40, 20, 0, 50, 20):
            frames.append(p.frame("A", at + a, 1, bytes(20)))
        at += 70
    d = PreparedDevice()
    # The connection goes on, on a device that allocates nothing.
    h.iface.device = d
    buf = bytearray(512)
    count = [h.now, 0]
    iface = h.iface

    def loop():
        for frame in frames:
            iface.device.frame = frame
            count[0] = later(count[0], 3)
            iface.poll(count[0])
            n = s.recv_into(buf)
            if n > 0:
                count[1] += n

    under_lock(loop)
    assert count[1] == 60 * 70, count
    assert d.sent >= 120
