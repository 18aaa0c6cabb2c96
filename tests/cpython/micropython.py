"""What smolmpy uses of MicroPython, for CPython: the module `micropython`, and the casts of viper.

Under CPython every integer is an object, so a cast is the identity and a decorator changes
nothing. MicroPython knows these names without an import, so they become builtins here. The inline
assemblers are not there, and modules that do pointer arithmetic are hidden: their importers fall
back, as on an interpreter without a native emitter.
"""

import builtins
import sys


def const(value):
    return value


def viper(function):
    return function


def native(function):
    return function


def heap_lock():
    """There is nothing to lock: what allocates is seen under MicroPython only."""


def heap_unlock():
    return 0


_scheduled = []
_DEPTH = 4


def schedule(function, argument):
    """At once; or when the scheduled call that this is in has ended."""
    if len(_scheduled) == _DEPTH:
        raise RuntimeError("schedule queue full")
    _scheduled.append((function, argument))
    if _scheduled[0] is None:
        return
    while _scheduled:
        function, argument = _scheduled[0]
        _scheduled[0] = None  # it runs
        try:
            function(argument)
        finally:
            _scheduled.pop(0)


def opt_level(level=None):
    return 0


def _identity(value):
    return value


for _name in ("ptr", "ptr8", "ptr16", "ptr32", "uint"):
    setattr(builtins, _name, _identity)
builtins.const = const
builtins.micropython = sys.modules[__name__]

sys.modules["smolmpy.kernel.viper"] = None
