"""A walk over a whole interface: the short ways must lead where the long way leads.

Two hosts see the same frames, the same program and the same time. One takes every short way that
there is: header prediction, TCP's usual case, a known neighbor's headers, the socket of the last
datagram, each in assembly where the processor has it. The other takes none of them. What they
send, what they count, every control block, ring and table is compared after each step, and chance
decides on the steps: frames of every protocol, as they should be and as they should not, losses,
timers, calls of the program, handlers that raise, a device that is full or fails.
"""

from fuzz import EDGES, Random, mend
from harness import *
from smolmpy import ICMPSocket, RawSocket, UDPSocket
from smolmpy.iface import ingress, interface
from smolmpy.ip import icmpv4, ipv4
from smolmpy.link import arp as arp_module
from smolmpy.link import header
from smolmpy.sockets import datagram, udp_input
from smolmpy.sockets import packet as packet_module
from smolmpy.sockets import udp as udp_module
from smolmpy.tcp import input as tcp_input
from smolmpy.tcp import output as tcp_output
from smolmpy.tcp import socket as tcp_module

SRC, LAST_TCB, LAST_PORTS = 7, 103, 106
# Of the interface's state: all that is not of a packet in hand, nor of a short way. NEXT_DUE may
# be early; what poll_delay() says is compared instead.
KEPT = [4, 6, 12, 13] + list(range(16, 21)) + list(range(23, 103))
KEPT += [110, 116, 117, 118, 120, 121, 122, 124, 127]
ADDRESS_TABLE = 128
ISS_, UNA, NXT, MAX, RCV_NXT, RCV_ADV, RX_HEAD = 9, 10, 11, 12, 18, 19, 22

SECOND = "192.168.69.7"
THIRD = "10.1.2.3"
GROUP = "224.1.2.3"
GROUP_MAC = b"\x01\x00\x5e\x01\x02\x03"
OTHER = "192.168.69.77"
OTHER_MAC = b"\x02\x00\x00\x00\x00\x77"
MACS = {PEER: PEER_MAC, OTHER: OTHER_MAC, FAR: GATEWAY_MAC}
SEEDS, STEPS = 12, 600
DATA = bytes(i * 7 & 255 for i in range(1500))


class Boom(Exception):
    pass


def never(frame, state, n):
    return 0


def long_head(frame, state, length, kind):
    return header.head(frame, state, length, kind) if kind >> 24 else 0


class LongTCP(TCPSocket):
    _egress = flush = tcp_output.egress


# What makes an interface go the long way.
_LONG = (
    (interface, "predict", never),
    (interface, "arp_ingress", arp_module.examine),
    (ingress, "arp_ingress", arp_module.examine),
    (ipv4, "head", long_head),
    (ipv4, "answer", header.answer),
    (icmpv4, "answer", header.answer),
    (datagram, "head", long_head),
    (udp_module, "answer", header.answer),
    (udp_module, "build", datagram.build),
    (udp_module, "handle", datagram.handle),
    (udp_module, "put", datagram.put),
    (packet_module, "handle", datagram.handle),
    (packet_module, "put", datagram.put),
    (packet_module, "take", datagram.take),
    (udp_input, "arrive", datagram.arrive),
    (udp_input, "enter", datagram.enter),
    (udp_input, "places", datagram.places),
    (tcp_module, "ingress", tcp_input.examine),
)
_SHORT = tuple((module, name, getattr(module, name)) for module, name, _ in _LONG)


class Side:
    """One of the two hosts, with its sockets and what they have said."""

    def __init__(self, long):
        self.ways = _LONG if long else _SHORT
        self.long = long
        self.log = []
        self.raising = False
        self.take_way()
        h = self.h = Host(seed=b"12345678", neighbor=False, sockets=20)
        h.iface.add_multicast(GROUP_MAC)
        self.ring = h.add(UDPSocket(400, 400))
        self.ring.bind(7)
        self.served = h.add(UDPSocket(64, 64))
        self.served.bind(8)
        self.served.handler = self.answer
        self.joined = h.add(UDPSocket(100, 100))
        self.joined.connect(OTHER, 9)
        self.icmp = h.add(ICMPSocket(200, 200))
        self.icmp.bind(1)
        self.raw = RawSocket(300, 300, protocol=17)
        self.streams = []
        for i in range(4):
            size = (64, 1000, 2000, 700)[i]
            self.streams.append(h.add((LongTCP if long else TCPSocket)(size, size)))
        self.streams[3].handler = self.answer
        self.buf = bytearray(2000)

    def take_way(self):
        for module, name, value in self.ways:
            setattr(module, name, value)

    def answer(self, socket, payload, n):
        self.log.append(("handler", bytes(payload[:n])))
        if self.raising:
            self.raising = False
            raise Boom
        return n

    def do(self, what, *args):
        """Does it, and notes what comes of it."""
        self.take_way()
        if self.long:
            st = self.h.iface._st
            st[LAST_PORTS] = st[LAST_TCB] = 0
        try:
            self.log.append((what, getattr(self, "do_" + what)(*args)))
        except (Boom, OSError) as e:
            self.log.append((what, type(e), e.args[:1]))

    def poll(self):
        h = self.h
        for _ in range(60):
            if self.long:
                st = h.iface._st
                st[LAST_PORTS] = st[LAST_TCB] = 0
            try:
                h.iface.poll(h.now)
            except Boom:
                self.log.append("raised")
            if not h.device.queue and (h.device.refuse or h.iface.poll_delay(h.now) != 0):
                return
        raise AssertionError("poll_delay stays 0: %s" % self.h.rest())

    def do_frames(self, frames, polls):
        self.h.device.queue.extend(frames)
        if polls:
            self.poll()

    def do_wait(self, ms):
        h = self.h
        end = h.t + ms
        self.poll()
        while True:
            d = h.iface.poll_delay(h.now)
            if d < 0 or d > end - h.t:
                break
            h.t += d or 1
            self.poll()
        if h.t < end:
            h.t = end
            self.poll()

    def do_raise(self):
        self.raising = True

    def do_device(self, refuse):
        self.h.device.refuse = refuse

    def do_send(self, i, n):
        return self.streams[i].send(DATA, n)

    def do_recv(self, i, n):
        got = self.streams[i].recv_into(self.buf, n)
        return got, bytes(self.buf[: max(got, 0)])

    def do_close(self, i):
        self.streams[i].close()

    def do_abort(self, i):
        self.streams[i].abort()

    def do_flush(self, i):
        return self.streams[i].flush()

    def do_open(self, i, options):
        s = self.streams[i]
        s.abort()
        self.poll()
        s.sack = options & 1 != 0
        s.timestamps = options & 2 != 0
        s.ecn = options & 4 != 0
        s.nagle = not options & 8
        s.ack_delay = 0 if options & 16 else 10
        s.congestion = ("none", "reno", "cubic", "reno")[options >> 5 & 3]
        s.keep_alive = 3000 if options & 128 else 0
        s.timeout = 4000 if options & 256 else 0
        s.listen(6000 + i)

    def do_connect(self, i, to):
        self.streams[i].abort()
        self.poll()
        st = self.h.iface._st
        st[SRC] = st[SRC + 1] = st[SRC + 2] = 0  # a random port is drawn from these too
        return self.streams[i].connect(to, 80)

    def do_send_to(self, i, n, to, port):
        return (self.ring, self.served)[i].send_to(DATA[:n], to, port)

    def do_reply(self, n):
        return self.ring.reply(DATA[:n])

    def do_take(self, i):
        s = (self.ring, self.joined, self.icmp, self.raw)[i]
        got = s.recv_into(self.buf)
        return got, bytes(self.buf[: max(got, 0)]), bytes(s.remote_addr)

    def do_send_joined(self, n):
        return self.joined.send(DATA[:n])

    def do_ping(self, to):
        return self.icmp.send_to(echo(1, 2, b"ping")[34:], to)

    def do_raw(self, to):
        if self.raw.iface is not None:
            return self.raw.send(ip(b"raw", 17, src="0.0.0.0", dst=to)[14:])

    def do_flush_ring(self):
        return self.ring.flush()

    def do_second(self):
        iface = self.h.iface
        if len(iface.addresses()) > 1:
            iface.remove_address(SECOND)
            iface.remove_address(THIRD)
        else:
            iface.add_address(SECOND + "/26")
            iface.add_address(THIRD + "/8")

    def do_raw_socket(self):
        if self.raw.iface is None:
            self.h.add(self.raw)
        else:
            self.h.iface.remove(self.raw)

    def do_neighbor(self, to, mac):
        self.h.iface.add_neighbor(to, mac)

    def do_gateway(self, to):
        self.h.iface.gateway = to

    # What there is to see

    def rings(self):
        found = []
        for s in (self.ring, self.served, self.joined, self.icmp, self.raw):
            # Where the bytes lie is the rings' own affair.
            rx, tx = s._rx_ring, s._tx_ring
            found.append(tuple(rx[4:7]) + tuple(rx[9:14]))
            found.append(tuple(tx[4:7]) + tuple(tx[9:11]) + tuple(tx[14:18]) + (s._error,))
        return found

    def blocks(self):
        found = []
        for s in self.streams:
            t = list(s._tcb[4:])
            if s.handler:
                t[RX_HEAD - 4] = 0  # what is handed over where it lies does not turn the ring
            found.append(t)
        return found

    def kept(self):
        st = self.h.iface._st
        return [st[i] for i in KEPT] + list(st[ADDRESS_TABLE:])


class Walk:
    def __init__(self, seed):
        self.random = Random(seed)
        self.sides = [Side(False), Side(True)]
        self.trace = []  # the last steps
        self.steps = 0
        self.ports = [50000] * 4
        self.peers = [PEER] * 4
        self.stamps = [0] * 4
        self.met = {}
        self.frames = []  # some that have been, to be changed

    def do(self, what, *args):
        self.steps += 1
        self.trace.append((what, args))
        if len(self.trace) > 6:
            self.trace.pop(0)
        self.met[what] = self.met.get(what, 0) + 1
        try:
            for side in self.sides:
                side.do(what, *args)
        finally:
            self.sides[0].take_way()
        self.compare()

    def compare(self):
        one, other = self.sides
        sent = [f for _, f in one.h.device.sent]
        expected = [f for _, f in other.h.device.sent]
        assert sent == expected, self.differ(short(sent), short(expected))
        one.h.clear()
        other.h.clear()
        assert one.log == other.log, self.differ(one.log, other.log)
        one.log.clear()
        other.log.clear()
        a, b = one.kept(), other.kept()
        if a != b:
            where = KEPT + list(range(ADDRESS_TABLE, len(one.h.iface._st)))
            raise AssertionError(
                self.differ(
                    *([(where[i], s[i]) for i in range(len(a)) if a[i] != b[i]] for s in (a, b))
                )
            )
        for i in range(4):
            a, b = one.blocks()[i], other.blocks()[i]
            if a != b:
                wrong = [4 + k for k in range(len(a)) if a[k] != b[k]]
                raise AssertionError(self.differ((i, wrong, a), b))
        assert one.rings() == other.rings(), self.differ(one.rings(), other.rings())
        a, b = [side.h.iface.poll_delay(side.h.now) for side in self.sides]
        assert a == b, self.differ(a, b)

    def differ(self, short, long):
        last = "\n".join(brief(step) for step in self.trace)
        return "step %d\n%s\nshort %s\nlong  %s" % (self.steps, last, short, long)

    # What the peers do

    def tcb(self, i):
        return self.sides[0].streams[i]._tcb

    def segment(self, i):
        """A segment to a connection: mostly what is next, else what is not."""
        below = self.random.below
        s = self.sides[0].streams[i]
        t = s._tcb
        src = self.peers[i]
        size = t[24]
        n = (0, 0, 1, 3, 64, 100, 536, 1400)[below(8)]
        n = min(n, size + 5)
        seq = t[RCV_NXT]
        una, most = t[UNA], t[MAX]
        flight = (most - una) & M32
        ack = most
        if below(3) == 0 and flight < 1 << 20:
            ack = una + below(flight + 1)
        win = (65535, 65535, 65535, 2000, 400, 100, 1, 0)[below(8)]
        flags = "PA" if below(2) else "A"
        odd = below(16)
        if odd == 0:
            seq += 1 + below(size)
        elif odd == 1:
            seq -= 1 + below(size)
        elif odd == 2:
            seq += ((t[RCV_ADV] - seq) & M32) - below(n + 2)
        elif odd == 3:
            ack += 1 - below(1000)
        elif odd == 4:
            flags = ("FA", "FPA", "R", "RA", "S", "SA", "F", "", "AU", "AE", "AC")[below(11)]
        elif odd == 5 and below(3) == 0:
            seq = below(1 << 28) << 4
        options = b""
        stamps = t[5] & 4096
        if bool(stamps) != (below(12) == 0):
            self.stamps[i] = (self.stamps[i] + below(50) - below(20)) & M32
            echoed = (t[ISS_] + self.sides[0].h.iface._st[110] - below(100)) & M32
            options += tcp_options(ts=(self.stamps[i], echoed))
        if t[5] & 2048 and below(4) == 0 and flight < 1 << 20:
            left = una + below(flight + 1)
            options += tcp_options(sack=[(left & M32, (left + 1 + below(600)) & M32)])
        elif below(20) == 0:
            options += (b"\1\1\1\1", b"\0", b"\x02\x04\x02\x00", b"\x1e\x04ab", b"\x05\x02")[
                below(5)
            ]
        dst = addr(text_of(t[7])) if t[7] else addr(OUR)
        return tcp(
            self.ports[i],
            t[8] & 0xFFFF or 6000 + i,
            flags,
            seq & M32,
            ack & M32,
            DATA[:n],
            win,
            options=options,
            src=src,
            dst=dst,
            smac=MACS[src],
            bad_csum=below(20) == 0,
            tos=(0, 0, 0, 1, 2, 3)[below(6)],
        )

    def burst(self, i):
        """Some text in a row, as a net delivers it: in another order, with losses, or twice."""
        below = self.random.below
        t = self.tcb(i)
        local = t[8] & 0xFFFF or 6000 + i
        src = self.peers[i]
        seq = t[RCV_NXT]
        flight = (t[MAX] - t[UNA]) & M32
        ack = t[MAX] if flight >> 20 else t[UNA] + below(flight + 1)
        frames = []
        count = 2 + below(3)
        room = (t[RCV_ADV] - seq) & M32
        for k in range(count):
            n = min((1, 10, 64, 100, 300, 536)[below(6)], room // 2 if below(8) else 536)
            room -= n
            flags = "A" if below(2) else "PA"
            if k == count - 1 and below(4) == 0:
                flags = "FA"
                n = n if below(3) == 0 else 0
            if below(3) == 0:
                ack += below(((t[MAX] - ack) & M32) + 1)
            options = b""
            if t[5] & 4096:
                self.stamps[i] = (self.stamps[i] + 1) & M32
                options = tcp_options(ts=(self.stamps[i], t[ISS_]))
            win = (65535, 65535, 4000, 100 + below(3000))[below(4)]
            kw = {"src": src, "smac": MACS[src], "options": options, "tos": below(4)}
            f = tcp(self.ports[i], local, flags, seq & M32, ack & M32, DATA[:n], win, **kw)
            seq += n
            if below(8):
                frames.append(f)
            if below(8) == 0:
                frames.append(f)
        for k in range(len(frames) - 1):
            if below(3) == 0:
                frames[k], frames[k + 1] = frames[k + 1], frames[k]
        return frames

    def renew(self, i):
        """A connection begins: the stack listens, or calls."""
        below = self.random.below
        self.ports[i] = 50000 + below(10000)
        src = self.peers[i] = (PEER, PEER, OTHER, FAR)[below(4)]
        offer = below(8)
        kw = {"src": src, "smac": MACS[src]}
        options = tcp_options(
            mss=(None, 536, 1460, 100)[below(4)],
            ws=(None, 0, 2)[below(3)],
            sackok=offer & 1 != 0,
            ts=(1, 0) if offer & 2 else None,
        )
        seq = (M32 - below(3000)) & M32 if below(2) else below(1 << 28) << 4
        self.stamps[i] = 1
        if below(4) == 0:
            self.do("connect", i, src)
            self.do("frames", [arp(2, spa=src, sha=MACS[src], tha=OUR_MAC)], 1)
            t = self.tcb(i)
            self.ports[i] = 80
            ack = t[MAX]
            local = t[8] & 0xFFFF
            self.do("frames", [tcp(80, local, "SA", seq, ack, options=options, **kw)], 1)
            return
        self.do("open", i, below(512))
        flags = "SEC" if offer & 4 else "S"
        self.do("frames", [tcp(self.ports[i], 6000 + i, flags, seq, options=options, **kw)], 1)
        self.do("frames", [arp(2, spa=src, sha=MACS[src], tha=OUR_MAC)], 1)
        t = self.tcb(i)
        last = tcp(self.ports[i], 6000 + i, "A", (seq + 1) & M32, (t[ISS_] + 1) & M32, **kw)
        if t[5] & 4096:
            stamp = tcp_options(ts=(1, t[ISS_]))
            last = tcp(
                self.ports[i],
                6000 + i,
                "A",
                (seq + 1) & M32,
                (t[ISS_] + 1) & M32,
                options=stamp,
                **kw,
            )
        self.do("frames", [last], 1)

    def datagram(self):
        below = self.random.below
        src = (PEER, PEER, OTHER, FAR)[below(4)]
        port = (7, 7, 8, 8, 9, 77, 9999, 0)[below(8)]
        sport = (5000, 5000, 9, 0)[below(4)]
        kw = {"src": src, "smac": MACS[src]}
        odd = below(20)
        if odd == 0:
            kw["src"] = (OUR, SECOND, THIRD, "192.168.69.255", "192.168.69.63", "127.0.0.1")[
                below(6)
            ]
        elif odd == 1:
            kw["dst"] = (SECOND, THIRD, "192.168.69.255", "255.255.255.255", "10.255.255.255")[
                below(5)
            ]
            kw["dmac"] = (OUR_MAC, BROADCAST_MAC)[below(2)]
        elif odd == 2:
            kw["dst"], kw["dmac"] = GROUP, GROUP_MAC
        elif odd == 3:
            kw["options"] = (b"\1\1\1\1", b"\x07\x07\x04abcd", b"\x83\x03\x04", b"\x07\xff")[
                below(4)
            ]
        elif odd == 4:
            kw["frag"] = (0x2000, 0x4000, 0x8000, 1)[below(4)]
        elif odd == 5:
            kw["bad_csum"] = True
        elif odd == 6:
            kw["no_csum"] = True
        elif odd == 7:
            kw["length"] = below(40)
        elif odd == 8:
            kw["pad"] = bytes(below(20))
        elif odd == 9:
            kw["bad_ip"] = True
        elif odd == 10:
            port = self.sides[0].joined.local_port
        elif odd == 11:
            kw["total"] = below(60)
        return udp(sport, port, DATA[: (0, 1, 20, 64, 65, 300, 1472)[below(7)]], **kw)

    def control(self):
        """ICMP, and what is none of the above."""
        below = self.random.below
        src = (PEER, OTHER, FAR, SECOND)[below(4)]
        kw = {"src": src, "smac": MACS.get(src, PEER_MAC)}
        what = below(8)
        if what < 3:
            kw["dst"] = (OUR, OUR, SECOND, THIRD, "192.168.69.255")[below(5)]
            return echo(1, below(9), DATA[: below(200)], kind=(8, 8, 8, 0, 13)[below(5)], **kw)
        if what < 5:
            i = below(4)
            t = self.tcb(i)
            quoted = tcp(t[8] & 0xFFFF, t[8] >> 16, "A", t[UNA], src=OUR, dst=text_of(t[6]))[14:]
            if below(3) == 0:
                quoted = udp(self.sides[0].joined.local_port, 9, b"abc", src=OUR, dst=OTHER)[14:]
            rest = bytes((0, 0, below(6), below(256)))
            return icmp((3, 3, 11, 12)[below(4)], below(6), rest, quoted, **kw)
        if what == 5:
            return ip(
                b"\x11\x00\xee\xff" + bytes(4),
                2,
                ttl=1,
                dst="224.0.0.1",
                dmac=b"\1\0^\0\0\1",
                **kw,
            )
        return ip(DATA[: below(50)], (99, 50)[below(2)], **kw)

    def resolution(self):
        below = self.random.below
        spa = (PEER, OTHER, GATEWAY, "192.168.69.%d" % (20 + below(80)))[below(4)]
        mac = MACS.get(spa, GATEWAY_MAC if spa == GATEWAY else bytes((2, 9, 9, 9, 9, below(9))))
        if below(10) == 0:
            mac = bytes((2, 8, 8, 8, 8, below(3)))
        if below(20) == 0:
            spa = (OUR, SECOND, "0.0.0.0", "192.168.69.255", FAR)[below(5)]
        tpa = (OUR, OUR, OUR, SECOND, spa)[below(5)]
        return arp(
            1 + below(2), spa=spa, sha=mac, tpa=tpa, dmac=(None, OUR_MAC, BROADCAST_MAC)[below(3)]
        )

    def changed(self):
        """A frame that has been, with some bytes of it changed."""
        below = self.random.below
        if not self.frames:
            return self.datagram()
        f = bytearray(self.frames[below(len(self.frames))])
        for _ in range(1 + below(3)):
            at = below(min(len(f), 60))
            f[at] = EDGES[below(10)] if below(2) else f[at] ^ (1 << below(8))
        if below(3):
            mend(f, len(f))
        return bytes(f[: 1 + below(len(f))]) if below(8) == 0 else bytes(f)

    def frame(self):
        what = self.random.below(16)
        if what < 9:
            f = self.segment(self.random.below(4))
        elif what < 12:
            f = self.datagram()
        elif what < 13:
            f = self.control()
        elif what < 14:
            f = self.resolution()
        else:
            return self.changed()
        self.frames.append(f)
        if len(self.frames) > 12:
            self.frames.pop(0)
        return f

    def step(self):
        below = self.random.below
        what = below(100)
        i = below(4)
        streams = self.sides[0].streams
        if what < 12:
            frames = self.burst(i)
            if below(2):
                self.do("frames", frames, 2)
            else:
                for f in frames:
                    self.do("frames", [f], below(3))
        elif what < 55:
            frames = [self.frame() for _ in range(1 + below(3))]
            self.do("frames", frames, below(4))
        elif what < 64:
            self.do("send", i, 1 + below(1500))
        elif what < 77:
            self.do("recv", below(3), 1 + below(2000))
            self.do("recv", below(3), 1 + below(2000))
        elif what < 87:
            self.do("wait", (0, 1, 5, 11, 60, 250, 1500, 9000)[below(8)])
        elif what < 91:
            self.do("take", below(4))
        else:
            self.program(below(24), i)
        if streams[i].state not in (1, 2, 3, 4) and below(6) == 0:
            self.renew(i)

    def program(self, what, i):
        below = self.random.below
        to = (PEER, PEER, OTHER, FAR, "192.168.69.255", GROUP, "192.168.69.200")[below(7)]
        if what < 4:
            self.do("send_to", below(2), below(120), to, 9)
        elif what < 6:
            self.do("reply", below(120))
        elif what < 8:
            self.do("send_joined", below(60))
        elif what == 8:
            self.do("ping", to)
        elif what == 9:
            self.do("raw", to)
        elif what == 10:
            self.do("flush", i)
        elif what == 11:
            self.do("flush_ring")
        elif what == 12:
            self.do("close", i)
        elif what == 13 and below(2):
            self.do("abort", i)
        elif what == 14:
            self.do("second")
        elif what == 15 and below(2):
            self.do("raw_socket")
        elif what < 18:
            self.do("raise")
        elif what < 20:
            self.do("device", (EAGAIN, -5)[below(2)])
        elif what == 20 and below(4) == 0:
            self.do("neighbor", (PEER, OTHER)[below(2)], PEER_MAC)
        elif what == 21 and below(2):
            self.do("gateway", (GATEWAY, None, PEER)[below(3)])
        else:
            self.do("device", 0)


def text_of(word):
    return ".".join(str(word >> shift & 255) for shift in (24, 16, 8, 0))


def short(frames):
    return ["%s" % Packet(f, 0) for f in frames]


def brief(step):
    what, args = step
    if what == "frames":
        frames = []
        for f in args[0]:
            try:
                frames.append("%s" % Packet(f, 0))
            except (AssertionError, IndexError):
                frames.append("bad %d" % len(f))
        return "frames %s polls %d" % (", ".join(frames), args[1])
    return "%s %s" % (what, args)


def walk(seed, steps):
    w = Walk(seed)
    for i in range(4):
        w.renew(i)
    for _ in range(steps):
        w.step()
        if w.sides[0].h.device.refuse and w.random.below(4) == 0:
            w.do("device", 0)
    return w


def test_both_ways_lead_to_the_same():
    for seed in range(1, SEEDS + 1):
        w = walk(seed, STEPS)
        w.sides[0].take_way()
