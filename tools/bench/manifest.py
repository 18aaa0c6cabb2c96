# The image on which instructions are counted: the board's, all editions of the kernels, the
# drivers of chips on SPI, and the benchmark.
include("../../boards/MPS2_AN385/manifest.py")
_MORE = (
    "kernel/plain.py",
    "kernel/viper.py",
    "phy/enc28j60.py",
    "phy/spi.py",
    "phy/w5100s.py",
    "phy/w5500.py",
)
package("smolmpy", files=_MORE, base_path="../..", opt=3)
module("align.py")
module("links.py")
module("memory_thumb.py")
module("peer.py")
module("chips.py")
module("counted.py")
module("kernels.py")
