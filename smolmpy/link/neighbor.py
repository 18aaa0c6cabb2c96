"""The neighbor cache: which Ethernet address an IPv4 address on the link has.

An entry is four words: the address; when it was last sent to, in units of 1024 ms, << 24 |
requests sent so far << 20 | its state << 16 | the first two bytes of the Ethernet address; the
other four bytes; a time. It lies anywhere in the table, and the search begins where the low bits
of the address point, so that one look is usual.

Entries last 60 seconds, but for static ones. One that is used in its last quarter is asked for
again while it still serves, so that a busy connection does not pause. An incomplete entry paces
the requests, one a second; after three the address is unreachable until the entry has aged as long
again, which keeps a dead host from costing a request for every packet (RFC 1122 section 2.3.2.1).

Anybody can ask for us in the name of hosts that there are not. So what others ask takes no entry
that has been sent to lately, nor one that an answer is awaited for: it is answered and forgotten.
And who has just been heard of has not moved at once, unless he says so himself (gratuitous ARP).
"""

import micropython
from micropython import const

from ..core.state import wake_all

# Of docs/layout.md: 'make format' writes these.
_NOW = const(4)
_PEER_HI = const(14)
_PEER_LO = const(15)
_NEIGHBORS = const(27)
_NEIGHBORS_LEN = const(28)
_NEIGHBOR_WORDS = const(4)

_N_HI = const(1)
_N_LO = const(2)
_N_TIME = const(3)

_RENEW_AFTER = const(45000)

_INCOMPLETE = const(1)
_REACHABLE = const(2)
_STATIC = const(3)

_LIFETIME = const(60000)
_RENEW_INTERVAL = const(5000)
_REQUEST_INTERVAL = const(1000)
_REQUESTS = const(3)
_LATELY = const(32)  # units of 1024 ms
_NEVER = const(64)
_LOCK_TIME = const(1000)
_SPARED = const(1 << 16)  # more than the time of one that is spared

# How somebody was heard of.
_CREATE = const(1)  # he has asked for us
_ANNOUNCED = const(2)  # he has told everybody


@micropython.viper
def find(st: ptr32, word: int) -> int:
    """Where the entry of the address in state[word] begins, 0 if it has none."""
    addr = st[word + 0]
    base = st[_NEIGHBORS]
    mask = st[_NEIGHBORS_LEN] - 1
    i = 0
    while i <= mask:
        e = base + ((addr + i) & mask) * _NEIGHBOR_WORDS
        if st[e] == addr and st[e + _N_HI] >> 16:
            return e
        i += 1
    return 0


@micropython.viper
def allocate(st: ptr32, word: int, needed: int) -> int:
    """Takes an entry for the address in state[word]: a free one, else the oldest that is not used.

    One that is used or awaited is taken only where we need it ourselves, and nothing else is left.
    Returns where it begins, 0 if there is none. The caller fills in the rest.
    """
    addr = st[word + 0]
    base = st[_NEIGHBORS]
    mask = st[_NEIGHBORS_LEN] - 1
    best = 0
    most = -1
    i = 0
    while i <= mask:
        e = base + ((addr + i) & mask) * _NEIGHBOR_WORDS
        hi = st[e + _N_HI]
        kind = (hi >> 16) & 3
        if not kind:  # free
            best = e
            break
        if kind != _STATIC:
            age = (st[_NOW] - st[e + _N_TIME]) & 0x3FFFFFFF
            idle = ((st[_NOW] >> 10) - (hi >> 24)) & 0xFF
            if kind == _INCOMPLETE:
                if age >= _REQUESTS * _REQUEST_INTERVAL:
                    age += _SPARED
            elif age >= _LIFETIME or idle >= _LATELY:
                age += _SPARED
            else:
                age = idle << 10
            if age > most and (needed or age >= _SPARED):
                best = e
                most = age
        i += 1
    if best:
        st[best] = addr
    return best


@micropython.viper
def learn(state, word: int, how: int):
    """Notes that the address in state[word] is at PEER_HI, PEER_LO.

    how is 1 where it has asked for us, 2 where it has told everybody, 3 for both, else 0. If it
    has not asked, only an entry that exists is renewed (RFC 826: the merge flag).
    """
    st = ptr32(state)
    hi = st[_PEER_HI]
    used = (st[_NOW] >> 10) & 0xFF
    kind = 0
    e = int(find(state, word))
    if e:
        old = st[e + _N_HI]
        kind = (old >> 16) & 3
        if kind == _STATIC:
            return
        if kind == _REACHABLE:
            used = old >> 24
            if (old & 0xFFFF != hi or st[e + _N_LO] != st[_PEER_LO]) and not how & _ANNOUNCED:
                if (st[_NOW] - st[e + _N_TIME]) & 0x3FFFFFFF < _LOCK_TIME:
                    return
    else:
        if how & _CREATE:
            e = int(allocate(state, word, 0))
        if not e:
            return
        used -= _NEVER
    st[e + _N_HI] = ((used & 0xFF) << 24) | (_REACHABLE << 16) | hi
    st[e + _N_LO] = st[_PEER_LO]
    st[e + _N_TIME] = st[_NOW]
    if kind == _INCOMPLETE:
        wake_all(state)  # whoever held a packet back for this address tries again


@micropython.viper
def resolve(state, word: int) -> int:
    """The state of the address in state[word], with PEER_HI and PEER_LO filled in.

    Returns 0 when it is known; 1 when it is known, but should be asked for again; 2 when it is
    not known, and should be asked for; 3 while an answer is awaited; -1 when no answer came.
    """
    st = ptr32(state)
    e = int(find(state, word))
    if e:
        hi = st[e + _N_HI]
        kind = (hi >> 16) & 3
        age = (st[_NOW] - st[e + _N_TIME]) & 0x3FFFFFFF
        if kind == _STATIC or (kind == _REACHABLE and age < _LIFETIME):
            st[_PEER_HI] = hi & 0xFFFF
            st[_PEER_LO] = st[e + _N_LO]
            ask = 0
            if kind == _REACHABLE:
                if age >= _RENEW_AFTER + ((hi >> 20) & 15) * _RENEW_INTERVAL:
                    hi += 1 << 20
                    ask = 1
                st[e + _N_HI] = (((st[_NOW] >> 10) & 0xFF) << 24) | (hi & 0xFFFFFF)
            return ask
        if kind == _INCOMPLETE:
            if age < _REQUEST_INTERVAL:
                return 3
            count = (hi >> 20) & 15
            if count >= _REQUESTS and age < _REQUESTS * _REQUEST_INTERVAL:
                return -1
            if count >= _REQUESTS:
                count = 0
            st[e + _N_HI] = ((count + 1) << 20) | (_INCOMPLETE << 16)
            st[e + _N_TIME] = st[_NOW]
            return 2
    else:
        e = int(allocate(state, word, 1))
        if not e:
            return -1
    st[e + _N_HI] = (1 << 20) | (_INCOMPLETE << 16)
    st[e + _N_TIME] = st[_NOW]
    return 2


def table(st):
    """A list of (4-byte address as a number, 6 bytes, kind) of the entries in use."""
    found = []
    base = st[_NEIGHBORS]
    for i in range(st[_NEIGHBORS_LEN]):
        e = base + i * _NEIGHBOR_WORDS
        hi = st[e + _N_HI]
        kind = (hi >> 16) & 3
        age = (st[_NOW] - st[e + _N_TIME]) & 0x3FFFFFFF
        if kind == _STATIC or kind == _INCOMPLETE or (kind == _REACHABLE and age < _LIFETIME):
            lo = st[e + _N_LO]
            mac = bytes(
                ((hi >> 8) & 255, hi & 255, lo >> 24, (lo >> 16) & 255, (lo >> 8) & 255, lo & 255)
            )
            found.append((st[e], mac, "incomplete reachable static".split()[kind - 1]))
    return found


def add_static(st, word, mac):
    """Makes the entry of st[word] permanent; False if the table is full of such."""
    e = find(st, word) or allocate(st, word, 1)
    if e:
        st[e + _N_HI] = (_STATIC << 16) | (mac[0] << 8) | mac[1]
        st[e + _N_LO] = (mac[2] << 24) | (mac[3] << 16) | (mac[4] << 8) | mac[5]
    return e != 0


def remove(st, word):
    """Forgets the entry of st[word]; False if there is none."""
    e = find(st, word)
    if e:
        st[e + _N_HI] = 0
    return e != 0
