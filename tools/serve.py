"""Runs examples/server.py on an existing tap until Ctrl-C."""

import os
import sys

from tools import host, interpreters, netns
from tools.common import Missing, main, say


def _main():
    tap = sys.argv[1]
    if not netns.exists(tap):
        raise Missing(
            f"there is no {tap}; 'sudo ip tuntap add {tap} mode tap user $USER', "
            f"'sudo ip addr add {host.LINUX} dev {tap}' and 'sudo ip link set {tap} up' make one."
        )
    interpreter = interpreters.default(make=True)
    argv, env = host.command(interpreter, host.SERVER, tap)
    say(f"{interpreter} serves {host.ADDRESS} on {tap}; Ctrl-C ends it")
    os.execvpe(argv[0], argv, env)


if __name__ == "__main__":
    main(_main)
