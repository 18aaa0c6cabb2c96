"""Fast retransmit and recovery (RFC 5681, 6582), limited transmit (RFC 3042), the window."""

from states import *

MSS = 100


def sender(n=500, rtt=200, h=None, **opts):
    """A connection with a known round trip and `n` bytes sent in segments of 100; what came."""
    opts["tx"] = opts.get("tx", 4000)
    h, p, s = syn_received(h, syn={"mss": MSS}, **opts)
    h.advance(rtt)
    p.send("A", 1, 1)
    s.send(bytes(i & 255 for i in range(n)))
    h.run()
    return h, p, s, flight(p)


def flight(p):
    """The relative sequence numbers of what was sent."""
    seqs = []
    p.h.run()
    while p.h.device.sent:
        seqs.append(p.expect("A").rel)
    return seqs


def grow(h, p, s, n=1000):
    """Opens the congestion window by sending and acknowledging n bytes; the next number."""
    at = 1
    while at < 1 + n:
        s.send(bytes(min(MSS, 1 + n - at)))
        r = p.expect("A", at)
        at += len(r.data)
        p.send("A", 1, at)
    h.expect_nothing()
    return at


def test_third_duplicate_ack_retransmits_at_once():
    h, p, s, sent = sender(300)
    assert sent == [1, 101, 201]
    p.send("A", 1, 1)
    p.send("A", 1, 1)
    h.expect_nothing()
    p.send("A", 1, 1)
    p.expect("A", 1, 1, bytes(range(100)))
    h.expect_nothing()
    p.send("A", 1, 301)
    assert s.send_queue == 0
    h.advance(60000)
    h.expect_nothing()


def test_further_duplicates_do_not_retransmit_again():
    h, p, s, sent = sender(300)
    for _ in range(3):
        p.send("A", 1, 1)
    p.expect("A", 1, 1)
    for _ in range(5):
        p.send("A", 1, 1)
    h.expect_nothing()


def test_what_is_no_duplicate_ack():
    # RFC 5681 2: it has no data, no SYN or FIN, the same window, and data is outstanding.
    h, p, s, sent = sender(300)
    for i in range(5):
        p.send("A", 1 + i, 1, b"x")
    for i in range(5):
        p.send("A", 6, 1, win=30000 + i * 100)
    h.advance(20)
    for q in flight(p):
        assert q != 1, "retransmitted"
    h, p, s = established()
    for _ in range(6):
        p.send("A", 1, 1)
    h.expect_nothing()


def test_duplicates_are_counted_anew_after_progress():
    h, p, s, sent = sender(300)
    p.send("A", 1, 1)
    p.send("A", 1, 1)
    p.send("A", 1, 101)
    p.send("A", 1, 101)
    p.send("A", 1, 101)
    h.expect_nothing()
    p.send("A", 1, 101)
    p.expect("A", 101, 1)


def test_partial_ack_retransmits_the_next_hole():
    # RFC 6582 3.2, step 3: several losses in one window, one round trip each.
    if lacks("NewReno"):
        return lacks("NewReno")
    h, p, s = established(tx=4000, syn={"mss": MSS})
    at = grow(h, p, s)
    s.send(bytes(800))
    assert flight(p) == [at + 100 * i for i in range(8)]
    for _ in range(3):
        p.send("A", 1, at)
    assert flight(p)[0] == at
    p.send("A", 1, at + 300)
    assert flight(p)[0] == at + 300
    p.send("A", 1, at + 500)
    assert flight(p)[0] == at + 500
    p.send("A", 1, at + 800)
    assert flight(p) == []
    h.advance(60000)
    h.expect_nothing()
    assert s.send_queue == 0


def test_recovery_ends_and_begins_again():
    h, p, s = established(tx=4000, syn={"mss": MSS})
    at = grow(h, p, s)
    for _ in range(4):
        s.send(bytes(500))
        n = len(flight(p))
        for _ in range(3):
            p.send("A", 1, at)
        assert at in flight(p)
        p.send("A", 1, at + 100 * n)
        h.advance(50)
        got = flight(p)
        at += 500
        if got:
            p.send("A", 1, at)
            flight(p)


def test_lost_retransmission_is_left_to_the_timer():
    h, p, s, sent = sender(300)
    for _ in range(3):
        p.send("A", 1, 1)
    p.expect("A", 1, 1)
    h.advance(5000)
    assert 1 in flight(p)


def test_limited_transmit():
    # RFC 3042: the first two duplicates each send one new segment.
    h, p, s, sent = sender(2000, congestion="reno") if not lacks("congestion") else sender(2000)
    n = len(sent)
    if n == 20:
        return "SKIP no congestion window by default"
    p.send("A", 1, 1)
    assert flight(p) in ([1 + n * MSS], []), "more than one"
    p.send("A", 1, 1)
    got = flight(p)
    assert len(got) == 1 and got[0] > 1, got
    p.send("A", 1, 1)
    assert flight(p)[0] == 1


def test_5681_initial_window():
    # RFC 6928: at most ten segments.
    if lacks("congestion"):
        return lacks("congestion")
    for kind in ("reno", "cubic"):
        h, p, s, sent = sender(3000, congestion=kind)
        assert 2 <= len(sent) <= 10, (kind, sent)
        h.advance(100)
        h.expect_nothing()


def test_5681_slow_start():
    # 3.1: at most one segment more for each new ACK.
    if lacks("congestion"):
        return lacks("congestion")
    for kind in ("reno", "cubic"):
        h, p, s, sent = sender(4000, congestion=kind)
        window = len(sent)
        acked = 0
        for _ in range(6):
            acked += 1
            p.send("A", 1, 1 + MSS * acked)
            new = flight(p)
            assert 1 <= len(new) <= 2, (kind, new)
            window += len(new) - 1


def test_5681_none_means_the_peers_window_only():
    if lacks("congestion"):
        return lacks("congestion")
    h, p, s, sent = sender(4000, congestion="none")
    assert len(sent) == 40


def test_5681_timeout_restarts_with_one_segment():
    if lacks("congestion"):
        return lacks("congestion")
    for kind in ("reno", "cubic"):
        h, p, s, sent = sender(3000, congestion=kind)
        h.advance(900)
        assert flight(p) == [1]
        p.send("A", 1, 1 + MSS * len(sent))
        new = flight(p)
        assert 1 <= len(new) <= 3, (kind, new)


def test_5681_recovery_halves_the_window():
    if lacks("congestion"):
        return lacks("congestion")
    for kind in ("reno", "cubic"):
        h, p, s = established(tx=8000, rx=100, congestion=kind, syn={"mss": MSS})
        at = grow(h, p, s, 1000)
        s.send(bytes(6000))
        h.run()
        before = flight(p)
        n = len(before)
        assert n >= 4
        for _ in range(3):
            p.send("A", 1, at)
        flight(p)
        p.send("A", 1, at + n * MSS)
        h.advance(100)
        after = len(flight(p))
        assert after <= n * 8 // 10 + 1, (kind, n, after)


def test_5681_idle_connection_restarts_slowly():
    # 4.1: after an RTO of silence the window is at most the initial one.
    if lacks("congestion"):
        return lacks("congestion")
    h, p, s = established(tx=8000, congestion="reno", syn={"mss": MSS})
    grow(h, p, s, 4000)
    h.advance(30000)
    s.send(bytes(6000))
    assert len(flight(p)) <= 10


def test_congestion_is_checked():
    if lacks("congestion"):
        return lacks("congestion")
    s = TCPSocket(64, 64)
    try:
        s.congestion = "vegas"
    except ValueError:
        return
    raise AssertionError("accepted")


def test_6582_window_inflates_with_each_duplicate():
    # Step 4: each further duplicate says that a segment has left the network.
    if lacks("congestion", "sack"):
        return lacks("congestion", "sack")
    h, p, s = established(tx=8000, congestion="reno", sack=False, syn={"mss": MSS})
    at = grow(h, p, s, 500)
    s.send(bytes(6000))
    n = len(flight(p))
    assert n >= 8
    for _ in range(3):
        p.send("A", 1, at)
    assert at in flight(p)
    new = []
    for _ in range(n - 4):
        p.send("A", 1, at)
        new += flight(p)
    # Half of the window later new segments follow, one for each duplicate at most.
    # (Two more went out by limited transmit.)
    assert 1 <= len(new) <= n // 2 + 1 and min(new) >= at + n * MSS, (n, new)


def test_6582_window_deflates_after_recovery():
    if lacks("congestion", "sack"):
        return lacks("congestion", "sack")
    h, p, s = established(tx=8000, congestion="reno", sack=False, syn={"mss": MSS})
    at = grow(h, p, s, 500)
    s.send(bytes(7000))
    n = len(flight(p))
    for _ in range(n - 1):
        p.send("A", 1, at)
    sent = n + len([q for q in flight(p) if q > at])
    p.send("A", 1, at + sent * MSS)
    assert 1 <= len(flight(p)) <= n // 2 + 1


def test_echo_of_a_timeout_is_no_loss():
    # Without SACK: what the timeout sent again the peer had, and the duplicate ACKs for that say
    # nothing about what has been sent since, until something beyond it is acknowledged.
    h, p, s = established(tx=4000, syn={"mss": MSS})
    s.send(bytes(500))
    h.run()
    flight(p)
    h.advance(250)
    assert flight(p) == [1]
    p.send("A", 1, 501)
    s.send(bytes(500))
    h.run()
    assert 501 in flight(p)
    for _ in range(3):
        p.send("A", 1, 501)
    assert 501 not in flight(p)
    p.send("A", 1, 601)
    s.send(bytes(500))
    h.run()
    flight(p)
    for _ in range(3):
        p.send("A", 1, 601)
    assert 601 in flight(p)
