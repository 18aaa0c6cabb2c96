"""TCP options: MSS (RFC 9293 section 3.2), window scale, timestamps (RFC 7323), SACK (RFC 2018).

The control block's layout is described in tcp.py. The clock of the timestamps is CLOCK of the
interface plus ISS of the connection, so that it says nothing about how long the host has been up.
"""

import micropython
from micropython import const

# Of docs/layout.md: 'make format' writes these.
_CLOCK = const(110)
_TS_SEEN = const(111)
_TS_VALUE = const(112)
_TS_ECHO = const(113)
_SACK_AT = const(114)

_T_FLAGS = const(5)
_T_ISS = const(9)
_T_MSS = const(21)
_T_SHIFTS = const(45)
_T_TS_RECENT = const(46)
_T_LAST_PIECE = const(50)
_T_DSACK_FROM = const(56)
_T_DSACK_LEN = const(57)
_T_OPTIONS = const(61)
_T_GAPS = const(68)
_T_GAPS_LEN = const(69)

_F_SACK = const(2048)
_F_TIMESTAMPS = const(4096)
_F_SCALE = const(65536)

_O_SACK = const(1)
_O_TIMESTAMPS = const(2)

_NOP = const(1)
_MSS = const(2)
_SCALE = const(3)
_SACK_PERMITTED = const(4)
_SACK = const(5)
_TIMESTAMPS = const(8)

_MIN_MSS = const(64)


@micropython.viper
def read(st: ptr32, t: ptr32, p: ptr8, header: int, syn: int) -> int:
    """Reads the options of a segment whose header has `header` bytes. Broken ones end the list.

    Of a SYN, what is offered and wanted is agreed upon in the control block. Of others, TS_VALUE
    and TS_ECHO of the interface's state and where the SACK option lies, SACK_AT, are filled in.
    """
    st[_TS_SEEN] = 0
    st[_SACK_AT] = 0
    i = 20
    while i < header:
        kind = p[i]
        if not kind:
            return 0
        if kind == _NOP:
            i += 1
            continue
        size = p[i + 1]  # of a lone last byte, what is behind it: too long in any case
        if size < 2 or i + size > header:
            return 0
        if kind == _TIMESTAMPS and size == 10:
            st[_TS_SEEN] = 1
            st[_TS_VALUE] = (p[i + 2] << 24) | (p[i + 3] << 16) | (p[i + 4] << 8) | p[i + 5]
            st[_TS_ECHO] = (p[i + 6] << 24) | (p[i + 7] << 16) | (p[i + 8] << 8) | p[i + 9]
            if syn and t[_T_OPTIONS] & _O_TIMESTAMPS:
                t[_T_FLAGS] = t[_T_FLAGS] | _F_TIMESTAMPS
                t[_T_TS_RECENT] = st[_TS_VALUE]
        elif kind == _SACK and size >= 10:
            st[_SACK_AT] = i
        elif syn:
            if kind == _MSS and size == 4:
                mss = (p[i + 2] << 8) | p[i + 3]
                # A very small one is an attack on the packet rate.
                t[_T_MSS] = mss if mss > _MIN_MSS else _MIN_MSS
            elif kind == _SCALE and size == 3:
                shift = p[i + 2]
                if shift > 14:
                    shift = 14
                t[_T_FLAGS] = t[_T_FLAGS] | _F_SCALE
                t[_T_SHIFTS] = (t[_T_SHIFTS] & 0xFF00) | shift
            elif kind == _SACK_PERMITTED and size == 2 and t[_T_OPTIONS] & _O_SACK:
                t[_T_FLAGS] = t[_T_FLAGS] | _F_SACK
        i += size
    return 0


@micropython.viper
def offer(state, tcb, l4, mss: int, answer: int) -> int:
    """Writes the options of a SYN, or of its answer: those only that the peer has offered.

    Returns the length of the header.
    """
    t = ptr32(tcb)
    p = ptr8(l4)
    flags = t[_T_FLAGS]
    p[20] = _MSS
    p[21] = 4
    p[22] = mss >> 8
    p[23] = mss & 255
    i = 24
    if not answer or flags & _F_SCALE:
        p[i] = _NOP
        p[i + 1] = _SCALE
        p[i + 2] = 3
        p[i + 3] = t[_T_SHIFTS] >> 8
        i += 4
    sack = 1 if flags & _F_SACK or (not answer and t[_T_OPTIONS] & _O_SACK) else 0
    if sack:
        p[i] = _NOP
        p[i + 1] = _NOP
        p[i + 2] = _SACK_PERMITTED
        p[i + 3] = 2
        i += 4
    if flags & _F_TIMESTAMPS or (not answer and t[_T_OPTIONS] & _O_TIMESTAMPS):
        i += int(_stamp(state, tcb, l4, i))
    return i


@micropython.viper
def size(t: ptr32) -> int:
    """How long the options are that a segment carries now."""
    flags = t[_T_FLAGS]
    n = 12 if flags & _F_TIMESTAMPS else 0
    count = t[_T_GAPS_LEN]
    if t[_T_DSACK_LEN]:
        count += 1
    if flags & _F_SACK and count:
        most = 3 if n else 4
        n += 4 + 8 * (count if count < most else most)
    return n


@micropython.viper
def write(state, tcb, l4) -> int:
    """Writes the options of a segment that is no SYN; returns the length of the header."""
    t = ptr32(tcb)
    p = ptr8(l4)
    i = 20
    flags = t[_T_FLAGS]
    if flags & _F_TIMESTAMPS:
        i += int(_stamp(state, tcb, l4, i))
    n = t[_T_GAPS_LEN]
    if not flags & _F_SACK or n + t[_T_DSACK_LEN] == 0:
        return i
    # RFC 2018 section 4: first the piece that has grown last, then others.
    most = 3 if i > 20 else 4
    last = 0
    k = 0
    while k < n:
        at = _T_GAPS + 2 + 2 * k
        if not ((t[_T_LAST_PIECE] - t[at]) >> 31) & 1:
            last = k
        k += 1
    p[i] = _NOP
    p[i + 1] = _NOP
    p[i + 2] = _SACK
    start = i
    i += 4
    if t[_T_DSACK_LEN]:
        M = 0xFFFF
        M |= M << 16
        # What came twice stands before all (RFC 2883 section 4).
        t[0] = t[_T_DSACK_FROM]
        t[1] = (t[_T_DSACK_FROM] + t[_T_DSACK_LEN]) & M
        i = int(put(tcb, 0, l4, i))
        most -= 1
    k = 0
    while k < n and k < most:
        at = last - k
        if at < 0:
            at += n
        i = int(put(tcb, _T_GAPS + 2 + 2 * at, l4, i))
        k += 1
    p[start + 3] = i - start - 2
    return i


@micropython.viper
def put(t: ptr32, at: int, p: ptr8, i: int) -> int:
    """Writes two words, t[at] and t[at + 1], to where p[i] is; returns where they end."""
    end = i + 8
    while i < end:
        word = t[at + 0]
        p[i] = (word >> 24) & 255
        p[i + 1] = (word >> 16) & 255
        p[i + 2] = (word >> 8) & 255
        p[i + 3] = word & 255
        at += 1
        i += 4
    return i


@micropython.viper
def _stamp(state, t: ptr32, p: ptr8, i: int) -> int:
    value = ptr32(state)[_CLOCK] + t[_T_ISS]
    echo = t[_T_TS_RECENT]
    p[i] = _NOP
    p[i + 1] = _NOP
    p[i + 2] = _TIMESTAMPS
    p[i + 3] = 10
    p[i + 4] = (value >> 24) & 255
    p[i + 5] = (value >> 16) & 255
    p[i + 6] = (value >> 8) & 255
    p[i + 7] = value & 255
    p[i + 8] = (echo >> 24) & 255
    p[i + 9] = (echo >> 16) & 255
    p[i + 10] = (echo >> 8) & 255
    p[i + 11] = echo & 255
    return 12
