"""Header prediction: a shortcut, which must lead where the long way leads."""

from array import array

from harness import *
from smolmpy import RawSocket, UDPSocket
from smolmpy.link import prediction

try:
    from smolmpy.link.prediction_thumb import predict as assembly
except (ImportError, SyntaxError, AttributeError):
    assembly = None

# What bytes become, besides each of their bits being turned over.
EDGES = (0, 0x45, 0x46, 0x7F, 0xFF)
HEADERS = 34


def never(frame, state, n):
    return 0


def host(predict, others):
    """A host with a UDP socket and a listener that uses one way of prediction."""
    h = Host(seed=b"12345678")
    for cidr in others:
        if cidr is None:
            h.iface.remove_address(OUR)
        else:
            h.iface.add_address(cidr)
    h.run()
    h.clear()
    h.udp = h.add(UDPSocket(256, 256))
    h.udp.bind(7)
    h.tcp = h.add(TCPSocket(64, 64))
    h.tcp.listen(80)
    state, waiting, parts = h.iface._poll_parts
    parts = list(parts)
    at = [i for i in range(len(parts)) if parts[i] in (prediction.predict, assembly)]
    assert len(at) == 1
    parts[at[0]] = predict
    h.iface._poll_parts = (state, waiting, tuple(parts))
    return h


def mended(frame):
    """The frame with a header checksum that is right."""
    frame = bytearray(frame)
    frame[24] = frame[25] = 0
    frame[24:26] = u16(csum(bytes(frame[14:34])))
    return bytes(frame)


def variants():
    """Frames that prediction takes, and what becomes of them when one byte is another."""
    frames = (
        udp(5000, 7, b"some data", smac=PEER_MAC),
        tcp(5001, 80, "S", 1000, 0),
        echo(),
        echo(src="8.8.8.8", smac=GATEWAY_MAC),
        arp(1),
    )
    for frame in frames:
        yield frame
        yield frame[:HEADERS]
        yield frame[: HEADERS - 1]
        yield frame + b"padding"
        for at in range(HEADERS):
            values = [frame[at] ^ (1 << bit) for bit in range(8)]
            values.extend(EDGES)
            for value in values:
                wrong = bytearray(frame)
                wrong[at] = value
                if 14 <= at and frame[12:14] == b"\x08\x00":
                    if value in EDGES:
                        yield bytes(wrong)
                    wrong = mended(wrong)
                yield bytes(wrong)
    # Sources that share their network with us, and must not.
    for src in ("192.168.69.0", "192.168.69.255", OUR, "10.1.2.3", "10.255.255.255", "127.0.0.1"):
        yield echo(src=src)
    # A second and a third address of ours on the same link, and what lies around them.
    for last in (2, 7, 32, 33, 34, 62, 63, 64, 191, 192, 193, 254):
        yield echo(src="192.168.69.%d" % last)
    yield echo(dst="0.0.0.0")
    yield udp(5000, 7, b"data", dst="0.0.0.0")


def compare(predict, *others):
    short = host(predict, others)
    long = host(never, others)
    for frame in variants():
        for h in (short, long):
            h.inject(frame)
            h.udp.recv_into(bytearray(64))
        assert [f for _, f in short.device.sent] == [f for _, f in long.device.sent], frame
        assert short.tally() == long.tally(), (frame, short.counted(long))
        assert short.tcp.state == long.tcp.state, frame
        short.clear()
        long.clear()
        for h in (short, long):
            if h.tcp.state != TCPSocket.LISTEN:
                h.tcp.abort()
                h.tcp.listen(80)
                h.run()
                h.clear()


def compare_all(predict):
    compare(predict)
    compare(predict, "10.1.2.3/8")
    compare(predict, "192.168.69.7/24")
    compare(predict, "192.168.69.33/26", "192.168.69.193/32")
    compare(predict, "10.1.2.3/8", "192.168.69.34/31")
    compare(predict, None)


def test_portable():
    compare_all(prediction.predict)


def test_assembly():
    if assembly is None:
        return "SKIP no inline assembly for this processor"
    compare_all(assembly)


def test_what_is_usual_is_taken():
    for predict in (prediction.predict, assembly):
        if predict is None:
            continue
        h = Host()
        view = h.iface._frame
        for frame, expected in (
            (udp(5000, 7, b"data"), (12 << 8) | 17),
            (tcp(5001, 80, "S", 1000, 0), (20 << 8) | 6),
            (echo(src="8.8.8.8", smac=GATEWAY_MAC), (16 << 8) | 1),
            (arp(1), -1),
        ):
            view[: len(frame)] = frame
            kind = predict(view, h.iface._st, len(frame))
            assert kind == expected, kind
        assert h.counter("ip_rx") == 3


class Waiting(MemoryDevice):
    """A device that says whether a frame waits, and counts the calls."""

    def __init__(self):
        super().__init__()
        self.waiting = array("I", [0])
        self.calls = 0

    def receive(self, buf):
        self.calls += 1
        self.waiting[0] -= 1
        return super().receive(buf)


def test_a_device_that_says_what_waits_is_not_asked_in_vain():
    h = Host()
    device = Waiting()
    device.clock = h
    h.iface.device = h.device = device
    h.iface.poll(h.now)
    assert device.calls == 0
    for _ in range(40):
        device.queue.append(echo())
    device.waiting[0] = 40
    assert h.iface.poll(h.now) == 64
    assert h.iface.poll_delay(h.now) == 0
    assert h.iface.poll(h.now) == 16
    assert device.calls == 40
    assert h.iface.poll_delay(h.now) == -1


def test_what_is_to_be_sent_is_sent_though_no_frame_waits():
    h = Host()
    device = Waiting()
    device.clock = h
    h.iface.device = h.device = device
    h.iface.poll(h.now)
    s = h.add(UDPSocket(64, 64))
    s.bind(7)
    s.send_to(b"x", addr(PEER), 9)
    assert h.iface.poll(h.now) == 1 and device.calls == 0
    h.expect("udp", data=b"x")
    h.iface.add_address("192.168.69.2/24")
    assert h.iface.poll(h.now) == 1
    h.expect("arp", spa="192.168.69.2")
    t = h.add(TCPSocket(64, 64))
    t.connect(PEER, 80)
    assert h.iface.poll(h.now) == 1
    h.expect("tcp", flags="S")
    h.t += 999
    assert h.iface.poll(h.now) == 0
    h.t += 1
    assert h.iface.poll(h.now) == 1
    h.expect("tcp", flags="S")
    assert device.calls == 0


def test_a_raw_socket_that_is_gone_costs_nothing():
    for predict in (prediction.predict, assembly):
        if predict is None:
            continue
        h = Host()
        view = h.iface._frame
        frame = udp(5000, 7, b"data")
        view[: len(frame)] = frame
        s = RawSocket(64, 64, protocol=47)
        for _ in range(3):
            h.add(s)
            assert predict(view, h.iface._st, len(frame)) == 0
            h.iface.remove(s)
            assert predict(view, h.iface._st, len(frame)) == (12 << 8) | 17
