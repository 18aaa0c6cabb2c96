"""TCPSocket.handler: the stream handed over within poll(), answers sent from there."""

from harness import *
from smolmpy.errno import ENOTCONN, EPIPE


def served(function, rx=256, tx=256, **opts):
    h = Host()
    s = h.add(TCPSocket(rx, tx))
    s.handler = function
    for name in opts:
        setattr(s, name, opts[name])
    s.listen(6969)
    p = Peer(h)
    p.send("S", 0, mss=1460)
    p.expect("SA", 0, 1)
    p.seq = p.ack = 1
    p.send("A")
    h.expect_nothing()
    return h, p, s


def same(socket, payload, n):
    return n


def test_answers_leave_with_the_same_poll():
    h, p, s = served(same)
    p.send("PA", 1, 1, b"question")
    p.expect("PA", 1, 9, b"question")
    p.send("PA", 9, 9, b"another")
    p.expect("PA", 9, 16, b"another")
    assert s.recv_queue == 0
    assert s.recv_into(bytearray(9)) == EAGAIN


def test_it_sees_the_stream_and_its_end():
    seen = []

    def collect(socket, payload, n):
        seen.append((socket, bytes(payload[:n])))
        return 0

    h, p, s = served(collect)
    p.send("A", 1, 1, b"ab")
    p.send("A", 3, 1, b"cd")
    p.send("FA", 5, 1, b"ef")
    p.send("FA", 5, 1, b"ef")
    assert seen == [(s, b"ab"), (s, b"cd"), (s, b"ef"), (s, b"")], seen
    assert s.state == TCPSocket.CLOSE_WAIT


def test_an_answer_may_be_another_text_and_close():
    def answer(socket, payload, n):
        if not n:
            socket.close()
            return 0
        payload[:3] = b"yes"
        return 3

    h, p, s = served(answer)
    p.send("PA", 1, 1, b"really?")
    p.expect("PA", 1, 8, b"yes")
    p.send("FA", 8, 4)
    assert p.expect("FA", 4, 9)
    p.send("A", 9, 5)
    assert s.state == TCPSocket.CLOSED


def test_no_more_than_the_answer_has_room_for():
    pieces = []

    def note(socket, payload, n):
        pieces.append(n)
        return n

    h, p, s = served(note, rx=256, tx=64)
    data = bytes(range(200))
    p.send("PA", 1, 1, data, win=1000)
    assert pieces == [64]
    assert s.recv_queue == 136
    got = p.expect("PA", 1, 201).data
    while len(got) < 200:
        p.send("A", 201, 1 + len(got))
        got += p.expect("PA", 1 + len(got)).data
    assert got == data
    assert pieces == [64, 64, 64, 8], pieces
    p.send("A", 201, 201)
    h.expect_idle()


def test_pieces_out_of_order_are_handed_over_in_order():
    seen = []

    def collect(socket, payload, n):
        seen.append(bytes(payload[:n]))
        return 0

    h, p, s = served(collect, rx=2048)
    p.send("A", 101, 1, b"b" * 100)
    assert seen == []
    p.send("A", 1, 1, b"a" * 100)
    assert b"".join(seen) == b"a" * 100 + b"b" * 100


def test_send_within_a_handler():
    def tell(socket, payload, n):
        socket.send(b"one")
        socket.send(b"two")
        return 0

    h, p, s = served(tell, nagle=False)
    p.send("PA", 1, 1, b"x")
    p.expect("PA", 1, 2, b"onetwo")


def test_a_long_answer_that_does_not_fit():
    h, p, s = served(lambda socket, payload, n: 65, tx=64)
    p.h.device.queue.append(p.frame("PA", 1, 1, b"x"))
    raises(ValueError, "handler", h.iface.poll, h.now)


TEXT = bytes(range(200))


def waiting(function, rx=256, tx=64):
    """Of 200 bytes that have come the handler has had 64; the send buffer is full."""
    h, p, s = served(function, rx, tx)
    p.send("A", 1, 1, TEXT)
    p.expect("PA", 1, 201, data=TEXT[:64])
    assert s.recv_queue == 136
    return h, p, s


def test_closed_in_close_wait_the_tail_is_answered_before_the_fin():
    h, p, s = waiting(same)
    p.send("FA", 201, 1)
    p.expect("A", 65, 202)
    assert s.state == TCPSocket.CLOSE_WAIT
    s.close()
    assert s.send(b"x") == -EPIPE and not s.may_send()
    h.expect_nothing()
    got = 64
    while got < 200:
        p.send("A", 202, 1 + got)
        n = min(64, 200 - got)
        end = "" if got + n < 200 else "F"
        p.expect(end + "PA", 1 + got, 202, data=TEXT[got : got + n])
        got += n
    p.send("A", 202, 202)
    assert s.state == TCPSocket.CLOSED
    h.expect_idle()


def test_closed_in_close_wait_the_fin_comes_without_answers_too():
    sizes = []

    def count(socket, payload, n):
        sizes.append(n)
        return n if len(sizes) == 1 else 0

    h, p, s = waiting(count)
    p.send("FA", 201, 1)
    p.expect("A", 65, 202)
    s.close()
    h.expect_nothing()
    p.send("A", 202, 65)
    p.expect("FA", 65, 202)
    assert sizes == [64, 64, 64, 8, 0], sizes
    p.send("A", 202, 66)
    assert s.state == TCPSocket.CLOSED


def test_what_goes_out_again_has_no_fin_before_its_time():
    h, p, s = waiting(same)
    p.send("FA", 201, 1)
    p.expect("A", 65, 202)
    s.close()
    h.advance(5000)  # the peer's ACK is lost
    again = 0
    while h.device.sent:
        p.expect("PA", 1, 202, data=TEXT[:64])
        again += 1
    assert again >= 2
    for at in (64, 128):
        p.send("A", 202, 1 + at)
        p.expect("PA", 1 + at, 202, data=TEXT[at : at + 64])
    p.send("A", 202, 193)
    p.expect("FPA", 193, 202, data=TEXT[192:])
    h.advance(1500)
    p.expect("FPA", 193, 202, data=TEXT[192:])


def test_the_answer_in_hand_goes_before_the_fin():
    def answer(socket, payload, n):
        socket.close()
        return n

    h, p, s = served(answer)
    p.send("PA", 1, 1, b"question")
    p.expect("FPA", 1, 9, data=b"question")
    # Nobody can hear what would be said after that.
    p.send("PA", 9, 10, b"another")
    h.advance(20)
    p.expect("A", 10, 16)
    assert s.state == TCPSocket.FIN_WAIT_2
    p.send("FA", 16, 10, b"more")
    p.expect("A", 10, 21)
    assert s.state == TCPSocket.TIME_WAIT and s.send_queue == 0


def test_closed_while_established_the_fin_goes_first():
    h, p, s = waiting(same)
    s.close()
    p.expect("FA", 65, 201)
    p.send("A", 201, 66)
    p.expect("A", 66, 201)
    assert s.state == TCPSocket.FIN_WAIT_2 and s.recv_queue == 0
    p.send("FA", 201, 66, b"")
    p.expect("A", 66, 202)
    assert s.send_queue == 0


def test_an_answer_after_abort_is_an_error():
    def answer(socket, payload, n):
        socket.abort()
        return n

    h, p, s = served(answer)
    h.device.queue.append(p.frame("PA", 1, 1, b"x"))
    try:
        h.iface.poll(h.now)
    except OSError as e:
        assert e.args[0] == ENOTCONN and "handler" in e.args[1], e.args
    else:
        raise AssertionError("no error")


def test_it_may_be_taken_away():
    h, p, s = served(same)
    assert s.handler is same
    s.handler = None
    p.send("PA", 1, 1, b"text")
    assert recv(s) == b"text"
    raises(TypeError, "handler", setattr, s, "handler", 5)


def test_it_serves_one_connection_after_another():
    h, p, s = served(same)
    for port in range(50000, 50003):
        if s.state != TCPSocket.LISTEN:
            s.abort()
            s.listen(6969)
            h.run()
            h.clear()
        p = Peer(h, port=port)
        p.send("S", 0, mss=1460)
        p.expect("SA", 0, 1)
        p.seq = p.ack = 1
        p.send("PA", 1, 1, b"question")
        p.expect("PA", 1, 9, b"question")


def test_no_heap():
    heap = micropython_heap()
    if not heap:
        return "SKIP no heap to lock"
    lock, unlock = heap
    h, p, s = served(same)
    frames = []
    for i in range(20):
        frames.append(p.frame("PA", 1 + 8 * i, 1 + 8 * i, b"question"))
    device = Quiet(frames)
    h.iface.device = device
    h.iface.poll(h.now)
    now = h.now
    poll = h.iface.poll
    lock()
    try:
        for _ in range(19):
            poll(now)
    finally:
        unlock()
    assert device.sent == 20, device.sent


class Quiet:
    """Gives a frame to each poll, and counts what is sent."""

    mtu = 1500

    def __init__(self, frames):
        self.frames = frames
        self.next = 0
        self.more = True
        self.sent = 0

    def receive(self, buf):
        self.more = not self.more
        if self.more:
            return 0
        f = self.frames[self.next]
        self.next += 1
        for i in range(len(f)):
            buf[i] = f[i]
        return len(f)

    def transmit(self, buf, length):
        self.sent += 1
        return 0


def micropython_heap():
    try:
        import micropython

        from smolmpy.kernel import EDITION

        if EDITION == "plain":
            return None
        return micropython.heap_lock, micropython.heap_unlock
    except (ImportError, AttributeError):
        return None


def test_the_window_opens_at_once():
    # 3.8.6.2.2: a ring that holds one segment is empty again when the handler has seen it.
    h, p, s = established(rx=700, syn={"mss": 536})
    s.handler = lambda socket, payload, n: 0
    p.send("A", 1, 1, bytes(536))
    p.expect("A", 1, 537, win=700)
