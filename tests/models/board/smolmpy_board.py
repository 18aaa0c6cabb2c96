"""The unix port with an Ethernet chip: a driver over its model over the device of a host.

SMOLMPY_DEVICE names the device, as for boards/unix; SMOLMPY_CHIP the chip: w5500 (default),
w5100s, w6100 or enc28j60.
"""

import os
import time

from boards.unix import smolmpy_board as host
from tests.models.kit import MAC, classes, join

ticks_ms = host.ticks_ms


class ChipOnHost:
    """A device: the chip's driver, which is given the frames of `wire` through the model."""

    mtu = 1500

    def __init__(self, name, wire):
        model, driver = classes(name)
        self.wire = wire
        self.model = m = model()
        self.driver = join(m, driver, m.rst, True, mac=MAC)
        self.mac = MAC
        self.poll_interval = self.driver.poll_interval
        self.frame = bytearray(1514)
        self.last = time.ticks_us()
        m.on_transmit = self.leaves

    def leaves(self, frame):
        self.wire.transmit(frame, len(frame))

    def receive(self, buf):
        self.live()
        return self.driver.receive(buf)

    def transmit(self, buf, length):
        return self.driver.transmit(buf, length)

    def link(self):
        return self.driver.link()

    def live(self):
        """Lets the chip's time pass, and brings it a few frames; the others wait in the wire."""
        now = time.ticks_us()
        self.model.advance(time.ticks_diff(now, self.last))
        self.last = now
        for _ in range(3):
            n = self.wire.receive(self.frame)
            if n <= 0:
                break
            self.model.inject(bytes(memoryview(self.frame)[:n]))


def device():
    return ChipOnHost(os.getenv("SMOLMPY_CHIP") or "w5500", host.device())


def wait(device, ms):
    # What was sent must have left before the program sleeps: the longest frame at 10 Mbit/s.
    device.model.advance(2000)
    if not device.driver.pending():
        host.wait(device.wire, ms)
