"""Runs on a target: `echo_device.py DEVICE COUNT [locked]` answers COUNT frames through a device.

DEVICE is tap:NAME, packet:NAME or fd:N. A frame of type 0x88B5 (for experiments) is sent back
with its addresses swapped and the rest of its bytes inverted; others are ignored. With `locked`
the heap is locked while frames go. At the end it prints how many were answered and the errors.
"""

import select
import sys

from micropython import heap_lock, heap_unlock


def open_device(spec):
    kind, _, name = spec.partition(":")
    if kind == "tap":
        from smolmpy.phy.tap import TapDevice

        return TapDevice(name)
    if kind == "packet":
        from smolmpy.phy.packet import PacketDevice

        return PacketDevice(name, promiscuous=True)
    from smolmpy.phy.stream import StreamDevice

    return StreamDevice(int(name))


class Echo:
    def __init__(self, device):
        self.device = device
        self.buf = memoryview(bytearray(1516))[2:]
        self.answered = 0
        self.errors = [0] * 256
        self.poller = select.poll()
        self.poller.register(device.fileno(), select.POLLIN)

    def wait(self):
        if hasattr(self.poller, "ipoll"):
            for _ in self.poller.ipoll(1000):
                pass
        else:
            self.poller.poll(1000)

    def step(self):
        buf = self.buf
        n = self.device.receive(buf)
        if n == 0:
            self.wait()
        elif n < 0:
            self.errors[-n] += 1
        elif buf[12] == 0x88 and buf[13] == 0xB5:
            for i in range(6):
                mac = buf[i]
                buf[i] = buf[i + 6]
                buf[i + 6] = mac
            i = 14
            while i < n:
                buf[i] ^= 255
                i += 1
            code = self.device.transmit(buf, n)
            if code < 0:
                self.errors[-code] += 1
            self.answered += 1

    def run(self, count):
        # Not more turns than this, should frames be lost.
        turns = 0
        while self.answered < count and turns < count + 100:
            turns += 1
            self.step()


def main(spec, count, locked):
    echo = Echo(open_device(spec))
    # A device may allocate the first time that it sees a buffer, and the poller at first use.
    echo.device.receive(echo.buf)
    echo.poller.poll(0)
    sys.stdout.write("ready\n")
    if hasattr(sys.stdout, "flush"):
        sys.stdout.flush()
    echo.wait()
    if locked:
        heap_lock()
    try:
        echo.run(count)
    finally:
        if locked:
            heap_unlock()
    echo.device.close()
    errors = {n: times for n, times in enumerate(echo.errors) if times}
    print("answered %d, errors %s" % (echo.answered, errors))


main(sys.argv[1], int(sys.argv[2]), "locked" in sys.argv[3:])
