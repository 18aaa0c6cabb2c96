"""DHCP by the tables of RFC 2131 and RFC 2132: every field, every time, every limit."""

from fuzz import Random
from harness import *
from smolmpy import DHCPClient, UDPSocket
from test_dhcp import (
    ACK,
    DECLINE,
    DISCOVER,
    EVERYBODY,
    LEASED,
    NAK,
    NOBODY,
    OFFER,
    OTHER,
    RELEASE,
    REQUEST,
    SERVER,
    SERVER_MAC,
    Cable,
    Message,
    answer,
    bound,
    client,
    counts,
    heard,
    option,
    until_sent,
)

STATES = (
    "STOPPED NO_LINK INIT SELECTING REQUESTING PROBING BOUND RENEWING REBINDING REBOOTING".split()
)
LIST = b"\x01\x03\x06\x2a\x33\x3a\x3b"  # mask, router, DNS, NTP, lease, T1, T2


def dotted(n):
    return text(u32(n))


def has(m, **options):
    """The message has exactly these options; values are what is in them."""
    want = {int(k[1:]): v for k, v in options.items()}
    want[53] = bytes([m.kind])
    assert m.options == want, (m.kind, m.options, want)


def granted(h, c, lease=1000, t1=None, t2=None, probe=0):
    """Takes the client from its DISCOVER to BOUND; when its lease began."""
    options = b""
    if t1 is not None:
        options += option(58, u32(t1))
    if t2 is not None:
        options += option(59, u32(t2))
    h.inject(answer(heard(h, DISCOVER), OFFER, lease=lease, options=options))
    m = heard(h, REQUEST)
    h.inject(answer(m, ACK, lease=lease, options=options, router=GATEWAY))
    return m.at


def test_names_of_the_states():
    for i in range(len(STATES)):
        assert getattr(DHCPClient, STATES[i]) == i
    h, c = client(probe=0)
    assert c.state_name == "INIT"
    h.run()
    assert c.state_name == "SELECTING"
    granted(h, c)
    assert c.state_name == "BOUND"
    c.stop()
    assert c.state_name == "STOPPED"


def test_table_5_what_each_message_says():
    own = b"\x01" + OUR_MAC
    size = u16(1500)
    for hostname, ident in ((None, None), ("a-board", b"\x00\xff" + bytes(range(62)))):
        o = {"o61": ident or own}
        name = {"o12": hostname.encode()} if hostname else {}
        h, c = client(hostname=hostname, client_id=ident, probe=100)
        m = heard(h, DISCOVER, src=NOBODY, dst=EVERYBODY, dmac=BROADCAST_MAC, ciaddr=NOBODY)
        has(m, o55=LIST, o57=size, **o, **name)
        h.inject(answer(m, OFFER))
        m = heard(h, REQUEST, src=NOBODY, dst=EVERYBODY, dmac=BROADCAST_MAC, ciaddr=NOBODY)
        has(m, o50=addr(LEASED), o54=addr(SERVER), o55=LIST, o57=size, **o, **name)
        h.inject(answer(m, ACK, lease=1000))
        h.advance(1200)
        assert c.bound
        # To the server alone, from T1 on: ciaddr, and neither 50 nor 54.
        h.iface.add_neighbor(SERVER, SERVER_MAC)
        h.clear()
        until_sent(h)
        m = heard(h, REQUEST, src=LEASED, dst=SERVER, dmac=SERVER_MAC, ciaddr=LEASED, secs=0)
        assert c.state == DHCPClient.RENEWING and m.flags == 0
        has(m, o55=LIST, o57=size, **o, **name)
        # To all, from T2 on.
        h.advance(875 * 1000 - h.t + 2000)
        m = [Message(Packet(f, at)) for at, f in h.device.sent][-1]
        h.clear()
        assert (m.kind, m.src, m.dst, m.dmac) == (REQUEST, LEASED, EVERYBODY, BROADCAST_MAC)
        assert (m.ciaddr, m.secs, m.flags) == (LEASED, 0, 0) and c.state == DHCPClient.REBINDING
        has(m, o55=LIST, o57=size, **o, **name)
        h.inject(answer(m, ACK, lease=1000))
        assert c.state == DHCPClient.BOUND
        c.release()
        m = heard(h, RELEASE, src=LEASED, dst=SERVER, dmac=SERVER_MAC, ciaddr=LEASED)
        has(m, o54=addr(SERVER), **o)
        h.expect_nothing()
        # As before: 50, but no server is meant.
        c.start()
        m = heard(h, REQUEST, src=NOBODY, dst=EVERYBODY, dmac=BROADCAST_MAC, ciaddr=NOBODY)
        has(m, o50=addr(LEASED), o55=LIST, o57=size, **o, **name)
        assert c.state == DHCPClient.REBOOTING
        h.inject(answer(m, ACK, lease=1000))
        h.clear()  # of a probe, if the random time before it is none
        h.inject(arp(2, LEASED, LEASED))
        m = heard(h, DECLINE, src=NOBODY, dst=EVERYBODY, dmac=BROADCAST_MAC, ciaddr=NOBODY)
        has(m, o50=addr(LEASED), o54=addr(SERVER), **o)


def test_4_1_seconds_and_transactions():
    """secs of a REQUEST are those of the last DISCOVER; its xid is the OFFER's."""
    h, c = client(probe=0)
    first = heard(h, DISCOVER, secs=0)
    last = first
    for _ in range(7):
        until_sent(h)
        last = heard(h, DISCOVER, xid=first.xid)
    assert last.at > 70000
    h.inject(answer(last, OFFER))
    m = heard(h, REQUEST, xid=first.xid)
    assert m.secs == first.secs and m.flags == last.flags
    until_sent(h)
    again = heard(h, REQUEST, xid=first.xid, secs=m.secs)
    assert 3000 <= again.at - m.at <= 5000


def test_4_1_the_waits_double_up_to_64_s():
    for _ in range(4):
        h, c = client(probe=0)
        times = [heard(h, DISCOVER).at]
        for _ in range(8):
            until_sent(h)
            times.append(heard(h, DISCOVER).at)
        waits = [times[i + 1] - times[i] for i in range(8)]
        for i in range(8):
            assert (
                abs(waits[i] - (4000, 8000, 16000, 32000, 64000, 64000, 64000, 64000)[i]) <= 1000
            )


def test_3_1_three_requests_then_another_discover():
    h, c = client(probe=0)
    h.inject(answer(heard(h, DISCOVER), OFFER))
    at = heard(h, REQUEST).at
    for wait in (4000, 8000):
        until_sent(h)
        m = heard(h, REQUEST)
        assert abs(m.at - at - wait) <= 1000
        at = m.at
    until_sent(h)
    m = heard(h, DISCOVER)
    assert abs(m.at - at - 16000) <= 1000 and 50 not in m.options
    assert c.state == DHCPClient.SELECTING


def test_4_4_5_t1_and_t2_come_when_the_server_says():
    """Renewing begins at T1 or up to a 32nd of it, 60 s at most, before; rebinding at T2."""
    for lease, t1, t2 in (
        (1000, None, None),
        (1000, 300, 600),
        (1000, 300, None),
        (1000, None, 600),
        (1000, 999, None),
        (1000, None, 999),
        (1000, 600, 601),
        (1000, 600, 600),
        (1000, 500, 1000),
        (1000, 0, 0),
        (1000, 1000, 1000),
        (6400, None, None),
        (20, None, None),
        (10, 5, 8),
    ):
        h, c = client(probe=0)
        begin = granted(h, c, lease, t1, t2)
        h.iface.add_neighbor(SERVER, SERVER_MAC)
        want2 = t2 if t2 and t2 < lease else lease - lease // 8
        want1 = (
            t1
            if t1 and t1 < want2
            else min(lease // 2, want2 // 2 if want2 <= lease // 2 else lease)
        )
        h.advance(1)
        h.clear()
        h.advance((want1 - want1 // 32 - 1) * 1000)
        h.expect_nothing()
        until_sent(h)
        m = heard(h, REQUEST, dst=SERVER)
        early = begin + want1 * 1000 - m.at
        assert 0 <= early <= min(want1 // 32, 60) * 1000, (lease, t1, t2, early)
        assert c.state == DHCPClient.RENEWING
        h.advance((want2 - want1) * 500)
        while c.state == DHCPClient.RENEWING:
            assert h.t < begin + want2 * 1000, (lease, t1, t2)
            h.clear()
            until_sent(h)
        m = heard(h, REQUEST, dst=EVERYBODY)
        assert m.at == begin + want2 * 1000, (lease, t1, t2, m.at - begin)
        assert c.state == DHCPClient.REBINDING
        while c.bound:
            h.clear()
            until_sent(h)
        m = [Packet(f, at) for at, f in h.device.sent][0]
        assert Message(m).kind == DISCOVER and m.at == begin + lease * 1000, (lease, m.at - begin)


def test_4_4_5_asks_again_after_half_of_what_is_left():
    h, c = client(probe=0)
    begin = granted(h, c, 8000, 2000, 6000)
    h.iface.add_neighbor(SERVER, SERVER_MAC)
    h.advance(1)
    h.clear()
    times = {SERVER: [], EVERYBODY: []}
    while c.bound:
        until_sent(h)
        for at, f in h.device.sent:
            m = Message(Packet(f, at))
            if m.kind == REQUEST:
                times[m.dst].append((at - begin) // 1000)
        h.clear()
    for to, end, least in ((SERVER, 6000, 60), (EVERYBODY, 8000, 500)):
        at = times[to][0]
        for again in times[to][1:]:
            due = min(end, at + max(min(60, 8000 >> 4), (end - at) // 2))
            assert abs(again - due) <= 1, (to, at, again, due)
            at = again
        assert end - at <= 61, (to, times[to])


def test_4_4_5_each_renewal_has_a_transaction_of_its_own():
    h, c = client(probe=0)
    granted(h, c, 1000)
    h.iface.add_neighbor(SERVER, SERVER_MAC)
    h.advance(1)
    h.clear()
    until_sent(h)
    m = heard(h, REQUEST)
    until_sent(h)
    n = heard(h, REQUEST)
    assert m.xid != n.xid
    h.inject(answer(m, ACK))
    assert c.state == DHCPClient.RENEWING
    h.inject(answer(n, ACK, lease=777))
    # It counts from when it was asked for, not from when it was granted.
    assert c.state == DHCPClient.BOUND and c.lease == 777
    h.advance(5000)
    assert c.lease == 772


def test_a_lease_is_what_is_left_of_it():
    h, c = client(probe=0)
    begin = granted(h, c, 100)
    assert c.lease == 100
    h.advance(999)
    assert c.lease == 100 and h.t == begin + 999
    h.advance(1)
    assert c.lease == 99
    h.advance(98000)
    assert c.lease == 1 and c.bound
    h.advance(1000)
    assert c.lease == 0 and not c.bound


def test_only_what_a_program_sees_is_a_change():
    """Another lease time, T1 or T2 in a renewal is none; another server or list is."""
    for grant, told in (
        ({}, 0),
        ({"lease": 5000}, 0),
        ({"options": option(58, u32(400)) + option(59, u32(500))}, 0),
        ({"options": option(6, addr("10.1.1.1"))}, 1),
        ({"options": option(42, addr("10.1.1.1"))}, 1),
        ({"router": PEER}, 1),
        ({"router": None}, 1),
        ({"mask": b"\xff\xff\x00\x00"}, 1),
    ):
        h, c = client(probe=0)
        granted(h, c)
        h.iface.add_neighbor(SERVER, SERVER_MAC)
        c.changed = False
        calls = []
        c.on_change = calls.append
        h.advance(1)
        h.clear()
        until_sent(h)
        fields = {"router": GATEWAY}
        fields.update(grant)
        h.inject(answer(heard(h, REQUEST), ACK, **fields))
        assert c.state == DHCPClient.BOUND and len(calls) == told, grant
        assert c.changed == bool(told), grant
        bits = 16 if "mask" in grant else 24
        assert h.iface.addresses() == ["%s/%d" % (LEASED, bits)], grant


def test_naks_make_it_wait_longer_each_time_up_to_64_s():
    h, c = client(probe=0)
    for i in range(9):
        h.inject(answer(heard(h, DISCOVER), OFFER))
        h.inject(answer(heard(h, REQUEST), NAK, dst=EVERYBODY, dmac=BROADCAST_MAC))
        counts(c, naks=i + 1, ignored=0, malformed=0, conflicts=0)
        wait = min(1000 << i, 64000)
        h.advance(wait - 1)
        h.expect_nothing()
        h.advance(1)
        assert h.device.sent, i
    h.inject(answer(heard(h, DISCOVER), OFFER))
    h.inject(answer(heard(h, REQUEST), ACK))
    h.clear()
    # After an ACK it is patient again.
    c.stop()
    c.start()
    h.inject(answer(heard(h, REQUEST), NAK, dst=EVERYBODY, dmac=BROADCAST_MAC))
    h.advance(999)
    h.expect_nothing()
    h.advance(1)
    heard(h, DISCOVER)


def test_5227_2_1_1_probes_and_their_pauses():
    for unit in (1000, 200, 10000, 1):
        h, c = bound(probe=unit)
        h.advance(9 * unit + 1)
        p = [h.expect("arp", op=1, dmac=BROADCAST_MAC, spa=NOBODY, tpa=LEASED) for _ in range(3)]
        # What is sent is no one's address, and asks no one's hardware address.
        assert all(x.sha == OUR_MAC and x.tha == NO_MAC for x in p)
        assert unit <= p[1].at - p[0].at <= 2 * unit and unit <= p[2].at - p[1].at <= 2 * unit
        a = [h.expect("arp", op=1, dmac=BROADCAST_MAC, spa=LEASED, tpa=LEASED) for _ in range(2)]
        assert a[0].at - p[2].at == 2 * unit and a[1].at - a[0].at == 2 * unit, unit
        h.expect_nothing()


def test_5227_2_4_defended_once_in_10_s():
    for later, defended in ((9000, False), (10000, True), (11000, True)):
        h, c = client(probe=0)
        granted(h, c)
        h.advance(1000)
        h.clear()
        h.inject(arp(1, LEASED, GATEWAY))
        h.expect("arp", op=1, spa=LEASED, tpa=LEASED, sha=OUR_MAC)
        h.expect_nothing()
        counts(c, conflicts=1)
        h.advance(later)
        h.inject(arp(1, LEASED, GATEWAY))
        assert c.bound == defended, later
        if defended:
            h.expect("arp", op=1, spa=LEASED, tpa=LEASED)
            counts(c, conflicts=2)
        else:
            heard(h, DECLINE)
            counts(c, conflicts=3)
            assert c.state == DHCPClient.INIT and c.changed
            h.advance(9999)
            h.expect_nothing()
            h.advance(1)
            heard(h, DISCOVER)


def test_5227_2_4_also_in_the_first_second_of_a_lease():
    h, c = client(probe=0)
    granted(h, c)
    h.clear()
    for i in range(2):
        h.inject(arp(1, LEASED, GATEWAY))
    assert not c.bound


def test_a_conflict_while_renewing_leaves_the_turn_where_it_was():
    h, c = client(probe=0)
    granted(h, c, 1000)
    h.iface.add_neighbor(SERVER, SERVER_MAC)
    h.advance(1)
    h.clear()
    until_sent(h)
    m = heard(h, REQUEST)
    h.advance(20000)
    h.inject(arp(1, LEASED, GATEWAY))
    h.expect("arp", op=1, spa=LEASED, tpa=LEASED)
    h.expect_nothing()
    until_sent(h)
    again = heard(h, REQUEST)
    left = 875000 - m.at
    assert abs(again.at - m.at - left // 2) <= 1000, (again.at - m.at, left)


def test_4_4_6_release_waits_for_the_server_3_s():
    h, c = client(probe=0)
    granted(h, c)
    h.clear()
    c.release()
    h.expect("arp", op=1, tpa=SERVER, spa=LEASED)
    h.advance(2900)
    assert h.iface.addresses() == [LEASED + "/24"]  # it has something to say still
    h.advance(200)
    assert h.iface.addresses() == [] and not c.bound
    h.clear()
    h.expect_idle()
    # A server that is found in time is told.
    h, c = client(probe=0)
    granted(h, c)
    h.clear()
    c.release()
    h.expect("arp", op=1, tpa=SERVER)
    h.advance(2500)
    h.clear()
    h.inject(arp(2, SERVER, LEASED, sha=SERVER_MAC, tha=OUR_MAC))
    heard(h, RELEASE, src=LEASED, dst=SERVER, dmac=SERVER_MAC)
    assert h.iface.addresses() == [] and c.state == DHCPClient.STOPPED
    h.expect_idle()


def test_4_4_6_release_with_a_full_device():
    h, c = client(probe=0)
    granted(h, c)
    h.iface.add_neighbor(SERVER, SERVER_MAC)
    h.clear()
    h.device.refuse = EAGAIN
    c.release()
    h.advance(2000)
    h.device.refuse = 0
    h.advance(2)
    heard(h, RELEASE)
    assert h.iface.addresses() == []
    h.device.refuse = 0
    h.expect_idle()
    # For ever full.
    h, c = client(probe=0)
    granted(h, c)
    h.iface.add_neighbor(SERVER, SERVER_MAC)
    h.clear()
    h.device.refuse = EAGAIN
    c.release()
    h.advance(3100)
    h.device.refuse = 0
    assert h.iface.addresses() == []
    h.expect_idle()


def test_release_without_a_lease_says_nothing():
    h, c = client(probe=0)
    c.release()
    assert c.state == DHCPClient.STOPPED
    h.clear()
    h.advance(100000)
    h.expect_nothing()
    c.start()
    h.inject(answer(heard(h, DISCOVER), OFFER))
    heard(h, REQUEST)
    c.release()
    assert c.state == DHCPClient.STOPPED and not c.changed
    h.advance(100000)
    h.expect_nothing()
    assert h.iface.poll_delay(h.now) == -1


def test_a_full_device_is_tried_again_the_next_millisecond():
    h, c = client(probe=0)
    h.device.refuse = EAGAIN
    h.advance(10)
    h.device.refuse = 0
    h.advance(1)
    m = heard(h, DISCOVER, secs=0)
    h.device.refuse = EAGAIN
    h.inject(answer(m, OFFER))
    h.advance(10)
    h.device.refuse = 0
    h.advance(1)
    m = heard(h, REQUEST)
    h.inject(answer(m, ACK, lease=100))
    h.iface.add_neighbor(SERVER, SERVER_MAC)
    h.advance(1)
    h.clear()
    h.device.refuse = EAGAIN
    h.advance(52000)
    h.device.refuse = 0
    h.advance(1)
    heard(h, REQUEST, dst=SERVER)
    # A probe as well.
    h, c = bound(probe=1000)
    h.device.refuse = EAGAIN
    h.advance(1500)
    h.device.refuse = 0
    h.advance(1)
    h.expect("arp", op=1, spa=NOBODY, tpa=LEASED)


def test_a_renewal_goes_out_as_soon_as_the_server_is_found():
    h, c = client(probe=0)
    granted(h, c, 100)
    h.advance(1)
    h.clear()
    until_sent(h)
    h.expect("arp", op=1, tpa=SERVER, spa=LEASED)
    h.inject(arp(2, SERVER, LEASED, sha=SERVER_MAC, tha=OUR_MAC))
    m = heard(h, REQUEST, dst=SERVER)
    assert m.at == h.t


def test_what_it_was_told_ends_with_the_lease():
    h, c = client(probe=0)
    h.inject(answer(heard(h, DISCOVER), OFFER))
    o = option(6, addr("10.1.1.1")) + option(42, addr("10.1.1.2"))
    h.inject(answer(heard(h, REQUEST), ACK, options=o, router=GATEWAY))
    assert c.dns and c.ntp and c.mask == "255.255.255.0"
    c.stop()
    assert (c.address, c.mask, c.router, c.server) == (None, None, None, None)
    assert c.dns == c.ntp == [] and c.lease == 0


def test_limits_of_what_may_be_given():
    h = Host(address=False, neighbor=False, sockets=16)
    for good in (b"xy", bytes(64)):
        c = DHCPClient(h.iface, client_id=good)
        assert heard(h, DISCOVER).options[61] == good
        c.close()
        h.clear()
    for bad in (b"", b"x", bytes(65)):
        raises(ValueError, "client_id", DHCPClient, h.iface, client_id=bad)
    for good in ("", "x", "x" * 63):
        c = DHCPClient(h.iface, good)
        assert heard(h, DISCOVER).options.get(12, b"") == good.encode()
        c.close()
        h.clear()
    raises(ValueError, "hostname", DHCPClient, h.iface, "x" * 64)
    for good in (0, 1, 10000):
        DHCPClient(h.iface, probe=good).close()
    for bad in (-1, 10001):
        raises(ValueError, "probe", DHCPClient, h.iface, probe=bad)
    h.clear()
    c = DHCPClient(h.iface)
    heard(h, DISCOVER)
    c.close()
    c.close()
    assert c.state == DHCPClient.STOPPED


def test_start_while_it_runs_changes_nothing():
    h, c = client(probe=0)
    m = heard(h, DISCOVER)
    c.start()
    h.expect_nothing()
    h.inject(answer(m, OFFER))
    heard(h, REQUEST, xid=m.xid)
    raises(OSError, "", lambda: (h.iface.remove(c), c.start()))


def test_the_link_is_looked_at_each_second():
    cable = Cable(True)
    h, c = bound(link=cable)
    h.clear()
    cable.up = False
    h.advance(999)
    h.advance(1)
    assert c.state == DHCPClient.NO_LINK
    h.advance(5000)
    cable.up = True
    h.advance(1000)
    assert c.state == DHCPClient.REBOOTING
    heard(h, REQUEST)
    # While it is there, nothing is sent but what is due.
    h.inject(answer(heard_again(h), ACK, lease=3600, router=GATEWAY))
    h.clear()
    h.advance(60000)
    h.expect_nothing()


def test_a_device_that_cannot_be_asked_has_no_link():
    cable = Cable(True)
    h, c = bound(link=cable)

    def broken():
        raise OSError(5)

    c._link = broken
    h.advance(1000)
    assert c.state == DHCPClient.NO_LINK
    c._link = cable
    h.advance(1000)
    assert c.state == DHCPClient.REBOOTING


def heard_again(h):
    until_sent(h)
    return heard(h, REQUEST)


def test_other_datagrams_are_not_for_it():
    """Messages at other times, of other hosts, about others: ignored, and counted so."""
    h, c = client(probe=0)
    m = heard(h, DISCOVER)
    h.inject(answer(m, OFFER))
    r = heard(h, REQUEST)
    h.inject(answer(m, OFFER, server=OTHER))  # too late
    counts(c, ignored=1)
    h.inject(answer(r, ACK, your=OTHER, dst=LEASED))  # not what was asked for
    counts(c, ignored=2)
    h.inject(answer(r, ACK, lease=None))
    counts(c, ignored=3)
    h.inject(answer(r, ACK, lease=0))
    counts(c, ignored=4)
    assert c.state == DHCPClient.REQUESTING
    h.inject(answer(r, ACK))
    assert c.bound
    before = c.stats()["ignored"]
    h.inject(answer(r, ACK), answer(r, NAK))
    assert c.stats()["ignored"] == before + 2 and c.bound
    for bit in range(32):
        xid = u32(get32(r.xid, 0) ^ 1 << bit)
        h.inject(answer(r, NAK, xid=xid))
    for bit in range(48):
        near = bytearray(OUR_MAC)
        near[bit >> 3] ^= 1 << (bit & 7)
        h.inject(answer(r, NAK, chaddr=bytes(near)))
    assert c.stats()["ignored"] == before + 82 and c.bound
    # A bit of the transaction or of the hardware address that differs, where one is awaited.
    h, c = client(probe=0)
    m = heard(h, DISCOVER)
    for bit in range(32):
        h.inject(answer(m, OFFER, xid=u32(get32(m.xid, 0) ^ 1 << bit)))
    for bit in range(48):
        near = bytearray(OUR_MAC)
        near[bit >> 3] ^= 1 << (bit & 7)
        h.inject(answer(m, OFFER, chaddr=bytes(near)))
    counts(c, ignored=80, malformed=0)
    for bit in range(32):
        h.inject(answer(m, OFFER, cookie=u32(0x63825363 ^ 1 << bit)))
    counts(c, ignored=80, malformed=32)
    for at, value in ((0, 1), (0, 3), (1, 2), (1, 0), (2, 7), (2, 5)):
        data = bytearray(answer(m, OFFER)[42:])
        data[at] = value
        h.inject(udp(67, 68, bytes(data), SERVER, LEASED, smac=SERVER_MAC))
    counts(c, ignored=86, malformed=32)
    h.expect_nothing()
    assert c.state == DHCPClient.SELECTING


class Chance(Random):
    def word(self):
        return self.below(1 << 16) << 16 | self.below(1 << 16)

    def of(self, items):
        return items[self.below(len(items))]


def is_host(a, own, mask, link):
    """Whether a can be another host, on the link if that is asked for (RFC 1122, RFC 3021)."""
    first = a >> 24
    if first in (0, 127) or first >= 224 or a == own:
        return False
    if (a ^ own) & mask:
        return not link
    rest = mask ^ M32
    return rest < 2 or a & rest not in (0, rest)


def test_2132_whatever_a_server_grants():
    """Beside a reader of options that is written anew: what is taken, what is refused."""
    chance = Chance(7)
    taken = 0
    for i in range(160):
        bits = chance.of((8, 12, 16, 20, 24, 24, 28, 29, 30, 31, 32))
        mask = M32 << (32 - bits) & M32
        own = chance.word()
        if chance.below(8):
            own = own & 0x3FFFFFFF | chance.of((0x0A, 0x40, 0x80, 0xC0)) << 24 & 0xC0000000
        first = own >> 24
        said = mask if chance.below(4) else None
        if said is None:
            bits = 8 if first < 128 else 16 if first < 192 else 24
            mask = M32 << (32 - bits) & M32
        rest = mask ^ M32
        own = chance.of(
            (own, own, own, own, own & mask, own | rest, own & mask | 1, own | rest & ~1)
        )
        near = [own & mask | chance.word() & rest for _ in range(3)]
        near += [own & mask, own | rest, own ^ 1, own ^ 2, own]
        far = [chance.word() for _ in range(3)] + [1, 0x7F000001, 0xE0000001, M32, own ^ 1 << 31]
        routers = [chance.of(near + far) for _ in range(chance.below(4))]
        dns = [chance.of(near + far) for _ in range(chance.below(6))]
        ntp = [chance.of(far + near) for _ in range(chance.below(5))]
        server = chance.of(near[:3] + far[:3])
        lease = chance.of((11, 60, 3600, 86400, 0x3FFFFFFE, 0x3FFFFFFF, 0x40000000, M32))
        parts = [
            option(12, b"x" * chance.below(9)),
            option(51, u32(lease)),
            option(54, u32(server)),
        ]
        if said is not None:
            parts.append(option(1, u32(mask)))
        for code, found in ((3, routers), (6, dns), (42, ntp)):
            # In one option, or each in its own.
            if found and chance.below(2):
                parts.append(option(code, b"".join([u32(a) for a in found])))
            elif found:
                pieces = b"".join([option(code, u32(a)) for a in found])
                parts.append(pieces)
        order = []
        while parts:
            order.append(parts.pop(chance.below(len(parts))))
            order.append(bytes(chance.below(3)))
        # Some of them in the fields `file` and `sname`, as option 52 says.
        where = [b"", b"", b""]
        overload = chance.below(4)
        for part in order:
            n = chance.below(3)
            if (n == 1 and overload & 1 or n == 2 and overload & 2) and len(where[n] + part) < 60:
                where[n] += part
            else:
                where[0] += part
        options = where[0] + (option(52, bytes([overload])) if overload else b"")
        file = where[1] + b"\xff" if overload & 1 else option(6, addr("9.9.9.9"))
        sname = where[2] + b"\xff" if overload & 2 else option(42, addr("9.9.9.8"))
        good = 0 < first < 224 and first != 127
        good = good and (rest < 2 or own & rest not in (0, rest))
        good = good and is_host(server, own, mask, False)
        text_own = dotted(own)
        # The OFFER says what the server is and nothing else of all that.
        h, c = client(probe=0)
        m = heard(h, DISCOVER)
        fields = {"your": text_own, "server": None, "mask": None, "lease": None, "src": SERVER}
        fields.update(dst=EVERYBODY, dmac=BROADCAST_MAC, options=options, file=file, sname=sname)
        h.inject(answer(m, OFFER, **fields))
        where = text_own, bits, said, dotted(server)
        if not good:
            assert c.state == DHCPClient.SELECTING, where
            counts(c, malformed=1, ignored=0)
            continue
        taken += 1
        r = heard(h, REQUEST)
        assert r.named(50) == text_own and r.named(54) == dotted(server), where
        h.inject(answer(r, ACK, **fields))
        assert c.bound, where
        assert h.iface.addresses() == ["%s/%d" % (text_own, bits)], where
        assert c.address == text_own and c.mask == dotted(mask) and c.server == dotted(server)
        found = [a for a in routers if is_host(a, own, mask, True)]
        if found:
            assert c.router == h.iface.gateway == dotted(found[0]), (where, routers)
        else:
            assert c.router is None and h.iface.gateway is None, (where, routers)
        # In the order of the fields: options, file, sname (section 4.1).
        wanted = []
        for code in (6, 42):
            values = []
            for part in (options, file if overload & 1 else b"", sname if overload & 2 else b""):
                i = 0
                while i < len(part) and part[i] != 255:
                    if part[i]:
                        n = part[i + 1]
                        if part[i] == code:
                            values += [get32(part, i + 2 + k) for k in range(0, n, 4)]
                        i += n + 1
                    i += 1
            wanted.append([dotted(a) for a in values if is_host(a, own, mask, False)][:3])
        assert [c.dns, c.ntp] == wanted, (where, c.dns, c.ntp, wanted)
        assert c.lease == (lease if lease < 0x3FFFFFFF else -1), (where, lease)
    assert 60 < taken < 150, taken


def test_2132_options_that_are_too_long_or_too_short():
    """Each ends where the message ends, and has the length that its kind has."""
    for code, sizes in ((1, (4,)), (51, (4,)), (54, (4,)), (58, (4,)), (59, (4,)), (53, (1,))):
        for size in range(9):
            h, c = client(probe=0)
            m = heard(h, DISCOVER)
            value = {1: b"\xff\xff\xff\x00", 53: bytes([OFFER]), 54: addr(SERVER)}.get(
                code, u32(500)
            )
            value = (value + bytes(9))[:size]
            h.inject(answer(m, OFFER, options=option(code, value)))
            good = size in sizes
            assert (c.state == DHCPClient.REQUESTING) == good, (code, size)
            counts(c, malformed=0 if good else 1)
    for code in (3, 6, 42):
        for size in range(14):
            h, c = client(probe=0)
            m = heard(h, DISCOVER)
            h.inject(answer(m, OFFER, options=option(code, bytes(size))))
            assert (c.state == DHCPClient.REQUESTING) == (size > 0 and size % 4 == 0), (code, size)
    # An option whose value ends with the message is whole, one that goes on is not.
    for cut in range(6):
        h, c = client(probe=0)
        m = heard(h, DISCOVER)
        h.inject(answer(m, OFFER, options=option(12, b"abcd")[: 6 - cut], end=b""))
        assert (c.state == DHCPClient.REQUESTING) == (cut in (0, 6)), cut


def test_a_port_that_somebody_has_is_not_taken_away():
    """The client's port is its own; other sockets go on beside it."""
    h, c = client(probe=0)
    s = h.add(UDPSocket(64, 64))
    raises(OSError, "in use", s.bind, 68)
    s.bind(69)
    granted(h, c)
    h.clear()
    h.inject(udp(5, 69, b"x", dst=LEASED))
    assert recv(s) == b"x"


def test_4_1_a_field_of_options_may_end_without_a_mark():
    h, c = client(probe=0)
    h.inject(answer(heard(h, DISCOVER), OFFER))
    m = heard(h, REQUEST)
    file = option(6, addr("10.1.1.1"))
    sname = option(42, addr("10.1.1.2"))
    h.inject(answer(m, ACK, options=option(52, b"\3"), file=file, sname=sname))
    assert c.bound and c.dns == ["10.1.1.1"] and c.ntp == ["10.1.1.2"]


def test_a_conflict_is_seen_whichever_slot_the_client_has():
    h = Host(address=False, neighbor=False, sockets=40)
    for _ in range(20):
        h.add(UDPSocket(16, 16))
    c = DHCPClient(h.iface, probe=1000)
    h.inject(answer(heard(h, DISCOVER), OFFER))
    h.inject(answer(heard(h, REQUEST), ACK))
    h.clear()
    h.inject(arp(2, LEASED, LEASED, tha=OUR_MAC))
    heard(h, DECLINE)
    assert not c.bound and c.conflicts == 1


def test_a_link_that_is_looked_at_puts_nothing_off():
    h, c = bound(probe=100, link=Cable(True))
    h.advance(5000)
    probes = [at for at, f in h.device.sent if Packet(f).kind == "arp"][:3]
    assert probes[2] - probes[0] <= 400, probes
    assert c.bound


def test_5227_2_1_1_probes_ask_for_the_lease_whatever_comes_between():
    h, c = bound(probe=1000)
    asked = []
    for _ in range(60):
        h.inject(udp(9, 9, b"other", src=GATEWAY, dst=EVERYBODY, dmac=BROADCAST_MAC))
        h.advance(100)
        asked += [Packet(f).tpa for _, f in h.device.sent if Packet(f).kind == "arp"]
        h.clear()
    assert len(asked) >= 3
    for to in asked:
        assert to == LEASED, asked
