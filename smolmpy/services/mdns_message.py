"""What multicast DNS reads and writes of messages (RFC 6762), besides dns_message.py."""

import micropython
from micropython import const

from .dns_message import match, skip_name

# Of docs/layout.md: 'make format' writes these.
_SRC = const(7)
_ADDRESSES = const(24)
_ADDRESS_TABLE = const(128)
_ADDRESS_WORDS = const(2)

_A = const(1)
_ANY = const(255)
_IN = const(1)
_HEADER = const(12)

_TTL = const(0)
_FIRST = const(1)
_MOST = const(4)
_LONGEST_TTL = const(86400)

# As in dns_message.py; but fewer, since of most names a look at the first byte is enough.
_READ = const(18)
_ENDS = const(0x1FFFF)
_BUDGET = const(256)
_RECORD = const(4)

# What questions() returns.
ASKS_ADDRESS = 1
ASKS_OTHER = 2
WANTS_UNICAST = 4
IS_PROBE = 8


@micropython.viper
def is_neighbor(st: ptr32) -> int:
    """1 if the sender of the packet in hand is on the link (RFC 6762 section 11)."""
    at = _ADDRESS_TABLE
    end = at + st[_ADDRESSES] * _ADDRESS_WORDS
    while at < end:
        if not (st[at + 0] ^ st[_SRC]) & st[at + 1]:
            return 1
        at += _ADDRESS_WORDS
    return 0


@micropython.viper
def questions(buf, base: int, end: int, name) -> int:
    """What a message asks about a name, given as plain labels in small letters: a set of bits.

    Returns -1 for a message that is cut off, or whose names cost too much.
    """
    p = ptr8(buf)
    n = (p[base + 4] << 8) | p[base + 5]
    at = base + _HEADER
    bits = 0
    budget = _BUDGET + ((end - base) >> 2)
    while n:
        n -= 1
        found = int(match(buf, base, end, at, name, 0))
        at = (found >> 1) & _ENDS
        budget -= _RECORD + (found >> _READ)
        if found < 0 or at + 4 > end or budget < 0:
            return -1
        kind = (p[at] << 8) | p[at + 1]
        cls = (p[at + 2] << 8) | p[at + 3]
        if found & 1 and (cls & 0x7FFF == _IN or cls & 0x7FFF == _ANY):
            bits |= 1 if kind == _A or kind == _ANY else 2
            if cls & 0x8000:
                bits |= 4
            if kind == _ANY and p[base + 8] | p[base + 9]:
                bits |= 8
        at += 4
    return bits


@micropython.viper
def addresses(buf, base: int, end: int, name, first: int, last: int, w: ptr32) -> int:
    """The addresses that a message has for a name, in its sections first to last of 0 to 2.

    Those are answers, authority and additional. Puts the shortest time to live into words[0], the
    addresses behind it, and returns how many; -1 as questions().
    """
    p = ptr8(buf)
    at = base + _HEADER
    budget = _BUDGET + ((end - base) >> 2)
    n = (p[base + 4] << 8) | p[base + 5]
    while n:
        n -= 1
        at = int(skip_name(buf, at, end))
        budget -= _RECORD
        if at < 0 or at + 4 > end or budget < 0:
            return -1
        at += 4
    count = 0
    w[_TTL] = _LONGEST_TTL
    section = 0
    while section <= last:
        n = (p[base + 6 + 2 * section] << 8) | p[base + 7 + 2 * section]
        while n:
            n -= 1
            owner = at
            at = int(skip_name(buf, at, end))
            budget -= _RECORD
            if at < 0 or at + 10 > end or budget < 0:
                return -1
            size = (p[at + 8] << 8) | p[at + 9]
            if at + 10 + size > end:
                return -1
            found = 0
            if (
                section >= first
                and count < _MOST
                and size == 4
                and not p[at]
                and p[at + 1] == _A
                and p[at + 2] & 0x7F == 0
                and p[at + 3] == _IN
            ):
                found = int(match(buf, base, end, owner, name, 0))
                if found < 0:
                    return -1
                budget -= found >> _READ
            if found & 1:
                ttl = (p[at + 4] << 24) | (p[at + 5] << 16) | (p[at + 6] << 8) | p[at + 7]
                if p[at + 4] & 0x80:
                    ttl = 0
                if ttl < w[_TTL]:
                    w[_TTL] = ttl
                w[_FIRST + count] = (
                    (p[at + 10] << 24) | (p[at + 11] << 16) | (p[at + 12] << 8) | p[at + 13]
                )
                count += 1
            at += 10 + size
        section += 1
    return count


@micropython.viper
def compare(words, i: int, others, j: int) -> int:
    """How words[i] compares with others[j], both without sign: -1, 0 or 1."""
    a = ptr32(words)[i + 0]
    b = ptr32(others)[j]
    if a == b:
        return 0
    high = (a >> 16) & 0xFFFF
    other = (b >> 16) & 0xFFFF
    if high == other:
        high = a & 0xFFFF
        other = b & 0xFFFF
    return 1 if high > other else -1


@micropython.viper
def write_header(p: ptr8, base: int, ident: int, flags: int, questions: int, answers: int) -> int:
    """Writes a header with so many questions and answers; returns where it ends."""
    i = 0
    while i < _HEADER:
        p[base + i] = 0
        i += 1
    p[base] = ident >> 8
    p[base + 1] = ident & 255
    p[base + 2] = flags >> 8
    p[base + 3] = flags & 255
    p[base + 5] = questions
    p[base + 7] = answers
    return base + _HEADER


@micropython.viper
def write_type(p: ptr8, at: int, d: ptr8, length: int, kind: int, cls: int) -> int:
    """Writes a name, a type and a class; returns where they end."""
    i = 0
    while i < length:
        p[at + i] = d[i]
        i += 1
    at += length
    p[at] = kind >> 8
    p[at + 1] = kind & 255
    p[at + 2] = cls >> 8
    p[at + 3] = cls & 255
    return at + 4
