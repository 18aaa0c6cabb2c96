"""DNS messages (RFC 1035 section 4) where they lie: in a buffer, from `base` to `end`.

Names may go on elsewhere in the message. A pointer has to lead backwards, so every walk ends.
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

    Returns its length; -1 if it does not end, is too long, or points forward.
    """
    length = 0
    least = at
    while at < end:
        n = p[at]
        if n >= 0xC0:
            if at + 2 > end:
                return -1
            at = base + (((n & 63) << 8) | p[at + 1])
            if at >= least:
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
def is_name(p: ptr8, base: int, end: int, at: int, o: ptr8) -> int:
    """1 if the name at `at` is `name`, given as plain labels in small letters; 0 if not."""
    length = 0
    least = at
    while at < end:
        n = p[at]
        if n >= 0xC0:
            if at + 2 > end:
                return 0
            at = base + (((n & 63) << 8) | p[at + 1])
            if at >= least:
                return 0
            least = at
            continue
        if n > 63 or at + 1 + n > end or o[length] != n:
            return 0
        length += 1
        at += 1
        if not n:
            return 1
        while n:
            c = p[at]
            if 65 <= c <= 90:
                c += 32
            if o[length] != c:
                return 0
            length += 1
            at += 1
            n -= 1
    return 0


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
def _collect(buf, base: int, end: int, at: int, w: ptr32, name) -> int:
    # Puts the addresses that the answers from `at` up have for a name into words. Returns how
    # many; 0 - where its other name lies; 0 if there is nothing. words[TARGET] is then where the
    # walk ended, 0 if a record was cut off.
    p = ptr8(buf)
    n = (p[base + 6] << 8) | p[base + 7]
    w[_TARGET] = 0
    count = 0
    alias = 0
    while n:
        n -= 1
        owner = at
        at = int(skip_name(buf, at, end))
        if at < 0 or at + 10 > end:
            return count if count else 0 - alias
        size = (p[at + 8] << 8) | p[at + 9]
        if at + 10 + size > end:
            return count if count else 0 - alias
        kind = (p[at] << 8) | p[at + 1]
        if not p[at + 2] and p[at + 3] == _IN and ((kind == _A and size == 4) or kind == _CNAME):
            if int(is_name(buf, base, end, owner, name)):
                ttl = (p[at + 4] << 24) | (p[at + 5] << 16) | (p[at + 6] << 8) | p[at + 7]
                if p[at + 4] & 0x80:
                    ttl = 0  # RFC 2181 section 8
                if ttl < w[_TTL]:
                    w[_TTL] = ttl
                if kind == _CNAME:
                    alias = at + 10
                elif count < _MOST:
                    w[_ADDRESSES + count] = (
                        (p[at + 10] << 24) | (p[at + 11] << 16) | (p[at + 12] << 8) | p[at + 13]
                    )
                    count += 1
        at += 10 + size
    w[_TARGET] = at
    return count if count else 0 - alias


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
    chain = 0
    size = 0
    at = base + _HEADER
    while True:
        # `at` is where the name lies that is looked for now.
        size = int(expand(buf, base, end, at, scratch))
        if size < 0:
            return _MISMATCH
        found = int(_collect(buf, base, end, base + _HEADER + length + 4, words, scratch))
        if not w[_TARGET] and not partial:
            return _MISMATCH
        if found > 0:
            return found
        if not found:
            break
        chain += 1
        if chain > _CHAIN:
            return _FAILURE
        at = 0 - found
    authority = w[_TARGET]
    w[_TARGET] = size
    if chain and not code:
        return _ALIAS
    referral = 0
    w[_TTL] = 0
    if authority:
        referral = int(_read_no(buf, base, end, authority, words))
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
