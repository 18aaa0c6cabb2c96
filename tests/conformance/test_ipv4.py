"""IPv4 (RFC 791, RFC 1122 section 3): headers, options, fragments, addresses, routes."""

from harness import *
from smolmpy import UDPSocket

SECOND = "10.1.2.3"


def host(**kw):
    h = Host(**kw)
    s = h.add(UDPSocket(512, 512, 8))
    s.bind(77)
    return h, s


def dgram(data=b"x", **kw):
    return udp(1000, 77, data, **kw)


def dropped(h, s, frame):
    """The frame reaches nobody, is answered by nothing, and some counter tells why."""
    before = h.iface.counters()
    h.inject(frame)
    h.expect_nothing()
    assert s.recv_into(bytearray(9)) == EAGAIN
    now = h.iface.counters()
    changed = [k for k in now if now[k] != before[k] and k not in ("rx_frames", "rx_bytes")]
    assert changed, "not counted"
    return changed


def test_header_checksum():
    h, s = host()
    dropped(h, s, dgram(bad_ip=True))


def test_version():
    h, s = host()
    for v in (0, 3, 5, 6, 15):
        dropped(h, s, dgram(version=v))


def test_header_length():
    h, s = host()
    for ihl in (0, 1, 4, 6, 14, 15):
        dropped(h, s, dgram(ihl=ihl))


def test_total_length():
    h, s = host()
    for total in (0, 19, 20, 24, 27, 30, 1500, 65535):
        dropped(h, s, dgram(total=total))


def test_options_are_skipped():
    h, s = host()
    for o in (b"\x01", b"\x01" * 40, b"\x94\x04\x00\x00", b"\x07\x07\x04\x00\x00\x00\x00\x00"):
        h.inject(dgram(b"opt", options=o))
        assert recv(s) == b"opt"
        h.inject(echo(options=o))
        h.expect("icmp", type=0)
    h.expect_nothing()


def test_source_route_is_not_forwarded():
    # RFC 1122 3.2.1.8: a host that is not the last hop does not forward.
    h, s = host()
    h.inject(dgram(options=b"\x83\x07\x04\x0a\x00\x00\x01\x00"))
    h.clear()


def test_fragments_are_dropped_and_counted():
    h, s = host()
    for frag in (0x2000, 0x0001, 0x2001, 0x1FFF, 0x3FFF):
        assert "fragment" in str(dropped(h, s, dgram(frag=frag)))


def test_do_not_fragment_is_no_fragment():
    h, s = host()
    h.inject(dgram(b"df", frag=0x4000))
    assert recv(s) == b"df"


def test_ttl_does_not_matter_to_the_destination():
    h, s = host()
    for ttl in (1, 255):
        h.inject(dgram(ttl=ttl))
        assert recv(s) == b"x"


def test_destination_of_another_is_dropped():
    h, s = host()
    for dst in ("192.168.69.2", "10.0.0.1", "0.0.0.0", "127.0.0.1", "192.168.68.255"):
        dropped(h, s, dgram(dst=dst))


def test_sources_that_no_host_can_have_are_dropped():
    h, s = host()
    for src in ("224.0.0.1", "255.255.255.255", "192.168.69.255", "127.0.0.1", "240.0.0.1"):
        dropped(h, s, dgram(src=src))


def test_our_own_address_as_source_is_dropped():
    h, s = host()
    dropped(h, s, dgram(src=OUR))


def test_unspecified_source_is_not_answered():
    # 0.0.0.0 is legal for a machine that has no address yet, but cannot be answered.
    h, s = host()
    h.inject(echo(src="0.0.0.0"), udp(1, 9999, src="0.0.0.0"))
    h.expect_nothing()


def test_several_addresses():
    h, s = host()
    h.iface.add_address(SECOND + "/8")
    h.run()
    h.clear()
    assert "10.1.2.3/8" in str(h.iface.addresses())
    h.inject(echo(dst=SECOND))
    h.expect("icmp", type=0, src=SECOND)
    h.inject(echo(dst=OUR))
    h.expect("icmp", type=0, src=OUR)
    h.inject(dgram(dst=SECOND))
    assert recv(s) == b"x" and bytes(s.local_addr) == addr(SECOND)
    h.iface.remove_address(SECOND)
    dropped(h, s, dgram(dst=SECOND))


def test_address_table_is_bounded():
    h, s = host(addresses=2)
    h.iface.add_address("10.0.0.1/8")
    raises(OSError, "", h.iface.add_address, "10.0.0.2/8")
    h.iface.remove_address("10.0.0.1")
    h.iface.add_address("10.0.0.2/8")


def test_source_is_the_address_of_the_subnet():
    # RFC 1122 3.3.4.3: the source fits the network that the packet leaves for.
    h, s = host()
    h.iface.add_address(SECOND + "/8")
    h.iface.add_neighbor("10.9.9.9", PEER_MAC)
    h.run()
    h.clear()
    s.send_to(b"x", "10.9.9.9", 9)
    h.expect("udp", src=SECOND, dst="10.9.9.9")
    s.send_to(b"x", PEER, 9)
    h.expect("udp", src=OUR)


def test_gateway():
    h, s = host()
    s.send_to(b"x", FAR, 9)
    h.expect("udp", dst=FAR, dmac=GATEWAY_MAC)
    assert h.iface.gateway == GATEWAY
    h.iface.gateway = None
    assert s.send_to(b"x", FAR, 9) == -101
    h.expect_nothing()


def test_gateway_is_resolved_not_the_destination():
    h, s = host(neighbor=False)
    s.send_to(b"x", FAR, 9)
    h.expect("arp", op=1, tpa=GATEWAY)
    h.inject(arp(2, spa=GATEWAY, sha=GATEWAY_MAC))
    h.expect("udp", dst=FAR, dmac=GATEWAY_MAC)


def test_longest_prefix_wins():
    h, s = host()
    mac = {}
    for i, route in enumerate(("10.0.0.0/8", "10.0.0.0/24", "10.0.0.7/32")):
        via = "192.168.69.%d" % (20 + i)
        mac[route] = bytes([2, 0, 0, 0, 2, i])
        h.iface.add_route(route, via)
        h.iface.add_neighbor(via, mac[route])
    for dst, route in (
        ("10.9.0.1", "10.0.0.0/8"),
        ("10.0.0.1", "10.0.0.0/24"),
        ("10.0.0.7", "10.0.0.7/32"),
    ):
        s.send_to(b"x", dst, 9)
        h.expect("udp", dst=dst, dmac=mac[route])
    s.send_to(b"x", "11.0.0.1", 9)
    h.expect("udp", dmac=GATEWAY_MAC)
    h.iface.remove_route("10.0.0.7/32")
    s.send_to(b"x", "10.0.0.7", 9)
    h.expect("udp", dmac=mac["10.0.0.0/24"])


def test_route_table_is_bounded_and_checked():
    h, s = host(routes=2)
    h.iface.gateway = None
    h.iface.add_route("10.0.0.0/8", "192.168.69.2")
    h.iface.add_route("11.0.0.0/8", "192.168.69.2")
    raises(OSError, "", h.iface.add_route, "12.0.0.0/8", "192.168.69.2")
    for bad in ("10.0.0.0/33", "10.0.0.0/-1", "10.0.0/8", "hello", "10.0.0.256/8", ""):
        raises(ValueError, "", h.iface.add_route, bad, "192.168.69.2")
        raises(ValueError, "", h.iface.add_address, bad)


def test_broadcast_goes_to_the_broadcast_hardware_address():
    h, s = host()
    for dst in ("255.255.255.255", "192.168.69.255"):
        s.send_to(b"x", dst, 9)
        h.expect("udp", dst=dst, dmac=BROADCAST_MAC, src=OUR)


def test_broadcast_is_received():
    h, s = host()
    for dst in ("255.255.255.255", "192.168.69.255"):
        h.inject(dgram(dst=dst, dmac=BROADCAST_MAC))
        assert recv(s) == b"x"


def test_all_ones_of_a_31_bit_prefix_is_a_host():
    # RFC 3021.
    h, s = host()
    h.iface.add_address("10.2.2.1/31")
    h.run()
    h.clear()
    h.inject(echo(dst="10.2.2.1"))
    h.expect("icmp", type=0, src="10.2.2.1")


def test_an_address_of_ours_is_no_broadcast():
    # Not even where it is that of another network on the same link.
    for addresses in (("192.168.69.63/24", "192.168.69.50/26"),
                      ("192.168.69.50/26", "192.168.69.63/24")):  # fmt: skip
        h = Host(address=False)
        for address in addresses:
            h.iface.add_address(address)
        h.run()
        h.clear()
        for options in (b"", b"\x01\x01\x01\x01"):
            h.inject(echo(dst="192.168.69.63", options=options))
            h.expect("icmp", type=0, src="192.168.69.63")


def test_multicast_is_sent_to_the_mapped_hardware_address():
    # RFC 1112 6.4.
    h, s = host()
    s.send_to(b"x", "239.129.2.3", 9)
    h.expect("udp", dst="239.129.2.3", dmac=b"\x01\x00\x5e\x01\x02\x03")


def test_unicast_in_a_broadcast_frame_is_not_answered():
    # RFC 1122 3.3.6: such a packet is silently discarded, or at least never answered by an error.
    h, s = host()
    h.inject(udp(1, 9999, b"x", dmac=BROADCAST_MAC))
    h.inject(tcp(1, 9999, "S", dmac=BROADCAST_MAC))
    h.expect_nothing()


def test_sent_header():
    h, s = host()
    s.send_to(b"x", PEER, 9)
    p = h.expect("udp", ttl=64, tos=0, src=OUR, dst=PEER, options=b"")
    assert p.frag & 0x3FFF == 0


def test_ttl_per_socket():
    h, s = host()
    t = h.add(UDPSocket(64, 64))
    s.hop_limit = 3
    s.send_to(b"x", PEER, 9)
    h.expect("udp", ttl=3)
    t.send_to(b"x", PEER, 9)
    h.expect("udp", ttl=64)


def test_packet_to_our_own_address_never_leaves():
    h, s = host()
    s.send_to(b"x", OUR, 9)
    h.run()
    for at, f in h.device.sent:
        assert Packet(f).kind != "udp", "sent to the wire"
