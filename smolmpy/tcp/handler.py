"""A stream handed to a function of the program as it comes: `TCPSocket.handler`."""

import micropython
from micropython import const

# Of docs/layout.md: 'make format' writes these.
_WORK = const(6)
_DIRTY = const(30)

_T_STATE = const(4)
_T_FLAGS = const(5)
_T_SND_UNA = const(10)
_T_SND_MAX = const(12)
_T_RCV_NXT = const(18)
_T_RCV_ADV = const(19)
_T_MSS = const(21)
_T_RX_LEN = const(23)
_T_RX_SIZE = const(24)
_T_TX_LEN = const(26)
_T_TX_SIZE = const(27)

_ESTABLISHED = const(4)

_FIN_WAIT_2 = const(6)
_CLOSE_WAIT = const(7)
_TIME_WAIT = const(10)

_F_ACK_NOW = const(1)
_F_FIN_SEEN = const(128)
_F_END_TOLD = const(524288)


class _Payload:
    """What TCPSocket's methods take for the socket where the buffer is the payload: that is a
    memoryview, and need not be looked at."""

    def __init__(self, socket):
        self._data = (memoryview,) + socket._data[1:]


def gather(socket):
    """What hand_over() needs, in one look-up. Text lies where that of a segment would."""
    if not hasattr(_Payload, "send_slice"):
        from .socket import TCPSocket

        _Payload.recv_slice = TCPSocket.recv_slice
        _Payload.send_slice = TCPSocket.send_slice
    payload = socket.iface._l4[20:]
    _iface, state, slot, tcb = socket._parts[:4]
    parts = (state, slot, tcb, socket._handler, payload, len(payload))
    calls = _Payload(socket)
    return parts + (calls.recv_slice, calls.send_slice)


@micropython.viper
def hand_over(socket, n: int):
    """Calls the handler for n bytes that lie in the frame, and then for what is in the ring.

    There is room for an answer to the n bytes; of the ring it gets as much as there is room for.
    """
    state, slot, tcb, handler, payload, size, recv, send = socket._handing
    t = ptr32(tcb)
    wakes = 0
    if n:
        # The window opens as it does where text is taken out of the ring: TCPSocket.recv_slice().
        offered = (t[_T_RCV_ADV] - t[_T_RCV_NXT]) & 0x3FFFFFFF
        gain = t[_T_RX_SIZE] - t[_T_RX_LEN] - offered
        mss = t[_T_MSS]
        if gain >= t[_T_RX_SIZE] >> 1 or gain >= (mss if offered < mss else mss << 1):
            # Where an ACK is promised already, that will say it.
            if t[_T_STATE] == _ESTABLISHED and not t[_T_FLAGS] & _F_ACK_NOW:
                t[_T_FLAGS] = t[_T_FLAGS] | _F_ACK_NOW
                wakes = 1
    while True:
        if not n:
            if not t[_T_RX_LEN]:
                break
            n = t[_T_TX_SIZE] - t[_T_TX_LEN]
            most = int(size)
            if n > most:
                n = most
            n = int(recv(payload, n))
            if n <= 0:
                return
        answer = int(handler(socket, payload, n))
        if answer > 0:
            sent = int(send(payload, answer))
            if sent != answer:
                # After close() there is room for it before the FIN, or nobody is to hear it.
                kind = t[_T_STATE]
                if kind <= _ESTABLISHED or kind == _CLOSE_WAIT:
                    _complain(sent)
                elif kind != _FIN_WAIT_2 and kind != _TIME_WAIT:
                    if (t[_T_SND_MAX] - t[_T_SND_UNA]) & 0x3FFFFFFF <= t[_T_TX_LEN]:
                        _before_fin(socket, payload, answer)
        n = 0
    if wakes or t[_T_STATE] > _CLOSE_WAIT:  # a FIN has waited for this
        st = ptr32(state)
        i = int(slot)
        at = st[_DIRTY] + (i >> 4)
        st[at] = st[at] | (1 << (i & 15))
        st[_WORK] = 1
    if t[_T_FLAGS] & (_F_FIN_SEEN | _F_END_TOLD) == _F_FIN_SEEN:
        t[_T_FLAGS] = t[_T_FLAGS] | _F_END_TOLD
        handler(socket, payload, 0)


def _complain(sent):
    if sent < 0:
        raise OSError(-sent, "handler: an answer, and no connection that would take it")
    raise ValueError("handler: the answer is too long")


def _before_fin(socket, payload, answer):
    tcb = socket._tcb
    kind = tcb[_T_STATE]
    tcb[_T_STATE] = _ESTABLISHED
    try:
        sent = socket.send_slice(payload, answer)
    finally:
        tcb[_T_STATE] = kind
    if sent != answer:
        _complain(sent)
