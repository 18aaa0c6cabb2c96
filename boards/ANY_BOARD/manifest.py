# `drivers`: ("w5500", "w5100s") for a W5100S, ("w5500", "w6100") for a W6100, ("enc28j60",).
# `thumb=False` where the CPU is no Cortex-M, such as an ESP32's.
include("$(PORT_DIR)/boards/manifest.py")
include("../chip_on_spi/manifest.py", drivers=("w5500",))
module("smolmpy_board.py", opt=3)
