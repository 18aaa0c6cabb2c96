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
