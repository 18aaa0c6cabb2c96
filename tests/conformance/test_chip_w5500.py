"""The driver of the W5500, against the model of the chip."""

import chip_scenarios
import wiznet_scenarios

NAME = "w5500"

chip_scenarios.share(chip_scenarios, __name__, NAME)
chip_scenarios.share(wiznet_scenarios, __name__, NAME)
