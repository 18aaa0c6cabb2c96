"""Whose turn it is, and when: timers at their very millisecond, rounds that end, full devices."""

from harness import *
from smolmpy import ICMPSocket, RawSocket, TCPSocket, UDPSocket


def senders(h, n, packets=4):
    found = []
    for i in range(n):
        s = h.add(UDPSocket(64, 256, packets))
        s.bind(1000 + i)
        found.append(s)
    return found


def test_a_full_device_is_no_reason_to_poll_when_nobody_waits_for_it():
    h = Host()
    h.device.refuse = EAGAIN
    h.inject(echo())  # whose answer is lost
    assert h.counter("tx_device_full") == 1
    assert h.iface.poll_delay(h.now) == -1
    s = senders(h, 1)[0]
    s.send_to(b"x", PEER, 9)
    h.run()
    assert h.iface.poll_delay(h.now) == 1
    s.close()
    h.advance(1)
    assert h.iface.poll_delay(h.now) == -1
    h.device.refuse = 0
    h.expect_idle()


def test_a_full_device_keeps_each_sender_and_the_order():
    for count in (1, 2, 16, 17, 33):
        h = Host(sockets=40)
        found = senders(h, count)
        h.device.refuse = EAGAIN
        for s in found:
            s.send_to(b"first", PEER, 9)
            s.send_to(b"second", PEER, 9)
        h.run()
        assert not h.device.sent
        h.device.refuse = 0
        h.advance(1)
        sent = [Packet(f) for _, f in h.device.sent]
        h.clear()
        for i in range(count):
            mine = [p.data for p in sent if p.sport == 1000 + i]
            assert mine == [b"first", b"second"], (count, i, mine)
        assert h.counter("udp_tx") == 2 * count
        h.expect_idle()


class Narrow(MemoryDevice):
    """Has room for so many frames between two polls."""

    room = 0

    def receive(self, buf):
        return 0

    def transmit(self, buf, length):
        if not self.room:
            return EAGAIN
        self.room -= 1
        return MemoryDevice.transmit(self, buf, length)


def test_a_device_with_room_for_some_takes_turns():
    for room in (1, 2, 5):
        h = Host(sockets=40)
        found = senders(h, 20)
        device = Narrow()
        h.iface.device = device
        for s in found:
            for i in range(3):
                assert s.send_to(bytes([i]), PEER, 9) == 1
        polls = 0
        while len(device.sent) < 60:
            device.room = room
            h.iface.poll(h.now)
            polls += 1
            assert polls < 100
        assert polls <= 60 // room + 2, (room, polls)
        seen = {}
        for _, f in device.sent:
            p = Packet(f)
            seen.setdefault(p.sport, []).append(p.data[0])
        assert seen == {1000 + i: [0, 1, 2] for i in range(20)}
        assert h.counter("udp_tx") == h.counter("tx_frames") - 1 == 60  # one announced the address


def test_timers_come_at_their_millisecond_and_not_before():
    """A retransmission of TCP, an ARP retry: poll_delay() says when, and then it is done."""
    for start in (
        0,
        5,
        (1 << 30) - 1001,
        (1 << 30) - 999,
        (1 << 30) - 1,
        1 << 29,
        (1 << 29) - 1000,
    ):
        h = Host(start=start, neighbor=False)
        s = senders(h, 1)[0]
        s.send_to(b"x", PEER, 9)
        h.expect("arp", op=1, tpa=PEER)
        assert h.iface.poll_delay(h.now) == 1000, start
        h.t += 999
        h.expect_nothing()
        assert h.iface.poll_delay(h.now) == 1, start
        h.t += 1
        assert h.iface.poll_delay(h.now) == 0, start
        h.expect("arp", op=1, tpa=PEER)
        h.expect_nothing()
        assert h.iface.poll_delay(h.now) == 1000, start


def test_a_poll_that_comes_late_does_what_was_due():
    h = Host(neighbor=False)
    found = senders(h, 3)
    for i in range(3):
        found[i].send_to(b"x", "192.168.69.%d" % (50 + i), 9)
        h.expect("arp", op=1)
        h.t += 100
    h.t += 5000
    assert h.iface.poll_delay(h.now) == 0
    h.run()
    assert len(h.device.sent) == 3
    h.clear()
    assert h.iface.poll_delay(h.now) == 1000


def test_the_earliest_of_many_timers_is_the_next():
    """Sockets whose times lie in any order, some of them put off or taken away."""
    h = Host(neighbor=False, sockets=40, neighbors=64)
    found = senders(h, 20)
    times = {}
    for i in (7, 3, 19, 0, 11, 16, 15, 2):
        found[i].send_to(b"x", "192.168.69.%d" % (50 + i), 9)
        h.expect("arp", tpa="192.168.69.%d" % (50 + i))
        times[i] = h.t + 1000
        h.t += 37
        assert h.iface.poll_delay(h.now) == min(times.values()) - h.t
    for i in (7, 19, 2):
        found[i].close()
        h.iface.remove(found[i])
        del times[i]
    while h.t < 1600:
        delay = h.iface.poll_delay(h.now)
        assert delay <= min(times.values()) - h.t
        h.t += delay
        h.run()
        for at, f in h.device.sent:
            i = int(Packet(f).tpa.split(".")[3]) - 50
            assert times[i] == at, (i, times[i], at)
            times[i] = at + 1000
        h.clear()


def test_poll_counts_frames_both_ways():
    h = Host()
    found = senders(h, 2)
    assert h.iface.poll(h.now) == 0
    h.device.queue += [echo(), echo(), udp(9, 1000, b"x"), arp(1, tpa=PEER)]
    assert h.iface.poll(h.now) == 6
    found[0].send_to(b"x", PEER, 9)
    found[1].send_to(b"x", PEER, 9)
    found[1].send_to(b"x", PEER, 9)
    assert h.iface.poll(h.now) == 3
    assert found[0].flush() == 0
    found[0].send_to(b"x", PEER, 9)
    found[0].send_to(b"x", PEER, 9)
    assert found[0].flush() == 2
    assert h.iface.poll(h.now) == 0


def test_at_most_32_frames_a_poll():
    h = Host()
    h.device.queue += [echo(seq=i) for i in range(100)]
    left = []
    while h.device.queue:
        h.iface.poll(h.now)
        left.append(len(h.device.queue))
        assert h.iface.poll_delay(h.now) == (0 if left[-1] else -1) or left[-1] == 0
    assert left == [68, 36, 4, 0]
    # Exactly as many as that: the next poll finds that there are no more.
    h.device.queue += [echo(seq=i) for i in range(32)]
    assert h.iface.poll(h.now) == 64
    h.iface.poll(h.now)
    assert h.iface.poll_delay(h.now) == -1


def test_whoever_waits_for_a_neighbor_goes_on_when_it_is_found():
    """Whatever slot it is in, and whichever kind of socket it is."""
    h = Host(neighbor=False, sockets=40)
    found = senders(h, 33)
    raw = h.add(RawSocket(256, 256, protocol=99))
    ping = h.add(ICMPSocket(256, 256))
    ping.bind(7)
    tcp_socket = h.add(TCPSocket(256, 256))
    waiting = [found[0], found[15], found[16], found[31], found[32]]
    for s in waiting:
        s.send_to(b"x", PEER, 9)
    tcp_socket.connect(PEER, 9)
    ping.send_to(b"\x08\x00\x00\x00\x00\x07\x00\x01abcdefgh", PEER)
    raw.send(ip(b"12345678", 99, OUR, PEER)[14:])
    h.expect("arp", op=1, tpa=PEER)
    h.expect_nothing()
    h.inject(arp(2))
    kinds = [Packet(f).kind for _, f in h.device.sent]
    assert kinds.count("udp") == 5 and kinds.count("tcp") == 1, kinds
    assert kinds.count("icmp") == 1 and kinds.count("ip") == 1, kinds
    assert [p.sport for p in [Packet(f) for _, f in h.device.sent] if p.kind == "udp"] == [
        1000,
        1015,
        1016,
        1031,
        1032,
    ]


def test_the_clock_may_wrap_where_it_likes():
    """2^30, 2^31, 2^32, or any power of two above: time goes on."""
    for bits in (30, 31, 32, 40):
        h = Host(start=(1 << bits) - 1500, wrap=1 << bits, neighbor=False)
        s = senders(h, 1)[0]
        s.send_to(b"x", PEER, 9)
        times = []
        while len(times) < 3:
            h.advance(100)
            for at, f in h.device.sent:
                times.append(at)
            h.clear()
        assert times[1] - times[0] == times[2] - times[1] == 1000, (bits, times)
