"""MicroPython's own firmware for the Pico in rp2040js, its chips, and Linux on the other side."""

import subprocess
import sys

import pytest

from tools import compilers, exchange, netns, pico, rp2
from tools.common import ROOT, run
from tools.host import ADDRESS, LINUX, PORT
from tools.pico import Pico

pytestmark = pytest.mark.runs_on("pico")

_TAP = "tap-pico"


@pytest.fixture
def wire(network):
    """The name of a tap for the Pico."""
    netns.keep_tap(_TAP)
    netns.configure(_TAP, LINUX)
    yield _TAP
    netns.keep_tap(_TAP, False)


@pytest.fixture(scope="module")
def firmware(need):
    """`firmware(version, kind)`: the path of an image."""
    need(pico.ensure)
    return lambda version="oldest", kind="frozen": need(rp2.build, version, kind)


@pytest.mark.parametrize("version", rp2.VERSIONS)
def test_mpremote_runs_the_server(firmware, network, version):
    """`make pico-run`: the program that a person starts, on both versions of MicroPython."""
    firmware(version)
    done = subprocess.run(
        [sys.executable, "-m", "tools.pico_run", "w5500", version],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout
    assert "every answer was right" in done.stdout


def test_the_flash_keeps_what_is_written(firmware):
    """Files, a second boot, and a file system that the board has made by itself."""
    image = firmware(kind="bare")
    with Pico(image, chip=None) as board:
        board.run("with open('/kept', 'w') as f:\n f.write('x' * 5000)")
        flash = board.flash()
        assert board.statistics()["flash_writes"] > 8
    with Pico(image, chip=None, flash=flash) as board:
        assert board.run("print(len(open('/kept').read()))") == "5000\n"
    with Pico(image, chip=None, flash=pico.flash_image({"a/b.py": b"c = 1"})) as board:
        assert board.run("import a.b\nprint(a.b.c)") == "1\n"


def test_time_passes_as_on_the_wall(firmware):
    """A board that sleeps costs nothing, and its clock is not ahead of ours."""
    with Pico(firmware(kind="bare"), chip=None) as board:
        before = board.statistics()
        board.run("import time\ntime.sleep(2)")
        after = board.statistics()
        passed = {name: after[name] - before[name] for name in ("emulated", "wall")}
        assert 1.9 < passed["emulated"] <= passed["wall"] + 0.1


def test_a_compiler_with_a_fault_is_found(firmware, need, tmp_path):
    """The trial of every compiler passes; it fails where the fault of 1.26 and 1.27 can strike."""
    path = ROOT / "smolmpy" / "kernel" / "trial.py"
    text = path.read_text()
    assert "[i + 0]" in text
    struck = tmp_path / "struck.py"
    struck.write_text(text.replace("[i + 0]", "[i]"))
    files = {}
    for n, version in enumerate(compilers.VERSIONS):
        compiler = need(compilers.provide, version)
        for name, source in ((f"trial{n}", path), (f"struck{n}", struck)):
            target = tmp_path / f"{name}.mpy"
            run(compiler, "-march=armv6m", "-o", target, source)
            files[target.name] = target.read_bytes()
    faulty = [version.startswith(("1.26.", "1.27.")) for version in compilers.VERSIONS]
    with Pico(firmware(kind="bare"), chip=None, flash=pico.flash_image(files)) as board:
        for n in range(len(faulty)):
            assert board.run(f"import trial{n}\nprint(trial{n}.verdict())") == "None\n"
            said = board.run(f"import struck{n}\nprint(struck{n}.verdict())")
            assert said.startswith("this MicroPython compiles viper wrongly") == faulty[n]


def _serve(image, chip, wire, flash, talk):
    with Pico(image, chip, wire, flash) as board:
        board.start((ROOT / "examples" / "server.py").read_text())
        board.wait_for("answers")
        exchange.wait_for(ADDRESS, board.running, 300)
        talk()
        statistics = board.statistics()
    assert statistics["errors"] == []
    return statistics


@pytest.mark.parametrize("chip", ["w5500", "enc28j60"])
def test_server_on_each_chip(firmware, wire, chip):
    data = exchange.pattern(20_000)

    def talk():
        for size in (0, 1, 56, 1000, 1471, 1472):
            exchange.ping(ADDRESS, size, sequence=size, timeout=60)
        for n in range(65):
            assert exchange.udp(ADDRESS, PORT, bytes(n), timeout=60) == b"yo dawg"
        exchange.assert_reversed(data, exchange.tcp(ADDRESS, PORT, data, timeout=120))

    flash = pico.flash_image(pico.board_file(chip))
    statistics = _serve(firmware(), chip, wire, flash, talk)
    assert statistics["sent"] > 150
