"""An emulated board as a target: each script runs on a board that has just been switched on."""

from tools import firmware
from tools.common import ROOT
from tools.qemu_board import Board
from tools.repl import BoardError

# A target whose name ends in -newest has the newest MicroPython that there is a source package of.
# As long as that is 1.26 or 1.27, its compiler has a fault (tools/viper_faults.py).
_BOARDS = {
    "cortex-m0": "NRF51",
    "cortex-m3": "MPS2_AN385",
    "cortex-m7": "MPS2_AN500",
    "rv32": "VIRT_RV32",
    "cortex-m3-newest": "MPS2_AN385",
}


class BoardTarget:
    """Like `targets.Target`, with the image "tests" (tools/firmware.py) in QEMU.

    Frames come and go through devices in memory, as on the other targets: the suite runs on the
    board itself, which reads it from the host's files.
    """

    def __init__(self, name):
        self.name = name
        self.board = _BOARDS[name]
        self.image = firmware.build(self.board, "tests", name.endswith("-newest"))

    def __str__(self):
        return f"{self.name} ({self.board} in QEMU, native code)"

    def run(self, script, *args, timeout=120, folders=(), check=True):
        """Runs a script of the project; see `targets.Target.run`."""
        places = (script, *folders, ROOT / "examples")  # its file system knows no ".."
        script, *folders = (f"/host/{path.relative_to(ROOT)}" for path in places)
        program = f"run({script!r}, {[str(arg) for arg in args]!r}, {folders!r})"
        with Board(self.board, self.image, files="source") as board:
            board.mount_files()
            try:
                return board.run(program, timeout)
            except BoardError as error:
                assert not check, f"{self}: {script}\n{error}"
                return f"{error}\n"
