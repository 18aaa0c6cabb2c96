"""Keep-alive (RFC 9293 section 3.8.4) and the user timeout (RFC 5482)."""

from states import *


def probes(h, p):
    """Takes the probes sent; when each was sent."""
    times = []
    while h.device.sent:
        r = p.expect("A")
        # SEG.SEQ = SND.NXT - 1, with no data or one byte of it.
        assert r.rel == p.ack - 1 and len(r.data) <= 1, r
        times.append(r.at)
    return times


def test_3_8_4_off_by_default():
    # MUST-25
    h, p, s = established()
    assert not s.keep_alive
    h.advance(20000000)
    h.expect_nothing()
    check_state(s, "ESTABLISHED")


def test_3_8_4_probes_an_idle_connection():
    h, p, s = established(keep_alive=10000)
    h.advance(9000)
    h.expect_nothing()
    h.advance(1100)
    assert len(probes(h, p)) == 1


def test_3_8_4_an_answered_probe_keeps_it_open():
    h, p, s = established(keep_alive=10000)
    for _ in range(20):
        h.advance(10500)
        assert len(probes(h, p)) >= 1
        p.send("A", 1, 1)
    check_state(s, "ESTABLISHED")


def test_3_8_4_traffic_puts_the_probe_off():
    h, p, s = established(keep_alive=10000, ack_delay=0)
    for i in range(5):
        h.advance(9000)
        h.expect_nothing()
        p.send("A", 1 + i, 1, b"x")
        p.expect("A", 1, 2 + i)


def test_3_8_4_one_lost_probe_is_no_death():
    # MUST-26: failure to respond to any one probe says nothing.
    h, p, s = established(keep_alive=10000)
    h.advance(10100)
    assert probes(h, p)
    h.advance(10100)
    check_state(s, "ESTABLISHED")
    p.send("A", 1, 1)
    h.clear()
    h.advance(9000)
    h.expect_nothing()
    check_state(s, "ESTABLISHED")


def test_3_8_4_a_dead_peer_is_given_up():
    h, p, s = established(keep_alive=10000)
    h.advance(10000 * 12)
    n = len(probes_until_reset(h, p))
    check_state(s, "CLOSED")
    assert 2 <= n <= 10, n
    assert recv(s) == -110


def probes_until_reset(h, p):
    times = []
    while h.device.sent:
        r = p.expect()
        if "R" not in r.flags:
            times.append(r.at)
    return times


def test_3_8_4_with_the_user_timeout():
    h, p, s = established(keep_alive=10000, timeout=25000)
    h.advance(24000)
    check_state(s, "ESTABLISHED")
    h.advance(16000)
    check_state(s, "CLOSED")


def test_3_8_4_a_peer_that_restarted_resets():
    h, p, s = established(keep_alive=10000)
    h.advance(10100)
    p.expect("A")
    p.send("R", 1)
    check_state(s, "CLOSED")
    assert recv(s) == -104


def test_3_8_4_we_answer_probes():
    for data in (b"", b"z"):
        h, p, s = established()
        p.send("A", 1, 1, b"z")
        h.advance(20)
        p.expect("A", 1, 2)
        p.send("A", 1, 1, data)
        p.expect("A", 1, 2)
        assert recv(s) == b"z" and recv(s) == EAGAIN


def test_3_8_4_works_in_half_closed_states():
    for name in ("FIN_WAIT_2", "CLOSE_WAIT"):
        h, p, s = in_state(name, keep_alive=10000)
        h.advance(10100)
        assert len(probes(h, p)) == 1, name
        h.advance(150000)
        check_state(s, "CLOSED")


def test_3_8_4_may_be_switched_on_later():
    h, p, s = established()
    h.advance(5000)
    s.keep_alive = 10000
    h.advance(10100)
    assert len(probes(h, p)) == 1
    s.keep_alive = 0
    p.send("A", 1, 1)
    h.advance(100000)
    h.expect_nothing()


def test_3_8_4_next_to_retransmission():
    # With data unacknowledged it is the retransmission that finds out.
    h, p, s = established(keep_alive=2000)
    s.send(b"abc")
    p.expect("A", 1, 1, b"abc")
    h.advance(9000)
    while h.device.sent:
        assert p.expect("A").rel in (1, 3)
    p.send("A", 1, 4)
    check_state(s, "ESTABLISHED")


def test_3_8_4_no_probe_while_data_is_outstanding():
    # MUST-26: the data has a limit of its own, 15 minutes by default.
    h, p, s = established(keep_alive=2000)
    s.send(b"abc")
    p.expect("A", 1, 1, b"abc")
    h.advance(60000)
    check_state(s, "ESTABLISHED")
    while h.device.sent:
        p.expect("A", 1, 1, b"abc")
    p.send("A", 1, 4)
    p.ack = 4
    h.advance(2100)
    assert len(probes(h, p)) == 1


def test_3_8_4_no_probe_while_the_window_is_closed():
    h, p, s = established(keep_alive=2000)
    p.send("A", 1, 1, win=0)
    s.send(b"abc")
    for _ in range(30):
        h.advance(1000)
        while h.device.sent:
            p.expect("A", 1, 1, b"a")
            p.send("A", 1, 1, win=0)
    check_state(s, "ESTABLISHED")


def test_3_8_4_one_probe_however_short_the_user_timeout():
    h, p, s = established(keep_alive=10000, timeout=3000)
    h.advance(10100)
    assert len(probes(h, p)) == 1
    p.send("A", 1, 1)
    h.advance(9000)
    check_state(s, "ESTABLISHED")


def test_3_8_4_four_probes_without_answer_end_it():
    h, p, s = established(keep_alive=10000)
    h.advance(49000)
    assert len(probes(h, p)) == 4
    check_state(s, "ESTABLISHED")
    h.advance(2000)
    check_state(s, "CLOSED")
