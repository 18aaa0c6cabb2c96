"""A bus without a chip, which allocates nothing: for the proof that a driver does not either.

The models allocate, so under a locked heap a driver that was started with one talks to this. A
frame of `length` bytes always waits and everything is sent at once; `spoil` gives the next header
an absurd length.
"""


class Quiet:
    def __init__(self, driver):
        self.driver = driver
        self.length = 60
        self.spoil = False
        driver._write = self.write
        driver._read = self.readinto
        driver._exchange = self.exchange
        driver._cs = self.cs

    def cs(self, level):
        pass

    def readinto(self, buf):
        buf[0] = 0x5A
        buf[len(buf) - 1] = 0xA5


class QuietWIZnet(Quiet):
    """Knows the driver's commands by identity, and the registers of its burst by place."""

    def __init__(self, driver):
        self.regs = bytearray(47)
        self.regs[3] = driver._mode
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
            if (buf[1] << 8 | buf[2]) & 0x1FFF == driver._state[3] & 0x1FFF:
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
        if into is driver._regs:
            state = driver._state
            self.received((state[3] - state[2]) & 0xFFFF)
            regs = self.regs
            regs[39] = state[4] >> 8
            regs[40] = state[4] & 0xFF
            for i in range(47):
                into[i] = regs[i]
        elif out is driver._rx_command:
            n = 3 if self.spoil else self.length + 2
            into[3] = n >> 8
            into[4] = n & 0xFF
        else:
            register = out[1 + driver._GEOMETRY[0]]
            if register == 3:
                into[3] = self.answer
            elif register == 0:
                into[3] = driver._mode


# EIR: TXIF; ECON1: RXEN; EPKTCNT: a frame.
_REGISTERS = {0x1C: 0x08, 0x1F: 0x04, 0x19: 1}


class QuietENC28J60(Quiet):
    def write(self, buf):
        pass

    def exchange(self, out, into):
        driver = self.driver
        if out is driver._rx_command:
            n = self.length + 4
            after = driver._state[4] + 6 + n + (n & 1)
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


def quiet(name, driver):
    """The quiet bus, put under a started driver."""
    return (QuietENC28J60 if name == "enc28j60" else QuietWIZnet)(driver)
