"""Runs a program with a tap as a stream of frames, for interpreters that can not open a tap.

    python3 -m tools.launcher tap0 COMMAND...

The command inherits one end of a stream socket, and SMOLMPY_DEVICE=fd:N names it. On it a frame
is its length as 4 bytes, big-endian, and its bytes. The launcher ends with the command, and the
command with the launcher.
"""

import ctypes
import os
import select
import signal
import socket
import subprocess
import sys

from tools import netns
from tools.common import main

_MAX_FRAME = 65535
_BURST = 64
_PR_SET_PDEATHSIG = 1


class Pump:
    """Moves frames between a tap and a stream socket until the socket's other end is closed.

    While the program is slow to take frames the tap is not read, so its queue fills and the
    kernel drops, as it would on a network card.
    """

    def __init__(self, tap, stream):
        self.tap = tap
        self.stream = stream
        # A signal that comes just before poll() begins is dealt with only when that returns.
        self.woken, wake = socket.socketpair()
        for end in (self.woken, wake):
            end.setblocking(False)
        signal.set_wakeup_fd(wake.detach())
        self.to_stream = bytearray()
        self.from_stream = bytearray()

    def run(self):
        stream = self.stream.fileno()
        poller = select.poll()
        poller.register(self.tap, select.POLLIN)
        poller.register(stream, select.POLLIN)
        poller.register(self.woken, select.POLLIN)
        while True:
            events = dict(poller.poll())
            if self.woken.fileno() in events:
                self.woken.recv(_BURST)
            if self.tap in events:
                self._read_tap()
            if stream in events and not self._read_stream():
                return
            self._write_stream()
            waiting = bool(self.to_stream)
            poller.modify(self.tap, 0 if waiting else select.POLLIN)
            poller.modify(stream, select.POLLIN | (select.POLLOUT if waiting else 0))

    def _read_tap(self):
        for _ in range(_BURST):
            try:
                frame = os.read(self.tap, _MAX_FRAME)
            except BlockingIOError:
                return
            self.to_stream += len(frame).to_bytes(4, "big") + frame

    def _write_stream(self):
        while self.to_stream:
            try:
                sent = self.stream.send(self.to_stream)
            except BlockingIOError:
                return
            except OSError:
                # The program has ended; reading the stream will say so.
                self.to_stream.clear()
                return
            del self.to_stream[:sent]

    def _read_stream(self):
        try:
            data = self.stream.recv(_MAX_FRAME)
        except BlockingIOError:
            return True
        except OSError:
            return False
        buffer = self.from_stream
        buffer += data
        start = 0
        while len(buffer) - start >= 4:
            end = start + 4 + int.from_bytes(buffer[start : start + 4], "big")
            if end > len(buffer):
                break
            self._write_tap(buffer[start + 4 : end])
            start = end
        del buffer[:start]
        return bool(data)

    def _write_tap(self, frame):
        try:
            os.write(self.tap, frame)
        except OSError as error:
            print(f"launcher: the tap refused a frame of {len(frame)} bytes: {error.strerror}")


def die_with_parent():
    """To be called in a child before exec: it gets SIGTERM when its parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def stop(process):
    """Ends a child process that was started here, with force if it has to be."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _main():
    name, *command = sys.argv[1:]
    tap = netns.open_tap(name)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    # In a session of its own the command does not get a terminal's Ctrl-C, but gets it from here,
    # once. When it has ended, the stream is closed, and the pump ends. A Ctrl-C that comes before
    # there is a command waits until there is.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    process = subprocess.Popen(
        command,
        pass_fds=[theirs.fileno()],
        env=dict(os.environ, SMOLMPY_DEVICE=f"fd:{theirs.fileno()}"),
        start_new_session=True,
        preexec_fn=_prepare_child,
    )
    theirs.close()
    signal.signal(signal.SIGINT, lambda *_: process.send_signal(signal.SIGINT))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    pump = Pump(tap, ours)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        pump.run()
        return process.wait()
    finally:
        stop(process)


def _prepare_child():
    # Where SIGINT is ignored, as in the background of a shell, the command hears it all the same.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    die_with_parent()


if __name__ == "__main__":
    main(_main)
