"""RFC 9293 section 3.10.7.4, fifth: the ACK bit, in every state; RFC 5961 section 5."""

from states import *

NOT_LISTENING = ("SYN_RECEIVED",) + SYNCHRONIZED


def ack_of(h, p, s):
    """Exactly one ACK <SEQ=SND.NXT><ACK=RCV.NXT>, at once."""
    p.expect("A", p.ack, p.seq, b"")
    h.expect_nothing()


def test_3_10_7_4_fifth_without_ack_is_dropped():
    for name in NOT_LISTENING:
        h, p, s = in_state(name)
        p.send("", data=b"x")
        p.send("F")
        h.expect_nothing()
        check_state(s, name)
        assert s.recv_queue == 0


def test_3_10_7_4_fifth_syn_received_bad_ack_gets_rst():
    for ack in (0, 2, 1000, -1000):
        h, p, s = in_state("SYN_RECEIVED")
        p.send("A", 1, ack)
        h.expect("tcp", flags="R", seq=(p.irs + ack) & M32)
        h.expect_nothing()
        check_state(s, "SYN_RECEIVED")


def test_3_10_7_4_fifth_syn_received_good_ack_establishes_and_takes_text_and_fin():
    h, p, s = in_state("SYN_RECEIVED")
    p.send("FA", 1, 1, b"all at once")
    check_state(s, "CLOSE_WAIT")
    h.advance(20)
    p.expect("A", 1, 13)
    assert recv(s) == b"all at once" and recv(s) == 0


def test_3_10_7_4_fifth_ack_of_what_was_never_sent_is_acked_and_dropped():
    for name in ("ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT_1", "FIN_WAIT_2", "CLOSING", "LAST_ACK"):
        for ack in (1, 1000, 0x40000000):
            h, p, s = in_state(name)
            p.send("A", None, p.ack + ack, b"x" if name in RECEIVING else b"")
            ack_of(h, p, s)
            check_state(s, name)
            assert s.recv_queue == 0


def test_3_10_7_4_fifth_very_old_ack_gets_a_challenge_ack():
    # RFC 5961 section 5: SEG.ACK < SND.UNA - MAX.SND.WND is blind injection.
    h, p, s = established()
    p.send("A", 1, -0x10000000, b"evil")
    ack_of(h, p, s)
    assert s.recv_queue == 0


def test_3_10_7_4_fifth_duplicate_ack_is_ignored_but_its_text_is_taken():
    h, p, s = established()
    s.send(b"abc")
    p.expect("A", 1, 1, b"abc")
    p.send("A", 1, 4)
    p.send("A", 1, 1, b"text")
    assert recv(s) == b"text"
    assert s.send_queue == 0


def test_3_10_7_4_fifth_partial_ack_moves_on():
    h, p, s = established()
    s.send(b"abcdef")
    p.expect("A", 1, 1, b"abcdef")
    p.send("A", 1, 4)
    assert s.send_queue == 3
    p.send("A", 1, 7)
    assert s.send_queue == 0
    h.advance(10000)
    h.expect_nothing()


def test_3_10_7_4_fifth_window_update_rules():
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


def test_3_10_7_4_fifth_fin_wait_1_ack_of_fin():
    h, p, s = in_state("FIN_WAIT_1")
    p.send("A", 1, 1)
    check_state(s, "FIN_WAIT_1")
    p.send("A", 1, 2)
    check_state(s, "FIN_WAIT_2")
    h.expect_nothing()


def test_3_10_7_4_fifth_closing_ack_of_fin():
    h, p, s = in_state("CLOSING")
    p.send("A", 2, 1)
    check_state(s, "CLOSING")
    p.send("A", 2, 2)
    check_state(s, "TIME_WAIT")
    h.expect_nothing()


def test_3_10_7_4_fifth_last_ack_ack_of_fin():
    h, p, s = in_state("LAST_ACK")
    p.send("A", 2, 1)
    check_state(s, "LAST_ACK")
    p.send("A", 2, 2)
    check_state(s, "CLOSED")
    h.expect_nothing()


def test_3_10_7_4_fifth_time_wait_fin_again_is_acked_and_restarts_the_timer():
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


def test_3_10_7_4_fifth_ack_of_one_connection_is_not_another_s():
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


def test_3_10_7_4_fifth_time_wait_is_not_prolonged_by_old_data():
    h, p, s = in_state("TIME_WAIT")
    h.advance(s.time_wait - 1000)
    p.send("A", 0, 2, b"x")
    p.expect("A", 2, 2)
    h.advance(1100)
    check_state(s, "CLOSED")
