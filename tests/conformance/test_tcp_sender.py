"""What a connection sends, to a peer that loses, delays and reorders (RFC 9293 sections 3.7, 3.8).

Each segment is held against the stream, the peer's window and segment size, and Nagle's rule; and
in the end all has arrived, once each, whatever was lost.
"""

from fuzz import Random
from harness import *

# As long as a prime, so that bytes that are off by a segment or a ring are others.
PATTERN = bytes([(i * 211 + (i >> 8) * 29 + 7) & 255 for i in range(1021)])
PATTERN += PATTERN + PATTERN


def stream(at, n):
    return PATTERN[at % 1021 : at % 1021 + n]


class Line:
    """A peer at the end of a line, and the program that writes to it."""

    def __init__(self, seed, total, tx, mss, window, loss=0, scale=None, **opts):
        self.random = Random(seed)
        self.total = total
        self.loss = loss
        self.window = window  # the peer's buffer
        self.scale = scale
        syn = {"mss": mss}
        for name, option in (("sack", "sackok"), ("timestamps", "ts")):
            if opts.get(name):
                syn[option] = (1, 0) if option == "ts" else True
        if scale is not None:
            syn["ws"] = scale
        self.mss = mss
        self.opts = opts
        self.h, s = listener(rx=64, tx=tx, **opts)
        self.s = s
        self.p = p = Peer(self.h)
        p.win = min(window, 65535)
        p.send("S", 0, **syn)
        p.expect("SA", 0, 1)
        p.seq = p.ack = 1
        self.shift = scale or 0
        self.clock = 1
        self.echo = 0
        self.edge = min(window, 65535)
        self.written = 0
        self.have = set()
        self.nxt = 0
        self.fin = False
        self.top = 0  # what has been sent, and its small pieces that may be under way
        self.small = 0
        self.held = []  # segments on their way to us
        self.retransmits = 0
        self.sent = 0
        self.loss = 0
        self.answer()
        self.loss = loss

    def options(self):
        o = {}
        if self.opts.get("timestamps"):
            self.clock += 1
            o["ts"] = (self.clock, self.echo)
        if self.opts.get("sack") and self.have:
            blocks = []
            for i in sorted(self.have):
                if blocks and blocks[-1][1] == i:
                    blocks[-1][1] = i + 1
                else:
                    blocks.append([i, i + 1])
            blocks.reverse()
            o["sack"] = [(1 + a, 1 + b) for a, b in blocks[:3]]
        return o

    def answer(self):
        """An ACK; it may be lost."""
        window = self.window - len(self.have)
        win = min(window >> self.shift, 65535)
        if self.loss and self.random.below(100) < self.loss:
            return
        self.edge = max(self.edge, self.nxt + (win << self.shift))
        self.p.send("A", 1, 1 + self.nxt + self.fin, win=win, **self.options())

    def look(self):
        """Checks what is sent, and puts what is not lost on its way."""
        while self.h.device.sent:
            p = self.p.expect()
            n = len(p.data)
            at = p.rel - 1
            fin = "F" in p.flags
            assert "A" in p.flags and "S" not in p.flags and "R" not in p.flags, p
            assert p.rack == 1, p
            self.sent += 1
            room = self.mss
            if self.opts.get("timestamps"):
                assert p.ts is not None
                room -= 12
            assert n <= room, (n, room)
            assert p.data == stream(at, n), (at, n)
            # Not beyond the window, but for one byte that asks for another.
            assert at + n <= self.edge or n <= 1, (at, n, self.edge)
            assert at + n <= self.written
            last = at + n == self.written
            if n:
                assert ("P" in p.flags) == last, (p, self.written)
            if fin:
                assert last and self.closed
            if n and at >= self.top:
                assert at == self.top, "nothing is left out"
                if n < room and not self.loss:
                    # Nagle: a small one when nothing small is under way, or the last before FIN.
                    assert self.small <= self.nxt or self.closed or at + n > self.edge - 1, (at, n)
                    self.small = at + n
            elif n:
                self.retransmits += 1
            self.top = max(self.top, at + n)
            if self.loss and self.random.below(100) < self.loss:
                continue
            self.held.append((at, n, fin, p.ts))

    closed = False

    def deliver(self):
        """Some of what is on its way arrives, seldom out of order."""
        while self.held:
            i = 0
            if self.loss and self.random.below(6) == 0:
                i = self.random.below(len(self.held))
            at, n, fin, ts = self.held.pop(i)
            if ts:
                self.echo = ts[0]
            if at <= self.nxt and not self.have:
                self.nxt = max(self.nxt, at + n)
            else:
                for k in range(max(at, self.nxt), at + n):
                    self.have.add(k)
            while self.nxt in self.have:
                self.have.remove(self.nxt)
                self.nxt += 1
            if fin and self.nxt == at + n:
                self.fin = True
            self.answer()
            self.look()
            if self.random.below(4) == 0:
                break

    def run(self, limit=4000000):
        s = self.s
        below = self.random.below
        while not self.fin:
            if self.written < self.total:
                n = min(1 + below(1900 if self.total > 99999 else 700), self.total - self.written)
                got = s.send(stream(self.written, n))
                assert got >= 0 or got == EAGAIN, got
                self.written += max(got, 0)
            elif not self.closed:
                self.closed = True
                s.close()
            self.h.run()
            self.look()
            self.deliver()
            if not self.held and not self.fin:
                d = self.h.iface.poll_delay(self.h.now)
                if d > 0:
                    self.h.advance(d if below(3) else 1 + below(d))
                self.look()
            assert self.h.t < limit, (self.nxt, self.written, self.total, s.state_name)
        assert self.nxt == self.total, (self.nxt, self.total)
        assert s.state_name in ("FIN_WAIT_1", "FIN_WAIT_2"), s.state_name
        self.loss = 0
        self.answer()
        assert s.state == TCPSocket.FIN_WAIT_2 and s.send_queue == 0


def test_without_loss_each_byte_is_sent_once():
    lines = (
        (1, 2048, 1460, 65535),
        (2, 1000, 100, 65535),
        (3, 500, 536, 1000),
        (4, 64, 1460, 200),
        (5, 4096, 700, 3000),
    )
    kinds = ({}, {"sack": True}, {"timestamps": True}, {"congestion": "cubic"})
    for (seed, tx, mss, window), opts in share([(a, b) for a in lines for b in kinds], 3):
        w = Line(seed, 12000 if tx > 100 else 3000, tx, mss, window, **opts)
        w.run()
        assert w.retransmits == 0, (seed, opts, w.retransmits)
        assert w.h.counter("tcp_retransmits") == 0


def test_with_loss_all_arrives():
    kinds = (
        {"sack": False},
        {"sack": True},
        {"sack": True, "timestamps": True},
        {"sack": False, "timestamps": True},
        {"sack": True, "congestion": "cubic"},
        {"sack": False, "congestion": "cubic"},
        {"sack": True, "congestion": "none"},
        {"sack": False, "congestion": "none"},
    )
    for i, loss in share([(i, loss) for i in range(len(kinds)) for loss in (5, 25)], 3):
        w = Line(10 + i, 9000, 3000, 400, 65535, loss, **kinds[i])
        w.run()
        assert w.retransmits <= w.sent, (kinds[i], loss)


def test_7323_2_windows_above_64_kib():
    for scale, window in share(((3, 200000), (0, 65535), (7, 1 << 20), (14, 1 << 24)), 5):
        w = Line(20 + scale, 150000, 100000, 1460, window, 0, scale)
        w.run()
        assert w.retransmits == 0


def test_a_tiny_ring_sends_from_wherever_its_bytes_lie():
    for tx in (1, 2, 3, 17):
        for loss in (0, 20):
            w = Line(30 + tx, 150, tx, 536, 65535, loss, sack=bool(tx & 1))
            w.run()
