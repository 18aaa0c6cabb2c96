"""SYN cookies (RFC 4987 section 3.6): a flood of SYNs does not close the door."""

from states import *

FLOOD = 40


def flooded(sockets=2, n=FLOOD, **opts):
    """A host whose listeners are all half-open, by SYNs that nobody will acknowledge."""
    h = Host()
    listeners = []
    for _ in range(sockets):
        s = h.add(TCPSocket(2048, 2048))
        for name in opts:
            setattr(s, name, opts[name])
        s.listen(6969)
        listeners.append(s)
    h.iface.add_neighbor("192.168.69.66", PEER_MAC)
    h.inject(*[tcp(2000 + i, 6969, "S", i, src="192.168.69.66") for i in range(n)])
    for s in listeners:
        check_state(s, "SYN_RECEIVED")
    # A moment later it is plain that they do not answer.
    h.advance(1500)
    h.clear()
    return h, listeners


def cookie(h, port=49500, iss=ISS, **syn):
    """A peer that has been answered with a cookie; or None where the stack has none."""
    p = Peer(h, port=port, iss=iss)
    p.send("S", 0, **(syn or {"mss": 1460}))
    if not h.device.sent:
        return None
    r = p.expect()
    if r.flags != "SA":
        return None
    assert r.rack == 1
    return p


def opened(h, listeners):
    return [s for s in listeners if s.state == TCPSocket.ESTABLISHED]


def test_the_connection_opens_at_once():
    h, all_of_them = flooded()
    p = cookie(h)
    if not p:
        return "SKIP no SYN cookies"
    p.send("A", 1, 1, b"hello")
    (s,) = opened(h, all_of_them)
    assert recv(s) == b"hello"
    assert bytes(s.remote_addr) == addr(PEER) and s.remote_port == p.port
    h.advance(20)
    while h.device.sent:
        r = h.next()
        if r.dport == p.port:
            assert (r.ack - p.iss) & M32 == 6
    s.send(b"there")
    p.expect("A", 1, 6, b"there")
    p.send("A", 6, 6)
    assert s.send_queue == 0
    s.close()
    p.expect("FA", 6, 6)


def test_two_connections_in_spite_of_the_flood():
    h, all_of_them = flooded()
    p, q = cookie(h, 1001, 5), cookie(h, 1002, M32 - 1)
    if not p:
        return "SKIP no SYN cookies"
    p.send("A", 1, 1, b"p")
    q.send("A", 1, 1, b"q")
    got = sorted((s.remote_port, recv(s)) for s in opened(h, all_of_them))
    assert got == [(1001, b"p"), (1002, b"q")], got


def test_a_cookie_keeps_no_state():
    h, all_of_them = flooded()
    if not cookie(h):
        return "SKIP no SYN cookies"
    h.advance(2500)
    for at, f in h.device.sent:
        assert Packet(f).dport != 49500, "the SYN,ACK with a cookie is sent once"
    assert not opened(h, all_of_them)


def test_a_wrong_cookie_is_refused():
    for ack in (0, 2, -1, 65537, 0x12345678, 0x01000001, 0x20000001):
        h, all_of_them = flooded()
        p = cookie(h)
        if not p:
            return "SKIP no SYN cookies"
        p.send("A", 1, ack, b"evil")
        assert not opened(h, all_of_them), ack
        r = h.expect("tcp", flags="R")
        assert r.dport == p.port


def test_a_cookie_is_good_for_its_owner_only():
    h, all_of_them = flooded()
    p = cookie(h)
    if not p:
        return "SKIP no SYN cookies"
    h.iface.add_neighbor("192.168.69.67", PEER_MAC)
    for change in ({"port": 49501}, {"src": "192.168.69.67"}, {"iss": ISS + 7}):
        q = Peer(h, **change)
        q.irs = p.irs
        q.send("A", 1, 1, b"evil")
        assert not opened(h, all_of_them), change
    h.clear()


def test_a_cookie_grows_old():
    h, all_of_them = flooded()
    p = cookie(h)
    if not p:
        return "SKIP no SYN cookies"
    h.advance(20000)
    h.clear()
    if all_of_them[0].state == TCPSocket.SYN_RECEIVED:
        p.send("A", 1, 1)
        assert len(opened(h, all_of_them)) == 1, "20 s old"
    h, all_of_them = flooded()
    p = cookie(h)
    # The half-open connections are given up before that; others come in their place.
    for _ in range(10):
        h.advance(100000)
        h.inject(*[tcp(2000 + i, 6969, "S", i, src="192.168.69.66") for i in range(9)])
    h.clear()
    p.send("A", 1, 1, b"old")
    assert not opened(h, all_of_them), "1000 s old"


def test_the_segment_size_survives():
    for mss in (1460, 1000, 536, 300):
        h, all_of_them = flooded(nagle=False)
        p = cookie(h, mss=mss)
        if not p:
            return "SKIP no SYN cookies"
        p.send("A", 1, 1)
        (s,) = opened(h, all_of_them)
        s.send(bytes(2000))
        h.run()
        sizes = [len(Packet(f).data) for at, f in h.device.sent if Packet(f).dport == p.port]
        # The cookie knows some sizes; the next smaller one is taken.
        assert mss // 3 <= max(sizes) <= mss, (mss, sizes)


def test_options_are_given_up_or_remembered():
    h, all_of_them = flooded()
    p = Peer(h)
    p.send("S", 0, mss=1000, ws=7, sackok=True)
    if not h.device.sent:
        return "SKIP no SYN cookies"
    r = p.expect("SA", 0, 1)
    p.send("A", 1, 1, win=100)
    (s,) = opened(h, all_of_them)
    s.send(bytes(2000))
    h.run()
    n = sum(len(Packet(f).data) for at, f in h.device.sent if Packet(f).dport == p.port)
    # With scaling agreed the window is 12,800 bytes, without it 100: what was said holds.
    assert n > 100 if r.ws is not None else n <= 100, (r.ws, n)


def test_the_half_open_connections_may_still_open():
    h, s = listener()
    p = Peer(h, port=1001)
    p.send("S", 0, mss=1460)
    p.expect("SA", 0, 1)
    h.advance(1500)
    h.clear()
    q = cookie(h, 1002)
    p.send("A", 1, 1, b"p")
    check_state(s, "ESTABLISHED")
    assert recv(s) == b"p" and s.remote_port == 1001
    if not q:
        return "SKIP no SYN cookies"
    # The owner of the cookie comes too late: nobody listens any more.
    h.clear()
    q.send("A", 1, 1, b"q")
    assert recv(s) == EAGAIN
    q.expect("R")


def test_no_cookie_where_nobody_listens():
    h, p, s = established()
    q = Peer(h, port=1002)
    q.send("S", 0)
    if h.device.sent:
        q.expect("RA")
    h.clear()
    q.irs = 1000
    q.send("A", 1, 1)
    q.expect("R", 1)


def test_a_flood_of_acks_opens_nothing():
    h, all_of_them = flooded()
    for i in range(500):
        p = Peer(h, port=3000 + i)
        p.irs = i * 8589935 & M32
        p.send("A", 1, 1)
    assert not opened(h, all_of_them)
    h.clear()
    for s in all_of_them:
        assert s.state in (TCPSocket.SYN_RECEIVED, TCPSocket.LISTEN)


def test_cookies_differ():
    h, all_of_them = flooded()
    seen = []
    for i in range(20):
        p = cookie(h, 1000 + i)
        if not p:
            return "SKIP no SYN cookies"
        seen.append(p.irs)
    assert len(set(seen)) == 20


def test_a_flood_from_hosts_without_arp_keeps_nobody_out():
    # Their SYN-ACKs never leave, since nobody answers ARP; the listeners are taken all the same.
    for flood in ("192.168.69.%d", "10.0.0.%d"):
        h = Host()
        listeners = [h.add(TCPSocket(64, 64)) for _ in range(4)]
        for s in listeners:
            s.listen(80)
        answered = 0
        for n in range(300):
            h.t += 50
            for s in listeners:
                if s.state == TCPSocket.CLOSED:
                    s.listen(80)
            h.inject(tcp(1000 + n, 80, "S", n, src=flood % (101 + n % 100), smac=b"\2\2\2\2\2\2"))
            h.clear()
            if n >= 40 and n % 20 == 0:
                p = Peer(h, 40000 + n, 80)
                p.send("S", 0, mss=1460)
                p.expect("SA", 0, 1)
                p.send("A", 1, 1)
                found = [s for s in listeners if s.state == TCPSocket.ESTABLISHED]
                assert len(found) == 1
                found[0].abort()
                h.run()
                h.clear()
                answered += 1
        assert answered == 13


def test_the_oldest_handshake_gives_way():
    h = Host()
    listeners = [h.add(TCPSocket(64, 64)) for _ in range(3)]
    for s in listeners:
        s.listen(80)
    peers = []
    for n in range(3):
        p = Peer(h, 5000 + n, 80)
        p.send("S", 0, mss=1460)
        p.expect("SA", 0, 1)
        peers.append(p)
        h.advance(300)
        h.clear()
    h.advance(800)
    h.clear()
    q = Peer(h, 6000, 80)
    q.send("S", 0, mss=1460)
    q.expect("SA", 0, 1)
    q.send("A", 1, 1)
    for n in (1, 2):
        peers[n].send("A", 1, 1)
    ports = sorted(s.remote_port for s in listeners if s.state == TCPSocket.ESTABLISHED)
    assert ports == [5001, 5002, 6000], ports
