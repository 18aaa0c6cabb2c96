"""RFC 9293 section 3.10.7.4: segments arriving in the other states, in its order of checks.

First the sequence number, then RST and SYN; RFC 5961 where it applies. What follows is in
test_tcp_arrives_ack.py and test_tcp_arrives_text.py.
"""

from states import *

WINDOW = 2048
NOT_LISTENING = ("SYN_RECEIVED",) + SYNCHRONIZED


def ack_of(h, p, s):
    """Exactly one ACK <SEQ=SND.NXT><ACK=RCV.NXT>, at once."""
    p.expect("A", p.ack, p.seq, b"")
    h.expect_nothing()


def test_3_10_7_4_first_sequence_number_old_or_beyond_the_window_is_acked():
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


def test_3_10_7_4_first_sequence_number_syn_received():
    h, p, s = in_state("SYN_RECEIVED")
    p.send("A", 5000, data=b"x")
    p.expect("A", 1, 1)
    check_state(s, "SYN_RECEIVED")


def test_3_10_7_4_first_zero_window_takes_only_the_next_number():
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


def test_3_10_7_4_first_zero_window_still_processes_ack_and_rst_of_a_full_segment():
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


def test_3_10_7_4_second_rst_at_rcv_nxt_resets():
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


def test_3_10_7_4_second_rst_of_an_active_syn_received_refuses():
    h, p, s = in_state("SYN_SENT")
    p.send("S", 0)
    p.expect("SA", 0, 1)
    p.send("R", 1)
    check_state(s, "CLOSED")
    assert recv(s) == -111


def test_3_10_7_4_second_rst_in_the_window_gets_a_challenge_ack():
    # RFC 5961 section 3.
    for name in NOT_LISTENING:
        for offset in (1, 100, WINDOW - 1):
            h, p, s = in_state(name)
            if name in ("CLOSE_WAIT", "CLOSING", "LAST_ACK", "TIME_WAIT"):
                # The window has lost the byte of the FIN, in some stacks.
                offset = min(offset, WINDOW - 2)
            p.send("R", p.seq + offset)
            ack_of(h, p, s)
            check_state(s, name)


def test_3_10_7_4_second_rst_outside_the_window_is_dropped():
    for name in SYNCHRONIZED:
        for offset in (-1, -1000, WINDOW + 10, 0x7FFFFFF0):
            h, p, s = in_state(name)
            p.send("R", p.seq + offset)
            h.expect_nothing()
            check_state(s, name)


def test_3_10_7_4_second_rst_reports_once_after_buffered_data():
    h, p, s = established()
    p.send("A", 1, 1, b"abc")
    h.advance(20)
    p.expect("A", 1, 4)
    p.send("R", 4)
    assert recv(s) == b"abc"
    assert recv(s) == -104
    assert recv(s) == -107
    assert s.send(b"x") == -107


def test_3_10_7_4_fourth_syn_gets_a_challenge_ack():
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


def test_3_10_7_4_fourth_syn_in_syn_received_is_answered_again():
    h, p, s = in_state("SYN_RECEIVED")
    p.send("S", 0, mss=1460)
    p.expect("SA", 0, 1)
    check_state(s, "SYN_RECEIVED")
    p.send("A", 1, 1)
    check_state(s, "ESTABLISHED")


def test_3_10_7_4_first_an_old_segment_does_not_acknowledge_into_a_closed_window():
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


def test_3_10_7_4_second_rst_of_a_connection_that_was_over_is_no_error():
    for name in ("CLOSING", "LAST_ACK", "TIME_WAIT"):
        h, p, s = in_state(name)
        p.send("R")
        check_state(s, "CLOSED")
        assert recv(s) in (0, -107), name


def test_3_10_7_4_fourth_syn_ack_in_syn_received_has_to_fit():
    # A simultaneous open is completed by the peer's own SYN,ACK alone.
    h, p, s = in_state("SYN_SENT")
    p.send("S", 0)
    p.expect("SA", 0, 1)
    for seq, ack in ((5, 1), (-1, 1), (0, 5), (0, 0), (3000, 1)):
        p.send("SA", seq, ack)
        check_state(s, "SYN_RECEIVED")


def test_3_10_7_4_fourth_new_syn_in_syn_received():
    # The peer begins anew: it resets the old attempt when challenged, or the socket listens again.
    for new in (5, 5000, -5000, 0x40000000):
        h, p, s = in_state("SYN_RECEIVED")
        q = Peer(h, port=p.port, iss=(p.iss + new) & M32)
        for _ in range(4):
            q.send("S", 0, mss=1000)
            r = q.h.next()
            if r.flags == "SA" and r.ack == (q.iss + 1) & M32:
                break
            assert r.flags == "A", (new, r)
            h.inject(tcp(p.port, 6969, "R", r.ack))
        q.irs = r.seq
        q.send("A", 1, 1, b"x")
        check_state(s, "ESTABLISHED")
        assert recv(s) == b"x"
