"""The tools that other tests lean on: if they could not fail, those could not either."""

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
            sock.settimeout(5)
            sent = [head + exchange.pattern(size) for size in (46, 47, 100, 1499, 1500)] * 20
            for frame in sent:
                sock.send(frame)
            got = [_next_from(sock, _OTHER) for _ in sent]
            assert got == [_LINUX + _OTHER + frame[12:] for frame in sent]
    finally:
        launcher.stop(process)


def _until_it_answers(sock, head):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            sock.send(head + bytes(46))
            _next_from(sock, _OTHER)
            break
        except OSError:
            # No carrier yet (ENETDOWN, or silence) until the launcher has opened the tap.
            time.sleep(0.05)
    else:
        pytest.fail("the launcher passes nothing on")
    try:
        while True:
            _next_from(sock, _OTHER)
    except TimeoutError:
        pass


def _next_from(sock, address):
    while True:
        frame = sock.recv(65536)
        if frame[6:12] == address:
            return frame


def test_launcher_ends_with_its_command_and_hands_on_its_status(tap):
    argv = [sys.executable, "-m", "tools.launcher", tap, sys.executable, "-c", "exit(3)"]
    assert subprocess.run(argv, cwd=ROOT, timeout=20).returncode == 3


def test_launcher_hands_on_ctrl_c(tap):
    sleep = "print('up', flush=True)\n"
    sleep = f"import time\ntry:\n {sleep} time.sleep(60)\nexcept KeyboardInterrupt: exit(4)"
    argv = [sys.executable, "-m", "tools.launcher", tap, sys.executable, "-c", sleep]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 4
    finally:
        launcher.stop(process)
        process.stdout.close()


def test_this_process_is_alone_in_its_network(network):
    names = {name for _, name in socket.if_nameindex()}
    assert "lo" in names and not any(name.startswith(("eth", "en", "wl")) for name in names)


def test_a_wrong_source_folder_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("MICROPYTHON_SRC", str(tmp_path))
    with pytest.raises(Missing, match="MICROPYTHON_SRC"):
        source.find()
