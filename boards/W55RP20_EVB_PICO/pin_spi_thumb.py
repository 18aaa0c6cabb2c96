"""SPI by the processor of an RP2040, on any pins, with the methods of machine.SPI.

machine.SoftSPI has a microsecond for each half of a clock on this port: 28 ms for a full frame.
Here the registers of the SIO move the pins (RP2040 data sheet, 2.3.1.7), 11 cycles a bit. Mode 0:
a bit is put out while the clock is low, and MISO is read while it is high; what is read was on the
pin two cycles before (2.3.1.2, the synchronizers of inputs).
"""

from array import array

import micropython
from machine import Pin, freq

_SIO = 0xD0000000

# A bus: where the SIO is, the masks of SCK and MOSI, how far left MISO is shifted to be the carry.
# Registers of the SIO: GPIO_IN 0x04, GPIO_OUT_SET 0x14, GPIO_OUT_CLR 0x18.


@micropython.asm_thumb
def _send(r0, r1, r2):
    # r0: bus, r1: bytes, r2: how many
    ldr(r3, [r0, 0])
    ldr(r4, [r0, 4])
    ldr(r5, [r0, 8])
    b(NEXT)
    label(BYTE)
    ldrb(r6, [r1, 0])
    add(r1, 1)
    lsl(r6, r6, 24)
    mov(r7, 8)
    label(BIT)
    str(r4, [r3, 0x18])
    add(r6, r6, r6)
    bcs(ONE)
    str(r5, [r3, 0x18])
    b(RISE)
    label(ONE)
    str(r5, [r3, 0x14])
    label(RISE)
    sub(r7, 1)
    str(r4, [r3, 0x14])
    bne(BIT)
    label(NEXT)
    sub(r2, 1)
    bpl(BYTE)
    str(r4, [r3, 0x18])


@micropython.asm_thumb
def _receive(r0, r1, r2):
    # r0: bus, r1: bytes, r2: how many
    ldr(r3, [r0, 0])
    ldr(r4, [r0, 4])
    ldr(r5, [r0, 12])
    b(NEXT)
    label(BYTE)
    mov(r7, 1)
    lsl(r7, r7, 24)  # leaves to the carry with the eighth bit
    label(BIT)
    str(r4, [r3, 0x14])
    nop()
    nop()
    nop()
    ldr(r6, [r3, 0x04])
    lsl(r6, r5)
    adc(r7, r7)
    str(r4, [r3, 0x18])
    bcc(BIT)
    strb(r7, [r1, 0])
    add(r1, 1)
    label(NEXT)
    sub(r2, 1)
    bpl(BYTE)


@micropython.asm_thumb
def _exchange(r0, r1, r2, r3):
    # r0: bus, r1: bytes to send, r2: where those received go, r3: how many
    ldr(r7, [r0, 0])
    ldr(r4, [r0, 4])
    b(NEXT)
    label(BYTE)
    ldrb(r6, [r1, 0])
    add(r1, 1)
    push({r1, r2, r3})
    ldr(r1, [r0, 8])
    ldr(r2, [r0, 12])
    mov(r3, 8)
    lsl(r6, r6, 24)  # bits leave at the top, and come in below
    label(BIT)
    add(r6, r6, r6)
    bcs(ONE)
    str(r1, [r7, 0x18])
    b(RISE)
    label(ONE)
    str(r1, [r7, 0x14])
    label(RISE)
    nop()
    str(r4, [r7, 0x14])
    nop()
    nop()
    nop()
    ldr(r5, [r7, 0x04])
    str(r4, [r7, 0x18])
    lsl(r5, r2)
    bcc(ZERO)
    add(r6, 1)
    label(ZERO)
    sub(r3, 1)
    bne(BIT)
    pop({r1, r2, r3})
    strb(r6, [r2, 0])
    add(r2, 1)
    label(NEXT)
    sub(r3, 1)
    bpl(BYTE)


class PinSPI:
    """`sck`, `mosi` and `miso` are numbers of GPIO. There is no choice of speed."""

    def __init__(self, sck, mosi, miso):
        Pin(sck, Pin.OUT, value=0)
        Pin(mosi, Pin.OUT, value=0)
        Pin(miso, Pin.IN)
        self._bus = array("I", (_SIO, 1 << sck, 1 << mosi, 32 - miso))

    def __repr__(self):
        return "PinSPI(baudrate=%d)" % (freq() // 11)

    def write(self, buf):
        _send(self._bus, buf, len(buf))

    def readinto(self, buf):
        _receive(self._bus, buf, len(buf))

    def write_readinto(self, out, into):
        _exchange(self._bus, out, into, len(out))
