"""W5100S: a W5500 with half the memory, another address map, and buffers that do not wrap.

Registers are named as in the W5100S data sheet. What differs from the W5500 is here: an SPI frame
is an opcode and a 16-bit address, memory is 8 KB each way, and a frame that reaches the end of a
ring is moved in two transactions. The pieces of such a frame begin at any byte of the caller's
buffer, and views of every byte would cost too much: what lies between the end of the ring and the
next step of 32 bytes goes through a small buffer, and the rest follows to the end of the caller's.
"""

import micropython
from micropython import const

from .w5500 import W5500

_COMMON = const(0)
_SOCKET = const(1)

_IMR = const(0x16)
_RMSR = const(0x1A)
_TMSR = const(0x1B)
_MR2 = const(0x30)
_PHYSR = const(0x3C)
_NETLCKR = const(0x71)
_VERR = const(0x80)
_G_IEN = const(0x40)  # MR2: the interrupt pin works
_UNLOCKED = const(0x3A)

_SN_RXBUF_SIZE = const(0x1E)
_SN_TXBUF_SIZE = const(0x1F)
_SN_MR2 = const(0x2F)
_MACRAW = const(0x04)
_MF = const(0x40)
_MMBLK = const(0x20)
_IPV6BLK = const(0x10)

# Of docs/layout.md: 'make format' writes these.
_RX_ROOM = const(2)
_TX_ROOM = const(3)
_READ_AT = const(25)
_WRITE_AT = const(26)
_HEAD = const(14)
_RX_AT = const(19)

_RING = const(0x1FFF)
_RX_HIGH = const(0x60)
_TX_HIGH = const(0x40)
_MIN = const(60)
_TAGGED = const(1518)

# Where each space begins: common registers, socket 0, transmit and receive memory.
_BASES = (0x0000, 0x0400, 0x4000, 0x6000)


class W5100S(W5500):
    """Arguments and errors are those of `W5500`."""

    _NAME = "W5100S"
    _VERSION = 0x51
    _VERSION_AT = _VERR
    _PHY_AT = _PHYSR
    _PHY_SLOW = 6
    # A frame that begins after these positions, with its length or rounded up, may reach the end.
    _GEOMETRY = (8192, 1, _RING, _RING - _TAGGED - 34, _RING - 1514 - 32, _RX_HIGH, _TX_HIGH)

    def __init__(self, *args, **kwargs):
        piece = memoryview(bytearray(32))
        self._piece = piece
        # Exact lengths, put together from powers of two.
        self._powers = tuple([piece[: 1 << n] for n in range(5)])
        super().__init__(*args, **kwargs)
        self._rx_open = self._rx_command[:3]
        self._tx_open = self._tx_command

    def _aim(self, frame, space, at, write):
        at += _BASES[space]
        frame[0] = 0xF0 if write else 0x0F
        frame[1] = at >> 8
        frame[2] = at & 0xFF

    def _sn_mr(self):
        return _MACRAW if self._open_filter else _MACRAW | _MF

    def _set_up(self):
        # All 8 KB to socket 0. RMSR and TMSR have two bits for each socket, from the lowest; the
        # registers of the sockets have KB.
        for common, register in ((_RMSR, _SN_RXBUF_SIZE), (_TMSR, _SN_TXBUF_SIZE)):
            self._put(_COMMON, common, 3)
            for n in range(3, -1, -1):
                self._put(_SOCKET, (n << 8) + register, 0 if n else 8)
        block = 0
        if not self._open_filter:
            block = _IPV6BLK | (0 if self._multicast else _MMBLK)
        self._put(_SOCKET, _SN_MR2, block)
        self._put(_COMMON, _MR2, self._get(_COMMON, _MR2) | _G_IEN)
        self._put(_COMMON, _IMR, 0 if self.interrupt is None else 1)

    def _put_mac(self):
        # It can be written only while this lock is open.
        self._put(_COMMON, _NETLCKR, _UNLOCKED)
        return super()._put_mac()

    def _views(self, buf):
        # Behind the beginnings of the buffer (spi.py), (room + 31 >> 5) + 1 of them, its ends, in
        # steps of 32 bytes as well.
        views = super()._views(buf)
        room = min(len(buf), 1514)
        if len(views) == (room + 31 >> 5) + 1:
            view = memoryview(buf)
            views += [view[at:room] for at in range(0, room, 32)]
        return views

    @micropython.viper
    def _take_round(self, most: int) -> int:
        # Reads a frame that may reach the end of the ring: its length, or -1 if it cannot be.
        s = ptr32(self._state)
        b = ptr8(self._box)
        offset = s[_READ_AT] & _RING
        if offset < _RING - 1:
            b[_RX_AT + 1] = offset >> 8 | _RX_HIGH
            b[_RX_AT + 2] = offset & 0xFF
            self._cs(0)
            self._exchange(self._rx_command, self._rx_head)
        else:
            self._open_ring(self._rx_open, offset, _RX_HIGH)
            self._rx_piece(self._box, _HEAD + 3, 1)
            if offset == _RING:
                self._cs(1)
                self._open_ring(self._rx_open, 0, _RX_HIGH)
            self._rx_piece(self._box, _HEAD + 4, 1)
            if offset == _RING - 1:
                self._cs(1)
                self._open_ring(self._rx_open, 0, _RX_HIGH)
        length = (b[_HEAD + 3] << 8 | b[_HEAD + 4]) - 2
        if length < _MIN or length > _TAGGED or length + 2 > most:
            length = -1
        elif length <= s[_RX_ROOM]:
            self._take_rest((offset + 2) & _RING, length)
        self._cs(1)
        return length

    @micropython.viper
    def _take_rest(self, offset: int, length: int):
        # The rest of a frame, from `offset` of the ring, where the chip's address stands already.
        way = self._way_in
        buf = way[0]
        views = way[1]
        read = self._read
        room = _RING + 1 - offset  # before the end of the ring
        if (length + 31) & ~31 <= room:
            read(views[(length + 31) >> 5])
            return
        if length < room:
            room = length
        at = room & ~31
        if at:
            read(views[at >> 5])
        self._rx_piece(buf, at, room - at)
        if length == room:
            return
        self._cs(1)
        self._open_ring(self._rx_open, 0, _RX_HIGH)
        at = (room + 31) & ~31
        if at > length:
            at = length
        self._rx_piece(buf, room, at - room)
        if at < length:
            read(views[(int(self._state[_RX_ROOM]) + 31 >> 5) + 1 + (at >> 5)])

    @micropython.viper
    def _put_round(self, length: int):
        # Writes a frame that may reach the end of the ring.
        way = self._way_out
        buf = way[0]
        views = way[1]
        write = self._write
        offset = int(self._state[_WRITE_AT]) & _RING
        self._open_ring(self._tx_open, offset, _TX_HIGH)
        room = _RING + 1 - offset
        if (length + 31) & ~31 <= room:
            write(views[(length + 31) >> 5])
            self._cs(1)
            return
        if length < room:
            room = length
        at = room & ~31
        if at:
            write(views[at >> 5])
        self._tx_piece(buf, at, room - at)
        if length > room:
            self._cs(1)
            self._open_ring(self._tx_open, 0, _TX_HIGH)
            at = (room + 31) & ~31
            if at > length:
                at = length
            self._tx_piece(buf, room, at - room)
            if at < length:
                write(views[(int(self._state[_TX_ROOM]) + 31 >> 5) + 1 + (at >> 5)])
        self._cs(1)

    @micropython.viper
    def _open_ring(self, command, offset: int, high: int):
        # Chip select falls here, and the caller raises it.
        c = ptr8(command)
        c[1] = offset >> 8 | high
        c[2] = offset & 0xFF
        self._cs(0)
        self._write(command)

    @micropython.viper
    def _rx_piece(self, buf, at: int, n: int):
        # Fewer than 32 bytes, exactly.
        b = ptr8(buf)
        p = ptr8(self._piece)
        powers = self._powers
        power = 0
        while n >> power:
            if n >> power & 1:
                self._read(powers[power])
                i = 0
                while i < 1 << power:
                    b[at] = p[i]
                    at += 1
                    i += 1
            power += 1

    @micropython.viper
    def _tx_piece(self, buf, at: int, n: int):
        b = ptr8(buf)
        p = ptr8(self._piece)
        powers = self._powers
        power = 0
        while n >> power:
            if n >> power & 1:
                i = 0
                while i < 1 << power:
                    p[i] = b[at]
                    at += 1
                    i += 1
                self._write(powers[power])
            power += 1
