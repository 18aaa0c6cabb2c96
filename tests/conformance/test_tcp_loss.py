"""Loss and congestion by the numbers: RFC 5681, 6582, 6675, 6928, 3042, 2883, 3708, 9438.

`stats()` tells the congestion window and the threshold; they are held against what the formulas of
the RFCs give, and what is sent against what is lost by the peer's blocks.
"""

from harness import *

MSS = 100


def flight(p):
    seqs = []
    p.h.run()
    while p.h.device.sent:
        q = p.expect()
        assert len(q.data) <= MSS
        if q.data:
            seqs.append(q.rel)
    return seqs


def numbers(s):
    st = s.stats()
    return st["cwnd"], st["ssthresh"]


def opened(n, sack=False, congestion="reno", tx=8000, grown=0, **opts):
    """A connection with n bytes in flight; `grown` bytes have been acknowledged before."""
    syn = {"mss": MSS}
    if sack:
        syn["sackok"] = True
    h, p, s = established(syn=syn, sack=sack, congestion=congestion, tx=tx, **opts)
    at = 1
    while at < 1 + grown:
        s.send(bytes(MSS))
        p.expect("A", at)
        at += MSS
        p.send("A", 1, at)
    assert s.send(bytes(n)) == n
    first = flight(p)
    return h, p, s, at, first


def test_6928_the_first_window_is_ten_segments():
    for congestion in ("reno", "cubic"):
        h, p, s, at, first = opened(3000, congestion=congestion)
        assert numbers(s)[0] == 10 * MSS and len(first) == 10
        assert numbers(s)[1] > 1 << 28
    h, p, s, at, first = opened(3000, congestion="none")
    assert len(first) == 30


def test_5681_3_1_slow_start_counts_bytes_and_ends_at_the_threshold():
    for step in (100, 50, 300, 1000):
        h, p, s, at, first = opened(7000)
        cwnd = 1000
        acked = 0
        for _ in range(4):
            acked += step
            p.send("A", 1, 1 + acked)
            cwnd += step
            assert numbers(s)[0] == cwnd, (step, cwnd, numbers(s))
            flight(p)
    # A stretch ACK of more than the window counts as the window (RFC 3465).
    h, p, s, at, first = opened(4000, congestion="none")
    assert numbers(s)[0] > 4000


def test_5681_3_1_avoidance_adds_a_segment_a_window():
    h, p, s, at, first = opened(1000)
    for _ in range(3):
        p.send("A", 1, 1)
    flight(p)
    p.send("A", 1, 1 + 1000)
    cwnd, threshold = numbers(s)
    assert threshold == 500 and cwnd <= threshold
    at = 1001
    for acked in (100, 100, 200, 100, 50, 100, 300, 100, 100, 100, 1, 100):
        s.send(bytes(acked))
        assert flight(p)
        at += acked
        p.send("A", 1, at)
        if cwnd < threshold:
            cwnd = min(cwnd + min(acked, cwnd), threshold)
        else:
            cwnd += max(MSS * min(acked, cwnd) // cwnd, 1)
        assert numbers(s) == (cwnd, threshold), (acked, cwnd, numbers(s))


def test_7661_a_window_that_is_not_used_does_not_grow():
    h, p, s, at, first = opened(1000, tx=1000)
    for i in range(1, 5):
        p.send("A", 1, 1 + 100 * i)
        # The buffer and one segment: more could not be filled.
        assert numbers(s)[0] == min(1000 + 100 * i, 1200), (i, numbers(s))
        flight(p)


def test_6582_3_2_the_third_duplicate_halves_what_is_in_flight():
    for n, half in ((1000, 500), (700, 350), (300, 200), (401, 200), (450, 225)):
        h, p, s, at, first = opened(n)
        for i in range(3):
            assert numbers(s)[0] == 1000
            p.send("A", 1, 1)
            assert flight(p) == ([1] if i == 2 else []), (n, i)
        assert numbers(s) == (half + 3 * MSS, half), (n, numbers(s))
        for i in range(1, 4):
            p.send("A", 1, 1)
            assert numbers(s) == (half + (3 + i) * MSS, half), (n, i)
        # All of it: back to the threshold, or to what is in flight and a segment.
        p.send("A", 1, 1 + n)
        assert numbers(s) == (min(half, 2 * MSS), half), (n, numbers(s))
        assert s.stats()["retransmits"] == 1 and s.stats()["dup_acks"] == 6


def test_6582_3_2_a_partial_ack_deflates_and_sends_the_next():
    h, p, s, at, first = opened(1000)
    for _ in range(3):
        p.send("A", 1, 1)
    assert flight(p) == [1]
    cwnd = numbers(s)[0]
    assert cwnd == 500 + 300
    for acked in (100, 200, 300):
        una = 1 + {100: 100, 200: 300, 300: 600}[acked]
        p.send("A", 1, una)
        cwnd = max(cwnd - acked + MSS, MSS)
        assert numbers(s) == (cwnd, 500), (acked, cwnd, numbers(s))
        assert flight(p) == [una], acked
    p.send("A", 1, 1001)
    assert s.stats()["retransmits"] == 4
    assert numbers(s)[0] <= 500


def test_3042_limited_transmit():
    """Each of the first two duplicates lets one segment more go."""
    h, p, s, at, first = opened(3000)
    assert first == [1 + 100 * i for i in range(10)]
    p.send("A", 1, 1)
    assert flight(p) == [1001]
    p.send("A", 1, 1)
    assert flight(p) == [1101]
    p.send("A", 1, 1)
    assert flight(p) == [1]
    assert numbers(s) == (600 + 300, 600)  # twelve segments were in flight


def test_6582_what_is_no_duplicate():
    """Text, another window, nothing in flight, an ACK in between: RFC 5681 section 2."""
    h, p, s, at, first = opened(500)
    p.send("A", 1, 1)
    p.send("A", 1, 1)
    p.send("A", 1, 1, win=60000)
    p.send("A", 1, 1, b"x", win=60000)
    assert flight(p) == [] and s.stats()["dup_acks"] == 2
    p.send("A", 2, 1, win=60000)
    assert flight(p) == [1] and s.stats()["dup_acks"] == 3
    h, p, s, at, first = opened(500)
    for una in (101, 201, 301):
        for _ in range(3):
            p.send("A", 1, una)
        assert flight(p) == []
    h, p, s, at, first = opened(100)
    p.send("A", 1, 101)
    for _ in range(5):
        p.send("A", 1, 101)
    assert s.stats()["dup_acks"] == 0 and flight(p) == []


def test_5681_4_3_of_a_timeout_half_of_the_flight_is_left_once():
    h, p, s, at, first = opened(2000)
    rto = s.stats()["rto"]
    h.advance(rto)
    assert flight(p) == [1]
    assert numbers(s) == (MSS, 500) and s.stats()["timeouts"] == 1
    h.advance(2 * rto)
    assert flight(p) == [1] and numbers(s) == (MSS, 500) and s.stats()["timeouts"] == 2
    # Two segments are the least.
    for n in (100, 250, 400, 500):
        h, p, s, at, first = opened(n)
        h.advance(s.stats()["rto"])
        flight(p)
        assert numbers(s) == (MSS, max(n // 2, 2 * MSS)), (n, numbers(s))


def test_5681_4_1_after_an_rto_of_silence_the_window_is_the_first_one():
    for quiet, again in ((0, False), (1, True)):
        h, p, s, at, first = opened(0, grown=1500)
        assert numbers(s)[0] == 2500
        rto = s.stats()["rto"]
        h.t += rto + quiet
        h.run()
        s.send(bytes(100))
        flight(p)
        assert numbers(s)[0] == (1000 if again else 2500), (quiet, numbers(s))


def test_6675_4_a_loss_is_seen_when_more_than_two_segments_lie_above():
    """IsLost: more than (DupThresh - 1) * SMSS bytes, in how many ACKs and blocks soever."""
    for blocks, lost in (
        ([(101, 201)], False),
        ([(101, 301)], False),
        ([(101, 300)], False),
        ([(101, 302)], True),
        ([(101, 201), (301, 401)], False),
        ([(101, 201), (301, 401), (501, 502)], True),
        ([(101, 202), (301, 401)], True),
        ([(801, 1001)], False),
        ([(800, 1001)], True),
        ([(700, 800), (901, 1001)], False),
    ):
        h, p, s, at, first = opened(1000, True, "none")
        p.send("A", 1, 1, sack=blocks)
        assert bool(flight(p)) == lost, blocks
        # Once more the same is nothing new, so no duplicate (section 2).
        p.send("A", 1, 1, sack=blocks)
        p.send("A", 1, 1, sack=blocks)
        assert not flight(p), blocks
    # Three that report something each are enough, however little.
    h, p, s, at, first = opened(1000, True, "none")
    for i in range(1, 4):
        p.send("A", 1, 1, sack=[(101, 101 + i)])
        assert flight(p) == ([1] if i == 3 else []), i


def test_6675_4_the_next_hole_is_lost_when_as_much_lies_above_it():
    for top, sent in ((601, [1]), (701, [1]), (702, [1, 501])):
        h, p, s, at, first = opened(1000, True, "none")
        # Missing: 1 to 101 and 501 to 601, and what lies beyond `top`.
        blocks = [(101, 501)] + ([(601, top)] if top > 601 else [])
        p.send("A", 1, 1, sack=blocks)
        assert flight(p) == sent, (top, sent)
        # When it is known to be missing it goes out, and only once.
        p.send("A", 1, 1, sack=[(101, 501), (601, 1001)])
        again = flight(p)
        assert sent + again == [1, 501], (top, again)
        p.send("A", 1, 501, sack=[(601, 1001)])
        assert flight(p) == []


def test_6675_5_what_the_peer_has_is_not_sent_again():
    """The holes alone, in pieces that end where the peer has some, each once."""
    for blocks, holes in (
        ([(101, 301), (401, 501), (601, 1001)], [(1, 100), (301, 100), (501, 100)]),
        ([(51, 301), (333, 501), (650, 1001)], [(1, 50), (301, 32), (501, 100), (601, 49)]),
        ([(401, 1001)], [(1, 100), (101, 100), (201, 100), (301, 100)]),
        ([(390, 1001)], [(1, 100), (101, 100), (201, 100), (301, 89)]),
        ([(2, 1001)], [(1, 1)]),
        ([(101, 102), (103, 1001)], [(1, 100), (102, 1)]),
    ):
        h, p, s, at, first = opened(1000, True, "none")
        p.send("A", 1, 1, sack=blocks)
        h.run()
        sent = []
        while h.device.sent:
            q = p.expect("A")
            sent.append((q.rel, len(q.data)))
        assert sent == holes, (blocks, sent)
        for at, n in holes[:-1]:
            p.send("A", 1, at, sack=[b for b in blocks if b[0] > at])
            assert flight(p) == [], at
        p.send("A", 1, 1001)
        assert s.send_queue == 0
        h.advance(60000)
        h.expect_nothing()


def test_6675_4_the_pipe_limits_what_goes_out():
    """Half of the flight may be under way: retransmissions, and what is above the last block."""
    h, p, s, at, first = opened(3000, True)
    assert len(first) == 10
    # Lost: 1 to 701. Half of ten segments are five.
    p.send("A", 1, 1, sack=[(701, 1001)])
    assert numbers(s) == (500, 500)
    assert flight(p) == [1, 101, 201, 301, 401]
    p.send("A", 1, 101, sack=[(701, 1001)])
    assert flight(p) == [501]
    p.send("A", 1, 201, sack=[(701, 1001)])
    assert flight(p) == [601]
    p.send("A", 1, 301, sack=[(701, 1001)])
    assert flight(p) == [1001]  # no hole is left, so something new
    p.send("A", 1, 401, sack=[(701, 1001)])
    assert flight(p) == [1101]
    p.send("A", 1, 401, sack=[(1001, 1101), (701, 1001)])
    assert flight(p) == [1201]
    assert numbers(s) == (500, 500)
    p.send("A", 1, 1301)
    assert numbers(s)[0] <= 500


def test_6675_5_recovery_ends_at_what_had_been_sent_when_it_began():
    h, p, s, at, first = opened(1500, True)
    p.send("A", 1, 1, sack=[(101, 601)])
    assert flight(p)[0] == 1
    window = numbers(s)
    # Another loss in the same window of data is no other event.
    p.send("A", 1, 601, sack=[(701, 1001)])
    flight(p)
    assert numbers(s)[1] == window[1]
    p.send("A", 1, 1001)
    flight(p)
    assert numbers(s)[1] == window[1]
    sent = s.stats()["retransmits"]
    p.send("A", 1, 1001, sack=[(1101, 1402)])
    assert 1001 in flight(p) and s.stats()["retransmits"] > sent
    assert numbers(s)[1] < window[1]


def test_2018_8_blocks_count_until_a_second_timeout():
    """After the first what the peer has reported is spared; after the second nothing is."""
    h, p, s, at, first = opened(600, True, "none")
    p.send("A", 1, 1, sack=[(201, 401)])
    assert flight(p) == []
    rto = s.stats()["rto"]
    h.advance(rto)
    assert flight(p) == [1, 101, 401, 501]
    h.advance(2 * rto)
    assert flight(p) == [1, 101, 201, 301, 401, 501]
    h.advance(4 * rto)
    assert flight(p) == [1, 101, 201, 301, 401, 501]
    # With a window for congestion, one at a time.
    h, p, s, at, first = opened(600, True)
    p.send("A", 1, 1, sack=[(101, 301)])
    assert flight(p) == []
    h.advance(s.stats()["rto"])
    assert flight(p) == [1]
    p.send("A", 1, 301)
    assert flight(p) == [301, 401]
    h, p, s, at, first = opened(600, True)
    p.send("A", 1, 1, sack=[(101, 301)])
    h.advance(3 * s.stats()["rto"])
    assert flight(p) == [1, 1]
    p.send("A", 1, 101)
    assert flight(p) == [101, 201]


def test_3708_a_needless_retransmission_is_undone():
    h, p, s, at, first = opened(1000, True)
    before = numbers(s)
    for i in range(1, 4):
        p.send("A", 1, 1, sack=[(101, 101 + 100 * i)])
    assert flight(p) == [1] and numbers(s) == (500, 500)
    p.send("A", 1, 401, sack=[(1, 101)])
    cwnd, threshold = numbers(s)
    assert threshold == before[1] and cwnd >= before[0], (before, numbers(s))
    # Two were sent again, and one of them is reported so: something was lost.
    h, p, s, at, first = opened(1000, True)
    p.send("A", 1, 1, sack=[(101, 201), (301, 1001)])
    assert flight(p) == [1, 201]
    p.send("A", 1, 1001, sack=[(1, 101)])
    assert numbers(s)[1] == 500
    # Both, and it is undone.
    h, p, s, at, first = opened(1000, True)
    p.send("A", 1, 1, sack=[(101, 201), (301, 1001)])
    assert flight(p) == [1, 201]
    p.send("A", 1, 201, sack=[(1, 101), (301, 1001)])
    assert numbers(s)[1] == 500
    p.send("A", 1, 1001, sack=[(201, 301)])
    assert numbers(s)[1] == before[1]


def test_4653_who_is_reordered_waits_for_more():
    """Each needless one raises what may overtake a segment by two, as far as there is as much."""
    h, p, s, at, first = opened(0, True, "none", tx=30000)
    una = 1
    need = 3
    for _ in range(18):
        s.send(bytes(6000))
        flight(p)
        n = 0
        while True:
            n += 1
            p.send("A", 1, una, sack=[(una + 100, una + 100 + 100 * n)])
            if una in flight(p):
                break
            assert n < 60
        assert n == need, (n, need)
        p.send("A", 1, una + 100 * (n + 1), sack=[(una, una + 100)])
        flight(p)
        p.send("A", 1, una + 6000)
        una += 6000
        need = min(need + 2, 33)
    # Where fewer are in flight, as many as there are.
    for n in (8, 5):
        s.send(bytes(100 * n))
        flight(p)
        p.send("A", 1, una, sack=[(una + 100, una + 100 * n - 100)])
        assert flight(p) == [], n
        p.send("A", 1, una, sack=[(una + 100, una + 100 * n)])
        assert flight(p) == [una], n
        una += 100 * n
        p.send("A", 1, una)


def test_9438_4_6_and_4_7_less_is_left_and_room_made():
    """Seven tenths; and who loses twice below its last maximum takes 85 % of it for the next."""
    for congestion, share in (("cubic", 7), ("reno", 5)):
        for n in (1000, 700, 330):
            h, p, s, at, first = opened(n, congestion=congestion)
            for _ in range(3):
                p.send("A", 1, 1)
            flight(p)
            want = max(n * share // 10, 2 * MSS)
            assert numbers(s) == (want + 3 * MSS, want), (congestion, n, numbers(s))


def curve(w_max, start, ms):
    """RFC 9438 section 4.2: C * (t - K)^3 + W_max, in bytes, from `start` on."""
    k = (max(w_max - start, 0) / MSS / 0.4) ** (1 / 3)
    return w_max + 0.4 * (ms / 1000 - k) ** 3 * MSS


def test_9438_4_2_the_window_follows_the_curve():
    """Concave up to the window at the loss, convex beyond, over round trips of 900 ms."""
    for again in (False, True):
        h, p, s = syn_received(syn={"mss": MSS}, congestion="cubic", sack=False, tx=40000)
        h.t += 900
        p.send("A", 1, 1)
        una = 1

        def turn(most, h=h, p=p, s=s):
            """As much as the window lets go; its ACKs come a round trip later, one for each."""
            s.send(bytes(40000))
            sent = []
            while len(sent) < most:
                got = flight(p)
                if not got:
                    break
                sent += got
            h.t += 900
            return len(sent)

        while numbers(s)[0] < 5000:
            n = turn(100)
            for i in range(n):
                h.device.queue.append(p.frame("A", 1, una + 100 * (i + 1)))
            h.run()
            una += 100 * n
        # A loss, at a window of W_max; where it was higher at the last one, less is remembered.
        w_max = numbers(s)[0]
        for k in range(2 if again else 1):
            w_max = numbers(s)[0] if k == 0 else numbers(s)[0] * 17 // 20
            while flight(p):
                pass
            for _ in range(3):
                p.send("A", 1, una)
            flight(p)
            start = numbers(s)[1]
            una = 1 + (s._tcb[12] - p.irs - 1 & M32)
            p.send("A", 1, una)
        model = begun = None
        for _ in range(14):
            for _ in range(turn(400)):
                una += 100
                p.send("A", 1, una)
                cwnd = numbers(s)[0]
                if model is None:
                    if cwnd <= start:
                        continue
                    model = friendly = float(start)
                    begun = h.t
                # Section 4.4: each ACK takes its share of the way to where the curve is.
                friendly += 0.53 * MSS * MSS / friendly
                target = max(curve(w_max, start, h.t - begun), friendly)
                model += max(min(target, 1.5 * model) - model, 0) * MSS / model
                assert abs(cwnd - model) <= MSS + model // 20, (h.t - begun, cwnd, model)
                model = min(model, 40100)
        assert cwnd > w_max + 1000
