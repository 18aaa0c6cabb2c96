"""Every board's smolmpy_board.py, run against the model of its chip; its README and manifest.

The wiring is taken from the table of the README: a pin that the two name differently leads
nowhere, and the chip does not answer. Each way of installing is carried out into a folder, and the
board's module runs from there: what was left out is not found.
"""

import json
import re
import shutil
import subprocess
import sys

import pytest

from tools import bytecode, exchange, source
from tools.common import ROOT
from tools.host import ADDRESS, PORT, Host

CHIPS = {"W5500": "w5500", "W5100S": "w5100s", "W6100": "w6100", "ENC28J60": "enc28j60"}
SIGNALS = {
    "MISO": "miso", "SO": "miso", "MOSI": "mosi", "SI": "mosi",
    "SCK": "sck", "CS": "cs", "RST": "rst", "INT": "int",
}  # fmt: skip
SMALL = {"NUCLEO_F446RE_W5500"}
XTENSA = {"ESP32_W5500", "ESP32_S3_ETH", "T_ETH_LITE_S3"}
# Where a driver of MicroPython finds the pins of a bus by its number.
FIXED = {"NUCLEO_F446RE_W5500": {"sck", "mosi", "miso"}}
CLOCKS = {"w5500": 33_300_000, "w5100s": 33_300_000, "w6100": 33_300_000, "enc28j60": 20_000_000}
# Those whose chip is on SPI.
BOARDS = sorted(
    path.parent.name
    for path in (ROOT / "boards").glob("*/README.md")
    if "| signal of the " in path.read_text()
)


def wiring(board):
    """(chip, {signal: pin}) of the README's table; pins as the board's code names them."""
    text = (ROOT / "boards" / board / "README.md").read_text()
    chip = re.search(r"\| signal of the (\w+)", text)[1]
    rows = re.findall(r"^\| (\w+) \| (\w+) \|", text, re.MULTILINE)
    pins = {SIGNALS[signal]: pin for signal, pin in rows if signal in SIGNALS}
    if not board.startswith("CIRCUITPYTHON"):
        pins = {signal: re.sub("^(GPIO|GP)", "", pin) for signal, pin in pins.items()}
    return CHIPS[chip], pins


def test_boards_are_found():
    assert len(BOARDS) >= 13, BOARDS


def test_boards_are_listed():
    """boards/README.md has a row for each folder that a program can be run with."""
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "boards" / "README.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(
        path.parent.name for path in (ROOT / "boards").glob("*/smolmpy_board.py")
    )


def check(target, folder, chip, pins):
    """Runs board_check.py: (signals and their pins as asked for, bus, clock)."""
    pairs = [f"{pin}={signal}" for signal, pin in pins.items()]
    script = ROOT / "tests" / "models" / "board_check.py"
    *said, output, last = target.run(script, str(folder), chip, *pairs).splitlines()
    assert last == "ok"
    # What a device says of itself, three times: the clock that the bus has, not that asked for.
    assert len(said) == 3
    for line in said:
        assert re.fullmatch(chip.upper() + r" at 12345678 Hz, 02(:[0-9a-f]{2}){5}", line), line
    asked = dict(pair.split("=") for pair in output.split())
    bus, clock = asked.pop("bus").split(",")
    return asked, bus, int(clock)


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("target", ["unix64", "unix32", "bytecode", "cpython"], indirect=True)
def test_board(board, target):
    chip, pins = wiring(board)
    assert set(pins) == {"miso", "mosi", "sck", "cs", "rst", "int"}
    asked, bus, clock = check(target, ROOT / "boards" / board, chip, pins)
    assert 20_000_000 <= clock <= CLOCKS[chip] or bus == "pins"
    for signal in FIXED.get(board, ()):
        assert signal not in asked
        asked[signal] = pins[signal]
    assert asked == pins


def freeze(board, need, scratch):
    """{file on the board: file here} of what a manifest freezes, as MicroPython reads it."""
    source_folder = need(source.find)
    if board.startswith("CIRCUITPYTHON"):
        need(bytecode.ensure)
    (scratch / "boards").mkdir()
    (scratch / "boards" / "manifest.py").write_text("")
    code = f"""
import json, sys
sys.path.insert(0, "{source_folder}/tools")
import manifestfile
paths = {{"PORT_DIR": "{scratch}", "MPY_LIB_DIR": ""}}
m = manifestfile.ManifestFile(manifestfile.MODE_FREEZE, paths)
m.execute("{ROOT}/boards/{board}/manifest.py")
print(json.dumps({{f.target_path: f.full_path for f in m.files()}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("board", BOARDS)
def test_manifest(board, need, tmp_path):
    """MicroPython's own reader finds what the board's program imports, and little else."""
    files = set(freeze(board, need, tmp_path))
    chip = wiring(board)[0]
    wanted = {"smolmpy_board.py", "smolmpy/__init__.py", "smolmpy/phy/spi.py"}
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
    extras = {"smolmpy/compat/socket.py", "smolmpy/compat/network.py", "smolmpy/services/dhcp.py"}
    assert bool(files & extras) == (board not in SMALL)
    # No CPU is asked to run the assembly of another.
    thumb = {name for name in files if name.endswith("thumb.py")}
    assert bool(thumb) == (board not in XTENSA), thumb


@pytest.mark.parametrize("board", BOARDS)
def test_ways_to_install(board):
    """Only those are offered for which there is room: with 64 KB of files there is none."""
    text = (ROOT / "boards" / board / "README.md").read_text()
    offers = "mip install" in text
    assert offers == (board not in SMALL and not board.startswith("CIRCUITPYTHON"))


@pytest.mark.parametrize("way", ["frozen", "mip", "copied"])
@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("target", ["cpython"], indirect=True)
def test_installed(board, way, target, need, tmp_path):
    """The board's module with nothing of smolmpy but what came there by that way."""
    circuitpython = board.startswith("CIRCUITPYTHON")
    folder = tmp_path / board
    if way == "frozen":
        files = freeze(board, need, tmp_path)
        # The kernel of a board is none for this interpreter.
        files["smolmpy/kernel/plain.py"] = ROOT / "smolmpy" / "kernel" / "plain.py"
    else:
        urls = json.loads((ROOT / "package.json").read_text())["urls"]
        files = {name: ROOT / path for name, path in urls}
        if way == "copied":
            edition = need(bytecode.ensure) if circuitpython else ROOT
            files = {
                str(path.relative_to(edition)): path
                for path in (edition / "smolmpy").rglob("*.py")
            }
        for path in (ROOT / "boards" / board).glob("*.py"):
            files[path.name] = path
    for name, path in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    check(target, folder, *wiring(board))


def other_boards():
    """The rows of ANY_BOARD's table of boards: (bus, {signal: pin})."""
    readme = (ROOT / "boards" / "ANY_BOARD" / "README.md").read_text()
    signals = ("sck", "mosi", "miso", "cs", "rst", "int")
    for row in re.findall(r"^\| \w[^|]+ ((?:\| \d+ ){7})\|$", readme, re.MULTILINE):
        bus, *pins = re.findall(r"\d+", row)
        yield bus, dict(zip(signals, pins, strict=True))


WIRES_LEFT_OUT = [("W6100", ()), ("W5100S", ("rst",)), ("ENC28J60", ("int",))]


@pytest.mark.parametrize("chip, without", [*WIRES_LEFT_OUT, ("W5500", ("rst", "int"))])
@pytest.mark.parametrize("bus, pins", [("None", wiring("ANY_BOARD")[1]), *other_boards()])
@pytest.mark.parametrize("target", ["cpython"], indirect=True)
def test_any_board(chip, bus, pins, without, target, tmp_path):
    """Its module with the pins of each row of the table, each chip, and fewer wires."""
    text = (ROOT / "boards" / "ANY_BOARD" / "smolmpy_board.py").read_text()
    names = {"rst": "reset", "int": "interrupt"}
    changes = {"bus": bus, "baudrate": "20_000_000"}
    changes |= {names.get(signal, signal): pin for signal, pin in pins.items()}
    changes |= {names[signal]: "None" for signal in without}
    for name, value in changes.items():
        text, n = re.subn(rf"    {name}=\w+,", f"    {name}={value},", text)
        assert n == 1, name
    text = text.replace("W5500", chip).replace("phy.w5500", f"phy.{CHIPS[chip]}")
    (tmp_path / "smolmpy_board.py").write_text(text)
    pins = {signal: pin for signal, pin in pins.items() if signal not in without}
    asked, asked_bus, clock = check(target, tmp_path, CHIPS[chip], pins)
    assert (asked, clock) == (pins, 20_000_000)
    assert asked_bus == ("soft" if bus == "None" else bus)


def test_the_drawing():
    """The pins of ANY_BOARD's drawing are those of its table."""
    readme = (ROOT / "boards" / "ANY_BOARD" / "README.md").read_text()
    drawn = re.findall(r"- (\d+)  (\S+) -+ (\w+)$", readme, re.MULTILINE)
    table = re.findall(r"^\| (\w+) \| (\S+) \| (\d+) \|$", readme, re.MULTILINE)
    assert len(table) == 8
    assert sorted((signal, pin, number) for number, pin, signal in drawn) == sorted(table)


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
