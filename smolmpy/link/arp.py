"""ARP for IPv4 over Ethernet (RFC 826), wary of addresses claimed twice (RFC 5227)."""

import micropython
from micropython import const

from .ethernet import failed, transmit, turn_back
from .neighbor import learn

try:
    from .header_thumb import arp_answer
except (ImportError, SyntaxError, AttributeError):
    arp_answer = None

# Of docs/layout.md: 'make format' writes these.
_WORK = const(6)
_SRC = const(7)
_MAC_HI = const(12)
_MAC_LO = const(13)
_PEER_HI = const(14)
_PEER_LO = const(15)
_SENDING = const(16)
_ADDRESSES = const(24)
_DIRTY = const(30)
_WATCHED = const(117)
_WATCHER = const(118)
_ADDRESS_TABLE = const(128)
_ADDRESS_WORDS = const(2)

_C_TX_FRAMES = const(33)
_C_ARP_RX = const(44)
_C_ARP_MALFORMED = const(45)
_C_ARP_CONFLICT = const(46)
_C_ARP_REQUESTS_TX = const(47)
_C_ARP_REPLIES_TX = const(48)

# Offsets from the start of the frame.
_OPERATION = const(20)
_SENDER_MAC = const(22)
_SENDER = const(28)
_LENGTH = const(42)

_REQUEST = const(1)
_REPLY = const(2)


@micropython.viper
def ingress(iface, state, frame, n: int):
    """Answers what nearly every ARP packet is, a neighbor's question, and examines the others."""
    length = int(arp_answer(frame, state, n))
    if not length:
        examine(iface, state, frame, n)
        return
    st = ptr32(state)
    hand, view = iface._way_out
    st[_SENDING] = 1
    result = int(hand(view, length))
    st[_SENDING] = 0
    if result:
        failed(state, result)
    else:
        st[_C_TX_FRAMES] = st[_C_TX_FRAMES] + 1


@micropython.viper
def examine(iface, state, frame, n: int):
    """Learns from the ARP packet in the frame, and answers it in place."""
    st = ptr32(state)
    f = ptr8(frame)
    st[_C_ARP_RX] = st[_C_ARP_RX] + 1
    operation = (f[_OPERATION] << 8) | f[_OPERATION + 1]
    if (
        n < _LENGTH
        or f[14] != 0
        or f[15] != 1  # Ethernet
        or f[16] != 8
        or f[17] != 0  # IPv4
        or f[18] != 6
        or f[19] != 4
        or (operation != _REQUEST and operation != _REPLY)
        or f[_SENDER_MAC] & 1
    ):
        st[_C_ARP_MALFORMED] = st[_C_ARP_MALFORMED] + 1
        return
    hi = (f[22] << 8) | f[23]
    lo = (f[24] << 24) | (f[25] << 16) | (f[26] << 8) | f[27]
    sender = (f[28] << 24) | (f[29] << 16) | (f[30] << 8) | f[31]
    target = (f[38] << 24) | (f[39] << 16) | (f[40] << 8) | f[41]
    M = 0xFFFF
    M |= M << 16
    watched = st[_WATCHED]
    if watched and (sender == watched or (not sender and target == watched)):
        if hi != st[_MAC_HI] or lo != st[_MAC_LO]:
            # RFC 5227 section 2.1.1: it is taken, or somebody else is about to take it.
            slot = st[_WATCHER] >> 2
            st[_WATCHER] = st[_WATCHER] | (1 if sender else 2)
            st[st[_DIRTY] + (slot >> 4)] |= 1 << (slot & 15)
            st[_WORK] = 1
    ours = 0
    on_link = 0
    at = _ADDRESS_TABLE
    end = at + st[_ADDRESSES] * _ADDRESS_WORDS
    while at < end:
        addr = st[at]
        if addr == sender:
            if hi == st[_MAC_HI] and lo == st[_MAC_LO]:
                return  # our own, come back
            st[_C_ARP_CONFLICT] = st[_C_ARP_CONFLICT] + 1
            return
        if addr == target:
            ours = 1
        mask = st[at + 1]
        if not (addr ^ sender) & mask and (sender | mask != M or mask | 1 == M):
            on_link = 1  # and not the broadcast address
        at += _ADDRESS_WORDS
    # A probe has no sender address yet (RFC 5227 section 1.1): answered, not learned.
    if sender:
        if (hi | lo) == 0 or f[_SENDER] == 127 or f[_SENDER] >= 224 or not on_link:
            st[_C_ARP_MALFORMED] = st[_C_ARP_MALFORMED] + 1
            return
        st[_SRC] = sender
        st[_PEER_HI] = hi
        st[_PEER_LO] = lo
        how = 1 if ours and operation == _REQUEST else 0
        learn(state, _SRC, how | 2 if sender == target else how)
    if not ours or operation != _REQUEST:
        return
    f[21] = _REPLY
    f[32] = f[22]
    f[33] = f[23]
    f[34] = f[24]
    f[35] = f[25]
    f[36] = f[26]
    f[37] = f[27]
    f[38] = f[28]
    f[39] = f[29]
    f[40] = f[30]
    f[41] = f[31]
    hi = st[_MAC_HI]
    lo = st[_MAC_LO]
    f[22] = (hi >> 8) & 255
    f[23] = hi & 255
    f[24] = (lo >> 24) & 255
    f[25] = (lo >> 16) & 255
    f[26] = (lo >> 8) & 255
    f[27] = lo & 255
    f[28] = (target >> 24) & 255
    f[29] = (target >> 16) & 255
    f[30] = (target >> 8) & 255
    f[31] = target & 255
    st[_C_ARP_REPLIES_TX] = st[_C_ARP_REPLIES_TX] + 1
    turn_back(iface, state, frame, _LENGTH)


if arp_answer is None:
    ingress = examine


@micropython.viper
def request(iface, state, frame, sender_word: int, target_word: int) -> int:
    """Asks who has the address in state[target_word], in the name of state[sender_word].

    The same address twice announces it (RFC 5227 section 2.3). Returns 0 or a negative errno.
    """
    st = ptr32(state)
    f = ptr8(frame)
    sender = st[sender_word]
    target = st[target_word]
    f[12] = 8
    f[13] = 6
    f[14] = 0
    f[15] = 1
    f[16] = 8
    f[17] = 0
    f[18] = 6
    f[19] = 4
    f[20] = 0
    f[21] = _REQUEST
    hi = st[_MAC_HI]
    lo = st[_MAC_LO]
    f[22] = (hi >> 8) & 255
    f[23] = hi & 255
    f[24] = (lo >> 24) & 255
    f[25] = (lo >> 16) & 255
    f[26] = (lo >> 8) & 255
    f[27] = lo & 255
    f[28] = (sender >> 24) & 255
    f[29] = (sender >> 16) & 255
    f[30] = (sender >> 8) & 255
    f[31] = sender & 255
    i = 32
    while i < 38:
        f[i] = 0
        i += 1
    f[38] = (target >> 24) & 255
    f[39] = (target >> 16) & 255
    f[40] = (target >> 8) & 255
    f[41] = target & 255
    st[_PEER_HI] = 0xFFFF
    st[_PEER_LO] = (st[_PEER_HI] << 16) | 0xFFFF
    st[_C_ARP_REQUESTS_TX] = st[_C_ARP_REQUESTS_TX] + 1
    return int(transmit(iface, state, frame, _LENGTH))
