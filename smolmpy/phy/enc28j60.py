"""ENC28J60: a 10 Mbit/s Ethernet chip on SPI.

`ENC28J60(spi, cs, reset, interrupt, mac=...)` is a device as docs/architecture.md describes it.
Sections are those of the data sheet DS39662E, modules those of the errata DS80349C. SPI mode 0,
8 to 20 MHz (module 1: revisions before B5 are unreliable below 8).

Of the 8 KB, 0x0000 to 0x19FF receive (module 5: the ring must begin at 0) and the rest holds one
frame to send with its status vector. A frame is read in one burst, header and all: the chip's
read pointer wraps by itself. Reading one costs ten transactions, and five to seven while more
wait; sending one costs nine, or ten if the last had not been seen to end. The bank of registers
is changed only when it must be. After a frame ECON1 tells whether the chip was reset meanwhile,
which then has sent something else.

The chip does not negotiate: a switch takes it for half duplex, which is the default here. With
`full_duplex=True` the other side has to be set by hand. In half duplex a late collision, of which
the chip imagines some (module 13), is met by sending again, up to 16 times.

Chip select must stay low for 210 ns after a MAC or MII register (table 16-6, TCSH): a call of
MicroPython takes longer than that. Nothing here waits for ever: every loop counts; a reset waits
2 ms (module 2). A header that cannot be, a receiver or transmitter that stopped, a chip that was
reset or went away, a bus that fails is noticed, counted and mended (spi.py): `receive` or
`transmit` returns -EIO then, or -ENODEV while no chip answers.
"""

import micropython
from micropython import const

from ..kernel import reference
from .spi import SPIChip

# Opcodes (4.2), to be or-ed with a register.
_RBM = const(0x3A)
_WCR = const(0x40)
_WBM = const(0x7A)
_BFS = const(0x80)
_BFC = const(0xA0)
_SRC = b"\xff"

# Registers (3.1): bits 4 to 0 address, 6 and 5 bank, 7 set for MAC and MII registers.
_ALL_BANKS = const(0x1B)
_EIE = const(0x1B)
_EIR = const(0x1C)
_ESTAT = const(0x1D)
_ECON2 = const(0x1E)
_ECON1 = const(0x1F)
_ERDPT = const(0x00)
_EWRPT = const(0x02)
_ETXST = const(0x04)
_ETXND = const(0x06)
_ERXST = const(0x08)
_ERXND = const(0x0A)
_ERXRDPT = const(0x0C)
_ERXFCON = const(0x38)
_EPKTCNT = const(0x39)
_MACON1 = const(0xC0)
_MACON3 = const(0xC2)
_MACON4 = const(0xC3)
_MABBIPG = const(0xC4)
_MAIPG = const(0xC6)
_MAMXFL = const(0xCA)
_MICMD = const(0xD2)
_MIREGADR = const(0xD4)
_MIWR = const(0xD6)
_MIRD = const(0xD8)
_MISTAT = const(0xEA)
_EREVID = const(0x72)
# The address, from its first byte on (3.1, table 3-1: MAADR1 to MAADR6 in a peculiar order).
_MAADR = (0xE4, 0xE5, 0xE2, 0xE3, 0xE0, 0xE1)

# PHY registers (3.3).
_PHCON1 = const(0x00)
_PHCON2 = const(0x10)
_PHSTAT2 = const(0x11)
_PHIE = const(0x12)
_PHIR = const(0x13)
_PHLCON = const(0x14)
_PDPXMD = const(0x0100)
_HDLDIS = const(0x0100)
_LSTAT = const(0x0400)
_PHY_INTERRUPT = const(0x0012)
_LAMPS = const(0x3476)  # LED A: link, LED B: traffic

_TXRST = const(0x80)
_RXRST = const(0x40)
_TXRTS = const(0x08)
_RXEN = const(0x04)
_PKTDEC = const(0x40)
_AUTOINC = const(0x80)
_LINKIF = const(0x10)
_TXIF = const(0x08)
_TXERIF = const(0x02)
_RXERIF = const(0x01)
_LATECOL = const(0x10)
_TXABRT = const(0x02)
_CLKRDY = const(0x01)
_INTIE = const(0xD3)  # INTIE, PKTIE, LINKIE, TXERIE, RXERIE

_RX_END = const(0x19FF)
_RING = const(0x1A00)
_TX_START = const(0x1A00)

_MIN = const(64)  # with FCS
_LIMIT = const(1522)  # what the receiver lets in: a tag more

# How often a register is read before a wait is given up: a maximal frame takes 1.2 ms.
_TRIES = const(200)
# ms after which the end of the last frame is waited for no longer, on a slow bus.
_SOON = const(3)
# ms after which a frame that has not left never will.
_STALL = const(50)
_RETRY = const(16)
# ms after which the chip is looked at although its interrupt pin is idle.
_LOOK = const(990)
# Received bytes that are given back to the chip at once.
_KEPT = const(2048)
_TIME = const(0x1FFFFFFF)

# Instructions that are always the same.
_BANK_1 = bytes((_BFS | _ECON1, 1))
_BANK_0 = bytes((_BFC | _ECON1, 3))
_READ_EPKTCNT = bytes((_EPKTCNT & 0x1F, 0))
_READ_ECON1 = bytes((_ECON1, 0))
_READ_EIR = bytes((_EIR, 0))
_DECREMENT = bytes((_BFS | _ECON2, _PKTDEC))
_EWRPT_LOW = bytes((_WCR | _EWRPT, _TX_START & 0xFF))
_EWRPT_HIGH = bytes((_WCR | _EWRPT + 1, _TX_START >> 8))
# Module 12: the transmitter may be stuck after an error, so it is always reset.
_HOLD = bytes((_BFS | _ECON1, _TXRST))
_RELEASE = bytes((_BFC | _ECON1, _TXRST | _TXRTS))
_FORGET = bytes((_BFC | _EIR, _TXIF | _TXERIF))
_START = bytes((_BFS | _ECON1, _TXRTS))

# The box: the bytes of instructions with other values, and of answers.
_ERDPT_AT = const(0)  # two of 2 bytes, low and high
_ERXRDPT_AT = const(4)
_ETXND_AT = const(8)
_COUNT = const(12)  # of EPKTCNT
_ALIVE = const(14)  # of ECON1
_EVENTS = const(16)  # of EIR
_HEAD = const(18)
_BOX = const(25)

# The state: an array('I'), whose first words are SPIChip's.

# Of docs/layout.md: 'make format' writes these.
_CALL = const(0)
_WAITING = const(1)
_RX_ROOM = const(2)
_TX_ROOM = const(3)
_DOWN = const(4)
_LOOKED = const(6)
_STUCK = const(7)
_STUCK_AT = const(8)
_RX_FAULTS = const(9)
_TX_FAULTS = const(10)
_POLLED = const(11)
_SENDING = const(12)
_RX_FRAMES = const(13)
_RX_ERRORS = const(14)
_RX_TOO_LONG = const(15)
_TX_FRAMES = const(16)
_TX_STALLS = const(17)
_TOLD = const(22)
_QUIET = const(23)

_BANK = const(24)
_HELD = const(25)  # bytes read, and not yet given back
_NEXT = const(26)  # where the next frame begins
_TX_END = const(27)
_RETRIES = const(28)
_IDLE = const(29)  # counts the times that nothing waited
_RX_OVERRUNS = const(30)
_TX_ERRORS = const(31)
_TX_LATE_COLLISIONS = const(32)
_WORDS = const(33)

_EIO = const(5)
_EAGAIN = const(11)
_ENODEV = const(19)
_EMSGSIZE = const(90)


class ENC28J60(SPIChip):
    """The chip with the address `mac` (6 bytes: it has none of its own; None: hear everything).

    `multicast` lets all groups pass. Raises `OSError(ENODEV)` if there is no such chip within half
    a second.
    """

    _COUNTERS = SPIChip._COUNTERS + (
        ("rx_overruns", _RX_OVERRUNS),
        ("tx_errors", _TX_ERRORS),
        ("tx_late_collisions", _TX_LATE_COLLISIONS),
    )

    def __init__(
        self,
        spi,
        cs,
        reset=None,
        interrupt=None,
        *,
        mac=None,
        multicast=False,
        promiscuous=False,
        full_duplex=False,
        ticks_ms=None,
        sleep_ms=None,
    ):
        super().__init__(spi, cs, reset, interrupt, mac, _WORDS, ticks_ms, sleep_ms)
        self.full_duplex = full_duplex
        # UCEN, CRCEN, BCEN, and MCEN. With no filter only frames with a wrong FCS are refused.
        self._filter = 0xA3 if multicast else 0xA1
        if promiscuous or mac is None:
            self._filter = 0x20
        self._two = bytearray(2)
        self._two_answer = bytearray(2)
        self._three = bytearray(3)
        self._three_answer = bytearray(3)
        self._rx_command = bytes((_RBM, 0, 0, 0, 0, 0, 0))
        self._vector_command = bytes((_RBM, 0, 0, 0, 0, 0, 0, 0))
        self._vector = bytearray(8)
        self._gather()
        self._link = False
        self.revision = 0
        error = self._begin()
        if error and self.revision in (0, 0xFF):
            raise OSError(
                _ENODEV,
                "no ENC28J60: its revision reads 0x%02x; check wiring (SO, SI, SCK, CS), power"
                " and reset" % self.revision,
            )
        if error:
            raise OSError(_EIO, "ENC28J60 does not keep what it is told; check SPI clock")

    def _gather(self):
        # What the hot paths need, in one look-up each.
        self._box = box = memoryview(bytearray(_BOX))
        for at, register in ((_ERDPT_AT, _ERDPT), (_ERXRDPT_AT, _ERXRDPT), (_ETXND_AT, _ETXND)):
            box[at] = _WCR | register
            box[at + 2] = _WCR | register + 1
        state = reference(self._state)
        common = (state, reference(box), self._cs, self._write, self._exchange)
        self._parts_in = common + (
            self._read,
            _BANK_1,
            _BANK_0,
            _READ_EPKTCNT,
            _READ_ECON1,
            box[_COUNT : _COUNT + 2],
            box[_ALIVE : _ALIVE + 2],
            box[_ERDPT_AT : _ERDPT_AT + 2],
            box[_ERDPT_AT + 2 : _ERDPT_AT + 4],
            self._rx_command,
            box[_HEAD : _HEAD + 7],
            box[_ERXRDPT_AT : _ERXRDPT_AT + 2],
            box[_ERXRDPT_AT + 2 : _ERXRDPT_AT + 4],
            _DECREMENT,
            self.interrupt,
            self._ticks,
        )
        # 7.1: a control byte of 0 goes before a frame, which means "as in MACON3".
        self._parts_out = common + (
            _READ_EIR,
            box[_EVENTS : _EVENTS + 2],
            _EWRPT_LOW,
            _EWRPT_HIGH,
            bytes((_WBM, 0)),
            box[_ETXND_AT : _ETXND_AT + 2],
            box[_ETXND_AT + 2 : _ETXND_AT + 4],
            _HOLD,
            _RELEASE,
            _FORGET,
            _START,
        )
        self._way_in = (None, None) + self._parts_in
        self._way_out = (None, None) + self._parts_out

    # ---- registers ----

    @micropython.viper
    def _operate(self, op: int, value: int) -> int:
        two = self._two
        t = ptr8(two)
        t[0] = op
        t[1] = value
        cs = self._cs
        cs(0)
        self._write(two)
        cs(1)
        return 0

    @micropython.viper
    def _select(self, register: int) -> int:
        # 3.1: EIE to ECON1 are in all banks.
        s = ptr32(self._state)
        if register & 0x1F < _ALL_BANKS:
            bank = register >> 5 & 3
            old = s[_BANK]
            if old & ~bank:
                self._operate(_BFC | _ECON1, old & ~bank)
            if bank & ~old:
                self._operate(_BFS | _ECON1, bank & ~old)
            s[_BANK] = bank
        return 0

    @micropython.viper
    def _get(self, register: int) -> int:
        s = ptr32(self._state)
        if register & 0x1F < _ALL_BANKS and register >> 5 & 3 != s[_BANK]:
            self._select(register)
        cs = self._cs
        if register & 0x80:
            # 4.2.1: a dummy byte comes first.
            command = self._three
            answer = self._three_answer
            last = 2
        else:
            command = self._two
            answer = self._two_answer
            last = 1
        c = ptr8(command)
        c[0] = register & 0x1F
        cs(0)
        self._exchange(command, answer)
        cs(1)
        a = ptr8(answer)
        return a[last]

    def _put(self, register, value):
        self._select(register)
        self._operate(_WCR | register & 0x1F, value)

    @micropython.viper
    def _put_word(self, register: int, value: int) -> int:
        # The low byte first: ERXRDPT takes both over with the high one (6.1), as does MIWR.
        s = ptr32(self._state)
        if register >> 5 & 3 != s[_BANK]:
            self._select(register)
        two = self._two
        t = ptr8(two)
        cs = self._cs
        t[0] = _WCR | register & 0x1F
        t[1] = value & 0xFF
        cs(0)
        self._write(two)
        cs(1)
        t[0] = _WCR + 1 + (register & 0x1F)
        t[1] = value >> 8
        cs(0)
        self._write(two)
        cs(1)
        return 0

    def _mii_wait(self):
        for _ in range(_TRIES):
            if not self._get(_MISTAT) & 1:
                return 0
        return -_EIO

    def _phy_write(self, register, value):
        self._put(_MIREGADR, register)
        self._put_word(_MIWR, value)
        return self._mii_wait()

    def _phy_read(self, register):
        # 3.3.1; 0 when it fails, which reads as no link.
        self._put(_MIREGADR, register)
        self._put(_MICMD, 1)
        failed = self._mii_wait()
        self._put(_MICMD, 0)
        return 0 if failed else self._get(_MIRD + 1) << 8 | self._get(_MIRD)

    # ---- start and repair ----

    def _answers(self):
        # The bank may be any.
        self._operate(_BFC | _ECON1, 3)
        self._state[_BANK] = 0
        self.revision = self._get(_EREVID)
        return self.revision not in (0, 0xFF)

    def _soft_reset(self):
        self._cs(0)
        self._write(_SRC)
        self._cs(1)
        self._state[_BANK] = 0
        # Module 2: ESTAT.CLKRDY does not tell when the chip is ready.
        self._sleep(2)

    def _ready(self):
        # 2.2: MAC and PHY have no clock before, after a reset by the pin.
        return self._get(_ESTAT) & _CLKRDY

    def _configure(self):
        # After a reset: whether the chip is set up, and receives.
        for word in (_SENDING, _STUCK, _RETRIES):
            self._state[word] = 0
        self._put(_ECON2, _AUTOINC)
        self._put_word(_ETXST, _TX_START)
        self._put(_ERXFCON, self._filter)
        full = self.full_duplex
        # MARXEN, and pause frames (10.0), which exist in full duplex only.
        self._put(_MACON1, 0x0D if full else 0x01)
        # Pad to 60 bytes, append the FCS, check lengths (6.5).
        self._put(_MACON3, 0x33 if full else 0x32)
        self._put(_MACON4, 0x40)
        self._put_word(_MAMXFL, _LIMIT)
        self._put(_MABBIPG, 0x15 if full else 0x12)
        self._put_word(_MAIPG, 0x0C12)
        if (
            not self._put_mac()
            or self._phy_write(_PHLCON, _LAMPS)
            or self._phy_write(_PHCON1, _PDPXMD if full else 0)
            or self._phy_write(_PHCON2, 0 if full else _HDLDIS)
            or self._phy_write(_PHIE, _PHY_INTERRUPT)
        ):
            return False
        self._link = bool(self._phy_read(_PHSTAT2) & _LSTAT)
        self._put(_EIE, 0 if self.interrupt is None else _INTIE)
        self._start_receiver()
        # A reset in the midst of this has undone what came first.
        return self._get(_ETXST + 1) == _TX_START >> 8 and self._alive()

    def _put_mac(self):
        # While nothing is received (Linux, enc28j60.c); _configure() goes on with that.
        on = self._get(_ECON1) & _RXEN
        self._operate(_BFC | _ECON1, _RXEN)
        mac = self.mac
        if mac is not None:
            for i in range(6):
                self._put(_MAADR[i], mac[i])
            for i in range(6):
                if self._get(_MAADR[i]) != mac[i]:
                    return False
        self._operate(_BFS | _ECON1, on)
        return True

    def _start_receiver(self):
        # The ring afresh, empty (6.1, 7.2.1).
        self._operate(_BFC | _ECON1, _RXEN)
        self._operate(_BFS | _ECON1, _RXRST)
        self._operate(_BFC | _ECON1, _RXRST)
        self._put_word(_ERXST, 0)
        self._put_word(_ERXND, _RX_END)
        self._put_word(_ERXRDPT, _RX_END)
        for _ in range(self._get(_EPKTCNT)):
            self._operate(_BFS | _ECON2, _PKTDEC)
        for word in (_WAITING, _NEXT, _HELD):
            self._state[word] = 0
        self._operate(_BFC | _EIR, _RXERIF)
        self._operate(_BFS | _ECON1, _RXEN)

    def _reset_transmitter(self):
        self._operate(_BFS | _ECON1, _TXRST)
        self._operate(_BFC | _ECON1, _TXRST | _TXRTS)
        self._operate(_BFC | _EIR, _TXIF | _TXERIF)
        # 12.1.3: so that the next abort is seen.
        self._operate(_BFC | _ESTAT, _LATECOL | _TXABRT)
        self._state[_SENDING] = self._state[_STUCK] = 0

    def _resync(self):
        # What was read cannot be, or what was written may not have arrived: both sides begin
        # anew; the chip, if that was in vain.
        state = self._state
        state[_RX_FAULTS] += 1
        faults = state[_RX_FAULTS]
        self._operate(_BFC | _ECON1, 3)
        state[_BANK] = 0
        if faults > 2 or not self._alive():
            return self._restart(faults > 3)
        self._reset_transmitter()
        self._start_receiver()
        return -_EIO

    def _alive(self):
        # After a brown-out RXEN is 0, without a chip all bits are alike, and the bank is another
        # than it should be if a change of it did not reach the chip.
        wanted = _RXEN | self._state[_BANK]
        return self._get(_ECON1) & (_TXRST | _RXRST | _RXEN | 3) == wanted

    # ---- the way of a frame ----

    @micropython.viper
    def receive(self, buf) -> int:
        """Copies a frame to `buf`; see docs/architecture.md."""
        (
            known,
            views,
            state,
            box,
            cs,
            write,
            exchange,
            read,
            bank_1,
            bank_0,
            read_epktcnt,
            read_econ1,
            epktcnt,
            econ1,
            erdpt_low,
            erdpt_high,
            command,
            head,
            erxrdpt_low,
            erxrdpt_high,
            decrement,
            interrupt,
            ticks,
        ) = self._way_in
        if buf is not known:
            self._adopt_rx(buf)
            views = self._way_in[1]
        s = ptr32(state)
        b = ptr8(box)
        try:
            if s[_DOWN]:
                return int(self._mend())
            if not s[_WAITING]:
                look = 0
                if not s[_POLLED]:
                    # First quiet, then the pin: its interrupt may come in between.
                    if s[_TOLD]:
                        s[_CALL] = 0
                    if int(interrupt()):
                        s[_QUIET] = 1
                        now = int(ticks())
                        if (now - s[_LOOKED]) & _TIME < _LOOK:
                            return 0
                        s[_LOOKED] = now & _TIME
                    else:
                        s[_CALL] = 1
                        if s[_QUIET]:
                            # Nobody told: the handler is another's now.
                            s[_QUIET] = 0
                            s[_TOLD] = 0
                    look = 1  # if it is not a frame, it is something else
                if s[_BANK] != 1:
                    if s[_BANK]:
                        self._select(_EPKTCNT)
                    else:
                        cs(0)
                        write(bank_1)
                        cs(1)
                    s[_BANK] = 1
                # Module 6: EIR.PKTIF is not to be trusted.
                cs(0)
                exchange(read_epktcnt, epktcnt)
                cs(1)
                s[_WAITING] = b[_COUNT + 1]
                if not s[_WAITING]:
                    return int(self._look_after(look))
                s[_CALL] = 1
            if s[_BANK]:
                cs(0)
                write(bank_0)
                cs(1)
                s[_BANK] = 0
            start = s[_NEXT]
            tries = 2
            while True:
                b[_ERDPT_AT + 1] = start & 0xFF
                b[_ERDPT_AT + 3] = start >> 8
                cs(0)
                write(erdpt_low)
                cs(1)
                cs(0)
                write(erdpt_high)
                cs(1)
                cs(0)
                exchange(command, head)
                following = b[_HEAD + 1] | b[_HEAD + 2] << 8
                total = b[_HEAD + 3] | b[_HEAD + 4] << 8
                end = start + 6 + ((total + 1) & ~1)
                if end >= _RING:
                    end -= _RING
                if end == following and total >= _MIN and total <= _LIMIT:
                    break
                cs(1)
                tries -= 1
                # A second look tells noise on the wires from a chip that is out of step.
                if not tries:
                    s[_RX_ERRORS] = s[_RX_ERRORS] + 1
                    return int(self._resync())
            length = total - 4
            good = b[_HEAD + 5] & 0x80
            if good and length <= s[_RX_ROOM]:
                read(views[(length + 31) >> 5])
            cs(1)
            # Is it still the chip that was asked?
            cs(0)
            exchange(read_econ1, econ1)
            cs(1)
            if b[_ALIVE + 1] & (_TXRST | _RXRST | _RXEN | 3) != _RXEN:
                s[_RX_ERRORS] = s[_RX_ERRORS] + 1
                return int(self._restart())
            s[_NEXT] = following
            waiting = s[_WAITING] - 1
            s[_WAITING] = waiting
            held = s[_HELD] + total
            if not waiting or held >= _KEPT:
                # Module 14: ERXRDPT must be odd. The low byte first: the high one takes both over.
                free = following - 1
                if free < 0:
                    free = _RX_END
                b[_ERXRDPT_AT + 1] = free & 0xFF
                b[_ERXRDPT_AT + 3] = free >> 8
                cs(0)
                write(erxrdpt_low)
                cs(1)
                cs(0)
                write(erxrdpt_high)
                cs(1)
                held = 0
            s[_HELD] = held
            cs(0)
            write(decrement)
            cs(1)
        except self._failed():
            return -_EIO
        s[_RX_FAULTS] = 0
        if not good:
            s[_RX_ERRORS] = s[_RX_ERRORS] + 1
            return -_EIO
        if length > s[_RX_ROOM]:
            s[_RX_TOO_LONG] = s[_RX_TOO_LONG] + 1
            return -_EMSGSIZE
        s[_RX_FRAMES] = s[_RX_FRAMES] + 1
        return length

    def _look_after(self, look):
        # Nothing waits: is all well? 0, or a negative errno after a repair. Without an interrupt
        # pin `look` is 0, and that is asked now and then.
        state = self._state
        if state[_SENDING]:
            self._check_sent()
        state[_IDLE] = (state[_IDLE] + 1) & 0xFFFF
        if not look:
            if state[_IDLE] & 15 and self._elapsed(_LOOKED) < _LOOK:
                return 0
            state[_LOOKED] = self._ticks() & _TIME
        if not self._alive():
            return self._restart()
        flags = self._get(_EIR)
        if flags & _LINKIF:
            self._read_link()
        if flags & _RXERIF:
            # The ring or the counter was full; neither is now, so a flag that comes back at once
            # is a receiver that stopped.
            state[_RX_OVERRUNS] += 1
            self._operate(_BFC | _EIR, _RXERIF)
            if self._get(_EIR) & _RXERIF:
                state[_RX_ERRORS] += 1
                return self._resync()
        return 0

    @micropython.viper
    def transmit(self, buf, length: int) -> int:
        """Sends `buf[:length]`; see docs/architecture.md."""
        (
            known,
            views,
            state,
            box,
            cs,
            write,
            exchange,
            read_eir,
            events,
            ewrpt_low,
            ewrpt_high,
            command,
            etxnd_low,
            etxnd_high,
            hold,
            release,
            forget,
            start,
        ) = self._way_out
        if buf is not known:
            self._adopt_tx(buf)
            views = self._way_out[1]
        s = ptr32(state)
        b = ptr8(box)
        if length < 14 or length > s[_TX_ROOM]:
            return -_EMSGSIZE
        try:
            if s[_SENDING] and not s[_DOWN]:
                cs(0)
                exchange(read_eir, events)
                cs(1)
                if b[_EVENTS + 1] & (_TXIF | _TXERIF) == _TXIF:
                    s[_SENDING] = 0
                    s[_STUCK] = 0
                    s[_TX_FAULTS] = 0
            if s[_DOWN] | s[_SENDING]:
                error = int(self._wait_on())
                if error:
                    return error
            if s[_BANK]:
                self._select(_EWRPT)
            cs(0)
            write(ewrpt_low)
            cs(1)
            cs(0)
            write(ewrpt_high)
            cs(1)
            # What is written past the end of the frame stays in the transmit area, and is not
            # sent.
            cs(0)
            write(command)
            write(views[(length + 31) >> 5])
            cs(1)
            end = _TX_START + length
            b[_ETXND_AT + 1] = end & 0xFF
            b[_ETXND_AT + 3] = end >> 8
            cs(0)
            write(etxnd_low)
            cs(1)
            cs(0)
            write(etxnd_high)
            cs(1)
            cs(0)
            write(hold)
            cs(1)
            cs(0)
            write(release)
            cs(1)
            cs(0)
            write(forget)
            cs(1)
            cs(0)
            write(start)
            cs(1)
        except self._failed():
            return -_EIO
        s[_TX_END] = end
        s[_RETRIES] = _RETRY
        s[_SENDING] = 1
        s[_TX_FRAMES] = s[_TX_FRAMES] + 1
        return 0

    def _wait_on(self):
        # The chip is lost, or the last frame may be on the line: 0 if one can be sent now.
        state = self._state
        if state[_DOWN]:
            return self._mend_tx()
        start = self._ticks()
        for _ in range(_TRIES):
            self._check_sent()
            if not state[_SENDING]:
                return 0
            if state[_STUCK] or (self._ticks() - start) & _TIME >= _SOON:
                break
        if not state[_STUCK]:
            state[_STUCK] = 1
            state[_STUCK_AT] = self._ticks() & _TIME
            return -_EAGAIN
        if self._elapsed(_STUCK_AT) < _STALL:
            return -_EAGAIN
        # Neither sent nor failed.
        state[_TX_STALLS] += 1
        if self._link:
            state[_TX_FAULTS] += 1
        if state[_TX_FAULTS] > 1 or not self._alive():
            error = self._restart(state[_TX_FAULTS] > 2)
            return error if error == -_ENODEV else -_EAGAIN
        self._reset_transmitter()
        return 0

    def _check_sent(self):
        # Looks whether the last frame has left, and sends it again after a late collision.
        state = self._state
        flags = self._get(_EIR)
        if flags & _TXERIF:
            self._put_word(_ERDPT, state[_TX_END] + 1)
            self._cs(0)
            self._exchange(self._vector_command, self._vector)
            self._cs(1)
            # This lets the interrupt pin go.
            self._reset_transmitter()
            # Bit 29 of the status vector (table 7-1).
            if self._vector[4] & 0x20:
                state[_TX_LATE_COLLISIONS] += 1
                if state[_RETRIES]:
                    state[_RETRIES] -= 1
                    self._operate(_BFS | _ECON1, _TXRTS)
                    state[_SENDING] = 1
                    return
            state[_TX_ERRORS] += 1
        elif flags & _TXIF:
            state[_SENDING] = state[_STUCK] = state[_TX_FAULTS] = 0

    # ---- what a program may ask ----

    def _read_link(self):
        # PHIR is read to lower LINKIF (12.1.5).
        self._phy_read(_PHIR)
        self._link = bool(self._phy_read(_PHSTAT2) & _LSTAT)

    def _linked(self):
        # One transaction, some twenty after a change.
        if self._get(_EIR) & _LINKIF:
            self._read_link()
        return self._link

    @property
    def speed(self):
        """10 Mbit/s."""
        return 10
