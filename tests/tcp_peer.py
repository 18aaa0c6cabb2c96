"""smolmpy as Linux's peer in test_tcp_linux.py: TCP services behind a fault injector.

The environment's TCP_PEER is a JSON list of services: `[{"port": 5000, "role": "echo"}, ...]`.
Each has a port and sockets of its own, and is told what to do by its fields (see the classes).
UDP port 6969 takes commands, JSON objects, and answers each with the state of things; a command
may be repeated. Whenever the stack runs, the heap is locked.
"""

import gc
import hashlib
import json
import os
from binascii import hexlify

import micropython

import smolmpy_board as board
from smolmpy import Interface, TCPSocket, UDPSocket
from smolmpy.phy.fault import FaultInjector

MAC = "02-00-00-00-00-01"
ADDRESS = "192.168.69.1/24"
CONTROL = 6969
PATTERN = 65521  # bytes of the pattern; prime
PIECE = 8192


def pattern(size):
    """`tools.exchange.pattern`, which the other side uses."""
    value = 1
    out = bytearray(size)
    for index in range(size):
        value = (value * 1103515245 + 12345) & 0x7FFFFFFF
        out[index] = value >> 16 & 0xFF
    return out


class Service:
    """Sockets that listen on `port`; `rx` and `tx` are their buffers, `options` theirs too."""

    def __init__(self, host, port, rx=16384, tx=16384, sockets=1, options=None, first=False):
        self.port = port
        self.first = first  # whether this end closes first
        self.done = 0
        self.error = 0
        self.sockets = [host.iface.add(TCPSocket(rx, tx)) for _ in range(sockets)]
        for socket in self.sockets:
            for name, value in (options or {}).items():
                if not hasattr(socket, name):
                    raise ValueError(name)
                setattr(socket, name, value)
        self.host = host

    def report(self):
        return {
            "done": self.done,
            "error": self.error,
            "states": [socket.state_name for socket in self.sockets],
            "stats": self.sockets[0].stats(),
        }


class Exchange(Service):
    """One connection: sends `size` bytes of the pattern and takes all that comes, at once.

    It closes when its own are queued if it is to be `first`, else once the peer has closed.
    """

    def __init__(self, host, size, **fields):
        super().__init__(host, **fields)
        self.size = size
        self.queued = 0
        self.received = 0
        self.hash = hashlib.sha256()
        self.digest = ""
        self.sockets[0].listen(self.port)

    def step(self):
        socket = self.sockets[0]
        if socket.state <= TCPSocket.SYN_RECEIVED or self.digest:
            return
        piece = self.host.piece
        n = 1
        while n > 0:
            n = socket.recv_into(piece)
            if n > 0:
                self.hash.update(memoryview(piece)[:n])
                self.received += n
        if n < 0 and n != -11:
            self.error = n
        while self.queued < self.size:
            at = self.queued % PATTERN
            part = memoryview(self.host.pattern)[at : at + self.size - self.queued]
            sent = socket.send(part)
            if sent <= 0:
                break
            self.queued += sent
        if self.queued == self.size and (self.first or n == 0):
            socket.close()
            self.done = 1
        if n == 0 and self.done:
            self.digest = hexlify(self.hash.digest()).decode()

    def report(self):
        return dict(super().report(), received=self.received, digest=self.digest)


class Echo(Service):
    """Short connections: sends back 8 bytes and closes, first or second."""

    def __init__(self, host, **fields):
        super().__init__(host, **fields)
        self.piece = bytearray(8)

    def step(self):
        for socket in self.sockets:
            state = socket.state
            if state == TCPSocket.CLOSED:
                socket.listen(self.port)
            elif state == TCPSocket.ESTABLISHED or state == TCPSocket.CLOSE_WAIT:
                n = socket.recv_into(self.piece)
                if n > 0:
                    socket.send(self.piece, n)
                    if self.first:
                        socket.close()
                        self.done += 1
                elif n == 0:
                    socket.close()
                    if not self.first:
                        self.done += 1


class Client(Service):
    """Connects to `port` of the peer `left` times, a command; each sends 8 bytes and closes."""

    def __init__(self, host, peer, **fields):
        super().__init__(host, **fields)
        self.peer = peer
        self.left = 0
        self.piece = bytearray(8)
        self.greeted = [False] * len(self.sockets)

    def step(self):
        for i, socket in enumerate(self.sockets):
            state = socket.state
            if state == TCPSocket.CLOSED:
                if self.left:
                    self.left -= 1
                    socket.connect(self.peer, self.port)
                    self.greeted[i] = False
            elif state == TCPSocket.ESTABLISHED or state == TCPSocket.CLOSE_WAIT:
                if not self.greeted[i]:
                    socket.send(b"greeting")
                    self.greeted[i] = True
                n = socket.recv_into(self.piece)
                if n == 8 and self.piece == b"greeting":
                    self.done += 1
                    if self.first:
                        socket.close()
                elif n == 0:
                    socket.close()


ROLES = {"exchange": Exchange, "echo": Echo, "client": Client}


class Host:
    def __init__(self, services):
        self.device = FaultInjector(board.device(), clock=board.ticks_ms, frames=64)
        count = sum(fields.get("sockets", 1) for fields in services)
        self.iface = Interface(self.device, MAC, sockets=count + 1)
        self.iface.add_address(ADDRESS)
        self.pattern = pattern(PATTERN)
        self.piece = bytearray(PIECE)
        self.control = self.iface.add(UDPSocket(2048, 2048))
        self.control.bind(CONTROL)
        self.command = bytearray(1472)
        self.services = {}
        for fields in services:
            role = ROLES[fields.pop("role")]
            self.services[fields["port"]] = role(self, **fields)

    def poll(self, now):
        """The stack's turn, in which it must not allocate; returns when it wants the next."""
        micropython.heap_lock()
        try:
            self.iface.poll(now)
            rest = self.iface.poll_delay(now)
            held = self.device.poll_delay(now)
        finally:
            micropython.heap_unlock()
        return held if rest < 0 or 0 <= held < rest else rest

    def answer(self):
        n = self.control.recv_into(self.command)
        if n < 0:
            return
        command = json.loads(self.command[:n])
        if "faults" in command:
            self.device.set(**command["faults"])
        service = self.services.get(command.get("port"))
        if "left" in command and service and not service.done:
            service.left = command["left"]
        report = {"id": command["id"]}
        if service:
            report.update(service.report())
        if command.get("heap"):
            gc.collect()
            gc.collect()
            report["heap"] = gc.mem_alloc()
        for name in command.get("counters", ()):
            report[name] = self.iface.counter(name)
        if command.get("faults done"):
            report["faults"] = self.device.counters()
        self.control.send_to(
            json.dumps(report), self.control.remote_addr, self.control.remote_port
        )

    def run(self):
        # A device may prepare its buffers, and the board its wait, the first time.
        self.iface.poll(board.ticks_ms())
        board.wait(self.device, 0)
        while True:
            rest = self.poll(board.ticks_ms())
            if self.control.can_recv():
                self.answer()
            for service in self.services.values():
                service.step()
            if self.iface.poll_delay(board.ticks_ms()):
                board.wait(self.device, rest)


Host(json.loads(os.getenv("TCP_PEER"))).run()
