"""Membership in IPv4 groups: the host's side of IGMPv2 (RFC 2236), which newer and older routers
understand (RFC 3376 section 7.2.1; RFC 2236 section 4 for version 1).

A group is four words: its address; how many have joined it, 0 for a free entry; when a report is
due, 0 for never; and reports that follow << 1 | whether we were the last to report it.
"""

from array import array

import micropython
from micropython import const

from ..core.schedule import set_due, wake
from ..core.secret import draw
from ..errno import ENOMEM
from ..kernel import checksum
from ..link.ethernet import transmit
from ..wire.address import to_word

# Of docs/layout.md: 'make format' writes these.
_NOW = const(4)
_DST = const(8)
_PEER_HI = const(14)
_PEER_LO = const(15)
_ADDRESSES = const(24)
_HASH = const(123)
_ADDRESS_TABLE = const(128)

_EAGAIN = const(11)

_G_USERS = const(1)
_G_DUE = const(2)
_G_STATE = const(3)
_G_WORDS = const(4)

# Behind the groups: when a router of version 1 was last heard of, 0 for never; and counters.
_V1_HEARD = const(0)
_QUERIES = const(1)
_MALFORMED = const(2)
_REPORTS = const(3)
_LEAVES = const(4)

_QUERY = const(0x11)
_REPORT_1 = const(0x12)
_REPORT_2 = const(0x16)
_LEAVE = const(0x17)

_ALL_HOSTS = b"\xe0\0\0\1"

_V1_TIMEOUT = const(400000)  # RFC 2236 section 8.11
_UNSOLICITED = const(10000)  # section 8.10
_V1_RESPONSE = const(10000)  # section 4
_LONGEST = const(25500)
_NO_ADDRESS_RETRY = const(1000)


@micropython.viper
def ingress(iface, state, f: ptr8, l4, n: int):
    """Hears what routers ask and what other members report."""
    igmp = iface._igmp
    groups = igmp._groups
    g = ptr32(groups)
    st = ptr32(state)
    p = ptr8(l4)
    size = int(igmp._size)
    end = size * _G_WORDS
    # Section 2: they never come from beyond the link, and may be longer than we understand.
    if n < 8 or f[22] != 1 or int(checksum(l4, 0, n, 0)) != 0xFFFF:
        g[end + _MALFORMED] = (g[end + _MALFORMED] + 1) & 0x3FFFFFFF
        return
    kind = p[0]
    group = (p[4] << 24) | (p[5] << 16) | (p[6] << 8) | p[7]
    now = st[_NOW]
    at = 0
    if kind == _REPORT_1 or kind == _REPORT_2:
        while at < end:
            if g[at + _G_USERS] and g[at] == group and group == st[_DST]:
                if g[at + _G_DUE]:
                    # Section 3: one report is enough.
                    g[at + _G_DUE] = 0
                    g[at + _G_STATE] = 0
            at += _G_WORDS
        return
    if kind != _QUERY:
        return
    code = p[1]
    most = code * 100
    if n >= 12:
        if code >= 128:
            # RFC 3376 section 4.1.1: a mantissa and an exponent.
            most = (((code & 15) | 16) << (((code >> 4) & 7) + 3)) * 100
    elif n > 8:
        return
    elif not code:
        most = _V1_RESPONSE
        g[end + _V1_HEARD] = now if now else 0x3FFFFFFF
    if most > _LONGEST:
        most = _LONGEST
    g[end + _QUERIES] = (g[end + _QUERIES] + 1) & 0x3FFFFFFF
    while at < end:
        if g[at + _G_USERS] and (not group or g[at] == group):
            rest = (g[at + _G_DUE] - now) & 0x3FFFFFFF
            if not g[at + _G_DUE] or rest > most:
                draw(state)
                g[at + _G_DUE] = (now + 1 + (((st[_HASH] & 0x7FFF) * most) >> 15)) & 0x3FFFFFFF
                if not g[at + _G_DUE]:
                    g[at + _G_DUE] = 1
        at += _G_WORDS
    wake(state, int(igmp._slot))


@micropython.viper
def _send(iface, state, g: ptr32, at: int, kind: int) -> int:
    # A message about the group at `at`, to the group itself, or to all routers to leave it.
    st = ptr32(state)
    frame = iface._frame
    f = ptr8(frame)
    group = g[at]
    to = group
    if kind == _LEAVE:
        to = 224
        to = (to << 24) | 2
    src = st[_ADDRESS_TABLE]
    i = 14
    while i < 46:
        f[i] = 0
        i += 1
    f[12] = 8
    f[13] = 0
    f[14] = 0x46  # a header with an option
    f[15] = 0xC0  # internetwork control, as RFC 3376 section 4 has it
    f[17] = 32
    f[20] = 0x40
    f[22] = 1
    f[23] = 2
    i = 0
    while i < 4:
        shift = 24 - 8 * i
        f[26 + i] = (src >> shift) & 255
        f[30 + i] = (to >> shift) & 255
        f[42 + i] = (group >> shift) & 255
        i += 1
    f[34] = 0x94  # router alert (RFC 2113)
    f[35] = 4
    f[38] = kind
    s = int(checksum(frame, 38, 8, 0)) ^ 0xFFFF
    f[40] = s >> 8
    f[41] = s & 255
    s = int(checksum(frame, 14, 24, 0)) ^ 0xFFFF
    f[24] = s >> 8
    f[25] = s & 255
    st[_PEER_HI] = 0x0100
    oui = 0x5E
    st[_PEER_LO] = (oui << 24) | (to & 0x7FFFFF)
    return int(transmit(iface, state, frame, 46))


@micropython.viper
def _find(g: ptr32, size: int, a: ptr8) -> int:
    # Where the entry of a 4-byte address is; of a free entry if it has none; -1 without either.
    word = (a[0] << 24) | (a[1] << 16) | (a[2] << 8) | a[3]
    free = -1
    at = 0
    while at < size * _G_WORDS:
        if g[at + _G_USERS]:
            if g[at] == word:
                return at
        elif free < 0:
            free = at
        at += _G_WORDS
    return free


def _mac(addr):
    # RFC 1112 section 6.4
    return bytes((1, 0, 0x5E, addr[1] & 127, addr[2], addr[3]))


class IGMP:
    """The groups of an interface, `groups` at most; see Interface.join_group()."""

    def __init__(self, groups=8):
        self.iface = None
        self._st = None
        self._slot = -1
        self._size = groups
        self._groups = array("I", [0] * (groups * _G_WORDS + 5))

    def _attach(self, iface, slot):
        self.iface = iface
        self._st = iface._st
        self._slot = slot
        iface._igmp_ingress = ingress

    def _detach(self):
        self.iface._igmp_ingress = None
        self.iface._igmp = None
        self.iface = None

    def _unreachable(self, number):
        pass

    def join(self, addr):
        """Adds one to the members of a group, given as 4 bytes."""
        if not 224 <= addr[0] < 240:
            raise ValueError("addr is not a group")
        if bytes(addr) == _ALL_HOSTS:
            return  # every host is in it, and does not say so
        g = self._groups
        at = _find(g, self._size, addr)
        if at < 0:
            raise OSError(ENOMEM, "all %d groups of the interface are in use" % self._size)
        g[at + _G_USERS] += 1
        if g[at + _G_USERS] > 1:
            return
        g[at] = to_word(addr)
        # Section 3: at once and, in case that is lost, once more.
        g[at + _G_STATE] = 1 << 1
        g[at + _G_DUE] = self._st[_NOW] or 1
        self.iface.add_multicast(_mac(addr))
        self._at_once = True
        wake(self._st, self._slot)

    def leave(self, addr):
        """Takes one from the members of a group."""
        if bytes(addr) == _ALL_HOSTS:
            return
        g = self._groups
        at = _find(g, self._size, addr)
        if at < 0 or not g[at + _G_USERS] or g[at] != to_word(addr):
            raise ValueError("addr: not joined")
        g[at + _G_USERS] -= 1
        if g[at + _G_USERS]:
            return
        # Another group may have the same Ethernet address.
        mac = _mac(addr)
        for i in range(0, self._size * _G_WORDS, _G_WORDS):
            if g[i + _G_USERS] and (g[i] ^ to_word(addr)) & 0x7FFFFF == 0:
                break
        else:
            self.iface.remove_multicast(mac)
        if g[at + _G_STATE] & 1 and self._version() == 2 and self._st[_ADDRESSES]:
            if _send(self.iface, self._st, g, at, _LEAVE) == 0:
                self._count(_LEAVES)

    def report(self):
        """Tells all groups anew, where the link may lead to another router."""
        g = self._groups
        for at in range(0, self._size * _G_WORDS, _G_WORDS):
            if g[at + _G_USERS]:
                g[at + _G_STATE] = 1 << 1
                g[at + _G_DUE] = self._st[_NOW] or 1
        self._at_once = True
        wake(self._st, self._slot)

    def groups(self):
        """How many groups have members."""
        return sum(self._groups[i * _G_WORDS + _G_USERS] > 0 for i in range(self._size))

    def stats(self):
        """A dict of counts: queries heard, malformed messages, reports and leaves sent."""
        g = self._groups
        end = self._size * _G_WORDS
        return {
            "queries": g[end + _QUERIES],
            "malformed": g[end + _MALFORMED],
            "reports": g[end + _REPORTS],
            "leaves": g[end + _LEAVES],
        }

    def _count(self, what):
        at = self._size * _G_WORDS + what
        self._groups[at] = (self._groups[at] + 1) & 0x3FFFFFFF

    def _version(self):
        at = self._size * _G_WORDS + _V1_HEARD
        heard = self._groups[at]
        if heard and (self._st[_NOW] - heard) & 0x3FFFFFFF < _V1_TIMEOUT:
            return 1
        self._groups[at] = 0
        return 2

    _at_once = False

    def _egress(self):
        st = self._st
        g = self._groups
        now = st[_NOW]
        if not st[_ADDRESSES]:
            set_due(st, self._slot, _NO_ADDRESS_RETRY)
            return 0
        at_once = self._at_once
        self._at_once = False
        kind = _REPORT_2 if self._version() == 2 else _REPORT_1
        sent = 0
        next_ms = -1
        for at in range(0, self._size * _G_WORDS, _G_WORDS):
            due = g[at + _G_DUE]
            if not due or not g[at + _G_USERS]:
                continue
            left = (due - now) & 0x3FFFFFFF
            if left == 0 or left >> 29 or (at_once and g[at + _G_STATE] == 1 << 1):
                if _send(self.iface, st, g, at, kind) == -_EAGAIN:
                    self._at_once = at_once
                    wake(st, self._slot)
                    return sent
                sent += 1
                self._count(_REPORTS)
                more = g[at + _G_STATE] >> 1
                g[at + _G_STATE] = 1
                g[at + _G_DUE] = 0
                if not more:
                    continue
                draw(st)
                left = 1000 + _below(st, _UNSOLICITED - 1000)
                g[at + _G_DUE] = (now + left) & 0x3FFFFFFF or 1
            if next_ms < 0 or left < next_ms:
                next_ms = left
        set_due(st, self._slot, next_ms)
        return sent


@micropython.viper
def _below(state, n: int) -> int:
    # A random number below n, from HASH.
    return ((ptr32(state)[_HASH] & 0x7FFF) * n) >> 15
