"""Libraries from PyPI, unmodified, on the emulated Cortex-M3 and its MAC, with peers on a tap.

Those that need neither asyncio nor TLS, which this firmware lacks: umqtt.simple and umqtt.robust,
urequests, and the calls of ntptime. The rest of ntptime can not run here: it imports `time` and
sets the clock `machine.RTC`, and this port has neither.
"""

import contextlib
import socket
import subprocess
import time

import pytest

from example_hosts import BOARD, PEER, TAP, linux_tap
from test_libraries import Daemon, Subscription, nginx_configuration, program_file
from tools import firmware, libraries, romfs
from tools.host import ADDRESS
from tools.qemu_board import Board, tap

pytestmark = pytest.mark.runs_on("cortex-m3")

# As main.py of a board would have it.
SETUP = f"""
import sys, vfs
import smolmpy_board as board
from smolmpy import network
vfs.mount(vfs.VfsRom({{image}}), "/lib")
sys.path.append("/lib")
device = board.device()
lan = network.LAN(device, ticks_ms=board.ticks_ms, wait=board.wait)
lan.active(True)
lan.ifconfig(("{ADDRESS}", "255.255.255.0", "{PEER}", "{PEER}"))
network.install()
"""


@pytest.fixture
def on_board(network, need):
    """`on_board(text, *names)`: a Board that runs `text`, which may import these libraries."""
    with contextlib.ExitStack() as stack:

        def start(text, *names):
            files = {}
            for name in names:
                folder = need(libraries.folder, name)
                for path in folder.rglob("*.py"):
                    files[str(path.relative_to(folder))] = path.read_bytes()
            board = stack.enter_context(need(Board, BOARD, image, tap(TAP)))
            board.run(SETUP.format(image=romfs.image(files)))
            # What is on its way when a program ends would stay there: nobody lets the stack work.
            board.start(f"{text}\nimport socket\nprint(socket.drain())\n")
            return board

        image = need(firmware.build, BOARD)
        need(stack.enter_context, linux_tap())
        yield start


MQTT = """
class Time:
    @staticmethod
    def sleep(seconds):
        board.wait(device, seconds * 1000)
sys.modules["utime"] = Time  # boards have it; this port does not, and umqtt.robust imports it
from umqtt.{module} import MQTTClient
got = []
def on_message(topic, message):
    got.append((topic, message))
c = MQTTClient(b"smolmpy", "{peer}", keepalive=30)
c.set_callback(on_message)
c.connect()
c.subscribe(b"to/me/#", 1)
c.publish(b"from/me", b"hello", qos=1)
print("ready")
c.ping()
while len(got) < 3:
    c.wait_msg()
for n in range(20):
    c.check_msg()
    board.wait(device, 2)
print(got)
c.publish(b"from/me", b"x" * 3000, retain=True)
c.disconnect()
"""


@pytest.mark.parametrize("module", ["simple", "robust"])
def test_umqtt(on_board, need, module, tmp_path):
    broker = need(program_file, "mosquitto")
    publish, subscribe = need(program_file, "mosquitto_pub"), need(program_file, "mosquitto_sub")
    configuration = tmp_path / "mosquitto.conf"
    configuration.write_text(f"listener 1883 {PEER}\nallow_anonymous true\n")
    names = [f"micropython-umqtt.{name}" for name in ("simple", "robust")]
    with Daemon(broker, "-c", configuration) as daemon, Subscription(subscribe) as messages:
        program = on_board(MQTT.format(module=module, peer=PEER), *names)
        program.wait_for("ready\r\n", 20)
        assert messages.line() == "from/me hello"
        for n in range(3):
            message = ["-t", f"to/me/{n}", "-m", f"hello {n}", "-q", "1"]
            subprocess.run([publish, "-h", PEER, *message], check=True, timeout=10)
        wanted = [(b"to/me/%d" % n, b"hello %d" % n) for n in range(3)]
        assert program.finish(20) == f"{wanted}\nTrue\n"
        assert messages.line() == "from/me " + "x" * 3000
    assert "Client smolmpy disconnected" in daemon.log


def test_urequests(on_board, need, tmp_path):
    nginx = need(program_file, "nginx")
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "hello.json").write_text('{"answer": 42}')
    (tmp_path / "www" / "big").write_bytes(b"0123456789" * 3000)
    with Daemon(nginx, "-p", tmp_path, "-c", nginx_configuration(tmp_path)):
        time.sleep(0.5)
        program = on_board(
            f"""
import urequests
base = "http://{PEER}:8080"
for n in range(10):
    r = urequests.get(base + "/hello.json")
    assert r.status_code == 200
    assert r.json() == {{"answer": 42}}
    r.close()
r = urequests.get(base + "/big")
print(len(r.content), r.content == b"0123456789" * 3000)
r = urequests.get(base + "/nothing")
print(r.status_code)
r.close()
try:
    urequests.get("http://{PEER}:9/")
except OSError as e:
    print(e.errno)
""",
            "micropython-urequests",
        )
        assert program.finish(20).splitlines() == ["30000 True", "404", "111", "True"]


def test_ntp(on_board):
    """As ntptime asks: an unconnected socket, sendto, recv of 48 bytes, a timeout."""
    seconds = 3_976_000_000
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((PEER, 123))
        server.settimeout(5)
        program = on_board(f"""
import socket, struct
query = bytearray(48)
query[0] = 0x1B
addr = socket.getaddrinfo("{PEER}", 123)[0][-1]
for n in range(2):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        s.settimeout(1)
        s.sendto(query, addr)
        print("asked")
        print(struct.unpack("!I", s.recv(48)[40:44])[0])
    except OSError as e:
        print(e.errno)
    finally:
        s.close()
""")
        program.wait_for("asked\r\n", 20)
        query, addr = server.recvfrom(100)
        assert addr[0] == ADDRESS and len(query) == 48 and query[0] & 7 == 3  # from a client
        answer = bytearray(48)
        answer[0] = 0x24
        answer[40:44] = seconds.to_bytes(4, "big")
        server.sendto(answer, addr)
        # The second query gets no answer.
        assert program.finish(20) == f"{seconds}\nasked\n110\nTrue\n"
        assert server.recvfrom(100)[0] == query
