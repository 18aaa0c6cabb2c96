"""The tables that all else rests on, each beside a plain model of what its docstring says."""

from array import array

from fuzz import Random
from harness import *
from smolmpy.core import demux
from smolmpy.ip import route
from smolmpy.services import dns_cache
from smolmpy.sockets import ring
from smolmpy.tcp import ranges

SRC, DST, PORTS = 7, 8, 9
PEER_HI, PEER_LO = 14, 15
GUARD = 0x5AA55AA5


class Chance(Random):
    def of(self, items):
        return items[self.below(len(items))]


def blocks(have):
    found = []
    for i in sorted(have):
        if found and found[-1][1] == i:
            found[-1][1] = i + 1
        else:
            found.append([i, i + 1])
    return found


def pieces(t, table):
    at = table + 2
    found = []
    for i in range(t[table + 1]):
        found.append([(t[at + 2 * i + k] - t[1]) & M32 for k in (0, 1)])
    return found


def test_pieces_of_a_stream():
    """insert(), reach(), total() of ranges.py: a set of bytes, in at most so many pieces."""
    chance = Chance(3)
    table = 3
    for base in (0, 1000, (1 << 31) - 20, M32 - 15, M32):
        for most in share((0, 1, 2, 3, 6), 5):
            t = array("I", [GUARD] * (table + 2 + 2 * most + 2))
            t[1] = base
            t[table] = most
            t[table + 1] = 0
            have = set()

            for _ in range(250):
                what = chance.below(8)
                if what < 5:
                    ahead = chance.below(40)
                    size = 1 + chance.below(8)
                    new = have | set(range(ahead, ahead + size))
                    known = len(blocks(have))
                    touching = [1 for a, b in blocks(have) if a <= ahead + size and ahead <= b]
                    fits = 1 if touching or known < most else 0
                    assert ranges.insert(t, 1, table, ahead, size) == fits
                    if fits:
                        have = new
                elif what == 5:
                    # The stream has grown by some bytes, and by what lies there already.
                    size = chance.below(12)
                    more = size
                    while more in have or more < size:
                        more += 1
                    # What begins within them, or at their end, is taken.
                    taken = [b for b in blocks(have) if b[0] <= size]
                    reaches = max([b[1] - size for b in taken] + [0])
                    got = ranges.reach(t, 1, table, size)
                    assert got == max(reaches, 0), (got, reaches)
                    for a, b in taken:
                        have -= set(range(a, b))
                    by = size + got
                    t[1] = (t[1] + by) & M32
                    have = {i - by for i in have}
                elif what == 6:
                    # The base has moved on by itself, past some of them.
                    by = chance.below(12)
                    inside = [b for b in blocks(have) if b[0] < by < b[1]]
                    if inside:
                        by = inside[0][1]
                    t[1] = (t[1] + by) & M32
                    have = {i - by for i in have if i >= by}
                    got = ranges.reach(t, 1, table, 0)
                    first = [b for b in blocks(have) if b[0] == 0]
                    assert got == (first[0][1] if first else 0)
                    if first:
                        have -= set(range(first[0][0], first[0][1]))
                else:
                    limit = chance.below(60)
                    want = len([i for i in have if i < limit])
                    assert ranges.total(t, 1, table, limit) == want
                assert pieces(t, table) == blocks(have), (pieces(t, table), blocks(have))
                assert t[0] == t[2] == GUARD and t[len(t) - 2] == t[len(t) - 1] == GUARD


def test_a_ring_of_packets():
    """reserve(), commit(), pop(): packets in one piece each, in order, none over another."""
    chance = Chance(4)
    head, count, used = 4, 5, 9
    for size in (1, 2, 10, 31):
        for most in (1, 2, 3, 7):
            r = ring.make(most, size)
            waiting = []  # (offset, length, mark)
            for step in range(200):
                if chance.below(5) < 3:
                    n = chance.below(size + 2)
                    at = ring.reserve(r, n)
                    # Free bytes: those of no packet; a packet lies in one piece behind the last,
                    # or, if it does not fit there, at the beginning.
                    end = waiting[-1][0] + waiting[-1][1] if waiting else 0
                    start = waiting[0][0] if waiting else 0
                    total = sum([w[1] for w in waiting])
                    if len(waiting) == most:
                        fits = None
                    elif end > start or not total:
                        if not total and not waiting:
                            end = start = 0
                        fits = end if n <= size - end else 0 if n <= start else None
                    else:
                        fits = end if n <= start - end else None
                    assert (at < 0) == (fits is None), (size, most, n, waiting)
                    if at < 0:
                        continue
                    assert r[at] == fits and r[at + 1] == n
                    if chance.below(8) == 0:
                        continue  # reserved, and given up
                    r[at + 2], r[at + 3], r[at + 4] = step, step + 1, step + 2
                    ring.commit(r, at)
                    waiting.append((fits, n, step))
                elif waiting:
                    first = 21 + 5 * r[head]
                    assert (r[first], r[first + 1], r[first + 2]) == waiting[0]
                    ring.pop(r)
                    mark = waiting.pop(0)[2]
                    assert [r[i] for i in (11, 12, 13)] == [mark, mark + 1, mark + 2]
                assert r[count] == len(waiting)
                assert r[used] == sum([w[1] for w in waiting]) or not waiting
            ring.clear(r)
            assert r[count] == 0 and ring.reserve(r, size) >= 0


def word(a):
    return get32(addr(a), 0)


def mask(prefix):
    return (M32 << (32 - prefix)) & M32


def test_the_way_to_any_address():
    """next_hop(), source(): groups and broadcasts need no ARP, neighbors are asked for, others
    are behind the gateway of the longest prefix."""
    chance = Chance(5)
    for turn in range(4 if BOARD else 60):
        h = Host(address=False, routes=5)
        st = h.iface._st
        ours = []
        for cidr in (
            "10.%d.0.1/8" % chance.below(3),
            "10.1.%d.2/%d" % (chance.below(3), 16 + chance.below(9)),
            "192.168.69.1/24",
            "172.16.5.%d/%d" % (2 * chance.below(3) + 1, 30 + chance.below(3)),
        ):
            if chance.below(2):
                try:
                    h.iface.add_address(cidr)
                except (ValueError, OSError):
                    continue
                ip, prefix = cidr.split("/")
                ours.append((word(ip), mask(int(prefix))))
        routes = []
        for net in ("0.0.0.0/0", "10.0.0.0/7", "172.16.0.0/12", "8.8.8.8/32", "192.168.0.0/16"):
            if chance.below(2):
                ip, prefix = net.split("/")
                gateway = word("10.0.0.%d" % (100 + len(routes)))
                assert route.add(st, word(ip), int(prefix), gateway)
                routes.append((int(prefix), word(ip), gateway))
        routes.sort(reverse=True)
        targets = ["255.255.255.255", "224.0.0.251", "239.129.2.3", "8.8.8.8", "8.8.8.9"]
        targets += ["11.2.3.4", "10.255.255.255", "10.1.255.255", "10.1.2.255", "10.1.0.2"]
        targets += ["10.0.0.1", "192.168.69.255", "192.168.69.1", "192.168.69.9", "192.168.70.1"]
        targets += ["172.16.5.%d" % i for i in range(8)] + [
            "10.0.0.%d" % (100 + i) for i in (0, 3)
        ]
        for target in targets:
            dst = word(target)
            st[DST] = dst
            st[SRC] = 1
            st[PEER_HI] = st[PEER_LO] = 0
            hop = route.next_hop(st)
            peer = (st[PEER_HI], st[PEER_LO])
            near = [a for a in ours if not (a[0] ^ dst) & a[1]]
            group = dst >> 28 == 14
            broadcast = dst == M32 or [1 for a, m in near if dst | m == M32 and m < M32 - 1]
            ways = [g for prefix, net, g in routes if not (net ^ dst) & mask(prefix)]
            if group:
                assert hop == 0 and peer == (0x0100, 0x5E000000 | dst & 0x7FFFFF), target
            elif dst in [a for a, _ in ours]:
                assert hop == -1, target
            elif broadcast:
                assert hop == 0 and peer == (0xFFFF, M32), target
            elif near:
                assert hop == DST, target
            elif ways:
                assert hop > 0 and st[hop] == ways[0], (target, routes)
            else:
                assert hop == -1, target
            result = route.source(st)
            if not ours or hop < 0:
                assert result == -1, target
                continue
            assert result == 0
            through = dst if hop == 0 or hop == DST else st[hop]
            best = [a for a, m in ours if not (a ^ through) & m] or [ours[0][0]]
            assert st[SRC] == best[0], (target, ours)


def test_what_an_own_address_means_to_a_device_that_brings_it_back():
    h = Host(address=False)
    h.iface.add_address("10.0.0.1/8")
    st = h.iface._st
    h.device.loopback = True
    h.iface.device = h.device
    st[DST] = word("10.0.0.1")
    assert route.next_hop(st) == 0
    assert (st[PEER_HI], st[PEER_LO]) == (get16(OUR_MAC, 0), get32(OUR_MAC, 2))


def test_routes_longest_prefix_first():
    chance = Chance(6)
    for size in (1, 3, 6):
        h = Host(routes=size, address=False)
        st = h.iface._st
        kept = {}
        for _ in range(60):
            prefix = chance.of((0, 1, 8, 16, 24, 31, 32))
            net = word("10.%d.%d.%d" % tuple([chance.below(2) for _ in range(3)]))
            key = (prefix, net & mask(prefix))
            if chance.below(3):
                gateway = chance.of((1, 9, 1 << 31, M32 - 1, M32))
                fits = key in kept or len(kept) < size
                assert route.add(st, net, prefix, gateway) == fits
                if fits:
                    kept[key] = gateway
            else:
                assert route.remove(st, net, prefix) == (key in kept)
                kept.pop(key, None)
            found = route.table(st)
            assert sorted(found) == sorted([(n, p, kept[p, n]) for p, n in kept])
            assert [f[1] for f in found] == sorted([f[1] for f in found], reverse=True)


def test_which_socket_a_packet_is_for():
    """lookup(): the connected one, else one bound to the address, else one bound to the port."""
    chance = Chance(7)
    for slots in (1, 2, 5, 20):
        h = Host(sockets=slots)
        st, t = h.iface._st, h.iface._demux
        named = {}

        remotes = [0x0A000001, 0x0A000002, 0x8A000001, M32 - 1]
        locals_ = [0xC0A84501, 0xC0A84502]
        for _ in range(60 if BOARD else 400):
            what = chance.below(4)
            slot = chance.below(slots)
            protocol = chance.of((6, 17, 1))
            port = chance.of((80, 81, 0x8050, 65535))
            remote = chance.of((80, 5000, 65535))
            if what == 0 and slot not in named:
                src = chance.of([0] + remotes)
                dst = chance.of([0] + locals_) if not src else chance.of(locals_)
                ports = (remote << 16 | port) if src else port
                if (src, dst, ports, protocol) in named.values():
                    continue
                st[SRC], st[DST], st[PORTS] = src, dst, ports
                demux.insert(t, st, slot, protocol)
                named[slot] = src, dst, ports, protocol
            elif what == 1:
                demux.remove(t, st, slot)
                named.pop(slot, None)
            src, dst = chance.of(remotes), chance.of(locals_)
            ports = remote << 16 | port
            wanted = (
                (src, dst, ports, protocol),
                (0, dst, port, protocol),
                (0, 0, port, protocol),
            )
            want = -1
            for key in wanted:
                found = [s for s in named if named[s] == key]
                if found:
                    want = found[0]
                    break
            st[SRC], st[DST], st[PORTS] = src, dst, ports
            assert demux.lookup(t, st, protocol) == want, (wanted, named)
            # By the local port alone, from any slot up.
            for first in (0, slot):
                st[SRC], st[DST], st[PORTS] = src, dst, ports
                found = [
                    s for s in named if named[s][2] & 0xFFFF == port and named[s][3] == protocol
                ]
                found = sorted([s for s in found if s >= first])
                assert demux.local(t, st, protocol, first) == (found[0] if found else -1)
            for own in (dst, 0):
                st[SRC], st[DST], st[PORTS] = src, own, ports
                taken = [
                    s
                    for s in named
                    if named[s][2] & 0xFFFF == port
                    and named[s][3] == protocol
                    and (named[s][1] == own or not own or not named[s][1])
                ]
                assert demux.in_use(t, st, protocol) == (1 if taken else 0)


def test_names_that_are_remembered():
    """dns_cache: each as long as it may be; for want of room the one that ends first goes."""
    chance = Chance(8)
    names = ["a", "b", "c", "d", "e"]
    for size in (1, 2, 4):
        for now in (0, 5000, (1 << 30) - 30000):
            cache = dns_cache.Cache(size)
            kept = {}
            for step in range(80):
                what = chance.below(4)
                name = chance.of(names)
                if what == 0:
                    ttl = 1 + chance.below(40)
                    count = chance.below(5)
                    if name not in kept and len(kept) == size:
                        gone = min([(kept[n][0], n) for n in kept])
                        same = [n for n in kept if kept[n][0] == gone[0]]
                        if len(same) > 1:
                            continue
                        del kept[gone[1]]
                    answer = array("I", [ttl] + [step * 16 + i for i in range(4)] + [0])
                    cache.store(name, count, answer, now & 0x3FFFFFFF)
                    kept[name] = now + ttl * 1000, [step * 16 + i for i in range(count)]
                elif what == 1:
                    now += chance.of((1, 999, 1000, 7000))
                    ends = [kept[n][0] - now for n in kept if kept[n][0] > now]
                    assert cache.sweep(now & 0x3FFFFFFF) == (min(ends) if ends else -1)
                    kept = {n: kept[n] for n in kept if kept[n][0] > now}
                    assert len(cache) == len(kept)
                else:
                    room = chance.of((0, 3, 4, 8, 15, 16, 20))
                    buf = bytearray(b"\xee" * room)
                    got = cache.find(name, buf, now & 0x3FFFFFFF)
                    if name not in kept:
                        assert got == -1
                        continue
                    found = kept[name][1][: room // 4]
                    assert got == len(found), (got, found)
                    assert [get32(buf, 4 * i) for i in range(got)] == found
                    assert bytes(buf[4 * got :]) == b"\xee" * (room - 4 * got)
            cache.clear()
            assert len(cache) == 0 and cache.sweep(0) == -1
            # One whose time is up is not told, also where nobody has swept.
            answer = array("I", [1, 7, 0, 0, 0, 0])
            for later, known in ((0, 1), (999, 1), (1000, -1), (1 << 28, -1)):
                cache.store("a", 1, answer, now & 0x3FFFFFFF)
                assert cache.find("a", bytearray(4), (now + later) & 0x3FFFFFFF) == known


def test_addresses_that_a_service_assigns():
    """config: as add_address() and remove_address(), by numbers; one may get another mask."""
    from smolmpy.services import config

    chance = Chance(9)
    for most in (1, 2, 4):
        h = Host(address=False, addresses=most)
        st = h.iface._st
        kept = []
        for _ in range(40 if BOARD else 150):
            ip = word("10.0.0.%d" % (1 + chance.below(5)))
            w = array("I", [GUARD, ip, mask(chance.of((8, 24)))])
            here = [k[0] for k in kept]
            what = chance.below(4)
            if what < 2:
                got = config.assign(st, w, 1, most)
                if w[1] in here:
                    assert got == 0
                    kept[here.index(w[1])][1] = w[2]
                elif len(kept) == most:
                    assert got == -12
                else:
                    assert got == 0
                    kept.append([w[1], w[2], True])
            elif what == 2:
                config.withdraw(st, w, 1)
                kept = [k for k in kept if k[0] != w[1]]
            else:
                config.announce(st, w, 1)
                for k in kept:
                    if k[0] == w[1]:
                        k[2] = True
            bits = {mask(8): 8, mask(24): 24}
            want = ["%s/%d" % (text(u32(a)), bits[m]) for a, m, _ in kept]
            assert h.iface.addresses() == want
            if chance.below(3) == 0:
                h.run()
                sent = [Packet(f) for _, f in h.device.sent]
                assert [p.spa for p in sent] == [text(u32(k[0])) for k in kept if k[2]]
                for p in sent:
                    assert p.kind == "arp" and p.tpa == p.spa
                for k in kept:
                    k[2] = False
                h.clear()
            # Behind the last there is none that the short ways would take for one.
            if not kept:
                assert st[128] == 0 and st[129] == M32


def test_the_gateway_that_a_service_sets():
    from smolmpy.services import config

    for size in (1, 3):
        for others in range(size + 1):
            h = Host(address=False, routes=size)
            st = h.iface._st
            for i in range(others):
                assert route.add(st, word("10.%d.0.0" % i), 16, 7)
            rest = route.table(st)
            w = array("I", [1, 2, 0, 3])
            if others == size:
                assert config.set_gateway(st, w, 0, 2) == -12
                assert config.set_gateway(st, w, 2, 0) == 0
                assert route.table(st) == rest
                continue
            assert config.set_gateway(st, w, 2, 3) == 0  # none
            assert route.table(st) == rest
            assert config.set_gateway(st, w, 0, 2) == 0
            assert route.table(st) == rest + [(0, 0, 1)]
            # Another one in its place; one that is somebody else's stays.
            assert config.set_gateway(st, w, 1, 3) == 0
            assert route.table(st) == rest + [(0, 0, 1)]
            assert config.set_gateway(st, w, 1, 0) == 0
            assert route.table(st) == rest + [(0, 0, 2)]
            assert config.set_gateway(st, w, 2, 0) == 0
            assert route.table(st) == rest + [(0, 0, 2)]
            assert config.set_gateway(st, w, 2, 1) == 0
            assert route.table(st) == rest


def test_a_neighbor_is_found_and_forgotten_wherever_it_lies():
    from smolmpy.link import neighbor

    chance = Chance(10)
    for size in (1, 2, 4, 8):
        h = Host(address=False, neighbor=False, neighbors=size)
        st = h.iface._st
        kept = {}
        for step in range(60 if BOARD else 200):
            ip = 0xC0A84500 + chance.of((1, 2, 9, 10, 17, 18, 33))
            st[DST] = ip
            mac = bytes([2, step & 255, 3, 0x80, 5, chance.below(256)])
            if chance.below(3):
                fits = ip in kept or len(kept) < size
                assert neighbor.add_static(st, DST, mac) == fits
                if fits:
                    kept[ip] = mac
            else:
                assert neighbor.remove(st, DST) == (ip in kept)
                kept.pop(ip, None)
            found = neighbor.table(st)
            assert sorted(found) == sorted([(a, kept[a], "static") for a in kept]), found
            for ip in kept:
                st[DST] = ip
                e = neighbor.find(st, DST)
                assert e and st[e] == ip
                assert neighbor.resolve(st, DST) == 0
                assert u16(st[PEER_HI]) + u32(st[PEER_LO]) == kept[ip]
