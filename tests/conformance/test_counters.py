"""The counters say exactly what happened: each event raises the counters of its kind by one."""

from smolmpy import RawSocket, UDPSocket
from states import *


def check(h, f, **want):
    """`f()` changes these counters by these amounts, and no others but those of frames."""
    before = h.iface.counters()
    f()
    h.run()
    after = h.iface.counters()
    got = {k: after[k] - before[k] for k in after if after[k] != before[k]}
    want["rx_frames"] = want.get("rx_frames", got.get("rx_frames", 0))
    want["tx_frames"] = len(h.device.sent)
    for k in ("rx_frames", "tx_frames"):
        if not want[k]:
            del want[k]
    h.clear()
    assert got == want, "%s, expected %s" % (got, want)


def test_names():
    h = Host()
    names = h.iface.counters()
    for name in names:
        assert h.counter(name) == names[name]
    raises(KeyError, "", h.counter, "no_such")


def test_arp():
    h = Host(neighbor=False)
    check(h, lambda: h.inject(arp(1)), arp_rx=1, arp_replies_tx=1)
    check(h, lambda: h.inject(arp(1, tpa=PEER)), arp_rx=1)
    check(h, lambda: h.inject(arp(3, dmac=OUR_MAC)), arp_rx=1, arp_malformed=1)
    check(h, lambda: h.inject(arp(1, spa=OUR, tpa=OUR)), arp_rx=1, arp_conflict=1)
    s = h.add(UDPSocket(64, 64))
    check(h, lambda: s.send_to(b"x", "192.168.69.9", 9), arp_requests_tx=1)


def test_icmp():
    h = Host()
    check(h, lambda: h.inject(echo()), ip_rx=1, icmp_rx=1, icmp_echo=1)
    check(h, lambda: h.inject(echo(bad_csum=True)), ip_rx=1, icmp_rx=1, icmp_checksum=1)
    check(h, lambda: h.inject(icmp(77)), ip_rx=1, icmp_rx=1, icmp_ignored=1)
    check(
        h,
        lambda: h.inject(echo(dst="192.168.69.255", dmac=BROADCAST_MAC)),
        ip_rx=1,
        icmp_rx=1,
        icmp_group=1,
    )
    s = h.add(UDPSocket(64, 64))
    s.connect(PEER, 9)
    check(h, lambda: s.send(b"x"), udp_tx=1)
    f = udp(s.local_port, 9, b"x", src=OUR, dst=PEER)[14:]
    check(h, lambda: h.inject(icmp(3, 3, data=f)), ip_rx=1, icmp_rx=1, icmp_errors_rx=1)


def test_udp_and_raw():
    h = Host()
    s = h.add(UDPSocket(64, 64, 1))
    s.bind(77)
    check(h, lambda: h.inject(udp(1, 77, b"x")), ip_rx=1, udp_rx=1)
    check(h, lambda: h.inject(udp(1, 77, b"x")), ip_rx=1, udp_full=1)
    check(h, lambda: h.inject(udp(1, 77, b"x", bad_csum=True)), ip_rx=1, udp_checksum=1)
    check(h, lambda: h.inject(udp(1, 9, b"x")), ip_rx=1, udp_no_socket=1, icmp_errors_tx=1)
    check(h, lambda: h.inject(ip(b"12345678", 99)), ip_rx=1, ip_protocol=1, icmp_errors_tx=1)
    r = h.add(RawSocket(64, 64, 1, protocol=99))
    check(h, lambda: h.inject(ip(b"12345678", 99)), ip_rx=1, raw_rx=1)
    check(h, lambda: h.inject(ip(b"12345678", 99)), ip_rx=1, raw_full=1)
    assert recv(r)


def test_tcp():
    h, p, s = established(ack_delay=0)
    check(h, lambda: p.send("A", 1, 1, b"x"), ip_rx=1, tcp_rx=1, tcp_tx=1)
    check(h, lambda: p.send("A", 2, 1), ip_rx=1, tcp_rx=1)
    check(h, lambda: p.send("A", 5, 1, b"x"), ip_rx=1, tcp_rx=1, tcp_tx=1, tcp_out_of_order=1)
    check(
        h,
        lambda: p.send("S", 0),
        ip_rx=1,
        tcp_rx=1,
        tcp_tx=1,
        tcp_challenge_acks=1,
    )
    check(h, lambda: p.send("A", 2, 1, offset=3), ip_rx=1, tcp_rx=1, tcp_malformed=1)
    check(h, lambda: p.send("A", 2, 1, bad_csum=True), ip_rx=1, tcp_rx=1, tcp_checksum=1)
    check(
        h,
        lambda: h.inject(tcp(1, 9, "S")),
        ip_rx=1,
        tcp_rx=1,
        tcp_tx=1,
        tcp_no_socket=1,
        tcp_rst_tx=1,
    )
    check(h, lambda: h.inject(tcp(1, 9, "R")), ip_rx=1, tcp_rx=1, tcp_no_socket=1)
    check(h, lambda: s.send(b"abc"), tcp_tx=1)
    check(h, lambda: h.advance(250), tcp_tx=1, tcp_retransmits=1)
    check(h, lambda: p.send("A", 2, 4), ip_rx=1, tcp_rx=1)
    check(h, s.abort, tcp_tx=1, tcp_rst_tx=1)


def test_fast_retransmission():
    h, p, s = established(syn={"mss": 100})
    check(h, lambda: s.send(bytes(300)), tcp_tx=3)
    for _ in range(2):
        check(h, lambda: p.send("A", 1, 1), ip_rx=1, tcp_rx=1)
    check(h, lambda: p.send("A", 1, 1), ip_rx=1, tcp_rx=1, tcp_tx=1, tcp_retransmits=1)


def test_poll_says_how_many_frames():
    h = Host()
    s = h.add(TCPSocket(64, 64))
    s.connect(PEER, 80)
    assert h.iface.poll(h.now) == 1
    p = Peer(h, port=80)
    p.expect("S", 0)
    h.device.queue.append(p.frame("SA", 0, 1))
    assert h.iface.poll(h.now) == 2
    assert h.iface.poll(h.now) == 0
    s.abort()
    assert h.iface.poll(h.now) == 1
    u = h.add(UDPSocket(64, 64))
    u.send_to(b"x", PEER, 9)
    u.send_to(b"y", PEER, 9)
    assert h.iface.poll(h.now) + h.iface.poll(h.now) == 2
