"""Edges of the interface: whose turn it is, who is a neighbor, whose place may be taken, when."""

from harness import *
from smolmpy import UDPSocket

UNIT = 1024  # ms: what the cache measures by that nobody has used an entry


class Turns:
    """A socket that counts its turns."""

    def __init__(self):
        self.iface = None
        self.turns = 0

    def _attach(self, iface, slot):
        self.iface = iface
        self._slot = slot

    def _detach(self):
        self.iface = None

    def _egress(self):
        self.turns += 1
        return 0


def test_whoever_is_woken_has_one_turn_and_nobody_else_has():
    from smolmpy.core.schedule import due_by, set_due, wake

    for slots in (1, 3, 16, 17, 32, 33, 40):
        h = Host(sockets=slots)
        sockets = [h.add(Turns()) for _ in range(slots)]
        st = h.iface._st
        for how in (wake, set_due, due_by):
            for slot in range(slots):
                if how is wake:
                    wake(st, slot)
                    assert h.iface.poll_delay(h.now) == 0
                else:
                    how(st, slot, 7)
                    assert h.iface.poll_delay(h.now) == 7
                    h.iface.poll(h.now)
                    h.t += 6
                    h.iface.poll(h.now)
                    assert not any(s.turns for s in sockets)
                    assert h.iface.poll_delay(h.now) == 1
                    h.t += 1
                h.iface.poll(h.now)
                assert [s.turns for s in sockets] == [int(i == slot) for i in range(slots)]
                h.iface.poll(h.now)
                sockets[slot].turns -= 1
                assert not any(s.turns for s in sockets), (slots, slot)
                assert h.iface.poll_delay(h.now) == -1
        # Several at once, each for itself.
        for slot in range(0, slots, 3):
            wake(st, slot)
        h.iface.poll(h.now)
        assert [s.turns for s in sockets] == [int(i % 3 == 0) for i in range(slots)]


def test_the_sooner_of_two_times_counts_wherever_the_clock_wraps():
    from smolmpy.core.schedule import due_by, set_due

    for start in (
        1,
        5,
        (1 << 29) - 12,
        (1 << 29) - 3,
        (1 << 30) - 12,
        (1 << 30) - 9,
        (1 << 30) - 2,
    ):
        for first, second in ((5, 20), (20, 5), (10, 10), (1, 1 << 28), (1 << 28, 1)):
            h = Host(start=start, address=False)
            s, other = h.add(Turns()), h.add(Turns())
            h.run()
            st = h.iface._st
            # Of one socket.
            set_due(st, 0, first)
            due_by(st, 0, second)
            assert h.iface.poll_delay(h.now) == min(first, second)
            # The last word counts.
            set_due(st, 0, first)
            set_due(st, 0, second)
            assert h.iface.poll_delay(h.now) == second
            set_due(st, 0, -1)
            assert h.iface.poll_delay(h.now) == -1
            # Of two.
            set_due(st, 0, first)
            set_due(st, 1, second)
            assert h.iface.poll_delay(h.now) == min(first, second)
            sooner, later = (s, other) if first < second else (other, s)
            h.t += min(first, second) - 1
            h.iface.poll(h.now)
            assert s.turns == other.turns == 0
            h.t += 1
            h.iface.poll(h.now)
            assert sooner.turns == 1 and later.turns == (first == second)
            if first == second:
                continue
            assert h.iface.poll_delay(h.now) == max(first, second) - min(first, second)
            h.t += max(first, second) - min(first, second) - 1
            h.iface.poll(h.now)
            assert later.turns == 0
            h.t += 1
            h.iface.poll(h.now)
            assert (sooner.turns, later.turns) == (1, 1)
            assert h.iface.poll_delay(h.now) == -1


def test_a_time_that_would_be_0_is_1():
    from smolmpy.core.schedule import set_due

    h = Host(start=(1 << 30) - 10, address=False)
    s = h.add(Turns())
    h.run()
    set_due(h.iface._st, 0, 10)
    h.t += 10
    h.iface.poll(h.now)
    assert s.turns == 0 and h.iface.poll_delay(h.now) == 1
    h.t += 1
    h.iface.poll(h.now)
    assert s.turns == 1


def known(h):
    return [n[0] for n in h.iface.neighbors()]


def test_826_who_can_be_a_neighbor():
    """A host on one of our networks: no loopback, no group, no address of a network, not us."""
    for cidr, src, good in (
        ("100.64.0.1/1", "126.255.255.254", True),
        ("100.64.0.1/1", "127.0.0.1", False),
        ("100.64.0.1/1", "127.255.255.255", False),
        ("100.64.0.1/1", "1.0.0.1", True),
        ("100.64.0.1/1", "128.0.0.1", False),
        ("192.0.0.1/1", "128.0.0.1", True),
        ("192.0.0.1/1", "223.255.255.255", True),
        ("192.0.0.1/1", "224.0.0.1", False),
        ("192.0.0.1/1", "255.0.0.1", False),
        ("192.0.0.1/1", "255.255.255.255", False),
        ("192.0.0.1/1", "127.255.255.255", False),
        ("10.0.0.1/31", "10.0.0.0", True),
        ("10.0.0.1/31", "10.0.0.2", False),
        ("10.0.0.1/32", "10.0.0.2", False),
        ("10.0.0.1/24", "10.0.0.255", False),
        ("10.0.0.1/24", "10.0.1.2", False),
        ("10.0.0.1/24", "10.0.0.254", True),
    ):
        h = Host(address=False, neighbor=False)
        h.iface.add_address(cidr)
        h.run()
        h.clear()
        before = h.counter("arp_malformed")
        h.inject(arp(1, spa=src, tpa=cidr.split("/")[0]))
        assert (src in known(h)) == good, (cidr, src)
        assert h.counter("arp_malformed") == before + (not good), (cidr, src)
        assert len(h.device.sent) == good
    # A hardware address of zeros, or of a group, is nobody's.
    for sha in (bytes(6), b"\1\2\3\4\5\6", b"\xff" * 6):
        h = Host(neighbor=False)
        h.inject(arp(1, sha=sha, smac=PEER_MAC))
        assert not known(h) and not h.device.sent
    for sha in (b"\0\0\0\0\0\1", b"\0\0\1\0\0\0", b"\0\1\0\0\0\0", b"\2\0\0\0\0\0"):
        h = Host(neighbor=False)
        h.inject(arp(1, sha=sha))
        assert known(h) == [PEER]


def test_826_each_field_of_the_head_counts():
    good = b"\x00\x01\x08\x00\x06\x04"
    for i in range(6):
        for bit in (1, 2, 4, 8, 16, 32, 64, 128):
            head = bytearray(good)
            head[i] ^= bit
            h = Host(neighbor=False)
            h.inject(arp(1, head=bytes(head)))
            assert h.counter("arp_malformed") == 1 and not known(h)
            h.expect_nothing()
    for op in (0, 3, 4, 255, 256, 257, 258, 513):
        h = Host(neighbor=False)
        h.inject(arp(op))
        assert h.counter("arp_malformed") == 1, op
    for n in range(14, 42):
        h = Host(neighbor=False)
        h.inject(arp(1)[:n])
        assert h.counter("arp_malformed") == 1 and not known(h), n
        h.expect_nothing()


def crowded(idle, age):
    """A cache of four entries that were learned `age` ms ago and used at the last `idle` units."""
    h = Host(start=9 * UNIT, neighbor=False, neighbors=4)
    udp = h.add(UDPSocket(512, 512))
    udp.bind(7)
    hosts = ["192.168.69.%d" % (40 + i) for i in range(4)]
    for ip in hosts:
        h.inject(arp(1, spa=ip))
    h.t += (-h.t) % UNIT
    h.run()
    h.clear()
    # Each is used now.
    for ip in hosts:
        udp.send_to(b"x", addr(ip), 9)
    h.run()
    h.clear()
    h.t += idle * UNIT
    h.run()
    return h, udp, hosts


def test_what_has_not_been_used_lately_makes_room():
    """32 units of 1024 ms after its last use, and not one before."""
    for idle, gone in ((0, False), (1, False), (31, False), (32, True), (33, True)):
        h, udp, hosts = crowded(idle, 0)
        h.inject(arp(1, spa="192.168.69.200"))
        assert ("192.168.69.200" in known(h)) == gone, idle
        assert len(known(h)) == 4
        # The question is answered all the same.
        h.expect("arp", op=2, tpa="192.168.69.200")


def test_of_those_that_are_used_the_one_used_longest_ago_makes_room_for_us():
    h, udp, hosts = crowded(0, 0)
    for i in (2, 0, 3, 1):
        h.t += 2 * UNIT
        udp.send_to(b"x", addr(hosts[i]), 9)
        h.run()
    h.clear()
    h.t += UNIT
    for n, i in enumerate((2, 0, 3)):
        udp.send_to(b"y", addr("192.168.69.%d" % (200 + n)), 9)
        h.run()
        assert hosts[i] not in known(h), (n, known(h))
        h.expect("arp", op=1, tpa="192.168.69.%d" % (200 + n))
        h.inject(arp(2, spa="192.168.69.%d" % (200 + n), tpa=OUR))
        h.expect("udp")


def test_an_answer_is_awaited_for_three_seconds():
    """Then its place is free for others; until then nobody who is made up gets it."""
    for ms, gone in ((2999, False), (3000, True)):
        h = Host(neighbor=False, neighbors=1)
        udp = h.add(UDPSocket(64, 64))
        udp.bind(7)
        udp.send_to(b"x", addr(PEER), 9)
        h.run()
        h.expect("arp", op=1, tpa=PEER)
        # Nobody polls meanwhile, so that it is not asked for again.
        h.t += ms
        h.device.queue.append(arp(1, spa="192.168.69.200"))
        udp.close()
        h.iface.poll(h.now)
        assert ("192.168.69.200" in known(h)) == gone, (ms, known(h))


def test_a_contradiction_waits_for_a_second():
    """Of an entry that is as fresh, only who tells everybody is believed at once."""
    other = b"\x02\x11\x22\x33\x44\x55"
    for changed in (other, PEER_MAC[:5] + b"\x99", b"\x0e" + PEER_MAC[1:]):
        for ms, op, target, wins in (
            (999, 1, OUR, False),
            (999, 2, OUR, False),
            (1000, 1, OUR, True),
            (1000, 2, OUR, True),
            (0, 1, PEER, True),
            (0, 2, PEER, True),
        ):
            h = Host(neighbor=False)
            h.inject(arp(1))
            h.t += ms
            h.inject(arp(op, sha=changed, tpa=target))
            mac = [n for n in h.iface.neighbors() if n[0] == PEER][0][1]
            assert (changed == mac_bytes(mac)) == wins, (ms, op, target, mac)


def mac_bytes(mac):
    if isinstance(mac, str):
        return bytes([int(part, 16) for part in mac.split(":")])
    return bytes(mac)


def test_1122_2_3_2_1_an_entry_is_renewed_before_it_ends():
    """After 45 s, and every 5 s, it is asked for while it is used; after 60 s it is gone."""
    h = Host(neighbor=False)
    udp = h.add(UDPSocket(64, 64))
    udp.bind(7)
    h.inject(arp(1))
    h.clear()
    asked = []
    start = h.t
    while h.t - start < 60000:
        udp.send_to(b"x", addr(PEER), 9)
        h.run()
        while h.device.sent:
            p = h.next()
            if p.kind == "arp":
                asked.append(h.t - start)
                assert p.tpa == PEER and p.dmac == PEER_MAC or p.dmac == BROADCAST_MAC
        h.t += 100
    assert len(asked) == 3 and asked[1] - asked[0] == asked[2] - asked[1] == 5000, asked
    first = asked[0]
    udp.send_to(b"x", addr(PEER), 9)
    h.run()
    h.expect("arp", op=1, tpa=PEER)
    h.expect_nothing()
    # To the millisecond.
    for ms, expected in ((first - 1, 0), (first, 1)):
        h = Host(neighbor=False)
        udp = h.add(UDPSocket(64, 64))
        udp.bind(7)
        h.inject(arp(1))
        h.clear()
        h.t += ms
        udp.send_to(b"x", addr(PEER), 9)
        h.run()
        kinds = [Packet(f).kind for _, f in h.device.sent]
        assert kinds.count("arp") == expected and kinds.count("udp") == 1
    for ms, gone in ((59999, False), (60000, True)):
        h = Host(neighbor=False)
        h.inject(arp(1))
        h.t += ms
        h.run()
        assert (PEER not in known(h)) == gone


# Between them each bit of each byte is once 0 and once 1.
ANY = (
    ("223.255.253.247/8", "223.254.251.239", b"\x02\xff\x01\xfe\x55\xaa"),
    ("1.0.2.8/8", "1.1.4.16", b"\xfe\x00\xfe\x01\xaa\x55"),
    ("85.170.85.171/8", "85.85.170.84", b"\xaa\x55\xaa\x55\xf0\x0f"),
    ("170.85.171.85/8", "170.171.84.170", b"\x56\xaa\x55\xaa\x0f\xf0"),
)


class Sent:
    def __init__(self, h, mac):
        self.h = h
        self.mac = mac

    def __call__(self, kind, **fields):
        self.h.run()
        p = Packet(self.h.device.sent.pop(0)[1])
        assert p.kind == kind and p.smac == self.mac, p
        for name in fields:
            assert getattr(p, name) == fields[name], (name, p)
        return p


def test_every_bit_of_an_address_is_sent():
    for cidr, peer, mac in ANY:
        ours = cidr.split("/")[0]
        for our_mac in (b"\x02\xfe\x01\xff\xaa\x55", b"\xfc\x01\xfe\x00\x55\xaa"):
            h = Host(address=False, neighbor=False)
            h.device = MemoryDevice()
            h.device.clock = h
            h.iface = Interface(h.device, our_mac)
            h.iface.add_address(cidr)
            h.run()

            expect = Sent(h, our_mac)
            expect("arp", op=1, spa=ours, tpa=ours, sha=our_mac, tha=bytes(6))
            udp_socket = h.iface.add(UDPSocket(256, 256))
            udp_socket.bind(0xA55A)
            udp_socket.send_to(b"x", addr(peer), 0x5AA5)
            expect("arp", op=1, spa=ours, tpa=peer, sha=our_mac, dmac=b"\xff" * 6, tha=bytes(6))
            h.device.queue.append(arp(2, spa=peer, tpa=ours, sha=mac, tha=our_mac, dmac=our_mac))
            both = {"src": ours, "dst": peer, "dmac": mac}
            expect("udp", sport=0xA55A, dport=0x5AA5, data=b"x", **both)
            h.device.queue.append(arp(1, spa=peer, tpa=ours, sha=mac))
            expect("arp", op=2, spa=ours, tpa=peer, sha=our_mac, tha=mac, dmac=mac)
            there = {"src": peer, "dst": ours, "smac": mac, "dmac": our_mac}
            h.device.queue.append(echo(0xA55A, 0x5AA5, **there))
            expect("icmp", type=0, rest=b"\xa5\x5a\x5a\xa5", **both)
            h.device.queue.append(udp(0x5AA5, 0xA55B, b"no", **there))
            expect("icmp", type=3, code=3, **both)
            h.device.queue.append(udp(0x5AA5, 0xA55A, b"yes", **there))
            h.run()
            buf = bytearray(8)
            assert udp_socket.recv_into(buf) == 3
            assert text(udp_socket.remote_addr) == peer and text(udp_socket.local_addr) == ours
            assert udp_socket.remote_port == 0x5AA5
            udp_socket.reply(b"again")
            expect("udp", sport=0xA55A, dport=0x5AA5, data=b"again", **both)
            h.device.queue.append(tcp(0x5AA5, 0xA55A, "S", 0xA55A0FF0, **there))
            expect("tcp", flags="RA", ack=0xA55A0FF1, sport=0xA55A, dport=0x5AA5, **both)
            s = h.iface.add(TCPSocket(64, 64))
            s.listen(0xA55A)
            h.device.queue.append(tcp(0x5AA5, 0xA55A, "S", 0x5AA5F00F, **there))
            r = expect("tcp", flags="SA", ack=0x5AA5F010, **both)
            h.device.queue.append(tcp(0x5AA5, 0xA55A, "A", 0x5AA5F010, r.seq + 1 & M32, **there))
            h.run()
            assert text(s.remote_addr) == peer and text(s.local_addr) == ours
            s.send(b"text")
            expect("tcp", seq=r.seq + 1 & M32, ack=0x5AA5F010, data=b"text", **both)
            h.iface.remove(udp_socket)
            h.iface.remove(s)


def test_1071_a_sum_that_carries_twice():
    """The header's checksum, where folding it once leaves more than 16 bits."""
    h = Host(address=False, neighbor=False)
    h.iface.add_address("10.200.77.5/8")
    s = h.add(UDPSocket(256, 256))
    s.bind(7)
    h.run()
    h.clear()
    for n in (0, 3, 100):
        rest = 0x4500 + 28 + n + 0x4000 + (64 << 8 | 17) + 0x0AC8 + 0x4D05
        for high in range(3):
            for low in (0xFFFF, 0xFFFE, 0xFFFD, 0x0000, 0x0001):
                # The peer's address is such that the sum's low half is `low`.
                first = 0x0A00 + 7 * high
                last = (low - rest - first) & 0xFFFF
                peer = "10.%d.%d.%d" % (first & 255, last >> 8, last & 255)
                h.iface.add_neighbor(peer, PEER_MAC)
                s.send_to(bytes(n), addr(peer), 9)
                h.expect("udp", dst=peer)
                h.inject(echo(src=peer, dst="10.200.77.5", data=bytes(n)))
                h.expect("icmp", dst=peer)
                h.iface.remove_neighbor(peer)


def test_timers_of_a_program_that_polls_and_never_asks_when():
    from smolmpy.core.schedule import set_due

    for start in ((1 << 30) - 12, (1 << 30) - 9, (1 << 29) - 12, 77):
        for first, second in ((5, 20), (20, 5), (5, 1 << 28), (7, 7)):
            h = Host(start=start, address=False)
            sockets = [h.add(Turns()), h.add(Turns())]
            st = h.iface._st
            h.iface.poll(h.now)
            for i, ms in ((0, first), (1, second)):
                set_due(st, i, ms)
            for ms in range(1, 25):
                h.t += 1
                h.iface.poll(h.now)
                assert [s.turns for s in sockets] == [int(ms >= first), int(ms >= second)], ms


def test_a_device_that_raises_gives_the_number_that_it_raised():
    from smolmpy.iface.guard import guard

    class Raising:
        error = None

        def receive(self, buf):
            if self.error is not None:
                raise self.error
            return 99

        def transmit(self, buf, length):
            if self.error is not None:
                raise self.error
            return length

    device = Raising()
    receive, transmit = guard(device)
    assert receive(None) == 99 and transmit(None, 7) == 7
    for error, sent, received in (
        (OSError(1), -1, -1),
        (OSError(2), -2, -2),
        (OSError(11), -11, 0),
        (OSError(110, "text"), -110, -110),
        (OSError(), -5, -5),
        (OSError("text"), -5, -5),
        (OSError(0), -5, -5),
        (OSError(-1), -5, -5),
    ):
        device.error = error
        assert transmit(None, 1) == sent and receive(None) == received, error


def test_the_key_is_made_of_the_eight_bytes_that_are_given():
    for seed in (bytes(range(1, 9)), b"\xff\x80\x7f\x01\xaa\x55\xfe\x0f"):
        h = Host(seed=seed)
        st = h.iface._st
        for k in (0, 1):
            assert st[120 + k] == get32(bytes([seed[i] for i in range(k, 8, 2)]), 0)
    assert [Host().iface._st[120] for _ in range(2)] != [h.iface._st[120]] * 2


def test_what_was_never_used_makes_room_at_once():
    for start in (5, 40, 63, 100, 200, 255, 256, 1000):
        h = Host(start=start * UNIT, neighbor=False, neighbors=4)
        for i in range(9):
            ip = "192.168.69.%d" % (40 + i)
            h.inject(arp(1, spa=ip))
            assert ip in known(h), (start, i)
            h.t += 1


def test_ports_whose_low_byte_is_zero_are_ports():
    for there, here in ((256, 7), (7, 256), (256, 512), (1, 65280)):
        h = Host()
        s = h.add(UDPSocket(64, 64))
        s.bind(here)
        h.inject(udp(there, here, b"x"))
        assert recv(s) == b"x" and s.remote_port == there
        t = h.add(TCPSocket(64, 64))
        t.listen(here)
        h.inject(tcp(there, here, "S", 5))
        h.expect("tcp", flags="SA", dport=there, sport=here)
        h.inject(udp(there, here ^ 1, b"x"), tcp(there, here ^ 2, "S", 5))
        h.expect("icmp", type=3, code=3)
        h.expect("tcp", flags="RA")
    for there, here in ((0, 7), (7, 0)):
        h = Host()
        h.inject(udp(there, here, b"x"), tcp(there, here, "S", 5))
        if not here:
            assert h.counter("udp_malformed") == 1
            h.expect_nothing()
        assert h.counter("tcp_malformed") == 1


def test_1122_2_3_2_1_three_questions_and_a_pause_again_and_again():
    h = Host(neighbor=False)
    s = h.add(UDPSocket(64, 64))
    s.bind(7)
    asked = []
    start = h.t
    while h.t - start < 20000:
        s.send_to(b"x", addr(PEER), 9)
        h.run()
        asked += [at - start for at, f in h.device.sent]
        h.clear()
        h.t += 100
    gaps = [asked[i + 1] - asked[i] for i in range(len(asked) - 1)]
    assert len(asked) >= 10
    for i in range(len(gaps)):
        least = 3000 if i % 3 == 2 else 1000
        assert least <= gaps[i] <= least + 400, asked


def test_a_socket_that_is_gone_has_no_turn():
    from smolmpy.core.schedule import set_due

    h = Host()
    s = h.add(Turns())
    set_due(h.iface._st, 0, 500)
    h.iface.remove(s)
    assert h.iface.poll_delay(h.now) == -1
    h.advance(1000)
    other = h.add(Turns())
    h.advance(1000)
    assert s.turns == other.turns == 0


def test_datagrams_where_there_is_no_udp_at_all():
    """A program that never loads UDP: sound ones are answered, others counted."""
    from smolmpy.ip import icmpv4

    h = Host()
    h.iface._handle("udp", icmpv4.closed_port)
    h.inject(udp(5, 7, b"abc"))
    h.expect("icmp", type=3, code=3)
    assert h.counter("udp_no_socket") == 1
    h.inject(udp(5, 7, b"abc", no_csum=True))
    h.expect("icmp", type=3, code=3)
    h.inject(udp(5, 7, b"abc", length=10))  # its end is not its own
    h.expect_nothing()
    assert h.counter("udp_checksum") == 1
    h.inject(udp(5, 7, b"abc", bad_csum=True))
    assert h.counter("udp_checksum") == 2
    for n, length in ((0, 7), (0, 9), (3, 12), (3, 0)):
        before = h.counter("udp_malformed")
        h.inject(udp(5, 7, bytes(n), length=length))
        assert h.counter("udp_malformed") == before + 1, (n, length)
    h.inject(udp(5, 0, b"abc"), ip(b"1234567", 17))
    assert h.counter("udp_malformed") == before + 3
    h.inject(udp(5, 256, b"x"), udp(5, 7, b""))
    for _ in range(2):
        h.expect("icmp", type=3, code=3)
    h.expect_nothing()


def test_of_those_that_are_used_this_moment_one_makes_room_for_us():
    h, s, hosts = crowded(0, 0)
    s.send_to(b"x", addr("192.168.69.200"), 9)
    h.run()
    h.expect("arp", op=1, tpa="192.168.69.200")


def test_an_answer_to_our_question_is_a_use():
    for start in (9, 10):
        for idle, gone in ((31, False), (32, True)):
            h = Host(start=start * UNIT, neighbor=False, neighbors=1)
            s = h.add(UDPSocket(64, 64))
            s.bind(7)
            s.send_to(b"x", addr(PEER), 9)
            h.run()
            s.close()  # nothing is sent after all
            h.inject(arp(2, tha=OUR_MAC))
            assert known(h) == [PEER]
            h.t += idle * UNIT
            h.inject(arp(1, spa="192.168.69.200"))
            assert (known(h) == ["192.168.69.200"]) == gone, (start, idle)


def test_the_key_stays_whatever_is_drawn():
    from smolmpy.core import secret

    h = Host(seed=b"12345678")
    st = h.iface._st
    drawn = set()
    for _ in range(20):
        secret.draw(st)
        drawn.add(st[123])
        assert (st[120], st[121]) == (0x31333537, 0x32343638)
    assert len(drawn) == 20


def test_a_host_without_a_source_of_random_numbers_has_a_key_all_the_same():
    import os

    from smolmpy.core import secret

    if sys.implementation.name != "cpython":
        return "SKIP modules cannot be changed here"
    import random  # noqa: F401, which wants it itself when it is loaded

    urandom = os.urandom
    try:
        del os.urandom
        keys = {bytes(secret._entropy()) for _ in range(8)}
        for i in range(8):
            assert len({key[i] for key in keys}) > 2, i
        assert {len(key) for key in keys} == {8}
    finally:
        os.urandom = urandom


def test_tcp_and_udp_of_the_same_ends_are_apart():
    h, p, s = established()
    u = h.add(UDPSocket(64, 64))
    u.bind(6969)
    for n in range(3):
        h.inject(udp(p.port, 6969, b"datagram%d" % n))
        p.send("A", 1 + 4 * n, 1, b"text")
        h.inject(udp(p.port, 6969, b"again"))
        p.send("A", 1 + 4 * n, 1)
        assert [recv(u), recv(u), recv(s)] == [b"datagram%d" % n, b"again", b"text"]
    assert not u.can_recv()


def test_who_has_no_port_is_not_answered():
    h = Host()
    s = h.add(UDPSocket(64, 64))
    s.bind(7)
    assert s.reply(b"x") == -89
    h.inject(udp(0, 7, b"from nowhere"))
    assert recv(s) == b"from nowhere"
    assert s.reply(b"x") == -89
    h.expect_nothing()


def test_a_message_of_icmp_gets_its_checksum_whatever_stood_there():
    from smolmpy import ICMPSocket

    h = Host()
    s = h.add(ICMPSocket(200, 200))
    s.bind(5)
    for junk in (b"\0\0", b"\xab\xcd", b"\xff\xff", b"\0\1"):
        for n in range(4):
            assert s.send_to(b"\x08\0" + junk + b"\0\5\0\1" + b"data"[:n], PEER) == 8 + n
        assert s.flush() == 4
        for n in range(4):
            h.expect("icmp", type=8, data=b"data"[:n])
    assert s.flush() == 0
