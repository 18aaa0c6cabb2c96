"""DNS messages (RFC 1035 section 4) where they lie: in a buffer, from `base` to `end`.

A name may go on elsewhere in the message (section 4.1.4). A pointer has to lead back to a prior
name, and a name may have ten of them, where nobody has use for more than two or three. So that a
message of many such names costs no more than an honest one, the bytes that are read by way of
pointers are counted, and a message in which there are more than names have use for is dropped.
"""

import micropython
from micropython import const

A = 1
_A = const(1)
_NS = const(2)
_CNAME = const(5)
_SOA = const(6)
_IN = const(1)
_HEADER = const(12)

# What read_answer() returns besides a number of addresses.
NO_ADDRESS = 0
MISMATCH = -1  # not an answer to the question, or one that contradicts itself
NO_NAME = -2
FAILURE = -3  # this server can not or will not tell
TRUNCATED = -4
ALIAS = -5  # it is another name for the one that scratch has now, words[TARGET] bytes long

_NO_ADDRESS = const(0)
_MISMATCH = const(-1)
_NO_NAME = const(-2)
_FAILURE = const(-3)
_TRUNCATED = const(-4)
_ALIAS = const(-5)

# Its words: seconds to live, four addresses, the length of the other name.
_TTL = const(0)
_ADDRESSES = const(1)
_MOST = const(4)
_TARGET = const(5)
TARGET = 5
WORDS = 6

_LONGEST_TTL = const(86400)
_LONGEST_NO = const(3600)  # RFC 2308 section 5
_CHAIN = const(8)
_NAME_SIZE = const(255)
_POINTERS = const(10)
# What match() returns: bytes read by way of pointers, where the name ends, whether it is the one.
_READ = const(18)
# How many bytes may be read so, besides a quarter of those that the message has; a look at a
# record counts as some.
_BUDGET = const(512)
_RECORD = const(4)


@micropython.viper
def _encode(data, o: ptr8) -> int:
    d = ptr8(data)
    n = int(len(data))
    if n and d[n - 1] == 46:
        n -= 1
    if n < 1 or n > 253:
        return -1
    start = 0
    i = 0
    while i <= n:
        if i == n or d[i] == 46:
            size = i - start
            if size < 1 or size > 63:
                return -1
            o[start] = size
            start = i + 1
        else:
            c = d[i]
            if c <= 32 or c > 126:
                return -1
            o[i + 1] = c + 32 if 65 <= c <= 90 else c
        i += 1
    o[n + 1] = 0
    return n + 2


def encode(name, out):
    """Writes a name such as "example.org" as labels, small letters, to a buffer of 256 bytes.

    Returns its length; ValueError for text that is no name.
    """
    n = _encode(name.encode(), out)
    if n < 0:
        raise ValueError("name: %r is not a name" % name)
    return n


@micropython.viper
def skip_name(p: ptr8, at: int, end: int) -> int:
    """Where what follows the name at `at` begins; -1 if it does not end before `end`."""
    while at < end:
        n = p[at]
        if n >= 0xC0:
            return at + 2 if at + 2 <= end else -1
        if n > 63:
            return -1
        at += n + 1
        if not n:
            return at if at <= end else -1
    return -1


@micropython.viper
def expand(p: ptr8, base: int, end: int, at: int, o: ptr8) -> int:
    """Writes the name at `at` as plain labels, small letters, to a buffer of 256 bytes.

    Returns its length; -1 if it does not end, is too long, or is pointed to as match() has it.
    """
    length = 0
    pointers = 0
    least = at
    while at < end:
        n = p[at]
        if n >= 0xC0:
            pointers += 1
            if at + 2 > end or pointers > _POINTERS:
                return -1
            at = base + (((n & 63) << 8) | p[at + 1])
            if at >= least or at < base + _HEADER:
                return -1
            least = at
            continue
        if n > 63 or at + 1 + n > end or length + n + 1 > _NAME_SIZE:
            return -1
        o[length] = n
        length += 1
        at += 1
        if not n:
            return length
        while n:
            c = p[at]
            o[length] = c + 32 if 65 <= c <= 90 else c
            length += 1
            at += 1
            n -= 1
    return -1


@micropython.viper
def match(p: ptr8, base: int, end: int, at: int, o: ptr8, known: int) -> int:
    """Compares the name at `at` with `name`, given as plain labels in small letters.

    `known` is where that lies in the message, 0 for nowhere. Returns the bytes read by way of
    pointers << 18 | where what follows begins << 1 | whether the names are the same; -1 for a name
    that does not end before `end`, has more than ten pointers or one that leads to no prior name.
    """
    same = 1
    length = 0
    after = 0  # what follows the first pointer
    read = 0
    pointers = 0
    least = at
    while at < end:
        if at == known and after and not length:
            at = after
            break
        n = p[at]
        if n >= 0xC0:
            if at + 2 > end:
                return -1
            if not after:
                after = at + 2
            if not same:
                at = after
                break
            pointers += 1
            at = base + (((n & 63) << 8) | p[at + 1])
            if at >= least or at < base + _HEADER or pointers > _POINTERS:
                return -1
            least = at
            continue
        at += 1
        if n > 63 or at + n > end:
            return -1
        if o[length] != n:
            same = 0
        elif same:
            i = at
            length += 1
            stop = length + n
            while length < stop:
                c = p[i]
                if 65 <= c <= 90:
                    c += 32
                if o[length] != c:
                    same = 0
                    break
                i += 1
                length += 1
            if after:
                read += i - at + 1
        if after and not (same and n):
            at = after
            break
        if not n:
            break
        at += n
    else:
        return -1
    return ((read + pointers) << _READ) | (at << 1) | same


@micropython.viper
def write_question(p: ptr8, base: int, ident: int, d: ptr8, length: int) -> int:
    """Writes a message that asks for the addresses of a name; returns where it ends."""
    p[base] = ident >> 8
    p[base + 1] = ident & 255
    p[base + 2] = 1  # recursion desired
    p[base + 3] = 0
    p[base + 4] = 0
    p[base + 5] = 1
    i = 6
    while i < _HEADER:
        p[base + i] = 0
        i += 1
    at = base + _HEADER
    i = 0
    while i < length:
        p[at + i] = d[i]
        i += 1
    at += length
    p[at] = 0
    p[at + 1] = _A
    p[at + 2] = 0
    p[at + 3] = _IN
    return at + 4


@micropython.viper
def _is_answer(p: ptr8, base: int, end: int, ident: int, d: ptr8, length: int) -> int:
    # 1 for an answer to write_question(), as far as its header and its question tell.
    if end < base + _HEADER + length + 4 or ((p[base] << 8) | p[base + 1]) != ident:
        return 0
    # An answer, of an ordinary query, to one question.
    if p[base + 2] & 0xF8 != 0x80 or p[base + 4] or p[base + 5] != 1:
        return 0
    at = base + _HEADER
    i = 0
    while i < length:
        if p[at + i] != d[i]:
            return 0
        i += 1
    at += length
    return 0 if p[at] or p[at + 1] != _A or p[at + 2] or p[at + 3] != _IN else 1


@micropython.viper
def _read_no(buf, base: int, end: int, at: int, w: ptr32) -> int:
    # RFC 2308: how long the answer "no" holds is in the SOA record of the zone, in the authority
    # section, which begins at `at`. Returns 1 if other servers are named there instead.
    p = ptr8(buf)
    n = (p[base + 8] << 8) | p[base + 9]
    w[_TTL] = 0
    referral = 0
    while n:
        n -= 1
        at = int(skip_name(buf, at, end))
        if at < 0 or at + 10 > end:
            break
        last = at + 10 + ((p[at + 8] << 8) | p[at + 9])
        if last > end:
            break
        if not p[at] and p[at + 1] == _NS:
            referral = 1
        if not p[at] and p[at + 1] == _SOA and last - at >= 32:
            ttl = (p[at + 4] << 24) | (p[at + 5] << 16) | (p[at + 6] << 8) | p[at + 7]
            least = (p[last - 4] << 24) | (p[last - 3] << 16) | (p[last - 2] << 8) | p[last - 1]
            if p[at + 4] & 0x80 or p[last - 4] & 0x80:
                ttl = 0
            elif least < ttl:
                ttl = least
            w[_TTL] = ttl if ttl < _LONGEST_NO else _LONGEST_NO
            return 0
        at = last
    return referral


@micropython.viper
def read_answer(
    buf, base: int, end: int, ident: int, name, length: int, partial: int, words, scratch
) -> int:
    """Reads the answer to write_question(): how many addresses are in words, or what else.

    The question has to come back as it was sent, its letters' case included. Only what belongs to
    the name, or to the end of the chain of its aliases, is believed (RFC 5452 section 6). partial:
    1 if the message was cut off at `end`. scratch is a buffer of 256 bytes.
    """
    p = ptr8(buf)
    w = ptr32(words)
    if not int(_is_answer(buf, base, end, ident, name, length)):
        return _MISMATCH
    if p[base + 2] & 2 and not partial:
        return _TRUNCATED
    code = p[base + 3] & 15
    if code and code != 3:
        return _FAILURE
    w[_TTL] = _LONGEST_TTL
    budget = _BUDGET + ((end - base) >> 2)
    # `known` is where the name lies that is looked for now; scratch has it.
    known = base + _HEADER
    size = int(expand(buf, base, end, known, scratch))
    count = 0
    chain = 0
    at = 0  # where the authority section begins, 0 if it was cut off
    again = 1
    while again:
        # Aliases are usually in order, so that one round is enough.
        again = 0
        at = base + _HEADER + length + 4
        n = (p[base + 6] << 8) | p[base + 7]
        while n:
            n -= 1
            owner = at
            at = int(skip_name(buf, at, end))
            last = end + 1
            if at >= 0 and at + 10 <= end:
                last = at + 10 + ((p[at + 8] << 8) | p[at + 9])
            budget -= _RECORD
            if budget < 0 or (last > end and not partial):
                return _MISMATCH
            if last > end:
                at = 0
                break
            kind = (p[at] << 8) | p[at + 1]
            found = 0
            if not p[at + 2] and p[at + 3] == _IN and count < _MOST:
                if (kind == _A and last - at == 14) or (kind == _CNAME and not count):
                    found = int(match(buf, base, end, owner, scratch, known))
                    if found < 0:
                        return _MISMATCH
                    budget -= found >> _READ
            if found & 1:
                ttl = (p[at + 4] << 24) | (p[at + 5] << 16) | (p[at + 6] << 8) | p[at + 7]
                if p[at + 4] & 0x80:
                    ttl = 0  # RFC 2181 section 8
                if ttl < w[_TTL]:
                    w[_TTL] = ttl
                if kind == _A:
                    w[_ADDRESSES + count] = (
                        (p[at + 10] << 24) | (p[at + 11] << 16) | (p[at + 12] << 8) | p[at + 13]
                    )
                    count += 1
                else:
                    chain += 1
                    if chain > _CHAIN:
                        return _FAILURE
                    known = at + 10
                    size = int(expand(buf, base, end, known, scratch))
                    if size < 0:
                        return _MISMATCH
                    budget -= size
                    again = 1
            at = last
        if count:
            return count
    w[_TARGET] = size
    if chain and not code:
        return _ALIAS
    referral = 0
    w[_TTL] = 0
    if at:
        referral = int(_read_no(buf, base, end, at, words))
    if code == 3:
        return _NO_NAME
    return _FAILURE if referral else _NO_ADDRESS


@micropython.viper
def mix_case(d: ptr8, length: int, bits: int):
    """Flips letters of an encoded name after random bits (15 of them), for it to come back so."""
    i = 0
    while i < length:
        n = d[i]
        i += 1
        while n:
            c = d[i]
            if 65 <= c <= 90:
                c += 32
            if 97 <= c <= 122 and bits & 1:
                c -= 32
            d[i] = c
            bits = (bits >> 1) | ((bits & 1) << 14)
            i += 1
            n -= 1
