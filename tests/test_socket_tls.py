"""TLS over smolmpy's sockets: client and server, blocking and under asyncio, against OpenSSL."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from test_libraries import Daemon, nginx_configuration, program_file
from test_socket import PEER, on_tap  # noqa: F401  (a fixture)
from tools import exchange
from tools.common import Missing
from tools.host import ADDRESS
from tools.launcher import stop

# The other interpreters are built without TLS.
pytestmark = pytest.mark.parametrize("target", ["unix64"], indirect=True)


@pytest.fixture
def certificate(need, tmp_path):
    """A self-signed certificate and its key: PEM files, and DER files beside them."""
    need(_require_openssl)
    make = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        f" -subj /CN={PEER} -addext subjectAltName=DNS:smolmpy.test,IP:{PEER}"
        f" -keyout {tmp_path}/key.pem -out {tmp_path}/cert.pem"
    )
    for command in (
        make,
        f"openssl x509 -in {tmp_path}/cert.pem -outform der -out {tmp_path}/cert.der",
        f"openssl ec -in {tmp_path}/key.pem -outform der -out {tmp_path}/key.der",
    ):
        subprocess.run(command.split(), check=True, capture_output=True)
    return tmp_path


def _require_openssl():
    if not shutil.which("openssl"):
        raise Missing("openssl is not installed: 'make deps' gets it.")


def linux_client(certificate):
    context = ssl.create_default_context(cafile=certificate / "cert.pem")
    context.check_hostname = False
    return context.wrap_socket(exchange.connect(ADDRESS, 443))


CLIENT = """
import socket, ssl, sys
folder, host, port = sys.argv[1:4]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.verify_mode = ssl.CERT_REQUIRED
context.load_verify_locations(folder + "/cert.der")
s = socket.socket()
s.settimeout(60)
s.connect(socket.getaddrinfo(host, int(port))[0][-1])
t = context.wrap_socket(s, server_hostname="smolmpy.test")
t.write(b"GET /big HTTP/1.0\\r\\n\\r\\n")
print(t.readline())
total = 0
buf = bytearray(1000)
while total < int(sys.argv[4]):
    n = t.readinto(buf)
    if not n:
        break
    total += n
print(total)
t.close()
try:
    s.recv(1)
except OSError as e:
    print(e.errno)
"""


def test_client_of_nginx(target, on_tap, certificate, need):  # noqa: F811
    nginx = need(program_file, "nginx")
    (certificate / "www").mkdir()
    (certificate / "www" / "big").write_bytes(b"0123456789" * 10000)
    server = f"""
    server {{
        listen {PEER}:443 ssl;
        ssl_certificate {certificate}/cert.pem;
        ssl_certificate_key {certificate}/key.pem;
        root {certificate}/www;
    }}"""
    with Daemon(nginx, "-p", certificate, "-c", nginx_configuration(certificate, server)):
        time.sleep(0.5)
        program = on_tap(target, CLIENT, certificate, PEER, 443, 1000000)
        status, total, closed = program.end().splitlines()
        assert status == "b'HTTP/1.1 200 OK\\r\\n'" and closed == "9"
        assert int(total) > 100000  # and the header


def test_client_of_s_server(target, on_tap, certificate):  # noqa: F811
    """Also: a certificate that is not the one expected ends the connection with an error."""
    argv = ["openssl", "s_server", "-accept", f"{PEER}:4433", "-HTTP", "-quiet"]
    argv += ["-cert", f"{certificate}/cert.pem", "-key", f"{certificate}/key.pem"]
    (certificate / "big").write_bytes(b"HTTP/1.0 200 ok\r\n\r\n" + b"x" * 100001)
    process = subprocess.Popen(argv, cwd=certificate, stdin=subprocess.PIPE)
    try:
        _wait_for(4433)
        program = on_tap(target, CLIENT, certificate, PEER, 4433, 100003)
        assert program.end().splitlines() == ["b'HTTP/1.0 200 ok\\r\\n'", "100003", "9"]
        other = CLIENT.replace('"smolmpy.test"', '"other.test"')
        output = on_tap(target, other, certificate, PEER, 4433, 1).end()
        assert "OSError" in output or "ValueError" in output
    finally:
        process.stdin.close()
        process.terminate()
        process.wait()


def _wait_for(port):
    for _ in range(100):
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection((PEER, port)).close()
            return
        time.sleep(0.05)
    raise AssertionError("the server does not come up")


SERVER = """
import socket, ssl, sys
folder = sys.argv[1]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder + "/cert.der", folder + "/key.der")
s = socket.socket()
s.bind(("", 443))
s.listen(2)
print("ready")
while True:
    c, a = s.accept()
    c.settimeout(2)
    try:
        t = context.wrap_socket(c, server_side=True)
        line = t.readline()
        while t.readline() not in (b"", b"\\r\\n"):
            pass
        t.write(b"HTTP/1.0 200 OK\\r\\n\\r\\n")
        t.write(line * int(sys.argv[2]))
        t.close()
    except OSError as e:
        print(e.errno)
        c.close()
"""


def test_blocking_server(target, on_tap, certificate):  # noqa: F811
    program = on_tap(target, SERVER, certificate, 500)
    assert program.line() == "ready"
    for n in range(5):
        done = subprocess.run(
            ["curl", "-sS", "--cacert", certificate / "cert.pem", "--resolve",
             f"smolmpy.test:443:{ADDRESS}", f"https://smolmpy.test/{n}"],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.stdout == f"GET /{n} HTTP/1.1\n" * 500, done.stderr
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"{ADDRESS}:443", "-quiet", "-verify_quiet"],
        input="GET /s_client\r\n\r\n", capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.count("GET /s_client") == 500, done


def test_blocking_server_and_a_client_that_stops_reading(
    target, on_tap, certificate  # noqa: F811
):  # fmt: skip
    """The timeout ends the call; the next client is served."""
    program = on_tap(target, SERVER, certificate, 40000)
    assert program.line() == "ready"
    with linux_client(certificate) as deaf:
        # A window as small as Linux allows.
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        deaf.sendall(b"GET /deaf HTTP/1.1\r\n\r\n")
        assert program.line() == "110"
        with linux_client(certificate) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert client.recv(15).startswith(b"HTTP/1.0 200 OK"[:1])


ASYNC = """
import asyncio, ssl, sys
folder = sys.argv[1]
async def serve(reader, writer):
    try:
        while True:
            line = await reader.readline()
            if not line:
                break
            writer.write(line.upper())
            await writer.drain()
        writer.close()
        await writer.wait_closed()
    except OSError as e:
        print(e.errno)
async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder + "/cert.der", folder + "/key.der")
    server = await asyncio.start_server(serve, "0.0.0.0", 443, ssl=context)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.verify_mode = ssl.CERT_REQUIRED
    client.load_verify_locations(folder + "/cert.der")
    r, w = await asyncio.open_connection(sys.argv[2], int(sys.argv[3]), client, "smolmpy.test")
    w.write(b"hello\\n")
    await w.drain()
    print(await r.readline())
    w.close()
    await w.wait_closed()
    await server.wait_closed()
asyncio.run(main())
"""


def test_asyncio(target, on_tap, certificate):  # noqa: F811
    """A client of Linux's server, then a server: one peer reads nothing, others are served."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with socket.create_server((PEER, 0)) as listener:

        def serve():
            with context.wrap_socket(listener.accept()[0], server_side=True) as connection:
                connection.sendall(connection.recv(100) * 2)

        thread = threading.Thread(target=serve)
        thread.start()
        program = on_tap(
            target, ASYNC, certificate, PEER, listener.getsockname()[1], aio=True,
            SMOLMPY_POOL="rx=2048 tx=2048",
        )  # fmt: skip
        assert program.line() == "b'hello\\n'"
        thread.join()
    with linux_client(certificate) as deaf:
        deaf.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while True:
                deaf.sendall(b"x" * 99 + b"\n")
        for n in range(3):
            with linux_client(certificate) as client:
                for line in (b"one\n", b"x" * 2000 + b"\n"):
                    client.sendall(line)
                    got = b""
                    while len(got) < len(line):
                        got += client.recv(4000)
                    assert got == line.upper()


FORGOTTEN = """
import gc, socket, ssl, sys, time
from smolmpy import net
l = socket.socket()
l.bind(("", 80))
l.listen(4)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.verify_mode = ssl.CERT_NONE
def one():
    s = socket.socket()
    s.connect((sys.argv[1], int(sys.argv[2])))
    t = context.wrap_socket(s)
    t.write(b"hello")
    return t.read(5)
def several():
    for _ in range(3):
        assert one() == b"hello"
several()
junk = [bytearray(60) for _ in range(300)]
junk = None
start = time.ticks_ms()
# The last one may be found on the stack still, by a collector that takes all there for addresses.
while sum(s.owner is l and s.state == 1 for s in net.pool.tcp) < 3:
    assert time.ticks_diff(time.ticks_ms(), start) < 30000, socket.opened()
    gc.collect()
    net.rest(100)
    net.pump()
print("listening")
"""


def test_forgotten_sockets_are_closed_when_they_are_collected(
    target, on_tap, certificate  # noqa: F811
):  # fmt: skip
    """By the collector, while nothing can be allocated; the listener gets their places."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with socket.create_server((PEER, 0)) as listener:

        def serve():
            for _ in range(3):
                connection = context.wrap_socket(listener.accept()[0], server_side=True)
                served.append(connection)
                connection.sendall(connection.recv(100))

        served = []
        thread = threading.Thread(target=serve)
        thread.start()
        program = on_tap(target, FORGOTTEN, PEER, listener.getsockname()[1])
        assert program.end(60) == "listening\n"
        thread.join()
        for connection in served:
            connection.close()


SCANNED = """
import asyncio, ssl, sys
folder = sys.argv[1]
async def serve(reader, writer):
    line = await reader.readline()
    writer.write(line)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder + "/cert.der", folder + "/key.der")
    await asyncio.start_server(serve, "0.0.0.0", 443, ssl=context)
    print("ready")
    while True:
        await asyncio.sleep(5)
asyncio.run(main())
"""


def _knock(how):
    """A connection as a port scanner makes them."""
    with socket.create_connection((ADDRESS, 443), 30) as s:
        if how == "reset":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        elif how == "half a hello":
            s.sendall(bytes.fromhex("1603010200010001fc0303"))
        elif how == "another protocol":
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        elif how == "a handshake that ends":
            # The client's hello, the server's answer, and nobody is there any more.
            hello = ssl.MemoryBIO()
            context = ssl.create_default_context()
            with contextlib.suppress(ssl.SSLWantReadError):
                context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="x").do_handshake()
            s.sendall(hello.read())
            s.recv(1)


def test_a_port_scan_does_not_kill_a_server(target, on_tap, certificate):  # noqa: F811
    """Handshakes that are begun and left, more of each kind than there are sockets."""
    program = on_tap(target, SCANNED, certificate, aio=True, SMOLMPY_POOL="rx=2048 tx=2048")
    assert program.line() == "ready"
    kinds = "closed", "reset", "half a hello", "another protocol", "a handshake that ends"
    for how in kinds:
        for _ in range(6):
            _knock(how)
        with linux_client(certificate) as client:
            client.sendall(b"hello\n")
            assert client.recv(10) == b"hello\n", how


DTLS_SERVER = """
import socket, sys, tls
context = tls.SSLContext(tls.PROTOCOL_DTLS_SERVER)
with open(sys.argv[1] + "/cert.der", "rb") as cert, open(sys.argv[1] + "/key.der", "rb") as key:
    context.load_cert_chain(cert.read(), key.read())
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("", 4433))
u.settimeout(10)
print("ready")
hellos = 0
while True:
    first, client = u.recvfrom(1, socket.MSG_PEEK)
    hellos += 1
    u.connect(client)  # whom the handshake, which reads that datagram, is to answer
    try:
        t = context.wrap_socket(u, server_side=True, client_id=repr(client).encode())
        break
    except OSError as e:
        if "HELLO_VERIFY" not in str(e):
            raise
print(client[0], hellos)
line = t.recv(100)
print(line)
t.write(line.upper())
t.close()
"""


def test_dtls_server(target, on_tap, certificate):  # noqa: F811
    """A peek at the first datagram tells the client; the handshake reads it once more."""
    program = on_tap(target, DTLS_SERVER, certificate)
    assert program.line() == "ready"
    argv = ["openssl", "s_client", "-dtls1_2", "-quiet", "-connect", f"{ADDRESS}:4433"]
    argv += ["-CAfile", f"{certificate}/cert.pem", "-servername", "smolmpy.test"]
    client = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        client.stdin.write(b"hello from openssl\n")
        client.stdin.flush()
        # The client's first hello has no cookie yet, its second one has.
        assert program.line() == f"{PEER} 2"
        assert program.line() == r"b'hello from openssl\n'"
        assert client.stdout.readline() == b"HELLO FROM OPENSSL\n"
        assert program.end() == ""
    finally:
        stop(client)
        for file in (client.stdin, client.stdout, client.stderr):
            file.close()


DTLS_CLIENT = """
import socket, sys, tls
context = tls.SSLContext(tls.PROTOCOL_DTLS_CLIENT)
context.verify_mode = tls.CERT_REQUIRED
with open(sys.argv[1] + "/cert.der", "rb") as cert:
    context.load_verify_locations(cert.read())
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(10)
u.connect((sys.argv[2], 4434))
t = context.wrap_socket(u, server_hostname="smolmpy.test")
t.write(b"hello from smolmpy\\n")
print(t.recv(100))
t.close()
"""


def test_dtls_client(target, on_tap, certificate):  # noqa: F811
    """The server's certificate comes in datagrams as large as the link takes."""
    make = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=smolmpy.test -outform der"
        f" -keyout {certificate}/rsa.pem -out {certificate}/cert.der"
    )
    subprocess.run(make.split(), check=True, capture_output=True)
    make = f"openssl x509 -inform der -in {certificate}/cert.der -out {certificate}/cert.pem"
    subprocess.run(make.split(), check=True, capture_output=True)
    argv = ["openssl", "s_server", "-dtls1_2", "-accept", f"{PEER}:4434", "-quiet"]
    argv += ["-cert", f"{certificate}/cert.pem", "-key", f"{certificate}/rsa.pem"]
    argv += ["-mtu", "1400"]
    server = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 20
        while (
            ":4434" not in subprocess.run(["ss", "-Hlnu"], capture_output=True, text=True).stdout
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        program = on_tap(target, DTLS_CLIENT, certificate, PEER)
        assert server.stdout.readline() == b"hello from smolmpy\n"
        server.stdin.write(b"hello from openssl\n")
        server.stdin.flush()
        assert program.end() == r"b'hello from openssl\n'" + "\n"
    finally:
        stop(server)
        server.stdin.close()
        server.stdout.close()
