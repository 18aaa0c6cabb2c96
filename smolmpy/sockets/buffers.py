"""Buffers of the program: which may be written, which may be read, and how many bytes they have.

Compiled code reaches a buffer by its address, where nothing says that it is a literal in flash, or
that its items have two bytes. So each call for programs looks at the class first, and asks here
about all but the usual ones: bytearray, and bytes where they are read.
"""

from struct import pack_into

# A slice of nothing: assigning nothing to it says whether items are bytes, without an object.
_NOTHING = type("", (), {"__getitem__": lambda self, i: i})()[0:0]
_SIZED = hasattr(memoryview(b""), "itemsize")  # not in every firmware


def _of_bytes(view):
    # Whether the items of a memoryview are bytes. There are no constant arrays.
    if _SIZED:
        return view.itemsize == 1 and getattr(view, "format", "B") == "B"
    try:
        pack_into("", view, 0)
        view[_NOTHING] = b""
    except TypeError:
        pass
    except ValueError:
        return False
    return True


def writable(buf, name="buf"):
    """How many bytes fit into a buffer. TypeError, with `name`, if it is none or read-only.

    Where its items are not bytes the number is inverted (~n), since a part of such a buffer can
    be written by fill() only.
    """
    kind = type(buf)
    if kind is bytearray:
        return len(buf)
    try:
        pack_into("", buf, 0)
        view = buf if kind is memoryview else memoryview(buf)
    except TypeError:
        raise TypeError("%s must be a writable buffer, not %s" % (name, _what(buf)))
    return len(view) if _of_bytes(view) else ~len(bytes(view))


def readable(buf, name="buf"):
    """The bytes of a buffer: itself, a copy of an array, the UTF-8 of text. Else TypeError."""
    kind = type(buf)
    if kind is bytes or kind is bytearray or (kind is memoryview and _of_bytes(buf)):
        return buf
    if kind is str:
        return buf.encode()
    try:
        return bytes(memoryview(buf))
    except TypeError:
        raise TypeError("%s must be a buffer or text, not %s" % (name, _what(buf)))


def fill(buf, n, receive, *args):
    """receive(buf, *args) for at most n bytes, by way of a bytearray; returns what it does."""
    piece = bytearray(n)
    got = receive(piece, *args)
    n = min(n, got)
    if n > 0:
        pack_into("%ds" % n, buf, 0, bytes(memoryview(piece)[:n]))
    return got


def _what(buf):
    read_only = "read-only " if isinstance(buf, memoryview) else ""
    return read_only + type(buf).__name__
