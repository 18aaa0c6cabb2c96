"""TCP's usual case in assembly, on control blocks that chance has changed.

The walk is that of tests/conformance/test_tcp_prediction.py; both connections are changed alike.
"""

from differential import seed
from harness import *
from smolmpy.core.schedule import wake
from smolmpy.link.prediction_thumb import predict
from smolmpy.tcp import input as tcp_input
from smolmpy.tcp import options as tcp_options
from smolmpy.tcp import output as tcp_output
from smolmpy.tcp import prediction as tcp_prediction
from smolmpy.tcp import prediction_thumb as thumb
from smolmpy.tcp import recovery as tcp_recovery
from test_tcp_prediction import DATA, Walk, test_both_time_alike  # noqa: F401

STEPS = 60
MORE = 25  # steps when the connection is about to end
TIME = (1 << 30) - 1
CONFIGURING = 8  # a flag of the interface that means nothing to TCP
SLOTS = (0, 3, 17)  # of a socket: two of the first word of the dirty table, and one behind it
# What is not from the peer, not to the address that it talks to, or not of this connection.
STRANGERS = (
    (GATEWAY, OUR, 49500, OUR_MAC),
    (PEER, "192.168.69.7", 49500, OUR_MAC),
    (PEER, "192.168.69.255", 49500, b"\xff" * 6),
    (PEER, OUR, 49501, OUR_MAC),
    (PEER, OUR, 49500, b"\xff" * 6),
)


def every_other(socket, payload, n):
    """A handler that answers a part of what it gets."""
    for i in range(n >> 1):
        payload[i] = payload[2 * i]
    return n >> 1


class Shaken(Walk):
    """A walk with more events. Options beyond those of a walk: 16 a handler, 32 window scale, 64
    keep-alive."""

    def __init__(self, size, options, seed, slot=0):
        syn = {"ws": 2} if options & 32 else {}
        super().__init__(size, options & 15, seed, slot, **syn)
        self.refused = 0
        for h, _, s in self.pair:
            if options & 16:
                s.handler = every_other
            if options & 64:
                s.keep_alive = 300
            h.iface.add_address("192.168.69.7/24")
            h.run()
            h.clear()
            h.iface._st[thumb._FLAGS] |= CONFIGURING

    def refuse(self, h, p, s, code):
        h.device.refuse = code
        h.run()

    def text(self, h, p, s, data, urgent):
        h.inject(p.frame("PA", p.seq, self.got, data, urg=urgent))

    def poke(self, h, p, s, words):
        for index, value in words:
            s._tcb[index] = value & M32
        # What could not be sent before may be now.
        wake(h.iface._st, s._slot)

    def flush(self, h, p, s):
        return s.flush()

    def strange(self, h, p, s, src, dst, port, dmac, n):
        other = Peer(h, port, p.to, p.iss, src)
        other.irs = p.irs
        h.inject(other.frame("PA", p.seq, self.got, DATA[:n], dst=dst, dmac=dmac))

    def odd(self, h, p, s, flags, length, **fields):
        # Flags and fields that mean nothing here, or a segment that is too short.
        segment = p.frame(flags, p.seq, self.got, DATA[:9], **fields)[34:]
        h.inject(ip(segment[:length], 6, PEER, OUR))

    def acknowledge(self, h, p, s, ack, n, win, urg):
        h.inject(p.frame("A", p.seq, ack, DATA[:n], win=win, urg=urg))

    def flags(self, h, p, s, flags, ahead, n):
        h.inject(p.frame(flags, (p.seq + ahead) & M32, self.got, DATA[:n]))

    def damaged(self, h, p, s, n, bit):
        f = bytearray(p.frame("A", p.seq, self.got, DATA[:n]))
        f[50 + bit // 8] ^= 1 << bit % 8
        h.inject(bytes(f))

    def close(self, h, p, s):
        s.close()

    def abort(self, h, p, s):
        s.abort()

    def selective(self, h, p, s, ack, left, right):
        h.inject(p.frame("A", p.seq, ack, b"", sack=[(left, right)]))

    def compare(self):
        (one, _, s), (_, _, z) = self.pair
        assert one.iface._tcp_ingress is tcp_prediction.ingress
        held = []
        for one in (s, z):
            at, n = one._tcb[thumb._T_RX_HEAD], one._tcb[thumb._T_RX_LEN]
            ring = bytes(one._rx)
            held.append((ring + ring)[at : at + n])
        assert held[0] == held[1], self.trace[-6:]
        if s.handler:
            # What a handler has read where it lay has not moved the ring on.
            z._rx[:] = s._rx
            z._tcb[thumb._T_RX_HEAD] = s._tcb[thumb._T_RX_HEAD]
        super().compare()
        if self.refused:
            return  # each turn asks again, so it does not matter when the next one is due
        # When who has to do something.
        one, other = (h.iface._st for h, _, _ in self.pair)
        for word in (thumb._FLAGS, thumb._WORK, *range(one[thumb._DUES], len(one))):
            assert one[word] == other[word], (word, one[word], other[word], self.trace[-6:])

    def shake(self):
        """Words that TCP may have there, but seldom does."""
        r = self.random
        h, _, s = self.pair[0]
        t = s._tcb
        now = h.iface._st[thumb._NOW]
        una, nxt, most = (t[i] for i in (thumb._T_SND_UNA, thumb._T_SND_NXT, thumb._T_SND_MAX))
        ahead = (most - una) & M32
        left = -h.now & TIME  # until the clock begins anew
        what = r.below(13)
        if what == 0:
            less = t[thumb._T_MAX_WND] >> 1
            words = [(thumb._T_MAX_WND, less), (thumb._T_SND_WND, less)]
        elif what == 1:
            words = [
                (thumb._T_FLAGS, t[thumb._T_FLAGS] | thumb._F_TIMING),
                (thumb._T_RTT_TIME, (now - (0, 1, 59999, 60000, 60001, 90000)[r.below(6)]) & TIME),
                (thumb._T_RTT_SEQ, most - r.below(2) if ahead else una),
            ]
        elif what == 2:
            words = [
                (thumb._T_SRTT, 8 * (0, 1, 20, 300, 40000)[r.below(5)] + r.below(8)),
                (thumb._T_RTTVAR, 4 * (0, 1, 24, 25, 26, 400, 30000)[r.below(7)] + r.below(4)),
            ]
        elif what == 3:
            words = [(thumb._T_RTO, left if 200 <= left <= 60000 else 200 + r.below(3000))]
        elif what == 4:
            words = [(thumb._T_ACK_DELAY, left if 0 < left <= 500 else r.below(600))]
        elif what == 5:
            words = [(thumb._T_SND_NXT, una + r.below(ahead + 1))]
        elif what == 6:
            words = [(thumb._T_CWND, t[thumb._T_TX_SIZE] + t[thumb._T_MSS] + 9 - r.below(18))]
        elif what == 7:
            words = [(thumb._T_SND_SMALL, una - 2 + r.below(5))]
        elif what == 8:
            words = [(thumb._T_PROGRESS, (now - t[thumb._T_RTO] + 1 - r.below(3)) & TIME)]
        elif what == 9:
            words = [(thumb._T_MSS, (1460, 536, 100)[r.below(3)])]
        elif what == 10:
            words = [(thumb._T_FLAGS, t[thumb._T_FLAGS] ^ 1 << r.below(21))]
        elif what == 11:
            words = [(thumb._T_DUP_ACKS, r.below(4)), (thumb._T_BACKOFF, r.below(3))]
        else:
            words = [(thumb._T_TIMEOUT, r.below(3) * 200)]
        self.both("poke", words)

    def step(self):
        r = self.random
        h, p, s = self.pair[0]
        what = r.below(24)
        if what < 8:
            self.shake()
        elif what == 8:
            # An acknowledgment from before, or of what has never been sent.
            ack = self.got + (4000, 1, -1, -70)[r.below(4)]
            self.both("segment", "A", p.seq, ack & M32, r.below(3), 65535, 0, 1)
        elif what == 9:
            self.both("flush")
        elif what == 10:
            self.both("strange", *STRANGERS[r.below(5)], r.below(3))
        elif what == 11:
            una = (s._tcb[thumb._T_SND_UNA] - s._tcb[thumb._T_ISS]) & M32
            if self.got > una + 1:
                left = una + 1 + r.below(self.got - una - 1)
                self.both("selective", una, left, self.got)
        elif what == 12:
            # An acknowledgment without text, with a window and a sum of any kind.
            self.both("segment", "A", p.seq, self.got, 0, 65534 + r.below(2), r.below(2), 1)
        elif what == 13:
            self.both("odd", ("UA", "EA", "A")[r.below(3)], (29, 29, 16)[r.below(3)])
        elif what == 14:
            self.both("damaged", r.below(2) * 9, r.below(16))
        elif what == 16:
            # An acknowledgment that was there before, or one with text or with another window.
            una = (s._tcb[thumb._T_SND_UNA] - s._tcb[thumb._T_ISS]) & M32
            window = s._tcb[thumb._T_SND_WND] >> (s._tcb[thumb._T_SHIFTS] & 0xFF)
            window = min(window + (r.below(4) == 0), 65535)
            self.both("segment", "A", p.seq, una, r.below(4) == 0, window, 0, 1)
        elif what == 15 or self.refused:
            # The device is full for a while.
            self.refused = r.below(2)
            self.both("refuse", -11 * self.refused)
        super().step()


def walk(size, options, seed):
    w = Shaken(size, options, seed, SLOTS[seed % 3])
    r = w.random
    for i in range(STEPS + MORE):
        for h, p, s in w.pair:
            p.seq = (s._tcb[thumb._T_RCV_NXT] - p.iss) & M32
        if i == STEPS:
            what = r.below(6)
            if what < 2:
                w.both("flags", ("FA", "FPA")[what], r.below(2) * 50, r.below(9))
            elif what == 2:
                w.both("flags", "RA", 0, 0)
            else:
                w.both(("close", "close", "abort")[what - 3])
        w.step()
        if w.pair[0][2].state == TCPSocket.CLOSED:
            break


def test_both_do_the_same():
    for options in range(16):
        for size in (64, 1000, 4000, 70000):
            more = (options + size // 1000) % 8 * 16
            walk(size, options | more, seed(options * 5 + size))


def test_every_flag():
    letters = "FSRPAUEC"
    for bits in range(256):
        w, _ = in_flight(5, 500)
        flags = "".join(letters[i] for i in range(8) if bits >> i & 1)
        w.both("flags", flags, 0, 9)
        w.both("wait", 20)


def test_sums_of_acknowledgments():
    # Of the five words of a header, with all carries between them.
    for window in (65535, 65534, 0x00FF, 0xFF00):
        for urgent in (0, 0xFFFF, 0xFF00, 0x00FF, 0x8000):
            for seq in (0, 0x00FFFFFF, 0x7FFFFFFF, 0xFFFFFFF0):
                w, t = in_flight(5, 500)
                for _, p, _ in w.pair:
                    p.iss = (seq - 1) & M32
                w.both("poke", [(thumb._T_RCV_NXT, seq), (thumb._T_RCV_ADV, seq + 4000),
                                (thumb._T_SND_WL1, seq), (thumb._T_RCV_ACKED, seq)])  # fmt: skip
                for n in (0, 9):
                    w.both("acknowledge", 1 + 250 + n, n, window, urgent)


def test_more_than_a_small_segment():
    for n in (535, 536, 537, 543, 544, 545):
        w, t = in_flight(5)
        w.both("segment", "A", 1, 1 + n, 0, 65535, 0, 1)
        assert (t[thumb._T_FLAGS] >> 17 & 1) == (n > 536)


def in_flight(options, n=2000):
    """A walk with n bytes in flight."""
    w = Shaken(4000, options, 1)
    w.both("send", n)
    w.both("wait", 20)
    return w, w.pair[0][2]._tcb


def test_sums_of_what_is_sent():
    # Acknowledgments with each sum that there is, nearly.
    w = Shaken(4000, 5, 1)
    h, _, s = w.pair[1]
    st, t, l4 = h.iface._st, s._tcb, h.iface._l4
    pseudo = addr(OUR) + addr(PEER) + u16(6) + u16(20)
    t[thumb._T_FLAGS] |= thumb._F_ACK_NOW
    for seq in (1 << 16, M32, M32 - 0xFFFF):
        t[thumb._T_SND_UNA] = t[thumb._T_SND_NXT] = t[thumb._T_SND_MAX] = seq
        for low in range(0, 1 << 16, 23):
            t[thumb._T_RCV_NXT] = 0xFFFF0000 | low
            t[thumb._T_RCV_ADV] = (t[thumb._T_RCV_NXT] + 4000) & M32
            assert thumb._plan(l4, st, t) == 2
            assert csum(pseudo + bytes(l4[:20])) == 0, (seq, low)


def test_a_first_sample():
    for ms in (0, 1, 300, 70000):
        w, t = in_flight(5)
        then = (w.pair[0][0].now - ms) & TIME
        w.both("poke", [(thumb._T_SRTT, 0), (thumb._T_RTTVAR, 0), (thumb._T_RTT_TIME, then)])
        assert t[thumb._T_FLAGS] & thumb._F_TIMING
        w.both("segment", "PA", 1, 1461, 9, 65535, 0, 1)
        assert t[thumb._T_SRTT] == 8 * max(1, min(ms, 60000))


def test_a_sample_at_the_floor_of_the_timer():
    # SRTT stays as it is, and four times RTTVAR is less than 100 ms.
    for ms in (98, 99, 100, 101, 102):
        w, t = in_flight(5)
        then = (w.pair[0][0].now - ms) & TIME
        w.both("poke", [(thumb._T_SRTT, 8 * ms), (thumb._T_RTTVAR, 4), (thumb._T_RTT_TIME, then)])
        w.both("segment", "A", 1, 1461, 0, 65535, 0, 1)
        assert (t[thumb._T_SRTT], t[thumb._T_RTO]) == (8 * ms, max(200, ms + 100))


def test_a_congestion_window_that_is_full():
    for window in (65535, 2300):
        for room in (-1, 0, 99, 100, 101, 1460):
            w, t = in_flight(5)
            w.both("poke", [(thumb._T_CWND, 2000 + room), (thumb._T_SND_WND, window)])
            w.both("send", 100)
            w.both("wait", 1)
            ahead = (t[thumb._T_SND_NXT] - t[thumb._T_SND_UNA]) & M32
            assert ahead == 2000 + 100 * (room >= 100), (window, room)


def test_after_a_rest():
    for options, rto in ((2, 200), (2, 3000), (5, 200)):
        for window in (3000, 14600, 14601, 16060, 16061, 100_000):
            for late in (-1, 0, 1):
                w = Shaken(4000, options, 1)
                h, _, s = w.pair[0]
                then = (h.now - rto - late) & TIME
                words = (thumb._T_CWND, window), (thumb._T_PROGRESS, then), (thumb._T_RTO, rto)
                w.both("poke", words)
                w.both("send", 100)
                w.both("wait", 1)
                if options == 2:
                    # To what it was at first (RFC 5681 section 4.1), or not at all.
                    assert s._tcb[thumb._T_CWND] == min(window, 14600 if late > 0 else window)


def test_a_window_that_is_drawn_back():
    for window in (0, 100, 1999, 2000, 2001):
        w, t = in_flight(15)
        w.both("segment", "PA", 1, 1, 9, window, 0, 1)
        w.both("segment", "PA", 10, 701, 9, window, 0, 1)


def test_a_timer_that_would_be_none():
    # When it fires the clock would be 0, which says that it does not run.
    w, _ = in_flight(5)
    h, p, s = w.pair[0]
    flags = s._tcb[thumb._T_FLAGS] & ~thumb._F_TIMING
    w.both("poke", [(thumb._T_RTO, -h.now & TIME), (thumb._T_FLAGS, flags)])
    w.both("segment", "A", 1, 1461, 0, 65535, 0, 1)
    assert s._tcb[thumb._T_RETRANSMIT] == 1
    w.both("poke", [(thumb._T_ACK_DELAY, -h.now & TIME)])
    w.both("segment", "PA", 1, 1461, 9, 65535, 0, 1)
    assert s._tcb[thumb._T_ACK_DUE] == 1
    w.both("wait", 3000)


def second(h, p, s):
    """Another connection of the same peer."""
    ingress = h.iface._tcp_ingress
    z = h.add(type(s)(64, 64))
    h.iface._handle("tcp", ingress)  # which add() has changed
    z.ack_delay = 50
    z.listen(7000)
    q = Peer(h, port=50000, to=7000)
    q.send("S", 0, mss=1460)
    q.expect("SA")
    q.seq = q.ack = 1
    q.send("A")
    return q


def test_a_timer_behind_another():
    w = Shaken(1000, 1, 1)
    peers = [second(*one) for one in w.pair]
    for q, (h, p, s) in zip(peers, w.pair, strict=True):
        h.device.queue.append(p.frame("PA", 1, 1, b"first"))
        h.device.queue.append(q.frame("PA", 1, 1, b"second"))
        h.run()
    w.compare()
    assert w.pair[0][0].iface.poll_delay(w.pair[0][0].now) == 10
    for ms in (10, 39, 1, 100):
        w.both("wait", ms)


def test_sums_of_text():
    # Where the words of the header add up to 0xFFFF, or nearly so.
    for urgent in (0, 0xFFFF):
        for more in range(-3, 4):
            w, _ = in_flight(5, 500)
            _, p, s = w.pair[0]
            frame = p.frame("PA", 1, w.got, b"\0\0", urg=urgent)
            pseudo = csum(frame[26:34] + u16(6) + u16(22)) ^ 0xFFFF
            w.both("text", u16((more - pseudo) % 0xFFFF), urgent)
            assert s.recv_queue == 2


# What is not the usual case, whatever else there is (tcp.py describes the words and the flags).
UNUSUAL_FLAGS = ("_F_RESET", "_F_FIN_AHEAD", "_F_PROBE", "_F_AGAIN", "_F_RECOVERY",
                 "_F_TIMESTAMPS", "_F_ECN", "_F_ECHO", "_F_CWR", "_F_TIMED_OUT",
                 "_F_SPOILT")  # fmt: skip
UNUSUAL_WORDS = (thumb._T_BACKOFF, thumb._T_IDLE_DUE, thumb._T_DUP_ACKS, thumb._T_DUP_DUE,
                 thumb._T_DSACK_LEN, thumb._T_KEEP_ALIVE, thumb._T_TIMEOUT,
                 thumb._T_GAPS_LEN)  # fmt: skip


def test_timers_on_both_sides_of_the_end_of_the_clock():
    # One for the data and one for the acknowledgment, of this connection and of another one.
    for left in (5, 15, 60, 150, 205, 250, 600):
        for delay in (10, 100, 500):
            for first in (0, 1):
                w = Shaken(1000, 1, 1)
                peers = [second(*one) for one in w.pair]
                w.both("wait", (-w.pair[0][0].now & TIME) - left)
                if first:
                    w.both("send", 100)
                    w.both("wait", 0)
                for q, (h, p, s) in zip(peers, w.pair, strict=True):
                    s.ack_delay = delay
                    frames = p.frame("PA", 1, 1, b"one"), q.frame("PA", 1, 1, b"two")
                    h.inject(*frames[:: 1 if first else -1])
                w.compare()
                for ms in (9, 1, 40, 60, 400):
                    w.both("wait", ms)


def test_what_is_unusual_is_declined():
    w = Shaken(4000, 5, 1)
    w.both("segment", "PA", 1, 1, 1, 65535, 0, 1)  # so that the connection is known
    h, p, s = w.pair[1]
    s.send(DATA, 200)
    h.run()
    s.send(DATA, 9)
    iface, t = h.iface, s._tcb
    st, l4 = iface._st, iface._l4
    frame = p.frame("PA", 2, 201, b"x")
    usual = bytes(t)

    def declined(*changes):
        """By _arrive() and by _plan(), where words of the control block are changed."""
        results = []
        for function, argument in ((thumb._arrive, 21), (thumb._plan, t)):
            iface._frame[: len(frame)] = frame
            assert predict(iface._frame, st, len(frame)) == 21 << 8 | 6
            for index, value in changes:
                t[index] = value
            before = bytes(st), bytes(t)
            result = function(l4, st, argument)
            results.append(result == 0)
            assert result > 1 or (bytes(st), bytes(t)) == before
            memoryview(t).cast("B")[:] = usual
        return results

    assert declined() == [False, False]
    places = tcp_input, tcp_options, tcp_output, tcp_recovery
    unusual = 0
    for name in UNUSUAL_FLAGS:
        unusual |= next(getattr(place, name) for place in places if hasattr(place, name))
    for bit in range(21):
        flags = t[thumb._T_FLAGS] | 1 << bit
        assert declined((thumb._T_FLAGS, flags)) == [unusual >> bit & 1 == 1] * 2, bit
    for state in range(11):
        usual_one = state == TCPSocket.ESTABLISHED
        assert declined((thumb._T_STATE, state)) == [not usual_one] * 2, state
    for one in UNUSUAL_WORDS:
        for value in (1, 1 << 31):
            # Two that are alike are no less than one.
            for other in UNUSUAL_WORDS:
                assert declined((one, value), (other, value))[1], (one, other)
    for word in (thumb._T_GAPS_LEN, thumb._T_BACKOFF):
        assert declined((word, 1))[0], word
    for word in (thumb._T_RETRANSMIT, thumb._T_ACK_DUE):
        for late in (-1, 0, 1, 1 << 28, 1 << 29):
            due = st[thumb._NOW] - late & TIME
            assert declined((word, due)) == [False, 0 <= late < 1 << 29], (word, late)
    st[thumb._NOW] = 5
    assert declined((thumb._T_RETRANSMIT, 1))[1] and declined((thumb._T_ACK_DUE, 1))[1]


def test_nothing_beside_the_header_is_used():
    # Text is for copy_sum, so of the buffer 20 bytes are enough.
    w = Shaken(4000, 5, 1)
    w.both("segment", "PA", 1, 1, 1, 65535, 0, 1)  # so that the connection is known
    h, p, s = w.pair[1]
    s.send(DATA, 200)
    h.run()
    s.send(DATA, 9)
    iface, t = h.iface, s._tcb
    frame = p.frame("PA", 2, 201, b"x")
    iface._frame[: len(frame)] = frame
    assert predict(iface._frame, iface._st, len(frame)) == 21 << 8 | 6
    header = bytearray(frame[34:54])
    at = thumb._arrive(header, iface._st, 21)
    assert at > 1 and thumb._arrive(header, iface._st, 22) == at
    assert thumb._accept(header, iface._st, at, 1) is not None
    assert thumb._plan(header, iface._st, t) == 2 + 9
    assert thumb._sent(header, iface._st, t, 9) is not None
    assert t[thumb._T_RCV_NXT] == (p.iss + 3) & M32 and t[thumb._T_SND_UNA] == p.irs + 201


def test_a_full_segment_does_not_wait_for_a_small_one():
    # By the short way, with Nagle's algorithm.
    h, p, s = Shaken(4000, 4, 1).pair[1]
    s.timeout = 0
    st, t, l4 = h.iface._st, s._tcb, h.iface._l4
    for n, short in ((9, True), (1460, True), (9, False)):
        s.send(DATA, n)
        assert (thumb._plan(l4, st, t) == 2 + n) == short, n
        h.run()
    h.advance(100)
    p.send("A", 1, 1 + 9 + 1460)
    p.send("A", 1, 1 + 9 + 1460 + 9)
    assert thumb._plan(l4, st, t) == 1  # nothing is left
    s.send(DATA, 9)
    assert thumb._plan(l4, st, t) == 2 + 9


def test_what_was_offered_is_not_taken_back():
    # RFC 9293 section 3.8.6.2.1: the right edge stays where it is until there is room.
    h, p, s = Shaken(4000, 5, 1).pair[1]
    st, t, l4 = h.iface._st, s._tcb, h.iface._l4
    t[thumb._T_FLAGS] |= thumb._F_ACK_NOW
    for more in (0, 1, 100):
        t[thumb._T_RCV_ADV] = (t[thumb._T_RCV_NXT] + 4000 + more) & M32
        assert thumb._plan(l4, st, t) == 2 and get16(l4, 14) == 4000 + more


def test_what_can_not_be_is_declined():
    # Nothing of these leads here, and what is declined is unchanged.
    w = Shaken(4000, 5, 1)
    w.both("segment", "PA", 1, 1, 1, 65535, 0, 1)  # so that the connection is known
    h, p, s = w.pair[1]
    s.send(DATA, 200)
    h.run()
    st, t, l4 = h.iface._st, s._tcb, h.iface._l4
    frame = p.frame("PA", 2, 101, b"x")
    h.iface._frame[: len(frame)] = frame
    assert predict(h.iface._frame, st, len(frame)) == 21 << 8 | 6
    # Our SYN is not acknowledged; more is than there was.
    for word, value in ((thumb._T_ISS, t[thumb._T_SND_UNA]), (thumb._T_TX_LEN, 99)):
        right, t[word] = t[word], value
        before = bytes(st), bytes(t)
        assert thumb._arrive(l4, st, 21) == 0
        if word == thumb._T_ISS:
            assert thumb._plan(l4, st, t) == 0
        assert (bytes(st), bytes(t)) == before
        t[word] = right
    assert thumb._arrive(l4, st, 21) > 1


def counting(calls, function):
    def call(*args):
        calls.append(function)
        return function(*args)

    return call


def test_what_is_plain_takes_the_short_way():
    # A connection on which nothing is lost: text and acknowledgments in order, what fits is sent.
    for options in (5, 7, 13, 37, 21):
        for size in (300, 2920, 8000):
            w = Shaken(size, options, seed(options + size))
            r = w.random
            h, p, s = w.pair[1]
            s.timeout = w.pair[0][2].timeout = 0
            w.both("segment", "PA", 1, 1, 1, 65535, 0, 1)  # so that the connection is known
            # What comes twice is reported, and then forgotten.
            w.both("segment", "PA", 1, 1, 1, 65535, 0, 1)
            long_way = []
            receiving, sending = thumb._RECEIVING, thumb.SENDING
            # A handler's answers are sent in two pieces where the ring ends.
            replaced = (tcp_input.examine, tcp_output.egress)[: 1 if s.handler else 2]
            way = {each: counting(long_way, each) for each in replaced}
            thumb._RECEIVING = tuple(way.get(each, each) for each in receiving)
            s._parts = (*s._parts[:-1], tuple(way.get(each, each) for each in sending))
            try:
                for _ in range(120):
                    plain_step(w, r)
                    assert not long_way, (options, size, w.trace[-4:], long_way)
            finally:
                thumb._RECEIVING = receiving


def plain_step(w, r):
    h, p, s = w.pair[0]
    t = s._tcb
    for _, peer, _ in w.pair:
        peer.seq = (t[thumb._T_RCV_NXT] - peer.iss) & M32
    what = r.below(8)
    ahead = (t[thumb._T_SND_NXT] - t[thumb._T_SND_UNA]) & M32
    ack = w.got if r.below(2) else w.got - r.below(ahead + 1)
    if what < 3:
        # As much as is in one piece in the ring, and within the window.
        tail = (t[thumb._T_RX_HEAD] + t[thumb._T_RX_LEN]) % w.size
        window = (t[thumb._T_RCV_ADV] - t[thumb._T_RCV_NXT]) & M32
        n = min(1460, window, w.size - tail, 1 + r.below(w.size))
        if n:
            w.both("segment", "PA", p.seq, ack, n, 65535, 0, 1)
    elif what < 5:
        # One that says nothing new is no plain one.
        if ahead:
            w.both("segment", "A", p.seq, w.got - r.below(ahead), 0, 65535, 0, 1)
    elif what < 6:
        # All of it leaves at once, and is in one piece too.
        tail = (t[thumb._T_TX_HEAD] + t[thumb._T_TX_LEN]) % w.size
        n = min(w.size - tail, w.size - t[thumb._T_TX_LEN], 1 + r.below(w.size))
        if n:
            w.both("send", n)
            w.both("wait", 0)
    elif what < 7:
        w.both("recv", 1 + r.below(w.size))
    else:
        w.both("wait", r.below(3))
