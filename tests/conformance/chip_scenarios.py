"""What every driver of an SPI chip must do, whichever the chip is; run by test_chip_*.py."""

import sys

# On a board the path is not searched through "..".
if __file__.count("/") > 2:
    sys.path.append(__file__.rsplit("/", 3)[0])

from smolmpy import Interface
from smolmpy.phy.tracer import Tracer
from tests.models.kit import BROADCAST, MAC, OTHER, Kit, frame, join

_POLLED = 11  # a word of the drivers' states


_TOOLS = ("frame", "join", "share")  # the other functions here


def share(scenarios, module, name):
    """Gives the module that is named `module` a `test_X` for each function X(name) of the module
    `scenarios`; `name` is that of a chip. test_conformance.py knows of such calls."""

    def bind(function):
        return lambda: function(name)

    for scenario in dir(scenarios):
        function = getattr(scenarios, scenario)
        if scenario[0].islower() and scenario not in _TOOLS and callable(function):
            # By setattr: names that are not known yet MicroPython's dir() does not list.
            setattr(sys.modules[module], "test_" + scenario, bind(function))


SIZES = (60, 61, 62, 63, 64, 65, 95, 96, 97, 127, 128, 129, 590, 1023, 1024, 1025, 1513, 1514)


def sizes(name):
    """Frames of all kinds of lengths, in and out, more than the rings hold."""
    for interrupt in (False, True):
        k = Kit(name, interrupt)
        for seed, n in enumerate(SIZES):
            data = frame(n, seed)
            assert k.model.inject(data)
            k.expect(data)
            k.sends(frame(n, seed + 100, OTHER))
        for n in (14, 42, 54, 59):
            k.sends(frame(n, n, OTHER))
        assert k.count("restarts") == 0 and k.count("rx_errors") == 0


def bursts(name):
    """Several frames wait at once, everywhere in the ring, and answers go out in between."""
    k = Kit(name)
    x = 1
    for turn in range(60):
        waiting = []
        for _ in range(3):
            x = (x * 1103 + 12345) & 0x3FFFFF
            data = frame(60 + (x >> 6) % 1455, x & 255)
            assert k.model.inject(data)
            waiting.append(data)
        for data in waiting[:2]:
            assert k.receive() == data
        k.sends(frame(60 + turn * 24, turn, OTHER))
        k.expect(waiting[2])
    assert k.model.dropped == 0 and k.count("restarts") == 0


def back_to_back(name):
    """A second frame is taken while the first is on the line, or refused for now; none is lost."""
    k = Kit(name)
    frames = [frame(1514, n, OTHER) for n in range(5)] + [frame(60, n, OTHER) for n in range(5)]
    refused = 0
    for data in frames:
        while True:
            result = k.transmit(data)
            if result == 0:
                break
            assert result == -11, result
            refused += 1
            assert refused < 100
    k.model.advance(3000)
    assert k.model.sent == frames
    assert k.count("tx_stalls") == 0


def limits(name):
    """Lengths that no frame has, and buffers that are too small."""
    k = Kit(name, room=600)
    assert k.driver.transmit(k.tx, 13) == -90
    assert k.driver.transmit(memoryview(bytearray(1600)), 1515) == -90
    assert k.driver.transmit(memoryview(bytearray(100)), 101) == -90
    large, small = frame(1000, 1), frame(600, 2)
    assert k.model.inject(large) and k.model.inject(small)
    assert k.receive() == -90
    k.expect(small)
    assert k.count("rx_too_long") == 1 and k.count("restarts") == 0
    # A buffer that grows, and one for both directions.
    k.rx = memoryview(bytearray(1516))[2:]
    k.tx = k.rx
    assert k.model.inject(large)
    k.expect(large)
    k.sends(frame(1514, 3))


def filters(name):
    """Own address and broadcast; groups if asked for; everything if asked for."""
    group = b"\x01\x00\x5e\x00\x00\xfb"
    k = Kit(name)
    assert not k.model.inject(frame(60, to=OTHER))
    assert not k.model.inject(frame(60, to=group))
    assert k.model.inject(frame(60, to=BROADCAST))
    assert k.model.inject(frame(60, to=MAC))
    k = Kit(name, multicast=True)
    assert k.model.inject(frame(60, to=group))
    assert not k.model.inject(frame(60, to=OTHER))
    for options in ({"promiscuous": True}, {"mac": None}):
        k = Kit(name, **options)
        assert k.model.inject(frame(60, to=OTHER)) and k.model.inject(frame(60, to=group))
        k.expect(frame(60, to=OTHER), frame(60, to=group))


def interrupts(name):
    """The pin tells of frames; an idle chip is left alone; a pin that is stuck is found out."""
    k = Kit(name, True)
    m, d = k.model, k.driver
    calls = []
    d.irq(calls.append)
    assert not d.pending() and m.intn() == 1
    m.reset_counts()
    for _ in range(10):
        assert k.receive() == 0
    assert m.bytes == 0
    data = frame(100)
    m.inject(data)
    assert m.intn() == 0 and d.pending() and len(calls) == 1
    k.expect(data)
    assert m.intn() == 1 and not d.pending()
    # A frame that comes while the first is read is not missed.
    m.inject(data)
    m.at_byte(30, lambda: m.inject(frame(101)))
    assert k.receive() == data
    assert d.pending()
    k.expect(frame(101))
    k.sends(frame(60, 5, OTHER))


def mute_interrupt(name):
    """The wire of the interrupt pin is broken: frames are a second late, not lost."""
    k = Kit(name, True)
    k.driver.interrupt = lambda: 1
    k.driver._gather()
    k.model.advance(1000000)
    assert k.receive() == 0
    for _ in range(3):
        k.model.inject(frame(100))
        waited = 0
        while True:
            got = k.receive()
            if got:
                break
            k.model.advance(10000)
            waited += 10
        assert got == frame(100) and 900 < waited <= 1000, waited
        assert k.receive() == 0


def overrun(name):
    """More frames than fit: the newest are dropped, the others are whole, and it goes on."""
    k = Kit(name)
    kept = []
    for seed in range(40):
        data = frame(1514, seed)
        if k.model.inject(data):
            kept.append(data)
    assert k.model.dropped > 20 and len(kept) > 3
    for data in kept:
        assert k.receive() == data
    for _ in range(32):
        assert k.receive() == 0
    assert k.count("restarts") == 0 and k.count("rx_errors") == 0
    k.works()


def given_back(name):
    """Room is given back while frames still wait: a full ring takes more before it is empty."""
    k = Kit(name)
    waiting = []
    while k.model.inject(frame(1514, len(waiting))):
        waiting.append(frame(1514, len(waiting)))
    for _ in range(3):
        assert k.receive() == waiting.pop(0)
    data = frame(1514, 77)
    assert k.model.inject(data)
    k.expect(*waiting, data)


def between(name):
    """Frames are sent while some of a burst are read and others wait."""
    k = Kit(name)
    burst = [frame(100, n) for n in range(3)]
    for data in burst:
        k.model.inject(data)
    assert k.receive() == burst[0]
    k.sends(frame(60, 1, OTHER))
    k.sends(frame(60, 2, OTHER))
    k.expect(*burst[1:])
    assert k.count("rx_errors") == 0


def crossing(name):
    """A frame leaves at any moment of the receipt of another: it is seen to, and the next is not
    sent before."""
    k = Kit(name)
    m = k.model
    for late in range(0, 160, 2):
        m.line_ns = late * 1000
        assert k.transmit(frame(60, late, OTHER)) == 0
        m.inject(frame(60, late))
        assert k.receive() == frame(60, late)
        # The next one is on the line for longer than the driver waits at once.
        m.line_ns = 300000
        m.advance(400)
        assert k.transmit(frame(61, late, OTHER)) == 0
        assert m.sent[-1] == frame(60, late, OTHER)
        assert k.transmit(frame(62, late, OTHER)) == 0
        assert m.sent[-1] == frame(61, late, OTHER)
        m.advance(500)
        assert k.receive() == 0
    assert k.count("tx_stalls") == 0


def stall(name):
    """The transmitter stops: that is noticed after some ms, and what is done about it grows."""
    for interrupt in (False, True):
        for level in (1, 2, 3):
            k = Kit(name, interrupt)
            k.works()
            assert k.transmit(frame(400, 1, OTHER)) == 0
            k.model.hang(level)
            k.leaves(frame(401, level, OTHER), 400)
            assert k.count("tx_stalls") == level
            assert k.count("restarts") == level - 1
            assert k.model.pin_resets == 1 + (level == 3)
            for _ in range(2):
                if not interrupt:
                    # Seen by receive() alone, or by transmit().
                    k.model.advance(3000)
                    k.receive()
                k.works()
            if not interrupt:
                k.receive()
            # What was learned is forgotten: the next hang begins with the least again.
            assert k.transmit(frame(402, 1, OTHER)) == 0
            k.model.hang(1)
            k.leaves(frame(403, level, OTHER), 200)
            assert k.count("restarts") == level - 1


def hang(name):
    """A hang that nothing helps against for half a second costs little more than that."""
    for interrupt in (False, True):
        k = Kit(name, interrupt)
        k.works()
        assert k.transmit(frame(400, 1, OTHER)) == 0
        k.model.hang(1, 500)
        start = k.model.now
        k.leaves(frame(401, 2, OTHER), 1500)
        passed = (k.model.now - start) // 1000000
        assert 500 <= passed < 800, passed
        k.works()


def slow_line(name):
    """A frame that is on the line for long, as between collisions, is no stall."""
    k = Kit(name)
    k.model.line_ns = 40 * 1000000
    data = frame(401, 1, OTHER)
    assert k.transmit(frame(400, 1, OTHER)) == 0
    refused = 0
    while k.transmit(data) == -11:
        k.model.advance(1000)
        refused += 1
    assert 20 < refused < 45, refused
    assert k.count("tx_stalls") == 0 and k.count("restarts") == 0
    k.model.advance(50000)
    assert k.model.sent[-1] == data


def brown_out(name):
    """The chip is reset in mid-run, at several moments."""
    for interrupt in (False, True):
        k = Kit(name, interrupt)
        k.works()
        k.model.reset_chip()
        k.recovers()
        assert k.count("restarts") == 1
        k.model.inject(frame(700))
        k.model.reset_chip()
        k.recovers()
        # In the middle of a frame to be sent.
        k.model.at_byte(40, k.model.reset_chip)
        k.transmit(frame(500, 1, OTHER))
        for _ in range(64):
            k.driver.receive(k.rx)
            k.model.advance(20000)
        assert k.count("restarts") == 3
        k.works()


def reset_in_repair(name):
    """The chip is reset again while the driver sets it up: what was written before is written
    again."""
    k = Kit(name)
    for at in range(1, 700, 23):
        k.model.reset_chip()
        k.model.at_byte(at, k.model.reset_chip)
        for _ in range(80):
            k.driver.receive(k.rx)
            k.model.advance(20000)
        k.model.events.clear()
        assert k.driver.receive(k.rx) == 0, at
        k.works()


def cut_off(name):
    """A chip that is reset while a frame is read has not sent it whole: it is not delivered."""
    for interrupt in (False, True):
        k = Kit(name, interrupt)
        for size, step in ((60, 9), (300, 50), (1514, 190)):
            for at in range(0, size + 80, step):
                data = frame(size, at)
                assert k.model.inject(data)
                k.model.at_byte(at + 1, k.model.reset_chip)
                got = k.receive()
                if isinstance(got, bytes):
                    assert got == data, (size, at)
                k.model.events.clear()
                for _ in range(30):
                    k.driver.receive(k.rx)
                    k.model.advance(40000)
                k.works()


def address(name):
    """An interface with another address than the chip gives it to it; by default it has the
    chip's. Neither a repair nor a frame forgets it."""
    k = Kit(name)
    iface = Interface(k.driver)
    assert bytes(iface.mac) == MAC
    k.works()
    for mac in (OTHER, MAC, OTHER):
        iface = Interface(Tracer(k.driver, len), mac)
        assert bytes(iface.mac) == k.driver.mac == mac
        assert k.model.inject(frame(60, to=mac))
        assert not k.model.inject(frame(60, to=MAC if mac == OTHER else OTHER))
        k.expect(frame(60, to=mac))
    k.model.reset_chip()
    for _ in range(60):
        k.driver.receive(k.rx)
        k.model.advance(20000)
    assert k.count("restarts") == 1
    assert k.model.inject(frame(60, to=OTHER))
    # A chip that hears everything is left as it is.
    k = Kit(name, mac=None)
    Interface(k.driver, OTHER)
    assert k.driver.mac is None
    assert k.model.inject(frame(60, to=MAC)) and k.model.inject(frame(60, to=OTHER))
    try:
        Interface(k.driver)
    except ValueError as e:
        assert "mac" in str(e)
    else:
        raise AssertionError("no error")


def deaf(name):
    """After a brown-out the interrupt pin stays idle: the chip is looked at all the same, once a
    second and no more, and the interface has a program sleep no longer than that."""
    k = Kit(name, True)
    m, d = k.model, k.driver
    iface = Interface(d, MAC)
    iface.add_address("192.168.69.1/24")

    def sleep():
        """As a program: what is due is done, until there is nothing more; then it sleeps."""
        for _ in range(100):
            iface.poll(m.ticks_ms())
            delay = iface.poll_delay(m.ticks_ms())
            if delay:
                break
        assert 0 < delay <= 1000, delay
        m.advance(1000 * delay)

    sleep()
    m.reset_counts()
    for _ in range(20):
        sleep()
    assert m.transactions <= 20 * 8, m.transactions
    assert m.now > 20 * 1000000000
    # However often it is asked.
    m.reset_counts()
    looks = 0
    for _ in range(5000):
        before = m.bytes
        iface.poll(m.ticks_ms())
        m.advance(1000)
        looks += m.bytes > before
    assert 4 <= looks <= 6, looks
    m.reset_chip()
    start = m.now
    while not m.inject(frame(60)):
        sleep()
        assert m.now - start < 2500000000, "deaf"
    assert m.intn() == 0
    assert k.count("restarts") == 1
    k.expect(frame(60))


def told(name):
    """Once the interrupt of the pin tells of frames, an idle chip is not even asked for by the
    stack; a handler that is lost costs a frame a second, once."""
    k = Kit(name, True)
    m, d = k.model, k.driver
    asked = [0]

    class Counted(Tracer):
        def receive(self, buf):
            asked[0] += 1
            return d.receive(buf)

    device = Counted(d, len)
    device.waiting = d.waiting
    iface = Interface(device, MAC)
    iface.add_address("192.168.69.1/24")

    def run(ms):
        """A program that asks the stack each millisecond; how often that asked the chip."""
        before = asked[0]
        for _ in range(ms):
            iface.poll(m.ticks_ms())
            m.advance(1000)
        return asked[0] - before

    assert d.waiting[0] == 1
    run(100)
    assert run(1000) >= 1000
    # A frame may wait already.
    edges = []
    m.inject(frame(60))
    d.irq(edges.append)
    run(10)
    assert d.waiting[0] == 0 and not edges
    assert 9 <= run(10000) <= 12
    # A frame is told of, and taken at once.
    for n in range(5):
        received = k.count("rx_frames")
        m.inject(frame(60, n))
        assert len(edges) == n + 1 and d.waiting[0]
        run(1)
        assert k.count("rx_frames") == received + 1
        run(2)
        assert d.waiting[0] == 0
    # Several at once, and one that comes while another is read.
    received = k.count("rx_frames")
    m.inject(frame(60, 1))
    m.inject(frame(60, 2))
    m.at_byte(40, lambda: m.inject(frame(60, 3)))
    run(3)
    assert k.count("rx_frames") == received + 3 and d.waiting[0] == 0
    # A chip that is lost is asked for until it works again, which takes its time.
    m.reset_ns = 150 * 1000000
    m.reset_chip()
    run(1500)
    assert k.count("restarts") == 1
    m.inject(frame(60, 4))
    run(2)
    assert k.count("rx_frames") == received + 4
    # Somebody takes the interrupt.
    others = []
    m.intn.irq(others.append)
    m.reset_counts()
    while not m.bytes:  # until the next look
        run(1)
    m.inject(frame(60, 5))
    run(500)
    assert others and k.count("rx_frames") == received + 4
    run(600)
    assert k.count("rx_frames") == received + 5
    for n in range(3):
        m.inject(frame(60, n))
        run(1)
        assert k.count("rx_frames") == received + 6 + n
        run(50)
    # And gives it back.
    d.irq(edges.append)
    run(5)
    assert d.waiting[0] == 0
    d.irq(None)
    assert d.waiting[0] == 1 and run(100) >= 100


def deaf_asyncio(name):
    """The task of the interface sleeps no longer either, although a pin wakes it."""
    try:
        from smolmpy import aio, net
    except ImportError:
        return "SKIP no asyncio of MicroPython's"
    k = Kit(name, True)
    m = k.model
    iface = Interface(k.driver, MAC)
    net.setup(iface, m.ticks_ms, lambda device, ms: m.advance(1000 * ms))
    try:
        for _ in range(3):
            net.pump()
        pump = aio._Pump(60000)
        assert 0 < pump._limited(net.delay()) <= 1000
        m.reset_chip()
        start = m.now
        while not m.inject(frame(60)):
            m.advance(1000 * pump._limited(net.delay()))
            net.pump()
            assert m.now - start < 2500000000, "deaf"
        # So does whoever waits for something.
        start = m.now
        net.rest()
        assert m.now - start <= 1000000000
        # The pin wakes the task, whether it is named or the device's own, and the driver hears.
        for n, pin in enumerate((None, m.intn)):
            aio.start(pin)
            net.pump()
            net.pump()
            assert k.driver.waiting[0] == 0
            m.inject(frame(60))
            assert k.driver.waiting[0] == 1
            net.pump()
            assert k.count("rx_frames") == n + 2
    finally:
        aio.asyncio.new_event_loop()
        net.iface = None
        net.up = False


def slow_start(name):
    """A chip may take its time: after power-on, after a reset by its pin, and after one by its
    command."""
    for wired in (True, False):
        k = Kit(name)
        m = k.model
        m.boot_ns = m.reset_ns = m.clock_ns = 150 * 1000000
        m.reset_chip()
        m.silent_until = m.now + m.boot_ns
        k.driver = join(m, type(k.driver), m.rst if wired else None, True, mac=MAC)
        assert k.count("restarts") == 0
        k.works()
        m.reset_chip()
        # It waits for the chip, not the caller for it.
        for _ in range(200):
            before = m.now
            assert k.driver.receive(k.rx) in (0, -5)
            assert m.now - before < 5000000
            m.advance(10000)
        assert k.count("restarts") == 1
        k.works()


def reset_pin(name):
    """A chip that hears no command is reset by its pin, and given the time that it needs."""
    for interrupt in (False, True):
        k = Kit(name, interrupt)
        k.model.boot_ns = 60 * 1000000
        k.works()
        k.model.wedge()
        k.recovers((-5, -19), 3000, 10)
        assert k.model.pin_resets == 2 and k.count("restarts") == 1
        # A pin that leads nowhere: it is tried again, but not in vain each time.
        k.model.wedge()
        k.driver._rst = lambda level: None
        k.driver._gather()
        for _ in range(400):
            assert k.driver.receive(k.rx) in (0, -5, -19)
            k.model.advance(10000)
        assert k.count("restarts") == 1
        assert k.count("resets") <= 3 + 2 + 2 * (4000 // 500)


def slow_bus(name):
    """At 1 MHz, the default of a port, and slower, a short frame has left before the host has
    written its next byte."""
    for mhz in (1, 0.25):
        k = Kit(name)
        k.model.byte_ns = int(8000 / mhz)
        frames = [frame(60 + n % 7, n, OTHER) for n in range(100)]
        for data in frames:
            for _ in range(8):
                result = k.transmit(data)
                if result != -11:
                    break
                k.model.advance(1000)
            assert result == 0, result
        k.model.advance(3000)
        assert k.model.sent == frames[-64:]
        assert k.count("tx_frames") == 100 and k.count("tx_stalls") == 0
        k.works()


def bus_errors(name):
    """machine.SPI raises in the middle of a transaction: nothing comes out, chip select is high,
    and what follows is right."""
    for interrupt in (False, True):
        k = Kit(name, interrupt)
        m, d = k.model, k.driver
        errors = 0
        for at in range(0, 400, 7):
            m.inject(frame(200, at))
            m.break_bus(at)
            n = d.receive(k.rx)
            assert n in (0, 200, -5), n
            assert m.cs.level == 1
            if n == 200:
                assert bytes(k.rx[:n]) == frame(200, at)
            m.events.clear()
            m.break_bus(at)
            result = k.transmit(frame(200, at, OTHER))
            assert result in (0, -5, -11), result
            assert m.cs.level == 1
            m.events.clear()
            errors = k.count("bus_errors")
            for _ in range(6):
                m.advance(20000)
                d.receive(k.rx)
            k.works()
        assert errors > 30
        # Only errors: it ends, and is over when they are.
        broken = m.write, m.readinto, m.write_readinto

        def fail(*args):
            raise OSError(5)

        d._write = d._read = d._exchange = fail
        d._gather()
        d._way_in = (None, None) + d._parts_in
        d._ways_in.clear()
        for _ in range(100):
            assert d.receive(k.rx) in (0, -5, -19)
            assert k.transmit(frame(60)) in (-5, -11, -19)
            assert not d.link()
            assert m.cs.level == 1
            m.advance(20000)
        d._write, d._read, d._exchange = broken
        d._gather()
        d._ways_in.clear()
        d._ways_out.clear()
        for _ in range(100):
            d.receive(k.rx)
            m.advance(20000)
        k.works()


def ctrl_c(name):
    """Ctrl-C in the middle of a transaction comes out, with chip select high; the next calls are
    right."""
    for at in range(0, 250, 11):
        k = Kit(name, True)
        m = k.model
        m.inject(frame(200))
        m.cut_off(at, KeyboardInterrupt())
        for receive in (True, False):
            try:
                k.receive() if receive else k.transmit(frame(200, 1, OTHER))
            except KeyboardInterrupt:
                assert m.cs.level == 1
        m.events.clear()
        for _ in range(60):
            k.driver.receive(k.rx)
            m.advance(20000)
        k.works()


def closed(name):
    """A chip that was stopped stays so."""
    k = Kit(name, True)
    k.works()
    k.driver.close()
    for _ in range(100):
        assert k.driver.receive(k.rx) == -19
        assert k.transmit(frame(60)) == -19
        assert not k.driver.link()
        k.model.advance(50000)
    assert not k.model.inject(frame(60))
    assert k.count("restarts") == k.count("resets") == 0


def counters(name):
    """`resets` counts attempts, `restarts` those after which the chip worked."""
    k = Kit(name)
    assert k.count("resets") == k.count("restarts") == 0
    k.model.stuck = 0
    for _ in range(300):
        assert k.driver.receive(k.rx) in (0, -5, -19)
        k.model.advance(10000)
    assert k.count("restarts") == 0 and k.count("resets") >= 5
    k.model.stuck = None
    k.recovers()
    assert k.count("restarts") == 1


def unplugged(name):
    """No chip answers: -ENODEV for as long as that lasts, in bounded time; then it works again."""
    for level in (0x00, 0xFF):
        for reset in (True, False):
            k = Kit(name)
            if not reset:
                k.driver._rst = None
            k.works()
            k.model.stuck = level
            codes = [k.driver.receive(k.rx) for _ in range(40)]
            assert codes[-1] == -19
            assert set(codes) <= {0, -5, -19}
            assert k.transmit(frame(60)) == -19
            assert not k.driver.link()
            k.model.reset_counts()
            assert k.driver.receive(k.rx) == -19
            assert k.model.bytes < 2000
            k.model.stuck = None
            k.recovers()
            # The same, with nothing on the line.
            k = Kit(name)
            k.model.stuck = level
            for _ in range(40):
                k.driver.receive(k.rx)
            assert k.transmit(frame(60)) == -19


def not_there(name):
    """The constructor names the wires where no chip answers."""
    from tests.models.kit import classes

    model_class, driver_class = classes(name)
    for level in (0x00, 0xFF):
        m = model_class()
        m.stuck = level
        try:
            driver_class(m, m.cs, mac=MAC, sleep_ms=m.sleep_ms)
        except OSError as e:
            assert e.args[0] == 19
            text = e.args[1]
            assert "0x%02x" % level in text and "wiring" in text and "CS" in text, text
        else:
            raise AssertionError("no error")
    mac = b"\x02\0\0\0\0\x01"
    for bad in (b"\x02\0", b"\x01\0\0\0\0\x01", bytes(6), "02-00-00-00-00-01", "foobar"):
        try:
            driver_class(model_class(), lambda *level: 1, mac=bad)
        except ValueError as e:
            assert "mac" in str(e) and "6 bytes" in str(e) and repr(bad) in str(e), e
        else:
            raise AssertionError("no error")
    m = model_class()
    for name, spi, pins in (
        ("cs", m, (17,)),
        ("cs", m, (None,)),
        ("reset", m, (m.cs, 20)),
        ("interrupt", m, (m.cs, m.rst, 21)),
        ("spi", 0, (m.cs,)),
        ("spi", None, (m.cs,)),
    ):
        try:
            driver_class(spi, *pins, mac=mac)
        except TypeError as e:
            assert str(e).startswith(name + ":") and "machine." in str(e), e
        else:
            raise AssertionError("no error")


def clock(name):
    """Without a clock of its own a driver takes the one of the board."""
    from tests.models.kit import classes

    model_class, driver_class = classes(name)
    m = model_class()
    m.boot_ns = 1000000
    # The model's time passes with its bytes only; a driver that sleeps for longer is told so.
    driver = driver_class(m, m.cs, None, m.intn, mac=MAC, sleep_ms=m.sleep_ms)
    assert 0 <= driver._ticks() < 1 << 62
    rx = bytearray(1514)
    assert driver.receive(rx) == 0
    m.inject(frame(60))
    assert driver.receive(rx) == 60


def corrupt_lengths(name):
    """Lengths that cannot be, as noise and lost chips make them: counted, mended, never a loop."""
    k = Kit(name)
    for value in (0, 2, 3, 61, 800, 1519 + 2, 22000, 65534, 65535):
        if name == "enc28j60":

            def spoil(header, value=value):
                header[2] = value & 0xFF
                header[3] = value >> 8

            k.model.headers.append(spoil)
        else:
            k.model.lengths.append(value)
        before = k.count("rx_errors")
        k.model.inject(frame(100))
        k.model.inject(frame(101))
        # A frame that leaves meanwhile is not taken for a later one.
        k.model.line_ns = 0
        assert k.transmit(frame(60, 1, OTHER)) == 0
        k.model.advance(2000)
        seen = [k.driver.receive(k.rx) for _ in range(3)]
        assert -5 in seen and k.count("rx_errors") > before, (value, seen)
        k.model.line_ns = 300000
        for n in range(3):
            assert k.transmit(frame(60, n, OTHER)) == 0
        k.model.advance(500)
        assert k.model.sent[-3:] == [frame(60, n, OTHER) for n in range(3)]
        k.works()
    assert k.count("restarts") == 0


def noise(name):
    """A bit that turns over on the way costs no frame: what cannot be is read again."""
    k = Kit(name)
    data = frame(300)
    k.model.inject(data)
    # W5x00: the length behind burst and command. ENC28J60: the length behind EPKTCNT and ERDPT.
    k.model.flip({"enc28j60": 11}.get(name, 47 + 3))
    k.expect(data)
    assert k.count("rx_errors") == 0 and not k.model.flips


def link(name):
    """The link comes and goes; without one, nothing is stuck for good."""
    k = Kit(name)
    d, m = k.driver, k.model
    assert d.link()
    if name == "enc28j60":
        assert d.speed == 10 and not d.full_duplex
        m.set_link(False)
    else:
        assert d.speed == 100 and d.full_duplex
        m.mbps = 10
        m.full_duplex = False
        assert d.speed == 10 and not d.full_duplex
        m.linked = False
    assert not d.link()
    for n in range(200):
        assert k.transmit(frame(80, n, OTHER)) in (0, -11, -5)
        assert d.receive(k.rx) in (0, -5)
        m.advance(5000)
    assert k.count("restarts") == 0
    if name == "enc28j60":
        m.set_link(True)
    else:
        m.linked = True
    assert d.link()
    # What was to be sent meanwhile is old.
    before = len(m.sent)
    k.leaves(frame(61, 1, OTHER))
    assert len(m.sent) <= before + 2
    k.works()


def no_allocation(name):
    """Nothing is allocated once a buffer is known, on a bus that allocates nothing itself."""
    try:
        from micropython import heap_lock, heap_unlock
    except ImportError:
        return "SKIP no heap_lock"
    from tests.models.quiet import quiet

    k = Kit(name)
    pin = [0]
    k.driver.interrupt = lambda: pin[0]
    k.driver._state[_POLLED] = 0
    bus = quiet(name, k.driver)
    rx, tx, receive, transmit = k.rx, k.tx, k.driver.receive, k.driver.transmit
    bus.length = 60
    receive(rx)
    transmit(tx, 60)
    got = sent = bad = idle = looks = 0
    heap_lock()
    try:
        for turn in range(1000):
            n = SIZES[turn % 18]
            bus.length = n
            bus.spoil = turn % 100 == 99
            r = receive(rx)
            if r == n:
                got += 1
            elif r < 0:
                bad += 1
            if transmit(tx, n) == 0:
                sent += 1
        # An idle pin, and now and then a look.
        bus.spoil = False
        pin[0] = 1
        for turn in range(1000):
            if receive(rx) == 0:
                idle += 1
            else:
                looks += 1
        pin[0] = 0
        # A chip that is lost, and comes back.
        bus.gone = True
        for turn in range(300):
            receive(rx)
            transmit(tx, 60)
        bus.gone = False
        for turn in range(300):
            receive(rx)
    finally:
        heap_unlock()
    assert idle > 900 and looks > 3, (idle, looks)
    assert k.count("restarts") > 0
    assert got > 960 and sent > 960, (got, sent, bad)
    assert bad >= 5, bad
