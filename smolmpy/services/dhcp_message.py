"""DHCP messages (RFC 2131 section 2, options of RFC 2132) as they lie behind a UDP header.

What a message says is an array('I'):

    0   ADDR        the address that the server gives
    1   MASK        of its network; that of its class where the server does not say
    2   ROUTER      the first that can be one, 0 for none
    3   SERVER      who gives it, 0 if it does not say
    4   LEASE       seconds; FOREVER (2^30 - 1) for more than that
    5   T1, T2      seconds, 0 where the server leaves them to us
    7   DNS         the first three addresses that can be another host's, 0 for none
    10  NTP         likewise
"""

import micropython
from micropython import const

_ADDR = const(0)
_MASK = const(1)
_ROUTER = const(2)
_SERVER = const(3)
_LEASE = const(4)
_DNS = const(7)
_NTP = const(10)
_LISTED = const(3)
WORDS = 13

_NAK = const(6)

# Offsets from the start of the UDP header.
_XID = const(12)
_YIADDR = const(24)
_CHADDR = const(36)
_SNAME = const(52)
_FILE = const(116)
_COOKIE = const(244)
_OPTIONS = const(248)

# Of docs/layout.md: 'make format' writes these.
_MAC_HI = const(12)
_MAC_LO = const(13)


@micropython.viper
def is_for_us(st: ptr32, p: ptr8, n: int, x: ptr8) -> int:
    """1 if this is an answer to the request with these 4 bytes as xid, from our hardware."""
    if n < _OPTIONS or p[8] != 2 or p[9] != 1 or p[10] != 6:
        return 0
    i = 0
    while i < 4:
        if p[_XID + i] != x[i]:
            return 0
        i += 1
    lo = (p[38] << 24) | (p[39] << 16) | (p[40] << 8) | p[41]
    return 1 if lo == st[_MAC_LO] and ((p[_CHADDR] << 8) | p[37]) == st[_MAC_HI] else 0


@micropython.viper
def _host(w: ptr32, at: int) -> int:
    # Whether words[at] can be another host's address: 2 on the link, 1 beyond it, 0 not at all.
    word = w[at + 0]
    first = (word >> 24) & 255
    if not first or first == 127 or first >= 224 or word == w[_ADDR]:
        return 0
    mask = w[_MASK]
    if (word ^ w[_ADDR]) & mask:
        return 1
    M = 0xFFFF
    M |= M << 16
    rest = (mask ^ M) & M
    host = word & rest
    # A network of two has neither an address of its own nor a broadcast address (RFC 3021).
    return 0 if rest & (rest - 1) and (not host or host == rest) else 2


@micropython.viper
def _list(p: ptr8, at: int, size: int, words, to: int, room: int):
    # Appends addresses to words[to:], of which `room` are set aside for them: those that another
    # host can have, and of routers those on the link.
    w = ptr32(words)
    end = at + size
    last = to + room
    while at < end:
        while to < last and w[to]:
            to += 1
        if to == last:
            return
        w[to] = (p[at] << 24) | (p[at + 1] << 16) | (p[at + 2] << 8) | p[at + 3]
        at += 4
        if int(_host(words, to)) < (2 if to == _ROUTER else 1):
            w[to] = 0


@micropython.viper
def _scan(buf, n: int, words, lists: int) -> int:
    # Reads the options that say one thing, or those that list addresses; returns the type.
    w = ptr32(words)
    p = ptr8(buf)
    kind = 0
    overload = 0
    i = _OPTIONS
    end = n
    part = 0
    while part < 3:
        while i < end:
            code = p[i]
            i += 1
            if code == 255:
                break
            if code == 0:
                continue
            if i == end or i + 1 + p[i] > end:
                return -1
            size = p[i]
            i += 1
            value = 0
            if size >= 4:
                value = (p[i] << 24) | (p[i + 1] << 16) | (p[i + 2] << 8) | p[i + 3]
            if code == 53 or code == 52:
                if size != 1:
                    return -1
                if code == 53:
                    kind = p[i]
                elif part == 0:
                    overload = p[i]
            elif code == 1 or code == 51 or code == 54 or code == 58 or code == 59:
                if size != 4:
                    return -1
                if lists:
                    pass
                elif code > 54 or code == 51:
                    if (value >> 30) & 3:
                        value = 0x3FFFFFFF
                    w[_LEASE if code == 51 else code - 53] = value
                else:
                    w[_MASK if code == 1 else _SERVER] = value
            elif code == 3 or code == 6 or code == 42:
                if size < 4 or size & 3:
                    return -1
                if lists:
                    if code == 3:
                        _list(buf, i, size, words, _ROUTER, 1)
                    else:
                        _list(buf, i, size, words, _DNS if code == 6 else _NTP, _LISTED)
            i += size
        # RFC 2131 section 4.1: option 52 says that the options go on in `file` and `sname`.
        part += 1
        i = _FILE
        end = _COOKIE
        if part == 1 and not overload & 1:
            part = 2
        if part == 2:
            if not overload & 2:
                break
            i = _SNAME
            end = _FILE
    return kind


@micropython.viper
def parse(buf, n: int, words) -> int:
    """Reads a server's message of n bytes, UDP header included; returns its type.

    Returns -1 for one that contradicts itself or says what can not be. Of the addresses that it
    lists those are left out that no other host can have, and routers that are not on the link.
    """
    p = ptr8(buf)
    w = ptr32(words)
    i = 0
    while i < 13:
        w[i] = 0
        i += 1
    if p[_COOKIE] != 99 or p[245] != 130 or p[246] != 83 or p[247] != 99:
        return -1
    w[_ADDR] = (p[24] << 24) | (p[25] << 16) | (p[26] << 8) | p[27]
    kind = int(_scan(buf, n, words, 0))
    if kind < 0 or kind == _NAK:
        return kind
    first = p[_YIADDR]
    if not first or first == 127 or first >= 224:
        return -1
    M = 0xFFFF
    M |= M << 16
    mask = w[_MASK]
    if not mask:
        host = 24 if first < 128 else 16 if first < 192 else 8
        mask = (M << host) & M
        w[_MASK] = mask
    rest = (mask ^ M) & M
    # The mask is ones, then zeros; the address is neither the network's nor its broadcast's.
    if rest & (rest + 1):
        return -1
    host = w[_ADDR] & rest
    if rest & (rest - 1) and (not host or host == rest):
        return -1
    if w[_SERVER] and not int(_host(words, _SERVER)):
        return -1
    # What an address in a list is worth shows once the mask is known.
    return -1 if int(_scan(buf, n, words, 1)) < 0 else kind
