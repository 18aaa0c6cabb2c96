"""DNS messages for the scenarios, built and read without any of the stack's own code."""

from frames import addr, get16, u16, u32

A, NS, CNAME, SOA, PTR, AAAA, ANY = 1, 2, 5, 6, 12, 28, 255


def name(text, tail=b"\0"):
    """A name's labels; `tail` is what ends it: a zero, or a pointer."""
    labels = [bytes([len(part)]) + part.encode() for part in text.split(".") if part]
    return b"".join(labels) + tail


def pointer(at):
    return u16(0xC000 | at)


QUESTION = pointer(12)


def rr(owner, kind, data, ttl=300, cls=1):
    if isinstance(owner, str):
        owner = name(owner)
    return owner + u16(kind) + u16(cls) + u32(ttl) + u16(len(data)) + data


def a(owner, address, ttl=300, **kw):
    return rr(owner, A, addr(address), ttl, **kw)


def cname(owner, target, ttl=300):
    return rr(owner, CNAME, name(target) if isinstance(target, str) else target, ttl)


def soa(owner="org", ttl=600, minimum=300):
    fields = u32(1) + u32(2) + u32(3) + u32(4) + u32(minimum)
    return rr(owner, SOA, name("ns." + owner) + name("root." + owner) + fields, ttl)


def message(ident, question, answers=(), authority=(), more=(), flags=0x8180, rcode=0):
    d = u16(ident) + u16(flags | rcode) + u16(1 if question else 0)
    d += u16(len(answers)) + u16(len(authority)) + u16(len(more))
    return d + (question or b"") + b"".join(answers) + b"".join(authority) + b"".join(more)


def read_name(d, at):
    """(the name as text, where it ends)"""
    parts = []
    end = None
    while d[at]:
        if d[at] >= 0xC0:
            end = end or at + 2
            at = get16(d, at) & 0x3FFF
            continue
        parts.append(d[at + 1 : at + 1 + d[at]].decode())
        at += 1 + d[at]
    return ".".join(parts), end or at + 1


class Read:
    """A message: `ident`, `flags`, questions as (name, kind, class), records with ttl and data."""

    def __init__(self, d):
        self.raw = d
        self.ident, self.flags = get16(d, 0), get16(d, 2)
        counts = [get16(d, i) for i in range(4, 12, 2)]
        at = 12
        self.questions = []
        for _ in range(counts[0]):
            text, at = read_name(d, at)
            self.questions.append((text, get16(d, at), get16(d, at + 2)))
            at += 4
        self.question = d[12:at]
        self.sections = []
        for n in counts[1:]:
            records = []
            for _ in range(n):
                text, at = read_name(d, at)
                size = get16(d, at + 8)
                ttl = get16(d, at + 4) * 65536 + get16(d, at + 6)
                data = d[at + 10 : at + 10 + size]
                records.append((text, get16(d, at), get16(d, at + 2), ttl, data))
                at += 10 + size
            self.sections.append(records)
        assert at == len(d), "%d bytes behind the message" % (len(d) - at)
        self.answers, self.authority, self.more = self.sections
