"""Path MTU discovery (RFC 1191) with the validation of RFC 5927; RFC 9293 section 3.7.2."""

from states import *


def too_big(frame, mtu, quote=28):
    """ICMP "fragmentation needed" about a packet that was sent."""
    return icmp(
        3, 4, b"\x00\x00" + u16(mtu), frame[14 : 14 + quote], src=GATEWAY, smac=GATEWAY_MAC
    )


def sending(n=1460, **opts):
    h, p, s = established(tx=4000, syn={"mss": 1460}, **opts)
    s.send(bytes(i & 255 for i in range(n)))
    return h, p, s, p.expect("A", 1, 1)


def test_segments_have_do_not_fragment_set():
    if lacks("path MTU"):
        return lacks("path MTU")
    h, p, s, r = sending()
    assert r.frag == 0x4000, "without DF no router reports"


def test_1191_smaller_segments_after_the_report():
    if lacks("path MTU"):
        return lacks("path MTU")
    h, p, s, r = sending()
    h.inject(too_big(r.frame, 1000))
    got = p.expect("A", 1, 1)
    assert len(got.data) == 960, got
    p.send("A", 1, 961)
    got = p.expect("A", 961, 1)
    assert len(got.data) == 500
    p.send("A", 1, 1461)
    s.send(bytes(1000))
    r = p.expect("A", 1461, 1)
    assert len(r.data) == 960


def test_1191_the_lost_segment_is_sent_again_at_once():
    if lacks("path MTU"):
        return lacks("path MTU")
    h, p, s, r = sending()
    h.inject(too_big(r.frame, 1000))
    h.advance(100)
    assert h.device.sent, "waits for the timer"
    assert len(p.expect("A", 1, 1).data) == 960


def test_1191_the_stream_stays_whole():
    if lacks("path MTU"):
        return lacks("path MTU")
    h, p, s, r = sending(4000, **({} if lacks("congestion") else {"congestion": "none"}))
    h.run()
    h.clear()
    h.inject(too_big(r.frame, 576))
    got = b""
    for _ in range(40):
        h.run()
        while h.device.sent:
            q = p.expect("A")
            assert len(q.data) <= 536, q
            if q.rel == 1 + len(got):
                got += q.data
        p.send("A", 1, 1 + len(got))
        if len(got) == 4000:
            break
        h.advance(500)
    assert got == bytes(i & 255 for i in range(4000))


def unchanged(h, p, s, frame):
    h.inject(frame)
    p.send("A", 1, 1461)
    s.send(bytes(1460))
    got = p.expect("A", 1461, 1)
    assert len(got.data) == 1460, got


def test_5927_report_about_what_is_not_in_flight_is_ignored():
    if lacks("path MTU"):
        return lacks("path MTU")
    h, p, s, r = sending()
    f = bytearray(r.frame)
    f[14 + 24] ^= 0x40
    unchanged(h, p, s, too_big(bytes(f), 600))
    h, p, s, r = sending()
    p.send("A", 1, 1461)
    h.inject(too_big(r.frame, 600))
    s.send(bytes(1460))
    assert len(p.expect("A", 1461, 1).data) == 1460


def test_5927_report_about_another_connection_is_ignored():
    if lacks("path MTU"):
        return lacks("path MTU")
    h, p, s, r = sending()
    f = bytearray(r.frame)
    f[14 + 21] ^= 1
    unchanged(h, p, s, too_big(bytes(f), 600))


def test_report_that_is_no_reduction_is_ignored():
    if lacks("path MTU"):
        return lacks("path MTU")
    for mtu in (1500, 1501, 9000, 65535):
        h, p, s, r = sending()
        unchanged(h, p, s, too_big(r.frame, mtu))


def test_1191_absurdly_small_mtu():
    # A router may say 0 (before RFC 1191) or 68 at the least: progress must be possible.
    if lacks("path MTU"):
        return lacks("path MTU")
    for mtu in (0, 1, 20, 40, 41, 67, 68, 100):
        h, p, s, r = sending(1000)
        h.inject(too_big(r.frame, mtu))
        n = 0
        for _ in range(60):
            h.run()
            while h.device.sent:
                q = p.expect("A")
                assert len(q.data) >= 28 or q.rel + len(q.data) == 1001, (mtu, q)
                if q.rel == 1 + n:
                    n += len(q.data)
            p.send("A", 1, 1 + n)
            if n == 1000:
                break
            h.advance(1000)
        assert n == 1000, (mtu, n)


def test_truncated_reports_are_ignored():
    if lacks("path MTU"):
        return lacks("path MTU")
    h, p, s, r = sending()
    for quote in range(28):
        h.inject(too_big(r.frame, 600, quote))
    unchanged(h, p, s, too_big(r.frame, 600, 27))


def test_black_hole_is_found_without_a_report():
    # RFC 2923 2.1: nobody reports, and what is too large vanishes; smaller segments get through.
    h, p, s = established(tx=4000, syn={"mss": 1460})
    data = bytes(i & 255 for i in range(3000))
    s.send(data)
    nxt = 0
    for _ in range(400):
        h.run()
        while h.device.sent:
            r = p.expect("A")
            if len(r.data) <= 536 and r.rel == 1 + nxt:
                assert r.data == data[nxt : nxt + len(r.data)]
                nxt += len(r.data)
                p.send("A", 1, 1 + nxt)
        if nxt == 3000:
            break
        h.advance(500)
    assert nxt == 3000 and h.t < 120000, (nxt, h.t)


def test_a_lossy_path_is_no_black_hole():
    # One loss, or two, of a large segment do not make the segments small.
    h, p, s = established(tx=4000, syn={"mss": 1460})
    s.send(bytes(1460))
    h.advance(250)
    while h.device.sent:
        assert len(p.expect("A", 1, 1).data) == 1460
    p.send("A", 1, 1461)
    s.send(bytes(1460))
    assert len(p.expect("A", 1461, 1).data) == 1460
