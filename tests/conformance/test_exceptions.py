"""What comes out of poll(), and what does not; and that nobody loses anything by it.

An exception in the middle of a poll, of a handler, a callback, Ctrl-C or a device that does not
keep its protocol, leaves frames in the device and turns not taken. The next poll goes on there.
"""

import sys

from harness import *
from smolmpy import ICMPSocket, RawSocket, UDPSocket
from smolmpy.core.schedule import wake

TEXT = b"text to be sent"


class Boom(Exception):
    pass


class FaultyDevice(MemoryDevice):
    """Raises in the nth call of `transmit` and `times - 1` more; likewise in that of `receive`."""

    def __init__(self):
        super().__init__()
        self.what = OSError(5)
        self.at = {"transmit": 0, "receive": 0}
        self.calls = {"transmit": 0, "receive": 0}
        self.times = 1
        self.raised = 0

    def fails(self, what, n, times=1, exception=None):
        self.what = OSError(5) if exception is None else exception
        self.calls[what] = 0
        self.at[what] = n
        self.times = times

    def _perhaps(self, what):
        self.calls[what] += 1
        at = self.at[what]
        if at and at <= self.calls[what] < at + self.times:
            self.raised += 1
            raise self.what

    def transmit(self, buf, length):
        self._perhaps("transmit")
        return super().transmit(buf, length)

    def receive(self, buf):
        self._perhaps("receive")
        return super().receive(buf)


def faulty(**kw):
    h = Host(**kw)
    device = FaultyDevice()
    device.clock = h
    h.iface.device = h.device = device
    return h


class Turn:
    """A socket that has nothing but turns."""

    iface = None

    def __init__(self, exception=None):
        self.exception = exception
        self.turns = 0

    def _attach(self, iface, slot):
        self.iface = iface
        self.wake = lambda: wake(iface._st, slot)

    def _egress(self):
        self.turns += 1
        exception, self.exception = self.exception, None
        if exception is not None:
            raise exception
        return 0


def polled(h, *expected):
    """Polls until nothing is to be done; the exceptions that came out, which may be expected."""
    out = []
    for _ in range(100):
        try:
            h.iface.poll(h.now)
        except expected as e:
            out.append(e)
        if h.iface.poll_delay(h.now) != 0 and not h.device.queue:
            return out
    raise AssertionError("poll_delay stays 0")


# Turns


def test_who_raises_in_its_turn_takes_no_turn_from_others():
    for exception in (Boom(), OSError(5), KeyboardInterrupt()):
        for number in (0, 3, 15, 16, 17, 35):
            h = Host(sockets=40)
            turns = [h.add(Turn(exception if i == number else None)) for i in range(36)]
            udp = h.add(UDPSocket(64, 64))
            udp.send_to(b"x", PEER, 9)
            for turn in turns:
                turn.wake()
            out = polled(h, Boom, OSError, KeyboardInterrupt)
            assert out == [exception], out
            assert min(turn.turns for turn in turns) > 0, [turn.turns for turn in turns]
            h.expect("udp", data=b"x")
            h.expect_idle()


def test_an_exception_keeps_no_address_from_being_announced():
    h = faulty()
    h.iface.add_address("192.168.69.7/24")
    h.iface.add_address("192.168.69.8/24")
    h.device.fails("transmit", 1)
    assert polled(h) == []
    seen = sorted(Packet(f).spa for _, f in h.device.sent)
    assert seen == ["192.168.69.7", "192.168.69.8"], seen


# Handlers and callbacks


def test_what_a_handler_raises_comes_out():
    for exception in (Boom(), OSError(28), OSError(5), KeyboardInterrupt()):
        h = Host()
        s = h.add(UDPSocket(64, 64))
        s.bind(7)

        def handler(socket, payload, n, exception=exception):
            if payload[0] == 33:
                raise exception
            return n

        s.handler = handler
        h.device.queue.extend(udp(5000, 7, data) for data in (b"one", b"!", b"two"))
        h.device.queue.append(echo())
        assert polled(h, type(exception)) == [exception]
        assert [h.expect("udp").data for _ in range(2)] == [b"one", b"two"]
        h.expect("icmp", type=0)
        h.expect_nothing()
        assert h.counter("rx_device_errors") == h.counter("tx_device_errors") == 0


def test_frames_left_in_the_device_are_due_at_once():
    h = Host()
    s = h.add(UDPSocket(64, 64))
    s.bind(7)
    s.handler = lambda socket, payload, n: 1 // (payload[0] - 33)
    h.device.queue.extend((udp(5000, 7, b"!"), echo()))
    try:
        h.iface.poll(h.now)
        raise AssertionError("nothing was raised")
    except ZeroDivisionError:
        pass
    assert h.iface.poll_delay(h.now) == 0
    h.expect("icmp", type=0)


def stream(h, handler):
    s = h.add(TCPSocket(512, 512))
    s.handler = handler
    s.listen(6969)
    p = Peer(h)
    p.send("S", 0, mss=536)
    p.expect("SA", 0, 1)
    p.seq = p.ack = 1
    p.send("A")
    h.clear()
    return p, s


def test_a_handler_of_a_stream_that_raises_is_given_the_rest():
    for exception in (Boom(), OSError(28), KeyboardInterrupt()):
        h = Host()
        seen = []
        raises = [exception]

        def handler(socket, payload, n, exception=exception, seen=seen, raises=raises):
            seen.append(bytes(payload[:n]))
            if raises:
                raise raises.pop()
            return 0

        p, s = stream(h, handler)
        # The second half, and the end, before the first: the handler raises with that.
        h.device.queue.append(p.frame("FA", 101, data=b"b" * 100))
        h.device.queue.append(p.frame("A", 1, data=b"a" * 100))
        assert polled(h, type(exception)) == [exception]
        assert b"".join(seen) == b"a" * 100 + b"b" * 100 and seen[-1] == b"", seen
        assert h.counter("rx_device_errors") == 0
        assert s.state == TCPSocket.CLOSE_WAIT and s.recv_queue == 0


def test_a_handler_that_raises_each_time_gets_each_piece_once():
    h = Host()
    seen = []

    def handler(socket, payload, n):
        seen.append(bytes(payload[:n]))
        raise Boom

    p, s = stream(h, handler)
    h.device.queue.append(p.frame("FA", 1, data=b"text"))
    assert len(polled(h, Boom)) == 2
    assert seen == [b"text", b""], seen


def test_a_callback_of_a_service_that_raises():
    # DHCP gives an address while a datagram waits.
    from test_dhcp import ACK, DISCOVER, OFFER, REQUEST, answer, client, heard

    for exception in (Boom(), OSError(5)):
        left = [exception]

        def on_change(c, left=left):
            if left:
                raise left.pop()

        h, c = client(broadcast=False, probe=0, on_change=on_change)
        h.inject(answer(heard(h, DISCOVER), OFFER))
        m = heard(h, REQUEST)
        h.iface.add_neighbor("192.168.69.9", PEER_MAC)
        h.iface.add_address("192.168.69.50/24")
        s = h.add(UDPSocket(64, 64))
        s.send_to(b"queued", "192.168.69.9", 9)
        h.device.queue.append(answer(m, ACK, dmac=OUR_MAC))
        assert polled(h, type(exception)) == [exception]
        assert c.bound and h.counter("rx_device_errors") == 0
        kinds = [Packet(f) for _, f in h.device.sent]
        assert any(p.kind == "udp" and p.data == b"queued" for p in kinds), kinds
        announced = {p.spa for p in kinds if p.kind == "arp"}
        assert announced == {c.address, "192.168.69.50"}, announced


# Devices


def crowd(h):
    """Everybody who sends, with something to send, and frames that want answers."""
    h.iface.remove_neighbor(GATEWAY)
    ring = h.add(UDPSocket(256, 256))
    ring.bind(1)
    served = h.add(UDPSocket(64, 64))
    served.bind(7)
    served.handler = lambda socket, payload, n: n
    p, tcp_socket = stream(h, None)
    icmp_socket = h.add(ICMPSocket(64, 64))
    raw = h.add(RawSocket(64, 128, protocol=99))
    for _ in range(13):
        h.add(UDPSocket(16, 16))
    later = h.add(UDPSocket(64, 64))
    h.clear()
    h.iface.join_group("224.1.2.3")
    h.iface.add_address("192.168.69.9/24")
    for i in range(3):
        ring.send_to(b"ring%d" % i, PEER, 9)
    later.send_to(b"later", PEER, 9)
    later.send_to(b"routed", FAR, 9)
    icmp_socket.send_to(bytes((8, 0, 0, 0, 0, 1, 0, 1)), PEER)
    raw.send(ip(b"raw", 99, src=OUR, dst=PEER)[14:])
    tcp_socket.send(TEXT)
    h.device.queue.extend(
        (
            arp(1),
            arp(1, spa="192.168.69.200", sha=b"\2\0\0\0\0\xc8"),
            echo(),
            udp(5000, 9999, b"closed"),
            udp(5000, 7, b"served"),
            tcp(5000, 9999, "S", 1),
            p.frame("A", data=b"in order"),
        )
    )
    return p, tcp_socket


def told(frame):
    p = Packet(frame)
    if p.kind == "tcp":
        return p.kind, p.sport, p.flags.replace("P", ""), p.data
    what = {"arp": "op spa tpa", "icmp": "type dst", "udp": "data dst", "ip": "proto payload"}
    return (p.kind,) + tuple(getattr(p, name) for name in what[p.kind].split())


def play(n, what="transmit", times=1, exception=None, expected=()):
    """Has the crowd send to a device that raises; what was sent, the host, what came out."""
    h = faulty(sockets=40)
    p, s = crowd(h)
    h.device.fails(what, n, times, exception)
    out = polled(h, *expected)
    h.calls = dict(h.device.calls)
    h.device.at[what] = 0
    h.inject(arp(2, spa=GATEWAY, sha=GATEWAY_MAC, tha=OUR_MAC))
    h.advance(1500)
    assert recv(s) == b"in order"
    seen = [told(f) for _, f in h.device.sent]
    text = [Packet(f) for _, f in h.device.sent if told(f)[0] == "tcp"]
    text = [q for q in text if q.data]
    assert text and text[0].data == TEXT
    assert (text[0].seq - p.irs) & M32 == 1
    p.send("A", 9, 1 + len(TEXT))
    assert s.send_queue == 0 and s.state == TCPSocket.ESTABLISHED
    return seen, h, out


def missing(usual, seen):
    return set(usual) - set(seen)


def test_a_device_that_raises_in_transmit_costs_a_frame():
    usual, h, _ = play(0)
    count = h.calls["transmit"]
    assert count > 15, count
    for times in (1, 3):
        for n in range(1, count + 1):
            seen, h, _ = play(n, times=times)
            raised = h.device.raised
            assert raised or n > count - 2, n
            assert h.counter("tx_device_errors") == raised, (n, raised)
            assert h.counter("rx_device_errors") == 0
            gone = [item for item in missing(usual, seen) if item[0] != "tcp"]
            assert len(gone) <= raised, (n, gone)


def test_a_device_that_raises_in_receive_costs_nothing():
    usual, h, _ = play(0)
    for times in (1, 3):
        for n in range(1, 8):
            seen, h, _ = play(n, "receive", times=times)
            assert h.counter("rx_device_errors") == h.device.raised == times
            assert h.counter("tx_device_errors") == 0
            assert not missing(usual, seen), (n, missing(usual, seen))


def test_other_exceptions_of_a_device_come_out():
    usual, h, _ = play(0)
    count = h.calls["transmit"]
    for kind in (Boom, KeyboardInterrupt):
        for n in range(1, count + 1):
            exception = kind()
            seen, h, out = play(n, exception=exception, expected=(type(exception),))
            assert out == [exception], (n, out)
            gone = [item for item in missing(usual, seen) if item[0] != "tcp"]
            assert len(gone) <= 1, (n, gone)
        for n in range(1, 8):
            exception = kind()
            seen, h, out = play(n, "receive", exception=exception, expected=(type(exception),))
            assert out == [exception]
            assert not missing(usual, seen), (n, missing(usual, seen))
        assert h.counter("rx_device_errors") == h.counter("tx_device_errors") == 0


def test_what_is_raised_is_an_errno_like_any_other():
    # The first time it may cost a frame more than an errno; from then on it is one.
    for exception, name in ((OSError(5), "errors"), (OSError(), "errors"), (OSError(11), "full")):
        h = faulty()
        s = h.add(UDPSocket(64, 64))
        s.connect(PEER, 9)
        h.device.fails("transmit", 1, 2, exception)
        s.send(b"one")
        polled(h)
        assert s.send(b"two") == 3
        h.iface.poll(h.now)
        if name == "full":
            assert h.iface.poll_delay(h.now) == 1 and h.counter("tx_device_full") == 1
            h.run()
            h.expect("udp", data=b"two")
        else:
            assert s.send(b"three") == -5 and h.counter("tx_device_errors") == 2
        assert s.send(b"four") == 4
        h.expect("udp", data=b"four")
    # Nothing there: no fault.
    h = faulty()
    h.device.fails("receive", 1, 3, OSError(11))
    for _ in range(4):
        h.iface.poll(h.now)
    assert h.counter("rx_device_errors") == 1
    # Another device is taken at its word.
    device = MemoryDevice()
    device.clock = h
    h.iface.device = h.device = device
    h.inject(echo())
    h.expect("icmp", type=0)


def test_flush_lets_out_what_the_device_raises():
    for exception in (OSError(5), KeyboardInterrupt()):
        h = faulty()
        s = h.add(UDPSocket(64, 64))
        t = h.add(UDPSocket(64, 64))
        for text in (b"one", b"two", b"three"):
            s.send_to(text, PEER, 9)
        h.device.fails("transmit", 1, 1, exception)
        try:
            s.flush()
            raise AssertionError("nothing was raised")
        except (OSError, KeyboardInterrupt) as e:
            assert e is exception
        assert h.iface.poll_delay(h.now) == 0
        h.run()
        assert [h.expect("udp").data for _ in range(2)] == [b"two", b"three"]
        # And what a handler raises then is not taken for the device's.
        t.bind(7)
        t.handler = lambda socket, payload, n: raises_(OSError(28))
        h.device.queue.append(udp(5000, 7, b"x"))
        assert len(polled(h, OSError)) == 1


def raises_(exception):
    raise exception


# Ctrl-C


class Interrupt(KeyboardInterrupt):
    pass


def interrupted(poll, at):
    """Raises Interrupt in the nth line of the stack that a poll runs; whether it has so many."""
    left = [at]

    def trace(frame, event, arg):
        name = frame.f_code.co_filename
        if "/smolmpy/" not in name or "/smolmpy/tcp/" in name:
            return None
        if event == "line":
            left[0] -= 1
            if not left[0]:
                raise Interrupt
        return trace

    sys.settrace(trace)
    try:
        poll()
    except Interrupt:
        return True
    finally:
        sys.settrace(None)
    return False


def test_ctrl_c_between_any_two_lines():
    # Machine code is not interrupted, so that can be in the bytecode edition only; and there it
    # tears no more than the packet in hand. (What TCP knows of a connection is many words.)
    if sys.implementation.name != "cpython":
        return "SKIP no trace of lines"
    usual, h, _ = play(0)
    at = 1
    while True:
        h = faulty(sockets=40)
        p, s = crowd(h)
        if not interrupted(lambda h=h: h.iface.poll(h.now), at):
            break
        assert polled(h) == []
        h.inject(arp(2, spa=GATEWAY, sha=GATEWAY_MAC, tha=OUR_MAC))
        p.send("A", 1, 1, b"in order")  # once more, as it has not been acknowledged
        h.advance(1500)
        assert recv(s) == b"in order", at
        gone = missing(usual, [told(f) for _, f in h.device.sent])
        gone = [item for item in gone if item[0] not in ("tcp", "arp")]
        assert len(gone) <= 1, (at, gone)
        p.send("A", 9, 1 + len(TEXT))
        assert s.send_queue == 0 and s.state == TCPSocket.ESTABLISHED
        at += 3
    assert at > 1000, at
