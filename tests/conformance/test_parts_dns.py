"""Names and messages of DNS as they lie in a buffer, each function beside a plain model of it
(RFC 1035 sections 3.1, 4.1.4)."""

from array import array

from fuzz import Random
from harness import *
from smolmpy.services import dns_message as dns
from smolmpy.services import mdns_message as mdns
from smolmpy.services import service

HEADER = 12


class Chance(Random):
    def of(self, items):
        return items[self.below(len(items))]


class Broken(Exception):
    pass


def small(data):
    return bytes([c + 32 if 65 <= c <= 90 else c for c in data])


def walk(d, base, end, at):
    """Yields ("label", bytes, where) and ("pointer", None, where it stood) of a name."""
    least = at
    pointers = 0
    while True:
        if at >= end:
            raise Broken("it does not end")
        n = d[at]
        if n >= 0xC0:
            if at + 2 > end:
                raise Broken("half a pointer")
            pointers += 1
            to = base + ((n & 63) << 8 | d[at + 1])
            yield "pointer", None, at
            if pointers > 10 or to >= least or to < base + HEADER:
                raise Broken("it leads to no prior name")
            least = at = to
            continue
        if n > 63 or at + 1 + n > end:
            raise Broken("no label")
        yield "label", bytes(d[at + 1 : at + 1 + n]), at
        at += 1 + n
        if not n:
            return


def skipped(d, end, at):
    while at < end:
        n = d[at]
        if n >= 0xC0:
            return at + 2 if at + 2 <= end else -1
        if n > 63:
            return -1
        at += n + 1
        if n == 0:
            return at
    return -1


def expanded(d, base, end, at):
    out = b""
    try:
        for kind, label, _ in walk(d, base, end, at):
            if kind == "label":
                if len(out) + 1 + len(label) > 255:
                    return -1, b""
                out += bytes([len(label)]) + small(label)
    except Broken:
        return -1, b""
    return len(out), out


def matched(d, base, end, at, name):
    """(-1, 0, 0), or (1 or 0 for the same or not, where what follows begins, bytes read there)."""
    rest = name
    after = 0
    read = 0
    pointers = 0
    try:
        for kind, label, where in walk(d, base, end, at):
            if kind == "pointer":
                after = after or where + 2
                pointers += 1
                continue
            n = len(label)
            mine = rest[0]
            same = mine == n and small(label) == rest[1 : 1 + n]
            if mine == n and after:
                read += 1
                for i in range(n):
                    if small(label[i : i + 1]) != rest[1 + i : 2 + i]:
                        break
                    read += 1
            if not same:
                # What is left is of no interest, but for where it ends.
                if not after:
                    after = skipped(d, end, where)
                    if after < 0:
                        return -1, 0, 0
                    return 0, after, 0
                return 0, after, read + pointers
            rest = rest[1 + n :]
            last = where + 1 + n
    except Broken:
        return -1, 0, 0
    return 1, after or last, read + pointers


def some_message(chance):
    """Bytes with names, and pointers, and what is neither; where names may begin."""
    base = chance.of((0, 2, 8))
    d = bytearray(base + HEADER)
    starts = []
    for _ in range(chance.below(14) + 1):
        starts.append(len(d))
        for _ in range(chance.below(4)):
            d += chance.of((b"\1a", b"\1A", b"\1b", b"\2ab", b"\3Abc", b"\2zZ", b"\2@[", b"\1`"))
        what = chance.below(10)
        if what < 5 and starts:
            to = chance.of(starts) - base
            d += bytes([0xC0 | to >> 8, to & 255])
        elif what < 8:
            d += b"\0"
        elif what == 8:
            d += bytes([chance.of((64, 65, 127, 128, 191, 192, 63, 62)), chance.below(256)])
        else:
            to = chance.of((0, 11, 12, 13, 255, 300))
            d += bytes([0xC0 | to >> 8, to & 255])
    return base, d, starts


NAMES = (
    b"\0",
    b"\1a\0",
    b"\1a\1b\0",
    b"\2ab\1a\0",
    b"\3abc\0",
    b"\2zz\2@[\0",
    b"\1`\0",
    b"\1b\1a\1a\0",
)


def test_names_in_messages():
    chance = Chance(21)
    out = bytearray(256)
    seen = {}
    for _ in range(40 if BOARD else 900):
        base, d, starts = some_message(chance)
        end = (
            len(d) if chance.below(3) else base + HEADER + chance.below(len(d) - base - HEADER + 1)
        )
        for at in starts:
            assert dns.skip_name(d, at, end) == skipped(d, end, at), (d, at, end)
            n, want = expanded(d, base, end, at)
            got = dns.expand(d, base, end, at, out)
            assert got == n and (n < 0 or bytes(out[:n]) == want), (d, at, end, got, n)
            name = chance.of(NAMES)
            if n > 0 and chance.below(2):
                name = want
            buf = name + bytes(256 - len(name))
            same, after, read = matched(d, base, end, at, name)
            got = dns.match(d, base, end, at, buf, 0)
            seen[same] = seen.get(same, 0) + 1
            if same < 0:
                assert got == -1, (d, at, end, name, got)
            else:
                assert got == (read << 18 | after << 1 | same), (
                    d,
                    at,
                    end,
                    name,
                    got,
                    read,
                    after,
                )
    assert min([seen[k] for k in (-1, 0, 1)]) > 10, seen


def test_ten_pointers_and_not_eleven():
    out = bytearray(256)
    for n in range(1, 13):
        for base in (0, 8):
            d = bytearray(base + HEADER) + b"\0"
            for i in range(n):
                to = len(d) - (1 if i == 0 else 2) - base
                d += bytes([0xC0, to])
            at = len(d) - 2
            assert dns.expand(d, base, len(d), at, out) == (1 if n <= 10 else -1), n
            want = (1 + n) << 18 | len(d) << 1 | 1 if n <= 10 else -1
            assert dns.match(d, base, len(d), at, bytes(256), 0) == want, n


def test_where_the_name_lies_is_known():
    """A name that points to where the one that is looked for lies need not be compared."""
    d = (
        bytearray(HEADER)
        + b"\3abc\2de\0"
        + b"\xc0\x0c"
        + b"\3abc\xc0\x10"
        + b"\xc0\x10"
        + b"\1x\xc0\x0c"
    )
    name = bytes(d[12:20]) + bytes(248)
    first = 20
    for known, read in ((12, 1), (0, 1 + 8)):
        got = dns.match(d, 0, len(d), first, name, known)
        assert got == (read << 18 | (first + 2) << 1 | 1), (known, got >> 18)
    # Only at its beginning, and where there was a pointer.
    assert dns.match(d, 0, len(d), 12, name, 12) == (20 << 1 | 1)
    assert dns.match(d, 0, len(d), 22, name, 16) & 1 == 1
    assert dns.match(d, 0, len(d), 28, name, 12) & 1 == 0
    assert dns.match(d, 0, len(d), 30, name, 12) & 1 == 0


def test_the_longest_name():
    """255 bytes with its labels' lengths and its end (section 3.1)."""
    out = bytearray(256)
    part = b"\x3f" + b"q" * 63
    for last, n in ((60, 254), (61, 255), (62, -1)):
        d = bytearray(HEADER) + part * 3 + bytes([last]) + b"r" * last + b"\0"
        assert dns.expand(d, 0, len(d), HEADER, out) == n
        text = ".".join(["q" * 63] * 3 + ["r" * last])
        if n > 0:
            assert dns.encode(text, out) == n and bytes(out[:n]) == bytes(d[HEADER:])
            assert dns.encode(text + ".", out) == n
        else:
            raises(ValueError, "name", dns.encode, text, out)


def test_text_to_labels():
    out = bytearray(256)
    for text, want in (
        ("a", b"\1a\0"),
        ("A.", b"\1a\0"),
        ("AZ.az", b"\2az\2az\0"),
        ("@[`{", b"\4@[`{\0"),
        ("a-b_c~!", b"\7a-b_c~!\0"),
        ("x" * 63, b"\x3f" + b"x" * 63 + b"\0"),
    ):
        n = dns.encode(text, out)
        assert n == len(want) and bytes(out[:n]) == want, text
    for text in (
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "a..",
        "x" * 64,
        " ",
        "a b",
        "a\x7f",
        "\x1f",
        "\xe9",
    ):
        raises(ValueError, "name", dns.encode, text, out)


def test_letters_in_random_case():
    """Bit by bit, for letters only, whatever case they had; 15 bits, again and again."""
    name = b"\x0aABYZabyz@[\x05`{09-\x0cqrstuvwxQRST\0"
    for bits in [1 << i for i in range(15)] + [0, 0x7FFF, 0x2A55]:
        d = bytearray(name)
        dns.mix_case(d, len(name), bits)
        k = 0
        want = bytearray(name)
        at = 0
        while at < len(name) - 1:
            n = name[at]
            for i in range(at + 1, at + 1 + n):
                c = small(name[i : i + 1])[0]
                if 97 <= c <= 122 and bits >> (k % 15) & 1:
                    c -= 32
                want[i] = c
                k += 1
            at += 1 + n
        assert d == want, (bits, d, want)


def test_a_question_as_it_is_written():
    for base in (0, 2, 8):
        for ident in (0, 1, 0x1234, 0xFFFE, 65535):
            name = b"\3abc\2de\0"
            d = bytearray(b"\xaa" * (base + 40))
            end = dns.write_question(d, base, ident, name, len(name))
            want = u16(ident) + b"\1\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1"
            assert bytes(d[base:end]) == want and end == base + len(want)
            assert bytes(d[:base]) == b"\xaa" * base and bytes(d[end:]) == b"\xaa" * (len(d) - end)
    d = bytearray(b"\xaa" * 30)
    assert mdns.write_header(d, 4, 0x1234, 0x8480, 5, 9) == 16
    assert bytes(d) == b"\xaa" * 4 + b"\x12\x34\x84\x80\0\5\0\x09\0\0\0\0" + b"\xaa" * 14
    assert mdns.write_type(d, 3, b"\1a\0..", 3, 0x0C21, 0x8001) == 10
    assert (
        bytes(d[2:11]) == b"\xaa\1a\0\x0c\x21\x80\1\4"
        or bytes(d[2:10]) == b"\xaa\1a\0\x0c\x21\x80\1"
    )


def test_addresses_compare_without_sign():
    values = [0, 1, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0x80000001, M32 - 1, M32, 0x1FFFF]
    w = array("I", [9, 9] + values)
    o = array("I", [9] + values)
    for i, a in enumerate(values):
        for j, b in enumerate(values):
            assert mdns.compare(w, 2 + i, o, 1 + j) == (a > b) - (a < b), (a, b)


def test_small_tools():
    d = bytearray(b"\xaa" * 20)
    service.fill(d, 3, 4, 7)
    assert bytes(d) == b"\xaa" * 3 + b"\7" * 4 + b"\xaa" * 13
    assert service.put(d, 5, b"xyz") == 8 and bytes(d[3:9]) == b"\7\7xyz\xaa"
    w = array("I", [0x01020304, 0xF1E2D3C4, 0])
    assert service.put_word(d, 10, w, 1) == 14 and bytes(d[9:15]) == b"\xaa\xf1\xe2\xd3\xc4\xaa"
    service.get_word(w, 2, d, 10)
    assert list(w) == [0x01020304, 0xF1E2D3C4, 0xF1E2D3C4]
    assert service.same(w, 1, w, 2) == 1 and service.same(w, 0, w, 2) == 0
    o = array("I", [5, 6, 7, 8])
    service.move(w, 1, o, 2, 2)
    assert list(w) == [0x01020304, 7, 8]
    service.move(w, 0, o, 0, 0)
    assert list(w) == [0x01020304, 7, 8]


def test_chance_and_ports_are_spread():
    h = Host(seed=b"12345678")
    st = h.iface._st
    for n in (1, 2, 3, 10, 256, 32767):
        found = [service.chance(st, n) for _ in range(60 if BOARD else 400)]
        assert min(found) >= 0 and max(found) < n
        if not BOARD:
            assert max(found) >= n * 9 // 10 - 1 and min(found) <= n // 10
            assert len(set(found)) > min(n, 400) // 2
    ports = [service.free_port(h.iface._demux, st) for _ in range(60 if BOARD else 600)]
    assert min(ports) >= 1024 and max(ports) <= 65535
    assert len(set(ports)) > len(ports) * 9 // 10
    if not BOARD:
        assert min(ports) < 4000 and max(ports) > 62000
