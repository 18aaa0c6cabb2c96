"""What every tool needs: the project's folders, and one way to run commands and to give up."""

import contextlib
import fcntl
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"


def say(text):
    """Tells the person at the terminal what happens next."""
    print(f"[smolmpy] {text}", flush=True)


class Missing(Exception):
    """Something that this machine lacks; the text says what it is and how to get it."""


@contextlib.contextmanager
def locked(name):
    """While one process is inside, others of this tree wait: for what is built once for all."""
    BUILD.mkdir(exist_ok=True)
    with open(BUILD / f"{name}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(*argv, **kwargs):
    """Runs a command that has to succeed, and shows its output only if it does not."""
    argv = [str(arg) for arg in argv]
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        **kwargs,
    )
    if done.returncode:
        sys.stderr.write(done.stdout)
        raise Missing(f"'{' '.join(argv)}' failed with status {done.returncode} (output above).")
    return done.stdout


def main(function):
    """Runs a tool's main function; what is missing ends it with one sentence."""
    os.chdir(ROOT)
    try:
        sys.exit(function())
    except Missing as missing:
        sys.exit(f"[smolmpy] {missing}")
    except KeyboardInterrupt:
        sys.exit(130)
