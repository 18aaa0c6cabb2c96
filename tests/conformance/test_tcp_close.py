"""RFC 9293 section 3.6: closing, half-closed connections, TIME-WAIT and its reuse."""

from states import *


def test_3_6_normal_close_by_us():
    # Figure 12.
    h, p, s = established()
    s.close()
    p.expect("FA", 1, 1)
    check_state(s, "FIN_WAIT_1")
    p.send("A", 1, 2)
    check_state(s, "FIN_WAIT_2")
    p.send("FA", 1, 2)
    h.advance(20)
    p.expect("A", 2, 2)
    check_state(s, "TIME_WAIT")
    assert not s.is_open
    h.advance(s.time_wait + 1)
    check_state(s, "CLOSED")
    h.expect_nothing()
    assert recv(s) in (0, -107)


def test_3_6_normal_close_by_the_peer():
    h, p, s = established()
    p.send("FA", 1, 1)
    h.advance(20)
    p.expect("A", 1, 2)
    check_state(s, "CLOSE_WAIT")
    s.close()
    p.expect("FA", 1, 2)
    check_state(s, "LAST_ACK")
    p.send("A", 2, 2)
    check_state(s, "CLOSED")
    h.advance(60000)
    h.expect_nothing()


def test_3_6_simultaneous_close():
    # Figure 13.
    h, p, s = established()
    s.close()
    p.expect("FA", 1, 1)
    p.send("FA", 1, 1)
    h.advance(20)
    p.expect("A", 2, 2)
    check_state(s, "CLOSING")
    p.send("A", 2, 2)
    check_state(s, "TIME_WAIT")


def test_3_6_close_in_one_segment():
    h, p, s = established()
    s.close()
    p.expect("FA", 1, 1)
    p.send("FA", 1, 2)
    h.advance(20)
    p.expect("A", 2, 2)
    check_state(s, "TIME_WAIT")


def test_3_6_half_close_by_the_peer_we_keep_sending():
    h, p, s = in_state("CLOSE_WAIT")
    at = 1
    for i in range(5):
        assert s.send(b"more %d" % i) == 6
        p.expect("A", at, 2, b"more %d" % i)
        at += 6
        p.send("A", 2, at)
    assert s.send_queue == 0
    s.close()
    p.expect("FA", at, 2)


def test_3_6_half_close_by_us_we_keep_receiving():
    h, p, s = in_state("FIN_WAIT_2")
    at = 1
    for i in range(5):
        p.send("A", at, 2, b"more")
        assert recv(s) == b"more"
        at += 4
        h.advance(20)
        p.expect("A", 2, at)
    assert s.send(b"x") == -32
    h.advance(59000)
    check_state(s, "FIN_WAIT_2")
    p.send("FA", at, 2)
    check_state(s, "TIME_WAIT")


def test_3_6_fin_follows_what_is_queued():
    h, p, s = established()
    s.send(b"last")
    s.close()
    r = p.expect(None, 1, 1, b"last")
    if "F" not in r.flags:
        p.expect("FA", 5, 1, b"")
    p.send("A", 1, 6)
    check_state(s, "FIN_WAIT_2")


def test_3_6_fin_waits_for_the_window():
    h, p, s = established(syn={"mss": 1460})
    p.send("A", 1, 1, win=3)
    s.send(b"abcdef")
    s.close()
    h.advance(1500)
    r = p.expect("A", 1, 1)
    assert r.data == b"abc", r
    h.clear()
    p.send("A", 1, 4, win=100)
    r = p.expect(None, 4, 1, b"def")
    if "F" not in r.flags:
        p.expect("FA", 7, 1)
    p.send("A", 1, 8)
    check_state(s, "FIN_WAIT_2")


def test_3_6_fin_is_sent_into_a_zero_window():
    # The FIN is a sequence number like another; a stack may probe first.
    h, p, s = established()
    p.send("A", 1, 1, win=0)
    s.close()
    h.advance(5000)
    assert h.device.sent
    p.send("A", 1, 1, win=10)
    h.clear()
    h.advance(10000)
    p.expect("FA", 1, 1)


def test_3_6_fin_is_retransmitted():
    for name in ("ESTABLISHED", "CLOSE_WAIT"):
        h, p, s = in_state(name)
        s.close()
        p.expect("FA", 1, p.seq)
        h.advance(4000)
        times = []
        while h.device.sent:
            times.append(p.expect("FA", 1, p.seq).at)
        assert 2 <= len(times) <= 6, times
        p.send("A", None, 2)
        h.advance(59000)
        h.expect_nothing()
        check_state(s, "FIN_WAIT_2" if name == "ESTABLISHED" else "CLOSED")


def test_3_6_our_ack_of_the_fin_is_lost():
    h, p, s = in_state("TIME_WAIT")
    for _ in range(3):
        p.send("FA", 1, 2)
        h.advance(20)
        p.expect("A", 2, 2)
    check_state(s, "TIME_WAIT")


def test_3_6_closing_fin_is_retransmitted():
    h, p, s = in_state("CLOSING")
    h.advance(1500)
    p.expect("FA", 1, 2)


def test_3_6_peer_vanishes_in_last_ack():
    h, p, s = in_state("LAST_ACK")
    h.advance(3600000)
    check_state(s, "CLOSED")


def test_3_6_time_wait_length_is_configurable():
    for ms in (1000, 60000):
        h, p, s = in_state("TIME_WAIT", time_wait=ms)
        h.advance(ms - 100)
        check_state(s, "TIME_WAIT")
        h.advance(200)
        check_state(s, "CLOSED")
        h.expect_nothing()


def test_3_6_1_time_wait_is_reopened_by_a_new_syn():
    # MAY-2: a SYN with a larger sequence number; the listener takes it.
    h, p, s = in_state("TIME_WAIT")
    t = h.add(TCPSocket(64, 64))
    t.listen(6969)
    q = Peer(h, port=p.port, iss=(p.iss + 100000) & M32)
    q.send("S", 0, mss=1460)
    r = q.expect("SA", 0, 1)
    # The new sequence number lies beyond all that the old connection used.
    assert (r.seq - (p.irs + 2)) & M32 < 0x80000000
    check_state(s, "TIME_WAIT")
    q.send("A", 1, 1)
    check_state(t, "ESTABLISHED")
    check_state(s, "CLOSED")


def test_3_6_1_the_next_iss_lies_beyond_a_fast_transfer():
    # The connection has used up more sequence numbers than the clock of the ISS has gone on by.
    h, p, s = established(tx=60000, syn={"mss": 1460}, congestion="none")
    at = 1
    for _ in range(50):
        s.send(bytes(60000))
        for _ in range(10):
            h.run()
        h.clear()
        at += 60000
        p.send("A", 1, at)
    s.close()
    p.expect("FA", at, 1)
    p.send("FA", 1, at + 1)
    p.expect("A", at + 1, 2)
    check_state(s, "TIME_WAIT")
    t = h.add(TCPSocket(64, 64))
    t.listen(6969)
    q = Peer(h, port=p.port, iss=(p.iss + 1000) & M32)
    q.send("S", 0)
    r = q.expect("SA", 0, 1)
    assert (r.seq - (p.irs + at + 1)) & M32 < 0x80000000
    q.send("A", 1, 1, b"text")
    t.send(b"answer")
    q.expect("A", 1, 5, b"answer")
    q.send("A", 5, 7)
    assert recv(t) == b"text" and t.send_queue == 0


def test_3_6_1_time_wait_goes_on_after_an_old_duplicate_syn():
    # RFC 9293 section 3.6.1 (2): whoever is asked by the SYN-ACK, and knows nothing, resets.
    h, p, s = in_state("TIME_WAIT")
    t = h.add(TCPSocket(64, 64))
    t.listen(6969)
    old = Peer(h, port=p.port, iss=(p.iss + 100000) & M32)
    old.send("S", 0)
    old.expect("SA", 0, 1)
    old.send("R", 1)
    check_state(t, "LISTEN")
    check_state(s, "TIME_WAIT")
    # It answers as before, and lasts as long.
    p.send("FA", 1, 2)
    p.expect("A", 2, 2)
    h.advance(s.time_wait + 100)
    check_state(s, "CLOSED")
    check_state(t, "LISTEN")


def test_3_6_1_time_wait_that_gave_way_ends_in_time():
    h, p, s = in_state("TIME_WAIT")
    t = h.add(TCPSocket(64, 64))
    t.listen(6969)
    q = Peer(h, port=p.port, iss=(p.iss + 100000) & M32)
    q.send("S", 0)
    q.expect("SA", 0, 1)
    h.advance(s.time_wait + 100)
    check_state(s, "CLOSED")
    h.clear()
    q.send("R", 1)
    check_state(t, "LISTEN")
    p.send("A", 2, 2)
    p.expect("R", 2)


def test_3_6_1_time_wait_stays_where_nobody_listens():
    h, p, s = in_state("TIME_WAIT")
    q = Peer(h, port=p.port, iss=(p.iss + 100000) & M32)
    q.send("S", 0)
    assert q.h.next().flags == "A"
    check_state(s, "TIME_WAIT")


def test_6191_timestamps_decide_about_the_next_connection():
    # Section 2: a later timestamp is enough, whatever the sequence number; an older one never.
    for ts, iss, taken in (
        (2000, -50000, True),
        (2000, 50000, True),
        (900, 50000, False),
        (1000, 50000, True),
        (1000, -50000, False),
        (None, 50000, True),
        (None, -50000, False),
    ):
        h, p, s = syn_received(timestamps=True, syn={"mss": 1460, "ts": (1000, 0)})
        p.send("A", 1, 1, ts=(1000, 0))
        s.close()
        p.expect("FA", 1, 1)
        p.send("FA", 1, 2, ts=(1000, 0))
        p.expect("A", 2, 2)
        t = h.add(TCPSocket(64, 64))
        t.timestamps = True
        t.listen(6969)
        q = Peer(h, port=p.port, iss=(p.iss + iss) & M32)
        q.send("S", 0, ts=ts and (ts, 0))
        if ts is None and not taken:
            h.expect_nothing()  # RFC 7323 section 3.2: dropped without a word
        else:
            assert h.next().flags == ("SA" if taken else "A"), (ts, iss)
        check_state(t, "SYN_RECEIVED" if taken else "LISTEN")


def test_6191_timestamps_of_the_next_connection_alone():
    # The old one had none: they will tell the two apart from now on.
    h, p, s = in_state("TIME_WAIT")
    t = h.add(TCPSocket(64, 64))
    t.timestamps = True
    t.listen(6969)
    q = Peer(h, port=p.port, iss=(p.iss - 50000) & M32)
    q.send("S", 0, ts=(7, 0))
    q.expect("SA", 0, 1)


def test_3_6_1_time_wait_is_not_reopened_by_an_old_syn():
    h, p, s = in_state("TIME_WAIT")
    t = h.add(TCPSocket(64, 64))
    t.listen(6969)
    p.send("S", -5000)
    for at, f in h.device.sent:
        assert Packet(f).flags == "A"
    check_state(s, "TIME_WAIT")
    check_state(t, "LISTEN")


def test_3_6_time_wait_does_not_hold_the_listener_s_port():
    h, p, s = in_state("TIME_WAIT")
    t = h.add(TCPSocket(64, 64))
    t.listen(6969)
    q = Peer(h, port=p.port + 1)
    q.send("S", 0)
    q.expect("SA", 0, 1)


def test_3_6_socket_is_reusable():
    h, p, s = established()
    for i in range(5):
        p.send("FA", 1, 1)
        s.close()
        h.advance(20)
        last = None
        while h.device.sent:
            last = p.expect()
        assert "F" in last.flags and last.rack == 2
        p.send("A", 2, 2)
        check_state(s, "CLOSED")
        s.listen(6969)
        p = Peer(h, port=p.port + 1, iss=i * 1000)
        p.send("S", 0)
        p.expect("SA", 0, 1)
        p.send("A", 1, 1, b"again")
        assert recv(s) == b"again"
        h.advance(20)
        p.expect("A", 1, 6)
        p.send("FA", 6, 1)
        s.close()
        h.advance(20)
        h.clear()
        p.send("A", 7, 2)
        check_state(s, "CLOSED")
        s.connect(PEER, 1000 + i)
        p = Peer(h, port=1000 + i)
        p.expect("S", 0)
        p.send("SA", 0, 1)
        p.expect("A", 1, 1)


def test_3_6_abort_sends_a_reset():
    for name in ("SYN_RECEIVED", "ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT"):
        h, p, s = in_state(name)
        s.abort()
        r = p.expect()
        assert r.flags in ("R", "RA") and r.rel == p.ack, (name, r)
        h.expect_nothing()
        check_state(s, "CLOSED")


def test_3_6_abort_without_a_peer_to_tell_is_silent():
    for name in ("LISTEN", "SYN_SENT", "CLOSING", "LAST_ACK", "TIME_WAIT"):
        h, p, s = in_state(name)
        s.abort()
        check_state(s, "CLOSED")
        h.expect_nothing()


def test_3_6_abort_drops_all():
    h, p, s = established()
    p.send("A", 1, 1, b"unread")
    s.send(b"unsent")
    s.abort()
    h.run()
    h.clear()
    assert recv(s) < 0 and s.send(b"x") < 0
    h.advance(60000)
    h.expect_nothing()
    p.send("A", 7, 1)
    p.expect("R")


def test_removed_socket_is_silent():
    h, p, s = established()
    s.send(b"x")
    h.iface.remove(s)
    h.advance(5000)
    h.expect_nothing()
    p.send("A", 1, 1)
    p.expect("R", 1)


def test_3_10_7_4_a_bare_fin_before_its_turn_is_kept():
    # The text before it comes later, as a plain segment.
    h, p, s = established()
    p.send("FA", 11, 1)
    p.send("A", 1, 1, b"0123456789")
    h.advance(50)
    check_state(s, "CLOSE_WAIT")
    assert recv(s) == b"0123456789" and recv(s) == 0
    last = None
    while h.device.sent:
        last = p.expect("A", 1)
    assert last.rack == 12


def test_fin_wait_2_has_a_limit():
    # Linux: tcp_fin_timeout, 60 s.
    h, p, s = in_state("FIN_WAIT_2")
    assert s.fin_timeout == 60000
    h.advance(59900)
    check_state(s, "FIN_WAIT_2")
    h.advance(200)
    check_state(s, "CLOSED")
    assert recv(s) == -110
    h.expect_nothing()
    for ms in (1000, 200000):
        h, p, s = in_state("FIN_WAIT_2", fin_timeout=ms)
        h.advance(ms - 100)
        check_state(s, "FIN_WAIT_2")
        h.advance(200)
        check_state(s, "CLOSED")
    h, p, s = in_state("FIN_WAIT_2", fin_timeout=0)
    h.advance(10000000)
    check_state(s, "FIN_WAIT_2")
    h.expect_idle()
    raises(ValueError, "fin_timeout", setattr, s, "fin_timeout", -1)


def test_fin_wait_2_lasts_while_the_peer_sends():
    h, p, s = in_state("FIN_WAIT_2", fin_timeout=5000)
    for i in range(10):
        h.advance(4000)
        p.send("A", 1 + i, 2, b"x")
        assert recv(s) == b"x"
    check_state(s, "FIN_WAIT_2")
    s.fin_timeout = 1000
    h.advance(1100)
    check_state(s, "CLOSED")
