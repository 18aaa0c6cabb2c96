"""Sorted lists of pieces of a stream: what came before its turn, and what the peer has of ours.

A list lies in an array('I') at `table`: CAPACITY, LENGTH, then two words for each piece, its first
sequence number and its end. Pieces do not touch. `base` is the word that holds the sequence number
that all of them lie beyond.
"""

import micropython


@micropython.viper
def insert(t: ptr32, base: int, table: int, ahead: int, size: int) -> int:
    """Adds `size` bytes that begin `ahead` bytes beyond the base; 0 if there is no room for them.

    A piece that touches others becomes one with them.
    """
    M = 0xFFFF
    M |= M << 16
    origin = t[base + 0]
    n = t[table + 1]
    pieces = table + 2
    end = ahead + size
    # The pieces from i up to j touch the new one.
    i = 0
    while i < n and (t[pieces + 2 * i + 1] - origin) & 0x3FFFFFFF < ahead:
        i += 1
    j = i
    while j < n and (t[pieces + 2 * j] - origin) & 0x3FFFFFFF <= end:
        j += 1
    if j > i:
        first = (t[pieces + 2 * i] - origin) & 0x3FFFFFFF
        last = (t[pieces + 2 * j - 1] - origin) & 0x3FFFFFFF
        if first < ahead:
            ahead = first
        if last > end:
            end = last
    elif n == t[table]:
        return 0
    # All of them become one: what is behind moves down, or up by one where there was none.
    by = 2 * (j - i - 1)
    at = pieces + 2 * j
    stop = pieces + 2 * n
    if by > 0:
        while at < stop:
            t[at - by] = t[at]
            at += 1
    elif by < 0:
        while stop > at:
            stop -= 1
            t[stop + 2] = t[stop]
    t[table + 1] = n - (j - i) + 1
    t[pieces + 2 * i] = (origin + ahead) & M
    t[pieces + 2 * i + 1] = (origin + end) & M
    return 1


@micropython.viper
def reach(t: ptr32, base: int, table: int, size: int) -> int:
    """Drops the pieces that begin before the base or within `size` bytes beyond it.

    Returns how far the last of them reaches beyond those bytes.
    """
    origin = t[base + 0]
    n = t[table + 1]
    pieces = table + 2
    more = 0
    i = 0
    while i < n:
        first = (t[pieces + 2 * i] - origin) & 0x3FFFFFFF
        if first > size and not first >> 29:
            break
        more = ((t[pieces + 2 * i + 1] - origin) & 0x3FFFFFFF) - size
        if (more + size) >> 29:
            more = 0
        i += 1
    if i:
        at = pieces + 2 * i
        stop = pieces + 2 * n
        while at < stop:
            t[at - 2 * i] = t[at]
            at += 1
        t[table + 1] = n - i
    return more if more > 0 else 0


@micropython.viper
def total(t: ptr32, base: int, table: int, limit: int) -> int:
    """How many bytes in pieces lie within `limit` bytes beyond the base."""
    origin = t[base + 0]
    at = table + 2
    stop = at + 2 * t[table + 1]
    found = 0
    while at < stop:
        first = (t[at] - origin) & 0x3FFFFFFF
        end = (t[at + 1] - origin) & 0x3FFFFFFF
        if end > limit:
            end = limit
        if end > first:
            found += end - first
        at += 2
    return found
