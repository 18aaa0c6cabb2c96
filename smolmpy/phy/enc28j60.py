"""ENC28J60: a 10 Mbit/s Ethernet chip on SPI.

`ENC28J60(spi, cs, reset, interrupt, mac=...)` is a device as docs/architecture.md describes it.
Sections are those of the data sheet DS39662E, modules those of the errata DS80349C. SPI mode 0,
8 to 20 MHz (module 1: revisions before B5 are unreliable below 8).

Of the 8 KB, 0x0000 to 0x19FF receive (module 5: the ring must begin at 0) and the rest holds one
frame to send with its status vector. A frame is read in one burst, header and all: the chip's
read pointer wraps by itself. Reading one costs eight to ten transactions, and four to six while
more wait; sending one costs nine, or ten if the last had not been seen to end. The bank of
registers is changed only when it must be.

The chip does not negotiate: a switch takes it for half duplex, which is the default here. With
`full_duplex=True` the other side has to be set by hand. In half duplex a late collision, of which
the chip imagines some (module 13), is met by sending again, up to 16 times.

Chip select must stay low for 210 ns after a MAC or MII register (table 16-6, TCSH): a call of
MicroPython takes longer than that. Nothing here waits for ever: every loop counts. A header that
cannot be, a receiver or transmitter that stopped, a chip that was reset or went away is noticed,
counted and mended: `receive` or `transmit` returns -EIO then, or -ENODEV while no chip answers.
"""

import micropython
from micropython import const

from .spi import SPIChip, sleep_ms

# Opcodes (4.2), to be or-ed with a register.
_RCR = const(0x00)
_RBM = const(0x3A)
_WCR = const(0x40)
_WBM = const(0x7A)
_BFS = const(0x80)
_BFC = const(0xA0)
_SRC = const(0xFF)

# Registers (3.1): bits 4 to 0 address, 6 and 5 bank, 7 set for MAC and MII registers.
_ALL_BANKS = const(0x1B)
_EIE = const(0x1B)
_EIR = const(0x1C)
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
_INTIE = const(0xD3)  # INTIE, PKTIE, LINKIE, TXERIE, RXERIE

_RX_END = const(0x19FF)
_RING = const(0x1A00)
_TX_START = const(0x1A00)

_MAX = const(1514)
_MIN = const(64)  # with FCS
_LIMIT = const(1522)  # what the receiver lets in: a tag more

# How often a register is read before a wait is given up: a maximal frame takes 1.2 ms.
_TRIES = const(200)
# So many transmits in a row that found the last frame unsent mean that it never will be.
_STALLED = const(16)
_RETRY = const(16)
# How often `receive` finds nothing before it makes sure that the receiver lives.
_BELIEVE = const(15)
# Received bytes that are given back to the chip at once.
_KEPT = const(2048)

# The state: an array('I'), whose first two words are SPIChip's.
_WAITING = const(0)  # frames known to wait
_RX_ROOM = const(1)
_BANK = const(2)
_HELD = const(3)  # bytes read, and not yet given back
_NEXT = const(4)  # where the next frame begins
_TX_END = const(5)
_SENDING = const(6)
_STUCK = const(7)  # transmits in a row that gave up waiting
_RETRIES = const(8)
_FAULTS = const(9)  # repairs since the last frame
_IDLE = const(10)
_DOWN = const(11)
_POLLED = const(12)  # there is no interrupt pin
_RX_FRAMES = const(13)
_RX_ERRORS = const(14)
_RX_TOO_LONG = const(15)
_RX_OVERRUNS = const(16)
_TX_FRAMES = const(17)
_TX_ERRORS = const(18)
_TX_LATE_COLLISIONS = const(19)
_TX_STALLS = const(20)
_RESTARTS = const(21)
_WORDS = const(22)

_EIO = const(5)
_EAGAIN = const(11)
_ENODEV = const(19)
_EMSGSIZE = const(90)


class ENC28J60(SPIChip):
    """The chip with the address `mac` (6 bytes: it has none of its own; None: hear everything).

    `multicast` lets all groups pass. Raises `OSError(ENODEV)` if there is no such chip.
    """

    _COUNTERS = (
        ("rx_frames", _RX_FRAMES),
        ("rx_errors", _RX_ERRORS),
        ("rx_too_long", _RX_TOO_LONG),
        ("rx_overruns", _RX_OVERRUNS),
        ("tx_frames", _TX_FRAMES),
        ("tx_errors", _TX_ERRORS),
        ("tx_late_collisions", _TX_LATE_COLLISIONS),
        ("tx_stalls", _TX_STALLS),
        ("restarts", _RESTARTS),
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
    ):
        super().__init__(spi, cs, reset, interrupt, mac, _WORDS)
        self._state[_POLLED] = interrupt is None
        self.full_duplex = full_duplex
        # UCEN, CRCEN, BCEN, and MCEN. With no filter only frames with a wrong FCS are refused.
        self._filter = 0xA3 if multicast else 0xA1
        if promiscuous or mac is None:
            self._filter = 0x20
        self._two = bytearray(2)
        self._two_answer = bytearray(2)
        self._three = bytearray(3)
        self._three_answer = bytearray(3)
        self._rx_command = bytearray(7)
        self._rx_command[0] = _RBM
        self._rx_head = bytearray(7)
        self._tx_command = bytearray(2)
        self._tx_command[0] = _WBM
        self._vector_command = bytearray(8)
        self._vector_command[0] = _RBM
        self._vector = bytearray(8)
        self._link = False
        error = self._start()
        if error == -_ENODEV:
            raise OSError(
                _ENODEV,
                "no ENC28J60: its revision reads 0x%02x; check wiring (SO, SI, SCK, CS), power"
                " and reset" % self.revision,
            )
        if error:
            raise OSError(_EIO, "ENC28J60 does not keep what it is told; check SPI clock")
        self._state[_RESTARTS] = 0

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

    def _forget(self):
        for word in (_WAITING, _BANK, _HELD, _NEXT, _SENDING, _STUCK, _RETRIES, _FAULTS):
            self._state[word] = 0

    def _start(self):
        # Reset and set up: 0, or a negative errno. Allocates nothing.
        self._state[_DOWN] = 1
        self._state[_RESTARTS] += 1
        self._operate(_SRC, _SRC)
        # Module 2: ESTAT.CLKRDY does not tell when the chip is ready.
        sleep_ms(2)
        self._forget()
        self.revision = self._get(_EREVID)
        if self.revision in (0, 0xFF):
            return -_ENODEV
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
        if self.mac is not None:
            for i in range(6):
                self._put(_MAADR[i], self.mac[i])
            for i in range(6):
                if self._get(_MAADR[i]) != self.mac[i]:
                    return -_EIO
        if (
            self._phy_write(_PHLCON, _LAMPS)
            or self._phy_write(_PHCON1, _PDPXMD if full else 0)
            or self._phy_write(_PHCON2, 0 if full else _HDLDIS)
            or self._phy_write(_PHIE, _PHY_INTERRUPT)
        ):
            return -_EIO
        self._link = bool(self._phy_read(_PHSTAT2) & _LSTAT)
        self._put(_EIE, 0 if self.interrupt is None else _INTIE)
        self._start_receiver()
        self._state[_DOWN] = 0
        return 0

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

    def _mend(self):
        # The chip is not what it should be: -EIO if it works again, else -ENODEV.
        return -_ENODEV if self._start() else -_EIO

    def _mend_receiver(self):
        # What was read cannot be: restart the receiver; the chip, if that was in vain.
        self._state[_RX_ERRORS] += 1
        self._state[_FAULTS] += 1
        if self._state[_FAULTS] > 2 or not self._alive():
            return self._mend()
        self._start_receiver()
        return -_EIO

    def _alive(self):
        # After a brown-out RXEN is 0, without a chip all bits are alike, and the bank is another
        # than it should be if a change of it did not reach the chip.
        wanted = _RXEN | self._state[_BANK]
        return self._get(_ECON1) & (_TXRST | _RXRST | _RXEN | 3) == wanted

    # ---- the way of a frame ----

    @micropython.viper
    def _look(self) -> int:
        # Nothing is known to wait: asks the pin, and the chip. 0, or a negative errno.
        s = ptr32(self._state)
        if s[_DOWN]:
            return int(self._mend())
        s[_IDLE] = (s[_IDLE] + 1) & 0xFFFF
        believe = s[_IDLE] & _BELIEVE
        if not s[_POLLED]:
            if self.interrupt():
                if believe:
                    return 0
            else:
                believe = 0  # if it is not a frame, it is something else
        if s[_SENDING]:
            self._check_sent()
        # Module 6: EIR.PKTIF is not to be trusted.
        s[_WAITING] = int(self._get(_EPKTCNT))
        if s[_WAITING] or believe:
            return 0
        return int(self._look_after())

    @micropython.viper
    def receive(self, buf) -> int:
        """Copies a frame to `buf`; see docs/architecture.md."""
        if buf is not self._rx_buf:
            self._adopt_rx(buf)
        s = ptr32(self._state)
        if not s[_WAITING]:
            error = int(self._look())
            if not s[_WAITING]:
                return error
        cs = self._cs
        head = self._rx_head
        h = ptr8(head)
        start = s[_NEXT]
        tries = 2
        while True:
            self._put_word(_ERDPT, start)
            cs(0)
            self._exchange(self._rx_command, head)
            following = h[1] | h[2] << 8
            total = h[3] | h[4] << 8
            end = start + 6 + ((total + 1) & ~1)
            if end >= _RING:
                end -= _RING
            if end == following and total >= _MIN and total <= _LIMIT:
                break
            cs(1)
            tries -= 1
            # A second look tells noise on the wires from a chip that is out of step.
            if not tries:
                return int(self._mend_receiver())
        length = total - 4
        good = h[5] & 0x80
        if good and length <= s[_RX_ROOM]:
            self._read(self._rx_views[(length + 31) >> 5])
        cs(1)
        s[_FAULTS] = 0
        s[_NEXT] = following
        s[_WAITING] = s[_WAITING] - 1
        held = s[_HELD] + total
        if not s[_WAITING] or held >= _KEPT:
            # Module 14: ERXRDPT must be odd.
            free = following - 1
            if free < 0:
                free = _RX_END
            self._put_word(_ERXRDPT, free)
            held = 0
        s[_HELD] = held
        self._operate(_BFS | _ECON2, _PKTDEC)
        if not good:
            s[_RX_ERRORS] = s[_RX_ERRORS] + 1
            return -_EIO
        if length > s[_RX_ROOM]:
            s[_RX_TOO_LONG] = s[_RX_TOO_LONG] + 1
            return -_EMSGSIZE
        s[_RX_FRAMES] = s[_RX_FRAMES] + 1
        return length

    def _look_after(self):
        # Nothing waits: is all well? 0, or a negative errno after a repair.
        if not self._alive():
            return self._mend()
        flags = self._get(_EIR)
        if flags & _LINKIF:
            self._read_link()
        if flags & _RXERIF:
            # The ring or the counter was full; neither is now, so a flag that comes back at once
            # is a receiver that stopped.
            self._state[_RX_OVERRUNS] += 1
            self._operate(_BFC | _EIR, _RXERIF)
            if self._get(_EIR) & _RXERIF:
                return self._mend_receiver()
        return 0

    @micropython.viper
    def transmit(self, buf, length: int) -> int:
        """Sends `buf[:length]`; see docs/architecture.md."""
        if length < 14 or length > _MAX or length > int(len(buf)):
            return -_EMSGSIZE
        if buf is not self._tx_buf:
            self._adopt_tx(buf)
        s = ptr32(self._state)
        if s[_DOWN] | s[_SENDING]:
            error = int(self._wait_on())
            if error:
                return error
        cs = self._cs
        end = _TX_START + length
        self._put_word(_EWRPT, _TX_START)
        cs(0)
        # 7.1: a control byte of 0 goes first, which means "as in MACON3". What is written past the
        # end of the frame stays in the transmit area, and is not sent.
        self._write(self._tx_command)
        self._write(self._tx_views[(length + 31) >> 5])
        cs(1)
        self._put_word(_ETXND, end)
        s[_TX_END] = end
        s[_RETRIES] = _RETRY
        self._request()
        s[_TX_FRAMES] = s[_TX_FRAMES] + 1
        return 0

    def _wait_on(self):
        # The chip is lost, or the last frame may be on the line: 0 if one can be sent now.
        state = self._state
        if state[_DOWN]:
            error = self._mend()
            return -_EAGAIN if error == -_EIO else error
        for _ in range(_TRIES):
            self._check_sent()
            if not state[_SENDING]:
                state[_STUCK] = 0
                return 0
        state[_STUCK] += 1
        if state[_STUCK] < _STALLED:
            return -_EAGAIN
        # Neither sent nor failed.
        state[_TX_STALLS] += 1
        state[_STUCK] = 0
        if not self._alive():
            return self._mend()
        self._reset_transmitter()
        state[_SENDING] = 0
        return 0

    def _request(self):
        # Module 12: the transmitter may be stuck after an error, so it is always reset.
        self._reset_transmitter()
        self._operate(_BFS | _ECON1, _TXRTS)
        self._state[_SENDING] = 1

    def _reset_transmitter(self):
        self._operate(_BFS | _ECON1, _TXRST)
        self._operate(_BFC | _ECON1, _TXRST)
        self._operate(_BFC | _EIR, _TXIF | _TXERIF)

    def _check_sent(self):
        # Looks whether the last frame has left, and sends it again after a late collision.
        state = self._state
        flags = self._get(_EIR)
        if flags & _TXERIF:
            self._put_word(_ERDPT, state[_TX_END] + 1)
            self._cs(0)
            self._exchange(self._vector_command, self._vector)
            self._cs(1)
            # Bit 29 of the status vector (table 7-1).
            if self._vector[4] & 0x20:
                state[_TX_LATE_COLLISIONS] += 1
                if state[_RETRIES]:
                    state[_RETRIES] -= 1
                    self._request()
                    return
            state[_TX_ERRORS] += 1
            state[_SENDING] = 0
            self._operate(_BFC | _EIR, _TXIF | _TXERIF)  # lets the interrupt pin go
        elif flags & _TXIF:
            state[_SENDING] = 0

    # ---- what a program may ask ----

    def _read_link(self):
        # PHIR is read to lower LINKIF (12.1.5).
        self._phy_read(_PHIR)
        self._link = bool(self._phy_read(_PHSTAT2) & _LSTAT)

    def link(self):
        """True while there is a link. One transaction, some twenty after a change."""
        if self._state[_DOWN]:
            return False
        if self._get(_EIR) & _LINKIF:
            self._read_link()
        return self._link

    @property
    def speed(self):
        """10 Mbit/s."""
        return 10

    def close(self):
        """Stops the chip; nothing is received from here on."""
        self._operate(_SRC, _SRC)
        sleep_ms(2)
        self._forget()
