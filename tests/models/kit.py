"""A chip's model and its driver, joined: what the tests of drivers begin with."""

MAC = b"\x02\x00\x00\x00\x00\x01"
OTHER = b"\x02\x00\x00\x00\x00\x02"
BROADCAST = b"\xff\xff\xff\xff\xff\xff"


def classes(name):
    """(model, driver) of "w5500", "w5100s", "w6100" or "enc28j60"."""
    if name == "w5500":
        from smolmpy.phy.w5500 import W5500
        from tests.models.w5500 import W5500Model

        return W5500Model, W5500
    if name == "w5100s":
        from smolmpy.phy.w5100s import W5100S
        from tests.models.w5100s import W5100SModel

        return W5100SModel, W5100S
    if name == "w6100":
        from smolmpy.phy.w6100 import W6100
        from tests.models.w6100 import W6100Model

        return W6100Model, W6100
    from smolmpy.phy.enc28j60 import ENC28J60
    from tests.models.enc28j60 import ENC28J60Model

    return ENC28J60Model, ENC28J60


def _noise(n):
    data = bytearray(n)
    x = 1
    for i in range(n):
        x = (x * 1103 + 12345) & 0x3FFFFF
        data[i] = x >> 8 & 0xFF
    return bytes(data)


_SEEDS = 997
_NOISE = _noise(_SEEDS + 1504)


def frame(n, seed=0, to=MAC):
    """A frame of `n` bytes whose contents depend on `seed` and on the place."""
    at = (seed * 31 + n) % _SEEDS
    return to + OTHER + b"\x08\x00" + _NOISE[at : at + n - 14]


def join(m, driver_class, reset, interrupt, **options):
    """A driver of the model `m`, in its time."""
    options["ticks_ms"] = m.ticks_ms
    options["sleep_ms"] = m.sleep_ms
    return driver_class(m, m.cs, reset, m.intn if interrupt else None, **options)


class Kit:
    """`model` and `driver`, and the frame buffers `rx` and `tx` as the interface has them."""

    def __init__(self, name, interrupt=False, room=1514, **options):
        model_class, driver_class = classes(name)
        options.setdefault("mac", MAC)
        self.model = m = model_class()
        self.rx = memoryview(bytearray(room + 2))[2:]
        self.tx = memoryview(bytearray(1516))[2:]
        self.driver = join(m, driver_class, m.rst, interrupt, **options)

    def count(self, name):
        """One of the driver's counters."""
        return self.driver.stats()[name]

    def receive(self):
        """The next frame as bytes, or what `receive` returned: 0 or a negative errno."""
        n = self.driver.receive(self.rx)
        return bytes(self.rx[:n]) if n > 0 else n

    def expect(self, *frames):
        """Exactly these frames wait."""
        for wanted in frames:
            got = self.receive()
            assert got == wanted, "%s instead of a frame of %d" % (
                len(got) if isinstance(got, bytes) else got,
                len(wanted),
            )
        assert self.receive() == 0

    def transmit(self, data):
        self.tx[: len(data)] = data
        return self.driver.transmit(self.tx, len(data))

    def sends(self, data):
        """`data` is taken, and is on the wire soon."""
        result = self.transmit(data)
        assert result == 0, "transmit: %d" % result
        self.model.advance(2000)
        if len(data) < 60:
            data = data + bytes(60 - len(data))
        assert self.model.sent and self.model.sent[-1] == data

    def works(self, seed=99):
        """Frames pass both ways."""
        data = frame(200, seed)
        assert self.model.inject(data)
        self.expect(data)
        self.sends(frame(300, seed))

    def recovers(self, codes=(-5,), ms=1200, step=20):
        """Polled every `step` ms the chip works again within `ms`; what was returned meanwhile is
        in `codes`."""
        seen = []
        for _ in range(ms // step):
            n = self.driver.receive(self.rx)
            if n < 0:
                seen.append(n)
            self.model.advance(1000 * step)
        assert seen, "the fault was not noticed"
        for n in seen:
            assert n in codes, n
        self.works()

    def leaves(self, data, ms=300):
        """`data` is on the wire within `ms`, however often it is refused or lost."""
        m = self.model
        end = m.now + ms * 1000000
        while m.now < end:
            result = self.transmit(data)
            assert result in (0, -5, -11, -19), result
            m.advance(1000)
            if result == 0 and m.sent and m.sent[-1] == data:
                return
        raise AssertionError("nothing left for %d ms" % ms)
