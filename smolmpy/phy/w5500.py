"""W5500: a 10/100 Ethernet chip on SPI, used for raw frames (MACRAW) on its socket 0.

`W5500(spi, cs, reset, interrupt, mac=...)` is a device as docs/architecture.md describes it.
Sections are those of the W5500 data sheet, version 1.0.9. SPI mode 0 or 3, to 33 MHz.

A frame costs four transactions to receive (registers, frame, Sn_RX_RD, RECV), fewer when several
wait, and three or four to send (frame, registers unless known, Sn_TX_WR, SEND). One burst over all
registers of the socket tells whether the chip is alive, what was received and what was sent, since
an SPI transaction costs a board as much time as a hundred bytes.

The chip's memory has room for a frame while another is on the line, so a frame is written first,
and then, if need be, the end of the last one is awaited. The hardware pads short frames.

Nothing here waits for ever: every loop counts. A length that cannot be, a socket that closed
itself, a chip that was reset or went away is noticed, counted and mended: `receive` or `transmit`
returns -EIO then, or -ENODEV for as long as no chip answers.
"""

import micropython
from micropython import const

from .spi import SPIChip, sleep_ms

# Blocks, `space` below: common registers, registers of socket 0, its buffers (2.2.2).
_COMMON = const(0)
_SOCKET = const(1)
_TX = const(2)
_RX = const(3)

# Common registers (4.1).
_MR = const(0x00)
_SHAR = const(0x09)
_SIMR = const(0x18)
_PHYCFGR = const(0x2E)
_VERSIONR = const(0x39)

# Socket registers (4.2), the same in W5100S.
_SN_MR = const(0x00)
_SN_CR = const(0x01)
_SN_SR = const(0x03)
_SN_RXBUF_SIZE = const(0x1E)
_SN_TXBUF_SIZE = const(0x1F)
_SN_TX_WR = const(0x24)
_SN_RX_RD = const(0x28)
_SN_IMR = const(0x2C)

_OPEN = const(0x01)
_CLOSE = const(0x10)
_SEND = const(0x20)
_RECV = const(0x40)
_RECEIVED = const(0x04)
_SENDOK = const(0x10)
_CLOSED = const(0x00)
_SOCK_MACRAW = const(0x42)

# Sn_MR: MACRAW, filter on the own address, no multicast, no IPv6.
_MACRAW = const(0x04)
_MFEN = const(0x80)
_MMB = const(0x20)
_MIP6B = const(0x10)

# The burst over Sn_MR to Sn_RX_WR, after the 3 bytes of the SPI frame.
_BURST = const(47)
_AT_MR = const(3)
_AT_CR = const(4)
_AT_IR = const(5)
_AT_SR = const(6)
_AT_TX_WR = const(39)
_AT_RSR = const(41)
_AT_RX_RD = const(43)
_AT_RX_WR = const(45)

# How often a register is read before a wait is given up: two maximal frames on a line of
# 10 Mbit/s take 130 reads at 20 MHz, without what the host spends.
_TRIES = const(150)
# So many transmits in a row that found the last frame unsent mean that it never will be.
_STALLED = const(16)
# How often `receive` believes an idle interrupt pin before it asks the chip.
_BELIEVE = const(15)
# Received bytes that are given back to the chip at once.
_KEPT = const(4096)

_MIN = const(60)
_MAX = const(1514)
_TAGGED = const(1518)

# The state: an array('I'), whose first two words are SPIChip's.
_WAITING = const(0)  # received bytes in the chip that are known and not yet read
_RX_ROOM = const(1)
_HELD = const(2)  # read, and not yet given back
_READ_AT = const(3)
_WRITE_AT = const(4)
_SENDING = const(5)
_STUCK = const(6)  # transmits in a row that gave up waiting
_FAULTS = const(7)  # repairs since the last frame
_IDLE = const(8)
_DOWN = const(9)
_RX_FRAMES = const(10)
_RX_ERRORS = const(11)
_RX_TOO_LONG = const(12)
_TX_FRAMES = const(13)
_TX_STALLS = const(14)
_RESTARTS = const(15)
# What differs between chips: where an SPI frame has the address; what of a position in a ring is
# address, the last position at which a frame can not reach the end of the ring, and what the
# address' high byte has besides in each ring.
_ADDRESS = const(16)
_MASK = const(17)
_LAST_RX = const(18)
_LAST_TX = const(19)
_RX_HIGH = const(20)
_TX_HIGH = const(21)
_POLLED = const(22)  # there is no interrupt pin
_WORDS = const(23)

_EIO = const(5)
_EAGAIN = const(11)
_ENODEV = const(19)
_EMSGSIZE = const(90)


class W5500(SPIChip):
    """The chip with the address `mac` (6 bytes; None: leave it without, and hear everything).

    `multicast` lets IPv4 groups pass the filter; `promiscuous` turns the filter off. Raises
    `OSError(ENODEV)` if there is no such chip.
    """

    _NAME = "W5500"
    _VERSION = 0x04
    _VERSION_AT = _VERSIONR
    _SIZE = 16384
    _PHY_AT = _PHYCFGR
    # The state's words from _ADDRESS on: rings that wrap by themselves.
    _GEOMETRY = (0, 0xFFFF, 0xFFFF, 0xFFFF, 0, 0)
    _COUNTERS = (
        ("rx_frames", _RX_FRAMES),
        ("rx_errors", _RX_ERRORS),
        ("rx_too_long", _RX_TOO_LONG),
        ("tx_frames", _TX_FRAMES),
        ("tx_stalls", _TX_STALLS),
        ("restarts", _RESTARTS),
    )

    def __init__(
        self, spi, cs, reset=None, interrupt=None, *, mac=None, multicast=False, promiscuous=False
    ):
        super().__init__(spi, cs, reset, interrupt, mac, _WORDS)
        for i, word in enumerate(self._GEOMETRY):
            self._state[_ADDRESS + i] = word
        self._state[_POLLED] = interrupt is None
        self._open_filter = promiscuous or mac is None
        self._multicast = multicast
        self._mode = self._sn_mr()
        self._ask = self._command(_SOCKET, _SN_MR, 44, False)
        self._regs = bytearray(_BURST)
        self._clear = self._command(_SOCKET, _SN_CR + 1, 1, True)
        self._clear[3] = _RECEIVED
        self._rx_rd = self._command(_SOCKET, _SN_RX_RD, 2, True)
        self._recv = self._command(_SOCKET, _SN_CR, 1, True)
        self._recv[3] = _RECV
        self._tx_wr = self._command(_SOCKET, _SN_TX_WR, 2, True)
        # SEND, and in the next register the end of the last frame is forgotten.
        self._send = self._command(_SOCKET, _SN_CR, 2, True)
        self._send[3] = _SEND
        self._send[4] = _SENDOK
        self._rx_command = self._command(_RX, 0, 2, False)
        self._rx_head = bytearray(5)
        self._tx_command = self._command(_TX, 0, 0, True)
        self._one = bytearray(4)
        self._one_answer = bytearray(4)
        self._forget()
        # Some chips answer 0 for a while after power-on.
        for _ in range(20):
            version = self._get(_COMMON, self._VERSION_AT)
            if version == self._VERSION:
                break
            sleep_ms(1)
        else:
            raise OSError(
                _ENODEV,
                "no %s: its version reads 0x%02x, not 0x%02x; check %s"
                % (
                    self._NAME,
                    version,
                    self._VERSION,
                    "wiring (MISO, MOSI, SCK, CS), power and reset"
                    if version in (0, 0xFF)
                    else "which chip it is, and the SPI clock",
                ),
            )
        if self._start():
            raise OSError(_EIO, "%s does not keep what it is told; check SPI clock" % self._NAME)
        self._state[_RESTARTS] = 0

    # ---- addressing; W5100S differs ----

    def _command(self, space, at, room, write):
        # An SPI frame: address, control byte (2.2), and room for data.
        frame = bytearray(3 + room)
        frame[0] = at >> 8
        frame[1] = at & 0xFF
        frame[2] = space << 3 | (4 if write else 0)
        return frame

    def _aim(self, frame, space, at, write):
        frame[0] = at >> 8
        frame[1] = at & 0xFF
        frame[2] = space << 3 | (4 if write else 0)

    def _sn_mr(self):
        if self._open_filter:
            return _MACRAW
        return _MACRAW | _MFEN | _MIP6B | (0 if self._multicast else _MMB)

    def _configure(self):
        # All memory to socket 0 (4.2 Sn_RXBUF_SIZE); first the others give theirs back.
        for n in range(7, -1, -1):
            space = n << 2 | _SOCKET
            self._put(space, _SN_RXBUF_SIZE, 0 if n else 16)
            self._put(space, _SN_TXBUF_SIZE, 0 if n else 16)
        self._put(_COMMON, _SIMR, 0 if self.interrupt is None else 1)

    # ---- registers, one at a time; not on the way of a frame ----

    def _get(self, space, at):
        one = self._one
        self._aim(one, space, at, False)
        self._cs(0)
        self._exchange(one, self._one_answer)
        self._cs(1)
        return self._one_answer[3]

    def _put(self, space, at, value):
        one = self._one
        self._aim(one, space, at, True)
        one[3] = value
        self._cs(0)
        self._write(one)
        self._cs(1)

    def _await(self, space, at, value):
        for _ in range(_TRIES):
            if self._get(space, at) == value:
                return True
        return False

    # ---- start and repair ----

    def _forget(self):
        for word in (_WAITING, _HELD, _READ_AT, _WRITE_AT, _SENDING, _STUCK):
            self._state[word] = 0

    def _start(self):
        # Reset and set up: 0, or a negative errno. Allocates nothing.
        self._state[_DOWN] = 1
        self._state[_FAULTS] = 0
        self._state[_RESTARTS] += 1
        if self._get(_COMMON, self._VERSION_AT) != self._VERSION:
            return -_ENODEV
        self._put(_COMMON, _MR, 0x80)
        if not self._await(_COMMON, _MR, 0):
            return -_EIO
        if self.mac is not None:
            for i in range(6):
                self._put(_COMMON, _SHAR + i, self.mac[i])
            for i in range(6):
                if self._get(_COMMON, _SHAR + i) != self.mac[i]:
                    return -_EIO
        self._configure()
        self._put(_SOCKET, _SN_MR, self._mode)
        self._put(_SOCKET, _SN_IMR, _RECEIVED)
        return self._open()

    def _open(self):
        # The socket afresh, its buffers empty: 0, or a negative errno.
        self._forget()
        self._put(_SOCKET, _SN_CR, _CLOSE)
        if not self._await(_SOCKET, _SN_SR, _CLOSED):
            return -_EIO
        self._put(_SOCKET, _SN_CR, _OPEN)
        if not self._await(_SOCKET, _SN_SR, _SOCK_MACRAW):
            return -_EIO
        self._state[_DOWN] = 0
        regs = self._regs
        self._cs(0)
        self._exchange(self._ask, regs)
        self._cs(1)
        self._state[_READ_AT] = regs[_AT_RX_RD] << 8 | regs[_AT_RX_RD + 1]
        self._state[_WRITE_AT] = regs[_AT_TX_WR] << 8 | regs[_AT_TX_WR + 1]
        return 0

    def _mend(self):
        # The chip is not what it should be: -EIO if it works again, else -ENODEV.
        return -_ENODEV if self._start() else -_EIO

    def _reopen(self):
        # The socket is out of step. If opening it again is in vain, or the chip has forgotten its
        # settings, restart the chip.
        self._state[_FAULTS] += 1
        if self._state[_FAULTS] > 2 or self._get(_SOCKET, _SN_MR) != self._mode or self._open():
            return self._mend()
        return -_EIO

    # ---- the way of a frame ----

    @micropython.viper
    def _refresh(self) -> int:
        # Reads all there is to know: 0, or a negative errno after a repair.
        s = ptr32(self._state)
        regs = self._regs
        r = ptr8(regs)
        last = -1
        tries = 8
        while True:
            self._cs(0)
            self._exchange(self._ask, regs)
            self._cs(1)
            if r[_AT_SR] != _SOCK_MACRAW or r[_AT_MR] != int(self._mode):
                return int(self._mend())
            size = r[_AT_RSR] << 8 | r[_AT_RSR + 1]
            # A frame may arrive between the two bytes of Sn_RX_RSR. It is right if it is the
            # difference of the pointers behind it, or reads the same again.
            end = r[_AT_RX_WR] << 8 | r[_AT_RX_WR + 1]
            start = r[_AT_RX_RD] << 8 | r[_AT_RX_RD + 1]
            taken = r[_AT_TX_WR] << 8 | r[_AT_TX_WR + 1]
            # Pointers other than those last written tell of writes that did not reach the chip.
            if start == (s[_READ_AT] - s[_HELD]) & 0xFFFF and taken == s[_WRITE_AT]:
                if size == last or size == (end - start) & 0xFFFF:
                    break
            last = size
            tries -= 1
            if not tries:
                return int(self._reopen())
        if size > int(self._SIZE) or size < s[_HELD]:
            return int(self._reopen())
        s[_WAITING] = size - s[_HELD]
        if r[_AT_IR] & _SENDOK:
            s[_SENDING] = 0
        return 0

    @micropython.viper
    def _look(self) -> int:
        # Nothing is known to wait: asks the pin, and the chip. 0, or a negative errno.
        s = ptr32(self._state)
        if s[_DOWN]:
            return int(self._mend())
        if not s[_POLLED]:
            if self.interrupt():
                s[_IDLE] = (s[_IDLE] + 1) & 0xFFFF
                if s[_IDLE] & _BELIEVE:
                    return 0
            else:
                # First forget, then look: what arrives in between is not missed.
                self._cs(0)
                self._write(self._clear)
                self._cs(1)
        return int(self._refresh())

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
        at = s[_READ_AT]
        place = at & s[_MASK]
        length = -1
        if place > s[_LAST_RX]:
            length = int(self._take_round())
        else:
            command = self._rx_command
            c = ptr8(command)
            i = s[_ADDRESS]
            c[i] = place >> 8 | s[_RX_HIGH]
            c[i + 1] = place & 0xFF
            head = self._rx_head
            h = ptr8(head)
            # A second look tells noise on the wires from a chip that is out of step.
            tries = 2
            while tries:
                tries -= 1
                cs(0)
                self._exchange(command, head)
                n = (h[3] << 8 | h[4]) - 2
                if n >= _MIN and n <= _TAGGED and n + 2 <= s[_WAITING]:
                    if n <= s[_RX_ROOM]:
                        self._read(self._rx_views[(n + 31) >> 5])
                    length = n
                    tries = 0
                cs(1)
        if length < 0:
            s[_RX_ERRORS] = s[_RX_ERRORS] + 1
            return int(self._reopen())
        at = (at + length + 2) & 0xFFFF
        held = s[_HELD] + length + 2
        s[_READ_AT] = at
        s[_WAITING] = s[_WAITING] - (length + 2)
        if not s[_WAITING] or held >= _KEPT:
            given = self._rx_rd
            g = ptr8(given)
            g[3] = at >> 8
            g[4] = at & 0xFF
            cs(0)
            self._write(given)
            cs(1)
            cs(0)
            self._write(self._recv)
            cs(1)
            held = 0
        s[_HELD] = held
        if length > s[_RX_ROOM]:
            s[_RX_TOO_LONG] = s[_RX_TOO_LONG] + 1
            return -_EMSGSIZE
        s[_RX_FRAMES] = s[_RX_FRAMES] + 1
        s[_FAULTS] = 0
        return length

    @micropython.viper
    def transmit(self, buf, length: int) -> int:
        """Sends `buf[:length]`; see docs/architecture.md."""
        if length < 14 or length > _MAX or length > int(len(buf)):
            return -_EMSGSIZE
        if buf is not self._tx_buf:
            self._adopt_tx(buf)
        s = ptr32(self._state)
        if s[_DOWN] | s[_STUCK]:
            # Do not write the frame again until there is hope.
            error = int(self._wait_on())
            if error:
                return error
        cs = self._cs
        at = s[_WRITE_AT]
        place = at & s[_MASK]
        if place > s[_LAST_TX]:
            self._put_round(length)
        else:
            # What is written past the end of the frame is not sent, and overwritten by the next.
            command = self._tx_command
            c = ptr8(command)
            i = s[_ADDRESS]
            c[i] = place >> 8 | s[_TX_HIGH]
            c[i + 1] = place & 0xFF
            cs(0)
            self._write(command)
            self._write(self._tx_views[(length + 31) >> 5])
            cs(1)
        tries = _TRIES
        while s[_SENDING]:
            error = int(self._refresh())
            if error:
                return error
            tries -= 1
            if not tries:
                return int(self._wait_more())
        s[_STUCK] = 0
        at = (at + length) & 0xFFFF
        s[_WRITE_AT] = at
        taken = self._tx_wr
        t = ptr8(taken)
        t[3] = at >> 8
        t[4] = at & 0xFF
        cs(0)
        self._write(taken)
        cs(1)
        cs(0)
        self._write(self._send)
        cs(1)
        s[_SENDING] = 1
        s[_TX_FRAMES] = s[_TX_FRAMES] + 1
        return 0

    def _wait_on(self):
        # The chip is lost, or the last call gave up waiting: 0 if a frame can be sent now.
        if self._state[_DOWN]:
            error = self._mend()
            return -_EAGAIN if error == -_EIO else error
        error = self._refresh()
        if error or not self._state[_SENDING]:
            return error
        return self._wait_more()

    def _wait_more(self):
        self._state[_STUCK] += 1
        if self._state[_STUCK] < _STALLED:
            return -_EAGAIN
        self._state[_TX_STALLS] += 1
        if not self.link():
            # Without a link no frame ever leaves. A restart would only disturb the negotiation.
            self._state[_FAULTS] = 0
        return self._reopen()

    # ---- what a program may ask ----

    def link(self):
        """True while there is a link. One transaction."""
        state = self._get(_COMMON, self._PHY_AT)
        return state & 1 == 1 and state != 0xFF

    @property
    def speed(self):
        """10 or 100 Mbit/s."""
        return 100 if self._get(_COMMON, self._PHY_AT) & 2 else 10

    @property
    def full_duplex(self):
        return bool(self._get(_COMMON, self._PHY_AT) & 4)

    def close(self):
        """Stops the chip; nothing is received from here on."""
        self._put(_SOCKET, _SN_CR, _CLOSE)
        self._put(_COMMON, _MR, 0x80)
        self._forget()
