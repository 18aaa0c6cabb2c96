"""A model of the W5100S: the W5500's sockets behind the W5100's address map. See wiznet.py.

Names of registers are the data sheet's (W5100S, register map). Common registers lie at 0x0000,
those of socket n at 0x0400 + 0x100 n, transmit memory at 0x4000 and receive memory at 0x6000, 8 KB
each. An SPI frame is an opcode, 0xF0 to write or 0x0F to read, a 16-bit address and data, whose
address counts up; it does not wrap at the end of a buffer: the host must.

From drivers that run on silicon: MR reads 0x03 after a reset (Adafruit_CircuitPython_Wiznet5k,
sw_reset); the address can be written only while NETLCKR is open (Zephyr, eth_w5100s.c), which it
is after a reset, since others do not open it; the interrupt pin works only with MR2.G_IEN
(MicroPython, network_wiznet5k.c, and WIZnet's ioLibrary set it), which is not set here. Sizes of
buffers are set by Sn_RXBUF_SIZE (Zephyr, MicroPython) or by RMSR (Linux, w5100.c).
"""

from tests.models.wiznet import IMR, IR, MR, MR2, RXBUF, TXBUF, WIZnetModel

VERSION = 0x51
_UNLOCKED = 0x3A
_MF = 0x40
_MBBLK, _MMBLK, _IPV6BLK = 0x40, 0x20, 0x10


class W5100SModel(WIZnetModel):
    name = "W5100S"
    sockets = 4
    size = 8192
    boot_ns = 60300000  # reset timing, "stable time"
    locked = False  # NETLCKR after a reset

    def _power_on(self):
        WIZnetModel._power_on(self)
        self.common[0x17] = 0x07  # RTR
        self.common[0x18] = 0xD0
        self.common[0x19] = 8  # RCR
        self.common[0x1A] = self.common[0x1B] = 0x55  # RMSR, TMSR: 2 KB each
        self.common[0] = 0x03
        self.common[0x71] = 0xC5 if self.locked else _UNLOCKED
        self.common[0x80] = VERSION

    def _select(self):
        self._phase = 0
        self._at = 0
        self._writes = False

    def _deselect(self):
        if self._phase in (1, 2):
            self.fail("SPI frame of %d bytes" % self._phase, "SPI operation")
        self._select()

    def _byte(self, out):
        if self._phase == 0:
            if out not in (0xF0, 0x0F):
                self.fail("opcode 0x%02x" % out, "SPI operation")
            self._writes = out == 0xF0
            self._phase = 1
            return 0
        if self._phase < 3:
            self._at = self._at << 8 | out
            self._phase += 1
            return self._phase - 1
        at = self._at
        self._at = at + 1
        if self.now < self.ready_at and (at or self._writes):
            return 0
        if at < 0x100:
            return self._common_write(at, out) if self._writes else self._common_read(at)
        if 0x400 <= at < 0x800:
            n = (at - 0x400) >> 8
            if self._writes:
                self.socket_write(n, at & 0xFF, out)
                return 0
            return self.socket_read(n, at & 0xFF)
        if 0x4000 <= at < 0x6000:
            if not self._writes:
                return self.tx_memory[at - 0x4000]
            self._fill(at - 0x4000, bytes((out,)))
            return 0
        if 0x6000 <= at < 0x8000 and not self._writes:
            return self.rx_memory[at - 0x6000]
        self.fail(
            "address 0x%04x, opcode %s" % (at, "write" if self._writes else "read"), "Memory map"
        )

    def _burst(self, out, into, i, n):
        if not self._phase and out is not None and into is not None and out[1] == 4:
            # Registers of socket 0.
            if out[0] != 0x0F or not self._still():
                return 0
            into[0], into[1], into[2] = 0, 1, 2
            self._registers(out[2], into, 3, n)
            self._phase = 3
            self._at = 0x400 + out[2] + n - 3
            return n
        at = self._at
        if self._phase != 3 or self.now < self.ready_at:
            return 0
        if 0x6000 <= at < 0x8000 and not self._writes and into is not None:
            k = min(n - i, 0x8000 - at)
            into[i : i + k] = self.rx_memory[at - 0x6000 : at - 0x6000 + k]
        elif 0x4000 <= at < 0x6000 and self._writes and out is not None:
            k = min(n - i, 0x6000 - at)
            self._fill(at - 0x4000, bytes(out[i : i + k]))
        else:
            return 0
        self._at += k
        return k

    def _common_read(self, at):
        if at > 0x88:
            self.fail("common register 0x%04x is reserved" % at, "Common registers")
        if at == 0:
            return 0x80 if self.now < self.ready_at else self.common[0]
        if at == 0x15:  # IR, with the sockets' bits
            return self.common[at] & 0xF0 | (1 if self.socket[IR] & self.socket[IMR] else 0)
        if at == 0x3C:  # PHYSR: cable off, 10 Mbit/s, half duplex are 1
            if not self.linked:
                return 0x80
            return 1 | (0 if self.mbps == 100 else 2) | (0 if self.full_duplex else 4)
        return self.common[at]

    def _common_write(self, at, value):
        if self.wedged:
            return 0
        if at > 0x88 or at in (0x13, 0x14):
            self.fail("common register 0x%04x is reserved" % at, "Common registers")
        if at in (0x3C, 0x3D, 0x80, 0x82, 0x83):
            self.fail("common register 0x%04x is read-only" % at, "Common registers")
        if 0x01 <= at <= 0x12 and self.common[0x71] != _UNLOCKED:
            return 0
        if at == 0 and value & 0x80:
            self._cured(2)
            self._power_on()
            self._phase = 3
            self._writes = True
            self._at = 1
            return 0
        if at in (0x1A, 0x1B):
            if self.status:
                self.fail("memory size while a socket is open", "RMSR, TMSR")
            # Two bits a socket, 1 << n KB; what comes after the memory's end gets nothing.
            left = 8
            for n in range(4):
                kb = 1 << (value >> 2 * n & 3)
                kb = kb if kb <= left else 0
                left -= kb
                regs = self.others[n - 1] if n else self.socket
                regs[RXBUF if at == 0x1A else TXBUF] = kb
        if at == 0x15:
            self.common[at] &= ~value & 0xFF
        else:
            self.common[at] = value
        return 0

    def _pending(self):
        if not self.common[0x30] & 0x40:
            return 0
        raised = self.socket[IR] & self.socket[IMR] and 1
        return (self.common[0x15] & 0xF0 | raised) & self.common[0x16]

    def _accepts(self, frame):
        mode, mode2 = self.socket[MR], self.socket[MR2]
        broadcast = frame[:6] == b"\xff\xff\xff\xff\xff\xff"
        group = frame[0] & 1 and not broadcast
        if mode2 & _IPV6BLK and frame[12:14] == b"\x86\xdd":
            return False
        if broadcast:
            return not mode2 & _MBBLK
        if group:
            return not mode2 & _MMBLK and (not mode & _MF or frame[:3] == b"\x01\x00\x5e")
        return not mode & _MF or frame[:6] == self.common[9:15]
