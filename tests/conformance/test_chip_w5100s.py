"""The driver of the W5100S, against the model of the chip."""

import chip_scenarios
import wiznet_scenarios
from tests.models.kit import MAC, OTHER, Kit, frame

NAME = "w5100s"

chip_scenarios.share(chip_scenarios, __name__, NAME)
chip_scenarios.share(wiznet_scenarios, __name__, NAME)

# Words of the driver's state.
_READ_AT = 25
_WRITE_AT = 26


def _move_to(k, at):
    # Both rings empty, at a position of 16 bits.
    m, state = k.model, k.driver._state
    m.rx_rd = m.rx_wr = m.rx_freed = state[_READ_AT] = at
    m.tx_rd = m.tx_wr = m.tx_end = state[_WRITE_AT] = at
    m.written = []


def test_end_of_the_ring():
    """Frames that begin at every distance from the end, and end before, at and behind it."""
    k = Kit(NAME)
    for distance in range(1, 100):
        for n in (60, 97, distance - 2, distance - 1, distance, distance + 1):
            if not 60 <= n <= 97:
                continue
            _move_to(k, 0x2000 * (distance & 7) - distance & 0xFFFF)
            data = frame(n, distance)
            assert k.model.inject(data)
            k.expect(data)
            k.sends(frame(n, distance, OTHER))
    for distance in range(100, 1620, 37):
        _move_to(k, 0x4000 - distance)
        for n in (1514, distance - 2, distance - 1, distance, distance + 1):
            if 60 <= n <= 1514:
                _move_to(k, 0x4000 - distance)
                assert k.model.inject(frame(n, n))
                k.expect(frame(n, n))
                k.sends(frame(n, n, OTHER))
    assert k.count("rx_errors") == 0


def test_mode_register():
    """MR reads 0x03 after a reset, and keeps that."""
    k = Kit(NAME)
    assert k.model.common[0] == 0x13


def test_locked_address():
    """NETLCKR may be closed."""
    Kit("w5100s")
    k = Kit(NAME)
    k.model.locked = True
    k.model.reset_chip()
    k.recovers()
    assert bytes(k.model.common[9:15]) == MAC


def test_interrupt_enable():
    """The pin works only with MR2.G_IEN; other bits of MR2 are not ours."""
    k = Kit(NAME, True)
    assert k.model.common[0x30] == 0x40
    k.model.inject(frame(60))
    assert k.model.intn() == 0
