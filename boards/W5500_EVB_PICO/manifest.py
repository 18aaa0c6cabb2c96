include("$(PORT_DIR)/boards/manifest.py")
include("../../manifest.py")
module("smolmpy_board.py", opt=3)
