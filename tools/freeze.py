"""Runs MicroPython's makemanifest.py and puts frozen machine code on word boundaries.

    python3 freeze.py MAKEMANIFEST ARGUMENT...

Code for a Cortex-M0 has its constants between its instructions and reads them from the next word
boundary, counted from its own beginning. The mpy-tool.py of MicroPython 1.25 to 1.29 puts that on
any even address, and half of all functions then read nonsense.
"""

import subprocess
import sys
from pathlib import Path

_ANY = "__attribute__ ((aligned (2)))"
_WORD = "__attribute__ ((aligned (4)))"


def main(argv):
    status = subprocess.run([sys.executable, *argv]).returncode
    if status == 0:
        output = Path(argv[argv.index("-o") + 1])
        output.write_text(output.read_text().replace(_ANY, _WORD))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
