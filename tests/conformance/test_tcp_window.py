"""RFC 9293 section 3.8.6: windows, zero-window probes, silly windows, delayed ACK; 3.8.5 URG."""

from states import *


def test_3_8_6_window_is_the_free_space():
    h, p, s = established(rx=1000, ack_delay=0)
    p.send("A", 1, 1, bytes(300))
    p.expect("A", 1, 301, win=700)
    p.send("A", 301, 1, bytes(300))
    p.expect("A", 1, 601, win=400)


def test_3_8_6_right_edge_never_moves_left():
    h, p, s = established(rx=1000, ack_delay=0)
    edge = 1001
    at = 1
    for n in (100, 1, 350, 7, 200):
        p.send("A", at, 1, bytes(n))
        at += n
        r = p.expect("A", 1, at)
        assert r.rack + r.win >= edge, r
        edge = r.rack + r.win
        recv(s, n // 2)
        h.clear()


def test_3_8_6_unread_data_is_never_overwritten():
    h, p, s = established(rx=100, ack_delay=0)
    p.send("A", 1, 1, bytes(range(100)))
    p.expect("A", 1, 101, win=0)
    p.send("A", 101, 1, b"overflow")
    p.expect("A", 1, 101, win=0)
    assert recv(s) == bytes(range(100))


def test_3_8_6_sender_obeys_the_window():
    h, p, s = established()
    p.send("A", 1, 1, win=10)
    s.send(bytes(100))
    h.advance(50)
    total = 0
    while h.device.sent:
        total += len(p.expect("A").data)
    assert total <= 10


def test_3_8_6_peer_shrinks_the_window():
    # SHLD-15: be robust: SND.UNA+SND.WND may be left of SND.NXT.
    h, p, s = established(syn={"mss": 100})
    s.send(bytes(range(200)))
    p.expect("A", 1, 1)
    p.expect("A", 101, 1)
    p.send("A", 1, 101, win=20)
    s.send(bytes(50))
    h.advance(8000)
    while h.device.sent:
        r = p.expect("A")
        assert r.rel <= 201 and r.rel + len(r.data) <= 201, r
    p.send("A", 1, 201, win=1000)
    p.expect("A", 201, 1, bytes(50))


def test_3_8_6_1_zero_window_is_probed():
    # MUST-36: probes; SHLD-30: the first after the retransmission timeout, then backing off.
    h, p, s = established()
    p.send("A", 1, 1, win=0)
    s.send(b"abc")
    h.expect_nothing()
    h.advance(30000)
    times = []
    while h.device.sent:
        r = p.expect("A")
        assert r.rel in (0, 1) and len(r.data) <= 1, r
        times.append(r.at)
    assert times and times[0] <= 3100 and 3 <= len(times) <= 30, times
    steps = [times[i + 1] - times[i] for i in range(len(times) - 1)]
    assert steps[-1] > steps[0], steps
    p.send("A", 1, 1, win=100)
    r = p.expect("A")
    assert (r.rel, r.data) in ((1, b"abc"), (2, b"bc")), r


def test_3_8_6_1_probing_never_ends_while_it_is_acknowledged():
    # MUST-37: an open connection stays open with a zero window for ever.
    h, p, s = established()
    p.send("A", 1, 1, win=0)
    s.send(b"abc")
    probes = 0
    for _ in range(200):
        h.advance(30000)
        while h.device.sent:
            p.expect("A")
            probes += 1
        p.send("A", 1, 1, win=0)
        check_state(s, "ESTABLISHED")
    assert probes >= 50, probes
    p.send("A", 1, 1, win=10)
    assert p.expect("A").data


def test_3_8_6_1_probe_byte_that_is_accepted_counts():
    h, p, s = established()
    p.send("A", 1, 1, win=0)
    s.send(b"abc")
    h.advance(5000)
    r = p.expect("A")
    if r.rel == 1 and r.data == b"a":
        h.clear()
        p.send("A", 1, 2, win=10)
        p.expect("A", 2, 1, b"bc")


def test_3_8_6_1_window_closes_with_data_in_flight():
    h, p, s = established(syn={"mss": 100}, nagle=False)
    s.send(bytes(250))
    h.run()
    h.clear()
    p.send("A", 1, 101, win=0)
    h.advance(20000)
    while h.device.sent:
        r = p.expect("A")
        assert r.rel + len(r.data) <= 251, r
    p.send("A", 1, 251, win=100)
    assert s.send_queue == 0


def test_3_8_6_1_lost_window_update_is_found_by_the_probe():
    h, p, s = established()
    p.send("A", 1, 1, win=0)
    s.send(bytes(10))
    h.advance(1500)
    h.clear()
    # The update is lost; the answer to the next probe opens the window.
    h.advance(30000)
    assert h.device.sent
    h.clear()
    p.send("A", 1, 1, win=500)
    r = p.expect("A")
    assert r.rel + len(r.data) == 11


def test_3_8_6_1_we_answer_probes():
    h, p, s = established(rx=64, ack_delay=0)
    p.send("A", 1, 1, bytes(64))
    p.expect("A", 1, 65, win=0)
    for _ in range(3):
        p.send("A", 65, 1, b"z")
        p.expect("A", 1, 65, win=0)
        p.send("A", 64, 1)
        p.expect("A", 1, 65, win=0)


def test_3_8_6_2_1_sender_avoids_silly_windows():
    # MUST-38: a small window opening does not cause small segments.
    h, p, s = established(tx=2048, syn={"mss": 500})
    s.send(bytes(2000))
    h.run()
    n = 0
    while h.device.sent:
        n += len(p.expect("A").data)
    p.send("A", 1, 1 + n, win=0)
    h.clear()
    p.send("A", 1, 1 + n, win=20)
    h.expect_nothing()
    # The override timeout (0.1 to 1 s, SHLD-29 suggests) or a probe sends something in the end.
    h.advance(5000)
    assert n == 2000 or h.device.sent


def test_3_8_6_2_2_receiver_avoids_silly_windows():
    # MUST-39: the window opens by at least min(RCV.BUFF / 2, MSS).
    h, p, s = established(rx=400, ack_delay=0)
    p.send("A", 1, 1, bytes(400))
    p.expect("A", 1, 401, win=0)
    for _ in range(19):
        recv(s, 10)
        h.expect_nothing()
    # A probe now is still answered with the closed window.
    p.send("A", 401, 1, b"z")
    p.expect("A", 1, 401, win=0)
    recv(s, 20)
    r = p.expect("A", 1, 401)
    assert r.win >= 200, r


def test_3_8_6_2_2_window_update_of_large_buffers():
    h, p, s = established(rx=8192, ack_delay=0)
    at = 1
    for _ in range(5):
        p.send("A", at, 1, bytes(1460))
        at += 1460
    p.send("A", at, 1, bytes(892))
    at += 892
    h.clear()
    recv(s, 1400)
    h.expect_nothing()
    recv(s, 200)
    r = p.expect("A", 1, at)
    assert r.win >= 1460, r


def test_window_update_after_all_was_read_with_tiny_buffers():
    h, p, s = established(rx=64)
    at = 1
    for _ in range(10):
        p.send("A", at, 1, bytes(64))
        at += 64
        assert recv(s) == bytes(64)
        h.advance(20)
        last = None
        while h.device.sent:
            last = p.expect("A", 1, at)
        assert last.win == 64


def test_3_8_6_3_delayed_ack():
    # MUST-40: less than 0.5 s; here 10 ms unless told otherwise.
    h, p, s = established()
    assert s.ack_delay == 10
    t = h.t
    p.send("A", 1, 1, b"x")
    h.expect_nothing()
    assert 0 < h.iface.poll_delay(h.now) <= 10
    h.advance(100)
    r = p.expect("A", 1, 2)
    assert r.at - t == 10, r
    h.expect_nothing()


def test_3_8_6_3_delay_is_configurable():
    for ms in (0, 1, 50, 200):
        h, p, s = established(ack_delay=ms)
        t = h.t
        p.send("A", 1, 1, b"x")
        h.advance(500)
        assert p.expect("A", 1, 2).at - t == ms


def test_3_8_6_3_second_full_segment_is_acknowledged_at_once():
    # SHLD-19
    h, p, s = established(rx=8192)
    p.send("A", 1, 1, bytes(1460))
    h.expect_nothing()
    p.send("A", 1461, 1, bytes(1460))
    p.expect("A", 1, 2921)
    p.send("A", 2921, 1, bytes(1460))
    h.expect_nothing()
    h.advance(20)
    p.expect("A", 1, 4381)


def test_3_8_6_3_ack_rides_on_data():
    h, p, s = established()
    p.send("A", 1, 1, b"ping")
    s.send(b"pong")
    p.expect("A", 1, 5, b"pong")
    h.advance(100)
    p.send("A", 5, 5)
    h.expect_nothing()


def test_burst_of_segments_gives_few_acks():
    h, p, s = established(rx=8192)
    h.inject(*[p.frame("A", 1 + 1000 * i, 1, bytes(1000)) for i in range(6)])
    h.advance(20)
    n = len(h.device.sent)
    assert 1 <= n <= 6, n
    while h.device.sent:
        r = p.expect("A", 1)
    assert r.rack == 6001


def test_pure_acks_are_not_answered():
    h, p, s = established()
    for _ in range(5):
        p.send("A", 1, 1)
    h.advance(1000)
    h.expect_nothing()


def test_3_8_5_urgent_pointer_of_ours_is_zero():
    h, p, s = established()
    s.send(b"x")
    p.expect("A", urg=0)


def test_lost_byte_in_a_tiny_window():
    # Silly-window avoidance may delay the first transmission, never the retransmissions.
    for window in (1, 2, 10):
        h, p, s = established(syn={"mss": 64, "win": window})
        p.win = window
        p.send("A", 1, 1)
        s.send(bytes(20))
        sent = 0
        for _ in range(8):
            h.advance(3000 << sent if sent < 4 else 60000)
            h.run()
            if h.device.sent:
                sent += 1
            while h.device.sent:
                r = p.expect("A", 1, 1)
                assert 1 <= len(r.data) <= window, r
            p.send("A", 1, 1)
        assert sent >= 6, (window, sent)
        check_state(s, "ESTABLISHED")


def test_text_is_a_sign_of_life_of_a_closed_window():
    h, p, s = established()
    s.timeout = 3000
    p.send("A", 1, 1, win=0)
    s.send(b"waits")
    for i in range(8):
        h.advance(1000)
        h.clear()
        p.send("PA", 1 + i, 1, b"y", win=0)
        assert s.state == TCPSocket.ESTABLISHED, i
    assert recv(s) == b"yyyyyyyy"
    p.send("A", 9, 1)
    h.advance(20000)
    assert s.state == TCPSocket.CLOSED


def test_3_10_7_4_an_older_window_does_not_replace_a_newer_one():
    # SND.WL1: a window update overtakes the text that was sent before it.
    for length in (1, 100):
        h, p, s = established()
        p.send("A", 1 + length, 1, win=500)
        p.send("A", 1, 1, bytes(length), win=65535)
        assert s.stats()["snd_wnd"] == 500, length
        p.send("A", 1 + length, 1, win=700)
        assert s.stats()["snd_wnd"] == 700


def test_3_10_7_4_an_older_window_that_is_the_same_is_still_older():
    h, p, s = established()
    s.send(b"ab")
    p.expect("A", 1, 1, b"ab")
    p.send("A", 101, 1, win=500)
    p.send("A", 1, 1, bytes(100), win=500)
    # Between the two that have come, by its sequence number.
    p.send("A", 51, 2, bytes(50), win=9000)
    assert s.stats()["snd_wnd"] == 500


def test_3_8_6_a_fin_behind_a_full_window_opens_no_window():
    h, p, s = established(rx=100, ack_delay=0)
    p.send("A", 1, 1, bytes(90))
    h.clear()
    p.send("FA", 91, 1, bytes(10))
    r = p.expect("A", 1)
    assert r.win == 0 and r.rack in (101, 102), r
    p.send("FA", 101, 1)
    while h.device.sent:
        assert p.expect("A", 1).win == 0
    assert len(recv(s)) == 100
    h.advance(50)
    h.clear()
    p.send("FA", 101, 1)
    assert p.expect("A", 1, 102).win == 100
    check_state(s, "CLOSE_WAIT")
    assert recv(s) == 0


def test_3_10_7_4_reset_with_text_at_a_closed_window():
    # "If the RCV.WND is zero ... special allowance should be made to accept valid ACKs, URGs and
    # RSTs."
    h, p, s = established(rx=100, ack_delay=0)
    p.send("A", 1, 1, bytes(100))
    p.expect("A", 1, 101, win=0)
    p.send("RA", 100, 1, b"why")
    check_state(s, "ESTABLISHED")
    h.clear()
    p.send("RA", 101, 1, b"why")
    check_state(s, "CLOSED")
    h.expect_nothing()


def test_3_8_6_1_a_closed_window_may_have_a_limit():
    h, p, s = established()
    assert s.persist_timeout == 0
    s.persist_timeout = 10000
    p.send("A", 1, 1, win=0)
    s.send(b"waits")
    started = h.t
    while s.state == TCPSocket.ESTABLISHED and h.t - started < 20000:
        h.advance(100)
        while h.device.sent:
            p.expect("A", 1, 1, b"w")
            p.send("A", 1, 1, win=0)
    assert 9900 <= h.t - started <= 10200, h.t - started
    assert recv(s) == -110
    raises(ValueError, "persist_timeout", setattr, s, "persist_timeout", -1)


def test_3_8_6_1_the_limit_of_a_closed_window_begins_anew():
    h, p, s = established()
    s.persist_timeout = 10000
    at = 1
    for _ in range(4):
        p.send("A", 1, at, win=0)
        s.send(b"ab")
        for _ in range(8):
            h.advance(1000)
            h.clear()
            p.send("A", 1, at, win=0)
        p.send("A", 1, at, win=1000)
        h.run()
        h.clear()
        at += 2
        p.send("A", 1, at, win=1000)
    check_state(s, "ESTABLISHED")
    s.send(b"ab")
    h.advance(15000)
    check_state(s, "ESTABLISHED")  # the limit is for a closed window alone
