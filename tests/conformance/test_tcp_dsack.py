"""Duplicate SACK: what has come twice is reported (RFC 2883), and needless resending undone."""

from states import *

MSS = 100


def agreed(h=None, **opts):
    return established(h, syn={"mss": MSS, "sackok": True}, **opts)


def flight(p):
    seqs = []
    while p.h.device.sent:
        seqs.append(p.expect("A").rel)
    return seqs


def sending(n=1000):
    """A connection with n bytes in flight."""
    h, p, s = agreed(tx=4000, congestion="reno")
    s.send(bytes(n))
    h.run()
    assert flight(p) == list(range(1, 1 + n, MSS))
    return h, p, s


def test_duplicate_is_reported_first_and_once():
    h, p, s = agreed()
    p.send("A", 1, 1, bytes(30))
    h.advance(20)
    h.clear()
    p.send("A", 11, 1, bytes(10))
    assert p.expect("A", 1, 31).sack == [(11, 21)]
    p.send("A", 41, 1, bytes(10))
    assert p.expect("A", 1, 31).sack == [(41, 51)]
    p.send("A", 1, 1, bytes(30))
    assert p.expect("A", 1, 31).sack == [(1, 31), (41, 51)]
    p.send("A", 31, 1, bytes(10))
    h.advance(20)
    assert p.expect("A", 1, 51).sack == []


def test_without_sack_nothing_is_reported():
    h, p, s = established(syn={"mss": MSS})
    p.send("A", 1, 1, bytes(30))
    h.advance(20)
    h.clear()
    p.send("A", 1, 1, bytes(30))
    assert p.expect("A", 1, 31).sack == []


def test_duplicate_across_the_wrap():
    h, p, s = agreed(iss=M32 - 10)
    p.send("A", 1, 1, bytes(30))
    h.advance(20)
    h.clear()
    p.send("A", 1, 1, bytes(20))
    assert p.expect("A", 1, 31).sack == [(1, 21)]


def late(p, window):
    """Segment 1 is late: what overtakes it has it sent again, and then both arrive."""
    for i in range(1, 5):
        p.send("A", 1, 1, sack=[(101, 101 + 100 * i)])
    sent = flight(p)
    assert 1 in sent, sent
    assert p_cwnd(p) < window
    # The late one arrives, and then the second copy: a D-SACK.
    p.send("A", 1, 501)
    p.send("A", 1, 501, sack=[(1, 101)])
    flight(p)


def p_cwnd(p):
    return p.socket.stats()["cwnd"]


def test_needless_retransmission_is_undone():
    h, p, s = sending()
    p.socket = s
    window = s.stats()["cwnd"]
    threshold = s.stats()["ssthresh"]
    late(p, window)
    assert s.stats()["cwnd"] >= window, (s.stats(), window)
    assert s.stats()["ssthresh"] == threshold
    p.send("A", 1, 1001)
    # The net is known to reorder now: three segments that overtake one are no loss any more...
    s.send(bytes(1000))
    h.run()
    flight(p)
    for i in range(1, 4):
        p.send("A", 1, 1001, sack=[(1101, 1101 + 100 * i)])
    assert 1001 not in flight(p)
    # ... but more are.
    for i in range(4, 8):
        p.send("A", 1, 1001, sack=[(1101, 1101 + 100 * i)])
    assert 1001 in flight(p)


def test_real_loss_is_not_undone():
    h, p, s = sending()
    window = s.stats()["cwnd"]
    for i in range(1, 5):
        p.send("A", 1, 1, sack=[(101, 101 + 100 * i)])
    assert 1 in flight(p)
    p.send("A", 1, 1001)
    assert s.stats()["cwnd"] < window
    # A stale block below SND_UNA that is no copy of what was sent again, twice, is taken for one
    # such report only.
    p.send("A", 1, 1001, sack=[(1, 101)])
    p.send("A", 1, 1001, sack=[(1, 101)])
    check_state(s, "ESTABLISHED")


def test_timeout_for_a_lost_ack_is_undone():
    h, p, s = sending(500)
    window = s.stats()["cwnd"]
    h.advance(250)
    assert flight(p) == [1]
    assert s.stats()["cwnd"] == MSS
    # Everything had arrived: the ACK says so, and that it has the first segment twice.
    p.send("A", 1, 501, sack=[(1, 101)])
    assert s.stats()["cwnd"] >= window
    s.send(bytes(1000))
    h.run()
    assert len(flight(p)) >= 8


def test_block_that_lies_is_no_duplicate():
    h, p, s = sending()
    for i in range(1, 5):
        p.send("A", 1, 1, sack=[(101, 101 + 100 * i)])
    assert 1 in flight(p)
    less = s.stats()["cwnd"]
    for lie in ((5001, 5101), (101, 1), (1, 1)):
        p.send("A", 1, 1, sack=[lie])
    flight(p)
    assert s.stats()["cwnd"] <= less + 4 * MSS
