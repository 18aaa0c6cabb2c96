"""W5500: its driver's costs on the bus, and random walks. Scenarios:
conformance/test_chip_w5500.py."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models import measure
from tests.models.kit import Kit

NAME = "w5500"

# Linux's driver of these chips needs 7 transactions to receive (Sn_RX_RSR, Sn_RX_RD, length,
# frame, Sn_RX_RD, RECV, Sn_CR) and 5 to send (Sn_TX_WR, frame, Sn_TX_WR, SEND, Sn_CR), besides
# those of its interrupt handler.
RECEIVE, TRANSMIT, PAYLOAD = 7, 5, 0.93


@pytest.mark.parametrize("interrupt", [False, True])
def test_costs(interrupt):
    rows = measure.costs(NAME, interrupt)
    print(measure.table(NAME + (", interrupt pin" if interrupt else ""), rows))
    for what, size, _, transactions, share in rows:
        assert transactions <= (RECEIVE if what == "receive" else TRANSMIT), what
        if size == 1514:
            assert share >= PAYLOAD, what


def test_costs_of_a_burst():
    """Frames that wait together cost less than one alone."""
    alone = measure.costs(NAME)
    burst = measure.costs(NAME, waiting=3)
    print(measure.table(NAME + ", three at once", burst[:3]))
    for one, three in zip(alone[:3], burst[:3], strict=True):
        assert three[2] < one[2] and three[3] < one[3]


STEPS = st.lists(st.integers(0, 1 << 16), max_size=80)


@given(STEPS, st.booleans())
@settings(max_examples=150, deadline=None)
def test_walk(steps, interrupt):
    measure.walk(NAME, steps, interrupt, faults=False)


@given(STEPS, st.booleans())
@settings(max_examples=150, deadline=None)
def test_walk_with_faults(steps, interrupt):
    measure.walk(NAME, steps, interrupt)


def test_an_idle_chip_is_left_alone():
    """With the interrupt pin it is looked at once a second, however often it is asked."""
    k = Kit(NAME, True)
    k.model.reset_counts()
    for _ in range(10000):
        assert k.receive() == 0
        k.model.advance(1000)
    assert 9 <= k.model.transactions <= 11 * 1
