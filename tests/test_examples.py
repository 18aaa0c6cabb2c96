"""The example programs besides the server, against Linux on a tap, on a veth, or by themselves."""

import re
import shutil
import socket
import subprocess
import threading
import time

import pytest
from scapy.layers.l2 import Ether
from scapy.utils import rdpcap

import targets
from tools import netns
from tools.common import ROOT, Missing
from tools.exchange import pattern
from tools.host import LINUX, command

EXAMPLES = ROOT / "examples"
PEER = LINUX.partition("/")[0]
TAP = "tap1"
ON_A_TAP = pytest.mark.parametrize("target", ["unix64", "unix32", "unix-ffi"], indirect=True)


@pytest.fixture
def tap(network, need):
    need(netns.keep_tap, TAP)
    try:
        netns.configure(TAP, LINUX)
        yield TAP
    finally:
        netns.keep_tap(TAP, False)


def run(target, script, *args, stdin=b"", timeout=60):
    """Runs an example on the tap; (status, standard output, standard error)."""
    argv, env = command(target.interpreter, EXAMPLES / script, TAP, edition=target.edition)
    done = subprocess.run(
        [*argv, *args], cwd=ROOT, env=env, input=stdin, capture_output=True, timeout=timeout
    )
    return done.returncode, done.stdout, done.stderr


@ON_A_TAP
def test_ping(target, tap):
    status, out, err = run(target, "ping.py", "-c", "3", "-i", "0.05", "-s", "100", PEER)
    assert (status, err) == (0, b"")
    lines = out.decode().splitlines()
    assert lines[0] == f"PING {PEER} 100(128) bytes of data."
    for k in range(3):
        assert re.fullmatch(
            rf"108 bytes from {PEER}: icmp_seq={k + 1} time=\d+\.\d{{3}} ms", lines[k + 1]
        )
    assert lines[4:6] == ["", f"--- {PEER} ping statistics ---"]
    assert re.fullmatch(r"3 packets transmitted, 3 received, 0% packet loss, time \d+ms", lines[6])
    times = re.fullmatch(r"rtt min/avg/max/mdev = ([\d.]+)/([\d.]+)/([\d.]+)/[\d.]+ ms", lines[7])
    least, mean, most = map(float, times.groups())
    # Linux answers nobody for a moment after a tap is opened, and ARP asks once a second.
    assert 0 < least <= mean <= most < 5000
    measured = sorted(float(re.search(r"time=([\d.]+)", line)[1]) for line in lines[1:4])
    assert (measured[0], measured[2]) == (least, most)
    assert abs(sum(measured) / 3 - mean) < 0.002


@ON_A_TAP
def test_ping_nobody(target, tap):
    status, out, _ = run(target, "ping.py", "-c", "2", "-i", "0.1", "-W", "0.3", "192.168.69.7")
    assert status == 1
    assert b"2 packets transmitted, 0 received" in out and b"100% packet loss" in out
    assert b"rtt" not in out


def test_ping_without_route(need, tap):
    target = need(targets.get, "unix64")
    status, out, _ = run(target, "ping.py", "-c", "1", "-W", "0.2", "10.1.2.3")
    assert status == 1
    assert b"ENETUNREACH" in out and b"+1 errors" in out


@pytest.mark.parametrize("args", [[], ["-c"], ["-z", "1", PEER], ["1.2.3"], [PEER, PEER]])
def test_ping_usage(need, args):
    target = need(targets.get, "unix64")
    argv = [target.interpreter.path, EXAMPLES / "ping.py", *args]
    done = subprocess.run(argv, env=target.environment(), capture_output=True, timeout=20)
    assert done.returncode == 2
    assert b"ping.py" in done.stderr


class Server:
    """A TCP server of Linux's that answers in capitals, as long as the context lasts."""

    def __enter__(self):
        self.socket = socket.create_server((PEER, 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()
        return self

    def _serve(self):
        self.socket.settimeout(30)
        try:
            connection = self.socket.accept()[0]
        except OSError:
            return
        with connection:
            connection.settimeout(30)
            while data := connection.recv(3000):
                connection.sendall(data.upper())

    def __exit__(self, *_):
        self.thread.join()
        self.socket.close()


@ON_A_TAP
def test_client_words(target, tap):
    with Server() as server:
        result = run(target, "client.py", PEER, str(server.port), "hello", "world")
    assert result == (0, b"HELLO WORLD\n", b"")


@ON_A_TAP
def test_client_input(target, tap):
    """300 kB, both ways at once, with bytes of every value."""
    data = b"\n".join(
        pattern(30000)[k : k + 100].replace(b"\n", b"") for k in range(0, 30000, 100)
    )
    data *= 10
    with Server() as server:
        status, out, err = run(target, "client.py", PEER, str(server.port), stdin=data)
    assert (status, err) == (0, b"")
    assert out == data.upper()


@ON_A_TAP
def test_client_refused(target, tap):
    with socket.create_server((PEER, 0)) as server:
        port = server.getsockname()[1]
    status, out, err = run(target, "client.py", PEER, str(port), "hello")
    assert (status, out) == (1, b"")
    assert b"ECONNREFUSED" in err


@pytest.mark.parametrize("target", ["unix64", "unix32", "bytecode", "unix-ffi"], indirect=True)
def test_loopback(target):
    text = target.run(EXAMPLES / "loopback.py", "100000")
    assert re.fullmatch(r"100000 bytes in \d+ ms: \d+ kB/s\n", text), text


@pytest.fixture
def veth(network, need):
    if not shutil.which("ip"):
        need(_missing_ip)
    subprocess.run("ip link add near type veth peer name far".split(), check=True)
    try:
        for name in ("near", "far"):
            subprocess.run(f"ip link set {name} addrgenmode none up".split(), check=True)
        netns.configure("near", "192.168.70.1/24")
        yield "near", "far"
    finally:
        subprocess.run("ip link del near".split(), check=True)


def _missing_ip():
    raise Missing("ip is not installed: 'make deps' gets it (iproute2).")


class Tcpdump:
    """examples/tcpdump.py, started and listening."""

    def __init__(self, target, *args):
        self.process = subprocess.Popen(
            [target.interpreter.path, EXAMPLES / "tcpdump.py", *args],
            env=target.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr.readline().startswith("listening on ")

    def end(self):
        try:
            out, err = self.process.communicate(timeout=20)
        finally:
            self.process.kill()
        assert self.process.returncode == 0, err
        return out.splitlines(), err


def datagrams():
    """Two to a neighbor that is not there (so three times ARP, or less), and a broadcast."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        s.bind(("192.168.70.1", 4000))
        s.sendto(b"hello", ("192.168.70.255", 6969))
        s.sendto(b"hi", ("192.168.70.2", 7))


@pytest.mark.parametrize("target", ["unix64", "unix32", "unix-ffi"], indirect=True)
def test_tcpdump_lines(target, veth):
    near, far = veth
    # At both ends: what others send there, and what comes.
    dumps = [Tcpdump(target, "-n", "-i", name, "-c", "2") for name in veth]
    datagrams()
    for dump in dumps:
        lines, err = dump.end()
        assert [re.sub(r"^\d\d:\d\d:\d\d\.\d{3} ", "", line) for line in lines] == [
            "IP 192.168.70.1.4000 > 192.168.70.255.6969: UDP, length 5",
            "ARP, Request who-has 192.168.70.2 tell 192.168.70.1, length 28",
        ]
        assert lines[0][2] == ":"
        assert err == "2 frames\n"


@pytest.mark.parametrize("target", ["unix64", "unix32", "unix-ffi"], indirect=True)
def test_tcpdump_file(target, veth, tmp_path):
    """scapy reads the file, and the frames are from now."""
    near, far = veth
    path = tmp_path / "out.pcap"
    before = time.time()
    dump = Tcpdump(target, "-i", far, "-c", "2", "-w", str(path))
    datagrams()
    lines, _ = dump.end()
    assert lines == []
    packets = rdpcap(str(path))
    assert [Ether(bytes(p)).type for p in packets] == [0x0800, 0x0806]
    assert before - 2 < float(packets[0].time) <= float(packets[1].time) < time.time() + 2


@pytest.mark.parametrize("args", [["-q"], ["-c"], ["-c", "x"]])
def test_tcpdump_usage(need, args):
    target = need(targets.get, "unix64")
    argv = [target.interpreter.path, EXAMPLES / "tcpdump.py", *args]
    done = subprocess.run(argv, env=target.environment(), capture_output=True, timeout=20)
    assert done.returncode == 2
    assert b"usage" in done.stderr
