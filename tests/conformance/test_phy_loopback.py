"""The loopback device: order, room, lengths, and no allocation."""

import sys

from micropython import heap_lock, heap_unlock

from smolmpy import Interface, UDPSocket
from smolmpy.kernel import EDITION
from smolmpy.phy.fault import FaultInjector
from smolmpy.phy.loopback import LoopbackDevice, cable
from smolmpy.phy.tracer import Tracer

KERNELS_ALLOCATE = EDITION == "plain" and sys.implementation.name == "micropython"


def _frame(n, seed):
    return bytearray([(seed * 7 + i) & 255 for i in range(n)])


def test_order_and_content():
    d = LoopbackDevice(frames=3)
    buf = bytearray(1514)
    assert d.receive(buf) == 0
    # More rounds than slots, so that every slot is used at every place of the ring.
    for turn in range(7):
        sizes = (60 + turn, 1514, 61)
        for k in range(3):
            assert d.transmit(_frame(sizes[k], turn + k), sizes[k]) == 0
        assert d.transmit(_frame(60, 9), 60) == -11
        for k in range(3):
            n = d.receive(buf)
            assert n == sizes[k]
            assert buf[:n] == _frame(n, turn + k), (turn, k)
        assert d.receive(buf) == 0


def test_sent_buffer_is_free_at_once():
    d = LoopbackDevice(frames=2)
    frame = _frame(100, 1)
    d.transmit(frame, 64)
    for i in range(100):
        frame[i] = 0
    buf = bytearray(128)
    assert d.receive(buf) == 64
    assert buf[:64] == _frame(64, 1)
    assert buf[64:] == bytes(64), "no more than the frame may be written"


def test_too_long():
    d = LoopbackDevice(frames=2, mtu=500)
    assert d.transmit(bytearray(515), 515) == -90
    assert d.transmit(bytearray(514), 514) == 0
    assert d.transmit(_frame(60, 3), 60) == 0
    short = bytearray(513)
    assert d.receive(short) == -90
    assert d.receive(short) == 60, "the long frame is dropped, the next one is not"
    assert short[:60] == _frame(60, 3)


def test_cable():
    a, b = cable(frames=2, mtu=300)
    buf = bytearray(314)
    assert a.mtu == b.mtu == 300 and a.link() and b.link()
    assert a.transmit(_frame(60, 1), 60) == 0
    assert a.transmit(_frame(61, 2), 61) == 0
    assert a.transmit(_frame(62, 3), 62) == -11
    assert b.transmit(_frame(63, 4), 63) == 0
    assert a.receive(buf) == 63 and buf[:63] == _frame(63, 4)
    assert a.receive(buf) == 0
    assert b.receive(buf) == 60 and buf[:60] == _frame(60, 1)
    assert b.receive(buf) == 61 and buf[:61] == _frame(61, 2)


def test_bad_argument():
    try:
        LoopbackDevice(frames=0)
    except ValueError as e:
        assert "frames" in str(e)
    else:
        raise AssertionError("no ValueError")


def test_allocates_nothing():
    if KERNELS_ALLOCATE:
        return "SKIP the kernels of the bytecode edition allocate"
    d = LoopbackDevice(frames=2)
    frame = memoryview(bytearray(1516))[2:]
    buf = memoryview(bytearray(1516))[2:]
    _exchange(d, frame, buf)
    a, b = cable()
    heap_lock()
    try:
        for _ in range(20):
            _exchange(d, frame, buf)
            a.transmit(frame, 1514)
            b.receive(buf)
    finally:
        heap_unlock()


def _exchange(d, frame, buf):
    assert d.transmit(frame, 1514) == 0
    assert d.transmit(frame, 60) == 0
    assert d.transmit(frame, 60) == -11
    assert d.receive(buf) == 1514
    assert d.receive(buf) == 60
    assert d.receive(buf) == 0


def test_a_wrapped_one_is_one_still():
    for wrap in (FaultInjector, lambda device: Tracer(device, lambda buf, n, sent: None)):
        iface = Interface(wrap(LoopbackDevice()), "02-00-00-00-00-01")
        iface.add_address("10.0.0.1/8")
        udp = iface.add(UDPSocket(64, 64))
        udp.bind(7)
        assert udp.send_to(b"hello", "10.0.0.1", 7) == 5
        for now in range(0, 1000, 20):
            iface.poll(now)
        buf = bytearray(64)
        assert udp.recv_into(buf) == 5 and buf[:5] == b"hello"
