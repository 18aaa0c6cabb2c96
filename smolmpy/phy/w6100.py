"""W6100: a W5500 with IPv6 in its own stack, other registers, and locks before some of them.

Registers are named as in the W6100 data sheet. What differs from the W5500 is here. Its registers
of a socket lie too far apart for one burst, so two take the place of that: the pointers of the
rings, and then events and status, which tell whether the chip is still the one that was asked.
Events are cleared by a register of their own, which is not the one behind the command register:
RECV and the clearing of SENDOK are two transactions.
"""

import micropython
from micropython import const

from .w5500 import W5500

_COMMON = const(0)
_SOCKET = const(1)

_CIDR = const(0x0000)  # 0x61, 0x00
_SYCR0 = const(0x2004)
_SYCR1 = const(0x2005)
_SIMR = const(0x2114)
_PHYSR = const(0x3000)
_NET4MR = const(0x4000)
_NET6MR = const(0x4004)
_SHAR = const(0x4120)
_CHPLCKR = const(0x41F4)
_NETLCKR = const(0x41F5)
_RTR = const(0x4200)

_IEN = const(0x80)  # SYCR1: the interrupt pin works
_QUIET = const(0x0B)  # NET4MR, NET6MR: no answers of the stack in the chip: UNRB, RSTB, PB
_CHIP_OPEN = const(0xCE)
_CHIP_LOCKED = const(0x31)
_NET_OPEN = const(0x3A)
_NET_LOCKED = const(0xC5)

# Where the W5500's registers of a socket are here: MR, CR, IR, SR, the sizes of the buffers,
# TX_WR, RX_RD and IMR.
_PLACES = {
    0x00: 0x00,
    0x01: 0x10,
    0x02: 0x20,
    0x03: 0x30,
    0x1E: 0x220,
    0x1F: 0x200,
    0x24: 0x20C,
    0x28: 0x228,
    0x2C: 0x24,
}
_SN_MR = const(0x00)
_SN_IR = const(0x20)
_SN_IRCLR = const(0x28)
_SN_TX_WR = const(0x20C)
_SENDOK = const(0x10)
_MACRAW = const(7)  # the W5500 has 4

# The two bursts, each behind 3 bytes: Sn_TX_WR to Sn_RX_WR, and Sn_IR to Sn_SR.
_RINGS = const(37)
_EVENTS = const(20)

# Of docs/layout.md: 'make format' writes these.
_MODE = const(28)
_RECV_AT = const(9)
_AT_MR = const(39)
_AT_IR = const(41)
_AT_SR = const(42)
_AT_TX_WR = const(75)
_AT_RSR = const(77)
_BRIEF = const(7)

_FEW = const(5)  # bytes of what asks for one register, or two


class W6100(W5500):
    """Arguments and errors are those of `W5500`."""

    _NAME = "W6100"
    _VERSION = 0x61
    _VERSION_AT = _CIDR
    _MAC_AT = _SHAR
    _SIMR_AT = _SIMR
    _PHY_AT = _PHYSR
    _PHY_SLOW = 6
    _asked = None

    def __init__(self, spi, *args, **kwargs):
        self._ask_rings = bytearray(_RINGS)
        self._rings = bytearray(_RINGS)
        self._ask_events = bytearray(_EVENTS)
        self._events = bytearray(_EVENTS)
        self._sent = bytearray(4)
        self._sent[3] = _SENDOK
        for frame, at, write in (
            (self._ask_rings, _SN_TX_WR, False),
            (self._ask_events, _SN_IR, False),
            (self._sent, _SN_IRCLR, True),
        ):
            super()._aim(frame, _SOCKET, at, write)
        super().__init__(spi, *args, **kwargs)

    def _gather(self):
        # Between SPI and the W5500's code, which asks for all registers at once, and with RECV
        # clears SENDOK.
        if self._exchange is not self._asked:
            self._swap = self._exchange
            self._asked = self._exchange = self._registers
        self._recv_alone = self._recv[:4]
        plain = self._write
        self._write = self._commands
        super()._gather()
        parts = self._parts_in
        way = self._way_in
        self._write = self._plain = plain
        super()._gather()
        self._parts_in = parts
        self._way_in = way

    @micropython.viper
    def _registers(self, out, into):
        # As spi.write_readinto, but what asks for more than one register gets them in the places
        # that they have in the W5500.
        n = int(len(out))
        if n <= _FEW:
            self._swap(out, into)
            return
        b = ptr8(self._box)
        cs = self._cs
        if n > _BRIEF:
            rings = ptr8(self._rings)
            self._swap(self._ask_rings, self._rings)
            cs(1)
            cs(0)
            i = 0
            while i < 2:
                b[_AT_TX_WR + i] = rings[3 + i]
                b[_AT_RSR + i] = rings[27 + i]
                b[_AT_RSR + 2 + i] = rings[31 + i]
                b[_AT_RSR + 4 + i] = rings[35 + i]
                i += 1
        self._swap(self._ask_events, self._events)
        events = ptr8(self._events)
        b[_AT_MR] = ptr32(self._state)[_MODE]
        b[_AT_IR] = events[3]
        b[_AT_SR] = events[19]

    @micropython.viper
    def _commands(self, out):
        # As spi.write.
        if out is not self._recv:
            self._plain(out)
            return
        self._plain(self._recv_alone)
        if ptr8(self._box)[_RECV_AT + 4]:
            cs = self._cs
            cs(1)
            cs(0)
            self._plain(self._sent)

    def _aim(self, frame, space, at, write):
        if space & 3 == _SOCKET:
            at = _PLACES[at]
            if write and at == _SN_IR:
                at = _SN_IRCLR
        # With super() it would be a closure of six arguments, for which MicroPython allocates.
        W5500._aim(self, frame, space, at, write)

    def _sn_mr(self):
        return super()._sn_mr() | _MACRAW

    def _soft_reset(self):
        self._put(_COMMON, _CHPLCKR, _CHIP_OPEN)
        self._put(_COMMON, _SYCR0, 0)

    def _ready(self):
        # 2000, from a reset on; a chip that is being reset does not say so.
        return self._get(_COMMON, _RTR) == 0x07 and self._get(_COMMON, _RTR + 1) == 0xD0

    def _hush(self):
        self._put(_COMMON, _NET4MR, _QUIET)
        self._put(_COMMON, _CHPLCKR, _CHIP_LOCKED)
        self._put(_COMMON, _NET6MR, _QUIET)
        self._put(_COMMON, _SYCR1, _IEN)

    def _hushed(self):
        return self._get(_COMMON, _NET4MR) == _QUIET

    def _put_mac(self):
        # It can be written only while this lock is open.
        self._put(_COMMON, _NETLCKR, _NET_OPEN)
        kept = super()._put_mac()
        self._put(_COMMON, _NETLCKR, _NET_LOCKED)
        return kept

    def _open(self):
        # Sn_MR is not looked at later on.
        return super()._open() and self._get(_SOCKET, _SN_MR) == self._state[_MODE]
