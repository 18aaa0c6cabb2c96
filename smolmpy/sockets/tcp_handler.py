"""A stream handed to a function of the program as it comes: `TCPSocket.handler`."""

import micropython
from micropython import const

_T_FLAGS = const(5)
_T_RX_LEN = const(23)
_T_TX_LEN = const(26)
_T_TX_SIZE = const(27)

_F_FIN_SEEN = const(128)
_F_END_TOLD = const(524288)


def gather(socket):
    """What hand_over() needs, in one look-up. Text lies where that of a segment would."""
    payload = socket.iface._l4[20:]
    parts = (socket._parts[3], socket._handler, payload, len(payload))
    return parts + (socket.recv_slice, socket.send_slice)


@micropython.viper
def hand_over(socket, n: int):
    """Calls the handler for n bytes that lie in the frame, and then for what is in the ring.

    There is room for an answer to the n bytes; of the ring it gets as much as there is room for.
    """
    tcb, handler, payload, size, recv, send = socket._handing
    t = ptr32(tcb)
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
        if answer > 0 and int(send(payload, answer)) != answer:
            raise ValueError("handler: the answer is too long")
        n = 0
    if t[_T_FLAGS] & (_F_FIN_SEEN | _F_END_TOLD) == _F_FIN_SEEN:
        t[_T_FLAGS] = t[_T_FLAGS] | _F_END_TOLD
        handler(socket, payload, 0)
