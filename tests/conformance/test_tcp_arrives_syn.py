"""RFC 9293 sections 3.10.7.1 to 3.10.7.3: segments arriving in CLOSED, LISTEN and SYN-SENT."""

from states import *


def closed():
    h = Host()
    h.add(TCPSocket(64, 64))
    return h, Peer(h)


def test_3_10_7_1_closed_rst_is_discarded():
    h, p = closed()
    for flags in ("R", "RA", "RS", "RF", "RSAF"):
        p.send(flags, 5, 7)
    h.expect_nothing()


def test_3_10_7_1_closed_without_ack_gets_rst_ack():
    # <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>
    h, p = closed()
    for flags, data, length in (
        ("S", b"", 1),
        ("", b"", 0),
        ("", b"abc", 3),
        ("F", b"", 1),
        ("SF", b"ab", 4),
    ):
        p.send(flags, 5, data=data)
        r = h.expect("tcp", flags="RA", seq=0, ack=(ISS + 5 + length) & M32, data=b"")
        assert r.sport == 6969 and r.dport == p.port
        h.expect_nothing()


def test_3_10_7_1_closed_with_ack_gets_rst_at_that_number():
    # <SEQ=SEG.ACK><CTL=RST>
    h, p = closed()
    for flags in ("A", "SA", "FA"):
        p.send(flags, 5, 0xFFFFFFF0, b"abc")
        h.expect("tcp", flags="R", seq=0xFFFFFFF0, data=b"")
        h.expect_nothing()


def test_3_10_7_1_closed_bad_segments_get_nothing():
    h, p = closed()
    p.send("S", bad_csum=True)
    for offset in (0, 1, 4, 6, 15):
        p.send("S", offset=offset)
    full = p.frame("S")
    for n in range(34, 54):
        f = ip(full[34:n], 6)
        h.inject(f)
    p.send("S", dst="192.168.69.255", dmac=BROADCAST_MAC)
    p.send("S", dst="224.0.0.1", dmac=b"\x01\x00\x5e\x00\x00\x01")
    p.send("S", src="192.168.69.255")
    p.send("S", src="224.0.0.9")
    p.send("S", src="0.0.0.0")
    h.expect_nothing()


def test_3_10_7_2_listen_rst_is_ignored():
    h, p, s = in_state("LISTEN")
    for flags in ("R", "RA", "RS", "RSA"):
        p.send(flags, 0, 5)
    h.expect_nothing()
    check_state(s, "LISTEN")


def test_3_10_7_2_listen_ack_gets_rst():
    h, p, s = in_state("LISTEN")
    for flags in ("A", "SA", "FA"):
        p.send(flags, 0, 0x12345678)
        h.expect("tcp", flags="R", seq=0x12345678)
    h.expect_nothing()
    check_state(s, "LISTEN")


def test_3_10_7_2_listen_syn_gets_syn_ack():
    h, p, s = in_state("LISTEN")
    p.send("S", 0, mss=1460)
    r = p.expect("SA", 0, 1, b"")
    assert r.mss and r.win > 0
    check_state(s, "SYN_RECEIVED")
    assert bytes(s.remote_addr) == addr(PEER) and s.remote_port == p.port
    assert s.local_port == 6969


def test_3_10_7_2_listen_data_on_the_syn_is_kept_or_sent_again():
    h, p, s = in_state("LISTEN")
    p.send("S", 0, data=b"early", mss=1460)
    got = p.expect("SA", 0).rack
    assert got in (1, 6), got
    p.send("A", got, 1, data=b"early"[got - 1 :] + b"late")
    assert recv(s) == b"earlylate"


def test_3_10_7_2_listen_other_control_is_dropped():
    h, p, s = in_state("LISTEN")
    for flags in ("", "F", "P", "U", "FPU"):
        p.send(flags, 0, data=b"x")
    h.expect_nothing()
    check_state(s, "LISTEN")


def test_3_10_7_2_listen_syn_to_a_broadcast_is_ignored():
    h, p, s = in_state("LISTEN")
    p.send("S", 0, dst="192.168.69.255", dmac=BROADCAST_MAC)
    p.send("S", 0, dst="255.255.255.255", dmac=BROADCAST_MAC)
    p.send("S", 0, dmac=BROADCAST_MAC)
    h.expect_nothing()
    check_state(s, "LISTEN")


def test_3_10_7_2_land_is_dropped():
    h, p, s = in_state("LISTEN")
    p.send("S", 0, src=OUR)
    h.inject(tcp(6969, 6969, "S", src=OUR))
    h.expect_nothing()
    check_state(s, "LISTEN")


def test_3_10_7_3_syn_sent_bad_ack_gets_rst():
    # SEG.ACK =< ISS or SEG.ACK > SND.NXT
    for ack in (0, -1, 2, 1000, 0x40000000, -0x40000000):
        h, p, s = in_state("SYN_SENT")
        for flags in ("SA", "A"):
            p.send(flags, 0, ack)
            h.expect("tcp", flags="R", seq=(p.irs + ack) & M32)
            h.expect_nothing()
        p.send("R", 0)
        p.send("RA", 0, ack)
        h.expect_nothing()
        check_state(s, "SYN_SENT")


def test_3_10_7_3_syn_sent_rst_with_good_ack_refuses():
    h, p, s = in_state("SYN_SENT")
    p.send("RA", 0, 1)
    h.expect_nothing()
    check_state(s, "CLOSED")
    assert recv(s) == -111
    assert recv(s) == -107


def test_3_10_7_3_syn_sent_rst_without_ack_is_dropped():
    h, p, s = in_state("SYN_SENT")
    p.send("R", 0)
    p.send("R", 1)
    p.send("RS", 0)
    h.expect_nothing()
    check_state(s, "SYN_SENT")


def test_3_10_7_3_syn_sent_syn_ack_establishes():
    h, p, s = in_state("SYN_SENT")
    p.send("SA", 0, 1, mss=1000)
    p.expect("A", 1, 1, b"")
    check_state(s, "ESTABLISHED")


def test_3_10_7_3_syn_sent_syn_alone_is_simultaneous_open():
    h, p, s = in_state("SYN_SENT")
    p.send("S", 0, mss=1000)
    p.expect("SA", 0, 1, b"")
    check_state(s, "SYN_RECEIVED")
    p.send("A", 1, 1)
    h.expect_nothing()
    check_state(s, "ESTABLISHED")
    s.send(b"hi")
    p.expect("A", 1, 1, b"hi")


def test_3_10_7_3_simultaneous_open_by_syn_ack():
    # Both sides answer the other's SYN with SYN,ACK (figure 7).
    h, p, s = in_state("SYN_SENT")
    p.send("S", 0, mss=1000)
    p.expect("SA", 0, 1)
    # By the letter of the first check that SYN,ACK is old: it is answered by an ACK, and the
    # peer's answer to ours establishes the connection.
    p.send("SA", 0, 1, mss=1000)
    if s.state != TCPSocket.ESTABLISHED:
        p.expect("A", 1, 1)
    h.clear()
    p.send("A", 1, 1, b"x")
    check_state(s, "ESTABLISHED")
    assert recv(s) == b"x"


def test_3_10_7_3_syn_sent_data_on_the_syn_ack():
    h, p, s = in_state("SYN_SENT")
    p.send("SA", 0, 1, b"early", mss=1000)
    h.advance(20)
    r = p.expect("A", 1)
    while h.device.sent:
        r = p.expect("A", 1)
    check_state(s, "ESTABLISHED")
    if r.rack == 1:
        p.send("A", 1, 1, b"early")
    assert recv(s) == b"early"


def test_3_10_7_3_syn_sent_neither_syn_nor_rst_is_dropped():
    h, p, s = in_state("SYN_SENT")
    p.send("", 0)
    p.send("A", 0, 1)
    p.send("FA", 0, 1)
    p.send("F", 0)
    h.expect_nothing()
    check_state(s, "SYN_SENT")


def test_3_10_7_3_syn_sent_other_ports_and_addresses():
    h, p, s = in_state("SYN_SENT")
    q = Peer(h, port=81, to=p.to, iss=ISS)
    q.irs = p.irs
    q.send("SA", 0, 1)
    q.expect("R")
    q = Peer(h, port=80, to=p.to, iss=ISS, src="192.168.69.101")
    q.irs = p.irs
    h.iface.add_neighbor("192.168.69.101", PEER_MAC)
    q.send("SA", 0, 1)
    q.expect("R")
    check_state(s, "SYN_SENT")


def test_3_5_second_listener_takes_the_second_connection():
    h, s = listener()
    t = h.add(TCPSocket(64, 64))
    t.listen(6969)
    p, q = Peer(h, 1001), Peer(h, 1002, iss=77)
    p.send("S", 0)
    p.expect("SA", 0, 1)
    q.send("S", 0)
    q.expect("SA", 0, 1)
    r = Peer(h, 1003)
    r.send("S", 0)
    # No listener is left: refused, or the SYN is dropped so that the peer tries again.
    if h.device.sent:
        r.expect("RA")
    p.send("A", 1, 1)
    q.send("A", 1, 1)
    check_state(s, "ESTABLISHED")
    check_state(t, "ESTABLISHED")
    p.send("A", 1, 1, b"p")
    q.send("A", 1, 1, b"q")
    a, b = (s, t) if s.remote_port == 1001 else (t, s)
    assert recv(a) == b"p" and recv(b) == b"q"


def test_3_5_listener_on_one_address():
    h = Host()
    h.iface.add_address("192.168.69.2/24")
    h.run()
    h.clear()
    s = h.add(TCPSocket(64, 64))
    s.listen(6969, "192.168.69.2")
    p = Peer(h)
    p.send("S", 0)
    h.expect("tcp", flags="RA")
    p.send("S", 0, dst="192.168.69.2")
    p.expect("SA", 0, 1, src="192.168.69.2")


def test_3_5_options_that_are_not_understood_are_skipped():
    for o in (
        b"\x01\x01\x01\x01",
        b"\x02\x04\x03\xe8\xfd\x06abcd\x00\x00",
        b"\xfd\x04zz\x02\x04\x03\xe8",
        b"\x13\x12" + bytes(16) + b"\x02\x04\x03\xe8",
    ):
        h, p, s = in_state("LISTEN")
        p.send("S", 0, options=o)
        p.expect("SA", 0, 1)


def test_3_5_malformed_options_do_no_harm():
    # MUST-7: a TCP must be prepared to handle an illegal option length.
    for o in (b"\x02\x00\x00\x00", b"\x02\x01\x00\x00", b"\x02\xff\x00\x00", b"\x03\x03\x03\x02"):
        h, p, s = in_state("LISTEN")
        p.send("S", 0, options=o)
        if h.device.sent:
            p.expect("SA", 0, 1)
        q = Peer(h, 1234)
        if s.state == TCPSocket.LISTEN:
            q.send("S", 0)
            q.expect("SA", 0, 1)
