"""The driver of the ENC28J60, against the model of the chip."""

import chip_scenarios
from tests.models.kit import OTHER, Kit, frame

NAME = "enc28j60"

chip_scenarios.share(chip_scenarios, __name__, NAME)


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
