"""A device around a device that loses, doubles, damages, delays and reorders frames.

Every target makes the same faults from the same seed and the same frames: numbers come from a
generator of its own, time from the caller's clock, and nothing depends on how fast anything runs.
"""

from array import array

from micropython import const

from smolmpy.kernel import copy

from . import adopt

_EAGAIN = const(11)
_EMSGSIZE = const(90)
_TIME = const(0x3FFFFFFF)
_PAST = const(0x20000000)

# A slot of a direction's pool: its length (0: free), when it is due, and its turn among equals
_LENGTH = const(0)
_DUE = const(1)
_TURN = const(2)
_SLOT = const(3)


class FaultInjector:
    """Faults on the way of frames through `device`, both ways or each way by itself.

    `drop`, `duplicate`, `corrupt`, `reorder` are chances in permille. A corrupted frame has one
    bit wrong, anywhere in it. `delay` is ms that each frame takes; a reordered frame takes `late`
    ms more, so that frames after it overtake it. `rate` is the speed of the medium in kbit/s
    (0: any): frames wait for each other. Each is one number, or a pair `(rx, tx)`; `set` changes
    it later.

    `clock()` gives ms, wrapping at 2^30 or later; delay, reorder and rate need it. A program that
    simulates time passes a function of its own. `frames`: how many each direction can hold; a
    full one takes no more (`transmit` returns `-EAGAIN`). Frames sent and held back leave on
    later calls of `receive`, so `poll_delay` tells when to poll again.

    Allocates nothing after set-up.
    """

    def __init__(
        self,
        device,
        seed=1,
        drop=0,
        duplicate=0,
        corrupt=0,
        reorder=0,
        delay=0,
        late=20,
        rate=0,
        clock=None,
        frames=16,
    ):
        if frames < 2:
            raise ValueError("frames")
        self.device = device
        self.mtu = device.mtu
        self._clock = clock
        self.rx = _Way(2 * seed, frames, device.mtu)
        self.tx = _Way(2 * seed + 1, frames, device.mtu)
        # The device sees two buffers to send from: the caller's, and this one, aligned like it.
        self._stage = memoryview(bytearray(device.mtu + 16))[2:]
        self.set(
            drop=drop,
            duplicate=duplicate,
            corrupt=corrupt,
            reorder=reorder,
            delay=delay,
            late=late,
            rate=rate,
        )
        adopt(self, device)

    def set(self, **faults):
        """Changes faults by name: `set(drop=50, delay=(0, 10))`. Raises `ValueError`."""
        for name, value in faults.items():
            if name not in ("drop", "duplicate", "corrupt", "reorder", "delay", "late", "rate"):
                raise ValueError(name)
            rx, tx = value if isinstance(value, tuple) else (value, value)
            top = 1 << 24
            if name in ("drop", "duplicate", "corrupt", "reorder"):
                top = 1000
            if not (0 <= rx <= top and 0 <= tx <= top):
                raise ValueError(name)
            if name in ("delay", "reorder", "rate") and (rx or tx) and not self._clock:
                raise ValueError("clock: needed for " + name)
            setattr(self.rx, name, rx)
            setattr(self.tx, name, tx)

    def counters(self):
        """A dict of what was done: `rx_dropped`, `tx_corrupted`, ... by direction."""
        out = {}
        for prefix, way in (("rx_", self.rx), ("tx_", self.tx)):
            for name in ("frames", "dropped", "duplicated", "corrupted", "reordered"):
                out[prefix + name] = getattr(way, name)
        return out

    def poll_delay(self, now):
        """Milliseconds from `now` until a frame held back is due, 0 for at once, -1 for none."""
        rx = self.rx.wait(now & _TIME)
        tx = self.tx.wait(now & _TIME)
        if rx < 0 or 0 <= tx < rx:
            return tx
        return rx

    def receive(self, buf):
        now = self._clock() & _TIME if self._clock else 0
        if self.tx.held:
            self._send_due(now)
        rx = self.rx
        # A frame may need two slots. What finds no room stays in the device.
        while rx.room():
            n = self.device.receive(buf)
            if n < 0:
                return n
            if n == 0 or rx.admit(buf, n, now):
                break
        else:
            n = 0
        return n or self._take(rx, buf, now)

    def transmit(self, buf, length):
        now = self._clock() & _TIME if self._clock else 0
        tx = self.tx
        if tx.held:
            self._send_due(now)
        if not tx.room():
            return -_EAGAIN
        if tx.admit(buf, length, now):
            code = self.device.transmit(buf, length)
            if code == -_EAGAIN:
                tx.frames -= 1
            return code
        if tx.held:
            self._send_due(now)
        return 0

    def _take(self, way, buf, now):
        """Moves the next frame that is due to `buf`; its length, 0 if there is none."""
        slot = way.due(now)
        if slot < 0:
            return 0
        n = way.copy_out(slot, buf)
        way.free(slot)
        return n

    def _send_due(self, now):
        tx = self.tx
        slot = tx.due(now)
        while slot >= 0:
            n = tx.copy_out(slot, self._stage)
            if self.device.transmit(self._stage, n) == -_EAGAIN:
                return
            tx.free(slot)
            slot = tx.due(now)


class _Way:
    """One direction: its faults, its numbers, and the frames that it holds."""

    def __init__(self, seed, frames, mtu):
        self._random = _Random(seed)
        self._size = mtu + 14
        self._slots = frames
        self._pool = bytearray(frames * self._size)
        self._table = array("I", [0] * (frames * _SLOT))
        self._block = array("I", [0, 0, 0])
        self._turn = 0
        self._busy = 0  # when the last frame has left the medium
        self._bits = 0  # and what it took of the millisecond then begun
        self.held = 0
        self.frames = 0
        self.dropped = 0
        self.duplicated = 0
        self.corrupted = 0
        self.reordered = 0

    def _chance(self, permille):
        return permille > 0 and self._random.below(1000) < permille

    def room(self):
        return self.held + 2 <= self._slots

    def admit(self, buf, n, now):
        """Decides what becomes of a frame; whether it may go on at once and as it is."""
        self.frames += 1
        if self._chance(self.drop):
            self.dropped += 1
            return False
        due = now
        if self.rate:
            due = self._occupy(n, now)
        due = (due + self.delay) & _TIME
        if self._chance(self.reorder):
            self.reordered += 1
            due = (due + self.late) & _TIME
        corrupt = self._chance(self.corrupt)
        duplicate = self._chance(self.duplicate)
        if n > self._size:
            # No device may bring such a frame; it cannot be held, and the stack drops it.
            return True
        if due == now and not corrupt and not duplicate:
            if not self.held or self.due(now) < 0:
                return True
        slot = self._hold(buf, n, due)
        if duplicate:
            self.duplicated += 1
            self._hold(buf, n, due)
        if corrupt:
            self.corrupted += 1
            at = slot * self._size + self._random.below(n)
            self._pool[at] ^= 1 << self._random.below(8)
        return False

    def _occupy(self, n, now):
        """When a frame of `n` bytes that comes now has passed the medium."""
        if (self._busy - now) & _PAST:
            self._busy = now
            self._bits = 0
        bits = self._bits + n * 8
        self._busy = (self._busy + bits // self.rate) & _TIME
        self._bits = bits % self.rate
        return self._busy

    def _hold(self, buf, n, due):
        table = self._table
        slot = 0
        while table[slot * _SLOT + _LENGTH]:
            slot += 1
        table[slot * _SLOT + _LENGTH] = n
        table[slot * _SLOT + _DUE] = due
        table[slot * _SLOT + _TURN] = self._turn
        self._turn = (self._turn + 1) & _TIME
        self.held += 1
        block = self._block
        block[0] = slot * self._size
        block[1] = 0
        block[2] = n
        copy(self._pool, buf, block)
        return slot

    def _first(self):
        """The slot of the frame that is due first, -1 if none is held."""
        table = self._table
        best = -1
        for slot in range(self._slots):
            i = slot * _SLOT
            if table[i + _LENGTH]:
                if best >= 0:
                    b = best * _SLOT
                    step = (table[i + _DUE] - table[b + _DUE]) & _TIME
                    if step == 0:
                        step = (table[i + _TURN] - table[b + _TURN]) & _TIME
                    if not step & _PAST:
                        continue
                best = slot
        return best

    def due(self, now):
        """The slot of the frame that is due first, if it is due by now, else -1."""
        if not self.held:
            return -1
        slot = self._first()
        early = (now - self._table[slot * _SLOT + _DUE]) & _TIME & _PAST
        return -1 if early else slot

    def wait(self, now):
        """Milliseconds until a frame is due, -1 if none is held."""
        if not self.held:
            return -1
        step = (self._table[self._first() * _SLOT + _DUE] - now) & _TIME
        return 0 if step & _PAST else step

    def copy_out(self, slot, buf):
        n = self._table[slot * _SLOT + _LENGTH]
        if n > len(buf):
            return -_EMSGSIZE
        block = self._block
        block[0] = 0
        block[1] = slot * self._size
        block[2] = n
        copy(buf, self._pool, block)
        return n

    def free(self, slot):
        self._table[slot * _SLOT + _LENGTH] = 0
        self.held -= 1


class _Random:
    """Marsaglia's xorshift over two 16-bit words: period 2^32 - 1, and no number over 30 bits."""

    def __init__(self, seed):
        self._x = seed & 0xFFFF
        self._y = (seed >> 16 & 0xFFFF) ^ 0x9E37
        if not self._x | self._y:
            self._y = 1
        for _ in range(16):
            self.below(1)  # similar seeds begin alike

    def below(self, n):
        """A number from 0 to n - 1."""
        t = self._x
        t = (t ^ t << 5) & 0xFFFF
        y = self._y
        self._x = y
        y = y ^ y >> 1 ^ t ^ t >> 3
        self._y = y
        return ((self._x & 0x3FFF) << 16 | y) % n
