"""Devices against the real thing: taps, packet sockets, streams; and against chance.

What needs no operating system is in tests/conformance/test_phy_*.py.
"""

import shutil
import socket
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import targets
from smolmpy.phy.fault import FaultInjector
from smolmpy.phy.loopback import LoopbackDevice
from smolmpy.phy.stream import StreamDevice
from smolmpy.phy.tracer import PcapSink, Tracer
from tools import netns
from tools.common import ROOT, Missing

ECHO = ROOT / "tests" / "echo_device.py"
EXPERIMENT = 0x88B5
PEER = b"\x02\x00\x00\x00\x00\x64"
OURS = b"\x02\x00\x00\x00\x00\x01"
SIZES = [60, 61, 1514, 64, 1513, 200] * 20


def frame(n, seed):
    return (
        OURS
        + PEER
        + EXPERIMENT.to_bytes(2, "big")
        + bytes((seed + i) & 255 for i in range(n - 14))
    )


def answer(sent):
    return sent[6:12] + sent[:6] + sent[12:14] + bytes(b ^ 255 for b in sent[14:])


def command(target):
    """The program that runs scripts of a target, and its environment."""
    program = target.interpreter.path if target.interpreter else sys.executable
    return program, target.environment()


class Echo:
    """tests/echo_device.py on a target."""

    def __init__(self, target, spec, count, *args, pass_fds=()):
        program, env = command(target)
        self.process = subprocess.Popen(
            [program, ECHO, spec, str(count), *args],
            env=env,
            pass_fds=pass_fds,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        line = self.process.stdout.readline()
        if line != "ready\n":
            self.process.kill()
            pytest.fail(line + self.process.communicate()[0], pytrace=False)

    def end(self):
        """The last line of its output."""
        try:
            output = self.process.communicate(timeout=120)[0]
        finally:
            self.process.kill()
        assert self.process.returncode == 0, output
        return output.splitlines()[-1]


def open_packet(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.bind((name, EXPERIMENT))
    s.settimeout(60)
    return s


def exchange(s, sizes, burst=4):
    """Sends frames in bursts, and takes their answers, in order."""
    for at in range(0, len(sizes), burst):
        sent = [frame(n, at + k) for k, n in enumerate(sizes[at : at + burst])]
        for f in sent:
            s.send(f)
        for f in sent:
            got = s.recv(4000)
            while got[6:12] == PEER:  # what we have sent ourselves is seen as well
                got = s.recv(4000)
            assert got == answer(f)


@pytest.mark.parametrize("target", ["unix-ffi", "cpython"], indirect=True)
def test_tap(target, network, need):
    name = f"tap-{target.name[:8]}"
    need(netns.keep_tap, name)
    try:
        netns.up(name)
        echo = Echo(target, f"tap:{name}", len(SIZES), "locked")
        with open_packet(name) as s:
            exchange(s, SIZES)
        assert echo.end() == f"answered {len(SIZES)}, errors {{}}"
    finally:
        netns.keep_tap(name, False)


@pytest.mark.parametrize("target", ["unix-ffi", "cpython"], indirect=True)
def test_tap_frame_too_long(target, network, need):
    """It is reported, not cut; the next frame is as it was."""
    name = f"long-{target.name[:8]}"
    need(netns.keep_tap, name)
    try:
        need(ip, "link", "set", name, "mtu", "2000", "up")
        echo = Echo(target, f"tap:{name}", 2, "locked")
        with open_packet(name) as s:
            exchange(s, [100])
            s.send(frame(1515, 0))
            exchange(s, [1514])
        assert echo.end() == "answered 2, errors {90: 1}"
    finally:
        netns.keep_tap(name, False)


@pytest.mark.parametrize("target", ["unix-ffi", "cpython"], indirect=True)
def test_tap_that_is_down(target, network, need):
    """The kernel refuses what is sent: an errno, no exception."""
    name = f"down-{target.name[:8]}"
    need(netns.keep_tap, name)
    script = (
        "from smolmpy.phy.tap import TapDevice;"
        f"d = TapDevice('{name}'); b = bytearray(60);"
        "print(d.receive(b), d.transmit(b, 60), d.transmit(b, 5)); d.close(); d.close();"
        "print(d.receive(b), d.transmit(b, 60))"
    )
    try:
        assert run_code(target, script) == "0 -5 -22\n-9 -9\n"
    finally:
        netns.keep_tap(name, False)


QUEUE = """
from smolmpy.phy.packet import PacketDevice
from smolmpy.phy.tap import TapDevice
import time
frame = bytearray(60)
frame[:14] = b"\\x02\\0\\0\\0\\0\\1\\x02\\0\\0\\0\\0\\x64\\x88\\xb5"
buf = bytearray(1514)
tap = TapDevice("{name}")
other = PacketDevice("{name}")
def send(n):
    for _ in range(n):
        assert other.transmit(frame, 60) == 0
def take(calls):
    return [tap.receive(buf) for _ in range(calls)]
send(1)
while not tap.receive(buf):  # the interface may come up a moment later
    time.sleep(0.01)
    send(1)
while tap.receive(buf):
    pass
send(1)
print("alone", take(2))
tap.transmit(frame, 60)
send(2)
print("taken to be alone", take(5))
send(100)
calls = got = 0
while got < 100 and calls < 300:
    calls += 1
    got += tap.receive(buf) == 60
print("flood", got, 100 < calls <= 132)
send(3)
print("burst", take(5))
send(1)
print("alone", take(2))
send(2)
print("answered", take(1), tap.transmit(frame, 60), take(1))
"""


@pytest.mark.parametrize("target", ["unix-ffi", "cpython"], indirect=True)
def test_tap_that_foresees(target, network, need):
    """It looks in vain less often, and takes every frame, two calls later at most."""
    name = f"see-{target.name[:8]}"
    need(netns.keep_tap, name)
    try:
        need(ip, "link", "set", name, "addrgenmode", "none", "multicast", "on", "up")
        assert run_code(target, QUEUE.format(name=name)).splitlines() == [
            "alone [60, 0]",
            "taken to be alone [60, 0, 0, 60, 0]",
            "flood 100 True",
            "burst [60, 60, 60, 0, 0]",
            "alone [60, 0]",
            "answered [60] 0 [60]",
        ]
    finally:
        netns.keep_tap(name, False)


def test_tap_without_ffi(need):
    target = need(targets.get, "unix32")
    text = run_code(target, "import smolmpy.phy.tap", status=1)
    assert "ImportError" in text and "smolmpy.phy.stream" in text, text


@pytest.mark.parametrize("target", ["unix-ffi", "cpython"], indirect=True)
def test_tap_name(target):
    for name in ("", "x" * 16):
        code = f"from smolmpy.phy.tap import TapDevice\nTapDevice({name!r})"
        text = run_code(target, code, status=1)
        assert "ValueError: name" in text, text


def run_code(target, code, status=0):
    program, env = command(target)
    if not target.interpreter:
        code = "import micropython\n" + code
    done = subprocess.run(
        [program, "-c", code],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == status, done.stdout
    return done.stdout


def ip(*args):
    if not shutil.which("ip"):
        raise Missing("ip is not installed: 'make deps' gets it (iproute2).")
    subprocess.run(["ip", *args], check=True)


@pytest.fixture
def veth(network, need):
    need(ip, "link", "add", "near", "type", "veth", "peer", "name", "far")
    try:
        # No traffic of the kernel's own.
        for name in ("near", "far"):
            ip("link", "set", name, "addrgenmode", "none", "multicast", "on", "up")
        yield "near", "far"
    finally:
        ip("link", "del", "near")


@pytest.mark.parametrize(
    "target", ["cpython", "unix64", "unix32", "bytecode", "unix-ffi"], indirect=True
)
def test_packet(target, veth):
    near, far = veth
    locked = ["locked"] if target.name == "unix-ffi" else []
    echo = Echo(target, f"packet:{far}", len(SIZES), *locked)
    with open_packet(near) as s:
        exchange(s, SIZES)
    assert echo.end() == f"answered {len(SIZES)}, errors {{}}"


@pytest.mark.parametrize("target", ["cpython", "unix64", "unix32", "unix-ffi"], indirect=True)
def test_packet_frame_too_long(target, veth):
    near, far = veth
    for name in veth:
        ip("link", "set", name, "mtu", "2000")
    echo = Echo(target, f"packet:{far}", 2)
    with open_packet(near) as s:
        exchange(s, [100])
        s.send(frame(1515, 0))
        exchange(s, [1514])
    assert echo.end() == "answered 2, errors {90: 1}"


@pytest.mark.parametrize("target", ["cpython", "unix64", "unix-ffi"], indirect=True)
@pytest.mark.parametrize("outgoing", [False, True])
def test_packet_outgoing(target, veth, outgoing):
    """Frames that others on this machine send there are seen only on request."""
    near, far = veth
    code = f"""
import select, sys
from smolmpy.phy.packet import PacketDevice
d = PacketDevice("{far}", outgoing={outgoing})
p = select.poll()
p.register(d.fileno(), select.POLLIN)
print(sys.stdin.readline().strip())
buf = bytearray(1514)
while buf[20] != 200:
    p.poll(5000)
    if d.receive(buf) > 0 and buf[12] == 0x88:
        print(buf[20])
"""
    program, env = command(target)
    if not target.interpreter:
        code = "import micropython\n" + code
    process = subprocess.Popen(
        [program, "-c", code], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        # Open before frames are sent: the line that it has read is printed when it has.
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline() == "go\n"
        with open_packet(far) as there, open_packet(near) as here:
            there.send(frame(60, 94))
            # The device may have come up a moment ago: this is sent until it arrives.
            for _ in range(30):
                here.send(frame(60, 194))
                if process.poll() is not None:
                    break
                time.sleep(0.2)
        assert process.communicate(timeout=60)[0] == ("100\n200\n" if outgoing else "200\n")
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("target", ["cpython", "unix64", "unix-ffi"], indirect=True)
@pytest.mark.parametrize("promiscuous", [False, True])
def test_packet_promiscuous(target, veth, promiscuous):
    code = (
        "from smolmpy.phy.packet import PacketDevice; import os;"
        f"d = PacketDevice('far', promiscuous={promiscuous}); os.system('ip -d link show far')"
    )
    assert f"promiscuity {int(promiscuous)}" in run_code(target, code)


@pytest.mark.parametrize("target", ["cpython", "unix64", "unix32", "unix-ffi"], indirect=True)
def test_packet_without_interface(target):
    code = "from smolmpy.phy.packet import PacketDevice\nPacketDevice('nosuch0')"
    assert "OSError" in run_code(target, code, status=1)


@pytest.mark.parametrize(
    "target", ["cpython", "unix64", "unix32", "bytecode", "unix-ffi"], indirect=True
)
def test_stream_descriptor(target):
    """As an inherited descriptor, written to in pieces that do not end where frames do."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with ours, theirs:
        fd = theirs.fileno()
        # The kernels of the bytecode edition allocate.
        locked = [] if target.name == "bytecode" else ["locked"]
        echo = Echo(target, f"fd:{fd}", len(SIZES), *locked, pass_fds=[fd])
        theirs.close()
        ours.settimeout(60)
        for at in range(0, len(SIZES), 10):
            frames = [frame(n, at + k) for k, n in enumerate(SIZES[at : at + 10])]
            data = b"".join(len(f).to_bytes(4, "big") + f for f in frames)
            for k in range(0, len(data), 999):
                ours.send(data[k : k + 999])
            with ours.makefile("rb", 0) as reader:
                for f in frames:
                    assert read_exactly(reader, 4) == len(f).to_bytes(4, "big")
                    assert read_exactly(reader, len(f)) == answer(f)
        assert echo.end() == f"answered {len(SIZES)}, errors {{}}"


def read_exactly(reader, n):
    data = b""
    while len(data) < n:
        part = reader.read(n - len(data))
        assert part, "the stream has ended"
        data += part
    return data


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.one_of(st.integers(1, 40), st.integers(110, 120)), max_size=12),
    cuts=st.lists(st.integers(1, 90), min_size=1, max_size=20),
)
def test_stream_cuts(sizes, cuts):
    """However the stream is cut, all frames come that are not too long, and in order."""
    frames = [bytes((n * 3 + i) & 255 for i in range(n)) for n in sizes]
    data = b"".join(len(f).to_bytes(4, "big") + f for f in frames)
    a, b = socket.socketpair()
    with a, b:
        device = StreamDevice(b, mtu=100)
        buf = bytearray(114)
        got = []
        turn = 0
        while data:
            n = cuts[turn % len(cuts)]
            turn += 1
            a.send(data[:n])
            data = data[n:]
            while (n := device.receive(buf)) != 0:
                got.append(bytes(buf[:n]) if n > 0 else n)
                buf[:] = bytes(114)
        assert got == [f if len(f) <= 114 else -90 for f in frames]


class Simulation:
    """A fault injector over a loopback, in simulated time."""

    def __init__(self, **faults):
        self.now = 12345
        self.loop = LoopbackDevice(frames=64, mtu=100)
        self.device = FaultInjector(self.loop, clock=lambda: self.now, **faults)
        self.got = []

    def run(self, frames, gap):
        todo = list(frames)
        while todo or self.device.poll_delay(self.now) >= 0 or self.loop._count:
            if todo and self.device.transmit(todo[0], len(todo[0])) == 0:
                todo.pop(0)
            self.drain()
            self.now = (self.now + gap) & 0x3FFFFFFF
        return self.got

    def drain(self):
        buf = bytearray(114)
        while (n := self.device.receive(buf)) > 0:
            self.got.append(bytes(buf[:n]))
        assert n == 0


permille = st.one_of(st.just(0), st.integers(0, 1000))


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 1 << 29),
    drop=permille,
    duplicate=permille,
    corrupt=permille,
    reorder=permille,
    delay=st.integers(0, 30),
    rate=st.sampled_from([0, 10, 1000]),
    gap=st.integers(1, 10),
)
def test_faults_account_for_every_frame(seed, drop, duplicate, corrupt, reorder, delay, rate, gap):
    faults = {
        "seed": seed,
        "drop": drop,
        "duplicate": duplicate,
        "corrupt": corrupt,
        "reorder": reorder,
        "delay": delay,
        "rate": rate,
    }
    frames = [bytes([k]) * 60 for k in range(60)]
    simulation = Simulation(**faults)
    got = simulation.run(frames, gap)
    c = simulation.device.counters()
    assert c["tx_frames"] == 60
    assert c["rx_frames"] == 60 - c["tx_dropped"] + c["tx_duplicated"]
    assert len(got) == c["rx_frames"] - c["rx_dropped"] + c["rx_duplicated"]
    # The same again is the same.
    assert Simulation(**faults).run(frames, gap) == got
    # A corrupted frame has as many wrong bits as times it was corrupted: one for each way.
    wrong = [
        min(sum((a ^ b).bit_count() for a, b in zip(f, g, strict=True)) for g in frames)
        for f in got
    ]
    assert max(wrong, default=0) <= (2 if corrupt else 0)
    if not reorder and not corrupt:
        assert got == sorted(got)
    if not drop and not corrupt:
        assert set(got) == set(frames)


def test_delay_and_rate_add_up():
    """60 bytes at 10 kbit/s are 48 ms; a delay of 50 ms each way comes on top."""
    simulation = Simulation(delay=50, rate=(0, 10))
    arrived = []
    simulation.device.transmit(bytearray(60), 60)
    simulation.device.transmit(bytearray(60), 60)
    for _ in range(300):
        before = len(simulation.got)
        simulation.drain()
        arrived += [simulation.now - 12345] * (len(simulation.got) - before)
        simulation.now += 1
    assert arrived == [148, 196]


def test_tracer_sees_both_ways():
    seen = []
    loop = LoopbackDevice(frames=1)
    device = Tracer(loop, lambda buf, n, sent: seen.append((bytes(buf[:n]), sent)))
    buf = bytearray(1514)
    assert device.mtu == 1500 and device.link()
    assert device.receive(buf) == 0
    assert device.transmit(b"x" * 60, 60) == 0
    assert device.transmit(b"y" * 60, 60) == -11
    assert device.receive(buf) == 60
    assert seen == [(b"x" * 60, True), (b"x" * 60, False)]


def test_tracer_survives_its_sink():
    def sink(buf, n, sent):
        raise OSError("broken pipe")

    device = Tracer(LoopbackDevice(), sink)
    assert device.transmit(bytearray(60), 60) == 0
    assert device.receive(bytearray(1514)) == 60
    assert device.errors == 2


def test_tracer_prints(capsys):
    device = Tracer(LoopbackDevice())
    device.transmit(frame(60, 0), 60)
    device.receive(bytearray(1514))
    line = "02:00:00:00:00:64 > 02:00:00:00:00:01, ethertype Unknown (0x88b5), length 60\n"
    assert capsys.readouterr().out == f"> {line}< {line}"


def test_pcap_sink(tmp_path):
    from scapy.utils import rdpcap

    from smolmpy.wire.pcap import PcapWriter

    path = tmp_path / "trace.pcap"
    times = iter([1000, 1000, 2500])
    with open(path, "wb") as file:
        writer = PcapWriter(file, epoch=1700000000, now=0)
        device = Tracer(LoopbackDevice(), PcapSink(writer, lambda: next(times)))
        device.transmit(frame(60, 0), 60)
        device.transmit(frame(1514, 1), 1514)
        device.receive(bytearray(1514))
    packets = rdpcap(str(path))
    assert [bytes(p) for p in packets] == [frame(60, 0), frame(1514, 1), frame(60, 0)]
    assert [float(p.time) for p in packets] == [1700000001.0, 1700000001.0, 1700000002.5]
