"""TCP through the fault injector, in simulated time: what is sent arrives, whatever happens."""

from smolmpy import Interface, TCPSocket
from smolmpy.phy.fault import FaultInjector
from smolmpy.phy.loopback import cable

PORT = 6969
PATIENCE = 600000  # of simulated ms


class Clock:
    def __init__(self):
        # It wraps while the transfer runs.
        self.now = (1 << 30) - 700

    def __call__(self):
        return self.now


class World:
    """A client and a server with faults between them."""

    def __init__(self, mtu=600, size=2048, **faults):
        self.clock = Clock()
        a, b = cable(frames=32, mtu=mtu)
        self.fault = FaultInjector(a, clock=self.clock, frames=32, **faults)
        self.hosts = (self._host(self.fault, 1), self._host(b, 2))
        self.client = self.hosts[0].add(TCPSocket(size, size))
        self.server = self.hosts[1].add(TCPSocket(size, size))
        self.server.listen(PORT)
        # ARP has no checksum: a wrong bit in it may keep the handshake waiting for minutes.
        self.client.timeout = PATIENCE
        self.client.connect("192.168.69.2", PORT)

    def _host(self, device, number):
        host = Interface(device, bytes([2, 0, 0, 0, 0, number]))
        host.add_address("192.168.69.%d/24" % number)
        return host

    def poll(self):
        for _ in range(100):
            if not self.hosts[0].poll(self.clock.now) + self.hosts[1].poll(self.clock.now):
                return

    def sleep(self):
        """Lets time pass until something is due, at least 1 ms, at most a second."""
        step = 1000
        for d in (
            self.hosts[0].poll_delay(self.clock.now),
            self.hosts[1].poll_delay(self.clock.now),
            self.fault.poll_delay(self.clock.now),
        ):
            if 0 <= d < step:
                step = max(d, 1)
        self.clock.now = (self.clock.now + step) & 0x3FFFFFFF
        return step

    def transfer(self, total):
        """Sends `total` bytes one way; how long it took in simulated ms."""
        buf = bytearray(500)
        out = bytearray(500)
        sent = received = elapsed = 0
        while elapsed < PATIENCE:
            self.poll()
            while sent < total:
                for i in range(500):
                    out[i] = _byte(sent + i)
                n = self.client.send(out, min(500, total - sent))
                if n <= 0:
                    assert n == -11, n
                    break
                sent += n
                if sent == total:
                    self.client.close()
            n = self.server.recv_into(buf)
            while n > 0:
                for i in range(n):
                    assert buf[i] == _byte(received + i), received + i
                received += n
                n = self.server.recv_into(buf)
            if n == 0:
                assert received == total, received
                return elapsed
            elapsed += self.sleep()
        raise AssertionError("%d of %d bytes in %d ms" % (received, total, elapsed))


def _byte(i):
    return (i * 7 + (i >> 8) * 13) & 255


def test_without_faults():
    world = World()
    assert world.transfer(20000) < 2000
    assert world.fault.counters()["tx_dropped"] == 0


def test_loss():
    world = World(seed=3, drop=100, delay=5)
    world.transfer(20000)
    c = world.fault.counters()
    assert c["tx_dropped"] and c["rx_dropped"], c


def test_loss_with_little_window():
    """A lost segment that the window only just allows, while more is queued, goes out again."""
    for seed in (4, 38, 65):
        World(mtu=1500, size=4096, seed=seed, drop=100, delay=50).transfer(30000)


def test_duplicates():
    world = World(seed=4, duplicate=300, delay=5)
    world.transfer(20000)
    assert world.fault.counters()["tx_duplicated"] > 5


def test_reordering():
    world = World(seed=5, reorder=200, delay=5, late=10)
    world.transfer(20000)
    assert world.fault.counters()["tx_reordered"] > 5


def test_corruption():
    """Every wrong bit is found by a checksum, or lies where it does no harm."""
    world = World(seed=6, corrupt=100, delay=5)
    world.transfer(20000)
    assert world.fault.counters()["tx_corrupted"] > 3


def test_slow_medium():
    """4 kB at 100 kbit/s take at least 320 ms."""
    world = World(rate=100, delay=10)
    assert world.transfer(4000) >= 320


def test_everything():
    for seed in range(1, 6):
        world = World(
            seed=seed,
            drop=50,
            duplicate=50,
            corrupt=50,
            reorder=100,
            delay=(20, 10),
            rate=2000,
        )
        world.transfer(6000)
