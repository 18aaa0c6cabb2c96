"""A model of the W6100: the W5500's sockets, buffers and SPI frames, and other registers.

From WIZnet's ioLibrary, w6100.h, which has the data sheet's descriptions of registers: addresses,
which of them are read-only or write-only, values after a reset. CHPLCKR locks SYCR0 and
SYCR1.CLKSEL, NETLCKR the addresses; SYSR tells of the locks, which are shut after a reset (it is
0xE1 then). SYCR0 = 0 resets. Sn_IR is cleared by Sn_IRCLR. The filters of Sn_MR; NET4MR.PB.

From drivers that run on silicon: a reset by SYCR0 takes less than 10 ms (CycloneTCP,
w6100_driver.c), and after the pin the chip wants the W5100S's 60.3 ms (Zephyr, eth_w6100.c;
ioLibrary says it of PHYCR1.RST); RTR reads 2000 when the chip is ready (Zephyr); buffers wrap by
themselves (swiss-gc, w6100.c); MACRAW is protocol 7 (all of them; a table in ioLibrary has 4).
Reserved registers between others read 0. What is behind sockets is in wiznet.py.
"""

from tests.models.w5500 import W5500Model
from tests.models.wiznet import (
    CR,
    IMR,
    IR,
    MR,
    RX_RD,
    RX_RSR,
    RX_WR,
    RXBUF,
    SR,
    TX_FSR,
    TX_RD,
    TX_WR,
    TXBUF,
    WIZnetModel,
)

_CHIP_KEY, _NET_KEY, _PHY_KEY = 0xCE, 0x3A, 0x53
_IEN, _PB = 0x80, 0x01
_MF, _BRDB, _MMB, _MMB6 = 0x80, 0x40, 0x20, 0x10

# Common registers: address, and values after a reset.
_VALUES = (
    (0x0000, b"\x61\x00\x46\x61"),  # CIDR, VER
    (0x2004, b"\x80\x80"),  # SYCR0, SYCR1
    (0x2016, bytes(2)),  # TCNTR
    (0x2020, bytes(1)),  # TCNTRCLR
    (0x2100, bytes(3)),  # IR, SIR, SLIR
    (0x2104, bytes(1)),  # IMR
    (0x2108, bytes(1)),  # IRCLR
    (0x2114, bytes(1)),  # SIMR
    (0x2124, bytes(1)),  # SLIMR
    (0x2128, bytes(1)),  # SLIRCLR
    (0x4000, bytes(1)),  # NET4MR
    (0x4004, bytes(1)),  # NET6MR
    (0x4008, bytes(2)),  # NETMR, NETMR2
    (0x4120, bytes(6)),  # SHAR
    (0x4130, bytes(12)),  # GAR, SUBR, SIPR
    (0x41F4, bytes(3)),  # CHPLCKR, NETLCKR, PHYLCKR
    (0x4200, b"\x07\xd0"),  # RTR
    (0x4204, b"\x08"),  # RCR
)
_SYSR, _SYCR0, _SYCR1 = 0x2000, 0x2004, 0x2005
_SIR, _SIMR, _PHYSR, _NET4MR, _SHAR = 0x2101, 0x2114, 0x3000, 0x4000, 0x4120
_CHPLCKR, _NETLCKR, _PHYLCKR = 0x41F4, 0x41F5, 0x41F6
_READ_ONLY = (0, 1, 2, 3, _SYSR, 0x2016, 0x2017, 0x2100, _SIR, 0x2102, _PHYSR)
_WRITE_ONLY = (_SYCR0, 0x2020, 0x2108, 0x2128)

# Registers of a socket: where the W5500 has them; how many bytes, from their first on.
_PLACES = {
    0x00: MR,
    0x10: CR,
    0x20: IR,
    0x24: IMR,
    0x30: SR,
    0x200: TXBUF,
    0x204: TX_FSR,
    0x205: TX_FSR + 1,
    0x208: TX_RD,
    0x209: TX_RD + 1,
    0x20C: TX_WR,
    0x20D: TX_WR + 1,
    0x220: RXBUF,
    0x224: RX_RSR,
    0x225: RX_RSR + 1,
    0x228: RX_RD,
    0x229: RX_RD + 1,
    0x22C: RX_WR,
    0x22D: RX_WR + 1,
}
_IRCLR = 0x28
_TOP = 0x22D


class W6100Model(W5500Model):
    name = "W6100"
    rst_ns = 0
    boot_ns = 60300000
    macraw = 7
    # What is not said: whether a reset shuts a lock that was open, and what answers during one.
    shuts = True
    early = False

    def _power_on(self):
        WIZnetModel._power_on(self)
        common = {}
        for at, values in _VALUES:
            for i, value in enumerate(values):
                common[at + i] = value
        self.common = common
        if self.shuts or self.resets == 1:
            self.chip_locked = self.net_locked = self.phy_locked = True

    def _answers_pings(self):
        return not self.common[_NET4MR] & _PB

    # ---- common registers ----

    def _common_read(self, at):
        if self.now < self.ready_at and not (self.early and at < 4):
            return 0
        if at == _SYSR:
            return 1 | self.chip_locked << 7 | self.net_locked << 6 | self.phy_locked << 5
        if at == _SIR:
            return 1 if self.socket[IR] else 0
        if at == _PHYSR:  # cable off, half duplex and 10 Mbit/s are 1, and so is a link
            if not self.linked:
                return 0x80
            return 1 | (0 if self.mbps == 100 else 2) | (0 if self.full_duplex else 4)
        if at in _WRITE_ONLY:
            self.fail("common register 0x%04x is write-only" % at, "w6100.h")
        if at not in self.common:
            self.fail("common register 0x%04x is not there" % at, "w6100.h")
        return self.common[at]

    def _common_write(self, at, value):
        if self.wedged or self.now < self.ready_at:
            return 0
        if at in _READ_ONLY:
            self.fail("common register 0x%04x is read-only" % at, "w6100.h")
        if at not in self.common:
            self.fail("common register 0x%04x is not there" % at, "w6100.h")
        if at == _CHPLCKR:
            self.chip_locked = value != _CHIP_KEY
        elif at == _NETLCKR:
            self.net_locked = value != _NET_KEY
        elif at == _PHYLCKR:
            self.phy_locked = value != _PHY_KEY
        elif at == _SYCR0:
            if not self.chip_locked and not value & 0x80:
                self._cured(2)
                self._power_on()
                self._phase = 3
                self._writes = True
                self._at = _SYCR1
        elif at == _SYCR1:
            keep = 1 if self.chip_locked else 0
            self.common[at] = value & 0x81 & ~keep | self.common[at] & keep
        elif self.net_locked and _SHAR <= at < 0x4140:
            pass
        else:
            self.common[at] = value
        return 0

    # ---- registers of a socket ----

    def socket_read(self, n, at):
        if at > _TOP:
            self.fail("socket register 0x%04x is not modelled" % at, "w6100.h")
        if at == _IRCLR:
            return 0
        place = _PLACES.get(at)
        return 0 if place is None else WIZnetModel.socket_read(self, n, place)

    def _registers(self, at, into, i, n):
        for k in range(i, n):
            into[k] = 0
        for register in _PLACES:
            k = register - at + i
            if i <= k < n:
                into[k] = WIZnetModel.socket_read(self, 0, _PLACES[register])

    def socket_write(self, n, at, value):
        if at == _IRCLR:
            WIZnetModel.socket_write(self, n, IR, value)
        elif at == 0x20:
            self.fail("Sn_IR is read-only", "w6100.h")
        elif at not in _PLACES:
            self.fail("socket register 0x%04x is not there" % at, "w6100.h")
        else:
            WIZnetModel.socket_write(self, n, _PLACES[at], value)

    # ---- interrupt, filters ----

    def _pending(self):
        if not self.common[_SYCR1] & _IEN:
            return 0
        return self.common[_SIMR] & 1 and self.socket[IR] & self.socket[IMR]

    def _accepts(self, frame):
        mode = self.socket[MR]
        if frame[:6] == b"\xff\xff\xff\xff\xff\xff":
            return not mode & _BRDB
        if frame[:3] == b"\x01\x00\x5e" and mode & _MMB:
            return False
        if frame[:2] == b"\x33\x33" and mode & _MMB6:
            return False
        # MF: all but broadcasts, groups and what is to the chip's own address.
        own = bytes([self.common[_SHAR + i] for i in range(6)])
        return not mode & _MF or frame[0] & 1 == 1 or frame[:6] == own
