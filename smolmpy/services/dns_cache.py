"""A table of names and their addresses, of a fixed size.

Names are kept as the program gave them and compared as text, which makes no object. Of each name
there are, as words: when it expires (the interface's NOW), how many addresses, and those; 0 of
them means that there are none (RFC 2308).
"""

from array import array

import micropython
from micropython import const

_E_COUNT = const(1)
_E_ADDRESSES = const(2)
_E_WORDS = const(6)
_MOST = const(4)

_TTL = const(0)
_ADDRESSES = const(1)


@micropython.viper
def give(w: ptr32, at: int, count: int, addr) -> int:
    """Writes the addresses from words[at] up into a buffer, as many as fit; returns how many."""
    a = ptr8(addr)
    room = int(len(addr)) >> 2
    if count > room:
        count = room
    i = 0
    while i < count:
        word = w[at + i]
        a[4 * i] = (word >> 24) & 255
        a[4 * i + 1] = (word >> 16) & 255
        a[4 * i + 2] = (word >> 8) & 255
        a[4 * i + 3] = word & 255
        i += 1
    return count


class Cache:
    """Room for `size` names."""

    def __init__(self, size):
        self._names = [None] * size
        self._words = array("I", [0] * (size * _E_WORDS))

    def find(self, name, addr, now):
        """Fills addr and returns how many addresses; 0 if there are none; -1 if unknown."""
        names = self._names
        for i in range(len(names)):
            if names[i] == name:
                at = i * _E_WORDS
                if not ((now - self._words[at]) >> 29) & 1:
                    names[i] = None
                    return -1
                return give(self._words, at + _E_ADDRESSES, self._words[at + _E_COUNT], addr)
        return -1

    def store(self, name, count, answer, now):
        """Keeps `count` addresses of dns_message.read_answer()'s words for their time to live."""
        names = self._names
        words = self._words
        best = 0
        least = -1
        for i in range(len(names)):
            if names[i] is None or names[i] == name:
                best = i
                if names[i] == name:
                    break
                least = 0
            elif least:
                left = (words[i * _E_WORDS] - now) & 0x3FFFFFFF
                if least < 0 or left < least:
                    best = i
                    least = max(left, 1)
        at = best * _E_WORDS
        names[best] = name
        words[at] = (now + answer[_TTL] * 1000) & 0x3FFFFFFF
        words[at + _E_COUNT] = count
        _copy(words, at + _E_ADDRESSES, answer, _ADDRESSES)

    def sweep(self, now):
        """Forgets what has expired; returns the ms until the next does, -1 if nothing will."""
        names = self._names
        next_ms = -1
        for i in range(len(names)):
            if names[i] is not None:
                left = (self._words[i * _E_WORDS] - now) & 0x3FFFFFFF
                if left == 0 or left >> 29:
                    names[i] = None
                elif next_ms < 0 or left < next_ms:
                    next_ms = left
        return next_ms

    def clear(self):
        for i in range(len(self._names)):
            self._names[i] = None

    def __len__(self):
        return sum(name is not None for name in self._names)


@micropython.viper
def _copy(w: ptr32, at: int, o: ptr32, i: int):
    n = 0
    while n < _MOST:
        w[at + n] = o[i + n]
        n += 1
