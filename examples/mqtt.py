"""Publishes a message to an MQTT broker, or prints those of topics (MQTT 3.1.1).

    mqtt.py [-a ADDR/PREFIX] [-g GATEWAY] [OPTIONS] HOST pub TOPIC MESSAGE
    mqtt.py [-a ADDR/PREFIX] [-g GATEWAY] [OPTIONS] HOST sub TOPIC...

`-q` is the quality of service, 0 or 1; `-p` the port (1883); `-i` the client's name, with which
the broker keeps subscriptions and messages while the client is away; `-u` and `-P` user and
password; `-k` seconds of silence after which the connection is tried (60); `-r` has the broker
keep the message; `-c` ends after so many messages; `-w` gives up after so many seconds (0: never).
There is no encryption: what is sent, the password too, can be read on its way.

The connection is made again whenever it is lost. A message of quality 1 is sent again then until
the broker has confirmed it, so it may arrive twice.
"""

import sys

import options
import smolmpy_board as board
from smolmpy import TCPSocket
from smolmpy.errno import EAGAIN, NAMES

USAGE = (
    "mqtt.py [-a ADDR/PREFIX] [-g GATEWAY] [-q QOS] [-p PORT] [-i NAME] [-u USER] [-P PASSWORD] "
    "[-k SECONDS] [-r] [-c COUNT] [-w SECONDS] HOST (pub TOPIC MESSAGE | sub TOPIC...)"
)
PACKET = 1024  # the longest packet that is received, and sent
ANSWER_MS = 10000  # within which the broker has to answer
FIRST_PAUSE, LAST_PAUSE = 1000, 30000  # between attempts to connect, in ms
REFUSALS = {
    1: "the broker does not speak MQTT 3.1.1",
    2: "the broker does not like the client's name",
    3: "the broker is not available",
    4: "user or password is wrong",
    5: "the broker does not let us",
}

# Types of packets, MQTT 3.1.1 section 2.2.1.
_CONNECT, _CONNACK, _PUBLISH, _PUBACK = 1, 2, 3, 4
_SUBSCRIBE, _SUBACK, _PINGREQ, _PINGRESP, _DISCONNECT = 8, 9, 12, 13, 14

_PAUSE, _CONNECTING, _GREETING, _OPEN = range(4)


class Refused(Exception):
    """The broker does not take us; the text says why."""


class MQTTClient:
    """Keeps a connection to a broker at an address.

    `on_message(topic, payload)` is called with text and bytes. Without a `name` the broker makes
    one up and forgets the client when it goes. `keep_alive` is in ms.
    """

    def __init__(self, iface, addr, port=1883, name="", user="", password="", keep_alive=60000):
        self.iface = iface
        self.addr = addr
        self.port = port
        self.name = name
        self.user = user
        self.password = password
        self.keep_alive = keep_alive
        self.on_message = None
        self.connections = 0  # how often a broker has taken us
        self.dropped = 0  # messages that were too long
        self.trouble = ""  # what ended the last connection
        self.socket = iface.add(TCPSocket(2 * PACKET, 2 * PACKET))
        self.socket.nagle = False
        self._topics = []  # (topic, qos)
        self._buf = bytearray(PACKET)
        self._view = memoryview(self._buf)
        self._have = 0
        self._skip = 0  # bytes of a packet that is too long
        self._phase = _PAUSE
        self._since = self._said = self._heard = board.ticks_ms()
        self._pause = 0
        self._asked = False  # a PINGREQ waits for its answer
        self._ident = 0
        self._unconfirmed = None  # (ident, packet) of a message of quality 1

    # What a program calls

    @property
    def connected(self):
        return self._phase == _OPEN

    @property
    def idle(self):
        """Whether all that was published is with the broker."""
        return self._unconfirmed is None and not self.socket.send_queue

    def subscribe(self, topic, qos=0):
        """Has messages of a topic come, now and after each new connection."""
        self._topics.append((topic, qos))
        if self._phase == _OPEN:
            self._subscribe(topic, qos)

    def publish(self, topic, payload, qos=0, retain=False):
        """Sends a message (text or bytes): True if it is on its way, False if not yet.

        One of quality 0 needs a connection, one of quality 1 that the last has been confirmed.
        """
        if qos and self._unconfirmed or not qos and self._phase != _OPEN:
            return False
        body = text(topic)
        if qos:
            ident = self._next_ident()
            body += number(ident)
        body += payload.encode() if isinstance(payload, str) else payload
        data = packet(_PUBLISH, body, qos << 1 | retain)
        if len(data) > PACKET:
            raise ValueError("payload: a packet is at most %d bytes" % PACKET)
        if not self._room(len(data)):
            return False
        if qos:
            self._unconfirmed = (ident, data)
        if self._phase == _OPEN:
            self._send(data)
        return True

    def disconnect(self):
        """Takes leave. The next step() would connect again."""
        if self._phase == _OPEN:
            self._send(packet(_DISCONNECT))
        self.socket.close()

    def step(self, now):
        """Does what there is to do at `now`; returns how long to wait, in ms (-1: no limit).

        Raises Refused if the broker does not want us.
        """
        self._now = now
        self.iface.poll(now)
        left = (self._rest, self._connect, self._receive, self._receive)[self._phase]()
        delay = self.iface.poll_delay(now)
        return left if delay < 0 else min(left, delay)

    # The connection

    def _elapsed(self, since):
        return (self._now - since) & 0x3FFFFFFF

    def _rest(self):
        left = self._pause - self._elapsed(self._since)
        if left > 0:
            return left
        if self.socket.state == TCPSocket.TIME_WAIT:
            self.socket.abort()
        try:
            self.socket.connect(self.addr, self.port)
        except OSError as problem:
            return self._lost(problem.errno)
        self._phase = _CONNECTING
        self._since = self._now
        return 0

    def _connect(self):
        state = self.socket.state
        if state == TCPSocket.CLOSED:
            return self._lost(-self.socket.recv_into(self._buf))
        if state < TCPSocket.ESTABLISHED:
            return self._patience("the broker does not answer")
        self._have = self._skip = 0
        self._asked = False
        self._phase = _GREETING
        self._since = self._now
        flags = (not self.name) << 1 | (self.user != "") << 7 | (self.password != "") << 6
        body = text("MQTT") + bytes((4, flags)) + number(self.keep_alive // 1000)
        body += text(self.name)
        for part in (self.user, self.password):
            if part:
                body += text(part)
        self._send(packet(_CONNECT, body))
        return 0

    def _patience(self, trouble):
        left = ANSWER_MS - self._elapsed(self._since)
        return left if left > 0 else self._lost(trouble)

    def _lost(self, trouble):
        # The next attempt, after a pause that grows.
        if isinstance(trouble, int):
            trouble = NAMES.get(trouble, "errno %d" % trouble)
        self.trouble = trouble
        self.socket.abort()
        self._phase = _PAUSE
        self._since = self._now
        self._pause = min(max(2 * self._pause, FIRST_PAUSE), LAST_PAUSE)
        return self._pause

    def _mind_time(self):
        if self._phase == _GREETING:
            return self._patience("the broker does not greet")
        if not self.keep_alive:
            return 1 << 28
        if self._asked:
            return self._patience("the broker is silent")
        # A quarter early: the broker counts as well.
        left = self.keep_alive * 3 // 4 - self._elapsed(self._said)
        if left > 0:
            return left
        self._send(packet(_PINGREQ))
        self._asked = True
        self._since = self._now
        return ANSWER_MS

    # Packets

    def _room(self, n):
        return n <= 2 * PACKET - self.socket.send_queue

    def _send(self, data):
        self.socket.send(data)
        self._said = self._now

    def _next_ident(self):
        self._ident = self._ident % 65535 + 1
        return self._ident

    def _subscribe(self, topic, qos):
        self._send(packet(_SUBSCRIBE, number(self._next_ident()) + text(topic) + bytes((qos,)), 2))

    def _receive(self):
        # An answer has to find room, so nothing is read before there is.
        while self._room(PACKET):
            n = self.socket.recv_into(self._view[self._have :])
            if n == -EAGAIN:
                break
            if n <= 0:
                return self._lost(-n if n else "the broker has ended the connection")
            self._have += n
            while self._phase != _PAUSE and self._take():
                pass
            if self._phase == _PAUSE:
                break
        return self._mind_time() if self._phase != _PAUSE else self._pause

    def _take(self):
        # Uses the packet at the start of the buffer; False if it is not complete.
        if self._skip:
            n = min(self._skip, self._have)
            self._skip -= n
            self._drop(n)
            return self._have > 0
        size, at = length(self._buf, self._have)
        if size < 0:
            self._lost("a length is wrong")
            return False
        if not at or self._have < min(size, PACKET):
            return False
        if size > PACKET:
            self.dropped += 1
            self._skip = size
            self._confirm_long(at)
            return True
        self._use(self._buf[0] >> 4, self._buf[0] & 15, bytes(self._view[at:size]))
        self._drop(size)
        return True

    def _drop(self, n):
        self._have -= n
        self._buf[: self._have] = self._buf[n : n + self._have]

    def _confirm_long(self, at):
        # Else the broker would send it again and again.
        if self._buf[0] >> 4 == _PUBLISH and self._buf[0] & 6:
            end = at + 2 + (self._buf[at] << 8 | self._buf[at + 1])
            if end + 2 <= PACKET:
                self._send(packet(_PUBACK, bytes(self._view[end : end + 2])))

    def _use(self, kind, flags, body):
        if kind == _CONNACK and self._phase == _GREETING and len(body) == 2:
            self._greeted(body[1])
        elif kind == _PUBLISH and self._phase == _OPEN and not flags & 4 and len(body) > 1:
            at = 2 + (body[0] << 8 | body[1])
            name = body[2:at].decode()
            if flags & 2:
                self._send(packet(_PUBACK, body[at : at + 2]))
                at += 2
            if self.on_message is not None:
                self.on_message(name, body[at:])
        elif kind == _PUBACK:
            if self._unconfirmed and body == number(self._unconfirmed[0]):
                self._unconfirmed = None
        elif kind == _PINGRESP:
            self._asked = False
        elif kind == _SUBACK and len(body) == 3:
            if body[2] > 2:
                raise Refused("the broker does not let us subscribe")
        else:
            self._lost("a packet of type %d is out of place" % kind)

    def _greeted(self, code):
        if code == 3:
            self._lost(REFUSALS[3])
            return
        if code:
            raise Refused(REFUSALS.get(code, "the broker refuses us, code %d" % code))
        self.connections += 1
        self._pause = 0
        self._phase = _OPEN
        for topic, qos in self._topics:
            self._subscribe(topic, qos)
        if self._unconfirmed:
            data = bytearray(self._unconfirmed[1])
            data[0] |= 8  # it may have been there before
            self._send(data)


def number(n):
    """A number as 2 bytes."""
    return bytes((n >> 8, n & 255))


def text(string):
    """Text with its length."""
    data = string.encode()
    return number(len(data)) + data


def packet(kind, body=b"", flags=0):
    """A packet: type, flags, length, body."""
    head = [kind << 4 | flags]
    n = len(body)
    while n > 127:
        head.append(n & 127 | 128)
        n >>= 7
    head.append(n)
    return bytes(head) + body


def length(buf, have):
    """(length of the packet at the start of buf, where its body begins).

    (0, 0) if the length is not there yet, (-1, 0) if it is wrong.
    """
    n = 0
    for i in range(1, min(have, 5)):
        n |= (buf[i] & 127) << 7 * (i - 1)
        if buf[i] < 128:
            return n + i + 1, i + 1
    return (-1, 0) if have >= 5 else (0, 0)


def show(topic, payload):
    """Prints a message."""
    try:
        print(topic, payload.decode())
    except UnicodeError:
        print(topic, payload)


class Program:
    """What the command line asks for; `code` is the exit status in the end."""

    def __init__(self, client, words, qos, retain, count):
        self.client = client
        self.count = count
        self.seen = 0
        self.message = None
        self.published = False
        if words[0] == "pub":
            self.message = (words[1], words[2], qos, retain)
        else:
            client.on_message = self.receive
            for topic in words[1:]:
                client.subscribe(topic, qos)

    def receive(self, topic, payload):
        self.seen += 1
        show(topic, payload)

    def done(self):
        if self.message is None:
            return self.count and self.seen >= self.count
        if not self.published:
            self.published = self.client.publish(*self.message)
        return self.published and self.client.idle

    def run(self, device, limit):
        """Until it is done, or `limit` ms are over (0: no limit); whether it is done."""
        client = self.client
        start = now = board.ticks_ms()
        connections, trouble = 0, ""
        while not limit or (now - start) & 0x3FFFFFFF < limit:
            delay = client.step(now)
            if client.connections != connections:
                connections = client.connections
                trouble = client.trouble = ""
                print("connected", file=sys.stderr)
            if client.trouble != trouble:
                trouble = client.trouble
                print("mqtt.py: %s; trying again" % trouble, file=sys.stderr)
            if self.done():
                client.disconnect()
                for _ in range(2):
                    client.iface.poll(board.ticks_ms())
                return True
            board.wait(device, min(delay, 200) if limit else delay)
            now = board.ticks_ms()
        return False


def main(args):
    defaults = {"-q": "0", "-p": "1883", "-i": "", "-u": "", "-P": "", "-k": "60", "-r": False}
    defaults.update({"-c": "0", "-w": "0"})
    given, (addr, *words) = options.parse(args, USAGE, defaults, 3, 20)
    qos = options.number(given, "-q")
    if words[0] not in ("pub", "sub") or words[0] == "pub" and len(words) != 3 or qos > 1:
        options.stop("usage: " + USAGE)
    device, iface = options.host(given, 1)
    client = MQTTClient(iface, addr, options.number(given, "-p", 1), given["-i"], given["-u"])
    client.password = given["-P"]
    client.keep_alive = options.number(given, "-k") * 1000
    program = Program(client, words, qos, given["-r"], options.number(given, "-c"))
    try:
        done = program.run(device, options.number(given, "-w") * 1000)
    except (Refused, ValueError) as problem:
        options.stop("mqtt.py: %s" % problem, 1)
    except KeyboardInterrupt:
        client.disconnect()
        iface.poll(board.ticks_ms())
        done = True
    sys.exit(0 if done else 1)


if __name__ == "__main__":
    main(sys.argv[1:])
