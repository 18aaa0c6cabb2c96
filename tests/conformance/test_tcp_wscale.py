"""Window scaling (RFC 7323 section 2)."""

from states import *


def big(rx=200000, **kw):
    h, s = listener(rx=rx, **kw)
    return h, Peer(h), s


def test_2_2_offered_in_the_syn_as_the_buffer_needs_it():
    if lacks("window scaling"):
        return lacks("window scaling")
    for rx, shift in ((65535, 0), (65536, 1), (131070, 1), (200000, 2), (262144, 3)):
        h = Host()
        s = h.add(TCPSocket(rx, 64))
        s.connect(PEER, 80)
        p = Peer(h, port=80)
        r = p.expect("S", 0)
        assert (r.ws or 0) == shift, (rx, r.ws)
        assert r.win == min(rx, 65535), "the window of a SYN is never scaled"


def test_2_3_answered_only_where_offered():
    if lacks("window scaling"):
        return lacks("window scaling")
    h, p, s = big()
    p.send("S", 0, mss=1460)
    r = p.expect("SA", 0, 1, ws=None)
    assert r.win == 65535
    p.send("A", 1, 1, b"x")
    h.advance(20)
    r = p.expect("A", 1, 2)
    assert r.win == 65535, "scaled without agreement"


def test_2_3_our_windows_are_scaled_after_the_handshake():
    if lacks("window scaling"):
        return lacks("window scaling")
    h, p, s = big()
    p.send("S", 0, mss=1460, ws=7)
    r = p.expect("SA", 0, 1, ws=2)
    assert r.win == 65535
    p.send("A", 1, 1, b"x")
    h.advance(20)
    r = p.expect("A", 1, 2)
    assert r.win << 2 in range(199990, 200000), r.win


def test_2_3_the_peers_windows_are_scaled():
    if lacks("window scaling"):
        return lacks("window scaling")
    h, p, s = big(rx=2000, tx=3000)
    p.send("S", 0, mss=1000, ws=5, win=10)
    p.expect("SA", 0, 1)
    # The window of the SYN itself is not: 10 bytes, until the ACK says 10 << 5.
    p.send("A", 1, 1, win=10)
    s.send(bytes(1000))
    p.expect("A", 1, 1, bytes(320))
    h.expect_nothing()


def test_2_3_the_window_of_a_syn_ack_is_not_scaled():
    if lacks("window scaling"):
        return lacks("window scaling")
    h, p, s = connecting(rx=100000)
    p.send("SA", 0, 1, mss=1000, ws=5, win=10)
    p.expect("A", 1, 1)
    s.send(bytes(100))
    r = p.expect("A", 1, 1)
    assert len(r.data) == 10, r


def test_2_3_a_peer_that_does_not_scale():
    if lacks("window scaling"):
        return lacks("window scaling")
    h, p, s = connecting(rx=100000)
    p.send("SA", 0, 1, mss=1000, win=100)
    r = p.expect("A", 1, 1)
    assert r.win == 65535
    s.send(bytes(500))
    p.expect("A", 1, 1, bytes(100))


def test_2_3_a_shift_above_14_is_14():
    if lacks("window scaling"):
        return lacks("window scaling")
    h, p, s = big(rx=2000, tx=3000)
    p.send("S", 0, mss=1000, ws=200)
    p.expect("SA", 0, 1)
    p.send("A", 1, 1, win=1)
    s.send(bytes(3000))
    h.run()
    assert len(h.device.sent) == 3


def test_2_2_only_syn_segments_carry_it():
    if lacks("window scaling"):
        return lacks("window scaling")
    h, p, s = big(rx=2000, tx=3000)
    p.send("S", 0, mss=100, ws=0, win=1000)
    p.expect("SA", 0, 1)
    p.send("A", 1, 1, win=100, ws=3)
    s.send(bytes(1000))
    p.expect("A", 1, 1, bytes(100), ws=None)


def test_2_4_the_scaled_window_never_promises_more_than_there_is():
    if lacks("window scaling"):
        return lacks("window scaling")
    h, p, s = big(rx=70001, ack_delay=0)
    p.send("S", 0, mss=1460, ws=0)
    r = p.expect("SA", 0, 1)
    shift = r.ws or 0
    p.send("A", 1, 1)
    at = 1
    for n in (1, 2, 3, 1460, 777):
        p.send("A", at, 1, bytes(n))
        at += n
        r = p.expect("A", 1, at)
        assert (r.win << shift) + at <= 70001 + 1, r


def test_more_than_64_kib_in_flight():
    if lacks("window scaling"):
        return lacks("window scaling")
    h, p, s = established(rx=100000, syn={"mss": 1460, "ws": 1}, ack_delay=0)
    h.inject(*[p.frame("A", 1 + 1000 * i, 1, bytes([i]) * 1000) for i in range(90)])
    h.advance(20)
    while h.device.sent:
        r = p.expect("A", 1)
    assert r.rack == 90001 and s.recv_queue == 90000
    buf = bytearray(100000)
    assert s.recv_into(buf) == 90000
    assert buf[89999] == 89 and buf[0] == 0 and buf[66000] == 66


def test_more_than_64_kib_of_unacknowledged_data():
    if lacks("window scaling"):
        return lacks("window scaling")
    opts = {} if lacks("congestion") else {"congestion": "none"}
    h, p, s = established(tx=70000, syn={"mss": 1000, "ws": 3}, **opts)
    p.send("A", 1, 1, win=65535)
    assert s.send(bytes(70000)) == 70000
    h.run()
    n = 0
    for _ in range(100):
        while h.device.sent:
            r = p.expect("A")
            assert r.rel == 1 + n
            n += len(r.data)
        if n == 70000:
            break
        p.send("A", 1, 1 + n, win=65535)
    assert n == 70000


def test_other_options_of_its_length_are_no_window_scale():
    h, p, s = big(rx=2000, tx=3000)
    p.send("S", 0, options=b"\x02\x04\x00\x64\xfd\x03\x05\x00")
    p.expect("SA", 0, 1, ws=None)
    p.send("A", 1, 1, win=100)
    s.send(bytes(1000))
    p.expect("A", 1, 1, bytes(100))
    h.expect_nothing()


def test_2_3_the_peers_windows_count_by_its_shift_from_the_handshake_on():
    if lacks("window scaling"):
        return lacks("window scaling")
    for shift in range(6):
        opts = {} if lacks("congestion") else {"congestion": "none"}
        h, p, s = syn_received(tx=20000, syn={"mss": 100, "ws": shift}, **opts)
        p.send("A", 1, 1, win=500)
        s.send(bytes(19000))
        h.run()
        sent = sum([len(Packet(f, at).data) for at, f in h.device.sent])
        assert sent == 500 << shift, (shift, sent)
