"""The memory of an emulated processor, in which CPython's buffers have addresses.

An object whose address is asked for is given a place for good, others for the length of a call.
They lie apart from each other, so that what belongs to none is seen. A place has room for the
bytes of the object that owns them, whatever views of it there are; only what has been handed over,
by a view or as a whole, may be accessed.
"""

import bisect
import ctypes
import mmap
import random

# Below 2^30, as the RAM of most boards, where an address is a small int.
BASE, SIZE = 0x2000_0000, 1 << 26
_PASSING = 1 << 20  # bytes at the beginning, for what stays for a call
_BLOCK = 16  # bytes, as of MicroPython's heap; and at least as much lies between two places


class _Buffer(ctypes.Structure):
    """Py_buffer of CPython."""

    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("rest", ctypes.c_void_p * 5),
    ]


def _host_address(view):
    buffer = _Buffer()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(view), ctypes.byref(buffer), 0)
    at = buffer.buf
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(buffer))
    return at


def _extent(arg):
    """(owner, offset, length) of a buffer: who owns the bytes, and which of them it has."""
    if isinstance(arg, memoryview):
        owner = arg.obj
        return owner, _host_address(arg) - _host_address(owner) if arg.nbytes else 0, arg.nbytes
    return arg, 0, memoryview(arg).nbytes


class Place:
    """Where the bytes of `owner` are: [start, end), of which [low, high) have been handed over."""

    def __init__(self, owner, start):
        self.owner = owner
        self.view = memoryview(owner).cast("B")
        self.start = start
        self.end = start + len(self.view)
        self.low = self.high = start
        self.writable = not self.view.readonly
        self.present = False  # the bytes have been brought here in this call
        self.written = False

    def hand_over(self, offset, length):
        """Makes a part of it accessible; returns its address."""
        at = self.start + offset
        if self.low == self.high:
            self.low, self.high = at, at + length
        else:
            self.low, self.high = min(self.low, at), max(self.high, at + length)
        return at

    def behind(self):
        """Where the next place begins."""
        return -(-self.end // _BLOCK) * _BLOCK + _BLOCK


class Memory:
    def __init__(self):
        ram = mmap.mmap(-1, SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.host_address = ctypes.addressof(ctypes.c_char.from_buffer(ram))
        self._bytes = memoryview(ram)
        # What is read beside an object is not 0.
        self._bytes[:_PASSING] = random.Random(1).randbytes(_PASSING)
        self._passing = []
        self._next = BASE + _BLOCK
        self._kept = []
        self._starts = []  # of those that are kept, in order
        self._by_owner = {}
        self._end = BASE + _PASSING
        self._present = []
        self._views = {}

    def hand_over(self, arg):
        """The address of an argument, for this call if it has none yet."""
        owner, offset, length = _extent(arg)
        place = self._by_owner.get(id(owner))
        if place is None:
            for place in self._passing:
                if place.owner is owner:
                    break
            else:
                place = Place(owner, self._next)
                self._next = place.behind()
                assert self._next <= BASE + _PASSING, "an argument is too large"
                self._passing.append(place)
        return place.hand_over(offset, length)

    def address(self, arg):
        """The address of an object, for good."""
        owner, offset, length = _extent(arg)
        return self._keep(owner).hand_over(offset, length)

    def returned(self, value):
        """A result as it is, or, where it is the address of an argument, one that stays."""
        for place in self._passing:
            if place.start <= value < place.end:
                return self._keep(place.owner).hand_over(value - place.start, place.high - value)
        return value

    def _keep(self, owner):
        place = self._by_owner.get(id(owner))
        if place is None:
            place = Place(owner, self._end)
            self._end = place.behind()
            assert self._end <= BASE + SIZE, "too many objects have an address"
            self._kept.append(place)
            self._starts.append(place.start)
            self._by_owner[id(owner)] = place
        return place

    def pointer(self, address, width):
        """What lies at an address as words of `width` bytes, up to where the object ends."""
        view = self._views.get((address, width))
        if view is None:
            index = bisect.bisect(self._starts, address) - 1
            place = self._kept[index] if index >= 0 else None
            assert place and address < place.end, f"nothing is at {address:#x}"
            assert address % width == 0, f"{address:#x} is not aligned"
            view = place.view[address - place.start :]
            view = view[: len(view) // width * width].cast({1: "B", 2: "H", 4: "I"}[width])
            self._views[address, width] = view
        return view

    def find(self, address, size, writes):
        """The place to which an access is, with its bytes present; None if it is to none.

        A read may take in the rest of the word that a byte lies in: on no board that is more than
        an object's own.
        """
        for place in self._passing:
            if place.start - 4 < address < place.end + 4:
                break
        else:
            index = bisect.bisect(self._starts, address) - 1
            if index < 0:
                return None
            place = self._kept[index]
        low, high = place.low, place.high
        if low == high:
            return None
        if not writes:
            low, high = low & ~3, high + 3 & ~3
        if address < low or address + size > high:
            return None
        if not place.present:
            at = place.start - BASE
            self._bytes[at : at + len(place.view)] = place.view
            place.present = True
            self._present.append(place)
        return place

    def bring_back(self):
        """Gives the objects what has been written to their places."""
        for place in self._present:
            if place.written:
                at = place.start - BASE
                place.view[:] = self._bytes[at : at + len(place.view)]

    def forget(self):
        """Ends a call."""
        for place in self._present:
            place.present = place.written = False
        self._present.clear()
        self._passing.clear()
        self._next = BASE + _BLOCK

    def near(self, address):
        """What was handed over around an address, as text."""
        return "".join(
            f", but {place.low:#x} to {place.high - 1:#x} was"
            for place in (*self._passing, *self._kept)
            if place.low - 256 < address < place.high + 256
        )
