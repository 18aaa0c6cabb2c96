"""A model of the W5500, from the data sheet, version 1.0.9. See spi.py and wiznet.py."""

from tests.models.wiznet import IMR, IR, MR, WIZnetModel

VERSION = 0x04
_MFEN, _BCASTB, _MMB, _MIP6B = 0x80, 0x40, 0x20, 0x10
_COMMON_TOP = 0x39


class W5500Model(WIZnetModel):
    """16 KB + 16 KB, eight sockets, SPI frames of address, control and data phase (2.2)."""

    name = "W5500"
    rst_ns = 500000  # 5.5.1
    boot_ns = 1000000

    def _power_on(self):
        WIZnetModel._power_on(self)
        self.common[0x19] = 0x07  # RTR
        self.common[0x1A] = 0xD0
        self.common[0x1B] = 8  # RCR
        self.common[0x1C] = 0x28  # PTIMER
        self.common[0x39] = VERSION

    # ---- SPI frame: 2.2, 2.3 ----

    def _select(self):
        self._phase = 0
        self._at = 0
        self._block = 0
        self._writes = False

    def _deselect(self):
        if self._phase in (1, 2):
            self.fail("SPI frame of %d bytes" % self._phase, "2.2 SPI frame")
        self._select()

    def _byte(self, out):
        phase = self._phase
        if phase < 2:
            self._at = self._at << 8 | out
            self._phase += 1
            return 0x01 + phase  # 2.2: what MISO does here is not defined
        if phase == 2:
            if out & 3:
                self.fail("fixed length mode with chip select driven", "2.4 FDM")
            block = out >> 3
            if block and block & 3 == 0:
                self.fail("reserved block %d" % block, "2.2.2 Control phase, BSB")
            self._block = block
            self._writes = bool(out & 4)
            self._phase = 3
            return 3
        at = self._at
        self._at = (at + 1) & 0xFFFF
        kind = self._block & 3
        n = self._block >> 2
        if self.now < self.ready_at and (self._block or self._writes or at > 3):
            return 0  # in reset: writes are lost
        if self._block == 0:
            return self._common_write(at, out) if self._writes else self._common_read(at)
        if kind == 1:
            if self._writes:
                self.socket_write(n, at, out)
                return 0
            return self.socket_read(n, at)
        if n:
            self.fail("buffer of socket %d, which has none" % n, "3.3 Memory")
        if kind == 2:
            if not self._writes:
                return self.tx_memory[at % self.tx_size]
            self._fill(at % self.tx_size, bytes((out,)))
            return 0
        if self._writes:
            self.fail("write to the receive memory", "3.3 Memory")
        return self.rx_memory[at % self.rx_size]

    def _burst(self, out, into, i, n):
        if not self._phase and out is not None and into is not None and out[2] == 8:
            # Registers of socket 0.
            if not self._still():
                return 0
            self._at = out[0] << 8 | out[1]
            into[0], into[1], into[2] = 1, 2, 3
            self._registers(self._at, into, 3, n)
            self._phase = 3
            self._block = 1
            self._at += n - 3
            return n
        if self._phase != 3 or self._block not in (2, 3) or self.now < self.ready_at:
            return 0
        if self._block == 3 and not self._writes and into is not None:
            at = self._at % self.rx_size
            k = min(n - i, self.rx_size - at)
            into[i : i + k] = self.rx_memory[at : at + k]
        elif self._block == 2 and self._writes and out is not None:
            at = self._at % self.tx_size
            k = min(n - i, self.tx_size - at)
            self._fill(at, bytes(out[i : i + k]))
        else:
            return 0
        self._at = (self._at + k) & 0xFFFF
        return k

    # ---- common registers: 3.1, 4.1 ----

    def _common_read(self, at):
        if at > _COMMON_TOP:
            self.fail("common register 0x%04x is reserved" % at, "3.1 Common register block")
        if at == 0:
            return 0x80 if self.now < self.ready_at else self.common[0]
        if at == 0x17:  # SIR
            return self.socket[IR] & self.socket[IMR] and 1
        if at == 0x2E:  # PHYCFGR
            value = self.common[at] | 0xB8
            if self.linked:
                value |= 1 | (2 if self.mbps == 100 else 0) | (4 if self.full_duplex else 0)
            return value
        return self.common[at]

    def _common_write(self, at, value):
        if self.wedged:
            return 0
        if at > _COMMON_TOP or 0x2F <= at <= 0x38:
            self.fail("common register 0x%04x is reserved" % at, "3.1 Common register block")
        if at in (0x17, 0x39) or 0x28 <= at <= 0x2D:  # SIR, VERSIONR, UIPR, UPORTR
            self.fail("common register 0x%04x is read-only" % at, "4.1 Common registers")
        if at == 0 and value & 0x80:
            self._cured(2)
            self._power_on()
            self._phase = 3
            self._writes = True
            self._at = 1
            return 0
        if at == 0x15:
            self.common[at] &= ~value & 0xFF
        else:
            self.common[at] = value
        return 0

    def _pending(self):
        raised = self.common[0x15] & self.common[0x16]
        return raised or (self.common[0x18] & 1 and self.socket[IR] & self.socket[IMR])

    def _accepts(self, frame):
        mode = self.socket[MR]
        own = frame[:6] == self.common[9:15]
        broadcast = frame[:6] == b"\xff\xff\xff\xff\xff\xff"
        group = frame[0] & 1 and not broadcast
        if mode & _MIP6B and frame[12:14] == b"\x86\xdd":
            return False
        if broadcast:
            return not mode & _BCASTB
        if not mode & _MFEN:
            return not (group and mode & _MMB)
        # With the filter, groups of IPv4 still pass unless they are blocked (wiznet.py).
        return own or (frame[:3] == b"\x01\x00\x5e" and not mode & _MMB)
