"""Answers one operation of traffic.c on a device of the unix port: `server.py ROLE`.

Each role is a loop in viper with all that it calls in local variables, and makes only the sockets
that it needs. Ports: 7 echoes, 9 discards, 19 sends.
"""

import sys
from time import ticks_ms

import micropython
from micropython import const

import smolmpy_board as board
from smolmpy import Interface, TCPSocket, UDPSocket

_ECHO = const(7)
_SINK = const(9)
_SOURCE = const(19)
_MESSAGE = const(64)
_BUFFER = const(256 * 1024)
_CONNECTIONS = const(4)


@micropython.viper
def _same(socket, payload, n):
    return n


@micropython.viper
def _udp_echo(device, iface):
    ticks = ticks_ms
    wait = board.wait
    poll = iface.poll
    poll_delay = iface.poll_delay
    while True:
        now = ticks()
        if not int(poll(now)):
            wait(device, poll_delay(now))


@micropython.viper
def _tcp_echo(device, iface, tcp, buf):
    ticks = ticks_ms
    wait = board.wait
    poll = iface.poll
    poll_delay = iface.poll_delay
    tcp.handler = _same
    while True:
        now = ticks()
        if not int(poll(now)):
            wait(device, poll_delay(now))
            if int(tcp.state) != 4:
                _again(tcp, _ECHO)


@micropython.viper
def _tcp_sink(device, iface, tcp, buf):
    ticks = ticks_ms
    wait = board.wait
    poll = iface.poll
    poll_delay = iface.poll_delay
    recv_into = tcp.recv_into
    while True:
        now = ticks()
        moved = int(poll(now))
        n = int(recv_into(buf))
        if n <= 0:
            if n != -11:
                _again(tcp, _SINK)
            if not moved:
                wait(device, poll_delay(now))


@micropython.viper
def _tcp_source(device, iface, tcp, buf):
    ticks = ticks_ms
    wait = board.wait
    poll = iface.poll
    poll_delay = iface.poll_delay
    send = tcp.send
    while True:
        now = ticks()
        moved = int(poll(now))
        n = int(send(buf))
        if n <= 0:
            if n != -11:
                _again(tcp, _SOURCE)
            if not moved:
                wait(device, poll_delay(now))


@micropython.viper
def _tcp_connections(device, iface, sockets, buf):
    ticks = ticks_ms
    wait = board.wait
    poll = iface.poll
    poll_delay = iface.poll_delay
    recv_into = [tcp.recv_into for tcp in sockets]
    while True:
        now = ticks()
        moved = int(poll(now))
        i = 0
        while i < _CONNECTIONS:
            if int(recv_into[i](buf)) != -11:
                _again(sockets[i], _ECHO)
            i += 1
        if not moved:
            wait(device, poll_delay(now))


def _again(tcp, port):
    # The end of a stream, or no connection: close, and listen once that is done.
    state = tcp.state
    if state == TCPSocket.CLOSED:
        tcp.listen(port)
    elif state == TCPSocket.CLOSE_WAIT:
        tcp.close()


def _main(role):
    device = board.device()
    iface = Interface(device, "02-00-00-00-00-01")
    iface.add_address("192.168.69.1/24")
    message = bytearray(_MESSAGE)
    print("ready")
    if role.startswith("udp_echo"):
        udp = iface.add(UDPSocket(_MESSAGE, _MESSAGE))
        udp.bind(_ECHO)
        udp.handler = _same
        _udp_echo(device, iface)
    elif role == "tcp_echo":
        _tcp_echo(device, iface, iface.add(TCPSocket(4096, 4096)), message)
    elif role == "tcp_sink":
        tcp = iface.add(TCPSocket(_BUFFER, 4096))
        _tcp_sink(device, iface, tcp, bytearray(_BUFFER))
    elif role == "tcp_source":
        tcp = iface.add(TCPSocket(4096, _BUFFER))
        _tcp_source(device, iface, tcp, bytearray(_BUFFER // 4))
    else:
        sockets = [iface.add(TCPSocket(4096, 4096)) for _ in range(_CONNECTIONS)]
        _tcp_connections(device, iface, sockets, message)


_main(sys.argv[1])
