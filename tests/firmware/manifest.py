# The image on which the conformance suite runs: all of smolmpy, whatever the board needs of it.
include("../../manifest.py")
