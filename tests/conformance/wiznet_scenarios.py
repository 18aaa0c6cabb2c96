"""What every driver of a WIZnet chip must do; see chip_scenarios.py."""

from tests.models.kit import Kit, frame

# How many bytes a driver that asks the chip has had before the second of Sn_RX_RSR.
_TORN = {"w5500": 3 + 0x27, "w5100s": 3 + 0x27, "w6100": 3 + 0x225 - 0x20C}


def torn_size(name):
    """A frame arrives between the two bytes of Sn_RX_RSR: 240 and 302 bytes read as 46."""
    k = Kit(name)
    first, second = frame(238), frame(60, 2)
    k.model.inject(first)
    k.model.at_byte(_TORN[name], lambda: k.model.inject(second))
    k.expect(first, second)
    assert k.count("rx_errors") == 0 and k.count("restarts") == 0


def useless_restarts(name):
    """A socket that stays out of step makes the driver restart the chip."""
    k = Kit(name)
    for _ in range(3):
        k.model.lengths.append(3)
        k.model.inject(frame(100))
        assert k.driver.receive(k.rx) == -5
    assert k.count("restarts") == 1
    k.works()


def lost_write(name):
    """A write that the chip heard otherwise is noticed by what it says of its pointers, at the
    latest with the next frame."""
    for interrupt in (False, True):
        for changes in (("tx_wr",), ("rx_rd",), ("rx_rd", "rx_freed")):
            k = Kit(name, interrupt)
            k.works()
            for change in changes:
                setattr(k.model, change, getattr(k.model, change) ^ 0x80)
            if interrupt:
                k.model.inject(frame(60))
            n = k.receive()
            assert n == -5, (n, interrupt, changes)
            assert k.count("restarts") == 0
            k.works()


def first_frame(name):
    """A chip is reset while its first frame is read: its pointers are those of before."""
    k = Kit(name, True)
    k.model.inject(frame(200))
    k.model.at_byte(30, k.model.reset_chip)
    assert k.receive() == -5
    for _ in range(8):
        k.model.advance(20000)
        k.driver.receive(k.rx)
    assert k.count("restarts") == 1
    k.works()


def absurd_size(name):
    """Sn_RX_RSR tells of more than there is memory."""
    k = Kit(name)
    k.model.rx_wr = k.model.rx_freed + 20000
    assert k.driver.receive(k.rx) == -5
    k.works()


def pings_are_ours(name):
    """MR.PB, NET4MR.PB: the stack in the chip leaves them alone, after a brown-out as well."""
    k = Kit(name, mac=None)
    ping = bytearray(frame(98))
    ping[23] = 1  # ICMP
    ping[30:34] = bytes(4)  # to the address that the chip has: none
    for _ in range(2):
        assert k.model.inject(bytes(ping))
        assert k.model.own_answers == 0
        assert k.receive() == bytes(ping)
        k.model.reset_chip()
        k.recovers()
