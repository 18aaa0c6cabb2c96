"""Starts a count at a known place between two ticks of the board's counter: 40 instructions.

Counts that start at each of these 40 places in turn have a mean that is exact.
"""

import micropython


@micropython.asm_thumb
def align(r0):
    """align(i): returns i * 3 instructions (modulo 40 another place for each i) after a tick."""
    movwt(r1, 0x40028018)
    ldr(r3, [r1, 0])
    nop()
    nop()
    # Readings 39 instructions apart are the same just where the first one was right after a tick.
    label(SEARCH)
    mov(r2, r3)
    mov(r4, 17)
    label(INNER)
    sub(r4, 1)
    bne(INNER)
    ldr(r3, [r1, 0])
    cmp(r3, r2)
    bne(SEARCH)
    add(r0, 1)
    label(SHIFT)
    nop()
    sub(r0, 1)
    bne(SHIFT)
