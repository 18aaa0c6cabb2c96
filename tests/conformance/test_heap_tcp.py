"""With the heap locked: long transfers with losses, in every combination of TCP's options."""

from harness import *
from locked import *

SIZE = 150000


def later(now, ms):
    """The time `ms` after `now`, modulo 2^30: a sum beyond that would be allocated."""
    rest = 0x3FFFFFFF - now
    return now + ms if ms <= rest else ms - rest - 1


class Transfer:
    """Two hosts on a cable that loses frames; `run` sends SIZE bytes from one to the other."""

    def __init__(self, drop, delay=3, rx=6000, tx=6000, **options):
        self.ends = cable(drop)
        self.a = Interface(self.ends[0], OUR_MAC)
        self.a.add_address(OUR + "/24")
        self.b = Interface(self.ends[1], PEER_MAC)
        self.b.add_address(PEER + "/24")
        self.server = self.a.add(TCPSocket(rx, 64))
        self.client = self.b.add(TCPSocket(64, tx))
        for name in options:
            setattr(self.server, name, options[name])
            setattr(self.client, name, options[name])
        self.server.listen(80)
        self.client.connect(OUR, 80)
        self.client.time_wait = self.server.time_wait = 0
        self.buf = bytearray(1000)
        self.piece = bytearray(1000)
        self.now = START
        self.delay = delay
        self.sent = 0
        self.got = 0
        self.good = True
        self.turns = 0
        # Nothing is set up by the first connection that the second would not need, but names
        # that are loaded on first use are.
        self.steps(30)

    def run(self):
        self.steps(20000)

    def steps(self, turns):
        a, b = self.a, self.b
        client, server = self.client, self.server
        while turns:
            turns -= 1
            self.turns += 1
            a.poll(self.now)
            b.poll(self.now)
            self.fill()
            self.drain()
            if client.state == TCPSocket.CLOSED and server.state == TCPSocket.CLOSED:
                return
            wait = self.delay
            if not self.ends[0].count and not self.ends[1].count:
                wait = self.earliest(a.poll_delay(self.now), b.poll_delay(self.now))
            self.now = later(self.now, wait)

    def earliest(self, x, y):
        if x < 0 or 0 <= y < x:
            x = y
        return max(1, min(x, 1000)) if x >= 0 else 1000

    def fill(self):
        if self.sent == SIZE:
            return
        n = min(1000, SIZE - self.sent)
        k = self.sent
        for i in range(n):
            self.piece[i] = (k >> 8 ^ k) & 255
            k += 1
        n = self.client.send(self.piece, n)
        if n > 0:
            self.sent += n
            if self.sent == SIZE:
                self.client.close()

    def drain(self):
        while True:
            n = self.server.recv_into(self.buf)
            if n <= 0:
                if n == 0 and self.server.state == TCPSocket.CLOSE_WAIT:
                    self.server.close()
                return
            k = self.got
            for i in range(n):
                if self.buf[i] != (k >> 8 ^ k) & 255:
                    self.good = False
                k += 1
            self.got = k


def check(drop, **options):
    for name in list(options):
        if lacking(name):
            del options[name]
    x = Transfer(drop, **options)
    under_lock(x.run)
    assert x.good and x.got == SIZE, (options, x.got, x.turns, x.client, x.server)
    assert not drop or x.ends[0].lost + x.ends[1].lost >= 3


def lacking(name):
    return name not in ("rx", "tx") and not hasattr(TCPSocket(64, 64), name)


def test_without_loss():
    check(0)


def test_without_anything():
    for drop in (0, 11, 29):
        check(drop, sack=False, congestion="none")


def test_newreno():
    for drop in (7, 19, 41):
        check(drop, sack=False, congestion="reno")


def test_sack():
    for drop in (5, 13, 31):
        check(drop, sack=True, congestion="reno")


def test_cubic():
    for drop in (11, 23):
        check(drop, sack=True, congestion="cubic")


def test_timestamps():
    for drop in (7, 23):
        check(drop, sack=True, timestamps=True, congestion="cubic")


def test_everything_with_large_buffers():
    for drop in (17, 37):
        check(
            drop,
            rx=70000,
            tx=20000,
            sack=True,
            timestamps=True,
            ecn=True,
            keep_alive=5000,
            timeout=60000,
            congestion="reno",
        )


def test_tiny_buffers():
    for drop in (0, 9):
        check(drop, rx=700, tx=700)
