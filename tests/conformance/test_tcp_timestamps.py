"""Timestamps and protection against wrapped sequence numbers (RFC 7323)."""

from states import *


def off():
    return lacks("timestamps")


def agreed(ts=1000, **opts):
    h, s = listener(timestamps=True, **opts)
    p = Peer(h)
    p.send("S", 0, mss=1000, ts=(ts, 0))
    r = p.expect("SA", 0, 1)
    assert r.ts and r.ts[1] == ts, r.ts
    p.tsval = r.ts[0]
    p.send("A", 1, 1, ts=(ts + 1, p.tsval))
    check_state(s, "ESTABLISHED")
    return h, p, s


def test_3_2_offered_and_answered():
    if off():
        return off()
    for enabled in (True, False):
        h = Host()
        s = h.add(TCPSocket(64, 64))
        s.timestamps = enabled
        s.connect(PEER, 80)
        r = h.expect("tcp", flags="S")
        assert (r.ts is not None) == enabled
        if enabled:
            assert r.ts[1] == 0
        for offered in (True, False):
            h, s = listener(timestamps=enabled)
            p = Peer(h)
            p.send("S", 0, **({"ts": (77, 0)} if offered else {}))
            r = p.expect("SA", 0, 1)
            assert (r.ts is not None) == (enabled and offered)


def test_3_2_every_segment_carries_it_once_agreed():
    if off():
        return off()
    h, p, s = agreed()
    s.send(b"abc")
    r = p.expect("A", 1, 1, b"abc")
    assert r.ts[1] == 1001
    p.send("A", 1, 4, b"x", ts=(1005, r.ts[0]))
    h.advance(20)
    r = p.expect("A", 4, 2)
    assert r.ts[1] == 1005
    s.close()
    assert p.expect("FA", 4, 2).ts[1] == 1005


def test_3_2_without_agreement_none_is_sent():
    if off():
        return off()
    h, p, s = established(timestamps=True)
    s.send(b"x")
    p.expect("A", ts=None)


def test_our_clock_ticks():
    # 5.4: between 1 ms and 1 s a tick.
    if off():
        return off()
    h, p, s = agreed()
    s.send(b"a")
    a = p.expect("A").ts[0]
    p.send("A", 1, 2, ts=(1002, a))
    h.advance(5000)
    s.send(b"b")
    b = p.expect("A").ts[0]
    assert 5 <= (b - a) & M32 <= 5000, (a, b)


def test_4_3_echo_is_of_the_segment_that_advanced_the_window():
    # An out-of-order segment's timestamp is not echoed: the gap's age is what counts.
    if off():
        return off()
    h, p, s = agreed()
    p.send("A", 1, 1, b"a", ts=(1010, 0))
    h.advance(20)
    assert p.expect("A", 1, 2).ts[1] == 1010
    p.send("A", 3, 1, b"c", ts=(1020, 0))
    assert p.expect("A", 1, 2).ts[1] == 1010
    p.send("A", 2, 1, b"b", ts=(1030, 0))
    h.advance(20)
    assert p.expect("A", 1, 4).ts[1] == 1030


def test_4_3_delayed_ack_echoes_the_earliest():
    if off():
        return off()
    h, p, s = agreed(ack_delay=100)
    p.send("A", 1, 1, b"a", ts=(1010, 0))
    p.send("A", 2, 1, b"b", ts=(1020, 0))
    h.advance(200)
    assert p.expect("A", 1, 3).ts[1] == 1010


def test_5_3_paws_drops_old_segments():
    if off():
        return off()
    h, p, s = agreed(ts=1000, ack_delay=0)
    p.send("A", 1, 1, b"a", ts=(2000, 0))
    p.expect("A", 1, 2)
    for old in (1999, 1000, 2000 - 0x7FFFFFFF & M32):
        p.send("A", 2, 1, b"evil", ts=(old, 0))
        p.expect("A", 1, 2, b"")
    assert recv(s) == b"a"
    p.send("A", 2, 1, b"b", ts=(2000, 0))
    p.expect("A", 1, 3)
    assert recv(s) == b"b"


def test_5_3_paws_over_the_wrap_of_the_timestamp():
    if off():
        return off()
    h, p, s = agreed(ts=M32 - 5, ack_delay=0)
    p.send("A", 1, 1, b"a", ts=(3, 0))
    p.expect("A", 1, 2)
    assert recv(s) == b"a"
    p.send("A", 2, 1, b"evil", ts=(M32 - 1, 0))
    p.expect("A", 1, 2)
    assert recv(s) == EAGAIN


def test_5_3_resets_are_not_subject_to_paws():
    if off():
        return off()
    h, p, s = agreed()
    p.send("R", 1, ts=(1, 0))
    check_state(s, "CLOSED")


def test_5_2_reset_without_timestamp_counts():
    if off():
        return off()
    h, p, s = agreed()
    p.send("R", 1)
    check_state(s, "CLOSED")


def test_3_2_segment_without_the_option_may_be_dropped():
    # SHOULD drop silently, once agreed.
    if off():
        return off()
    h, p, s = agreed()
    p.send("A", 1, 1, b"naked")
    assert recv(s) in (EAGAIN, b"naked")
    check_state(s, "ESTABLISHED")


def test_5_5_after_24_days_of_silence_the_old_timestamp_is_not_believed():
    if off():
        return off()
    h, p, s = agreed(ts=1000, ack_delay=0)
    # The peer's clock has gone round more than half; time passes as a program would see it.
    for _ in range(26):
        h.t += 86400000
        h.run()
    p.send("A", 1, 1, b"back", ts=((1000 + 26 * 86400000) & M32, 0))
    assert recv(s) == b"back"


def test_payload_leaves_room_for_the_option():
    # RFC 9293 3.7.1: the MSS does not count options; the sender does.
    if off():
        return off()
    h, p, s = agreed()
    s.send(bytes(1500))
    r = p.expect("A", 1, 1)
    assert len(r.data) == 988, r


def test_4_1_round_trip_from_a_retransmission():
    # The echo tells which transmission is acknowledged.
    if off():
        return off()
    h, p, s = agreed()
    s.send(b"abc")
    p.expect("A", 1, 1)
    h.advance(1500)
    r = None
    while h.device.sent:
        r = p.expect("A", 1, 1)
    p.send("A", 1, 4, ts=(1500, r.ts[0]))
    assert s.send_queue == 0


def test_with_sack_the_blocks_fit():
    if off() or lacks("sack"):
        return off() or lacks("sack")
    h, s = listener(timestamps=True, sack=True)
    p = Peer(h)
    p.send("S", 0, mss=1000, ts=(5, 0), sackok=True)
    p.expect("SA", 0, 1, sackok=True)
    p.send("A", 1, 1, ts=(6, 0))
    for at in (11, 31, 51, 91):
        p.send("A", at, 1, bytes(10), ts=(7, 0))
        r = p.expect("A", 1, 1)
    assert r.ts and 1 <= len(r.sack) <= 3 and r.sack[0] == (91, 101), r.sack


def test_malformed_option():
    if off():
        return off()
    h, s = listener(timestamps=True)
    p = Peer(h)
    p.send("S", 0, options=b"\x08\x09" + bytes(8))
    if h.device.sent:
        p.expect("SA", 0, 1)


def test_a_full_segment_is_full_with_options_too():
    # Nagle's algorithm counts what fits into a segment beside the options: the rest of a write
    # does not wait for the ACK of a full one.
    h, p, s = agreed()
    s.send(bytes(988 + 100))
    assert len(p.expect("A", 1, 1).data) == 988
    assert len(p.expect("A", 989, 1).data) == 100
    # That one is small: the next waits.
    s.send(bytes(50))
    h.expect_nothing()


def test_5_3_answers_to_empty_old_segments_are_limited():
    # RFC 7323 section 5.3 R1 asks for an ACK, RFC 5961 section 7 for a limit.
    if off():
        return off()
    h, p, s = agreed()
    for _ in range(100):
        p.send("A", 1, 1, ts=(10, p.tsval))
    assert 1 <= len(h.device.sent) <= 10, len(h.device.sent)
    h.clear()
    for _ in range(50):
        p.send("A", 1, 1, b"text", ts=(10, p.tsval))
        p.expect("A", 1, 1)


def test_5_5_however_long_we_run_an_old_timestamp_is_old():
    if off():
        return off()
    h, p, s = agreed(ts=1000, ack_delay=0)
    recent = 1000
    for _ in range(26):
        h.t += 86400000
        h.run()
        recent = (recent + 86400000) & M32
        p.send("A", 1, 1, ts=(recent, 0))
    h.clear()
    p.send("A", 1, 1, b"evil", ts=((recent - 1) & M32, 0))
    p.expect("A", 1, 1)
    assert recv(s) == EAGAIN
