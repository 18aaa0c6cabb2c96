"""CircuitPython's `busio.SPI` and `digitalio.DigitalInOut` in the shape of machine.SPI and Pin.

The drivers of smolmpy call `spi.write(buf)`, `spi.readinto(buf)`, `spi.write_readinto(out, into)`,
`cs(level)` and `interrupt()`. A bus of `busio` has these methods already, once it is locked and
its clock is set, so the adapter locks it for good: a bus with other devices needs one of its own.
"""


class SPIBus:
    """`busio.SPI` for one chip, mode 0 at `baudrate`, locked. `close()` unlocks it."""

    def __init__(self, bus, baudrate):
        if not bus.try_lock():
            raise OSError(16, "the SPI bus is in use")
        bus.configure(baudrate=baudrate, polarity=0, phase=0)
        self._bus = bus
        # The bus's own methods: an adapter costs nothing on the way of a frame.
        self.write = bus.write
        self.readinto = bus.readinto
        self.write_readinto = bus.write_readinto

    def __repr__(self):
        return "SPI(baudrate=%d)" % self._bus.frequency

    def close(self):
        self._bus.unlock()


class OutPin:
    """A `DigitalInOut` as an output, high at first."""

    def __init__(self, pin):
        pin.switch_to_output(True)
        self._pin = pin

    def __call__(self, level):
        self._pin.value = level


class InPin:
    """A `DigitalInOut` as an input. CircuitPython has no interrupts: `wait` looks at it."""

    def __init__(self, pin):
        pin.switch_to_input()
        self._pin = pin

    def __call__(self):
        return self._pin.value
