"""What services share: a place in the interface's table, a UDP port, messages made in place.

A service is a socket without buffers. What arrives for its port is read where it lies in the
frame buffer (`_arrived`), what it sends is written there when its turn comes (`_egress`), so it
has no memory but its state, and nothing is allocated. Its turn comes by the interface's own
tables, so a program that calls `iface.poll` and sleeps `iface.poll_delay` has nothing else to do.
"""

from array import array

import micropython
from micropython import const

from ..core.demux import in_use, insert, remove
from ..core.schedule import due_by, set_due, wake
from ..core.secret import draw
from ..ip.ipv4 import egress
from ..kernel import checksum
from ..sockets.base import Socket
from ..sockets.udp_input import attach, detach

# Of docs/layout.md: 'make format' writes these.
_SRC = const(7)
_DST = const(8)
_PORTS = const(9)
_HASH = const(123)
_UDP = const(17)

_FIRST_PORT = const(1024)

# A ring that has room for nothing: the datagram is handed over where it lies (udp_input.py).
_NO_RING = array("I", [0] * 14)


@micropython.viper
def open_port(demux, state, slot: int, port: int):
    """Receives what is sent to a UDP port, at any of our addresses."""
    st = ptr32(state)
    remove(demux, state, slot)
    st[_SRC] = 0
    st[_DST] = 0
    st[_PORTS] = port
    insert(demux, state, slot, _UDP)


@micropython.viper
def free_port(demux, state) -> int:
    """A UDP port from 1024 up that nobody can foresee and nobody uses (RFC 5452 section 9.2)."""
    st = ptr32(state)
    while True:
        draw(state)
        port = st[_HASH] & 0xFFFF
        if port >= _FIRST_PORT:
            st[_PORTS] = port
            st[_DST] = 0
            if not int(in_use(demux, state, _UDP)):
                return port


@micropython.viper
def chance(state, n: int) -> int:
    """A number from 0 to n - 1 that nobody can foresee; n is 1 to 32767."""
    draw(state)
    return ((ptr32(state)[_HASH] & 0xFFFF) * n) >> 16


@micropython.viper
def fill(p: ptr8, at: int, n: int, value: int):
    """Sets n bytes of buf to a value."""
    n += at
    while at < n:
        p[at] = value
        at += 1


@micropython.viper
def put(p: ptr8, at: int, data) -> int:
    """Writes the bytes of data to buf[at:]; returns where they end."""
    d = ptr8(data)
    n = int(len(data))
    i = 0
    while i < n:
        p[at + i] = d[i]
        i += 1
    return at + n


@micropython.viper
def put_word(p: ptr8, at: int, words, index: int) -> int:
    """Writes words[index] to buf[at:], 4 bytes in network order; returns where they end."""
    word = ptr32(words)[index]
    p[at] = (word >> 24) & 255
    p[at + 1] = (word >> 16) & 255
    p[at + 2] = (word >> 8) & 255
    p[at + 3] = word & 255
    return at + 4


@micropython.viper
def get_word(words, index: int, p: ptr8, at: int):
    """Reads 4 bytes in network order from buf[at:] into words[index]."""
    ptr32(words)[index + 0] = (p[at] << 24) | (p[at + 1] << 16) | (p[at + 2] << 8) | p[at + 3]


@micropython.viper
def same(words, i: int, others, j: int) -> int:
    """1 if words[i] equals others[j], without an object for either."""
    return 1 if ptr32(words)[i + 0] == ptr32(others)[j] else 0


@micropython.viper
def move(w: ptr32, i: int, o: ptr32, j: int, n: int):
    """Copies n words from others[j:] to words[i:]."""
    while n:
        n -= 1
        w[i + n] = o[j + n]


@micropython.viper
def send_udp(iface, state, n: int, sport: int, dport: int, hop_limit: int) -> int:
    """Sends the n bytes at iface._l4[8:] from the address in SRC to the one in DST.

    Returns 0, or a negative errno as ipv4.egress().
    """
    st = ptr32(state)
    l4 = iface._l4
    p = ptr8(l4)
    n += 8
    p[0] = sport >> 8
    p[1] = sport & 255
    p[2] = dport >> 8
    p[3] = dport & 255
    p[4] = n >> 8
    p[5] = n & 255
    p[6] = 0
    p[7] = 0
    src = st[_SRC]
    dst = st[_DST]
    s = ((src >> 16) & 0xFFFF) + (src & 0xFFFF) + ((dst >> 16) & 0xFFFF) + (dst & 0xFFFF)
    s = int(checksum(l4, 0, n, s + _UDP + n)) ^ 0xFFFF
    if not s:
        s = 0xFFFF  # RFC 768
    p[6] = s >> 8
    p[7] = s & 255
    return int(egress(iface, state, iface._frame, n, _UDP, hop_limit, 0))


class Service(Socket):
    """A socket without buffers. Subclasses have `_egress()`, and `_arrived(n)`.

    `_arrived` gets a datagram of n bytes, its header included, whose checksum is right, at
    iface._l4[0:]; SRC, DST and PORTS of the interface's state tell from where to where. It must
    not send.
    """

    def close(self):
        """Leaves the interface; once more does nothing."""
        if self.iface is not None:
            self.iface.remove(self)

    def _attach(self, iface, slot):
        super()._attach(iface, slot)
        attach(iface, slot, _NO_RING, None, self._arrived)

    def _detach(self):
        detach(self.iface, self._slot)
        super()._detach()

    def _open(self, port):
        open_port(self.iface._demux, self._st, self._slot, port)

    def _wait(self, ms):
        # Has the turn come in `ms` milliseconds, at most 2^28; -1 for never.
        set_due(self._st, self._slot, ms)

    def _wait_at_most(self, ms):
        due_by(self._st, self._slot, ms)

    def _wake(self):
        wake(self._st, self._slot)

    def _unreachable(self, number):
        # An ICMP error about something that was sent: whoever waits has a time limit anyway.
        pass
