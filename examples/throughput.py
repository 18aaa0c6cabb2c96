"""Three old services of TCP to measure with: echo, discard and character generator.

    throughput.py [-a ADDR/PREFIX] [-g GATEWAY] [-b BYTES] [-n CLIENTS]

Port 7 sends back what it receives (RFC 862), port 9 takes all and says nothing (RFC 863), port 19
sends lines of text until the client has enough (RFC 864). Each serves CLIENTS at a time (1), with
buffers of BYTES (4,096). When a client has gone, what it moved is printed. Moving data allocates
nothing.

    head -c 100M /dev/zero | nc -N 192.168.69.1 9
    nc 192.168.69.1 19 | head -c 100M > /dev/null

throughput_iperf3.py is the same for iperf3.
"""

import sys

import options
from smolmpy import TCPSocket

_LINE = 72  # characters in a line of the generator, its end not counted


class Service:
    """One socket that serves one client after another on a port."""

    name = ""
    port = 0

    def __init__(self, iface, size, piece):
        self.size = size
        self.piece = piece
        self.socket = iface.add(TCPSocket(size, size))
        self.serves = False
        self.received = self.sent = 0
        self.start = 0

    def step(self, now):
        tcp = self.socket
        state = tcp.state
        if self.serves and (state == TCPSocket.CLOSED or state == TCPSocket.TIME_WAIT):
            self.report(now)
            self.serves = False
        if state == TCPSocket.TIME_WAIT:
            tcp.abort()
            state = TCPSocket.CLOSED
        if state == TCPSocket.CLOSED:
            tcp.listen(self.port)
        elif state >= TCPSocket.ESTABLISHED:
            if not self.serves:
                self.serves = True
                self.received = self.sent = 0
                self.start = now
                self.begin()
            self.move()

    def begin(self):
        pass

    def report(self, now):
        ms = ((now - self.start) & 0x3FFFFFFF) or 1
        print(
            "%s: %d bytes received, %d sent in %d ms, %d kB/s"
            % (self.name, self.received, self.sent, ms, (self.received + self.sent) // ms)
        )


class Echo(Service):
    name = "echo"
    port = 7

    def move(self):
        tcp = self.socket
        # What is taken has to fit into the send buffer.
        room = self.size - tcp.send_queue
        while room:
            n = tcp.recv_into(self.piece, room)
            if n <= 0:
                if n == 0:
                    tcp.close()
                return
            tcp.send(self.piece, n)
            self.received += n
            self.sent += n
            room -= n


class Discard(Service):
    name = "discard"
    port = 9

    def move(self):
        n = self.socket.recv_into(self.piece)
        while n > 0:
            self.received += n
            n = self.socket.recv_into(self.piece)
        if n == 0:
            self.socket.close()


class Generator(Service):
    name = "generator"
    port = 19

    def __init__(self, iface, size, piece):
        super().__init__(iface, size, piece)
        # Each line begins one character further on in the 95 that can be printed.
        self.text = bytearray(
            b"".join(
                bytes(32 + (line + i) % 95 for i in range(_LINE)) + b"\r\n" for line in range(95)
            )
        )
        self.views = [memoryview(self.text)[at:] for at in range(0, len(self.text), _LINE + 2)]
        self.line = 0

    def begin(self):
        self.line = 0

    def move(self):
        tcp = self.socket
        if tcp.recv_into(self.piece) == 0:
            tcp.close()
            return
        # Whole lines, so that what is still to be sent needs no place to be kept.
        room = (self.size - tcp.send_queue) // (_LINE + 2)
        while room > 0 and tcp.may_send():
            lines = min(room, 95 - self.line)
            self.sent += tcp.send(self.views[self.line], lines * (_LINE + 2))
            self.line = (self.line + lines) % 95
            room -= lines


def main(args):
    usage = "throughput.py [-a ADDR/PREFIX] [-g GATEWAY] [-b BYTES] [-n CLIENTS]"
    given, _ = options.parse(args, usage, {"-b": "4096", "-n": "1"})
    size = options.number(given, "-b", _LINE + 2)
    clients = options.number(given, "-n", 1)
    device, iface = options.host(given, 3 * clients)
    piece = bytearray(size)
    kinds = (Echo, Discard, Generator)
    services = [kind(iface, size, piece) for kind in kinds for _ in range(clients)]

    def step(now):
        iface.poll(now)
        for service in services:
            service.step(now)
        return iface.poll_delay(now)

    print("%s serves on ports 7, 9 and 19" % given["-a"].partition("/")[0])
    options.run(device, step)


if __name__ == "__main__":
    main(sys.argv[1:])
