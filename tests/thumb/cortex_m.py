"""Machine code as functions of CPython, run by Unicorn on a Cortex-M.

Arguments are handed over as MicroPython does it (py/objfun.c): an int as 32 bits, None and False
as 0, an object with a buffer as its address (memory.py). A routine is stopped, and AssertionError
raised, where it

- reads or writes what was not handed over, or writes to what is read-only;
- does so on no boundary of the size: Cortex-M0 has no such access, though Unicorn lets it pass;
- needs more of the stack than it pushes (tools/thumb.py);
- has not restored the stack pointer and r4 to r11 at its end;
- does not end.
"""

import ctypes

import unicorn
from unicorn import arm_const as arm

# What the class Uc does for each callback and each register costs more than a short routine.
from unicorn.unicorn_py3.unicorn import HOOK_CODE_CFUNC, HOOK_MEM_ACCESS_CFUNC, uclib

import memory

_ROM, _ROM_SIZE = 0x0800_0000, 1 << 16
_STACK, _STACK_SIZE = 0x1000_0000, 1 << 12
PORTS, _PORTS_SIZE = 0x3000_0000, 1 << 12  # the registers of a chip
_RETURN = _ROM + _ROM_SIZE - 4  # where a routine returns to
_MOST_BLOCKS = 20_000  # far more than for the longest frame, byte by byte

_MODELS = {"cortex-m0": arm.UC_CPU_ARM_CORTEX_M0, "cortex-m3": arm.UC_CPU_ARM_CORTEX_M3}
_READ_WRITE = unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE


_FIRST_FREE = 6  # where r4 is among the registers that are set
_SAVED = range(arm.UC_ARM_REG_R4, arm.UC_ARM_REG_R11 + 1)


def _cells(values):
    """The addresses of the values of an array of ctypes."""
    at = ctypes.addressof(values)
    return list(range(at, at + ctypes.sizeof(values), 8))


class Core:
    """One processor and the routines that it has run."""

    def __init__(self, name):
        self.memory = memory.Memory()
        self._uc = uc = unicorn.Uc(
            unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS
        )
        uc.ctl_set_cpu_model(_MODELS[name])
        uc.mem_map(_ROM, _ROM_SIZE, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        uc.mem_map(_STACK, _STACK_SIZE, _READ_WRITE)
        uc.mem_map(PORTS, _PORTS_SIZE, _READ_WRITE)
        at = ctypes.c_void_p(self.memory.host_address)
        uc.mem_map_ptr(memory.BASE, memory.SIZE, _READ_WRITE, at)
        on_read = HOOK_MEM_ACCESS_CFUNC(self._on_read)
        on_write = HOOK_MEM_ACCESS_CFUNC(self._on_write)
        on_port = HOOK_MEM_ACCESS_CFUNC(self._on_port)
        on_block = HOOK_CODE_CFUNC(self._on_block)
        # Nothing but push and pop gets at the stack.
        self._hook(unicorn.UC_HOOK_MEM_READ, on_read, memory.BASE, PORTS - 1)
        self._hook(unicorn.UC_HOOK_MEM_WRITE, on_write, memory.BASE, PORTS - 1)
        ports = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
        self._hook(ports, on_port, PORTS, PORTS + _PORTS_SIZE - 1)
        self._hook(unicorn.UC_HOOK_BLOCK, on_block, _ROM, _RETURN)
        self._callbacks = on_read, on_write, on_port, on_block
        # What is set for a call: where to return to, the stack, the arguments, and all others, by
        # turns to 0 and to what nobody expects.
        registers = [arm.UC_ARM_REG_LR, arm.UC_ARM_REG_SP]
        registers += range(arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R12 + 1)
        self._count = count = len(registers)
        self._registers = (ctypes.c_int * count)(*registers)
        noise = [0x9E37_79B9 * n & 0xFFFF_FFFF for n in range(1, count)]
        self._values = (ctypes.c_uint64 * count)(_RETURN | 1, *noise)
        zero = ctypes.c_uint64()
        pointers = _cells(self._values)
        zeros = pointers[:_FIRST_FREE] + [ctypes.addressof(zero)] * (count - _FIRST_FREE)
        kind = ctypes.c_void_p * count
        # And what the caller's registers have to hold at the end.
        self._given = kind(*pointers), bytes(self._values)[8 * _FIRST_FREE : -8]
        self._given_next = kind(*zeros), bytes(8 * len(_SAVED))
        self._zero = zero
        # What is read when it has returned.
        self._result = (ctypes.c_uint64 * 2)()
        self._saved = (ctypes.c_uint64 * len(_SAVED))()
        registers = arm.UC_ARM_REG_R0, arm.UC_ARM_REG_SP, *_SAVED
        self._results = (ctypes.c_int * len(registers))(*registers)
        cells = _cells(self._result) + _cells(self._saved)
        self._result_pointers = (ctypes.c_void_p * len(cells))(*cells)
        self._ports = {}
        self._end = _ROM
        self._steps = {}  # by the routine's name, with where it lies
        self._forget()

    def _hook(self, kind, callback, begin, end):
        handle = ctypes.c_size_t()
        begin, end = ctypes.c_uint64(begin), ctypes.c_uint64(end)
        none = ctypes.c_void_p()
        status = uclib.uc_hook_add(
            self._uc._uch, ctypes.byref(handle), kind, callback, none, begin, end
        )
        if status:
            raise unicorn.UcError(status)

    def load(self, routine):
        """Puts a routine into the core's memory and returns it as a function of CPython."""
        at = self._end
        self._end += -(-len(routine.code) // 4) * 4 + 4
        assert self._end < _RETURN
        self._uc.mem_write(at, routine.code)
        steps = set()
        self._steps[routine.where] = at, steps

        def call(*args):
            if len(args) != routine.arguments:
                raise TypeError(f"{routine.name}() takes {routine.arguments} arguments")
            return self._call(routine, at, steps, args)

        call.__name__ = routine.name
        return call

    def steps(self):
        """{routine's `where`: the steps that it has taken, for Routine.uncovered()}."""
        return {
            where: sorted((before - at, after - at) for before, after in steps)
            for where, (at, steps) in self._steps.items()
        }

    def forget_steps(self):
        for _, steps in self._steps.values():
            steps.clear()

    def replace(self, where, code):
        """Puts other code, of the same length, into the place of a routine."""
        at, _ = self._steps[where]
        self._uc.mem_write(at, code)
        self._uc.ctl_flush_tb()

    def blocks(self):
        """How many times the last call has jumped, or gone on where another way leads to."""
        return _MOST_BLOCKS - self._left

    def port(self, offset, read=None, write=None):
        """Makes a word from PORTS on a register of a chip: read() says what it holds, and
        write(value) takes what is written."""
        self._ports[PORTS + offset] = read, write

    def _call(self, routine, at, steps, args):
        values = self._values
        values[1] = _STACK + routine.stack
        count = 2
        for arg in args:
            if isinstance(arg, int):
                values[count] = arg & 0xFFFF_FFFF
            else:
                values[count] = 0 if arg is None else self.memory.hand_over(arg)
            count += 1
        given = self._given
        self._given, self._given_next = self._given_next, given
        self._uc._do_reg_write_batch(self._registers, given[0], self._count)
        self._routine = routine
        self._taken = steps
        self._at = self._before = at
        self._left = _MOST_BLOCKS
        try:
            try:
                self._uc.emu_start(at | 1, _RETURN)
            except unicorn.UcError as error:
                raise self._failure or self._fault(str(error)) from None
            if self._failure:
                raise self._failure
            self.memory.bring_back()
            self._uc._do_reg_read_batch(self._results, self._result_pointers, len(self._results))
            value, stack = self._result
            if stack != values[1] or bytes(self._saved) != given[1]:
                raise self._fault("it returns with other registers than it got")
            value = self.memory.returned(value)
            return value - (1 << 32) if value >> 31 else value
        finally:
            self.memory.forget()
            self._forget()

    def _fault(self, text):
        line = self._routine.line(self._before - self._at)
        return AssertionError(f"{line}, or soon after: {text}")

    def _stop(self, failure):
        # Nothing can be raised through Unicorn.
        self._failure = self._failure or failure
        self._uc.emu_stop()

    # The next three are called for each access: what is in the place of the last one is known.

    def _on_read(self, _uc, _access, address, size, _value, _data):
        if address < self._low or address + size > self._high or address & size - 1:
            place = self._find("reads", address, size)
            if place:
                self._low, self._high = place.low, place.high

    def _on_write(self, _uc, _access, address, size, _value, _data):
        if address < self._low_out or address + size > self._high_out or address & size - 1:
            place = self._find("writes", address, size)
            if place:
                self._low_out, self._high_out = place.low, place.high
                place.written = True

    def _on_port(self, _uc, access, address, size, value, _data):
        try:
            read, write = self._ports[address]
            assert size == 4, f"{size} bytes of a register"
            if access == unicorn.UC_MEM_WRITE:
                write(value & 0xFFFF_FFFF)
            else:
                self._uc.mem_write(address, read().to_bytes(4, "little"))
        except BaseException as failure:
            self._stop(failure)

    def _find(self, does, address, size):
        """The place of an access that is allowed; None, and the end of the routine, if it is
        not."""
        try:
            writes = does == "writes"
            place = self.memory.find(address, size, writes)
            if place is None:
                problem = f"that was not handed over{self.memory.near(address)}"
            elif address & size - 1:
                problem = "and that is not aligned"
            elif writes and not place.writable:
                problem = "and that is read-only"
            else:
                return place
            self._stop(self._fault(f"it {does} {size} bytes at {address:#x}, {problem}"))
        except BaseException as failure:
            self._stop(failure)

    def _forget(self):
        # Where what has been read and what has been written last lies: no place.
        self._low = self._low_out = 1 << 32
        self._high = self._high_out = 0
        self._failure = None

    def _on_block(self, _uc, address, _size, _data):
        self._taken.add((self._before, address))
        self._before = address
        self._left -= 1
        if not self._left:
            self._stop(self._fault("it does not end"))
