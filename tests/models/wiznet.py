"""What the W5500 and the W5100S have in common: sockets, their buffers and MACRAW mode.

Written from the data sheets (W5500 1.0.9, chapters 3 and 4; W5100S, the chapters of the same
registers); sections are those of the W5500's, and the W5100S names its registers alike. Only
socket 0 in MACRAW mode does something: other modes are refused. What the data sheets leave open
is from drivers that run on silicon:

- a reset by MR.RST takes up to 100 ms, until when VERSIONR may read 0 (ESP-IDF,
  esp_eth_mac_w5500.c, w5500_reset and w5500_verify_id);
- with MFEN groups pass all the same, unless MMB is set (mDNS works in ESP-IDF, which sets MFEN:
  issue 10359; Zephyr's issue 118897); for the W5100S the same is assumed;
- without a link SENDOK never comes (the same, emac_w5500_transmit);
- a command written before Sn_CR reads 0 is lost (Linux, w5100.c, w5100_command, and WIZnet's
  ioLibrary wait for it);
- Sn_IR's SENDOK comes as fast as the line is, however slow the host writes its next byte: at 1 MHz
  of SPI a short frame has left before the byte behind Sn_CR has arrived;
- the stack in the chip answers pings to its address, which is 0.0.0.0 here, unless MR.PB is set
  (4.1 MR; Linux, ESP-IDF and Zephyr set it).
"""

from tests.models.spi import SPIModel

# Socket registers, the same offsets in both chips (W5500, 3.2).
MR, CR, IR, SR = 0, 1, 2, 3
MR2 = 0x2F
RXBUF, TXBUF = 0x1E, 0x1F
TX_FSR, TX_RD, TX_WR = 0x20, 0x22, 0x24
RX_RSR, RX_RD, RX_WR = 0x26, 0x28, 0x2A
IMR = 0x2C

OPEN, CLOSE, SEND, RECV = 0x01, 0x10, 0x20, 0x40
SENDOK, TIMEOUT, RECEIVED = 0x10, 0x08, 0x04
MACRAW = 4
RST, PB = 0x80, 0x10
SOCK_CLOSED, SOCK_MACRAW = 0x00, 0x42

_READ_ONLY = (SR, TX_FSR, TX_FSR + 1, TX_RD, TX_RD + 1, RX_RSR, RX_RSR + 1, RX_WR, RX_WR + 1)
_RESERVED = (0x14, 0x17, 0x18, 0x19, 0x1A, 0x1B, 0x1C, 0x1D)

_COMMAND_NS = 800  # until Sn_CR reads 0
_NEVER = 1 << 60
_GAP = 24  # preamble, FCS and the gap between frames, in bytes


class WIZnetModel(SPIModel):
    """See the module. A subclass has the addressing, the common registers and the filters."""

    sockets = 8
    size = 16384  # of the receive memory, and of the transmit memory
    reset_ns = 20000  # by MR.RST
    macraw = MACRAW  # protocol of Sn_MR

    def __init__(self):
        SPIModel.__init__(self)
        self.own_answers = 0  # of the stack in the chip
        self.tx_stalls = 0  # so many SENDs never end
        self.lengths = []  # the length words of the next frames, instead of the true ones
        self.mbps = 100
        self.full_duplex = True
        self.resets = 0
        self._power_on()

    # ---- faults and the wire ----

    def inject(self, frame):
        """A frame, without FCS, from the wire: True if the chip keeps it."""
        if self.silence() is not None or not self.linked:
            return False
        if frame[12:14] == b"\x08\0" and frame[23:24] == b"\x01" and self._answers_pings():
            if frame[30:34] == bytes(4):
                self.own_answers += 1
        if self.status != SOCK_MACRAW:
            return False
        if len(frame) < 60:
            frame = bytes(frame) + bytes(60 - len(frame))
        if not self._accepts(frame):
            return False
        total = len(frame) + 2
        if total > self.rx_size - ((self.rx_wr - self.rx_freed) & 0xFFFF):
            self.dropped += 1
            return False
        told = self.lengths.pop(0) if self.lengths else total
        at = self.rx_wr
        for value in (told >> 8 & 0xFF, told & 0xFF):
            self.rx_memory[at % self.rx_size] = value
            at += 1
        at %= self.rx_size
        first = min(len(frame), self.rx_size - at)
        self.rx_memory[at : at + first] = frame[:first]
        self.rx_memory[: len(frame) - first] = frame[first:]
        self.rx_wr = (self.rx_wr + total) & 0xFFFF
        self.socket[IR] |= RECEIVED
        self.intn.edge()
        return True

    def _answers_pings(self):
        return not self.common[0] & PB

    # ---- socket registers ----

    def _power_on(self):
        self.resets += 1
        self.forgiving = self.lenient = False
        self.ready_at = max(self.now, self.silent_until) + self.reset_ns
        self.common = bytearray(0x100)
        self.others = [bytearray(0x30) for _ in range(self.sockets - 1)]
        self.socket = bytearray(0x30)
        for regs in self.others + [self.socket]:
            regs[RXBUF] = regs[TXBUF] = 2
            regs[IMR] = 0xFF
        self.rx_memory = bytearray(self.size)
        self.tx_memory = bytearray(self.size)
        self.rx_size = self.tx_size = 2048
        self.status = SOCK_CLOSED
        self.rx_wr = self.rx_rd = self.rx_freed = 0
        self.tx_rd = self.tx_wr = self.tx_end = 0
        self.sending_until = None
        self.command_until = None
        self.written = []  # stretches of the transmit ring that were filled: (start, length)
        self._select()

    def _settle(self):
        if self.command_until is not None and self.now >= self.command_until:
            self.command_until = None
            self.socket[CR] = 0
        if self.sending_until is not None and self.now >= self.sending_until:
            self.sending_until = None
            n = (self.tx_end - self.tx_rd) & 0xFFFF
            at = self.tx_rd % self.tx_size
            frame = bytes(self.tx_memory[at : at + n])
            frame += bytes(self.tx_memory[: n - len(frame)])
            self.tx_rd = self.tx_end
            self.socket[IR] |= SENDOK
            self._sends(frame)

    def _int_level(self):
        return 0 if self._pending() else 1

    def _still(self):
        # Nothing becomes due while a burst of registers is read: it may be read at once.
        if self.command_until is not None or self.now < self.ready_at:
            return False
        return self.sending_until is None or self.sending_until == _NEVER

    def _registers(self, at, into, i, n):
        while i < n:
            into[i] = self.socket_read(0, at)
            at += 1
            i += 1

    def socket_read(self, n, at):
        if at > MR2:
            self.fail("socket register 0x%02x is reserved" % at, "3.2 Socket register block")
        if n:
            return self.others[n - 1][at]
        if at < TX_FSR or at >= IMR:
            return self.status if at == SR else self.socket[at]
        pair = at & ~1
        if pair == TX_FSR:
            value = self.tx_size - ((self.tx_end - self.tx_rd) & 0xFFFF)
        elif pair == TX_RD:
            value = self.tx_rd
        elif pair == TX_WR:
            value = self.tx_wr
        elif pair == RX_RSR:
            value = (self.rx_wr - self.rx_freed) & 0xFFFF
        elif pair == RX_RD:
            value = self.rx_rd
        else:
            value = self.rx_wr
        return value & 0xFF if at & 1 else value >> 8

    def socket_write(self, n, at, value):
        if self.wedged:
            return
        if at > MR2 or at in _RESERVED:
            self.fail("socket register 0x%02x is reserved" % at, "3.2 Socket register block")
        if at in _READ_ONLY:
            self.fail("socket register 0x%02x is read-only" % at, "4.2 Socket registers")
        regs = self.others[n - 1] if n else self.socket
        if at == CR:
            self._command(n, regs, value)
        elif at == IR:
            regs[IR] &= ~value & 0xFF
        elif at in (RXBUF, TXBUF):
            self._check_size(value)
            if not n and self.status != SOCK_CLOSED:
                self.fail("buffer size of an open socket", "4.2 Sn_RXBUF_SIZE")
            regs[at] = value
        elif n:
            regs[at] = value
        elif at == TX_WR:
            self.tx_wr = value << 8 | self.tx_wr & 0xFF
        elif at == TX_WR + 1:
            self.tx_wr = self.tx_wr & 0xFF00 | value
        elif at == RX_RD:
            self.rx_rd = value << 8 | self.rx_rd & 0xFF
        elif at == RX_RD + 1:
            self.rx_rd = self.rx_rd & 0xFF00 | value
        else:
            regs[at] = value

    def _check_size(self, value):
        if value not in (0, 1, 2, 4, 8, 16) or value * 1024 > self.size:
            self.fail("buffer size %d KB" % value, "4.2 Sn_RXBUF_SIZE")

    def _command(self, n, regs, value):
        if self.command_until is not None and not n:
            self.fail("command 0x%02x before the last was taken" % value, "4.2 Sn_CR")
        if self.forgiving and (regs[MR] & 15 != self.macraw or value != OPEN):
            pass
        elif value == OPEN:
            self._open(n, regs)
        elif n:
            self.fail("command 0x%02x to socket %d, which is closed" % (value, n), "4.2 Sn_CR")
        elif value == CLOSE:
            self._cured(1)
            self.status = SOCK_CLOSED
            self.sending_until = None
        elif value == SEND:
            self._send()
        elif value == RECV:
            self._recv()
        else:
            self.fail("command 0x%02x" % value, "4.2 Sn_CR")
        if not n:
            regs[CR] = value
            self.command_until = self.now + _COMMAND_NS

    def _open(self, n, regs):
        if regs[MR] & 15 != self.macraw:
            self.fail("protocol %d is not modelled" % (regs[MR] & 15), "4.2 Sn_MR")
        if n:
            self.fail("MACRAW on socket %d" % n, "4.2 Sn_MR, P[3:0]")
        if self.status != SOCK_CLOSED:
            self.fail("OPEN of an open socket", "4.2 Sn_CR")
        self._open_buffers()
        self.status = SOCK_MACRAW
        self.forgiving = False  # whoever opens it knows
        self.rx_wr = self.rx_rd = self.rx_freed = 0
        self.tx_rd = self.tx_wr = self.tx_end = 0
        self.sending_until = None
        self.written = []

    def _open_buffers(self):
        for name, at in (("receive", RXBUF), ("transmit", TXBUF)):
            total = self.socket[at] + sum([regs[at] for regs in self.others])
            if total * 1024 > self.size:
                self.fail("%s buffers of %d KB in all" % (name, total), "4.2 Sn_RXBUF_SIZE")
        self.rx_size = self.socket[RXBUF] * 1024
        self.tx_size = self.socket[TXBUF] * 1024
        if not self.rx_size or not self.tx_size:
            self.fail("no buffer", "4.2 Sn_RXBUF_SIZE")

    def _send(self):
        if self.status != SOCK_MACRAW:
            self.fail("SEND on a closed socket", "4.2 Sn_CR")
        if self.sending_until is not None:
            self.fail("SEND before the last SEND has ended", "4.2 Sn_CR, Sn_IR SENDOK")
        n = (self.tx_wr - self.tx_rd) & 0xFFFF
        if n > self.tx_size:
            self.fail("SEND of %d bytes, more than are free" % n, "4.2 Sn_TX_FSR")
        if n < 14 or n > 1514:
            self.fail("SEND of %d bytes in MACRAW mode" % n, "4.2 Sn_MSSR: at most 1514")
        self._check_written(n)
        self.tx_end = self.tx_wr
        if self.tx_stalls or not self.linked or self.hung:
            self.tx_stalls = max(0, self.tx_stalls - 1)
            self.sending_until = _NEVER
        else:
            took = (max(n, 60) + _GAP) * 8000 // self.mbps
            self.sending_until = self.now + took + self.line_ns

    def _hold(self):
        if self.sending_until is not None:
            self.sending_until = _NEVER

    def _recv(self):
        if self.status != SOCK_MACRAW:
            self.fail("RECV on a closed socket", "4.2 Sn_CR")
        if (self.rx_rd - self.rx_freed) & 0xFFFF > (self.rx_wr - self.rx_freed) & 0xFFFF:
            self.fail("Sn_RX_RD 0x%04x passes Sn_RX_WR" % self.rx_rd, "4.2 Sn_RX_RD")
        self.rx_freed = self.rx_rd
        # Data that is left raises the interrupt again.
        if self.rx_freed != self.rx_wr:
            self.socket[IR] |= RECEIVED

    # ---- buffers ----

    def _fill(self, at, data):
        """The host writes `data` to the transmit memory at `at`, an offset in it."""
        if self.wedged:
            return
        if self.status != SOCK_MACRAW:
            if self.forgiving:
                return
            self.fail("transmit memory of a closed socket", "3.3 Memory")
        if self.sending_until is not None:
            busy = (self.tx_end - self.tx_rd) & 0xFFFF
            gap = (at - self.tx_rd) % self.tx_size
            if gap < busy or gap + len(data) > self.tx_size:
                self.fail("overwrites bytes that are being sent", "4.2 Sn_TX_FSR")
        first = min(len(data), self.tx_size - at)
        self.tx_memory[at : at + first] = data[:first]
        self.tx_memory[: len(data) - first] = data[first:]
        start, n = self.written[-1] if self.written else (at, 0)
        if (start + n) % self.tx_size == at:
            n += len(data)
            if n > self.tx_size:
                start, n = start + n - self.tx_size, self.tx_size
            self.written[-1:] = [(start % self.tx_size, n)]
        else:
            self.written.append((at, len(data)))
            if len(self.written) > 4:
                self.written.pop(0)

    def _check_written(self, n):
        at = self.tx_rd % self.tx_size
        for start, filled in self.written:
            if (at - start) % self.tx_size + n <= filled:
                return
        self.fail("SEND of bytes that were not written", "4.2 Sn_TX_WR")
