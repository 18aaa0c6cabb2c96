"""Ethernet II: which frames are taken, which are dropped and counted; the device's faults."""

from harness import *
from smolmpy import UDPSocket

GROUP = b"\x01\x00\x5e\x01\x02\x03"
ALL_HOSTS = b"\x01\x00\x5e\x00\x00\x01"


def answered(h, **kw):
    """Whether a datagram in such a frame reaches a socket."""
    s = h.add(UDPSocket(64, 64))
    s.bind(77)
    h.inject(udp(1, 77, b"x", **kw))
    got = recv(s) == b"x"
    h.iface.remove(s)
    return got


def total_dropped(h, before):
    now = h.iface.counters()
    return {k: now[k] - before[k] for k in now if now[k] != before[k]}


def test_unicast_to_us_is_taken():
    assert answered(Host())


def test_broadcast_is_taken():
    h = Host()
    assert answered(h, dmac=BROADCAST_MAC, dst="255.255.255.255")
    assert answered(h, dmac=BROADCAST_MAC, dst="192.168.69.255")


def test_other_unicast_is_dropped_and_counted():
    h = Host()
    before = h.iface.counters()
    for bit in range(48):  # the first one on the wire makes it a group
        near = bytearray(OUR_MAC)
        near[bit >> 3] ^= 1 << (bit & 7)
        assert not answered(h, dmac=bytes(near)), bit
    assert not answered(h, dmac=NO_MAC)
    changes = total_dropped(h, before)
    assert 49 in [changes[k] for k in changes if k not in ("rx_frames", "rx_bytes")], changes


def test_multicast_only_of_accepted_groups():
    h = Host()
    assert not answered(h, dmac=GROUP, dst="224.1.2.3")
    h.iface.add_multicast(GROUP)
    h.inject(arp(1, dmac=GROUP))
    h.expect("arp", op=2)
    h.inject(arp(1, dmac=ALL_HOSTS))
    h.expect("arp", op=2)
    h.iface.remove_multicast(GROUP)
    h.inject(arp(1, dmac=GROUP))
    h.expect_nothing()


def test_802_3_and_vlan_and_unknown_types_are_dropped_and_counted():
    h = Host()
    body = udp(1, 2, b"x")[14:]
    for ethertype in (46, 1500, 1535, 0x8100, 0x88A8, 0x86DD, 0x88CC, 0xFFFF, 0):
        before = h.iface.counters()
        h.inject(eth(body, ethertype))
        h.expect_nothing()
        changes = total_dropped(h, before)
        named = [k for k in changes if k not in ("rx_frames", "rx_bytes")]
        assert named, "type %x is not counted: %s" % (ethertype, changes)


def test_source_address_that_is_a_group_is_dropped():
    h = Host()
    h.inject(echo(smac=BROADCAST_MAC))
    h.inject(echo(smac=ALL_HOSTS))
    h.expect_nothing()


def test_short_frames_are_dropped():
    h = Host()
    frame = echo()
    for n in range(1, len(frame) - 8):
        h.inject(frame[:n])
    h.expect_nothing()


def test_padding_is_ignored():
    h = Host()
    h.inject(echo(data=b"", pad=bytes(range(18))))
    h.expect("icmp", type=0, data=b"")


def test_longest_frame():
    h = Host()
    h.inject(echo(data=bytes(1472)))
    h.expect("icmp", type=0, data=bytes(1472))


def test_oversized_frame_is_dropped_and_counted():
    h = Host()
    before = h.iface.counters()
    h.inject(echo(data=bytes(1480)), echo(data=bytes(3000)))
    h.expect_nothing()
    assert total_dropped(h, before)
    h.inject(echo())
    h.expect("icmp", type=0)


def test_receive_fault_is_counted_and_survived():
    h = Host()
    before = h.iface.counters()
    h.device.fail = -5
    assert h.iface.poll(h.now) >= 0
    assert total_dropped(h, before)
    h.inject(echo())
    h.expect("icmp", type=0)


def test_frame_that_the_device_cannot_take_now_is_sent_later():
    h = Host()
    s = h.add(UDPSocket(256, 256))
    h.device.refuse = EAGAIN
    for c in b"abc":
        s.send_to(bytes([c]), PEER, 9)
    h.run()
    assert not h.device.sent
    h.device.refuse = 0
    h.advance(1000)
    for c in b"abc":
        h.expect("udp", data=bytes([c]))
    h.expect_nothing()


def test_device_without_room_does_not_make_poll_spin():
    h = Host()
    h.device.refuse = EAGAIN
    h.inject(echo())
    for _ in range(20):
        h.iface.poll(h.now)


def test_transmit_fault_loses_the_frame_and_is_counted():
    h = Host()
    s = h.add(UDPSocket(256, 256))
    before = h.iface.counters()
    h.device.refuse = -5
    s.send_to(b"a", PEER, 9)
    h.iface.poll(h.now)
    h.device.refuse = 0
    assert total_dropped(h, before)
    h.advance(1000)
    h.clear()
    s.send_to(b"b", PEER, 9)
    h.expect("udp", data=b"b")


def test_poll_has_a_budget():
    # A flood may not keep `poll` from returning, nor starve what is sent.
    class Endless:
        mtu = 1500
        frame = echo()
        sent = 0

        def receive(self, buf):
            buf[: len(self.frame)] = self.frame
            return len(self.frame)

        def transmit(self, buf, n):
            self.sent += 1
            return 0

    d = Endless()
    i = Interface(d, OUR_MAC)
    i.add_address(OUR + "/24")
    i.add_neighbor(PEER, PEER_MAC)
    for now in range(20):
        assert 0 < i.poll(now) < 1000
    assert d.sent >= 20


def test_small_mtu_device():
    h = Host(mtu=576)
    assert h.iface.mtu == 576
    h.inject(echo(data=bytes(548)))
    h.expect("icmp", type=0, data=bytes(548))


def test_interface_arguments():
    d = MemoryDevice()
    for mac in ("02-b9-d5-8e-73-e1", "02:B9:D5:8E:73:E1", OUR_MAC):
        assert bytes(Interface(d, mac).mac) == OUR_MAC
    for mac in (NO_MAC, BROADCAST_MAC, ALL_HOSTS, b"\x02\x00", "02-00-00-00-00", "zz"):
        raises(ValueError, "mac", Interface, d, mac)


def test_socket_table_is_bounded():
    h = Host(sockets=2)
    a = h.add(UDPSocket(64, 64))
    h.add(UDPSocket(64, 64))
    raises(OSError, "", h.add, UDPSocket(64, 64))
    h.iface.remove(a)
    h.add(UDPSocket(64, 64))


def test_a_source_that_is_nearly_ours_is_taken():
    """On the long way too, which packets with options go."""
    h = Host()
    for bit in range(1, 48):
        near = bytearray(OUR_MAC)
        near[bit >> 3] ^= 1 << (bit & 7)
        for options in (b"", b"\x01\x01\x01\x00"):
            h.inject(echo(smac=bytes(near), options=options))
            h.expect("icmp", type=0, dmac=bytes(near))
    assert h.counter("eth_source") == 0
    h.inject(echo(smac=OUR_MAC, options=b"\x01\x01\x01\x00"))
    assert h.counter("eth_source") == 1
