"""A DNS client (RFC 1035, RFC 2308, RFC 5452): the addresses of names, with a cache.

What is under way is a `Query`: a UDP port of its own, picked at random, which is open only while
an answer is awaited. There is a fixed number of them; a program never sees one.
"""

from array import array

from micropython import const

from ..core.demux import remove
from ..errno import EAGAIN, EIO, ENETUNREACH, ENOENT, ETIMEDOUT
from ..ip.route import source
from ..wire.address import format, from_word, parse, to_word
from .dns_cache import Cache, give
from .dns_message import (
    ALIAS,
    FAILURE,
    MISMATCH,
    NO_NAME,
    TRUNCATED,
    WORDS,
    encode,
    mix_case,
    read_answer,
    write_question,
)
from .service import Service, chance, free_port, move, put, same, send_udp

# Of docs/layout.md: 'make format' writes these.
_NOW = const(4)
_SRC = const(7)
_DST = const(8)
_HOP_LIMIT = const(64)

_EAGAIN = const(11)
_EINPROGRESS = const(115)

_IDLE = const(0)
_ASKING = const(1)
_STREAM = const(2)
_DONE = const(3)
_BEGINNING = const(4)

_TTL = const(0)
_ADDRESSES = const(1)
_TARGET = const(5)

_PORT = const(53)
_MESSAGE = const(8)
_MOST_SERVERS = const(4)
_FIRST_RETRY = const(1000)
_LAST_RETRY = const(4000)
_KEEP = const(30000)
_ALIASES = const(8)
_STREAM_STEP = const(20)


class Query(Service):
    """One question under way; see DNSClient."""

    def __init__(self, client):
        super().__init__()
        self.client = client
        self.name = None
        self.phase = _IDLE
        self.code = 0  # number of addresses, or a negative errno
        self.answer = array("I", [0] * WORDS)
        self._label = bytearray(256)
        self._length = 0
        self._last = None  # whose name is in _label
        self._ident = 0
        self._port = 0
        self._server = 0
        self._tries = 0
        self._error = EIO  # what to say when none could
        self._failed = 0  # a bit for each server that could not tell
        self._asked = 0  # a bit for each server that was asked
        self._aliases = 0
        self._ends = 0
        self._at = 0
        self._at_once = False
        self._holding = False  # until the server's hardware address is known

    def begin(self, name):
        """Has a name be asked for, from the next turn on."""
        if name != self._last:
            self._last = None
            self._length = encode(name, self._label)
            self._last = name
        self.name = name
        self._aliases = 0
        self._ends = -1
        self._change(_BEGINNING)

    def begin_anew(self):
        """As begin(), since there are other servers; the time limit stays."""
        if self.phase == _DONE:
            self.forget()  # what the servers from before have said
        elif self.phase != _IDLE:
            ends = self._ends
            self.begin(self.name)
            self._ends = ends

    def _change(self, phase):
        # All that a phase needs is done in the next turn: this may be called while somebody else
        # has a packet in hand.
        self.phase = phase
        self._wake()

    def _start(self):
        # Another name, the first one, or other servers: new numbers, all servers.
        self.client._end_stream(self)
        st = self._st
        self._ident = (chance(st, 256) << 8) | chance(st, 256)
        if self.client.mixed_case:
            mix_case(self._label, self._length, chance(st, 32767))
        self._port = free_port(self.iface._demux, st)
        self._open(self._port)
        self.phase = _ASKING
        self._server = 0
        self._tries = 0
        self._failed = 0
        self._asked = 0
        self._error = EIO
        self._holding = False
        self._at_once = True

    def forget(self):
        """Frees the place."""
        self.phase = _IDLE
        self.name = None
        self._close()
        self.client._sweep()

    def _close(self):
        remove(self.iface._demux, self._st, self._slot)

    def _finish(self, code):
        client = self.client
        self.code = code
        self.phase = _DONE
        self._close()
        count = -1
        if code > 0 or code == -ENOENT:
            count = max(code, 0)
        if count >= 0 and self.answer[_TTL]:
            client._cache.store(self.name, count, self.answer, self._st[_NOW])
        client._sweep()
        self._wait_at_most(_KEEP)
        self._at = (self._st[_NOW] + _KEEP) & 0x3FFFFFFF

    def _turn(self, ms):
        self._at = (self._st[_NOW] + ms) & 0x3FFFFFFF
        self._wait(ms)

    def _is_before(self, time):
        return ((self._st[_NOW] - time) >> 29) & 1

    def _egress(self):
        phase = self.phase
        if phase == _BEGINNING:
            self._start()
            phase = _ASKING
        if phase == _ASKING or phase == _STREAM:
            if self._ends < 0:
                self._ends = (self._st[_NOW] + self.client.timeout) & 0x3FFFFFFF
            if not self._is_before(self._ends):
                if phase == _STREAM:
                    self.client._end_stream(self)
                self._finish(-ETIMEDOUT)
            elif phase == _STREAM:
                self._turn(_STREAM_STEP)
                self._stream()
            elif not self._at_once and self._is_before(self._at):
                self._wait((self._at - self._st[_NOW]) & 0x3FFFFFFF)
            else:
                self._at_once = False
                self._ask()
        elif phase == _DONE and not self._is_before(self._at):
            self.forget()
        else:
            self.client._sweep()
            if phase == _DONE:
                self._wait_at_most((self._at - self._st[_NOW]) & 0x3FFFFFFF)
        return 0

    def _ask(self):
        client = self.client
        st = self._st
        n = client._count
        if not n:
            self._finish(-ENETUNREACH)
            return
        every = (1 << n) - 1
        if self._failed & every == every:
            self._finish(-self._error)
            return
        server = self._server % n
        while (self._failed >> server) & 1:
            server = (server + 1) % n
        self._server = server
        move(st, _DST, client._servers, server, 1)
        iface = self.iface
        code = -ENETUNREACH
        if source(st) == 0:
            end = write_question(iface._l4, _MESSAGE, self._ident, self._label, self._length)
            code = send_udp(iface, st, end - _MESSAGE, self._port, client.port, _HOP_LIMIT)
        if code == -_EAGAIN:
            self._again(1)
            return
        if code == -_EINPROGRESS:
            # Its hardware address is asked for; another server gets its chance after a second.
            if not self._holding:
                self._holding = True
                self._at = (st[_NOW] + _FIRST_RETRY) & 0x3FFFFFFF
            elif not self._is_before(self._at):
                self._holding = False
                self._server = (server + 1) % n
            self._again(_FIRST_RETRY >> 1)
            return
        self._holding = False
        self._server = (server + 1) % n
        if code < 0:
            self._error = -code
            self._failed |= 1 << server
            self._again(0)
            return
        self._asked |= 1 << server
        wait = min(_FIRST_RETRY << min(self._tries // n, 4), _LAST_RETRY)
        self._tries += 1
        self._turn(min(wait, (self._ends - st[_NOW]) & 0x3FFFFFFF))

    def _again(self, ms):
        self._at_once = True
        if ms:
            self._wait(ms)
        else:
            self._wake()

    def _arrived(self, n):
        l4 = self.iface._l4
        client = self.client
        st = self._st
        sender = -1
        for i in range(client._count):
            if (self._asked >> i) & 1 and same(st, _SRC, client._servers, i):
                sender = i
        if self.phase != _ASKING or sender < 0 or (l4[0] << 8) | l4[1] != client.port:
            client.ignored = (client.ignored + 1) & 0x3FFFFFFF
            return
        self._use(self._read(l4, _MESSAGE, n, 0), sender)

    def _unreachable(self, number):
        # ICMP says that nobody listens at the server in SRC.
        client = self.client
        if self.phase == _ASKING:
            for i in range(client._count):
                if (self._asked >> i) & 1 and same(self._st, _SRC, client._servers, i):
                    self._failed |= 1 << i
                    self._error = number
                    self._again(0)

    def _read(self, buf, base, end, partial):
        return read_answer(
            buf,
            base,
            end,
            self._ident,
            self._label,
            self._length,
            partial,
            self.answer,
            self.client._scratch,
        )

    def _use(self, code, sender):
        client = self.client
        if code == MISMATCH:
            client.ignored = (client.ignored + 1) & 0x3FFFFFFF
        elif code > 0:
            self._finish(code)
        elif code == NO_NAME or code == 0:
            self._finish(-ENOENT)
        elif code == ALIAS and self._aliases < _ALIASES:
            # The server leaves it to us to follow (RFC 1034 section 5.2.2).
            self._aliases += 1
            self._length = self.answer[_TARGET]
            self._last = None
            put(self._label, 0, client._scratch)
            self._change(_BEGINNING)
        elif code == TRUNCATED:
            self._server = sender
            self._change(_STREAM)
        else:
            self._failed |= 1 << sender
            self._again(0)

    def _stream(self):
        # The answer is too long for a datagram: once more over TCP (RFC 7766).
        client = self.client
        stream = client._stream
        if stream is None:
            from .dns_tcp import Stream

            stream = client._stream = Stream(client.iface, client.stream_size)
        if stream.owner is None:
            move(client._scratch_word, 0, client._servers, self._server, 1)
            if not stream.begin(self, client._scratch_word, client.port):
                self._give_up_stream()
        elif stream.owner is self:
            n = stream.step()
            if n == -EAGAIN:
                return
            stream.end()
            code = FAILURE
            if n > 0:
                code = self._read(stream.buffer, 2, n, 1)
            if code == MISMATCH or code == TRUNCATED:
                code = FAILURE
            self.phase = _ASKING
            self._use(code, self._server)

    def _give_up_stream(self):
        self.phase = _ASKING
        self._use(FAILURE, self._server)


class DNSClient:
    """`DNSClient(iface, servers)`: `servers` is a list of up to four addresses.

    cache is for how many names. queries is how many may be asked for at once: each takes a place
    in the interface's table of sockets and half a kilobyte. A query ends within `timeout` ms,
    whatever happens. mixed_case: send letters in random case and expect them back so, which makes
    forging harder, but some servers do not go along. mdns: an `MDNS` for names that end in
    ".local". pump: a function that `resolve` calls while it waits, which polls the interface.
    stream_size: bytes of an answer over TCP that are looked at.
    """

    def __init__(
        self,
        iface,
        servers=(),
        *,
        cache=8,
        queries=2,
        timeout=10000,
        mixed_case=False,
        mdns=None,
        pump=None,
        port=_PORT,
        stream_size=1024,
    ):
        if not 0 < timeout <= 600000:
            raise ValueError("timeout must be 1 to 600000")
        if not 0 < cache <= 1024:
            raise ValueError("cache must be 1 to 1024")
        if not 0 < queries <= 64:
            raise ValueError("queries must be 1 to 64")
        self.iface = iface
        self.timeout = timeout
        self.mixed_case = mixed_case
        self.mdns = mdns
        self.pump = pump
        self.port = port
        self.stream_size = stream_size
        self.ignored = 0  # datagrams that are no answer to what was asked
        self._cache = Cache(cache)
        self._servers = array("I", [0] * _MOST_SERVERS)
        self._count = 0
        self._scratch = bytearray(256)
        self._scratch_word = array("I", [0])
        self._stream = None
        self._queries = []
        self.servers = servers
        try:
            for _ in range(queries):
                self._queries.append(iface.add(Query(self)))
        except OSError:
            self.close()
            raise

    @property
    def servers(self):
        """The servers as a list of text. Others may be set, within a callback too.

        What was learned from those before is forgotten then, and what is asked for is asked anew.
        """
        return [format(from_word(self._servers[i])) for i in range(self._count)]

    @servers.setter
    def servers(self, servers):
        words = [to_word(parse(server, "servers")) for server in servers]
        if len(words) > _MOST_SERVERS:
            raise ValueError("servers: at most %d" % _MOST_SERVERS)
        if words == [self._servers[i] for i in range(self._count)]:
            return
        self._count = len(words)
        for i, word in enumerate(words):
            self._servers[i] = word
        self._cache.clear()
        for query in self._queries:
            query.begin_anew()

    def lookup(self, name, addr):
        """The addresses of a name, as far as they are known: never waits.

        Fills the buffer addr with as many as it has room for, 4 bytes each, and returns how many.
        -EAGAIN: it is being asked for, call again. -ENOENT: it has no address. -ETIMEDOUT: no
        server has answered. -ENETUNREACH: no server, or no way there. -EIO: no server could tell.
        A failure is told once; the next call asks again.
        """
        n = self._cache.find(name, addr, self.iface._st[_NOW])
        place = None
        for query in self._queries:
            if query.name == name:
                if query.phase != _DONE:
                    return -EAGAIN
                if n < 0:
                    n = query.code
                    if n > 0:
                        n = give(query.answer, _ADDRESSES, n, addr)
                    elif n == -ENOENT:
                        n = 0
                    query.forget()
                    return n or -ENOENT
                query.forget()
            if query.phase == _IDLE:
                if place is None or place.phase == _DONE or name == query._last:
                    place = query
            elif query.phase == _DONE and place is None:
                place = query
        if n >= 0:
            return n or -ENOENT
        if self.mdns is not None and name.endswith(".local"):
            return self.mdns.lookup(name, addr)
        if place is None:
            return -EAGAIN if self._queries else -ENETUNREACH
        if name != place._last and name and name[-1].isdigit():
            try:
                addr[0:4] = parse(name)
                return 1
            except ValueError:
                pass
        if not self._count:
            return -ENETUNREACH
        place.begin(name)
        return -EAGAIN

    def resolve(self, name, timeout=None, pump=None):
        """The address of a name as text; waits at most `timeout` ms, by default twice `timeout`.

        Meanwhile it calls `pump`, or the one that the client was given, which has to poll the
        interface. Raises OSError with what `lookup` would return.
        """
        pump = pump or self.pump
        if pump is None:
            raise ValueError("pump: a function that polls the interface is needed")
        wait = self._waiting(name, timeout)
        while wait() == -EAGAIN:
            pump()
        return wait(True)

    async def aresolve(self, name, timeout=None):
        """As resolve(), for asyncio: some other task has to poll the interface."""
        import asyncio

        wait = self._waiting(name, timeout)
        while wait() == -EAGAIN:
            await asyncio.sleep(0.01)
        return wait(True)

    def _waiting(self, name, timeout):
        # A function that says -EAGAIN until there is a result, and then gives or raises that.
        addr = bytearray(4)
        limit = timeout or 2 * self.timeout
        st = self.iface._st
        state = [-1, -EAGAIN]

        def wait(end=False):
            if end:
                if state[1] < 0:
                    raise OSError(-state[1], name)
                return format(addr)
            code = self.lookup(name, addr)
            if code == -EAGAIN:
                # The first call may be before the first poll, when the clock is not known yet.
                if state[0] == -1:
                    state[0] = -2
                elif state[0] == -2:
                    state[0] = st[_NOW]
                elif ((st[_NOW] - state[0]) & 0x3FFFFFFF) >= limit:
                    code = -ETIMEDOUT
            state[1] = code
            return code

        return wait

    def flush(self):
        """Forgets all names."""
        self._cache.clear()

    def stats(self):
        """A dict: names in the cache, queries under way, datagrams that were ignored."""
        active = sum(query.phase != _IDLE for query in self._queries)
        return {"cached": len(self._cache), "queries": active, "ignored": self.ignored}

    def close(self):
        """Gives its places in the interface's table back."""
        if self._stream is not None:
            self._stream.end()
        for query in self._queries:
            self.iface.remove(query)
        self._queries = []

    def _sweep(self):
        ms = self._cache.sweep(self.iface._st[_NOW])
        if ms >= 0:
            self._queries[0]._wait_at_most(ms)

    def _end_stream(self, query):
        if self._stream is not None and self._stream.owner is query:
            self._stream.end()
