"""Multicast DNS (RFC 6762): answers for `<hostname>.local`, and finds the addresses of others.

The name is probed for and announced (section 8) whenever there is an address or another one, and
defended; where somebody else has it, a number is added (section 9). What is said of the name is
its A record, and that there are no others (section 6.1).
"""

from array import array

from micropython import const

from ..errno import EAGAIN, ENETUNREACH, ENOENT
from .dns_cache import Cache, give
from .dns_message import WORDS, encode
from .mdns_message import (
    ASKS_ADDRESS,
    IS_PROBE,
    WANTS_UNICAST,
    addresses,
    compare,
    is_neighbor,
    questions,
    write_header,
    write_type,
)
from .service import Service, chance, move, put, put_word, same, send_udp

# Of docs/layout.md: 'make format' writes these.
_NOW = const(4)
_SRC = const(7)
_DST = const(8)
_ADDRESSES = const(24)
_ADDRESS_TABLE = const(128)

_EAGAIN = const(11)
_EINPROGRESS = const(115)

# Words of our own: our address, the group, who is to be answered alone.
_OURS = const(0)
_GROUP = const(1)
_PEER = const(2)

_NO_ADDRESS = const(0)
_PROBING = const(1)
_ANNOUNCING = const(2)
_READY = const(3)
_STOPPED = const(4)
_NAMES = ("NO_ADDRESS", "PROBING", "ANNOUNCING", "READY", "STOPPED")

_TTL = const(0)
_FIRST = const(1)

_ADDRESS = "224.0.0.251"
_PORT = const(5353)
_HOP_LIMIT = const(255)
_MESSAGE = const(8)
_A = const(1)
_NSEC = const(47)
_ANY = const(255)
_IN = const(1)
_FLUSH = const(0x8001)  # class IN, and "this is all there is"; of a question: answer me alone
_RESPONSE = const(0x8400)
_LIFE = const(120)  # seconds (section 10)
_LEGACY_LIFE = const(10)  # section 6.7

_PROBES = const(3)
_PROBE_INTERVAL = const(250)
_ANNOUNCEMENTS = const(2)
_SECOND = const(1000)
_LOOK = const(5000)  # how often to look whether we have another address
_MANY_CONFLICTS = const(15)
_CONFLICT_PERIOD = const(10000)
_CONFLICT_PAUSE = const(5000)
_QUESTIONS = const(3)
_KEEP = const(30000)

_IDLE = const(0)
_ASKING = const(1)
_DONE = const(2)


class _Search:
    # One name that is looked for.

    def __init__(self):
        self.name = None
        self.phase = _IDLE
        self.count = 0
        self.label = bytearray(256)
        self.length = 0
        self.tries = 0
        self.at = 0
        self.last = None
        self.answer = array("I", [0] * WORDS)


class MDNS(Service):
    """`MDNS(iface, "printer")` answers for printer.local; hostname None: it only looks up.

    It takes two places in the interface's table of sockets, one of them for the membership in the
    group 224.0.0.251; a device with a filter has to let groups pass. cache: for how many names of
    others. on_change: called with this object when the name had to be changed.
    """

    def __init__(self, iface, hostname=None, *, cache=4, searches=2, on_change=None):
        super().__init__()
        if hostname is not None and (not 0 < len(hostname) <= 60 or "." in hostname):
            raise ValueError("hostname must be one word of at most 60 letters")
        self.on_change = on_change
        self._renamed = False  # on_change is to be called
        self.conflicts = 0
        self._conflicts_at = array("I", [0] * _MANY_CONFLICTS)  # when the latest were
        self._slow = False  # there have been too many
        self.malformed = 0
        self.ignored = 0
        self._base = None
        self._name = None  # as text, once somebody wants it
        self._number = 1
        self._label = bytearray(256)
        self._length = 0
        self._words = array("I", [0, 0xE00000FB, 0])
        self._heard = array("I", [0] * WORDS)
        self._phase = _NO_ADDRESS
        self._tries = 0
        self._at = 0
        self._sent = 0  # when the address was told to all
        self._told = False
        self._reply = 0  # what questions() says is to be answered to all
        self._alone = 0  # and to one
        self._alone_until = 0
        self._port = 0
        self._ident = 0
        self._kind = _A
        self._cache = Cache(cache)
        self._searches = [_Search() for _ in range(searches)]
        if hostname is not None:
            encode(hostname + ".local", self._label)
            self._base = hostname.lower().encode()
            self._write_label()
        iface.join_group(_ADDRESS)
        try:
            iface.add(self)
        except OSError:
            iface.leave_group(_ADDRESS)
            raise
        self._open(_PORT)
        self._wake()

    @property
    def name(self):
        """Our name as text, such as "printer.local", or None."""
        if self._name is None and self._base is not None:
            self._name = bytes(self._label[1 : 1 + self._label[0]]).decode() + ".local"
        return self._name

    @property
    def hostname(self):
        """Its first word."""
        return self.name and self.name[:-6]

    @property
    def ready(self):
        """Whether the name is ours."""
        return self._phase == _READY or self._phase == _ANNOUNCING

    @property
    def state_name(self):
        return _NAMES[self._phase]

    def stats(self):
        """A dict of counts: conflicts about the name, messages that were malformed or ignored."""
        return {
            "conflicts": self.conflicts,
            "malformed": self.malformed,
            "ignored": self.ignored,
            "cached": len(self._cache),
        }

    def restart(self):
        """Probes and announces anew, as after the link was gone."""
        if self._phase != _STOPPED:
            self._phase = _NO_ADDRESS
            self._wake()

    def close(self):
        """Says that the name is gone, leaves the group and the interface."""
        if self.ready:
            self._tell(_GROUP, _PORT, 0, 0)
        super().close()

    def _detach(self):
        self._phase = _STOPPED
        self.iface.leave_group(_ADDRESS)
        super()._detach()

    def _write_label(self):
        # The name with its number, from the second on.
        label = self._label
        at = put(label, 1, self._base)
        number = self._number
        if number > 1:
            label[at] = 45
            at += 1
            if number > 9:
                label[at] = 48 + number // 10
                at += 1
            label[at] = 48 + number % 10
            at += 1
        label[0] = at - 1
        self._length = put(label, at, b"\x05local\0")
        self._name = None

    def lookup(self, name, addr):
        """The addresses of a name that ends in ".local": as DNSClient.lookup().

        -ENOENT: nobody has answered for it within some seconds.
        """
        st = self._st
        if st is None:
            return -ENETUNREACH  # closed
        now = st[_NOW]
        if name == self.name and self.ready:
            return give(self._words, _OURS, 1, addr)
        n = self._cache.find(name, addr, now)
        place = None
        for search in self._searches:
            if search.name == name:
                if search.phase == _ASKING:
                    return -EAGAIN
                count = search.count
                self._free(search)
                if n < 0:
                    return give(search.answer, _FIRST, count, addr) if count else -ENOENT
            if search.phase == _IDLE and (place is None or search.last == name):
                place = search
        if n >= 0:
            return n
        if place is None:
            for search in self._searches:
                if search.phase == _DONE:
                    place = search
            if place is None:
                return -EAGAIN
        if place.last != name:
            place.last = None
            place.length = encode(name, place.label)
            place.last = name
        place.name = name
        place.phase = _ASKING
        place.tries = 0
        self._wake()
        return -EAGAIN

    def _free(self, search):
        search.phase = _IDLE
        search.name = None

    # Turns

    def _is_before(self, time):
        return ((self._st[_NOW] - time) >> 29) & 1

    def _left(self, time):
        left = (time - self._st[_NOW]) & 0x3FFFFFFF
        return 0 if left >> 29 else left

    def _turn(self, ms):
        self._at = (self._st[_NOW] + ms) & 0x3FFFFFFF

    def _egress(self):
        if self._renamed:
            # Before the first probe of the new name, since the program may close() us.
            self._renamed = False
            if self.on_change is not None:
                self.on_change(self)
        if self._phase != _STOPPED:
            self._take_turn()
        return 0

    def _take_turn(self):
        st = self._st
        if not st[_ADDRESSES]:
            self._phase = _NO_ADDRESS
            for search in self._searches:
                if search.phase != _IDLE:
                    self._search(search)
            self._wait(_SECOND)
            return
        if self._phase == _NO_ADDRESS or not same(self._words, _OURS, st, _ADDRESS_TABLE):
            move(self._words, _OURS, st, _ADDRESS_TABLE, 1)
            self._begin(_PROBE_INTERVAL)
        if self._alone:
            self._answer_alone()
        if self._reply and self.ready:
            self._answer_all()
        if self._phase != _STOPPED and not self._is_before(self._at):
            self._act()
        next_ms = self._left(self._at)
        if self._reply:
            next_ms = min(next_ms, self._left((self._sent + _SECOND) & 0x3FFFFFFF))
        if self._alone:
            next_ms = min(next_ms, 100)
        for search in self._searches:
            if search.phase != _IDLE:
                next_ms = min(next_ms, self._search(search))
        ms = self._cache.sweep(st[_NOW])
        if ms >= 0:
            next_ms = min(next_ms, ms)
        self._wait(max(next_ms, 1))

    def _begin(self, delay):
        # Section 8.1: after a random time, so that not all do so that were switched on together.
        self._phase = _PROBING if self._base is not None else _READY
        self._tries = 0
        self._reply = self._alone = 0
        self._turn(chance(self._st, delay))

    def _act(self):
        if self._phase == _PROBING:
            if self._tries == _PROBES:
                self._phase = _ANNOUNCING
                self._tries = 0
            else:
                if self._probe() == -_EAGAIN:
                    self._turn(1)
                    return
                self._tries += 1
                self._turn(_PROBE_INTERVAL)
                return
        if self._phase == _ANNOUNCING:
            if self._tell(_GROUP, _PORT, 0, _LIFE) == -_EAGAIN:
                self._turn(1)
                return
            self._tries += 1
            if self._tries < _ANNOUNCEMENTS:
                self._turn(_SECOND)
                return
            self._phase = _READY
        self._turn(_LOOK)

    def _search(self, search):
        # Asks when it is time; returns the ms until the next time.
        st = self._st
        if search.phase == _DONE:
            if self._is_before(search.at):
                return self._left(search.at)
            self._free(search)
            return _LOOK
        if not search.tries or not self._is_before(search.at):
            if search.tries == _QUESTIONS:
                self._found(search, 0)
                return _KEEP
            if st[_ADDRESSES] and self._ask(search) == -_EAGAIN:
                return 1
            search.at = (st[_NOW] + (_SECOND << search.tries)) & 0x3FFFFFFF
            search.tries += 1
        return self._left(search.at)

    def _ask(self, search):
        # Section 5.4: the first time the answer may come to us alone.
        cls = _IN if search.tries else _FLUSH
        l4 = self.iface._l4
        at = write_header(l4, _MESSAGE, 0, 0, 1, 0)
        at = write_type(l4, at, search.label, search.length, _A, cls)
        return self._send(at, _GROUP, _PORT)

    def _found(self, search, count):
        st = self._st
        if count and search.answer[_TTL]:
            self._cache.store(search.name, count, search.answer, st[_NOW])
        search.count = count
        search.phase = _DONE
        search.at = (st[_NOW] + _KEEP) & 0x3FFFFFFF

    # What is sent

    def _send(self, end, to, port):
        st = self._st
        move(st, _SRC, self._words, _OURS, 1)
        move(st, _DST, self._words, to, 1)
        return send_udp(self.iface, st, end - _MESSAGE, _PORT, port, _HOP_LIMIT)

    def _probe(self):
        l4 = self.iface._l4
        at = write_header(l4, _MESSAGE, 0, 0, 1, 0)
        l4[_MESSAGE + 9] = 1
        at = write_type(l4, at, self._label, self._length, _ANY, _FLUSH)
        at = self._record(l4, at, _IN, _LIFE)
        return self._send(at, _GROUP, _PORT)

    def _record(self, l4, at, cls, life):
        at = write_type(l4, at, self._label, self._length, _A, cls)
        put(l4, at, b"\0\0\0\0\0\x04")
        l4[at + 3] = life
        return put_word(l4, at + 6, self._words, _OURS)

    def _tell(self, to, port, ident, life):
        # Our address, to all or to one.
        l4 = self.iface._l4
        legacy = port != _PORT
        at = write_header(l4, _MESSAGE, ident, _RESPONSE, 1 if legacy else 0, 1)
        if legacy:
            at = write_type(l4, at, self._label, self._length, self._kind, _IN)
            life = min(life, _LEGACY_LIFE)
        at = self._record(l4, at, _IN if legacy else _FLUSH, life)
        result = self._send(at, to, port)
        if result == 0 and to == _GROUP:
            self._sent = self._st[_NOW]
            self._told = True
        return result

    def _tell_no_other(self, to, port, ident):
        # That there is nothing but an address.
        l4 = self.iface._l4
        legacy = port != _PORT
        at = write_header(l4, _MESSAGE, ident, _RESPONSE, 1 if legacy else 0, 1)
        if legacy:
            at = write_type(l4, at, self._label, self._length, self._kind, _IN)
        at = write_type(l4, at, self._label, self._length, _NSEC, _IN if legacy else _FLUSH)
        put(l4, at, b"\0\0\0\x0a\0\x05\xc0\x0c\0\x01\x40")
        if not legacy:
            l4[at + 3] = _LIFE
        return self._send(at + 11, to, port)

    def _answer_all(self):
        st = self._st
        reply = self._reply
        if reply & ASKS_ADDRESS:
            # Section 6: once a second, but a probe has to be answered.
            soon = self._told and (st[_NOW] - self._sent) & 0x3FFFFFFF < _SECOND
            if soon and not reply & IS_PROBE:
                return
            if self._tell(_GROUP, _PORT, 0, _LIFE) == -_EAGAIN:
                self._wake()
                return
        elif self._tell_no_other(_GROUP, _PORT, 0) == -_EAGAIN:
            self._wake()
            return
        self._reply = 0

    def _answer_alone(self):
        if self.ready:
            if self._alone & ASKS_ADDRESS:
                result = self._tell(_PEER, self._port, self._ident, _LIFE)
            else:
                result = self._tell_no_other(_PEER, self._port, self._ident)
            if result == -_EAGAIN or result == -_EINPROGRESS:
                if self._is_before(self._alone_until):
                    return
        self._alone = 0

    # What is heard

    def _arrived(self, n):
        l4 = self.iface._l4
        st = self._st
        if n < _MESSAGE + 12 or l4[_MESSAGE + 2] & 0x78:
            self.malformed = (self.malformed + 1) & 0x3FFFFFFF
            return
        port = (l4[0] << 8) | l4[1]
        response = l4[_MESSAGE + 2] & 0x80
        if not is_neighbor(st) or (response and port != _PORT):
            self.ignored = (self.ignored + 1) & 0x3FFFFFFF
            return
        result = self._hear_answer(l4, n) if response else self._hear_question(l4, n, port)
        if result < 0:
            self.malformed = (self.malformed + 1) & 0x3FFFFFFF

    def _hear_answer(self, l4, n):
        for search in self._searches:
            if search.phase == _ASKING:
                count = addresses(l4, _MESSAGE, n, search.label, 0, 2, search.answer)
                if count < 0:
                    return count
                if count and search.answer[_TTL]:
                    self._found(search, count)
                    self._wake()
        if self._base is None or self._phase == _NO_ADDRESS or self._phase == _STOPPED:
            return 0
        heard = self._heard
        count = addresses(l4, _MESSAGE, n, self._label, 0, 2, heard)
        for i in range(count):
            if heard[_TTL] and compare(heard, _FIRST + i, self._words, _OURS):
                self._conflict()
                break
        return count

    def _hear_question(self, l4, n, port):
        st = self._st
        if self._base is None:
            return 0
        bits = questions(l4, _MESSAGE, n, self._label)
        if bits <= 0 or self._phase == _NO_ADDRESS or self._phase == _STOPPED:
            return bits
        heard = self._heard
        if self._phase == _PROBING:
            if bits & IS_PROBE:
                # Section 8.2: two want the name at once; the greater address has it.
                count = addresses(l4, _MESSAGE, n, self._label, 1, 1, heard)
                if count > 0 and compare(heard, _FIRST, self._words, _OURS) > 0:
                    self._begin(1)
                    self._turn(_SECOND)
                    self._wake()
            return 0
        count = addresses(l4, _MESSAGE, n, self._label, 0, 0, heard)
        if count < 0:
            return count
        for i in range(count):
            # Section 7.1: who asks knows it already.
            if heard[_TTL] >= _LIFE // 2 and not compare(heard, _FIRST + i, self._words, _OURS):
                return 0
        if port != _PORT or bits & WANTS_UNICAST:
            if not self._alone:
                self._alone = bits
                self._alone_until = (st[_NOW] + _SECOND) & 0x3FFFFFFF
                self._port = port
                self._ident = ((l4[_MESSAGE] << 8) | l4[_MESSAGE + 1]) if port != _PORT else 0
                self._kind = self._asked_kind(l4)
                move(self._words, _PEER, st, _SRC, 1)
            elif port == _PORT:
                self._reply |= bits
        else:
            self._reply |= bits
        self._wake()
        return 0

    def _asked_kind(self, l4):
        # The type of the first question; with a single one, as it has to be sent back.
        at = _MESSAGE + 12
        while l4[at] and l4[at] < 0xC0:
            at += l4[at] + 1
        at += 2 if l4[at] else 1
        return (l4[at] << 8) | l4[at + 1]

    def _conflict(self):
        # Section 8.1: after fifteen within ten seconds each attempt waits for five, until there
        # have been ten without a conflict.
        times = self._conflicts_at
        now = self._st[_NOW]
        n = self.conflicts
        if (now - times[(n - 1) % _MANY_CONFLICTS]) & 0x3FFFFFFF >= _CONFLICT_PERIOD:
            self._slow = False
        times[n % _MANY_CONFLICTS] = now
        self.conflicts = n = (n + 1) & 0x3FFFFFFF
        if n >= _MANY_CONFLICTS:
            first = times[n % _MANY_CONFLICTS]
            if (now - first) & 0x3FFFFFFF < _CONFLICT_PERIOD:
                self._slow = True
        if self._phase == _PROBING:
            # Section 9: somebody has it. The next name.
            self._number = self._number + 1 if self._number < 99 else 2
            self._write_label()
            self._renamed = True
        self._begin(_PROBE_INTERVAL)
        if self._slow:
            self._turn(_CONFLICT_PAUSE)
        self._wake()
