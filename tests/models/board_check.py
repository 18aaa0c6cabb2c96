"""Runs a board's smolmpy_board.py against a model: `board_check.py FOLDER CHIP PIN=SIGNAL...`.

FOLDER has it, and may have smolmpy, which then is taken from there. Prints what was asked for,
`signal=pin ... bus=number,clock`, and `ok`.
"""

import sys

ROOT = __file__.rsplit("/", 3)[0] if __file__.count("/") > 2 else "."
sys.path.insert(0, ROOT)
folder, chip = sys.argv[1:3]
sys.path.insert(0, folder)

from tests.models import machines  # noqa: E402
from tests.models.kit import MAC, OTHER, classes, frame  # noqa: E402

model = classes(chip)[0]()
wires = dict([pair.split("=") for pair in sys.argv[3:]])
rig = machines.install(model, wires, "CIRCUITPYTHON" in folder)

import smolmpy_board  # noqa: E402
from smolmpy.wire.address import local_mac  # noqa: E402

try:
    from micropython import heap_lock, heap_unlock
except ImportError:

    def heap_lock():
        pass

    heap_unlock = heap_lock

model.follow(smolmpy_board.ticks_ms)
# The address is the board's own, of the kind that anybody may give, and can be another.
device = smolmpy_board.device()
own = device.mac
assert own[0] == 2 and own == local_mac(machines.UNIQUE), own
group = b"\x01\0\x5e\0\0\xfb"
assert model.inject(frame(60, to=own)) and not model.inject(frame(60, to=MAC))
assert not model.inject(frame(60, to=group))
device = smolmpy_board.device("02-00-00-00-00-01", multicast=True)
assert device.mac == MAC and model.inject(frame(60, to=group))
device = smolmpy_board.device(MAC)
assert device.mac == MAC
ticks_ms = smolmpy_board.ticks_ms
buf = memoryview(bytearray(1516))[2:]
for n in (60, 1514):
    assert model.inject(frame(n))
    start = ticks_ms()
    smolmpy_board.wait(device, -1)
    assert device.receive(buf) == n and buf[:n] == frame(n)
    buf[:n] = frame(n, 1, OTHER)
    assert device.transmit(buf, n) == 0
    model.advance(3000)
    assert model.sent[-1] == frame(n, 1, OTHER)
    assert device.receive(buf) == 0

# Without the pin nobody tells, and the chip is asked each time.
if "int" in wires.values():
    # Nothing waits: the whole time passes, and nothing is allocated meanwhile.
    model.reset_counts()
    start = ticks_ms()
    heap_lock()
    try:
        smolmpy_board.wait(device, 30)
        smolmpy_board.wait(device, 0)
    finally:
        heap_unlock()
    passed = (ticks_ms() - start) & 0x3FFFFFFF
    assert 29 <= passed < 2000, passed
    assert model.bytes == 0
    start = ticks_ms()
    smolmpy_board.wait(device, -1)
    passed = (ticks_ms() - start) & 0x3FFFFFFF
    assert 900 < passed < 5000, passed

    # A frame ends the wait.
    if rig.idles:
        rig.on_idle = lambda count: model.inject(frame(70, 2)) if count % 100 == 0 else None
        start = ticks_ms()
        smolmpy_board.wait(device, 60000)
        assert device.receive(buf) == 70
else:
    # While frames come at once, else a millisecond later; nothing is allocated meanwhile.
    smolmpy_board.wait(device, -1)
    rig.idles = 0
    heap_lock()
    try:
        for count in range(1, 6):
            smolmpy_board.wait(device, 1000)
            assert rig.idles == count and device.receive(buf) == 0
        smolmpy_board.wait(device, 0)
    finally:
        heap_unlock()
    assert rig.idles == 5
    model.inject(frame(80, 3))
    assert device.receive(buf) == 80
    smolmpy_board.wait(device, 1000)
    assert rig.idles == 5

# What programs import is there.
from smolmpy import Interface, TCPSocket, UDPSocket  # noqa: E402

iface = Interface(device, device.mac)
iface.add(TCPSocket(512, 512))
iface.add(UDPSocket(512, 512))
iface.poll(ticks_ms())

pairs = ["%s=%s" % (signal, rig.asked[signal]) for signal in sorted(rig.asked)]
print(" ".join(pairs) + " bus=%s,%d" % rig.bus)
print("ok")
