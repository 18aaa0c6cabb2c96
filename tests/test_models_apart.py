"""The drivers on models of the chips that were written apart (tests/pico), in node.

What passes here and on the models of tests/models is not the one's misreading of a data sheet.
"""

import shutil
import sys

import pytest

from tests.models import apart, kit
from tools.common import ROOT, Missing

sys.path.append(str(ROOT / "tests" / "conformance"))

import chip_scenarios  # noqa: E402

# Those that need no more of a chip than what is written on its line, its pins and its bus.
SCENARIOS = (
    "address",
    "back_to_back",
    "between",
    "bursts",
    "deaf",
    "filters",
    "given_back",
    "limits",
    "mute_interrupt",
    "overrun",
    "sizes",
    "slow_bus",
)


def _node():
    if not shutil.which("node"):
        raise Missing("node is missing: 'apt-get install nodejs' brings it.")


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("chip", ["w5500", "w5100s", "enc28j60"])
def test_scenario(chip, scenario, need, monkeypatch):
    need(_node)
    driver = kit.classes(chip)[1]
    made = []

    def model():
        made.append(apart.Apart(chip))
        return made[-1]

    monkeypatch.setattr(kit, "classes", lambda name: (model, driver))
    try:
        getattr(chip_scenarios, scenario)(chip)
    finally:
        for each in made:
            each.close()
