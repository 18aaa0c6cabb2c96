"""LAN9118: words between the chip's FIFOs and memory, in viper."""

import micropython


@micropython.viper
def pull(p: ptr32, w: ptr32, n: int) -> int:
    """Reads `n` words from the receive FIFO to `words`, which begins at a word boundary."""
    i = 0
    while i < n:
        w[i] = p[0]
        i += 1
    return 0


@micropython.viper
def push(p: ptr32, w: ptr32, n: int) -> int:
    """Writes `n` words to the transmit FIFO."""
    i = 0
    while i < n:
        p[8] = w[i]
        i += 1
    return 0
