"""RFC 9293 section 3.10.7.4: segments arriving in the other states, in its order of checks.

First the sequence number, then RST, SYN, ACK, URG, the text, FIN; RFC 5961 where it applies.
"""

from states import *

WINDOW = 2048
NOT_LISTENING = ("SYN_RECEIVED",) + SYNCHRONIZED


def ack_of(h, p, s):
    """Exactly one ACK <SEQ=SND.NXT><ACK=RCV.NXT>, at once."""
    p.expect("A", p.ack, p.seq, b"")
    h.expect_nothing()


def test_first_sequence_number_old_or_beyond_the_window_is_acked():
    for name in SYNCHRONIZED:
        for offset, data in (
            (-1, b""),
            (-5, b"abcde"),
            (-1000, b"x"),
            (-0x7FFFFFFF, b"x"),
            (WINDOW + 1, b""),
            (WINDOW + 1, b"x"),
            (0x7FFFFFF0, b"x"),
        ):
            h, p, s = in_state(name)
            p.send("A", p.seq + offset, data=data)
            ack_of(h, p, s)
            check_state(s, name)
            assert s.recv_queue == 0


def test_first_sequence_number_syn_received():
    h, p, s = in_state("SYN_RECEIVED")
    p.send("A", 5000, data=b"x")
    p.expect("A", 1, 1)
    check_state(s, "SYN_RECEIVED")


def test_first_zero_window_takes_only_the_next_number():
    h, p, s = established(rx=64)
    p.send("A", 1, 1, bytes(64))
    h.advance(20)
    p.expect("A", 1, 65, win=0)
    p.send("A", 65, 1, b"z")
    p.expect("A", 1, 65, win=0)
    p.send("A", 66, 1, b"")
    p.expect("A", 1, 65, win=0)
    # An acceptable segment without text: its ACK counts, and nothing is answered.
    s.send(b"q")
    p.expect("A", 1, 65, b"q")
    p.send("A", 65, 2)
    h.expect_nothing()
    assert s.send_queue == 0
    # A FIN just beyond a closed window does not fit.
    assert recv(s) == bytes(64)


def test_first_zero_window_still_processes_ack_and_rst_of_a_full_segment():
    # MUST-66: with a window of zero, ACK, RST and URG of incoming segments still count.
    h, p, s = established(rx=64)
    p.send("A", 1, 1, bytes(64))
    h.advance(20)
    p.expect("A", 1, 65, win=0)
    s.send(b"q")
    p.expect("A", 1, 65, b"q")
    p.send("A", 65, 2, b"does not fit")
    assert s.send_queue == 0
    h.clear()
    p.send("R", 65)
    check_state(s, "CLOSED")


def test_second_rst_at_rcv_nxt_resets():
    for name in NOT_LISTENING:
        for flags in ("R", "RA"):
            h, p, s = in_state(name)
            p.send(flags)
            h.expect_nothing()
            if name == "SYN_RECEIVED":
                # A passive open returns to LISTEN, without telling the user.
                check_state(s, "LISTEN")
            else:
                check_state(s, "CLOSED")
            if name in ("ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2"):
                assert recv(s) == -104, name
            if name == "CLOSE_WAIT":
                # What the peer sent came to its end; what we send did not.
                assert s.send(b"x") == -104
            h.advance(20000)
            h.expect_nothing()


def test_second_rst_of_an_active_syn_received_refuses():
    h, p, s = in_state("SYN_SENT")
    p.send("S", 0)
    p.expect("SA", 0, 1)
    p.send("R", 1)
    check_state(s, "CLOSED")
    assert recv(s) == -111


def test_second_rst_in_the_window_gets_a_challenge_ack():
    # RFC 5961 section 3.
    for name in SYNCHRONIZED:
        for offset in (1, 100, WINDOW - 1):
            h, p, s = in_state(name)
            if name in ("CLOSE_WAIT", "CLOSING", "LAST_ACK", "TIME_WAIT"):
                # The window has lost the byte of the FIN, in some stacks.
                offset = min(offset, WINDOW - 2)
            p.send("R", p.seq + offset)
            ack_of(h, p, s)
            check_state(s, name)


def test_second_rst_outside_the_window_is_dropped():
    for name in SYNCHRONIZED:
        for offset in (-1, -1000, WINDOW + 10, 0x7FFFFFF0):
            h, p, s = in_state(name)
            p.send("R", p.seq + offset)
            h.expect_nothing()
            check_state(s, name)


def test_second_rst_reports_once_after_buffered_data():
    h, p, s = established()
    p.send("A", 1, 1, b"abc")
    h.advance(20)
    p.expect("A", 1, 4)
    p.send("R", 4)
    assert recv(s) == b"abc"
    assert recv(s) == -104
    assert recv(s) == -107
    assert s.send(b"x") == -107


def test_fourth_syn_gets_a_challenge_ack():
    # RFC 5961 section 4, whatever the sequence number.
    for name in SYNCHRONIZED:
        if name == "TIME_WAIT":
            continue
        for flags in ("S", "SA"):
            for seq in (0, None, 100, -1000):
                h, p, s = in_state(name)
                p.send(flags, seq)
                ack_of(h, p, s)
                check_state(s, name)


def test_fourth_syn_in_syn_received_is_answered_again():
    h, p, s = in_state("SYN_RECEIVED")
    p.send("S", 0, mss=1460)
    p.expect("SA", 0, 1)
    check_state(s, "SYN_RECEIVED")
    p.send("A", 1, 1)
    check_state(s, "ESTABLISHED")


def test_fifth_without_ack_is_dropped():
    for name in NOT_LISTENING:
        h, p, s = in_state(name)
        p.send("", data=b"x")
        p.send("F")
        h.expect_nothing()
        check_state(s, name)
        assert s.recv_queue == 0


def test_fifth_syn_received_bad_ack_gets_rst():
    for ack in (0, 2, 1000, -1000):
        h, p, s = in_state("SYN_RECEIVED")
        p.send("A", 1, ack)
        h.expect("tcp", flags="R", seq=(p.irs + ack) & M32)
        h.expect_nothing()
        check_state(s, "SYN_RECEIVED")


def test_fifth_syn_received_good_ack_establishes_and_takes_text_and_fin():
    h, p, s = in_state("SYN_RECEIVED")
    p.send("FA", 1, 1, b"all at once")
    check_state(s, "CLOSE_WAIT")
    h.advance(20)
    p.expect("A", 1, 13)
    assert recv(s) == b"all at once" and recv(s) == 0


def test_fifth_ack_of_what_was_never_sent_is_acked_and_dropped():
    for name in ("ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT_1", "FIN_WAIT_2", "CLOSING", "LAST_ACK"):
        for ack in (1, 1000, 0x40000000):
            h, p, s = in_state(name)
            p.send("A", None, p.ack + ack, b"x" if name in RECEIVING else b"")
            ack_of(h, p, s)
            check_state(s, name)
            assert s.recv_queue == 0


def test_fifth_very_old_ack_gets_a_challenge_ack():
    # RFC 5961 section 5: SEG.ACK < SND.UNA - MAX.SND.WND is blind injection.
    h, p, s = established()
    p.send("A", 1, -0x10000000, b"evil")
    ack_of(h, p, s)
    assert s.recv_queue == 0


def test_fifth_duplicate_ack_is_ignored_but_its_text_is_taken():
    h, p, s = established()
    s.send(b"abc")
    p.expect("A", 1, 1, b"abc")
    p.send("A", 1, 4)
    p.send("A", 1, 1, b"text")
    assert recv(s) == b"text"
    assert s.send_queue == 0


def test_fifth_partial_ack_moves_on():
    h, p, s = established()
    s.send(b"abcdef")
    p.expect("A", 1, 1, b"abcdef")
    p.send("A", 1, 4)
    assert s.send_queue == 3
    p.send("A", 1, 7)
    assert s.send_queue == 0
    h.advance(10000)
    h.expect_nothing()


def test_fifth_window_update_rules():
    # SND.WL1 and SND.WL2 keep an old segment from changing the window.
    h, p, s = established(ack_delay=0, syn={"mss": 100})
    p.send("A", 1, 1, b"x", win=0)
    p.expect("A", 1, 2)
    p.send("A", 2, 1, win=200)
    # The older segment, late: its window may not be taken.
    p.send("A", 1, 1, b"x", win=5000)
    p.expect("A", 1, 2)
    s.send(bytes(1000))
    p.expect("A", 1, 2, bytes(100))
    p.expect("A", 101, 2, bytes(100))
    h.expect_nothing()
    # Same sequence number and acknowledgment: the newer window counts, smaller or larger.
    p.send("A", 2, 201, win=100)
    p.expect("A", 201, 2, bytes(100))
    p.send("A", 2, 301, win=0)
    h.expect_nothing()
    p.send("A", 2, 301, win=200)
    p.expect("A", 301, 2, bytes(100))
    p.expect("A", 401, 2, bytes(100))
    h.expect_nothing()


def test_fifth_fin_wait_1_ack_of_fin():
    h, p, s = in_state("FIN_WAIT_1")
    p.send("A", 1, 1)
    check_state(s, "FIN_WAIT_1")
    p.send("A", 1, 2)
    check_state(s, "FIN_WAIT_2")
    h.expect_nothing()


def test_fifth_closing_ack_of_fin():
    h, p, s = in_state("CLOSING")
    p.send("A", 2, 1)
    check_state(s, "CLOSING")
    p.send("A", 2, 2)
    check_state(s, "TIME_WAIT")
    h.expect_nothing()


def test_fifth_last_ack_ack_of_fin():
    h, p, s = in_state("LAST_ACK")
    p.send("A", 2, 1)
    check_state(s, "LAST_ACK")
    p.send("A", 2, 2)
    check_state(s, "CLOSED")
    h.expect_nothing()


def test_fifth_time_wait_fin_again_is_acked_and_restarts_the_timer():
    h, p, s = in_state("TIME_WAIT")
    h.advance(s.time_wait - 1000)
    p.send("FA", 1, 2)
    h.advance(20)
    p.expect("A", 2, 2)
    check_state(s, "TIME_WAIT")
    h.advance(s.time_wait - 2000)
    check_state(s, "TIME_WAIT")
    h.advance(3000)
    check_state(s, "CLOSED")
    h.expect_nothing()


def test_fifth_ack_of_one_connection_is_not_another_s():
    h, p, s = established()
    t = h.add(TCPSocket(64, 64))
    t.listen(6969)
    q = Peer(h, p.port + 1, iss=5)
    q.send("S", 0)
    q.expect("SA", 0, 1)
    q.send("A", 1, 1)
    t.send(b"to q")
    q.expect("A", 1, 1, b"to q")
    p.send("A", 1, 1, b"from p")
    assert recv(s) == b"from p" and t.recv_queue == 0 and t.send_queue == 4


def test_first_an_old_segment_does_not_acknowledge_into_a_closed_window():
    h, p, s = established(rx=64)
    p.send("A", 1, 1, bytes(64))
    h.advance(20)
    p.expect("A", 1, 65, win=0)
    s.send(b"q")
    p.expect("A", 1, 65, b"q")
    p.send("A", 60, 2, b"zzzzz")
    p.send("A", 80, 2, b"z")
    assert s.send_queue == 1
    h.clear()
    p.send("A", 65, 2)
    assert s.send_queue == 0


def test_second_rst_of_a_connection_that_was_over_is_no_error():
    for name in ("CLOSING", "LAST_ACK", "TIME_WAIT"):
        h, p, s = in_state(name)
        p.send("R")
        check_state(s, "CLOSED")
        assert recv(s) in (0, -107), name


def test_fourth_syn_ack_in_syn_received_has_to_fit():
    # A simultaneous open is completed by the peer's own SYN,ACK alone.
    h, p, s = in_state("SYN_SENT")
    p.send("S", 0)
    p.expect("SA", 0, 1)
    for seq, ack in ((5, 1), (-1, 1), (0, 5), (0, 0), (3000, 1)):
        p.send("SA", seq, ack)
        check_state(s, "SYN_RECEIVED")


def test_fifth_time_wait_is_not_prolonged_by_old_data():
    h, p, s = in_state("TIME_WAIT")
    h.advance(s.time_wait - 1000)
    p.send("A", 0, 2, b"x")
    p.expect("A", 2, 2)
    h.advance(1100)
    check_state(s, "CLOSED")
