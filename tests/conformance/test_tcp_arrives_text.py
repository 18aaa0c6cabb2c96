"""RFC 9293 section 3.10.7.4, sixth to eighth: URG, text and FIN; reassembly (3.4, 3.8)."""

from states import *


def test_3_10_7_4_sixth_urgent_data_is_delivered_inline():
    h, p, s = established()
    p.send("UA", 1, 1, b"abcdef", urg=3)
    assert recv(s) == b"abcdef"
    p.send("UA", 7, 1, b"ghi", urg=100)
    p.send("UA", 10, 1, b"jkl", urg=0)
    assert recv(s) == b"ghijkl"


def test_3_10_7_4_seventh_text_in_order():
    h, p, s = established()
    p.send("A", 1, 1, b"abc")
    p.send("PA", 4, 1, b"def")
    assert s.recv_queue == 6 and recv(s, 4) == b"abcd" and recv(s) == b"ef"
    assert recv(s) == EAGAIN


def test_3_10_7_4_seventh_text_in_fin_wait():
    for name in ("FIN_WAIT_1", "FIN_WAIT_2"):
        h, p, s = in_state(name)
        p.send("A", 1, p.una, b"still talking")
        h.advance(20)
        p.expect("A", 2, 14)
        assert recv(s) == b"still talking"
        check_state(s, name)


def test_3_10_7_4_seventh_text_after_fin_is_ignored():
    # "This should not occur, since a FIN has been received from the remote side."
    for name in ("CLOSE_WAIT", "CLOSING", "LAST_ACK", "TIME_WAIT"):
        h, p, s = in_state(name)
        p.send("A", 2, p.una, b"impossible")
        assert s.recv_queue == 0
        for at, f in h.device.sent:
            assert (Packet(f).ack - p.iss) & M32 == 2
        check_state(s, name)


def test_3_10_7_4_seventh_overlap_with_what_was_received():
    h, p, s = established()
    p.send("A", 1, 1, b"abcd")
    p.send("A", 3, 1, b"cdef")
    assert recv(s) == b"abcdef"
    p.send("A", 1, 1, b"abcdefgh")
    assert recv(s) == b"gh"


def test_3_10_7_4_seventh_text_beyond_the_window_is_cut():
    h, p, s = established(rx=64)
    p.send("A", 1, 1, bytes(range(100)))
    h.advance(20)
    p.expect("A", 1, 65, win=0)
    assert recv(s) == bytes(range(64))


def test_3_10_7_4_seventh_fin_beyond_the_window_is_not_taken():
    h, p, s = established(rx=64)
    p.send("FA", 1, 1, bytes(100))
    h.advance(20)
    p.expect("A", 1, 65)
    check_state(s, "ESTABLISHED")
    assert recv(s) == bytes(64) and recv(s) == EAGAIN
    h.run()
    h.clear()
    p.send("FA", 65, 1, bytes(36))
    assert recv(s) == bytes(36) and recv(s) == 0


def pieces(order, fin=False, rx=2048, iss=ISS):
    """Sends 8 pieces of 10 bytes in this order; all must arrive, each gap answered at once."""
    h, p, s = established(rx=rx, iss=iss)
    data = bytes(range(80))
    have = set()
    for i in order:
        last = fin and i == 7
        p.send("FA" if last else "A", 1 + 10 * i, 1, data[10 * i : 10 * i + 10])
        have.add(i)
        nxt = 0
        while nxt in have:
            nxt += 1
        if i >= nxt:
            # RFC 5681 4.2: a segment above a gap gets an immediate duplicate ACK.
            p.expect("A", 1, 1 + 10 * nxt, b"")
        else:
            h.clear()
    h.advance(20)
    if not h.device.sent:
        p.send("A", 0, 1)
    while h.device.sent:
        r = p.expect("A", 1)
    assert r.rack == (82 if fin else 81), r
    assert recv(s) == data, order
    assert recv(s) == (0 if fin else EAGAIN)
    return h, p, s


def test_3_10_7_4_seventh_out_of_order():
    for order in (
        (1, 0, 2, 3, 4, 5, 6, 7),
        (7, 6, 5, 4, 3, 2, 1, 0),
        (1, 3, 2, 0, 5, 4, 7, 6),
        (2, 4, 0, 1, 3, 6, 5, 7),
        (1, 2, 3, 4, 5, 6, 7, 0),
        (4, 3, 0, 1, 2, 7, 6, 5),
    ):
        pieces(order)
        pieces(order, fin=True)


def test_3_10_7_4_seventh_out_of_order_across_the_sequence_wrap():
    for iss in (M32 - 40, M32 - 41, M32 - 1, 0x7FFFFFFF - 30):
        pieces((3, 1, 2, 0, 7, 5, 6, 4), fin=True, iss=iss)


def test_3_10_7_4_seventh_out_of_order_in_a_ring_that_wraps():
    h, p, s = established(rx=100, ack_delay=0)
    at = 1
    for k in range(30):
        data = bytes((at + i) & 255 for i in range(60))
        p.send("A", at + 40, 1, data[40:])
        p.expect("A", 1, at)
        p.send("A", at + 20, 1, data[20:40])
        p.expect("A", 1, at)
        p.send("A", at, 1, data[:20])
        assert recv(s) == data
        at += 60
        h.run()
        h.clear()


def test_3_10_7_4_seventh_overlapping_pieces():
    for segments in (
        ((10, 30), (20, 40), (0, 10)),
        ((10, 30), (5, 35), (0, 7)),
        ((10, 20), (30, 40), (15, 35), (0, 12)),
        ((10, 20), (10, 20), (0, 40)),
        ((5, 10), (15, 20), (25, 30), (0, 40)),
        ((20, 40), (0, 20)),
        ((1, 40), (0, 1)),
    ):
        h, p, s = established()
        data = bytes(range(40))
        for a, b in segments:
            p.send("A", 1 + a, 1, data[a:b])
        top = max(b for a, b in segments)
        got = recv(s)
        got = got if isinstance(got, bytes) else b""
        if len(got) < top:
            # A stack may forget pieces when it has no room to note the gap; they come again.
            p.send("A", 1 + len(got), 1, data[len(got) : top])
            got += recv(s)
        assert got == data[:top], (segments, got)


def test_3_10_7_4_seventh_more_gaps_than_can_be_noted():
    h, p, s = established(rx=1000)
    data = bytes(i & 255 for i in range(400))
    for i in range(10, 400, 20):
        p.send("A", 1 + i, 1, data[i : i + 10])
    h.clear()
    assert s.recv_queue == 0
    for i in range(0, 400, 10):
        p.send("A", 1 + i, 1, data[i : i + 10])
    assert recv(s) == data


def test_3_10_7_4_seventh_out_of_order_text_is_not_readable():
    h, p, s = established()
    p.send("A", 4, 1, b"def")
    p.expect("A", 1, 1)
    assert s.recv_queue == 0 and not s.can_recv() and recv(s) == EAGAIN
    p.send("A", 1, 1, b"abc")
    assert recv(s) == b"abcdef"


def test_3_10_7_4_seventh_filling_a_gap_is_acknowledged_at_once():
    # RFC 5681 4.2.
    h, p, s = established()
    p.send("A", 4, 1, b"def")
    p.expect("A", 1, 1)
    p.send("A", 1, 1, b"abc")
    p.expect("A", 1, 7)


def test_3_10_7_4_eighth_fin():
    h, p, s = established()
    p.send("FA", 1, 1)
    h.advance(20)
    p.expect("A", 1, 2)
    check_state(s, "CLOSE_WAIT")
    assert recv(s) == 0 and recv(s) == 0
    assert s.may_send() and not s.may_recv()


def test_3_10_7_4_eighth_fin_with_text():
    h, p, s = established()
    p.send("FA", 1, 1, b"bye")
    h.advance(20)
    p.expect("A", 1, 5)
    check_state(s, "CLOSE_WAIT")
    assert s.may_recv()
    assert recv(s) == b"bye" and recv(s) == 0


def test_3_10_7_4_eighth_fin_again_is_acked():
    for name in ("CLOSE_WAIT", "CLOSING", "LAST_ACK"):
        h, p, s = in_state(name)
        p.send("FA", 1, p.una)
        h.advance(20)
        p.expect("A", p.ack, 2)
        check_state(s, name)


def test_3_10_7_4_eighth_fin_out_of_order_waits():
    h, p, s = established()
    p.send("FA", 4, 1, b"def")
    p.expect("A", 1, 1)
    check_state(s, "ESTABLISHED")
    p.send("A", 1, 1, b"abc")
    h.advance(20)
    last = None
    while h.device.sent:
        last = p.expect("A", 1)
    if last.rack == 7:
        p.send("FA", 7, 1)
        h.advance(20)
        last = p.expect("A", 1)
    assert last.rack == 8
    check_state(s, "CLOSE_WAIT")
    assert recv(s) == b"abcdef" and recv(s) == 0


def test_3_10_7_4_eighth_bare_fin_out_of_order_waits():
    h, p, s = established()
    p.send("FA", 4, 1)
    p.expect("A", 1, 1)
    check_state(s, "ESTABLISHED")
    p.send("A", 1, 1, b"abc")
    assert recv(s) == b"abc"
    p.send("FA", 4, 1)
    check_state(s, "CLOSE_WAIT")


def test_3_10_7_4_eighth_fin_in_fin_wait_1():
    # Its FIN acknowledged by the same segment: TIME-WAIT; not: CLOSING.
    h, p, s = in_state("FIN_WAIT_1")
    p.send("FA", 1, 2)
    h.advance(20)
    p.expect("A", 2, 2)
    check_state(s, "TIME_WAIT")
    h, p, s = in_state("FIN_WAIT_1")
    p.send("FA", 1, 1)
    h.advance(20)
    p.expect("A", 2, 2)
    check_state(s, "CLOSING")


def test_3_10_7_4_eighth_fin_in_fin_wait_2():
    h, p, s = in_state("FIN_WAIT_2")
    p.send("FA", 1, 2, b"last words")
    h.advance(20)
    p.expect("A", 2, 12)
    check_state(s, "TIME_WAIT")
    assert recv(s) == b"last words" and recv(s) == 0
