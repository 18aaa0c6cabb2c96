"""What all sockets share: being on an interface, and having a name in its demultiplexer."""

import micropython
from micropython import const

from ..core.demux import in_use, insert, remove
from ..core.schedule import wake
from ..core.secret import draw
from ..errno import EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENETUNREACH
from ..ip.route import source
from ..wire.address import parse, to_word
from .buffers import fill, readable, writable

# Of docs/layout.md: 'make format' writes these.
_SRC = const(7)
_DST = const(8)
_PORTS = const(9)
_ADDRESSES = const(24)
_HASH = const(123)
_ADDRESS_TABLE = const(128)
_ADDRESS_WORDS = const(2)

# RFC 6335 section 6
_EPHEMERAL_FIRST = const(49152)
_EPHEMERAL_COUNT = const(16384)


_ADD_FIRST = "socket is not on an interface: call iface.add(socket) first"


def buffer(value, name):
    """A bytearray: the caller's own, or a new one of that size."""
    if isinstance(value, int):
        if value <= 0:
            raise ValueError("%s: a buffer size must be positive" % name)
        return bytearray(value)
    if not isinstance(value, (bytearray, memoryview)) or not len(value):
        raise ValueError("%s must be a bytearray or a size" % name)
    if writable(value, name) < 0:
        raise ValueError("%s must be of bytes" % name)
    return value


@micropython.viper
def write_addr(words, at: int, a: ptr8):
    """Writes the address in words[at] into a 4-byte buffer."""
    word = ptr32(words)[at + 0]
    a[0] = (word >> 24) & 255
    a[1] = (word >> 16) & 255
    a[2] = (word >> 8) & 255
    a[3] = word & 255


@micropython.viper
def read_addr(a: ptr8, words, at: int):
    """Writes a 4-byte address into words[at]."""
    ptr32(words)[at] = (a[0] << 24) | (a[1] << 16) | (a[2] << 8) | a[3]


class _Nowhere:
    """The way out of a socket that is on no interface."""

    def __iter__(self):
        raise OSError(EINVAL, _ADD_FIRST)


NOWHERE = _Nowhere()


class Socket:
    """The part of a socket that its interface knows."""

    _fill = staticmethod(fill)
    _readable = staticmethod(readable)
    _writable = staticmethod(writable)

    def __init__(self):
        self.iface = None
        self._st = None
        self._slot = -1

    def _attach(self, iface, slot):
        self.iface = iface
        self._st = iface._st
        self._slot = slot

    def _detach(self):
        self.iface = None
        self._st = None
        self._slot = -1

    def _need_iface(self):
        if self.iface is None:
            raise OSError(EINVAL, _ADD_FIRST)
        return self.iface

    def _wake(self):
        wake(self._st, self._slot)

    def _local_word(self, addr):
        # The address to be bound to as a number, 0 for any.
        if addr is None:
            return 0
        word = to_word(parse(addr))
        st = self._st
        for i in range(st[_ADDRESSES]):
            if word in (0, st[_ADDRESS_TABLE + i * _ADDRESS_WORDS]):
                return word
        raise OSError(EADDRNOTAVAIL, "addr: the interface has no %s" % addr)

    def _source_for(self, addr):
        # The address of ours to send to a 4-byte address from, as a number.
        st = self._st
        read_addr(addr, st, _DST)
        if source(st) < 0:
            raise OSError(ENETUNREACH, "addr: no route")
        return st[_SRC]

    def _free_port(self, protocol, local):
        # RFC 6056 section 3.3.1: a random one, and the next that is free.
        st = self._st
        draw(st)
        start = st[_HASH]
        for i in range(_EPHEMERAL_COUNT):
            port = _EPHEMERAL_FIRST + (start + i) % _EPHEMERAL_COUNT
            st[_PORTS] = port
            st[_DST] = local
            if not in_use(self.iface._demux, st, protocol):
                return port
        raise OSError(EADDRINUSE, "no free port")

    def _name(self, protocol, remote, local, ports):
        # Enters the socket into the demultiplexer under numbers.
        st = self._st
        st[_SRC] = remote
        st[_DST] = local
        st[_PORTS] = ports
        remove(self.iface._demux, st, self._slot)
        insert(self.iface._demux, st, self._slot, protocol)

    def _unname(self):
        remove(self.iface._demux, self._st, self._slot)


def check_port(port, name="port", least=0):
    """port if it is least to 65535; else ValueError with its name."""
    if not isinstance(port, int) or not least <= port <= 65535:
        raise ValueError("%s must be %d to 65535" % (name, least))
    return port
