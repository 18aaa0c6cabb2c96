"""A model of the LAN9118, from the data sheet, revision 1.5: registers as words of a list.

On CPython `ptr32(base)` is `base`, so the driver takes this object for the chip's address.
Whatever the data sheet forbids raises `Misuse`, with the section. FIFO sizes are those of
TX_FIF_SZ 5 (5.3.9): 4608 bytes to send, 10,560 to receive, 176 receive status words.
"""

RX_DATA, TX_DATA, RX_STATUS, TX_STATUS = 0x00, 0x08, 0x10, 0x12
ID_REV, IRQ_CFG, INT_STS, INT_EN, BYTE_TEST = 0x14, 0x15, 0x16, 0x17, 0x19
RX_CFG, TX_CFG, HW_CFG, RX_FIFO_INF, TX_FIFO_INF = 0x1B, 0x1C, 0x1D, 0x1F, 0x20
PMT_CTRL, FREE_RUN, RX_DROP = 0x21, 0x27, 0x28
MAC_CSR_CMD, MAC_CSR_DATA, AFC_CFG, E2P_CMD = 0x29, 0x2A, 0x2B, 0x2C
MAC_CR, ADDRH, ADDRL, MII_ACC, MII_DATA, FLOW = 1, 2, 3, 6, 7, 8
RXE, TXE, RXSTOP = 0x4000, 0x2000, 0x1000000
RXEN, TXEN, MCPAS, FDPX = 0x4, 0x8, 0x80000, 0x100000
_RX_BYTES, _TX_BYTES, _RX_FRAMES = 10560, 4608, 176


class Misuse(AssertionError):
    def __init__(self, what, section):
        AssertionError.__init__(self, f"{what} (data sheet, {section})")


class LAN9118Model:
    """The chip. Tests put frames in with `arrive` and find what was sent in `sent`.

    Switches: `ident`, `byte_test`; `stuck`, a set of what never ends ("reset", "mac", "mii", "rx
    stop", "tx stop", "phy"); `line`, whether frames leave the transmit FIFO; `tx_status`, the
    error bits of frames sent from now on; `partner`, the abilities of the other end of the cable,
    None for no cable; `asleep`.
    """

    def __init__(self, eeprom=None):
        self.ident = 0x01180001
        self.byte_test = 0x87654321
        self.eeprom = eeprom
        self.stuck = set()
        self.line = True
        self.tx_status = 0
        self.partner = 0x45E1
        self.asleep = False
        self.time = 0
        self.reads = 0
        self.sent = []
        self.reset()

    def reset(self):
        self.regs = {HW_CFG: 0x50000, RX_CFG: 0, TX_CFG: 0, INT_STS: 0, RX_DROP: 0, AFC_CFG: 0}
        self.mac = {MAC_CR: 0x40000, ADDRH: 0xFFFF, ADDRL: 0xFFFFFFFF, MII_ACC: 0, FLOW: 0}
        self.mac[MII_DATA] = 0
        if self.eeprom:
            self.mac[ADDRL] = int.from_bytes(self.eeprom[:4], "little")
            self.mac[ADDRH] = int.from_bytes(self.eeprom[4:], "little")
        self.csr_data = 0
        self.busy = self.mii_busy = self.resetting = 0
        self.phy = {0: 0x3000, 4: 0x1E1}
        self.lost_link = False
        self.rx_words, self.rx_stats = [], []
        self.tx_stats, self.tx_waiting = [], []
        self.command = None
        self.words = []

    def __index__(self):
        return 0x40200000  # for messages that name the address

    # The wire.

    def accepts(self, frame):
        cr = self.mac[MAC_CR]
        own = self.mac[ADDRL].to_bytes(4, "little") + self.mac[ADDRH].to_bytes(2, "little")
        to = frame[:6]
        return to in (b"\xff" * 6, own) or bool(cr & 0x40000) or bool(to[0] & 1 and cr & MCPAS)

    def arrive(self, frame, error=0, length=None):
        """A frame comes in; returns whether it was taken. `error`: bits of its status word;
        `length`: what the status word says of it, with the FCS."""
        if not self.mac[MAC_CR] & RXEN or not self.accepts(frame):
            return False
        offset = self.regs[RX_CFG] >> 8 & 31
        if offset > 3:
            raise Misuse("this model knows offsets within a word", "5.3.7")
        data = b"\xee" * offset + frame + b"\xfc" * 4
        data += b"\xdd" * (-len(data) % 4)
        used = 4 * len(self.rx_words)
        if used + len(data) > _RX_BYTES - 16 or len(self.rx_stats) == _RX_FRAMES:
            self.regs[RX_DROP] += 1
            return False
        self.rx_words += [
            int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)
        ]
        status = (len(frame) + 4 if length is None else length) << 16 | error
        self.rx_stats.append(status | 0x8000 if error & 0x8C2 else status)
        return True

    def flush(self):
        """What the line does while it is up: sends all that waits."""
        while self.line and self.tx_waiting:
            self.sent.append(self.tx_waiting.pop(0)[0])
            if len(self.tx_stats) < 128:
                self.tx_stats.append(self.tx_status | (0x8000 if self.tx_status & 0xF06 else 0))

    # The bus.

    def __getitem__(self, at):
        self.reads += 1
        if self.asleep and at not in (BYTE_TEST, PMT_CTRL):
            raise Misuse(f"register 0x{at * 4:02x} read from a sleeping chip", "3.10.2")
        if at < 8:
            if not self.rx_words:
                self.regs[INT_STS] |= RXE
                raise Misuse("host underrun of the receive data FIFO", "3.13.5")
            return self.rx_words.pop(0)
        if at == RX_STATUS:
            if not self.rx_stats:
                raise Misuse("host underrun of the receive status FIFO", "3.13.5")
            return self.rx_stats.pop(0)
        if at == TX_STATUS:
            if not self.tx_stats:
                raise Misuse("transmit status read where there is none", "3.12.4")
            return self.tx_stats.pop(0)
        if at == RX_FIFO_INF:
            return len(self.rx_stats) << 16 | 4 * len(self.rx_words)
        if at == TX_FIFO_INF:
            return len(self.tx_stats) << 16 | self.room()
        if at == FREE_RUN:
            self.time = (self.time + 1) & 0xFFFFFFFF
            return self.time
        if at == RX_DROP:
            value, self.regs[RX_DROP] = self.regs[RX_DROP], 0
            return value
        if at == MAC_CSR_CMD:
            if self.busy and "mac" not in self.stuck:
                self.busy -= 1
            return 0x80000000 if self.busy else 0
        if at == MAC_CSR_DATA:
            if self.busy:
                raise Misuse("MAC_CSR_DATA read while busy", "5.3.21")
            return self.csr_data
        if at == HW_CFG:
            if self.resetting and "reset" not in self.stuck:
                self.resetting -= 1
            return self.regs[HW_CFG] | (1 if self.resetting else 0)
        if at == TX_CFG and self.regs[TX_CFG] & 1 and "tx stop" not in self.stuck:
            self.regs[TX_CFG] &= ~3
        if at == ID_REV:
            return self.ident
        if at == BYTE_TEST:
            return self.byte_test
        if at == PMT_CTRL:
            return 0 if self.asleep else 1
        if at == E2P_CMD:
            return 0
        if at in self.regs:
            return self.regs[at]
        raise Misuse(f"register 0x{at * 4:02x} read", "5.3")

    def __setitem__(self, at, value):
        if not 0 <= value < 1 << 32:
            raise Misuse(f"0x{value:x} written", "a word has 32 bits")
        if at == BYTE_TEST and self.asleep:
            self.asleep = False
        elif 8 <= at < 16:
            self.tx_word(value)
        elif at == HW_CFG:
            if value & 1:
                self.reset()
                self.resetting = 3
            elif not value & 0x100000:
                raise Misuse("HW_CFG without bit 20, which must be one", "5.3.9")
            else:
                self.regs[HW_CFG] = value
        elif at == INT_STS:
            self.regs[INT_STS] &= ~value
        elif at == RX_CFG:
            if value & 0x8000:
                if self.mac[MAC_CR] & RXEN or not self.regs[INT_STS] & RXSTOP:
                    raise Misuse("RX_DUMP while the receiver runs", "3.13.1.2")
                self.rx_words, self.rx_stats = [], []
            self.regs[RX_CFG] = value & ~0x8000
        elif at == TX_CFG:
            if value & 0xC000:
                if self.regs[TX_CFG] & 2:
                    raise Misuse("the transmit FIFOs dumped while the transmitter runs", "3.12.8")
                self.tx_stats, self.tx_waiting, self.command = [], [], None
            self.regs[TX_CFG] = value & ~0xC000
        elif at == MAC_CSR_CMD:
            if self.busy:
                raise Misuse("MAC_CSR_CMD written while busy", "5.3.20")
            if not value >> 31:
                raise Misuse("a command without the busy bit", "5.3.20")
            self.busy = 2
            if value >> 30 & 1:
                self.csr_data = self.mac_read(value & 0xFF)
            else:
                self.mac_write(value & 0xFF, self.csr_data)
        elif at == MAC_CSR_DATA:
            if self.busy:
                raise Misuse("MAC_CSR_DATA written while busy", "5.3.21")
            self.csr_data = value
        elif at in (INT_EN, IRQ_CFG, AFC_CFG):
            self.regs[at] = value
        else:
            raise Misuse(f"register 0x{at * 4:02x} written", "5.3")

    # Transmit: 3.12.

    def room(self):
        self.flush()
        return _TX_BYTES - sum(size for _, size in self.tx_waiting)

    def tx_word(self, word):
        if self.command is None:
            if word & 0x3000 != 0x3000:
                raise Misuse("this model knows frames of one segment", "3.12.2.1")
            self.command = word
            self.words = []
            return
        self.words.append(word)
        size = self.command & 0x7FF
        offset = self.command >> 16 & 31
        if len(self.words) - 1 < (size + offset + 3) // 4:
            return
        length = self.words[0] & 0x7FF
        if length != size:
            raise Misuse("the packet length is not the sum of its buffers", "3.12.7")
        if self.words[0] & 0x3000:
            raise Misuse("the chip adds the FCS and the padding", "3.12.2.2")
        taken = 4 * (1 + len(self.words))
        if taken > self.room():
            raise Misuse("host overrun of the transmit data FIFO", "3.12.7")
        data = b"".join(word.to_bytes(4, "little") for word in self.words[1:])
        frame = data[offset : offset + size]
        self.tx_waiting.append((frame + bytes(max(0, 60 - size)), taken))
        self.command = None
        if self.regs[TX_CFG] & 2 and self.mac[MAC_CR] & TXEN:
            self.flush()

    # MAC and PHY: 5.4, 5.5.

    def mac_read(self, register):
        if register == MII_ACC:
            if self.mii_busy and "mii" not in self.stuck:
                self.mii_busy -= 1
            return self.mac[MII_ACC] & ~1 | (1 if self.mii_busy else 0)
        if register == MII_DATA and self.mii_busy:
            raise Misuse("MII_DATA read while busy", "5.4.7")
        if register not in self.mac:
            raise Misuse(f"register {register} of the MAC read", "5.4")
        return self.mac[register]

    def mac_write(self, register, value):
        if register not in self.mac:
            raise Misuse(f"register {register} of the MAC written", "5.4")
        if register in (MII_ACC, MII_DATA) and self.mii_busy:
            raise Misuse("the MII written while busy", "5.4.6")
        if register == MAC_CR and self.mac[MAC_CR] & RXEN and not value & RXEN:
            if "rx stop" not in self.stuck:
                self.regs[INT_STS] |= RXSTOP
        self.mac[register] = value
        if register == MII_ACC:
            if value >> 11 != 1 or not value & 1:
                raise Misuse("the PHY inside has address 1; the busy bit starts", "5.4.6")
            self.mii_busy = 2
            if value & 2:
                self.phy_write(value >> 6 & 31, self.mac[MII_DATA])
            else:
                self.mac[MII_DATA] = self.phy_read(value >> 6 & 31)

    def phy_read(self, register):
        if register == 1:  # link status latches low (IEEE 802.3, 22.2.4.2.13)
            up = self.partner is not None
            shown = up and not self.lost_link
            self.lost_link = not up
            return 0x7809 | (0x4 if shown else 0) | (0x20 if up else 0)
        if register == 5:
            return self.partner or 0
        return self.phy[register]

    def phy_write(self, register, value):
        if register == 0 and value & 0x8000:
            self.phy = {0: 0xB000 if "phy" in self.stuck else 0x3000, 4: 0x1E1}
        else:
            self.phy[register] = value
