"""Mutated frames through the stack: `fuzz.py FRAMES SEED`, under any interpreter.

Beside them lives one TCP connection, which must not notice; a listener, a second connection, UDP,
ICMP and raw sockets are shot at. An exception, a counter that does not add up, a malformed frame
sent or a byte lost on the living connection ends the run. The last line is `fuzzed N frames`.

A third of the frames keep their wrong checksums; the others are mended, so that what lies behind
the checksums is reached.
"""

import sys

from harness import *
from smolmpy import ICMPSocket, RawSocket, UDPSocket

THIRD = "192.168.69.33"
THIRD_MAC = b"\x02\x00\x00\x00\x00\x33"
# Values at which arithmetic goes wrong.
EDGES = (0, 1, 4, 5, 15, 0x45, 0x7F, 0x80, 0xFE, 0xFF)
ROUND = 256
# What some thousand frames must have met; a check that is never reached is none.
MET = (
    "eth_runt eth_not_for_us eth_source eth_802_3 eth_vlan eth_type arp_malformed ip_malformed "
    "ip_checksum ip_source ip_not_for_us ip_fragment ip_options ip_protocol icmp_malformed "
    "icmp_checksum icmp_echo icmp_ignored icmp_errors_rx icmp_errors_tx udp_malformed "
    "udp_checksum udp_no_socket udp_full tcp_malformed tcp_checksum tcp_no_socket tcp_rst_tx "
    "tcp_challenge_acks tcp_out_of_order rx_oversize"
).split()


class Random:
    """A xorshift generator whose state fits into 28 bits (seeded, alike everywhere)."""

    def __init__(self, seed):
        self.x = (seed * 2654435 + 12345) & 0xFFFFFFF or 1

    def below(self, n):
        x = self.x
        x ^= (x << 7) & 0xFFFFFFF
        x ^= x >> 9
        x ^= (x << 8) & 0xFFFFFFF
        self.x = x
        return (x >> 3) % n


class FuzzDevice:
    """Hands out `buf[:n]` once, then what is in `queue`; checks some of what is sent."""

    mtu = 1500

    def __init__(self):
        self.buf = bytearray(2048)
        self.n = 0
        self.received = 0
        self.count = 0
        self.queue = []
        self.sent = []
        self.keep = True
        self.refuse = 0

    def receive(self, buf):
        n = self.n
        if n:
            self.n = 0
            frame = self.buf
        elif self.queue:
            frame = self.queue.pop(0)
            n = len(frame)
        else:
            return 0
        self.received += 1
        if n > len(buf):
            return -90
        buf[:n] = memoryview(frame)[:n]
        return n

    def transmit(self, buf, length):
        self.count += 1
        if self.keep:
            self.sent.append((0, bytes(buf[:length])))
        elif self.count & 63 == 0:
            Packet(bytes(buf[:length]))
        return 0


def mend(f, n):
    """Makes the checksums of the frame f[:n] right, where it has a place for them."""
    if n < 34 or f[12] != 8 or f[13] != 0:
        return
    hlen = (f[14] & 15) * 4
    if hlen < 20 or 14 + hlen > n:
        return
    f[24] = f[25] = 0
    put(f, 24, total(f, 14, 14 + hlen) ^ 0xFFFF)
    end = 14 + (f[16] << 8 | f[17])
    at = 14 + hlen
    where = {1: 2, 2: 2, 6: 16, 17: 6}.get(f[23])
    if where is None or end > n or at + where + 2 > end:
        return
    f[at + where] = f[at + where + 1] = 0
    s = total(f, at, end)
    if f[23] > 2:
        s += total(f, 26, 34) + f[23] + end - at
        s = (s & 0xFFFF) + (s >> 16)
        s = (s & 0xFFFF) + (s >> 16)
    put(f, at + where, s ^ 0xFFFF)


def put(f, at, value):
    f[at] = value >> 8
    f[at + 1] = value & 255


def total(f, at, end):
    s = 0
    last = end - 1
    while at < last:
        s += f[at] << 8 | f[at + 1]
        at += 2
    if at < end:
        s += f[at] << 8
    s = (s & 0xFFFF) + (s >> 16)
    return (s & 0xFFFF) + (s >> 16)


class Fuzz:
    def __init__(self, seed):
        self.random = Random(seed)
        h = self.h = Host(sockets=8)
        h.iface.add_neighbor(THIRD, THIRD_MAC)
        self.device = d = FuzzDevice()
        h.device = h.iface.device = d
        self.live = self.establish(listener(h, rx=512, tx=512)[1], Peer(h, 49000))
        self.live_at = 1
        self.victim = h.add(TCPSocket(300, 300))
        self.listener = h.add(TCPSocket(64, 64))
        self.udp = h.add(UDPSocket(200, 200))
        self.udp.bind(77)
        self.icmp = h.add(ICMPSocket(200, 64))
        self.icmp.bind(1)
        self.raw = h.add(RawSocket(400, 64, 3, ethertype=None))
        self.buf = bytearray(1600)
        self.deaths = 0
        self.rounds = 0
        self.before = h.iface.counters()
        d.received = 0

    def establish(self, s, p, stamp=None, **offer):
        p.send("S", 0, mss=1000, ts=stamp, **offer)
        p.expect("SA", 0, 1)
        p.send("A", 1, 1, ts=stamp)
        assert s.state == TCPSocket.ESTABLISHED
        return s, p

    def renew(self):
        """Opens again what was shot down, and makes the frames that are mutated next."""
        h = self.h
        victim, s = self.victim, self.listener
        self.device.sent = []
        if s.state != TCPSocket.LISTEN:
            s.abort()
            s.listen(6970)
        if self.rounds % 4 == 0 or victim.state == TCPSocket.CLOSED:
            self.deaths += victim.state == TCPSocket.CLOSED
            victim.abort()
            victim.listen(6971)
            h.run()
            self.device.sent = []
            p = Peer(h, 2000 + self.random.below(60000), 6971, src=THIRD, smac=THIRD_MAC)
            p.iss = (M32 - 200) if self.rounds & 4 else 1000
            # By turns a plain connection, one with SACK and window scaling, one with timestamps.
            turn = self.deaths % 3
            victim.timestamps = turn == 2
            self.stamp = (5, 0) if turn == 2 else None
            offer = {"sackok": True, "ws": 3} if turn else {}
            self.establish(victim, p, self.stamp, **offer)
            self.third = p
            victim.send(b"victim" * 20)
            h.run()
        p = self.third
        third = {"src": THIRD, "smac": THIRD_MAC}
        syn = {"mss": 1000, "ws": 3, "sackok": True, "ts": (1, 0)}
        error = udp(77, 9, b"abc", src=OUR, dst=THIRD)[14:]
        quoted = tcp(6971, p.port, "A", p.irs + 1 & M32, src=OUR, dst=THIRD)[14:]
        live_s, live_p = self.live
        live_quote = tcp(6969, live_p.port, "A", live_p.irs, src=OUR, dst=PEER)[14:]
        self.bases = (
            arp(1, spa=THIRD, sha=THIRD_MAC),
            arp(2, spa=THIRD, sha=THIRD_MAC),
            echo(1, 2, bytes(range(40)), **third),
            echo(1, 2, b"xyz", kind=0, **third),
            echo(dst="192.168.69.255", dmac=BROADCAST_MAC, **third),
            eth(b"\x00\x01" + udp(1, 77)[12:], 0x8100, smac=THIRD_MAC),
            icmp(3, 3, data=error, **third),
            icmp(3, 4, b"\x00\x00\x02\x00", quoted, **third),
            icmp(11, 0, data=quoted, **third),
            icmp(3, 2, data=live_quote, **third),
            udp(9, 77, b"datagram", options=b"\x01\x07\x07\x04abcd", **third),
            udp(9, 77, bytes(100), **third),
            udp(9, 9999, b"closed", **third),
            ip(b"something", 99, **third),
            tcp(3000, 6970, "S", 7, options=tcp_options(**syn), **third),
            tcp(3000, 6970, "A", 8, 9, **third),
            tcp(3000, 9, "S", 7, **third),
            p.frame("A", 1, 1, bytes(30), ts=self.stamp),
            p.frame("A", 40, 61, bytes(60), ts=self.stamp, sack=[(80, 90), (100, 110)]),
            p.frame("A", 1, 121, b"x", ts=(5, 6)),
            p.frame("FA", 90, 100, bytes(20), ts=self.stamp),
            p.frame("R", 1),
            p.frame("S", 0, mss=1),
            # The living connection: an old duplicate, harmless as it stands.
            live_p.frame("A", self.live_at - 2, self.live_at, b"ok"),
        )

    def mutate(self):
        """Puts one mutated frame into the device's buffer."""
        below = self.random.below
        f = self.device.buf
        kind = below(len(self.bases))
        base = self.bases[kind]
        n = len(base)
        f[:n] = base
        if kind == len(self.bases) - 1:
            # What a checksum must catch without fail: one byte changed, in the IP packet.
            f[14 + below(n - 14)] ^= 1 + below(255)
            self.device.n = n
            return
        cut = False
        for _ in range(1 + below(4)):
            how = below(16)
            at = below(n) if below(4) == 0 else 12 + below(min(n - 12, 46))
            if how < 6:
                f[at] = below(256)
            elif how < 9:
                f[at] = EDGES[below(10)]
            elif how < 11:
                f[at] ^= 1 << below(8)
            elif how == 11:
                cut = True
            elif how == 12:
                n = min(n + below(60), 1514)
            elif how == 13 and below(20) == 0:
                n = 1400 + below(200)
            elif how == 14:
                other = self.bases[below(len(self.bases) - 1)]
                m = min(len(other), n)
                if at < m:
                    f[at:m] = other[at:m]
            elif n > 36:
                # The total length follows, so that the layers above see the mutation.
                put(f, 16, n - 14)
        if below(3):
            mend(f, n)
        self.device.n = 1 + below(n) if cut else n

    def check(self):
        """The living connection works, the sums of the counters are right."""
        h = self.h
        s, p = self.live
        d = self.device
        d.keep = True
        d.sent = []
        assert s.state == TCPSocket.ESTABLISHED and s.recv_queue == 0
        at = self.live_at
        # A challenge ACK may be owed, or withheld by its limit; time passes, then it is quiet.
        h.t += 1100
        for _ in range(20):
            h.run()
        d.sent = []
        p.send("A", at, at, b"ok")
        assert recv(s) == b"ok"
        assert s.send(b"OK") == 2
        h.run()
        mine = [Packet(f) for t, f in d.sent]
        mine = [q for q in mine if q.kind == "tcp" and q.dport == p.port and q.dst == PEER]
        got = [q for q in mine if q.data]
        assert got and got[0].data == b"OK", mine
        assert (got[0].seq - p.irs) & M32 == at and (got[0].ack - p.iss) & M32 == at + 2
        self.live_at = at + 2
        p.send("A", at + 2, at + 2)
        assert s.send_queue == 0
        self.add_up()

    def add_up(self):
        now = self.h.iface.counters()
        c = {k: now[k] - self.before[k] for k in now}
        assert self.device.received == c["rx_frames"] + c["rx_oversize"], c
        assert c["rx_device_errors"] == 0 and c["tx_device_errors"] == 0, c
        eth = ("runt", "not_for_us", "source", "802_3", "vlan", "type")
        assert c["rx_frames"] == c["arp_rx"] + c["ip_rx"] + sum(c["eth_" + k] for k in eth), c
        ip = ("malformed", "checksum", "source", "not_for_us", "fragment", "source_route")
        udp = ("rx", "malformed", "checksum", "no_socket", "full")
        above = c["icmp_rx"] + c["tcp_rx"] + sum(c["udp_" + k] for k in udp) + c["ip_protocol"]
        assert c["ip_rx"] == above + sum(c["ip_" + k] for k in ip), c

    def drain(self):
        """What programs do with their sockets meanwhile."""
        buf = self.buf
        for s in (self.victim, self.listener, self.udp, self.icmp, self.raw):
            s.recv_into(buf)
        self.udp.send_to(b"x", THIRD, 9)
        if self.random.below(2):
            self.victim.send(b"abc")
        if self.random.below(40) == 0:
            self.victim.close()

    def run(self, frames):
        poll = self.h.iface.poll
        done = 0
        while done < frames:
            self.device.keep = True
            self.renew()
            self.device.keep = False
            now = self.h.now
            for i in range(ROUND):
                self.mutate()
                poll(now)
                if i & 15 == 15:
                    self.drain()
                    self.h.t += 3
                    now = self.h.now
            done += ROUND
            self.rounds += 1
            self.check()
        return done


def main(frames, seed):
    fuzz = Fuzz(seed)
    try:
        done = fuzz.run(frames)
    except Exception:
        print("seed %d, round %d, frame:" % (seed, fuzz.rounds))
        print(" ".join("%02x" % b for b in fuzz.device.buf[:100]))
        raise
    c = fuzz.h.iface.counters()
    reached = [k for k in c if c[k]]
    print("%d connections shot down, %d frames sent" % (fuzz.deaths, fuzz.device.count))
    print("counters reached: %d of %d; not: %s" % (len(reached), len(c), set(c) - set(reached)))
    missed = [k for k in MET if not c[k]]
    assert done < 100000 or not missed, missed
    print("fuzzed %d frames" % done)


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 10000,
        int(sys.argv[2]) if len(sys.argv) > 2 else 1,
    )
