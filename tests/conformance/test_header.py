"""Headers and answers: both editions do the same, and what they make is right."""

from array import array

from fuzz import Random
from harness import *
from smolmpy.link import arp as arp_module
from smolmpy.link import header

try:
    from smolmpy.link import header_thumb as assembly
except (ImportError, SyntaxError, AttributeError):
    assembly = None

SKIP = "SKIP no inline assembly for this processor"
SRC, DST, GROUP, PEER_HI, NOW, ADDRESSES, ROUTES_LEN = 7, 8, 11, 14, 4, 24, 26
NEIGHBORS = 27
TO_PEER = 1 << 24
ROUNDS = 800


def both(name, frame, state, *args):
    """Calls a function of both editions on copies and returns what the portable one has made."""
    made = []
    for module in (header, assembly):
        buf = memoryview(bytearray(1600))[2:]
        buf[: len(frame)] = frame
        st = array("I", state)
        made.append((getattr(module, name)(buf, st, *args), bytes(buf), st))
    (n, frame, state), (other_n, other_frame, other_state) = made
    assert n == other_n, (n, other_n)
    assert frame == other_frame, ([i for i in range(1598) if frame[i] != other_frame[i]], n)
    assert state == other_state, [i for i in range(len(state)) if state[i] != other_state[i]]
    return n, frame, state


def test_head():
    if assembly is None:
        return SKIP
    random = Random(1)
    h = Host()
    neighbors = h.iface._st[NEIGHBORS]
    route = h.iface._st[25]
    sent = routed = 0
    for turn in range(ROUNDS):
        state = array("I", h.iface._st)
        state[SRC] = get32(addr(OUR), 0)
        state[DST] = get32(addr(PEER if turn & 1 else FAR), 0)
        state[PEER_HI] = random.below(1 << 16)
        state[PEER_HI + 1] = random.below(1 << 28) << 3
        e = neighbors + (state[DST] & (state[NEIGHBORS + 1] - 1)) * 4
        kind = random.below(4) << 16
        state[e] = state[DST] if random.below(4) else random.below(1 << 28)
        state[e + 1] = random.below(4) << 20 | kind | random.below(1 << 16)
        state[e + 2] = random.below(1 << 28) << 4
        age = (0, 1, 44999, 45000, 45001, 60000)[random.below(6)]
        state[e + 3] = (state[NOW] - age) & 0x3FFFFFFF
        if random.below(4) == 0:
            state[(ADDRESSES, ROUTES_LEN, route, route + 1, route + 2)[random.below(5)]] ^= 1
        elif random.below(8) == 0:
            state[DST] = get32(
                addr(("255.255.255.255", "224.0.0.9", "240.0.0.1", OUR)[turn & 3]), 0
            )
            state[route + 2] = state[DST]
        what = random.below(256) << 16 | random.below(256) << 8 | random.below(256)
        if not random.below(3):
            what |= TO_PEER
        n, frame, _ = both("head", b"\x55" * 60, state, random.below(1481), what)
        if n:
            sent += 1
            assert csum(frame[14:34]) == 0
            assert frame[26:34] == u32(state[SRC]) + u32(state[DST])
            if not what & TO_PEER and frame[:6] == GATEWAY_MAC:
                routed += 1
    assert ROUNDS // 4 < sent < ROUNDS and routed > 10, (sent, routed)


def test_answer():
    if assembly is None:
        return SKIP
    random = Random(2)
    h = Host()
    state = array("I", h.iface._st)
    answered = 0
    noise = bytes(random.below(256) for _ in range(2000))
    for n in list(range(ROUNDS)) + [1471, 1472]:
        at = random.below(2000 - n)
        data = noise[at : at + n]
        if random.below(4) == 0:
            data = (b"\x00", b"\xff")[n & 1] * n
        question = echo(data=data, kind=random.below(16) and 8, bad_csum=not random.below(8))
        datagram = udp(random.below(8) and 5000, 7, data)
        state[GROUP] = 0 if random.below(8) else 1
        length = len(question) - 34
        for frame, size, kind in (
            (question, length, 1),
            (question, random.below(12), 1),
            (question, length, 0),
            (datagram, length, 17),
            (datagram, random.below(length - 7) + 8, 17),
        ):
            size, made, _ = both("answer", frame, state, size, kind)
            if size:
                answered += 1
                assert csum(made[14:34]) == 0
                if kind == 17:
                    assert Packet(made[:size]).data == frame[42:size]
                elif kind == 1:
                    assert csum(made[34:size]) == 0 and made[34] == 0
    assert answered > 3 * ROUNDS


def test_a_checksum_of_zero_is_sent_as_ones():
    for answer in (header.answer, assembly and assembly.answer):
        if answer is None:
            continue
        h = Host()
        buf = memoryview(bytearray(1600))[2:]
        frame = udp(5000, 7, b"\x00\x00")
        buf[: len(frame)] = frame
        assert answer(buf, h.iface._st, 10, 17) == 44
        buf[42:44] = bytes(buf[40:42])
        buf[34:38] = frame[34:38]
        assert answer(buf, h.iface._st, 10, 17) == 44
        assert bytes(buf[40:42]) == b"\xff\xff"


def arp_variants():
    questions = (arp(1), arp(1, spa="192.168.69.200"), arp(2), arp(1, smac=GATEWAY_MAC))
    for question in questions:
        yield question
        yield question[:42] + bytes(18)
        yield question[:41]
        for at in range(12, 42):
            values = [question[at] ^ (1 << bit) for bit in range(8)]
            values.extend((0, 1, 127, 224, 255))
            for value in values:
                wrong = bytearray(question)
                wrong[at] = value
                yield bytes(wrong)
    for spa in (OUR, "0.0.0.0", "192.168.69.255", "192.168.69.0", "127.0.0.1", FAR):
        yield arp(1, spa=spa)
        yield arp(1, spa=spa, sha=NO_MAC)
        yield arp(1, spa=spa, sha=OUR_MAC)


def arp_host(second, static):
    h = Host(neighbor=static)
    if second:
        h.iface.add_address("10.1.2.3/8")
    h.run()
    h.inject(arp(1))
    h.clear()
    return h


def known(h):
    """The neighbor cache, word by word."""
    st = h.iface._st
    return st[st[NEIGHBORS] : st[NEIGHBORS] + 4 * st[NEIGHBORS + 1]]


def test_arp():
    if assembly is None:
        return SKIP
    for second in (False, True):
        for static in (False, True):
            short = arp_host(second, static)
            long = arp_host(second, static)
            way = list(long.iface._poll_parts[2])
            way[way.index(arp_module.ingress)] = arp_module.examine
            parts = long.iface._poll_parts
            long.iface._poll_parts = parts[:2] + (tuple(way),)
            for frame in arp_variants():
                for h in (short, long):
                    h.inject(frame)
                    h.advance(1)
                assert [f for _, f in short.device.sent] == [f for _, f in long.device.sent], frame
                assert short.tally() == long.tally(), (frame, short.counted(long))
                assert known(short) == known(long), (frame, short.iface.neighbors())
                short.clear()
                long.clear()


def test_what_is_usual_is_answered_at_once():
    if assembly is None:
        return SKIP
    h = Host(neighbor=False)
    view = h.iface._frame
    frame = arp(1)
    h.inject(frame)
    view[:42] = frame[:42]
    assert assembly.arp_answer(view, h.iface._st, 42) == 42
    p = Packet(bytes(view[:42]))
    assert p.kind == "arp" and p.op == 2, p
