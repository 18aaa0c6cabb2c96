"""MicroPython's decorators and pointers where addresses are those of an emulated Cortex-M.

`core` is the processor that SMOLMPY_CORE names. At the end, what its routines have run is written
to the file that SMOLMPY_STEPS names, for tests/test_thumb.py.
"""

import atexit
import contextlib
import functools
import json
import os
import resource

import cortex_m
from tools import thumb

# A length that a routine gets wrong may be four billion; a test that believes it has to fail.
with contextlib.suppress(ValueError):
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, resource.getrlimit(resource.RLIMIT_AS)[1]))

_NAME = os.environ.get("SMOLMPY_CORE", "cortex-m0")
core = cortex_m.Core(_NAME)


@functools.cache
def _routines(path):
    return thumb.kept_routines(path, thumb.ARCHES[_NAME])


class _Int(type):
    def __call__(cls, value=0):
        return core.memory.address(value) if hasattr(value, "__getitem__") else int(value)

    def __instancecheck__(cls, value):
        return isinstance(value, int)


class Int(metaclass=_Int):
    """`int` as viper has it, for which a pointer is a number."""


def asm_thumb(function):
    """What the machine code of the function does."""
    function.__globals__["int"] = Int
    return core.load(_routines(function.__code__.co_filename)[function.__name__])


def _cast(width):
    def cast(value):
        return core.memory.pointer(value, width) if type(value) is int else value

    return cast


ptr8, ptr16, ptr32 = _CASTS = _cast(1), _cast(2), _cast(4)


def viper(function):
    """The function itself; but for parameters that are pointers, addresses may be given."""
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    pointers = [name for name in names if function.__annotations__.get(name) in _CASTS]
    if not pointers:
        return function
    # As text, since this is called several times for each packet.
    casts = "".join(f"    {name} = _cast_{name}({name})\n" for name in pointers)
    listed = ", ".join(names)
    known = {f"_cast_{name}": function.__annotations__[name] for name in pointers}
    known["_function"] = function
    exec(f"def call({listed}):\n{casts}    return _function({listed})\n", known)
    return functools.wraps(function)(known["call"])


@atexit.register
def _report():
    path = os.environ.get("SMOLMPY_STEPS")
    if path:
        with open(path, "w") as file:
            json.dump(core.steps(), file)
