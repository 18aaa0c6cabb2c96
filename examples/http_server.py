"""An HTTP/1.1 server with a status page, on plain TCP sockets: no threads and no asyncio.

    http_server.py [-a ADDR/PREFIX] [-g GATEWAY] [-p PORT] [-n SOCKETS]

Serves `/` and `/status.json` on port 80 with 4 sockets, so to 4 clients at a time; those who come
while all are taken wait, because their TCP tries again after a second, three, seven. Requests are
GET and HEAD (RFC 9110), without a body and at most 1,024 bytes long. A connection is kept for the
next request, unless its place is needed; a client that is slow loses it.
"""

import sys

import http_server_page as page
import options
import smolmpy_board as board
from smolmpy import TCPSocket
from smolmpy.errno import EAGAIN

REQUEST = 1024  # the longest request, in bytes
RX = 1024
TX = 2920
REQUEST_MS = 10000  # within which a request that has begun must be complete
IDLE_MS = 15000  # how long the next request is waited for, while there is room for others
GRACE_MS = 2000  # and while there is none, a client's first
STALL_MS = 15000  # how long a client may take nothing of the answer
LINGER_MS = 5000  # how long a client may take to close when we have

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
        self.crowded = all(c.phase != _LISTENING for c in self.connections)
        delay = -1
        for connection in self.connections:
            left = connection.step(now)
            if left >= 0 and (delay < 0 or left < delay):
                delay = left
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
        self.since = 0
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

    def _enter(self, phase, now):
        self.phase = phase
        self.since = now

    def _mind_time(self, now):
        if self.phase == _READING and not self.have:
            limit = IDLE_MS
            if self.server.crowded:
                limit = GRACE_MS if self.first else 0
        else:
            limit = (0, REQUEST_MS, STALL_MS, LINGER_MS)[self.phase]
        left = limit - ((now - self.since) & 0x3FFFFFFF)
        if left > 0:
            return left
        if self.phase == _READING:
            if self.have:
                self._refuse(408, now)
            else:
                self._close(now)
        else:
            self.socket.abort()
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
            text = "<!DOCTYPE html><title>404</title><p>There is no %s here.\n" % page.escape(path)
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
                self.since = now
            try:
                self.piece = next(self.parts)
            except StopIteration:
                break
            except Exception as problem:
                # Cut short, the answer is seen to be incomplete.
                sys.print_exception(problem)
                self.socket.abort()
                return
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
