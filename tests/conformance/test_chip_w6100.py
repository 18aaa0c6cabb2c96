"""The driver of the W6100, against the model of the chip."""

import chip_scenarios
import wiznet_scenarios
from tests.models.kit import MAC, OTHER, Kit, frame

NAME = "w6100"

chip_scenarios.share(chip_scenarios, __name__, NAME)
chip_scenarios.share(wiznet_scenarios, __name__, NAME)

_SYCR1, _NET4MR, _NET6MR, _SHAR = 0x2005, 0x4000, 0x4004, 0x4120


def _address(k):
    return bytes([k.model.common[_SHAR + i] for i in range(6)])


def test_locks():
    """NETLCKR is opened for the address only, and CHPLCKR for a reset; both are shut behind it."""
    k = Kit(NAME)
    m = k.model
    assert _address(k) == MAC and m.net_locked and m.chip_locked
    k.driver.set_mac(OTHER)
    assert _address(k) == OTHER and m.net_locked
    # However they stand when the chip is found, and whether a reset shuts them or not.
    for shuts in (True, False):
        for locked in (False, True):
            m.shuts = shuts
            m.reset_chip()
            m.net_locked = m.chip_locked = locked
            for _ in range(60):
                k.driver.receive(k.rx)
                m.advance(20000)
            assert _address(k) == OTHER and m.net_locked and m.chip_locked
    resets = m.resets
    k.driver.close()
    assert m.resets == resets + 1


def test_interrupt_enable():
    """The pin works only with SYCR1.IEN, and tells of frames alone."""
    k = Kit(NAME, True)
    assert k.model.common[_SYCR1] == 0x80
    k.sends(frame(60, 1, OTHER))
    assert k.model.intn() == 1
    k.model.inject(frame(60))
    assert k.model.intn() == 0


def test_settings():
    """Whatever the chip begins with: its interrupt works, and its stack is quiet, of IPv6 too."""
    k = Kit(NAME, True)
    power_on = k.model._power_on

    def otherwise():
        power_on()
        k.model.common[_SYCR1] = 0

    k.model._power_on = otherwise
    k.model.reset_chip()
    for _ in range(60):
        k.driver.receive(k.rx)
        k.model.advance(20000)
    assert k.count("restarts") == 1
    common = k.model.common
    assert common[_SYCR1] == 0x80 and common[_NET4MR] == common[_NET6MR] == 0x0B


def test_not_ready():
    """A chip that tells its name before it is ready is not set up before."""
    k = Kit(NAME)
    k.model.early = True
    k.model.reset_ns = 50 * 1000000
    k.model.reset_chip()
    k.recovers()
    assert k.count("restarts") == 1 and k.count("resets") == 1


def test_groups():
    """Those of IPv6 are blocked as those of IPv4 are; frames of IPv6 to the address pass."""
    group = b"\x33\x33\0\0\0\x01"
    assert not Kit(NAME).model.inject(frame(60, to=group))
    k = Kit(NAME, multicast=True)
    assert not k.model.inject(frame(60, to=group))
    assert Kit(NAME, promiscuous=True).model.inject(frame(60, to=group))


def test_sendok_is_not_lost():
    """SENDOK is seen in a burst whose pointers are torn: the next look finds it as well."""
    k = Kit(NAME)
    for at in range(0, 160, 3):
        assert k.transmit(frame(60, at, OTHER)) == 0
        k.model.inject(frame(60, at))
        k.model.at_byte(at, lambda at=at: k.model.inject(frame(61, at)))
        got = []
        for _ in range(6):
            data = k.receive()
            if data:
                got.append(data)
        k.model.events.clear()
        assert frame(60, at) in got, at
        k.model.advance(1000)
        assert k.transmit(frame(62, at, OTHER)) == 0
        k.model.advance(1000)
        k.receive()
    assert k.count("tx_stalls") == 0 and k.count("restarts") == 0


def test_mode():
    """Sn_MR that the chip heard otherwise is found when the socket is opened."""
    k = Kit(NAME)
    assert k.model.socket[0] == 0xB7
    k = Kit(NAME, multicast=True)
    assert k.model.socket[0] == 0x97
    k = Kit(NAME, promiscuous=True)
    assert k.model.socket[0] == 0x07
    k = Kit(NAME)
    heard = k.model.socket_write

    def misheard(n, at, value):
        heard(n, at, value & ~0x80 if at == 0 and not n else value)

    k.model.reset_chip()
    k.model.socket_write = misheard
    for _ in range(20):
        k.driver.receive(k.rx)
        k.model.advance(20000)
    assert k.count("restarts") == 0
    k.model.socket_write = heard
    k.recovers((-5, -19))
