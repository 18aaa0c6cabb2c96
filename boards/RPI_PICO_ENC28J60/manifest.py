include("$(PORT_DIR)/boards/manifest.py")
include("../chip_on_spi/manifest.py", drivers=("enc28j60",))
module("smolmpy_board.py", opt=3)
