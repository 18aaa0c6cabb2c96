"""Libraries that know nothing of smolmpy, unmodified from PyPI, with real peers on a tap."""

import contextlib
import ftplib
import io
import re
import shutil
import subprocess
import threading
import time

import pytest

from test_socket import PEER, curl, on_tap  # noqa: F401  (on_tap is a fixture)
from tools import libraries
from tools.common import Missing
from tools.host import ADDRESS
from tools.launcher import die_with_parent, stop

ON_A_TAP = pytest.mark.parametrize("target", ["unix64", "unix32", "unix-ffi"], indirect=True)


def program_file(name):
    path = shutil.which(name) or shutil.which(f"/usr/sbin/{name}")
    if not path:
        raise Missing(f"{name} is not installed: 'make deps' gets it.")
    return path


class Daemon:
    """A server of Linux's in this network; its output is in `log` when it has been stopped."""

    def __init__(self, *argv):
        self.process = subprocess.Popen(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=die_with_parent,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        stop(self.process)
        self.log = self.process.stdout.read()
        self.process.stdout.close()


MICRODOT = """
from microdot import Microdot
app = Microdot()
@app.route("/")
async def index(request):
    return "<h1>smolmpy</h1>", 200, {"Content-Type": "text/html"}
@app.post("/echo")
async def echo(request):
    return request.body
@app.get("/big")
async def big(request):
    def pieces():
        for n in range(200):
            yield "%04d " % n * 20
    return pieces()
print("ready")
app.run(port=80)
"""


@ON_A_TAP
def test_microdot(target, on_tap, need):  # noqa: F811
    path = need(libraries.folder, "microdot")
    text = f"import sys\nsys.path.append({str(path)!r})\n" + MICRODOT
    program = on_tap(target, text, aio=True, SMOLMPY_POOL="rx=2048 tx=2048")
    assert program.line() == "ready"
    time.sleep(0.5)
    for _ in range(10):
        status, body = curl("")
        assert (status, body) == (0, "<h1>smolmpy</h1>")
    body = "0123456789" * 300
    assert curl("echo", "--data-binary", body) == (0, body)
    assert curl("big") == (0, "".join("%04d " % n * 20 for n in range(200)))
    assert curl("missing", "-w", "%{http_code}")[1].endswith("404")
    # Connections that are kept, several at once.
    need(program_file, "ab")
    done = subprocess.run(
        ["ab", "-n", "100", "-c", "3", f"http://{ADDRESS}/"], capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert re.search(r"Complete requests: +100", done.stdout), done.stdout + done.stderr
    assert re.search(r"Failed requests: +0", done.stdout), done.stdout


MQTT = """
import sys, time
sys.path.append({path!r})
from umqtt.{module} import MQTTClient
got = []
def on_message(topic, message):
    got.append((topic, message))
c = MQTTClient(b"smolmpy", sys.argv[1], keepalive=30)
c.set_callback(on_message)
c.connect()
c.subscribe(b"to/me/#", 1)
c.publish(b"from/me", b"ready", qos=1)
c.ping()
while len(got) < 3:
    c.wait_msg()
for n in range(50):
    c.check_msg()
    time.sleep_ms(2)
print(got)
c.publish(b"from/me", b"x" * 3000, retain=True)
c.disconnect()
"""


@ON_A_TAP
@pytest.mark.parametrize("module", ["simple", "robust"])
def test_umqtt(target, on_tap, need, module, tmp_path):  # noqa: F811
    # Installed side by side: `robust` builds on `simple`.
    path = tmp_path / "lib"
    for name in ("simple", "robust"):
        folder = need(libraries.folder, f"micropython-umqtt.{name}")
        shutil.copytree(folder, path, dirs_exist_ok=True)
    broker = need(program_file, "mosquitto")
    publish, subscribe = need(program_file, "mosquitto_pub"), need(program_file, "mosquitto_sub")
    configuration = tmp_path / "mosquitto.conf"
    configuration.write_text(f"listener 1883 {PEER}\nallow_anonymous true\n")
    with Daemon(broker, "-c", configuration), Subscription(subscribe) as messages:
        program = on_tap(target, MQTT.format(path=str(path), module=module), PEER)
        assert messages.line() == "from/me ready"
        for n in range(3):
            subprocess.run(
                [publish, "-h", PEER, "-t", f"to/me/{n}", "-m", f"hello {n}", "-q", "1"],
                check=True,
            )
        wanted = [(b"to/me/%d" % n, b"hello %d" % n) for n in range(3)]
        assert program.line() == str(wanted)
        assert messages.line() == "from/me " + "x" * 3000
        assert program.end() == ""


class Subscription:
    """mosquitto_sub, subscribed to what the program publishes; `line()` is the next message."""

    def __init__(self, subscribe):
        self.subscribe = subscribe

    def __enter__(self):
        end = time.monotonic() + 10
        while time.monotonic() < end:
            self.process = subprocess.Popen(
                [self.subscribe, "-h", PEER, "-t", "from/me", "-v"],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                preexec_fn=die_with_parent,
            )  # fmt: skip
            time.sleep(0.3)
            if self.process.poll() is None:
                self.timer = threading.Timer(60, self.process.terminate)
                self.timer.daemon = True
                self.timer.start()
                return self
            self.process.stdout.close()
        raise AssertionError("the broker does not come up")

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def __exit__(self, *_):
        self.timer.cancel()
        stop(self.process)
        self.process.stdout.close()


@ON_A_TAP
def test_urequests(target, on_tap, need, tmp_path):  # noqa: F811
    path = need(libraries.folder, "micropython-urequests")
    nginx = need(program_file, "nginx")
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "hello.json").write_text('{"answer": 42}')
    (tmp_path / "www" / "big").write_bytes(b"0123456789" * 3000)
    with Daemon(nginx, "-p", tmp_path, "-c", nginx_configuration(tmp_path)):
        time.sleep(0.5)
        program = on_tap(
            target,
            f"""
import sys
sys.path.append({str(path)!r})
import urequests
base = "http://" + sys.argv[1] + ":8080"
for n in range(10):
    r = urequests.get(base + "/hello.json")
    assert r.status_code == 200
    assert r.json() == {{"answer": 42}}
    r.close()
r = urequests.get(base + "/big")
print(len(r.content), r.content[-10:])
r = urequests.get(base + "/nothing")
print(r.status_code)
r.close()
try:
    urequests.get("http://" + sys.argv[1] + ":9/")
except OSError as e:
    print(e.errno)
""",
            PEER,
        )
        assert program.end().splitlines() == ["30000 b'0123456789'", "404", "111"]


def nginx_configuration(folder, tls=""):
    path = folder / "nginx.conf"
    path.write_text(f"""
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {PEER}:8080;
        root {folder}/www;
    }}
    {tls}
}}
""")
    return path


@ON_A_TAP
def test_ntp(target, on_tap):  # noqa: F811
    """As the library ntptime asks: an unconnected socket, sendto, recv of 48 bytes, a timeout."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((PEER, 123))
        server.settimeout(20)
        seconds = 3_976_000_000

        def serve():
            query, addr = server.recvfrom(100)
            assert query[0] & 7 == 3 and len(query) == 48
            answer = bytearray(48)
            answer[0] = 0x24
            answer[40:44] = seconds.to_bytes(4, "big")
            server.sendto(answer, addr)

        thread = threading.Thread(target=serve)
        thread.start()
        program = on_tap(
            target,
            """
import socket, struct, sys
query = bytearray(48)
query[0] = 0x1B
addr = socket.getaddrinfo(sys.argv[1], 123)[0][-1]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try:
    s.settimeout(1)
    s.sendto(query, addr)
    print(struct.unpack("!I", s.recv(48)[40:44])[0])
finally:
    s.close()
""",
            PEER,
        )
        assert program.end() == f"{seconds}\n"
        thread.join()


@ON_A_TAP
def test_dhcp_and_names(target, on_tap, need, tmp_path):  # noqa: F811
    """`ifconfig("dhcp")`, and names in getaddrinfo and connect."""
    dnsmasq = need(program_file, "dnsmasq")
    options = (
        "-k -C /dev/null -i tap3 --bind-interfaces --user=root --no-hosts --no-ping -R --pid-file"
        " --dhcp-range=192.168.69.50,192.168.69.60,1h --local=/test/"
        f" --address=/server.test/{PEER} --dhcp-leasefile={tmp_path}/leases"
    )
    with Daemon(dnsmasq, *options.split()):
        time.sleep(0.3)
        program = on_tap(
            target,
            """
import network, socket
lan = network.LAN()
lan.active(True)
lan.ifconfig("dhcp")
print(lan.ifconfig(), lan.isconnected(), lan.ipconfig("has_dhcp4"))
print(socket.getaddrinfo("server.test", 80)[0][4])
try:
    socket.getaddrinfo("nobody.test", 80)
except OSError as e:
    print(e.errno)
s = socket.socket()
try:
    s.connect(("server.test", 9))
except OSError as e:
    print(e.errno)
lan.ipconfig(dhcp4=False)
print(lan.ifconfig()[0])
""",
            SMOLMPY_NO_ADDRESS="1",
        )
        lines = program.end().splitlines()
    assert len(lines) == 5, lines
    address = lines[0].split("'")[1]
    assert address.startswith("192.168.69.5")
    assert lines == [
        f"('{address}', '255.255.255.0', '{PEER}', '{PEER}') True True",
        f"('{PEER}', 80)",
        "-2",
        "111",
        "0.0.0.0",
    ]


@ON_A_TAP
def test_multicast(target, on_tap):  # noqa: F811
    """A datagram to a group reaches its member, and nobody after it has left."""
    import socket

    program = on_tap(
        target,
        """
import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("", 5007))
group = bytes((239, 1, 2, 3, 0, 0, 0, 0))
u.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
u.settimeout(5)
print("ready")
print(u.recvfrom(100)[0])
u.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, group)
print("left")
u.settimeout(1)
try:
    print(u.recv(100))
except OSError as e:
    print(e.errno)
""",
    )
    assert program.line() == "ready"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(PEER))
        s.sendto(b"to all", ("239.1.2.3", 5007))
        assert program.line() == "b'to all'"
        assert program.line() == "left"
        time.sleep(0.1)
        s.sendto(b"too late", ("239.1.2.3", 5007))
    assert program.end() == "110\n"


@contextlib.contextmanager
def leases(need, tmp_path):
    """A DHCP server, which knows an address of every name."""
    dnsmasq = need(program_file, "dnsmasq")
    options = (
        "-k -C /dev/null -i tap3 --bind-interfaces --user=root --no-hosts --no-ping -R --pid-file"
        f" --dhcp-range=192.168.69.50,192.168.69.60,1h --address=/#/{PEER}"
        f" --dhcp-leasefile={tmp_path}/leases"
    )
    with Daemon(dnsmasq, *options.split()):
        time.sleep(0.3)
        yield


# What the libraries want of the board.
MACHINE = """
import sys
class machine:
    class RTC:
        def datetime(self):
            return (2026, 1, 1, 0, 0, 0, 0, 0)
    @staticmethod
    def unique_id():
        return b"smolmpy0"
sys.modules["machine"] = machine
import asyncio
sys.modules["uasyncio"] = asyncio
"""

PHEW = (
    MACHINE
    + """
import os
os.chdir(sys.argv[1])
sys.path.append({path!r})
import phew
from phew import server
print("connected", phew.is_connected_to_wifi())
print("address", phew.connect_to_wifi("a name", "a password"))
print("connected", phew.is_connected_to_wifi())
try:
    phew.access_point("a name", "a password")
except OSError as e:
    print("access point", e.errno)
@server.route("/hello/<name>")
def hello(request, name):
    return "hello " + name + " " + request.query.get("a", "")
@server.catchall()
def other(request):
    return "nothing there", 404
print("ready")
server.run()
"""
)


@ON_A_TAP
def test_phew(target, on_tap, need, tmp_path):  # noqa: F811
    """A library for the Pico W: it connects a WLAN, which here is DHCP on the wire."""
    path = need(libraries.folder, "micropython-phew")
    with leases(need, tmp_path):
        program = on_tap(
            target, PHEW.format(path=str(path)), tmp_path, aio=True, SMOLMPY_NO_ADDRESS="1"
        )
        said = []
        while not said or said[-1] != "ready":
            said.append(program.line())
            assert said[-1] or len(said) < 99, said
        said = [line for line in said if not line.startswith("2026-")]
        address = said[1].removeprefix("address ")
        assert re.fullmatch(r"192\.168\.69\.(5\d|60)", address), said
        assert said == ["connected False", f"address {address}", "connected True",
                        "access point 95", "ready"]  # fmt: skip
        time.sleep(0.5)
        for _ in range(5):
            done = subprocess.run(
                ["curl", "-sS", "-m", "20", f"http://{address}/hello/smolmpy?a=5"],
                capture_output=True, text=True,
            )  # fmt: skip
            assert (done.returncode, done.stdout) == (0, "hello smolmpy 5"), done


MQTT_ASYNC = (
    MACHINE
    + """
sys.path.append({path!r})
import mqtt_async, asyncio
config = mqtt_async.MQTTConfig()
got = []
def message(topic, message, retained, number):
    got.append((topic, message))
async def main():
    config.server = "broker.test"
    config.ssid, config.wifi_pw = "a name", "a password"
    config.subs_cb = message
    config.interface = mqtt_async.STA_IF
    client = mqtt_async.MQTTClient(config)
    await client.connect()
    await client.subscribe("to/me/#", qos=1)
    await client.publish("from/me", b"ready", qos=1)
    while len(got) < 3:
        await asyncio.sleep_ms(50)
    print(got)
    await client.disconnect()
asyncio.run(main())
"""
)


@ON_A_TAP
def test_mqtt_async(target, on_tap, need, tmp_path):  # noqa: F811
    """A client of MQTT that looks after its WLAN, as mqtt_as does, from which it comes."""
    path = need(libraries.folder, "micropython-mqtt")
    broker = need(program_file, "mosquitto")
    publish, subscribe = need(program_file, "mosquitto_pub"), need(program_file, "mosquitto_sub")
    configuration = tmp_path / "mosquitto.conf"
    configuration.write_text(f"listener 1883 {PEER}\nallow_anonymous true\n")
    with (
        leases(need, tmp_path),
        Daemon(broker, "-c", configuration),
        Subscription(subscribe) as messages,
    ):
        text = MQTT_ASYNC.format(path=str(path))
        program = on_tap(target, text, aio=True, SMOLMPY_NO_ADDRESS="1")
        assert messages.line() == "from/me ready"
        for n in range(3):
            subprocess.run(
                [publish, "-h", PEER, "-t", f"to/me/{n}", "-m", f"hello {n}", "-q", "1"],
                check=True,
            )
        wanted = [(b"to/me/%d" % n, b"hello %d" % n) for n in range(3)]
        assert str(wanted) in program.end()


FTP = """
import network, os, socket, sys
from smolmpy import net
files = {"old": b"0123456789" * 500}
clients = []
over = False
def serve(s):
    global over
    line = s.readline().decode().rstrip("\\r\\n")
    if not line:
        s.close()
        s.setsockopt(socket.SOL_SOCKET, 20, None)
        clients.remove(s)
        over = not clients
        return
    command, _, name = line.partition(" ")
    if command in ("USER", "PASS", "TYPE", "NOOP"):
        s.sendall("230 yes\\r\\n")
    elif command == "PASV":
        addr = network.WLAN().ifconfig()[0]
        s.sendall("227 mode (%s,%d,%d).\\r\\n" % (addr.replace(".", ","), 13333 >> 8, 13333 & 255))
    elif command in ("NLST", "RETR", "STOR"):
        d, _ = data.accept()
        s.sendall("150 go\\r\\n")
        if command == "NLST":
            for name in sorted(files):
                d.sendall(name + "\\r\\n")
        elif command == "RETR":
            d.sendall(files[name])
        else:
            got = b""
            while True:
                piece = d.read(256)
                if not piece:
                    break
                got += piece
            files[name] = got
        d.close()
        s.sendall("226 done\\r\\n")
    elif command == "QUIT":
        s.sendall("221 bye\\r\\n")
        s.close()
        s.setsockopt(socket.SOL_SOCKET, 20, None)
        clients.remove(s)
        over = not clients
    else:
        s.sendall("502 no\\r\\n")
def client(l):
    s, _ = l.accept()
    clients.append(s)
    s.setsockopt(socket.SOL_SOCKET, 20, serve)
    s.sendall("220 hello\\r\\n")
control = socket.socket()
data = socket.socket()
for s, port in ((control, 21), (data, 13333)):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(socket.getaddrinfo("0.0.0.0", port)[0][4])
    s.listen(0)
data.settimeout(10)
control.setsockopt(socket.SOL_SOCKET, 20, client)
for i in (network.AP_IF, network.STA_IF):
    wlan = network.WLAN(i)
    if wlan.active():
        print("started on", wlan.ifconfig()[0])
while not over:
    net.rest(1000)
    net.pump()
print(sorted((name, len(files[name])) for name in files))
"""


@ON_A_TAP
def test_ftp_by_callbacks(target, on_tap):  # noqa: F811
    """A server as uftpd is: all in callbacks, in which it waits for the data connection."""
    program = on_tap(target, FTP, SMOLMPY_POOL="tcp=6")
    assert program.line() == f"started on {ADDRESS}"
    for number in range(2):
        with ftplib.FTP(timeout=20) as ftp, ftplib.FTP(timeout=20) as idle:
            idle.connect(ADDRESS)  # another client at the same time
            ftp.connect(ADDRESS)
            assert ftp.login()[:3] == "230"
            sent = bytes(range(256)) * 20
            assert ftp.storbinary("STOR new", io.BytesIO(sent))[:3] == "226"
            for _ in range(5):
                assert ftp.nlst() == ["new", "old"]
                got = []
                ftp.retrbinary("RETR new", got.append)
                assert b"".join(got) == sent
                for _ in range(10):
                    assert ftp.voidcmd("NOOP") == "230 yes"
            if number == 0:
                idle.voidcmd("NOOP")
                # Before the last client goes another has come.
                last = ftplib.FTP(timeout=20)
                last.connect(ADDRESS)
            else:
                last.quit()
    assert program.end() == str([("new", 5120), ("old", 5000)]) + "\n"
