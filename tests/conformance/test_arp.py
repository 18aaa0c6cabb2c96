"""ARP (RFC 826, RFC 1122 section 2.3.2): answers, resolution, the neighbor cache."""

from harness import *
from smolmpy import ICMPSocket, UDPSocket

OTHER = "192.168.69.77"
OTHER_MAC = b"\x02\x00\x00\x00\x00\x77"


def host(**kw):
    h = Host(neighbor=False, **kw)
    s = h.add(UDPSocket(256, 256))
    s.bind(6969)
    return h, s


def kinds(h):
    return {a: k for a, m, k in h.iface.neighbors()}


def test_request_for_us_is_answered_unicast():
    h, _ = host()
    h.inject(arp(1))
    h.expect(
        "arp",
        op=2,
        dmac=PEER_MAC,
        smac=OUR_MAC,
        sha=OUR_MAC,
        spa=OUR,
        tha=PEER_MAC,
        tpa=PEER,
    )
    h.expect_nothing()


def test_request_for_another_is_ignored_and_not_learned():
    h, _ = host()
    h.inject(arp(1, tpa=OTHER))
    h.expect_nothing()
    assert PEER not in kinds(h)


def test_request_for_us_teaches_the_sender():
    h, s = host()
    h.inject(arp(1))
    h.expect("arp", op=2)
    s.send_to(b"x", PEER, 9)
    h.expect("udp", dmac=PEER_MAC)
    h.expect_nothing()


def test_probe_is_answered_and_not_learned():
    # RFC 5227: a probe's sender address is zero.
    h, _ = host()
    h.inject(arp(1, spa="0.0.0.0"))
    h.expect("arp", op=2, dmac=PEER_MAC, spa=OUR, tpa="0.0.0.0")
    assert "0.0.0.0" not in kinds(h)


def test_unicast_request_is_answered():
    h, _ = host()
    h.inject(arp(1, dmac=OUR_MAC))
    h.expect("arp", op=2)


def test_request_for_a_second_address():
    h, _ = host()
    h.iface.add_address("10.1.2.3/8")
    h.run()
    h.clear()
    h.inject(arp(1, tpa="10.1.2.3"))
    h.expect("arp", op=2, spa="10.1.2.3", tpa=PEER)
    h.iface.remove_address("10.1.2.3")
    h.inject(arp(1, tpa="10.1.2.3"))
    h.expect_nothing()


def test_adding_an_address_announces_it():
    h = Host(neighbor=False, address=False)
    h.iface.add_address(OUR + "/24")
    h.expect("arp", dmac=BROADCAST_MAC, sha=OUR_MAC, spa=OUR, tpa=OUR)
    h.iface.add_address("192.168.69.2/24")
    h.expect("arp", dmac=BROADCAST_MAC, spa="192.168.69.2", tpa="192.168.69.2")
    h.expect_nothing()


def test_malformed_is_dropped():
    h, _ = host()
    good = arp(1)
    for head in (
        b"\x00\x06\x08\x00\x06\x04",
        b"\x00\x01\x08\x06\x06\x04",
        b"\x00\x01\x08\x00\x05\x04",
        b"\x00\x01\x08\x00\x06\x10",
    ):
        h.inject(arp(1, head=head))
    for op in (0, 3, 8, 256, 258):
        h.inject(arp(op, dmac=BROADCAST_MAC))
    for n in range(14, 42):
        h.inject(good[:n])
    h.expect_nothing()
    assert not kinds(h)


def test_sender_address_that_is_no_host_is_not_learned():
    h, s = host()
    h.inject(arp(1, sha=BROADCAST_MAC, smac=PEER_MAC))
    h.inject(arp(1, sha=b"\x01\x00\x5e\x00\x00\x05", smac=PEER_MAC))
    h.inject(arp(1, sha=NO_MAC, smac=PEER_MAC))
    h.inject(arp(1, spa="192.168.69.255"))
    h.inject(arp(1, spa="224.0.0.1"))
    h.inject(arp(1, spa="255.255.255.255"))
    h.clear()
    assert not kinds(h)


def test_our_own_address_as_sender_is_not_learned():
    h, _ = host()
    h.inject(arp(1, spa=OUR))
    h.inject(arp(2, spa=OUR))
    assert OUR not in kinds(h)


def test_resolution_holds_the_packet_until_the_reply():
    h, s = host()
    assert s.send_to(b"hello", PEER, 9) == 5
    h.expect("arp", op=1, dmac=BROADCAST_MAC, spa=OUR, tpa=PEER, sha=OUR_MAC)
    h.expect_nothing()
    assert kinds(h)[PEER] == "incomplete"
    h.inject(arp(2, tha=OUR_MAC))
    h.expect("udp", dmac=PEER_MAC, dst=PEER, data=b"hello")
    h.expect_nothing()
    assert kinds(h)[PEER] == "reachable"


def test_request_is_repeated_once_a_second():
    h, s = host()
    s.send_to(b"x", PEER, 9)
    first = h.expect("arp", op=1).at
    h.advance(3500)
    times = [first]
    while h.device.sent:
        times.append(h.expect("arp", op=1, tpa=PEER).at)
    assert len(times) >= 3, times
    for i in range(1, len(times)):
        assert times[i] - times[i - 1] >= 1000, times
    assert times[1] - first <= 1100, times


def test_request_rate_holds_however_many_packets_wait():
    h, s = host()
    for i in range(6):
        t = h.add(UDPSocket(64, 64))
        t.send_to(b"x", PEER, 9)
        h.advance(160)
    h.expect("arp", op=1)
    h.expect_nothing()


def test_request_rate_is_per_address():
    h, s = host()
    t = h.add(UDPSocket(256, 256))
    s.send_to(b"x", PEER, 9)
    h.run()
    t.send_to(b"y", OTHER, 9)
    h.expect("arp", op=1, tpa=PEER)
    h.expect("arp", op=1, tpa=OTHER)
    h.inject(arp(2, spa=OTHER, sha=OTHER_MAC))
    h.expect("udp", dmac=OTHER_MAC, data=b"y")
    h.expect_nothing()


def test_unresolved_neighbor_does_not_hold_up_others():
    h, s = host()
    h.inject(arp(1))
    h.clear()
    s.send_to(b"x", OTHER, 9)
    h.expect("arp", op=1, tpa=OTHER)
    t = h.add(UDPSocket(256, 256))
    t.send_to(b"y", PEER, 9)
    h.expect("udp", dst=PEER, data=b"y")
    h.inject(echo())
    h.expect("icmp", type=0)


def test_several_held_packets_leave_in_order():
    h, s = host()
    for c in b"abcd":
        assert s.send_to(bytes([c]), PEER, 9) == 1
    h.expect("arp", op=1)
    h.inject(arp(2))
    for c in b"abcd":
        h.expect("udp", data=bytes([c]))
    h.expect_nothing()


def test_reply_for_another_machine_resolves_nothing():
    h, s = host()
    s.send_to(b"x", PEER, 9)
    h.expect("arp", op=1)
    h.inject(arp(2, dmac=OTHER_MAC, tpa=OTHER, tha=OTHER_MAC))
    h.expect_nothing()


def test_entry_expires_after_60_seconds():
    h, s = host()
    h.inject(arp(1))
    h.expect("arp", op=2)
    h.advance(59000)
    s.send_to(b"x", PEER, 9)
    h.expect("udp", data=b"x")
    h.advance(1500)
    h.clear()
    s.send_to(b"y", PEER, 9)
    p = h.next()
    # The entry is asked for again; the datagram may not wait for ever on a silent neighbor.
    assert p.kind == "arp" and p.op == 1 and p.tpa == PEER, p
    h.inject(arp(2, sha=OTHER_MAC))
    h.expect("udp", data=b"y", dmac=OTHER_MAC)


def test_refreshed_entry_does_not_expire():
    h, s = host()
    for _ in range(4):
        h.inject(arp(1))
        h.expect("arp", op=2)
        h.advance(40000)
    h.clear()
    s.send_to(b"x", PEER, 9)
    h.expect("udp", data=b"x")


def test_gratuitous_arp_updates_a_known_neighbor():
    h, s = host()
    h.inject(arp(1))
    h.expect("arp", op=2)
    for op in (1, 2):
        mac = bytes([2, 0, 0, 0, 9, op])
        h.inject(arp(op, tpa=PEER, sha=mac, dmac=BROADCAST_MAC, tha=NO_MAC))
        s.send_to(b"x", PEER, 9)
        h.expect("udp", dmac=mac)
    h.expect_nothing()


def test_static_entry_wins_over_arp_and_never_expires():
    h, s = host()
    h.iface.add_neighbor(PEER, OTHER_MAC)
    assert kinds(h)[PEER] == "static"
    h.inject(arp(1), arp(2), arp(1, tpa=PEER))
    h.advance(70000)
    h.clear()
    s.send_to(b"x", PEER, 9)
    h.expect("udp", dmac=OTHER_MAC)
    h.iface.remove_neighbor(PEER)
    s.send_to(b"x", PEER, 9)
    h.expect("arp", op=1)


def test_full_cache_makes_room_and_keeps_static_entries():
    h, s = host(neighbors=4)
    h.iface.add_neighbor(OTHER, "02-00-00-00-00-77")
    for i in range(10, 30):
        h.inject(arp(1, spa="192.168.69.%d" % i, sha=bytes([2, 0, 0, 0, 0, i])))
        h.expect("arp", op=2)
        h.advance(10)
    assert len(kinds(h)) <= 4 and kinds(h)[OTHER] == "static"
    s.send_to(b"x", "192.168.69.29", 9)
    h.expect("udp", dmac=bytes([2, 0, 0, 0, 0, 29]))


def made_up(h, first, last):
    """Hosts that there are not ask for us, one after the other."""
    for i in range(first, last):
        h.inject(arp(1, spa="192.168.69.%d" % i, sha=bytes([2, 9, 9, 9, 9, i])))
        h.expect("arp", op=2)


def test_what_is_awaited_is_not_pushed_out():
    h, s = host()
    s.send_to(b"x", PEER, 9)
    h.expect("arp", op=1, tpa=PEER)
    made_up(h, 101, 150)
    h.advance(2500)
    h.clear()
    made_up(h, 101, 150)
    h.inject(arp(2, tha=OUR_MAC))
    h.expect("udp", dmac=PEER_MAC, data=b"x")


def test_a_connection_comes_about_while_hosts_are_made_up():
    # 2,000 a second, and the client's answer takes 5 ms.
    h = Host(neighbor=False)
    t = h.add(TCPSocket(64, 64))
    t.listen(80)
    h.inject(Peer(h, to=80).frame("S", 0, mss=1460))
    h.expect("arp", op=1, tpa=PEER)
    for ms in range(5):
        h.t += 1
        made_up(h, 110 + 2 * ms, 112 + 2 * ms)
    h.inject(arp(2, tha=OUR_MAC))
    h.expect("tcp", flags="SA")


def test_what_is_used_is_not_pushed_out():
    h, s = host()
    t = h.add(TCPSocket(64, 64))
    h.inject(arp(1))
    h.clear()
    for _ in range(8):
        s.send_to(b"x", PEER, 9)
        h.expect("udp", dmac=PEER_MAC)
        h.t += 4000
        made_up(h, 101, 140)
    t.connect(PEER, 80)
    h.expect("tcp", flags="S", dmac=PEER_MAC)
    # But what has not been used for half a minute may be.
    h.advance(10)
    t.abort()
    h.t += 33000
    h.inject(arp(1))
    h.clear()
    made_up(h, 101, 140)
    s.send_to(b"x", PEER, 9)
    h.expect("arp", op=1, tpa=PEER)


def test_each_way_of_sending_is_a_use():
    for way in range(4):
        h, s = host()
        t = h.add(TCPSocket(64, 64))
        i = h.add(ICMPSocket(64, 64))
        far = way == 3
        h.inject(arp(1, spa=GATEWAY, sha=GATEWAY_MAC) if far else arp(1))
        h.clear()
        if way == 0:
            s.send_to(b"x", PEER, 9)
        elif way == 1:
            t.connect(PEER, 80)
        elif way == 2:
            i.send_to(bytes((8, 0, 0, 0, 0, 1, 0, 1)), PEER)
        else:
            s.send_to(b"x", FAR, 9)
        h.run()
        h.clear()
        made_up(h, 101, 140)
        s.send_to(b"y", FAR if far else PEER, 9)
        h.expect("udp", data=b"y", dmac=GATEWAY_MAC if far else PEER_MAC)


def test_a_need_of_ours_takes_what_was_used_longest_ago():
    h, s = host(neighbors=4)
    hosts = ["192.168.69.%d" % i for i in (20, 21, 22, 23, 24)]
    macs = [bytes([2, 0, 0, 0, 0, 20 + i]) for i in range(5)]
    for i in range(5):
        s.send_to(b"x", hosts[i], 9)
        h.expect("arp", op=1, tpa=hosts[i])
        h.inject(arp(2, spa=hosts[i], sha=macs[i], tha=OUR_MAC))
        h.expect("udp", dmac=macs[i])
        h.t += 3000
        s.send_to(b"x", hosts[0], 9)
        h.expect("udp", dmac=macs[0])
    assert sorted(kinds(h)) == sorted(hosts[:1] + hosts[2:]), kinds(h)


def test_an_answer_that_contradicts_another_does_not_win_at_once():
    h, s = host()
    for op in (1, 2):
        h.inject(arp(1))
        h.clear()
        for ms in (0, 1, 400, 598):
            h.t += ms
            h.inject(arp(op, sha=OTHER_MAC, smac=OTHER_MAC, tha=OUR_MAC))
            h.clear()
            s.send_to(b"x", PEER, 9)
            h.expect("udp", dmac=PEER_MAC)
        # What has not been heard of for a second may have moved.
        h.t += 1
        h.inject(arp(op, sha=OTHER_MAC, smac=OTHER_MAC, tha=OUR_MAC))
        h.clear()
        s.send_to(b"x", PEER, 9)
        h.expect("udp", dmac=OTHER_MAC)
        h.t += 1000


def test_the_first_of_two_answers_counts():
    h, s = host()
    s.send_to(b"x", PEER, 9)
    h.expect("arp", op=1)
    h.device.queue.append(arp(2, tha=OUR_MAC))
    h.device.queue.append(arp(2, sha=OTHER_MAC, smac=OTHER_MAC, tha=OUR_MAC))
    h.expect("udp", dmac=PEER_MAC)
    s.send_to(b"x", PEER, 9)
    h.expect("udp", dmac=PEER_MAC)


def test_tcp_connect_resolves_first():
    h = Host(neighbor=False)
    s = h.add(TCPSocket(64, 64))
    s.connect(PEER, 80)
    h.expect("arp", op=1, tpa=PEER)
    h.expect_nothing()
    h.inject(arp(2))
    h.expect("tcp", flags="S", dst=PEER)


def test_echo_reply_needs_no_resolution_of_its_own():
    # The requester's hardware address is at hand; an answer may also ask for it first.
    h, _ = host()
    h.inject(echo())
    p = h.next()
    if p.kind == "arp":
        h.inject(arp(2))
        h.expect("icmp", type=0, dmac=PEER_MAC)
    else:
        assert p.kind == "icmp" and p.type == 0 and p.dmac == PEER_MAC, p


def test_a_neighbor_beyond_the_link_is_behind_the_gateway():
    # One that was on the link of an address that is gone, and one that somebody has entered.
    h, s = host()
    h.iface.gateway = GATEWAY
    h.iface.add_neighbor(GATEWAY, GATEWAY_MAC)
    h.iface.add_address("10.0.0.1/24")
    h.run()
    h.clear()
    h.inject(arp(1, spa=FAR, tpa="10.0.0.1", sha=OTHER_MAC))
    h.expect("arp", op=2)
    s.send_to(b"x", FAR, 9)
    h.expect("udp", dmac=OTHER_MAC)
    h.iface.remove_address("10.0.0.1")
    s.send_to(b"x", FAR, 9)
    h.expect("udp", dmac=GATEWAY_MAC)
    h.iface.add_neighbor("10.0.0.2", OTHER_MAC)
    s.send_to(b"x", "10.0.0.2", 9)
    h.expect("udp", dmac=GATEWAY_MAC)
    h.iface.remove_address(OUR)
    h.iface.gateway = None
    s.bind(6969)
    assert s.send_to(b"x", PEER, 9) == -101


def test_caller_errors():
    h, _ = host()
    i = h.iface
    raises(ValueError, "addr", i.add_neighbor, "300.1.1.1", PEER_MAC)
    raises(ValueError, "mac", i.add_neighbor, PEER, "02-00-00")


def test_our_address_in_anothers_mouth_is_a_conflict_however_near_his_is_to_ours():
    h, _ = host()
    for n, at in enumerate((0, 1, 2, 3, 4, 5)):
        near = bytearray(OUR_MAC)
        near[at] ^= 4
        h.inject(arp(1, spa=OUR, tpa=PEER, sha=bytes(near), smac=PEER_MAC))
        assert h.counter("arp_conflict") == n + 1
    h.inject(arp(1, spa=OUR, tpa=PEER, sha=OUR_MAC, smac=PEER_MAC))
    assert h.counter("arp_conflict") == 6
