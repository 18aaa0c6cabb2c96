"""MicroPython's own firmware for the Pico in rp2040js, its chips, and Linux on the other side."""

import http.client
import json
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from test_conformance import read_report
from tools import compilers, exchange, netns, pico, pico_bench, pico_install, rp2
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
    need(pico.emulator)
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


def test_quick_instructions_are_the_same(need):
    """tests/pico/quick.mjs beside rp2040js: each opcode, in many states."""
    folder = need(pico.emulator)
    argv = ["node", folder / "quick_check.mjs"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True)
    assert done.stdout == "same\n", done.stdout + done.stderr


def test_time_passes_as_on_the_wall(firmware):
    """A board that sleeps costs nothing, and its clock is not ahead of ours."""
    with Pico(firmware(kind="bare"), chip=None) as board:
        before = board.statistics()
        board.run("import time\ntime.sleep(2)")
        after = board.statistics()
        passed = {name: after[name] - before[name] for name in ("emulated", "wall")}
        assert 1.9 < passed["emulated"] <= passed["wall"] + 0.1


# Requests that come at each moment at which a board may be about to fall asleep: 10 to 800 us
# after its last answer began to leave.
_SWEEP = {"op": "ping", "size": 98, "count": 380, "pause": 0.01, "more": 0.0021}
_REST = {"op": "idle", "ms": 3000}


def _bench(version, *arguments):
    """Results of a plan, as `(operation, shares)`. In the sweep nobody waits for an answer until
    something else wakes the board."""
    plan, *rest = arguments
    found = pico_bench.measure("w5500", plan, *rest, version=version)
    for result in found["results"]:
        if "pause" in result:
            assert max(passed["time"] for passed in result["passed"]) < 2e6
    return [(result["op"], pico_bench.mean(result)) for result in found["results"]]


@pytest.mark.parametrize("version", rp2.VERSIONS)
def test_streams_fill_the_bus_and_the_idle_sleep(firmware, version):
    """`make pico-bench`: three quarters of what SPI can carry; and nobody is awake for nothing."""
    firmware(version)
    streams = [operation for operation, _ in pico_bench.OPERATIONS if "bytes" in operation]
    found = _bench(version, [_REST, *streams, _SWEEP, _REST])
    assert [op for op, _ in found] == ["idle", "sink", "source", "ping", "idle"]
    for op, shares in found:
        if op == "idle":
            assert shares["asleep"] > 0.99, shares
        elif op != "ping":
            assert shares["spi"] > 0.75, (op, shares)


@pytest.mark.parametrize(
    "program, wired, asleep", [("board", False, 0.8), ("aio", True, 0.98), ("aio", False, 0.6)]
)
def test_other_ways_to_wait(firmware, program, wired, asleep):
    """A board without the chip's interrupt, and asyncio."""
    firmware()
    plan = [_REST, _SWEEP] if wired else [_REST]
    for op, shares in _bench("oldest", plan, program, wired):
        assert op == "ping" or shares["asleep"] > asleep, shares


def test_measured_again_it_is_the_same(firmware):
    """Looked at closely or not; and each cycle has somebody's name."""
    firmware()
    plan = [operation for operation, _ in pico_bench.OPERATIONS if "bytes" not in operation]
    found = pico_bench.measure("w5100s", plan)
    again = pico_bench.measure("w5100s", plan, profile=True)
    functions = pico_bench.functions("oldest")
    for first, second in zip(found["results"], again["results"], strict=True):
        spent = second.pop("spent")
        assert first == second
        parts = pico_bench.owners(spent, functions)
        assert sum(parts.values()) == sum(cycles for _, cycles in spent)
        assert parts["the driver"] and parts["the stack"]


_LEAVE_AND_RETURN = """
import machine, time
usb = machine.USBDevice()
usb.builtin_driver = driver = usb.BUILTIN_CDC
usb.config(driver.desc_dev, driver.desc_cfg, [])
for active in (True, False, True):
    usb.active(active)
    time.sleep_ms(500)
print("back")
"""


def test_a_device_that_leaves_the_bus_is_enumerated_again(firmware):
    with Pico(firmware(kind="bare"), chip=None) as board:
        before = board.statistics()["connections"]
        assert "back" in board.run(_LEAVE_AND_RETURN)
        assert board.run("print(6 * 7)") == "42\n"
        assert board.statistics()["connections"] > before


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


@pytest.mark.parametrize("chip", pico.CHIPS)
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


def test_server_by_pins(firmware, wire):
    """W55RP20-EVB-Pico: a W5500 on pins that no SPI of the RP2040 reaches."""
    data = exchange.pattern(10_000)

    def talk():
        for size in (0, 1471, 1472):
            exchange.ping(ADDRESS, size, sequence=size, timeout=60)
        for n in range(20):
            assert exchange.udp(ADDRESS, PORT, bytes(n), timeout=60) == b"yo dawg"
        exchange.assert_reversed(data, exchange.tcp(ADDRESS, PORT, data, timeout=120))

    flash = pico.flash_image(pico.board_file("w55rp20"))
    statistics = _serve(firmware(), "w55rp20", wire, flash, talk)
    assert statistics["sent"] > 40


@pytest.mark.parametrize(
    "way, version", [("mpy", "oldest"), ("source", "oldest"), ("mip", "newest")]
)
def test_server_not_frozen(firmware, need, wire, way, version):
    """The board loads smolmpy from its flash, or compiles it, and serves more than once."""
    firmware(version, "bare")
    image, flash = need(pico_install.installed, way, version)
    data = exchange.pattern(10_000)

    def talk():
        exchange.ping(ADDRESS, 1472, timeout=60)
        for n in range(20):
            assert exchange.udp(ADDRESS, PORT, bytes(n), timeout=60) == b"yo dawg"
        exchange.assert_reversed(data, exchange.tcp(ADDRESS, PORT, data, timeout=120))

    _serve(image, "w5500", wire, flash, talk)


def _get(path):
    """An HTTP request by the standard library: (status, body)."""
    connection = http.client.HTTPConnection(ADDRESS, timeout=120)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("chip, version", [("w5500", "newest"), ("enc28j60", "oldest")])
def test_http_server(firmware, wire, chip, version):
    files = pico.board_file(chip)
    for name in ("http_server", "http_server_page", "options"):
        compiled = pico.compile_mpy(ROOT / "examples" / f"{name}.py", version)
        files[f"{name}.mpy"] = compiled
    with Pico(firmware(version), chip, wire, pico.flash_image(files)) as board:
        board.start("import http_server\nhttp_server.main([])")
        board.wait_for("with 4 sockets")
        exchange.wait_for(ADDRESS, board.running, 300)
        status, body = _get("/status.json")
        assert status == 200
        assert json.loads(body)["counters"]["tcp_rx"] > 0
        with ThreadPoolExecutor(6) as clients:  # more than there are sockets
            found = list(clients.map(_get, ["/", "/status.json", "/none"] * 4))
        assert [status for status, _ in found] == [200, 200, 404] * 4
        assert all(body.startswith(b"<!") or b"<html" in body for _, body in found[::3])
        assert board.statistics()["errors"] == []


@pytest.mark.parametrize("chip, version", [("w5100s", "newest"), ("w5500", "oldest")])
def test_asyncio_on_network_lan(firmware, wire, chip, version):
    program = (ROOT / "tests" / "pico" / "programs" / "aio_server.py").read_text()
    lines = [f"line {n} {'x' * (n * 37 % 900)}\n".encode() for n in range(40)]

    def client(_):
        with (
            socket.create_connection((ADDRESS, 7000), 120) as sock,
            sock.makefile("rwb") as stream,
        ):
            for line in lines:
                stream.write(line)
                stream.flush()
                assert stream.readline() == line.upper()
            stream.write(b"beats\n\n")
            stream.flush()
            beats = int(stream.readline())
            assert stream.read() == b""  # it closes
            return beats

    flash = pico.flash_image(pico.board_file(chip))
    with Pico(firmware(version), chip, wire, flash) as board:
        board.start(program)
        board.wait_for("serving")
        exchange.wait_for(ADDRESS, board.running, 300)
        with ThreadPoolExecutor(3) as clients:
            assert all(beats > 0 for beats in clients.map(client, range(3)))
        assert board.statistics()["errors"] == []


@pytest.mark.parametrize("version", rp2.VERSIONS)
def test_server_with_its_heap_locked(firmware, wire, version):
    """Pings, datagrams and a stream, and nothing is allocated: on the real SPI, with DMA."""
    data = exchange.pattern(30_000)
    files = pico.board_file("w5500")
    sources = {"server": ROOT / "examples", "locked_server": ROOT / "tests" / "firmware"}
    for name, folder in sources.items():
        files[f"{name}.mpy"] = pico.compile_mpy(folder / f"{name}.py", version)
    with Pico(firmware(version), "w5500", wire, pico.flash_image(files)) as board:
        board.start("import locked_server\nlocked_server.main()")
        board.wait_for("the heap is locked")
        exchange.wait_for(ADDRESS, board.running, 300)
        for sequence in range(60):
            exchange.ping(ADDRESS, sequence * 97 % 1473, sequence, timeout=60)
        for n in range(65):
            assert exchange.udp(ADDRESS, PORT, bytes(n), timeout=60) == b"yo dawg"
        exchange.assert_reversed(data, exchange.tcp(ADDRESS, PORT, data, timeout=120))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"stop", (ADDRESS, 6970))
        report = dict(line.rsplit(" ", 1) for line in board.finish().splitlines() if " " in line)
        assert board.statistics()["errors"] == []
    assert report["allocated"] == "0"
    assert int(report["icmp_echo"]) >= 60 and report["udp_tx"] == "65"
    assert not any(int(count) for name, count in report.items() if name.startswith("device "))


# A few of those that say most about this firmware: its compiler's code, small ints of 31 bits, the
# heap. A module takes up to a minute; all of them run on the boards in QEMU.
_SCENARIOS = {
    "oldest": ("test_trial", "test_buffers", "test_udp"),
    "newest": ("test_trial", "test_heap"),
}


@pytest.mark.parametrize("version", rp2.VERSIONS)
def test_conformance(firmware, version):
    """A part of the scenarios of tests/conformance, each module on a Pico just switched on."""
    folder = ROOT / "tests" / "conformance"
    files = {}
    for path in sorted(folder.glob("*.py")):
        if not path.stem.startswith("test_") or path.stem in _SCENARIOS[version]:
            # Assertions stay in.
            files[f"t/{path.stem}.mpy"] = pico.compile_mpy(path, version, optimize=0)
    flash = pico.flash_image(files)
    program = "import sys\nsys.path.append('/t')\nimport run\nrun.main([{!r}])"
    for module in _SCENARIOS[version]:
        with Pico(firmware(version), None, flash=flash) as board:
            results, ended = read_report(board.run(program.format(module), 120))
        assert ended and results, module
        failed = {
            name: details for name, (outcome, details) in results.items() if outcome == "FAIL"
        }
        assert not failed, f"{module}: {failed}"
