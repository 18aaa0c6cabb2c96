"""Real exchanges with the Linux kernel: examples/server.py on a tap in a private network.

Once for each way onto the tap: through the launcher (64 and 32 bits), opened directly, and as
bytecode. Where the server is said to be locked its heap is, so one allocation would end it.
"""

import contextlib
import random
import shutil
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest

import capture as captures
import targets
from tools import exchange
from tools.common import ROOT, Missing
from tools.host import ADDRESS, PORT, SERVER, Host

_MAC = "02:00:00:00:00:01"
_CLOSED_PORT = 9
_CLIENTS = 4  # the server's TCP sockets
_UNUSED_PROTOCOL = 253  # RFC 3692: for experiments
_MEBIBYTE = 1 << 20
_LOCKED = ROOT / "tests" / "locked_server.py"


class Setup(NamedTuple):
    target: str
    script: Path


_SERVERS = [
    pytest.param(Setup("unix64", SERVER), id="unix64"),
    pytest.param(Setup("unix-ffi", _LOCKED), id="unix-ffi-locked"),
    pytest.param(Setup("unix32", _LOCKED), id="unix32-locked"),
    pytest.param(Setup("bytecode", SERVER), id="bytecode"),
]

# What tshark remarks on that these tests do on purpose.
_EXPECTED = (
    r"Connection reset \(RST\)",  # closed ports, and clients that abort
    r"D-SACK Sequence",  # what went out twice, as the machine was busy
    r"TCP Zero Window segment|TCP window specified by the receiver is now completely full",
)


@pytest.fixture(scope="module", params=_SERVERS)
def server(request, need, network, tmp_path_factory):
    target = need(targets.get, request.param.target)
    need(captures.require)
    file = tmp_path_factory.mktemp("linux") / f"{target.name}.pcap"
    host = Host(
        target.interpreter,
        request.param.script,
        folders=[ROOT / "examples"],
        edition=target.edition,
    )
    problem = None
    with host, captures.Capture(host.tap, file) as host.capture:
        try:
            exchange.wait_for(ADDRESS, host.running)
        except TimeoutError as silent:
            problem = silent
        else:
            yield host
    if problem or host.ended_early:
        pytest.fail(f"{problem or 'the server ended by itself'}\n{host.output}", pytrace=False)


def _icmp_errors(sock, seconds):
    """(type, code, protocol of the packet it is about) of ICMP messages that arrive."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            packet = sock.recv(65536)
        except TimeoutError:
            return
        message = packet[(packet[0] & 15) * 4 :]
        yield message[0], message[1], message[8 + 9] if len(message) > 17 else None


def test_linux_learns_the_address(server):
    exchange.ping(ADDRESS)
    with open("/proc/self/net/arp") as file:
        rows = {line.split()[0]: line.split()[3] for line in file}
    assert rows[ADDRESS] == _MAC


@pytest.mark.parametrize("size", [0, 1, 2, 7, 55, 56, 511, 1023, 1471, 1472])
def test_ping(server, size):
    for sequence in range(3):
        exchange.ping(ADDRESS, size, sequence)


def test_ping_of_a_packet_in_fragments_is_not_answered(server):
    with pytest.raises(TimeoutError):
        exchange.ping(ADDRESS, 1473, timeout=0.3)
    exchange.ping(ADDRESS)


def test_ping_program(server, need):
    need(_require, "ping")
    argv = ["ping", "-n", "-c", "50", "-i", "0.01", ADDRESS]
    output = subprocess.run(argv, capture_output=True, text=True, timeout=60).stdout
    assert "50 received, 0% packet loss" in output, output
    assert "DUP!" not in output, output


@pytest.mark.parametrize("size", [0, 1, 63, 64])
def test_udp(server, size):
    assert exchange.udp(ADDRESS, PORT, bytes(size)) == b"yo dawg"


@pytest.mark.parametrize("size", [65, 1472])
def test_udp_longer_than_the_buffer_is_lost(server, size):
    with pytest.raises(TimeoutError):
        exchange.udp(ADDRESS, PORT, bytes(size), timeout=0.3)
    assert exchange.udp(ADDRESS, PORT) == b"yo dawg"


def test_udp_bursts_lose_no_more_than_the_buffers_are_short(server):
    """More datagrams than the ring holds: some are lost, no answer is wrong, the host lives."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((ADDRESS, PORT))
        for _ in range(100):
            sock.send(b"burst")
        sock.settimeout(0.5)
        answers = []
        try:
            while True:
                answers.append(sock.recv(2048))
        except TimeoutError:
            pass
    assert 1 <= len(answers) <= 100
    assert set(answers) == {b"yo dawg"}


def test_udp_of_servers_and_to_all_is_not_answered(server):
    """Or two servers could be set to talk for ever."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.settimeout(0.2)
        sock.sendto(b"hello", ("192.168.69.255", PORT))
        sock.sendto(b"yo dawg", (ADDRESS, PORT))
        with pytest.raises(TimeoutError):
            sock.recv(100)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("0.0.0.0", PORT))
        sock.settimeout(0.2)
        sock.sendto(b"hello", (ADDRESS, PORT))
        with pytest.raises(TimeoutError):
            sock.recv(100)
    assert exchange.udp(ADDRESS, PORT) == b"yo dawg"


def test_udp_closed_port_is_unreachable(server):
    with pytest.raises(ConnectionRefusedError):
        exchange.udp(ADDRESS, _CLOSED_PORT)


def test_unknown_protocol_is_unreachable(server):
    with (
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as listener,
        socket.socket(socket.AF_INET, socket.SOCK_RAW, _UNUSED_PROTOCOL) as sender,
    ):
        time.sleep(1.1)  # the limit on the rate of ICMP errors
        sender.sendto(b"anyone?", (ADDRESS, 0))
        assert (3, 2, _UNUSED_PROTOCOL) in list(_icmp_errors(listener, 1))


def test_tcp_reverses_one_mebibyte(server):
    data = random.Random(1).randbytes(_MEBIBYTE)
    start = time.monotonic()
    received = exchange.tcp(ADDRESS, PORT, data)
    print(f"{_MEBIBYTE / (time.monotonic() - start) / 1024:.0f} KiB/s each way")
    exchange.assert_reversed(data, received)


def test_tcp_connections_one_after_another(server):
    for number in range(50):
        data = exchange.pattern(number * 3)
        exchange.assert_reversed(data, exchange.tcp(ADDRESS, PORT, data))


def test_tcp_answers_while_the_client_keeps_its_half_open(server):
    with socket.create_connection((ADDRESS, PORT), 5) as sock:
        for text in (b"a", b"ab", b"smolmpy", bytes(range(64))):
            sock.sendall(text)
            exchange.assert_reversed(text, _receive(sock, len(text)))


def _receive(sock, size):
    received = b""
    while len(received) < size:
        piece = sock.recv(size - len(received))
        assert piece, "the server closed its half"
        received += piece
    return received


def test_tcp_closed_port_is_refused(server):
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((ADDRESS, _CLOSED_PORT), 5)


def test_tcp_serves_as_many_clients_as_it_has_sockets(server):
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection((ADDRESS, PORT), 5))
            for _ in range(_CLIENTS)
        ]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((ADDRESS, PORT), 5)
        for number, client in enumerate(clients):
            client.sendall(b"client %d" % number)
        for number, client in enumerate(clients):
            assert _receive(client, 8) == (b"client %d" % number)[::-1]


def test_tcp_survives_clients_that_abort(server):
    for _ in range(5 * _CLIENTS):
        sock = _connect()
        sock.sendall(b"never read")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    with _connect() as sock:
        sock.sendall(b"after")
        assert _receive(sock, 5) == b"retfa"


def _connect():
    """Connects; tries again while all sockets are still busy with what the last clients left."""
    end = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection((ADDRESS, PORT), 5)
        except ConnectionRefusedError:
            assert time.monotonic() < end, "the server does not listen again"


@pytest.mark.parametrize("program", ["socat", "nc"])
def test_other_clients(server, need, program):
    need(_require, program)
    if program == "socat":
        udp = ["socat", "-t", "0.5", "-", f"UDP:{ADDRESS}:{PORT}"]
        tcp = ["socat", "-t", "5", "-", f"TCP:{ADDRESS}:{PORT}"]
    else:
        udp = ["nc", "-u", "-w", "1", ADDRESS, str(PORT)]
        tcp = ["nc", "-w", "1", ADDRESS, str(PORT)]
    for argv, answer in ((udp, b"yo dawg"), (tcp, b"olleh")):
        done = subprocess.run(argv, input=b"hello", capture_output=True, timeout=20)
        assert done.stdout == answer, (argv, done)


def test_capture_has_no_fault(server):
    """The last test: all that went over the tap, judged by tshark."""
    exchange.ping(ADDRESS)
    exchange.udp(ADDRESS, PORT)
    exchange.tcp(ADDRESS, PORT, b"hello")
    server.capture.stop()
    path = server.capture.path
    protocols = [names.split(":") for (names,) in captures.read(path, "frame.protocols")]
    assert {"arp", "icmp", "udp", "tcp"} <= set().union(*protocols)
    assert captures.problems(path, _MAC, _EXPECTED) == []


def _require(program):
    if not shutil.which(program):
        raise Missing(f"{program} is missing: 'make deps' brings it.")
