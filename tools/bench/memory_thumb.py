"""The two functions of a device that copies frames from memory and to memory, in inline assembly.

Words of RAM that MicroPython does not use tell how many frames wait, the first one's place, where
the places lie, and where the last frame sent is put; then, for each place, how long the frame in
it is. Frames begin 2 bytes after a word boundary. No Python code is between the frame and the
stack, just as the C programs of other stacks are counted with no more than `memcpy`.
"""

import micropython


@micropython.asm_thumb
def receive(r0):
    movwt(r1, 0x20000020)
    ldr(r2, [r1, 0])
    cmp(r2, 0)
    beq(NONE)
    sub(r2, 1)
    str(r2, [r1, 0])
    ldr(r3, [r1, 4])
    add(r2, r3, 1)
    mov(r4, 3)
    and_(r2, r4)
    str(r2, [r1, 4])
    lsl(r4, r3, 2)
    add(r4, r4, r1)
    ldr(r6, [r4, 16])
    mov(r12, r6)
    mov(r4, 95)
    lsl(r4, r4, 4)  # _SLOT_SIZE
    mul(r4, r3)
    ldr(r3, [r1, 8])
    add(r1, r3, r4)
    ldrh(r3, [r1, 2])
    strh(r3, [r0, 0])
    add(r1, 4)
    add(r0, 2)
    sub(r6, 2 + 32)
    bcc(WORDS)
    label(BLOCK)
    data(2, 0xC9BC)  # ldm r1!, {r2, r3, r4, r5, r7}
    data(2, 0xC0BC)  # stm r0!, {r2, r3, r4, r5, r7}
    data(2, 0xC91C)  # ldm r1!, {r2, r3, r4}
    data(2, 0xC01C)  # stm r0!, {r2, r3, r4}
    sub(r6, 32)
    bcs(BLOCK)
    label(WORDS)
    add(r6, 32)
    b(TAIL)
    label(WORD)
    data(2, 0xC904)  # ldm r1!, {r2}
    data(2, 0xC004)  # stm r0!, {r2}
    sub(r6, 4)
    label(TAIL)
    cmp(r6, 0)
    bgt(WORD)
    mov(r0, r12)
    b(END)
    label(NONE)
    mov(r0, 0)
    label(END)


@micropython.asm_thumb
def transmit(r0, r1):
    mov(r6, r1)
    movwt(r1, 0x20000020)
    ldr(r1, [r1, 12])
    ldrh(r3, [r0, 0])
    strh(r3, [r1, 2])
    add(r1, 4)
    add(r0, 2)
    sub(r6, 2 + 32)
    bcc(WORDS)
    label(BLOCK)
    data(2, 0xC8BC)  # ldm r0!, {r2, r3, r4, r5, r7}
    data(2, 0xC1BC)  # stm r1!, {r2, r3, r4, r5, r7}
    data(2, 0xC81C)
    data(2, 0xC11C)
    sub(r6, 32)
    bcs(BLOCK)
    label(WORDS)
    add(r6, 32)
    b(TAIL)
    label(WORD)
    data(2, 0xC804)
    data(2, 0xC104)
    sub(r6, 4)
    label(TAIL)
    cmp(r6, 0)
    bgt(WORD)
    mov(r0, 0)
