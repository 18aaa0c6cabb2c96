"""Two interfaces, a simulated line between them, and flows of TCP over it, in virtual time.

Runs under MicroPython (or CPython), started by tools/netsim_run.py: takes a scenario, a JSON
object whose keys are the fields of `Scenario`, from its standard input and prints the result as
JSON. The same scenario has the same result, to the byte, on every interpreter.
"""

import json
import sys
from array import array

from smolmpy import Interface, TCPSocket
from smolmpy.kernel import copy

_MTU = 1500
_PORT = 1234
_PERIOD = 251  # of the bytes that are sent: prime, so that what is misplaced differs
_EAGAIN = -11
_FOREVER = 1 << 28  # ms: a connection is not given up, however bad the line is
_A = "10.0.0.1"
_B = "10.0.0.2"
_MAC_A = "02-00-00-00-00-01"
_MAC_B = "02-00-00-00-00-02"


class Scenario:
    """What is simulated: `Scenario({"buffer": 4096, ...})`. Times are in ms, sizes in bytes.

    `forward` and `back` are the line's two directions, the data's and that of the
    acknowledgements; each is a dict of what a `Way` takes.
    """

    def __init__(self, given):
        self.seed = 1
        self.bytes = 10 << 20  # in each flow
        self.write = 0  # so many bytes at a time, when those before are acknowledged; 0: no limit
        self.time = 0  # the end, whatever has been sent by then; 0: none
        self.flows = 1
        self.buffer = 65535  # of each socket, each way
        self.options = {}  # of the sockets
        self.gaps = None  # of the sockets; None: as many as they have by default
        self.forward = {}
        self.back = {}
        for key in given:
            if not hasattr(self, key):
                raise ValueError(key)
            setattr(self, key, given[key])


class Random:
    """Marsaglia's xorshift of 32 bits."""

    def __init__(self, seed):
        self._x = (seed * 0x9E3779B1 + 0x7F4A7C15) & 0xFFFFFFFF or 1
        for _ in range(8):
            self.chance(1)

    def chance(self, millionths):
        x = self._x
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        self._x = x
        return x % 1000000 < millionths


class Way:
    """One direction of the line.

    delay     ms that each frame takes
    jumps     [when, delay]s in order: from `when` ms on each frame takes `delay` ms instead
    loss, duplicate, reorder   chances in millionths; a reordered frame takes `late` ms more
    rate      of the bottleneck, kbit/s; 0: any
    queue     bytes that may wait there; 0: any number. A frame that does not fit is dropped.
    outage    (first, length, period): from `first` ms on nothing passes for `length` ms, and so
              again every `period` ms
    """

    # Times inside are microseconds.

    def __init__(
        self,
        seed,
        delay=50,
        loss=0,
        duplicate=0,
        reorder=0,
        late=20,
        rate=0,
        queue=0,
        outage=None,
        jumps=(),
    ):
        self._random = Random(seed)
        self._delay = delay * 1000
        self._jumps = [[when * 1000, later * 1000] for when, later in jumps]
        self._loss = loss
        self._duplicate = duplicate
        self._reorder = reorder
        self._late = late * 1000
        self._rate = rate
        self._queue = queue
        self._outage = outage
        self._busy = 0
        self._held = []  # [when it arrives, its length, its bytes], in order of arrival
        self._free = []
        self._block = array("I", (0, 0, 0, 0))  # of kernel calls
        self.frames = 0
        self.lost = 0
        self.dropped = 0

    def put(self, now, buf, length):
        """A frame is sent at `now`."""
        self.frames += 1
        while self._jumps and now >= self._jumps[0][0]:
            self._delay = self._jumps.pop(0)[1]
        if self._loss and self._random.chance(self._loss):
            self.lost += 1
            return
        if self._outage:
            first, size, period = self._outage
            since = now // 1000 - first
            if since >= 0 and (since % period if period else since) < size:
                self.lost += 1
                return
        at = now
        if self._rate:
            if self._busy < now:
                self._busy = now
            waiting = (self._busy - now) * self._rate // 8000
            if self._queue and waiting + length > self._queue:
                self.dropped += 1
                return
            self._busy += length * 8000 // self._rate
            at = self._busy
        at += self._delay
        if self._reorder and self._random.chance(self._reorder):
            at += self._late
        self._hold(at, buf, length)
        if self._duplicate and self._random.chance(self._duplicate):
            self._hold(at, buf, length)

    def _hold(self, at, buf, length):
        entry = self._free.pop() if self._free else [0, 0, bytearray(_MTU + 16)]
        entry[0] = at
        entry[1] = length
        block = self._block
        block[0] = block[1] = 0
        block[2] = length
        copy(entry[2], buf, block)
        held = self._held
        i = len(held)
        while i and held[i - 1][0] > at:
            i -= 1
        held.insert(i, entry)

    def due(self):
        """When the next frame arrives, -1 if none is on the way."""
        return self._held[0][0] if self._held else -1

    def take(self, now, buf):
        """Moves a frame that has arrived by `now` to `buf`; its length, 0 if there is none."""
        if not self._held or self._held[0][0] > now:
            return 0
        entry = self._held.pop(0)
        self._free.append(entry)
        block = self._block
        block[0] = block[1] = 0
        block[2] = entry[1]
        copy(buf, entry[2], block)
        return entry[1]


class Device:
    """The end of the line at one interface."""

    mtu = _MTU

    def __init__(self, world, out, into):
        self._world = world
        self._out = out
        self._into = into

    def receive(self, buf):
        return self._into.take(self._world.now, buf)

    def transmit(self, buf, length):
        self._out.put(self._world.now, buf, length)
        return 0


class Flow:
    """A connection from A to B that carries `size` bytes; B takes at once what has come."""

    def __init__(self, world, number):
        scenario = world.scenario
        self._size = scenario.bytes
        self._write = scenario.write
        self.sender = world.socket(world.a)
        self.receiver = world.socket(world.b)
        self.receiver.listen(_PORT + number)
        self.sender.connect(_B, _PORT + number, 40000 + number)
        self._sent = 0
        self.received = 0
        self.end = 0  # when the last byte came
        self._pattern = world.pattern
        self._into = world.into

    def send(self):
        """Fills the send buffer; whether there was anything to do."""
        left = self._size - self._sent
        queued = self.sender.send_queue
        room = len(self._into) - queued
        if self._write:
            room = 0 if queued else self._write
        if room > left:
            room = left
        if room <= 0:
            return False
        at = self._sent % _PERIOD
        n = self.sender.send(self._pattern[at : at + room])
        if n == _EAGAIN:
            return False
        if n < 0:
            raise ValueError("send: %d" % n)
        self._sent += n
        return True

    def receive(self, now):
        """Takes and checks what has come; whether there was anything."""
        if not self.receiver.recv_queue:
            return False
        n = self.receiver.recv_into(self._into)
        at = self.received % _PERIOD
        if self._into[:n] != self._pattern[at : at + n]:
            raise ValueError("wrong bytes after %d" % self.received)
        self.received += n
        if self.received == self._size:
            self.end = now
        return True


class World:
    """A scenario on its way."""

    def __init__(self, scenario):
        self.scenario = scenario
        self.now = 0  # microseconds
        self.forward = Way(2 * scenario.seed, **scenario.forward)
        self.back = Way(2 * scenario.seed + 1, **scenario.back)
        self.a = self._interface(_MAC_A, _A, _MAC_B, _B, self.forward, self.back)
        self.b = self._interface(_MAC_B, _B, _MAC_A, _A, self.back, self.forward)
        pattern = bytes(range(_PERIOD))
        self.pattern = memoryview(pattern * (2 + scenario.buffer // _PERIOD))
        self.into = bytearray(scenario.buffer)
        self.flows = [Flow(self, number) for number in range(scenario.flows)]

    def _interface(self, mac, addr, peer_mac, peer, out, into):
        seed = bytes((self.scenario.seed * 7 + i * int(mac[-1])) & 0xFF for i in range(8))
        device = Device(self, out, into)
        iface = Interface(device, mac, sockets=self.scenario.flows, seed=seed)
        iface.add_address(addr + "/24")
        iface.add_neighbor(peer, peer_mac)
        return iface

    def socket(self, iface):
        """A socket with the scenario's options."""
        size = self.scenario.buffer
        gaps = self.scenario.gaps
        socket = TCPSocket(size, size) if gaps is None else TCPSocket(size, size, gaps=gaps)
        iface.add(socket)
        socket.timeout = _FOREVER
        for name in self.scenario.options:
            if not hasattr(socket, name):
                raise ValueError(name)
            setattr(socket, name, self.scenario.options[name])
        return socket

    def run(self):
        """Runs to the end and returns the result, a dict."""
        stop = self.scenario.time * 1000
        while True:
            ms = self.now // 1000
            busy = self.a.poll(ms) + self.b.poll(ms)
            running = False
            for flow in self.flows:
                if flow.receive(self.now):
                    busy += 1
                if flow.send():
                    busy += 1
                if not flow.end:
                    running = True
            if not running:
                break
            if busy:
                continue
            at = self._next()
            if stop and at >= stop:
                self.now = stop
                break
            self.now = at
        return self._result()

    def _next(self):
        """When something happens next."""
        best = -1
        for way in (self.forward, self.back):
            at = way.due()
            if at >= 0 and (best < 0 or at < best):
                best = at
        ms = self.now // 1000
        for iface in (self.a, self.b):
            rest = iface.poll_delay(ms)
            if rest >= 0:
                at = (ms + rest) * 1000 if rest else self.now
                if best < 0 or at < best:
                    best = at
        if best < 0:
            raise ValueError("nothing will ever happen: at %d us" % self.now)
        if best <= self.now:
            # A turn that found nothing to do will find nothing in this millisecond.
            best = (ms + 1) * 1000
        return best

    def _result(self):
        flows = []
        for flow in self.flows:
            end = flow.end or self.now
            flows.append({"bytes": flow.received, "us": end})
        return {
            "flows": flows,
            "us": self.now,
            "frames": [self.forward.frames, self.back.frames],
            "lost": [self.forward.lost, self.back.lost],
            "dropped": [self.forward.dropped, self.back.dropped],
            "received": self.b.counter("tcp_rx"),
            "out_of_order": self.b.counter("tcp_out_of_order"),
            "retransmits": self.a.counter("tcp_retransmits"),
        }


if __name__ == "__main__":
    print(json.dumps(World(Scenario(json.loads(sys.stdin.readline()))).run()))
