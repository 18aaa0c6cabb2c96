"""A model of the ENC28J60, from the data sheet DS39662E and the errata DS80349C. See spi.py.

From elsewhere: the transmitter may stop with TXRTS set and neither TXIF nor TXERIF (RIOT, issue
9043 and drivers/enc28j60; EtherCard; Linux restarts the chip after a timeout), and TXRST does not
clear TXRTS (Linux, enc28j60.c, and the example of module 13 clear it themselves); the address is
not to be changed while frames are received (Linux, enc28j60_set_hw_macaddr).

Errata that a driver must live with are behaviour here: EIR.PKTIF is never seen (module 6), an
aborted transmission leaves the transmitter stuck until ECON1.TXRST (module 12), the receive buffer
must begin at 0 (module 5) and ERXRDPT must be odd (module 14), and a reset takes a millisecond
that ESTAT.CLKRDY does not tell of (module 2).
"""

from tests.models.spi import SPIModel

# Registers of all banks (3.1).
EIE, EIR, ESTAT, ECON2, ECON1 = 0x1B, 0x1C, 0x1D, 0x1E, 0x1F

# Table 3-1. ETH registers, then MAC and MII registers, by bank. Everything else is reserved.
_ETH = (
    tuple(range(0x18)),
    tuple(range(0x12)) + (0x14, 0x15, 0x18, 0x19),
    (),
    (0x06, 0x07, 0x08, 0x09, 0x12, 0x15, 0x17, 0x18, 0x19),
)
_MAC = (
    (),
    (),
    (
        0x00,
        0x02,
        0x03,
        0x04,
        0x06,
        0x07,
        0x08,
        0x09,
        0x0A,
        0x0B,
        0x12,
        0x14,
        0x16,
        0x17,
        0x18,
        0x19,
    ),
    (0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x0A),
)

TXRST, RXRST, DMAST, CSUMEN, TXRTS, RXEN = 0x80, 0x40, 0x20, 0x10, 0x08, 0x04
PKTIF, DMAIF, LINKIF, TXIF, TXERIF, RXERIF = 0x40, 0x20, 0x10, 0x08, 0x02, 0x01
AUTOINC, PKTDEC, PWRSV = 0x80, 0x40, 0x20
LATECOL, RXBUSY, TXABRT, CLKRDY = 0x10, 0x04, 0x02, 0x01

PHCON1, PHSTAT1, PHID1, PHID2, PHCON2, PHSTAT2 = 0x00, 0x01, 0x02, 0x03, 0x10, 0x11
PHIE, PHIR, PHLCON = 0x12, 0x13, 0x14

_MII_NS = 10240  # 3.3.1
_FCS = b"\x46\x43\x53\x21"


class ENC28J60Model(SPIModel):
    """`revision` is EREVID: 2, 4, 5 or 6 for B1, B4, B5, B7."""

    name = "ENC28J60"
    rst_ns = 400  # table 16-4
    clock_ns = 300000  # 2.2: from a reset by the pin until ESTAT.CLKRDY; a crystal may be slow

    def __init__(self, revision=6):
        SPIModel.__init__(self)
        self.revision = revision
        self.late_collisions = 0  # so many transmissions fail that way
        self.tx_stalls = 0  # so many transmissions never end
        self.jammed = False  # nothing is received, and RXERIF stays, until RXRST
        self.headers = []  # functions that spoil the 6 bytes before the next frames
        self.resets = 0
        self._power_on()
        self._reset_at = None
        self.clock_at = 0

    # ---- faults and the wire ----

    def reset_chip(self):
        """A brown-out, long enough ago that the chip is ready again."""
        SPIModel.reset_chip(self)
        self._reset_at = None
        self.clock_at = 0

    def wedge(self):
        SPIModel.wedge(self)
        self._reset_at = None
        self.clock_at = 0

    def set_link(self, linked):
        if linked != self.linked:
            self.linked = linked
            if not linked:
                self.phy[PHSTAT1] &= ~4
            self.phy[PHIR] |= 0x10
            if self.phy[PHIE] & 0x12 == 0x12:
                self.phy[PHIR] |= 0x04
                self.flags |= LINKIF
            self.intn.edge()

    def inject(self, frame):
        """A frame, without FCS, from the wire: True if the chip keeps it."""
        if self.silence() is not None or not self.linked or not self.econ1 & RXEN:
            return False
        if not self.bank[2][0] & 1:  # MACON1.MARXEN
            return False
        if len(frame) < 60:
            frame = bytes(frame) + bytes(60 - len(frame))
        if len(frame) + 4 > self.word(2, 0x0A) or not self._accepts(frame):
            return False
        start, end = self.word(0, 8), self.word(0, 0x0A)
        size = end - start + 1
        n = len(frame) + 4
        need = 6 + n + (n & 1)
        free = (self.erxrdpt - self.erxwrpt) % size
        if need > free or self.packets == 255 or self.jammed:
            self.dropped += 1
            self.flags |= RXERIF
            self.intn.edge()
            return False
        after = start + (self.erxwrpt - start + need) % size
        status = 0x80 | (1 << 8 if frame[0] & 1 else 0)
        if frame[:6] == b"\xff\xff\xff\xff\xff\xff":
            status |= 1 << 9
        header = bytearray(6)
        for i, value in ((0, after), (2, n), (4, status)):
            header[i] = value & 0xFF
            header[i + 1] = value >> 8
        if self.headers:
            self.headers.pop(0)(header)
        at = self.erxwrpt
        for part in (header, frame, _FCS):
            k = min(len(part), end + 1 - at)
            self.memory[at : at + k] = part[:k]
            self.memory[start : start + len(part) - k] = part[k:]
            at = start + (at - start + len(part)) % size
        self.erxwrpt = after
        self.packets += 1
        self.intn.edge()
        return True

    # ---- state ----

    def _power_on(self):
        self.resets += 1
        self.forgiving = self.lenient = False
        self._reset_at = self.now
        self.clock_at = self.now + self.boot_ns + self.clock_ns
        self.memory = bytearray(8192)
        self.bank = [bytearray(0x1B) for _ in range(4)]
        self.econ1 = 0
        self.econ2 = AUTOINC
        self.eie = 0
        self.flags = 0
        self.estat = CLKRDY
        self.packets = 0
        self.erdpt = 0x5FA  # table 3-2
        self.ewrpt = 0
        self.erxrdpt = 0x5FA
        self.erxwrpt = 0
        self.set_word(0, 0x08, 0x5FA)
        self.set_word(0, 0x0A, 0x1FFF)
        self.set_word(2, 0x0A, 0x600)  # MAMXFL
        self.bank[1][0x18] = 0xA1  # ERXFCON
        self.bank[2][0x08] = 0x0F
        self.bank[2][0x09] = 0x37
        self.bank[3][0x12] = self.revision
        self.phy = [0] * 32
        self.phy[PHID1] = 0x0083
        self.phy[PHID2] = 0x1400
        self.phy[PHLCON] = 0x3422
        self.phy[PHSTAT1] = 0x1800
        self.mii_until = None
        self.mii_reads = None
        self.transmits_until = None
        self.stuck_transmitter = False
        self._select()

    def word(self, bank, at):
        regs = self.bank[bank]
        return regs[at] | regs[at + 1] << 8

    def set_word(self, bank, at, value):
        self.bank[bank][at] = value & 0xFF
        self.bank[bank][at + 1] = value >> 8

    def _accepts(self, frame):
        wanted = self.bank[1][0x18]
        if not wanted & 0x8F:
            return True
        m = self.bank[3]
        own = bytes((m[4], m[5], m[2], m[3], m[0], m[1]))
        if wanted & 0x5C:
            self.fail("filter 0x%02x is not modelled" % wanted, "8.0 Receive filters")
        if frame[:6] == b"\xff\xff\xff\xff\xff\xff":
            return bool(wanted & 3)
        if frame[0] & 1:
            return bool(wanted & 2)
        return bool(wanted & 0x80) and frame[:6] == own

    def _settle(self):
        if self.mii_until is not None and self.now >= self.mii_until:
            self.mii_until = None
            if self.mii_reads is not None:
                value = self._phy_read(self.mii_reads)
                self.set_word(2, 0x18, value)
                self.mii_reads = None
        if self.transmits_until is not None and self.now >= self.transmits_until:
            self.transmits_until = None
            self._transmitted()

    def _int_level(self):
        flags = self.flags | (PKTIF if self.packets else 0)
        return 0 if self.eie & 0x80 and flags & self.eie & 0x7B else 1

    # ---- SPI: chapter 4 ----

    def _select(self):
        self._op = None
        self._count = 0

    def _deselect(self):
        op, count = self._op, self._count
        if op is not None:
            kind = op >> 5
            if kind == 0 and self._is_mac(op & 31) and count == 1:
                self.fail("MAC register read without the dummy byte", "4.2.1 RCR, figure 4-4")
            if kind in (2, 4, 5) and count != 1:
                self.fail("%d data bytes after 0x%02x" % (count, op), "4.2.3, 4.2.5, 4.2.6")
        self._select()

    def _byte(self, out):
        if self._op is None:
            self._start(out)
            return 0
        op = self._op
        self._count += 1
        kind, at = op >> 5, op & 31
        if kind == 0:
            return self._read(at)
        if kind == 1:
            return self._read_memory()
        if kind == 3:
            self._write_memory(out)
            return 0
        if self._count > 1 and op != 0xFF:
            self.fail("a second data byte after 0x%02x" % op, "4.2.3, 4.2.5, 4.2.6")
        if kind == 2:
            self._write(at, out)
        elif kind in (4, 5):
            old = self._read(at)
            self._write(at, old | out if kind == 4 else old & ~out & 0xFF, bits=True)
        return 0

    def _start(self, op):
        if self._reset_at is not None:
            if self.now - self._reset_at < 1000000:
                self.fail("access within 1 ms of a reset", "DS80349C, module 2")
            self._reset_at = None
        kind, at = op >> 5, op & 31
        self._op = op
        if op == 0xFF:
            if self.wedged:
                return
            self._cured(2)
            # Module 2: CLKRDY stays as it is.
            clock_at = self.clock_at
            self._power_on()
            self.clock_at = clock_at
            self._op = op
            return
        if kind == 1 and op != 0x3A or kind == 3 and op != 0x7A or kind > 5:
            self.fail("opcode 0x%02x" % op, "4.2, table 4-1")
        if kind in (0, 2, 4, 5):
            if at < EIE and not (at in _ETH[self._bank()] or self._is_mac(at)):
                self.fail(
                    "register 0x%02x of bank %d is reserved" % (at, self._bank()), "3.1, table 3-1"
                )
            if kind > 2 and self._is_mac(at):
                self.fail("bit field instruction on a MAC or MII register", "4.2.5, 4.2.6")

    def _burst(self, out, into, i, n):
        if self._op == 0x3A and into is not None:
            end = self.word(0, 0x0A)
            stop = end + 1 if self.erdpt <= end else 8192
            k = min(n - i, stop - self.erdpt)
            into[i : i + k] = self.memory[self.erdpt : self.erdpt + k]
            self.erdpt += k - 1
            self._count += k - 1
            self._read_memory()
            self._count += 1
            return k
        return 0

    def _bank(self):
        return self.econ1 & 3

    def _is_mac(self, at):
        return at < EIE and at in _MAC[self._bank()]

    def _read_memory(self):
        if not self.econ2 & AUTOINC:
            self.fail("ECON2.AUTOINC is off", "4.2.2 RBM: not modelled")
        value = self.memory[self.erdpt]
        if self.erdpt == self.word(0, 0x0A):
            self.erdpt = self.word(0, 0x08)
        else:
            self.erdpt = (self.erdpt + 1) & 0x1FFF
        return value

    def _write_memory(self, value):
        if self.wedged:
            return
        at = self.ewrpt
        if self.word(0, 8) <= at <= self.word(0, 0x0A):
            self.fail("host writes into the receive buffer at 0x%04x" % at, "3.2.1")
        if self.econ1 & TXRTS and self.word(0, 4) <= at <= self.word(0, 6) + 7:
            self.fail("host writes to the frame that is being sent", "7.1")
        self.memory[at] = value
        self.ewrpt = (at + 1) & 0x1FFF

    # ---- registers ----

    def _check_clock(self, at):
        if self._is_mac(at) and self.now < self.clock_at:
            self.fail("MAC or MII register without a clock", "2.2 ESTAT.CLKRDY")

    def _read(self, at):
        self._check_clock(at)
        if at == EIE:
            return self.eie
        if at == EIR:
            return self.flags
        if at == ESTAT:
            ready = CLKRDY if self.now >= self.clock_at else 0
            return self.estat & ~CLKRDY | ready | (0 if self._int_level() else 0x80)
        if at == ECON2:
            return self.econ2
        if at == ECON1:
            return self.econ1
        bank = self._bank()
        if self._is_mac(at):
            if self._count == 1:
                return 0xA5  # the dummy byte
            if bank == 3 and at == 0x0A:
                return 1 if self.mii_until is not None else 0
            if bank == 2 and at in (0x18, 0x19) and self.mii_until is not None:
                self.fail("MIRD read while MISTAT.BUSY", "3.3.1")
            return self.bank[bank][at]
        if bank == 0:
            pointer = {0: self.erdpt, 2: self.ewrpt, 0x0C: self.erxrdpt, 0x0E: self.erxwrpt}
            if at & ~1 in pointer:
                value = pointer[at & ~1]
                return value >> 8 if at & 1 else value & 0xFF
        if bank == 1 and at == 0x19:
            return self.packets
        return self.bank[bank][at]

    def _write(self, at, value, bits=False):
        if self.wedged:
            return
        self._check_clock(at)
        if at == ECON1:
            self._write_econ1(value)
        elif at == ECON2:
            if value & PKTDEC:
                if not self.packets:
                    self.fail("PKTDEC with no packet", "7.2.4")
                self.packets = max(0, self.packets - 1)
            self.econ2 = value & ~PKTDEC & 0xFF
            if value & PWRSV:
                self.fail("power save is not modelled", "14.0")
        elif at == EIE:
            self.eie = value & 0xFB
        elif at == EIR:
            # PKTIF and LINKIF are read-only; flags are not to be set by the host.
            if value & ~self.flags & 0x3B:
                self.fail("sets flags in EIR", "12.0")
            self.flags = value & 0x3B | self.flags & LINKIF | (RXERIF if self.jammed else 0)
        elif at == ESTAT:
            self.estat = self.estat & ~(LATECOL | TXABRT) | value & self.estat & (LATECOL | TXABRT)
        else:
            self._write_bank(self._bank(), at, value)

    def _write_econ1(self, value):
        old = self.econ1
        if value & (DMAST | CSUMEN):
            self.fail("DMA", "DS80349C: corrupts received packets")
        if value & TXRST and not old & TXRST:
            self._cured(1)
            self.transmits_until = None
            self.stuck_transmitter = False
        if value & RXRST:
            value &= ~RXEN
            self.jammed = False
        if value & RXEN and not old & RXEN:
            self._check_receiver()
        if old & TXRTS and not value & TXRTS:
            self.transmits_until = None
        self.econ1 = value
        if value & TXRTS and not old & TXRTS and not value & TXRST:
            self._transmit()

    def _write_bank(self, bank, at, value):
        regs = self.bank[bank]
        if bank == 0:
            if at in (0x08, 0x09, 0x0A, 0x0B) and self.econ1 & RXEN:
                self.fail("ERXST or ERXND written while RXEN is set", "3.2.1")
            if at in (0x0E, 0x0F):
                self.fail("ERXWRPT is read-only", "3.2.1")
            regs[at] = value if not at & 1 else value & 0x1F
            word = self.word(0, at & ~1)
            if at in (0, 1):
                self.erdpt = word
            elif at in (2, 3):
                self.ewrpt = word
            elif at == 0x0D:  # the high byte takes both over
                if not word & 1:
                    self.fail("ERXRDPT 0x%04x is even" % word, "DS80349C, module 14")
                if not self.word(0, 8) <= word <= self.word(0, 0x0A):
                    self.fail("ERXRDPT 0x%04x is outside the receive buffer" % word, "6.1")
                self.erxrdpt = word
            elif 0x08 <= at <= 0x0B:
                self.erxwrpt = self.word(0, 8)
            return
        if bank == 1 and at == 0x19:
            self.fail("EPKTCNT is read-only", "7.2.4")
        if bank == 3 and at in (0x0A, 0x12):
            self.fail("register 0x%02x is read-only" % at, "3.1")
        if bank == 3 and at < 6 and self.econ1 & RXEN:
            self.fail("the address is changed while RXEN is set", "Linux, enc28j60.c")
        if bank == 2 and at in (0x18, 0x19):
            self.fail("MIRD is read-only", "3.3.1")
        if bank == 2 and at in (0x12, 0x14, 0x16, 0x17) and self.mii_until is not None:
            self.fail("MII register written while MISTAT.BUSY", "3.3.2")
        regs[at] = value
        if bank == 2 and at == 0x12 and value & 1:
            self.mii_reads = self.bank[2][0x14] & 31
            self.mii_until = self.now + _MII_NS
        elif bank == 2 and at == 0x17:
            self._phy_write(self.bank[2][0x14] & 31, self.word(2, 0x16))
            self.mii_until = self.now + _MII_NS

    def _phy_read(self, register):
        value = self.phy[register]
        if register == PHSTAT2:
            value = (0x0400 if self.linked else 0) | (0x0200 if self.phy[PHCON1] & 0x100 else 0)
        elif register == PHSTAT1:
            self.phy[PHSTAT1] = 0x1800 | (4 if self.linked else 0)  # LLSTAT latches low
        elif register == PHIR:
            self.phy[PHIR] = 0
            self.flags &= ~LINKIF
        return value

    def _phy_write(self, register, value):
        if register not in (PHCON1, PHCON2, PHIE, PHLCON):
            self.fail("PHY register 0x%02x is read-only or reserved" % register, "3.3, table 3-3")
        if register == PHLCON and value & 0xF000 != 0x3000:
            self.fail("PHLCON 0x%04x: reserved bits" % value, "2.6, register 2-2")
        if register == PHCON1 and value & 0x8000:
            value = 0
        self.phy[register] = value

    def _check_receiver(self):
        if self.word(0, 8):
            self.fail("receive buffer at 0x%04x" % self.word(0, 8), "DS80349C, module 5")
        if not self.word(0, 0x0A) & 1:
            self.fail("receive buffer ends at an even address", "DS80349C, module 14")
        if self.word(2, 0x0A) > 1536:
            self.fail("MAMXFL %d" % self.word(2, 0x0A), "6.5")
        self._check_duplex()

    def _check_duplex(self):
        full = self.bank[2][2] & 1
        if full != (self.phy[PHCON1] >> 8 & 1):
            self.fail("MACON3.FULDPX and PHCON1.PDPXMD differ", "6.6")
        if self.bank[2][4] != (0x15 if full else 0x12):
            self.fail("MABBIPG 0x%02x" % self.bank[2][4], "6.5")
        if self.bank[2][6] != 0x12 or (not full and self.bank[2][7] != 0x0C):
            self.fail("MAIPG 0x%04x" % self.word(2, 6), "6.5")
        if not full and not self.phy[PHCON2] & 0x100:
            self.fail("half duplex without PHCON2.HDLDIS: hears itself", "6.6")
        if not full and not self.bank[2][3] & 0x40:
            self.fail("MACON4.DEFER is not set", "6.5")

    # ---- transmitter: 7.1 ----

    def _transmit(self):
        if self.forgiving:
            return
        start, end = self.word(0, 4), self.word(0, 6)
        if start & 1:
            self.fail("ETXST 0x%04x is odd" % start, "7.1")
        if end + 7 > 0x1FFF or start <= self.word(0, 0x0A):
            self.fail("no room for the frame and its status vector", "3.2.2, 7.1")
        n = end - start
        if n < 14 or n > 1514:
            self.fail("frame of %d bytes" % n, "5.1, 7.1")
        if not self.bank[2][2] & 0x10 and not self.memory[start] & 1:
            self.fail("no CRC is appended", "6.5 MACON3.TXCRCEN")
        if self.memory[start] & 1:
            self.fail("per packet override is not modelled", "7.1, figure 7-1")
        if self.bank[2][2] >> 5 & 7 not in (1, 3, 5, 7) and n < 60:
            self.fail("a short frame is not padded", "6.5 MACON3.PADCFG")
        self._check_duplex()
        if self.estat & (TXABRT | LATECOL):
            self.fail("a new frame, and ESTAT still tells of an abort", "12.1.3")
        self.flags &= ~TXIF
        if self.stuck_transmitter or self.tx_stalls or self.hung:
            self.tx_stalls = max(0, self.tx_stalls - 1)
            self.transmits_until = None
            return
        self.transmits_until = self.now + (max(n, 60) + 24) * 800 + self.line_ns

    def _hold(self):
        self.transmits_until = None

    def _transmitted(self):
        start, end = self.word(0, 4), self.word(0, 6)
        vector = bytearray(7)
        n = (end - start) & 0x1FFF
        vector[0] = n & 0xFF
        vector[1] = n >> 8
        self.econ1 &= ~TXRTS
        if self.late_collisions:
            self.late_collisions -= 1
            vector[3] = 0x20
            self.flags |= TXERIF | TXIF
            self.estat |= TXABRT | LATECOL
            self.stuck_transmitter = True
        else:
            vector[2] = 0x80
            self.flags |= TXIF
            # In half duplex nothing collides where nothing is heard: without a link the frame is
            # simply gone.
            if self.linked and n <= 1518:
                self._sends(bytes(self.memory[start + 1 : end + 1]))
        for i in range(7):
            self.memory[(end + 1 + i) & 0x1FFF] = vector[i]
        self.intn.edge()
