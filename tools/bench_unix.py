"""Measures the unix port on a tap against the Linux kernel, in a network of its own.

The same client (tools/bench/traffic.c) meets, on one CPU with it and in turns: smolmpy on the tap
(tools/bench/server.py), the least that can answer there (tools/bench/floor.c), and the kernel's
own stack behind a veth whose offloads are off. Figures are medians of a few rounds.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tools import deps, host, interpreters, netns, unixport
from tools.common import BUILD, ROOT, Missing, run, say
from tools.launcher import die_with_parent, stop

OPERATIONS = {
    "udp_echo_1": "echoes/s",
    "udp_echo_32": "echoes/s",
    "tcp_echo": "requests/s",
    "tcp_sink": "MB/s",
    "tcp_source": "MB/s",
    "tcp_connections": "connections/s",
}
SERVERS = ("smolmpy", "floor", "kernel")

_SOURCES = ROOT / "tools" / "bench"
_FOLDER = BUILD / "bench"
_TAP = "tap0"
_VETH, _PEER = "veth0", "veth1"
_KERNEL_LINUX, _KERNEL = "192.168.70.100/24", "192.168.70.1"
_ROUNDS = 5
_SECONDS = 0.7

# Waits until its device has been moved into its network, then serves.
_KERNEL_SCRIPT = f"""
read _
ip address add {_KERNEL}/24 dev {_PEER}
ip link set {_PEER} up
ethtool -K {_PEER} tso off gso off gro off tx off rx off >/dev/null
exec {_FOLDER / "traffic"} serve {_KERNEL}
"""


def provide():
    """Installs or builds what is needed; raises Missing."""
    for program, package in (("gcc", "gcc"), ("ip", "iproute2"), ("ethtool", "ethtool")):
        if not shutil.which(program):
            deps.install([package], program)
    _FOLDER.mkdir(parents=True, exist_ok=True)
    for name in ("traffic", "floor"):
        run("gcc", "-O2", "-o", _FOLDER / name, _SOURCES / f"{name}.c")
    return interpreters.Interpreter(unixport.build("unix-ffi"))


def _start(argv, **options):
    return subprocess.Popen(
        [str(part) for part in argv],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        preexec_fn=die_with_parent,
        **{"stdin": subprocess.DEVNULL, **options},
    )


class _Smolmpy:
    address = host.ADDRESS

    def __init__(self, interpreter, operation):
        argv, env = host.command(interpreter, _SOURCES / "server.py", _TAP)
        self.process = _start([*argv, operation], env=env)

    def close(self):
        stop(self.process)


class _Floor(_Smolmpy):
    def __init__(self, interpreter, operation):
        tap = netns.open_tap(_TAP)
        self.process = _start([_FOLDER / "floor", tap, self.address], pass_fds=[tap])
        os.close(tap)


class _Kernel(_Smolmpy):
    address = _KERNEL

    def __init__(self, interpreter, operation):
        run("ip", "link", "add", _VETH, "type", "veth", "peer", "name", _PEER)
        run("ethtool", "-K", _VETH, "tso", "off", "gso", "off", "gro", "off", "tx", "off")
        argv = ["unshare", "--net", "sh", "-c", _KERNEL_SCRIPT]
        self.process = _start(argv, stdin=subprocess.PIPE)
        _wait(lambda: self._in_its_network())
        run("ip", "link", "set", _PEER, "netns", str(self.process.pid))
        netns.configure(_VETH, _KERNEL_LINUX)
        self.process.stdin.write(b"\n")
        self.process.stdin.close()

    def _in_its_network(self):
        ours = os.readlink("/proc/self/ns/net")
        return os.readlink(f"/proc/{self.process.pid}/ns/net") != ours

    def close(self):
        stop(self.process)
        _wait(lambda: not netns.exists(_VETH))


_KINDS = dict(zip(SERVERS, (_Smolmpy, _Floor, _Kernel), strict=True))


def _wait(condition):
    end = time.monotonic() + 10
    while not condition():
        if time.monotonic() > end:
            raise Missing("the benchmark's network does not come up.")
        time.sleep(0.01)


def _client(operation, address, seconds):
    """The figure, or None where nobody answers."""
    argv = [str(_FOLDER / "traffic"), operation, address, str(seconds)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    figure = float(done.stdout.split()[0]) if done.returncode == 0 else 0
    return figure or None


def _measure(server, interpreter, operation):
    running = _KINDS[server](interpreter, operation)
    try:
        end = time.monotonic() + 10
        while _client(operation, running.address, 0.1) is None:
            if time.monotonic() > end:
                raise Missing(f"{server} does not answer {operation}.")
            time.sleep(0.1)
        figure = _client(operation, running.address, _SECONDS)
        if figure is None:
            raise Missing(f"{server} has stopped to answer {operation}.")
        return figure
    finally:
        running.close()


def measure(interpreter):
    """{"interpreter", "results": {operation: {server: figure}}}. Enters a network namespace."""
    netns.enter()
    netns.keep_tap(_TAP)
    netns.configure(_TAP, host.LINUX)
    # Thousands of connections in TIME-WAIT would leave the client no ports.
    Path("/proc/sys/net/ipv4/tcp_max_tw_buckets").write_text("16")
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    results = {}
    for operation in OPERATIONS:
        say(f"{operation} on the unix port, beside the floor and the kernel")
        figures = {server: [] for server in SERVERS}
        for _ in range(_ROUNDS):
            for server in SERVERS:
                figures[server].append(_measure(server, interpreter, operation))
        results[operation] = {name: statistics.median(row) for name, row in figures.items()}
    return {"interpreter": str(interpreter), "results": results}


def _main():
    for operation, row in measure(provide())["results"].items():
        print(operation, row, f"{row['smolmpy'] / row['floor']:.2f}")


if __name__ == "__main__":
    sys.exit(_main())
