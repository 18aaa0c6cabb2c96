"""The module `socket` of MicroPython on this stack: what programs and libraries import.

It stands in for the built-in one (`smolmpy.network.install()`) or shadows it (a file socket.py
with `from smolmpy.socket import *`). `setup()` makes the pool that sockets come from.
docs/socket.md says what differs from other ports.
"""

import micropython
from micropython import const

from smolmpy import net
from smolmpy.compat.pool import Pool
from smolmpy.compat.stream import Stream
from smolmpy.sockets.buffers import fill, readable, writable
from smolmpy.wire.address import format, parse

AF_INET = 2
AF_INET6 = 10
SOCK_STREAM = 1
SOCK_DGRAM = 2
SOCK_RAW = 3
SOL_SOCKET = 1
SO_REUSEADDR = 2
SO_BROADCAST = 6
SO_KEEPALIVE = 9
SO_LINGER = 13
IPPROTO_IP = 0
IPPROTO_TCP = 6
IPPROTO_UDP = 17
TCP_NODELAY = 1
TCP_KEEPIDLE = 4
IP_ADD_MEMBERSHIP = 35
IP_DROP_MEMBERSHIP = 36
MSG_PEEK = 2
MSG_DONTWAIT = 64

error = OSError
timeout = OSError

_SO_CALLBACK = const(20)
_KEEP_IDLE_MS = const(7200000)
_HEADERS = const(28)  # of IPv4 and UDP

# What a socket is: `_state`.
_NEW = const(0)
_CONNECTING = const(1)
_OPEN = const(2)
_LISTENING = const(3)
_FAILED = const(4)  # connect() has failed; `_error` is not told yet
_OVER = const(5)  # the connection has ended by itself; `_error` is not told yet, or 0
_DATAGRAM = const(6)
_CLOSED = const(7)

_EBADF = const(9)

# Of docs/layout.md: 'make format' writes these.
_EAGAIN = const(11)
_EINVAL = const(22)
_EMSGSIZE = const(90)
_EADDRINUSE = const(98)
_ENETUNREACH = const(101)
_EISCONN = const(106)
_ENOTCONN = const(107)
_ETIMEDOUT = const(110)
_ECONNREFUSED = const(111)
_EHOSTUNREACH = const(113)
_EALREADY = const(114)
_EINPROGRESS = const(115)

_ENODEV = const(19)
_EPROTONOSUPPORT = const(93)
_EOPNOTSUPP = const(95)
_EAFNOSUPPORT = const(97)
_EAI_NONAME = const(-2)

_pool = None
_watched = []  # sockets with a callback


def setup(
    iface, ticks_ms=None, wait=None, *, tcp=4, udp=2, rx=1024, tx=1024,
    udp_rx=None, udp_tx=None, packets=4, idle=None,
):  # fmt: skip
    """Makes the pool on an interface: how many TCP and UDP sockets, with buffers of that size.

    ticks_ms and wait are the board's clock and sleep (smolmpy.net.setup). A UDP socket holds at
    most `packets` datagrams each way, and by default the largest that the link carries. idle: for
    how many ms a socket may be left alone where its place is needed, -1 for ever; None: 60 s where
    a client has come to a listener, else for ever.
    """
    global _pool
    net.setup(iface, ticks_ms, wait)
    most = iface.mtu - _HEADERS
    _pool = Pool(iface, tcp, udp, rx, tx, udp_rx or most, udp_tx or most, packets, idle)
    net.pool = _pool
    net.notify = _notify


def opened():
    """The sockets that hold one of the pool; their repr() says what they are at."""
    return _pool.owners()


def leaked(ms=60000):
    """Sockets that are open and have not been used for so long."""
    return _pool.leaked(ms)


def reclaim(ms=60000):
    """Closes them; returns how many. Whoever uses one after that gets EBADF."""
    return _pool.reclaim(ms)


def drain(ms=1000):
    """Waits until the connections of closed sockets have ended, at most `ms`: before a reset, or
    at the end of a program. Returns whether they have; TIME-WAIT does not count."""
    start = net.ticks_ms()
    while _pool.ending():
        left = ms - net.elapsed(start)
        if left <= 0:
            return False
        net.rest(left)
        net.pump()
    return True


def getaddrinfo(host, port, af=0, type=0, proto=0, flags=0):
    """A list of one (AF_INET, SOCK_STREAM, 0, "", (address, port)).

    An address needs no resolver. Otherwise OSError, its number negative if the name is unknown.
    """
    return [(AF_INET, type or SOCK_STREAM, 0, "", (_resolve(host), int(port)))]


def _resolve(host):
    if host == "":
        return "0.0.0.0"
    try:
        return format(parse(host))
    except ValueError:
        pass
    if net.resolve is None:
        if not net.dns:
            raise OSError(
                _EAI_NONAME, "host: no name server is known; DHCP or ipconfig(dns=...) tells one"
            )
        from smolmpy.services import resolver

        resolver.install(net)
    found = net.resolve(host)
    return found if isinstance(found, str) else format(found)


def inet_pton(af, addr):
    """The 4 bytes of an address given as text."""
    if af != AF_INET:
        raise OSError(_EAFNOSUPPORT)
    return parse(addr)


def inet_ntop(af, addr):
    """The text of 4 bytes."""
    if af != AF_INET:
        raise OSError(_EAFNOSUPPORT)
    return format(addr)


def create_connection(address, timeout=None):
    """A socket that is connected to (host, port)."""
    s = socket()
    try:
        s.settimeout(timeout)
        s.connect(getaddrinfo(address[0], address[1])[0][-1])
    except:
        s.close()
        raise
    return s


def _notify():
    # Has the program called about sockets on which something has come (option 20): what is new
    # since the last call, or what is left after something has been taken.
    for s in _watched:
        if s._due:
            continue
        news = s.news()
        if news == s._told:
            continue
        # The call may come before schedule() returns.
        s._told = news
        if news:
            s._due = True
            try:
                micropython.schedule(_call, s)
            except RuntimeError:  # the queue is full
                s._due = False
                s._told = 0
                net.again = True


def _call(s):
    s._due = False
    if net.busy:
        # It has interrupted a call into the stack.
        s._told = 0
        net.again = True
        return
    try:
        if s.callback is not None and s.news():
            s.callback(s)
    finally:
        _notify()


class socket(Stream):
    """As of the built-in module: socket(af=AF_INET, type=SOCK_STREAM, proto=0)."""

    def __init__(self, af=AF_INET, type=SOCK_STREAM, proto=0, sock=None):
        if _pool is None:
            raise OSError(
                _ENODEV, "no network yet: LAN.active(True), or smolmpy.socket.setup(), makes it"
            )
        for name, value in (("af", af), ("type", type), ("proto", proto)):
            if not isinstance(value, int):
                raise TypeError("%s must be an int, not %r" % (name, value))
        if af != AF_INET:
            raise OSError(_EAFNOSUPPORT)
        if type != SOCK_STREAM and type != SOCK_DGRAM:
            raise OSError(_EPROTONOSUPPORT)
        self.addr = None  # what bind() has said
        self.port = 0
        self.backlog = 0
        self._timeout = -1  # ms; 0: do not wait, -1: for ever
        self._error = 0
        self._linger = -1  # SO_LINGER in ms, -1 where it is off
        self._peer = None
        self._used = net.ticks_ms()
        if type == SOCK_DGRAM:
            self._sock = _pool.take_udp(self)
            self._state = _DATAGRAM
        else:
            self._sock = sock or _pool.take_tcp(self)
            self._state = _OPEN if sock else _NEW

    def __repr__(self):
        names = "new", "connecting", "open", "listening", "failed", "over", "datagram", "closed"
        return "<socket %s timeout=%d idle=%d %s>" % (
            names[self._state],
            self._timeout,
            self.idle(),
            self._sock,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # Opening

    def _need(self, *states):
        if self._state == _CLOSED:
            raise OSError(_EBADF)
        if self._state not in states:
            raise OSError(_EINVAL)

    def _host(self, addr):
        # A pair (address, port) as an address, None for any, and a port.
        host, port = addr[0], addr[1]
        host = _resolve(host)
        return None if host == "0.0.0.0" else host, port

    def bind(self, addr):
        """To (address, port): "" or "0.0.0.0" for any address, port 0 for any port."""
        self._need(_NEW, _DATAGRAM)
        host, port = self._host(addr)
        if self._state == _DATAGRAM:
            self._call(self._sock.bind, port, host)
            return
        if port:
            for s in _pool.owners():
                if s is not self and s.port == port and s._state in (_NEW, _LISTENING):
                    raise OSError(_EADDRINUSE, "port %d is in use" % port)
        self.addr, self.port = host, port

    def _call(self, method, *args):
        # Calls into the stack, which no interrupt may do meanwhile.
        net.busy = True
        try:
            return method(*args)
        except ValueError as e:
            raise OSError(_EINVAL, str(e))
        finally:
            net.busy = False

    def listen(self, backlog=2):
        """Has up to `backlog` sockets of the pool wait for clients."""
        if self._state == _LISTENING:
            return
        if self._state == _DATAGRAM:
            raise OSError(_EOPNOTSUPP)
        self._need(_NEW)
        self.backlog = max(backlog, 1)
        if not self.port:
            self.port = self._sock._free_port(IPPROTO_TCP, 0)
        self._call(_pool.add_listener, self, self._sock)
        self._sock = None
        self._state = _LISTENING

    def accept(self):
        """(socket, (address, port)) of the next client."""
        if self._state == _DATAGRAM:
            raise OSError(_EOPNOTSUPP)
        self._need(_LISTENING)
        self._used = net.ticks_ms()
        sock = self._pending()
        if sock is None:
            net.pump()
            start = net.ticks_ms()
            sock = self._pending()
            while sock is None:
                if not self._rest(start):
                    raise OSError(_ETIMEDOUT if self._timeout else _EAGAIN)
                sock = self._pending()
        s = socket(AF_INET, SOCK_STREAM, 0, sock)
        s._timeout = self._timeout
        s._peer = (format(sock.remote_addr), sock.remote_port)
        sock.owner = s
        sock.turn = 0
        self._told = 0
        self._call(_pool.feed, self)
        return s, s._peer

    def _pending(self):
        net.busy = True
        try:
            return _pool.pending(self)
        finally:
            net.busy = False

    def connect(self, addr):
        """To (address, port). Without a timeout TCP itself gives up, after minutes."""
        if self._state == _DATAGRAM:
            host, port = self._host(addr)
            self._reach(self._sock.connect, host, port)
            self._peer = (host, port)
            return
        start = self._used = net.ticks_ms()
        self._progress()
        if self._state == _FAILED:
            raise OSError(-self._tell())
        if self._state == _CONNECTING:
            raise OSError(_EALREADY)
        if self._state == _OPEN or self._state == _OVER:
            raise OSError(_EISCONN)
        self._need(_NEW)
        host, port = self._host(addr)
        if host is None:
            raise OSError(_ECONNREFUSED)
        self._reach(self._sock.connect, host, port, self.port)
        self._peer = (host, port)
        self._state = _CONNECTING
        net.pump()
        self._progress()
        while self._state == _CONNECTING:
            if not self._rest(start):
                raise OSError(_ETIMEDOUT if self._timeout else _EINPROGRESS)
            self._progress()
        if self._state == _FAILED:
            raise OSError(-self._tell())

    def _reach(self, method, *args):
        if not net.up:
            self._unreachable(args[0])
        try:
            self._call(method, *args)
        except OSError as e:
            if e.errno == _ENETUNREACH:
                self._unreachable(args[0])
            raise

    def _unreachable(self, host):
        # Without a route it is the host that can not be reached, as on other boards.
        why = "no route to %s" % host
        if not net.up:
            why = "the network is not active: call active(True)"
        elif not net.iface.addresses():
            why = "no address yet: ifconfig() or DHCP gives one"
        raise OSError(_EHOSTUNREACH, why)

    # Data, as a socket's user knows it: errors are raised

    def _raised(self, r):
        if r < 0:
            raise OSError(-r)
        return r

    def send(self, buf):
        """Sends what there is room for; returns how many bytes."""
        buf = readable(buf)
        n = len(buf)
        r = self._send(buf, n)
        if r == -_EAGAIN and self._timeout:
            start = net.ticks_ms()
            while r == -_EAGAIN:
                r = self._send(buf, n) if self._rest(start) else -_ETIMEDOUT
        return self._raised(r)

    def sendall(self, buf):
        """Sends all. One that may not wait sends all or nothing (EAGAIN)."""
        buf = readable(buf)
        n = len(buf)
        if not self._timeout and self._state == _OPEN and n > self._sock.room:
            net.pump()
            self._progress()
            if self._state == _OPEN and n > self._sock.room:
                raise OSError(_EAGAIN)
        self._raised(self._send_all(buf, n))

    def sendto(self, buf, addr):
        """Sends a datagram to (address, port)."""
        if self._state != _DATAGRAM:
            return self.send(buf)
        buf = readable(buf)
        host, port = self._host(addr)
        self._used = start = net.ticks_ms()
        while True:
            r = self._call(self._sock.send_to, buf, host or "127.0.0.1", port)
            if r == -_ENETUNREACH or not net.up:
                self._unreachable(host)
            if r == -_EMSGSIZE:
                self._too_long(len(buf))
            net.pump()
            if r != -_EAGAIN or not self._timeout:
                return self._raised(r)
            if not self._rest(start):
                raise OSError(_ETIMEDOUT)

    def recv(self, n, flags=0):
        """At most n bytes; b"" at the end of the stream."""
        if n < 0:
            raise ValueError("n must not be negative")
        r = self._await(not flags & MSG_DONTWAIT)
        if r == 0:
            buf = bytearray(min(n, self._available()))
            r = self._recv_now(buf, len(buf), flags & MSG_PEEK)
            if r == len(buf):
                return bytes(buf)
        self._raised(r)
        return bytes(memoryview(buf)[:r])

    def recvfrom(self, n, flags=0):
        """At most n bytes, and whom they are from."""
        return self.recv(n, flags), self._sender()

    def _sender(self):
        # Whom the data received last is from.
        if self._state != _DATAGRAM:
            return self._peer
        return format(self._sock.remote_addr), self._sock.remote_port

    def recv_into(self, buf, n=0, flags=0):
        """At most n bytes (as many as fit by default) into buf; returns how many."""
        room = writable(buf)
        if n < 0:
            raise ValueError("n must not be negative")
        if room < 0:
            n = min(n or ~room, ~room)
            return fill(buf, n, self.recv_into, n, flags) if n else 0
        r = self._await(not flags & MSG_DONTWAIT)
        return self._raised(r or self._recv_now(buf, min(n or room, room), flags & MSG_PEEK))

    def recvfrom_into(self, buf, n=0, flags=0):
        """As recv_into(); returns how many bytes, and whom they are from."""
        n = self.recv_into(buf, n, flags)
        return n, self._sender()

    # The rest

    def close(self):
        """Ends the connection in the background, and never waits. A second call does nothing."""
        self.end()
        net.pump()

    def end(self):
        """As close(), and leaves it to others to let the stack work. Allocates nothing."""
        state = self._state
        sock = self._sock
        if state == _CLOSED:
            return
        self._state = _CLOSED
        self._sock = None
        if self.callback is not None:
            self.setsockopt(SOL_SOCKET, _SO_CALLBACK, None)
        if state == _LISTENING:
            _pool.remove_listener(self)
        elif sock is not None:
            if state != _DATAGRAM and self._linger >= 0:
                sock.linger = self._linger
                if not self._linger:
                    sock.abort()
            _pool.release(sock)

    def settimeout(self, seconds):
        """None: calls wait as long as it takes; 0: they do not wait."""
        if seconds is None:
            self._timeout = -1
        elif seconds < 0:
            raise ValueError("timeout must not be negative")
        else:
            self._timeout = min(int(seconds * 1000), 0x1FFFFFFF)

    def setblocking(self, value):
        """settimeout(None) or settimeout(0)."""
        self._timeout = -1 if value else 0

    def setsockopt(self, level, option, value):
        """Options that are not known are ignored, as on other boards."""
        if level == SOL_SOCKET and option == _SO_CALLBACK:
            self._watch(value)
            return
        if self._state == _CLOSED:
            raise OSError(_EBADF)
        number = value if isinstance(value, int) else value[0] if len(value) else 0
        stream = self._sock if self._state != _DATAGRAM else None
        if level == SOL_SOCKET and option == SO_LINGER:
            seconds = value[4] | value[5] << 8
            self._linger = seconds * 1000 if number else -1
        elif level == IPPROTO_IP and option in (IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP):
            self._member(option == IP_ADD_MEMBERSHIP, value)
        elif stream is None:
            return
        elif level == SOL_SOCKET and option == SO_KEEPALIVE:
            stream.keep_alive = _KEEP_IDLE_MS if number else 0
        elif level == IPPROTO_TCP and option == TCP_NODELAY:
            stream.nagle = not number
        elif level == IPPROTO_TCP and option == TCP_KEEPIDLE:
            stream.keep_alive = value * 1000

    def _watch(self, callback):
        global _watched
        if callback is not None:
            if not callable(callback):
                raise TypeError("value: the callback must be a function or None")
            if self._state == _CLOSED:
                raise OSError(_EBADF)
        self.callback = callback
        self._told = 0
        # Another list, since somebody may be going through this one.
        _watched = [s for s in _watched if s is not self]
        if callback is not None:
            _watched.append(self)
            _notify()

    def _member(self, joins, mreq):
        group = bytes(mreq[:4])
        if group[0] >> 4 != 14 or len(mreq) < 8:
            raise ValueError("not a multicast group")
        self._call(net.iface.join_group if joins else net.iface.leave_group, group)

    def makefile(self, *_):
        """The socket itself, which is a stream."""
        return self

    def getpeername(self):
        """(address, port) of the other end."""
        if self._peer is None:
            raise OSError(_ENOTCONN)
        return self._peer

    def getsockname(self):
        """(address, port) of this end."""
        s = self._sock
        if s is None:
            return (self.addr or "0.0.0.0", self.port)
        return (format(s.local_addr), s.local_port or self.port)

    def news(self):
        """0 while nothing waits to be received or accepted; it grows as more comes."""
        if self._state == _LISTENING:
            return 0 if self._pending() is None else _pool.clients
        return super().news()
