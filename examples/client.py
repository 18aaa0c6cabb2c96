"""A TCP client: connects, sends, prints what comes back.

    client.py [-a ADDR/PREFIX] [-g GATEWAY] [-w SECONDS] HOST PORT [WORD...]

Sends the words and a newline, or without words what it reads from standard input, line by line;
then closes its half, and ends when the server has closed too. `-a` is our own address
(192.168.69.1/24), `-w` how long the connection may stand still (30). The exit status is 0 if the
connection ended in good order.
"""

import select
import sys

import smolmpy_board as board
from smolmpy import Interface, TCPSocket
from smolmpy.errno import EAGAIN, NAMES

_USAGE = "usage: client.py [-a ADDR/PREFIX] [-g GATEWAY] [-w SECONDS] HOST PORT [WORD...]"
SIZE = 4096


class Client:
    """Sends what `source()` gives to `addr`:`port`, and hands what comes to `sink(buf, n)`.

    `source()` returns bytes, `b""` for nothing at the moment, `None` at the end.
    """

    def __init__(self, iface, addr, port, source, sink, timeout=30000):
        self.iface = iface
        self.source = source
        self.sink = sink
        self.socket = iface.add(TCPSocket(SIZE, SIZE))
        self.socket.timeout = timeout
        self.buf = bytearray(SIZE)
        self.pending = memoryview(b"")
        self.ended = False
        self.finished = False
        self.socket.connect(addr, port)

    def step(self, now):
        """Does what there is to do at `now`; the result: None, 0 in the end, or an errno."""
        self.iface.poll(now)
        code = self._receive()
        if code is None:
            code = self._send()
        return code

    def _receive(self):
        while not self.finished:
            n = self.socket.recv_into(self.buf)
            if n > 0:
                self.sink(self.buf, n)
            elif n == 0:
                # The server has ended, so there is nobody to send to either.
                self.finished = self.ended = True
                self.socket.close()
            else:
                return None if n == -EAGAIN else n
        # The end is in good order once the server has acknowledged ours.
        return None if self.socket.is_open else 0

    def _send(self):
        while not self.ended:
            if not self.pending:
                data = self.source()
                if data is None:
                    self.ended = True
                    self.socket.close()
                    break
                if not data:
                    break
                self.pending = memoryview(data)
            n = self.socket.send(self.pending)
            if n == -EAGAIN:
                break
            if n < 0:
                return n
            self.pending = self.pending[n:]
        return None


def words_source(words):
    """A source that gives the words as one line."""
    todo = [None, (" ".join(words) + "\n").encode()]
    return todo.pop


class InputSource:
    """A source that gives standard input, without waiting for it."""

    def __init__(self):
        self.stream = getattr(sys.stdin, "buffer", sys.stdin)
        self.poller = select.poll()
        self.poller.register(sys.stdin, select.POLLIN)

    def __call__(self):
        if not self.poller.poll(0):
            return b""
        line = self.stream.readline()
        return line or None


def print_bytes(buf, n):
    out = getattr(sys.stdout, "buffer", None)
    if out:
        out.write(bytes(buf[:n]))
    else:
        sys.stdout.write(bytes(buf[:n]).decode())


def run(client, device, step=50):
    """Runs the client to its end; 0 or an errno. `step`: how long it may sleep, in ms."""
    while True:
        now = board.ticks_ms()
        code = client.step(now)
        if code is not None:
            # What is still to be said to the server: a last acknowledgment, or a reset.
            client.iface.poll(now)
            return code
        delay = client.iface.poll_delay(now)
        board.wait(device, step if delay < 0 else min(step, delay))


def options(args):
    given = {"-a": "192.168.69.1/24", "-g": "", "-w": "30"}
    args = list(args)
    while args and args[0][:1] == "-":
        name = args.pop(0)
        if name not in given or not args:
            args = []
            break
        given[name] = args.pop(0)
    if len(args) < 2 or not args[1].isdigit() or not given["-w"].isdigit():
        print(_USAGE, file=sys.stderr)
        sys.exit(2)
    return given, args[0], int(args[1]), args[2:]


def main(args):
    given, host, port, words = options(args)
    source = words_source(words) if words else InputSource()
    try:
        device = board.device()
        iface = Interface(device, getattr(device, "mac", None) or "02-00-00-00-00-01")
        iface.add_address(given["-a"])
        if given["-g"]:
            iface.gateway = given["-g"]
        timeout = int(given["-w"]) * 1000
        client = Client(iface, host, port, source, print_bytes, timeout)
    except ValueError as e:
        print("client.py: %s" % e, file=sys.stderr)
        sys.exit(2)
    code = run(client, device)
    if code:
        print("client.py: the connection ended: %s" % NAMES.get(-code, -code), file=sys.stderr)
    sys.exit(1 if code else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
