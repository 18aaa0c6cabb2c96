"""The chips on SPI: their drivers' costs on the bus, and random walks. Scenarios:
conformance/test_chip_*.py."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models import measure
from tests.models.kit import Kit

# Linux's driver of WIZnet's chips needs 7 transactions to receive (Sn_RX_RSR, Sn_RX_RD, length,
# frame, Sn_RX_RD, RECV, Sn_CR) and 5 to send (Sn_TX_WR, frame, Sn_TX_WR, SEND, Sn_CR), besides
# those of its interrupt handler. The W6100's registers lie too far apart for one transaction. That
# of the ENC28J60 needs 16 and 16, interrupt handler included, without the reset of the transmitter
# that module 12 of the errata asks for. Then, of the bytes that a full frame takes, those that are
# its own; and how many transactions a look at the chip is.
LIMITS = {
    "w5500": (7, 5, 0.93, 1),
    "w5100s": (7, 5, 0.93, 1),
    "w6100": (8, 6, 0.91, 2),
    "enc28j60": (16, 16, 0.95, 4),
}

chips = pytest.mark.parametrize("chip", LIMITS)


@chips
@pytest.mark.parametrize("interrupt", [False, True])
def test_costs(chip, interrupt):
    receive, transmit, payload, _ = LIMITS[chip]
    rows = measure.costs(chip, interrupt)
    print(measure.table(chip + (", interrupt pin" if interrupt else ""), rows))
    for what, size, _, transactions, share in rows:
        assert transactions <= (receive if what == "receive" else transmit), what
        if size == 1514:
            assert share >= payload, what


@chips
def test_costs_of_a_burst(chip):
    """Frames that wait together cost less than one alone."""
    alone = measure.costs(chip)
    burst = measure.costs(chip, waiting=3)
    print(measure.table(chip + ", three at once", burst[:3]))
    for one, three in zip(alone[:3], burst[:3], strict=True):
        assert three[2] < one[2] and three[3] < one[3]


STEPS = st.lists(st.integers(0, 1 << 16), max_size=80)


@chips
@given(STEPS, st.booleans())
@settings(max_examples=150, deadline=None)
def test_walk(chip, steps, interrupt):
    measure.walk(chip, steps, interrupt, faults=False)


@chips
@given(STEPS, st.booleans())
@settings(max_examples=150, deadline=None)
def test_walk_with_faults(chip, steps, interrupt):
    measure.walk(chip, steps, interrupt)


@chips
def test_an_idle_chip_is_left_alone(chip):
    """With the interrupt pin it is looked at once a second, however often it is asked."""
    k = Kit(chip, True)
    k.model.reset_counts()
    for _ in range(10000):
        assert k.receive() == 0
        k.model.advance(1000)
    assert 9 <= k.model.transactions <= 11 * LIMITS[chip][3]
