"""smolmpy/phy/lan9118.py against a strict model of the chip, in this process.

On CPython `ptr32(base)` is `base`, which is the model. Viper, the words in assembly and what the
emulator makes of the chip are tested on the emulated board (test_firmware.py).
"""

import pytest

from smolmpy.phy.lan9118 import LAN9118
from tests.models import lan9118 as chip
from tests.models.kit import BROADCAST, MAC, OTHER, frame
from tests.models.lan9118 import LAN9118Model, Misuse

GROUP = b"\x01\x00\x5e\x00\x00\xfb"
LENGTHS = [14, 15, 16, 17, 18, 19, 59, 60, 61, 62, 63, 64, 590, 1511, 1512, 1513, 1514]


def _buffer(room=1514):
    return memoryview(bytearray(room + 2 + 2))[2 : 2 + room]


class Words(LAN9118):
    """Takes every buffer for aligned, as a board does: its tail is then words."""

    def _use(self, buf):
        known = LAN9118._use(self, buf)
        if known[2]:
            return known
        words = memoryview(buf)[2 : 2 + (len(buf) - 2) // 4 * 4].cast("I")
        known = (buf, words, True, len(buf))
        self._known[-1] = known
        return known


@pytest.fixture(params=[LAN9118, Words], ids=["bytes", "words"])
def driver(request):
    model = LAN9118Model()
    driver = request.param(model, MAC)
    driver.model = model
    driver.rx = _buffer()
    driver.tx = _buffer()
    return driver


def _receive(driver):
    n = driver.receive(driver.rx)
    return bytes(driver.rx[:n]) if n > 0 else n


def _send(driver, data):
    driver.tx[: len(data)] = data
    return driver.transmit(driver.tx, len(data))


def test_start(driver):
    model = driver.model
    assert model.mac[chip.ADDRL] == 0x00000002
    assert model.mac[chip.ADDRH] == 0x0100
    assert model.mac[chip.MAC_CR] & 0xFFFF == chip.RXEN | chip.TXEN
    assert model.regs[chip.INT_EN] == 0
    assert model.phy[0] & 0x1200 == 0x1200, "negotiation is on and was started"
    assert driver.mac == MAC and driver.mtu == 1500
    assert not any(driver.counters().values())


@pytest.mark.parametrize("mac", [b"\1\0\0\0\0\1", bytes(6), b"\2\0\0\0\0"])
def test_a_bad_address_is_refused(mac):
    with pytest.raises(ValueError, match="mac"):
        LAN9118(LAN9118Model(), mac)


def test_the_address_of_the_eeprom():
    mac = b"\x9e\xab\xcd\xef\x12\x34"
    assert LAN9118(LAN9118Model(mac), None).mac == mac
    with pytest.raises(OSError):
        LAN9118(LAN9118Model(), None)


def test_no_chip_says_what_to_look_at():
    for value in (0, 0xFFFFFFFF, 0x21436587):
        model = LAN9118Model()
        model.byte_test = value
        with pytest.raises(OSError, match=f"BYTE_TEST is 0x{value:08x}.*address"):
            LAN9118(model, MAC)
    model = LAN9118Model()
    model.ident = 0x93110000
    with pytest.raises(OSError, match="ID_REV is 0x93110000"):
        LAN9118(model, MAC)


@pytest.mark.parametrize("what", ["reset", "mac", "mii", "phy"])
def test_a_chip_that_hangs_does_not_hang_the_program(what):
    model = LAN9118Model()
    model.stuck.add(what)
    with pytest.raises(OSError) as raised:
        LAN9118(model, MAC)
    assert raised.value.args[0] == 110
    assert model.reads < 3_000_000


def test_a_sleeping_chip_is_woken():
    model = LAN9118Model()
    model.asleep = True
    LAN9118(model, MAC)


@pytest.mark.parametrize("n", LENGTHS)
def test_receive(driver, n):
    for seed in range(3):
        data = frame(n, seed)
        assert driver.model.arrive(data)
        driver.rx[:] = b"\xaa" * len(driver.rx)
        assert _receive(driver) == data
        assert bytes(driver.rx[n:]) == b"\xaa" * (len(driver.rx) - n), "wrote behind the frame"
    assert _receive(driver) == 0
    assert not driver.model.rx_words and not driver.model.regs[chip.INT_STS]


def test_receive_writes_nothing_outside_the_buffer():
    for kind in (LAN9118, Words):
        for n in LENGTHS:
            model = LAN9118Model()
            driver = kind(model, MAC)
            whole = bytearray(b"\xaa" * (n + 12))
            buf = memoryview(whole)[6 : 6 + n]
            assert model.arrive(frame(n))
            assert driver.receive(buf) == n
            assert whole[:6] == whole[6 + n :] == b"\xaa" * 6


def test_frames_queue_in_order(driver):
    frames = [frame(LENGTHS[i % len(LENGTHS)], i) for i in range(12)]
    for data in frames:
        assert driver.model.arrive(data)
    assert [_receive(driver) for _ in frames] == frames


@pytest.mark.parametrize("error", [0x2, 0x40, 0x80, 0x800])
def test_frames_with_errors_are_dropped_and_counted(driver, error):
    driver.model.arrive(frame(100, 1), error)
    driver.model.arrive(frame(100, 2))
    assert _receive(driver) == -5
    assert _receive(driver) == frame(100, 2)
    counters = driver.counters()
    assert counters["rx_errors"] == 1
    assert counters["rx_crc_errors"] == (error == 2)


def test_bits_of_the_status_that_are_no_errors(driver):
    for bits in (0x2000, 0x1000, 0x400, 0x20, 0x4):
        driver.model.arrive(frame(80), bits)
        assert _receive(driver) == frame(80)


def test_runts_are_dropped(driver):
    for n in range(6, 14):
        driver.model.arrive(MAC + bytes(n - 6))
        assert _receive(driver) == -5
    driver.model.arrive(frame(64))
    assert _receive(driver) == frame(64)


def test_a_frame_longer_than_the_buffer_is_dropped(driver):
    driver.model.arrive(frame(1515))
    driver.model.arrive(frame(2040))
    driver.model.arrive(frame(60))
    assert [_receive(driver) for _ in range(3)] == [-90, -90, frame(60)]
    assert driver.counters()["rx_too_long"] == 2


@pytest.mark.parametrize("length", [0, 3, 2600, 0x3FFF])
def test_a_fifo_out_of_step_is_dumped(driver, length):
    driver.model.arrive(frame(100), length=length)
    driver.model.arrive(frame(100))
    assert _receive(driver) == -5
    assert driver.counters()["rx_restarts"] == 1
    assert _receive(driver) == 0
    assert driver.model.arrive(frame(200))
    assert _receive(driver) == frame(200)


def test_a_receiver_that_does_not_stop_does_not_hang(driver):
    driver.model.stuck.add("rx stop")
    driver.model.arrive(frame(100), length=0)
    with pytest.raises(Misuse, match="RX_DUMP"):  # the model's word; the chip would go on
        _receive(driver)


def test_a_receive_error_restarts_the_receiver(driver):
    driver.model.regs[chip.INT_STS] = chip.RXE
    assert _receive(driver) == 0
    assert driver.counters()["rx_restarts"] == 1
    assert not driver.model.regs[chip.INT_STS]
    assert driver.model.arrive(frame(200))
    assert _receive(driver) == frame(200)


def test_what_the_chip_lost_is_counted(driver):
    taken = 0
    while driver.model.arrive(frame(1000, taken)):
        taken += 1
    driver.model.arrive(frame(1000))
    assert driver.counters()["rx_dropped"] == 2
    assert driver.counters()["rx_dropped"] == 2
    for seed in range(taken):
        assert _receive(driver) == frame(1000, seed)


@pytest.mark.parametrize("n", LENGTHS)
def test_transmit(driver, n):
    for seed in range(3):
        assert _send(driver, frame(n, seed)) == 0
    wanted = [frame(n, seed) + bytes(max(0, 60 - n)) for seed in range(3)]
    assert driver.model.sent == wanted


def test_transmit_refuses_nonsense(driver):
    for length in (-1, 0, 13, 1515, 1519, 70000):
        assert driver.transmit(driver.tx, length) == -22
    assert not driver.model.sent and driver.model.command is None


def test_transmit_waits_for_room_and_never_overruns(driver):
    driver.model.line = False
    taken = 0
    while _send(driver, frame(1514, taken)) == 0:
        taken += 1
    assert taken == 3
    assert _send(driver, frame(1514)) == -11
    assert _send(driver, frame(20, 9)) == -11 or driver.model.room() >= 0
    driver.model.line = True
    assert _send(driver, frame(60, 5)) == 0
    assert driver.model.sent[:3] == [frame(1514, seed) for seed in range(3)]
    assert driver.counters()["tx_restarts"] == 0


def test_a_transmitter_that_hangs_is_restarted(driver):
    driver.model.line = False
    while _send(driver, frame(1514)) == 0:
        pass
    driver.model.time = 0xFFFFFF00  # the counter wraps meanwhile
    driver._state[4] = 0
    assert _send(driver, frame(1514)) == -11
    driver.model.time = (driver.model.time + 6_200_000) & 0xFFFFFFFF
    assert _send(driver, frame(1514)) == -11
    assert driver.counters()["tx_restarts"] == 0
    driver.model.time += 100_000
    assert _send(driver, frame(1514)) == -11
    assert driver.counters()["tx_restarts"] == 1
    driver.model.line = True
    driver.model.sent.clear()
    assert _send(driver, frame(99)) == 0
    assert driver.model.sent == [frame(99)]


def test_a_transmit_error_restarts_the_transmitter(driver):
    driver.model.regs[chip.INT_STS] = chip.TXE
    assert _receive(driver) == 0
    assert driver.counters()["tx_restarts"] == 1
    assert _send(driver, frame(99)) == 0
    assert driver.model.sent == [frame(99)]


def test_transmit_status_is_read_and_counted(driver):
    driver.model.tx_status = 0x100 | 3 << 3  # excessive collisions
    _send(driver, frame(60))
    driver.model.tx_status = 2 << 3
    _send(driver, frame(60))
    _send(driver, frame(60))
    counters = driver.counters()
    assert (counters["tx_errors"], counters["tx_collisions"]) == (1, 5)
    for _ in range(300):
        assert _send(driver, frame(60)) == 0
    assert len(driver.model.tx_stats) < 3


def test_one_buffer_each_way_and_answers_in_place(driver):
    """An interface may send the buffer that it has received into, and others in turn."""
    for seed in range(5):
        driver.model.arrive(frame(77, seed))
        assert driver.receive(driver.rx) == 77
        assert driver.transmit(driver.rx, 77) == 0
        assert _send(driver, frame(78, seed)) == 0
    assert driver.model.sent[0::2] == [frame(77, seed) for seed in range(5)]
    assert len(driver._known) == 2, "prepared once each"


def test_many_buffers_are_not_kept_for_ever(driver):
    for seed in range(30):
        driver.rx = _buffer()
        driver.model.arrive(frame(77, seed))
        assert _receive(driver) == frame(77, seed)
    assert len(driver._known) <= 8


def test_multicast():
    for multicast in (True, False):
        model = LAN9118Model()
        LAN9118(model, MAC, multicast)
        assert model.arrive(frame(60, to=GROUP)) == multicast
        assert model.arrive(frame(60, to=BROADCAST))
        assert not model.arrive(frame(60, to=OTHER))


def test_link(driver):
    model = driver.model
    assert driver.link() is True
    model.partner = None
    assert driver.link() is False
    model.partner = 0x45E1
    driver.model.lost_link = True  # it latches
    assert driver.link() is True


def test_duplex_follows_the_partner(driver):
    model = driver.model
    for ability, full in ((0x1E1, True), (0xA1, False), (0x61, True), (0x21, False)):
        model.partner = None
        driver.link()
        model.partner = ability
        assert driver.link()
        assert bool(model.mac[chip.MAC_CR] & chip.FDPX) == full, hex(ability)
        assert model.mac[chip.MAC_CR] & 0xC == 0xC


def test_link_revives_a_chip_that_was_reset(driver):
    driver.link()
    driver.model.reset()
    assert driver.link() is False
    assert driver.link() is True
    assert driver.counters()["resets"] == 1
    assert driver.model.arrive(frame(60))
    assert _receive(driver) == frame(60)


def test_close(driver):
    driver.close()
    assert not driver.model.arrive(frame(60))
    assert not driver.model.mac[chip.MAC_CR] & 0xC


def test_a_stall_counts_from_its_own_begin(driver):
    model = driver.model
    for _ in range(3):
        model.line = False
        while _send(driver, frame(1514)) == 0:
            pass
        model.time += 5_000_000  # 200 ms
        assert _send(driver, frame(1514)) == -11
        model.line = True
        assert _send(driver, frame(60)) == 0
        model.time += 5_000_000
    assert driver.counters()["tx_restarts"] == 0
