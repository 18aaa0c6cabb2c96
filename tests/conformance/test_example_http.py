"""examples/http_server.py: clients that are slow, and what goes wrong, in time that is told."""

import example
from harness import *

web = example.load("http_server")
GRACE = web.GRACE_MS
REQUEST = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"


class Client:
    """A client that takes at most `rate` bytes a second and writes as fast as it is told to."""

    port = 50000

    def __init__(self, w, rate=None, request=b""):
        Client.port += 1
        self.w = w
        self.port = Client.port
        self.rate = rate
        self.peer = Peer(w.h, port=self.port, to=80)
        self.received = 0  # bytes, of which the first are kept, and the last, and letters counted
        self.head = b""
        self.tail = b""
        self.letters = 0
        self.state = "connecting"
        self.at = 0  # when it was connected, and when it was reset or had the end
        self.end = 0
        self.tries = 0
        self.again = w.h.t
        self.sent = 1
        self.request = request
        self.edge = 0  # how much it has room for: the end of the window that it told last
        w.clients.append(self)

    def act(self):
        """Repeats its SYN, or opens its window a little."""
        h = self.w.h
        if self.state == "connecting":
            if h.t >= self.again:
                # As Linux does: after 1, 3, 7, 15 seconds.
                self.again = h.t + (1000 << self.tries)
                self.tries += 1
                self.put("S", 0, mss=1460, win=1460)
        elif self.state == "open" and self.rate is not None:
            # An honest one does not tell of every byte (RFC 9293 section 3.8.6.2.2).
            if self.received + self.win() - self.edge >= (536 if self.rate > 1 else 1):
                self.put("A")

    def win(self):
        if self.rate is None:
            return 8192
        allowed = self.rate * (self.w.h.t - self.at) // 1000
        return max(0, min(8192, int(allowed) - self.received))

    def put(self, flags, seq=None, data=b"", **kw):
        p = self.peer
        kw["win"] = kw.get("win", 0) or self.win()
        self.edge = self.received + kw["win"]
        seq = self.sent if seq is None else seq
        ack = 1 + self.received + (self.state == "ended")
        self.w.h.device.queue.append(p.frame(flags, seq, ack, data, **kw))

    def write(self, data):
        self.put("PA", data=data)
        self.sent += len(data)

    def hear(self, p):
        self.peer.irs = p.seq if "S" in p.flags else self.peer.irs
        if "R" in p.flags:
            self.state = "reset"
            self.end = self.w.h.t
        elif "S" in p.flags:
            if self.state == "connecting":
                self.state = "open"
                self.at = self.w.h.t
                self.put("A")
                if self.request:
                    self.write(self.request)
        else:
            at = (p.seq - self.peer.irs - 1) & M32
            if at <= self.received:
                self.take(p.data[self.received - at : self.edge - at])
            if "F" in p.flags and at + len(p.data) == self.received:
                self.state = "ended"
                self.end = self.w.h.t
                self.put("FA")
            elif p.data:
                self.put("A")

    def take(self, data):
        self.received += len(data)
        if len(self.head) < 1024:
            self.head += data
        self.tail = (self.tail + data)[-7:]
        self.letters += data.count(b"q")

    @property
    def whole(self):
        """Whether the last chunk has come."""
        return self.tail == b"\r\n0\r\n\r\n"

    def is_over(self):
        """Whether the answer has come, or never will."""
        return self.whole or self.state in ("reset", "ended")

    @property
    def code(self):
        return int(self.head[9:12]) if self.head[:5] == b"HTTP/" else None


class World:
    """A server and its clients; time goes in steps of at most 50 ms."""

    def __init__(self, pages=None, sockets=4):
        self.h = Host(sockets=sockets)
        self.pages = pages or {}
        self.server = web.Server(self.h.iface, self.pages, 80, sockets)
        self.clients = []

    def client(self, path=None, rate=None):
        request = REQUEST % path.encode() if path else b""
        return Client(self, rate, request)

    def advance(self, ms, until=None):
        h = self.h
        end = h.t + ms
        while h.t < end and not (until and until()):
            for c in self.clients:
                c.act()
            while True:
                delay = self.server.step(h.now)
                sent = [Packet(f, at) for at, f in h.device.sent]
                h.clear()
                for p in sent:
                    for c in self.clients:
                        if p.kind == "tcp" and p.dport == c.port:
                            c.hear(p)
                if not h.device.queue and delay:
                    break
            h.t += 50 if delay < 0 else min(delay, 50)

    def states(self):
        return [c.state for c in self.clients]


def text(n):
    def write(server):
        for _ in range(n // 100):
            yield "q" * 100

    return write


def page(n):
    return {"/": ("text/plain", text(n))}


def endless():
    def write(server):
        while True:
            yield "q" * 500

    return {"/": ("text/plain", write)}


def test_a_page():
    w = World(page(5000))
    c = w.client("/")
    w.advance(1000)
    assert c.code == 200 and c.letters == 5000 and c.whole and c.state == "open"
    c.head = b""
    # Kept for the next request, and closed after a while.
    c.write(REQUEST % b"/nothing")
    w.advance(1000)
    assert b"no /nothing here" in c.head
    w.advance(web.IDLE_MS)
    assert c.state == "ended"


def test_one_byte_in_ten_seconds():
    w = World(page(10000))
    c = w.client("/", rate=0.1)
    w.advance(100000, c.is_over)
    assert c.state == "reset" and c.end - c.at <= web.STALL_MS + 2000, (c.state, c.end)


def test_the_least_rate():
    for rate, whole in ((300, True), (200, False), (30, False)):
        w = World(page(20000))
        c = w.client("/", rate=rate)
        w.advance(web.ANSWER_MS, c.is_over)
        if whole:
            assert c.state == "open" and c.letters == 20000, rate
        else:
            assert c.state == "reset", rate
            assert c.end - c.at <= web.STALL_MS + c.received * 1000 // web.LEAST_RATE + 2000


def test_the_end_of_an_answer_that_is_all_in_the_buffer():
    """What fits into the socket's buffer has to be taken as well, before the lingering begins."""
    w = World(page(2000))
    for rate in (400, 0.1):
        c = Client(w, rate, b"GET / HTTP/1.0\r\n\r\n")
        w.advance(60000, c.is_over)
        if rate == 400:
            assert c.state == "ended" and c.letters == 2000
        else:
            assert c.state == "reset" and c.end - c.at <= web.STALL_MS + 2000


def test_reading_that_stops():
    w = World(endless())
    c = w.client("/", rate=5000)
    w.advance(20000)
    assert c.state == "open" and c.received > 80000
    stopped = w.h.t
    c.rate = 0
    w.advance(60000, c.is_over)
    assert c.state == "reset" and c.end - stopped <= web.STALL_MS + 2000


def test_the_whole_has_its_time():
    w = World(endless())
    c = w.client("/", rate=3000)
    w.advance(web.ANSWER_MS - 1000)
    assert c.state == "open"
    w.advance(3000)
    assert c.state == "reset"


def test_the_slowest_gives_way():
    w = World(page(60000))
    slow = [w.client("/", rate=rate) for rate in (500, 300, 700, 600)]
    w.advance(500)
    assert w.states() == ["open"] * 4
    other = w.client("/", rate=None)
    w.advance(10000, lambda: other.code)
    assert other.code == 200 and other.at - slow[0].at <= 2 * GRACE + 4000, other.at
    assert slow[1].state == "reset" and slow[2].state == "open", w.states()
    assert all(c.state == "open" or c.end > slow[1].end for c in slow if c is not slow[1])
    w.advance(5000, other.is_over)
    assert other.letters == 60000


def test_those_who_take_their_answer_stay():
    w = World(page(20000))
    for _ in range(4):
        w.client("/", rate=2000)
    w.advance(500)
    other = w.client("/")
    w.advance(30000, lambda: other.code)
    assert [c.letters for c in w.clients[:4]] == [20000] * 4, w.states()
    assert other.code == 200


def test_slow_readers_do_not_hold_the_server():
    """As often as they come again."""
    w = World(page(10000))
    for i in range(40):
        if sum(c.state in ("open", "connecting") for c in w.clients) < 8:
            w.client("/", rate=0.1)
        w.advance(500)
    # Whoever reads is served, though not at once.
    for _ in range(3):
        other = w.client("/")
        w.advance(60000, other.is_over)
        assert other.letters == 10000
        assert other.tries <= 6
        w.clients.remove(other)
        for _ in range(3):
            w.client("/", rate=0.1)
            w.advance(100)


def test_slow_writers():
    w = World(page(1000))
    c = w.client()
    start = w.h.t
    for i in range(30):
        if c.state == "open":
            c.write(b"G")
        w.advance(1000)
    assert c.code == 408 and c.end - start <= web.REQUEST_MS + 2000
    # Four of them, and one who is not.
    w = World(page(1000))
    slow = [w.client() for _ in range(4)]
    other = None
    for i in range(12):
        for c in slow:
            if c.state == "open":
                c.write(b"G")
        w.advance(1000)
        if i == 0:
            other = w.client("/")
    assert other.code == 200 and other.tries <= 4


def test_clients_that_say_nothing_or_do_not_close():
    w = World(page(1000))
    silent = [w.client() for _ in range(4)]
    w.advance(100)
    other = w.client("/")
    w.advance(10000, lambda: other.code)
    assert other.code == 200 and "ended" in [c.state for c in silent]
    w = World(page(1000))
    for _ in range(4):
        c = Client(w, None, b"GET / HTTP/1.0\r\n\r\n")
        c.put = lambda flags, *args, c=c, **kw: "F" in flags or Client.put(c, flags, *args, **kw)
    w.advance(100)
    assert w.states() == ["ended"] * 4
    other = w.client("/")
    w.advance(10000, lambda: other.code)
    assert other.code == 200


class Lacking:
    """In whose place there is no memory: the first `times` calls raise MemoryError."""

    def __init__(self, function, times=1, error=MemoryError):
        self.function = function
        self.times = times
        self.error = error

    def __call__(self, *args):
        if self.times:
            self.times -= 1
            raise self.error("no memory")
        return self.function(*args)


def test_no_memory_ends_one_connection():
    for name in ("parse_request", "chunked"):
        w = World(page(1000))
        good = w.client("/", rate=500)
        w.advance(100)
        before = getattr(web, name)
        setattr(web, name, Lacking(before))
        try:
            c = w.client("/")
            w.advance(1000)
        finally:
            setattr(web, name, before)
        assert (c.code, c.state) == (503, "ended"), name
        other = w.client("/")
        w.advance(3000)
        assert other.code == 200 and good.letters == 1000


def test_pages_that_fail():
    def late(server):
        yield "q" * 100
        raise MemoryError

    def wrong(server):
        yield "q" * 100
        raise ValueError("wrong")

    class Output:
        printed = []
        # What is printed needs memory, too.
        print_exception = Lacking(printed.append)

    before = web.sys
    web.sys = Output
    try:
        for write, state in (
            (Lacking(text(100)), "ended"),
            (Lacking(text(100), 1, ValueError), "reset"),
            (late, "reset"),
            (wrong, "reset"),
        ):
            w = World({"/": ("text/plain", write), "/good": ("text/plain", text(300))})
            good = w.client("/good", rate=200)
            c = w.client("/")
            w.advance(1500)
            assert c.state == state, (c.state, c.head)
            w.advance(3000)
            assert good.letters == 300
            other = w.client("/good")
            w.advance(1000)
            assert other.letters == 300
    finally:
        web.sys = before
    assert len(Output.printed) == 1


def test_long_paths():
    w = World(page(100))
    c = w.client("/" + "<" * 900)
    w.advance(1000)
    assert c.code == 404 and c.received < 600 and c.head.count(b"&lt;") == 63
    assert b"<<" not in c.head and b"..." in c.head
    c = w.client("/short")
    w.advance(1000)
    assert b"no /short here" in c.head
