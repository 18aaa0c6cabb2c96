"""Measures the web server microdot on smolmpy's sockets, beside the same on the kernel's.

    python3 -m tools.bench http

Both run on the unix port, on one CPU with `ab`, and in turns: on smolmpy with asyncio's task, on a
tap; on the kernel's sockets on the loopback device, which has no frames to move. Figures are
medians of a few rounds.
"""

import os
import re
import shutil
import statistics
import subprocess
import time

from tools import bench_unix, deps, host, libraries, netns, source
from tools.common import BUILD, ROOT, Missing, say
from tools.launcher import die_with_parent, stop

CLIENTS = (1, 3)
SERVERS = ("smolmpy", "kernel")

_TAP = "tap0"
_PORT = 8080
_REQUESTS = 500
_ROUNDS = 5
_PROGRAM = f"""
from microdot import Microdot
app = Microdot()
@app.route("/")
async def index(request):
    return "<h1>smolmpy</h1>", 200, {{"Content-Type": "text/html"}}
print("ready")
app.run(port={_PORT})
"""


def provide():
    """Installs or builds what is needed; raises Missing."""
    if not shutil.which("ab"):
        deps.install(["apache2-utils"], "ab")
    libraries.ensure(strict=True)
    return bench_unix.provide()


class _Server:
    """microdot on the sockets of `kind`."""

    def __init__(self, interpreter, kind):
        program = BUILD / "bench" / "http.py"
        program.write_text(_PROGRAM)
        folders = [libraries.folder("microdot"), source.find() / "extmod"]
        if kind == "kernel":
            self.address = "127.0.0.1"
            argv, env = [interpreter.path, program], interpreter.environment(*folders)
        else:
            self.address = host.ADDRESS
            script = ROOT / "tests" / "programs" / "host.py"
            argv, env = host.command(interpreter, script, _TAP, folders)
            argv = [*argv, program]
            env.update(SMOLMPY_AIO="1")
        self.process = subprocess.Popen(
            [str(part) for part in argv],
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            preexec_fn=die_with_parent,
        )

    def __enter__(self):
        self.process.stdout.readline()
        return self

    def __exit__(self, *_):
        stop(self.process)
        self.process.stdout.close()

    def rate(self, requests, clients):
        """Requests a second, or None where they are not all answered."""
        url = f"http://{self.address}:{_PORT}/"
        argv = ["ab", "-q", "-n", str(requests), "-c", str(clients), url]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
        figures = dict(re.findall(r"^([\w ]+): +([\d.]+)", done.stdout, re.MULTILINE))
        if figures.get("Complete requests") != str(requests) or figures["Failed requests"] != "0":
            return None
        return float(figures["Requests per second"])


def _measure(interpreter, kind, clients):
    with _Server(interpreter, kind) as server:
        end = time.monotonic() + 20
        while server.rate(1, 1) is None:
            if time.monotonic() > end:
                raise Missing(f"microdot does not answer on the sockets of {kind}.")
            time.sleep(0.1)
        figure = server.rate(_REQUESTS, clients)
        if figure is None:
            raise Missing(f"microdot has stopped to answer on the sockets of {kind}.")
        return figure


def measure(interpreter):
    """{"interpreter", "results": {clients: {server: requests/s}}}. Enters a network namespace."""
    netns.enter()
    netns.keep_tap(_TAP)
    netns.configure(_TAP, host.LINUX)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    results = {}
    for clients in CLIENTS:
        say(f"microdot with {clients} at once, beside the kernel's sockets")
        figures = {kind: [] for kind in SERVERS}
        for _ in range(_ROUNDS):
            for kind in SERVERS:
                figures[kind].append(_measure(interpreter, kind, clients))
        results[str(clients)] = {kind: statistics.median(row) for kind, row in figures.items()}
    return {"interpreter": str(interpreter), "results": results}
