"""UDP sockets: their rings beside a model, who hears what, and what answers leave from."""

from fuzz import Random
from harness import *
from smolmpy import ICMPSocket, RawSocket, UDPSocket

OWN = "203.114.229.173"
SECOND = "10.214.93.7"
THEM = "203.114.229.94"
THEM_MAC = b"\x0e\x95\xca\x6d\xb1\x83"


def odd_host(second=False, **kw):
    h = Host(address=False, neighbor=False, **kw)
    h.iface.add_address(OWN + "/24")
    if second:
        h.iface.add_address(SECOND + "/8")
    h.iface.add_neighbor(THEM, THEM_MAC)
    h.run()
    h.clear()
    return h


def pattern(n, seed):
    return bytes([(i * 41 + seed * 13 + 5) & 255 for i in range(n)])


class Model:
    """A ring of packets, each in one piece: where they lie in `size` bytes, `most` at once."""

    def __init__(self, size, most):
        self.size = size
        self.most = most
        self.held = []  # (begins, ends, what)

    def put(self, n, what):
        """Whether there is room: behind the last one, or else at the beginning."""
        held = self.held
        if len(held) == self.most or n > self.size:
            return False
        at = 0
        if held:
            first, at = held[0][0], held[-1][1]
            if at <= first:
                if n > first - at:
                    return False
            elif n > self.size - at:
                at = 0
                if n > first:
                    return False
        self.held.append((at, at + n, what))
        return True


def test_the_receive_ring_keeps_order_and_bytes():
    """What is taken is what came, in order, whatever the sizes; the rest is counted as full."""
    chance = Random(11)
    for size, most in ((64, 4), (100, 7), (33, 2), (256, 16), (1, 1)):
        h = Host()
        s = h.add(UDPSocket(size, 64, most))
        s.bind(7)
        model = Model(size, most)
        buf = bytearray(size + 8)
        full = 0
        for i in range(250):
            if chance.below(9) < 5:
                n = 1 + chance.below(size + 1 if chance.below(3) else size // 3 + 1)
                data = pattern(n, i)
                h.inject(udp(1000 + i, 7, data))
                if not model.put(n, (1000 + i, data)):
                    full += 1
                assert h.counter("udp_full") == full, (size, most, i, n, model.held)
            elif model.held:
                port, data = model.held.pop(0)[2]
                n = s.recv_into(buf)
                assert n == len(data) and bytes(buf[:n]) == data and s.remote_port == port, i
                if not model.held:
                    assert not s.can_recv()
            else:
                assert s.recv_into(buf) == EAGAIN and not s.can_recv()
        assert full > 10


def test_the_send_ring_keeps_order_and_bytes():
    chance = Random(12)
    for size, most in ((64, 4), (100, 7), (33, 2), (300, 16)):
        h = Host(neighbor=False)
        s = h.add(UDPSocket(64, size, most))
        s.bind(7)
        model = Model(size, most)
        for i in range(200):
            if chance.below(9) < 7:
                n = 1 + chance.below(size + 1 if chance.below(3) else size // 3 + 1)
                data = pattern(n, i)
                want = n if model.put(n, data) else (-90 if n > size else EAGAIN)
                assert s.send_to(data, PEER, 9) == want, (size, most, i, n)
                assert s.can_send() == (len(model.held) < most)
            elif not chance.below(4):
                # Its neighbor is found, and all goes out.
                h.iface.add_neighbor(PEER, PEER_MAC)
                h.run()
                sent = [Packet(f) for _, f in h.device.sent]
                found = [p.data for p in sent if p.kind == "udp"]
                assert found == [x[2] for x in model.held], (size, most, i)
                model.held = []
                h.clear()
                h.iface.remove_neighbor(PEER)


def test_768_every_field_of_a_datagram():
    h = odd_host()
    s = h.add(UDPSocket(2048, 2048))
    s.bind(0xA96B)
    for n in list(range(12)) + [255, 256, 257, 1024, 1471, 1472]:
        data = pattern(n, n)
        assert s.send_to(data, THEM, 0x5CD3) == n
        p = h.expect("udp", src=OWN, dst=THEM, dmac=THEM_MAC, sport=0xA96B, dport=0x5CD3, ttl=64)
        assert p.data == data and p.tos == 0 and len(p.frame) == 42 + n
        assert p.frame[40:42] != b"\0\0"
    assert s.send_to(bytes(1473), THEM, 9) == -90
    for ttl in (1, 2, 128, 255):
        s.hop_limit = ttl
        s.send_to(b"x", THEM, 1)
        h.expect("udp", ttl=ttl)
    for wrong in (0, 256, -1, "x"):
        raises(ValueError, "hop_limit", lambda wrong=wrong: setattr(s, "hop_limit", wrong))


def test_768_a_sum_of_zero_is_sent_as_all_ones():
    """Of answers in place as well, from our address and from one that was asked as a group."""
    h = odd_host()
    s = h.add(UDPSocket(64, 64))
    s.bind(7)
    # The payload that makes the rest of the sum come out at zero: what the sum lacks.
    found = get16(udp(7, 9, b"\x00\x00", src=OWN, dst=THEM), 40)
    assert found and udp(7, 9, u16(found), src=OWN, dst=THEM)[40:42] == b"\xff\xff"
    s.send_to(u16(found), THEM, 9)
    assert h.expect("udp", data=u16(found)).frame[40:42] == b"\xff\xff"
    taken = []

    def handler(socket, payload, n):
        taken.append(n)
        payload[0:2] = memoryview(u16(found))
        return 2

    s.handler = handler
    for to, mac in ((OWN, OUR_MAC), ("255.255.255.255", BROADCAST_MAC)):
        h.inject(udp(9, 7, b"abcd", src=THEM, dst=to, dmac=mac, smac=THEM_MAC))
        p = h.expect("udp", src=OWN, dst=THEM, sport=7, dport=9, data=u16(found), dmac=THEM_MAC)
        assert p.frame[40:42] == b"\xff\xff"
    assert taken == [4, 4]


def test_an_answer_in_place_is_a_datagram_like_any_other():
    h = odd_host(second=True)
    s = h.add(UDPSocket(64, 64))
    s.bind(0xA96B)
    asked = []

    def handler(socket, payload, n):
        asked.append((bytes(payload[:n]), bytes(socket.remote_addr), socket.remote_port))
        asked[-1] += (bytes(socket.local_addr),)
        answer = pattern(size, n)
        payload[:size] = memoryview(answer)
        return size

    s.handler = handler
    broadcast = "203.114.229.255"
    for n, size in ((0, 1), (1, 1), (5, 5), (5, 900), (900, 5), (1472, 1472), (0, 1472), (7, 8)):
        for to, mac in ((OWN, OUR_MAC), (SECOND, OUR_MAC), (broadcast, BROADCAST_MAC)):
            data = pattern(n, 3)
            h.inject(
                udp(0x5CD3, 0xA96B, data, src=THEM, dst=to, dmac=mac, smac=THEM_MAC, tos=0x20)
            )
            assert asked.pop() == (data, addr(THEM), 0x5CD3, addr(to)), (n, to)
            own = SECOND if to == SECOND else OWN
            p = h.expect(
                "udp", src=own, dst=THEM, sport=0xA96B, dport=0x5CD3, dmac=THEM_MAC, ttl=64
            )
            assert p.data == pattern(size, n) and len(p.frame) == 42 + size
    # Port 0 is nobody's, so there is no answer to it.
    for to, mac in ((OWN, OUR_MAC), (broadcast, BROADCAST_MAC)):
        h.inject(udp(0, 0xA96B, b"x", src=THEM, dst=to, dmac=mac, smac=THEM_MAC))
        h.expect_nothing()
    assert h.counter("udp_tx") == 24 and h.counter("udp_rx") == 26


def test_answers_leave_from_the_address_that_was_asked():
    h = odd_host(second=True)
    s = h.add(UDPSocket(256, 256))
    s.bind(7)
    buf = bytearray(8)
    for to, mac, own in (
        (OWN, OUR_MAC, OWN),
        (SECOND, OUR_MAC, SECOND),
        ("255.255.255.255", BROADCAST_MAC, OWN),
        ("203.114.229.255", BROADCAST_MAC, OWN),
        ("10.255.255.255", BROADCAST_MAC, OWN),
        (SECOND, OUR_MAC, SECOND),
        (OWN, OUR_MAC, OWN),
    ):
        for way in (0, 1):
            h.inject(udp(9, 7, b"q", src=THEM, dst=to, dmac=mac, smac=THEM_MAC))
            assert s.recv_into(buf) == 1 and bytes(s.local_addr) == addr(to)
            if way:
                assert s.reply(b"a") == 1
            else:
                assert s.send_to(b"a", s.remote_addr, s.remote_port) == 1
            h.expect("udp", src=own, dst=THEM, sport=7, dport=9, data=b"a")


def test_who_hears_a_datagram():
    """Connected before bound to an address or to any; each bit of a name counts."""
    h = odd_host(second=True, sockets=8)
    h.iface.gateway = THEM
    wide = h.add(UDPSocket(64, 64))
    wide.bind(0xA96B)
    near = h.add(UDPSocket(64, 64))
    near.bind(0x2468, SECOND)
    mine = h.add(UDPSocket(64, 64))
    mine.bind(0x1357)
    mine.connect("10.99.98.97", 0x5CD3)
    fine = h.add(UDPSocket(64, 64))
    fine.bind(0x1357, OWN)

    def heard(f):
        h.inject(f)
        found = [s for s in (wide, near, mine, fine) if s.can_recv()]
        for s in found:
            recv(s)
        h.clear()
        assert len(found) <= 1
        return found[0] if found else None

    own = SECOND  # where packets to 10.99.98.97 leave from
    assert heard(udp(1, 0xA96B, b"x", src=THEM, dst=OWN)) is wide
    assert heard(udp(1, 0xA96B, b"x", src=THEM, dst=SECOND)) is wide
    assert heard(udp(1, 0x2468, b"x", src=THEM, dst=SECOND)) is near
    assert heard(udp(1, 0x2468, b"x", src=THEM, dst=OWN)) is None
    assert heard(udp(0x5CD3, 0x1357, b"x", src="10.99.98.97", dst=own)) is mine
    assert heard(udp(0x5CD3, 0x1357, b"x", src="10.99.98.97", dst=OWN)) is fine
    assert heard(udp(0x5CD3, 0x1357, b"x", src=THEM, dst=SECOND)) is None
    for bit in range(16):
        f = udp(0x5CD3 ^ 1 << bit, 0x1357, b"x", src="10.99.98.97", dst=own)
        assert heard(f) is None, bit
        assert heard(udp(1, 0xA96B ^ 1 << bit, b"x", src=THEM, dst=OWN)) is None, bit
    for bit in range(24):
        src = text(u32(get32(addr("10.99.98.97"), 0) ^ 1 << bit))
        assert heard(udp(0x5CD3, 0x1357, b"x", src=src, dst=own)) is None, bit
    # Twice the same way, then another: what was found last is no shortcut to the wrong one.
    for _ in range(3):
        assert heard(udp(1, 0xA96B, b"x", src=THEM, dst=OWN)) is wide
        assert heard(udp(1, 0xA96B, b"x", src=THEM, dst=OWN)) is wide
        assert heard(udp(1, 0x2468, b"x", src=THEM, dst=SECOND)) is near
        assert heard(udp(1, 0x2468, b"x", src=THEM, dst=OWN)) is None
    wide.close()
    assert heard(udp(1, 0xA96B, b"x", src=THEM, dst=OWN)) is None
    wide.bind(0xA96B)
    assert heard(udp(1, 0xA96B, b"x", src=THEM, dst=OWN)) is wide
    h.iface.remove(near)
    assert heard(udp(1, 0x2468, b"x", src=THEM, dst=SECOND)) is None


def test_an_empty_datagram_takes_a_place_and_no_bytes():
    h = odd_host()
    s = h.add(UDPSocket(8, 8, 3))
    s.bind(7)
    for data in (b"", b"12345678", b""):
        h.inject(udp(9, 7, data, src=THEM, dst=OWN))
    h.inject(udp(9, 7, b"", src=THEM, dst=OWN))
    assert h.counter("udp_full") == 1
    for data in (b"", b"12345678", b""):
        n = s.recv_into(bytearray(8))
        assert n == len(data)
    assert recv(s) == EAGAIN
    h.iface.remove_neighbor(THEM)
    for data in (b"", b"12345678", b""):
        assert s.send_to(data, THEM, 9) == len(data)
    assert s.send_to(b"", THEM, 9) == EAGAIN
    h.iface.add_neighbor(THEM, THEM_MAC)
    h.run()
    h.clear()


def test_many_sockets_are_all_found():
    """Ports that fall into the same chain of the table, and any order of coming and going."""
    h = odd_host(sockets=64)
    chance = Random(5)
    held = {}
    for i in range(400):
        if len(held) < 60 and chance.below(5) < 3:
            port = 1 + chance.below(0xFFFF)
            if chance.below(2):
                port = 128 * (1 + chance.below(200))
            if port not in held:
                s = h.add(UDPSocket(32, 32, 1))
                s.bind(port)
                held[port] = s
        elif held:
            port = sorted(held)[chance.below(len(held))]
            if chance.below(2):
                h.iface.remove(held.pop(port))
            else:
                h.inject(udp(9, port, b"hi", src=THEM, dst=OWN))
                assert recv(held[port]) == b"hi", port
    for port in held:
        h.inject(udp(9, port, b"hi", src=THEM, dst=OWN))
        assert recv(held[port]) == b"hi", port
        raises(OSError, "in use", h.add(UDPSocket(8, 8)).bind, port) if len(held) == 1 else None


def test_ports_that_are_taken():
    h = odd_host(second=True, sockets=8)
    s = h.add(UDPSocket(64, 64))
    t = h.add(UDPSocket(64, 64))
    for mine, other, free in (
        (None, None, False),
        (OWN, None, False),
        (None, OWN, False),
        (OWN, OWN, False),
        (OWN, SECOND, True),
        (SECOND, OWN, True),
    ):
        s.bind(7, mine)
        if free:
            t.bind(7, other)
        else:
            raises(OSError, "7 is in use", t.bind, 7, other)
            assert t.local_port == 0
        t.close()
        s.close()
        assert s.local_port == 0
    raises(OSError, "10.214.93.8", s.bind, 7, "10.214.93.8")
    for _ in range(40):
        s.bind(0)
        assert 49152 <= s.local_port <= 65535
        t.bind(0)
        assert t.local_port != s.local_port
    # The kinds of sockets do not take ports from each other.
    ping = h.add(ICMPSocket(64, 64))
    ping.bind(7)
    s.bind(7)


def test_errors_of_the_way_are_told_once():
    h = odd_host()
    s = h.add(UDPSocket(64, 64))
    s.bind(7)
    h.device.refuse = -5
    assert s.send_to(b"x", THEM, 9) == 1
    h.run()
    assert h.counter("tx_device_errors") == 1 and h.counter("udp_tx") == 0
    assert s.can_recv() and recv(s) == -5 and recv(s) == EAGAIN and not s.can_recv()
    h.device.refuse = 0
    h.expect_nothing()  # it is lost
    # A neighbor that is not found.
    assert s.send_to(b"x", "203.114.229.9", 9) == 1
    h.run()
    h.advance(3999)
    h.clear()
    assert s.send_to(b"x", "203.114.229.9", 9) == 1
    h.advance(5000)
    h.clear()
    assert recv(s) == -113 and recv(s) == EAGAIN
    # Of a raw socket and of ICMP's too.
    r = h.add(RawSocket(64, 64, protocol=99))
    p = h.add(ICMPSocket(64, 64))
    p.bind(7)
    h.device.refuse = -5
    assert r.send(ip(b"12345678", 99, OWN, THEM)[14:]) > 0
    assert p.send_to(b"\x08\0\0\0\0\7\0\1", THEM) > 0
    h.run()
    assert recv(r) == -5 and recv(p) == -5
    assert recv(r) == recv(p) == EAGAIN


def test_closed_and_removed_sockets_have_forgotten_all():
    h = odd_host()
    s = h.add(UDPSocket(64, 64))
    s.bind(7)
    s.connect(THEM, 9)
    h.inject(udp(9, 7, b"late", src=THEM, dst=OWN))
    s.send(b"never")
    s.close()
    h.expect_nothing()
    assert recv(s) == EAGAIN and s.local_port == 0 and s.send(b"x") == -89
    h.inject(udp(9, 7, b"x", src=THEM, dst=OWN))
    h.expect("icmp", type=3, code=3)
    s.bind(8)
    assert s.local_port == 8 and s.send(b"x") == -89
    h.inject(udp(1, 8, b"anyone", src="203.114.229.20", dst=OWN))
    assert recv(s) == b"anyone"
    h.iface.remove(s)
    assert s.iface is None and s.local_port == 0
    raises(OSError, "add", s.send_to, b"x", THEM, 9)
    raises(OSError, "add", s.bind, 7)
    raises(OSError, "add", s.connect, THEM, 7)


def test_buffers_may_be_the_callers():
    rx, tx = bytearray(32), memoryview(bytearray(32))
    h = odd_host()
    s = h.add(UDPSocket(rx, tx, 1))
    s.bind(7)
    h.inject(udp(9, 7, b"into rx", src=THEM, dst=OWN))
    assert bytes(rx[:7]) == b"into rx"
    s.send_to(b"into tx", THEM, 9)
    assert bytes(tx[:7]) == b"into tx"
    for wrong in (0, -1, b"", bytearray(0), "x", None, 1.5):
        raises((ValueError, TypeError), "", UDPSocket, wrong, 16)
        raises((ValueError, TypeError), "", UDPSocket, 16, wrong)
    for packets in (0, -1, 4097, "4", None):
        raises(ValueError, "packets", UDPSocket, 16, 16, packets)
    UDPSocket(16, 16, 4096)


def test_flush_of_one_leaves_the_turn_of_another():
    h = Host(sockets=20)
    sockets = [h.add(UDPSocket(64, 64)) for _ in range(18)]
    for socket in sockets:
        socket.send_to(b"x", PEER, 9)
    for i in (17, 1, 16):
        sockets[i].flush()
    h.run()
    assert len(h.device.sent) == 18


def test_a_socket_that_was_closed_has_all_its_room_again():
    h = Host()
    s = h.add(UDPSocket(64, 64))
    for _ in range(3):
        s.bind(7)
        assert s.send_to(bytes(64), PEER, 9) == 64
        h.expect("udp", data=bytes(64))
        h.inject(udp(5000, 7, bytes(64)))
        assert recv(s) == bytes(64)
        h.inject(udp(5000, 7, b"left"))
        s.send_to(b"left", "192.168.69.77", 9)
        s.close()
        h.run()
        h.clear()


def test_what_was_there_last_is_not_found_by_ports_0_and_1():
    h = Host()
    s = h.add(UDPSocket(64, 64))
    s.bind(7)
    h.inject(udp(5000, 7, b"x"))
    s.close()
    h.iface.remove(s)
    other = h.add(UDPSocket(64, 64))
    other.bind(8)
    h.inject(udp(0, 1, b"y"))
    assert recv(other) == EAGAIN
