"""The neighbor cache: which Ethernet address an IPv4 address on the link has.

An entry is four words: the address; requests sent so far << 20 | its state << 16 | the first two
bytes of the Ethernet address; the other four bytes; a time. It lies anywhere in the table, and the
search begins where the low bits of the address point, so that one look is usual.

Entries last 60 seconds, but for static ones. One that is used in its last quarter is asked for
again while it still serves, so that a busy connection does not pause. An incomplete entry paces
the requests, one a second; after three the address is unreachable until the entry has aged as long
again, which keeps a dead host from costing a request for every packet (RFC 1122 section 2.3.2.1).
"""

import micropython
from micropython import const

from .state import wake_all

_NOW = const(4)
_PEER_HI = const(14)
_PEER_LO = const(15)
_NEIGHBORS = const(27)
_NEIGHBORS_LEN = const(28)
_NEIGHBOR_WORDS = const(4)

_N_HI = const(1)
_N_LO = const(2)
_N_TIME = const(3)

_INCOMPLETE = const(1)
_REACHABLE = const(2)
_STATIC = const(3)

_LIFETIME = const(60000)
_RENEW_AFTER = const(45000)
_RENEW_INTERVAL = const(5000)
_REQUEST_INTERVAL = const(1000)
_REQUESTS = const(3)


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
def allocate(st: ptr32, word: int) -> int:
    """Takes an entry for the address in state[word]: a free one, else the oldest.

    Returns where it begins, 0 if all are static. The caller fills in the rest.
    """
    addr = st[word + 0]
    base = st[_NEIGHBORS]
    mask = st[_NEIGHBORS_LEN] - 1
    best = 0
    most = -1
    i = 0
    while i <= mask:
        e = base + ((addr + i) & mask) * _NEIGHBOR_WORDS
        kind = (st[e + _N_HI] >> 16) & 3
        if not kind:  # free
            best = e
            break
        age = (st[_NOW] - st[e + _N_TIME]) & 0x3FFFFFFF
        if kind != _STATIC and age > most:
            best = e
            most = age
        i += 1
    if best:
        st[best] = addr
    return best


@micropython.viper
def learn(state, word: int, create: int):
    """Notes that the address in state[word] is at PEER_HI, PEER_LO.

    Without `create` only an entry that exists is renewed (RFC 826: the merge flag).
    """
    st = ptr32(state)
    e = int(find(state, word))
    if not e:
        if not create:
            return
        e = int(allocate(state, word))
        if not e:
            return
        st[e + _N_HI] = 0
    kind = (st[e + _N_HI] >> 16) & 3
    if kind == _STATIC:
        return
    st[e + _N_HI] = (_REACHABLE << 16) | st[_PEER_HI]
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
            if age >= _RENEW_AFTER and kind == _REACHABLE:
                if age >= _RENEW_AFTER + (hi >> 20) * _RENEW_INTERVAL:
                    st[e + _N_HI] = hi + (1 << 20)
                    return 1
            return 0
        if kind == _INCOMPLETE:
            if age < _REQUEST_INTERVAL:
                return 3
            count = hi >> 20
            if count >= _REQUESTS and age < _REQUESTS * _REQUEST_INTERVAL:
                return -1
            if count >= _REQUESTS:
                count = 0
            st[e + _N_HI] = ((count + 1) << 20) | (_INCOMPLETE << 16)
            st[e + _N_TIME] = st[_NOW]
            return 2
    else:
        e = int(allocate(state, word))
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
    e = find(st, word) or allocate(st, word)
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
