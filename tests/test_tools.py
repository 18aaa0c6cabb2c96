"""The tools that other tests lean on: if they could not fail, those could not either."""

import functools
import random
import signal
import socket
import subprocess
import sys
import time

import pytest

from tools import exchange, launcher, netns, source
from tools.common import ROOT, Missing

_ETHERTYPE = 0x88B5  # IEEE 802: for local experiments
_OTHER = bytes.fromhex("020000000001")
_LINUX = bytes.fromhex("020000000002")
_PROBE = bytes(46)
_PATIENCE = 60  # seconds, on a busy machine


def test_checksum():
    # RFC 1071, section 3, and an odd byte.
    assert exchange.checksum(bytes.fromhex("0001f203f4f5f6f7")) == ~0xDDF2 & 0xFFFF
    assert exchange.checksum(b"\x01") == ~0x0100 & 0xFFFF


def _cut(data, sizes):
    out = b""
    while data:
        size = next(sizes)
        out += data[:size][::-1]
        data = data[size:]
    return out


def test_reversed_pieces_are_recognised():
    source = random.Random(2)
    data = source.randbytes(5000)
    received = _cut(data, iter(lambda: source.randint(1, 64), None))
    exchange.assert_reversed(data, received)
    exchange.assert_reversed(b"", b"")


@pytest.mark.parametrize("fault", ["lost", "changed", "swapped", "long piece", "not reversed"])
def test_wrong_pieces_are_recognised(fault):
    data = exchange.pattern(1000)
    received = bytearray(_cut(data, iter(lambda: 50, None)))
    if fault == "lost":
        del received[500]
    elif fault == "changed":
        received[999] ^= 1
    elif fault == "swapped":
        received[100:150], received[150:200] = received[150:200], received[100:150]
    elif fault == "long piece":
        received = _cut(data, iter(lambda: 65, None))
    else:
        received = data
    with pytest.raises(AssertionError):
        exchange.assert_reversed(data, received)


def test_a_late_answer_to_an_earlier_ping_is_not_taken_for_one(monkeypatch):
    """The same sequence number, another size: what a host that was slow once sends too late."""
    wire = _SlowWire()
    monkeypatch.setattr(exchange.socket, "socket", wire)
    with pytest.raises(TimeoutError):
        exchange.ping("192.0.2.1", 56, 7, timeout=0.01)
    assert exchange.ping("192.0.2.1", 900, 7) >= 0
    assert wire.answered == 2


@pytest.mark.parametrize("at", [20, 22, 24, 26, 28, 83])
def test_a_wrong_answer_to_a_ping_is_one(monkeypatch, at):
    wire = _SlowWire(late=0, wrong=at)
    monkeypatch.setattr(exchange.socket, "socket", wire)
    with pytest.raises((AssertionError, TimeoutError)):
        exchange.ping("192.0.2.1", 56, 7, timeout=0.01)


class _SlowWire:
    """A raw socket for ICMP whose host answers each request when `late` more have come."""

    def __init__(self, late=1, wrong=None):
        self.late = late
        self.wrong = wrong
        self.asked = []
        self.answered = 0

    def __call__(self, *args):
        return self

    __enter__ = __call__

    def __exit__(self, *args):
        pass

    def settimeout(self, seconds):
        pass

    def sendto(self, message, where):
        self.asked.append(message)
        if len(self.asked) > self.late:
            self.late = 0

    def recv(self, size):
        if self.late or self.answered == len(self.asked):
            raise TimeoutError
        message = bytearray(self.asked[self.answered])
        self.answered += 1
        message[0] = 0
        message[2:4] = bytes(2)
        message[2:4] = exchange.checksum(bytes(message)).to_bytes(2, "big")
        if self.wrong:
            message[self.wrong - 20] ^= 1
        return b"E" + bytes(19) + message


# Sends every frame back, addresses exchanged, in pieces of an odd size.
_ECHO = """
import os, socket
s = socket.socket(fileno=int(os.environ["SMOLMPY_DEVICE"].removeprefix("fd:")))
s.setblocking(True)
f = s.makefile("rb")
while head := f.read(4):
    frame = f.read(int.from_bytes(head, "big"))
    if frame[12:14] != b"\\x88\\xb5":
        continue
    data = head + frame[6:12] + frame[:6] + frame[12:]
    for start in range(0, len(data), 701):
        s.sendall(data[start : start + 701])
"""


@pytest.fixture
def tap(network, need):
    need(netns.keep_tap, "tap7")
    netns.up("tap7")
    yield "tap7"
    netns.keep_tap("tap7", False)


def test_launcher_passes_every_frame_on(tap):
    argv = [sys.executable, "-m", "tools.launcher", tap, sys.executable, "-c", _ECHO]
    process = subprocess.Popen(argv, cwd=ROOT, preexec_fn=launcher.die_with_parent)
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETHERTYPE)) as sock:
            sock.bind((tap, _ETHERTYPE))
            sock.settimeout(0.2)
            head = _OTHER + _LINUX + _ETHERTYPE.to_bytes(2, "big")
            _until_it_answers(sock, head)
            sock.settimeout(_PATIENCE)
            sent = [head + exchange.pattern(size) for size in (46, 47, 100, 1499, 1500)] * 20
            for frame in sent:
                sock.send(frame)
            got = [_next_from(sock, _OTHER) for _ in sent]
            assert got == [_LINUX + _OTHER + frame[12:] for frame in sent]
    finally:
        launcher.stop(process)


def _until_it_answers(sock, head):
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        try:
            sock.send(head + _PROBE)
            if _next_from(sock, _OTHER, probes=True):
                return
        except OSError:
            # No carrier yet (ENETDOWN, or silence) until the launcher has opened the tap.
            time.sleep(0.05)
    pytest.fail("the launcher passes nothing on")


def _next_from(sock, address, probes=False):
    """The next frame from there; the late answer to a probe is none, unless it is asked for."""
    while True:
        frame = sock.recv(65536)
        if frame[6:12] == address and (probes or frame[14:] != _PROBE):
            return frame


def test_launcher_ends_with_its_command_and_hands_on_its_status(tap):
    argv = [sys.executable, "-m", "tools.launcher", tap, sys.executable, "-c", "exit(3)"]
    assert subprocess.run(argv, cwd=ROOT, timeout=_PATIENCE).returncode == 3


# In the background of a shell (`make test &`) SIGINT is ignored when a program begins.
@pytest.mark.parametrize("disposition", [signal.SIG_DFL, signal.SIG_IGN])
def test_launcher_hands_on_ctrl_c(tap, disposition):
    sleep = "print('up', flush=True)\n"
    sleep = f"import time\ntry:\n {sleep} time.sleep(60)\nexcept KeyboardInterrupt: exit(4)"
    process = _launch(tap, disposition, sys.executable, "-c", sleep)
    try:
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(_PATIENCE) == 4
    finally:
        launcher.stop(process)
        process.stdout.close()


@pytest.mark.parametrize("disposition", [signal.SIG_DFL, signal.SIG_IGN])
def test_launcher_hands_on_a_ctrl_c_that_comes_at_once(tap, disposition):
    # The first thing that the command does, while the launcher has yet to get ready.
    script = "trap 'exit 4' INT; kill -INT $PPID; while :; do sleep 0.01; done"
    process = _launch(tap, disposition, "/bin/sh", "-c", script)
    try:
        assert process.wait(_PATIENCE) == 4
    finally:
        launcher.stop(process)
        process.stdout.close()


def _launch(tap, disposition, *command):
    argv = [sys.executable, "-m", "tools.launcher", tap, *command]
    before = functools.partial(signal.signal, signal.SIGINT, disposition)
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, preexec_fn=before)


def test_this_process_is_alone_in_its_network(network):
    names = {name for _, name in socket.if_nameindex()}
    assert "lo" in names and not any(name.startswith(("eth", "en", "wl")) for name in names)


def test_a_wrong_source_folder_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("MICROPYTHON_SRC", str(tmp_path))
    with pytest.raises(Missing, match="MICROPYTHON_SRC"):
        source.find()
