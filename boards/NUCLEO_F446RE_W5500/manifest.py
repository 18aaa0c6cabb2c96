include("$(PORT_DIR)/boards/manifest.py")
include("../chip_on_spi/manifest.py", drivers=("w5500",), lean=True)
module("smolmpy_board.py", opt=3)
