"""MicroPython's own tests of sockets and asyncio, run from its source, with smolmpy as `socket`.

Those of one host run on a device whose cable ends in itself or against Linux on a tap; those of
two hosts (tests/multi_net) with smolmpy at one end and the kernel's sockets at the other. What a
test has to print is in the file beside it, or is what it prints with the kernel's sockets at both
ends.
"""

import os
import subprocess
import sys
import threading
import time

import pytest

from tools import netns, source
from tools.common import ROOT
from tools.host import ADDRESS, LINUX, command
from tools.launcher import die_with_parent, stop

PROGRAMS = ROOT / "tests" / "programs"
TAP = "tap2"
PEER = LINUX.partition("/")[0]
_TIMEOUT = 60
_TRIES = 5

_ALONE = (
    "extmod/asyncio_heaplock",
    "extmod/select_poll_basic",
    "extmod/select_poll_udp",
    "extmod/socket_tcp_basic",
    "extmod/socket_udp_nonblock",
    "extmod/websocket_basic",
    "net_hosted/accept_nonblock",
    "net_hosted/accept_timeout",
    "net_hosted/asyncio_loopback",
    "net_hosted/asyncio_start_server",
)
# Those that connect to a name on the internet: here it is this machine's.
_HOSTED = (
    "net_hosted/connect_nonblock",
    "net_hosted/connect_poll",
    "net_hosted/connect_timeout",
)
_TWO = (
    "asyncio_tcp_client_rst",
    "asyncio_tcp_close_write",
    "asyncio_tcp_readall",
    "asyncio_tcp_readexactly",
    "asyncio_tcp_readinto",
    "asyncio_tcp_server_client",
    "tcp_accept_recv",
    "tcp_client_rst",
    "tcp_data",
    "udp_data",
)
_TLS = (
    "asyncio_tls_server_client",
    "asyncio_tls_server_client_cert_required_error",
    "asyncio_tls_server_client_readline",
    "asyncio_tls_server_client_verify_error",
    "ssl_cert_ec",
    "ssl_cert_rsa",
    "sslcontext_check_hostname_error",
    "sslcontext_server_client",
    "sslcontext_server_client_ciphers",
    "sslcontext_server_client_files",
    "sslcontext_verify_callback",
    "sslcontext_verify_error",
    "sslcontext_verify_time_error",
)


@pytest.fixture(scope="session")
def micropython_tests(need):
    """The folder of MicroPython's tests."""
    return need(source.find) / "tests"


@pytest.fixture
def tap(network, need):
    need(netns.keep_tap, TAP)
    try:
        netns.configure(TAP, LINUX)
        yield TAP
    finally:
        netns.keep_tap(TAP, False)


def folders(target, tests):
    """Where asyncio is, for an interpreter that does not have it built in."""
    return [tests.parent / "extmod"] if target.name != "unix64" else []


def run(argv, env, cwd):
    done = subprocess.run(
        argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, text=True, timeout=_TIMEOUT,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.stdout


def agree(wanted, played):
    """Asserts that two functions return the same text.

    The tests here are MicroPython's own, with times of their own (sleeps of 2 ms, waits of 0.1 s),
    which a busy machine does not keep, whatever the sockets. There they have more than one try.
    """
    for _ in range(_TRIES):
        text, printed = wanted().rstrip(), played().rstrip()
        if text == printed or os.getloadavg()[0] <= os.cpu_count():
            break
        time.sleep(1)
    assert printed == text
    assert "SKIP" not in text and "TIMEOUT" not in text


def expected(file, argv, env):
    """What the test has to print, by the file beside it, or run with the kernel's sockets."""
    beside = file.with_suffix(".py.exp")
    return beside.read_text() if beside.exists() else run(argv, env, file.parent)


@pytest.mark.parametrize("name", _ALONE)
@pytest.mark.parametrize("target", ["unix64", "unix32", "bytecode"], indirect=True)
def test_on_loopback(target, name, micropython_tests):
    file = micropython_tests / f"{name}.py"
    env = target.interpreter.environment(
        *folders(target, micropython_tests), edition=target.edition
    )
    program = target.interpreter.path
    ours = dict(env, SMOLMPY_DEVICE="loopback")
    if "heaplock" not in name:
        ours["SMOLMPY_AIO"] = "1"
    agree(
        lambda: expected(file, [program, file], env),
        lambda: run([program, PROGRAMS / "host.py", file], ours, ROOT),
    )


def on_tap(target, tests, *args, **env):
    """The command line and environment of a program on smolmpy."""
    argv, environment = command(
        target.interpreter,
        PROGRAMS / "host.py",
        TAP,
        folders=folders(target, tests),
        edition=target.edition,
    )
    environment.update(PYTHONPATH=str(ROOT), SMOLMPY_RESOLVE=PEER, **env)
    return [*argv, *map(str, args)], environment


@pytest.mark.parametrize("name", _HOSTED)
@pytest.mark.parametrize("target", ["unix64", "unix32", "unix-ffi"], indirect=True)
def test_against_a_server(target, name, micropython_tests, tap):
    file = micropython_tests / f"{name}.py"
    argv, env = on_tap(target, micropython_tests, file)
    listener = subprocess.Popen(
        [sys.executable, "-c", "import socket, time; s = socket.create_server(('', 80)); "
         "print(flush=True); time.sleep(99)"],
        stdout=subprocess.PIPE,
        preexec_fn=die_with_parent,
    )  # fmt: skip
    try:
        listener.stdout.readline()
        beside = file.with_suffix(".py.exp")
        wanted = beside.read_text() if beside.exists() else "True\nTrue\n"
        assert run(argv, env, ROOT) == wanted
    finally:
        stop(listener)


class Instance:
    """A running instance of a test of two; `lines` is what it printed that is not for us.

    What it broadcasts is told the others as soon as all run, which the event `all_run` says.
    """

    def __init__(self, argv, env, cwd, all_run):
        self.all_run = all_run
        self.lines = []
        self.settings = []
        self.started = threading.Event()  # NEXT has been said, or nothing more will be
        self.others = []
        self.process = subprocess.Popen(
            argv, env=env, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, preexec_fn=die_with_parent,
        )  # fmt: skip
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            word = line.split(" ", 1)[0].strip()
            if word == "NEXT":
                self.started.set()
            elif word == "SET":
                self.settings.append(line[4:].strip())
            elif word == "BROADCAST":
                self._tell(line)
            else:
                self.lines.append(line)
        self.started.set()

    def _tell(self, line):
        self.all_run.wait(_TIMEOUT)
        for other in self.others:
            try:
                other.process.stdin.write(line)
                other.process.stdin.flush()
            except OSError:
                pass

    def end(self):
        try:
            self.process.wait(_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.lines.append("TIMEOUT\n")
        stop(self.process)
        self.thread.join()
        self.process.stdin.close()
        self.process.stdout.close()


def play(target, tests, name, smolmpy):
    """Runs a test of two hosts, instance `smolmpy` on the stack, if any; what it prints."""
    folder = tests / "multi_net"
    file = folder / f"{name}.py"
    instances = []
    all_run = threading.Event()
    for number in (0, 1):
        settings = "\n".join(instances[0].settings) if number else ""
        args = [PROGRAMS / "multitest.py", file, number, settings]
        if number == smolmpy:
            argv, env = on_tap(
                target, tests, *args, MULTITEST_IP=ADDRESS, SMOLMPY_POOL="rx=2048 tx=2048"
            )
        else:
            argv = [str(part) for part in (target.interpreter.path, *args)]
            env = target.interpreter.environment(*folders(target, tests))
            env["MULTITEST_IP"] = PEER if smolmpy is not None else "127.0.0.1"
        instance = Instance(argv, env, folder, all_run)
        for other in instances:
            other.others.append(instance)
            instance.others.append(other)
        instances.append(instance)
        instance.started.wait(_TIMEOUT)
    all_run.set()
    for instance in instances:
        instance.end()
    return "".join(
        f"--- instance{number} ---\n{''.join(instance.lines)}"
        for number, instance in enumerate(instances)
    )


def check(target, tests, name, smolmpy):
    beside = tests / "multi_net" / f"{name}.py.exp"
    agree(
        lambda: beside.read_text() if beside.exists() else play(target, tests, name, None),
        lambda: play(target, tests, name, smolmpy),
    )


@pytest.mark.parametrize("smolmpy", [0, 1])
@pytest.mark.parametrize("name", _TWO)
@pytest.mark.parametrize("target", ["unix64", "unix32"], indirect=True)
def test_of_two_hosts(target, name, smolmpy, micropython_tests, tap):
    check(target, micropython_tests, name, smolmpy)


@pytest.mark.parametrize("smolmpy", [0, 1])
@pytest.mark.parametrize("name", _TLS)
@pytest.mark.parametrize("target", ["unix64"], indirect=True)
def test_of_two_hosts_with_tls(target, name, smolmpy, micropython_tests, tap):
    check(target, micropython_tests, name, smolmpy)
