"""Examples as hosts and as programs: on the unix port over a tap, and on an emulated board."""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time

from tools import exchange, firmware, netns
from tools.common import ROOT, Missing
from tools.host import ADDRESS, LINUX, Host, command
from tools.launcher import die_with_parent, stop
from tools.qemu_board import Board, tap

EXAMPLES = ROOT / "examples"
PEER = LINUX.partition("/")[0]
TAP = "tap4"
BOARD = "MPS2_AN385"


def require(*programs):
    """Raises Missing for the first program that is not installed."""
    for program in programs:
        if not shutil.which(program) and not os.path.exists(f"/usr/sbin/{program}"):
            raise Missing(f"{program} is missing: 'make deps' brings it.")


class UnixHost(Host):
    """A script with arguments on a tap; as a context it runs and answers pings."""

    def __init__(self, target, script, *args):
        super().__init__(
            target.interpreter, script, tap=TAP, folders=[EXAMPLES], edition=target.edition
        )
        self.argv += args

    def __enter__(self):
        super().__enter__()
        try:
            exchange.wait_for(ADDRESS, self.running)
        except BaseException:
            self.__exit__()
            print(self.output)
            raise
        return self


class BoardHost:
    """The same on the emulated board, whose firmware has smolmpy frozen in."""

    def __init__(self, image, script, *args):
        self.board = Board(BOARD, image, tap(TAP), files="source")
        self.script = script.relative_to(ROOT)
        self.args = list(args)

    def __enter__(self):
        netns.keep_tap(TAP)
        netns.configure(TAP, LINUX)
        try:
            self.board.__enter__()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        start(self.board, self.script, self.args)
        exchange.wait_for(ADDRESS, self.running)

    def running(self):
        return self.board.running()

    def __exit__(self, *_):
        self.board.close()
        netns.keep_tap(TAP, False)


def start(board, script, args):
    """Starts a script of the project on a board, as `mpremote run` would."""
    board.mount_files()
    board.run("import gc\ngc.threshold(16000)")  # what compiling leaves must not split the heap
    board.start(f"run('/host/{script}', {[str(arg) for arg in args]!r}, ['/host/examples'])")


def host(place, need, script, *args):
    """A script running at `place`, a target's name or "board"."""
    import targets

    if place == "board":
        return BoardHost(need(firmware.build, BOARD), script, *args)
    return UnixHost(need(targets.get, place), script, *args)


@contextlib.contextmanager
def linux_tap():
    """A tap that programs come to and go from, with Linux at the other end."""
    netns.keep_tap(TAP)
    try:
        netns.configure(TAP, LINUX)
        yield TAP
    finally:
        netns.keep_tap(TAP, False)


def run(place, need, script, *args, timeout=120):
    """Runs an example to its end: (status, standard output as bytes, standard error as text).

    A board has but one output, and no status: 0, or 1 if it printed the example's name and a
    colon, as the examples do when they give up.
    """
    import targets

    if place == "board":
        with Board(BOARD, need(firmware.build, BOARD), tap(TAP), files="source") as board:
            start(board, f"examples/{script}", args)
            text = board.finish(timeout)
        failed = re.search(rf"(?m)^{re.escape(script)}: ", text)
        return int(bool(failed)), text.encode(), text if failed else ""
    target = need(targets.get, place)
    argv, env = command(target.interpreter, EXAMPLES / script, TAP, edition=target.edition)
    done = subprocess.run(
        [*argv, *map(str, args)],
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
    )
    return done.returncode, done.stdout, done.stderr.decode()


class Process:
    """A program in the background; `wait_for` looks at what it has printed."""

    def __init__(self, *argv, **options):
        self._log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [str(arg) for arg in argv],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
            **options,
        )

    def printed(self):
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    def wait_for(self, text, count=1, timeout=60):
        end = time.monotonic() + timeout
        while self.printed().count(text) < count:
            assert self.process.poll() is None, f"it has ended\n{self.printed()}"
            assert time.monotonic() < end, f"{text!r} did not come\n{self.printed()}"
            time.sleep(0.02)

    def finish(self, timeout=60):
        """Waits for its end; the status."""
        return self.process.wait(timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        stop(self.process)
        self._log.close()


def example(target, script, *args):
    """An example in the background on the tap of `linux_tap`."""
    argv, env = command(target.interpreter, EXAMPLES / script, TAP, edition=target.edition)
    return Process(*argv, *args, env=env, cwd=ROOT)
