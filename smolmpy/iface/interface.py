"""The interface: one device, its addresses, routes and neighbors, and the sockets on it."""

from array import array

import micropython
from micropython import const

from ..core import counters, demux, secret, state
from ..errno import EADDRINUSE, EINVAL, ENOMEM
from ..ip import icmpv4, route
from ..kernel import reference
from ..link import neighbor
from ..link.arp import ingress as arp_ingress
from ..wire.address import format, format_mac, from_word, parse, parse_cidr, parse_mac, to_word
from .egress import delay, egress
from .ingress import examine
from .poll import poll

try:
    from ..link.prediction_thumb import predict
except (ImportError, SyntaxError, AttributeError):
    from ..link.prediction import predict

# Of docs/layout.md: 'make format' writes these.
_DST = const(8)
_FLAGS = const(19)
_ANNOUNCE = const(20)
_ADDRESSES = const(24)
_DUES = const(29)
_SLOTS = const(31)
_FRAME_SIZE = const(127)
_ADDRESS_TABLE = const(128)
_ADDRESS_WORDS = const(2)
_LOOPBACK = const(1)
_MORE = const(2)
_FULL = const(4)
_ASK = const(2048)

_ALWAYS = array("I", (1,))  # of a device that does not say whether a frame waits


# What takes the packets of a protocol; the module of its sockets enters itself here.
HANDLERS = {"tcp": None, "udp": icmpv4.closed_port, "raw": None}


class _NoSocket:
    def _egress(self):
        return 0


_NO_SOCKET = _NoSocket()


def _checked(device):
    # The device, if it has what is called all the time.
    if not isinstance(device, type) and isinstance(getattr(device, "mtu", None), int):
        if callable(getattr(device, "receive", None)) and callable(device.transmit):
            return device
    wanted = "an object with mtu, receive() and transmit()"
    raise TypeError("device must be %s, not %r" % (wanted, device))


def _is_host(word, mask):
    # Whether an address in a network is neither that of the network nor that of its broadcasts; a
    # network of two, and of one, has neither (RFC 3021).
    return mask | 1 == 0xFFFFFFFF or word | mask not in (mask, 0xFFFFFFFF)


class Interface:
    """A host on a link: `Interface(device, mac)`, then `add_address`, `add`, and `poll` for ever.

    device is an object of the device protocol (docs/architecture.md); mac is 6 bytes or text, by
    default the device's own, and the device is given it, as far as it can be. The tables hold
    `sockets` sockets, `neighbors` entries (rounded up to a power of two), `routes` routes and
    `addresses` addresses, and never grow. seed is 8 random bytes for sequence numbers and ports,
    where the board has a better source than its firmware.
    """

    def __init__(
        self, device, mac=None, *, sockets=8, neighbors=8, routes=4, addresses=4, seed=None
    ):
        own = getattr(device, "mac", None)
        if mac is None and own is None:
            raise ValueError("mac: this device has none of its own, so give it one")
        self.mac = parse_mac(own if mac is None else mac)
        if self.mac[0] & 1 or self.mac == b"\0\0\0\0\0\0":
            raise ValueError("mac must be a unicast address")
        for name, value, most in (
            ("sockets", sockets, 4096),
            ("neighbors", neighbors, 4096),
            ("routes", routes, 4096),
            ("addresses", addresses, 16),
        ):
            if not isinstance(value, int) or not 0 < value <= most:
                raise ValueError("%s must be 1 to %d" % (name, most))
        # The filter of a chip lets nothing else pass.
        if own is not None and bytes(own) != self.mac and hasattr(device, "set_mac"):
            device.set_mac(self.mac)
        entries = 1
        while entries < neighbors:
            entries *= 2
        self.mtu = _checked(device).mtu
        self.sockets = [_NO_SOCKET] * sockets
        self._turns = [_NO_SOCKET._egress] * sockets
        self._st = state.make(self.mac, sockets, entries, routes, addresses)
        secret.seed(self._st, seed)
        self._demux = demux.make(sockets)
        self._max_addresses = addresses
        self._groups = []
        # The Ethernet header begins 2 bytes after a word boundary, so that what follows it, and
        # the payload behind that, is aligned.
        size = self.mtu + 14
        buf = memoryview(bytearray(size + 2))
        self._frame = buf[2:]
        self._l4 = buf[36:]
        self._payload = buf[44:]  # of a datagram
        self._st[_FRAME_SIZE] = size
        self._options = bytearray(40)
        # What sockets send with; they keep it, so it stays the same list.
        self._way_out = [None, self._frame]
        self._icmp_ingress = icmpv4.ingress
        self._unreachable = icmpv4.unreachable
        self._tcp_ingress = HANDLERS["tcp"]
        self._udp_ingress = HANDLERS["udp"]
        self._raw_ingress = HANDLERS["raw"]
        self._igmp_ingress = None
        self._other_ingress = None
        self._igmp = None
        self.device = device

    @property
    def device(self):
        """The device; another one of the same mtu, such as a wrapper of it, may take its place."""
        return self._device

    @device.setter
    def device(self, device):
        self._device = _checked(device)
        self._guarded = None
        # What else is in the flags is not the device's, but the interface's own.
        flags = self._st[_FLAGS] & ~(_LOOPBACK | _FULL)
        self._st[_FLAGS] = flags | _LOOPBACK if getattr(device, "loopback", False) else flags
        # When it wants to be asked is found out with the next poll, which knows the time.
        self._st[self._st[_DUES] + self._st[_SLOTS]] = 0
        if getattr(device, "poll_interval", 0):
            self._st[_FLAGS] |= _MORE | _ASK
        self._gather()

    def _guard(self):
        # The device has raised an OSError. That must not happen in the midst of a packet again.
        try:
            from .guard import guard

            self._guarded = guard(self._device)
            self._gather()
        except MemoryError:
            pass  # the next time, then

    def _gather(self):
        # What the hot paths need, in one look-up each.
        waiting = self._waiting = getattr(self._device, "waiting", _ALWAYS)
        if not isinstance(waiting, int):
            waiting = reference(waiting)
        receive, self._way_out[0] = self._guarded or (self._device.receive, self._device.transmit)
        parts = (
            receive,
            self._frame,
            reference(self._frame),
            reference(self._l4),
            predict,
            self._tcp_ingress or icmpv4.unknown_protocol,
            self._udp_ingress,
            self._icmp_ingress,
            arp_ingress,
            examine,
            egress,
            self._turns,
        )
        self._poll_parts = (reference(self._st), waiting, parts)

    def _handle(self, protocol, handler):
        # A module of sockets enters what takes the packets of its protocol.
        setattr(self, "_%s_ingress" % protocol, handler)
        self._gather()

    poll = poll

    def poll_delay(self, now):
        """Milliseconds until poll() has something to do by itself; 0: at once, -1: nothing."""
        return delay(self._st, now & 0x3FFFFFFF)

    # Sockets

    def add(self, socket):
        """Attaches a socket, which may then be bound, connected or set to listen; returns it.

        Raises OSError(ENOMEM) when the table is full.
        """
        if socket.iface is not None:
            raise OSError(EINVAL, "socket is on an interface already")
        for slot, taken in enumerate(self.sockets):
            if taken is _NO_SOCKET:
                socket._attach(self, slot)
                self.sockets[slot] = socket
                self._turns[slot] = socket._egress
                return socket
        raise OSError(ENOMEM, "all %d sockets of the interface are in use" % len(self.sockets))

    def remove(self, socket):
        """Detaches a socket at once, without a word to its peer."""
        if socket.iface is not self:
            raise ValueError("socket is not on this interface")
        slot = socket._slot
        demux.remove(self._demux, self._st, slot)
        self._st[self._st[_DUES] + slot] = 0
        # Its place is free, whatever a callback may do or raise that is told of it.
        self.sockets[slot] = _NO_SOCKET
        self._turns[slot] = _NO_SOCKET._egress
        socket._detach()

    # Addresses

    def _address_at(self, word):
        for i in range(self._st[_ADDRESSES]):
            if self._st[_ADDRESS_TABLE + i * _ADDRESS_WORDS] == word:
                return i
        return -1

    def add_address(self, cidr):
        """Adds an address such as "192.168.69.1/24", announced at the next poll.

        Raises OSError(EADDRINUSE) if it is there already, OSError(ENOMEM) if the table is full.
        """
        addr, prefix = parse_cidr(cidr, "cidr")
        word = to_word(addr)
        mask = (0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF
        if addr[0] >= 224 or addr[0] == 0:
            raise ValueError("cidr: %s is not a unicast address" % cidr)
        if not _is_host(word, mask):
            raise ValueError("cidr: %s is the network or its broadcast address, no host" % cidr)
        if self._address_at(word) >= 0:
            raise OSError(EADDRINUSE, "cidr: the interface has that address")
        st = self._st
        n = st[_ADDRESSES]
        if n == self._max_addresses:
            raise OSError(ENOMEM, "all %d addresses of the interface are in use" % n)
        at = _ADDRESS_TABLE + n * _ADDRESS_WORDS
        st[at] = word
        st[at + 1] = mask
        st[_ADDRESSES] = n + 1
        st[_ANNOUNCE] |= 1 << n

    def remove_address(self, addr):
        """Removes an address; sockets bound to it receive nothing more."""
        st = self._st
        i = self._address_at(to_word(parse(addr)))
        if i < 0:
            raise ValueError("addr: the interface has no %s" % addr)
        end = _ADDRESS_TABLE + st[_ADDRESSES] * _ADDRESS_WORDS
        for at in range(_ADDRESS_TABLE + i * _ADDRESS_WORDS, end - _ADDRESS_WORDS):
            st[at] = st[at + _ADDRESS_WORDS]
        # The short ways look at the first one without counting.
        st[end - _ADDRESS_WORDS] = 0
        st[end - _ADDRESS_WORDS + 1] = 0xFFFFFFFF
        st[_ADDRESSES] -= 1
        low = st[_ANNOUNCE] & ((1 << i) - 1)
        st[_ANNOUNCE] = low | ((st[_ANNOUNCE] >> (i + 1)) << i)

    def addresses(self):
        """A list of text such as "192.168.69.1/24", the default source first."""
        st = self._st
        found = []
        for i in range(st[_ADDRESSES]):
            at = _ADDRESS_TABLE + i * _ADDRESS_WORDS
            prefix = 0
            while prefix < 32 and st[at + 1] & (1 << (31 - prefix)):
                prefix += 1
            found.append("%s/%d" % (format(from_word(st[at])), prefix))
        return found

    # Routes

    def add_route(self, cidr, gateway):
        """Sends packets for a network such as "10.0.0.0/8" by way of a gateway on the link.

        That has to be another host on one of our networks; only while there is no address yet can
        it be any host.
        """
        addr, prefix = parse_cidr(cidr, "cidr")
        if not route.add(self._st, to_word(addr), prefix, self._gateway(gateway)):
            raise OSError(ENOMEM, "the route table is full")

    def _gateway(self, gateway):
        addr = parse(gateway, "gateway")
        if addr[0] >= 224 or addr[0] == 0 or addr[0] == 127:
            raise ValueError("gateway: %s is not a host" % format(addr))
        word = to_word(addr)
        st = self._st
        near = not st[_ADDRESSES]
        for i in range(st[_ADDRESSES]):
            at = _ADDRESS_TABLE + i * _ADDRESS_WORDS
            mask = st[at + 1]
            if word == st[at]:
                raise ValueError("gateway: %s is our own address" % format(addr))
            if not (word ^ st[at]) & mask and _is_host(word, mask):
                near = True
        if not near:
            raise ValueError(
                "gateway: %s is no host on our networks, %s; add an address there first"
                % (format(addr), ", ".join(self.addresses()))
            )
        return word

    def remove_route(self, cidr):
        """Removes a route; ValueError if there is none."""
        addr, prefix = parse_cidr(cidr, "cidr")
        if not route.remove(self._st, to_word(addr), prefix):
            raise ValueError("cidr: no route to %s" % cidr)

    def routes(self):
        """A list of (network, gateway) as text, the longest prefix first."""
        return [
            ("%s/%d" % (format(from_word(network)), prefix), format(from_word(gateway)))
            for network, prefix, gateway in route.table(self._st)
        ]

    @property
    def gateway(self):
        """The default route's gateway as text, or None; may be set."""
        for network, prefix, gateway in route.table(self._st):
            if prefix == 0:
                return format(from_word(gateway))
        return None

    @gateway.setter
    def gateway(self, addr):
        if addr is None:
            route.remove(self._st, 0, 0)
        else:
            self.add_route("0.0.0.0/0", addr)

    # Neighbors

    def add_neighbor(self, addr, mac):
        """Enters a neighbor that does not expire."""
        mac = parse_mac(mac)
        if mac[0] & 1:
            raise ValueError("mac must be a unicast address")
        self._st[_DST] = to_word(parse(addr))
        if not neighbor.add_static(self._st, _DST, mac):
            raise OSError(ENOMEM, "the neighbor cache is full of static entries")

    def remove_neighbor(self, addr):
        """Forgets a neighbor, static or not; ValueError if there is none."""
        self._st[_DST] = to_word(parse(addr))
        if not neighbor.remove(self._st, _DST):
            raise ValueError("addr: no neighbor %s" % addr)

    def neighbors(self):
        """A list of (address, mac, kind) as text; kind is static, reachable or incomplete."""
        return [
            (format(from_word(word)), format_mac(mac), kind)
            for word, mac, kind in neighbor.table(self._st)
        ]

    # Ethernet groups

    def add_multicast(self, mac):
        """Accepts frames to an Ethernet group."""
        mac = parse_mac(mac)
        if not mac[0] & 1:
            raise ValueError("mac must be a group address")
        if mac not in self._groups:
            self._groups.append(mac)

    def remove_multicast(self, mac):
        """Accepts them no longer."""
        mac = parse_mac(mac)
        if mac not in self._groups:
            raise ValueError("mac: not joined")
        self._groups.remove(mac)

    # Groups

    def join_group(self, addr):
        """Receives what is sent to an IPv4 group, and tells the routers so (IGMP, RFC 2236).

        The first call takes a place in the table of sockets. It is counted: as many calls of
        leave_group() end it. Raises OSError(ENOMEM) where there is no place.
        """
        if self._igmp is None:
            from ..ip.igmp import IGMP

            self._igmp = self.add(IGMP())
        self._igmp.join(parse(addr))

    def leave_group(self, addr):
        """Takes one join_group() back; ValueError if there was none."""
        addr = parse(addr)
        if self._igmp is None:
            raise ValueError("addr: not joined")
        self._igmp.leave(addr)

    @micropython.native
    def _is_joined(self, frame):
        if frame[0] & frame[1] & frame[2] & frame[3] & frame[4] & frame[5] == 255:
            return 1
        if frame[0] == 1 and frame[2] == 0x5E and frame[1] + frame[3] + frame[4] == 0:
            if frame[5] == 1:
                return 1  # all hosts, RFC 1112 section 7.2
        for mac in self._groups:
            i = 0
            while i < 6 and mac[i] == frame[i]:
                i += 1
            if i == 6:
                return 1
        return 0

    # Counters

    def counters(self):
        """A dict of every counter by name (smolmpy/core/counters.py)."""
        return counters.read(self._st)

    def counter(self, name):
        """One counter; KeyError if there is no such name."""
        return self._st[counters.index(name)]
