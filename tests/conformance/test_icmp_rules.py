"""ICMP by RFC 792, RFC 1122 sections 3.2.2 and 4.1.3.3, RFC 1812 section 4.3.2: every field."""

from harness import *
from smolmpy import ICMPSocket, RawSocket, UDPSocket
from test_icmp import errors, packet, sent_error

OWN = "203.114.229.173"
THEM = "203.114.229.94"
THEM_MAC = b"\x0e\x95\xca\x6d\xb1\x83"


def odd_host(**kw):
    """An interface whose addresses have no byte that is like another."""
    h = Host(address=False, neighbor=False, **kw)
    h.iface.add_address(OWN + "/24")
    h.iface.add_neighbor(THEM, THEM_MAC)
    h.run()
    h.clear()
    return h


def from_them(build, *args, **kw):
    return build(*args, src=THEM, dst=OWN, smac=THEM_MAC, **kw)


def test_792_an_echo_comes_back_as_it_went_but_for_its_type():
    h = odd_host()
    for n in list(range(40)) + [63, 64, 65, 255, 256, 257, 1001, 1471, 1472]:
        data = bytes([(i * 37 + n * 11 + 5) & 255 for i in range(n)])
        f = from_them(echo, n * 257 & 0xFFFF, 0xFFFF - n, data, tos=n & 252, ttl=n % 255 + 1)
        h.inject(f)
        p = h.expect("icmp", type=0, code=0, src=OWN, dst=THEM, dmac=THEM_MAC, tos=n & 252, ttl=64)
        assert p.rest == f[38:42] and p.data == data and p.ethertype == 0x0800, n
        assert len(p.frame) == len(f) and p.frag in (0, 0x4000)
    # Checksums at the edge: the sum rises by 0x0800 with a carry, or becomes 0xffff.
    for first in range(0, 0x10000, 0x0733):
        h.inject(from_them(echo, first, 0xF7FF - first & 0xFFFF, b""))
        h.expect("icmp", type=0)
    for value in range(0xF7F0, 0xF810):
        h.inject(from_them(echo, value, 0, b""))
        h.expect("icmp", type=0)
    assert h.counter("icmp_echo") == h.counter("icmp_rx") == h.counter("tx_frames") - 1


def test_792_options_and_padding_are_not_sent_back():
    h = odd_host()
    for options in (b"\x01" * 4, b"\x07\x07\x04\0\0\0\0", b"\x44\x08\x05\0\0\0\0\0", b"\x01" * 40):
        for n in (0, 1, 8, 50, 1400):
            data = bytes([(i * 7 + 3) & 255 for i in range(n)])
            h.inject(from_them(echo, 5, 6, data, options=options, pad=b"\xee" * 13))
            p = h.expect("icmp", type=0, src=OWN, dst=THEM, options=b"")
            assert p.data == data and p.rest == b"\0\5\0\6"


def test_1122_3_2_2_1_what_is_unreachable_is_said_with_what_came():
    """The code, nothing in the next word, and the IP header with its options and 8 bytes of it."""
    h = odd_host(sockets=4)
    h.add(UDPSocket(16, 16)).bind(7)
    for options in (
        b"",
        b"\x01" * 4,
        b"\x44\x0c\x05\0" + b"abcdefgh",
        b"\x07\x27\x04" + bytes(37),
    ):
        for n in (0, 1, 3, 8, 9, 100, 1200):
            data = bytes([(i * 13 + 7) & 255 for i in range(n)])
            for code, f in (
                (
                    3,
                    from_them(
                        udp, 1000, 9999, data, options=options, tos=0xB8, ident=0xABCD, ttl=7
                    ),
                ),
                (2, from_them(ip, data, 99, options=options, tos=0x28, ident=0x1234, frag=0x4000)),
            ):
                h.advance(100)
                h.inject(f)
                p = h.expect("icmp", type=3, code=code, rest=bytes(4), dmac=THEM_MAC)
                assert (p.src, p.dst, p.tos, p.ttl, p.options) == (OWN, THEM, 0, 64, b""), p
                # What the packet has less than 8 bytes is zeros, and of nobody else's packets.
                size = (f[14] & 15) * 4 + 8
                want = packet(f)[:size]
                want += bytes(size - len(want))
                # The checksum of the header is as it came.
                assert p.data == want, (code, n, options, p.data, want)
    assert h.counter("ip_protocol") == 28 and h.counter("udp_no_socket") == 28
    assert h.counter("icmp_errors_tx") == 56


def test_1812_4_3_2_8_ten_errors_at_once_and_one_more_each_100_ms():
    h = odd_host()
    h.advance(5000)
    f = from_them(udp, 1000, 9999, b"x")
    for i in range(10):
        h.inject(f)
        assert errors(h) == 1, i
    h.inject(f)
    assert errors(h) == 0 and h.counter("icmp_errors_limited") == 1
    h.advance(99)
    h.inject(f)
    assert errors(h) == 0
    h.advance(1)
    h.inject(f, f)
    assert errors(h) == 1
    h.advance(100)
    h.inject(f, f)
    assert errors(h) == 1
    h.advance(350)
    h.inject(f, f, f, f, f)
    assert errors(h) == 3
    h.advance(1000)
    h.inject(*[f] * 15)
    assert errors(h) == 10
    h.advance(60000)
    h.inject(*[f] * 15)
    assert errors(h) == 10
    sent = h.counter("icmp_errors_tx")
    assert sent == 35 and h.counter("icmp_errors_limited") == 16


def test_768_datagrams_that_contradict_themselves_draw_no_error():
    """Port 0, a length below 8 or beyond the packet, a wrong sum: with a socket and without."""
    for bound in (False, True):
        h = odd_host()
        s = h.add(UDPSocket(256, 256))
        if bound:
            s.bind(9999)
        good = from_them(udp, 1000, 9999, b"12345678")
        want = h.counter("udp_malformed")
        for length in list(range(8)) + [17, 18, 255, 256 + 16, 0xFFFF]:
            h.inject(from_them(udp, 1000, 9999, b"12345678", length=length))
            want += 1
            assert h.counter("udp_malformed") == want, (bound, length)
        for n in range(8):
            h.inject(from_them(ip, good[34 : 34 + n], 17))
            want += 1
            assert h.counter("udp_malformed") == want, (bound, n)
        h.inject(from_them(udp, 1000, 0, b"x"))
        want += 1
        assert h.counter("udp_malformed") == want and h.counter("udp_checksum") == 0
        for bit in range(16 * 8):
            if 32 <= bit < 48:
                continue  # the length
            near = bytearray(good)
            near[34 + (bit >> 3)] ^= 1 << (bit & 7)
            h.inject(bytes(near))
        h.expect_nothing()
        assert recv(s) == EAGAIN
        near = h.counter("udp_checksum") + h.counter("udp_no_socket") - (0 if bound else 0)
        assert near >= 96 and h.counter("icmp_errors_tx") == 0
        # The exact length, and one that leaves some of the packet over.
        h.inject(good)
        h.inject(from_them(ip, from_them(udp, 1000, 9999, b"1234")[34:] + b"\xee\xee\xee", 17))
        assert errors(h) == (0 if bound else 2)
        assert not bound or (recv(s), recv(s)) == (b"12345678", b"1234")


def a_connection(h):
    s = h.add(UDPSocket(256, 256))
    s.bind(5000)
    s.connect(THEM, 0x9A6B)
    s.send(b"question")
    return s, h.expect("udp", sport=5000).frame


def test_1122_3_2_2_1_codes_and_what_a_program_is_told():
    """ENETUNREACH, EHOSTUNREACH, ENOPROTOOPT, ECONNREFUSED, EMSGSIZE, as Linux has them."""
    h = odd_host()
    s, sent = a_connection(h)
    said = {0: 101, 2: 92, 3: 111, 4: 90, 6: 101, 9: 101, 11: 101}
    for code in list(range(16)) + [255]:
        h.inject(from_them(sent_error, code, sent))
        assert recv(s) == -said.get(code, 113), code
        assert recv(s) == EAGAIN
    for kind, number in ((11, 113), (12, 71)):
        for code in range(3):
            h.inject(from_them(sent_error, code, sent, kind=kind))
            assert recv(s) == -number, (kind, code)
    before = h.counter("icmp_ignored")
    for kind in (1, 2, 4, 5, 6, 7, 9, 10, 13, 15, 17, 30, 40, 255):
        h.inject(from_them(sent_error, 3, sent, kind=kind))
        assert recv(s) == EAGAIN, kind
    assert h.counter("icmp_ignored") == before + 14
    h.expect_nothing()


def test_1122_4_1_3_3_an_error_is_about_the_packet_that_it_quotes():
    """Any bit of its addresses, ports, protocol or fragment offset makes it another's."""
    h = odd_host()
    s, sent = a_connection(h)
    where = []
    for byte in (14, 23, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37):
        where += [(byte, bit) for bit in range(8)]
    where += [(20, bit) for bit in range(5)] + [(21, bit) for bit in range(8)]
    for byte, bit in where:
        near = bytearray(sent)
        near[byte] ^= 1 << bit
        before = h.counter("icmp_ignored")
        h.inject(from_them(sent_error, 3, bytes(near)))
        assert recv(s) == EAGAIN, (byte, bit)
        assert h.counter("icmp_ignored") == before + 1, (byte, bit)
    h.expect_nothing()
    # Time to live, type of service, identification, sum, "don't fragment" may have changed.
    for byte in (15, 18, 19, 22, 24, 25):
        near = bytearray(sent)
        near[byte] ^= 0x55
        h.inject(from_them(sent_error, 3, bytes(near)))
        assert recv(s) == -111, byte
    near = bytearray(sent)
    near[20] ^= 0x40
    h.inject(from_them(sent_error, 3, bytes(near)))
    assert recv(s) == -111
    # With options between the header and the ports.
    for words in range(1, 11):
        quoted = bytes([0x45 + words]) + sent[15:34] + b"\x01" * (4 * words) + sent[34:42]
        h.inject(from_them(icmp, 3, 3, data=quoted))
        assert recv(s) == -111, words
        h.inject(from_them(icmp, 3, 3, data=quoted[:-1]))
        assert recv(s) == EAGAIN, words
    before = h.counter("icmp_errors_rx")
    h.inject(from_them(sent_error, 3, sent))
    assert h.counter("icmp_errors_rx") == before + 1


def test_792_a_socket_hears_the_replies_to_its_own_identifier():
    h = odd_host()
    s = h.add(ICMPSocket(512, 512, 8))
    s.bind(0xA35C)
    body = b"\x08\0\0\0" + b"\xa3\x5c\0\1" + b"payload!"
    for n in (8, 9, 15, 16):
        assert s.send_to(body[:n], THEM) == n
        p = h.expect("icmp", type=8, code=0, src=OWN, dst=THEM, dmac=THEM_MAC, ttl=64, tos=0)
        assert p.rest + p.data == body[4:n]
    for bit in range(16):
        ident = 0xA35C ^ 1 << bit
        before = h.counter("icmp_ignored")
        h.inject(from_them(echo, ident, 1, b"x", kind=0))
        assert recv(s) == EAGAIN and h.counter("icmp_ignored") == before + 1, bit
    f = from_them(echo, 0xA35C, 1, b"payload!", kind=0)
    h.inject(f)
    assert bytes(s.remote_addr) in (bytes(4), addr(THEM))
    assert recv(s) == f[34:] and bytes(s.remote_addr) == addr(THEM)
    # The error about it comes from whoever reports it, and as it is.
    assert s.send_to(body, THEM) == 16
    sent = h.expect("icmp", type=8).frame
    for kind in (3, 11, 12):
        e = sent_error(1, sent, kind, src="203.114.229.7", dst=OWN, smac=THEM_MAC)
        h.inject(e)
        assert recv(s) == e[34:] and bytes(s.remote_addr) == addr("203.114.229.7"), kind
    # About a reply of ours, nobody wants to know.
    h.inject(from_them(echo, 0xA35C, 2, b"x"))
    reply = h.expect("icmp", type=0).frame
    before = h.counter("icmp_ignored")
    h.inject(from_them(sent_error, 1, reply))
    assert recv(s) == EAGAIN and h.counter("icmp_ignored") == before + 1
    s.close()
    h.inject(f)
    assert recv(s) == EAGAIN


def test_messages_that_are_too_short_or_wrong_are_counted_as_such():
    h = odd_host()
    good = from_them(echo, 1, 1, b"")[34:]
    for n in range(8):
        body = good[:n]
        if n >= 4:
            body = body[:2] + u16(csum(body[:2] + bytes(2) + body[4:])) + body[4:]
        h.inject(from_them(ip, body, 1))
        assert h.counter("icmp_malformed") == n + 1, n
    for bit in range(64):
        near = bytearray(from_them(echo, 1, 1, b""))
        near[34 + (bit >> 3)] ^= 1 << (bit & 7)
        h.inject(bytes(near))
        assert h.counter("icmp_checksum") == bit + 1
    h.expect_nothing()
    assert h.counter("icmp_rx") == 72 and h.counter("icmp_echo") == 0


def test_raw_sockets_beside_udp_leave_it_what_it_has():
    """With a raw socket every packet goes the long way; the answers are the same."""
    h = odd_host()
    r = h.add(RawSocket(4096, 256, 16))
    u = h.add(UDPSocket(256, 256))
    u.bind(7)
    for f in (
        from_them(echo, 3, 4, b"abc"),
        from_them(udp, 9, 7, b"hello"),
        from_them(udp, 9, 8, b"hello"),
        from_them(ip, b"12345678", 99),
    ):
        h.inject(f)
        assert recv(r) == f
    h.expect("icmp", type=0, data=b"abc")
    h.expect("icmp", type=3, code=3)
    h.expect("icmp", type=3, code=2)
    assert recv(u) == b"hello"


def test_1812_4_3_2_8_what_is_left_of_the_ten_is_kept():
    """Each 100 ms add one to what is left, up to ten."""
    for spent, ms, more in ((5, 100, 6), (5, 400, 9), (5, 500, 10), (5, 9000, 10), (10, 300, 3)):
        h = Host()
        h.t += 5000
        for _ in range(spent):
            h.inject(udp(5000, 9, b"x"))
            h.expect("icmp", type=3)
        h.t += ms
        for i in range(12):
            h.inject(udp(5000, 9, b"x"))
            assert len(h.device.sent) == (1 if i < more else 0), (spent, ms, i)
            h.clear()
