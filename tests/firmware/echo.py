"""Runs on the board: sends frames of type 0x88B5 back, inverted, until one of type 0x88B6 comes.

The heap is locked meanwhile. SHIFT: where in its memory the frame buffer begins, so 2 is where an
interface has it. It prints how many frames were answered, and how many errors of each kind.
"""

import micropython

import smolmpy_board as board


class Echo:
    def __init__(self, device, shift):
        self.device = device
        self.memory = bytearray(b"\xaa" * 1600)
        self.buf = memoryview(self.memory)[shift : shift + 1514]
        self.shift = shift
        self.answered = 0
        self.errors = [0] * 128
        device.receive(self.buf)
        while device.transmit(self.buf, 60):
            pass

    def run(self):
        buf = self.buf
        device = self.device
        while True:
            n = device.receive(buf)
            if n < 0:
                self.errors[-n] += 1
            elif n == 0:
                board.wait(device, 100)
            elif buf[12] == 0x88 and buf[13] == 0xB6:
                return
            elif buf[12] == 0x88 and buf[13] == 0xB5:
                i = 14
                while i < n:
                    buf[i] ^= 255
                    i += 1
                for i in range(6):
                    buf[i] = buf[6 + i]
                buf[6] = 2
                n = device.transmit(buf, n)
                while n == -11:
                    n = device.transmit(buf, n)
                self.answered += 1

    def intact(self):
        """Whether nothing was written outside the buffer."""
        end = self.shift + 1514
        outside = self.memory[: self.shift] + self.memory[end:]
        return outside == b"\xaa" * len(outside)


def main(shift):
    echo = Echo(board.device(), shift)
    print("ready")
    micropython.heap_lock()
    try:
        echo.run()
    finally:
        micropython.heap_unlock()
    errors = {n: times for n, times in enumerate(echo.errors) if times}
    print("answered %d, errors %s, intact %s" % (echo.answered, errors, echo.intact()))
    print({name: n for name, n in echo.device.counters().items() if n})
