"""The stream that a socket is: waiting, what it has for poll(), and moving data.

`socket` (smolmpy/compat/socket.py) adds how connections begin and end. A method with an underscore
returns a count or a negative errno; one without raises, or returns None for EAGAIN, as streams
do.
"""

import io

import micropython
from micropython import const

from smolmpy import net
from smolmpy.sockets.buffers import fill, readable, writable

# What a socket is: `_state`.
_NEW = const(0)
_CONNECTING = const(1)
_OPEN = const(2)
_LISTENING = const(3)
_FAILED = const(4)  # connect() has failed; `_error` is not told yet
_OVER = const(5)  # the connection has ended by itself; `_error` is not told yet, or 0
_DATAGRAM = const(6)
_CLOSED = const(7)

_TCP_CLOSED = const(0)
_TCP_ESTABLISHED = const(4)
_TCP_CLOSE_WAIT = const(7)

# MicroPython's py/stream.h
_IOCTL_POLL = const(3)
_IOCTL_CLOSE = const(4)
_IN = const(1)
_OUT = const(4)
_ERR = const(8)
_HUP = const(16)
_NVAL = const(32)

_NEWLINE = const(10)
_ENDED = const(-1)  # as news

_EBADF = const(9)

# Of docs/layout.md: 'make format' writes these.
_EAGAIN = const(11)
_EINVAL = const(22)
_EPIPE = const(32)
_EMSGSIZE = const(90)
_ENOTCONN = const(107)
_ETIMEDOUT = const(110)
_ECONNREFUSED = const(111)

_NOTHING = bytearray(0)


class Stream(io.IOBase):
    """_sock is the socket of the pool, None where there is none; _timeout is in ms."""

    _state = _CLOSED
    _sock = None
    callback = None  # called with the socket when something has come (option 20)
    _told = 0  # the news that it has been called about; 0: of whatever there is
    _due = False  # it is about to be called

    _waits = False  # a call on it waits

    def idle(self):
        """Milliseconds since it was used, 0 while a call on it waits."""
        return 0 if self._waits else net.elapsed(self._used)

    def gone(self, sock):
        """Whether the other end of a socket of its has closed, or the connection is over."""
        state = sock.state
        return state == _TCP_CLOSE_WAIT or state == _TCP_CLOSED and self._state != _NEW

    def fileno(self):
        """There is no descriptor: -1."""
        return -1

    # Waiting

    def _rest(self, start):
        # Lets time pass. False: the timeout is over, which began at `start`.
        left = -1
        if self._timeout >= 0:
            left = self._timeout - net.elapsed(start)
            if left <= 0:
                return False
        self._waits = True
        try:
            net.rest(left)
            net.pump()
        finally:
            self._waits = False
        self._used = net.now
        return True

    def _dry(self):
        # Whether there is nothing to receive, not even an error.
        if self._state == _CONNECTING:
            self._progress()
            if self._state == _CONNECTING:
                return True
        if self._state == _OPEN or self._state == _DATAGRAM:
            return not self._sock.can_recv()
        return False

    def _await(self, wait=True):
        # Waits for something to receive: 0, or a negative errno.
        self._used = net.ticks_ms()
        if self._dry():
            net.pump()
            start = net.ticks_ms()
            while self._dry():
                if not wait or not self._timeout:
                    return -_EAGAIN
                if not self._rest(start):
                    return -_ETIMEDOUT
        return 0

    def _progress(self):
        # Notices what has become of the connection. Called where its state is in doubt.
        state = self._state
        if state != _CONNECTING and state != _OPEN:
            return
        tcp = self._sock.state
        if tcp == _TCP_CLOSED:
            # send() tells what ended it and leaves what has been received.
            error = -self._sock.send(_NOTHING)
            if state == _OPEN:
                self._error = 0 if error == _ENOTCONN else error
                self._state = _OVER
            else:
                self._error = _ECONNREFUSED if error == _ENOTCONN else error
                self._state = _FAILED
        elif state == _CONNECTING and tcp >= _TCP_ESTABLISHED:
            self._state = _OPEN

    def news(self):
        """0 while nothing waits to be received; until something is, it grows as more comes."""
        self._progress()
        state = self._state
        if state == _OPEN or state == _DATAGRAM:
            return self._sock.news
        return _ENDED if state == _OVER or state == _FAILED else 0

    def let_go(self):
        """Gives up the socket of the pool if the connection is over and all has been read."""
        self._progress()
        if self._state != _OVER or self._sock is None or self._sock.recv_queue:
            return False
        self._sock = None
        return True

    def _tell(self):
        # The error that ended the connection, once, as a negative number; 0 then.
        error = self._error
        self._error = 0
        if self._state == _FAILED:
            self._state = _NEW
        return -error

    # One attempt: a count, or a negative errno. -EAGAIN only after the interface has worked.

    def _recv(self, buf, n):
        r = self._recv_now(buf, n, False)
        if r == -_EAGAIN:
            net.pump()
            r = self._recv_now(buf, n, False)
        self._used = net.ticks_ms()
        return r

    def _recv_now(self, buf, n, peek):
        state = self._state
        sock = self._sock
        if not peek:
            self._told = 0  # what is left then is worth another call
        if state == _OPEN or state == _OVER:
            if peek and sock is not None and sock.recv_queue:
                return sock.peek_into(buf, n)
            if state == _OPEN:
                net.busy = True
                try:
                    r = sock.recv_into(buf, n)
                finally:
                    net.busy = False
                if r > 0 or r == -_EAGAIN:
                    return r
                if r:
                    self._state = _OVER
                self._told = self.news()  # the end is not told twice
                return r if r != -_ENOTCONN else 0
            if sock is not None and sock.recv_queue:
                return sock.recv_into(buf, n)
            self._told = self.news()
            return self._tell()
        if state == _DATAGRAM:
            if n < len(buf):
                buf = memoryview(buf)[:n]
            net.busy = True
            try:
                r = sock.peek_into(buf, n) if peek else sock.recv_into(buf)
            finally:
                net.busy = False
            return r if r < n else n
        if state == _CONNECTING:
            self._progress()
            if self._state == _CONNECTING:
                return -_EAGAIN
            return self._recv_now(buf, n, peek)
        if state == _FAILED:
            return self._tell()
        return -_EBADF if state == _CLOSED else -_ENOTCONN

    def _send(self, buf, n):
        r = self._send_now(buf, n)
        if r == -_EAGAIN:
            net.pump()
            r = self._send_now(buf, n)
        if r > 0:
            net.pump()
        self._used = net.now
        return r

    def _send_now(self, buf, n):
        state = self._state
        if state == _OPEN:
            net.busy = True
            try:
                r = self._sock.send(buf, n)
            finally:
                net.busy = False
            if r >= 0 or r == -_EAGAIN:
                return r
            self._state = _OVER
            return r if r != -_ENOTCONN else -_EPIPE
        if state == _DATAGRAM:
            if n < len(buf):
                buf = memoryview(buf)[:n]
            net.busy = True
            try:
                r = self._sock.send(buf)
            finally:
                net.busy = False
            if r == -_EMSGSIZE:
                self._too_long(n)
            return r
        if state == _CONNECTING:
            self._progress()
            if self._state == _CONNECTING:
                return -_EAGAIN
            return self._send_now(buf, n)
        if state == _OVER:
            return self._tell() or -_EPIPE
        if state == _FAILED:
            return self._tell()
        return -_EBADF if state == _CLOSED else -_ENOTCONN

    def _too_long(self, n):
        # Says which limit a datagram has met.
        most = net.iface.mtu - 28
        room = len(self._sock._tx)
        text = "a datagram has at most %d bytes here, not %d" % (min(room, most), n)
        if room < most:
            text += (
                ": udp_tx, of LAN() or smolmpy.socket.setup(), is the limit, and may be %d" % most
            )
        raise OSError(_EMSGSIZE, text)

    def _recv_wait(self, buf, n):
        # Waits for something, as long as the timeout allows.
        r = self._recv(buf, n)
        if r == -_EAGAIN and self._timeout:
            r = self._await() or self._recv_now(buf, n, False)
        return r

    def _recv_all(self, buf, n):
        # Fills buf as far as n where it may wait; what there is where it may not.
        r = self._recv_wait(buf, n)
        if r <= 0 or r == n or not self._timeout or self._state == _DATAGRAM:
            return r
        got = r
        view = memoryview(buf)
        while got < n:
            r = self._recv_wait(view[got:n], n - got)
            if r == 0 or r == -_EAGAIN:
                break
            if r < 0:
                return r
            got += r
        return got

    def _send_all(self, buf, n):
        # Sends all of it where it may wait; what there is room for where it may not.
        r = self._send(buf, n)
        if r == n or not self._timeout or (r < 0 and r != -_EAGAIN):
            return r
        start = net.ticks_ms()
        sent = r if r > 0 else 0
        view = memoryview(buf)
        while sent < n:
            r = self._send(view[sent:n], n - sent)
            if r == -_EAGAIN:
                if not self._rest(start):
                    return -_ETIMEDOUT
            elif r < 0:
                return r
            else:
                sent += r
                start = net.ticks_ms()
        return sent

    def _available(self):
        # How many bytes one recv() would give; 0 for the end and for errors.
        sock = self._sock
        if sock is None:
            return 0
        if self._state == _DATAGRAM:
            return max(sock.next_length, 0)
        return sock.recv_queue

    # Streams, as libraries and MicroPython's own C code use them

    def readinto(self, buf, n=None):
        """Up to n bytes: as many where it may wait. None where nothing has come, 0 at the end."""
        room = writable(buf)
        if room < 0:
            n = ~room if n is None or not 0 <= n <= ~room else n
            return self._result(fill(buf, n, self._recv_all, n))
        if n is None or not 0 <= n <= room:
            n = room
        return self._result(self._recv_all(buf, n))

    def write(self, buf, a=None, b=None):
        """write(buf), write(buf, n), write(buf, offset, n): None where there is no room."""
        buf = readable(buf)
        n = len(buf)
        if b is not None:
            if not 0 <= a <= n:
                a = n
            n = b if 0 <= b <= n - a else n - a
            buf = memoryview(buf)[a : a + n]
        elif a is not None and 0 <= a < n:
            n = a
        return self._result(self._send_all(buf, n))

    def _result(self, r):
        # What a stream's method returns: None instead of -EAGAIN; other errors are raised.
        if isinstance(r, bytes):
            return r
        if r == -_EAGAIN:
            return None
        if r < 0:
            raise OSError(-r)
        return r

    def _piece(self, n, whole=False):
        # At most n bytes (-1: what there is), 0 at the end, or a negative errno.
        r = self._await()
        if r < 0:
            return r
        have = self._available()
        size = have if n < 0 or n > have and not (whole and self._timeout) else n
        buf = bytearray(size)
        r = self._recv_all(buf, size) if whole else self._recv_now(buf, size, False)
        if whole and 0 < r < n:
            # As on other boards, an error counts for more than what came before it.
            self._progress()
            if self._state == _OVER and self._error:
                r = self._tell()
        if r <= 0:
            return r
        return bytes(buf) if r == size else bytes(memoryview(buf)[:r])

    def read(self, n=-1):
        """n bytes, or all up to the end; None where nothing has come."""
        if n is not None and n >= 0:
            piece = self._piece(n, True)
            return b"" if piece == 0 else self._result(piece)
        data = b""
        while True:
            piece = self._piece(-1)
            if not isinstance(piece, bytes):
                return data if piece == 0 or data and piece == -_EAGAIN else self._result(piece)
            data += piece

    def readline(self, n=-1):
        """A line, its end included; what there is of it at the end or where it may not wait."""
        line = b""
        while n < 0 or len(line) < n:
            r = self._await()
            most = self._available() if r == 0 else 0
            if n >= 0:
                most = min(most, n - len(line))
            if most and self._state != _DATAGRAM:
                most = self._sock.find(_NEWLINE, most) or most
            piece = self._piece(most)
            if not isinstance(piece, bytes):
                return line if piece == 0 or line and piece == -_EAGAIN else self._result(piece)
            line += piece
            if piece[-1] == 10:
                break
        return line

    def ioctl(self, request, arg):
        """MP_STREAM_POLL and MP_STREAM_CLOSE; else -EINVAL."""
        if request == _IOCTL_POLL:
            net.pump()
            self._used = net.now
            return self._poll(arg)
        if request == _IOCTL_CLOSE:
            # Of a TLS socket that nobody holds any more it is the garbage collector that calls,
            # from the middle of anything, while nothing can be allocated.
            self.end()
            try:
                micropython.schedule(net.pump, None)
            except RuntimeError:
                pass  # the queue is full: pump() is called by and by
            return 0
        return -_EINVAL

    def _poll(self, wanted):
        state = self._state
        sock = self._sock
        if state == _OPEN or state == _CONNECTING:
            self._progress()
            state = self._state
        if state == _OPEN or state == _DATAGRAM:
            found = 0
            if wanted & _IN and sock.can_recv():
                found = _IN
            if wanted & _OUT and sock.can_send():
                found |= _OUT
            return found
        if state == _CONNECTING:
            return 0
        if state == _LISTENING:
            return wanted & _IN if self._pending() is not None else 0
        if state == _NEW:
            return (wanted & _OUT) | _HUP
        if state == _CLOSED:
            return _NVAL
        return (wanted & (_IN | _OUT)) | _HUP | (_ERR if self._error else 0)
