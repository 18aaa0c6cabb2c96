"""Runs examples/server.py on an emulated board, by mpremote, and talks to it from Linux."""

import subprocess
import sys
import tempfile

from tools import exchange, firmware, netns, venv
from tools.common import Missing, main, say
from tools.host import ADDRESS, LINUX, SERVER
from tools.launcher import stop
from tools.qemu_board import Board, tap
from tools.run import converse

_TAP = "tap0"


def _main():
    board = sys.argv[1] if len(sys.argv) > 1 else firmware.BOARDS[0]
    firmware.provide(board)
    image = firmware.build(board)
    venv.ensure()
    netns.enter()
    netns.keep_tap(_TAP)
    netns.configure(_TAP, LINUX)
    say(f"{board} in QEMU runs examples/server.py at {ADDRESS}; Linux is {LINUX} on {_TAP}")
    wrong = None
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        with Board(board, image, tap(_TAP)) as emulated:
            print(f"\n$ mpremote connect {emulated.pty} resume run examples/server.py")
            server = emulated.mpremote(
                "run", SERVER, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
            try:
                exchange.wait_for(ADDRESS, lambda: server.poll() is None and emulated.running())
                converse()
                if server.poll() is not None:
                    wrong = "the server ended"
            except (AssertionError, OSError, subprocess.SubprocessError) as problem:
                wrong = problem
            finally:
                stop(server)
        log.seek(0)
        print(f"\nThe board said:\n{log.read()}")
    if wrong:
        raise Missing(f"this was not the right answer: {wrong}")
    say(f"every answer of {board} was right")


if __name__ == "__main__":
    main(_main)
