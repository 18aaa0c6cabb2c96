"""Buffers of the program: what is read-only is refused, and what is counted is bytes."""

from array import array

from harness import *
from locked import LOCKS, under_lock
from smolmpy import ICMPSocket, RawSocket, UDPSocket

TEXT = b"abcdefghijkl"


def pairs():
    """(name, what the peer sends again and again, the socket that gets it) of each kind."""
    h, p, s = established()

    def text():
        p.send("PA", data=TEXT)
        p.seq += len(TEXT)

    yield "tcp", text, s
    h = Host()
    s = h.add(UDPSocket(256, 256))
    s.bind(6969)
    yield "udp", lambda: h.inject(udp(5000, 6969, TEXT)), s
    s = h.add(ICMPSocket(256, 256))
    s.bind(9)
    yield "icmp", lambda: h.inject(icmp(0, 0, b"\0\x09\0\1", TEXT)), s
    s = h.add(RawSocket(256, 256, protocol=47))
    yield "raw", lambda: h.inject(ip(TEXT, 47)), s


def waiting(s):
    return s.recv_queue if hasattr(s, "recv_queue") else s.can_recv()


def calls(s):
    """The ways to receive into a buffer."""
    yield s.recv_into
    if hasattr(s, "recv_slice"):
        yield lambda buf: s.recv_into(buf, 4)
        yield lambda buf: s.recv_slice(buf, 4)


def test_read_only_buffers_are_refused():
    class Other:
        def __len__(self):
            return 16

        def __setitem__(self, i, value):
            raise AssertionError("written to")

    literal, text = b"a literal here..", "and a text here."
    numbers = [1, 2, 3, 4]
    for name, send, s in pairs():
        send()
        before = waiting(s)
        for buf in (
            literal,
            text,
            memoryview(literal),
            numbers,
            (1, 2, 3, 4),
            {},
            None,
            9,
            Other(),
        ):
            for call in calls(s):
                e = raises(TypeError, "buf", call, buf)
                assert "writable" in str(e), (name, e)
        assert waiting(s) == before, name
        assert literal == b"a literal here.." and text == "and a text here."
        assert numbers == [1, 2, 3, 4]
        assert len(recv(s)) >= len(TEXT), name


def test_what_is_refused_has_changed_nothing_even_where_nothing_waits():
    for _, _, s in pairs():
        for call in calls(s):
            raises(TypeError, "buf", call, b"x")
            assert call(bytearray(1)) == EAGAIN


def whole(s, send):
    """What a socket receives when `send` is called, at least: its last twelve bytes differ."""
    send()
    return recv(s)


def test_arrays_have_the_size_of_their_bytes():
    for name, send, s in pairs():
        size = len(whole(s, send))
        for code, count in (("B", 40), ("b", 40), ("H", 20), ("I", 10)):
            for view in (False, True):
                words = array(code, [0] * count)
                buf = memoryview(words) if view else words
                wanted = whole(s, send)
                send()
                assert s.recv_into(buf) == size, (name, code, view)
                assert bytes(words)[:size] == wanted and not any(bytes(words)[size:]), (name, code)
        if name == "tcp":
            for call in (s.recv_into, s.recv_slice):
                send()
                words = array("I", [0, 0xFFFFFFFF])
                # 6 bytes are one item and a half.
                assert call(words, 6) == 6
                assert bytes(words) == TEXT[:6] + b"\xff\xff"
                assert call(words, 99) == 6
                assert s.recv_slice(words, -1) == -22
                raises(ValueError, "n must", s.recv_into, words, -1)
                assert bytes(words) == TEXT[6:] + b"\xff\xff"
        else:
            # What does not fit is cut off, and the length says so.
            words = array("H", [0, 0, 0xFFFF])
            wanted = whole(s, send)
            send()
            assert s.recv_into(memoryview(words)[:2]) == size
            assert bytes(words) == wanted[:4] + b"\xff\xff"


def test_the_ring_wraps_within_an_array():
    h, p, s = established(rx=10)
    p.send("PA", data=b"0123456")
    assert recv(s) == b"0123456"
    h.run()  # which tells the peer that there is room again
    p.seq += 7
    p.send("PA", data=b"abcdefg")
    words = array("H", [0] * 4)
    assert s.recv_into(words) == 7
    assert bytes(words) == b"abcdefg\0"


def test_views_and_subclasses():
    class Mine(bytearray):
        pass

    for name, send, s in pairs():
        wanted = whole(s, send)
        for buf in (memoryview(bytearray(64)), Mine(bytes(64)), memoryview(bytearray(80))[8:72]):
            send()
            assert s.recv_into(buf) == len(wanted), name
            assert bytes(buf)[: len(wanted)] == wanted, name


def sent():
    """(name, call to send with, the bytes that leave) of each kind."""
    h, p, s = established()

    def tcp_bytes():
        got = p.expect().data
        p.ack += len(got)
        p.send("A")
        return got

    yield "tcp", s.send, tcp_bytes
    yield "tcp", lambda buf: s.send_slice(buf, 999), tcp_bytes
    h = Host()
    s = h.add(UDPSocket(256, 256))
    s.bind(6969)
    where = addr(PEER)
    yield "udp", lambda buf: s.send_to(buf, where, 7), lambda: h.expect("udp").data
    h.inject(udp(5000, 6969))
    s.recv_into(bytearray(1))
    yield "udp", s.reply, lambda: h.expect("udp").data
    s.connect(PEER, 7)
    yield "udp", s.send, lambda: h.expect("udp").data


def test_arrays_and_text_are_sent_as_their_bytes():
    for name, send, leaves in sent():
        for buf in (
            array("H", [1, 2, 0x4142]),
            array("I", [1, 0xFFFFFFFF]),
            array("b", [-1, 5]),
            memoryview(array("H", [7, 8, 9]))[1:],
            memoryview(b"a view"),
            memoryview(bytearray(b"another"))[2:],
            bytearray(b"usual"),
            b"bytes",
        ):
            n = send(buf)
            assert n == len(bytes(buf)), (name, buf, n)
            assert leaves() == bytes(buf), (name, buf)
        assert send("h\xe9") == 3, name
        assert leaves() == b"h\xc3\xa9", name


def test_what_has_no_bytes_is_not_sent():
    for name, send, _ in sent():
        for buf in ([1, 2], (1, 2), None, 5, {}, {1: 2}, object()):
            raises(TypeError, "buf", send, buf)


def test_icmp_and_raw_send_arrays():
    h = Host()
    s = h.add(ICMPSocket(256, 256))
    message = array("H", [8, 0, 9, 1, 0x4141])
    assert s.send_to(message, PEER) == 10
    h.expect("icmp", type=8, data=b"AA")
    raises(TypeError, "message", s.send_to, [8] * 9, PEER)
    s = h.add(RawSocket(256, 256, ethertype=0x88B5))
    frame = PEER_MAC + OUR_MAC + b"\x88\xb5" + b"AA"
    assert s.send(array("H", frame)) == 16
    assert h.expect("eth", ethertype=0x88B5).frame == frame
    raises(TypeError, "buf", s.send, [0] * 20)


def test_rings_are_writable_bytes():
    for make in (TCPSocket, UDPSocket, ICMPSocket, RawSocket):
        raises(TypeError, "rx", make, memoryview(bytes(64)), 64)
        raises(ValueError, "tx", make, 64, memoryview(array("H", [0] * 8)))
        raises(ValueError, "rx", make, bytes(64), 64)
        make(memoryview(bytearray(64)), bytearray(64))


def test_views_take_no_memory():
    if not LOCKS:
        return "SKIP nothing is locked: bytecode kernels allocate, and CPython has no heap to lock"
    view = memoryview(bytearray(64))
    for _, send, s in pairs():
        whole(s, send)
        send()
        under_lock(lambda s=s: s.recv_into(view))
    for _, send, leaves in sent():
        send(view)
        leaves()
        under_lock(lambda send=send: send(view))
