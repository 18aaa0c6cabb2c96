"""TCP's options, read and written: in any order, broken anywhere (RFC 9293 section 3.1, RFC 7323,
RFC 2018)."""

from fuzz import Random
from harness import *

END, NOP, MSS, SCALE, PERMITTED, SACK, STAMPS = 0, 1, 2, 3, 4, 5, 8


def understood(o):
    """What a list of options says: {kind: its body}; what is broken ends it, as END does."""
    found = {}
    sizes = {MSS: 4, SCALE: 3, PERMITTED: 2, STAMPS: 10}
    i = 0
    while i < len(o) and o[i] != END:
        if o[i] == NOP:
            i += 1
            continue
        if i + 1 == len(o) or o[i + 1] < 2 or i + o[i + 1] > len(o):
            break
        if sizes.get(o[i]) == o[i + 1]:
            found[o[i]] = o[i + 2 : i + o[i + 1]]
        i += o[i + 1]
    return found


def some(random):
    """A list of options, often broken."""
    below = random.below
    parts = (
        b"\2\4" + u16((64, 65, 63, 1, 500, 536, 1000, 1459, 1460, 1461, 9000)[below(11)]),
        b"\3\3" + bytes([(0, 1, 7, 13, 14, 15, 255)[below(7)]]),
        b"\4\2",
        b"\x08\x0a" + u32(below(1 << 16) * 65521) + bytes(4),
        b"\1",
        b"\1\1",
        b"\x1e\5abc",
        b"\2\3\5",  # of another length than they have
        b"\3\4\5\6",
        b"\4\3\5",
        b"\x08\x09\1\1\1\1\1\1\1",
        b"\2\5\3\3\3",
        b"\0",
        b"\5\1",
        b"\7\0",
    )
    o = b""
    while below(5) and len(o) < 36:
        # What is right is more frequent.
        o += parts[below(len(parts)) if below(3) == 0 else below(5)]
    o = o[:40]
    if below(4) == 0:
        o = o[: below(len(o) + 1)]
    return o + bytes(-len(o) % 4)


def stamp(body):
    return get32(body, 0)


def check_answer(r, said, opts):
    """What our SYN-ACK offers: what has been offered and is wanted."""
    assert r.mss == 1460
    assert (r.ws is not None) == (SCALE in said), (r.ws, said)
    assert r.sackok == bool(opts["sack"] and PERMITTED in said)
    assert (r.ts is not None) == bool(opts["timestamps"] and STAMPS in said)
    if r.ts:
        assert r.ts[1] == stamp(said[STAMPS])
    n = 4 + (4 if r.ws is not None else 0) + (4 if r.sackok else 0) + (12 if r.ts else 0)
    assert len(r.payload) == 20 + n


def check_connection(h, p, s, said, opts):
    """An open connection keeps to what was said: segment size, scale, SACK, timestamps."""
    mss = get16(said[MSS], 0) if MSS in said else 536
    mss = min(max(mss, 64), 1460)
    stamps = opts["timestamps"] and STAMPS in said
    sack = opts["sack"] and PERMITTED in said
    room = mss - 12 if stamps else mss
    shift = min(said[SCALE][0], 14) if SCALE in said else 0
    window = 3 << shift
    kw = {"ts": (stamp(said[STAMPS]) + 1 & M32, 0)} if stamps else {}
    p.send("A", 1, 1, win=3, **kw)
    assert s.state == TCPSocket.ESTABLISHED
    s.send(bytes(2000))
    r = p.expect("A", 1, 1)
    assert len(r.data) == min(room, window), (len(r.data), said)
    assert (r.ts is not None) == bool(stamps)
    if stamps:
        assert r.ts[1] == kw["ts"][0]
    h.clear()
    # A piece that comes early: SACK, after the timestamps if there are any.
    p.send("A", 3, 1, b"xy", win=3, **kw)
    r = p.expect("A", ack=1)
    assert r.sack == ([(3, 5)] if sack else []), r.sack
    assert len(r.payload) == 20 + (12 if stamps else 0) + (12 if sack else 0)


def test_9293_3_1_of_a_peer_that_opens():
    random = Random(31)
    for i in range(7 if BOARD else 300):
        opts = {"sack": random.below(4) > 0, "timestamps": random.below(4) > 0}
        h, s = listener(**opts)
        o = some(random)
        said = understood(o)
        p = Peer(h)
        p.send("S", 0, options=o, win=3)
        r = p.expect("SA", 0, 1)
        check_answer(r, said, opts)
        check_connection(h, p, s, said, opts)


def test_9293_3_1_of_a_peer_that_answers():
    random = Random(32)
    for i in range(7 if BOARD else 300):
        opts = {"sack": random.below(4) > 0, "timestamps": random.below(4) > 0}
        h = Host()
        s = h.add(TCPSocket(2048, 2048))
        s.sack, s.timestamps = opts["sack"], opts["timestamps"]
        s.connect(PEER, 80)
        p = Peer(h, port=80)
        r = p.expect("S", 0)
        # A SYN offers all that is wanted, and a scale in any case.
        assert r.mss == 1460 and r.ws == 0 and r.sackok == opts["sack"]
        assert (r.ts is not None) == opts["timestamps"] and (not r.ts or r.ts[1] == 0)
        o = some(random)
        said = understood(o)
        p.send("SA", 0, 1, options=o, win=3)
        p.expect("A", 1, 1)
        check_connection(h, p, s, said, opts)


def opened(stamps, mss=1460, value=7, **opts):
    """A connection with SACK, and with timestamps perhaps; and what the peer's segments carry."""
    h, s = listener(rx=32000, timestamps=stamps, **opts)
    p = Peer(h, iss=M32 - 40)  # the numbers wrap among the pieces
    kw = {"ts": (value, 0)} if stamps else {}
    p.send("S", 0, mss=mss, sackok=True, **kw)
    r = p.expect("SA", 0, 1)
    p.seq = p.ack = 1
    p.send("A", **({"ts": (value, r.ts[0])} if stamps else {}))
    assert s.state == TCPSocket.ESTABLISHED
    return h, p, s, kw


def test_7323_4_of_any_segment():
    """A stamp is found and echoed, wherever it lies and whatever stands before it."""
    random = Random(33)
    clock = 1000
    h, p, s, kw = opened(True, value=clock, ack_delay=0)
    at, last = 1, clock
    for i in range(20 if BOARD else 400):
        clock += 1 + random.below(5)
        o = some(random)
        j = random.below(2) * 4
        o = o[:j] + b"\x08\x0a" + u32(clock) + bytes(4) + o[j:]
        o = o[:40]
        o += bytes(-len(o) % 4)
        said = understood(o)
        ours = STAMPS in said and stamp(said[STAMPS])
        old = STAMPS in said and ((ours - last) & M32) >> 31
        queued = s.recv_queue
        p.send("A", at, 1, b"x", options=o)
        if STAMPS not in said or old:
            # Without a stamp a segment is dropped (RFC 7323 section 3.2); an older one is (5.3).
            assert s.recv_queue == queued, o
            h.clear()
            continue
        assert s.recv_queue == queued + 1, o
        last = ours
        at += 1
        r = p.expect("A", 1, at)
        assert r.ts[1] == ours, (o, r.ts)
        recv(s)
        h.run()
        h.clear()
        h.advance(1000)


def test_2018_3_as_many_blocks_as_fit():
    """Four, or three beside a timestamp; the last that has grown first, then those before it."""
    for stamps in (False, True):
        h, p, s, kw = opened(stamps)
        most = 3 if stamps else 4
        known = []
        at = 11
        for i in range(7):
            p.send("A", at, 1, bytes(5), **kw)
            known.append((at, at + 5))
            at += 15
            wanted = [known[i - k] for k in range(min(most, i + 1))]
            r = p.expect("A", 1, 1)
            assert r.sack == wanted, (r.sack, wanted)
            n = 8 * len(wanted) + 4 + (12 if stamps else 0)
            assert len(r.payload) == 20 + n
        # One in the midst grows: it comes first, and those below it follow, round and round.
        for k in (3, 0, 6, 1):
            left, right = known[k]
            p.send("A", right, 1, b"z", **kw)
            known[k] = left, right + 1
            r = p.expect("A", 1, 1)
            assert r.sack == [known[(k - j) % 7] for j in range(most)], (k, r.sack)


def test_2883_4_what_came_twice_stands_before_the_blocks():
    for stamps in (False, True):
        for early in range(6):
            h, p, s, kw = opened(stamps, ack_delay=0)
            p.send("A", 1, 1, bytes(8), **kw)
            p.expect("A", 1, 9)
            known = []
            for i in range(early):
                p.send("A", 20 + 10 * i, 1, bytes(4), **kw)
                known.insert(0, (20 + 10 * i, 24 + 10 * i))
            h.clear()
            p.send("A", 3, 1, bytes(5), **kw)
            r = p.expect("A", 1, 9)
            assert r.sack == [(3, 8)] + known[: (3 if stamps else 4) - 1], (early, r.sack)
            # It is told once.
            p.send("A", 60 + 100, 1, b"q", **kw)
            r = p.expect("A", 1, 9)
            assert (3, 8) not in r.sack


def test_the_options_take_their_place_from_the_text():
    """A segment with SACK blocks and stamps has less room, and is no longer than the rest."""
    for stamps in (False, True):
        for early in (0, 1, 2, 3, 4, 5):
            h, p, s, kw = opened(stamps, 500)
            for i in range(early):
                p.send("A", 20 + 10 * i, 1, bytes(4), **kw)
            h.clear()
            s.send(bytes(1000))
            n = min(early, 3 if stamps else 4)
            room = 500 - (12 if stamps else 0) - (4 + 8 * n if n else 0)
            r = p.expect("A", 1, 1)
            assert len(r.data) == room and len(r.sack) == n, (len(r.data), room)
            assert len(r.payload) == 520


def test_7323_5_4_the_stamps_count_milliseconds():
    h, p, s, kw = opened(True, value=M32)
    s.send(b"a")
    first = p.expect("A", 1, 1, b"a").ts[0]
    for ms in (1, 255, 65536, 1 << 24, (1 << 28) + 1):
        p.send("A", 1, 2, ts=(0, first))
        h.advance(ms)
        h.clear()
        s.send(b"b")
        p.ack += 1
        r = h.next()
        assert (r.ts[0] - first) & M32 == ms, (ms, r.ts)
        assert r.ts[1] == 0
        p.send("A", 1, p.ack, ts=(0, r.ts[0]))
        first = r.ts[0]
        p.irs = (p.irs + 1) & M32


def test_7323_4_1_the_round_trip_is_the_time_since_the_echoed_stamp():
    for ms in (1, 77, 255, 256, 3000):
        h, p, s, kw = opened(True)
        s.send(b"a")
        stamp = p.expect("A", 1, 1, b"a").ts[0]
        h.t += ms
        p.send("A", 1, 2, ts=(7, stamp))
        # An eighth of it, since there has been one of 1 ms (RFC 6298 section 2).
        assert s.stats()["rtt"] == (7 + ms) // 8, (ms, s.stats())


def test_a_long_option_that_is_unknown_is_no_sack():
    h, p, s, kw = opened(False)
    s.nagle = False
    for n in range(4):
        s.send(bytes(10))
        h.run()
    h.clear()
    unknown = bytes([30, 10]) + u32(p.irs + 11) + u32(p.irs + 41)
    for _ in range(5):
        p.send("A", 1, 1, options=b"\1\1" + unknown)
        h.expect_nothing()
    assert s.stats()["dup_acks"] == 0


def test_2883_4_a_duplicate_takes_its_place_from_the_text_too():
    for stamps in (False, True):
        for early in (0, 1, 3):
            h, p, s, kw = opened(stamps, 500)
            p.send("A", 1, 1, bytes(10), **kw)
            for i in range(early):
                p.send("A", 30 + 10 * i, 1, bytes(4), **kw)
            h.advance(100)
            h.clear()
            s.send(bytes(1000))
            h.device.queue.append(p.frame("A", 3, 1, bytes(5), **kw))
            n = min(early + 1, 3 if stamps else 4)
            r = p.expect("A", 1, 11)
            assert len(r.sack) == n and r.sack[0] == (3, 8), r.sack
            assert len(r.data) == 500 - (12 if stamps else 0) - 4 - 8 * n
            assert len(r.payload) == 520


def test_pieces_kept_by_default_grow_with_the_buffer():
    for size, pieces in ((511, 2), (512, 4), (2048, 4), (2560, 5), (4096, 8), (20000, 32)):
        h, p, s = established(rx=size, ack_delay=0)
        for k in range(1, 35):
            p.send("A", 1 + 2 * k, 1, b"x")
        p.send("A", 1, 1, b"yy")
        for k in range(1, 35):
            p.send("A", 2 + 2 * k, 1, b"y")
        # What follows a hole is there with it, as long as it was kept.
        assert s.recv_queue == 2 + 2 * pieces, (size, s.recv_queue)
