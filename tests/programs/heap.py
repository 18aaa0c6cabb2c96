"""A proof that a method allocates nothing: the heap is locked while it runs."""

import micropython


def locked(method):
    """The method, of no arguments, which raises MemoryError where it allocates."""

    def call(self):
        micropython.heap_lock()
        try:
            return method(self)
        finally:
            micropython.heap_unlock()

    return call
