"""Runs every test: brings what this machine lacks, builds the interpreters, starts pytest.

Arguments are pytest's. Under CI (or with --strict-targets) what is missing is a failure;
otherwise the tests that need it are skipped, and the end of the report says how to get it.
"""

import os
import sys

from tools import bytecode, compilers, deps, libraries, pico, unixport, venv
from tools.common import main


def _main():
    args = sys.argv[1:]
    strict = "--strict-targets" in args or bool(os.environ.get("CI"))
    deps.ensure(strict)
    python = venv.ensure()
    bytecode.ensure()
    unixport.ensure(strict)
    compilers.ensure(strict)
    libraries.ensure(strict)
    pico.ensure(strict)
    # A module that can not be imported must not hide what the others say. Two at once, each in a
    # network of its own: half of the tests compute, the other half wait for the clock.
    options = ["--continue-on-collection-errors"]
    if not any(arg.startswith("-n") for arg in args):
        options += ["-n", "2", "--dist", "loadgroup"]
    os.execv(python, [str(python), "-m", "pytest", *options, *args])


if __name__ == "__main__":
    main(_main)
