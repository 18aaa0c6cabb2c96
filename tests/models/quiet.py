"""A bus without a chip, which allocates nothing: for the proof that a driver does not either.

The models allocate, so under a locked heap a driver that was started with one talks to this. A
frame of `length` bytes always waits and everything is sent at once; `spoil` gives the next header
an absurd length.
"""

# Words of the drivers' states.
_HELD = 24
_READ_AT = 25
_WRITE_AT = 26
# ENC28J60
_BANK = 24
_NEXT = 26


class Quiet:
    def __init__(self, driver):
        self.driver = driver
        self.length = 60
        self.spoil = False
        self.gone = False
        self.now = 0
        driver._write = self.write
        driver._read = self.readinto
        driver._exchange = self.exchange
        driver._cs = self.cs
        driver._ticks = self.ticks_ms
        driver._rst = driver._sleep = self.cs
        driver._gather()

    def ticks_ms(self):
        self.now = (self.now + 7) & 0x3FFFFFFF
        return self.now

    def cs(self, level):
        pass

    def readinto(self, buf):
        buf[0] = 0x5A
        buf[len(buf) - 1] = 0xA5


class QuietWIZnet(Quiet):
    """Knows the driver's commands by identity, and the registers of its burst by place."""

    def __init__(self, driver):
        self.regs = bytearray(47)
        self.mode = driver._sn_mr()
        self.regs[3] = self.mode
        self.regs[5] = 0x10  # SENDOK
        self.regs[6] = 0x42
        self.answer = 0
        self.turn = 2
        Quiet.__init__(self, driver)

    def received(self, at):
        regs = self.regs
        n = self.length + 2
        regs[43] = at >> 8
        regs[44] = at & 0xFF
        regs[41] = n >> 8
        regs[42] = n & 0xFF
        at = (at + n) & 0xFFFF
        regs[45] = at >> 8
        regs[46] = at & 0xFF

    def write(self, buf):
        driver = self.driver
        if buf is driver._rx_rd:
            self.received(buf[3] << 8 | buf[4])
        elif buf is driver._one:
            # CLOSE or OPEN to Sn_CR: what Sn_SR reads next.
            if buf[3] == 0x10:
                self.answer = 0
            elif buf[3] == 0x01:
                self.answer = 0x42
                self.received(0)
        elif buf is getattr(driver, "_rx_open", None):
            # The first read of a frame is its length, which the end of the ring may part.
            if (buf[1] << 8 | buf[2]) & 0x1FFF == driver._state[_READ_AT] & 0x1FFF:
                self.turn = 0
            elif self.turn != 1:
                self.turn = 2

    def readinto(self, buf):
        if len(buf) == 1 and self.turn < 2:
            n = 3 if self.spoil else self.length + 2
            buf[0] = n & 0xFF if self.turn else n >> 8
            self.turn += 1
        elif len(buf):
            Quiet.readinto(self, buf)

    def exchange(self, out, into):
        driver = self.driver
        if self.gone:
            for i in range(len(into)):
                into[i] = 0
        elif into is driver._regs:
            state = driver._state
            self.received((state[_READ_AT] - state[_HELD]) & 0xFFFF)
            regs = self.regs
            regs[39] = state[_WRITE_AT] >> 8
            regs[40] = state[_WRITE_AT] & 0xFF
            for i in range(47):
                into[i] = regs[i]
        elif out is driver._rx_command:
            n = 3 if self.spoil else self.length + 2
            into[3] = n >> 8
            into[4] = n & 0xFF
        else:
            # A register: of the socket, or one that all have in common.
            register = out[1 + driver._GEOMETRY[1]]
            into[3] = 0
            if out[2] >> 3 == 1 if driver._NAME == "W5500" else out[1] == 4:
                if register == 3:
                    into[3] = self.answer
                elif register == 0:
                    into[3] = self.mode
            elif register == driver._VERSION_AT:
                into[3] = driver._VERSION
            elif register == 0:
                into[3] = 0x10  # MR.PB
            elif register >= 9 and register < 15:
                into[3] = driver.mac[register - 9]


class QuietW6100(QuietWIZnet):
    """Its driver asks for the same in two bursts."""

    def exchange(self, out, into):
        driver = self.driver
        regs = self.regs
        register = out[0] << 8 | out[1]
        if self.gone or out is driver._rx_command:
            QuietWIZnet.exchange(self, out, into)
        elif into is driver._rings:
            state = driver._state
            self.received((state[_READ_AT] - state[_HELD]) & 0xFFFF)
            into[3] = state[_WRITE_AT] >> 8
            into[4] = state[_WRITE_AT] & 0xFF
            for i in range(2):
                into[27 + i] = regs[41 + i]
                into[31 + i] = regs[43 + i]
                into[35 + i] = regs[45 + i]
        elif into is driver._events:
            into[3] = regs[5]
            into[19] = regs[6]
        elif out[2] >> 3 == 1:
            into[3] = self.answer if register == 0x30 else 0 if register else self.mode
        else:
            into[3] = 0
            if register == 0:
                into[3] = driver._VERSION
            elif register == 0x4000:
                into[3] = 0x0B
            elif register == 0x4200:
                into[3] = 0x07
            elif register == 0x4201:
                into[3] = 0xD0
            elif register >= 0x4120 and register < 0x4126:
                into[3] = driver.mac[register - 0x4120]


# EIR: TXIF; ECON1: RXEN; ESTAT: CLKRDY; EPKTCNT: a frame; EREVID.
_REGISTERS = {0x1C: 0x08, 0x1F: 0x04, 0x1D: 0x01, 0x19: 1, 0x12: 6}
# Where MAADR1 to MAADR6 have the bytes of the address.
_ADDRESS = (4, 5, 2, 3, 0, 1)


class QuietENC28J60(Quiet):
    def write(self, buf):
        pass

    def exchange(self, out, into):
        driver = self.driver
        if self.gone:
            for i in range(len(into)):
                into[i] = 0
        elif out is driver._rx_command:
            n = self.length + 4
            after = driver._state[_NEXT] + 6 + n + (n & 1)
            if after >= 0x1A00:
                after -= 0x1A00
            if self.spoil:
                after ^= 2
            into[1] = after & 0xFF
            into[2] = after >> 8
            into[3] = n & 0xFF
            into[4] = n >> 8
            into[5] = 0x80
        elif len(into) == 2:
            register = out[0]
            into[1] = _REGISTERS.get(register, 0)
            if register == 0x1F:
                into[1] |= driver._state[_BANK]
            elif register == 5:
                into[1] = 0x1A  # ETXSTH
        elif len(into) == 3:
            into[2] = 0
            if driver._state[_BANK] == 3 and out[0] < 6:
                into[2] = driver.mac[_ADDRESS.index(out[0])]


def quiet(name, driver):
    """The quiet bus, put under a started driver."""
    kinds = {"enc28j60": QuietENC28J60, "w6100": QuietW6100}
    return kinds.get(name, QuietWIZnet)(driver)
