"""A board's serial line: programs are run over MicroPython's raw REPL, or by mpremote.

print(repl.run("print(1 + 1)"))
repl.mpremote("run", "program.py")
"""

import os
import select
import subprocess
import termios
import time
import tty

from tools import venv
from tools.common import ROOT


class BoardError(Exception):
    """What a program on the board raised (its traceback), or that the board does not answer."""


class Repl:
    """What a board has whose serial line is the terminal `pty`. `slow` multiplies how long it may
    take to answer."""

    def __init__(self, slow=1):
        self.pty = None
        self._slow = slow
        self._fd = None
        self._seen = b""

    def hang_up(self):
        """Closes this end of the line."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def mpremote(self, *argv, **kwargs):
        """Starts mpremote on the serial line, as a `subprocess.Popen` of the caller's."""
        self.hang_up()  # one reader at a time
        python = venv.ensure()
        return subprocess.Popen(
            [python, "-m", "mpremote", "connect", self.pty, "resume", *argv], cwd=ROOT, **kwargs
        )

    # The raw REPL (MicroPython's documentation, "The MicroPython Interactive Interpreter Mode").

    def _open(self):
        if self._fd is None:
            self._fd = os.open(self.pty, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            tty.setraw(self._fd, termios.TCSANOW)
            self._seen = b""

    def _write(self, data, timeout=10):
        while data:
            if not select.select([], [self._fd], [], timeout * self._slow)[1]:
                raise BoardError("the board's serial line takes nothing")
            data = data[os.write(self._fd, data) :]

    def _read_some(self, end):
        left = end - time.monotonic()
        if left <= 0 or not select.select([self._fd], [], [], left)[0]:
            return False
        try:
            piece = os.read(self._fd, 65536)
        except OSError:
            piece = b""
        if not piece:
            raise BoardError("the board is gone: " + self._seen.decode(errors="replace"))
        self._seen += piece
        return True

    def _read(self, size, timeout=10):
        end = time.monotonic() + timeout * self._slow
        while len(self._seen) < size:
            if not self._read_some(end):
                raise BoardError(f"the board does not answer, but for {self._seen!r}")
        piece, self._seen = self._seen[:size], self._seen[size:]
        return piece

    def _read_until(self, mark, timeout, show=None, stop=None):
        """What comes before `mark`, which is left out; None if `stop` comes instead."""
        end = time.monotonic() + timeout * self._slow
        shown = 0
        while True:
            at = self._seen.find(mark)
            if at < 0 and stop and stop in self._seen:
                return None
            have = len(self._seen) if at < 0 else at
            if show and have > shown:
                show(self._seen[shown:have].decode(errors="replace"))
                shown = have
            if at >= 0:
                piece, self._seen = self._seen[:at], self._seen[at + len(mark) :]
                return piece
            if not self._read_some(end):
                said = self._seen.decode(errors="replace")
                raise BoardError(f"the board is not done after {timeout} s: {said[-2000:]}")

    def run(self, program, timeout=60, show=None):
        """Runs Python source on the board and returns what it printed, as text.

        `show` is called with each piece of output as it comes. What earlier programs defined is
        still there. Raises BoardError with the traceback if the program ends with an exception.
        """
        self.start(program)
        return self.finish(timeout, show)

    def start(self, program):
        """Starts Python source on the board; `finish` takes what it says."""
        self._open()
        self._write(b"\r\x03\x01")
        self._read_until(b"raw REPL; CTRL-B to exit\r\n>", 10)
        self._write(b"\x05A\x01")
        if self._read(2) != b"R\x01":
            raise BoardError("the firmware has no raw-paste mode")
        window = int.from_bytes(self._read(2), "little")
        data = program.encode()
        room = window
        at = 0
        while at < len(data):
            while room == 0 or self._seen:
                sign = self._read(1)
                if sign == b"\x04":  # the compiler has given up
                    self._write(b"\x04")
                    self._read_until(b"\x04", 10)
                    raise BoardError(self._read_until(b"\x04>", 10).decode(errors="replace"))
                room += window
            piece = data[at : at + room]
            self._write(piece)
            at += len(piece)
            room -= len(piece)
        self._write(b"\x04")
        self._read_until(b"\x04", 30)

    def wait_for(self, text, timeout=60):
        """Waits until the program that runs has printed `text`; returns what came before it.

        Raises BoardError if it ends instead.
        """
        output = self._read_until(text.encode(), timeout, stop=b"\x04")
        if output is None:
            self.finish(10)
            raise BoardError(f"the program ended before it said {text!r}")
        return output.decode(errors="replace").replace("\r\n", "\n")

    def finish(self, timeout=60, show=None):
        """Waits for the end of the program that `start` began; returns what it printed."""
        output = self._read_until(b"\x04", timeout, show).decode(errors="replace")
        error = self._read_until(b"\x04>", 10).decode(errors="replace")
        output = output.replace("\r\n", "\n")
        if error:
            raise BoardError((output + error).replace("\r\n", "\n").strip())
        return output
