"""A DHCP client (RFC 2131): an address, a router and servers from the net, kept up to date.

States: STOPPED; NO_LINK, the cable is out; INIT, about to begin; SELECTING, an offer is awaited;
REQUESTING, and its confirmation; PROBING, nobody else may have the address (RFC 5227); BOUND;
RENEWING, our server is asked to prolong the lease; REBINDING, any server is; REBOOTING, a server
is asked whether an address from before still holds.

Times within an exchange are milliseconds; those of the lease are seconds since it was asked for,
counted from turn to turn, so neither the wrap of the clock nor a lease of many years matters.
"""

from array import array

from micropython import const

from ..link.arp import request
from ..wire.address import format, from_word, parse, to_word
from .config import announce, assign, set_gateway, withdraw
from .dhcp_message import WORDS, is_for_us
from .dhcp_message import parse as parse_message
from .service import Service, chance, fill, move, put, put_word, same, send_udp

# Of docs/layout.md: 'make format' writes these.
_NOW = const(4)
_SRC = const(7)
_DST = const(8)
_FLAGS = const(19)
_WATCHED = const(117)
_WATCHER = const(118)
_CONFIGURING = const(8)
_HOP_LIMIT = const(64)

_EAGAIN = const(11)
_EINPROGRESS = const(115)

# Words of a message (dhcp_message.py), and behind those of the lease.
_ADDR = const(0)
_MASK = const(1)
_ROUTER = const(2)
_SERVER = const(3)
_LEASE = const(4)
_T1 = const(5)
_T2 = const(6)
_DNS = const(7)
_NTP = const(10)
_ZERO = const(13)
_EVERYBODY = const(14)
_OLD_ROUTER = const(15)

_STOPPED = const(0)
_NO_LINK = const(1)
_INIT = const(2)
_SELECTING = const(3)
_REQUESTING = const(4)
_PROBING = const(5)
_BOUND = const(6)
_RENEWING = const(7)
_REBINDING = const(8)
_REBOOTING = const(9)
_NAMES = (
    "STOPPED",
    "NO_LINK",
    "INIT",
    "SELECTING",
    "REQUESTING",
    "PROBING",
    "BOUND",
    "RENEWING",
    "REBINDING",
    "REBOOTING",
)

_DISCOVER = const(1)
_OFFER = const(2)
_REQUEST = const(3)
_DECLINE = const(4)
_ACK = const(5)
_NAK = const(6)
_RELEASE = const(7)

_CLIENT_PORT = const(68)
_SERVER_PORT = const(67)
_FOREVER = const(0x3FFFFFFF)
_MESSAGE = const(8)  # where the message begins in the view behind the IPv4 header
_LEAST = const(300)  # bytes: what BOOTP relays expect (RFC 1542 section 2.1)

_LINK_INTERVAL = const(1000)
_FIRST_RETRY = const(4000)
_LAST_RETRY = const(64000)
_REQUESTS = const(3)
_AFTER_NAK = const(1000)
_AFTER_DECLINE = const(10000)  # RFC 2131 section 3.1.5
_DEFEND_INTERVAL = const(10000)  # RFC 5227 section 1.1
_PROBES = const(3)
_RELEASE_PATIENCE = const(3000)
_LONGEST_WAIT = const(60000)  # seconds
_LEAST_LEASE = const(10)  # seconds

_PARAMETERS = b"\x37\x07\x01\x03\x06\x2a\x33\x3a\x3b"


class DHCPClient(Service):
    """`DHCPClient(iface)` begins at once and keeps the interface configured for ever.

    It takes a place in the interface's table of sockets. hostname: told to the server (option
    12). client_id: bytes for option 61 instead of the hardware address. address: one from before,
    asked for first. broadcast: True to have answers sent to all, False to our address alone, None
    to try both. probe: the time unit of the conflict check in ms (RFC 5227 has 1000, which takes
    4 to 7 s; 0: no check). on_change: called with the client, within `poll`, after what it has to
    tell has changed.

    `changed` is set then too, and is the program's to clear.
    """

    STOPPED = _STOPPED
    NO_LINK = _NO_LINK
    INIT = _INIT
    SELECTING = _SELECTING
    REQUESTING = _REQUESTING
    PROBING = _PROBING
    BOUND = _BOUND
    RENEWING = _RENEWING
    REBINDING = _REBINDING
    REBOOTING = _REBOOTING

    def __init__(
        self,
        iface,
        hostname=None,
        *,
        client_id=None,
        address=None,
        broadcast=None,
        probe=1000,
        on_change=None,
    ):
        super().__init__()
        if hostname is None:
            hostname = b""
        elif isinstance(hostname, str):
            hostname = hostname.encode()
        if len(hostname) > 63:
            raise ValueError("hostname: at most 63 bytes")
        if client_id is None:
            client_id = b"\x01" + iface.mac
        if not 2 <= len(client_id) <= 64:
            raise ValueError("client_id must be 2 to 64 bytes")
        if not 0 <= probe <= 10000:
            raise ValueError("probe must be 0 to 10000")
        self._hostname = hostname
        self._client_id = bytes(client_id)
        self._broadcast = broadcast
        self._probe = probe
        self.on_change = on_change
        self.changed = False
        self.malformed = 0
        self.ignored = 0
        self.naks = 0
        self.conflicts = 0
        self._state = _STOPPED
        self._lease = array("I", [0] * (_OLD_ROUTER + 1))
        self._lease[_EVERYBODY] = 0xFFFFFFFF
        self._offer = array("I", [0] * WORDS)
        self._xid = bytearray(4)
        self._event = 0  # the type of the message in _offer, until it has been dealt with
        self._tries = 0
        self._refusals = 0
        self._flag = 0  # whether answers are to be sent to all
        self._seconds = 0
        self._asked = 0  # the age when this exchange began
        self._at = 0  # when this state has its next turn
        self._at_once = False
        self._seen = 0  # the clock at the last turn
        self._millis = 0
        self._age = 0  # seconds since the lease was asked for
        self._t1 = 0
        self._t2 = 0
        self._configured = False
        self._news = False  # on_change is to be called
        self._announces = 0
        self._conflict_age = -1
        self._link = getattr(iface.device, "link", None)
        if address is not None:
            self._lease[_ADDR] = to_word(parse(address))
        iface.add(self)
        self._open(_CLIENT_PORT)
        self._seen = self._st[_NOW]
        self.start()

    # What it has to tell

    @property
    def state(self):
        """One of the states at the head of this module."""
        return self._state

    @property
    def state_name(self):
        return _NAMES[self._state]

    @property
    def bound(self):
        """Whether the interface has an address from here."""
        return self._configured

    @property
    def lease(self):
        """Seconds that are left of the lease; -1 for ever, 0 without one."""
        if not self._configured:
            return 0
        self._tick()
        seconds = self._lease[_LEASE]
        return -1 if seconds == _FOREVER else max(0, seconds - self._age)

    @property
    def address(self):
        """Our address as text, or None; likewise `mask`, `router` and `server`."""
        return self._text(_ADDR)

    @property
    def mask(self):
        return self._text(_MASK)

    @property
    def router(self):
        return self._text(_ROUTER)

    @property
    def server(self):
        return self._text(_SERVER)

    @property
    def dns(self):
        """The name servers as a list of text; likewise `ntp`, the time servers."""
        return self._list(_DNS)

    @property
    def ntp(self):
        return self._list(_NTP)

    def _text(self, at):
        word = self._lease[at]
        return format(from_word(word)) if self._configured and word else None

    def _list(self, at):
        return [text for text in (self._text(at + i) for i in range(3)) if text]

    def stats(self):
        """A dict of counts: messages dropped as malformed or not ours, NAKs, conflicts."""
        return {
            "malformed": self.malformed,
            "ignored": self.ignored,
            "naks": self.naks,
            "conflicts": self.conflicts,
        }

    # What it can be told

    def start(self):
        """Begins, from STOPPED."""
        self._need_iface()
        if self._state == _STOPPED:
            self._begin(0)

    def stop(self):
        """Gives up the address without a word to the server."""
        if self.iface is not None:
            self._unconfigure()
            self._enter(_STOPPED)
            self._wait(-1)
            self._report()

    def _detach(self):
        self._unconfigure()
        self._enter(_STOPPED)
        super()._detach()
        self._report()

    def release(self):
        """Tells the server that the address is free, gives it up and stops (section 4.4.6)."""
        if not self._configured:
            self.stop()
        else:
            self._enter(_STOPPED)
            self._tries = 1
            self._at = (self._st[_NOW] + _RELEASE_PATIENCE) & 0x3FFFFFFF
            self._go()
            self._report()

    # Turns

    def _enter(self, state):
        self._state = state
        self._tries = 0
        self._event = 0
        st = self._st
        if state in (_SELECTING, _REQUESTING, _REBOOTING):
            st[_FLAGS] |= _CONFIGURING
        else:
            st[_FLAGS] &= ~_CONFIGURING
        if state < _PROBING and not self._configured:
            st[_WATCHED] = 0

    def _begin(self, delay):
        # Asks for the address that we have or had, if any, else for one.
        self._enter(_INIT)
        self._turn(delay)

    def _turn(self, ms):
        # The state's next turn is in ms; a look at the link may come before. Before the first poll
        # the time is not known, so "at once" is not a time.
        self._at = (self._st[_NOW] + ms) & 0x3FFFFFFF
        self._at_once = ms <= 0
        if self._at_once:
            self._wake()
        else:
            self._rest()

    def _rest(self):
        ms = (self._at - self._st[_NOW]) & 0x3FFFFFFF
        if ms >> 29:
            ms = 0
        if self._link is not None and ms > _LINK_INTERVAL:
            ms = _LINK_INTERVAL
        self._wait(ms)

    def _turn_at_age(self, age):
        # The next turn is when the lease has that age, or on the way there.
        left = age - self._age
        self._turn(left * 1000 - self._millis if left < _LONGEST_WAIT else _LONGEST_WAIT * 1000)

    def _tick(self):
        now = self._st[_NOW]
        millis = self._millis + ((now - self._seen) & 0x3FFFFFFF)
        self._seen = now
        self._age = min(self._age + millis // 1000, _FOREVER - 1)
        self._millis = millis % 1000

    def _egress(self):
        self._take_turn()
        self._report()
        return 0

    def _report(self):
        # The last of all, since the program may stop() or close() us within on_change.
        if self._news:
            self._news = False
            if self.on_change is not None:
                self.on_change(self)

    def _take_turn(self):
        self._tick()
        state = self._state
        if state == _STOPPED:
            self._go()
            return
        lease = self._lease
        if self._configured and self._age >= lease[_LEASE] != _FOREVER:
            self._lose()
            state = self._state
        if self._link is not None:
            try:
                up = self._link()
            except OSError:
                up = False
            if not up and state != _NO_LINK:
                self._enter(_NO_LINK)
            elif up and state == _NO_LINK:
                self._begin(0)
            state = self._state
            if state == _NO_LINK:
                self._turn(_LINK_INTERVAL)
                return
        watched = self._st[_WATCHER] & 3
        if watched and not same(self._st, _WATCHED, lease, _ZERO):
            self._st[_WATCHER] &= ~3
            self._contested(watched)
        elif self._event:
            event = self._event
            self._event = 0
            self._heard(event)
        elif not self._at_once and ((self._st[_NOW] - self._at) >> 29) & 1:
            self._rest()
        else:
            self._at_once = False
            self._act()

    def _go(self):
        # Stopped: the server may still have to be told.
        if not self._tries:
            return
        result = self._send(_RELEASE, _ADDR, _SERVER)
        if result == -_EAGAIN or result == -_EINPROGRESS:
            if ((self._st[_NOW] - self._at) >> 29) & 1:
                self._wait(1 if result == -_EAGAIN else 100)
                return
        self._tries = 0
        self._unconfigure()
        self._wait(-1)

    def _act(self):
        # The state's time has come.
        state = self._state
        tries = self._tries
        if state == _INIT:
            self._draw_xid()
            self._enter(_REBOOTING if self._lease[_ADDR] else _SELECTING)
            if not self._configured:
                self._age = 0
                self._millis = 0
            self._act()
        elif state == _SELECTING:
            self._ask(_DISCOVER)
        elif state == _REQUESTING or state == _REBOOTING:
            if tries < _REQUESTS:
                self._ask(_REQUEST)
            elif state == _REBOOTING and self._configured:
                # Section 3.2: nobody objects, so the lease holds as long as it was given for.
                self._enter(_BOUND)
                self._turn(0)
            else:
                self._lease[_ADDR] = 0
                self._begin(0)
        elif state == _PROBING:
            self._act_probing(tries)
        elif state == _BOUND:
            self._act_bound()
        else:
            self._act_extending(state)

    def _ask(self, kind):
        # Sends to all, and again after 4, 8, 16, ... seconds, give or take one (section 4.1).
        if not self._tries:
            self._asked = self._age
            if kind == _DISCOVER:
                self._seconds = self._age
        result = self._send(kind, _ZERO, _EVERYBODY)
        if result == -_EAGAIN:
            self._turn(1)
            return
        wait = min(_FIRST_RETRY << min(self._tries, 4), _LAST_RETRY)
        self._tries += 1
        self._turn(wait - 1000 + chance(self._st, 2000))

    def _act_probing(self, tries):
        # RFC 5227 section 2.1.1: a pause, three probes, a longer pause.
        st = self._st
        lease = self._lease
        unit = self._probe
        if tries == 0:
            self._tries = 1
            self._turn(chance(st, unit))
        elif tries <= _PROBES:
            move(st, _SRC, lease, _ZERO, 1)
            move(st, _DST, lease, _ADDR, 1)
            iface = self.iface
            if request(iface, st, iface._frame, _SRC, _DST) == -_EAGAIN:
                self._turn(1)
                return
            self._tries = tries + 1
            self._turn(unit + chance(st, unit) if tries < _PROBES else 2 * unit)
        else:
            self._configure()

    def _act_bound(self):
        if self._announces:
            self._announces -= 1
            announce(self._st, self._lease, _ADDR)
        if self._age < self._t1:
            self._turn_at_age(self._t1)
            return
        self._enter(_RENEWING)
        self._act_extending(_RENEWING)

    def _act_extending(self, state):
        # Section 4.4.5: asks again after half of what is left, but not more often than once a
        # minute, or once in a sixteenth of a short lease.
        lease = self._lease
        if self._age >= self._t2 and state == _RENEWING:
            state = _REBINDING
            self._enter(state)
        self._draw_xid()
        if state == _RENEWING:
            result = self._send(_REQUEST, _ADDR, _SERVER)
            end = self._t2
        else:
            result = self._send(_REQUEST, _ADDR, _EVERYBODY)
            end = lease[_LEASE]
        if result == -_EAGAIN or result == -_EINPROGRESS:
            # Again when the device has room or the server's hardware address is known.
            self._at_once = True
            self._wait(1 if result == -_EAGAIN else 500)
            return
        self._asked = self._age
        least = min(60, max(4, lease[_LEASE] >> 4))
        self._turn_at_age(min(end, self._age + max(least, (end - self._age) >> 1)))

    # What has been heard

    def _arrived(self, n):
        l4 = self.iface._l4
        st = self._st
        state = self._state
        if not is_for_us(st, l4, n, self._xid) or state < _SELECTING or self._event:
            self.ignored = (self.ignored + 1) & 0x3FFFFFFF
            return
        kind = parse_message(l4, n, self._offer)
        if kind < 0:
            self.malformed = (self.malformed + 1) & 0x3FFFFFFF
        elif not self._is_awaited(kind):
            self.ignored = (self.ignored + 1) & 0x3FFFFFFF
        else:
            self._event = kind
            self._wake()

    def _is_awaited(self, kind):
        state = self._state
        offer = self._offer
        lease = self._lease
        if state == _SELECTING:
            return kind == _OFFER and not same(offer, _SERVER, lease, _ZERO)
        if state == _PROBING or state == _BOUND:
            return False
        if state == _REQUESTING or state == _RENEWING:
            if not same(offer, _SERVER, lease, _ZERO) and not same(offer, _SERVER, lease, _SERVER):
                return False
        if kind == _ACK:
            return offer[_LEASE] != 0 and same(offer, _ADDR, lease, _ADDR)
        return kind == _NAK

    def _heard(self, kind):
        lease = self._lease
        offer = self._offer
        if kind == _OFFER:
            move(lease, 0, offer, 0, WORDS)
            self._enter(_REQUESTING)
            # The lease counts from the first request (section 4.4.5).
            self._age = 0
            self._millis = 0
            self._act()
        elif kind == _NAK:
            self.naks = (self.naks + 1) & 0x3FFFFFFF
            self._unconfigure()
            lease[_ADDR] = 0
            self._begin(_AFTER_NAK << min(self._refusals, 6))
            self._refusals += 1
        else:
            self._granted()

    def _granted(self):
        lease = self._lease
        offer = self._offer
        self._refusals = 0
        if same(offer, _SERVER, lease, _ZERO):
            move(offer, _SERVER, lease, _SERVER, 1)
        if self._configured:
            # From when it was asked for, and from what the interface has now.
            self._age -= self._asked
            self._conflict_age = -1
            self._set_timers(offer)
            self._apply()
        else:
            move(lease, 0, offer, 0, WORDS)
            self._set_timers(lease)
            if self._probe:
                self._watch()
                self._enter(_PROBING)
                self._act()
            else:
                self._configure()

    def _set_timers(self, lease):
        # Less would be a message every moment. As other clients do (dhcpcd: 20 s, udhcpc: 122 s),
        # a shorter lease is taken for one of that length, and T1 is no less than half of it.
        lease[_LEASE] = seconds = max(lease[_LEASE], _LEAST_LEASE)
        t1 = lease[_T1]
        t2 = lease[_T2]
        if not 0 < t2 < seconds:
            t2 = seconds - (seconds >> 3)
        if not 0 < t1 < t2:
            t1 = seconds >> 1 if seconds >> 1 < t2 else t2 >> 1
        t1 = max(t1, _LEAST_LEASE // 2)
        t2 = max(t2, t1 + 1)
        # Section 4.4.5: hosts that were switched on together do not all renew together.
        self._t1 = t1 - chance(self._st, 1 + min(t1 >> 5, 60))
        self._t2 = t2

    def _watch(self):
        st = self._st
        move(st, _WATCHED, self._lease, _ADDR, 1)
        st[_WATCHER] = self._slot << 2

    def _contested(self, how):
        st = self._st
        if self._state == _PROBING:
            self._decline()
        elif self._configured and how & 1:
            # RFC 5227 section 2.4 (b): the address is defended once in 10 s, then given up.
            self.conflicts = (self.conflicts + 1) & 0x3FFFFFFF
            since = self._age - self._conflict_age
            if self._conflict_age >= 0 and 0 <= since < _DEFEND_INTERVAL // 1000:
                self._decline()
            else:
                self._conflict_age = self._age
                announce(st, self._lease, _ADDR)
                self._rest()
        else:
            self._rest()

    def _decline(self):
        self.conflicts = (self.conflicts + 1) & 0x3FFFFFFF
        self._draw_xid()
        self._send(_DECLINE, _ZERO, _EVERYBODY)
        self._unconfigure()
        self._lease[_ADDR] = 0
        self._begin(_AFTER_DECLINE)

    # The interface

    def _configure(self):
        st = self._st
        lease = self._lease
        if assign(st, lease, _ADDR, self.iface._max_addresses) < 0:
            self._begin(_AFTER_DECLINE)  # the table is full of others
            return
        set_gateway(st, lease, _ROUTER, _ZERO)
        self._watch()
        self._configured = True
        self._conflict_age = -1
        self._announces = 1  # a second one follows (RFC 5227 section 2.3)
        self._enter(_BOUND)
        self._turn(2 * self._probe)
        self._tell()

    def _apply(self):
        # The answer to a renewal: what differs from before?
        st = self._st
        lease = self._lease
        offer = self._offer
        differs = 0
        for i in range(WORDS):
            if i < _LEASE or i > _T2:
                differs |= 1 - same(lease, i, offer, i)
        move(lease, _OLD_ROUTER, lease, _ROUTER, 1)
        move(lease, 0, offer, 0, WORDS)
        set_gateway(st, lease, _ROUTER, _OLD_ROUTER)
        assign(st, lease, _ADDR, self.iface._max_addresses)
        self._enter(_BOUND)
        self._turn_at_age(self._t1)
        if differs:
            self._tell()

    def _tell(self):
        self.changed = True
        self._news = True

    def _unconfigure(self):
        if not self._configured:
            return
        st = self._st
        lease = self._lease
        self._configured = False
        st[_WATCHED] = 0
        set_gateway(st, lease, _ZERO, _ROUTER)
        withdraw(st, lease, _ADDR)
        self._tell()

    def _lose(self):
        # The lease has ended without a word from any server.
        self._unconfigure()
        self._lease[_ADDR] = 0
        if self._state != _NO_LINK:
            self._begin(0)

    # Messages

    def _draw_xid(self):
        xid = self._xid
        for i in range(4):
            xid[i] = chance(self._st, 256)

    def _send(self, kind, source, to):
        # Sends a message from one address of the lease to another; 0 or a negative errno.
        st = self._st
        iface = self.iface
        lease = self._lease
        l4 = iface._l4
        fill(l4, _MESSAGE, _LEAST, 0)
        l4[8] = 1
        l4[9] = 1
        l4[10] = 6
        put(l4, 12, self._xid)
        state = self._state
        if kind == _DISCOVER:
            flag = self._broadcast
            self._flag = (self._tries >> 1) & 1 if flag is None else flag
        if not self._configured:
            seconds = min(self._seconds, 65535)
            l4[16] = seconds >> 8
            l4[17] = seconds & 255
            if self._flag:
                l4[18] = 0x80
        if source == _ADDR:
            put_word(l4, 20, lease, _ADDR)
        put(l4, 36, iface.mac)
        put(l4, 244, b"\x63\x82\x53\x63\x35\x01")
        l4[250] = kind
        l4[251] = 61
        l4[252] = len(self._client_id)
        at = put(l4, 253, self._client_id)
        if source == _ZERO and kind != _DISCOVER:
            at = put(l4, at, b"\x32\x04")
            at = put_word(l4, at, lease, _ADDR)
        if state == _REQUESTING or kind == _DECLINE or kind == _RELEASE:
            at = put(l4, at, b"\x36\x04")
            at = put_word(l4, at, lease, _SERVER)
        if kind == _DISCOVER or kind == _REQUEST:
            size = max(iface.mtu, 576)
            at = put(l4, at, b"\x39\x02")
            l4[at] = size >> 8
            l4[at + 1] = size & 255
            at = put(l4, at + 2, _PARAMETERS)
            if self._hostname:
                l4[at] = 12
                l4[at + 1] = len(self._hostname)
                at = put(l4, at + 2, self._hostname)
        l4[at] = 255
        move(st, _SRC, lease, source, 1)
        move(st, _DST, lease, to, 1)
        n = max(at + 1 - _MESSAGE, _LEAST)
        return send_udp(iface, st, n, _CLIENT_PORT, _SERVER_PORT, _HOP_LIMIT)
