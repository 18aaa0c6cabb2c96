"""The usual case of TCP in assembly (tcp/prediction_thumb.py) must do what the portable code does.

Two hosts see the same peer, the same program and the same time, one with the shortcut and one
without. What they send, what they count and every word of their control blocks is compared after
each step of a walk that chance decides.
"""

from fuzz import Random
from harness import *
from smolmpy.tcp import input as tcp_input
from smolmpy.tcp import output as tcp_output
from smolmpy.tcp import prediction as tcp_prediction
from smolmpy.tcp.socket import TCPSocket as Chosen

try:
    from smolmpy.tcp import prediction_thumb as thumb
except (ImportError, SyntaxError, AttributeError):
    thumb = None

SKIP = "SKIP no inline assembly for this processor"
FIRST, LAST = 4, 70  # the words of the control block that mean something between two calls
ACK = (0, 65535, False, 1)  # of a segment: no text, a wide window, intact, and a poll
DATA = bytes(i * 7 & 255 for i in range(2000))


def short(frames):
    return ["%s" % Packet(f, 0) for f in frames]


class Portable(Chosen):
    _egress = tcp_output.egress


def connection(kind, size, options, slot=0, **syn):
    h = Host(sockets=max(8, slot + 1), seed=b"12345678")
    for _ in range(slot):
        h.add(TCPSocket(1, 1))
    s = h.add(kind(size, size))
    if kind is Portable:
        h.iface._handle("tcp", tcp_prediction.ingress)
    s.nagle = not options & 1
    s.ack_delay = 0 if options & 2 else 10
    s.congestion = "none" if options & 4 else "reno"
    s.timeout = 3000 if options % 3 == 1 else 0
    s.listen(6969)
    p = Peer(h)
    p.send("S", 0, mss=1460, sackok=options & 8 != 0, **syn)
    p.expect("SA")
    p.seq = p.ack = 1
    p.send("A")
    h.clear()
    return h, p, s


class Walk:
    """Two connections, the portable one first, that go through the same."""

    def __init__(self, size, options, seed, slot=0, **syn):
        self.pair = [connection(kind, size, options, slot, **syn) for kind in (Portable, Chosen)]
        self.random = Random(seed)
        self.size = size
        self.got = 1  # how far our stream has come to the peer
        self.trace = []
        self.buf = bytearray(size)

    def both(self, what, *args):
        self.trace.append((what, args))
        for h, p, s in self.pair:
            self.result = getattr(self, what)(h, p, s, *args)
        self.compare()

    def segment(self, h, p, s, flags, seq, ack, n, win, bad, polls):
        f = p.frame(flags, seq, ack, DATA[:n], win=win)
        if bad:
            f = f[:-1] + bytes((f[-1] ^ 1,))
        h.device.queue.append(f)
        if polls:
            h.run()

    def send(self, h, p, s, n):
        return s.send(DATA, n)

    def recv(self, h, p, s, n):
        return s.recv_into(self.buf, n)

    def wait(self, h, p, s, ms):
        h.advance(ms)

    def compare(self):
        (one, _, s), (other, _, z) = self.pair
        told = self.trace[-6:]
        sent = [bytes(f) for _, f in one.device.sent]
        other_sent = [bytes(f) for _, f in other.device.sent]
        assert sent == other_sent, (told, short(sent), short(other_sent))
        for f in sent:
            packet = Packet(f, 0)
            end = (packet.seq - self.pair[0][1].irs + len(packet.data)) & M32
            if end > self.got:
                self.got = end
        one.clear()
        other.clear()
        words, others = s._tcb[FIRST:LAST], z._tcb[FIRST:LAST]
        wrong = [FIRST + i for i in range(LAST - FIRST) if words[i] != others[i]]
        assert not wrong, (told, [(i, s._tcb[i], z._tcb[i]) for i in wrong])
        assert one.tally() == other.tally(), (told, one.counted(other))
        assert one.iface.poll_delay(one.now) == other.iface.poll_delay(other.now), told

    def step(self):
        r = self.random
        h, p, s = self.pair[0]
        what = r.below(16)
        if what < 7:
            n = (0, 1, 3, 64, 100, 536, 1460)[r.below(7)]
            if n > self.size:
                n = self.size
            seq = p.seq
            odd = r.below(12)
            if odd == 0:
                seq += n  # one is missing
            elif odd == 1 and seq > 100:
                seq -= 50
            elif odd == 2:
                n = 0
                seq += 64  # from beyond what is to come: its window is newer than that of the text
            ack = self.got
            una = s._tcb[10] - s._tcb[9]
            if r.below(4) == 0 and 1 <= una <= ack:
                ack = una + r.below(ack - una + 1)
            win = (65535, 65535, 65535, 400, 0)[r.below(5)]
            bad = r.below(15) == 0 and n
            polls = r.below(4)
            flags = "PA" if r.below(2) else "A"
            room = len(s._rx) - s.recv_queue
            self.both("segment", flags, seq, ack, n, win, bad, polls)
            if odd > 2 and not bad and n <= room:
                for _, peer, _ in self.pair:
                    peer.seq += n
        elif what < 10:
            self.both("send", 1 + r.below(self.size))
        elif what < 14:
            self.both("recv", 1 + r.below(self.size))
        else:
            self.both("wait", (0, 1, 5, 11, 60, 250, 1500)[r.below(7)])


def walk(size, options, seed, steps):
    w = Walk(size, options, seed)
    for _ in range(steps):
        # The peer goes on where the stack is, whatever has been lost or refused.
        for h, p, s in w.pair:
            p.seq = (s._tcb[18] - p.iss) & M32
        w.step()
        if w.pair[0][2].state != TCPSocket.ESTABLISHED:
            break


def test_both_do_the_same():
    if thumb is None:
        return SKIP
    for options in range(16):
        for size in (64, 1000, 4000):
            walk(size, options, options * 3 + size, 150)


def noted(calls, parts, portable):
    """The tuple, with a function in the place of the portable one that notes its calls."""

    def call(*args):
        calls.append(portable)
        return portable(*args)

    assert portable in parts
    return tuple(call if part is portable else part for part in parts)


def test_the_shortcut_is_taken():
    if thumb is None:
        return SKIP
    h, p, s = connection(Chosen, 1000, 0)
    p.send("PA", 1, 1, b"first")
    h.advance(50)
    h.clear()
    asked = []
    receiving = thumb._RECEIVING
    thumb._RECEIVING = noted(asked, receiving, tcp_input.examine)
    s._parts = s._parts[:-1] + (noted(asked, thumb.SENDING, tcp_output.egress),)
    try:
        p.send("PA", 6, 1, b"second")
        s.send(b"answer")
        p.expect("PA", 1, 12, b"answer")
        p.send("A", 12, 7)
        assert recv(s) == b"firstsecond"
        s.send(b"x" * 30)
        p.expect("PA", 7, 12, b"x" * 30)
        assert not asked, asked
        p.send("FA", 12, 37)
        assert tcp_input.examine in asked and tcp_output.egress in asked
    finally:
        thumb._RECEIVING = receiving


def test_both_time_alike():
    # A steady round trip, where the floors of the timer count, and a user timeout below the RTO.
    if thumb is None:
        return SKIP
    for options in (0, 1, 5):
        for rtt in (5, 120, 400, 1500):
            w = Walk(8000, options, 1)
            for _, _, s in w.pair:
                s.timeout = rtt + 100 if options == 1 else 0
            for n in range(12):
                for size in (100, 3000):
                    w.both("send", size)
                    w.both("wait", rtt)
                    w.both("segment", "A", 1, w.got - size + 1460 if size > 1460 else w.got, *ACK)
                    w.both("segment", "A", 1, w.got, *ACK)
            assert w.pair[0][2].stats()["rtt"] >= rtt * 9 // 10


def test_no_text_to_what_has_become_a_broadcast_address():
    # RFC 9293 section 3.9.2.3. All but the address is as the connection expects it.
    h = Host()
    ours = "192.168.69.63"
    h.iface.add_address(ours + "/24")
    h.run()
    h.clear()
    s = h.add(Chosen(1000, 1000))
    s.listen(6969)
    p = Peer(h)
    p.send("S", 0, dst=ours)
    p.expect("SA")
    p.seq = p.ack = 1
    p.send("PA", 1, 1, b"first", dst=ours)
    assert recv(s) == b"first"
    h.iface.remove_address(ours)
    h.iface.add_address("192.168.69.50/26")
    h.run()
    h.clear()
    p.send("PA", 6, 1, b"second", dst=ours)
    assert s.recv_queue == 0 and s.state == TCPSocket.ESTABLISHED
    assert h.counter("tcp_malformed") == 1
    h.expect_nothing()


def test_what_is_next_in_order_takes_the_portable_short_way():
    """Text at RCV.NXT, ACK and perhaps PSH, that fits the window and the ring in one piece."""
    long_way = []
    examine = tcp_prediction.examine

    def noting(*args):
        long_way.append(args[-1])
        return examine(*args)

    def taken(p, *args, **kw):
        del long_way[:]
        before = p.h.counter("tcp_rx")
        p.send(*args, **kw)
        assert p.h.counter("tcp_rx") == before + 1
        return not long_way

    tcp_prediction.examine = noting
    try:
        h, p, s = connection(Portable, 100, 0)
        at = 1
        for flags, n, ours in (("A", 1, True), ("PA", 2, True), ("A", 60, True)):
            assert taken(p, flags, at, 1, DATA[:n]) == ours, (flags, n)
            at += n
            h.advance(50)
        # Up to the end of the ring, and not beyond it.
        assert taken(p, "A", at, 1, DATA[:37])
        at += 37
        assert len(recv(s)) == 100 and s.recv_queue == 0
        h.advance(50)
        h.clear()
        assert taken(p, "A", at, 1, DATA[:60])
        at += 60
        assert len(recv(s)) == 60
        h.advance(50)
        assert not taken(p, "A", at, 1, DATA[:41])  # its ring ends in the midst of it
        at += 41
        assert recv(s) == DATA[:41]
        h.advance(50)
        assert taken(p, "A", at, 1, DATA[:40])
        at += 40
        # What acknowledges something, and another window.
        s.send(b"abc")
        h.run()
        assert taken(p, "A", at, 4, DATA[:5])
        at += 5
        assert s.send_queue == 0
        assert taken(p, "PA", at, 4, DATA[:5], win=77)
        at += 5
        assert s.stats()["snd_wnd"] == 77
        h.advance(50)
        # All else takes the long way: no text, other bits, another place, options.
        for flags, seq, n, kw in (
            ("A", at, 0, {}),
            ("AU", at, 1, {}),
            ("FA", at + 1, 1, {}),
            ("A", at + 1, 1, {}),
            ("A", at - 1, 1, {}),
            ("A", at, 1, {"options": b"\1\1\1\1"}),
        ):
            was = s.recv_queue
            assert not taken(p, flags, seq, 4, DATA[:n], **kw), (flags, seq, n)
            if s.recv_queue != was:
                at += s.recv_queue - was
            h.advance(1000)
            h.clear()
    finally:
        tcp_prediction.examine = examine


def test_the_portable_short_way_of_a_segment_to_the_last_byte_of_the_window():
    for n in (1, 63, 64, 65):
        h, p, s = connection(Portable, 64, 0)
        p.send("A", 1, 1, DATA[:n])
        assert s.recv_queue == min(n, 64)
        h.advance(50)
        assert recv(s) == DATA[: min(n, 64)]
