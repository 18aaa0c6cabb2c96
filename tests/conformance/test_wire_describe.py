"""Frames as text: what a reader of a trace sees, also of frames cut off at any byte."""

from frames import OUR_MAC, PEER_MAC, arp, echo, eth, icmp, ip, tcp, tcp_options, u16, udp
from smolmpy.wire import describe

ONE_TO_ONE = "192.168.69.100 > 192.168.69.1: "
PORTS = "192.168.69.100.4000 > 192.168.69.1.80: "


def _same(frame, text):
    got = describe(frame)
    assert got == text, got


def test_arp():
    _same(arp(1), "ARP, Request who-has 192.168.69.1 tell 192.168.69.100, length 28")
    _same(
        arp(2, tha=OUR_MAC),
        "ARP, Reply 192.168.69.100 is-at 06:9a:cd:5f:b7:64, length 28",
    )
    _same(
        arp(1, tha=OUR_MAC),
        "ARP, Request who-has 192.168.69.1 (02:b9:d5:8e:73:e1) tell 192.168.69.100, length 28",
    )
    _same(arp(1) + bytes(18), "ARP, Request who-has 192.168.69.1 tell 192.168.69.100, length 46")
    _same(arp(7), "ARP, operation 7, 192.168.69.100 to 192.168.69.1, length 28")
    _same(arp(1, head=b"\x00\x06\x08\x00\x06\x04"), "ARP, hardware 6, protocol 0x0800, length 28")
    _same(arp(1)[:41], "ARP, truncated, length 27")


def test_ethernet():
    _same(
        eth(bytes(46), 0x88CC),
        "06:9a:cd:5f:b7:64 > 02:b9:d5:8e:73:e1, ethertype Unknown (0x88cc), length 60",
    )
    _same(
        eth(bytes(46), 0x8100),
        "06:9a:cd:5f:b7:64 > 02:b9:d5:8e:73:e1, ethertype 802.1Q (0x8100), length 60",
    )
    _same(eth(bytes(46), 46), "06:9a:cd:5f:b7:64 > 02:b9:d5:8e:73:e1, 802.3, length 60")
    _same(PEER_MAC + OUR_MAC, "truncated Ethernet, length 12")
    _same(b"", "truncated Ethernet, length 0")


def test_length_argument():
    frame = echo()
    assert describe(frame + b"rubbish", len(frame)) == describe(frame)
    assert describe(memoryview(frame)) == describe(bytearray(frame)) == describe(frame)
    assert describe(frame, 5000) == describe(frame)


def test_icmp():
    _same(echo(7, 3), "IP " + ONE_TO_ONE + "ICMP echo request, id 7, seq 3, length 16")
    _same(echo(7, 3, kind=0), "IP " + ONE_TO_ONE + "ICMP echo reply, id 7, seq 3, length 16")
    # The padding of a short frame is not part of the message.
    _same(
        echo(7, 3, b"ab", pad=bytes(16)),
        "IP " + ONE_TO_ONE + "ICMP echo request, id 7, seq 3, length 10",
    )
    quote = udp(4000, 6970, b"hello")[14:42]
    for code, text in (
        (0, "net 192.168.69.1 unreachable"),
        (1, "host 192.168.69.1 unreachable"),
        (2, "192.168.69.1 protocol 17 unreachable"),
        (3, "192.168.69.1 udp port 6970 unreachable"),
        (13, "192.168.69.1 unreachable - #13"),
    ):
        _same(icmp(3, code, data=quote), "IP " + ONE_TO_ONE + "ICMP " + text + ", length 36")
    _same(
        icmp(3, 4, b"\0\0" + u16(576), quote),
        "IP " + ONE_TO_ONE + "ICMP 192.168.69.1 unreachable - need to frag (mtu 576), length 36",
    )
    _same(icmp(11, 0, data=quote), "IP " + ONE_TO_ONE + "ICMP time exceeded in-transit, length 36")
    _same(icmp(42), "IP " + ONE_TO_ONE + "ICMP type-#42, length 8")


def test_udp():
    _same(udp(4000, 80, b"hello"), "IP " + PORTS + "UDP, length 5")
    _same(udp(4000, 80), "IP " + PORTS + "UDP, length 0")
    _same(udp(4000, 80, length=7), "IP " + PORTS + "UDP, bad length 7")
    _same(udp(4000, 80, b"hello", length=14), "IP " + PORTS + "UDP, bad length 6 > 5")


def test_tcp():
    _same(
        tcp(4000, 80, "S", 1000, win=64240, options=tcp_options(1460, 7, True, None, (1, 0))),
        "IP "
        + PORTS
        + "Flags [S], seq 1000, win 64240, "
        + "options [mss 1460,nop,wscale 7,nop,nop,sackOK,nop,nop,TS val 1 ecr 0], length 0",
    )
    _same(
        tcp(4000, 80, "PA", 0xFFFFFFFE, 0x80000000, b"hello", 512),
        "IP " + PORTS + "Flags [P.], seq 4294967294:3, ack 2147483648, win 512, length 5",
    )
    _same(tcp(4000, 80, "A", 5, 6, win=0), "IP " + PORTS + "Flags [.], ack 6, win 0, length 0")
    _same(
        tcp(4000, 80, "FA", 5, 6, win=1),
        "IP " + PORTS + "Flags [F.], seq 5, ack 6, win 1, length 0",
    )
    _same(tcp(4000, 80, "R", 5, win=0), "IP " + PORTS + "Flags [R], seq 5, win 0, length 0")
    _same(tcp(4000, 80, "", 5, win=0), "IP " + PORTS + "Flags [none], win 0, length 0")
    _same(
        tcp(4000, 80, "AU", 5, 6, b"x", 9, urg=1),
        "IP " + PORTS + "Flags [.U], seq 5:6, ack 6, win 9, urg 1, length 1",
    )
    _same(
        tcp(4000, 80, "A", 5, 6, win=9, options=tcp_options(sack=[(7, 8), (10, 4294967295)])),
        "IP "
        + PORTS
        + "Flags [.], ack 6, win 9, options [nop,nop,sack 2 {7:8}{10:4294967295}], length 0",
    )


def test_tcp_malformed():
    for options, text in (
        (b"\x02\x03\x05\x00", "bad option 2,eol"),
        (b"\x02\x00\x05\xb4", "bad option 2"),
        (b"\x01\x01\x01\x02", "nop,nop,nop,bad option 2"),
        (b"\x02\x08\x05\xb4", "bad option 2"),
        (b"\xfe\x04\x05\xb4", "unknown-254"),
        (b"\xfe\x05\x05\xb4", "bad option 254"),
        (b"\x01\x01\x08\x0a", "nop,nop,bad option 8"),
        (b"\x05\x04\x00\x00", "bad option 5"),
    ):
        _same(
            tcp(4000, 80, "A", 5, 6, win=9, options=options),
            "IP " + PORTS + "Flags [.], ack 6, win 9, options [%s], length 0" % text,
        )
    _same(tcp(4000, 80, "A", offset=4), "IP " + PORTS + "TCP, bad header length 16, length 20")
    _same(tcp(4000, 80, "A", offset=6), "IP " + PORTS + "TCP, bad header length 24, length 20")


def test_ip():
    _same(ip(bytes(8), 2), "IP " + ONE_TO_ONE + "IGMP, length 8")
    _same(ip(bytes(8), 132), "IP " + ONE_TO_ONE + "protocol 132, length 8")
    _same(ip(b"", 17, version=6), "IP, bad version 6, length 20")
    _same(ip(b"", 17, ihl=4), "IP, bad header length 16, length 20")
    _same(ip(b"", 17, ihl=6, total=24), "IP, truncated, length 20")
    _same(ip(b"", 17, total=19), "IP, bad total length 19 < 20, length 20")
    _same(udp(4000, 80, b"hello", options=b"\x94\x04\x00\x00"), "IP " + PORTS + "UDP, length 5")
    _same(
        udp(4000, 80, bytes(50), length=2000, ident=9, frag=0x2000),
        "IP " + PORTS + "UDP, length 1992, frag id 9 offset 0+, length 58",
    )
    _same(
        ip(bytes(30), 17, ident=9, frag=7),
        "IP " + ONE_TO_ONE + "UDP, frag id 9 offset 56, length 30",
    )
    _same(
        udp(4000, 80, bytes(50))[:-10],
        "IP " + PORTS + "UDP, length 50 [truncated, 10 bytes missing]",
    )


def test_cut_at_every_byte():
    """Every frame, cut anywhere, and with any one byte changed, gives one line."""
    quote = udp(4000, 6970, b"hello")[14:42]
    options = tcp_options(1460, 7, True, [(1, 2)], (1, 0))
    for frame in (
        arp(1),
        echo(),
        icmp(3, 3, data=quote),
        icmp(5, 1, data=quote),
        udp(1, 2, b"abc"),
        tcp(1, 2, "SA", options=options),
    ):
        for n in range(len(frame)):
            text = describe(frame[:n])
            assert "\n" not in text
            if n < 34:
                assert "truncated" in text, (n, text)
            assert describe(frame, n) == text
            for value in (0, 0x4F, 0xFF):
                changed = bytearray(frame)
                changed[n] = value
                assert isinstance(describe(changed), str)
