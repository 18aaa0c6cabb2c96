"""The chip models refuse what the data sheets forbid; each test names the section it comes from.

These tests speak to a model as a host would, in bytes, and use no driver.
"""

import pytest

from tests.models.enc28j60 import ENC28J60Model
from tests.models.spi import ModelError
from tests.models.w5100s import W5100SModel
from tests.models.w5500 import W5500Model
from tests.models.w6100 import W6100Model


def transfer(model, out):
    """One transaction: sends `out`, returns what came back."""
    answer = bytearray(len(out))
    model.cs(0)
    model.write_readinto(bytes(out), answer)
    model.cs(1)
    return answer


def refuses(section):
    return pytest.raises(ModelError, match=section)


# ---- W5500 ----


class W5500Host:
    def __init__(self):
        self.model = W5500Model()
        self.model.advance(1000)

    def read(self, block, at, n=1):
        return transfer(self.model, bytes((at >> 8, at & 0xFF, block << 3)) + bytes(n))[3:]

    def write(self, block, at, *values):
        transfer(self.model, bytes((at >> 8, at & 0xFF, block << 3 | 4, *values)))

    def word(self, at):
        high, low = self.read(1, at, 2)
        return high << 8 | low

    def set_word(self, at, value):
        self.write(1, at, value >> 8, value & 0xFF)

    def open(self, mode=0x04):
        for n in range(7, -1, -1):
            self.write(n * 4 + 1, 0x1E, 0 if n else 16)
            self.write(n * 4 + 1, 0x1F, 0 if n else 16)
        self.write(1, 0, mode)
        self.write(1, 1, 0x01)
        assert self.read(1, 3) == b"\x42"

    def send(self, frame):
        at = self.word(0x24)
        self.write(2, at, *frame)
        self.set_word(0x24, (at + len(frame)) & 0xFFFF)
        self.write(1, 1, 0x20)


FRAME = bytes((2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0)) + bytes(range(86))


@pytest.fixture
def w5500():
    return W5500Host()


def test_w5500_version_and_reset_values(w5500):
    """4.1 VERSIONR, RTR, RCR; 4.2 Sn_RXBUF_SIZE, Sn_IMR."""
    assert w5500.read(0, 0x39) == b"\x04"
    assert w5500.read(0, 0x19, 3) == b"\x07\xd0\x08"
    assert w5500.read(1, 0x1E, 2) == b"\x02\x02"
    assert w5500.read(5, 0x2C) == b"\xff"


def test_w5500_address_counts_up(w5500):
    """2.3.1: the offset address counts up with each byte of a frame."""
    w5500.write(0, 0x09, 1, 2, 3, 4, 5, 6)
    assert w5500.read(0, 0x09, 6) == bytes((1, 2, 3, 4, 5, 6))
    assert w5500.read(0, 0x0B, 2) == b"\x03\x04"


def test_w5500_spi_frame(w5500):
    with refuses("2.2 SPI frame"):
        transfer(w5500.model, b"\0\0")
    with refuses("2.4 FDM"):
        transfer(w5500.model, b"\0\0\x01\0")
    with refuses("2.2.2"):
        w5500.read(4, 0)
    with refuses("chip select"):
        w5500.model.write(b"\0")


def test_w5500_reserved_and_read_only_registers(w5500):
    for at in (0x3A, 0x1000):
        with refuses("3.1"):
            w5500.read(0, at)
    with refuses("3.1"):
        w5500.write(0, 0x30, 0)
    with refuses("4.1"):
        w5500.write(0, 0x39, 4)
    with refuses("3.2"):
        w5500.read(1, 0x30)
    with refuses("3.2"):
        w5500.write(1, 0x14, 0)
    for at in (0x03, 0x20, 0x23, 0x26, 0x2B):
        with refuses("4.2"):
            w5500.write(1, at, 0)


def test_w5500_macraw_only_on_socket_0(w5500):
    """4.2 Sn_MR: MACRAW is for socket 0."""
    w5500.write(5, 0, 4)
    with refuses("4.2 Sn_MR"):
        w5500.write(5, 1, 0x01)


def test_w5500_buffer_sizes(w5500):
    """4.2 Sn_RXBUF_SIZE: 0, 1, 2, 4, 8 or 16, and 16 in all."""
    with refuses("RXBUF_SIZE"):
        w5500.write(1, 0x1E, 3)
    w5500.write(1, 0x1E, 16)
    w5500.write(1, 0, 4)
    with refuses("RXBUF_SIZE"):
        w5500.write(1, 1, 0x01)


def test_w5500_commands(w5500):
    """4.2 Sn_CR."""
    with refuses("Sn_CR"):
        w5500.write(1, 1, 0x77)
    w5500 = W5500Host()
    w5500.open()
    with refuses("Sn_CR"):
        w5500.write(1, 1, 0x01)
    with refuses("Sn_CR"):
        W5500Host().write(1, 1, 0x40)


def test_w5500_command_register_clears_itself(w5500):
    """4.2 Sn_CR: 0 once it was taken; a command before that is lost, and refused here."""
    w5500.open()
    model = w5500.model
    model.host_ns = 0
    model.byte_ns = 10
    w5500.write(1, 1, 0x40)
    assert w5500.read(1, 1) == b"\x40"
    with refuses("Sn_CR"):
        w5500.write(1, 1, 0x40)
    model.advance(1)
    assert w5500.read(1, 1) == b"\0"


def test_w5500_transmit(w5500):
    """4.2 Sn_TX_FSR, Sn_TX_RD, Sn_TX_WR, Sn_IR SENDOK."""
    w5500.open()
    w5500.model.mbps = 10
    assert w5500.word(0x20) == 16384
    w5500.send(FRAME)
    assert w5500.word(0x20) == 16384 - 100
    assert w5500.read(1, 2) == b"\0"
    w5500.model.advance(100)
    assert w5500.read(1, 2) == b"\x10"
    assert w5500.word(0x22) == w5500.word(0x24) == 100
    assert w5500.model.sent == [FRAME]
    w5500.write(1, 2, 0x10)
    assert w5500.read(1, 2) == b"\0"


def test_w5500_transmit_memory_wraps(w5500):
    """3.3: a 16-bit address, of which the chip uses what its buffer has."""
    w5500.open()
    for n in range(200):
        w5500.send(FRAME)
        w5500.model.advance(50)
        assert w5500.model.sent[-1] == FRAME, n


def test_w5500_what_may_not_be_sent(w5500):
    w5500.open()
    w5500.model.mbps = 10
    w5500.send(FRAME)
    with refuses("SENDOK"):
        w5500.send(FRAME)
    with refuses("1514"):
        host = W5500Host()
        host.open()
        host.send(bytes(1515))
    with refuses("Sn_TX_WR"):
        host = W5500Host()
        host.open()
        host.set_word(0x24, 100)
        host.write(1, 1, 0x20)
    with refuses("Sn_TX_FSR"):
        w5500.write(2, 50, 1)
    with refuses("3.3"):
        w5500.write(3, 0, 1)


def test_w5500_receive(w5500):
    """4.2 Sn_RX_RSR, Sn_RX_RD: two bytes of length, which count themselves, then the frame."""
    w5500.open()
    assert w5500.model.inject(FRAME)
    assert w5500.word(0x26) == 102 and w5500.word(0x2A) == 102
    assert w5500.read(3, 0, 102) == b"\0\x66" + FRAME
    w5500.set_word(0x28, 102)
    assert w5500.word(0x26) == 102  # until RECV
    w5500.write(1, 1, 0x40)
    assert w5500.word(0x26) == 0
    w5500.set_word(0x28, 103)
    with refuses("Sn_RX_RD"):
        w5500.write(1, 1, 0x40)


def test_w5500_receive_overrun(w5500):
    """4.2 Sn_RXBUF_SIZE: what does not fit is dropped whole."""
    w5500.open()
    kept = 0
    while w5500.model.inject(bytes(1514)):
        kept += 1
    assert kept == 10 and w5500.word(0x26) == 15160
    assert w5500.model.inject(bytes(1000))


def test_w5500_interrupt(w5500):
    """4.1 SIR, SIMR; 4.2 Sn_IR, Sn_IMR: low while a bit of both is 1, cleared by writing a 1."""
    w5500.open()
    w5500.write(1, 0x2C, 0x04)
    w5500.model.inject(FRAME)
    assert w5500.read(0, 0x17) == b"\x01" and w5500.model.intn() == 1
    w5500.write(0, 0x18, 1)
    assert w5500.model.intn() == 0
    w5500.write(1, 2, 0x10)
    assert w5500.model.intn() == 0
    w5500.write(1, 2, 0x04)
    assert w5500.model.intn() == 1 and w5500.read(0, 0x17) == b"\0"


def test_w5500_filters():
    """4.2 Sn_MR: MFEN, BCASTB, MMB, MIP6B."""
    own = FRAME
    other = b"\x02\0\0\0\0\x09" + FRAME[6:]
    everyone = b"\xff" * 6 + FRAME[6:]
    group = b"\x01\0\x5e\0\0\x01" + FRAME[6:]
    six = FRAME[:12] + b"\x86\xdd" + FRAME[14:]
    for mode, passes in (
        (0x04, (1, 1, 1, 1, 1)),
        (0x84, (1, 0, 1, 1, 1)),
        (0xA4, (1, 0, 1, 0, 1)),
        (0xC4, (1, 0, 0, 1, 1)),
        (0x94, (1, 0, 1, 1, 0)),
    ):
        host = W5500Host()
        host.write(0, 0x09, *FRAME[:6])
        host.open(mode)
        frames = (own, other, everyone, group, six)
        assert tuple(int(host.model.inject(frame)) for frame in frames) == passes, hex(mode)


def test_w5500_reset(w5500):
    """4.1 MR RST: everything as after power-on; clears itself."""
    w5500.open()
    w5500.model.host_ns = 0
    w5500.write(0, 0, 0x80)
    assert w5500.read(0, 0) == b"\x80"
    w5500.model.advance(100)
    assert w5500.read(0, 0) == b"\0"
    assert w5500.read(1, 3) == b"\0"


def test_w5500_reset_takes_time(w5500):
    """ESP-IDF, w5500_reset and w5500_verify_id: MR first, then VERSIONR, are waited for."""
    w5500.model.reset_ns = 100 * 1000000
    w5500.write(0, 0, 0x80)
    w5500.model.advance(90000)
    assert w5500.read(0, 0) == b"\x80" and w5500.read(0, 0x39) == b"\0"
    w5500.write(0, 0x09, 2)  # lost
    w5500.model.advance(20000)
    assert w5500.read(0, 0) == b"\0" and w5500.read(0, 0x39) == b"\x04"
    assert w5500.read(0, 0x09) == b"\0"


def test_w5500_reset_pin(w5500):
    """5.5.1: at least 0.5 ms low; then 1 ms until the PLL has locked."""
    w5500.write(0, 0x09, 2)
    model = w5500.model
    model.rst(0)
    assert w5500.read(0, 0x39) == b"\0"
    model.advance(600)
    model.rst(1)
    assert w5500.read(0, 0x39) == b"\0"
    model.advance(1100)
    assert w5500.read(0, 0x39) == b"\x04" and w5500.read(0, 0x09) == b"\0"
    model = W5500Host().model
    model.rst(0)
    with refuses("reset timing"):
        model.rst(1)


def test_w5500_the_end_of_sending_and_a_slow_host(w5500):
    """Sn_IR follows the line, not the host: what is cleared after SEND may be the new SENDOK."""
    w5500.open()
    w5500.model.byte_ns = 8000
    w5500.write(2, 0, *FRAME[:60])
    w5500.set_word(0x24, 60)
    w5500.write(1, 1, 0x20, 0x10)
    w5500.model.advance(1000)
    assert w5500.model.sent and w5500.read(1, 2) == b"\0"


def test_w5500_ping_block(w5500):
    """4.1 MR.PB."""
    ping = FRAME[:23] + b"\x01" + FRAME[24:30] + bytes(4) + FRAME[34:]
    w5500.open()
    assert w5500.model.inject(ping) and w5500.model.own_answers == 1
    w5500.write(0, 0, 0x10)
    assert w5500.model.inject(ping) and w5500.model.own_answers == 1


def test_w5500_hangs(w5500):
    """What helps against a transmitter that has stopped, by level."""
    for level in (1, 2, 3):
        host = W5500Host()
        model = host.model
        host.open()
        host.send(FRAME)
        model.hang(level)
        model.advance(1000)
        assert not model.sent
        host.write(1, 1, 0x10)
        assert bool(model.hung) == (level > 1)
        host.write(0, 0, 0x80)
        assert bool(model.hung) == (level > 2)
        model.rst(0)
        model.advance(1000)
        model.rst(1)
        assert not model.hung
    w5500.open()
    w5500.model.hang(1, 500)
    w5500.write(1, 1, 0x10)
    assert w5500.model.hung
    w5500.model.advance(500000)
    w5500.write(1, 1, 0x10)
    assert not w5500.model.hung


def test_w5500_phy(w5500):
    """4.1 PHYCFGR: RST, OPMD and OPMDC, then duplex, speed, link."""
    assert w5500.read(0, 0x2E) == b"\xbf"
    w5500.model.mbps = 10
    assert w5500.read(0, 0x2E) == b"\xbd"
    w5500.model.linked = False
    assert w5500.read(0, 0x2E) == b"\xb8"


# ---- W5100S ----


class W5100SHost:
    def __init__(self):
        self.model = W5100SModel()
        self.model.advance(1000)

    def read(self, at, n=1):
        return transfer(self.model, bytes((0x0F, at >> 8, at & 0xFF)) + bytes(n))[3:]

    def write(self, at, *values):
        transfer(self.model, bytes((0xF0, at >> 8, at & 0xFF, *values)))

    def open(self):
        self.write(0x1A, 3)
        self.write(0x1B, 3)
        self.write(0x400, 4)
        self.write(0x401, 1)
        assert self.read(0x403) == b"\x42"


def test_w5100s_opcodes_and_addresses():
    """SPI operation; memory map."""
    host = W5100SHost()
    assert host.read(0x80) == b"\x51"
    with refuses("opcode"):
        transfer(host.model, b"\x0e\0\0\0")
    for at in (0x90, 0x800, 0x3FFF, 0x8000):
        with refuses("reserved|Memory map"):
            W5100SHost().read(at)
    with refuses("Memory map"):
        W5100SHost().write(0x6000, 1)
    with refuses("read-only"):
        W5100SHost().write(0x80, 1)


def test_w5100s_buffers_do_not_wrap():
    """Memory map: 0x7FFF is the last byte of the receive memory."""
    host = W5100SHost()
    host.open()
    host.read(0x7FFE, 2)
    with refuses("Memory map"):
        host.read(0x7FFE, 3)
    with refuses("Memory map"):
        host.write(0x5FFF, 1, 2)


def test_w5100s_memory_sizes():
    """RMSR, TMSR: two bits a socket, in order, as long as there is memory."""
    host = W5100SHost()
    assert host.read(0x1A, 2) == b"\x55\x55"
    host.open()
    assert host.read(0x420, 2) == b"\x20\0"
    assert host.read(0x51E) == b"\0"
    with refuses("RMSR"):
        host.write(0x1A, 0x55)


def test_w5100s_receive_over_the_end():
    """Sn_RX_RD: the host takes the address modulo the size."""
    host = W5100SHost()
    host.open()
    at = 0
    for _ in range(7):
        host.model.inject(bytes(1200))
        at += 1202
        host.write(0x428, at >> 8, at & 0xFF)
        host.write(0x401, 0x40)
    host.model.inject(FRAME)
    start = at % 8192
    assert host.read(0x6000 + start, 102) == b"\0\x66" + FRAME


def test_w5100s_mode_register():
    """0x03 after a reset (Adafruit_CircuitPython_Wiznet5k, sw_reset)."""
    host = W5100SHost()
    assert host.read(0) == b"\x03"
    host.model.host_ns = 0
    host.write(0, 0x80)
    assert host.read(0) == b"\x80"
    host.model.advance(1000)
    assert host.read(0) == b"\x03"


def test_w5100s_network_lock():
    """NETLCKR (Zephyr, eth_w5100s.c): 0x3A opens it."""
    host = W5100SHost()
    host.write(0x09, 2)
    host.write(0x71, 0xC5)
    host.write(0x09, 4)
    assert host.read(0x09) == b"\x02"
    host.write(0x71, 0x3A)
    host.write(0x09, 4)
    assert host.read(0x09) == b"\x04"


def test_w5100s_interrupt_enable():
    """MR2.G_IEN (WIZnet's ioLibrary)."""
    host = W5100SHost()
    host.open()
    host.write(0x16, 1)
    host.model.inject(FRAME)
    assert host.model.intn() == 1
    host.write(0x30, 0x40)
    assert host.model.intn() == 0


# ---- W6100 ----


class W6100Host(W5500Host):
    def __init__(self):
        self.model = W6100Model()
        self.model.advance(1000)

    def open(self, mode=0x07):
        for n in range(7, -1, -1):
            self.write(n * 4 + 1, 0x220, 0 if n else 16)
            self.write(n * 4 + 1, 0x200, 0 if n else 16)
        self.write(1, 0, mode)
        self.write(1, 0x10, 0x01)
        assert self.read(1, 0x30) == b"\x42"


def test_w6100_registers():
    """Which are there, and which may be read or written."""
    host = W6100Host()
    assert host.read(0, 0, 4) == b"\x61\0\x46\x61"
    assert host.read(0, 0x4200, 2) == b"\x07\xd0"
    assert host.read(1, 0x200) == host.read(1, 0x220) == b"\x02"
    for at, why in ((0x18, "not there"), (0x2004, "write-only"), (0x5000, "not there")):
        with refuses(why):
            W6100Host().read(0, at)
    for at, why in ((0, "read-only"), (0x2000, "read-only"), (0x18, "not there")):
        with refuses(why):
            W6100Host().write(0, at, 1)
    for at, why in ((0x20, "read-only"), (0x11, "not there"), (0x02, "not there")):
        with refuses(why):
            W6100Host().write(1, at, 1)


def test_w6100_locks():
    """SYSR tells of them; SHAR is written behind NETLCKR, and SYCR0 behind CHPLCKR."""
    host = W6100Host()
    assert host.read(0, 0x2000) == b"\xe1"
    host.write(0, 0x4120, 2)
    assert host.read(0, 0x4120) == b"\0"
    host.write(0, 0x41F5, 0x3A)
    assert host.read(0, 0x2000) == b"\xa1"
    host.write(0, 0x4120, 2)
    host.write(0, 0x41F5, 0xC5)
    assert host.read(0, 0x4120) == b"\x02" and host.read(0, 0x2000) == b"\xe1"
    host.write(0, 0x2004, 0)
    host.model.advance(1000)
    assert host.read(0, 0x4120) == b"\x02"
    host.write(0, 0x41F4, 0xCE)
    host.write(0, 0x2004, 0x80)
    host.model.advance(1000)
    assert host.read(0, 0x4120) == b"\x02"
    host.write(0, 0x2004, 0)
    host.model.advance(1000)
    assert host.read(0, 0x4120) == b"\0" and host.read(0, 0x2000) == b"\xe1"


def test_w6100_sends_and_receives():
    """Protocol 7; Sn_IR is cleared by Sn_IRCLR; a frame goes round the end of the ring."""
    with refuses("protocol 4"):
        W6100Host().open(0x04)
    host = W6100Host()
    host.open()
    for n in range(14):
        assert host.model.inject(bytes(1200))
        at = (n + 1) * 1202
        host.write(1, 0x228, at >> 8, at & 0xFF)
        host.write(1, 0x10, 0x40)
        host.model.advance(10)
    assert host.model.inject(FRAME)
    at = 14 * 1202
    assert host.read(3, at, 102) == b"\0\x66" + FRAME
    assert host.read(1, 0x224, 2) == b"\0\x66" and host.read(1, 0x22C, 2) == bytes(
        ((at + 102) >> 8, (at + 102) & 0xFF)
    )
    host.write(2, 0, *FRAME)
    host.write(1, 0x20C, 0, 100)
    host.write(1, 0x10, 0x20)
    host.model.advance(100)
    assert host.model.sent == [FRAME]
    assert host.read(1, 0x20) == b"\x14"
    host.write(1, 0x28, 0x10)
    assert host.read(1, 0x20) == b"\x04"


def test_w6100_interrupt():
    """SYCR1.IEN, SIMR, Sn_IMR: all of them."""
    host = W6100Host()
    host.open()
    host.model.inject(FRAME)
    assert host.model.intn() == 1
    host.write(0, 0x2114, 1)
    assert host.model.intn() == 0
    host.write(0, 0x2005, 0)
    assert host.model.intn() == 1
    host.write(0, 0x2005, 0x80)
    host.write(1, 0x24, 0x10)
    assert host.model.intn() == 1


def test_w6100_filters():
    """Sn_MR: MF, MMB, MMB6, BRDB."""
    groups = b"\x01\0\x5e\0\0\1", b"\x33\x33\0\0\0\1"
    ours, others, everybody = bytes(6), b"\2\0\0\0\0\2", b"\xff" * 6
    for mode, passed in (
        (0x07, (True, True, True, True, True)),
        (0x87, (True, True, True, False, True)),
        (0xA7, (False, True, True, False, True)),
        (0x97, (True, False, True, False, True)),
        (0x47, (True, True, True, True, False)),
    ):
        host = W6100Host()
        host.open(mode)
        frames = [to + bytes(60) for to in (*groups, ours, others, everybody)]
        assert tuple(host.model.inject(frame) for frame in frames) == passed, mode


# ---- ENC28J60 ----

EIR, ECON2, ECON1 = 0x1C, 0x1E, 0x1F


class ENC28J60Host:
    def __init__(self):
        self.model = ENC28J60Model()

    def read(self, at):
        return transfer(self.model, bytes((at, 0)))[1]

    def read_mac(self, at):
        return transfer(self.model, bytes((at, 0, 0)))[2]

    def write(self, at, value):
        transfer(self.model, bytes((0x40 | at, value)))

    def set(self, at, bits):
        transfer(self.model, bytes((0x80 | at, bits)))

    def clear(self, at, bits):
        transfer(self.model, bytes((0xA0 | at, bits)))

    def bank(self, n):
        self.clear(ECON1, 3)
        self.set(ECON1, n)

    def word(self, at, value):
        self.write(at, value & 0xFF)
        self.write(at + 1, value >> 8)

    def phy(self, register, value):
        self.bank(2)
        self.write(0x14, register)
        self.word(0x16, value)
        self.model.advance(11)

    def read_phy(self, register):
        self.bank(2)
        self.write(0x14, register)
        self.write(0x12, 1)
        self.model.advance(11)
        self.write(0x12, 0)
        return self.read_mac(0x18) | self.read_mac(0x19) << 8

    def start(self):
        """Chapter 6, half duplex."""
        self.bank(2)
        self.write(0x00, 0x01)
        self.write(0x02, 0x32)
        self.write(0x03, 0x40)
        self.write(0x04, 0x12)
        self.word(0x06, 0x0C12)
        self.word(0x0A, 1518)
        self.phy(0x10, 0x0100)
        self.bank(3)
        for at, value in zip((4, 5, 2, 3, 0, 1), FRAME[:6], strict=True):
            self.write(at, value)
        self.bank(0)
        self.word(0x08, 0)
        self.word(0x0A, 0x19FF)
        self.word(0x0C, 0x19FF)
        self.word(0x04, 0x1A00)
        self.set(ECON1, 0x04)
        return self

    def load(self, frame):
        self.word(0x02, 0x1A00)
        transfer(self.model, b"\x7a\0" + frame)
        self.word(0x06, 0x1A00 + len(frame))


@pytest.fixture
def enc():
    return ENC28J60Host().start()


def test_enc28j60_opcodes():
    """4.2, table 4-1."""
    for op in (0x3B, 0x7B, 0x20, 0x60, 0xC0, 0xE0):
        with refuses("table 4-1"):
            transfer(ENC28J60Host().model, bytes((op, 0)))
    with refuses("4.2.3"):
        transfer(ENC28J60Host().model, b"\x40\0\0")


def test_enc28j60_banks():
    """3.1, table 3-1: the same address is another register; some in all banks, some in none."""
    host = ENC28J60Host()
    host.write(0x00, 0x55)
    host.bank(1)
    assert host.read(0x00) == 0
    assert host.read(ECON2) == 0x80
    host.bank(3)
    assert host.read(0x12) == 6  # EREVID
    host.bank(0)
    assert host.read(0x00) == 0x55
    for bank, at in ((0, 0x18), (1, 0x12), (2, 0x01), (3, 0x0B)):
        host = ENC28J60Host()
        host.bank(bank)
        with refuses("table 3-1"):
            host.read(at)


def test_enc28j60_dummy_byte(enc):
    """4.2.1, figure 4-4: MAC and MII registers send a dummy byte first."""
    enc.bank(2)
    assert enc.read_mac(0x04) == 0x12
    with refuses("4.2.1"):
        enc.read(0x04)


def test_enc28j60_bit_field_instructions(enc):
    """4.2.5, 4.2.6: on ETH registers only."""
    enc.bank(2)
    with refuses("4.2.5"):
        enc.set(0x00, 1)
    with refuses("4.2.5"):
        enc.clear(0x12, 1)


def test_enc28j60_reset():
    """4.2.7; DS80349C module 2: a millisecond, of which ESTAT.CLKRDY does not tell."""
    host = ENC28J60Host().start()
    transfer(host.model, b"\xff")
    with refuses("module 2"):
        host.read(0x1D)
    host.model.advance(1500)
    assert host.read(ECON1) == 0


def test_enc28j60_receive_pointers(enc):
    """3.2.1, 6.1; DS80349C modules 5 and 14."""
    with refuses("3.2.1"):
        enc.word(0x0A, 0x0FFF)
    with refuses("3.2.1"):
        enc.write(0x0E, 0)
    with refuses("module 14"):
        enc.word(0x0C, 0x0010)
    with refuses("6.1"):
        enc.word(0x0C, 0x1B01)
    host = ENC28J60Host()
    host.word(0x08, 0x0100)
    host.word(0x0A, 0x19FF)
    with refuses("module 5"):
        host.set(ECON1, 0x04)


def test_enc28j60_receives(enc):
    """7.2.2, figure 7-3: next packet, count with FCS, status; then the frame, padded to even."""
    assert enc.model.inject(FRAME + b"!")
    assert not enc.model.inject(bytes(60))
    enc.word(0x00, 0)
    got = transfer(enc.model, b"\x3a" + bytes(6 + 105))[1:]
    assert got[:6] == bytes((112, 0, 105, 0, 0x80, 0))
    assert got[6:107] == FRAME + b"!"
    enc.bank(1)
    assert enc.read(0x19) == 1  # EPKTCNT
    assert enc.read(EIR) & 0x40 == 0  # DS80349C, module 6
    enc.set(ECON2, 0x40)
    assert enc.read(0x19) == 0
    with refuses("7.2.4"):
        enc.set(ECON2, 0x40)


def test_enc28j60_read_pointer_wraps(enc):
    """4.2.2: from ERXND to ERXST, and from 0x1FFF to 0."""
    enc.word(0x00, 0x19FE)
    enc.model.memory[0x19FE:0x1A00] = b"ab"
    enc.model.memory[:2] = b"cd"
    assert transfer(enc.model, b"\x3a" + bytes(4))[1:] == b"abcd"
    enc.word(0x00, 0x1FFF)
    enc.model.memory[0x1FFF] = 0x65
    assert transfer(enc.model, b"\x3a\0\0")[1:] == b"ec"


def test_enc28j60_overflow(enc):
    """7.2.4, 12.1.1: a full ring drops, and sets RXERIF."""
    kept = 0
    while enc.model.inject(FRAME[:14] + bytes(1500)):
        kept += 1
    assert kept == 4
    assert enc.read(EIR) & 1
    enc.clear(EIR, 1)
    assert not enc.read(EIR) & 1


def test_enc28j60_writes_outside_the_transmit_area(enc):
    """3.2.1, 7.1."""
    enc.word(0x02, 0x1000)
    with refuses("3.2.1"):
        transfer(enc.model, b"\x7a\0")
    enc.load(FRAME)
    enc.set(ECON1, 0x08)
    enc.word(0x02, 0x1A10)
    with refuses("7.1"):
        transfer(enc.model, b"\x7a\0")


def test_enc28j60_transmits(enc):
    """7.1, table 7-1: TXIF, and seven bytes of status behind the frame."""
    enc.load(FRAME)
    enc.set(ECON1, 0x08)
    assert enc.read(ECON1) & 8 and not enc.read(EIR) & 8
    enc.model.advance(1000)
    assert not enc.read(ECON1) & 8 and enc.read(EIR) & 8
    assert enc.model.sent == [FRAME]
    enc.word(0x00, 0x1A00 + len(FRAME) + 1)
    vector = transfer(enc.model, b"\x3a" + bytes(7))[1:]
    assert vector[0] == len(FRAME) and vector[2] & 0x80


def test_enc28j60_what_may_not_be_sent(enc):
    for size in (10, 1515):
        enc.load(bytes(size) if size < 1515 else bytes(1500))
        enc.word(0x06, 0x1A00 + size)
        with refuses("7.1"):
            enc.set(ECON1, 0x08)
        enc = ENC28J60Host().start()
    enc.load(FRAME)
    enc.word(0x06, 0x1FFC)
    with refuses("7.1"):
        enc.set(ECON1, 0x08)


def test_enc28j60_stuck_transmitter(enc):
    """DS80349C, module 12: after an abort nothing is sent until TXRST."""
    enc.model.late_collisions = 1
    enc.load(FRAME)
    enc.set(ECON1, 0x08)
    enc.model.advance(1000)
    assert enc.read(EIR) & 2 and enc.read(0x1D) & 2
    enc.clear(EIR, 0x0A)
    enc.clear(0x1D, 0x12)
    enc.set(ECON1, 0x08)
    enc.model.advance(100000)
    assert not enc.model.sent and enc.read(ECON1) & 8
    enc.set(ECON1, 0x80)
    enc.clear(ECON1, 0x88)
    enc.set(ECON1, 0x08)
    enc.model.advance(1000)
    assert enc.model.sent == [FRAME]


def test_enc28j60_abort_is_to_be_forgotten(enc):
    """12.1.3: ESTAT.TXABRT and LATECOL, so that the next abort is seen."""
    enc.model.late_collisions = 1
    enc.load(FRAME)
    enc.set(ECON1, 0x08)
    enc.model.advance(1000)
    enc.set(ECON1, 0x80)
    enc.clear(ECON1, 0x80)
    with refuses("12.1.3"):
        enc.set(ECON1, 0x08)


def test_enc28j60_stopped_transmitter(enc):
    """RIOT, issue 9043: TXRTS stays set, with neither TXIF nor TXERIF, until TXRST; it is the
    host that clears it (module 13, the example)."""
    enc.load(FRAME)
    enc.set(ECON1, 0x08)
    enc.model.hang(1)
    enc.model.advance(100000)
    assert enc.read(ECON1) & 8 and not enc.read(EIR) & 0x0A
    enc.set(ECON1, 0x80)
    enc.clear(ECON1, 0x80)
    assert enc.read(ECON1) & 8
    enc.set(ECON1, 0x08)
    enc.model.advance(1000)
    assert not enc.model.sent
    enc.clear(ECON1, 0x08)
    enc.set(ECON1, 0x08)
    enc.model.advance(1000)
    assert enc.model.sent == [FRAME]


def test_enc28j60_clock():
    """2.2: MAC and MII registers wait for ESTAT.CLKRDY after a reset by the pin."""
    host = ENC28J60Host()
    host.model.rst(0)
    host.model.advance(1)
    host.model.rst(1)
    host.model._reset_at = None
    assert not host.read(0x1D) & 1
    host.bank(2)
    with refuses("CLKRDY"):
        host.read_mac(0x04)
    host.model.advance(300)
    assert host.read(0x1D) & 1
    host.bank(2)
    host.read_mac(0x04)


def test_enc28j60_phy(enc):
    """3.3.1, 3.3.2: through MII, 10.24 us each."""
    assert enc.read_phy(0x02) == 0x0083
    assert enc.read_phy(0x11) == 0x0400
    enc.model.host_ns = 0
    enc.write(0x14, 0x11)
    enc.write(0x12, 1)
    with refuses("3.3.1"):
        enc.read_mac(0x18)
    with refuses("3.3.2"):
        enc.write(0x16, 0)
    with refuses("3.3"):
        ENC28J60Host().phy(0x02, 0)


def test_enc28j60_duplex():
    """6.6: PHY and MAC agree; half duplex wants HDLDIS."""
    host = ENC28J60Host().start()
    host.clear(ECON1, 4)
    host.phy(0x00, 0x0100)
    with refuses("6.6"):
        host.set(ECON1, 4)
    host = ENC28J60Host().start()
    host.clear(ECON1, 4)
    host.phy(0x10, 0)
    with refuses("6.6"):
        host.set(ECON1, 4)


def test_enc28j60_interrupt(enc):
    """12.0: low while INTIE and an enabled flag are set; LINKIF goes when PHIR is read."""
    enc.write(0x1B, 0xC0)
    assert enc.model.intn() == 1
    enc.model.inject(FRAME)
    assert enc.model.intn() == 0
    enc.set(ECON2, 0x40)
    assert enc.model.intn() == 1
    enc.phy(0x12, 0x0012)
    enc.write(0x1B, 0x90)
    enc.model.set_link(False)
    assert enc.model.intn() == 0 and enc.read(EIR) & 0x10
    enc.read_phy(0x13)
    assert enc.model.intn() == 1


# ---- all ----


@pytest.mark.parametrize("level", [0x00, 0xFF])
def test_missing_chip(level):
    """MISO without a driver."""
    model = W5500Model()
    model.stuck = level
    assert transfer(model, b"\0\x39\0\0") == bytes((level,)) * 4


def test_counts():
    model = W5500Model()
    transfer(model, b"\0\x39\0\0")
    transfer(model, b"\0\x19\0\0\0")
    assert (model.bytes, model.transactions) == (9, 2)


def test_a_wire_between_two_models():
    one, two = W5500Host(), W5500Host()
    one.open()
    two.open()
    one.model.connect(two.model)
    one.send(FRAME)
    one.model.advance(100)
    assert two.read(3, 0, 102) == b"\0\x66" + FRAME
