"""The framed stream: cut anywhere, too long, full, out of step, gone; no allocation."""

import sys

from micropython import heap_lock, heap_unlock

from smolmpy.kernel import EDITION
from smolmpy.phy.stream import StreamDevice

KERNELS_ALLOCATE = EDITION == "plain" and sys.implementation.name == "micropython"


class Pipe:
    """A non-blocking stream in memory: gives `data` in pieces, takes `room` bytes."""

    def __init__(self, pieces=()):
        self.pieces = list(pieces)  # None: nothing there at that moment
        self.taken = bytearray()
        self.room = 1 << 20
        self.ended = False

    def readinto(self, buf, n):
        assert n > 0
        # As a stream of MicroPython does: reads on until n bytes, or until there is no more now.
        got = 0
        while got < n and self.pieces and self.pieces[0] is not None:
            part = self.pieces[0][: n - got]
            buf[got : got + len(part)] = part
            got += len(part)
            self.pieces[0] = self.pieces[0][len(part) :]
            if not self.pieces[0]:
                self.pieces.pop(0)
        if got:
            return got
        if self.pieces:
            self.pieces.pop(0)
            return None
        return 0 if self.ended else None

    def write(self, buf, offset, n):
        n = min(n, self.room)
        if n == 0:
            return None
        self.taken += buf[offset : offset + n]
        self.room -= n
        return n

    def close(self):
        pass


def _frame(n):
    return bytes([(n + i * i) & 255 for i in range(n)])


def _packed(frame):
    n = len(frame)
    return bytes([0, n >> 16, n >> 8 & 255, n & 255]) + frame


def _receive_all(d, size=1514, calls=400):
    buf = bytearray(size)
    out = []
    for _ in range(calls):
        n = d.receive(buf)
        if n > 0:
            out.append(bytes(buf[:n]))
        elif n < 0:
            out.append(n)
        # Between calls the buffer belongs to others.
        for i in range(size if n else 64):
            buf[i] = 0xEE
    return out


def test_whole_frames():
    frames = [_frame(n) for n in (14, 60, 1514, 61)]
    d = StreamDevice(Pipe([b"".join([_packed(f) for f in frames])]))
    assert _receive_all(d, calls=10) == frames


def test_cut_at_every_place():
    frames = [_frame(23), _frame(1), _frame(40)]
    data = b"".join([_packed(f) for f in frames])
    for a in range(len(data) + 1):
        for b in (a + 1, a + 3, a + 30):
            pieces = [p for p in (data[:a], None, data[a:b], None, data[b:]) if p != b""]
            d = StreamDevice(Pipe(pieces), mtu=100)
            assert _receive_all(d, 114, 9) == frames, (a, b)


def test_byte_by_byte():
    frames = [_frame(14), _frame(60)]
    pieces = []
    for c in b"".join([_packed(f) for f in frames]):
        pieces += [bytes([c]), None]
    assert _receive_all(StreamDevice(Pipe(pieces), mtu=100), 114, 300) == frames


def test_too_long_is_skipped():
    data = (
        _packed(_frame(115)) + _packed(_frame(60)) + _packed(_frame(3000)) + _packed(_frame(114))
    )
    for pieces in ([data], [data[:50], None, data[50:1000], None, data[1000:]]):
        d = StreamDevice(Pipe(pieces), mtu=100)
        assert _receive_all(d, 114, 10) == [-90, _frame(60), -90, _frame(114)]


def test_longer_than_the_buffer():
    d = StreamDevice(Pipe([_packed(_frame(80)) + _packed(_frame(60))]))
    assert _receive_all(d, 70, 5) == [-90, _frame(60)]


def test_length_zero():
    d = StreamDevice(Pipe([_packed(b"") + _packed(b"") + _packed(_frame(60))]))
    assert _receive_all(d, 114, 3) == [_frame(60)]


def test_out_of_step():
    d = StreamDevice(Pipe([b"\x01\x00\x00\x05hello"]))
    assert _receive_all(d, 114, 3) == [-32] * 3
    assert d.transmit(bytearray(60), 60) == -32
    assert not d.link()


def test_peer_gone():
    for data in (b"", b"\0\0", _packed(_frame(60))[:30]):
        pipe = Pipe([data] if data else [])
        pipe.ended = True
        d = StreamDevice(pipe)
        assert d.link()
        assert _receive_all(d, 114, 3) == [-32] * 3
        assert d.transmit(bytearray(60), 60) == -32
        assert not d.link()


def test_last_frame_before_the_end():
    pipe = Pipe([_packed(_frame(60))])
    pipe.ended = True
    assert _receive_all(StreamDevice(pipe), 114, 2) == [_frame(60), -32]


def test_error_is_not_raised():
    class Broken(Pipe):
        def readinto(self, buf, n):
            raise OSError(104)

        def write(self, buf, offset, n):
            raise OSError(104)

    d = StreamDevice(Broken())
    assert d.receive(bytearray(114)) == -32
    d = StreamDevice(Broken())
    assert d.transmit(bytearray(60), 60) == -32


def test_transmit_with_little_room():
    frame = _frame(60)
    for room in range(65):
        pipe = Pipe()
        d = StreamDevice(pipe)
        pipe.room = room
        first = d.transmit(bytearray(frame), 60)
        # A frame that has begun to go is taken; one that has not is the caller's still.
        assert first == (0 if room else -11), room
        if room < 64:
            assert d.transmit(bytearray(_frame(20)), 20) == -11
        assert len(pipe.taken) == room
        pipe.room = 1000
        # A poll alone finishes what has begun.
        assert d.receive(bytearray(114)) == 0
        assert pipe.taken == (_packed(frame) if room else b"")
        assert d.transmit(bytearray(_frame(20)), 20) == 0
        assert pipe.taken == (_packed(frame) if room else b"") + _packed(_frame(20))


def test_transmit_too_long():
    pipe = Pipe()
    d = StreamDevice(pipe, mtu=100)
    assert d.transmit(bytearray(115), 115) == -90
    assert d.transmit(bytearray(114), 114) == 0
    assert pipe.taken == _packed(bytes(114))


def _pair():
    """Two connected sockets, or None where there are none."""
    try:
        import socket

        s = socket.socket()
        for port in range(46900, 46950):
            try:
                where = socket.getaddrinfo("127.0.0.1", port)[0][-1]
                s.bind(where)
                break
            except OSError:
                pass
        s.listen(1)
        a = socket.socket()
        a.connect(where)
        b = s.accept()[0]
        s.close()
        return a, b
    except (ImportError, AttributeError):
        return None


def test_sockets():
    pair = _pair()
    if not pair:
        return "SKIP no sockets"
    a = StreamDevice(pair[0])
    b = StreamDevice(pair[1])
    assert a.fileno() == pair[0].fileno() >= 0
    buf = bytearray(1514)
    assert a.receive(buf) == b.receive(buf) == 0
    sent = received = 0
    # Send until there is no room, then take all of it, and so on.
    while received < 3000:
        while (
            sent < 3000
            and a.transmit(bytearray(_frame(1000 + sent % 500)), 1000 + sent % 500) == 0
        ):
            sent += 1
        n = b.receive(buf)
        assert n >= 0
        if n:
            assert buf[:n] == _frame(1000 + received % 500)
            received += 1
    assert sent == 3000
    a.close()
    assert a.transmit(buf, 60) == -32
    n = 0
    for _ in range(1000):
        n = n or b.receive(buf)
    assert n == -32
    b.close()


def test_allocates_nothing():
    if KERNELS_ALLOCATE:
        return "SKIP the kernels of the bytecode edition allocate"
    pair = _pair()
    if not pair:
        return "SKIP no sockets"
    a = StreamDevice(pair[0])
    b = StreamDevice(pair[1])
    frame = memoryview(bytearray(1516))[2:]
    buf = memoryview(bytearray(1516))[2:]
    _exchange(a, b, frame, buf)
    heap_lock()
    try:
        for _ in range(20):
            _exchange(a, b, frame, buf)
        # Until it is full, so that a frame is cut.
        full = 0
        while full < 100000 and a.transmit(frame, 1500) == 0:
            full += 1
        got = idle = 0
        while got < full and idle < 100000:
            n = b.receive(buf)
            if n == 1500:
                got += 1
            else:
                idle += 1
                a.receive(buf)
    finally:
        heap_unlock()
    assert 10 < full < 100000
    assert got == full, (got, full)
    a.close()
    heap_lock()
    try:
        for _ in range(1000):
            n = b.receive(buf)
    finally:
        heap_unlock()
    assert n == -32
    b.close()


def _exchange(a, b, frame, buf):
    assert a.transmit(frame, 1514) == 0
    assert a.transmit(frame, 60) == 0
    for want in (1514, 60):
        n = i = 0
        while n == 0 and i < 100000:
            n = b.receive(buf)
            i += 1
        assert n == want
    assert b.receive(buf) == 0


def test_blocking_descriptor_is_refused():
    if sys.implementation.name != "micropython":
        return "SKIP only where a descriptor cannot be changed"
    pair = _pair()
    if not pair:
        return "SKIP no sockets"
    try:
        StreamDevice(pair[0].fileno())
    except ValueError as e:
        assert "stream" in str(e)
    else:
        raise AssertionError("no ValueError")
    pair[0].setblocking(False)
    d = StreamDevice(pair[0].fileno())
    assert d.receive(bytearray(114)) == 0
    assert d.transmit(bytearray(60), 60) == 0
    assert pair[1].read(64) == _packed(bytes(60))
    d.close()
    pair[1].close()
