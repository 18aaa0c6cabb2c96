"""What the drivers of SPI Ethernet chips share: pins, a pause, and views of the caller's buffers.

machine.SPI transfers whole buffers, so a part of one needs a memoryview, and making one allocates.
A driver therefore prepares views when it first sees a buffer: its beginnings in steps of 32 bytes,
up to one frame. They cost 20 bytes each on a 32-bit board, 980 in all, and a transfer is rounded
up by 15 bytes on average.
"""

from array import array

from micropython import const

try:
    from time import sleep_ms
except ImportError:
    try:
        from time import sleep

        def sleep_ms(ms):
            sleep(ms / 1000)

    except ImportError:

        def sleep_ms(ms):
            # A port without a clock: no faster than that on any core it runs on.
            for _ in range(ms * 2000):
                pass


_FRAME = const(1514)

# The first words of a driver's state, an array('I'); the others are the driver's own.
_WAITING = const(0)  # more than 0 while frames are known to wait
_RX_ROOM = const(1)  # bytes that the receive buffer takes


class SPIChip:
    """`spi` has machine.SPI's methods; `cs`, `reset`, `interrupt` are machine.Pin's, or None.

    `cs` and `reset` are outputs, low-active, and `interrupt` is an input, low-active. Without it
    the chip is asked each time; with it an idle chip costs no transfer.
    """

    mtu = 1500

    def __init__(self, spi, cs, reset, interrupt, mac, words):
        if mac is not None and (len(mac) != 6 or mac[0] & 1 or not any(mac)):
            raise ValueError("mac")
        self.mac = None if mac is None else bytes(mac)
        self.interrupt = interrupt
        self._state = array("I", bytes(4 * words))
        self._spi = spi
        self._write = spi.write
        self._read = spi.readinto
        self._exchange = spi.write_readinto
        self._cs = cs
        self._rx_buf = self._tx_buf = None
        self._rx_views = self._tx_views = ()
        cs(1)
        if reset is not None:
            reset(0)
            sleep_ms(1)
            reset(1)
            sleep_ms(2)

    def _prepare(self, buf):
        # Both directions may use one buffer.
        if buf is self._rx_buf:
            return self._rx_views
        if buf is self._tx_buf:
            return self._tx_views
        view = memoryview(buf)
        room = min(len(view), _FRAME)
        return [view[: min(end, room)] for end in range(0, room + 32, 32)]

    def _adopt_rx(self, buf):
        self._rx_views = self._prepare(buf)
        self._rx_buf = buf
        self._state[_RX_ROOM] = min(len(buf), _FRAME)

    def _adopt_tx(self, buf):
        self._tx_views = self._prepare(buf)
        self._tx_buf = buf

    def pending(self):
        """True if a frame may be waiting; costs no transfer."""
        return self._state[_WAITING] > 0 or self.interrupt is None or not self.interrupt()

    def irq(self, handler):
        """Calls `handler(pin)` when the chip begins to have something to tell; None: no more."""
        self.interrupt.irq(handler, self.interrupt.IRQ_FALLING)

    def stats(self):
        """The counters by name."""
        return {name: self._state[word] for name, word in self._COUNTERS}
