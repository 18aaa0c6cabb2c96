"""What may be given: each number from its least to its most, and not one beyond; what is given is
what is said afterwards, and a socket that is used again is as a new one."""

from harness import *
from smolmpy import (
    MDNS,
    DHCPClient,
    DNSClient,
    ICMPSocket,
    RawSocket,
    SNTPClient,
    UDPSocket,
)
from states import SYNCHRONIZED, in_state


def refused(name, f, *args, **kw):
    raises((ValueError, TypeError), name, f, *args, **kw)


def test_settings_of_tcp():
    s = TCPSocket(64, 64)
    for name, least, most, usual in (
        ("hop_limit", 1, 255, 64),
        ("ack_delay", 0, 500, 10),
        ("keep_alive", 0, 1 << 28, 0),
        ("timeout", 0, 1 << 28, 0),
        ("fin_timeout", 0, 1 << 28, 60000),
        ("persist_timeout", 0, 1 << 28, 0),
        ("time_wait", 0, 240000, None),
    ):
        if usual is not None:
            assert getattr(s, name) == usual, (name, getattr(s, name))
        for value in (least, least + 1, most - 1, most):
            setattr(s, name, value)
            assert getattr(s, name) == value, name
        for value in (least - 1, most + 1, "1", None, 1.5):
            refused(name, setattr, s, name, value)
        assert getattr(s, name) == most
    for name in ("nagle", "sack", "timestamps", "ecn", "quiet"):
        for value in (True, False, True):
            setattr(s, name, value)
            assert getattr(s, name) is value, name
            # The others stay.
            for other in ("nagle", "sack", "timestamps", "ecn", "quiet"):
                if other != name:
                    was = getattr(s, other)
                    setattr(s, name, not value)
                    setattr(s, name, value)
                    assert getattr(s, other) is was
    for value in ("none", "cubic", "reno", "cubic", "none"):
        s.congestion = value
        assert s.congestion == value
    refused("congestion", setattr, s, "congestion", "bbr")
    s.persist_timeout = 7
    s.congestion = "cubic"
    assert s.persist_timeout == 7 and s.quiet and s.sack


def test_what_has_to_be_chosen_before_connecting():
    for name in SYNCHRONIZED + ("SYN_SENT", "SYN_RECEIVED"):
        h, p, s = in_state(name)
        for option, value in (
            ("sack", True),
            ("timestamps", True),
            ("ecn", True),
            ("congestion", "none"),
        ):
            raises(OSError, "before", setattr, s, option, value)
    h, p, s = in_state("LISTEN")
    s.sack = s.timestamps = s.ecn = False
    s.congestion = "none"


def test_sizes_of_sockets():
    for gaps in (0, 1, 32):
        TCPSocket(64, 64, gaps)
    for gaps in (-1, 33, "1", 1.5):
        refused("gaps", TCPSocket, 64, 64, gaps)
    assert not TCPSocket(64, 64, 0).sack
    for make in (UDPSocket, ICMPSocket):
        for packets in (1, 4096):
            make(64, 64, packets=packets)
        for packets in (0, 4097, -1, "1"):
            refused("packets", make, 64, 64, packets=packets)
    for make in (TCPSocket, UDPSocket, ICMPSocket):
        for size in (0, -1):
            refused("", make, size, 64)
            refused("", make, 64, size)
        for size in (b"12345678", bytearray(0), "text", memoryview(b"12345678")):
            refused("", make, size, 64)
            refused("", make, 64, size)
        make(1, 1)
        make(bytearray(8), memoryview(bytearray(8)))
    for value in (0, 1, 255, None):
        RawSocket(64, 64, protocol=value)
    for value in (-1, 256):
        refused("protocol", RawSocket, 64, 64, protocol=value)
    for value in (0, 1, 65535):
        RawSocket(64, 64, ethertype=value)
    for value in (-1, 65536):
        refused("ethertype", RawSocket, 64, 64, ethertype=value)
    refused("exclude", RawSocket, 64, 64, protocol=6, ethertype=0x806)


def test_as_many_packets_as_was_said_and_four_by_default():
    for kw, most in (({}, 4), ({"packets": 1}, 1), ({"packets": 3}, 3)):
        h = Host()
        s = h.add(UDPSocket(999, 999, **kw))
        s.bind(7)
        h.inject(*[udp(50, 7, b"%d" % i) for i in range(6)])
        got = []
        while s.can_recv():
            got.append(bytes(recv(s)))
        assert got == [b"%d" % i for i in range(most)], got
        done = [s.send_to(b"x", addr(PEER), 9) for _ in range(6)]
        assert done == [1] * most + [EAGAIN] * (6 - most)
        s = h.add(ICMPSocket(999, 999, **kw))
        s.bind(5)
        h.inject(*[echo(5, i, kind=0) for i in range(6)])
        got = []
        while s.can_recv():
            got.append(get16(recv(s), 6))
        assert got == list(range(most))
        assert [s.send_to(bytes(8), PEER) for _ in range(5)] == [8] * most + [EAGAIN] * (5 - most)
        s = h.add(RawSocket(999, 999, protocol=99, **kw))
        h.inject(*[ip(b"%d" % i, 99) for i in range(6)])
        got = []
        while s.can_recv():
            got.append(recv(s)[20:])
        assert got == [b"%d" % i for i in range(most)], got


def test_raw_packets_have_a_header_at_least():
    h = Host()
    s = h.add(RawSocket(99, 99, protocol=99))
    refused("buf", s.send, bytes(19))
    refused("buf", s.send, b"\x46" + bytes(30))
    assert s.send(b"\x45" + bytes(19)) == 20
    s = h.add(RawSocket(99, 99, ethertype=0x88B5))
    refused("buf", s.send, bytes(13))
    assert s.send(bytes(14)) == 14


def test_what_a_closed_icmp_socket_has_forgotten():
    h = Host()
    s, other = h.add(ICMPSocket(99, 99)), h.add(ICMPSocket(99, 99))
    assert s.ident == -1
    s.bind(0)
    other.bind(77)
    assert s.ident == 0
    h.inject(echo(0, 1, kind=0))
    assert s.can_recv()
    s.send_to(bytes(8), FAR_AWAY)
    s.close()
    assert s.ident == -1 and not s.can_recv() and recv(s) == EAGAIN
    h.clear()
    h.expect_nothing()
    h.inject(echo(0, 2, kind=0))
    assert not s.can_recv() and h.counter("icmp_ignored") == 1
    assert raises(OSError, "in use", s.bind, 77).errno == 98
    assert s.ident == -1
    s.bind(78)
    assert s.ident == 78


FAR_AWAY = "10.9.9.9"


def test_an_error_is_forgotten_with_the_interface():
    h = Host()
    s = h.add(UDPSocket(99, 99))
    s.connect(PEER, 9)
    s.send(b"x")
    sent = h.expect("udp")
    h.inject(icmp(3, 3, data=sent.frame[14:42]))
    assert s.can_recv()
    h.iface.remove(s)
    assert not s.can_recv()
    h.add(s)
    assert recv(s) == EAGAIN and s.local_port == 0


def test_hop_limits():
    for s in (UDPSocket(64, 64), ICMPSocket(64, 64)):
        assert s.hop_limit == 64
        for value in (1, 2, 254, 255):
            s.hop_limit = value
            assert s.hop_limit == value
        for value in (0, 256, -1, "1", None):
            refused("hop_limit", setattr, s, "hop_limit", value)


def test_ports():
    for port in (1, 65535):
        h = Host()
        h.add(TCPSocket(64, 64)).listen(port)
        h.add(TCPSocket(64, 64)).connect(PEER, port, port)
        s = h.add(UDPSocket(64, 64))
        s.bind(port)
        assert s.local_port == port
        s.connect(PEER, port)
        assert s.remote_port == port
        assert s.send_to(b"x", addr(PEER), port) >= 0
    h = Host()
    for port in (0, 65536, -1, "80", None):
        refused("port", h.add(TCPSocket(64, 64)).listen, port)
        h.iface.remove(h.iface.sockets[0])
        refused("port", h.add(TCPSocket(64, 64)).connect, PEER, port)
        h.iface.remove(h.iface.sockets[0])
        s = h.add(UDPSocket(64, 64))
        refused("port", s.connect, PEER, port)
        if port != 0:
            refused("port", s.bind, port)
        h.iface.remove(s)
    s = h.add(ICMPSocket(64, 64))
    for ident in (0, 1, 65535):
        s.bind(ident)
    for ident in (-1, 65536, "1"):
        refused("ident", s.bind, ident)
    assert s.local_port if hasattr(s, "local_port") else True


def test_sizes_of_an_interface():
    for name, most in (
        ("sockets", 4096),
        ("neighbors", 4096),
        ("routes", 4096),
        ("addresses", 16),
    ):
        for value in (1, 2):
            Interface(MemoryDevice(), OUR_MAC, **{name: value})
        if not BOARD:
            Interface(MemoryDevice(), OUR_MAC, **{name: most})
        for value in (0, -1, most + 1, "1", None, 1.5):
            refused(name, Interface, MemoryDevice(), OUR_MAC, **{name: value})
    for mac in (bytes(6), b"\1\2\3\4\5\6", b"\xff" * 6, b"\2\2\2\2\2", None):
        refused("mac", Interface, MemoryDevice(), mac)


def test_addresses_that_are_none():
    iface = Interface(MemoryDevice(), OUR_MAC, addresses=16)
    for cidr in (
        "0.0.0.1/8",
        "224.0.0.1/4",
        "239.1.2.3/24",
        "255.255.255.255/32",
        "10.0.0.0/8",
        "10.255.255.255/8",
        "10.1.2.0/24",
        "10.1.2.255/24",
        "10.1.2.4/30",
        "10.1.2.7/30",
        "10.1.2.3",
        "10.1.2.3/33",
        "10.1.2.3/-1",
    ):
        refused("cidr", iface.add_address, cidr)
    good = (
        "1.0.0.1/8",
        "223.0.0.1/30",
        "10.0.0.1/24",
        "10.1.2.5/30",
        "10.1.2.8/31",
        "10.1.2.9/31",
    )
    for cidr in good + ("10.1.2.255/16", "10.2.2.0/32"):
        iface.add_address(cidr)
    assert tuple(iface.addresses()) == good + ("10.1.2.255/16", "10.2.2.0/32")
    for cidr in ("10.1.2.5/30", "10.1.2.5/8"):
        assert raises(OSError, "has that", iface.add_address, cidr).errno == 98
    for bad in ("10.1.2.6", "1.2.3.4"):
        refused("addr", iface.remove_address, bad)


def test_gateways():
    iface = Host().iface
    for gateway in (
        "0.0.0.1",
        "127.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
        OUR,
        "192.168.69.0",
        "192.168.69.255",
        "192.168.68.1",
        "10.0.0.1",
    ):
        refused("gateway", iface.add_route, "10.0.0.0/8", gateway)
        refused("gateway", setattr, iface, "gateway", gateway)
    for gateway in ("192.168.69.2", "192.168.69.254"):
        iface.add_route("10.0.0.0/8", gateway)
        assert iface.routes()[0] == ("10.0.0.0/8", gateway)
    refused("cidr", iface.remove_route, "10.0.0.0/9")
    iface.remove_route("10.0.0.0/8")
    refused("cidr", iface.remove_route, "10.0.0.0/8")


def test_limits_of_the_services():
    def fresh():
        iface = Interface(MemoryDevice(), OUR_MAC, sockets=66)
        iface.add_address(OUR + "/24")
        return iface

    for name, least, most in (
        ("timeout", 1, 600000),
        ("cache", 1, 1024),
        ("queries", 1, 64),
    ):
        for value in (least, least + 1, most - 1, most):
            if not BOARD or value < 10 or name == "timeout":
                DNSClient(fresh(), [PEER], **{name: value})
        for value in (least - 1, most + 1, -1):
            refused(name, DNSClient, fresh(), [PEER], **{name: value})
    servers = ["192.168.69.%d" % (10 + i) for i in range(9)]
    assert DNSClient(fresh(), servers[:4]).servers == servers[:4]
    refused("servers", DNSClient, fresh(), servers[:5])
    for size in (0, 1, 63):
        DHCPClient(fresh(), hostname="h" * size)
    refused("hostname", DHCPClient, fresh(), hostname="h" * 64)
    for size in (2, 64):
        DHCPClient(fresh(), client_id=bytes(size))
    for size in (0, 1, 65):
        refused("client_id", DHCPClient, fresh(), client_id=bytes(size))
    for value in (0, 1, 10000):
        DHCPClient(fresh(), probe=value)
    for value in (-1, 10001):
        refused("probe", DHCPClient, fresh(), probe=value)
    for size in (1, 60):
        MDNS(fresh(), "h" * size)
    for bad in ("", "h" * 61, "a.b"):
        refused("hostname", MDNS, fresh(), bad)
    for value in (16, 17, 86400):
        SNTPClient(fresh(), [PEER], interval=value)
    for value in (15, 0, -1, 86401):
        refused("interval", SNTPClient, fresh(), [PEER], interval=value)
    refused("servers", SNTPClient, fresh(), servers)
    SNTPClient(fresh(), servers[:8])


def test_what_is_on_no_interface_may_be_closed():
    for s in (TCPSocket(8, 8), UDPSocket(8, 8), ICMPSocket(8, 8), RawSocket(8, 8, protocol=9)):
        s.close()
        assert s.iface is None
        h = Host()
        h.add(s)
        raises(OSError, "already", h.iface.add, s)
        s.close()
        h.iface.remove(s)
        raises(ValueError, "not on this", h.iface.remove, s)
        s.close()
        assert "no interface" in repr(s) or s.iface is None


GAPS = 68
KEPT = (22, 24, 25, 27)  # where rings begin, and their sizes


def words(s):
    """The words of a control block that say something while it is listening or connecting."""
    n = s._tcb[67]
    found = [0 if i in KEPT else s._tcb[i] for i in range(4, GAPS + 2)] + [
        s._tcb[n],
        s._tcb[n + 1],
    ]
    if s.state == s.LISTEN:
        found[5] = 0  # ISS is chosen when a SYN comes
    return found


def test_a_socket_that_is_used_again_is_as_a_new_one():
    """Nothing of a connection is left for the next one, whatever it was."""
    for again in ("listen", "connect"):
        h = Host()
        used, fresh = (h.add(TCPSocket(3000, 600, 2)) for _ in range(2))
        for s in (used, fresh):
            s.sack = s.timestamps = s.ecn = True
            s.congestion = "cubic"
            s.nagle = False
        # All that can be set is set in a life of its own.
        for i in range(4, len(used._tcb)):
            kept = i in (24, 27) or 61 <= i <= GAPS or i == used._tcb[67]
            if not kept and i != 40:
                used._tcb[i] = 0x1B3F5A77 + i
        used._tcb[4] = 0
        used._tcb[5] |= 2
        used._tcb[23] = used._tcb[26] = 0
        for s in (used, fresh):
            if again == "listen":
                s.listen(99)
            else:
                s.connect(PEER, 99, 1000)
            kept = words(s)
            if s is used:
                first = kept
                h.iface.remove(s)
            else:
                assert kept == first, [
                    (i + 4, kept[i], first[i]) for i in range(len(kept)) if kept[i] != first[i]
                ]


def test_numbers_of_a_connection():
    h, p, s = established(syn={"mss": 1000}, rx=3000, congestion="reno", nagle=False)
    want = {
        "retransmits": 0,
        "timeouts": 0,
        "dup_acks": 0,
        "out_of_order": 0,
        "mss": 1000,
        "snd_wnd": 65535,
        "rcv_wnd": 3000,
    }
    stats = s.stats()
    assert {name: stats[name] for name in want} == want, stats
    assert stats["cwnd"] == 10000 and stats["ssthresh"] > 65535
    for n in range(2):
        p.send("A", 11 + 10 * n, 1, b"early")
    for n in range(3):
        s.send(bytes(10))
        h.run()
    h.advance(stats["rto"])
    h.clear()
    for _ in range(4):
        p.send("A", 1, 1, win=65535)
    stats = s.stats()
    assert stats["out_of_order"] == 2, stats
    assert stats["timeouts"] == 1 and stats["retransmits"] >= 1, stats
    assert stats["dup_acks"] == 4, stats
    assert set(stats) == {
        "retransmits",
        "timeouts",
        "dup_acks",
        "out_of_order",
        "rtt",
        "rto",
        "cwnd",
        "ssthresh",
        "mss",
        "snd_wnd",
        "rcv_wnd",
    }


def test_a_socket_as_text():
    s = TCPSocket(64, 64)
    assert repr(s) == "<TCPSocket, on no interface>"
    h, p, s = established()
    p.send("A", 1, 1, b"abc")
    s.send(b"defgh")
    text = repr(s)
    for part in ("ESTABLISHED", OUR + ":6969", PEER + ":%d" % p.port, "recv 3", "send 5"):
        assert part in text, text


def test_what_can_be_done_in_each_state():
    """may_send, may_recv: whether that half is open; can_send, can_recv: whether a call waits."""
    names = ("LISTEN", "SYN_SENT", "SYN_RECEIVED") + SYNCHRONIZED
    for name in names:
        h, p, s = in_state(name, tx=64)
        opening = name in ("SYN_SENT", "SYN_RECEIVED")
        open_out = name in ("ESTABLISHED", "CLOSE_WAIT")
        open_in = name in ("ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2")
        assert s.may_send() == open_out, name
        assert s.may_recv() == open_in, name
        assert s.can_send() == (not opening), name
        assert s.can_recv() == (not opening and not open_in), name
        if open_out:
            assert s.send(bytes(63)) == 63 and s.can_send()
            assert s.send(bytes(2)) == 1 and not s.can_send()
            assert s.send(b"x") == EAGAIN
        if open_in:
            p.send("A", p.seq, p.ack, b"z")
            assert s.can_recv() and s.may_recv()
            assert recv(s) == b"z" and not s.can_recv()


def test_what_is_no_buffer_is_named():
    h, p, s = established()
    for call, bad, name in (
        (s.send, 5, "int"),
        (s.send, None, "NoneType"),
        (s.recv_into, b"bytes", "bytes"),
        (s.recv_into, "text", "str"),
        (s.recv_into, 5, "int"),
        (s.recv_into, memoryview(b"123"), "read-only memoryview"),
    ):
        raises(TypeError, name, call, bad)


def test_buffers_of_a_firmware_that_does_not_tell_the_size_of_items():
    from array import array

    from smolmpy.sockets import buffers

    sized = buffers._SIZED
    try:
        for buffers._SIZED in (sized, False):
            assert buffers.writable(memoryview(bytearray(6))) == 6
            assert buffers.writable(memoryview(array("H", [1, 2, 3]))) == ~6
            assert buffers.writable(array("B", [1, 2])) == 2
            assert buffers.writable(array("I", [1, 2])) == ~8
            assert bytes(buffers.readable(memoryview(b"abc"))) == b"abc"
            assert len(buffers.readable(array("H", [1, 2, 3]))) == 6
    finally:
        buffers._SIZED = sized
