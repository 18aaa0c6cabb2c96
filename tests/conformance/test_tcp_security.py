"""RFC 6528, 5961, 6056, floods: what an attacker off the path can and cannot do."""

from states import *


def isns(h, times, port=80, local=5000, gap=0):
    out = []
    for _ in range(times):
        s = h.add(TCPSocket(64, 64))
        h.run()
        s.connect(PEER, port, local)
        out.append(h.expect("tcp", flags="S").seq)
        s.abort()
        h.run()
        h.clear()
        h.iface.remove(s)
        h.t += gap
    return out


def test_6528_numbers_of_one_connection_grow_with_the_clock():
    h = Host()
    a = isns(h, 5, gap=1000)
    for i in range(4):
        step = (a[i + 1] - a[i]) & M32
        # One every 4 us; RFC 9293 3.4.1 leaves some room.
        assert 100000 <= step <= 1000000, a


def test_6528_numbers_of_different_connections_are_unrelated():
    h = Host()
    a = [isns(h, 1, port=80 + i)[0] for i in range(6)]
    b = [isns(h, 1, local=5000 + i)[0] for i in range(6)]
    for x in (a, b):
        steps = [(x[i + 1] - x[i]) & M32 for i in range(5)]
        assert len(set(steps)) == 5, steps
        assert sum(1 for d in steps if d < 1 << 20) <= 1, steps


def test_6528_numbers_differ_between_interfaces():
    seen = [isns(Host(), 1)[0] for _ in range(6)]
    assert len(set(seen)) == 6, "no secret key: %s" % seen


def test_6056_ephemeral_ports_are_not_sequential():
    h = Host()
    ports = []
    for i in range(12):
        s = h.add(TCPSocket(64, 64))
        s.connect(PEER, 80 + i)
        ports.append(s.local_port)
        s.abort()
        h.run()
        h.iface.remove(s)
    steps = [ports[i + 1] - ports[i] for i in range(11)]
    assert len(set(steps)) > 5, ports
    assert min(ports) >= 1024


def test_5961_3_blind_reset_needs_the_exact_number():
    h, p, s = established()
    for seq in (2, 3, 100, 1000, 2000, -1, 5000):
        p.send("R", seq)
        check_state(s, "ESTABLISHED")
    h.clear()
    p.send("R", 1)
    check_state(s, "CLOSED")


def test_5961_4_blind_syn_does_not_reset():
    h, p, s = established()
    for seq in (0, 1, 2, 1000, -5, 100000):
        p.send("S", seq)
        check_state(s, "ESTABLISHED")


def test_5961_5_blind_data_needs_a_plausible_ack():
    h, s = listener()
    p = Peer(h)
    p.win = 1000
    p.send("S", 0, mss=1460)
    p.expect("SA", 0, 1)
    p.send("A", 1, 1)
    for ack in (-1000, -5000, -0x20000000, 0x30000000, 2, 100):
        p.send("A", 1, ack, b"evil")
        assert s.recv_queue == 0, ack
    # SND.UNA - MAX.SND.WND is still acceptable.
    p.send("A", 1, 1 - 1000, b"late")
    assert recv(s) == b"late"


def test_5961_7_challenge_acks_are_limited():
    h, p, s = established()
    for _ in range(50):
        h.inject(*[p.frame("S", 0) for _ in range(20)])
    n = len(h.device.sent)
    assert 1 <= n <= 200, n
    before = h.counter("tcp_challenge_acks")
    assert before >= n or before > 0
    h.clear()
    h.advance(10000)
    p.send("S", 0)
    p.expect("A", 1, 1)


def test_5961_7_the_limit_does_not_touch_other_acks():
    h, p, s = established(ack_delay=0)
    for _ in range(100):
        h.inject(*[p.frame("S", 0) for _ in range(20)])
    h.clear()
    p.send("A", 1, 1, b"x")
    p.expect("A", 1, 2)


def test_resets_to_closed_ports_do_not_stop_answers_to_others():
    h, s = listener()
    for i in range(200):
        h.inject(tcp(1000 + i, 9, "S"))
    h.clear()
    p = Peer(h)
    p.send("S", 0)
    p.expect("SA", 0, 1)


def flood(h, n, port=6969):
    """SYNs from n addresses that never answer."""
    frames = []
    for i in range(n):
        src = "192.168.69.%d" % (130 + i % 100)
        frames.append(tcp(1024 + i * 7 % 60000, port, "S", i * 99991 & M32, src=src))
        if len(frames) == 16:
            h.inject(*frames)
            frames = []
    h.inject(*frames)


def test_syn_flood_leaves_established_connections_alone():
    h, p, s = established(ack_delay=0)
    for _ in range(3):
        h.add(TCPSocket(64, 64)).listen(6969)
    flood(h, 300)
    h.clear()
    p.send("A", 1, 1, b"still here")
    q = [Packet(f) for at, f in h.device.sent]
    assert any(x.kind == "tcp" and x.dport == p.port for x in q)
    assert recv(s) == b"still here"


def test_syn_flood_does_not_stop_new_connections():
    # At the latest when the half-open ones have been given up; at once with SYN cookies.
    h, s = listener()
    t = h.add(TCPSocket(64, 64))
    t.listen(6969)
    flood(h, 300)
    h.clear()
    p = Peer(h)
    for turn in range(130):
        p.send("S", 0, mss=1000)
        mine = [f for at, f in h.device.sent if Packet(f).kind == "tcp"]
        mine = [x for x in [Packet(f) for f in mine] if x.dport == p.port and x.dst == PEER]
        h.clear()
        if mine and mine[0].flags == "SA":
            p.irs = mine[0].seq
            p.to = 6969
            p.send("A", 1, 1, b"hello")
            break
        h.advance(3000)
    got = [recv(x) for x in (s, t)]
    assert b"hello" in got, (turn, got)


def test_half_open_connections_are_bounded():
    h, s = listener(Host(sockets=4))
    for _ in range(3):
        h.add(TCPSocket(64, 64)).listen(6969)
    flood(h, 200)
    h.clear()
    h.advance(3000)
    # No more retransmitted SYN,ACKs than there are sockets, each a few times.
    n = sum(1 for at, f in h.device.sent if Packet(f).kind == "tcp")
    assert n <= 16, n


def test_a_reset_of_a_listener_s_connection_frees_it_at_once():
    h, s = listener()
    for i in range(50):
        p = Peer(h, port=2000 + i)
        p.send("S", 0)
        p.expect("SA", 0, 1)
        p.send("R", 1)
        check_state(s, "LISTEN")


def test_icmp_cannot_reset_an_established_connection():
    # RFC 5927.
    h, p, s = established()
    s.send(b"abc")
    f = p.expect("A", 1, 1, b"abc").frame[14:42]
    for kind in (3, 11, 12, 4):
        for code in range(16):
            h.inject(icmp(kind, code, data=f))
            check_state(s, "ESTABLISHED")
    p.send("A", 1, 4)
    assert s.send_queue == 0


def test_5961_7_answers_to_empty_segments_out_of_place_are_limited():
    # Or two hosts that find each other's ACKs out of place exchange them for ever.
    h, p, s = established()
    for _ in range(100):
        p.send("A", 100000, 1)
    sent = len(h.device.sent)
    assert 1 <= sent <= 10, sent
    h.clear()
    h.advance(1100)
    p.send("A", 100000, 1)
    p.expect("A", 1, 1)


def test_5961_7_text_and_fin_out_of_place_are_always_answered():
    # The peer sends them until it hears.
    h, p, s = established()
    p.send("A", 1, 1, b"text")
    h.advance(50)
    h.clear()
    for _ in range(50):
        p.send("A", 1, 1, b"text")
        p.expect("A", 1, 5)
    for _ in range(50):
        p.send("FA", 100000, 1)
        p.expect("A", 1, 5)


def test_5961_7_two_hosts_do_not_answer_each_other_for_ever():
    # A forged segment has put each of them in the wrong place.
    h, p, s = established()
    ends = [(h, p, s), established(iss=99)]
    frames = 0
    for n in range(1000):
        for i in (0, 1):
            h, p, s = ends[i]
            if n == 0:
                p.send("A", 100000, 1)
            while h.device.sent:
                h.device.sent.pop(0)
                frames += 1
                other, peer, _ = ends[1 - i]
                other.device.queue.append(peer.frame("A", 100000, 1))
        for h, p, s in ends:
            h.advance(1)
    assert frames <= 50, frames
