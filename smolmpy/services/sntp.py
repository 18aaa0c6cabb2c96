"""An SNTP client (RFC 4330, RFC 5905 section 14): the time of day, in UTC.

Seconds since 1970 are kept as 32 bits without sign in an array, so neither the end of NTP's first
era in 2036 nor that of 31 bits in 2038 matters; it is good until 2106.
"""

from array import array

import micropython
from micropython import const

from ..core.demux import remove
from ..ip.route import source
from ..wire.address import format, from_word, parse
from .service import Service, chance, fill, free_port, get_word, move, put, same, send_udp

# Of docs/layout.md: 'make format' writes these.
_NOW = const(4)
_SRC = const(7)
_DST = const(8)
_HOP_LIMIT = const(64)

_EAGAIN = const(11)
_EINPROGRESS = const(115)

_SECONDS = const(0)
_MILLIS = const(1)  # into the second
_SERVER = const(2)  # the one that is being asked
_GIVEN = const(3)  # seconds and milliseconds of an answer
_WORDS = const(5)

_STOPPED = const(0)
_WAITING = const(1)
_ASKING = const(2)

_PORT = const(123)
_MESSAGE = const(8)
_SIZE = const(48)
_TRIES = const(2)
_TIMEOUT = const(2000)
_FIRST_PAUSE = const(16)  # seconds
_MOST_SERVERS = const(8)
_LONGEST = const(60000000)  # ms between two looks at the clock

_DENIED = const(1)


@micropython.viper
def read_answer(p: ptr8, n: int, c: ptr8, w: ptr32) -> int:
    """Reads an answer of n bytes, UDP header included; `cookie` is the time in the request.

    Puts seconds since 1970 and milliseconds into words[GIVEN], and returns how many milliseconds
    the server has held the request << 2; or << 2 | 1 if it says never to come again, | 2 if less
    often; -1 if it is no answer or not to be trusted.
    """
    if n < 56 or p[8] & 7 != 4:
        return -1
    i = 0
    while i < 8:
        if p[32 + i] != c[i]:
            return -1
        i += 1
    version = (p[8] >> 3) & 7
    if version < 3 or version > 4:
        return -1
    if not p[9]:
        # RFC 5905 section 7.4: the kiss of death.
        code = (p[20] << 16) | (p[21] << 8) | p[22]
        if code == 0x524154 and p[23] == 0x45:  # RATE
            return 2
        if (code == 0x44454E and p[23] == 0x59) or (code == 0x525354 and p[23] == 0x52):
            return 1  # DENY, RSTR
        return -1
    # Not synchronized; a stratum that there is not; as far as 16 seconds from the true time.
    if p[8] >> 6 == 3 or p[9] > 15 or p[12] or p[13] > 15 or p[16] or p[17] > 15:
        return -1
    # Since 1900, to since 1970: 2208988800 is 0x83AA7E80.
    base = 0x83AA
    base = (base << 16) | 0x7E80
    seconds = (p[48] << 24) | (p[49] << 16) | (p[50] << 8) | p[51]
    came = (p[40] << 24) | (p[41] << 16) | (p[42] << 8) | p[43]
    millis = (((p[52] << 8) | p[53]) * 1000) >> 16
    M = 0xFFFF
    M |= M << 16
    came = (seconds - came) & M
    if (came >> 4) & 0xFFFFFFF:
        return -1  # sent before it came, or 16 seconds later
    held = came * 1000 + millis - ((((p[44] << 8) | p[45]) * 1000) >> 16)
    if held < 0:
        return -1
    seconds = (seconds - base) & M
    # Before 2024 there was no such program, so no server is right that says so.
    if (seconds >> 16) & 0xFFFF < 0x6592:
        return -1
    w[_GIVEN] = seconds
    w[_GIVEN + 1] = millis
    return held << 2


@micropython.viper
def _advance(w: ptr32, ms: int):
    # Moves the time in the words ahead.
    M = 0xFFFF
    M |= M << 16
    ms += w[_MILLIS]
    w[_SECONDS] = (w[_SECONDS] + ms // 1000) & M
    w[_MILLIS] = ms % 1000


@micropython.viper
def _set(words, ms: int):
    # The time given, `ms` later, is the time.
    w = ptr32(words)
    w[_SECONDS] = w[_GIVEN]
    w[_MILLIS] = w[_GIVEN + 1]
    _advance(words, ms)


@micropython.viper
def _split(words, fields):
    # Days since 1970, and the seconds of the day, as small numbers: 86400 is 675 * 128.
    seconds = ptr32(words)[_SECONDS]
    parts = (seconds >> 7) & 0x1FFFFFF
    fields[0] = parts // 675
    fields[1] = (parts % 675) * 128 + (seconds & 127)


def _rtc():
    try:
        from machine import RTC

        return RTC()
    except (ImportError, TypeError, OSError):
        return None


class SNTPClient(Service):
    """`SNTPClient(iface, servers)` asks at once, and then every `interval` seconds.

    servers: up to eight addresses, or names if there is a `dns` (a `DNSClient`); the next one is
    asked when one does not answer, or not sensibly. interval: 16 to 86400 seconds; after a round
    without answer it tries sooner, after 16 s, 32 s, and so on. rtc: an object whose
    `datetime(fields)` is called with each answer, by default the board's `machine.RTC`, if it has
    one; None for none. on_time: called with the client, within `poll`, after each answer.

    `synced` tells whether there has been an answer, `server` whose the last was, and `round_trip`
    how many milliseconds it took.
    """

    def __init__(self, iface, servers=(), *, dns=None, interval=3600, rtc=True, on_time=None):
        super().__init__()
        if not 16 <= interval <= 86400:
            raise ValueError("interval must be 16 to 86400")
        self.dns = dns
        self.interval = interval
        self.on_time = on_time
        self.synced = False
        self.round_trip = 0
        self.ignored = 0
        self._rtc = _rtc() if rtc is True else rtc
        self._words = array("I", [0] * _WORDS)
        self._cookie = bytearray(8)
        self._addr = bytearray(4)
        self._fields = [0] * 8
        self._servers = ()
        self._addresses = []  # None for those whose name has to be looked up
        self._denied = 0
        self._which = 0
        self._left = 0  # tries in this round
        self._pause = _FIRST_PAUSE
        self._phase = _STOPPED
        self._held = -1
        self._at = 0
        self._at_once = False
        self._seen = 0
        self._sent = 0
        self._came = 0
        self._port = 0
        iface.add(self)
        try:
            self.servers = servers
        except ValueError:
            self.close()
            raise

    @property
    def servers(self):
        """The servers, as a tuple; setting others begins with these at once."""
        return self._servers

    @servers.setter
    def servers(self, servers):
        servers = tuple(servers)
        if len(servers) > _MOST_SERVERS:
            raise ValueError("servers: at most %d" % _MOST_SERVERS)
        addresses = []
        for server in servers:
            try:
                addresses.append(parse(server, "servers"))
            except ValueError:
                if self.dns is None:
                    raise
                from .dns_message import encode

                encode(server, bytearray(256))  # now, not when it is asked for
                addresses.append(None)
        if servers != self._servers:
            self._servers = servers
            self._addresses = addresses
            self._denied = 0
            self._which = 0
            self.sync()

    def sync(self):
        """Asks at once."""
        self._stop_asking()
        self._pause = _FIRST_PAUSE
        self._phase = _WAITING
        self._begin_round()

    def stop(self):
        """Asks no more; the time goes on."""
        self._stop_asking()
        self._phase = _STOPPED

    @property
    def server(self):
        """The server of the last answer as text, or None."""
        return format(from_word(self._words[_SERVER])) if self.synced else None

    def time(self):
        """Seconds since 1970 in UTC; 0 before the first answer."""
        if not self.synced:
            return 0
        self._tick()
        return self._words[_SECONDS]

    def datetime(self, fields):
        """Fills a list of 8 as `machine.RTC.datetime` takes it, in UTC; False if not known yet.

        That is year, month, day, weekday (Monday is 0), hours, minutes, seconds, 0.
        """
        if not self.synced:
            return False
        self._tick()
        _split(self._words, fields)
        days = fields[0]
        seconds = fields[1]
        fields[3] = (days + 3) % 7
        fields[4] = seconds // 3600
        fields[5] = seconds // 60 % 60
        fields[6] = seconds % 60
        fields[7] = 0
        year = 1970
        while True:
            # Up to 2106: only 2100 is an exception.
            leap = 1 if year % 4 == 0 and year != 2100 else 0
            if days < 365 + leap:
                break
            days -= 365 + leap
            year += 1
        month = 1
        while True:
            size = 28 + leap if month == 2 else 30 + (month + month // 8) % 2
            if days < size:
                break
            days -= size
            month += 1
        fields[0] = year
        fields[1] = month
        fields[2] = days + 1
        return True

    @property
    def millis(self):
        """Milliseconds into the second that time() tells."""
        return self._words[_MILLIS]

    def stats(self):
        """A dict: datagrams that were ignored, milliseconds that the last answer took."""
        return {"ignored": self.ignored, "round_trip": self.round_trip}

    # Turns

    def _tick(self):
        now = self._st[_NOW]
        _advance(self._words, (now - self._seen) & 0x3FFFFFFF)
        self._seen = now

    def _turn(self, ms):
        self._at = (self._st[_NOW] + ms) & 0x3FFFFFFF
        self._wait(min(ms, _LONGEST))

    def _begin_round(self):
        self._left = _TRIES * len(self._servers)
        self._at_once = True
        self._wake()

    def _stop_asking(self):
        self._held = -1  # an answer that has not been looked at is none
        if self._phase == _ASKING:
            remove(self.iface._demux, self._st, self._slot)
            self._phase = _WAITING

    def _egress(self):
        self._tick()
        if self._held >= 0:
            self._heard()
        elif not self._at_once and ((self._st[_NOW] - self._at) >> 29) & 1:
            self._wait(min((self._at - self._st[_NOW]) & 0x3FFFFFFF, _LONGEST))
        elif self._phase == _STOPPED:
            self._turn(_LONGEST)  # the time goes on
        else:
            self._at_once = False
            if self._phase == _ASKING:
                self._next()
            else:
                if not self._left:
                    self._left = _TRIES * len(self._servers)
                self._ask()
        return 0

    def _next(self):
        # No answer: another one, or later.
        self._stop_asking()
        self._left -= 1
        if len(self._servers):
            self._which = (self._which + 1) % len(self._servers)
        if self._left > 0:
            self._at_once = True
            self._wake()
        else:
            self._left = 0
            self._turn(self._pause * 1000)
            self._pause = min(self._pause * 2, self.interval)

    def _ask(self):
        if not self._servers:
            self._turn(_LONGEST)
            return
        if (self._denied >> self._which) & 1:
            self._next()
            return
        code = self._find()
        if code == -_EAGAIN:
            self._again(100)
            return
        if code < 0 or not self._send():
            self._next()

    def _find(self):
        # Puts the address of the server whose turn it is into _addr; not negative if it is there.
        known = self._addresses[self._which]
        if known is None:
            dns = self.dns
            return dns.lookup(self._servers[self._which], self._addr) if dns else -1
        put(self._addr, 0, known)
        return 1

    def _send(self):
        # Returns False if that server can not be asked.
        st = self._st
        iface = self.iface
        words = self._words
        get_word(words, _SERVER, self._addr, 0)
        move(st, _DST, words, _SERVER, 1)
        if source(st) < 0:
            return False
        move(words, _GIVEN, st, _SRC, 1)
        # The server sends this back as the time of the request: nobody else can know it.
        for i in range(8):
            self._cookie[i] = chance(st, 256)
        self._port = free_port(iface._demux, st)
        self._open(self._port)
        l4 = iface._l4
        fill(l4, _MESSAGE, _SIZE, 0)
        l4[_MESSAGE] = 0x23  # version 4, client
        put(l4, _MESSAGE + 40, self._cookie)
        move(st, _SRC, words, _GIVEN, 1)
        move(st, _DST, words, _SERVER, 1)
        code = send_udp(iface, st, _SIZE, self._port, _PORT, _HOP_LIMIT)
        if code == 0:
            self._phase = _ASKING
            self._sent = st[_NOW]
            self._turn(_TIMEOUT)
        elif code == -_EAGAIN or code == -_EINPROGRESS:
            self._again(1 if code == -_EAGAIN else 500)
        else:
            return False
        return True

    def _again(self, ms):
        self._at_once = True
        if ms:
            self._wait(ms)
        else:
            self._wake()

    def _arrived(self, n):
        l4 = self.iface._l4
        code = -1
        if self._phase == _ASKING and same(self._st, _SRC, self._words, _SERVER):
            if (l4[0] << 8) | l4[1] == _PORT and self._held < 0:
                code = read_answer(l4, n, self._cookie, self._words)
        if code < 0:
            self.ignored = (self.ignored + 1) & 0x3FFFFFFF
        else:
            self._held = code
            self._came = self._st[_NOW]
            self._wake()

    def _unreachable(self, number):
        if self._phase == _ASKING and same(self._st, _SRC, self._words, _SERVER):
            self._again(0)

    def _heard(self):
        code = self._held
        self._held = -1
        if code & 3:
            if code & 3 == _DENIED:
                self._denied |= 1 << self._which
            else:
                self.interval = min(2 * self.interval, 86400)
            self._next()
            return
        st = self._st
        trip = (self._came - self._sent) & 0x3FFFFFFF
        trip = max(0, trip - (code >> 2))
        _set(self._words, (trip >> 1) + ((st[_NOW] - self._came) & 0x3FFFFFFF))
        self.round_trip = trip
        self.synced = True
        self._stop_asking()
        self._left = 0
        self._pause = _FIRST_PAUSE
        self._turn(self.interval * 1000)
        if self._rtc is not None:
            self.datetime(self._fields)
            self._rtc.datetime(self._fields)
        if self.on_time is not None:
            self.on_time(self)
