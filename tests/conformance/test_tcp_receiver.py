"""What a connection takes of any segment, beside a model (RFC 9293 section 3.10.7.4, RFC 2018).

The model knows the stream, what of it has come and been read, and the right edge that has been
promised. It says whether a segment is acceptable, what is acknowledged, and which blocks are true.
"""

from fuzz import Random
from harness import *

# As long as a prime, so that bytes that are off by a segment or a ring are others.
PATTERN = bytes([(i * 197 + (i >> 8) * 31 + 11) & 255 for i in range(1021)])
PATTERN += PATTERN + PATTERN


def stream(at, n):
    return PATTERN[at % 1021 : at % 1021 + n]


class Model:
    """The receiving half of a connection; offsets count from the first byte of the stream."""

    def __init__(self, size, gaps=32):
        self.size = size
        self.gaps = gaps
        self.nxt = 0
        self.edge = size  # right edge of the window that has been promised
        self.read = 0
        self.have = set()
        self.fin = None  # where the FIN lies, once it is known
        self.over = False  # it has been reached

    def acceptable(self, at, n):
        """The four cases; n counts a FIN."""
        window = self.edge - self.nxt
        if n == 0:
            return at == self.nxt if window == 0 else self.nxt <= at < self.edge
        if window == 0:
            return False
        return self.nxt <= at < self.edge or self.nxt <= at + n - 1 < self.edge

    def arrives(self, at, n, fin):
        """Takes a segment in; returns whether it is acceptable."""
        if not self.acceptable(at, n + fin):
            return False
        first, last = max(at, self.nxt), min(at + n, self.edge)
        known = self.blocks()
        touching = [1 for left, right in known if first <= right and left <= last]
        # One more piece than there are places for is not kept; one that makes others larger is.
        if first == self.nxt or touching or len(known) < self.gaps:
            for i in range(first, last):
                self.have.add(i)
        if fin and at + n <= self.edge:
            self.fin = at + n
        while self.nxt in self.have:
            self.have.remove(self.nxt)
            self.nxt += 1
        if self.fin == self.nxt:
            self.over = True
        return True

    def blocks(self):
        """The pieces beyond what is acknowledged, as (left, right)."""
        found = []
        for i in sorted(self.have):
            if found and found[-1][1] == i:
                found[-1][1] = i + 1
            else:
                found.append([i, i + 1])
        return [tuple(block) for block in found]


class Walk:
    """A connection, its model, and steps of a peer and a program that mean no good."""

    def __init__(self, size, seed, sack, gaps=32, iss=ISS):
        self.random = Random(seed)
        self.size = size
        self.h = Host()
        self.s = self.h.add(TCPSocket(size, 64, gaps))
        self.s.sack = sack
        self.s.listen(6969)
        self.p = Peer(self.h, iss=iss)
        self.p.send("S", 0, mss=1460, **({"sackok": True} if sack else {}))
        self.p.expect("SA", 0, 1)
        self.p.seq = self.p.ack = 1
        self.p.send("A")
        self.h.expect_nothing()
        self.sack = sack
        self.m = Model(size, gaps)
        self.buf = bytearray(size)
        self.refused = 0
        self.last = None

    def at(self, p):
        """What an ACK of the stack says, checked against the model; its window is remembered."""
        m = self.m
        ack = p.rack - 1
        assert p.flags.replace("P", "") == "A" and p.rel == 1, p
        assert ack == m.nxt + m.over, (ack, m.nxt, m.over)
        edge = p.rack - 1 + p.win
        if not m.over:
            # Never back, and no more than there is room for.
            assert m.edge <= edge <= m.read + self.size, (m.edge, edge, m.read)
            m.edge = edge
        blocks = [(left - 1, right - 1) for left, right in p.sack]
        true = m.blocks()
        if self.sack:
            mine = [b for b in blocks if b[0] >= m.nxt]
            assert len(blocks) <= 4 and len(mine) >= len(blocks) - 1, (blocks, m.nxt)
            for block in mine:
                assert block in true, (blocks, true)
            assert len(set(mine)) == len(mine)
            assert len(mine) == min(len(true), 4 - (len(blocks) - len(mine))), (blocks, true)
            if blocks and blocks[0][0] < m.nxt:
                # A duplicate comes first (RFC 2883 section 4), and is not beyond what is known.
                assert blocks[0] == self.last, (blocks, self.last)
        else:
            assert not blocks
        return blocks

    def acks(self):
        """Looks at all that has been sent; the last ACK, or None."""
        found = None
        while self.h.device.sent:
            p = self.p.expect()
            found = self.at(p)
        return found

    def segment(self, at, n, fin=0, flags="A"):
        m = self.m
        was = m.nxt, m.over, set(m.have), m.fin
        good = m.arrives(at, n, fin)
        before = self.h.counter("tcp_out_of_order")
        self.last = (at, at + n) if at < was[0] else None
        self.p.send(flags + ("F" if fin else ""), 1 + at, 1, stream(at, n))
        moved = m.nxt + m.over - was[0] - was[1]
        said = self.acks()
        new = m.have - was[2]
        if not good:
            if n or fin:
                assert said is not None, "what is not acceptable is answered"
            assert (m.nxt, m.over, m.have, m.fin) == was
        elif at > was[0] and (n or fin):
            assert said is not None, "what comes before its turn is acknowledged at once"
            if self.sack and n and new:
                # The first block has what has come last (RFC 2018 section 4).
                first = [b for b in said if b[0] >= m.nxt][0]
                assert first[0] <= max(at, m.nxt) < first[1], (said, at, n)
        elif was[2] and moved:
            assert said is not None, ("so is what fills a gap", at, n, was, m.gaps)
        ahead = good and (n or fin) and at > was[0] and at < m.edge
        assert self.h.counter("tcp_out_of_order") == before + bool(ahead), (at, n, was)
        assert self.s.recv_queue == m.nxt - m.read, (self.s.recv_queue, m.nxt, m.read)

    def take(self, n):
        got = self.s.recv_into(self.buf, n)
        m = self.m
        if m.nxt == m.read:
            assert got == (0 if m.over else EAGAIN), got
            return
        assert got == min(n, m.nxt - m.read, len(self.buf)), (got, n)
        assert bytes(self.buf[:got]) == stream(m.read, got), m.read
        m.read += got
        self.h.run()
        self.acks()

    def pause(self, ms):
        self.h.advance(ms)
        self.acks()

    def step(self):
        below, m = self.random.below, self.m
        what = below(12)
        small = below(self.size // 3 + 2)
        if what < 4:
            self.segment(m.nxt, 1 + small)
        elif what < 7:
            self.segment(m.nxt + 1 + below(self.size), 1 + small)
        elif what == 7:
            # Around the edges, by one.
            edge = (m.nxt, m.edge, m.read)[below(3)]
            at = max(0, edge - 2 + below(5))
            self.segment(at, below(4))
        elif what == 8:
            at = max(0, m.nxt - below(self.size))
            self.segment(at, min(1 + small + below(self.size), 1460))
        elif what == 9:
            at = max(0, m.nxt - 1 - below(self.size))
            self.segment(at, below(min(m.nxt - at, 9) + 1))
            self.pause(100)
        elif what == 10:
            self.pause(below(300))
        else:
            self.take(1 + below(self.size))
        if below(5) == 0:
            self.take(1 + below(self.size))


MIXED = 0x9A3C5EE7  # no byte of it is like another
SIZES = (1, 2, 7, 64, 250, 1460)


def test_3_10_7_4_any_segments_in_any_order():
    kinds = [(n, sack, gaps) for n in SIZES for sack in (True, False) for gaps in (32, 2, 1, 0)]
    for size, sack, gaps in share(kinds):
        w = Walk(size, gaps * 100 + size, sack, gaps, (ISS, MIXED)[gaps & 1])
        for _ in range(60):
            w.step()
        # All that is missing comes, and is read: nothing has been lost or mixed up.
        for _ in range(20 + size // 50):
            w.segment(w.m.nxt, min(size, 300))
            w.take(size)
            w.pause(600)
        assert w.m.nxt > size * 8 or size > 500


def test_3_10_7_4_a_fin_wherever_it_lies():
    for size, seed in share([(size, seed) for size in SIZES for seed in range(4)]):
        w = Walk(size, seed * 77 + size, seed & 1 == 0, iss=(ISS, MIXED)[seed >> 1])
        end = 3 + w.random.below(2 * size)
        for _ in range(200):
            below, m = w.random.below, w.m
            if m.over and m.read == m.nxt:
                break
            at = m.nxt + (below(size + 2) - 1 if below(2) else 0)
            at = min(max(at, 0), end)
            n = min(1 + below(size + 2), end - at)
            fin = 1 if at + n == end else 0
            if m.over:
                w.take(1 + below(size))
                continue
            w.segment(at, n, fin)
            if below(2):
                w.take(1 + below(size))
            if below(4) == 0:
                w.pause(500)
        assert w.m.over and w.s.state == TCPSocket.CLOSE_WAIT, (size, seed, end, w.m.nxt)
        while w.m.read < w.m.nxt:
            w.take(size)
        w.take(1)
        assert w.m.nxt == end


def test_3_4_the_four_cases_of_acceptance_at_every_edge():
    """Each start and length around the window, open and closed, also where the numbers wrap."""
    for iss in share((ISS, (1 << 32) - 11, (1 << 31) - 9, 0), 3):
        for held in (0, 3, 8):
            h, p, s = established(rx=8, iss=iss, syn={"mss": 1460}, ack_delay=0)
            if held:
                p.send("A", 1, 1, stream(0, held))
                p.expect("A", 1, 1 + held)
            nxt, window = held, 8 - held
            m = Model(8)
            m.nxt, m.edge = nxt, nxt + window
            for at in range(nxt - 4, nxt + window + 4):
                for n in range(window + 4):
                    if n and m.acceptable(at, n):
                        continue  # the others change nothing
                    h.advance(1000)
                    p.send("A", 1 + at, 1, stream(at, n))
                    if n or not m.acceptable(at, 0):
                        p.expect("A", 1, 1 + held, b"", win=window)
                    h.expect_nothing()
                    assert s.recv_queue == held, (held, at, n)


def test_5961_3_and_4_resets_and_syns_at_every_edge():
    """Only an RST with the very number ends it; one in the window, or a SYN, is challenged."""
    for held in (0, 5, 8):
        for at in range(held - 3, 12):
            for flags in ("R", "RA", "S", "SA"):
                iss = (ISS, MIXED)[at & 1]
                h, p, s = established(iss=iss, rx=8, syn={"mss": 1460}, ack_delay=0)
                if held:
                    p.send("A", 1, 1, stream(0, held))
                    p.expect("A", 1, 1 + held)
                h.advance(2000)
                p.send(flags, 1 + at, 1)
                if "R" in flags and at == held:
                    assert s.state == TCPSocket.CLOSED, (held, at, flags)
                    h.expect_nothing()
                    continue
                assert s.state == TCPSocket.ESTABLISHED, (held, at, flags)
                if "S" in flags or held <= at < 8:
                    p.expect("A", 1, 1 + held, b"")
                h.expect_nothing()


def test_3_10_7_4_acknowledgments_at_every_edge():
    """From a window below what is unacknowledged to beyond what was sent (RFC 5961 section 5)."""
    for sent in (0, 1, 9):
        h, s = listener(ack_delay=0)
        p = Peer(h)
        p.win = 20  # MAX.SND.WND
        p.send("S", 0, mss=1460)
        p.expect("SA", 0, 1)
        p.seq = p.ack = 1
        p.send("A")
        for _ in range(3):
            s.send(bytes(20))
            p.expect("A", p.ack, 1, bytes(20))
            p.ack += 20
            p.send("A")
        una = 61
        if sent:
            s.send(bytes(sent))
            p.expect("A", una, 1, bytes(sent))
        for ack in list(range(una - 23, una + 1)) + [una + sent + 1, una + sent + 2, una + 70000]:
            before = h.counter("tcp_challenge_acks")
            queued = s.recv_queue
            p.send("A", 1 + queued, ack, b"t")
            good = una - 20 <= ack <= una + sent
            assert s.recv_queue == queued + good, (sent, ack)
            assert h.counter("tcp_challenge_acks") == before + (not good), (sent, ack)
            if not good:
                p.expect("A", una + sent, 1 + queued, b"")
            else:
                p.expect("A", una + sent, 2 + queued, b"")
            h.expect_nothing()
            assert s.send_queue == sent
        for part in range(1, sent + 1):
            p.send("A", 1 + s.recv_queue, una + part)
            assert s.send_queue == sent - part


# Numbers that are far from the window, on either side of where half of the space is.
FAR = [k << 29 for k in range(1, 8)]
FAR = share([n + d for n in FAR for d in (-1, 0, 1, 100)], 5)


def test_3_4_what_is_far_away_is_never_acceptable():
    for iss in share((ISS, MIXED, 1, 1 << 31), 5):
        h, p, s = established(iss=iss, rx=64, syn={"mss": 1460}, ack_delay=0)
        s.send(bytes(20))
        p.expect("A", 1, 1, bytes(20))
        for far in FAR:
            for flags, n in (("A", 0), ("A", 5), ("FA", 0), ("R", 0), ("S", 0), ("RA", 0)):
                h.advance(100)
                h.clear()
                before = h.counter("tcp_out_of_order")
                p.send(flags, 1 + far, 1, bytes(n))
                assert s.state == TCPSocket.ESTABLISHED, (far, flags)
                assert s.recv_queue == 0 and h.counter("tcp_out_of_order") == before
                if n or "F" in flags:
                    p.expect("A", None, 1, b"")
            # Acknowledgments of what was never sent, and of what has long been.
            p.send("A", 1, 1 + far, b"x")
            assert s.send_queue == 20 and s.recv_queue == 0, far
            h.clear()
        p.send("A", 1, 21, b"y")
        assert s.send_queue == 0 and recv(s) == b"y"


def test_3_10_7_1_to_nobody_an_rst_that_fits():
    """With ACK its number is that; without, it acknowledges text, SYN and FIN."""
    for seq in share((MIXED, M32 - 2, 0, 0x01020304), 3):
        for n in (0, 1, 5, 300):
            for flags, more in (("S", 1), ("F", 1), ("SF", 2), ("", 0), ("P", 0), ("U", 0)):
                h = Host()
                p = Peer(h, iss=0)
                p.irs = 0
                p.send(flags, seq, 0, bytes(n), win=513, urg=7)
                r = h.expect("tcp", flags="RA", seq=0, ack=(seq + n + more) & M32, win=0, urg=0)
                assert (r.sport, r.dport, r.data) == (p.to, p.port, b"")
                assert h.counter("tcp_rst_tx") == 1
            for flags in ("A", "SA", "FA", "PA"):
                h = Host()
                p = Peer(h, iss=0)
                p.irs = 0
                p.send(flags, 77, seq, bytes(n), win=513, options=b"\1\1\1\1")
                h.expect("tcp", flags="R", seq=seq, ack=0, win=0, data=b"")
            for flags in ("R", "RA"):
                h = Host()
                Peer(h).send(flags, 5, None, bytes(n))
                h.expect_nothing()


def test_2883_4_which_bytes_came_twice():
    for iss in (ISS, MIXED, 0x00FF01FE):
        h, p, s = established(iss=iss, rx=3000, syn={"mss": 1460, "sackok": True}, ack_delay=0)
        p.send("A", 1, 1, bytes(1000))
        p.expect("A", 1, 1001)
        p.send("A", 1001, 1, bytes(1000))
        p.expect("A", 1, 2001)
        for at, n in ((1, 1000), (300, 7), (1001, 1000), (2000, 1), (-5, 6)):
            p.send("A", at, 1, bytes(n))
            assert p.expect("A", 1, 2001).sack == [(at & M32, at + n)]


def test_1122_3_2_2_1_errors_about_segments_that_are_not_under_way():
    """An ICMP error counts for what lies from SND.UNA to SND.MAX (RFC 5927 section 4.1)."""
    for iss in (ISS, MIXED):
        h, p, s = established(iss=iss, syn={"mss": 1460}, tx=4096, congestion="none")
        s.send(bytes(2920))
        for at in (1, 1461):
            p.expect("A", at, 1)
        for at in FAR + [0, 2921, 2922, -1]:
            quoted = tcp(6969, p.port, "A", (p.irs + at) & M32, 1, bytes(4), src=OUR, dst=PEER)
            h.inject(icmp(3, 4, u16(0) + u16(600), quoted[14:42], src="192.168.69.254"))
            assert s.stats()["mss"] == 1460, at
            h.clear()
        for at, mtu in ((1461, 1000), (1, 900), (2920, 800)):
            quoted = tcp(6969, p.port, "A", (p.irs + at) & M32, 1, bytes(4), src=OUR, dst=PEER)
            h.inject(icmp(3, 4, u16(0) + u16(mtu), quoted[14:42], src="192.168.69.254"))
            assert s.stats()["mss"] == mtu - 40, at
            h.clear()
