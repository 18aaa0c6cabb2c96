"""The chips of the emulated Pico (tests/pico/*.mjs), in the place of the models beside this file.

They were written by others and from the same sources, so where the two differ, one is wrong. What
a chip notes as an error raises ModelError.
"""

import json
import subprocess
from pathlib import Path

from tests.models.spi import InPin, ModelError, OutPin


class Apart:
    """A chip in node; what a test needs of `SPIModel`, in the same words."""

    byte_ns = 400
    host_ns = 10000

    def __init__(self, name):
        program = Path(__file__).with_name("apart.mjs")
        self._node = subprocess.Popen(
            ["node", program, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.now = 0
        self.sent = []
        self.dropped = self.bytes = self.transactions = 0
        self._interrupt = 1
        self.cs = OutPin(self._cs_changed)
        self.rst = OutPin(lambda level: self._ask(rst=level))
        self.intn = InPin(lambda: self._interrupt)

    def close(self):
        self._node.stdin.close()
        self._node.wait(10)
        self._node.stdout.close()

    def _ask(self, **what):
        self._node.stdin.write(json.dumps({"time": self.now, **what}) + "\n")
        self._node.stdin.flush()
        said = json.loads(self._node.stdout.readline())
        self.now = said["time"]
        self._interrupt = said["interrupt"]
        self.sent += [bytes.fromhex(frame) for frame in said["sent"]]
        del self.sent[:-64]
        self.intn.edge()
        if said["errors"]:
            raise ModelError(said["errors"][0])
        return said

    def _cs_changed(self, level):
        if not level:
            self.transactions += 1
            self.now += self.host_ns
        self._ask(cs=level)

    def _run(self, data):
        self.bytes += len(data)
        said = self._ask(bytes=bytes(data).hex(), byteNs=self.byte_ns)
        return bytes.fromhex(said["read"])

    def write(self, buf):
        self._run(buf)

    def readinto(self, buf, write=0):
        buf[:] = self._run(bytes((write,)) * len(buf))

    def write_readinto(self, out, into):
        into[:] = self._run(out)

    def inject(self, frame):
        kept = self._ask(frame=bytes(frame).hex())["kept"]
        self.dropped += not kept
        return kept

    def advance(self, us):
        self.now += us * 1000
        self._ask()

    def reset_chip(self):
        """A brown-out."""
        self._ask(rst=0)
        self._ask(rst=1)

    def reset_counts(self):
        self.bytes = self.transactions = 0

    def ticks_ms(self):
        return self.now // 1000000 & 0x3FFFFFFF

    def sleep_ms(self, ms):
        self.advance(1000 * ms)
