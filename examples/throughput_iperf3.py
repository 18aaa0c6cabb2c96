"""A server for iperf3: TCP, both directions, one test at a time.

    throughput_iperf3.py [-a ADDR/PREFIX] [-g GATEWAY] [-p PORT] [-b BYTES] [-n STREAMS]

Port 5201; buffers of BYTES (16,384) for each of at most STREAMS (1) parallel streams. Then

    iperf3 -c 192.168.69.1           # Linux sends
    iperf3 -c 192.168.69.1 -R        # smolmpy sends

A test is a control connection and a connection for each stream, all to one port; each begins with
the test's cookie. On the control connection single bytes name the steps of the test, and the
parameters and the results cross as JSON behind their length. UDP (`-u`) and both directions at
once (`--bidir`) are refused. Moving data allocates nothing.
"""

import json
import sys

import options
from smolmpy import TCPSocket

COOKIE = 37  # bytes; the last one is zero
CONTROL = 1024  # bytes, of the control connection's buffers and of the longest JSON
SILENCE_MS = 30000  # after which a test that stands still is given up
COOKIE_MS = 5000  # in which a connection has to say which test it is of

# Steps, as iperf3 numbers them.
_START, _RUNNING, _END, _PARAMETERS, _STREAMS = 1, 2, 4, 9, 10
_CLIENT_ENDS, _RESULTS, _DISPLAY, _DONE, _ERROR = 12, 13, 14, 16, 254
_ACCESS_DENIED = 255  # to a client that comes during another one's test
# Why a test is refused, in iperf3's numbers.
_TOO_MANY_STREAMS, _NOT_IMPLEMENTED = 6, 13

_WAITING, _CLOSING = 0, -2  # steps of our own


class Stream:
    """A connection that carries data."""

    def __init__(self, socket):
        self.socket = socket
        self.bytes = 0
        self.active = False

    def receive(self, piece):
        n = self.socket.recv_into(piece)
        while n > 0:
            self.bytes += n
            n = self.socket.recv_into(piece)

    def send(self, piece):
        n = self.socket.send(piece)
        while n > 0:
            self.bytes += n
            n = self.socket.send(piece)


class Server:
    """`streams` is the most parallel streams of a test, `size` that of their buffers."""

    def __init__(self, iface, port=5201, size=16384, streams=1):
        self.iface = iface
        self.port = port
        # Whoever knocks gets the next free socket, so the control connection is any of them; one
        # more is for who comes before a test has quite ended.
        self.sockets = [iface.add(TCPSocket(size, size)) for _ in range(streams + 2)]
        self.met = [0] * len(self.sockets)  # when each was last seen without a client
        for socket in self.sockets:
            socket.quiet = True  # whoever finds none tries again
        self.piece = bytearray(size)
        self.cookie = bytearray(COOKIE)
        self.text = bytearray(CONTROL)
        self.view = memoryview(self.text)
        self._steps = {
            _PARAMETERS: self._take_parameters,
            _STREAMS: self._hear,
            _RUNNING: self._hear,
            _RESULTS: self._take_results,
            _DISPLAY: self._hear,
            _CLOSING: self._drain,
        }
        self.control = None
        self.streams = []
        self._reset()

    def _reset(self):
        for socket in self.sockets:
            if self._in_use(socket):
                socket.abort()
        self.phase = _WAITING
        self.control = None
        self.streams = []
        self.params = {}
        self.have = 0  # bytes of JSON, its length included
        self.since = 0  # when something last moved
        self.moved = 0
        self.start = self.ms = 0

    def step(self, now):
        """Does what there is to do at `now`; returns how long to wait, in ms (-1: no limit)."""
        self.iface.poll(now)
        self.now = now
        strangers = False
        for i in range(len(self.sockets)):
            socket = self.sockets[i]
            if self._in_use(socket):
                self.met[i] = now
                continue
            if socket.state > TCPSocket.SYN_RECEIVED:
                strangers = True
                self._meet(i, socket)
            else:
                self.met[i] = now
            if socket.state == TCPSocket.CLOSED:
                socket.flush()  # a reset that is due
                socket.listen(self.port)
        if self.phase != _WAITING:
            self._work()
        left = self.iface.poll_delay(now)
        if self.phase == _WAITING and not strangers:
            return left
        return 1000 if left < 0 else min(left, 1000)

    def _in_use(self, socket):
        for stream in self.streams:
            if stream.socket is socket:
                return True
        return socket is self.control

    def _meet(self, i, socket):
        # Somebody has connected, and has not said yet what for. Whoever knocks and goes away, as
        # those do who look whether the server is up, must not keep a place.
        if socket.state != TCPSocket.ESTABLISHED:
            if socket.state == TCPSocket.CLOSE_WAIT or self._late(i):
                socket.abort()
        elif socket.recv_queue < COOKIE:
            if self._late(i):
                socket.abort()
        elif self.phase == _WAITING:
            socket.recv_into(self.cookie)
            self.control = socket
            self._say(_PARAMETERS)
        elif self.phase == _STREAMS:
            cookie = bytearray(COOKIE)
            socket.recv_into(cookie)
            if cookie == self.cookie:
                self.streams.append(Stream(socket))
                self._take_streams()
            else:
                self._deny(socket)
        elif self.phase == _PARAMETERS or self.phase == _RUNNING:
            self._deny(socket)

    def _late(self, i):
        return (self.now - self.met[i]) & 0x3FFFFFFF > COOKIE_MS

    def _deny(self, socket):
        socket.send(bytes((_ACCESS_DENIED,)))
        socket.close()

    def _work(self):
        # Data first: what came before the client's word that the test is over belongs to it.
        if self.phase == _RUNNING:
            self._move()
        self._steps[self.phase]()
        if self.phase != _CLOSING and not self.control.may_recv():
            print("the client has gone")
            self._finish()
        state = self.control.state
        if state == TCPSocket.CLOSED or state == TCPSocket.TIME_WAIT:
            self._reset()
        elif (self.now - self.since) & 0x3FFFFFFF > SILENCE_MS:
            print("the client is silent")
            self._reset()

    def _say(self, step):
        self.control.send(bytes((step,)))
        self.phase = step
        self.since = self.now

    def _json(self):
        # The object that the client sends; None until all of it is there.
        n = self.control.recv_into(self.view[self.have :])
        if n > 0:
            self.have += n
            self.since = self.now
        if self.have < 4:
            return None
        size = int.from_bytes(self.view[:4], "big") + 4
        if size > CONTROL:
            self._refuse(_NOT_IMPLEMENTED, "a message is too long")
        elif self.have >= size:
            self.have = 0
            return json.loads(bytes(self.view[4:size]))
        return None

    def _refuse(self, number, why):
        print("refused:", why)
        self._say(_ERROR)
        # Two error numbers, iperf3's and the system's.
        self.control.send(bytes((0, 0, 0, number, 0, 0, 0, 0)))
        self._finish()

    def _finish(self):
        for stream in self.streams:
            stream.socket.abort()
        self.control.close()
        self.phase = _CLOSING
        self.since = self.now

    def _take_parameters(self):
        params = self._json()
        if params is None:
            return
        self.params = params
        if "udp" in params or "bidirectional" in params or params.get("sctp"):
            self._refuse(_NOT_IMPLEMENTED, "only TCP in one direction at a time")
        elif not 0 < params.get("parallel", 1) < len(self.sockets) - 1:
            most = len(self.sockets) - 2
            self._refuse(_TOO_MANY_STREAMS, "at most %d streams (-n)" % most)
        else:
            self._say(_STREAMS)

    def _take_streams(self):
        if len(self.streams) == self.params.get("parallel", 1):
            self._say(_START)
            self._say(_RUNNING)
            self.start = self.now
            print("a test begins:", self._direction())

    def _direction(self):
        return "we send" if self.params.get("reverse") else "we receive"

    def _move(self):
        moved = 0
        for stream in self.streams:
            if self.params.get("reverse"):
                stream.send(self.piece)
            else:
                stream.receive(self.piece)
            moved += stream.bytes
        if moved != self.moved:
            self.moved = moved
            self.since = self.now

    def _hear(self):
        # A step that the client names.
        if self.control.recv_into(self.text, 1) != 1:
            return
        step = self.text[0]
        if step == _END and self.phase == _RUNNING:
            self.ms = ((self.now - self.start) & 0x3FFFFFFF) or 1
            for stream in self.streams:
                stream.socket.close()  # the client waits for the end of what it receives
            self._say(_RESULTS)
        elif step == _DONE and self.phase == _DISPLAY:
            print(
                "%d bytes in %d ms, %d kbit/s" % (self.moved, self.ms, self.moved * 8 // self.ms)
            )
            self._finish()
        elif step == _CLIENT_ENDS:
            self._finish()

    def _drain(self):
        while self.control.recv_into(self.text) > 0:
            pass

    def _take_results(self):
        if self._json() is None:
            return
        streams = []
        for i, stream in enumerate(self.streams):
            streams.append(
                {
                    "id": i + 1 if not i else i + 2,  # iperf3 counts 1, 3, 4, ...
                    "bytes": stream.bytes,
                    "retransmits": stream.socket.stats()["retransmits"],
                    "jitter": 0,
                    "errors": 0,
                    "packets": 0,
                    "start_time": 0,
                    "end_time": self.ms / 1000,
                }
            )
        results = {
            "cpu_util_total": 0,
            "cpu_util_user": 0,
            "cpu_util_system": 0,
            "sender_has_retransmits": 1 if self.params.get("reverse") else -1,
            "streams": streams,
        }
        data = json.dumps(results).encode()
        self.control.send(len(data).to_bytes(4, "big") + data)
        self._say(_DISPLAY)


def main(args):
    usage = "throughput_iperf3.py [-a ADDR/PREFIX] [-g GATEWAY] [-p PORT] [-b BYTES] [-n STREAMS]"
    given, _ = options.parse(args, usage, {"-p": "5201", "-b": "16384", "-n": "1"})
    port = options.number(given, "-p", 1)
    streams = options.number(given, "-n", 1)
    device, iface = options.host(given, streams + 2)
    server = Server(iface, port, options.number(given, "-b", CONTROL), streams)
    print("iperf3 -c %s -p %d" % (given["-a"].partition("/")[0], port))
    options.run(device, server.step)


if __name__ == "__main__":
    main(sys.argv[1:])
