"""The driver of the W5100S, against the model of the chip."""

import chip_scenarios as chip
from tests.models.kit import MAC, OTHER, Kit, frame

NAME = "w5100s"

# Words of the driver's state.
_READ_AT = 25
_WRITE_AT = 26


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


def test_torn_size():
    """A frame arrives between the two bytes of Sn_RX_RSR: 240 and 302 bytes read as 46."""
    k = Kit(NAME)
    first, second = frame(238), frame(60, 2)
    k.model.inject(first)
    k.model.at_byte(3 + 0x27, lambda: k.model.inject(second))
    k.expect(first, second)
    assert k.count("rx_errors") == 0 and k.count("restarts") == 0


def test_useless_restarts():
    """A socket that stays out of step makes the driver restart the chip."""
    k = Kit(NAME)
    for _ in range(3):
        k.model.lengths.append(3)
        k.model.inject(frame(100))
        assert k.driver.receive(k.rx) == -5
    assert k.count("restarts") == 1
    k.works()


def test_given_back():
    return chip.given_back(NAME)


def test_between():
    return chip.between(NAME)


def test_lost_write():
    """A write that the chip heard otherwise is noticed by what it says of its pointers, at the
    latest with the next frame."""
    for interrupt in (False, True):
        for changes in (("tx_wr",), ("rx_rd",), ("rx_rd", "rx_freed")):
            k = Kit(NAME, interrupt)
            k.works()
            for change in changes:
                setattr(k.model, change, getattr(k.model, change) ^ 0x80)
            if interrupt:
                k.model.inject(frame(60))
            n = k.receive()
            assert n == -5, (n, interrupt, changes)
            assert k.count("restarts") == 0
            k.works()


def test_first_frame():
    """A chip is reset while its first frame is read: its pointers are those of before."""
    k = Kit(NAME, True)
    k.model.inject(frame(200))
    k.model.at_byte(30, k.model.reset_chip)
    assert k.receive() == -5
    for _ in range(8):
        k.model.advance(20000)
        k.driver.receive(k.rx)
    assert k.count("restarts") == 1
    k.works()


def test_absurd_size():
    """Sn_RX_RSR tells of more than there is memory."""
    k = Kit(NAME)
    k.model.rx_wr = k.model.rx_freed + 20000
    assert k.driver.receive(k.rx) == -5
    k.works()


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


def test_pings_are_ours():
    """4.1 MR.PB: the stack in the chip leaves them alone, after a brown-out as well."""
    k = Kit(NAME, mac=None)
    ping = bytearray(frame(98))
    ping[23] = 1  # ICMP
    ping[30:34] = bytes(4)  # to the address that the chip has: none
    for _ in range(2):
        assert k.model.inject(bytes(ping))
        assert k.model.own_answers == 0
        assert k.receive() == bytes(ping)
        k.model.reset_chip()
        k.recovers()


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
