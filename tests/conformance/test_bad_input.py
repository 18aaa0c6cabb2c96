"""Bad input: dropped, counted by its reason, and nobody else is disturbed."""

from harness import *
from smolmpy import UDPSocket


class Witness:
    """A host with a live connection and a UDP socket, untouched by what is injected."""

    def __init__(self):
        self.h, self.p, self.s = established(ack_delay=0)
        self.u = self.h.add(UDPSocket(256, 256))
        self.u.bind(77)
        self.at = 1

    def drops(self, frame, *reasons):
        """The frame is answered by nothing and raises exactly one of these counters by one."""
        h = self.h
        before = h.iface.counters()
        h.inject(frame)
        h.expect_nothing()
        after = h.iface.counters()
        changed = {k: after[k] - before[k] for k in after if after[k] != before[k]}
        got = [k for k in reasons if changed.get(k) == 1]
        assert len(got) == 1, "expected one of %s, got %s" % (reasons, changed)
        assert self.u.recv_into(bytearray(8)) == EAGAIN
        assert self.s.recv_queue == 0

    def check(self):
        """The connection and the socket still work."""
        self.h.clear()
        self.p.send("A", self.at, self.at, b"ok")
        self.p.expect("A", self.at, self.at + 2)
        assert recv(self.s) == b"ok"
        assert self.s.send(b"ok") == 2
        self.p.expect("A", self.at, self.at + 2, b"ok")
        self.at += 2
        self.p.send("A", self.at, self.at)
        self.h.inject(udp(1, 77, b"ok"))
        assert recv(self.u) == b"ok"
        self.h.expect_nothing()


def test_runts():
    w = Witness()
    for n in range(1, 14):
        w.drops(echo()[:n], "eth_runt")
    w.check()


def test_truncated_ip():
    w = Witness()
    for f in (echo(), udp(1, 77, b"x"), tcp(1, 6969, "S")):
        for n in range(14, len(f)):
            w.drops(f[:n], "ip_malformed")
    w.check()


def test_ip_header():
    w = Witness()
    for kw, reason in (
        ({"version": 6}, "ip_malformed"),
        ({"version": 0}, "ip_malformed"),
        ({"ihl": 4}, "ip_malformed"),
        ({"ihl": 0}, "ip_malformed"),
        ({"ihl": 15}, "ip_malformed"),
        ({"total": 0}, "ip_malformed"),
        ({"total": 10}, "ip_malformed"),
        ({"total": 19}, "ip_malformed"),
        ({"total": 1000}, "ip_malformed"),
        ({"total": 65535}, "ip_malformed"),
        ({"bad_ip": True}, "ip_checksum"),
        ({"src": OUR}, "ip_source"),
        ({"src": "255.255.255.255"}, "ip_source"),
        ({"src": "224.0.0.5"}, "ip_source"),
        ({"src": "192.168.69.255"}, "ip_source"),
        ({"src": "127.0.0.1"}, "ip_source"),
        ({"dst": "192.168.69.2"}, "ip_not_for_us"),
        ({"dst": "0.0.0.0"}, "ip_not_for_us"),
        ({"frag": 0x2000}, "ip_fragment"),
        ({"frag": 1}, "ip_fragment"),
    ):
        w.drops(udp(1, 77, b"x", **kw), reason)
        w.drops(echo(**kw), reason)
    w.check()


def test_ip_header_alone():
    w = Witness()
    w.drops(ip(b"", 1), "icmp_malformed")
    w.drops(ip(b"", 17), "udp_malformed")
    w.drops(ip(b"", 6), "tcp_malformed")
    w.check()


def test_icmp():
    w = Witness()
    for n in range(1, 8):
        w.drops(ip(echo()[34 : 34 + n], 1), "icmp_malformed", "icmp_checksum")
    w.drops(echo(bad_csum=True), "icmp_checksum")
    w.drops(icmp(99), "icmp_ignored")
    w.drops(echo(kind=0), "icmp_ignored")
    for n in range(28):
        w.drops(
            icmp(3, 3, data=udp(77, 1, b"x" * 9)[14 : 14 + n]), "icmp_malformed", "icmp_ignored"
        )
    w.check()


def test_udp():
    w = Witness()
    w.drops(udp(1, 77, b"x", bad_csum=True), "udp_checksum")
    for length in (0, 7, 10, 1000):
        w.drops(udp(1, 77, b"x", length=length), "udp_malformed")
    for n in range(1, 8):
        w.drops(ip(udp(1, 77)[34 : 34 + n], 17), "udp_malformed")
    w.check()


def test_tcp():
    w = Witness()
    w.drops(tcp(1, 6969, "S", bad_csum=True), "tcp_checksum")
    w.drops(w.p.frame("A", 1, 1, b"evil", bad_csum=True), "tcp_checksum")
    w.drops(w.p.frame("R", 1, bad_csum=True), "tcp_checksum")
    for offset in (0, 1, 2, 3, 4, 6, 15):
        w.drops(w.p.frame("A", 1, 1, offset=offset), "tcp_malformed")
    for n in range(1, 20):
        w.drops(ip(tcp(1, 6969, "S")[34 : 34 + n], 6), "tcp_malformed")
    w.drops(tcp(0, 6969, "S"), "tcp_malformed")
    w.drops(tcp(1, 0, "S"), "tcp_malformed")
    w.check()


def test_ethernet_types():
    w = Witness()
    w.drops(eth(bytes(46), 46), "eth_802_3")
    w.drops(eth(bytes(46), 1500), "eth_802_3")
    w.drops(eth(bytes(46), 0x8100), "eth_vlan")
    w.drops(eth(bytes(46), 0x88A8), "eth_vlan")
    w.drops(eth(bytes(46), 0x86DD), "eth_type")
    w.drops(echo(dmac=b"\x02\x00\x00\x00\x00\x99"), "eth_not_for_us")
    w.drops(echo(smac=BROADCAST_MAC), "eth_source")
    w.drops(echo(smac=OUR_MAC), "eth_source")
    w.check()


def test_arp():
    w = Witness()
    for n in range(14, 42):
        w.drops(arp(1)[:n], "arp_malformed")
    for i in range(6):
        head = bytearray(b"\x00\x01\x08\x00\x06\x04")
        head[i] ^= 0x10
        w.drops(arp(1, head=bytes(head)), "arp_malformed")
    w.drops(arp(1, spa=OUR, tpa=OUR), "arp_conflict")
    w.check()


def test_oversize():
    w = Witness()
    w.drops(echo(data=bytes(1473)), "rx_oversize")
    w.check()


def test_zero_length_everything():
    w = Witness()
    w.h.inject(b"\x00" * 14, b"\x00" * 60, OUR_MAC + bytes(54), eth(b""), eth(b"", 0x0806))
    w.h.inject(eth(bytes(60)), eth(bytes(60), 0x0806), eth(b"\xff" * 60), eth(b"\xff" * 60, 0x806))
    w.h.expect_nothing()
    w.check()


def test_land():
    w = Witness()
    w.drops(tcp(6969, 6969, "S", src=OUR), "ip_source")
    w.drops(udp(77, 77, src=OUR), "ip_source")
    w.check()


def test_flag_mixes():
    # All 64 (and the two of ECN) in every combination, to the connection and to a closed port.
    w = Witness()
    for bits in range(256):
        flags = "".join(f for i, f in enumerate(FLAGS) if bits >> i & 1)
        if "R" in flags:
            w.p.send(flags, 0x10000)
        elif "F" in flags:
            w.p.send(flags, -5000, 1)
        else:
            w.p.send(flags, -5000, 1, b"x")
        w.h.inject(tcp(9, 9, flags, 5, 6))
        assert w.s.state == TCPSocket.ESTABLISHED, flags
        for at, f in w.h.device.sent:
            Packet(f)
        w.h.clear()
    # RFC 5961 leaves a limit on challenge ACKs; it is over after a while.
    w.h.advance(10000)
    w.check()


def test_flag_mixes_at_a_listener():
    h, s = listener()
    for bits in range(64):
        flags = "".join(f for i, f in enumerate(FLAGS) if bits >> i & 1)
        p = Peer(h, port=1000 + bits)
        p.send(flags, 5, 6)
        for at, f in h.device.sent:
            q = Packet(f)
            assert "R" in q.flags or ("S" in flags and q.flags == "SA"), (flags, q)
            assert "R" not in flags, flags
            if q.flags == "SA":
                p.irs = q.seq
                p.send("R", 6)
        h.clear()
        if s.state != TCPSocket.LISTEN:
            s.abort()
            s.listen(6969)
            h.run()
            h.clear()


def test_reserved_bits_are_ignored():
    w = Witness()
    w.p.send("A", 1, 1, b"x", reserved=0xE)
    assert recv(w.s) == b"x"


def test_every_single_bit_flipped():
    # In a segment that would reset, one that would close, and one with data.
    w = Witness()
    for frame in (w.p.frame("A", 1, 1, b"evil"), w.p.frame("FA", 1, 1)):
        for bit in range(14 * 8, len(frame) * 8):
            bad = bytearray(frame)
            bad[bit >> 3] ^= 1 << (bit & 7)
            w.h.inject(bytes(bad))
            for at, f in w.h.device.sent:
                Packet(f)
            w.h.clear()
            assert w.s.recv_queue == 0 and w.s.state == TCPSocket.ESTABLISHED, bit
    w.check()
