"""Properties against plain Python models: kernels, parsers, rings, routes, TCP both ways."""

import re
import sys
from array import array

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.common import ROOT

sys.path.append(str(ROOT / "tests" / "conformance"))

import frames  # noqa: E402
from frames import PEER, Packet  # noqa: E402
from harness import Host, established, recv  # noqa: E402
from smolmpy import RawSocket, UDPSocket, wire  # noqa: E402
from smolmpy.kernel import plain  # noqa: E402
from smolmpy.wire import address  # noqa: E402

settings.register_profile(
    "smolmpy",
    deadline=None,
    derandomize=True,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("smolmpy")

EAGAIN = -11
octets = st.integers(0, 255)
four = st.binary(min_size=4, max_size=4)


def folded(data, acc=0):
    """The ones-complement sum, by the definition of RFC 1071."""
    if len(data) & 1:
        data += b"\0"
    total = acc + sum(data[i] << 8 | data[i + 1] for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


# Kernels. tests/conformance/test_kernel.py runs every edition over all 65,536 sums.


@given(st.binary(max_size=2000), st.integers(0, 40), st.integers(0, (1 << 30) - 1))
def test_checksum(data, offset, acc):
    offset = min(offset, len(data))
    n = len(data) - offset
    assert plain.checksum(data, offset, n, acc) == folded(data[offset:], acc)


@given(st.binary(max_size=600), st.integers(0, 9), st.integers(0, 9), st.integers(0, 1 << 29))
def test_copy_sum(data, to, at, acc):
    n = max(0, len(data) - at)
    dst = bytearray(b"\x55" * (len(data) + 20))
    want = bytearray(dst)
    want[to : to + n] = data[at : at + n]
    block = array("I", [to, at, n, acc])
    assert plain.copy_sum(dst, data, block) == folded(data[at : at + n], acc)
    assert dst == want


@given(st.binary(min_size=2, max_size=100))
def test_checksum_of_a_checksummed_packet_is_all_ones(data):
    value = 0xFFFF ^ plain.checksum(data, 0, len(data), 0)
    if len(data) & 1:
        data += b"\0"
    whole = data + bytes([value >> 8, value & 255])
    assert plain.checksum(whole, 0, len(whole), 0) == 0xFFFF


# Parsers.


@given(four)
def test_address_round_trip(b):
    assert address.parse(address.format(b)) == b
    assert address.parse(bytearray(b)) == b
    assert address.from_word(address.to_word(b)) == b


@given(st.binary(min_size=6, max_size=6))
def test_mac_round_trip(b):
    t = address.format_mac(b)
    assert address.parse_mac(t) == address.parse_mac(t.replace(":", "-").upper()) == b


@given(four, st.integers(0, 32))
def test_cidr_round_trip(b, prefix):
    assert address.parse_cidr("%s/%d" % (address.format(b), prefix)) == (b, prefix)


almost = st.one_of(
    st.text(max_size=20),
    st.text("0123456789./:-+ abcdefx_", max_size=20),
    st.lists(st.one_of(st.integers(-2, 300).map(str), st.text(max_size=2)), max_size=7).map(
        ".".join
    ),
)


@given(almost)
def test_text_that_is_no_address_is_refused(t):
    if (
        re.fullmatch(r"(\d{1,3})(\.\d{1,3}){3}", t, re.ASCII)
        and max(int(p) for p in t.split(".")) < 256
    ):
        return
    with pytest.raises(ValueError, match="name"):
        address.parse(t, "name")


@given(almost)
def test_text_that_is_no_network_is_refused(t):
    with pytest.raises(ValueError, match="name"):
        address.parse_cidr(t if "/" in t else t + "/33", "name")


hexish = st.lists(
    st.one_of(st.sampled_from(["00", "1", "fF", "+1", " 1", "_1", "0x", "g0", "", "123"])),
    min_size=5,
    max_size=7,
)


@given(hexish, st.sampled_from(":-"))
def test_text_that_is_no_mac_is_refused(parts, separator):
    t = separator.join(parts)
    if re.fullmatch(r"[0-9a-fA-F]{1,2}([:-][0-9a-fA-F]{1,2}){5}", t):
        return
    with pytest.raises(ValueError, match="name"):
        address.parse_mac(t, "name")


samples = st.sampled_from(
    [
        frames.arp(1),
        frames.echo(),
        frames.udp(1, 2, b"abc"),
        frames.icmp(3, 3, data=frames.udp(1, 2)[14:]),
        frames.tcp(1, 2, "S", options=frames.tcp_options(1460, 3, True, ts=(1, 2))),
        frames.tcp(1, 2, "A", options=frames.tcp_options(sack=[(1, 2), (3, 4)])),
        frames.ip(b"x" * 20, 17, options=b"\x07\x07\x04\0\0\0\0\0"),
    ]
)


@given(samples, st.lists(st.tuples(st.integers(0, 90), octets), max_size=6), st.integers(0, 99))
def test_description_never_fails(frame, changes, length):
    b = bytearray(frame)
    for at, value in changes:
        b[at % len(b)] = value
    line = wire.describe(bytes(b[:length]))
    assert isinstance(line, str) and "\n" not in line


@given(st.binary(max_size=120))
def test_description_of_noise_never_fails(b):
    assert isinstance(wire.describe(b), str)


@given(st.binary(max_size=120))
def test_noise_is_survived_and_counted(b):
    h = Host()
    before = h.iface.counters()
    h.inject(b)
    after = h.iface.counters()
    if b:
        assert sum(after.values()) >= sum(before.values()) + 1


# The ring of packets, by way of the sockets that use it.


steps = st.lists(
    st.one_of(
        st.tuples(st.just("in"), st.integers(0, 70)),
        st.tuples(st.just("out"), st.integers(0, 70)),
    ),
    max_size=60,
)


@given(steps, st.integers(1, 6), st.integers(1, 70))
def test_receive_ring(steps, packets, size):
    h = Host()
    s = h.add(UDPSocket(size, 64, packets))
    s.bind(77)
    queue = []
    serial = 0
    for what, n in steps:
        if what == "in":
            serial += 1
            data = bytes((serial + i) & 255 for i in range(n))
            full = h.counter("udp_full")
            h.inject(frames.udp(1000 + serial, 77, data))
            if h.counter("udp_full") == full:
                queue.append((1000 + serial, data))
            else:
                # Refused only for a reason: no record, or no piece of that length.
                used = sum(len(d) for p, d in queue)
                assert len(queue) == packets or n > size or (queue and used + 2 * n > size)
            assert len(queue) <= packets and sum(len(d) for p, d in queue) <= size
        else:
            buf = bytearray(n)
            got = s.recv_into(buf)
            if queue:
                port, data = queue.pop(0)
                assert got == len(data) and bytes(buf[:got]) == data[:n]
                assert s.remote_port == port
            else:
                assert got == EAGAIN
        assert s.can_recv() == bool(queue)


@given(steps, st.integers(1, 6), st.integers(1, 70))
def test_send_ring(steps, packets, size):
    h = Host()
    s = h.add(UDPSocket(64, size, packets))
    s.bind(77)
    queue = []
    serial = 0
    for what, n in steps:
        if what == "in":
            serial += 1
            data = bytes((serial + i) & 255 for i in range(n))
            got = s.send_to(data, PEER, 1000 + serial)
            if n > size:
                assert got == -90
            elif got == EAGAIN:
                assert len(queue) == packets or sum(len(d) for p, d in queue) + 2 * n > size
            else:
                assert got == n
                queue.append((1000 + serial, data))
        else:
            h.run()
            sent = [Packet(f) for at, f in h.device.sent]
            h.clear()
            assert [(q.dport, q.data) for q in sent] == queue
            queue = []


@given(st.lists(st.tuples(st.booleans(), st.integers(14, 90)), max_size=40))
def test_raw_ring(steps):
    h = Host()
    s = h.add(RawSocket(200, 64, 3, ethertype=0x88B5))
    queue = []
    for arrives, n in steps:
        if arrives:
            f = frames.eth(bytes(n - 14), 0x88B5)
            full = h.counter("raw_full")
            h.inject(f)
            if h.counter("raw_full") == full:
                queue.append(f)
        else:
            got = recv(s)
            assert got == (queue.pop(0) if queue else EAGAIN)


# Routes and neighbors.


networks = st.tuples(st.sampled_from([10, 11]), octets, octets, octets, st.integers(1, 32))


@given(st.lists(networks, max_size=8, unique=True), st.lists(four, min_size=1, max_size=8))
def test_longest_prefix(routes, wanted):
    h = Host(routes=10, neighbors=32)
    s = h.add(UDPSocket(64, 64))
    table = {}
    for i, (a, b, c, d, prefix) in enumerate(routes):
        mask = (0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF
        net = address.to_word(bytes([a, b, c, d])) & mask
        via = "192.168.69.%d" % (10 + i)
        mac = bytes([2, 0, 0, 0, 7, i])
        h.iface.add_route("%s/%d" % (address.format(address.from_word(net)), prefix), via)
        if i < 6:
            h.iface.add_neighbor(via, mac)
        table[(prefix, net)] = via
    targets = [bytes([10 + (t[0] & 1)]) + t[1:] for t in wanted]
    targets += [bytes(r[:4]) for r in routes]
    for t in targets:
        word = address.to_word(t)
        best = max(
            ((p, via) for (p, net), via in table.items() if word >> (32 - p) == net >> (32 - p)),
            default=(0, frames.GATEWAY),
        )[1]
        h.advance(1000)
        h.clear()
        assert s.send_to(b"x", t, 9) == 1
        q = h.next()
        if q.kind == "arp":
            assert q.tpa == best
            mac = bytes([2, 0, 0, 0, 7, 99])
            h.inject(frames.arp(2, spa=best, sha=mac))
            assert h.next().dst == address.format(t)
        else:
            known = {a: m for a, m, k in h.iface.neighbors()}
            assert address.format_mac(q.dmac) == known[best]


# TCP.


segments = st.lists(st.tuples(st.integers(0, 120), st.integers(0, 60)), max_size=30)


@given(segments, st.integers(0, 0xFFFFFFFF), st.integers(20, 200), st.lists(st.integers(0, 50)))
def test_reassembly(segments, iss, size, reads):
    """Pieces in any order, overlapping: what is acknowledged is what came without a gap."""
    data = bytes(i * 7 & 255 for i in range(200))
    h, p, s = established(iss=iss, rx=size, ack_delay=0)
    came = set()
    taken = b""
    acked = 0
    reads = list(reads)
    edge = size

    def deliver(at, n):
        nonlocal acked, edge
        p.send("A", 1 + at, 1, data[at : at + n])
        came.update(range(at, min(at + n, edge)))
        while h.device.sent:
            r = p.expect("A", 1)
            got = r.rack - 1
            assert got >= acked and r.rack + r.win - 1 >= edge
            acked = got
            edge = r.rack + r.win - 1
            assert edge - len(taken) <= size
        assert all(i in came for i in range(acked)), "acknowledged what never came"

    for at, n in segments:
        deliver(at, min(n, 200 - at))
        if reads and reads.pop(0) % 2:
            got = recv(s)
            taken += got if isinstance(got, bytes) else b""
            h.run()
            while h.device.sent:
                r = p.expect("A", 1)
                edge = r.rack + r.win - 1
            assert data.startswith(taken)
    # The rest in order: all of it arrives.
    for _ in range(40):
        got = recv(s)
        taken += got if isinstance(got, bytes) else b""
        if len(taken) == 200:
            break
        h.clear()
        p.send("A", 1 + len(taken), 1, data[len(taken) : len(taken) + 50])
    assert taken == data


fates = st.lists(st.sampled_from(["take", "take", "drop", "late", "twice", "part"]), max_size=80)


@given(fates, st.integers(1, 300), st.integers(20, 300), st.sampled_from([64, 100, 536]))
def test_sending(fates, window, size, mss):
    """Whatever becomes of its segments, the stack's stream arrives whole, within the window."""
    data = bytes(i * 5 & 255 for i in range(700))
    h, p, s = established(tx=size, syn={"mss": mss, "win": window})
    p.win = window
    p.send("A", 1, 1)
    fates = list(fates)
    sent = 0
    have = bytearray(len(data))
    came = [False] * len(data)
    late = []
    nxt = 0
    right = window
    for turn in range(3000):
        if sent < len(data):
            n = s.send(data[sent:])
            if n > 0:
                sent += n
        h.run()
        arrived = [Packet(f) for at, f in h.device.sent] + late
        h.clear()
        late = []
        for q in arrived:
            at = ((q.seq - p.irs) & 0xFFFFFFFF) - 1
            n = len(q.data)
            assert n <= mss
            if n == 0:
                continue
            # One byte beyond is the probe of a closed window.
            assert at + n <= right or n == 1, (at, n, right)
            assert q.data == data[at : at + n]
            fate = fates.pop(0) if fates else "take"
            if fate == "drop":
                continue
            if fate == "late":
                late.append(q)
                continue
            if fate == "part":
                n = (n + 1) // 2
            for i in range(at, at + n):
                have[i] = data[i]
                came[i] = True
        while nxt < len(data) and came[nxt]:
            nxt += 1
        right = max(right, nxt + window)
        p.send("A", 1, 1 + nxt)
        if nxt == len(data):
            break
        if not h.device.sent:
            d = h.iface.poll_delay(h.now)
            h.advance(max(1, d if d >= 0 else 1000))
    assert nxt == len(data), nxt
    h.run()
    assert s.send_queue == 0


@given(st.lists(st.tuples(st.sampled_from("SRFAPU"), st.integers(-3, 3)), max_size=12))
def test_any_flags_near_the_edge_of_the_stream(events):
    """No sequence of segments near RCV.NXT makes an exception or a malformed answer."""
    h, p, s = established(rx=64)
    for flag, offset in events:
        p.send(flag + "A" if flag in "FPU" else flag, 1 + offset, 1, b"x" if flag == "P" else b"")
        for at, f in h.device.sent:
            Packet(f)
        h.clear()
    h.advance(20)
    assert s.state_name
