"""Firmware on an emulated Cortex-M3: its clock, its MAC on a tap, and the server that runs there.

The heap is locked wherever frames go: here, where small ints have 31 bits, that proves most.
"""

import contextlib
import re
import socket
import struct
import subprocess
import sys
import time

import pytest

from tools import exchange, firmware, netns
from tools.common import ROOT
from tools.host import ADDRESS, LINUX, PORT
from tools.qemu_board import Board, tap
from tools.repl import BoardError

pytestmark = pytest.mark.runs_on("cortex-m3")

_BOARD = "MPS2_AN385"
_TAP = "tap-m3"
_MAC = b"\2\0\0\0\0\1"
_TYPE = 0x88B5  # IEEE 802: for experiments
_STOP = 0x88B6
_SCRIPTS = ROOT / "tests" / "firmware"
_SIOCSIFMTU = 0x8922


@pytest.fixture(scope="module")
def image(need):
    return need(firmware.build, _BOARD)


@pytest.fixture
def wire(network):
    """The name of a tap for the board."""
    netns.keep_tap(_TAP)
    netns.configure(_TAP, LINUX)
    yield _TAP
    netns.keep_tap(_TAP, False)


@pytest.fixture
def board(image):
    with Board(_BOARD, image) as board:
        yield board


def test_native_code_is_frozen(board):
    assert board.run("import smolmpy.kernel\nprint(smolmpy.kernel.EDITION)") == "thumb\n"
    assert board.run("import sys\nprint(sys.maxsize)") == "2147483647\n"
    assert board.run("print(smolmpy.__file__)") == "smolmpy/__init__.py\n"


def test_code_frozen_off_word_boundaries_is_not_used(need):
    """What MicroPython's mpy-tool.py makes for ARMv6-M as it is: an import says so."""
    with Board("NRF51", need(firmware.build, "NRF51", "unaligned")) as board:
        with pytest.raises(BoardError, match="frozen off word boundaries"):
            board.run("from smolmpy import UDPSocket")


def test_errors_of_programs_are_reported(board):
    with pytest.raises(BoardError, match="ZeroDivisionError"):
        board.run("1 / 0")
    with pytest.raises(BoardError, match="SyntaxError"):
        board.run("def f(:")
    assert board.run("print(6 * 7)") == "42\n"


_CLOCK = """
ms = 0
import smolmpy_board as board
from array import array
from micropython import heap_lock, heap_unlock
a = array("I", (0, 0, 0, 0))
@micropython.viper
def counter(out, i: int):
    ptr32(out)[i] = ptr32(0x40028018)[0]
def waited():
    counter(a, 0)
    t0 = board.ticks_ms()
    for _ in range(20):
        board.wait(None, 7)
    t1 = board.ticks_ms()
    counter(a, 1)
    return t1 - t0
board.ticks_ms()
heap_lock()
ms = waited()
heap_unlock()
print(ms, (a[1] - a[0]) // 25000)
# As if the last call were almost a wrap ago; then in small steps over several wraps.
clock = board._clock
counter(a, 0)
clock[0] = (a[0] - 4294960000) & 0xFFFFFFFF
clock[1] = 5
print(board.ticks_ms())
for step in (1, 24999, 25000, 25001, 1000003, 2147483647, 3221225472, 4000000000):
    counter(a, 0)
    clock[0] = (a[0] - step) & 0xFFFFFFFF
    clock[1] = 1073741823
    print(board.ticks_ms(), step // 25000)
"""


def test_clock(image):
    """The 25 MHz counter as milliseconds: exact, over its wrap and its own, with no allocation."""
    with Board(_BOARD, image, icount=True) as board:
        first, wrapped, *steps = board.run(_CLOCK).splitlines()
    waited, real = map(int, first.split())
    assert abs(waited - real) <= 1 and 140 <= waited < 150
    assert wrapped == str(5 + 4294960000 // 25000)
    for line in steps:
        got, passed = map(int, line.split())
        # The clock stood at 2^30 - 1, so it wraps with the first millisecond.
        assert got in ((passed - 1) % (1 << 30), passed), line


def test_the_chips_own_address(board):
    assert board.run("import smolmpy_board\nprint(smolmpy_board.device(None).mac)") == (
        "b'RT\\x00\\x124V'\n"  # QEMU's 52-54-00-12-34-56
    )


def test_no_chip(board):
    program = """
from array import array
from uctypes import addressof
from smolmpy.phy.lan9118 import LAN9118
nothing = array("I", [0] * 64)
try:
    LAN9118(addressof(nothing), b"\\2\\0\\0\\0\\0\\1")
except OSError as error:
    print(error)
"""
    assert "BYTE_TEST is 0x00000000" in board.run(program)


class _Wire:
    """Linux's end of the tap, for frames of type _TYPE."""

    def __init__(self, name):
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_TYPE))
        self.sock.bind((name, _TYPE))
        self.sock.settimeout(60)

    def send(self, payload, kind=_TYPE, to=_MAC):
        self.sock.send(to + b"\2\0\0\0\0\x63" + struct.pack("!H", kind) + payload)

    def answer(self):
        return self.sock.recv(4096)[14:]


@contextlib.contextmanager
def _echo(image, wire, shift):
    with Board(_BOARD, image, tap(wire)) as board:
        board.start((_SCRIPTS / "echo.py").read_text() + f"\nmain({shift})\n")
        board.wait_for("ready")
        linux = _Wire(wire)
        with linux.sock:
            yield linux, board


def _finish(linux, board):
    linux.send(b"", _STOP)
    report, counters = board.finish().strip().splitlines()
    answered, errors = re.match(r"answered (\d+), errors (.*), intact True", report).groups()
    return int(answered), errors, counters


@pytest.mark.parametrize("shift", [2, 3, 4, 5])
def test_frames_of_every_length(image, wire, shift):
    """Whole words where the buffer lies right, bytes where it does not."""
    sizes = [*range(70), *range(1430, 1501)]
    with _echo(image, wire, shift) as (linux, board):
        for n in sizes:
            payload = exchange.pattern(n)
            linux.send(payload)
            wanted = bytes(byte ^ 255 for byte in payload)
            assert linux.answer()[:n] == wanted
        assert _finish(linux, board) == (len(sizes), "{}", "{}")


def test_a_frame_that_is_too_long_and_those_after_it(image, wire):
    mtu = struct.pack("16si12x", wire.encode(), 2000)
    with socket.socket() as sock:
        netns.fcntl.ioctl(sock, _SIOCSIFMTU, mtu)
    with _echo(image, wire, 2) as (linux, board):
        # Many times what its FIFO holds in all.
        for _ in range(40):
            linux.send(bytes(1501))
            linux.send(bytes(1987))
            linux.send(b"between")
            assert linux.answer()[:7] == bytes(byte ^ 255 for byte in b"between")
        answered, errors, counters = _finish(linux, board)
    assert (answered, errors) == (40, "{90: 80}")
    assert counters == "{'rx_too_long': 80}"


def test_more_frames_than_the_fifo_holds(image, wire):
    with _echo(image, wire, 2) as (linux, board):
        linux.sock.settimeout(0.5)
        answers = 0
        for _ in range(5):
            for _ in range(200):
                linux.send(bytes(1500))
            with contextlib.suppress(TimeoutError):
                while True:
                    assert linux.answer() == b"\xff" * 1500
                    answers += 1
        linux.send(b"still here")
        assert linux.answer()[:10] == bytes(byte ^ 255 for byte in b"still here")
        answered, errors, _ = _finish(linux, board)
    assert answers >= 25 and answered == answers + 1 and errors == "{}"


def test_destination_filter(image, wire):
    with _echo(image, wire, 2) as (linux, board):
        linux.sock.settimeout(0.3)
        linux.send(b"other", to=b"\2\0\0\0\0\2")
        with pytest.raises(TimeoutError):
            linux.answer()
        for to in (b"\xff" * 6, b"\1\0\x5e\0\0\1", _MAC):
            linux.send(b"mine", to=to)
            assert linux.answer()[:4] == bytes(byte ^ 255 for byte in b"mine")
        assert _finish(linux, board)[0] == 3


@contextlib.contextmanager
def _server(board, paths=()):
    """The locked server runs on the board; when it was told to stop, the dict holds its report."""
    board.mount_files()
    paths = ["/host/tests/firmware", "/host/examples", *paths]
    program = f"import sys\nsys.path.extend({paths!r})\nimport locked_server\nlocked_server.main()"
    board.start(program)
    board.wait_for("the heap is locked")
    report = {}
    exchange.wait_for(ADDRESS, board.running)
    yield report
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"stop", (ADDRESS, 6970))
    for line in board.finish().split("\n"):
        name, _, value = line.rpartition(" ")
        if name:
            report[name] = int(value)


def test_server_with_its_heap_locked(image, wire):
    """1,000 pings, 1,000 datagrams and 100 KiB over TCP, and nothing allocated."""
    data = exchange.pattern(100 * 1024)
    with Board(_BOARD, image, tap(wire), files="source") as board, _server(board) as report:
        for sequence in range(1000):
            exchange.ping(ADDRESS, sequence * 3 % 1473, sequence)
        for n in range(1000):
            assert exchange.udp(ADDRESS, PORT, bytes(n % 65)) == b"yo dawg"
        exchange.assert_reversed(data, exchange.tcp(ADDRESS, PORT, data))
    assert report["allocated"] == 0
    assert report["icmp_echo"] >= 1000
    assert report["udp_tx"] == 1000 and report["udp_rx"] == 1001
    assert not any(value for name, value in report.items() if name.startswith("device "))


@pytest.mark.parametrize("kind, heap", [("source", "compiling"), ("mpy", "bare")])
def test_server_not_frozen(need, wire, kind, heap):
    """The board compiles smolmpy and the server itself on 256 KiB, or loads .mpy on 192."""
    image = need(firmware.build, _BOARD, heap)
    data = exchange.pattern(10_000)
    paths = ["/host", "/host/boards/MPS2_AN385"]
    with Board(_BOARD, image, tap(wire), files=kind) as board:
        with pytest.raises(BoardError, match="ImportError"):
            board.run("import smolmpy")
        with _server(board, paths) as report:
            exchange.ping(ADDRESS, 1472)
            assert exchange.udp(ADDRESS, PORT, b"hello") == b"yo dawg"
            exchange.assert_reversed(data, exchange.tcp(ADDRESS, PORT, data))
        free = int(board.run("import gc\ngc.collect()\nprint(gc.mem_free())"))
    assert report["allocated"] == 0
    assert free > 20_000


def test_too_little_to_compile_is_said(need):
    image = need(firmware.build, _BOARD, "bare")
    with Board(_BOARD, image, files="source") as board:
        board.mount_files()
        board.run("import sys\nsys.path[:] = ['/host']\nspoilt = bytearray(100_000)")
        with pytest.raises(BoardError, match="256 KB: use .mpy files"):
            board.run("from smolmpy import TCPSocket")


def test_mpremote_runs_the_server(image, network):
    """`make board-run`: the program that a person starts."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.board_run", _BOARD],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert "every answer of MPS2_AN385 was right" in done.stdout


def test_qemu_ends_with_the_block(image):
    with Board(_BOARD, image) as board:
        process = board._process
        board.start("while True:\n pass")
        time.sleep(0.1)
        assert board.running()
    assert process.poll() is not None
    with pytest.raises(RuntimeError):
        with Board(_BOARD, image) as board:
            process = board._process
            raise RuntimeError
    assert process.poll() is not None
