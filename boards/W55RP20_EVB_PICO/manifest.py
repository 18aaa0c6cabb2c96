include("$(PORT_DIR)/boards/manifest.py")
include("../chip_on_spi/manifest.py", drivers=("w5500",))
module("pin_spi_thumb.py", opt=3)
module("smolmpy_board.py", opt=3)
