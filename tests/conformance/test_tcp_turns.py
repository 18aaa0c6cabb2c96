"""What one turn of a connection sends, how it counts that, and what reading and waiting bring."""

from states import *


def test_flush_counts_what_it_sends():
    h, p, s = established(nagle=False, syn={"mss": 100})
    for n in (1, 99, 100, 101, 250, 400):
        s.send(bytes(n))
        assert s.flush() == (n + 99) // 100, n
        p.ack += n
        h.clear()
        p.send("A")
        assert s.flush() == 0
    # An ACK is one as well.
    h.device.queue.append(p.frame("A", 1, p.ack, bytes(200)))
    h.iface.poll(h.now)
    assert s.flush() + len(h.device.sent) in (1, 2) and len(h.device.sent) == 1
    h.clear()
    # And a probe that found the device full.
    s.keep_alive = 5000
    h.device.refuse = EAGAIN
    h.t += 6000
    h.iface.poll(h.now)
    h.device.refuse = 0
    assert s.flush() == 1
    p.expect("A", p.ack - 1, 201, b"")
    h.expect_nothing()
    assert 0 < h.iface.poll_delay(h.now) <= 5000


def test_5681_4_2_as_many_acks_as_segments_came_early():
    """Three at most, which is enough for the peer; and one before them for what came in order."""
    for early in range(1, 6):
        for in_order in (0, 1):
            for sack in (False, True):
                h, p, s = established(rx=4096, syn={"mss": 1460, "sackok": sack}, sack=sack)
                frames = []
                if in_order:
                    frames.append(p.frame("A", 1, 1, b"a"))
                for i in range(early):
                    frames.append(p.frame("A", 10 + 20 * i, 1, bytes(5)))
                for f in frames:
                    h.device.queue.append(f)
                h.run()
                n = 1 if sack else min(early, 3) + in_order
                assert len(h.device.sent) == n, (early, in_order, sack, len(h.device.sent))
                for _ in range(n):
                    p.expect("A", 1, 1 + in_order, b"")
                # They are told once.
                p.send("A", 1 + in_order, 1, b"b")
                h.advance(500)
                assert len(h.device.sent) == 1
                assert h.counter("tcp_out_of_order") == early
                assert s.stats()["out_of_order"] == early


def test_3_8_6_2_2_reading_tells_of_room_only_where_more_may_come():
    for name in ("ESTABLISHED", "CLOSE_WAIT"):
        h, p, s = established(rx=1000, syn={"mss": 400})
        p.send("A", 1, 1, bytes(500))
        p.send("FA" if name == "CLOSE_WAIT" else "A", 501, 1, bytes(500))
        h.advance(500)
        h.clear()
        check_state(s, name)
        assert len(recv(s)) == 1000
        h.run()
        if name == "ESTABLISHED":
            p.expect("A", 1, 1001, win=1000)
        h.expect_nothing()


def test_2923_2_1_full_segments_that_vanish():
    """After so many timeouts 536 bytes are tried; later where more than that has arrived once."""
    found = []
    for first in (0, 536, 537, 1460):
        h, p, s = established(syn={"mss": 1460}, tx=8192, nagle=False)
        if first:
            s.send(bytes(first))
            p.expect("A", 1, 1, bytes(first))
            p.send("A", 1, 1 + first)
        s.send(bytes(3000))
        h.run()
        h.clear()
        timeouts = 0
        while s.stats()["mss"] == 1460:
            h.advance(h.iface.poll_delay(h.now))
            timeouts += 1
            assert timeouts < 20
        assert s.stats()["mss"] == 536
        found.append(timeouts)
    assert found[0] == found[1] < found[2] == found[3], found


def test_the_window_of_a_handshake_is_read_whole():
    for win in (0x0001, 0x1234, 0xFF00, 0x00FF):
        h, p, s = syn_received()
        p.send("A", win=win)
        assert s.stats()["snd_wnd"] == win
        h, p, s = connecting()
        p.send("SA", 0, 1, mss=1460, win=win)
        assert s.stats()["snd_wnd"] == win
        for other in (0x4321, 0x0100, 7):
            p.send("A", 1, 1, win=other)
            assert s.stats()["snd_wnd"] == other


def test_what_a_socket_says_before_it_is_connected():
    h = Host()
    for again in range(2):
        s = h.add(TCPSocket(3000, 64))
        s.listen(80 + again)
        stats = s.stats()
        assert (stats["mss"], stats["rto"], stats["rtt"]) == (536, 1000, 0), stats
        assert stats["snd_wnd"] == 0


def test_a_listener_that_is_back_waits_for_nothing():
    for how in ("R", "time"):
        h, p, s = syn_received()
        if how == "R":
            p.send("R", 1)
        else:
            h.advance(300000)
            h.clear()
        check_state(s, "LISTEN")
        h.expect_idle()
        for value in (False, True):
            s.nagle = value  # gives it a turn
            h.run()
        h.expect_idle()
        check_state(s, "LISTEN")
        q = Peer(h, 1234)
        q.send("S", 0, mss=1460)
        q.expect("SA", 0, 1)
        h.advance(999)
        h.expect_nothing()
        h.advance(1)
        q.expect("SA", 0, 1)


def test_6191_2_a_syn_beyond_the_last_number_opens_anew():
    mixed = 0x9A3C5EE7
    far = [0, 1, 2, 100, 1 << 24, 1 << 30, (1 << 31) - 2, -1, -2, -100, -(1 << 24), -(1 << 30)]
    for iss in (ISS, mixed):
        for d in far:
            h, s = listener()
            p = Peer(h, iss=iss)
            p.send("S", 0, mss=1460)
            p.expect("SA", 0, 1)
            p.send("A", 1, 1)
            s.close()
            p.expect("FA", 1, 1)
            p.send("FA", 1, 2)
            h.advance(100)
            h.clear()
            check_state(s, "TIME_WAIT")
            other = h.add(TCPSocket(64, 64))
            other.listen(6969)
            q = Peer(h, iss=(iss + 2 + d) & M32)  # the next number that was expected is iss + 2
            q.send("S", 0, mss=1460)
            if d > 0:
                q.expect("SA", 0, 1)
                check_state(other, "SYN_RECEIVED")
            else:
                check_state(other, "LISTEN")
                check_state(s, "TIME_WAIT")


def test_keep_alive_is_not_put_off_by_an_old_fin():
    h, p, s = in_state("CLOSE_WAIT", keep_alive=5000)
    h.advance(4000)
    h.clear()
    p.send("FA", 1, p.ack)  # once more
    h.advance(100)
    h.clear()
    at = h.t
    h.advance(5000)
    assert h.device.sent, "a probe"
    assert h.device.sent[0][0] - at <= 1000


def test_5961_4_a_syn_for_a_connection_is_not_for_a_listener_beside_it():
    for name in SYNCHRONIZED:
        if name == "TIME_WAIT":
            continue
        for seq in (0, 100, 1 << 20, 1 << 30):
            h, p, s = in_state(name)
            other = h.add(TCPSocket(64, 64))
            other.listen(6969)
            h.clear()
            p.send("S", p.seq + seq, mss=1460)
            check_state(s, name)
            check_state(other, "LISTEN")
            p.expect("A", None, p.seq, b"")
            h.expect_nothing()


def test_a_handler_gets_a_segment_whole_that_just_fits_its_answer():
    for n in (63, 64):
        h, s = listener(rx=200, tx=64)
        got = []
        s.handler = lambda socket, view, n, got=got: got.append(n) or n
        p = Peer(h)
        p.send("S", 0, mss=1460)
        p.expect("SA", 0, 1)
        p.send("A", 1, 1)
        p.send("PA", 1, 1, bytes(n))
        assert got == [n]
        p.expect("A", 1, 1 + n, bytes(n))
        # What is left of the room is what it gets next.
        p.send("PA", 1 + n, 1, bytes(5))
        assert sum(got) == min(n + 5, 64), got
        p.send("A", 1 + n + 5, 1 + n)
        assert sum(got) == n + 5


def test_a_limit_that_is_set_while_it_runs_counts_at_once():
    for already, limit in ((1000, 3000), (5000, 3000)):
        h, p, s = in_state("FIN_WAIT_2")
        h.advance(already)
        s.fin_timeout = limit
        h.run()
        if already < limit:
            h.advance(limit - already - 1)
            check_state(s, "FIN_WAIT_2")
            h.advance(1)
        check_state(s, "CLOSED")
        assert s.recv_into(bytearray(4)) == -110


def test_3_5_text_behind_a_syn_ack_of_both_that_began_at_once():
    for iss in (ISS, 0x9A3C5EE7, 0x00FF01FE):
        h, p, s = connecting(iss=iss)
        p.send("S", 0, mss=1460)
        p.expect("SA", 0, 1)
        p.send("SA", 0, 1, b"text")
        check_state(s, "ESTABLISHED")
        assert recv(s) == b"text"
        h.advance(500)
        p.expect("A", 1, 5)


def test_early_pieces_take_no_place_where_sack_is_off():
    for sack in (False, True):
        h, s = listener(rx=32000, sack=False)
        p = Peer(h)
        p.send("S", 0, mss=500, **({"sackok": True} if sack else {}))
        p.expect("SA", 0, 1)
        p.send("A", 1, 1)
        for i in range(3):
            p.send("A", 20 + 20 * i, 1, bytes(5))
        p.send("A", 1, 1, bytes(3))
        p.send("A", 1, 1, bytes(3))  # once more
        h.clear()
        s.send(bytes(900))
        r = p.expect("A", 1, 4)
        assert len(r.data) == 500 and not r.sack


def _in_time_wait(stamps):
    """A connection in TIME-WAIT whose last timestamp was 1000, and the numbers it ended with."""
    h, s = listener(timestamps=stamps)
    p = Peer(h, iss=0x9A3C5EE7)
    kw = {"ts": (1000, 0)} if stamps else {}
    p.send("S", 0, mss=1460, **kw)
    p.expect("SA", 0, 1)
    p.send("A", 1, 1, **kw)
    s.close()
    p.expect("FA", 1, 1)
    p.send("FA", 1, 2, **kw)
    h.advance(100)
    h.clear()
    check_state(s, "TIME_WAIT")
    return h, p, s


def test_6191_2_timestamps_decide_where_both_have_them():
    for old in (False, True):
        for new in (False, True):
            for ts in (None, 999, 1000, 1001, 1000 + (1 << 30), 1000 - (1 << 30) & M32):
                for d in (5, -5):
                    h, p, s = _in_time_wait(old)
                    other = h.add(TCPSocket(64, 64))
                    other.timestamps = new
                    other.listen(6969)
                    q = Peer(h, iss=(p.iss + 2 + d) & M32)
                    q.send("S", 0, mss=1460, **({} if ts is None else {"ts": (ts, 0)}))
                    later = d > 0
                    if ts is not None and old and ts != 1000:
                        later = not (ts - 1000 & M32) >> 31
                    elif ts is not None and not old and new:
                        later = True
                    state = "SYN_RECEIVED" if later else "LISTEN"
                    assert other.state_name == state, (old, new, ts, d)


def test_9293_3_6_1_the_next_connection_begins_beyond_the_last():
    """After a fast transfer too, of which the clock of sequence numbers knows nothing."""
    for sent in (0, 25500, 25599, 25601, 1000000, 1 << 29):
        h, p, s = _in_time_wait(False)
        last = (p.irs + sent) & M32
        s._tcb[12] = last  # SND.MAX, as if so much had been sent
        other = h.add(TCPSocket(64, 64))
        other.listen(6969)
        q = Peer(h, iss=(p.iss + 100) & M32)
        q.send("S", 0, mss=1460)
        r = q.expect("SA", 0, 1)
        # Its clock: 256 numbers a millisecond.
        iss = (p.irs + 25600) & M32
        want = iss if sent < 25600 else (last + 65536) & M32
        assert r.seq == want, (sent, (r.seq - p.irs) & M32)
        q.send("A", 1, 1)
        other.send(b"abc")
        q.expect("A", 1, 1, b"abc")


def test_3_8_6_2_1_a_part_goes_out_where_it_is_half_of_the_largest_window():
    for left, sends in ((499, False), (500, True), (501, True)):
        h, s = listener(nagle=False)
        p = Peer(h)
        p.win = 1000
        p.send("S", 0, mss=1460)
        p.expect("SA", 0, 1)
        p.send("A", 1, 1)
        s.send(bytes(1000 - left))
        p.expect("A", 1, 1, bytes(1000 - left))
        s.send(bytes(900))
        h.run()
        if sends:
            p.expect("A", 1001 - left, 1, bytes(left))
        h.expect_nothing()


def test_9293_3_7_1_a_syn_that_says_no_segment_size_means_536():
    h, s = listener(tx=4096)
    for mss, room in ((1460, 1460), (None, 536), (700, 700), (None, 536)):
        p = Peer(h)
        p.send("S", 0, **({} if mss is None else {"mss": mss}))
        p.expect("SA", 0, 1)
        assert s.stats()["mss"] == room, (mss, s.stats()["mss"])
        p.send("R", 1)
        check_state(s, "LISTEN")


def test_an_ack_that_is_due_is_not_forgotten_in_a_turn_that_sends_nothing():
    for ack_delay in (10, 100):
        h, p, s = established(ack_delay=ack_delay)
        s.send(b"first")
        p.expect("A", 1, 1, b"first")
        p.send("A", 1, 1, b"text")
        h.t += ack_delay // 2
        s.send(b"waits for the ACK of the first")  # Nagle's algorithm
        h.run()
        h.expect_nothing()
        assert h.iface.poll_delay(h.now) == ack_delay - ack_delay // 2
        h.advance(ack_delay - ack_delay // 2)
        p.expect("A", None, 5)
        h.advance(1000)
        p.expect("A", 1, 5)  # and the first again
