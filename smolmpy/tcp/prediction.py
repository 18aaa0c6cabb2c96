"""TCP's usual case: header prediction, after Van Jacobson.

On an established connection nearly every segment that carries text is the next one in order. It is
put into the receive ring at once; all others are for input.py, which can do the same and more.
prediction_thumb.py is another edition, which deals with acknowledgments and output as well.

The control block's layout is described in tcp.py.
"""

import micropython
from micropython import const

from ..kernel import checksum, copy_sum
from .input import accept, acknowledge, examine, locate

# Of docs/layout.md: 'make format' writes these.
_KERNEL_SUM = const(3)
_PSEUDO = const(10)
_GROUP = const(11)
_LAST_PORTS = const(106)
_LAST_SLOT = const(109)
_CLOCK = const(110)
_TS_SEEN = const(111)
_SACK_AT = const(114)

_T_STATE = const(4)
_T_FLAGS = const(5)
_T_SND_UNA = const(10)
_T_SND_WND = const(13)
_T_SND_WL1 = const(14)
_T_SND_WL2 = const(15)
_T_RCV_NXT = const(18)
_T_RCV_ADV = const(19)
_T_RX_HEAD = const(22)
_T_RX_LEN = const(23)
_T_RX_SIZE = const(24)
_T_TX_LEN = const(26)
_T_TX_SIZE = const(27)
_T_SHIFTS = const(45)
_T_HEARD = const(48)
_T_OPTIONS = const(61)
_T_GAPS_LEN = const(69)

_ESTABLISHED = const(4)

_F_FIN_AHEAD = const(64)
_F_TIMESTAMPS = const(4096)
_F_ECN = const(8192)

_O_HANDLER = const(64)

_PSH = const(8)
_ACK = const(16)
_OFFSET = const(12)
_BITS = const(13)

_C_TCP_RX = const(75)
_C_TCP_CHECKSUM = const(78)


@micropython.viper
def ingress(iface, state, frame, l4, n: int):
    """Handles the TCP segment of n bytes in the frame."""
    st = ptr32(state)
    p = ptr8(l4)
    size = n - 20
    if (
        size > 0
        and p[_OFFSET] == 0x50
        and p[_BITS] & (0xFF ^ _PSH) == _ACK
        and not st[_GROUP]
        and int(locate(iface, state, l4))
    ):
        slot = st[_LAST_SLOT] & 0xFFFF
        parts = iface.sockets[slot]._parts
        _iface, _state, _slot, tcb, _tx, _frame, _l4, rx, _tools = parts
        t = ptr32(tcb)
        ports = st[_LAST_PORTS]
        seq = (p[4] << 24) | (p[5] << 16) | (p[6] << 8) | p[7]
        ring = t[_T_RX_SIZE]
        at = t[_T_RX_HEAD] + t[_T_RX_LEN]
        if at >= ring:
            at -= ring
        if (
            seq == t[_T_RCV_NXT]
            and t[_T_STATE] == _ESTABLISHED
            and not t[_T_GAPS_LEN]
            and not t[_T_FLAGS] & (_F_FIN_AHEAD | _F_TIMESTAMPS | _F_ECN)
            and not ((seq - t[_T_SND_WL1]) >> 31) & 1
            and size <= (t[_T_RCV_ADV] - seq) & 0x3FFFFFFF
            and at + size <= ring
        ):
            # What is expected goes straight to the receive ring, summed on the way. Nothing is
            # spoilt when the sum is wrong: what lies beyond RCV_NXT is nobody's.
            st[_C_TCP_RX] = st[_C_TCP_RX] + 1
            ack = (p[8] << 24) | (p[9] << 16) | (p[10] << 8) | p[11]
            window = (p[14] << 8) | p[15]
            t[0] = at
            t[1] = 20
            t[2] = size
            t[_KERNEL_SUM] = (
                st[_PSEUDO]
                + ((ports >> 16) & 0xFFFF)
                + (ports & 0xFFFF)
                + ((seq >> 16) & 0xFFFF)
                + (seq & 0xFFFF)
                + ((ack >> 16) & 0xFFFF)
                + (ack & 0xFFFF)
                + ((p[12] << 8) | p[13])
                + window
                + ((p[16] << 8) | p[17])
                + ((p[18] << 8) | p[19])
            )
            here = 0
            if (
                t[_T_OPTIONS] & _O_HANDLER
                and not t[_T_RX_LEN]
                and size <= t[_T_TX_SIZE] - t[_T_TX_LEN]
            ):
                # Nor is it copied where a handler reads it where it lies.
                here = size
                s = int(checksum(l4, 20, size, t[_KERNEL_SUM]))
            else:
                s = int(copy_sum(rx, l4, tcb))
            if s != 0xFFFF:
                st[_C_TCP_CHECKSUM] = st[_C_TCP_CHECKSUM] + 1
                return
            offered = window << (t[_T_SHIFTS] & 0xFF)
            if ack == t[_T_SND_UNA] and offered == t[_T_SND_WND] and offered:
                t[_T_HEARD] = st[_CLOCK]
                t[_T_SND_WL1] = seq
                t[_T_SND_WL2] = ack
            else:
                st[_SACK_AT] = 0
                st[_TS_SEEN] = 0
                if not int(acknowledge(iface, state, tcb, slot, l4, size)):
                    return
            accept(state, tcb, slot, size)
            if t[_T_OPTIONS] & _O_HANDLER:
                t[_T_RX_LEN] = t[_T_RX_LEN] - here
                iface.sockets[slot]._hand_over(here)
            return
    examine(iface, state, frame, l4, n)
