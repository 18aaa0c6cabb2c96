"""A device around a device that shows every frame to a function of the program."""

from . import adopt


class Tracer:
    """Calls `sink(buf, length, sent)` for each frame that `device` has received or taken.

    `buf[:length]` is the frame, which the sink must not keep or change; `sent` is False for a
    frame received. What the sink raises is swallowed, and counted in `errors`: a broken pipe
    must not stop the stack. Without a sink, frames are printed, one decoded line each.
    """

    def __init__(self, device, sink=None):
        self.device = device
        self.mtu = device.mtu
        self.sink = sink or print_frame
        self.errors = 0
        adopt(self, device)

    def receive(self, buf):
        n = self.device.receive(buf)
        if n > 0:
            self._show(buf, n, False)
        return n

    def transmit(self, buf, length):
        n = self.device.transmit(buf, length)
        if n == 0:
            self._show(buf, length, True)
        return n

    def _show(self, buf, length, sent):
        try:
            self.sink(buf, length, sent)
        except Exception:
            self.errors += 1


def print_frame(buf, length, sent):
    """The sink that prints a line: `<` and `>` tell frames received from frames sent."""
    from smolmpy.wire import describe

    print(">" if sent else "<", describe(buf, length))


class PcapSink:
    """The sink that appends each frame to the `smolmpy.wire.pcap.PcapWriter` `writer`.

    `clock()` gives the time in ms. Allocates nothing, but what the writer's stream allocates.
    """

    def __init__(self, writer, clock):
        self._write = writer.write
        self._clock = clock

    def __call__(self, buf, length, sent):
        self._write(buf, length, self._clock())
