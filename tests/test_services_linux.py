"""Services against real servers: dnsmasq, chrony and Avahi, in a private network.

The program is tests/programs/services.py, whose polls run with a locked heap, on 32 bits and on
64. Where leases have to end its clock is twenty times as fast as dnsmasq's.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import pytest

import capture as captures
import targets
from tools import netns
from tools.common import ROOT, Missing
from tools.host import ADDRESS, Host
from tools.launcher import die_with_parent, stop

_PROGRAM = ROOT / "tests" / "programs" / "services.py"
_RESOLVER = ROOT / "tests" / "programs" / "resolver.py"
_MAC = "02:00:00:00:00:01"
_LINUX = "192.168.69.100"
_AGAIN = r"DNS (query|response) retransmission"  # as when the machine is busy
_LEASED = r"192\.168\.69\.15\d"
_FAST = "speed:20"
_BIG = [f"10.0.{i // 250}.{i % 250 + 1}" for i in range(60)]


def _require(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Missing(f"{program} is missing: 'make deps' brings it.")


class Program(Host):
    """A program with these words, on a new tap."""

    def __init__(self, target, *words, script=_PROGRAM):
        super().__init__(target.interpreter, script, edition=target.edition)
        self.argv += words

    def printed(self):
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    def wait_for(self, pattern, timeout=60, count=1):
        """Waits until what was printed has so many lines that match; returns the last match."""
        end = time.monotonic() + timeout
        while True:
            text = self.printed()
            found = list(re.finditer(f"(?m)^{pattern}$", text))
            if len(found) >= count:
                return found[-1]
            assert self.running(), f"the program has ended\n{text}"
            assert time.monotonic() < end, f"{pattern} did not come\n{text}"
            time.sleep(0.02)


class Daemon:
    """A context: inside, a server runs, and `log` is what it says."""

    def __init__(self, *argv, ready):
        self.argv = argv
        self.ready = ready

    def __enter__(self):
        self._file = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            self.argv,
            stdin=subprocess.DEVNULL,
            stdout=self._file,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
        )
        self.wait_for(self.ready)
        return self

    @property
    def log(self):
        size = os.fstat(self._file.fileno()).st_size
        return os.pread(self._file.fileno(), size, 0).decode(errors="replace")

    def wait_for(self, pattern, timeout=60):
        end = time.monotonic() + timeout
        while not re.search(pattern, self.log):
            assert self.process.poll() is None, f"it has ended\n{self.log}"
            assert time.monotonic() < end, f"{pattern} did not come\n{self.log}"
            time.sleep(0.02)

    def __exit__(self, *_):
        stop(self.process)
        self._file.close()


def _dnsmasq(folder, *options):
    hosts = folder / "hosts"
    hosts.write_text("".join(f"{address} big.test\n" for address in _BIG))
    argv = ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"]
    argv += ["--user=root", "--pid-file=", "--interface=tap0", "--bind-interfaces"]
    argv += ["--except-interface=lo", "--log-dhcp", "--log-queries", f"--addn-hosts={hosts}"]
    argv += [f"--dhcp-leasefile={folder}/leases", "--dhcp-authoritative", "--no-ping"]
    argv += ["--dhcp-range=192.168.69.150,192.168.69.159,2m"]
    if not any("option:router" in option for option in options):
        argv += ["--dhcp-option=option:router,192.168.69.254"]
    argv += [f"--dhcp-option=option:ntp-server,{_LINUX}"]
    argv += ["--host-record=www.test,10.1.2.3", "--cname=alias.test,www.test"]
    argv += ["--local=/test/", *options]
    return Daemon(*argv, ready="cleared cache|started, version")


@pytest.fixture(params=["unix32", "unix64"])
def place(request, need, network):
    return need(targets.get, request.param)


def test_dhcp_and_dns(place, need, tmp_path):
    need(_require, "dnsmasq")
    need(captures.require)
    names = ("www.test", "ALIAS.test", "nobody.test")
    words = ["dhcp:printer", _FAST, *(f"find:{name}" for name in names)]
    file = tmp_path / "dhcp.pcap"
    # The tap is there once the program's context is entered, so the server comes a little later.
    with Program(place, *words) as program:
        with captures.Capture(program.tap, file) as capture, _dnsmasq(tmp_path) as server:
            bound = program.wait_for(rf"changed ({_LEASED}) (\S+) (\S+) (\[.*?\]) (\[.*?\]) (\d+)")
            address, mask, router, dns, ntp, lease = bound.groups()
            assert (mask, router) == ("255.255.255.0", "192.168.69.254")
            assert dns == ntp == f"['{_LINUX}']" and 100 <= int(lease) <= 120
            program.wait_for(r"found www.test 10\.1\.2\.3")
            program.wait_for(r"found ALIAS.test 10\.1\.2\.3")
            program.wait_for(r"found nobody.test -2")
            program.wait_for("state RENEWING .*", count=2)
            program.wait_for("state BOUND .*", count=3)
            assert f"{address} {_MAC} printer" in server.log
            renewals = re.findall(rf"DHCPACK\(tap0\) {address}", server.log)
            assert len(renewals) >= 3, server.log
            assert f"{_MAC} {address} printer" in (tmp_path / "leases").read_text()
            capture.stop()
    assert not program.ended_early, program.output
    assert "changed None" not in program.output
    assert captures.problems(file, _MAC, [_AGAIN]) == []
    sources = captures.read(file, "ip.src", "ip.dst", only=f"dhcp && eth.src == {_MAC}")
    assert {("0.0.0.0", "255.255.255.255"), (address, _LINUX)} == set(sources)


def test_dhcp_server_gone_for_longer_than_the_lease(place, need, tmp_path):
    need(_require, "dnsmasq")
    with Program(place, "dhcp", _FAST) as program:
        start = time.monotonic()  # not after: this process may be late to see the lease
        with _dnsmasq(tmp_path):
            program.wait_for(rf"changed ({_LEASED}) .*")
        program.wait_for("state REBINDING .*")
        program.wait_for("changed None .*")
        assert 4 < time.monotonic() - start < 120
        with _dnsmasq(tmp_path):
            program.wait_for(rf"changed ({_LEASED}) .*", count=2)
    assert not program.ended_early, program.output


def test_dhcp_with_a_server_that_is_set_up_wrongly(place, need, tmp_path):
    """With addresses that can not be a router's or a name server's."""
    need(_require, "dnsmasq")
    routers = "--dhcp-option=option:router,127.0.0.1,192.168.69.255,10.0.0.1,192.168.69.253"
    servers = f"--dhcp-option=option:dns-server,127.0.0.1,224.0.0.251,{_LINUX}"
    with Program(place, "dhcp") as program, _dnsmasq(tmp_path, routers, servers):
        found = program.wait_for(rf"changed {_LEASED} \S+ (\S+) (\[.*?\]) .*")
        assert found.groups() == ("192.168.69.253", f"['{_LINUX}']")
    assert not program.ended_early, program.output


def test_dhcp_nak(place, need, tmp_path):
    need(_require, "dnsmasq")
    with Program(place, "dhcp:x:192.168.99.5", _FAST) as program, _dnsmasq(tmp_path) as server:
        program.wait_for(rf"changed ({_LEASED}) .*")
        assert re.search(r"DHCPNAK\(tap0\) 192\.168\.99\.5", server.log), server.log
    assert not program.ended_early, program.output


def test_dhcp_decline(place, need, tmp_path):
    """Linux has the address that dnsmasq is told to give."""
    need(_require, "dnsmasq", "ip")
    taken = "192.168.69.150"
    with Program(place, "dhcp", _FAST) as program:
        change = ["ip", "address", "add", f"{taken}/32", "dev", "lo"]
        subprocess.run(change, check=True)
        try:
            with _dnsmasq(tmp_path, f"--dhcp-host={_MAC},{taken}") as server:
                found = program.wait_for(rf"changed ({_LEASED}) .*")
                assert found[1] != taken
                assert re.search(rf"DHCPDECLINE\(tap0\) {taken}", server.log), server.log
        finally:
            change[2] = "del"
            subprocess.run(change, check=True)
    assert not program.ended_early, program.output


def test_dhcp_release(place, need, tmp_path):
    need(_require, "dnsmasq")
    with Program(place, "dhcp", "release:8") as program, _dnsmasq(tmp_path) as server:
        address = program.wait_for(rf"changed ({_LEASED}) .*")[1]
        program.wait_for("changed None .*")
        server.wait_for(rf"DHCPRELEASE\(tap0\) {address} {_MAC}")
        assert _MAC not in (tmp_path / "leases").read_text()
    assert not program.ended_early, program.output


def test_dns_over_tcp(place, need, tmp_path):
    need(_require, "dnsmasq")
    with Program(place, "allocating", "find:big.test", "find:www.test") as program:
        with _dnsmasq(tmp_path):
            # The first of the names may have been asked for before there was a server.
            found = program.wait_for(r"found big.test (\S+)")
            assert found[1] in _BIG
            program.wait_for(r"found www.test 10\.1\.2\.3")
    assert not program.ended_early, program.output


def test_dns_over_tcp_while_the_servers_change(place, need, tmp_path):
    need(_require, "dnsmasq")
    with Program(place, "allocating", "flip:2", "find:big.test", "find:www.test") as program:
        with _dnsmasq(tmp_path):
            assert int(program.wait_for(r"flipped (\d+)")[1]) > 10
            assert program.wait_for(r"found big.test (\S+)")[1] in _BIG
            program.wait_for(r"found www.test 10\.1\.2\.3")
    assert not program.ended_early, program.output


@contextlib.contextmanager
def _slow_server(delay):
    """A name server that answers all questions with 10.6.6.6, but late."""
    seen = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((_LINUX, 53))
        sock.settimeout(0.1)
        ended = threading.Event()

        def serve():
            while not ended.is_set():
                try:
                    data, peer = sock.recvfrom(2048)
                except (TimeoutError, ConnectionRefusedError):
                    continue
                seen.append(data)
                answer = data[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + data[12:]
                answer += b"\xc0\x0c\0\1\0\1\0\0\1\0\0\4\x0a\6\6\6"
                threading.Timer(delay, sock.sendto, (answer, peer)).start()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield seen
        finally:
            ended.set()
            thread.join()
            time.sleep(delay)


def test_dns_answers_after_the_time_limit(place, network):
    with Program(place, "find:late.test", _FAST) as program, _slow_server(1.5) as seen:
        program.wait_for(r"found late.test -110")
        time.sleep(2)
        assert len(seen) >= 4 and program.running()
    assert "10.6.6.6" not in program.output and not program.ended_early, program.output


def test_ntp(place, need, tmp_path):
    need(_require, "chronyd")
    conf = tmp_path / "chrony.conf"
    conf.write_text(
        f"local stratum 5\nallow\ncmdport 0\nbindcmdaddress /\npidfile {tmp_path}/pid\n"
        f"driftfile {tmp_path}/drift\n"
    )
    argv = ("chronyd", "-x", "-d", "-u", "root", "-f", str(conf))
    with Program(place, "ntp") as program, Daemon(*argv, ready="control of system clock"):
        found = program.wait_for(r"time (\d+) (\d+)", timeout=60)
        told = int(found[1]) + int(found[2]) / 1000
        assert -0.2 < time.time() - told < 2
    assert not program.ended_early, program.output


def _avahi(folder):
    # One in a /run of its own does not meet one that the machine may have.
    conf = folder / "avahi.conf"
    conf.write_text(
        "[server]\nhost-name=linux\nuse-ipv4=yes\nuse-ipv6=no\nallow-interfaces=tap0\n"
        "enable-dbus=no\n[publish]\npublish-hinfo=no\npublish-workstation=no\n"
    )
    run = f"exec avahi-daemon -f {conf} --no-drop-root --no-chroot --no-rlimits"
    argv = ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs none /run && {run}"]
    return Daemon(*argv, ready="Server startup complete")


@pytest.fixture
def avahi(need, network, tmp_path):
    """Avahi on a tap that is there before a program is."""
    need(_require, "avahi-daemon", "unshare")
    netns.keep_tap("tap0")
    netns.configure("tap0", f"{_LINUX}/24")
    try:
        with _avahi(tmp_path) as daemon:
            yield daemon
    finally:
        if netns.exists("tap0"):
            netns.keep_tap("tap0", False)


def _address_of(avahi, name):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.connect(f"/proc/{avahi.process.pid}/root/run/avahi-daemon/socket")
        sock.sendall(f"RESOLVE-HOSTNAME-IPV4 {name}\n".encode())
        return sock.recv(1000).decode().split()[-1]


def test_mdns_both_ways(place, need, avahi, tmp_path):
    need(captures.require)
    file = tmp_path / "mdns.pcap"
    with captures.Capture("tap0", file):
        with Program(place, "mdns:printer", "find:linux.local") as program:
            program.wait_for("name printer.local")
            assert _address_of(avahi, "printer.local") == ADDRESS
            program.wait_for(rf"found linux.local {re.escape(_LINUX)}")
    assert not program.ended_early, program.output
    assert captures.problems(file, _MAC, [_AGAIN]) == []
    fields = ("ip.ttl", "ip.dst")
    sent = set(captures.read(file, *fields, only=f"mdns && eth.src == {_MAC}"))
    assert sent and {ttl for ttl, _ in sent} == {"255"}
    reports = list(captures.read(file, "igmp.type", only=f"igmp && eth.src == {_MAC}"))
    assert ("0x16",) in reports


def test_mdns_name_is_taken(place, avahi):
    with Program(place, "mdns:linux") as program:
        program.wait_for("name linux-2.local")
        assert _address_of(avahi, "linux-2.local") == ADDRESS
        assert _address_of(avahi, "linux.local") == _LINUX
    assert not program.ended_early, program.output


def test_names_for_sockets(place, need, tmp_path):
    """`network.LAN` and `socket.getaddrinfo` with DHCP and DNS of dnsmasq."""
    need(_require, "dnsmasq")
    words = ("www.test", "alias.test", "nobody.test", "10.0.0.7")
    with Program(place, *words, script=_RESOLVER) as program:
        with _dnsmasq(tmp_path) as server:
            address = program.wait_for(rf"address ({_LEASED}) \['{_LINUX}'\]", timeout=30)[1]
            program.wait_for(r"found www.test 10\.1\.2\.3")
            program.wait_for(r"found alias.test 10\.1\.2\.3")
            program.wait_for("found nobody.test -2")
            program.wait_for(r"found 10.0.0.7 10\.0\.0\.7")
            server.wait_for(rf"DHCPRELEASE\(tap0\) {address}")
    assert not program.ended_early, program.output
