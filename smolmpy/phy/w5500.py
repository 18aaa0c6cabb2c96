"""W5500: a 10/100 Ethernet chip on SPI, used for raw frames (MACRAW) on its socket 0.

`W5500(spi, cs, reset, interrupt, mac=...)` is a device as docs/architecture.md describes it.
Sections are those of the W5500 data sheet, version 1.0.9. SPI mode 0 or 3, to 33 MHz.

A frame costs five transactions to receive (the interrupt forgotten, frame, registers, Sn_RX_RD,
RECV), fewer when several wait, and three to five to send (frame, registers unless known, SENDOK
forgotten unless it was, Sn_TX_WR, SEND). One burst over all registers of the socket tells whether
the chip is alive, what was received and what was sent, since an SPI transaction costs a board as
much time as a hundred bytes. It comes after the frame: a chip that was reset meanwhile has sent
something else. Who sends looks at the first four only: few enough bytes for a port to move them
without its DMA.

The chip's memory has room for a frame while another is on the line, so a frame is written first,
and then, if need be, the end of the last one is awaited. The hardware pads short frames.

Nothing here waits for ever: every loop counts. A length that cannot be, a socket that closed
itself, a transmitter that stopped, a chip that was reset or went away, a bus that fails is
noticed, counted and mended (spi.py): `receive` or `transmit` returns -EIO then, or -ENODEV for as
long as no chip answers.
"""

import micropython
from micropython import const

from ..kernel import reference
from .spi import SPIChip

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
_RST = const(0x80)
_PB = const(0x10)  # the stack in the chip leaves pings alone

# Socket registers (4.2), the same in W5100S.
_SN_MR = const(0x00)
_SN_CR = const(0x01)
_SN_IR = const(0x02)
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
_ALL_EVENTS = const(0x1F)
_CLOSED = const(0x00)
_SOCK_MACRAW = const(0x42)

# Sn_MR: MACRAW, filter on the own address, no multicast, no IPv6.
_MACRAW = const(0x04)
_MFEN = const(0x80)
_MMB = const(0x20)
_MIP6B = const(0x10)

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
_HELD = const(24)
_READ_AT = const(25)
_WRITE_AT = const(26)
_SENT = const(27)
_MODE = const(28)
_CLEAR = const(0)
_GIVEN = const(4)
_RECV_AT = const(9)
_HEAD = const(14)
_RX_AT = const(19)
_TAKEN = const(24)
_SEND_AT = const(29)
_TX_AT = const(33)
_REGS = const(36)
_AT_MR = const(39)
_AT_IR = const(41)
_AT_SR = const(42)
_AT_TX_WR = const(75)
_AT_RSR = const(77)
_AT_RX_RD = const(79)
_AT_RX_WR = const(81)
_BOX = const(83)
_BURST = const(47)
_BRIEF = const(7)
_SIZE = const(29)
_ADDRESS = const(30)
_MASK = const(31)
_LAST_RX = const(32)
_LAST_TX = const(33)
_RX_HIGH = const(34)
_TX_HIGH = const(35)
_WORDS = const(36)

# How often a register is read before a wait is given up: two maximal frames on a line of
# 10 Mbit/s take 130 reads at 20 MHz, without what the host spends.
_TRIES = const(150)
# ms after which the end of the last frame is waited for no longer, on a slow bus; it takes 1.2 ms.
_SOON = const(3)
# ms after which a frame that has not left never will.
_STALL = const(50)
# ms after which the chip is looked at although its interrupt pin is idle.
_LOOK = const(990)
# Received bytes that are given back to the chip at once.
_KEPT = const(4096)

_MIN = const(60)
_TAGGED = const(1518)
_TIME = const(0x1FFFFFFF)

_EIO = const(5)
_EAGAIN = const(11)
_ENODEV = const(19)
_EMSGSIZE = const(90)


class W5500(SPIChip):
    """The chip with the address `mac` (6 bytes; None: leave it without, and hear everything).

    `multicast` lets IPv4 groups pass the filter; `promiscuous` turns the filter off. Raises
    `OSError(ENODEV)` if there is no such chip within half a second.
    """

    _NAME = "W5500"
    _VERSION = 0x04
    _VERSION_AT = _VERSIONR
    _MAC_AT = _SHAR
    _SIMR_AT = _SIMR
    _PHY_AT = _PHYCFGR
    _PHY_SLOW = 0  # what of it is 1 for 10 Mbit/s and half duplex, not for 100 and full
    # The state's words from _SIZE on: rings that wrap by themselves.
    _GEOMETRY = (16384, 0, 0xFFFF, 0xFFFF, 0xFFFF, 0, 0)

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
        ticks_ms=None,
        sleep_ms=None,
    ):
        super().__init__(spi, cs, reset, interrupt, mac, _WORDS, ticks_ms, sleep_ms)
        state = self._state
        for i, word in enumerate(self._GEOMETRY):
            state[_SIZE + i] = word
        self._open_filter = promiscuous or mac is None
        self._multicast = multicast
        state[_MODE] = self._sn_mr()
        box = memoryview(bytearray(_BOX))
        self._box = box
        self._clear = self._frame(_CLEAR, _SOCKET, _SN_IR, 1, True)
        self._rx_rd = self._frame(_GIVEN, _SOCKET, _SN_RX_RD, 2, True)
        self._recv = self._frame(_RECV_AT, _SOCKET, _SN_CR, 2, True)
        self._rx_head = box[_HEAD : _HEAD + 5]
        self._rx_command = self._frame(_RX_AT, _RX, 0, 2, False)
        self._tx_wr = self._frame(_TAKEN, _SOCKET, _SN_TX_WR, 2, True)
        self._send = self._frame(_SEND_AT, _SOCKET, _SN_CR, 1, True)
        self._tx_command = self._frame(_TX_AT, _TX, 0, 0, True)
        self._regs = box[_REGS:]
        self._ask = bytearray(_BURST)
        self._aim(self._ask, _SOCKET, _SN_MR, False)
        # Of these registers the first four, which tell whether a frame has left.
        self._regs_sent = box[_REGS : _REGS + _BRIEF]
        self._ask_sent = bytearray(_BRIEF)
        self._aim(self._ask_sent, _SOCKET, _SN_MR, False)
        box[_RECV_AT + 3] = _RECV
        box[_SEND_AT + 3] = _SEND
        self._one = bytearray(4)
        self._one_answer = bytearray(4)
        self._gather()
        self._forget()
        error = self._begin()
        if error:
            version = self._get(_COMMON, self._VERSION_AT)
            if version == self._VERSION:
                raise OSError(
                    _EIO, "%s does not keep what it is told; check SPI clock" % self._NAME
                )
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

    def _gather(self):
        # What the hot paths need, in one look-up each.
        common = (
            reference(self._state),
            reference(self._box),
            self._cs,
            self._write,
            self._exchange,
            self._clear,
        )
        self._parts_in = common + (
            self._ask,
            self._regs,
            self._read,
            self._rx_command,
            self._rx_head,
            self._rx_rd,
            self._recv,
            self.interrupt,
            self._ticks,
        )
        self._parts_out = common + (
            self._ask_sent,
            self._regs_sent,
            self._tx_command,
            self._tx_wr,
            self._send,
        )
        self._way_in = (None, None) + self._parts_in
        self._way_out = (None, None) + self._parts_out

    # ---- addressing; W5100S and W6100 differ ----

    def _frame(self, at, space, register, room, write):
        # An SPI frame in the box: address, control byte (2.2), and room for data.
        frame = self._box[at : at + 3 + room]
        self._aim(frame, space, register, write)
        return frame

    def _aim(self, frame, space, at, write):
        frame[0] = at >> 8
        frame[1] = at & 0xFF
        frame[2] = space << 3 | (4 if write else 0)

    def _sn_mr(self):
        if self._open_filter:
            return _MACRAW
        return _MACRAW | _MFEN | _MIP6B | (0 if self._multicast else _MMB)

    def _set_up(self):
        # All memory to socket 0 (4.2 Sn_RXBUF_SIZE); first the others give theirs back.
        for n in range(7, -1, -1):
            space = n << 2 | _SOCKET
            self._put(space, _SN_RXBUF_SIZE, 0 if n else 16)
            self._put(space, _SN_TXBUF_SIZE, 0 if n else 16)
        self._put(_COMMON, self._SIMR_AT, 0 if self.interrupt is None else 1)

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

    def _await(self, at, value):
        # A register of the socket.
        for _ in range(_TRIES):
            if self._get(_SOCKET, at) == value:
                return True
        return False

    # ---- start and repair ----

    def _answers(self):
        return self._get(_COMMON, self._VERSION_AT) == self._VERSION

    def _soft_reset(self):
        self._put(_COMMON, _MR, _RST)

    def _ready(self):
        # Other bits of MR need not be 0 (W5100S: 0x03).
        return not self._get(_COMMON, _MR) & _RST

    def _configure(self):
        # After a reset: whether the chip is set up, and its socket open.
        self._hush()
        if not self._put_mac():
            return False
        self._set_up()
        self._put(_SOCKET, _SN_MR, self._state[_MODE])
        self._put(_SOCKET, _SN_IMR, _RECEIVED)
        # A reset in the midst of this has undone what came first.
        return self._open() and self._hushed()

    def _hush(self):
        self._put(_COMMON, _MR, self._get(_COMMON, _MR) | _PB)

    def _hushed(self):
        return self._get(_COMMON, _MR) & _PB

    def _put_mac(self):
        mac = self.mac
        if mac is not None:
            for i in range(6):
                self._put(_COMMON, self._MAC_AT + i, mac[i])
            for i in range(6):
                if self._get(_COMMON, self._MAC_AT + i) != mac[i]:
                    return False
        return True

    def _forget(self):
        for word in (_WAITING, _HELD, _READ_AT, _WRITE_AT, _SENDING, _SENT, _STUCK):
            self._state[word] = 0

    def _open(self):
        # The socket afresh, its buffers empty: whether it is.
        self._forget()
        self._put(_SOCKET, _SN_CR, _CLOSE)
        if not self._await(_SN_SR, _CLOSED) or not self._await(_SN_CR, 0):
            return False
        self._put(_SOCKET, _SN_IR, _ALL_EVENTS)
        self._put(_SOCKET, _SN_CR, _OPEN)
        if not self._await(_SN_SR, _SOCK_MACRAW) or not self._await(_SN_CR, 0):
            return False
        self._cs(0)
        self._exchange(self._ask, self._regs)
        self._cs(1)
        box = self._box
        self._state[_READ_AT] = box[_AT_RX_RD] << 8 | box[_AT_RX_RD + 1]
        self._state[_WRITE_AT] = box[_AT_TX_WR] << 8 | box[_AT_TX_WR + 1]
        return True

    def _resync(self):
        # The socket is out of step. If opening it again is in vain, or the chip has forgotten its
        # settings, restart the chip.
        state = self._state
        state[_RX_FAULTS] += 1
        faults = state[_RX_FAULTS]
        if faults > 2 or self._get(_SOCKET, _SN_MR) != state[_MODE] or not self._open():
            return self._restart(faults > 3)
        return -_EIO

    # ---- the way of a frame ----

    @micropython.viper
    def _refresh(self) -> int:
        # Reads all there is to know: 0, or a negative errno after a repair.
        s = ptr32(self._state)
        b = ptr8(self._box)
        last = -1
        tries = 8
        while True:
            self._cs(0)
            self._exchange(self._ask, self._regs)
            self._cs(1)
            if b[_AT_SR] != _SOCK_MACRAW or b[_AT_MR] != s[_MODE]:
                return int(self._restart())
            size = b[_AT_RSR] << 8 | b[_AT_RSR + 1]
            # A frame may arrive between the two bytes of Sn_RX_RSR. It is right if it is the
            # difference of the pointers behind it, or reads the same again.
            end = b[_AT_RX_WR] << 8 | b[_AT_RX_WR + 1]
            start = b[_AT_RX_RD] << 8 | b[_AT_RX_RD + 1]
            taken = b[_AT_TX_WR] << 8 | b[_AT_TX_WR + 1]
            # Pointers other than those last written tell of writes that did not reach the chip.
            if start == (s[_READ_AT] - s[_HELD]) & 0xFFFF and taken == s[_WRITE_AT]:
                if size == last or size == (end - start) & 0xFFFF:
                    break
            last = size
            tries -= 1
            if not tries:
                return int(self._resync())
        if size > s[_SIZE] or size < s[_HELD]:
            return int(self._resync())
        s[_WAITING] = size - s[_HELD]
        if b[_AT_IR] & _SENDOK and s[_SENDING]:
            s[_SENDING] = 0
            s[_SENT] = 1
            s[_STUCK] = 0
            s[_TX_FAULTS] = 0
        return 0

    def _look(self):
        self._state[_LOOKED] = self._ticks() & _TIME
        return self._refresh()

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
            clear,
            ask,
            regs,
            read,
            command,
            head,
            given,
            recv,
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
            most = s[_WAITING]
            if not most:
                look = s[_POLLED]
                if not look:
                    # First quiet, then the pin: its interrupt may come in between.
                    if s[_TOLD]:
                        s[_CALL] = 0
                    if int(interrupt()):
                        s[_QUIET] = 1
                        if (int(ticks()) - s[_LOOKED]) & _TIME < _LOOK:
                            return 0
                        look = 1
                if look:
                    error = int(self._look())
                    most = s[_WAITING]
                    if error or not most:
                        return error
                    s[_CALL] = 1
                else:
                    s[_CALL] = 1
                    if s[_QUIET]:
                        # Nobody told: the handler is another's now.
                        s[_QUIET] = 0
                        s[_TOLD] = 0
                    # First forget, then look: what arrives in between is not missed. There should
                    # be a frame; the look after it tells whether there was.
                    b[_CLEAR + 3] = _RECEIVED
                    cs(0)
                    write(clear)
                    cs(1)
                    most = s[_SIZE]
            held = s[_HELD]
            at = s[_READ_AT]
            place = at & s[_MASK]
            tries = 2
            while True:
                if place > s[_LAST_RX]:
                    n = int(self._take_round(most))
                else:
                    i = _RX_AT + s[_ADDRESS]
                    b[i] = place >> 8 | s[_RX_HIGH]
                    b[i + 1] = place & 0xFF
                    cs(0)
                    exchange(command, head)
                    n = (b[_HEAD + 3] << 8 | b[_HEAD + 4]) - 2
                    if n < _MIN or n > _TAGGED or n + 2 > most:
                        n = -1
                    elif n <= s[_RX_ROOM]:
                        read(views[(n + 31) >> 5])
                    cs(1)
                # What is in the chip, and is it still the one that was asked?
                cs(0)
                exchange(ask, regs)
                cs(1)
                size = b[_AT_RSR] << 8 | b[_AT_RSR + 1]
                start = b[_AT_RX_RD] << 8 | b[_AT_RX_RD + 1]
                end = b[_AT_RX_WR] << 8 | b[_AT_RX_WR + 1]
                taken = b[_AT_TX_WR] << 8 | b[_AT_TX_WR + 1]
                if (
                    b[_AT_SR] == _SOCK_MACRAW
                    and b[_AT_MR] == s[_MODE]
                    and start == (at - held) & 0xFFFF
                    and size == (end - start) & 0xFFFF
                    and taken == s[_WRITE_AT]
                    and size >= held
                    and size <= s[_SIZE]
                ):
                    most = size - held
                    if b[_AT_IR] & _SENDOK and s[_SENDING]:
                        s[_SENDING] = 0
                        s[_SENT] = 1
                        s[_STUCK] = 0
                        s[_TX_FAULTS] = 0
                else:
                    error = int(self._refresh())
                    if error:
                        return error
                    most = s[_WAITING]
                if n >= 0 and n + 2 <= most:
                    break
                s[_WAITING] = most
                if not most:
                    return 0
                # A second look tells noise on the wires from a chip that is out of step.
                tries -= 1
                if not tries:
                    s[_RX_ERRORS] = s[_RX_ERRORS] + 1
                    return int(self._resync())
            most -= n + 2
            at = (at + n + 2) & 0xFFFF
            held += n + 2
            s[_WAITING] = most
            s[_READ_AT] = at
            s[_HELD] = held
            if not most or held >= _KEPT:
                b[_GIVEN + 3] = at >> 8
                b[_GIVEN + 4] = at & 0xFF
                cs(0)
                write(given)
                cs(1)
                # RECV, and in the next register SENDOK is forgotten if it was seen.
                b[_RECV_AT + 4] = s[_SENT] << 4
                s[_SENT] = 0
                cs(0)
                write(recv)
                cs(1)
                s[_HELD] = 0
        except self._failed():
            return -_EIO
        s[_RX_FAULTS] = 0
        if n > s[_RX_ROOM]:
            s[_RX_TOO_LONG] = s[_RX_TOO_LONG] + 1
            return -_EMSGSIZE
        s[_RX_FRAMES] = s[_RX_FRAMES] + 1
        return n

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
            clear,
            ask,
            regs,
            command,
            tx_wr,
            send,
        ) = self._way_out
        if buf is not known:
            self._adopt_tx(buf)
            views = self._way_out[1]
        s = ptr32(state)
        b = ptr8(box)
        if length < 14 or length > s[_TX_ROOM]:
            return -_EMSGSIZE
        try:
            if s[_DOWN] | s[_STUCK]:
                # Do not write the frame again until there is hope.
                error = int(self._wait_on())
                if error:
                    return error
            at = s[_WRITE_AT]
            place = at & s[_MASK]
            if place > s[_LAST_TX]:
                self._put_round(length)
            else:
                # What is written past the end of the frame is not sent, and overwritten by the
                # next.
                i = _TX_AT + s[_ADDRESS]
                b[i] = place >> 8 | s[_TX_HIGH]
                b[i + 1] = place & 0xFF
                cs(0)
                write(command)
                write(views[(length + 31) >> 5])
                cs(1)
            if s[_SENDING]:
                cs(0)
                exchange(ask, regs)
                cs(1)
                # What is not as it should be is looked at again.
                if b[_AT_SR] == _SOCK_MACRAW and b[_AT_MR] == s[_MODE] and b[_AT_IR] & _SENDOK:
                    s[_SENDING] = 0
                    s[_SENT] = 1
                    s[_TX_FAULTS] = 0
                else:
                    error = int(self._await_sent())
                    if error:
                        return error
            if s[_SENT]:
                # Before SEND: after it, it might be the end of this frame that is forgotten.
                b[_CLEAR + 3] = _SENDOK
                cs(0)
                write(clear)
                cs(1)
                s[_SENT] = 0
            at = (at + length) & 0xFFFF
            s[_WRITE_AT] = at
            b[_TAKEN + 3] = at >> 8
            b[_TAKEN + 4] = at & 0xFF
            cs(0)
            write(tx_wr)
            cs(1)
            cs(0)
            write(send)
            cs(1)
            s[_SENDING] = 1
        except self._failed():
            return -_EIO
        s[_TX_FRAMES] = s[_TX_FRAMES] + 1
        return 0

    def _await_sent(self):
        # Until the last frame has left: 0, or a negative errno.
        state = self._state
        start = self._ticks()
        for _ in range(_TRIES):
            error = self._refresh()
            if error:
                return -_EAGAIN if error == -_EIO else error
            if not state[_SENDING]:
                return 0
            if (self._ticks() - start) & _TIME >= _SOON:
                break
        return self._wait_more()

    def _wait_on(self):
        # The chip is lost, or the last call gave up waiting: 0 if a frame can be sent now.
        if self._state[_DOWN]:
            return self._mend_tx()
        error = self._refresh()
        if error:
            return -_EAGAIN if error == -_EIO else error
        return self._wait_more() if self._state[_SENDING] else 0

    def _wait_more(self):
        state = self._state
        if not state[_STUCK]:
            state[_STUCK] = 1
            state[_STUCK_AT] = self._ticks() & _TIME
            return -_EAGAIN
        if self._elapsed(_STUCK_AT) < _STALL:
            return -_EAGAIN
        state[_STUCK] = 0
        state[_TX_STALLS] += 1
        # Without a link no frame ever leaves: it is dropped, and the chip left alone, since a
        # reset would only disturb the negotiation.
        if self._linked():
            state[_TX_FAULTS] += 1
        if state[_TX_FAULTS] > 1 or self._get(_SOCKET, _SN_MR) != state[_MODE] or not self._open():
            error = self._restart(state[_TX_FAULTS] > 2)
            return error if error == -_ENODEV else -_EAGAIN
        return -_EAGAIN

    # ---- what a program may ask ----

    def _linked(self):
        state = self._get(_COMMON, self._PHY_AT)
        return state & 1 == 1 and state != 0xFF

    @property
    def speed(self):
        """10 or 100 Mbit/s."""
        return 100 if (self._get(_COMMON, self._PHY_AT) ^ self._PHY_SLOW) & 2 else 10

    @property
    def full_duplex(self):
        return bool((self._get(_COMMON, self._PHY_AT) ^ self._PHY_SLOW) & 4)
