"""examples/throughput_iperf3.py and those who connect and say nothing, on a device in memory."""

from harness import Host, Peer
from throughput_iperf3 import COOKIE, COOKIE_MS, Server

PARAMETERS, STREAMS, DENIED = b"\x09", b"\x0a", b"\xff"

h = Host(sockets=8)
server = Server(h.iface, size=2048, streams=1)
server.step(h.now)
ports = 50000


def connect():
    """A client: its SYN has been answered."""
    global ports
    ports += 1
    p = Peer(h, port=ports, to=5201)
    p.send("S", 0, mss=1460)
    p.expect("SA", 0, 1)
    p.seq = p.ack = 1
    return p


def step(*frames):
    h.device.queue.extend(frames)
    for _ in range(3):
        server.step(h.now)


def say(p, data):
    step(p.frame("PA", data=data))
    p.seq += len(data)


def heard(p):
    """What the server has said to this one since."""
    found = b""
    while h.device.sent:
        f = h.next()
        if f.kind == "tcp" and f.dport == p.port:
            found += f.data
            p.ack += len(f.data)
    return found


def cookie(letter):
    return letter * (COOKIE - 1) + b"\0"


# More of those who look whether anybody is there than there are sockets: ACK and FIN come at once.
for _ in range(5):
    p = connect()
    step(p.frame("A"), p.frame("FA"))
    h.clear()

# The test goes its way; another client is told that there is one.
client = connect()
say(client, cookie(b"a"))
assert heard(client) == PARAMETERS
other = connect()
say(other, cookie(b"b"))
assert heard(other) == DENIED
text = b'{"tcp": true, "parallel": 1, "reverse": true}'
say(client, len(text).to_bytes(4, "big") + text)
assert heard(client) == STREAMS
# Its place is free again, and somebody takes it and says nothing.
step(other.frame("A"), other.frame("FA", 38))
h.clear()
silent = connect()
step(silent.frame("A"))
h.clear()
stream = Peer(h, port=49000, to=5201)
stream.send("S", 0, mss=1460)
if not h.device.sent:
    h.t += COOKIE_MS + 1
    step(client.frame("A"))
    h.clear()
    stream.send("S", 0, mss=1460)
stream.expect("SA", 0, 1)
stream.seq = stream.ack = 1
say(stream, cookie(b"a"))
got = {client.port: b"", stream.port: b""}
while h.device.sent:
    f = h.next()
    got[f.dport] += f.data
assert got[client.port] == b"\x01\x02", got  # it starts, and runs
assert got[stream.port]
print("ok")
