"""The driver of the ENC28J60, against the model of the chip."""

import chip_scenarios as chip
from tests.models.kit import OTHER, Kit, frame

NAME = "enc28j60"


def test_sizes():
    return chip.sizes(NAME)


def test_bursts():
    return chip.bursts(NAME)


def test_back_to_back():
    return chip.back_to_back(NAME)


def test_limits():
    return chip.limits(NAME)


def test_filters():
    return chip.filters(NAME)


def test_interrupts():
    return chip.interrupts(NAME)


def test_mute_interrupt():
    return chip.mute_interrupt(NAME)


def test_overrun():
    return chip.overrun(NAME)


def test_crossing():
    return chip.crossing(NAME)


def test_stall():
    return chip.stall(NAME)


def test_brown_out():
    return chip.brown_out(NAME)


def test_hang():
    return chip.hang(NAME)


def test_slow_line():
    return chip.slow_line(NAME)


def test_cut_off():
    return chip.cut_off(NAME)


def test_address():
    return chip.address(NAME)


def test_told():
    return chip.told(NAME)


def test_deaf():
    return chip.deaf(NAME)


def test_deaf_asyncio():
    return chip.deaf_asyncio(NAME)


def test_slow_start():
    return chip.slow_start(NAME)


def test_reset_pin():
    return chip.reset_pin(NAME)


def test_bus_errors():
    return chip.bus_errors(NAME)


def test_ctrl_c():
    return chip.ctrl_c(NAME)


def test_closed():
    return chip.closed(NAME)


def test_counters():
    return chip.counters(NAME)


def test_slow_bus():
    return chip.slow_bus(NAME)


def test_clock():
    return chip.clock(NAME)


def test_unplugged():
    return chip.unplugged(NAME)


def test_not_there():
    return chip.not_there(NAME)


def test_no_allocation():
    return chip.no_allocation(NAME)


def test_corrupt_lengths():
    return chip.corrupt_lengths(NAME)


def test_noise():
    return chip.noise(NAME)


def test_link():
    return chip.link(NAME)


def test_late_collisions():
    """Module 13: the frame is sent again, and leaves once; after 16 times it is given up."""
    for interrupt in (False, True):
        k = Kit(NAME, interrupt)
        data = frame(400, 1, OTHER)
        k.model.late_collisions = 3
        assert k.transmit(data) == 0
        for _ in range(5):
            k.model.advance(2000)
            k.driver.receive(k.rx)
        assert k.model.sent == [data] and k.count("tx_late_collisions") == 3
        k.model.late_collisions = 17
        assert k.transmit(data) == 0
        for _ in range(20):
            k.model.advance(2000)
            k.driver.receive(k.rx)
        assert len(k.model.sent) == 1 and k.count("tx_errors") == 1
        assert k.model.intn() == 1
        k.works()


def test_full_duplex():
    k = Kit(NAME, full_duplex=True)
    assert k.driver.full_duplex
    k.works()


def test_link_interrupt():
    """A change of the link is told by the pin, and taken note of without being asked."""
    k = Kit(NAME, True)
    k.model.set_link(False)
    assert k.driver.pending()
    assert k.receive() == 0
    assert not k.driver.pending()
    k.model.reset_counts()
    assert not k.driver.link()
    assert k.model.bytes == 2


def test_many_small_frames():
    """EPKTCNT goes to 255 at most; the ring is full before."""
    k = Kit(NAME)
    count = 0
    while k.model.inject(frame(60, count)):
        count += 1
    assert 80 < count < 100
    k.expect(*[frame(60, n) for n in range(count)])


def test_dead_receiver():
    """Headers that cannot be, time after time, make the driver restart the chip."""
    k = Kit(NAME)

    def spoil(header):
        header[0] ^= 4

    for _ in range(3):
        k.model.headers.append(spoil)
        k.model.inject(frame(100))
        assert k.driver.receive(k.rx) == -5
    assert k.count("restarts") == 1
    k.works()


def test_jammed_receiver():
    """RXERIF comes back at once although there is room: the receiver is begun anew."""
    k = Kit(NAME, True)
    k.works()
    k.model.jammed = True
    assert not k.model.inject(frame(100))
    assert k.receive() == -5
    assert k.count("rx_errors") == 1 and k.count("restarts") == 0
    k.works()


def test_hang_without_link():
    """Nobody is reached anyway: a reset would only be in the way of the link."""
    k = Kit(NAME)
    k.model.set_link(False)
    k.model.hang(2)
    for n in range(300):
        assert k.transmit(frame(80, n, OTHER)) in (0, -11)
        assert k.receive() == 0
        k.model.advance(2000)
    assert k.count("tx_stalls") > 5 and k.count("restarts") == 0
    k.model.set_link(True)
    assert k.driver.link()
    k.leaves(frame(81, 1, OTHER), 400)
    assert k.count("restarts") == 1


def test_given_back():
    return chip.given_back(NAME)


def test_between():
    return chip.between(NAME)
