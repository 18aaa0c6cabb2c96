"""Every board's smolmpy_board.py, run against the model of its chip; its README and manifest.

The wiring is taken from the table of the README: a pin that the two name differently leads
nowhere, and the chip does not answer.
"""

import re
import subprocess
import sys

import pytest

from tools import bytecode, exchange, source
from tools.common import ROOT
from tools.host import ADDRESS, PORT, Host

CHIPS = {"W5500": "w5500", "W5100S": "w5100s", "ENC28J60": "enc28j60"}
SIGNALS = {
    "MISO": "miso", "SO": "miso", "MOSI": "mosi", "SI": "mosi",
    "SCK": "sck", "CS": "cs", "RST": "rst", "INT": "int",
}  # fmt: skip
SMALL = {"NUCLEO_F446RE_W5500"}
# Where a driver of MicroPython finds the pins of a bus by its number.
FIXED = {"NUCLEO_F446RE_W5500": {"sck", "mosi", "miso"}}
CLOCKS = {"w5500": 33_300_000, "w5100s": 33_300_000, "enc28j60": 20_000_000}
BOARDS = sorted(
    path.name for path in (ROOT / "boards").iterdir() if any(chip in path.name for chip in CHIPS)
)


def wiring(board):
    """(chip, {signal: pin}) of the README's table; pins as the board's code names them."""
    text = (ROOT / "boards" / board / "README.md").read_text()
    chip = re.search(r"\| signal of the (\w+)", text)[1]
    rows = re.findall(r"^\| (\w+) \| (\w+) \|$", text, re.MULTILINE)
    pins = {SIGNALS[signal]: pin for signal, pin in rows if signal in SIGNALS}
    if not board.startswith("CIRCUITPYTHON"):
        pins = {signal: re.sub("^(GPIO|GP)", "", pin) for signal, pin in pins.items()}
    return CHIPS[chip], pins


def test_boards_are_found():
    assert len(BOARDS) >= 8, BOARDS


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("target", ["unix64", "unix32", "bytecode", "cpython"], indirect=True)
def test_board(board, target):
    chip, pins = wiring(board)
    assert set(pins) == {"miso", "mosi", "sck", "cs", "rst", "int"}
    pairs = [f"{pin}={signal}" for signal, pin in pins.items()]
    script = ROOT / "tests" / "models" / "board_check.py"
    *said, output, last = target.run(script, board, chip, *pairs).splitlines()
    assert last == "ok"
    # What a device says of itself, three times: the clock that the bus has, not that asked for.
    name = chip.upper()
    assert len(said) == 3
    for line in said:
        assert re.fullmatch(name + r" at 12345678 Hz, 02(:[0-9a-f]{2}){5}", line), line
    output = output.split()
    asked = dict(pair.split("=") for pair in output)
    clock = int(asked.pop("bus").split(",")[1])
    assert 20_000_000 <= clock <= CLOCKS[chip]
    for signal in FIXED.get(board, ()):
        assert signal not in asked
        asked[signal] = pins[signal]
    assert asked == pins


@pytest.mark.parametrize("board", BOARDS)
def test_manifest(board, need, tmp_path):
    """MicroPython's own reader finds what the board's program imports, and little else."""
    source_folder = need(source.find)
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "manifest.py").write_text("")
    code = f"""
import sys
sys.path.insert(0, "{source_folder}/tools")
import manifestfile
paths = {{"PORT_DIR": "{tmp_path}", "MPY_LIB_DIR": ""}}
m = manifestfile.ManifestFile(manifestfile.MODE_FREEZE, paths)
m.execute("{ROOT}/boards/{board}/manifest.py")
for f in m.files():
    print(f.target_path)
"""
    if board.startswith("CIRCUITPYTHON"):
        need(bytecode.ensure)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    files = set(done.stdout.split())
    chip = wiring(board)[0]
    wanted = {"smolmpy_board.py", "smolmpy/__init__.py", "smolmpy/phy/spi.py"}
    if chip == "w5100s":
        wanted.add("smolmpy/phy/w5500.py")
    wanted |= {f"smolmpy/phy/{chip}.py", "smolmpy/iface/interface.py", "smolmpy/sockets/udp.py"}
    assert wanted <= files
    local = {path.name for path in (ROOT / "boards" / board).glob("*.py")} - {"manifest.py"}
    assert local <= files
    if board.startswith("CIRCUITPYTHON"):
        return
    common = ("smolmpy/kernel/__init__.py", "smolmpy/kernel/trial.py")
    kernels = {name for name in files if "/kernel/" in name and name not in common}
    assert len(kernels) == 1, kernels
    assert not files & {"smolmpy/phy/tap.py", "smolmpy/phy/lan9118.py"}
    # What is built upon sockets does not fit everywhere.
    extras = {"smolmpy/socket.py", "smolmpy/network.py", "smolmpy/services/dhcp.py"}
    assert bool(files & extras) == (board not in SMALL)
    # No CPU is asked to run the assembly of another.
    thumb = {name for name in files if name.endswith("thumb.py")}
    assert bool(thumb) == (not board.startswith("ESP32")), thumb


@pytest.mark.parametrize("board", BOARDS)
def test_ways_to_install(board):
    """Only those are offered for which there is room: with 64 KB of files there is none."""
    text = (ROOT / "boards" / board / "README.md").read_text()
    offers = "mip install" in text
    assert offers == (board not in SMALL and not board.startswith("CIRCUITPYTHON"))


@pytest.mark.parametrize("chip", CHIPS.values())
@pytest.mark.parametrize("target", ["unix64", "unix32"], indirect=True)
def test_linux_talks_to_a_chip(chip, target, network):
    """examples/server.py with the driver over the model over a tap: ping, UDP and TCP."""
    host = Host(
        target.interpreter, ROOT / "tests" / "models" / "board" / "main.py", edition=target.edition
    )
    host.env["SMOLMPY_CHIP"] = chip
    problem = None
    with host:
        try:
            exchange.wait_for(ADDRESS, host.running)
            for size in (0, 1, 56, 999, 1472):
                exchange.ping(ADDRESS, size)
            assert exchange.udp(ADDRESS, PORT, b"hello") == b"yo dawg"
            data = exchange.pattern(16384)
            exchange.assert_reversed(data, exchange.tcp(ADDRESS, PORT, data))
        except (AssertionError, OSError) as wrong:
            problem = wrong
    assert not problem and not host.ended_early, f"{problem}\n{host.output}"
