"""The arithmetic of TCP, each function beside what the RFC says of it, in plain numbers."""

from array import array

from fuzz import Random
from harness import *
from smolmpy.tcp import congestion as congestion
from smolmpy.tcp import connection as connection
from smolmpy.tcp import recovery as recovery
from smolmpy.tcp import settings as tcp_settings  # noqa: F401

NOW = 4
FLAGS, UNA, NXT, MAX, WND, MSS, TX_SIZE = 5, 10, 11, 12, 13, 21, 27
SRTT, RTTVAR, RTO, RTT_SEQ, RTT_TIME, BACKOFF, RETRANSMIT, PROGRESS = (
    28,
    29,
    30,
    31,
    32,
    33,
    34,
    37,
)
DUP_ACKS, CWND, SSTHRESH, RECOVER, HIGH_RXT = 38, 41, 42, 43, 44
PRIOR_CWND, PRIOR_SSTHRESH, REPEATS, OPTIONS, TIMEOUT, SACKED = 58, 59, 60, 61, 65, 67
TIMING, RECOVERY, AGAIN, SACK, TIMED_OUT, SPOILT = 32, 1024, 512, 2048, 262144, 1048576
UNLIMITED = 0x1FFFFFFF


class Chance(Random):
    def of(self, items):
        return items[self.below(len(items))]


def control(rx=4096, tx=4096, **opts):
    h = Host()
    s = h.add(TCPSocket(rx, tx))
    for name in opts:
        setattr(s, name, opts[name])
    return h, s, s._tcb, h.iface._st


def test_6298_2_each_sample():
    """SRTT in eighths, RTTVAR in quarters; RTO = SRTT + max(100, 4 RTTVAR), 200 to 60,000."""
    chance = Chance(41)
    for start in (1, 40, 400, 5000, 59999, 60000, 60001, 900000):
        h, s, t, st = control()
        srtt = var = None
        t[BACKOFF] = 0x0305
        for i in range(8 if BOARD else 40):
            r = (
                start
                if i == 0
                else chance.of((0, 1, 2, start, start + chance.below(50), 3 * start))
            )
            connection.sample(t, r)
            r = min(max(r, 1), 60000)
            if srtt is None:
                srtt, var = 8 * r, 2 * r
            else:
                error = r - srtt // 8
                srtt += error
                var += abs(error) - var // 4
            srtt = max(srtt, 1)
            rto = min(max(srtt // 8 + max(var, 100), 200), 60000)
            assert (t[SRTT], t[RTTVAR], t[RTO]) == (srtt, var, rto), (start, i)
            assert t[BACKOFF] == 0x0300  # that of the persist timer stays


def test_6298_5_the_timer_is_backed_off():
    """RTO << backoff, at most 60 s, and never beyond the time at which the connection ends."""
    for rto in (200, 1000, 3000, 60000):
        for backoff in (0, 1, 5, 12, 13, 255):
            for high in (0, 2):
                for window, flight in ((1000, 5), (0, 5), (1000, 0)):
                    for timeout, waited in (
                        (0, 0),
                        (5000, 0),
                        (5000, 4999),
                        (5000, 5000),
                        (5000, 9),
                    ):
                        h, s, t, st = control()
                        t[RTO], t[BACKOFF] = rto, high << 8 | backoff
                        t[UNA] = M32 - 1
                        t[MAX] = (t[UNA] + flight) & M32
                        t[WND] = window
                        t[TIMEOUT] = timeout
                        now = 7000
                        t[PROGRESS] = now - waited
                        # Nothing in flight, or no window: it is the persist timer.
                        shift = backoff if window and flight else high
                        delay = min(rto << min(shift, 12), 60000)
                        if timeout:
                            delay = min(delay, timeout - waited)
                        connection.arm(now, t)
                        assert t[RETRANSMIT] == now + delay, (rto, backoff, high, window, flight)
    h, s, t, st = control()
    t[RTO], t[WND], t[MAX] = 200, 9, 1
    connection.arm((1 << 30) - 200, t)
    assert t[RETRANSMIT] == 1  # never 0
    connection.arm((1 << 30) - 199, t)
    assert t[RETRANSMIT] == 1
    connection.arm((1 << 30) - 198, t)
    assert t[RETRANSMIT] == 2
    # One that is late already is due at once.
    t[TIMEOUT], t[PROGRESS] = 5000, 1000
    connection.arm(7000, t)
    assert t[RETRANSMIT] == 7000
    assert connection.later((1 << 30) - 5, 5) == 1 and connection.later(5, 6) == 11


def test_a_round_trip_within_the_backed_off_timer_limits_it():
    for backoff in (0, 1, 3, 6):
        for r, least in ((1, 0), (200, 0), (201, 1), (400, 1), (401, 2), (800, 2), (801, 3)):
            h, s, t, st = control()
            t[RTO], t[BACKOFF] = 200, 0x0400 | backoff
            connection.limit_backoff(t, r)
            assert t[BACKOFF] == 0x0400 | min(backoff, least), (backoff, r)


def test_5961_7_ten_answers_in_a_second():
    """In each span of 1024 ms; a span that is another begins anew, however long ago."""
    for start in (0, 1023, 1024, 300 << 10, (65536 << 10) - 1):
        h, s, t, st = control()
        for span in range(3):
            st[NOW] = (start // 1024 + span) * 1024 & 0x3FFFFFFF
            for n in range(13):
                t[FLAGS] = 0
                said = connection.limited_ack(st, t, s._slot)
                assert said == (n < 10) and t[FLAGS] == said, (start, span, n)
            st[NOW] |= 1023
            assert connection.limited_ack(st, t, s._slot) == 0
    h, s, t, st = control()
    for n in range(12):
        connection.challenge(st, t, s._slot)
    assert h.counter("tcp_challenge_acks") == 10


def test_7323_2_3_the_least_shift_for_a_buffer():
    for size, shift in (
        (1, 0),
        (65535, 0),
        (65536, 1),
        (131071, 1),
        (131072, 2),
        (1 << 20, 5),
        ((1 << 30) - 1, 14),
    ):
        assert connection.scale(size) == shift << 8


KINDS = {"none": 0, "reno": 16, "cubic": 32}


def test_6928_and_5681_4_1_the_first_window_and_the_one_after_silence():
    for kind in KINDS:
        h, s, t, st = control(congestion=kind)
        t[MSS] = 700
        c = t[SACKED] + 2 + 2 * t[t[SACKED]]
        if kind == "cubic":
            t[c] = t[c + 1] = 77
        congestion.begin(t)
        assert t[SSTHRESH] == UNLIMITED
        assert t[CWND] == (UNLIMITED if kind == "none" else 7000)
        if kind == "cubic":
            assert t[c] == t[c + 1] == 0
        for window, after in ((6999, 6999), (7000, 7000), (7001, 7000), (90000, 7000)):
            t[CWND] = window
            congestion.rest(t)
            assert t[CWND] == (window if kind == "none" else after)


def test_5681_3_1_how_the_window_grows():
    for window, threshold, acked, after in (
        (1000, 9000, 500, 1500),
        (1000, 9000, 1500, 2000),  # no more than it was
        (1000, 1200, 500, 1200),  # up to the threshold
        (1000, 1001, 500, 1001),
        (1000, 1000, 1000, 1500),  # then a segment a window
        (2000, 1000, 1000, 2250),
        (2000, 2000, 4000, 2500),
        (4000, 100, 1, 4001),  # and a byte at least
        (4500, 100, 9000, 5000),
        (4501, 100, 4501, 4501 + 500),
    ):
        for size in (window, max(1, window - 500), max(1, window - 501)):
            h, s, t, st = control(tx=max(size, 1))
            t[MSS], t[CWND], t[SSTHRESH] = 500, window, threshold
            congestion.grow(st, t, acked)
            # RFC 7661: not while the send buffer cannot fill it.
            limited = window > size + 500
            assert t[CWND] == (window if limited else after), (window, acked, size, t[CWND])
    h, s, t, st = control(congestion="none")
    t[MSS], t[CWND], t[SSTHRESH] = 500, 1000, 9000
    congestion.grow(st, t, 500)
    assert t[CWND] == 1000


def test_5681_3_1_half_of_the_flight_and_two_segments_at_least():
    for kind in ("reno", "cubic", "none"):
        for flight in (0, 999, 1000, 1999, 2000, 2001, 2002, 2003, 5000, 9999):
            h, s, t, st = control(congestion=kind)
            t[MSS], t[CWND], t[SSTHRESH] = 500, 3000, 77
            congestion.reduce(t, flight)
            part = flight // 2 if kind == "reno" else flight * 7 // 10
            assert t[SSTHRESH] == (77 if kind == "none" else max(part, 1000)), (kind, flight)


def test_9438_4_7_the_window_that_was_reached():
    for size in (1000, 4096, 100000):
        h, s, t, st = control(congestion="cubic")
        t[TX_SIZE] = size
        c = t[SACKED] + 2 + 2 * t[t[SACKED]]
        t[MSS] = 500
        for window, before in ((900, 0), (900, 900), (900, 901), (3000, 9000), (200000, 0)):
            t[CWND], t[c], t[c + 1] = window, before, 55
            congestion.reduce(t, 1000)
            most = min(window, size + 500)
            assert t[c] == (most if most >= before else most * 17 // 20), (size, window, before)
            assert t[c + 1] == 0


def test_9438_4_2_and_4_3_the_curve_and_no_slower_than_reno():
    """W(t) = 0.4 (t - K)^3 + W_max segments, K the cube root of (W_max - W) / 0.4; W_est grows by
    0.53 segments a window. Windows reach 1 MB, where 32 bits are few."""
    for mss in (500, 1460):
        for w_max, window in ((40, 28), (10, 7), (450, 300), (5, 6), (0, 20), (400, 30)):
            h, s, t, st = control(congestion="cubic")
            t[TX_SIZE] = 700 * mss
            c = t[SACKED] + 2 + 2 * t[t[SACKED]]
            t[MSS] = mss
            t[CWND] = t[SSTHRESH] = window * mss
            t[c], t[c + 1] = w_max * mss, 0
            t0 = (1 << 30) - 3000
            st[NOW] = t0
            top = max(w_max, window)
            k = 0  # ms
            while 4 * k**3 < min(top - window, 1600) * 10**10:
                k += 1
            reno = window * mss * 1000  # in thousandths of a byte
            last = window * mss
            for ms in list(range(0, 12000, 100)) + [17000, 18000, 30000]:
                if last > t[TX_SIZE] + mss:
                    break  # no more than the send buffer can fill
                st[NOW] = (t0 + ms) & 0x3FFFFFFF
                acked = last // 2
                congestion.grow(st, t, acked)
                now = t[CWND]
                off = min(ms - k, 16000)
                reno += 530 * acked * mss * 1000 // reno
                cubic = 4 * off**3 * mss // 10**10 + top * mss
                target = min(max(cubic, reno // 1000), last + last // 2)
                step = max(target - last, 0) * acked // last
                # Time goes by 16 ms, and K is in those.
                error = 12 * off * off * 33 * mss // 10**10 + step // 50 + 40 + mss // 50
                assert abs(now - last - step) <= error, (mss, w_max, window, ms, now - last, step)
                assert now >= last
                last = now


class Pieces:
    """What has been sent, what of it the peer has, and what has been sent again: by bytes."""

    def __init__(self, chance):
        self.chance = chance
        self.h, self.s, self.t, self.st = control(tx=8192)
        t = self.t
        self.una = chance.of((1000, M32 - 30, (1 << 31) - 30))
        self.sent = 20 + chance.below(60)
        t[UNA] = self.una
        t[MAX] = (self.una + self.sent) & M32
        t[NXT] = t[MAX]
        t[MSS] = chance.of((1, 3, 5, 10))
        t[CWND] = chance.of((5, 30, 1000))
        self.have = set()
        for _ in range(chance.below(5)):
            a = 1 + chance.below(self.sent - 1)
            b = min(a + 1 + chance.below(12), self.sent)
            new = self.have | set(range(a, b))
            if len(blocks(new)) <= 4:
                self.have = new
        table = t[SACKED]
        found = blocks(self.have)
        t[table + 1] = len(found)
        for i, (a, b) in enumerate(found):
            t[table + 2 + 2 * i] = (self.una + a) & M32
            t[table + 3 + 2 * i] = (self.una + b) & M32
        self.top = found[-1][1] if found else 0


def blocks(have):
    found = []
    for i in sorted(have):
        if found and found[-1][1] == i:
            found[-1][1] = i + 1
        else:
            found.append([i, i + 1])
    return found


def test_6675_4_what_is_in_flight_and_the_next_hole():
    chance = Chance(44)
    for _ in range(30 if BOARD else 500):
        w = Pieces(chance)
        t, have = w.t, w.have
        again = chance.below(w.sent + 1)  # so far it has been sent again
        t[HIGH_RXT] = (w.una + again) & M32
        resent = len([i for i in range(again) if i not in have])
        flight = w.sent - max(w.top, again) + resent
        assert recovery.in_flight(t) == flight, (have, again, w.sent)
        t[REPEATS] = chance.of((0, 0, 2, 7)) << 16 | chance.below(9)
        more = 2 + (t[REPEATS] >> 16)
        want, length = -1, None
        if have and flight + t[MSS] <= t[CWND]:
            for i in range(again, w.top):
                if i not in have:
                    if i and w.top - i <= more * t[MSS]:
                        break
                    want = i
                    length = min([j for j in have if j > i]) - i
                    break
        got = recovery.hole(t)
        assert got == want, (got, want, have, again, w.top)
        if got >= 0:
            assert t[2] == length
    # HIGH_RXT below SND_UNA counts as that.
    w = Pieces(chance)
    w.t[HIGH_RXT] = (w.una - 5) & M32
    assert recovery.in_flight(w.t) == w.sent - w.top


def test_2018_8_after_a_timeout_what_the_peer_has_is_left_out():
    chance = Chance(45)
    for _ in range(30 if BOARD else 400):
        w = Pieces(chance)
        for ahead in (0, chance.below(w.sent), chance.below(w.sent), w.sent, w.top):
            want = ahead
            while want in w.have:
                want += 1
            later = [i for i in w.have if i > want]
            assert recovery.skip(w.t, ahead) == want, (w.have, ahead)
            assert w.t[2] == (min(later) - want if later else 0x1FFFFFFF)


def test_3708_how_many_may_overtake_one():
    for more in (0, 2, 30):
        for segments in range(12):
            for rest in (0, 1, 99):
                h, s, t, st = control()
                t[MSS], t[UNA] = 100, M32 - 50
                t[MAX] = (t[UNA] + 100 * segments + rest) & M32
                t[REPEATS] = more << 16 | 5
                want = 3 + min(more, max(segments - 4, 0))
                assert recovery._threshold(t) == want, (more, segments)


def sack_option(una, pieces):
    o = bytes([5, 2 + 8 * len(pieces)])
    for a, b in pieces:
        o += u32(una + a & M32) + u32(una + b & M32)
    return o


def test_2018_what_a_sack_option_reports():
    """Pieces within what has been sent are noted; others are lies, and left out."""
    chance = Chance(46)
    for _ in range(30 if BOARD else 300):
        w = Pieces(chance)
        t, st = w.t, w.st
        said = []
        for _ in range(1 + chance.below(4)):
            a = chance.below(w.sent + 6) - 3
            b = a + chance.below(10) - 1
            said.append((a, b))
        p = b"\1\1\1" + sack_option(w.una, said)
        st[114] = 3
        t[FLAGS] = SACK
        t[REPEATS] = 0
        before = len(w.have)
        have = w.have
        for a, b in said:
            if 0 <= a < b <= w.sent:
                new = have | set(range(a, b))
                known = blocks(have)
                if [1 for x, y in known if x <= b and a <= y] or len(known) < t[t[SACKED]]:
                    have = new
        got = recovery.sacked(st, t, p)
        assert got == (len(have) > before), (said, w.have)
        table = t[SACKED]
        found = [
            [(t[table + 2 + 2 * i + k] - w.una) & M32 for k in (0, 1)] for i in range(t[table + 1])
        ]
        assert found == blocks(have), (said, found, blocks(have))


def test_2883_5_a_first_block_below_what_is_acknowledged_is_a_duplicate():
    for first, counted in (
        ((-9, -4), True),
        ((-9, 0), True),
        ((-1, 0), True),
        ((-9, 3), False),
        ((0, 5), False),
        ((3, 9), False),
    ):
        for place in (0, 1):
            w = Pieces(Chance(1))
            w.sent = 50
            w.t[MAX] = (w.una + 50) & M32
            w.t[w.t[SACKED] + 1] = 0
            w.t[REPEATS] = 3 << 16 | 4
            said = [(20, 25)]
            said.insert(place, first)
            w.st[114] = 0
            w.t[FLAGS] = SACK
            recovery.sacked(w.st, w.t, sack_option(w.una, said))
            assert w.t[REPEATS] == (3 << 16 | (3 if counted and place == 0 else 4)), (first, place)


def test_3708_when_all_that_was_repeated_was_needless():
    """The window is what it was, and more may overtake a segment, up to thirty."""
    for count, prior, timed_out, more, undone in (
        (0, 9000, False, 2, False),
        (2, 9000, False, 2, False),
        (1, 0, False, 2, False),
        (1, 9000, False, 2, True),
        (1, 900, False, 28, True),
        (1, 9000, False, 29, True),
        (1, 9000, False, 30, True),
        (1, 9000, True, 2, True),
    ):
        for kind in ("reno", "none"):
            h, s, t, st = control(congestion=kind)
            t[REPEATS] = more << 16 | count
            t[PRIOR_CWND], t[PRIOR_SSTHRESH] = prior, 4444
            t[CWND], t[SSTHRESH] = 1000, 2000
            t[NXT], t[MAX] = 500, 1500
            bits = RECOVERY | AGAIN | SACK | (TIMED_OUT if timed_out else 0)
            t[FLAGS] = bits
            recovery._had_twice(t)
            left = max(count - 1, 0)
            if not undone:
                assert t[FLAGS] == bits and t[CWND] == 1000 and t[SSTHRESH] == 2000
                assert t[REPEATS] == more << 16 | left and t[PRIOR_CWND] == prior
                assert t[NXT] == 500
                continue
            assert t[FLAGS] == SACK and t[PRIOR_CWND] == 0
            assert t[CWND] == (max(prior, 1000) if kind == "reno" else 1000)
            assert t[SSTHRESH] == (4444 if kind == "reno" else 2000)
            assert t[NXT] == (1500 if timed_out else 500)
            grown = more + 2 if not timed_out and more < 30 else more
            assert t[REPEATS] == grown << 16, (more, t[REPEATS] >> 16)


def test_a_loss_remembers_what_it_costs_unless_it_is_part_of_another():
    for bits in (0, RECOVERY, TIMED_OUT):
        h, s, t, st = control()
        t[FLAGS] = bits | SACK
        t[CWND], t[SSTHRESH], t[PRIOR_CWND], t[PRIOR_SSTHRESH] = 1, 2, 3, 4
        t[REPEATS] = 5 << 16 | 6
        recovery._begin(t)
        kept = (3, 4, 5 << 16 | 6) if bits else (1, 2, 5 << 16)
        assert (t[PRIOR_CWND], t[PRIOR_SSTHRESH], t[REPEATS]) == kept


def test_6675_5_a_timeout():
    """SSTHRESH falls with the first, the list of pieces with the second (RFC 2018 section 8)."""
    for kind in ("reno", "none"):
        for backoff in (0, 1):
            for sack in (0, SACK):
                h, s, t, st = control(congestion=kind)
                t[BACKOFF] = backoff << 8 | 3
                t[UNA], t[MAX], t[MSS] = M32 - 2, 9997, 500
                t[CWND], t[SSTHRESH] = 8000, 7000
                t[DUP_ACKS] = 2
                t[t[SACKED] + 1] = 2
                t[FLAGS] = sack | RECOVERY | AGAIN
                recovery.timeout(t)
                assert t[FLAGS] == sack | TIMED_OUT and t[DUP_ACKS] == 0
                assert t[RECOVER] == 9997
                assert t[t[SACKED] + 1] == (0 if backoff and sack else 2)
                if kind == "none":
                    assert (t[CWND], t[SSTHRESH]) == (8000, 7000)
                else:
                    assert (t[CWND], t[SSTHRESH]) == (500, 7000 if backoff else 5000)


def test_words_as_bytes():
    from smolmpy.tcp.options import put

    w = array("I", [7, 0x01020304, 0xF1E2D3C4, 9])
    d = bytearray(b"\xaa" * 14)
    assert put(w, 1, d, 3) == 11
    assert bytes(d) == b"\xaa" * 3 + b"\1\2\3\4\xf1\xe2\xd3\xc4" + b"\xaa" * 3
