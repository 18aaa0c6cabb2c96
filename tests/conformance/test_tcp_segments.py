"""RFC 9293 section 3.7: segmentation. MSS, packets in flight, Nagle; 3.9.1.2 PSH."""

from states import *


def drain(p, n, at=1, rack=1):
    """Takes segments until `n` bytes came; their sizes."""
    sizes = []
    while n > 0:
        r = p.expect(None, at, rack)
        assert r.data, "empty segment"
        sizes.append(len(r.data))
        at += len(r.data)
        n -= len(r.data)
    return sizes


def test_3_7_1_mss_option_is_obeyed():
    for mss in (1460, 1000, 536, 100, 64):
        h, p, s = established(syn={"mss": mss}, nagle=False)
        assert s.send(bytes(3 * mss)[:2000]) > 0
        h.run()
        n = min(3 * mss, 2000)
        sizes = drain(p, n)
        assert max(sizes) == mss and sizes[0] == mss, (mss, sizes)


def test_3_7_1_missing_mss_option_means_536():
    for f in (established, connected):
        h, p, s = f(syn={"win": 65535}, nagle=False)
        s.send(bytes(1200))
        assert drain(p, 1200) == [536, 536, 128]


def test_3_7_1_mss_larger_than_our_mtu():
    h, p, s = established(syn={"mss": 9000}, nagle=False)
    s.send(bytes(2000))
    assert drain(p, 2000) == [1460, 540]
    h, p, s = established(Host(mtu=576), syn={"mss": 1460}, nagle=False)
    s.send(bytes(1000))
    assert drain(p, 1000) == [536, 464]


def test_3_7_1_absurd_mss_does_not_stop_the_connection():
    for mss in (0, 1, 12):
        h, p, s = established(syn={"mss": mss})
        s.send(bytes(100))
        h.run()
        n = 0
        for _ in range(20):
            r = p.expect(None, 1 + n, 1)
            assert r.data
            n += len(r.data)
            p.send("A", 1, 1 + n)
            if n == 100:
                break
        assert n >= min(100, 20 * max(mss, 1))


def test_3_7_1_our_mss_option():
    h, p, s = established(Host(mtu=1500))
    h, s = listener(Host(mtu=1500))
    p = Peer(h)
    p.send("S", 0, mss=536)
    p.expect("SA", 0, 1, mss=1460)
    h, s = listener(Host(mtu=576))
    p = Peer(h)
    p.send("S", 0)
    p.expect("SA", 0, 1, mss=536)


def test_3_7_1_mss_is_only_for_syn_segments():
    h, p, s = established()
    s.send(b"x")
    p.expect("A", mss=None)
    p.send("A", 1, 2, mss=10)
    s.send(bytes(1000))
    p.expect("A", 2, 1, bytes(1000))


def test_3_7_1_mss_of_the_connection_before_is_forgotten():
    h, p, s = established(syn={"mss": 100})
    s.abort()
    h.run()
    h.clear()
    s.listen(6969)
    p = Peer(h, port=2000)
    p.send("S", 0, mss=1000)
    p.expect("SA", 0, 1)
    p.send("A", 1, 1)
    s.send(bytes(1000))
    p.expect("A", 1, 1, bytes(1000))


def test_several_segments_in_flight():
    h, p, s = established(tx=4096, syn={"mss": 1000})
    data = bytes(i & 255 for i in range(3000))
    assert s.send(data) == 3000
    h.run()
    for i in range(3):
        p.expect("A", 1 + 1000 * i, 1, data[1000 * i : 1000 * i + 1000])
    h.expect_nothing()
    p.send("A", 1, 3001)
    assert s.send_queue == 0


def test_stream_is_cut_anywhere_in_the_ring():
    h, p, s = established(tx=100, syn={"mss": 40})
    at = 1
    for i in range(40):
        data = bytes((i * 3 + k) & 255 for k in range(37 + i))
        assert s.send(data) == len(data)
        h.run()
        got = b""
        while len(got) < len(data):
            r = p.expect(None, at + len(got), 1)
            got += r.data
            p.send("A", 1, at + len(got))
        assert got == data, i
        at += len(data)


def test_odd_sizes_have_right_checksums():
    # Every frame that is read here has its checksum verified.
    h, p, s = established(nagle=False)
    at = 1
    for n in list(range(1, 40)) + [535, 536, 537, 1459, 1460]:
        data = bytes((n + 7 * k) & 255 for k in range(n))
        s.send(data)
        p.expect(None, at, 1, data)
        at += n
        p.send("A", 1, at)


def test_payload_of_all_ones_and_zeros():
    h, p, s = established(nagle=False)
    at = 1
    for data in (b"\xff" * 100, b"\x00" * 100, b"\xff" * 101, b"\xff\x00" * 50):
        s.send(data)
        p.expect(None, at, at, data)
        p.send("A", at, at + len(data), data)
        at += len(data)
        assert recv(s) == data


def test_3_9_1_2_push_on_the_last_segment():
    # MUST-61: PSH on the last buffered segment.
    h, p, s = established(syn={"mss": 100}, nagle=False)
    s.send(bytes(250))
    h.run()
    p.expect("A", 1, 1)
    p.expect("A", 101, 1)
    p.expect("PA", 201, 1, bytes(50))


def test_3_7_4_nagle_holds_small_segments():
    h, p, s = established(syn={"mss": 1000})
    assert s.nagle
    s.send(b"a")
    p.expect("A", 1, 1, b"a")
    s.send(b"b")
    h.run()
    s.send(b"c")
    h.advance(100)
    h.expect_nothing()
    p.send("A", 1, 2)
    p.expect("A", 2, 1, b"bc")


def test_3_7_4_nagle_lets_full_segments_go():
    h, p, s = established(syn={"mss": 100})
    s.send(b"a")
    p.expect("A", 1, 1, b"a")
    s.send(bytes(150))
    p.expect("A", 2, 1, bytes(100))
    h.expect_nothing()
    p.send("A", 1, 102)
    p.expect("A", 102, 1, bytes(50))


def test_3_7_4_nagle_off():
    # MUST-17.
    h, p, s = established(nagle=False)
    for i in range(4):
        s.send(b"abcd"[i : i + 1])
        p.expect("A", 1 + i, 1, b"abcd"[i : i + 1])
    s.nagle = True
    s.send(b"x")
    h.expect_nothing()
    s.nagle = False
    h.run()
    p.expect("A", 5, 1, b"x")


def test_3_7_4_fin_is_not_held_by_nagle():
    h, p, s = established()
    s.send(b"a")
    p.expect("A", 1, 1, b"a")
    s.send(b"b")
    s.close()
    p.expect("FA", 2, 1, b"b")


def test_small_writes_before_a_poll_are_one_segment():
    h, p, s = established()
    for c in b"hello":
        s.send(bytes([c]))
    p.expect("A", 1, 1, b"hello")
    h.expect_nothing()


def test_type_of_service_and_identification():
    h, p, s = established()
    s.send(b"x")
    r = p.expect("A", tos=0)
    # RFC 6864: an atomic datagram has DF set, or its identification differs from the last one.
    a = r.ident
    p.send("A", 1, 2)
    s.send(b"y")
    r = p.expect("A")
    assert r.frag == 0x4000 or r.ident != a
