"""The examples that serve or fetch something, against the programs that Linux people use."""

import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest

import targets
from example_hosts import EXAMPLES, PEER, Process, example, host, linux_tap, require, run
from smolmpy.core import counters
from tools.common import ROOT
from tools.exchange import pattern
from tools.host import ADDRESS

PROGRAMS = ROOT / "tests" / "programs"
HASTY = PROGRAMS / "hasty_http_server.py"
EVERYWHERE = ["unix64", "unix32", "board"]


def _marked(places):
    return [
        pytest.param(place, marks=pytest.mark.runs_on("cortex-m3" if place == "board" else place))
        for place in places
    ]


def on(*places):
    """The test runs at each of these places, as the argument `place`."""
    return pytest.mark.parametrize("place", _marked(places or EVERYWHERE))


class Stage:
    """One host or one tap at a time; it stays for the tests that want the same."""

    def __init__(self):
        self.name = self.context = self.thing = None

    def show(self, name, make):
        """The thing in the context that `make()` returns, entered now unless it is there still."""
        if self.name != name:
            self.clear()
            context = make()
            self.thing = context.__enter__()
            self.name, self.context = name, context
        return self.thing

    def clear(self):
        self.name = None
        if self.context:
            context, self.context = self.context, None
            context.__exit__(None, None, None)


@pytest.fixture(scope="module")
def stage(network):
    stage = Stage()
    yield stage
    stage.clear()


@pytest.fixture
def tap(stage):
    stage.show("tap", linux_tap)


# http_server.py


@pytest.fixture(scope="module", params=_marked(EVERYWHERE))
def everywhere(request):
    """A place; the tests at one of them follow each other."""
    return request.param


@pytest.fixture
def web(everywhere, need, stage):
    script = EXAMPLES / "http_server.py"
    server = stage.show(("web", everywhere), lambda: host(everywhere, need, script))
    yield server
    assert server.running()


@pytest.fixture(params=_marked(["unix64"]))
def hasty(request, need, stage):
    server = stage.show("hasty", lambda: host(request.param, need, HASTY))
    yield server
    assert server.running()


def raw(request, close=True, timeout=10):
    """All that comes back for these bytes."""
    with socket.create_connection((ADDRESS, 80), timeout) as sock:
        sock.sendall(request)
        if close:
            sock.shutdown(socket.SHUT_WR)
        received = b""
        while piece := sock.recv(65536):
            received += piece
    return received


def status():
    return json.loads(get("/status.json")[1])


def get(path):
    """(status, body) of a page; the clients of a full server wait."""
    connection = http.client.HTTPConnection(ADDRESS, timeout=40)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()


def test_web_with_curl(web, need):
    need(require, "curl")
    argv = ["curl", "--silent", "--show-error", "--max-time", "10", "--write-out"]
    argv += ["\n%{http_code} %{content_type} %{num_connects}\n"]
    urls = [f"http://{ADDRESS}/", f"http://{ADDRESS}/status.json"]
    done = subprocess.run([*argv, *urls], capture_output=True)
    assert done.returncode == 0, done.stderr
    page, data = re.fullmatch(
        r"(.*)\n200 text/html; charset=utf-8 1\n(.*)\n200 application/json; charset=utf-8 0\n",
        done.stdout.decode(),
        re.DOTALL,  # the second page came over the connection of the first
    ).groups()
    assert page.startswith("<!DOCTYPE html>") and page.endswith("</html>\n")
    assert "\r" not in page + data
    assert f"{ADDRESS}/24" in page and page.count("<td>TCP</td>") == 4
    data = json.loads(data)
    assert data["addresses"] == [f"{ADDRESS}/24"]
    assert set(data["counters"]) == set(counters.names())
    states = sorted(row["state"] for row in data["sockets"])
    assert states == ["ESTABLISHED", "LISTEN", "LISTEN", "LISTEN"]
    (peer,) = (row for row in data["sockets"] if row["state"] == "ESTABLISHED")
    assert peer["local"] == f"{ADDRESS}:80" and peer["remote"].startswith(f"{PEER}:")
    assert [row[0] for row in data["neighbors"]] == [PEER]
    for name in counters.names():
        assert f"<dt>{name}</dt>" in page


def test_web_counts_what_it_does(web):
    before, after = status(), status()
    assert after["requests"] == before["requests"] + 1
    assert after["uptime_ms"] >= before["uptime_ms"]
    assert after["counters"]["tcp_rx"] > before["counters"]["tcp_rx"]


_HOST = b"Host: x\r\n\r\n"
_REFUSED = {
    "no method": (b"hello\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: y\r\n" + _HOST, 400),
    "a space before the colon": (b"GET / HTTP/1.1\r\nX : y\r\n" + _HOST, 400),
    "not UTF-8": (b"GET /\xff HTTP/1.1\r\n" + _HOST, 400),
    "a target that is no path": (b"GET x HTTP/1.1\r\n" + _HOST, 400),
    "another method": (b"POST / HTTP/1.1\r\n" + _HOST, 405),
    "a body": (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n" + _HOST + b"hello", 413),
    "chunks": (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + _HOST, 413),
    "too long a head": (b"GET / HTTP/1.1\r\nX: " + b"y" * 3000, 431),
    "another version": (b"GET / HTTP/2.0\r\n" + _HOST, 505),
    "no such page": (b"GET /no HTTP/1.0\r\n\r\n", 404),
}


@pytest.mark.parametrize("name", _REFUSED)
def test_web_refuses(web, name):
    request, code = _REFUSED[name]
    answer = raw(request)
    assert answer.startswith(b"HTTP/1.1 %d " % code), answer
    assert b"\r\nConnection: close\r\n" in answer
    assert (b"\r\nAllow: GET, HEAD\r\n" in answer) == (code == 405)


def test_web_throws_a_body_away(web):
    """A client that sends more than the buffers hold before it listens to the answer."""
    request = b"POST / HTTP/1.1\r\nContent-Length: 4000000\r\n" + _HOST + bytes(4_000_000)
    assert raw(request).startswith(b"HTTP/1.1 413 ")


def test_web_escapes(web):
    answer = raw(b"GET /<script>'\"&amp; HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"/&lt;script&gt;&#39;&quot;&amp;amp; here" in answer
    assert b"<script>" not in answer


def test_web_head(web):
    answer = raw(b"HEAD / HTTP/1.1\r\n" + _HOST)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\r\n\r\n")
    assert answer.count(b"\r\n\r\n") == 1


def test_web_http_1_0_ends_with_the_page(web):
    head, _, page = raw(b"GET / HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")
    assert b"chunked" not in head and page.startswith(b"<!DOCTYPE") and page.endswith(b"</html>\n")


def test_web_requests_in_one_piece(web):
    """Pipelined, with an empty line before the second; the third asks for the end."""
    one = b"HEAD / HTTP/1.1\r\n" + _HOST
    absolute = b"HEAD http://x/status.json?a=b HTTP/1.1\r\n" + _HOST
    last = b"HEAD / HTTP/1.1\r\nConnection: close\r\n" + _HOST
    answer = raw(one + b"\r\n" + absolute + last + one, close=False)
    kinds = re.findall(rb"HTTP/1.1 200 OK\r\nContent-Type: (.*?);", answer)
    assert kinds == [b"text/html", b"application/json", b"text/html"]


def test_web_request_byte_by_byte(web):
    with socket.create_connection((ADDRESS, 80), 10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"HEAD / HTTP/1.1\r\n" + _HOST:
            sock.send(bytes((byte,)))
        assert sock.recv(4096).startswith(b"HTTP/1.1 200")


def _patient(path):
    """get(), by a client that gives up soon and tries again."""
    end = time.monotonic() + 30
    while True:
        try:
            with socket.create_connection((ADDRESS, 80), 0.3) as sock:
                sock.settimeout(20)
                sock.sendall(b"GET %s HTTP/1.0\r\n\r\n" % path.encode())
                response = http.client.HTTPResponse(sock)
                response.begin()
                return response.status, response.read()
        except (TimeoutError, ConnectionError):
            assert time.monotonic() < end
            time.sleep(random.random() / 5)


@pytest.mark.parametrize("count, client", [(12, get), (50, _patient)], ids=["12", "50"])
def test_web_many_clients_at_once(web, count, client):
    """On 4 sockets: each is served, of those that leave it to TCP to try again (after a second,
    then three, then seven) as of those that try again themselves."""
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        results = list(pool.map(client, ["/status.json"] * count))
    assert [code for code, _ in results] == [200] * count
    for _, body in results:
        assert len(json.loads(body)["sockets"]) == 4
    end = time.monotonic() + 5
    while [row["state"] for row in status()["sockets"]].count("LISTEN") < 3:
        assert time.monotonic() < end, "sockets are not free again"


def test_web_with_ab(web, need):
    need(require, "ab")
    argv = ["ab", "-q", "-l", "-n", "100", "-c", "50", "-s", "20", f"http://{ADDRESS}/"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Complete requests: +100\nFailed requests: +0\n", done.stdout), done.stdout


def test_web_clients_that_abort(web):
    for _ in range(10):
        with socket.create_connection((ADDRESS, 80), 10) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.sendall(b"GET / HTTP/1.1\r\n" + _HOST)
    assert get("/")[0] == 200


def test_web_waits_for_nobody(hasty):
    """Four clients that say nothing give way to one that does."""
    with contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection((ADDRESS, 80), 10)) for _ in range(4)
        ]
        start = time.monotonic()
        assert get("/")[0] == 200
        assert time.monotonic() - start < 10
        assert silent[0].recv(1) == b""


def test_web_request_that_is_never_complete(hasty):
    start = time.monotonic()
    answer = raw(b"GET / HTTP/1.1\r\n", close=False)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert 0.9 < time.monotonic() - start < 10


def test_web_client_that_stops_reading(hasty):
    """Its connection is reset, and others are served meanwhile."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.settimeout(10)
        sock.connect((ADDRESS, 80))
        sock.sendall(b"GET / HTTP/1.1\r\n" + _HOST)
        time.sleep(0.3)
        (stuck,) = (row for row in status()["sockets"] if row["send_queue"] > 2000)
        assert stuck["state"] == "ESTABLISHED"
        end = time.monotonic() + 20
        while any(row["send_queue"] > 2000 for row in status()["sockets"]):
            assert time.monotonic() < end, "it is kept"
            time.sleep(0.2)
        with pytest.raises(ConnectionResetError):
            while sock.recv(65536):
                pass


@contextlib.contextmanager
def _crowd(count, act):
    """So many threads that call act(socket) ten times a second until their connection has ended,
    and then make another."""
    leave = threading.Event()

    def run():
        while not leave.is_set():
            with contextlib.suppress(OSError), socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                sock.settimeout(2)
                sock.connect((ADDRESS, 80))
                if act is _read_slowly:
                    sock.sendall(b"GET / HTTP/1.1\r\n" + _HOST)
                while act(sock) and not leave.wait(0.1):
                    pass

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        leave.set()
        for thread in threads:
            thread.join()


def _read_slowly(sock):
    return sock.recv(90)


def _write_slowly(sock):
    return sock.send(b"G")


@pytest.mark.parametrize("act", [_read_slowly, _write_slowly])
def test_web_slow_clients_do_not_hold_the_server(hasty, act):
    """Six of them, again and again, on four sockets; the page takes them two minutes."""
    before = status()["counters"]["tcp_rst_tx"]
    end = time.monotonic() + 60
    with _crowd(6, act):
        while True:
            code, body = _patient("/status.json")
            assert code == 200
            if json.loads(body)["counters"]["tcp_rst_tx"] >= before + 12:
                break
            assert time.monotonic() < end, "the slow ones are kept"
    assert get("/status.json")[0] == 200


@on("unix64", "unix32")
@pytest.mark.parametrize("left", [5000, 3000, 1500])
def test_web_without_memory(place, need, stage, left):
    """Where so many bytes are left a long path may be too much, but never for the program."""
    stage.clear()
    with host(place, need, PROGRAMS / "tight_http_server.py", str(left)) as server:
        assert get("/")[0] == 200
        for character in b"<", b"a":
            for _ in range(5):
                answer = raw(b"GET /%s HTTP/1.0\r\n\r\n" % (character * 900))
                assert answer[:13] in (b"HTTP/1.1 404 ", b"HTTP/1.1 503 "), answer
            # What the last one left may still be held by a word on the stack.
            answers = []
            while not answers or answers[-1] == (503, b""):
                answers.append(get("/"))
                assert len(answers) < 5, answers
            assert answers[-1] == (200, b"hello\n") and server.running()
        assert get("/free") == (200, b"free\n")
        assert raw(b"GET /%s HTTP/1.0\r\n\r\n" % (b"a" * 900)).startswith(b"HTTP/1.1 404 ")


def test_web_keeps_a_connection_only_so_long(hasty):
    with socket.create_connection((ADDRESS, 80), 10) as sock:
        sock.sendall(b"HEAD / HTTP/1.1\r\n" + _HOST)
        assert sock.recv(4096).startswith(b"HTTP/1.1 200")
        start = time.monotonic()
        assert sock.recv(1) == b""
        assert 1.5 < time.monotonic() - start < 12


@on("unix64")
def test_web_in_a_browser(place, need, stage, tmp_path):
    """Chromium renders the page, and loads it again by itself."""
    need(require, "chromium")
    stage.clear()
    with host(place, need, EXAMPLES / "http_server.py"):
        argv = "chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
        argv += "--disable-background-networking --disable-component-update --disable-sync"
        argv = [*argv.split(), f"--user-data-dir={tmp_path}"]
        env = dict(os.environ, HOME=str(tmp_path))
        url = f"http://{ADDRESS}/"
        dom = subprocess.run(
            [*argv, "--dump-dom", url], capture_output=True, text=True, timeout=60, env=env
        ).stdout
        assert "<title>smolmpy</title>" in dom and dom.count("<tr><td>TCP</td>") == 4, dom
        assert "<dt>tcp_rx</dt>" in dom
        with Process(*argv, "--remote-debugging-port=0", url, env=env) as browser:
            ours = 1  # and one was for the dump
            end = time.monotonic() + 20
            while status()["requests"] - ours < 3:
                assert time.monotonic() < end, browser.printed()
                time.sleep(0.2)
                ours += 1


# http_client.py


_NGINX = """
{user}
daemon off; pid {folder}/pid; error_log stderr info; worker_processes 1;
events {{}}
http {{
  access_log off; default_type text/plain;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen {address}:80; listen {address}:443 ssl; server_name server.test; root {folder}/www;
    ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;
    location /chunked {{ ssi on; ssi_types *; alias {folder}/www/big; }}
    location /moved/ {{ return 302 /small; }}
    location /near/by {{ return 301 ../small; }}
    location /relative/from {{ return 302 to; absolute_redirect off; }}
    location /relative/to {{ return 200 "relative"; }}
    location /safe {{ return 308 https://server.test/small; }}
    location /unsafe {{ return 302 http://server.test/small; }}
    location /loop {{ return 307 /loop; }}
    location /empty {{ return 204; }}
  }}
}}
"""
_BIG = pattern(100_000).replace(b"<", b">")  # no commands to nginx's SSI


def certificate(folder, name):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=server.test", "-addext", "subjectAltName=DNS:server.test",
         "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"],
        check=True, capture_output=True,
    )  # fmt: skip


@pytest.fixture
def nginx(need, stage, tmp_path_factory):
    """nginx on the tap; the folder with its certificate, and with one that it does not use."""
    need(require, "nginx", "openssl")
    return stage.show("nginx", lambda: serving_pages(tmp_path_factory.mktemp("nginx")))


@contextlib.contextmanager
def serving_pages(folder):
    folder.chmod(0o755)
    for name in ("server", "other"):
        certificate(folder, name)
    www = folder / "www"
    www.mkdir()
    (www / "big").write_bytes(_BIG)
    (www / "small").write_text("small and simple\n")
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "conf").write_text(_NGINX.format(folder=folder, address=PEER, user=user))
    with linux_tap():
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        with Process(program, "-c", folder / "conf", "-p", folder) as process:
            process.wait_for("start worker process ")
            yield folder


def fetch(place, need, *args):
    return run(place, need, "http_client.py", "-H", f"server.test={PEER}", *args)


@on()
@pytest.mark.parametrize("path", ["small", "moved/x", "near/by"])
def test_fetch(place, need, nginx, path):
    code, out, err = fetch(place, need, f"http://server.test/{path}")
    assert (code, out, err) == (0, b"small and simple\n", "")


@on("unix64", "unix32")
@pytest.mark.parametrize("path", ["big", "chunked"])
def test_fetch_much(place, need, nginx, path, tmp_path):
    file = tmp_path / "page"
    code, out, err = fetch(place, need, "-i", "-o", file, f"http://server.test/{path}")
    assert (code, err) == (0, "")
    assert (b"transfer-encoding: chunked" in out) == (path == "chunked")
    assert file.read_bytes() == _BIG


@on("unix64")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_fetch_with_debian_names(place, need, nginx, scheme, tmp_path):
    """The name from a DNS server."""
    need(require, "dnsmasq")
    program = shutil.which("dnsmasq") or "/usr/sbin/dnsmasq"
    argv = [program, "--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null"]
    argv += [f"--listen-address={PEER}", "--bind-interfaces", f"--address=/server.test/{PEER}"]
    argv += [f"--pid-file={tmp_path}/pid", "--user=root"]
    with Process(*argv) as process:
        process.wait_for("started, version")
        args = ["-d", PEER, "-c", nginx / "server.pem", f"{scheme}://server.test/small"]
        assert run(place, need, "http_client.py", *args) == (0, b"small and simple\n", "")
        args[-1] = "http://unknown.test/"
        code, out, err = run(place, need, "http_client.py", *args)
        assert (code, out) == (1, b"") and "unknown.test" in err


@on("unix64")
def test_fetch_https(place, need, nginx, tmp_path):
    file = tmp_path / "page"
    trusted = ["-c", nginx / "server.pem"]
    code, _, err = fetch(place, need, *trusted, "-o", file, "https://server.test/big")
    assert (code, err) == (0, "") and file.read_bytes() == _BIG
    wanted = (0, b"small and simple\n", "")
    assert fetch(place, need, *trusted, "http://server.test/safe") == wanted
    assert fetch(place, need, "-k", "https://server.test/small") == wanted


@on("unix64")
def test_fetch_https_distrusts(place, need, nginx):
    url = "https://server.test/small"
    own = nginx / "server.pem"
    for args, reason in (
        ([url], "-c FILE"),
        (["-c", nginx / "other.pem", url], "not correctly signed"),
        (["-c", own, "-H", f"x.test={PEER}", "https://x.test/"], "does not match"),
        (["-c", own, "https://server.test/unsafe"], "from https to http"),
    ):
        code, out, err = fetch(place, need, *args)
        assert (code, out) == (1, b"") and reason in err, err


@on("unix64")
@pytest.mark.parametrize(
    "path, code, out",
    [
        ("none", 1, b"404 Not Found"),
        ("loop", 1, b""),
        ("empty", 0, b""),
        ("relative/from", 0, b"relative"),
    ],
)
def test_fetch_other_answers(place, need, nginx, path, code, out):
    status, text, err = fetch(place, need, f"http://server.test/{path}")
    assert status == code and (out in text if out else text == b"")
    assert ("too many redirects" in err) == (path == "loop")


@contextlib.contextmanager
def speaking(text):
    """A server at a free port that says this to anybody and closes."""
    program = (
        "import socket, sys\n"
        f"s = socket.create_server(({PEER!r}, 0))\n"
        "print(s.getsockname()[1], '.', flush=True)\n"
        "while True:\n"
        "    c = s.accept()[0]; c.recv(4096)\n"
        f"    c.sendall({text!r}); c.shutdown(1); c.recv(4096); c.close()\n"
    )
    with Process(sys.executable, "-c", program) as process:
        process.wait_for(".")
        yield int(process.printed().split()[0])


_OK = b"HTTP/1.1 200 OK\r\n"
_ODD = {
    b"HTTP/1.0 200 OK\r\n\r\nto the end": (0, "to the end"),
    b"HTTP/1.1 100 Continue\r\n\r\n" + _OK + b"Content-Length: 2\r\n\r\nhi": (0, "hi"),
    _OK + b"Content-Length: 100\r\n\r\nhi": (1, "98 bytes of the body are missing"),
    _OK + b"Content-Length: -1\r\n\r\nhi": (1, "not a length"),
    _OK + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n0\r\nX: y\r\n\r\n": (0, "hi"),
    _OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n": (1, "ended early"),
    _OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhiho\r\n0\r\n\r\n": (1, "longer than it said"),
    _OK + b"X: " + b"y" * 3000 + b"\r\n\r\n": (1, "a line is too long"),
    b"220 smtp.test\r\n": (1, "not HTTP"),
    b"": (1, "ended early"),
}


@pytest.mark.parametrize("text", _ODD, ids=range(len(_ODD)))
@on("unix64")
def test_fetch_from_an_odd_server(place, need, tap, text):
    code, words = _ODD[text]
    with speaking(text) as port:
        status, out, err = run(place, need, "http_client.py", f"http://{PEER}:{port}/")
    assert status == code
    if code:
        assert words in err
    else:
        assert out.decode() == words


@on("unix64")
@pytest.mark.parametrize(
    "url, words",
    [
        (f"http://{PEER}:9/", "ECONNREFUSED"),
        ("http://192.168.69.7/", "ETIMEDOUT"),
        ("http://10.1.2.3/", "EHOSTUNREACH"),
        ("http://name.test/", "no name server"),
        ("ftp://server.test/", "is expected"),
        ("http://server.test:x/", "is expected"),
        ("http://a b/ c", "has to be written as"),
    ],
)
def test_fetch_from_nobody(place, need, tap, url, words):
    code, out, err = run(place, need, "http_client.py", "-w", "1", url)
    assert (code, out) == (1, b"") and words in err
    assert "Traceback" not in err


@on("unix32")
def test_fetch_https_without_ssl(place, need, tap):
    code, _, err = run(place, need, "http_client.py", "-k", "https://server.test/")
    assert code == 1 and "ssl" in err and "Traceback" not in err


# mqtt.py

_MOSQUITTO_SUB = ("stdbuf", "-oL", "mosquitto_sub", "-h", PEER)


class Broker:
    """mosquitto, which can be ended and started again."""

    def __init__(self, folder, *lines):
        self.config = folder / "mosquitto.conf"
        user = "user root" if os.geteuid() == 0 else ""
        text = ["listener 1883 " + PEER, user, "log_type all", *lines]
        self.config.write_text("\n".join(text) + "\n")
        self.process = None

    def start(self):
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self.process = Process(program, "-c", self.config)
        self.process.wait_for(" running")

    def stop(self):
        if self.process:
            self.process.__exit__()
            self.process = None

    def publish(self, topic, text, *args):
        subprocess.run(
            ["mosquitto_pub", "-h", PEER, "-t", topic, "-m", text, *args], check=True, timeout=10
        )


@pytest.fixture
def broker(need, tap, tmp_path):
    need(require, "mosquitto", "mosquitto_pub", "mosquitto_sub")
    broker = Broker(tmp_path, "allow_anonymous true")
    broker.start()
    yield broker
    broker.stop()


@on()
@pytest.mark.parametrize("qos", [0, 1])
def test_mqtt_publish(place, need, broker, qos):
    with Process(*_MOSQUITTO_SUB, "-q", "1", "-t", "a/#", "-v", "-d") as other:
        other.wait_for("SUBACK")
        args = ["-q", qos, "-w", "10", PEER, "pub", "a/b", "hällo " + "x" * 200]
        code, _, err = run(place, need, "mqtt.py", *args)
        assert code == 0, err
        other.wait_for("a/b hällo " + "x" * 200)
        assert f"(d0, q{qos}, r0" in other.printed()


@on("unix64", "unix32")
@pytest.mark.parametrize("qos", [0, 1])
def test_mqtt_subscribe(place, need, broker, qos):
    """Retained messages, others, one that is too long, one of a topic besides."""
    target = need(targets.get, place)
    broker.publish("a/kept", "from before", "-r")
    with example(target, "mqtt.py", "-q", str(qos), "-c", "4", PEER, "sub", "a/#", "b") as client:
        client.wait_for("a/kept from before\n")
        broker.publish("a/long", "x" * 2000, "-q", "1")
        broker.publish("c", "nobody's")
        broker.publish("a/1", "one", "-q", "2")
        broker.publish("b", "", "-q", "1")
        broker.publish("a/" + "t" * 200, "y" * 700)
        assert client.finish() == 0, client.printed()
        lines = client.printed().splitlines()
    assert lines[0] == "connected"
    assert sorted(lines[1:]) == sorted(
        ["a/kept from before", "a/1 one", "b ", "a/" + "t" * 200 + " " + "y" * 700]
    )
    # Of the four others one was published with quality 0; the long one is confirmed as well.
    assert broker.process.printed().count("Received PUBACK") == (3 if qos else 0)


@on("unix64")
def test_mqtt_keeps_alive(place, need, broker):
    """mosquitto ends a connection that is silent for one and a half times what was agreed."""
    with example(need(targets.get, place), "mqtt.py", "-k", "1", PEER, "sub", "a") as client:
        client.wait_for("connected")
        time.sleep(2.5)
        broker.publish("a", "still there")
        client.wait_for("a still there")
        assert client.printed() == "connected\na still there\n"
        assert broker.process.printed().count("Received PINGREQ") >= 2


@on("unix64", "unix32")
def test_mqtt_connects_again(place, need, broker):
    with example(need(targets.get, place), "mqtt.py", PEER, "sub", "a") as client:
        client.wait_for("connected")
        broker.publish("a", "one")
        client.wait_for("a one")
        broker.stop()
        client.wait_for("trying again")
        broker.start()
        client.wait_for("connected", 2)
        broker.publish("a", "two")
        client.wait_for("a two")


@on("unix64")
def test_mqtt_a_name_is_remembered(place, need, broker):
    target = need(targets.get, place)
    args = ["mqtt.py", "-i", "clock", "-q", "1", "-c", "1", PEER, "sub", "a"]
    broker.publish("a", "first", "-r")
    with example(target, *args) as client:
        assert client.finish() == 0
    broker.publish("a", "while it was away", "-q", "1")
    with example(target, *args) as client:
        assert client.finish() == 0
        assert "a while it was away\n" in client.printed()


@on("unix64")
def test_mqtt_what_is_not_confirmed_is_sent_again(place, need, broker):
    """There is no broker at first; the message, which it keeps, comes when there is."""
    broker.stop()
    args = ["mqtt.py", "-q", "1", "-r", PEER, "pub", "a", "late"]
    with example(need(targets.get, place), *args) as client:
        client.wait_for("ECONNREFUSED; trying again")
        broker.start()
        assert client.finish() == 0
        assert "connected" in client.printed()
    with Process(*_MOSQUITTO_SUB, "-t", "a", "-C", "1") as other:
        assert other.finish() == 0
        assert other.printed() == "late\n"


@on("unix64")
def test_mqtt_who_is_refused_gives_up(place, need, tap, tmp_path):
    need(require, "mosquitto", "mosquitto_passwd")
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "ann", "secret"], check=True)
    broker = Broker(tmp_path, "allow_anonymous false", f"password_file {passwords}")
    broker.start()
    try:
        words = [PEER, "pub", "a", "b"]
        code, _, err = run(place, need, "mqtt.py", *words)
        assert code == 1 and "does not let us" in err
        code, _, err = run(place, need, "mqtt.py", "-u", "ann", "-P", "wrong", *words)
        assert code == 1 and "does not let us" in err
        assert run(place, need, "mqtt.py", "-u", "ann", "-P", "secret", *words)[0] == 0
    finally:
        broker.stop()


@on("unix64")
def test_mqtt_nobody(place, need, tap):
    code, _, err = run(place, need, "mqtt.py", "-w", "1", PEER, "pub", "a", "b")
    assert code == 1 and "ECONNREFUSED; trying again" in err


# throughput.py


def locked_on_unix(place, name):
    """The example, or the program that runs it with a locked heap."""
    return EXAMPLES / f"{name}.py" if place == "board" else PROGRAMS / f"locked_{name}.py"


@on()
def test_throughput_services(place, need, stage):
    data = pattern(300_000)
    stage.clear()
    with host(place, need, locked_on_unix(place, "throughput"), "-b", "2048") as server:
        for _ in range(2):
            with socket.create_connection((ADDRESS, 9), 10) as sock:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                assert sock.recv(1) == b""
            with socket.create_connection((ADDRESS, 19), 10) as sock:
                received = b""
                while len(received) < 200_000:
                    received += sock.recv(65536)
            lines = received.split(b"\r\n")
            assert lines[0] == bytes(range(32, 104))
            assert lines[95:-1] == lines[:-96]
            assert lines[94] == bytes([126]) + bytes(range(32, 103))
        process = subprocess.Popen(
            [sys.executable, "-c", _ECHO, ADDRESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        out, _ = process.communicate(data, timeout=30)
        assert hashlib.sha256(out).digest() == hashlib.sha256(data).digest()
        assert server.running()


_ECHO = """
import socket, sys, threading
s = socket.create_connection((sys.argv[1], 7), 20)
data = sys.stdin.buffer.read()
def send():
    s.sendall(data)
    s.shutdown(1)
threading.Thread(target=send).start()
while piece := s.recv(65536):
    sys.stdout.buffer.write(piece)
"""


@on()
def test_throughput_with_iperf3(place, need, stage):
    need(require, "iperf3")
    args = ["-n", "2", "-b", "4096"]
    stage.clear()
    with host(place, need, locked_on_unix(place, "throughput_iperf3"), *args) as server:
        for extra in ([], ["-R"], ["-P", "2"], ["-R", "-P", "2"]):
            argv = ["iperf3", "-J", "-c", ADDRESS, "-n", "4M", *extra]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
            result = json.loads(done.stdout)
            assert done.returncode == 0, result["error"]
            end = result["end"]
            sent, received = end["sum_sent"], end["sum_received"]
            assert sent["bytes"] >= 4 << 20
            # The test is over when the last byte is sent; some are on the way then.
            assert 2 << 20 < received["bytes"] <= sent["bytes"]
            assert len(end["streams"]) == (2 if "-P" in extra else 1)
        for extra, words in ((["-u"], "not implemented"), (["-P", "3"], "parallel streams")):
            argv = ["iperf3", "-c", ADDRESS, "-t", "1", *extra]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
            assert done.returncode == 1 and words in done.stdout + done.stderr
        assert server.running()


@pytest.mark.parametrize("target", ["unix64", "unix32", "bytecode"], indirect=True)
def test_iperf3_and_strangers(target):
    """Whoever connects and goes, or says nothing, keeps no place for long."""
    folders = ROOT / "tests" / "conformance", EXAMPLES
    assert target.run(PROGRAMS / "strangers_iperf3.py", folders=folders).endswith("ok\n")


@on("unix64")
def test_iperf3_after_knocks(place, need, stage):
    """As by those who wait until the server is up; and a second client is turned away."""
    need(require, "iperf3")
    stage.clear()
    with host(place, need, EXAMPLES / "throughput_iperf3.py", "-b", "4096") as server:
        for _ in range(20):
            socket.create_connection((ADDRESS, 5201), 30).close()
        argv = ["iperf3", "--forceflush", "-c", ADDRESS, "-R"]
        with Process(*argv, "-t", "3") as long:
            long.wait_for("connected")
            done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
            assert done.returncode == 1 and "busy" in done.stderr, done
            assert long.finish(30) == 0
        assert server.running()


# console.py


class Talk:
    """A session with the console, which takes one at a time."""

    def __init__(self):
        end = time.monotonic() + 10
        while True:
            try:
                self.sock = socket.create_connection((ADDRESS, 23), 10)
                break
            except ConnectionRefusedError:
                assert time.monotonic() < end, "the last session does not end"
                time.sleep(0.05)
        self.heard = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def until(self, mark):
        while mark not in self.heard:
            piece = self.sock.recv(4096)
            assert piece, self.heard
            self.heard += piece
        said, _, self.heard = self.heard.partition(mark)
        return said.decode()

    def login(self):
        self.until(b"password: ")
        self.say("secret")
        self.until(b">>> ")

    def say(self, line):
        self.sock.sendall(line.encode() + b"\r\n")

    def ask(self, line):
        self.say(line)
        return self.until(b">>> ")


@pytest.fixture
def console(everywhere, need, stage):
    script = EXAMPLES / "console.py"
    server = stage.show(("console", everywhere), lambda: host(everywhere, need, script, "secret"))
    yield server
    assert server.running()


def test_console_runs_lines(console):
    with Talk() as talk:
        talk.login()
        assert talk.ask("6 * 7") == "42\r\n"
        assert talk.ask("x = [1]") == ""
        talk.say("for i in range(2):\r\n    print(i, x, sep='-')")
        assert talk.ask("") == "... ... 0-[1]\r\n1-[1]\r\n"
        assert "ZeroDivisionError" in talk.ask("1 / 0")
        assert "SyntaxError" in talk.ask("1 +")
        assert talk.ask("_") == "42\r\n"
        assert talk.ask("12\b3") == "13\r\n"
        assert talk.ask("print('ä' * 3000)") == "ä" * 3000 + "\r\n"


def test_console_wants_the_password(console):
    with Talk() as talk:
        for word in ("", "secre", "secretsecret"):
            talk.until(b"password: ")
            talk.say(word)
        with pytest.raises(AssertionError):
            talk.until(b">>> ")
    with Talk() as talk:
        talk.until(b"password: ")
        talk.say("1 + 1\r\nsecret")
        assert talk.until(b">>> ").startswith("no\r\npassword: MicroPython on ")


def test_console_speaks_to_telnet(console):
    """What a telnet client negotiates is passed over, and so is the zero after its CR."""
    with Talk() as talk:
        talk.sock.sendall(b"\xff\xfd\x03\xff\xfb\x18\xff\xfa\x18\x00vt100\xff\xf0")
        talk.until(b"password: ")
        talk.sock.sendall(b"secret\r\0")
        talk.until(b">>> ")
        talk.sock.sendall(b"1\xff\xf1 + 1\r\0")
        assert talk.until(b">>> ") == "2\r\n"


@pytest.mark.parametrize("farewell", ["quit()", "\4", "raise SystemExit"])
def test_console_session_ends(console, farewell):
    with Talk() as talk:
        talk.login()
        assert talk.ask("y = 1") == ""
        talk.say(farewell)
        with pytest.raises(AssertionError):
            talk.until(b">>> ")
    with Talk() as talk:
        talk.login()
        assert "NameError" in talk.ask("y")


@on("unix64", "unix32")
def test_console_as_the_terminal_of_a_prompt(place, need, stage):
    """console_repl.py, with what calls it on a board played by a program."""
    stage.clear()
    with host(place, need, PROGRAMS / "terminal.py") as server:
        for _ in range(2):
            with Talk() as talk:
                talk.login()
                talk.sock.sendall(b"6 * 7\r")
                assert talk.until(b">>> ") == "6 * 7\r\n42\r\n"
                talk.sock.sendall(b"'x' * 5000\r\0")
                assert talk.until(b">>> ") == f"'x' * 5000\r\n'{'x' * 5000}'\r\n"
        with Talk() as talk:
            talk.until(b"password: ")
            talk.say("guess")
            with pytest.raises(AssertionError):
                talk.until(b">>> ")
        assert server.running()


# What they share


@on("unix64")
@pytest.mark.parametrize(
    "script, args",
    [
        ("http_server.py", ["-p"]),
        ("http_server.py", ["-p", "x"]),
        ("http_server.py", ["-n", "0"]),
        ("http_server.py", ["-a", "1.2.3/24"]),
        ("http_server.py", ["more"]),
        ("http_client.py", []),
        ("mqtt.py", [PEER, "pub", "topic"]),
        ("mqtt.py", ["-q", "2", PEER, "sub", "topic"]),
        ("throughput.py", ["-b", "1"]),
        ("throughput_iperf3.py", ["-z"]),
        ("console.py", []),
        ("console.py", [""]),
    ],
)
def test_usage(place, need, tap, script, args):
    code, out, err = run(place, need, script, *args)
    assert (code, out) == (2, b"") and err.count("\n") == 1 and "Traceback" not in err
