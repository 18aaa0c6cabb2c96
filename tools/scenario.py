"""Runs scenarios of tests/conformance on one target, in seconds, and prints their report.

    python3 -m tools.scenario TARGET MODULE[.PART]...

TARGET: cpython, unix64, unix32, bytecode, unix-ffi, or a board in QEMU (cortex-m0, cortex-m3,
cortex-m7, rv32, cortex-m3-newest). MODULE: test_arp, or arp; `arp.gratuitous` runs those of its
scenarios whose names hold that word. What the target needs is built the first time. Status 1 if
one fails.
"""

import argparse
import re
import sys

from tools import bytecode, unixport, venv
from tools.common import ROOT, Missing, main

_FOLDER = ROOT / "tests" / "conformance"
_LIMIT = 900


def _name(text):
    module, _, part = text.removesuffix(".py").rpartition("/")[2].partition(".")
    module = module if module.startswith("test_") else f"test_{module}"
    if not (_FOLDER / f"{module}.py").exists():
        raise Missing(f"There is no tests/conformance/{module}.py.")
    return f"{module}.{part}" if part else module


def _prepare(name):
    if name in ("unix64", "bytecode"):
        venv.ensure()
    if name == "bytecode":
        bytecode.ensure()
    if name in ("unix32", "unix-ffi"):
        unixport.ensure(True)


def _main():
    sys.path.insert(0, str(ROOT / "tests"))
    import targets

    parser = argparse.ArgumentParser(prog="make scenario")
    parser.add_argument("target", choices=targets.ALL)
    parser.add_argument("modules", nargs="+", metavar="MODULE[.PART]", type=_name)
    chosen = parser.parse_args()
    _prepare(chosen.target)
    target = targets.get(chosen.target)
    failed = False
    for module in chosen.modules:
        report = target.run(
            _FOLDER / "run.py", module, timeout=_LIMIT, folders=[_FOLDER], check=False
        )
        print(report, end="", flush=True)
        last = report.rstrip().rpartition("\n")[2]
        failed |= not re.fullmatch(r"ran [1-9]\d*, failed 0", last)
    return 1 if failed else 0


if __name__ == "__main__":
    main(_main)
