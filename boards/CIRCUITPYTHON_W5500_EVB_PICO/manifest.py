# For a CircuitPython built with smolmpy: the bytecode edition, and the adapter.
package("smolmpy", base_path="../../build/bytecode", opt=3)
module("busio_spi.py", opt=3)
module("smolmpy_board.py", opt=3)
