# The image on which instructions are counted: the board's, all editions of the kernels, and the
# benchmark.
include("../../boards/MPS2_AN385/manifest.py")
package("smolmpy", files=("kernel/plain.py", "kernel/viper.py"), base_path="../..", opt=3)
module("align.py")
module("links.py")
module("memory_thumb.py")
module("peer.py")
module("counted.py")
module("kernels.py")
