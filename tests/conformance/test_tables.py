"""What an interface is told: addresses, routes, neighbors and groups, and what it says of them."""

from harness import *
from smolmpy import UDPSocket

NETWORKS = ("10.0.0.0/8", "10.128.0.0/9", "10.128.7.0/24", "10.128.7.9/32")


def test_a_route_is_to_a_network_whatever_host_bits_are_given():
    h = Host()
    h.iface.gateway = None
    h.iface.add_route("10.3.77.201/16", GATEWAY)
    assert h.iface.routes() == [("10.3.0.0/16", GATEWAY)]
    s = h.add(UDPSocket(64, 64))
    assert s.send_to(b"x", "10.3.250.4", 9) == 1
    h.expect("udp", dst="10.3.250.4", dmac=GATEWAY_MAC)
    assert s.send_to(b"x", "10.2.250.4", 9) == -101
    h.iface.remove_route("10.3.1.1/16")
    assert h.iface.routes() == []


def test_a_route_that_is_added_again_has_another_gateway():
    h = Host(routes=4)
    for gateway in (GATEWAY, PEER, GATEWAY, PEER, PEER):
        h.iface.add_route("10.0.0.0/8", gateway)
        assert h.iface.routes() == [("10.0.0.0/8", gateway), ("0.0.0.0/0", GATEWAY)]
    h.iface.gateway = PEER
    assert h.iface.gateway == PEER and len(h.iface.routes()) == 2
    # Also where the table is full.
    h.iface.add_route("10.1.0.0/16", GATEWAY)
    h.iface.add_route("10.2.0.0/16", GATEWAY)
    h.iface.add_route("10.2.0.0/16", PEER)
    assert ("10.2.0.0/16", PEER) in h.iface.routes()
    raises(OSError, "full", h.iface.add_route, "10.3.0.0/16", PEER)
    assert len(h.iface.routes()) == 4


def test_routes_that_are_removed_leave_the_others_and_the_neighbors():
    for gone in range(4):
        h = Host(routes=4, neighbors=2)
        h.iface.gateway = None
        for i in range(4):
            h.iface.add_route(NETWORKS[i], "192.168.69.%d" % (10 + i))
        known = h.iface.neighbors()
        h.iface.remove_route(NETWORKS[gone])
        left = [(NETWORKS[i], "192.168.69.%d" % (10 + i)) for i in (3, 2, 1, 0) if i != gone]
        assert h.iface.routes() == left
        assert h.iface.neighbors() == known and len(known) == 2
        raises(ValueError, NETWORKS[gone], h.iface.remove_route, NETWORKS[gone])
        assert h.iface.routes() == left


def test_a_default_route_is_none_when_it_is_taken_back():
    h = Host()
    h.iface.gateway = None
    assert h.iface.gateway is None and h.iface.routes() == []
    h.iface.gateway = None  # as often as one likes
    h.iface.add_route("10.0.0.0/8", GATEWAY)
    assert h.iface.gateway is None


def test_without_an_address_there_is_no_way_even_where_a_route_is_left():
    h = Host()
    s = h.add(UDPSocket(64, 64))
    s.bind(7)
    h.iface.remove_address(OUR)
    for to in (PEER, FAR, "255.255.255.255", "224.0.0.9"):
        assert s.send_to(b"x", to, 9) == -101, to
    h.expect_nothing()


def test_addresses_are_announced_once_each_and_in_order():
    h = Host(address=False)
    own = ["192.168.69.1/24", "10.0.0.1/8", "172.16.0.1/12"]
    for cidr in own:
        h.iface.add_address(cidr)
    h.iface.remove_address("10.0.0.1")
    assert h.iface.poll_delay(h.now) == 0
    for a in ("192.168.69.1", "172.16.0.1"):
        h.expect("arp", op=1, dmac=BROADCAST_MAC, sha=OUR_MAC, tha=NO_MAC, spa=a, tpa=a)
    h.expect_idle()
    assert h.iface.addresses() == [own[0], own[2]]
    raises(ValueError, "10.0.0.1", h.iface.remove_address, "10.0.0.1")
    assert h.iface.addresses() == [own[0], own[2]]
    h.iface.add_address("10.0.0.1/8")
    h.expect("arp", spa="10.0.0.1", tpa="10.0.0.1")
    h.expect_idle()


def test_a_full_device_delays_an_announcement():
    h = Host(address=False)
    h.device.refuse = EAGAIN
    h.iface.add_address("192.168.69.1/24")
    h.iface.add_address("10.0.0.1/8")
    h.run()
    h.device.refuse = 0
    h.advance(10)
    h.expect("arp", spa="192.168.69.1", tpa="192.168.69.1")
    h.expect("arp", spa="10.0.0.1", tpa="10.0.0.1")
    h.expect_idle()


def test_every_prefix_is_said_as_it_was_given():
    for prefix in range(1, 33):
        h = Host(address=False, neighbor=False)
        h.iface.add_address("100.90.80.70/%d" % prefix)
        assert h.iface.addresses() == ["100.90.80.70/%d" % prefix]
        h.iface.add_address("192.168.69.1/24")
        h.iface.add_route("100.90.80.70/%d" % prefix, GATEWAY)
        assert h.iface.routes()[0][0].split("/")[1] == str(prefix)


def test_tables_hold_as_many_as_was_said_and_no_more():
    for n in (1, 2, 3, 16):
        h = Host(address=False, neighbor=False, addresses=n, routes=n, sockets=n)
        for i in range(n):
            h.iface.add_address("10.%d.0.1/16" % i)
        raises(OSError, "%d addresses" % n, h.iface.add_address, "172.16.0.1/16")
        for i in range(n):
            h.iface.add_route("11.%d.0.0/16" % i, "10.%d.0.2" % i)
        raises(OSError, "route", h.iface.add_route, "12.0.0.0/16", "10.0.0.2")
        sockets = [h.add(UDPSocket(16, 16)) for _ in range(n)]
        raises(OSError, "%d sockets" % n, h.add, UDPSocket(16, 16))
        for i in range(n):
            sockets[i].bind(7 + i, "10.%d.0.1" % i)
        assert len(h.iface.addresses()) == len(h.iface.routes()) == n
        h.iface.remove(sockets[n // 2])
        h.add(sockets[n // 2])
        for name, most in (("sockets", 4096), ("neighbors", 4096), ("routes", 4096)):
            for wrong in (0, -1, most + 1):
                raises(ValueError, "%s must be 1 to %d" % (name, most), Host, **{name: wrong})
        raises(ValueError, "addresses must be 1 to 16", Host, addresses=17)


def test_neighbors_are_rounded_up_to_a_power_of_two():
    for asked, room in ((1, 1), (2, 2), (3, 4), (4, 4), (5, 8)):
        h = Host(neighbor=False, neighbors=asked)
        for i in range(room):
            h.iface.add_neighbor("192.168.69.%d" % (50 + 3 * i), b"\x02\0\0\0\x77%c" % i)
        assert len(h.iface.neighbors()) == room
        raises(OSError, "full", h.iface.add_neighbor, PEER, PEER_MAC)


def test_every_neighbor_is_found_wherever_it_lies():
    """Addresses that begin their search at one place; each removed while the others stay."""
    h = Host(neighbor=False, neighbors=8)
    s = h.add(UDPSocket(512, 512, 8))
    s.bind(7)
    hosts = ["192.168.69.%d" % n for n in (8, 16, 24, 40, 9, 15, 23, 31)]
    macs = {a: b"\x0a\xc3" + bytes(reversed(addr(a))) for a in hosts}
    for a in hosts:
        h.iface.add_neighbor(a, macs[a])
    left = list(hosts)
    while left:
        assert len(h.iface.neighbors()) == len(left)
        for a in left:
            said = ":".join(["%02x" % b for b in macs[a]])
            assert (a, said, "static") in h.iface.neighbors()
            assert s.send_to(b"x", a, 9) == 1
            h.expect("udp", dst=a, dmac=macs[a])
        gone = left.pop(len(left) // 2)
        h.iface.remove_neighbor(gone)
        raises(ValueError, gone, h.iface.remove_neighbor, gone)
        assert s.send_to(b"x", gone, 9) == 1
        h.expect("arp", op=1, tpa=gone)
        h.iface.remove_neighbor(gone)
        s.close()
        s.bind(7)
        h.expect_nothing()


def test_frames_to_groups_are_taken_while_they_are_wanted():
    h = Host()
    ours = b"\x01\x00\x5e\x12\x34\x56", b"\x33\x33\xa1\xb2\xc3\xd4"
    wanted = list(ours) + [b"\x01\x80\xc2\x00\x00\x0e"]
    for mac in wanted:
        h.iface.add_multicast(mac)
        h.iface.add_multicast(mac)  # twice is once
    for mac in wanted:
        h.inject(arp(1, dmac=mac))
        h.expect("arp", op=2, dmac=PEER_MAC)
        for bit in range(1, 48):
            near = bytearray(mac)
            near[bit >> 3] ^= 1 << (bit & 7)
            h.inject(arp(1, dmac=bytes(near)))
            h.expect_nothing()
        h.iface.remove_multicast(mac)
        h.inject(arp(1, dmac=mac))
        h.expect_nothing()
        raises(ValueError, "not joined", h.iface.remove_multicast, mac)
    raises(ValueError, "group", h.iface.add_multicast, PEER_MAC)


def test_1112_7_2_all_hosts_is_heard_without_being_joined():
    h = Host()
    all_hosts = b"\x01\x00\x5e\x00\x00\x01"
    h.inject(arp(1, dmac=all_hosts))
    h.expect("arp", op=2)
    for bit in range(1, 48):
        near = bytearray(all_hosts)
        near[bit >> 3] ^= 1 << (bit & 7)
        h.inject(arp(1, dmac=bytes(near)))
        h.expect_nothing()
    for bit in range(48):  # and so for all who hear
        near = bytearray(BROADCAST_MAC)
        near[bit >> 3] ^= 1 << (bit & 7)
        h.inject(arp(1, dmac=bytes(near)))
        h.expect_nothing()


def test_a_socket_is_on_one_interface():
    h = Host()
    other = Host()
    s = h.add(UDPSocket(16, 16))
    raises(OSError, "interface", h.add, s)
    raises(OSError, "interface", other.add, s)
    raises(ValueError, "not on this interface", other.iface.remove, s)
    h.iface.remove(s)
    raises(ValueError, "not on this interface", h.iface.remove, s)
    other.add(s)
    s.bind(7)
    other.inject(udp(9, 7, b"x"))
    assert recv(s) == b"x"
