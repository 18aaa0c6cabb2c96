"""Sequence numbers that wrap on both sides, and clocks of any origin."""

from states import *


def test_peer_sequence_number_wraps_at_every_point_of_a_segment():
    for back in range(0, 30, 3):
        iss = (M32 - back) & M32
        h, p, s = established(iss=iss, ack_delay=0)
        p.send("A", 1, 1, bytes(range(20)))
        p.expect("A", 1, 21)
        p.send("FA", 21, 1, b"end")
        p.expect("A", 1, 25)
        assert recv(s) == bytes(range(20)) + b"end" and recv(s) == 0


def test_half_of_the_sequence_space():
    for iss in (0x7FFFFFFF, 0x80000000, 0x7FFFFFFA, 0, 1, 0x3FFFFFFF, 0x40000000, 0xC0000000):
        h, p, s = established(iss=iss, ack_delay=0)
        p.send("A", 6, 1, b"fghij")
        p.expect("A", 1, 1)
        p.send("A", 1, 1, b"abcde")
        p.expect("A", 1, 11)
        p.send("A", 1, 1, b"abcde")
        p.expect("A", 1, 11)
        assert recv(s) == b"abcdefghij"
        p.send("R", 11)
        check_state(s, "CLOSED")


def near_wrap(tries=40):
    """A connection whose own first sequence number is at most 2000 below the wrap, or None.

    The number grows with the clock (RFC 6528: about one every 4 us), so waiting long enough
    brings it near; how fast is found out on the way.
    """
    h = Host(wrap=1 << 62, start=0)
    s = h.add(TCPSocket(2048, 4096))
    rate = 250
    before = None
    for _ in range(tries):
        s.connect(PEER, 80, 5000)
        p = Peer(h, port=80)
        isn = p.expect("S", 0).seq
        if M32 - isn < 2000:
            p.ack = 1
            p.send("SA", 0, 1, mss=536)
            p.expect("A", 1, 1)
            return h, p, s
        s.abort()
        h.run()
        h.clear()
        if before is not None:
            rate = max(1, ((isn - before) & M32) // step)
        before = isn
        # The first step is short, to see the rate: the number does not wrap in it.
        step = 1000 if rate == 250 else max(1, (M32 - isn) // rate - 4)
        h.t += step
        h.run()
    return None


def test_our_sequence_number_wraps():
    found = near_wrap()
    if not found:
        return "SKIP the first sequence number does not follow the clock"
    h, p, s = found
    data = bytes((i * 7) & 255 for i in range(4000))
    at = 1
    sent = 0
    k = 0
    while at < 4001:
        if sent < 4000:
            n = s.send(data[sent:])
            sent += max(n, 0)
        h.run()
        while h.device.sent:
            r = p.expect(None)
            k += 1
            if k % 4 == 0:
                continue
            if r.rel == at:
                assert r.data == data[at - 1 : at - 1 + len(r.data)]
                at += len(r.data)
        p.send("A", 1, at)
        h.advance(1500)
    assert s.send_queue == 0
    s.close()
    p.expect("FA", 4001, 1)
    p.send("FA", 1, 4002)
    check_state(s, "TIME_WAIT")


def test_clock_of_any_origin():
    for start, wrap in ((0, 1 << 30), ((1 << 30) - 1, 1 << 30), (1 << 29, 1 << 30)):
        h, p, s = established(Host(start=start, wrap=wrap))
        p.send("A", 1, 1, b"x")
        h.advance(10)
        p.expect("A", 1, 2)
        s.send(b"y")
        p.expect("A", 1, 2)
        h.advance(1100)
        p.expect("A", 1, 2)
        p.send("FA", 2, 2)
        s.close()
        h.advance(20)
        h.clear()
        p.send("A", 3, 3)
        check_state(s, "CLOSED")


def test_clock_that_does_not_wrap_at_2_30():
    h, p, s = established(Host(start=(1 << 30) - 500, wrap=1 << 60))
    s.send(b"y")
    p.expect("A", 1, 1)
    h.advance(1100)
    p.expect("A", 1, 1)


def test_time_wait_over_the_wrap_of_the_clock():
    h, p, s = in_state("TIME_WAIT")
    assert h.start + h.t < 1 << 30
    h.advance(9900)
    assert h.now < 1 << 20
    check_state(s, "TIME_WAIT")
    h.advance(200)
    check_state(s, "CLOSED")


def test_long_silence():
    # Half a day without a poll: timers that are due fire late, and nothing else happens.
    h, p, s = established()
    h.t += 300000000
    h.run()
    check_state(s, "ESTABLISHED")
    p.send("A", 1, 1, b"still here")
    assert recv(s) == b"still here"
    s.send(b"me too")
    p.expect("A", 1, 11, b"me too")
    p.send("A", 11, 7)
    for _ in range(12):
        h.t += 100000000
        h.run()
    check_state(s, "ESTABLISHED")
    s.send(b"x")
    h.clear() if p.expect("A", 7, 11, b"x") else None
    h.advance(1200)
    p.expect("A", 7, 11, b"x")


def test_3_4_the_numbers_of_other_scenarios_wrap_soon():
    h, p, s = established()
    assert p.irs == M32 + 1 - 995, p.irs
    assert p.iss == M32 - 2
