"""An HTTP/1.1 server with a status page, on plain TCP sockets: no threads and no asyncio.

    http_server.py [-a ADDR/PREFIX] [-g GATEWAY] [-p PORT] [-n SOCKETS]

Serves `/` and `/status.json` on port 80 with 4 sockets, so to 4 clients at a time; those who come
while all are taken wait, because their TCP tries again after a second, three, seven. Requests are
GET and HEAD (RFC 9110), without a body and at most 1,024 bytes long. A connection is kept for the
next request, unless its place is needed. A client that is too slow loses its own, the slowest
first where all are taken. What goes wrong with one, a lack of memory included, ends no other.
"""

import gc
import sys

import http_server_page as page
import options
import smolmpy_board as board
from smolmpy import TCPSocket
from smolmpy.errno import EAGAIN

REQUEST = 1024  # the longest request, in bytes
PATH = 64  # how much of a path is told in an answer
RX = 1024
TX = 2920
REQUEST_MS = 10000  # within which a request that has begun must be complete
IDLE_MS = 15000  # how long the next request is waited for, while there is room for others
GRACE_MS = 2000  # and while there is none, a client's first
STALL_MS = 15000  # how long a client may take nothing of the answer
ANSWER_MS = 120000  # within which it must have taken all of it
LEAST_RATE = 256  # bytes that it has to take each second, on average, besides STALL_MS
CROWDED_RATE = 1024  # below which the slowest gives way, after GRACE_MS, where there is no room
LINGER_MS = 5000  # how long a client may take to close when we have

_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

_LISTENING, _READING, _ANSWERING, _ENDING = range(4)
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    505: "HTTP Version Not Supported",
}


class Server:
    """`pages` maps a path to a pair: the media type, and a function that takes the server and
    yields the page piece by piece, as text."""

    def __init__(self, iface, pages, port=80, sockets=4):
        self.iface = iface
        self.pages = pages
        self.port = port
        self.requests = 0
        self.uptime = 0  # ms
        self.crowded = False  # no socket is left to listen
        self._now = board.ticks_ms()
        self.connections = [Connection(self, iface) for _ in range(sockets)]

    def step(self, now):
        """Does what there is to do at `now`; returns how long to wait, in ms (-1: no limit)."""
        self.iface.poll(now)
        self.uptime += (now - self._now) & 0x3FFFFFFF
        self._now = now
        self.crowded = True
        for connection in self.connections:
            if connection.phase == _LISTENING or not connection.socket.is_open:
                self.crowded = False
        delay = -1
        slowest = None
        least = CROWDED_RATE
        for connection in self.connections:
            try:
                left = connection.step(now)
            except Exception as problem:
                connection.fail(problem, now)
                left = 0
            if left >= 0 and (delay < 0 or left < delay):
                delay = left
            rate = connection.rate(now)
            if 0 <= rate < least:
                slowest = connection
                least = rate
        if self.crowded:
            # Another look, before long; and whoever waits for room gets it.
            delay = min(delay, GRACE_MS // 2)
            if slowest:
                slowest.socket.abort()
        left = self.iface.poll_delay(now)
        return left if delay < 0 or 0 <= left < delay else delay


class Connection:
    """One socket and whom it serves."""

    def __init__(self, server, iface):
        self.server = server
        self.socket = iface.add(TCPSocket(RX, TX))
        self.socket.nagle = False  # what can be sent is queued before the interface's turn
        self.socket.quiet = True  # a client that finds all sockets taken tries again
        self.buf = bytearray(REQUEST)
        self.view = memoryview(self.buf)
        self._listen()

    def _listen(self):
        self.phase = _LISTENING
        self.have = 0  # bytes in buf
        self.first = True  # no request has been answered yet
        self.keep = False
        self.parts = None  # what is to be sent after `piece`
        self.piece = None
        self.since = 0  # when this phase began, or the request
        self.sent = 0  # bytes that were handed to the socket
        self.taken = 0  # how many of them the client has acknowledged, and when it last did
        self.took = 0
        self.before = 0  # how many were sent before this answer, and when it began
        self.began = 0
        self.socket.listen(self.server.port)

    def step(self, now):
        """Does what can be done; returns how long the client has left, in ms (-1: no limit)."""
        tcp = self.socket
        state = tcp.state
        if state == TCPSocket.CLOSED:
            self._listen()
        elif state == TCPSocket.TIME_WAIT:
            # The last acknowledgment has gone out, and there are few sockets for those who wait.
            tcp.abort()
            self._listen()
        elif state >= TCPSocket.ESTABLISHED:
            if self.phase == _LISTENING:
                self._enter(_READING, now)
            phase = -1
            while phase != self.phase:
                phase = self.phase
                (None, self._read, self._write, self._end)[phase](now)
            return self._mind_time(now)
        return -1

    def fail(self, problem, now):
        """Ends the connection after an exception; it needs no memory itself."""
        asked = self.phase == _READING
        self.keep = False
        self.parts = self.piece = None
        gc.collect()
        try:
            if not isinstance(problem, MemoryError):
                sys.print_exception(problem)
            elif asked:
                self._enter(_ANSWERING, now)
                n = self.socket.send(_BUSY)
                self.sent += max(n, 0)
                if n == len(_BUSY):
                    return self._close(now)
        except MemoryError:
            pass
        # An answer that is cut short is seen to be incomplete.
        self.socket.abort()

    def _enter(self, phase, now):
        self.phase = phase
        self.since = now
        if phase == _ANSWERING:
            self.before = self.sent
            self.began = self.took = now

    # Time

    def rate(self, now):
        """How many bytes a second the client has moved of its request or our answer; -1 where it
        need not hurry yet."""
        phase = self.phase
        owed = self.socket.send_queue
        since = self.since
        moved = 0
        if phase == _ANSWERING or owed:
            since = self.began
            moved = max(self.sent - owed - self.before, 0)
        elif phase == _READING:
            moved = self.have
        if phase == _LISTENING or (phase == _READING and not moved):
            return -1
        spent = (now - since) & 0x3FFFFFFF
        return -1 if spent < GRACE_MS else moved // max(spent // 1000, 1)

    def _mind_time(self, now):
        phase = self.phase
        owed = self.socket.send_queue
        if self.sent - owed > self.taken:
            self.taken = self.sent - owed
            self.took = now
            if phase == _ENDING:
                self.since = now
        if phase == _ANSWERING or (phase == _ENDING and owed):
            spent = (now - self.began) & 0x3FFFFFFF
            earned = max(self.taken - self.before, 0) // LEAST_RATE * 1000
            left = min(STALL_MS + earned, ANSWER_MS) - spent
            left = min(left, STALL_MS - ((now - self.took) & 0x3FFFFFFF))
        else:
            limit = LINGER_MS
            if phase == _READING:
                limit = REQUEST_MS
                if not self.have:
                    limit = IDLE_MS
                    if self.server.crowded:
                        limit = GRACE_MS if self.first else 0
            left = limit - ((now - self.since) & 0x3FFFFFFF)
        if left > 0:
            return left
        if phase != _READING:
            self.socket.abort()
        elif self.have:
            self._refuse(408, now)
        else:
            self._close(now)
        return 0

    def _close(self, now):
        self._enter(_ENDING, now)
        self.parts = self.piece = None
        self.socket.close()

    def _end(self, now):
        # What still comes is thrown away: unread it would turn our FIN into a reset, and the
        # client might lose the answer.
        while self.socket.recv_into(self.buf) > 0:
            pass

    # Requests

    def _read(self, now):
        n = 1
        while n > 0 and self.phase == _READING:
            if not self._find_request(now):
                n = self.socket.recv_into(self.view[self.have :])
                if n > 0:
                    if not self.have:
                        self.since = now
                    self.have += n
        if n <= 0 and n != -EAGAIN:
            self._close(now)

    def _find_request(self, now):
        start = 0
        while start < self.have and self.buf[start] in b"\r\n":
            start += 1
        head, end, rest = bytes(self.view[start : self.have]).partition(b"\r\n\r\n")
        if end:
            self.have = len(rest)
            self.buf[: self.have] = rest
            self._answer(head, now)
        elif self.have == REQUEST:
            self._refuse(431, now)
        return self.phase != _READING

    def _answer(self, head, now):
        self.server.requests += 1
        try:
            method, target, version, headers = parse_request(head)
        except ValueError:
            return self._refuse(400, now)
        if version not in ("HTTP/1.1", "HTTP/1.0"):
            return self._refuse(505, now)
        modern = version == "HTTP/1.1"
        if modern and "host" not in headers:
            return self._refuse(400, now)
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            return self._refuse(413, now)
        bare = method == "HEAD"
        if not bare and method != "GET":
            return self._refuse(405, now, "Allow: GET, HEAD\r\n")
        wishes = headers.get("connection", "").lower()
        self.keep = modern and "close" not in wishes and not self.server.crowded
        path = target.partition("?")[0]
        found = self.server.pages.get(path)
        if not found:
            text = page.escape(path if len(path) <= PATH else path[:PATH] + "...")
            text = "<!DOCTYPE html><title>404</title><p>There is no %s here.\n" % text
            return self._begin(404, "text/html", text, now, bare)
        kind, write = found
        self._begin(200, kind, write(self.server), now, bare, modern)

    def _refuse(self, status, now, more=""):
        # After a request that is not understood nothing is known of where the next begins.
        self.keep = False
        self._begin(status, "text/plain", _REASONS[status] + "\n", now, False, more=more)

    def _begin(self, status, kind, body, now, bare, modern=True, more=""):
        # The body is text, or a generator of text: then its length shows when it has been sent.
        head = "HTTP/1.1 %d %s\r\nContent-Type: %s; charset=utf-8\r\nCache-Control: no-store\r\n"
        head = head % (status, _REASONS[status], kind) + more
        if isinstance(body, str):
            body = body.encode()
            head += "Content-Length: %d\r\n" % len(body)
            parts = (body,)
        elif modern:
            head += "Transfer-Encoding: chunked\r\n"
            parts = chunked(body)
        else:
            parts = encoded(body)
        if not self.keep:
            head += "Connection: close\r\n"
        self.piece = memoryview((head + "\r\n").encode())
        self.parts = iter(() if bare else parts)
        self._enter(_ANSWERING, now)

    # Answers

    def _write(self, now):
        while True:
            while self.piece:
                n = self.socket.send(self.piece)
                if n == -EAGAIN:
                    return
                if n < 0:
                    self.socket.abort()
                    return
                self.piece = self.piece[n:]
                self.sent += n
            try:
                self.piece = next(self.parts)
            except StopIteration:
                break
        self.first = False
        if self.keep:
            self._enter(_READING, now)
        else:
            self._close(now)


def parse_request(head):
    """(method, target, version, headers) of a request (RFC 9112); ValueError if it is none.

    The names of the headers are in lower case. A target with a host is stripped of it.
    """
    lines = head.decode().split("\r\n")
    method, target, version = lines.pop(0).split(" ")
    if target.startswith("http://"):
        target = "/" + target[7:].partition("/")[2]
    if not target.startswith("/"):
        raise ValueError("target")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or name != name.strip():
            raise ValueError("header")
        if name in headers and name in ("host", "content-length"):
            raise ValueError(name)
        headers[name] = value.strip()
    return method, target, version, headers


def encoded(parts):
    for text in parts:
        yield text.encode()


def chunked(parts):
    """The chunked transfer coding of pieces of text (RFC 9112 section 7.1)."""
    for text in parts:
        if text:
            data = text.encode()
            yield b"%x\r\n" % len(data)
            yield data
            yield b"\r\n"
    yield b"0\r\n\r\n"


def main(args):
    usage = "http_server.py [-a ADDR/PREFIX] [-g GATEWAY] [-p PORT] [-n SOCKETS]"
    given, _ = options.parse(args, usage, {"-p": "80", "-n": "4"})
    port = options.number(given, "-p", 1)
    sockets = options.number(given, "-n", 1)
    device, iface = options.host(given, sockets)
    pages = {
        "/": ("text/html", page.html),
        "/status.json": ("application/json", page.json),
    }
    server = Server(iface, pages, port, sockets)
    print("http://%s:%d/ with %d sockets" % (given["-a"].partition("/")[0], port, sockets))
    options.run(device, server.step)


if __name__ == "__main__":
    main(sys.argv[1:])
