"""Explicit congestion notification (RFC 3168)."""

from states import *

CE = 3
ECT0 = 2


def off():
    return lacks("ecn")


def agreed(**opts):
    h, s = listener(ecn=True, **opts)
    p = Peer(h)
    p.send("SEC", 0, mss=100)
    p.expect("SAE", 0, 1)
    p.send("A", 1, 1)
    check_state(s, "ESTABLISHED")
    return h, p, s


def test_6_1_1_negotiation_active():
    if off():
        return off()
    h, p, s = connecting()
    h = Host()
    s = h.add(TCPSocket(64, 64))
    s.ecn = True
    s.connect(PEER, 80)
    p = Peer(h, port=80)
    p.expect("SEC", 0, tos=0)
    p.send("SAE", 0, 1)
    p.expect("A", 1, 1)
    s.send(b"x")
    p.expect("A", 1, 1, b"x", tos=ECT0)


def test_6_1_1_peer_without_ecn():
    if off():
        return off()
    for answer in ("SA", "SAEC"):
        h = Host()
        s = h.add(TCPSocket(64, 64))
        s.ecn = True
        s.connect(PEER, 80)
        p = Peer(h, port=80)
        p.expect("SEC", 0)
        p.send(answer, 0, 1)
        p.expect("A", 1, 1)
        s.send(b"x")
        p.expect("A", 1, 1, b"x", tos=0)


def test_6_1_1_negotiation_passive():
    if off():
        return off()
    h, p, s = agreed()
    s.send(b"x")
    p.expect("A", 1, 1, b"x", tos=ECT0)
    h, s = listener(ecn=True)
    p = Peer(h)
    p.send("S", 0)
    p.expect("SA", 0, 1)
    h, s = listener()
    p = Peer(h)
    p.send("SEC", 0)
    p.expect("SA", 0, 1)


def test_6_1_1_off_by_default():
    h, p, s = connecting()
    h.advance(1100)
    p.expect("S", 0, tos=0)


def test_6_1_3_receiver_echoes_until_told():
    if off():
        return off()
    h, p, s = agreed(ack_delay=0)
    p.send("A", 1, 1, b"a", tos=CE)
    p.expect("AE", 1, 2)
    p.send("A", 2, 1, b"b", tos=ECT0)
    p.expect("AE", 1, 3)
    p.send("AC", 3, 1, b"c", tos=ECT0)
    p.expect("A", 1, 4)
    p.send("AC", 4, 1, b"d", tos=CE)
    p.expect("AE", 1, 5)


def test_6_1_2_sender_reduces_and_says_so():
    if off():
        return off()
    opts = {} if lacks("congestion") else {"congestion": "reno"}
    h, p, s = agreed(tx=4000, **opts)
    s.send(bytes(100))
    p.expect("A", 1, 1)
    p.send("AE", 1, 101)
    s.send(bytes(100))
    p.expect("AC", 101, 1)
    p.send("AE", 1, 201)
    p.send("A", 1, 201)
    s.send(bytes(100))
    h.run()


def test_6_1_5_retransmissions_are_not_ect():
    if off():
        return off()
    h, p, s = agreed()
    s.send(b"abc")
    p.expect("A", 1, 1, b"abc", tos=ECT0)
    h.advance(3000)
    p.expect(None, 1, 1, b"abc", tos=0)


def test_6_1_4_pure_acks_are_not_ect():
    if off():
        return off()
    h, p, s = agreed(ack_delay=0)
    p.send("A", 1, 1, b"x")
    p.expect("A", 1, 2, b"", tos=0)


def test_marks_without_agreement_change_nothing():
    h, p, s = established(ack_delay=0)
    p.send("A", 1, 1, b"x", tos=CE)
    p.expect("A", 1, 2)
    p.send("AEC", 2, 1, b"y")
    p.expect("A", 1, 3)
    assert recv(s) == b"xy"


def test_6_1_2_half_of_what_is_in_flight_remains_wherever_the_numbers_are():
    if off() or lacks("congestion"):
        return off() or lacks("congestion")
    for key in (b"12345678", b"87654321", b"23456781", b"34567812"):
        h, s = listener(Host(seed=key), tx=4000, ecn=True, congestion="reno")
        p = Peer(h)
        p.send("SEC", 0, mss=100)
        p.expect("SAE", 0, 1)
        p.send("A", 1, 1)
        s.send(bytes(1000))
        h.run()
        h.clear()
        p.send("AE", 1, 101)
        assert s.stats()["ssthresh"] == s.stats()["cwnd"] == 450, s.stats()
