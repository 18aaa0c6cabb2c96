"""Runs examples/server.py on an emulated Pico, by mpremote, and talks to it from Linux.

    python3 -m tools.pico_run [CHIP [VERSION]]

CHIP: w5500 (default), w5100s or enc28j60, on SPI 0; VERSION of MicroPython: oldest (default) or
newest. smolmpy is frozen into the firmware.
"""

import subprocess
import sys
import tempfile

from tools import exchange, netns, pico, rp2, venv
from tools.common import Missing, main, say
from tools.host import ADDRESS, LINUX, SERVER
from tools.launcher import stop
from tools.repl import BoardError
from tools.run import converse

_TAP = "tap0"


def serve(emulated, log):
    """The server runs until Linux has talked to it; returns what was wrong, or None."""
    server = emulated.mpremote(
        "run", SERVER, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
    )
    try:
        exchange.wait_for(ADDRESS, lambda: server.poll() is None and emulated.running(), 300)
        converse()
        if server.poll() is not None:
            return "the server ended"
        errors = emulated.statistics()["errors"]
        return f"the chip was used against its data sheet: {'; '.join(errors)}" if errors else None
    except (AssertionError, BoardError, OSError, subprocess.SubprocessError) as problem:
        return problem
    finally:
        stop(server)


def _main():
    chip, version = (*sys.argv[1:], *("w5500", "oldest")[len(sys.argv) - 1 :])
    if chip not in pico.CHIPS or version not in rp2.VERSIONS:
        raise Missing(f"CHIP is one of {pico.CHIPS}, VERSION one of {rp2.VERSIONS}.")
    rp2.provide()
    pico.provide()
    image = rp2.build(version, "frozen")
    flash = pico.flash_image(pico.board_file(chip))
    venv.ensure()
    netns.enter()
    netns.keep_tap(_TAP)
    netns.configure(_TAP, LINUX)
    say(f"a Pico with {chip} runs examples/server.py at {ADDRESS}; Linux is {LINUX} on {_TAP}")
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        with pico.Pico(image, chip, _TAP, flash) as emulated:
            print(emulated.run("import sys\nprint(sys.version)"))
            print(f"$ mpremote connect {emulated.pty} resume run examples/server.py")
            wrong = serve(emulated, log)
            counts = emulated.statistics() if emulated.running() else {}
        log.seek(0)
        print(f"\nThe Pico said:\n{log.read()}")
    if wrong:
        raise Missing(f"this was not the right answer: {wrong}")
    say(
        f"every answer was right, with {counts['instructions'] / 1e6:.0f} million instructions"
        f" and {counts['transactions']} SPI transactions in {counts['wall']:.1f} s"
    )


if __name__ == "__main__":
    main(_main)
