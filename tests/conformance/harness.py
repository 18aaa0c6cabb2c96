"""What a scenario is made of: a device in memory, a host with a clock, a TCP peer.

A scenario puts frames in (`h.inject`, `p.send`), makes calls, lets time pass (`h.advance`) and
says which frames must have come out (`h.expect`, `p.expect`, `h.expect_nothing`). It runs alike
on CPython, on every MicroPython edition and on a board.
"""

import sys

from frames import *  # noqa: F403
from frames import (
    GATEWAY,
    GATEWAY_MAC,
    OUR,
    OUR_MAC,
    PEER,
    PEER_MAC,
    Packet,
    flag_bits,
    tcp,
    tcp_options,
)
from smolmpy import Interface, TCPSocket
from smolmpy.core import counters

EAGAIN = -11
M32 = 0xFFFFFFFF
# The clock of a scenario wraps, as ticks_ms does on a board, 2.5 s after its start.
START = (1 << 30) - 2500
# The peer's first sequence number is such that the stream soon wraps.
ISS = (1 << 32) - 3
# With this key the stack's first sequence number, for the connection that `established` makes at
# the start, is 995 below the wrap.
SOON = b"s\x08m\x40o\xfal\xb6"
FIRST_COUNTER = counters.index(counters.names()[0])
END_OF_COUNTERS = FIRST_COUNTER + len(counters.names())
# A board, emulated, takes a share of what is long.
BOARD = sys.platform not in ("linux", "darwin")
# What a device leaves in the buffer behind a frame, and where it has none: nothing that counts.
REST = bytes((165 + 7 * i) & 255 for i in range(96))


def share(cases, every=7):
    """All of the cases; on a board one of `every`, which is prime to the periods in them."""
    return [c for i, c in enumerate(cases) if not (BOARD and i % every)]


class MemoryDevice:
    """A device whose medium is two lists: `queue` to be received, `sent` by the stack."""

    def __init__(self, mtu=1500):
        self.mtu = mtu
        self.queue = []
        self.sent = []
        self.refuse = 0  # transmit returns this errno while it is not 0
        self.fail = 0  # receive returns this errno once
        self.clock = None

    def receive(self, buf):
        if self.fail:
            code, self.fail = self.fail, 0
            return code
        if not self.queue:
            buf[: len(REST)] = REST
            return 0
        frame = self.queue.pop(0)
        n = len(frame)
        if n > len(buf):
            return -90
        buf[:n] = frame
        end = min(n + len(REST), len(buf))
        buf[n:end] = REST[: end - n]
        return n

    def transmit(self, buf, length):
        if self.refuse:
            return self.refuse
        assert 14 <= length <= self.mtu + 14, "frame of %d bytes sent" % length
        self.sent.append((self.clock.t if self.clock else 0, bytes(buf[:length])))
        return 0


class Host:
    """An interface at 192.168.69.1/24 on a `MemoryDevice`, with a clock of its own.

    `t` is the time since the start, in ms; `now` what the stack is told. `start` and `wrap` set
    the clock's origin and modulus. `neighbor`: the peer and the gateway are static neighbors.
    """

    def __init__(self, start=START, wrap=1 << 30, neighbor=True, mtu=1500, address=True, **kw):
        self.t = 0
        self.start = start
        self.wrap = wrap
        self.device = MemoryDevice(mtu)
        self.device.clock = self
        self.iface = Interface(self.device, OUR_MAC, **kw)
        if address:
            self.iface.add_address(OUR + "/24")
            self.iface.gateway = GATEWAY
        if neighbor:
            self.iface.add_neighbor(PEER, PEER_MAC)
            self.iface.add_neighbor(GATEWAY, GATEWAY_MAC)
        if address:
            self.run()
            self.clear()

    @property
    def now(self):
        return (self.start + self.t) % self.wrap

    def clear(self):
        """Forgets what was sent."""
        self.device.sent = []

    def add(self, socket):
        return self.iface.add(socket)

    def inject(self, *frames):
        """Queues frames and polls until nothing is left to do at this moment."""
        for f in frames:
            self.device.queue.append(f)
        self.run()

    def run(self):
        iface = self.iface
        for _ in range(300):
            assert iface.poll(self.now) >= 0
            if not self.device.queue and (self.device.refuse or iface.poll_delay(self.now) != 0):
                return
        raise AssertionError("poll_delay stays 0")

    def advance(self, ms):
        """Lets time pass as a program does that sleeps `poll_delay` before each `poll`."""
        end = self.t + ms
        while True:
            d = self.iface.poll_delay(self.now)
            if d < 0 or d > end - self.t:
                break
            self.t += d
            self.run()
        if self.t < end:
            self.t = end
            self.run()

    def counter(self, name):
        return self.iface.counter(name)

    def tally(self):
        """All counters in their order, to compare them often: names take a board long."""
        return self.iface._st[FIRST_COUNTER:END_OF_COUNTERS]

    def counted(self, other):
        """What two hosts count differently."""
        ours, theirs = self.iface.counters(), other.iface.counters()
        return [(name, ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]]

    def next(self):
        """The oldest frame sent and not yet looked at."""
        if not self.device.sent:
            self.run()
        assert self.device.sent, "nothing was sent"
        at, frame = self.device.sent.pop(0)
        assert frame[6:12] == OUR_MAC, "sent from another Ethernet address"
        return Packet(frame, at)

    def expect(self, kind, **fields):
        """Takes the next frame, which must be of this kind and have these fields."""
        if not self.device.sent:
            self.run()
        assert self.device.sent, "expected %s %s, nothing was sent" % (kind, fields)
        p = self.next()
        assert p.kind == kind, "expected %s %s, got %s%s" % (kind, fields, p, self.rest())
        for name in fields:
            got = getattr(p, name)
            assert got == fields[name], "expected %s=%s, got %s in %s%s" % (
                name,
                fields[name],
                got,
                p,
                self.rest(),
            )
        return p

    def expect_idle(self):
        """Nothing is sent and nothing is due; `poll_delay` may be early, a few times."""
        for _ in range(4):
            self.expect_nothing()
            d = self.iface.poll_delay(self.now)
            if d < 0:
                return
            self.t += d
        raise AssertionError("poll_delay is %d, and nothing is done then" % d)

    def expect_nothing(self):
        self.run()
        assert not self.device.sent, "expected nothing%s" % self.rest()

    def rest(self):
        if not self.device.sent:
            return ""
        return ", sent: %s" % [Packet(f, at) for at, f in self.device.sent]


class Peer:
    """The other end of one TCP connection. Sequence numbers count from each side's SYN.

    The stack's first sequence number and port are learned from the SYN that it sends.
    `seq` and `ack` are what `send` uses where none is given: kept by the scenario.
    """

    def __init__(self, h, port=49500, to=6969, iss=ISS, src=PEER, smac=PEER_MAC):
        self.h = h
        self.port = port
        self.to = to
        self.iss = iss
        self.irs = None
        self.src = src
        self.smac = smac
        self.seq = 0
        self.ack = 0
        self.win = 65535

    def frame(self, flags, seq=None, ack=None, data=b"", win=None, options=None, **kw):
        s = (self.iss + (self.seq if seq is None else seq)) & M32
        a = 0
        if "A" in flags:
            a = ((self.irs or 0) + (self.ack if ack is None else ack)) & M32
        if options is None:
            o = {}
            for name in ("mss", "ws", "sackok", "ts", "sack"):
                if name in kw:
                    o[name] = kw.pop(name)
            if "sack" in o:
                o["sack"] = [
                    ((self.irs + left) & M32, (self.irs + right) & M32)
                    for left, right in o["sack"]
                ]
            options = tcp_options(**o)
        win = self.win if win is None else win
        kw["smac"] = kw.get("smac", self.smac)
        kw["src"] = kw.get("src", self.src)
        return tcp(self.port, self.to, flags, s, a, data, win, options=options, **kw)

    def send(self, flags, seq=None, ack=None, data=b"", **kw):
        self.h.inject(self.frame(flags, seq, ack, data, **kw))

    def where(self, p):
        return "in %s (seq=%s ack=%s relative)%s" % (p, p.rel, p.rack, self.h.rest())

    def expect(self, flags=None, seq=None, ack=None, data=None, **fields):
        """Takes the next frame: a segment to this peer. PSH is compared only if named."""
        p = self.h.expect("tcp", dst=self.src, dport=self.port, dmac=self.smac)
        if "S" in p.flags and self.irs is None:
            self.irs = p.seq
            self.to = p.sport
        p.rel = None if self.irs is None else (p.seq - self.irs) & M32
        p.rack = (p.ack - self.iss) & M32
        got = p.flags if flags is not None and "P" in flags else p.flags.replace("P", "")
        assert p.sport == self.to, "wrong source port " + self.where(p)
        if flags is not None:
            assert flag_bits(got) == flag_bits(flags), "expected flags %s %s" % (
                flags,
                self.where(p),
            )
        if seq is not None:
            assert p.rel == seq, "expected seq=%d %s" % (seq, self.where(p))
        if ack is not None:
            assert p.rack == ack, "expected ack=%d %s" % (ack, self.where(p))
        if data is not None:
            assert p.data == data, "expected data %s, got %s %s" % (data, p.data, self.where(p))
        for name in fields:
            f = getattr(p, name)
            assert f == fields[name], "expected %s=%s, got %s %s" % (
                name,
                fields[name],
                f,
                self.where(p),
            )
        if p.sack:
            p.sack = [((a - self.iss) & M32, (b - self.iss) & M32) for a, b in p.sack]
        return p


def listener(h=None, port=6969, rx=2048, tx=2048, **opts):
    """A host and a listening socket with these options set."""
    h = h or Host(seed=SOON)
    s = h.add(TCPSocket(rx, tx))
    for name in opts:
        setattr(s, name, opts[name])
    s.listen(port)
    return h, s


def syn_received(h=None, iss=ISS, syn=None, **opts):
    h, s = listener(h, **opts)
    p = Peer(h, iss=iss)
    p.send("S", 0, **(syn or {"mss": 1460}))
    p.expect("SA", 0, 1)
    p.seq = p.ack = 1
    return h, p, s


def established(h=None, iss=ISS, syn=None, **opts):
    """A connection opened by the peer; `syn` holds the peer's SYN options."""
    h, p, s = syn_received(h, iss, syn, **opts)
    p.send("A")
    assert s.state == TCPSocket.ESTABLISHED
    h.expect_nothing()
    return h, p, s


def connecting(h=None, iss=ISS, port=80, rx=2048, tx=2048, **opts):
    h = h or Host()
    s = h.add(TCPSocket(rx, tx))
    for name in opts:
        setattr(s, name, opts[name])
    assert s.connect(PEER, port) == 0
    p = Peer(h, port=port, iss=iss)
    p.expect("S", 0)
    p.ack = 1
    return h, p, s


def connected(h=None, iss=ISS, syn=None, **opts):
    """A connection opened by the stack."""
    h, p, s = connecting(h, iss, **opts)
    p.send("SA", 0, 1, **(syn or {"mss": 1460}))
    p.expect("A", 1, 1)
    p.seq = 1
    assert s.state == TCPSocket.ESTABLISHED
    return h, p, s


def recv(s, n=4096):
    """What `recv_into` returns: bytes, or the count when it is not positive."""
    buf = bytearray(n)
    got = s.recv_into(buf)
    return bytes(buf[:got]) if got > 0 else got


def raises(exc, name, f, *args, **kw):
    """`f` must raise `exc` with `name` in its text."""
    try:
        f(*args, **kw)
    except exc as e:
        if name:
            assert name in str(e), "%s does not name %s" % (e, name)
        return e
    raise AssertionError("no %s raised" % exc)
