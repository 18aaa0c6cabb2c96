"""Who may write to us, whom we answer, and which way that goes, beside a model.

The model has what RFC 1122 sections 3.2.1.3, 3.3.1 and 3.3.6, RFC 1112 section 6.4 and RFC 3021
say, with addresses as numbers, over interfaces of all kinds and addresses at all the edges.
"""

from fuzz import Random
from harness import *
from smolmpy import UDPSocket

ALL = 0xFFFFFFFF
ALL_HOSTS = b"\x01\x00\x5e\x00\x00\x01"
SENDER = b"\x06\x51\xa3\x8d\xf2\x97"
PREFIXES = (24, 16, 30, 31, 21, 29, 32, 13, 27, 8)
ANYWHERE = (
    "0.0.0.0 0.0.0.1 0.200.3.4 1.2.3.4 10.0.0.7 126.255.255.255 127.0.0.1 127.255.255.255 "
    "128.0.0.0 191.7.8.9 223.255.255.255 224.0.0.1 224.129.2.3 239.255.255.255 240.0.0.1 "
    "255.255.255.254 255.255.255.255"
).split()


class Chance(Random):
    def word(self):
        return self.below(1 << 16) << 16 | self.below(1 << 16)

    def of(self, items):
        return items[self.below(len(items))]


def number(a):
    return get32(addr(a), 0)


def dotted(n):
    return text(u32(n))


def mask(prefix):
    return ALL << (32 - prefix) & ALL


def is_in(a, net):
    own, prefix = net
    return (a ^ own) & mask(prefix) == 0


def is_broadcast_of(a, net):
    """Directed broadcast: a network of one or two addresses has none (RFC 3021)."""
    return net[1] < 31 and is_in(a, net) and a | mask(net[1]) == ALL


def a_host(chance, taken):
    """An address of ours: of a host, on a network that no other of them is on."""
    while True:
        own = chance.word()
        prefix = chance.of(PREFIXES)
        net = own, prefix
        first = own >> 24
        low = own & ~mask(prefix) & ALL
        if not 0 < first < 224 or first == 127 or (prefix < 31 and not low):
            continue
        if is_broadcast_of(own, net):
            continue
        if not [1 for other in taken if is_in(own, other) or is_in(other[0], net)]:
            return net


def edges(chance, nets):
    """Addresses where a rule could be wrong by one."""
    found = [number(a) for a in ANYWHERE]
    for own, prefix in nets:
        net = own & mask(prefix)
        top = net | ~mask(prefix) & ALL
        found += [own, own ^ 1, own ^ 2, own ^ 1 << 31, own ^ 1 << 16, own ^ 1 << 8, own ^ 1 << 15]
        found += [net, top, top ^ 1, net ^ 1, (top + 1) & ALL, (net - 1) & ALL]
        found += [net | chance.word() & ~mask(prefix) & ALL for _ in range(3)]
        if prefix:
            found += [own ^ 1 << (32 - prefix)]
    return found + [chance.word() for _ in range(4)]


def made(nets, routes=()):
    h = Host(address=False, neighbor=False, neighbors=4)
    for own, prefix in nets:
        h.iface.add_address("%s/%d" % (dotted(own), prefix))
    for network, prefix, gateway in routes:
        h.iface.add_route("%s/%d" % (dotted(network), prefix), dotted(gateway))
    h.run()
    h.clear()
    return h


def verdict(nets, src, dst, group):
    """What becomes of an echo request from src to dst, in a frame to a group or not."""
    first = src >> 24
    if first in (0, 127) or first >= 224 or src == dst:
        return "ip_source"
    if [1 for net in nets if src == net[0] or is_broadcast_of(src, net)]:
        return "ip_source"
    if [1 for net in nets if dst == net[0]]:
        return "ip_not_for_us" if group else "icmp_echo"
    if dst == ALL or [1 for net in nets if is_broadcast_of(dst, net)]:
        return "icmp_group"
    if dst >> 28 == 14 and group:
        return "icmp_group"
    return "ip_not_for_us"


def changed(before, after):
    return {k: after[k] - before[k] for k in after if after[k] != before[k]}


def test_1122_3_2_1_3_who_is_heard_and_answered():
    chance = Chance(1)
    for count in (1, 1, 2, 1, 3, 1, 2, 4):
        nets = []
        for _ in range(count):
            nets.append(a_host(chance, nets))
        h = made(nets)
        places = edges(chance, nets)
        for i in range(90):
            src = chance.of(places)
            # Every other one to an address of ours, so that who sent it decides.
            dst = chance.of(nets)[0] if i & 1 else chance.of(places)
            dmac = chance.of((OUR_MAC, OUR_MAC, BROADCAST_MAC, ALL_HOSTS))
            what = verdict(nets, src, dst, dmac != OUR_MAC)
            before = h.iface.counters()
            frame = echo(i, 7, b"12345", src=dotted(src), dst=dotted(dst), dmac=dmac, smac=SENDER)
            h.inject(frame)
            where = [(dotted(a), p) for a, p in nets], dotted(src), dotted(dst), dmac
            want = {"rx_frames": 1, "ip_rx": 1, what: 1}
            if what[:4] == "icmp":
                want["icmp_rx"] = 1
            if what == "icmp_echo":
                want["tx_frames"] = 1
            got = changed(before, h.iface.counters())
            assert got == want, (where, got, want)
            if what == "icmp_echo":
                p = h.expect("icmp", type=0, src=dotted(dst), dst=dotted(src), dmac=SENDER)
                assert p.frame[34:36] + p.frame[38:] == bytes(2) + frame[38:], where
            h.expect_nothing()


def hop_of(nets, routes, dst):
    """Where a datagram to dst goes: an Ethernet address, who is asked for, or None."""
    if dst >> 28 == 14:
        return b"\x01\x00\x5e" + u32(dst & 0x7FFFFF)[1:]
    if [1 for net in nets if net[0] == dst]:
        return None  # this device does not bring it back
    if dst == ALL or [1 for net in nets if is_broadcast_of(dst, net)]:
        return BROADCAST_MAC
    if [1 for net in nets if is_in(dst, net)]:
        return dst
    best = None
    for network, prefix, gateway in routes:
        if is_in(dst, (network, prefix)) and (best is None or prefix > best[0]):
            best = prefix, gateway
    return best and best[1]


def source_of(nets, near):
    """Section 3.3.4.3: ours on the network of the next hop, or the first."""
    for net in nets:
        if is_in(near, net):
            return net[0]
    return nets[0][0]


def some_routes(chance, nets):
    """Networks one within another, by way of hosts on ours; maybe a default route."""
    routes = []
    places = [chance.word() for _ in range(3)]
    while len(routes) < 4:
        prefix = chance.of((0, 7, 8, 15, 16, 17, 23, 24, 25, 31, 32))
        network = chance.of(places) & mask(prefix)
        own, size = chance.of([net for net in nets if net[1] < 30])
        gateway = own & mask(size) | chance.word() & ~mask(size) & ALL
        if [1 for net in nets if gateway == net[0] or is_broadcast_of(gateway, net)]:
            continue
        if not gateway & ~mask(size) or [1 for r in routes if r[:2] == (network, prefix)]:
            continue
        routes.append((network, prefix, gateway))
    return routes, places


def test_1122_3_3_1_which_way_a_datagram_goes():
    chance = Chance(2)
    for count in (1, 2, 1, 4, 3, 2):
        nets = []
        while len(nets) < count:
            net = a_host(chance, nets)
            # So that there are others, who may be gateways; and one neighbor of a /31.
            if net[1] < 30 or (nets and net[1] == 31):
                nets.append(net)
        routes, places = some_routes(chance, nets)
        h = made(nets, routes)
        shown = [(network, prefix) for network, prefix, _ in routes]
        shown.sort(key=lambda route: -route[1])
        text_of = [name for name, _ in h.iface.routes()]
        assert sorted(text_of) == sorted("%s/%d" % (dotted(n), p) for n, p in shown)
        assert [int(name.split("/")[1]) for name in text_of] == [p for _, p in shown]
        s = h.add(UDPSocket(64, 64))
        s.bind(7)
        targets = [a for a in edges(chance, nets) if a >> 24]
        for place in places:
            targets += [place, place ^ 1, place ^ 1 << 8, place ^ 1 << 16, place ^ 1 << 31]
        for dst in targets:
            hop = hop_of(nets, routes, dst)
            where = [(dotted(a), p) for a, p in nets], h.iface.routes(), dotted(dst)
            code = s.send_to(b"x", u32(dst), 9)
            if hop is None:
                assert code == -101, (where, code)
                h.expect_nothing()
                continue
            assert code == 1, (where, code)
            near = dst if isinstance(hop, bytes) else hop
            src = dotted(source_of(nets, near))
            if isinstance(hop, int):
                p = h.expect("arp", op=1, dmac=BROADCAST_MAC, sha=OUR_MAC, tha=NO_MAC, spa=src)
                assert p.tpa == dotted(hop), (where, p)
                hop = b"\x0a" + u32(chance.word() | 1 << 31) + b"\x91"
                h.inject(arp(2, spa=p.tpa, tpa=src, sha=hop))
                known = p.tpa, ":".join(["%02x" % b for b in hop]), "reachable"
                assert h.iface.neighbors() == [known], (where, h.iface.neighbors())
            p = h.expect("udp", dmac=hop, src=src, dst=dotted(dst), sport=7, dport=9, data=b"x")
            assert p.frame[14:16] == b"\x45\x00" and p.ttl == 64 and p.frag in (0, 0x4000), p
            h.expect_nothing()
            for known, _, _ in h.iface.neighbors():
                h.iface.remove_neighbor(known)


def test_826_who_is_answered_and_learned():
    """A request is answered for each of our addresses; learned is who asked us, from our links."""
    chance = Chance(3)
    for count in (1, 2, 3, 1):
        nets = []
        while len(nets) < count:
            net = a_host(chance, nets)
            if net[1] < 31:
                nets.append(net)
        h = made(nets)
        places = edges(chance, nets)
        for i in range(60):
            sender = chance.of(places)
            target = chance.of(nets)[0] if i & 1 else chance.of(places)
            mac = b"\x0e" + u32(chance.word()) + b"\xb5"
            dmac = chance.of((BROADCAST_MAC, OUR_MAC))
            op = 1 if i % 3 else 2
            ours = [1 for net in nets if net[0] == target]
            near = [1 for net in nets if is_in(sender, net)]
            odd = sender >> 24 == 127 or sender >> 24 >= 224 or sender >> 24 == 0
            odd = odd or [1 for net in nets if is_broadcast_of(sender, net)]
            want = {"rx_frames": 1, "arp_rx": 1}
            answered = op == 1 and ours
            if [1 for net in nets if net[0] == sender]:
                want["arp_conflict"] = 1
                answered = False
            elif sender and (odd or not near):
                want["arp_malformed"] = 1
                answered = False
            learned = answered and sender
            if answered:
                want["arp_replies_tx"] = want["tx_frames"] = 1
            before = h.iface.counters()
            h.inject(arp(op, dotted(sender), dotted(target), mac, dmac=dmac))
            got = changed(before, h.iface.counters())
            where = [(dotted(a), p) for a, p in nets], op, dotted(sender), dotted(target), dmac
            assert got == want, (where, got, want)
            if answered:
                p = h.expect("arp", op=2, dmac=mac, sha=OUR_MAC, spa=dotted(target), tha=mac)
                assert p.tpa == dotted(sender), where
            h.expect_nothing()
            known = [(a, k) for a, _, k in h.iface.neighbors()]
            assert known == ([(dotted(sender), "reachable")] if learned else []), (where, known)
            for a, _ in known:
                h.iface.remove_neighbor(a)
