"""Runs on the Pico for tools/pico_bench.py: echoes datagrams, takes a stream, gives one.

It is what one writes who wants speed: a loop in viper with what it calls in local variables,
sockets looked at only where the interface has moved something, and much in one call.
"""

import micropython
from micropython import const

import smolmpy_board as board
from smolmpy import Interface, TCPSocket, UDPSocket

_ECHO = const(7)
_SINK = const(9)
_SOURCE = const(19)
_BLOCK = const(1460)


def echo(socket, payload, n):
    return n


@micropython.viper
def serve(iface, sink, source, piece, block, total: int):
    poll = iface.poll
    delay = iface.poll_delay
    device = iface.device
    ticks_ms = board.ticks_ms
    wait = board.wait
    take = sink.recv_slice
    give = source.send_slice
    room = int(len(piece))
    size = int(len(block))
    left = 0
    while True:
        now = ticks_ms()
        if int(poll(now)):
            n = 1
            while n > 0:
                n = int(take(piece, room))
            if not n:
                sink.close()
            n = size
            while left and n == size:
                n = int(give(block, size if size < left else left))
                if n > 0:
                    left -= n
                    if not left:
                        source.close()
        if not left:
            if int(sink.state) == 0:
                sink.listen(_SINK)
            if int(source.state) == 0:
                source.listen(_SOURCE)
                left = total
        wait(device, delay(now))


def main(rx, tx, total):
    iface = Interface(board.device())
    iface.add_address("192.168.69.1/24")
    socket = iface.add(UDPSocket(2048, 2048))
    socket.handler = echo
    socket.bind(_ECHO)
    sink = iface.add(TCPSocket(rx, _BLOCK))
    source = iface.add(TCPSocket(_BLOCK, tx))
    # Four segments, each like the last.
    block = bytearray([(i * 7 + (i >> 8)) & 0xFF for i in range(_BLOCK)] * 4)
    serve(iface, sink, source, bytearray(rx), block, total)
