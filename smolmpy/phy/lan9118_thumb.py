"""LAN9118: words between the chip's FIFOs and memory, in Thumb assembly.

Each FIFO answers at eight addresses (data sheet, 5.1), but one is as good as the other. Only
16-bit encodings are used.
"""

import micropython


@micropython.asm_thumb
def pull(r0, r1, r2):
    """pull(base, words, n): reads `n` words from the receive FIFO to `words`."""
    b(WORDS)
    label(BLOCK)
    ldr(r3, [r0, 0])
    str(r3, [r1, 0])
    ldr(r3, [r0, 0])
    str(r3, [r1, 4])
    ldr(r3, [r0, 0])
    str(r3, [r1, 8])
    ldr(r3, [r0, 0])
    str(r3, [r1, 12])
    ldr(r3, [r0, 0])
    str(r3, [r1, 16])
    ldr(r3, [r0, 0])
    str(r3, [r1, 20])
    ldr(r3, [r0, 0])
    str(r3, [r1, 24])
    ldr(r3, [r0, 0])
    str(r3, [r1, 28])
    add(r1, 32)
    label(WORDS)
    sub(r2, 8)
    bge(BLOCK)
    add(r2, 8)
    b(TAIL)
    label(WORD)
    ldr(r3, [r0, 0])
    str(r3, [r1, 0])
    add(r1, 4)
    label(TAIL)
    sub(r2, 1)
    bge(WORD)
    mov(r0, 0)


@micropython.asm_thumb
def push(r0, r1, r2):
    """push(base, words, n): writes `n` words to the transmit FIFO."""
    b(WORDS)
    label(BLOCK)
    ldr(r3, [r1, 0])
    str(r3, [r0, 32])
    ldr(r3, [r1, 4])
    str(r3, [r0, 32])
    ldr(r3, [r1, 8])
    str(r3, [r0, 32])
    ldr(r3, [r1, 12])
    str(r3, [r0, 32])
    ldr(r3, [r1, 16])
    str(r3, [r0, 32])
    ldr(r3, [r1, 20])
    str(r3, [r0, 32])
    ldr(r3, [r1, 24])
    str(r3, [r0, 32])
    ldr(r3, [r1, 28])
    str(r3, [r0, 32])
    add(r1, 32)
    label(WORDS)
    sub(r2, 8)
    bge(BLOCK)
    add(r2, 8)
    b(TAIL)
    label(WORD)
    ldr(r3, [r1, 0])
    str(r3, [r0, 32])
    add(r1, 4)
    label(TAIL)
    sub(r2, 1)
    bge(WORD)
    mov(r0, 0)
