"""RFC 9293 sections 3.8.1 and 3.8.3, RFC 6298: retransmission, its timer, giving up."""

from states import *


def sent_times(h, p, flags="A", seq=1):
    times = []
    while h.device.sent:
        times.append(p.expect(flags, seq).at)
    return times


def near(got, want, slack=60):
    assert want - slack <= got <= want + slack, "%s is not near %s" % (got, want)


def slow(rtt, **opts):
    """A connection whose handshake took `rtt` ms."""
    h, p, s = syn_received(**opts)
    h.advance(rtt)
    p.send("A", 1, 1)
    h.expect_nothing()
    return h, p, s


def test_3_8_1_lost_segment_is_sent_again():
    h, p, s = established()
    s.send(b"abc")
    p.expect("A", 1, 1, b"abc")
    h.advance(3000)
    p.expect("A", 1, 1, b"abc")
    h.clear()
    p.send("A", 1, 4)
    h.advance(100000)
    h.expect_nothing()


def test_3_8_1_nothing_is_sent_again_once_acknowledged():
    h, p, s = established()
    s.send(b"abc")
    p.expect("A", 1, 1, b"abc")
    p.send("A", 1, 4)
    h.advance(100000)
    h.expect_nothing()


def test_3_8_1_only_the_first_segment_is_sent_again():
    # RFC 6298 5.4: the earliest segment not acknowledged.
    h, p, s = slow(500, syn={"mss": 100})
    s.send(bytes(300))
    for i in range(3):
        p.expect("A", 1 + 100 * i, 1)
    h.advance(1600)
    p.expect("A", 1, 1, bytes(100))
    h.expect_nothing()


def test_3_8_1_part_of_a_segment_acknowledged():
    h, p, s = established(syn={"mss": 100})
    s.send(bytes(range(80)))
    p.expect("A", 1, 1)
    p.send("A", 1, 31)
    h.advance(3000)
    r = p.expect("A", 31, 1)
    assert r.data == bytes(range(30, 80))


def test_3_8_1_retransmission_may_carry_more():
    h, p, s = established()
    s.send(b"abc")
    p.expect("A", 1, 1, b"abc")
    s.send(b"def")
    h.advance(3000)
    r = p.expect("A", 1, 1)
    assert r.data in (b"abc", b"abcdef")


def test_3_8_1_backoff_doubles():
    h, p, s = slow(500)
    s.send(b"abc")
    first = p.expect("A", 1, 1, b"abc").at
    h.advance(50000)
    times = [first] + sent_times(h, p)
    steps = [times[i + 1] - times[i] for i in range(len(times) - 1)]
    near(steps[0], 1500)
    for i in range(1, len(steps)):
        near(steps[i], 2 * steps[i - 1], 2 * steps[i - 1] // 10)
    assert len(steps) >= 4, steps


def test_3_8_1_backoff_is_bounded():
    # RFC 6298 2.5: a maximum of at least 60 s.
    h, p, s = established()
    s.send(b"abc")
    h.advance(700000)
    times = sent_times(h, p)
    steps = [times[i + 1] - times[i] for i in range(len(times) - 1)]
    assert len(steps) >= 5, steps
    assert max(steps) <= 130000, steps


def test_6298_first_rto_is_one_second():
    # 2.1, before any sample; here the SYN,ACK is sent again.
    h, p, s = syn_received()
    h.advance(1400)
    near(p.expect("SA", 0, 1).at, 1000)


def test_6298_first_sample():
    # 2.2: SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 * RTTVAR.
    h, p, s = slow(800)
    s.send(b"abc")
    t = p.expect("A", 1, 1, b"abc").at
    h.advance(5000)
    near(p.expect("A", 1, 1).at - t, 2400)


def test_6298_later_samples():
    # 2.3: RTTVAR = 3/4 RTTVAR + 1/4 |SRTT - R'|, SRTT = 7/8 SRTT + 1/8 R'.
    h, p, s = slow(800)
    s.send(b"abc")
    p.expect("A", 1, 1, b"abc")
    h.advance(400)
    p.send("A", 1, 4)
    s.send(b"def")
    t = p.expect("A", 4, 1, b"def").at
    h.advance(5000)
    near(p.expect("A", 4, 1).at - t, 2350, 100)


def test_6298_converges_to_the_round_trip():
    h, p, s = slow(800)
    at = 1
    for _ in range(60):
        s.send(b"x")
        p.expect("A", at, 1, b"x")
        h.advance(600)
        at += 1
        p.send("A", 1, at)
        h.expect_nothing()
    s.send(b"x")
    t = p.expect("A", at, 1, b"x").at
    h.advance(3000)
    step = p.expect("A", at, 1).at - t
    assert 600 <= step <= 1100, step


def test_6298_karn_no_sample_of_a_retransmission():
    h, p, s = slow(800)
    s.send(b"abc")
    p.expect("A", 1, 1, b"abc")
    h.advance(2500)
    p.expect("A", 1, 1)
    # The ACK comes at once: taken for a round trip of 0 to 100 ms it would shorten the timer.
    p.send("A", 1, 4)
    s.send(b"def")
    t = p.expect("A", 4, 1, b"def").at
    h.advance(10000)
    step = p.expect("A", 4, 1).at - t
    assert step >= 2300, step


def test_6298_timer_restarts_with_each_new_ack():
    # 5.3
    h, p, s = slow(600, syn={"mss": 100})
    s.send(bytes(300))
    for _ in range(3):
        p.expect("A")
    h.advance(1500)
    p.send("A", 1, 101)
    h.advance(1400)
    h.expect_nothing()
    h.advance(1400)
    p.expect("A", 101, 1, bytes(100))


def test_6298_old_acks_do_not_restart_the_timer():
    h, p, s = slow(600, syn={"mss": 100})
    s.send(bytes(50))
    p.expect("A")
    for _ in range(2):
        h.advance(800)
        p.send("A", 1, 1)
    h.advance(300)
    p.expect("A", 1, 1, bytes(50))


def test_6298_syn_was_lost_the_first_rto_is_three_seconds():
    # 5.7: after a retransmitted SYN the timer is at least 3 s when data begins.
    h, p, s = connecting()
    h.advance(1100)
    p.expect("S", 0)
    p.send("SA", 0, 1)
    p.expect("A", 1, 1)
    s.send(b"x")
    t = p.expect("A", 1, 1, b"x").at
    h.advance(10000)
    near(p.expect("A", 1, 1).at - t, 3000, 100)


def test_3_8_3_gives_up():
    # R2: at least 100 s for data (SHLD-11); the application learns of it.
    h, p, s = established()
    s.send(b"abc")
    h.advance(100000)
    check_state(s, "ESTABLISHED")
    h.advance(3600000)
    check_state(s, "CLOSED")
    assert s.send(b"x") == -110
    assert s.send(b"x") == -107
    h.clear()
    h.advance(1000000)
    h.expect_nothing()


def test_3_8_3_user_timeout():
    # MUST-21: the application sets R2; 3.10.8 the connection is deleted.
    h, p, s = established(timeout=5000)
    s.send(b"abc")
    h.advance(4500)
    check_state(s, "ESTABLISHED")
    h.advance(1000)
    check_state(s, "CLOSED")
    assert recv(s) == -110


def test_3_8_3_user_timeout_counts_from_the_last_progress():
    h, p, s = established(timeout=5000)
    s.send(b"abcdef")
    for i in range(4):
        h.advance(4000)
        p.send("A", 1, 2 + i)
        check_state(s, "ESTABLISHED")
    h.advance(6000)
    check_state(s, "CLOSED")


def test_3_8_3_user_timeout_leaves_an_idle_connection_alone():
    h, p, s = established(timeout=5000)
    h.advance(100000)
    check_state(s, "ESTABLISHED")
    h.expect_nothing()


def test_3_8_3_user_timeout_of_a_connection_attempt():
    h, p, s = connecting(timeout=5000)
    h.advance(5500)
    check_state(s, "CLOSED")
    assert recv(s) == -110


def test_retransmission_after_the_clock_wrapped():
    for start in ((1 << 30) - 1200, (1 << 30) - 1, 0, (1 << 29) - 500, 12345):
        h, p, s = established(Host(start=start))
        s.send(b"abc")
        t = p.expect("A", 1, 1, b"abc").at
        h.advance(10000)
        times = [t] + sent_times(h, p)
        assert 3 <= len(times) <= 10, (start, times)
        assert times[1] - t <= 1100
        p.send("A", 1, 4)
        h.advance(100000)
        h.expect_nothing()


def test_retransmission_goes_on_when_the_device_is_full():
    h, p, s = established()
    h.device.refuse = EAGAIN
    s.send(b"abc")
    h.run()
    h.device.refuse = 0
    h.advance(100)
    p.expect("A", 1, 1, b"abc")
    h.device.refuse = EAGAIN
    h.advance(1500)
    h.device.refuse = 0
    h.advance(3000)
    p.expect("A", 1, 1, b"abc")


def test_lost_between_many():
    # A stream with every 5th segment lost, both ends driven by their timers alone.
    h, p, s = established(tx=1000, syn={"mss": 50})
    data = bytes((i * 11) & 255 for i in range(1000))
    assert s.send(data) == 1000
    got = {}
    k = 0
    nxt = 0
    for _ in range(400):
        h.run()
        while h.device.sent:
            r = p.expect(None, None, 1)
            k += 1
            if k % 5 and r.data:
                got[r.rel - 1] = r.data
        while nxt in got:
            nxt += len(got[nxt])
        p.send("A", 1, 1 + nxt)
        if nxt == 1000:
            break
        h.advance(300)
    out = b""
    while len(out) < 1000:
        out += got[len(out)]
    assert out == data and s.send_queue == 0


def test_6298_syn_ack_was_lost_the_first_rto_is_three_seconds():
    h, p, s = syn_received()
    h.advance(1100)
    p.expect("SA", 0, 1)
    p.send("A", 1, 1)
    s.send(b"x")
    t = p.expect("A", 1, 1, b"x").at
    h.advance(10000)
    near(p.expect("A", 1, 1).at - t, 3000, 100)


def test_6298_a_lost_segment_does_not_slow_a_fast_connection():
    h, p, s = established()
    s.send(b"x")
    t = p.expect("A", 1, 1, b"x").at
    h.advance(1000)
    first = p.expect("A", 1, 1, b"x").at - t
    h.clear()
    p.send("A", 1, 2)
    s.send(b"y")
    t = p.expect("A", 2, 1, b"y").at
    h.advance(4000)
    # The timer may stay backed off until a new sample, no more.
    assert p.expect("A", 2, 1, b"y").at - t <= 8 * first


def test_3_8_3_syn_received_lasts_as_long_as_a_syn():
    h, p, s = syn_received()
    h.advance(179000)
    check_state(s, "SYN_RECEIVED")


def interval(h, p, seq, wait=20000):
    """How long after now the segment at `seq` is sent again."""
    start = h.t
    h.advance(wait)
    at = p.expect("A", seq, 1).at
    h.clear()
    return at - start


def test_6298_the_backoff_lasts_until_a_sample():
    # Section 5 with Karn's algorithm: the ACK of a segment that went out twice ends nothing.
    h, p, s = slow(500)
    s.send(b"a")
    p.expect("A", 1, 1, b"a")
    near(interval(h, p, 1, 1600), 1500)
    p.send("A", 1, 2)
    s.send(b"b")
    p.expect("A", 2, 1, b"b")
    near(interval(h, p, 2, 3100), 3000)
    p.send("A", 1, 3)
    s.send(b"c")
    p.expect("A", 3, 1, b"c")
    h.advance(500)
    p.send("A", 1, 4)
    s.send(b"d")
    p.expect("A", 4, 1, b"d")
    assert interval(h, p, 4) <= 1500


def test_6298_a_round_trip_above_the_rto_is_learned():
    # A line whose round trip goes from 5 to 300 ms, or 1,000: lone segments, no loss, answered
    # twice where they come twice.
    for rtt in (300, 1000):
        for sack in (False, True):
            h, p, s = slow(5, sack=sack)
            answers = []
            copies = 0
            at = 1
            for n in range(40):
                s.send(b"x")
                h.run()
                while s.send_queue:
                    while h.device.sent:
                        r = p.expect("A")
                        copies += 1
                        answers.append((r.at + rtt, max(r.rel + 1, at)))
                    h.advance(answers[0][0] - h.t if answers else 1)
                    if answers and answers[0][0] <= h.t:
                        at = max(at, answers[0][1])
                        p.send("A", 1, at)
                        answers.pop(0)
            assert copies - 40 <= (2 if rtt == 300 else 4), (rtt, sack, copies)


def test_6298_a_steady_line_leaves_room():
    # 400 ms for long, then 440: no timer fires.
    h, p, s = slow(400)
    at = 1
    for n in range(60):
        s.send(b"x")
        p.expect("A", at, 1, b"x")
        h.advance(400 if n < 50 else 440)
        at += 1
        p.send("A", 1, at)
        h.expect_nothing()
    assert s.stats()["retransmits"] == 0


def test_6298_sack_is_a_sample_too():
    # What was sent once and is reported ends the backoff, though a hole before it is still open.
    h, p, s = slow(500, congestion="none", syn={"mss": 100, "sackok": True})
    s.send(bytes(100))
    p.expect("A", 1, 1)
    h.advance(1600)
    p.expect("A", 1, 1)
    p.send("A", 1, 101)
    s.send(bytes(300))
    for i in range(3):
        p.expect("A", 101 + 100 * i, 1)
    h.advance(400)
    # The first is lost, the second arrives: 400 ms are a round trip.
    p.send("A", 1, 101, sack=[(201, 401)])
    assert interval(h, p, 101) <= 1500


def test_6298_a_retransmission_before_it_spoils_a_sample():
    h, p, s = slow(100, tx=4096, syn={"mss": 100})
    s.send(bytes(100))
    p.expect("A", 1, 1)
    p.send("A", 1, 101)
    before = s.stats()["rtt"]
    s.send(bytes(500))
    for i in range(5):
        p.expect("A", 101 + 100 * i, 1)
    h.advance(10)
    # The first is lost and goes out again; the ACK that it brings is for all of them.
    for _ in range(3):
        p.send("A", 1, 101)
    p.expect("A", 101, 1)
    h.advance(90)
    p.send("A", 1, 601)
    assert s.stats()["rtt"] == before


def test_6298_the_persist_timer_begins_with_the_rto():
    # RFC 9293 section 3.8.6.1: whatever the timer for losses has been backed off to.
    h, p, s = slow(500)
    s.send(b"a")
    p.expect("A", 1, 1, b"a")
    h.advance(11000)
    h.clear()
    p.send("A", 1, 2, win=0)
    s.send(b"b")
    near(interval(h, p, 2), 1500)
    # And the other way round.
    p.send("A", 1, 2, win=0)
    h.advance(20000)
    h.clear()
    p.send("A", 1, 3, win=1000)
    s.send(b"c")
    h.advance(500)
    p.expect("A", 3, 1, b"c")
    p.send("A", 1, 4, win=1000)
    s.send(b"d")
    p.expect("A", 4, 1, b"d")
    assert interval(h, p, 4) <= 1700


def test_3_8_3_user_timeout_is_not_overshot_after_a_partial_ack():
    for options in ({}, {"sackok": True}):
        h, p, s = slow(900, timeout=2000, syn=dict(options, mss=100))
        s.send(bytes(200))
        h.advance(1000)
        p.send("A", 1, 101)
        h.advance(1900)
        check_state(s, "ESTABLISHED")
        h.advance(200)
        check_state(s, "CLOSED")


def test_segments_without_text_go_behind_all_that_was_sent():
    # Section 3.10.7.4: an ACK from before the peer's RCV.NXT would be no news to it, and an RST
    # from there would be ignored.
    h, p, s = established(syn={"mss": 100})
    s.send(bytes(300))
    for i in range(3):
        p.expect("A", 1 + 100 * i, 1)
    h.advance(1050)
    p.expect("A", 1, 1, bytes(100))
    h.clear()
    p.send("A", 1, 1, b"text")
    h.advance(50)
    p.expect("A", 301, 5, b"")
    s.abort()
    p.expect("RA", 301)


def test_segments_without_text_do_not_go_beyond_a_window_drawn_back():
    h, p, s = established(syn={"mss": 100})
    s.send(bytes(300))
    for i in range(3):
        p.expect("A", 1 + 100 * i, 1)
    p.send("A", 1, 1, win=150)
    p.send("A", 1, 1, b"text", win=150)
    h.advance(50)
    p.expect("A", 151, 5, b"")


def test_a_timer_that_is_due_does_not_spin_while_arp_is_awaited():
    h, p, s = established()
    h.iface.remove_neighbor(PEER)
    p.send("A", 1, 1, b"text")  # answered with a delayed ACK, for which the neighbor is asked
    h.advance(20)
    assert h.expect("arp").op == 1
    assert h.iface.poll_delay(h.now) > 0
