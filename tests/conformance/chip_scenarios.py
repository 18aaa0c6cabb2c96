"""What every driver of an SPI chip must do, whichever the chip is; run by test_chip_*.py."""

import sys

# On a board the path is not searched through "..".
if __file__.count("/") > 2:
    sys.path.append(__file__.rsplit("/", 3)[0])

from tests.models.kit import BROADCAST, MAC, OTHER, Kit, frame

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
    """The wire of the interrupt pin is broken: frames are late, not lost."""
    k = Kit(name, True)
    k.driver.interrupt = lambda: 1
    k.model.inject(frame(100))
    for _ in range(32):
        got = k.receive()
        if got:
            break
    assert got == frame(100)


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


def stall(name):
    """The transmitter stops: it is noticed within a bound, and set going again."""
    k = Kit(name)
    for stalls in (1, 3):
        k.model.tx_stalls = stalls
        before = k.count("tx_stalls")
        calls = lost = 0
        while k.model.tx_stalls or lost < 1:
            result = k.transmit(frame(400, calls, OTHER))
            assert result in (0, -11, -5), result
            calls += 1
            lost += result == -5 or k.count("tx_stalls") > before
            assert calls < 200
        assert k.count("tx_stalls") > before
        k.model.advance(2000)
        for _ in range(40):
            k.driver.receive(k.rx)
            if k.transmit(frame(60, 1, OTHER)) == 0:
                break
        k.model.advance(2000)
        k.works()


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
            if k.count("restarts") == 3:
                break
        assert k.count("restarts") == 3
        k.works()


def unplugged(name):
    """No chip answers: -ENODEV for as long as that lasts, in bounded time; then it works again."""
    for level in (0x00, 0xFF):
        k = Kit(name)
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
            driver_class(m, m.cs, mac=MAC)
        except OSError as e:
            assert e.args[0] == 19
            text = e.args[1]
            assert "0x%02x" % level in text and "wiring" in text and "CS" in text, text
        else:
            raise AssertionError("no error")
    for bad in (b"\x02\x00", b"\x01\x00\x00\x00\x00\x01", bytes(6)):
        try:
            driver_class(model_class(), lambda *level: 1, mac=bad)
        except ValueError as e:
            assert "mac" in str(e)
        else:
            raise AssertionError("no error")


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
        k.recovers(tries=12)
        assert k.count("rx_errors") > before, value
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
    assert k.count("restarts") == 0
    if name == "enc28j60":
        m.set_link(True)
    else:
        m.linked = True
    assert d.link()
    for _ in range(40):
        d.receive(k.rx)
        if k.transmit(frame(60, 1, OTHER)) == 0:
            break
    m.advance(2000)
    k.works()


def no_allocation(name):
    """Nothing is allocated once a buffer is known, on a bus that allocates nothing itself."""
    try:
        from micropython import heap_lock, heap_unlock
    except ImportError:
        return "SKIP no heap_lock"
    from tests.models.quiet import quiet

    k = Kit(name)
    bus = quiet(name, k.driver)
    rx, tx, receive, transmit = k.rx, k.tx, k.driver.receive, k.driver.transmit
    bus.length = 60
    receive(rx)
    transmit(tx, 60)
    got = sent = bad = 0
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
    finally:
        heap_unlock()
    assert got > 960 and sent > 960, (got, sent, bad)
    assert bad >= 5, bad
