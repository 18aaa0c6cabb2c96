"""DHCP (RFC 2131): the client, in every state, with a server made of frames."""

from harness import *
from locked import PreparedDevice, under_lock
from service_frames import (
    ACK,
    COOKIE,
    DECLINE,
    DISCOVER,
    NAK,
    OFFER,
    RELEASE,
    REQUEST,
    dhcp,
    option,
)
from smolmpy import DHCPClient, Interface

SERVER = "192.168.69.200"
SERVER_MAC = b"\x02\x00\x00\x00\x00\xc8"
OTHER = "192.168.69.201"
LEASED = "192.168.69.77"
EVERYBODY = "255.255.255.255"
NOBODY = "0.0.0.0"


class Message:
    """A message of the client, read from a packet."""

    def __init__(self, p):
        d = p.data
        assert p.sport == 68 and p.dport == 67 and len(d) >= 300, (p, len(d))
        assert d[:4] == b"\x01\x01\x06\x00" and d[236:240] == COOKIE
        assert d[28:34] == OUR_MAC and d[34:44] == bytes(10) and d[24:28] == bytes(4)
        self.at, self.src, self.dst, self.dmac = p.at, p.src, p.dst, p.dmac
        self.xid, self.secs, self.flags = d[4:8], get16(d, 8), get16(d, 10)
        self.ciaddr = text(d[12:16])
        self.options = {}
        i = 240
        while d[i] != 255:
            if d[i]:
                n = d[i + 1]
                assert d[i] not in self.options
                self.options[d[i]] = d[i + 2 : i + 2 + n]
                i += n + 1
            i += 1
        assert not any(d[i + 1 :])
        self.kind = self.options[53][0]

    def named(self, code):
        return text(self.options[code]) if code in self.options else None


def heard(h, kind, **fields):
    m = Message(h.expect("udp", dport=67))
    assert m.kind == kind, (m.kind, kind, m.options)
    for name in fields:
        assert getattr(m, name) == fields[name], (name, getattr(m, name))
    return m


def until_sent(h):
    for _ in range(4000):
        if h.device.sent:
            return
        h.advance(1000)
    raise AssertionError("nothing is sent any more")


def answer(
    m,
    kind,
    your=LEASED,
    server=SERVER,
    dst=None,
    dmac=OUR_MAC,
    xid=None,
    sport=67,
    no_csum=False,
    src=None,
    **kw,
):
    d = dhcp(xid or m.xid, kind, your, server, **kw)
    where = {"smac": SERVER_MAC, "dmac": dmac, "no_csum": no_csum}
    return udp(sport, 68, d, src or server or SERVER, dst or your, **where)


def client(link=None, **kw):
    h = Host(address=False, neighbor=False)
    if link is not None:
        h.device.link = link
    return h, DHCPClient(h.iface, **kw)


def bound(probe=0, lease=3600, options=b"", router=GATEWAY, link=None, **kw):
    h, c = client(link, probe=probe, **kw)
    m = heard(h, DISCOVER)
    h.inject(answer(m, OFFER, lease=lease))
    m = heard(h, REQUEST)
    h.inject(answer(m, ACK, lease=lease, options=options, router=router))
    if not probe:
        assert c.bound and c.state == DHCPClient.BOUND, c.state_name
        h.expect("arp", op=1, spa=LEASED, tpa=LEASED)
        h.clear()
        assert c.changed
        c.changed = False
    return h, c


def counts(c, **fields):
    for name in fields:
        assert c.stats()[name] == fields[name], (name, c.stats())


def test_discover_offer_request_ack():
    h, c = client(hostname="printer", probe=0)
    assert c.state == DHCPClient.INIT and not c.bound and c.lease == 0 and c.address is None
    m = heard(h, DISCOVER, src=NOBODY, dst=EVERYBODY, dmac=BROADCAST_MAC, ciaddr=NOBODY, flags=0)
    assert m.options[12] == b"printer" and m.options[61] == b"\x01" + OUR_MAC
    assert get16(m.options[57], 0) == 1500
    for code in (1, 3, 6, 42, 51, 58, 59):
        assert code in m.options[55]
    assert 50 not in m.options and 54 not in m.options
    h.expect_nothing()
    h.inject(answer(m, OFFER))
    assert c.state == DHCPClient.REQUESTING
    r = heard(h, REQUEST, src=NOBODY, dst=EVERYBODY, ciaddr=NOBODY, xid=m.xid)
    assert r.named(50) == LEASED and r.named(54) == SERVER and r.options[12] == b"printer"
    dns = option(6, addr("192.168.69.2") + addr("192.168.69.3"))
    h.inject(answer(r, ACK, router=GATEWAY, options=dns + option(42, addr("192.168.69.4"))))
    assert c.state == DHCPClient.BOUND and c.bound and c.changed
    assert h.iface.addresses() == [LEASED + "/24"] and h.iface.gateway == GATEWAY
    assert (c.address, c.mask, c.router, c.server) == (LEASED, "255.255.255.0", GATEWAY, SERVER)
    assert c.dns == ["192.168.69.2", "192.168.69.3"] and c.ntp == ["192.168.69.4"]
    assert c.lease == 3600
    h.expect("arp", op=1, spa=LEASED, tpa=LEASED)
    h.advance(1000)
    assert c.lease == 3599
    # Without a link to look at there is nothing to do until the lease is to be renewed.
    assert h.iface.poll_delay(h.now) > 50000


def test_answers_to_all_are_taken_as_well():
    h, c = client(probe=0)
    m = heard(h, DISCOVER)
    h.inject(answer(m, OFFER, dst=EVERYBODY, dmac=BROADCAST_MAC))
    m = heard(h, REQUEST)
    h.inject(answer(m, ACK, dst=EVERYBODY, dmac=BROADCAST_MAC))
    assert c.bound


def test_only_dhcp_may_write_to_an_address_that_is_not_ours():
    h, c = client(probe=0)
    m = heard(h, DISCOVER)
    h.inject(udp(5000, 69, b"x", dst=LEASED), echo(dst=LEASED))
    h.expect_nothing()
    h.inject(answer(m, OFFER, dmac=b"\x02\x00\x00\x00\x00\x55"))
    assert c.state == DHCPClient.SELECTING
    h.inject(answer(m, OFFER))
    h.inject(answer(heard(h, REQUEST), ACK))
    h.clear()
    # And not any more once there is an address.
    before = c.stats()["ignored"]
    h.inject(answer(m, OFFER, your=OTHER))
    h.expect_nothing()
    assert c.stats()["ignored"] == before


def test_repeats_with_backoff_and_jitter():
    h, c = client()
    m = heard(h, DISCOVER)
    at = m.at
    waits = []
    for i in range(8):
        h.advance(66000)
        d = heard(h, DISCOVER, xid=m.xid)
        waits.append(d.at - at)
        at = d.at
    for i, wait in enumerate(waits):
        base = min(4000 << i, 64000)
        assert base - 1000 <= wait <= base + 1000, waits
    assert len({w % 1000 for w in waits}) > 2, waits


def test_the_broadcast_flag_is_tried_both_ways():
    h, c = client()
    flags = []
    for _ in range(5):
        flags.append(heard(h, DISCOVER).flags)
        until_sent(h)
    assert flags == [0, 0, 0x8000, 0x8000, 0], flags
    for choice, flag in ((True, 0x8000), (False, 0)):
        h, c = client(broadcast=choice)
        for _ in range(4):
            assert heard(h, DISCOVER).flags == flag
            until_sent(h)


def test_seconds_count_from_the_first_message():
    h, c = client()
    assert heard(h, DISCOVER).secs == 0
    h.advance(5100)
    m = heard(h, DISCOVER)
    assert m.secs in (0, m.at // 1000), m.secs


def test_xids_differ():
    seen = set()
    for _ in range(5):
        h, c = client()
        seen.add(heard(h, DISCOVER).xid)
    assert len(seen) == 5


def test_a_request_without_answer_begins_again():
    h, c = client(probe=0)
    m = heard(h, DISCOVER)
    h.inject(answer(m, OFFER))
    heard(h, REQUEST)
    for _ in range(2):
        until_sent(h)
        heard(h, REQUEST)
    until_sent(h)
    again = heard(h, DISCOVER)
    assert again.xid != m.xid
    h.inject(answer(again, OFFER))
    h.inject(answer(heard(h, REQUEST), ACK))
    assert c.bound


def test_nak_begins_again():
    h, c = client(probe=0)
    h.inject(answer(heard(h, DISCOVER), OFFER))
    h.inject(answer(heard(h, REQUEST), NAK, dst=EVERYBODY, dmac=BROADCAST_MAC))
    assert not c.bound and c.state == DHCPClient.INIT
    counts(c, naks=1)
    h.expect_nothing()
    h.advance(1000)
    heard(h, DISCOVER)
    # A server that goes on refusing is asked less and less often.
    for i in range(1, 5):
        h.clear()
        m = None
        while m is None:
            h.advance(100)
            if h.device.sent:
                m = Message(h.next())
        h.inject(answer(m, OFFER))
        h.inject(answer(heard(h, REQUEST), NAK, dst=EVERYBODY, dmac=BROADCAST_MAC))
        counts(c, naks=i + 1)
        h.advance((1000 << i) - 10)
        h.expect_nothing()
        h.advance(10)


def test_a_nak_of_another_server_is_not_heard():
    h, c = client(probe=0)
    h.inject(answer(heard(h, DISCOVER), OFFER))
    m = heard(h, REQUEST)
    h.inject(answer(m, NAK, server=OTHER, dst=EVERYBODY, dmac=BROADCAST_MAC))
    h.inject(answer(m, ACK, server=OTHER))
    assert c.state == DHCPClient.REQUESTING
    counts(c, ignored=2)
    h.inject(answer(m, ACK))
    assert c.bound


def test_bad_messages_are_dropped_and_counted():
    h, c = client(probe=0)
    m = heard(h, DISCOVER)
    good = answer(m, OFFER)
    for bad in (
        answer(m, OFFER, xid=b"abcd"),
        answer(m, OFFER, chaddr=PEER_MAC),
        answer(m, OFFER, op=1),
        answer(m, OFFER, server=None),
        answer(m, ACK),
        answer(m, RELEASE),
        udp(67, 68, b"", SERVER, LEASED),
        udp(67, 68, bytes(239), SERVER, LEASED),
    ):
        h.inject(bad)
        assert c.state == DHCPClient.SELECTING
    counts(c, ignored=8, malformed=0)
    malformed = (
        answer(m, OFFER, cookie=b"\x63\x82\x53\x64"),
        answer(m, OFFER, options=b"\x0c\x40x", end=b""),
        answer(m, OFFER, options=b"\x0c", end=b""),
        answer(m, OFFER, options=option(51, b"\0\0")),
        answer(m, OFFER, options=option(6, b"\1\2\3\4\5")),
        answer(m, OFFER, options=option(3, b"")),
        answer(m, OFFER, mask=b"\xff\x00\xff\x00"),
        answer(m, OFFER, your="127.0.0.1", dst=LEASED),
        answer(m, OFFER, your="224.0.0.9", dst=LEASED),
        answer(m, OFFER, your="0.0.0.0", dst=LEASED),
        answer(m, OFFER, your="192.168.69.255", dst=LEASED),
        answer(m, OFFER, your="192.168.69.0", dst=LEASED),
    )
    for bad in malformed:
        h.inject(bad)
        assert c.state == DHCPClient.SELECTING
    counts(c, malformed=len(malformed))
    h.expect_nothing()
    # Every message cut short: nothing happens, or it is complete anyhow.
    data = good[42:]
    for n in range(len(data)):
        h.inject(udp(67, 68, data[:n], SERVER, LEASED, smac=SERVER_MAC))
        if c.state != DHCPClient.SELECTING:
            assert n >= 240 + 3 + 6, n
            break


def test_damaged_offers():
    h, c = client(probe=0)
    m = heard(h, DISCOVER)
    whole = answer(m, OFFER, options=option(52, b"\3") + option(6, bytes(8)), router=PEER)[42:]
    at = 240
    for i in range(at, len(whole)):
        for value in (0, 1, 2, 52, 53, 128, 254, 255):
            data = whole[:i] + bytes([value]) + whole[i + 1 :]
            h.inject(udp(67, 68, data, SERVER, LEASED, smac=SERVER_MAC))
            assert not c.bound
            if c.state != DHCPClient.SELECTING:
                c.close()
                h.clear()
                c = DHCPClient(h.iface, probe=0)
                m = heard(h, DISCOVER)
                whole = whole[:4] + m.xid + whole[8:]


def test_closing_leaves_nothing_behind():
    h, c = bound()
    h.iface.remove(c)
    assert h.iface.addresses() == [] and h.iface.gateway is None
    h, c = bound()
    c.close()
    assert h.iface.addresses() == [] and h.iface.gateway is None
    h.inject(arp(1, LEASED, GATEWAY))
    h.advance(100000)
    h.expect_nothing()
    h, c = client()
    c.close()
    h.clear()
    h.inject(udp(67, 68, bytes(300), SERVER, LEASED))
    h.expect_nothing()
    DHCPClient(h.iface)
    heard(h, DISCOVER)


def test_options_go_on_in_file_and_sname():
    h, c = client(probe=0)
    h.inject(answer(heard(h, DISCOVER), OFFER))
    m = heard(h, REQUEST)
    file = option(6, addr("10.1.1.1")) + b"\xff"
    sname = option(42, addr("10.1.1.2")) + option(3, addr(GATEWAY)) + b"\xff"
    h.inject(answer(m, ACK, options=option(52, b"\3"), file=file, sname=sname))
    assert c.dns == ["10.1.1.1"] and c.ntp == ["10.1.1.2"] and c.router == GATEWAY
    h, c = client(probe=0)
    h.inject(answer(heard(h, DISCOVER), OFFER))
    h.inject(answer(heard(h, REQUEST), ACK, options=option(52, b"\1"), file=file, sname=sname))
    assert c.dns == ["10.1.1.1"] and c.ntp == [] and c.router is None
    h, c = client(probe=0)
    h.inject(answer(heard(h, DISCOVER), OFFER))
    h.inject(answer(heard(h, REQUEST), ACK, options=option(52, b"\2"), file=file, sname=sname))
    assert c.dns == [] and c.ntp == ["10.1.1.2"]


def test_lists_are_cut_and_masks_guessed():
    h, c = client(probe=0)
    h.inject(answer(heard(h, DISCOVER), OFFER, mask=None, your="10.1.2.3"))
    m = heard(h, REQUEST)
    four = b"".join([addr("10.1.1.%d" % i) for i in range(1, 5)])
    h.inject(answer(m, ACK, mask=None, your="10.1.2.3", options=option(6, four)))
    assert h.iface.addresses() == ["10.1.2.3/8"]
    assert c.dns == ["10.1.1.1", "10.1.1.2", "10.1.1.3"]


def test_networks_of_one_or_two():
    for your, bits, last in (("10.1.2.4", 31, 254), ("10.1.2.5", 31, 254), ("10.1.2.3", 32, 255)):
        h, c = client(probe=0)
        mask = b"\xff\xff\xff" + bytes([last])
        h.inject(answer(heard(h, DISCOVER), OFFER, your=your, mask=mask))
        h.inject(answer(heard(h, REQUEST), ACK, your=your, mask=mask))
        assert h.iface.addresses() == ["%s/%d" % (your, bits)], your
    h, c = client(probe=0)
    m = heard(h, DISCOVER)
    for your in ("10.1.2.4", "10.1.2.7"):
        h.inject(answer(m, OFFER, your=your, mask=b"\xff\xff\xff\xfc"))
        assert c.state == DHCPClient.SELECTING


def test_probes_before_use():
    h, c = bound(probe=1000)
    assert c.state == DHCPClient.PROBING and not c.bound and h.iface.addresses() == []
    h.advance(10000)
    times = []
    for _ in range(3):
        times.append(h.expect("arp", op=1, spa=NOBODY, tpa=LEASED, sha=OUR_MAC).at)
    first = h.expect("arp", op=1, spa=LEASED, tpa=LEASED)
    assert 0 <= times[0] <= 1000
    assert 1000 <= times[1] - times[0] <= 2000 and 1000 <= times[2] - times[1] <= 2000
    assert first.at - times[2] == 2000
    assert h.expect("arp", op=1, spa=LEASED, tpa=LEASED).at - first.at == 2000
    assert c.bound
    h.expect_nothing()


def _declined(frame, probes=1):
    h, c = bound(probe=1000)
    while len(h.device.sent) < probes:
        h.advance(100)
    h.clear()
    h.inject(frame)
    m = heard(h, DECLINE, src=NOBODY, dst=EVERYBODY, ciaddr=NOBODY)
    assert m.named(50) == LEASED and m.named(54) == SERVER and 55 not in m.options
    assert not c.bound and c.conflicts == 1
    h.advance(9900)
    h.expect_nothing()
    h.advance(200)
    heard(h, DISCOVER)


def test_an_answer_to_a_probe_declines():
    _declined(arp(2, LEASED, LEASED, tha=OUR_MAC))


def test_a_request_of_its_owner_declines():
    _declined(arp(1, LEASED, GATEWAY), 2)


def test_another_probe_for_it_declines():
    _declined(arp(1, NOBODY, LEASED), 3)


def test_our_own_probe_come_back_is_no_conflict():
    h, c = bound(probe=1000)
    h.inject(arp(1, NOBODY, LEASED, sha=OUR_MAC, smac=PEER_MAC))
    h.advance(10000)
    assert c.bound and c.conflicts == 0


def test_a_bound_address_is_defended_once_then_given_up():
    h, c = bound()
    h.inject(arp(1, LEASED, GATEWAY))
    h.expect("arp", op=1, spa=LEASED, tpa=LEASED)
    assert c.bound and c.conflicts == 1
    h.advance(11000)
    h.clear()
    h.inject(arp(1, LEASED, GATEWAY))
    h.expect("arp", op=1, spa=LEASED, tpa=LEASED)
    assert c.bound
    h.advance(5000)
    h.clear()
    h.inject(arp(1, LEASED, GATEWAY))
    heard(h, DECLINE)
    assert not c.bound and h.iface.addresses() == [] and h.iface.gateway is None


def test_a_probe_for_a_bound_address_is_answered():
    h, c = bound()
    h.inject(arp(1, NOBODY, LEASED))
    h.expect("arp", op=2, spa=LEASED, tpa=NOBODY)
    assert c.bound and c.conflicts == 0


def test_renews_at_half_the_lease():
    h, c = bound()
    h.iface.add_neighbor(SERVER, SERVER_MAC)
    h.advance(1730 * 1000)
    h.expect_nothing()
    until_sent(h)
    m = heard(h, REQUEST, src=LEASED, dst=SERVER, dmac=SERVER_MAC, ciaddr=LEASED, flags=0)
    assert c.state == DHCPClient.RENEWING and c.bound
    assert 50 not in m.options and 54 not in m.options
    h.inject(answer(m, ACK, router=GATEWAY))
    assert c.state == DHCPClient.BOUND and not c.changed
    # It counts from when it was asked for.
    assert c.lease == 3600 - (h.t - m.at + 500) // 1000, (c.lease, h.t, m.at)
    h.expect_nothing()
    h.advance(1730 * 1000)
    h.expect_nothing()
    until_sent(h)
    heard(h, REQUEST, src=LEASED)


def test_the_server_is_looked_for_before_it_is_asked():
    h, c = bound()
    h.advance(10000)
    h.clear()
    until_sent(h)
    h.expect("arp", op=1, tpa=SERVER)
    h.inject(arp(2, SERVER, LEASED, sha=SERVER_MAC, tha=OUR_MAC))
    heard(h, REQUEST, src=LEASED, dst=SERVER)


def test_renewal_takes_over_what_has_changed():
    h, c = bound()
    told = []
    c.on_change = told.append
    h.iface.add_neighbor(SERVER, SERVER_MAC)
    h.advance(1801 * 1000)
    m = heard(h, REQUEST)
    h.inject(answer(m, ACK, router=PEER, options=option(6, addr("10.1.1.1"))))
    assert c.changed and told == [c] and c.dns == ["10.1.1.1"]
    assert h.iface.gateway == PEER and h.iface.routes() == [("0.0.0.0/0", PEER)]
    assert h.iface.addresses() == [LEASED + "/24"]
    h.advance(1801 * 1000)
    h.inject(answer(heard(h, REQUEST), ACK, router=None, options=option(6, addr("10.1.1.1"))))
    assert h.iface.gateway is None and len(told) == 2


def test_t1_and_t2_of_the_server():
    h, c = bound(options=option(58, u32(100)) + option(59, u32(200)))
    h.iface.add_neighbor(SERVER, SERVER_MAC)
    h.advance(96 * 1000)
    h.expect_nothing()
    h.advance(5 * 1000)
    heard(h, REQUEST, dst=SERVER)
    h.clear()
    h.advance(100 * 1000)
    times = [Message(Packet(f, at)) for at, f in h.device.sent]
    assert times[-1].dst == EVERYBODY and times[-1].src == LEASED, times
    assert c.state == DHCPClient.REBINDING


def test_contradictory_t1_and_t2_are_not_used():
    for t1, t2 in ((3000, 100), (0, 0), (5000, 6000), (0x7FFFFFFF, M32)):
        h, c = bound(options=option(58, u32(t1)) + option(59, u32(t2)))
        h.iface.add_neighbor(SERVER, SERVER_MAC)
        h.advance(10)
        h.clear()
        h.advance(40 * 1000)
        h.expect_nothing()
        h.advance(3500 * 1000)
        assert c.bound and h.device.sent, (t1, t2)


def test_the_server_gone_for_longer_than_the_lease():
    h, c = bound()
    h.iface.add_neighbor(SERVER, SERVER_MAC)
    h.advance(3599 * 1000)
    assert c.bound and c.state == DHCPClient.REBINDING
    sent = [Message(Packet(f, at)) for at, f in h.device.sent]
    h.clear()
    assert all(m.kind == REQUEST and m.ciaddr == LEASED for m in sent)
    assert sent[0].dst == SERVER and sent[-1].dst == EVERYBODY
    assert 4 <= len(sent) <= 20, len(sent)
    gaps = [sent[i].at - sent[i - 1].at for i in range(1, len(sent))]
    assert min(gaps) >= 1000, gaps
    told = []
    c.on_change = lambda c: told.append(c.bound)
    h.advance(1000)
    assert not c.bound and told == [False] and c.lease == 0 and c.address is None
    assert h.iface.addresses() == [] and h.iface.gateway is None
    m = heard(h, DISCOVER, src=NOBODY)
    # For days: it goes on asking, at most once a minute or so.
    for hour in range(40):
        h.clear()
        h.advance(3600 * 1000)
        if hour:
            assert 3600 // 66 <= len(h.device.sent) <= 3600 // 62, len(h.device.sent)
    h.clear()
    until_sent(h)
    m = heard(h, DISCOVER)
    h.inject(answer(m, OFFER))
    h.inject(answer(heard(h, REQUEST), ACK))
    assert c.bound and told == [False, True]
    h.inject(echo(dst=LEASED))


def test_nothing_answers_at_an_address_that_was_lost():
    h, c = bound()
    h.inject(echo(dst=LEASED))
    h.expect("icmp")
    c.stop()
    h.inject(echo(dst=LEASED), arp(1, PEER, LEASED))
    h.expect_nothing()
    assert c.state == DHCPClient.STOPPED
    assert h.iface.poll_delay(h.now) == -1


def test_rebinding_takes_another_server():
    h, c = bound()
    h.iface.add_neighbor(SERVER, SERVER_MAC)
    h.advance(3200 * 1000)
    assert c.state == DHCPClient.REBINDING
    h.clear()
    until_sent(h)
    m = heard(h, REQUEST, dst=EVERYBODY, ciaddr=LEASED)
    h.inject(answer(m, ACK, server=OTHER, router=GATEWAY))
    assert c.state == DHCPClient.BOUND and c.server == OTHER and c.lease > 3500


def test_nak_while_renewing_gives_the_address_up():
    h, c = bound()
    h.iface.add_neighbor(SERVER, SERVER_MAC)
    h.advance(1801 * 1000)
    h.inject(answer(heard(h, REQUEST), NAK, dst=LEASED))
    assert not c.bound and h.iface.addresses() == []
    h.advance(1000)
    heard(h, DISCOVER, src=NOBODY)


def test_an_ack_for_another_address_is_not_taken():
    h, c = bound()
    h.iface.add_neighbor(SERVER, SERVER_MAC)
    h.advance(1801 * 1000)
    h.inject(answer(heard(h, REQUEST), ACK, your=OTHER, dst=LEASED))
    assert c.state == DHCPClient.RENEWING and h.iface.addresses() == [LEASED + "/24"]


class Granting:
    """A server that answers every message after `trip` ms; counts them."""

    def __init__(self, h, trip=1, **grant):
        self.h = h
        self.trip = trip
        self.grant = grant
        self.late = []
        self.counts = [0] * 8

    def serve(self, ms):
        h = self.h
        end = h.t + ms
        while h.t < end:
            due = [at for at, _ in self.late] + [end]
            wait = h.iface.poll_delay(h.now)
            if wait >= 0:
                due.append(h.t + max(wait, 1))
            h.t = min(due)
            h.device.queue += [f for at, f in self.late if at == h.t]
            h.run()
            for _, f in h.device.sent:
                p = Packet(f)
                if p.kind == "arp" and p.tpa == SERVER:
                    reply = arp(2, SERVER, p.spa, sha=SERVER_MAC, tha=OUR_MAC)
                    self.late.append((h.t + 1, reply))
                elif p.kind == "udp" and p.dport == 67:
                    m = Message(p)
                    self.counts[m.kind] += 1
                    kind = OFFER if m.kind == DISCOVER else ACK
                    self.late.append((h.t + self.trip, answer(m, kind, **self.grant)))
            h.clear()
            self.late = [x for x in self.late if x[0] > h.t]


def test_short_leases_make_few_messages():
    for grant in (
        {"lease": 1},
        {"lease": 2},
        {"lease": 9},
        {"options": option(58, u32(1)) + option(59, u32(2))},
        {"options": option(58, u32(1))},
        {"lease": 1, "options": option(58, u32(1)) + option(59, u32(1))},
    ):
        for trip in (1, 5):
            h, c = client(probe=0)
            server = Granting(h, trip, **grant)
            server.serve(30000)
            assert c.bound and h.iface.addresses() == [LEASED + "/24"]
            # One in five seconds.
            assert server.counts[DISCOVER] == 1, (grant, server.counts)
            assert 2 <= server.counts[REQUEST] <= 7, (grant, server.counts)
            assert sum(server.counts) <= 8


def test_a_short_lease_ends():
    h, c = bound(lease=1)
    h.iface.add_neighbor(SERVER, SERVER_MAC)
    assert c.lease == 10
    h.advance(9000)
    assert c.bound
    h.advance(1000)
    assert not c.bound and h.iface.addresses() == [] and h.iface.gateway is None
    sent = [Packet(f, at) for at, f in h.device.sent]
    times = [p.at for p in sent if p.kind == "udp"]
    # The last is a DISCOVER.
    assert 3 <= len(times) <= 5 and times[0] >= 5000, times


def test_routers_that_can_be_none():
    for router in (
        "127.0.0.1",
        "0.0.0.0",
        "0.0.0.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        LEASED,
        "192.168.69.0",
        "192.168.69.255",
        "192.168.68.1",
        "10.0.0.1",
    ):
        h, c = bound(router=router)
        assert c.router is None and h.iface.gateway is None and h.iface.routes() == [], router
        # The first of the others is taken, also after a renewal.
        h, c = bound(router=router, options=option(3, addr(router) + addr(GATEWAY) + addr(PEER)))
        assert c.router == GATEWAY and h.iface.gateway == GATEWAY, router
        h.iface.add_neighbor(SERVER, SERVER_MAC)
        h.advance(1801 * 1000)
        h.inject(answer(heard(h, REQUEST), ACK, router=router))
        assert c.router is None and h.iface.gateway is None, router
    # The mask may come after it, and be that of the class.
    h, c = client(probe=0)
    h.inject(answer(heard(h, DISCOVER), OFFER, your="10.1.2.3", mask=None))
    options = option(3, addr("10.255.255.255") + addr("10.9.9.9"))
    h.inject(answer(heard(h, REQUEST), ACK, your="10.1.2.3", mask=None, options=options))
    assert c.router == "10.9.9.9" and h.iface.addresses() == ["10.1.2.3/8"]
    # In a network of two both can be routers.
    for your, router in (("10.1.2.4", "10.1.2.5"), ("10.1.2.5", "10.1.2.4")):
        h, c = client(probe=0)
        answers = {"your": your, "mask": b"\xff\xff\xff\xfe", "router": router}
        h.inject(answer(heard(h, DISCOVER), OFFER, **answers))
        h.inject(answer(heard(h, REQUEST), ACK, **answers))
        assert h.iface.gateway == router


def test_servers_that_can_be_none():
    bad = ("0.0.0.0", "127.0.0.53", LEASED, "224.0.0.251", "192.168.69.255", "255.255.255.255")
    good = ("192.168.69.2", "10.0.0.255", "8.8.8.8", "9.9.9.9")
    mixed = b"".join([addr(bad[i]) + addr(good[i & 3]) for i in range(6)])
    h, c = bound(options=option(6, mixed) + option(42, mixed))
    assert c.dns == list(good[:3]) and c.ntp == list(good[:3]), (c.dns, c.ntp)
    # In several options, as when one is too short (RFC 3396).
    h, c = bound(options=b"".join([option(6, addr(x)) for x in bad + good]))
    assert c.dns == list(good[:3]) and c.ntp == []
    # A DHCP server that can not be one.
    for server in bad[1:]:
        h, c = client(probe=0)
        h.inject(answer(heard(h, DISCOVER), OFFER, server=server, dst=LEASED, src=SERVER))
        assert c.state == DHCPClient.SELECTING, server
        counts(c, malformed=1, ignored=0)
        h.expect_nothing()


def test_the_program_may_end_it_when_told():
    def ended(how, c, h):
        # Nothing is sent any more, and nothing of it is left.
        h.clear()
        h.inject(arp(1, LEASED, GATEWAY))
        h.advance(100000)
        sent = [Packet(f) for _, f in h.device.sent]
        assert all(p.kind == "arp" or p.dport != 67 for p in sent), (how, sent)
        assert not c.bound and h.iface.addresses() == [] and h.iface.gateway is None, how
        c.close()
        c.stop()
        c.release()
        c = DHCPClient(h.iface, probe=0)
        heard(h, DISCOVER)
        c.close()

    def set_up(how, bound_too):
        h, c = bound()
        h.iface.add_neighbor(SERVER, SERVER_MAC)
        call = getattr(DHCPClient, how)
        c.on_change = lambda c: call(c) if bound_too or not c.bound else None
        return h, c

    for how in ("stop", "close"):
        # At its first address.
        h, c = client(probe=0, on_change=getattr(DHCPClient, how))
        h.inject(answer(heard(h, DISCOVER), OFFER))
        h.inject(answer(heard(h, REQUEST), ACK, router=GATEWAY))
        ended(how, c, h)
        # At a renewal with something else in it.
        h, c = set_up(how, True)
        h.advance(1801 * 1000)
        h.inject(answer(heard(h, REQUEST), ACK, router=PEER))
        ended(how, c, h)
        # When it is refused.
        h, c = set_up(how, False)
        h.advance(1801 * 1000)
        h.inject(answer(heard(h, REQUEST), NAK))
        ended(how, c, h)
        # When the lease ends.
        h, c = set_up(how, False)
        h.advance(3600 * 1000)
        ended(how, c, h)
        # When somebody else has the address.
        h, c = set_up(how, False)
        h.inject(arp(1, LEASED, GATEWAY), arp(1, LEASED, GATEWAY))
        h.advance(1000)
        h.inject(arp(1, LEASED, GATEWAY))
        ended(how, c, h)
        # By itself.
        h, c = set_up(how, False)
        getattr(c, how)()
        ended(how, c, h)
    h, c = set_up("start", False)
    c.release()
    assert not c.bound and c.state != DHCPClient.STOPPED
    heard(h, RELEASE)
    heard(h, REQUEST)
    c.close()
    raises(OSError, "interface", c.start)


def test_what_on_change_raises_comes_out_and_leaves_all_in_order():
    told = []

    def fail(c):
        told.append(c.bound)
        raise KeyError("on_change")

    h, c = client(probe=0, on_change=fail)
    h.inject(answer(heard(h, DISCOVER), OFFER))
    raises(KeyError, "on_change", h.inject, answer(heard(h, REQUEST), ACK, router=GATEWAY))
    assert c.bound and h.iface.gateway == GATEWAY
    h.run()
    h.expect("arp", op=1, spa=LEASED, tpa=LEASED)
    h.clear()
    raises(KeyError, "on_change", c.close)
    assert told == [True, False]
    assert h.iface.addresses() == [] and h.iface.gateway is None
    h.advance(10000)
    h.expect_nothing()
    # Its place is free.
    for _ in range(8):
        h.add(TCPSocket(64, 64))


def test_long_leases():
    # Longer than the clock's modulus of 2^30 ms (12 days), and longer than 2^29.
    for lease in (600000, 1073742, 4000000, 0x7FFFFFFF):
        h, c = bound(lease=lease)
        h.iface.add_neighbor(SERVER, SERVER_MAC)
        if lease > 4000000:
            h.advance(20 * 86400 * 1000)
            h.device.sent = [f for f in h.device.sent if f[1][12:14] != b"\x08\x06"]
            h.expect_nothing()
            assert c.lease == -1 or c.lease > 0x3FFFFFFF - 21 * 86400
            continue
        h.advance(10000)
        h.clear()
        h.advance(lease * 1000 // 2 - 70000 - 10000)
        h.expect_nothing()
        h.advance(71000)
        heard(h, REQUEST, dst=SERVER)
        h.clear()
        h.advance(lease * 1000 // 2 - 2000)
        assert c.bound
        h.advance(1001)
        assert not c.bound


def test_an_infinite_lease_is_never_renewed():
    h, c = bound(lease=M32)
    assert c.lease == -1
    h.advance(10000)
    h.clear()
    h.advance(40 * 86400 * 1000)
    h.expect_nothing()
    assert c.bound and c.lease == -1


def test_release():
    h, c = bound()
    h.iface.add_neighbor(SERVER, SERVER_MAC)
    c.release()
    m = heard(h, RELEASE, src=LEASED, dst=SERVER, ciaddr=LEASED)
    assert m.named(54) == SERVER and 50 not in m.options
    assert not c.bound and c.state == DHCPClient.STOPPED and h.iface.addresses() == []
    h.advance(100000)
    h.expect_nothing()
    c.start()
    m = heard(h, REQUEST, src=NOBODY, dst=EVERYBODY)
    assert m.named(50) == LEASED


def test_release_to_a_server_that_is_gone_ends():
    h, c = bound()
    c.release()
    h.advance(5000)
    assert not c.bound and h.iface.addresses() == []
    h.clear()
    h.advance(100000)
    h.expect_nothing()


def test_an_address_from_before_is_asked_for_first():
    h, c = client(address=LEASED, probe=0)
    m = heard(h, REQUEST, src=NOBODY, dst=EVERYBODY, ciaddr=NOBODY)
    assert m.named(50) == LEASED and 54 not in m.options
    h.inject(answer(m, ACK, router=GATEWAY))
    assert c.bound and c.server == SERVER
    # Nobody knows it: on to an ordinary start.
    h, c = client(address=LEASED, probe=0)
    for _ in range(3):
        heard(h, REQUEST)
        until_sent(h)
    heard(h, DISCOVER)
    # Refused.
    h, c = client(address=LEASED, probe=0)
    h.inject(answer(heard(h, REQUEST), NAK, dst=EVERYBODY, dmac=BROADCAST_MAC))
    h.advance(1000)
    assert 50 not in heard(h, DISCOVER).options


class Cable:
    def __init__(self, up):
        self.up = up

    def __call__(self):
        return self.up


def test_no_cable_at_the_start():
    cable = Cable(False)
    h, c = client(cable)
    h.advance(100000)
    h.expect_nothing()
    assert c.state == DHCPClient.NO_LINK
    cable.up = True
    h.advance(1000)
    heard(h, DISCOVER)


def test_the_cable_out_and_in_again():
    cable = Cable(True)
    h, c = bound(link=cable)
    h.advance(5000)
    h.clear()
    cable.up = False
    h.advance(60000)
    assert c.state == DHCPClient.NO_LINK and c.bound
    h.expect_nothing()
    cable.up = True
    h.advance(1000)
    m = heard(h, REQUEST, src=NOBODY, dst=EVERYBODY, ciaddr=NOBODY)
    assert m.named(50) == LEASED and c.state == DHCPClient.REBOOTING and c.bound
    h.inject(answer(m, ACK, router=GATEWAY))
    assert c.state == DHCPClient.BOUND and not c.changed and c.lease >= 3599


def test_the_cable_in_another_net():
    cable = Cable(True)
    h, c = bound(link=cable)
    cable.up = False
    h.advance(2000)
    cable.up = True
    h.clear()
    h.advance(1000)
    h.inject(answer(heard(h, REQUEST), NAK, server="10.0.0.1", dst=EVERYBODY, dmac=BROADCAST_MAC))
    assert not c.bound and h.iface.addresses() == [] and c.changed
    h.advance(1000)
    heard(h, DISCOVER)


def test_the_cable_in_again_and_no_server():
    cable = Cable(True)
    h, c = bound(link=cable)
    cable.up = False
    h.advance(2000)
    cable.up = True
    h.clear()
    h.advance(60000)
    assert len(h.device.sent) == 3
    assert c.bound and c.state == DHCPClient.BOUND and 3500 < c.lease < 3540


def test_the_lease_ends_while_the_cable_is_out():
    cable = Cable(True)
    h, c = bound(link=cable)
    cable.up = False
    h.advance(3601 * 1000)
    assert not c.bound and h.iface.addresses() == [] and c.state == DHCPClient.NO_LINK
    h.clear()
    cable.up = True
    h.advance(1000)
    heard(h, DISCOVER)


def test_a_full_device_delays_nothing_for_ever():
    h = Host(address=False, neighbor=False)
    h.device.refuse = EAGAIN
    DHCPClient(h.iface, probe=0)
    h.run()
    h.device.refuse = 0
    h.advance(50)
    heard(h, DISCOVER)


def test_somebody_elses_default_route_stays():
    h = Host(address=False, neighbor=False)
    h.iface.gateway = PEER
    c = DHCPClient(h.iface, probe=0)
    h.inject(answer(heard(h, DISCOVER), OFFER))
    h.inject(answer(heard(h, REQUEST), ACK, router=GATEWAY))
    assert h.iface.gateway == PEER and c.router == GATEWAY
    c.stop()
    assert h.iface.gateway == PEER
    # And its other routes as well, whatever was in the table before.
    h = Host(address=False, neighbor=False)
    h.iface.add_route("10.0.0.0/8", PEER)
    h.iface.add_route("11.0.0.0/8", PEER)
    h.iface.remove_route("11.0.0.0/8")
    c = DHCPClient(h.iface, probe=0)
    h.inject(answer(heard(h, DISCOVER), OFFER))
    h.inject(answer(heard(h, REQUEST), ACK, router=GATEWAY))
    assert h.iface.routes() == [("10.0.0.0/8", PEER), ("0.0.0.0/0", GATEWAY)]
    c.stop()
    assert h.iface.routes() == [("10.0.0.0/8", PEER)]


def test_full_tables():
    h = Host(address=False, neighbor=False, addresses=1, routes=1)
    h.iface.add_route("10.0.0.0/8", PEER)
    c = DHCPClient(h.iface, probe=0)
    h.inject(answer(heard(h, DISCOVER), OFFER))
    h.inject(answer(heard(h, REQUEST), ACK, router=GATEWAY))
    assert c.bound and h.iface.routes() == [("10.0.0.0/8", PEER)]
    h = Host(addresses=1)
    c = DHCPClient(h.iface, probe=0)
    h.inject(answer(heard(h, DISCOVER), OFFER))
    h.inject(answer(heard(h, REQUEST), ACK, router=GATEWAY))
    assert not c.bound and h.iface.addresses() == [OUR + "/24"]
    h.advance(9000)
    h.expect_nothing()
    # There is room again.
    h.iface.remove_address(OUR)
    h.advance(1100)
    m = heard(h, REQUEST)
    h.inject(answer(m, ACK))
    assert h.iface.addresses() == [LEASED + "/24"]


def test_mistakes_of_the_caller():
    h = Host(address=False)
    raises(ValueError, "hostname", DHCPClient, h.iface, "x" * 64)
    raises(ValueError, "client_id", DHCPClient, h.iface, client_id=b"x")
    raises(ValueError, "probe", DHCPClient, h.iface, probe=-1)
    raises(ValueError, "addr", DHCPClient, h.iface, address="nonsense")


class Sent:
    xid = b"abcd"


class Server:
    """Serves a client on a `PreparedDevice`, without allocating anything."""

    def __init__(self):
        self.device = PreparedDevice()
        self.iface = Interface(self.device, OUR_MAC)
        self.client = DHCPClient(self.iface, hostname="printer", probe=0)
        dns = option(6, addr("10.1.1.1"))
        self.offer = bytearray(answer(Sent, OFFER, no_csum=True))
        self.ack = bytearray(answer(Sent, ACK, router=GATEWAY, options=dns, no_csum=True))
        self.arp = bytearray(arp(2, SERVER, LEASED, sha=SERVER_MAC, tha=OUR_MAC))
        self.t = START
        self.hours = 1
        self.answering = True
        self.answers = 0
        self.bound = 0

    def __call__(self):
        self.answers = self.bound = 0
        for _ in range(self.hours * 360):
            self.t = (self.t + 10000) & 0x3FFFFFFF
            for _ in range(4):
                self.device.length = 0
                self.iface.poll(self.t)
                self._serve()
            self.bound += self.client.bound

    def _serve(self):
        last = self.device.last
        if not self.device.length:
            return
        if last[12] == 8 and last[13] == 6:
            if last[41] == 200:
                self.device.frame = self.arp
        elif self.answering and last[23] == 17 and last[37] == 67:
            frame = self.offer if last[284] == DISCOVER else self.ack
            for k in range(46, 50):
                frame[k] = last[k]
            self.device.frame = frame
            self.answers += 1


def test_renewals_allocate_nothing():
    """Renewals, a lease that ends without answer, and a new one, under a locked heap."""
    server = Server()
    server()
    c = server.client
    assert c.bound
    c.changed = False
    server.hours = 4
    under_lock(server)
    assert 8 <= server.answers <= 10 and server.bound == 4 * 360, (server.answers, server.bound)
    # Somebody else has the address: defended, then given up.
    server.device.frame = arp(1, LEASED, GATEWAY)
    under_lock(server)
    assert c.bound and c.conflicts == 1
    server.device.frame = arp(1, LEASED, GATEWAY)
    under_lock(lambda: server.iface.poll(server.t))
    server.device.frame = arp(1, LEASED, GATEWAY)
    under_lock(lambda: server.iface.poll(server.t))
    assert not c.bound
    under_lock(server)
    assert c.bound
    server.answering = False
    server.hours = 2
    under_lock(server)
    assert not c.bound and 180 <= server.bound <= 361, server.bound
    server.answering = True
    under_lock(server)
    assert c.bound and server.iface.gateway == GATEWAY
