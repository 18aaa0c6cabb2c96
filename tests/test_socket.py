"""Programs that know sockets only, on smolmpy, against Linux: servers, clients, what fails."""

import contextlib
import signal
import socket
import subprocess
import threading
import time

import pytest

from test_socket_micropython import PROGRAMS, folders
from tools import exchange, netns, source
from tools.common import ROOT
from tools.host import ADDRESS, LINUX, command
from tools.launcher import die_with_parent, stop

TAP = "tap3"
PEER = LINUX.partition("/")[0]
NOBODY = "192.168.69.77"
ON_A_TAP = pytest.mark.parametrize("target", ["unix64", "unix32", "unix-ffi"], indirect=True)


class Program:
    """`text` runs on the stack; `line()` is the next line it prints, `end()` all that is left."""

    def __init__(self, target, tests, folder, text, *args, aio=False, **env):
        path = folder / "program.py"
        path.write_text(text)
        paths = [folder, *folders(target, tests)]
        argv, environment = command(
            target.interpreter, PROGRAMS / "host.py", TAP, folders=paths, edition=target.edition
        )
        environment.update(env)
        if aio:
            environment["SMOLMPY_AIO"] = "1"
        self.process = subprocess.Popen(
            [*argv, str(path), *map(str, args)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=die_with_parent,
        )
        # A program that says nothing more must not stop the tests.
        self.timer = threading.Timer(60, self.process.terminate)
        self.timer.daemon = True
        self.timer.start()

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def end(self, timeout=120):
        try:
            return self.process.communicate(timeout=timeout)[0]
        finally:
            stop(self.process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.timer.cancel()
        stop(self.process)
        self.process.stdout.close()


@pytest.fixture
def on_tap(network, need, tmp_path):
    """`on_tap(target, text, *args)`: a Program on a tap whose other end is Linux's."""
    tests = need(source.find) / "tests"
    need(netns.keep_tap, TAP)
    with contextlib.ExitStack() as stack:
        netns.configure(TAP, LINUX)
        yield lambda *args, **env: stack.enter_context(
            Program(args[0], tests, tmp_path, *args[1:], **env)
        )
    netns.keep_tap(TAP, False)


HTTP = """
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", 80))
s.listen(5)
print("ready")
while True:
    c, peer = s.accept()
    with c:
        c.settimeout(60)
        try:
            first = c.readline()
            while c.readline() not in (b"", b"\\r\\n"):
                pass
            c.write("HTTP/1.0 200 OK\\r\\n\\r\\n")
            c.sendall(first)
        except OSError as e:
            print(e.errno)
"""


def curl(path, *options, timeout=20):
    done = subprocess.run(
        ["curl", "-sS", "-m", str(timeout), *options, f"http://{ADDRESS}/{path}"],
        capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout


@ON_A_TAP
def test_blocking_http_server(target, on_tap):
    program = on_tap(target, HTTP)
    assert program.line() == "ready"
    for n in range(30):
        assert curl(n) == (0, f"GET /{n} HTTP/1.1\n")


@ON_A_TAP
def test_fifty_clients_at_once(target, on_tap):
    """Four sockets for fifty clients: those that find none free wait, and all are served."""
    program = on_tap(target, HTTP)
    assert program.line() == "ready"
    results = [None] * 50

    def client(n):
        results[n] = curl(n, timeout=150)  # Linux tries again after 1, 3, 7, 15, 31, 63 s

    threads = [threading.Thread(target=client, args=(n,)) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [(0, f"GET /{n} HTTP/1.1\n") for n in range(50)]
    assert curl("after") == (0, "GET /after HTTP/1.1\n")


CLIENT = """
import socket, sys, time
host, port = sys.argv[1], int(sys.argv[2])
start = time.ticks_ms()
s = socket.socket()
{}
"""


def client(body):
    return CLIENT.format(body)


@contextlib.contextmanager
def linux_server(serve):
    """`serve(connection)` runs in a thread for the first client; the port is given."""
    with socket.create_server((PEER, 0)) as listener:
        listener.settimeout(20)

        def run():
            with listener.accept()[0] as connection:
                serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


@ON_A_TAP
def test_server_dies_in_mid_transfer(target, on_tap):
    """What has come is received; then the reset is an error, once, and the end after that."""

    def serve(connection):
        connection.sendall(b"x" * 1000)
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with linux_server(serve) as port:
        program = on_tap(
            target,
            client("""
s.connect((host, port))
got = len(s.read(1000))
s.send(b"a")
print(got)
for i in range(3):
    try:
        print(s.recv(10))
    except OSError as e:
        print(e.errno)
try:
    s.send(b"b")
except OSError as e:
    print(e.errno)
s.close()
s.close()
for call in (s.recv, s.listen):
    try:
        call(1)
    except OSError as e:
        print(e.errno)
"""),
            PEER,
            port,
        )
        assert program.end().split() == ["1000", "104", "b''", "b''", "32", "9", "9"]


@ON_A_TAP
def test_after_the_peers_fin(target, on_tap):
    """The end of the stream stays the end, and what is sent still arrives."""
    got = []

    def serve(connection):
        connection.sendall(b"line one\nline")
        connection.shutdown(socket.SHUT_WR)
        while data := connection.recv(100):
            got.append(data)

    with linux_server(serve) as port:
        program = on_tap(
            target,
            client("""
s.connect((host, port))
print(s.readline(), s.readline(), s.readline(), s.recv(1), s.read(5), s.read())
print(s.readinto(bytearray(4)), s.write("h\\xe9"), s.write(b"xabcx", 1), s.write(b"1234", 1, 2))
s.close()
"""),
            PEER,
            port,
        )
        assert program.end().splitlines() == [
            "b'line one\\n' b'line' b'' b'' b'' b''",
            "0 3 1 2",
        ]
    assert b"".join(got) == "hé".encode() + b"x23"


@ON_A_TAP
@pytest.mark.parametrize("case", ["closed port", "nobody", "timeout", "no address", "no network"])
def test_connections_that_fail(target, on_tap, case):
    host, body, env = PEER, "", {}
    if case == "closed port":
        least, most, error = 0, 2000, 111
    elif case == "nobody":
        host, least, most, error = NOBODY, 500, 10000, 113
    elif case == "timeout":
        host, body, least, most, error = NOBODY, "s.settimeout(0.25)", 250, 2500, 110
    elif case == "no address":
        env, least, most, error = {"SMOLMPY_NO_ADDRESS": "1"}, 0, 2000, 113
    else:
        body = "import network; network.LAN().active(False)"
        least, most, error = 0, 2000, 113
    with socket.create_server((PEER, 0)) as closed:
        port = closed.getsockname()[1]
    program = on_tap(
        target,
        client(
            body
            + """
try:
    s.connect((host, port))
    print("connected")
except OSError as e:
    print(e.errno, time.ticks_diff(time.ticks_ms(), start))
"""
        ),
        host,
        port,
        **env,
    )
    got, ms = program.end().split()
    assert int(got) == error
    assert least <= int(ms) < most


@ON_A_TAP
def test_a_failed_connection_may_be_tried_again(target, on_tap):
    with socket.create_server((PEER, 0)) as closed:
        port = closed.getsockname()[1]
    with linux_server(lambda connection: connection.sendall(b"hi")) as port2:
        program = on_tap(
            target,
            client("""
import select
s.setblocking(False)
poll = select.poll()
poll.register(s)
try:
    s.connect((host, port))
except OSError as e:
    print(e.errno)
try:
    s.connect((host, port))
except OSError as e:
    print(e.errno)
print(poll.poll(1000)[0][1])
try:
    s.recv(1)
except OSError as e:
    print(e.errno)
print(poll.poll(0)[0][1])
s.setblocking(True)
s.connect((host, int(sys.argv[3])))
print(s.recv(10))
try:
    s.connect((host, port))
except OSError as e:
    print(e.errno)
"""),
            PEER,
            port,
            port2,
        )
        lines = program.end().split()
    # EALREADY, unless the answer has come by then.
    assert lines[0] == "115" and lines[1] in ("114", "111")
    if lines[1] == "114":
        assert lines[2:4] == ["29", "111"]
    assert lines[-3:] == ["20", "b'hi'", "106"]


@ON_A_TAP
@pytest.mark.parametrize("what", ["accept", "recv", "recvfrom", "connect", "write"])
def test_ctrl_c(target, on_tap, what):
    """A call that waits for ever ends with KeyboardInterrupt, and the sockets go on working."""
    calls = {
        "accept": "s.bind(('', 7)); s.listen(1)\n    s.accept()",
        "recv": "s.connect((host, port))\n    s.recv(1)",
        "recvfrom": "u = socket.socket(socket.AF_INET, 2); u.bind(('', 7))\n    u.recvfrom(9)",
        "connect": "s.connect(('10.9.9.9', 9))",  # the gateway does not forward it
        "write": "s.connect((host, port))\n    while True: s.write(bytes(10000))",
    }
    ended = threading.Event()
    with linux_server(lambda connection: ended.wait(20)) as port:
        program = on_tap(
            target,
            client(f"""
try:
    print("ready")
    {calls[what]}
except KeyboardInterrupt:
    print("interrupted")
t = socket.socket()
try:
    t.connect((host, 9))
except OSError as e:
    print(e.errno)
"""),
            PEER,
            port,
        )
        assert program.line() == "ready"
        time.sleep(0.5)
        program.process.send_signal(signal.SIGINT)
        if what not in ("recv", "write"):
            socket.create_connection((PEER, port)).close()
        output = program.end(60)
        ended.set()
    assert output.split() == ["interrupted", "111"]


POOL = """
import socket, sys, time
import network
held = []
for n in range(5):
    try:
        held.append(socket.socket())
    except OSError as e:
        print(n, e.errno, e)
udp = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for n in range(2)]
try:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
except OSError as e:
    print(e.errno, e)
print(len(socket.opened()), len(socket.leaked(0)))
time.sleep_ms(1100)
held[0].setblocking(False)
try:
    held[0].connect((sys.argv[1], int(sys.argv[2])))
except OSError as e:
    print(e.errno)
print(held[0] in socket.leaked(1000), held[1] in socket.leaked(1000), repr(held[1])[:11])
print(socket.reclaim(1000), len(socket.opened()))
try:
    held[1].recv(1)
except OSError as e:
    print(e.errno)
more = [socket.socket() for n in range(3)]
for s in more: s.close()
"""


@ON_A_TAP
def test_the_pool(target, on_tap):
    with socket.create_server((PEER, 0)) as listener:
        program = on_tap(target, POOL, PEER, listener.getsockname()[1])
        lines = program.end().splitlines()
    assert "4 12 " in lines[0] and "all 4 TCP sockets of the pool are in use" in lines[0]
    assert lines[1].startswith("12 ") and "all 2 UDP sockets of the pool" in lines[1]
    assert lines[2:] == ["6 6", "115", "False True <socket new", "5 1", "9"]


@ON_A_TAP
def test_closed_sockets_come_back(target, on_tap):
    """A hundred connections on one socket, which the client closes first: TIME-WAIT is no bar."""

    def serve(connection):
        connection.recv(10)

    with socket.create_server((PEER, 0)) as listener:

        def run():
            for _ in range(100):
                with listener.accept()[0] as connection:
                    connection.recv(10)

        thread = threading.Thread(target=run)
        thread.start()
        program = on_tap(
            target,
            """
import socket, sys, time
start = time.ticks_ms()
for n in range(100):
    while True:
        try:
            s = socket.socket()
            break
        except OSError as e:
            assert e.errno == 12
            time.sleep_ms(1)
    s.settimeout(60)
    s.connect((sys.argv[1], int(sys.argv[2])))
    s.write(b"x")
    s.close()
print("done", time.ticks_diff(time.ticks_ms(), start) < 60000)  # and not 10 s each
""",
            PEER,
            listener.getsockname()[1],
            SMOLMPY_POOL="tcp=1",
        )
        assert program.end().split() == ["done", "True"]
        thread.join()


@ON_A_TAP
def test_an_answer_is_not_lost_for_what_was_not_read(target, on_tap):
    """close() with unread data: the peer gets the answer first, then the reset."""
    program = on_tap(
        target,
        """
import socket
s = socket.socket()
s.bind(("", 80))
s.listen(1)
print("ready")
while True:
    c, a = s.accept()
    c.recv(1)
    c.write(b"x" * 3000)
    c.close()
""",
    )
    assert program.line() == "ready"
    for _ in range(5):
        with exchange.connect(ADDRESS, 80) as s:
            s.settimeout(60)
            s.sendall(b"y" * 500)
            got = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := s.recv(1000):
                    got += piece
            assert len(got) == 3000


@ON_A_TAP
def test_udp(target, on_tap):
    program = on_tap(
        target,
        """
import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(0.05)
u.bind(("", 5000))
try:
    u.recv(1)
except OSError as e:
    print(e.errno)
u.settimeout(60)
print("ready")
while True:
    print(u.recv(3, socket.MSG_PEEK), end=" ")
    data, addr = u.recvfrom(100)
    print(data, addr[0])
    if not data:
        break
    u.sendto("got " + data.decode(), addr)
u.connect(addr)
u.send(b"bye")
u.close()
""",
    )
    assert program.line() == "110"
    assert program.line() == "ready"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(60)
        s.connect((ADDRESS, 5000))
        for data in (b"hello", b"x" * 99):
            s.send(data)
            assert s.recv(200) == b"got " + data
        s.send(b"")
        assert s.recv(10) == b"bye"
    assert program.end().splitlines()[-1] == f"b'' b'' {PEER}"


@ON_A_TAP
def test_callback(target, on_tap):
    """Option 20: a listener's callback, and a connection's, as webrepl uses them."""
    program = on_tap(
        target,
        """
import socket, time
def on_data(c):
    data = c.recv(100)
    print(data)
    if not data:
        c.setsockopt(socket.SOL_SOCKET, 20, None)
        c.close()
        global done
        done = True
def on_client(s):
    c, a = s.accept()
    c.setblocking(False)
    c.setsockopt(socket.SOL_SOCKET, 20, on_data)
done = False
s = socket.socket()
s.bind(("", 80))
s.listen(1)
s.setsockopt(socket.SOL_SOCKET, 20, on_client)
print("ready")
from smolmpy import net
while not done:
    net.rest(1000)
    net.pump()
""",
    )
    assert program.line() == "ready"
    with exchange.connect(ADDRESS, 80) as s:
        for data in (b"one", b"two"):
            s.sendall(data)
            assert program.line() == str(data)
    assert program.end() == "b''\n"


@ON_A_TAP
def test_callback_answers(target, on_tap):
    """Requests of one length, each as soon as the answer to the last one has come; two at once."""
    program = on_tap(
        target,
        """
import socket
from smolmpy import net
calls = 0
def on_data(c):
    global calls
    calls += 1
    line = c.readline()
    if line:
        c.sendall(b"got " + line)
    else:
        c.close()
        c.setsockopt(socket.SOL_SOCKET, 20, None)
def on_client(s):
    c, a = s.accept()
    c.settimeout(5)
    c.setsockopt(socket.SOL_SOCKET, 20, on_data)
    c.sendall("hello\\n")
s = socket.socket()
s.bind(("", 21))
s.listen(0)
s.setsockopt(socket.SOL_SOCKET, 20, on_client)
print("ready")
while calls < 403:
    net.rest(1000)
    net.pump()
print(calls)
""",
    )
    assert program.line() == "ready"
    with socket.create_connection((ADDRESS, 21), 5) as s, s.makefile("rb") as file:
        assert file.readline() == b"hello\n"
        for n in range(200):
            s.sendall(b"line %03d\n" % n)
            assert file.readline() == b"got line %03d\n" % n
        for n in range(100):
            s.sendall(b"line %03d\nagain %02d\n" % (n, n))
            assert file.readline() == b"got line %03d\n" % n
            assert file.readline() == b"got again %02d\n" % n
    with socket.create_connection((ADDRESS, 21), 5) as s, s.makefile("rb") as file:
        assert file.readline() == b"hello\n"
        s.sendall(b"last\n")
        assert file.readline() == b"got last\n"
    assert program.end() == "403\n"


ASYNC_HTTP = """
import asyncio
async def serve(reader, writer):
    first = await reader.readline()
    while await reader.readline() not in (b"", b"\\r\\n"):
        pass
    await asyncio.sleep_ms(5)
    writer.write(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + first)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", 80)
    print("ready")
    await server.wait_closed()
asyncio.run(main())
"""


@ON_A_TAP
def test_asyncio_server(target, on_tap):
    program = on_tap(target, ASYNC_HTTP, aio=True)
    assert program.line() == "ready"
    for n in range(20):
        assert curl(n) == (0, f"GET /{n} HTTP/1.1\n")


@ON_A_TAP
def test_asyncio_does_not_wait_with_something_to_do(target, on_tap):
    """A turn takes as long where a socket is waited for as where none is, or little more.

    select.poll of a host sleeps a millisecond before it looks at a socket, which is a hundred
    turns. Both are measured in one run, as the least of many.
    """
    program = on_tap(
        target,
        """
import asyncio, time
async def least():
    best = 1 << 29
    for _ in range(40):
        start = time.ticks_us()
        for _ in range(20):
            await asyncio.sleep_ms(0)
        best = min(best, time.ticks_diff(time.ticks_us(), start))
    return best
async def main():
    without = await least()
    await asyncio.start_server(None, "0.0.0.0", 80)
    print(without, await least())
asyncio.run(main())
""",
        aio=True,
    )
    without, having = map(int, program.end().split())
    assert having < 10 * without


@ON_A_TAP
@pytest.mark.parametrize("stay", [False, True])
def test_handlers_that_fail_do_not_kill_the_server(target, on_tap, stay):
    """More of them than there are sockets, twice; their clients go, or stay and wait in vain."""
    text = ASYNC_HTTP.replace(
        "    await asyncio.sleep_ms(5)", '    if b"bad" in first: raise ValueError("failed")'
    )
    program = on_tap(target, text, aio=True, SMOLMPY_POOL="idle=300")
    assert program.line() == "ready"
    with contextlib.ExitStack() as clients:
        for n in range(2):
            for _ in range(4):
                s = clients.enter_context(socket.create_connection((ADDRESS, 80), 30))
                s.sendall(b"GET /bad HTTP/1.0\r\n\r\n")
                if not stay:
                    s.close()
            assert curl(n, timeout=60) == (0, f"GET /{n} HTTP/1.1\n")


@ON_A_TAP
def test_a_listener_is_not_taken(target, on_tap):
    """The other sockets of the pool are in use, and there is a limit for those that are not."""
    with socket.create_server((PEER, 0)) as listener:
        program = on_tap(
            target,
            """
import socket, sys, time
l = socket.socket()
l.bind(("", 80))
l.listen(1)
l.settimeout(30)
held = [socket.socket() for _ in range(3)]
for h in held:
    h.connect((sys.argv[1], int(sys.argv[2])))
    h.setblocking(False)
end = time.ticks_ms() + 1000
while time.ticks_diff(end, time.ticks_ms()) > 0:
    for h in held:
        try:
            h.recv(1)
        except OSError:
            pass
    time.sleep_ms(20)
try:
    socket.socket()
except OSError as e:
    print(e.errno)
print("ready")
print(l.accept()[1][0])
""",
            PEER,
            listener.getsockname()[1],
            SMOLMPY_POOL="idle=500",
        )
        assert program.line() == "12"
        assert program.line() == "ready"
        with socket.create_connection((ADDRESS, 80), 30):
            assert program.end() == PEER + "\n"


@pytest.mark.parametrize("target", ["unix-ffi", "unix32"], indirect=True)
def test_asyncio_sleeps(target, on_tap):
    """With nothing to do the program uses next to no processor, and answers at once all the same.

    poll() looks at objects without a descriptor every millisecond on a host, so no socket is open.
    """
    program = on_tap(
        target,
        """
import asyncio
async def main():
    print("ready")
    await asyncio.sleep(30)
asyncio.run(main())
""",
        aio=True,
    )
    assert program.line() == "ready"
    pid = program.process.pid
    if target.name == "unix32":  # under the launcher
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            pid = int(file.read().split()[0])

    def used():
        with open(f"/proc/{pid}/stat") as file:
            return sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13]))

    before = used()
    time.sleep(2)
    assert used() - before <= 5  # hundredths of a second
    ping = subprocess.run(
        ["ping", "-n", "-q", "-c", "20", "-i", "0.05", ADDRESS], capture_output=True, text=True
    ).stdout
    assert "20 received" in ping
    assert float(ping.rsplit("=", 1)[1].split("/")[0]) < 5, ping  # where the machine is not busy


@ON_A_TAP
def test_asyncio_client_and_a_slow_peer(target, on_tap):
    """One peer reads nothing; the other connection of the same program goes on."""
    ended = threading.Event()

    def deaf(connection):
        ended.wait(20)

    def echo(connection):
        while data := connection.recv(100):
            connection.sendall(data.upper())

    with linux_server(deaf) as port, linux_server(echo) as port2:
        program = on_tap(
            target,
            """
import asyncio, sys
async def flood():
    r, w = await asyncio.open_connection(sys.argv[1], int(sys.argv[2]))
    w.write(bytes(300))
    while True:
        await w.drain()
        w.write(bytes(300))
async def main():
    task = asyncio.create_task(flood())
    r, w = await asyncio.open_connection(sys.argv[1], int(sys.argv[3]))
    for n in range(20):
        w.write(b"hello %d\\n" % n)
        await w.drain()
        assert await r.readline() == b"HELLO %d\\n" % n
        await asyncio.sleep_ms(20)
    w.close()
    await w.wait_closed()
    print(task.done())
asyncio.run(main())
""",
            PEER,
            port,
            port2,
            aio=True,
        )
        assert program.line() == "False"
        ended.set()
