"""Mutated messages to the services: `fuzz_services.py MESSAGES SEED`, under any interpreter.

Each service has a host of its own. It is led from state to state by honest answers, calls of a
program and the passing of time; between them come messages that were good and have been changed:
bytes, fields and counts at which arithmetic goes wrong, pieces moved, repeated, left out, and
compression pointers to anywhere. Each message has a poll of its own.

The run ends where something comes out of a poll; where it takes more than TIMES as many steps as a
usual message of the service, in lines of Python (steps.py); where one frame draws more than DRAWN;
where the poll's counters do not add up; where the interface has an address that no host may have;
and, every few hundred messages, where the service does not do its work any more. The last line is
`fuzzed N messages`.
"""

import sys

import dns_frames as dns
import service_frames as made
import steps
from fuzz import EDGES, FuzzDevice, Random, mend, put
from harness import *
from service_frames import ACK, DISCOVER, NAK, OFFER, option
from smolmpy import MDNS, DHCPClient, DNSClient, SNTPClient
from smolmpy.core import counters

TIMES = 16
DRAWN = 9  # a query of IGMP has eight groups told
ROUND = 64  # messages to a service between two looks at whether it works
SECOND = "192.168.69.101"
SECOND_MAC = b"\x02\x00\x00\x00\x00\x65"
SERVER = "192.168.69.200"
LEASED = "192.168.69.77"
EVERYBODY = "255.255.255.255"
LONGEST = 1514


class Wire(FuzzDevice):
    """Gives one frame to a poll; its cable may be out."""

    def __init__(self):
        super().__init__()
        self.turn = False
        self.up = True

    def receive(self, buf):
        if not self.turn:
            return 0
        self.turn = False
        return super().receive(buf)

    def link(self):
        return self.up


class Subject:
    """A service on a host of its own, and the one who tries it."""

    port = None  # where its messages go to

    def __init__(self, random, **host):
        self.below = random.below
        h = self.h = Host(**host)
        self.device = h.device = h.iface.device = Wire()
        self.words = [counters.index(name) for name in ("udp_rx", "ip_rx", "rx_frames")]
        self.limit = None
        self.usual = self.most = 0
        self.seen = set()
        self.honest = False
        self.silent = 0  # for how many turns nothing comes
        self.messages = 0
        self.prepare()
        self.free = self.places()

    # What a service's own class has

    def prepare(self):
        """Makes the service."""

    def hear(self, f):
        """Learns from a frame that it has sent."""

    def base(self):
        """(header, message) of a good message at this moment, or None."""

    def act(self):
        """Does what a program does, sometimes."""

    def counted(self):
        """How many messages the service says that it has dropped."""
        return 0

    def state(self):
        return 0

    def works(self):
        """AssertionError if it does not; others are silent meanwhile."""

    # Time and frames

    def poll(self):
        h = self.h
        d = self.device
        st = h.iface._st
        before = [st[word] for word in self.words]
        received = d.received
        dropped = self.counted()
        d.sent = []
        d.turn = True
        self.seen.add(self.state())
        cost = steps.count(h.iface.poll, h.now, limit=self.limit)
        d.turn = False
        self.most = max(self.most, cost)
        assert len(d.sent) <= DRAWN, "%d frames sent" % len(d.sent)
        datagrams, packets, frames = [st[self.words[i]] - before[i] for i in range(3)]
        assert frames == d.received - received <= 1 and datagrams <= packets <= frames
        assert 0 <= self.counted() - dropped <= packets, "a message was counted that there was not"
        self.seen.add(self.state())
        for _, f in d.sent:
            self.hear(f)

    def settle(self):
        d = self.device
        for _ in range(200):
            self.poll()
            if not d.queue and not d.n and self.h.iface.poll_delay(self.h.now):
                return
        raise AssertionError("poll_delay stays 0")

    def advance(self, ms, until=None):
        """Lets time pass; whether `until()` became true."""
        h = self.h
        end = h.t + ms
        while not (until and until()):
            self.settle()
            left = h.iface.poll_delay(h.now)
            if h.t == end:
                return not until or until()
            h.t = end if left < 0 or left > end - h.t else h.t + left
        return True

    def places(self):
        return sum(hasattr(socket, "_slot") for socket in self.h.iface.sockets)

    def give(self, header, message, change=True):
        """Hands a message to the device, changed or not."""
        f = self.device.buf
        start = len(header)
        n = start + len(message)
        f[:start] = header
        f[start:n] = message
        if change:
            n = self.change(f, start, n)
        put(f, 16, n - 14)
        if f[23] == 17:
            put(f, 38, n - 34)
        if not change or self.below(16):
            mend(f, n)
        self.device.n = n

    def change(self, f, start, n):
        """Changes the message in f[start:n]; returns where it ends."""
        below = self.below
        for _ in range(1 + below(4)):
            if n <= start + 2:
                return n
            how = below(20)
            at = start + below(n - start)
            if below(2):
                # What lies in front has the counts.
                at = start + below(min(n - start, 40))
            if how < 4:
                f[at] = below(256)
            elif how < 6:
                f[at] = EDGES[below(10)]
            elif how < 8:
                f[at] ^= 1 << below(8)
            elif how < 11 and at + 1 < n:
                put(f, at, (0, 1, 0xFFFF, 0xC00C, 0xC000 | below(n - start), 0x4000)[below(6)])
            elif how == 11:
                n = at + 1
            elif how < 14:
                # A piece is repeated, once or as often as there is room for.
                size = 1 + below(min(n - at, 40))
                times = 1 if below(3) else (LONGEST - n) // size
                while times and n + size <= LONGEST:
                    f[n : n + size] = f[at : at + size]
                    n += size
                    times -= 1
            elif how < 16:
                # One is left out, or there is more.
                size = min(1 + below(8), n - at)
                if how & 1:
                    f[at : n - size] = bytes(f[at + size : n])
                    n -= size
                elif n + size <= LONGEST:
                    f[at + size : n + size] = bytes(f[at:n])
                    n += size
            elif how < 18:
                to = start + below(n - start)
                size = min(1 + below(24), n - max(at, to))
                f[to : to + size] = bytes(f[at : at + size])
            elif below(8) == 0:
                f[26 + below(start - 26)] = below(256)
        return n

    def step(self):
        """One message, a little time, and what the program does."""
        h = self.h
        below = self.below
        self.messages += 1
        if self.silent:
            self.silent -= 1
        elif below(100) == 0:
            self.silent = below(30)
        else:
            found = self.base()
            if found:
                self.give(*found, below(8) != 0)
        self.poll()
        if self.device.queue:
            self.poll()
        how = below(16)
        left = h.iface.poll_delay(h.now)
        if self.silent or 8 <= how < 12:
            h.t += max(left, 0) if left < 100000 or self.silent else below(3000)
        elif how < 8:
            h.t += below(30)
        elif how == 12 and below(20) == 0:
            h.t += below(4000000)
        self.act()
        if self.messages % ROUND == 0:
            self.look()

    def look(self):
        """Whether it works, with the program and the others silent."""
        self.settle()
        self.honest = True
        self.device.queue = []
        self.works()
        self.honest = False
        assert self.places() == self.free, "a place of the table of sockets is lost"

    def begin(self):
        """Takes the measure: what the honest messages of one look cost."""
        self.look()
        self.usual = self.most
        self.most = 0
        self.limit = TIMES * self.usual


def valid(word):
    """Whether a unicast address is one."""
    return 0 < word >> 24 < 224 and word >> 24 != 127


class DHCP(Subject):
    def __init__(self, random):
        super().__init__(random, address=False, neighbor=False)

    def prepare(self):
        self.xid = bytes(4)
        self.told = 0
        self.client = c = DHCPClient(self.h.iface, "printer", probe=200, on_change=self.changed)
        servers = option(6, addr("192.168.69.2") + addr("10.0.0.2")) + option(42, addr(PEER))
        plain = {"router": GATEWAY, "options": servers}
        times = option(58, u32(100)) + option(59, u32(900))
        self.messages_of = {
            kind: [
                made.dhcp(bytes(4), kind, LEASED, SERVER, **kw)
                for kw in (
                    plain,
                    {"lease": 1, "options": times},
                    {"lease": 1000, "mask": b"\xff\xff\0\0", "options": servers + times},
                    {"lease": M32, "router": "127.0.0.1"},
                    {
                        "options": option(52, b"\3"),
                        "file": servers + b"\xff",
                        "sname": option(3, addr(GATEWAY)) + b"\xff",
                    },
                )
            ]
            for kind in (OFFER, ACK, NAK)
        }
        self.header = udp(67, 68, b"", SERVER, EVERYBODY, dmac=BROADCAST_MAC, smac=SECOND_MAC)
        self.c = c

    def changed(self, client):
        self.told += 1
        if not self.honest and self.below(8) == 0:
            (client.stop, client.release, client.start)[self.below(3)]()

    def hear(self, f):
        if f[12:14] == b"\x08\x06":
            if f[21] == 1 and f[38:42] == addr(SERVER):
                self.device.queue.append(
                    arp(2, SERVER, f[28:32], sha=SECOND_MAC, tha=OUR_MAC, smac=SECOND_MAC)
                )
            elif not self.honest and f[28:32] in (bytes(4), f[38:42]) and self.below(12) == 0:
                # Somebody has the address.
                self.device.queue.append(arp(1 + self.below(2), f[38:42], f[38:42]))
        elif f[23] == 17 and f[36:38] == b"\0\x43":
            self.xid = f[46:50]
            if self.honest:
                kind = f[284]
                if kind == DISCOVER:
                    kind = OFFER
                elif addr(LEASED) in f[42:]:
                    kind = ACK
                else:
                    kind = NAK
                self.give(self.header, self.with_xid(kind, 0), False)

    def with_xid(self, kind, which):
        message = bytearray(self.messages_of[kind][which])
        message[4:8] = self.xid
        return message

    def base(self):
        kind = OFFER if self.c.state == DHCPClient.SELECTING else ACK
        if self.below(5) == 0:
            kind = (OFFER, NAK)[self.below(2)]
        return self.header, self.with_xid(kind, self.below(5))

    def act(self):
        c = self.c
        how = self.below(300)
        if how < 3:
            self.device.up = not self.device.up
        elif how == 3:
            c.stop()
        elif how == 4:
            c.release()
        elif how < 8 or (c.state == DHCPClient.STOPPED and how < 100):
            c.start()
        if not self.device.up and how > 280:
            self.device.up = True
        if c.state == DHCPClient.RENEWING and not self.silent and how > 200:
            self.silent = 10
        st = self.h.iface._st
        found = self.h.iface.addresses()
        assert len(found) == int(c.bound), found
        if c.bound:
            word = get32(addr(c.address), 0)
            mask = get32(addr(c.mask), 0)
            assert valid(word) and found[0].split("/")[0] == c.address
            for other in c.dns + c.ntp + [c.server] + [c.router or c.server]:
                host = get32(addr(other), 0)
                assert valid(host) and host != word, other
                if (host ^ word) & mask == 0 and mask < M32 - 1:
                    assert host & ~mask & M32 not in (0, ~mask & M32), other
            assert self.h.iface.gateway == c.router
            assert c.lease == -1 or 0 <= c.lease < 1 << 30
        else:
            assert self.h.iface.gateway is None and not st[117] or c.state == DHCPClient.PROBING

    def counted(self):
        return self.client.ignored + self.client.malformed

    def state(self):
        return self.client.state_name

    def works(self):
        c = self.c
        self.device.up = True
        c.stop()
        c.start()
        assert self.advance(200000, lambda: c.bound), c.state_name
        assert (c.address, c.router, c.server) == (LEASED, GATEWAY, SERVER)
        assert c.dns == ["192.168.69.2", "10.0.0.2"] and 3500 < c.lease <= 3600
        assert self.advance(2000000, lambda: c.lease < 1900) and c.bound
        assert self.advance(200000, lambda: c.lease > 3500), "not renewed"


class DNS(Subject):
    def __init__(self, random):
        super().__init__(random, sockets=12)

    def prepare(self):
        iface = self.h.iface
        iface.add_neighbor(SECOND, SECOND_MAC)
        self.client = DNSClient(iface, [PEER, SECOND], cache=4, timeout=3000, stream_size=600)
        self.asked = []
        self.streams = {}
        self.number = 0
        self.buf = bytearray(16)
        self.codes = set()
        a, cname, q = dns.a, dns.cname, dns.QUESTION
        chain = [cname("c%d.net" % i, "c%d.net" % (i + 1)) for i in range(7)]
        chain = [cname(q, "c0.net")] + chain + [a("c7.net", "10.0.0.1")]
        self.answers = [
            # Flags, the sections.
            (0x8180, ([a(q, "10.0.0.1")],)),
            (0x8180, ([a(q, "10.0.0.%d" % i) for i in range(60)],)),
            (0x8180, ([cname(q, "b.net"), a("b.net", "10.0.0.1")],)),
            (0x8180, ([cname(q, "b.net")],)),
            (0x8180, (chain,)),
            (0x8180, (chain[::-1],)),
            (0x8180, ([], [dns.soa()])),
            (0x8183, ([], [dns.soa()])),
            (0x8183, ([cname(q, "b.net")], [dns.soa("net")])),
            (0x8100, ([], [dns.rr("org", dns.NS, dns.name("ns.org"))], [a("ns.org", PEER)])),
            (0x8182, ()),
            (0x8380, ()),
            (0x8380, ([a(q, "10.0.0.1")],)),
        ]

    def hear(self, f):
        server = text(f[30:34])
        if f[23] == 17 and f[36:38] == b"\0\x35":
            end = 42 + get16(f, 38) - 8
            question = (server, get16(f, 34), f[42:44], f[54:end])
            self.asked = [question] + self.asked[:2]
            if self.honest:
                self.give(*self.answer(question, 0), False)
        elif f[23] == 6 and f[36:38] == b"\0\x35":
            self.hear_stream(Packet(f), server)

    def hear_stream(self, p, server):
        # A name server over TCP, of the simplest kind.
        if "R" in p.flags:
            return
        below = self.below
        kw = {"src": server, "smac": PEER_MAC if server == PEER else SECOND_MAC}
        queue = self.device.queue
        if "S" in p.flags:
            queue.append(tcp(53, p.sport, "SA" if below(8) else "RA", 1000, p.seq + 1 & M32, **kw))
        elif p.data:
            ack = p.seq + len(p.data) & M32
            question = (server, p.sport, p.data[2:4], p.data[14:])
            header, message = self.answer(question, 0 if self.honest else below(11))
            if not self.honest and below(3):
                # It is changed where a datagram is.
                f = self.device.buf
                f[:42] = header[:42]
                f[42 : 42 + len(message)] = message
                message = bytes(f[42 : self.change(f, 42, 42 + len(message))])
            message = u16(len(message) if below(8) else below(65536)) + message
            cut = below(len(message))
            for data, flags in ((message[:cut], "A"), (message[cut:], "PA" if below(4) else "FA")):
                for i in range(0, max(len(data), 1), 500):
                    at = 1001 + (cut if data is not message[:cut] and "P" in flags else 0)
                    queue.append(tcp(53, p.sport, flags, at + i, ack, data[i : i + 500], **kw))

    def answer(self, question, which):
        server, port, ident, text = question
        flags, sections = self.answers[which]
        counts = [len(section) for section in sections] + [0] * (3 - len(sections))
        message = ident + u16(flags) + u16(1) + b"".join([u16(n) for n in counts]) + text
        message += b"".join([b"".join(section) for section in sections])
        smac = PEER_MAC if server == PEER else SECOND_MAC
        return udp(53, port, b"", server, no_csum=True, smac=smac), message

    def base(self):
        if not self.asked:
            return None
        question = self.asked[self.below(len(self.asked)) if self.below(4) == 0 else 0]
        return self.answer(question, self.below(len(self.answers)))

    def act(self):
        c = self.client
        how = self.below(64)
        if how < 24:
            name = ("www.example.org", "b.net", "x.y.z", "x" * 63 + ".org")[how & 3]
            self.codes.add(c.lookup(name, self.buf))
        elif how == 24:
            servers = ([PEER], [SECOND, PEER], [SECOND], [PEER, SECOND], [])
            c.servers = servers[self.below(len(servers))]
        elif how == 25:
            c.flush()
        elif how == 26:
            c.mixed_case = not c.mixed_case

    def counted(self):
        return self.client.ignored

    def state(self):
        for query in self.client._queries:
            self.seen.add(query.phase)
        return 0

    def works(self):
        c = self.client
        c.servers = []
        c.servers = [PEER]
        self.number += 1
        name = "n%d.example" % self.number
        buf = bytearray(4)
        found = []

        def done():
            code = c.lookup(name, buf)
            if code != EAGAIN:
                found.append(code)
            return found

        assert self.advance(10000, done), "no answer"
        assert found == [1] and text(buf) == "10.0.0.1", found
        c.servers = [PEER, SECOND]
        # What TCP has not ended yet.
        self.advance(20000)


class MulticastDNS(Subject):
    def prepare(self):
        self.client = m = MDNS(self.h.iface, "printer", cache=2)
        self.buf = bytearray(4)
        self.number = 0
        self.made_for = None
        self.bases = []
        self.told = False
        group = {"dst": "224.0.0.251", "dmac": b"\x01\0\x5e\0\0\xfb"}
        self.headers = [
            udp(5353, 5353, b"", ttl=255, **group),
            udp(40000, 5353, b"", ttl=255, **group),
            udp(5353, 5353, b"", ttl=255),
        ]
        self.m = m

    def hear(self, f):
        if f[23] == 17 and f[34:36] == b"\x14\xe9" and f[44] & 0x80 and addr(OUR) in f[42:]:
            self.told = True

    def messages_for(self, name):
        a, q = dns.a, dns.QUESTION

        def ask(kind, cls=1, answers=(), authority=(), who=name):
            question = dns.name(who) + u16(kind) + u16(cls)
            return dns.message(0, question, answers, authority, flags=0)

        def say(*answers, more=()):
            return dns.message(0, b"", answers, (), more, flags=0x8400)

        return [
            ask(dns.A),
            ask(dns.AAAA),
            ask(dns.ANY, 0x8001),
            ask(dns.ANY, 1, (), [a(q, PEER)]),
            ask(dns.ANY, 1, (), [a(q, "192.168.69.0")]),
            ask(dns.A, 1, [a(q, OUR, 120)]),
            ask(dns.PTR, 1, [dns.rr(q, dns.PTR, b"\1x" + q)] * 30, who="_x._tcp.local"),
            say(a(name, OUR)),
            say(a(name, PEER)),
            say(a("scanner.local", PEER)),
            say(a("scanner.local", PEER, 0)),
            say(dns.rr("x.local", dns.PTR, dns.name(name)), more=[a("scanner.local", FAR)]),
            say(*[a("scanner.local", PEER)] + [a(dns.QUESTION, FAR)] * 50),
        ]

    def base(self):
        m = self.m
        if self.made_for != m.name:
            self.made_for = m.name
            self.bases = self.messages_for(m.name)
        return self.headers[self.below(8) % 3], self.bases[self.below(len(self.bases))]

    def act(self):
        how = self.below(100)
        if how < 20:
            self.m.lookup(("scanner.local", "x.local", "printer.local")[how % 3], self.buf)
        elif how == 20:
            self.m.restart()

    def counted(self):
        return self.client.ignored + self.client.malformed

    def state(self):
        return self.client.state_name

    def works(self):
        m = self.m
        m.restart()
        self.settle()
        assert self.advance(20000, lambda: m.state_name == "READY"), m.state_name
        self.advance(2000)
        self.told = False
        self.give(self.headers[0], self.messages_for(m.name)[0], False)
        assert self.advance(2000, lambda: self.told), "no answer"
        self.number += 1
        name = "n%d.local" % self.number
        self.advance(40000)
        m.lookup(name, self.buf)
        self.settle()
        self.give(self.headers[0], dns.message(0, b"", [dns.a(name, PEER)], flags=0x8400), False)
        self.settle()
        assert m.lookup(name, self.buf) == 1 and text(self.buf) == PEER


class SNTP(Subject):
    TODAY = 1795503600

    def prepare(self):
        self.h.iface.add_neighbor(SECOND, SECOND_MAC)
        self.asked = None
        self.answered = False
        self.client = SNTPClient(self.h.iface, [PEER], rtc=None, on_time=self.told)
        self.fields = [0] * 8

    def told(self, client):
        self.answered = True
        if not self.honest and self.below(4) == 0:
            (client.sync, client.stop)[self.below(2)]()

    def hear(self, f):
        if f[23] == 17 and f[36:38] == b"\0\x7b":
            self.asked = (text(f[30:34]), get16(f, 34), f[82:90])
            if self.honest:
                self.give(*self.base(), False)

    def base(self):
        if not self.asked:
            return None
        server, port, cookie = self.asked
        kw = {}
        if not self.honest:
            kisses = (b"RATE", b"DENY", b"RSTR", b"XXXX")
            kw = ({}, {"stratum": 0, "refid": kisses[self.below(4)]}, {"held": 2000})[
                max(0, self.below(6) - 3)
            ]
        smac = PEER_MAC if server == PEER else SECOND_MAC
        header = udp(123, port, b"", server, no_csum=True, smac=smac)
        return header, made.ntp(cookie, self.TODAY, **kw)

    def act(self):
        c = self.client
        how = self.below(60)
        if how < 2:
            c.sync()
        elif how == 2:
            servers = ((PEER,), (SECOND, PEER), (PEER, SECOND, PEER), ())
            c.servers = servers[self.below(len(servers))]
        elif how == 3:
            c.stop()
        if c.synced:
            assert c.time() >= 1704067200 and c.datetime(self.fields) and 0 <= c.millis < 1000
            assert self.fields[0] >= 2024 and 1 <= self.fields[1] <= 12, self.fields

    def counted(self):
        return self.client.ignored

    def state(self):
        return self.client._phase

    def works(self):
        c = self.client
        c.servers = ()
        c.servers = (PEER,)
        self.answered = False
        assert self.advance(30000, lambda: self.answered), "no answer"
        assert c.server == PEER and c.time() == self.TODAY, c.time()


class IGMP(Subject):
    GROUPS = ("239.1.2.3", "224.0.0.251", "239.129.2.3", "225.1.1.1")
    HOSTS = "224.0.0.1"

    def prepare(self):
        self.joined = {}
        self.reported = []
        self.change_groups(0, True)

    def change_groups(self, which, join):
        group = self.GROUPS[which]
        if join:
            self.h.iface.join_group(group)
            self.joined[group] = self.joined.get(group, 0) + 1
        elif self.joined.get(group):
            self.h.iface.leave_group(group)
            self.joined[group] -= 1

    def hear(self, f):
        if f[23] == 2 and f[38] in (0x12, 0x16):
            self.reported.append(text(f[42:46]))

    def base(self):
        below = self.below
        group = self.GROUPS[below(4)]
        kind = (0x11, 0x11, 0x11, 0x16, 0x12, 0x17)[below(6)]
        dst = self.HOSTS if kind == 0x11 and below(2) else group
        to = addr(dst)
        header = ip(
            b"",
            2,
            ttl=1,
            dst=dst,
            dmac=bytes([1, 0, 0x5E, to[1] & 127, to[2], to[3]]),
            options=b"\x94\x04\0\0" if below(4) else b"",
        )
        about = "0.0.0.0" if kind == 0x11 and dst == self.HOSTS else group
        return header, made.igmp(kind, EDGES[below(10)], about, bytes(4 * below(3)))

    def act(self):
        how = self.below(100)
        if how < 8 and sum(self.joined.values()) < 20:
            self.change_groups(how & 3, how < 4)
        elif how == 8:
            self.h.iface._igmp.report()

    def counted(self):
        got = self.h.iface._igmp.stats() if self.h.iface._igmp else {}
        return got.get("queries", 0) + got.get("malformed", 0)

    def state(self):
        return self.h.iface._igmp._version()

    def works(self):
        self.advance(30000)
        self.reported = []
        header = ip(b"", 2, ttl=1, dst=self.HOSTS, dmac=b"\x01\0\x5e\0\0\1")
        self.give(header, made.igmp(0x11, 50), False)
        self.advance(6000)
        expected = sorted(group for group in self.joined if self.joined[group])
        assert sorted(self.reported) == expected, (self.reported, expected)


SUBJECTS = {"DHCP": DHCP, "DNS": DNS, "mDNS": MulticastDNS, "SNTP": SNTP, "IGMP": IGMP}
# How often each has its turn.
ORDER = ("DNS", "mDNS", "DHCP", "DNS", "mDNS", "SNTP", "DHCP", "IGMP")
# What some thousand messages must have met.
MET = {
    "DHCP": (
        "STOPPED NO_LINK INIT SELECTING REQUESTING PROBING BOUND RENEWING REBINDING REBOOTING"
    ).split(),
    "DNS": (0, 1, 2, 3, 4),
    "mDNS": ("PROBING", "ANNOUNCING", "READY"),
    "SNTP": (0, 1, 2),
    "IGMP": (1, 2),
}
MANY = 100000


def main(messages, seed):
    random = Random(seed)
    subjects = {name: SUBJECTS[name](random) for name in SUBJECTS}
    for name in subjects:
        subjects[name].begin()
    for i in range(messages):
        subject = subjects[ORDER[i % len(ORDER)]]
        try:
            subject.step()
        except Exception:
            print("seed %d, message %d, to %s:" % (seed, i, ORDER[i % len(ORDER)]))
            print(" ".join("%02x" % b for b in subject.device.buf[:200]))
            raise
    for name in subjects:
        subject = subjects[name]
        if subject.usual:
            times = subject.most / subject.usual
            print("%s: %d steps, and at most %.1f times as many" % (name, subject.usual, times))
        missed = set(MET[name]) - subject.seen
        assert messages < MANY or not missed, (name, missed)
    c = subjects["DHCP"].client
    assert messages < MANY or c.naks and c.conflicts and c.malformed and c.ignored, c.stats()
    missed = {1, 4, EAGAIN, -2, -5, -101, -110} - subjects["DNS"].codes
    assert messages < MANY or not missed, missed
    print("fuzzed %d messages" % messages)


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 10000,
        int(sys.argv[2]) if len(sys.argv) > 2 else 1,
    )
