"""examples/throughput.py with the heap locked while data moves."""

import sys

from heap import locked

import throughput

for kind in (throughput.Echo, throughput.Discard, throughput.Generator):
    kind.move = locked(kind.move)
throughput.main(sys.argv[1:])
