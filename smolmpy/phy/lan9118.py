"""LAN9118: a memory-mapped 10/100 Ethernet controller (LAN9115 to 9118, 9215 to 9218).

`LAN9118(base, mac)` is a device as docs/architecture.md describes it. Section numbers are those of
the LAN9118 data sheet, revision 1.5. `base` is the address of the chip. Everything else only
indexes `ptr32(base)`, so on CPython, where `ptr32` returns what it is given, `base` may be a model
of the chip.

A frame lies in the receive FIFO after two bytes of padding (RXDOFF, 5.3.7). In a buffer that
begins two bytes after a word boundary, whole words of the FIFO are then whole words of memory; any
other buffer is filled byte by byte. Frames that cannot be used are read and thrown away rather
than skipped with RX_FFWD, which is quicker by a few microseconds, forbids access to the FIFOs
meanwhile, and is not to be used on short frames (3.13.1.1).

Times that the data sheet wants between two accesses (6.1.1, 6.1.2: at most 180 ns) are shorter
than a few instructions of viper, apart from those after a command to the MAC, see `_mac_wait`.
"""

from array import array

import micropython
from micropython import const

from . import check_mac

try:
    from uctypes import addressof
except ImportError:
    addressof = None
try:
    from .lan9118_thumb import pull, push
except (ImportError, SyntaxError, AttributeError):
    from .lan9118_words import pull, push

# Registers (5.3), as indexes of 32-bit words.
_RX_DATA = const(0x00)
_TX_DATA = const(0x08)
_RX_STATUS = const(0x10)
_TX_STATUS = const(0x12)
_ID_REV = const(0x14)
_IRQ_CFG = const(0x15)
_INT_STS = const(0x16)
_INT_EN = const(0x17)
_BYTE_TEST = const(0x19)
_RX_CFG = const(0x1B)
_TX_CFG = const(0x1C)
_HW_CFG = const(0x1D)
_RX_FIFO_INF = const(0x1F)
_TX_FIFO_INF = const(0x20)
_PMT_CTRL = const(0x21)
_FREE_RUN = const(0x27)
_RX_DROP = const(0x28)
_MAC_CSR_CMD = const(0x29)
_MAC_CSR_DATA = const(0x2A)
_AFC_CFG = const(0x2B)
_E2P_CMD = const(0x2C)

# Registers of the MAC (5.4) and of the PHY (5.5; IEEE 802.3, 22.2.4).
_MAC_CR = const(1)
_MAC_ADDRH = const(2)
_MAC_ADDRL = const(3)
_MAC_MII_ACC = const(6)
_MAC_MII_DATA = const(7)
_MAC_FLOW = const(8)
_PHY_CONTROL = const(0)
_PHY_STATUS = const(1)
_PHY_ADVERTISE = const(4)
_PHY_PARTNER = const(5)

# MAC_CR: receiver and transmitter on, full duplex, do not hear ourselves, all multicast.
_RXEN = const(0x4)
_TXEN = const(0x8)
_MCPAS = const(0x80000)
_FDPX = const(0x100000)
_RCVOWN = const(0x800000)

# INT_STS: what tells that a FIFO was misused or ran over. RXE, RSFF; TXE, TDFO.
_RXSTOP = const(0x1000000)
_RX_FAULT = const(0x4010)
_TX_FAULT = const(0x2400)
_FAULTS = const(0x6410)

_TX_ON = const(0x2)
_TXSAO = const(0x4)
_TX_DUMPS = const(0xC000)
_RX_OFFSET = const(0x200)
_RX_DUMP = const(0x8000)

# How often a register is read before a wait is given up: tens of milliseconds on a fast core.
_TRIES = const(100000)

# Beyond this the receive watchdog has cut a frame (3.13.3): a longer one is a FIFO out of step.
_LONGEST = const(2564)
# 250 ms of FREE_RUN, 25 MHz: a maximal frame takes 1.3 ms on a line of 10 Mbit/s.
_STALL = const(6250000)

# The state: an array('I').
_RX_ALIGNED = const(0)
_RX_ROOM = const(1)
_TX_ALIGNED = const(2)
_TX_ROOM = const(3)
_TX_STALLED = const(4)
_WORD = const(5)
_RX_ERRORS = const(6)
_RX_CRC_ERRORS = const(7)
_RX_TOO_LONG = const(8)
_RX_DROPPED = const(9)
_RX_RESTARTS = const(10)
_TX_ERRORS = const(11)
_TX_COLLISIONS = const(12)
_TX_RESTARTS = const(13)
_RESETS = const(14)
_STATE_SIZE = const(15)

_COUNTERS = (
    ("rx_errors", _RX_ERRORS),
    ("rx_crc_errors", _RX_CRC_ERRORS),
    ("rx_too_long", _RX_TOO_LONG),
    ("rx_dropped", _RX_DROPPED),
    ("rx_restarts", _RX_RESTARTS),
    ("tx_errors", _TX_ERRORS),
    ("tx_collisions", _TX_COLLISIONS),
    ("tx_restarts", _TX_RESTARTS),
    ("resets", _RESETS),
)

_IDS = (0x0115, 0x0116, 0x0117, 0x0118, 0x115A, 0x116A, 0x117A, 0x118A)

_EIO = const(5)
_EAGAIN = const(11)
_EINVAL = const(22)
_EMSGSIZE = const(90)
_ETIMEDOUT = const(110)


@micropython.viper
def _peek(p: ptr32, s: ptr32, register: int) -> int:
    """Copies a register to the state, where all its 32 bits can be seen."""
    s[_WORD] = p[register]
    return 0


@micropython.viper
def _poke(p: ptr32, register: int, value: int) -> int:
    p[register + 0] = value
    return 0


@micropython.viper
def _until(p: ptr32, register: int, mask: int, value: int) -> int:
    """Waits until `register & mask` is `value`: 0, or -ETIMEDOUT."""
    i = 0
    while i < _TRIES:
        if p[register + 0] & mask == value:
            return 0
        i += 1
    return -_ETIMEDOUT


@micropython.viper
def _mac_wait(p: ptr32) -> int:
    """Waits until the MAC has done its command: 0, or -ETIMEDOUT."""
    i = 0
    while i < _TRIES:
        p[_BYTE_TEST]  # 6.1.1: 45 ns after the command, before the answer counts
        if not (p[_MAC_CSR_CMD] >> 31) & 1:
            return 0
        i += 1
    return -_ETIMEDOUT


@micropython.viper
def _mac_write(base, register: int, high: int, low: int) -> int:
    """Writes `high << 16 | low` to a register of the MAC (5.4)."""
    if int(_mac_wait(base)):
        return -_ETIMEDOUT
    p = ptr32(base)
    busy = 1
    busy = busy << 31
    p[_MAC_CSR_DATA] = high << 16 | low
    p[_MAC_CSR_CMD] = busy | register
    return int(_mac_wait(base))


@micropython.viper
def _mac_read(base, register: int) -> int:
    """The low 30 bits of a register of the MAC, or -ETIMEDOUT."""
    if int(_mac_wait(base)):
        return -_ETIMEDOUT
    p = ptr32(base)
    command = 3
    command = command << 30
    p[_MAC_CSR_CMD] = command | register
    if int(_mac_wait(base)):
        return -_ETIMEDOUT
    return p[_MAC_CSR_DATA] & 0x3FFFFFFF


@micropython.viper
def _stalled(p: ptr32, s: ptr32) -> int:
    """25 MHz ticks since the transmit FIFO was first found full, modulo 2^30."""
    now = p[_FREE_RUN]
    if not s[_TX_STALLED]:
        s[_TX_STALLED] = now | 1
    return (now - s[_TX_STALLED]) & 0x3FFFFFFF


class LAN9118:
    """The chip at address `base`, told to be `mac` (6 bytes; None: what its EEPROM says).

    With `multicast` all Ethernet groups are received, and left to the interface to choose from;
    without, none. Raises `OSError` if there is no such chip, or if it does not start.
    """

    mtu = 1500

    def __init__(self, base, mac=None, multicast=True):
        self.mac = check_mac(mac)
        self._base = base
        self._state = array("I", bytes(4 * _STATE_SIZE))
        self._mac_cr = _TXEN | _RXEN | _FDPX | (_MCPAS if multicast else 0)
        self._up = False
        self._known = []
        self._rx_buf = self._rx_tail = None
        self._tx_buf = self._tx_tail = None
        self._identify()
        error = self.reset()
        if error:
            raise OSError(-error, "LAN9118 at 0x%x does not start" % base)
        self._state[_RESETS] = 0

    def _register(self, register):
        _peek(self._base, self._state, register)
        return self._state[_WORD]

    def _identify(self):
        # A sleeping chip answers only BYTE_TEST and PMT_CTRL, and a write wakes it (3.10.2).
        if not self._register(_PMT_CTRL) & 1:
            _poke(self._base, _BYTE_TEST, 0)
            _until(self._base, _PMT_CTRL, 1, 1)
        test = self._register(_BYTE_TEST)
        if test != 0x87654321:
            raise OSError(
                _EIO,
                "no LAN9118 at 0x%x: BYTE_TEST is 0x%08x, not 0x87654321: check address, "
                "chip select and byte order" % (self._base, test),
            )
        ident = self._register(_ID_REV)
        if ident >> 16 not in _IDS:
            raise OSError(_EIO, "not a LAN9118: ID_REV is 0x%08x" % ident)

    def reset(self):
        """Restarts the chip as the constructor does: 0, or a negative errno. Waits for as long as
        a reset takes, some milliseconds, but not for the link."""
        base = self._base
        self._state[_RESETS] += 1
        self._state[_TX_STALLED] = 0
        self._up = False
        _poke(base, _HW_CFG, 1)
        error = _until(base, _HW_CFG, 1, 0) or _until(base, _PMT_CTRL, 1, 1)
        if error:
            return error
        # The EEPROM controller loads the address by itself; wait until it is idle (EPC busy, bit
        # 31, is the sign).
        for _ in range(1000):
            if not self._register(_E2P_CMD) >> 31:
                break
        # Store and forward; 4608 bytes to send, 10,560 to receive (5.3.9).
        _poke(base, _HW_CFG, 0x150000)
        _poke(base, _AFC_CFG, 0x6E3740)
        _poke(base, _INT_EN, 0)
        _poke(base, _IRQ_CFG, 0)
        _poke(base, _INT_STS, 0x3FFFFFFF)
        _poke(base, _RX_CFG, _RX_OFFSET)
        if self.mac is None:
            self.mac = self._stored_mac()
            if self.mac is None:
                return -_EINVAL
        # Flow control stays off: a full FIFO here is no reason to stop a whole network.
        return (
            self._put_mac()
            or _mac_write(base, _MAC_FLOW, 0, 0)
            or self._start_phy()
            or _poke(base, _TX_CFG, _TX_ON | _TXSAO)
            or self._write_mac_cr(self._mac_cr)
        )

    def _put_mac(self):
        m = self.mac
        return _mac_write(self._base, _MAC_ADDRH, 0, m[5] << 8 | m[4]) or _mac_write(
            self._base, _MAC_ADDRL, m[3] << 8 | m[2], m[1] << 8 | m[0]
        )

    def set_mac(self, mac):
        """Gives the chip another address, 6 bytes. Raises OSError if it does not take it."""
        self.mac = check_mac(mac)
        error = self._put_mac()
        if error:
            raise OSError(-error, "LAN9118 does not take an address")

    def _stored_mac(self):
        mac = bytearray(6)
        low = _mac_read(self._base, _MAC_ADDRL)
        # The second read is of the data register: the top bits do not fit a small int.
        top = self._register(_MAC_CSR_DATA) >> 24
        high = _mac_read(self._base, _MAC_ADDRH)
        if low < 0 or high < 0:
            return None
        for i in range(3):
            mac[i] = low >> (8 * i) & 0xFF
        mac[3] = top
        mac[4] = high & 0xFF
        mac[5] = high >> 8 & 0xFF
        return None if mac[0] & 1 or not any(mac) else bytes(mac)

    def _start_phy(self):
        # Reset, then offer 10 and 100 Mbit/s in both duplexes, and negotiate.
        error = self._phy_write(_PHY_CONTROL, 0x8000)
        if error:
            return error
        for _ in range(10000):  # it may take 0.5 s (IEEE 802.3, 22.2.4.1.1)
            status = self._phy_read(_PHY_CONTROL)
            if status < 0:
                return status
            if not status & 0x8000:
                return self._phy_write(_PHY_ADVERTISE, 0x1E1) or self._phy_write(
                    _PHY_CONTROL, 0x1200
                )
        return -_ETIMEDOUT

    def _write_mac_cr(self, value):
        return _mac_write(self._base, _MAC_CR, value >> 16, value & 0xFFFF)

    def _phy(self, register, write):
        # MII_ACC (5.4.6): the PHY inside has address 1, bit 0 starts.
        command = 1 << 11 | register << 6 | write << 1 | 1
        return _mac_write(self._base, _MAC_MII_ACC, 0, command) or self._phy_wait()

    def _phy_wait(self):
        # A management frame takes 26 us.
        for _ in range(200):
            busy = _mac_read(self._base, _MAC_MII_ACC)
            if busy < 0:
                return busy
            if not busy & 1:
                return 0
        return -_ETIMEDOUT

    def _phy_read(self, register):
        error = self._phy_wait() or self._phy(register, 0)
        return error or _mac_read(self._base, _MAC_MII_DATA)

    def _phy_write(self, register, value):
        return (
            self._phy_wait()
            or _mac_write(self._base, _MAC_MII_DATA, 0, value)
            or self._phy(register, 1)
        )

    def _use(self, buf):
        # Finds what was prepared for a buffer, or prepares it.
        for known in self._known:
            if known[0] is buf:
                return known
        if len(self._known) == 8:  # a caller who makes new buffers pays for it, not for ever
            self._known.clear()
        tail = memoryview(buf)[2:]
        aligned = addressof is not None and not addressof(tail) & 3
        known = (buf, tail, aligned, len(buf))
        self._known.append(known)
        return known

    def _use_rx(self, buf):
        known = self._use(buf)
        self._rx_buf = buf
        self._rx_tail = known[1]
        self._state[_RX_ALIGNED] = known[2]
        self._state[_RX_ROOM] = known[3]

    def _use_tx(self, buf):
        known = self._use(buf)
        self._tx_buf = buf
        self._tx_tail = known[1]
        self._state[_TX_ALIGNED] = known[2]
        self._state[_TX_ROOM] = known[3]

    @micropython.viper
    def receive(self, buf) -> int:
        """Copies a frame to `buf`; see docs/architecture.md."""
        if buf is not self._rx_buf:
            self._use_rx(buf)
        p = ptr32(self._base)
        if not (p[_RX_FIFO_INF] >> 16) & 0xFF:
            if p[_INT_STS] & _FAULTS:
                self._mend(p[_INT_STS] & _FAULTS)
            return 0
        s = ptr32(self._state)
        status = p[_RX_STATUS]
        total = (status >> 16) & 0x3FFF  # with the FCS
        n = total - 4
        words = (total + 5) >> 2  # two bytes of padding before it
        result = n
        if status & 0x8000 or n < 14:
            s[_RX_ERRORS] = s[_RX_ERRORS] + 1
            s[_RX_CRC_ERRORS] = s[_RX_CRC_ERRORS] + ((status >> 1) & 1)
            result = -_EIO
        elif n > s[_RX_ROOM]:
            s[_RX_TOO_LONG] = s[_RX_TOO_LONG] + 1
            result = -_EMSGSIZE
        if total > _LONGEST or total < 4:
            self._restart_rx()
            return -_EIO
        if result > 0:
            b = ptr8(buf)
            x = p[_RX_DATA]
            b[0] = (x >> 16) & 0xFF
            b[1] = (x >> 24) & 0xFF
            i = 2
            k = (n - 2) >> 2
            words -= 1 + k
            if s[_RX_ALIGNED]:
                pull(self._base, self._rx_tail, k)
                i += k << 2
            else:
                while k:
                    x = p[_RX_DATA]
                    b[i] = x & 0xFF
                    b[i + 1] = (x >> 8) & 0xFF
                    b[i + 2] = (x >> 16) & 0xFF
                    b[i + 3] = (x >> 24) & 0xFF
                    i += 4
                    k -= 1
            if i < n:
                x = p[_RX_DATA]
                words -= 1
                while i < n:
                    b[i] = x & 0xFF
                    x = x >> 8
                    i += 1
        while words > 0:
            x = p[_RX_DATA]
            words -= 1
        return result

    @micropython.viper
    def transmit(self, buf, length: int) -> int:
        """Sends `buf[:length]`; see docs/architecture.md. The chip pads short frames."""
        if buf is not self._tx_buf:
            self._use_tx(buf)
        p = ptr32(self._base)
        s = ptr32(self._state)
        if length < 14 or length > 1518 or length > s[_TX_ROOM]:
            return -_EINVAL
        free = p[_TX_FIFO_INF]
        done = (free >> 16) & 0xFF
        while done:
            x = p[_TX_STATUS]
            s[_TX_ERRORS] = s[_TX_ERRORS] + ((x >> 15) & 1)
            s[_TX_COLLISIONS] = s[_TX_COLLISIONS] + ((x >> 3) & 15)
            done -= 1
        if (free & 0xFFFF) < length + 16:
            return int(self._wait_tx())
        s[_TX_STALLED] = 0
        b = ptr8(buf)
        # Command A: first and last segment, data start offset, size; command B: length (3.12.2).
        if s[_TX_ALIGNED]:
            p[_TX_DATA] = 0x23000 | length
            p[_TX_DATA] = length
            p[_TX_DATA] = b[0] << 16 | b[1] << 24
            k = (length - 2) >> 2
            push(self._base, self._tx_tail, k)
            i = 2 + (k << 2)
        else:
            p[_TX_DATA] = 0x3000 | length
            p[_TX_DATA] = length
            i = 0
            k = length >> 2
            while k:
                p[_TX_DATA] = b[i] | b[i + 1] << 8 | b[i + 2] << 16 | b[i + 3] << 24
                i += 4
                k -= 1
        if i < length:
            x = 0
            k = 0
            while i < length:
                x |= b[i] << k
                k += 8
                i += 1
            p[_TX_DATA] = x
        return 0

    def _wait_tx(self):
        if _stalled(self._base, self._state) > _STALL:
            self._restart_tx()
        return -_EAGAIN

    def _mend(self, faults):
        if faults & _RX_FAULT:
            self._restart_rx()
        if faults & _TX_FAULT:
            self._restart_tx()
        _poke(self._base, _INT_STS, faults)

    def _restart_rx(self):
        # 3.13.1.2 and 3.13.4: stop, wait for the end of a frame on its way, dump both FIFOs.
        base = self._base
        self._state[_RX_RESTARTS] += 1
        _poke(base, _INT_STS, _RXSTOP)
        self._write_mac_cr(self._mac_cr & ~_RXEN)
        _until(base, _INT_STS, _RXSTOP, _RXSTOP)
        _poke(base, _RX_CFG, _RX_DUMP | _RX_OFFSET)
        _until(base, _RX_CFG, _RX_DUMP, 0)
        _poke(base, _RX_CFG, _RX_OFFSET)
        _poke(base, _INT_STS, _RX_FAULT | _RXSTOP)
        self._write_mac_cr(self._mac_cr)

    def _restart_tx(self):
        # 3.12.8: stop after the frame on its way, dump both FIFOs.
        base = self._base
        self._state[_TX_RESTARTS] += 1
        self._state[_TX_STALLED] = 0
        _poke(base, _TX_CFG, _TX_ON | _TXSAO | 1)
        _until(base, _TX_CFG, _TX_ON, 0)
        _poke(base, _TX_CFG, _TX_DUMPS | _TXSAO)
        _until(base, _TX_CFG, _TX_DUMPS, 0)
        _poke(base, _TX_CFG, _TX_ON | _TXSAO)

    def link(self):
        """True while the medium is usable: the PHY has a link and has negotiated. Talks to the
        PHY for about 0.1 ms; sets the MAC's duplex, and restarts a chip that has lost its
        settings (after a brown-out), so call it now and then: once a second is plenty."""
        base = self._base
        if _mac_read(base, _MAC_CR) & (_TXEN | _RXEN) != _TXEN | _RXEN:
            self.reset()
            return False
        status = self._phy_read(_PHY_STATUS)
        if status >= 0 and not status & 4:  # it remembers a loss until read
            status = self._phy_read(_PHY_STATUS)
        up = status >= 0 and status & 0x24 == 0x24
        if up and not self._up:
            self._set_duplex()
        self._up = up
        return up

    def _set_duplex(self):
        # The best that both offer (IEEE 802.3, 28B.3): 100 full, 100 half, 10 full, 10 half.
        ours = self._phy_read(_PHY_ADVERTISE)
        theirs = self._phy_read(_PHY_PARTNER)
        if ours < 0 or theirs < 0:
            return
        both = ours & theirs
        full = both & 0x100 or (not both & 0x80 and both & 0x40)
        cr = self._mac_cr & ~(_FDPX | _RCVOWN) | (_FDPX if full else _RCVOWN)
        if cr != self._mac_cr:
            self._mac_cr = cr
            self._write_mac_cr(cr)

    def counters(self):
        """A dict of counters by name: frames with errors, with a bad FCS among them, too long for
        the buffer, lost by the chip for want of room; frames not sent, collisions; and restarts
        of the receiver, the transmitter, the chip."""
        self._state[_RX_DROPPED] += self._register(_RX_DROP)  # cleared when read (5.3.20)
        return {name: self._state[i] for name, i in _COUNTERS}

    def close(self):
        """Stops the chip."""
        self._write_mac_cr(self._mac_cr & ~(_RXEN | _TXEN))
        _poke(self._base, _TX_CFG, 1)
        self._known.clear()
        self._rx_buf = self._rx_tail = self._tx_buf = self._tx_tail = None
