"""Selective acknowledgment (RFC 2018, 2883, 6675)."""

from states import *

MSS = 100


def agreed(**opts):
    """A connection on which SACK was agreed."""
    s = TCPSocket(64, 64)
    if hasattr(s, "sack"):
        opts["sack"] = True
    return established(syn={"mss": MSS, "sackok": True}, **opts)


def off():
    return lacks("sack")


def test_2_permitted_in_our_syn():
    if off():
        return off()
    h = Host()
    s = h.add(TCPSocket(1000, 1000))
    s.sack = True
    s.connect(PEER, 80)
    h.expect("tcp", flags="S", sackok=True)
    s.abort()
    h.run()
    h.clear()
    s.sack = False
    s.connect(PEER, 80)
    h.expect("tcp", flags="S", sackok=False)


def test_2_permitted_in_our_syn_ack_only_where_offered():
    if off():
        return off()
    for enabled in (True, False):
        for offered in (True, False):
            h, s = listener(sack=enabled)
            p = Peer(h)
            p.send("S", 0, mss=MSS, sackok=offered)
            p.expect("SA", 0, 1, sackok=enabled and offered)


def test_2_without_agreement_no_block_is_sent():
    h, p, s = established(syn={"mss": MSS})
    p.send("A", 11, 1, b"x" * 10)
    p.expect("A", 1, 1, sack=[])
    if off():
        return
    h, p, s = established(syn={"mss": MSS, "sackok": True}, sack=False)
    p.send("A", 11, 1, b"x" * 10)
    p.expect("A", 1, 1, sack=[])


def blocks(p, ack):
    return p.expect("A", 1, ack).sack


def test_4_first_block_holds_the_newest_segment():
    if off():
        return off()
    h, p, s = agreed()
    p.send("A", 11, 1, bytes(10))
    assert blocks(p, 1) == [(11, 21)]
    p.send("A", 31, 1, bytes(10))
    assert blocks(p, 1)[0] == (31, 41)
    p.send("A", 21, 1, bytes(5))
    assert blocks(p, 1)[0] == (11, 26)
    p.send("A", 41, 1, bytes(9))
    got = blocks(p, 1)
    assert got[0] == (31, 50) and set(got) <= {(31, 50), (11, 26)}, got


def test_4_all_blocks_are_true_and_disjoint():
    if off():
        return off()
    h, p, s = agreed(rx=1000)
    came = set()
    for at in (100, 300, 200, 500, 150, 400, 50, 310, 299, 600, 110):
        p.send("A", 1 + at, 1, bytes(10))
        came.update(range(at, at + 10))
        got = blocks(p, 1)
        assert 1 <= len(got) <= 4, got
        for left, right in got:
            # A piece may have been dropped, but what is reported must be here.
            assert all(i - 1 in came for i in range(left, right)), (got, at)
            assert left > 1


def test_4_no_blocks_once_the_gap_is_filled():
    if off():
        return off()
    h, p, s = agreed()
    p.send("A", 11, 1, bytes(10))
    assert blocks(p, 1)
    p.send("A", 1, 1, bytes(10))
    assert blocks(p, 21) == []
    p.send("A", 21, 1, b"x")
    h.advance(20)
    assert blocks(p, 22) == []


def test_4_cumulative_ack_moves_below_the_block():
    if off():
        return off()
    h, p, s = agreed()
    p.send("A", 31, 1, bytes(10))
    assert blocks(p, 1) == [(31, 41)]
    p.send("A", 1, 1, bytes(10))
    h.advance(20)
    assert blocks(p, 11) == [(31, 41)]


def test_2883_duplicate_segment():
    # A D-SACK block comes first, below the cumulative ACK or inside another block; or no D-SACK.
    if off():
        return off()
    h, p, s = agreed()
    p.send("A", 1, 1, bytes(20))
    h.advance(20)
    h.clear()
    p.send("A", 1, 1, bytes(10))
    got = blocks(p, 21)
    assert got in ([], [(1, 11)]), got


def test_blocks_across_the_wrap():
    if off():
        return off()
    h, p, s = agreed(iss=M32 - 15)
    p.send("A", 11, 1, bytes(10))
    assert blocks(p, 1) == [(11, 21)]
    p.send("A", 31, 1, bytes(10))
    assert blocks(p, 1)[0] == (31, 41)


def test_blocks_fit_with_data():
    if off():
        return off()
    h, p, s = agreed()
    for at in (11, 31, 51, 71):
        p.send("A", at, 1, bytes(10))
    h.clear()
    s.send(bytes(MSS))
    r = p.expect("A", 1, 1)
    assert len(r.frame) <= 1514


def sending(n=1000, **opts):
    """n bytes in flight in segments of 100, SACK agreed, no congestion window in the way."""
    if not lacks("congestion"):
        opts["congestion"] = opts.get("congestion", "none")
    h, p, s = agreed(tx=4000, **opts)
    s.send(bytes(i & 255 for i in range(n)))
    h.run()
    got = flight(p)
    assert got == list(range(1, n, 100)), got
    return h, p, s


def flight(p):
    seqs = []
    p.h.run()
    while p.h.device.sent:
        seqs.append(p.expect("A").rel)
    return seqs


def test_6675_only_the_holes_are_retransmitted():
    if off():
        return off()
    h, p, s = sending()
    # Lost: 1 and 401. Everything else arrives.
    p.send("A", 1, 1, sack=[(101, 201)])
    p.send("A", 1, 1, sack=[(101, 301)])
    p.send("A", 1, 1, sack=[(101, 401)])
    sent = flight(p)
    p.send("A", 1, 1, sack=[(501, 601), (101, 401)])
    sent += flight(p)
    p.send("A", 1, 1, sack=[(501, 701), (101, 401)])
    sent += flight(p)
    p.send("A", 1, 1, sack=[(501, 801), (101, 401)])
    sent += flight(p)
    p.send("A", 1, 1, sack=[(501, 1001), (101, 401)])
    sent += flight(p)
    p.send("A", 1, 401, sack=[(501, 1001)])
    sent += flight(p)
    assert sorted(sent) == [1, 401], sent
    p.send("A", 1, 1001)
    h.advance(60000)
    h.expect_nothing()
    assert s.send_queue == 0


def test_6675_loss_is_seen_by_three_segments_in_one_block():
    if off():
        return off()
    h, p, s = sending()
    p.send("A", 1, 1, sack=[(101, 201)])
    h.expect_nothing()
    p.send("A", 1, 1, sack=[(101, 601)])
    sent = flight(p)
    p.send("A", 1, 1, sack=[(101, 701)])
    sent += flight(p)
    assert sent == [1], sent


def test_2018_sacked_data_is_kept_until_acknowledged():
    # Section 8: the receiver may renege; after a timeout everything may be sent again.
    if off():
        return off()
    h, p, s = sending(300)
    p.send("A", 1, 1, sack=[(201, 301)])
    assert s.send_queue == 300
    h.advance(5000)
    assert 1 in flight(p)
    p.send("A", 1, 201)
    h.advance(10000)
    assert 201 in flight(p)
    p.send("A", 1, 301)
    assert s.send_queue == 0


def test_absurd_blocks_are_ignored():
    if off():
        return off()
    for sack in (
        [(1, 1)],
        [(0, 0)],
        [(301, 201)],
        [(2000, 3000)],
        [(-1000, 1)],
        [(-1000, 5000)],
        [(1, 0x80000000)],
        [(501, 601), (501, 601), (501, 601)],
    ):
        h, p, s = sending(400)
        for _ in range(6):
            p.send("A", 1, 1, sack=sack)
        p.send("A", 1, 101)
        h.advance(10000)
        flight(p)
        p.send("A", 1, 401)
        assert s.send_queue == 0 and s.state == TCPSocket.ESTABLISHED, sack
        h.advance(60000)
        h.expect_nothing()


def test_malformed_option_is_ignored():
    if off():
        return off()
    h, p, s = sending(400)
    for o in (b"\x05\x02", b"\x05\x06abcd", b"\x05\x22" + bytes(10), b"\x05\x0a" + bytes(4)):
        p.send("A", 1, 1, options=o)
    assert s.state == TCPSocket.ESTABLISHED
    flight(p)
    p.send("A", 1, 401)
    assert s.send_queue == 0


def test_6675_two_segments_sacked_are_no_loss_yet():
    # Section 4, IsLost: more than two segments' bytes above the hole.
    if off():
        return off()
    h, p, s = sending()
    p.send("A", 1, 1, sack=[(101, 301)])
    assert flight(p) == []
    p.send("A", 1, 1, sack=[(101, 302)])
    assert flight(p) == [1]


def test_lies_are_not_believed():
    # What a false block covers is still sent again when it is missing.
    if off():
        return off()
    for lie in ((401, 502), (401, 100000), (501, 401), (401, 401 + 0x40000000)):
        h, p, s = sending(500)
        p.send("A", 1, 1, sack=[lie])
        p.send("A", 1, 1, sack=[(101, 401), lie])
        assert flight(p) == [1], lie
        p.send("A", 1, 401, sack=[lie])
        h.advance(3000)
        assert 401 in flight(p), lie
        p.send("A", 1, 501)
        assert s.send_queue == 0


def test_second_and_third_block_count():
    if off():
        return off()
    h, p, s = sending()
    p.send("A", 1, 1, sack=[(901, 1001), (501, 601), (101, 201)])
    for _ in range(3):
        p.send("A", 1, 1, sack=[(901, 1001), (501, 601), (101, 201)])
    sent = flight(p)
    for at in range(1, 1000, 100):
        p.send("A", 1, 201, sack=[(901, 1001), (501, 601)])
        sent += flight(p)
    assert 1 in sent and not {101, 501, 901} & set(sent), sent


def test_6675_all_holes_in_one_round_trip():
    # Section 4, NextSeg: what is lost goes out in order, each piece once.
    if off():
        return off()
    for sack, holes in (
        ([(701, 1001), (401, 601), (101, 301)], [1, 301, 601]),
        ([(701, 1001), (101, 601)], [1, 601]),
        ([(601, 1001), (301, 401)], [1, 101, 201, 401, 501]),
        ([(650, 1001), (301, 450)], [1, 101, 201, 450, 550]),
    ):
        h, p, s = sending()
        for _ in range(6):
            p.send("A", 1, 1, sack=sack)
        assert flight(p) == holes, (sack, holes)


def test_6675_the_window_limits_retransmissions():
    # Pipe: what is in flight, less what is known to be lost or to have arrived.
    if off() or lacks("congestion"):
        return off() or lacks("congestion")
    h, p, s = sending(1000, congestion="reno")
    p.send("A", 1, 1, sack=[(901, 1001)])
    p.send("A", 1, 1, sack=[(801, 1001)])
    # Lost: 1 to 701. Five of the ten segments may be in flight, at the most.
    p.send("A", 1, 1, sack=[(701, 1001)])
    sent = flight(p)
    assert sent[0] == 1 and sent == [1 + 100 * i for i in range(len(sent))], sent
    assert 1 <= len(sent) <= 6, sent
    p.send("A", 1, 101, sack=[(701, 1001)])
    more = flight(p)
    assert 1 <= len(more) <= 3 and more[0] == 1 + 100 * len(sent), (sent, more)


def test_2018_nothing_is_skipped_after_a_timeout():
    if off():
        return off()
    h, p, s = sending(500)
    p.send("A", 1, 1, sack=[(201, 401)])
    h.advance(250)
    seen = flight(p)
    assert 1 in seen
    # The receiver has dropped what it reported: it acknowledges as far as it has got.
    for at in (101, 201, 301, 401):
        p.send("A", 1, at)
        seen += flight(p)
        if at not in seen:
            h.advance(2000)
            seen += flight(p)
    assert set(seen) >= {1, 101, 201, 301, 401}, seen
    p.send("A", 1, 501)
    assert s.send_queue == 0


def test_4_pieces_that_are_joined_are_one_block():
    if off():
        return off()
    for joint, want in (
        ((21, 31), [(11, 41), (51, 61), (71, 81)]),
        ((21, 51), [(11, 61), (71, 81)]),
        ((15, 55), [(11, 61), (71, 81)]),
        ((11, 81), [(11, 81)]),
        ((5, 90), [(5, 90)]),
        ((41, 71), [(31, 81), (11, 21)]),
    ):
        h, p, s = agreed()
        for at in (11, 31, 51, 71):
            p.send("A", at, 1, bytes(10))
        h.clear()
        p.send("A", joint[0], 1, bytes(joint[1] - joint[0]))
        got = blocks(p, 1)
        assert sorted(got) == sorted(want) and got[0] == want[0], (joint, got)
        # And the stream goes on behind it.
        p.send("A", 1, 1, bytes(joint[0] - 1))
        while h.device.sent:
            r = p.expect("A", 1)
        reached = max([right for left, right in want if left <= joint[0]])
        assert r.rack == reached and recv(s) == bytes(reached - 1), (joint, r)
