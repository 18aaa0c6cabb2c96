"""Headers and their prediction in assembly against the portable editions, in all states."""

from array import array

from differential import Bytes, both, seeded
from emulated import core
from harness import *
from smolmpy.link import arp as arp_module
from smolmpy.link import header, header_thumb, prediction, prediction_thumb
from test_header import test_a_checksum_of_zero_is_sent_as_ones  # noqa: F401

ROUNDS = 2500
PREFIXES = (0, 1, 8, 16, 24, 24, 24, 26, 30, 31, 32)
GROUPS = b"\x01\x00\x00\x00\x00\x64", b"\x03\x00\x00\x00\x00\x64"
TARGETS = (PEER, GATEWAY, FAR, FAR, OUR, "192.168.69.255", "255.255.255.255", "224.0.0.9",
           "223.1.2.3", "240.0.0.1", "127.0.0.1", "0.0.0.0", "192.168.69.33",
           "192.168.69.63")  # fmt: skip


def word(address):
    return get32(addr(address), 0)


def mask(random):
    return (M32 << (32 - PREFIXES[random.below(len(PREFIXES))])) & M32


def word_of(random):
    return random.below(1 << 16) << 16 | random.below(1 << 16)


def target(random):
    if random.below(8) == 0:
        return word_of(random)
    return word(TARGETS[random.below(len(TARGETS))])


class States:
    """States of an interface with what a header depends on, mostly as it should be."""

    def __init__(self, random):
        self.random = random
        h = Host(seed=b"12345678")
        h.inject(arp(1))
        h.clear()
        self.state = h.iface._st
        # What is counted has been counted before.
        for i in range(header_thumb._COUNTERS, header_thumb._COUNTERS + 71):
            self.state[i] = 1009 * i

    def neighbor(self, state, address):
        """Sets what is known of an address, if anything is."""
        random = self.random
        at = state[header._NEIGHBORS] + (address & (state[header._NEIGHBORS_LEN] - 1)) * 4
        state[at] = address if random.below(8) else word_of(random)
        kind = (2, 2, 3, random.below(4))[random.below(4)]
        state[at + 1] = (
            random.below(256) << 24 | random.below(4) << 20 | kind << 16 | random.below(1 << 16)
        )
        state[at + 2] = word_of(random)
        age = (0, 1, 44999, 45000, 45001, 60000, 1 << 29)[random.below(7)]
        state[at + 3] = (state[header._NOW] - age) & 0x3FFFFFFF
        return at

    def make(self, dst):
        random = self.random
        state = array("I", self.state)
        state[header._NOW] = random.below(1 << 30)
        state[header._SRC] = word(OUR) if random.below(4) else word_of(random)
        state[header._DST] = dst
        state[header._PEER_HI] = random.below(1 << 16)
        state[header._PEER_LO] = word_of(random)
        state[header._GROUP] = random.below(8) == 0
        state[header._MAC_HI] = random.below(1 << 16) & 0xFEFF
        state[header._MAC_LO] = word_of(random)
        if random.below(4) == 0:
            state[header._ADDRESS_TABLE + 1] = mask(random)
        if random.below(6) == 0:
            state[header._ADDRESSES] = random.below(4)
        route = state[header._ROUTES]
        what = random.below(8)
        if what == 0:
            state[header._ROUTES_LEN] = random.below(3)
        elif what == 1:
            state[route], state[route + 1] = target(random), mask(random)
        elif what == 2:
            state[route + 2] = dst
        elif what == 3:
            state[route + 2] = target(random)
        if random.below(4):
            self.neighbor(state, state[route + 2])
        if random.below(2):
            self.neighbor(state, dst)
        return state


def ways():
    """States with each way to each target: its own entry, a route, a gateway, or none of them."""
    states = States(seeded(30))
    for dst in TARGETS:
        for known in (None, dst, GATEWAY):
            for route in ("0.0.0.0/0", "8.0.0.0/8", "10.0.0.0/8"):
                for gateway in (GATEWAY, dst):
                    state = array("I", states.state)
                    state[header._SRC], state[header._DST] = word(OUR), word(dst)
                    at = state[header._ROUTES]
                    net, prefix = route.split("/")
                    state[at], state[at + 2] = word(net), word(gateway)
                    state[at + 1] = M32 << (32 - int(prefix)) & M32
                    at = state[header._NEIGHBORS]
                    for i in range(at, at + 4 * state[header._NEIGHBORS_LEN]):
                        state[i] = 0
                    if known:
                        at += (word(known) & (state[header._NEIGHBORS_LEN] - 1)) * 4
                        state[at], state[at + 1], state[at + 2] = word(known), 3 << 16 | 2, 0x64
                    yield state


def test_head_every_way():
    for state in ways():
        both(header.head, header_thumb.head, Bytes(b"\x55" * 34, 2), state, 8, 64 << 8 | 17)


def test_head():
    random = seeded(31)
    states = States(random)
    sent = 0
    for _ in range(ROUNDS):
        kind = random.below(1 << 24) | (random.below(3) == 0) << 24
        frame = Bytes(b"\x55" * 34, 2)
        state = states.make(target(random))
        sent += both(header.head, header_thumb.head, frame, state, random.below(1481), kind)[0] > 0
    assert ROUNDS // 4 < sent < ROUNDS, sent


def with_sum(total, frame, at):
    """The frame, with a word at `at` that makes the little-endian words behind the IP header add
    up to `total`."""
    frame = bytearray(frame)
    frame[at : at + 4] = bytes(4)
    words = bytes(frame[34:]) + bytes(-(len(frame) - 34) % 4)
    s = sum(int.from_bytes(words[i : i + 4], "little") for i in range(0, len(words), 4))
    frame[at : at + 4] = ((total - s) % M32).to_bytes(4, "little")
    return frame


def test_answer_every_sum():
    # Carries that are seldom: out of a last word that is not whole, and out of the first fold.
    st = States(seeded(35)).state
    for tail in (b"", b"\xff", b"\xff\xff", b"\xff\xff\xff"):
        for total in (M32, 0, 1, 0xFFFF, 0x1FFFF, 0xFFFF0000, 0xFFFF0001, 0xFFFEFFFF, 0xFFFFFF00):
            # The ports change places, and the checksum is left out.
            frame = bytearray(udp(7, 7, bytes(8) + tail, no_csum=True))
            for addresses in (frame[26:34], b"\xff\xff\xff\xfe\xff\xff\xff\xff"):
                frame[26:34] = addresses
                made = Bytes(with_sum(total, frame, 42), 2)
                both(header.answer, header_thumb.answer, made, st, len(frame) - 34, 17)
        # Of an echo request that is right the sum is 0xFFFF folded once, or twice. Its checksum
        # grows, and may begin anew.
        for given in (b"\xf7\xff", b"\xf8\xff", b"\xff\xff", b"\xff\xf8", b"\0\0"):
            request = bytearray(echo(data=bytes(8) + tail))
            request[36:38] = given
            request = with_sum(M32, request, 42)
            assert csum(bytes(request[34:])) == 0
            made = Bytes(request, 2)
            assert both(header.answer, header_thumb.answer, made, st, len(request) - 34, 1)[0]
            for bit in range(16):
                request[36 + bit // 8] ^= 1 << bit % 8
                made = Bytes(request, 2)
                assert not both(
                    header.answer, header_thumb.answer, made, st, len(request) - 34, 1
                )[0]
                request[36 + bit // 8] ^= 1 << bit % 8


def test_a_long_answer_goes_by_blocks():
    st = States(seeded(36)).state
    for n in range(1400, 1404):
        frame = Bytes(echo(data=bytes(n)), 2).copy()
        assert header_thumb.answer(frame, st, n + 8, 1) == n + 42
        assert core.blocks() < 110, core.blocks()


def test_answer_short():
    st = States(seeded(36)).state
    for n in range(12):
        frame = bytearray(echo(data=b"12345678"))
        frame[36:38] = b"\0\0"
        frame[36:38] = u16(csum(bytes(frame[34 : 34 + n]).ljust(4, b"\0")))
        both(header.answer, header_thumb.answer, Bytes(frame, 2), st, n, 1)


def test_answer():
    random = seeded(32)
    states = States(random)
    answered = 0
    for _ in range(ROUNDS // 2):
        n = random.below((4, 20, 200)[random.below(3)])
        data = bytes(random.below(256) for _ in range(n))
        data = (data, data, b"\x00" * n, b"\xff" * n)[random.below(4)]
        bad = random.below(8) == 0
        frame = echo(data=data, kind=random.below(12) and 8, bad_csum=bad)
        kind = (1, 1, 0)[random.below(3)]
        if random.below(2):
            frame = udp(random.below(6) and word_of(random) & 0xFFFF, 7, data)
            kind = 17
        length = len(frame) - 34
        if random.below(8) == 0:
            length = random.below(length + 1)
            if kind == 17 and length < 8:
                length = 8
        frame = bytearray(frame)
        for at in range(15, 34):
            frame[at] = (frame[at], 0, 255, random.below(256))[random.below(4)]
        frame, state = Bytes(frame, 2), states.make(0)
        answered += both(header.answer, header_thumb.answer, frame, state, length, kind)[0] > 0
    assert ROUNDS // 4 < answered < ROUNDS // 2, answered


def with_header_sum(frame):
    """The frame with the checksum of its IP header."""
    return (
        bytes(frame[:24]) + u16(csum(bytes(frame[14:24] + bytes(2) + frame[26:34]))) + frame[26:]
    )


def to_another(random, frame, state):
    """The frame to another address of ours, whose sum has carries that are seldom."""
    frame = bytearray(frame)
    dst = word_of(random) | 0xFF
    state[prediction._ADDRESS_TABLE] = dst
    frame[30:34] = dst.to_bytes(4, "big")
    if random.below(2):
        frame[18:20] = b"\0\0"
        halves = sum(get16(frame, i) for i in range(14, 34, 4))
        frame[18:20] = u16(0xFFFF - halves % 0xFFFF)
    return with_header_sum(frame)


def mutated(random, frame):
    """The frame, or one with some of its header changed, most of them with a right checksum."""
    frame = bytearray(frame)
    for _ in range((0, 0, 0, 1, 1, 2, 3)[random.below(7)]):
        at = random.below(34)
        values = (0, 0x45, 0x7F, 0xE0, 0xFF, random.below(256), frame[at] ^ 1 << random.below(8))
        frame[at] = values[random.below(7)]
    if random.below(8) and frame[12:14] == b"\x08\x00":
        return with_header_sum(frame)
    return bytes(frame)


def test_predict():
    random = seeded(33)
    states = States(random)
    seen = {}
    for _ in range(3 * ROUNDS):
        state = states.make(0)
        hi, lo = state[header._MAC_HI], state[header._MAC_LO]
        mac = hi.to_bytes(2, "big") + lo.to_bytes(4, "big")
        state[prediction._RAW] = random.below(12) == 0
        table = prediction._ADDRESS_TABLE
        count = (1, 1, 2, 3)[random.below(4)]
        state[prediction._ADDRESSES] = count
        src = PEER if random.below(3) else TARGETS[random.below(len(TARGETS))]
        # What lies behind the last is nothing.
        for i in range(1, 4):
            one = word(src) if random.below(8) == 0 else target(random)
            state[table + 2 * i], state[table + 2 * i + 1] = one, mask(random)
        if random.below(8) == 0:
            state[table] = word(src)
        for i in (prediction._GROUP, prediction._OPTIONS, prediction._TOS, prediction._PSEUDO):
            state[i] = random.below(1 << 16)
        dmac = mac if random.below(8) else b"\xff" * 6
        # The source may end like our own address.
        smac = PEER_MAC if random.below(8) else b"\x02\x00\x00\x00" + mac[4:]
        frame = (
            udp(5000, 7, b"data", src=src, dmac=dmac, smac=smac),
            tcp(5001, 80, "S", 1000, 0, src=src, dmac=dmac, smac=smac),
            echo(src=src, dmac=dmac, smac=smac),
            arp(1, dmac=dmac, smac=smac),
        )[random.below(4)]
        if random.below(4) == 0:
            frame = to_another(random, frame, state)
        frame = mutated(random, frame)
        n = (len(frame), len(frame), 34, 33, random.below(60))[random.below(5)]
        frame = (frame + bytes(60))[: max(n, 34)]
        kind = both(prediction.predict, prediction_thumb.predict, Bytes(frame, 2), state, n)[0]
        seen[kind & 255] = seen.get(kind & 255, 0) + 1
    assert all(seen[kind] > 50 for kind in (0, 1, 6, 17, 255)), seen


def test_predict_every_byte():
    # Each value of each byte of a header, with a right checksum; and each bit, with a wrong one.
    state = array("I", Host().iface._st)
    for frame in (udp(5000, 7, b"data"), arp(1)):
        is_ip = frame[12:14] == b"\x08\x00"
        for at in range(34):
            for value in range(256):
                changed = bytearray(frame)
                changed[at] = value
                right = Bytes(with_header_sum(changed) if is_ip else changed, 2)
                both(prediction.predict, prediction_thumb.predict, right, state, len(frame))
                if value.bit_count() == 1:
                    changed[at] = frame[at] ^ value
                    wrong = Bytes(changed, 2)
                    both(prediction.predict, prediction_thumb.predict, wrong, state, len(frame))


def test_predict_every_source():
    state = array("I", Host().iface._st)
    table = prediction._ADDRESS_TABLE
    for src in TARGETS:
        frame = Bytes(echo(src=src, smac=GATEWAY_MAC), 2)
        for prefix in PREFIXES:
            for second in (None, src, PEER, "192.168.69.33"):
                state[table + 1] = (M32 << (32 - prefix)) & M32
                state[prediction._ADDRESSES] = 1
                if second:
                    state[table + 2], state[table + 3] = word(second), M32 << 6 & M32
                    state[prediction._ADDRESSES] = 2
                both(prediction.predict, prediction_thumb.predict, frame, state, len(frame.data))


def arp_host(prefix, static=False, second=False):
    h = Host(neighbor=static, address=False, seed=b"12345678")
    h.iface.add_address("%s/%d" % (OUR, prefix))
    if second:
        h.iface.add_address("10.1.2.3/8")
    h.run()
    arp_module.arp_answer = declined
    h.inject(arp(1))
    h.clear()
    return h


def declined(*args):
    return 0


def question(random):
    spa = PEER if random.below(3) else TARGETS[random.below(len(TARGETS))]
    frame = bytearray(arp(1, spa=spa, smac=PEER_MAC if random.below(4) else GATEWAY_MAC))
    if random.below(3) == 0:
        frame[14 + random.below(28)] ^= 1 << random.below(8)
    return bytes(frame[: 42 - (random.below(12) == 0)])


def both_answer(hosts, frame, change=-1, value=0):
    """The question to both hosts, one with the shortcut; returns whether that was taken."""
    taken = []

    def arp_answer(*args):
        taken.append(header_thumb.arp_answer(*args))
        return taken[-1]

    arp_module.arp_answer = arp_answer
    for h, ingress in zip(hosts, (arp_module.examine, arp_module.ingress), strict=True):
        st = h.iface._st
        view = h.iface._frame
        sender = get32(frame, 28)
        peer = st[header._NEIGHBORS] + (sender & (st[header._NEIGHBORS_LEN] - 1)) * 4
        # A neighbor whose entry has been tried, or has another Ethernet address, or who should not
        # be known.
        if change == 0:
            st[peer + 1] = st[peer + 1] & 0xFF0FFFFF | (value & 3) << 20
        elif change == 1:
            st[peer + 2] ^= value
        elif change == 2:
            st[header_thumb._WATCHED] = sender if value & 1 else 0
        elif change == 3 and sender:
            st[peer], st[peer + 1] = sender, 2 << 16 | get16(frame, 22)
            st[peer + 2], st[peer + 3] = get32(frame, 24), st[header._NOW]
        view[: len(frame)] = frame
        ingress(h.iface, st, view, len(frame))
    one, other = hosts
    sent = [[f for _, f in h.device.sent] for h in hosts]
    assert sent[0] == sent[1], frame
    assert one.iface.counters() == other.iface.counters(), frame
    # SRC and PEER are nobody's when the answer has left.
    words = [h.iface._st[header._ADDRESS_TABLE :] for h in hosts]
    assert words[0] == words[1], frame
    for h in hosts:
        h.clear()
    assert len(taken) == 1
    return taken[0] > 0


def test_arp_every_sender():
    plain = PEER, GATEWAY, "192.168.69.33", "192.168.69.63"
    for prefix in (0, 24, 30, 31):
        for second in (False, True):
            for spa in (*TARGETS, "10.1.2.3"):
                hosts = [arp_host(prefix, second=second) for _ in range(2)]
                for sha in (PEER_MAC, NO_MAC, OUR_MAC, GATEWAY_MAC, *GROUPS):
                    frame = arp(1, spa=spa, sha=sha)
                    both_answer(hosts, frame)
                    taken = both_answer(hosts, frame, 3)
                    if spa in plain and sha in (PEER_MAC, GATEWAY_MAC):
                        assert taken == (prefix in (0, 24) and not second), (spa, prefix)


def test_arp_what_is_malformed():
    hosts = [arp_host(24) for _ in range(2)]
    for padding in (b"", bytes(18)):
        assert both_answer(hosts, arp(1) + padding, 3)
        for at in range(12, 42):
            for bit in range(8):
                frame = bytearray(arp(1) + padding)
                frame[at] ^= 1 << bit
                both_answer(hosts, bytes(frame), 3 if 22 <= at < 32 else -1)
    both_answer(hosts, arp(1)[:41])
    assert both_answer(hosts, arp(1), 3)


def test_arp_answer():
    random = seeded(34)
    answered = 0
    for _ in range(100):
        prefix = (24, 24, 24, 0, 8, 31)[random.below(6)]
        static, second = random.below(4) == 0, random.below(6) == 0
        hosts = [arp_host(prefix, static, second) for _ in range(2)]
        for _ in range(20):
            frame = question(random)
            changes = random.below(12), random.below(1 << 16)
            answered += both_answer(hosts, frame, *changes)
            pause = random.below(2)
            for h in hosts:
                h.advance(pause)
    assert answered > 200, answered
